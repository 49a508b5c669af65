/* The texts of a template. Proxmox writes a config's keys in byte order, then lxc.environment.runtime, then
 * the other lxc keys in their order. compose does the same, so Proxmox's first write changes nothing. */
#include "template/compose.h"

#include <errno.h>

#include <ctype.h>

#include "base/machine.h"
#include "container/grant_lines.h"

static void add_grant(struct nvl_buf *out, enum nvl_dialect dialect, const struct nvl_grant *grant)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv lines = {0};

    if (grant == NULL)
        return;
    nvl_grant_lines(dialect, grant, NULL, &lines);
    for (size_t i = 0; i < lines.count; i++)
        nvl_buf_addf(out, "%s\n", lines.items[i]);
}

void nvl_composition_begin(struct nvl_composition *c, const struct nvl_template *template, bool is_oci)
{
    c->template = template;
    c->is_oci = is_oci;
    c->memory = template->memory;
    c->swap = template->swap;
    c->cores = template->cores;
    c->disk = template->disk;
    /* of an image Proxmox knows only what it finds in it */
    c->ostype = is_oci ? "unmanaged" : template->ostype;
    c->entrypoint = is_oci ? template->entrypoint : NULL;
}

/* An image has nothing that would request an address: Proxmox does it from outside. */
char *nvl_compose_net(const struct nvl_composition *c)
{
    struct nvl_buf out = {0};

    nvl_buf_addf(&out, "name=eth0,bridge=%s", c->bridge);
    if (c->gateway != NULL)
        nvl_buf_addf(&out, ",gw=%s", c->gateway);
    if (c->is_oci)
        nvl_buf_addf(&out, ",host-managed=1");
    nvl_buf_addf(&out, ",ip=%s,type=veth", c->address != NULL ? c->address : "dhcp");
    return nvl_buf_take(&out);
}

char *nvl_compose_pve(const struct nvl_composition *c, const char *volume)
{
    const struct nvl_template *t = c->template;
    nvl_autofree char *features = nvl_strv_join(&t->features, ","), *net = nvl_compose_net(c);
    struct nvl_buf out = {0};

    nvl_buf_addf(&out, "arch: %s\n%scores: %u\n", nvl_machine()->debian,
                 c->entrypoint != NULL ? "cmode: console\n" : "", c->cores);
    if (c->entrypoint != NULL)
        nvl_buf_addf(&out, "entrypoint: %s\n", c->entrypoint);
    if (t->features.count > 0)
        nvl_buf_addf(&out, "features: %s\n", features);
    nvl_buf_addf(&out, "hostname: %s\nmemory: %u\nnet0: %s\n", c->hostname, c->memory, net);
    nvl_buf_addf(&out, "ostype: %s\nrootfs: %s,size=%uG\nswap: %u\nunprivileged: 1\n", c->ostype, volume,
                 c->disk, c->swap);
    for (size_t i = 0; c->is_oci && i < t->environment.count; i++)
        nvl_buf_addf(&out, "lxc.environment.runtime: %s\n", t->environment.items[i]);
    if (c->is_oci)
        nvl_buf_addf(&out, "lxc.signal.halt: SIGTERM\n");
    add_grant(&out, NVL_DIALECT_PVE, c->grant);
    return nvl_buf_take(&out);
}

static bool has_nesting(const struct nvl_template *t)
{
    return nvl_strv_contains(&t->features, "nesting=1");
}

char *nvl_compose_lxc(const struct nvl_composition *c)
{
    const struct nvl_template *t = c->template;
    struct nvl_buf out = {0};

    nvl_buf_addf(&out, "lxc.include = /usr/share/lxc/config/common.conf\n"
                       "lxc.include = /usr/share/lxc/config/userns.conf\n");
    if (has_nesting(t))
        nvl_buf_addf(&out, "lxc.include = /usr/share/lxc/config/nesting.conf\n");
    nvl_buf_addf(&out, "lxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536\nlxc.arch = %s\n",
                 nvl_machine()->lxc);
    nvl_buf_addf(&out, "lxc.uts.name = %s\nlxc.rootfs.path = dir:/var/lib/lxc/%s/rootfs\n", c->hostname,
                 c->hostname);
    nvl_buf_addf(&out, "lxc.net.0.type = veth\nlxc.net.0.link = %s\nlxc.net.0.flags = up\n", c->bridge);
    if (c->address != NULL)
        nvl_buf_addf(&out, "lxc.net.0.ipv4.address = %s\n", c->address);
    if (c->gateway != NULL)
        nvl_buf_addf(&out, "lxc.net.0.ipv4.gateway = %s\n", c->gateway);
    nvl_buf_addf(&out, "lxc.apparmor.profile = generated\n");
    if (has_nesting(t))
        nvl_buf_addf(&out, "lxc.apparmor.allow_nesting = 1\n");
    if (!c->no_limits)
        nvl_buf_addf(&out,
                     "lxc.cgroup2.memory.max = %uM\nlxc.cgroup2.memory.swap.max = %uM\n"
                     "lxc.cgroup2.cpu.max = %u 100000\n",
                     c->memory, c->swap, c->cores * 100000);
    if (c->entrypoint != NULL)
        nvl_buf_addf(&out, "lxc.init.cmd = %s\nlxc.signal.halt = SIGTERM\n", c->entrypoint);
    /* the image's own NVIDIA_… variables would contradict the grant */
    for (size_t i = 0; c->is_oci && i < t->environment.count; i++)
        if (!nvl_has_prefix(t->environment.items[i], "NVIDIA_"))
            nvl_buf_addf(&out, "lxc.environment = %s\n", t->environment.items[i]);
    add_grant(&out, NVL_DIALECT_LXC, c->grant);
    return nvl_buf_take(&out);
}

/* RFC 1123: labels of letters, digits and inner hyphens. */
bool nvl_is_hostname(const char *s)
{
    size_t len = strlen(s);
    char before = '.';

    if (len == 0 || len > 253)
        return false;
    for (size_t i = 0; i < len; i++) {
        bool is_edge = before == '.' || i + 1 == len || s[i + 1] == '.';
        if (s[i] == '.' ? before == '.' || i + 1 == len
                        : !isalnum((unsigned char)s[i]) && (s[i] != '-' || is_edge))
            return false;
        before = s[i];
    }
    return true;
}

bool nvl_is_storage_name(const char *s)
{
    size_t len = strlen(s);

    if (len < 2 || !isalpha((unsigned char)s[0]) || !isalnum((unsigned char)s[len - 1]))
        return false;
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)s[i]) && strchr("-_.", s[i]) == NULL)
            return false;
    return true;
}

bool nvl_is_bridge_name(const char *s)
{
    size_t len = strlen(s);

    if (len == 0 || len > 15)
        return false;
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)s[i]) && strchr("-_.", s[i]) == NULL)
            return false;
    return true;
}

/* Proxmox's storages, as far as they decide the name of a CT's volume. Source: /etc/pve/storage.cfg, sections
 * of "type: name" with indented properties (pve-docs, pvesm); volume names of PVE::Storage's plugins. */
#define STORAGE_CFG "/etc/pve/storage.cfg"

struct storage {
    char *type, *name, *content;
};

struct storages {
    struct storage *items;
    size_t count;
};

static void storages_clear(struct storages *s)
{
    for (size_t i = 0; i < s->count; i++) {
        free(s->items[i].type);
        free(s->items[i].name);
        free(s->items[i].content);
    }
    free(s->items);
}

static void read_storage_line(struct storages *s, const char *line, size_t len)
{
    nvl_autofree char *text = nvl_xstrndup(line, len);
    const char *colon = strchr(text, ':');
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};

    nvl_strv_split(&words, text, " \t\r");
    if (words.count == 2 && colon != NULL && text[0] != ' ' && text[0] != '\t' && text[0] != '#') {
        *NVL_APPEND(s->items, s->count) =
            (struct storage){nvl_xstrndup(text, (size_t)(colon - text)), nvl_xstrdup(words.items[1]), NULL};
    } else if (words.count == 2 && s->count > 0 && strcmp(words.items[0], "content") == 0) {
        free(s->items[s->count - 1].content);
        s->items[s->count - 1].content = nvl_xstrdup(words.items[1]);
    }
}

static int read_storages(const struct nvl_root *root, struct storages *s)
{
    nvl_autofree char *text = NULL;
    const char *line;
    size_t len, pos = 0, line_len;

    int r = nvl_root_read(root, STORAGE_CFG, 1u << 20, &text, &len);
    if (r < 0)
        return r;
    while (nvl_next_line(text, len, &pos, &line, &line_len))
        read_storage_line(s, line, line_len);
    return 0;
}

static char *volume_of(const char *type, const char *storage, unsigned ctid)
{
    static const char *const folders[] = {"dir", "nfs", "cifs", "btrfs", "cephfs", "glusterfs"};

    if (strcmp(type, "zfspool") == 0)
        return nvl_xasprintf("%s:subvol-%u-disk-0", storage, ctid);
    for (size_t i = 0; i < NVL_LENGTH(folders); i++)
        if (strcmp(type, folders[i]) == 0)
            return nvl_xasprintf("%s:%u/vm-%u-disk-0.raw", storage, ctid, ctid);
    return nvl_xasprintf("%s:vm-%u-disk-0", storage, ctid);
}

int nvl_volume_name(const struct nvl_root *root, const char *storage, unsigned ctid, char **volume,
                    struct nvl_error *err)
{
    nvl_auto(storages_clear) struct storages all = {0};
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    if (read_storages(root, &all) < 0) {
        *volume = volume_of("lvm", storage, ctid);
        return 0;
    }
    for (size_t i = 0; i < all.count; i++) {
        if (strcmp(all.items[i].name, storage) == 0) {
            *volume = volume_of(all.items[i].type, storage, ctid);
            return 0;
        }
        nvl_strv_push(&names, all.items[i].name);
    }
    nvl_autofree char *list = nvl_strv_join(&names, ", ");
    nvl_error_set(err, -ENOENT, "Proxmox has no storage '%.100s'", storage);
    nvl_error_hint(err, "%s has %s", STORAGE_CFG, list);
    return -ENOENT;
}

char *nvl_default_storage(const struct nvl_root *root, const char *content)
{
    nvl_auto(storages_clear) struct storages all = {0};

    read_storages(root, &all);
    for (size_t i = 0; i < all.count; i++) {
        nvl_auto(nvl_strv_clear) struct nvl_strv has = {0};
        nvl_strv_split(&has, all.items[i].content != NULL ? all.items[i].content : "", ",");
        if (nvl_strv_contains(&has, content))
            return nvl_xstrdup(all.items[i].name);
    }
    return nvl_xstrdup(strcmp(content, "vztmpl") == 0 ? "local" : "local-lvm");
}
