/* rootfs: nvlxc's files in a container's root file system, which is hostile, and the linker's cache. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/root.h"
#include "base/file.h"
#include "base/paths.h"
#include "grant/grant.h"
#include "inject/cdi_file.h"
#include "inject/files.h"
#include "inject/home.h"
#include "inject/libc.h"
#include "inject/linker.h"
#include "machine.h"

struct trees {
    char path[64];
    struct nvl_root rootfs, bundle, outside;
};

__attribute__((format(printf, 1, 2))) static void shell(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    nvl_autofree char *command = nvl_xvasprintf(fmt, ap);
    va_end(ap);
    assert_int_equal(system(command), 0);
}

static void open_below(struct nvl_root *root, const char *path, const char *name)
{
    nvl_autofree char *full = nvl_xasprintf("%s/%s", path, name);

    assert_int_equal(nvl_root_open(root, full, NULL), 0);
}

static int make_trees(void **state)
{
    struct trees *t = nvl_xcalloc(1, sizeof *t);

    strcpy(t->path, "/tmp/nvlxc-rootfs.XXXXXX");
    assert_non_null(mkdtemp(t->path));
    shell("cd %s && mkdir -p rootfs/etc/ld.so.conf.d rootfs/usr/local/bin bundle/bin outside && "
          "mkdir -p rootfs/usr/share rootfs/usr/lib/x86_64-linux-gnu rootfs/usr/lib64 && "
          "touch bundle/bin/nvidia-smi && echo untouched > outside/file && "
          "echo 'include /etc/ld.so.conf.d/*.conf' > rootfs/etc/ld.so.conf",
          t->path);
    open_below(&t->rootfs, t->path, "rootfs");
    open_below(&t->bundle, t->path, "bundle");
    open_below(&t->outside, t->path, "outside");
    *state = t;
    return 0;
}

static int drop_trees(void **state)
{
    struct trees *t = *state;

    nvl_root_close(&t->rootfs);
    nvl_root_close(&t->bundle);
    nvl_root_close(&t->outside);
    shell("rm -rf %s", t->path);
    free(t);
    return 0;
}

/* The notes that writing gives, one text. */
static char *write_entries(const struct trees *t, unsigned capabilities)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv notes = {0};
    const struct nvl_entries_wanted wanted = {.capabilities = capabilities, .bundle = &t->bundle};

    nvl_autofd int mount_point = nvl_entries_write(&t->rootfs, nvl_home(&t->rootfs), &wanted, &notes);
    (void)mount_point;
    return nvl_strv_join(&notes, "\n");
}

static char *text_of(const struct nvl_root *root, const char *path)
{
    char *text;
    size_t len;

    assert_int_equal(nvl_root_read(root, path, 4096, &text, &len), 0);
    return text;
}

static void entries_are_written_once_and_removed(void **state)
{
    const struct trees *t = *state;
    struct stat first, second;
    nvl_auto(nvl_strv_clear) struct nvl_strv listed = {0}, removed = {0}, after = {0};

    shell("cd %s && find rootfs | sort > before", t->path);
    nvl_autofree char *notes = write_entries(t, NVL_CAP_DEFAULT);
    assert_string_equal(notes, "");
    nvl_autofree char *conf = text_of(&t->rootfs, "/etc/ld.so.conf.d/00-nvlxc.conf");
    assert_string_equal(conf, "# nvlxc made the folder /usr/local/nvidia\n"
                              "# nvlxc made the link /usr/local/bin/nvidia-smi\n/usr/local/nvidia/lib64\n");
    nvl_autofree char *target = NULL;
    assert_int_equal(nvl_root_readlink(&t->rootfs, "/usr/local/bin/nvidia-smi", &target), 0);
    assert_string_equal(target, "/usr/local/nvidia/bin/nvidia-smi");
    assert_int_equal(nvl_root_stat(&t->rootfs, "/etc/ld.so.conf.d/00-nvlxc.conf", 0, &first), 0);

    nvl_autofree char *again = write_entries(t, NVL_CAP_DEFAULT);
    assert_string_equal(again, "");
    assert_int_equal(nvl_root_stat(&t->rootfs, "/etc/ld.so.conf.d/00-nvlxc.conf", 0, &second), 0);
    assert_int_equal(first.st_ino, second.st_ino); /* not written again */

    nvl_entries_list(&t->rootfs, &listed);
    assert_int_equal(listed.count, 3);
    nvl_entries_remove(&t->rootfs, &removed, NULL);
    assert_int_equal(removed.count, 3);
    nvl_entries_list(&t->rootfs, &after);
    assert_int_equal(after.count, 0);
    shell("cd %s && find rootfs | sort | diff before -", t->path);
}

static void capabilities_choose_entries(void **state)
{
    const struct trees *t = *state;

    nvl_autofree char *notes = write_entries(t, NVL_CAP_COMPUTE | NVL_CAP_COMPAT32);
    nvl_autofree char *conf = text_of(&t->rootfs, "/etc/ld.so.conf.d/00-nvlxc.conf");
    assert_string_equal(conf, "# nvlxc made the folder /usr/local/nvidia\n"
                              "/usr/local/nvidia/lib64\n/usr/local/nvidia/lib32\n");
    assert_false(nvl_root_exists(&t->rootfs, "/usr/local/bin/nvidia-smi"));
    /* another grant: the file changes */
    nvl_autofree char *more = write_entries(t, NVL_CAP_DEFAULT);
    nvl_autofree char *changed = text_of(&t->rootfs, "/etc/ld.so.conf.d/00-nvlxc.conf");
    assert_string_equal(changed,
                        "# nvlxc made the folder /usr/local/nvidia\n"
                        "# nvlxc made the link /usr/local/bin/nvidia-smi\n/usr/local/nvidia/lib64\n");
}

/* A bundle that has everything that the table links to. */
static void fill_bundle(const struct trees *t)
{
    shell("cd %s/bundle && mkdir -p etc/OpenCL/vendors share/vulkan/icd.d share/vulkan/implicit_layer.d "
          "share/glvnd/egl_vendor.d share/egl/egl_external_platform.d share/nvidia lib64/gbm lib64/vdpau "
          "lib32/gbm lib32/vdpau lib64/xorg/modules/drivers lib64/xorg/modules/extensions && "
          "touch etc/OpenCL/vendors/nvidia.icd share/vulkan/icd.d/nvidia_icd.json "
          "share/vulkan/implicit_layer.d/nvidia_layers.json share/glvnd/egl_vendor.d/10_nvidia.json "
          "share/nvidia/nvoptix.bin lib64/gbm/nvidia-drm_gbm.so lib64/vdpau/libvdpau_nvidia.so.1 "
          "lib32/gbm/nvidia-drm_gbm.so lib32/vdpau/libvdpau_nvidia.so.1 "
          "share/nvidia/nvidia-application-profiles-rc share/egl/egl_external_platform.d/15_nvidia_gbm.json "
          "lib64/xorg/modules/drivers/nvidia_drv.so lib64/xorg/modules/extensions/libglxserver_nvidia.so",
          t->path);
}

/* The root file system as a text: names, types, modes, links, and what the linker's configuration says. */
static char *tree_of(const struct trees *t)
{
    char *text;
    size_t len;

    shell("cd %s/rootfs && { find . -printf '%%P %%y %%m %%l\\n' | sort; "
          "cat etc/ld.so.conf.d/* 2> /dev/null; true; } > ../tree",
          t->path);
    nvl_autofree char *path = nvl_xasprintf("%s/tree", t->path);
    nvl_autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(nvl_fd_read(fd, 1u << 20, &text, &len), 0);
    return text;
}

static void icd_files_and_backends_are_linked(void **state)
{
    const struct trees *t = *state;
    static const char *const links[][2] = {
        {"/etc/OpenCL/vendors/nvidia.icd", "/etc/OpenCL/vendors/nvidia.icd"},
        {"/usr/share/vulkan/icd.d/nvidia_icd.json", "/share/vulkan/icd.d/nvidia_icd.json"},
        {"/usr/share/vulkan/implicit_layer.d/nvidia_layers.json",
         "/share/vulkan/implicit_layer.d/nvidia_layers.json"},
        {"/usr/share/glvnd/egl_vendor.d/10_nvidia.json", "/share/glvnd/egl_vendor.d/10_nvidia.json"},
        {"/usr/share/nvidia/nvoptix.bin", "/share/nvidia/nvoptix.bin"},
        {"/usr/share/nvidia/nvidia-application-profiles-rc", "/share/nvidia/nvidia-application-profiles-rc"},
        {"/usr/share/egl/egl_external_platform.d/15_nvidia_gbm.json",
         "/share/egl/egl_external_platform.d/15_nvidia_gbm.json"},
        {"/usr/lib/xorg/modules/drivers/nvidia_drv.so", "/lib64/xorg/modules/drivers/nvidia_drv.so"},
        {"/usr/lib/x86_64-linux-gnu/gbm/nvidia-drm_gbm.so", "/lib64/gbm/nvidia-drm_gbm.so"},
        {"/usr/lib/x86_64-linux-gnu/vdpau/libvdpau_nvidia.so.1", "/lib64/vdpau/libvdpau_nvidia.so.1"},
        {"/usr/lib/i386-linux-gnu/vdpau/libvdpau_nvidia.so.1", "/lib32/vdpau/libvdpau_nvidia.so.1"},
    };

    fill_bundle(t);
    shell("mkdir -p %s/rootfs/usr/lib/i386-linux-gnu %s/rootfs/usr/lib/xorg/modules", t->path, t->path);
    nvl_autofree char *notes = write_entries(t, NVL_CAP_ALL);
    assert_string_equal(notes, "");
    for (size_t i = 0; i < NVL_LENGTH(links); i++) {
        nvl_autofree char *target = NULL, *expected = nvl_xasprintf(NVL_MOUNT_POINT "%s", links[i][1]);
        assert_int_equal(nvl_root_readlink(&t->rootfs, links[i][0], &target), 0);
        assert_string_equal(target, expected);
    }
    assert_false(nvl_root_exists(&t->rootfs, "/usr/lib64/gbm"));
    /* without compat32 the 32-bit ones go; compute has no more than OpenCL's */
    nvl_autofree char *less = write_entries(t, NVL_CAP_ALL & ~NVL_CAP_COMPAT32);
    assert_false(nvl_root_exists(&t->rootfs, "/usr/lib/i386-linux-gnu/vdpau"));
    nvl_autofree char *least = write_entries(t, NVL_CAP_COMPUTE);
    assert_true(nvl_root_exists(&t->rootfs, "/etc/OpenCL/vendors"));
    assert_false(nvl_root_exists(&t->rootfs, "/usr/share/vulkan"));
    assert_false(nvl_root_exists(&t->rootfs, "/usr/lib/x86_64-linux-gnu/gbm"));
}

/* Every set of capabilities after every one before it, in root file systems of several kinds: what the grants
 * before left does not show, and detach gives back the tree of before attach. */
static void every_grant_is_undone_exactly(void **state)
{
    const struct trees *t = *state;
    static const char *const kinds[] = {
        "true",
        "mkdir -p usr/local/nvidia etc/OpenCL/vendors usr/share/vulkan usr/lib/x86_64-linux-gnu/gbm",
        "mkdir usr/lib/i386-linux-gnu && rmdir usr/local/bin usr/local",
        "rmdir usr/lib/x86_64-linux-gnu", /* Fedora */
        "rmdir usr/lib/x86_64-linux-gnu usr/lib64 && ln -s lib usr/lib64 && mkdir -p "
        "usr/lib/xorg/modules", /* Arch */
        "mkdir -p usr/lib64/xorg/modules/drivers usr/share/egl",
        "rm -r usr/share usr/local && mkdir usr/lib32",
        "rm -r etc/ld.so.conf.d",
        "mkdir etc/OpenCL && ln -s nowhere etc/OpenCL/vendors && ln -s ../lib usr/share/glvnd",
    };
    static const unsigned grants[] = {
        NVL_CAP_DEFAULT,
        NVL_CAP_ALL,
        NVL_CAP_UTILITY,
        NVL_CAP_VIDEO | NVL_CAP_COMPAT32,
        NVL_CAP_GRAPHICS,
        NVL_CAP_ALL,
        NVL_CAP_DISPLAY | NVL_CAP_COMPUTE,
    };

    fill_bundle(t);
    for (size_t k = 0; k < NVL_LENGTH(kinds); k++) {
        shell("cd %s && rm -rf kept && cp -a rootfs kept && cd rootfs && %s", t->path, kinds[k]);
        nvl_autofree char *before = tree_of(t);
        for (size_t g = 0; g < NVL_LENGTH(grants); g++) {
            nvl_autofree char *first_notes = write_entries(t, grants[g]), *fresh = tree_of(t);
            nvl_autofree char *again_notes = write_entries(t, grants[g]), *again = tree_of(t);
            assert_string_equal(fresh, again);
            nvl_autofree char *more_notes = write_entries(t, NVL_CAP_ALL),
                              *less_notes = write_entries(t, grants[g]);
            nvl_autofree char *changed = tree_of(t);
            assert_string_equal(fresh, changed);

            nvl_auto(nvl_strv_clear) struct nvl_strv listed = {0}, removed = {0}, problems = {0};
            nvl_entries_list(&t->rootfs, &listed);
            nvl_entries_remove(&t->rootfs, &removed, &problems);
            nvl_strv_sort(&listed);
            nvl_strv_sort(&removed);
            nvl_autofree char *said = nvl_strv_join(&listed, "\n"), *done = nvl_strv_join(&removed, "\n");
            assert_string_equal(said, done);
            assert_int_equal(problems.count, 0);
            nvl_autofree char *after = tree_of(t);
            assert_string_equal(before, after);
        }
        shell("cd %s && rm -rf rootfs/* && cp -a kept/. rootfs/", t->path);
    }
}

static void folders_that_the_container_uses_stay(void **state)
{
    const struct trees *t = *state;

    fill_bundle(t);
    nvl_autofree char *notes = write_entries(t, NVL_CAP_ALL);
    shell("echo mine > %s/rootfs/etc/OpenCL/vendors/pocl.icd", t->path);
    /* also through a grant without them, and back */
    nvl_autofree char *less = write_entries(t, NVL_CAP_UTILITY), *more = write_entries(t, NVL_CAP_ALL);
    nvl_entries_remove(&t->rootfs, NULL, NULL);
    nvl_autofree char *mine = text_of(&t->rootfs, "/etc/OpenCL/vendors/pocl.icd");
    assert_string_equal(mine, "mine\n");
    assert_false(nvl_root_exists(&t->rootfs, "/etc/OpenCL/vendors/nvidia.icd"));
    assert_false(nvl_root_exists(&t->rootfs, "/usr/share/vulkan"));
}

/* The container writes into the file what it likes: no more goes than empty folders that nvlxc may make. */
static void a_forged_note_takes_nothing_else(void **state)
{
    const struct trees *t = *state;

    shell("cd %s/rootfs && mkdir -p var/empty usr/share/vulkan && touch usr/share/vulkan/file && "
          "printf '# nvlxc made the folder %%s\\n' /var/empty /usr/share/vulkan ../outside /etc / '' > "
          "etc/ld.so.conf.d/00-nvlxc.conf",
          t->path);
    nvl_entries_remove(&t->rootfs, NULL, NULL);
    shell("cd %s && [ -d rootfs/var/empty ] && [ -f rootfs/usr/share/vulkan/file ] && [ -f outside/file ]",
          t->path);
    assert_false(nvl_root_exists(&t->rootfs, "/etc/ld.so.conf.d/00-nvlxc.conf"));
}

static void what_is_not_ours_stays(void **state)
{
    const struct trees *t = *state;

    shell("cd %s/rootfs/usr/local && echo mine > bin/nvidia-smi && mkdir nvidia && echo mine > nvidia/file",
          t->path);
    nvl_autofree char *notes = write_entries(t, NVL_CAP_DEFAULT);
    nvl_autofree char *smi = text_of(&t->rootfs, "/usr/local/bin/nvidia-smi");
    assert_string_equal(smi, "mine\n");
    nvl_entries_remove(&t->rootfs, NULL, NULL);
    nvl_autofree char *still = text_of(&t->rootfs, "/usr/local/bin/nvidia-smi");
    assert_string_equal(still, "mine\n");
    nvl_autofree char *file = text_of(&t->rootfs, "/usr/local/nvidia/file");
    assert_string_equal(file, "mine\n");
}

/* Links of the container lead to a folder outside; nothing is written there, and nothing taken away. */
static void hostile_links_lead_nowhere(void **state)
{
    const struct trees *t = *state;

    shell("cd %s/rootfs && rmdir etc/ld.so.conf.d usr/local/bin && ln -s ../../outside etc/ld.so.conf.d && "
          "ln -s %s/outside usr/local/bin && ln -s ../../../outside usr/local/nvidia",
          t->path, t->path);
    nvl_autofree char *notes = write_entries(t, NVL_CAP_DEFAULT);
    nvl_entries_remove(&t->rootfs, NULL, NULL);
    shell("cd %s/outside && [ \"$(ls)\" = file ] && [ \"$(cat file)\" = untouched ]", t->path);

    shell("cd %s/rootfs && rm etc/ld.so.conf.d && mkdir etc/ld.so.conf.d && "
          "ln -s %s/outside/file etc/ld.so.conf.d/00-nvlxc.conf",
          t->path, t->path);
    nvl_autofree char *more = write_entries(t, NVL_CAP_DEFAULT);
    shell("[ \"$(cat %s/outside/file)\" = untouched ]", t->path);
}

static void fifos_do_not_hang(void **state)
{
    const struct trees *t = *state;

    shell("cd %s/rootfs/etc && mkfifo ld.so.conf.d/00-nvlxc.conf ld.so.cache", t->path);
    alarm(10);
    nvl_autofree char *notes = write_entries(t, NVL_CAP_DEFAULT);
    assert_false(nvl_linker_is_current(&t->rootfs, NVL_MOUNT_POINT, "lib64 libcuda.so.1\n", 19, false));
    assert_false(nvl_linker_names_bundle(&t->rootfs));
    alarm(0);
}

static void missing_folders_are_not_made(void **state)
{
    const struct trees *t = *state;

    shell("rm -r %s/rootfs/*", t->path);
    nvl_autofree char *notes = write_entries(t, NVL_CAP_DEFAULT);
    assert_string_equal(notes, "");
    shell("cd %s/rootfs && [ \"$(find . -mindepth 1 | sort | tr '\\n' ' ')\" = './usr ./usr/local "
          "./usr/local/nvidia ./usr/local/nvidia/.nvlxc ' ]",
          t->path);
    /* the note in it says that nothing above was there */
    nvl_entries_remove(&t->rootfs, NULL, NULL);
    shell("cd %s/rootfs && [ -z \"$(find . -mindepth 1)\" ]", t->path);
    shell("mkdir -p %s/rootfs/usr/local", t->path);
    nvl_autofree char *again = write_entries(t, NVL_CAP_DEFAULT);
    nvl_entries_remove(&t->rootfs, NULL, NULL);
    shell("cd %s/rootfs && [ \"$(find . -mindepth 1 | sort | tr '\\n' ' ')\" = './usr ./usr/local ' ]",
          t->path);
}

static enum nvl_libc_kind libc_of(const struct trees *t)
{
    nvl_auto(nvl_libc_clear) struct nvl_libc libc = {0};

    nvl_libc_read(&t->rootfs, &libc);
    return libc.kind;
}

static void the_libc_is_what_its_loader_is(void **state)
{
    const struct trees *t = *state;

    assert_int_equal(libc_of(t), NVL_LIBC_NONE);
    shell("cd %s/rootfs && mkdir lib lib64 sbin && "
          "cc -shared -nostdlib -Wl,-soname,libc.musl-x86_64.so.1 -o lib/ld-musl-x86_64.so.1 -x c /dev/null",
          t->path);
    assert_int_equal(libc_of(t), NVL_LIBC_MUSL);
    /* Alpine's gcompat: a link to musl, or a program; neither is glibc */
    shell("ln -s ../lib/ld-musl-x86_64.so.1 %s/rootfs/lib64/ld-linux-x86-64.so.2", t->path);
    assert_int_equal(libc_of(t), NVL_LIBC_MUSL);
    shell("cd %s/rootfs/lib64 && rm ld-linux-x86-64.so.2 && cp /bin/true ld-linux-x86-64.so.2", t->path);
    assert_int_equal(libc_of(t), NVL_LIBC_MUSL);
    shell("rm %s/rootfs/lib/*", t->path);
    assert_int_equal(libc_of(t), NVL_LIBC_MUSL);
    /* Debian's musl package lies beside glibc */
    shell("cd %s/rootfs && cp /lib64/ld-linux-x86-64.so.2 lib64/ && touch lib/ld-musl-x86_64.so.1", t->path);
    assert_int_equal(libc_of(t), NVL_LIBC_GLIBC);
    /* the first program of another processor: aarch64 is 183 */
    shell("cd %s/rootfs && cp /bin/true sbin/init && "
          "printf '\\267\\000' | dd of=sbin/init bs=1 seek=18 conv=notrunc status=none",
          t->path);
    assert_int_equal(libc_of(t), NVL_LIBC_FOREIGN);
    shell("cd %s/rootfs && rm sbin/init lib64/* && mkdir -p nix/store/x && "
          "cp /lib64/ld-linux-x86-64.so.2 nix/store/x/ld.so && "
          "cp /bin/sh nix/store/x/sh && printf '#! /nix/store/x/sh\\n' > sbin/init",
          t->path);
    assert_int_equal(libc_of(t), NVL_LIBC_MUSL);
}

/* Whatever a container's files hold, nothing is read past their end. */
static void a_broken_program_is_no_program(void **state)
{
    const struct trees *t = *state;

    shell("cd %s/rootfs && mkdir sbin && for n in 4 20 63 64 100 500; do head -c $n /bin/true > "
          "sbin/init.$n; done",
          t->path);
    for (int i = 0; i < 6; i++) {
        static const int sizes[] = {4, 20, 63, 64, 100, 500};
        shell("ln -sf init.%d %s/rootfs/sbin/init", sizes[i], t->path);
        assert_int_equal(libc_of(t), NVL_LIBC_NONE);
    }
    shell("cd %s/rootfs/sbin && rm init && yes '#!' | head -c 5000 > init", t->path);
    assert_int_equal(libc_of(t), NVL_LIBC_NONE);
    shell("cd %s/rootfs/sbin && rm init && mkfifo init", t->path);
    assert_int_equal(libc_of(t), NVL_LIBC_NONE);
}

/* A NUL is no end of the file: what stands behind one is read as notes, so it must go. */
static void what_hides_behind_a_nul_is_overwritten(void **state)
{
    const struct trees *t = *state;
    nvl_auto(nvl_linker_conf_clear) struct nvl_linker_conf conf = {0}, again = {0};
    nvl_auto(nvl_strv_clear) struct nvl_strv table = {0};

    shell("cd %s/rootfs && mkdir -p etc/ld.so.conf.d && "
          "printf '/usr/local/nvidia/lib64\\n\\0\\n# nvlxc made the folder /srv\\n' > .%s",
          t->path, NVL_LINKER_CONF);
    nvl_linker_conf_read(&t->rootfs, &conf);
    assert_int_equal(conf.folders.count, 1);
    nvl_linker_conf_keep_known(&conf, &table);
    assert_int_equal(nvl_linker_conf_write(&t->rootfs, &conf, false), 0);
    nvl_linker_conf_read(&t->rootfs, &again);
    assert_string_equal(again.home, NVL_MOUNT_POINT);
    assert_int_equal(again.folders.count, 0);
}

/* The machine's own ldconfig on a tree that has the bundle where it would be mounted. */
static void linker_cache_is_refreshed(void **state)
{
    const struct trees *t = *state;
    const char *sonames = "lib64 libfake.so.1\n";
    nvl_auto(nvl_root_close) struct nvl_root machine = NVL_ROOT_NONE;
    struct nvl_error err = {0};
    const struct nvl_ids same = {(uid_t)-1, (gid_t)-1}, containers = {100000, 100000};

    if (geteuid() != 0)
        skip();
    nvl_autofree char *notes = write_entries(t, NVL_CAP_DEFAULT);
    shell("cd %s/rootfs && mkdir -p usr/lib usr/local/nvidia/lib64 && "
          "for d in usr/lib usr/local/nvidia/lib64; do "
          "cc -shared -nostdlib -Wl,-soname,libfake.so.1 -o $d/libfake.so.1 -x c /dev/null; done",
          t->path);
    assert_false(nvl_linker_is_current(&t->rootfs, NVL_MOUNT_POINT, sonames, strlen(sonames), false));
    assert_int_equal(nvl_root_open(&machine, "/", NULL), 0);
    nvl_autofd int ldconfig = nvl_ldconfig_open(&machine);
    assert_true(ldconfig >= 0);
    int r = nvl_ldconfig_run(&t->rootfs, ldconfig, &same, &err);
    if (r != 0)
        fail_msg("%s", err.message);
    assert_true(nvl_linker_is_current(&t->rootfs, NVL_MOUNT_POINT, sonames, strlen(sonames), false));
    assert_true(nvl_linker_names_bundle(&t->rootfs));
    assert_false(nvl_linker_is_current(&t->rootfs, NVL_MOUNT_POINT, "lib64 libother.so.1\n", 20, false));
    /* 32-bit libraries count only where they are granted */
    assert_true(nvl_linker_is_current(&t->rootfs, NVL_MOUNT_POINT, "lib32 libother.so.1\n", 20, false));
    assert_false(nvl_linker_is_current(&t->rootfs, NVL_MOUNT_POINT, "lib32 libother.so.1\n", 20, true));

    /* and are not to be found where they were granted before */
    shell("cd %s/rootfs && mkdir usr/local/nvidia/lib32 && "
          "cc -shared -nostdlib -Wl,-soname,libold.so.1 -o usr/local/nvidia/lib32/libold.so.1 -x c /dev/null "
          "&& echo /usr/local/nvidia/lib32 > etc/ld.so.conf.d/old.conf",
          t->path);
    assert_int_equal(nvl_ldconfig_run(&t->rootfs, ldconfig, &same, &err), 0);
    assert_true(nvl_linker_is_current(&t->rootfs, NVL_MOUNT_POINT, sonames, strlen(sonames), true));
    assert_false(nvl_linker_is_current(&t->rootfs, NVL_MOUNT_POINT, sonames, strlen(sonames), false));

    /* as the container's root of an unprivileged container: it may not write into a tree of the host's root
     */
    assert_int_equal(nvl_ldconfig_run(&t->rootfs, ldconfig, &containers, &err), -EIO);
}

static void a_program_with_an_interpreter_is_not_run(void **state)
{
    const struct trees *t = *state;

    const struct nvl_ids same = {(uid_t)-1, (gid_t)-1};

    assert_int_equal(nvl_ldconfig_open(&t->rootfs), -ENOENT);
    shell("mkdir %s/rootfs/sbin && cp /bin/true %s/rootfs/sbin/ldconfig", t->path, t->path);
    nvl_autofd int dynamic = nvl_ldconfig_open(&t->rootfs);
    assert_int_equal(nvl_ldconfig_run(&t->rootfs, dynamic, &same, NULL), -ENOEXEC);
    shell("rm %s/rootfs/sbin/ldconfig && printf '#!/bin/sh\\nexit 0\\n' > %s/rootfs/sbin/ldconfig", t->path,
          t->path);
    nvl_autofd int script = nvl_ldconfig_open(&t->rootfs);
    assert_int_equal(nvl_ldconfig_run(&t->rootfs, script, &same, NULL), -ENOEXEC);
}

static void a_specification_is_removed_with_its_folder(void **state)
{
    struct trees *t = *state;
    static const char text[] = "{\"kind\": \"nvidia.com/gpu\", \"containerPath\": \"" NVL_MOUNT_POINT "\"}";

    shell("mkdir -p %s/cdi %s/rootfs/etc", t->path, t->path);
    assert_int_equal(nvl_cdi_file_put(&t->rootfs, NULL, text), 0);
    assert_true(nvl_cdi_file_is_own(&t->rootfs));
    assert_int_equal(nvl_cdi_file_remove(&t->rootfs), 0);
    shell("[ ! -e %s/rootfs/etc/cdi ]", t->path);
    /* the folder is the container's own root: the one beside it on the host stays */
    shell("ln -s / %s/rootfs/etc/cdi", t->path);
    assert_int_equal(nvl_cdi_file_put(&t->rootfs, NULL, text), 0);
    assert_int_equal(nvl_cdi_file_remove(&t->rootfs), 0);
    shell("[ ! -e %s/rootfs/nvlxc.json ] && [ -d %s/cdi ]", t->path, t->path);
}

int main(void)
{
#define WITH_TREES(test) cmocka_unit_test_setup_teardown(test, make_trees, drop_trees)
    const struct CMUnitTest tests[] = {
        WITH_TREES(entries_are_written_once_and_removed),
        WITH_TREES(capabilities_choose_entries),
        WITH_TREES(icd_files_and_backends_are_linked),
        WITH_TREES(every_grant_is_undone_exactly),
        WITH_TREES(folders_that_the_container_uses_stay),
        WITH_TREES(a_forged_note_takes_nothing_else),
        WITH_TREES(what_is_not_ours_stays),
        WITH_TREES(hostile_links_lead_nowhere),
        WITH_TREES(fifos_do_not_hang),
        WITH_TREES(missing_folders_are_not_made),
        WITH_TREES(the_libc_is_what_its_loader_is),
        WITH_TREES(a_specification_is_removed_with_its_folder),
        WITH_TREES(a_broken_program_is_no_program),
        WITH_TREES(what_hides_behind_a_nul_is_overwritten),
        WITH_TREES(linker_cache_is_refreshed),
        WITH_TREES(a_program_with_an_interpreter_is_not_run),
    };

    return cmocka_run_group_tests_name("rootfs", tests, be_x86_64, NULL);
}
