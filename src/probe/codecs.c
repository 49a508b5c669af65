/* The libraries of video, OpenCL and Vulkan: whether the container's loader finds them, and what they
 * need. */
#include "probe/probe.h"

#include <dlfcn.h>
#include <stdint.h>

void probe_video(void)
{
    uint32_t version = 0;
    void *decode = load("libnvcuvid.so.1", "cuvidCreateDecoder");
    void *encode = load("libnvidia-encode.so.1", "NvEncodeAPICreateInstance");

    if (decode != NULL)
        say("nvdec", dlsym(decode, "cuvidCreateDecoder") != NULL ? 0 : 1, "cuvidCreateDecoder");
    if (encode == NULL)
        return;
    int (*max_version)(uint32_t *) = (int (*)(uint32_t *))dlsym(encode, "NvEncodeAPIGetMaxSupportedVersion");
    if (max_version == NULL) {
        say("nvenc", 1, "it has no NvEncodeAPIGetMaxSupportedVersion");
        return;
    }
    try("NvEncodeAPIGetMaxSupportedVersion");
    int r = max_version(&version);
    /* the major number is above the lowest four bits */
    say("nvenc", r, "%u.%u", version >> 4, version & 15);
}

void probe_library(const char *soname, const char *function)
{
    void *library = load(soname, function);

    if (library != NULL)
        say("function", dlsym(library, function) != NULL ? 0 : 1, "it has no %s", function);
}
