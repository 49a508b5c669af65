/* Workloads that verify tries by running them: PyTorch, TensorFlow, ffmpeg. */
#include "verify/workloads.h"

#include <stdio.h>
#include <sys/wait.h>

#include "inside/run.h"
#include "verify/causes.h"
#include "verify/parts.h"
#include "doctor/facts.h"
#include "verify/session.h"
#include "verify/verify.h"

#define PYTHON_SECONDS 180u
#define FFMPEG_SECONDS 60u

char *nvl_output_line(const struct nvl_output *out, const char *pattern)
{
    nvl_autofree char *found = NULL;
    const char *line;
    size_t len, pos = 0;

    while (nvl_next_line(out->text, out->len, &pos, &line, &len)) {
        nvl_autofree char *text = nvl_printable(line, len, 300);
        if (text[strspn(text, " ?")] == '\0' || (pattern != NULL && strstr(text, pattern) == NULL))
            continue;
        free(found);
        found = TAKE_PTR(text);
        if (pattern != NULL)
            break;
    }
    return TAKE_PTR(found);
}

void nvl_workload_absent(struct nvl_verify *v, const char *id, const char *looked_for)
{
    struct nvl_step *step = nvl_step_add(v, id, NVL_STEP_FAIL, "not found in the container: %s", looked_for);

    nvl_step_cause(step, "it is not installed there, or in a place that nvlxc does not know");
}

/* A message of a program, and what it means. */
struct known_message {
    const char *pattern;
    int cuda; /* the CUDA error behind it, 0 for none */
    const char *cause;
    struct nvl_fix fix;
};

/* Sets the cause by the first message of the list (which ends with a NULL pattern) that is in the output.
 * False for none. */
static bool find_cause_of_message(const struct nvl_verify *v, const struct known_message *list,
                                  const struct nvl_output *out, struct nvl_step *step)
{
    for (; list->pattern != NULL; list++) {
        if (memmem(out->text, out->len, list->pattern, strlen(list->pattern)) == NULL)
            continue;
        if (list->cuda != 0) {
            nvl_cause_of_cuda(v, list->cuda, step);
            return true;
        }
        nvl_step_cause(step, "%s", list->cause);
        nvl_step_fix_from_table(v, step, &list->fix);
        return true;
    }
    return false;
}

/* A failure whose reason was not recognized. */
static void fail_workload(struct nvl_verify *v, const char *id, const char *what,
                          const struct nvl_output *out, unsigned seconds, const struct known_message *list)
{
    nvl_autofree char *ending = nvl_output_ending(out, seconds), *last = nvl_output_line(out, NULL);
    struct nvl_step *step = nvl_step_add(v, id, NVL_STEP_FAIL, "%s: %s%s%s", what, ending,
                                         last != NULL ? ": " : "", last != NULL ? last : "");

    if (find_cause_of_message(v, list, out, step))
        return;
    if (out->timed_out)
        nvl_step_cause(step, "it does not end by itself");
    else
        nvl_step_cause(step,
                       "CUDA itself works in this container: the fault is in this program or its packages");
}

/* If CUDA does not work, a program that uses it tells nothing new. */
static bool is_blocked(struct nvl_verify *v, const char *id)
{
    if (v->cuda_works)
        return false;
    if (v->cuda_why_not != NULL)
        nvl_step_add(v, id, NVL_STEP_SKIP, "the step %s failed", v->cuda_why_not);
    else
        nvl_step_add(v, id, NVL_STEP_SKIP, "the capability compute is not granted");
    return true;
}

/* A Python package, and the work to do with it. 256 x 256 ones times themselves, summed, are 2^24 exactly. */
struct python_work {
    const char *id, *package, *code;
    const struct known_message *messages;
};
#define PYTHON_DONE "nvlxc sum 16777216"

/* Whether PREFIX/lib/python3*[/dist-packages, site-packages] has the package. */
static bool has_package(const struct nvl_root *rootfs, const char *prefix, const char *package)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    nvl_autofree char *lib = nvl_xasprintf("%s/lib", prefix);

    nvl_root_list(rootfs, lib, &names);
    for (size_t i = 0; i < names.count; i++) {
        if (!nvl_has_prefix(names.items[i], "python3"))
            continue;
        nvl_autofree char *site = nvl_xasprintf("%s/%s/site-packages/%s", lib, names.items[i], package);
        nvl_autofree char *dist = nvl_xasprintf("%s/%s/dist-packages/%s", lib, names.items[i], package);
        if (nvl_root_exists(rootfs, site) || nvl_root_exists(rootfs, dist))
            return true;
    }
    return false;
}

/* The Python that has the package; NULL for none. The caller frees. */
static char *find_python(const struct nvl_verify *v, const char *package)
{
    static const char *const usual[] = {"/usr",  "/usr/local", "/opt/conda",
                                        "/venv", "/root/venv", "/root/miniconda3"};
    nvl_auto(nvl_strv_clear) struct nvl_strv prefixes = {0}, opt = {0};
    const struct nvl_root *rootfs = &v->facts->rootfs;

    for (size_t i = 0; i < NVL_LENGTH(usual); i++)
        nvl_strv_push(&prefixes, usual[i]);
    nvl_root_list(rootfs, "/opt", &opt);
    for (size_t i = 0; i < opt.count && i < 64; i++) {
        nvl_strv_pushf(&prefixes, "/opt/%s", opt.items[i]);
        nvl_strv_pushf(&prefixes, "/opt/%s/venv", opt.items[i]);
        nvl_strv_pushf(&prefixes, "/opt/%s/.venv", opt.items[i]);
    }
    for (size_t i = 0; i < prefixes.count; i++) {
        nvl_autofree char *python = nvl_xasprintf("%s/bin/python3", prefixes.items[i]);
        /* packages in /usr/local/lib also belong to Debian's own Python */
        bool has = has_package(rootfs, prefixes.items[i], package) ||
                   (strcmp(prefixes.items[i], "/usr") == 0 && has_package(rootfs, "/usr/local", package));
        if (has && nvl_root_exists(rootfs, python))
            return TAKE_PTR(python);
    }
    return NULL;
}

static void verify_python(struct nvl_verify *v, const struct python_work *w, bool asked_for)
{
    nvl_auto(nvl_output_clear) struct nvl_output out = {0};
    nvl_autofree char *python = find_python(v, w->package);

    if (python == NULL) {
        nvl_autofree char *what = nvl_xasprintf("the Python package %s", w->package);
        if (asked_for)
            nvl_workload_absent(v, w->id, what);
        return;
    }
    if (is_blocked(v, w->id))
        return;
    const char *const argv[] = {python, "-c", w->code, NULL};
    nvl_verify_program(v, argv, NULL, PYTHON_SECONDS, &out);
    nvl_autofree char *done = nvl_output_line(&out, PYTHON_DONE),
                      *version = nvl_output_line(&out, "nvlxc with ");
    if (done != NULL && !out.timed_out && out.error == 0 && out.status == 0)
        nvl_step_add(v, w->id, NVL_STEP_PASS, "%s, %s; a product of matrices is right", python,
                     version != NULL ? version + strlen("nvlxc with ") : "?");
    else
        fail_workload(v, w->id, python, &out, nvl_verify_seconds(v, PYTHON_SECONDS), w->messages);
}

static void verify_pytorch(struct nvl_verify *v, bool asked_for)
{
    static const struct known_message messages[] = {
        {"CUDA unknown error", 999, NULL, {NULL, NVL_FIX_ALL}},
        {"Found no NVIDIA driver", 100, NULL, {NULL, NVL_FIX_ALL}},
        {"nvlxc without CUDA",
         0,
         "this PyTorch build supports only the CPU",
         {"in the container: pip install --force-reinstall torch (from PyTorch's CUDA index)", NVL_FIX_ALL}},
        {"no kernel image is available",
         0,
         "this PyTorch has no code for this GPU: the GPU is too old, or too new",
         {"in the container: install a PyTorch that names the GPU's architecture in "
          "torch.cuda.get_arch_list()",
          NVL_FIX_ALL}},
        {"driver on your system is too old",
         0,
         "this PyTorch needs a newer CUDA than the host's driver has",
         {"install a newer driver on the host, or a PyTorch built for an older CUDA", NVL_FIX_ALL}},
        {"out of memory", 2, NULL, {NULL, NVL_FIX_ALL}},
        {NULL, 0, NULL, {NULL, NVL_FIX_ALL}},
    };
    static const struct python_work work = {
        "pytorch", "torch",
        "import torch\n"
        "if torch.version.cuda is None:\n"
        "    raise SystemExit('nvlxc without CUDA')\n"
        "a = torch.ones(256, 256, device='cuda')\n"
        "names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]\n"
        "print('nvlxc with', torch.__version__, names)\n"
        "print('nvlxc sum', int((a @ a).sum().item()))\n",
        messages};

    verify_python(v, &work, asked_for);
}

static void verify_tensorflow(struct nvl_verify *v, bool asked_for)
{
    static const struct known_message messages[] = {
        {"failed call to cuInit: CUDA_ERROR_UNKNOWN", 999, NULL, {NULL, NVL_FIX_ALL}},
        {"failed call to cuInit: CUDA_ERROR_NO_DEVICE", 100, NULL, {NULL, NVL_FIX_ALL}},
        {"Could not find cuda drivers",
         0,
         "the container's loader does not find libcuda.so.1 for TensorFlow",
         {"in the container: ldconfig", NVL_FIX_ALL}},
        {"Cannot dlopen some GPU libraries",
         0,
         "TensorFlow lacks libraries of CUDA's toolkit (such as cuDNN), which are not part of the driver",
         {"in the container: pip install 'tensorflow[and-cuda]'", NVL_FIX_ALL}},
        {"nvlxc without CUDA",
         0,
         "this TensorFlow build supports only the CPU",
         {"in the container: pip install 'tensorflow[and-cuda]'", NVL_FIX_ALL}},
        {NULL, 0, NULL, {NULL, NVL_FIX_ALL}},
    };
    static const struct python_work work = {"tensorflow", "tensorflow",
                                            "import tensorflow as tf\n"
                                            "if not tf.test.is_built_with_cuda():\n"
                                            "    raise SystemExit('nvlxc without CUDA')\n"
                                            "gpus = tf.config.list_physical_devices('GPU')\n"
                                            "if not gpus:\n"
                                            "    raise SystemExit('TensorFlow lists no GPU')\n"
                                            "print('nvlxc with', tf.__version__, [g.name for g in gpus])\n"
                                            "with tf.device('/GPU:0'):\n"
                                            "    a = tf.ones([256, 256])\n"
                                            "    print('nvlxc sum', int(tf.reduce_sum(tf.matmul(a, a))))\n",
                                            messages};

    verify_python(v, &work, asked_for);
}

static const struct known_message ffmpeg_messages[] = {
    {"Unknown encoder",
     0,
     "this ffmpeg is built without NVENC",
     {"in the container: use jellyfin-ffmpeg, or "
      "another build with --enable-nvenc",
      NVL_FIX_ALL}},
    {"Cannot load libcuda.so.1",
     0,
     "the container's loader does not find libcuda.so.1 for ffmpeg",
     {"in the container: ldconfig", NVL_FIX_ALL}},
    {"Cannot load libnvidia-encode.so.1",
     0,
     "libnvidia-encode.so.1 or libnvcuvid.so.1, which it needs, is not in the container",
     {"libnvidia-encode1 libnvcuvid1", NVL_FIX_LIBRARIES}},
    {"CUDA_ERROR_NO_DEVICE", 100, NULL, {NULL, NVL_FIX_ALL}},
    {"CUDA_ERROR_UNKNOWN", 999, NULL, {NULL, NVL_FIX_ALL}},
    {"Driver does not support the required nvenc API version",
     0,
     "this ffmpeg was built for a newer NVENC interface than the host's driver has",
     {"install a newer driver on the host, or an older ffmpeg", NVL_FIX_ALL}},
    {"OpenEncodeSessionEx failed: out of memory",
     0,
     "the GPU's memory is full, or its number of encoding sessions (3 to 12 on GeForce) is used up",
     {"nvidia-smi --query-gpu=encoder.stats.sessionCount,memory.used --format=csv", NVL_FIX_ALL}},
    {"unsupported device",
     0,
     "this GPU has no NVENC encoder for H.264 (A100, H100 and a few others)",
     {NULL, NVL_FIX_ALL}},
    {"No capable devices found",
     0,
     "this GPU has no NVENC encoder for H.264 (A100, H100 and a few others)",
     {NULL, NVL_FIX_ALL}},
    {NULL, 0, NULL, {NULL, NVL_FIX_ALL}},
};

/* As the workload's user if there is one: that user must be able to do it. */
static void verify_ffmpeg(struct nvl_verify *v, bool asked_for)
{
    static const char *const paths[] = {"/usr/lib/jellyfin-ffmpeg/ffmpeg", "/usr/local/bin/ffmpeg",
                                        "/usr/bin/ffmpeg", NULL};
    const char *path = nvl_verify_find(v, paths);
    const struct nvl_account *user = v->user.name != NULL ? &v->user : NULL;
    nvl_auto(nvl_output_clear) struct nvl_output out = {0};

    if (path == NULL) {
        if (asked_for)
            nvl_workload_absent(v, "ffmpeg", "ffmpeg, jellyfin-ffmpeg");
        return;
    }
    if ((v->capabilities & NVL_CAP_VIDEO) == 0) {
        struct nvl_step *step = nvl_step_add(v, "ffmpeg", asked_for ? NVL_STEP_FAIL : NVL_STEP_SKIP,
                                             "the capability video is not granted");
        if (asked_for) {
            nvl_step_cause(step, "encoding and decoding belong to the capability video");
            nvl_step_fix(step, "nvlxc attach %s --capabilities compute,utility,video\n%s", v->request->name,
                         v->request->restart);
        }
        return;
    }
    if (is_blocked(v, "ffmpeg"))
        return;
    const char *const argv[] = {path,
                                "-hide_banner",
                                "-nostdin",
                                "-loglevel",
                                "error",
                                "-f",
                                "lavfi",
                                "-i",
                                "color=c=gray:s=320x240:r=25",
                                "-frames:v",
                                "5",
                                "-c:v",
                                "h264_nvenc",
                                "-f",
                                "null",
                                "-",
                                NULL};
    nvl_verify_program(v, argv, user, FFMPEG_SECONDS, &out);
    if (!out.timed_out && out.error == 0 && out.status == 0)
        nvl_step_add(v, "ffmpeg", NVL_STEP_PASS, "%s encoded 5 frames with h264_nvenc%s%s", path,
                     user != NULL ? " as " : "", user != NULL ? user->name : "");
    else
        fail_workload(v, "ffmpeg", path, &out, nvl_verify_seconds(v, FFMPEG_SECONDS), ffmpeg_messages);
}

const struct nvl_workload nvl_workload_pytorch = {"pytorch", NULL, verify_pytorch};
const struct nvl_workload nvl_workload_tensorflow = {"tensorflow", NULL, verify_tensorflow};
const struct nvl_workload nvl_workload_ffmpeg = {"ffmpeg", "jellyfin", verify_ffmpeg};
