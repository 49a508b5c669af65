/* What in a container's root file system keeps its programs from the driver: leftovers and installed
 * packages. The root file system is hostile: all reads go through its root handle, with bounds, and only of
 * regular files. linker.c and users.c check the files of its linker and its users. */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/paths.h"
#include "base/machine.h"
#include "doctor/container/shared.h"
#include "doctor/families.h"

#define FILE_MAX (1u << 20)

static bool is_driver_library(const char *name)
{
    return (nvl_has_prefix(name, "libcuda") || nvl_has_prefix(name, "libnvidia-") ||
            nvl_has_prefix(name, "libnvcuvid")) &&
           strstr(name, ".so") != NULL;
}

static bool is_node_name(const char *name)
{
    return nvl_has_prefix(name, "nvidia");
}

static bool is_tool(const char *name)
{
    return strcmp(name, "nvidia-smi") == 0 || strcmp(name, "nvidia-debugdump") == 0 ||
           strcmp(name, "nvidia-persistenced") == 0;
}

/* Empty regular files with such names in a folder of the root file system. */
static void find_empty(const struct nvl_root *rootfs, const char *folder, bool (*matches)(const char *),
                       struct nvl_strv *paths)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    nvl_autofree char *real = NULL;
    struct stat st;

    if (nvl_root_resolve(rootfs, folder, &real) < 0 || !nvl_is_plain(real) ||
        nvl_root_list(rootfs, real, &names) < 0)
        return;
    for (size_t i = 0; i < names.count; i++) {
        nvl_autofree char *path = nvl_xasprintf("%s/%s", real, names.items[i]);
        if (matches(names.items[i]) && nvl_is_plain(path) &&
            nvl_root_stat(rootfs, path, AT_SYMLINK_NOFOLLOW, &st) == 0 && S_ISREG(st.st_mode) &&
            st.st_size == 0)
            nvl_strv_push_once(paths, path);
    }
}

/* The command that removes them: inside if the container runs, else in its directory on the host. The paths
 * have no links in them. */
static char *removal(const struct nvl_container_facts *facts, const struct nvl_strv *paths)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv outside = {0};
    nvl_autofree char *list = nvl_strv_join(paths, " ");
    nvl_autofree char *command = nvl_xasprintf("rm %s", list);

    if (facts->is_running || facts->container->user != NULL)
        return nvl_container_run_inside(facts->container, command);
    for (size_t i = 0; i < paths->count; i++) {
        nvl_autofree char *path =
            nvl_xasprintf("%s%s%s", facts->host->root->name, facts->rootfs.name, paths->items[i]);
        nvl_autofree char *word = nvl_shell_word(path);
        nvl_strv_push(&outside, word);
    }
    nvl_autofree char *all = nvl_strv_join(&outside, " ");
    return nvl_xasprintf("rm %s", all);
}

/* A container without a /dev of its own keeps the files that the hook mounts on at each start; detach removes
 * them. */
static bool waits_for_nodes(const struct nvl_container_facts *facts)
{
    const char *autodev = nvl_effective_get(&facts->effective, "lxc.autodev");

    return !facts->is_running && facts->has_grant && autodev != NULL && strcmp(autodev, "0") == 0;
}

static void check_left_files(const struct nvl_check *check, const struct nvl_container_facts *facts,
                             struct nvl_findings *findings)
{
    const char *const folders[] = {nvl_machine()->libraries, "/usr/lib64", "/usr/lib"};
    nvl_auto(nvl_strv_clear) struct nvl_strv paths = {0}, evidence = {0};

    for (size_t i = 0; i < NVL_LENGTH(folders); i++)
        find_empty(&facts->rootfs, folders[i], is_driver_library, &paths);
    find_empty(&facts->rootfs, "/usr/bin", is_tool, &paths);
    size_t n_files = paths.count;
    bool is_warning = n_files > 0 || facts->is_running;
    if (!waits_for_nodes(facts)) {
        find_empty(&facts->rootfs, "/dev", is_node_name, &paths);
        find_empty(&facts->rootfs, "/dev/nvidia-caps", is_node_name, &paths);
    }
    for (size_t i = 0; i < paths.count; i++)
        nvl_strv_pushf(&evidence, "%s is an empty file", paths.items[i]);
    struct nvl_finding *f =
        nvl_finding_of_lines(findings, check, is_warning ? NVL_SEVERITY_WARNING : NVL_SEVERITY_NOTE, facts,
                             &evidence, "empty files remain where something of NVIDIA's was mounted");
    if (f == NULL)
        return;
    for (size_t i = 0; i < paths.count; i++)
        nvl_finding_about(f, i < n_files ? NVL_SUBJECT_LIBRARY : NVL_SUBJECT_NODE, paths.items[i]);
    nvl_autofree char *command = removal(facts, &paths);
    nvl_finding_cause(f, "a mount entry with create=file, or NVIDIA's toolkit, makes an empty file to mount "
                         "on, and nothing removes it; if the mount is missing, programs take the file for "
                         "the device or the library: \"file too short\"");
    nvl_finding_fix(f, "%s", command);
}

/* Ubuntu's names carry the branch: nvidia-dkms-550. */
static bool is_kernel_package(const char *name)
{
    static const char *const fixed[] = {"nvidia-kernel-dkms", "nvidia-open-kernel-dkms", "nvidia-driver",
                                        "nvidia-dkms", "nvidia-open"};

    for (size_t i = 0; i < NVL_LENGTH(fixed); i++)
        if (strcmp(name, fixed[i]) == 0)
            return true;
    return nvl_has_prefix(name, "nvidia-dkms-") || nvl_has_prefix(name, "nvidia-driver-5") ||
           nvl_has_prefix(name, "nvidia-driver-6");
}

static void check_kernel_packages(const struct nvl_check *check, const struct nvl_container_facts *facts,
                                  struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv files = {0}, evidence = {0}, packages = {0};

    if (nvl_root_list(&facts->rootfs, "/var/lib/dpkg/info", &files) < 0)
        return;
    for (size_t i = 0; i < files.count; i++) {
        nvl_autofree char *name = nvl_xstrndup(files.items[i], strcspn(files.items[i], ".:"));
        if (!nvl_has_suffix(files.items[i], ".list") || !is_kernel_package(name) || !nvl_is_plain(name))
            continue;
        nvl_autofree char *version = nvl_package_version(&facts->rootfs, name);
        if (version == NULL)
            continue;
        nvl_strv_pushf(&evidence, "%s %s is installed in the container", name, version);
        nvl_strv_push(&packages, name);
    }
    struct nvl_finding *f =
        nvl_finding_of_lines(findings, check, NVL_SEVERITY_WARNING, facts, &evidence,
                             "a kernel driver is installed in it, where it has no effect");
    if (f == NULL)
        return;
    nvl_autofree char *list = nvl_strv_join(&packages, " ");
    nvl_autofree char *command = nvl_xasprintf("apt-get purge %s", list);
    nvl_autofree char *inside = nvl_container_run_inside(facts->container, command);
    nvl_finding_cause(f, "containers use the host's kernel and its driver; the package tries to build "
                         "modules at each update, and brings libraries of its own version along");
    nvl_finding_fix(f, "%s", inside);
}

/* A CDI specification in one of the two folders that container engines read. */
static bool has_cdi(const struct nvl_root *rootfs)
{
    static const char *const folders[] = {"/etc/cdi", "/var/run/cdi", "/run/cdi"};

    for (size_t i = 0; i < NVL_LENGTH(folders); i++) {
        nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
        if (nvl_root_list(rootfs, folders[i], &names) < 0)
            continue;
        for (size_t n = 0; n < names.count; n++)
            if (nvl_has_suffix(names.items[n], ".json") || nvl_has_suffix(names.items[n], ".yaml"))
                return true;
    }
    return false;
}

/* `no-cgroups = true` in the toolkit's configuration, not commented out. */
static bool has_no_cgroups(const struct nvl_root *rootfs)
{
    nvl_autofree char *text = NULL;
    const char *line;
    size_t len, pos = 0, line_len;

    if (nvl_root_read(rootfs, "/etc/nvidia-container-runtime/config.toml", FILE_MAX, &text, &len) < 0)
        return false;
    while (nvl_next_line(text, len, &pos, &line, &line_len)) {
        nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};
        nvl_autofree char *copy = nvl_xstrndup(line, line_len);
        nvl_strv_split(&words, copy, " \t=");
        if (words.count >= 2 && strcmp(words.items[0], "no-cgroups") == 0 &&
            strcmp(words.items[1], "true") == 0)
            return true;
    }
    return false;
}

static const char *find_engine(const struct nvl_root *rootfs)
{
    static const char *const programs[] = {"/usr/bin/dockerd", "/usr/bin/docker", "/usr/bin/podman"};

    for (size_t i = 0; i < NVL_LENGTH(programs); i++)
        if (nvl_root_exists(rootfs, programs[i]))
            return programs[i];
    return NULL;
}

static void check_nested_cdi(const struct nvl_check *check, const struct nvl_container_facts *facts,
                             struct nvl_findings *findings)
{
    if (facts->idmap.privileged)
        return;
    const char *engine = find_engine(&facts->rootfs);
    bool has_toolkit = nvl_root_exists(&facts->rootfs, "/usr/bin/nvidia-container-runtime") ||
                       nvl_root_exists(&facts->rootfs, "/usr/bin/nvidia-ctk");
    if (engine == NULL || has_cdi(&facts->rootfs) || has_no_cgroups(&facts->rootfs))
        return;
    struct nvl_finding *f =
        nvl_finding_add(findings, check, has_toolkit ? NVL_SEVERITY_WARNING : NVL_SEVERITY_NOTE, facts->name,
                        "containers inside it cannot use the GPU");
    nvl_finding_evidence(
        f, "%s is in the container, no CDI specification is in /etc/cdi or /var/run/cdi%s", engine,
        has_toolkit ? ", and /etc/nvidia-container-runtime/config.toml does not say no-cgroups = true"
                    : ", and NVIDIA's container toolkit is not installed");
    nvl_finding_cause(f, "an unprivileged container may not set device filters for the containers inside it: "
                         "NVIDIA's toolkit ends with \"bpf_prog_query … not permitted\" unless no-cgroups = "
                         "true is set; with a CDI specification the engine passes the GPU on by itself");
    nvl_autofree char *write = facts->has_grant && facts->grant.delivery.cdi
                                   ? nvl_container_restart(facts->container)
                                   : nvl_container_write_cdi(facts->container, facts->name);
    nvl_finding_fix(f, "%s", write);
}

const struct nvl_check nvl_file_checks[] = {
    {"left-mount-points", "Is it free of empty files left by mounts?", 100,
     NVL_NEEDS_GPU_WISH | NVL_NEEDS_ROOTFS, "mount-source-missing " NVL_NO_NODES_ON_HOST,
     NVL_OF_CONTAINER(check_left_files)},
    {"kernel-packages", "Is it free of kernel drivers?", 110, NVL_NEEDS_GPU_WISH | NVL_NEEDS_ROOTFS, NULL,
     NVL_OF_CONTAINER(check_kernel_packages)},
    {"nested-no-cdi", "Can containers inside it use the GPU?", 120, NVL_NEEDS_GPU_WISH | NVL_NEEDS_ROOTFS,
     NULL, NVL_OF_CONTAINER(check_nested_cdi)},
    {0},
};
