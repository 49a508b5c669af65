/* nvlxc doctor: what is wrong with this host and its containers, why, and what mends it. */
#include <stdio.h>

#include "cli/findings_text.h"
#include "doctor/report.h"

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

static int run_doctor(struct nvl_context *ctx, const struct nvl_strv *arguments, void *data,
                      struct nvl_error *err)
{
    const struct doctor_values *values = data;
    nvl_auto(nvl_diagnosis_clear) struct nvl_diagnosis d = {0};

    int r = nvl_diagnose(&ctx->root, arguments->count > 0 ? arguments->items[0] : NULL, NVL_FACTS_ANEW,
                         values->deep, &d, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < d.warnings.count; i++)
        nvl_warn("%s", d.warnings.items[i]);
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
    .run = run_doctor,
};
