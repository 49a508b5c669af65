/* Host set-up: apt's sources keep every byte that is not added, in both of apt's forms; whose archive an
 * entry is; which driver is chosen for which kernel, GPU and release; what apt's dry run says. */
#include "temp_root.h"

#include <string.h>

#include "setup/choice.h"
#include "setup/plan.h"
#include "setup/run.h"
#include "setup/sources.h"

#define DOMAIN  "debian.org"
#define KEYRING "/usr/share/keyrings/debian-archive-keyring.gpg"

/* ---- apt's sources ---- */

static struct nvl_sources read_sources(const struct temp_root *t)
{
    struct nvl_sources sources;
    struct nvl_error err = {0};

    if (nvl_sources_read(&t->root, &sources, &err) < 0)
        fail_msg("%s", err.message);
    return sources;
}

/* The file with contrib and non-free added, as a copy; the file itself where nothing is to be added. */
static char *with_components(const struct temp_root *t, const char *path, const char *codename)
{
    nvl_auto(nvl_sources_clear) struct nvl_sources sources = read_sources(t);
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};
    struct nvl_edit *edits = NULL;
    size_t n = 0, len;
    char *text = NULL;

    nvl_strv_split(&words, "contrib non-free", " ");
    nvl_sources_add_components(&sources, codename, false, &words, &edits, &n);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(edits[i].path, path) == 0) {
            assert_int_equal(strlen(edits[i].new_text), edits[i].new_len);
            text = TAKE_PTR(edits[i].new_text);
        }
        nvl_edit_clear(&edits[i]);
    }
    free(edits);
    if (text == NULL)
        assert_int_equal(nvl_root_read(&t->root, path, 1 << 20, &text, &len), 0);
    return text;
}

static void check_edit(const char *path, const char *before, const char *after)
{
    void *state = NULL;

    setup_root(&state);
    put(state, path, before);
    nvl_autofree char *text = with_components(state, path, "trixie");
    assert_string_equal(text, after);
    teardown_root(&state);
}

#define LIST  "/etc/apt/sources.list"
#define STYLE "/etc/apt/sources.list.d/debian.sources"

static void test_one_line(void **state)
{
    (void)state;
    check_edit(LIST, "deb http://deb." DOMAIN "/debian trixie main\n",
               "deb http://deb." DOMAIN "/debian trixie main contrib non-free\n");
    check_edit(LIST, "deb http://deb." DOMAIN "/debian trixie main contrib",
               "deb http://deb." DOMAIN "/debian trixie main contrib non-free");
    check_edit(LIST,
               "# the release\n"
               "deb [ arch=amd64  signed-by=" KEYRING
               " ]\thttp://mirror.example/debian/ trixie main # mine\r\n"
               "deb-src http://deb." DOMAIN "/debian trixie main\n"
               "#deb http://deb." DOMAIN "/debian trixie main\n"
               "deb http://deb." DOMAIN "/debian trixie-updates\tmain  \n"
               "deb http://deb." DOMAIN "/debian trixie-backports main\n"
               "deb http://deb." DOMAIN "/debian sid main\n"
               "deb cdrom:[Debian GNU/Linux 13 _Trixie_]/ trixie main\n"
               "deb http://mirror.example/debian/pve trixie pve-no-subscription\n",
               "# the release\n"
               "deb [ arch=amd64  signed-by=" KEYRING
               " ]\thttp://mirror.example/debian/ trixie main contrib non-free # mine\r\n"
               "deb-src http://deb." DOMAIN "/debian trixie main\n"
               "#deb http://deb." DOMAIN "/debian trixie main\n"
               "deb http://deb." DOMAIN "/debian trixie-updates\tmain contrib non-free  \n"
               "deb http://deb." DOMAIN "/debian trixie-backports main\n"
               "deb http://deb." DOMAIN "/debian sid main\n"
               "deb cdrom:[Debian GNU/Linux 13 _Trixie_]/ trixie main\n"
               "deb http://mirror.example/debian/pve trixie pve-no-subscription\n");
}

static void test_stanzas(void **state)
{
    (void)state;
    check_edit(STYLE,
               "# Debian\n"
               "types: deb deb-src\n"
               "URIs: http://deb." DOMAIN "/debian\n"
               "Suites: trixie\n"
               " trixie-updates\n"
               "COMPONENTS: main\n"
               "# between\n"
               "   contrib\t\n"
               "Signed-By: " KEYRING "\n"
               "\n"
               "\n"
               "Types: deb\n"
               "URIs: http://deb." DOMAIN "/debian\n"
               "Suites: trixie\n"
               "Components: main\n"
               "Enabled: No\n"
               "\n"
               "Types: deb-src\n"
               "URIs: http://deb." DOMAIN "/debian\n"
               "Suites: trixie\n"
               "Components: main\n"
               "\n"
               "Types: deb\n"
               "URIs: http://deb." DOMAIN "/debian-security\n"
               "Suites: trixie-security\n"
               "Components: main",
               "# Debian\n"
               "types: deb deb-src\n"
               "URIs: http://deb." DOMAIN "/debian\n"
               "Suites: trixie\n"
               " trixie-updates\n"
               "COMPONENTS: main\n"
               "# between\n"
               "   contrib non-free\t\n"
               "Signed-By: " KEYRING "\n"
               "\n"
               "\n"
               "Types: deb\n"
               "URIs: http://deb." DOMAIN "/debian\n"
               "Suites: trixie\n"
               "Components: main\n"
               "Enabled: No\n"
               "\n"
               "Types: deb-src\n"
               "URIs: http://deb." DOMAIN "/debian\n"
               "Suites: trixie\n"
               "Components: main\n"
               "\n"
               "Types: deb\n"
               "URIs: http://deb." DOMAIN "/debian-security\n"
               "Suites: trixie-security\n"
               "Components: main contrib non-free");
}

/* What another entry gives for the same suite of the same archive is not given twice: apt would complain. */
static void test_not_given_twice(void **state)
{
    (void)state;
    check_edit(LIST,
               "deb http://deb." DOMAIN "/debian/ trixie main\n"
               "deb http://deb." DOMAIN "/debian trixie contrib\n"
               "deb http://deb." DOMAIN "/debian trixie main\n",
               "deb http://deb." DOMAIN "/debian/ trixie main non-free\n"
               "deb http://deb." DOMAIN "/debian trixie contrib\n"
               "deb http://deb." DOMAIN "/debian trixie main\n");
}

static void test_given_in_another_file(void **state)
{
    struct temp_root *t = *state;

    put(t, LIST, "deb http://deb." DOMAIN "/debian trixie main\n");
    put(t, "/etc/apt/sources.list.d/more.list", "deb http://deb." DOMAIN "/debian trixie contrib non-free\n");
    put(t, "/etc/apt/sources.list.d/not read.list", "deb http://deb." DOMAIN "/debian trixie main\n");
    put(t, "/etc/apt/sources.list.d/old.list.save", "deb http://deb." DOMAIN "/debian trixie main\n");
    nvl_autofree char *text = with_components(t, LIST, "trixie");
    assert_string_equal(text, "deb http://deb." DOMAIN "/debian trixie main\n");
    nvl_auto(nvl_sources_clear) struct nvl_sources sources = read_sources(t);
    assert_int_equal(sources.count, 2);
    assert_true(nvl_sources_give(&sources, "trixie", "non-free"));
    assert_false(nvl_sources_give(&sources, "trixie", "non-free-firmware"));
}

/* Others name their suites and components as Debian does. */
static void test_other_archives(void **state)
{
    struct temp_root *t = *state;

    put(t, LIST,
        "deb http://mirror.example/debian trixie main\n" /* nothing proves it, and there is one for certain */
        "deb [signed-by=/etc/apt/keyrings/media.gpg] http://media.example/debian trixie main\n"
        "deb [signed-by=" KEYRING "] http://certain.example/debian trixie main\n"
        "deb http://listed.example/pool_1 trixie main\n");
    put(t, "/var/lib/apt/lists/listed.example_pool%5f1_dists_trixie_InRelease",
        "Origin: Debian\nLabel: Debian\nSuite: stable\nCodename: trixie\n");
    nvl_auto(nvl_sources_clear) struct nvl_sources sources = read_sources(t);
    assert_int_equal(sources.count, 4);
    assert_int_equal(sources.items[0].archive, NVL_ARCHIVE_OTHER);
    assert_int_equal(sources.items[1].archive, NVL_ARCHIVE_OTHER);
    assert_int_equal(sources.items[2].archive, NVL_ARCHIVE_DEBIAN);
    assert_int_equal(sources.items[3].archive, NVL_ARCHIVE_DEBIAN);
    assert_ptr_equal(nvl_sources_find(&sources, "trixie"), &sources.items[2]);
    assert_null(nvl_sources_find(&sources, "bookworm"));
}

static void test_likely_archive_alone(void **state)
{
    struct temp_root *t = *state;

    put(t, LIST, "deb http://mirror.example/pub/debian/ trixie main\n");
    nvl_auto(nvl_sources_clear) struct nvl_sources sources = read_sources(t);
    assert_int_equal(sources.items[0].archive, NVL_ARCHIVE_DEBIAN);
}

/* Apt's lists say that it is somebody else's, whatever it looks like; and what "stable" is. */
static void test_lists_decide(void **state)
{
    struct temp_root *t = *state;

    put(t, LIST,
        "deb http://deb." DOMAIN "/debian stable main\n"
        "deb https://user:secret@media.example/debian trixie main\n");
    put(t, "/var/lib/apt/lists/deb.debian.org_debian_dists_stable_InRelease",
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nOrigin: Debian\nCodename: trixie\n");
    put(t, "/var/lib/apt/lists/media.example_debian_dists_trixie_Release",
        "Origin: Media\nCodename: trixie\n");
    nvl_auto(nvl_sources_clear) struct nvl_sources sources = read_sources(t);
    assert_ptr_equal(nvl_sources_find(&sources, "trixie"), &sources.items[0]);
    assert_int_equal(sources.items[1].archive, NVL_ARCHIVE_OTHER);
    nvl_autofree char *text = with_components(t, LIST, "trixie");
    assert_string_equal(text, "deb http://deb." DOMAIN "/debian stable main contrib non-free\n"
                              "deb https://user:secret@media.example/debian trixie main\n");
}

/* A key that stands in the stanza itself is copied whole, and read again as it was. */
static void test_backports_stanza(void **state)
{
    struct temp_root *t = *state;
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};

    put(t, STYLE,
        "Types: deb\nURIs: http://a." DOMAIN "/debian http://b." DOMAIN "/debian\nSuites: trixie\n"
        "Components: main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n bXkga2V5\n"
        " -----END PGP PUBLIC KEY BLOCK-----\n");
    nvl_auto(nvl_sources_clear) struct nvl_sources sources = read_sources(t);
    nvl_strv_split(&words, "contrib non-free", " ");
    char *text = nvl_sources_backports(&sources.items[0], "trixie", &words);
    assert_non_null(
        strstr(text, "\nURIs: http://a." DOMAIN "/debian http://b." DOMAIN "/debian\n"
                     "Suites: trixie-backports\nComponents: main contrib non-free\nSigned-By:\n -----"));
    nvl_auto(nvl_sources_clear) struct nvl_sources again = {0};
    nvl_sources_parse(&again, "x.sources", text, strlen(text));
    assert_int_equal(again.count, 1);
    assert_string_equal(again.items[0].signed_by, sources.items[0].signed_by);
}

/* ---- the choice ---- */

struct machine {
    const char *version_id, *kernel;
    unsigned pci_device;
    int pve;                /* 0: Debian */
    const char *kernels[4]; /* installed */
};

static struct nvl_choice choose(const struct machine *m)
{
    struct nvl_gpu gpu = {.pci = "0000:01:00.0", .pci_device = m->pci_device};
    struct nvl_setup_facts facts = {
        .system = {.id = (char *)"debian",
                   .version_id = (char *)m->version_id,
                   .codename = (char *)(strcmp(m->version_id, "12") == 0 ? "bookworm" : "trixie"),
                   .kernel = (char *)m->kernel,
                   .is_proxmox = m->pve > 0,
                   .pve_major = m->pve > 0 ? m->pve : -1},
        .gpus = {&gpu, 1}};
    nvl_auto(nvl_support_clear) struct nvl_support support;
    struct nvl_choice choice;

    assert_int_equal(nvl_support_read(&support, NULL), 0);
    for (size_t i = 0; m->kernels[i] != NULL; i++)
        nvl_strv_push(&facts.kernels, m->kernels[i]);
    nvl_choose_driver(&facts, &support, &choice);
    nvl_strv_clear(&facts.kernels);
    return choice;
}

static void test_choice(void **state)
{
    static const struct {
        struct machine machine;
        const char *branch;
        bool backports;
        const char *other_kernel, *kernel_package;
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
    };

    (void)state;
    for (size_t i = 0; i < NVL_LENGTH(cases); i++) {
        nvl_auto(nvl_choice_clear) struct nvl_choice c = choose(&cases[i].machine);
        print_message("# %s on Debian %s\n", cases[i].machine.kernel, cases[i].machine.version_id);
        assert_int_equal(c.kind, NVL_CHOICE_PACKAGE);
        assert_string_equal(c.branch, cases[i].branch);
        assert_int_equal(c.backports, cases[i].backports);
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

static void test_no_choice(void **state)
{
    static const struct {
        struct machine machine;
        const char *problem, *hint;
    } cases[] = {
        {{"13", "7.0.4+deb13-amd64", 0x2438, 0, {"6.12.107+deb13-amd64", "7.0.4+deb13-amd64"}},
         "no packaged driver supports kernel 7.0.4+deb13-amd64",
         "use NVIDIA's installer of 580.105.08 or newer, or boot kernel 6.12.107+deb13-amd64, which one "
         "fits"},
        {{"13", "7.0.4+deb13-amd64", 0x2438},
         "no packaged driver supports kernel 7.0.4+deb13-amd64",
         "use NVIDIA's installer of 580.105.08 or newer"},
        {{"13", "6.12.107+deb13-amd64", 0x2b85}, /* RTX 5090 */
         "GPU 0000:01:00.0 (10de:2b85, Blackwell) needs driver 570 or newer with the open kernel modules, "
         "packaged is 550",
         "use NVIDIA's installer of 580 or newer, with --kernel-module-type=open"},
        {{"13", "6.12.107+deb13-amd64", 0x1004}, /* GTX 780 */
         "GPU 0000:01:00.0 (10de:1004, Kepler) is too old: its last driver is 470, packaged is 550",
         "use NVIDIA's installer of 470, on a kernel that it knows"},
        {{"13", "6.12.107+deb13-rt-amd64", 0x2438},
         "kernel 6.12.107+deb13-rt-amd64 is a real-time one (PREEMPT_RT), and the driver does not build on "
         "those",
         "boot another kernel, as linux-image-amd64 has"},
    };

    (void)state;
    for (size_t i = 0; i < NVL_LENGTH(cases); i++) {
        nvl_auto(nvl_choice_clear) struct nvl_choice c = choose(&cases[i].machine);
        assert_int_equal(c.kind, NVL_CHOICE_NONE);
        assert_string_equal(c.problem, cases[i].problem);
        assert_string_equal(c.hint, cases[i].hint);
    }
}

/* ---- apt's dry run, commands ---- */

static void test_simulation(void **state)
{
    static const char text[] = "NOTE: This is only a simulation!\n"
                               "Reading package lists...\n"
                               "Remv proxmox-ve [9.0.0]\n"
                               "Purg old-thing [1]\n"
                               "Remv\n"
                               "Inst nvidia-smi [535.1-1] (550.163.01-2 Debian:13.1/stable [amd64])\n"
                               "Inst nvidia-kernel-dkms (550.163.01-4~bpo13+1 Debian Backports [amd64]) []\n"
                               "Conf nvidia-kernel-dkms (550.163.01-2 Debian:13.1/stable [amd64])\n";
    nvl_auto(nvl_strv_clear) struct nvl_strv removed = {0};
    nvl_autofree char *version = NULL, *none = NULL;

    (void)state;
    nvl_simulation_parse(text, sizeof text - 1, &removed, "nvidia-kernel-dkms", &version);
    assert_int_equal(removed.count, 2);
    assert_string_equal(removed.items[0], "proxmox-ve");
    assert_string_equal(removed.items[1], "old-thing");
    assert_string_equal(version, "550.163.01-4~bpo13+1");
    nvl_simulation_parse(text, sizeof text - 1, &removed, "nvidia-kernel", &none);
    assert_null(none);
}

/* A text that is cut in the middle of a version, as OUTPUT_MAX does it. */
static void test_simulation_ends_with_its_length(void **state)
{
    static const char text[] = "Inst nvidia-kernel-dkms (550.163.01-2 Debian:13/stable [amd64])";
    nvl_auto(nvl_strv_clear) struct nvl_strv removed = {0};
    nvl_autofree char *version = NULL, *none = NULL;

    (void)state;
    nvl_simulation_parse(text, strlen("Inst nvidia-kernel-dkms (550"), &removed, "nvidia-kernel-dkms",
                         &version);
    assert_string_equal(version, "550");
    nvl_simulation_parse(text, strlen("Inst nvidia-kernel-dkms "), &removed, "nvidia-kernel-dkms", &none);
    assert_null(none);
}

static void test_command_text(void **state)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv argv = {0};

    (void)state;
    nvl_strv_push(&argv, "apt-get");
    nvl_strv_push(&argv, "linux-headers-6.12.1+deb13-amd64");
    nvl_strv_push(&argv, "it's a word");
    nvl_strv_push(&argv, "");
    nvl_autofree char *text = nvl_setup_command_text(&argv);
    assert_string_equal(text, "apt-get linux-headers-6.12.1+deb13-amd64 'it'\\''s a word' ''");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_line),
        cmocka_unit_test(test_stanzas),
        cmocka_unit_test(test_not_given_twice),
        cmocka_unit_test_setup_teardown(test_given_in_another_file, setup_root, teardown_root),
        cmocka_unit_test_setup_teardown(test_other_archives, setup_root, teardown_root),
        cmocka_unit_test_setup_teardown(test_likely_archive_alone, setup_root, teardown_root),
        cmocka_unit_test_setup_teardown(test_lists_decide, setup_root, teardown_root),
        cmocka_unit_test_setup_teardown(test_backports_stanza, setup_root, teardown_root),
        cmocka_unit_test(test_choice),
        cmocka_unit_test(test_no_choice),
        cmocka_unit_test(test_simulation),
        cmocka_unit_test(test_simulation_ends_with_its_length),
        cmocka_unit_test(test_command_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
