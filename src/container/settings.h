/* What the settings of an effective config say: values, the grant, lines by hand. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct nvl_dev_entry;
struct nvl_effective;
struct nvl_error;
struct nvl_grant;
struct nvl_mount_entry;
struct nvl_setting;
struct nvl_strv;

/* The value of a key that counts (the last one); NULL for none. */
const char *nvl_effective_get(const struct nvl_effective *effective, const char *key);
/* The line of `key` (lxc.environment, lxc.environment.runtime) that sets a variable last; NULL for none. */
const struct nvl_setting *nvl_effective_variable_setting(const struct nvl_effective *effective,
                                                         const char *key, const char *variable);
/* The value of a variable that `key` (lxc.environment, lxc.environment.runtime) sets last; NULL for none. */
const char *nvl_effective_variable(const struct nvl_effective *effective, const char *key,
                                   const char *variable);
/* 1 and the grant if the container's own config has one of nvlxc's, 0 if not. */
int nvl_effective_grant(const struct nvl_effective *effective, struct nvl_grant *grant,
                        struct nvl_error *err);
/* How its hook lines deliver the grant, whether the rest of it can be read or not; false if it has none. */
struct nvl_delivery;
bool nvl_effective_delivery(const struct nvl_effective *effective, struct nvl_delivery *delivery);
/* The lines about NVIDIA that are not nvlxc's, as "line 12: lxc.mount.entry: …" or, in another file,
 * "/etc/lxc/gpu.conf:3: …". */
void nvl_effective_by_hand(const struct nvl_effective *effective, struct nvl_strv *lines);
/* The first of them in a file that the config includes, which nvlxc does not edit; NULL for none. */
const struct nvl_setting *nvl_effective_foreign_file(const struct nvl_effective *effective);
/* Of the lines by hand that a daemon makes of keys and devices: where they come from, and the commands that
 * take them from this container; each once. False if there are none. */
bool nvl_effective_parts_by_hand(const struct nvl_effective *effective, struct nvl_strv *sources,
                                 struct nvl_strv *removals);
/* What takes the setting away: a command, or "remove line 3 from FILE"; the caller frees. */
char *nvl_setting_removal(const struct nvl_setting *setting);
/* Its mount entry, its dev[n] entry; false if it is neither. */
bool nvl_setting_mount(const struct nvl_setting *setting, struct nvl_mount_entry *entry);
bool nvl_setting_dev(const struct nvl_setting *setting, struct nvl_dev_entry *entry);
/* Whether it is a device rule that allows. */
bool nvl_setting_allows(const struct nvl_setting *setting);
/* A setting's place and text: "/etc/pve/lxc/223.conf:9: lxc.…"; the caller frees. */
char *nvl_setting_text(const struct nvl_effective *effective, const struct nvl_setting *setting);
