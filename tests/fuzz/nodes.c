/* What other nodes of a cluster write: the file in which one publishes what it has, who is in the cluster,
 * and where HA and replication may start a CT. */
#include "fuzz.h"

#include "cluster/moves.h"
#include "cluster/node_file.h"
#include "grant/resolve.h"
#include "host/gpu_state.h"

static void check_gpu(const struct nvl_gpu *gpu)
{
    char pci[NVL_PCI_MAX];

    CHECK(nvl_pci_normalise(gpu->pci, pci) && strcmp(pci, gpu->pci) == 0);
    CHECK(gpu->uuid[0] == '\0' || nvl_is_gpu_uuid(gpu->uuid));
    CHECK(gpu->n_migs <= NVL_NODE_MIGS_MAX && gpu->minor >= -1 && gpu->index >= -1);
    fuzz_line(gpu->model);
    fuzz_line(gpu->driver_name);
    CHECK(nvl_gpu_state(gpu) != NVL_GPU_IS_VIRTUAL);
}

/* What was read is written, and reads the same again. */
static void check_again(const struct nvl_node_file *file)
{
    struct nvl_node_file again;
    char *why;
    nvl_autofree char *text = nvl_node_file_format(file);

    CHECK(nvl_node_file_parse(text, strlen(text), file->node, &again, &why) == NVL_NODE_FILE_GOOD);
    CHECK(nvl_node_file_is_same(file, &again));
    nvl_node_file_clear(&again);
}

static void read_file(const char *text, size_t len)
{
    nvl_auto(nvl_node_file_clear) struct nvl_node_file file = {0};
    nvl_autofree char *why = NULL;
    enum nvl_node_file_state state = nvl_node_file_parse(text, len, "pve1", &file, &why);

    CHECK((state == NVL_NODE_FILE_GOOD) == (why == NULL));
    if (state != NVL_NODE_FILE_GOOD) {
        fuzz_line(why);
        CHECK(file.gpus.count == 0);
        return;
    }
    CHECK(file.gpus.count <= NVL_NODE_GPUS_MAX);
    for (size_t i = 0; i < file.gpus.count; i++)
        check_gpu(&file.gpus.items[i]);
    const struct nvl_host host = {.driver = file.driver, .gpus = file.gpus};
    const struct nvl_grant all = {.devices = NVL_DEVICES_ALL, .capabilities = NVL_CAP_ALL};
    nvl_auto(nvl_resolved_clear) struct nvl_resolved resolved = {0};
    nvl_grant_resolve(&all, &host, &resolved);
    check_again(&file);
}

static void check_members(const struct nvl_members *members)
{
    CHECK(members->count <= NVL_MEMBERS_MAX);
    for (size_t i = 0; i < members->count; i++)
        CHECK(nvl_is_node_name(members->items[i].name) && nvl_is_member(members, members->items[i].name));
    CHECK(members->cluster == NULL || nvl_is_node_name(members->cluster));
    CHECK(members->here == NULL || nvl_is_node_name(members->here));
}

static void read_members(const char *text, size_t len, bool is_corosync)
{
    nvl_auto(nvl_members_clear) struct nvl_members members = {0};

    if (is_corosync)
        nvl_members_parse_corosync(text, len, &members);
    else
        nvl_members_parse(text, len, &members);
    check_members(&members);
}

static void read_moves(struct fuzz_input *in)
{
    nvl_auto(nvl_moves_clear) struct nvl_moves moves = {0};
    struct nvl_sections *const files[] = {&moves.resources, &moves.groups, &moves.rules, &moves.replication};

    for (size_t i = 0; i < NVL_LENGTH(files); i++) {
        size_t len;
        nvl_autofree char *text = fuzz_bytes(in, &len);
        nvl_sections_parse(text, len, files[i]);
        for (size_t k = 0; k < files[i]->count; k++)
            CHECK(files[i]->items[k].keys.count == files[i]->items[k].values.count);
    }
    nvl_move_text(nvl_moves_to(&moves, "220", "pve1"));
}

void fuzz_one(const char *data, size_t len)
{
    struct fuzz_input in = {data, len};
    unsigned what = fuzz_choice(&in, 4);

    if (what == 3) {
        read_moves(&in);
        return;
    }
    size_t text_len;
    nvl_autofree char *text = fuzz_bytes(&in, &text_len);
    if (what == 0)
        read_file(text, text_len);
    else
        read_members(text, text_len, what == 2);
}
