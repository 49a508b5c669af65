/* The start hook's call: arguments, then variables, as liblxc or anybody gives them. The hook's own main is
 * not called. */
#define main hook_main
#include "hook/main.c"
#undef main

#include "fuzz.h"

#define ARGUMENTS_MAX 8

static void set_variable(const char *name, struct fuzz_input *in)
{
    nvl_autofree char *value = fuzz_text(in);

    if (value[0] != '\0')
        setenv(name, value, 1);
}

void fuzz_one(const char *data, size_t len)
{
    struct fuzz_input in = {data, len};
    nvl_auto(clear_hook_call) struct nvl_hook_call call = {0};
    nvl_auto(nvl_outcome_clear) struct nvl_outcome outcome = {0};
    char *argv[ARGUMENTS_MAX + 2] = {(char *)"hook"};
    int argc = 1;

    for (unsigned n = fuzz_choice(&in, ARGUMENTS_MAX); n > 0; n--)
        argv[argc++] = fuzz_text(&in);
    set_variable("LXC_HOOK_TYPE", &in);
    set_variable("LXC_NAME", &in);
    set_variable(NVL_ENV_DEVICES, &in);
    set_variable(NVL_ENV_CAPABILITIES, &in);
    set_variable(NVL_ENV_GPUS, &in);
    read_call(argc, argv, &call);
    CHECK(environ == NULL || *environ == NULL);
    CHECK((call.delivery.with & NVL_WITH_IMEX) == 0 || call.delivery.imex_channel <= NVL_IMEX_CHANNEL_MAX);
    nvl_strv_pushf(&outcome.problems, "unknown hook '%s'", call.type != NULL ? call.type : "");
    nvl_strv_pushf(&outcome.notes, "%s", call.devices != NULL ? call.devices : "");
    nvl_autofree char *line = format_line(&outcome, call.container != NULL ? call.container : "?", true);
    for (const char *c = line; *c != '\0'; c++)
        CHECK((unsigned char)*c >= ' ' && *c != 0x7f);
    for (int i = 1; i < argc; i++)
        free(argv[i]);
}
