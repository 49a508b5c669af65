/* The states of a GPU, their words, and who claims it: on hosts that are made here. */
#include <time.h>

#include "temp_root.h"

#include "host/gpu_reason.h"
#include "host/loan.h"

#define SYS "/sys/bus/pci/devices/0000:01:00.0"

static void expect_state(struct nvl_gpu gpu, const char *name, const char *why_not, const char *remark)
{
    nvl_autofree char *why = nvl_gpu_why_not(&gpu), *said = nvl_gpu_remark(&gpu);

    assert_string_equal(nvl_gpu_state_name(nvl_gpu_state(&gpu)), name);
    assert_string_equal(why != NULL ? why : "", why_not);
    assert_string_equal(said != NULL ? said : "", remark);
    assert_int_equal(nvl_gpu_can_be_given(&gpu), why == NULL);
}

static void test_states(void **state)
{
    const struct nvl_gpu well = {.pci = "0000:01:00.0", .uuid = "GPU-x", .driver = NVL_GPU_NVIDIA};
    struct nvl_gpu gpu = well;

    (void)state;
    expect_state(gpu, "usable", "", "");
    gpu.mig_enabled = true;
    expect_state(gpu, "mig", "", "");
    gpu.is_lost = true;
    expect_state(gpu, "lost", "", "fallen off the bus");
    gpu = well;
    gpu.uuid[0] = '\0';
    expect_state(gpu, "unused", "", "");
    gpu.was_used = true;
    expect_state(gpu, "silent", "", "does not come up");
    gpu = well;
    gpu.excluded = true;
    expect_state(gpu, "excluded", "the options of the nvidia driver exclude the GPU at 0000:01:00.0",
                 "excluded by the driver's options");
    gpu = well;
    gpu.minor = -1;
    expect_state(gpu, "unnumbered", "the nvidia driver reports no device minor for the GPU at 0000:01:00.0",
                 "");
    strcpy(gpu.physical, "0000:01:00.7");
    expect_state(gpu, "virtual-function",
                 "0000:01:00.0 is a virtual function of the GPU at 0000:01:00.7, not a GPU of its own",
                 "virtual function of 0000:01:00.7");
    gpu = (struct nvl_gpu){.pci = "0000:01:00.0", .driver = NVL_GPU_NO_DRIVER, .minor = -1};
    expect_state(gpu, "undriven", "no driver holds the GPU at 0000:01:00.0", "");
    gpu.is_lost = true;
    expect_state(gpu, "lost", "the GPU at 0000:01:00.0 has fallen off the bus", "fallen off the bus");
    gpu = (struct nvl_gpu){
        .pci = "0000:01:00.0", .driver = NVL_GPU_VFIO, .driver_name = "vfio-pci", .minor = -1};
    expect_state(gpu, "held", "vfio-pci holds the GPU at 0000:01:00.0, not nvidia", "");
    gpu.is_lent = true;
    expect_state(gpu, "lent", "the GPU at 0000:01:00.0 is lent to a virtual machine", "lent");
    strcpy(gpu.lent_to, "101");
    expect_state(gpu, "lent", "the GPU at 0000:01:00.0 is lent to VM 101", "lent to VM 101");
    /* on its way there or back */
    gpu = well;
    gpu.is_lent = true;
    expect_state(gpu, "lent", "the GPU at 0000:01:00.0 is lent to a virtual machine", "lent");
}

static void test_loan(void **state)
{
    static const char text[] = "uuid GPU-3291dfa4-fcc4-0110-615b-c894a0d7c689\n"
                               "model NVIDIA RTX A5500 Laptop GPU\n"
                               "index 0\n"
                               "vm 101\n"
                               "function 0000:01:00.0 nvidia\n"
                               "function 0000:01:00.1 \n"
                               "persistenced stopped\n"
                               "drained\n";
    struct nvl_loan loan = {.index = -1};

    (void)state;
    nvl_loan_parse(text, strlen(text), &loan);
    assert_string_equal(loan.vm, "101");
    assert_int_equal(loan.index, 0);
    assert_int_equal(loan.n_functions, 2);
    assert_string_equal(loan.functions[0].driver, "nvidia");
    assert_string_equal(loan.functions[1].driver, "");
    assert_true(loan.stopped_persistenced && loan.drained);
    nvl_autofree char *again = nvl_loan_format(&loan);
    assert_string_equal(again, text);
    nvl_loan_clear(&loan);
}

/* A captured host's may be anything: what goes into commands and paths is what it should be, or left out. */
static void test_hostile_loan(void **state)
{
    static const char text[] = "uuid GPU-$(reboot)\nindex -1\nvm 101; reboot\nvm \nuuids x\n"
                               "function ../../etc/passwd nvidia\nfunction\n"
                               "function 0000:01:00.0 ../../x\nfunction 0000:01:00.1 $(reboot)";
    struct nvl_loan loan = {.index = -1};

    (void)state;
    nvl_loan_parse(text, strlen(text), &loan);
    assert_string_equal(loan.uuid, "");
    assert_string_equal(loan.vm, "");
    assert_int_equal(loan.index, -1);
    assert_int_equal(loan.n_functions, 2);
    assert_string_equal(loan.functions[0].driver, "");
    assert_string_equal(loan.functions[1].driver, "");
    for (int i = 0; i < 100; i++)
        nvl_loan_parse(text, strlen(text), &loan);
    assert_int_equal(loan.n_functions, 8);
    nvl_loan_clear(&loan);
}

/* The GPU of the host as it is explained. */
static void explain(const struct temp_root *t, const char *what, const char *evidence, const char *fix)
{
    nvl_auto(nvl_host_clear) struct nvl_host host = {0};
    nvl_auto(nvl_gpu_context_clear) struct nvl_gpu_context context = {0};
    nvl_auto(nvl_gpu_reason_clear) struct nvl_gpu_reason reason = {0};

    assert_int_equal(nvl_host_read(&host, &t->root, NVL_GPUS_ALL, NULL), 0);
    assert_int_equal(host.gpus.count, 1);
    assert_int_equal(nvl_gpu_context_read(&host, &context, NULL), 0);
    nvl_gpu_explain(&context.surroundings, &host.gpus.items[0], &reason);
    nvl_autofree char *found = nvl_strv_join(&reason.evidence, "\n"),
                      *mended = nvl_strv_join(&reason.fix, "\n");
    assert_string_equal(reason.what != NULL ? reason.what : "", what);
    assert_string_equal(found, evidence);
    assert_string_equal(mended, fix);
}

static void put_gpu(const struct temp_root *t, const char *driver)
{
    put(t, SYS "/vendor", "0x10de\n");
    put(t, SYS "/device", "0x2438\n");
    put(t, SYS "/class", "0x030000\n");
    if (driver != NULL) {
        nvl_autofree char *target = nvl_xasprintf("../../drivers/%s", driver);
        put_link(t, SYS "/driver", target);
    }
}

static void test_without_driver(void **state)
{
    const struct temp_root *t = *state;

    put_gpu(t, NULL);
    explain(t, "has no driver: no NVIDIA driver is loaded", SYS "/driver does not exist",
            "nvlxc doctor   # which part of the driver is missing");
    put(t, "/etc/os-release", "ID=debian\n");
    put(t, "/usr/lib/modprobe.d/x.conf", "# x\nblacklist nvidia\nblacklist nvidia-drm\n");
    put(t, "/proc/cmdline", "quiet module_blacklist=nvidia,nouveau\n");
    put(t, "/etc/default/grub",
        "# module_blacklist=nvidia,nouveau\nGRUB_CMDLINE_LINUX=\"module_blacklist=nvidia,nouveau\"\n");
    explain(t, "has no driver: no NVIDIA driver is loaded",
            SYS "/driver does not exist\n"
                "/usr/lib/modprobe.d/x.conf:2: blacklist nvidia\n"
                "/proc/cmdline: module_blacklist=nvidia,nouveau\n"
                "/etc/default/grub:2: GRUB_CMDLINE_LINUX=\"module_blacklist=nvidia,nouveau\"",
            "sed '2s/^/# /' /usr/lib/modprobe.d/x.conf > /etc/modprobe.d/x.conf\n"
            "sed -i '2s/nvidia,\\{0,1\\}//I' /etc/default/grub\n"
            "update-grub\n"
            "update-initramfs -u -k all\n"
            "modprobe nvidia\n"
            "nvlxc doctor   # which part of the driver is missing");
}

static void test_stub(void **state)
{
    const struct temp_root *t = *state;

    put_gpu(t, "pci-stub");
    explain(t, "is held by pci-stub, so NVIDIA's driver cannot use it",
            SYS "/driver -> ../../drivers/pci-stub",
            "echo 0000:01:00.0 > " SYS "/driver/unbind\nmodprobe nvidia");
    put(t, "/proc/cmdline", "pci-stub.ids=10de:2438 quiet\n");
    explain(t, "is held by pci-stub, so NVIDIA's driver cannot use it",
            SYS "/driver -> ../../drivers/pci-stub\n/proc/cmdline: pci-stub.ids=10de:2438",
            "remove 10de:2438 from the kernel's command line, in the boot loader's settings\nreboot");
}

/* Ids as vfio-pci takes them. */
static void test_ids(void **state)
{
    static const struct {
        const char *ids;
        bool means_it;
    } cases[] = {
        {"10de:2438", true},
        {"10DE:2438,8086:1234", true},
        {"8086:1234,10de:2438:1028:0b2b", true},
        {"10de:ffffffff:ffffffff:ffffffff:00030000:ffff0000", true},
        {"10de:ffffffff:ffffffff:ffffffff:00040300:ffff0000", false},
        {"10de:2439", false},
        {"1002:2438", false},
        {"", false},
    };
    const struct temp_root *t = *state;

    put_gpu(t, "nvidia");
    for (size_t i = 0; i < NVL_LENGTH(cases); i++) {
        nvl_autofree char *line = nvl_xasprintf("options vfio_pci disable_vga=1 ids=%s\n", cases[i].ids);
        nvl_auto(nvl_modprobe_clear) struct nvl_modprobe modprobe = {0};
        nvl_auto(nvl_claims_clear) struct nvl_claims claims = {0};
        const struct nvl_gpu gpu = {.pci = "0000:01:00.0", .pci_device = 0x2438};
        unlinkat(t->fd, "etc/modprobe.d/vfio.conf", 0);
        put(t, "/etc/modprobe.d/vfio.conf", line);
        nvl_modprobe_read(&t->root, &modprobe);
        nvl_module_claims_read(&t->root, &modprobe, &gpu, "vfio-pci", &claims);
        if ((claims.count > 0) != cases[i].means_it)
            fail_msg("ids=%s", cases[i].ids);
    }
}

static void test_machines(void **state)
{
    const struct temp_root *t = *state;
    nvl_auto(nvl_vm_devices_clear) struct nvl_vm_devices vms = {0};

    put_link(t, "/etc/pve/local", "nodes/pve");
    put(t, "/etc/pve/qemu-server/100.conf",
        "#hostpci9: 01:00\nonboot: 1\nhostpci0: 0000:02:00\nhostpci0: 01:00.0;0000:01:00.1,pcie=1\n");
    put(t, "/etc/pve/qemu-server/101.conf", "hostpci1: mapping=gpu\n\n[PENDING]\nhostpci1: mapping=other\n");
    put(t, "/etc/pve/qemu-server/102.conf", "hostpci0: 03:00\n[PENDING]\ndelete: hostpci0\n");
    put(t, "/etc/pve/qemu-server/103.conf", "hostpci0: 0000:01:00.0,mdev=nvidia-63\nhostpcix: 01:00\n");
    put(t, "/etc/pve/qemu-server/x;y.conf", "hostpci0: 01:00\n");
    put(t, "/run/qemu-server/102.pid", "77\n");
    put(t, "/proc/77/comm", "kvm\n");
    put(t, "/etc/pve/mapping/pci.cfg",
        "gpu\n\tmap id=10de:2438,node=pve,path=0000:01:00.0\n\nother\n\tdescription map path=0000:09:00\n"
        "\tmap id=10de:2438,node=else,path=0000:05:00\n\tmap id=10de:2438,node=pve,path=0000:04:00\n");
    nvl_vm_devices_read(&t->root, &vms);
    nvl_auto(nvl_buf_clear) struct nvl_buf list = {0};
    for (size_t i = 0; i < vms.count; i++)
        nvl_buf_addf(&list, "%s %s %s%s%s%s; ", vms.items[i].vm, vms.items[i].key, vms.items[i].address,
                     vms.items[i].starts_at_boot ? " boots" : "", vms.items[i].runs ? " runs" : "",
                     vms.items[i].goes ? " goes" : "");
    assert_string_equal(list.data, "100 hostpci0 0000:01:00.0 boots; 100 hostpci0 0000:01:00.1 boots; "
                                   "101 hostpci1 0000:04:00; 102 hostpci0 0000:03:00 runs goes; ");
    assert_string_equal(vms.items[2].places.items[1],
                        "/etc/pve/mapping/pci.cfg:7: map id=10de:2438,node=pve,path=0000:04:00");
    assert_true(nvl_vm_device_is(&vms.items[0], "0000:01:00.0"));
    assert_false(nvl_vm_device_is(&vms.items[1], "0000:01:00.0"));
    assert_true(nvl_vm_device_is(&vms.items[2], "0000:04:00.0"));
    assert_false(nvl_vm_device_is(&vms.items[2], "0000:04:01.0"));
}

/* A file that is being replaced on pmxcfs is waited for, up to 200 ms: once, not for each machine. */
static void test_no_mappings(void **state)
{
    const struct temp_root *t = *state;
    nvl_auto(nvl_vm_devices_clear) struct nvl_vm_devices vms = {0};
    struct timespec start, end;

    for (int i = 100; i < 130; i++) {
        nvl_autofree char *path = nvl_xasprintf("/etc/pve/qemu-server/%d.conf", i);
        put(t, path, "hostpci0: mapping=gpu\nhostpci1: 01:00\n");
    }
    clock_gettime(CLOCK_MONOTONIC, &start);
    nvl_vm_devices_read(&t->root, &vms);
    clock_gettime(CLOCK_MONOTONIC, &end);
    assert_int_equal(vms.count, 30);
    assert_in_range(end.tv_sec - start.tv_sec, 0, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_loan),
        cmocka_unit_test(test_hostile_loan),
        cmocka_unit_test_setup_teardown(test_without_driver, setup_root, teardown_root),
        cmocka_unit_test_setup_teardown(test_stub, setup_root, teardown_root),
        cmocka_unit_test_setup_teardown(test_ids, setup_root, teardown_root),
        cmocka_unit_test_setup_teardown(test_machines, setup_root, teardown_root),
        cmocka_unit_test_setup_teardown(test_no_mappings, setup_root, teardown_root),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
