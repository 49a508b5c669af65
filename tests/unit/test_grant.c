/* Grants: NVIDIA's variables as images and configs have them, and what they come to on a host that is made
 * here. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "attach/request.h"
#include "base/error.h"
#include "grant/resolve.h"

#define UUID_0 "GPU-3291dfa4-fcc4-0110-615b-c894a0d7c689"
#define UUID_1 "GPU-aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
#define UUID_X "GPU-99999999-9999-9999-9999-999999999999"
#define MIG_X  "MIG-11111111-2222-3333-4444-555555555555"

static void test_selectors(void **state)
{
    struct nvl_selector s;

    (void)state;
    assert_int_equal(nvl_selector_parse("12", &s, NULL), 0);
    assert_int_equal(s.kind, NVL_SELECT_INDEX);
    assert_int_equal(s.index, 12);
    assert_string_equal(s.text, "12");
    assert_int_equal(nvl_selector_parse(UUID_0, &s, NULL), 0);
    assert_int_equal(s.kind, NVL_SELECT_UUID);
    assert_string_equal(s.gpu, UUID_0);
    assert_int_equal(nvl_selector_parse("00000000:C1:00.0", &s, NULL), 0);
    assert_int_equal(s.kind, NVL_SELECT_PCI);
    assert_string_equal(s.gpu, "0000:c1:00.0");
    assert_string_equal(s.text, "00000000:C1:00.0");
    assert_int_equal(nvl_selector_parse("MIG-" UUID_0 "/7/2", &s, NULL), 0);
    assert_int_equal(s.kind, NVL_SELECT_MIG);
    assert_string_equal(s.gpu, UUID_0);
    assert_int_equal(s.gi, 7);
    assert_int_equal(s.ci, 2);
    assert_int_equal(nvl_selector_parse(MIG_X, &s, NULL), 0);
    assert_int_equal(s.kind, NVL_SELECT_MIG_UUID);
    assert_string_equal(s.text, MIG_X);
}

static void test_bad_selectors(void **state)
{
    static const char *const bad[] = {
        "",
        "all",
        "void",
        "-1",
        "0x1",
        "1 ",
        "99999999999",
        "0:1",
        "GPU-",
        "GPU-3291dfa4",
        UUID_0 "0",
        "GPU-3291dfa4-fcc4-0110-615b-c894a0d7c68g",
        "gpu0",
        "MIG-",
        "MIG-" UUID_0,
        "MIG-" UUID_0 "/1",
        "MIG-" UUID_0 "/1/2/3",
        "MIG-" UUID_0 "/1/x",
        "MIG-" UUID_0 "//1/2",
        "MIG-" UUID_0 "/ 1/2",
        "MIG- " UUID_0 "/1/2",
        "MIG-\n" UUID_0 "/1/2",
        "MIG-GPU-1/1/2",
        "/dev/nvidia0",
        "a name that is much longer than the eighty bytes for which a selector of any kind has room"};

    (void)state;
    for (size_t i = 0; i < NVL_LENGTH(bad); i++) {
        struct nvl_selector s;
        struct nvl_error err = {0};
        if (nvl_selector_parse(bad[i], &s, &err) == 0)
            fail_msg("'%s' was taken", bad[i]);
        assert_int_equal(err.exit, NVL_EXIT_USAGE);
        assert_non_null(strstr(err.hint, "0000:01:00.0"));
    }
}

static void test_capabilities(void **state)
{
    static const struct {
        const char *text;
        unsigned bits;
        const char *written;
    } cases[] = {
        {NULL, NVL_CAP_COMPUTE | NVL_CAP_UTILITY, "compute,utility"},
        {"", NVL_CAP_COMPUTE | NVL_CAP_UTILITY, "compute,utility"},
        {"all", NVL_CAP_ALL, "all"},
        {"utility,compute", NVL_CAP_COMPUTE | NVL_CAP_UTILITY, "compute,utility"},
        {" video , compute,utility,", NVL_CAP_COMPUTE | NVL_CAP_UTILITY | NVL_CAP_VIDEO,
         "compute,utility,video"},
        {"utility", NVL_CAP_UTILITY, "utility"},
        {"compat32,ngx,display,graphics", NVL_CAP_GRAPHICS | NVL_CAP_DISPLAY | NVL_CAP_NGX | NVL_CAP_COMPAT32,
         "graphics,display,ngx,compat32"},
        {"compute,all", NVL_CAP_ALL, "all"},
        {"compat32,ngx,display,graphics,video,utility,compute", NVL_CAP_ALL, "all"},
    };

    (void)state;
    for (size_t i = 0; i < NVL_LENGTH(cases); i++) {
        unsigned bits = 0;
        assert_int_equal(nvl_capabilities_parse(cases[i].text, &bits, NULL), 0);
        assert_int_equal(bits, cases[i].bits);
        nvl_autofree char *written = nvl_capabilities_format(bits);
        assert_string_equal(written, cases[i].written);
    }
    unsigned bits = 42;
    struct nvl_error err = {0};
    assert_int_equal(nvl_capabilities_parse("compute,cuda,Video,cuda", &bits, &err), -EINVAL);
    assert_string_equal(err.message, "unknown driver capabilities: cuda, Video");
    assert_non_null(strstr(err.hint, "compat32"));
    assert_int_equal(bits, 42);
}

static void test_devices(void **state)
{
    static const struct {
        const char *text;
        enum nvl_devices devices;
        size_t n;
        const char *written;
    } cases[] = {
        {NULL, NVL_DEVICES_VOID, 0, "void"},
        {"", NVL_DEVICES_VOID, 0, "void"},
        {" , ", NVL_DEVICES_VOID, 0, "void"},
        {"void", NVL_DEVICES_VOID, 0, "void"},
        {"none", NVL_DEVICES_NONE, 0, "none"},
        {"all", NVL_DEVICES_ALL, 0, "all"},
        {"0", NVL_DEVICES_LIST, 1, "0"},
        {"1,0,1", NVL_DEVICES_LIST, 2, "1,0"},
        {UUID_0 "," UUID_1, NVL_DEVICES_LIST, 2, UUID_0 "," UUID_1},
        {"01:00.0,0000:01:00.0, 02:00.0", NVL_DEVICES_LIST, 2, "01:00.0,02:00.0"},
        {"MIG-" UUID_0 "/1/0,MIG-" UUID_0 "/1/1,MIG-" UUID_0 "/01/0", NVL_DEVICES_LIST, 2,
         "MIG-" UUID_0 "/1/0,MIG-" UUID_0 "/1/1"},
    };

    (void)state;
    for (size_t i = 0; i < NVL_LENGTH(cases); i++) {
        nvl_auto(nvl_grant_clear) struct nvl_grant grant = {0};
        assert_int_equal(nvl_grant_parse(&grant, cases[i].text, NULL, NULL, NULL), 0);
        assert_int_equal(grant.devices, cases[i].devices);
        assert_int_equal(grant.n_selectors, cases[i].n);
        assert_int_equal(grant.capabilities, NVL_CAP_DEFAULT);
        nvl_autofree char *written = nvl_grant_devices(&grant);
        assert_string_equal(written, cases[i].written);
    }
}

static void test_bad_grants(void **state)
{
    static const struct {
        const char *devices, *capabilities, *message;
    } cases[] = {
        {"0,all", NULL, "NVIDIA_VISIBLE_DEVICES: 'all' cannot be combined with other GPUs in '0,all'"},
        {"none,0", NULL, "NVIDIA_VISIBLE_DEVICES: 'none' cannot be combined with other GPUs in 'none,0'"},
        {"0,bogus", NULL, "NVIDIA_VISIBLE_DEVICES: 'bogus' does not name a GPU"},
        {"0", "gpu", "NVIDIA_DRIVER_CAPABILITIES: unknown driver capability: gpu"},
    };

    (void)state;
    for (size_t i = 0; i < NVL_LENGTH(cases); i++) {
        struct nvl_grant grant;
        struct nvl_error err = {0};
        assert_int_equal(nvl_grant_parse(&grant, cases[i].devices, NULL, cases[i].capabilities, &err),
                         -EINVAL);
        assert_string_equal(err.message, cases[i].message);
        assert_int_equal(err.exit, NVL_EXIT_FAILED); /* it stands in a config, not on the command line */
        assert_int_equal(grant.n_selectors, 0);
    }
}

/* Two GPUs with minors against the order of the bus; the second one is cut into MIG devices. */
static struct nvl_mig migs[] = {{1, 0, 12, 13}, {2, 0, 21, 22}, {2, 1, 21, 23}};
static struct nvl_gpu gpus[] = {
    {.pci = "0000:01:00.0",
     .uuid = UUID_0,
     .minor = 1,
     .index = 0,
     .driver = NVL_GPU_NVIDIA,
     .card = 1,
     .render = 128},
    {.pci = "0000:02:00.0",
     .driver = NVL_GPU_VFIO,
     .driver_name = "vfio-pci",
     .minor = -1,
     .index = -1,
     .card = -1,
     .render = -1},
    {.pci = "0000:c1:00.0",
     .uuid = UUID_1,
     .minor = 0,
     .index = 1,
     .driver = NVL_GPU_NVIDIA,
     .card = 2,
     .render = -1,
     .mig_enabled = true,
     .migs = migs,
     .n_migs = 3},
};
static const struct nvl_host two_gpus = {
    .driver = {.loaded = true, .version = "550.163.01"},
    .majors = {195, 506, 505, -1, -1, -1},
    .params = {true, 0, 0, 0666},
    .gpus = {gpus, NVL_LENGTH(gpus)},
};

/* The nodes' paths in order, and the missing lines, as one text each. */
static void check(const struct nvl_host *host, const char *devices, const char *capabilities,
                  const char *nodes, const char *missing)
{
    nvl_auto(nvl_grant_clear) struct nvl_grant grant = {0};
    nvl_auto(nvl_resolved_clear) struct nvl_resolved resolved;
    nvl_auto(nvl_buf_clear) struct nvl_buf paths = {0};

    assert_int_equal(nvl_grant_parse(&grant, devices, NULL, capabilities, NULL), 0);
    nvl_grant_resolve(&grant, host, &resolved);
    nvl_buf_add(&paths, "", 0);
    for (size_t i = 0; i < resolved.n_nodes; i++)
        nvl_buf_addf(&paths, "%s%s", i > 0 ? " " : "", resolved.nodes[i].path + strlen("/dev/"));
    nvl_autofree char *lines = nvl_strv_join(&resolved.missing, "\n");
    assert_string_equal(lines, missing);
    assert_string_equal(paths.data, nodes);
}

static void test_nodes_by_capability(void **state)
{
    (void)state;
    check(&two_gpus, "0", "utility", "nvidia1 nvidiactl", "");
    check(&two_gpus, "0", "utility,compat32", "nvidia1 nvidiactl", "");
    check(&two_gpus, "0", "compute,utility", "nvidia1 nvidiactl nvidia-uvm nvidia-uvm-tools", "");
    check(&two_gpus, "0", "video", "nvidia1 nvidiactl nvidia-uvm nvidia-uvm-tools", "");
    check(&two_gpus, "0", "utility,display", "nvidia1 nvidiactl nvidia-modeset dri/card1 dri/renderD128", "");
    check(&two_gpus, "0", "all",
          "nvidia1 nvidiactl nvidia-uvm nvidia-uvm-tools nvidia-modeset dri/card1 dri/renderD128", "");
    check(&two_gpus, "void", "all", "", "");
    check(&two_gpus, "none", "compute", "nvidiactl nvidia-uvm nvidia-uvm-tools", "");
}

static void test_nodes_by_gpu(void **state)
{
    static const char all[] = "nvidia1 nvidia0 nvidiactl nvidia-caps/nvidia-cap12 nvidia-caps/nvidia-cap13 "
                              "nvidia-caps/nvidia-cap21 nvidia-caps/nvidia-cap22 nvidia-caps/nvidia-cap23";

    (void)state;
    check(&two_gpus, "all", "utility", all, "");
    check(&two_gpus, "0,1," UUID_1 ",01:00.0", "utility", all, ""); /* each once */
    check(&two_gpus, "C1:00.0", "utility", strchr(all, ' ') + 1, "");
    check(&two_gpus, "MIG-" UUID_1 "/2/1", "utility",
          "nvidia0 nvidiactl nvidia-caps/nvidia-cap21 nvidia-caps/nvidia-cap23", "");
    check(&two_gpus, "MIG-" UUID_1 "/2/0,MIG-" UUID_1 "/2/1", "utility",
          "nvidia0 nvidiactl nvidia-caps/nvidia-cap21 nvidia-caps/nvidia-cap22 nvidia-caps/nvidia-cap23", "");
}

static void test_resolved_gpus(void **state)
{
    nvl_auto(nvl_grant_clear) struct nvl_grant grant = {0};
    nvl_auto(nvl_resolved_clear) struct nvl_resolved resolved;

    (void)state;
    assert_int_equal(nvl_grant_parse(&grant, "0," UUID_0 ",MIG-" UUID_1 "/1/0", NULL, NULL, NULL), 0);
    nvl_grant_resolve(&grant, &two_gpus, &resolved);
    assert_int_equal(resolved.n_gpus, 2);
    assert_ptr_equal(resolved.gpus[0].gpu, &gpus[0]);
    assert_null(resolved.gpus[0].mig);
    assert_ptr_equal(resolved.gpus[1].gpu, &gpus[2]);
    assert_ptr_equal(resolved.gpus[1].mig, &migs[0]);
    assert_int_equal(resolved.nodes[0].major, 195);
    assert_int_equal(resolved.nodes[0].minor, 1);
}

static void test_missing(void **state)
{
    (void)state;
    check(
        &two_gpus, "3", "utility", "nvidiactl",
        "GPU 3 is not on this host: it has GPUs 0 and 1; vfio-pci holds the GPU at 0000:02:00.0, not nvidia");
    check(&two_gpus, UUID_X, "utility", "nvidiactl",
          UUID_X
          " is not on this host: it has GPUs 0 and 1; vfio-pci holds the GPU at 0000:02:00.0, not nvidia");
    check(&two_gpus, "0,02:00.0", "utility", "nvidia1 nvidiactl",
          "GPU 02:00.0 cannot be used: vfio-pci holds the GPU at 0000:02:00.0, not nvidia");
    check(&two_gpus, "MIG-" UUID_1 "/3/0", "utility", "nvidiactl",
          "MIG-" UUID_1 "/3/0 is not on this host: GPU 1 has the MIG devices 1/0, 2/0 and 2/1");
    check(&two_gpus, "MIG-" UUID_0 "/1/0", "utility", "nvidiactl",
          "MIG-" UUID_0 "/1/0 is not on this host: GPU 0 has no MIG device, MIG is off");
    check(&two_gpus, MIG_X, "utility", "nvidiactl",
          "only NVML knows " MIG_X
          ": 'nvlxc attach' turns it into MIG-GPU-…/GI/CI, the form that resolves at "
          "each start");
    check(&two_gpus, "7," UUID_X, "utility", "nvidiactl",
          "GPU 7 is not on this host: it has GPUs 0 and 1; vfio-pci holds the GPU at 0000:02:00.0, not "
          "nvidia\n" UUID_X
          " is not on this host: it has GPUs 0 and 1; vfio-pci holds the GPU at 0000:02:00.0, not nvidia");
}

static void test_missing_on_poor_hosts(void **state)
{
    static struct nvl_gpu silent[] = {
        {.pci = "0000:01:00.0", .minor = 0, .index = 0, .driver = NVL_GPU_NVIDIA, .card = -1, .render = -1}};
    static struct nvl_gpu odd[] = {
        {.pci = "0000:01:00.0", .minor = 0, .index = -1, .driver = NVL_GPU_NVIDIA, .excluded = true},
        {.pci = "0000:02:00.0", .minor = -1, .index = 0, .driver = NVL_GPU_NVIDIA},
        {.pci = "0000:03:00.0", .minor = -1, .index = -1, .driver = NVL_GPU_NO_DRIVER}};
    static struct nvl_gpu virtuals[] = {
        {.pci = "0000:02:00.0", .uuid = UUID_0, .minor = 0, .index = 0, .driver = NVL_GPU_NVIDIA},
        {.pci = "0000:02:00.4",
         .physical = "0000:02:00.0",
         .minor = -1,
         .index = -1,
         .driver = NVL_GPU_NVIDIA}};
    struct nvl_host host = {.majors = {-1, -1, -1, -1, -1, -1}};

    (void)state;
    check(&host, "0", "utility", "nvidiactl", "GPU 0 is not on this host: the nvidia driver is not loaded");
    check(&host, "all", "utility", "nvidiactl",
          "no GPU can be given on this host: the nvidia driver is not loaded");
    host = (struct nvl_host){.driver.loaded = true, .majors = two_gpus.majors};
    check(&host, "all", "utility", "nvidiactl",
          "no GPU can be given on this host: the nvidia driver has no GPU here");
    host.gpus = (struct nvl_gpus){silent, 1};
    check(&host, UUID_0, "utility", "nvidiactl",
          UUID_0 " is not on this host: it has GPU 0; GPU 0 has no UUID before its first use: run "
                 "nvidia-smi on the host");
    silent[0].was_used = true;
    check(&host, UUID_0, "utility", "nvidiactl",
          UUID_0 " is not on this host: it has GPU 0; GPU 0 has no UUID although it was used: it does not "
                 "come up, see "
                 "the kernel log");
    silent[0].is_lost = true;
    check(&host, UUID_0, "utility", "nvidiactl",
          UUID_0 " is not on this host: it has GPU 0; GPU 0 has fallen off the bus");
    check(&host, "0", "utility", "nvidia0 nvidiactl", ""); /* its grant stays */
    host.gpus = (struct nvl_gpus){virtuals, 2};
    check(&host, "02:00.4", "utility", "nvidiactl",
          "GPU 02:00.4 cannot be used: 0000:02:00.4 is a virtual function of the GPU at 0000:02:00.0, not a "
          "GPU of "
          "its own");
    check(&host, "5", "utility", "nvidiactl", "GPU 5 is not on this host: it has GPU 0");
    check(&host, "all", "utility", "nvidia0 nvidiactl", "");
    host.gpus = (struct nvl_gpus){odd, 3};
    check(&host, "01:00.0", "utility", "nvidiactl",
          "GPU 01:00.0 cannot be used: the options of the nvidia driver exclude the GPU at 0000:01:00.0");
    check(&host, "0", "utility", "nvidiactl",
          "GPU 0 cannot be used: the nvidia driver reports no device minor for the GPU at 0000:02:00.0");
    check(&host, "03:00.0", "utility", "nvidiactl",
          "GPU 03:00.0 cannot be used: no driver holds the GPU at 0000:03:00.0");
}

/* One without a UUID can be what an unknown UUID means, but neither an address nor an index nor another UUID.
 */
static void test_can_mean(void **state)
{
    static struct nvl_gpu some[] = {
        {.pci = "0000:01:00.0", .uuid = UUID_0, .index = 0, .driver = NVL_GPU_NVIDIA},
        {.pci = "0000:02:00.0", .index = 1, .minor = 1, .driver = NVL_GPU_NVIDIA},
        {.pci = "0000:03:00.0", .index = 2, .minor = 2, .driver = NVL_GPU_NVIDIA},
    };
    static const struct nvl_gpus all = {some, 3};
    static const struct {
        const char *devices, *means;
    } cases[] = {
        {"0", "0"},
        {"1", "1"},
        {"02:00.0", "1"},
        {"04:00.0", ""},
        {"7", ""},
        {UUID_0, "0"},
        {"MIG-" UUID_0 "/1/0", "0"},
        {UUID_1, "12"},
        {"MIG-" UUID_1 "/1/0", "12"},
        {"02:00.0," UUID_0, "01"},
        {"all", "012"},
        {"none", ""},
        {"void", ""},
    };

    (void)state;
    for (size_t i = 0; i < NVL_LENGTH(cases); i++) {
        nvl_auto(nvl_grant_clear) struct nvl_grant grant = {0};
        nvl_auto(nvl_buf_clear) struct nvl_buf means = {0};
        assert_int_equal(nvl_grant_parse(&grant, cases[i].devices, NULL, "utility", NULL), 0);
        for (size_t g = 0; g < all.count; g++)
            if (nvl_grant_can_mean(&grant, &all, &some[g]))
                nvl_buf_addf(&means, "%zu", g);
        assert_string_equal(means.data != NULL ? means.data : "", cases[i].means);
    }
}

static void test_depth(void **state)
{
    (void)state;
    assert_int_equal(nvl_grant_depth(&(struct nvl_grant){.capabilities = NVL_CAP_DEFAULT}), NVL_GPUS_PROC);
    assert_int_equal(nvl_grant_depth(&(struct nvl_grant){.capabilities = NVL_CAP_DISPLAY}), NVL_GPUS_DRI);
    assert_int_equal(nvl_grant_depth(&(struct nvl_grant){.capabilities = NVL_CAP_ALL}), NVL_GPUS_DRI);
}

/* What --gpu and --capabilities say, for a caller who wants the number alone, and for one who wants the
 * words. */
static void test_bad_requests(void **state)
{
    static const struct {
        const char *gpu, *capabilities;
    } bad[] = {{"GPU-1", NULL}, {"0", "everything"}, {"all,0", NULL}};

    (void)state;
    for (size_t i = 0; i < NVL_LENGTH(bad); i++) {
        nvl_auto(nvl_strv_clear) struct nvl_strv wanted = {0};
        nvl_auto(nvl_grant_clear) struct nvl_grant grant = {0}, other = {0};
        struct nvl_error err = {0};
        nvl_strv_push(&wanted, bad[i].gpu);
        assert_int_equal(nvl_request_parse(&wanted, bad[i].capabilities, false, &grant, NULL), -EINVAL);
        assert_int_equal(nvl_request_parse(&wanted, bad[i].capabilities, false, &other, &err), -EINVAL);
        assert_int_equal(err.exit, NVL_EXIT_USAGE);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_selectors),    cmocka_unit_test(test_bad_selectors),
        cmocka_unit_test(test_capabilities), cmocka_unit_test(test_devices),
        cmocka_unit_test(test_bad_grants),   cmocka_unit_test(test_nodes_by_capability),
        cmocka_unit_test(test_nodes_by_gpu), cmocka_unit_test(test_resolved_gpus),
        cmocka_unit_test(test_missing),      cmocka_unit_test(test_missing_on_poor_hosts),
        cmocka_unit_test(test_can_mean),     cmocka_unit_test(test_depth),
        cmocka_unit_test(test_bad_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
