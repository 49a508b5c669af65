/* The chooser: which driver for which kernel, GPUs and release; what is said where none fits; what of
 * NVIDIA's own is named, and that it is never older than what is there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "driver/origin.h"
#include "driver/choose.h"
#include "driver/ways.h"
#include "host/compat_table.h"
#include "machine.h"

struct machine {
    const char *version_id, *kernel;
    unsigned pci_device;
    int pve;                /* 0: Debian */
    const char *kernels[4]; /* installed */
    unsigned second;        /* the PCI device id of another GPU; 0 for none */
    const char *loaded;     /* a driver that has the first GPU; NULL */
};

struct host {
    struct nvl_gpu items[2];
    struct nvl_gpus gpus;
    struct nvl_system system;
    struct nvl_driver_version loaded;
    struct nvl_installed_driver installed;
    struct nvl_support support;
    struct nvl_driver_need need;
};

static void make_host(struct host *h, const struct machine *m)
{
    *h = (struct host){
        .items = {{.pci = "0000:01:00.0", .pci_device = m->pci_device},
                  {.pci = "0000:02:00.0", .pci_device = m->second}},
        .gpus = {h->items, m->second != 0 ? 2 : 1},
        .system = {.id = (char *)"debian",
                   .version_id = (char *)m->version_id,
                   .codename = (char *)(strcmp(m->version_id, "12") == 0 ? "bookworm" : "trixie"),
                   .kernel = (char *)m->kernel,
                   .is_proxmox = m->pve > 0,
                   .pve_major = m->pve > 0 ? m->pve : -1}};
    if (m->loaded != NULL) {
        h->loaded.loaded = true;
        snprintf(h->loaded.version, sizeof h->loaded.version, "%s", m->loaded);
        h->items[0].driver = NVL_GPU_NVIDIA;
    }
    assert_int_equal(nvl_support_read(NULL, &h->support, NULL), 0);
    for (size_t i = 0; m->kernels[i] != NULL; i++)
        nvl_strv_push(&h->installed.bootable, m->kernels[i]);
    h->need = (struct nvl_driver_need){&h->system, &h->gpus, &h->loaded, &h->installed, &h->support};
}

static void clear_host(struct host *h)
{
    nvl_strv_clear(&h->installed.bootable);
    nvl_support_clear(&h->support);
}

static struct nvl_choice choose(const struct machine *m)
{
    struct nvl_choice choice;
    struct host h;

    make_host(&h, m);
    nvl_choose_driver(&h.need, &choice);
    clear_host(&h);
    return choice;
}

static void test_choice(void **state)
{
    static const struct {
        struct machine machine;
        const char *branch;
        bool backports;
        const char *other_kernel, *kernel_package, *series;
    } cases[] = {
        {{"12", "6.1.0-40-amd64", 0x2438}, "535", false, NULL, NULL},
        {{"12", "6.8.12-15-pve", 0x2204, 8}, "535", false, NULL, NULL},
        {{"12", "6.14.11-4-bpo12-pve", 0x2684, 8}, "535", false, NULL, NULL},
        {{"13", "6.12.107+deb13-amd64", 0x2438}, "550", false, NULL, NULL},
        {{"13", "6.14.8-2-pve", 0x2330, 9}, "550", false, NULL, NULL},
        {{"13", "6.14.8-2-pve", 0x1b81, 9}, "550", false, NULL, NULL}, /* Pascal */
        {{"13", "6.16.3+deb13-amd64", 0x2438}, "550", true, NULL, NULL},
        {{"13", "6.17.4-1-pve", 0x2438, 9}, "550", true, NULL, NULL},
        /* the next boot may take a newer kernel: dkms builds for that one too */
        {{"13", "6.14.8-2-pve", 0x2438, 9, {"6.14.8-2-pve", "6.17.4-1-pve"}}, "550", true, NULL, NULL},
        {{"13", "6.14.8-2-pve", 0x2438, 9, {"6.14.8-2-pve", "7.0.2-1-pve"}}, "550", false, NULL, NULL},
        {{"13", "7.0.2-1-pve", 0x2438, 9, {"6.14.8-2-pve", "6.14.11-4-pve", "7.0.2-1-pve"}},
         "550",
         false,
         "6.14.11-4-pve",
         NULL},
        {{"13", "7.0.2-1-pve", 0x2438, 9, {"7.0.2-1-pve", "6.12.1+deb13-amd64"}},
         "550",
         true,
         "6.17",
         "proxmox-kernel-6.17"},
        {{"12", "6.17.4-1-pve", 0x2438, 8}, "535", false, "6.14", "proxmox-kernel-6.14"},
        {{"12", "6.1.0-40-amd64", 0x1004}, "470", false, NULL, NULL, "tesla-470"}, /* Kepler */
        {{"12", "6.14.11-4-bpo12-pve", 0x1004, 8}, "470", false, "6.8", "proxmox-kernel-6.8", "tesla-470"},
    };

    (void)state;
    for (size_t i = 0; i < NVL_LENGTH(cases); i++) {
        nvl_auto(nvl_choice_clear) struct nvl_choice c = choose(&cases[i].machine);
        print_message("# %s on Debian %s\n", cases[i].machine.kernel, cases[i].machine.version_id);
        assert_int_equal(c.kind, NVL_CHOICE_PACKAGE);
        assert_string_equal(c.branch, cases[i].branch);
        assert_int_equal(c.backports, cases[i].backports);
        assert_string_equal(c.series != NULL ? c.series : "", cases[i].series != NULL ? cases[i].series : "");
        assert_int_equal(c.flavour, NVL_FLAVOUR_PROPRIETARY);
        assert_int_equal(c.needs_kernel, cases[i].other_kernel != NULL);
        assert_string_equal(c.kernel,
                            cases[i].other_kernel != NULL ? cases[i].other_kernel : cases[i].machine.kernel);
        if (cases[i].kernel_package != NULL)
            assert_string_equal(c.kernel_package, cases[i].kernel_package);
        else
            assert_null(c.kernel_package);
    }
}

#define IN_ARCHIVE "nvlxc host setup --from nvidia\nor by its installer: nvlxc host setup --run FILE"

static void test_no_choice(void **state)
{
    static const struct {
        struct machine machine;
        const char *problem, *hint;
    } cases[] = {
        {{"13", "7.0.4+deb13-amd64", 0x2438, 0, {"6.12.107+deb13-amd64", "7.0.4+deb13-amd64"}},
         "no packaged driver supports kernel 7.0.4+deb13-amd64",
         "NVIDIA has 580.142 or newer of branch 580, or 595.58.03 or newer, in its archive: " IN_ARCHIVE
         "\nor boot kernel 6.12.107+deb13-amd64, which a packaged one fits"},
        {{"13", "7.0.4+deb13-amd64", 0x2438},
         "no packaged driver supports kernel 7.0.4+deb13-amd64",
         "NVIDIA has 580.142 or newer of branch 580, or 595.58.03 or newer, in its archive: " IN_ARCHIVE},
        {{"13", "7.0.4+deb13-amd64", 0x1b81}, /* Pascal: never past 580 */
         "no packaged driver supports kernel 7.0.4+deb13-amd64",
         "NVIDIA has 580.142 or newer of branch 580, in its archive: " IN_ARCHIVE},
        {{"13", "7.3.1+deb13-amd64", 0x1b81},
         "no packaged driver supports kernel 7.3.1+deb13-amd64",
         "it takes a driver newer than 580.178.04, the newest that nvlxc knows for this GPU: nvlxc host "
         "setup --run FILE"},
        {{"13", "7.3.1+deb13-amd64", 0x2438},
         "no packaged driver supports kernel 7.3.1+deb13-amd64",
         "it takes a driver newer than 615.71.09, the newest that nvlxc knows: nvlxc host setup --run FILE"},
        {{"13", "6.12.107+deb13-amd64", 0x2b85}, /* RTX 5090 */
         "GPU 0000:01:00.0 (10de:2b85, Blackwell) needs driver 570 or newer with the open kernel modules, "
         "but Debian packages 535, 550",
         "NVIDIA has 580 or newer, in its archive: " IN_ARCHIVE},
        {{"13", "6.12.107+deb13-amd64", 0x1004}, /* GTX 780 */
         "GPU 0000:01:00.0 (10de:1004, Kepler) is too old: its last driver is 470, but Debian packages 535, "
         "550",
         "use NVIDIA's installer of 470, on a kernel that it supports"},
        {{"13", "6.12.107+deb13-amd64", 0x3002},
         "nvlxc does not know GPU 0000:01:00.0 (10de:3002), nor which driver fits it",
         "download the driver that NVIDIA names for this GPU (https://www.nvidia.com/drivers), then: nvlxc "
         "host setup --run FILE"},
        /* two that no driver joins: by flavour, and by branch */
        {{"13", "6.12.107+deb13-amd64", 0x1b81, 0, {NULL}, 0x2b85},
         "no driver supports both GPU 0000:01:00.0 (10de:1b81, Pascal) and GPU 0000:02:00.0 (10de:2b85, "
         "Blackwell)",
         "driver 580 or older (proprietary modules) leaves out GPU 0000:02:00.0 (Blackwell); driver 570 or "
         "newer (open modules) leaves out GPU 0000:01:00.0 (Pascal)"},
        {{"12", "6.1.0-40-amd64", 0x2684, 0, {NULL}, 0x1004},
         "no driver supports both GPU 0000:01:00.0 (10de:2684, Ada) and GPU 0000:02:00.0 (10de:1004, Kepler)",
         "driver 520 or newer leaves out GPU 0000:02:00.0 (Kepler); driver 470 or older (proprietary "
         "modules) "
         "leaves out GPU 0000:01:00.0 (Ada)"},
        {{"13", "6.12.107+deb13-rt-amd64", 0x2438},
         "kernel 6.12.107+deb13-rt-amd64 is a real-time one (PREEMPT_RT), on which the driver does not "
         "build",
         "boot another kernel, such as that of linux-image-amd64"},
    };

    (void)state;
    for (size_t i = 0; i < NVL_LENGTH(cases); i++) {
        nvl_auto(nvl_choice_clear) struct nvl_choice c = choose(&cases[i].machine);
        assert_int_equal(c.kind, NVL_CHOICE_NONE);
        assert_string_equal(c.problem, cases[i].problem);
        assert_string_equal(c.hint, cases[i].hint);
    }
}

/* What the loaded driver has is no unknown. */
static void test_unknown_that_works(void **state)
{
    static const struct machine works = {"13", "6.12.107+deb13-amd64", 0x3002, .loaded = "550.163.01"};

    (void)state;
    nvl_auto(nvl_choice_clear) struct nvl_choice c = choose(&works);
    assert_int_equal(c.kind, NVL_CHOICE_PRESENT); /* loaded, and of no package */
    assert_string_equal(c.branch, "550");
}

static void test_by_hand(void **state)
{
    static const struct {
        const char *kernel;
        unsigned pci_device;
        const char *newer_than, *version, *text;
        enum nvl_flavour flavour;
    } cases[] = {
        {"6.17.4-2-pve", 0x2438, "580.95.05", "580.178.04", "580.105.08 or newer", NVL_FLAVOUR_UNKNOWN},
        {"6.17.4-2-pve", 0x1b81, "580.95.05", "580.178.04", "580.105.08 or newer of branch 580",
         NVL_FLAVOUR_PROPRIETARY},
        {"6.17.4-2-pve", 0x2b85, "580.95.05", "580.178.04", "580.105.08 or newer", NVL_FLAVOUR_OPEN},
        /* never one that is there already, or older */
        {"6.17.4-2-pve", 0x2438, "580.105.08", "580.178.04", "580.126.18 or newer", NVL_FLAVOUR_UNKNOWN},
        {"6.19.1", 0x2438, "590.48.01", "595.91.07", "595.58.03 or newer", NVL_FLAVOUR_UNKNOWN},
        {"6.12.1", 0x2438, "615.71.09", NULL, "a driver newer than 615.71.09, the newest that nvlxc knows",
         NVL_FLAVOUR_UNKNOWN},
        {"7.0.2-1-pve", 0x1b81, "580.142", "580.178.04", "580.159.04 or newer of branch 580",
         NVL_FLAVOUR_PROPRIETARY},
        {"7.2.1", 0x2438, NULL, "580.178.04", "580.178.04 or newer of branch 580, or 610.57.04 or newer",
         NVL_FLAVOUR_UNKNOWN},
        {"6.1.0-40-amd64", 0x1004, NULL, "470.256.02", "470.256.02 or newer of branch 470",
         NVL_FLAVOUR_PROPRIETARY},
        /* the last branch, which is maintained, before older ones that fit, too */
        {"6.12.1", 0x1b81, NULL, "580.178.04", "a driver of branch 580", NVL_FLAVOUR_PROPRIETARY},
        {"6.14.8-2-pve", 0x0611, NULL, NULL, "a driver of branch 340", NVL_FLAVOUR_PROPRIETARY},
    };

    (void)state;
    for (size_t i = 0; i < NVL_LENGTH(cases); i++) {
        struct machine m = {"13", cases[i].kernel, cases[i].pci_device};
        nvl_auto(nvl_by_hand_clear) struct nvl_by_hand choice;
        struct host h;
        make_host(&h, &m);
        nvl_choose_by_hand(&h.need, m.kernel, cases[i].newer_than, &choice);
        clear_host(&h);
        assert_string_equal(choice.text, cases[i].text);
        assert_int_equal(choice.fits, cases[i].version != NULL);
        assert_int_equal(choice.flavour, cases[i].flavour);
        if (cases[i].version != NULL)
            assert_string_equal(choice.version, cases[i].version);
    }
}

/* Each answer says why it does not fit. */
static void test_answers(void **state)
{
    static const struct machine m = {"13", "6.17.4-2-pve", 0x2b85, 9};
    nvl_auto(nvl_driver_answers_clear) struct nvl_driver_answers answers;
    struct host h;
    bool too_new = false, old_kernel = false;

    (void)state;
    make_host(&h, &m);
    nvl_driver_answers_rank(&h.need, m.kernel, &answers);
    assert_true(answers.count > 4 && answers.items[0].fits);
    assert_int_equal(answers.items[0].supplier, NVL_SUPPLIER_NVIDIA);
    assert_int_equal(answers.items[0].flavour, NVL_FLAVOUR_OPEN);
    for (size_t i = 1; i < answers.count; i++) {
        const struct nvl_driver_answer *a = &answers.items[i];
        assert_true(answers.items[i - 1].fits || !a->fits);
        assert_true(a->fits || a->kernel_fit != NVL_KERNEL_FITS || a->gpu == &h.items[0]);
        too_new |= a->supplier == NVL_SUPPLIER_BACKPORTS && a->gpu_fit == NVL_GPU_TOO_NEW;
        old_kernel |= a->supplier == NVL_SUPPLIER_RELEASE && a->kernel_fit == NVL_KERNEL_TOO_NEW;
    }
    assert_true(too_new && old_kernel);
    clear_host(&h);
}

static const struct nvl_driver_way *way_of(const struct nvl_driver_ways *ways, const char *source,
                                           const char *branch)
{
    for (size_t i = 0; i < ways->count; i++)
        if (strcmp(ways->items[i].source, source) == 0 && strcmp(ways->items[i].branch, branch) == 0)
            return &ways->items[i];
    return NULL;
}

/* The list for people: the chosen one first, and of each source and branch what the table says. */
static void test_ways(void **state)
{
    static const struct {
        struct machine machine;
        const char *first, *first_version; /* the recommended one; NULL for none */
        const char *source, *branch,
            *shown; /* another one: "VERSION, FLAVOR: WHY NOT"; NULL: not in the list */
    } cases[] = {
        {{"13", "6.14.8-2-pve", 0x2438, 9},
         "Debian trixie",
         "550.163.01-2",
         "Debian tesla-535",
         "535",
         "535.274.02-1~deb13u1, proprietary: yes"},
        {{"13", "6.17.4-1-pve", 0x2438, 9},
         "trixie-backports",
         "550.163.01-4~bpo13+1",
         "Debian trixie",
         "550",
         "550.163.01-2, either: builds up to kernel 6.15"},
        {{"13", "7.0.2-1-pve", 0x2438, 9, {"6.14.11-4-pve", "7.0.2-1-pve"}},
         "Debian trixie",
         "550.163.01-2",
         "trixie-backports",
         "550",
         "550.163.01-4~bpo13+1, either: builds up to kernel 6.17"},
        {{"12", "6.1.0-40-amd64", 0x1004},
         "Debian tesla-470",
         "470.256.02-1~deb12u1",
         "Debian bookworm",
         "535",
         "535.261.03-1, either: dropped Kepler"},
        {{"13", "6.17.4-2-pve", 0x2b85, 9},
         "NVIDIA .run",
         "580.105.08 or newer of 580",
         "NVIDIA archive",
         "610",
         "610.43.03 or newer of 610, open: yes"},
        {{"13", "6.19.1-1-pve", 0x2b85, 9},
         "NVIDIA .run",
         "580.126.18 or newer of 580",
         "NVIDIA .run",
         "590",
         "590, open: fails on kernel 6.19"},
        {{"12", "6.8.12-15-pve", 0x2204, 8},
         "Debian bookworm",
         "535.261.03-1",
         "NVIDIA archive",
         "535",
         NULL},
        {{"13", "6.12.107+deb13-amd64", 0x2438},
         "Debian trixie",
         "550.163.01-2",
         "NVIDIA archive",
         "550",
         NULL}, /* that one began with 580 */
        {{"13", "6.14.8-2-pve", 0x3002, 9},
         NULL,
         NULL,
         "NVIDIA .run",
         "580",
         "580.178.04, either: unknown for GPU 10de:3002"},
        {{"13", "6.14.8-2-pve", 0x1b81, 9, {NULL}, 0x2b85},
         NULL,
         NULL,
         "NVIDIA .run",
         "580",
         "580.178.04, proprietary: Blackwell needs open modules"},
    };

    (void)state;
    for (size_t i = 0; i < NVL_LENGTH(cases); i++) {
        nvl_auto(nvl_driver_ways_clear) struct nvl_driver_ways ways = {0};
        struct host h;
        make_host(&h, &cases[i].machine);
        nvl_driver_ways_find(&h.need, &ways);
        print_message("# %s, 10de:%04x\n", cases[i].machine.kernel, cases[i].machine.pci_device);
        assert_int_equal(ways.items[0].is_recommended, cases[i].first != NULL);
        if (cases[i].first != NULL) {
            nvl_autofree char *version = nvl_way_version(&ways.items[0]);
            assert_string_equal(ways.items[0].source, cases[i].first);
            assert_string_equal(version, cases[i].first_version);
        }
        const struct nvl_driver_way *way = way_of(&ways, cases[i].source, cases[i].branch);
        assert_int_equal(way != NULL, cases[i].shown != NULL);
        if (way != NULL) {
            nvl_autofree char *version = nvl_way_version(way);
            nvl_autofree char *shown = nvl_xasprintf("%s, %s: %s", version, way->flavour,
                                                     way->why_not != NULL ? way->why_not : "yes");
            assert_string_equal(shown, cases[i].shown);
        }
        clear_host(&h);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choice),
        cmocka_unit_test(test_no_choice),
        cmocka_unit_test(test_unknown_that_works),
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_ways),
    };
    return cmocka_run_group_tests(tests, be_x86_64, NULL);
}
