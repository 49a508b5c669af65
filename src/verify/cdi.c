/* Docker and podman in the container: they pass a GPU to their own containers by a CDI specification, which
 * must exist, match what is there, and work (nested.c). */
#include <stdio.h>

#include "verify/parts.h"
#include "verify/workloads.h"
#include "doctor/facts.h"
#include "verify/session.h"
#include "verify/verify.h"

#define SPECIFICATION_MAX (4u << 20)
#define TOOLKIT_CONFIG    "/etc/nvidia-container-runtime/config.toml"

static bool is_specification(const char *name)
{
    return nvl_has_suffix(name, ".json") || nvl_has_suffix(name, ".yaml") || nvl_has_suffix(name, ".yml");
}

/* Lists the specifications of NVIDIA's GPUs, and reads the first; the caller frees it. False for none. */
static bool find_specifications(struct nvl_verify *v, char **text, size_t *len)
{
    static const char *const folders[] = {"/etc/cdi", "/var/run/cdi"};
    const struct nvl_root *rootfs = &v->facts->rootfs;

    for (size_t f = 0; f < NVL_LENGTH(folders); f++) {
        nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
        nvl_root_list(rootfs, folders[f], &names);
        for (size_t i = 0; i < names.count && i < 256; i++) {
            nvl_autofree char *path = nvl_xasprintf("%s/%s", folders[f], names.items[i]), *data = NULL;
            size_t n;
            if (!is_specification(names.items[i]) ||
                nvl_root_read(rootfs, path, SPECIFICATION_MAX, &data, &n) < 0 ||
                memmem(data, n, "nvidia.com/gpu", strlen("nvidia.com/gpu")) == NULL)
                continue;
            nvl_strv_push(&v->specifications, path);
            if (v->specifications.count > 1)
                continue;
            *text = TAKE_PTR(data);
            *len = n;
        }
    }
    return v->specifications.count > 0;
}

static bool ends_word(char c)
{
    return !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
             c == '_' || c == '/');
}

/* The first device node that it names and the container lacks; the caller frees. */
static char *find_missing_node(const struct nvl_root *rootfs, const char *text, size_t len)
{
    static const char prefix[] = "/dev/nvidia";
    const char *p = text, *end = text + len;

    for (unsigned seen = 0; seen < 4096 && (p = memmem(p, (size_t)(end - p), prefix, strlen(prefix))) != NULL;
         seen++) {
        size_t n = strlen(prefix);
        while (p + n < end && n < 64 && !ends_word(p[n]))
            n++;
        nvl_autofree char *path = nvl_xstrndup(p, n);
        if (!nvl_root_exists(rootfs, path))
            return TAKE_PTR(path);
        p += n;
    }
    return NULL;
}

/* "libcuda.so.550.163.01" with another version than the module's; the caller frees. */
static char *find_other_version(const struct nvl_verify *v, const char *text, size_t len)
{
    static const char prefix[] = "libcuda.so.";
    const char *p = text, *end = text + len;

    while ((p = memmem(p, (size_t)(end - p), prefix, strlen(prefix))) != NULL) {
        size_t n = 0;
        p += strlen(prefix);
        while (p + n < end && n < NVL_VERSION_MAX && ((p[n] >= '0' && p[n] <= '9') || p[n] == '.'))
            n++;
        nvl_autofree char *version = nvl_xstrndup(p, n);
        if (nvl_is_version(version, n) && strcmp(version, v->facts->host->host.driver.version) != 0)
            return TAKE_PTR(version);
    }
    return NULL;
}

static bool judge_specification(struct nvl_verify *v, const char *text, size_t len)
{
    const char *path = v->specifications.items[0];
    nvl_autofree char *node = find_missing_node(&v->facts->rootfs, text, len);
    nvl_autofree char *version = find_other_version(v, text, len);

    if (node == NULL && version == NULL) {
        nvl_step_add(v, "cdi", NVL_STEP_PASS, "%s", path);
        return true;
    }
    struct nvl_step *step =
        node != NULL
            ? nvl_step_add(v, "cdi", NVL_STEP_FAIL, "%s names %s, which the container does not have", path,
                           node)
            : nvl_step_add(v, "cdi", NVL_STEP_FAIL, "%s names the driver %s, but the kernel module is %s",
                           path, version, v->facts->host->host.driver.version);
    nvl_step_cause(step,
                   "the specification was made for another grant or another driver: it follows changes only "
                   "with `nvlxc attach --cdi`, at each start");
    nvl_step_fix_from_table(v, step, &(const struct nvl_fix){"", NVL_FIX_CDI});
    return false;
}

/* The older way: NVIDIA's runtime, which must not touch the device filter in a container. */
static bool has_runtime(const struct nvl_root *rootfs)
{
    nvl_autofree char *text = NULL;
    const char *line;
    size_t len, line_len, pos = 0;

    if (nvl_root_read(rootfs, TOOLKIT_CONFIG, SPECIFICATION_MAX, &text, &len) < 0)
        return false;
    while (nvl_next_line(text, len, &pos, &line, &line_len)) {
        nvl_autofree char *copy = nvl_xstrndup(line, line_len);
        char key[32], value[16];
        if (sscanf(copy, " %31[a-z-] = %15[a-z]", key, value) == 2 && strcmp(key, "no-cgroups") == 0)
            return strcmp(value, "true") == 0;
    }
    return false;
}

/* What passes a GPU on, and how it is known to run, if it must. */
static const struct engine {
    const char *name, *running;
    const char *const *programs;
} engines[] = {
    {"docker", "/run/docker.pid",
     (const char *const[]){"/usr/bin/dockerd", "/usr/local/bin/dockerd", "/usr/sbin/dockerd", NULL}},
    {"podman", NULL, (const char *const[]){"/usr/bin/podman", "/usr/local/bin/podman", NULL}},
};

static bool is_wanted(const struct nvl_verify *v, const struct engine *engine)
{
    return v->request->workload == NULL || nvl_workload_is_asked(v, engine->name, NULL);
}

/* The program of the first engine that is wanted and there. */
static const char *find_engine(const struct nvl_verify *v)
{
    const char *program = NULL;

    for (size_t i = 0; i < NVL_LENGTH(engines) && program == NULL; i++)
        if (is_wanted(v, &engines[i]))
            program = nvl_verify_find(v, engines[i].programs);
    return program;
}

static void say_no_specification(struct nvl_verify *v, const char *program)
{
    if (has_runtime(&v->facts->rootfs)) {
        nvl_step_add(v, "cdi", NVL_STEP_PASS,
                     "no CDI specification; NVIDIA's runtime with no-cgroups = true");
        return;
    }
    struct nvl_step *step = nvl_step_add(
        v, "cdi", NVL_STEP_FAIL,
        "%s is installed, but no specification of nvidia.com/gpu is in /etc/cdi or /run/cdi", program);
    nvl_step_cause(step, "Docker and podman do not know the GPU: their own containers do not get it");
    nvl_step_fix_from_table(v, step, &(const struct nvl_fix){"", NVL_FIX_CDI});
}

static void verify_cdi(struct nvl_verify *v, bool asked_for)
{
    const char *program = find_engine(v);
    nvl_autofree char *text = NULL;
    size_t len = 0;

    if (program == NULL) {
        if (asked_for)
            nvl_workload_absent(v, "cdi", v->request->workload);
        return;
    }
    if (!find_specifications(v, &text, &len)) {
        say_no_specification(v, program);
        return;
    }
    bool is_right = judge_specification(v, text, len);
    for (size_t i = 0; i < NVL_LENGTH(engines); i++) {
        if (!is_wanted(v, &engines[i]) || nvl_verify_find(v, engines[i].programs) == NULL)
            continue;
        if (is_right)
            nvl_workload_nest(v, engines[i].name, engines[i].running);
        else
            nvl_step_add(v, engines[i].name, NVL_STEP_SKIP, "the step cdi failed");
    }
}

const struct nvl_workload nvl_workload_cdi = {"docker", "podman", verify_cdi};
