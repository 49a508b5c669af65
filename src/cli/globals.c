/* The options of every command: the program parses them, its documents list them. */
#include "cli/globals.h"

const struct nvl_option nvl_global_options[] = {
    {"--root", "DIR", "work on the host captured in DIR instead of this one", NVL_OPTION_STRING,
     offsetof(struct nvl_globals, root)},
    {"--json", NULL, "print JSON", NVL_OPTION_FLAG, offsetof(struct nvl_globals, json)},
    {"--quiet", NULL, "print errors and warnings only", NVL_OPTION_FLAG, offsetof(struct nvl_globals, quiet)},
    {"--help", NULL, "show this help, or that of a command", NVL_OPTION_FLAG,
     offsetof(struct nvl_globals, help)},
    {"--version", NULL, "show the version", NVL_OPTION_FLAG, offsetof(struct nvl_globals, version)},
    {0},
};
