/* Plans keep every byte that is not theirs: over a corpus of configs, attach then detach is the identity, a
 * second attach changes nothing, and what Proxmox makes of a config is still understood. And the diff,
 * against diff -u. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <stdio.h>
#include <unistd.h>

#include "base/root.h"
#include "container/ownership.h"
#include "effective.h"
#include "emulated.h"
#include "base/file.h"
#include "plan/diff.h"
#include "plan/plan.h"

#define GPU  "GPU-3291dfa4-fcc4-0110-615b-c894a0d7c689"
#define HOOK "</dev/null; [ ! -x /usr/libexec/nvlxc/hook ] || exec /usr/libexec/nvlxc/hook"

static const char PVE_LINES[] = "lxc.environment: NVIDIA_VISIBLE_DEVICES=" GPU "\n"
                                "lxc.environment: NVIDIA_DRIVER_CAPABILITIES=compute,utility\n"
                                "lxc.hook.pre-start: " HOOK "\n"
                                "lxc.hook.mount: " HOOK "\n";

static const char PVE_LINES_DEV[] = "lxc.environment: NVIDIA_VISIBLE_DEVICES=" GPU "\n"
                                    "lxc.environment: NVIDIA_DRIVER_CAPABILITIES=utility\n"
                                    "lxc.hook.pre-start: " HOOK " --nodes=dev\n"
                                    "lxc.hook.mount: " HOOK " --nodes=dev\n"
                                    "dev0: /dev/nvidia0,mode=0666\n"
                                    "dev1: /dev/nvidiactl,mode=0666\n";

/* ---- helpers ---- */

static struct nvl_config parse(enum nvl_dialect dialect, const char *text, size_t len)
{
    struct nvl_config config;
    struct nvl_error err = {0};
    static const char majors[] = "Character devices:\n195 nvidia\n226 drm\n242 hidraw\n506 nvidia-uvm\n";

    if (nvl_config_parse(&config, dialect, nvl_xasprintf("%.*s", (int)len, text), len, &err) < 0)
        fail_msg("%s", err.message);
    nvl_majors_parse(majors, strlen(majors), &config.majors);
    return config;
}

static struct nvl_grant request_grant(const char *devices, const char *capabilities)
{
    struct nvl_grant grant = {0};
    struct nvl_error err = {0};

    if (nvl_grant_parse(&grant, devices, NULL, capabilities, &err) < 0)
        fail_msg("%s", err.message);
    return grant;
}

struct request {
    const char *devices, *capabilities;
    bool required, exclusive, replace, smi;
    enum nvl_nodes_mode nodes;
    enum nvl_libraries_mode libraries;
    const char *rules[6], *paths[6], *folders[4]; /* each ends with NULL */
};

static void push_all(struct nvl_strv *v, const char *const *items)
{
    for (; *items != NULL; items++)
        nvl_strv_push(v, *items);
}

static int try_attach(enum nvl_dialect dialect, const char *text, size_t len, const struct request *r,
                      struct nvl_plan *plan, struct nvl_error *err)
{
    nvl_auto(nvl_config_clear) struct nvl_config config = parse(dialect, text, len);
    nvl_auto(nvl_grant_clear) struct nvl_grant grant = request_grant(r->devices, r->capabilities);
    nvl_auto(nvl_grant_places_clear) struct nvl_grant_places places = {.has_smi = r->smi};

    grant.delivery.required = r->required;
    grant.delivery.exclusive = r->exclusive;
    grant.delivery.nodes = r->nodes;
    grant.delivery.libraries = r->libraries;
    push_all(&places.rules, r->rules);
    push_all(&places.nodes, r->paths);
    push_all(&places.libraries, r->folders);
    return nvl_plan_attach(&config, &grant, &places, r->replace, plan, err);
}

static struct nvl_plan attach(enum nvl_dialect dialect, const char *text, size_t len, const struct request *r)
{
    struct nvl_plan plan;
    struct nvl_error err = {0};

    if (try_attach(dialect, text, len, r, &plan, &err) < 0)
        fail_msg("%s", err.message);
    return plan;
}

static struct nvl_plan detach(enum nvl_dialect dialect, const char *text, size_t len)
{
    nvl_auto(nvl_config_clear) struct nvl_config config = parse(dialect, text, len);
    struct nvl_plan plan;

    assert_int_equal(nvl_plan_detach(&config, false, &plan, NULL), 0);
    return plan;
}

static void assert_text(const char *what, const char *text, size_t len, const char *expected,
                        size_t expected_len)
{
    if (len != expected_len || memcmp(text, expected, len) != 0)
        fail_msg("%s:\n--- is\n%.*s\n--- should be\n%.*s", what, (int)len, text, (int)expected_len, expected);
}

static void assert_attached(enum nvl_dialect dialect, const char *text, const struct request *r,
                            const char *expected)
{
    nvl_auto(nvl_plan_clear) struct nvl_plan plan = attach(dialect, text, strlen(text), r);

    assert_text("attached", plan.text, plan.len, expected, strlen(expected));
}

static const struct request usual = {.devices = GPU, .capabilities = "compute,utility"};
static const struct request with_rules = {.devices = "all",
                                          .capabilities = "all",
                                          .required = true,
                                          .rules = {"/dev/nvidia0", "/dev/nvidiactl", "/dev/dri/card1"}};
static const struct request fewer_rules = {
    .devices = "0", .capabilities = "utility", .rules = {"/dev/nvidia1"}};
#define NODES "/dev/nvidia0", "/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/dri/renderD129"
static const struct request by_dev = {
    .devices = GPU, .capabilities = "compute,graphics", .nodes = NVL_NODES_DEV, .paths = {NODES}};
static const struct request by_dev_alone = {.devices = GPU,
                                            .capabilities = "utility",
                                            .exclusive = true,
                                            .nodes = NVL_NODES_DEV,
                                            .libraries = NVL_LIBRARIES_NONE,
                                            .paths = {"/dev/nvidia1", "/dev/nvidiactl"}};
static const struct request by_lines = {.devices = GPU,
                                        .capabilities = "all",
                                        .nodes = NVL_NODES_STATIC,
                                        .libraries = NVL_LIBRARIES_HOST,
                                        .rules = {NODES},
                                        .paths = {NODES, "/dev/dri/card1"},
                                        .folders = {"/usr/lib/x86_64-linux-gnu", "/etc/alternatives"},
                                        .smi = true};
static const struct request by_lines_alone = {.devices = "all",
                                              .capabilities = "compute",
                                              .required = true,
                                              .nodes = NVL_NODES_STATIC,
                                              .libraries = NVL_LIBRARIES_NONE,
                                              .paths = {"/dev/nvidia0", "/dev/nvidia-caps/nvidia-cap3"}};
static const struct request host_libraries = {.devices = "none",
                                              .capabilities = "graphics",
                                              .libraries = NVL_LIBRARIES_HOST,
                                              .rules = {"/dev/nvidiactl", "/dev/dri/card0"},
                                              .folders = {"/usr/lib64"}};
static const struct request *const requests[] = {
    &usual, &with_rules, &fewer_rules, &by_dev, &by_dev_alone, &by_lines, &by_lines_alone, &host_libraries};

/* ---- the corpus ---- */

typedef void corpus_fn(enum nvl_dialect dialect, const char *name, const char *text, size_t len);

static void open_configs(struct nvl_root *root)
{
    const char *source = getenv("NVL_SOURCE");
    nvl_autofree char *configs = nvl_xasprintf("%s/tests/unit/configs", source != NULL ? source : ".");

    assert_int_equal(nvl_root_open(root, configs, NULL), 0);
}

static char *read_config(const char *path, size_t *len)
{
    nvl_auto(nvl_root_close) struct nvl_root root = NVL_ROOT_NONE;
    char *text = NULL;

    open_configs(&root);
    if (nvl_root_read(&root, path, NVL_CONFIG_MAX, &text, len) < 0)
        fail_msg("%s", path);
    return text;
}

static void for_each_in(enum nvl_dialect dialect, const char *folder, size_t least, corpus_fn *each)
{
    nvl_auto(nvl_root_close) struct nvl_root root = NVL_ROOT_NONE;
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    open_configs(&root);
    assert_int_equal(nvl_root_list(&root, folder, &names), 0);
    assert_true(names.count >= least);
    for (size_t n = 0; n < names.count; n++) {
        nvl_autofree char *path = nvl_xasprintf("%s/%s", folder, names.items[n]);
        size_t len;
        if (!nvl_has_suffix(path, ".conf"))
            continue;
        nvl_autofree char *text = read_config(path, &len);
        each(dialect, path, text, len);
    }
}

static void for_each_config(corpus_fn *each)
{
    for_each_in(NVL_DIALECT_PVE, "pve", 15, each);
    for_each_in(NVL_DIALECT_LXC, "lxc", 15, each);
}

/* The requests that can be asked for in a dialect: LXC has no dev[n]. NULL behind the last. */
static const struct request *request_at(enum nvl_dialect dialect, size_t i)
{
    for (size_t k = 0; k < NVL_LENGTH(requests); k++)
        if ((dialect == NVL_DIALECT_PVE || requests[k]->nodes != NVL_NODES_DEV) && i-- == 0)
            return requests[k];
    return NULL;
}

static void check_identity(enum nvl_dialect dialect, const char *name, const char *text, size_t len)
{
    const struct request *r;

    for (size_t i = 0; (r = request_at(dialect, i)) != NULL; i++) {
        nvl_auto(nvl_plan_clear) struct nvl_plan on = attach(dialect, text, len, r);
        assert_true(on.changes);
        nvl_auto(nvl_plan_clear) struct nvl_plan again = attach(dialect, on.text, on.len, r);
        assert_false(again.changes);
        assert_text(name, again.text, again.len, on.text, on.len);
        nvl_auto(nvl_plan_clear) struct nvl_plan off = detach(dialect, on.text, on.len);
        assert_true(off.changes);
        assert_text(name, off.text, off.len, text, len);
        nvl_auto(nvl_plan_clear) struct nvl_plan nothing = detach(dialect, text, len);
        assert_false(nothing.changes);
        assert_text(name, nothing.text, nothing.len, text, len);
    }
}

static void test_attach_then_detach_is_the_identity(void **state)
{
    (void)state;
    for_each_config(check_identity);
}

/* From each request to each other, and to the first again. */
static void check_changes(enum nvl_dialect dialect, const char *name, const char *text, size_t len)
{
    const struct request *from, *to;

    for (size_t i = 0; (from = request_at(dialect, i)) != NULL; i++)
        for (size_t j = 0; (to = request_at(dialect, j)) != NULL; j++) {
            if (is_emulated() && (i + j) % 8 != 0)
                continue;
            nvl_auto(nvl_plan_clear) struct nvl_plan first = attach(dialect, text, len, from);
            nvl_auto(nvl_plan_clear) struct nvl_plan changed = attach(dialect, first.text, first.len, to);
            assert_int_equal(changed.changes, i != j);
            nvl_auto(nvl_plan_clear) struct nvl_plan again = attach(dialect, changed.text, changed.len, to);
            assert_false(again.changes);
            nvl_auto(nvl_plan_clear) struct nvl_plan off = detach(dialect, changed.text, changed.len);
            assert_text(name, off.text, off.len, text, len);
        }
}

static void test_another_grant_leaves_the_rest(void **state)
{
    (void)state;
    for_each_config(check_changes);
}

/* The lines that LXC and Proxmox will see: those of the file, and ours, in the top section. */
static void check_read_back(enum nvl_dialect dialect, const char *name, const char *text, size_t len)
{
    const struct request *r;

    for (size_t i = 0; (r = request_at(dialect, i)) != NULL; i++) {
        nvl_auto(nvl_plan_clear) struct nvl_plan on = attach(dialect, text, len, r);
        nvl_auto(nvl_config_clear) struct nvl_config config = parse(dialect, on.text, on.len);
        nvl_auto(nvl_grant_clear) struct nvl_grant grant = {0},
                                                   asked = request_grant(r->devices, r->capabilities);
        assert_int_equal(grant_of(&config, &grant, NULL), 1);
        assert_int_equal(grant.devices, asked.devices);
        assert_int_equal(grant.capabilities, asked.capabilities);
        assert_int_equal(grant.delivery.required, r->required);
        assert_int_equal(grant.delivery.exclusive, r->exclusive);
        assert_int_equal(grant.delivery.nodes, r->nodes);
        assert_int_equal(grant.delivery.libraries, r->libraries);
    }
    nvl_auto(nvl_plan_clear) struct nvl_plan on = attach(dialect, text, len, &with_rules);
    nvl_auto(nvl_config_clear) struct nvl_config config = parse(dialect, on.text, on.len);
    nvl_autofree enum nvl_line_owner *owners = nvl_config_owners(&config);
    size_t ours = 0;
    for (size_t i = 0; i < config.n_lines; i++)
        ours += owners[i] == NVL_OWNER_NVLXC;
    if (ours != 7)
        fail_msg("%s: %zu lines of ours", name, ours);
}

/* By the grammar of dev[n], and each number once. */
static void check_dev_lines(enum nvl_dialect dialect, const char *name, const char *text, size_t len)
{
    if (dialect != NVL_DIALECT_PVE)
        return;
    nvl_auto(nvl_plan_clear) struct nvl_plan on = attach(dialect, text, len, &by_dev);
    nvl_auto(nvl_config_clear) struct nvl_config config = parse(dialect, on.text, on.len);
    nvl_autofree enum nvl_line_owner *owners = nvl_config_owners(&config);
    regex_t form;
    size_t ours = 0;

    assert_int_equal(regcomp(&form, "^/dev/[^,]+,mode=0[0-7]{3}(,uid=[0-9]+,gid=[0-9]+)?$", REG_EXTENDED), 0);
    for (size_t i = 0; i < config.n_lines; i++) {
        const struct nvl_line *line = &config.lines[i];
        if (owners[i] != NVL_OWNER_NVLXC || !nvl_has_prefix(line->key, "dev"))
            continue;
        ours++;
        assert_int_equal(regexec(&form, line->value, 0, NULL, 0), 0);
        for (size_t k = 0; k < config.n_lines; k++)
            if (k != i && config.lines[k].kind == NVL_LINE_KEY && config.lines[k].section == 0 &&
                strcmp(config.lines[k].key, line->key) == 0)
                fail_msg("%s: %s twice", name, line->key);
    }
    regfree(&form);
    bool has_own = strstr(name, "dev-pending") != NULL || strstr(name, "intel-gpu") != NULL;
    assert_int_equal(ours, has_own ? 3 : 4);
}

static void test_dev_lines(void **state)
{
    (void)state;
    for_each_config(check_dev_lines);
}

static void test_the_grant_is_read_back(void **state)
{
    (void)state;
    for_each_config(check_read_back);
}

/* ---- what Proxmox makes of a config when it writes it ---- */

static int compare_keys(const void *a, const void *b)
{
    const struct nvl_line *const *x = a, *const *y = b;

    return strcmp((*x)->key, (*y)->key);
}

static bool is_raw(const struct nvl_line *line)
{
    return nvl_has_prefix(line->key, "lxc.");
}

/* One section: comments, typed keys sorted (the last of each), the runtime environment, raw lines in order.
 */
static void rewrite_section(struct nvl_buf *out, const struct nvl_config *config, size_t section)
{
    const struct nvl_line *typed[128];
    size_t n = 0;

    for (size_t i = 0; i < config->n_lines; i++) {
        const struct nvl_line *line = &config->lines[i];
        if (line->section != section)
            continue;
        if (line->kind == NVL_LINE_SECTION)
            nvl_buf_addf(out, "\n[%s]\n", line->key);
        if (line->kind == NVL_LINE_COMMENT)
            nvl_buf_addf(out, "%.*s\n", (int)strcspn(config->text + line->start, "\r\n"),
                         config->text + line->start);
        if (line->kind != NVL_LINE_KEY || is_raw(line))
            continue;
        size_t at = 0;
        while (at < n && strcmp(typed[at]->key, line->key) != 0)
            at++;
        typed[at] = line;
        n = at == n ? n + 1 : n;
        assert_true(n < NVL_LENGTH(typed));
    }
    qsort(typed, n, sizeof typed[0], compare_keys);
    for (size_t i = 0; i < n; i++)
        nvl_buf_addf(out, "%s: %s\n", typed[i]->key, typed[i]->value);
    for (int runtime = 1; runtime >= 0; runtime--)
        for (size_t i = 0; i < config->n_lines; i++) {
            const struct nvl_line *line = &config->lines[i];
            if (line->section == section && line->kind == NVL_LINE_KEY && is_raw(line) &&
                (strcmp(line->key, "lxc.environment.runtime") == 0) == (runtime == 1))
                nvl_buf_addf(out, "%s: %s\n", line->key, line->value);
        }
}

static char *rewrite(const char *text, size_t len)
{
    nvl_auto(nvl_config_clear) struct nvl_config config = parse(NVL_DIALECT_PVE, text, len);
    size_t sections = config.n_lines > 0 ? config.lines[config.n_lines - 1].section : 0;
    struct nvl_buf out = {0};

    for (size_t s = 0; s <= sections; s++)
        rewrite_section(&out, &config, s);
    return nvl_buf_take(&out);
}

static void check_rewritten(enum nvl_dialect dialect, const char *name, const char *text, size_t len)
{
    if (dialect != NVL_DIALECT_PVE)
        return;
    const struct request *r;

    for (size_t i = 0; (r = request_at(dialect, i)) != NULL; i++) {
        nvl_auto(nvl_plan_clear) struct nvl_plan on = attach(dialect, text, len, r);
        nvl_autofree char *on_written = rewrite(on.text, on.len);
        nvl_autofree char *off_written = rewrite(text, len);
        nvl_auto(nvl_plan_clear) struct nvl_plan again = attach(dialect, on_written, strlen(on_written), r);
        assert_false(again.changes);
        nvl_auto(nvl_plan_clear) struct nvl_plan off = detach(dialect, on_written, strlen(on_written));
        assert_text(name, off.text, off.len, off_written, strlen(off_written));
    }
}

static void test_lines_are_known_after_proxmox_wrote_them(void **state)
{
    (void)state;
    for_each_config(check_rewritten);
}

/* ---- lines by hand: configs with them, NAME.conf, and without, NAME.bare ---- */

static char *bare_of(const char *name, size_t *len)
{
    nvl_autofree char *path = nvl_xasprintf("%.*s.bare", (int)(strlen(name) - strlen(".conf")), name);

    return read_config(path, len);
}

static void for_each_by_hand(corpus_fn *each)
{
    for_each_in(NVL_DIALECT_PVE, "by-hand/pve", 20, each);
    for_each_in(NVL_DIALECT_LXC, "by-hand/lxc", 6, each);
}

/* Replaced in one go; then all is as if nvlxc had been first. */
static void check_replaced(enum nvl_dialect dialect, const char *name, const char *text, size_t len)
{
    size_t bare_len;
    nvl_autofree char *bare = bare_of(name, &bare_len);
    const struct request *r;

    for (size_t i = 0; (r = request_at(dialect, i)) != NULL; i++) {
        struct request replace = *r;
        replace.replace = true;
        nvl_auto(nvl_plan_clear) struct nvl_plan on = attach(dialect, text, len, &replace);
        assert_true(on.changes);
        nvl_auto(nvl_plan_clear) struct nvl_plan again = attach(dialect, on.text, on.len, &replace);
        assert_text(name, again.text, again.len, on.text, on.len);
        nvl_auto(nvl_plan_clear) struct nvl_plan without = attach(dialect, on.text, on.len, r);
        assert_text(name, without.text, without.len, on.text, on.len);
        nvl_auto(nvl_plan_clear) struct nvl_plan off = detach(dialect, on.text, on.len);
        assert_text(name, off.text, off.len, bare, bare_len);
    }
}

static void test_lines_by_hand_are_replaced(void **state)
{
    (void)state;
    for_each_by_hand(check_replaced);
}

static void check_replaced_as_written(enum nvl_dialect dialect, const char *name, const char *text,
                                      size_t len)
{
    size_t bare_len;
    nvl_autofree char *bare = bare_of(name, &bare_len);

    if (dialect != NVL_DIALECT_PVE)
        return;
    nvl_autofree char *written = rewrite(text, len), *bare_written = rewrite(bare, bare_len);
    for (size_t i = 0; i < NVL_LENGTH(requests); i++) {
        struct request replace = *requests[i];
        replace.replace = true;
        nvl_auto(nvl_plan_clear) struct nvl_plan on = attach(dialect, written, strlen(written), &replace);
        nvl_autofree char *on_written = rewrite(on.text, on.len);
        nvl_auto(nvl_plan_clear) struct nvl_plan off = detach(dialect, on_written, strlen(on_written));
        nvl_autofree char *off_written = rewrite(off.text, off.len);
        assert_text(name, off_written, strlen(off_written), bare_written, strlen(bare_written));
    }
}

static void test_lines_by_hand_after_proxmox_wrote_them(void **state)
{
    (void)state;
    for_each_by_hand(check_replaced_as_written);
}

/* Without the word nothing is written beside them; what is astray only is no reason, a dev[n] entry that
 * waits in the pending section is one. */
static void check_refused(enum nvl_dialect dialect, const char *name, const char *text, size_t len)
{
    nvl_auto(nvl_plan_clear) struct nvl_plan plan = {0};
    struct nvl_error err = {0};

    int r = try_attach(dialect, text, len, &usual, &plan, &err);
    assert_int_equal(r, strstr(name, "/astray.") != NULL ? 0 : -EEXIST);
    if (strstr(name, "beside-ours") == NULL) {
        nvl_auto(nvl_plan_clear) struct nvl_plan off = detach(dialect, text, len);
        assert_false(off.changes);
    }
}

static void test_configs_by_hand_are_refused(void **state)
{
    (void)state;
    for_each_by_hand(check_refused);
}

/* ---- dev[n] ---- */

static void assert_begins(const struct nvl_plan *plan, const char *text)
{
    if (!nvl_has_prefix(plan->text, text))
        fail_msg("begins not with\n%s\nbut is\n%s", text, plan->text);
}

static void test_numbers_of_dev(void **state)
{
    const struct request two = {.devices = GPU,
                                .capabilities = "utility",
                                .nodes = NVL_NODES_DEV,
                                .paths = {"/dev/nvidia0", "/dev/nvidiactl"}};
    const struct request three = {.devices = GPU,
                                  .capabilities = "compute",
                                  .nodes = NVL_NODES_DEV,
                                  .paths = {"/dev/nvidia1", "/dev/nvidiactl", "/dev/nvidia-uvm"}};
    const char *text = "dev0: /dev/ttyUSB0\ndev2: /dev/ttyUSB1\n\n[pve:pending]\ndelete: dev3\ndev4: /dev/x\n"
                       "\n[snap]\ndev5: /dev/y\n";
    nvl_auto(nvl_plan_clear) struct nvl_plan on = attach(NVL_DIALECT_PVE, text, strlen(text), &two);

    (void)state;
    assert_begins(&on, "dev0: /dev/ttyUSB0\ndev1: /dev/nvidia0,mode=0666\ndev2: /dev/ttyUSB1\n"
                       "dev5: /dev/nvidiactl,mode=0666\nlxc.environment: ");
    nvl_auto(nvl_plan_clear) struct nvl_plan other = attach(NVL_DIALECT_PVE, on.text, on.len, &three);
    assert_begins(&other, "dev0: /dev/ttyUSB0\ndev1: /dev/nvidia1,mode=0666\ndev2: /dev/ttyUSB1\n"
                          "dev5: /dev/nvidiactl,mode=0666\ndev6: /dev/nvidia-uvm,mode=0666\n");

    /* an entry of ours that a later one of the same number puts out of force */
    nvl_autofree char *shadowed = nvl_xasprintf("%sdev1: /dev/ttyUSB2\n", PVE_LINES_DEV);
    nvl_auto(nvl_plan_clear) struct nvl_plan anew = attach(NVL_DIALECT_PVE, shadowed, strlen(shadowed), &two);
    assert_null(strstr(anew.text, "dev1: /dev/nvidiactl"));
    assert_non_null(strstr(anew.text, "dev2: /dev/nvidiactl,mode=0666\n"));
    assert_non_null(strstr(anew.text, "dev1: /dev/ttyUSB2\n"));
}

/* attach puts new entries where Proxmox's next write would, so that write moves none; attach again and detach
 * stay the identity. */
static void test_places_of_dev(void **state)
{
    const struct request two = {.devices = GPU,
                                .capabilities = "utility",
                                .nodes = NVL_NODES_DEV,
                                .paths = {"/dev/nvidia0", "/dev/nvidiactl"}};
#define NEW(a, b) "dev" a ": /dev/nvidia0,mode=0666\ndev" b ": /dev/nvidiactl,mode=0666\n"
    static const struct {
        const char *before, *text, *begins;
    } rows[] = {
        {"sorted", "arch: amd64\ncores: 2\nhostname: a\nswap: 1\n",
         "arch: amd64\ncores: 2\n" NEW("0", "1") "hostname: a\nswap: 1\nlxc.env"},
        {"the first", "hostname: a\nswap: 1\n", NEW("0", "1") "hostname: a\n"},
        {"the last, without a line end", "arch: amd64\ncores: 2", "arch: amd64\ncores: 2\n" NEW("0", "1")},
        {"notes and a line that is not read", "# notes\narch: amd64\noops\nswap: 1\n",
         "# notes\narch: amd64\n" NEW("0", "1") "oops\nswap: 1\n"},
        {"raw lines stay behind", "arch: amd64\nlxc.cap.drop: x\n",
         "arch: amd64\n" NEW("0", "1") "lxc.cap.drop: x\nlxc.env"},
        {"not sorted, with an entry", "swap: 1\ndev0: /dev/x\narch: amd64\n",
         "swap: 1\ndev0: /dev/x\n" NEW("1", "2") "arch: amd64\n"},
        {"not sorted", "swap: 1\narch: amd64\n\n[snap]\narch: amd64\n",
         "swap: 1\narch: amd64\n" NEW("0", "1") "lxc.env"},
        {"by byte",
         "dev0: /dev/a\ndev1: /dev/a\ndev2: /dev/a\ndev3: /dev/a\ndev4: /dev/a\ndev5: /dev/a\n"
         "dev6: /dev/a\ndev7: /dev/a\ndev8: /dev/a\n",
         "dev0: /dev/a\ndev1: /dev/a\ndev10: /dev/nvidiactl,mode=0666\ndev2: /dev/a\n"},
        {"only raw lines", "lxc.cap.drop: x\n", NEW("0", "1") "lxc.cap.drop: x\n"},
        {"nothing", "", NEW("0", "1") "lxc.env"},
        {"only a snapshot", "\n[snap]\narch: amd64\n", NEW("0", "1") "lxc.env"},
    };
#undef NEW

    (void)state;
    for (size_t i = 0; i < NVL_LENGTH(rows); i++) {
        nvl_auto(nvl_plan_clear) struct nvl_plan on =
            attach(NVL_DIALECT_PVE, rows[i].text, strlen(rows[i].text), &two);
        assert_begins(&on, rows[i].begins);
        nvl_auto(nvl_plan_clear) struct nvl_plan again = attach(NVL_DIALECT_PVE, on.text, on.len, &two);
        assert_false(again.changes);
        nvl_auto(nvl_plan_clear) struct nvl_plan off = detach(NVL_DIALECT_PVE, on.text, on.len);
        assert_string_equal(off.text, rows[i].text);
    }
}

static void test_all_numbers_of_dev_in_use(void **state)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf text = {0};
    struct nvl_plan plan;
    struct nvl_error err = {0};

    (void)state;
    for (int i = 0; i < 254; i++)
        nvl_buf_addf(&text, "dev%d: /dev/null\n", i);
    assert_int_equal(try_attach(NVL_DIALECT_PVE, text.data, text.len, &by_dev, &plan, &err), -ENOSPC);
    assert_null(plan.text);
    assert_int_equal(try_attach(NVL_DIALECT_PVE, text.data, text.len, &by_dev_alone, &plan, &err), 0);
    nvl_plan_clear(&plan);
}

/* ---- where lines go ---- */

static void test_position(void **state)
{
    static const struct {
        const char *before, *text, *after; /* before: what ours stands behind */
    } cases[] = {
        {"", "", ""},
        {"arch: amd64\n", "", ""},
        {"arch: amd64\n\n \n", "", ""},
        {"arch: amd64\n", "", "\n[snap]\narch: i386\n"},
        {"arch: amd64\n", "", "[snap]\narch: i386\n"},
        {"# a\narch: amd64\n# b\n", "", "\n \n[pve:pending]\ncores: 1\n\n[snap]\n"},
        {"", "", "\n\n[snap]\narch: i386"},
        {"arch: amd64\n[x]\n", "", "\n[xy]\n"},
    };

    (void)state;
    for (size_t i = 0; i < NVL_LENGTH(cases); i++) {
        nvl_autofree char *text = nvl_xasprintf("%s%s", cases[i].before, cases[i].after);
        nvl_autofree char *expected = nvl_xasprintf("%s%s%s", cases[i].before, PVE_LINES, cases[i].after);
        assert_attached(NVL_DIALECT_PVE, text, &usual, expected);
    }
}

static void test_unfinished_last_line(void **state)
{
    nvl_autofree char *ours = nvl_xstrndup(PVE_LINES, sizeof PVE_LINES - 2);
    nvl_autofree char *expected = nvl_xasprintf("arch: amd64\n%s", ours);

    (void)state;
    assert_attached(NVL_DIALECT_PVE, "arch: amd64", &usual, expected);
}

static void test_lxc_form(void **state)
{
    const struct request r = {
        .devices = "0", .capabilities = "compute", .required = true, .rules = {"/dev/nvidia0"}};

    (void)state;
    assert_attached(NVL_DIALECT_LXC, "lxc.uts.name = a\n\n[x]\n\n", &r,
                    "lxc.uts.name = a\n\n[x]\n\n"
                    "lxc.environment = NVIDIA_VISIBLE_DEVICES=0\n"
                    "lxc.environment = NVIDIA_DRIVER_CAPABILITIES=compute\n"
                    "lxc.hook.pre-start = /usr/libexec/nvlxc/hook --required\n"
                    "lxc.hook.mount = /usr/libexec/nvlxc/hook --required\n"
                    "lxc.cgroup2.devices.allow = /dev/nvidia0 rw\n");
}

/* Lines of the user between ours, ours in another form and order: what says it stays, what does not is
 * replaced. */
static void test_edit_in_place(void **state)
{
    const struct request r = {.devices = "1",
                              .capabilities = "compute,utility",
                              .rules = {"/dev/nvidia1", "/dev/nvidiactl", "/dev/nvidia-uvm"}};

    (void)state;
    assert_attached(NVL_DIALECT_PVE,
                    "lxc.hook.mount = " HOOK "\r\n"
                    "memory: 1\n"
                    "lxc.environment   =   NVIDIA_DRIVER_CAPABILITIES=compute,utility\n"
                    "lxc.environment: NVIDIA_VISIBLE_DEVICES=0\r\n"
                    "lxc.environment: NVIDIA_VISIBLE_DEVICES=all\n"
                    "lxc.environment: MINE=1\n"
                    "lxc.cgroup2.devices.allow: /dev/nvidiactl rw\n"
                    "lxc.cgroup2.devices.allow: /dev/nvidia0 rw\n"
                    "swap: 1\n"
                    "\n"
                    "[snap]\n",
                    &r,
                    "lxc.hook.mount = " HOOK "\r\n"
                    "memory: 1\n"
                    "lxc.environment   =   NVIDIA_DRIVER_CAPABILITIES=compute,utility\n"
                    "lxc.environment: NVIDIA_VISIBLE_DEVICES=1\r\n"
                    "lxc.environment: MINE=1\n"
                    "lxc.cgroup2.devices.allow: /dev/nvidiactl rw\n"
                    "lxc.cgroup2.devices.allow: /dev/nvidia1 rw\n"
                    "lxc.hook.pre-start: " HOOK "\n"
                    "lxc.cgroup2.devices.allow: /dev/nvidia-uvm rw\n"
                    "swap: 1\n"
                    "\n"
                    "[snap]\n");
}

static void test_another_vendors_rule_stays(void **state)
{
    static const char text[] = "lxc.cgroup2.devices.allow: /dev/dri/renderD128 rw\n";
    const struct request r = {.devices = "0", .capabilities = "graphics", .rules = {"/dev/dri/renderD129"}};
    nvl_auto(nvl_plan_clear) struct nvl_plan on = attach(NVL_DIALECT_PVE, text, strlen(text), &r);

    (void)state;
    assert_non_null(strstr(on.text, "/dev/dri/renderD129 rw"));
    nvl_auto(nvl_plan_clear) struct nvl_plan other = attach(NVL_DIALECT_PVE, on.text, on.len, &usual);
    assert_null(strstr(other.text, "/dev/dri/renderD129"));
    assert_ptr_equal(strstr(other.text, text), other.text);
}

/* ---- refusing ---- */

static void test_lines_by_hand_are_refused(void **state)
{
    static const char text[] = "arch: amd64\n"
                               "lxc.cgroup2.devices.allow: c 195:* rwm\n"
                               "\n"
                               "lxc.mount.entry: /dev/nvidia0 dev/nvidia0 none bind,optional,create=file\r\n"
                               "dev0: /dev/nvidiactl,mode=0666\n"
                               "lxc.environment: NVIDIA_VISIBLE_DEVICES=\x1b[31mall\n"
                               "\n[snap]\nlxc.cgroup2.devices.allow: c 195:* rwm\n";
    struct nvl_plan plan;
    struct nvl_error err = {0};

    (void)state;
    assert_int_equal(try_attach(NVL_DIALECT_PVE, text, strlen(text), &usual, &plan, &err), -EEXIST);
    assert_null(plan.text);
    assert_string_equal(
        err.message, "the config has NVIDIA lines that nvlxc did not write:\n"
                     "    line 2: lxc.cgroup2.devices.allow: c 195:* rwm\n"
                     "    line 4: lxc.mount.entry: /dev/nvidia0 dev/nvidia0 none bind,optional,create=file\n"
                     "    line 5: dev0: /dev/nvidiactl,mode=0666\n    and 1 more");

    const char *escape = "lxc.environment: NVIDIA_VISIBLE_DEVICES=\x1b[31mall";
    assert_int_equal(try_attach(NVL_DIALECT_PVE, escape, strlen(escape), &usual, &plan, &err), -EEXIST);
    assert_null(strchr(err.message, '\x1b'));
}

static void test_too_large(void **state)
{
    nvl_autofree char *text = nvl_xcalloc(1, NVL_CONFIG_MAX + 1);
    struct nvl_plan plan;
    struct nvl_error err = {0};

    (void)state;
    memset(text, '\n', NVL_CONFIG_MAX);
    assert_int_equal(try_attach(NVL_DIALECT_PVE, text, NVL_CONFIG_MAX, &usual, &plan, &err), -EFBIG);
    assert_null(plan.text);
}

/* ---- the diff ---- */

static void write_temporary(char *path, const char *text, size_t len)
{
    nvl_autofd int fd = mkostemp(path, O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(nvl_fd_write(fd, text, len), 0);
}

static char *system_diff(const char *old, const char *new, const char *options)
{
    char a[] = "/tmp/nvlxc-diff-a-XXXXXX", b[] = "/tmp/nvlxc-diff-b-XXXXXX", block[4096];
    struct nvl_buf out = {0};

    write_temporary(a, old, strlen(old));
    write_temporary(b, new, strlen(new));
    nvl_autofree char *command = nvl_xasprintf("diff %s -u --label old --label new %s %s", options, a, b);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    for (size_t n; (n = fread(block, 1, sizeof block, f)) > 0;)
        nvl_buf_add(&out, block, n);
    pclose(f);
    unlink(a);
    unlink(b);
    return nvl_buf_take(&out);
}

static char *our_diff(const char *old, const char *new)
{
    struct nvl_buf out = {0};

    nvl_diff(&out, "old", old, strlen(old), "new", new, strlen(new));
    return nvl_buf_take(&out);
}

static void assert_same_diff(const char *old, const char *new)
{
    nvl_autofree char *ours = our_diff(old, new), *theirs = system_diff(old, new, "");

    assert_string_equal(ours, theirs);
}

static void test_diff_as_diff_u_prints_it(void **state)
{
    static const char *const pairs[][2] = {
        {"", ""},
        {"a\n", "a\n"},
        {"", "a\n"},
        {"a\n", ""},
        {"", "a"},
        {"a", "a\n"},
        {"a\n", "a"},
        {"a\nb", "a\nc"},
        {"a\n\n[s]\n", "a\nx\ny\n\n[s]\n"},
        {"1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nx\n5\n6\n7\n8\n9\n"},
        {"1\n2\n3\n4\n5\n6\n7\n8\n9\n", "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n"},
        {"1\n2\n3\n4\n5\n6\n7\n8\n9\n", "x\n2\n3\n4\n5\n6\n7\n8\ny\n"},
        {"1\n2\n3\n4\n5\n6\n7\n8\n9\n", "x\n2\n3\n4\n5\n6\n7\ny\n9\n"},
        {"a\na\na\n", "a\na\n"},
        {"a\nb\na\nb\n", "a\nb\na\nb\na\nb\n"},
        {"\n\n\n", "\n\n\n\n\n"},
        {"x\n}\n\ny\n}\n", "x\n}\n\nz\n}\n\ny\n}\n"},
        {"a\nb\nc\nd\n", "d\nc\nb\na\n"},
        {"a\r\nb\r\n", "a\nb\r\n"},
        /* several shortest diffs: diff moves a change down, but beside one of the other side */
        {"c\nb\nb\ne\nd\nd\na\nb\ne\nf\n", "b\nb\ne\nd\na\nb\ne\nf\n"},
        {"b\nb\na\na\n", "a\nb\nb\na\na\na\n"},
        {"a\nb\na\nb\nb\nb\na\nb\na\nb\nb\nb\n", "a\nb\na\nb\nb\na\nb\na\nb\na\nb\nb\nb\nb\n"},
        {"f\ne\na\nf\ne\nc\nc\nc\n", "f\ne\na\nf\ne\nc\na\nc\n"},
        {"a\na\nb\nb\na\nb\na\na\nb\n", "a\na\nb\nb\na\nb\nb\na\nb\n"},
    };

    (void)state;
    for (size_t i = 0; i < NVL_LENGTH(pairs); i++) {
        assert_same_diff(pairs[i][0], pairs[i][1]);
        assert_same_diff(pairs[i][1], pairs[i][0]);
    }
}

static void check_diff(enum nvl_dialect dialect, const char *name, const char *text, size_t len)
{
    nvl_auto(nvl_plan_clear) struct nvl_plan on = attach(dialect, text, len, &with_rules);

    (void)name;
    assert_same_diff(text, on.text);
}

static void test_diff_of_the_corpus(void **state)
{
    (void)state;
    for_each_config(check_diff);
}

/* Applies a diff of ours to its old text: hunks must fit exactly. */
static char *apply(const char *old, const char *diff)
{
    struct nvl_buf out = {0};
    size_t pos = 0, old_pos = 0, len, old_len, line_no = 1;
    const char *line, *old_line;
    unsigned long at = 0, n = 1;

    while (nvl_next_line(diff, strlen(diff), &pos, &line, &len)) {
        if (nvl_has_prefix(line, "--- old\n") || nvl_has_prefix(line, "+++ new\n"))
            continue;
        if (line[0] == '@') {
            n = 1;
            assert_true(sscanf(line, "@@ -%lu,%lu ", &at, &n) >= 1);
            for (; line_no < at + (n == 0); line_no++) {
                size_t start = old_pos;
                assert_true(nvl_next_line(old, strlen(old), &old_pos, &old_line, &old_len));
                nvl_buf_add(&out, old + start, old_pos - start);
            }
        } else if (line[0] == '\\') {
            if (out.len > 0 && line[-1] == '\n')
                continue;
        } else {
            size_t start = old_pos;
            if (line[0] != '+') {
                assert_true(nvl_next_line(old, strlen(old), &old_pos, &old_line, &old_len));
                assert_true(old_len == len - 1 && memcmp(old_line, line + 1, old_len) == 0);
                line_no++;
            }
            if (line[0] == ' ')
                nvl_buf_add(&out, old + start, old_pos - start);
            if (line[0] == '+')
                nvl_buf_add(&out, line + 1, len - 1 + (line[len + 1] == '\\' ? 0 : 1));
        }
    }
    nvl_buf_add(&out, old + old_pos, strlen(old + old_pos));
    return nvl_buf_take(&out);
}

static size_t count_changes(const char *diff)
{
    size_t n = 0, pos = 0, len;
    const char *line;

    while (nvl_next_line(diff, strlen(diff), &pos, &line, &len))
        n += line[0] == '+' || line[0] == '-';
    return n;
}

static char *random_text(unsigned *seed, size_t lines)
{
    struct nvl_buf out = {0};

    for (size_t i = 0; i < lines; i++) {
        *seed = *seed * 1103515245u + 12345u;
        nvl_buf_addf(&out, "%c\n", 'a' + (int)(*seed >> 16) % 4);
    }
    if ((*seed >> 20) % 4 == 0 && out.len > 0)
        out.data[--out.len] = '\0';
    return nvl_buf_take(&out);
}

/* Whatever the texts, the diff leads from one to the other; and in as few lines as diff finds. */
static void test_diff_of_random_texts(void **state)
{
    unsigned seed = 1;

    (void)state;
    for (size_t i = 0; i < rounds(2000); i++) {
        nvl_autofree char *old = random_text(&seed, i % 23), *new = random_text(&seed, i % 19);
        nvl_autofree char *diff = our_diff(old, new);
        nvl_autofree char *applied = apply(old, diff);
        assert_text(diff, applied, strlen(applied), new, strlen(new));
        if (i % 50 != 0)
            continue;
        nvl_autofree char *theirs = system_diff(old, new, "-d");
        assert_int_equal(count_changes(diff), count_changes(theirs));
    }
}

/* Nothing in common and much of it: no more work than bounded, and still right. */
static void test_diff_of_large_texts(void **state)
{
    struct nvl_buf old = {0}, new = {0};

    (void)state;
    for (size_t i = 0; i < rounds(60000); i++) {
        nvl_buf_addf(&old, "a%zu\n", i);
        nvl_buf_addf(&new, "b%zu\n%s", i, i % 1000 == 0 ? "a5\n" : "");
    }
    nvl_autofree char *diff = our_diff(old.data, new.data);
    nvl_autofree char *applied = apply(old.data, diff);
    assert_text("large", applied, strlen(applied), new.data, new.len);
    nvl_buf_clear(&old);
    nvl_buf_clear(&new);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attach_then_detach_is_the_identity),
        cmocka_unit_test(test_another_grant_leaves_the_rest),
        cmocka_unit_test(test_the_grant_is_read_back),
        cmocka_unit_test(test_dev_lines),
        cmocka_unit_test(test_lines_by_hand_are_replaced),
        cmocka_unit_test(test_lines_by_hand_after_proxmox_wrote_them),
        cmocka_unit_test(test_configs_by_hand_are_refused),
        cmocka_unit_test(test_numbers_of_dev),
        cmocka_unit_test(test_places_of_dev),
        cmocka_unit_test(test_all_numbers_of_dev_in_use),
        cmocka_unit_test(test_lines_are_known_after_proxmox_wrote_them),
        cmocka_unit_test(test_position),
        cmocka_unit_test(test_unfinished_last_line),
        cmocka_unit_test(test_lxc_form),
        cmocka_unit_test(test_edit_in_place),
        cmocka_unit_test(test_another_vendors_rule_stays),
        cmocka_unit_test(test_lines_by_hand_are_refused),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_diff_as_diff_u_prints_it),
        cmocka_unit_test(test_diff_of_the_corpus),
        cmocka_unit_test(test_diff_of_random_texts),
        cmocka_unit_test(test_diff_of_large_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
