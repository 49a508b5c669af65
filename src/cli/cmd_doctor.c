/* nvlxc doctor: what is wrong with this host and its containers, why, and what mends it. */
#include <errno.h>
#include <stdio.h>

#include "cli/diagnosis.h"
#include "cli/target.h"

struct doctor_values {
    bool report, deep;
};

static const struct nvl_option doctor_options[] = {
    {"--report", NULL, "print Markdown for a forum or an issue, without names, addresses and secrets",
     NVL_OPTION_FLAG, offsetof(struct doctor_values, report)},
    {"--deep", NULL, "read all of the driver bundles and compare their checksums", NVL_OPTION_FLAG,
     offsetof(struct doctor_values, deep)},
    {0},
};

static const char *mode_of(const struct nvl_container_facts *c)
{
    bool by_hand = false;

    for (size_t i = 0; i < c->config.n_lines; i++)
        by_hand |= c->owners[i] == NVL_OWNER_BY_HAND;
    if (c->has_grant)
        return by_hand ? "hook, and lines by hand" : "hook";
    return by_hand ? "lines by hand" : "no GPU";
}

static void describe(struct nvl_diagnosis *d, const struct nvl_container_facts *c)
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
    if (depth == NVL_DEPTH_ALL || d->findings.count > before)
        describe(d, &c);
    return 0;
}

/* One that cannot be read does not keep the others from being looked at. Who has nothing to do with GPUs is
 * not mentioned. */
static void diagnose_all(struct nvl_diagnosis *d)
{
    for (size_t i = 0; i < d->facts.n_suspects; i++) {
        const struct nvl_suspect *s = &d->facts.suspects[i];
        struct nvl_error err = {0};
        struct nvl_container *c = nvl_container_at(&d->facts.containers, s->index);
        if (diagnose_container(d, c, s->is_user ? NVL_DEPTH_ALL : NVL_DEPTH_CONFIG, &err) < 0) {
            nvl_make_printable(err.message);
            nvl_warn("%s", err.message);
        }
    }
}

static int diagnose(struct nvl_context *ctx, const struct nvl_strv *arguments, bool deep,
                    struct nvl_diagnosis *d, struct nvl_error *err)
{
    struct nvl_container *one = NULL;

    int r = nvl_host_facts_read(&d->facts, &ctx->root, NVL_FACTS_ANEW, err);
    if (r == 0 && arguments->count > 0)
        r = nvl_container_by_name(&d->facts.containers, arguments->items[0], &one, err);
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

static void diagnosis_clear(struct nvl_diagnosis *d)
{
    nvl_findings_clear(&d->findings);
    nvl_strv_clear(&d->containers);
    nvl_strv_clear(&d->descriptions);
    nvl_host_facts_clear(&d->facts);
}

static int run(struct nvl_context *ctx, const struct nvl_strv *arguments, void *data, struct nvl_error *err)
{
    const struct doctor_values *values = data;
    nvl_auto(diagnosis_clear) struct nvl_diagnosis d = {0};

    int r = diagnose(ctx, arguments, values->deep, &d, err);
    if (r < 0)
        return r;
    if (ctx->json) {
        nvl_print_json(json_pack("{s:o,s:I}", "findings", nvl_json_findings(&d.findings), "checked",
                                 (json_int_t)d.asked));
    } else if (values->report) {
        nvl_autofree char *text = nvl_diagnosis_report(&d);
        fputs(text, stdout);
    } else {
        nvl_diagnosis_print(ctx, &d);
    }
    return nvl_findings_are_notes(&d.findings) ? NVL_EXIT_OK : NVL_EXIT_FAILED;
}

const struct nvl_command nvl_cmd_doctor = {
    .name = "doctor",
    .arguments = "[CT]",
    .summary = "find what is wrong, why, and the command that mends it",
    .details =
        "The host is always looked at, and with it the container CT, or all containers: their configs, and "
        "the\n"
        "root file systems of those that have a grant or NVIDIA lines written by hand. A finding is an error "
        "(it\n"
        "keeps a container from its GPU, now or at its next start), a warning (it will, or it keeps some "
        "programs\n"
        "from it) or a note (nothing is wrong). Nothing is changed.\n"
        "\n"
        "Exit status: 0 no error and no warning was found, 1 otherwise.",
    .max_arguments = 1,
    .options = doctor_options,
    .values_size = sizeof(struct doctor_values),
    .run = run,
};
