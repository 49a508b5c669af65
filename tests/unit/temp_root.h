/* A temporary folder that serves as a host's root in a test: made empty, filled with a few files, removed. */
#pragma once

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/root.h"
#include "host/tree.h"

struct temp_root {
    struct nvl_root root;
    int fd; /* for the functions of host/tree.h */
    char dir[32];
};

static inline int setup_root(void **state)
{
    struct temp_root *t = nvl_xcalloc(1, sizeof *t);

    snprintf(t->dir, sizeof t->dir, "/tmp/nvlxc-test-XXXXXX");
    assert_non_null(mkdtemp(t->dir));
    t->fd = open(t->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(t->fd >= 0);
    assert_int_equal(nvl_root_open(&t->root, t->dir, NULL), 0);
    *state = t;
    return 0;
}

static inline int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static inline int teardown_root(void **state)
{
    struct temp_root *t = *state;

    nvl_root_close(&t->root);
    close(t->fd);
    nftw(t->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(t);
    return 0;
}

static inline void put(const struct temp_root *t, const char *path, const char *text)
{
    struct nvl_error err = {0};

    if (nvl_tree_file(t->fd, path, text, strlen(text), &err) < 0)
        fail_msg("%s", err.message);
}

static inline void put_link(const struct temp_root *t, const char *path, const char *target)
{
    assert_int_equal(nvl_tree_link(t->fd, path, target, NULL), 0);
}

static inline void put_node(const struct temp_root *t, const char *path, unsigned major, unsigned minor,
                            mode_t mode)
{
    nvl_autofree char *parent = nvl_xstrndup(path, (size_t)(strrchr(path, '/') - path));

    assert_int_equal(nvl_tree_directory(t->fd, parent, NULL), 0);
    assert_int_equal(mknodat(t->fd, path + 1, S_IFCHR | mode, makedev(major, minor)), 0);
    assert_int_equal(fchmodat(t->fd, path + 1, mode, 0), 0); /* whatever the umask is */
}
