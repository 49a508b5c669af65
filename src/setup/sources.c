/* Apt's sources: reads both forms, and adds components without touching anything else. */
#include "setup/sources.h"

#include <ctype.h>
#include <errno.h>
#include <strings.h>

/* ---- whose archive an entry is ---- */

#define LISTS       "/var/lib/apt/lists"
#define RELEASE_MAX (4u << 20) /* bytes; Debian's InRelease has some hundred kilobytes */

/* What follows "scheme://" and a name with a password. */
static const char *behind_scheme(const char *uri)
{
    const char *colon = strstr(uri, "://");
    const char *start = colon != NULL ? colon + 3 : uri;
    size_t host = strcspn(start, "/");
    const char *at = memchr(start, '@', host);

    return at != NULL ? at + 1 : start;
}

/* The name of an archive's Release in apt's lists: the URI's bytes that could trouble a shell as %xx, its
 * slashes as underscores. Source: apt's URItoFileName. */
static char *list_name(const char *uri, const char *suite, const char *file)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf name = {0};
    const char *from = behind_scheme(uri);
    size_t len = strlen(from);

    while (len > 0 && from[len - 1] == '/')
        len--;
    for (size_t i = 0; i < len; i++) {
        if (from[i] == '/')
            nvl_buf_add(&name, "_", 1);
        else if (strchr("\\|{}[]<>\"^~_=!@#$%&*", from[i]) != NULL || !isprint((unsigned char)from[i]))
            nvl_buf_addf(&name, "%%%02x", (unsigned char)from[i]);
        else
            nvl_buf_add(&name, &from[i], 1);
    }
    return nvl_xasprintf("%s/%s_dists_%s_%s", LISTS, name.data != NULL ? name.data : "", suite, file);
}

struct release {
    bool found, is_debian;
    char *codename;
};

static void read_release(const struct nvl_root *root, const char *uri, const char *suite,
                         struct release *release)
{
    nvl_autofree char *inline_path = list_name(uri, suite, "InRelease");
    nvl_autofree char *plain_path = list_name(uri, suite, "Release");
    nvl_autofree char *text = NULL;
    const char *line, *value;
    size_t len, pos = 0, line_len, value_len;

    if (nvl_root_read(root, inline_path, RELEASE_MAX, &text, &len) < 0 &&
        nvl_root_read(root, plain_path, RELEASE_MAX, &text, &len) < 0)
        return;
    release->found = true;
    while (nvl_next_line(text, len, &pos, &line, &line_len)) {
        if (nvl_line_value(line, line_len, "Origin", &value, &value_len))
            release->is_debian = value_len == strlen("Debian") && memcmp(value, "Debian", value_len) == 0;
        else if (release->codename == NULL && nvl_line_value(line, line_len, "Codename", &value, &value_len))
            release->codename = nvl_xstrndup(value, value_len);
    }
}

static bool is_debian_host(const char *uri)
{
    const char *host = behind_scheme(uri);
    nvl_autofree char *name = nvl_xstrndup(host, strcspn(host, "/:"));

    return strcmp(name, "debian.org") == 0 || nvl_has_suffix(name, ".debian.org");
}

static enum nvl_archive judge_by_looks(const struct nvl_source *s)
{
    nvl_autofree char *uri = nvl_xstrdup(s->uris.items[0]);
    size_t len = strlen(uri);

    if (is_debian_host(uri) || (s->signed_by != NULL && strstr(s->signed_by, "debian-archive") != NULL))
        return NVL_ARCHIVE_DEBIAN;
    if (s->signed_by != NULL)
        return NVL_ARCHIVE_OTHER;
    while (len > 0 && uri[len - 1] == '/')
        uri[--len] = '\0';
    return nvl_strv_contains(&s->components, "main") &&
                   (nvl_has_suffix(uri, "/debian") || nvl_has_suffix(uri, "/debian-security"))
               ? NVL_ARCHIVE_LIKELY
               : NVL_ARCHIVE_OTHER;
}

static void judge(const struct nvl_root *root, struct nvl_source *s)
{
    s->archive = judge_by_looks(s);
    for (size_t i = 0; i < s->suites.count; i++) {
        struct release release = {0};
        read_release(root, s->uris.items[0], s->suites.items[i], &release);
        if (release.found)
            s->archive = release.is_debian ? NVL_ARCHIVE_DEBIAN : NVL_ARCHIVE_OTHER;
        if (release.is_debian && release.codename != NULL) {
            free(s->suites.items[i]);
            s->suites.items[i] = TAKE_PTR(release.codename);
        }
        free(release.codename);
    }
}

void nvl_archives_judge(const struct nvl_root *root, struct nvl_sources *sources)
{
    bool is_certain = false;

    for (size_t i = 0; i < sources->count; i++) {
        judge(root, &sources->items[i]);
        is_certain = is_certain || sources->items[i].archive == NVL_ARCHIVE_DEBIAN;
    }
    for (size_t i = 0; i < sources->count; i++)
        if (sources->items[i].archive == NVL_ARCHIVE_LIKELY)
            sources->items[i].archive = is_certain ? NVL_ARCHIVE_OTHER : NVL_ARCHIVE_DEBIAN;
}

/* ---- apt's sources ---- */

#define SOURCES_LIST  "/etc/apt/sources.list"
#define SOURCES_PARTS "/etc/apt/sources.list.d"
#define FILE_MAX      (1u << 20)

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next word of a line from *at on; false at its end. */
static bool next_word(const char *line, size_t len, size_t *at, const char **word, size_t *word_len)
{
    while (*at < len && is_blank(line[*at]))
        (*at)++;
    *word = line + *at;
    while (*at < len && !is_blank(line[*at]))
        (*at)++;
    *word_len = (size_t)(line + *at - *word);
    return *word_len > 0;
}

static void push(struct nvl_strv *v, const char *word, size_t len)
{
    nvl_strv_pushf(v, "%.*s", (int)len, word);
}

static void source_clear(struct nvl_source *s)
{
    nvl_strv_clear(&s->uris);
    nvl_strv_clear(&s->suites);
    nvl_strv_clear(&s->components);
    free(s->signed_by);
}

/* Takes over what is in `s` if it is an entry that setup can use: one with components, or a flat archive
 * (NVIDIA's), whose suite ends in "/" (sources.list(5)); not a CD. */
static void keep(struct nvl_sources *sources, struct nvl_source *s)
{
    bool is_usable = s->uris.count > 0 && s->suites.count > 0 &&
                     (s->components.count > 0 || nvl_has_suffix(s->suites.items[0], "/")) &&
                     !nvl_has_prefix(s->uris.items[0], "cdrom:");

    if (is_usable) {
        s->file = sources->n_files - 1;
        *NVL_APPEND(sources->items, sources->count) = *s;
    } else {
        source_clear(s);
    }
    *s = (struct nvl_source){0};
}

/* "[ arch=amd64 signed-by=/x ]" */
static void parse_options(const char *options, size_t len, struct nvl_source *s)
{
    static const char key[] = "signed-by=";
    size_t at = 0, word_len;
    const char *word;

    while (next_word(options, len, &at, &word, &word_len))
        if (word_len > sizeof key - 1 && strncasecmp(word, key, sizeof key - 1) == 0 && s->signed_by == NULL)
            s->signed_by = nvl_xstrndup(word + sizeof key - 1, word_len - (sizeof key - 1));
}

/* "deb [OPTIONS] URI SUITE COMPONENT... # comment" */
static void parse_line(struct nvl_sources *sources, const char *line, size_t len, size_t offset)
{
    struct nvl_source s = {0};
    const char *comment = memchr(line, '#', len), *word;
    size_t at = 0, word_len;

    if (comment != NULL)
        len = (size_t)(comment - line);
    if (!next_word(line, len, &at, &word, &word_len) || word_len != 3 || memcmp(word, "deb", 3) != 0)
        return;
    while (at < len && is_blank(line[at]))
        at++;
    if (at < len && line[at] == '[') {
        const char *end = memchr(line + at, ']', len - at);
        if (end == NULL)
            return;
        parse_options(line + at + 1, (size_t)(end - line) - at - 1, &s);
        at = (size_t)(end - line) + 1;
    }
    if (next_word(line, len, &at, &word, &word_len))
        push(&s.uris, word, word_len);
    if (next_word(line, len, &at, &word, &word_len))
        push(&s.suites, word, word_len);
    while (next_word(line, len, &at, &word, &word_len)) {
        push(&s.components, word, word_len);
        s.components_end = offset + (size_t)(word + word_len - line);
    }
    keep(sources, &s);
}

static void parse_lines(struct nvl_sources *sources, const char *text, size_t len)
{
    size_t pos = 0, line_len;
    const char *line;

    while (nvl_next_line(text, len, &pos, &line, &line_len))
        parse_line(sources, line, line_len, (size_t)(line - text));
}

enum field { OTHER, TYPES, URIS, SUITES, COMPONENTS, SIGNED_BY, ENABLED };

static enum field field_named(const char *name, size_t len)
{
    static const struct {
        const char *name;
        enum field field;
    } fields[] = {{"Types", TYPES},           {"URIs", URIS},           {"Suites", SUITES},
                  {"Components", COMPONENTS}, {"Signed-By", SIGNED_BY}, {"Enabled", ENABLED}};

    for (size_t i = 0; i < NVL_LENGTH(fields); i++)
        if (strlen(fields[i].name) == len && strncasecmp(fields[i].name, name, len) == 0)
            return fields[i].field;
    return OTHER;
}

/* A stanza that is being read. */
struct stanza {
    struct nvl_source source;
    struct nvl_strv types, enabled;
    struct nvl_buf signed_by;
    enum field field; /* the one that a continuation line belongs to */
};

/* One line of a field's value. */
static void add_value(struct stanza *st, const char *text, const char *value, size_t len)
{
    struct nvl_strv *words[] = {[TYPES] = &st->types,
                                [URIS] = &st->source.uris,
                                [SUITES] = &st->source.suites,
                                [COMPONENTS] = &st->source.components,
                                [SIGNED_BY] = NULL,
                                [ENABLED] = &st->enabled};
    size_t at = 0, word_len;
    const char *word;

    if (st->field == OTHER)
        return;
    if (st->field == SIGNED_BY) {
        if (len > 0 && is_blank(value[0])) /* a continuation line */
            nvl_buf_add(&st->signed_by, "\n", 1);
        nvl_buf_add(&st->signed_by, value, len);
        return;
    }
    while (next_word(value, len, &at, &word, &word_len)) {
        push(words[st->field], word, word_len);
        if (st->field == COMPONENTS)
            st->source.components_end = (size_t)(word + word_len - text);
    }
}

static void stanza_end(struct nvl_sources *sources, struct stanza *st)
{
    static const char *const no[] = {"no", "false", "without", "off", "disable"}; /* apt's StringToBool */
    bool is_enabled = true;

    for (size_t i = 0; i < NVL_LENGTH(no) && st->enabled.count > 0; i++)
        is_enabled = is_enabled && strcasecmp(st->enabled.items[0], no[i]) != 0;
    if (st->signed_by.len > 0)
        st->source.signed_by = nvl_buf_take(&st->signed_by);
    if (is_enabled && nvl_strv_contains(&st->types, "deb"))
        keep(sources, &st->source);
    else
        source_clear(&st->source);
    nvl_strv_clear(&st->types);
    nvl_strv_clear(&st->enabled);
    nvl_buf_clear(&st->signed_by);
    *st = (struct stanza){0};
}

static void parse_stanzas(struct nvl_sources *sources, const char *text, size_t len)
{
    struct stanza st = {0};
    size_t pos = 0, line_len;
    const char *line;

    while (nvl_next_line(text, len, &pos, &line, &line_len)) {
        size_t at = 0, word_len;
        const char *word, *colon;

        if (line_len > 0 && line[0] == '#')
            continue;
        if (!next_word(line, line_len, &at, &word, &word_len)) {
            stanza_end(sources, &st);
        } else if (is_blank(line[0])) {
            add_value(&st, text, line, line_len);
        } else if ((colon = memchr(line, ':', line_len)) != NULL) {
            st.field = field_named(line, (size_t)(colon - line));
            const char *value = colon + 1, *end = line + line_len;
            while (value < end && is_blank(*value))
                value++;
            while (end > value && is_blank(end[-1]))
                end--;
            add_value(&st, text, value, (size_t)(end - value));
        }
    }
    stanza_end(sources, &st);
}

void nvl_sources_parse(struct nvl_sources *sources, const char *path, char *text, size_t len)
{
    struct nvl_sources_file *file = NVL_APPEND(sources->files, sources->n_files);

    *file = (struct nvl_sources_file){nvl_xstrdup(path), text, len};
    if (nvl_has_suffix(path, ".sources"))
        parse_stanzas(sources, text, len);
    else
        parse_lines(sources, text, len);
}

static int read_file(const struct nvl_root *root, const char *path, struct nvl_sources *sources,
                     struct nvl_error *err)
{
    char *text = NULL;
    size_t len;

    int r = nvl_root_read(root, path, FILE_MAX, &text, &len);
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return nvl_error_errno(err, r, "cannot read apt's sources in %s", path);
    nvl_sources_parse(sources, path, text, len);
    return 0;
}

/* Apt ignores files of other names. */
static bool is_read_by_apt(const char *name)
{
    if (!nvl_has_suffix(name, ".list") && !nvl_has_suffix(name, ".sources"))
        return false;
    for (const char *c = name; *c != '\0'; c++)
        if (!isalnum((unsigned char)*c) && strchr("_-.", *c) == NULL)
            return false;
    return name[0] != '.';
}

int nvl_sources_read(const struct nvl_root *root, struct nvl_sources *sources, struct nvl_error *err)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    *sources = (struct nvl_sources){0};
    int r = read_file(root, SOURCES_LIST, sources, err);
    if (r < 0)
        return r;
    r = nvl_root_list(root, SOURCES_PARTS, &names);
    if (r < 0 && r != -ENOENT)
        return nvl_error_errno(err, r, "cannot list %s", SOURCES_PARTS);
    for (size_t i = 0; i < names.count; i++) {
        nvl_autofree char *path = nvl_xasprintf("%s/%s", SOURCES_PARTS, names.items[i]);
        if (!is_read_by_apt(names.items[i]))
            continue;
        r = read_file(root, path, sources, err);
        if (r < 0)
            return r;
    }
    nvl_archives_judge(root, sources);
    return 0;
}

void nvl_sources_clear(struct nvl_sources *sources)
{
    for (size_t i = 0; i < sources->n_files; i++) {
        free(sources->files[i].path);
        free(sources->files[i].text);
    }
    for (size_t i = 0; i < sources->count; i++)
        source_clear(&sources->items[i]);
    free(sources->files);
    free(sources->items);
    *sources = (struct nvl_sources){0};
}
