/* The host at one moment, read in one go. */
#include "host/host.h"

#include <stdlib.h>

int nvl_host_read(struct nvl_host *host, const struct nvl_root *root, enum nvl_gpus_depth depth,
                  struct nvl_error *err)
{
    *host = (struct nvl_host){.root = root};
    int r = nvl_driver_version_read_text(root, &host->driver, &host->version_text, err);
    if (r == 0)
        r = nvl_majors_read(root, &host->majors, err);
    if (r == 0) {
        nvl_params_read(root, &host->params, &host->params_text);
        r = nvl_gpus_read(root, depth, &host->gpus, err);
    }
    if (r < 0)
        nvl_host_clear(host);
    return r;
}

void nvl_host_clear(struct nvl_host *host)
{
    nvl_gpus_clear(&host->gpus);
    free(host->version_text);
    free(host->params_text);
    *host = (struct nvl_host){0};
}
