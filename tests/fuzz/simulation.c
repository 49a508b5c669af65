/* What apt-get --simulate prints. */
#include "fuzz.h"

#include "setup/run.h"

void fuzz_one(const char *data, size_t len)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv removed = {0};
    nvl_autofree char *version = NULL;

    nvl_simulation_parse(data, len, &removed, "nvidia-driver", &version);
    for (size_t i = 0; i < removed.count; i++)
        CHECK(strpbrk(removed.items[i], " \n") == NULL);
    CHECK(version == NULL || strpbrk(version, " \n)") == NULL);
}
