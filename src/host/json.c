/* The JSON of a GPU and of the driver. */
#include "host/json.h"

#include "base/alloc.h"
#include "base/printable.h"
#include "host/driver_version.h"
#include "host/gpu_state.h"

json_t *nvl_json_text(const char *s)
{
    json_t *text = json_string(s);

    if (text == NULL) { /* jansson accepts only UTF-8 */
        nvl_autofree char *copy = nvl_make_utf8(nvl_xstrdup(s));
        text = json_string(copy);
    }
    return text;
}

json_t *nvl_json_string(const char *s)
{
    return s != NULL && s[0] != '\0' ? nvl_json_text(s) : json_null();
}

json_t *nvl_json_unsigned(long long n)
{
    return n >= 0 ? json_integer(n) : json_null();
}

json_t *nvl_json_gpu(const struct nvl_gpu *gpu)
{
    return json_pack("{s:o,s:o,s:o,s:s,s:o,s:o,s:s}", "index", nvl_json_unsigned(gpu->index), "uuid",
                     nvl_json_string(gpu->uuid), "minor", nvl_json_unsigned(gpu->minor), "pci", gpu->pci,
                     "model", nvl_json_string(gpu->model), "kernel_driver", nvl_json_string(gpu->driver_name),
                     "state", nvl_gpu_state_name(nvl_gpu_state(gpu)));
}

json_t *nvl_json_mig_device(const struct nvl_gpu *gpu, const struct nvl_mig *mig)
{
    nvl_autofree char *uuid = nvl_mig_uuid(gpu, mig);

    return json_pack("{s:o,s:i,s:i}", "uuid", nvl_json_string(uuid), "gi", (int)mig->gi, "ci", (int)mig->ci);
}

json_t *nvl_json_driver(const struct nvl_driver_version *driver)
{
    return json_pack("{s:b,s:o,s:o}", "loaded", (int)driver->loaded, "version",
                     nvl_json_string(driver->version), "flavour",
                     nvl_json_string(nvl_flavour_name(driver->flavour)));
}
