/* Keys of a config that several parts name. Source: lxc.container.conf(5). */
#pragma once

#define NVL_KEY_ALLOW        "lxc.cgroup2.devices.allow"
#define NVL_KEY_DENY         "lxc.cgroup2.devices.deny"
#define NVL_KEY_ENTRY        "lxc.mount.entry"
#define NVL_KEY_FSTAB        "lxc.mount.fstab"
#define NVL_KEY_ENVIRONMENT  "lxc.environment"
#define NVL_KEY_RUNTIME      "lxc.environment.runtime"
#define NVL_KEY_IDMAP        "lxc.idmap"
#define NVL_KEY_PRE_START    "lxc.hook.pre-start"
#define NVL_KEY_MOUNT        "lxc.hook.mount"
#define NVL_KEY_AUTODEV_HOOK "lxc.hook.autodev"
