/* Config lines that are not where, or not what, they seem to be: in a snapshot's section, in a form that
 * Proxmox or LXC does not read, and comments that once marked something. */
#include <string.h>

#include "doctor/container/shared.h"
#include "doctor/families.h"
#include "container/foreign.h"
#include "container/hook_environment.h"
#include "container/instance.h"

/* Judges by the text: a line outside the config's grammar has neither key nor value. */
static bool is_about_nvidia(const char *text)
{
    return strcasestr(text, "nvidia") != NULL || strcasestr(text, "nvlxc") != NULL ||
           strstr(text, "devices.allow: c 195:") != NULL || strstr(text, "devices.allow = c 195:") != NULL;
}

static bool is_pending(const char *section)
{
    return strcasecmp(section, "pve:pending") == 0;
}

static bool top_is_about_nvidia(const struct nvl_container_facts *facts)
{
    for (size_t i = 0; i < facts->effective.count; i++) {
        const struct nvl_setting *setting = &facts->effective.items[i];
        if (setting->owner != NVL_OWNER_OTHER && (setting->line == NULL || setting->line->section == 0))
            return true;
    }
    return false;
}

/* A raw line of the pending section that mentions NVIDIA, even if only in a variable. */
static bool is_lost_in_pending(const struct nvl_container_facts *facts, const struct nvl_line *line,
                               const char *section)
{
    return is_pending(section) && line->kind == NVL_LINE_KEY && nvl_line_is_raw(line) &&
           nvl_line_about(&facts->config, line) == NVL_ABOUT_NVIDIA;
}

static void section_finding(const struct nvl_check *check, const struct nvl_container_facts *facts,
                            struct nvl_findings *findings, const struct nvl_strv *evidence, const char *name,
                            bool attach_takes_all)
{
    struct nvl_finding *f = nvl_finding_of_lines(findings, check, NVL_SEVERITY_ERROR, facts, evidence,
                                                 "its NVIDIA lines are in a section that is not in force");

    if (f == NULL)
        return;
    nvl_autofree char *again = nvl_attach_again(facts);
    nvl_finding_cause(f, "only lines before the first [section] count; these lines are in [%s]%s", name,
                      is_pending(name) ? ", where raw lxc lines never become active"
                                       : ": they were added at the end of the file, or the snapshot was "
                                         "taken while the container had a GPU");
    if (attach_takes_all)
        nvl_finding_fix(f, "%s", again);
    else
        nvl_finding_fix(f, "remove these lines from [%s] in %s, then:\n  %s", name,
                        facts->container->config_edit, again);
}

/* An older snapshot's lines belong to it; what tools append lands in the last section, or in the pending
 * one. */
static void check_section_lines(const struct nvl_check *check, const struct nvl_container_facts *facts,
                                struct nvl_findings *findings)
{
    const struct nvl_config *config = &facts->config;
    nvl_autofree bool *strays = nvl_config_strays(config);
    size_t i = 0;

    if (top_is_about_nvidia(facts))
        return;
    while (i < config->n_lines) {
        nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0};
        size_t section = config->lines[i].section;
        const char *name = section > 0 ? config->lines[i].key : "";
        bool attach_takes_all = true;
        for (; i < config->n_lines && config->lines[i].section == section; i++) {
            bool is_stray = strays != NULL && strays[i];
            if (!is_stray && !is_lost_in_pending(facts, &config->lines[i], name))
                continue;
            nvl_add_line_evidence(&evidence, facts, i);
            attach_takes_all = attach_takes_all && is_stray;
        }
        section_finding(check, facts, findings, &evidence, name, attach_takes_all);
    }
}

/* Whether Proxmox's own writer drops a key that its reader accepts; verified by running both. */
static bool is_dropped_key(const char *key)
{
    static const char *const keys[] = {"lxc.hook.start-host", "lxc.rootfs.path", "lxc.rootfs.options"};

    for (size_t i = 0; i < NVL_LENGTH(keys); i++)
        if (strcmp(key, keys[i]) == 0)
            return true;
    return nvl_has_prefix(key, "lxc.proc.") || nvl_has_prefix(key, "lxc.namespace.") ||
           nvl_has_prefix(key, "lxc.sysctl.net.");
}

/* The line as it should be: without leading blanks, the key in lower case, the colon right after it. NULL if
 * that does not make it a valid line either. */
static char *as_proxmox_reads_it(const char *text)
{
    struct nvl_config config;
    struct nvl_error ignored;

    text += strspn(text, " \t");
    size_t key_len = strcspn(text, ":= \t");
    const char *value = text + key_len;
    value += strspn(value, " \t");
    if (key_len == 0 || (*value != ':' && *value != '='))
        return NULL;
    value++;
    value += strspn(value, " \t");
    nvl_autofree char *line = nvl_xasprintf("%.*s: %s", (int)key_len, text, value);
    for (size_t i = 0; i < key_len; i++)
        if (line[i] >= 'A' && line[i] <= 'Z')
            line[i] = (char)(line[i] | 0x20);
    if (nvl_config_parse(&config, NVL_DIALECT_PVE, nvl_xstrdup(line), strlen(line), &ignored) < 0)
        return NULL;
    bool is_good = config.n_lines == 1 && config.lines[0].kind == NVL_LINE_KEY;
    nvl_config_clear(&config);
    return is_good ? TAKE_PTR(line) : NULL;
}

static void check_dropped_lines(const struct nvl_check *check, const struct nvl_container_facts *facts,
                                struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, lines = {0};

    for (size_t i = 0; i < facts->config.n_lines && facts->config.lines[i].section == 0; i++) {
        const struct nvl_line *line = &facts->config.lines[i];
        nvl_autofree char *text = nvl_line_text(&facts->config, i);
        bool is_dropped =
            line->kind == NVL_LINE_UNKNOWN || (line->kind == NVL_LINE_KEY && is_dropped_key(line->key));
        if (!is_dropped || !is_about_nvidia(text) || text[strspn(text, " \t")] == '#')
            continue;
        nvl_add_line_evidence(&evidence, facts, i);
        nvl_autofree char *better = line->kind == NVL_LINE_UNKNOWN ? as_proxmox_reads_it(text) : NULL;
        if (better != NULL)
            nvl_strv_pushf(&lines, "  %s", better);
    }
    struct nvl_finding *f = nvl_finding_of_lines(findings, check, NVL_SEVERITY_WARNING, facts, &evidence,
                                                 "Proxmox does not read these lines, and will drop them");
    if (f == NULL)
        return;
    nvl_autofree char *text = nvl_strv_join(&lines, "\n");
    nvl_autofree char *again = nvl_attach_again(facts);
    nvl_finding_cause(f, "they do not have the form of a CT's config: they have no effect, and the next "
                         "change of the CT by pct or the web interface loses them");
    if (lines.count == evidence.count)
        nvl_finding_fix(f, "in %s, write:\n%s", facts->container->config_edit, text);
    else
        nvl_finding_fix(f, "remove these lines from %s, then:\n  %s", facts->container->config_edit, again);
}

/* Proxmox's forms in a config of plain LXC: LXC takes only "key = value". */
static void check_other_dialect(const struct nvl_check *check, const struct nvl_container_facts *facts,
                                struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0};
    bool is_fatal = false;

    for (size_t i = 0; i < facts->config.n_lines; i++) {
        const struct nvl_line *line = &facts->config.lines[i];
        nvl_autofree char *text = nvl_line_text(&facts->config, i);
        const char *start = text + strspn(text, " \t");
        bool is_bad_key = line->kind == NVL_LINE_KEY && strpbrk(line->key, ": \t") != NULL;
        if ((line->kind != NVL_LINE_UNKNOWN && !is_bad_key) || !is_about_nvidia(text))
            continue;
        nvl_add_line_evidence(&evidence, facts, i);
        is_fatal = is_fatal || nvl_has_prefix(start, "lxc.");
    }
    struct nvl_finding *f =
        nvl_finding_of_lines(findings, check, is_fatal ? NVL_SEVERITY_ERROR : NVL_SEVERITY_WARNING, facts,
                             &evidence, "its config has NVIDIA lines in a form that LXC does not read");
    if (f == NULL)
        return;
    nvl_autofree char *again = nvl_attach_again(facts);
    nvl_finding_cause(
        f, is_fatal
               ? "LXC takes \"key = value\"; a line of another form that begins with lxc. stops the start"
               : "LXC takes \"lxc.key = value\" and ignores every other line; dev0 and the like work only in "
                 "Proxmox");
    nvl_finding_fix(f, "remove these lines from %s, then:\n  %s", facts->container->config_edit, again);
}

static bool is_word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool names_word(const char *text, const char *word)
{
    size_t len = strlen(word);

    for (const char *p = strcasestr(text, word); p != NULL; p = strcasestr(p + 1, word))
        if ((p == text || !is_word_char(p[-1])) && !is_word_char(p[len]))
            return true;
    return false;
}

/* "# NVIDIA GPU passthrough begin", "# --- nvidia end ---" */
static bool is_marker(const char *text)
{
    static const char *const words[] = {"begin", "end", "start"};

    if (strcasestr(text, "nvidia") == NULL && !names_word(text, "gpu") && !names_word(text, "cuda"))
        return false;
    for (size_t i = 0; i < NVL_LENGTH(words); i++)
        if (names_word(text, words[i]))
            return true;
    return strstr(text, ">>>") != NULL || strstr(text, "<<<") != NULL;
}

/* A marker is still at its lines if one of its neighbors is about NVIDIA. */
static bool marks_something(const struct nvl_config *config, size_t i)
{
    for (size_t n = i == 0 ? 0 : i - 1; n <= i + 1 && n < config->n_lines; n++) {
        const struct nvl_line *line = &config->lines[n];
        if (line->kind == NVL_LINE_KEY && nvl_line_about(config, line) != NVL_ABOUT_OTHER)
            return true;
    }
    return false;
}

static void check_marker_comments(const struct nvl_check *check, const struct nvl_container_facts *facts,
                                  struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0};

    for (size_t i = 0; i < facts->config.n_lines && facts->config.lines[i].section == 0; i++) {
        nvl_autofree char *text = nvl_line_text(&facts->config, i);
        if (facts->config.lines[i].kind == NVL_LINE_COMMENT && is_marker(text) &&
            !marks_something(&facts->config, i))
            nvl_add_line_evidence(&evidence, facts, i);
    }
    struct nvl_finding *f = nvl_finding_of_lines(findings, check, NVL_SEVERITY_NOTE, facts, &evidence,
                                                 "marker comments of another tool remain in its notes");
    if (f == NULL)
        return;
    nvl_finding_cause(f, "Proxmox moves every comment into the CT's notes, at the top of the file; the tool "
                         "that wrote these can no longer find its lines by them");
    nvl_finding_fix(f, "remove them from the CT's notes, in the web interface or in %s",
                    facts->container->config_edit);
}

static void check_hook_environment(const struct nvl_check *check, const struct nvl_container_facts *facts,
                                   struct nvl_findings *findings)
{
    nvl_auto(nvl_hook_dangers_clear) struct nvl_hook_dangers dangers = {0};
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, reasons = {0}, removals = {0};

    nvl_hook_dangers_find(facts->host->root, facts->container, &facts->effective, &dangers);
    for (size_t i = 0; i < dangers.count; i++) {
        nvl_autofree char *text = nvl_setting_text(&facts->effective, dangers.items[i].setting);
        nvl_strv_push(&evidence, text);
        nvl_strv_push(&reasons, dangers.items[i].why);
        if (dangers.items[i].setting->part != NULL)
            nvl_strv_push_once(&removals, dangers.items[i].setting->part->removal);
    }
    struct nvl_finding *f = nvl_finding_of_lines(findings, check, NVL_SEVERITY_ERROR, facts, &evidence,
                                                 "its environment can run its image's code on the host");
    if (f == NULL)
        return;
    nvl_autofree char *why = nvl_strv_join(&reasons, "; ");
    nvl_finding_cause(
        f,
        "it %s. LXC sets the variable for the host's shell that runs every hook, outside the container: the "
        "file that the variable names, from its image, runs as the host's %s as soon as the container has a "
        "hook. nvlxc attach, which adds hooks, refuses such a config",
        why, facts->container->user != NULL ? facts->container->user : "root");
    nvl_autofree char *commands = removals.count > 0 ? nvl_strv_join(&removals, "\n") : NULL;
    nvl_finding_fix(f, "%s", commands != NULL ? commands : nvl_hook_danger_fix);
}

const struct nvl_check nvl_line_checks[] = {
    {"section-lines", "Are its NVIDIA lines in the part of the config that is in force?", 20, 0, NULL,
     NVL_OF_CONTAINER(check_section_lines)},
    {"other-dialect", "Does LXC read all of its NVIDIA lines?", 30, NVL_NEEDS_LXC, NULL,
     NVL_OF_CONTAINER(check_other_dialect)},
    {"hook-environment", "Is its environment harmless to the host's hooks?", 55, 0, NULL,
     NVL_OF_CONTAINER(check_hook_environment)},
    {"lines-dropped", "Does Proxmox read all of its NVIDIA lines?", 160, NVL_NEEDS_PVE, NULL,
     NVL_OF_CONTAINER(check_dropped_lines)},
    {"marker-comments", "Are its notes free of other tools' markers?", 190, NVL_NEEDS_PVE, NULL,
     NVL_OF_CONTAINER(check_marker_comments)},
    {0},
};
