/* The daemons that keep containers in a database: Incus and LXD. They are asked by their REST API on their
 * unix socket, by way of libcurl, which is loaded when a socket is there and not before. Sources:
 * doc/rest-api.md and doc/api-extensions.md of either. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

struct nvl_error;
struct nvl_root;

struct nvl_daemon {
    const char *name;   /* "incus": in names of containers */
    const char *title;  /* "Incus" */
    const char *client; /* its command: LXD's is "lxc" */
    const char *folder; /* "/var/lib/incus", below the root */
    const char *start;  /* the command that starts it */
    const char *unit;   /* of systemd */
    bool forgets; /* a change whose version it looked at before another's may still come after that (LXD 5.0
                     holds no lock in between) */
    bool is_snap; /* its programs see a file system of their own, without nvlxc */
};

extern const struct nvl_daemon nvl_daemons[];
extern const size_t nvl_n_daemons;

/* Whether it is installed and has been set up, so that it may have instances: its database exists. 1, 0;
 * -EACCES if the caller may not look, and other errors. */
int nvl_daemon_is_used(const struct nvl_root *root, const struct nvl_daemon *daemon);
/* Where its containers are, as liblxc's -P takes it; the caller frees. */
char *nvl_daemon_lxcpath(const struct nvl_daemon *daemon);

#define NVL_DAEMON_SECONDS 10 /* an answer takes no longer */
#define NVL_CHANGE_SECONDS 30 /* nor a change: after a failed start, Incus lets one wait for ten */

struct nvl_answer {
    json_t *metadata; /* NULL for none */
    char *etag;       /* the version of what was asked for; NULL for none */
};
void nvl_answer_clear(struct nvl_answer *answer);
/* GET of a path below the API, "/1.0/instances?recursion=1". Errors: -ECONNREFUSED and -ENOENT if the daemon
 * does not run, -ETIMEDOUT if it does not answer, -EACCES, -ENXIO for what it does not know (404), -EPROTO
 * for an answer that is none; each says what to do. */
int nvl_daemon_get(const struct nvl_root *root, const struct nvl_daemon *daemon, const char *path,
                   struct nvl_answer *answer, struct nvl_error *err);
/* PATCH of it, if its version is still `etag`: else -EAGAIN. -EBUSY while the instance starts or stops. */
int nvl_daemon_patch(const struct nvl_root *root, const struct nvl_daemon *daemon, const char *path,
                     const char *etag, const json_t *body, struct nvl_error *err);
