/* What a daemon tells of an instance, and what it makes of its keys and devices. */
#include "container/instance.h"

#include <ctype.h>
#include <errno.h>

#include "base/error.h"
#include "base/paths.h"
#include "base/root.h"
#include "base/text.h"
#include "container/keys.h"

#define DEFAULT_PROJECT "default"
#define INCLUDED        "/usr/share/lxc/config/common.conf.d/"

void nvl_instance_free(struct nvl_instance *instance)
{
    if (instance == NULL)
        return;
    for (size_t i = 0; i < instance->n_parts; i++) {
        free(instance->parts[i].source);
        free(instance->parts[i].removal);
        free(instance->parts[i].lines);
    }
    free(instance->parts);
    free(instance->project);
    free(instance->name);
    free(instance->node);
    free(instance->raw);
    free(instance->profile_raw);
    free(instance->text);
    free(instance->edit);
    free(instance);
}

bool nvl_instance_is_same(const struct nvl_instance *a, const struct nvl_instance *b)
{
    bool is_same = a->n_parts == b->n_parts;

    for (size_t i = 0; is_same && i < a->n_parts; i++)
        is_same = strcmp(a->parts[i].source, b->parts[i].source) == 0 &&
                  strcmp(a->parts[i].lines, b->parts[i].lines) == 0;
    return is_same;
}

static bool is_in_default(const struct nvl_instance *instance)
{
    return strcmp(instance->project, DEFAULT_PROJECT) == 0;
}

char *nvl_instance_lxc_name(const struct nvl_instance *instance)
{
    return is_in_default(instance) ? nvl_xstrdup(instance->name)
                                   : nvl_xasprintf("%s_%s", instance->project, instance->name);
}

char *nvl_instance_owner(const struct nvl_instance *instance)
{
    const char *daemon = instance->daemon->name;

    return is_in_default(instance) ? nvl_xstrdup(daemon) : nvl_xasprintf("%s/%s", daemon, instance->project);
}

char *nvl_instance_command(const struct nvl_instance *instance, const char *verb, const char *rest)
{
    nvl_autofree char *name = nvl_shell_word(instance->name), *project = nvl_shell_word(instance->project);

    return nvl_xasprintf("%s %s%s%s %s%s%s", instance->daemon->client, verb,
                         is_in_default(instance) ? "" : " --project ", is_in_default(instance) ? "" : project,
                         name, rest != NULL ? " " : "", rest != NULL ? rest : "");
}

/* ---- answers ---- */

/* An instance while it is made. */
struct making {
    struct nvl_instance_context *context;
    struct nvl_instance *instance;
    const json_t *config, *devices;    /* the instance's own */
    const json_t *expanded, *profiles; /* all keys that are in force; the names of its profiles */
    char *name;                        /* "incus/web" */
};

static const char *string_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "";
}

static bool says_one_of(const json_t *object, const char *key, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strcasecmp(string_of(object, key), *words) == 0)
            return true;
    return false;
}

static bool says_true(const json_t *object, const char *key)
{
    return says_one_of(object, key, (const char *const[]){"true", "1", "yes", "on", NULL});
}

static bool says_false(const json_t *object, const char *key)
{
    return says_one_of(object, key, (const char *const[]){"false", "0", "no", "off", NULL});
}

char *nvl_api_word(const char *text)
{
    struct nvl_buf word = {0};

    for (; *text != '\0'; text++)
        if (isalnum((unsigned char)*text) || strchr("-._", *text) != NULL)
            nvl_buf_add(&word, text, 1);
        else
            nvl_buf_addf(&word, "%%%02X", (unsigned char)*text);
    return nvl_buf_take(&word);
}

/* ---- profiles ---- */

static const json_t *read_profiles(struct nvl_instance_context *context, const char *project,
                                   struct nvl_error *err)
{
    nvl_auto(nvl_answer_clear) struct nvl_answer answer = {0};
    nvl_autofree char *word = nvl_api_word(project);
    nvl_autofree char *path = nvl_xasprintf("/1.0/profiles?recursion=1&project=%s", word);

    if (context->profiles == NULL)
        context->profiles = json_object();
    const json_t *known = json_object_get(context->profiles, project);
    if (known != NULL)
        return known;
    if (nvl_daemon_get(context->root, context->daemon, path, &answer, err) < 0)
        return NULL;
    json_object_set(context->profiles, project, answer.metadata);
    return json_object_get(context->profiles, project);
}

static const json_t *find_profile(const json_t *profiles, const char *name)
{
    const json_t *profile;
    size_t i;

    json_array_foreach(profiles, i,
                       profile) if (strcmp(string_of(profile, "name"), name) == 0) return profile;
    return NULL;
}

/* The last of its profiles that has the key in `part` ("config", "devices"): that one counts. NULL if none is
 * known to. */
static const char *profile_with(const struct making *m, const char *part, const char *key)
{
    const json_t *all = read_profiles(m->context, m->instance->project, NULL);

    for (size_t i = json_array_size(m->profiles); i-- > 0;) {
        const char *name = json_string_value(json_array_get(m->profiles, i));
        const json_t *profile = name != NULL ? find_profile(all, name) : NULL;
        if (json_object_get(json_object_get(profile, part), key) != NULL)
            return name;
    }
    return NULL;
}

/* ---- parts ---- */

/* What contains a line end could be any line. */
static bool has_one_line(const char *text)
{
    return strpbrk(text, "\r\n") == NULL;
}

/* Takes over `source`, `removal` and `lines`. */
static void append_part(struct making *m, bool is_late, char *source, char *removal, char *lines)
{
    struct nvl_instance *in = m->instance;

    *NVL_APPEND(in->parts, in->n_parts) =
        (struct nvl_instance_part){.source = source, .removal = removal, .lines = lines, .is_late = is_late};
}

static void append_own_part(struct making *m, bool is_late, char *lines)
{
    append_part(m, is_late, nvl_xasprintf("%s's own config of %s", m->context->daemon->title, m->name), NULL,
                lines);
}

/* "nvidia.runtime of the profile ml"; of a profile's name the daemons demand little. */
static char *name_source(const struct making *m, const char *part, const char *key)
{
    const json_t *own = strcmp(part, "config") == 0 ? m->config : m->devices;
    const char *what = strcmp(part, "config") == 0 ? "" : "the device ";

    if (json_object_get(own, key) != NULL)
        return nvl_xasprintf("%s%s of %s", what, key, m->name);
    const char *profile = profile_with(m, part, key);
    return profile != NULL && has_one_line(profile)
               ? nvl_xasprintf("%s%s of the profile %s", what, key, profile)
               : nvl_xasprintf("%s%s of a profile of %s", what, key, m->name);
}

/* What a profile gives is taken from this one instance, not from all that have the profile. */
static char *key_removal(const struct making *m, const char *key, const char *value)
{
    nvl_autofree char *word = nvl_shell_word(key);
    nvl_autofree char *masked = nvl_xasprintf("%s %s", word, value);

    return json_object_get(m->config, key) != NULL ? nvl_instance_command(m->instance, "config unset", word)
                                                   : nvl_instance_command(m->instance, "config set", masked);
}

static char *device_removal(const struct making *m, const char *device)
{
    nvl_autofree char *plain = nvl_shell_word(device);
    nvl_autofree char *word = nvl_xasprintf("%s%s", *device == '-' ? "-- " : "", plain); /* no option */
    nvl_autofree char *masked = nvl_xasprintf("%s none", word);

    return json_object_get(m->devices, device) != NULL
               ? nvl_instance_command(m->instance, "config device remove", word)
               : nvl_instance_command(m->instance, "config device add", masked);
}

static void add_key_part(struct making *m, const char *key, const char *masked, char *lines)
{
    append_part(m, false, name_source(m, "config", key), key_removal(m, key, masked), lines);
}

/* ---- keys ---- */

/* A privileged container gets the base devices; another has no filter, since it cannot make nodes. */
static void add_filter(struct making *m)
{
    if (says_true(m->expanded, "security.privileged"))
        append_own_part(m, false,
                        nvl_xstrdup(NVL_KEY_DENY " = a\n" NVL_KEY_ALLOW " = b *:* m\n" NVL_KEY_ALLOW
                                                 " = c *:* m\n" NVL_KEY_ALLOW " = c 136:* rwm\n" NVL_KEY_ALLOW
                                                 " = c 1:3 rwm\n" NVL_KEY_ALLOW " = c 1:5 rwm\n" NVL_KEY_ALLOW
                                                 " = c 1:7 rwm\n" NVL_KEY_ALLOW " = c 1:8 rwm\n" NVL_KEY_ALLOW
                                                 " = c 1:9 rwm\n" NVL_KEY_ALLOW " = c 5:0 rwm\n" NVL_KEY_ALLOW
                                                 " = c 5:1 rwm\n" NVL_KEY_ALLOW " = c 5:2 rwm\n" NVL_KEY_ALLOW
                                                 " = c 10:229 rwm\n" NVL_KEY_ALLOW " = c 10:200 rwm\n"));
}

static void add_mapping(struct nvl_buf *lines, char kind, const json_t *mapping)
{
    nvl_buf_addf(lines, NVL_KEY_IDMAP " = %c %lld %lld %lld\n", kind,
                 (long long)json_integer_value(json_object_get(mapping, "Nsid")),
                 (long long)json_integer_value(json_object_get(mapping, "Hostid")),
                 (long long)json_integer_value(json_object_get(mapping, "Maprange")));
}

/* "[{"Isuid":true,"Isgid":false,"Hostid":1000000,"Nsid":0,"Maprange":1000000000}]" */
static void add_idmap(struct making *m)
{
    const char *next = string_of(m->expanded, "volatile.idmap.next");
    json_error_t ignored;
    struct nvl_buf lines = {0};
    const json_t *mapping;
    size_t i;

    if (says_true(m->expanded, "security.privileged"))
        return;
    json_t *map =
        json_loads(*next != '\0' ? next : string_of(m->expanded, "volatile.idmap.current"), 0, &ignored);
    json_array_foreach(map, i, mapping)
    {
        if (json_is_true(json_object_get(mapping, "Isuid")))
            add_mapping(&lines, 'u', mapping);
        if (json_is_true(json_object_get(mapping, "Isgid")))
            add_mapping(&lines, 'g', mapping);
    }
    json_decref(map);
    if (lines.len > 0)
        append_own_part(m, false, nvl_buf_take(&lines));
}

/* The daemon writes a file, from which liblxc reads: a value ends with its line. */
static void add_variables(struct making *m)
{
    static const char prefix[] = "environment.";
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)m->expanded, key, value)
    {
        const char *text = json_string_value(value);
        if (text != NULL && nvl_has_prefix(key, prefix) && has_one_line(key))
            add_key_part(m, key, "''",
                         nvl_xasprintf(NVL_KEY_ENVIRONMENT " = %s=%.*s\n", key + strlen(prefix),
                                       (int)strcspn(text, "\r\n"), text));
    }
}

/* LXC's own hook, which calls libnvidia-container; or nvlxc's, where the daemon was told so
 * (data/incus/nvlxc.conf). */
static void turn_runtime(struct making *m)
{
    const char *capabilities = string_of(m->expanded, "nvidia.driver.capabilities");
    nvl_autofree char *drop_in =
        nvl_xasprintf("/etc/systemd/system/%s.service.d/nvlxc.conf", m->context->daemon->name);

    if (!says_true(m->expanded, "nvidia.runtime") || !has_one_line(capabilities))
        return;
    const char *hook =
        nvl_root_exists(m->context->root, drop_in) ? NVL_RUNTIME_HOOK : "/usr/share/lxc/hooks/nvidia";
    add_key_part(m, "nvidia.runtime", "false",
                 nvl_xasprintf(NVL_KEY_MOUNT " = %s\n" NVL_KEY_ENVIRONMENT
                                             " = NVIDIA_DRIVER_CAPABILITIES=%s\n",
                               hook, *capabilities != '\0' ? capabilities : "compute,utility"));
}

/* ---- devices ---- */

/* A path in a mount entry: what ends a field, or begins a comment, is escaped as getmntent(3) reads it. */
static void write_path(struct nvl_buf *lines, const char *path)
{
    for (; *path != '\0'; path++)
        if ((unsigned char)*path <= ' ' || *path == '\\' || *path == '#')
            nvl_buf_addf(lines, "\\%03o", (unsigned char)*path);
        else
            nvl_buf_add(lines, path, 1);
}

static void write_entry(struct nvl_buf *lines, const char *source, const char *target, const char *options)
{
    nvl_buf_addf(lines, NVL_KEY_ENTRY " = ");
    write_path(lines, source);
    nvl_buf_addf(lines, " ");
    write_path(lines, target + strspn(target, "/"));
    nvl_buf_addf(lines, " none %s\n", options);
}

/* As a device rule can name it. */
static bool is_rule_path(const char *path)
{
    bool is_word = path[0] == '/';

    for (; *path != '\0'; path++)
        is_word &= (unsigned char)*path > ' ';
    return is_word;
}

/* A device node; where the container has a filter, the daemon adds the rule, too. */
static void write_node(const struct making *m, struct nvl_buf *lines, const char *source, const char *target)
{
    write_entry(lines, source, target, "bind,optional,create=file");
    if (says_true(m->expanded, "security.privileged") && is_rule_path(source))
        nvl_buf_addf(lines, NVL_KEY_ALLOW " = %s rwm\n", source);
}

/* "nvidia.com/gpu=all", "=0", "=GPU-…": CDI's names. */
static bool is_of_cdi_name(const struct nvl_gpu *gpu, const char *name)
{
    uint64_t number;

    return strcmp(name, "all") == 0 || strcmp(name, gpu->uuid) == 0 ||
           (nvl_parse_uint(name, 10, 4096, &number) == 0 && gpu->index == (int)number);
}

/* Without a word about which, a device is all of them. */
static bool means_gpu(const struct nvl_gpu *gpu, const json_t *device)
{
    const char *pci = string_of(device, "pci"), *id = string_of(device, "id"),
               *vendor = string_of(device, "vendorid"), *product = string_of(device, "productid");
    const char *cdi = strchr(id, '=');
    char address[NVL_PCI_MAX];
    uint64_t number;

    if (*pci != '\0')
        return nvl_pci_normalise(pci, address) && strcmp(address, gpu->pci) == 0;
    if (cdi != NULL)
        return is_of_cdi_name(gpu, cdi + 1);
    if (*id != '\0')
        return nvl_parse_uint(id, 10, 4096, &number) == 0 && gpu->card == (int)number;
    return (*vendor == '\0' || strcmp(vendor, "10de") == 0) &&
           (*product == '\0' ||
            (nvl_parse_uint(product, 16, 0xffff, &number) == 0 && gpu->pci_device == number));
}

static const struct nvl_gpus *read_gpus(struct nvl_instance_context *context)
{
    if (!context->has_gpus)
        nvl_gpus_read(context->root, NVL_GPUS_ALL, &context->gpus, NULL);
    context->has_gpus = true;
    return &context->gpus;
}

static void write_gpu_nodes(const struct making *m, struct nvl_buf *lines, const struct nvl_gpu *gpu)
{
    nvl_autofree char *node = nvl_xasprintf("/dev/nvidia%d", gpu->minor),
                      *card = nvl_xasprintf("/dev/dri/card%d", gpu->card),
                      *render = nvl_xasprintf("/dev/dri/renderD%d", gpu->render);

    if (gpu->minor >= 0)
        write_node(m, lines, node, node);
    if (gpu->card >= 0)
        write_node(m, lines, card, card);
    if (gpu->render >= 0)
        write_node(m, lines, render, render);
}

/* The daemon brings the nodes of the GPUs and, without nvidia.runtime, those that all of them share. If no
 * GPU is known now, the one that every driver has says that NVIDIA's are meant. */
static void turn_gpus(struct making *m, const json_t *device, struct nvl_buf *lines)
{
    static const char *const shared[] = {"/dev/nvidiactl", "/dev/nvidia-modeset", "/dev/nvidia-uvm",
                                         "/dev/nvidia-uvm-tools"};
    const struct nvl_gpus *gpus = read_gpus(m->context);
    const char *vendor = string_of(device, "vendorid");
    bool any = *string_of(device, "pci") == '\0' && *string_of(device, "id") == '\0' &&
               (strcmp(vendor, "10de") == 0 || (*vendor == '\0' && gpus->count > 0));

    for (size_t i = 0; i < gpus->count; i++)
        if (means_gpu(&gpus->items[i], device)) {
            write_gpu_nodes(m, lines, &gpus->items[i]);
            any = true;
        }
    for (size_t i = 0; any && i < NVL_LENGTH(shared); i++)
        if (i == 0 || nvl_root_exists(m->context->root, shared[i]))
            write_node(m, lines, shared[i], shared[i]);
}

/* In one line, and not the root itself: no field of a mount entry is empty. */
static bool is_below_root(const char *path)
{
    return path[strspn(path, "/")] != '\0' && has_one_line(path);
}

static void turn_unix_char(const struct making *m, const json_t *device, struct nvl_buf *lines)
{
    const char *source = string_of(device, "source"), *path = string_of(device, "path");

    source = *source != '\0' ? source : path;
    path = *path != '\0' ? path : source;
    if (is_below_root(source) && is_below_root(path))
        write_node(m, lines, source, path);
}

static void turn_disk(const json_t *device, struct nvl_buf *lines)
{
    const char *source = string_of(device, "source"), *path = string_of(device, "path");
    bool is_optional = says_false(device, "required") || says_true(device, "optional");
    nvl_autofree char *options =
        nvl_xasprintf("bind%s%s", says_true(device, "readonly") ? ",ro" : "", is_optional ? ",optional" : "");

    if (source[0] == '/' && path[0] == '/' && has_one_line(source) && is_below_root(path))
        write_entry(lines, source, path, options);
}

static void turn_device(struct making *m, const char *name, const json_t *device)
{
    const char *type = string_of(device, "type"), *kind = string_of(device, "gputype");
    struct nvl_buf lines = {0};

    if (strcmp(type, "gpu") == 0 && (*kind == '\0' || strcmp(kind, "physical") == 0))
        turn_gpus(m, device, &lines);
    else if (strcmp(type, "unix-char") == 0)
        turn_unix_char(m, device, &lines);
    else if (strcmp(type, "disk") == 0)
        turn_disk(device, &lines);
    if (lines.len > 0 && has_one_line(name))
        append_part(m, true, name_source(m, "devices", name), device_removal(m, name), nvl_buf_take(&lines));
    nvl_buf_clear(&lines);
}

static void turn_devices(struct making *m, const json_t *devices)
{
    const char *name;
    json_t *device;

    json_object_foreach((json_t *)devices, name, device) turn_device(m, name, device);
}

/* ---- instances ---- */

/* A host name, which begins with no dash: the daemons allow no other. */
static bool is_instance_name(const char *name)
{
    bool is_good = *name != '\0' && *name != '-';

    for (; *name != '\0'; name++)
        is_good &= isalnum((unsigned char)*name) || *name == '-';
    return is_good;
}

/* The daemons allow nearly everything that can be the name of a file. */
static bool is_project_name(const char *name)
{
    bool is_good = *name != '\0' && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;

    for (; *name != '\0'; name++)
        is_good &= *name != '/' && (unsigned char)*name >= ' ' && *name != 0x7f;
    return is_good;
}

/* "none" where there is no cluster. */
static char *member_of(struct nvl_instance_context *context, const json_t *answer)
{
    nvl_auto(nvl_answer_clear) struct nvl_answer server = {0};
    const char *location = string_of(answer, "location");

    if (*location == '\0' || strcmp(location, "none") == 0 || !has_one_line(location))
        return NULL;
    if (context->member == NULL) {
        nvl_daemon_get(context->root, context->daemon, "/1.0", &server, NULL);
        context->member =
            nvl_xstrdup(string_of(json_object_get(server.metadata, "environment"), "server_name"));
    }
    return strcmp(location, context->member) == 0 ? NULL : nvl_xstrdup(location);
}

static void turn_all(struct making *m, const json_t *devices)
{
    nvl_autofree char *lxc_name = nvl_instance_lxc_name(m->instance);
    nvl_autofree char *lxcpath = nvl_daemon_lxcpath(m->context->daemon);

    append_own_part(m, false, nvl_xstrdup("lxc.include = " INCLUDED "\n"));
    add_filter(m);
    add_idmap(m);
    add_variables(m);
    if (says_true(m->expanded, "boot.autostart"))
        add_key_part(m, "boot.autostart", "false", nvl_xstrdup("lxc.start.auto = 1\n"));
    turn_runtime(m);
    append_own_part(m, true, nvl_xasprintf("lxc.rootfs.path = dir:%s/%s/rootfs\n", lxcpath, lxc_name));
    turn_devices(m, devices);
}

struct nvl_instance *nvl_instance_make(struct nvl_instance_context *context, const json_t *answer)
{
    const char *name = string_of(answer, "name"), *project = string_of(answer, "project");
    struct nvl_instance *instance;

    if (strcmp(string_of(answer, "type"), "container") != 0 || !is_instance_name(name) ||
        (*project != '\0' && !is_project_name(project)))
        return NULL;
    instance = nvl_xcalloc(1, sizeof *instance);
    struct making m = {.context = context,
                       .instance = instance,
                       .config = json_object_get(answer, "config"),
                       .devices = json_object_get(answer, "devices"),
                       .expanded = json_object_get(answer, "expanded_config"),
                       .profiles = json_object_get(answer, "profiles")};
    *instance = (struct nvl_instance){
        .daemon = context->daemon,
        .name = nvl_xstrdup(name),
        .project = nvl_xstrdup(*project != '\0' ? project : "default"),
        .node = member_of(context, answer),
        .raw = nvl_xstrdup(string_of(m.expanded, "raw.lxc")),
        .is_local = json_object_get(m.config, "raw.lxc") != NULL,
    };
    nvl_autofree char *owner = nvl_instance_owner(instance);
    m.name = nvl_xasprintf("%s/%s", owner, name);
    instance->text = nvl_xasprintf("raw.lxc of %s", m.name);
    nvl_autofree char *command = nvl_instance_command(instance, "config edit", NULL);
    instance->edit = nvl_xasprintf("%s (%s)", instance->text, command);
    turn_all(&m, json_object_get(answer, "expanded_devices"));
    free(m.name);
    return instance;
}

int nvl_instance_read_profiles(struct nvl_instance_context *context, const char *project,
                               struct nvl_error *err)
{
    struct nvl_error why = {0};

    if (read_profiles(context, project, &why) != NULL)
        return 0;
    if (err != NULL)
        *err = why;
    return nvl_error_prefix(err, "the profiles of the project %s", project);
}

void nvl_instance_set_profile_raw(struct nvl_instance_context *context, const json_t *answer,
                                  struct nvl_instance *instance)
{
    const json_t *all = read_profiles(context, instance->project, NULL),
                 *names = json_object_get(answer, "profiles"), *name;
    const char *value = "";
    size_t i;

    json_array_foreach(names, i, name)
    {
        const json_t *profile = json_is_string(name) ? find_profile(all, json_string_value(name)) : NULL;
        const char *its = json_string_value(json_object_get(json_object_get(profile, "config"), "raw.lxc"));
        value = its != NULL ? its : value;
    }
    instance->profile_raw = nvl_xstrdup(value);
}

void nvl_instance_context_clear(struct nvl_instance_context *context)
{
    json_decref(context->profiles);
    free(context->member);
    nvl_gpus_clear(&context->gpus);
    *context = (struct nvl_instance_context){0};
}
