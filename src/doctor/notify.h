/* doctor --notify: tells a command of the administrator's what has come and what has gone since the last run.
 */
#pragma once

#include "doctor/diagnose.h"
#include "doctor/told.h"

#define NVL_NOTIFY_SECONDS 60 /* for the command */

struct nvl_notify {
    const char *command; /* for /bin/sh -c, as the administrator wrote it */
    bool deep;           /* as doctor --deep */
    bool spares_output;  /* what the command prints goes to standard error */
};

enum nvl_last_run { NVL_LAST_KNOWN, NVL_LAST_MISSING, NVL_LAST_DAMAGED };

struct nvl_news {
    struct nvl_diagnosis diagnosis;
    enum nvl_last_run last;    /* what was known of the last run; if nothing, all there is has come */
    struct nvl_findings came;  /* errors and warnings; their texts are the diagnosis' */
    struct nvl_told_list gone; /* they were looked for, and not found */
    size_t n_silent;           /* earlier ones that could not be looked for: they count as being there */
    struct nvl_error trouble;  /* something of the host could not be read: which, and why; else code 0 */
    size_t n_beyond;           /* that have come, and for which the file has no room: not told */
};

/* Looks at the host and all containers of this machine; if something has come or gone, runs the command with
 * a text about it on its standard input and NVLXC_SUBJECT, NVLXC_NEW and NVLXC_GONE in its environment; then
 * stores what has been told. If the command fails, or its time is over (then its process group is killed),
 * nothing is stored, so that the next run tells it again: -EIO. If something of the host could not be read,
 * nothing counts as gone, and the text says so. The caller clears `news` in any case. */
int nvl_notify(const struct nvl_root *root, const struct nvl_notify *order, struct nvl_news *news,
               struct nvl_error *err);
/* "1 new finding, 2 gone"; "" for nothing. The caller frees. */
char *nvl_news_summary(const struct nvl_news *news);
void nvl_news_clear(struct nvl_news *news);
