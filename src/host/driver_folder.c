/* Remembers the folder that the user named as the driver's. */
#include "host/driver_folder.h"

#include <ctype.h>
#include <errno.h>
#include <unistd.h>

#include "base/output_file.h"
#include "base/root.h"

#define FILE_MAX 4096

char *nvl_driver_folder(const struct nvl_root *root)
{
    nvl_autofree char *text = NULL;
    size_t len;

    if (nvl_root_read(root, NVL_DRIVER_FOLDER_FILE, FILE_MAX, &text, &len) < 0 || text[0] != '/')
        return NULL;
    text[strcspn(text, "\n")] = '\0';
    for (const char *c = text; *c != '\0'; c++)
        if (iscntrl((unsigned char)*c))
            return NULL;
    return TAKE_PTR(text);
}

static int forget_folder(const struct nvl_root *root, struct nvl_error *err)
{
    const char *name;
    nvl_autofd int parent = nvl_root_open_parent(root, NVL_DRIVER_FOLDER_FILE, &name);

    if (parent == -ENOENT || (parent >= 0 && (unlinkat(parent, name, 0) == 0 || errno == ENOENT)))
        return 0;
    return nvl_error_errno(err, parent < 0 ? parent : -errno, "cannot remove %s%s", root->name,
                           NVL_DRIVER_FOLDER_FILE);
}

int nvl_driver_folder_remember(const struct nvl_root *root, const char *folder, struct nvl_error *err)
{
    nvl_autofree char *text = nvl_xasprintf("%s\n", folder);
    bool changed;

    if (folder[0] == '\0')
        return forget_folder(root, err);
    int r = nvl_root_make_parents(root, NVL_DRIVER_FOLDER_FILE);
    if (r < 0)
        return nvl_error_errno(err, r, "cannot make the folder of %s%s", root->name, NVL_DRIVER_FOLDER_FILE);
    return nvl_output_write(root, NVL_DRIVER_FOLDER_FILE, text, &changed, err);
}
