/* Which libcuda a container's programs load: the bundle's, one of its own, or one that cannot work. */
#include <sys/stat.h>

#include "base/paths.h"
#include "container/library_path.h"
#include "doctor/container/shared.h"
#include "doctor/families.h"
#include "host/ldcache.h"
#include "inject/home.h"
#include "inject/libc.h"
#include "inject/linker.h"

#define CONF_MAX (64u << 10)

/* Whether its /etc/ld.so.conf includes the folder that names the bundle; true if it has no such file. */
static bool includes_folder(const struct nvl_root *rootfs)
{
    nvl_autofree char *text = NULL;
    const char *line;
    size_t len, pos = 0, line_len;

    if (nvl_root_read(rootfs, "/etc/ld.so.conf", CONF_MAX, &text, &len) < 0)
        return true;
    while (nvl_next_line(text, len, &pos, &line, &line_len)) {
        nvl_autofree char *copy = nvl_xstrndup(line, line_len);
        const char *word = copy + strspn(copy, " \t");
        if (nvl_has_prefix(word, "include") && strstr(word, "ld.so.conf.d") != NULL)
            return true;
    }
    return false;
}

static void check_linker_include(const struct nvl_check *check, const struct nvl_container_facts *facts,
                                 struct nvl_findings *findings)
{
    if (includes_folder(&facts->rootfs))
        return;
    struct nvl_finding *f = nvl_finding_add(findings, check, NVL_SEVERITY_ERROR, facts->name,
                                            "its linker does not read /etc/ld.so.conf.d");
    nvl_finding_evidence(f,
                         "/etc/ld.so.conf in the container has no line \"include /etc/ld.so.conf.d/*.conf\"");
    nvl_finding_cause(f,
                      "nvlxc names the driver's folder in /etc/ld.so.conf.d; programs that do not set "
                      "LD_LIBRARY_PATH=%s/lib64 do not find libcuda.so.1",
                      nvl_home(&facts->rootfs));
    nvl_finding_fix(f, "in the container: echo 'include /etc/ld.so.conf.d/*.conf' >> /etc/ld.so.conf\n"
                       "then restart it");
}

/* Where libcuda.so.1 comes from. */
struct libcuda_source {
    char *path;                        /* NULL for nowhere */
    const struct nvl_setting *setting; /* that sets LD_LIBRARY_PATH; NULL: from the linker's cache */
};

static void libcuda_source_clear(struct libcuda_source *s)
{
    free(s->path);
}

/* A folder of that path that has a libcuda; the bundle's has one as soon as the container starts. */
static bool holds_libcuda(const struct nvl_container_facts *facts, const char *folder, char **path)
{
    static const char *const names[] = {"libcuda.so.1", "libcuda.so"};

    for (size_t i = 0; i < NVL_LENGTH(names); i++) {
        nvl_autofree char *file = nvl_xasprintf("%s/%s", folder, names[i]);
        if ((nvl_wants_bundle(facts) && nvl_path_below_home(file) != NULL) ||
            nvl_root_exists(&facts->rootfs, file)) {
            *path = TAKE_PTR(file);
            return true;
        }
    }
    return false;
}

static struct libcuda_source find_source(const struct nvl_container_facts *facts)
{
    nvl_auto(nvl_ldcache_clear) struct nvl_ldcache cache = {0};
    nvl_auto(nvl_strv_clear) struct nvl_strv folders = {0};
    const char *cached = NULL;
    struct libcuda_source s = {.setting = nvl_library_path_setting(&facts->effective)};

    if (s.setting != NULL)
        nvl_strv_split(&folders, strchr(s.setting->value, '=') + 1, ":");
    for (size_t i = 0; i < folders.count; i++)
        if (folders.items[i][0] == '/' && holds_libcuda(facts, folders.items[i], &s.path))
            return s;
    s.setting = NULL;
    if (nvl_ldcache_read(&cache, &facts->rootfs) == 0)
        cached = nvl_ldcache_find(&cache, NVL_ELF_64, "libcuda.so.1");
    if (cached != NULL)
        s.path = nvl_xstrdup(cached);
    return s;
}

/* Before a container's first start with its grant its cache says nothing: the start rewrites it, with the
 * bundle before all others. */
static bool is_before_first_start(const struct nvl_container_facts *facts)
{
    return nvl_wants_bundle(facts) && !facts->is_running && !nvl_linker_names_bundle(&facts->rootfs) &&
           includes_folder(&facts->rootfs);
}

static const char *origin_text(const struct libcuda_source *s)
{
    return s->setting != NULL ? "LD_LIBRARY_PATH in its config" : "/etc/ld.so.cache in the container";
}

/* The finding is about a folder, by its path without links. */
static void about_folder(struct nvl_finding *f, const struct nvl_root *rootfs, const char *folder)
{
    nvl_autofree char *real = NULL;

    nvl_finding_about(f, NVL_SUBJECT_LIBRARY, nvl_root_resolve(rootfs, folder, &real) == 0 ? real : folder);
}

static void about_folder_of(struct nvl_finding *f, const struct nvl_root *rootfs, const char *path)
{
    const char *slash = strrchr(path, '/');
    nvl_autofree char *folder = nvl_xstrndup(path, slash != NULL ? (size_t)(slash - path) : 0);

    about_folder(f, rootfs, folder);
}

/* `instead`: a command that has the same effect, NULL for none. */
static void set_path_fix(struct nvl_finding *f, const struct nvl_container_facts *facts,
                         const struct libcuda_source *s, const char *folders, const char *instead)
{
    nvl_autofree char *inside = nvl_container_run_inside(facts->container, "ldconfig");

    if (s->setting != NULL)
        nvl_finding_fix(f, "remove that folder from %s%s, and restart the container",
                        s->setting->part != NULL ? "" : "LD_LIBRARY_PATH in ",
                        s->setting->line != NULL ? facts->container->config_edit : s->setting->file);
    else
        nvl_finding_fix(
            f, "%s%sremove %s from /etc/ld.so.conf and /etc/ld.so.conf.d in the container, then:\n%s",
            instead != NULL ? instead : "", instead != NULL ? "\nor " : "", folders, inside);
}

/* The source of a container that should have a GPU; path NULL if the question does not apply. */
static struct libcuda_source source_to_judge(const struct nvl_container_facts *facts)
{
    struct libcuda_source s = find_source(facts);

    if (s.path != NULL && s.setting == NULL && is_before_first_start(facts)) {
        libcuda_source_clear(&s);
        s.path = NULL;
    }
    return s;
}

static void check_cuda_stubs(const struct nvl_check *check, const struct nvl_container_facts *facts,
                             struct nvl_findings *findings)
{
    nvl_auto(libcuda_source_clear) struct libcuda_source s = source_to_judge(facts);

    if (s.path == NULL || strstr(s.path, "/stubs/") == NULL)
        return;
    struct nvl_finding *f = nvl_finding_add(findings, check, NVL_SEVERITY_ERROR, facts->name,
                                            "its programs load the CUDA toolkit's stub instead of libcuda");
    about_folder_of(f, &facts->rootfs, s.path);
    nvl_finding_evidence(f, "%s gives %s", origin_text(&s), s.path);
    nvl_finding_cause(
        f, "the stub exists only to link against, and does nothing: CUDA fails with error 34 (stub library)");
    set_path_fix(f, facts, &s, "the stubs folder", NULL);
}

/* Forward compatibility works only on data center GPUs, which these are not. */
static bool is_consumer(const char *model)
{
    return strstr(model, "GeForce") != NULL || strstr(model, "TITAN") != NULL ||
           strstr(model, "Laptop") != NULL || strstr(model, "Mobile") != NULL;
}

static const char *consumer_model(const struct nvl_container_facts *facts)
{
    for (size_t i = 0; i < facts->resolved.n_gpus; i++)
        if (is_consumer(facts->resolved.gpus[i].gpu->model))
            return facts->resolved.gpus[i].gpu->model;
    for (size_t i = 0; !facts->has_grant && i < facts->host->host.gpus.count; i++)
        if (is_consumer(facts->host->host.gpus.items[i].model))
            return facts->host->host.gpus.items[i].model;
    return NULL;
}

static void check_cuda_compat(const struct nvl_check *check, const struct nvl_container_facts *facts,
                              struct nvl_findings *findings)
{
    nvl_auto(libcuda_source_clear) struct libcuda_source s = source_to_judge(facts);
    const char *model = consumer_model(facts);

    if (s.path == NULL || strstr(s.path, "/compat/") == NULL || model == NULL)
        return;
    struct nvl_finding *f = nvl_finding_add(findings, check, NVL_SEVERITY_ERROR, facts->name,
                                            "its programs load CUDA's compatibility library");
    about_folder_of(f, &facts->rootfs, s.path);
    nvl_finding_evidence(f, "%s gives %s\nthe GPU is %s", origin_text(&s), s.path, model);
    nvl_finding_cause(f, "the cuda-compat libraries work only on data center GPUs: on this one CUDA fails "
                         "with error 804 (forward compatibility was attempted on non supported HW)");
    nvl_autofree char *purge = nvl_container_run_inside(facts->container, "apt-get purge 'cuda-compat-*'");
    set_path_fix(f, facts, &s, "the compat folder", purge);
}

static bool has_library_file(const struct nvl_root *rootfs, const char *folder, const char *name,
                             const char *version)
{
    nvl_autofree char *path = nvl_xasprintf("%s/%s.so.%s", folder, name, version);
    struct stat st;

    return nvl_root_stat(rootfs, path, 0, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0;
}

/* Driver libraries outside the bundle, of another version than the kernel module. */
static void find_own_drivers(const struct nvl_container_facts *facts, struct nvl_strv *evidence,
                             struct nvl_strv *folders)
{
    nvl_auto(nvl_userspace_clear) struct nvl_userspace us = {0};
    const char *version = facts->host->host.driver.version;

    if (nvl_userspace_read_from(&facts->rootfs, "", &us, NULL) < 0)
        return;
    for (size_t i = 0; i < us.n_dirs; i++) {
        const struct nvl_library_dir *dir = &us.dirs[i];
        if (dir->elf != NVL_ELF_64 || strcmp(dir->version, version) == 0 ||
            nvl_path_below_home(dir->path) != NULL)
            continue;
        static const char *const names[] = {"libcuda", "libnvidia-ml"};
        for (size_t n = 0; n < NVL_LENGTH(names); n++)
            if (has_library_file(&facts->rootfs, dir->path, names[n], dir->version)) {
                nvl_strv_pushf(evidence, "%s/%s.so.%s", dir->path, names[n], dir->version);
                nvl_strv_push(folders, dir->path);
            }
    }
}

static const char *const main_sonames[] = {"libcuda.so.1", "libnvidia-ml.so.1"};

/* Whether the loader takes both libraries from the bundle. */
static bool takes_bundle(const struct nvl_root *rootfs)
{
    nvl_auto(nvl_ldcache_clear) struct nvl_ldcache cache = {0};

    if (nvl_ldcache_read(&cache, rootfs) < 0)
        return false;
    for (size_t i = 0; i < NVL_LENGTH(main_sonames); i++) {
        const char *path = nvl_ldcache_find(&cache, NVL_ELF_64, main_sonames[i]);
        if (path == NULL || nvl_path_below_home(path) == NULL)
            return false;
    }
    return true;
}

/* The folders that the cache names instead of the bundle; all libraries, if it names no other. */
static void about_cached_folders(struct nvl_finding *f, const struct nvl_root *rootfs)
{
    nvl_auto(nvl_ldcache_clear) struct nvl_ldcache cache = {0};
    bool is_read = nvl_ldcache_read(&cache, rootfs) == 0;

    for (size_t i = 0; is_read && i < NVL_LENGTH(main_sonames); i++) {
        const char *path = nvl_ldcache_find(&cache, NVL_ELF_64, main_sonames[i]);
        if (path != NULL && nvl_path_below_home(path) == NULL)
            about_folder_of(f, rootfs, path);
    }
    if (f->about.count == 0)
        nvl_finding_about(f, NVL_SUBJECT_LIBRARY, NULL);
}

static void own_fix(struct nvl_finding *f, const struct nvl_container_facts *facts)
{
    nvl_autofree char *debian = nvl_package_version(&facts->rootfs, "libcuda1");
    nvl_autofree char *purge =
        nvl_container_run_inside(facts->container, "apt-get purge libcuda1 libnvidia-ml1 nvidia-smi");
    nvl_autofree char *uninstall = nvl_container_run_inside(facts->container, "nvidia-uninstall --silent");

    if (debian != NULL)
        nvl_finding_fix(f, "%s", purge);
    else if (nvl_root_exists(&facts->rootfs, "/usr/bin/nvidia-uninstall"))
        nvl_finding_fix(f, "%s", uninstall);
    else
        nvl_finding_fix(f, "remove these files, or the packages that they belong to, in the container");
}

static void check_own_driver(const struct nvl_check *check, const struct nvl_container_facts *facts,
                             struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, folders = {0};
    const char *version = facts->host->host.driver.version;

    find_own_drivers(facts, &evidence, &folders);
    if (evidence.count == 0)
        return;
    bool is_harmless =
        nvl_wants_bundle(facts) && (takes_bundle(&facts->rootfs) || is_before_first_start(facts));
    nvl_strv_pushf(&evidence, "the kernel module is %s", version);
    struct nvl_finding *f = nvl_finding_of_lines(
        findings, check, is_harmless ? NVL_SEVERITY_NOTE : NVL_SEVERITY_ERROR, facts, &evidence,
        is_harmless ? "it has its own driver libraries of another version, which are not used"
                    : "its programs load its own driver libraries, of another version");
    for (size_t i = 0; i < folders.count; i++)
        about_folder(f, &facts->rootfs, folders.items[i]);
    nvl_finding_cause(f, is_harmless ? "the linker takes nvlxc's libraries before these; a program that "
                                       "searches folders itself may still find them"
                                     : "libraries must have the kernel module's version: nvidia-smi says "
                                       "\"Driver/library version mismatch\", CUDA fails with error 803");
    own_fix(f, facts);
}

static void check_linker_cache(const struct nvl_check *check, const struct nvl_container_facts *facts,
                               struct nvl_findings *findings)
{
    nvl_autofree char *path =
        nvl_xasprintf("%s/%s/sonames", NVL_BUNDLE_DIR, facts->host->host.driver.version);
    const char *home = nvl_home(&facts->rootfs);
    nvl_autofree char *sonames = NULL, *mounted = nvl_xasprintf("%s/sonames", home);
    size_t len;

    if (!nvl_root_exists(&facts->rootfs, mounted) || !nvl_root_exists(&facts->rootfs, "/etc/ld.so.conf") ||
        nvl_root_read(facts->host->root, path, NVL_SONAMES_MAX, &sonames, &len) < 0 ||
        nvl_linker_is_current(&facts->rootfs, home, sonames, len,
                              (facts->grant.capabilities & NVL_CAP_COMPAT32) != 0))
        return;
    struct nvl_finding *f = nvl_finding_add(findings, check, NVL_SEVERITY_ERROR, facts->name,
                                            "its linker does not find the driver that is mounted in it");
    about_cached_folders(f, &facts->rootfs);
    nvl_finding_evidence(
        f, "/etc/ld.so.cache in the container does not name %s/lib64 for each of its libraries", home);
    nvl_finding_cause(f, "the cache was rewritten while the driver was not mounted, or names another folder "
                         "first: programs find no libcuda.so.1, or another one; nvidia-smi says that it "
                         "\"couldn't find libnvidia-ml.so library\"");
    nvl_autofree char *inside = nvl_container_run_inside(facts->container, "ldconfig");
    nvl_finding_fix(f, "%s", inside);
}

/* An image without a configuration of the linker. Without a glibc nothing would load the driver anyway. */
static void check_library_path(const struct nvl_check *check, const struct nvl_container_facts *facts,
                               struct nvl_findings *findings)
{
    nvl_auto(nvl_library_path_clear) struct nvl_library_path path = {0};
    nvl_auto(nvl_libc_clear) struct nvl_libc libc = {0};
    const char *home = nvl_home(&facts->rootfs);

    nvl_libc_read(&facts->rootfs, &libc);
    nvl_library_path_read(&facts->effective, &facts->rootfs, home, &path);
    if (libc.kind != NVL_LIBC_GLIBC || path.has_linker || path.state == NVL_LIBRARY_PATH_FINDS)
        return;
    struct nvl_finding *f = nvl_finding_add(findings, check, NVL_SEVERITY_WARNING, facts->name,
                                            "nothing leads its programs to the driver");
    nvl_finding_about(f, NVL_SUBJECT_LIBRARY, NULL);
    nvl_finding_evidence(f, "it has no /etc/ld.so.conf\nLD_LIBRARY_PATH in its config: %s",
                         path.value != NULL ? path.value : "not set");
    nvl_finding_cause(f,
                      "such images find libraries only in the usual folders and by LD_LIBRARY_PATH: unless "
                      "a program sets that itself, it does not find libcuda.so.1");
    nvl_finding_fix(f, "add %s/lib64 to LD_LIBRARY_PATH in the environment of its programs", home);
}

const struct nvl_check nvl_linker_checks[] = {
    {"linker-include", "Does its linker read the folder that names the driver?", 30,
     NVL_NEEDS_BUNDLE | NVL_NEEDS_ROOTFS, "container-musl container-processor",
     NVL_OF_CONTAINER(check_linker_include)},
    {"library-path", "Does anything lead its programs to the driver?", 35,
     NVL_NEEDS_BUNDLE | NVL_NEEDS_ROOTFS, "container-musl container-processor linker-place",
     NVL_OF_CONTAINER(check_library_path)},
    {"cuda-stubs", "Do its programs load a real libcuda?", 40, NVL_NEEDS_GPU_WISH | NVL_NEEDS_ROOTFS, NULL,
     NVL_OF_CONTAINER(check_cuda_stubs)},
    {"cuda-compat", "Do its programs load a libcuda that its GPU supports?", 50,
     NVL_NEEDS_GPU_WISH | NVL_NEEDS_ROOTFS, NULL, NVL_OF_CONTAINER(check_cuda_compat)},
    {"own-driver-libraries", "Do its programs load libraries of the kernel module's version?", 60,
     NVL_NEEDS_VERSION | NVL_NEEDS_GPU_WISH | NVL_NEEDS_ROOTFS,
     "linker-include cuda-stubs cuda-compat start-outdated", NVL_OF_CONTAINER(check_own_driver)},
    {"linker-cache", "Does its linker find the driver that is mounted in it?", 70,
     NVL_NEEDS_GRANT | NVL_NEEDS_RUNNING,
     "container-musl container-processor container-glibc linker-place linker-include own-driver-libraries "
     "cuda-stubs "
     "cuda-compat start-outdated "
     "bundle-damaged",
     NVL_OF_CONTAINER(check_linker_cache)},
    {0},
};
