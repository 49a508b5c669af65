/* What a container's root file system holds that keeps its programs from the driver. It is hostile: all is
 * read through its root handle, with bounds. */
#include "check/families.h"

#include "rootfs/linker.h"

static void check_musl(const struct nvl_check *check, const struct nvl_container_facts *facts,
                       struct nvl_findings *findings)
{
    if (!facts->has_grant || facts->rootfs.fd < 0 || !nvl_linker_is_musl(&facts->rootfs))
        return;
    struct nvl_finding *f = nvl_finding_add(findings, check, NVL_SEVERITY_ERROR, facts->name,
                                            "its C library is musl, which cannot load NVIDIA's driver");
    nvl_finding_evidence(f, "/lib/ld-musl-x86_64.so.1 is there, /lib64/ld-linux-x86-64.so.2 is not");
    nvl_finding_cause(f, "NVIDIA builds its libraries for glibc alone; loading one fails with "
                         "\"__register_atfork: symbol not found\"");
    nvl_finding_fix(
        f, "use a container of a distribution with glibc (Debian, Ubuntu, Fedora) for what needs the GPU");
}

const struct nvl_check nvl_checks_files[] = {
    {"container-musl", "Can its C library load NVIDIA's driver?", NULL, NULL, check_musl},
    {0},
};
