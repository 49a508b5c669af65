/* What Incus and LXD tell of an instance and of its profiles, and the config that it becomes: the daemon's
 * number, then the two answers. A part says what it means and nothing else, and no command that is shown does
 * more than it says. */
#include "fuzz.h"

#include "settings.h"

#include "container/instance.h"
#include "container/keys.h"

/* Two GPUs, one of them as it is without DRI nodes; and what instance.c looks at beside them. */
static const char host[] =
    "/proc/driver/nvidia/gpus/0000:01:00.0/information\n"
    "GPU UUID: GPU-3291dfa4-fcc4-0110-615b-c894a0d7c689\nDevice Minor: 1\nBus Location: 0000:01:00.0\n\x1d"
    "/proc/driver/nvidia/gpus/0000:02:00.0/information\n"
    "GPU UUID: GPU-a1b2c3d4-0000-1111-2222-333344445555\nDevice Minor: 0\nBus Location: 0000:02:00.0\n\x1d"
    "/sys/bus/pci/devices/0000:01:00.0/vendor\n0x10de\n\x1d"
    "/sys/bus/pci/devices/0000:01:00.0/class\n0x030000\n\x1d"
    "/sys/bus/pci/devices/0000:01:00.0/device\n0x2438\n\x1d"
    "/sys/bus/pci/devices/0000:01:00.0/driver -> ../../drivers/nvidia\x1d"
    "/sys/bus/pci/devices/0000:01:00.0/drm/card1/dev\n226:1\n\x1d"
    "/sys/bus/pci/devices/0000:01:00.0/drm/renderD128/dev\n226:128\n\x1d"
    "/sys/bus/pci/devices/0000:02:00.0/vendor\n0x10de\n\x1d"
    "/sys/bus/pci/devices/0000:02:00.0/class\n0x030200\n\x1d"
    "/sys/bus/pci/devices/0000:02:00.0/device\n0x2684\n\x1d"
    "/sys/bus/pci/devices/0000:02:00.0/driver -> ../../drivers/nvidia\x1d"
    "/sys/bus/pci/drivers/nvidia/\x1d"
    "/dev/nvidia-uvm\n\x1d"
    "/etc/systemd/system/incus.service.d/nvlxc.conf\n\x1d"
    "/usr/share/lxc/config/common.conf.d/00-lxcfs.conf\nlxc.mount.auto = cgroup:mixed\n";

/* The GPUs, and this member of the cluster, stay the same. */
static struct nvl_instance_context *make_context(void)
{
    static struct nvl_instance_context context;

    if (context.root == NULL) {
        struct fuzz_input tree = {host, sizeof host - 1};
        fuzz_tree(&tree);
        context = (struct nvl_instance_context){
            .root = fuzz_root(), .member = nvl_xstrdup("here"), .has_gpus = true};
        CHECK(nvl_gpus_read(context.root, NVL_GPUS_ALL, &context.gpus, NULL) == 0 && context.gpus.count == 2);
    }
    return &context;
}

static json_t *take_json(struct fuzz_input *in)
{
    size_t len;
    json_error_t ignored;
    nvl_autofree char *bytes = fuzz_bytes(in, &len);

    return json_loadb(bytes, len, 0, &ignored);
}

/* Nobody is asked: whatever the project is, its profiles are known. Takes `profiles` over. */
static void set_profiles(struct nvl_instance_context *context, const json_t *answer, json_t *profiles)
{
    const char *project = json_string_value(json_object_get(answer, "project"));

    json_decref(context->profiles);
    context->profiles = json_object();
    json_object_set_new(context->profiles, project != NULL && *project != '\0' ? project : "default",
                        profiles != NULL ? profiles : json_null());
}

/* ---- names and commands ---- */

static bool is_line(const char *text)
{
    return strpbrk(text, "\r\n") == NULL;
}

static void check_name(const char *name)
{
    CHECK(name[0] != '\0' && strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
    for (const char *c = name; *c != '\0'; c++)
        CHECK(*c != '/' && (unsigned char)*c >= ' ' && *c != 0x7f);
}

/* The next word as a shell takes it; outside of quotes it must find nothing else to obey. */
static const char *take_word(const char *c, struct nvl_buf *word)
{
    bool is_quoted = false;

    for (; *c != '\0' && (is_quoted || *c != ' '); c++) {
        if (*c == '\'') {
            is_quoted = !is_quoted;
            continue;
        }
        if (!is_quoted && *c == '\\')
            c++;
        else
            CHECK(is_quoted || strchr("\t\n;&|<>()$`\"*?[]#~!{}", *c) == NULL);
        CHECK(*c != '\0');
        nvl_buf_add(word, c, 1);
    }
    CHECK(!is_quoted);
    return c;
}

static void split_words(const char *command, struct nvl_strv *words)
{
    for (const char *c = command; *c != '\0'; c += *c == ' ') {
        struct nvl_buf word = {0};
        c = take_word(c, &word);
        nvl_autofree char *text = nvl_buf_take(&word);
        nvl_strv_push(words, text);
    }
}

/* "incus VERB --project lab web REST" */
static void check_command(const struct nvl_instance *instance, const char *command, const char *verb,
                          const struct nvl_strv *rest)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0}, expected = {0};

    nvl_strv_push(&expected, instance->daemon->client);
    nvl_strv_split(&expected, verb, " ");
    if (strcmp(instance->project, "default") != 0) {
        nvl_strv_push(&expected, "--project");
        nvl_strv_push(&expected, instance->project);
    }
    nvl_strv_push(&expected, instance->name);
    for (size_t i = 0; i < rest->count; i++)
        nvl_strv_push(&expected, rest->items[i]);
    split_words(command, &words);
    CHECK(words.count == expected.count);
    for (size_t i = 0; i < words.count; i++)
        fuzz_same(words.items[i], strlen(words.items[i]), expected.items[i], strlen(expected.items[i]));
}

static void check_names(const struct nvl_instance *instance)
{
    nvl_autofree char *lxc_name = nvl_instance_lxc_name(instance), *owner = nvl_instance_owner(instance),
                      *command = nvl_instance_command(instance, "config edit", NULL),
                      *name = nvl_api_word(instance->name), *project = nvl_api_word(instance->project);
    const struct nvl_strv none = {0};

    check_name(instance->name);
    check_name(instance->project);
    check_name(lxc_name);
    CHECK(instance->name[0] != '-'); /* the client would take it for an option */
    CHECK(is_line(owner) && is_line(instance->text) && is_line(instance->edit));
    CHECK(name[strcspn(name, "/?&#")] == '\0' && project[strcspn(project, "/?&#")] == '\0');
    check_command(instance, command, "config edit", &none);
}

/* ---- parts ---- */

enum origin { OF_DAEMON, OF_VARIABLE, OF_RUNTIME, OF_START, OF_DEVICE };

/* Who made it, by the words of its source. */
static enum origin origin_of(const struct nvl_instance *instance, const struct nvl_instance_part *part)
{
    nvl_autofree char *own = nvl_xasprintf("%s's own config of ", instance->daemon->title);

    if (nvl_has_prefix(part->source, own))
        return OF_DAEMON;
    if (nvl_has_prefix(part->source, "environment."))
        return OF_VARIABLE;
    if (nvl_has_prefix(part->source, "nvidia.runtime of "))
        return OF_RUNTIME;
    if (nvl_has_prefix(part->source, "boot.autostart of "))
        return OF_START;
    CHECK(nvl_has_prefix(part->source, "the device "));
    return OF_DEVICE;
}

static bool may_have(enum origin origin, const char *key)
{
    static const char *const keys[][6] = {
        [OF_DAEMON] = {"lxc.include", NVL_KEY_ALLOW, NVL_KEY_DENY, NVL_KEY_IDMAP, "lxc.rootfs.path"},
        [OF_VARIABLE] = {NVL_KEY_ENVIRONMENT},
        [OF_RUNTIME] = {NVL_KEY_MOUNT, NVL_KEY_ENVIRONMENT},
        [OF_START] = {"lxc.start.auto"},
        [OF_DEVICE] = {NVL_KEY_ENTRY, NVL_KEY_ALLOW},
    };

    for (size_t i = 0; keys[origin][i] != NULL; i++)
        if (strcmp(keys[origin][i], key) == 0)
            return true;
    return false;
}

/* The entry's fields are the device's paths. */
static void check_entry(const char *value, const json_t *device)
{
    static const char *const options[] = {"bind,optional,create=file", "bind", "bind,ro", "bind,optional",
                                          "bind,ro,optional"};
    const char *type = json_string_value(json_object_get(device, "type"));
    const char *source = json_string_value(json_object_get(device, "source"));
    const char *path = json_string_value(json_object_get(device, "path"));
    nvl_auto(nvl_mount_entry_clear) struct nvl_mount_entry entry = {0};
    bool is_known = false;

    CHECK(nvl_mount_entry_parse(value, &entry) && type != NULL);
    for (size_t i = 0; i < NVL_LENGTH(options); i++)
        is_known = is_known || strcmp(entry.options, options[i]) == 0;
    CHECK(is_known);
    if (strcmp(type, "gpu") == 0) {
        CHECK(nvl_has_prefix(entry.source, "/dev/"));
        return;
    }
    source = source == NULL || source[0] == '\0' ? path : source;
    path = path == NULL || path[0] == '\0' ? source : path;
    CHECK(source != NULL && path != NULL);
    path += strspn(path, "/");
    fuzz_same(entry.source, strlen(entry.source), source, strlen(source));
    fuzz_same(entry.target, strlen(entry.target), path, strlen(path));
}

/* A device's rule is for the node that the entry before it mounts, and for no other. */
static void check_rule(const char *rule, const char *entry)
{
    nvl_auto(nvl_mount_entry_clear) struct nvl_mount_entry node = {0};

    CHECK(entry != NULL && nvl_mount_entry_parse(entry, &node));
    nvl_autofree char *expected = nvl_xasprintf("%s rwm", node.source);
    fuzz_same(rule, strlen(rule), expected, strlen(expected));
    CHECK(nvl_has_prefix(rule, "/") && strpbrk(node.source, " \t") == NULL);
}

/* The command takes away what the source names, of this instance. Gives the name of the key or device. */
static char *check_removal(const struct nvl_instance *instance, const struct nvl_instance_part *part,
                           enum origin origin)
{
    static const char *const ways[][2] = {{"config unset", "config set"},
                                          {"config device remove", "config device add"}};
    const char *masked = origin == OF_DEVICE ? "none" : origin == OF_VARIABLE ? "" : "false";
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0}, rest = {0};

    split_words(part->removal, &words);
    size_t verb = origin == OF_DEVICE ? 3 : 2;
    CHECK(words.count > verb + 2);
    bool is_masked = strcmp(words.items[verb], "set") == 0 || strcmp(words.items[verb], "add") == 0;
    const char *named = words.items[words.count - (is_masked ? 2 : 1)];
    if (origin == OF_DEVICE && named[0] == '-') /* the client would take it for an option */
        nvl_strv_push(&rest, "--");
    nvl_strv_push(&rest, named);
    if (is_masked)
        nvl_strv_push(&rest, masked);
    check_command(instance, part->removal, ways[origin == OF_DEVICE][is_masked], &rest);
    nvl_autofree char *what = nvl_xasprintf("%s%s of ", origin == OF_DEVICE ? "the device " : "", named);
    CHECK(nvl_has_prefix(part->source, what));
    return nvl_xstrdup(named);
}

static void check_part(const struct nvl_instance *instance, const struct nvl_instance_part *part,
                       const json_t *answer)
{
    enum origin origin = origin_of(instance, part);
    nvl_auto(nvl_config_clear) struct nvl_config config = {0};
    size_t len = strlen(part->lines);

    CHECK(is_line(part->source) && strchr(part->lines, '\r') == NULL);
    CHECK(len > 0 && part->lines[len - 1] == '\n');
    CHECK((part->removal == NULL) == (origin == OF_DAEMON));
    nvl_autofree char *name = part->removal != NULL ? check_removal(instance, part, origin) : NULL;
    const json_t *device =
        name != NULL ? json_object_get(json_object_get(answer, "expanded_devices"), name) : NULL;
    CHECK(nvl_config_parse(&config, NVL_DIALECT_LXC, nvl_xstrdup(part->lines), len, NULL) == 0);
    for (size_t i = 0; i < config.n_lines; i++) {
        const struct nvl_line *line = &config.lines[i];
        CHECK(line->kind == NVL_LINE_KEY && may_have(origin, line->key));
        CHECK(line->value[0] != '\0'); /* it would end a list */
        if (origin == OF_DEVICE && strcmp(line->key, NVL_KEY_ALLOW) == 0)
            check_rule(line->value, i > 0 ? config.lines[i - 1].value : NULL);
        else if (origin == OF_DEVICE)
            check_entry(line->value, device);
    }
}

static void check_effective(const struct nvl_container *c)
{
    nvl_auto(nvl_config_clear) struct nvl_config config = {0};
    nvl_auto(nvl_effective_clear) struct nvl_effective effective = {0};
    nvl_auto(nvl_strv_clear) struct nvl_strv sources = {0}, removals = {0};

    if (nvl_container_read_config(fuzz_root(), c, &config, NULL) < 0)
        return;
    nvl_effective_read(fuzz_root(), c, &config, &effective, NULL);
    for (size_t i = 0; i < effective.count; i++) {
        const struct nvl_setting *s = &effective.items[i];
        nvl_autofree char *text = nvl_setting_text(&effective, s);
        CHECK(s->owner != NVL_OWNER_NVLXC || s->line != NULL);
        if (s->part == NULL)
            continue;
        CHECK(s->line == NULL && s->number == 0 && is_line(s->value));
        CHECK(s->owner != NVL_OWNER_BY_HAND || s->part->removal != NULL);
    }
    nvl_effective_parts_by_hand(&effective, &sources, &removals);
    check_settings(c, &effective);
}

/* As instances.c lists it; the list takes it over. */
static void check_container(struct nvl_instance *instance)
{
    static const struct nvl_majors majors = {.nvidia = 195, .uvm = 508, .caps = 236};
    nvl_auto(nvl_containers_clear) struct nvl_containers all = {0};
    nvl_autofree char *lxcpath = nvl_daemon_lxcpath(instance->daemon);
    struct nvl_container_folder *folder =
        nvl_containers_add_folder(&all, NVL_CONTAINER_DAEMON, lxcpath, NULL, instance->node);

    folder->daemon = instance->daemon;
    folder->project = nvl_xstrdup(instance->project);
    nvl_containers_add_instance(&all, instance);
    nvl_containers_sort(&all);
    nvl_autofree struct nvl_container *c = nvl_container_at(&all, 0);
    CHECK(c->instance == instance && strcmp(c->name, instance->name) == 0);
    c->majors = &majors;
    check_effective(c);
}

void fuzz_one(const char *data, size_t len)
{
    struct fuzz_input in = {data, len};
    struct nvl_instance_context *context = make_context();

    context->daemon = &nvl_daemons[fuzz_choice(&in, (unsigned)nvl_n_daemons)];
    json_t *answer = take_json(&in);
    set_profiles(context, answer, take_json(&in));
    struct nvl_instance *instance = nvl_instance_make(context, answer),
                        *again = nvl_instance_make(context, answer);
    CHECK((instance == NULL) == (again == NULL));
    if (instance != NULL) {
        CHECK(nvl_instance_is_same(instance, instance));
        CHECK(nvl_instance_is_same(instance, again) && nvl_instance_is_same(again, instance));
        nvl_instance_set_profile_raw(context, answer, instance);
        CHECK(instance->profile_raw != NULL);
        check_names(instance);
        for (size_t i = 0; i < instance->n_parts; i++)
            check_part(instance, &instance->parts[i], answer);
        check_container(instance);
    }
    nvl_instance_free(again);
    json_decref(answer);
}
