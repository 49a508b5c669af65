/* Users and groups of a root file system, from its own /etc/passwd and /etc/group. Hostile text: root there
 * writes it. The C library's getpwnam and the like know only the machine. */
#pragma once

#include <grp.h>
#include <pwd.h>
#include <stdio.h>

#include "base/root.h"

/* The entries of one of the two files, as the C library parses them: it skips malformed lines and those of
 * NIS ("+",
 * "-"). Zero-initialize. */
struct nvl_accounts {
    FILE *file;
    char *text, *fields; /* of the file; of the last returned entry */
    size_t size;         /* of `fields` */
};
/* Reads at most `max` bytes of file (-EFBIG beyond). An entry takes up to six times as much memory. */
int nvl_accounts_open(struct nvl_accounts *accounts, const struct nvl_root *root, const char *path,
                      size_t max);
/* NULL at the end. The result is valid until the next call. An id out of range is (uid_t)-1 or (gid_t)-1. */
const struct passwd *nvl_accounts_next_user(struct nvl_accounts *accounts, struct passwd *user);
const struct group *nvl_accounts_next_group(struct nvl_accounts *accounts, struct group *group);
void nvl_accounts_close(struct nvl_accounts *accounts);

#define NVL_ACCOUNT_GROUPS 32
struct nvl_account {
    char *name, *home;
    uid_t uid; /* as the root file system has it */
    gid_t gid;
    gid_t groups[NVL_ACCOUNT_GROUPS]; /* the primary one first */
    size_t n_groups;
};

/* Finds the user of that name, with its groups. -ENOENT if there is none, -EINVAL if it has no usable ids. */
int nvl_account_find(const struct nvl_root *root, const char *name, struct nvl_account *account);
void nvl_account_clear(struct nvl_account *account);
/* The number of a group by its name ("render"); false if there is none. */
bool nvl_group_find(const struct nvl_root *root, const char *name, gid_t *gid);
