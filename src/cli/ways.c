/* Prints the ways to a driver, for people and as JSON. */
#include "cli/ways.h"

#include "base/printable.h"
#include "cli/table.h"
#include "driver/origin.h"
#include "host/compat_table.h"
#include "host/gpu_state.h"
#include "host/host.h"
#include "host/module.h"
#include "host/userspace.h"

/* "yes, installed", "builds up to kernel 6.15"; the caller frees. */
static char *fits_cell(const struct nvl_driver_way *way)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf text = {0};

    nvl_buf_addf(&text, "%s", way->why_not != NULL ? way->why_not : "yes");
    if (way->kernel != NULL)
        nvl_buf_addf(&text, ", on kernel %s", way->kernel);
    if (way->is_installed)
        nvl_buf_addf(&text, ", installed");
    return nvl_make_printable(TAKE_PTR(text.data));
}

/* NVIDIA's installer and archive have the same drivers: one row says both. */
static bool is_told_by(const struct nvl_driver_way *archive, const struct nvl_driver_way *run)
{
    nvl_autofree char *a = fits_cell(archive), *b = fits_cell(run);

    return archive->kind == NVL_WAY_ARCHIVE && run->kind == NVL_WAY_RUN && archive->branch != NULL &&
           run->branch != NULL && strcmp(archive->branch, run->branch) == 0 && strcmp(a, b) == 0;
}

static const struct nvl_driver_way *find_twin(const struct nvl_driver_ways *ways,
                                              const struct nvl_driver_way *way)
{
    for (size_t i = 0; i < ways->count; i++)
        if (is_told_by(way, &ways->items[i]) || is_told_by(&ways->items[i], way))
            return &ways->items[i];
    return NULL;
}

/* What a person would choose from: what may fit, what is there, and what Debian has. */
static bool is_worth_a_row(const struct nvl_driver_way *way)
{
    return way->fit != NVL_VERDICT_UNFIT || way->is_installed ||
           (way->kind != NVL_WAY_RUN && way->kind != NVL_WAY_ARCHIVE);
}

static void say_recommended(const struct nvl_context *ctx, const struct nvl_driver_way *way)
{
    nvl_autofree char *version = nvl_way_version(way);
    nvl_autofree char *text =
        nvl_xasprintf("%s%s%s%s", way->source, version != NULL ? ", " : "", version != NULL ? version : "",
                      way->is_installed ? ", which is installed" : "");
    const struct nvl_span spans[] = {{NVL_PLAIN, "recommended: "}, {NVL_TITLE, text}, {0}};

    nvl_say_spans(ctx, (struct nvl_span){NVL_PLAIN, ""}, spans, false);
}

static enum nvl_style style_of_fit(enum nvl_verdict fit)
{
    return fit == NVL_VERDICT_FITS ? NVL_GOOD : fit == NVL_VERDICT_UNFIT ? NVL_WRONG : NVL_CAREFUL;
}

void nvl_print_driver_ways(const struct nvl_context *ctx, const struct nvl_driver_ways *ways, bool is_short)
{
    static const char *const columns[] = {"SOURCE", "VERSION", "FLAVOR", "FITS, OR WHY NOT", NULL};
    struct nvl_table *table = nvl_table_new(columns);

    for (size_t i = 0; i < ways->count; i++) {
        const struct nvl_driver_way *way = &ways->items[i], *twin = find_twin(ways, way);
        if ((twin != NULL && way->kind == NVL_WAY_ARCHIVE) || (is_short && !is_worth_a_row(way)))
            continue;
        nvl_autofree char *source =
            nvl_make_printable(nvl_xstrdup(twin != NULL ? "NVIDIA .run, apt" : way->source));
        nvl_autofree char *version = nvl_way_version(way), *fits = fits_cell(way);
        if (version != NULL)
            nvl_make_printable(version);
        const char *cells[] = {source, version, way->flavour, fits};
        nvl_table_row(table, cells);
        nvl_table_style(table, 3, style_of_fit(way->fit));
    }
    if (ways->count > 0)
        nvl_table_print(table, stdout);
    nvl_table_free(table);
    if (ways->count > 0 && ways->items[0].is_recommended)
        say_recommended(ctx, &ways->items[0]);
    if (ways->note != NULL)
        nvl_say_wrapped(ctx, "", ways->note);
}

static bool has_vgpu_driver(const struct nvl_host *host)
{
    nvl_auto(nvl_userspace_clear) struct nvl_userspace us = {0};
    nvl_auto(nvl_system_clear) struct nvl_system system = {0};
    nvl_auto(nvl_installed_driver_clear) struct nvl_installed_driver d = {0};

    if (!host->driver.loaded || host->majors.uvm >= 0 || nvl_userspace_read(host->root, &us, NULL) < 0 ||
        nvl_system_read(host->root, &system, NULL) < 0)
        return false;
    nvl_installed_driver_glance(host->root, &system, &us, &host->driver, &d);
    return d.origin == NVL_ORIGIN_VGPU;
}

static bool has_undriven_gpu(const struct nvl_gpus *gpus)
{
    for (size_t i = 0; i < gpus->count; i++)
        if (nvl_gpu_state(&gpus->items[i]) == NVL_GPU_IS_UNDRIVEN)
            return true;
    return false;
}

static void say_conflict(const struct nvl_context *ctx, const struct nvl_host *host)
{
    nvl_auto(nvl_support_clear) struct nvl_support support = {0};
    const struct nvl_driver_need need = {.gpus = &host->gpus, .support = &support};
    struct nvl_error err = {0};

    if (host->gpus.count < 2 || !has_undriven_gpu(&host->gpus))
        return;
    if (nvl_support_read(host->root, &support, &err) < 0)
        nvl_warn("%s", err.message);
    nvl_autofree char *note = nvl_conflict_note(&need);
    if (note != NULL)
        nvl_say_fact(ctx, "note: ", "%s", note);
}

void nvl_say_driver_notes(const struct nvl_context *ctx, const struct nvl_host *host)
{
    if (ctx->json || ctx->quiet)
        return;
    if (has_vgpu_driver(host))
        nvl_say_fact(ctx, "note: ", "%s", nvl_vgpu_text);
    say_conflict(ctx, host);
}

json_t *nvl_json_driver_ways(const struct nvl_driver_ways *ways)
{
    static const char *const kinds[] = {[NVL_WAY_DEBIAN] = "debian", [NVL_WAY_BACKPORTS] = "backports",
                                        [NVL_WAY_SERIES] = "series", [NVL_WAY_DISTRIBUTION] = "distribution",
                                        [NVL_WAY_RUN] = "run",       [NVL_WAY_ARCHIVE] = "archive",
                                        [NVL_WAY_OTHER] = "other"};
    json_t *array = json_array();

    for (size_t i = 0; i < ways->count; i++) {
        const struct nvl_driver_way *way = &ways->items[i];
        json_t *fits =
            way->fit == NVL_VERDICT_UNKNOWN ? json_null() : json_boolean(way->fit == NVL_VERDICT_FITS);
        json_array_append_new(
            array,
            json_pack("{s:o,s:s,s:o,s:o,s:b,s:o,s:o,s:o,s:o,s:b,s:b}", "source", nvl_json_string(way->source),
                      "kind", kinds[way->kind], "branch", nvl_json_string(way->branch), "version",
                      nvl_json_string(way->version), "or_newer", (int)way->or_newer, "flavour",
                      nvl_json_string(way->flavour), "fits", fits, "why_not", nvl_json_string(way->why_not),
                      "kernel", nvl_json_string(way->kernel), "installed", (int)way->is_installed,
                      "recommended", (int)way->is_recommended));
    }
    return json_pack("{s:o,s:o,s:o}", "kernel", nvl_json_string(ways->kernel), "drivers", array, "note",
                     nvl_json_string(ways->note));
}
