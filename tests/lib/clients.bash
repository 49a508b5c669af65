# shellcheck shell=bash disable=SC2034
# Debian 13's packages with programs' own side of the driver: the loaders of OpenCL, Vulkan and EGL, with what they and the
# driver's libraries need; and a 32-bit C library with a program. Sourced by prepare and by the tests that unpack them.
CLIENTS=(ocl-icd-libopencl1:amd64 libvulkan1:amd64 libegl1:amd64 libglvnd0:amd64 libx11-6:amd64 libxext6:amd64
    libxcb1:amd64 libxau6:amd64 libxdmcp6:amd64)
CLIENTS_32=(libc6:i386 dash:i386)
