/* The program: finds the command, parses its options, runs it and prints its error. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>

#include "base/printable.h"
#include "cli/command.h"
#include "cli/globals.h"

static void print_help(void)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf out = {0};

    nvl_buf_addf(&out, "nvlxc: NVIDIA GPUs for LXC containers\n\n"
                       "usage: nvlxc [OPTION]... COMMAND [ARGUMENT]...\n\ncommands:\n");
    for (size_t i = 0; nvl_commands[i] != NULL; i++) {
        const struct nvl_command *c = nvl_commands[i];
        nvl_autofree char *left = nvl_xasprintf("%s %s", c->name, c->arguments);
        nvl_buf_addf(&out, "  %-22s %s\n", left, c->summary);
    }
    nvl_buf_addf(&out, "\noptions:\n");
    nvl_options_help(nvl_global_options, &out);
    nvl_buf_addf(&out, "\nRun 'nvlxc COMMAND --help' for more. Exit status: 0 success, 1 failure or a\n"
                       "problem was found, 2 wrong command line, 3 the host lacks what the command\n"
                       "needs.\n");
    fputs(out.data, stdout);
}

static void print_command_help(const struct nvl_command *c)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf out = {0};

    nvl_buf_addf(&out, "nvlxc %s: %s\n\nusage: nvlxc %s%s%s%s\n", c->name, c->summary, c->name,
                 c->options != NULL ? " [OPTION]..." : "", c->arguments[0] != '\0' ? " " : "", c->arguments);
    if (c->options != NULL) {
        nvl_buf_addf(&out, "\noptions:\n");
        nvl_options_help(c->options, &out);
    }
    if (c->details != NULL)
        nvl_buf_addf(&out, "\n%s\n", c->details);
    fputs(out.data, stdout);
}

static const struct nvl_command *find_command(const char *name)
{
    for (size_t i = 0; nvl_commands[i] != NULL; i++)
        if (strcmp(nvl_commands[i]->name, name) == 0)
            return nvl_commands[i];
    return NULL;
}

/* The command is the first word that is neither an option nor the value of an option. Of the options that can
 * precede it, only --root takes a value. */
static const char *command_word(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--root") == 0)
            i++;
        else if (argv[i][0] != '-')
            return argv[i];
    }
    return NULL;
}

static int check_arguments(const struct nvl_command *c, const struct nvl_strv *arguments,
                           struct nvl_error *err)
{
    if (arguments->count < c->min_arguments) {
        nvl_error_usage(err, "%s needs an argument: nvlxc %s %s", c->name, c->name, c->arguments);
    } else if (arguments->count > c->max_arguments) {
        nvl_error_usage(err, "%s: unexpected argument '%s'", c->name, arguments->items[c->max_arguments]);
    } else {
        return 0;
    }
    nvl_error_hint(err, "see 'nvlxc %s --help'", c->name);
    return -EINVAL;
}

static int run_named_command(const struct nvl_command *c, struct nvl_globals *globals, int argc, char **argv,
                             struct nvl_error *err)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};
    nvl_autofree void *values = nvl_xcalloc(1, c->values_size);
    const struct nvl_option_set sets[] = {{nvl_global_options, globals}, {c->options, values}};

    int r = nvl_options_parse(sets, NVL_LENGTH(sets), argc - 1, argv + 1, &words, err);
    if (r < 0) {
        nvl_error_hint(err, "see 'nvlxc %s --help'", c->name);
        return r;
    }
    if (globals->help) {
        print_command_help(c);
        return NVL_EXIT_OK;
    }
    /* the first word is the command itself */
    struct nvl_strv arguments = {words.items + 1, words.count - 1};
    r = check_arguments(c, &arguments, err);
    if (r < 0)
        return r;

    struct nvl_context ctx = {.json = globals->json, .quiet = globals->quiet};
    r = nvl_root_open(&ctx.root, globals->root != NULL ? globals->root : "/", err);
    if (r >= 0)
        r = c->run(&ctx, &arguments, values, err);
    nvl_root_close(&ctx.root);
    return r;
}

static int run_program(struct nvl_globals *globals, int argc, char **argv, struct nvl_error *err)
{
    const char *word = command_word(argc, argv);

    if (word != NULL) {
        const struct nvl_command *c = find_command(word);
        if (c != NULL)
            return run_named_command(c, globals, argc, argv, err);
        nvl_error_usage(err, "unknown command '%s'", word);
        nvl_error_hint(err, "'nvlxc --help' lists the commands");
        return -EINVAL;
    }
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};
    const struct nvl_option_set set = {nvl_global_options, globals};
    int r = nvl_options_parse(&set, 1, argc - 1, argv + 1, &words, err);
    if (r < 0) {
        nvl_error_hint(err, "see 'nvlxc --help'");
        return r;
    }
    if (globals->version) {
        puts("nvlxc " NVL_VERSION);
        return NVL_EXIT_OK;
    }
    if (!globals->help) {
        nvl_error_usage(err, "no command given");
        nvl_error_hint(err, "'nvlxc --help' lists the commands");
        return -EINVAL;
    }
    print_help();
    return NVL_EXIT_OK;
}

static void print_error(const struct nvl_error *err, bool json)
{
    if (json) {
        json_t *object = json_pack("{s:{s:o,s:o,s:i}}", "error", "message", nvl_json_text(err->message),
                                   "hint", nvl_json_string(err->hint), "status", (int)err->exit);
        json_dumpf(object, stderr, JSON_COMPACT);
        fputc('\n', stderr);
        json_decref(object);
    } else {
        nvl_autofree char *text =
            nvl_xasprintf("%s%s%s", err->message, err->hint[0] != '\0' ? "; " : "", err->hint);
        fprintf(stderr, "nvlxc: %s\n", nvl_make_printable(text));
    }
}

/* Without this jansson would open /dev/urandom for bytes that the kernel has already given the process. */
static void seed_json(void)
{
    size_t seed = 0;

    memcpy(&seed, (const void *)getauxval(AT_RANDOM), sizeof seed);
    json_object_seed(seed);
}

int main(int argc, char **argv)
{
    struct nvl_globals globals = {0};
    struct nvl_error err = {0};

    seed_json();
    int r = run_program(&globals, argc, argv, &err);
    /* the output must have reached its reader */
    if ((fflush(stdout) != 0 || ferror(stdout)) && r >= 0) {
        r = nvl_error_errno(&err, -errno, "cannot write the output");
    }
    if (r < 0) {
        /* a parse that failed halfway may not have reached --json */
        for (int i = 1; i < argc && !globals.json; i++)
            globals.json = strcmp(argv[i], "--json") == 0;
        print_error(&err, globals.json);
        return err.exit != NVL_EXIT_OK ? (int)err.exit : NVL_EXIT_FAILED;
    }
    return r;
}
