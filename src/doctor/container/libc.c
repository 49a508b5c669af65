/* Whether a container's programs can load NVIDIA's libraries at all: by processor and C library. */
#include "doctor/container/shared.h"
#include "doctor/families.h"
#include "inject/home.h"
#include "inject/libc.h"

static void check_processor(const struct nvl_check *check, const struct nvl_container_facts *facts,
                            struct nvl_findings *findings)
{
    nvl_auto(nvl_libc_clear) struct nvl_libc libc = {0};

    nvl_libc_read(&facts->rootfs, &libc);
    if (libc.kind != NVL_LIBC_FOREIGN)
        return;
    struct nvl_finding *f = nvl_finding_add(findings, check, NVL_SEVERITY_ERROR, facts->name,
                                            "its programs are for another processor than the host's");
    nvl_finding_evidence(f, "its first programs (/sbin/init, /bin/sh) are for %s", libc.machine);
    nvl_finding_cause(f, "the host runs them by an emulator, which does not pass the driver's calls on, and "
                         "NVIDIA's libraries of this host do not load in them");
    nvl_finding_fix(f, "move the programs that need the GPU to a container for the host's processor");
}

static void check_musl(const struct nvl_check *check, const struct nvl_container_facts *facts,
                       struct nvl_findings *findings)
{
    nvl_auto(nvl_libc_clear) struct nvl_libc libc = {0};

    nvl_libc_read(&facts->rootfs, &libc);
    if (libc.kind != NVL_LIBC_MUSL)
        return;
    struct nvl_finding *f = nvl_finding_add(findings, check, NVL_SEVERITY_ERROR, facts->name,
                                            "its C library is musl, which cannot load NVIDIA's driver");
    nvl_finding_evidence(f, "its loader is %s%s", libc.loader,
                         libc.is_disguised ? "; what stands in the place of glibc's (ld-linux) is not glibc"
                                           : ", and it has no glibc (ld-linux)");
    nvl_finding_cause(f, "NVIDIA builds its libraries only for glibc; loading one fails with "
                         "\"__register_atfork: symbol not found\", also with gcompat");
    nvl_finding_fix(f, "move the programs that need the GPU to a container of a distribution with glibc: "
                       "Debian, Ubuntu, Fedora");
}

/* A service's own environment is not known here: so this is a note. */
static void check_glibc(const struct nvl_check *check, const struct nvl_container_facts *facts,
                        struct nvl_findings *findings)
{
    nvl_auto(nvl_libc_clear) struct nvl_libc libc = {0};
    const char *home = nvl_home(&facts->rootfs);

    nvl_libc_read(&facts->rootfs, &libc);
    if (libc.kind != NVL_LIBC_ELSEWHERE)
        return;
    struct nvl_finding *f = nvl_finding_add(findings, check, NVL_SEVERITY_NOTE, facts->name,
                                            "its programs find the driver only by LD_LIBRARY_PATH");
    nvl_finding_evidence(f, "its glibc is that of %s; none is where other distributions have it",
                         libc.loader);
    nvl_finding_cause(f, "such a glibc (of Nix) does not read the /etc/ld.so.cache that nvlxc refreshes");
    nvl_finding_fix(f,
                    "set LD_LIBRARY_PATH=%s/lib64 for the programs that need the GPU (in NixOS: "
                    "systemd.services.NAME.environment), and, for programs that are not of Nix, "
                    "programs.nix-ld.enable = true with NIX_LD_LIBRARY_PATH of the same folder",
                    home);
}

const struct nvl_check nvl_libc_checks[] = {
    {"container-processor", "Are its programs for the host's processor?", 8,
     NVL_NEEDS_GPU_WISH | NVL_NEEDS_ROOTFS | NVL_OF_START, NULL, NVL_OF_CONTAINER(check_processor)},
    {"container-musl", "Can its C library load NVIDIA's driver?", 10,
     NVL_NEEDS_GPU_WISH | NVL_NEEDS_ROOTFS | NVL_OF_START, NULL, NVL_OF_CONTAINER(check_musl)},
    {"container-glibc", "Is its glibc where programs look for it?", 12, NVL_NEEDS_BUNDLE | NVL_NEEDS_ROOTFS,
     NULL, NVL_OF_CONTAINER(check_glibc)},
    {0},
};
