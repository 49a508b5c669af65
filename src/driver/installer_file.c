/* The header of NVIDIA's installer: a shell script whose first lines are variables, before the archive. */
#include "driver/installer_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "base/sys.h"
#include "base/text.h"
#include "host/driver_version.h"

#define HEADER_MAX 8192u /* bytes; the variables are within the first thousand */
#define DOWNLOADS  "https://www.nvidia.com/drivers"

/* The value of "name=value" or "name="value"" at the beginning of a line; NULL. The caller frees. */
static char *find_variable(const char *text, size_t len, const char *name)
{
    size_t pos = 0, line_len, name_len = strlen(name);
    const char *line;

    while (nvl_next_line(text, len, &pos, &line, &line_len)) {
        if (line_len <= name_len || memcmp(line, name, name_len) != 0 || line[name_len] != '=')
            continue;
        const char *value = line + name_len + 1;
        size_t value_len = line_len - name_len - 1;
        if (value_len >= 2 && value[0] == '"' && value[value_len - 1] == '"') {
            value++;
            value_len -= 2;
        }
        return nvl_xstrndup(value, value_len);
    }
    return NULL;
}

static int refuse_file(const char *path, const char *label, struct nvl_error *err)
{
    nvl_error_set(err, -EINVAL, "%s is not NVIDIA's driver installer%s%s", path,
                  label != NULL ? ": it calls itself " : "", label != NULL ? label : "");
    nvl_error_hint(err, "download NVIDIA-Linux-*.run of the driver (not of CUDA) from " DOWNLOADS);
    return -EINVAL;
}

/* "NVIDIA-Linux-x86_64-580.105.08", "NVIDIA-Linux-x86_64-550.90.05-vgpu-kvm": all that matters. */
static bool read_folder(const char *folder, struct nvl_installer_file *file)
{
    static const char prefix[] = "NVIDIA-Linux-";

    if (!nvl_has_prefix(folder, prefix))
        return false;
    const char *machine = folder + strlen(prefix), *dash = strchr(machine, '-');
    if (dash == NULL)
        return false;
    size_t len = strspn(dash + 1, "0123456789.");
    file->architecture = nvl_xstrndup(machine, (size_t)(dash - machine));
    file->version = nvl_xstrndup(dash + 1, len);
    file->is_vgpu_host = strstr(dash, "-vgpu-kvm") != NULL;
    return nvl_is_version(file->version, len);
}

static int parse_header(const char *text, size_t len, struct nvl_installer_file *file, struct nvl_error *err)
{
    nvl_autofree char *label = find_variable(text, len, "label");
    nvl_autofree char *folder = find_variable(text, len, "targetdir");
    bool is_script = len > 2 && memcmp(text, "#!", 2) == 0;

    if (!is_script || folder == NULL || !read_folder(folder, file))
        return refuse_file(file->path, is_script ? label : NULL, err);
    return 0;
}

int nvl_installer_file_read(const char *path, struct nvl_installer_file *file, struct nvl_error *err)
{
    nvl_autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    char header[HEADER_MAX];
    size_t len = 0;
    ssize_t n;

    *file = (struct nvl_installer_file){0};
    if (fd < 0)
        return nvl_error_errno(err, -errno, "cannot open %s", path);
    while (len < sizeof header && (n = read(fd, header + len, sizeof header - len)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return nvl_error_errno(err, -errno, "cannot read %s", path);
        len += (size_t)n;
    }
    file->path = realpath(path, NULL);
    if (file->path == NULL)
        return nvl_error_errno(err, -errno, "cannot find %s", path);
    return parse_header(header, len, file, err);
}

void nvl_installer_file_clear(struct nvl_installer_file *file)
{
    free(file->path);
    free(file->version);
    free(file->architecture);
    *file = (struct nvl_installer_file){0};
}
