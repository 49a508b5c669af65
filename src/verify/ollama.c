/* Ollama: whether its server runs, and what it computes on, as it reports itself: in the log of its last
 * start, and where the models are that are loaded now. */
#include "verify/ollama.h"

#include <fcntl.h>
#include <jansson.h>
#include <strings.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "verify/causes.h"
#include "verify/parts.h"
#include "verify/workloads.h"
#include "doctor/facts.h"
#include "verify/session.h"

#define LOG_TAIL     (512u << 10)
#define DEFAULT_PORT 11434

static const char *find_pattern(const char *line, size_t len, const char *what)
{
    return memmem(line, len, what, strlen(what));
}

/* The number at the end of "Listening on 127.0.0.1:11434 (version 0.6.2)", "Listening on [::]:11434". */
static uint16_t parse_port(const char *text, size_t len)
{
    const char *end = memchr(text, ' ', len),
               *colon = memrchr(text, ':', end != NULL ? (size_t)(end - text) : len);
    char digits[8] = "";
    uint64_t port;
    size_t n = 0;

    for (const char *p = colon != NULL ? colon + 1 : text + len; p < text + len && n < sizeof digits - 1;
         p++) {
        if (*p < '0' || *p > '9')
            break;
        digits[n++] = *p;
    }
    return nvl_parse_uint(digits, 10, UINT16_MAX, &port) == 0 ? (uint16_t)port : 0;
}

static void keep_text(struct nvl_ollama_log *log, const char *text, size_t len)
{
    nvl_autofree char *printable = nvl_printable(text, len, sizeof log->text - 1);

    nvl_copy(log->text, sizeof log->text, printable, strlen(printable));
}

/* `… msg="inference compute" id=GPU-… library=CUDA …`; a line for each GPU, or one with library=cpu. */
static bool take_discovery(struct nvl_ollama_log *log, const char *line, size_t len)
{
    static const char begin[] = "inference compute", library[] = "library=";
    const char *text = find_pattern(line, len, begin);

    if (text == NULL)
        return false;
    size_t rest = len - (size_t)(text - line);
    const char *value = find_pattern(text, rest, library);
    bool gpu = value != NULL && rest - (size_t)(value - text) >= strlen(library) + 4 &&
               strncasecmp(value + strlen(library), "cuda", 4) == 0;
    if (!log->has_discovery || (gpu && !log->on_gpu))
        keep_text(log, text, rest);
    log->has_discovery = true;
    log->on_gpu = log->on_gpu || gpu;
    return true;
}

static void take_failure(struct nvl_ollama_log *log, const char *line, size_t len)
{
    static const char *const failures[] = {
        "unknown error initializing cuda driver library", "cuda driver library init failure",
        "no compatible GPUs were discovered", "failure during GPU discovery"};
    static const char number[] = "init failure: ";
    char digits[8] = "";
    uint64_t code;
    size_t n = 0;

    for (size_t i = 0; i < NVL_LENGTH(failures); i++) {
        const char *text = find_pattern(line, len, failures[i]);
        if (text == NULL)
            continue;
        if (log->text[0] == '\0')
            keep_text(log, text, len - (size_t)(text - line));
        const char *p = find_pattern(line, len, number);
        for (p = p != NULL ? p + strlen(number) : line + len; p < line + len && n < sizeof digits - 1; p++) {
            if (*p < '0' || *p > '9')
                break;
            digits[n++] = *p;
        }
        if (nvl_parse_uint(digits, 10, 9999, &code) == 0)
            log->cuda_error = (int)code;
        return;
    }
}

void nvl_ollama_log_parse(const char *text, size_t len, struct nvl_ollama_log *log)
{
    static const char listening[] = "Listening on ";
    const char *line;
    size_t line_len, pos = 0;

    *log = (struct nvl_ollama_log){0};
    while (nvl_next_line(text, len, &pos, &line, &line_len)) {
        const char *start = find_pattern(line, line_len, listening);
        if (start != NULL) {
            start += strlen(listening);
            *log = (struct nvl_ollama_log){.port = parse_port(start, line_len - (size_t)(start - line))};
        } else if (!take_discovery(log, line, line_len)) {
            take_failure(log, line, line_len);
        }
    }
}

/* The body of an answer with status 200, as JSON; NULL for anything else. */
static json_t *parse_answer(const char *answer, size_t len)
{
    const char *body = memmem(answer, len, "\r\n\r\n", 4);

    if (len < 12 || memcmp(answer, "HTTP/1.", 7) != 0 || memcmp(answer + 8, " 200", 4) != 0 || body == NULL)
        return NULL;
    body += 4;
    return json_loadb(body, len - (size_t)(body - answer), JSON_REJECT_DUPLICATES, NULL);
}

bool nvl_ollama_parse_version(const char *answer, size_t len, char *version, size_t size)
{
    json_t *root = parse_answer(answer, len);
    const char *text = json_string_value(json_object_get(root, "version"));

    if (text != NULL) {
        nvl_autofree char *printable = nvl_printable(text, strlen(text), size - 1);
        nvl_copy(version, size, printable, strlen(printable));
    }
    json_decref(root);
    return text != NULL;
}

static uint64_t size_of(const json_t *model, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(model, key));

    /* small enough that the sum of a few cannot overflow */
    return value > 0 && value < INT64_MAX / 1024 ? (uint64_t)value : 0;
}

bool nvl_ollama_parse_models(const char *answer, size_t len, struct nvl_ollama_models *models)
{
    json_t *root = parse_answer(answer, len), *list = json_object_get(root, "models"), *model;
    size_t i;
    bool is_list = json_is_array(list) || json_is_null(list);

    *models = (struct nvl_ollama_models){0};
    json_array_foreach(list, i, model)
    {
        const char *name = json_string_value(json_object_get(model, "name"));
        uint64_t bytes = size_of(model, "size"), vram = size_of(model, "size_vram");
        if (i >= 1024)
            break;
        models->count++;
        models->bytes += bytes;
        models->vram += vram;
        if (bytes > 0 && vram == 0 && models->on_cpu[0] == '\0') {
            nvl_autofree char *printable =
                nvl_printable(name != NULL ? name : "?", strlen(name != NULL ? name : "?"), 99);
            nvl_copy(models->on_cpu, sizeof models->on_cpu, printable, strlen(printable));
        }
    }
    json_decref(root);
    return is_list;
}

static bool is_ollama_installed(const struct nvl_verify *v)
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

/* The journal, by the container's own journalctl, since only that is sure to know its format. */
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
    static const char *const services[] = {"ollama", NULL};
    struct nvl_step *step = nvl_step_add(v, "ollama", NVL_STEP_FAIL, "%s", evidence);

    if (v->cuda_works && nvl_workload_is_closed(v, services, step))
        return;
    if (v->cuda_works) {
        nvl_step_cause(
            step,
            "Ollama looks for GPUs when it starts, and found none then; CUDA works in this container now");
        nvl_step_fix(step, "in the container: systemctl restart ollama");
    } else if (log->cuda_error != 0) {
        nvl_cause_of_cuda(v, log->cuda_error, step);
    } else {
        nvl_step_cause(step,
                       "CUDA does not work in this container (the step %s failed), so Ollama computes on "
                       "the CPU",
                       v->cuda_why_not != NULL ? v->cuda_why_not : "grant");
        nvl_step_fix(step, "fix that first, then in the container: systemctl restart ollama");
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

    nvl_step_cause(step, "Ollama is installed but its server is not running, or listens elsewhere");
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
            "version %s answers; it has no log and no model is loaded, so nothing tells what it computes on",
            version);
}

static void verify_ollama(struct nvl_verify *v, bool asked_for)
{
    struct nvl_ollama_log log = {0};
    struct nvl_ollama_models models = {0};
    nvl_auto(nvl_output_clear) struct nvl_output answer = {0}, loaded = {0};
    char version[64] = "";

    if (!is_ollama_installed(v)) {
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

const struct nvl_workload nvl_workload_ollama = {"ollama", NULL, verify_ollama};
