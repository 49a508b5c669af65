/* Proxmox VE's hookscript of a virtual machine, by which its start takes the GPU from the containers in time,
 * and its end gives it back. Sources: PVE::GuestHelpers::exec_hookscript (called as SCRIPT VMID PHASE; a
 * pre-start that fails ends the start), PVE::Storage (folder "snippets"). */
#pragma once

#include "base/text.h"
#include "host/host.h"

/* Writes the script to a storage that allows snippets (NULL: the first one that does; if none does, `local`
 * is set to allow them), and names it in the VM's config by Proxmox's own `qm`. `stop`: the containers'
 * programs that have the GPU open are ended. `done` gets a line for each thing done. Refuses where the VM has
 * another hookscript. */
int nvl_hookscript_install(const struct nvl_root *root, const char *vm, const char *storage, bool stop,
                           struct nvl_strv *done, struct nvl_error *err);
/* Takes ours out of the VM's config, and removes the script where no VM has it any more. */
int nvl_hookscript_remove(const struct nvl_root *root, const char *vm, struct nvl_strv *done,
                          struct nvl_error *err);

/* What the script calls. pre-start lends every GPU that the VM names; if one cannot be lent, those before it
 * come back, and it fails. A watcher of the phase "watch" is started by systemd, since Proxmox VE calls
 * nothing if the VM's start fails after that. post-stop brings back what was lent to the VM, or what it took.
 * Other phases do nothing. `said` gets what was done. */
int nvl_hookscript_run(const struct nvl_root *root, const char *vm, const char *phase, bool stop,
                       struct nvl_strv *said, struct nvl_error *err);

/* The NVIDIA GPUs that the VM's hostpci lines name: PCI addresses. */
void nvl_vm_gpus(const struct nvl_host *host, const char *vm, struct nvl_strv *pcis);
