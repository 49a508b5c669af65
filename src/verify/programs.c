/* Workloads that encode and decode video: their own program encodes a few frames with NVENC. */
#include <stdio.h>
#include <sys/wait.h>

#include "verify/parts.h"
#include "verify/workloads.h"
#include "doctor/container/shared.h"
#include "doctor/facts.h"
#include "verify/session.h"
#include "verify/verify.h"

#define SECONDS 60u

/* Each is a build of ffmpeg. */
struct program_work {
    const char *workload, *id;
    const char *const *paths; /* where it is; ends with NULL */
    const char *const *services;
    const struct nvl_known_message *messages; /* that it alone has; NULL for none */
    const char *library_path;                 /* that its service sets, NULL for none */
    bool opens_device; /* opens the GPU first: it may be built without what makes a picture to encode */
    bool is_extra;     /* a part of the workload that need not be there: said only if it is */
};

static const struct nvl_known_message common_messages[] = {
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

/* Its loader is musl's: https://musl.libc.org, ldso/dynlink.c. */
static const struct nvl_known_message plex_messages[] = {
    {"Cannot load libcuda.so.1",
     0,
     "Plex's transcoder has a loader of its own, which reads no ld.so.cache: it looks for libcuda.so.1 in "
     "/usr/local/lib, where the container's start links it",
     {"nvlxc driver sync", NVL_FIX_THEN_RESTART}},
    {NULL, 0, NULL, {NULL, NVL_FIX_ALL}},
};

static const struct program_work program_works[] = {
    {.workload = "plex",
     .id = "plex",
     .paths = (const char *const[]){"/usr/lib/plexmediaserver/Plex Transcoder", NULL},
     .services = (const char *const[]){"plexmediaserver", NULL},
     .messages = plex_messages,
     .opens_device = true},
    {.workload = "emby",
     .id = "emby",
     .paths = (const char *const[]){"/opt/emby-server/bin/ffmpeg", NULL},
     .services = (const char *const[]){"emby-server", NULL},
     .library_path = "/opt/emby-server/lib:/opt/emby-server/extra/lib"},
    {.workload = "frigate",
     .id = "frigate",
     .paths = (const char *const[]){"/usr/lib/ffmpeg/7.0/bin/ffmpeg", "/usr/lib/ffmpeg/5.0/bin/ffmpeg",
                                    "/usr/lib/btbn-ffmpeg/bin/ffmpeg", NULL},
     .services = (const char *const[]){"frigate", NULL}},
    {.workload = "immich",
     .id = "immich-server",
     .paths = (const char *const[]){"/usr/lib/jellyfin-ffmpeg/ffmpeg", "/usr/bin/ffmpeg", NULL},
     .services = (const char *const[]){"immich-server", "immich-web", "immich", NULL},
     .is_extra = true},
    {.workload = "jellyfin",
     .id = "ffmpeg",
     .paths = (const char *const[]){"/usr/lib/jellyfin-ffmpeg/ffmpeg", NULL},
     .services = (const char *const[]){"jellyfin", NULL}},
    {.workload = "ffmpeg",
     .id = "ffmpeg",
     .paths = (const char *const[]){"/usr/lib/jellyfin-ffmpeg/ffmpeg", "/usr/local/bin/ffmpeg",
                                    "/usr/bin/ffmpeg", NULL},
     .services = (const char *const[]){NULL}},
};

static void say_absent_program(struct nvl_verify *v, const struct program_work *w)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv paths = {0};

    for (const char *const *path = w->paths; *path != NULL; path++)
        nvl_strv_push(&paths, *path);
    nvl_autofree char *list = nvl_strv_join(&paths, ", ");
    nvl_workload_absent(v, w->id, list);
}

static bool has_video(struct nvl_verify *v, const struct program_work *w, bool asked_for)
{
    if ((v->capabilities & NVL_CAP_VIDEO) != 0)
        return true;
    struct nvl_step *step = nvl_step_add(v, w->id, asked_for ? NVL_STEP_FAIL : NVL_STEP_SKIP,
                                         "the capability video is not granted");
    if (asked_for) {
        nvl_step_cause(step, "encoding and decoding belong to the capability video");
        nvl_autofree char *again = nvl_attach_with_capabilities(v->facts, v->capabilities | NVL_CAP_VIDEO);
        nvl_step_fix(step, "%s\n%s", again, v->request->restart);
    }
    return false;
}

/* With the library path that its own service has. */
static void encode(struct nvl_verify *v, const struct program_work *w, const char *path,
                   const struct nvl_account *user, struct nvl_output *out)
{
    static const char *const device[] = {"-init_hw_device", "cuda"},
                             *const work[] = {
                                 "-hide_banner", "-nostdin", "-loglevel", "error",
                                 "-f",           "lavfi",    "-i",        "color=c=gray:s=320x240:r=25",
                                 "-frames:v",    "5",        "-c:v",      "h264_nvenc",
                                 "-f",           "null",     "-",         NULL};
    nvl_autofree const char **argv = NULL;
    size_t n = 0, before = v->environment.count;

    *NVL_APPEND(argv, n) = path;
    for (size_t i = 0; w->opens_device && i < NVL_LENGTH(device); i++)
        *NVL_APPEND(argv, n) = device[i];
    for (size_t i = 0; i < NVL_LENGTH(work); i++)
        *NVL_APPEND(argv, n) = work[i];
    if (w->library_path != NULL)
        nvl_strv_pushf(&v->environment, "LD_LIBRARY_PATH=%s", w->library_path);
    nvl_verify_program(v, argv, user, SECONDS, out);
    while (v->environment.count > before)
        free(v->environment.items[--v->environment.count]);
}

static bool has_said(const struct nvl_output *out, const char *text)
{
    return out->text != NULL && memmem(out->text, out->len, text, strlen(text)) != NULL;
}

static void judge(struct nvl_verify *v, const struct program_work *w, const char *path,
                  const struct nvl_account *user, const struct nvl_output *out)
{
    bool ended = !out->timed_out && out->error == 0;
    bool has_encoded = ended && out->status == 0;
    const char *as = user != NULL ? " as " : "", *name = user != NULL ? user->name : "";
    struct nvl_step *step;

    if (has_encoded) {
        step =
            nvl_step_add(v, w->id, NVL_STEP_PASS, "%s encoded 5 frames with h264_nvenc%s%s", path, as, name);
    } else if (ended && w->opens_device && has_said(out, "Unknown input format")) {
        step =
            nvl_step_add(v, w->id, NVL_STEP_PASS,
                         "%s opened the GPU with CUDA%s%s; it is built without lavfi, so it encoded nothing",
                         path, as, name);
    } else {
        bool is_own = w->messages != NULL && has_said(out, w->messages[0].pattern);
        nvl_workload_fail(v, w->id, path, out, nvl_verify_seconds(v, SECONDS),
                          is_own ? w->messages : common_messages);
        return;
    }
    nvl_workload_is_closed(v, w->services, step);
}

/* As the workload's user if there is one: that user must be able to do it. */
static void try_program(struct nvl_verify *v, const struct program_work *w, const char *path)
{
    nvl_auto(nvl_output_clear) struct nvl_output out = {0};
    nvl_auto(nvl_account_clear) struct nvl_account own = {0};
    bool has_own = v->request->user == NULL && nvl_workload_user(v, w->services, &own);
    const struct nvl_account *user = has_own ? &own : v->user.name != NULL ? &v->user : NULL;

    encode(v, w, path, user, &out);
    judge(v, w, path, user, &out);
}

/* Jellyfin's ffmpeg is also an ffmpeg. */
static bool is_tried(const struct nvl_verify *v, const char *id)
{
    for (size_t i = 0; i < v->steps->count; i++)
        if (strcmp(v->steps->items[i].id, id) == 0)
            return true;
    return false;
}

static void verify_programs(struct nvl_verify *v)
{
    for (size_t i = 0; i < NVL_LENGTH(program_works); i++) {
        const struct program_work *w = &program_works[i];
        const char *path = nvl_verify_find(v, w->paths);
        bool asked = nvl_workload_is_asked(v, w->workload, NULL);
        if (!asked && (v->request->workload != NULL || path == NULL || w->is_extra || is_tried(v, w->id)))
            continue;
        if (path == NULL) {
            if (!w->is_extra)
                say_absent_program(v, w);
        } else if (has_video(v, w, asked) && !nvl_workload_is_blocked(v, w->id)) {
            try_program(v, w, path);
        }
    }
}

const struct nvl_verify_part nvl_part_programs = {verify_programs};
