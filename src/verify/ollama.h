/* What Ollama says of itself: its log, and the answers of its API. Both are the container's: hostile. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nvl_ollama_log {
    bool has_discovery; /* it said what it computes on, since it was last started */
    bool on_gpu;
    int cuda_error; /* of a failure that it reports; 0 for none */
    char text[300]; /* the line that says it, printable; "" for none */
    uint16_t port;  /* that it listens on; 0 where not said */
};
/* The lines of the last start in the log count. */
void nvl_ollama_log_parse(const char *text, size_t len, struct nvl_ollama_log *log);

struct nvl_ollama_models {
    size_t count;         /* loaded now */
    uint64_t bytes, vram; /* of all of them: their size, and what of it is in a GPU's memory */
    char on_cpu[100];     /* the first that has nothing there; "" for none */
};
/* The answers as HTTP gives them. False where they are not 200 or not what was asked for. */
bool nvl_ollama_parse_version(const char *answer, size_t len, char *version, size_t size);
bool nvl_ollama_parse_models(const char *answer, size_t len, struct nvl_ollama_models *models);
