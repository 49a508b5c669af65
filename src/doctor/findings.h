/* Findings: if a check (check.h) has something to report, the finding states its evidence, its cause and the
 * exact command or edit that fixes it. A check reads facts that were gathered before it runs (facts.h); it
 * may read more through the same root handles, and it changes nothing. */
#pragma once

#include "base/text.h"

struct nvl_check; /* check.h */

enum nvl_severity {
    NVL_SEVERITY_ERROR,   /* it keeps a container from its GPU, now or at its next start */
    NVL_SEVERITY_WARNING, /* it will keep a container from its GPU, or already keeps some programs from it */
    NVL_SEVERITY_NOTE,    /* worth knowing; nothing is wrong */
};

/* What it does to the container's start. */
enum nvl_start_effect {
    NVL_START_GOES,
    NVL_START_WAITS, /* it fails until the host has a device */
    NVL_START_STOPS, /* it fails until the config, or the host's, is changed */
};

/* What a finding is about. */
enum nvl_subject_kind {
    NVL_SUBJECT_GPU,     /* by its PCI address */
    NVL_SUBJECT_NODE,    /* a device node, by its path */
    NVL_SUBJECT_LIBRARY, /* a file of the driver that programs use, or its folder, by its path */
    NVL_SUBJECT_BUNDLE,  /* of the driver, by its version */
    NVL_SUBJECT_MODULE,  /* a kernel module, by its name */
    NVL_SUBJECT_LINE,    /* a line of the config, by its key */
};

struct nvl_subject {
    enum nvl_subject_kind kind;
    char *name; /* NULL: all of this kind */
};

struct nvl_subjects {
    struct nvl_subject *items;
    size_t count;
};

struct nvl_finding {
    const struct nvl_check *check;
    enum nvl_severity severity;
    char *container; /* its unambiguous name; NULL for the host */
    char *title;     /* one line: what is wrong */
    char
        *evidence; /* what was found, literally: a line of a file, a number, a path; may have several lines */
    char *cause;   /* why this is so, and its effect on programs: "CUDA fails with error 999" */
    char *fix;     /* commands, one a line, or the edit in words; NULL if there is nothing to do */
    enum nvl_start_effect start;
    struct nvl_subjects about;    /* empty: it is about the whole host, or the whole container */
    struct nvl_subjects explains; /* what it is the cause of, besides what it is about */
};

/* A question that got no answer this time: that nothing was found does not mean that nothing is wrong. */
struct nvl_unanswered {
    const struct nvl_check *check; /* NULL: each check with one of `needs`, or, if that is 0, each */
    unsigned needs;                /* from enum nvl_needs */
    char *container;               /* its unambiguous name; NULL for the host */
};

struct nvl_findings {
    struct nvl_finding *items;
    size_t count;
    struct nvl_finding *folded; /* what nvl_findings_finish left out, since others explain it */
    size_t n_folded;
    struct nvl_unanswered *unanswered;
    size_t n_unanswered;
};

/* Adds one; texts are copied and made printable, and may be NULL if the struct says so. The container's name
 * comes from the facts. */
struct nvl_finding *nvl_finding_add(struct nvl_findings *findings, const struct nvl_check *check,
                                    enum nvl_severity severity, const char *container, const char *title);
/* Each formats and sets a part. */
void nvl_finding_evidence(struct nvl_finding *f, const char *fmt, ...) NVL_PRINTF(2, 3);
void nvl_finding_cause(struct nvl_finding *f, const char *fmt, ...) NVL_PRINTF(2, 3);
void nvl_finding_fix(struct nvl_finding *f, const char *fmt, ...) NVL_PRINTF(2, 3);
/* Set evidence and fix from lists, one line each. */
void nvl_finding_evidence_lines(struct nvl_finding *f, const struct nvl_strv *lines);
void nvl_finding_fix_lines(struct nvl_finding *f, const struct nvl_strv *lines);
/* Adds to the subjects that it is about, or that it explains; `name` NULL means all of that kind. The last
 * adds each of the names. */
void nvl_finding_about(struct nvl_finding *f, enum nvl_subject_kind kind, const char *name);
void nvl_finding_explains(struct nvl_finding *f, enum nvl_subject_kind kind, const char *name);
void nvl_finding_about_each(struct nvl_finding *f, enum nvl_subject_kind kind, const struct nvl_strv *names);
/* "error, container 220: TITLE"; the caller frees. */
char *nvl_finding_headline(const struct nvl_finding *f);
/* Says that a check could not be answered, or, with `check` NULL, those of `needs`, as in the struct. The
 * name is copied. */
void nvl_findings_unanswered(struct nvl_findings *findings, const struct nvl_check *check, unsigned needs,
                             const char *container);
/* Whether nobody said so of that check. */
bool nvl_findings_answer(const struct nvl_findings *findings, const struct nvl_check *check,
                         const char *container);
void nvl_findings_clear(struct nvl_findings *findings);

/* Folds, then sorts: errors first, the host before its containers, table order.
 *
 * A finding is left out if root causes explain it. They must be about the same thing; the ids of checks never
 * suffice:
 * - A check names, in folded_into, the checks whose findings may explain its own: those of the host and of
 *   the same container, except notes.
 * - Such a finding explains the subjects that it is about, and those that it lists as explained. A finding
 *   about the whole explains everything.
 * - A finding is explained if each of its subjects is, if necessary by several others. Only a finding
 *   about the whole explains one about the whole. */
void nvl_findings_finish(struct nvl_findings *findings);
/* The first that keeps the container from starting, as things are now; NULL for none. */
const struct nvl_finding *nvl_find_stopper(const struct nvl_findings *findings);
/* The first that stops the start and is not among those of the config before, whose lines have the same
 * numbers (nvl_container_facts_of). A device that is missing today does not count: a service makes nodes at
 * boot. NULL for none. */
const struct nvl_finding *nvl_find_new_stopper(const struct nvl_findings *findings,
                                               const struct nvl_findings *before);
/* Whether there is nothing to do: no findings, or only notes. */
bool nvl_findings_are_notes(const struct nvl_findings *findings);
const char *nvl_severity_name(enum nvl_severity severity); /* "error", "warning", "note" */
