/* The libraries of video, OpenCL and Vulkan: they load where they were granted, and the files by which
 * programs find them are there. */
#include <stdio.h>
#include <sys/wait.h>

#include "base/paths.h"
#include "check/verify_steps.h"

/* The probe's "load" line of a library; NULL where it did not come so far. */
static const struct nvl_probe_line *load_line(const struct nvl_probe_run *run, const char *soname)
{
    for (size_t i = 0; i < run->lines.count; i++)
        if (strcmp(run->lines.items[i].what, "load") == 0 && nvl_has_prefix(run->lines.items[i].text, soname))
            return &run->lines.items[i];
    return NULL;
}

/* The library is in the bundle: what its host's packages lack is not the container's fault. */
static bool is_in_bundle(const struct nvl_verify *v, const char *soname)
{
    nvl_autofree char *path = nvl_xasprintf(NVL_MOUNT_POINT "/lib64/%s", soname);

    return nvl_root_exists(&v->facts->rootfs, path);
}

/* Adds the failed step where the library does not load. */
static bool loads(struct nvl_verify *v, const char *id, const char *soname, const struct nvl_probe_run *run,
                  const char **path)
{
    const struct nvl_probe_line *line = load_line(run, soname);

    if (line != NULL && line->code == 0) {
        *path = nvl_probe_second(line->text);
        return true;
    }
    nvl_autofree char *ending = line == NULL ? nvl_probe_run_ending(v, run) : NULL;
    struct nvl_step *step = nvl_step_add(v, id, NVL_STEP_FAIL, "%s: %s", soname,
                                         line != NULL ? nvl_probe_second(line->text) : ending);
    if (line != NULL)
        nvl_cause_of_library(v, soname, nvl_probe_second(line->text), step);
    else
        nvl_step_cause(step, "loading it ends the program");
    return false;
}

static void judge_function(struct nvl_verify *v, const char *id, const char *path,
                           const struct nvl_probe_line *line, const char *what)
{
    if (line != NULL && line->code == 0) {
        nvl_step_add(v, id, NVL_STEP_PASS, "%s, %s%s", path, what, line->text);
        return;
    }
    struct nvl_step *step =
        nvl_step_add(v, id, NVL_STEP_FAIL, "%s: %s", path, line != NULL ? line->text : "it does not answer");
    nvl_step_cause(step,
                   "the library is there and does not do what it should: it is not whole, or not of the "
                   "driver's version");
    nvl_step_fix(step, "nvlxc driver sync\n%s", v->request->restart);
}

static void verify_video(struct nvl_verify *v)
{
    static const char *const arguments[] = {"video", NULL};
    nvl_auto(nvl_probe_run_clear) struct nvl_probe_run run = {0};
    const char *path;

    nvl_verify_probe(v, arguments, NULL, &run);
    if (loads(v, "nvenc", "libnvidia-encode.so.1", &run, &path))
        judge_function(v, "nvenc", path, nvl_probe_find(&run.lines, "nvenc"), "interface ");
    if (loads(v, "nvdec", "libnvcuvid.so.1", &run, &path))
        judge_function(v, "nvdec", path, nvl_probe_find(&run.lines, "nvdec"), "");
}

/* A library that programs find by a file that names it. `variable` tells them of the bundle's own. */
struct named_library {
    const char *id, *argument, *soname;
    const char *const *files; /* where the container may have that file; ends with NULL */
    const char *in_bundle, *variable;
};

static void verify_named(struct nvl_verify *v, const struct named_library *l)
{
    const char *const arguments[] = {l->argument, NULL};
    nvl_auto(nvl_probe_run_clear) struct nvl_probe_run run = {0};
    const char *file = nvl_verify_find(v, l->files), *path;

    if (file == NULL && !is_in_bundle(v, l->soname)) {
        nvl_step_add(v, l->id, NVL_STEP_SKIP, "the host's driver has no %s", l->soname);
        return;
    }
    nvl_verify_probe(v, arguments, NULL, &run);
    if (!loads(v, l->id, l->soname, &run, &path))
        return;
    if (file != NULL)
        nvl_step_add(v, l->id, NVL_STEP_PASS, "%s, named by %s", path, file);
    else
        nvl_step_add(v, l->id, NVL_STEP_PASS,
                     "%s; no file in the container names it: programs find it with %s=%s", path, l->variable,
                     l->in_bundle);
}

static void verify_opencl(struct nvl_verify *v)
{
    static const char *const files[] = {"/etc/OpenCL/vendors/nvidia.icd", NULL};
    static const struct named_library opencl = {
        "opencl",         "opencl", "libnvidia-opencl.so.1", files, NVL_MOUNT_POINT "/etc/OpenCL/vendors",
        "OCL_ICD_VENDORS"};

    verify_named(v, &opencl);
}

static void verify_vulkan(struct nvl_verify *v)
{
    static const char *const files[] = {"/etc/vulkan/icd.d/nvidia_icd.json",
                                        "/usr/share/vulkan/icd.d/nvidia_icd.json",
                                        "/usr/local/share/vulkan/icd.d/nvidia_icd.json", NULL};
    static const struct named_library vulkan = {"vulkan",
                                                "vulkan",
                                                "libGLX_nvidia.so.0",
                                                files,
                                                NVL_MOUNT_POINT "/share/vulkan/icd.d/nvidia_icd.json",
                                                "VK_DRIVER_FILES"};

    verify_named(v, &vulkan);
}

static void skip(struct nvl_verify *v, const char *id, const char *capability)
{
    if (!v->starts)
        nvl_step_add(v, id, NVL_STEP_SKIP, "the step libc failed");
    else
        nvl_step_add(v, id, NVL_STEP_SKIP, "the capability %s is not granted", capability);
}

void nvl_verify_media(struct nvl_verify *v)
{
    if (v->starts && (v->capabilities & NVL_CAP_VIDEO) != 0) {
        verify_video(v);
    } else {
        skip(v, "nvenc", "video");
        skip(v, "nvdec", "video");
    }
    if (v->starts && (v->capabilities & NVL_CAP_COMPUTE) != 0)
        verify_opencl(v);
    else
        skip(v, "opencl", "compute");
    if (v->starts && (v->capabilities & NVL_CAP_GRAPHICS) != 0)
        verify_vulkan(v);
    else
        skip(v, "vulkan", "graphics");
}
