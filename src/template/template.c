/* Reads templates. Users may write them: each mistake is reported with its file and its place. */
#include "template/template.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <unistd.h>

#include "base/printable.h"
#include "grant/grant.h"

#define TEMPLATE_MAX (64u << 10)

static void drop_template_json(json_t **value)
{
    json_decref(*value);
}

/* Reads one file's object; the first error stays. */
struct reader {
    json_t *object;
    struct nvl_error *err;
    int r;
    struct nvl_strv known; /* keys that were asked for */
};

static json_t *take_value(struct reader *reader, const char *key, bool required)
{
    json_t *value = json_object_get(reader->object, key);

    nvl_strv_push(&reader->known, key);
    if (json_is_null(value))
        value = NULL;
    if (value == NULL && required && reader->r == 0)
        reader->r = nvl_error_set(reader->err, -EINVAL, "\"%s\" is missing", key);
    return value;
}

/* Whether the text may go into a line of a config, or onto a terminal. */
static bool is_line(const char *s)
{
    nvl_autofree char *printable = nvl_make_printable(nvl_xstrdup(s));

    return strcmp(printable, s) == 0 && strpbrk(s, "\n\t") == NULL;
}

static char *take_string(struct reader *reader, const char *key, bool required)
{
    json_t *value = take_value(reader, key, required);

    if (value == NULL || reader->r < 0)
        return NULL;
    if (!json_is_string(value) || json_string_length(value) == 0 || !is_line(json_string_value(value))) {
        reader->r = nvl_error_set(reader->err, -EINVAL, "\"%s\" is not a single-line text", key);
        return NULL;
    }
    return nvl_xstrdup(json_string_value(value));
}

static unsigned take_json_number(struct reader *reader, const char *key, bool required, unsigned otherwise,
                                 unsigned max)
{
    json_t *value = take_value(reader, key, required);

    if (value == NULL || reader->r < 0)
        return otherwise;
    if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > max) {
        reader->r =
            nvl_error_set(reader->err, -EINVAL, "\"%s\" is not a whole number from 0 to %u", key, max);
        return otherwise;
    }
    return (unsigned)json_integer_value(value);
}

static void take_list(struct reader *reader, const char *key, bool required, struct nvl_strv *list)
{
    json_t *value = take_value(reader, key, required), *item;
    size_t i;

    if (value == NULL || reader->r < 0)
        return;
    if (!json_is_array(value))
        reader->r = nvl_error_set(reader->err, -EINVAL, "\"%s\" is not a list", key);
    json_array_foreach(value, i, item)
    {
        if (!json_is_string(item) || !is_line(json_string_value(item)))
            reader->r = nvl_error_set(reader->err, -EINVAL,
                                      "\"%s\" contains something other than single-line texts", key);
        else
            nvl_strv_push(list, json_string_value(item));
    }
}

static bool consists_of(const char *s, const char *characters)
{
    return *s != '\0' && s[strspn(s, characters)] == '\0';
}

#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define UPPER  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

/* "nesting=1", "mount=nfs;cifs" */
static bool is_feature(const char *s)
{
    const char *equals = strchr(s, '=');
    nvl_autofree char *key = equals != NULL ? nvl_xstrndup(s, (size_t)(equals - s)) : NULL;

    return key != NULL && consists_of(key, LOWER "_") && consists_of(equals + 1, LOWER DIGITS ";");
}

/* "PATH=…" */
static bool is_variable_name(const char *s)
{
    const char *equals = strchr(s, '=');
    nvl_autofree char *key = equals != NULL ? nvl_xstrndup(s, (size_t)(equals - s)) : NULL;

    return key != NULL && consists_of(key, LOWER UPPER DIGITS "_");
}

static void check_list(struct reader *reader, const char *key, const struct nvl_strv *list,
                       bool (*is_right)(const char *), const char *form)
{
    for (size_t i = 0; i < list->count && reader->r == 0; i++)
        if (!is_right(list->items[i]))
            reader->r = nvl_error_set(reader->err, -EINVAL, "\"%s\": '%.100s' does not have the form %s", key,
                                      list->items[i], form);
}

/* A blank at an end is not seen when the line is shown, nor after it was copied. */
static bool is_trimmed(const char *s)
{
    return s[0] != '\0' && s[0] != ' ' && s[strlen(s) - 1] != ' ';
}

/* As Debian's useradd takes it. */
static bool is_user_name(const char *s)
{
    return strlen(s) <= 32 && strchr(LOWER "_", s[0]) != NULL && consists_of(s, LOWER DIGITS "_-");
}

/* A command line in which systemd replaces nothing, and which stays one. */
static bool is_service(const char *s)
{
    return s[0] == '/' && s[1] != ' ' && s[1] != '\0' && strpbrk(s, "%$\\;") == NULL && is_trimmed(s);
}

static bool is_url(const char *s)
{
    return (nvl_has_prefix(s, "http://") || nvl_has_prefix(s, "https://")) &&
           strstr(s, NVL_TEMPLATE_ADDRESS) != NULL &&
           consists_of(s, LOWER UPPER DIGITS "-._~:/?#[]@!$&'()*+,;=%");
}

/* What `create` does in the container, and what it says afterwards. */
static void check_installation(struct reader *reader, const struct nvl_template *t)
{
    static const char trimmed[] = "of a line without blanks at its ends";

    if (reader->r == 0 && t->install.count == 0 && t->image == NULL)
        reader->r =
            nvl_error_set(reader->err, -EINVAL, "\"install\" may be empty only if there is an \"image\"");
    check_list(reader, "install", &t->install, is_trimmed, trimmed);
    check_list(reader, "then", &t->then, is_trimmed, trimmed);
    if (reader->r == 0 && t->service != NULL && !is_service(t->service))
        reader->r =
            nvl_error_set(reader->err, -EINVAL,
                          "\"service\" is not a command line that begins with a program's absolute path "
                          "and has none of %%, $, ; and \\");
    if (reader->r == 0 && !is_user_name(t->user))
        reader->r = nvl_error_set(reader->err, -EINVAL, "\"user\" is not the name of a user");
    if (reader->r == 0 && t->url != NULL && !is_url(t->url))
        reader->r = nvl_error_set(reader->err, -EINVAL, "\"url\" does not have the form http://%s:8080",
                                  NVL_TEMPLATE_ADDRESS);
}

bool nvl_is_ostype(const char *word)
{
    static const char *const ostypes[] = {"alpine", "archlinux", "centos", "debian",   "devuan",   "fedora",
                                          "gentoo", "nixos",     "ubuntu", "opensuse", "unmanaged"};

    for (size_t i = 0; i < NVL_LENGTH(ostypes); i++)
        if (strcmp(word, ostypes[i]) == 0)
            return true;
    return false;
}

/* Words that go to Proxmox and the shell unquoted. */
static void check_words(struct reader *reader, const struct nvl_template *t)
{
    if (reader->r == 0 && !nvl_is_ostype(t->ostype))
        reader->r =
            nvl_error_set(reader->err, -EINVAL, "\"ostype\": Proxmox does not know '%.100s'", t->ostype);
    if (reader->r == 0 && !consists_of(t->os_template, LOWER DIGITS "-._"))
        reader->r =
            nvl_error_set(reader->err, -EINVAL, "\"os_template\" is not the name of a system template");
    if (reader->r == 0 && t->image != NULL && !consists_of(t->image, LOWER UPPER DIGITS "-._/:@"))
        reader->r = nvl_error_set(reader->err, -EINVAL, "\"image\" is not the name of an image");
    if (reader->r == 0 && (t->image == NULL) != (t->entrypoint == NULL))
        reader->r = nvl_error_set(reader->err, -EINVAL, "\"image\" and \"entrypoint\" belong together");
    check_list(reader, "features", &t->features, is_feature, "nesting=1");
    check_list(reader, "environment", &t->environment, is_variable_name, "NAME=value");
}

static void take_capabilities(struct reader *reader, struct nvl_template *t)
{
    nvl_autofree char *words = take_string(reader, "capabilities", true);

    if (reader->r < 0)
        return;
    reader->r = nvl_capabilities_parse(words, &t->capabilities, reader->err);
    if (reader->r < 0)
        nvl_error_prefix(reader->err, "\"capabilities\"");
}

static void check_keys(struct reader *reader)
{
    const char *key;
    json_t *value;

    json_object_foreach(reader->object, key, value)
    {
        if (reader->r == 0 && !nvl_strv_contains(&reader->known, key))
            reader->r = nvl_error_set(reader->err, -EINVAL, "unknown key \"%.100s\"", key);
    }
}

static void take_installation(struct reader *reader, struct nvl_template *t)
{
    take_list(reader, "install", true, &t->install);
    t->service = take_string(reader, "service", false);
    t->user = take_string(reader, "user", false);
    t->url = take_string(reader, "url", false);
    take_list(reader, "then", false, &t->then);
    if (t->user == NULL)
        t->user = nvl_xstrdup("root");
}

static void read_object(struct reader *reader, struct nvl_template *t)
{
    t->summary = take_string(reader, "summary", true);
    take_capabilities(reader, t);
    t->memory = take_json_number(reader, "memory", true, 0, 16u << 20);
    t->swap = take_json_number(reader, "swap", false, 512, 16u << 20);
    t->cores = take_json_number(reader, "cores", true, 0, 8192);
    t->disk = take_json_number(reader, "disk", true, 0, 1u << 20);
    t->ostype = take_string(reader, "ostype", false);
    t->os_template = take_string(reader, "os_template", false);
    take_list(reader, "features", false, &t->features);
    take_installation(reader, t);
    t->verify = take_string(reader, "verify", false);
    t->image = take_string(reader, "image", false);
    t->entrypoint = take_string(reader, "entrypoint", false);
    take_list(reader, "environment", false, &t->environment);
    if (t->ostype == NULL)
        t->ostype = nvl_xstrdup("debian");
    if (t->os_template == NULL)
        t->os_template = nvl_xstrdup("debian-13-standard");
    if (json_object_get(reader->object, "features") == NULL)
        nvl_strv_push(&t->features, "nesting=1");
    if (reader->r == 0 && (t->memory < 16 || t->cores == 0 || t->disk == 0))
        reader->r = nvl_error_set(reader->err, -EINVAL,
                                  "a container needs at least 16 MiB of \"memory\", and \"cores\" and "
                                  "\"disk\" above 0");
    check_words(reader, t);
    check_installation(reader, t);
    check_keys(reader);
}

int nvl_template_parse(struct nvl_template *t, const char *text, size_t len, struct nvl_error *err)
{
    json_error_t where;

    *t = (struct nvl_template){0};
    nvl_auto(drop_template_json) json_t *object = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);
    if (object == NULL)
        return nvl_error_set(err, -EINVAL, "line %d, column %d: %s", where.line, where.column, where.text);
    if (!json_is_object(object))
        return nvl_error_set(err, -EINVAL, "not a JSON object");
    struct reader reader = {.object = object, .err = err};
    read_object(&reader, t);
    nvl_strv_clear(&reader.known);
    if (reader.r < 0)
        nvl_template_clear(t);
    return reader.r;
}

static bool is_name(const char *name)
{
    return consists_of(name, LOWER DIGITS "-");
}

static int read_template_file(const struct nvl_root *root, const char *folder, const char *name,
                              struct nvl_template *t, struct nvl_error *err)
{
    nvl_autofree char *path = nvl_xasprintf("%s/%s.json", folder, name), *text = NULL;
    size_t len;

    *t = (struct nvl_template){0};
    int r = nvl_root_read(root, path, TEMPLATE_MAX, &text, &len);
    if (r < 0)
        return nvl_error_errno(err, r, "the template %s", path);
    r = nvl_template_parse(t, text, len, err);
    if (r < 0) {
        nvl_error_hint(err, "compare it with %s/ollama.json", NVL_TEMPLATES);
        nvl_error_exit(err, NVL_EXIT_FAILED); /* a file is wrong, not the command line */
        return nvl_error_prefix(err, "the template %s", path);
    }
    t->name = nvl_xstrdup(name);
    t->path = TAKE_PTR(path);
    return 0;
}

#define BUILT_PROGRAM "/src/cli/nvlxc" /* below the build folder, which lies in the checkout */

/* The administrator's folder, then the one that came with this program: for one that runs from a build its
 * checkout's. The caller frees each. */
static void make_folders(char *folders[2])
{
    char program[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    char *build = NULL, *checkout = NULL;

    program[n > 0 ? n : 0] = '\0';
    if (nvl_has_suffix(program, BUILT_PROGRAM)) {
        build = nvl_xstrndup(program, strlen(program) - strlen(BUILT_PROGRAM));
        checkout = nvl_xasprintf("%.*s/data/templates", (int)(strrchr(build, '/') - build), build);
    }
    folders[0] = nvl_xstrdup(NVL_TEMPLATES_LOCAL);
    folders[1] =
        checkout != NULL && access(checkout, R_OK) == 0 ? nvl_xstrdup(checkout) : nvl_xstrdup(NVL_TEMPLATES);
    free(build);
    free(checkout);
}

/* Where templates are sought. */
struct places {
    const struct nvl_root *root;
    struct nvl_root machine; /* if it was opened for this */
    char *folders[2];
};

static void places_clear(struct places *p)
{
    if (p->root == &p->machine)
        nvl_root_close(&p->machine);
    for (size_t i = 0; i < NVL_LENGTH(p->folders); i++)
        free(p->folders[i]);
}

static int find_places(const struct nvl_root *root, struct places *p, struct nvl_error *err)
{
    int r = 0;

    make_folders(p->folders);
    p->root = root;
    if (root == NULL) {
        r = nvl_root_open(&p->machine, "/", err);
        p->root = &p->machine;
    }
    return r;
}

/* The names in both folders, sorted, each once. */
static int list_names(const struct places *p, struct nvl_strv *names, struct nvl_error *err)
{
    for (size_t f = 0; f < NVL_LENGTH(p->folders); f++) {
        nvl_auto(nvl_strv_clear) struct nvl_strv files = {0};
        int r = nvl_root_list(p->root, p->folders[f], &files);
        if (r < 0 && r != -ENOENT)
            return nvl_error_errno(err, r, "the templates in %s", p->folders[f]);
        for (size_t i = 0; i < files.count; i++) {
            if (!nvl_has_suffix(files.items[i], ".json"))
                continue;
            nvl_autofree char *name = nvl_xstrndup(files.items[i], strlen(files.items[i]) - strlen(".json"));
            if (is_name(name))
                nvl_strv_push_once(names, name);
        }
    }
    nvl_strv_sort(names);
    return 0;
}

/* The folder whose file of that name takes precedence; NULL for none. */
static const char *template_folder(const struct places *p, const char *name)
{
    for (size_t f = 0; f < NVL_LENGTH(p->folders); f++) {
        nvl_autofree char *path = nvl_xasprintf("%s/%s.json", p->folders[f], name);
        if (nvl_root_exists(p->root, path))
            return p->folders[f];
    }
    return NULL;
}

int nvl_templates_read(const struct nvl_root *root, struct nvl_templates *templates,
                       struct nvl_strv *problems, struct nvl_error *err)
{
    nvl_auto(places_clear) struct places p = {0};
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    *templates = (struct nvl_templates){0};
    int r = find_places(root, &p, err);
    if (r == 0)
        r = list_names(&p, &names, err);
    for (size_t i = 0; i < names.count && r == 0; i++) {
        struct nvl_error one = {0};
        struct nvl_template t;
        const char *folder = template_folder(&p, names.items[i]);
        if (folder == NULL || read_template_file(p.root, folder, names.items[i], &t, &one) < 0)
            nvl_strv_push(problems, folder != NULL ? one.message : names.items[i]);
        else
            *NVL_APPEND(templates->items, templates->count) = t;
    }
    return r;
}

int nvl_template_find(const struct nvl_root *root, const char *name, struct nvl_template *t,
                      struct nvl_error *err)
{
    nvl_auto(places_clear) struct places p = {0};
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    *t = (struct nvl_template){0};
    int r = find_places(root, &p, err);
    if (r < 0)
        return r;
    const char *folder = is_name(name) ? template_folder(&p, name) : NULL;
    if (folder != NULL)
        return read_template_file(p.root, folder, name, t, err);
    nvl_error_usage(err, "unknown template '%.100s'", name);
    if (list_names(&p, &names, NULL) == 0 && names.count > 0) {
        nvl_autofree char *list = nvl_strv_join(&names, ", ");
        nvl_error_hint(err, "templates: %s", list);
    } else {
        nvl_error_hint(err, "%s and %s contain no template", p.folders[0], p.folders[1]);
    }
    if (err != NULL)
        err->code = -ENOENT;
    return -ENOENT;
}

void nvl_template_clear(struct nvl_template *t)
{
    free(t->name);
    free(t->path);
    free(t->summary);
    free(t->ostype);
    free(t->os_template);
    free(t->service);
    free(t->user);
    free(t->url);
    free(t->verify);
    free(t->image);
    free(t->entrypoint);
    nvl_strv_clear(&t->features);
    nvl_strv_clear(&t->install);
    nvl_strv_clear(&t->then);
    nvl_strv_clear(&t->environment);
    *t = (struct nvl_template){0};
}

void nvl_templates_clear(struct nvl_templates *templates)
{
    for (size_t i = 0; i < templates->count; i++)
        nvl_template_clear(&templates->items[i]);
    free(templates->items);
    *templates = (struct nvl_templates){0};
}
