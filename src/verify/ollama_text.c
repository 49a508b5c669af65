/* Reads Ollama's log and the answers of its API. */
#include <jansson.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "verify/ollama.h"
#include "inside/probe_output.h"

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

    /* no sum of a few of them can overflow */
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
