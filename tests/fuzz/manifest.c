/* manifest.json of a bundle: no path leads out, and what was read is written as something that reads the
 * same. */
#include "fuzz.h"

#include "bundle/manifest.h"

#define VERSION "550.163.01"

static void check_path(const char *path)
{
    CHECK(path[0] != '/' && path[0] != '\0');
    CHECK(!nvl_has_prefix(path, "../") && strstr(path, "/../") == NULL && !nvl_has_suffix(path, "/.."));
    CHECK(strcmp(path, "..") != 0);
}

void fuzz_one(const char *data, size_t len)
{
    nvl_auto(nvl_manifest_clear) struct nvl_manifest m = {0}, again = {0};

    if (nvl_manifest_parse(data, len, VERSION, &m) < 0)
        return;
    for (size_t i = 0; i < m.n_files; i++) {
        check_path(m.files[i].path);
        CHECK(nvl_manifest_find(&m, m.files[i].path) != NULL);
    }
    for (size_t i = 0; i < m.n_links; i++)
        check_path(m.links[i].path);
    nvl_manifest_bytes(&m);
    nvl_manifest_sort(&m);
    nvl_autofree char *text = nvl_manifest_format(&m);
    CHECK(nvl_manifest_parse(text, strlen(text), VERSION, &again) == 0);
    nvl_manifest_sort(&again);
    nvl_autofree char *twice = nvl_manifest_format(&again);
    fuzz_same(text, strlen(text), twice, strlen(twice));
    nvl_manifest_link_sonames(&m);
    nvl_autofree char *sonames = nvl_manifest_sonames(&m);
}
