/* Docker and podman try what the CDI specification is for: a container of their own uses the GPU. Its root
 * file system is made for it, of the container's own C library and nvlxc's probe: no image is fetched, and
 * neither library nor node of the driver is in it unless the specification brings it. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "verify/workloads.h"
#include "base/machine.h"
#include "doctor/facts.h"
#include "inside/run.h"
#include "verify/session.h"
#include "verify/verify.h"

#define AFTER_SECONDS 30u /* for taking away what a run left that took too long */
#define NESTED_MAX    (64u << 10)
#define NO_NESTING    "LXC does not let the container mount what a container needs: nesting is off"

/* Runs in the container, as its root, by `sh -c SCRIPT sh ENGINE SECONDS`, with the probe as its input. All
 * of it lies in one folder that only root can make; podman's own storage, too, so that the user's stays as it
 * is. Docker's daemon takes the root file system as an image, by its id: the user's names stay as they are.
 */
static const char script[] =
    "umask 022\n"
    "d=$(mktemp -d /run/nvlxc-verify.XXXXXX) || exit\n"
    /* podman's own processes clean up for a while, each with the folder in its command line */
    "leave() {\n"
    "    cd \"$d\" && echo \"$d\" > name && n=0\n"
    "    while [ $n -lt 50 ] && grep -qsaFf name /proc/[0-9]*/cmdline; do n=$((n + 1)); sleep 0.1; done\n"
    "    cd / && rm -rf --one-file-system \"$d\"\n"
    "}\n"
    "trap leave EXIT\n"
    "r=$d/root engine=$1 image=\n"
    "mkdir \"$r\"\n"
    "mkdir -p \"$r${3%/*}\" && cp -L $3 \"$r$3\" || exit\n"
    "for f in libc.so.6 libm.so.6 libdl.so.2 libpthread.so.0 librt.so.1; do\n"
    "    for p in /lib64 ${4#/usr} $4 /usr/lib64 /lib /usr/lib; do\n"
    "        [ -e $p/$f ] || continue\n"
    "        mkdir -p \"$r$p\" && cp -L $p/$f \"$r$p/$f\" || exit\n"
    "        break\n"
    "    done\n"
    "done\n"
    "cat > \"$r/probe\" && chmod 755 \"$r/probe\" || exit\n"
    "if [ $engine = podman ]; then\n"
    "    engine=\"podman --root $d/storage --runroot $d/run --tmpdir $d/tmp --storage-driver vfs"
    " --events-backend none\"\n"
    "    what=\"--pids-limit -1 --rootfs $r\"\n"
    "else\n"
    "    image=$(tar -C \"$r\" -c . | docker import -) || exit\n"
    "    what=\"--pull never $image\"\n"
    "fi\n"
    "timeout -k 5 $2 $engine run --rm --cidfile \"$d/id\" --network none --log-driver none"
    " --device nvidia.com/gpu=all $what /probe cuda\n"
    "status=$?\n"
    "[ ! -s \"$d/id\" ] || { $engine kill \"$(cat \"$d/id\")\"; $engine rm -f \"$(cat \"$d/id\")\"; }"
    " > /dev/null 2>&1\n"
    "[ -z \"$image\" ] || docker rmi \"$image\" > /dev/null\n"
    "exit $status\n";

/* The first that an output has tells most. */
static const struct nvl_known_message engine_messages[] = {
    {"lxc-attach: ", 0, "nvlxc enters for this step by lxc-attach, and that failed", {NULL, NVL_FIX_ALL}},
    {"could not select device driver \"cdi\"",
     0,
     "Docker's daemon does not read CDI specifications: up to version 28.1 it has to be told to",
     {"in the container: add \"features\": {\"cdi\": true} to /etc/docker/daemon.json, then systemctl "
      "restart "
      "docker",
      NVL_FIX_ALL}},
    {"adding custom device \"nvidia.com/",
     0,
     "this Docker is too old for CDI",
     {"in the container: install Docker 25 or newer", NVL_FIX_ALL}},
    {"stat nvidia.com/gpu",
     0,
     "this podman is too old for CDI",
     {"in the container: install podman 4.1 or newer", NVL_FIX_ALL}},
    {"unresolvable CDI devices",
     0,
     "no file that the engine reads defines that device, or more than one does",
     {"", NVL_FIX_CDI}},
    {"CDI host device",
     0,
     "the specification names a node that the container does not have",
     {"", NVL_FIX_CDI}},
    {"bind mount source stat",
     0,
     "the specification names a file that the container does not have",
     {"", NVL_FIX_CDI}},
    {"error mounting \"/usr/local/nvidia",
     0,
     "the specification names a file that the container does not have",
     {"", NVL_FIX_CDI}},
    {"error mounting \"proc\"", 0, NO_NESTING, {"", NVL_FIX_NESTING}},
    {"mount `proc` to", 0, NO_NESTING, {"", NVL_FIX_NESTING}},
    {"ip_unprivileged_port_start",
     0,
     "runc from 1.3.3 on opens files in a way that LXC's AppArmor profile denies (opencontainers/runc#4968)",
     {"on the host: update LXC (on Proxmox VE: lxc-pve); in the container: update runc, or Docker's "
      "containerd.io",
      NVL_FIX_THEN_RESTART}},
    {"bpf_prog_query",
     0,
     "NVIDIA's runtime changes the device filter, which a container may not do",
     {"in the container: set no-cgroups = true in /etc/nvidia-container-runtime/config.toml", NVL_FIX_ALL}},
    {"Cannot connect to the Docker daemon",
     0,
     "Docker's daemon does not answer",
     {"in the container: systemctl restart docker", NVL_FIX_ALL}},
    {"could not find a working conmon",
     0,
     "podman lacks conmon, which watches over its containers",
     {"in the container: install conmon", NVL_FIX_ALL}},
    {"OCI runtime \"",
     0,
     "podman lacks the program that starts its containers",
     {"in the container: install crun, or runc", NVL_FIX_ALL}},
    {NULL, 0, NULL, {NULL, NVL_FIX_ALL}},
};

/* The engine did not come as far as the probe. */
static void fail_engine(struct nvl_verify *v, const char *engine, const struct nvl_output *out)
{
    nvl_autofree char *ending = nvl_output_ending(out, nvl_verify_seconds(v, NVL_PROBE_SECONDS));
    nvl_autofree char *error = nvl_output_line(out, "Error"), *last = nvl_output_line(out, NULL);
    const char *said = error != NULL ? error : last;
    struct nvl_step *step = nvl_step_add(v, engine, NVL_STEP_FAIL, "%s: %s%s%s", engine, ending,
                                         said != NULL ? ": " : "", said != NULL ? said : "");

    if (!nvl_workload_explain(v, engine_messages, out, step))
        nvl_step_cause(step,
                       "the container itself can use its GPU: the fault is in %s, or in what the "
                       "container lets it do",
                       engine);
}

/* The first call or comparison that failed; these three lines have a number in the place of its result. */
static const struct nvl_probe_line *find_failed_call(const struct nvl_probe_lines *lines)
{
    static const char *const numbers[] = {"cuda.ms", "cuda.count", "cuda.name"};

    for (size_t i = 0; i < lines->count; i++) {
        bool is_number = false;
        for (size_t n = 0; n < NVL_LENGTH(numbers); n++)
            is_number |= strcmp(lines->items[i].what, numbers[n]) == 0;
        if (!is_number && lines->items[i].code != 0)
            return &lines->items[i];
    }
    return NULL;
}

static size_t count_lines(const struct nvl_probe_lines *lines, const char *what)
{
    size_t n = 0;

    for (size_t i = 0; i < lines->count; i++)
        n += strcmp(lines->items[i].what, what) == 0;
    return n;
}

/* CUDA works in the container, and not in that of its engine: what lies between them is the specification. */
static void judge_probe(struct nvl_verify *v, const char *engine, const struct nvl_probe_run *run)
{
    const struct nvl_probe_line *failed = find_failed_call(&run->lines);
    const struct nvl_probe_line *name = nvl_probe_find(&run->lines, "cuda.name");
    size_t here = count_lines(&v->cuda.lines, "cuda.name"),
           there = count_lines(&run->lines, "cuda.kernel.compared");
    struct nvl_step *step;

    if (failed != NULL) {
        step = nvl_step_add(v, engine, NVL_STEP_FAIL, "in a container that %s made: %s (error %d)", engine,
                            failed->text, failed->code);
    } else if (!run->lines.ended) {
        nvl_autofree char *ending = nvl_probe_run_ending(v, run);
        step = nvl_step_add(v, engine, NVL_STEP_FAIL, "in a container that %s made: %s", engine, ending);
    } else if (there < here) {
        step = nvl_step_add(v, engine, NVL_STEP_FAIL, "a container that %s made has %zu of %zu GPUs", engine,
                            there, here);
    } else {
        nvl_step_add(v, engine, NVL_STEP_PASS, "CUDA works in a container that %s made, on %zu GPU%s: %s",
                     engine, there, there == 1 ? "" : "s", name != NULL ? name->text : "?");
        return;
    }
    if (!run->lines.ended) {
        nvl_step_cause(step, "CUDA works in %s itself, and not in a container that %s makes", v->facts->name,
                       engine);
        return;
    }
    nvl_step_cause(step, "CUDA works in %s itself: the specification does not give on all that it takes",
                   v->facts->name);
    nvl_step_fix_from_table(v, step, &(const struct nvl_fix){"", NVL_FIX_CDI});
}

/* What timeout(1) says of it. */
static bool has_ended_late(const struct nvl_output *out)
{
    return out->error == 0 && !out->timed_out && WIFEXITED(out->status) &&
           (WEXITSTATUS(out->status) == 124 || WEXITSTATUS(out->status) == 128 + SIGKILL);
}

/* Docker may lose all that a short program said: once in some hundred runs on a busy machine. */
static bool has_lost_output(const struct nvl_output *out)
{
    return out->error == 0 && !out->timed_out && out->len == 0 && WIFEXITED(out->status) &&
           WEXITSTATUS(out->status) == 0;
}

static void run_nested(struct nvl_verify *v, const char *engine)
{
    unsigned seconds = nvl_verify_seconds(v, NVL_PROBE_SECONDS);
    nvl_autofree char *limit = nvl_xasprintf("%u", seconds);
    const char *const argv[] = {
        "sh", "-c", script, "sh", engine, limit, nvl_machine()->glibc, nvl_machine()->libraries, NULL};
    nvl_auto(nvl_probe_run_clear) struct nvl_probe_run run = {0};

    for (int tries = 0; tries == 0 || (tries < 3 && has_lost_output(&run.out)); tries++) {
        nvl_output_clear(&run.out);
        lseek(v->probe, 0, SEEK_SET);
        nvl_inside_attach(v->facts->container, argv, v->probe, seconds + AFTER_SECONDS, NESTED_MAX, &run.out);
    }
    run.out.timed_out |= has_ended_late(&run.out);
    nvl_probe_parse(run.out.text, run.out.len, &run.lines);
    if (run.lines.count > 0)
        judge_probe(v, engine, &run);
    else
        fail_engine(v, engine, &run.out);
}

/* Nothing is started that does not run, and nobody's container is entered with more rights than its owner
 * has. */
void nvl_workload_nest(struct nvl_verify *v, const char *engine, const char *running)
{
    if (v->facts->container->user != NULL)
        nvl_step_add(v, engine, NVL_STEP_SKIP, "a user's container: nvlxc does not run an engine in it");
    else if (running != NULL && !nvl_root_exists(&v->facts->rootfs, running))
        nvl_step_add(v, engine, NVL_STEP_SKIP, "its daemon does not run");
    else if (!nvl_workload_is_blocked(v, engine))
        run_nested(v, engine);
}
