/* nvlxc's own notes in a container's root file system, which its root can write: the linker's configuration,
 * and the note in the home. What is kept of them is known, and written it reads the same. */
#include "fuzz.h"

#include "inject/home.h"
#include "inject/linker.h"

static bool is_home(const char *home)
{
    for (size_t i = 0; i < NVL_HOMES; i++)
        if (home == nvl_homes[i])
            return true;
    return home == NULL;
}

void fuzz_one(const char *data, size_t len)
{
    struct fuzz_input in = {data, len};
    nvl_auto(nvl_strv_clear) struct nvl_strv table = {0};
    nvl_auto(nvl_linker_conf_clear) struct nvl_linker_conf conf = {0}, again = {0};
    size_t conf_len, note_len;
    nvl_autofree char *text = fuzz_bytes(&in, &conf_len), *note = fuzz_bytes(&in, &note_len);

    fuzz_put(NVL_LINKER_CONF, text, conf_len);
    fuzz_put("/usr/local/nvidia/" NVL_HOME_NOTE, note, note_len);
    nvl_strv_push(&table, "/usr/local/nvidia");
    nvl_strv_push(&table, "/etc/vulkan");
    nvl_linker_conf_read(fuzz_root(), &conf);
    CHECK(is_home(conf.home) && is_home(nvl_home(fuzz_root())));
    nvl_linker_conf_keep_known(&conf, &table);
    for (size_t i = 0; i < conf.folders.count; i++)
        CHECK(nvl_strv_contains(&table, conf.folders.items[i]));
    if (conf.home == NULL || nvl_linker_conf_write(fuzz_root(), &conf, false) < 0)
        return;
    nvl_linker_conf_read(fuzz_root(), &again);
    CHECK(again.home == conf.home && again.folders.count == conf.folders.count);
}
