/* nvlxc metrics: GPUs of containers, and what is wrong with them, for Prometheus. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/printable.h"
#include "doctor/check.h"
#include "doctor/diagnose.h"
#include "cli/command.h"
#include "container/gpu_programs.h"
#include "host/nvml_readings.h"
#include "host/xid.h"
#include "base/output_file.h"

/* One container on one GPU or MIG device. Names are printable here, so they need not be as distinct as
 * containers: rows with the same labels are one sample. */
struct use {
    const char *container;     /* NULL: the host's own programs */
    const char *uuid;          /* the GPU's */
    const struct nvl_gpu *gpu; /* NULL if /proc does not list it */
    int gi, ci;                /* -1 for the whole GPU */
    bool is_granted;
    bool hides_memory; /* the driver does not say how much memory one of its programs has */
    bool hides_use;    /* the same of the time in which it computes */
    int64_t memory, n_programs, percent;
};

struct metrics {
    struct nvl_diagnosis diagnosis;
    struct nvl_gpu_programs programs;
    struct nvl_readings readings;
    bool has_programs; /* NVML could be asked */
    struct use *uses;
    size_t n_uses;
};

static void metrics_clear(struct metrics *m)
{
    free(m->uses);
    nvl_readings_clear(&m->readings);
    nvl_gpu_programs_clear(&m->programs);
    nvl_diagnosis_clear(&m->diagnosis);
}

static bool is_same_label(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static struct use *find_use(struct metrics *m, const struct use *like)
{
    for (size_t i = 0; i < m->n_uses; i++) {
        struct use *use = &m->uses[i];
        if (is_same_label(use->container, like->container) && is_same_label(use->uuid, like->uuid) &&
            use->gi == like->gi && use->ci == like->ci)
            return use;
    }
    struct use *use = NVL_APPEND(m->uses, m->n_uses);
    *use = *like;
    return use;
}

/* A grant is reported with 0 programs too: a line that drops to 0 is visible, a line that ends is a riddle.
 */
static void add_granted(struct metrics *m, const struct nvl_holder *holder)
{
    for (size_t i = 0; i < holder->resolved.n_gpus; i++) {
        const struct nvl_resolved_gpu *given = &holder->resolved.gpus[i];
        const struct use use = {.container = holder->name,
                                .uuid = given->gpu->uuid,
                                .gpu = given->gpu,
                                .gi = given->mig != NULL ? (int)given->mig->gi : -1,
                                .ci = given->mig != NULL ? (int)given->mig->ci : -1};
        find_use(m, &use)->is_granted = true;
    }
}

/* A process that computes and draws is listed twice, with the same use. */
static bool is_listed_before(const struct nvl_gpu_programs *programs, size_t i)
{
    const struct nvl_gpu_process *process = programs->items[i].process;

    for (size_t k = 0; k < i; k++)
        if (programs->items[k].process->pid == process->pid &&
            strcmp(programs->items[k].process->uuid, process->uuid) == 0)
            return true;
    return false;
}

static void add_program(struct metrics *m, size_t i)
{
    struct nvl_gpu_program *program = &m->programs.items[i];
    const struct nvl_gpu_process *process = program->process;
    bool is_first = !is_listed_before(&m->programs, i);
    if (program->container != NULL)
        nvl_make_printable(program->container);
    const struct use like = {.container = program->container,
                             .uuid = process->uuid,
                             .gpu = program->gpu,
                             .gi = process->gi,
                             .ci = process->ci};
    struct use *use = find_use(m, &like);

    use->n_programs++;
    use->hides_memory |= process->memory < 0;
    use->memory += process->memory >= 0 ? process->memory : 0;
    use->hides_use |= process->use < 0;
    use->percent += process->use >= 0 && is_first ? process->use : 0;
}

/* The text that Prometheus reads: families of samples, each with a name, a sentence on what it counts, and
 * labels. Source: Prometheus' documentation, 'Exposition formats', text format 0.0.4. All are gauges but
 * those whose name says that they count. */
struct label {
    const char *name, *value; /* a value of NULL or "" omits the label, which means the same */
};

/* Opens a family; its samples follow, possibly none. */
static void add_family(struct nvl_buf *out, const char *name, const char *help)
{
    nvl_buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name,
                 nvl_has_suffix(name, "_total") ? "counter" : "gauge");
}

static void add_label_value(struct nvl_buf *out, const char *value)
{
    for (; *value != '\0'; value++) {
        if (*value == '\n')
            nvl_buf_add(out, "\\n", 2);
        else if (*value == '"' || *value == '\\')
            nvl_buf_addf(out, "\\%c", *value);
        else
            nvl_buf_add(out, value, 1);
    }
}

/* Adds a sample, `value` with `decimals` digits behind the point. No two of a family may have the same
 * labels. Values of labels are UTF-8. */
static void add_decimal(struct nvl_buf *out, const char *name, const struct label *labels, size_t n_labels,
                        int64_t value, unsigned decimals)
{
    size_t n_said = 0;

    nvl_buf_addf(out, "%s", name);
    for (size_t i = 0; i < n_labels; i++) {
        if (labels[i].value == NULL || labels[i].value[0] == '\0')
            continue;
        nvl_buf_addf(out, "%s%s=\"", n_said++ == 0 ? "{" : ",", labels[i].name);
        add_label_value(out, labels[i].value);
        nvl_buf_add(out, "\"", 1);
    }
    int64_t whole = 1;
    for (unsigned i = 0; i < decimals; i++)
        whole *= 10;
    nvl_buf_addf(out, "%s %" PRId64, n_said > 0 ? "}" : "", value / whole);
    if (decimals > 0)
        nvl_buf_addf(out, ".%0*" PRId64, (int)decimals, value % whole);
    nvl_buf_add(out, "\n", 1);
}

static void add_sample(struct nvl_buf *out, const char *name, const struct label *labels, size_t n_labels,
                       int64_t value)
{
    add_decimal(out, name, labels, n_labels, value, 0);
}

static void add_use_sample(struct nvl_buf *out, const char *name, const struct use *use, int64_t value,
                           unsigned decimals)
{
    nvl_autofree char *gpu =
        use->gpu != NULL && use->gpu->index >= 0 ? nvl_xasprintf("%d", use->gpu->index) : NULL;
    nvl_autofree char *gi = use->gi >= 0 ? nvl_xasprintf("%d", use->gi) : NULL;
    nvl_autofree char *ci = use->ci >= 0 ? nvl_xasprintf("%d", use->ci) : NULL;
    const struct label labels[] = {
        {"container", use->container}, {"gpu", gpu}, {"uuid", use->uuid}, {"gi", gi}, {"ci", ci}};

    add_decimal(out, name, labels, NVL_LENGTH(labels), value, decimals);
}

static void add_host(struct nvl_buf *out, const struct nvl_host *host)
{
    const struct label driver[] = {{"version", host->driver.version},
                                   {"flavour", nvl_flavour_name(host->driver.flavour)}};

    add_family(out, "nvlxc_driver_info", "The loaded NVIDIA kernel module.");
    if (host->driver.loaded)
        add_sample(out, "nvlxc_driver_info", driver, NVL_LENGTH(driver), 1);
    add_family(out, "nvlxc_gpu_info", "GPUs of the NVIDIA driver.");
    for (size_t i = 0; i < host->gpus.count; i++) {
        const struct nvl_gpu *gpu = &host->gpus.items[i];
        if (gpu->index < 0)
            continue;
        nvl_autofree char *index = nvl_xasprintf("%d", gpu->index), *model = nvl_xstrdup(gpu->model);
        const struct label labels[] = {
            {"gpu", index}, {"uuid", gpu->uuid}, {"pci", gpu->pci}, {"model", nvl_make_printable(model)}};
        add_sample(out, "nvlxc_gpu_info", labels, NVL_LENGTH(labels), 1);
    }
}

/* The first container of that name. */
static const struct nvl_holder *find_holder(const struct nvl_diagnosis *d, const char *name)
{
    const struct nvl_holder *holder = d->holders;

    while (!is_same_label(holder->name, name))
        holder++;
    return holder;
}

static void add_grants(struct nvl_buf *out, const struct metrics *m)
{
    add_family(out, "nvlxc_container_gpu_granted", "GPUs and MIG devices granted to a container.");
    for (size_t i = 0; i < m->n_uses; i++)
        if (m->uses[i].is_granted)
            add_use_sample(out, "nvlxc_container_gpu_granted", &m->uses[i], 1, 0);
    add_family(out, "nvlxc_container_gpus_missing",
               "Number of GPUs and MIG devices that a container's config names and this host lacks.");
    nvl_warn_all(&m->diagnosis.warnings);
    for (size_t i = 0; i < m->diagnosis.n_holders; i++) {
        const struct nvl_holder *holder = &m->diagnosis.holders[i];
        const struct label label = {"container", holder->name};
        size_t missing = 0;
        if (find_holder(&m->diagnosis, holder->name) != holder)
            continue;
        for (size_t k = i; k < m->diagnosis.n_holders; k++)
            if (is_same_label(m->diagnosis.holders[k].name, holder->name))
                missing += m->diagnosis.holders[k].resolved.missing.count;
        add_sample(out, "nvlxc_container_gpus_missing", &label, 1, (int64_t)missing);
    }
}

static void add_programs(struct nvl_buf *out, const struct metrics *m)
{
    add_family(out, "nvlxc_nvml_up", "Whether NVML reports the programs that use the GPUs.");
    add_sample(out, "nvlxc_nvml_up", NULL, 0, m->has_programs);
    add_family(out, "nvlxc_container_gpu_programs",
               "Programs that use a GPU, by container; the host's own have no container label.");
    for (size_t i = 0; i < m->n_uses && m->has_programs; i++)
        add_use_sample(out, "nvlxc_container_gpu_programs", &m->uses[i], m->uses[i].n_programs, 0);
    add_family(out, "nvlxc_container_gpu_memory_bytes",
               "GPU memory of these programs; absent if the driver does not report it.");
    for (size_t i = 0; i < m->n_uses && m->has_programs; i++)
        if (!m->uses[i].hides_memory)
            add_use_sample(out, "nvlxc_container_gpu_memory_bytes", &m->uses[i], m->uses[i].memory, 0);
    add_family(out, "nvlxc_container_gpu_utilization_ratio",
               "Share of the last seconds in which these programs computed; absent if the driver does not "
               "report it.");
    for (size_t i = 0; i < m->n_uses && m->has_programs; i++)
        if (!m->uses[i].hides_use)
            add_use_sample(out, "nvlxc_container_gpu_utilization_ratio", &m->uses[i], m->uses[i].percent, 2);
}

/* What the driver reports of a GPU, in base units. Those of one family follow each other. */
static const struct metric {
    const char *name, *help;
    enum nvl_reading reading;
    int64_t scale;
    unsigned decimals; /* of the scaled number */
    struct label label;
} reading_metrics[] = {
    {"nvlxc_gpu_memory_used_bytes", "GPU memory in use.", NVL_READING_MEMORY_USED, 1, 0, {0}},
    {"nvlxc_gpu_memory_total_bytes", "GPU memory.", NVL_READING_MEMORY_TOTAL, 1, 0, {0}},
    {"nvlxc_gpu_utilization_ratio",
     "Share of time in which the GPU computed.",
     NVL_READING_GPU_USE,
     1,
     2,
     {0}},
    {"nvlxc_gpu_memory_utilization_ratio",
     "Share of time in which memory was used.",
     NVL_READING_MEMORY_USE,
     1,
     2,
     {0}},
    {"nvlxc_gpu_encoder_utilization_ratio", "Use of the video encoder.", NVL_READING_ENCODER_USE, 1, 2, {0}},
    {"nvlxc_gpu_decoder_utilization_ratio", "Use of the video decoder.", NVL_READING_DECODER_USE, 1, 2, {0}},
    {"nvlxc_gpu_power_watts", "Power that the GPU draws.", NVL_READING_POWER, 1, 3, {0}},
    {"nvlxc_gpu_power_limit_watts", "The limit that is enforced.", NVL_READING_POWER_LIMIT, 1, 3, {0}},
    {"nvlxc_gpu_temperature_celsius", "The GPU's temperature.", NVL_READING_TEMPERATURE, 1, 0, {0}},
    {"nvlxc_gpu_clock_hertz", "Current clocks.", NVL_READING_SM_CLOCK, 1000000, 0, {"clock", "sm"}},
    {"nvlxc_gpu_clock_hertz", NULL, NVL_READING_MEMORY_CLOCK, 1000000, 0, {"clock", "memory"}},
    {"nvlxc_gpu_ecc_errors_total",
     "ECC errors of GPU memory.",
     NVL_READING_ECC_CORRECTED,
     1,
     0,
     {"severity", "corrected"}},
    {"nvlxc_gpu_ecc_errors_total", NULL, NVL_READING_ECC_UNCORRECTED, 1, 0, {"severity", "uncorrected"}},
};

/* A value of one GPU. */
static void add_reading(struct nvl_buf *out, const struct metrics *m, const struct nvl_gpu_readings *readings,
                        const char *name, struct label label, int64_t value, unsigned decimals)
{
    const struct nvl_gpu *gpu = nvl_gpu_by_uuid(&m->diagnosis.facts.host.gpus, readings->uuid);
    nvl_autofree char *index = gpu != NULL && gpu->index >= 0 ? nvl_xasprintf("%d", gpu->index) : NULL;
    const struct label labels[] = {{"gpu", index}, {"uuid", readings->uuid}, label};

    add_decimal(out, name, labels, NVL_LENGTH(labels), value, decimals);
}

static void add_readings(struct nvl_buf *out, const struct metrics *m)
{
    const char *reason;

    for (size_t i = 0; i < NVL_LENGTH(reading_metrics); i++) {
        const struct metric *metric = &reading_metrics[i];
        if (metric->help != NULL)
            add_family(out, metric->name, metric->help);
        for (size_t k = 0; k < m->readings.count; k++) {
            const struct nvl_gpu_readings *gpu = &m->readings.items[k];
            int64_t value = gpu->values[metric->reading];
            if (value >= 0)
                add_reading(out, m, gpu, metric->name, metric->label, value * metric->scale,
                            metric->decimals);
        }
    }
    add_family(out, "nvlxc_gpu_throttle", "Reasons that hold the clocks down now, in NVML's words.");
    for (size_t k = 0; k < m->readings.count; k++) {
        int64_t mask = m->readings.items[k].values[NVL_READING_THROTTLE];
        while ((reason = nvl_throttle_next(&mask)) != NULL)
            add_reading(out, m, &m->readings.items[k], "nvlxc_gpu_throttle", (struct label){"reason", reason},
                        1, 0);
    }
}

/* A gauge: the kernel's log forgets its oldest lines. Nothing if this caller may not read it. */
static void add_xids(struct nvl_buf *out, const struct metrics *m, const struct nvl_root *root)
{
    nvl_auto(nvl_xids_clear) struct nvl_xids xids = {0};
    const struct nvl_gpus *gpus = &m->diagnosis.facts.host.gpus;

    add_family(out, "nvlxc_gpu_xid_messages",
               "The driver's error reports in the kernel's log, by Xid number.");
    if (nvl_xids_read(root, &xids) < 0)
        return;
    for (size_t i = 0; i < xids.count; i++) {
        const struct nvl_xid *xid = &xids.items[i];
        nvl_autofree char *number = nvl_xasprintf("%u", xid->number), *index = NULL;
        const char *uuid = NULL;
        for (size_t k = 0; k < gpus->count; k++)
            if (strcmp(gpus->items[k].pci, xid->pci) == 0 && gpus->items[k].index >= 0) {
                index = nvl_xasprintf("%d", gpus->items[k].index);
                uuid = gpus->items[k].uuid;
            }
        const struct label labels[] = {{"gpu", index}, {"uuid", uuid}, {"pci", xid->pci}, {"xid", number}};
        add_sample(out, "nvlxc_gpu_xid_messages", labels, NVL_LENGTH(labels), xid->count);
    }
}

static bool is_alike(const struct nvl_finding *a, const struct nvl_finding *b)
{
    return a->check == b->check && a->severity == b->severity && is_same_label(a->container, b->container);
}

static void add_findings(struct nvl_buf *out, const struct nvl_diagnosis *d)
{
    add_family(out, "nvlxc_findings",
               "Findings of nvlxc doctor, by check id; the host's own have no container label.");
    for (size_t i = 0; i < d->findings.count; i++) {
        const struct nvl_finding *f = &d->findings.items[i];
        size_t before = 0, n = 0;
        for (size_t k = 0; k < d->findings.count; k++) {
            before += k < i && is_alike(f, &d->findings.items[k]);
            n += is_alike(f, &d->findings.items[k]);
        }
        const struct label labels[] = {
            {"id", f->check->id}, {"severity", nvl_severity_name(f->severity)}, {"container", f->container}};
        if (before == 0)
            add_sample(out, "nvlxc_findings", labels, NVL_LENGTH(labels), (int64_t)n);
    }
    add_family(out, "nvlxc_checks", "Checks that nvlxc doctor ran.");
    add_sample(out, "nvlxc_checks", NULL, 0, (int64_t)d->asked);
}

static void gather_uses(struct metrics *m)
{
    const struct nvl_host_facts *facts = &m->diagnosis.facts;
    struct nvl_error err = {0};

    m->has_programs =
        nvl_gpu_programs_read(&facts->host, &facts->containers, &m->programs, &m->readings, &err) == 0;
    if (!m->has_programs) {
        nvl_warn("%s", err.message);
        nvl_readings_clear(&m->readings);
    }
    for (size_t i = 0; i < m->diagnosis.n_holders; i++)
        add_granted(m, &m->diagnosis.holders[i]);
    for (size_t i = 0; i < m->programs.count; i++)
        add_program(m, i);
}

static int run_metrics(struct nvl_context *ctx, const struct nvl_strv *arguments, void *data,
                       struct nvl_error *err)
{
    nvl_auto(metrics_clear) struct metrics m = {0};
    nvl_auto(nvl_buf_clear) struct nvl_buf text = {0};
    nvl_autofree char *path = NULL;

    (void)data;
    if (ctx->json) {
        nvl_error_usage(err, "metrics has no JSON output: it prints Prometheus' text format");
        nvl_error_hint(err, "for JSON: nvlxc --json ps\nnvlxc --json gpus\nnvlxc --json doctor");
        return -EINVAL;
    }
    int r = arguments->count > 0 ? nvl_output_path(&ctx->root, arguments->items[0], &path, err) : 0;
    if (r == 0)
        r = nvl_diagnose(&ctx->root, NULL, NVL_FACTS_QUICK, false, &m.diagnosis, err);
    if (r < 0)
        return r;
    gather_uses(&m);
    add_host(&text, &m.diagnosis.facts.host);
    add_grants(&text, &m);
    add_programs(&text, &m);
    add_readings(&text, &m);
    add_xids(&text, &m, &ctx->root);
    add_findings(&text, &m.diagnosis);
    if (path != NULL) /* rewritten even if the text is the same: its age shows whether metrics still runs */
        return nvl_output_write(&ctx->root, path, text.data, NULL, err);
    fwrite(text.data, 1, text.len, stdout);
    return NVL_EXIT_OK;
}

static const struct nvl_example metrics_examples[] = {
    {"metrics", "the metrics of this moment"},
    {"metrics /var/lib/prometheus/node-exporter/nvlxc.prom", "for node_exporter, once"},
    {"metrics | grep ^nvlxc_findings", "what doctor finds, as numbers"},
    {0},
};

const struct nvl_command nvl_cmd_metrics = {
    .name = "metrics",
    .arguments = "[FILE]",
    .group = NVL_GROUP_PROGRAMS,
    .summary = "print GPU use, grants and findings for Prometheus",
    .details = "It prints Prometheus' text format on standard output, or replaces FILE with it:\n"
               "for the textfile collector of node_exporter. Debian's collector reads *.prom in\n"
               "/var/lib/prometheus/node-exporter; to have nvlxc.prom written there each minute:\n"
               "\n"
               "    systemctl enable --now nvlxc-metrics.timer\n"
               "\n"
               "A granted GPU is reported with 0 programs too. If NVML does not answer,\n"
               "nvlxc_nvml_up is 0; programs and the GPUs' readings are left out, as is each\n"
               "value that the GPU or an older driver does not have. The reason goes to standard\n"
               "error and is not a failure. NVML opens the GPUs: without a persistence daemon,\n"
               "that initializes an idle GPU each time, which takes seconds.\n"
               "\n"
               "nvlxc_findings has what doctor finds. Alerts for Prometheus and a dashboard for\n"
               "Grafana are in /usr/share/nvlxc, in prometheus and grafana.",
    .examples = metrics_examples,
    .max_arguments = 1,
    .argument_values = "@files",
    .run = run_metrics,
};
