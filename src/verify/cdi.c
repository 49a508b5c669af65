/* Docker and podman in the container: they pass a GPU to their own containers by a CDI specification, which
 * must exist and match what is there. */
#include <stdio.h>

#include "verify/parts.h"
#include "verify/workloads.h"
#include "container/commands.h"
#include "doctor/facts.h"
#include "verify/session.h"
#include "verify/verify.h"

#define SPECIFICATION_MAX (4u << 20)
#define OWN_FILE          "/etc/cdi/nvlxc.json"
#define TOOLKIT_CONFIG    "/etc/nvidia-container-runtime/config.toml"

static bool is_specification(const char *name)
{
    return nvl_has_suffix(name, ".json") || nvl_has_suffix(name, ".yaml") || nvl_has_suffix(name, ".yml");
}

/* The first specification of NVIDIA's GPUs; the caller frees both. */
static char *find_specification(const struct nvl_root *rootfs, char **text, size_t *len)
{
    static const char *const folders[] = {"/etc/cdi", "/var/run/cdi", "/run/cdi"};

    for (size_t f = 0; f < NVL_LENGTH(folders); f++) {
        nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
        nvl_root_list(rootfs, folders[f], &names);
        for (size_t i = 0; i < names.count && i < 256; i++) {
            nvl_autofree char *path = nvl_xasprintf("%s/%s", folders[f], names.items[i]), *data = NULL;
            if (!is_specification(names.items[i]) ||
                nvl_root_read(rootfs, path, SPECIFICATION_MAX, &data, len) < 0 ||
                memmem(data, *len, "nvidia.com/gpu", strlen("nvidia.com/gpu")) == NULL)
                continue;
            *text = TAKE_PTR(data);
            return TAKE_PTR(path);
        }
    }
    return NULL;
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

/* A grant that keeps the specification makes it at a start; else somebody writes it. */
static char *write_specification(const struct nvl_verify *v)
{
    const struct nvl_container_facts *f = v->facts;

    return f->has_grant && f->grant.delivery.cdi ? nvl_xstrdup(v->request->restart)
                                                 : nvl_container_write_cdi(f->container, f->name);
}

static void judge_specification(struct nvl_verify *v, const char *path, const char *text, size_t len)
{
    nvl_autofree char *node = find_missing_node(&v->facts->rootfs, text, len);
    nvl_autofree char *version = find_other_version(v, text, len);

    if (node == NULL && version == NULL) {
        nvl_step_add(v, "cdi", NVL_STEP_PASS, "%s", path);
        return;
    }
    struct nvl_step *step =
        node != NULL
            ? nvl_step_add(v, "cdi", NVL_STEP_FAIL, "%s names %s, which the container does not have", path,
                           node)
            : nvl_step_add(v, "cdi", NVL_STEP_FAIL, "%s names the driver %s, but the kernel module is %s",
                           path, version, v->facts->host->host.driver.version);
    nvl_autofree char *write = write_specification(v);
    nvl_step_cause(step,
                   "the specification was made for another grant or another driver: it follows changes only "
                   "with `nvlxc attach --cdi`, at each start");
    if (strcmp(path, OWN_FILE) == 0)
        nvl_step_fix(step, "%s", write);
    else if (nvl_is_plain(path))
        nvl_step_fix(step, "in the container: rm %s\n%s", path, write);
    else
        nvl_step_fix(step, "in the container: delete that file\n%s", write);
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

static void verify_cdi(struct nvl_verify *v, bool asked_for)
{
    static const char *const programs[] = {"/usr/bin/dockerd", "/usr/local/bin/dockerd", "/usr/bin/podman",
                                           "/usr/local/bin/podman", NULL};
    const struct nvl_root *rootfs = &v->facts->rootfs;
    const char *program = nvl_verify_find(v, programs);
    nvl_autofree char *text = NULL;
    size_t len = 0;

    if (program == NULL) {
        if (asked_for)
            nvl_workload_absent(v, "cdi", "dockerd, podman");
        return;
    }
    nvl_autofree char *path = find_specification(rootfs, &text, &len);
    if (path != NULL) {
        judge_specification(v, path, text, len);
        return;
    }
    if (has_runtime(rootfs)) {
        nvl_step_add(v, "cdi", NVL_STEP_PASS,
                     "no CDI specification; NVIDIA's runtime with no-cgroups = true");
        return;
    }
    struct nvl_step *step = nvl_step_add(
        v, "cdi", NVL_STEP_FAIL,
        "%s is installed, but no specification of nvidia.com/gpu is in /etc/cdi or /run/cdi", program);
    nvl_step_cause(step, "Docker and podman do not know the GPU: their own containers do not get it");
    nvl_autofree char *write = write_specification(v);
    nvl_step_fix(step, "%s", write);
}

const struct nvl_workload nvl_workload_cdi = {"docker", "podman", verify_cdi};
