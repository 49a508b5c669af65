/* The engine of diagnosis (folding, sorting, text that is fit to print), and what the checks judge by: the
 * table of drivers and kernels, the kind of machine, what of the driver is installed. */
#include "machine.h"
#include "temp_root.h"

#include <errno.h>
#include <fcntl.h>

#include "base/printable.h"
#include "doctor/families.h"
#include "host/modprobe.h"
#include "host/compat_table.h"

static const struct nvl_check root_cause = {.id = "root", .question = "?"};
static const struct nvl_check folded = {.id = "folded", .question = "?", .folded_into = "other root"};
static const struct nvl_check deeper = {.id = "deeper", .question = "?", .folded_into = "folded"};

static void add(struct nvl_findings *f, const struct nvl_check *check, enum nvl_severity severity,
                const char *container)
{
    nvl_finding_add(f, check, severity, container, check->id);
}

/* "error root, warning 220 folded" */
static void expect(struct nvl_findings *f, const char *expected)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};

    nvl_findings_finish(f);
    for (size_t i = 0; i < f->count; i++)
        nvl_strv_pushf(&words, "%s %s%s%s", nvl_severity_name(f->items[i].severity),
                       f->items[i].container != NULL ? f->items[i].container : "",
                       f->items[i].container != NULL ? " " : "", f->items[i].check->id);
    nvl_autofree char *text = nvl_strv_join(&words, ", ");
    assert_string_equal(text, expected);
    nvl_findings_clear(f);
}

static void test_folding(void **state)
{
    struct nvl_findings f = {0};

    (void)state;
    add(&f, &folded, NVL_SEVERITY_ERROR, NULL);
    expect(&f, "error folded");
    add(&f, &folded, NVL_SEVERITY_ERROR, NULL);
    add(&f, &root_cause, NVL_SEVERITY_WARNING, NULL);
    expect(&f, "warning root");
    /* the host's root cause is the containers' too */
    add(&f, &root_cause, NVL_SEVERITY_ERROR, NULL);
    add(&f, &folded, NVL_SEVERITY_ERROR, "220");
    expect(&f, "error root");
    /* a container's is its own alone */
    add(&f, &root_cause, NVL_SEVERITY_ERROR, "220");
    add(&f, &folded, NVL_SEVERITY_ERROR, "220");
    add(&f, &folded, NVL_SEVERITY_ERROR, "web");
    add(&f, &folded, NVL_SEVERITY_ERROR, NULL);
    expect(&f, "error folded, error 220 root, error web folded");
    /* a note is no cause of anything */
    add(&f, &root_cause, NVL_SEVERITY_NOTE, NULL);
    add(&f, &folded, NVL_SEVERITY_ERROR, NULL);
    expect(&f, "error folded, note root");
    /* what is folded still folds others: they have the same root */
    add(&f, &deeper, NVL_SEVERITY_ERROR, NULL);
    add(&f, &folded, NVL_SEVERITY_ERROR, NULL);
    add(&f, &root_cause, NVL_SEVERITY_ERROR, NULL);
    expect(&f, "error root");
}

#define ROOT(container) nvl_finding_add(&f, &root_cause, NVL_SEVERITY_ERROR, container, "root")
#define FOLDED          nvl_finding_add(&f, &folded, NVL_SEVERITY_ERROR, "220", "folded")

/* By the same thing, never by the check only. */
static void test_folding_by_subject(void **state)
{
    struct nvl_findings f = {0};
    struct nvl_finding *item;

    (void)state;
    nvl_finding_about(ROOT(NULL), NVL_SUBJECT_NODE, "/dev/nvidia0");
    nvl_finding_about(FOLDED, NVL_SUBJECT_NODE, "/dev/nvidia0");
    expect(&f, "error root");
    /* another of its kind, the same name of another kind, the whole */
    nvl_finding_about(ROOT(NULL), NVL_SUBJECT_NODE, "/dev/nvidia0");
    nvl_finding_about(FOLDED, NVL_SUBJECT_NODE, "/dev/nvidia1");
    nvl_finding_about(FOLDED, NVL_SUBJECT_LIBRARY, "/dev/nvidia0");
    nvl_finding_about(FOLDED, NVL_SUBJECT_NODE, NULL);
    (void)FOLDED;
    expect(&f, "error root, error 220 folded, error 220 folded, error 220 folded, error 220 folded");
    /* each of its subjects has to be explained, be it by two */
    nvl_finding_about(ROOT(NULL), NVL_SUBJECT_NODE, "/dev/nvidia0");
    item = FOLDED;
    nvl_finding_about(item, NVL_SUBJECT_NODE, "/dev/nvidia0");
    nvl_finding_about(item, NVL_SUBJECT_LIBRARY, "/usr/lib/libcuda.so.1");
    expect(&f, "error root, error 220 folded");
    nvl_finding_about(ROOT(NULL), NVL_SUBJECT_NODE, "/dev/nvidia0");
    nvl_finding_about(ROOT("220"), NVL_SUBJECT_LIBRARY, NULL);
    item = FOLDED;
    nvl_finding_about(item, NVL_SUBJECT_NODE, "/dev/nvidia0");
    nvl_finding_about(item, NVL_SUBJECT_LIBRARY, "/usr/lib/libcuda.so.1");
    expect(&f, "error root, error 220 root");
    /* the whole explains everything, and what is said to be explained is */
    (void)ROOT(NULL);
    nvl_finding_about(FOLDED, NVL_SUBJECT_NODE, "/dev/nvidia0");
    (void)FOLDED;
    expect(&f, "error root");
    item = ROOT(NULL);
    nvl_finding_about(item, NVL_SUBJECT_GPU, "0000:01:00.0");
    nvl_finding_explains(item, NVL_SUBJECT_NODE, NULL);
    nvl_finding_about(FOLDED, NVL_SUBJECT_NODE, "/dev/nvidia0");
    nvl_finding_about(FOLDED, NVL_SUBJECT_GPU, "0000:02:00.0");
    expect(&f, "error root, error 220 folded");
}

static void test_sorting(void **state)
{
    struct nvl_findings f = {0};
    const struct nvl_check *first = &nvl_gpu_checks[0], *later = &nvl_boot_checks[0];

    (void)state;
    add(&f, later, NVL_SEVERITY_NOTE, NULL);
    add(&f, later, NVL_SEVERITY_WARNING, "web");
    add(&f, later, NVL_SEVERITY_ERROR, "web");
    add(&f, later, NVL_SEVERITY_ERROR, "220");
    add(&f, first, NVL_SEVERITY_ERROR, "web");
    add(&f, later, NVL_SEVERITY_ERROR, NULL);
    add(&f, first, NVL_SEVERITY_WARNING, NULL);
    expect(&f, "error nouveau-blacklist, error web gpu-absent, error 220 nouveau-blacklist, "
               "error web nouveau-blacklist, warning gpu-absent, warning web nouveau-blacklist, note "
               "nouveau-blacklist");
    expect(&f, "");
}

static void test_text_is_clean(void **state)
{
    struct nvl_findings f = {0};

    (void)state;
    struct nvl_finding *item =
        nvl_finding_add(&f, &root_cause, NVL_SEVERITY_ERROR, "a\033b", "t\033[31m\xff gr\xc3\xbc\xc3\x9f");
    nvl_finding_evidence(item, "%s",
                         "one\n\ttwo\r\x7f\xc2\x9b"
                         "5\xe2\x80\xa6\xe2\x80");
    assert_string_equal(item->container, "a?b");
    assert_string_equal(item->title, "t?[31m? gr\xc3\xbc\xc3\x9f");
    assert_string_equal(item->evidence, "one\n\ttwo???\?5\xe2\x80\xa6??");
    nvl_findings_clear(&f);
}

static void becomes(const char *text, const char *expected)
{
    nvl_autofree char *copy = nvl_xstrdup(text);

    assert_string_equal(nvl_make_printable(copy), expected);
}

/* What jansson refuses would take the whole of the JSON with it. */
static void test_printable(void **state)
{
    (void)state;
    becomes("", "");
    becomes("\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf",
            "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf");
    /* too long for what they say, half a pair, beyond the last, cut off, a byte alone */
    becomes("\xc0\xaf|\xe0\x80\xaf|\xf0\x80\x80\xaf", "??|???|????");
    becomes("\xed\xa0\x80|\xf4\x90\x80\x80|\xf5\x80\x80\x80", "???|????|????");
    becomes("\xe2\x82", "??");
    becomes("\x80", "?");
    /* C0, DEL, C1; the marks of direction, and their neighbours that are none */
    becomes("\x01\b\v\f\r\x1b\x7f\xc2\x80\xc2\x9f\xc2\xa0", "???????????\xc2\xa0");
    becomes("\xe2\x80\x8e\xe2\x80\x8f\xe2\x80\xaa\xe2\x80\xae\xe2\x81\xa6\xe2\x81\xa9", "??????????????????");
    becomes("\xe2\x80\x90\xe2\x80\xa9\xe2\x80\xaf\xe2\x81\xa5",
            "\xe2\x80\x90\xe2\x80\xa9\xe2\x80\xaf\xe2\x81\xa5");
}

/* In their order; the list ends with NULL. */
static const struct nvl_check **all_checks(void)
{
    const struct nvl_check **all = NULL;
    size_t count = 0;

    for (const struct nvl_check_family *family = nvl_check_families; family->name != NULL; family++) {
        nvl_autofree const struct nvl_check **checks = nvl_family_checks(family);
        for (size_t i = 0; checks[i] != NULL; i++)
            *NVL_APPEND(all, count) = checks[i];
    }
    *NVL_APPEND(all, count) = NULL;
    return all;
}

static const struct nvl_check *find_check(const char *id)
{
    nvl_autofree const struct nvl_check **all = all_checks();

    for (size_t i = 0; all[i] != NULL; i++)
        if (strcmp(all[i]->id, id) == 0)
            return all[i];
    return NULL;
}

/* Every check has an id and a place of its own and a question, and what it is folded into exists. */
static void test_table(void **state)
{
    nvl_autofree const struct nvl_check **all = all_checks();
    size_t count = 0;

    (void)state;
    for (; all[count] != NULL; count++) {
        const struct nvl_check *c = all[count];
        nvl_auto(nvl_strv_clear) struct nvl_strv ids = {0};
        assert_ptr_equal(find_check(c->id), c);
        assert_true(nvl_has_suffix(c->question, "?"));
        assert_non_null(c->scope == NVL_SCOPE_HOST        ? (void *)c->host
                        : c->scope == NVL_SCOPE_CONTAINER ? (void *)c->container
                                                          : (void *)c->cluster);
        if (c->scope == NVL_SCOPE_CLUSTER && (c->needs != 0 || c->folded_into != NULL))
            fail_msg("%s is of the cluster, and has needs", c->id);
        if (c->scope == NVL_SCOPE_HOST && c->needs >= NVL_NEEDS_PVE)
            fail_msg("%s is of the host, and needs something of a container", c->id);
        if (count > 0 && nvl_check_rank(all[count - 1]) >= nvl_check_rank(c))
            fail_msg("%s and %s have the same place", all[count - 1]->id, c->id);
        nvl_strv_split(&ids, c->folded_into != NULL ? c->folded_into : "", " ");
        for (size_t n = 0; n < ids.count; n++)
            if (find_check(ids.items[n]) == NULL)
                fail_msg("%s is folded into %s, which does not exist", c->id, ids.items[n]);
    }
    assert_true(count > 40);
}

/* `id` as an argument of its own: "speaks 220 dev-mode note", "speaks node-mode:error", "mend dev-mode". */
static bool has_argument(const char *line, size_t len, const char *id)
{
    size_t id_len = strlen(id);

    for (size_t at = 1; at + id_len <= len; at++) {
        char next = at + id_len < len ? line[at + id_len] : '\n';
        if (line[at - 1] == ' ' && memcmp(line + at, id, id_len) == 0 && strchr(" :\n);", next) != NULL)
            return true;
    }
    return false;
}

static bool has_text(const char *line, size_t len, const char *text)
{
    return memmem(line, len, text, strlen(text)) != NULL;
}

/* Whether a test asserts that the check speaks, and whether one asserts, or runs, its fix. */
static void search_tests(const char *text, size_t len, const char *id, bool *speaks, bool *fix)
{
    nvl_autofree char *named = nvl_xasprintf("%s fix", id);
    size_t pos = 0, line_len;
    const char *line;

    while (nvl_next_line(text, len, &pos, &line, &line_len)) {
        size_t blanks = strspn(line, " ");
        if (blanks >= line_len || line[blanks] == '#' || !has_argument(line, line_len, id))
            continue;
        bool is_fault = has_text(line, line_len, "fault ");
        *speaks |= is_fault || has_text(line, line_len, "speaks ");
        *fix |= is_fault || has_text(line, line_len, named) || has_text(line, line_len, "mend ") ||
                has_text(line, line_len, "take_out ");
    }
}

/* Its fault is planted somewhere: a check that no test hears is one that nobody knows to work. */
static void test_every_check_is_tested(void **state)
{
    static const char *const files[] = {
        "/tests/cli/doctor-host.bats", "/tests/cli/doctor-driver.bats", "/tests/cli/doctor-container.bats",
        "/tests/cli/effective.bats",   "/tests/cli/nodes.bats",         "/tests/lxc/doctor.bats"};
    nvl_auto(nvl_root_close) struct nvl_root source = NVL_ROOT_NONE;
    struct nvl_buf all = {0};

    (void)state;
    assert_int_equal(nvl_root_open(&source, getenv("NVL_SOURCE"), NULL), 0);
    for (size_t i = 0; i < NVL_LENGTH(files); i++) {
        nvl_autofree char *text = NULL;
        size_t len;
        assert_int_equal(nvl_root_read(&source, files[i], 1u << 20, &text, &len), 0);
        nvl_buf_add(&all, text, len);
    }
    nvl_autofree const struct nvl_check **checks = all_checks();
    for (size_t i = 0; checks[i] != NULL; i++) {
        bool speaks = false, fix = false;
        search_tests(all.data, all.len, checks[i]->id, &speaks, &fix);
        if (!speaks || !fix)
            fail_msg("no test %s %s", speaks ? "asserts the fix of" : "hears", checks[i]->id);
    }
    nvl_buf_clear(&all);
}

static void fits(const struct nvl_support *s, const char *version, const char *package,
                 enum nvl_flavour flavour, const char *kernel, enum nvl_kernel_fit expected)
{
    const struct nvl_kernel_range *range = nvl_support_driver(s, version, package, flavour);
    enum nvl_kernel_fit fit = nvl_kernel_fits(range, kernel);

    if (fit != expected)
        fail_msg("%s (%s) on %s: %d, not %d", version, package != NULL ? package : "-", kernel, fit,
                 expected);
}

static void test_kernels(void **state)
{
    const enum nvl_flavour closed = NVL_FLAVOUR_PROPRIETARY, open = NVL_FLAVOUR_OPEN;
    nvl_auto(nvl_support_clear) struct nvl_support s = {0};

    (void)state;
    assert_int_equal(nvl_support_read(NULL, &s, NULL), 0);
    /* Debian's packages */
    fits(&s, "550.163.01", "550.163.01-2", closed, "6.15.4+deb13-amd64", NVL_KERNEL_FITS);
    fits(&s, "550.163.01", "550.163.01-2", closed, "6.17.2-1-pve", NVL_KERNEL_TOO_NEW);
    fits(&s, "550.163.01", "550.163.01-4~bpo13+1", closed, "6.17.2-1-pve", NVL_KERNEL_FITS);
    fits(&s, "550.163.01", "550.163.01-4~bpo13+1", closed, "7.2.12+deb13-amd64", NVL_KERNEL_FAILS);
    fits(&s, "550.163.01", "550.163.01-4~bpo13+1", closed, "6.18.1", NVL_KERNEL_TOO_NEW);
    fits(&s, "550.163.01", "550.163.01-4~bpo13+1", open, "6.12.107+deb13-amd64", NVL_KERNEL_FAILS);
    fits(&s, "550.163.01", "550.163.01-4~bpo13+1", open, "6.17.13-1-pve", NVL_KERNEL_FAILS);
    fits(&s, "550.163.01", "550.163.01-5", closed, "6.19.1", NVL_KERNEL_FITS);
    fits(&s, "550.163.01", "550.163.01-5.1", closed, "7.0.2-1-pve", NVL_KERNEL_FITS);
    fits(&s, "535.261.03", "535.261.03-1", closed, "6.12.1", NVL_KERNEL_FITS);
    fits(&s, "535.274.02", "535.274.02-1~deb13u1", closed, "6.14.8-2-pve", NVL_KERNEL_FITS);
    fits(&s, "535.274.02", "535.274.02-1~deb13u1", closed, "6.17.2-1-pve", NVL_KERNEL_TOO_NEW);
    fits(&s, "470.256.02", "470.256.02-1~deb12u1", closed, "6.1.0-40-amd64", NVL_KERNEL_FITS);
    fits(&s, "390.157", "390.157-16", closed, "7.0.2-1-pve", NVL_KERNEL_FITS);
    /* NVIDIA's own, by branch and version */
    fits(&s, "535.183.01", NULL, closed, "6.8.12-4-pve", NVL_KERNEL_TOO_NEW);
    fits(&s, "535.274.02", NULL, closed, "6.8.12-4-pve", NVL_KERNEL_FITS);
    fits(&s, "550.144.03", NULL, closed, "6.16.1", NVL_KERNEL_FITS);
    fits(&s, "580.95.05", NULL, open, "6.17.2-1-pve", NVL_KERNEL_TOO_NEW);
    fits(&s, "580.105.08", NULL, open, "6.17.2-1-pve", NVL_KERNEL_FITS);
    fits(&s, "580.105.08", NULL, open, "6.19.1", NVL_KERNEL_FAILS);
    fits(&s, "580.126.09", NULL, open, "6.19.1", NVL_KERNEL_FAILS);
    fits(&s, "580.126.18", NULL, open, "6.19.1", NVL_KERNEL_FITS);
    fits(&s, "580.126.20", NULL, open, "7.0.2-6-pve", NVL_KERNEL_FAILS);
    fits(&s, "580.142", NULL, open, "7.0.2-6-pve", NVL_KERNEL_FITS);
    fits(&s, "580.142", NULL, open, "7.1.0", NVL_KERNEL_TOO_NEW);
    fits(&s, "580.159.04", NULL, NVL_FLAVOUR_UNKNOWN, "7.1.0", NVL_KERNEL_FITS);
    fits(&s, "580.178.04", NULL, open, "7.2.12", NVL_KERNEL_FITS);
    fits(&s, "590.48.01", NULL, open, "6.18.1", NVL_KERNEL_FITS);
    fits(&s, "590.48.01", NULL, open, "6.19.1", NVL_KERNEL_FAILS);
    fits(&s, "595.71.05", NULL, open, "7.0.2-1-pve", NVL_KERNEL_FITS);
    fits(&s, "610.43.03", NULL, open, "7.1.1", NVL_KERNEL_FITS);
    fits(&s, "610.57.04", NULL, open, "7.2.1", NVL_KERNEL_FITS);
    /* what is not known is not judged */
    fits(&s, "999.10", NULL, open, "6.17.2", NVL_KERNEL_UNKNOWN);
    fits(&s, "580.159.04", NULL, open, "odd", NVL_KERNEL_UNKNOWN);
    assert_null(nvl_support_driver(&s, "", NULL, open));
}

static enum nvl_gpu_fit gpu_fit(const struct nvl_support *s, unsigned id, const char *version,
                                enum nvl_flavour flavour)
{
    return nvl_generation_fits(nvl_support_generation(s, id), version, flavour);
}

static void test_generations(void **state)
{
    static const struct {
        unsigned id;
        const char *name;
    } gpus[] = {{0x0611, "Tesla"},     {0x06c0, "Fermi"},     {0x1040, "Fermi"},     {0x1180, "Kepler"},
                {0x103f, "Kepler"},    {0x13c2, "Maxwell"},   {0x1b06, "Pascal"},    {0x1db4, "Volta"},
                {0x1e04, "Turing"},    {0x2182, "Turing"},    {0x20b0, "Ampere"},    {0x2204, "Ampere"},
                {0x2438, "Ampere"},    {0x2330, "Hopper"},    {0x2684, "Ada"},       {0x22ba, "Ada"},
                {0x2b85, "Blackwell"}, {0x0fa5, "Kepler"},    {0x130b, "Kepler"},    {0x1676, "Maxwell"},
                {0x15fc, "Pascal"},    {0x323e, "Blackwell"}, {0x3340, "Blackwell"}, {0x2c02, "Blackwell"},
                {0x2d04, "Blackwell"}, {0x2901, "Blackwell"}};
    const enum nvl_flavour closed = NVL_FLAVOUR_PROPRIETARY, open = NVL_FLAVOUR_OPEN;
    nvl_auto(nvl_support_clear) struct nvl_support s = {0};

    (void)state;
    assert_int_equal(nvl_support_read(NULL, &s, NULL), 0);
    for (size_t i = 0; i < NVL_LENGTH(gpus); i++) {
        assert_non_null(nvl_support_generation(&s, gpus[i].id));
        assert_string_equal(nvl_support_generation(&s, gpus[i].id)->name, gpus[i].name);
    }
    assert_null(nvl_support_generation(&s, 0));
    assert_null(nvl_support_generation(&s, 0xffff));
    assert_null(nvl_support_generation(&s, 0x3002)); /* GR100: which branch knows it first is not known */
    assert_int_equal(gpu_fit(&s, 0x2b85, "550.163.01", closed), NVL_GPU_TOO_NEW);
    assert_int_equal(gpu_fit(&s, 0x2b85, "580.95.05", closed), NVL_GPU_NEEDS_OPEN);
    assert_int_equal(gpu_fit(&s, 0x2b85, "580.95.05", open), NVL_GPU_FITS);
    assert_int_equal(gpu_fit(&s, 0x1b06, "580.95.05", closed), NVL_GPU_FITS);
    assert_int_equal(gpu_fit(&s, 0x1b06, "580.95.05", open), NVL_GPU_NEEDS_PROPRIETARY);
    assert_int_equal(gpu_fit(&s, 0x1b06, "590.44.01", closed), NVL_GPU_TOO_OLD);
    assert_int_equal(gpu_fit(&s, 0x2438, "550.163.01", NVL_FLAVOUR_UNKNOWN), NVL_GPU_FITS);
    assert_int_equal(gpu_fit(&s, 0x2438, "", open), NVL_GPU_UNKNOWN);
    assert_int_equal(gpu_fit(&s, 0xffff, "550.163.01", open), NVL_GPU_UNKNOWN);
    for (unsigned id = 0; id < 0x10000; id++) { /* no id is in two generations */
        size_t in = 0;
        for (size_t g = 0; g < s.n_generations; g++)
            for (size_t n = 0; n < s.generations[g].n_ids; n++)
                in += id >= s.generations[g].ids[n].first && id <= s.generations[g].ids[n].last;
        assert_true(in <= 1);
    }
}

static void test_bad_tables(void **state)
{
#define KERNEL(fails, branch)                                                                                \
    "{\"branch\": " branch                                                                                   \
    ", \"from\": null, \"package\": null, \"suite\": null, \"series\": null, \"flavour\": null, \"min\": "   \
    "null, \"max\": \"6.1\", \"fails\": " fails ", \"basis\": \"built\", \"source\": \"x\"}"
#define TABLE(kernels, generations)                                                                          \
    "{\"format\": 1, \"kernels\": [" kernels "], \"generations\": [" generations "]}"
#define GENERATION(ids)                                                                                      \
    "{\"name\": \"A\", \"ids\": " ids ", \"first\": null, \"last\": null, \"flavours\": [\"open\"]}"
    static const struct {
        int result;
        const char *text;
    } cases[] = {
        {0, TABLE(KERNEL("[]", "\"550\""), GENERATION("[\"00a0-00ff\"]"))},
        {0, TABLE("", "")},
        {-EINVAL, ""},
        {-EINVAL, "[]"},
        {-EINVAL, "{\"format\": 2, \"kernels\": [], \"generations\": []}"},
        {-EINVAL, TABLE(KERNEL("null", "\"550\""), "")},
        {-EINVAL, TABLE(KERNEL("[1]", "\"550\""), "")},
        {-EINVAL, TABLE(KERNEL("[]", "null"), "")},
        {-EINVAL, TABLE(KERNEL("[]", "550"), "")},
        {-EINVAL, TABLE("{}", "")},
        {-EINVAL, TABLE("", GENERATION("[\"00ff-00a0\"]"))},
        {-EINVAL, TABLE("", GENERATION("[\"00ff\"]"))},
        {-EINVAL, TABLE("", GENERATION("[\"x-y\"]"))},
        {-EINVAL, TABLE("", "{}")},
    };

    (void)state;
    for (size_t i = 0; i < NVL_LENGTH(cases); i++) {
        struct nvl_support s = {0};
        struct nvl_error err = {0};
        int r = nvl_support_add(&s, "/etc/nvlxc/kernels.json", cases[i].text, strlen(cases[i].text), &err);
        if (r != cases[i].result)
            fail_msg("%s: %d", cases[i].text, r);
        assert_int_equal(r < 0, err.message[0] != '\0');
        nvl_support_clear(&s);
    }
}

static void check_system(struct temp_root *t, const char *headers, const char *meta)
{
    nvl_auto(nvl_system_clear) struct nvl_system s;

    assert_int_equal(nvl_system_read(&t->root, &s, NULL), 0);
    nvl_autofree char *package = nvl_headers_package(&s), *meta_package = nvl_headers_meta_package(&s);
    if (headers == NULL) {
        assert_null(package);
        assert_null(meta_package);
        return;
    }
    assert_string_equal(package, headers);
    assert_string_equal(meta_package, meta);
}

static void replace(struct temp_root *t, const char *path, const char *text)
{
    unlinkat(t->fd, path + 1, 0);
    put(t, path, text);
}

static void test_headers(void **state)
{
    struct temp_root *t = *state;
    static const char osrelease[] = "/proc/sys/kernel/osrelease", status[] = "/var/lib/dpkg/status";

    check_system(t, NULL, NULL);
    put(t, "/etc/os-release", "ID=debian\nVERSION_ID=\"13\"\nVERSION_CODENAME=trixie\n");
    put(t, osrelease, "6.12.107+deb13-amd64\n");
    check_system(t, "linux-headers-6.12.107+deb13-amd64", "linux-headers-amd64");
    replace(t, osrelease, "6.1.0-40-cloud-amd64\n");
    check_system(t, "linux-headers-6.1.0-40-cloud-amd64", "linux-headers-cloud-amd64");
    replace(t, osrelease, "6.14.11-4-pve\n");
    check_system(t, "proxmox-headers-6.14.11-4-pve", "proxmox-default-headers");
    put(t, status, "Package: pve-manager\nStatus: install ok installed\nVersion: 7.4-19\n");
    check_system(t, "proxmox-headers-6.14.11-4-pve",
                 "proxmox-default-headers"); /* its cluster has no folder */
    put(t, "/etc/pve/.version", "");
    check_system(t, "proxmox-headers-6.14.11-4-pve", "proxmox-default-headers"); /* Debian 13 has 9 */
    replace(t, "/etc/os-release", "ID=debian\n");
    check_system(t, "pve-headers-6.14.11-4-pve", "pve-headers"); /* its package says */
    replace(t, "/etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n");
    check_system(t, "proxmox-headers-6.14.11-4-pve", "proxmox-default-headers");
    replace(t, "/etc/os-release", "ID=debian\nVERSION_ID=\"11\"\n");
    check_system(t, "pve-headers-6.14.11-4-pve", "pve-headers");
    replace(t, "/etc/os-release", "ID=arch\n");
    replace(t, osrelease, "6.17.1-arch1-1\n");
    check_system(t, NULL, NULL);
    replace(t, osrelease, "../../x\n"); /* it becomes a part of paths */
    check_system(t, NULL, NULL);
}

static void test_system(void **state)
{
    struct temp_root *t = *state;
    struct nvl_system s;
    static const char variable[] =
        "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";

    assert_int_equal(nvl_system_read(&t->root, &s, NULL), 0);
    assert_null(s.id);
    assert_null(s.kernel);
    assert_false(s.is_proxmox);
    assert_int_equal(s.pve_major, -1);
    assert_int_equal(s.secure_boot, NVL_SECURE_BOOT_OFF); /* no EFI */
    nvl_system_clear(&s);

    put(t, "/usr/lib/os-release", "NAME='x'\nID=debian\nVERSION_ID='12'\n");
    put(t, "/etc/pve/local", "");
    assert_int_equal(nvl_tree_directory(t->fd, "/sys/firmware/efi/efivars", NULL), 0);
    assert_int_equal(nvl_system_read(&t->root, &s, NULL), 0);
    assert_string_equal(s.id, "debian");
    assert_string_equal(s.version_id, "12");
    assert_true(s.is_proxmox);
    assert_int_equal(s.pve_major, 8);
    assert_int_equal(s.secure_boot, NVL_SECURE_BOOT_UNKNOWN);
    nvl_system_clear(&s);

    static const char *const values[] = {"\6\0\0\0\1", "\6\0\0\0\0"};
    for (int i = 0; i < 2; i++) {
        unlinkat(t->fd, variable + 1, 0);
        assert_int_equal(nvl_tree_file(t->fd, variable, values[i], 5, NULL), 0);
        assert_int_equal(nvl_system_read(&t->root, &s, NULL), 0);
        assert_int_equal(s.secure_boot, i == 0 ? NVL_SECURE_BOOT_ON : NVL_SECURE_BOOT_OFF);
        nvl_system_clear(&s);
    }
}

static void test_programs(void **state)
{
    struct temp_root *t = *state;
    static const char pid_file[] = "/run/x.pid";
    static const struct {
        const char *text;
        bool holds;
    } cases[] = {{"611\n", true},     {"611", true},        {"612\n", false}, {"613\n", false},
                 {"../611\n", false}, {"611 612\n", false}, {"", false},      {"-1\n", false}};

    put(t, "/proc/611/comm", "nvidia-persiste\n");
    put(t, "/proc/612/comm", "nvidia\n");
    assert_false(nvl_pid_file_holds(&t->root, pid_file, "nvidia-persistenced"));
    put(t, pid_file, "");
    for (size_t i = 0; i < NVL_LENGTH(cases); i++) {
        replace(t, pid_file, cases[i].text);
        assert_int_equal(nvl_pid_file_holds(&t->root, pid_file, "nvidia-persistenced"), cases[i].holds);
    }
    assert_true(nvl_program_runs(&t->root, "nvidia-persistenced"));
    assert_true(nvl_program_runs(&t->root, "nvidia"));
    assert_false(nvl_program_runs(&t->root, "nv-fabricmanager"));
}

static void test_packages(void **state)
{
    struct temp_root *t = *state;
    static const struct {
        const char *package, *version;
    } cases[] = {{"one", "1:2.0-3"}, {"two", NULL}, {"three", NULL}, {"thre", NULL}, {"four", "4"}};

    assert_null(nvl_package_version(&t->root, "one"));
    put(t, "/var/lib/dpkg/status",
        "Package: one\nStatus: install ok installed\nVersion: 1:2.0-3\nDescription: x\n Package: two\n\n"
        "Package: two\nStatus: deinstall ok config-files\nVersion: 2\n\n"
        "Package: three\nStatus: install ok half-installed\nVersion: 3\n\n"
        "Package: four\nStatus: hold ok installed\nVersion: 4\n");
    for (size_t i = 0; i < NVL_LENGTH(cases); i++) {
        nvl_autofree char *version = nvl_package_version(&t->root, cases[i].package);
        if (cases[i].version == NULL)
            assert_null(version);
        else
            assert_string_equal(version, cases[i].version);
        assert_int_equal(nvl_package_is_installed(&t->root, cases[i].package), version != NULL);
    }
    /* where dpkg's lists are there, they say it */
    put(t, "/var/lib/dpkg/info/one.list", "");
    put(t, "/var/lib/dpkg/info/six:amd64.list", "");
    assert_true(nvl_package_is_installed(&t->root, "one"));
    assert_true(nvl_package_is_installed(&t->root, "six"));
    assert_false(nvl_package_is_installed(&t->root, "four"));
}

static void test_modprobe(void **state)
{
    struct temp_root *t = *state;
    nvl_auto(nvl_modprobe_lines_clear) struct nvl_modprobe_lines lines = {0};
    nvl_auto(nvl_modprobe_clear) struct nvl_modprobe modprobe;

    put(t, "/etc/modprobe.d/a.conf", "# blacklist nova_core\n  blacklist   nova-core \nblacklist nova\n");
    put(t, "/etc/modprobe.d/b.txt", "blacklist nova_core\n");
    put(t, "/etc/modprobe.d/c.conf", "");
    put(t, "/usr/lib/modprobe.d/c.conf", "blacklist nova_core\n"); /* hidden by the one above */
    put(t, "/usr/lib/modprobe.d/d.conf", "install nova_core /bin/false\nblacklist nova_core");
    put_link(t, "/lib", "usr/lib");
    put(t, "/proc/cmdline", "root=/dev/sda1 nouveau.modeset=0 quiet\n");
    nvl_modprobe_read(&t->root, &modprobe);
    nvl_modprobe_find(&modprobe, "blacklist", "nova_core", &lines);
    assert_int_equal(lines.count, 2);
    assert_string_equal(lines.items[0].file, "/etc/modprobe.d/a.conf");
    assert_string_equal(lines.items[0].text, "blacklist nova-core");
    assert_string_equal(lines.items[1].file, "/usr/lib/modprobe.d/d.conf");
    assert_true(nvl_cmdline_has(&modprobe, "nouveau.modeset=0"));
    assert_true(nvl_cmdline_has(&modprobe, "quiet"));
    assert_false(nvl_cmdline_has(&modprobe, "nouveau.modeset"));
}

#define WITH_ROOT(test) cmocka_unit_test_setup_teardown(test, setup_root, teardown_root)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folding),
        cmocka_unit_test(test_folding_by_subject),
        cmocka_unit_test(test_sorting),
        cmocka_unit_test(test_text_is_clean),
        cmocka_unit_test(test_printable),
        cmocka_unit_test(test_every_check_is_tested),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_kernels),
        cmocka_unit_test(test_generations),
        cmocka_unit_test(test_bad_tables),
        WITH_ROOT(test_headers),
        WITH_ROOT(test_system),
        WITH_ROOT(test_programs),
        WITH_ROOT(test_packages),
        WITH_ROOT(test_modprobe),
    };
    return cmocka_run_group_tests(tests, be_x86_64, NULL);
}
