/* Walks through configuration files, line by line. */
#include "host/config_lines.h"

#define FILE_MAX  (1u << 20)
#define FILES_MAX 4096 /* of one folder */

void nvl_visit_config_file(const struct nvl_root *root, const char *path, nvl_visit_line *visit, void *data)
{
    nvl_autofree char *text = NULL;
    const char *line;
    size_t len, line_len, pos = 0, number = 0;

    if (nvl_root_read(root, path, FILE_MAX, &text, &len) < 0)
        return;
    while (nvl_next_line(text, len, &pos, &line, &line_len)) {
        nvl_autofree char *copy = nvl_xstrndup(line, line_len);
        const char *start = copy + strspn(copy, " \t");
        number++;
        copy[strcspn(copy, "\r")] = '\0';
        if (*start != '\0' && *start != '#')
            visit(data, path, number, start);
    }
}

void nvl_visit_config_folders(const struct nvl_root *root, const char *const *folders, const char *suffix,
                              nvl_visit_line *visit, void *data)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv known = {0}, seen = {0};
    struct stat st;

    for (; *folders != NULL; folders++) {
        nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
        if (nvl_root_stat(root, *folders, 0, &st) < 0 || nvl_is_met_again(&known, &st))
            continue;
        nvl_root_list(root, *folders, &names);
        for (size_t i = 0; i < names.count && i < FILES_MAX; i++) {
            nvl_autofree char *path = nvl_xasprintf("%s/%s", *folders, names.items[i]);
            if (!nvl_has_suffix(names.items[i], suffix) || nvl_strv_contains(&seen, names.items[i]))
                continue;
            nvl_strv_push(&seen, names.items[i]);
            nvl_visit_config_file(root, path, visit, data);
        }
    }
}
