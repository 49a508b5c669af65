/* The report of doctor: what people in a forum ask for first, without private data. */
#include "doctor/report.h"

#include <ctype.h>
#include <strings.h>

#include "base/passwd.h"
#include "doctor/check.h"

/* ---- masks names, addresses and secrets ---- */

struct mask {
    struct nvl_strv hosts, users; /* names that are masked if they stand as words */
};

#define FILE_MAX_BYTES (1u << 20)
#define UID_FIRST      1000 /* people's ids: login.defs' UID_MIN and UID_MAX */
#define UID_LAST       59999
#define TOKEN_MIN      24 /* characters without a break: no ordinary name is so long */

/* Names that identify nobody and occur in paths and versions. */
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
    if (!is_common(name))
        nvl_strv_push_once(names, name);
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

static void read_mask(const struct nvl_root *root, struct mask *mask)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv nodes = {0};

    *mask = (struct mask){0};
    read_hostname(root, "/proc/sys/kernel/hostname", &mask->hosts);
    read_hostname(root, "/etc/hostname", &mask->hosts);
    nvl_root_list(root, "/etc/pve/nodes", &nodes);
    for (size_t i = 0; i < nodes.count; i++)
        add_name(&mask->hosts, nodes.items[i]);
    read_people(root, &mask->users);
}

static void mask_clear(struct mask *mask)
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

/* Each checks what `s` begins with and returns the length of what it recognizes, 0 for nothing. */

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

/* A run of letters and digits that is not a word: "hf_…", a key in hexadecimal. */
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
        /* a longer name may continue: TOKEN_ID= */
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

/* Hosts' names ignore case; both ends must be ends of a word. */
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

/* Whatever follows "/home/" or "/etc/pve/nodes/" is a name. */
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

/* Masks what begins at `s`; returns its length, 0 if there is nothing to mask. `starts` says that a word may
 * begin here. */
static size_t mask_one(const struct mask *mask, const char *s, bool starts, struct nvl_buf *out)
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

static char *mask_text(const struct mask *mask, const char *text)
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

/* ---- the report ---- */

static void add_report_row(struct nvl_buf *out, const char *key, const char *value)
{
    nvl_buf_addf(out, "| %s | %s |\n", key, value != NULL && value[0] != '\0' ? value : "unknown");
}

/* Escapes a name that a user chose, so that it is not read as Markdown. */
static char *markdown_text(const char *text)
{
    struct nvl_buf b = {0};

    for (const char *p = text; *p != '\0'; p++)
        nvl_buf_addf(&b, strchr("\\`*[]<>|", *p) != NULL ? "\\%c" : "%c", *p);
    return nvl_buf_take(&b);
}

static void add_package(struct nvl_buf *out, const struct nvl_root *root, const char *package)
{
    nvl_autofree char *version = nvl_package_version(root, package);

    if (version != NULL)
        add_report_row(out, package, version);
}

static void add_distribution(struct nvl_buf *out, const struct nvl_system *s)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf text = {0};

    nvl_buf_addf(&text, "%s %s%s%s%s", s->id != NULL ? s->id : "unknown",
                 s->version_id != NULL ? s->version_id : "", s->codename != NULL ? " (" : "",
                 s->codename != NULL ? s->codename : "", s->codename != NULL ? ")" : "");
    if (s->is_proxmox && s->pve_major >= 0)
        nvl_buf_addf(&text, ", Proxmox VE %d", s->pve_major);
    else if (s->is_proxmox)
        nvl_buf_addf(&text, ", Proxmox VE");
    add_report_row(out, "distribution", text.data);
}

static void add_driver_rows(struct nvl_buf *out, const struct nvl_host_facts *facts)
{
    const struct nvl_driver_version *driver = &facts->host.driver;
    nvl_autofree char *installed = nvl_strv_join(&facts->userspace.versions, ", ");
    nvl_autofree char *text =
        nvl_xasprintf("%s, libraries %s", driver->loaded ? driver->version : "not loaded",
                      installed[0] != '\0' ? installed : "not installed");
    nvl_auto(nvl_strv_clear) struct nvl_strv bundles = {0};

    for (size_t i = 0; i < facts->bundles.count; i++)
        nvl_strv_push(&bundles, facts->bundles.items[i].version);
    nvl_autofree char *bundle_list = nvl_strv_join(&bundles, ", ");
    const char *flavour = nvl_flavour_name(driver->loaded ? driver->flavour : facts->installed.flavour);
    add_report_row(out, "driver", text);
    add_report_row(out, "flavour", flavour);
    add_report_row(out, "bundles", bundles.count > 0 ? bundle_list : "none");
}

static void add_gpu_rows(struct nvl_buf *out, const struct nvl_gpus *gpus)
{
    if (gpus->count == 0)
        add_report_row(out, "GPU", "none");
    for (size_t i = 0; i < gpus->count; i++) {
        const struct nvl_gpu *gpu = &gpus->items[i];
        nvl_autofree char *text = nvl_xasprintf(
            "%s (10de:%04x, %s%s)", gpu->model[0] != '\0' ? gpu->model : "NVIDIA", gpu->pci_device,
            gpu->driver_name[0] != '\0' ? gpu->driver_name : "no driver", gpu->mig_enabled ? ", MIG" : "");
        add_report_row(out, "GPU", text);
    }
}

static void add_version_rows(struct nvl_buf *out, const struct nvl_diagnosis *d)
{
    static const char *const packages[] = {"pve-manager", "pve-container", "lxc-pve", "lxc", "dkms"};

    nvl_buf_addf(out, "| | |\n|---|---|\n");
    add_report_row(out, "nvlxc", NVL_VERSION);
    add_report_row(out, "kernel", d->facts.system.kernel);
    add_distribution(out, &d->facts.system);
    for (size_t i = 0; i < NVL_LENGTH(packages); i++)
        add_package(out, d->facts.root, packages[i]);
    if (d->facts.installed.package != NULL)
        add_package(out, d->facts.root, d->facts.installed.package);
    add_driver_rows(out, &d->facts);
    add_gpu_rows(out, &d->facts.host.gpus);
    if (d->descriptions.count == 0)
        add_report_row(out, "containers", "none with a GPU");
    for (size_t i = 0; i < d->descriptions.count; i++) {
        nvl_autofree char *text = markdown_text(d->descriptions.items[i]);
        add_report_row(out, "container", text);
    }
}

/* A block that nothing in it can end: indented code has no closing mark. */
static void add_block(struct nvl_buf *out, const char *text)
{
    size_t pos = 0, line_len, len = strlen(text);
    const char *line;

    nvl_buf_addf(out, "\n");
    while (nvl_next_line(text, len, &pos, &line, &line_len))
        nvl_buf_addf(out, "    %.*s\n", (int)line_len, line);
    nvl_buf_addf(out, "\n");
}

static void add_report_finding(struct nvl_buf *out, size_t number, const struct nvl_finding *f)
{
    nvl_autofree char *container = markdown_text(f->container != NULL ? f->container : "");

    nvl_buf_addf(out, "### %zu. %s (%s, %s%s)\n", number, f->title, nvl_severity_name(f->severity),
                 f->container != NULL ? "container " : "host", container);
    nvl_buf_addf(out, "\n`%s`\n", f->check->id);
    if (f->evidence != NULL)
        add_block(out, f->evidence);
    if (f->cause != NULL)
        nvl_buf_addf(out, "%s.\n", f->cause);
    if (f->fix != NULL) {
        nvl_buf_addf(out, "\nFix:\n");
        add_block(out, f->fix);
    }
}

char *nvl_diagnosis_report(const struct nvl_diagnosis *d)
{
    nvl_auto(mask_clear) struct mask mask = {0};
    nvl_auto(nvl_buf_clear) struct nvl_buf out = {0};

    nvl_buf_addf(&out, "## nvlxc doctor\n\n");
    add_version_rows(&out, d);
    nvl_buf_addf(&out, "\n%zu checks, %zu finding%s.\n\n", d->asked, d->findings.count,
                 d->findings.count == 1 ? "" : "s");
    for (size_t i = 0; i < d->findings.count; i++)
        add_report_finding(&out, i + 1, &d->findings.items[i]);
    read_mask(d->facts.root, &mask);
    return mask_text(&mask, out.data);
}
