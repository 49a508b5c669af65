/* Configs as Proxmox and LXC read them, whose lines are whose, the device filter, id maps, and where
 * containers are found: on small trees of their own, also as users with bad intent would make them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/root.h"
#include "base/file.h"
#include "effective.h"
#include "container/foreign.h"
#include "container/container.h"
#include "container/device_rules.h"
#include "container/grant_lines.h"
#include "container/idmap.h"
#include "container/users.h"

#define EARLIER_HOOK "sh -c '[ ! -x /usr/libexec/nvlxc/hook ] || exec /usr/libexec/nvlxc/hook \"$@\"' nvlxc"
#define HOOK         "</dev/null; [ ! -x /usr/libexec/nvlxc/hook ] || exec /usr/libexec/nvlxc/hook"

static const enum nvl_dialect PVE = NVL_DIALECT_PVE, LXC = NVL_DIALECT_LXC;

/* ---- a temporary host ---- */

struct host {
    char dir[32];
    struct nvl_root root;
};

static int setup(void **state)
{
    struct host *h = nvl_xcalloc(1, sizeof *h);

    snprintf(h->dir, sizeof h->dir, "/tmp/nvlxc-test-XXXXXX");
    assert_non_null(mkdtemp(h->dir));
    assert_int_equal(chmod(h->dir, 0755), 0);
    assert_int_equal(nvl_root_open(&h->root, h->dir, NULL), 0);
    *state = h;
    return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static int teardown(void **state)
{
    struct host *h = *state;

    nvl_root_close(&h->root);
    nftw(h->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(h);
    return 0;
}

/* The path on the machine, its folders made. The caller frees. */
static char *make_parents(const struct host *h, const char *path)
{
    char *full = nvl_xasprintf("%s%s", h->dir, path);

    for (char *slash = strchr(full + strlen(h->dir) + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        assert_true(mkdir(full, 0755) == 0 || errno == EEXIST);
        *slash = '/';
    }
    return full;
}

static void put_bytes(const struct host *h, const char *path, const char *text, size_t len)
{
    nvl_autofree char *full = make_parents(h, path);
    nvl_autofd int fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(nvl_fd_write(fd, text, len), 0);
}

static void put(const struct host *h, const char *path, const char *text)
{
    put_bytes(h, path, text, strlen(text));
}

static void put_link(const struct host *h, const char *path, const char *target)
{
    nvl_autofree char *full = make_parents(h, path);

    assert_int_equal(symlink(target, full), 0);
}

static void put_folder(const struct host *h, const char *path)
{
    nvl_autofree char *below = nvl_xasprintf("%s/x", path), *full = make_parents(h, below);

    assert_non_null(full);
}

static void put_fifo(const struct host *h, const char *path)
{
    nvl_autofree char *full = make_parents(h, path);

    assert_int_equal(mkfifo(full, 0644), 0);
}

/* ---- helpers ---- */

static struct nvl_config parse(enum nvl_dialect dialect, const char *text)
{
    struct nvl_config config;
    struct nvl_error err = {0};

    if (nvl_config_parse(&config, dialect, nvl_xstrdup(text), strlen(text), &err) < 0)
        fail_msg("%s", err.message);
    return config;
}

static void assert_contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", text, part);
}

/* ---- the two grammars ---- */

struct line_case {
    const char *text;
    enum nvl_line_kind kind;
    const char *key, *value;
};

static void check_line(enum nvl_dialect dialect, const struct line_case *c)
{
    nvl_auto(nvl_config_clear) struct nvl_config config = parse(dialect, c->text);

    assert_int_equal(config.n_lines, 1);
    const struct nvl_line *line = &config.lines[0];
    if (line->kind != c->kind)
        fail_msg("\"%s\" is of kind %d, not %d", c->text, (int)line->kind, (int)c->kind);
    assert_int_equal(line->start, 0);
    assert_int_equal(line->len, strlen(c->text));
    if (c->key != NULL)
        assert_string_equal(line->key, c->key);
    else
        assert_null(line->key);
    if (c->value != NULL)
        assert_string_equal(line->value, c->value);
    else
        assert_null(line->value);
}

static void test_lines_of_proxmox(void **state)
{
    static const struct line_case cases[] = {
        {"\n", NVL_LINE_BLANK, NULL, NULL},
        {" \t\r\n", NVL_LINE_BLANK, NULL, NULL},
        {"# words\n", NVL_LINE_COMMENT, NULL, NULL},
        {"#", NVL_LINE_COMMENT, NULL, NULL},
        {" # words\n", NVL_LINE_UNKNOWN, NULL, NULL},
        {"[pve:pending]\n", NVL_LINE_SECTION, "pve:pending", NULL},
        {"[PVE:Pending] \r\n", NVL_LINE_SECTION, "PVE:Pending", NULL},
        {"[pve:other]\n", NVL_LINE_UNKNOWN, NULL, NULL},
        {"[ab]\n", NVL_LINE_SECTION, "ab", NULL},
        {"[A_1-b]", NVL_LINE_SECTION, "A_1-b", NULL},
        {"[a]\n", NVL_LINE_UNKNOWN, NULL, NULL},
        {"[]\n", NVL_LINE_UNKNOWN, NULL, NULL},
        {"[ab\n", NVL_LINE_UNKNOWN, NULL, NULL},
        {"[1ab]\n", NVL_LINE_UNKNOWN, NULL, NULL},
        {"[a b]\n", NVL_LINE_UNKNOWN, NULL, NULL},
        {"[ab] # c\n", NVL_LINE_UNKNOWN, NULL, NULL},
        {" [ab]\n", NVL_LINE_UNKNOWN, NULL, NULL},
        {"arch: amd64\n", NVL_LINE_KEY, "arch", "amd64"},
        {"arch:amd64 \r\n", NVL_LINE_KEY, "arch", "amd64"},
        {"arch : amd64\n", NVL_LINE_UNKNOWN, NULL, NULL},
        {" arch: amd64\n", NVL_LINE_UNKNOWN, NULL, NULL},
        {"hostname:\n", NVL_LINE_UNKNOWN, NULL, NULL},
        {"dev0: /dev/x,mode=0666", NVL_LINE_KEY, "dev0", "/dev/x,mode=0666"},
        {"dev0x: 1\n", NVL_LINE_UNKNOWN, NULL, NULL},
        {"Arch: amd64\n", NVL_LINE_UNKNOWN, NULL, NULL},
        {"arch=amd64\n", NVL_LINE_UNKNOWN, NULL, NULL},
        {"lxc.cap.drop: a # b\n", NVL_LINE_KEY, "lxc.cap.drop", "a # b"},
        {"lxc.cap.drop =\t a\n", NVL_LINE_KEY, "lxc.cap.drop", "a"},
        {"lxc.cap.drop=a\n", NVL_LINE_KEY, "lxc.cap.drop", "a"},
        {"lxc.cap.drop:\n", NVL_LINE_KEY, "lxc.cap.drop", ""},
        {"lxc.cap.drop : a\n", NVL_LINE_UNKNOWN, NULL, NULL},
        {" lxc.cap.drop: a\n", NVL_LINE_UNKNOWN, NULL, NULL},
        {"LXC.cap.drop: a\n", NVL_LINE_UNKNOWN, NULL, NULL},
        {"lxc.Cap: a\n", NVL_LINE_UNKNOWN, NULL, NULL},
        {"lxc.: a\n", NVL_LINE_UNKNOWN, NULL, NULL},
        {"lxc.cap.drop\n", NVL_LINE_UNKNOWN, NULL, NULL},
        {"lxc.cap.drop", NVL_LINE_UNKNOWN, NULL, NULL},
        {"lxc.environment: 'a'\n", NVL_LINE_KEY, "lxc.environment", "'a'"},
        {"words\n", NVL_LINE_UNKNOWN, NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < NVL_LENGTH(cases); i++)
        check_line(PVE, &cases[i]);
}

static void test_lines_of_lxc(void **state)
{
    static const struct line_case cases[] = {
        {"\n", NVL_LINE_BLANK, NULL, NULL},
        {"  # words\n", NVL_LINE_COMMENT, NULL, NULL},
        {"lxc.a = b\n", NVL_LINE_KEY, "lxc.a", "b"},
        {"\t lxc.a=b \r\n", NVL_LINE_KEY, "lxc.a", "b"},
        {"lxc.a = 'b c'\n", NVL_LINE_KEY, "lxc.a", "b c"},
        {"lxc.a = \"b\"", NVL_LINE_KEY, "lxc.a", "b"},
        {"lxc.a = \"b'\n", NVL_LINE_KEY, "lxc.a", "\"b'"},
        {"lxc.a = '\n", NVL_LINE_KEY, "lxc.a", "'"},
        {"lxc.a = b # c\n", NVL_LINE_KEY, "lxc.a", "b # c"},
        {"lxc.a = b = c\n", NVL_LINE_KEY, "lxc.a", "b = c"},
        {"lxc.a =\n", NVL_LINE_KEY, "lxc.a", ""},
        {"lxc.a: b\n", NVL_LINE_UNKNOWN, NULL, NULL},
        {"other = b\n", NVL_LINE_UNKNOWN, NULL, NULL},
        {"[snap]\n", NVL_LINE_UNKNOWN, NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < NVL_LENGTH(cases); i++)
        check_line(LXC, &cases[i]);
}

static void test_corpus_is_kept_whole(void **state)
{
    const char *source = getenv("NVL_SOURCE");
    nvl_auto(nvl_root_close) struct nvl_root root = NVL_ROOT_NONE;
    nvl_autofree char *configs = nvl_xasprintf("%s/tests/unit/configs", source != NULL ? source : ".");

    (void)state;
    assert_int_equal(nvl_root_open(&root, configs, NULL), 0);
    for (int d = 0; d < 2; d++) {
        nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
        assert_int_equal(nvl_root_list(&root, d == 0 ? "pve" : "lxc", &names), 0);
        assert_true(names.count > 10);
        for (size_t i = 0; i < names.count; i++) {
            nvl_auto(nvl_config_clear) struct nvl_config config = {0};
            nvl_autofree char *path = nvl_xasprintf("%s/%s", d == 0 ? "pve" : "lxc", names.items[i]);
            char *text;
            size_t len, at = 0;
            assert_int_equal(nvl_root_read(&root, path, NVL_CONFIG_MAX, &text, &len), 0);
            assert_int_equal(nvl_config_parse(&config, d == 0 ? PVE : LXC, text, len, NULL), 0);
            assert_ptr_equal(config.text, text);
            for (size_t n = 0; n < config.n_lines; n++) {
                assert_int_equal(config.lines[n].start, at);
                assert_true(config.lines[n].len > 0);
                at += config.lines[n].len;
            }
            assert_int_equal(at, len);
        }
    }
}

static void test_values_that_count(void **state)
{
    static const char text[] = "memory: 1\nmemory: 2\n"
                               "lxc.environment: A=0\nlxc.environment: AB=1\nlxc.environment: A=2=3\n"
                               "lxc.environment.runtime: A=4\nlxc.environment: GONE=1\n"
                               "[snap]\nmemory: 3\nlxc.environment: A=5\nswap: 1\n";
    nvl_auto(nvl_config_clear) struct nvl_config config = parse(PVE, text);
    nvl_auto(nvl_config_clear) struct nvl_config cleared =
        parse(LXC, "lxc.environment = A=1\nlxc.environment =\nlxc.environment = B=2\n");
    nvl_auto(nvl_effective_clear) struct nvl_effective effective = effective_of(&config);
    nvl_auto(nvl_effective_clear) struct nvl_effective empty = effective_of(&cleared);

    (void)state;
    assert_string_equal(nvl_config_get(&config, "memory"), "2");
    assert_null(nvl_config_get(&config, "swap"));
    assert_string_equal(nvl_effective_variable(&effective, NVL_KEY_ENVIRONMENT, "A"), "2=3");
    assert_null(nvl_effective_variable(&effective, NVL_KEY_ENVIRONMENT, "C"));
    assert_null(nvl_effective_variable(&empty, NVL_KEY_ENVIRONMENT, "A"));
    assert_string_equal(nvl_effective_variable(&empty, NVL_KEY_ENVIRONMENT, "B"), "2");
    assert_int_equal(config.lines[7].section, 1);
}

static void test_texts_that_are_no_config(void **state)
{
    struct nvl_config config;
    struct nvl_error err = {0};
    char *large = nvl_xcalloc(1, NVL_CONFIG_MAX + 2), *nul = nvl_xcalloc(1, 8);

    (void)state;
    memset(large, 'a', NVL_CONFIG_MAX + 1);
    assert_int_equal(nvl_config_parse(&config, PVE, large, NVL_CONFIG_MAX + 1, &err), -EFBIG);
    assert_null(config.text);
    memcpy(nul, "a\nb", 3);
    assert_int_equal(nvl_config_parse(&config, LXC, nul, 6, &err), -EINVAL);
    assert_contains(err.message, "line 2 contains a NUL byte");
    assert_int_equal(config.n_lines, 0);
}

/* ---- whose line it is ---- */

#define MAJORS                                                                                               \
    "Character devices:\n195 nvidia\n226 drm\n242 hidraw\n506 nvidia-uvm\n509 nvidia-caps\n\n"               \
    "Block devices:\n507 other\n"

struct owner_case {
    enum nvl_line_owner alone, beside_hook;
    const char *line;
};

static enum nvl_line_owner owner_of(const char *before, const char *line)
{
    nvl_autofree char *text = nvl_xasprintf("%s%s\n[snap]\n%s\n", before, line, line);
    nvl_auto(nvl_config_clear) struct nvl_config config = parse(PVE, text);
    nvl_autofree enum nvl_line_owner *owners = nvl_config_owners(&config);
    size_t at = before[0] != '\0' ? 1 : 0;

    assert_int_equal(owners[at + 1], NVL_OWNER_OTHER);
    assert_int_equal(owners[at + 2], NVL_OWNER_OTHER); /* a snapshot's line is nobody's */
    return owners[at];
}

static void test_owners(void **state)
{
    const enum nvl_line_owner OTHER = NVL_OWNER_OTHER, OURS = NVL_OWNER_NVLXC, HAND = NVL_OWNER_BY_HAND;
    const struct owner_case cases[] = {
        {OURS, OURS, "lxc.hook.pre-start: " HOOK},
        {OURS, OURS, "lxc.hook.mount   = " HOOK "  "},
        {OURS, OURS, "lxc.hook.mount: /usr/libexec/nvlxc/hook --required"},
        {OURS, OURS, "lxc.hook.mount: " EARLIER_HOOK},
        {OURS, OURS, "lxc.hook.mount: " EARLIER_HOOK " --exclusive"},
        {HAND, HAND, "lxc.hook.mount: " EARLIER_HOOK " --required"},
        {HAND, HAND, "lxc.hook.mount: " HOOK " --required"},
        {HAND, HAND, "lxc.hook.mount: " HOOK "; true"},
        /* nodes that a hook makes, and its scripts */
        {HAND, HAND, "lxc.hook.autodev: sh -c \"mknod -m 666 ${LXC_ROOTFS_MOUNT}/dev/nvidia0 c 195 0\""},
        {HAND, HAND, "lxc.hook.autodev: cd $LXC_ROOTFS_MOUNT/dev; mknod nvidiactl c 195 255"},
        {HAND, HAND, "lxc.hook.mount: for n in 0 1; do mknod $LXC_ROOTFS_MOUNT/dev/nvidia$n c 195 $n; done"},
        {HAND, HAND, "lxc.hook.mount: mknod $D c 195 0"},
        {HAND, HAND, "lxc.hook.autodev: cp -a /dev/nvidia* \"${LXC_ROOTFS_MOUNT}\"/dev/nvidia-uvm"},
        {HAND, HAND, "lxc.hook.autodev: cp -a /dev/nvidia0 /dev/nvidiactl $LXC_ROOTFS_MOUNT/dev/"},
        {HAND, HAND,
         "lxc.hook.autodev: sh -c \"for n in nvidia0 nvidiactl; do cp -a /dev/$n ${LXC_ROOTFS_MOUNT}/dev; "
         "done\""},
        {HAND, HAND, "lxc.hook.autodev: D=${LXC_ROOTFS_MOUNT}/dev; cp -a /dev/nvidia* $D/"},
        {HAND, HAND,
         "lxc.hook.autodev: for n in nvidia0; do mknod $D/$n c $(stat -c '%Hr %Lr' /dev/$n); done"},
        {OTHER, OTHER, "lxc.hook.autodev: cp -a /dev/ttyUSB0 $LXC_ROOTFS_MOUNT/dev/"},
        {OTHER, OTHER, "lxc.hook.autodev: mkdir -p $LXC_ROOTFS_MOUNT/dev/net; [ -e /dev/nvidia0 ]"},
        {OTHER, OTHER, "lxc.hook.autodev: nvidia-smi > $LXC_ROOTFS_MOUNT/developers"},
        {OTHER, OTHER, "lxc.hook.autodev: mknod $LXC_ROOTFS_MOUNT/dev/fuse c 10 229"},
        {OTHER, OTHER, "lxc.hook.autodev: mknod $D c 226 128"},
        {OTHER, OTHER, "lxc.hook.autodev: mknod"},
        {OTHER, OTHER, "lxc.hook.autodev: mknod -m"},
        {OTHER, OTHER, "lxc.hook.autodev: mknod x"},
        {OTHER, OTHER, "lxc.hook.pre-start: mknod /dev/nvidia0 c 195 0"}, /* the host's */
        {HAND, HAND, "lxc.hook.mount: /usr/libexec/nvlxc/hook"},
        {HAND, HAND, "lxc.hook.autodev: " HOOK},
        {HAND, HAND, "lxc.hook.mount: /usr/share/lxc/hooks/nvidia"},
        {OTHER, OTHER, "lxc.hook.mount: /usr/local/bin/other"},
        {HAND, OURS, "lxc.environment: NVIDIA_VISIBLE_DEVICES=all"},
        {HAND, OURS, "lxc.environment: NVIDIA_DRIVER_CAPABILITIES="},
        {OTHER, OTHER, "lxc.environment: NVIDIA_REQUIRE_CUDA=cuda>=12"},
        {OTHER, OTHER, "lxc.environment.runtime: NVIDIA_VISIBLE_DEVICES=all"},
        {OTHER, OTHER, "lxc.environment: PATH=/bin"},
        {HAND, OURS, "lxc.cgroup2.devices.allow: /dev/nvidia0 rw"},
        {HAND, OURS, "lxc.cgroup2.devices.allow: /dev/nvidia-caps/nvidia-cap1 r"},
        {HAND, HAND, "lxc.cgroup.devices.allow: /dev/nvidia0 rw"},
        {HAND, HAND, "lxc.cgroup2.devices.allow: c 195:* rwm"},
        {HAND, HAND, "lxc.cgroup.devices.allow: c 195:0 rwm"},
        {OTHER, OTHER, "lxc.cgroup2.devices.allow: c 1951:0 rwm"},
        {OTHER, OTHER, "lxc.cgroup2.devices.allow: c 10:200 rwm"},
        {OTHER, OTHER, "lxc.cgroup2.devices.deny: c 195:* rwm"},
        {OTHER, OTHER, "lxc.cgroup2.devices.allow: /dev/dri/renderD128 rw"},
        {OTHER, OTHER, "lxc.cgroup2.devices.allow: /dev/dri/by-path rw"},
        {HAND, HAND, "lxc.mount.entry: /dev/nvidia0 dev/nvidia0 none bind,optional,create=file"},
        {HAND, HAND, "lxc.mount.entry: /dev/nvidia-caps dev/nvidia-caps none bind"},
        {HAND, HAND,
         "lxc.mount.entry: /usr/lib/x86_64-linux-gnu/libcuda.so.1 usr/lib/libcuda.so.1 none bind"},
        {HAND, HAND, "lxc.mount.entry: /srv/x usr/lib/libnvidia-ml.so.1 none bind"},
        {HAND, HAND, "lxc.mount.entry: /opt/nvidia-container opt/nvidia none bind"},
        {OTHER, OTHER, "lxc.mount.entry: /usr/lib/libcudart.so.12 usr/lib/libcudart.so.12 none bind"},
        {OTHER, OTHER, "lxc.mount.entry: /dev/dri dev/dri none bind,nvidia"},
        {HAND, HAND, "dev0: /dev/nvidia0,mode=0666"},
        {HAND, HAND, "dev11: gid=44,path=/dev/nvidia-uvm"},
        {OTHER, OTHER, "dev0: /dev/dri/renderD128,gid=104"},
        {OTHER, OTHER, "hostname: nvidia"},
        {OTHER, OTHER, "# lxc.cgroup2.devices.allow: c 195:* rwm"},
        {OTHER, OTHER, " lxc.cgroup2.devices.allow: c 195:* rwm"},
    };

    (void)state;
    for (size_t i = 0; i < NVL_LENGTH(cases); i++) {
        enum nvl_line_owner alone = owner_of("", cases[i].line);
        enum nvl_line_owner beside = owner_of("lxc.hook.mount: " HOOK "\n", cases[i].line);
        if (alone != cases[i].alone || beside != cases[i].beside_hook)
            fail_msg("%s: alone %d, beside a hook %d", cases[i].line, (int)alone, (int)beside);
    }
}

static void test_a_snapshots_hook_owns_nothing(void **state)
{
    nvl_auto(nvl_config_clear) struct nvl_config config =
        parse(PVE, "lxc.environment: NVIDIA_VISIBLE_DEVICES=all\n[snap]\nlxc.hook.mount: " HOOK "\n");
    nvl_autofree enum nvl_line_owner *owners = nvl_config_owners(&config);

    (void)state;
    assert_int_equal(owners[0], NVL_OWNER_BY_HAND);
    assert_int_equal(owners[2], NVL_OWNER_OTHER);
}

/* The owners of a text's lines, as one letter each: '.' other, 'n' nvlxc, 'h' by hand, '*' astray. */
static void assert_owners(const char *text, const char *expected)
{
    nvl_auto(nvl_config_clear) struct nvl_config config = parse(PVE, text);
    nvl_majors_parse(MAJORS, strlen(MAJORS), &config.majors);
    nvl_autofree enum nvl_line_owner *owners = nvl_config_owners(&config);
    nvl_autofree bool *strays = nvl_config_strays(&config);
    nvl_autofree char *found = nvl_xcalloc(config.n_lines + 1, 1);

    for (size_t i = 0; i < config.n_lines; i++)
        found[i] = strays != NULL && strays[i] ? '*' : ".nh"[owners[i]];
    if (strcmp(found, expected) != 0)
        fail_msg("%s, should be %s:\n%s", found, expected, text);
}

#define RULE    "lxc.cgroup2.devices.allow: "
#define ENTRY   "lxc.mount.entry: "
#define STATIC0 ENTRY "/dev/nvidia0 dev/nvidia0 none bind,optional,create=file\n"
#define LIBS    "/usr/lib/x86_64-linux-gnu usr/lib/x86_64-linux-gnu none ro,bind,optional,create=dir\n"
#define MOUNT   "lxc.hook.mount: " HOOK

/* What may be another vendor's, or anybody's, is ours directly above our mount hook alone. */
static void test_company(void **state)
{
    (void)state;
    assert_owners(RULE "/dev/dri/card0 rw\n" RULE "/dev/nvidia0 rw\n" RULE "/dev/dri/card1 rw\n"
                       "memory: 1\n" RULE "/dev/dri/renderD129 rw\n" MOUNT "\n" RULE "/dev/dri/card2 rw\n",
                  ".nn.nn.");
    assert_owners(RULE "/dev/dri/card1 rw\nlxc.cap.drop: mknod\n" MOUNT "\n", "..n");
    assert_owners(RULE "/dev/dri/card1 rw\nlxc.hook.pre-start: " HOOK "\n", ".n");
    assert_owners(ENTRY LIBS ENTRY
                  "/etc/alternatives etc/alternatives none ro,bind,optional,create=dir\n" ENTRY
                  "/usr/bin/nvidia-smi opt/nvidia-container/nvidia-smi none "
                  "ro,bind,optional,create=file\n" MOUNT " --libraries=host\n" ENTRY LIBS,
                  "nnnn.");
    assert_owners(ENTRY "/srv srv none ro,bind,optional,create=dir\n" ENTRY
                        "/dev/dri/card1 dev/dri/card1 none bind,optional,create=file\n" MOUNT
                        " --nodes=static\n",
                  ".nn");
}

/* The hook's arguments say which forms are ours. */
static void test_ways(void **state)
{
    (void)state;
    assert_owners(STATIC0 "dev3: /dev/nvidia0,mode=0666\n" MOUNT "\n", "hhn");
    assert_owners(STATIC0 "dev3: /dev/nvidia0,mode=0666\n" MOUNT " --nodes=static\n", "nhn");
    assert_owners(STATIC0 "dev3: gid=44,path=/dev/nvidia0\n" MOUNT " --nodes=dev\n", "hnn");
    assert_owners(
        "dev0: /dev/dri/renderD128,mode=0666\ndev1: /dev/dri/renderD129,mode=0666,uid=0,gid=0\n" MOUNT
        " --nodes=dev\n",
        ".nn");
    assert_owners("dev00: /dev/nvidia0\ndev256: /dev/nvidia0\n" MOUNT " --nodes=dev\n", "hhn");
    assert_owners(MOUNT " --libraries=none --nodes=dev\n", "h"); /* not in our order */
    assert_owners(MOUNT " --nodes=hook\n", "h");
    assert_owners(MOUNT " --required\n", "h");
    assert_owners(
        "lxc.hook.mount: /usr/libexec/nvlxc/hook --required --exclusive --nodes=dev --libraries=none\n", "n");
}

/* Rules of dynamic majors, and whole folders, are about NVIDIA beside lines that are. */
static void test_lines_by_hand_beside_others(void **state)
{
    (void)state;
    assert_owners(RULE "c 506:* rwm\n", "h"); /* nvidia-uvm's now */
    assert_owners(RULE "c 507:* rwm\n" RULE "c 242:* rwm\n" RULE "c 226:* rwm\n" ENTRY LIBS, "....");
    assert_owners(RULE "c 507:* rwm\n" RULE "c 242:* rwm\n" RULE "c 226:* rwm\n" ENTRY LIBS STATIC0, "h..hh");
    assert_owners(RULE "c 507:* rwm\nlxc.environment: NVIDIA_VISIBLE_DEVICES=all\n", ".h");
    assert_owners(RULE "c 507:* rwm\n" MOUNT "\n" RULE "/dev/nvidia0 rw\n", ".nn");
    assert_owners(ENTRY "/usr/lib/nvidia/current opt/x none bind\n" ENTRY "/lib64 lib64 none bind\n" ENTRY
                        "/tank/nvidia srv/nvidia none bind\n" ENTRY "/usr/libexec x none bind\n",
                  "hh..");
    assert_owners("lxc.hook.pre-start: sh -c '/usr/bin/nvidia-modprobe -c0 -u'\n", "h");
}

static void test_lines_astray(void **state)
{
    (void)state;
    assert_owners("arch: amd64\n[one]\narch: amd64\n" RULE "c 195:* rwm\n[two]\narch: amd64\n" RULE
                  "c 195:* rwm\n" RULE "c 507:* rwm\n" RULE "c 226:* rwm\ndev0: /dev/nvidia0\n",
                  "......**.*");
    assert_owners("arch: amd64\n[pve:pending]\ndev0: /dev/nvidia0\n" RULE "c 195:* rwm\n[two]\n", "..h*.");
    /* a snapshot of a time when the container had a GPU */
    assert_owners(RULE "c 195:* rwm\n[two]\n" RULE "c 195:* rwm\n", "h..");
    assert_owners(MOUNT "\n[two]\n" RULE "c 195:* rwm\n", "n..");
    assert_owners("arch: amd64\n[two]\n" MOUNT "\n" RULE "c 195:* rwm\n", "....");
    assert_owners("arch: amd64\n[two]\nlxc.environment: NVIDIA_VISIBLE_DEVICES=all\n", "...");
}

static void test_nodes_of_a_line(void **state)
{
    nvl_auto(nvl_config_clear) struct nvl_config config = parse(
        PVE, STATIC0 "dev1: mode=0666,path=/dev/nvidia1\n" RULE "/dev/nvidia2 rw\n" RULE "c 195:* rwm\n" ENTRY
                     "/srv srv none bind\n# dev2: /dev/nvidia3\nhostname: /dev/x\n");
    nvl_auto(nvl_strv_clear) struct nvl_strv nodes = {0};

    (void)state;
    for (size_t i = 0; i < config.n_lines; i++)
        nvl_line_nodes(&config.lines[i], &nodes);
    nvl_autofree char *list = nvl_strv_join(&nodes, " ");
    assert_string_equal(list, "/dev/nvidia0 /dev/nvidia1 /dev/nvidia2");
}

static void test_grant_of_a_config(void **state)
{
    nvl_auto(nvl_config_clear) struct nvl_config none =
        parse(LXC, "lxc.environment = NVIDIA_VISIBLE_DEVICES=all\n");
    nvl_auto(nvl_config_clear) struct nvl_config some =
        parse(LXC, "lxc.environment = NVIDIA_VISIBLE_DEVICES=0,1\nlxc.hook.mount = " HOOK "\n");
    nvl_auto(nvl_config_clear) struct nvl_config required =
        parse(LXC, "lxc.hook.pre-start = /usr/libexec/nvlxc/hook --required\n");
    nvl_auto(nvl_config_clear) struct nvl_config bad =
        parse(LXC, "lxc.environment = NVIDIA_DRIVER_CAPABILITIES=fast\nlxc.hook.mount = " HOOK "\n");
    nvl_auto(nvl_config_clear) struct nvl_config snapshot =
        parse(PVE, "arch: amd64\n[snap]\nlxc.hook.mount: " HOOK "\n");
    nvl_auto(nvl_grant_clear) struct nvl_grant grant = {0};
    struct nvl_error err = {0};

    (void)state;
    assert_int_equal(grant_of(&none, &grant, &err), 0);
    assert_int_equal(grant_of(&snapshot, &grant, &err), 0);
    assert_int_equal(grant_of(&required, &grant, &err), 1);
    assert_int_equal(grant.devices, NVL_DEVICES_VOID);
    assert_true(grant.delivery.required);
    assert_true(grant_of(&bad, &grant, &err) < 0);
    assert_contains(err.message, "fast");
    nvl_auto(nvl_config_clear) struct nvl_config ways =
        parse(LXC, "lxc.hook.mount = " HOOK " --exclusive --nodes=static --libraries=host\n"
                   "lxc.hook.pre-start = " HOOK "\n");
    assert_int_equal(grant_of(&ways, &grant, &err), 1);
    assert_true(grant.delivery.exclusive);
    assert_false(grant.delivery.required);
    assert_int_equal(grant.delivery.nodes, NVL_NODES_STATIC);
    assert_int_equal(grant.delivery.libraries, NVL_LIBRARIES_HOST);
    assert_int_equal(grant_of(&some, &grant, &err), 1);
    assert_int_equal(grant.devices, NVL_DEVICES_LIST);
    assert_int_equal(grant.delivery.nodes, NVL_NODES_HOOK);
    assert_int_equal(grant.n_selectors, 2);
    assert_int_equal(grant.capabilities, NVL_CAP_DEFAULT);
    assert_false(grant.delivery.required);
}

static void assert_lines(enum nvl_dialect dialect, const struct nvl_grant *grant,
                         const struct nvl_grant_places *places, const char *expected)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv lines = {0};

    nvl_grant_lines(dialect, grant, places, &lines);
    nvl_autofree char *text = nvl_strv_join(&lines, "\n");
    assert_string_equal(text, expected);
}

#define VARIABLES                                                                                            \
    "lxc.environment: NVIDIA_VISIBLE_DEVICES=all\nlxc.environment: "                                         \
    "NVIDIA_DRIVER_CAPABILITIES=compute,utility\n"

static void test_lines_of_a_grant(void **state)
{
    nvl_auto(nvl_grant_places_clear) struct nvl_grant_places places = {0};
    struct nvl_grant grant = {.devices = NVL_DEVICES_ALL, .capabilities = NVL_CAP_DEFAULT};

    (void)state;
    nvl_strv_push(&places.rules, "/dev/nvidia0");
    assert_lines(PVE, &grant, &places,
                 VARIABLES "lxc.hook.pre-start: " HOOK "\nlxc.hook.mount: " HOOK
                           "\nlxc.cgroup2.devices.allow: /dev/nvidia0 rw");
    nvl_strv_push(&places.nodes, "/dev/nvidia0");
    nvl_strv_push(&places.nodes, "/dev/dri/card1");
    nvl_strv_push(&places.rules, "/dev/dri/card1");
    nvl_strv_push(&places.libraries, "/usr/lib/x86_64-linux-gnu");
    places.has_smi = true;
    grant.delivery.nodes = NVL_NODES_STATIC;
    grant.delivery.libraries = NVL_LIBRARIES_HOST;
    assert_lines(PVE, &grant, &places,
                 VARIABLES "lxc.hook.pre-start: " HOOK " --nodes=static --libraries=host\n" ENTRY LIBS ENTRY
                           "/usr/bin/nvidia-smi opt/nvidia-container/nvidia-smi none "
                           "ro,bind,optional,create=file\n" ENTRY
                           "/dev/dri/card1 dev/dri/card1 none bind,optional,create=file\n"
                           "lxc.cgroup2.devices.allow: /dev/dri/card1 rw\n"
                           "lxc.hook.mount: " HOOK " --nodes=static --libraries=host\n"
                           "lxc.cgroup2.devices.allow: /dev/nvidia0 rw\n" ENTRY
                           "/dev/nvidia0 dev/nvidia0 none bind,optional,create=file");
    nvl_grant_places_clear(&places);
    nvl_strv_push(&places.nodes, "/dev/nvidia0");
    nvl_strv_push(&places.nodes, "/dev/dri/card1");
    grant.delivery.nodes = NVL_NODES_DEV;
    grant.delivery.libraries = NVL_LIBRARIES_NONE;
    assert_lines(PVE, &grant, &places,
                 VARIABLES "lxc.hook.pre-start: " HOOK " --nodes=dev --libraries=none\nlxc.hook.mount: " HOOK
                           " --nodes=dev --libraries=none\n"
                           "dev0: /dev/nvidia0,mode=0666\ndev1: /dev/dri/card1,mode=0666,uid=0,gid=0");
}

/* ---- the device filter ---- */

static char root_name[] = "web", root_config[] = "/var/lib/lxc/web/config";
static struct nvl_container lxc_container = {
    .kind = NVL_CONTAINER_LXC, .name = root_name, .config_path = root_config};
static struct nvl_container pve_container = {
    .kind = NVL_CONTAINER_PVE, .name = root_name, .config_path = root_config};

static enum nvl_device_filter filter_of(const struct host *h, const struct nvl_container *c, const char *text)
{
    nvl_auto(nvl_config_clear) struct nvl_config config =
        parse(c->kind == NVL_CONTAINER_PVE ? PVE : LXC, text);
    nvl_auto(nvl_effective_clear) struct nvl_effective effective = {0};
    struct nvl_error err = {0};

    if (nvl_effective_read(&h->root, c, &config, &effective, &err) < 0 && c->user == NULL)
        fail_msg("%s", err.message);
    return nvl_device_filter(c, &effective);
}

#define ALLOW    "lxc.cgroup2.devices.allow = "
#define DENY     "lxc.cgroup2.devices.deny = "
#define INCLUDE  "lxc.include = "
#define BASE     DENY "a\n" ALLOW "c 1:3 rwm\n" ALLOW "c *:* m\n"
#define OUR_HOOK "lxc.hook.mount = " HOOK "\n"

static void test_device_filter_of_lxc(void **state)
{
    static const struct {
        const char *text;
        enum nvl_device_filter filter;
    } cases[] = {
        {"", NVL_FILTER_NONE},
        {DENY "a\n", NVL_FILTER_NONE},
        {ALLOW "c 195:* rwm\n", NVL_FILTER_ALLOW},
        {DENY "c 5:1 rwm\n", NVL_FILTER_ALLOW},
        {BASE, NVL_FILTER_ALLOW},
        {BASE ALLOW "\n", NVL_FILTER_NONE},
        {BASE ALLOW "\n" ALLOW "c 1:5 rwm\n", NVL_FILTER_ALLOW},
        {BASE DENY "\n", NVL_FILTER_ALLOW},
        {BASE DENY "\n" ALLOW "\n", NVL_FILTER_NONE},
        {BASE "lxc.cgroup2 = \n", NVL_FILTER_NONE},
        {BASE ALLOW "a\n", NVL_FILTER_NONE},
        {ALLOW "a\n", NVL_FILTER_NONE},
        {ALLOW "a\n" DENY "c 5:1 rwm\n" ALLOW "c 195:* rwm\n", NVL_FILTER_DENY},
        {ALLOW "a\n" DENY "a\n", NVL_FILTER_NONE},
        {ALLOW "c 1:3 rwm\n" DENY "a\n", NVL_FILTER_NONE},
        {DENY "c 5:1 rwm\n" DENY "a\n", NVL_FILTER_NONE},
        {ALLOW "a\n" BASE, NVL_FILTER_ALLOW},
        {ALLOW "a\n" ALLOW "\n" ALLOW "c 1:3 rwm\n", NVL_FILTER_ALLOW},
        {"lxc.cgroup.devices.deny = a\nlxc.cgroup.devices.allow = c 1:3 rwm\n", NVL_FILTER_NONE},
        {OUR_HOOK ALLOW "/dev/nvidia0 rw\n", NVL_FILTER_NONE},
        {BASE OUR_HOOK ALLOW "/dev/nvidia0 rw\n", NVL_FILTER_ALLOW},
        {INCLUDE "/usr/share/lxc/config/common.conf\n", NVL_FILTER_ALLOW},
        {INCLUDE "/usr/share/lxc/config/common.conf\n" INCLUDE "/usr/share/lxc/config/userns.conf\n",
         NVL_FILTER_NONE},
        {INCLUDE "/usr/share/lxc/config/common.conf\n" ALLOW "a\n", NVL_FILTER_NONE},
        {INCLUDE "/etc/lxc/conf.d\n", NVL_FILTER_ALLOW},
        {INCLUDE "/etc/lxc/conf.d/\n", NVL_FILTER_ALLOW},
        {INCLUDE "/etc/lxc/absent.d/\n", NVL_FILTER_NONE},
        {INCLUDE "\n", NVL_FILTER_NONE},
    };
    struct host *h = *state;

    put(h, "/usr/share/lxc/config/common.conf", BASE INCLUDE "/usr/share/lxc/config/common.conf.d/\n");
    put(h, "/usr/share/lxc/config/common.conf.d/README", ALLOW "a\n");
    put(h, "/usr/share/lxc/config/userns.conf", DENY "\n" ALLOW "\n");
    put(h, "/etc/lxc/conf.d/a.conf", BASE);
    put(h, "/etc/lxc/conf.d/b.conf.old", ALLOW "a\n");
    put(h, "/etc/lxc/conf.d/.conf", ALLOW "a\n");
    for (size_t i = 0; i < NVL_LENGTH(cases); i++)
        if (filter_of(h, &lxc_container, cases[i].text) != cases[i].filter)
            fail_msg("not %d:\n%s", (int)cases[i].filter, cases[i].text);
}

static void test_device_filter_of_proxmox(void **state)
{
    struct host *h = *state;

    assert_int_equal(filter_of(h, &pve_container, "arch: amd64\n"), NVL_FILTER_ALLOW);
    assert_int_equal(filter_of(h, &pve_container, "unprivileged: 0\n"), NVL_FILTER_ALLOW);
    assert_int_equal(filter_of(h, &pve_container, "unprivileged: 1\n"), NVL_FILTER_DENY);
    assert_int_equal(filter_of(h, &pve_container, "lxc.idmap: u 0 100000 65536\n"), NVL_FILTER_DENY);
    assert_int_equal(filter_of(h, &pve_container, "arch: amd64\n[snap]\nunprivileged: 1\n"),
                     NVL_FILTER_ALLOW);
    assert_int_equal(
        filter_of(h, &pve_container,
                  "unprivileged: 1\nlxc.cgroup2.devices.deny: a\nlxc.cgroup2.devices.allow: c 1:3 rwm\n"),
        NVL_FILTER_ALLOW);
    assert_int_equal(filter_of(h, &pve_container, "lxc.cgroup2.devices.allow: a\n"), NVL_FILTER_NONE);
    assert_int_equal(filter_of(h, &pve_container,
                               "unprivileged: 1\nlxc.hook.mount: " HOOK
                               "\nlxc.cgroup2.devices.allow: /dev/nvidia0 rw\n"),
                     NVL_FILTER_DENY);
}

/* liblxc makes filters for root alone. */
static void test_device_filter_of_a_user(void **state)
{
    char user[] = "alice";
    struct nvl_container c = lxc_container;

    c.user = user;
    assert_int_equal(filter_of(*state, &c, BASE INCLUDE "/absent\n"), NVL_FILTER_NONE);
}

/* What can be read is there all the same. */
static void assert_include_fails(const struct host *h, const char *text, int code, const char *part)
{
    nvl_autofree char *whole = nvl_xasprintf("lxc.uts.name = before\n%slxc.arch = behind\n", text);
    nvl_auto(nvl_config_clear) struct nvl_config config = parse(LXC, whole);
    nvl_auto(nvl_effective_clear) struct nvl_effective effective = {0};
    struct nvl_error err = {0};

    assert_int_equal(nvl_effective_read(&h->root, &lxc_container, &config, &effective, &err), code);
    assert_contains(err.message, part);
    assert_contains(err.message, root_config);
    assert_string_equal(nvl_effective_get(&effective, "lxc.uts.name"), "before");
    assert_string_equal(nvl_effective_get(&effective, "lxc.arch"), "behind");

    /* what has been read is under the same limits */
    nvl_auto(nvl_effective_clear) struct nvl_effective again = {0};
    assert_int_equal(nvl_effective_read_again(&h->root, &lxc_container, &config, &effective, &again, &err),
                     code);
    assert_int_equal(again.count, effective.count);
}

static void test_hostile_includes(void **state)
{
    struct host *h = *state;
    nvl_autofree char *large = nvl_xcalloc(1, NVL_CONFIG_MAX + 1);

    put(h, "/loop", INCLUDE "/loop\n");
    put(h, "/wide", INCLUDE "/x\n" INCLUDE "/x\n" INCLUDE "/x\n" INCLUDE "/x\n");
    put(h, "/x", INCLUDE "/y\n" INCLUDE "/y\n" INCLUDE "/y\n" INCLUDE "/y\n" INCLUDE "/y\n");
    put(h, "/y", INCLUDE "/z\n" INCLUDE "/z\n" INCLUDE "/z\n" INCLUDE "/z\n" INCLUDE "/z\n");
    put(h, "/z", INCLUDE "/e\n" INCLUDE "/e\n" INCLUDE "/e\n");
    put(h, "/e", "lxc.environment = A=1\n");
    put(h, "/self/a.conf", INCLUDE "/self\n");
    put_fifo(h, "/fifo");
    memset(large, '\n', NVL_CONFIG_MAX);
    put_bytes(h, "/large", large, NVL_CONFIG_MAX);
    put(h, "/many",
        INCLUDE "/large\n" INCLUDE "/large\n" INCLUDE "/large\n" INCLUDE "/large\n" INCLUDE "/large\n");
    put_bytes(h, "/nul", "a\0b", 3);
    put_link(h, "/out", "../../../../etc/hostname");

    assert_include_fails(h, INCLUDE "/loop\n", -ELOOP, "levels deep");
    assert_include_fails(h, INCLUDE "/self\n", -ELOOP, "levels deep");
    assert_include_fails(h, INCLUDE "/wide\n", -ELOOP, "more than 256 files");
    assert_include_fails(h, INCLUDE "/fifo\n", -EINVAL, "/fifo is not a regular file");
    assert_include_fails(h, INCLUDE "/many\n", -EFBIG, "4 MiB");
    assert_include_fails(h, INCLUDE "/nul\n", -EINVAL, "/nul");
    assert_include_fails(h, INCLUDE "/absent\n", -ENOENT, "cannot read /absent");
    assert_include_fails(h, INCLUDE "/out\n", -ENOENT, "cannot read /out");
    assert_include_fails(h, INCLUDE "relative\n", -ENOENT, "cannot read /relative");
}

/* ---- id maps ---- */

static void assert_map(const struct host *h, const struct nvl_container *c, const char *text, bool privileged,
                       unsigned uid, unsigned gid)
{
    nvl_auto(nvl_config_clear) struct nvl_config config =
        parse(c->kind == NVL_CONTAINER_PVE ? PVE : LXC, text);
    nvl_auto(nvl_effective_clear) struct nvl_effective effective = {0};
    struct nvl_idmap map;
    struct nvl_error err = {0};

    if (nvl_effective_read(&h->root, c, &config, &effective, &err) < 0 ||
        nvl_idmap_read(&effective, &map, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(map.privileged, privileged);
    assert_int_equal(map.uid0, uid);
    assert_int_equal(map.gid0, gid);
}

static void test_id_maps(void **state)
{
    struct host *h = *state;

    put(h, "/map", "lxc.idmap = u 0 7 1\nlxc.idmap = g 0 8 1\n");
    assert_map(h, &lxc_container, "", true, 0, 0);
    assert_map(h, &lxc_container, "lxc.idmap = u 0 165536 65536\nlxc.idmap =  g  0\t165537 65536 \n", false,
               165536, 165537);
    assert_map(h, &lxc_container,
               "lxc.idmap = u 1000 1000 1\nlxc.idmap = u 0 5 1000\nlxc.idmap = g 0 6 1000\n", false, 5, 6);
    assert_map(h, &lxc_container, INCLUDE "/map\n", false, 7, 8);
    assert_map(h, &lxc_container, INCLUDE "/map\nlxc.idmap =\n", true, 0, 0);
    assert_map(h, &pve_container, "arch: amd64\n", true, 0, 0);
    assert_map(h, &pve_container, "unprivileged: 1\n", false, 100000, 100000);
    assert_map(h, &pve_container, "unprivileged: 1\nlxc.idmap: u 0 5 9\nlxc.idmap = g 0 6 9\n", false, 5, 6);
    assert_map(h, &pve_container, "arch: amd64\n[snap]\nunprivileged: 1\nlxc.idmap: u 0 5 9\n", true, 0, 0);
}

/* Holes, and what Proxmox makes of `unprivileged: 1`. */
static void test_translated_ids(void **state)
{
    static const char text[] =
        "lxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 44\nlxc.idmap = g 44 44 1\n"
        "lxc.idmap = g 107 104 1\nlxc.idmap = g 200 4294967290 100\n";
    static const struct {
        char kind;
        unsigned inside, outside;
    } pairs[] = {{'u', 0, 100000}, {'u', 65535, 165535}, {'g', 43, 100043},
                 {'g', 44, 44},    {'g', 107, 104},      {'g', 205, 4294967295}};
    static const unsigned none[] = {45, 106, 108, 206, 4294967295};
    nvl_auto(nvl_config_clear) struct nvl_config config = parse(LXC, text),
                                                 pve = parse(PVE, "unprivileged: 1\n");
    nvl_auto(nvl_effective_clear) struct nvl_effective effective = {0}, of_pve = {0};
    struct host *h = *state;
    struct nvl_idmap map;
    unsigned id;

    assert_int_equal(nvl_effective_read(&h->root, &lxc_container, &config, &effective, NULL), 0);
    assert_int_equal(nvl_idmap_read(&effective, &map, NULL), 0);
    for (size_t i = 0; i < NVL_LENGTH(pairs); i++) {
        assert_true(nvl_idmap_outside(&map, pairs[i].kind, pairs[i].inside, &id));
        assert_int_equal(id, pairs[i].outside);
        assert_true(nvl_idmap_inside(&map, pairs[i].kind, pairs[i].outside, &id));
        assert_int_equal(id, pairs[i].inside);
    }
    for (size_t i = 0; i < NVL_LENGTH(none); i++)
        assert_false(nvl_idmap_outside(&map, 'g', none[i], &id));
    assert_false(nvl_idmap_inside(&map, 'u', 44, &id));
    assert_int_equal(nvl_effective_read(&h->root, &pve_container, &pve, &of_pve, NULL), 0);
    assert_int_equal(nvl_idmap_read(&of_pve, &map, NULL), 0);
    assert_true(nvl_idmap_outside(&map, 'g', 65535, &id));
    assert_int_equal(id, 165535);
    assert_false(nvl_idmap_outside(&map, 'g', 65536, &id));
}

static void test_privileged_ids(void **state)
{
    nvl_auto(nvl_config_clear) struct nvl_config config = parse(LXC, "");
    nvl_auto(nvl_effective_clear) struct nvl_effective effective = {0};
    struct host *h = *state;
    struct nvl_idmap map;
    unsigned id;

    assert_int_equal(nvl_effective_read(&h->root, &lxc_container, &config, &effective, NULL), 0);
    assert_int_equal(nvl_idmap_read(&effective, &map, NULL), 0);
    assert_true(nvl_idmap_outside(&map, 'u', 4000000000, &id));
    assert_int_equal(id, 4000000000);
}

/* The kernel takes 340 of a kind. */
static void test_too_many_id_maps(void **state)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf text = {0};
    struct host *h = *state;
    struct nvl_idmap map;
    struct nvl_error err = {0};

    nvl_buf_addf(&text, "lxc.idmap = g 0 100000 1\n");
    for (unsigned i = 0; i < NVL_IDMAP_KIND_MAX; i++)
        nvl_buf_addf(&text, "lxc.idmap = u %u %u 1\n", i, 100000 + i);
    for (int r = 0; r >= -EINVAL; r -= EINVAL) {
        nvl_auto(nvl_config_clear) struct nvl_config config = parse(LXC, text.data);
        nvl_auto(nvl_effective_clear) struct nvl_effective effective = {0};
        assert_int_equal(nvl_effective_read(&h->root, &lxc_container, &config, &effective, NULL), 0);
        assert_int_equal(nvl_idmap_read(&effective, &map, &err), r);
        nvl_buf_addf(&text, "lxc.idmap = u 1000 200000 1\n");
    }
    assert_contains(err.message, "340");
}

static void test_bad_id_maps(void **state)
{
    static const char *const texts[] = {
        "lxc.idmap = u 0 100000\n",         "lxc.idmap = b 0 100000 65536\n",
        "lxc.idmap = u 0 x 65536\n",        "lxc.idmap = u 0 4294967296 1\n",
        "lxc.idmap = u 0 100000 65536\n",   "lxc.idmap = u 1 100000 65536\nlxc.idmap = g 0 100000 65536\n",
        "lxc.idmap = u -1 100000 65536 \n",
    };
    struct host *h = *state;

    for (size_t i = 0; i < NVL_LENGTH(texts); i++) {
        nvl_auto(nvl_config_clear) struct nvl_config config = parse(LXC, texts[i]);
        nvl_auto(nvl_effective_clear) struct nvl_effective effective = {0};
        struct nvl_idmap map;
        struct nvl_error err = {0};
        nvl_effective_read(&h->root, &lxc_container, &config, &effective, NULL);
        assert_int_equal(nvl_idmap_read(&effective, &map, &err), -EINVAL);
        assert_contains(err.message, root_config);
    }
}

/* ---- users ---- */

/* Of those who share a home one that logs in, else the first; by name. */
static void test_users_of_homes(void **state)
{
    struct host *h = *state;
    nvl_auto(nvl_users_clear) struct nvl_users users = {0};
    struct nvl_error err = {0};

    put(h, "/etc/passwd",
        "root:x:0:0::/root:/bin/sh\nzoe:x:5:5::/srv/:/usr/sbin/nologin\nann:x:6:6::/srv:/bin/false\n"
        "media:x:7:7::/home/m//:/usr/sbin/nologin\nmax:x:8:8::/home/m:/bin/sh\nmia:x:9:9::/home/m:/bin/bash\n"
        "bad:x:10:10::/home/../m:/bin/sh\ntop:x:11:11::/:/bin/sh\n");
    assert_int_equal(nvl_users_read(&h->root, &users, &err), 0);
    assert_int_equal(users.count, 2);
    assert_string_equal(users.items[0].name, "max");
    assert_string_equal(users.items[0].home, "/home/m");
    assert_string_equal(users.items[1].name, "zoe");
    assert_string_equal(users.items[1].home, "/srv");
}

/* ---- finding ---- */

static const char passwd[] = "root:x:0:0:root:/root:/bin/bash\n"
                             "daemon:x:1:1::/:/usr/sbin/nologin\n"
                             "service:x:998:998::/home/alice:/usr/sbin/nologin\n"
                             "alice:x:1000:1000::/home/alice/:/bin/bash\n"
                             "broken line\n"
                             "evil:x:1001:1001::/home/../etc:/bin/bash\n"
                             "bob:x:1002:1002::/home/bob:/bin/sh\n";

static void make_host(const struct host *h)
{
    put(h, "/etc/passwd", passwd);
    put(h, "/etc/pve/nodes/one/lxc/1000.conf", "arch: amd64\n");
    put(h, "/etc/pve/nodes/one/lxc/220.conf", "arch: amd64\n");
    put(h, "/etc/pve/nodes/one/lxc/220.conf.tmp.12", "");
    put(h, "/etc/pve/nodes/one/lxc/notes.conf", "");
    put(h, "/etc/pve/nodes/two/lxc/330.conf", "arch: amd64\n");
    put_link(h, "/etc/pve/lxc", "nodes/one/lxc");
    put(h, "/var/lib/lxc/220/config", "generated\n");
    put(h, "/var/lib/lxc/330/config", "left behind by a migration\n");
    put(h, "/var/lib/lxc/web/config", "lxc.uts.name = web\n");
    put(h, "/var/lib/lxc/box/config", "lxc.uts.name = box\n");
    put(h, "/var/lib/lxc/.hidden/config", "");
    put(h, "/var/lib/lxc/bad\nname/config", "");
    put_folder(h, "/var/lib/lxc/empty");
    put(h, "/home/alice/.local/share/lxc/web/config", "lxc.uts.name = alices\n");
    put(h, "/home/alice/.local/share/lxc/media/config", "lxc.uts.name = media\n");
}

static struct nvl_containers find(const struct host *h, bool cluster)
{
    struct nvl_containers containers;
    struct nvl_error err = {0};

    if (nvl_containers_find(&h->root, cluster, &containers, &err) < 0)
        fail_msg("%s", err.message);
    return containers;
}

static void assert_found(const struct nvl_containers *containers, const char *expected)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    for (size_t i = 0; i < containers->count; i++) {
        nvl_autofree struct nvl_container *c = nvl_container_at(containers, i);
        nvl_autofree char *full = nvl_container_full_name(containers, c);
        nvl_strv_pushf(&names, "%s=%s", full, c->config_path);
    }
    nvl_autofree char *list = nvl_strv_join(&names, "\n");
    assert_string_equal(list, expected);
}

static void test_find(void **state)
{
    struct host *h = *state;

    make_host(h);
    nvl_auto(nvl_containers_clear) struct nvl_containers here = find(h, false), all = find(h, true);
    assert_found(&here, "220=/etc/pve/lxc/220.conf\n"
                        "1000=/etc/pve/lxc/1000.conf\n"
                        "box=/var/lib/lxc/box/config\n"
                        "root/web=/var/lib/lxc/web/config\n"
                        "media=/home/alice/.local/share/lxc/media/config\n"
                        "alice/web=/home/alice/.local/share/lxc/web/config");
    assert_found(&all, "220=/etc/pve/lxc/220.conf\n"
                       "330=/etc/pve/nodes/two/lxc/330.conf\n"
                       "1000=/etc/pve/lxc/1000.conf\n"
                       "box=/var/lib/lxc/box/config\n"
                       "root/web=/var/lib/lxc/web/config\n"
                       "media=/home/alice/.local/share/lxc/media/config\n"
                       "alice/web=/home/alice/.local/share/lxc/web/config");
    nvl_autofree struct nvl_container *ct = nvl_container_at(&here, 0), *other = nvl_container_at(&all, 1),
                                      *users = nvl_container_at(&here, 4);
    assert_null(ct->node);
    assert_ptr_equal(ct->majors, here.majors);
    assert_string_equal(ct->lxcpath, "/var/lib/lxc");
    assert_string_equal(other->node, "two");
    assert_null(other->majors);
    assert_string_equal(users->user, "alice");
    assert_string_equal(users->lxcpath, "/home/alice/.local/share/lxc");
}

static void assert_named(const struct host *h, const struct nvl_containers *all, const char *name,
                         const char *config_path)
{
    nvl_autofree struct nvl_container *c = NULL;
    struct nvl_error err = {0};

    if (nvl_container_by_name(&h->root, all, name, &c, &err) < 0)
        fail_msg("%s", err.message);
    assert_string_equal(c->config_path, config_path);
}

/* Both nodes of a cluster may have the file for a moment: this one's counts. */
static void test_a_ct_on_two_nodes(void **state)
{
    struct host *h = *state;

    put(h, "/etc/pve/nodes/one/lxc/220.conf", "arch: amd64\n");
    put(h, "/etc/pve/nodes/two/lxc/1000.conf", "arch: amd64\n");
    put(h, "/etc/pve/nodes/two/lxc/220.conf", "arch: amd64\n");
    put(h, "/etc/pve/nodes/two/lxc/0330.conf", "arch: amd64\n");
    put(h, "/etc/pve/nodes/zwei/lxc/1000.conf", "arch: amd64\n");
    put_link(h, "/etc/pve/lxc", "nodes/one/lxc");
    put(h, "/var/lib/lxc/1000/config", "generated\n");
    put(h, "/var/lib/lxc/01000/config", "");
    nvl_auto(nvl_containers_clear) struct nvl_containers here = find(h, false), all = find(h, true);
    assert_found(&here, "220=/etc/pve/lxc/220.conf\n01000=/var/lib/lxc/01000/config");
    assert_found(&all, "220=/etc/pve/lxc/220.conf\n1000=/etc/pve/nodes/two/lxc/1000.conf\n"
                       "01000=/var/lib/lxc/01000/config");
}

static void test_by_name(void **state)
{
    struct host *h = *state;
    struct nvl_container *c;
    struct nvl_error err = {0};

    make_host(h);
    nvl_auto(nvl_containers_clear) struct nvl_containers all = find(h, false);
    assert_named(h, &all, "220", "/etc/pve/lxc/220.conf");
    assert_named(h, &all, "pve/220", "/etc/pve/lxc/220.conf");
    assert_named(h, &all, "root/web", "/var/lib/lxc/web/config");
    assert_named(h, &all, "alice/web", "/home/alice/.local/share/lxc/web/config");

    assert_int_equal(nvl_container_by_name(&h->root, &all, "web", &c, &err), -EEXIST);
    assert_null(c);
    assert_string_equal(err.message, "several containers have the name web: root/web, alice/web");
    assert_contains(err.hint, "root/web");
    assert_int_equal(nvl_container_by_name(&h->root, &all, "330", &c, &err), -EREMOTE);
    assert_contains(err.message, "CT 330 is on the node two");
    assert_int_equal(nvl_container_by_name(&h->root, &all, "pve/330", &c, &err), -EREMOTE);
    assert_int_equal(nvl_container_by_name(&h->root, &all, "root/media", &c, &err), -ENOENT);
    assert_null(c);
    assert_string_equal(err.message, "no container root/media; there are: 220, 1000, box, root/web, "
                                     "media, alice/web");
}

/* A CT by its hostname, but not where a user has taken that name. */
static void test_by_hostname(void **state)
{
    struct host *h = *state;
    nvl_autofree struct nvl_container *c = NULL;
    struct nvl_error err = {0};

    make_host(h);
    put(h, "/etc/pve/lxc/221.conf", "arch: amd64\nhostname: ollama\n");
    put(h, "/etc/pve/lxc/222.conf", "arch: amd64\nhostname: twin\n\n[before]\nhostname: ollama\n");
    put(h, "/etc/pve/lxc/223.conf", "arch: amd64\nhostname: twin\n");
    put(h, "/etc/pve/lxc/224.conf", "arch: amd64\nhostname: media\n");
    nvl_auto(nvl_containers_clear) struct nvl_containers all = find(h, false);
    assert_named(h, &all, "ollama", "/etc/pve/lxc/221.conf");
    assert_int_equal(nvl_container_by_name(&h->root, &all, "twin", &c, &err), -EEXIST);
    assert_string_equal(err.message, "twin is the hostname of CT 222, 223");
    assert_string_equal(err.hint, "give the CTID, for example 222");
    assert_int_equal(nvl_container_by_name(&h->root, &all, "media", &c, &err), -EEXIST);
    assert_null(c);
    assert_string_equal(err.message, "media is the hostname of CT 224, and names alice/media");
    assert_named(h, &all, "alice/media", "/home/alice/.local/share/lxc/media/config");
    assert_int_equal(nvl_container_by_name(&h->root, &all, "pve/ollama", &c, &err), -ENOENT);
    err = (struct nvl_error){0};
    assert_int_equal(nvl_container_by_name(&h->root, &all, "olama", &c, &err), -ENOENT);
    assert_string_equal(err.hint, "did you mean 'ollama'?");
}

static void test_nothing_there(void **state)
{
    struct host *h = *state;
    struct nvl_container *c;
    struct nvl_error err = {0};

    put_folder(h, "/etc/pve/lxc");
    nvl_auto(nvl_containers_clear) struct nvl_containers none = find(h, false);
    assert_int_equal(none.count, 0);
    assert_int_equal(nvl_container_by_name(&h->root, &none, "web", &c, &err), -ENOENT);
    assert_string_equal(err.message, "no container web, nor any other; searched /etc/pve/lxc, /var/lib/lxc");
}

static void test_lxcpath(void **state)
{
    struct host *h = *state;

    put(h, "/etc/passwd", passwd);
    put(h, "/etc/lxc/lxc.conf",
        "# lxc.lxcpath = /no\nlxc.lxcpath =\nlxc.lxcpath = /srv/lxc//\nlxc.lxcpath = /no\n");
    put(h, "/srv/lxc/web/config", "");
    put(h, "/var/lib/lxc/old/config", "");
    put(h, "/home/bob/.config/lxc/lxc.conf", "lxc.lxcpath = /home/bob/ct\n");
    put(h, "/home/bob/ct/db/config", "");
    nvl_auto(nvl_containers_clear) struct nvl_containers all = find(h, false);
    assert_found(&all, "web=/srv/lxc/web/config\ndb=/home/bob/ct/db/config");
    nvl_autofree struct nvl_container *web = nvl_container_at(&all, 0);
    assert_string_equal(web->lxcpath, "/srv/lxc");
}

/* A user's container takes a range of ids: whose homes are not looked into, and when all are. */
static void test_homes_of_who_has_ids(void **state)
{
    struct host *h = *state;
    static const char alices[] = "mine=/home/alice/.local/share/lxc/mine/config";
    static const char bobs[] = "box=/home/bob/.local/share/lxc/box/config";
    static const char both[] = "mine=/home/alice/.local/share/lxc/mine/config\n"
                               "box=/home/bob/.local/share/lxc/box/config";
    const struct {
        const char *subuid, *nsswitch, *found;
    } cases[] = {
        {NULL, NULL, both},
        {"root:100000:65536\nalice:165536:65536\n", NULL, alices},
        {"bobby:100000:65536\n1002:165536:65536", "passwd: files\nsubid: files\n", bobs},
        {"bob:165536:65536\n1000:231072:65536\n", NULL, both},
        {"", "# subid: sss\n", ""},
        {"", "subid: sss\n", both},
        {"alice\nbob\n", NULL, ""},
    };

    put(h, "/etc/passwd", passwd);
    put(h, "/home/bob/.local/share/lxc/box/config", "");
    put(h, "/home/alice/.local/share/lxc/mine/config", "");
    for (size_t i = 0; i < NVL_LENGTH(cases); i++) {
        if (cases[i].subuid != NULL)
            put(h, "/etc/subuid", cases[i].subuid);
        put(h, "/etc/nsswitch.conf", cases[i].nsswitch != NULL ? cases[i].nsswitch : "");
        nvl_auto(nvl_containers_clear) struct nvl_containers all = find(h, false);
        assert_found(&all, cases[i].found);
    }
}

/* A user may not have root take other files for the user's container. */
static void test_links_of_users(void **state)
{
    struct host *h = *state;
    struct nvl_config config;
    struct nvl_error err = {0};

    put(h, "/etc/passwd", passwd);
    put(h, "/var/lib/lxc/web/config", "lxc.uts.name = web\n");
    put(h, "/secret/box/config", "lxc.uts.name = secret\n");
    put_link(h, "/home/alice/.local/share/lxc/linked", "/var/lib/lxc/web");
    put_link(h, "/home/alice/.local/share/lxc/file/config", "/var/lib/lxc/web/config");
    put_fifo(h, "/home/alice/.local/share/lxc/fifo/config");
    put(h, "/home/alice/.local/share/lxc/good/config", "lxc.uts.name = good\n");
    put(h, "/home/bob/.config/lxc/lxc.conf", "lxc.lxcpath = /secret\n");
    nvl_auto(nvl_containers_clear) struct nvl_containers all = find(h, false);
    assert_found(&all, "web=/var/lib/lxc/web/config\ngood=/home/alice/.local/share/lxc/good/config");

    /* changed after it was found */
    nvl_autofree char *good = make_parents(h, "/home/alice/.local/share/lxc/good/config");
    assert_int_equal(unlink(good), 0);
    put_link(h, "/home/alice/.local/share/lxc/good/config", "/var/lib/lxc/web/config");
    nvl_autofree struct nvl_container *changed = nvl_container_at(&all, 1);
    assert_int_equal(nvl_container_read_config(&h->root, changed, &config, &err), -ELOOP);
    assert_contains(err.message, "is a link");

    /* outside of the home, but the user's own file */
    nvl_autofree char *outside = make_parents(h, "/secret/box/config");
    assert_int_equal(chown(outside, 1002, 1002), 0);
    nvl_auto(nvl_containers_clear) struct nvl_containers own = find(h, false);
    assert_int_equal(own.count, 2);
    nvl_autofree struct nvl_container *bobs = nvl_container_at(&own, 1);
    assert_string_equal(bobs->user, "bob");
    assert_int_equal(nvl_container_read_config(&h->root, bobs, &config, &err), 0);
    nvl_config_clear(&config);
    assert_int_equal(chown(outside, 0, 0), 0);
    assert_int_equal(nvl_container_read_config(&h->root, bobs, &config, &err), -EXDEV);
    assert_contains(err.message, "is outside of bob's home");
}

/* The same host as bob, who is not root, sees it. */
static void test_users_see_their_own(void **state)
{
    struct host *h = *state;
    int status;

    make_host(h);
    put(h, "/home/bob/.local/share/lxc/mine/config", "lxc.uts.name = mine\n");
    put(h, "/etc/subuid", "alice:165536:65536\n"); /* the own home all the same */
    nvl_autofree char *hidden = make_parents(h, "/var/lib/lxc/x");
    *strrchr(hidden, '/') = '\0';
    assert_int_equal(chmod(hidden, 0700), 0);
    fflush(stdout);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct nvl_containers own;
        nvl_autofree struct nvl_container *c = NULL, *other = NULL;
        struct nvl_error err = {0};
        if (setgid(1002) < 0 || setuid(1002) < 0)
            _exit(2);
        if (nvl_containers_find(&h->root, false, &own, &err) < 0)
            _exit(3);
        bool mine =
            nvl_container_by_name(&h->root, &own, "mine", &c, &err) == 0 && strcmp(c->user, "bob") == 0;
        bool others = nvl_container_by_name(&h->root, &own, "media", &other, &err) == 0 ||
                      nvl_container_by_name(&h->root, &own, "box", &other, &err) == 0;
        _exit(!mine ? 4 : others ? 5 : strstr(err.hint, "sudo") == NULL ? 6 : 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_folder_that_is_none(void **state)
{
    struct host *h = *state;
    struct nvl_containers all;
    struct nvl_error err = {0};

    put(h, "/etc/passwd", passwd);
    put(h, "/home/alice/.local/share/lxc", "a file");
    nvl_auto(nvl_containers_clear) struct nvl_containers fine = find(h, false);
    assert_int_equal(fine.count, 0);
    put(h, "/var/lib/lxc", "a file");
    assert_int_equal(nvl_containers_find(&h->root, false, &all, &err), -ENOTDIR);
    assert_contains(err.message, "/var/lib/lxc");
    assert_int_equal(all.count, 0);
}

/* ---- reading ---- */

static void assert_unreadable(const struct host *h, int code, const char *part)
{
    struct nvl_config config;
    struct nvl_error err = {0};

    assert_int_equal(nvl_container_read_config(&h->root, &lxc_container, &config, &err), code);
    assert_contains(err.message, root_config);
    assert_contains(err.message, part);
    assert_null(config.text);
}

static void test_configs_that_cannot_be_read(void **state)
{
    struct host *h = *state;
    nvl_autofree char *large = nvl_xcalloc(1, NVL_CONFIG_MAX + 1);
    nvl_autofree char *path = make_parents(h, root_config);

    assert_unreadable(h, -ENOENT, "is gone");
    assert_int_equal(symlink("elsewhere", path), 0);
    assert_unreadable(h, -ESTALE, "leads nowhere: its folder has the name");
    assert_int_equal(unlink(path), 0);
    put_folder(h, root_config);
    assert_unreadable(h, -EISDIR, "is a folder");
    assert_int_equal(rmdir(path), 0);
    put_fifo(h, root_config);
    assert_unreadable(h, -EINVAL, "not a regular file");
    assert_int_equal(unlink(path), 0);
    memset(large, '\n', NVL_CONFIG_MAX + 1);
    put_bytes(h, root_config, large, NVL_CONFIG_MAX + 1);
    assert_unreadable(h, -EFBIG, "larger than 1 MiB");
    put_bytes(h, root_config, "a\0b", 3);
    assert_unreadable(h, -EINVAL, "NUL byte");
}

static void test_config_is_read_in_its_dialect(void **state)
{
    struct host *h = *state;
    nvl_auto(nvl_config_clear) struct nvl_config lxc = {0}, pve = {0};

    put(h, root_config, "arch: amd64\n");
    assert_int_equal(nvl_container_read_config(&h->root, &lxc_container, &lxc, NULL), 0);
    assert_int_equal(nvl_container_read_config(&h->root, &pve_container, &pve, NULL), 0);
    assert_null(nvl_config_get(&lxc, "arch"));
    assert_string_equal(nvl_config_get(&pve, "arch"), "amd64");
}

/* ---- running ---- */

static bool is_running(const struct host *h, char *lxcpath, char *name)
{
    const struct nvl_container c = {
        .kind = NVL_CONTAINER_LXC, .name = name, .lxc_name = name, .lxcpath = lxcpath};

    return nvl_container_is_running(&h->root, &c);
}

static void test_running(void **state)
{
    struct host *h = *state;
    char lxcpath[] = "/var/lib/lxc", web[] = "web", we[] = "we", other[] = "other";
    char deep[] =
        "/home/alice/a-very-long-folder-name/that-goes-on-and-on/and-then-some-more/until-it-is-long";
    char name[] = "a-long-container-name";

    assert_false(is_running(h, lxcpath, web));
    put(h, "/proc/net/unix",
        "Num       RefCount Protocol Flags    Type St Inode Path\n"
        "0000000000000000: 00000003 00000000 00000000 0001 03 21874\n"
        "0000000000000000: 00000002 00000000 00010000 0001 01 34566 /var/lib/lxc/other/command\n"
        "0000000000000000: 00000002 00000000 00010000 0001 01 34566 @/x @/var/lib/lxc/other/command\n"
        "0000000000000000: 00000002 00000000 00010000 0001 01     5 @/var/lib/lxc/web/command\n"
        "0000000000000000: 00000002 00000000 00010000 0001 01 34568 @lxc/ce1b2b53bc95bbe7/command\n");
    assert_true(is_running(h, lxcpath, web));
    assert_false(is_running(h, lxcpath, we));
    assert_false(is_running(h, lxcpath, other));
    assert_true(is_running(h, deep, name));
}

int main(void)
{
#define ON_HOST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_of_proxmox),
        cmocka_unit_test(test_lines_of_lxc),
        cmocka_unit_test(test_corpus_is_kept_whole),
        cmocka_unit_test(test_values_that_count),
        cmocka_unit_test(test_texts_that_are_no_config),
        cmocka_unit_test(test_owners),
        cmocka_unit_test(test_a_snapshots_hook_owns_nothing),
        cmocka_unit_test(test_company),
        cmocka_unit_test(test_ways),
        cmocka_unit_test(test_lines_by_hand_beside_others),
        cmocka_unit_test(test_lines_astray),
        cmocka_unit_test(test_nodes_of_a_line),
        cmocka_unit_test(test_grant_of_a_config),
        cmocka_unit_test(test_lines_of_a_grant),
        ON_HOST(test_device_filter_of_lxc),
        ON_HOST(test_device_filter_of_proxmox),
        ON_HOST(test_device_filter_of_a_user),
        ON_HOST(test_hostile_includes),
        ON_HOST(test_users_of_homes),
        ON_HOST(test_id_maps),
        ON_HOST(test_too_many_id_maps),
        ON_HOST(test_privileged_ids),
        ON_HOST(test_translated_ids),
        ON_HOST(test_bad_id_maps),
        ON_HOST(test_find),
        ON_HOST(test_a_ct_on_two_nodes),
        ON_HOST(test_by_name),
        ON_HOST(test_by_hostname),
        ON_HOST(test_nothing_there),
        ON_HOST(test_lxcpath),
        ON_HOST(test_homes_of_who_has_ids),
        ON_HOST(test_links_of_users),
        ON_HOST(test_users_see_their_own),
        ON_HOST(test_folder_that_is_none),
        ON_HOST(test_configs_that_cannot_be_read),
        ON_HOST(test_config_is_read_in_its_dialect),
        ON_HOST(test_running),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
