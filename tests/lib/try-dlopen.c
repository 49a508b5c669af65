/* try-dlopen LIBRARY...: whether the loader of a container finds and loads each library, and which file it
 * took. Goes into the containers of the tests: programs that use the driver open it in just this way. */
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    int status = 0;

    for (int i = 1; i < argc; i++) {
        void *library = dlopen(argv[i], RTLD_NOW);
        struct link_map *map = NULL;

        if (library != NULL && dlinfo(library, RTLD_DI_LINKMAP, &map) == 0) {
            printf("%s: %s\n", argv[i], map->l_name);
        } else {
            printf("%s: failed: %s\n", argv[i], dlerror());
            status = 1;
        }
    }
    return status;
}
