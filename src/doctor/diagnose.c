/* Runs the checks: of the host, and of one container or of all that may have to do with GPUs. */
#include "doctor/diagnose.h"

#include "base/printable.h"
#include "container/target.h"
#include "doctor/check.h"

static const char *mode_of(const struct nvl_container_facts *c)
{
    bool by_hand = false;

    for (size_t i = 0; i < c->effective.count; i++)
        by_hand |= c->effective.items[i].owner == NVL_OWNER_BY_HAND;
    if (c->has_grant)
        return by_hand ? "hook, and lines by hand" : "hook";
    return by_hand ? "lines by hand" : "no GPU";
}

static void describe_container(struct nvl_diagnosis *d, const struct nvl_container_facts *c)
{
    nvl_autofree char *kind = nvl_container_kind_text(c->container), *name = nvl_xstrdup(c->name);
    bool is_running = c->is_running ||
                      (c->depth == NVL_DEPTH_CONFIG && nvl_container_is_running(d->facts.root, c->container));

    nvl_make_printable(name);
    nvl_strv_push(&d->containers, name);
    nvl_strv_pushf(&d->descriptions, "%s (%s, %s, %s, %s)", name, kind,
                   c->idmap.privileged ? "privileged" : "unprivileged", mode_of(c),
                   is_running ? "running" : "stopped");
}

/* Takes over what the grant resolves to. */
static void keep_holder(struct nvl_diagnosis *d, struct nvl_container_facts *c)
{
    struct nvl_holder *holder = NVL_APPEND(d->holders, d->n_holders);

    *holder = (struct nvl_holder){.name = nvl_make_printable(nvl_xstrdup(c->name)), .resolved = c->resolved};
    c->resolved = (struct nvl_resolved){0};
}

/* What could not be read was taken for absent. */
static void note_unread(const struct nvl_container_facts *c, struct nvl_findings *findings)
{
    if (c->incomplete.code < 0)
        nvl_findings_unanswered(findings, NULL, 0, c->name);
    else if (nvl_root_trouble(&c->rootfs, NULL) < 0)
        nvl_findings_unanswered(findings, NULL, NVL_NEEDS_ROOTFS | NVL_NEEDS_RUNNING | NVL_NEEDS_DEPTH,
                                c->name);
}

/* Takes the container over. */
static int diagnose_container(struct nvl_diagnosis *d, struct nvl_container *container, enum nvl_depth depth,
                              struct nvl_error *err)
{
    nvl_auto(nvl_container_facts_clear) struct nvl_container_facts c = {.rootfs = NVL_ROOT_NONE};
    size_t before = d->findings.count;

    int r = depth == NVL_DEPTH_ALL ? nvl_container_facts_read(&c, &d->facts, container, err)
                                   : nvl_container_facts_read_config(&c, &d->facts, container, err);
    if (r < 0)
        return r;
    nvl_check_container(&c, &d->findings, &d->asked);
    note_unread(&c, &d->findings);
    if (c.has_grant)
        keep_holder(d, &c);
    if (depth == NVL_DEPTH_ALL || d->findings.count > before)
        describe_container(d, &c);
    return 0;
}

/* Whether each config of a guest could be read. */
static bool are_guests_known(const struct nvl_diagnosis *d)
{
    for (size_t i = 0; i < d->findings.n_unanswered; i++) {
        const struct nvl_unanswered *u = &d->findings.unanswered[i];
        if (u->container != NULL && u->check == NULL && u->needs == 0)
            return false;
    }
    return !d->facts.is_cluster_gone && d->facts.containers.unread.count == 0;
}

/* An unreadable config does not stop the checks of the others. Containers that have nothing to do with GPUs
 * are not mentioned. */
static void diagnose_all(struct nvl_diagnosis *d)
{
    for (size_t i = 0; i < d->facts.containers.unread.count; i++)
        nvl_strv_push(&d->warnings, d->facts.containers.unread.items[i]);
    for (size_t i = 0; i < d->facts.n_suspects; i++) {
        const struct nvl_suspect *s = &d->facts.suspects[i];
        struct nvl_error err = {0};
        struct nvl_container *c = nvl_container_at(&d->facts.containers, s->index);
        nvl_autofree char *name = nvl_container_full_name(&d->facts.containers, c);
        if (diagnose_container(d, c, s->is_user ? NVL_DEPTH_ALL : NVL_DEPTH_CONFIG, &err) < 0) {
            nvl_strv_push(&d->warnings, err.message);
            nvl_findings_unanswered(&d->findings, NULL, 0, name);
        }
    }
    if (!are_guests_known(d))
        nvl_findings_unanswered(&d->findings, NULL, NVL_OF_GUESTS, NULL);
}

int nvl_diagnose(const struct nvl_root *root, const char *container, enum nvl_facts_how how, bool deep,
                 struct nvl_diagnosis *d, struct nvl_error *err)
{
    struct nvl_container *one = NULL;

    int r = nvl_host_facts_read(&d->facts, root, how, err);
    if (r == 0 && container != NULL)
        r = nvl_cluster_check(root, err);
    if (r == 0 && container != NULL)
        r = nvl_container_by_name(root, &d->facts.containers, container, &one, err);
    if (r < 0)
        return r;
    d->facts.deep = deep;
    nvl_check_host(&d->facts, &d->findings, &d->asked);
    if (one != NULL)
        r = diagnose_container(d, one, NVL_DEPTH_ALL, err);
    else
        diagnose_all(d);
    nvl_findings_finish(&d->findings);
    return r;
}

void nvl_diagnose_start(const struct nvl_host *host, const struct nvl_target *target,
                        struct nvl_config *config, struct nvl_findings *findings)
{
    const struct nvl_host_facts bare = {.root = host->root, .host = *host};
    nvl_auto(nvl_container_facts_clear) struct nvl_container_facts facts;

    nvl_container_facts_of(&facts, &bare, target, config);
    nvl_check_start(&facts, findings);
    nvl_findings_finish(findings);
}

void nvl_diagnosis_clear(struct nvl_diagnosis *d)
{
    for (size_t i = 0; i < d->n_holders; i++) {
        free(d->holders[i].name);
        nvl_resolved_clear(&d->holders[i].resolved);
    }
    free(d->holders);
    nvl_findings_clear(&d->findings);
    nvl_strv_clear(&d->warnings);
    nvl_strv_clear(&d->containers);
    nvl_strv_clear(&d->descriptions);
    nvl_host_facts_clear(&d->facts);
}
