/* The container's dynamic linker; runs the host's ldconfig on its cache. */
#include "inject/linker.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/paths.h"
#include "base/root.h"
#include "base/run.h"
#include "host/ldcache.h"
#include "inject/home.h"

/* ---- the linker's configuration ---- */

#define NOTE_FOLDER "# nvlxc made the folder "
#define NOTE_LINK   "# nvlxc made the link "
#define CONF_MAX    8192

static const char *find_named_home(const char *line)
{
    const char *below = nvl_path_below_home(line);

    for (size_t i = 0; below != NULL && i < NVL_HOMES; i++)
        if (strcmp(below, "/lib64") == 0 && nvl_has_prefix(line, nvl_homes[i]))
            return nvl_homes[i];
    return NULL;
}

static void parse_conf(const char *text, size_t len, struct nvl_linker_conf *conf)
{
    const char *line;
    size_t pos = 0, line_len;

    while (nvl_next_line(text, len, &pos, &line, &line_len)) {
        nvl_autofree char *copy = nvl_xstrndup(line, line_len);
        if (nvl_has_prefix(copy, NOTE_FOLDER))
            nvl_strv_push(&conf->folders, copy + strlen(NOTE_FOLDER));
        else if (nvl_has_prefix(copy, NOTE_LINK))
            nvl_strv_push(&conf->links, copy + strlen(NOTE_LINK));
        else if (conf->home == NULL)
            conf->home = find_named_home(copy);
    }
}

static char *note_path(const char *home)
{
    return nvl_xasprintf("%s/" NVL_HOME_NOTE, home);
}

void nvl_linker_conf_read(const struct nvl_root *rootfs, struct nvl_linker_conf *conf)
{
    size_t len;

    *conf = (struct nvl_linker_conf){0};
    if (nvl_root_read(rootfs, NVL_LINKER_CONF, CONF_MAX, &conf->text, &len) == 0)
        parse_conf(conf->text, len, conf);
    else /* at the start its folder may have been missing, or on a mount that is not there now */
        for (size_t i = 0; i < NVL_HOMES; i++) {
            nvl_autofree char *path = note_path(nvl_homes[i]), *note = NULL;
            if (nvl_root_read(rootfs, path, CONF_MAX, &note, &len) == 0)
                parse_conf(note, len, conf);
        }
}

static void add_folder_notes(const struct nvl_linker_conf *conf, struct nvl_buf *text)
{
    for (size_t i = 0; i < conf->folders.count; i++)
        nvl_buf_addf(text, NOTE_FOLDER "%s\n", conf->folders.items[i]);
}

static int write_file(const struct nvl_root *rootfs, const char *path, const struct nvl_buf *text)
{
    struct nvl_error err;
    const char *name;
    nvl_autofd int parent = nvl_root_open_parent(rootfs, path, &name);

    return parent < 0 ? parent : nvl_file_replace(parent, name, text->data, text->len, NULL, &err);
}

int nvl_home_note_write(const struct nvl_root *rootfs, const struct nvl_linker_conf *conf)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf text = {0};
    nvl_autofree char *path = note_path(conf->home);

    add_folder_notes(conf, &text);
    return text.len > 0 ? write_file(rootfs, path, &text) : 0;
}

void nvl_home_note_remove(const struct nvl_root *rootfs)
{
    struct stat st;
    const char *name;

    for (size_t i = 0; i < NVL_HOMES; i++) {
        nvl_autofree char *path = note_path(nvl_homes[i]);
        nvl_autofd int parent = nvl_root_open_parent(rootfs, path, &name);
        if (parent >= 0 && fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
            unlinkat(parent, name, 0);
    }
}

void nvl_linker_conf_clear(struct nvl_linker_conf *conf)
{
    free(conf->text);
    nvl_strv_clear(&conf->folders);
    nvl_strv_clear(&conf->links);
    *conf = (struct nvl_linker_conf){0};
}

void nvl_linker_conf_keep_known(struct nvl_linker_conf *conf, const struct nvl_strv *table)
{
    struct nvl_strv known = {0};

    for (size_t i = 0; i < table->count; i++)
        if (nvl_strv_contains(&conf->folders, table->items[i]))
            nvl_strv_push(&known, table->items[i]);
    nvl_strv_clear(&conf->folders);
    conf->folders = known;
}

bool nvl_linker_conf_can_be_written(const struct nvl_root *rootfs, const struct nvl_linker_conf *conf)
{
    const char *name;

    if (conf->text != NULL)
        return true;
    nvl_autofd int parent = nvl_root_open_parent(rootfs, NVL_LINKER_CONF, &name);
    return parent >= 0;
}

int nvl_linker_conf_write(const struct nvl_root *rootfs, const struct nvl_linker_conf *conf, bool with_32)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf text = {0};

    add_folder_notes(conf, &text);
    for (size_t i = 0; i < conf->links.count; i++)
        nvl_buf_addf(&text, NOTE_LINK "%s\n", conf->links.items[i]);
    nvl_buf_addf(&text, "%s/lib64\n", conf->home);
    if (with_32)
        nvl_buf_addf(&text, "%s/lib32\n", conf->home);
    if (conf->text != NULL && strcmp(conf->text, text.data) == 0)
        return 0;
    return write_file(rootfs, NVL_LINKER_CONF, &text);
}

int nvl_linker_conf_remove_folders(const struct nvl_root *rootfs, struct nvl_linker_conf *conf,
                                   const struct nvl_strv *keep)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv left = {0};
    int result = 0;

    for (size_t i = conf->folders.count; i-- > 0;) {
        const char *folder = conf->folders.items[i], *name;
        if (keep != NULL && nvl_strv_contains(keep, folder)) {
            nvl_strv_push(&left, folder);
            continue;
        }
        nvl_autofd int parent = nvl_root_open_parent(rootfs, folder, &name);
        int r = parent < 0 ? parent : unlinkat(parent, name, AT_REMOVEDIR) < 0 ? -errno : 0;
        /* the container has put something into it, or has its own link, file or mount there now */
        if (r == -ENOTEMPTY || r == -EEXIST)
            nvl_strv_push(&left, folder);
        else if (r < 0 && r != -ENOENT && r != -ENOTDIR && r != -EXDEV && result == 0)
            result = r;
    }
    nvl_strv_clear(&conf->folders);
    for (size_t i = left.count; i-- > 0;)
        nvl_strv_push(&conf->folders, left.items[i]);
    return result;
}

/* ---- its cache ---- */

/* Enough for a large root file system on a slow disk; a hostile one cannot hold up the start for longer. */
#define LDCONFIG_SECONDS 60

/* One line of `sonames`: "lib64 libcuda.so.1". */
static bool is_cached(const struct nvl_ldcache *cache, const char *home, const char *line, size_t len,
                      bool want_32)
{
    char folder[8], soname[256], wanted[512];
    const char *blank = memchr(line, ' ', len);

    if (blank == NULL || !nvl_copy(folder, sizeof folder, line, (size_t)(blank - line)) ||
        !nvl_copy(soname, sizeof soname, blank + 1, len - (size_t)(blank - line) - 1))
        return true; /* not a line that sync writes: no reason to reject the cache */
    bool is_32 = strcmp(folder, "lib32") == 0;
    if (is_32 && !want_32)
        return true;
    const char *path = nvl_ldcache_find(cache, is_32 ? NVL_ELF_32 : NVL_ELF_64, soname);
    snprintf(wanted, sizeof wanted, "%s/%s/%s", home, folder, soname);
    return path != NULL && strcmp(path, wanted) == 0;
}

/* Whether it names something below any home, in a folder whose name begins so. */
static bool names_below_home(const struct nvl_ldcache *cache, const char *folder)
{
    struct nvl_ldcache_entry entry;

    for (size_t i = 0; i < cache->n_entries; i++) {
        const char *below = nvl_ldcache_entry(cache, i, &entry) ? nvl_path_below_home(entry.path) : NULL;
        if (below != NULL && nvl_has_prefix(below, folder))
            return true;
    }
    return false;
}

bool nvl_linker_is_current(const struct nvl_root *rootfs, const char *home, const char *sonames, size_t len,
                           bool want_32)
{
    nvl_auto(nvl_ldcache_clear) struct nvl_ldcache cache = {0};
    const char *line;
    size_t pos = 0, line_len;

    if (nvl_ldcache_read(&cache, rootfs) < 0)
        return false;
    while (nvl_next_line(sonames, len, &pos, &line, &line_len))
        if (!is_cached(&cache, home, line, line_len, want_32))
            return false;
    /* an earlier grant had them */
    return want_32 || !names_below_home(&cache, "/lib32/");
}

bool nvl_linker_names_bundle(const struct nvl_root *rootfs)
{
    nvl_auto(nvl_ldcache_clear) struct nvl_ldcache cache = {0};

    return nvl_ldcache_read(&cache, rootfs) == 0 && names_below_home(&cache, "/");
}

/* A program that needs no interpreter: otherwise the kernel would run one from the container. */
static bool is_static_program(int fd)
{
    Elf64_Ehdr header;
    Elf64_Phdr program;

    if (pread(fd, &header, sizeof header, 0) != sizeof header ||
        memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
        header.e_phentsize != sizeof program)
        return false;
    for (unsigned i = 0; i < header.e_phnum; i++) {
        off_t at = (off_t)(header.e_phoff + i * sizeof program);
        if (pread(fd, &program, sizeof program, at) != sizeof program || program.p_type == PT_INTERP)
            return false;
    }
    return true;
}

int nvl_ldconfig_open(const struct nvl_root *host)
{
    /* Ubuntu's ldconfig is a shell script around ldconfig.real */
    static const char *const paths[] = {"/sbin/ldconfig.real", "/sbin/ldconfig"};
    int r = -ENOENT;

    for (size_t i = 0; i < NVL_LENGTH(paths); i++) {
        nvl_autofd int fd = nvl_root_openat(host, paths[i], O_RDONLY);
        if (fd >= 0 && is_static_program(fd))
            return TAKE_FD(fd);
        r = fd >= 0 ? -ENOEXEC : r;
    }
    return r;
}

/* Before the user changes, while there are still capabilities. */
static int empty_bounding_set(void)
{
    for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
        if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EINVAL)
            return -errno;
    return 0;
}

static int empty_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {0};

    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        return -errno;
    return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}

static int become_user(uid_t uid, gid_t gid)
{
    if (uid == (uid_t)-1)
        return 0;
    if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
        return -errno;
    return 0;
}

struct confined {
    int rootfs_fd, ldconfig_fd;
    uid_t uid;
    gid_t gid;
};

/* Runs in the child. Returns only on failure, with an errno as exit status. */
static int confine_and_exec(void *data)
{
    static char *const argv[] = {(char *)"ldconfig", (char *)"-X", NULL}; /* -X: only the cache, no links */
    static char *const envp[] = {(char *)"LC_ALL=C", NULL};
    const struct confined *c = data;
    int r;

    if (fchdir(c->rootfs_fd) < 0 || chroot(".") < 0 || chdir("/") < 0)
        return errno;
    r = empty_bounding_set();
    if (r == 0)
        r = become_user(c->uid, c->gid);
    if (r == 0)
        r = empty_capabilities();
    if (r < 0)
        return -r;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
        return errno;
    umask(022);
    execveat(c->ldconfig_fd, "", argv, envp, AT_EMPTY_PATH);
    return errno;
}

/* ldconfig keeps notes for its next run. If a root file system has none, nvlxc leaves none. */
#define AUX_FOLDER "/var/cache/ldconfig"
#define AUX_FILE   AUX_FOLDER "/aux-cache"
/* what it writes before it takes the cache's name, and leaves where it cannot write all of it */
#define CACHE     "/etc/ld.so.cache"
#define HALF_MADE CACHE "~"

static void remove_new(const struct nvl_root *rootfs, bool had, const char *path, int flags)
{
    const char *name;

    if (had)
        return;
    nvl_autofd int parent = nvl_root_open_parent(rootfs, path, &name);
    if (parent >= 0)
        unlinkat(parent, name, flags);
}

/* ldconfig says it on its standard error, in the container's words. */
static const char *why_ldconfig_failed(int folder)
{
    struct statvfs fs;

    if (fstatvfs(folder, &fs) < 0)
        return "";
    if ((fs.f_flag & ST_RDONLY) != 0)
        return ": its file system is read-only";
    return fs.f_blocks > 0 && fs.f_bavail == 0 ? ": no space is left on its file system" : "";
}

static int run_ldconfig_confined(const struct nvl_root *rootfs, int etc, int ldconfig_fd, uid_t uid,
                                 gid_t gid, struct nvl_error *err)
{
    struct confined confined = {rootfs->fd, ldconfig_fd, uid, gid};
    const struct nvl_run run = {
        .body = confine_and_exec, .body_data = &confined, .seconds = LDCONFIG_SECONDS};
    nvl_auto(nvl_run_result_clear) struct nvl_run_result result;

    int r = nvl_run(&run, &result);
    if (r == -ETIMEDOUT)
        return nvl_error_set(err, -EIO,
                             "ldconfig on the container's root file system did not finish within %d s",
                             LDCONFIG_SECONDS);
    if (r < 0)
        return nvl_error_errno(err, r, "cannot run ldconfig");
    if (WIFSIGNALED(result.status))
        return nvl_error_set(err, -EIO,
                             "ldconfig on the container's root file system was killed by signal %d",
                             WTERMSIG(result.status));
    if (WEXITSTATUS(result.status) != 0)
        return nvl_error_set(err, -EIO,
                             "ldconfig on the container's root file system failed with status %d%s",
                             WEXITSTATUS(result.status), why_ldconfig_failed(etc));
    return 0;
}

int nvl_ldconfig_run(const struct nvl_root *rootfs, int ldconfig_fd, uid_t uid, gid_t gid,
                     struct nvl_error *err)
{
    const struct nvl_root own = nvl_root_own(rootfs);
    bool had_folder = nvl_root_exists(rootfs, AUX_FOLDER), had_file = nvl_root_exists(rootfs, AUX_FILE),
         had_half = nvl_root_exists(rootfs, HALF_MADE);
    const char *name;

    nvl_autofd int etc = nvl_root_open_parent(&own, CACHE, &name);
    if (etc == -EXDEV)
        return nvl_error_set(
            err, etc,
            "its /etc lies on a mount of its own, which others may share: its linker's cache "
            "is left as it is");
    int r = run_ldconfig_confined(rootfs, etc, ldconfig_fd, uid, gid, err);
    remove_new(rootfs, had_half, HALF_MADE, 0);
    remove_new(rootfs, had_file, AUX_FILE, 0);
    remove_new(rootfs, had_folder, AUX_FOLDER, AT_REMOVEDIR);
    return r;
}
