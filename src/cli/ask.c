/* Asks on the terminal. Questions go to standard error: standard output may be read by a program. */
#include "cli/ask.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/printable.h"
#include "base/words.h"
#include "cli/command.h"
#include "container/target.h"
#include "grant/grant.h"
#include "host/gpu_state.h"
#include "host/host.h"

#define ANSWER_MAX 256
#define ASKED_MAX  3

bool nvl_can_ask(void)
{
    return isatty(STDIN_FILENO) != 0 && isatty(STDERR_FILENO) != 0;
}

/* A line without its end and the blanks around it; false at the end of the input. */
static bool read_answer(char answer[ANSWER_MAX])
{
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};

    fflush(stderr);
    if (fgets(answer, ANSWER_MAX, stdin) == NULL) {
        fputc('\n', stderr);
        return false;
    }
    nvl_strv_split(&words, answer, "\n");
    nvl_copy(answer, ANSWER_MAX, words.count > 0 ? words.items[0] : "",
             words.count > 0 ? strlen(words.items[0]) : 0);
    return true;
}

enum nvl_answer nvl_ask(const char *question)
{
    char answer[ANSWER_MAX];

    fflush(stdout);
    fprintf(stderr, "%s [y/N/q] ", question);
    if (!read_answer(answer) || strcmp(answer, "q") == 0 || strcmp(answer, "quit") == 0)
        return NVL_ANSWER_QUIT;
    return strcmp(answer, "y") == 0 || strcmp(answer, "yes") == 0 || strcmp(answer, "Y") == 0 ? NVL_ANSWER_YES
                                                                                              : NVL_ANSWER_NO;
}

static void list_choices(const struct nvl_strv *names, const struct nvl_strv *texts)
{
    size_t width = 0;

    for (size_t i = 0; i < names->count; i++)
        width = strlen(names->items[i]) > width ? strlen(names->items[i]) : width;
    fflush(stdout);
    for (size_t i = 0; i < names->count; i++) {
        nvl_autofree char *line = nvl_xasprintf("  %-*s  %s", (int)width, names->items[i], texts->items[i]);
        fprintf(stderr, "%s\n", nvl_make_printable(line));
    }
}

int nvl_ask_which(const char *question, const struct nvl_strv *names, const struct nvl_strv *texts,
                  struct nvl_error *err)
{
    char answer[ANSWER_MAX];

    list_choices(names, texts);
    for (int asked = 0; asked < ASKED_MAX; asked++) {
        fprintf(stderr, "%s ", question);
        if (!read_answer(answer) || answer[0] == '\0')
            break;
        long which = nvl_word_find(answer, names);
        if (which >= 0)
            return (int)which;
        fprintf(stderr, "one of the list, or nothing to stop\n");
    }
    return nvl_error_set(err, -ECANCELED, "nothing was chosen, and nothing was changed");
}

/* ---- what attach lacks ---- */

static void add_choice(const struct nvl_context *ctx, const struct nvl_containers *all, size_t i,
                       const struct nvl_running *running, struct nvl_strv *names, struct nvl_strv *texts)
{
    nvl_autofree struct nvl_container *c = nvl_container_at(all, i);
    nvl_autofree char *name = nvl_container_full_name(all, c), *kind = nvl_container_kind_text(c);
    struct nvl_config nvl_auto(nvl_config_clear) config = {0};
    const char *hostname = NULL;

    if (c->kind == NVL_CONTAINER_PVE && nvl_container_read_config(&ctx->root, c, &config, NULL) == 0)
        hostname = nvl_config_get(&config, "hostname");
    nvl_strv_push(names, name);
    nvl_strv_pushf(texts, "%s%s%s, %s", hostname != NULL ? hostname : "", hostname != NULL ? ", " : "", kind,
                   nvl_running_has(running, c) ? "running" : "stopped");
}

char *nvl_choose_container(const struct nvl_context *ctx, struct nvl_error *err)
{
    struct nvl_containers nvl_auto(nvl_containers_clear) all = {0};
    nvl_auto(nvl_running_clear) struct nvl_running running = {0};
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0}, texts = {0};

    if (!nvl_can_ask() || ctx->json || ctx->quiet) {
        nvl_error_usage(err, "attach needs an argument: CT");
        nvl_error_hint(err, "nvlxc attach --help");
        return NULL;
    }
    if (nvl_containers_find(&ctx->root, false, &all, err) < 0)
        return NULL;
    if (all.count == 0) {
        nvl_error_set(err, -ENOENT, "this host has no LXC container that could get a GPU");
        nvl_error_hint(err, "configs for a first one: nvlxc template");
        return NULL;
    }
    nvl_running_read(&ctx->root, &running);
    for (size_t i = 0; i < all.count; i++)
        add_choice(ctx, &all, i, &running, &names, &texts);
    int which = nvl_ask_which("which container gets a GPU?", &names, &texts, err);
    return which >= 0 ? nvl_xstrdup(names.items[which]) : NULL;
}

int nvl_choose_gpu(const struct nvl_context *ctx, const struct nvl_host *host, struct nvl_grant *grant,
                   struct nvl_error *err)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0}, texts = {0};

    if (grant->devices != NVL_DEVICES_LIST || grant->n_selectors > 0 || !nvl_can_ask() || ctx->json ||
        ctx->quiet)
        return 0;
    for (size_t i = 0; i < host->gpus.count; i++) {
        const struct nvl_gpu *gpu = &host->gpus.items[i];
        if (!nvl_gpu_can_be_given(gpu))
            continue;
        const char *uuid = gpu->uuid[0] != '\0' ? gpu->uuid : gpu->pci;
        nvl_strv_pushf(&names, "%d", gpu->index);
        nvl_strv_pushf(&texts, "%s (%s)", gpu->model[0] != '\0' ? gpu->model : "GPU", uuid);
    }
    if (names.count < 2)
        return 0;
    nvl_strv_push(&texts, "all of them");
    nvl_strv_push(&names, "all");
    int which = nvl_ask_which("which GPU?", &names, &texts, err);
    if (which < 0)
        return which;
    grant->devices = strcmp(names.items[which], "all") == 0 ? NVL_DEVICES_ALL : NVL_DEVICES_LIST;
    return grant->devices == NVL_DEVICES_ALL
               ? 0
               : nvl_selector_parse(names.items[which], NVL_APPEND(grant->selectors, grant->n_selectors),
                                    err);
}
