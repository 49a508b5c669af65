/* Ollama's log and the answers of its server, which are the container's. */
#include "fuzz.h"

#include "verify/ollama.h"

static void check_log(const char *text, size_t len)
{
    struct nvl_ollama_log log = {0};

    nvl_ollama_log_parse(text, len, &log);
    fuzz_line(log.text);
    CHECK(!log.on_gpu || log.has_discovery);
}

static void check_version(const char *text, size_t len)
{
    char version[32] = "";

    if (nvl_ollama_parse_version(text, len, version, sizeof version))
        fuzz_line(version);
}

static void check_models(const char *text, size_t len)
{
    struct nvl_ollama_models models;

    if (!nvl_ollama_parse_models(text, len, &models))
        return;
    fuzz_line(models.on_cpu);
    CHECK(models.count <= 1024);
}

void fuzz_one(const char *data, size_t len)
{

    check_log(data, len);
    check_version(data, len);
    check_models(data, len);
}
