/* The file of doctor --notify: what a finding is known by, and reading and writing it. What is in it came
 * from containers, so every text has a bound, and a file that is not as it should be is none. */
#include "doctor/told.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "base/file.h"
#include "base/locks.h"
#include "base/paths.h"
#include "base/printable.h"
#include "base/root.h"
#include "doctor/check.h"
#include "doctor/families.h"

#define TOLD_FILE   "findings.json"
#define TOLD_LOCK   NVL_DOCTOR_DIR "/.lock"
#define TOLD_FORMAT 1
#define FILE_MAX    (8u << 20)

#define TITLE_MAX   400 /* bytes */
#define SUBJECT_MAX 200
#define ABOUT_MAX   1024 /* of all subjects */

#define TURN_SECONDS 120 /* another run's command may take a minute */

void nvl_told_clear(struct nvl_told *told)
{
    free(told->container);
    nvl_strv_clear(&told->about);
    free(told->title);
    *told = (struct nvl_told){0};
}

void nvl_told_list_clear(struct nvl_told_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        nvl_told_clear(&list->items[i]);
    free(list->items);
    *list = (struct nvl_told_list){0};
}

/* ---- what a finding is known by ---- */

static char *cut_text(const char *text, size_t max)
{
    return nvl_make_printable(nvl_xstrndup(text, max)); /* half a character at the end becomes '?' */
}

static void add_subject_text(struct nvl_strv *texts, const struct nvl_subject *subject)
{
    static const char *const kinds[] = {
        [NVL_SUBJECT_GPU] = "gpu",       [NVL_SUBJECT_NODE] = "node",     [NVL_SUBJECT_LIBRARY] = "library",
        [NVL_SUBJECT_BUNDLE] = "bundle", [NVL_SUBJECT_MODULE] = "module", [NVL_SUBJECT_LINE] = "line",
    };
    nvl_autofree char *whole = nvl_xasprintf("%s%s%s", kinds[subject->kind], subject->name != NULL ? " " : "",
                                             subject->name != NULL ? subject->name : "");
    nvl_autofree char *text = cut_text(whole, SUBJECT_MAX);

    nvl_strv_push(texts, text);
}

struct nvl_told nvl_told_of(const struct nvl_finding *f, bool is_deep)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv all = {0};
    struct nvl_told told = {
        .check = f->check,
        .container = f->container != NULL ? nvl_xstrdup(f->container) : NULL,
        .title = cut_text(f->title, TITLE_MAX),
        .is_deep = is_deep && (f->check->needs & NVL_SEES_DEEP) != 0,
    };
    size_t bytes = 0;

    for (size_t i = 0; i < f->about.count; i++)
        add_subject_text(&all, &f->about.items[i]);
    nvl_strv_sort(&all);
    for (size_t i = 0; i < all.count && bytes < ABOUT_MAX; i++) {
        if (i > 0 && strcmp(all.items[i], all.items[i - 1]) == 0)
            continue;
        nvl_strv_push(&told.about, all.items[i]);
        bytes += strlen(all.items[i]);
    }
    return told;
}

/* How many of the texts of `a` are in `b`; both are sorted. */
static size_t count_shared(const struct nvl_strv *a, const struct nvl_strv *b)
{
    size_t n = 0;

    for (size_t i = 0; i < a->count; i++)
        n += nvl_strv_sorted_contains(b, a->items[i]);
    return n;
}

enum nvl_likeness nvl_told_likeness(const struct nvl_told *before, const struct nvl_told *now)
{
    bool is_host = before->container == NULL;

    if (before->check != now->check || is_host != (now->container == NULL) ||
        (!is_host && strcmp(before->container, now->container) != 0))
        return NVL_LIKE_OTHER;
    size_t shared = count_shared(&now->about, &before->about);
    bool is_part = shared == now->about.count;
    if (is_part && now->about.count == before->about.count && strcmp(before->title, now->title) == 0)
        return NVL_LIKE_SAME;
    if (shared == 0)
        return NVL_LIKE_OTHER;
    return is_part && now->about.count < before->about.count ? NVL_LIKE_SMALLER : NVL_LIKE_CHANGED;
}

/* ---- the text ---- */

static void drop_told_json(json_t **value)
{
    json_decref(*value);
}

static const struct nvl_check *find_check(const char *id)
{
    for (const struct nvl_check_family *family = nvl_check_families; family->name != NULL; family++)
        for (const struct nvl_check *const *list = family->lists; *list != NULL; list++)
            for (const struct nvl_check *check = *list; check->id != NULL; check++)
                if (strcmp(check->id, id) == 0)
                    return check;
    return NULL;
}

static bool parse_about(const json_t *about, struct nvl_strv *texts)
{
    if (!json_is_array(about))
        return false;
    for (size_t i = 0; i < json_array_size(about); i++) {
        const char *text = json_string_value(json_array_get(about, i));
        if (text == NULL)
            return false;
        nvl_strv_push(texts, text);
    }
    nvl_strv_sort(texts);
    return true;
}

/* False if it is no entry. */
static bool parse_told(const json_t *entry, struct nvl_told_list *list)
{
    const json_t *container = json_object_get(entry, "container"), *deep = json_object_get(entry, "deep");
    const char *id = json_string_value(json_object_get(entry, "id")),
               *title = json_string_value(json_object_get(entry, "title"));
    nvl_auto(nvl_strv_clear) struct nvl_strv about = {0};

    if (id == NULL || title == NULL || !json_is_boolean(deep) ||
        !(json_is_null(container) || json_is_string(container)) ||
        !parse_about(json_object_get(entry, "about"), &about))
        return false;
    const struct nvl_check *check = find_check(id);
    if (check == NULL) /* of another version */
        return true;
    *NVL_APPEND(list->items, list->count) = (struct nvl_told){
        .check = check,
        .container =
            json_is_string(container) ? nvl_make_printable(nvl_xstrdup(json_string_value(container))) : NULL,
        .about = about,
        .title = nvl_make_printable(nvl_xstrdup(title)),
        .is_deep = json_is_true(deep),
    };
    about = (struct nvl_strv){0};
    return true;
}

int nvl_told_parse(const char *text, struct nvl_told_list *list)
{
    *list = (struct nvl_told_list){0};
    if (text == NULL)
        return 0;
    json_t nvl_auto(drop_told_json) *json = json_loads(text, 0, NULL);
    const json_t *findings = json_object_get(json, "findings");
    bool is_whole = json_integer_value(json_object_get(json, "format")) == TOLD_FORMAT &&
                    json_is_array(findings) && json_array_size(findings) <= NVL_TOLD_MAX;

    for (size_t i = 0; is_whole && i < json_array_size(findings); i++)
        is_whole = parse_told(json_array_get(findings, i), list);
    if (!is_whole)
        nvl_told_list_clear(list);
    return is_whole ? 0 : -EINVAL;
}

static json_t *told_json(const struct nvl_told *told)
{
    json_t *about = json_array();

    for (size_t i = 0; i < told->about.count; i++)
        json_array_append_new(about, json_string(told->about.items[i]));
    return json_pack("{s:s,s:s?,s:o,s:s,s:b}", "id", told->check->id, "container", told->container, "about",
                     about, "title", told->title, "deep", (int)told->is_deep);
}

char *nvl_told_text(const struct nvl_told_list *list)
{
    json_t *findings = json_array();

    for (size_t i = 0; i < list->count; i++)
        json_array_append_new(findings, told_json(&list->items[i]));
    json_t nvl_auto(drop_told_json) *json =
        json_pack("{s:i,s:o}", "format", TOLD_FORMAT, "findings", findings);
    nvl_autofree char *text = json_dumps(json, JSON_INDENT(1));
    return nvl_xasprintf("%s\n", text != NULL ? text : "");
}

/* ---- the file ---- */

int nvl_told_lock(const struct nvl_root *root, int *fd, struct nvl_error *err)
{
    nvl_autofd int lock = nvl_root_open_lock(root, TOLD_LOCK);

    if (lock < 0)
        return nvl_error_errno(err, lock, "cannot open %s, the lock of doctor --notify", TOLD_LOCK);
    int r = nvl_lock_wait(lock, TURN_SECONDS * 1000);
    if (r == -ETIMEDOUT) {
        nvl_autofree char *holder = nvl_lock_holder_text(lock);
        nvl_error_set(err, -EAGAIN,
                      "%s has held the lock of doctor --notify (%s) for more than %d s; nothing was told",
                      holder, TOLD_LOCK, TURN_SECONDS);
        nvl_error_hint(err, "look why that process does not end; the next run tells what is new");
        return -EAGAIN;
    }
    if (r < 0)
        return nvl_error_errno(err, r, "cannot lock %s", TOLD_LOCK);
    *fd = TAKE_FD(lock);
    return 0;
}

static bool is_own_file(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid();
}

int nvl_told_read(const struct nvl_root *root, char **text, struct nvl_error *err)
{
    const char *path = NVL_DOCTOR_DIR "/" TOLD_FILE;
    nvl_autofd int fd = nvl_root_openat(root, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    size_t len = 0;

    *text = NULL;
    if (fd == -ENOENT)
        return 0;
    int r = fd < 0 ? fd : !is_own_file(fd) ? -EINVAL : nvl_fd_read(fd, FILE_MAX, text, &len);
    if (r == 0 && strlen(*text) == len)
        return 0;
    if (r < 0 && nvl_is_trouble(r))
        return nvl_error_errno(err, r, "cannot read %s, which says what has been told", path);
    free(*text);
    *text = nvl_xstrdup("");
    return 0;
}

int nvl_told_write(const struct nvl_root *root, const char *text, struct nvl_error *err)
{
    const struct stat like = {.st_mode = 0600, .st_uid = geteuid(), .st_gid = getegid()};
    nvl_autofd int folder = nvl_root_openat(root, NVL_DOCTOR_DIR, O_PATH | O_DIRECTORY);

    if (folder < 0)
        return nvl_error_errno(err, folder, "cannot write into %s", NVL_DOCTOR_DIR);
    mode_t before = umask(0077);
    int r = nvl_file_replace(folder, TOLD_FILE, text, strlen(text), &like, err);
    umask(before);
    return r < 0 ? nvl_error_prefix(err, "%s", NVL_DOCTOR_DIR) : 0;
}
