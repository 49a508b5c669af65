/* What has come and gone since the last run, and who hears of it. An error is not an absence: a finding has
 * gone only if its question was asked again and answered (nvl_findings_answer), and nothing else explains it
 * now. */
#include "doctor/notify.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "base/printable.h"
#include "base/root.h"
#include "base/run.h"
#include "base/visit.h"
#include "doctor/check.h"

#define TURNS       3            /* other runs may tell meanwhile */
#define TEXT_MAX    (256u << 10) /* of what the command reads: it may become a mail */
#define TEXT_COLUMN 76

/* ---- comparing ---- */

/* The findings of now, and what each is to the last run. */
struct comparison {
    struct nvl_told_list now, before;
    const struct nvl_finding **findings; /* of `now` */
    enum nvl_likeness *likeness;         /* of `now`: NVL_LIKE_OTHER for what has no earlier one */
    bool *is_met;                        /* of `before` */
};

static void comparison_clear(struct comparison *c)
{
    nvl_told_list_clear(&c->now);
    nvl_told_list_clear(&c->before);
    free(c->findings);
    free(c->likeness);
    free(c->is_met);
}

static void take_findings(struct comparison *c, const struct nvl_diagnosis *d)
{
    c->findings = nvl_xcalloc(d->findings.count + 1, sizeof *c->findings);
    for (size_t i = 0; i < d->findings.count; i++) {
        const struct nvl_finding *f = &d->findings.items[i];
        if (f->severity == NVL_SEVERITY_NOTE)
            continue;
        c->findings[c->now.count] = f;
        *NVL_APPEND(c->now.items, c->now.count) = nvl_told_of(f, d->facts.deep);
    }
    c->likeness = nvl_xcalloc(c->now.count + 1, sizeof *c->likeness);
    c->is_met = nvl_xcalloc(c->before.count + 1, sizeof *c->is_met);
    for (size_t i = 0; i < c->now.count; i++)
        c->likeness[i] = NVL_LIKE_OTHER;
}

/* Each earlier finding is met by at most one, the most alike first. */
static void meet(struct comparison *c, enum nvl_likeness likeness)
{
    for (size_t i = 0; i < c->now.count; i++)
        for (size_t k = 0; k < c->before.count && c->likeness[i] == NVL_LIKE_OTHER; k++)
            if (!c->is_met[k] && nvl_told_likeness(&c->before.items[k], &c->now.items[i]) == likeness) {
                c->likeness[i] = likeness;
                c->is_met[k] = true;
            }
}

/* It is still so, and left out since others explain it. */
static bool is_explained_now(const struct nvl_diagnosis *d, const struct nvl_told *told)
{
    bool is_like = false;

    for (size_t i = 0; i < d->findings.n_folded && !is_like; i++) {
        struct nvl_told folded = nvl_told_of(&d->findings.folded[i], d->facts.deep);
        is_like = d->findings.folded[i].severity != NVL_SEVERITY_NOTE &&
                  nvl_told_likeness(told, &folded) != NVL_LIKE_OTHER;
        nvl_told_clear(&folded);
    }
    return is_like;
}

/* Whether it was looked for and would have been found. A container that is not there, and was not among those
 * that could not be listed, has no findings. */
static bool was_looked_for(const struct nvl_news *news, const struct nvl_told *told)
{
    const struct nvl_diagnosis *d = &news->diagnosis;
    bool is_listed = told->container == NULL || nvl_strv_contains(&d->containers, told->container);

    if (!is_listed && (d->facts.is_cluster_gone || d->facts.containers.unread.count > 0))
        return false;
    return news->trouble.code == 0 && (d->facts.deep || !told->is_deep) &&
           nvl_findings_answer(&d->findings, told->check, told->container);
}

static void move_told(struct nvl_told *told, struct nvl_told_list *to)
{
    *NVL_APPEND(to->items, to->count) = *told;
    *told = (struct nvl_told){0};
}

/* Sorts what no finding of now has met into what has gone and what the file keeps. */
static void sort_earlier(struct comparison *c, struct nvl_news *news, struct nvl_told_list *next)
{
    for (size_t k = 0; k < c->before.count; k++) {
        struct nvl_told *told = &c->before.items[k];
        if (c->is_met[k])
            continue;
        bool is_explained = is_explained_now(&news->diagnosis, told);
        bool is_silent = !is_explained && !was_looked_for(news, told);
        news->n_silent += is_silent;
        move_told(told, is_explained || is_silent ? next : &news->gone);
    }
}

/* The file has first what it had, then what is new, as far as there is room. */
static void sort_present(struct comparison *c, struct nvl_news *news, struct nvl_told_list *next)
{
    for (size_t i = 0; i < c->now.count; i++)
        if (c->likeness[i] != NVL_LIKE_OTHER)
            move_told(&c->now.items[i], next);
    for (size_t i = 0; i < c->now.count; i++) {
        bool is_met = c->likeness[i] != NVL_LIKE_OTHER;
        if (is_met && c->likeness[i] != NVL_LIKE_CHANGED)
            continue;
        if (!is_met && next->count >= NVL_TOLD_MAX) {
            news->n_beyond++;
            continue;
        }
        *NVL_APPEND(news->came.items, news->came.count) = *c->findings[i];
        if (!is_met)
            move_told(&c->now.items[i], next);
    }
}

/* `last`: the file's text; NULL if there is none. */
static void compare_runs(const char *last, struct nvl_news *news, struct nvl_told_list *next)
{
    nvl_auto(comparison_clear) struct comparison c = {0};

    news->last = nvl_told_parse(last, &c.before) < 0 ? NVL_LAST_DAMAGED
                 : last == NULL                      ? NVL_LAST_MISSING
                                                     : NVL_LAST_KNOWN;
    take_findings(&c, &news->diagnosis);
    for (enum nvl_likeness likeness = NVL_LIKE_SAME; likeness < NVL_LIKE_OTHER; likeness++)
        meet(&c, likeness);
    sort_earlier(&c, news, next);
    sort_present(&c, news, next);
}

/* ---- the text ---- */

char *nvl_news_summary(const struct nvl_news *news)
{
    size_t came = news->came.count, gone = news->gone.count;

    if (came == 0 && gone == 0)
        return nvl_xstrdup("");
    if (came == 0)
        return nvl_xasprintf("%zu finding%s gone", gone, gone == 1 ? "" : "s");
    nvl_autofree char *rest = gone > 0 ? nvl_xasprintf(", %zu gone", gone) : nvl_xstrdup("");
    return nvl_xasprintf("%zu new finding%s%s", came, came == 1 ? "" : "s", rest);
}

static char *subject_line(const struct nvl_news *news)
{
    char host[HOST_NAME_MAX + 1] = "";
    nvl_autofree char *summary = nvl_news_summary(news);

    gethostname(host, sizeof host - 1);
    return nvl_make_printable(
        nvl_xasprintf("nvlxc on %s: %s", host[0] != '\0' ? host : "this host", summary));
}

/* Adds a text as lines with `indent` before each: none of them can pass for another part of the message, or
 * for a mail program's "." or "~". */
static void add_indented(struct nvl_buf *out, const char *indent, const char *text, size_t width)
{
    const char *line;
    size_t len;

    while (nvl_next_wrapped(&text, width, &line, &len))
        nvl_buf_addf(out, "%s%.*s\n", indent, (int)len, line);
}

/* A title is one line, whatever is in it. */
static void add_headline(struct nvl_buf *out, const char *first, char *headline)
{
    for (char *p = headline; *p != '\0'; p++)
        if (*p == '\n' || *p == '\t')
            *p = ' ';
    nvl_buf_addf(out, "%s%s\n", first, headline);
}

static void add_came(struct nvl_buf *out, const struct nvl_finding *f)
{
    nvl_autofree char *headline = nvl_finding_headline(f);

    nvl_buf_addf(out, "\n");
    add_headline(out, "new: ", headline);
    if (f->cause != NULL) {
        nvl_buf_addf(out, "  why:\n");
        add_indented(out, "    ", f->cause, TEXT_COLUMN);
    }
    if (f->fix != NULL) {
        nvl_buf_addf(out, "  fix:\n");
        add_indented(out, "    ", f->fix, SIZE_MAX); /* commands stay whole */
    }
}

static void add_gone(struct nvl_buf *out, const struct nvl_told *told)
{
    nvl_autofree char *where =
        told->container != NULL ? nvl_xasprintf("container %s: ", told->container) : nvl_xstrdup("");
    nvl_autofree char *headline = nvl_xasprintf("%s%s", where, told->title);

    add_headline(out, "gone: ", headline);
}

/* The whole message; the caller frees. */
static char *message_text(const struct nvl_news *news, const char *subject)
{
    struct nvl_buf out = {0};
    size_t came = 0, gone = 0;

    nvl_buf_addf(&out, "%s\n", subject);
    if (news->last != NVL_LAST_KNOWN)
        nvl_buf_addf(&out, "\nThe last run is not known, so this is all that there is.\n");
    if (news->trouble.code != 0)
        nvl_buf_addf(&out,
                     "\nIncomplete: %s.\nNothing counts as gone, and something may be there only "
                     "because of that.\n",
                     news->trouble.message);
    for (; came < news->came.count && out.len < TEXT_MAX; came++)
        add_came(&out, &news->came.items[came]);
    if (news->gone.count > 0)
        nvl_buf_addf(&out, "\n");
    for (; gone < news->gone.count && out.len < TEXT_MAX; gone++)
        add_gone(&out, &news->gone.items[gone]);
    size_t rest = news->came.count - came + news->gone.count - gone;
    if (rest > 0)
        nvl_buf_addf(&out, "\nand %zu more\n", rest);
    nvl_buf_addf(&out, "\nAll that is there now, with the evidence: nvlxc doctor\n");
    return nvl_make_printable(nvl_buf_take(&out));
}

/* ---- telling ---- */

/* This process's environment with three more; what they point to is the caller's and environ's. */
static char **command_environment(const char *const own[3])
{
    size_t count = 0, kept = 0;

    while (environ != NULL && environ[count] != NULL)
        count++;
    char **all = nvl_xcalloc(count + 4, sizeof *all);
    for (size_t i = 0; i < count; i++)
        if (!nvl_has_prefix(environ[i], "NVLXC_SUBJECT=") && !nvl_has_prefix(environ[i], "NVLXC_NEW=") &&
            !nvl_has_prefix(environ[i], "NVLXC_GONE="))
            all[kept++] = environ[i];
    for (size_t i = 0; i < 3; i++)
        all[kept++] = (char *)own[i];
    return all;
}

/* How the command failed, in words; NULL if it did not. The caller frees. */
static char *failure_text(int r, int status)
{
    if (r == -ETIMEDOUT)
        return nvl_xasprintf("did not end within %d s and was killed, with its process group",
                             NVL_NOTIFY_SECONDS);
    if (r < 0)
        return nvl_xasprintf("could not be started: %s", strerror(-r));
    if (WIFSIGNALED(status))
        return nvl_xasprintf("was ended by signal %d", WTERMSIG(status));
    return WEXITSTATUS(status) != 0 ? nvl_xasprintf("failed with status %d", WEXITSTATUS(status)) : NULL;
}

/* The command line is the administrator's alone: of what is told nothing becomes a part of it. `input_fd` has
 * the text. */
static int run_by_shell(const struct nvl_notify *order, const struct nvl_news *news, const char *subject,
                        int input_fd, struct nvl_error *err)
{
    const char *const argv[] = {"/bin/sh", "-c", order->command, NULL};
    nvl_autofree char *own_subject = nvl_xasprintf("NVLXC_SUBJECT=%s", subject),
                      *own_new = nvl_xasprintf("NVLXC_NEW=%zu", news->came.count),
                      *own_gone = nvl_xasprintf("NVLXC_GONE=%zu", news->gone.count);
    nvl_autofree char **environment =
        command_environment((const char *const[]){own_subject, own_new, own_gone});
    const struct nvl_run run = {.argv = argv,
                                .environment = environment,
                                .input = NVL_STREAM_FD,
                                .input_fd = input_fd,
                                .output = order->spares_output ? NVL_STREAM_FD : NVL_STREAM_CALLERS,
                                .output_fd = STDERR_FILENO,
                                .errors = NVL_STREAM_CALLERS,
                                .seconds = NVL_NOTIFY_SECONDS,
                                .spares_rest = true}; /* some mailers deliver behind their caller's back */
    nvl_auto(nvl_run_result_clear) struct nvl_run_result result = {0};

    int r = nvl_run(&run, &result);
    nvl_autofree char *failure = failure_text(r, result.status);
    if (failure == NULL)
        return 0;
    nvl_error_set(err, -EIO, "the command of --notify %s: %s", failure, order->command);
    nvl_error_hint(err, "nothing counts as told, so the next run tells it again");
    return -EIO;
}

static int tell_news(const struct nvl_notify *order, const struct nvl_news *news, struct nvl_error *err)
{
    nvl_autofree char *subject = subject_line(news), *text = message_text(news, subject);
    nvl_autofd int fd = memfd_create("nvlxc-news", MFD_CLOEXEC);
    int r = fd < 0 ? -errno : nvl_fd_write(fd, text, strlen(text));

    if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
        r = -errno;
    if (r < 0)
        return nvl_error_errno(err, r, "cannot hold what is to be told in memory");
    return run_by_shell(order, news, subject, fd, err);
}

/* Under the lock. */
static int tell_and_store(const struct nvl_root *root, const struct nvl_notify *order, const char *last,
                          struct nvl_news *news, struct nvl_error *err)
{
    nvl_auto(nvl_told_list_clear) struct nvl_told_list next = {0};

    compare_runs(last, news, &next);
    nvl_visit_writes();
    int r = news->came.count + news->gone.count > 0 ? tell_news(order, news, err) : 0;
    if (r < 0)
        return r;
    nvl_autofree char *text = nvl_told_text(&next);
    return last != NULL && strcmp(last, text) == 0 ? 0 : nvl_told_write(root, text, err);
}

/* Looks first and takes the lock then: a process that is left behind (base/visit.h) would keep it. Returns 1
 * if another run has told meanwhile: what this one saw may be older than that. */
static int notify_once(const struct nvl_root *root, const struct nvl_notify *order, struct nvl_news *news,
                       struct nvl_error *err)
{
    nvl_autofree char *before = NULL, *last = NULL;
    nvl_autofd int lock = -1;

    int r = nvl_told_read(root, &before, err);
    if (r == 0)
        r = nvl_diagnose(root, NULL, NVL_FACTS_ANEW, order->deep, &news->diagnosis, err);
    if (r == 0)
        nvl_root_trouble(root, &news->trouble);
    if (r == 0)
        r = nvl_told_lock(root, &lock, err);
    if (r == 0)
        r = nvl_told_read(root, &last, err);
    if (r < 0)
        return r;
    if ((before == NULL) != (last == NULL) || (last != NULL && strcmp(before, last) != 0))
        return 1;
    return tell_and_store(root, order, last, news, err);
}

int nvl_notify(const struct nvl_root *root, const struct nvl_notify *order, struct nvl_news *news,
               struct nvl_error *err)
{
    int r = 1;

    *news = (struct nvl_news){0};
    for (int i = 0; i < TURNS && r == 1; i++) {
        nvl_news_clear(news);
        r = notify_once(root, order, news, err);
    }
    if (r != 1)
        return r;
    nvl_error_set(err, -EAGAIN,
                  "other runs of doctor --notify told something each time that this one looked");
    nvl_error_hint(err, "one timer is enough; the next run tells what is new");
    return -EAGAIN;
}

void nvl_news_clear(struct nvl_news *news)
{
    free(news->came.items);
    nvl_told_list_clear(&news->gone);
    nvl_diagnosis_clear(&news->diagnosis);
    *news = (struct nvl_news){0};
}
