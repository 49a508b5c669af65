/* nvlxc host: whether this host can give GPUs to containers, in a few lines. */
#include <errno.h>

#include "base/fix.h"
#include "cli/cluster.h"
#include "cli/cmd/host_setup.h"
#include "cli/command.h"
#include "cli/globals.h"
#include "doctor/check.h"
#include "cli/json.h"
#include "cli/ways.h"
#include "host/compat_table.h"
#include "host/gpu_reason.h"

#define SUBJECT       "%-9s  "
#define SUBJECT_WIDTH 11

static json_t *json_host_driver(const struct nvl_host_facts *facts)
{
    json_t *driver = nvl_json_driver(&facts->host.driver);

    json_object_set_new(driver, "installed_versions", nvl_json_strings(&facts->userspace.versions));
    json_object_set_new(driver, "from", nvl_json_string(facts->userspace.from));
    return driver;
}

static json_t *json_modules(const struct nvl_modules *m)
{
    return json_pack("{s:b,s:b,s:b,s:b,s:b,s:b,s:b}", "nvidia", (int)m->nvidia, "nvidia_uvm",
                     (int)m->nvidia_uvm, "nvidia_modeset", (int)m->nvidia_modeset, "nvidia_drm",
                     (int)m->nvidia_drm, "nouveau", (int)m->nouveau, "nova_core", (int)m->nova_core,
                     "vfio_pci", (int)m->vfio_pci);
}

static json_t *json_bundle(const struct nvl_host_facts *facts)
{
    const struct nvl_bundle *loaded = NULL;

    for (size_t i = 0; i < facts->bundles.count; i++)
        if (facts->bundles.items[i].loaded)
            loaded = &facts->bundles.items[i];
    return json_pack("{s:o,s:b,s:b}", "version", nvl_json_string(facts->host.driver.version), "exists",
                     (int)(loaded != NULL), "complete", (int)(loaded != NULL && loaded->complete));
}

static size_t count_gpus(const struct nvl_gpus *gpus)
{
    size_t n = 0;

    for (size_t i = 0; i < gpus->count; i++)
        n += nvl_gpu_state(&gpus->items[i]) != NVL_GPU_IS_VIRTUAL;
    return n;
}

static void print_host_json(const struct nvl_host_facts *facts, const struct nvl_findings *findings)
{
    nvl_print_json(json_pack("{s:o,s:o,s:o,s:o,s:o,s:o}", "driver", json_host_driver(facts), "gpus",
                             nvl_json_gpus(&facts->host.gpus), "modules", json_modules(&facts->modules),
                             "nodes", nvl_json_nodes(facts->nodes, facts->n_nodes), "bundle",
                             json_bundle(facts), "findings", nvl_json_findings(findings)));
}

static void add_gpu_lines(const struct nvl_gpus *gpus, struct nvl_strv *lines)
{
    for (size_t i = 0; i < gpus->count; i++) {
        const struct nvl_gpu *gpu = &gpus->items[i];
        nvl_auto(nvl_buf_clear) struct nvl_buf text = {0};
        if (nvl_gpu_state(gpu) == NVL_GPU_IS_VIRTUAL)
            continue;
        if (gpu->model[0] != '\0')
            nvl_buf_addf(&text, "%s %s", gpu->pci, gpu->model);
        else
            nvl_buf_addf(&text, "%s (10de:%04x)", gpu->pci, gpu->pci_device);
        if (gpu->driver_name[0] != '\0')
            nvl_buf_addf(&text, ", driven by %s", gpu->driver_name);
        else
            nvl_buf_addf(&text, ", without a driver");
        nvl_autofree char *remark = nvl_gpu_remark(gpu);
        if (remark != NULL)
            nvl_buf_addf(&text, ", %s", remark);
        if (gpu->mig_enabled)
            nvl_buf_addf(&text, ", %zu MIG device%s", gpu->n_migs, gpu->n_migs == 1 ? "" : "s");
        nvl_strv_pushf(lines, SUBJECT "%s", "GPU", text.data);
    }
}

static void add_driver_line(const struct nvl_host_facts *facts, struct nvl_strv *lines)
{
    nvl_autofree char *text = nvl_loaded_driver_text(&facts->host.driver);

    nvl_strv_pushf(lines, SUBJECT "%s", "driver", text);
}

static void add_library_lines(const struct nvl_host_facts *facts, struct nvl_strv *lines)
{
    nvl_autofree char *list = nvl_strv_join(&facts->userspace.versions, ", ");
    nvl_auto(nvl_strv_clear) struct nvl_strv bundles = {0};

    nvl_strv_pushf(lines, SUBJECT "%s", "libraries",
                   list[0] != '\0' ? list
                                   : "none found; if they are in a folder of their own: nvlxc driver sync "
                                     "--from FOLDER");
    if (facts->userspace.from != NULL)
        nvl_strv_pushf(lines, SUBJECT "%s%s (driver sync --from)", "folder", facts->userspace.from,
                       nvl_userspace_is_from(&facts->userspace, NULL) ? "" : ", which has no driver now");
    for (size_t i = 0; i < facts->bundles.count; i++)
        nvl_strv_push(&bundles, facts->bundles.items[i].version);
    nvl_autofree char *bundle_list = nvl_strv_join(&bundles, ", ");
    nvl_strv_pushf(lines, SUBJECT "%s", "bundles",
                   bundles.count > 0 ? bundle_list
                                     : "none; the first attach makes one, or nvlxc driver sync");
}

static void add_modules_line(const struct nvl_modules *m, struct nvl_strv *lines)
{
    const struct {
        bool loaded;
        const char *name;
    } modules[] = {
        {m->nvidia, "nvidia"},         {m->nvidia_uvm, "nvidia_uvm"}, {m->nvidia_modeset, "nvidia_modeset"},
        {m->nvidia_drm, "nvidia_drm"}, {m->nouveau, "nouveau"},       {m->nova_core, "nova_core"},
        {m->vfio_pci, "vfio_pci"},
    };
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    for (size_t i = 0; i < NVL_LENGTH(modules); i++)
        if (modules[i].loaded)
            nvl_strv_push(&names, modules[i].name);
    nvl_autofree char *list = nvl_strv_join(&names, ", ");
    if (names.count > 0)
        nvl_strv_pushf(lines, SUBJECT "%s", "modules", list);
}

static void add_nodes_line(const struct nvl_host_facts *facts, struct nvl_strv *lines)
{
    size_t well = 0;

    for (size_t i = 0; i < facts->n_nodes; i++)
        well += facts->nodes[i].state == NVL_NODE_OK;
    if (facts->n_nodes > 0)
        nvl_strv_pushf(lines, SUBJECT "%zu of %zu device nodes are as they should be", "nodes", well,
                       facts->n_nodes);
}

/* One line for each subject, "driver     550.163.01 (open), loaded"; none for what is absent. The checks say
 * what is wrong with it. */
static void add_status(const struct nvl_host_facts *facts, struct nvl_strv *lines)
{
    add_gpu_lines(&facts->host.gpus, lines);
    add_driver_line(facts, lines);
    if (facts->host.driver.loaded)
        add_library_lines(facts, lines);
    add_modules_line(&facts->modules, lines);
    add_nodes_line(facts, lines);
}

static void print_host_finding(const struct nvl_context *ctx, const struct nvl_finding *f)
{
    static const struct nvl_span firsts[] = {[NVL_SEVERITY_ERROR] = {NVL_WRONG, "problem    "},
                                             [NVL_SEVERITY_WARNING] = {NVL_CAREFUL, "problem    "},
                                             [NVL_SEVERITY_NOTE] = {NVL_FAINT, "note       "}};
    size_t pos = 0, line_len, len = f->fix != NULL ? strlen(f->fix) : 0;
    const char *line;

    nvl_say_spans(ctx, firsts[f->severity], (const struct nvl_span[]){{NVL_PLAIN, f->title}, {0}}, false);
    while (nvl_next_line(f->fix, len, &pos, &line, &line_len)) {
        nvl_autofree char *text = nvl_xstrndup(line, line_len);
        bool is_command = nvl_names_program(text, line_len);
        nvl_say_spans(ctx, (struct nvl_span){NVL_FAINT, "            do: "},
                      (const struct nvl_span[]){{is_command ? NVL_COMMAND : NVL_PLAIN, text}, {0}}, true);
    }
}

static void print_lines(const struct nvl_context *ctx, const struct nvl_host_facts *facts,
                        const struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv lines = {0};

    add_status(facts, &lines);
    for (size_t i = 0; i < lines.count; i++) {
        nvl_autofree char *subject = nvl_xasprintf("%.*s", SUBJECT_WIDTH, lines.items[i]);
        nvl_say_spans(ctx, (struct nvl_span){NVL_FAINT, subject},
                      (const struct nvl_span[]){{NVL_PLAIN, lines.items[i] + SUBJECT_WIDTH}, {0}}, true);
    }
    for (size_t i = 0; i < findings->count; i++)
        print_host_finding(ctx, &findings->items[i]);
}

static int show_host(struct nvl_context *ctx, struct nvl_error *err)
{
    nvl_auto(nvl_host_facts_clear) struct nvl_host_facts facts = {0};
    nvl_auto(nvl_findings_clear) struct nvl_findings findings = {0};
    size_t asked = 0;

    int r = nvl_host_facts_read(&facts, &ctx->root, NVL_FACTS_QUICK, err);
    if (r < 0)
        return r;
    nvl_check_host(&facts, &findings, &asked);
    nvl_findings_finish(&findings);
    if (ctx->json)
        print_host_json(&facts, &findings);
    else
        print_lines(ctx, &facts, &findings);
    if (count_gpus(&facts.host.gpus) == 0 || !facts.host.driver.loaded)
        return NVL_EXIT_HOST;
    return nvl_findings_are_notes(&findings) ? NVL_EXIT_OK : NVL_EXIT_FAILED;
}

static int show_drivers(struct nvl_context *ctx, struct nvl_error *err)
{
    nvl_auto(nvl_host_facts_clear) struct nvl_host_facts facts = {0};
    nvl_auto(nvl_driver_ways_clear) struct nvl_driver_ways ways = {0};

    int r = nvl_host_facts_read(&facts, &ctx->root, NVL_FACTS_ANEW, err);
    if (r == 0 && facts.support.n_kernels == 0)
        r = nvl_support_read(&ctx->root, &facts.support, err);
    if (r == 0 && facts.host.gpus.count == 0)
        r = nvl_gpu_refuse_tegra(&ctx->root, err); /* for which none of these drivers is */
    if (r < 0)
        return r;
    struct nvl_driver_need need = nvl_driver_need_of(&facts);
    nvl_driver_ways_find(&need, &ways);
    if (ctx->json)
        return nvl_print_json(nvl_json_driver_ways(&ways));
    if (!ctx->quiet)
        nvl_print_driver_ways(ctx, &ways, false);
    return NVL_EXIT_OK;
}

static int run_publish(const struct nvl_context *ctx, const struct nvl_setup_options *options,
                       struct nvl_error *err)
{
    if (options->drivers || options->yes || options->capabilities != NULL || options->run != NULL ||
        options->from != NULL)
        return nvl_error_usage(err, "host publish takes only --wait and --dry-run");
    return nvl_host_publish(ctx, options->wait, options->dry_run, err);
}

static int run_setup(struct nvl_context *ctx, const struct nvl_setup_options *options, struct nvl_error *err)
{
    if (options->drivers)
        return nvl_error_usage(err, "host setup: it has no --drivers; the list is in its plan");
    if (options->wait != NULL)
        return nvl_error_usage(err, "host setup: --wait works only with 'host publish'");
    return nvl_host_setup(ctx, options, err);
}

static int run_host(struct nvl_context *ctx, const struct nvl_strv *arguments, void *values,
                    struct nvl_error *err)
{
    const struct nvl_setup_options *options = values;
    const char *word = arguments->count == 1 ? arguments->items[0] : NULL;

    if (word != NULL && strcmp(word, "setup") == 0)
        return run_setup(ctx, options, err);
    if (word != NULL && strcmp(word, "publish") == 0)
        return run_publish(ctx, options, err);
    if (word != NULL)
        return nvl_error_usage(err, "host: unknown word '%s': give setup, publish or nothing", word);
    if (options->dry_run || options->yes || options->capabilities != NULL || options->run != NULL ||
        options->from != NULL || options->wait != NULL)
        return nvl_error_usage(err,
                               "host: --run, --from, --capabilities, --dry-run, --yes and --wait work only "
                               "with 'host setup' or 'host publish'");
    return options->drivers ? show_drivers(ctx, err) : show_host(ctx, err);
}

static const struct nvl_option host_options[] = {
    {"--drivers", NULL, "list the drivers for this host, the recommended one first", NVL_OPTION_FLAG,
     offsetof(struct nvl_setup_options, drivers)},
    {"--run", "FILE", "setup: install NVIDIA's driver from NVIDIA-Linux-*.run", NVL_OPTION_STRING,
     offsetof(struct nvl_setup_options, run), .values = "@files"},
    {"--from", "SOURCE", "setup: where the driver comes from", NVL_OPTION_STRING,
     offsetof(struct nvl_setup_options, from),
     .values = "debian\tDebian's main packages\n"
               "nvidia\tNVIDIA's archive for Debian\n"
               "tesla-535\tan older series of Debian's, by its name"},
    {"--dry-run", NULL, "setup, publish: show what would be done, change nothing", NVL_OPTION_FLAG,
     offsetof(struct nvl_setup_options, dry_run)},
    {"--wait", "SECONDS", "publish: wait so long for the cluster's quorum", NVL_OPTION_STRING,
     offsetof(struct nvl_setup_options, wait), .default_value = "0"},
    {"--yes", NULL, "setup: carry out the steps without asking", NVL_OPTION_FLAG,
     offsetof(struct nvl_setup_options, yes)},
    {"--capabilities", "LIST", "setup: what containers may do", NVL_OPTION_STRING,
     offsetof(struct nvl_setup_options, capabilities), .default_value = "compute,utility",
     .values = nvl_capability_values, .has_commas = true},
    {0},
};

static const struct nvl_example host_examples[] = {
    {"host", "driver, kernel and GPUs of this host, and what is wrong"},
    {"host setup --dry-run", "the steps to a driver that fits, and their commands"},
    {"host setup", "carry them out, after one question"},
    {"host --drivers", "which drivers fit, and why the others do not"},
    {"host publish", "tell the other nodes of the Proxmox cluster what this one has"},
    {0},
};

const struct nvl_command nvl_cmd_host = {
    .name = "host",
    .arguments = "[setup|publish]",
    .group = NVL_GROUP_SETUP,
    .summary = "show this host's state, set up its driver, publish it",
    .details = "setup  installs the driver that fits this kernel and its GPUs: it shows the\n"
               "       steps, asks once and carries them out. It leaves finished steps alone, so\n"
               "       you can run it again at any point. It supports Debian 12 and 13, and\n"
               "       Proxmox VE 8 and 9. The driver comes from Debian's packages; --from\n"
               "       nvidia takes it from NVIDIA's archive, --run FILE from its installer.\n"
               "       What does not fit this kernel or a GPU is refused before anything\n"
               "       changes.\n"
               "\n"
               "publish  writes what this node of a Proxmox cluster has (GPUs, driver) into\n"
               "       /etc/pve/nodes/NODE/nvlxc.json, for `gpus --cluster` and the like on every\n"
               "       node, if something has changed. nvlxc-publish.service runs it at boot and\n"
               "       after each update of the driver. On a host that is in no cluster it does\n"
               "       nothing; without quorum it exits 3.\n"
               "\n"
               "Without a word, host shows what there is, then what is worth knowing (note) and\n"
               "what is wrong (problem), each with what to do. This is the host's part of 'nvlxc\n"
               "doctor', which also says why. A driver upgrade that waits for a reboot is a note\n"
               "as long as the bundle of the loaded version exists: containers keep using it.\n"
               "\n"
               "With --drivers it lists the drivers that there are for this host instead: what\n"
               "fits this kernel and its GPUs, and why the others do not; the recommended one is\n"
               "first. /etc/nvlxc/kernels.json adds to what nvlxc knows of them.\n"
               "\n"
               "Exit status: 0 all is well, 1 something is wrong, 3 there is no NVIDIA GPU or\n"
               "its driver is not loaded.",
    .examples = host_examples,
    .max_arguments = 1,
    .argument_values = "setup\tinstall the driver that fits\n"
                       "publish\ttell the cluster what this node has",
    .options = host_options,
    .values_size = sizeof(struct nvl_setup_options),
    .run = run_host,
};
