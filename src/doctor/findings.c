/* What the checks have found: texts, folding into root causes, order. */
#include "doctor/findings.h"

#include <stdio.h>

#include "base/printable.h"
#include "doctor/families.h"

struct nvl_finding *nvl_finding_add(struct nvl_findings *findings, const struct nvl_check *check,
                                    enum nvl_severity severity, const char *container, const char *title)
{
    struct nvl_finding *f = NVL_APPEND(findings->items, findings->count);

    *f = (struct nvl_finding){
        .check = check,
        .severity = severity,
        .container = container != NULL ? nvl_make_printable(nvl_xstrdup(container)) : NULL,
        .title = nvl_make_printable(nvl_xstrdup(title)),
    };
    return f;
}

static void set_text(char **text, const char *fmt, va_list ap)
{
    free(*text);
    *text = nvl_make_printable(nvl_xvasprintf(fmt, ap));
}

void nvl_finding_evidence(struct nvl_finding *f, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    set_text(&f->evidence, fmt, ap);
    va_end(ap);
}

void nvl_finding_cause(struct nvl_finding *f, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    set_text(&f->cause, fmt, ap);
    va_end(ap);
}

void nvl_finding_fix(struct nvl_finding *f, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    set_text(&f->fix, fmt, ap);
    va_end(ap);
}

static void finding_clear(struct nvl_finding *f)
{
    free(f->container);
    free(f->title);
    free(f->evidence);
    free(f->cause);
    free(f->fix);
}

void nvl_findings_clear(struct nvl_findings *findings)
{
    for (size_t i = 0; i < findings->count; i++)
        finding_clear(&findings->items[i]);
    free(findings->items);
    *findings = (struct nvl_findings){0};
}

static bool lists_id(const char *words, const char *word)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv list = {0};

    nvl_strv_split(&list, words, " ");
    return nvl_strv_contains(&list, word);
}

/* Whether a root cause of `f` has spoken: for the host, or for the same container. A note is no cause. */
static bool is_folded(const struct nvl_findings *findings, const struct nvl_finding *f)
{
    if (f->check->folded_into == NULL)
        return false;
    for (size_t i = 0; i < findings->count; i++) {
        const struct nvl_finding *root = &findings->items[i];
        bool is_near =
            root->container == NULL || (f->container != NULL && strcmp(root->container, f->container) == 0);
        if (root != f && is_near && root->severity != NVL_SEVERITY_NOTE &&
            lists_id(f->check->folded_into, root->check->id))
            return true;
    }
    return false;
}

static void fold(struct nvl_findings *findings)
{
    size_t kept = 0;
    nvl_autofree bool *leave_out = nvl_xcalloc(findings->count, sizeof *leave_out);

    for (size_t i = 0; i < findings->count; i++)
        leave_out[i] = is_folded(findings, &findings->items[i]);
    for (size_t i = 0; i < findings->count; i++) {
        if (leave_out[i])
            finding_clear(&findings->items[i]);
        else
            findings->items[kept++] = findings->items[i];
    }
    findings->count = kept;
}

static int compare_findings(const void *a, const void *b)
{
    const struct nvl_finding *x = a, *y = b;

    if (x->severity != y->severity)
        return x->severity < y->severity ? -1 : 1;
    if ((x->container == NULL) != (y->container == NULL))
        return x->container == NULL ? -1 : 1;
    size_t rx = nvl_check_rank(x->check), ry = nvl_check_rank(y->check);
    if (rx != ry)
        return rx < ry ? -1 : 1;
    return x->container != NULL ? strcmp(x->container, y->container) : 0;
}

void nvl_findings_finish(struct nvl_findings *findings)
{
    fold(findings);
    if (findings->count > 1)
        qsort(findings->items, findings->count, sizeof *findings->items, compare_findings);
}

bool nvl_findings_are_notes(const struct nvl_findings *findings)
{
    for (size_t i = 0; i < findings->count; i++)
        if (findings->items[i].severity != NVL_SEVERITY_NOTE)
            return false;
    return true;
}

const char *nvl_severity_name(enum nvl_severity severity)
{
    static const char *const names[] = {"error", "warning", "note"};

    return names[severity];
}
