/* Each write is done by a child, which can be left behind: a driver may wait in the kernel for as long as
 * somebody has its device open, and no signal ends that. */
#include "lend/rebind.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/root.h"
#include "base/run.h"
#include "host/pci.h"
#include "lend/card.h"

#define PROBE          "/sys/bus/pci/drivers_probe"
#define MODPROBE       "/sbin/modprobe"
#define MODULE_SECONDS 60

struct writing {
    const struct nvl_root *root;
    const char *path, *text;
};

/* In the child: the exit status is the errno. */
static int write_in_child(void *data)
{
    const struct writing *w = data;

    nvl_close_callers();
    int fd = nvl_root_openat(w->root, w->path, O_WRONLY);
    if (fd < 0)
        return -fd;
    ssize_t n = write(fd, w->text, strlen(w->text));
    return n < 0 ? errno : 0;
}

static int write_attribute(const struct nvl_root *root, const char *path, const char *text)
{
    const struct writing w = {root, path, text};
    const struct nvl_run run = {
        .body = write_in_child, .body_data = (void *)&w, .seconds = NVL_REBIND_SECONDS};
    nvl_auto(nvl_run_result_clear) struct nvl_run_result ran;

    int r = nvl_run(&run, &ran);
    if (r < 0)
        return r;
    return WIFEXITED(ran.status) ? -WEXITSTATUS(ran.status) : -EIO;
}

static int set_override(const struct nvl_root *root, const char *pci, const char *driver,
                        struct nvl_error *err)
{
    nvl_autofree char *path = nvl_xasprintf(NVL_PCI_DEVICES "/%s/driver_override", pci),
                      *line = nvl_xasprintf("%s\n", driver);

    int r = write_attribute(root, path, line);
    return r < 0 ? nvl_error_errno(err, r, "cannot write %s", path) : 0;
}

static int unbind(const struct nvl_root *root, const char *pci, const char *driver, struct nvl_error *err)
{
    nvl_autofree char *path = nvl_xasprintf(NVL_PCI_DEVICES "/%s/driver/unbind", pci);

    int r = write_attribute(root, path, pci);
    if (r == -ETIMEDOUT) {
        nvl_error_set(err, r, "%s has not let go of %s after %d s; a process waits for it in the kernel",
                      driver, pci, NVL_REBIND_SECONDS);
        nvl_error_hint(err, "see what it says: journalctl -k -n 30\nif it lets go later: nvlxc gpu back %s",
                       pci);
        return r;
    }
    return r < 0 ? nvl_error_errno(err, r, "cannot take %s from %s (%s)", pci, driver, path) : 0;
}

static int check_taken(const struct nvl_root *root, const char *pci, const char *driver, int probed,
                       struct nvl_error *err)
{
    char now[32];

    nvl_function_driver(root, pci, now);
    if (strcmp(now, driver) == 0)
        return 0;
    nvl_error_set(err, probed < 0 ? probed : -EIO, "%s has not taken %s%s%s", driver, pci,
                  probed < 0 ? ": " : "", probed < 0 ? strerror(-probed) : "");
    nvl_error_hint(err, "the kernel's log says why: journalctl -k -n 30");
    return err != NULL ? err->code : -EIO;
}

int nvl_rebind(const struct nvl_root *root, const char *pci, const char *driver, bool keeps,
               struct nvl_error *err)
{
    char now[32];
    bool wants_none = driver == NULL || driver[0] == '\0';

    nvl_function_driver(root, pci, now);
    bool is_done = strcmp(now, wants_none ? "" : driver) == 0;
    int r = set_override(root, pci, wants_none ? "" : driver, err);
    if (r == 0 && !is_done && now[0] != '\0')
        r = unbind(root, pci, now, err);
    if (r == 0 && !is_done && !wants_none)
        r = check_taken(root, pci, driver, write_attribute(root, PROBE, pci), err);
    if (!keeps && !wants_none) {
        int cleared = set_override(root, pci, "", r == 0 ? err : NULL);
        r = r == 0 ? cleared : r;
    }
    return r;
}

int nvl_load_pci_driver(const struct nvl_root *root, const char *driver, struct nvl_error *err)
{
    nvl_autofree char *folder = nvl_xasprintf("/sys/bus/pci/drivers/%s", driver);
    const char *const argv[] = {MODPROBE, driver, NULL};
    const struct nvl_run run = {.argv = argv, .seconds = MODULE_SECONDS};

    if (nvl_root_exists(root, folder))
        return 0;
    int status = nvl_run_status(&run);
    if (nvl_root_exists(root, folder))
        return 0;
    nvl_autofree char *why = nvl_status_text(status);
    nvl_error_host(err, -ENODEV, "cannot load the kernel's driver %s (modprobe: %s)", driver, why);
    nvl_error_hint(err, "modprobe -v %s", driver);
    return -ENODEV;
}
