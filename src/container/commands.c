/* Commands for people to type, for a single container. */
#include "container/commands.h"

#include "container/instance.h"

#define AS_USER "as that user: "

/* "-n web", plus the folder if LXC's tools would not look there by themselves: a user's own tools do. */
static char *lxc_arguments(const struct nvl_container *c)
{
    bool is_default = c->user != NULL || strcmp(c->lxcpath, "/var/lib/lxc") == 0;
    nvl_autofree char *name = nvl_shell_word(c->name), *path = nvl_shell_word(c->lxcpath);

    return is_default ? nvl_xasprintf("-n %s", name) : nvl_xasprintf("-P %s -n %s", path, name);
}

char *nvl_container_restart(const struct nvl_container *c)
{
    if (c->kind == NVL_CONTAINER_DAEMON)
        return nvl_instance_command(c->instance, "restart", NULL);
    if (c->kind == NVL_CONTAINER_PVE)
        return nvl_xasprintf("pct reboot %s", c->name);
    nvl_autofree char *which = lxc_arguments(c);
    return nvl_xasprintf("%slxc-stop %s && lxc-start %s", c->user != NULL ? AS_USER : "", which, which);
}

char *nvl_container_unfreeze(const struct nvl_container *c)
{
    if (c->kind == NVL_CONTAINER_DAEMON)
        return nvl_instance_command(c->instance, "start", NULL);
    if (c->kind == NVL_CONTAINER_PVE)
        return nvl_xasprintf("pct resume %s", c->name);
    nvl_autofree char *which = lxc_arguments(c);
    return nvl_xasprintf("%slxc-unfreeze %s", c->user != NULL ? AS_USER : "", which);
}

char *nvl_container_run_inside(const struct nvl_container *c, const char *command)
{
    if (c->kind == NVL_CONTAINER_DAEMON) {
        nvl_autofree char *rest = nvl_xasprintf("-- %s", command);
        return nvl_instance_command(c->instance, "exec", rest);
    }
    if (c->kind == NVL_CONTAINER_PVE)
        return nvl_xasprintf("pct exec %s -- %s", c->name, command);
    nvl_autofree char *which = lxc_arguments(c);
    return nvl_xasprintf("%slxc-attach %s -- %s", c->user != NULL ? AS_USER : "", which, command);
}

char *nvl_container_write_cdi(const struct nvl_container *c, const char *name)
{
    nvl_autofree char *word = nvl_shell_word(name);
    nvl_autofree char *inside =
        nvl_container_run_inside(c, "sh -c 'mkdir -p /etc/cdi && cat > /etc/cdi/nvlxc.json'");
    const char *who = nvl_has_prefix(inside, AS_USER) ? AS_USER : "";

    return nvl_xasprintf("%snvlxc cdi %s | %s", who, word, inside + strlen(who));
}

char *nvl_container_start(const struct nvl_container *c)
{
    nvl_autofree char *name = nvl_shell_word(c->name), *path = nvl_shell_word(c->lxcpath);

    if (c->kind == NVL_CONTAINER_DAEMON)
        return nvl_instance_command(c->instance, "start", NULL);
    if (c->kind == NVL_CONTAINER_PVE)
        return nvl_xasprintf("pct start %s", name);
    if (c->user != NULL)
        return nvl_xasprintf("as %s: lxc-start -n %s", c->user, name);
    return strcmp(c->lxcpath, "/var/lib/lxc") == 0 ? nvl_xasprintf("lxc-start -n %s", name)
                                                   : nvl_xasprintf("lxc-start -P %s -n %s", path, name);
}
