/* Reads which folder the user named as the driver's. */
#include "host/driver_folder.h"

#include <ctype.h>

#include "base/root.h"

#define FILE_MAX 4096

char *nvl_driver_folder(const struct nvl_root *root)
{
    nvl_autofree char *text = NULL;
    size_t len;

    if (nvl_root_read(root, NVL_DRIVER_FOLDER_FILE, FILE_MAX, &text, &len) < 0 || text[0] != '/')
        return NULL;
    text[strcspn(text, "\n")] = '\0';
    for (const char *c = text; *c != '\0'; c++)
        if (iscntrl((unsigned char)*c))
            return NULL;
    return TAKE_PTR(text);
}
