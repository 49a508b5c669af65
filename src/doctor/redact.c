/* What a report must not give away, found by its form or by its name. */
#include "doctor/redact.h"

#include <ctype.h>
#include <strings.h>

#include "base/passwd.h"

#define FILE_MAX_BYTES (1u << 20)
#define UID_FIRST      1000 /* of people: login.defs' UID_MIN and UID_MAX */
#define UID_LAST       59999
#define TOKEN_MIN      24 /* characters without a break: nobody names things so */

/* Names that say nothing of anybody, and stand in paths and versions. */
static bool is_common(const char *name)
{
    static const char *const common[] = {"pve",    "proxmox", "debian", "localhost", "lxc", "nvidia",
                                         "ubuntu", "nvlxc",   "host",   "root",      "gpu", "user"};

    for (size_t i = 0; i < NVL_LENGTH(common); i++)
        if (strcasecmp(name, common[i]) == 0)
            return true;
    return strlen(name) < 2;
}

static void add_name(struct nvl_strv *names, const char *name)
{
    if (!is_common(name) && !nvl_strv_contains(names, name))
        nvl_strv_push(names, name);
}

/* "box.example.org" and "box". */
static void read_hostname(const struct nvl_root *root, const char *path, struct nvl_strv *hosts)
{
    nvl_autofree char *text = NULL;
    size_t len;

    if (nvl_root_read(root, path, FILE_MAX_BYTES, &text, &len) < 0)
        return;
    text[strcspn(text, " \t\r\n")] = '\0';
    add_name(hosts, text);
    text[strcspn(text, ".")] = '\0';
    add_name(hosts, text);
}

static void read_people(const struct nvl_root *root, struct nvl_strv *users)
{
    nvl_auto(nvl_accounts_close) struct nvl_accounts accounts = {0};
    struct passwd user;

    if (nvl_accounts_open(&accounts, root, "/etc/passwd", FILE_MAX_BYTES) < 0)
        return;
    while (nvl_accounts_next_user(&accounts, &user) != NULL)
        if (user.pw_uid >= UID_FIRST && user.pw_uid <= UID_LAST)
            add_name(users, user.pw_name);
}

void nvl_mask_read(const struct nvl_root *root, struct nvl_mask *mask)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv nodes = {0};

    *mask = (struct nvl_mask){0};
    read_hostname(root, "/proc/sys/kernel/hostname", &mask->hosts);
    read_hostname(root, "/etc/hostname", &mask->hosts);
    nvl_root_list(root, "/etc/pve/nodes", &nodes);
    for (size_t i = 0; i < nodes.count; i++)
        add_name(&mask->hosts, nodes.items[i]);
    read_people(root, &mask->users);
}

void nvl_mask_clear(struct nvl_mask *mask)
{
    nvl_strv_clear(&mask->hosts);
    nvl_strv_clear(&mask->users);
}

static bool is_word_byte(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

static size_t span_of(const char *s, const char *characters)
{
    return strspn(s, characters);
}

#define HEX "0123456789abcdefABCDEF"

/* Each looks at what `s` begins with and gives the length of what it knows, 0 for nothing. */

/* 3291dfa4-fcc4-0110-615b-c894a0d7c689 */
static size_t uuid_length(const char *s)
{
    static const size_t groups[] = {8, 4, 4, 4, 12};
    size_t at = 0;

    for (size_t i = 0; i < NVL_LENGTH(groups); i++) {
        if (i > 0 && s[at++] != '-')
            return 0;
        if (span_of(s + at, HEX) < groups[i])
            return 0;
        at += groups[i];
    }
    return is_word_byte(s[at]) ? 0 : at;
}

/* bc:24:11:5e:90:01 */
static size_t mac_length(const char *s)
{
    size_t at = 0;

    for (size_t i = 0; i < 6; i++) {
        if (i > 0 && s[at] != ':' && s[at] != '-')
            return 0;
        at += i > 0;
        if (span_of(s + at, HEX) != 2)
            return 0;
        at += 2;
    }
    return s[at] == ':' ? 0 : at;
}

static size_t ipv4_length(const char *s)
{
    size_t at = 0;

    for (size_t i = 0; i < 4; i++) {
        if (i > 0 && s[at++] != '.')
            return 0;
        size_t digits = span_of(s + at, "0123456789");
        if (digits == 0 || digits > 3)
            return 0;
        at += digits;
    }
    return is_word_byte(s[at]) || (s[at] == '.' && isdigit((unsigned char)s[at + 1])) ? 0 : at;
}

/* With "::", or eight groups; a PCI address has neither. */
static size_t ipv6_length(const char *s)
{
    size_t len = span_of(s, HEX ":"), colons = 0, digits = 0;
    bool is_short = false;

    for (size_t i = 0; i < len; i++) {
        colons += s[i] == ':';
        digits += s[i] != ':';
        is_short |= i > 0 && s[i] == ':' && s[i - 1] == ':';
    }
    bool is_address = digits > 0 && colons <= 7 && ((is_short && colons >= 2) || colons == 7);
    return is_address && !is_word_byte(s[len]) ? len : 0;
}

/* A run of letters and digits that is nobody's word: "hf_…", a key in hexadecimal. */
static size_t token_length(const char *s)
{
    size_t len = 0, digits = 0, upper = 0, lower = 0;

    for (; is_word_byte(s[len]); len++) {
        digits += isdigit((unsigned char)s[len]) != 0;
        upper += isupper((unsigned char)s[len]) != 0;
        lower += islower((unsigned char)s[len]) != 0;
    }
    const char *underscore = memchr(s, '_', len < 5 ? len : 5);
    bool is_prefixed = underscore != NULL && upper > 0 && lower > 0;
    bool is_mixed = digits > 1 && upper + lower > 0;
    return len >= TOKEN_MIN && (is_prefixed || is_mixed) ? len : 0;
}

/* "password=…", "Serial Number: …", "hostname: …": the length up to the value. */
static size_t key_length(const char *s)
{
    static const char *const keys[] = {"token",  "secret",  "password", "passwd",       "api_key",
                                       "apikey", "api-key", "hostname", "searchdomain", "serial number",
                                       "serial", "bearer",  "board id"};

    for (size_t i = 0; i < NVL_LENGTH(keys); i++) {
        size_t len = strlen(keys[i]);
        if (strncasecmp(s, keys[i], len) != 0)
            continue;
        bool is_bearer = strcmp(keys[i], "bearer") == 0;
        /* a longer name may go on: TOKEN_ID= */
        while (is_word_byte(s[len]))
            len++;
        size_t blanks = span_of(s + len, " \t");
        char sign = s[len + blanks];
        if (sign == ':' || sign == '=') {
            len += blanks + 1;
            return len + span_of(s + len, " \t\"'");
        }
        if (is_bearer && blanks > 0)
            return len + blanks;
    }
    return 0;
}

/* Case does not count for hosts; both ends must be those of a word. */
static size_t name_length(const struct nvl_strv *names, const char *s)
{
    size_t longest = 0;

    for (size_t i = 0; i < names->count; i++) {
        size_t len = strlen(names->items[i]);
        if (len > longest && strncasecmp(s, names->items[i], len) == 0 && !is_word_byte(s[len]))
            longest = len;
    }
    return longest;
}

/* What stands behind "/home/" or "/etc/pve/nodes/" is a name, whoever's. */
static size_t folder_length(const char *s, const char **mask)
{
    static const struct {
        const char *folder, *mask;
    } folders[] = {{"/home/", "/home/USER"}, {"/etc/pve/nodes/", "/etc/pve/nodes/HOST"}};

    for (size_t i = 0; i < NVL_LENGTH(folders); i++)
        if (nvl_has_prefix(s, folders[i].folder)) {
            size_t len = strlen(folders[i].folder), name = strcspn(s + len, "/ \t\n\"',:;)");
            *mask = folders[i].mask;
            return name > 0 ? len + name : 0;
        }
    return 0;
}

/* root@pam, somebody@example.org: the part before the sign. */
static size_t account_length(const char *s)
{
    size_t len = 0;

    while (is_word_byte(s[len]) || s[len] == '.' || s[len] == '-')
        len++;
    return len > 0 && s[len] == '@' && isalpha((unsigned char)s[len + 1]) ? len : 0;
}

/* Masks what begins at `s`; gives its length, 0 where nothing is to be masked. `starts` says that a word may
 * begin here. */
static size_t mask_one(const struct nvl_mask *mask, const char *s, bool starts, struct nvl_buf *out)
{
    const char *with = NULL;
    size_t len = folder_length(s, &with);

    if (len == 0 && starts) {
        if ((len = uuid_length(s)) > 0) {
            nvl_buf_addf(out, "%.4s…", s);
            return len;
        }
        if ((len = key_length(s)) > 0) {
            nvl_buf_add(out, s, len);
            size_t value = strcspn(s + len, " \t\n\"',;|`");
            nvl_buf_addf(out, "%s", value > 0 ? "MASKED" : "");
            return len + value;
        }
        if ((len = mac_length(s)) > 0)
            with = "xx:xx:xx:xx:xx:xx";
        else if ((len = ipv4_length(s)) > 0)
            with = "x.x.x.x";
        else if ((len = ipv6_length(s)) > 0)
            with = "x::x";
        else if ((len = token_length(s)) > 0)
            with = "MASKED";
        else if ((len = name_length(&mask->hosts, s)) > 0)
            with = "HOST";
        else if ((len = account_length(s)) > 0 || (len = name_length(&mask->users, s)) > 0)
            with = "USER";
    }
    if (len > 0)
        nvl_buf_addf(out, "%s", with);
    return len;
}

char *nvl_mask_text(const struct nvl_mask *mask, const char *text)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf out = {0};

    for (size_t i = 0; text[i] != '\0';) {
        size_t len = mask_one(mask, text + i, i == 0 || !is_word_byte(text[i - 1]), &out);
        if (len == 0)
            nvl_buf_add(&out, text + i, 1);
        i += len > 0 ? len : 1;
    }
    return nvl_buf_take(&out);
}
