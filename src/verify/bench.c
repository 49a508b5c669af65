/* bench: runs the probe's small work on the host and in the container, in turn, and compares medians. */
#include "verify/bench.h"

#include <errno.h>
#include <stdio.h>

#include "base/paths.h"
#include "verify/session.h"
#include "base/run.h"
#include "doctor/facts.h"
#include "verify/verify.h"

#define SECONDS     60u
#define HOST_OUTPUT 65536u
#define ROUNDS_MAX  99u

/* The probe's lines, and the divisor that converts their numbers to the unit. */
static const struct {
    const char *line, *id, *title, *unit;
    double divisor;
    bool is_time;
} kinds[NVL_BENCH_MEASURES] = {
    {"bench.init", "cuda-init", "time to cuInit", "ms", 1e3, true},
    {"bench.to-device", "copy-to-device", "copy, host to device", "GB/s", 1e3, false},
    {"bench.from-device", "copy-from-device", "copy, device to host", "GB/s", 1e3, false},
    {"bench.on-device", "copy-on-device", "copy, device to device", "GB/s", 1e3, false},
    {"bench.launches", "launches", "kernel launches", "1/s", 1, false},
    {"bench.compute", "compute", "a computing kernel", "GFLOP/s", 1e3, false},
};

/* What one side measured in all rounds. */
struct side {
    const char *name; /* "on the host" */
    double values[NVL_BENCH_MEASURES][ROUNDS_MAX];
    size_t count;
    char uuid[48]; /* as CUDA reports it, without "GPU-"; "" if it does not */
    char gpu[96];
};

/* The first device of the grant, in the form that CUDA_VISIBLE_DEVICES takes. */
static int choose_gpu(const struct nvl_container_facts *f, const char *name, struct nvl_bench *bench,
                      struct nvl_error *err)
{
    const struct nvl_resolved_gpu *first = f->resolved.n_gpus > 0 ? &f->resolved.gpus[0] : NULL;

    if (!f->has_grant || first == NULL) {
        nvl_error_set(err, -ENODEV, "nvlxc gave container %s no GPU of this host", f->name);
        nvl_error_hint(err, "nvlxc attach %s\nwhat it has: nvlxc show %s", name, name);
        return -ENODEV;
    }
    if (!nvl_is_gpu_uuid(first->gpu->uuid)) {
        nvl_error_set(err, -ENODEV, "the driver does not report the UUID of GPU %s yet", first->gpu->pci);
        nvl_error_hint(err, "let the driver report it: nvidia-smi");
        return -ENODEV;
    }
    nvl_autofree char *mig = first->mig != NULL ? nvl_mig_uuid(first->gpu, first->mig) : NULL;
    snprintf(bench->uuid, sizeof bench->uuid, "%s", mig != NULL ? mig : first->gpu->uuid);
    return 0;
}

/* The folder with the host's own libcuda; if an upgrade removed the loaded version's, the bundle's. */
static char *find_library_folder(const struct nvl_host_facts *host)
{
    const struct nvl_userspace *us = &host->userspace;
    const char *version = host->host.driver.version;

    for (size_t i = 0; i < us->n_dirs; i++) {
        nvl_autofree char *libcuda = nvl_xasprintf("%s/libcuda.so.%s", us->dirs[i].path, version);
        if (us->dirs[i].elf == NVL_ELF_64 && nvl_root_exists(host->root, libcuda))
            return nvl_xstrdup(us->dirs[i].path);
    }
    return nvl_xasprintf(NVL_BUNDLE_DIR "/%s/lib64", version);
}

static void run_on_host(const struct nvl_verify *v, const struct nvl_bench *bench, struct nvl_probe_run *run)
{
    nvl_autofree char *folder = find_library_folder(v->facts->host);
    nvl_autofree char *libraries = nvl_xasprintf("LD_LIBRARY_PATH=%s", folder);
    nvl_autofree char *visible = nvl_xasprintf("CUDA_VISIBLE_DEVICES=%s", bench->uuid);
    const char *const argv[] = {NVL_PROBE_PROGRAM, "bench", NULL};
    char *const environment[] = {
        (char *)"LC_ALL=C", (char *)"HOME=/root", (char *)"CUDA_CACHE_DISABLE=1", visible, libraries, NULL};
    const struct nvl_run child = {.argv = argv,
                                  .environment = environment,
                                  .output = NVL_STREAM_TAKEN,
                                  .max = HOST_OUTPUT,
                                  .seconds = SECONDS};
    nvl_auto(nvl_run_result_clear) struct nvl_run_result ran = {0};

    nvl_probe_run_clear(run);
    int r = nvl_run(&child, &ran);
    run->out = (struct nvl_output){.text = TAKE_PTR(ran.text),
                                   .len = ran.len,
                                   .truncated = ran.truncated,
                                   .timed_out = ran.timed_out,
                                   .status = ran.status,
                                   .error = r < 0 && !ran.timed_out ? r : 0,
                                   .at = "start",
                                   .millis = ran.millis};
    nvl_probe_parse(run->out.text, run->out.len, &run->lines);
}

/* With our CUDA_VISIBLE_DEVICES instead of the config's. */
static void set_visible(struct nvl_verify *v, const struct nvl_bench *bench)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv old = v->environment;

    v->environment = (struct nvl_strv){0};
    for (size_t i = 0; i < old.count; i++)
        if (!nvl_has_prefix(old.items[i], "CUDA_VISIBLE_DEVICES="))
            nvl_strv_push(&v->environment, old.items[i]);
    nvl_strv_pushf(&v->environment, "CUDA_VISIBLE_DEVICES=%s", bench->uuid);
}

static void run_in_container(struct nvl_verify *v, struct nvl_probe_run *run)
{
    static const char *const arguments[] = {"bench", NULL};

    nvl_verify_probe(v, arguments, NULL, run);
}

/* What the probe reported as wrong; NULL if it measured everything. The caller frees. */
static char *complaint(const struct nvl_verify *v, const struct nvl_probe_run *run)
{
    const struct nvl_probe_line *load = nvl_probe_find(&run->lines, "load"),
                                *compared = nvl_probe_find(&run->lines, "bench.compared"),
                                *missing = nvl_probe_find(&run->lines, "cuda.function");

    if (load != NULL && load->code != 0)
        return nvl_xasprintf("libcuda does not load: %s", nvl_probe_second(load->text));
    if (missing != NULL)
        return nvl_xasprintf("its libcuda has no %s", missing->text);
    for (size_t i = 0; i < run->lines.count; i++) {
        const struct nvl_probe_line *line = &run->lines.items[i];
        if (strcmp(line->what, "bench.call") == 0 && line->code != 0) {
            size_t name = strcspn(line->text, " ");
            return nvl_xasprintf("%.*s gives %d%s", (int)name, line->text, line->code, line->text + name);
        }
    }
    if (compared != NULL && compared->code != 0)
        return nvl_xasprintf("the GPU computes wrong results: %s", compared->text);
    return run->lines.ended ? NULL : nvl_probe_run_ending(v, run);
}

static void take_text(const struct nvl_probe_run *run, const char *what, char *to, size_t size)
{
    const struct nvl_probe_line *line = nvl_probe_find(&run->lines, what);

    const char *text = line != NULL ? line->text : "";

    if (!nvl_copy(to, size, text, strlen(text) < size ? strlen(text) : size - 1))
        to[0] = '\0';
}

/* One round's numbers. */
static int take_round(const struct nvl_verify *v, const struct nvl_probe_run *run, struct side *side,
                      struct nvl_error *err)
{
    nvl_autofree char *why = complaint(v, run);
    uint64_t value;

    for (size_t i = 0; i < NVL_BENCH_MEASURES && why == NULL; i++) {
        const struct nvl_probe_line *line = nvl_probe_find(&run->lines, kinds[i].line);
        if (line == NULL || nvl_parse_uint(line->text, 10, UINT64_C(1) << 60, &value) < 0 || value == 0)
            why = nvl_xasprintf("no result of '%s'", kinds[i].title);
        else
            side->values[i][side->count] = (double)value / kinds[i].divisor;
    }
    if (why != NULL) {
        nvl_error_set(err, -EIO, "CUDA does not work %s: %s", side->name, why);
        if (strcmp(side->name, "on the host") == 0)
            nvl_error_hint(err, "for the cause: nvlxc doctor");
        else
            nvl_error_hint(err, "for the cause: nvlxc verify %s", v->request->name);
        return -EIO;
    }
    side->count++;
    take_text(run, "bench.uuid", side->uuid, sizeof side->uuid);
    take_text(run, "bench.name", side->gpu, sizeof side->gpu);
    return 0;
}

static int run_side(struct nvl_verify *v, const struct nvl_bench *bench, bool is_host, struct side *side,
                    struct nvl_error *err)
{
    struct nvl_probe_run run = {0};
    nvl_autofree char *what =
        nvl_xasprintf("round %zu of %u, %s", side->count + 1, bench->rounds, side->name);

    nvl_verify_note(v, what);
    if (is_host)
        run_on_host(v, bench, &run);
    else
        run_in_container(v, &run);
    int r = take_round(v, &run, side, err);
    nvl_probe_run_clear(&run);
    return r;
}

static int check_same_gpu(const struct side *host, const struct side *container, struct nvl_error *err)
{
    if (strcmp(host->uuid, container->uuid) == 0)
        return 0;
    return nvl_error_set(err, -EXDEV, "not the same GPU: the host's CUDA uses GPU-%s, the container's GPU-%s",
                         host->uuid, container->uuid);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, by_value);
    return count % 2 == 1 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static void compare_measures(struct side *host, struct side *container, struct nvl_bench *bench)
{
    for (size_t i = 0; i < NVL_BENCH_MEASURES; i++) {
        double h = median(host->values[i], host->count), c = median(container->values[i], container->count);
        bench->measures[i] = (struct nvl_bench_measure){
            kinds[i].id, kinds[i].title, kinds[i].unit, h, c, kinds[i].is_time ? h / c : c / h};
    }
    snprintf(bench->gpu, sizeof bench->gpu, "%s", host->gpu);
}

/* One after the other, each first in turn, so that slow changes, such as the GPU's clocks, affect both
 * equally. */
static int run_rounds(struct nvl_verify *v, struct nvl_bench *bench, struct nvl_error *err)
{
    struct side host = {.name = "on the host"}, container = {.name = "in the container"};
    int r = 0;

    for (unsigned i = 0; i < 2 * bench->rounds && r == 0; i++) {
        bool is_host = (i + 1) / 2 % 2 == 0;
        r = run_side(v, bench, is_host, is_host ? &host : &container, err);
        if (r == 0 && i == 1)
            r = check_same_gpu(&host, &container, err);
    }
    if (r == 0)
        compare_measures(&host, &container, bench);
    return r;
}

int nvl_bench(const struct nvl_container_facts *facts, const struct nvl_verify_request *request,
              unsigned rounds, struct nvl_bench *bench, struct nvl_error *err)
{
    nvl_auto(nvl_verify_close) struct nvl_verify v = {.inside = NVL_INSIDE_NONE, .probe = -1};

    *bench = (struct nvl_bench){.rounds = rounds < ROUNDS_MAX ? rounds : ROUNDS_MAX};
    int r = nvl_verify_open(&v, facts, request, err);
    if (r == 0)
        r = choose_gpu(facts, request->name, bench, err);
    if (r < 0)
        return r;
    set_visible(&v, bench);
    return run_rounds(&v, bench, err);
}
