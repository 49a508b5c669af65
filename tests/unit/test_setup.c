/* Host set-up: apt's sources keep every byte that is not added, in both of apt's forms; whose archive an
 * entry is; what apt's dry run says; what is written over which file. */
#include "machine.h"
#include "temp_root.h"

#include <errno.h>
#include <string.h>

#include "setup/setup.h"
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

/* An entry without components is a flat archive, whatever else it claims to have: it gets none, and its
 * file's beginning is not the end of its components. */
static void test_flat_archive(void **state)
{
    static const char flat[] = "Types: deb\nURIs: http://deb." DOMAIN "/debian\nSuites: ./ trixie\n";

    (void)state;
    check_edit("/etc/apt/sources.list.d/x.sources", flat, flat);
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

/* ---- what is written ---- */

#define BLACKLIST "/etc/modprobe.d/nvlxc.conf"
#define GPU       "/sys/bus/pci/devices/0000:01:00.0/"

static void say_nothing(void *data, const char *line)
{
    (void)data, (void)line;
}

/* Has the step that blacklists nouveau carried out, on a Debian with a GPU. */
static int write_blacklist(const struct temp_root *t, struct nvl_error *err)
{
    static struct nvl_setup_step step = {.id = "blacklist", .state = NVL_SETUP_PENDING};
    const struct nvl_setup_plan plan = {.steps = &step, .count = 1};
    const struct nvl_setup_request request = {.capabilities = 0};
    const struct nvl_setup_run run = {.request = &request, .unasked = true, .say = say_nothing};

    put(t, "/etc/os-release", "ID=debian\nVERSION_ID=\"13\"\nVERSION_CODENAME=trixie\n");
    put(t, "/proc/sys/kernel/osrelease", "6.12.107+deb13-amd64\n");
    put(t, "/proc/modules", "");
    put(t, GPU "vendor", "0x10de\n");
    put(t, GPU "device", "0x2438\n");
    put(t, GPU "class", "0x030000\n");
    return nvl_setup_carry_out(&t->root, &plan, &run, err);
}

static char *read_back(const struct temp_root *t, const char *path)
{
    char *text = NULL;
    size_t len;

    assert_int_equal(nvl_root_read(&t->root, path, 1 << 20, &text, &len), 0);
    return text;
}

static void test_lines_of_others_stay(void **state)
{
    struct nvl_error err = {0};

    put(*state, BLACKLIST, "options loop max_loop=8");
    assert_int_equal(write_blacklist(*state, &err), 0);
    nvl_autofree char *text = read_back(*state, BLACKLIST);
    assert_string_equal(text, "options loop max_loop=8\nblacklist nouveau\noptions nouveau modeset=0\n");
}

/* It is there, but not known: to the plan it is absent. */
static void test_unread_is_not_replaced(void **state)
{
    size_t size = 300000;
    nvl_autofree char *large = nvl_xcalloc(1, size + 1);
    struct nvl_error err = {0};

    memset(large, '#', size);
    put(*state, BLACKLIST, large);
    assert_int_equal(write_blacklist(*state, &err), -EBUSY);
    assert_non_null(strstr(err.message, BLACKLIST " is not as it was read"));
    nvl_autofree char *text = read_back(*state, BLACKLIST);
    assert_string_equal(text, large);
}

/* What could not be read may say that nothing is to be written. */
static void test_trouble_stops(void **state)
{
    struct temp_root *t = *state;
    struct nvl_error err = {0};

    nvl_root_watch(&t->root, true);
    nvl_root_note(&t->root, "/etc/modprobe.d", -EIO);
    assert_int_equal(write_blacklist(t, &err), -EIO);
    assert_non_null(strstr(err.message, "/etc/modprobe.d: Input/output error"));
    assert_false(nvl_root_exists(&t->root, BLACKLIST));
}

static void test_mask_is_not_replaced(void **state)
{
    struct nvl_error err = {0};
    nvl_autofree char *target = NULL;

    put_node(*state, "/dev/null", 1, 3, 0666);
    put_link(*state, BLACKLIST, "/dev/null");
    assert_int_equal(write_blacklist(*state, &err), -EBUSY);
    assert_int_equal(nvl_root_readlink(&((struct temp_root *)*state)->root, BLACKLIST, &target), 0);
    assert_string_equal(target, "/dev/null");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_line),
        cmocka_unit_test(test_stanzas),
        cmocka_unit_test(test_not_given_twice),
        cmocka_unit_test(test_flat_archive),
        cmocka_unit_test_setup_teardown(test_given_in_another_file, setup_root, teardown_root),
        cmocka_unit_test_setup_teardown(test_other_archives, setup_root, teardown_root),
        cmocka_unit_test_setup_teardown(test_likely_archive_alone, setup_root, teardown_root),
        cmocka_unit_test_setup_teardown(test_lists_decide, setup_root, teardown_root),
        cmocka_unit_test_setup_teardown(test_backports_stanza, setup_root, teardown_root),
        cmocka_unit_test(test_simulation),
        cmocka_unit_test(test_simulation_ends_with_its_length),
        cmocka_unit_test(test_command_text),
        cmocka_unit_test_setup_teardown(test_lines_of_others_stay, setup_root, teardown_root),
        cmocka_unit_test_setup_teardown(test_unread_is_not_replaced, setup_root, teardown_root),
        cmocka_unit_test_setup_teardown(test_trouble_stops, setup_root, teardown_root),
        cmocka_unit_test_setup_teardown(test_mask_is_not_replaced, setup_root, teardown_root),
    };
    return cmocka_run_group_tests(tests, be_x86_64, NULL);
}
