/* The kept search for the driver's files: it is recalled while nothing that it looked at has changed, and
 * never otherwise. */
#include "tiny_library.h"

#include <errno.h>

#include "base/paths.h"
#include "bundle/bundle.h"

#define V       "550.163.01"
#define LIB     "/usr/lib/x86_64-linux-gnu"
#define CURRENT LIB "/nvidia/current"
#define BUNDLE  NVL_BUNDLE_DIR "/" V
#define MINUTE  ((int64_t)60 * 1000000000)

static void put_driver(const struct temp_root *t)
{
    put_library(t, CURRENT, "libcuda.so." V, "libcuda.so.1", "cuda");
    put_library(t, CURRENT, "libnvidia-ml.so." V, "libnvidia-ml.so.1", "ml");
    put_link(t, LIB "/libcuda.so.1", "/etc/alternatives/libcuda.so.1");
    put_link(t, "/etc/alternatives/libcuda.so.1", CURRENT "/libcuda.so." V);
    put(t, "/usr/bin/nvidia-smi", "a program of " V "\n");
    put(t, "/usr/share/doc/readme", "");
    put(t, "/etc/ld.so.cache", "");
    put(t, "/run/lock/y", "");
}

/* As `driver sync` does it. With `settled` as if all files were a minute old. Gives whether the search was
 * recalled. */
static bool sync_and_keep(const struct temp_root *t, bool settled, struct nvl_sync_result *result)
{
    nvl_auto(nvl_search_clear) struct nvl_search search = {0};
    struct nvl_error err = {0};

    assert_int_equal(nvl_search_read(&t->root, NVL_SEARCH_OR_RECALL, &search, NULL), 0);
    bool is_recalled = search.is_recalled;
    assert_int_equal(search.us.versions.count, 1);
    assert_string_equal(search.us.versions.items[0], V);
    if (nvl_bundle_sync(&t->root, &search, V, false, NULL, NULL, result, &err) < 0)
        fail_msg("%s", err.message);
    if (settled)
        search.begun += MINUTE;
    assert_int_equal(nvl_search_keep(&t->root, &search, &err), 0);
    return is_recalled;
}

static bool sync_again(const struct temp_root *t)
{
    nvl_auto(nvl_sync_result_clear) struct nvl_sync_result result = {0};

    return sync_and_keep(t, true, &result);
}

static void is_kept_and_recalled(void **state)
{
    struct temp_root *t = *state;
    nvl_auto(nvl_sync_result_clear) struct nvl_sync_result first = {0}, second = {0};

    put_driver(t);
    assert_false(sync_and_keep(t, true, &first));
    assert_true(first.changed);
    assert_true(sync_and_keep(t, true, &second));
    assert_false(second.changed);
    assert_int_equal(second.n_files, 3);
    assert_int_equal(second.n_files, first.n_files);
    assert_int_equal(second.bytes, first.bytes);
    assert_true(first.missing.count > 0);
    nvl_autofree char *one = nvl_strv_join(&first.missing, "\n"),
                      *other = nvl_strv_join(&second.missing, "\n");
    assert_string_equal(one, other);
}

/* A change in the same instant as the search could not be told from none. */
static void is_not_kept_of_what_has_just_changed(void **state)
{
    struct temp_root *t = *state;
    nvl_auto(nvl_sync_result_clear) struct nvl_sync_result result = {0};

    put_driver(t);
    assert_false(sync_and_keep(t, false, &result));
    assert_false(nvl_root_exists(&t->root, NVL_SEARCH_FILE));
}

static void replace(const struct temp_root *t, const char *path, const char *text)
{
    assert_int_equal(unlinkat(t->fd, path + 1, 0), 0);
    put(t, path, text);
}

/* At its end, with as many bytes. */
static void overwrite(const struct temp_root *t, const char *path, const char *text)
{
    nvl_autofd int fd = openat(t->fd, path + 1, O_WRONLY);

    assert_true(lseek(fd, -(off_t)strlen(text), SEEK_END) > 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void is_made_again_after_each_change(void **state)
{
    struct temp_root *t = *state;

    put_driver(t);
    assert_false(sync_again(t));
    /* a library more, in a folder that was listed */
    put_library(t, CURRENT, "libnvidia-ptxjitcompiler.so." V, "libnvidia-ptxjitcompiler.so.1", "ptx");
    assert_false(sync_again(t));
    assert_true(sync_again(t));
    /* other content in place, of the same size */
    overwrite(t, CURRENT "/libnvidia-ml.so." V, "ML");
    assert_false(sync_again(t));
    assert_true(sync_again(t));
    /* a file in a folder that was there, below folders that were not */
    put(t, "/usr/share/vulkan/icd.d/nvidia_icd.json", "libGLX_nvidia.so.0");
    assert_false(sync_again(t));
    assert_true(sync_again(t));
    /* a prefix that was not there at all */
    put(t, "/opt/nvidia/lib64/readme", "");
    assert_false(sync_again(t));
    assert_true(sync_again(t));
    /* and a library in a folder of it, which was listed */
    put_library(t, "/opt/nvidia/lib64", "libnvidia-nvvm.so." V, "libnvidia-nvvm.so.4", "nvvm");
    assert_false(sync_again(t));
    assert_true(sync_again(t));
    /* a link that leads elsewhere now */
    put_library(t, LIB "/nvidia/other", "libcuda.so." V, "libcuda.so.1", "cuda");
    assert_false(sync_again(t));
    assert_true(sync_again(t));
    assert_int_equal(unlinkat(t->fd, "etc/alternatives/libcuda.so.1", 0), 0);
    put_link(t, "/etc/alternatives/libcuda.so.1", LIB "/nvidia/other/libcuda.so." V);
    replace(t, "/etc/ld.so.cache", "");
    assert_false(sync_again(t));
    assert_true(sync_again(t));
    /* a file less */
    assert_int_equal(unlinkat(t->fd, "usr/bin/nvidia-smi", 0), 0);
    assert_false(sync_again(t));
    assert_true(sync_again(t));
}

/* What a link leads to may come without a change of the folder that the link lies in. */
static void links_that_lead_nowhere_are_watched(void **state)
{
    static const char *const targets[] = {"/etc/alternatives/nvidia-debugdump",
                                          "/etc/alternatives/icd.d/nvidia_icd.json",
                                          "/etc/alternatives/libnvidia-nvvm"};
    struct temp_root *t = *state;

    put_driver(t);
    put(t, "/opt/nvidia/lib64/libnvidia-ml.so." V, "");
    put_link(t, "/usr/bin/nvidia-debugdump", targets[0]);
    put_link(t, "/usr/share/vulkan/icd.d", "/etc/alternatives/icd.d");
    put_link(t, "/opt/nvidia/lib64/libnvidia-nvvm.so." V, targets[2]);
    assert_false(sync_again(t));
    for (size_t i = 0; i < NVL_LENGTH(targets); i++) {
        assert_true(sync_again(t));
        put(t, targets[i], "");
        assert_false(sync_again(t));
    }
}

/* What has nothing to do with the driver may come and go in folders that are only passed through. */
static void is_recalled_after_other_changes(void **state)
{
    struct temp_root *t = *state;

    put_driver(t);
    assert_false(sync_again(t));
    put(t, "/etc/resolv.conf", "");
    put(t, "/run/lock/x", "");
    put(t, "/usr/share/doc/other", "");
    assert_true(sync_again(t));
}

static void bundle_is_mended_all_the_same(void **state)
{
    static const char *const hurt[] = {BUNDLE "/lib64/libcuda.so." V, BUNDLE "/lib64/libcuda.so.1",
                                       BUNDLE "/manifest.json", BUNDLE "/sonames"};
    struct temp_root *t = *state;

    put_driver(t);
    assert_false(sync_again(t));
    for (size_t i = 0; i < NVL_LENGTH(hurt); i++) {
        nvl_auto(nvl_sync_result_clear) struct nvl_sync_result result = {0};
        assert_true(sync_again(t));
        assert_int_equal(unlinkat(t->fd, hurt[i] + 1, 0), 0);
        assert_false(sync_and_keep(t, true, &result));
        assert_true(result.changed);
        assert_true(nvl_root_exists(&t->root, hurt[i]));
    }
    overwrite(t, hurt[0], "CUDA");
    assert_false(sync_again(t));
}

static void bundle_is_known(void **state)
{
    struct temp_root *t = *state;
    const struct nvl_driver_version loaded = {.loaded = true, .version = V};

    put_driver(t);
    assert_false(sync_again(t));
    for (enum nvl_search_how how = NVL_SEARCH_ANEW; how <= NVL_SEARCH_OR_RECALL; how++) {
        nvl_auto(nvl_search_clear) struct nvl_search search = {0};
        nvl_auto(nvl_bundles_clear) struct nvl_bundles bundles = {0};
        assert_int_equal(nvl_search_read(&t->root, how, &search, NULL), 0);
        assert_int_equal(nvl_bundles_list(&t->root, &loaded, &search, &bundles, NULL), 0);
        assert_int_equal(bundles.count, 1);
        assert_true(bundles.items[0].complete && bundles.items[0].loaded);
        assert_int_equal(bundles.items[0].n_files, 3);
        assert_true(bundles.items[0].bytes > 0);
    }
}

/* Damaged, cut short, of another program: then it says nothing. */
static void damaged_file_says_nothing(void **state)
{
    struct temp_root *t = *state;
    nvl_autofree char *good = NULL;
    size_t len;

    put_driver(t);
    assert_false(sync_again(t));
    assert_int_equal(nvl_root_read(&t->root, NVL_SEARCH_FILE, 1 << 20, &good, &len), 0);
    static const char *const bad[] = {"",
                                      "program: of another time\n",
                                      "state: 00000000000000000000000000000000\n",
                                      "missing: compute: a line without its version\n",
                                      "synced: ../../etc 1 1\n",
                                      "synced: 550.163.01\n",
                                      "nonsense\n"};
    for (size_t i = 0; i < NVL_LENGTH(bad); i++) {
        replace(t, NVL_SEARCH_FILE, bad[i]);
        assert_false(sync_again(t));
    }
    for (size_t i = 0; i < NVL_LENGTH(bad); i++) {
        if (bad[i][0] == '\0')
            continue;
        nvl_autofree char *text = nvl_xasprintf("%s%s", good, bad[i]);
        replace(t, NVL_SEARCH_FILE, text);
        assert_false(sync_again(t));
    }
    nvl_autofree char *of_another = nvl_xasprintf("program: another\n%s", strchr(good, '\n') + 1);
    replace(t, NVL_SEARCH_FILE, of_another);
    assert_false(sync_again(t));
    for (size_t cut = 0; cut + 1 < len; cut += 7) { /* the last newline may be missing */
        nvl_autofree char *text = nvl_xstrndup(good, cut);
        replace(t, NVL_SEARCH_FILE, text);
        assert_false(sync_again(t));
    }
    replace(t, NVL_SEARCH_FILE, good);
    assert_true(sync_again(t));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_root, teardown_root)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(is_kept_and_recalled),
        TEST(is_not_kept_of_what_has_just_changed),
        TEST(is_made_again_after_each_change),
        TEST(links_that_lead_nowhere_are_watched),
        TEST(is_recalled_after_other_changes),
        TEST(bundle_is_mended_all_the_same),
        TEST(bundle_is_known),
        TEST(damaged_file_says_nothing),
    };

    return cmocka_run_group_tests_name("search", tests, NULL, NULL);
}
