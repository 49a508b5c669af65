/* What to do now, as people and programs read it: lines of text and commands, in the forms
 *
 *   pct reboot 101
 *   nvlxc doctor   # which part of the driver is missing
 *   restart it: pct reboot 101
 *   `nvlxc gpus` lists the GPUs
 *   install the driver's libraries
 *
 * A command begins with the name of a program that fixes use (fix.c lists them), at the beginning of the
 * line, after ": " outside quotes, or between backticks. So a name that somebody else chose stands in quotes
 * (nvl_shell_word), and a line of a file, too. A sentence that happens to begin with such a name must be
 * worded otherwise. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct nvl_fix_line {
    char *text;    /* "restart it"; NULL for a bare command */
    char *command; /* "pct reboot 101", with its remark if it has one; NULL for a text */
    bool is_said;  /* the text names the command itself: "`nvlxc gpus` lists the GPUs" */
};

/* Takes the next line of a fix, NULL for none: moves *fix past it. False at the end. */
bool nvl_next_fix_line(const char **fix, struct nvl_fix_line *line);
/* Its lines as one, with "; " between; "" for NULL. The caller frees. */
char *nvl_fix_in_line(const char *fix);
void nvl_fix_line_clear(struct nvl_fix_line *line);
/* Whether the text begins with the name of such a program. */
bool nvl_names_program(const char *text, size_t len);
