/* Versions of files. In the real packages nvidia-smi, nvidia-cuda-mps-control and libnvidia-api.so.1 contain
 * their version as text; nvidia-debugdump, nvidia-cuda-mps-server, nvoptix.bin and the ICDs contain none. */
#include "bundle/version_match.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "host/driver_version.h"

#define CHUNK    (256u << 10)
#define TEXT_MAX (64u << 10)

#define LIBRARY_MAX (1u << 20) /* bytes; EGL's platform libraries have some 100 KiB */
#define GLIBC_MINOR 28         /* Debian 10's and RHEL 8's, the oldest that images of today have */

static bool is_number_part(char c)
{
    return isdigit((unsigned char)c) || c == '.';
}

/* `text` has a byte before and one after a possible match: 0 at the ends of the file. A full stop after the
 * version ends it unless a digit follows, so two bytes after it are read. */
static bool holds_word(const char *text, size_t len, const char *word, size_t word_len)
{
    const char *at = text + 1, *end = text + len;

    while ((at = memmem(at, (size_t)(end - at), word, word_len)) != NULL) {
        if (at + word_len + 2 > end)
            return false;
        const char *after = at + word_len;
        if (!is_number_part(at[-1]) && !isdigit((unsigned char)after[0]) &&
            !(after[0] == '.' && isdigit((unsigned char)after[1])))
            return true;
        at++;
    }
    return false;
}

int nvl_content_has_version(const struct nvl_root *root, const char *path, const char *version)
{
    nvl_autofd int fd = nvl_root_openat(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    nvl_autofree char *window = nvl_xcalloc(1, CHUNK + NVL_VERSION_MAX + 8);
    size_t word_len = strlen(version), kept = 1; /* the byte before the file's first is 0 */

    if (fd < 0)
        return fd;
    for (;;) {
        ssize_t n = read(fd, window + kept, CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return nvl_root_note(root, path, -errno);
        if (n == 0) {
            memset(window + kept, 0, 2);
            return holds_word(window, kept + 2, version, word_len);
        }
        size_t len = kept + (size_t)n;
        if (holds_word(window, len, version, word_len))
            return 1;
        kept = word_len + 3 < len ? word_len + 3 : len; /* with a byte before, and two after */
        memmove(window, window + len - kept, kept);
    }
}

/* Versions of symbols are strings of the file: "GLIBC_2.34". */
bool nvl_runs_with_any_libc(const struct nvl_root *root, const char *path)
{
    static const char word[] = "GLIBC_2.";
    nvl_autofree char *data = NULL;
    size_t len;

    if (nvl_root_read(root, path, LIBRARY_MAX, &data, &len) < 0 || len < 4 || memcmp(data, "\177ELF", 4) != 0)
        return false;
    for (const char *at = data;
         (at = memmem(at, len - (size_t)(at - data), word, sizeof word - 1)) != NULL;) {
        at += sizeof word - 1; /* the data end with a NUL */
        if (strtoul(at, NULL, 10) > GLIBC_MINOR)
            return false;
    }
    return true;
}

bool nvl_text_names(const struct nvl_root *root, const char *path, const char *library)
{
    nvl_autofree char *text = NULL;
    size_t len;

    return nvl_root_read(root, path, TEXT_MAX, &text, &len) == 0 &&
           memmem(text, len, library, strlen(library)) != NULL;
}

/* The folder's length; bin and sbin count as their prefix. */
static size_t prefix_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t len = slash != NULL ? (size_t)(slash - path) : 0;

    if (len >= 5 && memcmp(path + len - 5, "/sbin", 5) == 0)
        return len - 5;
    if (len >= 4 && memcmp(path + len - 4, "/bin", 4) == 0)
        return len - 4;
    return len;
}

bool nvl_same_installation(const char *path, const char *other)
{
    size_t len = prefix_length(path);

    return len == prefix_length(other) && memcmp(path, other, len) == 0;
}
