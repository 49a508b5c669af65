/* The table of the driver's files. Left out on purpose: glvnd's loaders (libGL.so.1, libEGL.so.1), which
 * every distribution has, and what distributions build themselves against their own C library (egl-wayland,
 * egl-gbm, nvidia-modprobe, nvidia-persistenced). */
#include "bundle/catalog.h"

#include "base/alloc.h"
#include "grant/grant.h"

#define LIBRARY(name, capability, expected, package)                                                         \
    {                                                                                                        \
        NVL_FILE_LIBRARY, name, NVL_CAP_##capability, expected, package, NULL                                \
    }
#define PROGRAM(name, capability, expected, package, with)                                                   \
    {                                                                                                        \
        NVL_FILE_PROGRAM, name, NVL_CAP_##capability, expected, package, with                                \
    }
#define DATA(name, capability, expected, package, with)                                                      \
    {                                                                                                        \
        NVL_FILE_DATA, name, NVL_CAP_##capability, expected, package, with                                   \
    }
#define LINK(name, capability, package, with)                                                                \
    {                                                                                                        \
        NVL_FILE_LINK, name, NVL_CAP_##capability, false, package, with                                      \
    }

const struct nvl_catalog_file nvl_catalog[] = {
    LIBRARY("libnvidia-ml.so.1", UTILITY, true, "libnvidia-ml1"),
    LIBRARY("libnvidia-cfg.so.1", UTILITY, true, "libnvidia-cfg1"),
    LIBRARY("libnvidia-nscq.so.2", UTILITY, false, "libnvidia-nscq"), /* machines with an NVSwitch */
    LIBRARY("libnvidia-sandboxutils.so.1", UTILITY, false, NULL),     /* from 560 */
    PROGRAM("nvidia-smi", UTILITY, true, "nvidia-smi", NULL),
    PROGRAM("nvidia-debugdump", UTILITY, false, "nvidia-driver-bin", "nvidia-smi"),

    LIBRARY("libcuda.so.1", COMPUTE, true, "libcuda1"),
    LIBRARY("libcudadebugger.so.1", COMPUTE, false, "libcudadebugger1"),
    LIBRARY("libnvidia-ptxjitcompiler.so.1", COMPUTE, true, "libnvidia-ptxjitcompiler1"),
    LIBRARY("libnvidia-nvvm.so.4", COMPUTE, true, "libnvidia-nvvm4"),
    LIBRARY("libnvidia-nvvm70.so.4", COMPUTE, false, NULL),        /* from 575 */
    LIBRARY("libnvidia-tileiras.so", COMPUTE, false, NULL),        /* from 590 */
    LIBRARY("libnvidia-compiler.so", COMPUTE, false, NULL),        /* before nvvm */
    LIBRARY("libnvidia-fatbinaryloader.so", COMPUTE, false, NULL), /* up to 450 */
    LIBRARY("libnvidia-pkcs11.so", COMPUTE, false, NULL),          /* confidential computing, OpenSSL 1.1 */
    LIBRARY("libnvidia-pkcs11-openssl3.so", COMPUTE, false, "libnvidia-pkcs11-openssl3"),
    LIBRARY("libnvidia-opencl.so.1", COMPUTE, true, "nvidia-opencl-icd"),
    DATA("etc/OpenCL/vendors/nvidia.icd", COMPUTE, true, "nvidia-opencl-common", "libnvidia-opencl.so.1"),
    PROGRAM("nvidia-cuda-mps-control", COMPUTE, false, "nvidia-cuda-mps", NULL),
    PROGRAM("nvidia-cuda-mps-server", COMPUTE, false, "nvidia-cuda-mps", "nvidia-cuda-mps-control"),

    LIBRARY("libnvcuvid.so.1", VIDEO, true, "libnvcuvid1"),
    LIBRARY("libnvidia-encode.so.1", VIDEO, true, "libnvidia-encode1"),
    LIBRARY("libnvidia-opticalflow.so.1", VIDEO, true, "libnvidia-opticalflow1"),
    LIBRARY("vdpau/libvdpau_nvidia.so.1", VIDEO, true, "nvidia-vdpau-driver"),

    LIBRARY("libGLX_nvidia.so.0", GRAPHICS, true, "libglx-nvidia0"),
    LIBRARY("libEGL_nvidia.so.0", GRAPHICS, true, "libegl-nvidia0"),
    LIBRARY("libGLESv1_CM_nvidia.so.1", GRAPHICS, true, "libgles-nvidia1"),
    LIBRARY("libGLESv2_nvidia.so.2", GRAPHICS, true, "libgles-nvidia2"),
    LIBRARY("libnvidia-glcore.so", GRAPHICS, true, "libnvidia-glcore"),
    LIBRARY("libnvidia-tls.so", GRAPHICS, true, "libnvidia-glcore"),
    LIBRARY("libnvidia-eglcore.so", GRAPHICS, true, "libnvidia-eglcore"),
    LIBRARY("libnvidia-glsi.so", GRAPHICS, true, "libnvidia-eglcore"),
    LIBRARY("libnvidia-glvkspirv.so", GRAPHICS, true, "libnvidia-glvkspirv"),
    LIBRARY("libnvidia-rtcore.so", GRAPHICS, true, "libnvidia-rtcore"),
    /* NVIDIA's tools hand out these two with compute; the libraries that need them are graphics, and a host
     * without it lacks them */
    LIBRARY("libnvidia-gpucomp.so", GRAPHICS, false, "libnvidia-gpucomp"), /* from 545 */
    LIBRARY("libnvidia-allocator.so.1", GRAPHICS, true, "libnvidia-allocator1"),
    LINK("gbm/nvidia-drm_gbm.so", GRAPHICS, "libnvidia-allocator1", "libnvidia-allocator.so.1"),
    LIBRARY("libnvidia-fbc.so.1", GRAPHICS, true, "libnvidia-fbc1"),
    LIBRARY("libnvidia-api.so.1", GRAPHICS, false, "libnvidia-api1"),
    LIBRARY("libnvidia-cbl.so", GRAPHICS, false, NULL),             /* 440 to 470 */
    LIBRARY("libnvidia-vulkan-producer.so", GRAPHICS, false, NULL), /* 495 to 535 */
    LIBRARY("libnvidia-vksc-core.so.1", GRAPHICS, false, NULL),     /* from 545 */
    LIBRARY("libnvoptix.so.1", GRAPHICS, true, "libnvoptix1"),
    DATA("share/nvidia/nvoptix.bin", GRAPHICS, false, "libnvoptix1", "libnvoptix.so.1"),
    DATA("share/vulkan/icd.d/nvidia_icd.json", GRAPHICS, true, "nvidia-vulkan-common", "libGLX_nvidia.so.0"),
    DATA("share/vulkan/implicit_layer.d/nvidia_layers.json", GRAPHICS, false, "nvidia-vulkan-common",
         "libGLX_nvidia.so.0"),
    DATA("share/glvnd/egl_vendor.d/10_nvidia.json", GRAPHICS, true, "nvidia-egl-common",
         "libEGL_nvidia.so.0"),

    LIBRARY("libnvidia-ngx.so.1", NGX, true, "libnvidia-ngx1"),
    /* Proton finds them beside the libraries */
    DATA("lib64/nvidia/wine/nvngx.dll", NGX, false, "libnvidia-ngx1", "libnvidia-ngx.so.1"),
    DATA("lib64/nvidia/wine/_nvngx.dll", NGX, false, "libnvidia-ngx1", "libnvidia-ngx.so.1"),
    PROGRAM("nvidia-ngx-updater", NGX, false, NULL, NULL),
};
const size_t nvl_catalog_length = NVL_LENGTH(nvl_catalog);
