/* nvlxc complete: what can stand at the end of a command line that is being typed, for the completions of the
 * shells. Commands, options and values come from the tables that the parser and --help use; the rest is
 * looked up on the host.
 *
 * It prints lines "WORD" or "WORD<tab>WHAT IT IS". A line that begins with a tab is for the shell: "files"
 * and "folders" ask for its own completion of paths, "commas" says that another word may follow the comma. A
 * shell may take each word as it is: one that a container's user chose is left out unless it is plain.
 * Whatever goes wrong, it prints less and succeeds. */
#include <ctype.h>
#include <stdio.h>

#include "base/printable.h"
#include "base/machine.h"
#include "bundle/list.h"
#include "cli/commands.h"
#include "cli/globals.h"
#include "container/target.h"
#include "grant/grant.h"
#include "host/pci_mappings.h"
#include "host/userspace.h"
#include "template/template.h"
#include "verify/verify.h"

/* The command line: all its words but the last have been typed. */
struct line {
    const struct nvl_command *command; /* NULL: not typed yet */
    const struct nvl_option *pending;  /* its value is next */
    const char *root;                  /* the value of --root */
    struct nvl_strv options;           /* names of those that are there */
    struct nvl_strv arguments;
    bool has_ended; /* by "--" */
    bool is_help;   /* "nvlxc help" */
    bool is_lost;   /* there is no such command */
};

/* What is asked for, and where the answer goes. */
struct completion {
    struct nvl_root root;
    const char *before;    /* precedes each word: "--gpu=", "compute," */
    const char *begins;    /* with this, each word begins */
    struct nvl_strv given; /* words that are there already */
    struct nvl_buf out;
};

/* A word of the program's own. */
static void offer(struct completion *c, const char *word, const char *what)
{
    nvl_autofree char *text = nvl_make_printable(nvl_xstrdup(what));

    if (!nvl_has_prefix(word, c->begins) || nvl_strv_contains(&c->given, word))
        return;
    for (char *at = text; *at != '\0'; at++)
        *at = *at == '\n' || *at == '\t' ? ' ' : *at;
    nvl_buf_addf(&c->out, "%s%s%s%s\n", c->before, word, text[0] != '\0' ? "\t" : "", text);
}

/* A word that somebody else chose. */
static void offer_name(struct completion *c, const char *name, const char *what)
{
    if (nvl_is_plain(name) && name[0] != '-' && name[0] != '\0')
        offer(c, name, what);
}

/* ---- what the host has ---- */

/* By its name, and by its hostname where one has begun to type that. */
static void offer_container(struct completion *c, const char *name, const struct nvl_container *container,
                            const char *hostname, bool is_running)
{
    nvl_autofree char *kind = nvl_container_kind_text(container);
    nvl_autofree char *what =
        nvl_xasprintf("%s, %s", hostname != NULL ? hostname : kind, is_running ? "running" : "stopped");

    offer_name(c, name, what);
    if (hostname != NULL && c->begins[0] != '\0' && strcmp(hostname, name) != 0) {
        nvl_autofree char *of = nvl_xasprintf("%s %s, %s", kind, name, is_running ? "running" : "stopped");
        offer_name(c, hostname, of);
    }
}

static void find_container(struct completion *c, const struct nvl_containers *all, size_t i,
                           const struct nvl_running *running, bool needs_grant)
{
    nvl_autofree struct nvl_container *container = nvl_container_at(all, i);
    nvl_autofree char *name = nvl_container_full_name(all, container);
    struct nvl_config nvl_auto(nvl_config_clear) config = {0};
    struct nvl_effective nvl_auto(nvl_effective_clear) effective = {0};
    struct nvl_grant nvl_auto(nvl_grant_clear) grant = {0};
    struct nvl_error err = {0};

    bool is_read = nvl_container_read_config(&c->root, container, &config, &err) == 0;
    if (needs_grant && is_read)
        nvl_effective_read(&c->root, container, &config, &effective, &err);
    if (needs_grant && (!is_read || nvl_effective_grant(&effective, &grant, &err) <= 0))
        return;
    const char *hostname =
        is_read && container->kind == NVL_CONTAINER_PVE ? nvl_config_get(&config, "hostname") : NULL;
    offer_container(c, name, container, hostname, nvl_running_has(running, container));
}

static void complete_containers(struct completion *c, bool needs_grant)
{
    struct nvl_containers nvl_auto(nvl_containers_clear) all = {0};
    nvl_auto(nvl_running_clear) struct nvl_running running = {0};
    struct nvl_error err = {0};

    if (nvl_containers_find(&c->root, false, &all, &err) < 0)
        return;
    nvl_running_read(&c->root, &running);
    for (size_t i = 0; i < all.count; i++)
        find_container(c, &all, i, &running, needs_grant);
}

static void offer_migs(struct completion *c, const struct nvl_gpu *gpu)
{
    for (size_t i = 0; i < gpu->n_migs && gpu->uuid[0] != '\0'; i++) {
        nvl_autofree char *word = nvl_mig_uuid(gpu, &gpu->migs[i]);
        nvl_autofree char *what = nvl_xasprintf("MIG device %u/%u of GPU %d, %s", gpu->migs[i].gi,
                                                gpu->migs[i].ci, gpu->index, gpu->model);
        offer(c, word, what);
    }
}

static void offer_mappings(struct completion *c)
{
    nvl_auto(nvl_pci_mappings_clear) struct nvl_pci_mappings mappings = {0};
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    nvl_pci_mappings_read(&c->root, NULL, NULL, &mappings);
    nvl_pci_mapping_names(&mappings, &names);
    for (size_t i = 0; i < names.count; i++) {
        nvl_autofree char *word = nvl_xasprintf("mapping:%s", names.items[i]);
        offer(c, word, "Proxmox's mapping, of the node where it starts");
    }
}

/* Indexes first: they are short. */
static void complete_gpus(struct completion *c, bool unused)
{
    nvl_auto(nvl_gpus_clear) struct nvl_gpus gpus = {0};
    struct nvl_error err = {0};

    (void)unused;
    if (nvl_gpus_read(&c->root, NVL_GPUS_PROC, &gpus, &err) < 0)
        return;
    for (size_t i = 0; i < gpus.count; i++) {
        nvl_autofree char *index = nvl_xasprintf("%d", gpus.items[i].index);
        if (gpus.items[i].index >= 0)
            offer(c, index, gpus.items[i].model);
    }
    for (size_t i = 0; i < gpus.count; i++) {
        const struct nvl_gpu *gpu = &gpus.items[i];
        nvl_autofree char *what = nvl_xasprintf("GPU %d, %s", gpu->index, gpu->model);
        if (gpu->index >= 0 && gpu->uuid[0] != '\0')
            offer(c, gpu->uuid, what);
        offer_migs(c, gpu);
    }
    offer_mappings(c);
}

/* With workloads: those of verify, and templates that name one of them. */
static void complete_templates(struct completion *c, bool with_workloads)
{
    nvl_auto(nvl_templates_clear) struct nvl_templates all = {0};
    nvl_auto(nvl_strv_clear) struct nvl_strv problems = {0};
    struct nvl_error err = {0};

    nvl_templates_read(NULL, &all, &problems, &err);
    for (size_t i = 0; i < all.count; i++) {
        if (with_workloads && all.items[i].verify == NULL)
            continue;
        offer_name(c, all.items[i].name, all.items[i].summary);
        nvl_strv_push(&c->given, all.items[i].name);
    }
    for (size_t i = 0; with_workloads && nvl_verify_workloads[i] != NULL; i++)
        offer(c, nvl_verify_workloads[i], "");
}

static void complete_versions(struct completion *c, bool unused)
{
    struct nvl_driver_version loaded = {0};
    nvl_auto(nvl_userspace_clear) struct nvl_userspace userspace = {0};
    nvl_auto(nvl_bundles_clear) struct nvl_bundles bundles = {0};
    struct nvl_error err = {0};

    (void)unused;
    if (nvl_driver_version_read(&c->root, &loaded, &err) < 0 ||
        nvl_userspace_read(&c->root, &userspace, &err) < 0)
        return;
    nvl_bundles_list(&c->root, &loaded, &userspace, &bundles, &err);
    for (size_t i = 0; i < bundles.count; i++) {
        const struct nvl_bundle *b = &bundles.items[i];
        offer_name(c, b->version, b->loaded ? "loaded" : b->pending ? "for the next boot" : "not loaded");
        nvl_strv_push(&c->given, b->version);
    }
    for (size_t i = 0; i < userspace.versions.count; i++)
        offer_name(c, userspace.versions.items[i], "installed, without a bundle");
}

/* The shell does it. */
static void complete_paths(struct completion *c, bool only_folders)
{
    nvl_buf_addf(&c->out, "\t%s\n", only_folders ? "folders" : "files");
}

/* What the tables of options and commands can ask for. */
static const struct {
    const char *name;
    void (*complete)(struct completion *c, bool which);
    bool which;
} sources[] = {
    {"@containers", complete_containers, false},
    {"@granted", complete_containers, true},
    {"@gpus", complete_gpus, false},
    {"@templates", complete_templates, false},
    {"@workloads", complete_templates, true},
    {"@versions", complete_versions, false},
    {"@files", complete_paths, false},
    {"@folders", complete_paths, true},
};

static void complete_source(struct completion *c, const char *name)
{
    for (size_t i = 0; i < NVL_LENGTH(sources); i++)
        if (strcmp(sources[i].name, name) == 0)
            sources[i].complete(c, sources[i].which);
}

/* ---- what the tables have ---- */

enum part { PART_WORDS = 1, PART_SOURCES = 2, PART_ALL = 3 };

static void complete_values(struct completion *c, const char *values, enum part part)
{
    char *word, *what;

    while (nvl_next_value(&values, &word, &what)) {
        if (word[0] == '@' && (part & PART_SOURCES) != 0)
            complete_source(c, word);
        else if (word[0] != '@' && (part & PART_WORDS) != 0)
            offer(c, word, what);
        free(word);
        free(what);
    }
}

/* `typed`: the value's beginning, of which the part up to the last comma is done; `before` precedes it. */
static void complete_option_value(struct completion *c, const struct nvl_option *option, const char *before,
                                  const char *typed)
{
    bool is_split = option->has_commas || option->kind == NVL_OPTION_LIST;
    const char *comma = is_split ? strrchr(typed, ',') : NULL;
    nvl_autofree char *done = nvl_xstrndup(typed, comma != NULL ? (size_t)(comma + 1 - typed) : 0);
    nvl_autofree char *all_before = nvl_xasprintf("%s%s", before, done);

    nvl_strv_split(&c->given, done, ",");
    c->before = all_before;
    c->begins = comma != NULL ? comma + 1 : typed;
    /* "all" is no word beside other GPUs */
    complete_values(c, option->values, comma != NULL && !option->has_commas ? PART_SOURCES : PART_ALL);
    if (option->has_commas)
        nvl_buf_addf(&c->out, "\tcommas\n");
    c->before = "";
}

static void offer_options(struct completion *c, const struct line *line, const struct nvl_option *options)
{
    for (const struct nvl_option *o = options; o != NULL && o->name != NULL; o++) {
        nvl_autofree char *text = nvl_option_text(o);
        if (o->kind == NVL_OPTION_LIST || !nvl_strv_contains(&line->options, o->name))
            offer(c, o->name, text);
    }
}

static const struct nvl_option *find_typed(const struct line *line, const char *word)
{
    const struct nvl_option_set sets[] = {
        {nvl_global_options, NULL},
        {line->command != NULL ? line->command->options : NULL, NULL},
    };
    struct nvl_error err = {0};

    return nvl_option_find(sets, NVL_LENGTH(sets), word, &err);
}

static void complete_option(struct completion *c, const struct line *line, const char *word)
{
    const char *equals = strchr(word, '=');
    const struct nvl_option *option = equals != NULL ? find_typed(line, word) : NULL;

    c->begins = word;
    if (equals == NULL) {
        offer_options(c, line, line->command != NULL ? line->command->options : NULL);
        offer_options(c, line, nvl_global_options);
    } else if (option != NULL) {
        nvl_autofree char *before = nvl_xstrndup(word, (size_t)(equals + 1 - word));
        complete_option_value(c, option, before, equals + 1);
    }
}

static void complete_command(struct completion *c, bool is_help)
{
    for (size_t i = 0; nvl_commands[i] != NULL; i++)
        if (nvl_commands[i]->group != NVL_GROUP_HIDDEN)
            offer(c, nvl_commands[i]->name, nvl_commands[i]->summary);
    if (!is_help)
        offer(c, "help", "what nvlxc can do, or what a command does");
}

/* The forms are "[list|sync|prune]" and "[VERSION]...", of which the last one may repeat: the first takes the
 * words of the table, the others what the host has. */
static void complete_argument(struct completion *c, const struct line *line)
{
    const struct nvl_command *command = line->command;
    nvl_auto(nvl_strv_clear) struct nvl_strv forms = {0};

    nvl_strv_split(&forms, command->arguments, " ");
    if (line->arguments.count >= command->max_arguments || forms.count == 0)
        return;
    const char *form =
        forms.items[line->arguments.count < forms.count ? line->arguments.count : forms.count - 1];
    bool is_word = islower((unsigned char)form[form[0] == '[']);
    for (size_t i = 0; i < line->arguments.count; i++)
        nvl_strv_push(&c->given, line->arguments.items[i]);
    complete_values(c, command->argument_values, is_word ? PART_WORDS : PART_SOURCES);
}

/* ---- the line ---- */

static void take_option(struct line *line, const char *word)
{
    const struct nvl_option *option = find_typed(line, word);
    const char *equals = strchr(word, '=');

    if (option == NULL)
        return;
    nvl_strv_push(&line->options, option->name);
    if (option->value != NULL && equals == NULL)
        line->pending = option;
    else if (strcmp(option->name, "--root") == 0)
        line->root = equals + 1;
}

static void take_command(struct line *line, const char *word)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    line->is_help = strcmp(word, "help") == 0;
    line->command = nvl_command_find(word, &names);
    line->is_lost = line->command == NULL && !line->is_help;
}

static void take_word(struct line *line, const char *word)
{
    if (line->pending != NULL) {
        line->root = strcmp(line->pending->name, "--root") == 0 ? word : line->root;
        line->pending = NULL;
    } else if (!line->has_ended && strcmp(word, "--") == 0) {
        line->has_ended = true;
    } else if (!line->has_ended && word[0] == '-' && word[1] != '\0') {
        take_option(line, word);
    } else if (line->command == NULL && !line->is_help && !line->is_lost) {
        take_command(line, word);
    } else {
        nvl_strv_push(&line->arguments, word);
    }
}

static void complete_last(struct completion *c, const struct line *line, const char *last)
{
    c->begins = last;
    if (line->pending != NULL)
        complete_option_value(c, line->pending, "", last);
    else if (!line->has_ended && last[0] == '-')
        complete_option(c, line, last);
    else if (line->command != NULL)
        complete_argument(c, line);
    else if (!line->is_lost && line->arguments.count == 0)
        complete_command(c, line->is_help);
}

static int run_complete(struct nvl_context *ctx, const struct nvl_strv *arguments, void *values,
                        struct nvl_error *err)
{
    struct line line = {0};
    struct completion c = {.before = "", .begins = ""};

    (void)values;
    for (size_t i = 0; i + 1 < arguments->count; i++)
        take_word(&line, arguments->items[i]);
    /* a handle of its own, which remembers no trouble; if it does not open, nothing is found */
    const char *folder = line.root != NULL ? line.root : ctx->root.is_machine ? "/" : ctx->root.name;
    if (nvl_root_open(&c.root, folder, err) == 0 && !nvl_root_is_machine(&c.root))
        nvl_machine_take(&c.root);
    complete_last(&c, &line, arguments->count > 0 ? arguments->items[arguments->count - 1] : "");
    fputs(c.out.data != NULL ? c.out.data : "", stdout);
    nvl_root_close(&c.root);
    nvl_buf_clear(&c.out);
    nvl_strv_clear(&c.given);
    nvl_strv_clear(&line.options);
    nvl_strv_clear(&line.arguments);
    return NVL_EXIT_OK;
}

const struct nvl_command nvl_cmd_complete = {
    .name = "complete",
    .arguments = "-- WORD...",
    .group = NVL_GROUP_HIDDEN,
    .summary = "print what can stand at the end of a command line",
    .details = "The completions of the shells call it with the words that are typed, of which the\n"
               "last one may be empty.",
    .max_arguments = SIZE_MAX,
    .run = run_complete,
};
