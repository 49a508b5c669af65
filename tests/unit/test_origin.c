/* Where the driver came from: packages, dkms's entries, the installer's traces, folders, os-release; and what
 * is told of its flavour. */
#include "host/userspace.h"
#include "driver/origin.h"
#include "machine.h"
#include "tiny_library.h"

#include <string.h>

#include "driver/distribution.h"
#include "driver/package_names.h"

static void read_with(struct temp_root *t, const char *loaded, struct nvl_installed_driver *d)
{
    nvl_auto(nvl_system_clear) struct nvl_system s;
    nvl_auto(nvl_userspace_clear) struct nvl_userspace us = {0};
    struct nvl_driver_version version = {.loaded = loaded != NULL};

    snprintf(version.version, sizeof version.version, "%s", loaded != NULL ? loaded : "");
    assert_int_equal(nvl_system_read(&t->root, &s, NULL), 0);
    assert_int_equal(nvl_userspace_read(&t->root, &us, NULL), 0);
    nvl_installed_driver_read(&t->root, &s, &us, &version, d);
}

static void read_installed(struct temp_root *t, struct nvl_installed_driver *d)
{
    read_with(t, NULL, d);
}

/* One host: files, each with its text, and what it comes to. */
struct origin_case {
    const char *files[6][2];
    const char *loaded;
    enum nvl_origin origin;
    enum nvl_flavour flavour;
    const char *series, *version;
};

#define DEBIAN "/etc/os-release", "ID=debian\nVERSION_ID=\"13\"\nVERSION_CODENAME=trixie\n"
#define STATUS "/var/lib/dpkg/status"
#define LIBS   "/usr/lib/x86_64-linux-gnu/"
#define PACKAGE(name, version)                                                                               \
    "Package: " name "\nStatus: install ok installed\nArchitecture: amd64\nVersion: " version "\n\n"
#define OF(maintainer, name, version)                                                                        \
    "Package: " name "\nStatus: install ok installed\nMaintainer: " maintainer "\nVersion: " version "\n\n"

static void check_origin(const struct origin_case *c, size_t n)
{
    void *state = NULL;
    struct nvl_installed_driver d;

    setup_root(&state);
    for (size_t i = 0; i < NVL_LENGTH(c->files) && c->files[i][0] != NULL; i++)
        put(state, c->files[i][0], c->files[i][1]);
    read_with(state, c->loaded, &d);
    print_message("# case %zu: origin %d, flavour %d, version %s\n", n, d.origin, d.flavour, d.version);
    assert_int_equal(d.origin, c->origin);
    assert_int_equal(d.flavour, c->flavour);
    assert_string_equal(d.series != NULL ? d.series : "", c->series != NULL ? c->series : "");
    assert_string_equal(d.version, c->version != NULL ? c->version : "");
    nvl_installed_driver_clear(&d);
    teardown_root(&state);
}

static void test_origins(void **state)
{
    static const enum nvl_flavour unknown = NVL_FLAVOUR_UNKNOWN, closed = NVL_FLAVOUR_PROPRIETARY,
                                  open = NVL_FLAVOUR_OPEN;
    const struct origin_case cases[] = {
        {{{DEBIAN}}, NULL, NVL_ORIGIN_NONE, unknown, NULL, NULL},
        /* Debian's */
        {{{DEBIAN}, {STATUS, PACKAGE("nvidia-kernel-dkms", "550.163.01-2")}},
         NULL,
         NVL_ORIGIN_DEBIAN,
         closed,
         NULL,
         "550.163.01"},
        {{{DEBIAN}, {STATUS, PACKAGE("nvidia-open-kernel-dkms", "550.163.01-4~bpo13+1")}},
         NULL,
         NVL_ORIGIN_DEBIAN,
         open,
         NULL,
         "550.163.01"},
        {{{DEBIAN}, {STATUS, PACKAGE("nvidia-tesla-470-kernel-dkms", "470.256.02-1~deb12u1")}},
         NULL,
         NVL_ORIGIN_DEBIAN,
         closed,
         "tesla-470",
         "470.256.02"},
        {{{DEBIAN}, {"/var/lib/dkms/nvidia-legacy-390xx/390.157/source", ""}},
         NULL,
         NVL_ORIGIN_DEBIAN,
         closed,
         "legacy-390xx",
         "390.157"},
        {{{DEBIAN}, {LIBS "nvidia/tesla-535/libcuda.so.535.274.02", ""}},
         NULL,
         NVL_ORIGIN_DEBIAN,
         unknown,
         "tesla-535",
         "535.274.02"},
        {{{DEBIAN}, {LIBS "nvidia/current/libcuda.so.550.163.01", ""}},
         NULL,
         NVL_ORIGIN_DEBIAN,
         unknown,
         NULL,
         "550.163.01"},
        /* NVIDIA's archive: a name of its own, a maintainer, a package beside it */
        {{{DEBIAN}, {STATUS, PACKAGE("nvidia-kernel-open-dkms", "595.71.05-1")}},
         NULL,
         NVL_ORIGIN_ARCHIVE,
         open,
         NULL,
         "595.71.05"},
        {{{DEBIAN},
          {STATUS, OF("NVIDIA CORPORATION <cudatools@nvidia.com>", "nvidia-kernel-dkms", "580.95.05-1")}},
         NULL,
         NVL_ORIGIN_ARCHIVE,
         closed,
         NULL,
         "580.95.05"},
        {{{DEBIAN},
          {STATUS,
           OF("Debian NVIDIA Maintainers <x@lists.alioth.debian.org>", "nvidia-kernel-dkms", "580.95.05-1")}},
         NULL,
         NVL_ORIGIN_DEBIAN,
         closed,
         NULL,
         "580.95.05"},
        {{{DEBIAN},
          {STATUS,
           PACKAGE("nvidia-kernel-dkms", "580.95.05-1") PACKAGE("nvidia-driver-cuda", "580.95.05-1")}},
         NULL,
         NVL_ORIGIN_ARCHIVE,
         closed,
         NULL,
         "580.95.05"},
        /* the installer, with dkms and without; both flavours have that name */
        {{{DEBIAN}, {"/var/lib/dkms/nvidia/580.95.05/source", ""}, {LIBS "libcuda.so.580.95.05", ""}},
         NULL,
         NVL_ORIGIN_RUN,
         unknown,
         NULL,
         "580.95.05"},
        {{{DEBIAN}, {"/usr/bin/nvidia-uninstall", ""}, {LIBS "libcuda.so.580.95.05", ""}},
         NULL,
         NVL_ORIGIN_RUN,
         unknown,
         NULL,
         "580.95.05"},
        {{{DEBIAN}, {"/var/lib/nvidia/log", "580.95.05\n"}}, NULL, NVL_ORIGIN_RUN, unknown, NULL, NULL},
        /* the loaded one, beside packages that were left */
        {{{DEBIAN},
          {"/usr/bin/nvidia-uninstall", ""},
          {STATUS, PACKAGE("nvidia-kernel-dkms", "550.163.01-2")}},
         "580.95.05",
         NVL_ORIGIN_RUN,
         unknown,
         NULL,
         "580.95.05"},
        {{{DEBIAN},
          {"/usr/bin/nvidia-uninstall", ""},
          {STATUS, PACKAGE("nvidia-kernel-dkms", "550.163.01-2")}},
         "550.163.01",
         NVL_ORIGIN_DEBIAN,
         closed,
         NULL,
         "550.163.01"},
        /* folders, virtual GPUs, another distribution's, who knows */
        {{{DEBIAN}, {"/opt/nvidia/lib64/libcuda.so.580.95.05", ""}},
         NULL,
         NVL_ORIGIN_FOLDER,
         unknown,
         NULL,
         "580.95.05"},
        {{{DEBIAN},
          {LIBS "libnvidia-ml.so.580.95.05", ""},
          {LIBS "libnvidia-vgpu.so.580.95.05", ""},
          {"/usr/bin/nvidia-uninstall", ""}},
         NULL,
         NVL_ORIGIN_VGPU,
         unknown,
         NULL,
         "580.95.05"},
        {{{DEBIAN},
          {LIBS "libcuda.so.580.95.05", ""},
          {LIBS "libnvidia-vgpu.so.580.95.05", ""},
          {"/usr/bin/nvidia-uninstall", ""}}, /* merged */
         NULL,
         NVL_ORIGIN_RUN,
         unknown,
         NULL,
         "580.95.05"},
        {{{"/etc/os-release", "ID=arch\n"}, {"/usr/lib/libcuda.so.595.71.05", ""}},
         NULL,
         NVL_ORIGIN_DISTRIBUTION,
         unknown,
         NULL,
         "595.71.05"},
        {{{"/etc/os-release", "ID=fedora\n"},
          {"/usr/lib64/libcuda.so.595.71.05", ""},
          {"/usr/bin/nvidia-uninstall", ""}},
         NULL,
         NVL_ORIGIN_RUN,
         unknown,
         NULL,
         "595.71.05"},
        {{{DEBIAN}, {LIBS "libcuda.so.580.95.05", ""}}, NULL, NVL_ORIGIN_UNKNOWN, unknown, NULL, "580.95.05"},
        {{{DEBIAN}}, "580.95.05", NVL_ORIGIN_UNKNOWN, unknown, NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < NVL_LENGTH(cases); i++)
        check_origin(&cases[i], i);
}

static void test_families(void **state)
{
    static const struct {
        const char *id, *like;
        bool is_proxmox;
        enum nvl_family family;
    } cases[] = {
        {"debian", NULL, false, NVL_FAMILY_DEBIAN},
        {"fedora", NULL, true, NVL_FAMILY_DEBIAN},
        {"linuxmint", "ubuntu debian", false, NVL_FAMILY_UBUNTU},
        {"rocky", "rhel centos fedora", false, NVL_FAMILY_RHEL},
        {"cachyos", "arch", false, NVL_FAMILY_ARCH},
        {"opensuse-slowroll", "opensuse suse opensuse-tumbleweed", false, NVL_FAMILY_SUSE},
        {"nixos", NULL, false, NVL_FAMILY_NIXOS},
        {"void", NULL, false, NVL_FAMILY_OTHER},
        {NULL, NULL, false, NVL_FAMILY_OTHER},
    };

    (void)state;
    for (size_t i = 0; i < NVL_LENGTH(cases); i++) {
        struct nvl_system system = {
            .id = (char *)cases[i].id, .like = (char *)cases[i].like, .is_proxmox = cases[i].is_proxmox};
        assert_int_equal(nvl_family_of(&system), cases[i].family);
    }
}

/* As Debian's archive has them. */
static void test_series_packages(void **state)
{
    static const struct {
        const char *package, *series, *name;
    } cases[] = {
        {"libcuda1", NULL, "libcuda1"},
        {"libcuda1", "tesla-535", "libnvidia-tesla-535-cuda1"},
        {"libnvcuvid1", "tesla-470", "libnvidia-tesla-470-nvcuvid1"},
        {"libnvidia-encode1", "legacy-390xx", "libnvidia-legacy-390xx-encode1"},
        {"libnvoptix1", "tesla-535", "libnvidia-tesla-535-nvoptix1"},
        {"nvidia-smi", "tesla-535", "nvidia-tesla-535-smi"},
        {"nvidia-kernel-dkms", "legacy-390xx", "nvidia-legacy-390xx-kernel-dkms"},
        {"nvidia-opencl-icd", "tesla-535", "nvidia-tesla-535-opencl-icd"},
        {"firmware-nvidia-gsp", "tesla-535", "firmware-nvidia-tesla-535-gsp"},
        {"libglx-nvidia0", "tesla-535", "libglx-nvidia-tesla-535-0"},
        {"libegl-nvidia0", "legacy-390xx", "libegl-nvidia-legacy-390xx0"},
        {"libgles-nvidia2", "tesla-535", "libgles-nvidia-tesla-535-2"},
        {"nvidia-modprobe", "tesla-535", "nvidia-modprobe"},
        {"nvidia-persistenced", "legacy-390xx", "nvidia-persistenced"},
        {"nvidia-egl-common", "tesla-535", "nvidia-egl-common"},
    };

    (void)state;
    for (size_t i = 0; i < NVL_LENGTH(cases); i++) {
        nvl_autofree char *name = nvl_series_package(cases[i].package, cases[i].series);
        assert_string_equal(name, cases[i].name);
    }
}

static void test_installed(void **state)
{
    struct temp_root *t = *state;
    struct nvl_installed_driver d;

    put(t, "/proc/sys/kernel/osrelease", "6.2.0-1-pve\n");
    /* the kernel's own modules of such names, and parts of the driver, are not it */
    put(t, "/lib/modules/6.2.0-1-pve/kernel/drivers/video/nvidiafb.ko", "");
    put(t, "/lib/modules/6.2.0-1-pve/updates/dkms/nvidia-current-uvm.ko.xz", "");
    put(t, "/lib/modules/6.2.0-1-pve/updates/dkms/nvidia-tesla-535-drm.ko.xz", "");
    put(t, "/lib/modules/6.1.0-1-pve/kernel/drivers/video/nvidia.ko", "");
    put(t, "/lib/modules/5.15.1-1-pve/updates/dkms/nvidia-tesla-535.ko.zst", "");
    put(t, "/var/lib/dkms/nvidia-current-open/550.163.01/source", "");
    put(t, "/var/lib/dkms/nvidia-current/535.261.03/source", "");
    put(t, "/var/lib/dkms/nvidia-fs/9.9.9/source", "");
    put(t, "/var/lib/dkms/nvidia-current-open/550.163.01/build/make.log",
        "DKMS make.log for nvidia for kernel 6.2.0-1-pve (x86_64)\nmake: *** [x] Error 2\n"
        "nv.c:1:2: error: it does not build\nnv.c:2:2: error: more\n");
    read_installed(t, &d);
    assert_null(d.module);
    assert_false(d.has_headers);
    assert_int_equal(d.kernels.count, 2);
    assert_string_equal(d.kernels.items[0], "6.1.0-1-pve");
    assert_string_equal(d.dkms_name, "nvidia-current-open");
    assert_string_equal(d.version, "550.163.01");
    assert_int_equal(d.flavour, NVL_FLAVOUR_OPEN);
    assert_string_equal(d.build_error, "make.log:3: nv.c:1:2: error: it does not build");
    nvl_installed_driver_clear(&d);

    /* another kernel's log says nothing of this one; a link that leads nowhere is no folder of headers */
    put_text(t, "/var/lib/dkms/nvidia-current-open/550.163.01/build/make.log",
             "DKMS make.log for nvidia for kernel 6.1.0-1-pve (x86_64)\nnv.c:1:2: error: x\n");
    put_link(t, "/lib/modules/6.2.0-1-pve/build", "/usr/src/headers");
    read_installed(t, &d);
    assert_null(d.build_log);
    assert_false(d.has_headers);
    nvl_installed_driver_clear(&d);

    put(t, "/lib/modules/6.2.0-1-pve/updates/dkms/nvidia-current-open.ko.xz", "");
    put(t, "/usr/src/headers/Makefile", "");
    read_installed(t, &d);
    assert_string_equal(d.module, "/lib/modules/6.2.0-1-pve/updates/dkms/nvidia-current-open.ko.xz");
    assert_true(d.has_headers);
    nvl_installed_driver_clear(&d);
}

static void test_enrolled(void **state)
{
    struct temp_root *t = *state;
    struct nvl_installed_driver d;
    static const char list[] = "/sys/firmware/efi/efivars/MokListRT-605dab50-e046-4300-abb6-3dd810dd8b23";

    put(t, "/proc/sys/kernel/osrelease", "6.2.0-1-pve\n");
    read_installed(t, &d);
    assert_null(d.signing_key);
    assert_int_equal(d.enrolled, NVL_ENROLLED_UNKNOWN);
    nvl_installed_driver_clear(&d);
    put(t, "/var/lib/dkms/mok.pub", "certificate of this machine");
    put(t, list, "attr other certificates");
    read_installed(t, &d);
    assert_string_equal(d.signing_key, "/var/lib/dkms/mok.pub");
    assert_int_equal(d.enrolled, NVL_ENROLLED_NO);
    nvl_installed_driver_clear(&d);
    put_text(t, list, "attr other; certificate of this machine; another");
    read_installed(t, &d);
    assert_int_equal(d.enrolled, NVL_ENROLLED_YES);
    nvl_installed_driver_clear(&d);
}

#define WITH_ROOT(test) cmocka_unit_test_setup_teardown(test, setup_root, teardown_root)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_origins),
        cmocka_unit_test(test_families),
        cmocka_unit_test(test_series_packages),
        WITH_ROOT(test_installed),
        WITH_ROOT(test_enrolled),
    };
    return cmocka_run_group_tests(tests, be_x86_64, NULL);
}
