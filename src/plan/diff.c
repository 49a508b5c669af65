/* A unified diff. It sets equal lines at both ends aside and compares the rest by Myers' greedy method ("An
 * O(ND) difference algorithm", 1986), with a bound on the work; beyond it, the rest counts as replaced.
 */
#include "plan/diff.h"

#define CONTEXT 3
/* The most edits to try, in files of usual size and in large ones: attach changes a few lines. */
#define EDITS_MAX       512
#define EDITS_MAX_LARGE 64
#define LARGE           20000 /* lines */

struct line {
    const char *start;
    size_t len; /* with the line end, which an unfinished last line lacks */
};

struct side {
    struct line *lines;
    size_t n;
    bool *changed; /* removed from the old side, added on the new one; n + 1 of them, the last false */
};

static void side_clear(struct side *s)
{
    free(s->lines);
    free(s->changed);
}

static void split(struct side *s, const char *text, size_t len)
{
    const char *start;
    size_t pos = 0, line_len;

    s->lines = nvl_xcalloc(1, sizeof *s->lines); /* also of an empty text a place can be named */
    while (nvl_next_line(text, len, &pos, &start, &line_len))
        *NVL_APPEND(s->lines, s->n) = (struct line){.start = start, .len = (size_t)(text + pos - start)};
    s->changed = nvl_xcalloc(s->n + 1, sizeof *s->changed);
}

static bool is_equal(const struct line *a, const struct line *b)
{
    return a->len == b->len && memcmp(a->start, b->start, a->len) == 0;
}

/* ---- comparing ---- */

/* The part between the equal ends. */
struct middle {
    const struct line *a, *b;
    long n, m;
    bool *removed, *added;
};

/* The furthest x on each diagonal (x - y) after each number of edits: row d holds diagonals -d to d. */
static long *row_of(long *rows, long d)
{
    return rows + d * d + d; /* rows 0 to d - 1 take d * d places; diagonal 0 of row d is in its middle */
}

static bool comes_from_above(const long *before, long k, long d)
{
    return k == -d || (k != d && before[k - 1] < before[k + 1]);
}

/* Makes one more edit on every diagonal; true if it reaches the end of both. */
static bool advance(const struct middle *mid, long *rows, long d)
{
    long *now = row_of(rows, d);
    const long *before = d > 0 ? row_of(rows, d - 1) : NULL;

    for (long k = -d; k <= d; k += 2) {
        long x = 0;
        if (before != NULL)
            x = comes_from_above(before, k, d) ? before[k + 1] : before[k - 1] + 1;
        while (x < mid->n && x - k < mid->m && x - k >= 0 && is_equal(&mid->a[x], &mid->b[x - k]))
            x++;
        now[k] = x;
        if (k == mid->n - mid->m && x >= mid->n)
            return true;
    }
    return false;
}

static void trace_back(const struct middle *mid, long *rows, long d)
{
    long x = mid->n, y = mid->m;

    for (; d > 0; d--) {
        const long *before = row_of(rows, d - 1);
        long k = x - y;
        if (comes_from_above(before, k, d)) {
            x = before[k + 1];
            y = x - (k + 1);
            if (y >= 0 && y < mid->m)
                mid->added[y] = true;
        } else {
            x = before[k - 1];
            y = x - (k - 1);
            if (x >= 0 && x < mid->n)
                mid->removed[x] = true;
        }
    }
}

static void compare_middle(const struct middle *mid)
{
    long most = mid->n + mid->m > LARGE ? EDITS_MAX_LARGE : EDITS_MAX;

    if (most > mid->n + mid->m)
        most = mid->n + mid->m;
    nvl_autofree long *rows = nvl_xcalloc((size_t)((most + 1) * (most + 1)), sizeof *rows);
    for (long d = 0; d <= most; d++)
        if (advance(mid, rows, d)) {
            trace_back(mid, rows, d);
            return;
        }
    memset(mid->removed, true, (size_t)mid->n * sizeof *mid->removed);
    memset(mid->added, true, (size_t)mid->m * sizeof *mid->added);
}

static void compare(struct side *old, struct side *new)
{
    size_t least = old->n < new->n ? old->n : new->n, head = 0, tail = 0;

    while (head < least && is_equal(&old->lines[head], &new->lines[head]))
        head++;
    while (tail < least - head && is_equal(&old->lines[old->n - 1 - tail], &new->lines[new->n - 1 - tail]))
        tail++;
    compare_middle(&(struct middle){.a = old->lines + head,
                                    .b = new->lines + head,
                                    .n = (long)(old->n - head - tail),
                                    .m = (long)(new->n - head - tail),
                                    .removed = old->changed + head,
                                    .added = new->changed + head});
}

/* ---- sliding: of several equivalent changes, choose the one that diff -u prints ---- */

/* A run of changed lines [start, end), and the place on the other side that corresponds to its start. */
struct run {
    size_t start, end, other;
};

static size_t skip_changed(const struct side *s, size_t i)
{
    while (i < s->n && s->changed[i])
        i++;
    return i;
}

/* If the line after the run equals its first, the run can move down by one. */
static bool can_slide_down(const struct side *s, const struct run *run)
{
    return run->end < s->n && is_equal(&s->lines[run->start], &s->lines[run->end]);
}

static void slide_down(struct side *s, const struct side *other, struct run *run)
{
    s->changed[run->start++] = false;
    s->changed[run->end++] = true;
    run->other = skip_changed(other, run->other) + 1;
}

static void slide_up(struct side *s, struct run *run)
{
    s->changed[--run->start] = true;
    s->changed[--run->end] = false;
}

/* Moves the run as far down as possible, merging the runs that it meets; but if it passes a change of the
 * other side, it stays beside that one, so that both form one change. */
static void settle(struct side *s, const struct side *other, struct run *run)
{
    size_t beside = other->changed[run->other] ? run->start : SIZE_MAX;

    while (can_slide_down(s, run)) {
        slide_down(s, other, run);
        size_t grown = skip_changed(s, run->end);
        if (grown != run->end)
            beside = SIZE_MAX;
        run->end = grown;
        if (other->changed[run->other])
            beside = run->start;
    }
    while (beside != SIZE_MAX && run->start > beside)
        slide_up(s, run);
}

static void slide(struct side *s, const struct side *other)
{
    size_t i = 0, j = 0; /* j corresponds to i: as many unchanged lines precede it */

    while (i < s->n) {
        if (!s->changed[i]) {
            i++;
            j = skip_changed(other, j) + 1;
            continue;
        }
        struct run run = {.start = i, .end = skip_changed(s, i), .other = j};
        settle(s, other, &run);
        for (; i < run.start; i++)
            j = skip_changed(other, j) + 1;
        i = run.end;
    }
}

/* ---- printing ---- */

/* A hunk's first line and number of lines, on both sides. */
struct hunk {
    size_t old_start, old_end, new_start, new_end;
};

static void print_range(struct nvl_buf *out, size_t start, size_t end)
{
    size_t n = end - start;

    /* lines count from 1; an empty range names the line before it */
    nvl_buf_addf(out, "%zu", n > 0 ? start + 1 : start);
    if (n != 1)
        nvl_buf_addf(out, ",%zu", n);
}

static void print_line(struct nvl_buf *out, char mark, const struct line *line)
{
    nvl_buf_add(out, &mark, 1);
    nvl_buf_add(out, line->start, line->len);
    if (line->start[line->len - 1] != '\n')
        nvl_buf_addf(out, "\n\\ No newline at end of file\n");
}

static void print_hunk(struct nvl_buf *out, const struct side *old, const struct side *new,
                       const struct hunk *h)
{
    size_t i = h->old_start, j = h->new_start;

    nvl_buf_addf(out, "@@ -");
    print_range(out, h->old_start, h->old_end);
    nvl_buf_addf(out, " +");
    print_range(out, h->new_start, h->new_end);
    nvl_buf_addf(out, " @@\n");
    while (i < h->old_end || j < h->new_end) {
        for (; i < h->old_end && old->changed[i]; i++)
            print_line(out, '-', &old->lines[i]);
        for (; j < h->new_end && new->changed[j]; j++)
            print_line(out, '+', &new->lines[j]);
        for (; i < h->old_end && !old->changed[i] && !new->changed[j]; i++, j++)
            print_line(out, ' ', &old->lines[i]);
    }
}

/* From the change at (i, j) on: changes at most two contexts apart share a hunk. */
static struct hunk make_hunk(const struct side *old, const struct side *new, size_t i, size_t j)
{
    size_t before = i < CONTEXT ? i : CONTEXT, gap = 0;
    struct hunk h = {.old_start = i - before, .new_start = j - before};

    while (i < old->n || j < new->n) {
        if (old->changed[i] || new->changed[j]) {
            i = skip_changed(old, i);
            j = skip_changed(new, j);
            gap = 0;
            h.old_end = i;
            h.new_end = j;
            continue;
        }
        if (++gap > 2 * CONTEXT)
            break;
        i++;
        j++;
    }
    size_t left = old->n - h.old_end, after = left < CONTEXT ? left : CONTEXT;
    h.old_end += after;
    h.new_end += after;
    return h;
}

void nvl_diff(struct nvl_buf *out, const char *old_name, const char *old_text, size_t old_len,
              const char *new_name, const char *new_text, size_t new_len)
{
    nvl_auto(side_clear) struct side old = {0}, new = {0};
    size_t i = 0, j = 0;

    if (old_len == new_len && (old_len == 0 || memcmp(old_text, new_text, old_len) == 0))
        return;
    split(&old, old_text, old_len);
    split(&new, new_text, new_len);
    compare(&old, &new);
    slide(&old, &new);
    slide(&new, &old);
    nvl_buf_addf(out, "--- %s\n+++ %s\n", old_name, new_name);
    while (i < old.n || j < new.n) {
        if (!old.changed[i] && !new.changed[j]) {
            i++;
            j++;
            continue;
        }
        struct hunk h = make_hunk(&old, &new, i, j);
        print_hunk(out, &old, &new, &h);
        i = h.old_end;
        j = h.new_end;
    }
}

char *nvl_plan_diff(const struct nvl_container *container, const struct nvl_config *config,
                    const struct nvl_plan *plan)
{
    struct nvl_buf b = {0};
    bool is_file = container->config_path[0] == '/';
    nvl_autofree char *old_name = nvl_xasprintf("%s%s", is_file ? "a" : "", container->config_path);
    nvl_autofree char *new_name = nvl_xasprintf("%s%s", is_file ? "b" : "", container->config_path);

    nvl_diff(&b, old_name, config->text, config->len, new_name, plan->text, plan->len);
    return nvl_buf_take(&b);
}
