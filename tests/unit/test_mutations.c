/* Every parser of foreign bytes, fed with damaged forms of real ones: bytes flipped, cut, doubled and
 * spliced, with a fixed seed. What counts is that nothing crashes (the sanitizer build of CI looks) and that
 * what must always hold does. The linker cache has such a test of its own, test_ldcache.c. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <jansson.h>

#include "effective.h"
#include "emulated.h"
#include "round_trip.h"
#include "base/printable.h"
#include "base/root.h"
#include "container/config.h"
#include "container/grant_lines.h"
#include "grant/grant.h"
#include "host/compat_table.h"
#include "host/driver_version.h"
#include "host/gpu.h"
#include "container/node_makers.h"
#include "host/majors.h"
#include "host/params.h"

#define ROUNDS 2000

static uint64_t seed;

/* xorshift64: the same numbers at every run. */
static size_t below(size_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return n > 0 ? (size_t)(seed % n) : 0;
}

/* A damaged copy of `text`; NUL-terminated, *len without the NUL. */
static char *damage(const char *text, size_t text_len, size_t *len)
{
    static const char special[] = "\n\r\t :=#[],-0\xff\x80";
    struct nvl_buf b = {0};

    nvl_buf_add(&b, text, text_len);
    for (size_t n = 1 + below(6); n > 0; n--) {
        size_t at = below(b.len);
        switch (below(4)) {
        case 0:
            if (b.len > 0)
                b.data[at] = special[below(sizeof special - 1)];
            break;
        case 1:
            b.len = at;
            b.data[at] = '\0';
            break;
        case 2: /* a piece again */
            if (b.len > 0) {
                size_t from = below(b.len), most = b.len - from, piece = below(most < 64 ? most : 64);
                nvl_autofree char *copy = nvl_xstrndup(b.data + from, piece);
                nvl_buf_add(&b, copy, strlen(copy));
            }
            break;
        default:
            if (b.len > 0)
                b.data[at] = (char)(1 + below(255));
        }
    }
    *len = b.len;
    return nvl_buf_take(&b);
}

/* Calls `check` for damaged forms of a text. */
static void for_damaged(const char *text, int count, void (*check)(const char *text, size_t len))
{
    seed = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < rounds((size_t)count); i++) {
        size_t len;
        nvl_autofree char *damaged = damage(text, strlen(text), &len);
        /* exactly as long as it says, so that a read behind it is seen */
        nvl_autofree char *exact = nvl_xcalloc(len, 1);
        memcpy(exact, damaged, len);
        check(exact, len);
    }
}

static void check_version(const char *text, size_t len)
{
    struct nvl_driver_version v = {0};

    nvl_driver_version_parse(text, len, &v);
    size_t n = strnlen(v.version, sizeof v.version);
    assert_true(n < sizeof v.version);
    assert_true(n == 0 || nvl_is_version(v.version, n));
}

static void driver_versions(void **state)
{
    (void)state;
    for_damaged("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.163.01  Tue Apr  8 12:41:17 UTC 2025\n"
                "GCC version:  gcc version 14.2.0 (Debian 14.2.0-19)\n",
                ROUNDS, check_version);
    for_damaged("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  565.57.01  Release Build  (a@b)\n",
                ROUNDS, check_version);
}

static void check_information(const char *text, size_t len)
{
    struct nvl_gpu gpu = {0};

    nvl_gpu_parse_information(text, len, &gpu);
    assert_true(strnlen(gpu.pci, sizeof gpu.pci) < sizeof gpu.pci);
    assert_true(strnlen(gpu.uuid, sizeof gpu.uuid) < sizeof gpu.uuid);
    assert_true(strnlen(gpu.model, sizeof gpu.model) < sizeof gpu.model);
    assert_true(gpu.minor >= -1);
}

static void gpu_information(void **state)
{
    (void)state;
    for_damaged("Model: \t\t NVIDIA RTX A5500 Laptop GPU\nIRQ:   \t\t 203\n"
                "GPU UUID: \t GPU-3291dfa4-fcc4-0110-615b-c894a0d7c689\nVideo BIOS: \t 94.03.24.00.41\n"
                "Bus Location: \t 0000:01:00.0\nDevice Minor: \t 0\nGPU Excluded:\t No\n",
                ROUNDS, check_information);
}

static void check_majors(const char *text, size_t len)
{
    struct nvl_majors majors;

    nvl_majors_parse(text, len, &majors);
    assert_true(majors.nvidia >= -1 && majors.uvm >= -1 && majors.caps >= -1);
}

static void majors(void **state)
{
    (void)state;
    for_damaged("Character devices:\n  1 mem\n195 nvidia\n195 nvidiactl\n506 nvidia-uvm\n509 nvidia-caps\n"
                "508 nvidia-caps-imex-channels\n\nBlock devices:\n  8 sd\n",
                ROUNDS, check_majors);
}

static void check_params(const char *text, size_t len)
{
    struct nvl_params params;

    nvl_params_parse(text, len, &params);
    assert_true(params.mode <= 07777);
}

static void params(void **state)
{
    (void)state;
    for_damaged("ResmanDebugLevel: 4294967295\nModifyDeviceFiles: 1\nDeviceFileUID: 0\nDeviceFileGID: 44\n"
                "DeviceFileMode: 438\nRegistryDwords: \"\"\n",
                ROUNDS, check_params);
}

/* What is read must be written back as something that reads the same. */
static void check_grant(const char *text, size_t len)
{
    nvl_autofree char *value = nvl_xstrndup(text, len);
    nvl_auto(nvl_grant_clear) struct nvl_grant grant = {0}, again = {0};
    struct nvl_error err = {0};

    if (nvl_grant_parse(&grant, value, NULL, NULL, &err) < 0) {
        assert_true(err.message[0] != '\0');
        return;
    }
    nvl_autofree char *written = nvl_grant_devices(&grant);
    assert_int_equal(nvl_grant_parse(&again, written, NULL, NULL, &err), 0);
    nvl_autofree char *twice = nvl_grant_devices(&again);
    assert_string_equal(written, twice);
}

static void grants(void **state)
{
    (void)state;
    for_damaged("0,GPU-3291dfa4-fcc4-0110-615b-c894a0d7c689,MIG-GPU-3291dfa4-fcc4-0110-615b-c894a0d7c689/1/0,"
                "0000:01:00.0",
                ROUNDS, check_grant);
    for_damaged("all", ROUNDS, check_grant);
}

static enum nvl_dialect dialect;
static bool has_remains; /* of lines that nvlxc wrote */

static void check_way(const char *text, size_t len, const struct way *way, bool replace, bool had_grant)
{
    nvl_autofree char *wrong = round_trip(dialect, text, len, way, replace, had_grant);

    if (wrong != NULL)
        fail_msg("%s", wrong);
}

static void check_config(const char *text, size_t len)
{
    nvl_auto(nvl_config_clear) struct nvl_config config = {0};
    nvl_auto(nvl_grant_clear) struct nvl_grant had = {0};
    struct nvl_error err = {0};

    if (nvl_config_parse(&config, dialect, nvl_xstrndup(text, len), len, &err) < 0)
        return; /* NUL bytes */
    assert_int_equal(config.len, len);
    bool had_grant = has_remains || grant_of(&config, &had, &err) != 0;
    check_way(text, len, &ways[below(n_ways(dialect))], below(2) == 0, had_grant);
}

/* What nvlxc wrote is damaged as well as the rest: what is left of it may be taken for its own. */
static void for_damaged_with_grant(const char *text, size_t len)
{
    for (size_t i = 0; i < n_ways(dialect); i++) {
        nvl_auto(nvl_plan_clear) struct nvl_plan on = {0};
        assert_int_equal(attach(dialect, text, len, &ways[i], true, &on), 0);
        has_remains = true;
        for_damaged(on.text, ROUNDS / 20, check_config);
        has_remains = false;
    }
}

static void configs_in(const char *folder)
{
    nvl_auto(nvl_root_close) struct nvl_root root = NVL_ROOT_NONE;
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    nvl_autofree char *path = nvl_xasprintf("%s/tests/unit/configs/%s", getenv("NVL_SOURCE"), folder);

    assert_int_equal(nvl_root_open(&root, path, NULL), 0);
    assert_int_equal(nvl_root_list(&root, "/", &names), 0);
    assert_true(names.count > 5);
    for (size_t i = 0; i < names.count; i++) {
        nvl_autofree char *text = NULL;
        size_t len;
        assert_int_equal(nvl_root_read(&root, names.items[i], NVL_CONFIG_MAX, &text, &len), 0);
        if (strlen(text) != len || len >= 16384)
            continue;
        for_damaged(text, ROUNDS / 8, check_config);
        for_damaged_with_grant(text, len);
    }
}

static void configs_of_proxmox(void **state)
{
    (void)state;
    dialect = NVL_DIALECT_PVE;
    configs_in("pve");
    configs_in("by-hand/pve");
}

static void configs_of_lxc(void **state)
{
    (void)state;
    dialect = NVL_DIALECT_LXC;
    configs_in("lxc");
    configs_in("by-hand/lxc");
}

static void check_diff(const char *text, size_t len)
{
    static const char old[] = "a\nb\nc\nd\ne\nf\ng\nh\n";
    nvl_auto(nvl_buf_clear) struct nvl_buf out = {0};

    nvl_diff(&out, "a", old, strlen(old), "b", text, len);
    assert_int_equal(out.len == 0, len == strlen(old) && memcmp(text, old, len) == 0);
}

static void diffs(void **state)
{
    (void)state;
    for_damaged("a\nb\nX\nd\ne\nf\ng\nY\nh\n", ROUNDS, check_diff);
}

/* jansson takes UTF-8 alone, and says what it is. */
static void check_printable(const char *text, size_t len)
{
    nvl_autofree char *utf8 = nvl_xstrndup(text, len), *printable = nvl_xstrndup(text, len);
    json_t *was = json_string(utf8), *is = json_string(nvl_make_utf8(utf8));

    assert_non_null(is);
    assert_true(was == NULL || json_equal(was, is));
    assert_int_equal(strlen(utf8), strnlen(text, len));
    json_t *shown = json_string(nvl_make_printable(printable));
    assert_non_null(shown);
    assert_int_equal(strlen(printable), strlen(utf8));
    for (const char *c = printable; *c != '\0'; c++)
        assert_true(((unsigned char)*c >= ' ' && *c != 0x7f) || *c == '\n' || *c == '\t');
    json_decref(was);
    json_decref(is);
    json_decref(shown);
}

static void printable_texts(void **state)
{
    (void)state;
    for_damaged("p\xc3\xa9 \xe2\x82\xac \xed\x9f\xbf \xf0\x90\x8d\x88 \xf4\x8f\xbf\xbf\n\xe0\xa0\x80",
                20 * ROUNDS, check_printable);
}

/* A hook is a shell's text, of anybody's. */
static void check_hook(const char *text, size_t len)
{
    nvl_autofree char *value = nvl_xstrndup(text, len);
    struct nvl_delivery delivery;

    nvl_hook_makes_nvidia(NULL, "lxc.hook.autodev", value);
    if (nvl_hook_line_parse(value, &delivery)) {
        nvl_autofree char *with = nvl_with_format(&delivery);
        struct nvl_delivery again = {0};
        assert_int_equal(nvl_with_parse(with, &again), delivery.with != 0);
        assert_int_equal(again.with, delivery.with);
        assert_int_equal(again.imex_channel, delivery.imex_channel);
    }
}

static void hooks(void **state)
{
    (void)state;
    for_damaged(
        "sh -ec 'mknod -m 666 ${LXC_ROOTFS_MOUNT}/dev/nvidia0 c 195 0; cd $LXC_ROOTFS_MOUNT\"/dev\" && mknod "
        "$N c 195 255|mknod --mode=666 nvidia$i c 195 $i'",
        ROUNDS, check_hook);
    for_damaged("</dev/null; [ ! -x /usr/libexec/nvlxc/hook ] || exec /usr/libexec/nvlxc/hook "
                "--with=mps,persistenced,imex=2047",
                ROUNDS, check_hook);
}

static void check_table(const char *text, size_t len)
{
    nvl_auto(nvl_support_clear) struct nvl_support s = {0};
    struct nvl_error err = {0};

    if (nvl_support_add(&s, "/etc/nvlxc/kernels.json", text, len, &err) < 0) {
        assert_true(err.message[0] != '\0');
        return;
    }
    for (size_t i = 0; i < s.n_kernels; i++) {
        const struct nvl_kernel_range *row = &s.kernels[i];
        assert_true(row->branch[0] != '\0' && row->branch[strspn(row->branch, "0123456789")] == '\0');
        assert_true(row->package != NULL || (row->suite == NULL && row->series == NULL));
        assert_true(row->series == NULL || strpbrk(row->series, " ;$`\n'\"") == NULL);
    }
    for (size_t i = 0; i < s.n_generations; i++)
        assert_true(s.generations[i].n_ids > 0 && (s.generations[i].open || s.generations[i].proprietary));
}

static void tables_of_drivers(void **state)
{
    (void)state;
    for_damaged(
        "{\"format\": 1, \"date\": \"2026-11-29\", \"kernels\": [{\"branch\": \"535\", \"from\": "
        "\"535.274.02\", \"package\": \"535.274.02-1\", \"suite\": \"trixie\", \"series\": \"tesla-535\", "
        "\"max\": \"6.15\", \"fails\": [\"6.9\"], \"basis\": \"built\", \"source\": \"me\"}], "
        "\"generations\": [{\"name\": \"Ada\", \"ids\": [\"2680-28ff\"], \"first\": \"520\", "
        "\"flavours\": [\"open\"]}]}",
        ROUNDS, check_table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(driver_versions),
        cmocka_unit_test(gpu_information),
        cmocka_unit_test(majors),
        cmocka_unit_test(params),
        cmocka_unit_test(grants),
        cmocka_unit_test(configs_of_proxmox),
        cmocka_unit_test(configs_of_lxc),
        cmocka_unit_test(diffs),
        cmocka_unit_test(printable_texts),
        cmocka_unit_test(hooks),
        cmocka_unit_test(tables_of_drivers),
    };

    return cmocka_run_group_tests_name("mutations", tests, NULL, NULL);
}
