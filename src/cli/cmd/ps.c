/* nvlxc ps: which programs use the GPUs now, in which container, and how much of the GPU's memory. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "apply/open_files.h"
#include "cli/command.h"
#include "cli/usage.h"
#include "container/state.h"
#include "container/target.h"

struct ps_values {
    bool watch, open;
};

static const struct nvl_option ps_options[] = {
    {"--watch", NULL, "again and again, below each GPU's use: nvlxc top", NVL_OPTION_FLAG,
     offsetof(struct ps_values, watch)},
    {"--open", NULL, "who has a device node open; asks the kernel, not NVML", NVL_OPTION_FLAG,
     offsetof(struct ps_values, open)},
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

/* ---- --open ---- */

static int check_open(const struct nvl_context *ctx, struct nvl_error *err)
{
    if (!nvl_root_is_machine(&ctx->root))
        return nvl_error_usage(err, "ps: --open asks this machine's kernel, so it does not take --root");
    if (geteuid() == 0)
        return 0;
    nvl_error_host(err, -EPERM, "only root sees which programs have a device open");
    nvl_error_hint(err, "run it as root");
    return -EPERM;
}

/* Those of one container, or with NULL all. */
static int list_openers(struct nvl_context *ctx, const struct ps *p, const char *wanted)
{
    static const char *const columns[] = {"CONTAINER", "PID", "PROGRAM", "OPEN", NULL};
    nvl_auto(nvl_programs_clear) struct nvl_programs programs = {0};
    struct nvl_table *table = nvl_table_new(columns);
    json_t *array = json_array();
    size_t n = 0;

    nvl_programs_of_driver(&p->host, &programs);
    for (size_t i = 0; i < programs.count; i++) {
        const struct nvl_program *program = &programs.items[i];
        nvl_autofree char *container = nvl_container_of_process(p->host.root, &p->containers, program->pid),
                          *open = NULL, *pid = nvl_xasprintf("%d", (int)program->pid);
        if (wanted != NULL && (container == NULL || strcmp(container, wanted) != 0))
            continue;
        open = nvl_strv_join(&program->devices, " ");
        const char *const cells[] = {container, pid, program->name, open};
        nvl_table_row(table, cells);
        json_array_append_new(array,
                              json_pack("{s:o,s:i,s:o,s:o}", "container", nvl_json_string(container), "pid",
                                        (int)program->pid, "program", nvl_json_text(program->name),
                                        "open_nodes", nvl_json_strings(&program->devices)));
        n++;
    }
    if (ctx->json) {
        nvl_print_json(json_pack("{s:O}", "programs", array));
    } else if (n > 0 && !ctx->quiet) {
        nvl_table_print(table, stdout);
    } else if (!p->host.driver.loaded) {
        nvl_say(ctx, "NVIDIA's kernel module is not loaded: nothing can have its nodes open");
    } else {
        nvl_say(ctx, "no program %shas a device node of NVIDIA's driver open now",
                wanted != NULL ? "in that container " : "");
    }
    json_decref(array);
    nvl_table_free(table);
    return NVL_EXIT_OK;
}

static int list_users(struct nvl_context *ctx, const struct ps *p, const char *wanted)
{
    if (ctx->json) {
        json_t *array = json_array();
        list_programs(&p->programs, wanted, NULL, array);
        return nvl_print_json(json_pack("{s:o}", "processes", array));
    }
    struct nvl_table *table = nvl_program_table_new();
    size_t n = list_programs(&p->programs, wanted, table, NULL);
    if (n > 0 && !ctx->quiet)
        nvl_table_print(table, stdout);
    nvl_table_free(table);
    if (n == 0)
        nvl_say(ctx, "%s uses a GPU now", wanted != NULL ? "nothing in that container" : "no program");
    return NVL_EXIT_OK;
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
    int r = values->open ? check_open(ctx, err) : 0;
    if (r == 0)
        r = nvl_host_read(&p.host, &ctx->root, values->open ? NVL_GPUS_DRI : NVL_GPUS_PROC, err);
    if (r == 0)
        r = nvl_containers_find(&ctx->root, false, &p.containers, err);
    nvl_warn_all(&p.containers.unread);
    if (r == 0 && arguments->count > 0) {
        r = nvl_container_by_name(&ctx->root, &p.containers, arguments->items[0], &one, err);
        wanted = r == 0 ? nvl_container_full_name(&p.containers, one) : NULL;
    }
    if (r == 0 && values->open)
        return list_openers(ctx, &p, wanted);
    if (r == 0)
        r = nvl_gpu_programs_read(&p.host, &p.containers, &p.programs, NULL, err);
    return r == 0 ? list_users(ctx, &p, wanted) : r;
}

static const struct nvl_example ps_examples[] = {
    {"ps", "which programs use the GPUs, and whose they are"},
    {"ps 101", "those of CT 101: is Ollama's model on the GPU?"},
    {"ps --open", "who keeps the driver in use, also while NVML does not answer"},
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
               "on it are left out; --open lists just these, too: whoever keeps the driver's\n"
               "modules in use, and a GPU with them.",
    .examples = ps_examples,
    .max_arguments = 1,
    .argument_values = "@containers",
    .options = ps_options,
    .values_size = sizeof(struct ps_values),
    .run = run_ps,
};
