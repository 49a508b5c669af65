/* The list of commands, in the order of --help. */
#include "cli/command.h"

extern const struct nvl_command nvl_cmd_gpus, nvl_cmd_host, nvl_cmd_attach, nvl_cmd_detach, nvl_cmd_list,
    nvl_cmd_show, nvl_cmd_verify, nvl_cmd_doctor, nvl_cmd_driver, nvl_cmd_capture, nvl_cmd_template,
    nvl_cmd_bench, nvl_cmd_ps, nvl_cmd_metrics, nvl_cmd_cdi;

const struct nvl_command *const nvl_commands[] = {
    &nvl_cmd_gpus,     &nvl_cmd_host,    &nvl_cmd_attach, &nvl_cmd_detach,
    &nvl_cmd_list,     &nvl_cmd_show,    &nvl_cmd_verify, &nvl_cmd_doctor,
    &nvl_cmd_ps,       &nvl_cmd_metrics, &nvl_cmd_driver, &nvl_cmd_capture,
    &nvl_cmd_template, &nvl_cmd_cdi,     &nvl_cmd_bench,  NULL,
};
