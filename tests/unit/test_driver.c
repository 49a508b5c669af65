/* Driver bundles, on hosts made of a few bytes: which files make a bundle, how it is built and brought up to
 * date, and that none that is needed goes. The libraries are real ELF files, as small as they can be. */
#include "machine.h"
#include "tiny_library.h"

#include <elf.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "base/folder.h"
#include "base/paths.h"
#include "bundle/build.h"
#include "bundle/catalog.h"
#include "bundle/copy.h"
#include "bundle/manifest.h"
#include "bundle/list.h"
#include "host/driver_folder.h"
#include "host/userspace.h"
#include "bundle/version_match.h"
#include "bundle/store.h"

#define V       "550.163.01"
#define OLD     "535.261.03"
#define LIB     "/usr/lib/x86_64-linux-gnu"
#define CURRENT LIB "/nvidia/current"
#define BUNDLE  NVL_BUNDLE_DIR "/" V

/* Compute, utility and a little more, as Debian's packages lay them out. */
static void put_debian(const struct temp_root *t)
{
    put_library(t, CURRENT, "libcuda.so." V, "libcuda.so.1", "cuda");
    put_link(t, CURRENT "/libcuda.so.1", "libcuda.so." V);
    put_link(t, LIB "/libcuda.so.1", CURRENT "/libcuda.so.1");
    put_library(t, CURRENT, "libnvidia-ml.so." V, "libnvidia-ml.so.1", "ml");
    put_library(t, CURRENT, "libnvidia-nvvm.so." V, "libnvidia-nvvm.so.4", "nvvm");
    put_library(t, CURRENT, "libvdpau_nvidia.so." V, "libvdpau_nvidia.so.1", "vdpau");
    put_library(t, CURRENT, "libnvidia-opencl.so." V, "libnvidia-opencl.so.1", "opencl");
    put_library(t, CURRENT, "libnvidia-api.so.1", "libnvidia-api.so.1", "it is " V ".");
    put_library(t, CURRENT, "libnvidia-allocator.so." V, "libnvidia-allocator.so.1", "alloc");
    put_link(t, CURRENT "/nvidia-drm_gbm.so", "libnvidia-allocator.so." V);
    put_library(t, LIB, "libnvidia-glcore.so." V, "libnvidia-glcore.so." V, "gl");
    put_text(t, "/etc/OpenCL/vendors/nvidia.icd", "libnvidia-opencl.so.1\n");
    put_text(t, "/usr/lib/nvidia/current/nvidia-smi", "a program of " V "\n");
    put_link(t, "/usr/bin/nvidia-smi", "/etc/alternatives/nvidia--nvidia-smi");
    put_link(t, "/etc/alternatives/nvidia--nvidia-smi", "/usr/lib/nvidia/current/nvidia-smi");
}

static int sync_of(const struct temp_root *t, const char *version, bool dry_run,
                   struct nvl_sync_result *result, struct nvl_error *err)
{
    nvl_auto(nvl_userspace_clear) struct nvl_userspace us = {0};

    assert_int_equal(nvl_userspace_read(&t->root, &us, NULL), 0);
    return nvl_bundle_sync(&t->root, &us, version, dry_run, NULL, NULL, result, err);
}

/* Syncs V, which must work; gives whether something was written. */
static bool sync_well(const struct temp_root *t)
{
    nvl_auto(nvl_sync_result_clear) struct nvl_sync_result result = {0};
    struct nvl_error err = {0};

    if (sync_of(t, V, false, &result, &err) < 0)
        fail_msg("%s", err.message);
    return result.changed;
}

static void assert_link(const struct temp_root *t, const char *path, const char *target)
{
    nvl_autofree char *text = NULL;

    assert_int_equal(nvl_root_readlink(&t->root, path, &text), 0);
    assert_string_equal(text, target);
}

static void assert_text(const struct temp_root *t, const char *path, const char *wanted)
{
    nvl_autofree char *text = NULL;
    size_t len;

    assert_int_equal(nvl_root_read(&t->root, path, 1 << 20, &text, &len), 0);
    assert_string_equal(text, wanted);
}

static bool has(const struct temp_root *t, const char *path)
{
    struct stat st;

    return nvl_root_stat(&t->root, path, AT_SYMLINK_NOFOLLOW, &st) == 0;
}

static struct stat stat_of(const struct temp_root *t, const char *path)
{
    struct stat st;

    assert_int_equal(nvl_root_stat(&t->root, path, AT_SYMLINK_NOFOLLOW, &st), 0);
    return st;
}

/* The entries of the store, with blanks between. */
static char *store_list(const struct temp_root *t)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    assert_int_equal(nvl_root_list(&t->root, NVL_BUNDLE_DIR, &names), 0);
    return nvl_strv_join(&names, " ");
}

static void assert_store(const struct temp_root *t, const char *wanted)
{
    nvl_autofree char *list = store_list(t);

    assert_string_equal(list, wanted);
}

static bool is_entry(const char *name)
{
    for (size_t i = 0; i < nvl_catalog_length; i++)
        if (strcmp(nvl_catalog[i].name, name) == 0)
            return true;
    return false;
}

static void assert_with(const struct nvl_catalog_file *f)
{
    bool is_always = f->kind == NVL_FILE_DATA || f->kind == NVL_FILE_LINK;
    bool is_sometimes = nvl_has_prefix(f->name, "libnvidia-nvvm") ||
                        strcmp(f->name, "nvidia-debugdump") == 0 ||
                        strcmp(f->name, "nvidia-cuda-mps-server") == 0;

    assert_true(f->with == NULL || is_entry(f->with));
    assert_int_equal(f->with != NULL, is_always || is_sometimes);
}

static void test_catalog(void **state)
{
    (void)state;
    for (size_t i = 0; i < nvl_catalog_length; i++) {
        const struct nvl_catalog_file *f = &nvl_catalog[i];
        assert_int_equal(__builtin_popcount(f->capability), 1);
        /* Debian has no driver of the newest branches yet */
        assert_true(!f->expected || f->package != NULL || f->first > 555);
        assert_true(f->last == 0 || f->first <= f->last);
        assert_with(f);
        assert_int_equal(strstr(f->name, ".so") != NULL,
                         f->kind == NVL_FILE_LIBRARY || f->kind == NVL_FILE_LINK ||
                             f->kind == NVL_FILE_PLATFORM || f->kind == NVL_FILE_MODULE);
        assert_true(f->kind != NVL_FILE_DATA || strchr(f->name, '/') != NULL);
        for (size_t n = 0; n < i; n++)
            if (strcmp(nvl_catalog[n].name, f->name) == 0)
                assert_true(nvl_catalog[n].last != 0 && nvl_catalog[n].last < f->first);
    }
    assert_false(is_entry("libGL.so.1"));
    assert_false(is_entry("libEGL.so.1"));
    assert_true(nvl_catalog_leaves_out("libGL.so." V));
    assert_false(nvl_catalog_leaves_out("libGLX_nvidia.so." V));
}

static const struct nvl_catalog_file *row(const char *name)
{
    for (size_t i = 0; i < nvl_catalog_length; i++)
        if (strcmp(nvl_catalog[i].name, name) == 0)
            return &nvl_catalog[i];
    fail_msg("%s is not in the catalog", name);
    return NULL;
}

static void test_branches(void **state)
{
    (void)state;
    assert_true(nvl_catalog_expects(row("libcuda.so.1"), "390.157"));
    assert_false(nvl_catalog_expects(row("libnvidia-nvvm.so.4"), "390.157"));
    assert_true(nvl_catalog_expects(row("libnvidia-nvvm.so.4"), "470.256.02"));
    assert_true(nvl_catalog_expects(row("libnvidia-compiler.so"), "470.256.02"));
    assert_false(nvl_catalog_expects(row("libnvidia-compiler.so"), "535"));
    assert_false(nvl_catalog_expects(row("libnvidia-present.so"), "550"));
    assert_true(nvl_catalog_expects(row("libnvidia-present.so"), "999.1"));
    assert_true(nvl_catalog_expects(row("libnvidia-ngx.so.1"), "550"));
    be_machine("aarch64");
    assert_false(nvl_catalog_expects(row("libnvidia-ngx.so.1"), "550"));
    assert_true(nvl_catalog_expects(row("libcuda.so.1"), "550"));
    be_machine("x86_64");
    assert_false(nvl_catalog_expects(row("libcudadebugger.so.1"), "550")); /* an extra */
}

static void test_manifest(void **state)
{
    nvl_auto(nvl_manifest_clear) struct nvl_manifest m = {.version = V}, again = {0};
    struct nvl_bundle_file *file = nvl_manifest_add(&m, "lib64/libcuda.so." V);

    (void)state;
    file->source = nvl_xstrdup(CURRENT "/libcuda.so." V);
    file->soname = nvl_xstrdup("libcuda.so.1");
    file->size = 5000000000;
    file->mtime = 1744114065123456789;
    memset(file->checksum, 'a', NVL_CHECKSUM_LENGTH);
    nvl_manifest_link_sonames(&m);
    nvl_manifest_sort(&m);
    nvl_autofree char *text = nvl_manifest_format(&m);
    assert_int_equal(nvl_manifest_parse(text, strlen(text), V, &again), 0);
    assert_int_equal(again.n_files, 1);
    assert_true(nvl_bundle_file_same(file, nvl_manifest_find(&again, "lib64/libcuda.so." V)));
    assert_string_equal(again.files[0].checksum, file->checksum);
    assert_string_equal(again.files[0].soname, "libcuda.so.1");
    assert_int_equal(again.n_links, 2);
    assert_string_equal(again.links[0].path, "lib64/libcuda.so");
    assert_string_equal(again.links[0].target, "libcuda.so.1");
    assert_string_equal(again.links[1].target, "libcuda.so." V);
    nvl_autofree char *sonames = nvl_manifest_sonames(&again), *same = nvl_manifest_format(&again);
    assert_string_equal(sonames, "lib64 libcuda.so.1\n");
    assert_string_equal(same, text);
}

/* armhf libraries beside an arm64 driver's. */
static void test_arm(void **state)
{
    const struct temp_root *t = *state;
    static const char arm32[] = "/usr/lib/arm-linux-gnueabihf/libcuda.so." V;
    struct tiny64 wide;
    struct tiny32 narrow;

    make_elf64(&wide, "libcuda.so.1");
    make_elf32(&narrow, "libcuda.so.1");
    wide.head.e_machine = EM_AARCH64;
    narrow.head.e_machine = EM_ARM;
    put_bytes(t, "/usr/lib/aarch64-linux-gnu/libcuda.so." V, &wide, sizeof wide);
    put_bytes(t, arm32, &narrow, sizeof narrow);
    be_machine("aarch64");
    assert_true(sync_well(t));
    be_machine("x86_64");
    assert_link(t, BUNDLE "/lib64/libcuda.so.1", "libcuda.so." V);
    assert_link(t, BUNDLE "/lib32/libcuda.so.1", "libcuda.so." V);
}

static void test_remember(void **state)
{
    const struct temp_root *t = *state;

    assert_int_equal(nvl_bundle_remember_folder(&t->root, "", NULL), 0);
    assert_false(has(t, "/etc"));
    assert_int_equal(nvl_bundle_remember_folder(&t->root, "/srv/nvidia", NULL), 0);
    assert_text(t, NVL_DRIVER_FOLDER_FILE, "/srv/nvidia\n");
    assert_int_equal(nvl_bundle_remember_folder(&t->root, "", NULL), 0);
    assert_int_equal(nvl_bundle_remember_folder(&t->root, "", NULL), 0);
    assert_false(has(t, NVL_DRIVER_FOLDER_FILE));
}

/* A library may claim another's soname: by accident, or since it is a copy under another name. */
static void test_soname_of_another(void **state)
{
    static const char *const files[][2] = {{"lib64/libnvidia-a.so." V, "libcuda.so.1"},
                                           {"lib64/libcuda.so." V, "libcuda.so.1"},
                                           {"lib64/libnvidia-z.so." V, "libcuda.so.1"},
                                           {"lib64/libnvidia-fill.so." V, "libnvidia-glcore.so." V},
                                           {"lib64/libnvidia-glcore.so." V, "libnvidia-glcore.so." V}};
    nvl_auto(nvl_manifest_clear) struct nvl_manifest m = {.version = V};

    (void)state;
    for (size_t i = 0; i < NVL_LENGTH(files); i++) {
        struct nvl_bundle_file *file = nvl_manifest_add(&m, files[i][0]);
        file->source = nvl_xstrdup("/x");
        file->soname = nvl_xstrdup(files[i][1]);
    }
    nvl_manifest_link_sonames(&m);
    nvl_manifest_sort(&m);
    assert_int_equal(m.n_links, 2);
    assert_string_equal(m.links[0].path, "lib64/libcuda.so");
    assert_string_equal(m.links[1].path, "lib64/libcuda.so.1");
    assert_string_equal(m.links[1].target, "libcuda.so." V);
}

static void assert_checksum_of(const char *data, const char *wanted)
{
    char text[NVL_CHECKSUM_LENGTH + 1];
    nvl_autofd int fd = memfd_create("data", MFD_CLOEXEC);

    assert_int_equal(write(fd, data, strlen(data)), strlen(data));
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(nvl_checksum_of(fd, text), 0);
    assert_string_equal(text, wanted);
}

/* As xxhsum -H2 prints them. */
static void test_checksum(void **state)
{
    char text[NVL_CHECKSUM_LENGTH + 1];

    (void)state;
    assert_checksum_of("", "99aa06d3014798d86001c324468d497f");
    assert_checksum_of("libcuda.so.1", "5d7de185ee01754835d71c845030de35");
    assert_int_equal(nvl_checksum_of(-1, text), -EBADF);
}

static void assert_damaged(const char *path, const char *sum, const char *link, const char *version)
{
    nvl_autofree char *text =
        nvl_xasprintf("{\"version\":\"%s\",\"files\":[{\"path\":\"%s\",\"source\":\"/x\",\"size\":1,"
                      "\"mtime_ns\":1,\"xxh128\":\"%s\"}],\"links\":[{\"path\":\"%s\",\"target\":\"x\"}]}",
                      version, path, sum, link);
    struct nvl_manifest m;

    assert_int_equal(nvl_manifest_parse(text, strlen(text), V, &m), -EINVAL);
    assert_int_equal(m.n_files, 0);
}

#define SUM "01234567890123456789012345678901"

static void test_manifest_damaged(void **state)
{
    static const char *const bad[] = {"/etc/passwd", "../x", "lib64/../../x", "", "lib64//x", "lib64/."};
    struct nvl_manifest m;

    (void)state;
    for (size_t i = 0; i < NVL_LENGTH(bad); i++) {
        assert_damaged(bad[i], SUM, "y", V);
        assert_damaged("x", SUM, bad[i], V);
    }
    assert_damaged("x", "abc", "y", V);
    assert_damaged("x", SUM, "y", OLD);
    assert_int_equal(nvl_manifest_parse("{", 1, V, &m), -EINVAL);
    assert_int_equal(nvl_manifest_parse("[]", 2, V, &m), -EINVAL);
}

static void assert_says(const struct temp_root *t, const char *before, const char *after, int wanted)
{
    nvl_autofree char *text = nvl_xasprintf("%s" V "%s", before, after);

    put_text(t, "/program", text);
    assert_int_equal(nvl_content_has_version(&t->root, "/program", V), wanted);
}

static void test_content(void **state)
{
    const struct temp_root *t = *state;
    nvl_autofree char *blanks = nvl_xcalloc(1, (256 << 10) + 1);

    assert_says(t, "", "", 1);
    assert_says(t, "version ", " here", 1);
    assert_says(t, "", ".", 1);
    assert_says(t, "it is ", ". Yes", 1);
    assert_says(t, "", ".7", 0);
    assert_says(t, "", "1", 0);
    assert_says(t, "1", "", 0);
    assert_says(t, "4.", "", 0);
    assert_says(t, "1" V " ", "1 " V, 1);
    /* wherever it lies against the pieces that are read */
    for (int at = -16; at <= 4; at++) {
        memset(blanks, ' ', 256 << 10);
        blanks[(256 << 10) + (at < 0 ? at : 0)] = '\0';
        assert_says(t, blanks, "", 1);
        assert_says(t, blanks, ".5", 0);
        assert_says(t, blanks, "5", 0);
        assert_says(t, blanks, " ", 1);
    }
    assert_int_equal(nvl_content_has_version(&t->root, "/absent", V), -ENOENT);
}

static void test_build(void **state)
{
    const struct temp_root *t = *state;
    nvl_auto(nvl_sync_result_clear) struct nvl_sync_result result = {0};
    nvl_auto(nvl_manifest_clear) struct nvl_manifest m = {0};
    struct nvl_error err = {0};

    put_debian(t);
    mode_t mask = umask(077);
    assert_int_equal(sync_of(t, V, false, &result, &err), 0);
    umask(mask);
    assert_true(result.changed);
    assert_int_equal(result.n_files, 10);
    assert_link(t, BUNDLE "/lib64/libcuda.so.1", "libcuda.so." V);
    assert_link(t, BUNDLE "/lib64/libcuda.so", "libcuda.so.1");
    assert_link(t, BUNDLE "/lib64/libnvidia-nvvm.so.4", "libnvidia-nvvm.so." V);
    assert_link(t, BUNDLE "/lib64/libnvidia-api.so.1", "libnvidia-api.so." V);
    assert_link(t, BUNDLE "/lib64/gbm/nvidia-drm_gbm.so", "../libnvidia-allocator.so." V);
    assert_link(t, BUNDLE "/lib64/vdpau/libvdpau_nvidia.so.1", "libvdpau_nvidia.so." V);
    assert_text(t, BUNDLE "/bin/nvidia-smi", "a program of " V "\n");
    assert_text(t, BUNDLE "/etc/OpenCL/vendors/nvidia.icd", "libnvidia-opencl.so.1\n");
    assert_text(t, BUNDLE "/sonames",
                "lib64 libcuda.so.1\nlib64 libnvidia-allocator.so.1\nlib64 libnvidia-api.so.1\n"
                "lib64 libnvidia-glcore.so." V "\nlib64 libnvidia-ml.so.1\nlib64 libnvidia-nvvm.so.4\n"
                "lib64 libnvidia-opencl.so.1\n");
    /* whatever the umask: containers' users read it */
    assert_int_equal(stat_of(t, BUNDLE).st_mode, S_IFDIR | 0755);
    assert_int_equal(stat_of(t, BUNDLE "/lib64/vdpau").st_mode, S_IFDIR | 0755);
    assert_int_equal(stat_of(t, BUNDLE "/bin/nvidia-smi").st_mode, S_IFREG | 0755);
    assert_int_equal(stat_of(t, BUNDLE "/lib64/libcuda.so." V).st_mode, S_IFREG | 0644);
    assert_int_equal(stat_of(t, BUNDLE "/manifest.json").st_mode, S_IFREG | 0644);
    assert_int_equal(nvl_manifest_read(&t->root, V, &m), 0);
    assert_int_equal(m.n_files, 10);
    assert_string_equal(nvl_manifest_find(&m, "bin/nvidia-smi")->source,
                        "/usr/lib/nvidia/current/nvidia-smi");
    assert_store(t, ".lock " V);
}

static const char *line_of(const struct nvl_sync_result *result, const char *capability)
{
    for (size_t i = 0; i < result->selection.missing.count; i++)
        if (nvl_has_prefix(result->selection.missing.items[i].text, capability))
            return result->selection.missing.items[i].text;
    return "";
}

static void test_missing(void **state)
{
    const struct temp_root *t = *state;
    nvl_auto(nvl_sync_result_clear) struct nvl_sync_result result = {0}, bare = {0};

    put_debian(t);
    put_library(t, CURRENT, "libnvcuvid.so." V, "libnvcuvid.so.1", "");
    put_library(t, CURRENT, "libnvidia-opticalflow.so." V, "libnvidia-opticalflow.so.1", "");
    assert_int_equal(sync_of(t, V, true, &result, NULL), 0);
    assert_string_equal(line_of(&result, "video:"), "video: libnvidia-encode.so.1 is not installed");
    assert_string_equal(line_of(&result, "compute:"),
                        "compute: libnvidia-ptxjitcompiler.so.1 is not installed");
    assert_string_equal(result.selection.missing.items[0].packages.items[0], "libnvidia-ptxjitcompiler1");
    assert_string_equal(line_of(&result, "utility:"), "utility: libnvidia-cfg.so.1 is not installed");
    assert_true(has(t, "/usr/lib/nvidia/current/nvidia-smi"));
    /* of another version: it stays out, and is not called absent */
    put_text(t, "/usr/lib/nvidia/current/nvidia-smi", "a program of " OLD "\n");
    assert_int_equal(sync_of(t, V, true, &bare, NULL), 0);
    assert_int_equal(bare.n_files, result.n_files - 1);
    bool said = false;
    for (size_t i = 0; i < bare.selection.missing.count; i++)
        said |= strcmp(bare.selection.missing.items[i].text,
                       "utility: nvidia-smi is installed, but not of " V) == 0;
    assert_true(said);
}

static void test_dry_run(void **state)
{
    const struct temp_root *t = *state;
    nvl_auto(nvl_sync_result_clear) struct nvl_sync_result result = {0}, none = {0};
    struct nvl_error err = {0};

    put_debian(t);
    assert_int_equal(sync_of(t, V, true, &result, NULL), 0);
    assert_true(result.changed);
    assert_int_equal(result.n_files, 10);
    assert_false(has(t, "/var"));
    assert_int_equal(sync_of(t, OLD, true, &none, &err), -ENOENT);
    assert_non_null(strstr(err.message, OLD));
    assert_int_equal(sync_of(t, "../../x", false, &none, &err), -EINVAL);
    assert_false(has(t, "/var"));
}

static void test_compat32(void **state)
{
    const struct temp_root *t = *state;

    put_debian(t);
    put_library(t, LIB32, "libcuda.so." V, "libcuda.so.1", "32");
    put_library(t, LIB32, "libnvidia-allocator.so." V, "libnvidia-allocator.so.1", "32");
    put_link(t, LIB32 "/gbm/nvidia-drm_gbm.so", "../libnvidia-allocator.so." V);
    assert_true(sync_well(t));
    assert_link(t, BUNDLE "/lib32/libcuda.so", "libcuda.so.1");
    assert_link(t, BUNDLE "/lib32/libcuda.so.1", "libcuda.so." V);
    assert_link(t, BUNDLE "/lib32/gbm/nvidia-drm_gbm.so", "../libnvidia-allocator.so." V);
    nvl_autofree char *text = NULL;
    size_t len;
    assert_int_equal(nvl_root_read(&t->root, BUNDLE "/sonames", 4096, &text, &len), 0);
    assert_non_null(strstr(text, "lib32 libcuda.so.1\n"));
    assert_non_null(strstr(text, "lib64 libcuda.so.1\n"));
}

#define RUN    "580.95.05"
#define RUNLIB "/srv/NVIDIA-Linux-x86_64-" RUN

static void put_platforms(const struct temp_root *t)
{
    put_library(t, RUNLIB, "libnvidia-egl-gbm.so.1.1.2", "libnvidia-egl-gbm.so.1", "GLIBC_2.2.5 GLIBC_2.17");
    put_link(t, RUNLIB "/libnvidia-egl-gbm.so.1", "libnvidia-egl-gbm.so.1.1.2");
    put_text(t, RUNLIB "/15_nvidia_gbm.json", "{\"library_path\" : \"libnvidia-egl-gbm.so.1\"}");
    /* a distribution's build */
    put_library(t, RUNLIB, "libnvidia-egl-wayland.so.1", "libnvidia-egl-wayland.so.1",
                "GLIBC_2.4 GLIBC_2.34");
    put_text(t, RUNLIB "/10_nvidia_wayland.json", "{\"library_path\" : \"libnvidia-egl-wayland.so.1\"}");
}

/* An extracted .run file of a newer branch: all in one folder, some without the driver's version. */
static void put_run(const struct temp_root *t)
{
    put_library(t, RUNLIB, "libcuda.so." RUN, "libcuda.so.1", "cuda");
    put_library(t, RUNLIB, "libnvidia-ml.so." RUN, "libnvidia-ml.so.1", "ml");
    put_library(t, RUNLIB, "libnvidia-nvvm.so.4.0.0", "libnvidia-nvvm.so.4", "nvvm");
    put_link(t, RUNLIB "/libnvidia-nvvm.so.4", "libnvidia-nvvm.so.4.0.0");
    put_library(t, RUNLIB, "libnvidia-nvvm70.so.4", "libnvidia-nvvm70.so.4", "nvvm70");
    put_library(t, RUNLIB, "libGLX_nvidia.so." RUN, "libGLX_nvidia.so.0", "glx");
    put_library(t, RUNLIB, "libnvidia-glcore.so." RUN, "libnvidia-glcore.so." RUN, "glcore");
    put_library(t, RUNLIB, "libnvidia-new.so." RUN, "libnvidia-new.so.1", "a library of tomorrow");
    put_library(t, RUNLIB, "libglxserver_nvidia.so." RUN, "libglxserver_nvidia.so", "glxserver");
    put_library(t, RUNLIB, "nvidia_drv.so", "nvidia_drv.so", RUN);
    put_library(t, RUNLIB, "libGL.so." RUN, "libGL.so.1", "glvnd's");
    put_text(t, RUNLIB "/libnvidia-cut.so." RUN, "no library");
    put_text(t, RUNLIB "/nvidia-smi", "a program of " RUN);
    put_text(t, RUNLIB "/nvidia-application-profiles-" RUN "-rc", "{}");
    put_text(t, RUNLIB "/nvidia_icd.json", "{\"ICD\" : {\"library_path\": \"libGLX_nvidia.so.0\"}}");
    put_platforms(t);
    assert_int_equal(nvl_bundle_remember_folder(&t->root, RUNLIB, NULL), 0);
}

static void test_run_folder(void **state)
{
    const struct temp_root *t = *state;
    nvl_auto(nvl_sync_result_clear) struct nvl_sync_result result = {0};
    struct nvl_error err = {0};

    put_run(t);
    if (sync_of(t, RUN, false, &result, &err) < 0)
        fail_msg("%s", err.message);
    static const char bundle[] = NVL_BUNDLE_DIR "/" RUN;
    static const char *const wanted[] = {"bin/nvidia-smi",
                                         "lib64/libcuda.so." RUN,
                                         "lib64/libnvidia-nvvm.so." RUN,
                                         "lib64/libnvidia-nvvm70.so." RUN,
                                         "lib64/libnvidia-new.so." RUN,
                                         "lib64/libnvidia-egl-gbm.so." RUN,
                                         "lib64/xorg/modules/drivers/nvidia_drv.so",
                                         "lib64/xorg/modules/extensions/libglxserver_nvidia.so",
                                         "share/nvidia/nvidia-application-profiles-rc",
                                         "share/egl/egl_external_platform.d/15_nvidia_gbm.json",
                                         "share/vulkan/icd.d/nvidia_icd.json"};
    for (size_t i = 0; i < NVL_LENGTH(wanted); i++) {
        nvl_autofree char *path = nvl_xasprintf("%s/%s", bundle, wanted[i]);
        if (!has(t, path))
            fail_msg("%s is missing", path);
    }
    assert_int_equal(result.n_files, NVL_LENGTH(wanted) + 3); /* ml, GLX, glcore */
    assert_link(t, NVL_BUNDLE_DIR "/" RUN "/lib64/libnvidia-nvvm.so.4", "libnvidia-nvvm.so." RUN);
    assert_link(t, NVL_BUNDLE_DIR "/" RUN "/lib64/libnvidia-nvvm70.so.4", "libnvidia-nvvm70.so." RUN);
    assert_link(t, NVL_BUNDLE_DIR "/" RUN "/lib64/libnvidia-egl-gbm.so.1", "libnvidia-egl-gbm.so." RUN);
    assert_int_equal(result.selection.unlisted.count, 1);
    assert_string_equal(result.selection.unlisted.items[0], "libnvidia-new.so." RUN);
    assert_string_equal(line_of(&result, "compute:"),
                        "compute: libnvidia-ptxjitcompiler.so.1, libnvidia-opencl.so.1, nvidia.icd, "
                        "libnvidia-gpucomp.so are not installed");
    nvl_auto(nvl_sync_result_clear) struct nvl_sync_result again = {0};
    assert_int_equal(sync_of(t, RUN, false, &again, NULL), 0);
    assert_false(again.changed);
}

static void assert_relocated(const struct temp_root *t, const char *from, const char *to)
{
    nvl_auto(nvl_sync_result_clear) struct nvl_sync_result result = {0}, again = {0};

    put_text(t, "/usr/share/vulkan/icd.d/nvidia_icd.x86_64.json", from);
    nvl_autofd int store = nvl_root_openat(&t->root, "/var/lib/nvlxc/driver", O_RDONLY | O_DIRECTORY);
    if (store >= 0)
        nvl_folder_remove(store, V);
    assert_int_equal(sync_of(t, V, false, &result, NULL), 0);
    assert_text(t, BUNDLE "/share/vulkan/icd.d/nvidia_icd.json", to);
    assert_int_equal(sync_of(t, V, false, &again, NULL), 0);
    assert_false(again.changed);
}

/* What names its library by a path of the host names it by its name in the bundle, with the same length. */
static void test_relocated(void **state)
{
    const struct temp_root *t = *state;

    put_debian(t);
    put_library(t, CURRENT, "libGLX_nvidia.so." V, "libGLX_nvidia.so.0", "glx");
    put_text(t, "/etc/OpenCL/vendors/nvidia.icd", "/nix/store/x/lib/libnvidia-opencl.so.1\n");
    assert_relocated(t, "{\"a\": {\"library_path\" : \"/usr/lib64/libGLX_nvidia.so.0\", \"b\": 1}}\n",
                     "{\"a\": {\"library_path\" : \"libGLX_nvidia.so.0\"           , \"b\": 1}}\n");
    assert_relocated(t, "{\"library_path\":\"/a/libGLX_nvidia.so.0\",\"library_path\":\"/bc/d\"}",
                     "{\"library_path\":\"libGLX_nvidia.so.0\"   ,\"library_path\":\"d\"    }");
    /* nothing that is understood */
    assert_relocated(t, "{\"library_path\": \"/a/li\\\"b\"}", "{\"library_path\": \"/a/li\\\"b\"}");
    assert_relocated(t, "\"library_path\": \"/libGLX_nvidia", "\"library_path\": \"/libGLX_nvidia");
    assert_relocated(t, "\"library_path\"", "\"library_path\"");
    nvl_autofree char *text = NULL;
    size_t len;
    assert_int_equal(nvl_root_read(&t->root, BUNDLE "/etc/OpenCL/vendors/nvidia.icd", 4096, &text, &len), 0);
    assert_int_equal(len, strlen("/nix/store/x/lib/libnvidia-opencl.so.1\n"));
    assert_string_equal(text, "libnvidia-opencl.so.1");
}

/* NVIDIA's own list, in the form that drivers have, and in forms that they might. */
static void test_file_list(void **state)
{
    static const char *const lists[] = {
        "[{\"name\":\"libnvidia-new.so." V "\",\"type\":\"LIB\",\"category\":[\"unheard\",\"cuda\"]},"
        "{\"name\":\"libnvidia-new.so." V "\",\"type\":\"LIB\",\"category\":[\"cuda\"]},"
        "{\"name\":\"libcuda.so." V "\",\"type\":\"LIB\",\"category\":[\"cuda\"]},"
        "{\"name\":\"libnvidia-maybe.so." V "\",\"type\":\"LIB\",\"category\":[\"cuda\"],\"optional\":true},"
        "{\"name\":\"libnvidia-old.so." OLD "\",\"type\":\"LIB\",\"category\":[\"cuda\"]},"
        "{\"name\":\"firmware/gsp_x.bin\",\"type\":\"FIRMWARE\",\"category\":[\"firmware\"]},"
        "{\"name\":\"libnvidia-screen.so." V "\",\"type\":\"LIB\",\"category\":[\"xdriver\"]},"
        "7,{},{\"name\":7}]",
        "{\"version\":\"1\",\"files\":[{\"name\":\"lib/libnvidia-new.so." V
        "\",\"type\":\"LIB\",\"category\":\"cuda\"}]}"};
    static const char *const others[] = {"", "[", "{}", "7", "[[[]]]", "{\"a\":{\"b\":[1]}}"};
    const struct temp_root *t = *state;

    put_debian(t);
    for (size_t i = 0; i < NVL_LENGTH(lists) + NVL_LENGTH(others); i++) {
        bool is_list = i < NVL_LENGTH(lists);
        nvl_auto(nvl_sync_result_clear) struct nvl_sync_result result = {0};
        put_text(t, CURRENT "/sandboxutils-filelist.json",
                 is_list ? lists[i] : others[i - NVL_LENGTH(lists)]);
        assert_int_equal(sync_of(t, V, true, &result, NULL), 0);
        const struct nvl_missing *missing = &result.selection.missing;
        assert_int_equal(strstr(missing->items[missing->count - 1].text,
                                "compute: libnvidia-new.so." V " is not installed, though") != NULL,
                         is_list);
    }
}

/* Two drivers in one folder, as after a .run installation that left the old one's files. */
static void test_one_version(void **state)
{
    const struct temp_root *t = *state;

    put_library(t, LIB, "libcuda.so." V, "libcuda.so.1", "");
    put_library(t, LIB, "libcuda.so." OLD, "libcuda.so.1", "");
    put_link(t, LIB "/libcuda.so.1", "libcuda.so." V);
    put_library(t, LIB, "libnvidia-ml.so." OLD, "libnvidia-ml.so.1", "");
    put_library(t, LIB, "libnvoptix.so." OLD, "libnvoptix.so.1", "");
    put_library(t, LIB, "libnvidia-opencl.so." OLD, "libnvidia-opencl.so.1", "");
    put_link(t, LIB "/libnvidia-ml.so.1", "libnvidia-ml.so." OLD);
    put_library(t, LIB, "libnvidia-api.so.1", "libnvidia-api.so.1", "of " OLD);
    put_text(t, "/usr/share/nvidia/nvoptix.bin", "weights");
    put_text(t, "/etc/OpenCL/vendors/nvidia.icd", "libnvidia-opencl.so.1\n");
    put_text(t, "/usr/bin/nvidia-smi", "a program of " OLD);
    put_text(t, "/usr/bin/nvidia-debugdump", "it says nothing");
    assert_true(sync_well(t));
    assert_true(has(t, BUNDLE "/lib64/libcuda.so." V));
    assert_false(has(t, BUNDLE "/lib64/libnvidia-ml.so.1"));
    assert_false(has(t, BUNDLE "/lib64/libnvidia-api.so.1"));
    assert_false(has(t, BUNDLE "/bin"));
    assert_false(has(t, BUNDLE "/etc"));
    assert_false(has(t, BUNDLE "/share"));

    nvl_auto(nvl_sync_result_clear) struct nvl_sync_result result = {0};
    assert_int_equal(sync_of(t, OLD, false, &result, NULL), 0);
    assert_true(has(t, NVL_BUNDLE_DIR "/" OLD "/lib64/libnvidia-api.so.1"));
    assert_true(has(t, NVL_BUNDLE_DIR "/" OLD "/bin/nvidia-smi"));
    assert_true(has(t, NVL_BUNDLE_DIR "/" OLD "/bin/nvidia-debugdump"));          /* beside nvidia-smi */
    assert_true(has(t, NVL_BUNDLE_DIR "/" OLD "/etc/OpenCL/vendors/nvidia.icd")); /* names its library */
    assert_false(has(t, NVL_BUNDLE_DIR "/" OLD "/share")); /* whose nvoptix.bin this is, nothing says */
    assert_link(t, NVL_BUNDLE_DIR "/" OLD "/lib64/libcuda.so.1", "libcuda.so." OLD);
}

/* A second sync; then one file of the host is new, one is gone, and one was taken out of the bundle. */
static void test_update(void **state)
{
    const struct temp_root *t = *state;

    put_debian(t);
    assert_true(sync_well(t));
    struct stat folder = stat_of(t, BUNDLE), cuda = stat_of(t, BUNDLE "/lib64/libcuda.so." V),
                manifest = stat_of(t, BUNDLE "/manifest.json");
    assert_false(sync_well(t));
    assert_int_equal(stat_of(t, BUNDLE "/manifest.json").st_ino, manifest.st_ino);
    assert_int_equal(stat_of(t, BUNDLE).st_mtim.tv_nsec, folder.st_mtim.tv_nsec);

    put_text(t, "/usr/lib/nvidia/current/nvidia-smi", "another program of " V "\n");
    assert_int_equal(unlinkat(t->fd, &(CURRENT "/libnvidia-nvvm.so." V)[1], 0), 0);
    assert_int_equal(unlinkat(t->fd, &(BUNDLE "/lib64/libnvidia-ml.so." V)[1], 0), 0);
    assert_int_equal(unlinkat(t->fd, &(BUNDLE "/lib64/libcuda.so")[1], 0), 0);
    put_library(t, CURRENT, "libnvcuvid.so." V, "libnvcuvid.so.1", "");
    assert_true(sync_well(t));
    assert_text(t, BUNDLE "/bin/nvidia-smi", "another program of " V "\n");
    assert_true(has(t, BUNDLE "/lib64/libnvidia-nvvm.so." V)); /* stays */
    assert_link(t, BUNDLE "/lib64/libnvidia-nvvm.so.4", "libnvidia-nvvm.so." V);
    assert_true(has(t, BUNDLE "/lib64/libnvidia-ml.so." V));
    assert_true(has(t, BUNDLE "/lib64/libnvcuvid.so.1"));
    assert_link(t, BUNDLE "/lib64/libcuda.so", "libcuda.so.1");
    /* containers have the folder itself mounted; what had not changed was not written */
    assert_int_equal(stat_of(t, BUNDLE).st_ino, folder.st_ino);
    assert_int_equal(stat_of(t, BUNDLE "/lib64/libcuda.so." V).st_ino, cuda.st_ino);
    nvl_autofree char *sonames = NULL;
    size_t len;
    assert_int_equal(nvl_root_read(&t->root, BUNDLE "/sonames", 4096, &sonames, &len), 0);
    assert_non_null(strstr(sonames, "lib64 libnvidia-nvvm.so.4\n"));
    assert_non_null(strstr(sonames, "lib64 libnvcuvid.so.1\n"));
    assert_false(sync_well(t));
    assert_store(t, ".lock " V);

    /* a manifest that nobody can read any more: all is copied again, in place */
    put_text(t, BUNDLE "/manifest.json", "{");
    assert_true(sync_well(t));
    assert_int_equal(stat_of(t, BUNDLE).st_ino, folder.st_ino);
    assert_false(sync_well(t));
}

static void test_damaged_library(void **state)
{
    const struct temp_root *t = *state;
    nvl_auto(nvl_sync_result_clear) struct nvl_sync_result result = {0};
    struct nvl_error err = {0};

    put_debian(t);
    put_text(t, CURRENT "/libnvidia-nvvm.so." V, "");
    assert_int_equal(sync_of(t, V, false, &result, &err), -ENOEXEC);
    assert_non_null(strstr(err.message, CURRENT "/libnvidia-nvvm.so." V));
    assert_store(t, ".lock");
    /* a FIFO in a library's place neither blocks nor counts */
    assert_int_equal(unlinkat(t->fd, &(CURRENT "/libnvidia-nvvm.so." V)[1], 0), 0);
    assert_int_equal(mkfifoat(t->fd, &(CURRENT "/libnvidia-nvvm.so." V)[1], 0644), 0);
    assert_true(sync_well(t));
    assert_false(has(t, BUNDLE "/lib64/libnvidia-nvvm.so." V));
}

static void append_to_source(void *data, const char *file, uint64_t done, uint64_t total)
{
    const struct temp_root *t = data;

    (void)done, (void)total;
    if (strcmp(file, "lib64/libcuda.so." V) != 0)
        return;
    nvl_autofd int fd = nvl_root_openat(&t->root, CURRENT "/libcuda.so." V, O_WRONLY | O_APPEND);
    assert_int_equal(write(fd, "x", 1), 1);
}

static void test_changed_while_copied(void **state)
{
    struct temp_root *t = *state;
    nvl_auto(nvl_userspace_clear) struct nvl_userspace us = {0};
    nvl_auto(nvl_sync_result_clear) struct nvl_sync_result result = {0};
    struct nvl_error err = {0};

    put_debian(t);
    assert_int_equal(nvl_userspace_read(&t->root, &us, NULL), 0);
    assert_int_equal(nvl_bundle_sync(&t->root, &us, V, false, append_to_source, t, &result, &err), -ESTALE);
    assert_non_null(strstr(err.message, "changed while it was copied"));
    assert_store(t, ".lock");
}

/* A small file system in the store's place. */
static void mount_store(const struct temp_root *t, const char *options)
{
    nvl_autofree char *path = nvl_xasprintf("%s" NVL_BUNDLE_DIR, t->dir);

    put_text(t, NVL_BUNDLE_DIR "/.lock", "");
    assert_int_equal(mount("store", path, "tmpfs", 0, options), 0);
}

static void unmount_store(const struct temp_root *t)
{
    nvl_autofree char *path = nvl_xasprintf("%s" NVL_BUNDLE_DIR, t->dir);

    assert_int_equal(umount(path), 0);
}

static void note_begun(void *data, const char *file, uint64_t done, uint64_t total)
{
    (void)file, (void)done, (void)total;
    *(bool *)data = true;
}

/* begun: whether bytes were written before the end was seen. */
static void assert_full(const struct temp_root *t, const char *needed, bool begun)
{
    nvl_auto(nvl_userspace_clear) struct nvl_userspace us = {0};
    nvl_auto(nvl_sync_result_clear) struct nvl_sync_result result = {0};
    struct nvl_error err = {0};
    bool has_begun = false;

    assert_int_equal(nvl_userspace_read(&t->root, &us, NULL), 0);
    assert_int_equal(nvl_bundle_sync(&t->root, &us, V, false, note_begun, &has_begun, &result, &err),
                     -ENOSPC);
    assert_int_equal(has_begun, begun);
    if (strstr(err.message, needed) == NULL)
        fail_msg("%s", err.message);
    assert_non_null(strstr(err.message, "free"));
    assert_non_null(strstr(err.hint, "nvlxc driver prune"));
}

static void test_full_disk(void **state)
{
    const struct temp_root *t = *state;
    nvl_autofree char *big = nvl_xcalloc(1, (3 << 20) + 1);

    memset(big, 'x', 3 << 20);
    put_debian(t);
    put_library(t, CURRENT, "libnvidia-nvvm.so." V, "libnvidia-nvvm.so.4", big);
    mount_store(t, "size=1m");
    assert_full(t, "needs 3.0 MiB", false);
    assert_store(t, ".lock");

    /* it fits, until a file grows */
    put_library(t, CURRENT, "libnvidia-nvvm.so." V, "libnvidia-nvvm.so.4", "small");
    assert_true(sync_well(t));
    struct stat folder = stat_of(t, BUNDLE "/lib64"), manifest = stat_of(t, BUNDLE "/manifest.json");
    put_text(t, "/usr/lib/nvidia/current/nvidia-smi", "a new program of " V "\n");
    put_library(t, CURRENT, "libnvidia-nvvm.so." V, "libnvidia-nvvm.so.4", big);
    assert_full(t, "needs 3.0 MiB", false);
    assert_store(t, ".lock " V);
    assert_text(t, BUNDLE "/bin/nvidia-smi", "a program of " V "\n");
    assert_int_equal(stat_of(t, BUNDLE "/lib64").st_mtim.tv_nsec, folder.st_mtim.tv_nsec);
    assert_int_equal(stat_of(t, BUNDLE "/manifest.json").st_ino, manifest.st_ino);
    unmount_store(t);
}

/* Enough bytes, but no inode for the last files: the error comes half way. */
static void test_full_half_way(void **state)
{
    const struct temp_root *t = *state;

    put_debian(t);
    mount_store(t, "size=1m,nr_inodes=12");
    assert_full(t, "inodes", true);
    assert_store(t, ".lock");
    unmount_store(t);
}

static void test_lock(void **state)
{
    const struct temp_root *t = *state;
    int dirfd = -1, lock = -1, ready[2];
    struct nvl_error err = {0};

    put_debian(t);
    assert_true(sync_well(t));
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        nvl_autofd int fd = nvl_root_openat(&t->root, NVL_BUNDLE_DIR "/.lock", O_RDWR);
        if (fd < 0 || flock(fd, LOCK_EX) < 0 || write(ready[1], "x", 1) != 1)
            _exit(1);
        usleep(700 * 1000);
        _exit(0);
    }
    char byte;
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(nvl_store_open(&t->root, 200, &dirfd, &lock, &err), -EAGAIN);
    nvl_autofree char *holder = nvl_xasprintf("process %d (", (int)child);
    assert_non_null(strstr(err.message, holder));
    assert_int_equal(dirfd, -1);
    assert_false(sync_well(t)); /* waits */
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    close(ready[0]);
    close(ready[1]);
}

static void test_left_over(void **state)
{
    const struct temp_root *t = *state;

    put_debian(t);
    put_text(t, NVL_BUNDLE_DIR "/." OLD ".tmp.1/lib64/libcuda.so", "half");
    put_text(t, NVL_BUNDLE_DIR "/.mine.tmp.1/x", "not a bundle's");
    put_link(t, NVL_BUNDLE_DIR "/." OLD ".tmp.1/etc", "/usr");
    assert_true(sync_well(t));
    assert_store(t, ".lock .mine.tmp.1 " V);
    assert_true(has(t, CURRENT "/libcuda.so." V));
}

static void put_loaded(const struct temp_root *t, const char *version)
{
    nvl_autofree char *text = nvl_xasprintf(
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  %s  Tue Apr  8 12:41:17 UTC 2025\n", version);

    put_text(t, "/proc/driver/nvidia/version", text);
}

static void put_process(const struct temp_root *t, const char *pid, const char *mnt, const char *ns_pid,
                        const char *mounts)
{
    nvl_autofree char *info = nvl_xasprintf("/proc/%s/mountinfo", pid);
    nvl_autofree char *link = nvl_xasprintf("/proc/%s/ns/mnt", pid);
    nvl_autofree char *pids = nvl_xasprintf("/proc/%s/ns/pid", pid);

    put_text(t, info, mounts);
    put_link(t, link, mnt);
    put_link(t, pids, ns_pid);
}

/* A bundle of another version, as one that was built before an upgrade. */
static void put_bundle(const struct temp_root *t, const char *version)
{
    nvl_autofree char *path = nvl_xasprintf(NVL_BUNDLE_DIR "/%s/manifest.json", version);
    nvl_autofree char *text = nvl_xasprintf("{\"version\":\"%s\",\"files\":[],\"links\":[]}", version);

    put_text(t, path, text);
}

static void list_of(const struct temp_root *t, struct nvl_bundles *bundles)
{
    nvl_auto(nvl_userspace_clear) struct nvl_userspace us = {0};
    struct nvl_driver_version loaded;

    assert_int_equal(nvl_driver_version_read(&t->root, &loaded, NULL), 0);
    assert_int_equal(nvl_userspace_read(&t->root, &us, NULL), 0);
    assert_int_equal(nvl_bundles_list(&t->root, &loaded, &us, bundles, NULL), 0);
    nvl_bundles_count_users(&t->root, bundles);
}

#define MOUNT(version, target)                                                                               \
    "36 25 254:0 / / rw shared:1 - ext4 /dev/vda rw\n"                                                       \
    "90 36 254:0 /lib/nvlxc/driver/" version " " target " ro,nosuid - ext4 /dev/vda rw\n"

static void test_in_use(void **state)
{
    const struct temp_root *t = *state;
    nvl_auto(nvl_bundles_clear) struct nvl_bundles bundles = {0};

    put_debian(t);
    put_loaded(t, V);
    put_bundle(t, V);
    put_bundle(t, OLD);
    put_text(t, NVL_BUNDLE_DIR "/470.256.02/lib64/libcuda.so.1", "no manifest");
    put_text(t, NVL_BUNDLE_DIR "/notes", "not a version");
    put_process(t, "1", "mnt:[1]", "pid:[1]", "36 25 254:0 / / rw - ext4 /dev/vda rw\n");
    put_process(t, "100", "mnt:[2]", "pid:[2]", MOUNT(OLD, "/usr/local/nvidia"));
    put_process(t, "101", "mnt:[2]", "pid:[2]", MOUNT(OLD, "/usr/local/nvidia"));
    put_process(t, "102", "mnt:[3]", "pid:[2]", MOUNT(OLD, "/usr/local/nvidia")); /* a service of the same */
    put_process(t, "200", "mnt:[4]", "pid:[4]", MOUNT(OLD, "/rootfs/usr/local/nvidia"));
    put_process(t, "210", "mnt:[8]", "pid:[8]",
                MOUNT(OLD, "/srv/my\\040local/nvidia")); /* /usr/local: a link */
    put_process(t, "300", "mnt:[5]", "pid:[5]", MOUNT("1" OLD, "/usr/local/nvidia"));
    put_process(t, "301", "mnt:[6]", "pid:[6]", MOUNT(OLD, "/mnt"));
    put_process(t, "302", "mnt:[7]", "pid:[7]", "a\n\n 90 36 254:0 \n90");
    put_text(t, "/proc/400/status", "gone before its mounts were read\n");
    list_of(t, &bundles);
    assert_int_equal(bundles.count, 3);
    assert_string_equal(bundles.items[0].version, V);
    assert_true(bundles.items[0].loaded && bundles.items[0].complete && !bundles.items[0].pending);
    assert_int_equal(bundles.items[0].in_use, 0);
    assert_string_equal(bundles.items[1].version, OLD);
    assert_int_equal(bundles.items[1].in_use, 3);
    assert_false(bundles.items[1].pending);
    assert_false(bundles.items[2].complete);
}

static void assert_kept(const struct temp_root *t, const char *version, const char *why)
{
    struct nvl_bundle bundle = {0};
    struct nvl_error err = {0};
    nvl_autofree char *path = nvl_xasprintf(NVL_BUNDLE_DIR "/%s/manifest.json", version);

    nvl_copy(bundle.version, sizeof bundle.version, version, strlen(version));
    assert_int_equal(nvl_bundle_remove(&t->root, &bundle, &err), -EBUSY);
    assert_non_null(strstr(err.message, why));
    assert_true(has(t, path));
}

static void test_prune(void **state)
{
    const struct temp_root *t = *state;
    struct nvl_bundle gone = {.version = "470.256.02"};
    struct nvl_error err = {0};

    put_debian(t);
    put_loaded(t, OLD);
    put_bundle(t, V);
    put_bundle(t, OLD);
    put_bundle(t, gone.version);
    put_bundle(t, "525.1.1");
    put_process(t, "100", "mnt:[2]", "pid:[2]", MOUNT("525.1.1", "/usr/local/nvidia"));
    assert_kept(t, OLD, "loaded");
    assert_kept(t, V, "next boot");
    assert_kept(t, "525.1.1", "1 running container has it");
    put_link(t, NVL_BUNDLE_DIR "/470.256.02/lib64", CURRENT);
    assert_int_equal(nvl_bundle_remove(&t->root, &gone, &err), 0);
    assert_store(t, ".lock 525.1.1 " OLD " " V);
    assert_true(has(t, CURRENT "/libcuda.so." V)); /* no link was followed */
    assert_int_equal(nvl_bundle_remove(&t->root, &gone, &err), -ENOENT);
    nvl_copy(gone.version, sizeof gone.version, "../..", 5);
    assert_int_equal(nvl_bundle_remove(&t->root, &gone, &err), -EINVAL);
    /* a module that does not say its version may be any */
    put_text(t, "/proc/driver/nvidia/version", "NVRM version: ?\n");
    assert_kept(t, OLD, "does not report its version");
}

/* Without a module, the newest that is installed is the next boot's. */
static void test_pending(void **state)
{
    const struct temp_root *t = *state;
    nvl_auto(nvl_bundles_clear) struct nvl_bundles bundles = {0};

    put_debian(t);
    put_library(t, LIB, "libcuda.so." OLD, "libcuda.so.1", "");
    put_bundle(t, V);
    put_bundle(t, OLD);
    list_of(t, &bundles);
    assert_true(bundles.items[0].pending && !bundles.items[0].loaded);
    assert_false(bundles.items[1].pending);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_root, teardown_root)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_catalog),
        cmocka_unit_test(test_checksum),
        cmocka_unit_test(test_manifest),
        cmocka_unit_test(test_manifest_damaged),
        TEST(test_content),
        TEST(test_build),
        TEST(test_arm),
        TEST(test_remember),
        cmocka_unit_test(test_soname_of_another),
        TEST(test_missing),
        cmocka_unit_test(test_branches),
        TEST(test_run_folder),
        TEST(test_relocated),
        TEST(test_file_list),
        TEST(test_dry_run),
        TEST(test_compat32),
        TEST(test_one_version),
        TEST(test_update),
        TEST(test_damaged_library),
        TEST(test_changed_while_copied),
        TEST(test_full_disk),
        TEST(test_full_half_way),
        TEST(test_lock),
        TEST(test_left_over),
        TEST(test_in_use),
        TEST(test_prune),
        TEST(test_pending),
    };

    /* small file systems are mounted: not for the machine to see */
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
        perror("a mount namespace of the test's own");
        return 1;
    }
    return cmocka_run_group_tests_name("driver", tests, be_x86_64, NULL);
}
