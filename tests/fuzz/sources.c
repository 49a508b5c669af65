/* Apt's sources in both forms: what setup adds is there afterwards, and the second time it adds nothing. */
#include "fuzz.h"

#include "setup/sources.h"

static void parse(struct nvl_sources *sources, bool is_list, const char *text, size_t len)
{
    char *copy = nvl_xcalloc(len + 1, 1);

    memcpy(copy, text, len);
    nvl_sources_parse(sources, is_list ? "/etc/apt/sources.list" : "/etc/apt/sources.list.d/debian.sources",
                      copy, len);
    for (size_t i = 0; i < sources->count; i++)
        sources->items[i].archive = NVL_ARCHIVE_DEBIAN;
}

static void clear_edits(struct nvl_edit *edits, size_t n)
{
    for (size_t i = 0; i < n; i++)
        nvl_edit_clear(&edits[i]);
    free(edits);
}

static void add(const struct nvl_sources *sources, struct nvl_edit **edits, size_t *n)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv components = {0};

    nvl_strv_push(&components, "contrib");
    nvl_strv_push(&components, "non-free");
    nvl_sources_add_components(sources, "trixie", true, &components, edits, n);
}

void fuzz_one(const char *data, size_t len)
{
    struct fuzz_input in = {data, len};
    unsigned is_list = fuzz_choice(&in, 2);

    if (memchr(in.data, '\0', in.len) != NULL) /* no text: apt does not read it either */
        return;
    nvl_auto(nvl_sources_clear) struct nvl_sources sources = {0}, after = {0};
    struct nvl_edit *edits = NULL, *more = NULL;
    size_t n_edits = 0, n_more = 0;

    parse(&sources, is_list, in.data, in.len);
    for (size_t i = 0; i < sources.count; i++)
        CHECK(sources.items[i].components_end <= in.len);
    const struct nvl_source *found = nvl_sources_find(&sources, "trixie");
    if (found != NULL) {
        nvl_auto(nvl_strv_clear) struct nvl_strv components = {0};
        nvl_strv_push(&components, "main");
        nvl_autofree char *stanza = nvl_sources_backports(found, "trixie", &components);
    }
    nvl_sources_find_nvidias(&sources);
    add(&sources, &edits, &n_edits);
    for (size_t i = 0; i < n_edits; i++) {
        CHECK(edits[i].new_len > edits[i].old_len);
        parse(&after, is_list, edits[i].new_text, edits[i].new_len);
        CHECK(after.count == sources.count);
    }
    if (n_edits > 0) {
        CHECK(n_edits == 1);
        add(&after, &more, &n_more);
        CHECK(n_more == 0);
    }
    clear_edits(edits, n_edits);
    clear_edits(more, n_more);
}
