/* try-icd opencl|vulkan|egl: asks the API's own loader for what drivers there are, as every program does that
 * uses it. Which drivers it then opens, LD_DEBUG=files says. Goes into the containers of the tests, which
 * have no headers of these APIs: the functions are called as their loaders' C interface has them. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *function(const char *library, const char *name)
{
    void *loader = dlopen(library, RTLD_NOW);
    void *address = loader != NULL ? dlsym(loader, name) : NULL;

    if (address == NULL) {
        printf("%s: %s\n", name, dlerror());
        exit(1);
    }
    return address;
}

int main(int argc, char **argv)
{
    unsigned count = 0;

    if (argc == 2 && strcmp(argv[1], "opencl") == 0) {
        int (*list)(unsigned, void *, unsigned *) = function("libOpenCL.so.1", "clGetPlatformIDs");
        printf("%d\n", list(0, NULL, &count));
    } else if (argc == 2 && strcmp(argv[1], "vulkan") == 0) {
        int (*list)(void *, unsigned *, void *) =
            function("libvulkan.so.1", "vkEnumerateInstanceExtensionProperties");
        printf("%d\n", list(NULL, &count, NULL));
    } else if (argc == 2 && strcmp(argv[1], "egl") == 0) {
        void *(*get)(void *) = function("libEGL.so.1", "eglGetDisplay");
        printf("%p\n", get(NULL));
    } else {
        return 2;
    }
    return 0;
}
