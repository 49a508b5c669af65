/* base: lists and texts, the root handle against hostile trees, files that are replaced whole. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "emulated.h"
#include "base/confine.h"
#include "base/file.h"
#include "base/fix.h"
#include "base/passwd.h"
#include "base/records.h"
#include "base/root.h"
#include "base/run.h"

/* A fresh folder, open as a root handle, and gone at the end. */
struct tree {
    char path[64];
    struct nvl_root root;
};

static int make_tree(void **state)
{
    struct tree *tree = nvl_xcalloc(1, sizeof *tree);

    strcpy(tree->path, "/tmp/nvlxc-base.XXXXXX");
    assert_non_null(mkdtemp(tree->path));
    assert_int_equal(nvl_root_open(&tree->root, tree->path, NULL), 0);
    *state = tree;
    return 0;
}

static int drop_tree(void **state)
{
    struct tree *tree = *state;
    nvl_autofree char *command = nvl_xasprintf("rm -rf %s", tree->path);

    nvl_root_close(&tree->root);
    int r = system(command);
    free(tree);
    return r;
}

static void put(const struct tree *tree, const char *path, const char *text)
{
    nvl_autofree char *full = nvl_xasprintf("%s%s", tree->path, path);
    nvl_autofd int fd = open(full, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(nvl_fd_write(fd, text, strlen(text)), 0);
}

static void link_to(const struct tree *tree, const char *path, const char *target)
{
    nvl_autofree char *full = nvl_xasprintf("%s%s", tree->path, path);

    assert_int_equal(symlink(target, full), 0);
}

static void folder(const struct tree *tree, const char *path)
{
    nvl_autofree char *full = nvl_xasprintf("%s%s", tree->path, path);

    assert_int_equal(mkdir(full, 0755), 0);
}

static char *read_text(const struct tree *tree, const char *path)
{
    char *text = NULL;
    size_t len;

    assert_int_equal(nvl_root_read(&tree->root, path, 4096, &text, &len), 0);
    assert_int_equal(strlen(text), len);
    return text;
}

static void lists_grow(void **state)
{
    (void)state;
    nvl_auto(nvl_strv_clear) struct nvl_strv v = {0};

    for (int i = 99; i >= 0; i--)
        nvl_strv_pushf(&v, "%02d", i);
    nvl_strv_sort(&v);
    assert_int_equal(v.count, 100);
    assert_string_equal(v.items[0], "00");
    assert_string_equal(v.items[99], "99");
    assert_true(nvl_strv_contains(&v, "42"));
    assert_false(nvl_strv_contains(&v, "100"));
}

static void text_is_split_and_joined(void **state)
{
    (void)state;
    nvl_auto(nvl_strv_clear) struct nvl_strv v = {0};

    nvl_strv_split(&v, ",a, b ,,c,", ",");
    nvl_autofree char *joined = nvl_strv_join(&v, "|");
    assert_string_equal(joined, "a|b|c");
}

static void numbers_are_whole(void **state)
{
    (void)state;
    uint64_t n = 7;

    assert_int_equal(nvl_parse_uint("195", 10, 255, &n), 0);
    assert_int_equal(n, 195);
    assert_int_equal(nvl_parse_uint("1f", 16, 255, &n), 0);
    assert_int_equal(n, 0x1f);
    assert_int_equal(nvl_parse_uint("256", 10, 255, &n), -ERANGE);
    assert_int_equal(nvl_parse_uint("99999999999999999999", 10, UINT64_MAX, &n), -ERANGE);
    static const char *const bad[] = {"", "-1", "+1", " 1", "1 ", "0x1", "x", "1x"};
    for (size_t i = 0; i < NVL_LENGTH(bad); i++)
        assert_int_equal(nvl_parse_uint(bad[i], 16, 255, &n), -EINVAL);
    assert_int_equal(n, 0x1f);
}

static void lines_and_values(void **state)
{
    (void)state;
    const char text[] = "GPU UUID: \t GPU-1\nModel:\nlast";
    const char *line, *value;
    size_t pos = 0, len, value_len;

    assert_true(nvl_next_line(text, strlen(text), &pos, &line, &len));
    assert_true(nvl_line_value(line, len, "GPU UUID", &value, &value_len));
    assert_int_equal(value_len, 5);
    assert_memory_equal(value, "GPU-1", 5);
    assert_false(nvl_line_value(line, len, "GPU", &value, &value_len));
    assert_true(nvl_next_line(text, strlen(text), &pos, &line, &len));
    assert_true(nvl_line_value(line, len, "Model", &value, &value_len));
    assert_int_equal(value_len, 0);
    assert_true(nvl_next_line(text, strlen(text), &pos, &line, &len));
    assert_int_equal(len, 4);
    assert_false(nvl_next_line(text, strlen(text), &pos, &line, &len));
}

static void errors_gain_context(void **state)
{
    (void)state;
    struct nvl_error err;

    assert_int_equal(nvl_error_errno(&err, -ENOENT, "cannot open %s", "x"), -ENOENT);
    assert_string_equal(err.message, "cannot open x: No such file or directory");
    nvl_error_hint(&err, "make it");
    assert_int_equal(nvl_error_prefix(&err, "container %s", "web"), -ENOENT);
    assert_string_equal(err.message, "container web: cannot open x: No such file or directory");
    assert_string_equal(err.hint, "make it");
    assert_int_equal(nvl_error_host(&err, -ENODEV, "no driver"), -ENODEV);
    assert_int_equal(err.exit, NVL_EXIT_HOST);
    assert_string_equal(err.hint, "");
}

/* Absolute links and .. end inside the root, whatever stands outside under that name. */
static void root_holds_links(void **state)
{
    struct tree *tree = *state;

    folder(tree, "/etc");
    put(tree, "/etc/passwd", "inside");
    link_to(tree, "/absolute", "/etc/passwd");
    link_to(tree, "/above", "../../../../../../etc/passwd");
    link_to(tree, "/magic", "/proc/self/root/etc/passwd");
    nvl_autofree char *absolute = read_text(tree, "/absolute"), *above = read_text(tree, "/above");
    assert_string_equal(absolute, "inside");
    assert_string_equal(above, "inside");
    assert_false(nvl_root_exists(&tree->root, "/magic"));

    nvl_autofree char *real = NULL;
    assert_int_equal(nvl_root_resolve(&tree->root, "/above", &real), 0);
    assert_string_equal(real, "/etc/passwd");
    assert_int_equal(nvl_root_openat(&tree->root, "/absolute", O_PATH | O_NOFOLLOW | O_DIRECTORY), -ENOTDIR);
}

static void root_refuses_what_is_no_file(void **state)
{
    struct tree *tree = *state;
    char *text = NULL;
    size_t len;

    nvl_autofree char *fifo = nvl_xasprintf("%s/fifo", tree->path);
    assert_int_equal(mkfifo(fifo, 0644), 0);
    alarm(10); /* a read that waits for the other end would hang here */
    assert_int_equal(nvl_root_read(&tree->root, "/fifo", 4096, &text, &len), -EINVAL);
    alarm(0);
    assert_int_equal(nvl_root_read(&tree->root, "/", 4096, &text, &len), -EISDIR);
    assert_int_equal(nvl_root_read(&tree->root, "/absent", 4096, &text, &len), -ENOENT);
    put(tree, "/long", "0123456789");
    assert_int_equal(nvl_root_read(&tree->root, "/long", 9, &text, &len), -EFBIG);
    assert_int_equal(nvl_root_read(&tree->root, "/long", 10, &text, &len), 0);
    free(text);
    /* a size of 0 that is not the truth */
    nvl_auto(nvl_root_close) struct nvl_root machine = NVL_ROOT_NONE;
    assert_int_equal(nvl_root_open(&machine, "/", NULL), 0);
    assert_int_equal(nvl_root_read(&machine, "/proc/devices", 1 << 20, &text, &len), 0);
    assert_non_null(strstr(text, "Character devices"));
    free(text);
}

/* What a root is called says nothing of where it may lead. */
static void nameless_root_holds_links(void **state)
{
    struct tree *tree = *state;
    struct nvl_root nameless;
    struct stat st;

    nvl_root_from_fd(&nameless, dup(tree->root.fd), "");
    link_to(tree, "/out", "/etc/passwd");
    assert_false(nvl_root_is_machine(&nameless));
    assert_int_equal(nvl_root_stat(&nameless, "/out", 0, &st), -ENOENT);
    assert_false(nvl_root_exists(&nameless, "/../../etc/passwd"));
    assert_int_equal(nvl_root_stat(&nameless, "/out", AT_SYMLINK_NOFOLLOW, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    nvl_root_close(&nameless);
}

static void folders_are_listed_sorted(void **state)
{
    struct tree *tree = *state;
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    put(tree, "/b", "");
    put(tree, "/a", "");
    put(tree, "/.c", "");
    assert_int_equal(nvl_root_list(&tree->root, "/", &names), 0);
    nvl_autofree char *joined = nvl_strv_join(&names, " ");
    assert_string_equal(joined, ".c a b");
    assert_int_equal(nvl_root_list(&tree->root, "/a", &names), -ENOTDIR);
}

static void replace_keeps_mode_and_owner(void **state)
{
    struct tree *tree = *state;
    struct stat before, after;
    struct nvl_error err;

    if (geteuid() != 0)
        skip();
    put(tree, "/config", "old");
    nvl_autofree char *path = nvl_xasprintf("%s/config", tree->path);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(chown(path, 0, 33), 0);
    assert_int_equal(nvl_root_stat(&tree->root, "/config", 0, &before), 0);
    assert_int_equal(nvl_file_replace(tree->root.fd, "config", "new text", 8, &before, &err), 0);
    assert_int_equal(nvl_root_stat(&tree->root, "/config", 0, &after), 0);
    assert_int_equal(after.st_mode, before.st_mode);
    assert_int_equal(after.st_gid, 33);
    assert_int_not_equal(after.st_ino, before.st_ino);
    nvl_autofree char *text = read_text(tree, "/config");
    assert_string_equal(text, "new text");
}

static void replace_leaves_all_on_a_full_disk(void **state)
{
    struct tree *tree = *state;
    struct nvl_error err;
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    static char big[256 << 10];

    if (geteuid() != 0)
        skip();
    assert_int_equal(unshare(CLONE_NEWNS), 0);
    assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    assert_int_equal(mount("tmpfs", tree->path, "tmpfs", 0, "size=64k"), 0);
    struct nvl_root small;
    assert_int_equal(nvl_root_open(&small, tree->path, NULL), 0);
    put(tree, "/config", "old");
    int r = nvl_file_replace(small.fd, "config", big, sizeof big, NULL, &err);
    nvl_autofree char *text = NULL;
    size_t len;
    int read = nvl_root_read(&small, "/config", 4096, &text, &len);
    int listed = nvl_root_list(&small, "/", &names);
    nvl_root_close(&small);
    umount2(tree->path, MNT_DETACH);

    assert_int_equal(r, -ENOSPC);
    assert_non_null(strstr(err.message, "No space left on device"));
    assert_int_equal(read, 0);
    assert_string_equal(text, "old");
    assert_int_equal(listed, 0);
    assert_int_equal(names.count, 1); /* no temporary file */
}

/* What is in it, "tag text" a line. */
static char *records_text(const struct nvl_buf *records)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv texts = {0};
    struct nvl_buf out = {0};
    struct nvl_record record;
    size_t pos = 0;

    while (nvl_records_next(records->data, records->len, &pos, &record)) {
        nvl_record_push(&record, &texts);
        nvl_buf_addf(&out, "%u %s\n", record.tag, texts.items[texts.count - 1]);
    }
    return nvl_buf_take(&out);
}

/* What has arrived in the pipe, at once: it is small. */
static void receive_records(int fd, struct nvl_buf *records)
{
    char data[4096];
    ssize_t n = read(fd, data, sizeof data);

    assert_true(n > 0);
    nvl_buf_add(records, data, (size_t)n);
    assert_int_equal(nvl_records_check(records->data, records->len), 0);
}

static void records_go_through_a_pipe(void **state)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf sent = {0}, got = {0}, none = {0}, empty = {0};
    nvl_auto(nvl_strv_clear) struct nvl_strv list = {0};
    int ends[2];

    (void)state;
    nvl_strv_push(&list, "a line\n7 of its own");
    nvl_strv_push(&list, "");
    nvl_records_add_list(&sent, 3, &list);
    nvl_records_add(&sent, 7, "last, cut here", 4);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(nvl_records_send(ends[1], &sent), 0);
    close(ends[1]);
    receive_records(ends[0], &got);
    close(ends[0]);
    nvl_autofree char *text = records_text(&got);
    assert_string_equal(text, "3 a line\n7 of its own\n3 \n7 last\n");
    /* nothing to say is said, too */
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(nvl_records_send(ends[1], &none), 0);
    close(ends[1]);
    receive_records(ends[0], &empty);
    close(ends[0]);
    nvl_autofree char *nothing = records_text(&empty);
    assert_string_equal(nothing, "");
}

static void records_that_are_damaged_are_refused(void **state)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf sent = {0}, all = {0};
    nvl_autofd int fd = memfd_create("records", MFD_CLOEXEC);
    struct nvl_record record;
    size_t pos = 0;

    (void)state;
    nvl_records_add(&sent, 1, "text", 4);
    assert_int_equal(nvl_records_send(fd, &sent), 0);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    receive_records(fd, &all);
    assert_int_equal(nvl_records_check("", 0), -EPROTO);
    assert_int_equal(nvl_records_check("nvlxc: ct: a line for people\n", 29), -EPROTO);
    for (size_t len = 1; len < all.len; len++)
        assert_int_equal(nvl_records_check(all.data, len), -EPROTO);
    /* another version */
    all.data[8]++;
    assert_int_equal(nvl_records_check(all.data, all.len), -EPROTO);
    all.data[8]--;
    /* a length that leads out of it */
    all.data[16 + 4] = 5;
    assert_int_equal(nvl_records_check(all.data, all.len), 0);
    assert_false(nvl_records_next(all.data, all.len, &pos, &record));
    memset(all.data + 16 + 4, 0xff, 4);
    assert_false(nvl_records_next(all.data, all.len, &pos, &record));
}

static void folders_are_made_with_those_above(void **state)
{
    const struct tree *tree = *state;
    nvl_autofd int fd = nvl_root_openat(&tree->root, "/", O_RDONLY | O_DIRECTORY);
    const struct nvl_root borrowed = nvl_root_borrow(fd);
    struct stat st;

    mode_t before = umask(077);
    assert_int_equal(nvl_root_make_folder(&tree->root, "/a/b/c"), 0);
    assert_int_equal(nvl_root_make_folder(&tree->root, "/a/b/c"), 0);
    assert_int_equal(nvl_root_make_parents(&borrowed, "d/e/file"), 0);
    assert_int_equal(nvl_root_make_parents(&borrowed, "file"), 0);
    assert_int_equal(nvl_root_make_parents(&tree->root, "/file"), 0);
    umask(before);
    assert_int_equal(nvl_root_stat(&tree->root, "/a/b", 0, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    assert_int_equal(nvl_root_stat(&tree->root, "/d/e", 0, &st), 0);
    assert_false(nvl_root_exists(&tree->root, "/d/e/file"));
    assert_false(nvl_root_exists(&tree->root, "/file"));
}

static void words_are_quoted(void **state)
{
    const char *const cases[][2] = {
        {"lxc-info", "lxc-info"}, {"", "''"}, {"a b", "'a b'"}, {"it's", "'it'\\''s'"}, {"$(id)", "'$(id)'"}};

    (void)state;
    for (size_t i = 0; i < NVL_LENGTH(cases); i++) {
        nvl_autofree char *word = nvl_shell_word(cases[i][0]);
        assert_string_equal(word, cases[i][1]);
    }
}

static void text_is_wrapped(void **state)
{
    const char *text = "one two\nthree averylongword x", *line;
    static const char *const lines[] = {"one two", "three", "averylongword", "x"};
    size_t len;

    (void)state;
    for (size_t i = 0; i < NVL_LENGTH(lines); i++) {
        assert_true(nvl_next_wrapped(&text, 8, &line, &len));
        nvl_autofree char *copy = nvl_xstrndup(line, len);
        assert_string_equal(copy, lines[i]);
    }
    assert_false(nvl_next_wrapped(&text, 8, &line, &len));
}

static int run_shell(const char *script, size_t max, unsigned seconds, struct nvl_run_result *result)
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    const struct nvl_run run = {
        .argv = argv, .output = NVL_STREAM_TAKEN, .errors = NVL_STREAM_TAKEN, .max = max, .seconds = seconds};

    return nvl_run(&run, result);
}

static void run_gives_output_and_end(void **state)
{
    nvl_auto(nvl_run_result_clear) struct nvl_run_result result = {0}, signalled = {0};

    (void)state;
    assert_int_equal(run_shell("cat; echo out; echo err >&2; exit 7", 100, 10, &result), 0);
    assert_string_equal(result.text, "out\nerr\n");
    assert_int_equal(result.len, 8);
    assert_false(result.truncated);
    assert_int_equal(nvl_exit_status(result.status), 7);
    assert_int_equal(run_shell("kill -9 $$", 100, 0, &signalled), 0);
    assert_int_equal(nvl_exit_status(signalled.status), 128 + 9);
    assert_string_equal(signalled.text, "");
}

static void run_keeps_no_more_than_asked(void **state)
{
    nvl_auto(nvl_run_result_clear) struct nvl_run_result result = {0};
    const char *const argv[] = {"sh", "-c", "echo 1234567; echo lost >&2", NULL};
    char text[5];

    (void)state;
    /* more than a pipe holds, so that it ends only if all is read */
    assert_int_equal(run_shell("head -c 300000 /dev/zero | tr '\\0' a", 1000, 10, &result), 0);
    assert_int_equal(result.len, 1000);
    assert_int_equal(strlen(result.text), 1000);
    assert_true(result.truncated);
    assert_int_equal(nvl_tool_run(argv, 10, text, sizeof text), 0);
    assert_string_equal(text, "1234");
}

static void run_tells_what_cannot_be_started(void **state)
{
    const char *const absent[] = {"nvlxc-no-such-program", NULL}, *const folder[] = {"/etc", NULL};
    const struct nvl_run no_program = {.argv = absent}, no_file = {.argv = folder, .seconds = 1};

    (void)state;
    assert_int_equal(nvl_run_status(&no_program), -ENOENT);
    assert_int_equal(nvl_run_status(&no_file), -EACCES);
}

/* What it starts ends with it: the file has no second line. */
static void run_ends_all_when_its_time_is_over(void **state)
{
    struct tree *tree = *state;
    nvl_auto(nvl_run_result_clear) struct nvl_run_result result = {0};
    nvl_autofree char *text = NULL,
                      *script =
                          nvl_xasprintf("echo begun > %s/file; (sleep 2; echo late >> %s/file) & sleep 20",
                                        tree->path, tree->path);
    size_t len;

    assert_int_equal(run_shell(script, 100, 1, &result), -ETIMEDOUT);
    assert_true(result.timed_out);
    assert_true(result.millis >= 1000 && result.millis < 2000);
    sleep(2);
    assert_int_equal(nvl_root_read(&tree->root, "/file", 100, &text, &len), 0);
    assert_string_equal(text, "begun\n");
}

/* The one that it leaves running has its output open. */
static void run_waits_for_the_child_only(void **state)
{
    nvl_auto(nvl_run_result_clear) struct nvl_run_result result = {0};

    (void)state;
    assert_int_equal(run_shell("sleep 3 & echo done", 100, 0, &result), 0);
    assert_string_equal(result.text, "done\n");
    assert_true(result.millis < 2500);
}

static int write_and_tell(void *data)
{
    return nvl_fd_write(STDOUT_FILENO, data, strlen(data)) == 0 ? 42 : 1;
}

static void count_bytes(void *data, const char *bytes, size_t len)
{
    (void)bytes;
    *(size_t *)data += len;
}

static void run_calls_a_function_in_the_child(void **state)
{
    nvl_auto(nvl_run_result_clear) struct nvl_run_result result = {0};
    char text[] = "of the child";
    size_t passed_on = 0;
    const struct nvl_run run = {.body = write_and_tell,
                                .body_data = text,
                                .output = NVL_STREAM_TAKEN,
                                .pass_on = count_bytes,
                                .pass_on_data = &passed_on};

    (void)state;
    assert_int_equal(nvl_run(&run, &result), 0);
    assert_int_equal(nvl_exit_status(result.status), 42);
    assert_int_equal(passed_on, strlen(text));
    assert_string_equal(result.text, ""); /* nothing of it was to be kept */
}

static void run_gives_environment_and_file(void **state)
{
    struct tree *tree = *state;
    nvl_autofree char *path = nvl_xasprintf("%s/out", tree->path), *text = NULL;
    nvl_autofd int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    const char *const argv[] = {"env", NULL};
    char *const environment[] = {(char *)"PATH=/usr/bin:/bin", (char *)"WHAT=this", NULL};
    const struct nvl_run run = {
        .argv = argv, .environment = environment, .output = NVL_STREAM_FD, .output_fd = fd};
    size_t len;

    assert_int_equal(nvl_run_status(&run), 0);
    assert_int_equal(nvl_root_read(&tree->root, "/out", 4096, &text, &len), 0);
    assert_string_equal(text, "PATH=/usr/bin:/bin\nWHAT=this\n");
}

static void users_have_groups(void **state)
{
    const struct tree *t = *state;
    nvl_auto(nvl_account_clear) struct nvl_account user = {0};

    folder(t, "/etc");
    put(t, "/etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nbroken:line\nollama:x:998:997::/usr/share/ollama:/bin/false\n"
        "minus:x:-1:4:::\nhuge:x:4294967295:4:::\n");
    put(t, "/etc/group",
        "root:x:0:\nvideo:x:44:plex,ollama\nrender:x:104:ollama\nollama:x:997:\nnot:x:9:ollam,ollamas\n");
    assert_int_equal(nvl_account_find(&t->root, "ollama", &user), 0);
    assert_int_equal(user.uid, 998);
    assert_int_equal(user.gid, 997);
    assert_string_equal(user.home, "/usr/share/ollama");
    assert_int_equal(user.n_groups, 3);
    assert_int_equal(user.groups[0], 997);
    assert_int_equal(user.groups[1], 44);
    assert_int_equal(user.groups[2], 104);
    nvl_account_clear(&user);
    assert_int_equal(nvl_account_find(&t->root, "plex", &user), -ENOENT);
    assert_int_equal(nvl_account_find(&t->root, "broken", &user), -ENOENT);
    assert_int_equal(nvl_account_find(&t->root, "minus", &user), -ENOENT);
    assert_int_equal(nvl_account_find(&t->root, "huge", &user), -EINVAL);
}

static void groups_are_bounded(void **state)
{
    const struct tree *t = *state;
    struct nvl_buf groups = {0};
    nvl_auto(nvl_account_clear) struct nvl_account user = {0};

    for (int i = 1; i < 1000; i++)
        nvl_buf_addf(&groups, "g%d:x:%d:plex\n", i, i);
    folder(t, "/etc");
    put(t, "/etc/passwd", "plex:x:5:5::relative:/bin/sh");
    put(t, "/etc/group", groups.data);
    assert_int_equal(nvl_account_find(&t->root, "plex", &user), 0);
    assert_int_equal(user.n_groups, NVL_ACCOUNT_GROUPS);
    assert_string_equal(user.home, "/");
    nvl_buf_clear(&groups);
}

/* Files as nobody writes them by hand; the last line has no end. */
static void accounts_are_hostile(void **state)
{
    const struct tree *t = *state;
    nvl_auto(nvl_account_clear) struct nvl_account user = {0}, nobody = {0};
    struct nvl_buf passwd = {0}, group = {0};
    gid_t gid = 7;

    folder(t, "/etc");
    nvl_buf_addf(&passwd, "+::::::\n-plex:x:1:1::/:\n\n# plex:x:2:2::/:\nlong:x:3:3:");
    for (int i = 0; i < 100000; i++)
        nvl_buf_addf(&passwd, "g");
    nvl_buf_addf(&passwd, ":/home/long:/bin/sh\nplex:x:4:4:::");
    put(t, "/etc/passwd", passwd.data);
    nvl_buf_addf(&group, "+:::\nrender:x:-1:\nmany:x:5:");
    for (int i = 0; i < 100000; i++)
        nvl_buf_addf(&group, "a,");
    nvl_buf_addf(&group, "plex\nhuge:x:4294967295:plex\nrender:x:104:");
    put(t, "/etc/group", group.data);
    assert_int_equal(nvl_account_find(&t->root, "long", &user), 0);
    assert_string_equal(user.home, "/home/long");
    nvl_account_clear(&user);
    assert_int_equal(nvl_account_find(&t->root, "plex", &user), 0);
    assert_int_equal(user.uid, 4);
    assert_int_equal(user.n_groups, 2);
    assert_int_equal(user.groups[1], 5);
    assert_int_equal(nvl_account_find(&t->root, "", &nobody), -ENOENT);
    assert_int_equal(nvl_account_find(&t->root, "+", &nobody), -ENOENT);
    assert_true(nvl_group_find(&t->root, "render", &gid));
    assert_int_equal(gid, 104);
    assert_false(nvl_group_find(&t->root, "huge", &gid));
    put(t, "/etc/group", "");
    assert_false(nvl_group_find(&t->root, "render", &gid));
    nvl_buf_clear(&passwd);
    nvl_buf_clear(&group);
}

/* One line: "TEXT|COMMAND", with "!" where the text says the command itself. */
static void assert_fix(const char *fix, const char *expected)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf all = {0};
    struct nvl_fix_line line;

    while (nvl_next_fix_line(&fix, &line)) {
        nvl_buf_addf(&all, "%s%s|%s%s", all.len > 0 ? "\n" : "", line.text != NULL ? line.text : "",
                     line.command != NULL ? line.command : "", line.is_said ? "!" : "");
        nvl_fix_line_clear(&line);
    }
    assert_string_equal(all.data != NULL ? all.data : "", expected);
}

static void test_fix_lines(void **state)
{
    (void)state;
    assert_fix(NULL, "");
    assert_fix("", "");
    assert_fix("reboot", "|reboot");
    assert_fix("modprobe nvidia\nnvlxc doctor   # which part is missing",
               "|modprobe nvidia\n|nvlxc doctor   # which part is missing");
    assert_fix("restart it: pct reboot 101 && true", "restart it|pct reboot 101 && true");
    assert_fix("wait, or: see: nvlxc ps", "wait, or: see|nvlxc ps");
    assert_fix("`nvlxc gpus` lists the GPUs", "`nvlxc gpus` lists the GPUs|nvlxc gpus!");
    assert_fix("a `word` of its own", "a `word` of its own|");
    assert_fix("an open `nvlxc gpus", "an open `nvlxc gpus|");
    assert_fix("rebooting: what helps", "rebooting: what helps|");
    assert_fix("the driver's libraries: nvlxc doctor", "the driver's libraries|nvlxc doctor");
    assert_fix("did you mean 'x: rm -rf y'?", "did you mean 'x: rm -rf y'?|");
    assert_fix("restart 'a: sh b': pct reboot 101", "restart 'a: sh b'|pct reboot 101");
    assert_fix("set features: nesting=1", "set features: nesting=1|");
}

/* In a child; the exit status is the number of what did not hold. */
static int try_confined(void *data)
{
    static const char *const program[] = {"/bin/true", NULL};
    const struct nvl_run run = {.argv = program};

    (void)data;
    if (nvl_keep_capabilities(0) < 0)
        return 1;
#ifndef NVL_SANITIZED
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != -1 || errno != EPERM)
        return 2;
#endif
    if (socket(AF_UNIX, SOCK_DGRAM, 0) != -1 || errno != EPERM)
        return 3;
    if (unshare(0) != -1 || errno != EPERM)
        return 4;
    if (syscall(SYS_bpf, 0, NULL, 0) != -1 || errno != EPERM)
        return 5;
    /* the first and the last of the list, and what is not in it */
    if (syscall(SYS_add_key, "user", "x", "y", 1, 0) != -1 || errno != EPERM)
        return 6;
    if (syscall(SYS_userfaultfd, -1) != -1 || errno != EPERM)
        return 7;
    int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED)
        return 8;
    if (nvl_run_status(&run) != 0)
        return 9;
    return nvl_keep_capabilities(0) == 0 ? 0 : 10; /* once more is no fault */
}

static void confined_makes_no_dangerous_call(void **state)
{
    const struct nvl_run run = {.body = try_confined};

    (void)state;
    if (is_emulated())
        skip(); /* without seccomp */
    assert_int_equal(nvl_run_status(&run), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fix_lines),
        cmocka_unit_test(lists_grow),
        cmocka_unit_test(text_is_split_and_joined),
        cmocka_unit_test(numbers_are_whole),
        cmocka_unit_test(lines_and_values),
        cmocka_unit_test(errors_gain_context),
        cmocka_unit_test(records_go_through_a_pipe),
        cmocka_unit_test(records_that_are_damaged_are_refused),
        cmocka_unit_test_setup_teardown(folders_are_made_with_those_above, make_tree, drop_tree),
        cmocka_unit_test(words_are_quoted),
        cmocka_unit_test(text_is_wrapped),
        cmocka_unit_test_setup_teardown(users_have_groups, make_tree, drop_tree),
        cmocka_unit_test_setup_teardown(groups_are_bounded, make_tree, drop_tree),
        cmocka_unit_test_setup_teardown(accounts_are_hostile, make_tree, drop_tree),
        cmocka_unit_test(run_gives_output_and_end),
        cmocka_unit_test(run_keeps_no_more_than_asked),
        cmocka_unit_test(run_tells_what_cannot_be_started),
        cmocka_unit_test_setup_teardown(run_ends_all_when_its_time_is_over, make_tree, drop_tree),
        cmocka_unit_test(run_waits_for_the_child_only),
        cmocka_unit_test(run_calls_a_function_in_the_child),
        cmocka_unit_test_setup_teardown(run_gives_environment_and_file, make_tree, drop_tree),
        cmocka_unit_test_setup_teardown(root_holds_links, make_tree, drop_tree),
        cmocka_unit_test_setup_teardown(nameless_root_holds_links, make_tree, drop_tree),
        cmocka_unit_test_setup_teardown(root_refuses_what_is_no_file, make_tree, drop_tree),
        cmocka_unit_test_setup_teardown(folders_are_listed_sorted, make_tree, drop_tree),
        cmocka_unit_test_setup_teardown(replace_keeps_mode_and_owner, make_tree, drop_tree),
        cmocka_unit_test_setup_teardown(replace_leaves_all_on_a_full_disk, make_tree, drop_tree),
        cmocka_unit_test(confined_makes_no_dangerous_call),
    };

    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
