/* Containers with configs of files that include others, as a user may write them, and what the next start
 * makes of them: a tree. */
#include <errno.h>
#include "fuzz.h"

#include "container/container.h"
#include "container/holding.h"
#include "container/rootfs_path.h"

static void check_container(const struct nvl_container *c, const struct nvl_host *host)
{
    nvl_auto(nvl_config_clear) struct nvl_config config = {0};
    nvl_auto(nvl_effective_clear) struct nvl_effective effective = {0}, again = {0};
    nvl_auto(nvl_holding_clear) struct nvl_holding holding = {0};
    nvl_autofree char *why = NULL;

    if (nvl_container_read_config(fuzz_root(), c, &config, NULL) < 0)
        return;
    nvl_effective_read(fuzz_root(), c, &config, &effective, NULL);
    for (size_t i = 0; i < effective.count; i++) {
        nvl_autofree char *text = nvl_setting_text(&effective, &effective.items[i]);
        CHECK(effective.items[i].key != NULL && effective.items[i].value != NULL);
        CHECK(effective.items[i].line != NULL || effective.items[i].owner != NVL_OWNER_NVLXC);
    }
    nvl_effective_read_again(fuzz_root(), c, &config, &effective, &again, NULL);
    CHECK(again.count == effective.count);
    nvl_holding_read(c, host, &holding, NULL);
    nvl_autofree char *rootfs = nvl_container_rootfs_path(c, &effective, &why);
    CHECK(rootfs != NULL || why != NULL);
}

void fuzz_one(const char *data, size_t len)
{
    struct fuzz_input in = {data, len};
    nvl_auto(nvl_containers_clear) struct nvl_containers all = {0};
    nvl_auto(nvl_host_clear) struct nvl_host host = {0};

    fuzz_tree(&in);
    if (nvl_host_read(&host, fuzz_root(), NVL_GPUS_PROC, NULL) == 0 &&
        nvl_containers_find(fuzz_root(), true, &all, NULL) == 0)
        for (size_t i = 0; i < all.count; i++) {
            nvl_autofree struct nvl_container *c = nvl_container_at(&all, i), *found = NULL;
            CHECK(c->name[0] != '\0' && c->name[0] != '.' && strchr(c->name, '/') == NULL);
            nvl_autofree char *name = nvl_container_full_name(&all, c);
            int r = nvl_container_by_name(fuzz_root(), &all, name, &found, NULL);
            /* a CT may have it as its hostname */
            CHECK(r == -EEXIST || (r == 0 && strcmp(found->config_path, c->config_path) == 0));
            check_container(c, &host);
        }
    fuzz_clear();
}
