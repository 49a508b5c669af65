/* The header of an installer's .run. */
#include "fuzz.h"

#include <fcntl.h>
#include <unistd.h>

#include "driver/installer_file.h"
#include "host/driver_version.h"

static char path[] = "/dev/shm/nvlxc-fuzz-XXXXXX"; /* in memory */

static void forget(void)
{
    unlink(path);
}

void fuzz_one(const char *data, size_t len)
{
    static bool is_made;
    struct nvl_installer_file file = {0};
    struct nvl_error err = {0};

    if (!is_made)
        close(mkstemp(path));
    if (!is_made)
        atexit(forget);
    is_made = true;
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    CHECK(fd >= 0 && write(fd, data, len) == (ssize_t)len);
    close(fd);
    if (nvl_installer_file_read(path, &file, &err) == 0)
        CHECK(nvl_is_version(file.version, strlen(file.version)) && strchr(file.architecture, '-') == NULL);
    else
        CHECK(err.message[0] != '\0');
    nvl_installer_file_clear(&file);
}
