/* x86-64 and arm64. */
#include "base/machine.h"

#include <elf.h>
#include <string.h>

#include "base/root.h"
#include "base/text.h"

/* glibc's subfolders for better processors: /usr/lib in Debian, its relatives and Arch, /usr/lib64 in Fedora
 * and its relatives. glibc knows the first two since 2.33, the others up to 2.36. For arm64 it has none. */
static const char *const hwcaps_x86_64[] = {"/usr/lib/glibc-hwcaps/x86-64-v2",
                                            "/usr/lib64/glibc-hwcaps/x86-64-v2", "/usr/lib/x86_64",
                                            "/usr/lib64/x86_64", NULL};
static const char *const hwcaps_arm64[] = {NULL};

const struct nvl_machine nvl_machines[NVL_MACHINES] = {
    {EM_X86_64, EM_386, "x86-64", "x86_64", "amd64", "linux64", "x86_64", "x86_64-linux-gnu",
     "/usr/lib/x86_64-linux-gnu", "/usr/lib/i386-linux-gnu", "/lib64/ld-linux-x86-64.so.2",
     "/lib/ld-musl-x86_64.so.1", 0x0303, 0x0003, hwcaps_x86_64},
    {EM_AARCH64, EM_ARM, "aarch64", "aarch64", "arm64", "aarch64", "sbsa", "aarch64-linux-gnu",
     "/usr/lib/aarch64-linux-gnu", "/usr/lib/arm-linux-gnueabihf", "/lib/ld-linux-aarch64.so.1",
     "/lib/ld-musl-aarch64.so.1", 0x0a03, 0x0903, hwcaps_arm64},
};

#ifdef __aarch64__
static const struct nvl_machine *machine = &nvl_machines[1];
#else
static const struct nvl_machine *machine = &nvl_machines[0];
#endif

const struct nvl_machine *nvl_machine(void)
{
    return machine;
}

const struct nvl_machine *nvl_machine_of_elf(unsigned elf)
{
    for (size_t i = 0; i < NVL_MACHINES; i++)
        if (nvl_machines[i].elf == elf)
            return &nvl_machines[i];
    return NULL;
}

static const struct nvl_machine *machine_in(const struct nvl_root *root, const char *file)
{
    char line[256];

    if (nvl_root_read_attribute(root, file, line, sizeof line) < 0)
        return NULL;
    for (size_t i = 0; i < NVL_MACHINES; i++)
        if (strstr(line, nvl_machines[i].kernel) != NULL)
            return &nvl_machines[i];
    return NULL;
}

static const struct nvl_machine *machine_of_libraries(const struct nvl_root *root)
{
    for (size_t i = 0; i < NVL_MACHINES; i++)
        if (nvl_root_exists(root, nvl_machines[i].libraries))
            return &nvl_machines[i];
    return NULL;
}

/* Since 6.1 the kernel says it itself; the driver does in its first line: "NVRM version: NVIDIA UNIX x86_64
 * Kernel Module", "... Open Kernel Module for aarch64". */
void nvl_machine_take(const struct nvl_root *root)
{
    const struct nvl_machine *found = machine_in(root, "/proc/sys/kernel/arch");

    if (found == NULL)
        found = machine_in(root, "/proc/driver/nvidia/version");
    if (found == NULL)
        found = machine_of_libraries(root);
    if (found != NULL)
        machine = found;
}
