/* Man pages and shell completions out of the tables of commands and options, so that they say what --help
 * says. Parts of nvlxc-doc, a program that runs at build time. */
#pragma once

#include "cli/command.h"

/* Each appends to `out`. A page of one command in scdoc's format; `prose` is a text to put in, "" for none.
 */
void nvl_doc_command_page(const struct nvl_command *command, const char *prose, struct nvl_buf *out);
/* What a line of a template stands for: "@COMMANDS@" and "@OPTIONS@" of nvlxc(8), "@TABLES@" of a completion
 * ("bash", "zsh"). False where it stands for itself. */
bool nvl_doc_man_part(const char *line, struct nvl_buf *out);
bool nvl_doc_completion_part(const char *shell, const char *line, struct nvl_buf *out);
