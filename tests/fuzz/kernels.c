/* kernels.json of the host's administrator, then what its rows say of a driver, a kernel and a GPU. */
#include "fuzz.h"

#include "host/compat_table.h"

static void check_row(const struct nvl_kernel_range *row)
{
    CHECK(row->branch[0] != '\0' && row->branch[strspn(row->branch, "0123456789")] == '\0');
    CHECK(row->package != NULL || (row->suite == NULL && row->series == NULL));
    CHECK(row->series == NULL || strpbrk(row->series, " ;$`\n'\"") == NULL);
    nvl_kernel_fits(row, "6.17.2-1-pve");
}

void fuzz_one(const char *data, size_t len)
{
    nvl_auto(nvl_support_clear) struct nvl_support s = {0};
    struct nvl_error err = {0};

    if (nvl_support_add(&s, "/etc/nvlxc/kernels.json", data, len, &err) < 0) {
        CHECK(err.message[0] != '\0');
        return;
    }
    for (size_t i = 0; i < s.n_kernels; i++)
        check_row(&s.kernels[i]);
    for (size_t i = 0; i < s.n_generations; i++) {
        CHECK(s.generations[i].n_ids > 0 && (s.generations[i].open || s.generations[i].proprietary));
        nvl_generation_fits(&s.generations[i], "550.163.01", NVL_FLAVOUR_OPEN);
    }
    nvl_support_driver(&s, "550.163.01", "550.163.01-2", NVL_FLAVOUR_PROPRIETARY);
    nvl_support_generation(&s, 0x2438);
}
