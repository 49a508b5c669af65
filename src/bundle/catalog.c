/* The table of the driver's files. Branches were checked with real packages of 390, 470, 535, 550 and 555;
 * for newer ones they are those of NVIDIA's changelog and of the installer's lists of files. */
#include "bundle/catalog.h"

#include <elf.h>
#include <stdlib.h>

#include "base/machine.h"
#include "base/text.h"
#include "grant/grant.h"

#define ROW(kind, name, capability, first, last, expected, package, with)                                    \
    {                                                                                                        \
        NVL_FILE_##kind, name, NVL_CAP_##capability, first, last, expected, package, with                    \
    }
#define LIBRARY(name, capability, first, last, expected, package)                                            \
    ROW(LIBRARY, name, capability, first, last, expected, package, NULL)
#define PLATFORM(name, json, first)                                                                          \
    ROW(PLATFORM, name, GRAPHICS, first, 0, false, NULL, NULL),                                              \
        ROW(DATA, "share/egl/egl_external_platform.d/" json, GRAPHICS, first, 0, false, NULL, name)
#define PROGRAM(name, capability, expected, package, with)                                                   \
    ROW(PROGRAM, name, capability, 0, 0, expected, package, with)
#define DATA(name, capability, first, expected, package, with)                                               \
    ROW(DATA, name, capability, first, 0, expected, package, with)

const struct nvl_catalog_file nvl_catalog[] = {
    LIBRARY("libnvidia-ml.so.1", UTILITY, 0, 0, true, "libnvidia-ml1"),
    LIBRARY("libnvidia-cfg.so.1", UTILITY, 0, 0, true, "libnvidia-cfg1"),
    LIBRARY("libnvidia-nscq.so.2", UTILITY, 450, 0, false, "libnvidia-nscq"), /* machines with an NVSwitch */
    LIBRARY("libnvidia-sandboxutils.so.1", UTILITY, 560, 0, false, NULL),
    PROGRAM("nvidia-smi", UTILITY, true, "nvidia-smi", NULL),
    PROGRAM("nvidia-debugdump", UTILITY, false, "nvidia-driver-bin", "nvidia-smi"),

    LIBRARY("libcuda.so.1", COMPUTE, 0, 0, true, "libcuda1"),
    LIBRARY("libcudadebugger.so.1", COMPUTE, 510, 0, false, "libcudadebugger1"),
    LIBRARY("libnvidia-ptxjitcompiler.so.1", COMPUTE, 361, 0, true, "libnvidia-ptxjitcompiler1"),
    /* both without a version of their own in 470 and from 575 on */
    ROW(LIBRARY, "libnvidia-nvvm.so.4", COMPUTE, 470, 0, true, "libnvidia-nvvm4", "libcuda.so.1"),
    ROW(LIBRARY, "libnvidia-nvvm70.so.4", COMPUTE, 575, 0, true, "libnvidia-nvvm4", "libnvidia-nvvm.so.4"),
    LIBRARY("libnvidia-tileiras.so", COMPUTE, 590, 0, false, NULL),
    LIBRARY("libnvidia-compiler.so", COMPUTE, 0, 470, true, "libnvidia-compiler"),
    LIBRARY("libnvidia-fatbinaryloader.so", COMPUTE, 361, 440, true, "libnvidia-fatbinaryloader"),
    LIBRARY("libnvidia-pkcs11.so", COMPUTE, 530, 0, false, NULL), /* confidential computing, OpenSSL 1.1 */
    LIBRARY("libnvidia-pkcs11-openssl3.so", COMPUTE, 535, 0, false, "libnvidia-pkcs11-openssl3"),
    LIBRARY("libnvidia-opencl.so.1", COMPUTE, 0, 0, true, "nvidia-opencl-icd"),
    DATA("etc/OpenCL/vendors/nvidia.icd", COMPUTE, 0, true, "nvidia-opencl-common", "libnvidia-opencl.so.1"),
    PROGRAM("nvidia-cuda-mps-control", COMPUTE, false, "nvidia-cuda-mps", NULL),
    PROGRAM("nvidia-cuda-mps-server", COMPUTE, false, "nvidia-cuda-mps", "nvidia-cuda-mps-control"),

    LIBRARY("libnvcuvid.so.1", VIDEO, 0, 0, true, "libnvcuvid1"),
    LIBRARY("libnvidia-encode.so.1", VIDEO, 319, 0, true, "libnvidia-encode1"),
    LIBRARY("libnvidia-opticalflow.so.1", VIDEO, 418, 0, true, "libnvidia-opticalflow1"),
    LIBRARY("vdpau/libvdpau_nvidia.so.1", VIDEO, 0, 0, true, "nvidia-vdpau-driver"),

    LIBRARY("libGLX_nvidia.so.0", GRAPHICS, 361, 0, true, "libglx-nvidia0"),
    LIBRARY("libEGL_nvidia.so.0", GRAPHICS, 361, 0, true, "libegl-nvidia0"),
    LIBRARY("libGLESv1_CM_nvidia.so.1", GRAPHICS, 361, 0, true, "libgles-nvidia1"),
    LIBRARY("libGLESv2_nvidia.so.2", GRAPHICS, 361, 0, true, "libgles-nvidia2"),
    LIBRARY("libnvidia-glcore.so", GRAPHICS, 0, 0, true, "libnvidia-glcore"),
    LIBRARY("libnvidia-tls.so", GRAPHICS, 0, 0, true, "libnvidia-glcore"),
    LIBRARY("libnvidia-eglcore.so", GRAPHICS, 331, 0, true, "libnvidia-eglcore"),
    LIBRARY("libnvidia-glsi.so", GRAPHICS, 331, 0, true, "libnvidia-eglcore"),
    LIBRARY("libnvidia-glvkspirv.so", GRAPHICS, 396, 0, true, "libnvidia-glvkspirv"),
    LIBRARY("libnvidia-rtcore.so", GRAPHICS, 410, 0, true, "libnvidia-rtcore"),
    /* the libraries of graphics need it; from 575 on those of compute, too */
    LIBRARY("libnvidia-gpucomp.so", GRAPHICS, 545, 570, true, "libnvidia-gpucomp"),
    LIBRARY("libnvidia-gpucomp.so", COMPUTE, 575, 0, true, "libnvidia-gpucomp"),
    /* nvidia_layers.json names it */
    LIBRARY("libnvidia-present.so", GRAPHICS, 575, 0, true, NULL),
    /* NVIDIA's tools hand it out with compute; what needs it is graphics, and a host without that lacks it */
    LIBRARY("libnvidia-allocator.so.1", GRAPHICS, 440, 0, true, "libnvidia-allocator1"),
    ROW(LINK, "gbm/nvidia-drm_gbm.so", GRAPHICS, 495, 0, false, "libnvidia-allocator1",
        "libnvidia-allocator.so.1"),
    LIBRARY("libnvidia-fbc.so.1", GRAPHICS, 331, 0, true, "libnvidia-fbc1"),
    LIBRARY("libnvidia-ifr.so.1", GRAPHICS, 319, 470, false, "libnvidia-ifr1"),
    LIBRARY("libnvidia-api.so.1", GRAPHICS, 525, 0, false, "libnvidia-api1"),
    LIBRARY("libnvidia-cbl.so", GRAPHICS, 440, 470, false, "libnvidia-cbl"),
    LIBRARY("libnvidia-vulkan-producer.so", GRAPHICS, 465, 535, false, NULL),
    LIBRARY("libnvidia-vksc-core.so.1", GRAPHICS, 545, 0, false, NULL),
    LIBRARY("libnvoptix.so.1", GRAPHICS, 410, 0, true, "libnvoptix1"),
    DATA("share/nvidia/nvoptix.bin", GRAPHICS, 520, false, "libnvoptix1", "libnvoptix.so.1"),
    DATA("share/vulkan/icd.d/nvidia_icd.json", GRAPHICS, 0, true, "nvidia-vulkan-common",
         "libGLX_nvidia.so.0"),
    DATA("share/vulkan/implicit_layer.d/nvidia_layers.json", GRAPHICS, 0, false, "nvidia-vulkan-common",
         "libGLX_nvidia.so.0"),
    DATA("share/glvnd/egl_vendor.d/10_nvidia.json", GRAPHICS, 361, true, "nvidia-egl-common",
         "libEGL_nvidia.so.0"),
    DATA("share/nvidia/nvidia-application-profiles-rc", GRAPHICS, 319, false, NULL, "libnvidia-glcore.so"),
    /* EGL's way to a display server: without them a program in a container falls back to Mesa */
    PLATFORM("libnvidia-egl-gbm.so.1", "15_nvidia_gbm.json", 495),
    PLATFORM("libnvidia-egl-wayland.so.1", "10_nvidia_wayland.json", 378),
    PLATFORM("libnvidia-egl-wayland2.so.1", "09_nvidia_wayland2.json", 590),
    PLATFORM("libnvidia-egl-xcb.so.1", "20_nvidia_xcb.json", 560),
    PLATFORM("libnvidia-egl-xlib.so.1", "20_nvidia_xlib.json", 560),

    ROW(MODULE, "xorg/modules/drivers/nvidia_drv.so", DISPLAY, 0, 0, true, "xserver-xorg-video-nvidia", NULL),
    ROW(MODULE, "xorg/modules/extensions/libglxserver_nvidia.so", DISPLAY, 410, 0, true,
        "xserver-xorg-video-nvidia", NULL),

    LIBRARY("libnvidia-ngx.so.1", NGX, 418, 0, true, "libnvidia-ngx1"),
    /* Proton finds them beside the libraries */
    DATA("lib64/nvidia/wine/nvngx.dll", NGX, 470, false, "libnvidia-ngx1", "libnvidia-ngx.so.1"),
    DATA("lib64/nvidia/wine/_nvngx.dll", NGX, 470, false, "libnvidia-ngx1", "libnvidia-ngx.so.1"),
    DATA("lib64/nvidia/wine/nvngx_dlssg.dll", NGX, 570, false, "libnvidia-ngx1", "libnvidia-ngx.so.1"),
    PROGRAM("nvidia-ngx-updater", NGX, false, NULL, NULL),
};
const size_t nvl_catalog_length = NVL_LENGTH(nvl_catalog);

/* glvnd's loaders, which every distribution has, and their like of the time before glvnd; nvidia-settings'
 * libraries, which need GTK; what serves the host of virtual GPUs, the X server of old drivers, and the
 * installer. Other files that distributions build against their own C library (nvidia-modprobe,
 * nvidia-persistenced) have no version in their name. */
static const char *const left_out[] = {"libGL.so",
                                       "libEGL.so",
                                       "libGLX.so",
                                       "libGLX_indirect.so",
                                       "libGLESv1_CM.so",
                                       "libGLESv2.so",
                                       "libGLdispatch.so",
                                       "libOpenGL.so",
                                       "libOpenCL.so",
                                       "libXvMCNVIDIA.so",
                                       "libglx.so",
                                       "libglxserver_nvidia.so",
                                       "libnvidia-gtk2.so",
                                       "libnvidia-gtk3.so",
                                       "libnvidia-wayland-client.so",
                                       "libnvidia-vgpu.so",
                                       "libnvidia-vgxcfg.so",
                                       "libnvidia-wfb.so",
                                       "libEGL_installertest.so",
                                       "libGL_installertest.so"};

bool nvl_catalog_expects(const struct nvl_catalog_file *entry, const char *version)
{
    unsigned long branch = strtoul(version, NULL, 10);

    if (nvl_machine()->elf == EM_AARCH64 &&
        entry->capability == NVL_CAP_NGX) /* the driver for arm64 has none */
        return false;
    return entry->expected && branch >= entry->first && (entry->last == 0 || branch <= entry->last);
}

bool nvl_catalog_leaves_out(const char *name)
{
    for (size_t i = 0; i < NVL_LENGTH(left_out); i++) {
        size_t len = strlen(left_out[i]);
        if (strncmp(name, left_out[i], len) == 0 && (name[len] == '\0' || name[len] == '.'))
            return true;
    }
    return false;
}
