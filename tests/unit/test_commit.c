/* Writing a plan and cleaning a root file system, on small trees of their own: what is refused leaves the
 * config as it was, byte for byte, and no temporary file beside it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/root.h"
#include "base/file.h"
#include "apply/clean.h"
#include "apply/commit.h"
#include "container/container.h"
#include "container/idmap.h"
#include "plan/plan.h"

#define OLD "arch: amd64\nunprivileged: 1\n\n[snap]\narch: amd64\n"
#define NEW                                                                                                  \
    "arch: amd64\nunprivileged: 1\nlxc.environment: NVIDIA_VISIBLE_DEVICES=all\n\n[snap]\narch: amd64\n"

struct fixture {
    char dir[64];
    struct nvl_root root;
    struct nvl_container c;
    struct nvl_config base;
    struct nvl_error err;
};

static char *below(const struct fixture *f, const char *path)
{
    return nvl_xasprintf("%s%s", f->dir, path);
}

static void make_dirs(const struct fixture *f, const char *path)
{
    nvl_autofree char *full = below(f, path);

    for (char *slash = strchr(full + strlen(f->dir) + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        assert_true(mkdir(full, 0755) == 0 || errno == EEXIST);
        *slash = '/';
    }
    assert_true(mkdir(full, 0755) == 0 || errno == EEXIST);
}

static void write_file(const struct fixture *f, const char *path, const char *text)
{
    nvl_autofree char *full = below(f, path);
    nvl_autofd int fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);

    assert_true(fd >= 0);
    assert_int_equal(nvl_fd_write(fd, text, strlen(text)), 0);
}

static void assert_file(const struct fixture *f, const char *path, const char *text)
{
    nvl_autofree char *now = NULL;
    size_t len;

    assert_int_equal(nvl_root_read(&f->root, path, 1 << 21, &now, &len), 0);
    assert_string_equal(now, text);
}

/* The folder holds `count` entries: no temporary file is left. */
static void assert_entries(const struct fixture *f, const char *path, size_t count)
{
    struct nvl_strv nvl_auto(nvl_strv_clear) names = {0};

    assert_int_equal(nvl_root_list(&f->root, path, &names), 0);
    assert_int_equal(names.count, count);
}

static bool exists(const struct fixture *f, const char *path)
{
    struct stat st;

    return nvl_root_stat(&f->root, path, AT_SYMLINK_NOFOLLOW, &st) == 0;
}

static void parse(struct fixture *f, enum nvl_dialect dialect, const char *text)
{
    nvl_config_clear(&f->base);
    assert_int_equal(nvl_config_parse(&f->base, dialect, nvl_xstrdup(text), strlen(text), &f->err), 0);
}

static int set_up(void **state)
{
    struct fixture *f = nvl_xcalloc(1, sizeof *f);

    snprintf(f->dir, sizeof f->dir, "/tmp/test_commit.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    assert_int_equal(nvl_root_open(&f->root, f->dir, NULL), 0);
    make_dirs(f, "/proc/net");
    write_file(f, "/proc/net/unix", "Num       RefCount Protocol Flags    Type St Inode Path\n");
    *state = f;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    nvl_config_clear(&f->base);
    nvl_root_close(&f->root);
    nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

/* A Proxmox host as it is: /etc/pve/lxc is a link into the node's folder. */
static void make_ct(struct fixture *f, const char *text)
{
    nvl_autofree char *lxc = below(f, "/etc/pve/lxc"), *local = below(f, "/etc/pve/local");

    make_dirs(f, "/etc/pve/nodes/pve/lxc");
    make_dirs(f, "/run/lock");
    assert_int_equal(symlink("nodes/pve/lxc", lxc), 0);
    assert_int_equal(symlink("nodes/pve", local), 0);
    write_file(f, "/etc/pve/nodes/pve/lxc/220.conf", text);
    f->c = (struct nvl_container){.kind = NVL_CONTAINER_PVE,
                                  .lxc_name = "220",
                                  .name = (char *)"220",
                                  .config_path = (char *)"/etc/pve/lxc/220.conf",
                                  .lxcpath = (char *)"/var/lib/lxc"};
    parse(f, NVL_DIALECT_PVE, text);
}

static void make_lxc(struct fixture *f, const char *text)
{
    make_dirs(f, "/var/lib/lxc/web");
    write_file(f, "/var/lib/lxc/web/config", text);
    f->c = (struct nvl_container){.kind = NVL_CONTAINER_LXC,
                                  .lxc_name = "web",
                                  .name = (char *)"web",
                                  .config_path = (char *)"/var/lib/lxc/web/config",
                                  .lxcpath = (char *)"/var/lib/lxc"};
    parse(f, NVL_DIALECT_LXC, text);
}

static int commit_new(struct fixture *f)
{
    const struct nvl_plan plan = {.text = (char *)NEW, .len = strlen(NEW), .changes = true};

    return nvl_commit(&f->root, &f->c, &f->base, &plan, &f->err);
}

static void assert_says(const struct fixture *f, const char *message, const char *hint)
{
    if (strstr(f->err.message, message) == NULL || strstr(f->err.hint, hint) == NULL)
        fail_msg("'%s' / '%s' lacks '%s' / '%s'", f->err.message, f->err.hint, message, hint);
}

static void writes_a_ct(void **state)
{
    struct fixture *f = *state;
    struct stat st;

    make_ct(f, OLD);
    nvl_autofree char *path = below(f, "/etc/pve/nodes/pve/lxc/220.conf");
    assert_int_equal(chown(path, 0, 33), 0);
    assert_int_equal(commit_new(f), 0);
    assert_file(f, "/etc/pve/lxc/220.conf", NEW);
    assert_int_equal(lstat(path, &st), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0640);
    assert_int_equal(st.st_gid, 33);
    assert_entries(f, "/etc/pve/nodes/pve/lxc", 1);
    assert_true(exists(f, "/run/lock/lxc/pve-config-220.lock"));
}

#define ALICES "/home/alice/.local/share/lxc"

static const struct nvl_user alice = {
    .name = (char *)"alice", .home = (char *)"/home/alice", .uid = 1000, .logs_in = true};

static void make_alices(struct fixture *f, const char *text)
{
    make_dirs(f, "/etc");
    make_dirs(f, ALICES "/web");
    write_file(f, ALICES "/web/config", text);
    f->c = (struct nvl_container){.kind = NVL_CONTAINER_LXC,
                                  .lxc_name = "web",
                                  .name = (char *)"web",
                                  .user = alice.name,
                                  .owner = &alice,
                                  .config_path = (char *)ALICES "/web/config",
                                  .lxcpath = (char *)ALICES};
    parse(f, NVL_DIALECT_LXC, text);
}

static void keeps_a_users_owner(void **state)
{
    struct fixture *f = *state;
    struct stat st;

    make_alices(f, OLD);
    nvl_autofree char *path = below(f, ALICES "/web/config");
    assert_int_equal(chown(path, 1000, 1001), 0);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(commit_new(f), 0);
    assert_file(f, ALICES "/web/config", NEW);
    assert_int_equal(lstat(path, &st), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0600);
    assert_int_equal(st.st_uid, 1000);
    assert_int_equal(st.st_gid, 1001);
    assert_entries(f, ALICES "/web", 1);
}

/* Between reading and writing, the user puts a link to root's containers in the place of the own ones. */
static void a_user_cannot_lead_out_of_the_home(void **state)
{
    struct fixture *f = *state;

    make_lxc(f, OLD);
    make_alices(f, OLD);
    nvl_autofree char *own = below(f, ALICES), *moved = below(f, "/home/alice/moved");
    assert_int_equal(rename(own, moved), 0);
    assert_int_equal(symlink("/var/lib/lxc", own), 0);
    assert_true(commit_new(f) < 0);
    assert_file(f, "/var/lib/lxc/web/config", OLD);
    assert_entries(f, "/var/lib/lxc/web", 1);
}

static void refuses_a_changed_config(void **state)
{
    static const char *const others[] = {
        OLD "# longer\n",
        "arch: amd64\nunprivileged: 0\n\n[snap]\narch: amd64\n", /* as long as before */
        "",
    };
    struct fixture *f = *state;

    make_ct(f, OLD);
    for (size_t i = 0; i < NVL_LENGTH(others); i++) {
        write_file(f, "/etc/pve/nodes/pve/lxc/220.conf", others[i]);
        assert_int_equal(commit_new(f), -EAGAIN);
        assert_says(f, "changed since it was read; nothing was written", "run the command again");
        assert_int_equal(f->err.exit, NVL_EXIT_FAILED);
        assert_file(f, "/etc/pve/lxc/220.conf", others[i]);
        assert_entries(f, "/etc/pve/nodes/pve/lxc", 1);
    }
}

static void refuses_a_vanished_config(void **state)
{
    struct fixture *f = *state;

    make_ct(f, OLD);
    nvl_autofree char *path = below(f, "/etc/pve/nodes/pve/lxc/220.conf");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(commit_new(f), -ENOENT);
    assert_entries(f, "/etc/pve/nodes/pve/lxc", 0);
}

static void refuses_where_lock_is_set(void **state)
{
    struct fixture *f = *state;

    make_ct(f, "arch: amd64\nlock: backup\n");
    assert_int_equal(commit_new(f), -EBUSY);
    assert_says(f, "lock: backup", "pct unlock 220");
    assert_file(f, "/etc/pve/lxc/220.conf", "arch: amd64\nlock: backup\n");
    assert_says(f, "nothing was written", "only if none is left");

    nvl_config_clear(&f->base);
    parse(f, NVL_DIALECT_PVE, "arch: amd64\nlock: mounted\n");
    assert_int_equal(commit_new(f), -EBUSY);
    assert_says(f, "lock: mounted", "pct unmount 220");
    assert_null(strstr(f->err.hint, "unlock"));
}

/* A write sweeps what killed ones left beside the same config, and nothing else: not what a writer has
 * locked, whatever its number is, and nothing of Proxmox's. */
static void sweeps_temporary_files(void **state)
{
#define BESIDE "/etc/pve/nodes/pve/lxc/"
    static const char *const others[] = {BESIDE "2200.conf.nvlxc.1", BESIDE "220.conf.nvlxc.x",
                                         BESIDE "220.conf.tmp.1", BESIDE "20.conf.nvlxc.1"};
    static const char left[] = BESIDE "220.conf.nvlxc.1", in_use[] = BESIDE "220.conf.nvlxc.2";
#undef BESIDE
    struct fixture *f = *state;

    make_ct(f, OLD);
    write_file(f, left, "half");
    write_file(f, in_use, "half");
    for (size_t i = 0; i < NVL_LENGTH(others); i++)
        write_file(f, others[i], "somebody else's");
    nvl_autofd int fd = nvl_root_openat(&f->root, in_use, O_RDONLY);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(commit_new(f), 0);
    assert_file(f, "/etc/pve/lxc/220.conf", NEW);
    assert_false(exists(f, left));
    assert_true(exists(f, in_use));
    assert_entries(f, "/etc/pve/nodes/pve/lxc", 2 + NVL_LENGTH(others));
}

/* A snapshot keeps the lock that was set while it was made: only the top section counts. */
static void a_snapshots_lock_is_no_lock(void **state)
{
    struct fixture *f = *state;

    make_ct(f, "arch: amd64\n\n[snap]\nlock: snapshot\n");
    assert_int_equal(commit_new(f), 0);
}

static void refuses_without_quorum(void **state)
{
    struct fixture *f = *state;

    make_ct(f, OLD);
    nvl_autofree char *local = below(f, "/etc/pve/local");
    /* a link's mode cannot be chosen outside pmxcfs */
    assert_int_equal(unlink(local), 0);
    assert_int_equal(mkdir(local, 0555), 0);
    assert_int_equal(commit_new(f), -EROFS);
    assert_says(f, "no quorum", "pvecm status");
    assert_file(f, "/etc/pve/lxc/220.conf", OLD);
    assert_int_equal(chmod(local, 0755), 0);
    assert_int_equal(commit_new(f), 0);
}

static void refuses_another_nodes_ct(void **state)
{
    struct fixture *f = *state;

    make_ct(f, OLD);
    f->c.node = (char *)"pve2";
    assert_int_equal(commit_new(f), -EPERM);
    assert_says(f, "node pve2", "ssh pve2");
    assert_file(f, "/etc/pve/lxc/220.conf", OLD);
}

static void refuses_links(void **state)
{
    struct fixture *f = *state;

    make_lxc(f, OLD);
    nvl_autofree char *config = below(f, "/var/lib/lxc/web/config"),
                      *real = below(f, "/var/lib/lxc/web/real");
    assert_int_equal(rename(config, real), 0);
    assert_int_equal(symlink("real", config), 0);
    assert_int_equal(commit_new(f), -ELOOP);
    assert_says(f, "symbolic link", "the file itself");
    assert_file(f, "/var/lib/lxc/web/real", OLD);

    assert_int_equal(unlink(config), 0);
    assert_int_equal(rename(real, config), 0);
    nvl_autofree char *folder = below(f, "/var/lib/lxc/web"), *moved = below(f, "/var/lib/lxc/moved");
    assert_int_equal(rename(folder, moved), 0);
    assert_int_equal(symlink("moved", folder), 0);
    assert_int_equal(commit_new(f), -ELOOP);
    assert_says(f, "the folder of /var/lib/lxc/web/config is a symbolic link", "");
    assert_file(f, "/var/lib/lxc/moved/config", OLD);
    assert_entries(f, "/var/lib/lxc/moved", 1);
}

/* A FIFO in the config's place must not hold the command, nor be replaced. */
static void refuses_a_fifo(void **state)
{
    struct fixture *f = *state;

    make_lxc(f, OLD);
    nvl_autofree char *config = below(f, "/var/lib/lxc/web/config");
    assert_int_equal(unlink(config), 0);
    assert_int_equal(mkfifo(config, 0600), 0);
    assert_int_equal(commit_new(f), -EINVAL);
    assert_entries(f, "/var/lib/lxc/web", 1);
}

/* The lock file is Proxmox's: a link that somebody put there must not make a file elsewhere. */
static void follows_no_link_to_lock(void **state)
{
    struct fixture *f = *state;

    make_ct(f, OLD);
    make_dirs(f, "/run/lock/lxc");
    nvl_autofree char *lock = below(f, "/run/lock/lxc/pve-config-220.lock");
    assert_int_equal(symlink("/etc/made-by-lock", lock), 0);
    assert_int_equal(commit_new(f), -ELOOP);
    assert_false(exists(f, "/etc/made-by-lock"));
    assert_file(f, "/etc/pve/lxc/220.conf", OLD);
}

static void without_changes_nothing_is_done(void **state)
{
    struct fixture *f = *state;
    const struct nvl_plan plan = {.text = (char *)OLD, .len = strlen(OLD), .changes = false};

    make_ct(f, OLD);
    assert_int_equal(nvl_commit(&f->root, &f->c, &f->base, &plan, &f->err), 0);
    assert_file(f, "/etc/pve/lxc/220.conf", OLD);
    assert_false(exists(f, "/run/lock/lxc"));
}

static void refuses_what_pmxcfs_would(void **state)
{
    struct fixture *f = *state;
    const struct nvl_plan plan = {.text = (char *)"", .len = NVL_CONFIG_MAX + 1, .changes = true};

    make_ct(f, OLD);
    assert_int_equal(nvl_commit(&f->root, &f->c, &f->base, &plan, &f->err), -EFBIG);
    assert_file(f, "/etc/pve/lxc/220.conf", OLD);
}

/* Another program: takes the lock, says so, holds it for `ms`, then writes `text` (NULL: nothing) and leaves.
 */
static pid_t hold_lock(const struct fixture *f, const char *lock_path, int flags, int ms, const char *text)
{
    int ready[2];
    char byte;

    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        nvl_autofree char *path = below(f, lock_path);
        int fd = open(path, flags, 0644);
        if (fd < 0 || flock(fd, LOCK_EX) < 0 || write(ready[1], "", 1) != 1)
            _exit(1);
        nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
        if (text != NULL)
            write_file(f, f->c.config_path, text);
        _exit(0);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

static void wait_for(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void waits_for_the_lock(void **state)
{
    struct fixture *f = *state;

    make_ct(f, OLD);
    make_dirs(f, "/run/lock/lxc");
    const char *lock = "/run/lock/lxc/pve-config-220.lock";
    pid_t pid = hold_lock(f, lock, O_WRONLY | O_CREAT | O_APPEND, 400, OLD "# theirs\n");
    /* the config is compared behind the lock: what its holder wrote is seen */
    assert_int_equal(commit_new(f), -EAGAIN);
    wait_for(pid);
    assert_file(f, "/etc/pve/lxc/220.conf", OLD "# theirs\n");

    write_file(f, "/etc/pve/nodes/pve/lxc/220.conf", OLD);
    pid = hold_lock(f, lock, O_WRONLY | O_CREAT | O_APPEND, 400, NULL);
    assert_int_equal(commit_new(f), 0);
    wait_for(pid);
    assert_file(f, "/etc/pve/lxc/220.conf", NEW);
}

static void an_lxc_folder_is_locked(void **state)
{
    struct fixture *f = *state;

    make_lxc(f, OLD);
    pid_t pid = hold_lock(f, "/var/lib/lxc/web", O_RDONLY | O_DIRECTORY, 400, OLD "# theirs\n");
    assert_int_equal(commit_new(f), -EAGAIN);
    wait_for(pid);
    assert_file(f, "/var/lib/lxc/web/config", OLD "# theirs\n");
}

static void gives_up_after_ten_seconds(void **state)
{
    struct fixture *f = *state;
    struct timespec start, end;

    make_ct(f, OLD);
    make_dirs(f, "/run/lock/lxc");
    pid_t pid = hold_lock(f, "/run/lock/lxc/pve-config-220.lock", O_WRONLY | O_CREAT | O_APPEND, 12000, NULL);
    clock_gettime(CLOCK_MONOTONIC, &start);
    assert_int_equal(commit_new(f), -ETIMEDOUT);
    clock_gettime(CLOCK_MONOTONIC, &end);
    assert_in_range(end.tv_sec - start.tv_sec, 9, 11);
    nvl_autofree char *holder = nvl_xasprintf("process %d (", (int)pid);
    assert_says(f, holder, "wait");
    assert_says(f, " has held the lock ", "wait");
    assert_file(f, "/etc/pve/lxc/220.conf", OLD);
    wait_for(pid);
}

/* A root file system as the hook leaves it, with a file of the container's own. */
static void make_rootfs(const struct fixture *f, const char *path)
{
    static const char *const dirs[] = {"usr/local/bin", "usr/local/nvidia", "etc/ld.so.conf.d"};

    for (size_t i = 0; i < NVL_LENGTH(dirs); i++) {
        nvl_autofree char *dir = nvl_xasprintf("%s/%s", path, dirs[i]);
        make_dirs(f, dir);
    }
    nvl_autofree char *conf = nvl_xasprintf("%s/etc/ld.so.conf.d/00-nvlxc.conf", path);
    nvl_autofree char *own = nvl_xasprintf("%s/etc/ld.so.conf.d/libc.conf", path);
    nvl_autofree char *smi = nvl_xasprintf("%s%s/usr/local/bin/nvidia-smi", f->dir, path);
    write_file(f, conf, "# nvlxc made the folder /usr/local/nvidia\n/usr/local/nvidia/lib64\n");
    write_file(f, own, "/usr/local/lib\n");
    assert_int_equal(symlink("/usr/local/nvidia/bin/nvidia-smi", smi), 0);
}

static struct nvl_cleaned clean(struct fixture *f, bool dry_run)
{
    struct nvl_cleaned cleaned;

    nvl_auto(nvl_effective_clear) struct nvl_effective effective = {0};

    f->err = (struct nvl_error){0};
    nvl_effective_read(&f->root, &f->c, &f->base, &effective, NULL);
    assert_int_equal(nvl_clean_rootfs(&f->root, &f->c, &effective, dry_run ? NVL_CLEAN_DRY : NVL_CLEAN_ALL,
                                      &cleaned, &f->err),
                     0);
    return cleaned;
}

static void cleans_a_directory(void **state)
{
    struct fixture *f = *state;

    make_lxc(f, "lxc.rootfs.path = dir:/srv/web\n");
    make_rootfs(f, "/srv/web");

    struct nvl_cleaned would = clean(f, true);
    assert_int_equal(would.removed.count, 3);
    assert_true(exists(f, "/srv/web/usr/local/bin/nvidia-smi"));
    nvl_cleaned_clear(&would);

    struct nvl_cleaned did = clean(f, false);
    assert_int_equal(did.removed.count, 3);
    assert_int_equal(did.remaining.count, 0);
    assert_null(did.why);
    assert_false(exists(f, "/srv/web/usr/local/bin/nvidia-smi"));
    assert_false(exists(f, "/srv/web/usr/local/nvidia"));
    assert_false(exists(f, "/srv/web/etc/ld.so.conf.d/00-nvlxc.conf"));
    assert_file(f, "/srv/web/etc/ld.so.conf.d/libc.conf", "/usr/local/lib\n");
    nvl_cleaned_clear(&did);
}

static void leaves_the_containers_own(void **state)
{
    struct fixture *f = *state;

    make_lxc(f, "lxc.rootfs.path = /srv/web\n");
    make_dirs(f, "/srv/web/usr/local/nvidia");
    make_dirs(f, "/srv/web/usr/local/bin");
    write_file(f, "/srv/web/usr/local/nvidia/README", "the image's own\n");
    write_file(f, "/srv/web/usr/local/bin/nvidia-smi", "the image's own\n");
    for (int dry_run = 1; dry_run >= 0; dry_run--) {
        struct nvl_cleaned cleaned = clean(f, dry_run == 1);
        assert_int_equal(cleaned.removed.count, 0);
        assert_int_equal(cleaned.remaining.count, 0);
        nvl_cleaned_clear(&cleaned);
    }
    assert_file(f, "/srv/web/usr/local/nvidia/README", "the image's own\n");
    assert_file(f, "/srv/web/usr/local/bin/nvidia-smi", "the image's own\n");
}

static void touches_no_running_container(void **state)
{
    struct fixture *f = *state;

    make_lxc(f, "lxc.rootfs.path = dir:/srv/web\n");
    make_rootfs(f, "/srv/web");
    write_file(f, "/proc/net/unix",
               "Num       RefCount Protocol Flags    Type St Inode Path\n"
               "0000000000000000: 00000002 00000000 00010000 0001 01 12345 @/var/lib/lxc/web/command\n");
    struct nvl_cleaned cleaned = clean(f, false);
    assert_true(cleaned.running);
    assert_int_equal(cleaned.removed.count, 0);
    assert_int_equal(cleaned.remaining.count, 4); /* what the usual capabilities bring */
    assert_string_equal(cleaned.why, "it is running");
    assert_true(exists(f, "/srv/web/usr/local/bin/nvidia-smi"));
    nvl_cleaned_clear(&cleaned);
}

static void says_why_it_cannot_reach(void **state)
{
    static const struct {
        enum nvl_dialect dialect;
        const char *config, *why;
    } cases[] = {
        {NVL_DIALECT_PVE, "rootfs: local-lvm:vm-220-disk-0,size=32G\nunprivileged: 1\n", "storage local-lvm"},
        {NVL_DIALECT_PVE, "rootfs: volume=tank:subvol-220-disk-0,size=32G\n", "storage tank"},
        {NVL_DIALECT_PVE, "arch: amd64\n", "names no root file system"},
        {NVL_DIALECT_LXC, "lxc.rootfs.path = overlay:/srv/base:/srv/web/delta0\n", "type overlay"},
        {NVL_DIALECT_LXC, "lxc.rootfs.path = overlayfs:/srv/base:/srv/web/delta0\n", "type overlayfs"},
        {NVL_DIALECT_LXC, "lxc.rootfs.path = lvm:/dev/vg/web\n", "type lvm"},
        {NVL_DIALECT_LXC, "lxc.rootfs.path = dir:/srv/absent\n", "No such file"},
        {NVL_DIALECT_LXC, "lxc.rootfs.path = /srv/disk.img\n", "Not a directory"},
        {NVL_DIALECT_LXC, "lxc.rootfs.path = dir:/\n", "the host's own root"},
        {NVL_DIALECT_LXC, "lxc.rootfs.path = dir:/srv/..\n", "the host's own root"},
        {NVL_DIALECT_LXC, "lxc.uts.name = web\n", "names no root file system"},
    };
    struct fixture *f = *state;

    make_lxc(f, "");
    make_dirs(f, "/srv");
    write_file(f, "/srv/disk.img", "");
    for (size_t i = 0; i < NVL_LENGTH(cases); i++) {
        parse(f, cases[i].dialect, cases[i].config);
        f->c.kind = cases[i].dialect == NVL_DIALECT_PVE ? NVL_CONTAINER_PVE : NVL_CONTAINER_LXC;
        struct nvl_cleaned cleaned = clean(f, false);
        assert_true(cleaned.unreachable);
        assert_int_equal(cleaned.remaining.count, 4);
        if (strstr(cleaned.why, cases[i].why) == NULL)
            fail_msg("%s: '%s'", cases[i].config, cleaned.why);
        nvl_cleaned_clear(&cleaned);
    }
}

static void cleans_a_cts_plain_path(void **state)
{
    struct fixture *f = *state;

    make_ct(f, "rootfs: /srv/ct,size=0\n");
    make_rootfs(f, "/srv/ct");
    struct nvl_cleaned cleaned = clean(f, false);
    assert_int_equal(cleaned.removed.count, 3);
    assert_false(exists(f, "/srv/ct/usr/local/nvidia"));
    nvl_cleaned_clear(&cleaned);
}

/* A user's config may name any path: only what belongs to its container's root is touched. */
static void a_user_cannot_lead_elsewhere(void **state)
{
#define MAP "lxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536\n"
    static const char *const configs[] = {
        "lxc.rootfs.path = dir:/srv/web\n" MAP,
        "lxc.rootfs.path = dir:/srv/web\nlxc.idmap = u 0 0 65536\nlxc.idmap = g 0 0 65536\n",
        "lxc.rootfs.path = dir:/srv/web\n",
        "lxc.rootfs.path = dir:/srv/web\nlxc.idmap = u 0 200000 65536\nlxc.idmap = g 0 100000 65536\n",
        "lxc.rootfs.path = dir:/srv/web\nlxc.idmap = u 0 100000 65537\nlxc.idmap = g 0 100000 65536\n",
        "lxc.rootfs.path = dir:/srv/web\nlxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 1000 1\nlxc.idmap = g "
        "1 0 1\n",
    };
    static const char *const whys[] = {
        "belongs to user 0, who is neither alice nor one of the container",
        "does not belong to the container's root",
        "does not belong to the container's root",
        "maps the ids 200000 to 265535, which /etc/subuid does not give alice",
        "maps the ids 100000 to 165536, which /etc/subuid does not give alice",
        "maps the ids 0 to 0, which /etc/subgid does not give alice",
    };
    struct fixture *f = *state;

    const struct nvl_user owner = {
        .name = (char *)"alice", .home = (char *)"/home/alice", .uid = 1000, .gid = 1000};

    make_lxc(f, "");
    f->c.user = owner.name;
    f->c.owner = &owner;
    make_dirs(f, "/etc");
    write_file(f, "/etc/subuid", "alice:100000:65536\n");
    write_file(f, "/etc/subgid", "alice:100000:65536\n");
    make_rootfs(f, "/srv/web"); /* root's */
    for (size_t i = 0; i < NVL_LENGTH(configs); i++) {
        parse(f, NVL_DIALECT_LXC, configs[i]);
        struct nvl_cleaned cleaned = clean(f, false);
        assert_true(cleaned.unreachable);
        assert_non_null(strstr(cleaned.why, whys[i]));
        assert_true(exists(f, "/srv/web/usr/local/bin/nvidia-smi"));
        nvl_cleaned_clear(&cleaned);
    }
    nvl_autofree char *top = below(f, "/srv/web");
    assert_int_equal(chown(top, 100000, 100000), 0);
    parse(f, NVL_DIALECT_LXC, configs[0]);
    struct nvl_cleaned cleaned = clean(f, false);
    assert_int_equal(cleaned.removed.count, 3);
    nvl_cleaned_clear(&cleaned);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(writes_a_ct),
        TEST(keeps_a_users_owner),
        TEST(a_user_cannot_lead_out_of_the_home),
        TEST(refuses_a_changed_config),
        TEST(refuses_a_vanished_config),
        TEST(refuses_where_lock_is_set),
        TEST(sweeps_temporary_files),
        TEST(a_snapshots_lock_is_no_lock),
        TEST(refuses_without_quorum),
        TEST(refuses_another_nodes_ct),
        TEST(refuses_links),
        TEST(refuses_a_fifo),
        TEST(follows_no_link_to_lock),
        TEST(without_changes_nothing_is_done),
        TEST(refuses_what_pmxcfs_would),
        TEST(waits_for_the_lock),
        TEST(an_lxc_folder_is_locked),
        TEST(gives_up_after_ten_seconds),
        TEST(cleans_a_directory),
        TEST(leaves_the_containers_own),
        TEST(touches_no_running_container),
        TEST(says_why_it_cannot_reach),
        TEST(cleans_a_cts_plain_path),
        TEST(a_user_cannot_lead_elsewhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
