/* What Ollama reports about itself: its log, and the answers of its API. Both come from the container: they
 * are hostile. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nvl_ollama_log {
    bool has_discovery; /* it reported what it computes on, since its last start */
    bool on_gpu;
    int cuda_error; /* of a failure that it reports; 0 for none */
    char text[300]; /* the line that reports it, printable; "" for none */
    uint16_t port;  /* that it listens on; 0 if not reported */
};
/* Only the lines of the last start in the log count. */
void nvl_ollama_log_parse(const char *text, size_t len, struct nvl_ollama_log *log);

struct nvl_ollama_models {
    size_t count;         /* loaded now */
    uint64_t bytes, vram; /* of all of them: their size, and the part of it in a GPU's memory */
    char on_cpu[100];     /* the first that has none there; "" for none */
};
/* The answers in HTTP's form. False if they are not 200 or not what was asked for. */
bool nvl_ollama_parse_version(const char *answer, size_t len, char *version, size_t size);
bool nvl_ollama_parse_models(const char *answer, size_t len, struct nvl_ollama_models *models);
