/* The parts of verify that read what a container says: the probe's lines, Ollama's log and answers, users. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "container/instance.h"
#include "doctor/facts.h"
#include "inside/run.h"
#include "verify/ollama.h"
#include "verify/session.h"
#include "verify/verify.h"
#include "verify/cause_libraries.h"
#include "verify/cause_nodes.h"
#include "verify/causes.h"
#include "verify/workloads.h"
#include "machine.h"
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

static void test_endings(void **state)
{
    const struct {
        struct nvl_output out;
        const char *text;
    } cases[] = {
        {{.status = 9 << 8}, "exit status 9"},
        {{.status = 11}, "ended by signal 11 (Segmentation fault)"},
        {{.timed_out = true, .status = 9}, "did not end within 60 s and was killed"},
        {{.error = -ENOENT, .at = "start the program"},
         "could not run (start the program): No such file or directory"},
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

/* A container on a host, as far as causes ask. */
struct trial {
    struct nvl_host_facts host;
    struct nvl_container_facts facts;
    struct nvl_verify_request request;
    struct nvl_steps steps;
    struct nvl_verify v;
};

static void trial_init(struct trial *t, const struct temp_root *rootfs)
{
    *t = (struct trial){0};
    snprintf(t->host.host.driver.version, sizeof t->host.host.driver.version, "550.163.01");
    t->facts.host = &t->host;
    t->facts.name = (char *)"220";
    t->facts.has_grant = true;
    t->facts.rootfs = rootfs->root;
    t->request.name = "220";
    t->request.restart = "pct reboot 220";
    t->v.facts = &t->facts;
    t->v.request = &t->request;
    t->v.steps = &t->steps;
}

static void trial_clear(struct trial *t)
{
    nvl_strv_clear(&t->v.environment);
    nvl_steps_clear(&t->steps);
}

/* The step that is there now must say these; then the next one is begun. */
#define SAYS(t, cause_part, fix_text)                                                                        \
    do {                                                                                                     \
        const struct nvl_step *said = &(t)->steps.items[(t)->steps.count - 1];                               \
        const char *fix_wanted = fix_text;                                                                   \
        assert_non_null(said->cause);                                                                        \
        if (strstr(said->cause, cause_part) == NULL)                                                         \
            assert_string_equal(said->cause, cause_part);                                                    \
        if (fix_wanted == NULL)                                                                              \
            assert_null(said->fix);                                                                          \
        else                                                                                                 \
            assert_string_equal(said->fix, fix_wanted);                                                      \
    } while (0)

static struct nvl_step *begin(struct trial *t)
{
    return nvl_step_add(&t->v, "step", NVL_STEP_FAIL, "evidence");
}

/* What comes out of a container can hold anything; what a step keeps cannot. */
static void test_step_texts(void **state)
{
    struct trial t;

    trial_init(&t, *state);
    struct nvl_step *step =
        nvl_step_add(&t.v, "step", NVL_STEP_FAIL, "a\033[2J\nb\tc\177\x9b\xff\xc2\x9b%s", "é");
    nvl_step_cause(step, "first");
    nvl_step_cause(step, "c\r\n\033d");
    nvl_step_fix(step, "one\ntwo\033[31m\a");
    assert_string_equal(step->evidence, "a?[2J b c?\?\?\?\?é");
    assert_string_equal(step->cause, "c? ?d");
    assert_string_equal(step->fix, "one\ntwo?[31m?");
    nvl_step_fix_from_table(&t.v, step, &(struct nvl_fix){"nvlxc driver sync", NVL_FIX_THEN_RESTART});
    assert_string_equal(step->fix, "nvlxc driver sync\npct reboot 220");
    nvl_step_fix_from_table(&t.v, step, &(struct nvl_fix){"nvlxc show", NVL_FIX_CONTAINER});
    assert_string_equal(step->fix, "nvlxc show 220");
    nvl_step_fix_from_table(&t.v, step, &(struct nvl_fix){"nvlxc gpus", NVL_FIX_ALL});
    assert_string_equal(step->fix, "nvlxc gpus");
    /* what the host lacks is brought the way that its driver came */
    const struct nvl_fix libraries = {"libnvidia-encode1 libnvcuvid1", NVL_FIX_LIBRARIES};
    t.host.installed.origin = NVL_ORIGIN_DEBIAN;
    nvl_step_fix_from_table(&t.v, step, &libraries);
    assert_string_equal(step->fix, "apt install libnvidia-encode1 libnvcuvid1   # version 550.163.01\n"
                                   "nvlxc driver sync\npct reboot 220");
    t.host.installed.origin = NVL_ORIGIN_RUN;
    nvl_step_fix_from_table(&t.v, step, &libraries);
    assert_null(strstr(step->fix, "apt"));
    assert_non_null(strstr(step->fix, "\nsh NVIDIA-Linux-x86_64-550.163.01.run --no-kernel-modules\n"
                                      "nvlxc driver sync\npct reboot 220"));
    trial_clear(&t);
}

static void library(struct trial *t, const char *soname, const char *complaint)
{
    nvl_cause_of_library(&t->v, soname, complaint, begin(t));
}

static void test_library_causes(void **state)
{
    const struct temp_root *root = *state;
    static const char sync[] = "nvlxc driver sync   # says what brings the missing files\npct reboot 220";
#define NOT_THERE ": cannot open shared object file: No such file or directory"
    struct trial t;

    trial_init(&t, root);
    library(&t, "libcuda.so.1", "libcuda.so.1" NOT_THERE);
    SAYS(&t, "no driver is mounted at /usr/local/nvidia: there was no bundle for 550.163.01",
         "nvlxc driver sync\npct reboot 220");
    put(root, "/usr/local/nvidia/lib64/libnvidia-ml.so.1", "");
    library(&t, "libcuda.so.1", "libcuda.so.1" NOT_THERE);
    SAYS(&t, "lacks libcuda.so.1: it is not installed on the host", sync);
    library(&t, "libnvidia-ml.so.1", "libnvidia-ml.so.1" NOT_THERE);
    SAYS(&t, "the container's linker cache does not name it",
         "in the container: ldconfig; if it has no ldconfig, set LD_LIBRARY_PATH=/usr/local/nvidia/lib64 "
         "for "
         "its programs (lxc.environment)");

    /* what it needs itself: of the driver, of Debian, of nobody that is known */
    library(&t, "libnvcuvid.so.1", "libnvidia-gpucomp.so.550.163.01" NOT_THERE);
    SAYS(&t, "libnvcuvid.so.1 needs libnvidia-gpucomp.so.550.163.01", sync);
    library(&t, "libnvidia-encode.so.1", "libcuda.so.1" NOT_THERE);
    SAYS(&t, "needs libcuda.so.1", sync);
    library(&t, "libGLX_nvidia.so.0", "libX11.so.6" NOT_THERE);
    SAYS(&t, "needs libX11.so.6",
         "in the container: apt install libx11-6, or the package that contains libX11.so.6 there");
    library(&t, "libGLX_nvidia.so.0", "libXext.so.6" NOT_THERE);
    SAYS(&t, "needs libXext.so.6",
         "in the container: apt install libxext6, or the package that contains libXext.so.6 there");
    /* what a library says that it needs can be anything */
    library(&t, "x", "libodd;reboot.so.1" NOT_THERE);
    SAYS(&t, "needs libodd;reboot.so.1", "in the container: install the package that contains that library");
    library(&t, "x", "libodd.so.1 `reboot`" NOT_THERE);
    SAYS(&t, "needs libodd.so.1 `reboot`",
         "in the container: install the package that contains that library");
    library(&t, "libcuda.so.1", "/usr/lib/libcuda.so.1: file too short");
    SAYS(&t, "the container's loader rejects it: /usr/lib/libcuda.so.1: file too short", NULL);
    trial_clear(&t);
}

static void test_version_causes(void **state)
{
    struct trial t;

    trial_init(&t, *state);
    nvl_cause_of_version(&t.v, "/usr/local/nvidia/lib64/libcuda.so.550.54.14", "550.54.14", begin(&t));
    SAYS(&t, "the module changed after the container was started", "pct reboot 220");
    nvl_cause_of_version(&t.v, "/usr/lib/libcuda.so.535.1", "535.1", begin(&t));
    SAYS(&t, "the kernel module is 550.163.01, this library is 535.1: they must be the same",
         "in the container: remove the driver that is installed there (the package that dpkg -S "
         "/usr/lib/libcuda.so.535.1 names and those of its version; without one, the file), then ldconfig");
    nvl_cause_of_version(&t.v, "/opt/$(reboot)/libcuda.so.535.1", "535.1", begin(&t));
    SAYS(&t, "they must be the same",
         "in the container: remove the driver that is installed there (the package that dpkg -S FILE "
         "names and those of its version; without one, the file), then ldconfig");
    t.facts.has_grant = false;
    nvl_cause_of_version(&t.v, "/usr/lib/libcuda.so.535.1", "535.1", begin(&t));
    SAYS(&t, "they must be the same", "nvlxc attach 220\npct reboot 220");
    trial_clear(&t);
}

/* One number of CUDA, several causes: which it is follows from what was seen before. */
static void test_cuda_causes(void **state)
{
    struct nvl_gpu gpu = {.minor = 0};
    struct nvl_inside_node uvm = {.node = {.kind = NVL_NODE_UVM, .state = NVL_NODE_OK}, .needed = true};
    struct trial t;

    trial_init(&t, *state);
    t.host.host.gpus = (struct nvl_gpus){&gpu, 1};
    t.v.capabilities = NVL_CAP_UTILITY | NVL_CAP_VIDEO;
    nvl_cause_of_cuda(&t.v, 999, begin(&t));
    SAYS(&t, "/dev/nvidia-uvm is not granted",
         "nvlxc attach 220 --capabilities compute,utility,video\npct reboot 220");
    t.v.nodes = &uvm;
    t.v.n_nodes = 1;
    nvl_cause_of_cuda(&t.v, 3, begin(&t));
    SAYS(&t, "so the module nvidia-uvm itself fails",
         "journalctl -k -g 'NVRM|Xid'\nwhile nothing uses the GPU: rmmod nvidia_uvm && modprobe nvidia-uvm\n"
         "pct reboot 220");

    nvl_cause_of_cuda(&t.v, 101, begin(&t));
    SAYS(&t, "the device ordinal does not exist", "nvidia-smi -L\nnvlxc show 220");
    gpu.mig_enabled = true;
    nvl_cause_of_cuda(&t.v, 101, begin(&t));
    SAYS(&t, "MIG mode is on and the GPU has no instance",
         "which profiles there are: nvidia-smi mig -lgip\n"
         "create instances, here of profile 19: nvidia-smi mig -cgi 19 -C\n"
         "or leave MIG mode: nvidia-smi -mig 0\n"
         "then with a name of nvlxc gpus --wide: nvlxc attach 220 --gpu GPU");
    gpu.n_migs = 1;
    nvl_cause_of_cuda(&t.v, 101, begin(&t));
    SAYS(&t, "the device ordinal does not exist", "nvidia-smi -L\nnvlxc show 220");

    nvl_cause_of_cuda(&t.v, 100, begin(&t));
    SAYS(&t, "sees no GPU for this container", "nvlxc show 220");
    nvl_strv_push(&t.v.environment, "CUDA_VISIBLE_DEVICES=7");
    nvl_cause_of_cuda(&t.v, 100, begin(&t));
    SAYS(&t, "sets CUDA_VISIBLE_DEVICES=7, which names no GPU",
         "remove that lxc.environment line from the config\npct reboot 220");
    nvl_cause_of_cuda(&t.v, 101, begin(&t));
    SAYS(&t, "sets CUDA_VISIBLE_DEVICES=7",
         "remove that lxc.environment line from the config\npct reboot 220");

    t.v.libcuda = (char *)"/usr/local/nvidia/lib64/libcuda.so.550.163.01";
    nvl_cause_of_cuda(&t.v, 803, begin(&t));
    SAYS(&t, "does not have the kernel module's version, 550.163.01", "nvlxc driver sync\npct reboot 220");
    t.v.libcuda = (char *)"/usr/lib/libcuda.so.1";
    nvl_cause_of_cuda(&t.v, 803, begin(&t));
    SAYS(&t, "/usr/lib/libcuda.so.1 does not have",
         "in the container: remove the driver that is installed there, so that programs load the one at "
         "/usr/local/nvidia");
    nvl_cause_of_cuda(&t.v, 209, begin(&t));
    SAYS(&t, "older than Maxwell", NULL);
    nvl_cause_of_cuda(&t.v, 12345, begin(&t));
    SAYS(&t, "error 12345", "dmesg | grep -e NVRM -e Xid");
    trial_clear(&t);
}

/* nvidia-smi ends with these numbers, too. */
static void test_nvml_causes(void **state)
{
    struct nvl_inside_node node = {
        .node = {.kind = NVL_NODE_GPU, .state = NVL_NODE_OK}, .error = EACCES, .needed = true};
    struct trial t;

    trial_init(&t, *state);
    snprintf(node.node.path, sizeof node.node.path, "/dev/nvidia0");
    node.node.mode = 0666;
    node.node.found_mode = 0600;
    nvl_cause_of_nvml(&t.v, 4, begin(&t));
    SAYS(&t, "may not be opened, though root can", "dmesg | grep -e NVRM -e Xid");
    nvl_cause_of_nvml(&t.v, 9, begin(&t));
    SAYS(&t, "NVML reaches no driver", "nvlxc host");
    nvl_cause_of_nvml(&t.v, 12, begin(&t));
    SAYS(&t, "no driver is mounted at", "nvlxc driver sync\npct reboot 220");
    nvl_cause_of_nvml(&t.v, 13, begin(&t));
    SAYS(&t, "have different versions", "nvlxc driver sync\npct reboot 220");
    nvl_cause_of_nvml(&t.v, 15, begin(&t));
    SAYS(&t, "fallen off the bus",
         "journalctl -k -g 'NVRM|Xid'\nreboot   # if it happens again: check power, cooling and the "
         "slot");
    nvl_cause_of_nvml(&t.v, 77, begin(&t));
    SAYS(&t, "error 77", "dmesg | grep -e NVRM -e Xid");
    /* where a node explains it, it does */
    t.v.nodes = &node;
    t.v.n_nodes = 1;
    nvl_cause_of_nvml(&t.v, 9, begin(&t));
    SAYS(&t, "/dev/nvidia0 has mode 0600",
         "chmod 0666 /dev/nvidia0\n(for good: NVreg_DeviceFileMode=0666 among the options of the nvidia "
         "module in "
         "/etc/modprobe.d)");
    /* but not another version, nor a library that is not there */
    nvl_cause_of_nvml(&t.v, 12, begin(&t));
    SAYS(&t, "no driver is mounted at", "nvlxc driver sync\npct reboot 220");
    nvl_cause_of_nvml(&t.v, 18, begin(&t));
    SAYS(&t, "does not have the kernel module's version", "nvlxc driver sync\npct reboot 220");
    trial_clear(&t);
}

static void node_of(struct nvl_inside_node *n, enum nvl_node_kind kind, const char *path,
                    enum nvl_node_state inside, enum nvl_node_state on_host)
{
    *n = (struct nvl_inside_node){.on_host = on_host, .needed = true};
    n->node.kind = kind;
    n->node.state = inside;
    n->node.mode = 0666;
    snprintf(n->node.path, sizeof n->node.path, "%s", path);
}

/* What is wrong with a node, here and on the host, and what mends it there. */
static void test_node_causes(void **state)
{
    struct nvl_inside_node n;
    struct trial t;

    trial_init(&t, *state);
    t.v.nodes = &n;
    t.v.n_nodes = 1;
    node_of(&n, NVL_NODE_UVM, "/dev/nvidia-uvm", NVL_NODE_MISSING, NVL_NODE_MODE);
    nvl_cause_of_node(&t.v, &n, ENOENT, begin(&t));
    SAYS(&t, "is on the host but not in the container", "pct reboot 220");
    SAYS(&t, "without it CUDA fails with error 999", "pct reboot 220");
    node_of(&n, NVL_NODE_UVM, "/dev/nvidia-uvm", NVL_NODE_MISSING, NVL_NODE_MISSING);
    nvl_cause_of_node(&t.v, &n, ENOENT, begin(&t));
    SAYS(&t, "nvidia-uvm is not loaded or its node was not made",
         "modprobe nvidia-uvm\nnvidia-modprobe -c 0 -u\npct reboot 220");
    node_of(&n, NVL_NODE_GPU, "/dev/nvidia1", NVL_NODE_MISSING, NVL_NODE_MISSING);
    nvl_cause_of_node(&t.v, &n, ENOENT, begin(&t));
    SAYS(&t, "/dev/nvidia1 is not on the host", "nvidia-modprobe -c 0 -u\npct reboot 220");
    node_of(&n, NVL_NODE_CTL, "/dev/nvidiactl", NVL_NODE_NOT_DEVICE, NVL_NODE_NOT_DEVICE);
    nvl_cause_of_node(&t.v, &n, 0, begin(&t));
    SAYS(&t, "an empty file", "rm /dev/nvidiactl\nnvidia-modprobe -c 0 -u\npct reboot 220");
    node_of(&n, NVL_NODE_UVM, "/dev/nvidia-uvm", NVL_NODE_STALE, NVL_NODE_OK);
    n.node.found_major = 511;
    n.node.major = 506;
    nvl_cause_of_node(&t.v, &n, 0, begin(&t));
    SAYS(&t, "has number 511:0, but the driver's is 506:0", "pct reboot 220");
    /* the host's own node, bound: the next start makes a copy */
    t.host.root = &((struct temp_root *)*state)->root;
    put(*state, "/dev/dri/renderD128", "");
    node_of(&n, NVL_NODE_DRI, "/dev/dri/renderD128", NVL_NODE_OK, NVL_NODE_OK);
    n.node.found_mode = 0660;
    nvl_cause_of_node(&t.v, &n, EACCES, begin(&t));
    SAYS(&t, "its owner on the host may be nobody", "pct reboot 220");
    node_of(&n, NVL_NODE_CAP, "/dev/nvidia-caps/nvidia-cap1", NVL_NODE_OK, NVL_NODE_OK);
    n.node.mode = 0444;
    nvl_cause_of_node(&t.v, &n, EACCES, begin(&t));
    SAYS(&t, "nvidia-cap1 has mode", "chmod 0444 /dev/nvidia-caps/nvidia-cap1");
    node_of(&n, NVL_NODE_GPU, "/dev/nvidia0", NVL_NODE_OK, NVL_NODE_OK);
    nvl_cause_of_node(&t.v, &n, EPERM, begin(&t));
    SAYS(&t, "device filter denies /dev/nvidia0", "nvlxc attach 220\npct reboot 220");
    nvl_cause_of_node(&t.v, &n, ENODEV, begin(&t));
    SAYS(&t, "no driver answers behind it", "nvlxc host\ndmesg | grep -e NVRM -e Xid");
    nvl_cause_of_node(&t.v, &n, EIO, begin(&t));
    SAYS(&t, "the driver cannot initialize the GPU", "dmesg | grep -e NVRM -e Xid");
    trial_clear(&t);
}

/* The client is a program of the test's own that says how it was called and runs the rest. */
static void test_daemons_client(void **state)
{
    struct temp_root *h = *state;
    nvl_autofree char *client = nvl_xasprintf("%s/client", h->dir);
    const struct nvl_daemon daemon = {.name = "incus", .client = client};
    const struct nvl_instance instance = {.daemon = &daemon, .project = (char *)"lab", .name = (char *)"web"};
    const struct nvl_container c = {.kind = NVL_CONTAINER_DAEMON, .name = "web", .instance = &instance};
    const char *const argv[] = {"sh", "-c", "echo \"$1\"; exit 7", "sh", "a  b", NULL};
    nvl_auto(nvl_output_clear) struct nvl_output out = {0};

    put(h, "/client",
        "#!/bin/sh\necho \"${*%% -- *}\"\nwhile [ \"$1\" != -- ]; do shift; done\nshift\n\"$@\"\n");
    assert_int_equal(chmod(client, 0755), 0);
    nvl_inside_attach(&c, argv, STDIN_FILENO, 10, 4096, &out);
    assert_string_equal(out.text,
                        "exec web --project lab -T --env "
                        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin --env HOME=/root "
                        "--env LC_ALL=C\na  b\n");
    assert_string_equal(out.at, client);
    assert_int_equal(WEXITSTATUS(out.status), 7);
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
        cmocka_unit_test(test_endings),
        cmocka_unit_test(test_output_lines),
        cmocka_unit_test_setup_teardown(test_step_texts, setup_root, teardown_root),
        cmocka_unit_test_setup_teardown(test_library_causes, setup_root, teardown_root),
        cmocka_unit_test_setup_teardown(test_version_causes, setup_root, teardown_root),
        cmocka_unit_test_setup_teardown(test_cuda_causes, setup_root, teardown_root),
        cmocka_unit_test_setup_teardown(test_nvml_causes, setup_root, teardown_root),
        cmocka_unit_test_setup_teardown(test_node_causes, setup_root, teardown_root),
        cmocka_unit_test_setup_teardown(test_daemons_client, setup_root, teardown_root),
    };

    return cmocka_run_group_tests_name("verify", tests, be_x86_64, NULL);
}
