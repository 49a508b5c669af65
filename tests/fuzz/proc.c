/* Single files of /proc: the driver's version, a GPU's information, majors, the driver's parameters. */
#include "fuzz.h"

#include "host/driver_version.h"
#include "host/gpu.h"
#include "host/majors.h"
#include "host/params.h"

static void check_version(const char *text, size_t len)
{
    struct nvl_driver_version v = {0};

    nvl_driver_version_parse(text, len, &v);
    size_t n = strnlen(v.version, sizeof v.version);
    CHECK(n < sizeof v.version && (n == 0 || nvl_is_version(v.version, n)));
}

static void check_information(const char *text, size_t len)
{
    struct nvl_gpu gpu = {0};

    nvl_gpu_parse_information(text, len, &gpu);
    CHECK(strnlen(gpu.pci, sizeof gpu.pci) < sizeof gpu.pci);
    CHECK(strnlen(gpu.uuid, sizeof gpu.uuid) < sizeof gpu.uuid);
    CHECK(strnlen(gpu.model, sizeof gpu.model) < sizeof gpu.model);
    CHECK(gpu.minor >= -1);
}

static void check_majors(const char *text, size_t len)
{
    struct nvl_majors m;

    nvl_majors_parse(text, len, &m);
    CHECK(m.nvidia >= -1 && m.uvm >= -1 && m.caps >= -1 && m.caps_imex >= -1 && m.nvswitch >= -1 &&
          m.nvlink >= -1);
}

static void check_params(const char *text, size_t len)
{
    struct nvl_params params;

    nvl_params_parse(text, len, &params);
    CHECK(params.mode <= 07777);
}

void fuzz_one(const char *data, size_t len)
{
    static void (*const parsers[])(const char *, size_t) = {check_version, check_information, check_majors,
                                                            check_params};
    struct fuzz_input in = {data, len};
    unsigned which = fuzz_choice(&in, NVL_LENGTH(parsers));
    nvl_autofree char *exact = nvl_xcalloc(in.len, 1);

    memcpy(exact, in.data, in.len);
    parsers[which](exact, in.len);
}
