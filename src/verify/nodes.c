/* Whether the container has a C library that the driver works with, and its device nodes: present, the
 * driver's own, and openable by its root and by the user that runs the workload. */
#include <errno.h>
#include <stdio.h>

#include "verify/cause_nodes.h"
#include "base/machine.h"
#include "verify/parts.h"
#include "inject/home.h"
#include "inject/libc.h"
#include "doctor/facts.h"
#include "verify/session.h"

/* Opened only for reading. */
static bool is_capability(const struct nvl_inside_node *n)
{
    return n->node.kind == NVL_NODE_CAP;
}

static void add_inside_node(struct nvl_verify *v, const struct nvl_node *host_node)
{
    struct nvl_inside_node *n = NVL_APPEND(v->nodes, v->n_nodes);

    n->node = *host_node;
    n->on_host = host_node->state;
    /* only debuggers use it */
    n->needed = n->node.kind != NVL_NODE_UVM_TOOLS;
    nvl_node_check(&v->facts->rootfs, &n->node);
}

/* Lines by hand may have given anything: the GPUs' nodes that exist, and what every GPU needs. */
static void list_nodes(struct nvl_verify *v)
{
    const struct nvl_container_facts *f = v->facts;

    for (size_t i = 0; i < f->resolved.n_nodes; i++)
        add_inside_node(v, &f->resolved.nodes[i]);
    if (f->has_grant)
        return;
    for (size_t i = 0; i < f->host->n_nodes; i++) {
        const struct nvl_node *node = &f->host->nodes[i];
        bool always = node->kind == NVL_NODE_CTL || node->kind == NVL_NODE_UVM;
        if (always || nvl_root_exists(&f->rootfs, node->path))
            add_inside_node(v, node);
    }
}

static struct nvl_inside_node *find_node(struct nvl_verify *v, const char *path)
{
    for (size_t i = 0; i < v->n_nodes; i++)
        if (strcmp(v->nodes[i].node.path, path) == 0)
            return &v->nodes[i];
    return NULL;
}

/* Opens all, as that user. Nodes that the probe does not report could not be opened. */
static void open_inside_nodes(struct nvl_verify *v, const struct nvl_account *user, struct nvl_probe_run *run)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};
    nvl_autofree const char **arguments = NULL;
    size_t n = 0;

    *NVL_APPEND(arguments, n) = "nodes";
    for (size_t i = 0; i < v->n_nodes; i++)
        nvl_strv_pushf(&words, "%s%s", is_capability(&v->nodes[i]) ? "r:" : "", v->nodes[i].node.path);
    for (size_t i = 0; i < words.count; i++)
        *NVL_APPEND(arguments, n) = words.items[i];
    *NVL_APPEND(arguments, n) = NULL;
    for (size_t i = 0; i < v->n_nodes; i++)
        *(user != NULL ? &v->nodes[i].user_error : &v->nodes[i].error) = EIO;
    nvl_verify_probe(v, arguments, user, run);
    for (size_t i = 0; i < run->lines.count; i++) {
        const struct nvl_probe_line *line = &run->lines.items[i];
        struct nvl_inside_node *node = strcmp(line->what, "node") == 0 ? find_node(v, line->text) : NULL;
        if (node != NULL)
            *(user != NULL ? &node->user_error : &node->error) = line->code;
    }
}

static const char *state_text(const struct nvl_inside_node *n, int error)
{
    if (n->node.state == NVL_NODE_MISSING)
        return "missing";
    if (n->node.state == NVL_NODE_NOT_DEVICE)
        return "not a device";
    if (n->node.state == NVL_NODE_STALE)
        return "stale number";
    switch (error) {
    case 0:
        return "opens";
    case EPERM:
        return "denied by the device filter (EPERM)";
    case EACCES:
        return "denied by its mode (EACCES)";
    case ENXIO:
        return "no driver answers (ENXIO)";
    default:
        return strerror(error);
    }
}

static int error_of(const struct nvl_inside_node *n, bool as_user)
{
    return as_user ? n->user_error : n->error;
}

/* "nvidia0 nvidiactl: opens; nvidia-uvm: missing" */
static char *describe_node(const struct nvl_verify *v, bool as_user)
{
    struct nvl_buf text = {0};

    for (size_t i = 0; i < v->n_nodes; i++) {
        const struct nvl_inside_node *n = &v->nodes[i];
        const char *state = state_text(n, error_of(n, as_user));
        bool last = i + 1 == v->n_nodes || strcmp(state, state_text(n + 1, error_of(n + 1, as_user))) != 0;
        nvl_buf_addf(&text, "%s%s%s%s", n->node.path + strlen("/dev/"), last ? ": " : " ", last ? state : "",
                     last && i + 1 < v->n_nodes ? "; " : "");
    }
    return nvl_buf_take(&text);
}

static void judge_node(struct nvl_verify *v, const char *id, bool as_user)
{
    const struct nvl_inside_node *first = NULL;

    for (size_t i = 0; i < v->n_nodes && first == NULL; i++)
        if (v->nodes[i].needed && nvl_inside_node_is_bad(&v->nodes[i], error_of(&v->nodes[i], as_user)))
            first = &v->nodes[i];
    nvl_autofree char *text = describe_node(v, as_user);
    struct nvl_step *step = nvl_step_add(v, id, first != NULL ? NVL_STEP_FAIL : NVL_STEP_PASS, "%s%s%s",
                                         as_user ? v->user.name : "", as_user ? ": " : "", text);
    if (first != NULL)
        nvl_cause_of_node(v, first, error_of(first, as_user), step);
}

#define USE_ANOTHER "use a container with glibc: Debian, Ubuntu, Rocky, Arch, …"

static void cause_libc(const struct nvl_verify *v, const struct nvl_libc *libc, int error,
                       struct nvl_step *step)
{
    const char *home = nvl_home(&v->facts->rootfs);

    if (libc->kind == NVL_LIBC_MUSL) {
        nvl_step_cause(
            step,
            "the container's C library is musl (as in Alpine; its loader is %s), which cannot load "
            "NVIDIA's libraries, with gcompat neither",
            libc->loader);
        nvl_step_fix(step, USE_ANOTHER);
    } else if (libc->kind == NVL_LIBC_FOREIGN) {
        nvl_step_cause(step, "the container's programs are for another processor (%s) than the host's",
                       libc->machine);
        nvl_step_fix(step, "use a container for the host's processor");
    } else if (libc->kind == NVL_LIBC_ELSEWHERE) {
        nvl_step_cause(step,
                       "the container has glibc only at a path of its own (%s, as in NixOS): a program that "
                       "is not of that distribution does not start, nvlxc's probe among them",
                       libc->loader);
        nvl_step_fix(step,
                     "in its configuration: programs.nix-ld.enable = true, and LD_LIBRARY_PATH=%s/lib64 for "
                     "the programs that need the GPU; then verify again",
                     home);
    } else if (error == -ENOENT) {
        nvl_step_cause(step,
                       "the container has no %s: without glibc for %s it cannot load NVIDIA's libraries",
                       nvl_machine()->glibc, nvl_machine()->title);
        nvl_step_fix(step, USE_ANOTHER);
    } else if (error < 0) {
        nvl_step_cause(step, "nvlxc could not start a program in the container");
    } else {
        nvl_step_cause(step, "the container's loader or C library does not run a plain program to its end; a "
                             "line in its /etc/ld.so.preload can cause that");
    }
}

/* A program that starts and reaches its end has everything that it was linked with; but musl runs it too, by
 * way of gcompat. */
static bool judge_libc(struct nvl_verify *v, const struct nvl_probe_run *run)
{
    const struct nvl_output *out = &run->out;
    nvl_auto(nvl_libc_clear) struct nvl_libc libc = {0};

    nvl_libc_read(&v->facts->rootfs, &libc);
    if (run->lines.ended && libc.kind != NVL_LIBC_MUSL) {
        nvl_step_add(v, "libc", NVL_STEP_PASS, "a program linked with glibc starts");
        return true;
    }
    nvl_autofree char *ending = nvl_probe_run_ending(v, run), *said = nvl_printable(out->text, out->len, 300);
    struct nvl_step *step = run->lines.ended
                                ? nvl_step_add(v, "libc", NVL_STEP_FAIL,
                                               "a program linked with glibc starts, but by musl's loader")
                                : nvl_step_add(v, "libc", NVL_STEP_FAIL, "the probe: %s%s%s", ending,
                                               said[0] != '\0' ? "; it said: " : "", said);
    cause_libc(v, &libc, out->error, step);
    return false;
}

static void verify_nodes(struct nvl_verify *v)
{
    nvl_auto(nvl_probe_run_clear) struct nvl_probe_run as_root = {0}, as_user = {0};

    list_nodes(v);
    open_inside_nodes(v, NULL, &as_root);
    v->starts = judge_libc(v, &as_root);
    if (!v->starts) {
        nvl_step_add(v, "nodes", NVL_STEP_SKIP, "the step libc failed");
        return;
    }
    if (v->n_nodes == 0) {
        nvl_step_add(v, "nodes", NVL_STEP_SKIP, "no device node belongs to this grant");
        return;
    }
    judge_node(v, "nodes", false);
    if (v->user.name == NULL) {
        nvl_step_add(v, "nodes-user", NVL_STEP_SKIP,
                     "the container has no service user of a known workload; --user names one");
        return;
    }
    open_inside_nodes(v, &v->user, &as_user);
    if (as_user.lines.ended) {
        judge_node(v, "nodes-user", true);
        return;
    }
    nvl_autofree char *ending = nvl_probe_run_ending(v, &as_user);
    struct nvl_step *step = nvl_step_add(v, "nodes-user", NVL_STEP_FAIL, "as %s: %s", v->user.name, ending);
    nvl_step_cause(step,
                   "nothing can run as that user in the container: its uid %u may be outside the range that "
                   "the container maps",
                   v->user.uid);
}

const struct nvl_verify_part nvl_part_nodes = {verify_nodes};
