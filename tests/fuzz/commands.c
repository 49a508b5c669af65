/* Whole commands on a captured host from anybody: a tree, after the command's number. No line obeys a
 * terminal, JSON is JSON, and Prometheus can read the metrics. */
#define main nvlxc_main
#include "cli/main.c"
#undef main

#include "fuzz.h"

#include <ctype.h>

#define WORDS 6
static const char *const commands[][WORDS] = {
    {"gpus"},
    {"gpus", "--json"},
    {"list"},
    {"list", "--json"},
    {"show", "220"},
    {"show", "web", "--json"},
    {"doctor"},
    {"doctor", "--json"},
    {"host"},
    {"host", "--json"},
    {"metrics"},
    {"attach", "220", "--gpu", "0", "--dry-run"},
    {"attach", "web", "--replace", "--dry-run", "--json"},
    {"detach", "220", "--dry-run"},
    {"cdi"},
    {"cdi", "220"},
    {"host", "setup", "--dry-run"},
    {"host", "setup", "--dry-run", "--json"},
    {"driver", "list"},
    {"driver", "sync", "--dry-run"},
    {"template", "ollama", "--ctid", "221"},
    {"ps"},
    {"top"},
};

static const char *take_name(const char *c, const char *also)
{
    CHECK(isalpha((unsigned char)*c) || *c == '_');
    while (isalnum((unsigned char)*c) || (*c != '\0' && strchr(also, *c) != NULL))
        c++;
    return c;
}

/* https://prometheus.io/docs/instrumenting/exposition_formats */
static void check_sample(const char *line)
{
    const char *c = take_name(line, "_:");

    if (*c == '{') {
        do {
            c = take_name(c + 1, "_");
            CHECK(c[0] == '=' && c[1] == '"');
            for (c += 2; *c != '"'; c++) {
                CHECK(*c != '\0');
                if (*c == '\\')
                    c++;
            }
            c++;
        } while (*c == ',');
        CHECK(*c == '}');
        c++;
    }
    CHECK(*c == ' ' && c[1 + strspn(c + 1, "-0123456789")] == '\0' && c[1] != '\0');
}

static void check_metrics(char *text)
{
    char *line, *rest = text;

    while ((line = strsep(&rest, "\n")) != NULL)
        if (line[0] != '#' && line[0] != '\0')
            check_sample(line);
}

static void check_output(const char *const *words, int r, char *out, const char *errors)
{
    bool is_json = false;

    for (size_t i = 0; i < WORDS && words[i] != NULL; i++)
        is_json = is_json || strcmp(words[i], "--json") == 0;
    fuzz_printable(out);
    fuzz_printable(errors);
    if (is_json && r >= 0 && out[0] != '\0') {
        json_t *json = json_loads(out, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
        CHECK(json != NULL);
        json_decref(json);
    }
    if (strcmp(words[0], "metrics") == 0 && r >= 0)
        check_metrics(out);
}

void fuzz_one(const char *data, size_t len)
{
    struct fuzz_input in = {data, len};
    const char *const *words = commands[fuzz_choice(&in, NVL_LENGTH(commands))];
    nvl_autofree char *root = nvl_xasprintf("/proc/self/fd/%d", fuzz_root()->fd), *out = NULL, *errors = NULL;
    FILE *stdout_before = stdout, *stderr_before = stderr;
    struct nvl_globals globals = {0};
    struct nvl_error err = {0};
    char *argv[WORDS + 4] = {(char *)"nvlxc", (char *)"--root", root};
    size_t out_len, errors_len;
    int argc = 3;

    for (size_t i = 0; i < WORDS && words[i] != NULL; i++)
        argv[argc++] = (char *)words[i];
    fuzz_tree(&in);
    stdout = open_memstream(&out, &out_len);
    stderr = open_memstream(&errors, &errors_len);
    int r = run_program(&globals, argc, argv, &err);
    if (r < 0)
        if (globals.json)
            nvl_print_json_error(&err);
        else
            nvl_print_error(&err);
    fclose(stdout);
    fclose(stderr);
    stdout = stdout_before;
    stderr = stderr_before;
    CHECK(r >= 0 || err.message[0] != '\0');
    check_output(words, r, out, errors);
    fuzz_clear();
}
