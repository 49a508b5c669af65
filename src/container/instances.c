/* Asks Incus and LXD for their instances, and changes one. */
#include "container/instances.h"

#include <errno.h>

#include "base/error.h"
#include "base/root.h"
#include "base/text.h"
#include "container/list.h"

/* ---- all of them ---- */

static bool is_of_folder(const struct nvl_container_folder *folder, const struct nvl_instance *instance)
{
    return folder->daemon == instance->daemon && strcmp(folder->project, instance->project) == 0 &&
           (folder->node == NULL) == (instance->node == NULL) &&
           (folder->node == NULL || strcmp(folder->node, instance->node) == 0);
}

/* An entry belongs to the last folder: the answer lists the instances by project. */
static void take_instance(struct nvl_containers *all, bool cluster, struct nvl_instance *instance)
{
    if (all->n_folders == 0 || all->folders[all->n_folders - 1].daemon == NULL ||
        !is_of_folder(&all->folders[all->n_folders - 1], instance)) {
        nvl_autofree char *lxcpath = nvl_daemon_lxcpath(instance->daemon);
        struct nvl_container_folder *folder =
            nvl_containers_add_folder(all, NVL_CONTAINER_DAEMON, lxcpath, NULL, instance->node);
        folder->daemon = instance->daemon;
        folder->project = nvl_xstrdup(instance->project);
        folder->is_elsewhere = instance->node != NULL && !cluster;
    }
    nvl_containers_add_instance(all, instance);
}

static int compare_instances(const void *a, const void *b)
{
    const struct nvl_instance *x = *(struct nvl_instance *const *)a, *y = *(struct nvl_instance *const *)b;
    int order = strcmp(x->project, y->project);

    if (order == 0)
        order = strcmp(x->node != NULL ? x->node : "", y->node != NULL ? y->node : "");
    return order != 0 ? order : strcmp(x->name, y->name);
}

static void take_answers(struct nvl_instance_context *context, const json_t *answers, bool cluster,
                         struct nvl_containers *all)
{
    nvl_autofree struct nvl_instance **made = NULL;
    const json_t *answer;
    size_t i, n = 0;

    json_array_foreach(answers, i, answer)
    {
        struct nvl_instance *instance = nvl_instance_make(context, answer);
        if (instance != NULL)
            *NVL_APPEND(made, n) = instance;
    }
    if (n > 1)
        qsort(made, n, sizeof *made, compare_instances);
    for (i = 0; i < n; i++)
        take_instance(all, cluster, made[i]);
}

/* Whoever may not ask has no container there to work on. */
static void find_instances(const struct nvl_root *root, const struct nvl_daemon *daemon, bool cluster,
                           struct nvl_containers *all)
{
    nvl_auto(nvl_instance_context_clear) struct nvl_instance_context context = {.root = root,
                                                                                .daemon = daemon};
    nvl_auto(nvl_answer_clear) struct nvl_answer answer = {0};
    struct nvl_error err = {0};

    nvl_strv_push(&all->looked, daemon->title);
    int r = nvl_daemon_get(root, daemon, "/1.0/instances?recursion=1&all-projects=true", &answer, &err);
    if (r == 0)
        take_answers(&context, answer.metadata, cluster, all);
    else if (r != -EACCES && r != -EPERM)
        nvl_strv_pushf(&all->unread, "%s; %s", err.message, err.hint);
}

void nvl_instances_find(const struct nvl_root *root, bool cluster, struct nvl_containers *all)
{
    for (size_t i = 0; i < nvl_n_daemons; i++) {
        const struct nvl_daemon *daemon = &nvl_daemons[i];
        int r = nvl_daemon_is_used(root, daemon);
        if (r == 1)
            find_instances(root, daemon, cluster, all);
        else if (r < 0 && r != -EACCES)
            nvl_strv_pushf(&all->unread, "cannot tell whether %s has containers: %s: %s", daemon->title,
                           daemon->folder, strerror(-r));
    }
}

/* ---- one of them ---- */

static char *path_of(const struct nvl_instance *instance, const char *below)
{
    nvl_autofree char *name = nvl_api_word(instance->name), *project = nvl_api_word(instance->project);

    return nvl_xasprintf("/1.0/instances/%s%s?project=%s", name, below, project);
}

static int is_gone(const struct nvl_instance *instance, struct nvl_error *err)
{
    nvl_error_set(err, -ENOENT, "%s has no such container any more: somebody removed it (%s)",
                  instance->daemon->title, instance->text);
    return -ENOENT;
}

int nvl_instance_read(const struct nvl_root *root, const struct nvl_instance *instance,
                      struct nvl_instance **now, char **etag, struct nvl_error *err)
{
    nvl_auto(nvl_instance_context_clear) struct nvl_instance_context context = {.root = root,
                                                                                .daemon = instance->daemon};
    nvl_auto(nvl_answer_clear) struct nvl_answer answer = {0};
    nvl_autofree char *path = path_of(instance, "");

    int r = nvl_instance_read_profiles(&context, instance->project, err);
    if (r == 0)
        r = nvl_daemon_get(root, instance->daemon, path, &answer, err);
    if (r == -ENXIO)
        return is_gone(instance, err);
    if (r < 0)
        return r;
    *now = answer.etag != NULL ? nvl_instance_make(&context, answer.metadata) : NULL;
    if (*now == NULL)
        return nvl_error_host(err, -EPROTO, "%s tells of %s, but not what nvlxc needs to know",
                              instance->daemon->title, instance->text);
    nvl_instance_set_profile_raw(&context, answer.metadata, *now);
    *etag = TAKE_PTR(answer.etag);
    return 0;
}

/* But for line ends at its end, which plans add. */
static bool is_same_text(const char *a, const char *b)
{
    size_t x = strlen(a), y = strlen(b);

    while (x > 0 && a[x - 1] == '\n')
        x--;
    while (y > 0 && b[y - 1] == '\n')
        y--;
    return x == y && memcmp(a, b, x) == 0;
}

int nvl_instance_write(const struct nvl_root *root, const struct nvl_instance *instance, const char *etag,
                       const char *text, struct nvl_error *err)
{
    nvl_autofree char *path = path_of(instance, "");
    bool is_profiles = instance->profile_raw != NULL && instance->profile_raw[0] != '\0' &&
                       is_same_text(text, instance->profile_raw);
    json_t *body = json_pack("{s:{s:s}}", "config", "raw.lxc", is_profiles ? "" : text);

    if (body == NULL)
        return nvl_error_set(err, -EILSEQ, "%s would not be UTF-8, which %s takes alone", instance->text,
                             instance->daemon->title);
    int r = nvl_daemon_patch(root, instance->daemon, path, etag, body, err);
    json_decref(body);
    return r == -ENXIO ? is_gone(instance, err) : r;
}

int nvl_instance_init(const struct nvl_root *root, const struct nvl_instance *instance, struct nvl_error *err)
{
    nvl_auto(nvl_answer_clear) struct nvl_answer answer = {0};
    nvl_autofree char *path = path_of(instance, "/state");

    int r = nvl_daemon_get(root, instance->daemon, path, &answer, err);
    if (r < 0)
        return r == -ENXIO ? is_gone(instance, err) : r;
    json_int_t pid = json_integer_value(json_object_get(answer.metadata, "pid"));
    if (pid <= 1 || pid > INT32_MAX)
        return nvl_error_set(err, -ESRCH, "%s says that it is not running", instance->daemon->title);
    return (int)pid;
}
