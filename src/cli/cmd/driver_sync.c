/* nvlxc driver sync: bundles, the loaded driver's firmware, and the host's CDI specification. */
#include "cli/cmd/driver_sync.h"

#include <errno.h>

#include "base/paths.h"
#include "bundle/build.h"
#include "bundle/firmware.h"
#include "cdi/format.h"
#include "cdi/host_file.h"
#include "cli/bundle_step.h"
#include "cli/json.h"
#include "driver/advice.h"
#include "host/gpu_reason.h"

const struct nvl_bundle *nvl_drivers_find(const struct nvl_drivers *d, const char *version)
{
    for (size_t i = 0; i < d->bundles.count; i++)
        if (strcmp(d->bundles.items[i].version, version) == 0)
            return &d->bundles.items[i];
    return NULL;
}

static void say_synced(const struct nvl_drivers *d, const char *version, const struct nvl_sync_result *result)
{
    bool is_new = nvl_drivers_find(d, version) == NULL;
    const char *did = !result->changed ? "is up to date"
                      : d->dry_run     ? (is_new ? "would be built" : "would be brought up to date")
                                       : (is_new ? "built" : "brought up to date");
    char size[32];

    nvl_format_size(result->bytes, size, sizeof size);
    nvl_say_fact(d->ctx, "", "%s: %s (%zu files, %s)", version, did, result->n_files, size);
    nvl_auto(nvl_strv_clear) struct nvl_strv missing = {0};
    nvl_missing_lines(&d->ctx->root, &d->userspace, &result->selection.missing, NVL_CAP_ALL, &missing);
    for (size_t i = 0; i < missing.count; i++)
        nvl_say_fact(d->ctx, "  ", "%s", missing.items[i]);
    if (result->selection.unlisted.count > 0) {
        nvl_autofree char *names = nvl_strv_join(&result->selection.unlisted, ", ");
        nvl_say_fact(d->ctx, "  ", "included, though this nvlxc does not know what for: %s", names);
    }
}

static json_t *json_synced(const struct nvl_drivers *d, const char *version,
                           const struct nvl_sync_result *result)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv lines = {0};
    json_t *missing = json_array();

    nvl_missing_lines(&d->ctx->root, &d->userspace, &result->selection.missing, NVL_CAP_ALL, &lines);
    for (size_t i = 0; i < lines.count; i++)
        json_array_append_new(missing, json_string(lines.items[i]));
    return json_pack("{s:s, s:b, s:I, s:I, s:o, s:o}", "version", version, "changed", (int)result->changed,
                     "files", (json_int_t)result->n_files, "bytes", (json_int_t)result->bytes, "missing",
                     missing, "unlisted", nvl_json_strings(&result->selection.unlisted));
}

/* For a version whose files the host no longer has: what matters is whether its bundle was built in time. */
static int keep_bundle(const struct nvl_drivers *d, const char *version, json_t *synced,
                       struct nvl_error *err)
{
    const struct nvl_bundle *bundle = nvl_drivers_find(d, version);
    bool is_loaded = d->loaded.loaded && strcmp(d->loaded.version, version) == 0;
    nvl_autofree char *installed =
        d->userspace.versions.count > 0 ? nvl_strv_join(&d->userspace.versions, ", ") : nvl_xstrdup("none");

    if (bundle != NULL && bundle->complete) {
        struct nvl_sync_result as_is = {.n_files = bundle->n_files, .bytes = bundle->bytes};
        nvl_say_fact(d->ctx, "", "%s: kept as it is; its files are no longer installed on the host", version);
        json_array_append_new(synced, json_synced(d, version, &as_is));
        return 0;
    }
    nvl_error_host(err, -ENOENT, "%s %s, but its user-space files are not installed (installed: %s)",
                   is_loaded ? "the loaded kernel module is" : "a bundle was requested for driver", version,
                   installed);
    if (is_loaded && d->userspace.versions.count > 0)
        nvl_error_hint(err, "to load driver %s: reboot\nor install the user-space files of %s",
                       d->userspace.versions.items[0], version);
    else
        nvl_error_hint(
            err, "how to install the user-space files of %s: nvlxc doctor\nthen: nvlxc driver sync", version);
    return -ENOENT;
}

static int sync_one(struct nvl_drivers *d, const char *version, json_t *synced, struct nvl_error *err)
{
    struct nvl_sync_result nvl_auto(nvl_sync_result_clear) result = {0};

    if (!nvl_strv_contains(&d->userspace.versions, version) &&
        !nvl_strv_contains(&d->userspace.remnants, version))
        return keep_bundle(d, version, synced, err);
    int r = nvl_sync_shown(d->ctx, &d->userspace, version, d->dry_run, &result, err);
    if (r < 0)
        return nvl_error_prefix(err, "%s", version);
    say_synced(d, version, &result);
    json_array_append_new(synced, json_synced(d, version, &result));
    return 0;
}

/* The loaded driver comes first: containers need its bundle now. */
static void wanted_versions(const struct nvl_drivers *d, struct nvl_strv *versions)
{
    if (d->loaded.version[0] != '\0')
        nvl_strv_push(versions, d->loaded.version);
    for (size_t i = 0; i < d->userspace.versions.count; i++)
        nvl_strv_push_once(versions, d->userspace.versions.items[i]);
}

static void say_firmware(const struct nvl_context *ctx, const char *version, bool dry_run,
                         const struct nvl_firmware_result *result)
{
    const char *would = dry_run ? "would be " : "";
    char size[16];

    nvl_format_size(result->bytes, size, sizeof size);
    if (result->n_placed > 0)
        nvl_say_fact(ctx, "",
                     "%s: its firmware %splaced in " NVL_FIRMWARE_UPDATES
                     "/%s until the reboot: the upgrade removed it",
                     version, dry_run ? "would be " : "is ", version);
    else if (result->is_placed)
        nvl_say_fact(ctx, "", "%s: its firmware is in " NVL_FIRMWARE_UPDATES "/%s until the reboot", version,
                     version);
    else if (result->n_kept > 0)
        nvl_say_fact(ctx, "", "%s: its firmware %skept (%zu file%s, %s)%s", version, would, result->n_files,
                     result->n_files == 1 ? "" : "s", size,
                     result->n_removed > 0 ? ", and the copy for the kernel removed" : "");
    else if (result->n_removed > 0)
        nvl_say_fact(ctx, "",
                     "firmware that the kernel no longer needs: %sremoved from " NVL_FIRMWARE_UPDATES, would);
}

/* The loaded driver may ask for its firmware again, so it is kept, placed where the kernel looks while an
 * upgrade is pending, and removed afterwards. *json stays as it is if there is no firmware. */
static int sync_firmware(const struct nvl_drivers *d, json_t **json, struct nvl_error *err)
{
    struct nvl_firmware_result result;
    const char *version = d->loaded.version;

    int r = nvl_firmware_sync(&d->ctx->root, version, d->dry_run, &result, err);
    if (r < 0)
        return nvl_error_prefix(err, "%s: its firmware", version);
    say_firmware(d->ctx, version, d->dry_run, &result);
    if (result.n_files + result.n_removed > 0)
        *json = json_pack("{s:s, s:I, s:I, s:b, s:b}", "version", version, "files",
                          (json_int_t)result.n_files, "bytes", (json_int_t)result.bytes, "changed",
                          (int)(result.n_kept + result.n_placed + result.n_removed > 0), "lent",
                          (int)result.is_placed);
    return 0;
}

/* *json stays as it is if there is no file of nvlxc's, or if it is left alone. */
static int sync_cdi(const struct nvl_drivers *d, json_t **json, struct nvl_error *err)
{
    nvl_auto(nvl_cdi_update_clear) struct nvl_cdi_update update = {0};

    int r = nvl_cdi_update(&d->ctx->root, &d->loaded, d->dry_run, &update, err);
    if (r < 0)
        return r;
    if (update.left_because != NULL) /* not a failure of the bundles: at boot, prune must follow */
        nvl_warn("%s was not updated: %s", NVL_CDI_FILE, update.left_because);
    if (update.changed)
        nvl_say(d->ctx, "%s: %s", NVL_CDI_FILE,
                d->dry_run ? "would be brought up to date" : "brought up to date");
    if (update.is_ours && update.left_because == NULL)
        *json = json_pack("{s:s, s:b}", "path", NVL_CDI_FILE, "changed", (int)update.changed);
    return 0;
}

/* The program reports the first error; later ones are printed immediately. */
static void gather_error(int r, const struct nvl_error *one, int *failed, struct nvl_error *err)
{
    if (r >= 0)
        return;
    if (*failed < 0) {
        nvl_warn("%s", one->message);
        return;
    }
    *failed = r;
    *err = *one;
}

/* What an older installation left is no driver of this host, and the next boot does not load it. */
static void say_remnants(const struct nvl_drivers *d)
{
    const struct nvl_userspace *us = &d->userspace;

    for (size_t r = 0; r < us->remnants.count; r++) {
        nvl_auto(nvl_strv_clear) struct nvl_strv folders = {0};
        for (size_t i = 0; i < us->n_dirs; i++)
            if (strcmp(us->dirs[i].version, us->remnants.items[r]) == 0)
                nvl_strv_push_once(&folders, us->dirs[i].path);
        nvl_autofree char *list = nvl_strv_join(&folders, ", ");
        nvl_say_fact(
            d->ctx, "",
            "%s: left out; its libraries are in %s, but no kernel module of that version is installed: an "
            "earlier installation left them",
            us->remnants.items[r], list);
    }
}

static int sync_all(struct nvl_drivers *d, const struct nvl_strv *wanted, struct nvl_error *err)
{
    json_t *synced = json_array(), *firmware = json_null(), *cdi = json_null();
    int failed = 0, last = 0;

    /* the firmware first: after an upgrade no GPU can initialize until it is there */
    if (d->loaded.version[0] != '\0' && nvl_strv_contains(wanted, d->loaded.version)) {
        struct nvl_error one = {0};
        last = sync_firmware(d, &firmware, &one);
        gather_error(last, &one, &failed, err);
    }
    /* whoever holds the lock of the bundles was waited for: once is enough */
    for (size_t i = 0; i < wanted->count && last != -EAGAIN; i++) {
        struct nvl_error one = {0};
        last = sync_one(d, wanted->items[i], synced, &one);
        gather_error(last, &one, &failed, err);
    }
    say_remnants(d);
    struct nvl_error of_cdi = {0};
    gather_error(sync_cdi(d, &cdi, &of_cdi), &of_cdi, &failed, err);
    json_t *json =
        json_pack("{s:b, s:o, s:o, s:o, s:o, s:o}", "dry_run", (int)d->dry_run, "synced", synced, "firmware",
                  firmware, "cdi_file", cdi, "from", nvl_json_string(d->userspace.from), "remnants",
                  nvl_json_strings(&d->userspace.remnants));
    if (d->ctx->json)
        nvl_print_json(json);
    else
        json_decref(json);
    return failed;
}

int nvl_driver_sync(struct nvl_drivers *d, const struct nvl_strv *asked, struct nvl_error *err)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv wanted = {0};

    if (asked->count > 0)
        return sync_all(d, asked, err);
    wanted_versions(d, &wanted);
    if (wanted.count > 0 || d->if_present)
        return sync_all(d, &wanted, err);
    int r = nvl_gpu_refuse_tegra(&d->ctx->root, err);
    if (r < 0)
        return r;
    nvl_error_host(err, -ENODEV,
                   "no NVIDIA driver on this host: no kernel module is loaded, no user-space is installed");
    nvl_error_hint(err, "install the driver, then: nvlxc driver sync\nif its files are in a folder of their "
                        "own: nvlxc driver sync --from FOLDER");
    return -ENODEV;
}
