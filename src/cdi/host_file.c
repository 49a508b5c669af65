/* Specifications as files: writes them, and keeps the host's up to date. */
#include "base/paths.h"
#include "cdi/host_file.h"

#include "base/output_file.h"
#include "bundle/list.h"
#include "cdi/make.h"
#include "grant/grant.h"

#define FILE_SIZE_MAX (1u << 20)

static int make_engine_folder(const struct nvl_root *root, const char *path)
{
    static const char *const folders[] = {NVL_CDI_FOLDER, "/var/run/cdi", "/run/cdi"};

    for (size_t i = 0; i < NVL_LENGTH(folders); i++) {
        size_t len = strlen(folders[i]);
        if (nvl_has_prefix(path, folders[i]) && path[len] == '/' && strchr(path + len + 1, '/') == NULL)
            return nvl_root_make_folder(root, folders[i]);
    }
    return 0;
}

int nvl_cdi_write(const struct nvl_root *root, const char *path, const char *text, bool *changed,
                  struct nvl_error *err)
{
    int r = make_engine_folder(root, path);

    if (r < 0)
        return nvl_error_host(err, r, "cannot write %s: its folder: %s", path, strerror(-r));
    return nvl_output_write(root, path, text, changed, err);
}

static bool is_rival(const struct nvl_root *root, const char *path)
{
    nvl_autofree char *text = NULL;
    size_t len;

    return (nvl_has_suffix(path, ".json") || nvl_has_suffix(path, ".yaml")) &&
           nvl_root_read(root, path, FILE_SIZE_MAX, &text, &len) == 0 &&
           memmem(text, len, NVL_CDI_KIND, strlen(NVL_CDI_KIND)) != NULL;
}

void nvl_cdi_rivals(const struct nvl_root *root, const char *path, struct nvl_strv *warnings)
{
    static const char *const folders[] = {NVL_CDI_FOLDER, "/run/cdi"};

    for (size_t f = 0; f < NVL_LENGTH(folders); f++) {
        nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
        nvl_root_list(root, folders[f], &names);
        for (size_t i = 0; i < names.count; i++) {
            nvl_autofree char *other = nvl_xasprintf("%s/%s", folders[f], names.items[i]);
            if (strcmp(other, path) != 0 && is_rival(root, other))
                nvl_strv_pushf(
                    warnings,
                    "%s also describes " NVL_CDI_KIND
                    ": if both files name a device, engines use the one in /run/cdi, and neither if "
                    "they share a folder; remove the file that you do not want",
                    other);
        }
    }
}

/* Keeps the capabilities of the old file. */
static int write_anew(const struct nvl_root *root, const char *capabilities, bool dry_run,
                      struct nvl_cdi_update *update, struct nvl_error *err)
{
    struct nvl_cdi nvl_auto(nvl_cdi_clear) cdi = {0};
    nvl_auto(nvl_strv_clear) struct nvl_strv warnings = {0};
    struct nvl_error why = {0};

    if (nvl_cdi_of_host(root, capabilities, &cdi, &warnings, &why) < 0) {
        update->left_because = nvl_xstrdup(why.message);
        return 0;
    }
    nvl_autofree char *text = nvl_cdi_text(&cdi);
    if (dry_run) {
        update->changed = !nvl_output_has(root, NVL_CDI_FILE, text);
        return 0;
    }
    return nvl_cdi_write(root, NVL_CDI_FILE, text, &update->changed, err);
}

int nvl_cdi_update(const struct nvl_root *root, const struct nvl_driver_version *loaded, bool dry_run,
                   struct nvl_cdi_update *update, struct nvl_error *err)
{
    nvl_autofree char *old = NULL;
    size_t len;

    *update = (struct nvl_cdi_update){0};
    if (nvl_root_read(root, NVL_CDI_FILE, FILE_SIZE_MAX, &old, &len) < 0)
        return 0;
    nvl_autofree char *capabilities = nvl_cdi_read_own(old, len, NVL_ENV_CAPABILITIES);
    /* without a driver, or as long as a dry run only promises its bundle, there is nothing to put in it */
    if (capabilities == NULL || loaded->version[0] == '\0' ||
        (dry_run && !nvl_bundle_is_present(root, loaded->version)))
        return 0;
    update->is_ours = true;
    return write_anew(root, capabilities, dry_run, update, err);
}

void nvl_cdi_update_clear(struct nvl_cdi_update *update)
{
    free(update->left_because);
    *update = (struct nvl_cdi_update){0};
}
