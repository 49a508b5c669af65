/* The host room as the start hook uses it: texts of /proc as the driver prints them, and trees of a few
 * files. */
#include "machine.h"
#include "temp_root.h"

#include <elf.h>

#include "host/host.h"
#include "host/module.h"

#define UUID_0 "GPU-3291dfa4-fcc4-0110-615b-c894a0d7c689"
#define UUID_1 "GPU-aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
/* In pieces, since ??- is a trigraph. */
#define UUID_UNKNOWN                                                                                         \
    "GPU-????????"                                                                                           \
    "-????"                                                                                                  \
    "-????"                                                                                                  \
    "-????"                                                                                                  \
    "-????????????"
#define GPUS "/proc/driver/nvidia/gpus"
#define SYS  "/sys/bus/pci/devices"

static void test_version_shapes(void **state)
{
    static const struct {
        const char *text, *version;
        enum nvl_flavour flavour;
    } cases[] = {
        {"NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.163.01  Tue Apr  8 12:41:17 UTC 2025\n"
         "GCC version:  gcc version 14.2.0 (Debian 14.2.0-19) \n",
         "550.163.01", NVL_FLAVOUR_PROPRIETARY},
        {"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.163.01  Release Build  "
         "(buildd@debian)  "
         "Tue Dec 16 15:38:44 UTC 2025\nGCC version:  gcc version 14.2.0 (Debian 14.2.0-19) \n",
         "550.163.01", NVL_FLAVOUR_OPEN},
        {"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  565.57.01  Release Build  "
         "(dvs-builder@U16-A24-9-2)  Thu Oct 10 12:15:00 UTC 2024\n"
         "GCC version:  gcc version 13.3.0 (Ubuntu 13.3.0-6ubuntu2~24.04)\n",
         "565.57.01", NVL_FLAVOUR_OPEN},
        {"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  525.60.11  Release Build  "
         "(archlinux-builder@localhost)  \nGCC version:  gcc version 12.2.0 (GCC) \n",
         "525.60.11", NVL_FLAVOUR_OPEN},
        {"NVRM version: NVIDIA UNIX x86_64 Kernel Module  430.50", "430.50", NVL_FLAVOUR_PROPRIETARY},
        {"GCC version:  gcc version 12.2.0 (GCC) \n", "", NVL_FLAVOUR_UNKNOWN},
        {"NVRM version: NVIDIA UNIX x86_64 Kernel Module\nGCC version: 12.2.0\n", "",
         NVL_FLAVOUR_PROPRIETARY},
        {"", "", NVL_FLAVOUR_UNKNOWN},
    };

    (void)state;
    for (size_t i = 0; i < NVL_LENGTH(cases); i++) {
        struct nvl_driver_version v;
        nvl_driver_version_parse(cases[i].text, strlen(cases[i].text), &v);
        assert_true(v.loaded);
        assert_string_equal(v.version, cases[i].version);
        assert_int_equal(v.flavour, cases[i].flavour);
    }
    assert_string_equal(nvl_flavour_name(NVL_FLAVOUR_OPEN), "open");
    assert_string_equal(nvl_flavour_name(NVL_FLAVOUR_PROPRIETARY), "proprietary");
    assert_null(nvl_flavour_name(NVL_FLAVOUR_UNKNOWN));
}

static void test_is_version(void **state)
{
    static const char *const good[] = {"550.163.01", "430.50", "1.2"};
    static const char *const bad[] = {
        "",        "1",      "550.",   ".550",        "550..1",
        "1.2.3.4", "x86_64", "550.1a", "550.163.01 ", "999999999999.999999999.99"};

    (void)state;
    for (size_t i = 0; i < NVL_LENGTH(good); i++)
        assert_true(nvl_is_version(good[i], strlen(good[i])));
    for (size_t i = 0; i < NVL_LENGTH(bad); i++)
        assert_false(nvl_is_version(bad[i], strlen(bad[i])));
    assert_true(nvl_is_version("550.163.01-2", 10)); /* no more than the length is looked at */
}

static void test_version_compare(void **state)
{
    static const char *const rising[] = {"430.50",    "535.54.03",  "535.261.03", "550.90",
                                         "550.90.07", "550.163.01", "1000.1"};

    (void)state;
    for (size_t i = 0; i < NVL_LENGTH(rising); i++)
        for (size_t j = 0; j < NVL_LENGTH(rising); j++) {
            int order = nvl_version_compare(rising[i], rising[j]);
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
    assert_int_equal(nvl_version_compare("535.54.03", "535.54.3"), 0);
}

static void test_majors(void **state)
{
    static const char text[] = "Character devices:\n  1 mem\n195 nvidia\n195 nvidia-modeset\n195 nvidiactl\n"
                               "226 drm\n504 nvidia-caps-imex-channels\n505 nvidia-caps\n506 nvidia-uvm\n"
                               "\nBlock devices:\n  8 sd\n 77 nvidia-uvm\n";
    static const char old[] = "Character devices:\n195 nvidia-frontend\n510 nvidia-uvm\n";
    static const char odd[] = "Character devices:\n99999999999 nvidia-uvm\nnvidia-caps\n 12\n-5 nvidia\n"
                              "13 nvidia-nvlink extra\n234 nvidia-nvswitch";
    struct nvl_majors m;

    (void)state;
    nvl_majors_parse(text, sizeof text - 1, &m);
    assert_int_equal(m.nvidia, 195);
    assert_int_equal(m.uvm, 506);
    assert_int_equal(m.caps, 505);
    assert_int_equal(m.caps_imex, 504);
    assert_int_equal(m.nvswitch, -1);
    assert_int_equal(m.nvlink, -1);
    nvl_majors_parse(old, sizeof old - 1, &m);
    assert_int_equal(m.nvidia, 195);
    assert_int_equal(m.uvm, 510);
    assert_int_equal(m.caps, -1);
    nvl_majors_parse(odd, sizeof odd - 1, &m);
    assert_int_equal(m.uvm, -1);
    assert_int_equal(m.caps, -1);
    assert_int_equal(m.nvidia, -1);
    assert_int_equal(m.nvlink, -1);
    assert_int_equal(m.nvswitch, 234);
}

static void test_params(void **state)
{
    static const char text[] = "RmLogonRC: 1\nModifyDeviceFiles: 0\nDeviceFileUID: 7\nDeviceFileGID: 44\n"
                               "DeviceFileMode: 432\nRegistryDwords: \"\"\n";
    static const char odd[] = "DeviceFileMode: 99999\nDeviceFileUID: -1\nDeviceFileGID:\n";
    struct nvl_params p;

    (void)state;
    nvl_params_parse(text, sizeof text - 1, &p);
    assert_false(p.modify_device_files);
    assert_int_equal(p.uid, 7);
    assert_int_equal(p.gid, 44);
    assert_int_equal(p.mode, 0660);
    nvl_params_parse(odd, sizeof odd - 1, &p);
    assert_true(p.modify_device_files);
    assert_int_equal(p.uid, 0);
    assert_int_equal(p.gid, 0);
    assert_int_equal(p.mode, 0666);
}

static void test_pci(void **state)
{
    static const struct {
        const char *text, *pci;
    } good[] = {{"01:00.0", "0000:01:00.0"},
                {"0000:01:00.0", "0000:01:00.0"},
                {"00000000:C1:1f.7", "0000:c1:1f.7"},
                {"10000:e1:00.0", "10000:e1:00.0"},
                {"0001:3:0.0", "0001:03:00.0"}};
    static const char *const bad[] = {"",
                                      "0",
                                      "01:00",
                                      "01:00.8",
                                      "01:20.0",
                                      "0:1",
                                      "01:00.0 ",
                                      "01:00.0x",
                                      "x1:00.0",
                                      "100:00.0.0",
                                      "123:00.0",
                                      "0000:01:00:0",
                                      "000000001:01:00.0",
                                      ":01:00.0"};
    char pci[NVL_PCI_MAX];

    (void)state;
    for (size_t i = 0; i < NVL_LENGTH(good); i++) {
        assert_true(nvl_pci_normalise(good[i].text, pci));
        assert_string_equal(pci, good[i].pci);
    }
    for (size_t i = 0; i < NVL_LENGTH(bad); i++)
        if (nvl_pci_normalise(bad[i], pci))
            fail_msg("'%s' was taken as %s", bad[i], pci);
}

static void test_information(void **state)
{
    static const char text[] =
        "Model: \t\t NVIDIA RTX A5500 Laptop GPU\nIRQ:   \t\t 203\nGPU UUID: \t " UUID_0
        "\nVideo BIOS: \t 94.03.24.00.41\nBus Type: \t PCIe\nDMA Size: \t 47 bits\n"
        "Bus Location: \t 0000:01:00.0\nDevice Minor: \t 3\n"
        "GPU Firmware: \t 550.163.01\nGPU Excluded:\t No\n";
    static const char early[] = "Model: \t\t Unknown\nGPU UUID: \t " UUID_UNKNOWN "\n"
                                "Device Minor: \t x\nGPU Excluded:\t Yes\n";
    struct nvl_gpu gpu = {.minor = -1};

    (void)state;
    nvl_gpu_parse_information(text, sizeof text - 1, &gpu);
    assert_string_equal(gpu.model, "NVIDIA RTX A5500 Laptop GPU");
    assert_string_equal(gpu.uuid, UUID_0);
    assert_string_equal(gpu.pci, "0000:01:00.0");
    assert_int_equal(gpu.minor, 3);
    assert_false(gpu.excluded);

    gpu = (struct nvl_gpu){.minor = -1};
    nvl_gpu_parse_information(early, sizeof early - 1, &gpu);
    assert_string_equal(gpu.uuid, "");
    assert_int_equal(gpu.minor, -1);
    assert_true(gpu.excluded);
}

static void put_gpu(const struct temp_root *t, const char *pci, const char *uuid, unsigned minor,
                    const char *excluded)
{
    nvl_autofree char *path = nvl_xasprintf(GPUS "/%s/information", pci);
    nvl_autofree char *text =
        nvl_xasprintf("Model: \t\t NVIDIA GeForce RTX 3090\nGPU UUID: \t %s\nBus Location: \t %s\n"
                      "Device Minor: \t %u\nGPU Excluded:\t %s\n",
                      uuid, pci, minor, excluded);
    put(t, path, text);
}

static void put_pci(const struct temp_root *t, const char *pci, const char *vendor, const char *class,
                    const char *driver)
{
    const char *const names[] = {"vendor", "class", "device"}, *const values[] = {vendor, class, "0x2204\n"};

    for (size_t i = 0; i < NVL_LENGTH(names); i++) {
        nvl_autofree char *path = nvl_xasprintf(SYS "/%s/%s", pci, names[i]);
        put(t, path, values[i]);
    }
    nvl_autofree char *link = nvl_xasprintf(SYS "/%s/driver", pci);
    nvl_autofree char *target = nvl_xasprintf("../../../../bus/pci/drivers/%s", driver);
    if (*driver != '\0')
        put_link(t, link, target);
}

static void test_gpus_of_proc(void **state)
{
    const struct temp_root *t = *state;
    nvl_auto(nvl_gpus_clear) struct nvl_gpus gpus = {0};

    put_gpu(t, "0000:c1:00.0", UUID_1, 0, "No"); /* minors against the order of the bus */
    put_gpu(t, "0000:01:00.0", UUID_0, 2, "No");
    put_gpu(t, "0000:21:00.0", UUID_UNKNOWN, 1, "Yes");
    put_gpu(t, "10000:01:00.0", "", 3, "No");
    put(t, GPUS "/not-an-address/information", "Device Minor: 9\n");
    assert_int_equal(nvl_gpus_read(&t->root, NVL_GPUS_PROC, &gpus, NULL), 0);
    assert_int_equal(gpus.count, 4);
    assert_string_equal(gpus.items[0].pci, "0000:01:00.0");
    assert_int_equal(gpus.items[0].index, 0);
    assert_int_equal(gpus.items[0].minor, 2);
    assert_int_equal(gpus.items[0].card, -1);
    assert_int_equal(gpus.items[0].driver, NVL_GPU_NVIDIA);
    assert_int_equal(gpus.items[1].index, -1); /* NVML does not count an excluded one */
    assert_ptr_equal(nvl_gpu_by_index(&gpus, 1), &gpus.items[2]);
    assert_ptr_equal(nvl_gpu_by_index(&gpus, 2), &gpus.items[3]);
    assert_null(nvl_gpu_by_index(&gpus, 3));
    assert_string_equal(gpus.items[3].pci, "10000:01:00.0"); /* a long domain comes last */
    assert_ptr_equal(nvl_gpu_by_uuid(&gpus, UUID_1), &gpus.items[2]);
    assert_ptr_equal(nvl_gpu_by_uuid(&gpus, "GPU-AAAAAAAA-BBBB-CCCC-DDDD-EEEEEEEEEEEE"), &gpus.items[2]);
    assert_null(nvl_gpu_by_uuid(&gpus, ""));
    assert_ptr_equal(nvl_gpu_by_pci(&gpus, "00000000:C1:00.0"), &gpus.items[2]);
    assert_null(nvl_gpu_by_pci(&gpus, "02:00.0"));
}

static void test_gpus_of_sysfs(void **state)
{
    const struct temp_root *t = *state;
    nvl_auto(nvl_gpus_clear) struct nvl_gpus gpus = {0}, dri = {0};

    put_gpu(t, "0000:21:00.0", UUID_0, 0, "No");
    put_gpu(t, "0000:41:00.0", UUID_1, 1, "No"); /* /proc alone has it */
    put_pci(t, "0000:00:02.0", "0x8086\n", "0x030000\n", "i915");
    put_pci(t, "0000:01:00.0", "0x10de\n", "0x030000\n", "vfio-pci");
    put_pci(t, "0000:01:00.1", "0x10de\n", "0x040300\n", "snd_hda_intel");
    put_pci(t, "0000:11:00.0", "0x10de\n", "0x030000\n", "nouveau");
    put_pci(t, "0000:12:00.0", "0x10de\n", "0x030200\n", "NovaCore");
    put_pci(t, "0000:21:00.0", "0x10de\n", "0x030200\n", "nvidia");
    put_pci(t, "0000:31:00.0", "0x10de\n", "0x030000\n", "");
    put_pci(t, "0000:32:00.0", "0x10de\n", "0x030000\n", "mystery");
    put(t, SYS "/0000:21:00.0/drm/card2/x", "");
    put(t, SYS "/0000:21:00.0/drm/renderD129/x", "");

    /* where it has a modalias, that is all that is asked */
    put(t, SYS "/0000:12:00.0/modalias", "pci:v000010DEd00002204sv00001043sd000087D8bc03sc02i00\n");
    put(t, SYS "/0000:32:00.0/modalias", "pci:v000010DEd00002204sv00001043sd000087D8bc03sc00i00\n");
    put_pci(t, "0000:33:00.0", "-\n", "-\n", "snd_hda_intel");
    put(t, SYS "/0000:33:00.0/modalias", "pci:v000010DEd00001AEFsv00001043sd000087D8bc04sc03i00\n");
    put_pci(t, "0000:34:00.0", "-\n", "-\n", "ucsi");
    put(t, SYS "/0000:34:00.0/modalias", "pci:v000010DEd00001AEDsv00001043sd000087D8bc03sc80i00\n");
    put_pci(t, "0000:35:00.0", "-\n", "-\n", "");
    put(t, SYS "/0000:35:00.0/modalias", "pci:v000010DEd00002B85sv00001043sd000087D8bc03sc00i00\n");
    put_pci(t, "0000:36:00.0", "-\n", "-\n", "i915");
    put(t, SYS "/0000:36:00.0/modalias", "pci:v00008086d00002B85sv00001043sd000087D8bc03sc00i00\n");

    assert_int_equal(nvl_gpus_read(&t->root, NVL_GPUS_ALL, &gpus, NULL), 0);
    static const struct {
        const char *pci, *name;
        enum nvl_gpu_driver driver;
        int index;
    } wanted[] = {
        {"0000:01:00.0", "vfio-pci", NVL_GPU_VFIO, -1}, {"0000:11:00.0", "nouveau", NVL_GPU_NOUVEAU, -1},
        {"0000:12:00.0", "NovaCore", NVL_GPU_NOVA, -1}, {"0000:21:00.0", "nvidia", NVL_GPU_NVIDIA, 0},
        {"0000:31:00.0", "", NVL_GPU_NO_DRIVER, -1},    {"0000:32:00.0", "mystery", NVL_GPU_OTHER_DRIVER, -1},
        {"0000:35:00.0", "", NVL_GPU_NO_DRIVER, -1},    {"0000:41:00.0", "nvidia", NVL_GPU_NVIDIA, 1},
    };
    assert_int_equal(gpus.count, NVL_LENGTH(wanted));
    for (size_t i = 0; i < NVL_LENGTH(wanted); i++) {
        assert_string_equal(gpus.items[i].pci, wanted[i].pci);
        assert_string_equal(gpus.items[i].driver_name, wanted[i].name);
        assert_int_equal(gpus.items[i].driver, wanted[i].driver);
        assert_int_equal(gpus.items[i].index, wanted[i].index);
    }
    assert_int_equal(gpus.items[3].pci_device, 0x2204);
    assert_int_equal(gpus.items[3].card, 2);
    assert_int_equal(gpus.items[3].render, 129);
    assert_int_equal(gpus.items[6].pci_device, 0x2b85);
    assert_int_equal(gpus.items[7].card, -1);

    assert_int_equal(nvl_gpus_read(&t->root, NVL_GPUS_DRI, &dri, NULL), 0);
    assert_int_equal(dri.count, 2);
    assert_int_equal(dri.items[0].card, 2);
    assert_int_equal(dri.items[0].pci_device, 0);
}

static void test_virtual_functions(void **state)
{
    const struct temp_root *t = *state;
    nvl_auto(nvl_gpus_clear) struct nvl_gpus proc = {0}, all = {0};

    put_gpu(t, "0000:21:00.0", UUID_0, 0, "No");
    put_gpu(t, "0000:20:00.4", UUID_1, 1, "No");
    put_pci(t, "0000:21:00.0", "0x10de\n", "0x030200\n", "nvidia");
    put_pci(t, "0000:20:00.4", "0x10de\n", "0x030200\n", "nvidia");
    put_pci(t, "0000:22:00.4", "0x10de\n", "0x030200\n", "vfio-pci");
    put_link(t, SYS "/0000:20:00.4/physfn", "../0000:21:00.0");
    put_link(t, SYS "/0000:22:00.4/physfn", "../0000:21:00.0");
    /* the hook's way, too */
    assert_int_equal(nvl_gpus_read(&t->root, NVL_GPUS_PROC, &proc, NULL), 0);
    assert_int_equal(proc.count, 2);
    assert_string_equal(proc.items[0].physical, "0000:21:00.0");
    assert_int_equal(proc.items[0].index, -1);
    assert_int_equal(proc.items[0].minor, -1);
    assert_string_equal(proc.items[0].uuid, "");
    assert_int_equal(proc.items[1].index, 0);
    assert_string_equal(proc.items[1].physical, "");
    assert_int_equal(nvl_gpus_read(&t->root, NVL_GPUS_ALL, &all, NULL), 0);
    assert_int_equal(all.count, 3);
    assert_string_equal(all.items[2].physical, "0000:21:00.0");
}

static void test_lost_gpu(void **state)
{
    static const char lost[] = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
                               "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
                               "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
                               "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff";
    static const struct {
        const char *pci, *driver, *config, *power;
        bool is_lost;
    } cases[] = {{"0000:01:00.0", "nvidia", lost, "D0\n", true},
                 {"0000:02:00.0", "nvidia", lost, "D3cold\n", false},
                 {"0000:03:00.0", "nvidia", lost + 1, "D0\n", false}, /* cut short: it says nothing */
                 {"0000:04:00.0", "vfio-pci", lost, "D0\n", false},   /* not ours to wake */
                 {"0000:05:00.0", "", lost, "unknown\n", true}};
    const struct temp_root *t = *state;
    nvl_auto(nvl_gpus_clear) struct nvl_gpus gpus = {0};

    for (size_t i = 0; i < NVL_LENGTH(cases); i++) {
        nvl_autofree char *config = nvl_xasprintf(SYS "/%s/config", cases[i].pci);
        nvl_autofree char *power = nvl_xasprintf(SYS "/%s/power_state", cases[i].pci);
        if (strcmp(cases[i].driver, "nvidia") == 0)
            put_gpu(t, cases[i].pci, UUID_0, 0, "No");
        put_pci(t, cases[i].pci, "0x10de\n", "0x030200\n", cases[i].driver);
        put(t, config, cases[i].config);
        put(t, power, cases[i].power);
    }
    assert_int_equal(nvl_gpus_read(&t->root, NVL_GPUS_ALL, &gpus, NULL), 0);
    assert_int_equal(gpus.count, NVL_LENGTH(cases));
    for (size_t i = 0; i < NVL_LENGTH(cases); i++)
        if (gpus.items[i].is_lost != cases[i].is_lost)
            fail_msg("%s", cases[i].pci);
}

static void assert_gpus(const struct temp_root *t, const char *expected)
{
    nvl_auto(nvl_gpus_clear) struct nvl_gpus gpus = {0};
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    assert_int_equal(nvl_gpus_read(&t->root, NVL_GPUS_ALL, &gpus, NULL), 0);
    for (size_t i = 0; i < gpus.count; i++)
        nvl_strv_push(&names, gpus.items[i].pci);
    nvl_autofree char *list = nvl_strv_join(&names, " ");
    assert_string_equal(list, expected);
}

static void assert_gpus_with_bus(const struct temp_root *t, const char *bus, const char *expected)
{
    static const char path[] = "/proc/bus/pci/devices";

    put(t, path, bus);
    assert_gpus(t, expected);
    assert_int_equal(unlinkat(t->fd, path + 1, 0), 0);
}

/* The file of the whole bus saves looking at each device where it tells of the same ones as sysfs. That it is
 * read shows where it denies one that sysfs has. */
static void test_the_file_of_the_bus(void **state)
{
    const struct temp_root *t = *state;
    static const char all[] = "0000:01:00.0 0000:c1:1f.7 10000:01:00.0";

    put_pci(t, "0000:00:02.0", "0x8086\n", "0x030000\n", "i915");
    put_pci(t, "0000:01:00.0", "0x10de\n", "0x030000\n", "");
    put_pci(t, "0000:c1:1f.7", "0x10de\n", "0x030200\n", "nvidia");
    put_pci(t, "10000:01:00.0", "0x10de\n", "0x030200\n", "nvidia");
    assert_gpus(t, all);
    assert_gpus_with_bus(t,
                         "0010\t80863e98\t0\ti915\n0100\t10de2438\t0\nc1ff\t10222438\t0\n0100\t10222438\t0\n",
                         "0000:01:00.0 10000:01:00.0");
    /* not the same devices: one too few, one that sysfs does not have, no text of that kind */
    assert_gpus_with_bus(t, "0010\t80863e98\t0\n0100\t10222438\t0\nc1ff\t10222438\t0\n", all);
    assert_gpus_with_bus(t, "0010\t80863e98\t0\n0100\t10222438\t0\nc1fe\t10222438\t0\n0100\t10222438\t0\n",
                         all);
    assert_gpus_with_bus(t, "\nnothing\n\n\n", all);
}

#define MIG "/proc/driver/nvidia/capabilities/gpu4/mig"

static void test_mig(void **state)
{
    const struct temp_root *t = *state;
    nvl_auto(nvl_gpus_clear) struct nvl_gpus gpus = {0};
    static const char *const access[][2] = {
        {"gi10", "633"},    {"gi10/ci0", "634"}, {"gi2", "561"}, {"gi2/ci1", "563"},
        {"gi2/ci0", "562"}, {"gi3", "570"}, /* a GPU instance without a compute instance is no device */
    };

    put_gpu(t, "0000:17:00.0", UUID_0, 4, "No");
    put_gpu(t, "0000:18:00.0", UUID_1, 5, "No");
    for (size_t i = 0; i < NVL_LENGTH(access); i++) {
        nvl_autofree char *path = nvl_xasprintf(MIG "/%s/access", access[i][0]);
        nvl_autofree char *text =
            nvl_xasprintf("DeviceFileMinor: %s\nDeviceFileMode: 292\nDeviceFileModify: 1\n", access[i][1]);
        put(t, path, text);
    }
    put(t, MIG "/gi4/access", "DeviceFileMinor: 579\n");
    put(t, MIG "/gi4/ci0/access", "DeviceFileMinor: many\n");
    put(t, MIG "/gix/ci0/access", "DeviceFileMinor: 1\n");
    assert_int_equal(nvl_gpus_read(&t->root, NVL_GPUS_PROC, &gpus, NULL), 0);
    const struct nvl_gpu *gpu = &gpus.items[0];
    static const struct nvl_mig wanted[] = {{2, 0, 561, 562}, {2, 1, 561, 563}, {10, 0, 633, 634}};
    assert_true(gpu->mig_enabled);
    assert_int_equal(gpu->n_migs, NVL_LENGTH(wanted));
    assert_memory_equal(gpu->migs, wanted, sizeof wanted);
    assert_false(gpus.items[1].mig_enabled);
    assert_int_equal(gpus.items[1].n_migs, 0);
}

static void test_mig_without_instances(void **state)
{
    const struct temp_root *t = *state;
    nvl_auto(nvl_gpus_clear) struct nvl_gpus gpus = {0};

    put_gpu(t, "0000:17:00.0", UUID_0, 4, "No");
    put(t, MIG "/config", "DeviceFileMinor: 1\n");
    assert_int_equal(nvl_gpus_read(&t->root, NVL_GPUS_PROC, &gpus, NULL), 0);
    assert_true(gpus.items[0].mig_enabled);
    assert_int_equal(gpus.items[0].n_migs, 0);
}

static const struct nvl_majors majors = {195, 506, 505, -1, -1, -1};
static const struct nvl_params params = {true, 0, 0, 0660};

static void test_node_make(void **state)
{
    static const struct {
        enum nvl_node_kind kind;
        unsigned n;
        bool render;
        const char *path;
        int major, minor;
        unsigned mode;
    } cases[] = {
        {NVL_NODE_GPU, 12, false, "/dev/nvidia12", 195, 12, 0660},
        {NVL_NODE_CTL, 0, false, "/dev/nvidiactl", 195, 255, 0660},
        {NVL_NODE_MODESET, 0, false, "/dev/nvidia-modeset", 195, 254, 0660},
        {NVL_NODE_UVM, 0, false, "/dev/nvidia-uvm", 506, 0, 0660},
        {NVL_NODE_UVM_TOOLS, 0, false, "/dev/nvidia-uvm-tools", 506, 1, 0660},
        {NVL_NODE_CAP, 1, false, "/dev/nvidia-caps/nvidia-cap1", 505, 1, 0400},
        {NVL_NODE_CAP, 12, false, "/dev/nvidia-caps/nvidia-cap12", 505, 12, 0444},
        {NVL_NODE_DRI, 1, false, "/dev/dri/card1", 226, 1, 0},
        {NVL_NODE_DRI, 128, true, "/dev/dri/renderD128", 226, 128, 0},
    };

    (void)state;
    for (size_t i = 0; i < NVL_LENGTH(cases); i++) {
        struct nvl_node n = nvl_node_make(cases[i].kind, cases[i].n, cases[i].render, &majors, &params);
        assert_string_equal(n.path, cases[i].path);
        assert_int_equal(n.major, cases[i].major);
        assert_int_equal(n.minor, cases[i].minor);
        assert_int_equal(n.mode, cases[i].mode);
    }
}

static struct nvl_node look(const struct temp_root *t, enum nvl_node_kind kind, unsigned n)
{
    struct nvl_node node = nvl_node_make(kind, n, false, &majors, &params);

    nvl_node_check(&t->root, &node);
    return node;
}

static void test_node_check(void **state)
{
    const struct temp_root *t = *state;

    put_node(t, "/dev/nvidia0", 195, 0, 0666);
    put_node(t, "/dev/nvidia1", 195, 2, 0666);
    put_node(t, "/dev/nvidia2", 195, 2, 0640);
    put_node(t, "/dev/nvidia-uvm", 511, 0, 0600);
    put(t, "/dev/nvidia-uvm-tools", "");
    put_link(t, "/dev/nvidiactl", "nvidia0");
    assert_int_equal(mkfifoat(t->fd, "dev/nvidia3", 0666), 0);
    put_node(t, "/dev/dri/card0", 226, 0, 0600);

    assert_int_equal(look(t, NVL_NODE_GPU, 0).state, NVL_NODE_OK);
    assert_int_equal(look(t, NVL_NODE_GPU, 1).state, NVL_NODE_STALE);
    assert_int_equal(look(t, NVL_NODE_GPU, 2).state, NVL_NODE_MODE);
    assert_int_equal(look(t, NVL_NODE_GPU, 3).state, NVL_NODE_NOT_DEVICE);
    assert_int_equal(look(t, NVL_NODE_GPU, 4).state, NVL_NODE_MISSING);
    assert_int_equal(look(t, NVL_NODE_CTL, 0).state, NVL_NODE_NOT_DEVICE);
    assert_int_equal(look(t, NVL_NODE_UVM_TOOLS, 0).state, NVL_NODE_NOT_DEVICE);
    assert_int_equal(look(t, NVL_NODE_MODESET, 0).state, NVL_NODE_MISSING);
    assert_int_equal(look(t, NVL_NODE_DRI, 0).state, NVL_NODE_OK); /* its mode is udev's business */
    struct nvl_node uvm = look(t, NVL_NODE_UVM, 0);
    assert_int_equal(uvm.state, NVL_NODE_STALE);
    assert_int_equal(uvm.found_major, 511);
    assert_int_equal(uvm.found_minor, 0);
    assert_int_equal(uvm.found_mode, 0600);
    assert_string_equal(nvl_node_state_name(uvm.state), "stale");
}

static void test_node_without_driver(void **state)
{
    const struct temp_root *t = *state;
    static const struct nvl_majors none = {-1, -1, -1, -1, -1, -1};
    struct nvl_node node = nvl_node_make(NVL_NODE_UVM, 0, false, &none, &params);

    nvl_node_check(&t->root, &node);
    assert_int_equal(node.state, NVL_NODE_MISSING);
    put_node(t, "/dev/nvidia-uvm", 506, 0, 0666);
    nvl_node_check(&t->root, &node);
    assert_int_equal(node.state, NVL_NODE_STALE);
}

static void test_modules(void **state)
{
    const struct temp_root *t = *state;
    struct nvl_modules m;

    assert_int_equal(nvl_modules_read(&t->root, &m, NULL), 0);
    assert_false(m.nvidia);
    put(t, "/proc/modules",
        "nvidia_uvm 4919296 2 - Live 0x0000000000000000 (POE)\n"
        "nvidia_drm 122880 0 - Live 0x0000000000000000 (POE)\n"
        "vfio_pci_core 94208 1 vfio_pci, Live 0x0000000000000000\n"
        "nvidia 60710912 25 nvidia_uvm, Live 0x0000000000000000 (POE)\n");
    assert_int_equal(nvl_modules_read(&t->root, &m, NULL), 0);
    assert_true(m.nvidia && m.nvidia_uvm && m.nvidia_drm);
    assert_false(m.nvidia_modeset || m.nouveau || m.nova_core || m.vfio_pci);
}

static void test_empty_host(void **state)
{
    const struct temp_root *t = *state;
    nvl_auto(nvl_host_clear) struct nvl_host host = {0};

    assert_int_equal(nvl_host_read(&host, &t->root, NVL_GPUS_ALL, NULL), 0);
    assert_false(host.driver.loaded);
    assert_string_equal(host.driver.version, "");
    assert_int_equal(host.majors.nvidia, -1);
    assert_int_equal(host.params.mode, 0666);
    assert_int_equal(host.gpus.count, 0);
}

static void test_host(void **state)
{
    const struct temp_root *t = *state;
    nvl_auto(nvl_host_clear) struct nvl_host host = {0};
    struct nvl_error err = {0};

    put(t, "/proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.261.03  x\n");
    put(t, "/proc/driver/nvidia/params", "DeviceFileMode: 432\n");
    put(t, "/proc/devices", "Character devices:\n195 nvidia-frontend\n234 nvidia-uvm\n");
    put_gpu(t, "0000:01:00.0", UUID_0, 0, "No");
    assert_int_equal(nvl_host_read(&host, &t->root, NVL_GPUS_PROC, &err), 0);
    assert_ptr_equal(host.root, &t->root);
    assert_string_equal(host.driver.version, "535.261.03");
    assert_int_equal(host.majors.uvm, 234);
    assert_int_equal(host.params.mode, 0660);
    assert_int_equal(host.gpus.count, 1);
}

/* A file that cannot be what it should be is an error that names it, not a host without a driver. */
static void test_broken_host(void **state)
{
    const struct temp_root *t = *state;
    struct nvl_host host;
    struct nvl_error err = {0};

    assert_int_equal(nvl_tree_directory(t->fd, "/proc/devices", NULL), 0);
    assert_true(nvl_host_read(&host, &t->root, NVL_GPUS_PROC, &err) < 0);
    assert_non_null(strstr(err.message, "/proc/devices"));
    assert_int_equal(host.gpus.count, 0);
}

/* What a captured host is: the kernel says it, or the driver, or the library folders. */
static void test_machine(void **state)
{
    const struct temp_root *t = *state;

    be_machine("x86_64");
    nvl_machine_take(&t->root); /* which says nothing */
    assert_string_equal(nvl_machine()->debian, "amd64");
    put(t, "/usr/lib/aarch64-linux-gnu/libc.so.6", "");
    nvl_machine_take(&t->root);
    assert_string_equal(nvl_machine()->debian, "arm64");
    put(t, "/proc/driver/nvidia/version",
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build\n");
    nvl_machine_take(&t->root);
    assert_string_equal(nvl_machine()->debian, "amd64");
    put(t, "/proc/sys/kernel/arch", "aarch64\n");
    nvl_machine_take(&t->root);
    assert_string_equal(nvl_machine()->debian, "arm64");
    assert_ptr_equal(nvl_machine_of_elf(EM_AARCH64), nvl_machine());
    assert_null(nvl_machine_of_elf(EM_RISCV));
    be_machine("x86_64");
}

int main(void)
{
#define WITH_ROOT(test) cmocka_unit_test_setup_teardown(test, setup_root, teardown_root)
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version_shapes),
        cmocka_unit_test(test_is_version),
        cmocka_unit_test(test_version_compare),
        cmocka_unit_test(test_majors),
        cmocka_unit_test(test_params),
        WITH_ROOT(test_machine),
        cmocka_unit_test(test_pci),
        cmocka_unit_test(test_information),
        WITH_ROOT(test_gpus_of_proc),
        WITH_ROOT(test_gpus_of_sysfs),
        WITH_ROOT(test_virtual_functions),
        WITH_ROOT(test_lost_gpu),
        WITH_ROOT(test_the_file_of_the_bus),
        WITH_ROOT(test_mig),
        WITH_ROOT(test_mig_without_instances),
        cmocka_unit_test(test_node_make),
        WITH_ROOT(test_node_check),
        WITH_ROOT(test_node_without_driver),
        WITH_ROOT(test_modules),
        WITH_ROOT(test_empty_host),
        WITH_ROOT(test_host),
        WITH_ROOT(test_broken_host),
    };
    return cmocka_run_group_tests(tests, be_x86_64, NULL);
}
