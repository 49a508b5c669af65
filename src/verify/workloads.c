/* What a workload's output and its unit tell. */
#include "verify/workloads.h"

#include "inside/run.h"
#include "verify/causes.h"
#include "doctor/container/services.h"
#include "doctor/facts.h"
#include "verify/session.h"
#include "verify/verify.h"

char *nvl_output_line(const struct nvl_output *out, const char *pattern)
{
    nvl_autofree char *found = NULL;
    const char *line;
    size_t len, pos = 0;

    while (nvl_next_line(out->text, out->len, &pos, &line, &len)) {
        nvl_autofree char *text = nvl_printable(line, len, 300);
        if (text[strspn(text, " ?")] == '\0' || (pattern != NULL && strstr(text, pattern) == NULL))
            continue;
        free(found);
        found = TAKE_PTR(text);
        if (pattern != NULL)
            break;
    }
    return TAKE_PTR(found);
}

void nvl_workload_absent(struct nvl_verify *v, const char *id, const char *looked_for)
{
    struct nvl_step *step = nvl_step_add(v, id, NVL_STEP_FAIL, "not found in the container: %s", looked_for);

    nvl_step_cause(step, "it is not installed there, or in a place that nvlxc does not know");
}

bool nvl_workload_explain(const struct nvl_verify *v, const struct nvl_known_message *list,
                          const struct nvl_output *out, struct nvl_step *step)
{
    for (; list->pattern != NULL; list++) {
        if (memmem(out->text, out->len, list->pattern, strlen(list->pattern)) == NULL)
            continue;
        if (list->cuda != 0) {
            nvl_cause_of_cuda(v, list->cuda, step);
            return true;
        }
        nvl_step_cause(step, "%s", list->cause);
        nvl_step_fix_from_table(v, step, &list->fix);
        return true;
    }
    return false;
}

void nvl_workload_fail(struct nvl_verify *v, const char *id, const char *what, const struct nvl_output *out,
                       unsigned seconds, const struct nvl_known_message *list)
{
    nvl_autofree char *ending = nvl_output_ending(out, seconds), *last = nvl_output_line(out, NULL);
    struct nvl_step *step = nvl_step_add(v, id, NVL_STEP_FAIL, "%s: %s%s%s", what, ending,
                                         last != NULL ? ": " : "", last != NULL ? last : "");

    if (nvl_workload_explain(v, list, out, step))
        return;
    if (out->timed_out)
        nvl_step_cause(step, "it does not end by itself");
    else
        nvl_step_cause(step,
                       "CUDA itself works in this container: the fault is in this program or its packages");
}

bool nvl_workload_is_blocked(struct nvl_verify *v, const char *id)
{
    if (v->cuda_works)
        return false;
    if (v->cuda_why_not != NULL)
        nvl_step_add(v, id, NVL_STEP_SKIP, "the step %s failed", v->cuda_why_not);
    else
        nvl_step_add(v, id, NVL_STEP_SKIP, "the capability compute is not granted");
    return true;
}

bool nvl_workload_user(const struct nvl_verify *v, const char *const *services, struct nvl_account *user)
{
    for (; *services != NULL; services++) {
        if (nvl_service_user(&v->facts->rootfs, *services, user) && user->uid != (uid_t)-1)
            return true;
        nvl_account_clear(user);
    }
    return false;
}

bool nvl_workload_is_closed(const struct nvl_verify *v, const char *const *services, struct nvl_step *step)
{
    for (; *services != NULL; services++) {
        nvl_auto(nvl_service_closing_clear) struct nvl_service_closing closing = {0};
        if (!nvl_service_is_closed(v->facts, *services, &closing) || !closing.is_in_force)
            continue;
        nvl_autofree char *lines = nvl_strv_join(&closing.lines, "; "),
                          *fix =
                              closing.fix.count > 0 ? nvl_service_open(v->facts, *services, &closing) : NULL;
        step->result = NVL_STEP_FAIL;
        nvl_step_cause(step, "its unit keeps %s.service from the GPU: %s", *services, lines);
        if (fix != NULL)
            nvl_step_fix(step, "%s", fix);
        return true;
    }
    return false;
}

bool nvl_workload_is_asked(const struct nvl_verify *v, const char *name, const char *other)
{
    const char *workload = v->request->workload;

    return workload != NULL &&
           (strcmp(workload, name) == 0 || (other != NULL && strcmp(workload, other) == 0));
}
