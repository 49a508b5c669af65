/* Writes this node's file. */
#include "cluster/publish.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>

#include "base/file.h"
#include "base/locks.h"
#include "base/printable.h"
#include "base/root.h"
#include "base/visit.h"
#include "container/gpu_programs.h"
#include "host/gpu_state.h"
#include "host/host.h"
#include "host/pve_node.h"
#include "host/system.h"

#define LOCK_WAIT_MS 10000

/* ---- what the node has ---- */

/* On one line, as the readers want it. */
static void make_plain(char *text)
{
    for (char *c = nvl_make_printable(text); *c != '\0'; c++)
        if (*c == '\n' || *c == '\t')
            *c = '?';
}

static void add_own_gpu(const struct nvl_gpu *gpu, struct nvl_gpus *gpus)
{
    struct nvl_gpu *own = NVL_APPEND(gpus->items, gpus->count);

    *own = *gpu;
    own->migs = NULL;
    own->n_migs = 0;
    for (size_t i = 0; i < gpu->n_migs && i < NVL_NODE_MIGS_MAX; i++)
        *NVL_APPEND(own->migs, own->n_migs) = gpu->migs[i];
    make_plain(own->model);
    make_plain(own->driver_name);
}

static bool lacks_memory(const struct nvl_gpus *gpus)
{
    for (size_t i = 0; i < gpus->count; i++)
        if (gpus->items[i].memory == 0 && gpus->items[i].uuid[0] != '\0')
            return true;
    return false;
}

static void keep_memory(const struct nvl_node_file *before, struct nvl_gpus *gpus)
{
    for (size_t i = 0; i < gpus->count; i++) {
        const char *uuid = gpus->items[i].uuid;
        const struct nvl_gpu *known = uuid[0] != '\0' ? nvl_gpu_by_uuid(&before->gpus, uuid) : NULL;
        if (known != NULL)
            gpus->items[i].memory = known->memory;
    }
}

/* A driver that does not answer costs ten seconds, and leaves it unknown. */
static void ask_nvml_memory(const struct nvl_host *host, struct nvl_gpus *gpus)
{
    const struct nvl_containers none = {0};
    struct nvl_gpu_programs programs = {0};
    struct nvl_readings readings = {0};

    if (nvl_gpu_programs_read(host, &none, &programs, &readings, NULL) == 0)
        for (size_t i = 0; i < gpus->count; i++) {
            const struct nvl_gpu_readings *of = nvl_readings_of(&readings, gpus->items[i].uuid);
            if (of != NULL && of->values[NVL_READING_MEMORY_TOTAL] > 0)
                gpus->items[i].memory = (uint64_t)of->values[NVL_READING_MEMORY_TOTAL];
        }
    nvl_readings_clear(&readings);
    nvl_gpu_programs_clear(&programs);
}

void nvl_node_file_now(const struct nvl_host *host, const char *node, const struct nvl_node_file *before,
                       struct nvl_node_file *file)
{
    time_t now = time(NULL);
    struct tm tm;

    *file = (struct nvl_node_file){.driver = host->driver};
    nvl_copy(file->node, sizeof file->node, node, strlen(node));
    strftime(file->when, sizeof file->when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
    for (size_t i = 0; i < host->gpus.count && file->gpus.count < NVL_NODE_GPUS_MAX; i++)
        if (nvl_gpu_state(&host->gpus.items[i]) != NVL_GPU_IS_VIRTUAL)
            add_own_gpu(&host->gpus.items[i], &file->gpus);
    if (before != NULL)
        keep_memory(before, &file->gpus);
    if (nvl_root_is_machine(host->root) && lacks_memory(&file->gpus))
        ask_nvml_memory(host, &file->gpus);
}

/* ---- writing it ---- */

static int wait_for_quorum(const struct nvl_root *root, unsigned wait_s, const char *path,
                           struct nvl_error *err)
{
    const struct timespec second = {.tv_sec = 1};

    for (unsigned i = 0; !nvl_cluster_has_quorum(root, NULL); i++) {
        if (i == wait_s) {
            nvl_error_host(err, -EROFS,
                           "the Proxmox cluster has no quorum: /etc/pve is read-only, and %s stays as it is",
                           path);
            nvl_error_hint(err, "see `pvecm status`; bring the other nodes back, then run the command again");
            return -EROFS;
        }
        nanosleep(&second, NULL);
    }
    return 0;
}

/* Whether the file has to be written: then with which text. */
static int compare_published(const struct nvl_root *root, const char *node, char **text,
                             struct nvl_error *err)
{
    nvl_auto(nvl_host_clear) struct nvl_host host = {0};
    nvl_auto(nvl_node_file_clear) struct nvl_node_file before = {0}, now = {0};
    nvl_autofree char *why = NULL;

    int r = nvl_host_read(&host, root, NVL_GPUS_ALL, err);
    if (r < 0)
        return r;
    bool is_known = nvl_node_file_read(root, node, &before, &why) == NVL_NODE_FILE_GOOD;
    nvl_node_file_now(&host, node, is_known ? &before : NULL, &now);
    if (!is_known || !nvl_node_file_is_same(&before, &now))
        *text = nvl_node_file_format(&now);
    return nvl_root_trouble(root, err); /* it may lack something */
}

/* The folder is Proxmox's: pvecm makes it, at each start of pve-cluster.service. */
static int open_and_lock(const struct nvl_root *root, const char *folder, struct nvl_error *err)
{
    nvl_autofd int fd = nvl_root_openat(root, folder, O_RDONLY | O_DIRECTORY);
    int r = fd < 0 ? fd : nvl_lock_wait(fd, LOCK_WAIT_MS);

    if (r == -ETIMEDOUT)
        return nvl_error_set(err, r, "another program has held the lock on %s for more than %d s", folder,
                             LOCK_WAIT_MS / 1000);
    if (r < 0)
        nvl_error_errno(err, r, "cannot write into %s", folder);
    if (r == -ENOENT)
        nvl_error_hint(err, "pvecm updatecerts   # makes the folder of this node");
    return r < 0 ? r : TAKE_FD(fd);
}

static int publish(const struct nvl_root *root, const char *node, unsigned wait_s, bool dry_run,
                   enum nvl_publication *what, struct nvl_error *err)
{
    nvl_autofree char *folder = nvl_xasprintf(NVL_NODES_DIR "/%s", node),
                      *path = nvl_xasprintf("%s/" NVL_NODE_FILE, folder), *text = NULL;

    int r = dry_run ? 0 : wait_for_quorum(root, wait_s, path, err);
    if (r < 0)
        return r;
    nvl_autofd int fd = open_and_lock(root, folder, err);
    if (fd < 0)
        return fd;
    r = compare_published(root, node, &text, err);
    if (r < 0)
        return r;
    *what = text != NULL ? NVL_PUBLICATION_NEW : NVL_PUBLICATION_SAME;
    if (text == NULL || dry_run)
        return 0;
    if (strlen(text) > NVL_NODE_FILE_MAX)
        return nvl_error_set(err, -EFBIG, "%s would be larger than %u KiB, so it stays as it is", path,
                             NVL_NODE_FILE_MAX >> 10);
    nvl_visit_writes();
    r = nvl_file_replace(fd, NVL_NODE_FILE, text, strlen(text), NULL, err);
    if (r == -EACCES || r == -EPERM || r == -EROFS)
        nvl_error_exit(err, NVL_EXIT_HOST);
    return r < 0 ? nvl_error_prefix(err, "%s", folder) : 0;
}

int nvl_publish(const struct nvl_root *root, unsigned wait_s, bool dry_run, enum nvl_publication *what,
                struct nvl_error *err)
{
    nvl_auto(nvl_members_clear) struct nvl_members members = {0};
    int r = nvl_members_read(root, &members, err);

    *what = NVL_PUBLICATION_NONE;
    if (r < 0 || members.count == 0)
        return r;
    if (members.here == NULL || !nvl_is_member(&members, members.here))
        return nvl_error_host(err, -ENOENT, "the cluster has no member %s, which this node is called",
                              members.here != NULL ? members.here : "of the name");
    return publish(root, members.here, wait_s, dry_run, what, err);
}
