/* Units of systemd in a container, with drop-ins: a tree. */
#include "fuzz.h"

#include "doctor/container/services.h"

void fuzz_one(const char *data, size_t len)
{
    static const char *const keys[] = {"User", "PrivateDevices", "DeviceAllow", "SupplementaryGroups"};
    struct fuzz_input in = {data, len};
    nvl_auto(nvl_unit_clear) struct nvl_unit unit = {0};
    nvl_auto(nvl_account_clear) struct nvl_account user = {0};

    fuzz_tree(&in);
    if (nvl_unit_read(fuzz_root(), "ollama", &unit))
        for (size_t i = 0; i < NVL_LENGTH(keys); i++) {
            const struct nvl_unit_line *line;
            nvl_unit_last(&unit, keys[i]);
            nvl_unit_says_yes(&unit, keys[i]);
            for (size_t pos = 0; (line = nvl_unit_next(&unit, keys[i], &pos)) != NULL;) {
                nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};
                CHECK(strcmp(line->key, keys[i]) == 0 && strchr(line->value, '\n') == NULL);
                nvl_unit_words(line, &words);
            }
        }
    nvl_service_user(fuzz_root(), "ollama", &user);
    fuzz_clear();
}
