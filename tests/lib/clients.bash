# shellcheck shell=bash disable=SC2034
# Debian 13's packages with programs' own side of the driver: the loaders of OpenCL, Vulkan and EGL, with what they and the
# driver's libraries need; and a 32-bit C library and shell. Sourced by prepare and by the tests that unpack them.
CLIENTS=(clinfo:amd64 ocl-icd-libopencl1:amd64 libvulkan1:amd64 libegl1:amd64 libglvnd0:amd64 libx11-6:amd64 libxext6:amd64
    libxcb1:amd64 libxau6:amd64 libxdmcp6:amd64)
# What some libraries of older branches are linked with, too.
GL=(libgl1:amd64 libglx0:amd64)
LIBC_32=(libc6:i386)
SHELL_32=(dash:i386)

# Debian 12's podman, which reads CDI specifications, with what Debian 12's minimal root file system lacks of its libraries.
# runc: unlike crun 1.8 it does not ask for unlimited locked memory, which a simulated host may not be able to give.
ENGINE=(podman:amd64 conmon:amd64 runc:amd64 libgpgme11:amd64 libassuan0:amd64 libdevmapper1.02.1:amd64 libsubid4:amd64
    libglib2.0-0:amd64)

# Debian 13's Docker, with what Debian 13's minimal root file system may lack of its libraries.
DOCKER=(docker.io:amd64 docker-cli:amd64 containerd:amd64 runc:amd64 libseccomp2:amd64 libsystemd0:amd64 libcap2:amd64)

# Debian 12's Prometheus with its own tool, and node_exporter.
WATCHERS=(prometheus:amd64 prometheus-node-exporter:amd64)
