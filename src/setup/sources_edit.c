/* What is added to apt's sources: components to Debian's own entries, and a stanza for backports. */
#include "setup/sources.h"

static bool same_uri(const char *a, const char *b)
{
    size_t len_a = strlen(a), len_b = strlen(b);

    while (len_a > 0 && a[len_a - 1] == '/')
        len_a--;
    while (len_b > 0 && b[len_b - 1] == '/')
        len_b--;
    return len_a == len_b && memcmp(a, b, len_a) == 0;
}

static bool has_uri(const struct nvl_source *s, const char *uri)
{
    for (size_t i = 0; i < s->uris.count; i++)
        if (same_uri(s->uris.items[i], uri))
            return true;
    return false;
}

const struct nvl_source *nvl_sources_find(const struct nvl_sources *sources, const char *suite)
{
    for (size_t i = 0; i < sources->count; i++) {
        const struct nvl_source *s = &sources->items[i];
        if (s->archive == NVL_ARCHIVE_DEBIAN && nvl_strv_contains(&s->suites, suite) &&
            nvl_strv_contains(&s->components, "main"))
            return s;
    }
    return NULL;
}

const char *nvl_sources_find_nvidias(const struct nvl_sources *sources)
{
    for (size_t i = 0; i < sources->count; i++)
        for (size_t u = 0; u < sources->items[i].uris.count; u++)
            if (strstr(sources->items[i].uris.items[u], "://" NVL_NVIDIAS_HOST "/compute/cuda/repos/") !=
                NULL)
                return sources->files[sources->items[i].file].path;
    return NULL;
}

bool nvl_sources_give(const struct nvl_sources *sources, const char *suite, const char *component)
{
    for (size_t i = 0; i < sources->count; i++) {
        const struct nvl_source *s = &sources->items[i];
        if (s->archive == NVL_ARCHIVE_DEBIAN && nvl_strv_contains(&s->suites, suite) &&
            nvl_strv_contains(&s->components, component))
            return true;
    }
    return false;
}

void nvl_edit_clear(struct nvl_edit *edit)
{
    free(edit->path);
    free(edit->old_text);
    free(edit->new_text);
    *edit = (struct nvl_edit){0};
}

static bool is_of_release(const char *suite, const char *codename, bool backports)
{
    if (!nvl_has_prefix(suite, codename))
        return false;
    const char *rest = suite + strlen(codename);
    return *rest == '\0' || strcmp(rest, "-updates") == 0 || strcmp(rest, "-security") == 0 ||
           (backports && strcmp(rest, "-backports") == 0);
}

/* Whether every archive and suite of `s` that is this release's has the component through some entry: one of
 * the machine's, or one that an earlier addition extended. */
static bool is_given(const struct nvl_sources *sources, const struct nvl_strv *added,
                     const struct nvl_source *s, const char *uri, const char *suite, const char *component)
{
    for (size_t i = 0; i < sources->count; i++) {
        const struct nvl_source *other = &sources->items[i];
        if (!nvl_strv_contains(&other->suites, suite) || !has_uri(other, uri))
            continue;
        if (nvl_strv_contains(&other->components, component) ||
            (other != s && nvl_strv_contains(&added[i], component)))
            return true;
    }
    return false;
}

static bool lacks(const struct nvl_sources *sources, const struct nvl_strv *added, const struct nvl_source *s,
                  const char *codename, bool backports, const char *component)
{
    for (size_t u = 0; u < s->uris.count; u++)
        for (size_t i = 0; i < s->suites.count; i++)
            if (is_of_release(s->suites.items[i], codename, backports) &&
                !is_given(sources, added, s, s->uris.items[u], s->suites.items[i], component))
                return true;
    return false;
}

/* The file with the additions to its entries, which are in the file's order. */
static void add_edit(const struct nvl_sources *sources, size_t file, const struct nvl_strv *added,
                     struct nvl_edit **edits, size_t *n_edits)
{
    const struct nvl_sources_file *f = &sources->files[file];
    nvl_auto(nvl_buf_clear) struct nvl_buf text = {0};
    size_t done = 0;

    for (size_t i = 0; i < sources->count; i++) {
        const struct nvl_source *s = &sources->items[i];
        if (s->file != file || added[i].count == 0)
            continue;
        nvl_autofree char *words = nvl_strv_join(&added[i], " ");
        nvl_buf_add(&text, f->text + done, s->components_end - done);
        nvl_buf_addf(&text, " %s", words);
        done = s->components_end;
    }
    if (text.len == 0)
        return;
    nvl_buf_add(&text, f->text + done, f->len - done);
    struct nvl_edit *edit = NVL_APPEND(*edits, *n_edits);
    edit->path = nvl_xstrdup(f->path);
    edit->old_len = f->len;
    edit->old_text = nvl_xcalloc(1, f->len + 1);
    memcpy(edit->old_text, f->text, f->len);
    edit->new_len = text.len;
    edit->new_text = nvl_buf_take(&text);
}

void nvl_sources_add_components(const struct nvl_sources *sources, const char *codename, bool backports,
                                const struct nvl_strv *components, struct nvl_edit **edits, size_t *n_edits)
{
    nvl_autofree struct nvl_strv *added = nvl_xcalloc(sources->count + 1, sizeof *added);

    for (size_t i = 0; i < sources->count; i++)
        if (sources->items[i].archive == NVL_ARCHIVE_DEBIAN && sources->items[i].components.count > 0)
            for (size_t c = 0; c < components->count; c++)
                if (lacks(sources, added, &sources->items[i], codename, backports, components->items[c]))
                    nvl_strv_push(&added[i], components->items[c]);
    for (size_t file = 0; file < sources->n_files; file++)
        add_edit(sources, file, added, edits, n_edits);
    for (size_t i = 0; i < sources->count; i++)
        nvl_strv_clear(&added[i]);
}

char *nvl_sources_backports(const struct nvl_source *like, const char *codename,
                            const struct nvl_strv *components)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf text = {0};
    nvl_autofree char *uris = nvl_strv_join(&like->uris, " ");
    nvl_autofree char *words = nvl_strv_join(components, " ");

    nvl_buf_addf(&text,
                 "# Written by nvlxc host setup: only the NVIDIA driver comes from here, by %s.\nTypes: "
                 "deb\nURIs: %s\nSuites: %s-backports\nComponents: main %s\n",
                 NVL_SOURCES_PIN, uris, codename, words);
    if (like->signed_by != NULL)
        nvl_buf_addf(&text, "Signed-By:%s%s\n", like->signed_by[0] == '\n' ? "" : " ", like->signed_by);
    return nvl_buf_take(&text);
}
