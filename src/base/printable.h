/* Text out of files that containers write, on its way to a terminal or into JSON. */
#pragma once

/* What a terminal would obey (newlines and tabs it may), and what is not UTF-8, becomes '?', in place. Gives
 * `text` back. */
char *nvl_make_printable(char *text);
/* The same only of what is not UTF-8: for JSON, which escapes the rest. */
char *nvl_make_utf8(char *text);
