/* nvlxc gpu lend|back|hookscript: one GPU for the containers and a virtual machine, by turns. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/progress.h"
#include "lend/back.h"
#include "lend/hookscript.h"
#include "lend/lend.h"

struct gpu_values {
    const char *vm, *storage;
    bool stop, dry_run;
};

static const struct nvl_option gpu_options[] = {
    {"--to-vm", "VMID", "lend: the virtual machine that gets it, for messages and for the hookscript",
     NVL_OPTION_STRING, offsetof(struct gpu_values, vm)},
    {"--stop", NULL, "lend, hookscript: end the programs in containers that have it open", NVL_OPTION_FLAG,
     offsetof(struct gpu_values, stop)},
    {"--storage", "NAME", "hookscript install: where the script goes", NVL_OPTION_STRING,
     offsetof(struct gpu_values, storage), .default_value = "the first that allows snippets"},
    {"--dry-run", NULL, "lend, back: show what stands in the way, change nothing", NVL_OPTION_FLAG,
     offsetof(struct gpu_values, dry_run)},
    {0},
};

extern const struct nvl_command nvl_cmd_gpus;

/* What the words of the command line come to. */
struct gpu_line {
    const char *verb; /* "lend", "back", "install", "remove", "run" */
    const char *gpu, *vm, *phase;
};

static bool is_vmid(const char *text)
{
    uint64_t number;

    return nvl_parse_uint(text, 10, 999999999, &number) == 0 && number >= 100;
}

static int read_hookscript_line(const struct nvl_strv *words, struct gpu_line *line, struct nvl_error *err)
{
    static const char usage[] = "gpu hookscript: install VMID, or remove VMID";
    const char *verb = words->count > 1 ? words->items[1] : "";
    bool is_run = strcmp(verb, "run") == 0;

    if (!is_run && strcmp(verb, "install") != 0 && strcmp(verb, "remove") != 0)
        return nvl_error_usage(err, "%s", usage);
    if (words->count < 3 || words->count > (is_run ? 4 : 3) || (is_run && words->count < 4))
        return nvl_error_usage(err, "%s",
                               is_run ? "gpu hookscript run: VMID PHASE, as Proxmox VE calls it" : usage);
    if (!is_vmid(words->items[2]))
        return nvl_error_usage(err, "gpu hookscript: '%s' is no VM's number", words->items[2]);
    *line = (struct gpu_line){.verb = verb, .vm = words->items[2], .phase = is_run ? words->items[3] : NULL};
    return 0;
}

static int read_line(const struct nvl_strv *words, const struct gpu_values *values, struct gpu_line *line,
                     struct nvl_error *err)
{
    const char *verb = words->items[0];
    bool is_lend = strcmp(verb, "lend") == 0;

    if (values->vm != NULL && (!is_lend || !is_vmid(values->vm)))
        return nvl_error_usage(err,
                               is_lend ? "gpu lend --to-vm: '%s' is no VM's number"
                                       : "gpu: --to-vm %s works only with lend",
                               values->vm);
    if (strcmp(verb, "hookscript") == 0)
        return read_hookscript_line(words, line, err);
    if (!is_lend && strcmp(verb, "back") != 0)
        return nvl_error_usage(err, "gpu: unknown word '%s': lend, back or hookscript", verb);
    if (words->count > 2)
        return nvl_error_usage(err, "gpu %s: unexpected argument '%s'", verb, words->items[2]);
    *line =
        (struct gpu_line){.verb = verb, .gpu = words->count > 1 ? words->items[1] : NULL, .vm = values->vm};
    return 0;
}

static int check_is_root(const struct nvl_context *ctx, const char *verb, struct nvl_error *err)
{
    if (!nvl_root_is_machine(&ctx->root))
        return nvl_error_usage(err, "gpu %s changes this machine's drivers, so it does not take --root",
                               verb);
    if (geteuid() == 0)
        return 0;
    nvl_error_host(err, -EPERM, "gpu %s must run as root", verb);
    nvl_error_hint(err, "sudo nvlxc gpu %s", verb);
    return -EPERM;
}

static json_t *steps_json(const struct nvl_handover *handover)
{
    json_t *array = json_array();

    for (size_t i = 0; i < handover->n_steps; i++)
        json_array_append_new(array, json_pack("{s:o,s:I}", "what", nvl_json_text(handover->steps[i].what),
                                               "milliseconds", (json_int_t)handover->steps[i].millis));
    return array;
}

static int print_handover_json(const struct nvl_handover *handover, const char *verb, bool dry_run)
{
    return nvl_print_json(json_pack(
        "{s:s,s:s,s:b,s:b,s:o,s:o,s:o}", "action", verb, "pci", handover->pci, "dry_run", (int)dry_run,
        "changed", (int)(!dry_run && !handover->was_done), "handover", steps_json(handover), "notes",
        nvl_json_strings(&handover->notes), "problems", nvl_json_strings(&handover->problems)));
}

/* "is lent to VM 101", and what it would be, or was before. */
static void say_result(const struct nvl_context *ctx, const struct gpu_line *line,
                       const struct nvl_handover *handover, bool dry_run)
{
    bool is_lend = strcmp(line->verb, "lend") == 0;
    const char *to = line->vm != NULL ? " to VM " : "", *vm = line->vm != NULL ? line->vm : "";

    if (is_lend && dry_run)
        nvl_say_fact(ctx, "", "%s can be lent%s%s", handover->gpu, to, vm);
    else if (is_lend)
        nvl_say_fact(ctx, "", "%s is %s%s%s", handover->gpu,
                     handover->was_done ? "with vfio-pci already" : "lent", handover->was_done ? "" : to,
                     handover->was_done ? "" : vm);
    else if (dry_run)
        nvl_say_fact(ctx, "", "%s can come back", handover->gpu);
    else
        nvl_say_fact(ctx, "", "%s is %s", handover->gpu,
                     handover->was_done ? "here: it was not lent" : "back");
}

static void say_handover(const struct nvl_context *ctx, const struct gpu_line *line,
                         const struct nvl_handover *handover, bool dry_run)
{
    for (size_t i = 0; i < handover->n_steps; i++)
        nvl_say_fact(ctx, "  ", "%s (%.2f s)", handover->steps[i].what,
                     (double)handover->steps[i].millis / 1000);
    say_result(ctx, line, handover, dry_run);
    for (size_t i = 0; i < handover->notes.count; i++)
        nvl_say_fact(ctx, "", "note: %s", handover->notes.items[i]);
    nvl_warn_all(&handover->problems);
}

static int hand_over(struct nvl_context *ctx, const struct gpu_line *line, const struct gpu_values *values,
                     struct nvl_error *err)
{
    nvl_auto(nvl_handover_clear) struct nvl_handover handover = {0};
    const struct nvl_handover_request request = {.root = &ctx->root,
                                                 .gpu = line->gpu,
                                                 .vm = line->vm,
                                                 .stop = values->stop,
                                                 .dry_run = values->dry_run,
                                                 .note = nvl_progress_note,
                                                 .note_data = ctx};

    int r = strcmp(line->verb, "lend") == 0 ? nvl_lend(&request, &handover, err)
                                            : nvl_back(&request, &handover, err);
    nvl_progress_end();
    if (r < 0)
        return r;
    if (ctx->json)
        print_handover_json(&handover, line->verb, values->dry_run);
    else
        say_handover(ctx, line, &handover, values->dry_run);
    return handover.problems.count > 0 ? NVL_EXIT_FAILED : NVL_EXIT_OK;
}

static int change_hookscript(struct nvl_context *ctx, const struct gpu_line *line,
                             const struct gpu_values *values, struct nvl_error *err)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv done = {0};
    int r;

    if (strcmp(line->verb, "install") == 0)
        r = nvl_hookscript_install(&ctx->root, line->vm, values->storage, values->stop, &done, err);
    else if (strcmp(line->verb, "remove") == 0)
        r = nvl_hookscript_remove(&ctx->root, line->vm, &done, err);
    else
        r = nvl_hookscript_run(&ctx->root, line->vm, line->phase, values->stop, &done, err);
    if (ctx->json && r == 0)
        return nvl_print_json(json_pack("{s:s,s:s,s:o}", "action", line->verb, "vm", line->vm, "done",
                                        nvl_json_strings(&done)));
    for (size_t i = 0; i < done.count; i++)
        nvl_say_fact(ctx, "", "%s", done.items[i]);
    if (r == 0 && done.count == 0 && strcmp(line->verb, "remove") == 0)
        nvl_say(ctx, "VM %s has no hookscript of nvlxc", line->vm);
    return r;
}

static int run_gpu(struct nvl_context *ctx, const struct nvl_strv *arguments, void *data,
                   struct nvl_error *err)
{
    const struct gpu_values *values = data;
    struct gpu_line line = {0};

    if (arguments->count == 0) {
        nvl_autofree void *none = nvl_xcalloc(1, nvl_cmd_gpus.values_size);
        return nvl_cmd_gpus.run(ctx, arguments, none, err);
    }
    int r = read_line(arguments, values, &line, err);
    if (r == 0)
        r = check_is_root(ctx, arguments->items[0], err);
    if (r < 0)
        return r;
    return strcmp(line.verb, "lend") == 0 || strcmp(line.verb, "back") == 0
               ? hand_over(ctx, &line, values, err)
               : change_hookscript(ctx, &line, values, err);
}

static const struct nvl_example gpu_examples[] = {
    {"gpu lend 0 --dry-run", "can it be lent: who uses it, and what else stands in the way"},
    {"gpu lend 0 --to-vm 101", "take it from the containers, for VM 101"},
    {"gpu back 0", "give it back to the containers, those that run get it at once"},
    {"gpu hookscript install 101", "do both whenever VM 101 starts and stops"},
    {0},
};

const struct nvl_command nvl_cmd_gpu = {
    .name = "gpu",
    .arguments = "[lend|back] [GPU]",
    .group = NVL_GROUP_SETUP,
    .summary = "lend a GPU to a virtual machine, and take it back",
    .details = "lend        takes the GPU from running containers and from NVIDIA's driver and\n"
               "            gives it to vfio-pci, with its sound and USB, without a reboot. It\n"
               "            refuses while a program has it open; --stop ends those in containers.\n"
               "back        gives it back to NVIDIA's driver, and to every running container\n"
               "            that is granted it; also a GPU that Proxmox VE took by itself.\n"
               "hookscript  install VMID, remove VMID: Proxmox VE then calls both when the\n"
               "            virtual machine starts and stops. A start that fails gives the GPU\n"
               "            back, too.\n"
               "alone       lists the GPUs, as `nvlxc gpus` does.",
    .examples = gpu_examples,
    .max_arguments = 4,
    .argument_values = "lend\tto a virtual machine\n"
                       "back\tto the containers\n"
                       "hookscript\tboth, when a virtual machine starts and stops\n"
                       "@gpus",
    .options = gpu_options,
    .values_size = sizeof(struct gpu_values),
    .run = run_gpu,
};
