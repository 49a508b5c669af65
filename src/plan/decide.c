/* Decides which lines of a config stay, which are replaced by a wanted line, which go, and where the
 * remaining wanted lines go. The same request again must find every line in its place. */
#include "plan/decide.h"

#include <errno.h>

#include "container/entry.h"
#include "container/foreign.h"

#define DEV_COUNT 256 /* dev0 to dev255 */

void nvl_config_edit_clear(struct nvl_config_edit *e)
{
    free(e->taken);
    free(e->fates);
    free(e->replacements);
    free(e->placed);
    nvl_grant_line_list_clear(&e->wanted);
}

static const struct nvl_line *line_of(const struct nvl_config_edit *e, size_t i)
{
    return &e->config->lines[i];
}

/* Of two entries with the same number, Proxmox takes the later one. */
static bool is_shadowed(const struct nvl_config_edit *e, size_t i)
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

static bool keep_if_wanted(struct nvl_config_edit *e, size_t i)
{
    for (size_t w = 0; w < e->wanted.count; w++)
        if (!e->placed[w] && says(line_of(e, i), &e->wanted.items[w])) {
            e->fates[i] = NVL_FATE_KEEP;
            return e->placed[w] = true;
        }
    return false;
}

/* An unwanted line of nvlxc's makes room for a wanted one of its kind. */
static void replace_if_possible(struct nvl_config_edit *e, size_t i)
{
    enum nvl_grant_slot slot = nvl_line_slot(line_of(e, i));

    for (size_t w = 0; w < e->wanted.count; w++)
        if (!e->placed[w] && slot == e->wanted.items[w].slot) {
            e->fates[i] = NVL_FATE_REPLACE;
            e->replacements[i] = w;
            e->placed[w] = true;
            return;
        }
}

/* Whether the line can belong to the grant: in force, and in the section that counts. */
static bool can_stay(const struct nvl_config_edit *e, size_t i)
{
    const struct nvl_line *line = line_of(e, i);
    enum nvl_grant_slot slot = nvl_line_slot(line);

    return line->section == 0 && slot != NVL_SLOT_NONE && !nvl_slot_needs_company(slot) &&
           (nvl_dev_index(line->key) < 0 || !is_shadowed(e, i));
}

static void settle_taken(struct nvl_config_edit *e)
{
    for (size_t i = 0; i < e->config->n_lines; i++)
        if (e->taken[i]) {
            e->fates[i] = NVL_FATE_REMOVE;
            if (can_stay(e, i))
                keep_if_wanted(e, i);
        }
    for (size_t i = 0; i < e->config->n_lines; i++)
        if (e->fates[i] == NVL_FATE_REMOVE && can_stay(e, i))
            replace_if_possible(e, i);
}

/* Lines that need company stay if they stand directly above the mount hook that stays. */
static void settle_company(struct nvl_config_edit *e)
{
    size_t n = e->config->n_lines;

    e->mount_at = n;
    for (size_t i = 0; i < n && e->mount_at == n; i++)
        if (e->taken[i] && e->fates[i] != NVL_FATE_REMOVE && nvl_line_slot(line_of(e, i)) == NVL_SLOT_MOUNT)
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

static bool is_dri(enum nvl_grant_slot slot)
{
    return slot == NVL_SLOT_DRI_DEV || slot == NVL_SLOT_DRI_ENTRY;
}

/* Whether the line brings the same node, or all of /dev/dri. */
static bool brings(const struct nvl_line *line, const char *path, size_t len)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv paths = {0};

    if (nvl_has_prefix(line->key, "lxc.cgroup"))
        return false;
    nvl_line_nodes(line, &paths);
    for (size_t i = 0; i < paths.count; i++)
        if (strcmp(paths.items[i], "/dev/dri") == 0 ||
            (strlen(paths.items[i]) == len && strncmp(paths.items[i], path, len) == 0))
            return true;
    return false;
}

/* A /dev/dri node may belong to another vendor: if a line that is not nvlxc's brings it, that is enough, and
 * a second mount would be one too many. */
static void leave_to_others(struct nvl_config_edit *e)
{
    for (size_t w = 0; w < e->wanted.count; w++) {
        const struct nvl_grant_line *wanted = &e->wanted.items[w];
        size_t len = strcspn(wanted->value, " ,");
        for (size_t i = 0; is_dri(wanted->slot) && i < e->config->n_lines && !e->placed[w]; i++) {
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

static void mark_used(const struct nvl_config_edit *e, bool *used)
{
    bool is_pending = false;

    for (size_t i = 0; i < e->config->n_lines; i++) {
        const struct nvl_line *line = line_of(e, i);
        if (line->kind == NVL_LINE_SECTION)
            is_pending = nvl_is_pending_section(line);
        if (line->kind != NVL_LINE_KEY || (line->section > 0 && !is_pending) ||
            e->fates[i] == NVL_FATE_REMOVE)
            continue;
        int index = nvl_dev_index(line->key);
        if (index >= 0)
            used[index] = true;
        if (is_pending && strcmp(line->key, "delete") == 0)
            mark_deleted(line->value, used);
    }
}

/* A replaced entry keeps its number; a new one gets the first free number. */
static int number_devs(struct nvl_config_edit *e, struct nvl_error *err)
{
    bool used[DEV_COUNT] = {false};
    int next = 0;

    mark_used(e, used);
    for (size_t i = 0; i < e->config->n_lines; i++)
        if (e->fates[i] == NVL_FATE_REPLACE && is_dev(&e->wanted.items[e->replacements[i]]))
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
    }
    return 0;
}

/* ---- where ---- */

/* After nvlxc's last remaining lxc line; else at the end of the top section, before the blank lines that
 * separate it from the next. Proxmox reorders its own keys, so dev[n] entries do not count. */
static size_t insert_position(const struct nvl_config_edit *e)
{
    size_t end = 0, behind_ours = 0;

    while (end < e->config->n_lines && line_of(e, end)->section == 0)
        end++;
    for (size_t i = 0; i < end; i++)
        if (e->taken[i] && e->fates[i] != NVL_FATE_REMOVE && nvl_line_is_raw(line_of(e, i)))
            behind_ours = i + 1;
    if (behind_ours > 0)
        return behind_ours;
    if (end < e->config->n_lines)
        while (end > 0 && line_of(e, end - 1)->kind == NVL_LINE_BLANK)
            end--;
    return end;
}

int nvl_config_edit_decide(struct nvl_config_edit *e, struct nvl_error *err)
{
    e->fates = nvl_xcalloc(e->config->n_lines + 1, sizeof *e->fates);
    e->replacements = nvl_xcalloc(e->config->n_lines + 1, sizeof *e->replacements);
    e->placed = nvl_xcalloc(e->wanted.count + 1, sizeof *e->placed);
    leave_to_others(e);
    settle_taken(e);
    settle_company(e);
    int r = number_devs(e, err);
    if (r == 0)
        e->insert_at = insert_position(e);
    return r;
}
