/* passwd, group, subuid and nsswitch.conf of a host or of a container. The C library's parser is not ours,
 * but what becomes of its answers is. */
#include "fuzz.h"

#include "base/passwd.h"
#include "container/subids.h"
#include "container/users.h"

static void check_account(const char *name)
{
    nvl_auto(nvl_account_clear) struct nvl_account account = {0};
    gid_t gid;

    if (nvl_account_find(fuzz_root(), name, &account) == 0) {
        CHECK(strcmp(account.name, name) == 0 && account.home != NULL);
        CHECK(account.n_groups >= 1 && account.n_groups <= NVL_ACCOUNT_GROUPS);
        CHECK(account.groups[0] == account.gid && account.uid != (uid_t)-1 && account.gid != (gid_t)-1);
    }
    nvl_group_find(fuzz_root(), "render", &gid);
}

static void check_users(void)
{
    nvl_auto(nvl_users_clear) struct nvl_users users = {0};
    nvl_auto(nvl_id_ranges_clear) struct nvl_id_ranges ranges = {0};

    nvl_id_ranges_read(fuzz_root(), &ranges);
    if (nvl_users_read(fuzz_root(), &users, NULL) < 0)
        return;
    for (size_t i = 0; i < users.count; i++) {
        CHECK(users.items[i].uid != 0 && users.items[i].home[0] == '/');
        nvl_id_ranges_has(&ranges, &users.items[i]);
    }
}

/* What is had in part is not had in whole. */
static void check_subids(const char *owner)
{
    int whole = nvl_subids_have(fuzz_root(), "/etc/subuid", owner, 1000, 100000, 65536);
    int part = nvl_subids_have(fuzz_root(), "/etc/subuid", owner, 1000, 100000, 1);

    CHECK(whole < 1 || part == 1);
    nvl_subids_have(fuzz_root(), "/etc/subuid", owner, 1000, UINT32_MAX, UINT32_MAX);
}

void fuzz_one(const char *data, size_t len)
{
    static const char *const files[] = {"/etc/passwd", "/etc/group", "/etc/subuid", "/etc/nsswitch.conf"};
    struct fuzz_input in = {data, len};

    for (size_t i = 0; i < NVL_LENGTH(files); i++) {
        size_t file_len;
        nvl_autofree char *file = fuzz_bytes(&in, &file_len);
        fuzz_put(files[i], file, file_len);
    }
    check_account("alice");
    check_users();
    check_subids("alice");
}
