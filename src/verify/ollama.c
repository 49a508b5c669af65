/* Ollama: whether its server runs, and what it computes on, by its own words: the log of its last start, and
 * where the models lie that are loaded now. */
#include "verify/ollama.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "verify/step.h"

#define LOG_TAIL     (512u << 10)
#define DEFAULT_PORT 11434

static bool is_installed(const struct nvl_verify *v)
{
    static const char *const files[] = {"/usr/local/bin/ollama",
                                        "/usr/bin/ollama",
                                        "/bin/ollama",
                                        "/opt/ollama/bin/ollama",
                                        "/etc/systemd/system/ollama.service",
                                        "/usr/lib/systemd/system/ollama.service",
                                        NULL};

    return nvl_verify_find(v, files) != NULL;
}

/* The end of a log file. */
static bool read_tail(const struct nvl_root *rootfs, const char *path, char **text, size_t *len)
{
    struct stat st;
    nvl_autofd int fd = nvl_root_openat(rootfs, path, O_RDONLY | O_NONBLOCK);

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return false;
    nvl_autofree char *data = nvl_xcalloc(LOG_TAIL, 1);
    ssize_t n = pread(fd, data, LOG_TAIL, st.st_size > LOG_TAIL ? st.st_size - LOG_TAIL : 0);
    if (n <= 0)
        return false;
    *text = TAKE_PTR(data);
    *len = (size_t)n;
    return true;
}

static bool read_log_file(const struct nvl_verify *v, struct nvl_ollama_log *log)
{
    static const char *const files[] = {"/var/log/ollama.log",
                                        "/var/log/ollama/ollama.log",
                                        "/var/log/ollama/server.log",
                                        "/usr/share/ollama/.ollama/logs/server.log",
                                        "/var/lib/ollama/logs/server.log",
                                        "/root/.ollama/logs/server.log"};

    for (size_t i = 0; i < NVL_LENGTH(files); i++) {
        nvl_autofree char *text = NULL;
        size_t len;
        if (!read_tail(&v->facts->rootfs, files[i], &text, &len))
            continue;
        nvl_ollama_log_parse(text, len, log);
        if (log->has_discovery || log->text[0] != '\0')
            return true;
    }
    return false;
}

/* The journal, by the container's own journalctl: its format is its own. */
static void read_journal(struct nvl_verify *v, struct nvl_ollama_log *log)
{
    static const char *const program[] = {"/usr/bin/journalctl", "/bin/journalctl", NULL};
    const char *path = nvl_verify_find(v, program);
    nvl_auto(nvl_output_clear) struct nvl_output out = {0};

    if (path == NULL)
        return;
    const char *const argv[] = {
        path,
        "--unit=ollama",
        "--boot",
        "--output=cat",
        "--no-pager",
        "--lines=500",
        "--grep=Listening on|inference compute|GPUs were discovered|GPU discovery|cuda driver library",
        NULL};
    nvl_verify_program(v, argv, NULL, 30, &out);
    nvl_ollama_log_parse(out.text, out.len, log);
}

static void fail_on_cpu(struct nvl_verify *v, const char *evidence, const struct nvl_ollama_log *log)
{
    struct nvl_step *step = nvl_step_add(v, "ollama", NVL_STEP_FAIL, "%s", evidence);

    if (v->cuda_works) {
        nvl_step_cause(step, "Ollama looks for GPUs when it starts, and found none then; CUDA works in this "
                             "container now");
        nvl_step_fix(step, "in the container: systemctl restart ollama");
    } else if (log->cuda_error != 0) {
        nvl_cause_of_cuda(v, log->cuda_error, step);
    } else {
        nvl_step_cause(step,
                       "CUDA does not work in this container (the step %s failed), so Ollama computes on "
                       "the CPU",
                       v->cuda_why_not != NULL ? v->cuda_why_not : "grant");
        nvl_step_fix(step, "mend that first, then in the container: systemctl restart ollama");
    }
}

static void fail_silent(struct nvl_verify *v, uint16_t port, const struct nvl_output *answer)
{
    struct nvl_step *step =
        answer->error < 0
            ? nvl_step_add(v, "ollama", NVL_STEP_FAIL, "nothing answers on 127.0.0.1:%u in the container: %s",
                           port, strerror(-answer->error))
            : nvl_step_add(v, "ollama", NVL_STEP_FAIL,
                           "what answers on 127.0.0.1:%u in the container is not Ollama%s", port,
                           answer->timed_out ? ": it takes too long" : "");

    nvl_step_cause(step, "Ollama is installed but its server does not run, or listens elsewhere");
    nvl_step_fix(step, "in the container: systemctl start ollama; journalctl -u ollama -n 50");
}

static void judge_models(struct nvl_verify *v, const char *version, const struct nvl_ollama_log *log,
                         const struct nvl_ollama_models *models)
{
    nvl_autofree char *loaded = NULL;

    if (models->on_cpu[0] != '\0') {
        nvl_autofree char *evidence = nvl_xasprintf(
            "version %s: the model %s is loaded and has no GPU memory", version, models->on_cpu);
        fail_on_cpu(v, evidence, log);
        return;
    }
    if ((log->has_discovery && !log->on_gpu) || (!log->has_discovery && log->text[0] != '\0')) {
        nvl_autofree char *evidence = nvl_xasprintf("version %s, its log: %s", version, log->text);
        fail_on_cpu(v, evidence, log);
        return;
    }
    if (models->count > 0)
        loaded = nvl_xasprintf("; %zu model%s loaded, %u %% in GPU memory", models->count,
                               models->count == 1 ? "" : "s",
                               (unsigned)(models->bytes > 0 ? models->vram * 100 / models->bytes : 0));
    if (log->on_gpu)
        nvl_step_add(v, "ollama", NVL_STEP_PASS, "version %s, its log: %s%s", version, log->text,
                     loaded != NULL ? loaded : "");
    else if (loaded != NULL)
        nvl_step_add(v, "ollama", NVL_STEP_PASS, "version %s%s", version, loaded);
    else
        nvl_step_add(
            v, "ollama", NVL_STEP_SKIP,
            "version %s answers; no log of it was found and no model is loaded, so nothing says what it "
            "computes on",
            version);
}

void nvl_verify_ollama(struct nvl_verify *v, bool asked_for)
{
    struct nvl_ollama_log log = {0};
    struct nvl_ollama_models models = {0};
    nvl_auto(nvl_output_clear) struct nvl_output answer = {0}, loaded = {0};
    char version[64] = "";

    if (!is_installed(v)) {
        if (asked_for)
            nvl_workload_absent(v, "ollama", "/usr/local/bin/ollama or its service");
        return;
    }
    if (!read_log_file(v, &log))
        read_journal(v, &log);
    uint16_t port = log.port != 0 ? log.port : DEFAULT_PORT;
    nvl_inside_http_get(&v->inside, port, "/api/version", &answer);
    if (!nvl_ollama_parse_version(answer.text, answer.len, version, sizeof version)) {
        fail_silent(v, port, &answer);
        return;
    }
    nvl_inside_http_get(&v->inside, port, "/api/ps", &loaded);
    nvl_ollama_parse_models(loaded.text, loaded.len, &models);
    judge_models(v, version, &log, &models);
}
