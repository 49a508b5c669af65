/* Open selectors: their text, and which GPU each start chooses on a host that is made here. */
#include <errno.h>

#include "temp_root.h"

#include "attach/request.h"
#include "base/error.h"
#include "grant/choose.h"

#define UUID_0 "GPU-3291dfa4-fcc4-0110-615b-c894a0d7c689"
#define UUID_2 "GPU-aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"

/* GPU 0; one of vfio-pci's; GPU 1, of the same model; GPU 2, cut into MIG devices. */
static struct nvl_gpu gpus[] = {
    {.pci = "0000:01:00.0",
     .uuid = UUID_0,
     .model = "NVIDIA GeForce RTX 3090",
     .minor = 1,
     .index = 0,
     .driver = NVL_GPU_NVIDIA},
    {.pci = "0000:02:00.0", .driver = NVL_GPU_VFIO, .driver_name = "vfio-pci", .minor = -1, .index = -1},
    {.pci = "0000:c1:00.0",
     .uuid = UUID_2,
     .model = "NVIDIA GeForce RTX 3090 Ti",
     .minor = 0,
     .index = 1,
     .driver = NVL_GPU_NVIDIA},
    {.pci = "0000:c2:00.0",
     .uuid = "GPU-11111111-1111-1111-1111-111111111111",
     .model = "NVIDIA A100-SXM4-40GB",
     .minor = 2,
     .index = 2,
     .driver = NVL_GPU_NVIDIA,
     .mig_enabled = true},
};
static struct nvl_host host = {
    .driver = {.loaded = true}, .majors = {195, 506, 505, -1, -1, -1}, .gpus = {gpus, NVL_LENGTH(gpus)}};

/* The GPUs' indexes in the grant's order, with the open selector of each, and the missing lines. */
static void check(const char *selectors, const char *indexes, const char *missing)
{
    nvl_auto(nvl_grant_clear) struct nvl_grant grant = {0};
    nvl_auto(nvl_resolved_clear) struct nvl_resolved resolved;
    nvl_auto(nvl_buf_clear) struct nvl_buf found = {0};

    assert_int_equal(nvl_grant_parse(&grant, "void", selectors, NULL, NULL), 0);
    nvl_grant_resolve(&grant, &host, &resolved);
    nvl_buf_add(&found, "", 0);
    for (size_t i = 0; i < resolved.n_gpus; i++)
        nvl_buf_addf(&found, "%s%d:%d", i > 0 ? " " : "", resolved.gpus[i].gpu->index,
                     resolved.gpus[i].selector);
    nvl_autofree char *lines = nvl_strv_join(&resolved.missing, "\n");
    assert_string_equal(found.data, indexes);
    assert_string_equal(lines, missing);
    assert_true(resolved.n_unchosen <= resolved.missing.count);
}

static void test_choice(void **state)
{
    (void)state;
    check("any", "0:0", "");
    check("any,any", "0:0 1:1", "");
    check("any,any,any", "0:0 1:1",
          "any gives no GPU on this host: GPU 0 is in the grant already; vfio-pci holds the GPU at "
          "0000:02:00.0, "
          "not nvidia; GPU 1 is in the grant already; GPU 2 is in MIG mode");
    check("any,0", "0:-1 1:0", "");
    check("model:rtx 3090", "0:0", "");
    check("model:RTX 3090 Ti", "1:0", "");
    check("model:3090,model:3090", "0:0 1:1", "");
    check("model:A100", "", "model:A100 gives no GPU on this host: GPU 2 is in MIG mode");
    check("model:RTX 309", "",
          "model:RTX 309 gives no GPU on this host: it has NVIDIA GeForce RTX 3090, NVIDIA GeForce RTX 3090 "
          "Ti, "
          "NVIDIA A100-SXM4-40GB");
    check("model:A10", "",
          "model:A10 gives no GPU on this host: it has NVIDIA GeForce RTX 3090, NVIDIA GeForce RTX 3090 Ti, "
          "NVIDIA A100-SXM4-40GB");
    check("5,any", "0:1",
          "GPU 5 is not on this host: it has GPUs 0, 1 and 2; vfio-pci holds the GPU at 0000:02:00.0, not "
          "nvidia");
}

/* What does not work is passed over; what may not come up comes last. */
static void test_states(void **state)
{
    struct nvl_gpu before = gpus[0];

    (void)state;
    gpus[0].is_lost = true;
    check("any", "1:0", "");
    check("model:RTX 3090,any", "1:0",
          "any gives no GPU on this host: GPU 0 has fallen off the bus; vfio-pci holds the GPU at "
          "0000:02:00.0, not "
          "nvidia; GPU 1 is in the grant already; GPU 2 is in MIG mode");
    gpus[0] = before;
    gpus[0].excluded = true;
    check("any", "1:0", "");
    gpus[0] = before;
    gpus[0].uuid[0] = '\0';
    check("any", "1:0", "");
    check("any,any", "1:0 0:1", "");
    gpus[0].was_used = true; /* the same whoever knows that it was */
    check("any,any", "1:0 0:1", "");
    gpus[0] = before;
}

static void put_device(const struct temp_root *t, const char *pci, const char *vendor, const char *device)
{
    nvl_autofree char *v = nvl_xasprintf("/sys/bus/pci/devices/%s/vendor", pci),
                      *d = nvl_xasprintf("/sys/bus/pci/devices/%s/device", pci),
                      *c = nvl_xasprintf("/sys/bus/pci/devices/%s/class", pci);

    put(t, v, vendor);
    put(t, d, device);
    put(t, c, "0x030000\n");
}

static const char MAPPINGS[] =
    "gpu\n\tcomment map node=pve,path=0000:c1:00.0\n\tmap "
    "id=10de:2203,iommugroup=1,node=pve,path=0000:c1:00\n"
    "\tmap id=10de:2204,node=else,path=0000:01:00\n\n"
    "two\r\n\tmap node=pve,path=0000:c1:00.0\r\n\tmap id=10DE:2204,node=pve,path=01:00.0;01:00.1\r\n"
    "held \n# a comment\n\tmap id=10de:2204,node=pve,path=0000:02:00.0\n"
    "wrong\n\tmap id=10de:2204,node=pve,path=0000:c1:00.0\n\tmap id=10de:2204,node=pve,path=0000:01:00.0\n"
    "empty\n\tmdev 1\n"
    "bad\n\tmap id=10de:2204,node=pve,path=../../x\n\tmap node=pve\n\tmap \n";

static void test_mappings(void **state)
{
    const struct temp_root *t = *state;

    host.root = &t->root;
    check("mapping:gpu", "",
          "mapping:gpu gives no GPU on this host: this host has no mappings of PCI devices from Proxmox");
    put_link(t, "/etc/pve/local", "nodes/pve");
    put(t, "/etc/pve/mapping/pci.cfg", MAPPINGS);
    put_device(t, "0000:01:00.0", "0x10de\n", "0x2204\n");
    put_device(t, "0000:02:00.0", "0x10de\n", "0x2204\n");
    put_device(t, "0000:c1:00.0", "0x10de\n", "0x2203\n");
    check("mapping:gpu", "1:0", "");
    check("mapping:two", "0:0", ""); /* by index, not by the file */
    check("mapping:two,mapping:two", "0:0 1:1", "");
    check("mapping:gpu,any", "1:0 0:1", "");
    check("mapping:held", "",
          "mapping:held gives no GPU on this host: vfio-pci holds the GPU at 0000:02:00.0, not nvidia");
    check("mapping:wrong", "0:0", "");
    check("mapping:wrong,mapping:wrong", "0:0",
          "mapping:wrong gives no GPU on this host: the device at 0000:c1:00.0 is 10de:2203, and the mapping "
          "says "
          "10de:2204; GPU 0 is in the grant already");
    check("mapping:empty", "",
          "mapping:empty gives no GPU on this host: the mapping has no device of this node, pve");
    check("mapping:bad", "",
          "mapping:bad gives no GPU on this host: the mapping has no device of this node, pve");
    check("mapping:none", "",
          "mapping:none gives no GPU on this host: Proxmox has no mapping of PCI devices with this name");
    /* a copy has only this node's, and nothing else counts */
    put(t, "/run/copy", "gpu\n\tmap id=10de:2204,node=pve,path=0000:01:00\n");
    host.mappings = "/run/copy";
    check("mapping:gpu", "0:0", "");
    host.mappings = "/run/none";
    check("mapping:gpu", "",
          "mapping:gpu gives no GPU on this host: its pre-start hook left no word of it: No such file or "
          "directory");
    host.mappings = NULL;
    host.root = NULL;
}

static void test_texts(void **state)
{
    static const char *const good[] = {"any",
                                       "mapping:a",
                                       "mapping:GPU_1-x",
                                       "model:RTX 3090",
                                       "model:A100-SXM4-40GB",
                                       "model:Quadro RTX 6000/8000"};
    static const char *const bad[] = {
        "Any",
        "mapping:",
        "mapping:1a",
        "mapping:a.b",
        "mapping:../a",
        "mapping:a b",
        "model:",
        "model: x",
        "model:a\nb",
        "model:$(id)",
        "model:'",
        "model:\x1b[31m",
        "any:1",
        "model:a model that is much longer than the eighty bytes for which a selector has room"};
    struct nvl_selector s;

    (void)state;
    for (size_t i = 0; i < NVL_LENGTH(good); i++) {
        assert_int_equal(nvl_selector_parse(good[i], &s, NULL), 0);
        assert_true(nvl_selector_is_open(&s));
        assert_string_equal(s.text, good[i]);
    }
    assert_string_equal(nvl_selector_name(&s), "Quadro RTX 6000/8000");
    for (size_t i = 0; i < NVL_LENGTH(bad); i++)
        if (nvl_selector_parse(bad[i], &s, NULL) == 0)
            fail_msg("'%s' was taken", bad[i]);
}

/* Only NVIDIA's "void" makes room for nvlxc's own variable. */
static void test_variables(void **state)
{
    static const struct {
        const char *devices, *gpus;
        int code;
        enum nvl_devices is;
        const char *visible, *written;
    } cases[] = {
        {"void", "any", 0, NVL_DEVICES_LIST, "void", "any"},
        {"void", " any , 0,model:RTX 3090", 0, NVL_DEVICES_LIST, "void", "any,0,model:RTX 3090"},
        {"void", "0", 0, NVL_DEVICES_LIST, "0", NULL},
        {"void", "", 0, NVL_DEVICES_VOID, "void", NULL},
        {"void", NULL, 0, NVL_DEVICES_VOID, "void", NULL},
        {NULL, "any", 0, NVL_DEVICES_VOID, "void", NULL},
        {"", "any", 0, NVL_DEVICES_VOID, "void", NULL},
        {"0", "any", 0, NVL_DEVICES_LIST, "0", NULL},
        {"all", "any", 0, NVL_DEVICES_ALL, "all", NULL},
        {"none", "any", 0, NVL_DEVICES_NONE, "none", NULL},
        {"any", NULL, -EINVAL, 0, NULL, NULL},
        {"0,mapping:a", NULL, -EINVAL, 0, NULL, NULL},
        {"void", "all", -EINVAL, 0, NULL, NULL},
        {"void", "any,void", -EINVAL, 0, NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < NVL_LENGTH(cases); i++) {
        nvl_auto(nvl_grant_clear) struct nvl_grant grant = {0};
        assert_int_equal(nvl_grant_parse(&grant, cases[i].devices, cases[i].gpus, NULL, NULL), cases[i].code);
        if (cases[i].code < 0)
            continue;
        nvl_autofree char *visible = nvl_grant_visible_devices(&grant), *written = nvl_grant_gpus(&grant);
        assert_int_equal(grant.devices, cases[i].is);
        assert_string_equal(visible, cases[i].visible);
        assert_string_equal(written != NULL ? written : "-",
                            cases[i].written != NULL ? cases[i].written : "-");
    }
}

static void test_size(void **state)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf many = {0};
    nvl_auto(nvl_grant_clear) struct nvl_grant grant = {0};
    struct nvl_error err = {0};

    (void)state;
    for (int i = 0; i < NVL_OPEN_MAX; i++)
        nvl_buf_addf(&many, "any,");
    assert_int_equal(nvl_grant_parse(&grant, "void", many.data, NULL, NULL), 0);
    assert_int_equal(grant.n_selectors, NVL_OPEN_MAX);
    nvl_grant_clear(&grant);
    nvl_buf_addf(&many, "any");
    assert_int_equal(nvl_grant_parse(&grant, "void", many.data, NULL, &err), -EINVAL);
    assert_string_equal(err.message, "NVLXC_GPUS: a grant cannot ask for more than 64 GPUs");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choice),
        cmocka_unit_test(test_states),
        cmocka_unit_test_setup_teardown(test_mappings, setup_root, teardown_root),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_variables),
        cmocka_unit_test(test_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
