/* UTF-8, and the characters that a terminal obeys. */
#include "base/printable.h"

#include <stdbool.h>
#include <string.h>

/* The length of the UTF-8 sequence at the start of `s`; 0 if there is none. */
static size_t sequence_length(const unsigned char *s)
{
    size_t len = *s < 0x80                 ? 1
                 : *s >= 0xc2 && *s < 0xe0 ? 2
                 : (*s & 0xf0) == 0xe0     ? 3
                 : *s >= 0xf0 && *s < 0xf5 ? 4
                                           : 0;

    for (size_t i = 1; i < len; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    /* overlong, a surrogate, or beyond the last code point: jansson accepts none of them */
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0) || (s[0] == 0xf0 && s[1] < 0x90) ||
        (s[0] == 0xf4 && s[1] >= 0x90))
        return 0;
    return len;
}

/* What a terminal obeys: C0 and C1, and the characters that change the direction of writing, so that a line
 * reads differently (U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069). */
static bool is_control(const unsigned char *s)
{
    if (s[0] == 0xe2 && s[1] == 0x80)
        return s[2] == 0x8e || s[2] == 0x8f || (s[2] >= 0xaa && s[2] <= 0xae);
    if (s[0] == 0xe2 && s[1] == 0x81)
        return s[2] >= 0xa6 && s[2] <= 0xa9;
    return (*s < 0x20 && *s != '\n' && *s != '\t') || *s == 0x7f || (s[0] == 0xc2 && s[1] < 0xa0);
}

static char *clean_sequence(char *text, bool keeps_controls)
{
    for (size_t i = 0, len; text[i] != '\0'; i += len) {
        const unsigned char *s = (const unsigned char *)text + i;
        len = sequence_length(s);
        if (len == 0) {
            text[i] = '?';
            len = 1;
        } else if (!keeps_controls && is_control(s)) {
            memset(text + i, '?', len);
        }
    }
    return text;
}

char *nvl_make_printable(char *text)
{
    return clean_sequence(text, false);
}

char *nvl_make_utf8(char *text)
{
    return clean_sequence(text, true);
}
