/* The report of doctor: what a helper in a forum asks first, and nothing that is nobody's business. */
#include "doctor/report.h"

#include "doctor/check.h"
#include "doctor/redact.h"

static void add_report_row(struct nvl_buf *out, const char *key, const char *value)
{
    nvl_buf_addf(out, "| %s | %s |\n", key, value != NULL && value[0] != '\0' ? value : "unknown");
}

/* A name that a user chose is not to be read as Markdown. */
static char *markdown_text(const char *text)
{
    struct nvl_buf b = {0};

    for (const char *p = text; *p != '\0'; p++)
        nvl_buf_addf(&b, strchr("\\`*[]<>|", *p) != NULL ? "\\%c" : "%c", *p);
    return nvl_buf_take(&b);
}

static void add_package(struct nvl_buf *out, const struct nvl_root *root, const char *package)
{
    nvl_autofree char *version = nvl_package_version(root, package);

    if (version != NULL)
        add_report_row(out, package, version);
}

static void add_distribution(struct nvl_buf *out, const struct nvl_system *s)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf text = {0};

    nvl_buf_addf(&text, "%s %s%s%s%s", s->id != NULL ? s->id : "unknown",
                 s->version_id != NULL ? s->version_id : "", s->codename != NULL ? " (" : "",
                 s->codename != NULL ? s->codename : "", s->codename != NULL ? ")" : "");
    if (s->is_proxmox && s->pve_major >= 0)
        nvl_buf_addf(&text, ", Proxmox VE %d", s->pve_major);
    else if (s->is_proxmox)
        nvl_buf_addf(&text, ", Proxmox VE");
    add_report_row(out, "distribution", text.data);
}

static void add_driver_rows(struct nvl_buf *out, const struct nvl_host_facts *facts)
{
    const struct nvl_driver_version *driver = &facts->host.driver;
    nvl_autofree char *installed = nvl_strv_join(&facts->userspace.versions, ", ");
    nvl_autofree char *text =
        nvl_xasprintf("%s, libraries %s", driver->loaded ? driver->version : "not loaded",
                      installed[0] != '\0' ? installed : "not installed");
    nvl_auto(nvl_strv_clear) struct nvl_strv bundles = {0};

    for (size_t i = 0; i < facts->bundles.count; i++)
        nvl_strv_push(&bundles, facts->bundles.items[i].version);
    nvl_autofree char *bundle_list = nvl_strv_join(&bundles, ", ");
    const char *flavour = nvl_flavour_name(driver->loaded ? driver->flavour : facts->installed.flavour);
    add_report_row(out, "driver", text);
    add_report_row(out, "flavour", flavour);
    add_report_row(out, "bundles", bundles.count > 0 ? bundle_list : "none");
}

static void add_gpu_rows(struct nvl_buf *out, const struct nvl_gpus *gpus)
{
    if (gpus->count == 0)
        add_report_row(out, "GPU", "none");
    for (size_t i = 0; i < gpus->count; i++) {
        const struct nvl_gpu *gpu = &gpus->items[i];
        nvl_autofree char *text = nvl_xasprintf(
            "%s (10de:%04x, %s%s)", gpu->model[0] != '\0' ? gpu->model : "NVIDIA", gpu->pci_device,
            gpu->driver_name[0] != '\0' ? gpu->driver_name : "no driver", gpu->mig_enabled ? ", MIG" : "");
        add_report_row(out, "GPU", text);
    }
}

static void add_version_rows(struct nvl_buf *out, const struct nvl_diagnosis *d)
{
    static const char *const packages[] = {"pve-manager", "pve-container", "lxc-pve", "lxc", "dkms"};

    nvl_buf_addf(out, "| | |\n|---|---|\n");
    add_report_row(out, "nvlxc", NVL_VERSION);
    add_report_row(out, "kernel", d->facts.system.kernel);
    add_distribution(out, &d->facts.system);
    for (size_t i = 0; i < NVL_LENGTH(packages); i++)
        add_package(out, d->facts.root, packages[i]);
    if (d->facts.installed.package != NULL)
        add_package(out, d->facts.root, d->facts.installed.package);
    add_driver_rows(out, &d->facts);
    add_gpu_rows(out, &d->facts.host.gpus);
    if (d->descriptions.count == 0)
        add_report_row(out, "containers", "none with a GPU");
    for (size_t i = 0; i < d->descriptions.count; i++) {
        nvl_autofree char *text = markdown_text(d->descriptions.items[i]);
        add_report_row(out, "container", text);
    }
}

/* A block that nothing in it can end: indented code has no closing mark. */
static void add_block(struct nvl_buf *out, const char *text)
{
    size_t pos = 0, line_len, len = strlen(text);
    const char *line;

    nvl_buf_addf(out, "\n");
    while (nvl_next_line(text, len, &pos, &line, &line_len))
        nvl_buf_addf(out, "    %.*s\n", (int)line_len, line);
    nvl_buf_addf(out, "\n");
}

static void add_report_finding(struct nvl_buf *out, size_t number, const struct nvl_finding *f)
{
    nvl_autofree char *container = markdown_text(f->container != NULL ? f->container : "");

    nvl_buf_addf(out, "### %zu. %s (%s, %s%s)\n", number, f->title, nvl_severity_name(f->severity),
                 f->container != NULL ? "container " : "host", container);
    nvl_buf_addf(out, "\n`%s`\n", f->check->id);
    if (f->evidence != NULL)
        add_block(out, f->evidence);
    if (f->cause != NULL)
        nvl_buf_addf(out, "%s.\n", f->cause);
    if (f->fix != NULL) {
        nvl_buf_addf(out, "\nFix:\n");
        add_block(out, f->fix);
    }
}

char *nvl_diagnosis_report(const struct nvl_diagnosis *d)
{
    nvl_auto(nvl_mask_clear) struct nvl_mask mask = {0};
    nvl_auto(nvl_buf_clear) struct nvl_buf out = {0};

    nvl_buf_addf(&out, "## nvlxc doctor\n\n");
    add_version_rows(&out, d);
    nvl_buf_addf(&out, "\n%zu checks, %zu finding%s.\n\n", d->asked, d->findings.count,
                 d->findings.count == 1 ? "" : "s");
    for (size_t i = 0; i < d->findings.count; i++)
        add_report_finding(&out, i + 1, &d->findings.items[i]);
    nvl_mask_read(d->facts.root, &mask);
    return nvl_mask_text(&mask, out.data);
}
