/* Plans: the new text is the old one, line by line, with nvlxc's own lines kept, replaced, left out or added.
 * Every other byte is copied. */
#include "plan/plan.h"

#include <errno.h>
#include <stdio.h>

#include "base/error.h"
#include "base/printable.h"
#include "container/entry.h"
#include "container/foreign.h"
#include "container/keys.h"
#include "container/ownership.h"

/* ---- which lines stay, go, or make room ---- */

enum fate { FATE_KEEP, FATE_REPLACE, FATE_REMOVE };

struct new_dev {
    size_t wanted, before; /* indexes: in wanted, and of the line of config */
};

struct edit {
    const struct nvl_config *config;
    bool *taken;          /* of each line of config: nvlxc may change it. All others stay */
    enum fate *fates;     /* of each line of config */
    size_t *replacements; /* for REPLACE: index in wanted */
    struct nvl_grant_line_list wanted;
    bool *placed;         /* of each wanted line: a kept, replaced or foreign line already says it */
    size_t insert_at;     /* wanted lines without a place go before this line of config */
    struct new_dev *devs; /* the missing dev[n] entries, in Proxmox's order */
    size_t n_devs;
    size_t mount_at; /* the mount hook that stays, n_lines for none: lines that need company precede it */
};

#define DEV_COUNT  256 /* dev0 to dev255 */
#define ROUNDS_MAX 4
#define LINE_MAX   80 /* of a line in a message */

static void edit_clear(struct edit *e)
{
    free(e->taken);
    free(e->fates);
    free(e->replacements);
    free(e->placed);
    free(e->devs);
    nvl_grant_line_list_clear(&e->wanted);
}

static const struct nvl_line *line_of(const struct edit *e, size_t i)
{
    return &e->config->lines[i];
}

/* Of two entries with the same number, Proxmox takes the later one. */
static bool is_shadowed(const struct edit *e, size_t i)
{
    for (size_t k = i + 1; k < e->config->n_lines && line_of(e, k)->section == 0; k++)
        if (line_of(e, k)->kind == NVL_LINE_KEY && strcmp(line_of(e, k)->key, line_of(e, i)->key) == 0)
            return true;
    return false;
}

/* ---- what is there already ---- */

static bool is_dev(const struct nvl_grant_line *wanted)
{
    return wanted->index >= 0;
}

/* The number of a dev[n] entry does not matter. */
static bool says(const struct nvl_line *line, const struct nvl_grant_line *wanted)
{
    bool is_key = is_dev(wanted) ? nvl_dev_index(line->key) >= 0 : strcmp(line->key, wanted->key) == 0;

    return is_key && strcmp(line->value, wanted->value) == 0;
}

static bool keep_if_wanted(struct edit *e, size_t i)
{
    for (size_t w = 0; w < e->wanted.count; w++)
        if (!e->placed[w] && says(line_of(e, i), &e->wanted.items[w])) {
            e->fates[i] = FATE_KEEP;
            return e->placed[w] = true;
        }
    return false;
}

/* An unwanted line of nvlxc's makes room for a wanted one of its kind. */
static void replace_if_possible(struct edit *e, size_t i)
{
    enum nvl_grant_slot slot = nvl_line_slot(line_of(e, i));

    for (size_t w = 0; w < e->wanted.count; w++)
        if (!e->placed[w] && slot == e->wanted.items[w].slot) {
            e->fates[i] = FATE_REPLACE;
            e->replacements[i] = w;
            e->placed[w] = true;
            return;
        }
}

/* Whether the line can belong to the grant: in force, and in the section that counts. */
static bool can_stay(const struct edit *e, size_t i)
{
    const struct nvl_line *line = line_of(e, i);
    enum nvl_grant_slot slot = nvl_line_slot(line);

    return line->section == 0 && slot != NVL_SLOT_NONE && !nvl_slot_needs_company(slot) &&
           (nvl_dev_index(line->key) < 0 || !is_shadowed(e, i));
}

static void settle_taken(struct edit *e)
{
    for (size_t i = 0; i < e->config->n_lines; i++)
        if (e->taken[i]) {
            e->fates[i] = FATE_REMOVE;
            if (can_stay(e, i))
                keep_if_wanted(e, i);
        }
    for (size_t i = 0; i < e->config->n_lines; i++)
        if (e->fates[i] == FATE_REMOVE && can_stay(e, i))
            replace_if_possible(e, i);
}

/* Lines that need company stay if they stand directly above the mount hook that stays. */
static void settle_company(struct edit *e)
{
    size_t n = e->config->n_lines;

    e->mount_at = n;
    for (size_t i = 0; i < n && e->mount_at == n; i++)
        if (e->taken[i] && e->fates[i] != FATE_REMOVE && nvl_line_slot(line_of(e, i)) == NVL_SLOT_MOUNT)
            e->mount_at = i;
    for (size_t i = e->mount_at < n ? e->mount_at : 0; i-- > 0;) {
        if (!nvl_line_is_raw(line_of(e, i)))
            continue;
        if (!e->taken[i] || !nvl_slot_needs_company(nvl_line_slot(line_of(e, i))))
            return;
        keep_if_wanted(e, i);
    }
}

/* ---- what other lines already bring ---- */

/* Entries that another line may stand in for. */
static bool is_shared(enum nvl_grant_slot slot)
{
    return slot == NVL_SLOT_DRI_DEV || slot == NVL_SLOT_DRI_ENTRY || slot == NVL_SLOT_WITH_ENTRY;
}

static bool mounts(const struct nvl_line *line, const char *path, size_t len)
{
    nvl_auto(nvl_mount_entry_clear) struct nvl_mount_entry entry = {0};

    return strcmp(line->key, NVL_KEY_ENTRY) == 0 && nvl_mount_entry_parse(line->value, &entry) &&
           strlen(entry.source) == len && strncmp(entry.source, path, len) == 0;
}

/* Whether the line brings the same path, or all of /dev/dri. */
static bool brings(const struct nvl_line *line, const char *path, size_t len)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv paths = {0};

    if (nvl_has_prefix(line->key, "lxc.cgroup"))
        return false;
    if (mounts(line, path, len))
        return true;
    nvl_line_nodes(line, &paths);
    for (size_t i = 0; i < paths.count; i++)
        if ((strcmp(paths.items[i], "/dev/dri") == 0 && nvl_has_prefix(path, "/dev/dri/")) ||
            (strlen(paths.items[i]) == len && strncmp(paths.items[i], path, len) == 0))
            return true;
    return false;
}

/* A /dev/dri node may belong to another vendor: if a line that is not nvlxc's brings it, that is enough, and
 * a second mount would be one too many. */
static void leave_to_others(struct edit *e)
{
    for (size_t w = 0; w < e->wanted.count; w++) {
        const struct nvl_grant_line *wanted = &e->wanted.items[w];
        size_t len = strcspn(wanted->value, " ,");
        for (size_t i = 0; is_shared(wanted->slot) && i < e->config->n_lines && !e->placed[w]; i++) {
            const struct nvl_line *line = line_of(e, i);
            e->placed[w] = !e->taken[i] && line->section == 0 && line->kind == NVL_LINE_KEY &&
                           brings(line, wanted->value, len) &&
                           (nvl_dev_index(line->key) < 0 || !is_shadowed(e, i));
        }
    }
}

/* ---- numbers of dev[n] ---- */

/* "delete: dev3,!swap" of the pending section: the next start deletes the entry, whatever it says by then. */
static void mark_deleted(const char *value, bool *used)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};

    nvl_strv_split(&words, value, ", ;");
    for (size_t i = 0; i < words.count; i++) {
        int index = nvl_dev_index(words.items[i] + (words.items[i][0] == '!'));
        if (index >= 0)
            used[index] = true;
    }
}

static void mark_used(const struct edit *e, bool *used)
{
    bool is_pending = false;

    for (size_t i = 0; i < e->config->n_lines; i++) {
        const struct nvl_line *line = line_of(e, i);
        if (line->kind == NVL_LINE_SECTION)
            is_pending = nvl_is_pending_section(line);
        if (line->kind != NVL_LINE_KEY || (line->section > 0 && !is_pending) || e->fates[i] == FATE_REMOVE)
            continue;
        int index = nvl_dev_index(line->key);
        if (index >= 0)
            used[index] = true;
        if (is_pending && strcmp(line->key, "delete") == 0)
            mark_deleted(line->value, used);
    }
}

/* A replaced entry keeps its number; a new one gets the first free number. */
static int number_devs(struct edit *e, struct nvl_error *err)
{
    bool used[DEV_COUNT] = {false};
    int next = 0;

    mark_used(e, used);
    for (size_t i = 0; i < e->config->n_lines; i++)
        if (e->fates[i] == FATE_REPLACE && is_dev(&e->wanted.items[e->replacements[i]]))
            e->wanted.items[e->replacements[i]].index = nvl_dev_index(line_of(e, i)->key);
    for (size_t w = 0; w < e->wanted.count; w++) {
        if (!is_dev(&e->wanted.items[w]) || e->placed[w])
            continue;
        while (next < DEV_COUNT && used[next])
            next++;
        if (next == DEV_COUNT)
            return nvl_error_set(err, -ENOSPC,
                                 "the config already uses all of Proxmox's entries dev0 to dev255");
        e->wanted.items[w].index = next++;
        *NVL_APPEND(e->devs, e->n_devs) = (struct new_dev){.wanted = w};
    }
    return 0;
}

/* ---- where ---- */

/* dev1, dev10, dev2: as Proxmox sorts its keys. */
static int compare_new_devs(const void *a, const void *b, void *edit)
{
    const struct nvl_grant_line *lines = ((const struct edit *)edit)->wanted.items;
    char x[16], y[16];

    snprintf(x, sizeof x, "%d", lines[((const struct new_dev *)a)->wanted].index);
    snprintf(y, sizeof y, "%d", lines[((const struct new_dev *)b)->wanted].index);
    return strcmp(x, y);
}

static void place_devs(struct edit *e)
{
    nvl_autofree bool *goes = nvl_xcalloc(e->config->n_lines + 1, sizeof *goes);

    for (size_t i = 0; i < e->config->n_lines; i++)
        goes[i] = e->fates[i] == FATE_REMOVE;
    for (size_t d = 0; d < e->n_devs; d++) {
        nvl_autofree char *key = nvl_xasprintf("dev%d", e->wanted.items[e->devs[d].wanted].index);
        e->devs[d].before = nvl_config_key_place(e->config, goes, key);
    }
    if (e->n_devs > 1)
        qsort_r(e->devs, e->n_devs, sizeof *e->devs, compare_new_devs, e);
}

/* After nvlxc's last remaining lxc line; else at the end of the top section, before the blank lines that
 * separate it from the next. Proxmox reorders its own keys, so dev[n] entries do not count. */
static size_t insert_position(const struct edit *e)
{
    size_t end = 0, behind_ours = 0;

    while (end < e->config->n_lines && line_of(e, end)->section == 0)
        end++;
    for (size_t i = 0; i < end; i++)
        if (e->taken[i] && e->fates[i] != FATE_REMOVE && nvl_line_is_raw(line_of(e, i)))
            behind_ours = i + 1;
    if (behind_ours > 0)
        return behind_ours;
    if (end < e->config->n_lines)
        while (end > 0 && line_of(e, end - 1)->kind == NVL_LINE_BLANK)
            end--;
    return end;
}

/* Fills in the rest for `config`, `taken`, `wanted`. -ENOSPC if Proxmox's dev0 to dev255 are all in use. */
static int decide_edit(struct edit *e, struct nvl_error *err)
{
    e->fates = nvl_xcalloc(e->config->n_lines + 1, sizeof *e->fates);
    e->replacements = nvl_xcalloc(e->config->n_lines + 1, sizeof *e->replacements);
    e->placed = nvl_xcalloc(e->wanted.count + 1, sizeof *e->placed);
    leave_to_others(e);
    settle_taken(e);
    settle_company(e);
    int r = number_devs(e, err);
    if (r < 0)
        return r;
    e->insert_at = insert_position(e);
    place_devs(e);
    return 0;
}

/* ---- refusing ---- */

static int refuse_by_hand(const struct nvl_config *config, const enum nvl_line_owner *owners,
                          struct nvl_error *err)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv named = {0};
    size_t n = 0;
    const size_t most = 3;

    for (size_t i = 0; i < config->n_lines; i++) {
        if (owners[i] != NVL_OWNER_BY_HAND)
            continue;
        const char *line = config->text + config->lines[i].start;
        nvl_autofree char *text = nvl_make_printable(nvl_xstrndup(line, strcspn(line, "\r\n")));
        if (n++ < most)
            nvl_strv_pushf(&named, "\n    line %zu: %.*s", i + 1, LINE_MAX, text);
    }
    if (n == 0)
        return 0;
    if (n > most)
        nvl_strv_pushf(&named, "\n    and %zu more", n - most);
    nvl_autofree char *list = nvl_strv_join(&named, "");
    nvl_error_set(err, -EEXIST, "the config has NVIDIA lines that nvlxc did not write:%s", list);
    return -EEXIST;
}

static bool *take_lines(const struct nvl_config *config, const enum nvl_line_owner *owners, bool replace)
{
    bool *taken = nvl_xcalloc(config->n_lines + 1, sizeof *taken);
    nvl_autofree bool *strays = replace ? nvl_config_strays(config) : NULL;

    for (size_t i = 0; i < config->n_lines; i++)
        taken[i] = owners[i] == NVL_OWNER_NVLXC || (replace && owners[i] == NVL_OWNER_BY_HAND) ||
                   (strays != NULL && strays[i]);
    return taken;
}

/* ---- the new text ---- */

/* Each line begins on a line of its own, even after a last line that has no end. */
static void add_bytes(struct nvl_buf *out, const char *bytes, size_t len)
{
    if (out->len > 0 && out->data[out->len - 1] != '\n')
        nvl_buf_add(out, "\n", 1);
    nvl_buf_add(out, bytes, len);
}

static void add_wanted(struct nvl_buf *out, const struct edit *e, size_t w, const char *line_end)
{
    nvl_autofree char *text = nvl_grant_line_text(e->config->dialect, &e->wanted.items[w]);

    add_bytes(out, text, strlen(text));
    nvl_buf_add(out, line_end, strlen(line_end));
}

static const char *line_end_of(const char *line, size_t len)
{
    if (len > 1 && line[len - 2] == '\r' && line[len - 1] == '\n')
        return "\r\n";
    return line[len - 1] == '\n' ? "\n" : "";
}

/* Adds the other wanted lines that have no place yet: those that need company near the mount hook, or the
 * rest. */
static void add_missing(struct nvl_buf *out, const struct edit *e, bool company)
{
    bool has_mount = e->mount_at < e->config->n_lines;

    for (size_t w = 0; w < e->wanted.count; w++)
        if (!e->placed[w] && !is_dev(&e->wanted.items[w]) &&
            (has_mount && nvl_slot_needs_company(e->wanted.items[w].slot)) == company)
            add_wanted(out, e, w, "\n");
}

/* What goes before this line of config, or at the end. */
static void add_before(struct nvl_buf *out, const struct edit *e, size_t i)
{
    for (size_t d = 0; d < e->n_devs; d++)
        if (e->devs[d].before == i)
            add_wanted(out, e, e->devs[d].wanted, "\n");
    if (i == e->insert_at)
        add_missing(out, e, false);
    if (i == e->mount_at && i < e->config->n_lines)
        add_missing(out, e, true);
}

static void note_changes(struct nvl_plan *plan, const struct nvl_config *config)
{
    plan->changes =
        plan->len != config->len || (plan->len > 0 && memcmp(plan->text, config->text, plan->len) != 0);
}

static void write_text(const struct edit *e, struct nvl_plan *plan)
{
    const struct nvl_config *config = e->config;
    struct nvl_buf out = {0};

    for (size_t i = 0; i < config->n_lines; i++) {
        const char *line = config->text + config->lines[i].start;
        size_t len = config->lines[i].len;
        add_before(&out, e, i);
        if (e->fates[i] == FATE_KEEP)
            add_bytes(&out, line, len);
        else if (e->fates[i] == FATE_REPLACE)
            add_wanted(&out, e, e->replacements[i], line_end_of(line, len));
    }
    add_before(&out, e, config->n_lines);
    /* A file whose last line had no end keeps that, whichever line is last now. So detach, which removes the
     * lines after it, knows that attach added the end that it finds before them. */
    bool unfinished = config->len > 0 && config->text[config->len - 1] != '\n';
    if (unfinished && out.len > 0 && out.data[out.len - 1] == '\n')
        out.data[--out.len] = '\0';
    plan->len = out.len;
    plan->text = nvl_buf_take(&out);
    note_changes(plan, config);
}

static int make(struct edit *e, struct nvl_plan *plan, struct nvl_error *err)
{
    int r = decide_edit(e, err);

    if (r < 0)
        return r;
    write_text(e, plan);
    if (plan->len > NVL_CONFIG_MAX) {
        nvl_plan_clear(plan);
        return nvl_error_set(err, -EFBIG, "the grant would make the config larger than %u MiB",
                             NVL_CONFIG_MAX >> 20);
    }
    return 0;
}

static int attach_once(const struct nvl_config *config, const struct nvl_grant *grant,
                       const struct nvl_grant_places *places, bool replace, struct nvl_plan *plan,
                       struct nvl_error *err)
{
    nvl_auto(edit_clear) struct edit e = {.config = config};
    nvl_autofree enum nvl_line_owner *owners = nvl_config_owners(config);

    *plan = (struct nvl_plan){0};
    int r = replace ? 0 : refuse_by_hand(config, owners, err);
    if (r < 0)
        return r;
    e.taken = take_lines(config, owners, replace);
    nvl_grant_line_list_make(&e.wanted, grant, places);
    return make(&e, plan, err);
}

/* The plan's text as the next attach will read it. */
static int read_again(const struct nvl_config *config, const struct nvl_plan *plan, struct nvl_config *next,
                      struct nvl_error *err)
{
    return nvl_config_parse_next(next, config, nvl_xstrndup(plan->text, plan->len), plan->len, err);
}

int nvl_plan_attach(const struct nvl_config *config, const struct nvl_grant *grant,
                    const struct nvl_grant_places *places, bool replace, struct nvl_plan *plan,
                    struct nvl_error *err)
{
    int r = attach_once(config, grant, places, replace, plan, err);

    /* The rest of a damaged grant may be recognized only beside the new lines: repeat until nothing changes.
     */
    for (int round = 0; r == 0 && round < ROUNDS_MAX; round++) {
        nvl_auto(nvl_config_clear) struct nvl_config next = {0};
        nvl_auto(nvl_plan_clear) struct nvl_plan more = {0};
        r = read_again(config, plan, &next, err);
        if (r < 0 || attach_once(&next, grant, places, replace, &more, NULL) < 0 || !more.changes)
            break;
        nvl_plan_clear(plan);
        *plan = more;
        more = (struct nvl_plan){0};
        note_changes(plan, config);
    }
    if (r < 0)
        nvl_plan_clear(plan);
    return r;
}

int nvl_plan_detach(const struct nvl_config *config, bool replace, struct nvl_plan *plan,
                    struct nvl_error *err)
{
    nvl_auto(edit_clear) struct edit e = {.config = config};
    nvl_autofree enum nvl_line_owner *owners = nvl_config_owners(config);

    *plan = (struct nvl_plan){0};
    e.taken = take_lines(config, owners, replace);
    return make(&e, plan, err);
}

void nvl_plan_clear(struct nvl_plan *plan)
{
    free(plan->text);
    *plan = (struct nvl_plan){0};
}
