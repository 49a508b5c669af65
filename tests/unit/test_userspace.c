/* What the commands read of the host beside the hook: ELF files, the installed driver libraries in the
 * layouts that are met, NVML (a stub of it), and a captured host, which must read like the one that it was
 * taken of. */
#include "machine.h"
#include "temp_root.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>

#include "base/file.h"
#include "host/capture.h"
#include "host/driver_folder.h"
#include "host/elf.h"
#include "host/host.h"
#include "host/module.h"
#include "host/nvml.h"
#include "host/userspace.h"

#define UUID_0 "GPU-3291dfa4-fcc4-0110-615b-c894a0d7c689"
#define MIG_0  "MIG-11111111-2222-3333-4444-555555555555"
#define LIB    "/usr/lib/x86_64-linux-gnu"
#define LIB32  "/usr/lib/i386-linux-gnu"

/* tests/unit/stub_nvml.c, as meson builds it. */
static char *stub_path(void)
{
    const char *build = getenv("NVL_BUILD");

    assert_non_null(build);
    return nvl_xasprintf("%s/tests/unit/libstub_nvml.so", build);
}

static void test_elf(void **state)
{
    nvl_autofree char *path = stub_path();
    nvl_autofd int library = open(path, O_RDONLY | O_CLOEXEC),
                   self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC),
                   text = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);
    nvl_auto(nvl_elf_clear) struct nvl_elf lib = {0}, program = {0}, none = {0};
    const enum nvl_elf_class own = sizeof(void *) == 8 ? NVL_ELF_64 : NVL_ELF_32;

    (void)state;
    assert_int_equal(nvl_elf_read(library, &lib), 0);
    assert_int_equal(lib.elf, own);
    assert_string_equal(lib.soname, "libstub_nvml.so");
    assert_true(nvl_strv_contains(&lib.needed, "libc.so.6"));
    assert_int_equal(nvl_elf_read(self, &program), 0);
    assert_int_equal(program.elf, own);
    assert_null(program.soname);
    assert_true(nvl_strv_contains(&program.needed, "libcmocka.so.0"));
    assert_int_equal(nvl_elf_read(text, &none), -ENOEXEC);
}

static void read_damaged(int fd, const char *data, size_t len)
{
    struct nvl_elf elf;

    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(nvl_fd_write(fd, data, len), 0);
    int r = nvl_elf_read(fd, &elf);
    assert_true(r == 0 || r == -ENOEXEC);
    nvl_elf_clear(&elf);
}

/* Cut at many lengths, and with bytes of its headers and its dynamic section changed. */
static void test_damaged_elf(void **state)
{
    const struct temp_root *t = *state;
    nvl_autofree char *path = stub_path(), *data = NULL;
    nvl_autofd int library = open(path, O_RDONLY | O_CLOEXEC);
    size_t len;
    uint32_t seed = 7;

    assert_int_equal(nvl_fd_read(library, 1u << 20, &data, &len), 0);
    nvl_autofd int fd = openat(t->fd, "library", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    for (size_t cut = 0; cut < len; cut += cut < 1024 ? 7 : 509)
        read_damaged(fd, data, cut);
    for (unsigned i = 0; i < 3000; i++) {
        nvl_autofree char *bad = nvl_xcalloc(1, len);
        memcpy(bad, data, len);
        for (unsigned n = 0; n < 3; n++) {
            seed = seed * 1664525 + 1013904223;
            bad[(seed >> 8) % (i % 2 == 0 ? 0x300 : len)] = (char)(seed >> 5);
        }
        read_damaged(fd, bad, len);
    }
}

static void test_nvml(void **state)
{
    nvl_autofree char *stub = stub_path();
    char gpu[NVL_UUID_MAX];
    unsigned gi = 0, ci = 0;
    struct nvl_error err = {0};

    (void)state;
    assert_int_equal(nvl_nvml_find_mig(stub, MIG_0, gpu, &gi, &ci, &err), 0);
    assert_string_equal(gpu, UUID_0);
    assert_int_equal(gi, 7);
    assert_int_equal(ci, 2);
    assert_int_equal(nvl_nvml_find_mig(stub, "MIG-0", gpu, &gi, &ci, &err), -ENOENT);
    assert_string_equal(err.message, "MIG-0 is not on this host");
    assert_int_equal(nvl_nvml_find_mig(stub, UUID_0, gpu, &gi, &ci, &err), -EIO); /* a GPU, no MIG device */
}

static void test_no_nvml(void **state)
{
    nvl_autofree char *stub = stub_path();
    char gpu[NVL_UUID_MAX];
    unsigned gi, ci;
    struct nvl_error err = {0};

    (void)state;
    assert_int_equal(nvl_nvml_find_mig("/nonexistent/libnvidia-ml.so.1", MIG_0, gpu, &gi, &ci, &err),
                     -ENOSYS);
    assert_int_equal(err.exit, NVL_EXIT_HOST);
    assert_non_null(strstr(err.message, "/nonexistent/libnvidia-ml.so.1"));
    assert_int_equal(nvl_nvml_find_mig("libc.so.6", MIG_0, gpu, &gi, &ci, &err), -ENOSYS);
    assert_non_null(strstr(err.message, "nvmlInit_v2"));
    setenv("STUB_NVML_INIT", "18", 1);
    assert_int_equal(nvl_nvml_find_mig(stub, MIG_0, gpu, &gi, &ci, &err), -ENOSYS);
    unsetenv("STUB_NVML_INIT");
    assert_string_equal(err.message, "NVML does not start: Driver/library version mismatch");
}

/* "PATH CLASS VERSION" of each folder, one a line, then the versions. */
static char *describe(const struct nvl_root *root)
{
    nvl_auto(nvl_userspace_clear) struct nvl_userspace us = {0};
    struct nvl_buf b = {0};
    nvl_autofree char *versions = NULL;

    assert_int_equal(nvl_userspace_read(root, &us, NULL), 0);
    for (size_t i = 0; i < us.n_dirs; i++)
        nvl_buf_addf(&b, "%s %s %s\n", us.dirs[i].path, us.dirs[i].elf == NVL_ELF_64 ? "64" : "32",
                     us.dirs[i].version);
    versions = nvl_strv_join(&us.versions, " ");
    nvl_buf_addf(&b, "%s", versions);
    return nvl_buf_take(&b);
}

static void check(const struct temp_root *t, const char *wanted)
{
    nvl_autofree char *found = describe(&t->root);

    assert_string_equal(found, wanted);
}

/* A cache with these 64-bit entries: pairs of soname and path. */
static void put_cache(const struct temp_root *t, const char *const *pairs, size_t n)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf b = {0}, strings = {0};
    static const char zeros[16];
    uint32_t words[6] = {0x0303};

    nvl_buf_add(&b, "glibc-ld.so.cache1.1", 20);
    nvl_buf_add(&b, &(uint32_t){(uint32_t)n}, 4);
    nvl_buf_add(&b, zeros, 4);
    nvl_buf_add(&b, "\2", 1);
    nvl_buf_add(&b, zeros, 15);
    nvl_buf_add(&b, zeros, 4);
    for (size_t i = 0; i < n; i++) {
        for (size_t p = 0; p < 2; p++) {
            words[1 + p] = (uint32_t)(48 + n * 24 + strings.len);
            nvl_buf_add(&strings, pairs[2 * i + p], strlen(pairs[2 * i + p]) + 1);
        }
        nvl_buf_add(&b, words, sizeof words);
    }
    nvl_buf_add(&b, strings.data, strings.len);
    assert_int_equal(nvl_tree_file(t->fd, "/etc/ld.so.cache", b.data, b.len, NULL), 0);
}

/* Debian's: most libraries behind alternatives in nvidia/current, the rest beside. */
static void put_debian(const struct temp_root *t, const char *lib, const char *triplet, const char *version)
{
    static const char *const behind[] = {"libcuda", "libnvidia-ml"};

    for (size_t i = 0; i < NVL_LENGTH(behind); i++) {
        const char *name = behind[i];
        nvl_autofree char *file = nvl_xasprintf("%s/nvidia/current/%s.so.%s", lib, name, version);
        nvl_autofree char *soname = nvl_xasprintf("%s/nvidia/current/%s.so.1", lib, name);
        nvl_autofree char *target = nvl_xasprintf("%s.so.%s", name, version);
        nvl_autofree char *alternative = nvl_xasprintf("/etc/alternatives/nvidia--%s.so.1-%s", name, triplet);
        nvl_autofree char *outer = nvl_xasprintf("%s/%s.so.1", lib, name);
        put(t, file, "");
        put_link(t, soname, target);
        put_link(t, alternative, soname);
        put_link(t, outer, alternative);
    }
    nvl_autofree char *beside = nvl_xasprintf("%s/libnvidia-glcore.so.%s", lib, version);
    put(t, beside, "");
    put_link(t, "/lib", "usr/lib");
}

static void test_debian(void **state)
{
    const struct temp_root *t = *state;

    put_debian(t, LIB, "x86_64-linux-gnu", "550.163.01");
    put_debian(t, LIB32, "i386-linux-gnu", "550.163.01");
    check(t, LIB "/nvidia/current 64 550.163.01\n" LIB " 64 550.163.01\n" LIB32
                 "/nvidia/current 32 550.163.01\n" LIB32 " 32 550.163.01\n550.163.01");
}

/* The cache comes first, and says where the real files are, which no known folder is. */
static void test_cache_first(void **state)
{
    const struct temp_root *t = *state;
    static const char *const pairs[] = {"libcuda.so.1", "/lib/x86_64-linux-gnu/libcuda.so.1",
                                        "libnvidia-ml.so.1", "/opt/driver/libnvidia-ml.so.1"};

    put_debian(t, LIB, "x86_64-linux-gnu", "550.163.01");
    put(t, "/opt/driver/files/libnvidia-ml.so.580.95.05", "");
    put_link(t, "/opt/driver/libnvidia-ml.so.1", "files/libnvidia-ml.so.580.95.05");
    put_cache(t, pairs, 2);
    check(t, LIB "/nvidia/current 64 550.163.01\n" LIB
                 " 64 550.163.01\n/opt/driver/files 64 580.95.05\n580.95.05 550.163.01");
}

static void test_installer(void **state)
{
    const struct temp_root *t = *state;

    put(t, "/usr/lib64/libcuda.so.535.54.03", "");
    put(t, "/usr/lib64/libnvidia-ml.so.535.261.03", ""); /* what an older installation left behind */
    put(t, "/usr/lib64/libnvidia-container.so.1.17.4", "");
    put(t, "/usr/lib64/libnvidia-egl-gbm.so.1.1.0", "");
    put(t, "/usr/lib64/libnvidia-gtk3.so.570.86.10", "");
    put(t, "/usr/lib/libcuda.so.535.54.03", "");
    put(t, "/usr/local/nvidia/lib/libcuda.so.470.82", "");
    put_link(t, "/usr/local/nvidia/lib64", "/usr/lib64"); /* the same place counts once */
    check(t, "/usr/lib64 64 535.261.03\n/usr/lib64 64 535.54.03\n/usr/lib 32 535.54.03\n"
             "/usr/local/nvidia/lib 64 470.82\n535.261.03 535.54.03 470.82");
}

static void test_private_prefixes(void **state)
{
    const struct temp_root *t = *state;

    put(t, "/usr/local/nvidia/lib64/libcuda.so.550.90.07", "");
    put(t, "/usr/local/nvidia/lib/libcuda.so.550.90.07", "");
    put(t, "/run/nvidia/driver" LIB "/libnvidia-ml.so.570.86.15", "");
    put(t, "/usr/lib/nvidia-390/libnvidia-glcore.so.390.157", ""); /* neither libcuda nor libnvidia-ml */
    put(t, "/usr/lib32/nvidia-390/libcuda.so.390.157", "");
    check(t,
          "/usr/lib/nvidia-390 64 390.157\n/usr/lib32/nvidia-390 32 390.157\n/usr/local/nvidia/lib64 64 "
          "550.90.07\n"
          "/usr/local/nvidia/lib 32 550.90.07\n/run/nvidia/driver" LIB " 64 570.86.15\n570.86.15 550.90.07");
}

/* A name of a folder is no pattern, whatever it looks like. */
static void test_star_in_name(void **state)
{
    const struct temp_root *t = *state;

    put(t, "/usr/lib/nvidia-*/libcuda.so.390.157", "");
    put(t, "/opt/nvidia/*/lib64/libcuda.so.580.95.05", "");
    put(t, "/opt/nvidia/580/lib64/libcuda.so.570.86.15", "");
    check(
        t,
        "/usr/lib/nvidia-* 64 390.157\n/opt/nvidia/*/lib64 64 580.95.05\n/opt/nvidia/580/lib64 64 570.86.15\n"
        "580.95.05 570.86.15 390.157");
}

/* Where hosts have the driver that is not in /usr. */
static void test_own_folders(void **state)
{
    static const struct {
        const char *file, *folder;
    } hosts[] = {
        {"/run/opengl-driver/lib", "/nix/store/abc-graphics-drivers/lib"},
        {"/home/kubernetes/bin/nvidia/lib64", NULL},
        {"/usr/local/glibc/usr/lib", NULL},
        {"/opt/nvidia/580.95.05/lib64", NULL},
        {"/opt/nvidia/580.95.05/4230.2.3/lib64", NULL},
        {"/opt/nvidia/current/usr/lib64", NULL},
        {"/opt/nvidia/580.95.05/lib", NULL},
    };

    (void)state;
    for (size_t i = 0; i < NVL_LENGTH(hosts); i++) {
        void *other = NULL;
        setup_root(&other);
        const struct temp_root *t = other;
        const char *folder = hosts[i].folder != NULL ? hosts[i].folder : hosts[i].file;
        nvl_autofree char *file = nvl_xasprintf("%s/libcuda.so.580.95.05", folder);
        nvl_autofree char *wanted = nvl_xasprintf("%s 64 580.95.05\n580.95.05", folder);
        put(t, file, "");
        if (hosts[i].folder != NULL)
            put_link(t, "/run/opengl-driver", "/nix/store/abc-graphics-drivers");
        check(t, wanted);
        teardown_root(&other);
    }
}

/* A folder that the user names comes first; a link keeps its name, whatever it leads to later. */
static void test_named_folder(void **state)
{
    const struct temp_root *t = *state;
    nvl_auto(nvl_userspace_clear) struct nvl_userspace us = {0}, without = {0};

    put(t, "/usr/lib64/libcuda.so.550.90.07", "");
    put(t, "/srv/NVIDIA-Linux-580/libcuda.so.580.95.05", ""); /* an extracted .run file */
    put(t, "/srv/NVIDIA-Linux-580/32/libcuda.so.580.95.05", "");
    put_link(t, "/srv/nvidia", "NVIDIA-Linux-580");
    check(t, "/usr/lib64 64 550.90.07\n550.90.07");
    put(t, NVL_DRIVER_FOLDER_FILE, "/srv/nvidia\n");
    check(
        t,
        "/srv/NVIDIA-Linux-580 64 580.95.05\n/srv/NVIDIA-Linux-580/32 32 580.95.05\n/usr/lib64 64 550.90.07\n"
        "580.95.05 550.90.07");
    assert_int_equal(nvl_userspace_read(&t->root, &us, NULL), 0);
    assert_string_equal(us.from, "/srv/nvidia");
    assert_true(nvl_userspace_is_from(&us, "580.95.05"));
    assert_false(nvl_userspace_is_from(&us, "550.90.07"));
    assert_int_equal(nvl_userspace_read_from(&t->root, "", &without, NULL), 0);
    assert_null(without.from);
    assert_false(nvl_userspace_is_from(&without, NULL));
    static const char *const bad[] = {"", "srv/nvidia\n", "/srv/\033[31m\n"}; /* somebody else's text */
    for (size_t i = 0; i < NVL_LENGTH(bad); i++) {
        unlinkat(t->fd, &NVL_DRIVER_FOLDER_FILE[1], 0);
        put(t, NVL_DRIVER_FOLDER_FILE, bad[i]);
        assert_null(nvl_driver_folder(&t->root));
    }
    check(t, "/usr/lib64 64 550.90.07\n550.90.07");
}

static void put_library(const struct temp_root *t, const char *path, unsigned char elf_class,
                        unsigned char machine)
{
    char head[20] = "\177ELF";

    head[4] = (char)elf_class;
    head[18] = (char)machine;
    assert_int_equal(nvl_tree_file(t->fd, path, head, sizeof head, NULL), 0);
}

/* Debian has libraries of several architectures side by side. */
static void test_architectures(void **state)
{
    const struct temp_root *t = *state;

    put_library(t, "/usr/lib64/libcuda.so.550.90.07", 2, EM_AARCH64);
    put_library(t, "/usr/lib64/nvidia/libcuda.so.550.90.07", 2, EM_X86_64);
    put_library(t, LIB32 "/libcuda.so.550.90.07", 1, EM_386);
    put_library(t, "/usr/lib/arm-linux-gnueabihf/libcuda.so.550.90.07", 1, EM_ARM);
    put(t, "/usr/lib/aarch64-linux-gnu/nvidia/current/libcuda.so.550.90.07", "");
    put(t, LIB "/nvidia/current/libcuda.so.550.90.07", "");
    check(t, LIB "/nvidia/current 64 550.90.07\n/usr/lib64/nvidia 64 550.90.07\n" LIB32
                 " 32 550.90.07\n550.90.07");
    be_machine("aarch64");
    check(t, "/usr/lib/aarch64-linux-gnu/nvidia/current 64 550.90.07\n/usr/lib64 64 550.90.07\n"
             "/usr/lib/arm-linux-gnueabihf 32 550.90.07\n550.90.07");
    be_machine("x86_64");
}

/* What an installation left that packages replaced: no module of its version is there, another's is. */
static void test_remnants(void **state)
{
    const struct temp_root *t = *state;
    nvl_auto(nvl_userspace_clear) struct nvl_userspace us = {0};

    put_debian(t, LIB, "x86_64-linux-gnu", "550.163.01");
    put(t, LIB "/libcuda.so.570.133.07", "");
    check(t, LIB "/nvidia/current 64 550.163.01\n" LIB " 64 570.133.07\n" LIB
                 " 64 550.163.01\n570.133.07 550.163.01");
    put(t, "/usr/src/nvidia-current-550.163.01/dkms.conf", "");
    assert_int_equal(nvl_userspace_read(&t->root, &us, NULL), 0);
    assert_int_equal(us.versions.count, 1);
    assert_string_equal(us.versions.items[0], "550.163.01");
    assert_int_equal(us.remnants.count, 1);
    assert_string_equal(us.remnants.items[0], "570.133.07");
    /* the one whose module is loaded, or that dkms will build, is none */
    put(t, "/var/lib/dkms/nvidia/570.133.07/source", "");
    check(t, LIB "/nvidia/current 64 550.163.01\n" LIB " 64 570.133.07\n" LIB
                 " 64 550.163.01\n570.133.07 550.163.01");
}

/* A file that can be read says its class itself, wherever it lies. */
static void test_class_of_files(void **state)
{
    const struct temp_root *t = *state;
    char head[20] = "\177ELF\1\1\1";

    assert_int_equal(nvl_tree_file(t->fd, "/usr/lib64/libcuda.so.550.90.07", head, sizeof head, NULL), 0);
    head[4] = 2;
    assert_int_equal(nvl_tree_file(t->fd, "/usr/lib32/libcuda.so.550.90.08", head, sizeof head, NULL), 0);
    check(t, "/usr/lib64 32 550.90.07\n/usr/lib32 64 550.90.08\n550.90.08");
}

static void test_no_userspace(void **state)
{
    const struct temp_root *t = *state;

    put(t, "/etc/ld.so.cache", "not a cache");
    put(t, LIB "/libcuda.so.1", "");
    check(t, "");
}

static void put_gpu(const struct temp_root *t)
{
    put(t, "/proc/driver/nvidia/gpus/0000:17:00.0/information",
        "Model: \t\t NVIDIA H100 80GB HBM3\nGPU UUID: \t " UUID_0 "\nDevice Minor: \t 0\n");
    put(t, "/proc/driver/nvidia/capabilities/gpu0/mig/gi1/access", "DeviceFileMinor: 12\n");
    put(t, "/proc/driver/nvidia/capabilities/gpu0/mig/gi1/ci0/access", "DeviceFileMinor: 13\n");
    put(t, "/proc/driver/nvidia-caps/mig-minors", "config 1\nmonitor 2\ngpu0/gi1/access 12\n");
    put(t, "/sys/devices/pci0/0000:17:00.0/vendor", "0x10de\n");
    put(t, "/sys/devices/pci0/0000:17:00.0/device", "0x2330\n");
    put(t, "/sys/devices/pci0/0000:17:00.0/class", "0x030200\n");
    put(t, "/sys/devices/pci0/0000:17:00.0/drm/card1/dev", "226:1\n");
    put(t, "/sys/devices/pci0/0000:17:00.0/serial", "SECRET\n");
    put_link(t, "/sys/devices/pci0/0000:17:00.0/driver", "../../../bus/pci/drivers/nvidia");
    put_link(t, "/sys/bus/pci/devices/0000:17:00.0", "../../../devices/pci0/0000:17:00.0");
    put(t, "/sys/bus/pci/devices/0000:18:00.0/vendor", "0x10de\n");
    put(t, "/sys/bus/pci/devices/0000:18:00.0/class", "0x030000\n");
    put(t, "/sys/bus/pci/devices/0000:18:00.0/device", "0x2684\n");
    put_link(t, "/sys/bus/pci/devices/0000:18:00.0/driver", "../../../../bus/pci/drivers/vfio-pci");
}

static void put_host(const struct temp_root *t)
{
    static const char *const pairs[] = {"libcuda.so.1", "/lib/x86_64-linux-gnu/libcuda.so.1"};

    put(t, "/proc/driver/nvidia/version",
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.163.01  Release Build  (root@SECRET)  "
        "Tue\n"
        "GCC version:  gcc version 14.2.0 (Debian 14.2.0-19)\n");
    put(t, "/proc/driver/nvidia/params", "DeviceFileMode: 432\n");
    put(t, "/proc/devices", "Character devices:\n195 nvidia\n505 nvidia-caps\n506 nvidia-uvm\n");
    put(t, "/proc/modules", "nvidia 60710912 25 nvidia_uvm, Live 0xffffffffc0SECRET (POE)\n");
    put(t, "/proc/version", "Linux version 6.8.12-4-pve (build@SECRET) (gcc 12.2.0) #1 SMP\n");
    put(t, "/etc/hostname", "SECRET\n");
    put(t, "/etc/debian_version", "13.1\n");
    put_gpu(t);
    put_node(t, "/dev/nvidia0", 195, 0, 0660);
    put_node(t, "/dev/nvidia-uvm", 511, 0, 0666);
    put_node(t, "/dev/nvidia-caps/nvidia-cap12", 505, 12, 0444);
    put_node(t, "/dev/dri/card1", 226, 1, 0660);
    put_node(t, "/dev/null", 1, 3, 0666);
    put(t, "/dev/nvidiactl", "");
    put_debian(t, LIB, "x86_64-linux-gnu", "550.163.01");
    put(t, LIB "/libSECRET.so.1", "");
    put_cache(t, pairs, 1);
}

/* What makes nodes from the list `nodes` when a fixture is used. */
static void make_nodes(const struct temp_root *t)
{
    nvl_autofree char *text = NULL;
    size_t len, pos = 0, line_len;
    const char *line;

    assert_int_equal(nvl_root_read(&t->root, "/nodes", 1u << 20, &text, &len), 0);
    while (nvl_next_line(text, len, &pos, &line, &line_len)) {
        nvl_autofree char *copy = nvl_xasprintf("/%.*s", (int)line_len, line);
        char path[128];
        unsigned major, minor, mode;
        assert_int_equal(sscanf(copy, "%127s c %u %u %o", path, &major, &minor, &mode), 4);
        put_node(t, path, major, minor, (mode_t)mode);
    }
}

static void check_same_gpus(const struct nvl_gpus *a, const struct nvl_gpus *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        struct nvl_gpu x = a->items[i], y = b->items[i];
        assert_int_equal(x.n_migs, y.n_migs);
        if (x.n_migs > 0)
            assert_memory_equal(x.migs, y.migs, x.n_migs * sizeof *x.migs);
        assert_string_equal(x.pci, y.pci);
        assert_string_equal(x.uuid, y.uuid);
        assert_string_equal(x.model, y.model);
        assert_string_equal(x.driver_name, y.driver_name);
        assert_int_equal(x.minor, y.minor);
        assert_int_equal(x.index, y.index);
        assert_int_equal(x.pci_device, y.pci_device);
        assert_int_equal(x.driver, y.driver);
        assert_int_equal(x.card, y.card);
        assert_int_equal(x.render, y.render);
        assert_int_equal(x.mig_enabled, y.mig_enabled);
    }
}

static void check_same_nodes(const struct nvl_host *a, const struct nvl_host *b)
{
    static const struct {
        enum nvl_node_kind kind;
        unsigned n;
        enum nvl_node_state state;
    } nodes[] = {{NVL_NODE_GPU, 0, NVL_NODE_OK},    {NVL_NODE_CTL, 0, NVL_NODE_NOT_DEVICE},
                 {NVL_NODE_UVM, 0, NVL_NODE_STALE}, {NVL_NODE_UVM_TOOLS, 0, NVL_NODE_MISSING},
                 {NVL_NODE_CAP, 12, NVL_NODE_OK},   {NVL_NODE_DRI, 1, NVL_NODE_OK}};

    for (size_t i = 0; i < NVL_LENGTH(nodes); i++) {
        struct nvl_node x = nvl_node_make(nodes[i].kind, nodes[i].n, false, &a->majors, &a->params);
        struct nvl_node y = nvl_node_make(nodes[i].kind, nodes[i].n, false, &b->majors, &b->params);
        nvl_node_check(a->root, &x);
        nvl_node_check(b->root, &y);
        assert_int_equal(x.state, nodes[i].state);
        assert_int_equal(y.state, nodes[i].state);
        assert_int_equal(x.found_major, y.found_major);
        if (nodes[i].state != NVL_NODE_NOT_DEVICE)
            assert_int_equal(x.found_mode, y.found_mode);
    }
}

static int refuse_secrets(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    nvl_autofree char *data = NULL;
    size_t len;

    (void)st, (void)ftw;
    assert_null(strstr(path, "SECRET"));
    if (type != FTW_F || !S_ISREG(st->st_mode))
        return 0;
    nvl_autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(nvl_fd_read(fd, 1u << 20, &data, &len), 0);
    if (memmem(data, len, "SECRET", 6) != NULL)
        fail_msg("%s tells a secret", path);
    return 0;
}

static void test_capture(void **state)
{
    const struct temp_root *t = *state;
    void *other = NULL;
    nvl_auto(nvl_host_clear) struct nvl_host a = {0}, b = {0};
    struct nvl_modules m;
    struct nvl_error err = {0};

    setup_root(&other);
    const struct temp_root *captured = other;
    put_host(t);
    assert_int_equal(nvl_capture(&t->root, captured->fd, &err), 0);
    make_nodes(captured);

    assert_int_equal(nvl_host_read(&a, &t->root, NVL_GPUS_ALL, NULL), 0);
    assert_int_equal(nvl_host_read(&b, &captured->root, NVL_GPUS_ALL, NULL), 0);
    assert_string_equal(b.driver.version, "550.163.01");
    assert_int_equal(b.driver.flavour, NVL_FLAVOUR_OPEN);
    assert_memory_equal(&a.majors, &b.majors, sizeof a.majors);
    assert_int_equal(b.params.mode, 0660);
    assert_int_equal(b.gpus.count, 2);
    check_same_gpus(&a.gpus, &b.gpus);
    check_same_nodes(&a, &b);
    assert_int_equal(nvl_modules_read(&captured->root, &m, NULL), 0);
    assert_true(m.nvidia);
    nvl_autofree char *libraries = describe(&t->root);
    assert_string_equal(libraries, LIB "/nvidia/current 64 550.163.01\n" LIB " 64 550.163.01\n550.163.01");
    check(captured, libraries);
    assert_true(nvl_root_exists(&captured->root, "/proc/driver/nvidia-caps/mig-minors"));
    assert_false(nvl_root_exists(&captured->root, "/dev/null"));
    nftw(captured->dir, refuse_secrets, 16, FTW_PHYS);
    teardown_root(&other);
}

static void test_capture_full(void **state)
{
    const struct temp_root *t = *state;
    struct nvl_error err = {0};

    put_host(t);
    nvl_autofd int gone =
        open("/proc/self/fdinfo", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* cannot be written */
    assert_true(nvl_capture(&t->root, gone, &err) < 0);
    assert_true(nvl_has_prefix(err.message, "cannot make the directory proc"));
}

int main(void)
{
#define WITH_ROOT(test) cmocka_unit_test_setup_teardown(test, setup_root, teardown_root)
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_elf),         WITH_ROOT(test_damaged_elf),      cmocka_unit_test(test_nvml),
        cmocka_unit_test(test_no_nvml),     WITH_ROOT(test_debian),           WITH_ROOT(test_cache_first),
        WITH_ROOT(test_installer),          WITH_ROOT(test_private_prefixes), WITH_ROOT(test_class_of_files),
        WITH_ROOT(test_no_userspace),       WITH_ROOT(test_capture),          WITH_ROOT(test_capture_full),
        cmocka_unit_test(test_own_folders), WITH_ROOT(test_star_in_name),     WITH_ROOT(test_named_folder),
        WITH_ROOT(test_architectures),      WITH_ROOT(test_remnants),
    };
    return cmocka_run_group_tests(tests, be_x86_64, NULL);
}
