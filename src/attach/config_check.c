/* What in a config keeps it from getting a grant. */
#include "attach/config_check.h"

#include <errno.h>

#include "container/hook_environment.h"

static int refuse_included(const struct nvl_target *target, const struct nvl_setting *s,
                           struct nvl_error *err)
{
    nvl_autofree char *text = nvl_setting_text(&target->effective, s);

    nvl_error_set(err, -EEXIST, "a file that the config includes gives %s NVIDIA devices or files: %.200s",
                  target->name, text);
    nvl_error_hint(
        err,
        "nvlxc does not edit included files, others may use them too: remove the line there, or the "
        "line of %s that includes %s",
        target->container->config_path, s->file);
    return -EEXIST;
}

static int refuse_danger(const struct nvl_target *target, const struct nvl_hook_danger *danger,
                         struct nvl_error *err)
{
    nvl_autofree char *text = nvl_setting_text(&target->effective, danger->setting);

    nvl_error_set(
        err, -EPERM,
        "%.200s: %s; LXC sets this for the host's shell that runs the hooks, so with a hook the container's "
        "code would run on the host",
        text, danger->why);
    nvl_error_hint(err, "%s", nvl_hook_danger_fix);
    return -EPERM;
}

int nvl_config_check(const struct nvl_root *root, const struct nvl_target *target, struct nvl_error *err)
{
    nvl_auto(nvl_hook_dangers_clear) struct nvl_hook_dangers dangers = {0};
    const struct nvl_setting *included = nvl_effective_foreign_file(&target->effective);

    if (target->incomplete.code < 0) {
        *err = target->incomplete;
        return err->code;
    }
    nvl_hook_dangers_find(root, target->container, &target->effective, &dangers);
    if (dangers.count > 0)
        return refuse_danger(target, &dangers.items[0], err);
    return included != NULL ? refuse_included(target, included, err) : 0;
}
