/* Whose archive it is: a mirror has any name, and others name their suites and components as Debian does. */
#include "setup/archive.h"

#include <ctype.h>

#define LISTS       "/var/lib/apt/lists"
#define RELEASE_MAX (4u << 20) /* bytes; Debian's InRelease has some hundred kilobytes */

/* What stands behind "scheme://" and a name with a password. */
static const char *behind_scheme(const char *uri)
{
    const char *colon = strstr(uri, "://");
    const char *start = colon != NULL ? colon + 3 : uri;
    size_t host = strcspn(start, "/");
    const char *at = memchr(start, '@', host);

    return at != NULL ? at + 1 : start;
}

/* The name of an archive's Release in apt's lists: the URI's bytes that could trouble a shell as %xx, its
 * slashes as underlines. Source: apt's URItoFileName. */
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
