/* Writes a command's output to a file. */
#include "base/output_file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"

#define FILE_SIZE_MAX (1u << 20)

int nvl_output_path(const struct nvl_root *root, const char *file, char **path, struct nvl_error *err)
{
    if (file[0] == '/') {
        *path = nvl_xstrdup(file);
        return 0;
    }
    if (file[0] == '\0' || !nvl_root_is_machine(root))
        return nvl_error_usage(err, "the file '%s': with --root, give an absolute path", file);
    nvl_autofree char *here = getcwd(NULL, 0);
    if (here == NULL)
        return nvl_error_errno(err, -errno, "the file %s: the current folder", file);
    *path = nvl_xasprintf("%s/%s", here, file);
    return 0;
}

bool nvl_output_has(const struct nvl_root *root, const char *path, const char *text)
{
    nvl_autofree char *old = NULL;
    size_t len;

    return nvl_root_read(root, path, FILE_SIZE_MAX, &old, &len) == 0 && nvl_bytes_are(old, len, text);
}

/* Replacing a link, a device or a pipe would remove it and leave a file in its place. */
static int check_place(const struct nvl_root *root, const char *path, struct nvl_error *err)
{
    struct stat st;

    int r = nvl_root_stat(root, path, AT_SYMLINK_NOFOLLOW, &st);
    if (r == -ENOENT || (r == 0 && S_ISREG(st.st_mode)))
        return 0;
    if (r < 0)
        return nvl_error_errno(err, r, "cannot write %s", path);
    nvl_error_set(err, -EEXIST, "%s exists and is not a regular file: it would be replaced", path);
    nvl_error_hint(err, "name another file; without one the text goes to standard output");
    return -EEXIST;
}

static int replace(const struct nvl_root *root, const char *path, const char *text, struct nvl_error *err)
{
    const char *name;

    nvl_autofd int folder = nvl_root_open_parent(root, path, &name);
    if (folder < 0)
        return nvl_error_errno(err, folder, "cannot write %s: its folder", path);
    int r = nvl_file_replace(folder, name, text, strlen(text), NULL, err);
    return r < 0 ? nvl_error_prefix(err, "%s", path) : 0;
}

int nvl_output_write(const struct nvl_root *root, const char *path, const char *text, bool *changed,
                     struct nvl_error *err)
{
    int r = nvl_root_trouble(root, err); /* the text may lack something */
    if (r == 0)
        r = check_place(root, path, err);
    bool is_new = r == 0 && (changed == NULL || !nvl_output_has(root, path, text));

    if (changed != NULL)
        *changed = is_new;
    if (is_new)
        r = replace(root, path, text, err);
    if (r == -EACCES || r == -EPERM || r == -EROFS)
        err->exit = NVL_EXIT_HOST;
    return r;
}
