/* nvlxc ps: which programs use the GPUs now, in which container, and how much of the GPU's memory. */
#include <stdio.h>

#include "cli/command.h"
#include "cli/usage.h"
#include "container/target.h"

struct ps_values {
    bool watch;
};

static const struct nvl_option ps_options[] = {
    {"--watch", NULL, "again and again, below each GPU's use: nvlxc top", NVL_OPTION_FLAG,
     offsetof(struct ps_values, watch)},
    {0},
};

extern const struct nvl_command nvl_cmd_top;

struct ps {
    struct nvl_host host;
    struct nvl_containers containers;
    struct nvl_gpu_programs programs;
};

static void ps_clear(struct ps *p)
{
    nvl_gpu_programs_clear(&p->programs);
    nvl_containers_clear(&p->containers);
    nvl_host_clear(&p->host);
}

/* Adds the programs of one container (NULL: of all, and of the host) to the table or the array. */
static size_t list_programs(const struct nvl_gpu_programs *programs, const char *wanted,
                            struct nvl_table *table, json_t *array)
{
    size_t n = 0;

    for (size_t i = 0; i < programs->count; i++) {
        const struct nvl_gpu_program *row = &programs->items[i];
        if (wanted != NULL && (row->container == NULL || strcmp(row->container, wanted) != 0))
            continue;
        n++;
        if (array != NULL)
            json_array_append_new(array, nvl_program_json(row));
        else
            nvl_program_row(table, row);
    }
    return n;
}

/* As `nvlxc top` without options. */
static int watch_programs(struct nvl_context *ctx, const struct nvl_strv *arguments, struct nvl_error *err)
{
    const struct nvl_strv none = {0};
    nvl_autofree void *values = nvl_xcalloc(1, nvl_cmd_top.values_size);

    if (arguments->count > 0)
        return nvl_error_usage(err, "ps: --watch shows all programs, so it takes no container ('%s')",
                               arguments->items[0]);
    return nvl_cmd_top.run(ctx, &none, values, err);
}

static int run_ps(struct nvl_context *ctx, const struct nvl_strv *arguments, void *data,
                  struct nvl_error *err)
{
    nvl_auto(ps_clear) struct ps p = {0};
    nvl_autofree char *wanted = NULL;
    nvl_autofree struct nvl_container *one = NULL;
    const struct ps_values *values = data;

    if (values->watch)
        return watch_programs(ctx, arguments, err);
    int r = nvl_host_read(&p.host, &ctx->root, NVL_GPUS_PROC, err);
    if (r == 0)
        r = nvl_containers_find(&ctx->root, false, &p.containers, err);
    if (r == 0 && arguments->count > 0) {
        r = nvl_container_by_name(&ctx->root, &p.containers, arguments->items[0], &one, err);
        wanted = r == 0 ? nvl_container_full_name(&p.containers, one) : NULL;
    }
    if (r == 0)
        r = nvl_gpu_programs_read(&p.host, &p.containers, &p.programs, NULL, err);
    if (r < 0)
        return r;
    if (ctx->json) {
        json_t *array = json_array();
        list_programs(&p.programs, wanted, NULL, array);
        nvl_print_json(json_pack("{s:o}", "processes", array));
        return NVL_EXIT_OK;
    }
    struct nvl_table *table = nvl_program_table_new();
    size_t n = list_programs(&p.programs, wanted, table, NULL);
    if (n > 0 && !ctx->quiet)
        nvl_table_print(table, stdout);
    nvl_table_free(table);
    if (n == 0)
        nvl_say(ctx, "%s uses a GPU now", wanted != NULL ? "nothing in that container" : "no program");
    return NVL_EXIT_OK;
}

static const struct nvl_example ps_examples[] = {
    {"ps", "which programs use the GPUs, and whose they are"},
    {"ps 101", "those of CT 101: is Ollama's model on the GPU?"},
    {"ps --watch", "again and again, with how busy the GPUs are: the same as top"},
    {"--json ps | jq", "the same for a script"},
    {0},
};

const struct nvl_command nvl_cmd_ps = {
    .name = "ps",
    .arguments = "[CT]",
    .group = NVL_GROUP_WATCH,
    .summary = "list the programs that use the GPUs, with their memory",
    .details = "It lists the programs of the host and of all containers, or only those of CT,\n"
               "with the host's process numbers. \"-\" stands for the host, and for memory that\n"
               "the driver does not report. Programs that have a GPU's node open but run no work\n"
               "on it are left out.",
    .examples = ps_examples,
    .max_arguments = 1,
    .argument_values = "@containers",
    .options = ps_options,
    .values_size = sizeof(struct ps_values),
    .run = run_ps,
};
