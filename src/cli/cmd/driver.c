/* nvlxc driver list|sync|prune: the driver bundles that containers get. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "driver/advice.h"
#include "base/paths.h"
#include "bundle/build.h"
#include "bundle/firmware.h"
#include "bundle/list.h"
#include "cdi/format.h"
#include "cdi/host_file.h"
#include "cli/bundle_step.h"
#include "host/userspace.h"
#include "cli/table.h"

struct driver_values {
    bool dry_run, if_present;
};

static const struct nvl_option driver_options[] = {
    {"--dry-run", NULL, "sync, prune: show what would change, change nothing", NVL_OPTION_FLAG,
     offsetof(struct driver_values, dry_run)},
    {"--if-present", NULL, "sync: succeed if no driver is installed", NVL_OPTION_FLAG,
     offsetof(struct driver_values, if_present)},
    {0},
};

/* The host's drivers and bundles, for all three verbs. */
struct drivers {
    struct nvl_context *ctx;
    bool dry_run, if_present;
    struct nvl_driver_version loaded;
    struct nvl_userspace userspace;
    struct nvl_bundles bundles;
};

static void drivers_clear(struct drivers *d)
{
    nvl_userspace_clear(&d->userspace);
    nvl_bundles_clear(&d->bundles);
}

static int drivers_read(struct drivers *d, struct nvl_error *err)
{
    int r = nvl_driver_version_read(&d->ctx->root, &d->loaded, err);

    if (r == 0)
        r = nvl_userspace_read(&d->ctx->root, &d->userspace, err);
    if (r == 0)
        r = nvl_bundles_list(&d->ctx->root, &d->loaded, &d->userspace, &d->bundles, err);
    return r;
}

static const struct nvl_bundle *find_listed_bundle(const struct drivers *d, const char *version)
{
    for (size_t i = 0; i < d->bundles.count; i++)
        if (strcmp(d->bundles.items[i].version, version) == 0)
            return &d->bundles.items[i];
    return NULL;
}

/* "loaded, in use by 2"; "" for a bundle that nothing needs. */
static char *state_of(const struct nvl_bundle *bundle)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};

    if (!bundle->complete)
        nvl_strv_push(&words, "incomplete");
    if (bundle->loaded)
        nvl_strv_push(&words, "loaded");
    if (bundle->pending)
        nvl_strv_push(&words, "pending");
    if (bundle->in_use > 0)
        nvl_strv_pushf(&words, "in use by %zu", bundle->in_use);
    return nvl_strv_join(&words, ", ");
}

static int print_bundles_json(const struct drivers *d)
{
    json_t *array = json_array();

    for (size_t i = 0; i < d->bundles.count; i++) {
        const struct nvl_bundle *b = &d->bundles.items[i];
        json_array_append_new(
            array, json_pack("{s:s, s:o, s:o, s:b, s:b, s:b, s:I}", "version", b->version, "bytes",
                             b->complete ? json_integer((json_int_t)b->bytes) : json_null(), "files",
                             b->complete ? json_integer((json_int_t)b->n_files) : json_null(), "complete",
                             (int)b->complete, "loaded", (int)b->loaded, "pending", (int)b->pending, "in_use",
                             (json_int_t)b->in_use));
    }
    return nvl_print_json(
        json_pack("{s:o, s:o}", "bundles", array, "loaded", nvl_json_string(d->loaded.version)));
}

static int run_driver_list(const struct drivers *d)
{
    static const char *const columns[] = {"VERSION", "SIZE", "FILES", "STATE", NULL};

    if (d->ctx->json)
        return print_bundles_json(d);
    if (d->bundles.count == 0) {
        nvl_say(d->ctx, "no driver bundle (`nvlxc driver sync` builds it)");
        return NVL_EXIT_OK;
    }
    struct nvl_table *table = nvl_table_new(columns);
    for (size_t i = 0; i < d->bundles.count; i++) {
        const struct nvl_bundle *b = &d->bundles.items[i];
        char size[32];
        nvl_format_size(b->bytes, size, sizeof size);
        nvl_autofree char *files = nvl_xasprintf("%zu", b->n_files), *state = state_of(b);
        const char *const cells[] = {b->version, b->complete ? size : NULL, b->complete ? files : NULL,
                                     state[0] != '\0' ? state : NULL};
        nvl_table_row(table, cells);
    }
    if (!d->ctx->quiet)
        nvl_table_print(table, stdout);
    nvl_table_free(table);
    return NVL_EXIT_OK;
}

static void say_synced(const struct drivers *d, const char *version, const struct nvl_sync_result *result)
{
    bool is_new = find_listed_bundle(d, version) == NULL;
    const char *did = !result->changed ? "is up to date"
                      : d->dry_run     ? (is_new ? "would be built" : "would be brought up to date")
                                       : (is_new ? "built" : "brought up to date");
    char size[32];

    nvl_format_size(result->bytes, size, sizeof size);
    nvl_say(d->ctx, "%s: %s (%zu files, %s)", version, did, result->n_files, size);
    nvl_auto(nvl_strv_clear) struct nvl_strv missing = {0};
    nvl_missing_lines(&d->ctx->root, &d->userspace, &result->missing, NVL_CAP_ALL, &missing);
    for (size_t i = 0; i < missing.count; i++)
        nvl_say(d->ctx, "  %s", missing.items[i]);
}

static json_t *json_synced(const struct drivers *d, const char *version, const struct nvl_sync_result *result)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv lines = {0};
    json_t *missing = json_array();

    nvl_missing_lines(&d->ctx->root, &d->userspace, &result->missing, NVL_CAP_ALL, &lines);
    for (size_t i = 0; i < lines.count; i++)
        json_array_append_new(missing, json_string(lines.items[i]));
    return json_pack("{s:s, s:b, s:I, s:I, s:o}", "version", version, "changed", (int)result->changed,
                     "files", (json_int_t)result->n_files, "bytes", (json_int_t)result->bytes, "missing",
                     missing);
}

/* For a version whose files the host no longer has: what matters is whether its bundle was built in time. */
static int keep_bundle(const struct drivers *d, const char *version, json_t *synced, struct nvl_error *err)
{
    const struct nvl_bundle *bundle = find_listed_bundle(d, version);
    bool is_loaded = d->loaded.loaded && strcmp(d->loaded.version, version) == 0;
    nvl_autofree char *installed =
        d->userspace.versions.count > 0 ? nvl_strv_join(&d->userspace.versions, ", ") : nvl_xstrdup("none");

    if (bundle != NULL && bundle->complete) {
        struct nvl_sync_result as_is = {.n_files = bundle->n_files, .bytes = bundle->bytes};
        nvl_say(d->ctx, "%s: kept as it is; its files are no longer installed on the host", version);
        json_array_append_new(synced, json_synced(d, version, &as_is));
        return 0;
    }
    nvl_error_host(err, -ENOENT, "%s %s, but its user-space files are not installed (installed: %s)",
                   is_loaded ? "the loaded kernel module is" : "a bundle was requested for driver", version,
                   installed);
    if (is_loaded && d->userspace.versions.count > 0)
        nvl_error_hint(err, "reboot to load driver %s, or install the user-space files of %s",
                       d->userspace.versions.items[0], version);
    else
        nvl_error_hint(err,
                       "install the user-space files of %s (nvlxc doctor says how), then: nvlxc driver sync",
                       version);
    return -ENOENT;
}

static int sync_one(struct drivers *d, const char *version, json_t *synced, struct nvl_error *err)
{
    struct nvl_sync_result nvl_auto(nvl_sync_result_clear) result = {0};

    if (!nvl_strv_contains(&d->userspace.versions, version))
        return keep_bundle(d, version, synced, err);
    int r = nvl_sync_shown(d->ctx, &d->userspace, version, d->dry_run, &result, err);
    if (r < 0)
        return nvl_error_prefix(err, "%s", version);
    say_synced(d, version, &result);
    json_array_append_new(synced, json_synced(d, version, &result));
    return 0;
}

/* The loaded driver comes first: containers need its bundle now. */
static void wanted_versions(const struct drivers *d, struct nvl_strv *versions)
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
        nvl_say(ctx,
                "%s: its firmware %splaced in " NVL_FIRMWARE_UPDATES
                "/%s until the reboot: the upgrade removed it",
                version, dry_run ? "would be " : "is ", version);
    else if (result->is_placed)
        nvl_say(ctx, "%s: its firmware is in " NVL_FIRMWARE_UPDATES "/%s until the reboot", version, version);
    else if (result->n_kept > 0)
        nvl_say(ctx, "%s: its firmware %skept (%zu files, %s)%s", version, would, result->n_files, size,
                result->n_removed > 0 ? ", and the copy for the kernel removed" : "");
    else if (result->n_removed > 0)
        nvl_say(ctx, "firmware that the kernel no longer needs: %sremoved from " NVL_FIRMWARE_UPDATES, would);
}

/* The loaded driver may ask for its firmware again, so it is kept, placed where the kernel looks while an
 * upgrade is pending, and removed afterwards. *json stays as it is if there is no firmware. */
static int sync_firmware(const struct drivers *d, json_t **json, struct nvl_error *err)
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
static int sync_cdi(const struct drivers *d, json_t **json, struct nvl_error *err)
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

static int sync_all(struct drivers *d, const struct nvl_strv *wanted, struct nvl_error *err)
{
    json_t *synced = json_array(), *firmware = json_null(), *cdi = json_null();
    int failed = 0;

    /* the firmware first: after an upgrade no GPU can initialize until it is there */
    if (d->loaded.version[0] != '\0' && nvl_strv_contains(wanted, d->loaded.version)) {
        struct nvl_error one = {0};
        gather_error(sync_firmware(d, &firmware, &one), &one, &failed, err);
    }
    for (size_t i = 0; i < wanted->count; i++) {
        struct nvl_error one = {0};
        gather_error(sync_one(d, wanted->items[i], synced, &one), &one, &failed, err);
    }
    struct nvl_error of_cdi = {0};
    gather_error(sync_cdi(d, &cdi, &of_cdi), &of_cdi, &failed, err);
    json_t *json = json_pack("{s:b, s:o, s:o, s:o}", "dry_run", (int)d->dry_run, "synced", synced, "firmware",
                             firmware, "cdi", cdi);
    if (d->ctx->json)
        nvl_print_json(json);
    else
        json_decref(json);
    return failed;
}

static int run_sync(struct drivers *d, const struct nvl_strv *asked, struct nvl_error *err)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv wanted = {0};

    if (asked->count > 0)
        return sync_all(d, asked, err);
    wanted_versions(d, &wanted);
    if (wanted.count > 0 || d->if_present)
        return sync_all(d, &wanted, err);
    nvl_error_host(err, -ENODEV,
                   "no NVIDIA driver on this host: no kernel module is loaded, no user-space is installed");
    nvl_error_hint(err, "install the driver, then: nvlxc driver sync");
    return -ENODEV;
}

static int prune_one(const struct drivers *d, const struct nvl_bundle *bundle, json_t *removed,
                     struct nvl_error *err)
{
    char size[32];

    if (!d->dry_run) {
        int r = nvl_bundle_remove(&d->ctx->root, bundle, err);
        if (r < 0)
            return r;
    }
    nvl_format_size(bundle->bytes, size, sizeof size);
    nvl_say(d->ctx, "%s: %s (%s)", bundle->version, d->dry_run ? "would be removed" : "removed", size);
    json_array_append_new(removed, json_string(bundle->version));
    return 0;
}

/* What is needed stays; requested by its version, that is an error. */
static int prune_or_keep(const struct drivers *d, const struct nvl_bundle *bundle, bool is_asked,
                         json_t *removed, json_t *kept, struct nvl_error *err)
{
    if (!bundle->loaded && !bundle->pending && bundle->in_use == 0)
        return prune_one(d, bundle, removed, err);
    nvl_autofree char *state = state_of(bundle);
    if (is_asked)
        return nvl_error_set(err, -EBUSY, "the driver bundle %s is kept: it is %s", bundle->version, state);
    nvl_say(d->ctx, "%s: kept (%s)", bundle->version, state);
    json_array_append_new(kept, json_pack("{s:s, s:s}", "version", bundle->version, "why", state));
    return 0;
}

static int prune_all(const struct drivers *d, const struct nvl_strv *asked, json_t *removed, json_t *kept,
                     struct nvl_error *err)
{
    for (size_t i = 0; i < asked->count; i++)
        if (find_listed_bundle(d, asked->items[i]) == NULL) {
            nvl_error_set(err, -ENOENT, "no driver bundle %s in %s", asked->items[i], NVL_BUNDLE_DIR);
            nvl_error_hint(err, "`nvlxc driver list` shows the bundles");
            return -ENOENT;
        }
    for (size_t i = 0; i < d->bundles.count; i++) {
        const struct nvl_bundle *bundle = &d->bundles.items[i];
        bool is_asked = nvl_strv_contains(asked, bundle->version);
        if (asked->count > 0 && !is_asked)
            continue;
        int r = prune_or_keep(d, bundle, is_asked, removed, kept, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int run_prune(const struct drivers *d, const struct nvl_strv *asked, struct nvl_error *err)
{
    json_t *removed = json_array(), *kept = json_array();

    int r = prune_all(d, asked, removed, kept, err);
    if (r == 0 && json_array_size(removed) + json_array_size(kept) == 0)
        nvl_say(d->ctx, "no driver bundles");
    json_t *json = json_pack("{s:b, s:o, s:o}", "dry_run", (int)d->dry_run, "removed", removed, "kept", kept);
    if (d->ctx->json)
        nvl_print_json(json);
    else
        json_decref(json);
    return r;
}

static int check_line(const struct nvl_strv *arguments, const struct driver_values *values,
                      struct nvl_error *err)
{
    const char *verb = arguments->items[0];
    bool is_list = strcmp(verb, "list") == 0;

    if (!is_list && strcmp(verb, "sync") != 0 && strcmp(verb, "prune") != 0)
        return nvl_error_usage(err, "driver: unknown word '%s': list, sync or prune", verb);
    if (is_list && arguments->count > 1)
        return nvl_error_usage(err, "driver list: unexpected argument '%s'", arguments->items[1]);
    if (is_list && values->dry_run)
        return nvl_error_usage(err, "driver list: --dry-run works only with sync and prune");
    if (values->if_present && strcmp(verb, "sync") != 0)
        return nvl_error_usage(err, "driver %s: --if-present works only with sync", verb);
    for (size_t i = 1; i < arguments->count; i++)
        if (!nvl_is_version(arguments->items[i], strlen(arguments->items[i])) ||
            strlen(arguments->items[i]) >= NVL_VERSION_MAX)
            return nvl_error_usage(err, "driver %s: '%s' is not a driver version like 550.163.01", verb,
                                   arguments->items[i]);
    return 0;
}

static int run_driver(struct nvl_context *ctx, const struct nvl_strv *arguments, void *data,
                      struct nvl_error *err)
{
    const struct driver_values *values = data;
    nvl_auto(drivers_clear) struct drivers d = {
        .ctx = ctx, .dry_run = values->dry_run, .if_present = values->if_present};
    const char *verb = arguments->items[0];

    int r = check_line(arguments, values, err);
    if (r < 0)
        return r;
    if (strcmp(verb, "list") != 0 && !values->dry_run && nvl_root_is_machine(&ctx->root) && geteuid() != 0) {
        nvl_error_host(err, -EPERM, "driver %s must run as root: it writes to %s", verb, NVL_BUNDLE_DIR);
        nvl_error_hint(err, "sudo nvlxc driver %s", verb);
        return -EPERM;
    }
    r = drivers_read(&d, err);
    if (r < 0)
        return r;
    struct nvl_strv versions = {arguments->items + 1, arguments->count - 1};
    if (strcmp(verb, "sync") == 0)
        return run_sync(&d, &versions, err);
    nvl_bundles_count_users(&ctx->root, &d.bundles);
    return strcmp(verb, "list") == 0 ? run_driver_list(&d) : run_prune(&d, &versions, err);
}

const struct nvl_command nvl_cmd_driver = {
    .name = "driver",
    .arguments = "list|sync|prune [VERSION]...",
    .summary = "list, build and remove driver bundles",
    .details = "list   shows the bundles in " NVL_BUNDLE_DIR ", which containers get.\n"
               "sync   builds or updates the bundle of the loaded driver and of every other\n"
               "       installed one, or of the given versions. It also keeps the loaded\n"
               "       driver's GSP firmware: if an upgrade removes it, the kernel finds it in\n"
               "       /lib/firmware/updates until the reboot.\n"
               "prune  removes bundles that are neither loaded, nor pending (installed for the\n"
               "       next boot), nor in use by a running container.",
    .min_arguments = 1,
    .max_arguments = 16,
    .options = driver_options,
    .values_size = sizeof(struct driver_values),
    .run = run_driver,
};
