/* Checks the request, and fills in what it leaves open. */
#include "create/request.h"

#include <arpa/inet.h>
#include <errno.h>

#include "attach/request.h"
#include "base/printable.h"
#include "base/root.h"
#include "host/host.h"

#define ENTRYPOINT_MAX 4096

void nvl_composing_clear(struct nvl_composing *c)
{
    nvl_template_clear(&c->template);
    nvl_grant_clear(&c->grant);
    nvl_strv_clear(&c->changes);
    free(c->storage);
    free(c->volume);
    *c = (struct nvl_composing){0};
}

static int check_names(const struct nvl_composition *c, struct nvl_error *err)
{
    if (!nvl_is_hostname(c->hostname))
        return nvl_error_usage(err, "--hostname: '%.100s' is not a host's name", c->hostname);
    if (!nvl_is_storage_name(c->storage))
        return nvl_error_usage(err, "--storage: '%.100s' is not the name of a storage", c->storage);
    if (!nvl_is_bridge_name(c->bridge))
        return nvl_error_usage(err, "--bridge: '%.100s' is not the name of a bridge", c->bridge);
    return 0;
}

static bool is_ip(const char *text)
{
    unsigned char bytes[16];

    return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

static bool is_address_with_length(const char *text)
{
    const char *slash = strchr(text, '/');
    uint64_t length;

    if (slash == NULL)
        return false;
    nvl_autofree char *address = nvl_xstrndup(text, (size_t)(slash - text));
    return is_ip(address) &&
           nvl_parse_uint(slash + 1, 10, strchr(address, ':') != NULL ? 128 : 32, &length) == 0;
}

static int check_network(const struct nvl_create_request *request, struct nvl_error *err)
{
    if (request->address != NULL && !is_address_with_length(request->address)) {
        nvl_error_usage(err, "--ip: '%.100s' is not an address with the length of its network",
                        request->address);
        nvl_error_hint(err, "for example --ip 10.0.99.230/24; without --ip it is given one by DHCP");
        return -EINVAL;
    }
    if (request->gateway != NULL && !is_ip(request->gateway))
        return nvl_error_usage(err, "--gw: '%.100s' is not an address", request->gateway);
    if (request->gateway != NULL && request->address == NULL)
        return nvl_error_usage(err, "--gw needs --ip: DHCP gives a gateway itself");
    return 0;
}

static bool is_line_of_text(const char *text)
{
    nvl_autofree char *shown = nvl_make_printable(nvl_xstrdup(text));

    return strcmp(shown, text) == 0 && strpbrk(text, "\n\t") == NULL;
}

static int check_image_values(const struct nvl_create_request *request, const struct nvl_template *t,
                              struct nvl_error *err)
{
    if (request->is_oci && t->image == NULL)
        return nvl_error_usage(err, "--oci: %s has no image in its template", t->name);
    if (request->entrypoint != NULL && !request->is_oci)
        return nvl_error_usage(err, "--entrypoint needs --oci: a system starts its own init");
    if (request->entrypoint != NULL &&
        (request->entrypoint[0] == '\0' || strlen(request->entrypoint) > ENTRYPOINT_MAX ||
         !is_line_of_text(request->entrypoint)))
        return nvl_error_usage(err, "--entrypoint: it is empty, too long, or has control characters");
    if (request->ostype != NULL && !nvl_is_ostype(request->ostype))
        return nvl_error_usage(err, "--ostype: Proxmox knows no '%.100s'", request->ostype);
    return 0;
}

static void override_number(struct nvl_composing *c, const char *what, const char *unit, long wanted,
                            unsigned *value)
{
    if (wanted == NVL_AS_TEMPLATE || (unsigned)wanted == *value)
        return;
    nvl_strv_pushf(&c->changes, "%s: %ld%s, not %u", what, wanted, unit, *value);
    *value = (unsigned)wanted;
}

static void override_word(struct nvl_composing *c, const char *what, const char *wanted, const char **value)
{
    if (wanted == NULL || (*value != NULL && strcmp(wanted, *value) == 0))
        return;
    nvl_strv_pushf(&c->changes, "%s: %s, not %s", what, wanted, *value != NULL ? *value : "none");
    *value = wanted;
}

static int take_values(const struct nvl_create_request *request, struct nvl_composing *c,
                       struct nvl_error *err)
{
    struct nvl_composition *made = &c->composition;

    override_number(c, "cores", "", request->cores, &made->cores);
    override_number(c, "memory", " MiB", request->memory, &made->memory);
    override_number(c, "swap", " MiB", request->swap, &made->swap);
    override_number(c, "disk", " GiB", request->disk, &made->disk);
    override_word(c, "entrypoint", request->entrypoint, &made->entrypoint);
    if (request->is_oci && request->ostype == NULL)
        nvl_strv_pushf(&c->changes, "ostype: unmanaged, not %s: Proxmox does not change an image's files",
                       c->template.ostype);
    else if (!request->is_lxc)
        override_word(c, "ostype", request->ostype, &made->ostype);
    if (made->memory < 16 || made->cores == 0 || made->disk == 0)
        return nvl_error_usage(err, "a container needs 16 MiB of memory, a core and 1 GiB of disk at least");
    return 0;
}

/* A hybrid host has its controllers in cgroup v1; a captured one says nothing. */
static bool lacks_limits(const struct nvl_root *root)
{
    static const char *const files[] = {"/sys/fs/cgroup/cgroup.controllers",
                                        "/sys/fs/cgroup/unified/cgroup.controllers"};

    for (size_t i = 0; i < NVL_LENGTH(files); i++) {
        nvl_autofree char *text = NULL;
        nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};
        size_t len;
        if (nvl_root_read(root, files[i], 4096, &text, &len) < 0)
            continue;
        nvl_strv_split(&words, text, " \n");
        return !nvl_strv_contains(&words, "memory") || !nvl_strv_contains(&words, "cpu");
    }
    return false;
}

/* The GPUs of this host, as `attach` would write them. */
static int read_grant(const struct nvl_root *root, const struct nvl_create_request *request,
                      struct nvl_composing *c, struct nvl_error *err)
{
    nvl_auto(nvl_host_clear) struct nvl_host host = {0};

    int r = nvl_request_parse(request->gpus, NULL, false, &c->grant, err);
    if (r == 0)
        r = nvl_host_read(&host, root, NVL_GPUS_ALL, err);
    if (r == 0 && request->choose_gpu != NULL)
        r = request->choose_gpu(request->asker, &host, &c->grant, err);
    if (r == 0)
        r = nvl_request_resolve(&host, &c->grant, false, err);
    c->grant.capabilities = c->template.capabilities;
    /* a container engine in it takes the GPU by a specification */
    c->grant.delivery.cdi = c->template.verify != NULL && strcmp(c->template.verify, "docker") == 0;
    return r;
}

int nvl_composing_make(const struct nvl_root *root, const struct nvl_create_request *request,
                       struct nvl_composing *c, struct nvl_error *err)
{
    struct nvl_composition *made = &c->composition;

    int r = nvl_template_find(NULL, request->template, &c->template, err);
    if (r == 0)
        r = check_image_values(request, &c->template, err);
    if (r == 0)
        r = check_network(request, err);
    if (r < 0)
        return r;
    nvl_composition_begin(made, &c->template, request->is_oci);
    c->storage =
        request->storage != NULL ? nvl_xstrdup(request->storage) : nvl_default_storage(root, "rootdir");
    made->grant = &c->grant;
    made->ctid = request->ctid;
    made->hostname = request->hostname != NULL ? request->hostname : c->template.name;
    made->storage = c->storage;
    made->bridge = request->bridge != NULL ? request->bridge : request->is_lxc ? "lxcbr0" : "vmbr0";
    made->address = request->address;
    made->gateway = request->gateway;
    made->no_limits = request->is_lxc && lacks_limits(root);
    r = check_names(made, err);
    if (r == 0 && made->no_limits)
        nvl_strv_push(&c->changes,
                      "memory, swap and cores: without a limit, since this host's cgroup2 has no "
                      "controllers for them");
    if (r == 0)
        r = take_values(request, c, err);
    if (r == 0 && !request->is_lxc)
        r = nvl_volume_name(root, c->storage, made->ctid, &c->volume, err);
    return r < 0 ? r : read_grant(root, request, c, err);
}

unsigned nvl_free_ctid(const struct nvl_root *root)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv nodes = {0}, taken = {0};

    nvl_root_list(root, "/etc/pve/nodes", &nodes);
    for (size_t i = 0; i < nodes.count; i++) {
        nvl_autofree char *cts = nvl_xasprintf("/etc/pve/nodes/%s/lxc", nodes.items[i]);
        nvl_autofree char *vms = nvl_xasprintf("/etc/pve/nodes/%s/qemu-server", nodes.items[i]);
        nvl_root_list(root, cts, &taken);
        nvl_root_list(root, vms, &taken);
    }
    nvl_strv_sort(&taken);
    for (unsigned ctid = 100; ctid < 1000000000; ctid++) {
        nvl_autofree char *name = nvl_xasprintf("%u.conf", ctid);
        if (!nvl_strv_sorted_contains(&taken, name))
            return ctid;
    }
    return 0;
}
