/* One small file for each GPU, replaced as a whole. */
#include "lend/notes.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/locks.h"
#include "base/paths.h"
#include "base/root.h"

#define LOCK         "/run/nvlxc/lent.lock"
#define LOCK_WAIT_MS 60000

int nvl_notes_lock(const struct nvl_root *root, struct nvl_error *err)
{
    nvl_autofd int fd = nvl_root_open_lock(root, LOCK);

    if (fd < 0)
        return nvl_error_errno(err, fd, "cannot open " LOCK);
    int r = nvl_lock_wait(fd, LOCK_WAIT_MS);
    if (r == -ETIMEDOUT) {
        nvl_autofree char *holder = nvl_lock_holder_text(fd);
        return nvl_error_set(err, -EBUSY, "%s has been handing over a GPU for %d s (" LOCK ")", holder,
                             LOCK_WAIT_MS / 1000);
    }
    return r < 0 ? nvl_error_errno(err, r, "cannot lock " LOCK) : TAKE_FD(fd);
}

int nvl_note_write(const struct nvl_root *root, const struct nvl_loan *loan, struct nvl_error *err)
{
    nvl_autofree char *text = nvl_loan_format(loan);
    int r = nvl_root_make_folder(root, NVL_LOANS_DIR);
    nvl_autofd int folder =
        r < 0 ? r : nvl_root_openat(root, NVL_LOANS_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);

    if (folder < 0)
        return nvl_error_errno(err, folder, "cannot make " NVL_LOANS_DIR);
    return nvl_file_replace(folder, loan->pci, text, strlen(text), NULL, err);
}

int nvl_note_remove(const struct nvl_root *root, const char *pci, struct nvl_error *err)
{
    nvl_autofree char *path = nvl_xasprintf(NVL_LOANS_DIR "/%s", pci);
    int r = nvl_root_unlink(root, path);

    return r < 0 ? nvl_error_errno(err, r, "cannot remove %s", path) : 0;
}

int nvl_notes_list(const struct nvl_root *root, struct nvl_strv *pcis, struct nvl_error *err)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    char pci[NVL_PCI_MAX];
    int r = nvl_root_list(root, NVL_LOANS_DIR, &names);

    if (r < 0 && r != -ENOENT)
        return nvl_error_errno(err, r, "cannot list " NVL_LOANS_DIR);
    for (size_t i = 0; i < names.count; i++)
        if (nvl_pci_normalise(names.items[i], pci) && strcmp(pci, names.items[i]) == 0)
            nvl_strv_push(pcis, pci);
    return 0;
}
