/* The lines of modprobe.d that are about one module, and the kernel's command line. */
#include "host/modprobe.h"

#define FILE_MAX (256u << 10)

const char *const nvl_modprobe_folders[] = {
    "/etc/modprobe.d",     "/run/modprobe.d", "/usr/local/lib/modprobe.d",
    "/usr/lib/modprobe.d", "/lib/modprobe.d", NULL,
};

static void read_file(const struct nvl_root *root, const char *path, struct nvl_modprobe_lines *lines)
{
    nvl_autofree char *text = NULL;
    size_t len, pos = 0, line_len, number = 0;
    const char *line;

    if (nvl_root_read(root, path, FILE_MAX, &text, &len) < 0)
        return;
    while (nvl_next_line(text, len, &pos, &line, &line_len)) {
        number++;
        nvl_autofree char *copy = nvl_xstrndup(line, line_len);
        nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};
        nvl_strv_split(&words, copy, " \t\r");
        if (words.count >= 2 && words.items[0][0] != '#')
            *NVL_APPEND(lines->items, lines->count) =
                (struct nvl_modprobe_line){nvl_xstrdup(path), number, nvl_strv_join(&words, " ")};
    }
}

static void read_folders(const struct nvl_root *root, struct nvl_modprobe_lines *lines)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv known = {0}, seen_names = {0};

    for (size_t i = 0; nvl_modprobe_folders[i] != NULL; i++) {
        nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
        struct stat st;
        if (nvl_root_stat(root, nvl_modprobe_folders[i], 0, &st) < 0 || nvl_is_met_again(&known, &st))
            continue;
        nvl_root_list(root, nvl_modprobe_folders[i], &names);
        for (size_t n = 0; n < names.count; n++) {
            nvl_autofree char *path = nvl_xasprintf("%s/%s", nvl_modprobe_folders[i], names.items[n]);
            /* a file hides those of its name in the folders behind it */
            if (!nvl_has_suffix(names.items[n], ".conf") || nvl_strv_contains(&seen_names, names.items[n]))
                continue;
            nvl_strv_push(&seen_names, names.items[n]);
            read_file(root, path, lines);
        }
    }
}

void nvl_modprobe_read(const struct nvl_root *root, struct nvl_modprobe *modprobe)
{
    nvl_autofree char *text = NULL;
    size_t len;

    *modprobe = (struct nvl_modprobe){0};
    read_folders(root, &modprobe->lines);
    if (nvl_root_read(root, "/proc/cmdline", FILE_MAX, &text, &len) == 0)
        nvl_strv_split(&modprobe->cmdline, text, " \t\n");
}

void nvl_modprobe_clear(struct nvl_modprobe *modprobe)
{
    nvl_modprobe_lines_clear(&modprobe->lines);
    nvl_strv_clear(&modprobe->cmdline);
}

static bool is_module(const char *said, size_t len, const char *module)
{
    size_t i = 0;

    for (; i < len && module[i] != '\0'; i++) {
        bool both_parted = (said[i] == '-' || said[i] == '_') && (module[i] == '-' || module[i] == '_');
        if (said[i] != module[i] && !both_parted)
            return false;
    }
    return i == len && module[i] == '\0';
}

void nvl_modprobe_find(const struct nvl_modprobe *modprobe, const char *verb, const char *module,
                       struct nvl_modprobe_lines *lines)
{
    size_t verb_len = strlen(verb);

    for (size_t i = 0; i < modprobe->lines.count; i++) {
        const struct nvl_modprobe_line *line = &modprobe->lines.items[i];
        if (strncmp(line->text, verb, verb_len) != 0 || line->text[verb_len] != ' ')
            continue;
        const char *said = line->text + verb_len + 1;
        if (is_module(said, strcspn(said, " "), module))
            *NVL_APPEND(lines->items, lines->count) =
                (struct nvl_modprobe_line){nvl_xstrdup(line->file), line->number, nvl_xstrdup(line->text)};
    }
}

void nvl_modprobe_lines_clear(struct nvl_modprobe_lines *lines)
{
    for (size_t i = 0; i < lines->count; i++) {
        free(lines->items[i].file);
        free(lines->items[i].text);
    }
    free(lines->items);
    *lines = (struct nvl_modprobe_lines){0};
}

/* "modprobe.blacklist=a,nouveau" lists "modprobe.blacklist=nouveau". */
static bool lists(const char *parameter, const char *wanted)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv values = {0};
    size_t name = strcspn(wanted, "=");

    if (wanted[name] != '=' || strncmp(parameter, wanted, name + 1) != 0)
        return false;
    nvl_strv_split(&values, parameter + name + 1, ",");
    return nvl_strv_contains(&values, wanted + name + 1);
}

bool nvl_cmdline_has(const struct nvl_modprobe *modprobe, const char *word)
{
    for (size_t i = 0; i < modprobe->cmdline.count; i++)
        if (strcmp(modprobe->cmdline.items[i], word) == 0 || lists(modprobe->cmdline.items[i], word))
            return true;
    return false;
}
