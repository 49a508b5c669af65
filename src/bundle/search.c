/* The search for the driver's installed files, kept from one run to the next. */
#include "bundle/search.h"

#include <fcntl.h>
#include <time.h>

#include "base/file.h"
#include "base/paths.h"
#include "bundle/manifest.h"
#include "bundle/trace.h"

#define FILE_MAX (4u << 20)
#define SECOND   ((int64_t)1000000000)
/* Older than a search by more than the coarsest time stamps that file systems keep. */
#define SETTLED (2 * SECOND)

static int64_t nanoseconds(struct timespec time)
{
    return (int64_t)time.tv_sec * SECOND + time.tv_nsec;
}

/* Another nvlxc may look elsewhere: a kept search is for the very program that made it. */
static char *program_mark(void)
{
    struct stat st;

    if (stat("/proc/self/exe", &st) < 0)
        return nvl_xstrdup(NVL_VERSION);
    return nvl_xasprintf(NVL_VERSION " %llu %lld", (unsigned long long)st.st_ino,
                         (long long)nanoseconds(st.st_ctim));
}

static struct nvl_searched *add_version(struct nvl_search *search, const char *version, size_t n_files,
                                        uint64_t bytes)
{
    struct nvl_searched *searched = NVL_APPEND(search->versions, search->n_versions);

    *searched = (struct nvl_searched){.n_files = n_files, .bytes = bytes};
    nvl_copy(searched->version, sizeof searched->version, version, strlen(version));
    return searched;
}

/* "550.163.01 63 540012345": version, files, bytes. */
static bool take_synced(const char *text, struct nvl_search *search)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};
    uint64_t n_files, bytes;

    nvl_strv_split(&words, text, " ");
    if (words.count != 3 || !nvl_is_version(words.items[0], strlen(words.items[0])) ||
        strlen(words.items[0]) >= NVL_VERSION_MAX ||
        nvl_parse_uint(words.items[1], 10, SIZE_MAX, &n_files) < 0 ||
        nvl_parse_uint(words.items[2], 10, UINT64_MAX, &bytes) < 0)
        return false;
    add_version(search, words.items[0], n_files, bytes);
    return true;
}

/* A line of the file. False for one that it would not have. */
static bool take_line(const char *line, size_t len, struct nvl_search *search, struct nvl_trace *trace)
{
    enum { INSTALLED, SYNCED, MISSING, LOOKED, STATE, KEYS };
    static const char *const keys[KEYS] = {"installed", "synced", "missing", "looked", "state"};
    const char *value;
    size_t value_len, key = 0;

    while (key < KEYS && !nvl_line_value(line, len, keys[key], &value, &value_len))
        key++;
    nvl_autofree char *text = key < KEYS ? nvl_xstrndup(value, value_len) : NULL;
    switch (key) {
    case INSTALLED:
        nvl_strv_push(&search->us.versions, text);
        return true;
    case SYNCED:
        return take_synced(text, search);
    case MISSING:
        if (search->n_versions == 0)
            return false;
        nvl_strv_push(&search->versions[search->n_versions - 1].missing, text);
        return true;
    case LOOKED:
        nvl_strv_push(&trace->paths, text);
        return true;
    case STATE:
        return nvl_copy(trace->state, sizeof trace->state, text, value_len);
    }
    return false;
}

static bool is_of_this_program(const char *line, size_t len)
{
    nvl_autofree char *mark = program_mark();
    const char *value;
    size_t value_len;

    return nvl_line_value(line, len, "program", &value, &value_len) && value_len == strlen(mark) &&
           memcmp(value, mark, value_len) == 0;
}

static bool recall(const struct nvl_root *root, struct nvl_search *search)
{
    nvl_auto(nvl_trace_clear) struct nvl_trace trace = {0};
    nvl_autofree char *text = NULL;
    size_t len, line_len, pos = 0;
    const char *line;

    if (nvl_root_read(root, NVL_SEARCH_FILE, FILE_MAX, &text, &len) < 0)
        return false;
    bool good = nvl_next_line(text, len, &pos, &line, &line_len) && is_of_this_program(line, line_len);
    while (good && nvl_next_line(text, len, &pos, &line, &line_len)) /* the state is the last */
        good = trace.state[0] == '\0' && take_line(line, line_len, search, &trace);
    search->is_recalled = good && nvl_trace_holds(root, &trace);
    if (!search->is_recalled)
        nvl_search_clear(search);
    return search->is_recalled;
}

int nvl_search_again(const struct nvl_root *root, struct nvl_search *search, struct nvl_error *err)
{
    struct nvl_root noting = *root;
    struct timespec now;

    nvl_search_clear(search);
    clock_gettime(CLOCK_REALTIME, &now);
    search->begun = nanoseconds(now);
    noting.asked = &search->asked;
    return nvl_userspace_read(&noting, &search->us, err);
}

int nvl_search_read(const struct nvl_root *root, enum nvl_search_how how, struct nvl_search *search,
                    struct nvl_error *err)
{
    *search = (struct nvl_search){0};
    if (how == NVL_SEARCH_OR_RECALL && recall(root, search))
        return 0;
    return nvl_search_again(root, search, err);
}

void nvl_search_clear(struct nvl_search *search)
{
    nvl_userspace_clear(&search->us);
    for (size_t i = 0; i < search->n_versions; i++)
        nvl_strv_clear(&search->versions[i].missing);
    free(search->versions);
    nvl_strv_clear(&search->asked);
    *search = (struct nvl_search){0};
}

const struct nvl_searched *nvl_search_of(const struct nvl_search *search, const char *version)
{
    for (size_t i = 0; i < search->n_versions; i++)
        if (strcmp(search->versions[i].version, version) == 0)
            return &search->versions[i];
    return NULL;
}

/* Folders as listed: what comes or goes in them shows there, and what a link leads to. */
static void ask_for_bundle(struct nvl_search *search, const struct nvl_manifest *m)
{
    nvl_autofree char *bundle = nvl_xasprintf(NVL_BUNDLE_DIR "/%s", m->version);

    nvl_strv_pushf(&search->asked, "%s/.", bundle);
    nvl_strv_pushf(&search->asked, "%s/manifest.json", bundle);
    nvl_strv_pushf(&search->asked, "%s/sonames", bundle);
    for (size_t i = 0; i < m->n_files; i++) {
        const char *path = m->files[i].path, *slash = strrchr(path, '/');
        nvl_strv_pushf(&search->asked, "%s/%s", bundle, path);
        nvl_strv_pushf(&search->asked, "%s/%.*s/.", bundle, (int)(slash != NULL ? slash - path : 0), path);
    }
    for (size_t i = 0; i < m->n_links; i++) {
        const char *path = m->links[i].path, *slash = strrchr(path, '/');
        nvl_strv_pushf(&search->asked, "%s/%.*s/.", bundle, (int)(slash != NULL ? slash - path : 0), path);
    }
}

void nvl_search_note(struct nvl_search *search, const struct nvl_manifest *m, const struct nvl_strv *missing)
{
    if (search->is_recalled || nvl_search_of(search, m->version) != NULL)
        return;
    struct nvl_searched *searched = add_version(search, m->version, m->n_files, nvl_manifest_bytes(m));
    for (size_t i = 0; i < missing->count; i++)
        nvl_strv_push(&searched->missing, missing->items[i]);
    ask_for_bundle(search, m);
}

/* "key: value" for each. */
static void add_lines(struct nvl_buf *text, const char *key, const struct nvl_strv *values)
{
    for (size_t i = 0; i < values->count; i++)
        nvl_buf_addf(text, "%s: %s\n", key, values->items[i]);
}

static char *format(const struct nvl_search *search, const struct nvl_trace *trace)
{
    nvl_autofree char *mark = program_mark();
    struct nvl_buf text = {0};

    nvl_buf_addf(&text, "program: %s\n", mark);
    add_lines(&text, "installed", &search->us.versions);
    for (size_t i = 0; i < search->n_versions; i++) {
        const struct nvl_searched *searched = &search->versions[i];
        nvl_buf_addf(&text, "synced: %s %zu %llu\n", searched->version, searched->n_files,
                     (unsigned long long)searched->bytes);
        add_lines(&text, "missing", &searched->missing);
    }
    add_lines(&text, "looked", &trace->paths);
    nvl_buf_addf(&text, "state: %s\n", trace->state);
    return nvl_buf_take(&text);
}

int nvl_search_keep(const struct nvl_root *root, struct nvl_search *search, struct nvl_error *err)
{
    nvl_auto(nvl_trace_clear) struct nvl_trace trace = {0};
    const char *name;

    if (search->is_recalled)
        return 0;
    nvl_trace_look(root, &search->asked, &trace);
    if (trace.newest >= search->begun - SETTLED)
        return 0;
    nvl_autofree char *text = format(search, &trace);
    nvl_autofd int folder = nvl_root_open_parent(root, NVL_SEARCH_FILE, &name);
    if (folder < 0)
        return nvl_error_errno(err, folder, "cannot open the folder of %s%s", root->name, NVL_SEARCH_FILE);
    return nvl_file_replace(folder, name, text, strlen(text), NULL, err);
}
