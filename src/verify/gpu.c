/* What the probe found when it used the GPU: by NVML, and by CUDA up to a kernel whose result was
 * compared. */
#include <stdio.h>

#include "inside/probe_output.h"
#include "verify/causes.h"
#include "verify/parts.h"
#include "verify/session.h"

/* The first line of that kind that is an error. */
static const struct nvl_probe_line *find_probe_error(const struct nvl_probe_run *run, const char *what)
{
    for (size_t i = 0; i < run->lines.count; i++)
        if (strcmp(run->lines.items[i].what, what) == 0 && run->lines.items[i].code != 0)
            return &run->lines.items[i];
    return NULL;
}

/* The texts of all lines of that kind. */
static char *join_evidence(const struct nvl_probe_run *run, const char *what, size_t *count)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv texts = {0};

    for (size_t i = 0; i < run->lines.count; i++)
        if (strcmp(run->lines.items[i].what, what) == 0)
            nvl_strv_push(&texts, run->lines.items[i].text);
    *count = texts.count;
    return nvl_strv_join(&texts, "; ");
}

/* The probe did not reach its end. */
static void fail_unended(struct nvl_verify *v, const char *id, const struct nvl_probe_run *run)
{
    nvl_autofree char *ending = nvl_probe_run_ending(v, run);
    struct nvl_step *step = nvl_step_add(v, id, NVL_STEP_FAIL, "%s", ending);

    if (run->out.timed_out)
        nvl_step_cause(step, "the driver does not return from that call: the GPU or its firmware hangs, or "
                             "the first start of a GPU without the persistence daemon takes very long");
    else
        nvl_step_cause(step, "the driver's library crashes the program in that call");
    nvl_step_fix(step, "dmesg | grep -e NVRM -e Xid\nsystemctl start nvidia-persistenced");
}

static void fail_nvml(struct nvl_verify *v, const char *call, const struct nvl_probe_line *line)
{
    struct nvl_step *step =
        nvl_step_add(v, "nvml", NVL_STEP_FAIL, "%s gives %d, %s", call, line->code, line->text);

    nvl_cause_of_nvml(v, line->code, step);
}

static void verify_nvml(struct nvl_verify *v)
{
    const struct nvl_probe_run *run = &v->nvml;
    const struct nvl_probe_line *init = nvl_probe_find(&run->lines, "nvml.init"), *error;
    const struct nvl_probe_line *driver = nvl_probe_find(&run->lines, "nvml.driver");
    size_t count;

    if (!v->starts || v->libnvidia_ml == NULL) {
        nvl_step_add(v, "nvml", NVL_STEP_SKIP, "the step %s failed", v->starts ? "libnvidia-ml" : "libc");
        return;
    }
    if (init != NULL && init->code != 0) {
        fail_nvml(v, "nvmlInit", init);
        return;
    }
    if (init == NULL || !run->lines.ended) {
        fail_unended(v, "nvml", run);
        return;
    }
    if ((error = find_probe_error(run, "nvml.count")) != NULL) {
        fail_nvml(v, "nvmlDeviceGetCount", error);
        return;
    }
    if ((error = find_probe_error(run, "nvml.name")) != NULL) {
        fail_nvml(v, "nvmlDeviceGetHandleByIndex", error);
        return;
    }
    nvl_autofree char *names = join_evidence(run, "nvml.name", &count);
    if (count == 0)
        nvl_cause_of_nvml(v, 6, nvl_step_add(v, "nvml", NVL_STEP_FAIL, "NVML answers, but finds no GPU"));
    else
        nvl_step_add(v, "nvml", NVL_STEP_PASS, "driver %s, %zu GPU%s: %s",
                     driver != NULL ? driver->text : "?", count, count == 1 ? "" : "s", names);
}

/* "cuInit CUDA_ERROR_UNKNOWN: unknown error", or only the call if the library has no words. */
static void fail_cuda(struct nvl_verify *v, const char *id, const struct nvl_probe_line *line)
{
    const char *blank = strchr(line->text, ' ');
    int call_len = (int)(blank != NULL ? (size_t)(blank - line->text) : strlen(line->text));
    const char *words = blank != NULL && blank[1] != '\0' ? blank + 1 : nvl_cuda_name(line->code);
    struct nvl_step *step =
        nvl_step_add(v, id, NVL_STEP_FAIL, "%.*s gives %d %s", call_len, line->text, line->code, words);

    nvl_cause_of_cuda(v, line->code, step);
}

static bool judge_init(struct nvl_verify *v, const struct nvl_probe_run *run, size_t *devices)
{
    const struct nvl_probe_line *line = nvl_probe_find(&run->lines, "cuda.function");
    const struct nvl_probe_line *version = nvl_probe_find(&run->lines, "cuda.version");
    const struct nvl_probe_line *ms = nvl_probe_find(&run->lines, "cuda.ms");

    (void)devices;
    if (line != NULL) {
        struct nvl_step *step =
            nvl_step_add(v, "cuda-init", NVL_STEP_FAIL, "%s has no %s", v->libcuda, line->text);
        nvl_step_cause(step, "this libcuda is incomplete: too old, or not NVIDIA's");
        return false;
    }
    line = nvl_probe_find(&run->lines, "cuda.init");
    if (line == NULL)
        fail_unended(v, "cuda-init", run);
    else if (line->code != 0)
        fail_cuda(v, "cuda-init", line);
    else
        nvl_step_add(v, "cuda-init", NVL_STEP_PASS, "cuInit in %d ms, CUDA %s", ms != NULL ? ms->code : 0,
                     version != NULL ? version->text : "?");
    return line != NULL && line->code == 0;
}

static bool judge_devices(struct nvl_verify *v, const struct nvl_probe_run *run, size_t *count)
{
    const struct nvl_probe_line *error = find_probe_error(run, "cuda.device");
    nvl_autofree char *names = join_evidence(run, "cuda.name", count);

    if (error != NULL)
        fail_cuda(v, "cuda-devices", error);
    else if (*count == 0 && !run->lines.ended)
        fail_unended(v, "cuda-devices", run);
    else if (*count == 0)
        nvl_cause_of_cuda(v, 100, nvl_step_add(v, "cuda-devices", NVL_STEP_FAIL, "CUDA finds no GPU"));
    else
        nvl_step_add(v, "cuda-devices", NVL_STEP_PASS, "%zu: %s", *count, names);
    return error == NULL && *count > 0;
}

/* A part of the work on each device: all of them must have reached its comparison. `what` names its calls,
 * "WHAT.compared" the comparison. */
static bool judge_work(struct nvl_verify *v, const struct nvl_probe_run *run, const char *id,
                       const char *what, size_t devices)
{
    nvl_autofree char *compared = nvl_xasprintf("%s.compared", what);
    const struct nvl_probe_line *error = find_probe_error(run, what),
                                *wrong = find_probe_error(run, compared);
    size_t count;
    nvl_autofree char *texts = join_evidence(run, compared, &count);

    if (error != NULL) {
        fail_cuda(v, id, error);
    } else if (wrong != NULL) {
        struct nvl_step *step = nvl_step_add(v, id, NVL_STEP_FAIL, "%s", wrong->text);
        nvl_step_cause(step, "the GPU does not return the data that it was given: its memory, the bus, or a "
                             "translated address (IOMMU) is at fault");
        nvl_step_fix(step, "dmesg | grep -e NVRM -e Xid -e AER -e DMAR -e AMD-Vi");
    } else if (count < devices && !run->lines.ended) {
        fail_unended(v, id, run);
    } else if (count < devices) {
        nvl_step_add(v, id, NVL_STEP_SKIP, "not tried on every GPU");
    } else {
        nvl_step_add(v, id, NVL_STEP_PASS, "%s", texts);
        return true;
    }
    return false;
}

static bool judge_memory(struct nvl_verify *v, const struct nvl_probe_run *run, size_t *devices)
{
    return judge_work(v, run, "cuda-memory", "cuda.memory", *devices);
}

static bool judge_kernel(struct nvl_verify *v, const struct nvl_probe_run *run, size_t *devices)
{
    return judge_work(v, run, "cuda-kernel", "cuda.kernel", *devices);
}

/* CUDA's steps: each needs those before it. The second tells the others the number of devices. */
static const struct {
    const char *id;
    bool (*judge)(struct nvl_verify *v, const struct nvl_probe_run *run, size_t *devices);
} cuda_steps[] = {
    {"cuda-init", judge_init},
    {"cuda-devices", judge_devices},
    {"cuda-memory", judge_memory},
    {"cuda-kernel", judge_kernel},
};

static void verify_cuda(struct nvl_verify *v)
{
    const struct nvl_probe_run *run = &v->cuda;
    bool is_granted = !v->starts || v->libcuda != NULL || run->out.text != NULL;
    const char *failed = v->libcuda != NULL ? NULL : v->starts ? "libcuda" : "libc";
    size_t devices = 0;

    for (size_t i = 0; i < NVL_LENGTH(cuda_steps); i++) {
        const char *id = cuda_steps[i].id;
        if (!is_granted)
            nvl_step_add(v, id, NVL_STEP_SKIP, "the capability compute is not granted");
        else if (failed != NULL)
            nvl_step_add(v, id, NVL_STEP_SKIP, "the step %s failed", failed);
        else if (!cuda_steps[i].judge(v, run, &devices))
            failed = id;
    }
    v->cuda_works = failed == NULL;
    v->cuda_why_not = is_granted ? failed : NULL;
}

static void verify_gpu(struct nvl_verify *v)
{
    verify_nvml(v);
    verify_cuda(v);
}

const struct nvl_verify_part nvl_part_gpu = {verify_gpu};
