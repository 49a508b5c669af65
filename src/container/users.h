/* The users of a host whose containers are in their homes: to find, read and write them. */
#pragma once

#include <sys/types.h>

#include "base/text.h"

struct nvl_error;
struct nvl_root;

struct nvl_user {
    char *name, *home;
    uid_t uid;
    gid_t gid;
    bool logs_in; /* has a shell */
};

struct nvl_users {
    struct nvl_user *items;
    size_t count;
};

/* The users of /etc/passwd except root, by name, one for each home. None if the file is absent. */
int nvl_users_read(const struct nvl_root *root, struct nvl_users *users, struct nvl_error *err);
void nvl_users_clear(struct nvl_users *users);

/* The users with a range of ids in /etc/subuid: without one, the root of a user's container is the user. */
struct nvl_id_ranges {
    bool is_known;
    struct nvl_strv owners; /* names and uids, sorted */
};
/* Unknown if the file cannot be read, or if nsswitch.conf takes ids from elsewhere. */
void nvl_id_ranges_read(const struct nvl_root *root, struct nvl_id_ranges *ranges);
/* True also if it is unknown. */
bool nvl_id_ranges_has(const struct nvl_id_ranges *ranges, const struct nvl_user *user);
void nvl_id_ranges_clear(struct nvl_id_ranges *ranges);

/* Where a path that a user chose is resolved: below the home, so that no link leads out of it; elsewhere from
 * the host's root. *inside is the path there (points into path). The caller closes `place`. */
int nvl_user_open_place(const struct nvl_root *root, const struct nvl_user *user, const char *path,
                        struct nvl_root *place, const char **inside);
/* A visit (base/visit.h) to what belongs to a user: a home may be on a file system that never answers. */
int nvl_user_visit(const struct nvl_root *root, const struct nvl_user *user);
/* Between the two, files are looked up with the user's rights, and no others: what a user names in a config
 * must be something that the user could reach. Only root does so, and not on a captured host. */
struct nvl_own_rights {
    bool is_changed;
    gid_t *groups;
    int n_groups, end_signal;
};
void nvl_user_become(const struct nvl_root *root, const struct nvl_user *user, struct nvl_own_rights *own);
void nvl_user_resume(struct nvl_own_rights *own);
/* Whether the path is below the home. */
bool nvl_user_owns_path(const struct nvl_user *user, const char *path);
