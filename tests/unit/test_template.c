/* template: reading files that a user may have written, and the texts that come of them, each read again by
 * the grammar that it is meant for. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "effective.h"
#include "container/config.h"
#include "container/grant_lines.h"
#include "machine.h"
#include "temp_root.h"
#include "template/compose.h"

#define INSTALL(list)                                                                                        \
    "{\"summary\": \"s\", \"capabilities\": \"compute\", \"memory\": 512, \"cores\": 1, \"disk\": 4, "       \
    "\"install\": " list
#define SMALL                                                                                                \
    "\"summary\": \"s\", \"capabilities\": \"compute\", \"memory\": 512, \"cores\": 1, \"disk\": 4, "        \
    "\"install\": [\"true\"]"
#define GPU "GPU-3291dfa4-fcc4-0110-615b-c894a0d7c689"

static int parse(struct nvl_template *t, const char *text, struct nvl_error *err)
{
    *err = (struct nvl_error){0};
    return nvl_template_parse(t, text, strlen(text), err);
}

static void defaults_are_filled_in(void **state)
{
    struct nvl_template t;
    struct nvl_error err;

    (void)state;
    assert_int_equal(parse(&t, "{" SMALL "}", &err), 0);
    assert_int_equal(t.capabilities, NVL_CAP_COMPUTE);
    assert_int_equal(t.swap, 512);
    assert_string_equal(t.ostype, "debian");
    assert_string_equal(t.os_template, "debian-13-standard");
    assert_int_equal(t.features.count, 1);
    assert_string_equal(t.features.items[0], "nesting=1");
    assert_null(t.image);
    assert_null(t.verify);
    assert_null(t.service);
    assert_null(t.url);
    assert_string_equal(t.user, "root");
    assert_int_equal(t.then.count, 0);
    nvl_template_clear(&t);
    assert_int_equal(parse(&t, "{" SMALL ", \"features\": [], \"verify\": null}", &err), 0);
    assert_int_equal(t.features.count, 0);
    nvl_template_clear(&t);
}

static void an_installation_is_read(void **state)
{
    struct nvl_template t;
    struct nvl_error err;

    (void)state;
    assert_int_equal(
        parse(&t,
              "{" SMALL ", \"service\": \"/opt/x/x --listen 0.0.0.0\", \"user\": \"_open-webui2\", "
              "\"url\": \"https://ADDRESS:8443/web?x=1\", \"then\": [\"press the button\", \"öffnen\"]}",
              &err),
        0);
    assert_int_equal(t.install.count, 1);
    assert_string_equal(t.service, "/opt/x/x --listen 0.0.0.0");
    assert_string_equal(t.user, "_open-webui2");
    assert_string_equal(t.url, "https://ADDRESS:8443/web?x=1");
    assert_int_equal(t.then.count, 2);
    assert_string_equal(t.then.items[1], "öffnen");
    nvl_template_clear(&t);
    /* what the image has need not be installed */
    assert_int_equal(parse(&t, INSTALL("[], \"image\": \"x\", \"entrypoint\": \"/x\"}"), &err), 0);
    assert_int_equal(t.install.count, 0);
    nvl_template_clear(&t);
}

static void mistakes_are_named(void **state)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "line 1, column 0"},
        {"{", "line 1, column 1"},
        {"[]", "not a JSON object"},
        {"{}", "\"summary\" is missing"},
        {"{\"summary\": \"s\", \"summary\": \"t\"}", "duplicate object key"},
        {"{\"summary\": \"a\\nb\"}", "\"summary\" is not a single-line text"},
        {"{\"summary\": \"a\\u202eb\"}", "\"summary\" is not a single-line text"},
        {"{\"summary\": \"a\\u0085b\"}", "\"summary\" is not a single-line text"},
        {"{\"summary\": 5}", "\"summary\" is not a single-line text"},
        {"{\"summary\": \"s\"}", "\"capabilities\" is missing"},
        {"{\"summary\": \"s\", \"capabilities\": \"compute,fast\"}",
         "\"capabilities\": unknown driver capability: fast"},
        {"{\"summary\": \"s\", \"capabilities\": \"compute\", \"memory\": \"8G\"}",
         "\"memory\" is not a whole number from 0 to 16777216"},
        {"{\"summary\": \"s\", \"capabilities\": \"compute\", \"memory\": -1}",
         "\"memory\" is not a whole number"},
        {"{" SMALL ", \"swap\": 99999999999}", "\"swap\" is not a whole number"},
        {"{" SMALL ", \"gpu\": 1}", "unknown key \"gpu\""},
        {"{" SMALL ", \"ostype\": \"windows\"}", "Proxmox does not know 'windows'"},
        {"{" SMALL ", \"os_template\": \"x'; rm -rf /\"}", "\"os_template\" is not"},
        {"{" SMALL ", \"features\": \"nesting=1\"}", "\"features\" is not a list"},
        {"{" SMALL ", \"features\": [\"nesting\"]}", "'nesting' does not have the form nesting=1"},
        {"{" SMALL ", \"features\": [\"nesting=1\\nlxc.x: y\"]}", "\"features\" contains something other"},
        {"{" SMALL ", \"features\": [\"nesting=1' x\"]}", "does not have the form nesting=1"},
        {"{" SMALL ", \"image\": \"x\"}", "\"image\" and \"entrypoint\" belong together"},
        {"{" SMALL ", \"entrypoint\": \"x\"}", "\"image\" and \"entrypoint\" belong together"},
        {"{" SMALL ", \"image\": \"x; y\", \"entrypoint\": \"x\"}", "\"image\" is not the name of an image"},
        {"{" SMALL ", \"environment\": [\"PATH\"]}", "'PATH' does not have the form NAME=value"},
        {"{" SMALL ", \"environment\": [5]}", "\"environment\" contains something other"},
        {"{" SMALL ", \"service\": \"x --listen\"}", "\"service\" is not a command line"},
        {"{" SMALL ", \"service\": \"/ x\"}", "\"service\" is not a command line"},
        {"{" SMALL ", \"service\": \"-/bin/x\"}", "\"service\" is not a command line"},
        {"{" SMALL ", \"service\": \"/bin/x %h\"}", "none of %, $, ; and \\"},
        {"{" SMALL ", \"service\": \"/bin/x $HOME\"}", "\"service\" is not a command line"},
        {"{" SMALL ", \"service\": \"/bin/x ; /bin/y\"}", "\"service\" is not a command line"},
        {"{" SMALL ", \"service\": \"/bin/x \\\\\"}", "\"service\" is not a command line"},
        {"{" SMALL ", \"service\": \"/bin/x \"}", "\"service\" is not a command line"},
        {"{" SMALL ", \"service\": \"/bin/x\\nUser=root\"}", "\"service\" is not a single-line text"},
        {"{" SMALL ", \"user\": \"\"}", "\"user\" is not a single-line text"},
        {"{" SMALL ", \"user\": \"0\"}", "\"user\" is not the name of a user"},
        {"{" SMALL ", \"user\": \"-x\"}", "\"user\" is not the name of a user"},
        {"{" SMALL ", \"user\": \"a b\"}", "\"user\" is not the name of a user"},
        {"{" SMALL ", \"user\": \"a12345678901234567890123456789012\"}",
         "\"user\" is not the name of a user"},
        {"{" SMALL ", \"url\": \"ftp://ADDRESS\"}", "\"url\" does not have the form http://ADDRESS:8080"},
        {"{" SMALL ", \"url\": \"http://10.0.0.1\"}", "\"url\" does not have the form"},
        {"{" SMALL ", \"url\": \"http://ADDRESS/ x\"}", "\"url\" does not have the form"},
        {"{" SMALL ", \"url\": \"http://ADDRESS/\\u001b[2J\"}", "\"url\" is not a single-line text"},
        {"{" SMALL ", \"then\": \"x\"}", "\"then\" is not a list"},
        {"{" SMALL ", \"then\": [\"\"]}",
         "\"then\": '' does not have the form of a line without blanks at its ends"},
        {"{" SMALL ", \"then\": [\"x \"]}", "\"then\": 'x ' does not have the form"},
        {"{" SMALL ", \"then\": [\" x\"]}", "\"then\": ' x' does not have the form"},
        {"{" SMALL ", \"then\": [\"\\u001b[2J\"]}",
         "\"then\" contains something other than single-line texts"},
        {INSTALL("[]}"), "\"install\" may be empty only if there is an \"image\""},
        {INSTALL("[\"true \"]}"), "\"install\": 'true ' does not have the form"},
        {INSTALL("[\"a\\nb\"]}"), "\"install\" contains something other than single-line texts"},
        {"{\"summary\": \"s\", \"capabilities\": \"compute\", \"memory\": 0, \"cores\": 1, \"disk\": 1, "
         "\"install\": [\"true\"]}",
         "needs at least 16 MiB of \"memory\""},
    };

    (void)state;
    for (size_t i = 0; i < NVL_LENGTH(cases); i++) {
        struct nvl_template t;
        struct nvl_error err;
        assert_int_equal(parse(&t, cases[i].text, &err), -EINVAL);
        if (strstr(err.message, cases[i].message) == NULL)
            fail_msg("%s\ngave: %s\nnot: %s", cases[i].text, err.message, cases[i].message);
        assert_null(t.summary);
    }
}

/* Every cut and every changed byte of a real template gives an error or a template, never a crash. */
static void damaged_files_are_errors_or_templates(void **state)
{
    nvl_auto(nvl_root_close) struct nvl_root source = NVL_ROOT_NONE;
    nvl_autofree char *text = NULL;
    size_t len;

    (void)state;
    assert_int_equal(nvl_root_open(&source, getenv("NVL_SOURCE"), NULL), 0);
    assert_int_equal(nvl_root_read(&source, "/data/templates/ollama.json", 64u << 10, &text, &len), 0);
    for (size_t i = 0; i < len; i++) {
        struct nvl_template t;
        if (nvl_template_parse(&t, text, i, NULL) == 0)
            nvl_template_clear(&t);
        char kept = text[i];
        for (const char *c = "\"{}[]:,9-\\\x01"; *c != '\0'; c++) {
            text[i] = *c;
            if (nvl_template_parse(&t, text, len, NULL) == 0)
                nvl_template_clear(&t);
        }
        text[i] = kept;
    }
}

static void local_templates_come_first(void **state)
{
    const struct temp_root *t = *state;
    nvl_auto(nvl_templates_clear) struct nvl_templates all = {0};
    nvl_auto(nvl_strv_clear) struct nvl_strv problems = {0};
    nvl_auto(nvl_template_clear) struct nvl_template one = {0};
    struct nvl_error err = {0};

    put(t, "/usr/share/nvlxc/templates/a.json", "{" SMALL "}");
    put(t, "/usr/share/nvlxc/templates/b.json", "{" SMALL "}");
    put(t, "/usr/share/nvlxc/templates/README", "no template");
    put(t, "/usr/share/nvlxc/templates/Upper.json", "no template either");
    put(t, "/etc/nvlxc/templates/b.json", "{" SMALL ", \"verify\": \"mine\"}");
    put(t, "/etc/nvlxc/templates/wrong.json", "{\"summary\": 1}");
    assert_int_equal(nvl_templates_read(&t->root, &all, &problems, &err), 0);
    assert_int_equal(all.count, 2);
    assert_string_equal(all.items[0].name, "a");
    assert_string_equal(all.items[0].path, "/usr/share/nvlxc/templates/a.json");
    assert_string_equal(all.items[1].path, "/etc/nvlxc/templates/b.json");
    assert_string_equal(all.items[1].verify, "mine");
    assert_int_equal(problems.count, 1);
    assert_string_equal(
        problems.items[0],
        "the template /etc/nvlxc/templates/wrong.json: \"summary\" is not a single-line text");

    assert_int_equal(nvl_template_find(&t->root, "b", &one, &err), 0);
    assert_string_equal(one.verify, "mine");
    struct nvl_template none;
    assert_int_equal(nvl_template_find(&t->root, "c", &none, &err), -ENOENT);
    assert_string_equal(err.message, "unknown template 'c'");
    assert_string_equal(err.hint, "templates: a, b, wrong");
    assert_int_equal(nvl_template_find(&t->root, "../b", &none, &err), -ENOENT);
    assert_int_equal(nvl_template_find(&t->root, "wrong", &none, &err), -EINVAL);
    assert_int_equal(err.exit, NVL_EXIT_FAILED);
}

static void a_host_without_templates_says_where_they_would_be(void **state)
{
    const struct temp_root *t = *state;
    struct nvl_template none;
    struct nvl_error err = {0};

    assert_int_equal(nvl_template_find(&t->root, "ollama", &none, &err), -ENOENT);
    assert_non_null(
        strstr(err.hint, "/etc/nvlxc/templates and /usr/share/nvlxc/templates contain no template"));
}

/* Every line of the text is one that the dialect knows, and the grant is the one that was asked for. */
static void check_text(enum nvl_dialect dialect, char *text, unsigned capabilities)
{
    nvl_auto(nvl_config_clear) struct nvl_config config = {0};
    nvl_auto(nvl_grant_clear) struct nvl_grant grant = {0};

    assert_int_equal(nvl_config_parse(&config, dialect, text, strlen(text), NULL), 0);
    assert_true(config.n_lines > 10);
    for (size_t i = 0; i < config.n_lines; i++)
        if (config.lines[i].kind != NVL_LINE_KEY)
            fail_msg("not a key: %.*s", (int)config.lines[i].len, config.text + config.lines[i].start);
    assert_int_equal(grant_of(&config, &grant, NULL), 1);
    assert_int_equal(grant.capabilities, capabilities);
    assert_int_equal(grant.n_selectors, 1);
    assert_string_equal(grant.selectors[0].text, GPU);
    if (dialect == NVL_DIALECT_PVE)
        for (size_t i = 1; i < config.n_lines && !nvl_has_prefix(config.lines[i].key, "lxc."); i++)
            assert_true(strcmp(config.lines[i - 1].key, config.lines[i].key) <
                        0); /* as Proxmox writes them */
}

static void every_template_makes_valid_configs(void **state)
{
    nvl_auto(nvl_root_close) struct nvl_root source = NVL_ROOT_NONE;
    nvl_auto(nvl_strv_clear) struct nvl_strv files = {0};
    struct nvl_grant grant;

    (void)state;
    assert_int_equal(nvl_root_open(&source, getenv("NVL_SOURCE"), NULL), 0);
    assert_int_equal(nvl_root_list(&source, "/data/templates", &files), 0);
    assert_true(files.count >= 10);
    for (size_t i = 0; i < files.count; i++) {
        nvl_auto(nvl_template_clear) struct nvl_template t = {0};
        nvl_autofree char *path = nvl_xasprintf("/data/templates/%s", files.items[i]), *text = NULL;
        struct nvl_error err = {0};
        size_t len;
        assert_int_equal(nvl_root_read(&source, path, 64u << 10, &text, &len), 0);
        if (nvl_template_parse(&t, text, len, &err) < 0)
            fail_msg("%s: %s", path, err.message);
        assert_true(t.install.count > 0 || t.image != NULL);
        assert_int_equal(nvl_grant_parse(&grant, GPU, NULL, NULL, NULL), 0);
        grant.capabilities = t.capabilities;
        struct nvl_composition c = {
            .grant = &grant, .ctid = 220, .hostname = "ct", .storage = "local-lvm", .bridge = "vmbr0"};
        for (int oci = 0; oci <= (t.image != NULL); oci++) {
            nvl_composition_begin(&c, &t, oci);
            check_text(NVL_DIALECT_PVE, nvl_compose_pve(&c, "local-lvm:vm-220-disk-0"), t.capabilities);
            check_text(NVL_DIALECT_LXC, nvl_compose_lxc(&c), t.capabilities);
        }
        nvl_grant_clear(&grant);
    }
}

static void names_are_checked(void **state)
{
    (void)state;
    assert_true(nvl_is_hostname("ollama"));
    assert_true(nvl_is_hostname("a-1.example.org"));
    static const char *const no_hosts[] = {"",    "-a",  "a-",  "a..b", ".a", "a.",
                                           "a_b", "a b", "a\n", "a-.b", "ä"};
    for (size_t i = 0; i < NVL_LENGTH(no_hosts); i++)
        assert_false(nvl_is_hostname(no_hosts[i]));
    assert_true(nvl_is_storage_name("local-zfs"));
    assert_false(nvl_is_storage_name("l"));
    assert_false(nvl_is_storage_name("1local"));
    assert_false(nvl_is_storage_name("lo cal"));
    assert_true(nvl_is_bridge_name("vmbr0.10"));
    assert_false(nvl_is_bridge_name("vmbr0,ip=x"));
    assert_false(nvl_is_bridge_name("a-name-of-16-byte"));
}

static char *volume(const struct temp_root *t, const char *storage)
{
    char *name = NULL;

    assert_int_equal(nvl_volume_name(&t->root, storage, 220, &name, NULL), 0);
    return name;
}

static void volumes_are_named_by_their_storage(void **state)
{
    const struct temp_root *t = *state;
    struct nvl_error err = {0};
    char *none = NULL;

    nvl_autofree char *unknown = volume(t, "anything"), *usual = nvl_default_storage(&t->root, "rootdir");
    assert_string_equal(unknown, "anything:vm-220-disk-0");
    assert_string_equal(usual, "local-lvm");
    put(t, "/etc/pve/storage.cfg",
        "# a comment: here\ndir: local\n\tpath /var/lib/vz\n\tcontent iso,vztmpl,backup\n\n"
        "zfspool: tank\n\tpool rpool/data\n\tcontent images,rootdir\n\tsparse 1\n\nlvmthin: local-lvm\n");
    nvl_autofree char *dir = volume(t, "local"), *zfs = volume(t, "tank"), *lvm = volume(t, "local-lvm");
    assert_string_equal(dir, "local:220/vm-220-disk-0.raw");
    assert_string_equal(zfs, "tank:subvol-220-disk-0");
    assert_string_equal(lvm, "local-lvm:vm-220-disk-0");
    nvl_autofree char *first = nvl_default_storage(&t->root, "rootdir");
    assert_string_equal(first, "tank");
    assert_int_equal(nvl_volume_name(&t->root, "absent", 220, &none, &err), -ENOENT);
    assert_string_equal(err.hint, "/etc/pve/storage.cfg has local, tank, local-lvm");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_filled_in),
        cmocka_unit_test(an_installation_is_read),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(damaged_files_are_errors_or_templates),
        cmocka_unit_test_setup_teardown(local_templates_come_first, setup_root, teardown_root),
        cmocka_unit_test_setup_teardown(a_host_without_templates_says_where_they_would_be, setup_root,
                                        teardown_root),
        cmocka_unit_test(every_template_makes_valid_configs),
        cmocka_unit_test(names_are_checked),
        cmocka_unit_test_setup_teardown(volumes_are_named_by_their_storage, setup_root, teardown_root),
    };

    return cmocka_run_group_tests_name("template", tests, be_x86_64, NULL);
}
