/* The parts of verify that read what a container says: the probe's lines, Ollama's log and answers, users. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "check/verify_ollama.h"
#include "check/verify_steps.h"
#include "temp_root.h"

static void parse(const char *text, struct nvl_probe_lines *lines)
{
    nvl_probe_parse(text, strlen(text), lines);
}

static void test_lines(void **state)
{
    nvl_auto(nvl_probe_lines_clear) struct nvl_probe_lines lines = {0};

    (void)state;
    parse("nvlxc\ttry\t0\tcuInit\n"
          "nvlxc\tcuda.init\t999\tcuInit CUDA_ERROR_UNKNOWN: unknown error\n"
          "nvlxc\tnode\t0\t/dev/nvidia0\n"
          "nvlxc\tnvml.init\t-1\tx\n"
          "nvlxc\tend\t0\t\n"
          "nvlxc\tnode\t0\tbehind the end\n",
          &lines);
    assert_int_equal(lines.count, 4);
    assert_true(lines.ended);
    assert_int_equal(nvl_probe_find(&lines, "cuda.init")->code, 999);
    assert_string_equal(nvl_probe_find(&lines, "cuda.init")->text,
                        "cuInit CUDA_ERROR_UNKNOWN: unknown error");
    assert_int_equal(nvl_probe_find(&lines, "nvml.init")->code, -1);
    assert_null(nvl_probe_find(&lines, "end"));
    assert_string_equal(nvl_probe_last_try(&lines), "cuInit");
}

static void test_other_lines(void **state)
{
    static const char *const bad[] = {
        "",
        "\n\n",
        "nvlxc",
        "nvlxc\t",
        "nvlxc\tnode",
        "nvlxc\tnode\t",
        "nvlxc\tnode\t1",
        "nvlxc\tnode\t\ttext",
        "nvlxc\tnode\t-\ttext",
        "nvlxc\tnode\t+1\ttext",
        "nvlxc\tnode\t1x\ttext",
        "nvlxc\tnode\t 1\ttext",
        "nvlxc\tnode\t2147483648\ttext",
        "nvlxc\tnode\t99999999999999999999\ttext",
        "nvlxc\t\t1\ttext",
        "nvlxc\tNODE\t1\ttext",
        "nvlxc\tno de\t1\ttext",
        "nvlxc\ta-name-that-is-longer-than-any-that-the-probe-has\t1\ttext",
        "nvlxcs\tnode\t1\ttext",
        " nvlxc\tnode\t1\ttext",
        "a library's warning",
    };

    (void)state;
    for (size_t i = 0; i < NVL_LENGTH(bad); i++) {
        nvl_auto(nvl_probe_lines_clear) struct nvl_probe_lines lines = {0};
        parse(bad[i], &lines);
        assert_int_equal(lines.count, 0);
        assert_false(lines.ended);
        assert_null(nvl_probe_last_try(&lines));
    }
}

/* No byte of what a container prints reaches the terminal or the JSON as it is. */
static void test_hostile_text(void **state)
{
    static const char text[] = "nvlxc\tcuda.name\t0\ta\033[31mb\0c\x9b\xff\177\xe2\x80\xae\td  \n";
    nvl_auto(nvl_probe_lines_clear) struct nvl_probe_lines lines = {0};

    (void)state;
    nvl_probe_parse(text, sizeof text - 1, &lines);
    assert_int_equal(lines.count, 1);
    assert_string_equal(lines.items[0].text, "a?[31mb?c?????? d");
}

static void test_long_and_many(void **state)
{
    struct nvl_buf text = {0};
    nvl_auto(nvl_probe_lines_clear) struct nvl_probe_lines lines = {0};

    (void)state;
    nvl_buf_addf(&text, "nvlxc\tnode\t0\t");
    for (int i = 0; i < 5000; i++)
        nvl_buf_add(&text, "x", 1);
    for (int i = 0; i < 5000; i++)
        nvl_buf_addf(&text, "\nnvlxc\tnode\t%d\ty", i);
    nvl_probe_parse(text.data, text.len, &lines);
    assert_int_equal(lines.count, NVL_PROBE_LINES_MAX);
    assert_int_equal(strlen(lines.items[0].text), sizeof lines.items[0].text - 1);
    assert_int_equal(lines.items[1].code, 0);
    nvl_buf_clear(&text);
}

/* Every cut of a good text is read without a byte beyond it. */
static void test_cut_anywhere(void **state)
{
    static const char text[] = "nvlxc\tload\t1\tlibcuda.so.1 no\nnvlxc\tend\t0\t\n";

    (void)state;
    for (size_t len = 0; len <= sizeof text - 1; len++) {
        nvl_autofree char *copy = nvl_xrealloc(NULL, len + (len == 0), 1);
        nvl_auto(nvl_probe_lines_clear) struct nvl_probe_lines lines = {0};
        memcpy(copy, text, len);
        nvl_probe_parse(copy, len, &lines);
        assert_true(lines.count <= 1);
    }
}

static void log_of(const char *text, struct nvl_ollama_log *log)
{
    nvl_ollama_log_parse(text, strlen(text), log);
}

static void test_ollama_log(void **state)
{
    struct nvl_ollama_log log;

    (void)state;
    log_of("msg=\"Listening on 127.0.0.1:11434 (version 0.6.2)\"\n"
           "msg=\"inference compute\" id=GPU-1 library=CUDA variant=v12\n"
           "msg=\"inference compute\" id=GPU-2 library=CUDA variant=v12\n",
           &log);
    assert_true(log.has_discovery && log.on_gpu);
    assert_int_equal(log.port, 11434);
    assert_string_equal(log.text, "inference compute\" id=GPU-1 library=CUDA variant=v12");

    /* the older form, lower case, and IPv6 */
    log_of("Listening on [::]:8080\nmsg=\"inference compute\" id=GPU-1 library=cuda", &log);
    assert_true(log.on_gpu);
    assert_int_equal(log.port, 8080);

    log_of("msg=\"inference compute\" id=cpu library=cpu", &log);
    assert_true(log.has_discovery && !log.on_gpu);
    assert_int_equal(log.port, 0);

    /* what an earlier start said does not count */
    log_of("Listening on :1\ninference compute id=GPU-1 library=CUDA\nListening on :2\n", &log);
    assert_false(log.has_discovery || log.on_gpu);
    assert_int_equal(log.port, 2);

    log_of("unknown error initializing cuda driver library /x: cuda driver library init failure: 999. see\n"
           "no compatible GPUs were discovered",
           &log);
    assert_int_equal(log.cuda_error, 999);
    assert_false(log.has_discovery);
    assert_true(nvl_has_prefix(log.text, "unknown error initializing"));
}

static void test_ollama_log_hostile(void **state)
{
    static const char *const texts[] = {
        "",
        "Listening on ",
        "Listening on :",
        "Listening on :99999",
        "Listening on :123456789012345678901234567890",
        "inference compute",
        "inference compute library=",
        "inference compute library=cud",
        "cuda driver library init failure: ",
        "cuda driver library init failure: 99999999999999",
    };

    (void)state;
    for (size_t i = 0; i < NVL_LENGTH(texts); i++) {
        size_t len = strlen(texts[i]);
        nvl_autofree char *exact = nvl_xrealloc(NULL, len + 1, 1);
        struct nvl_ollama_log log;
        memcpy(exact, texts[i], len);
        nvl_ollama_log_parse(exact, len, &log);
        assert_false(log.on_gpu);
        assert_int_equal(log.port, 0);
        assert_int_equal(log.cuda_error, 0);
    }
}

#define OK "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n"

static bool models_of(const char *answer, struct nvl_ollama_models *models)
{
    return nvl_ollama_parse_models(answer, strlen(answer), models);
}

static void test_ollama_answers(void **state)
{
    struct nvl_ollama_models models;
    char version[16];

    (void)state;
    assert_true(nvl_ollama_parse_version(OK "{\"version\":\"0.6.2\"}", strlen(OK "{\"version\":\"0.6.2\"}"),
                                         version, sizeof version));
    assert_string_equal(version, "0.6.2");
    assert_true(models_of(OK "{\"models\":[{\"name\":\"a\",\"size\":10,\"size_vram\":10},"
                             "{\"name\":\"b\",\"size\":10,\"size_vram\":0}]}",
                          &models));
    assert_int_equal(models.count, 2);
    assert_int_equal(models.bytes, 20);
    assert_int_equal(models.vram, 10);
    assert_string_equal(models.on_cpu, "b");
    assert_true(models_of(OK "{\"models\":null}", &models));
    assert_int_equal(models.count, 0);

    assert_false(models_of("HTTP/1.1 500 no\r\n\r\n{\"models\":[]}", &models));
    assert_false(models_of("HTTP/1.1 200", &models));
    assert_false(models_of(OK "{\"models\":[", &models));
    assert_false(models_of(OK "[]", &models));
    assert_false(models_of("", &models));
    /* what is no number of bytes counts as none, and nothing overflows */
    assert_true(models_of(OK "{\"models\":[7,null,{\"name\":3,\"size\":9223372036854775807,\"size_vram\":-1},"
                             "{\"name\":\"\\u001b[2J\",\"size\":5}]}",
                          &models));
    assert_int_equal(models.bytes, 5);
    assert_string_equal(models.on_cpu, "?[2J");
}

static void test_users(void **state)
{
    const struct temp_root *t = *state;
    nvl_auto(nvl_inside_user_clear) struct nvl_inside_user user = {0};

    put(t, "/etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nbroken:line\nollama:x:998:997::/usr/share/ollama:/bin/false\n"
        "minus:x:-1:4:::\nhuge:x:4294967295:4:::\n");
    put(t, "/etc/group",
        "root:x:0:\nvideo:x:44:plex,ollama\nrender:x:104:ollama\nollama:x:997:\nnot:x:9:ollam,ollamas\n");
    assert_int_equal(nvl_inside_user_find(&t->root, "ollama", &user), 0);
    assert_int_equal(user.uid, 998);
    assert_int_equal(user.gid, 997);
    assert_string_equal(user.home, "/usr/share/ollama");
    assert_int_equal(user.n_groups, 3);
    assert_int_equal(user.groups[0], 997);
    assert_int_equal(user.groups[1], 44);
    assert_int_equal(user.groups[2], 104);
    nvl_inside_user_clear(&user);
    assert_int_equal(nvl_inside_user_find(&t->root, "plex", &user), -ENOENT);
    assert_int_equal(nvl_inside_user_find(&t->root, "broken", &user), -ENOENT);
    assert_int_equal(nvl_inside_user_find(&t->root, "minus", &user), -EINVAL);
    assert_int_equal(nvl_inside_user_find(&t->root, "huge", &user), -EINVAL);
}

static void test_many_groups(void **state)
{
    const struct temp_root *t = *state;
    struct nvl_buf groups = {0};
    nvl_auto(nvl_inside_user_clear) struct nvl_inside_user user = {0};

    for (int i = 1; i < 1000; i++)
        nvl_buf_addf(&groups, "g%d:x:%d:plex\n", i, i);
    put(t, "/etc/passwd", "plex:x:5:5::relative:/bin/sh");
    put(t, "/etc/group", groups.data);
    assert_int_equal(nvl_inside_user_find(&t->root, "plex", &user), 0);
    assert_int_equal(user.n_groups, NVL_INSIDE_GROUPS);
    assert_string_equal(user.home, "/");
    nvl_buf_clear(&groups);
}

static void test_endings(void **state)
{
    const struct {
        struct nvl_output out;
        const char *text;
    } cases[] = {
        {{.status = 9 << 8}, "exit status 9"},
        {{.status = 11}, "ended by signal 11 (Segmentation fault)"},
        {{.timed_out = true, .status = 9}, "not done after 60 s, so it was ended"},
        {{.error = -ENOENT, .at = "start the program"},
         "could not be run (start the program): No such file or directory"},
    };

    (void)state;
    for (size_t i = 0; i < NVL_LENGTH(cases); i++) {
        nvl_autofree char *text = nvl_output_ending(&cases[i].out, 60);
        assert_string_equal(text, cases[i].text);
    }
}

static void test_output_lines(void **state)
{
    char text[] = "first\n\033[0m\n  the last one \n\n";
    const struct nvl_output out = {.text = text, .len = sizeof text - 1};
    nvl_autofree char *last = nvl_output_line(&out, NULL), *found = nvl_output_line(&out, "irs");
    nvl_autofree char *none = nvl_output_line(&out, "second");

    (void)state;
    assert_string_equal(last, "  the last one");
    assert_string_equal(found, "first");
    assert_null(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_other_lines),
        cmocka_unit_test(test_hostile_text),
        cmocka_unit_test(test_long_and_many),
        cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_ollama_log),
        cmocka_unit_test(test_ollama_log_hostile),
        cmocka_unit_test(test_ollama_answers),
        cmocka_unit_test_setup_teardown(test_users, setup_root, teardown_root),
        cmocka_unit_test_setup_teardown(test_many_groups, setup_root, teardown_root),
        cmocka_unit_test(test_endings),
        cmocka_unit_test(test_output_lines),
    };

    return cmocka_run_group_tests_name("verify", tests, NULL, NULL);
}
