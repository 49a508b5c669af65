/* Plans: the new text is the old one, line by line, with nvlxc's own lines kept, replaced, left out or added.
 * Every other byte is copied. */
#include "plan/plan.h"

#include <errno.h>

enum fate { FATE_KEEP, FATE_REPLACE, FATE_REMOVE };

/* What becomes of the config's lines, and which wanted lines have found their place. */
struct edit {
    const struct nvl_config *config;
    enum nvl_line_owner *owners; /* of each line of config */
    enum fate *fates;            /* of each line of config */
    size_t *replacements;        /* for REPLACE: index in wanted */
    struct nvl_grant_line_list wanted;
    bool *placed;     /* of each wanted line */
    size_t insert_at; /* wanted lines without a place go before this line of config */
};

static void edit_clear(struct edit *e)
{
    free(e->owners);
    free(e->fates);
    free(e->replacements);
    free(e->placed);
    nvl_grant_line_list_clear(&e->wanted);
}

/* ---- refusing ---- */

/* A line as it may stand in a message: without its end, not too long, nothing that a terminal would obey. */
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

static int refuse_by_hand(const struct edit *e, struct nvl_error *err)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv named = {0};
    size_t n = 0;
    const size_t most = 3;

    for (size_t i = 0; i < e->config->n_lines; i++) {
        if (e->owners[i] != NVL_OWNER_BY_HAND)
            continue;
        nvl_autofree char *text = quote_line(e->config, &e->config->lines[i]);
        if (n++ < most)
            nvl_strv_pushf(&named, "line %zu \"%s\"", i + 1, text);
    }
    if (n == 0)
        return 0;
    if (n > most)
        nvl_strv_pushf(&named, "and %zu more", n - most);
    nvl_autofree char *list = nvl_strv_join(&named, ", ");
    nvl_error_set(err, -EEXIST, "the config has NVIDIA lines that nvlxc did not write: %s", list);
    nvl_error_hint(err, "take them out of the config first; nvlxc's own lines do their work");
    return -EEXIST;
}

/* ---- deciding ---- */

static bool says(const struct nvl_line *line, const struct nvl_grant_line *wanted)
{
    return strcmp(line->key, wanted->key) == 0 && strcmp(line->value, wanted->value) == 0;
}

static void keep_what_says_it(struct edit *e)
{
    for (size_t i = 0; i < e->config->n_lines; i++) {
        if (e->owners[i] != NVL_OWNER_NVLXC)
            continue;
        e->fates[i] = FATE_REMOVE;
        for (size_t w = 0; w < e->wanted.count && e->fates[i] == FATE_REMOVE; w++)
            if (!e->placed[w] && says(&e->config->lines[i], &e->wanted.items[w])) {
                e->fates[i] = FATE_KEEP;
                e->placed[w] = true;
            }
    }
}

static enum nvl_grant_slot slot_of(const struct nvl_grant_line *wanted)
{
    return nvl_grant_slot(wanted->key, wanted->value);
}

/* A line of ours that is not wanted any more makes room for a wanted one of its kind. */
static void replace_in_place(struct edit *e)
{
    for (size_t i = 0; i < e->config->n_lines; i++) {
        const struct nvl_line *line = &e->config->lines[i];
        for (size_t w = 0; w < e->wanted.count && e->fates[i] == FATE_REMOVE; w++)
            if (!e->placed[w] && nvl_grant_slot(line->key, line->value) == slot_of(&e->wanted.items[w])) {
                e->fates[i] = FATE_REPLACE;
                e->replacements[i] = w;
                e->placed[w] = true;
            }
    }
}

/* Behind the last line of ours that stays; else at the end of the top section, before the blank lines that
 * set the next section apart. */
static size_t insert_position(const struct edit *e)
{
    const struct nvl_config *config = e->config;
    size_t end = 0, behind_ours = 0;

    while (end < config->n_lines && config->lines[end].section == 0)
        end++;
    for (size_t i = 0; i < end; i++)
        if (e->owners[i] == NVL_OWNER_NVLXC && e->fates[i] != FATE_REMOVE)
            behind_ours = i + 1;
    if (behind_ours > 0)
        return behind_ours;
    if (end < config->n_lines)
        while (end > 0 && config->lines[end - 1].kind == NVL_LINE_BLANK)
            end--;
    return end;
}

static void decide(struct edit *e)
{
    e->fates = nvl_xcalloc(e->config->n_lines + 1, sizeof *e->fates);
    e->replacements = nvl_xcalloc(e->config->n_lines + 1, sizeof *e->replacements);
    e->placed = nvl_xcalloc(e->wanted.count + 1, sizeof *e->placed);
    keep_what_says_it(e);
    replace_in_place(e);
    e->insert_at = insert_position(e);
}

/* ---- writing ---- */

/* Each line begins on a line of its own, also behind a last line that has no end. */
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

static void add_missing(struct nvl_buf *out, const struct edit *e)
{
    for (size_t w = 0; w < e->wanted.count; w++)
        if (!e->placed[w])
            add_wanted(out, e, w, "\n");
}

static void write_text(const struct edit *e, struct nvl_plan *plan)
{
    const struct nvl_config *config = e->config;
    struct nvl_buf out = {0};

    for (size_t i = 0; i < config->n_lines; i++) {
        const char *line = config->text + config->lines[i].start;
        size_t len = config->lines[i].len;
        if (i == e->insert_at)
            add_missing(&out, e);
        if (e->fates[i] == FATE_KEEP)
            add_bytes(&out, line, len);
        else if (e->fates[i] == FATE_REPLACE)
            add_wanted(&out, e, e->replacements[i], line_end_of(line, len));
    }
    if (e->insert_at == config->n_lines)
        add_missing(&out, e);
    /* A file whose last line had no end keeps that, whichever line is last now: so detach, which takes the
     * lines behind it away, knows that the end it finds before them was added by attach. */
    bool unfinished = config->len > 0 && config->text[config->len - 1] != '\n';
    if (unfinished && out.len > 0 && out.data[out.len - 1] == '\n')
        out.data[--out.len] = '\0';
    plan->len = out.len;
    plan->text = nvl_buf_take(&out);
    plan->changes =
        plan->len != config->len || (plan->len > 0 && memcmp(plan->text, config->text, plan->len) != 0);
}

int nvl_plan_attach(const struct nvl_config *config, const struct nvl_grant *grant,
                    const struct nvl_strv *rules, struct nvl_plan *plan, struct nvl_error *err)
{
    nvl_auto(edit_clear) struct edit e = {.config = config, .owners = nvl_config_owners(config)};

    *plan = (struct nvl_plan){0};
    int r = refuse_by_hand(&e, err);
    if (r < 0)
        return r;
    nvl_grant_line_list_make(&e.wanted, grant, rules);
    decide(&e);
    write_text(&e, plan);
    if (plan->len > NVL_CONFIG_MAX) {
        nvl_plan_clear(plan);
        return nvl_error_set(err, -EFBIG, "with the grant's lines the config would be larger than %u MiB",
                             NVL_CONFIG_MAX >> 20);
    }
    return 0;
}

int nvl_plan_detach(const struct nvl_config *config, struct nvl_plan *plan, struct nvl_error *err)
{
    nvl_auto(edit_clear) struct edit e = {.config = config, .owners = nvl_config_owners(config)};

    (void)err;
    *plan = (struct nvl_plan){0};
    decide(&e);
    write_text(&e, plan);
    return 0;
}

void nvl_plan_clear(struct nvl_plan *plan)
{
    free(plan->text);
    *plan = (struct nvl_plan){0};
}
