/* Asks NVML for numbers. Each is optional: an older NVML lacks a function, a GPU lacks a sensor, and what is
 * out of all bounds is no number. */
#include "host/nvml_readings.h"

#include <dlfcn.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"

#define MOST_MW      100000000 /* numbers above these are no readings */
#define MOST_MHZ     1000000
#define MOST_DEGREES 1000

/* The forms of NVML's questions for one number. */
enum question {
    ASK_NUMBER, /* of a device */
    ASK_KIND,   /* of a kind: which sensor, which clock */
    ASK_PERIOD, /* gives the period of the measurement, too */
    ASK_MASK,
    ASK_ECC, /* of a kind, since the driver was loaded */
};

static const struct reading_source {
    enum nvl_reading reading;
    const char *symbol;
    enum question question;
    int kind;
    int64_t most;
} reading_sources[] = {
    {NVL_READING_ENCODER_USE, "nvmlDeviceGetEncoderUtilization", ASK_PERIOD, 0, 100},
    {NVL_READING_DECODER_USE, "nvmlDeviceGetDecoderUtilization", ASK_PERIOD, 0, 100},
    {NVL_READING_POWER, "nvmlDeviceGetPowerUsage", ASK_NUMBER, 0, MOST_MW},
    {NVL_READING_POWER_LIMIT, "nvmlDeviceGetEnforcedPowerLimit", ASK_NUMBER, 0, MOST_MW},
    {NVL_READING_TEMPERATURE, "nvmlDeviceGetTemperature", ASK_KIND, 0, MOST_DEGREES},
    {NVL_READING_SM_CLOCK, "nvmlDeviceGetClockInfo", ASK_KIND, 1, MOST_MHZ},
    {NVL_READING_MEMORY_CLOCK, "nvmlDeviceGetClockInfo", ASK_KIND, 2, MOST_MHZ},
    {NVL_READING_THROTTLE, "nvmlDeviceGetCurrentClocksThrottleReasons", ASK_MASK, 0, INT64_MAX},
    {NVL_READING_ECC_CORRECTED, "nvmlDeviceGetTotalEccErrors", ASK_ECC, 0, INT64_MAX},
    {NVL_READING_ECC_UNCORRECTED, "nvmlDeviceGetTotalEccErrors", ASK_ECC, 1, INT64_MAX},
};

static int64_t ask_reading(void *library, void *device, const struct reading_source *source)
{
    void *symbol = dlsym(library, source->symbol);
    unsigned number = 0, period;
    unsigned long long wide = 0;
    int result;

    if (symbol == NULL)
        return -1;
    if (source->question == ASK_NUMBER)
        result = ((int (*)(void *, unsigned *))symbol)(device, &number);
    else if (source->question == ASK_KIND)
        result = ((int (*)(void *, int, unsigned *))symbol)(device, source->kind, &number);
    else if (source->question == ASK_PERIOD)
        result = ((int (*)(void *, unsigned *, unsigned *))symbol)(device, &number, &period);
    else if (source->question == ASK_MASK)
        result = ((int (*)(void *, unsigned long long *))symbol)(device, &wide);
    else
        result = ((int (*)(void *, int, int, unsigned long long *))symbol)(device, source->kind, 0, &wide);
    wide += number;
    return result == 0 && wide <= (unsigned long long)source->most ? (int64_t)wide : -1;
}

static void ask_memory(void *library, void *device, int64_t *values)
{
    struct {
        unsigned long long total, free, used;
    } memory = {0};
    void *symbol = dlsym(library, "nvmlDeviceGetMemoryInfo");

    if (symbol == NULL || ((int (*)(void *, void *))symbol)(device, &memory) != 0 ||
        memory.total > INT64_MAX || memory.used > memory.total)
        return;
    values[NVL_READING_MEMORY_USED] = (int64_t)memory.used;
    values[NVL_READING_MEMORY_TOTAL] = (int64_t)memory.total;
}

static void ask_use(void *library, void *device, int64_t *values)
{
    struct {
        unsigned gpu, memory;
    } use = {0};
    void *symbol = dlsym(library, "nvmlDeviceGetUtilizationRates");

    if (symbol == NULL || ((int (*)(void *, void *))symbol)(device, &use) != 0)
        return;
    values[NVL_READING_GPU_USE] = use.gpu <= 100 ? (int64_t)use.gpu : -1;
    values[NVL_READING_MEMORY_USE] = use.memory <= 100 ? (int64_t)use.memory : -1;
}

/* A GPU that does not answer one of the questions is still listed: the value is not known. */
void nvl_readings_take(struct nvl_readings *readings, void *library, void *device, const char *uuid)
{
    if (nvl_readings_of(readings, uuid) != NULL)
        return;
    struct nvl_gpu_readings *gpu = NVL_APPEND(readings->items, readings->count);
    *gpu = (struct nvl_gpu_readings){0};
    nvl_copy(gpu->uuid, sizeof gpu->uuid, uuid, strlen(uuid));
    for (size_t i = 0; i < NVL_READINGS; i++)
        gpu->values[i] = -1;
    ask_memory(library, device, gpu->values);
    ask_use(library, device, gpu->values);
    for (size_t i = 0; i < NVL_LENGTH(reading_sources); i++)
        gpu->values[reading_sources[i].reading] = ask_reading(library, device, &reading_sources[i]);
}

void nvl_readings_clear(struct nvl_readings *readings)
{
    free(readings->items);
    *readings = (struct nvl_readings){0};
}

const struct nvl_gpu_readings *nvl_readings_of(const struct nvl_readings *readings, const char *uuid)
{
    for (size_t i = 0; i < readings->count; i++)
        if (strcmp(readings->items[i].uuid, uuid) == 0)
            return &readings->items[i];
    return NULL;
}

const char *nvl_throttle_next(int64_t *mask)
{
    /* nvmlClocksThrottleReason… of nvml.h, from bit 0 on */
    static const char *const names[] = {
        "gpu_idle",
        "applications_clocks_setting",
        "sw_power_cap",
        "hw_slowdown",
        "sync_boost",
        "sw_thermal_slowdown",
        "hw_thermal_slowdown",
        "hw_power_brake_slowdown",
        "display_clock_setting",
    };

    for (size_t i = 0; i < NVL_LENGTH(names) && *mask > 0; i++)
        if ((*mask & (INT64_C(1) << i)) != 0) {
            *mask &= ~(INT64_C(1) << i);
            return names[i];
        }
    return NULL;
}
