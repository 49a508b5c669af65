/* What doctor --notify has told: the errors and warnings of the last run that told all it had to tell. They
 * are in a small file of root's, from which a later run knows what has come and what has gone. */
#pragma once

#include "doctor/findings.h"

#define NVL_TOLD_MAX 1000 /* findings in the file */

struct nvl_error;
struct nvl_root;

/* Enough of a finding to know it again. Texts are printable, and cut where they are long. */
struct nvl_told {
    const struct nvl_check *check;
    char *container;       /* NULL for the host */
    struct nvl_strv about; /* what it is about, "node /dev/nvidia0", sorted */
    char *title;
    bool is_deep; /* a run with --deep found it, and only such a run can say that it has gone */
};

struct nvl_told_list {
    struct nvl_told *items;
    size_t count;
};

/* `is_deep`: the facts were. The caller clears it. */
struct nvl_told nvl_told_of(const struct nvl_finding *f, bool is_deep);
void nvl_told_clear(struct nvl_told *told);
void nvl_told_list_clear(struct nvl_told_list *list);

/* How an earlier finding is like one of now; the first is the closest. */
enum nvl_likeness {
    NVL_LIKE_SAME,    /* same check, same container, about the same, same title */
    NVL_LIKE_SMALLER, /* about a part of what it was about */
    NVL_LIKE_CHANGED, /* about some of what it was about, and about more, or with another title */
    NVL_LIKE_OTHER,
};
enum nvl_likeness nvl_told_likeness(const struct nvl_told *before, const struct nvl_told *now);

/* The lock of the file: makes its folder, and waits while another run tells. The caller closes *fd. */
int nvl_told_lock(const struct nvl_root *root, int *fd, struct nvl_error *err);
/* The file's text, NULL if it is absent; the caller frees. A file that cannot be what nvlxc wrote (too large,
 * somebody else's, a link) is "". */
int nvl_told_read(const struct nvl_root *root, char **text, struct nvl_error *err);
/* -EINVAL if the text is damaged; then, and for NULL, the list is empty. What a check found that there is no
 * longer is left out. */
int nvl_told_parse(const char *text, struct nvl_told_list *list);
/* The text of a list; the caller frees. */
char *nvl_told_text(const struct nvl_told_list *list);
/* Replaces the file, under the lock. */
int nvl_told_write(const struct nvl_root *root, const char *text, struct nvl_error *err);
