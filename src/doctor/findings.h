/* Findings: where a check (check.h) speaks, each has its evidence, its cause and the exact command or edit
 * that mends it. A check reads facts that were gathered before it (facts.h); it may look at more through the
 * same root handles, and changes nothing. */
#pragma once

#include "base/text.h"

struct nvl_check; /* check.h */

enum nvl_severity {
    NVL_SEVERITY_ERROR,   /* it keeps a container from its GPU, now or at its next start */
    NVL_SEVERITY_WARNING, /* it will, or it keeps some programs from it */
    NVL_SEVERITY_NOTE,    /* worth knowing; nothing is wrong */
};

struct nvl_finding {
    const struct nvl_check *check;
    enum nvl_severity severity;
    char *container; /* its unambiguous name; NULL for the host */
    char *title;     /* one line: what is wrong */
    char
        *evidence; /* what was found, literally: a line of a file, a number, a path; may have several lines */
    char *cause;   /* why it is so, and what it does to programs: "CUDA fails with error 999" */
    char *fix;     /* commands, one a line, or the edit in words; NULL where nothing has to be done */
};

struct nvl_findings {
    struct nvl_finding *items;
    size_t count;
};

/* Adds one; texts are copied, made printable, and may be NULL where the struct says so. The container's name
 * is the facts'. */
struct nvl_finding *nvl_finding_add(struct nvl_findings *findings, const struct nvl_check *check,
                                    enum nvl_severity severity, const char *container, const char *title);
/* Set the parts, formatted. */
void nvl_finding_evidence(struct nvl_finding *f, const char *fmt, ...) NVL_PRINTF(2, 3);
void nvl_finding_cause(struct nvl_finding *f, const char *fmt, ...) NVL_PRINTF(2, 3);
void nvl_finding_fix(struct nvl_finding *f, const char *fmt, ...) NVL_PRINTF(2, 3);
void nvl_findings_clear(struct nvl_findings *findings);

/* Leaves out what is folded into a root cause, then sorts: errors first, the host before its containers,
 * table order. */
void nvl_findings_finish(struct nvl_findings *findings);
/* Whether nothing has to be done: notes alone, or nothing. */
bool nvl_findings_are_notes(const struct nvl_findings *findings);
const char *nvl_severity_name(enum nvl_severity severity); /* "error", "warning", "note" */
