/* nvlxc cdi: a CDI specification for container engines, for the host or for a container's grant. */
#include <errno.h>
#include <stdio.h>

#include "base/paths.h"
#include "cdi/make.h"
#include "cdi/host_file.h"
#include "cli/command.h"
#include "cli/globals.h"
#include "base/output_file.h"

struct cdi_values {
    const char *capabilities, *output;
};

static const struct nvl_option cdi_options[] = {
    {"--capabilities", "LIST", "without CT: what the containers may do", NVL_OPTION_STRING,
     offsetof(struct cdi_values, capabilities), .default_value = "compute,utility",
     .values = nvl_capability_values, .has_commas = true},
    {"--output", "FILE", "replace FILE with it; engines read " NVL_CDI_FOLDER, NVL_OPTION_STRING,
     offsetof(struct cdi_values, output), .values = "@files"},
    {0},
};

static int write_output(const struct nvl_context *ctx, const char *path, const struct nvl_cdi *cdi,
                        struct nvl_error *err)
{
    nvl_autofree char *text = nvl_cdi_text(cdi);
    bool changed;

    int r = nvl_cdi_write(&ctx->root, path, text, &changed, err);
    if (r < 0)
        return r;
    if (ctx->json) {
        json_t *names = json_array();
        for (size_t i = 0; i < cdi->n_devices; i++)
            json_array_append_new(names, json_string(cdi->devices[i].name));
        return nvl_print_json(
            json_pack("{s:s, s:b, s:o}", "path", path, "changed", (int)changed, "devices", names));
    }
    nvl_say_fact(ctx, "", "%s: %s; %zu devices, the first is %s=%s", path, changed ? "written" : "up to date",
                 cdi->n_devices, NVL_CDI_KIND, cdi->devices[0].name);
    return NVL_EXIT_OK;
}

static int run_cdi(struct nvl_context *ctx, const struct nvl_strv *arguments, void *data,
                   struct nvl_error *err)
{
    const struct cdi_values *values = data;
    nvl_auto(nvl_strv_clear) struct nvl_strv warnings = {0};
    struct nvl_cdi nvl_auto(nvl_cdi_clear) cdi = {0};
    nvl_autofree char *path = NULL;
    bool of_container = arguments->count > 0;

    if (of_container && values->capabilities != NULL)
        return nvl_error_usage(err, "cdi: --capabilities does not go with a container: its grant names them");
    int r = values->output != NULL ? nvl_output_path(&ctx->root, values->output, &path, err) : 0;
    if (r == 0)
        r = of_container ? nvl_cdi_of_container(&ctx->root, arguments->items[0], &cdi, &warnings, err)
                         : nvl_cdi_of_host(&ctx->root, values->capabilities, &cdi, &warnings, err);
    if (r == 0 && path != NULL)
        r = write_output(ctx, path, &cdi, err);
    if (r < 0)
        return r;
    if (path == NULL) {
        nvl_autofree char *text = nvl_cdi_text(&cdi);
        fputs(text, stdout);
    } else if (nvl_has_prefix(path, NVL_CDI_FOLDER "/")) {
        nvl_cdi_rivals(&ctx->root, path, &warnings);
    }
    nvl_warn_all(&warnings);
    return NVL_EXIT_OK;
}

static const struct nvl_example cdi_examples[] = {
    {"cdi", "the specification of this host, to look at"},
    {"cdi --output /etc/cdi/nvlxc.json", "for podman and Docker on this host"},
    {"cdi --capabilities compute,utility,video", "also for transcoding"},
    {"cdi 101 | pct exec 101 -- tee /etc/cdi/nvlxc.json", "for the engine inside CT 101, now"},
    {0},
};

const struct nvl_command nvl_cmd_cdi = {
    .name = "cdi",
    .arguments = "[CT]",
    .group = NVL_GROUP_PROGRAMS,
    .summary = "print a CDI specification for podman, Docker and CRI-O",
    .details = "Without CT the specification is for engines on this host: all its GPUs, and the\n"
               "bundle of the loaded driver. `driver sync` keeps " NVL_CDI_FILE " up to\n"
               "date through driver upgrades and changes of GPUs; it leaves other files alone.\n"
               "\n"
               "With CT it is for engines that run inside that container: what the grant gives,\n"
               "as the container sees it. It is valid until the grant changes.\n"
               "\n"
               "Devices are nvidia.com/gpu=0 (by index), =GPU-UUID, =0:1 and =MIG-GPU-UUID:GI:CI\n"
               "(MIG), and =all.",
    .examples = cdi_examples,
    .max_arguments = 1,
    .argument_values = "@granted",
    .options = cdi_options,
    .values_size = sizeof(struct cdi_values),
    .run = run_cdi,
};
