/* Writes a plan by way of the daemon that keeps the config. */
#include "apply/commit_instance.h"

#include <errno.h>

#include "base/visit.h"
#include "container/container.h"
#include "container/instances.h"
#include "plan/plan.h"

/* Somebody may change other keys without a pause. */
#define ROUNDS 50

/* The programs of LXD's snap see none of the host's files where they are: neither the hook, nor the bundles. */
static int refuse_snap(const struct nvl_container *c, struct nvl_error *err)
{
    nvl_error_host(err, -EOPNOTSUPP,
                   "%s is a container of LXD's snap, whose containers start where nvlxc's hook is out of sight; "
                   "nothing was written",
                   c->name);
    nvl_error_hint(err, "use Incus, or LXD of a Debian package");
    return -EOPNOTSUPP;
}

static int is_unchanged(const struct nvl_config *base, const struct nvl_instance *now, struct nvl_error *err)
{
    if (strlen(now->raw) == base->len && memcmp(now->raw, base->text, base->len) == 0 &&
        nvl_instance_is_same(now, base->instance))
        return 0;
    nvl_error_set(err, -EAGAIN, "%s changed since it was read; nothing was written", now->text);
    nvl_error_hint(err, "see what writes it all the time, then run the command again");
    return -EAGAIN;
}

/* 0 if the daemon took it, 1 if another key changed at that moment. */
static int try_to_write(const struct nvl_root *root, const struct nvl_config *base,
                        const struct nvl_plan *plan, struct nvl_error *err)
{
    struct nvl_instance *now = NULL;
    nvl_autofree char *etag = NULL;

    int r = nvl_instance_read(root, base->instance, &now, &etag, err);
    if (r < 0)
        return r;
    r = is_unchanged(base, now, err);
    if (r == 0) {
        nvl_visit_writes();
        r = nvl_instance_write(root, now, etag, plan->text, err);
        r = r == -EAGAIN ? 1 : r;
    }
    nvl_instance_free(now);
    return r;
}

int nvl_commit_instance(const struct nvl_root *root, const struct nvl_container *c,
                        const struct nvl_config *base, const struct nvl_plan *plan, struct nvl_error *err)
{
    int r = c->instance->daemon->is_snap ? refuse_snap(c, err) : 1;

    for (unsigned round = 0; r == 1 && round < ROUNDS; round++)
        r = try_to_write(root, base, plan, err);
    if (r == 1) {
        nvl_error_set(err, -EBUSY, "%s: other keys of the instance change all the time; nothing was written",
                      c->config_path);
        nvl_error_hint(err, "see what changes them, then run the command again");
        return -EBUSY;
    }
    return r < 0 ? nvl_error_prefix(err, "%s", c->config_path) : 0;
}
