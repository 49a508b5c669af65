/* nvlxc doctor: what is wrong with this host and its containers, why, and what mends it. */
#include "cli/command.h"

#include "check/facts.h"
#include "check/families.h"

static int run(struct nvl_context *ctx, const struct nvl_strv *arguments, void *values, struct nvl_error *err)
{
    struct nvl_host_facts nvl_auto(nvl_host_facts_clear) facts = {0};
    nvl_auto(nvl_findings_clear) struct nvl_findings findings = {0};
    size_t asked = 0;

    (void)values;
    (void)arguments;
    int r = nvl_host_facts_read(&facts, &ctx->root, err);
    if (r < 0)
        return r;
    nvl_check_host(&facts, &findings, &asked);
    for (size_t i = 0; i < facts.containers.count; i++) {
        struct nvl_container_facts nvl_auto(nvl_container_facts_clear) c = {.rootfs = NVL_ROOT_NONE};
        r = nvl_container_facts_read(&c, &facts, &facts.containers.items[i], err);
        if (r < 0)
            return r;
        nvl_check_container(&c, &findings, &asked);
    }
    nvl_findings_finish(&findings);
    for (size_t i = 0; i < findings.count; i++)
        nvl_say(ctx, "%zu. %s: %s", i + 1, nvl_severity_name(findings.items[i].severity),
                findings.items[i].title);
    return findings.count > 0 ? NVL_EXIT_FAILED : NVL_EXIT_OK;
}

const struct nvl_command nvl_cmd_doctor = {
    .name = "doctor",
    .arguments = "[CT]",
    .summary = "find what is wrong, why, and the command that mends it",
    .max_arguments = 1,
    .run = run,
};
