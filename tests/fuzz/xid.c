/* The driver's errors in the kernel's log. */
#include "fuzz.h"

#include "host/xid.h"

void fuzz_one(const char *data, size_t len)
{
    nvl_auto(nvl_xids_clear) struct nvl_xids xids = {0};
    nvl_autofree char *exact = nvl_xcalloc(len, 1);
    size_t lines = 0, counted = 0;

    memcpy(exact, data, len);
    nvl_xids_parse(exact, len, &xids);
    for (size_t i = 0; i < len; i++)
        lines += data[i] == '\n';
    for (size_t i = 0; i < xids.count; i++) {
        const struct nvl_xid *xid = &xids.items[i];
        char pci[NVL_PCI_MAX];
        const char *meaning;
        CHECK(nvl_pci_normalise(xid->pci, pci) && strcmp(pci, xid->pci) == 0);
        CHECK(strpbrk(xid->last, "\n\033\a") == NULL);
        CHECK(nvl_xid_kind(xid->number, &meaning) <= NVL_XID_OTHER);
        counted += xid->count;
    }
    CHECK(counted <= lines + 1);
}
