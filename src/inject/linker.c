/* The container's dynamic linker; runs the host's ldconfig on its cache. */
#include "inject/linker.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/confine.h"
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
    if (nvl_root_read(rootfs, NVL_LINKER_CONF, CONF_MAX, &conf->text, &conf->len) == 0)
        parse_conf(conf->text, conf->len, conf);
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
    if (conf->text != NULL && nvl_bytes_are(conf->text, conf->len, text.data))
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
#define LDCONFIG_SECONDS    60
#define PROGRAM_HEADERS_MAX 32 /* glibc's static ldconfig has 10 */
#define LINKER_CONF_MAX     (1 << 20)
#define AUX_MAX             (64 << 20)

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
    Elf64_Phdr programs[PROGRAM_HEADERS_MAX];

    if (pread(fd, &header, sizeof header, 0) != sizeof header ||
        memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
        header.e_phentsize != sizeof *programs || header.e_phnum > PROGRAM_HEADERS_MAX)
        return false;
    size_t size = header.e_phnum * sizeof *programs;
    if (pread(fd, programs, size, (off_t)header.e_phoff) != (ssize_t)size)
        return false;
    for (unsigned i = 0; i < header.e_phnum; i++)
        if (programs[i].p_type == PT_INTERP)
            return false;
    return true;
}

int nvl_ldconfig_open(const struct nvl_root *host)
{
    /* Ubuntu's ldconfig is a shell script around ldconfig.real */
    static const char *const paths[] = {"/sbin/ldconfig.real", "/sbin/ldconfig"};
    int r = -ENOENT;

    for (size_t i = 0; i < NVL_LENGTH(paths); i++) {
        nvl_autofd int fd = nvl_root_openat(host, paths[i], O_RDONLY);
        if (fd >= 0)
            return TAKE_FD(fd);
        r = fd;
    }
    return r;
}

struct ldconfig_call {
    int rootfs_fd, program_fd;
    const struct nvl_ids *as; /* NULL: the process is confined already */
    bool forgets;             /* does not read its notes */
};

/* Runs in the child. Returns only on failure, with an errno as exit status. */
static int exec_ldconfig(void *data)
{
    /* -X: only the cache, no links; -i: without the notes of the last run */
    static char *const reads[] = {(char *)"ldconfig", (char *)"-X", NULL};
    static char *const forgets[] = {(char *)"ldconfig", (char *)"-X", (char *)"-i", NULL};
    static char *const envp[] = {(char *)"LC_ALL=C", NULL};
    const struct ldconfig_call *c = data;

    int r = c->as == NULL ? 0 : nvl_confine(c->rootfs_fd, c->as->uid, c->as->gid, &c->program_fd, 1);
    if (r < 0)
        return -r;
    if (close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
        return errno;
    umask(022);
    execveat(c->program_fd, "", c->forgets ? forgets : reads, envp, AT_EMPTY_PATH);
    return errno;
}

/* ldconfig keeps notes for its next run. If a root file system has none, nvlxc leaves none. */
#define AUX_FOLDER "/var/cache/ldconfig"
#define AUX_FILE   AUX_FOLDER "/aux-cache"
/* what it writes before it takes the cache's name, and leaves where it cannot write all of it */
#define CACHE     "/etc/ld.so.cache"
#define HALF_MADE "~"
/* a link beside the cache for as long as ldconfig runs, for whoever comes after a start that was killed: its
 * text says what was not there before */
#define RUNNING    CACHE ".nvlxc"
#define NEW_FILE   "aux-cache"
#define NEW_FOLDER "ldconfig/aux-cache"

/* It would write into what has that name: through a hard link, a FIFO, a mount. What is there is to be
 * replaced in any case. */
static int remove_unfinished(const struct nvl_root *rootfs, const char *file)
{
    nvl_autofree char *path = nvl_xasprintf("%s" HALF_MADE, file);
    const char *name;
    nvl_autofd int parent = nvl_root_open_parent(rootfs, path, &name);

    return parent < 0 || unlinkat(parent, name, 0) == 0 || errno == ENOENT ? 0 : -errno;
}

/* 1, 0, or a negative errno if that cannot be told. */
static int look_for_kept(const struct nvl_root *rootfs, const char *path)
{
    struct stat st;
    int r = nvl_root_stat(rootfs, path, AT_SYMLINK_NOFOLLOW, &st);

    return r == 0 ? 1 : r == -ENOENT || r == -ENOTDIR ? 0 : r;
}

static bool remove_new(const struct nvl_root *rootfs, const char *path, int flags)
{
    const char *name;
    nvl_autofd int parent = nvl_root_open_parent(rootfs, path, &name);

    return parent == -ENOENT ||
           (parent >= 0 && (unlinkat(parent, name, flags) == 0 || errno == ENOENT || errno == ENOTEMPTY));
}

/* The mark goes last. */
static void remove_notes(const struct nvl_root *rootfs, const char *what)
{
    const struct nvl_root own = nvl_root_own(rootfs);

    if (remove_new(rootfs, AUX_FILE, 0) && remove_new(rootfs, AUX_FILE HALF_MADE, 0) &&
        (strcmp(what, NEW_FOLDER) != 0 || remove_new(rootfs, AUX_FOLDER, AT_REMOVEDIR)))
        remove_new(&own, RUNNING, 0);
}

void nvl_ldconfig_sweep(const struct nvl_root *rootfs)
{
    const struct nvl_root own = nvl_root_own(rootfs);
    nvl_autofree char *what = NULL;

    if (nvl_root_readlink(&own, RUNNING, &what) == 0)
        remove_notes(rootfs, what);
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

/* ldconfig waits at a FIFO, and reads a file to its end. */
static bool is_odd_file(const struct nvl_root *rootfs, const char *path, off_t max)
{
    struct stat st;

    return nvl_root_stat(rootfs, path, 0, &st) == 0 && (!S_ISREG(st.st_mode) || st.st_size > max);
}

static int run_ldconfig_child(const struct nvl_root *rootfs, int etc, int ldconfig_fd,
                              const struct nvl_ids *as, struct nvl_error *err)
{
    struct ldconfig_call call = {rootfs->fd, ldconfig_fd, as, is_odd_file(rootfs, AUX_FILE, AUX_MAX)};
    /* A confined process has no /dev/null that it can trust: the output is read and forgotten, and the input
     * is what ldconfig has anyway, its root, of which nothing can be read (O_PATH). */
    const struct nvl_run run = {.body = exec_ldconfig,
                                .body_data = &call,
                                .input = NVL_STREAM_FD,
                                .input_fd = rootfs->fd,
                                .output = NVL_STREAM_TAKEN,
                                .errors = NVL_STREAM_TAKEN,
                                .seconds = LDCONFIG_SECONDS,
                                .is_helper = true};
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

/* What its configuration includes besides is left to its limits. */
static char *find_odd_conf(const struct nvl_root *rootfs)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    if (is_odd_file(rootfs, "/etc/ld.so.conf", LINKER_CONF_MAX))
        return nvl_xstrdup("/etc/ld.so.conf");
    nvl_root_list(rootfs, "/etc/ld.so.conf.d", &names);
    for (size_t i = 0; i < names.count; i++) {
        nvl_autofree char *path = nvl_xasprintf("/etc/ld.so.conf.d/%s", names.items[i]);
        if (nvl_has_suffix(path, ".conf") && is_odd_file(rootfs, path, LINKER_CONF_MAX))
            return TAKE_PTR(path);
    }
    return NULL;
}

int nvl_ldconfig_run(const struct nvl_root *rootfs, int ldconfig_fd, const struct nvl_ids *as,
                     struct nvl_error *err)
{
    const struct nvl_root own = nvl_root_own(rootfs);
    const char *name, *what = NULL;

    if (!is_static_program(ldconfig_fd))
        return nvl_error_set(err, -ENOEXEC, "the host's ldconfig is not a static program");
    nvl_autofd int etc = nvl_root_open_parent(&own, CACHE, &name);
    if (etc == -EXDEV)
        return nvl_error_set(
            err, etc,
            "its /etc lies on a mount of its own, which others may share: its linker's cache "
            "is left as it is");
    nvl_autofree char *odd = find_odd_conf(rootfs);
    if (odd != NULL)
        return nvl_error_set(err, -EINVAL,
                             "ldconfig was not run on the container's root file system: its %s is no "
                             "file, or larger than %u MiB",
                             odd, LINKER_CONF_MAX >> 20);
    nvl_ldconfig_sweep(rootfs);
    int has_file = look_for_kept(rootfs, AUX_FILE), has_folder = look_for_kept(rootfs, AUX_FOLDER);
    int r = etc < 0 ? etc : has_file < 0 ? has_file : has_folder < 0 ? has_folder : 0;
    if (r < 0)
        return nvl_error_errno(err, r, "cannot look for what ldconfig keeps in the container");
    r = remove_unfinished(rootfs, CACHE);
    if (r == 0)
        r = remove_unfinished(rootfs, AUX_FILE);
    if (r < 0)
        return nvl_error_errno(
            err, r,
            "ldconfig was not run on the container's root file system: cannot remove " CACHE HALF_MADE
            " or " AUX_FILE HALF_MADE ", into which it would write");
    if (has_file == 0) {
        what = has_folder > 0 ? NEW_FILE : NEW_FOLDER;
        (void)!symlinkat(what, etc, strrchr(RUNNING, '/') + 1);
    }
    r = run_ldconfig_child(rootfs, etc, ldconfig_fd, as, err);
    remove_unfinished(rootfs, CACHE);
    if (what != NULL)
        remove_notes(rootfs, what);
    return r;
}
