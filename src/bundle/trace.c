/* What a search looked at, and whether it has changed since. */
#include "bundle/trace.h"

#include <fcntl.h>

/* As it goes into the checksum: no padding. */
struct sight {
    int64_t error; /* -ENOENT and the like; else 0 */
    uint64_t inode;
    int64_t changed; /* its ctime in nanoseconds, which each change of a file or of a listed folder moves */
};

static struct sight look_at(const struct nvl_root *root, const char *path)
{
    struct sight sight = {0};
    struct stat st;

    sight.error = nvl_root_stat(root, path, 0, &st);
    if (sight.error == 0) {
        sight.inode = st.st_ino;
        sight.changed = (int64_t)st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec;
    }
    return sight;
}

/* Of a path that leads nowhere: whether it is a link, to something that may come without a change of its
 * folder. */
static bool dangles(const struct nvl_root *root, const char *path)
{
    struct stat st;

    return nvl_root_stat(root, path, AT_SYMLINK_NOFOLLOW, &st) == 0;
}

/* What stands for a path that is not there: "/run/nvidia" for "/run/nvidia/driver/usr/lib64/.". Folders of
 * /usr change with packages alone, so there the one in which it would be stands for all that is missing in
 * it; elsewhere others come and go. */
static char *stand_in(const struct nvl_root *root, const char *path)
{
    nvl_autofree char *missing = NULL;

    for (const char *slash = strchr(path + 1, '/'); slash != NULL && missing == NULL;
         slash = strchr(slash + 1, '/')) {
        nvl_autofree char *part = nvl_xstrndup(path, (size_t)(slash - path));
        if (!nvl_root_exists(root, part))
            missing = TAKE_PTR(part);
    }
    if (missing == NULL)
        missing = nvl_xstrdup(path);
    if (nvl_has_prefix(missing, "/usr/") && !nvl_has_suffix(missing, "/.") && !dangles(root, missing))
        return nvl_xasprintf("%.*s/.", (int)(strrchr(missing, '/') - missing), missing);
    return TAKE_PTR(missing);
}

/* "/usr/lib//." and "/usr/lib/." are one. */
static char *plain_path(const char *path)
{
    struct nvl_buf plain = {0};

    for (const char *at = path; *at != '\0'; at++)
        if (at[0] != '/' || at[1] != '/')
            nvl_buf_add(&plain, at, 1);
    return nvl_buf_take(&plain);
}

/* What is missing in a folder that was listed is not there while the listing is the same. */
static bool is_implied(const struct nvl_root *root, const struct nvl_strv *paths, const char *path)
{
    nvl_autofree char *listed = nvl_xasprintf("%.*s/.", (int)(strrchr(path, '/') - path), path);

    return !nvl_has_suffix(path, "/.") && nvl_strv_sorted_contains(paths, listed) &&
           !nvl_root_exists(root, path) && !dangles(root, path);
}

/* A folder itself says nothing: what was looked for in it is asked for, too. */
static void gather(const struct nvl_root *root, const struct nvl_strv *asked, struct nvl_strv *paths)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv plain = {0};
    struct stat st;

    for (size_t i = 0; i < asked->count; i++) {
        nvl_autofree char *path = plain_path(asked->items[i]);
        nvl_strv_push(&plain, path);
    }
    nvl_strv_sort(&plain);
    for (size_t i = 0; i < plain.count; i++) {
        const char *path = plain.items[i];
        if (i > 0 && strcmp(path, plain.items[i - 1]) == 0)
            continue;
        bool is_there = nvl_root_stat(root, path, 0, &st) == 0;
        nvl_autofree char *instead = is_there ? NULL : stand_in(root, path);
        if (!is_there || !S_ISDIR(st.st_mode) || nvl_has_suffix(path, "/."))
            nvl_strv_push(paths, is_there ? path : instead);
    }
    nvl_strv_sort(paths);
}

/* Gives the latest ctime. */
static int64_t see(const struct nvl_root *root, const struct nvl_strv *paths,
                   char state[NVL_CHECKSUM_LENGTH + 1])
{
    struct nvl_checksum *sum = nvl_checksum_new();
    int64_t newest = 0;

    for (size_t i = 0; i < paths->count; i++) {
        struct sight sight = look_at(root, paths->items[i]);
        nvl_checksum_add(sum, &sight, sizeof sight);
        if (sight.changed > newest)
            newest = sight.changed;
    }
    nvl_checksum_take(sum, state);
    nvl_checksum_free(sum);
    return newest;
}

void nvl_trace_look(const struct nvl_root *root, const struct nvl_strv *asked, struct nvl_trace *trace)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv all = {0};

    *trace = (struct nvl_trace){0};
    gather(root, asked, &all);
    for (size_t i = 0; i < all.count; i++)
        if ((i == 0 || strcmp(all.items[i], all.items[i - 1]) != 0) && !is_implied(root, &all, all.items[i]))
            nvl_strv_push(&trace->paths, all.items[i]);
    trace->newest = see(root, &trace->paths, trace->state);
}

bool nvl_trace_holds(const struct nvl_root *root, const struct nvl_trace *trace)
{
    char state[NVL_CHECKSUM_LENGTH + 1];

    see(root, &trace->paths, state);
    return strcmp(state, trace->state) == 0;
}

void nvl_trace_clear(struct nvl_trace *trace)
{
    nvl_strv_clear(&trace->paths);
    *trace = (struct nvl_trace){0};
}
