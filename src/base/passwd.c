/* passwd(5) and group(5) through glibc's fgetpwent_r and fgetgrent_r, with which programs of the container
 * parse them too. Both only parse and do not use NSS, so a static program may call them. */
#include "base/passwd.h"

#include <errno.h>

#define FILE_MAX (4u << 20) /* for a container's file */

int nvl_accounts_open(struct nvl_accounts *accounts, const struct nvl_root *root, const char *path,
                      size_t max)
{
    size_t len;

    *accounts = (struct nvl_accounts){0};
    int r = nvl_root_read(root, path, max, &accounts->text, &len);
    if (r < 0)
        return r;
    /* a line can be the whole file; each member of a group takes a pointer and two bytes of the line */
    accounts->size = 5 * len + 1024;
    accounts->fields = nvl_xrealloc(NULL, accounts->size, 1);
    accounts->file =
        fmemopen(accounts->text, len + 1, "r"); /* with its NUL, since it rejects an empty buffer */
    return accounts->file != NULL ? 0 : -errno;
}

/* Lines of NIS, nsswitch.conf(5): they name users of another source, or no user. */
static bool is_compat(const char *name)
{
    return name[0] == '+' || name[0] == '-';
}

const struct passwd *nvl_accounts_next_user(struct nvl_accounts *accounts, struct passwd *user)
{
    struct passwd *found;

    do {
        if (fgetpwent_r(accounts->file, user, accounts->fields, accounts->size, &found) != 0)
            return NULL;
    } while (is_compat(user->pw_name));
    return user;
}

const struct group *nvl_accounts_next_group(struct nvl_accounts *accounts, struct group *group)
{
    struct group *found;

    do {
        if (fgetgrent_r(accounts->file, group, accounts->fields, accounts->size, &found) != 0)
            return NULL;
    } while (is_compat(group->gr_name));
    return group;
}

void nvl_accounts_close(struct nvl_accounts *accounts)
{
    if (accounts->file != NULL)
        fclose(accounts->file);
    free(accounts->text);
    free(accounts->fields);
    *accounts = (struct nvl_accounts){0};
}

static bool is_member(const struct group *group, const char *name)
{
    for (char **member = group->gr_mem; *member != NULL; member++)
        if (strcmp(*member, name) == 0)
            return true;
    return false;
}

/* "render:x:104:jellyfin,plex" */
static void read_groups(const struct nvl_root *root, struct nvl_account *account)
{
    nvl_auto(nvl_accounts_close) struct nvl_accounts groups = {0};
    struct group group;

    account->groups[account->n_groups++] = account->gid;
    if (nvl_accounts_open(&groups, root, "/etc/group", FILE_MAX) < 0)
        return;
    while (account->n_groups < NVL_ACCOUNT_GROUPS && nvl_accounts_next_group(&groups, &group) != NULL)
        if (is_member(&group, account->name) && group.gr_gid != (gid_t)-1 && group.gr_gid != account->gid)
            account->groups[account->n_groups++] = group.gr_gid;
}

int nvl_account_find(const struct nvl_root *root, const char *name, struct nvl_account *account)
{
    nvl_auto(nvl_accounts_close) struct nvl_accounts users = {0};
    struct passwd user;

    *account = (struct nvl_account){0};
    int r = nvl_accounts_open(&users, root, "/etc/passwd", FILE_MAX);
    if (r < 0)
        return r;
    do {
        if (nvl_accounts_next_user(&users, &user) == NULL)
            return -ENOENT;
    } while (strcmp(user.pw_name, name) != 0);
    if (user.pw_uid == (uid_t)-1 || user.pw_gid == (gid_t)-1)
        return -EINVAL;
    account->name = nvl_xstrdup(name);
    account->home = nvl_xstrdup(user.pw_dir[0] == '/' ? user.pw_dir : "/");
    account->uid = user.pw_uid;
    account->gid = user.pw_gid;
    read_groups(root, account);
    return 0;
}

void nvl_account_clear(struct nvl_account *account)
{
    free(account->name);
    free(account->home);
    *account = (struct nvl_account){0};
}

bool nvl_group_find(const struct nvl_root *root, const char *name, gid_t *gid)
{
    nvl_auto(nvl_accounts_close) struct nvl_accounts groups = {0};
    struct group group;

    if (nvl_accounts_open(&groups, root, "/etc/group", FILE_MAX) < 0)
        return false;
    while (nvl_accounts_next_group(&groups, &group) != NULL)
        if (strcmp(group.gr_name, name) == 0 && group.gr_gid != (gid_t)-1) {
            *gid = group.gr_gid;
            return true;
        }
    return false;
}
