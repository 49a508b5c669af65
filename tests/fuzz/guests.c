/* Proxmox's virtual machines and storages, and what of a host's configuration claims a GPU: a tree. */
#include "fuzz.h"

#include "host/gpu_claims.h"
#include "host/system.h"
#include "template/compose.h"

static void check_claims(const struct nvl_vm_devices *vms)
{
    const struct nvl_gpu gpu = {.pci = "0000:01:00.0", .pci_device = 0x2438};
    nvl_auto(nvl_modprobe_clear) struct nvl_modprobe modprobe = {0};
    nvl_auto(nvl_claims_clear) struct nvl_claims claims = {0};
    nvl_auto(nvl_system_clear) struct nvl_system system = {0};
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, fix = {0};

    nvl_modprobe_read(fuzz_root(), &modprobe);
    nvl_system_read(fuzz_root(), &system, NULL);
    nvl_gpu_claims_read(fuzz_root(), &modprobe, vms, &gpu, "vfio-pci", &claims);
    nvl_vm_claims_read(vms, &gpu, &claims);
    nvl_nvidia_barriers_read(fuzz_root(), &modprobe, &claims);
    nvl_claims_evidence(&claims, &evidence);
    nvl_claims_fix(&claims, &system, true, &fix);
    for (size_t i = 0; i < evidence.count; i++)
        CHECK(strchr(evidence.items[i], '\n') == NULL);
}

void fuzz_one(const char *data, size_t len)
{
    struct fuzz_input in = {data, len};
    nvl_auto(nvl_vm_devices_clear) struct nvl_vm_devices vms = {0};
    nvl_autofree char *volume = NULL;

    fuzz_tree(&in);
    nvl_vm_devices_read(fuzz_root(), &vms);
    for (size_t i = 0; i < vms.count; i++) {
        CHECK(vms.items[i].vm[strspn(vms.items[i].vm, "0123456789")] == '\0');
        CHECK(nvl_has_prefix(vms.items[i].key, "hostpci") && vms.items[i].places.count > 0);
        nvl_vm_device_is(&vms.items[i], "0000:01:00.0");
    }
    check_claims(&vms);
    nvl_autofree char *storage = nvl_default_storage(fuzz_root(), "rootdir");
    CHECK(storage != NULL);
    nvl_volume_name(fuzz_root(), storage, 220, &volume, NULL);
    fuzz_clear();
}
