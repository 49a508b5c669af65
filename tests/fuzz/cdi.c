/* A CDI specification that a container or a host may have: whose it is, and its copy into the container. */
#include "fuzz.h"

#include <errno.h>

#include "base/paths.h"
#include "cdi/format.h"
#include "inject/cdi_file.h"

/* Ours read back: the same variable. */
static void check_made(const char *value)
{
    nvl_auto(nvl_cdi_clear) struct nvl_cdi cdi = {0};
    nvl_autofree char *utf8 = nvl_xstrdup(value);

    for (char *c = utf8; *c != '\0'; c++)
        *c = (char)(*c & 0x7f) != '\0' ? (char)(*c & 0x7f) : '?';
    nvl_strv_pushf(&cdi.edits.env, "NVIDIA_DRIVER_CAPABILITIES=%s", utf8);
    nvl_cdi_bind(&cdi.edits, NVL_BUNDLE_DIR "/550.163.01", NVL_MOUNT_POINT);
    nvl_strv_push(&nvl_cdi_add(&cdi, "0")->nodes, "/dev/nvidia0");
    nvl_autofree char *text = nvl_cdi_text(&cdi);
    nvl_autofree char *again = nvl_cdi_read_own(text, strlen(text), "NVIDIA_DRIVER_CAPABILITIES");
    CHECK(again != NULL);
    fuzz_same(utf8, strlen(utf8), again, strlen(again));
}

void fuzz_one(const char *data, size_t len)
{
    struct fuzz_input in = {data, len};
    nvl_autofree char *capabilities = nvl_cdi_read_own(data, len, "NVIDIA_DRIVER_CAPABILITIES");
    nvl_autofree char *text = fuzz_text(&in), *other = fuzz_text(&in), *put = NULL;
    size_t put_len;

    check_made(other);
    /* whatever is there, the second time nothing is written */
    fuzz_put(NVL_CDI_FILE, other, strlen(other));
    int r = nvl_cdi_file_put(fuzz_root(), NVL_OTHER_MOUNT_POINT, text);
    CHECK(r == 0 || r == 1 || r == -EFBIG);
    CHECK(nvl_cdi_file_put(fuzz_root(), NVL_OTHER_MOUNT_POINT, text) == 1);
    CHECK(nvl_root_read(fuzz_root(), NVL_CDI_FILE, 1u << 22, &put, &put_len) == 0);
    nvl_cdi_file_is_own(fuzz_root());
}
