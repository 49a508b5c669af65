/* The owner and mode that the driver wants for its device nodes, from /proc/driver/nvidia/params. */
#include "host/params.h"

#include <limits.h>

#include "base/root.h"

#define PARAMS_FILE     "/proc/driver/nvidia/params"
#define PARAMS_FILE_MAX (64u << 10)

static void take(const char *line, size_t len, const char *key, uint64_t max, unsigned *out)
{
    const char *value;
    size_t value_len;
    char digits[16];
    uint64_t number;

    if (nvl_line_value(line, len, key, &value, &value_len) &&
        nvl_copy(digits, sizeof digits, value, value_len) && nvl_parse_uint(digits, 10, max, &number) == 0)
        *out = (unsigned)number;
}

void nvl_params_parse(const char *text, size_t len, struct nvl_params *params)
{
    const char *line;
    size_t line_len, pos = 0;
    unsigned modify = 1;

    *params = (struct nvl_params){.mode = 0666};
    while (nvl_next_line(text, len, &pos, &line, &line_len)) {
        take(line, line_len, "ModifyDeviceFiles", UINT_MAX, &modify);
        take(line, line_len, "DeviceFileUID", UINT_MAX, &params->uid);
        take(line, line_len, "DeviceFileGID", UINT_MAX, &params->gid);
        take(line, line_len, "DeviceFileMode", 07777, &params->mode);
    }
    params->modify_device_files = modify != 0;
}

void nvl_params_read(const struct nvl_root *root, struct nvl_params *params, char **text)
{
    size_t len = 0;

    *text = NULL;
    if (nvl_root_read(root, PARAMS_FILE, PARAMS_FILE_MAX, text, &len) < 0)
        len = 0;
    nvl_params_parse(*text != NULL ? *text : "", len, params);
}
