/* Text from files that containers write, made safe for a terminal or for JSON. */
#pragma once

/* Replaces what a terminal would obey (except newlines and tabs), and what is not UTF-8, by '?', in place.
 * Returns `text`. */
char *nvl_make_printable(char *text);
/* Replaces only what is not UTF-8: for JSON, which escapes the rest. */
char *nvl_make_utf8(char *text);
