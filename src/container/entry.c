/* Parses mount entries and dev[n] entries. */
#include "container/entry.h"

#include <stdio.h>

#define DEV_MAX      255
#define DEV_MODE     0660 /* pve-container's default */
#define ENTRY_BLANKS " \t"

/* ---- mount entries ---- */

/* The next field; "" at the end. The caller frees. */
static char *take_field(const char **rest)
{
    *rest += strspn(*rest, ENTRY_BLANKS);
    size_t len = strcspn(*rest, ENTRY_BLANKS "\r\n");
    char *field = nvl_xstrndup(*rest, len);

    *rest += len;
    nvl_decode_octal(field);
    return field;
}

bool nvl_mount_entry_parse(const char *value, struct nvl_mount_entry *entry)
{
    const char *rest = value;

    *entry = (struct nvl_mount_entry){0};
    if (value[strspn(value, ENTRY_BLANKS)] == '#')
        return false;
    entry->source = take_field(&rest);
    entry->target = take_field(&rest);
    free(take_field(&rest)); /* the type */
    entry->options = take_field(&rest);
    if (entry->target[0] != '\0')
        return true;
    nvl_mount_entry_clear(entry);
    return false;
}

void nvl_mount_entry_clear(struct nvl_mount_entry *entry)
{
    free(entry->source);
    free(entry->target);
    free(entry->options);
    *entry = (struct nvl_mount_entry){0};
}

bool nvl_mount_entry_has(const struct nvl_mount_entry *entry, const char *option)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv options = {0};

    nvl_strv_split(&options, entry->options, ",");
    return nvl_strv_contains(&options, option);
}

char *nvl_mount_entry_place(const struct nvl_mount_entry *entry, const char *rootfs)
{
    const char *target = entry->target;
    size_t len = rootfs != NULL ? strlen(rootfs) : 0;

    if (target[0] != '/')
        return nvl_xasprintf("/%s", target);
    while (len > 1 && rootfs[len - 1] == '/')
        len--;
    if (len > 1 && strncmp(target, rootfs, len) == 0 && target[len] == '/')
        return nvl_xstrdup(target + len);
    return NULL;
}

/* ---- dev[n] ---- */

int nvl_dev_index(const char *key)
{
    uint64_t index;
    char again[8];

    if (!nvl_has_prefix(key, "dev") || nvl_parse_uint(key + 3, 10, DEV_MAX, &index) < 0)
        return -1;
    snprintf(again, sizeof again, "dev%u", (unsigned)index);
    return strcmp(again, key) == 0 ? (int)index : -1;
}

static void take_part(struct nvl_dev_entry *entry, const char *part)
{
    uint64_t number;

    if (nvl_has_prefix(part, "path=") || part[0] == '/') {
        free(entry->path);
        entry->path = nvl_xstrdup(part[0] == '/' ? part : part + strlen("path="));
    } else if (nvl_has_prefix(part, "mode=") && nvl_parse_uint(part + 5, 8, 07777, &number) == 0) {
        entry->mode = (int)number;
        entry->says_mode = true;
    } else if (nvl_has_prefix(part, "uid=") && nvl_parse_uint(part + 4, 10, UINT32_MAX, &number) == 0) {
        entry->uid = (unsigned)number;
        entry->says_owner = true;
    } else if (nvl_has_prefix(part, "gid=") && nvl_parse_uint(part + 4, 10, UINT32_MAX, &number) == 0) {
        entry->gid = (unsigned)number;
        entry->says_owner = true;
    } else if (strcmp(part, "deny-write=1") == 0) {
        entry->denies_write = true;
    }
}

bool nvl_dev_entry_parse(const char *value, struct nvl_dev_entry *entry)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv parts = {0};

    *entry = (struct nvl_dev_entry){.mode = DEV_MODE};
    nvl_strv_split(&parts, value, ",");
    for (size_t i = 0; i < parts.count; i++)
        take_part(entry, parts.items[i]);
    return entry->path != NULL;
}

char *nvl_dev_entry_change(const char *value, const char *path, const char *mode)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv parts = {0};
    struct nvl_buf b = {0};

    nvl_strv_split(&parts, value, ",");
    nvl_buf_addf(&b, "%s", path);
    for (size_t i = 0; i < parts.count; i++) {
        const char *part = parts.items[i];
        if (part[0] != '/' && !nvl_has_prefix(part, "path=") &&
            (mode == NULL || !nvl_has_prefix(part, "mode=")))
            nvl_buf_addf(&b, ",%s", part);
    }
    if (mode != NULL)
        nvl_buf_addf(&b, ",mode=%s", mode);
    return nvl_buf_take(&b);
}

void nvl_dev_entry_clear(struct nvl_dev_entry *entry)
{
    free(entry->path);
    *entry = (struct nvl_dev_entry){0};
}
