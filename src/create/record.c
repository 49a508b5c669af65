/* The record's file. Root writes it, and it holds commands that root runs: nobody else may. */
#include "create/record.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <unistd.h>

#include "base/file.h"
#include "base/root.h"
#include "create/paths.h"

#define RECORD_MAX (1u << 20)

static const char *const done_words[] = {
    [NVL_DONE_NOT] = "no", [NVL_DONE_BEGUN] = "begun", [NVL_DONE] = "yes", [NVL_DONE_BEFORE] = "before"};

static char *record_path(const char *container)
{
    return nvl_xasprintf(NVL_CREATE_DIR "/%s.json", container);
}

void nvl_create_record_clear(struct nvl_create_record *record)
{
    for (size_t i = 0; i < record->count; i++) {
        free(record->steps[i].id);
        free(record->steps[i].command);
        free(record->steps[i].undo);
    }
    free(record->steps);
    free(record->container);
    free(record->template);
    free(record->config_path);
    *record = (struct nvl_create_record){0};
}

static void drop_record_json(json_t **value)
{
    json_decref(*value);
}

static char *read_text_of(json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? nvl_xstrdup(text) : NULL;
}

static bool take_recorded_step(json_t *object, struct nvl_create_record *record)
{
    const char *done = json_string_value(json_object_get(object, "done"));
    struct nvl_recorded_step *step = NVL_APPEND(record->steps, record->count);
    size_t i = 0;

    *step = (struct nvl_recorded_step){read_text_of(object, "id"), read_text_of(object, "command"),
                                       read_text_of(object, "undo"), NVL_DONE_NOT};
    while (i < NVL_LENGTH(done_words) && (done == NULL || strcmp(done_words[i], done) != 0))
        i++;
    step->done = (enum nvl_done)i;
    return step->id != NULL && step->command != NULL && i < NVL_LENGTH(done_words);
}

static bool parse_create_record(json_t *object, const char *container, struct nvl_create_record *record)
{
    json_t *steps = json_object_get(object, "steps"), *step;
    bool is_right = json_is_array(steps);
    size_t i;

    record->container = read_text_of(object, "container");
    record->template = read_text_of(object, "template");
    record->config_path = read_text_of(object, "config_path");
    record->is_lxc = json_is_true(json_object_get(object, "lxc"));
    json_array_foreach(steps, i, step) is_right = take_recorded_step(step, record) && is_right;
    return is_right && record->template != NULL && record->config_path != NULL && record->container != NULL &&
           strcmp(record->container, container) == 0;
}

/* A file that others can write is not believed: its lines would be run. */
static int check_owner(const struct nvl_root *root, const char *path, struct nvl_error *err)
{
    struct stat st;
    int r = nvl_root_stat(root, path, AT_SYMLINK_NOFOLLOW, &st);

    if (r == 0 && (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 0022) != 0))
        r = nvl_error_set(err, -EPERM, "%s is not believed: others can write it", path);
    return r;
}

int nvl_create_record_read(const struct nvl_root *root, const char *container,
                           struct nvl_create_record *record, struct nvl_error *err)
{
    nvl_autofree char *path = record_path(container), *text = NULL;
    json_error_t where;
    size_t len;

    *record = (struct nvl_create_record){0};
    if (container[0] == '.' || strchr(container, '/') != NULL)
        return -ENOENT;
    int r = check_owner(root, path, err);
    if (r == -ENOENT || r == -EPERM)
        return r;
    if (r == 0)
        r = nvl_root_read(root, path, RECORD_MAX, &text, &len);
    if (r < 0)
        return nvl_error_errno(err, r, "cannot read %s", path);
    nvl_auto(drop_record_json) json_t *object = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);
    if (object == NULL || !parse_create_record(object, container, record)) {
        nvl_error_set(err, -EINVAL, "%s is damaged, so what was made is not known", path);
        nvl_error_hint(err, "remove it, and the container if it is not wanted");
        return -EINVAL;
    }
    return 0;
}

static const char *step_command(const struct nvl_create_step *step)
{
    return step->command != NULL ? step->command : step->text;
}

void nvl_create_record_begin(const struct nvl_create_plan *plan, struct nvl_create_record *record)
{
    *record = (struct nvl_create_record){.container = nvl_xstrdup(plan->container),
                                         .template = nvl_xstrdup(plan->template),
                                         .config_path = nvl_xstrdup(plan->config_path),
                                         .is_lxc = plan->is_lxc};
    for (size_t i = 0; i < plan->count; i++)
        *NVL_APPEND(record->steps, record->count) = (struct nvl_recorded_step){
            nvl_xstrdup(plan->steps[i].id), nvl_xstrdup(step_command(&plan->steps[i])),
            plan->steps[i].undo != NULL ? nvl_xstrdup(plan->steps[i].undo) : NULL, NVL_DONE_NOT};
}

bool nvl_create_record_is(const struct nvl_create_record *record, const struct nvl_create_plan *plan)
{
    if (record->count != plan->count)
        return false;
    for (size_t i = 0; i < plan->count; i++)
        if (strcmp(record->steps[i].command, step_command(&plan->steps[i])) != 0)
            return false;
    return true;
}

static json_t *make_record_json(const struct nvl_create_record *record)
{
    json_t *steps = json_array();

    for (size_t i = 0; i < record->count; i++) {
        const struct nvl_recorded_step *step = &record->steps[i];
        json_t *object = json_pack("{s:s,s:s,s:s}", "id", step->id, "done", done_words[step->done], "command",
                                   step->command);
        if (step->undo != NULL)
            json_object_set_new(object, "undo", json_string(step->undo));
        json_array_append_new(steps, object);
    }
    return json_pack("{s:s,s:s,s:s,s:b,s:o}", "container", record->container, "template", record->template,
                     "config_path", record->config_path, "lxc", (int)record->is_lxc, "steps", steps);
}

int nvl_create_record_write(const struct nvl_root *root, const struct nvl_create_record *record,
                            struct nvl_error *err)
{
    nvl_autofree char *path = record_path(record->container);
    nvl_auto(drop_record_json) json_t *object = make_record_json(record);
    nvl_autofree char *text = json_dumps(object, JSON_INDENT(2));
    const char *name;

    if (text == NULL)
        return nvl_error_set(err, -EINVAL, "what create does is no text that JSON can hold");
    int r = nvl_root_make_folder(root, NVL_CREATE_DIR);
    if (r < 0)
        return nvl_error_errno(err, r, "cannot make %s", NVL_CREATE_DIR);
    nvl_autofd int folder = nvl_root_open_parent(root, path, &name);
    if (folder < 0)
        return nvl_error_errno(err, folder, "cannot open %s", NVL_CREATE_DIR);
    return nvl_file_replace(folder, name, text, strlen(text), NULL, err);
}

int nvl_create_record_remove(const struct nvl_root *root, const char *container, struct nvl_error *err)
{
    nvl_autofree char *path = record_path(container);
    const char *name;
    nvl_autofd int folder = nvl_root_open_parent(root, path, &name);

    if (folder < 0 || (unlinkat(folder, name, 0) < 0 && errno != ENOENT))
        return nvl_error_errno(err, folder < 0 ? folder : -errno, "cannot remove %s", path);
    return 0;
}
