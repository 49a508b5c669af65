/* The lines of modprobe.d that are about one module, and the kernel's command line. */
#include "host/modprobe.h"

#include "host/config_lines.h"

#define FILE_MAX (256u << 10)

const char *const nvl_modprobe_folders[] = {
    "/etc/modprobe.d",     "/run/modprobe.d", "/usr/local/lib/modprobe.d",
    "/usr/lib/modprobe.d", "/lib/modprobe.d", NULL,
};

static void take_modprobe_line(void *data, const char *path, size_t number, const char *line)
{
    struct nvl_modprobe_lines *lines = data;
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};

    nvl_strv_split(&words, line, " \t\r");
    if (words.count >= 2)
        *NVL_APPEND(lines->items, lines->count) =
            (struct nvl_modprobe_line){nvl_xstrdup(path), number, nvl_strv_join(&words, " ")};
}

void nvl_modprobe_read(const struct nvl_root *root, struct nvl_modprobe *modprobe)
{
    nvl_autofree char *text = NULL;
    size_t len;

    *modprobe = (struct nvl_modprobe){0};
    nvl_visit_config_folders(root, nvl_modprobe_folders, ".conf", take_modprobe_line, &modprobe->lines);
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
