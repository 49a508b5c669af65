/* Reads units of systemd. */
#include "doctor/container/units.h"

#include <fcntl.h>
#include <strings.h>

#define FILE_MAX    (256u << 10)
#define LINES_MAX   1024 /* that matter, of one unit */
#define DROPINS_MAX 128
#define SUFFIX      ".service"

/* Where systemd looks, what counts first on top (systemd.unit(5)). The last one is another name of the one
 * above, but on old distributions. */
static const char *const unit_folders[] = {
    "/etc/systemd/system.control", "/run/systemd/system.control", "/run/systemd/transient",
    "/etc/systemd/system",         "/run/systemd/system",         "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",     "/lib/systemd/system",
};

static const char *const unit_keys[] = {
    "User",
    "Group",
    "SupplementaryGroups",
    "DynamicUser",
    "PrivateDevices",
    "DevicePolicy",
    "DeviceAllow",
    "ProcSubset",
    "InaccessiblePaths",
    "TemporaryFileSystem",
    "BindPaths",
    "BindReadOnlyPaths",
    "RootDirectory",
    "RootImage",
};

/* What is read so far. */
struct reading {
    const struct nvl_root *rootfs;
    const char *path;
    struct nvl_unit *unit;
    bool in_service;
};

/* ---- one file ---- */

static void trim(const char **text, size_t *len)
{
    while (*len > 0 && strchr(" \t\r\n", **text) != NULL) {
        (*text)++;
        (*len)--;
    }
    while (*len > 0 && strchr(" \t\r\n", (*text)[*len - 1]) != NULL)
        (*len)--;
}

static void take_assignment(struct reading *r, const char *line, size_t len, size_t number)
{
    const char *sign = memchr(line, '=', len);

    if (sign == NULL || !r->in_service || r->unit->count >= LINES_MAX)
        return;
    const char *value = sign + 1;
    size_t key_len = (size_t)(sign - line), value_len = len - key_len - 1;
    trim(&line, &key_len);
    trim(&value, &value_len);
    for (size_t i = 0; i < NVL_LENGTH(unit_keys); i++)
        if (strlen(unit_keys[i]) == key_len && memcmp(unit_keys[i], line, key_len) == 0)
            *NVL_APPEND(r->unit->items, r->unit->count) =
                (struct nvl_unit_line){.key = unit_keys[i],
                                       .value = nvl_xstrndup(value, value_len),
                                       .place = nvl_xasprintf("%s:%zu", r->path, number)};
}

/* A whole line, with what continued it. */
static void take_line(struct reading *r, const char *line, size_t len, size_t number)
{
    trim(&line, &len);
    if (len == 0)
        return;
    if (line[0] != '[')
        take_assignment(r, line, len, number);
    else if (line[len - 1] == ']')
        r->in_service = len == strlen("[Service]") && memcmp(line, "[Service]", len) == 0;
}

static bool is_comment(const char *line, size_t len)
{
    trim(&line, &len);
    return len > 0 && (line[0] == '#' || line[0] == ';');
}

/* An odd number of backslashes at the end: the next line belongs to this one. */
static bool is_continued(const char *line, size_t len)
{
    size_t n = 0;

    while (n < len && line[len - 1 - n] == '\\')
        n++;
    return n % 2 == 1;
}

static void take_text(struct reading *r, const char *text, size_t len)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf whole = {0};
    size_t pos = 0, line_len, number = 0, first = 0;
    const char *line;

    r->in_service = false;
    while (nvl_next_line(text, len, &pos, &line, &line_len)) {
        number++;
        if (line_len > 0 && line[line_len - 1] == '\r')
            line_len--;
        if (is_comment(line, line_len)) /* also between a line and what continues it */
            continue;
        if (whole.len == 0)
            first = number;
        bool is_more = is_continued(line, line_len);
        nvl_buf_add(&whole, line, is_more ? line_len - 1 : line_len);
        if (is_more) {
            nvl_buf_add(&whole, " ", 1);
            continue;
        }
        if (whole.len > 0)
            take_line(r, whole.data, whole.len, first);
        whole.len = 0;
    }
    if (whole.len > 0)
        take_line(r, whole.data, whole.len, first);
}

/* A link to /dev/null, or an empty file. */
static bool is_mask(const struct nvl_root *rootfs, const char *path)
{
    nvl_autofree char *target = NULL;
    struct stat st;

    if (nvl_root_readlink(rootfs, path, &target) == 0 && nvl_has_suffix(target, "/dev/null"))
        return true;
    return nvl_root_stat(rootfs, path, 0, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0;
}

static bool take_file(struct reading *r, const char *path)
{
    nvl_autofree char *text = NULL;
    size_t len;

    if (nvl_root_read(r->rootfs, path, FILE_MAX, &text, &len) < 0)
        return false;
    r->path = path;
    take_text(r, text, len);
    return true;
}

/* ---- drop-ins ---- */

struct dropins {
    struct nvl_strv names, paths; /* of the same place */
};

static void take_dropin_name(void *data, const char *name)
{
    struct nvl_strv *names = data;

    if (names->count < DROPINS_MAX && nvl_has_suffix(name, ".conf") && name[0] != '.')
        nvl_strv_push(names, name);
}

/* A name that an earlier folder has hides this folder's. */
static void collect_dropins(const struct nvl_root *rootfs, const char *folder, const char *of,
                            struct dropins *d)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    nvl_autofree char *path = nvl_xasprintf("%s/%s.d", folder, of);

    nvl_root_each(rootfs, path, take_dropin_name, &names);
    for (size_t i = 0; i < names.count && d->names.count < DROPINS_MAX; i++) {
        if (nvl_strv_contains(&d->names, names.items[i]))
            continue;
        nvl_strv_push(&d->names, names.items[i]);
        nvl_strv_pushf(&d->paths, "%s/%s", path, names.items[i]);
    }
}

/* "immich-ml.service" also has the drop-ins of "immich-.service". */
static void list_owners(const char *unit, struct nvl_strv *owners)
{
    nvl_strv_push(owners, unit);
    for (size_t i = strlen(unit) - strlen(SUFFIX) - 1; i > 0 && i < strlen(unit); i--)
        if (unit[i] == '-' && unit[i + 1] != '.')
            nvl_strv_pushf(owners, "%.*s" SUFFIX, (int)i + 1, unit);
}

/* systemd sorts all drop-ins by their names alone. */
static void take_dropins(struct reading *r, const struct nvl_strv *owners)
{
    struct dropins d = {0};
    nvl_auto(nvl_strv_clear) struct nvl_strv sorted = {0};

    for (size_t i = 0; i < NVL_LENGTH(unit_folders); i++)
        for (size_t o = 0; o < owners->count; o++)
            collect_dropins(r->rootfs, unit_folders[i], owners->items[o], &d);
    for (size_t i = 0; i < NVL_LENGTH(unit_folders); i++)
        collect_dropins(r->rootfs, unit_folders[i], "service", &d);
    for (size_t i = 0; i < d.names.count; i++)
        nvl_strv_push(&sorted, d.names.items[i]);
    nvl_strv_sort(&sorted);
    for (size_t i = 0; i < sorted.count; i++)
        for (size_t k = 0; k < d.names.count; k++)
            if (strcmp(sorted.items[i], d.names.items[k]) == 0 && !is_mask(r->rootfs, d.paths.items[k]))
                take_file(r, d.paths.items[k]);
    nvl_strv_clear(&d.names);
    nvl_strv_clear(&d.paths);
}

/* ---- the unit ---- */

/* A link's own name is another name of the unit, whose drop-ins count too. */
static void add_real_name(const struct nvl_root *rootfs, const char *path, const char *unit,
                          struct nvl_strv *owners)
{
    nvl_autofree char *real = NULL;

    if (nvl_root_resolve(rootfs, path, &real) < 0)
        return;
    const char *name = strrchr(real, '/') + 1;
    if (strcmp(name, unit) != 0 && nvl_has_suffix(name, SUFFIX) && name[0] != '.')
        list_owners(name, owners);
}

bool nvl_unit_read(const struct nvl_root *rootfs, const char *name, struct nvl_unit *unit)
{
    struct reading r = {.rootfs = rootfs, .unit = unit};
    nvl_autofree char *file = nvl_xasprintf("%s" SUFFIX, name);
    nvl_auto(nvl_strv_clear) struct nvl_strv owners = {0};
    struct stat st;

    *unit = (struct nvl_unit){0};
    list_owners(file, &owners);
    for (size_t i = 0; i < NVL_LENGTH(unit_folders); i++) {
        nvl_autofree char *path = nvl_xasprintf("%s/%s", unit_folders[i], file);
        if (nvl_root_stat(rootfs, path, AT_SYMLINK_NOFOLLOW, &st) < 0) /* most are in none */
            continue;
        if (is_mask(rootfs, path))
            return false;
        if (!take_file(&r, path))
            continue;
        add_real_name(rootfs, path, file, &owners);
        take_dropins(&r, &owners);
        return true;
    }
    return false;
}

void nvl_unit_clear(struct nvl_unit *unit)
{
    for (size_t i = 0; i < unit->count; i++) {
        free(unit->items[i].value);
        free(unit->items[i].place);
    }
    free(unit->items);
    *unit = (struct nvl_unit){0};
}

/* ---- what it says ---- */

const struct nvl_unit_line *nvl_unit_last(const struct nvl_unit *unit, const char *key)
{
    for (size_t i = unit->count; i > 0; i--)
        if (strcmp(unit->items[i - 1].key, key) == 0)
            return unit->items[i - 1].value[0] != '\0' ? &unit->items[i - 1] : NULL;
    return NULL;
}

static bool is_word_of(const char *value, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcasecmp(value, words[i]) == 0)
            return true;
    return false;
}

const struct nvl_unit_line *nvl_unit_says_yes(const struct nvl_unit *unit, const char *key)
{
    static const char *const yes[] = {"1", "yes", "y", "true", "t", "on"}, *const no[] = {"0", "no",
                                                                                          "n", "false",
                                                                                          "f", "off"};
    const struct nvl_unit_line *says = NULL;

    for (size_t i = 0; i < unit->count; i++) {
        if (strcmp(unit->items[i].key, key) != 0)
            continue;
        if (is_word_of(unit->items[i].value, yes, NVL_LENGTH(yes)))
            says = &unit->items[i];
        else if (is_word_of(unit->items[i].value, no, NVL_LENGTH(no)))
            says = NULL;
    }
    return says;
}

const struct nvl_unit_line *nvl_unit_next(const struct nvl_unit *unit, const char *key, size_t *pos)
{
    for (size_t i = *pos; i < unit->count; i++) /* an empty line takes back those before it */
        if (strcmp(unit->items[i].key, key) == 0 && unit->items[i].value[0] == '\0')
            *pos = i + 1;
    while (*pos < unit->count) {
        const struct nvl_unit_line *line = &unit->items[(*pos)++];
        if (strcmp(line->key, key) == 0)
            return line;
    }
    return NULL;
}

void nvl_unit_words(const struct nvl_unit_line *line, struct nvl_strv *words)
{
    size_t before = words->count;

    nvl_strv_split(words, line->value, " \t");
    for (size_t i = before; i < words->count; i++) {
        char *word = words->items[i];
        size_t len = strlen(word);
        if (len >= 2 && (word[0] == '"' || word[0] == '\'') && word[len - 1] == word[0]) {
            memmove(word, word + 1, len - 2);
            word[len - 2] = '\0';
        }
    }
}
