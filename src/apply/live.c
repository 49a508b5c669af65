/* attach and detach in a container that runs. */
#include "apply/live.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/paths.h"
#include "container/grant_lines.h"
#include "base/run.h"
#include "apply/enter.h"
#include "apply/live_result.h"
#include "apply/device_filter.h"
#include "inject/inject.h"
#include "inject/node_copies.h"

#define LIVE_SECONDS                                                                                         \
    90 /* a file system of the container's may never answer; ldconfig has a limit of its own */

/* All that the child works with. */
struct changing {
    const struct nvl_root *root;
    const struct nvl_host *host;
    const struct nvl_entry_point *entry;
    struct nvl_bring *bring; /* NULL: only take */
    bool only_look;
    struct nvl_live_result *result;
};

static void take_and_bring(const struct changing *c, const struct nvl_root *rootfs)
{
    const struct nvl_taking t = {c->host, rootfs, c->only_look, &c->result->taken};
    const struct nvl_bring *b = c->bring;
    bool keeps_driver = b != NULL && b->bundle.fd >= 0;

    nvl_take_nodes(&t, b != NULL ? b->resolved.nodes : NULL, b != NULL ? b->resolved.n_nodes : 0);
    nvl_take_driver(&t, keeps_driver ? b->bundle.fd : -1);
    nvl_take_view(&t, b != NULL ? &b->view : NULL);
    if (b != NULL)
        nvl_bring_put(c->bring, rootfs);
}

/* After the way back: the linker's cache is written by a program of the host, started from the host's mounts.
 */
static void finish(const struct changing *c, const struct nvl_root *rootfs)
{
    const struct nvl_entry_point *e = c->entry;
    const struct nvl_idmap map = {.privileged = e->uid0 == 0, .uid0 = e->uid0, .gid0 = e->gid0};

    if (c->bring != NULL)
        nvl_bring_link(c->bring, rootfs, map.privileged ? (uid_t)-1 : e->uid0,
                       map.privileged ? (gid_t)-1 : e->gid0);
    else
        nvl_clean_entries(c->root, rootfs, &map, c->only_look, &c->result->cleaned);
}

/* The child's exit status is where it ended, for the message. */
enum child_end { CAME_BACK, NOT_SENT, NOT_ENTERED, NOT_BECOME, NOT_LEFT };

static enum child_end change(const struct changing *c, int out)
{
    nvl_auto(nvl_root_close) struct nvl_root rootfs = NVL_ROOT_NONE;

    signal(SIGALRM, SIG_DFL);
    alarm(LIVE_SECONDS);
    umask(022);
    if (nvl_entry_point_enter(c->entry, &rootfs) < 0)
        return NOT_ENTERED;
    if (c->bring != NULL)
        nvl_bring_give(c->bring, &rootfs, nvl_entry_point_gid, c->entry);
    if (nvl_entry_point_become_root(c->entry) < 0)
        return NOT_BECOME;
    take_and_bring(c, &rootfs);
    if (nvl_entry_point_leave(c->entry) < 0)
        return NOT_LEFT;
    finish(c, &rootfs);
    return nvl_result_send(out, c->result) < 0 ? NOT_SENT : CAME_BACK;
}

static int explain(int status, struct nvl_error *err)
{
    static const char *const where[] = {
        [CAME_BACK] = "its result is incomplete",
        [NOT_SENT] = "its result could not be sent",
        [NOT_ENTERED] = "its mounts cannot be entered",
        [NOT_BECOME] = "its root's ids cannot be taken",
        [NOT_LEFT] = "there is no way back from its mounts",
    };

    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        return nvl_error_set(err, -ETIMEDOUT, "the running container could not be changed: no end after %d s",
                             LIVE_SECONDS);
    if (WIFSIGNALED(status))
        return nvl_error_set(err, -EIO, "the running container could not be changed: ended by signal %d",
                             WTERMSIG(status));
    int end = WEXITSTATUS(status);
    return nvl_error_set(err, -EIO, "the running container could not be changed: %s",
                         end >= 0 && (size_t)end < NVL_LENGTH(where) ? where[end] : "it failed");
}

static int run_child(const struct changing *c, struct nvl_error *err)
{
    /* what the child reports of is its own and comes back by the pipe; what is here already stays */
    struct nvl_live_result of_child = {0};
    struct changing child_c = *c;
    int ends[2], status;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return nvl_error_errno(err, -errno, "cannot change the running container");
    child_c.result = &of_child;
    pid_t child = fork();
    if (child == 0) {
        if (child_c.bring != NULL)
            child_c.bring->report = &of_child.report;
        _exit(change(&child_c, ends[1]));
    }
    close(ends[1]);
    int r = child < 0 ? -EAGAIN : nvl_result_receive(ends[0], c->result);
    close(ends[0]);
    if (child < 0)
        return nvl_error_errno(err, r, "cannot change the running container");
    int waited = nvl_child_wait(child, &status);
    if (waited < 0)
        return nvl_error_errno(err, waited, "cannot change the running container");
    return r < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0 ? explain(status, err) : 0;
}

/* What a start runs first: modules, nodes, bundle. By the hook itself, as the host's root; what it did is in
 * its line. */
static void pre_start(const struct nvl_root *root, const struct nvl_container *c,
                      const struct nvl_grant *grant, struct nvl_report *report)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};
    nvl_autofree char *arguments = nvl_delivery_arguments(&grant->delivery);
    nvl_autofree char *prefix = nvl_xasprintf("nvlxc: %s: ", c->name);
    nvl_autofree const char **argv = NULL;
    size_t n = 0;
    char text[1024];

    if (!nvl_root_exists(root, NVL_HOOK_PROGRAM))
        return; /* attach warns of it */
    nvl_strv_push(&words, NVL_HOOK_PROGRAM);
    nvl_strv_split(&words, arguments, " ");
    nvl_strv_push(&words, c->name);
    nvl_strv_push(&words, "lxc");
    nvl_strv_push(&words, "pre-start");
    for (size_t i = 0; i < words.count; i++)
        *NVL_APPEND(argv, n) = words.items[i];
    *NVL_APPEND(argv, n) = NULL;
    nvl_tool_run(argv, 0, text, sizeof text);
    text[strcspn(text, "\n")] = '\0';
    if (nvl_has_prefix(text, prefix))
        nvl_strv_pushf(&report->notes, "on the host before: %s", text + strlen(prefix));
}

/* As pre-start does, of root's containers: for those of users nobody does. */
static void make_own_nodes(const struct nvl_container *c, const struct nvl_host *host,
                           const struct nvl_grant *grant, const struct nvl_entry_point *e,
                           struct nvl_report *report)
{
    nvl_auto(nvl_resolved_clear) struct nvl_resolved resolved = {0};

    if (c->user != NULL || grant->delivery.nodes != NVL_NODES_HOOK)
        return;
    if (nvl_own_nodes_find(host, grant, &resolved))
        nvl_own_nodes_make(host->root, &resolved, c->name, e->uid0, e->gid0, &report->problems);
    else
        nvl_own_nodes_remove(host->root, c->name);
}

static bool has_filter(const struct nvl_root *root, const struct nvl_container *c,
                       const struct nvl_effective *effective, pid_t init)
{
    return nvl_device_filter(c, effective) == NVL_FILTER_ALLOW && nvl_filter_in_force(root, init);
}

static void allow(const struct nvl_container *c, const struct nvl_resolved *resolved,
                  struct nvl_report *report)
{
    nvl_autofree struct nvl_device *devices = NULL;
    size_t n = 0;

    for (size_t i = 0; i < resolved->n_nodes; i++) {
        const struct nvl_node *node = &resolved->nodes[i];
        if (node->major < 0)
            continue;
        struct nvl_device *d = NVL_APPEND(devices, n);
        nvl_copy(d->path, sizeof d->path, node->path, strlen(node->path));
        d->major = (unsigned)node->major;
        d->minor = (unsigned)node->minor;
    }
    nvl_rules_change(c, "allow", devices, n, &report->problems);
}

static bool is_wanted(const struct nvl_bring *b, const struct nvl_device *device)
{
    for (size_t i = 0; b != NULL && i < b->resolved.n_nodes; i++)
        if (b->resolved.nodes[i].major == (int)device->major &&
            b->resolved.nodes[i].minor == (int)device->minor)
            return true;
    return false;
}

/* What was taken away: for the filter, and whom it still serves. */
static void follow_up(const struct changing *c, const struct nvl_container *container, bool filter)
{
    struct nvl_taken *taken = &c->result->taken;

    for (size_t i = 0; filter && !c->only_look && i < taken->n_devices; i++)
        if (!is_wanted(c->bring, &taken->devices[i]))
            nvl_rules_change(container, "deny", &taken->devices[i], 1, &taken->problems);
    nvl_programs_find(c->root, c->entry->init, taken->devices, taken->n_devices, &c->result->programs);
}

static int open_driver(struct nvl_host *host, const struct nvl_root *root, struct nvl_error *err)
{
    int r = nvl_host_read(host, root, NVL_GPUS_ALL, err);

    if (r == 0 && (!host->driver.loaded || host->driver.version[0] == '\0')) {
        r = nvl_error_host(err, -ENODEV,
                           "NVIDIA's kernel module is not loaded on the host: there is nothing to bring");
        nvl_error_hint(err, "nvlxc host says why");
    }
    return r;
}

int nvl_live_attach(const struct nvl_root *root, const struct nvl_container *container,
                    const struct nvl_effective *effective, struct nvl_live_result *result,
                    struct nvl_error *err)
{
    nvl_auto(nvl_grant_clear) struct nvl_grant grant = {0};
    nvl_auto(nvl_host_clear) struct nvl_host host = {0};
    nvl_auto(nvl_entry_point_close) struct nvl_entry_point entry = NVL_ENTRY_POINT_NONE;
    nvl_auto(nvl_bring_close) struct nvl_bring bring = {.binds_nodes = true,
                                                        .into_running = true,
                                                        .bundle = NVL_ROOT_NONE,
                                                        .bundle_mount = -1,
                                                        .view = NVL_PROC_VIEW_NONE};
    const struct changing c = {root, &host, &entry, &bring, false, result};

    int r = nvl_effective_grant(effective, &grant, err);
    if (r <= 0)
        return r < 0 ? r : nvl_error_set(err, -ENOENT, "its config gives it no GPU");
    pre_start(root, container, &grant, &result->report);
    r = open_driver(&host, root, err);
    if (r == 0)
        r = nvl_entry_point_open(&entry, root, container, err);
    if (r < 0)
        return r;
    make_own_nodes(container, &host, &grant, &entry, &result->report);
    nvl_bring_open(&bring, container->name, &host, &grant, &result->report);
    bool filter = has_filter(root, container, effective, entry.init);
    if (filter)
        allow(container, &bring.resolved, &result->report);
    r = run_child(&c, err);
    if (r == 0)
        follow_up(&c, container, filter);
    return r;
}

int nvl_live_attach_dry(const struct nvl_root *root, const struct nvl_grant *grant,
                        struct nvl_live_result *result, struct nvl_error *err)
{
    nvl_auto(nvl_host_clear) struct nvl_host host = {0};
    nvl_auto(nvl_resolved_clear) struct nvl_resolved resolved = {0};
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    int r = open_driver(&host, root, err);
    if (r < 0)
        return r;
    nvl_grant_resolve(grant, &host, &resolved);
    for (size_t i = 0; i < resolved.n_nodes; i++)
        nvl_strv_push(&names, resolved.nodes[i].path + strlen("/dev/"));
    nvl_autofree char *list = nvl_strv_join(&names, " ");
    if (names.count > 0)
        nvl_strv_pushf(&result->report.done, "devices %s", list);
    if (grant->delivery.libraries == NVL_LIBRARIES_BUNDLE)
        nvl_strv_pushf(&result->report.done, "driver %s", host.driver.version);
    nvl_strv_push(&result->report.done, "its view of " NVL_PROC_NVIDIA);
    return 0;
}

int nvl_live_detach(const struct nvl_root *root, const struct nvl_container *container,
                    const struct nvl_effective *effective, bool only_look, struct nvl_live_result *result,
                    struct nvl_error *err)
{
    nvl_auto(nvl_host_clear) struct nvl_host host = {0};
    nvl_auto(nvl_entry_point_close) struct nvl_entry_point entry = NVL_ENTRY_POINT_NONE;
    const struct changing c = {root, &host, &entry, NULL, only_look, result};

    int r = nvl_host_read(&host, root, NVL_GPUS_ALL, err);
    if (r == 0)
        r = nvl_entry_point_open(&entry, root, container, err);
    if (r < 0)
        return r;
    bool filter = has_filter(root, container, effective, entry.init);
    r = run_child(&c, err);
    if (r == 0)
        follow_up(&c, container, filter);
    if (r == 0 && !only_look && container->user == NULL)
        nvl_own_nodes_remove(root, container->name);
    return r;
}
