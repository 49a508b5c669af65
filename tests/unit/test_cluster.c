/* The file of a node as it is written and read, who is in a cluster, and where Proxmox may start a CT. */
#include <errno.h>

#include "temp_root.h"

#include "cluster/moves.h"
#include "cluster/node_file.h"
#include "host/gpu_state.h"

static const char *const states[] = {"usable", "mig",      "unused", "silent",
                                     "lost",   "excluded", "held",   "undriven"};

/* A GPU in each state that a node can publish. */
static void add_gpus(struct nvl_gpus *gpus)
{
    for (unsigned i = 0; i < NVL_LENGTH(states); i++) {
        struct nvl_gpu *gpu = NVL_APPEND(gpus->items, gpus->count);
        *gpu = (struct nvl_gpu){
            .index = (int)i, .minor = (int)i, .card = -1, .render = -1, .pci_device = 0x2438};
        snprintf(gpu->pci, sizeof gpu->pci, "0000:%02x:00.0", i);
        snprintf(gpu->uuid, sizeof gpu->uuid, "GPU-%08x-fcc4-0110-615b-c894a0d7c689", i);
        nvl_copy(gpu->model, sizeof gpu->model, "NVIDIA “Ü”", strlen("NVIDIA “Ü”"));
        nvl_gpu_set_driver(gpu, "nvidia");
    }
    gpus->items[0].memory = 16ull << 30;
    gpus->items[1].mig_enabled = true;
    *NVL_APPEND(gpus->items[1].migs, gpus->items[1].n_migs) = (struct nvl_mig){.gi = 3, .ci = 0};
    gpus->items[2].uuid[0] = gpus->items[3].uuid[0] = '\0';
    gpus->items[3].was_used = true;
    gpus->items[4].is_lost = true;
    gpus->items[5].excluded = true;
    nvl_gpu_set_driver(&gpus->items[6], "vfio-pci");
    gpus->items[7].driver = NVL_GPU_NO_DRIVER;
    gpus->items[7].driver_name[0] = '\0';
    gpus->items[6].index = gpus->items[6].minor = gpus->items[7].index = gpus->items[7].minor = -1;
}

static void test_round_trip(void **state)
{
    struct nvl_node_file file = {
        .node = "pve1",
        .when = "2026-11-30T20:18:33Z",
        .driver = {.loaded = true, .version = "550.163.01", .flavour = NVL_FLAVOUR_OPEN}};
    struct nvl_node_file read;
    char *why;

    (void)state;
    add_gpus(&file.gpus);
    nvl_autofree char *text = nvl_node_file_format(&file);
    assert_true(strlen(text) < NVL_NODE_FILE_MAX);
    assert_int_equal(nvl_node_file_parse(text, strlen(text), "pve1", &read, &why), NVL_NODE_FILE_GOOD);
    assert_null(why);
    assert_true(nvl_node_file_is_same(&file, &read));
    assert_string_equal(read.when, file.when);
    assert_int_equal(read.driver.flavour, NVL_FLAVOUR_OPEN);
    for (size_t i = 0; i < NVL_LENGTH(states); i++) {
        assert_string_equal(nvl_gpu_state_name(nvl_gpu_state(&read.gpus.items[i])), states[i]);
        assert_int_equal(nvl_gpu_can_be_given(&read.gpus.items[i]),
                         nvl_gpu_can_be_given(&file.gpus.items[i]));
    }
    assert_int_equal(read.gpus.items[1].migs[0].gi, 3);
    /* the time is no difference, everything else is one */
    read.when[3] = '7';
    assert_true(nvl_node_file_is_same(&file, &read));
    read.gpus.items[0].memory++;
    assert_false(nvl_node_file_is_same(&file, &read));
    nvl_node_file_clear(&read);
    /* of another node, as whoever copies a node's folder has it */
    assert_int_equal(nvl_node_file_parse(text, strlen(text), "pve2", &read, &why), NVL_NODE_FILE_DAMAGED);
    assert_string_equal(why, "is damaged: it is not of this node");
    assert_int_equal(read.gpus.count, 0);
    free(why);
    nvl_node_file_clear(&file);
}

static void test_largest(void **state)
{
    struct nvl_node_file file = {.node = "n", .when = "2026-11-30T20:18:33Z"}, read;
    char *why;

    (void)state;
    for (unsigned i = 0; i < 64; i++) {
        struct nvl_gpu *gpu = NVL_APPEND(file.gpus.items, file.gpus.count);
        *gpu = (struct nvl_gpu){.index = (int)i, .minor = (int)i};
        snprintf(gpu->pci, sizeof gpu->pci, "0000:%02x:00.0", i);
        snprintf(gpu->uuid, sizeof gpu->uuid, "GPU-%08x-fcc4-0110-615b-c894a0d7c689", i);
        nvl_gpu_set_driver(gpu, "nvidia");
        for (unsigned m = 0; m < 14; m++)
            *NVL_APPEND(gpu->migs, gpu->n_migs) = (struct nvl_mig){.gi = m + 1};
    }
    nvl_autofree char *text = nvl_node_file_format(&file);
    assert_true(strlen(text) < NVL_NODE_FILE_MAX); /* more than any machine has */
    assert_int_equal(nvl_node_file_parse(text, strlen(text), "n", &read, &why), NVL_NODE_FILE_GOOD);
    nvl_node_file_clear(&read);
    nvl_node_file_clear(&file);
}

static void test_node_names(void **state)
{
    static const char *const good[] = {"pve", "PVE-1", "0", "a-b-c"};
    static const char *const bad[] = {
        "",           "-a",
        "a-",         "a.b",
        "..",         "a/b",
        "a b",        "a\n",
        "pv\xc3\xa9", "0123456789012345678901234567890123456789012345678901234567890123"};

    (void)state;
    for (size_t i = 0; i < NVL_LENGTH(good); i++)
        assert_true(nvl_is_node_name(good[i]));
    for (size_t i = 0; i < NVL_LENGTH(bad); i++)
        assert_false(nvl_is_node_name(bad[i]));
}

static void test_members(void **state)
{
    /* as pmxcfs writes it */
    static const char text[] =
        "{\n\"nodename\": \"b\",\n\"version\": 5,\n\"cluster\": { \"name\": \"lab\", \"version\": 3, "
        "\"nodes\": 2, \"quorate\": 1 },\n\"nodelist\": {\n  \"b\": { \"id\": 1, \"online\": 1, \"ip\": "
        "\"10.0.0.1\"},\n  \"a\": { \"id\": 2, \"online\": 0}\n  }\n}\n";
    static const char alone[] = "{\n\"nodename\": \"b\",\n\"version\": 0\n}\n";
    nvl_auto(nvl_members_clear) struct nvl_members m = {0}, none = {0};

    (void)state;
    assert_int_equal(nvl_members_parse(text, strlen(text), &m), 0);
    assert_int_equal(m.count, 2);
    assert_string_equal(m.items[0].name, "a");
    assert_false(m.items[0].is_online);
    assert_true(m.items[1].is_online && m.is_online_known);
    assert_string_equal(m.cluster, "lab");
    assert_string_equal(m.here, "b");
    assert_int_equal(nvl_members_parse(alone, strlen(alone), &none), 0);
    assert_int_equal(none.count, 0);
    assert_int_equal(nvl_members_parse("[]", 2, &none), -EINVAL);
    assert_int_equal(nvl_members_parse("", 0, &none), -EINVAL);
}

static void test_corosync(void **state)
{
    static const char text[] =
        "logging {\n  name: no\n}\n#nodelist {\nnodelist {\r\n  node {\n    name: pve2\n    "
        "nodeid: 1\n    ring0_addr: name: x\n  }\n  node {\n  name:pve1  \n  }\n  name: "
        "no2\n}\nnode {\n  name: no3\n}\ntotem {\n  cluster_name: lab\n  interface {\n    "
        "cluster_name: no\n  }\n}\n}\n}\n";
    nvl_auto(nvl_members_clear) struct nvl_members m = {0};

    (void)state;
    nvl_members_parse_corosync(text, strlen(text), &m);
    assert_int_equal(m.count, 2);
    assert_string_equal(m.items[0].name, "pve1");
    assert_string_equal(m.items[1].name, "pve2");
    assert_string_equal(m.cluster, "lab");
}

static void parse(const char *text, struct nvl_sections *sections)
{
    nvl_sections_parse(text, strlen(text), sections);
}

static void test_moves(void **state)
{
    nvl_auto(nvl_moves_clear) struct nvl_moves m = {0};

    (void)state;
    parse("# by hand\nct: 220\n\tgroup some\n    state started\n\nvm: 221\n\nct: 222\n\tstate "
          "disabled\n\nct: 223\n\tgroup "
          "wide\n\n\tgroup some\nct: 22\n",
          &m.resources);
    parse("group: some\n\tnodes a:1,b\n\trestricted 1\n\ngroup: wide\n\tnodes a\n", &m.groups);
    parse("local: 221-0\n\ttarget c\n\nlocal: 2200-0\n\ttarget c\n\nlocal: 220-1\n\ttarget c\n",
          &m.replication);
    assert_int_equal(nvl_moves_to(&m, "220", "a"), NVL_MOVE_HA);
    assert_int_equal(nvl_moves_to(&m, "220", "b"), NVL_MOVE_HA);
    assert_int_equal(nvl_moves_to(&m, "220", "c"), NVL_MOVE_REPLICATION);
    assert_int_equal(nvl_moves_to(&m, "220", "d"), 0);
    assert_int_equal(nvl_moves_to(&m, "221", "a"), 0); /* a VM */
    assert_int_equal(nvl_moves_to(&m, "222", "a"), 0);
    assert_int_equal(nvl_moves_to(&m, "223", "d"),
                     NVL_MOVE_HA); /* what follows an empty line is of no section */
    assert_int_equal(nvl_moves_to(&m, "22", "d"), NVL_MOVE_HA);
    assert_string_equal(nvl_move_text(NVL_MOVE_HA | NVL_MOVE_REPLICATION), "HA and replication");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_largest),  cmocka_unit_test(test_node_names),
        cmocka_unit_test(test_members),    cmocka_unit_test(test_corosync), cmocka_unit_test(test_moves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
