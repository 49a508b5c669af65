/* The program: finds the command, parses its options, runs it and prints its error. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "cli/commands.h"
#include "base/machine.h"
#include "cli/globals.h"
#include "cli/progress.h"
#include "base/words.h"

static void list_group(enum nvl_group group, struct nvl_buf *out)
{
    nvl_buf_addf(out, "\n%s:\n", nvl_group_titles[group]);
    for (size_t i = 0; nvl_commands[i] != NULL; i++) {
        const struct nvl_command *c = nvl_commands[i];
        nvl_autofree char *left = nvl_xasprintf("%s %s", c->name, c->arguments);
        if (c->group == group)
            nvl_help_row(left, c->summary, NVL_HELP_COLUMN, nvl_columns(), out);
    }
}

static void print_help(void)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf out = {0};

    nvl_buf_addf(&out, "nvlxc: NVIDIA GPUs for LXC containers\n\n"
                       "usage: nvlxc [OPTION]... COMMAND [ARGUMENT]...\n");
    for (enum nvl_group g = NVL_GROUP_DAILY; g <= NVL_GROUP_PROGRAMS; g++)
        list_group(g, &out);
    nvl_buf_addf(&out, "\noptions:\n");
    nvl_options_help(nvl_global_options, nvl_columns(), &out);
    nvl_buf_addf(&out, "\n");
    nvl_help_details(
        "'nvlxc help COMMAND' says more; a command may be shortened. Exit status: 0 success, 1 failure or "
        "problem, 2 wrong command line, 3 the host lacks something.",
        nvl_columns(), &out);
    fputs(out.data, stdout);
}

static void print_command_help(const struct nvl_command *c)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf out = {0};

    nvl_buf_addf(&out, "nvlxc %s: %s\n\nusage: nvlxc %s%s%s%s\n", c->name, c->summary, c->name,
                 c->options != NULL ? " [OPTION]..." : "", c->arguments[0] != '\0' ? " " : "", c->arguments);
    if (c->options != NULL) {
        nvl_buf_addf(&out, "\noptions:\n");
        nvl_options_help(c->options, nvl_columns(), &out);
    }
    if (c->details != NULL) {
        nvl_buf_addf(&out, "\n");
        nvl_help_details(c->details, nvl_columns(), &out);
    }
    if (c->examples != NULL) {
        nvl_buf_addf(&out, "\nexamples:\n");
        nvl_examples_help(c->examples, nvl_columns(), &out);
    }
    fputs(out.data, stdout);
}

/* NULL if no command, or more than one, is meant by it; then err says so. */
static const struct nvl_command *find_command(const char *word, struct nvl_error *err)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    const struct nvl_command *found = nvl_command_find(word, &names);
    if (found != NULL)
        return found;
    nvl_error_usage(err, "unknown command '%s'", word);
    nvl_error_hint(err, "the commands: nvlxc help");
    nvl_strv_push(&names, "help"); /* words that are no command of the table */
    nvl_strv_push(&names, "version");
    nvl_word_suggest(word, &names, err);
    return NULL;
}

/* Whether the next word is this one's value: an option of all commands, which may be shortened. */
static bool takes_value(const char *word)
{
    for (const struct nvl_option *o = nvl_global_options; o->name != NULL; o++)
        if (o->value != NULL && strlen(word) > strlen("--") && nvl_has_prefix(o->name, word))
            return true;
    return false;
}

/* The command is the first word that is neither an option nor the value of an option. Only options of all
 * commands can precede it. */
static const char *command_word(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (takes_value(argv[i]))
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
        nvl_error_usage(err, "%s needs an argument: %s", c->name, c->arguments);
    } else if (arguments->count > c->max_arguments) {
        nvl_error_usage(err, "%s: unexpected argument '%s'", c->name, arguments->items[c->max_arguments]);
    } else {
        return 0;
    }
    nvl_error_hint(err, "nvlxc %s --help", c->name);
    return -EINVAL;
}

static int run_below(const struct nvl_command *c, const struct nvl_globals *globals,
                     const struct nvl_strv *arguments, void *values, struct nvl_error *err)
{
    struct nvl_context ctx = {.json = globals->json, .quiet = globals->quiet};

    int r = nvl_root_open(&ctx.root, globals->root != NULL ? globals->root : "/", err);
    if (r >= 0) {
        if (!nvl_root_is_machine(&ctx.root))
            nvl_machine_take(&ctx.root);
        nvl_root_watch(&ctx.root, geteuid() == 0);
        r = c->run(&ctx, arguments, values, err);
        nvl_progress_end();
    }
    int trouble = r >= 0 ? nvl_root_trouble(&ctx.root, err) : 0; /* what was printed may lack something */
    nvl_root_close(&ctx.root);
    return trouble < 0 ? trouble : r;
}

/* Without a command: the first of the list. */
static int run_first(const struct nvl_globals *globals, struct nvl_error *err)
{
    const struct nvl_strv none = {0};

    return run_below(nvl_commands[0], globals, &none, NULL, err);
}

/* With the options in their variables. */
static int run_parsed(const struct nvl_command *c, const struct nvl_globals *globals,
                      const struct nvl_strv *words, void *values, struct nvl_error *err)
{
    if (globals->help) {
        print_command_help(c);
        return NVL_EXIT_OK;
    }
    /* the first word is the command itself */
    struct nvl_strv arguments = {words->items + 1, words->count - 1};
    int r = check_arguments(c, &arguments, err);
    return r < 0 ? r : run_below(c, globals, &arguments, values, err);
}

static int run_named_command(const struct nvl_command *c, struct nvl_globals *globals, int argc, char **argv,
                             struct nvl_error *err)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};
    nvl_autofree void *values = nvl_xcalloc(1, c->values_size);
    const struct nvl_option_set sets[] = {{nvl_global_options, globals}, {c->options, values}};

    int r = nvl_options_parse(sets, NVL_LENGTH(sets), argc - 1, argv + 1, &words, err);
    if (r >= 0)
        r = nvl_color_choose(globals->color, globals->json || globals->quiet, err);
    if (r < 0 && err->hint[0] == '\0')
        nvl_error_hint(err, "nvlxc %s --help", c->name);
    if (r >= 0)
        r = run_parsed(c, globals, &words, values, err);
    nvl_options_clear(sets, NVL_LENGTH(sets));
    return r;
}

/* `nvlxc help [COMMAND]`, and --help alone. */
static int run_help(const struct nvl_strv *words, struct nvl_error *err)
{
    if (words->count < 2) {
        print_help();
        return NVL_EXIT_OK;
    }
    const struct nvl_command *c = find_command(words->items[1], err);
    if (c != NULL)
        print_command_help(c);
    return c != NULL ? NVL_EXIT_OK : -EINVAL;
}

static int run_program(struct nvl_globals *globals, int argc, char **argv, struct nvl_error *err)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};
    const struct nvl_option_set set = {nvl_global_options, globals};
    const char *word = command_word(argc, argv);
    bool is_about = word == NULL || strcmp(word, "help") == 0 || strcmp(word, "version") == 0;

    if (!is_about) {
        const struct nvl_command *c = find_command(word, err);
        return c != NULL ? run_named_command(c, globals, argc, argv, err) : -EINVAL;
    }
    int r = nvl_options_parse(&set, 1, argc - 1, argv + 1, &words, err);
    if (r >= 0)
        r = nvl_color_choose(globals->color, globals->json || globals->quiet, err);
    if (r < 0) {
        if (err->hint[0] == '\0')
            nvl_error_hint(err, "nvlxc help");
        return r;
    }
    if (globals->version || (word != NULL && word[0] == 'v')) {
        if (globals->json)
            return nvl_print_json(json_pack("{s:s}", "version", NVL_VERSION));
        puts("nvlxc " NVL_VERSION);
        return NVL_EXIT_OK;
    }
    return globals->help || word != NULL ? run_help(&words, err) : run_first(globals, err);
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
        if (globals.json)
            nvl_print_json_error(&err);
        else
            nvl_print_error(&err);
        return err.exit != NVL_EXIT_OK ? (int)err.exit : NVL_EXIT_FAILED;
    }
    return r;
}
