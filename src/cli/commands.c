/* The list of commands, in the order of --help. */
#include "cli/commands.h"

#include "base/words.h"

extern const struct nvl_command nvl_cmd_gpus, nvl_cmd_host, nvl_cmd_attach, nvl_cmd_detach, nvl_cmd_list,
    nvl_cmd_show, nvl_cmd_verify, nvl_cmd_doctor, nvl_cmd_driver, nvl_cmd_capture, nvl_cmd_template,
    nvl_cmd_bench, nvl_cmd_ps, nvl_cmd_top, nvl_cmd_metrics, nvl_cmd_cdi, nvl_cmd_overview, nvl_cmd_complete,
    nvl_cmd_create, nvl_cmd_gpu;

const struct nvl_command *const nvl_commands[] = {
    &nvl_cmd_overview, &nvl_cmd_create,   &nvl_cmd_attach,
    &nvl_cmd_detach,   &nvl_cmd_list,     &nvl_cmd_show,
    &nvl_cmd_verify,   &nvl_cmd_doctor,   &nvl_cmd_host,
    &nvl_cmd_driver,   &nvl_cmd_gpu,      &nvl_cmd_template,
    &nvl_cmd_gpus,     &nvl_cmd_ps,       &nvl_cmd_top,
    &nvl_cmd_metrics,  &nvl_cmd_bench,    &nvl_cmd_cdi,
    &nvl_cmd_capture,  &nvl_cmd_complete, NULL,
};

const char *const nvl_group_titles[NVL_GROUP_HIDDEN] = {
    [NVL_GROUP_DAILY] = "every day",
    [NVL_GROUP_SETUP] = "setting up",
    [NVL_GROUP_WATCH] = "watching",
    [NVL_GROUP_PROGRAMS] = "for other programs, and for bug reports",
};

const struct nvl_command *nvl_command_find(const char *word, struct nvl_strv *names)
{
    for (size_t i = 0; nvl_commands[i] != NULL; i++) {
        bool is_hidden = nvl_commands[i]->group == NVL_GROUP_HIDDEN;
        if (is_hidden && strcmp(nvl_commands[i]->name, word) == 0)
            return nvl_commands[i];
        if (!is_hidden)
            nvl_strv_push(names, nvl_commands[i]->name);
    }
    long which = nvl_word_find(word, names);
    for (size_t i = 0; which >= 0 && nvl_commands[i] != NULL; i++)
        if (strcmp(nvl_commands[i]->name, names->items[which]) == 0)
            return nvl_commands[i];
    return NULL;
}
