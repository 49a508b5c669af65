/* The start hook's entry point: which hook is called, for which container; at the end one line for the log,
 * and whether the start goes on. Source of arguments and variables: lxc.container.conf(5), 'CONTAINER HOOKS',
 * both hook versions. */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include "base/file.h"
#include "base/records.h"
#include "base/root.h"
#include "hook/hook.h"
#include "inject/outcome.h"

static char *take_variable(const char *name)
{
    const char *value = getenv(name);

    return value != NULL ? nvl_xstrdup(value) : NULL;
}

/* The config's line gives the delivery of the grant first, then liblxc adds its own: version 0 the arguments
 * NAME, "lxc", TYPE; version 1 none, but LXC_HOOK_TYPE. */
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
    call->gpus = take_variable(NVL_ENV_GPUS);
    call->capabilities = take_variable(NVL_ENV_CAPABILITIES);
    clearenv();
}

static void clear_hook_call(struct nvl_hook_call *call)
{
    free(call->type);
    free(call->container);
    free(call->rootfs_mount);
    free(call->config);
    free(call->devices);
    free(call->gpus);
    free(call->capabilities);
}

static void add_part(struct nvl_buf *line, const char *label, const struct nvl_strv *part)
{
    if (part->count == 0)
        return;
    nvl_autofree char *text = nvl_strv_join(part, ", ");
    nvl_buf_addf(line, "%s%s", label, text);
}

/* syslog(3) would read the time zone's file first. If there is no log, liblxc's log has the line. */
static int connect_log(void)
{
    static const struct sockaddr_un log = {.sun_family = AF_UNIX, .sun_path = _PATH_LOG};
    nvl_autofd int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    return fd >= 0 && connect(fd, (const struct sockaddr *)&log, sizeof log) == 0 ? TAKE_FD(fd) : -1;
}

/* One datagram without a time: the receiver stamps it. */
static void send_to_log(int log, int priority, const char *text)
{
    nvl_autofree char *message =
        nvl_xasprintf("<%d>nvlxc[%d]: %s", LOG_DAEMON | priority, (int)getpid(), text);

    if (log >= 0)
        send(log, message, strlen(message), MSG_NOSIGNAL);
}

/* NULL if there is nothing to say; the caller frees. */
static char *format_line(const struct nvl_outcome *outcome, const char *container, bool is_start_refused)
{
    struct nvl_buf line = {0};

    if (outcome->done.count + outcome->problems.count + outcome->notes.count == 0)
        return NULL;
    nvl_buf_addf(&line, "%s", container);
    if (is_start_refused)
        nvl_buf_addf(&line, ": the start is refused, since the GPU is required");
    add_part(&line, ": ", &outcome->done);
    add_part(&line, outcome->done.count > 0 ? "; but: " : ": ", &outcome->problems);
    add_part(&line, "; note: ", &outcome->notes);
    for (size_t i = 0; i < line.len; i++)
        if ((unsigned char)line.data[i] < ' ' || line.data[i] == 0x7f)
            line.data[i] = '?';
    return nvl_buf_take(&line);
}

/* Returns the line, for stdout; the caller frees. */
static char *log_outcome(int log, const struct nvl_outcome *outcome, const char *container,
                         bool is_start_refused)
{
    char *line = format_line(outcome, container, is_start_refused);

    if (line != NULL)
        send_to_log(log, outcome->problems.count > 0 ? LOG_WARNING : LOG_INFO, line);
    return line;
}

/* One line to the system log (tag nvlxc) and to stdout, which liblxc copies to its own log: "web: done, done;
 * but: problem; note: note". Control characters are replaced. No line if there is nothing to say. */
static void say_outcome(int log, const struct nvl_outcome *outcome, const char *container,
                        bool is_start_refused)
{
    nvl_autofree char *line = log_outcome(log, outcome, container, is_start_refused);

    if (line == NULL)
        return;
    nvl_autofree char *copy = nvl_xasprintf("nvlxc: %s\n", line);
    nvl_fd_write(STDOUT_FILENO, copy, strlen(copy));
}

/* The same for nvlxc itself: the line to the system log, and the outcome as records to stdout, even if there
 * is nothing to say. */
static void send_outcome(int log, const struct nvl_outcome *outcome, const char *container)
{
    nvl_autofree char *line = log_outcome(log, outcome, container, false);
    nvl_auto(nvl_buf_clear) struct nvl_buf records = {0};

    nvl_outcome_record(outcome, &records);
    nvl_records_send(STDOUT_FILENO, &records);
}

static void dispatch_call(const struct nvl_hook_call *call, struct nvl_outcome *outcome)
{
    nvl_auto(nvl_root_close) struct nvl_root host = NVL_ROOT_NONE;
    struct nvl_error err;

    if (nvl_root_open(&host, "/", &err) < 0) {
        nvl_strv_push(&outcome->problems, err.message);
        return;
    }
    nvl_root_watch(&host, false);
    if (call->type != NULL && strcmp(call->type, "mount") == 0)
        nvl_hook_mount(call, &host, outcome);
    else if (call->type != NULL && strcmp(call->type, "pre-start") == 0)
        nvl_hook_pre_start(call, &host, outcome);
    else if (call->type != NULL && strcmp(call->type, "prepare") == 0)
        nvl_hook_prepare(&host, outcome);
    else
        nvl_strv_pushf(&outcome->problems,
                       "called as unknown hook '%s': use lxc.hook.pre-start and lxc.hook.mount",
                       call->type != NULL ? call->type : "");
    if (nvl_root_trouble(&host, &err) < 0)
        nvl_strv_push(&outcome->problems, err.message);
}

int main(int argc, char **argv)
{
    nvl_auto(clear_hook_call) struct nvl_hook_call call = {0};
    nvl_auto(nvl_outcome_clear) struct nvl_outcome outcome = {0};

    bool as_records = argc > 1 && strcmp(argv[1], NVL_HOOK_RECORDS) == 0; /* nvlxc itself calls */

    close_range(3, ~0U, 0);
    umask(022);
    read_call(argc - as_records, argv + as_records, &call);
    call.log = connect_log();
    nvl_oom_status = call.delivery.required ? EXIT_FAILURE : EXIT_SUCCESS;

    dispatch_call(&call, &outcome);
    /* pre-start prepares; the mount hook decides whether the container has what it was granted */
    bool is_refused = call.delivery.required && outcome.problems.count > 0 && call.type != NULL &&
                      strcmp(call.type, "mount") == 0;
    const char *container = call.container != NULL ? call.container : "?";
    if (as_records)
        send_outcome(call.log, &outcome, container);
    else
        say_outcome(call.log, &outcome, container, is_refused);
    return is_refused ? EXIT_FAILURE : EXIT_SUCCESS;
}
