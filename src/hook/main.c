/* The start hook's way in: who calls, for which container; at the end one line for the log, and whether the
 * start goes on. Source of arguments and variables: lxc.container.conf(5), 'CONTAINER HOOKS', both hook
 * versions. */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hook/hook.h"

static char *take_variable(const char *name)
{
    const char *value = getenv(name);

    return value != NULL ? nvl_xstrdup(value) : NULL;
}

/* The config's line gives how the grant is carried out, then liblxc its own: version 0 the arguments NAME,
 * "lxc", TYPE; version 1 none, and LXC_HOOK_TYPE. */
static void read_call(int argc, char **argv, struct nvl_hook_call *call)
{
    int first = 1;

    while (first < argc && nvl_delivery_take_argument(&call->delivery, argv[first]))
        first++;
    if (argc == 2 && strcmp(argv[1], "--prepare") == 0) { /* nvlxc-boot.service */
        call->type = nvl_xstrdup("prepare");
        call->container = nvl_xstrdup("host");
        clearenv();
        return;
    }
    bool has_arguments = argc - first >= 3;
    call->type = has_arguments ? nvl_xstrdup(argv[first + 2]) : take_variable("LXC_HOOK_TYPE");
    call->container = has_arguments ? nvl_xstrdup(argv[first]) : take_variable("LXC_NAME");
    call->config = take_variable("LXC_CONFIG_FILE");
    call->rootfs_mount = take_variable("LXC_ROOTFS_MOUNT");
    call->devices = take_variable(NVL_ENV_DEVICES);
    call->capabilities = take_variable(NVL_ENV_CAPABILITIES);
    clearenv();
}

static void clear_call(struct nvl_hook_call *call)
{
    free(call->type);
    free(call->container);
    free(call->rootfs_mount);
    free(call->config);
    free(call->devices);
    free(call->capabilities);
}

static void dispatch(const struct nvl_hook_call *call, struct nvl_report *report)
{
    nvl_auto(nvl_root_close) struct nvl_root host = NVL_ROOT_NONE;
    struct nvl_error err;

    if (nvl_root_open(&host, "/", &err) < 0)
        nvl_strv_push(&report->problems, err.message);
    else if (call->type != NULL && strcmp(call->type, "mount") == 0)
        nvl_hook_mount(call, &host, report);
    else if (call->type != NULL && strcmp(call->type, "pre-start") == 0)
        nvl_hook_pre_start(call, &host, report);
    else if (call->type != NULL && strcmp(call->type, "prepare") == 0)
        nvl_hook_prepare(&host, report);
    else
        nvl_strv_pushf(&report->problems,
                       "called as hook '%s': only lxc.hook.pre-start and lxc.hook.mount are known",
                       call->type != NULL ? call->type : "");
}

int main(int argc, char **argv)
{
    nvl_auto(clear_call) struct nvl_hook_call call = {0};
    nvl_auto(nvl_report_clear) struct nvl_report report = {0};

    close_range(3, ~0U, 0);
    umask(022);
    read_call(argc, argv, &call);
    nvl_oom_status = call.delivery.required ? EXIT_FAILURE : EXIT_SUCCESS;

    dispatch(&call, &report);
    /* pre-start prepares; whether the container has what it was granted is decided where it is mounted */
    bool is_refused = call.delivery.required && report.problems.count > 0 && call.type != NULL &&
                      strcmp(call.type, "mount") == 0;
    nvl_report_send(&report, call.container != NULL ? call.container : "?", is_refused);
    return is_refused ? EXIT_FAILURE : EXIT_SUCCESS;
}
