/* Values of a config's lines, one by one. */
#include "fuzz.h"

#include "container/device_rules.h"
#include "container/entry.h"
#include "container/grant_lines.h"
#include "container/idmap.h"
#include "container/list.h"
#include "container/node_makers.h"

static void check_mount(const char *value)
{
    nvl_auto(nvl_mount_entry_clear) struct nvl_mount_entry entry = {0};

    if (!nvl_mount_entry_parse(value, &entry))
        return;
    CHECK(entry.source != NULL && entry.target != NULL && entry.options != NULL);
    nvl_autofree char *place = nvl_mount_entry_place(&entry, "/var/lib/lxc/web/rootfs");
    CHECK(place == NULL || place[0] == '/');
    nvl_mount_entry_has(&entry, "create=file");
}

/* With another path it is the same entry. */
static void check_dev(const char *value)
{
    nvl_auto(nvl_dev_entry_clear) struct nvl_dev_entry entry = {0}, changed = {0};

    if (!nvl_dev_entry_parse(value, &entry))
        return;
    nvl_autofree char *other = nvl_dev_entry_change(value, "/dev/nvidia7", NULL);
    CHECK(nvl_dev_entry_parse(other, &changed) && strcmp(changed.path, "/dev/nvidia7") == 0);
    CHECK(changed.mode == entry.mode && changed.uid == entry.uid && changed.gid == entry.gid);
    CHECK(changed.denies_write == entry.denies_write && changed.says_mode == entry.says_mode);
}

/* A hook line's delivery is written as a line that says the same. */
static void check_hook(const char *value)
{
    struct nvl_delivery delivery, again;
    nvl_auto(nvl_strv_clear) struct nvl_strv paths = {0};

    nvl_hook_makes_nvidia(NULL, "lxc.hook.autodev", value);
    nvl_hook_nodes(NULL, value, &paths);
    if (!nvl_hook_line_parse(value, &delivery))
        return;
    nvl_autofree char *arguments = nvl_delivery_arguments(&delivery);
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};
    again = (struct nvl_delivery){0};
    nvl_strv_split(&words, arguments, " ");
    for (size_t i = 0; i < words.count; i++)
        CHECK(nvl_delivery_take_argument(&again, words.items[i]));
    nvl_autofree char *twice = nvl_delivery_arguments(&again);
    fuzz_same(arguments, strlen(arguments), twice, strlen(twice));
}

static void check_slot(const char *value)
{
    static const char *const keys[] = {"lxc.environment", "lxc.mount.entry", "lxc.hook.mount", "dev3",
                                       "lxc.cgroup2.devices.allow"};
    nvl_auto(nvl_strv_clear) struct nvl_strv paths = {0};

    for (size_t i = 0; i < NVL_LENGTH(keys); i++)
        nvl_grant_slot(keys[i], value);
}

static void check_numbers(const char *value)
{
    struct nvl_mapping mapping;
    uint32_t ctid;
    char text[16];

    if (nvl_mapping_parse(value, &mapping))
        CHECK(mapping.kind == 'u' || mapping.kind == 'g');
    CHECK(nvl_device_rule_major(value) >= -1);
    nvl_device_rule_matches(value, "/dev/nvidia0", 195, 0);
    CHECK(nvl_dev_index(value) >= -1 && nvl_dev_index(value) <= 255);
    if (nvl_parse_ctid(value, &ctid)) {
        snprintf(text, sizeof text, "%u", ctid);
        fuzz_same(text, strlen(text), value, strlen(value));
    }
}

void fuzz_one(const char *data, size_t len)
{
    struct fuzz_input in = {data, len};
    nvl_autofree char *value = fuzz_text(&in);

    check_mount(value);
    check_dev(value);
    check_hook(value);
    check_slot(value);
    check_numbers(value);
}
