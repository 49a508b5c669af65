/* The list of commands, and which of them a word means. */
#pragma once

#include "cli/command.h"

/* Ends with NULL; the first is run without a command. */
extern const struct nvl_command *const nvl_commands[];
/* Of the groups for people to read. */
extern const char *const nvl_group_titles[NVL_GROUP_HIDDEN];
/* The one that a word names or begins; NULL if there is none, or several. A hidden one has to be named.
 * `names` gets those that the word can mean. */
const struct nvl_command *nvl_command_find(const char *word, struct nvl_strv *names);
