/* attach and detach in a running container. */
#include "apply/live.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <lxc/lxccontainer.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apply/enter.h"
#include "base/paths.h"
#include "base/records.h"
#include "base/run.h"
#include "base/visit.h"
#include "container/container.h"
#include "container/device_rules.h"
#include "container/effective.h"
#include "container/grant_lines.h"
#include "container/idmap.h"
#include "container/rootfs_path.h"
#include "container/state.h"
#include "inject/inject.h"
#include "inject/node_copies.h"

#define NO_LIBLXC    127
#define LIVE_SECONDS 90 /* a file system of the container's may never answer; ldconfig has its own limit */

/* What the child works with. */
struct changing {
    const struct nvl_root *root;
    const struct nvl_host *host;
    const struct nvl_entry_point *entry;
    struct nvl_injection *in; /* NULL: only eject */
    bool only_look;
    struct nvl_live_result *result;
};

static void eject_and_inject(const struct changing *c, const struct nvl_root *rootfs)
{
    const struct nvl_ejection e = {c->host, rootfs, c->only_look, &c->result->ejected};
    const struct nvl_injection *in = c->in;
    bool keeps_driver = in != NULL && in->bundle.fd >= 0;

    nvl_eject_nodes(&e, in != NULL ? in->resolved.nodes : NULL, in != NULL ? in->resolved.n_nodes : 0);
    nvl_eject_driver(&e, keeps_driver ? in->bundle.fd : -1);
    nvl_eject_view(&e, in != NULL ? &in->view : NULL);
    if (in != NULL)
        nvl_inject_put(c->in, rootfs);
}

/* Runs after leaving the container: a program of the host writes the linker's cache, started from the host's
 * mounts. */
static void finish_change(const struct changing *c, const struct nvl_root *rootfs, int report)
{
    const struct nvl_entry_point *e = c->entry;
    const struct nvl_idmap map = {.privileged = e->uid0 == 0, .uid0 = e->uid0, .gid0 = e->gid0};
    const struct nvl_ids as = {map.privileged ? (uid_t)-1 : e->uid0, map.privileged ? (gid_t)-1 : e->gid0};

    if (c->in != NULL)
        nvl_inject_link(c->in, rootfs, &as, report);
    else
        nvl_clean_entries(c->root, rootfs, e->init, &map, c->only_look, &c->result->cleaned);
}

/* Something that could not be read may have been taken for absent. */
static void tell_trouble(const struct changing *c, const struct nvl_root *rootfs)
{
    struct nvl_error err;

    if (nvl_root_trouble(rootfs, &err) == 0)
        return;
    nvl_strv_push(c->in != NULL ? &c->result->injected.problems : &c->result->cleaned.problems, err.message);
    c->result->cleaned.failed = c->result->cleaned.failed || c->in == NULL;
}

/* The child's result, as records. */
enum {
    TAG_EJECTED = NVL_TAG_OTHERS,
    TAG_EJECT_PROBLEM,
    TAG_DEVICE, /* a struct nvl_device */
    TAG_REMOVED,
    TAG_REMAINING,
    TAG_WHY,
    TAG_CLEAN_PROBLEM,
};

static int send_result(const struct nvl_live_result *result)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf records = {0};
    const struct nvl_ejected *ejected = &result->ejected;
    const struct nvl_cleaned *cleaned = &result->cleaned;

    nvl_outcome_record(&result->injected, &records);
    nvl_records_add_list(&records, TAG_EJECTED, &ejected->what);
    nvl_records_add_list(&records, TAG_EJECT_PROBLEM, &ejected->problems);
    for (size_t i = 0; i < ejected->n_devices; i++)
        nvl_records_add(&records, TAG_DEVICE, &ejected->devices[i], sizeof ejected->devices[i]);
    nvl_records_add_list(&records, TAG_REMOVED, &cleaned->removed);
    nvl_records_add_list(&records, TAG_REMAINING, &cleaned->remaining);
    nvl_records_add_list(&records, TAG_CLEAN_PROBLEM, &cleaned->problems);
    if (cleaned->why != NULL)
        nvl_records_add(&records, TAG_WHY, cleaned->why, strlen(cleaned->why));
    return nvl_records_send(STDOUT_FILENO, &records);
}

static void take_device(struct nvl_ejected *ejected, const struct nvl_record *record)
{
    struct nvl_device device;

    if (record->len != sizeof device)
        return;
    memcpy(&device, record->data, sizeof device);
    device.path[sizeof device.path - 1] = '\0';
    *NVL_APPEND(ejected->devices, ejected->n_devices) = device;
}

static void take_record(struct nvl_live_result *result, const struct nvl_record *record)
{
    if (nvl_outcome_take(&result->injected, record))
        return;
    switch (record->tag) {
    case TAG_EJECTED:
        nvl_record_push(record, &result->ejected.what);
        break;
    case TAG_EJECT_PROBLEM:
        nvl_record_push(record, &result->ejected.problems);
        break;
    case TAG_DEVICE:
        take_device(&result->ejected, record);
        break;
    case TAG_REMOVED:
        nvl_record_push(record, &result->cleaned.removed);
        break;
    case TAG_REMAINING:
        nvl_record_push(record, &result->cleaned.remaining);
        break;
    case TAG_CLEAN_PROBLEM:
        nvl_record_push(record, &result->cleaned.problems);
        break;
    case TAG_WHY:
        free(result->cleaned.why);
        result->cleaned.why = nvl_xstrndup(record->data, record->len);
        break;
    }
}

/* Adds what the child sent; -EPROTO if the child did not finish. */
static int take_result(const char *data, size_t len, struct nvl_live_result *result)
{
    struct nvl_record record;
    size_t pos = 0;

    int r = nvl_records_check(data, len);
    while (r == 0 && nvl_records_next(data, len, &pos, &record))
        take_record(result, &record);
    return r;
}

/* The child's exit status tells how far it got, for the message. */
enum child_end { CAME_BACK, NOT_SENT, NOT_ENTERED, NOT_BECOME, NOT_LEFT };

static int change_in_child(void *data)
{
    nvl_auto(nvl_root_close) struct nvl_root rootfs = NVL_ROOT_NONE;
    const struct changing *c = data;

    nvl_close_callers(); /* it may be left behind */
    if (c->in != NULL)
        c->in->outcome = &c->result->injected;
    umask(022);
    if (nvl_entry_point_enter(c->entry, &rootfs) < 0)
        return NOT_ENTERED;
    nvl_root_watch(&rootfs, false);
    if (c->in != NULL)
        nvl_inject_give(c->in, &rootfs, nvl_entry_point_gid, c->entry);
    if (nvl_entry_point_become_root(c->entry) < 0)
        return NOT_BECOME;
    eject_and_inject(c, &rootfs);
    if (nvl_entry_point_leave(c->entry) < 0)
        return NOT_LEFT;
    finish_change(c, &rootfs, -1);
    tell_trouble(c, &rootfs);
    return send_result(c->result) < 0 ? NOT_SENT : CAME_BACK;
}

static int explain_child_end(int status, struct nvl_error *err)
{
    static const char *const where[] = {
        [CAME_BACK] = "its result is incomplete",     [NOT_SENT] = "cannot send its result",
        [NOT_ENTERED] = "cannot enter its mounts",    [NOT_BECOME] = "cannot take the ids of its root",
        [NOT_LEFT] = "cannot return from its mounts",
    };

    if (WIFSIGNALED(status))
        return nvl_error_set(err, -EIO, "cannot change the running container: killed by signal %d",
                             WTERMSIG(status));
    int end = WEXITSTATUS(status);
    return nvl_error_set(err, -EIO, "cannot change the running container: %s",
                         end >= 0 && (size_t)end < NVL_LENGTH(where) ? where[end] : "it failed");
}

/* Whether it has answered so far: another question would wait as long again. */
static int check_answers(const struct nvl_container *container, pid_t init, struct nvl_error *err)
{
    nvl_auto(nvl_root_close) struct nvl_root seen = NVL_ROOT_NONE;

    if (nvl_container_open_running(container, init, &seen) != -ETIMEDOUT)
        return 0;
    nvl_error_set(err, -ETIMEDOUT, "cannot change the running container: its file systems do not answer");
    nvl_autofree char *word = nvl_shell_word(container->lxc_name);
    nvl_error_hint(err, "nvlxc doctor %s", word);
    return -ETIMEDOUT;
}

static int explain_silence(const struct nvl_run_result *ran, struct nvl_error *err)
{
    nvl_autofree char *left =
        ran->left > 0 ? nvl_xasprintf("; process %d waits for it until it answers or is gone", (int)ran->left)
                      : nvl_xstrdup("");

    nvl_error_set(err, -ETIMEDOUT, "cannot change the running container: not done after %d s%s", LIVE_SECONDS,
                  left);
    nvl_error_hint(err, "look for a file system in it that hangs (FUSE, a network), or restart it: the start "
                        "does what is left to do");
    return -ETIMEDOUT;
}

static int run_change(const struct changing *c, struct nvl_error *err)
{
    /* the child sends its own outcome; what is here already stays */
    struct nvl_live_result of_child = {0};
    struct changing child_c = *c;
    nvl_auto(nvl_run_result_clear) struct nvl_run_result ran;
    const struct nvl_run run = {.body = change_in_child,
                                .body_data = &child_c,
                                .output = NVL_STREAM_TAKEN,
                                .max = NVL_RECORDS_MAX,
                                .seconds = LIVE_SECONDS};

    child_c.result = &of_child;
    nvl_visit_writes();
    int r = nvl_run(&run, &ran);
    if (r == -ETIMEDOUT)
        return explain_silence(&ran, err);
    if (r < 0)
        return nvl_error_errno(err, r, "cannot change the running container");
    r = take_result(ran.text, ran.len, c->result);
    return r < 0 || !WIFEXITED(ran.status) || WEXITSTATUS(ran.status) != 0
               ? explain_child_end(ran.status, err)
               : 0;
}

/* What the hook did on the host is only a note: what the container lacks shows later. */
static void take_host_outcome(const char *data, size_t len, int status, struct nvl_strv *notes)
{
    nvl_auto(nvl_outcome_clear) struct nvl_outcome host = {0};
    struct nvl_record record;
    size_t pos = 0;

    if (nvl_records_check(data, len) < 0) {
        nvl_strv_pushf(notes, "on the host: the hook did not report what it did (status %d)", status);
        return;
    }
    while (nvl_records_next(data, len, &pos, &record))
        nvl_outcome_take(&host, &record);
    const struct nvl_strv *const lists[] = {&host.done, &host.problems, &host.notes};
    for (size_t i = 0; i < NVL_LENGTH(lists); i++)
        for (size_t n = 0; n < lists[i]->count; n++)
            nvl_strv_pushf(notes, "on the host: %s", lists[i]->items[n]);
}

/* Runs what a start runs first (modules, nodes, bundle): the hook itself, as the host's root. */
static void run_pre_start(const struct nvl_root *root, const struct nvl_container *c,
                          const struct nvl_grant *grant, struct nvl_outcome *outcome)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};
    nvl_autofree char *arguments = nvl_delivery_arguments(&grant->delivery),
                      *data = nvl_xcalloc(1, NVL_RECORDS_MAX + 1);
    nvl_autofree const char **argv = NULL;
    size_t n = 0, len;

    if (!nvl_root_exists(root, NVL_HOOK_PROGRAM))
        return; /* attach warns of it */
    nvl_strv_push(&words, NVL_HOOK_PROGRAM);
    nvl_strv_push(&words, NVL_HOOK_RECORDS);
    nvl_strv_split(&words, arguments, " ");
    nvl_strv_push(&words, c->lxc_name);
    nvl_strv_push(&words, "lxc");
    nvl_strv_push(&words, "pre-start");
    for (size_t i = 0; i < words.count; i++)
        *NVL_APPEND(argv, n) = words.items[i];
    *NVL_APPEND(argv, n) = NULL;
    int status = nvl_tool_read(argv, 0, data, NVL_RECORDS_MAX + 1, &len);
    take_host_outcome(data, len, status, &outcome->notes);
}

/* As pre-start does for containers of root: nobody does it for those of users. */
static void make_node_copies(const struct nvl_container *c, const struct nvl_host *host,
                             const struct nvl_grant *grant, const struct nvl_entry_point *e,
                             struct nvl_outcome *outcome)
{
    nvl_auto(nvl_resolved_clear) struct nvl_resolved resolved = {0};

    if (c->user != NULL || grant->delivery.nodes != NVL_NODES_HOOK)
        return;
    if (nvl_node_copies_find(host, grant, &resolved))
        nvl_node_copies_make(host->root, &resolved, c->lxc_name, e->uid0, e->gid0, &outcome->problems);
    else
        nvl_node_copies_remove(host->root, c->lxc_name);
}

/* Whether its init's cgroup, or one above, has a filter. If none has, a first rule would make one that denies
 * everything else, /dev/null too. */
static bool is_filter_in_force(const struct nvl_root *root, pid_t init)
{
    nvl_autofree char *group = nvl_process_cgroup(root, init);
    nvl_autofree char *path = nvl_xasprintf("/sys/fs/cgroup%s", group != NULL ? group : "");
    nvl_autofd int fd = nvl_root_openat(root, path, O_RDONLY | O_DIRECTORY);
    union bpf_attr query = {0};

    if (group == NULL || fd < 0)
        return false;
    query.query.target_fd = (unsigned)fd;
    query.query.attach_type = BPF_CGROUP_DEVICE;
    query.query.query_flags = BPF_F_QUERY_EFFECTIVE;
    return syscall(SYS_bpf, BPF_PROG_QUERY, &query, sizeof query) == 0 && query.query.prog_cnt > 0;
}

/* Rules of one verb for liblxc. */
struct rules {
    const struct nvl_container *container;
    const char *key; /* "devices.allow" */
    struct nvl_strv items;
};

/* In a child, which has a time limit: whoever answers at the container's socket may be hostile. Says of each
 * rule, by a letter, whether LXC took it. */
static int give_rules(void *data)
{
    const struct rules *rules = data;
    const struct nvl_container *c = rules->container;
    void *library = dlopen("liblxc.so.1", RTLD_NOW | RTLD_LOCAL);
    typeof(lxc_container_new) *new_container =
        library != NULL ? (typeof(new_container))dlsym(library, "lxc_container_new") : NULL;
    struct lxc_container *lxc = new_container != NULL ? new_container(c->lxc_name, c->lxcpath) : NULL;

    if (lxc == NULL)
        return NO_LIBLXC;
    for (size_t i = 0; i < rules->items.count; i++) {
        char taken = lxc->set_cgroup_item(lxc, rules->key, rules->items.items[i]) ? 'y' : 'n';
        if (write(STDOUT_FILENO, &taken, 1) != 1)
            return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

/* Asks liblxc, since LXC keeps the list: "allow" or "deny" for each device, for reading and writing. Its
 * tools are not there on a host of Incus or LXD. Adds a line to `problems` for each that it refuses. */
static void change_rules(const struct nvl_container *c, const char *verb, const struct nvl_device *devices,
                         size_t count, struct nvl_strv *problems)
{
    nvl_autofree char *key = nvl_xasprintf("devices.%s", verb);
    struct rules rules = {.container = c, .key = key};
    nvl_auto(nvl_run_result_clear) struct nvl_run_result ran = {0};
    const struct nvl_run run = {.body = give_rules,
                                .body_data = &rules,
                                .output = NVL_STREAM_TAKEN,
                                .max = count,
                                .seconds = NVL_TOOL_SECONDS};

    for (size_t i = 0; i < count; i++)
        nvl_strv_pushf(&rules.items, "c %u:%u rw", devices[i].major, devices[i].minor);
    int r = count > 0 ? nvl_run(&run, &ran) : 0;
    bool has_liblxc = r < 0 || nvl_exit_status(ran.status) != NO_LIBLXC;
    for (size_t i = 0; i < count; i++)
        if (r < 0 || i >= ran.len || ran.text[i] != 'y')
            nvl_strv_pushf(problems, "cannot change its device filter for %s: %s (%s \"%s\")",
                           devices[i].path,
                           !has_liblxc       ? "liblxc.so.1 cannot be loaded"
                           : r == -ETIMEDOUT ? "LXC does not answer"
                                             : "LXC refuses the rule",
                           key, rules.items.items[i]);
    nvl_strv_clear(&rules.items);
}

static bool has_device_filter(const struct nvl_root *root, const struct nvl_container *c,
                              const struct nvl_effective *effective, pid_t init)
{
    return nvl_device_filter(c, effective) == NVL_FILTER_ALLOW && is_filter_in_force(root, init);
}

static void allow_devices(const struct nvl_container *c, const struct nvl_resolved *resolved,
                          struct nvl_outcome *outcome)
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
    change_rules(c, "allow", devices, n, &outcome->problems);
}

static bool is_injected(const struct nvl_injection *in, const struct nvl_device *device)
{
    for (size_t i = 0; in != NULL && i < in->resolved.n_nodes; i++)
        if (in->resolved.nodes[i].major == (int)device->major &&
            in->resolved.nodes[i].minor == (int)device->minor)
            return true;
    return false;
}

/* Updates the filter for what was ejected, and finds the programs that still have it open. */
static void follow_up_ejected(const struct changing *c, const struct nvl_container *container, bool filter)
{
    struct nvl_ejected *ejected = &c->result->ejected;

    for (size_t i = 0; filter && !c->only_look && i < ejected->n_devices; i++)
        if (!is_injected(c->in, &ejected->devices[i]))
            change_rules(container, "deny", &ejected->devices[i], 1, &ejected->problems);
    nvl_programs_find(c->root, c->entry->init, ejected->devices, ejected->n_devices, &c->result->programs);
}

static int open_loaded_driver(struct nvl_host *host, const struct nvl_root *root, struct nvl_error *err)
{
    int r = nvl_host_read(host, root, NVL_GPUS_ALL, err);

    if (r == 0 && (!host->driver.loaded || host->driver.version[0] == '\0')) {
        r = nvl_error_host(err, -ENODEV,
                           "NVIDIA's kernel module is not loaded on the host: there is nothing to add");
        nvl_error_hint(err, "see why: nvlxc host");
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
    nvl_auto(nvl_inject_close) struct nvl_injection in = {.binds_nodes = true,
                                                          .into_running = true,
                                                          .bundle = NVL_ROOT_NONE,
                                                          .bundle_mount = -1,
                                                          .view = NVL_PROC_VIEW_NONE};
    const struct changing c = {root, &host, &entry, &in, false, result};

    int r = nvl_effective_grant(effective, &grant, err);
    if (r <= 0)
        return r < 0 ? r : nvl_error_set(err, -ENOENT, "its config grants no GPU");
    run_pre_start(root, container, &grant, &result->injected);
    r = open_loaded_driver(&host, root, err);
    if (r == 0)
        r = nvl_entry_point_open(&entry, root, container, err);
    if (r == 0)
        r = check_answers(container, entry.init, err);
    if (r < 0)
        return r;
    make_node_copies(container, &host, &grant, &entry, &result->injected);
    nvl_inject_open(&in, container->lxc_name, &host, &grant, &result->injected);
    bool filter = has_device_filter(root, container, effective, entry.init);
    if (filter)
        allow_devices(container, &in.resolved, &result->injected);
    r = run_change(&c, err);
    if (r == 0)
        follow_up_ejected(&c, container, filter);
    return r;
}

int nvl_live_attach_dry(const struct nvl_root *root, const struct nvl_grant *grant,
                        struct nvl_live_result *result, struct nvl_error *err)
{
    nvl_auto(nvl_host_clear) struct nvl_host host = {0};
    nvl_auto(nvl_resolved_clear) struct nvl_resolved resolved = {0};
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    int r = open_loaded_driver(&host, root, err);
    if (r < 0)
        return r;
    nvl_grant_resolve(grant, &host, &resolved);
    for (size_t i = 0; i < resolved.n_nodes; i++)
        nvl_strv_push(&names, resolved.nodes[i].path + strlen("/dev/"));
    nvl_autofree char *list = nvl_strv_join(&names, " ");
    if (names.count > 0)
        nvl_strv_pushf(&result->injected.done, "devices %s", list);
    if (grant->delivery.libraries == NVL_LIBRARIES_BUNDLE)
        nvl_strv_pushf(&result->injected.done, "driver %s", host.driver.version);
    nvl_strv_push(&result->injected.done, "its view of " NVL_PROC_NVIDIA);
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
    if (r == 0)
        r = check_answers(container, entry.init, err);
    if (r < 0)
        return r;
    bool filter = has_device_filter(root, container, effective, entry.init);
    r = run_change(&c, err);
    if (r == 0)
        follow_up_ejected(&c, container, filter);
    if (r == 0 && !only_look && container->user == NULL)
        nvl_node_copies_remove(root, container->lxc_name);
    return r;
}

void nvl_live_result_clear(struct nvl_live_result *result)
{
    nvl_outcome_clear(&result->injected);
    nvl_ejected_clear(&result->ejected);
    nvl_cleaned_clear(&result->cleaned);
    nvl_programs_clear(&result->programs);
}
