/* Workloads in Python: a package of it multiplies two matrices on the GPU. */
#include <stdio.h>
#include <sys/wait.h>

#include "verify/parts.h"
#include "verify/workloads.h"
#include "doctor/facts.h"
#include "verify/session.h"
#include "verify/verify.h"

#define PYTHON_SECONDS 180u

/* A Python package, and the work to do with it. 256 x 256 ones times themselves, summed, are 2^24 exactly. */
struct python_work {
    const char *workload, *package, *code;
    const struct nvl_known_message *messages;
    const char *const *prefixes; /* where this workload's own Python is; NULL: anybody's */
    const char *const *services;
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

/* Where people's own Pythons are. */
static void list_usual_prefixes(const struct nvl_root *rootfs, struct nvl_strv *prefixes)
{
    static const char *const usual[] = {"/usr",  "/usr/local", "/opt/conda",
                                        "/venv", "/root/venv", "/root/miniconda3"};
    nvl_auto(nvl_strv_clear) struct nvl_strv opt = {0};

    for (size_t i = 0; i < NVL_LENGTH(usual); i++)
        nvl_strv_push(prefixes, usual[i]);
    nvl_root_list(rootfs, "/opt", &opt);
    for (size_t i = 0; i < opt.count && i < 64; i++) {
        nvl_strv_pushf(prefixes, "/opt/%s", opt.items[i]);
        nvl_strv_pushf(prefixes, "/opt/%s/venv", opt.items[i]);
        nvl_strv_pushf(prefixes, "/opt/%s/.venv", opt.items[i]);
    }
}

/* The Python that has the package; NULL for none. A workload that was asked for may also lie anywhere. */
static char *find_python(const struct nvl_verify *v, const struct python_work *w, bool asked_for)
{
    const struct nvl_root *rootfs = &v->facts->rootfs;
    nvl_auto(nvl_strv_clear) struct nvl_strv prefixes = {0};

    for (const char *const *prefix = w->prefixes; prefix != NULL && *prefix != NULL; prefix++)
        nvl_strv_push(&prefixes, *prefix);
    if (w->prefixes == NULL || asked_for)
        list_usual_prefixes(rootfs, &prefixes);
    for (size_t i = 0; i < prefixes.count; i++) {
        nvl_autofree char *python = nvl_xasprintf("%s/bin/python3", prefixes.items[i]);
        /* packages in /usr/local/lib also belong to Debian's own Python */
        bool has = has_package(rootfs, prefixes.items[i], w->package) ||
                   (strcmp(prefixes.items[i], "/usr") == 0 && has_package(rootfs, "/usr/local", w->package));
        if (has && nvl_root_exists(rootfs, python))
            return TAKE_PTR(python);
    }
    return NULL;
}

static const struct nvl_known_message torch_messages[] = {
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

static const struct nvl_known_message tensorflow_messages[] = {
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

static const struct nvl_known_message onnx_messages[] = {
    {"nvlxc without CUDA",
     0,
     "this onnxruntime supports only the CPU",
     {"in the container: install onnxruntime-gpu in its place (Immich: machine-learning with the extra cuda)",
      NVL_FIX_ALL}},
    {"libcudnn",
     0,
     "onnxruntime lacks cuDNN, which is not part of the driver",
     {"in the container: install cuDNN 9 for the CUDA version of its onnxruntime-gpu", NVL_FIX_ALL}},
    {"libcublas",
     0,
     "onnxruntime lacks libraries of CUDA's toolkit, which are not part of the driver",
     {"in the container: install the CUDA runtime for its onnxruntime-gpu", NVL_FIX_ALL}},
    {"CUDA failure 100", 100, NULL, {NULL, NVL_FIX_ALL}},
    {"CUDA failure 999", 999, NULL, {NULL, NVL_FIX_ALL}},
    {"CUDA failure 35",
     0,
     "this onnxruntime needs a newer CUDA than the host's driver has",
     {"install a newer driver on the host, or an older onnxruntime-gpu", NVL_FIX_ALL}},
    {NULL, 0, NULL, {NULL, NVL_FIX_ALL}},
};

static const char torch_code[] =
    "import torch\n"
    "if torch.version.cuda is None:\n"
    "    raise SystemExit('nvlxc without CUDA')\n"
    "a = torch.ones(256, 256, device='cuda')\n"
    "names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]\n"
    "print('nvlxc with', torch.__version__, names)\n"
    "print('nvlxc sum', int((a @ a).sum().item()))\n";

static const char tensorflow_code[] = "import tensorflow as tf\n"
                                      "if not tf.test.is_built_with_cuda():\n"
                                      "    raise SystemExit('nvlxc without CUDA')\n"
                                      "gpus = tf.config.list_physical_devices('GPU')\n"
                                      "if not gpus:\n"
                                      "    raise SystemExit('TensorFlow lists no GPU')\n"
                                      "print('nvlxc with', tf.__version__, [g.name for g in gpus])\n"
                                      "with tf.device('/GPU:0'):\n"
                                      "    a = tf.ones([256, 256])\n"
                                      "    print('nvlxc sum', int(tf.reduce_sum(tf.matmul(a, a))))\n";

/* The model is y = x times x, in ONNX's own form: IR version 8, operators of version 13. */
static const char onnx_code[] =
    "import numpy, onnxruntime as o\n"
    "have = o.get_available_providers()\n"
    "if 'CUDAExecutionProvider' not in have:\n"
    "    raise SystemExit('nvlxc without CUDA')\n"
    "def field(n, b): return bytes([n << 3 | 2, len(b)]) + b\n"
    "dim = field(1, b'\\x08\\x80\\x02')\n"
    "def tensor(name): return field(1, name) + field(2, field(1, b'\\x08\\x01' + field(2, dim + dim)))\n"
    "node = field(1, b'x') + field(1, b'x') + field(2, b'y') + field(4, b'MatMul')\n"
    "graph = field(1, node) + field(2, b'g') + field(11, tensor(b'x')) + field(12, tensor(b'y'))\n"
    "model = b'\\x08\\x08' + field(7, graph) + field(8, b'\\x10\\x0d')\n"
    "s = o.InferenceSession(model, providers=['CUDAExecutionProvider'])\n"
    "if 'CUDAExecutionProvider' not in s.get_providers():\n"
    "    raise SystemExit('onnxruntime fell back to ' + s.get_providers()[0])\n"
    "print('nvlxc with', o.__version__, have)\n"
    "a = numpy.ones((256, 256), numpy.float32)\n"
    "print('nvlxc sum', int(s.run(None, {'x': a})[0].sum()))\n";

static const char *const no_services[] = {NULL};

/* Programs of their own come before Pythons that are anybody's. */
static const struct python_work python_works[] = {
    {"open-webui", "torch", torch_code, torch_messages,
     (const char *const[]){"/root/.local/share/uv/tools/open-webui", "/opt/open-webui/venv",
                           "/opt/open-webui/.venv", "/opt/open-webui", "/opt/openwebui/venv",
                           "/opt/openwebui/.venv", "/opt/openwebui", NULL},
     (const char *const[]){"open-webui", "openwebui", NULL}},
    {"immich", "onnxruntime", onnx_code, onnx_messages,
     (const char *const[]){"/opt/immich/app/machine-learning/ml-venv",
                           "/opt/immich/app/machine-learning/venv", "/opt/immich/app/machine-learning/.venv",
                           "/opt/immich/machine-learning/venv", "/opt/immich/machine-learning/.venv",
                           "/var/lib/immich/app/machine-learning/venv",
                           "/home/immich/app/machine-learning/venv", NULL},
     (const char *const[]){"immich-ml", "immich-machine-learning", NULL}},
    {"pytorch", "torch", torch_code, torch_messages, NULL, no_services},
    {"tensorflow", "tensorflow", tensorflow_code, tensorflow_messages, NULL, no_services},
};

/* "the Python package torch", and where a workload's own may be. */
static void say_absent(struct nvl_verify *v, const struct python_work *w)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv places = {0};

    for (const char *const *prefix = w->prefixes; prefix != NULL && *prefix != NULL; prefix++)
        nvl_strv_push(&places, *prefix);
    nvl_autofree char *list = nvl_strv_join(&places, ", "),
                      *what = nvl_xasprintf("the Python package %s%s%s", w->package,
                                            places.count > 0 ? " in " : "", list);
    nvl_workload_absent(v, w->workload, what);
}

static void run_python(struct nvl_verify *v, const struct python_work *w, const char *python)
{
    nvl_auto(nvl_output_clear) struct nvl_output out = {0};
    nvl_auto(nvl_account_clear) struct nvl_account user = {0};
    const char *const argv[] = {python, "-c", w->code, NULL};
    bool has_user = nvl_workload_user(v, w->services, &user);

    nvl_verify_program(v, argv, has_user ? &user : NULL, PYTHON_SECONDS, &out);
    nvl_autofree char *done = nvl_output_line(&out, PYTHON_DONE),
                      *version = nvl_output_line(&out, "nvlxc with ");
    if (done == NULL || out.timed_out || out.error != 0 || out.status != 0) {
        nvl_workload_fail(v, w->workload, python, &out, nvl_verify_seconds(v, PYTHON_SECONDS), w->messages);
        return;
    }
    struct nvl_step *step =
        nvl_step_add(v, w->workload, NVL_STEP_PASS, "%s, %s; a product of matrices is right", python,
                     version != NULL ? version + strlen("nvlxc with ") : "?");
    nvl_workload_is_closed(v, w->services, step);
}

static void verify_python(struct nvl_verify *v)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv tried = {0};

    for (size_t i = 0; i < NVL_LENGTH(python_works); i++) {
        const struct python_work *w = &python_works[i];
        bool asked = nvl_workload_is_asked(v, w->workload, NULL);
        if (!asked && v->request->workload != NULL)
            continue;
        nvl_autofree char *python = find_python(v, w, asked),
                          *work = nvl_xasprintf("%s %s", w->package, python != NULL ? python : "");
        if (python == NULL) {
            if (asked)
                say_absent(v, w);
        } else if (!nvl_strv_contains(&tried, work) && !nvl_workload_is_blocked(v, w->workload)) {
            run_python(v, w, python);
        }
        nvl_strv_push(&tried, work);
    }
}

const struct nvl_verify_part nvl_part_python = {verify_python};
