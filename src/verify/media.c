/* The libraries of video, OpenCL and Vulkan: whether they load if they were granted, and whether the files
 * exist by which programs find them. */
#include <stdio.h>
#include <sys/wait.h>

#include "inject/home.h"
#include "verify/cause_libraries.h"
#include "verify/parts.h"
#include "bundle/version_match.h"
#include "doctor/facts.h"
#include "verify/session.h"
#include "verify/verify.h"

/* The probe's "load" line of a library; NULL if it did not get that far. */
static const struct nvl_probe_line *load_line(const struct nvl_probe_run *run, const char *soname)
{
    for (size_t i = 0; i < run->lines.count; i++)
        if (strcmp(run->lines.items[i].what, "load") == 0 && nvl_has_prefix(run->lines.items[i].text, soname))
            return &run->lines.items[i];
    return NULL;
}

/* The library is in the bundle: what the host's packages lack is not the container's fault. */
static bool is_bundled(const struct nvl_verify *v, const char *soname)
{
    nvl_autofree char *path = nvl_xasprintf("%s/lib64/%s", nvl_home(&v->facts->rootfs), soname);

    return nvl_root_exists(&v->facts->rootfs, path);
}

/* Adds a failed step if the library does not load, or has another version than the module. */
static bool loads(struct nvl_verify *v, const char *id, const char *soname, const struct nvl_probe_run *run,
                  const char **path)
{
    const struct nvl_probe_line *line = load_line(run, soname);
    const char *loaded = v->facts->host->host.driver.version;

    if (line != NULL && line->code == 0) {
        *path = nvl_probe_second(line->text);
        const char *name = strrchr(*path, '/'), *version = name != NULL ? nvl_name_version(name + 1) : NULL;
        if (version == NULL || strcmp(version, loaded) == 0)
            return true;
        nvl_cause_of_version(
            v, *path, version,
            nvl_step_add(v, id, NVL_STEP_FAIL, "%s is %s, the kernel module %s", *path, version, loaded));
        return false;
    }
    nvl_autofree char *ending = line == NULL ? nvl_probe_run_ending(v, run) : NULL;
    struct nvl_step *step = nvl_step_add(v, id, NVL_STEP_FAIL, "%s: %s", soname,
                                         line != NULL ? nvl_probe_second(line->text) : ending);
    if (line != NULL)
        nvl_cause_of_library(v, soname, nvl_probe_second(line->text), step);
    else
        nvl_step_cause(step, "loading it crashes the program");
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
    nvl_step_cause(
        step,
        "the library loads but does not work: it is incomplete, or has another version than the driver");
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

/* A library that programs find by a file that names it (an ICD). `variable` points them to the bundle's
 * own. */
struct named_library {
    const char *id, *function;
    const char *const *sonames; /* the usual first; ends with NULL */
    const char *const *files;   /* where the container may have that file; ends with NULL */
    const char *in_bundle, *variable;
};

/* The first of them that the file names, by the soname or the loaded version's own name; NULL for none. */
static const char *find_name(const struct nvl_verify *v, const struct named_library *l, const char *file)
{
    const char *version = v->facts->host->host.driver.version;

    for (const char *const *soname = l->sonames; *soname != NULL; soname++) {
        int stem = (int)(strstr(*soname, ".so.") - *soname);
        nvl_autofree char *own = nvl_xasprintf("%.*s.so.%s", stem, *soname, version);
        if (nvl_text_names(&v->facts->rootfs, file, *soname) || nvl_text_names(&v->facts->rootfs, file, own))
            return *soname;
    }
    return NULL;
}

static void fail_file(struct nvl_verify *v, const struct named_library *l, const char *file)
{
    struct nvl_step *step = nvl_step_add(v, l->id, NVL_STEP_FAIL, "%s does not name %s", file, l->sonames[0]);

    nvl_step_cause(step, "programs find the driver's library by that file: it was written by hand or for "
                         "another driver, or it is damaged");
    nvl_autofree char *word = nvl_shell_word(file);
    nvl_step_fix(step, "in the container: rm %s\n%s", word, v->request->restart);
}

static void verify_named(struct nvl_verify *v, const struct named_library *l)
{
    nvl_auto(nvl_probe_run_clear) struct nvl_probe_run run = {0};
    const char *file = nvl_verify_find(v, l->files), *path;
    const char *soname = file != NULL ? find_name(v, l, file) : l->sonames[0];

    if (file == NULL && !is_bundled(v, soname)) {
        nvl_step_add(v, l->id, NVL_STEP_SKIP, "the host's driver has no %s", soname);
        return;
    }
    if (soname == NULL) {
        fail_file(v, l, file);
        return;
    }
    const char *const arguments[] = {"library", soname, l->function, NULL};
    nvl_verify_probe(v, arguments, NULL, &run);
    if (!loads(v, l->id, soname, &run, &path))
        return;
    const struct nvl_probe_line *function = nvl_probe_find(&run.lines, "function");
    if (function == NULL || function->code != 0)
        judge_function(v, l->id, path[0] != '\0' ? path : soname, function, "");
    else if (file != NULL)
        nvl_step_add(v, l->id, NVL_STEP_PASS, "%s, named by %s", path, file);
    else
        nvl_step_add(v, l->id, NVL_STEP_PASS,
                     "%s; no file in the container names it: programs find it with %s=%s%s", path,
                     l->variable, nvl_home(&v->facts->rootfs), l->in_bundle);
}

static void verify_opencl(struct nvl_verify *v)
{
    static const char *const files[] = {"/etc/OpenCL/vendors/nvidia.icd", NULL};
    static const char *const sonames[] = {"libnvidia-opencl.so.1", NULL};
    static const struct named_library opencl = {.id = "opencl",
                                                .function = "clGetExtensionFunctionAddress",
                                                .sonames = sonames,
                                                .files = files,
                                                .in_bundle = "/etc/OpenCL/vendors",
                                                .variable = "OCL_ICD_VENDORS"};

    verify_named(v, &opencl);
}

static void verify_vulkan(struct nvl_verify *v)
{
    static const char *const files[] = {"/etc/vulkan/icd.d/nvidia_icd.json",
                                        "/usr/share/vulkan/icd.d/nvidia_icd.json",
                                        "/usr/local/share/vulkan/icd.d/nvidia_icd.json", NULL};
    /* the second one in packages for machines without X */
    static const char *const sonames[] = {"libGLX_nvidia.so.0", "libEGL_nvidia.so.0", NULL};
    static const struct named_library vulkan = {.id = "vulkan",
                                                .function = "vk_icdGetInstanceProcAddr",
                                                .sonames = sonames,
                                                .files = files,
                                                .in_bundle = "/share/vulkan/icd.d/nvidia_icd.json",
                                                .variable = "VK_DRIVER_FILES"};

    verify_named(v, &vulkan);
}

static void skip(struct nvl_verify *v, const char *id, const char *capability)
{
    if (!v->starts)
        nvl_step_add(v, id, NVL_STEP_SKIP, "the step libc failed");
    else
        nvl_step_add(v, id, NVL_STEP_SKIP, "the capability %s is not granted", capability);
}

static void verify_media(struct nvl_verify *v)
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

const struct nvl_verify_part nvl_part_media = {verify_media};
