/* Which files the container's loader takes for libnvidia-ml and libcuda, whether they have the kernel
 * module's version, and what the container's nvidia-smi reports. */
#include <stdio.h>
#include <sys/wait.h>

#include "inject/home.h"
#include "verify/cause_libraries.h"
#include "inside/run.h"
#include "verify/causes.h"
#include "verify/parts.h"
#include "bundle/version_match.h"
#include "doctor/facts.h"
#include "verify/session.h"
#include "verify/verify.h"

/* The version of a library of the container: from its name, else the module's, if the file contains that.
 * NULL if neither tells. */
static char *version_in_name(const struct nvl_verify *v, const char *path)
{
    const char *name = strrchr(path, '/'), *loaded = v->facts->host->host.driver.version;
    const char *version = name != NULL ? nvl_name_version(name + 1) : NULL;

    if (version != NULL)
        return nvl_xstrdup(version);
    return nvl_content_has_version(&v->facts->rootfs, path, loaded) == 1 ? nvl_xstrdup(loaded) : NULL;
}

static void judge_file(struct nvl_verify *v, const char *id, const char *path)
{
    nvl_autofree char *version = version_in_name(v, path);
    const char *loaded = v->facts->host->host.driver.version;

    if (version == NULL)
        nvl_step_add(v, id, NVL_STEP_PASS, "%s, which does not tell its version", path);
    else if (strcmp(version, loaded) == 0)
        nvl_step_add(v, id, NVL_STEP_PASS, "%s, the kernel module's version", path);
    else if (strstr(path, "/compat/") != NULL)
        nvl_step_add(v, id, NVL_STEP_PASS, "%s, a CUDA compatibility library of %s", path, version);
    else
        nvl_cause_of_version(
            v, path, version,
            nvl_step_add(v, id, NVL_STEP_FAIL, "%s is %s, the kernel module %s", path, version, loaded));
}

/* Returns the file, NULL if none was loaded. */
static char *judge_library(struct nvl_verify *v, const char *id, const char *soname,
                           const struct nvl_probe_run *run)
{
    const struct nvl_probe_line *line = nvl_probe_find(&run->lines, "load");

    if (line == NULL) {
        nvl_autofree char *ending = nvl_probe_run_ending(v, run);
        struct nvl_step *step = nvl_step_add(v, id, NVL_STEP_FAIL, "loading %s: %s", soname, ending);
        nvl_step_cause(step, "the file that the loader takes for %s crashes the program that loads it",
                       soname);
        return NULL;
    }
    if (line->code != 0) {
        const char *complaint = nvl_probe_second(line->text);
        struct nvl_step *step = nvl_step_add(v, id, NVL_STEP_FAIL, "%s", complaint);
        nvl_cause_of_library(v, soname, complaint, step);
        return NULL;
    }
    judge_file(v, id, nvl_probe_second(line->text));
    return nvl_xstrdup(nvl_probe_second(line->text));
}

/* nvidia-smi ends with NVML's number, except in these cases. */
static int nvml_code(int status)
{
    return status == 255 ? 999 : status;
}

static void judge_smi(struct nvl_verify *v, const char *path, const struct nvl_output *out)
{
    nvl_autofree char *said = nvl_printable(out->text, out->len, 300),
                      *ending = nvl_output_ending(out, nvl_verify_seconds(v, NVL_PROBE_SECONDS));
    bool went = !out->timed_out && out->error == 0 && WIFEXITED(out->status);
    bool none = strstr(said, "No devices were found") != NULL;

    if (went && WEXITSTATUS(out->status) == 0 && !none) {
        nvl_step_add(v, "nvidia-smi", NVL_STEP_PASS, "%s", said);
        return;
    }
    struct nvl_step *step = nvl_step_add(v, "nvidia-smi", NVL_STEP_FAIL, "%s: %s: %s", path, ending, said);
    if (!went) {
        nvl_step_cause(step, "it does not end by itself: the driver hangs or crashes");
        nvl_step_fix(step, "dmesg | grep -e NVRM -e Xid");
    } else if (none || WEXITSTATUS(out->status) == 6) {
        nvl_cause_of_nvml(v, 6, step);
    } else {
        nvl_cause_of_nvml(v, nvml_code(WEXITSTATUS(out->status)), step);
    }
}

static void run_smi(struct nvl_verify *v)
{
    const char *home = nvl_home(&v->facts->rootfs);
    nvl_autofree char *bundled = nvl_xasprintf("%s/bin/nvidia-smi", home);
    const char *const paths[] = {"/usr/local/bin/nvidia-smi", bundled, "/usr/bin/nvidia-smi",
                                 "/usr/local/sbin/nvidia-smi", NULL};
    nvl_auto(nvl_output_clear) struct nvl_output out = {0};
    const char *path = nvl_verify_find(v, paths);

    if (path == NULL && (v->capabilities & NVL_CAP_UTILITY) == 0) {
        nvl_step_add(v, "nvidia-smi", NVL_STEP_SKIP, "the capability utility is not granted");
        return;
    }
    if (path == NULL) {
        struct nvl_step *step =
            nvl_step_add(v, "nvidia-smi", NVL_STEP_FAIL, "nvidia-smi is not in the container");
        nvl_step_cause(step, "no driver is mounted at %s, or it was made without nvidia-smi", home);
        nvl_step_fix(step, "nvlxc driver sync\n%s", v->request->restart);
        return;
    }
    const char *const argv[] = {path, "--query-gpu=index,name,driver_version,memory.total",
                                "--format=csv,noheader", NULL};
    nvl_verify_program(v, argv, NULL, NVL_PROBE_SECONDS, &out);
    judge_smi(v, path, &out);
}

static void verify_libraries(struct nvl_verify *v)
{
    static const char *const ids[] = {"libnvidia-ml", "libcuda", "nvidia-smi"};
    static const char *const nvml[] = {"nvml", NULL}, *const cuda[] = {"cuda", NULL};

    for (size_t i = 0; i < NVL_LENGTH(ids) && !v->starts; i++)
        nvl_step_add(v, ids[i], NVL_STEP_SKIP, "the step libc failed");
    if (!v->starts)
        return;
    nvl_verify_probe(v, nvml, NULL, &v->nvml);
    v->libnvidia_ml = judge_library(v, "libnvidia-ml", "libnvidia-ml.so.1", &v->nvml);
    if ((v->capabilities & (NVL_CAP_COMPUTE | NVL_CAP_VIDEO | NVL_CAP_NGX)) != 0) {
        nvl_verify_probe(v, cuda, NULL, &v->cuda);
        v->libcuda = judge_library(v, "libcuda", "libcuda.so.1", &v->cuda);
    } else {
        nvl_step_add(v, "libcuda", NVL_STEP_SKIP, "the capability compute is not granted");
    }
    run_smi(v);
}

const struct nvl_verify_part nvl_part_libraries = {verify_libraries};
