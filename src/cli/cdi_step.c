/* Specifications as files: written, and the host's kept true. */
#include "cli/cdi_step.h"

#include <errno.h>
#include <fcntl.h>

#include "cli/bundle_step.h"
#include "bundle/list.h"
#include "cdi/make.h"
#include "base/output_file.h"
#include "grant/grant.h"

#define FILE_SIZE_MAX (1u << 20)

static int make_folder(const struct nvl_root *root, const char *path)
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
    int r = make_folder(root, path);

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
                nvl_strv_pushf(warnings,
                               "%s describes " NVL_CDI_KIND
                               " too: where both name a device, engines take the one in /run/cdi, and in one "
                               "folder neither; remove the one that is not wanted",
                               other);
        }
    }
}

int nvl_cdi_step(const struct nvl_context *ctx, const struct nvl_driver_version *loaded, bool dry_run,
                 json_t **json, struct nvl_error *err)
{
    nvl_autofree char *old = NULL, *capabilities = NULL, *text = NULL;
    nvl_auto(nvl_strv_clear) struct nvl_strv warnings = {0};
    struct nvl_cdi nvl_auto(nvl_cdi_clear) cdi = {0};
    bool changed = false;
    size_t len;

    *json = json_null();
    if (nvl_root_read(&ctx->root, NVL_CDI_FILE, FILE_SIZE_MAX, &old, &len) < 0)
        return 0;
    capabilities = nvl_cdi_read_own(old, len, NVL_ENV_CAPABILITIES);
    /* without a driver, or as long as its bundle is only said to be built, there is nothing to put in it */
    if (capabilities == NULL || loaded->version[0] == '\0' ||
        (dry_run && !nvl_bundle_is_present(&ctx->root, loaded->version)))
        return 0;
    int r = nvl_cdi_of_host(&ctx->root, capabilities, &cdi, &warnings, err);
    if (r < 0) {
        /* no GPU is there now, say: that is not the bundles' failure, and prune shall follow at boot */
        nvl_warn("%s is left as it was: %s", NVL_CDI_FILE, err->message);
        *err = (struct nvl_error){0};
        return 0;
    }
    text = nvl_cdi_text(&cdi);
    if (dry_run)
        changed = !nvl_output_has(&ctx->root, NVL_CDI_FILE, text);
    else
        r = nvl_cdi_write(&ctx->root, NVL_CDI_FILE, text, &changed, err);
    if (r < 0)
        return r;
    if (changed)
        nvl_say(ctx, "%s: %s", NVL_CDI_FILE, dry_run ? "would be brought up to date" : "brought up to date");
    *json = json_pack("{s:s, s:b}", "path", NVL_CDI_FILE, "changed", (int)changed);
    return 0;
}
