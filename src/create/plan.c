/* Makes the steps. Proxmox's commands are those of pct, pveam and pvesh (pve-container, pve-manager); an OCI
 * image comes through the API of Proxmox VE 9.1 where it has one (PVE::API2::Storage::Status). */
#include "create/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/paths.h"
#include "base/root.h"
#include "container/subids.h"
#include "create/paths.h"
#include "host/system.h"

#define PULL_API    "/usr/share/perl5/PVE/API2/Storage/Status.pm"
#define PULL_WORD   "oci_registry_pull"
#define IDMAP       "-m u:0:100000:65536 -m g:0:100000:65536"
#define FIRST_ID    100000u
#define N_IDS       65536u
#define INSIDE_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
/* what a system of Debian's needs to boot in a container, and to be given an address */
#define PACKAGES "systemd-sysv,dbus,iproute2,ca-certificates,systemd-resolved"

#define LONG_SECONDS  7200 /* what downloads */
#define SHORT_SECONDS 900

void nvl_create_plan_clear(struct nvl_create_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        struct nvl_create_step *step = &plan->steps[i];
        free(step->title);
        free(step->detail);
        free(step->check);
        free(step->command);
        free(step->file);
        free(step->text);
        free(step->undo);
    }
    free(plan->steps);
    free(plan->container);
    free(plan->template);
    free(plan->config_path);
    free(plan->config);
    free(plan->url);
    free(plan->address);
    nvl_strv_clear(&plan->then);
    *plan = (struct nvl_create_plan){0};
}

struct planning {
    const struct nvl_root *root;
    const struct nvl_create_request *request;
    const struct nvl_composing *c;
    const char *archive;
    struct nvl_create_plan *plan;
};

/* The texts become the step's. */
static struct nvl_create_step *add_create_step(struct planning *p, const char *id, char *title, char *command)
{
    struct nvl_create_step *step = NVL_APPEND(p->plan->steps, p->plan->count);

    *step = (struct nvl_create_step){.id = id, .title = title, .command = command, .seconds = SHORT_SECONDS};
    return step;
}

/* ---- Proxmox ---- */

/* The image's file among Proxmox's templates: "ollama_latest" of "docker.io/ollama/ollama:latest". */
static char *archive_name(const char *image)
{
    const char *slash = strrchr(image, '/');
    char *name = nvl_xstrdup(slash != NULL ? slash + 1 : image);

    for (char *p = name; *p != '\0'; p++)
        if (*p == ':' || *p == '@')
            *p = '_';
    return name;
}

static bool has_pull_api(const struct nvl_root *root)
{
    nvl_autofree char *text = NULL;
    size_t len;

    return nvl_root_read(root, PULL_API, 1u << 20, &text, &len) == 0 && strstr(text, PULL_WORD) != NULL;
}

/* The volume's name for pct. */
static char *add_image(struct planning *p, const char *storage)
{
    const char *image = p->c->template.image;
    nvl_autofree char *name = archive_name(image), *volume = nvl_xasprintf("%s:vztmpl/%s.tar", storage, name);
    struct nvl_create_step *step =
        add_create_step(p, "fetch", nvl_xasprintf("fetch the image %s", image), NULL);

    if (has_pull_api(p->root))
        step->command =
            nvl_xasprintf("pvesh create /nodes/localhost/storage/%s/oci-registry-pull --reference "
                          "%s --filename %s",
                          storage, image, name);
    else
        step->command = nvl_xasprintf("file=$(pvesm path %s) && skopeo copy docker://%s "
                                      "\"oci-archive:$file.part\" && mv \"$file.part\" \"$file\"",
                                      volume, image);
    step->check = nvl_xasprintf("[ -e \"$(pvesm path %s)\" ]", volume);
    step->undo = nvl_xasprintf("pvesm free %s", volume);
    step->seconds = LONG_SECONDS;
    return nvl_xstrdup(volume);
}

static char *add_system_template(struct planning *p, const char *storage)
{
    const char *name = p->c->template.os_template;
    nvl_autofree char *volume = nvl_xasprintf(
        "\"$(pveam list %s | awk '$1 ~ /\\/%s/ {name = $1} END {print name}')\"", storage, name);
    struct nvl_create_step *step =
        add_create_step(p, "fetch", nvl_xasprintf("fetch the system template %s", name), NULL);

    step->check = nvl_xasprintf("pveam list %s | grep -q '/%s'", storage, name);
    step->command =
        nvl_xasprintf("pveam update && pveam download %s \"$(pveam available --section system | awk "
                      "'$2 ~ /^%s/ {name = $2} END {print name}')\"",
                      storage, name);
    step->undo = nvl_xasprintf("pveam remove %s", volume);
    step->seconds = LONG_SECONDS;
    return TAKE_PTR(volume);
}

static void add_ct(struct planning *p, const char *volume)
{
    const struct nvl_composition *c = &p->c->composition;
    const struct nvl_template *t = &p->c->template;
    nvl_autofree char *features = nvl_strv_join(&t->features, ","), *net = nvl_compose_net(c);
    struct nvl_buf out = {0};

    nvl_buf_addf(&out,
                 "pct create %u %s --hostname %s --cores %u --memory %u --swap %u --net0 %s --rootfs %s:%u "
                 "--unprivileged 1",
                 c->ctid, volume, c->hostname, c->cores, c->memory, c->swap, net, c->storage, c->disk);
    if (t->features.count > 0)
        nvl_buf_addf(&out, " --features %s", features);
    if (!c->is_oci || p->request->ostype != NULL)
        nvl_buf_addf(&out, " --ostype %s", c->ostype);
    nvl_buf_addf(&out, " --description '" NVL_CREATE_MARK "'");
    struct nvl_create_step *step =
        add_create_step(p, "create", nvl_xasprintf("create CT %u", c->ctid), nvl_buf_take(&out));
    step->undo =
        nvl_xasprintf("[ ! -e /etc/pve/lxc/%u.conf ] || { pct unlock %u; pct destroy %u --purge 1; }",
                      c->ctid, c->ctid, c->ctid);
    if (p->request->entrypoint == NULL)
        return;
    nvl_autofree char *word = nvl_shell_word(p->request->entrypoint);
    add_create_step(p, "entrypoint", nvl_xstrdup("set what the image starts"),
                    nvl_xasprintf("pct set %u --entrypoint %s", c->ctid, word));
}

static void add_pve_steps(struct planning *p)
{
    nvl_autofree char *storage = nvl_default_storage(p->root, "vztmpl");
    nvl_autofree char *volume = p->archive != NULL   ? nvl_shell_word(p->archive)
                                : p->request->is_oci ? add_image(p, storage)
                                                     : add_system_template(p, storage);

    add_ct(p, volume);
}

/* ---- plain LXC ---- */

/* tar tells by the name's end only where it opens the file itself. */
static const char *unpack_option(const char *archive)
{
    static const char *const ends[][2] = {{".gz", "z"},  {".tgz", "z"}, {".xz", "J"},
                                          {".txz", "J"}, {".bz2", "j"}, {".zst", " --zstd "}};

    for (size_t i = 0; i < NVL_LENGTH(ends); i++)
        if (nvl_has_suffix(archive, ends[i][0]))
            return ends[i][1];
    return "";
}

static int debian_suite(const struct nvl_template *t, const char **suite, struct nvl_error *err)
{
    static const char *const suites[][2] = {{"debian-12-", "bookworm"}, {"debian-13-", "trixie"}};

    for (size_t i = 0; i < NVL_LENGTH(suites); i++)
        if (nvl_has_prefix(t->os_template, suites[i][0])) {
            *suite = suites[i][1];
            return 0;
        }
    nvl_error_set(err, -ENOENT, "the template %s wants %s, of which nvlxc makes no root file system", t->name,
                  t->os_template);
    nvl_error_hint(err, "give one as a tar file: --template-archive FILE");
    return -ENOENT;
}

/* In the container's folder. The archive's nodes are left out: a container may make none, and LXC brings
 * them. */
static char *unpack_command(const char *archive, bool remove)
{
    nvl_autofree char *file = nvl_shell_word(archive);

    return nvl_xasprintf("rm -rf --one-file-system rootfs && mkdir rootfs && chown 100000:100000 rootfs && "
                         "lxc-usernsexec " IDMAP " -- tar -x%s --numeric-owner --exclude='dev/*' "
                         "--exclude='./dev/*' -C rootfs < %s%s%s",
                         unpack_option(archive), file, remove ? " && rm " : "", remove ? file : "");
}

/* What systemd-networkd gives eth0, as printf's text: LXC's own address would not outlast its start. A fixed
 * address comes with the host's name server, else with the gateway, which mostly is one. */
static char *network_unit(const struct planning *p)
{
    const struct nvl_composition *c = &p->c->composition;
    nvl_autofree char *nameserver = nvl_nameserver(p->root);
    struct nvl_buf out = {0};

    nvl_buf_addf(&out, "[Match]\\nName=eth0\\n[Network]\\n");
    if (c->address == NULL) {
        nvl_buf_addf(&out, "DHCP=yes\\n");
        return nvl_buf_take(&out);
    }
    nvl_buf_addf(&out, "Address=%s\\n", c->address);
    if (c->gateway != NULL)
        nvl_buf_addf(&out, "Gateway=%s\\n", c->gateway);
    if (nameserver != NULL || c->gateway != NULL)
        nvl_buf_addf(&out, "DNS=%s\\n", nameserver != NULL ? nameserver : c->gateway);
    return nvl_buf_take(&out);
}

static int add_rootfs(struct planning *p, const char *name, struct nvl_error *err)
{
    nvl_autofree char *archive =
        p->archive != NULL ? nvl_xstrdup(p->archive) : nvl_xasprintf("/var/lib/lxc/%s/rootfs.tar", name);
    nvl_autofree char *unpack = unpack_command(archive, p->archive == NULL);
    struct nvl_buf out = {0};
    const char *suite = "";

    if (p->archive == NULL) {
        int r = debian_suite(&p->c->template, &suite, err);
        if (r < 0)
            return r;
        if (!nvl_root_exists(p->root, "/usr/bin/mmdebstrap")) {
            nvl_error_host(err, -ENOENT,
                           "mmdebstrap, which makes the container's root file system, is not installed");
            nvl_error_hint(err,
                           "apt install mmdebstrap\nor give a root file system: --template-archive FILE");
            return -ENOENT;
        }
    }
    /* what is left of an earlier run that was killed may be unpacking still: it has the lock, too */
    nvl_buf_addf(&out,
                 "mkdir -p /var/lib/lxc/%s && cd /var/lib/lxc/%s && exec 9> " NVL_CREATE_MARK_FILE
                 " && flock -w 60 9 && ",
                 name, name);
    if (p->archive == NULL) {
        nvl_autofree char *unit = network_unit(p);
        /* one that is killed takes its mounts along, and what it unpacked lies in the container's folder */
        nvl_buf_addf(
            &out,
            "rm -rf --one-file-system mmdebstrap.* && TMPDIR=$PWD unshare --mount -- mmdebstrap "
            "--include=" PACKAGES " --customize-hook='printf \"%s\" > "
            "\"$1/etc/systemd/network/eth0.network\"' --customize-hook='chroot \"$1\" systemctl enable "
            "systemd-networkd' %s %s && ",
            unit, suite, archive);
    }
    nvl_buf_addf(&out, "%s", unpack);
    struct nvl_create_step *step = add_create_step(
        p, "create", nvl_xasprintf("make the root file system of %s", name), nvl_buf_take(&out));
    step->seconds = LONG_SECONDS;
    step->undo =
        nvl_xasprintf("[ ! -e /var/lib/lxc/%s ] || { flock -w 60 /var/lib/lxc/%s/" NVL_CREATE_MARK_FILE
                      " true && rm -rf --one-file-system /var/lib/lxc/%s; }",
                      name, name, name);
    return 0;
}

/* newuidmap(1) asks root's own ranges, too. */
static int check_root_ids(const struct planning *p, struct nvl_error *err)
{
    static const char *const files[] = {"/etc/subuid", "/etc/subgid"};
    nvl_auto(nvl_strv_clear) struct nvl_strv lacking = {0}, fix = {0};

    if (!nvl_root_exists(p->root, "/usr/bin/newuidmap") || !nvl_subids_are_files(p->root))
        return 0;
    for (size_t i = 0; i < NVL_LENGTH(files); i++) {
        if (nvl_subids_have(p->root, files[i], "root", 0, FIRST_ID, N_IDS) != 0)
            continue;
        nvl_autofree char *give = nvl_subids_give(p->root, files[i], "root", FIRST_ID, N_IDS);
        nvl_strv_push(&lacking, files[i]);
        nvl_strv_push(&fix, give);
    }
    if (fix.count == 0)
        return 0;
    nvl_autofree char *where = nvl_strv_join(&lacking, " and "), *commands = nvl_strv_join(&fix, "\n");
    nvl_error_host(err, -EPERM, "root has no ids for unprivileged containers in %s: %u to %u", where,
                   FIRST_ID, FIRST_ID + N_IDS - 1);
    nvl_error_hint(err, "%s", commands);
    return -EPERM;
}

static int add_lxc_steps(struct planning *p, struct nvl_error *err)
{
    struct nvl_composition bare = p->c->composition;
    const char *name = bare.hostname;

    if (p->request->is_oci) {
        nvl_error_set(err, -ENOTSUP, "nvlxc makes containers of images on Proxmox VE 9.1 and newer only");
        nvl_error_hint(err, "without --oci it makes a Debian system and installs %s in it",
                       p->c->template.name);
        return -ENOTSUP;
    }
    int r = check_root_ids(p, err);
    if (r == 0)
        r = add_rootfs(p, name, err);
    if (r < 0)
        return r;
    bare.grant = NULL;
    struct nvl_create_step *step =
        add_create_step(p, "config", nvl_xasprintf("write the config of %s", name), NULL);
    step->file = nvl_xasprintf("/var/lib/lxc/%s/config", name);
    step->text = nvl_compose_lxc(&bare);
    return 0;
}

/* ---- both ---- */

/* A command line that runs `line` as root in the container, with a plain environment. What an earlier run
 * started there may go on when that run is killed, for it is no child of this host's shell: so each line,
 * with all that it starts, has the lock of all lines. */
static char *inside_command(const struct planning *p, const char *line)
{
    nvl_autofree char *word = nvl_shell_word(line);

    return nvl_xasprintf("%s %s -- env -i HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "
                         "PATH=" INSIDE_PATH
                         " sh -c 'exec 8>>/run/nvlxc-create.lock; flock -w 1800 8 || { echo an "
                         "earlier line still runs in the container >&2; exit 1; }; exec sh -c \"$0\"' %s",
                         p->plan->is_lxc ? "lxc-attach -n" : "pct exec", p->plan->container, word);
}

static void add_attach_step(struct planning *p)
{
    const char *name = p->plan->container;
    nvl_autofree char *devices = nvl_grant_devices(&p->c->grant);
    nvl_autofree char *gpus = nvl_shell_word(devices);
    nvl_autofree char *words = nvl_capabilities_format(p->c->grant.capabilities);
    struct nvl_create_step *step =
        add_create_step(p, "attach", nvl_xasprintf("give it the GPU"),
                        nvl_xasprintf("nvlxc attach %s --gpu %s --capabilities %s%s", name, gpus, words,
                                      p->c->grant.delivery.cdi ? " --cdi" : ""));

    /* what is in the container goes with it */
    step->undo = nvl_xasprintf("rm -rf " NVL_NODE_COPIES_DIR "/%s " NVL_CDI_COPIES_DIR
                               "/%s.json " NVL_MAPPING_COPIES_DIR "/%s.cfg",
                               name, name, name);
}

/* LXC says why a start fails only in its log. */
static void add_start_step(struct planning *p)
{
    const char *name = p->plan->container;
    char *command =
        p->plan->is_lxc
            ? nvl_xasprintf("cd /var/lib/lxc/%s && { lxc-start -n %s -l ERROR -o start.log || { cat "
                            "start.log; exit 1; }; }",
                            name, name)
            : nvl_xasprintf("pct start %s", name);
    struct nvl_create_step *step = add_create_step(p, "start", nvl_xstrdup("start it"), command);

    step->check = nvl_xasprintf("lxc-info -n %s -sH | grep -qx RUNNING", name);
    step->undo = nvl_xasprintf("! lxc-info -n %s -sH | grep -qx RUNNING || %s %s", name,
                               p->plan->is_lxc ? "lxc-stop -k -n" : "pct stop", name);
}

/* The unit's lines are words of a shell: a template may have quotes in them. */
static char *unit_command(const struct nvl_template *t)
{
    nvl_autofree char *description = nvl_xasprintf("Description=%s", t->name);
    nvl_autofree char *exec = nvl_xasprintf("ExecStart=%s", t->service),
                      *user = nvl_xasprintf("User=%s", t->user);
    const char *const lines[] = {"[Unit]",
                                 description,
                                 "Wants=network-online.target",
                                 "After=network-online.target",
                                 "[Service]",
                                 exec,
                                 user,
                                 "Restart=on-failure",
                                 "[Install]",
                                 "WantedBy=multi-user.target"};
    struct nvl_buf out = {0};

    nvl_buf_addf(&out, "printf '%%s\\n'");
    for (size_t i = 0; i < NVL_LENGTH(lines); i++) {
        nvl_autofree char *word = nvl_shell_word(lines[i]);
        nvl_buf_addf(&out, " %s", word);
    }
    nvl_buf_addf(&out,
                 " > /etc/systemd/system/%s.service && systemctl daemon-reload && systemctl enable %s && "
                 "systemctl restart %s",
                 t->name, t->name, t->name);
    return nvl_buf_take(&out);
}

static void add_install_steps(struct planning *p)
{
    const struct nvl_template *t = &p->c->template;

    if (t->install.count > 0)
        add_create_step(
            p, "network", nvl_xstrdup("wait for its network"),
            inside_command(p, "i=0; until getent ahosts deb.debian.org > /dev/null; do i=$((i + 1)); "
                              "[ $i -lt 60 ] || { echo deb.debian.org has no address after a minute: the "
                              "container has no network or no name server >&2; exit 1; }; sleep 1; done"));
    for (size_t i = 0; i < t->install.count; i++) {
        char *title = nvl_xasprintf("install %s in it, %zu of %zu", t->name, i + 1, t->install.count);
        struct nvl_create_step *step =
            add_create_step(p, "install", title, inside_command(p, t->install.items[i]));
        step->detail = nvl_xstrdup(t->install.items[i]);
        step->seconds = LONG_SECONDS;
    }
    if (t->service != NULL) {
        nvl_autofree char *line = unit_command(t);
        add_create_step(p, "service", nvl_xasprintf("have its systemd run %s", t->name),
                        inside_command(p, line));
    }
}

static void add_last_steps(struct planning *p)
{
    const char *name = p->plan->container, *workload = p->c->template.verify;
    struct nvl_create_step *step =
        add_create_step(p, "verify", nvl_xstrdup("try its GPU"),
                        nvl_xasprintf("nvlxc verify %s%s%s", name, workload != NULL ? " --workload " : "",
                                      workload != NULL ? workload : ""));

    step->is_shown = true;
    add_create_step(p, "finish", nvl_xstrdup("remove the mark that it is not done yet"),
                    p->plan->is_lxc ? nvl_xasprintf("rm -f /var/lib/lxc/%s/" NVL_CREATE_MARK_FILE, name)
                                    : nvl_xasprintf("pct set %s --delete description", name));
}

static void take_plan_texts(struct planning *p)
{
    const struct nvl_composition *c = &p->c->composition;
    struct nvl_create_plan *plan = p->plan;

    plan->is_lxc = p->request->is_lxc;
    plan->template = nvl_xstrdup(p->c->template.name);
    plan->container = plan->is_lxc ? nvl_xstrdup(c->hostname) : nvl_xasprintf("%u", c->ctid);
    plan->config_path = plan->is_lxc ? nvl_xasprintf("/var/lib/lxc/%s/config", c->hostname)
                                     : nvl_xasprintf("/etc/pve/lxc/%u.conf", c->ctid);
    plan->config = plan->is_lxc ? nvl_compose_lxc(c) : nvl_compose_pve(c, p->c->volume);
    plan->url = p->c->template.url != NULL ? nvl_xstrdup(p->c->template.url) : NULL;
    plan->address = c->address != NULL ? nvl_xstrndup(c->address, strcspn(c->address, "/")) : NULL;
    for (size_t i = 0; i < p->c->template.then.count; i++)
        nvl_strv_push(&plan->then, p->c->template.then.items[i]);
}

/* A captured host may not show its network. */
static int check_bridge(const struct planning *p, struct nvl_error *err)
{
    const char *name = p->c->composition.bridge;
    nvl_autofree char *path = nvl_xasprintf("/sys/class/net/%s", name);
    struct stat st;

    if (!nvl_root_exists(p->root, "/sys/class/net") ||
        nvl_root_stat(p->root, path, AT_SYMLINK_NOFOLLOW, &st) == 0)
        return 0;
    nvl_error_set(err, -ENODEV, "this host has no bridge %s, to which the container's network would go",
                  name);
    nvl_error_hint(err, "name another one: --bridge NAME%s",
                   p->request->is_lxc && strcmp(name, "lxcbr0") == 0
                       ? "\nor have LXC's own made:\nsystemctl enable --now lxc-net"
                       : "");
    return -ENODEV;
}

int nvl_create_plan_make(const struct nvl_root *root, const struct nvl_create_request *request,
                         const struct nvl_composing *c, const char *archive, struct nvl_create_plan *plan,
                         struct nvl_error *err)
{
    struct planning p = {root, request, c, archive, plan};
    int r = 0;

    *plan = (struct nvl_create_plan){0};
    take_plan_texts(&p);
    r = check_bridge(&p, err);
    if (r == 0 && request->is_lxc)
        r = add_lxc_steps(&p, err);
    else if (r == 0)
        add_pve_steps(&p);
    if (r < 0)
        return r;
    add_attach_step(&p);
    add_start_step(&p);
    if (!request->is_oci)
        add_install_steps(&p);
    add_last_steps(&p);
    return 0;
}
