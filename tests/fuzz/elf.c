/* Libraries, programs and kernel modules: class, soname, license; and which C library a loader is. */
#include "fuzz.h"

#include <fcntl.h>
#include <unistd.h>

#include "host/elf.h"
#include "host/userspace.h"
#include "inject/libc.h"

#define PATH "/lib64/ld-linux-x86-64.so.2"

void fuzz_one(const char *data, size_t len)
{
    nvl_auto(nvl_libc_clear) struct nvl_libc libc = {0};
    nvl_auto(nvl_elf_clear) struct nvl_elf elf = {0};
    unsigned machine;

    fuzz_put(PATH, data, len);
    nvl_autofd int fd = nvl_root_openat(fuzz_root(), PATH, O_RDONLY);
    CHECK(fd >= 0);
    nvl_elf_read(fd, &elf);
    nvl_autofree char *licence = nvl_elf_licence(fd);
    nvl_library_class(fuzz_root(), PATH, &machine);
    nvl_libc_read(fuzz_root(), &libc);
}
