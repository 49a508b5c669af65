/* nvlxc driver list|sync|prune: the driver bundles that containers get. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/output_file.h"
#include "base/paths.h"
#include "bundle/build.h"
#include "bundle/list.h"
#include "cli/cmd/driver_sync.h"
#include "cli/table.h"

struct driver_values {
    bool dry_run, if_present;
    const char *from;
};

static const struct nvl_option driver_options[] = {
    {"--dry-run", NULL, "sync, prune: show what would change, change nothing", NVL_OPTION_FLAG,
     offsetof(struct driver_values, dry_run)},
    {"--from", "FOLDER", "sync: look for the driver's files there, too, now and later; none forgets it",
     NVL_OPTION_STRING, offsetof(struct driver_values, from), .values = "@folders\nnone\tforget the folder"},
    {"--if-present", NULL, "sync: succeed if no driver is installed", NVL_OPTION_FLAG,
     offsetof(struct driver_values, if_present)},
    {0},
};

static void drivers_clear(struct nvl_drivers *d)
{
    nvl_userspace_clear(&d->userspace);
    nvl_bundles_clear(&d->bundles);
}

static int drivers_read(struct nvl_drivers *d, const char *from, struct nvl_error *err)
{
    int r = nvl_driver_version_read(&d->ctx->root, &d->loaded, err);

    if (r == 0)
        r = nvl_userspace_read_from(&d->ctx->root, from, &d->userspace, err);
    if (r == 0)
        r = nvl_bundles_list(&d->ctx->root, &d->loaded, &d->userspace, &d->bundles, err);
    return r;
}

/* The option's folder below the root; "" for none. */
static int folder_of_option(const struct nvl_context *ctx, const char *from, char **folder,
                            struct nvl_error *err)
{
    struct stat st;

    if (strcmp(from, "none") == 0) {
        *folder = nvl_xstrdup("");
        return 0;
    }
    int r = nvl_output_path(&ctx->root, from, folder, err);
    if (r < 0)
        return r;
    for (const char *c = *folder; *c != '\0'; c++)
        if (iscntrl((unsigned char)*c))
            return nvl_error_usage(err, "driver sync --from: a control character is in the folder's path");
    r = nvl_root_stat(&ctx->root, *folder, 0, &st);
    if (r == 0 && !S_ISDIR(st.st_mode))
        r = -ENOTDIR;
    return r < 0 ? nvl_error_errno(err, r, "driver sync --from %s%s", ctx->root.name, *folder) : 0;
}

/* Only a folder that has a driver is remembered: a mistake would stay unseen. */
static int take_folder(const struct nvl_drivers *d, const char *folder, struct nvl_error *err)
{
    bool has_driver = folder[0] == '\0';

    for (size_t i = 0; i < d->userspace.versions.count; i++)
        has_driver |= nvl_userspace_is_from(&d->userspace, d->userspace.versions.items[i]);
    if (!has_driver) {
        nvl_error_set(
            err, -ENOENT,
            "no driver in %s%s: neither libcuda.so.VERSION nor libnvidia-ml.so.VERSION is in it, or "
            "in lib64, lib or usr/lib64 below it",
            d->ctx->root.name, folder);
        nvl_error_hint(err, "give the folder that has libcuda.so.VERSION, or the one above its lib64");
        return -ENOENT;
    }
    return d->dry_run ? 0 : nvl_bundle_remember_folder(&d->ctx->root, folder, err);
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

static int print_bundles_json(const struct nvl_drivers *d)
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
    return nvl_print_json(json_pack("{s:o, s:o, s:o}", "driver", nvl_json_driver(&d->loaded), "bundles",
                                    array, "from", nvl_json_string(d->userspace.from)));
}

static void say_folder(const struct nvl_drivers *d)
{
    if (d->userspace.from != NULL)
        nvl_say_fact(d->ctx, "", "the driver's files are looked for in %s first (driver sync --from)%s",
                     d->userspace.from,
                     nvl_userspace_is_from(&d->userspace, NULL) ? "" : ", which has none now");
}

static int run_driver_list(const struct nvl_drivers *d)
{
    static const char *const columns[] = {"VERSION", "SIZE", "FILES", "STATE", NULL};

    if (d->ctx->json)
        return print_bundles_json(d);
    if (d->bundles.count == 0) {
        nvl_say_fact(d->ctx, "", "no driver bundle (`nvlxc driver sync` builds it)");
        say_folder(d);
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
        nvl_table_style(table, 3, !b->complete ? NVL_WRONG : b->loaded ? NVL_GOOD : NVL_PLAIN);
    }
    if (!d->ctx->quiet)
        nvl_table_print(table, stdout);
    nvl_table_free(table);
    say_folder(d);
    return NVL_EXIT_OK;
}

static int prune_one(const struct nvl_drivers *d, const struct nvl_bundle *bundle, json_t *removed,
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
static int prune_or_keep(const struct nvl_drivers *d, const struct nvl_bundle *bundle, bool is_asked,
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

static int prune_all(const struct nvl_drivers *d, const struct nvl_strv *asked, json_t *removed, json_t *kept,
                     struct nvl_error *err)
{
    for (size_t i = 0; i < asked->count; i++)
        if (nvl_drivers_find(d, asked->items[i]) == NULL) {
            nvl_error_set(err, -ENOENT, "no driver bundle %s in %s", asked->items[i], NVL_BUNDLE_DIR);
            nvl_error_hint(err, "which bundles there are: nvlxc driver list");
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

static int run_prune(const struct nvl_drivers *d, const struct nvl_strv *asked, struct nvl_error *err)
{
    json_t *removed = json_array(), *kept = json_array();

    int r = d->dry_run ? 0 : nvl_bundles_sweep(&d->ctx->root, err);
    if (r == 0)
        r = prune_all(d, asked, removed, kept, err);
    if (r == 0 && json_array_size(removed) + json_array_size(kept) == 0)
        nvl_say(d->ctx, "no driver bundles");
    json_t *json = json_pack("{s:b, s:o, s:o}", "dry_run", (int)d->dry_run, "removed", removed, "kept", kept);
    /* an error that came first is all there is to say */
    if (d->ctx->json && (r == 0 || json_array_size(removed) > 0))
        nvl_print_json(json);
    else
        json_decref(json);
    return r;
}

static const char *verb_of(const struct nvl_strv *arguments)
{
    return arguments->count > 0 ? arguments->items[0] : "list";
}

static int check_line(const struct nvl_strv *arguments, const struct driver_values *values,
                      struct nvl_error *err)
{
    const char *verb = verb_of(arguments);
    bool is_list = strcmp(verb, "list") == 0;

    if (!is_list && strcmp(verb, "sync") != 0 && strcmp(verb, "prune") != 0)
        return nvl_error_usage(err, "driver: unknown word '%s': list, sync or prune", verb);
    if (is_list && arguments->count > 1)
        return nvl_error_usage(err, "driver list: unexpected argument '%s'", arguments->items[1]);
    if (is_list && values->dry_run)
        return nvl_error_usage(err, "driver list: --dry-run works only with sync and prune");
    if (values->if_present && strcmp(verb, "sync") != 0)
        return nvl_error_usage(err, "driver %s: --if-present works only with sync", verb);
    if (values->from != NULL && strcmp(verb, "sync") != 0)
        return nvl_error_usage(err, "driver %s: --from works only with sync", verb);
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
    nvl_auto(drivers_clear) struct nvl_drivers d = {
        .ctx = ctx, .dry_run = values->dry_run, .if_present = values->if_present};
    const char *verb = verb_of(arguments);
    nvl_autofree char *folder = NULL;

    int r = check_line(arguments, values, err);
    if (r < 0)
        return r;
    if (strcmp(verb, "list") != 0 && !values->dry_run && nvl_root_is_machine(&ctx->root) && geteuid() != 0) {
        nvl_error_host(err, -EPERM, "driver %s must run as root: it writes to %s", verb, NVL_BUNDLE_DIR);
        nvl_error_hint(err, "sudo nvlxc driver %s", verb);
        return -EPERM;
    }
    if (values->from != NULL)
        r = folder_of_option(ctx, values->from, &folder, err);
    if (r == 0)
        r = drivers_read(&d, folder, err);
    if (r == 0 && folder != NULL)
        r = take_folder(&d, folder, err);
    if (r < 0)
        return r;
    struct nvl_strv versions = {arguments->items + 1, arguments->count - 1};
    if (strcmp(verb, "sync") == 0)
        return nvl_driver_sync(&d, &versions, err);
    nvl_bundles_count_users(&ctx->root, &d.bundles);
    return strcmp(verb, "list") == 0 ? run_driver_list(&d) : run_prune(&d, &versions, err);
}

static const struct nvl_example driver_examples[] = {
    {"driver", "the bundles, and which containers need them"},
    {"driver sync", "build what is missing, for example after an upgrade"},
    {"driver sync --from /opt/NVIDIA-Linux-x86_64-580.95.05", "a driver that lies in a folder of its own"},
    {"driver prune --dry-run", "which bundles nothing needs any more"},
    {0},
};

const struct nvl_command nvl_cmd_driver = {
    .name = "driver",
    .arguments = "[list|sync|prune] [VERSION]...",
    .group = NVL_GROUP_SETUP,
    .summary = "list, build and remove driver bundles",
    .details = "list   shows the bundles in " NVL_BUNDLE_DIR ", which containers get.\n"
               "sync   builds or updates the bundle of the loaded driver and of every other\n"
               "       installed one, or of the given versions. It also keeps the loaded\n"
               "       driver's GSP firmware: if an upgrade removes it, the kernel finds it in\n"
               "       /lib/firmware/updates until the reboot. For a driver in a folder of its\n"
               "       own, --from names that folder once: a prefix with lib64 in it, a folder\n"
               "       of libraries, or an extracted .run file.\n"
               "prune  removes bundles that are neither loaded, nor pending (installed for the\n"
               "       next boot), nor in use by a running container.",
    .examples = driver_examples,
    .max_arguments = 16,
    .argument_values = "list\tshow the bundles\n"
                       "sync\tbuild or update bundles\n"
                       "prune\tremove those that nothing needs\n"
                       "@versions",
    .options = driver_options,
    .values_size = sizeof(struct driver_values),
    .run = run_driver,
};
