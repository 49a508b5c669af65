/* The texts of a template. Proxmox writes a config's keys in byte order, then lxc.environment.runtime, then
 * the other lxc keys in their order. compose does the same, so Proxmox's first write changes nothing. */
#include "template/compose.h"

#include <errno.h>

#include <ctype.h>

#include "container/grant_lines.h"

#ifdef __aarch64__
#define PVE_ARCH "arm64"
#define LXC_ARCH "aarch64"
#else
#define PVE_ARCH "amd64"
#define LXC_ARCH "linux64"
#endif

static void add_grant(struct nvl_buf *out, enum nvl_dialect dialect, const struct nvl_grant *grant)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv lines = {0};

    nvl_grant_lines(dialect, grant, NULL, &lines);
    for (size_t i = 0; i < lines.count; i++)
        nvl_buf_addf(out, "%s\n", lines.items[i]);
}

/* An image has nothing that would request an address: Proxmox does it from outside. */
static void add_net(struct nvl_buf *out, const struct nvl_composition *c)
{
    nvl_buf_addf(out, "name=eth0,bridge=%s%s,ip=dhcp,type=veth", c->bridge,
                 c->is_oci ? ",host-managed=1" : "");
}

char *nvl_compose_pve(const struct nvl_composition *c, const char *volume)
{
    const struct nvl_template *t = c->template;
    nvl_autofree char *features = nvl_strv_join(&t->features, ",");
    struct nvl_buf out = {0};

    nvl_buf_addf(&out, "arch: " PVE_ARCH "\ncores: %u\n", t->cores);
    if (c->is_oci)
        nvl_buf_addf(&out, "entrypoint: %s\n", t->entrypoint);
    if (t->features.count > 0)
        nvl_buf_addf(&out, "features: %s\n", features);
    nvl_buf_addf(&out, "hostname: %s\nmemory: %u\nnet0: ", c->hostname, t->memory);
    add_net(&out, c);
    nvl_buf_addf(&out, "\nostype: %s\nrootfs: %s,size=%uG\nswap: %u\nunprivileged: 1\n",
                 c->is_oci ? "unmanaged" : t->ostype, volume, t->disk, t->swap);
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
    nvl_buf_addf(&out,
                 "lxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536\nlxc.arch = " LXC_ARCH "\n");
    nvl_buf_addf(&out, "lxc.uts.name = %s\nlxc.rootfs.path = dir:/var/lib/lxc/%s/rootfs\n", c->hostname,
                 c->hostname);
    nvl_buf_addf(&out, "lxc.net.0.type = veth\nlxc.net.0.link = %s\nlxc.net.0.flags = up\n", c->bridge);
    nvl_buf_addf(&out, "lxc.apparmor.profile = generated\n");
    if (has_nesting(t))
        nvl_buf_addf(&out, "lxc.apparmor.allow_nesting = 1\n");
    nvl_buf_addf(&out, "lxc.cgroup2.memory.max = %uM\nlxc.cgroup2.memory.swap.max = %uM\n", t->memory,
                 t->swap);
    nvl_buf_addf(&out, "lxc.cgroup2.cpu.max = %u 100000\n", t->cores * 100000);
    if (c->is_oci)
        nvl_buf_addf(&out, "lxc.init.cmd = %s\nlxc.signal.halt = SIGTERM\n", t->entrypoint);
    /* the image's own NVIDIA_… variables would contradict the grant */
    for (size_t i = 0; c->is_oci && i < t->environment.count; i++)
        if (!nvl_has_prefix(t->environment.items[i], "NVIDIA_"))
            nvl_buf_addf(&out, "lxc.environment = %s\n", t->environment.items[i]);
    add_grant(&out, NVL_DIALECT_LXC, c->grant);
    return nvl_buf_take(&out);
}

/* The image's file among Proxmox's templates: "ollama_latest.tar" of "docker.io/ollama/ollama:latest". */
static char *archive_name(const char *image)
{
    const char *slash = strrchr(image, '/');
    char *name = nvl_xasprintf("%s.tar", slash != NULL ? slash + 1 : image);

    for (char *p = name; *p != '\0'; p++)
        if (*p == ':' || *p == '@')
            *p = '_';
    return name;
}

/* Commands that fetch the file for the CT; *volume is its name for `pct create`. */
static void add_source(struct nvl_buf *out, const struct nvl_composition *c, char **volume)
{
    const struct nvl_template *t = c->template;

    if (c->is_oci) {
        nvl_autofree char *archive = archive_name(t->image);
        nvl_buf_addf(out, "skopeo copy docker://%s oci-archive:/var/lib/vz/template/cache/%s\n", t->image,
                     archive);
        *volume = nvl_xasprintf("local:vztmpl/%s", archive);
        return;
    }
    nvl_buf_addf(
        out,
        "pveam update\n"
        "TEMPLATE=$(pveam available --section system | awk '$2 ~ /^%s/ {name = $2} END {print name}')\n"
        "pveam download local \"$TEMPLATE\"\n",
        t->os_template);
    *volume = nvl_xstrdup("\"local:vztmpl/$TEMPLATE\"");
}

char *nvl_compose_commands(const struct nvl_composition *c)
{
    const struct nvl_template *t = c->template;
    nvl_autofree char *features = nvl_strv_join(&t->features, ","), *volume = NULL;
    nvl_autofree char *devices = nvl_grant_devices(c->grant);
    nvl_autofree char *words = nvl_capabilities_format(c->grant->capabilities);
    struct nvl_buf out = {0};

    add_source(&out, c, &volume);
    nvl_buf_addf(&out, "pct create %u %s --hostname %s --cores %u --memory %u --swap %u --net0 ", c->ctid,
                 volume, c->hostname, t->cores, t->memory, t->swap);
    add_net(&out, c);
    nvl_buf_addf(&out, " --rootfs %s:%u --unprivileged 1", c->storage, t->disk);
    if (t->features.count > 0)
        nvl_buf_addf(&out, " --features '%s'", features);
    if (!c->is_oci)
        nvl_buf_addf(&out, " --ostype %s", t->ostype);
    nvl_buf_addf(&out, "\nnvlxc attach %u --gpu %s --capabilities %s\npct start %u\n", c->ctid, devices,
                 words, c->ctid);
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

char *nvl_default_storage(const struct nvl_root *root)
{
    nvl_auto(storages_clear) struct storages all = {0};

    read_storages(root, &all);
    for (size_t i = 0; i < all.count; i++) {
        nvl_auto(nvl_strv_clear) struct nvl_strv content = {0};
        nvl_strv_split(&content, all.items[i].content != NULL ? all.items[i].content : "", ",");
        if (nvl_strv_contains(&content, "rootdir"))
            return nvl_xstrdup(all.items[i].name);
    }
    return nvl_xstrdup("local-lvm");
}
