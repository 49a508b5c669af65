/* A container's root file system, its root's own work, in which the driver's files are made and removed
 * again: a tree. The second time nothing is new; afterwards nothing of it is left, and all the rest is as it
 * was. */
#include "fuzz.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/sys.h"
#include "grant/grant.h"
#include "host/tree.h"
#include "inject/files.h"
#include "inject/home.h"
#include "inject/libc.h"
#include "inject/places.h"

/* A line for all that is below, with its kind, size and target. */
static void list_tree(int fd, const char *above, struct nvl_strv *lines)
{
    struct nvl_root folder = nvl_root_borrow(fd);
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    struct stat st;

    nvl_root_list(&folder, "/", &names);
    for (size_t i = 0; i < names.count; i++) {
        char target[256] = "";
        nvl_autofree char *path = nvl_xasprintf("%s/%s", above, names.items[i]);
        if (fstatat(fd, names.items[i], &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (readlinkat(fd, names.items[i], target, sizeof target - 1) < 0)
            target[0] = '\0';
        nvl_strv_pushf(lines, "%s %o %ld %s", path, st.st_mode, S_ISREG(st.st_mode) ? (long)st.st_size : 0,
                       target);
        nvl_autofd int below = openat(fd, names.items[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (below >= 0)
            list_tree(below, path, lines);
    }
}

static char *show_tree(void)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv lines = {0};

    list_tree(fuzz_root()->fd, "", &lines);
    return nvl_strv_join(&lines, "\n");
}

/* Not one that says that it has been there before. */
static bool is_fresh(const char *tree)
{
    return strstr(tree, "nvlxc") == NULL && strstr(tree, "nvidia") == NULL;
}

static void check_write(const struct nvl_root *bundle)
{
    const struct nvl_entries_wanted wanted = {NVL_CAP_ALL, bundle};
    const struct nvl_root *rootfs = fuzz_root();
    nvl_auto(nvl_strv_clear) struct nvl_strv notes = {0};
    int errors[NVL_HOMES];
    nvl_autofree char *before = show_tree();
    const char *home = nvl_home_choose(rootfs, errors);

    if (home == NULL)
        return;
    nvl_autofd int fd = nvl_entries_write(rootfs, home, &wanted, &notes);
    nvl_autofree char *once = show_tree();
    nvl_autofd int again = nvl_entries_write(rootfs, home, &wanted, &notes);
    nvl_autofree char *twice = show_tree();
    fuzz_same(once, strlen(once), twice, strlen(twice));
    nvl_entries_remove(rootfs, NULL, NULL);
    nvl_autofree char *after = show_tree();
    if (is_fresh(before) && fd >= 0)
        fuzz_same(before, strlen(before), after, strlen(after));
}

/* A bundle that has all that the table of places leads to, in a tmpfs of its own. */
static const struct nvl_root *make_bundle(void)
{
    static struct nvl_root bundle = NVL_ROOT_NONE;
    nvl_auto(nvl_places_clear) struct nvl_places all = {0};

    if (bundle.fd >= 0)
        return &bundle;
    nvl_autofd int fd = nvl_sys_new_tmpfs("0755");
    CHECK(fd >= 0);
    nvl_root_from_fd(&bundle, fcntl(fd, F_DUPFD_CLOEXEC, 600), "");
    nvl_places_make(&all, NULL);
    for (size_t i = 0; i < all.count; i++)
        if (all.items[i].entry->target != NULL)
            nvl_tree_file(bundle.fd, all.items[i].entry->target, "", 0, NULL);
    return &bundle;
}

void fuzz_one(const char *data, size_t len)
{
    struct fuzz_input in = {data, len};
    nvl_auto(nvl_libc_clear) struct nvl_libc libc = {0};

    fuzz_tree(&in);
    nvl_libc_read(fuzz_root(), &libc);
    nvl_home(fuzz_root());
    check_write(make_bundle());
    fuzz_clear();
}
