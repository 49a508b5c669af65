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

void nvl_finding_evidence_lines(struct nvl_finding *f, const struct nvl_strv *lines)
{
    nvl_autofree char *text = nvl_strv_join(lines, "\n");

    if (lines->count > 0)
        nvl_finding_evidence(f, "%s", text);
}

void nvl_finding_fix_lines(struct nvl_finding *f, const struct nvl_strv *lines)
{
    nvl_autofree char *text = nvl_strv_join(lines, "\n");

    if (lines->count > 0)
        nvl_finding_fix(f, "%s", text);
}

static void add_subject(struct nvl_subjects *subjects, enum nvl_subject_kind kind, const char *name)
{
    *NVL_APPEND(subjects->items, subjects->count) =
        (struct nvl_subject){.kind = kind, .name = name != NULL ? nvl_xstrdup(name) : NULL};
}

void nvl_finding_about(struct nvl_finding *f, enum nvl_subject_kind kind, const char *name)
{
    add_subject(&f->about, kind, name);
}

void nvl_finding_explains(struct nvl_finding *f, enum nvl_subject_kind kind, const char *name)
{
    add_subject(&f->explains, kind, name);
}

void nvl_finding_about_each(struct nvl_finding *f, enum nvl_subject_kind kind, const struct nvl_strv *names)
{
    for (size_t i = 0; i < names->count; i++)
        add_subject(&f->about, kind, names->items[i]);
}

static void subjects_clear(struct nvl_subjects *subjects)
{
    for (size_t i = 0; i < subjects->count; i++)
        free(subjects->items[i].name);
    free(subjects->items);
}

static void finding_clear(struct nvl_finding *f)
{
    free(f->container);
    free(f->title);
    free(f->evidence);
    free(f->cause);
    free(f->fix);
    subjects_clear(&f->about);
    subjects_clear(&f->explains);
}

char *nvl_finding_headline(const struct nvl_finding *f)
{
    const char *severity = nvl_severity_name(f->severity);

    return f->container != NULL ? nvl_xasprintf("%s, container %s: %s", severity, f->container, f->title)
                                : nvl_xasprintf("%s: %s", severity, f->title);
}

void nvl_findings_unanswered(struct nvl_findings *findings, const struct nvl_check *check, unsigned needs,
                             const char *container)
{
    *NVL_APPEND(findings->unanswered, findings->n_unanswered) = (struct nvl_unanswered){
        .check = check,
        .needs = needs,
        .container = container != NULL ? nvl_make_printable(nvl_xstrdup(container)) : NULL,
    };
}

static bool is_same_place(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

bool nvl_findings_answer(const struct nvl_findings *findings, const struct nvl_check *check,
                         const char *container)
{
    for (size_t i = 0; i < findings->n_unanswered; i++) {
        const struct nvl_unanswered *u = &findings->unanswered[i];
        bool is_meant =
            u->check != NULL ? u->check == check : u->needs == 0 || (u->needs & check->needs) != 0;
        if (is_meant && is_same_place(u->container, container))
            return false;
    }
    return true;
}

void nvl_findings_clear(struct nvl_findings *findings)
{
    for (size_t i = 0; i < findings->count; i++)
        finding_clear(&findings->items[i]);
    for (size_t i = 0; i < findings->n_folded; i++)
        finding_clear(&findings->folded[i]);
    for (size_t i = 0; i < findings->n_unanswered; i++)
        free(findings->unanswered[i].container);
    free(findings->items);
    free(findings->folded);
    free(findings->unanswered);
    *findings = (struct nvl_findings){0};
}

static bool lists_id(const char *ids, const char *id)
{
    size_t len = strlen(id);

    for (const char *p = ids; *p != '\0'; p += strspn(p, " ")) {
        size_t word = strcspn(p, " ");
        if (word == len && memcmp(p, id, len) == 0)
            return true;
        p += word;
    }
    return false;
}

/* Whether a finding may explain another: its check is named, its place fits, and it is not a note. */
static bool may_explain(const struct nvl_finding *root, const struct nvl_finding *f)
{
    bool is_near =
        root->container == NULL || (f->container != NULL && strcmp(root->container, f->container) == 0);

    return root != f && is_near && root->severity != NVL_SEVERITY_NOTE &&
           lists_id(f->check->folded_into, root->check->id);
}

static bool covers_subject(const struct nvl_subjects *subjects, const struct nvl_subject *wanted)
{
    for (size_t i = 0; i < subjects->count; i++) {
        const struct nvl_subject *s = &subjects->items[i];
        if (s->kind == wanted->kind &&
            (s->name == NULL || (wanted->name != NULL && strcmp(s->name, wanted->name) == 0)))
            return true;
    }
    return false;
}

/* `subject` NULL: the whole host or container. */
static bool is_explained(const struct nvl_findings *findings, const struct nvl_finding *f,
                         const struct nvl_subject *subject)
{
    for (size_t i = 0; i < findings->count; i++) {
        const struct nvl_finding *root = &findings->items[i];
        if (may_explain(root, f) &&
            (root->about.count == 0 || (subject != NULL && (covers_subject(&root->about, subject) ||
                                                            covers_subject(&root->explains, subject)))))
            return true;
    }
    return false;
}

static bool is_folded(const struct nvl_findings *findings, const struct nvl_finding *f)
{
    if (f->check->folded_into == NULL)
        return false;
    for (size_t i = 0; i < f->about.count; i++)
        if (!is_explained(findings, f, &f->about.items[i]))
            return false;
    return f->about.count > 0 || is_explained(findings, f, NULL);
}

static void fold(struct nvl_findings *findings)
{
    size_t kept = 0;
    nvl_autofree bool *leave_out = nvl_xcalloc(findings->count, sizeof *leave_out);

    for (size_t i = 0; i < findings->count; i++)
        leave_out[i] = is_folded(findings, &findings->items[i]);
    for (size_t i = 0; i < findings->count; i++) {
        if (leave_out[i])
            *NVL_APPEND(findings->folded, findings->n_folded) = findings->items[i];
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

const struct nvl_finding *nvl_find_stopper(const struct nvl_findings *findings)
{
    for (size_t i = 0; i < findings->count; i++)
        if (findings->items[i].start != NVL_START_GOES)
            return &findings->items[i];
    return NULL;
}

static bool has_finding(const struct nvl_findings *findings, const struct nvl_finding *f)
{
    for (size_t i = 0; i < findings->count; i++)
        if (findings->items[i].check == f->check && strcmp(findings->items[i].evidence, f->evidence) == 0)
            return true;
    return false;
}

const struct nvl_finding *nvl_find_new_stopper(const struct nvl_findings *findings,
                                               const struct nvl_findings *before)
{
    for (size_t i = 0; i < findings->count; i++)
        if (findings->items[i].start == NVL_START_STOPS && !has_finding(before, &findings->items[i]))
            return &findings->items[i];
    return NULL;
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
