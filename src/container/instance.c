/* An instance of Incus or LXD, as its daemon told of it. */
#include "container/instance.h"

#include "base/text.h"
#include "container/daemon.h"

#define DEFAULT_PROJECT "default"

void nvl_instance_free(struct nvl_instance *instance)
{
    if (instance == NULL)
        return;
    for (size_t i = 0; i < instance->n_parts; i++) {
        free(instance->parts[i].source);
        free(instance->parts[i].removal);
        free(instance->parts[i].lines);
    }
    free(instance->parts);
    free(instance->project);
    free(instance->name);
    free(instance->node);
    free(instance->raw);
    free(instance->profile_raw);
    free(instance->text);
    free(instance);
}

bool nvl_instance_is_same(const struct nvl_instance *a, const struct nvl_instance *b)
{
    bool is_same = a->n_parts == b->n_parts;

    for (size_t i = 0; is_same && i < a->n_parts; i++)
        is_same = strcmp(a->parts[i].source, b->parts[i].source) == 0 &&
                  strcmp(a->parts[i].lines, b->parts[i].lines) == 0;
    return is_same;
}

static bool is_in_default(const struct nvl_instance *instance)
{
    return strcmp(instance->project, DEFAULT_PROJECT) == 0;
}

char *nvl_instance_lxc_name(const struct nvl_instance *instance)
{
    return is_in_default(instance) ? nvl_xstrdup(instance->name)
                                   : nvl_xasprintf("%s_%s", instance->project, instance->name);
}

char *nvl_instance_owner(const struct nvl_instance *instance)
{
    const char *daemon = instance->daemon->name;

    return is_in_default(instance) ? nvl_xstrdup(daemon) : nvl_xasprintf("%s/%s", daemon, instance->project);
}

char *nvl_instance_command(const struct nvl_instance *instance, const char *verb, const char *rest)
{
    nvl_autofree char *name = nvl_shell_word(instance->name), *project = nvl_shell_word(instance->project);

    return nvl_xasprintf("%s %s%s%s %s%s%s", instance->daemon->client, verb,
                         is_in_default(instance) ? "" : " --project ", is_in_default(instance) ? "" : project,
                         name, rest != NULL ? " " : "", rest != NULL ? rest : "");
}
