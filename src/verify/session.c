/* How verify and bench enter a container, and what they run there. */
#include "verify/session.h"
#include "container/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "base/paths.h"
#include "doctor/container/services.h"
#include "doctor/facts.h"
#include "verify/verify.h"
#include "verify/workloads.h"

#define PROBE_MAX  (1u << 20)
#define OUTPUT_MAX (256u << 10)

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

bool nvl_inside_node_is_bad(const struct nvl_inside_node *n, int error)
{
    return error != 0 || n->node.state == NVL_NODE_MISSING || n->node.state == NVL_NODE_NOT_DEVICE ||
           n->node.state == NVL_NODE_STALE;
}

unsigned nvl_verify_seconds(const struct nvl_verify *v, unsigned normally)
{
    return v->request->seconds != 0 ? v->request->seconds : normally;
}

const char *nvl_verify_find(const struct nvl_verify *v, const char *const *paths)
{
    struct stat st;

    for (; *paths != NULL; paths++)
        if (nvl_root_stat(&v->facts->rootfs, *paths, 0, &st) == 0 && S_ISREG(st.st_mode))
            return *paths;
    return NULL;
}

void nvl_verify_note(const struct nvl_verify *v, const char *what)
{
    if (v->request->note != NULL)
        v->request->note(v->request->note_data, what);
}

static void note_program(const struct nvl_verify *v, const char *const *argv)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};

    for (; *argv != NULL; argv++)
        nvl_strv_push(&words, *argv);
    nvl_autofree char *line = nvl_strv_join(&words, " "), *what = nvl_xasprintf("runs inside: %s", line);
    nvl_verify_note(v, what);
}

/* With the user's own HOME, where programs look; nothing is left there (CUDA's cache is off). */
static void run_inside(struct nvl_verify *v, const char *const *argv, int program,
                       const struct nvl_account *user, unsigned seconds, struct nvl_output *out)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv environment = {0};
    const struct nvl_inside_command command = {
        argv, program, user, &environment, nvl_verify_seconds(v, seconds), OUTPUT_MAX};

    for (size_t i = 0; i < v->environment.count; i++)
        nvl_strv_push(&environment, v->environment.items[i]);
    nvl_strv_pushf(&environment, "HOME=%s", user != NULL ? user->home : "/root");
    nvl_strv_pushf(&environment, "USER=%s", user != NULL ? user->name : "root");
    note_program(v, argv);
    nvl_inside_run(&v->inside, &command, out);
}

void nvl_verify_program(struct nvl_verify *v, const char *const *argv, const struct nvl_account *user,
                        unsigned seconds, struct nvl_output *out)
{
    run_inside(v, argv, -1, user, seconds, out);
}

void nvl_verify_probe(struct nvl_verify *v, const char *const *arguments, const struct nvl_account *user,
                      struct nvl_probe_run *run)
{
    nvl_autofree const char **argv = NULL;
    size_t n = 0;

    *NVL_APPEND(argv, n) = "nvlxc-probe";
    for (; *arguments != NULL; arguments++)
        *NVL_APPEND(argv, n) = *arguments;
    *NVL_APPEND(argv, n) = NULL;
    nvl_probe_run_clear(run);
    run_inside(v, argv, v->probe, user, NVL_PROBE_SECONDS, &run->out);
    nvl_probe_parse(run->out.text, run->out.len, &run->lines);
}

void nvl_probe_run_clear(struct nvl_probe_run *run)
{
    nvl_output_clear(&run->out);
    nvl_probe_lines_clear(&run->lines);
}

char *nvl_probe_run_ending(const struct nvl_verify *v, const struct nvl_probe_run *run)
{
    nvl_autofree char *ending = nvl_output_ending(&run->out, nvl_verify_seconds(v, NVL_PROBE_SECONDS));
    const char *at = nvl_probe_last_try(&run->lines);

    return at != NULL ? nvl_xasprintf("in %s: %s", at, ending) : TAKE_PTR(ending);
}

const char *nvl_probe_second(const char *text)
{
    const char *blank = strchr(text, ' ');

    return blank != NULL ? blank + 1 : "";
}

/* A copy in memory: a process of the container sees the file that runs in it, and as root of a privileged
 * container could write to the host's own. */
static int seal_probe(const struct nvl_root *host, struct nvl_error *err)
{
    nvl_autofree char *data = NULL;
    size_t len;

    int r = nvl_root_read(host, NVL_PROBE_PROGRAM, PROBE_MAX, &data, &len);
    if (r < 0)
        return nvl_error_errno(err, r, "cannot read the probe, " NVL_PROBE_PROGRAM);
    nvl_autofd int fd = memfd_create("nvlxc-probe", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
    if (fd < 0 && errno == EINVAL) /* before Linux 6.3 every memfd is executable */
        fd = memfd_create("nvlxc-probe", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) {
        r = nvl_error_errno(err, -errno, "cannot hold the probe in memory (memfd_create)");
        nvl_error_hint(err, "if the kernel forbids it: sysctl vm.memfd_noexec=1");
        return r;
    }
    r = nvl_fd_write(fd, data, len);
    if (r == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        r = -errno;
    return r < 0 ? nvl_error_errno(err, r, "cannot hold the probe in memory") : TAKE_FD(fd);
}

/* The part of the config that the container's own programs get, if it concerns the GPU. */
static void make_inside_environment(struct nvl_verify *v)
{
    static const char *const wanted[] = {"LD_LIBRARY_PATH=", "CUDA_VISIBLE_DEVICES="};
    const struct nvl_config *config = &v->facts->config;

    nvl_strv_push(&v->environment, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    nvl_strv_push(&v->environment, "LC_ALL=C");
    nvl_strv_push(&v->environment, "CUDA_CACHE_DISABLE=1");
    nvl_strv_push(&v->environment, "PYTHONDONTWRITEBYTECODE=1");
    for (size_t i = 0; i < config->n_lines; i++) {
        const struct nvl_line *line = &config->lines[i];
        if (line->kind != NVL_LINE_KEY || line->section != 0 ||
            (strcmp(line->key, "lxc.environment") != 0 && strcmp(line->key, "lxc.environment.runtime") != 0))
            continue;
        for (size_t w = 0; w < NVL_LENGTH(wanted); w++)
            if (nvl_has_prefix(line->value, wanted[w]))
                nvl_strv_push(&v->environment, line->value);
    }
}

static int find_verify_user(struct nvl_verify *v, struct nvl_error *err)
{
    /* of packages, and of images without systemd */
    static const char *const names[] = {"ollama", "jellyfin", "plex", "emby", "frigate", "immich"};
    const char *name = v->request->user;

    if (name != NULL) {
        int r = nvl_account_find(&v->facts->rootfs, name, &v->user);
        return r < 0 ? nvl_error_errno(err, r, "user %s of container %s", name, v->facts->name) : 0;
    }
    if (nvl_workload_user(v, nvl_gpu_services, &v->user))
        return 0;
    for (size_t i = 0; i < NVL_LENGTH(names) && v->user.name == NULL; i++)
        nvl_account_find(&v->facts->rootfs, names[i], &v->user);
    return 0;
}

void nvl_verify_close(struct nvl_verify *v)
{
    nvl_inside_close(&v->inside);
    nvl_close_ptr(&v->probe);
    nvl_strv_clear(&v->environment);
    nvl_strv_clear(&v->specifications);
    nvl_account_clear(&v->user);
    nvl_probe_run_clear(&v->nvml);
    nvl_probe_run_clear(&v->cuda);
    free(v->nodes);
    free(v->libcuda);
    free(v->libnvidia_ml);
}

/* What prevents trying. */
static int check_ready(const struct nvl_container_facts *f, const struct nvl_verify_request *request,
                       struct nvl_error *err)
{
    if (!nvl_root_is_machine(f->host->root))
        return nvl_error_usage(err,
                               "%s runs programs in a container of this machine: it does not take --root",
                               request->command);
    if (geteuid() != 0)
        return nvl_error_host(err, -EPERM, "%s enters the container, which only root can do",
                              request->command);
    if (!f->host->host.driver.loaded) {
        nvl_error_host(err, -ENODEV,
                       "NVIDIA's kernel module is not loaded on the host: no container can use a GPU");
        nvl_error_hint(err, "see why: nvlxc host");
        return -ENODEV;
    }
    if (!f->is_running) {
        nvl_error_set(err, -ESRCH, "container %s is not running", f->name);
        nvl_error_hint(err, "start it: %s", request->start);
        return -ESRCH;
    }
    if (f->init > 0 && f->rootfs.fd >= 0)
        return 0;
    if (f->rootfs_code == -ETIMEDOUT) {
        nvl_error_set(err, -ETIMEDOUT, "the file systems of container %s do not answer", f->name);
        nvl_error_hint(err, "nvlxc doctor %s", request->name);
        return err->code;
    }
    if (f->init_error.code == 0)
        return nvl_error_set(err, -ESRCH, "container %s has just stopped, or runs without a root of its own",
                             f->name);
    *err = f->init_error;
    return err->code;
}

int nvl_verify_open(struct nvl_verify *v, const struct nvl_container_facts *facts,
                    const struct nvl_verify_request *request, struct nvl_error *err)
{
    bool is_mapped = facts->container->user != NULL || !facts->idmap.privileged;

    *v = (struct nvl_verify){.facts = facts, .request = request, .inside = NVL_INSIDE_NONE, .probe = -1};
    int r = check_ready(facts, request, err);
    if (r == 0)
        r = nvl_inside_open(&v->inside, facts->host->root, facts->init, is_mapped, err);
    if (r == -EBUSY) {
        nvl_autofree char *unfreeze = nvl_container_unfreeze(facts->container);
        nvl_error_hint(err, "%s", unfreeze);
    }
    if (r == 0)
        r = find_verify_user(v, err);
    if (r < 0)
        return r;
    v->probe = seal_probe(facts->host->root, err);
    if (v->probe < 0)
        return v->probe;
    make_inside_environment(v);
    return 0;
}
