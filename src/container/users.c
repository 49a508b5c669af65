/* Reads users from /etc/passwd, and their ranges of ids. */
#include "container/users.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/passwd.h"
#include "base/paths.h"
#include "base/visit.h"
#include "container/subids.h"

#define FILE_MAX (16u << 20)

static void free_user(struct nvl_user *user)
{
    free(user->name);
    free(user->home);
}

static bool is_good_home(const char *home)
{
    return home[0] == '/' && home[1] != '\0' && strstr(home, "/../") == NULL && !nvl_has_suffix(home, "/..");
}

/* A user of the file, and its place there. */
struct candidate {
    struct nvl_user user;
    size_t place;
};

struct candidates {
    struct candidate *items;
    size_t count;
};

static void take_user(struct candidates *found, const struct passwd *entry)
{
    char *home = entry->pw_dir;

    if (entry->pw_name[0] == '\0' || strchr(entry->pw_name, '/') != NULL || entry->pw_uid == 0 ||
        entry->pw_uid == (uid_t)-1)
        return;
    for (size_t len = strlen(home); len > 1 && home[len - 1] == '/'; len--)
        home[len - 1] = '\0';
    if (!is_good_home(home))
        return;
    bool logs_in = !nvl_has_suffix(entry->pw_shell, "/nologin") && !nvl_has_suffix(entry->pw_shell, "/false");
    struct candidate *c = NVL_APPEND(found->items, found->count);
    *c = (struct candidate){.user = {.name = nvl_xstrdup(entry->pw_name),
                                     .home = nvl_xstrdup(home),
                                     .uid = entry->pw_uid,
                                     .gid = entry->pw_gid,
                                     .logs_in = logs_in},
                            .place = found->count};
}

static int compare_candidates(const void *a, const void *b)
{
    const struct candidate *one = a, *two = b;
    int r = strcmp(one->user.home, two->user.home);

    if (r == 0)
        r = (int)two->user.logs_in - (int)one->user.logs_in;
    return r != 0 ? r : one->place < two->place ? -1 : one->place > two->place;
}

/* Service users often share one home: of those, a user who logs in wins, else the first. */
static void choose_users(struct candidates *found, struct nvl_users *users)
{
    if (found->count > 1)
        qsort(found->items, found->count, sizeof *found->items, compare_candidates);
    for (size_t i = 0; i < found->count; i++) {
        struct nvl_user *user = &found->items[i].user;
        if (users->count > 0 && strcmp(users->items[users->count - 1].home, user->home) == 0)
            free_user(user);
        else
            *NVL_APPEND(users->items, users->count) = *user;
    }
    free(found->items);
}

static int compare_users(const void *a, const void *b)
{
    return strcmp(((const struct nvl_user *)a)->name, ((const struct nvl_user *)b)->name);
}

int nvl_users_read(const struct nvl_root *root, struct nvl_users *users, struct nvl_error *err)
{
    nvl_auto(nvl_accounts_close) struct nvl_accounts accounts = {0};
    struct candidates found = {0};
    struct passwd entry;

    *users = (struct nvl_users){0};
    int r = nvl_accounts_open(&accounts, root, "/etc/passwd", FILE_MAX);
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return nvl_error_errno(err, r, "cannot read %s/etc/passwd", root->name);
    while (nvl_accounts_next_user(&accounts, &entry) != NULL)
        take_user(&found, &entry);
    choose_users(&found, users);
    if (users->count > 1)
        qsort(users->items, users->count, sizeof *users->items, compare_users);
    return 0;
}

void nvl_users_clear(struct nvl_users *users)
{
    for (size_t i = 0; i < users->count; i++)
        free_user(&users->items[i]);
    free(users->items);
    *users = (struct nvl_users){0};
}

/* "alice:100000:65536", or "1000:…". */
void nvl_id_ranges_read(const struct nvl_root *root, struct nvl_id_ranges *ranges)
{
    nvl_autofree char *text = NULL;
    const char *line;
    size_t len, line_len, pos = 0;

    *ranges = (struct nvl_id_ranges){0};
    if (!nvl_subids_are_files(root) || nvl_root_read(root, "/etc/subuid", FILE_MAX, &text, &len) < 0)
        return;
    ranges->is_known = true;
    while (nvl_next_line(text, len, &pos, &line, &line_len)) {
        const char *colon = memchr(line, ':', line_len);
        if (colon != NULL)
            *NVL_APPEND(ranges->owners.items, ranges->owners.count) =
                nvl_xstrndup(line, (size_t)(colon - line));
    }
    nvl_strv_sort(&ranges->owners);
}

bool nvl_id_ranges_has(const struct nvl_id_ranges *ranges, const struct nvl_user *user)
{
    char uid[16];

    snprintf(uid, sizeof uid, "%u", (unsigned)user->uid);
    return !ranges->is_known || nvl_strv_sorted_contains(&ranges->owners, user->name) ||
           nvl_strv_sorted_contains(&ranges->owners, uid);
}

void nvl_id_ranges_clear(struct nvl_id_ranges *ranges)
{
    nvl_strv_clear(&ranges->owners);
}

bool nvl_user_owns_path(const struct nvl_user *user, const char *path)
{
    return nvl_has_prefix(path, user->home) && path[strlen(user->home)] == '/';
}

int nvl_user_open_place(const struct nvl_root *root, const struct nvl_user *user, const char *path,
                        struct nvl_root *place, const char **inside)
{
    bool is_own = nvl_user_owns_path(user, path);

    *place = NVL_ROOT_NONE;
    /* a home may be on a network, or be what its user has mounted there: no trouble of the host */
    const struct nvl_root host = nvl_root_borrow(root->fd);
    int fd = nvl_root_openat(&host, is_own ? user->home : "/", O_PATH | O_DIRECTORY);
    if (fd < 0)
        return fd;
    *inside = path + (is_own ? strlen(user->home) : 0);
    nvl_autofree char *name = nvl_root_show(root, is_own ? user->home : "");
    nvl_root_from_fd(place, fd, name);
    return 0;
}

/* No file of the home may stand for it, since opening one may already hang. -1 where none can be made. */
static int open_home_mark(const struct nvl_root *root, const struct nvl_user *user)
{
    nvl_autofree char *path = nvl_xasprintf(NVL_VISITS_DIR "/%u", (unsigned)user->uid);
    const int flags = O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC;

    if (geteuid() != 0 || !nvl_root_is_machine(root))
        return -1;
    int fd = open(path, flags, 0600);
    if (fd < 0 && errno == ENOENT && nvl_root_make_folder(root, NVL_VISITS_DIR) == 0)
        fd = open(path, flags, 0600);
    return fd;
}

int nvl_user_visit(const struct nvl_root *root, const struct nvl_user *user)
{
    nvl_autofree char *whom = nvl_xasprintf("the home of %s", user->name);

    return nvl_visit_begin(whom, open_home_mark(root, user));
}

/* A change of the ids takes the signal away that ends a process with its parent: prctl(2), PR_SET_PDEATHSIG.
 */
void nvl_user_become(const struct nvl_root *root, const struct nvl_user *user, struct nvl_own_rights *own)
{
    nvl_auto(nvl_account_clear) struct nvl_account account = {0};

    *own = (struct nvl_own_rights){.is_changed = geteuid() == 0 && nvl_root_is_machine(root)};
    if (!own->is_changed)
        return;
    int n = getgroups(0, NULL);
    own->groups = nvl_xcalloc((size_t)(n > 0 ? n : 1), sizeof *own->groups);
    own->n_groups = n > 0 ? getgroups(n, own->groups) : 0;
    prctl(PR_GET_PDEATHSIG, &own->end_signal, 0, 0, 0);
    bool is_found = nvl_account_find(root, user->name, &account) == 0 && account.uid == user->uid;
    setgroups(is_found ? account.n_groups : 0, account.groups);
    setfsgid(user->gid);
    setfsuid(user->uid);
}

void nvl_user_resume(struct nvl_own_rights *own)
{
    if (!own->is_changed)
        return;
    setfsuid(0);
    setfsgid(getegid());
    setgroups((size_t)own->n_groups, own->groups);
    if (own->end_signal != 0)
        prctl(PR_SET_PDEATHSIG, own->end_signal, 0, 0, 0);
    free(own->groups);
    *own = (struct nvl_own_rights){0};
}
