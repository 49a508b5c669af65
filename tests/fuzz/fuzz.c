/* Between libFuzzer and the targets: inputs, trees, and what must hold everywhere. */
#include "fuzz.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/printable.h"
#include "base/sys.h"
#include "base/visit.h"

#define ENTRIES_MAX 64 /* of a tree */
#define DEPTH_MAX   32

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t len);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* A visit forks, and libFuzzer's own process would be the one that waits. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    nvl_visit_is_childs();
    return 0;
}

/* The program waits for files that another node of a cluster may be replacing; here nobody is. */
int nanosleep(const struct timespec *time, struct timespec *left)
{
    (void)time;
    (void)left;
    return 0;
}

/* The lowest free descriptor. */
static int free_descriptor(void)
{
    int fd = dup(STDERR_FILENO);

    close(fd);
    return fd;
}

/* Whether the target left none open. libFuzzer's own thread has one for a moment, now and then. */
static bool is_closed(int before)
{
    for (int i = 0; i < 100; i++) {
        if (free_descriptor() <= before)
            return true;
        usleep(10000);
    }
    return false;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t len)
{
    fuzz_root();
    int before = free_descriptor();
    fuzz_one((const char *)data, len);
    CHECK(is_closed(before));
    return 0;
}

void fuzz_fail(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
    abort();
}

void fuzz_same(const char *a, size_t a_len, const char *b, size_t b_len)
{
    if (a_len == b_len && memcmp(a, b, a_len) == 0)
        return;
    fprintf(stderr, "---- one:\n%.*s\n---- other:\n%.*s\n----\n", (int)a_len, a, (int)b_len, b);
    fuzz_fail(__FILE__, __LINE__, "both are the same");
}

void fuzz_printable(const char *text)
{
    nvl_autofree char *copy = nvl_xstrdup(text);

    nvl_make_printable(copy);
    fuzz_same(copy, strlen(copy), text, strlen(text));
}

void fuzz_line(const char *text)
{
    fuzz_printable(text);
    CHECK(strpbrk(text, "\n\t") == NULL);
}

/* ---- inputs ---- */

unsigned fuzz_choice(struct fuzz_input *in, unsigned n)
{
    if (in->len == 0)
        return 0;
    in->len--;
    return (unsigned char)*in->data++ % n;
}

/* The next part in place; false at the end. */
static bool next_part(struct fuzz_input *in, const char **part, size_t *len)
{
    if (in->len == 0)
        return false;
    const char *end = memchr(in->data, FUZZ_END, in->len);
    *part = in->data;
    *len = end != NULL ? (size_t)(end - in->data) : in->len;
    in->data += *len + (end != NULL);
    in->len -= *len + (end != NULL);
    return true;
}

char *fuzz_text(struct fuzz_input *in)
{
    const char *part;
    size_t len;

    return next_part(in, &part, &len) ? nvl_xstrndup(part, len) : nvl_xstrdup("");
}

char *fuzz_bytes(struct fuzz_input *in, size_t *len)
{
    const char *part;

    if (!next_part(in, &part, len))
        *len = 0;
    char *copy = nvl_xcalloc(*len, 1);
    if (*len > 0)
        memcpy(copy, part, *len);
    return copy;
}

/* ---- trees ---- */

const struct nvl_root *fuzz_root(void)
{
    static struct nvl_root root = NVL_ROOT_NONE;

    if (root.fd < 0) {
        int fd = nvl_sys_new_tmpfs("0755");
        if (fd < 0) {
            fprintf(stderr, "cannot make a tmpfs: %s; run it as root\n", strerror(-fd));
            exit(EXIT_FAILURE);
        }
        nvl_root_from_fd(&root, fd, "");
    }
    return &root;
}

/* The folder of the path's last component; below 0 if there can be none. */
static int open_parent(const char *path, const char **name)
{
    nvl_root_make_parents(fuzz_root(), path);
    return nvl_root_open_parent(fuzz_root(), path, name);
}

static void write_file(const char *path, const char *data, size_t len)
{
    const char *name;
    nvl_autofd int folder = open_parent(path, &name);
    int flags = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    nvl_autofd int fd = folder >= 0 ? openat(folder, name, flags, 0644) : -1;

    if (fd >= 0)
        nvl_fd_write(fd, data, len);
}

/* To open a path takes longer than most targets: the files stay open, far from the descriptors that is_closed
 * looks at. */
void fuzz_put(const char *path, const char *data, size_t len)
{
    static struct {
        const char *path;
        int fd;
    } files[8];
    struct stat st;

    for (size_t i = 0; i < NVL_LENGTH(files); i++) {
        if (files[i].path == NULL) {
            write_file(path, "", 0);
            nvl_autofd int fd = nvl_root_openat(fuzz_root(), path, O_RDWR);
            files[i].fd = fcntl(fd, F_DUPFD_CLOEXEC, 512 + (int)i);
            files[i].path = path;
        }
        if (files[i].path != path)
            continue;
        if (fstat(files[i].fd, &st) == 0 && st.st_nlink > 0 && ftruncate(files[i].fd, 0) == 0) {
            CHECK(pwrite(files[i].fd, data, len, 0) == (ssize_t)len);
            return;
        }
        close(files[i].fd); /* it was replaced */
        files[i].path = NULL;
        i--;
    }
    CHECK(!"there are more than these files");
}

static void make_link(const char *path, const char *target)
{
    const char *name;
    nvl_autofd int folder = open_parent(path, &name);

    if (folder >= 0 && symlinkat(target, folder, name) < 0)
        return;
}

static void make_part(const char *part, size_t len)
{
    const char *newline = memchr(part, '\n', len);
    nvl_autofree char *path = nvl_xstrndup(part, newline != NULL ? (size_t)(newline - part) : len);
    char *arrow = strstr(path, " -> ");
    size_t slashes = 0;

    for (const char *c = path; *c != '\0'; c++)
        slashes += *c == '/';
    if (path[0] != '/' || slashes > DEPTH_MAX)
        return;
    if (arrow != NULL) {
        *arrow = '\0';
        make_link(path, arrow + 4);
    } else if (nvl_has_suffix(path, "/")) {
        nvl_root_make_folder(fuzz_root(), path);
    } else {
        write_file(path, newline != NULL ? newline + 1 : "",
                   newline != NULL ? (size_t)(part + len - newline - 1) : 0);
    }
}

void fuzz_tree(struct fuzz_input *in)
{
    const char *part;
    size_t len;

    for (int n = 0; n < ENTRIES_MAX && next_part(in, &part, &len); n++)
        make_part(part, len);
}

static void empty_folder(int fd)
{
    struct nvl_root folder = nvl_root_borrow(fd);
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    nvl_root_list(&folder, "/", &names);
    for (size_t i = 0; i < names.count; i++) {
        if (unlinkat(fd, names.items[i], 0) == 0)
            continue;
        nvl_autofd int below = openat(fd, names.items[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (below >= 0)
            empty_folder(below);
        unlinkat(fd, names.items[i], AT_REMOVEDIR);
    }
}

void fuzz_clear(void)
{
    empty_folder(fuzz_root()->fd);
}
