/* Asks a daemon over HTTP. libcurl is loaded for the first question (docs/performance.md). */
#include "container/daemon.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/error.h"
#include "base/root.h"
#include "base/text.h"

#define ANSWER_MAX      (64u << 20)
#define CONNECT_SECONDS 5L

/* Debian's packages, and LXD's snap. */
const struct nvl_daemon nvl_daemons[] = {
    {"incus", "Incus", "incus", "/var/lib/incus", "systemctl start incus", "incus", false, false},
    {"lxd", "LXD", "lxc", "/var/lib/lxd", "systemctl start lxd", "lxd", true, false},
    {"lxd", "LXD", "lxc", "/var/snap/lxd/common/lxd", "snap start lxd", "snap.lxd.daemon", true, true},
};
const size_t nvl_n_daemons = NVL_LENGTH(nvl_daemons);

int nvl_daemon_is_used(const struct nvl_root *root, const struct nvl_daemon *daemon)
{
    nvl_autofree char *path = nvl_xasprintf("%s/database", daemon->folder);
    struct stat st;
    int r = nvl_root_stat(root, path, 0, &st);

    return r == 0 ? S_ISDIR(st.st_mode) : r == -ENOENT || r == -ENOTDIR ? 0 : r;
}

char *nvl_daemon_lxcpath(const struct nvl_daemon *daemon)
{
    return nvl_xasprintf("%s/containers", daemon->folder);
}

/* ---- libcurl ---- */

static struct {
    typeof(curl_easy_init) *init;
    typeof(curl_easy_setopt) *setopt;
    typeof(curl_easy_perform) *perform;
    typeof(curl_easy_getinfo) *getinfo;
    typeof(curl_easy_cleanup) *cleanup;
    typeof(curl_easy_strerror) *strerror;
    typeof(curl_slist_append) *append;
    typeof(curl_slist_free_all) *free_all;
} curl;

static int load_curl(struct nvl_error *err)
{
    void *library = curl.init == NULL ? dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL) : NULL;

    if (curl.init != NULL)
        return 0;
    if (library != NULL) {
        curl.setopt = (typeof(curl.setopt))dlsym(library, "curl_easy_setopt");
        curl.perform = (typeof(curl.perform))dlsym(library, "curl_easy_perform");
        curl.getinfo = (typeof(curl.getinfo))dlsym(library, "curl_easy_getinfo");
        curl.cleanup = (typeof(curl.cleanup))dlsym(library, "curl_easy_cleanup");
        curl.strerror = (typeof(curl.strerror))dlsym(library, "curl_easy_strerror");
        curl.append = (typeof(curl.append))dlsym(library, "curl_slist_append");
        curl.free_all = (typeof(curl.free_all))dlsym(library, "curl_slist_free_all");
        curl.init = (typeof(curl.init))dlsym(library, "curl_easy_init");
    }
    if (curl.init != NULL && curl.setopt != NULL && curl.perform != NULL && curl.getinfo != NULL &&
        curl.cleanup != NULL && curl.strerror != NULL && curl.append != NULL && curl.free_all != NULL)
        return 0;
    curl.init = NULL;
    nvl_error_host(err, -ENOSYS, "libcurl.so.4 cannot be loaded, by which nvlxc asks Incus and LXD: %s",
                   library == NULL ? dlerror() : "it lacks functions");
    nvl_error_hint(err, "apt install libcurl4");
    return -ENOSYS;
}

/* ---- the socket ---- */

/* As the daemon's own client looks for it. The descriptor stands for it: no link of a captured host leads
 * out of it. */
static int open_socket(const struct nvl_root *root, const struct nvl_daemon *daemon)
{
    nvl_autofree char *in_run = nvl_xasprintf("/run/%s/unix.socket", daemon->name);
    nvl_autofree char *in_folder = nvl_xasprintf("%s/unix.socket", daemon->folder);
    struct stat st;

    int fd = daemon->is_snap ? -ENOENT : nvl_root_openat(root, in_run, O_PATH);
    if (fd == -ENOENT || fd == -ENOTDIR)
        fd = nvl_root_openat(root, in_folder, O_PATH);
    if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISSOCK(st.st_mode))) {
        close(fd);
        return -ENOTSOCK;
    }
    return fd;
}

static int no_connection(const struct nvl_daemon *daemon, int code, struct nvl_error *err)
{
    if (code == -EACCES || code == -EPERM) {
        nvl_error_host(err, code, "%s does not let you ask it: its socket belongs to its administrators",
                       daemon->title);
        nvl_error_hint(err, "run it as root");
        return code;
    }
    const char *why = code == -ENOENT         ? "its socket is absent"
                      : code == -ECONNREFUSED ? "nobody listens on its socket"
                                              : strerror(-code);
    nvl_error_host(err, code, "%s is not running (%s), so its containers are not known", daemon->title, why);
    nvl_error_hint(err, "%s", daemon->start);
    return code;
}

/* ---- one question ---- */

struct question {
    CURL *handle;
    struct nvl_buf body;
    char *etag;
    bool is_too_large;
    struct curl_slist *headers;
    char *sent; /* the body of the question, NULL for none */
    long seconds;
};

static void question_clear(struct question *q)
{
    if (q->handle != NULL)
        curl.cleanup(q->handle);
    if (q->headers != NULL)
        curl.free_all(q->headers);
    nvl_buf_clear(&q->body);
    free(q->etag);
    free(q->sent);
}

static size_t take_body(char *data, size_t size, size_t n, void *question)
{
    struct question *q = question;

    q->is_too_large = size * n > ANSWER_MAX - q->body.len;
    if (q->is_too_large)
        return 0;
    nvl_buf_add(&q->body, data, size * n);
    return size * n;
}

static size_t take_header(char *data, size_t size, size_t n, void *question)
{
    static const char name[] = "etag:";
    const size_t len = strlen(name);
    struct question *q = question;

    if (size * n > len && strncasecmp(data, name, len) == 0) {
        free(q->etag);
        q->etag = nvl_xstrndup(data + len, size * n - len);
        q->etag[strcspn(q->etag, "\r\n")] = '\0';
        memmove(q->etag, q->etag + strspn(q->etag, " "), strlen(q->etag + strspn(q->etag, " ")) + 1);
    }
    return size * n;
}

static void add_header(struct question *q, const char *name, const char *value)
{
    nvl_autofree char *line = nvl_xasprintf("%s: %s", name, value);
    struct curl_slist *longer = curl.append(q->headers, line);

    if (longer == NULL)
        nvl_out_of_memory();
    q->headers = longer;
}

static void set_options(struct question *q, int socket, const char *path)
{
    nvl_autofree char *url = nvl_xasprintf("http://localhost%s", path);
    nvl_autofree char *socket_path = nvl_xasprintf("/proc/self/fd/%d", socket);

    q->handle = curl.init();
    if (q->handle == NULL)
        nvl_out_of_memory();
    curl.setopt(q->handle, CURLOPT_URL, url);
    curl.setopt(q->handle, CURLOPT_UNIX_SOCKET_PATH, socket_path);
    curl.setopt(q->handle, CURLOPT_PROXY, "");
    curl.setopt(q->handle, CURLOPT_NOSIGNAL, 1L);
    curl.setopt(q->handle, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS);
    q->seconds = NVL_DAEMON_SECONDS;
    curl.setopt(q->handle, CURLOPT_TIMEOUT, q->seconds);
    curl.setopt(q->handle, CURLOPT_WRITEFUNCTION, take_body);
    curl.setopt(q->handle, CURLOPT_WRITEDATA, q);
    curl.setopt(q->handle, CURLOPT_HEADERFUNCTION, take_header);
    curl.setopt(q->handle, CURLOPT_HEADERDATA, q);
}

static void set_patch(struct question *q, const char *etag, const json_t *body)
{
    q->sent = json_dumps(body, JSON_COMPACT);
    if (q->sent == NULL)
        nvl_out_of_memory();
    add_header(q, "If-Match", etag);
    add_header(q, "Content-Type", "application/json");
    q->seconds = NVL_CHANGE_SECONDS;
    curl.setopt(q->handle, CURLOPT_TIMEOUT, q->seconds);
    curl.setopt(q->handle, CURLOPT_CUSTOMREQUEST, "PATCH");
    curl.setopt(q->handle, CURLOPT_POSTFIELDS, q->sent);
    curl.setopt(q->handle, CURLOPT_HTTPHEADER, q->headers);
}

static int not_answered(const struct nvl_daemon *daemon, const struct question *q, CURLcode code,
                        struct nvl_error *err)
{
    long number = 0;

    if (code == CURLE_OPERATION_TIMEDOUT) {
        nvl_error_host(err, -ETIMEDOUT, "%s does not answer within %ld s%s", daemon->title, q->seconds,
                       q->sent != NULL ? ", and may still make the change" : "");
        nvl_error_hint(err,
                       "if it is just starting, run the command again; else see what it does: "
                       "journalctl -u %s",
                       daemon->unit);
        return -ETIMEDOUT;
    }
    curl.getinfo(q->handle, CURLINFO_OS_ERRNO, &number);
    if (code == CURLE_COULDNT_CONNECT)
        return no_connection(daemon, number != 0 ? (int)-number : -ECONNREFUSED, err);
    if (q->is_too_large)
        return nvl_error_host(err, -EFBIG, "%s answers with more than %u MiB", daemon->title,
                              ANSWER_MAX >> 20);
    nvl_error_host(err, -EPROTO, "%s ends the conversation: %s", daemon->title, curl.strerror(code));
    nvl_error_hint(err, "see what happened to it: journalctl -u %s", daemon->unit);
    return -EPROTO;
}

/* LXD before 5.21 looks at the version, and only then waits for another's change of the instance; when that
 * is done, it gives up, and says this. */
static bool is_overtaken(const char *why)
{
    return why != NULL && strstr(why, "A matching non-reusable operation has now succeeded") != NULL;
}

/* {"type": "error", "error": "…"}: what it does not like. */
static int refused(const struct nvl_daemon *daemon, long status, const json_t *answer, struct nvl_error *err)
{
    const char *why = json_string_value(json_object_get(answer, "error"));
    bool is_busy = why != NULL && strstr(why, "is busy running a") != NULL;
    int code = is_busy                              ? -EBUSY
               : status == 404                      ? -ENXIO
               : status == 403                      ? -EACCES
               : status == 412 || is_overtaken(why) ? -EAGAIN
               : status == 400                      ? -EINVAL
                                                    : -EIO;

    nvl_error_host(err, code, "%s says: %.500s (status %ld)", daemon->title, why != NULL ? why : "nothing",
                   status);
    if (status == 503)
        nvl_error_hint(err, "it is still starting: run the command again in a moment");
    return code;
}

static int accept_answer(const struct nvl_daemon *daemon, struct question *q, struct nvl_answer *answer,
                         struct nvl_error *err)
{
    long status = 0;
    json_error_t ignored;

    curl.getinfo(q->handle, CURLINFO_RESPONSE_CODE, &status);
    json_t *parsed = json_loadb(q->body.data != NULL ? q->body.data : "", q->body.len, 0, &ignored);
    int r = 0;
    if (status != 200)
        r = refused(daemon, status, parsed, err);
    else if (!json_is_object(parsed))
        r = nvl_error_host(err, -EPROTO, "%s gives an answer that is no JSON object", daemon->title);
    if (r == 0 && answer != NULL) {
        answer->metadata = json_incref(json_object_get(parsed, "metadata"));
        answer->etag = TAKE_PTR(q->etag);
    }
    json_decref(parsed);
    return r;
}

static int ask(const struct nvl_root *root, const struct nvl_daemon *daemon, const char *path,
               const char *etag, const json_t *body, struct nvl_answer *answer, struct nvl_error *err)
{
    nvl_auto(question_clear) struct question q = {0};
    int r = load_curl(err);

    if (r < 0)
        return r;
    nvl_autofd int socket = open_socket(root, daemon);
    if (socket < 0)
        return no_connection(daemon, socket, err);
    set_options(&q, socket, path);
    if (body != NULL)
        set_patch(&q, etag, body);
    CURLcode code = curl.perform(q.handle);
    return code != CURLE_OK ? not_answered(daemon, &q, code, err) : accept_answer(daemon, &q, answer, err);
}

int nvl_daemon_get(const struct nvl_root *root, const struct nvl_daemon *daemon, const char *path,
                   struct nvl_answer *answer, struct nvl_error *err)
{
    *answer = (struct nvl_answer){0};
    return ask(root, daemon, path, NULL, NULL, answer, err);
}

int nvl_daemon_patch(const struct nvl_root *root, const struct nvl_daemon *daemon, const char *path,
                     const char *etag, const json_t *body, struct nvl_error *err)
{
    return ask(root, daemon, path, etag, body, NULL, err);
}

void nvl_answer_clear(struct nvl_answer *answer)
{
    json_decref(answer->metadata);
    free(answer->etag);
    *answer = (struct nvl_answer){0};
}
