/* Plans: the new text is the old one, line by line, with nvlxc's own lines kept, replaced, left out or added.
 * Every other byte is copied. */
#include "plan/plan.h"

#include <errno.h>

#include "container/ownership.h"
#include "plan/decide.h"

#define ROUNDS_MAX 4

/* ---- refusing ---- */

/* A line for a message: without its end, not too long, nothing that a terminal would obey. */
static char *quote_line(const struct nvl_config *config, const struct nvl_line *line)
{
    const size_t most = 80;
    size_t len = line->len;

    while (len > 0 && strchr("\r\n", config->text[line->start + len - 1]) != NULL)
        len--;
    char *text = nvl_xstrndup(config->text + line->start, len < most ? len : most);
    for (char *p = text; *p != '\0'; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = ' ';
    return text;
}

static int refuse_by_hand(const struct nvl_config *config, const enum nvl_line_owner *owners,
                          struct nvl_error *err)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv named = {0};
    size_t n = 0;
    const size_t most = 3;

    for (size_t i = 0; i < config->n_lines; i++) {
        if (owners[i] != NVL_OWNER_BY_HAND)
            continue;
        nvl_autofree char *text = quote_line(config, &config->lines[i]);
        if (n++ < most)
            nvl_strv_pushf(&named, "line %zu \"%s\"", i + 1, text);
    }
    if (n == 0)
        return 0;
    if (n > most)
        nvl_strv_pushf(&named, "and %zu more", n - most);
    nvl_autofree char *list = nvl_strv_join(&named, ", ");
    nvl_error_set(err, -EEXIST, "the config has NVIDIA lines that nvlxc did not write: %s", list);
    nvl_error_hint(err, "--replace puts nvlxc's lines in their place; check the change with --replace "
                        "--dry-run");
    return -EEXIST;
}

/* ---- what may be changed ---- */

static bool *take_lines(const struct nvl_config *config, const enum nvl_line_owner *owners, bool replace)
{
    bool *taken = nvl_xcalloc(config->n_lines + 1, sizeof *taken);
    nvl_autofree bool *strays = replace ? nvl_config_strays(config) : NULL;

    for (size_t i = 0; i < config->n_lines; i++)
        taken[i] = owners[i] == NVL_OWNER_NVLXC || (replace && owners[i] == NVL_OWNER_BY_HAND) ||
                   (strays != NULL && strays[i]);
    return taken;
}

/* ---- writing ---- */

/* Each line begins on a line of its own, even after a last line that has no end. */
static void add_bytes(struct nvl_buf *out, const char *bytes, size_t len)
{
    if (out->len > 0 && out->data[out->len - 1] != '\n')
        nvl_buf_add(out, "\n", 1);
    nvl_buf_add(out, bytes, len);
}

static void add_wanted(struct nvl_buf *out, const struct nvl_config_edit *e, size_t w, const char *line_end)
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

/* Adds wanted lines that have no place yet: those that need company near the mount hook, or all others. */
static void add_missing(struct nvl_buf *out, const struct nvl_config_edit *e, bool company)
{
    bool has_mount = e->mount_at < e->config->n_lines;

    for (size_t w = 0; w < e->wanted.count; w++)
        if (!e->placed[w] && (has_mount && nvl_slot_needs_company(e->wanted.items[w].slot)) == company)
            add_wanted(out, e, w, "\n");
}

static void note_changes(struct nvl_plan *plan, const struct nvl_config *config)
{
    plan->changes =
        plan->len != config->len || (plan->len > 0 && memcmp(plan->text, config->text, plan->len) != 0);
}

static void write_text(const struct nvl_config_edit *e, struct nvl_plan *plan)
{
    const struct nvl_config *config = e->config;
    struct nvl_buf out = {0};

    for (size_t i = 0; i < config->n_lines; i++) {
        const char *line = config->text + config->lines[i].start;
        size_t len = config->lines[i].len;
        if (i == e->insert_at)
            add_missing(&out, e, false);
        if (i == e->mount_at)
            add_missing(&out, e, true);
        if (e->fates[i] == NVL_FATE_KEEP)
            add_bytes(&out, line, len);
        else if (e->fates[i] == NVL_FATE_REPLACE)
            add_wanted(&out, e, e->replacements[i], line_end_of(line, len));
    }
    if (e->insert_at == config->n_lines)
        add_missing(&out, e, false);
    /* A file whose last line had no end keeps that, whichever line is last now. So detach, which removes the
     * lines after it, knows that attach added the end that it finds before them. */
    bool unfinished = config->len > 0 && config->text[config->len - 1] != '\n';
    if (unfinished && out.len > 0 && out.data[out.len - 1] == '\n')
        out.data[--out.len] = '\0';
    plan->len = out.len;
    plan->text = nvl_buf_take(&out);
    note_changes(plan, config);
}

static int make(struct nvl_config_edit *e, struct nvl_plan *plan, struct nvl_error *err)
{
    int r = nvl_config_edit_decide(e, err);

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
    nvl_auto(nvl_config_edit_clear) struct nvl_config_edit e = {.config = config};
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
    int r = nvl_config_parse(next, config->dialect, nvl_xstrndup(plan->text, plan->len), plan->len, err);

    next->majors = config->majors;
    return r;
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
    nvl_auto(nvl_config_edit_clear) struct nvl_config_edit e = {.config = config};
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
