/* NVML: the library behind nvidia-smi. */
#include "probe/probe.h"

#include <dlfcn.h>

#define DEVICES_MAX 16

typedef int init_fn(void);
typedef const char *error_string_fn(int code);
typedef int driver_version_fn(char *text, unsigned size);
typedef int count_fn(unsigned *count);
typedef int handle_fn(unsigned index, void **device);
typedef int name_fn(void *device, char *text, unsigned size);

static error_string_fn *error_string;

static const char *text_of(int code)
{
    const char *text = error_string != NULL ? error_string(code) : NULL;

    return text != NULL ? text : "";
}

static void say_devices(void *library)
{
    count_fn *get_count = (count_fn *)dlsym(library, "nvmlDeviceGetCount_v2");
    handle_fn *get_handle = (handle_fn *)dlsym(library, "nvmlDeviceGetHandleByIndex_v2");
    name_fn *get_name = (name_fn *)dlsym(library, "nvmlDeviceGetName");
    unsigned count = 0;

    if (get_count == NULL || get_handle == NULL || get_name == NULL)
        return;
    try("nvmlDeviceGetCount");
    int r = get_count(&count);
    say("nvml.count", r, "%u %s", r == 0 ? count : 0, r == 0 ? "" : text_of(r));
    for (unsigned i = 0; r == 0 && i < count && i < DEVICES_MAX; i++) {
        char name[96] = "";
        void *device = NULL;

        try("nvmlDeviceGetHandleByIndex");
        int error = get_handle(i, &device);
        if (error == 0)
            error = get_name(device, name, sizeof name);
        name[sizeof name - 1] = '\0';
        say("nvml.name", error, "%s", error == 0 ? name : text_of(error));
    }
}

void probe_nvml(void)
{
    char version[96] = "";
    void *library = load("libnvidia-ml.so.1", "nvmlInit_v2");

    if (library == NULL)
        return;
    init_fn *init = (init_fn *)dlsym(library, "nvmlInit_v2");
    driver_version_fn *driver = (driver_version_fn *)dlsym(library, "nvmlSystemGetDriverVersion");
    init_fn *shutdown = (init_fn *)dlsym(library, "nvmlShutdown");
    error_string = (error_string_fn *)dlsym(library, "nvmlErrorString");
    if (init == NULL) {
        say("nvml.init", -1, "it has no nvmlInit_v2");
        return;
    }
    try("nvmlInit");
    int r = init();
    say("nvml.init", r, "%s", text_of(r));
    if (r != 0)
        return;
    if (driver != NULL) {
        try("nvmlSystemGetDriverVersion");
        r = driver(version, sizeof version);
        version[sizeof version - 1] = '\0';
        say("nvml.driver", r, "%s", r == 0 ? version : text_of(r));
    }
    say_devices(library);
    if (shutdown != NULL)
        shutdown();
}
