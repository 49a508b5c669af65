/* Where a driver's programs, data and modules of the X server are, by where its libraries are. */
#include "bundle/search.h"

#include <sys/stat.h>

#include "base/root.h"
#include "host/userspace.h"

/* They are in a prefix of their libraries: /usr of /usr/lib/x86_64-linux-gnu, /usr/local/nvidia of
 * /usr/local/nvidia/lib64. The nearest one first, up to the root. */
static void add_prefixes_above(struct nvl_strv *prefixes, const char *dir)
{
    nvl_autofree char *prefix = nvl_xstrdup(dir);

    for (;;) {
        nvl_strv_push_once(prefixes, prefix);
        char *slash = strrchr(prefix, '/');
        if (slash == NULL)
            return;
        *slash = '\0';
    }
}

/* Debian has the programs and modules of its drivers in /usr/lib/nvidia/NAME, for libraries in
 * /usr/lib/x86_64-linux-gnu/nvidia/NAME; /usr/bin has links, which another installer may have replaced. */
static void add_debian_folder(struct nvl_search *s, const char *dir)
{
    const char *name = strstr(dir, "-linux-gnu/nvidia/");
    struct stat st;

    if (name == NULL)
        return;
    nvl_autofree char *folder = nvl_xasprintf("/usr/lib%s", strchr(name, '/'));
    if (nvl_root_stat(s->root, folder, 0, &st) < 0 || nvl_strv_contains(&s->programs, folder))
        return;
    nvl_strv_push(&s->programs, folder);
    nvl_strv_push(&s->modules, folder);
}

/* Those folders of the prefixes that exist: each is checked once, not once for each file. */
static void add_folders(struct nvl_search *s, const struct nvl_strv *prefixes, const char *const *names,
                        size_t n_names, struct nvl_strv *folders)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv met = {0};
    struct stat st;

    for (size_t i = 0; i < prefixes->count; i++)
        for (size_t n = 0; n < n_names; n++) {
            nvl_autofree char *folder = nvl_xasprintf("%s%s", prefixes->items[i], names[n]);
            if (nvl_root_stat(s->root, folder, 0, &st) == 0 && !nvl_is_met_again(&met, &st))
                nvl_strv_push(folders, folder);
        }
}

/* Of the folders above the libraries only few are prefixes. */
static void keep_with_share(const struct nvl_search *s, struct nvl_strv *prefixes)
{
    nvl_strv_clear(prefixes);
    for (size_t i = 0; i < s->data.count; i++)
        if (nvl_has_suffix(s->data.items[i], "/share")) {
            nvl_autofree char *prefix =
                nvl_xstrndup(s->data.items[i], strlen(s->data.items[i]) - strlen("/share"));
            nvl_strv_push(prefixes, prefix);
        }
}

void nvl_search_places(struct nvl_search *s)
{
    static const char *const programs[] = {"/bin", "/sbin"};
    static const char *const data[] = {"/share", "/etc"};
    static const char *const modules[] = {"/lib/xorg/modules", "/lib64/xorg/modules", "/lib/nvidia/xorg"};
    nvl_auto(nvl_strv_clear) struct nvl_strv prefixes = {0};

    for (size_t i = 0; i < s->us->n_dirs; i++)
        if (nvl_search_counts(s, i, NVL_ELF_64)) {
            add_debian_folder(s, s->us->dirs[i].path);
            add_prefixes_above(&prefixes, s->us->dirs[i].path);
            if (nvl_has_prefix(s->us->dirs[i].path,
                               "/nix/store/")) /* where each part is in a folder of its own */
                nvl_strv_push_once(&prefixes, "/run/current-system/sw");
        }
    add_prefixes_above(&prefixes, "/usr/local");
    add_folders(s, &prefixes, programs, NVL_LENGTH(programs), &s->programs);
    add_folders(s, &prefixes, data, NVL_LENGTH(data), &s->data);
    keep_with_share(s, &prefixes);
    add_folders(s, &prefixes, modules, NVL_LENGTH(modules), &s->modules);
}
