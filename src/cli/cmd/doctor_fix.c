/* doctor --fix: the fixes that are nvlxc's own and safe. It shows, asks, runs. What it runs is what doctor
 * prints, by a shell, so that one is as right as the other. */
#include "cli/doctor_fix.h"

#include <errno.h>
#include <regex.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fix.h"
#include "base/run.h"
#include "cli/ask.h"
#include "cli/command.h"
#include "doctor/check.h"
#include "doctor/diagnose.h"

/* ---- which fixes are nvlxc's own ---- */

#define NODE "/dev/nvidia[a-z0-9-]*(/nvidia-cap[0-9]+)?"

/* As its own checks word them, each as a whole: a fix may quote what a user wrote. */
static const char *const own_commands[] = {
    "nvlxc attach [A-Za-z0-9._/-]+( --(gpu|capabilities|nodes|libraries|with) [A-Za-z0-9,:.=/-]+| "
    "--(required|exclusive|cdi))*",
    "nvlxc driver (sync|prune)",
    "nvidia-modprobe( -[a-z]| [0-9]+)+",
    "modprobe nvidia-uvm",
    "mknod -m 0[0-7]{3} " NODE
    " c ([0-9]+|\\$\\(awk '\\$2 == \"nvidia-uvm\" \\{ print \\$1 \\}' /proc/devices\\)) [0-9]+",
    "mkdir -p /dev/nvidia-caps",
    "chmod 0[0-7]{3} " NODE,
    "rm -f " NODE,
    "udevadm trigger --subsystem-match=drm --action=add",
    "systemctl enable( --now)? nvlxc-[a-z]+\\.(service|path|timer)",
};

static bool has_form(const char *command, const char *form)
{
    nvl_autofree char *whole = nvl_xasprintf("^(%s)$", form);
    regex_t regex;

    if (regcomp(&regex, whole, REG_EXTENDED | REG_NOSUB) != 0)
        return false;
    bool has = regexec(&regex, command, 0, NULL, 0) == 0;
    regfree(&regex);
    return has;
}

/* A placeholder is for a person to fill in. */
static bool is_own_command(const char *command)
{
    if (strstr(command, "UUID") != NULL)
        return false;
    for (size_t i = 0; i < NVL_LENGTH(own_commands); i++)
        if (has_form(command, own_commands[i]))
            return true;
    return false;
}

/* Appends the commands of a fix if each is one of: making device nodes and their modes,
 * loading nvidia-uvm, making bundles, attaching again, enabling nvlxc's units. False if one is not, or if the
 * fix leaves something for a person to do or to choose: then nothing is appended. Packages, reboots, other
 * programs' files and running containers are never touched. */
static bool take_own_fix(const char *fix, struct nvl_strv *commands)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv found = {0};
    struct nvl_fix_line line;
    bool is_whole = true;

    while (is_whole && nvl_next_fix_line(&fix, &line)) {
        is_whole = line.text == NULL && is_own_command(line.command);
        if (is_whole)
            nvl_strv_push(&found, line.command);
        nvl_fix_line_clear(&line);
    }
    for (size_t i = 0; is_whole && i < found.count; i++)
        nvl_strv_push(commands, found.items[i]);
    return is_whole && found.count > 0;
}

/* ---- carrying them out ---- */

static int check_fixable(const struct nvl_context *ctx, bool yes, struct nvl_error *err)
{
    if (!nvl_root_is_machine(&ctx->root) || ctx->json)
        return nvl_error_usage(
            err, "doctor: --fix changes this machine, so it goes with neither --root nor --json");
    if (geteuid() != 0) {
        nvl_error_set(err, -EPERM, "only root can carry out fixes");
        nvl_error_hint(err, "sudo nvlxc doctor --fix");
        return -EPERM;
    }
    if (!yes && !nvl_can_ask()) {
        nvl_error_usage(err, "doctor --fix asks before each fix, and there is no terminal");
        nvl_error_hint(err, "without questions: nvlxc doctor --fix --yes");
        return -EINVAL;
    }
    return 0;
}

/* A fix says "nvlxc": where none is installed, it is this program. */
static void find_own_program(void)
{
    nvl_autofree char *self = realpath("/proc/self/exe", NULL);
    char *name = self != NULL ? strrchr(self, '/') : NULL;

    if (name == NULL || strcmp(name, "/nvlxc") != 0)
        return;
    *name = '\0';
    const char *path = getenv("PATH");
    nvl_autofree char *all =
        nvl_xasprintf("%s:%s", path != NULL ? path : "/usr/sbin:/usr/bin:/sbin:/bin", self);
    setenv("PATH", all, 1);
}

static int run_printed(const char *command, struct nvl_error *err)
{
    const char *const argv[] = {"/bin/sh", "-c", command, NULL};
    const struct nvl_run run = {
        .argv = argv, .input = NVL_STREAM_NONE, .output = NVL_STREAM_CALLERS, .errors = NVL_STREAM_CALLERS};

    fflush(stdout);
    int status = nvl_run_status(&run);
    if (status != 0)
        return nvl_error_set(err, -EIO, "the fix stopped at a command that failed with status %d: %s", status,
                             command);
    return 0;
}

static int offer_fix(const struct nvl_context *ctx, const struct nvl_finding *f,
                     const struct nvl_strv *commands, bool yes, struct nvl_error *err)
{
    nvl_say_wrapped(ctx, "", f->title);
    for (size_t i = 0; i < commands->count; i++)
        nvl_say(ctx, "    %s", commands->items[i]);
    enum nvl_answer answer = yes ? NVL_ANSWER_YES : nvl_ask(commands->count == 1 ? "run it?" : "run them?");
    if (answer == NVL_ANSWER_QUIT)
        return nvl_error_set(err, -ECANCELED, "stopped; what was done before stays");
    int r = 0;
    for (size_t i = 0; i < commands->count && r == 0 && answer == NVL_ANSWER_YES; i++)
        r = run_printed(commands->items[i], err);
    return r;
}

int nvl_doctor_fix(struct nvl_context *ctx, const char *container, bool deep, bool yes, struct nvl_error *err)
{
    nvl_auto(nvl_diagnosis_clear) struct nvl_diagnosis d = {0};
    size_t n = 0;

    int r = check_fixable(ctx, yes, err);
    if (r == 0)
        r = nvl_diagnose(&ctx->root, container, NVL_FACTS_ANEW, deep, &d, err);
    find_own_program();
    for (size_t i = 0; i < d.findings.count && r == 0; i++) {
        nvl_auto(nvl_strv_clear) struct nvl_strv commands = {0};
        if (!take_own_fix(d.findings.items[i].fix, &commands))
            continue;
        n++;
        r = offer_fix(ctx, &d.findings.items[i], &commands, yes, err);
    }
    if (r < 0)
        return r;
    nvl_say(ctx, n == 0 ? "no fix here is nvlxc's own" : "doctor looks again:");
    nvl_say(ctx, "%s", "");
    return 0;
}
