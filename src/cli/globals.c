/* The options of every command: the program parses them, its documents list them. */
#include "cli/globals.h"

const struct nvl_option nvl_global_options[] = {
    {"--root", "DIR", "work on the host captured in DIR instead of this one", NVL_OPTION_STRING,
     offsetof(struct nvl_globals, root), .values = "@folders"},
    {"--json", NULL, "print JSON", NVL_OPTION_FLAG, offsetof(struct nvl_globals, json)},
    {"--quiet", NULL, "print errors and warnings only", NVL_OPTION_FLAG, offsetof(struct nvl_globals, quiet)},
    {"--color", "WHEN", "auto (default: on a terminal), always or never", NVL_OPTION_STRING,
     offsetof(struct nvl_globals, color)},
    {"--help", NULL, "show this help, or that of a command", NVL_OPTION_FLAG,
     offsetof(struct nvl_globals, help), 'h'},
    {"--version", NULL, "show the version", NVL_OPTION_FLAG, offsetof(struct nvl_globals, version), 'V'},
    {0},
};

const char nvl_capability_values[] = "compute\tCUDA and OpenCL\n"
                                     "utility\tnvidia-smi and NVML\n"
                                     "video\tNVENC and NVDEC: transcoding\n"
                                     "graphics\tOpenGL and Vulkan\n"
                                     "display\tX11 and its modes\n"
                                     "ngx\tDLSS and the like\n"
                                     "compat32\tthe libraries for 32-bit programs, too\n"
                                     "all\tall of them\n";

const char nvl_gpu_values[] = "@gpus\n"
                              "all\tall GPUs, also those that are added later\n"
                              "none\tthe driver without a GPU\n"
                              "any\tthe first GPU that works where it starts\n";
