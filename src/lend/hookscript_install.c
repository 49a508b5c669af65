/* Reads storages and VMs, writes the script; Proxmox's own tool writes the config. */
#include "lend/hookscript.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/file.h"
#include "base/paths.h"
#include "base/root.h"
#include "base/run.h"
#include "host/virtual_machines.h"
#include "lend/hookscript.h"

#define VM_FOLDER    "/etc/pve/qemu-server"
#define STORAGE_CFG  "/etc/pve/storage.cfg"
#define CONFIG_MAX   (1u << 20) /* pmxcfs has no larger files */
#define TOOL_SECONDS 30

/* ---- Proxmox's files ---- */

/* The value of a key in the config itself, not in pending changes or snapshots; NULL. The caller frees. */
static char *find_vm_value(const struct nvl_root *root, const char *vm, const char *key,
                           struct nvl_error *err)
{
    nvl_autofree char *path = nvl_xasprintf(VM_FOLDER "/%s.conf", vm), *text = NULL, *found = NULL;
    const char *line, *value;
    size_t len, pos = 0, line_len, value_len;

    int r = nvl_root_read(root, path, CONFIG_MAX, &text, &len);
    nvl_error_set(err, 0, "%s", "");
    if (r < 0) {
        nvl_error_host(err, r,
                       r == -ENOENT ? "there is no VM %s on this node (%s)"
                                    : "cannot read the config of VM %s: %s",
                       vm, r == -ENOENT ? path : strerror(-r));
        return NULL;
    }
    while (nvl_next_line(text, len, &pos, &line, &line_len) && (line_len == 0 || line[0] != '['))
        if (nvl_line_value(line, line_len, key, &value, &value_len)) {
            free(found);
            found = nvl_xstrndup(value, value_len);
        }
    return TAKE_PTR(found);
}

/* One section of storage.cfg. */
struct storage {
    char *name, *path, *content;
    bool is_disabled;
};

static void storage_clear(struct storage *s)
{
    free(s->name);
    free(s->path);
    free(s->content);
    *s = (struct storage){0};
}

/* "nfs: shared" begins one; network file systems are mounted below /mnt/pve. */
static void begin_storage(const char *line, struct storage *s)
{
    size_t type = strcspn(line, ":");

    storage_clear(s);
    if (line[type] != ':')
        return;
    s->name = nvl_xstrdup(line + type + 1 + strspn(line + type + 1, " \t"));
    if (strncmp(line, "nfs", type) == 0 || strncmp(line, "cifs", type) == 0 ||
        strncmp(line, "cephfs", type) == 0)
        s->path = nvl_xasprintf("/mnt/pve/%s", s->name);
}

static void take_property(const char *line, struct storage *s)
{
    static const struct {
        const char *word;
        size_t offset;
    } texts[] = {{"path ", offsetof(struct storage, path)}, {"content ", offsetof(struct storage, content)}};

    for (size_t i = 0; i < NVL_LENGTH(texts); i++) {
        char **to = (char **)((char *)s + texts[i].offset);
        if (!nvl_has_prefix(line, texts[i].word))
            continue;
        free(*to);
        *to = nvl_xstrdup(line + strlen(texts[i].word) + strspn(line + strlen(texts[i].word), " \t"));
    }
    if (strcmp(line, "disable") == 0 || nvl_has_prefix(line, "disable "))
        s->is_disabled = true;
}

static bool allows_snippets(const struct nvl_root *root, const struct storage *s)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv kinds = {0};

    nvl_strv_split(&kinds, s->content != NULL ? s->content : "", ",");
    return s->name != NULL && s->path != NULL && s->path[0] == '/' && !s->is_disabled &&
           nvl_is_plain(s->name) && nvl_strv_contains(&kinds, "snippets") && nvl_root_exists(root, s->path);
}

static int refuse_storage(const char *wanted, struct nvl_error *err)
{
    if (wanted != NULL)
        nvl_error_host(err, -ENOENT, "the storage '%.100s' allows no snippets here (" STORAGE_CFG ")",
                       wanted);
    else
        nvl_error_host(err, -ENOENT, "no storage of this node allows snippets (" STORAGE_CFG ")");
    nvl_error_hint(err, "which storages there are: pvesm status");
    return -ENOENT;
}

/* The storage's name and its folder. -ENOENT if none allows snippets: *content (may be NULL) is then what the
 * wanted one allows, or `local`; NULL if it is not there. The caller frees them. */
static int find_storage(const struct nvl_root *root, const char *wanted, char **name, char **path,
                        char **content, struct nvl_error *err)
{
    nvl_auto(storage_clear) struct storage s = {0};
    nvl_autofree char *text = NULL, *found = NULL;
    const char *at;
    size_t len, pos = 0, line_len;

    int r = nvl_root_read(root, STORAGE_CFG, CONFIG_MAX, &text, &len);
    if (r < 0)
        return nvl_error_errno(err, r, "cannot read " STORAGE_CFG);
    for (bool is_more = true; is_more;) {
        is_more = nvl_next_line(text, len, &pos, &at, &line_len);
        nvl_autofree char *line = nvl_xstrndup(is_more ? at : "", is_more ? line_len : 0);
        const char *word = line + strspn(line, " \t");
        if (word != line && is_more) {
            take_property(word, &s);
            continue;
        }
        if (allows_snippets(root, &s) && (wanted == NULL || strcmp(s.name, wanted) == 0)) {
            *name = TAKE_PTR(s.name);
            *path = TAKE_PTR(s.path);
            return 0;
        }
        if (s.name != NULL && strcmp(s.name, wanted != NULL ? wanted : "local") == 0 && s.content != NULL) {
            free(found);
            found = nvl_xstrdup(s.content);
        }
        if (*word != '\0')
            begin_storage(word, &s);
    }
    if (content != NULL)
        *content = TAKE_PTR(found);
    return refuse_storage(wanted, err);
}

/* ---- install and remove ---- */

static int run_tool(const char *const *argv, struct nvl_error *err)
{
    const struct nvl_run run = {.argv = argv, .errors = NVL_STREAM_CALLERS, .seconds = TOOL_SECONDS};
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};

    int status = nvl_run_status(&run);
    if (status == 0)
        return 0;
    for (size_t i = 0; argv[i] != NULL; i++)
        nvl_strv_push(&words, argv[i]);
    nvl_autofree char *why = nvl_status_text(status), *command = nvl_strv_join(&words, " ");
    nvl_error_host(err, -EIO, "%s: %s", command, why);
    nvl_error_hint(err, "%s", command);
    return -EIO;
}

static int run_qm(const char *vm, const char *option, const char *value, struct nvl_error *err)
{
    const char *const argv[] = {"qm", "set", vm, option, value, NULL};

    return run_tool(argv, err);
}

/* As Proxmox VE is installed, no storage allows snippets. What it allows besides stays. */
static int allow_snippets(const char *storage, const char *content, struct nvl_strv *done,
                          struct nvl_error *err)
{
    nvl_autofree char *all = nvl_xasprintf("%s%ssnippets", content, content[0] != '\0' ? "," : "");
    const char *const argv[] = {"pvesm", "set", storage, "--content", all, NULL};

    int r = nvl_is_plain(storage) && content[strspn(content, "abcdefghijklmnopqrstuvwxyz,-")] == '\0'
                ? run_tool(argv, err)
                : -ENOENT;
    if (r == 0)
        nvl_strv_pushf(done, "the storage %s allows snippets now, too", storage);
    return r;
}

/* A start must not fail because nvlxc was removed. */
static int write_script(const struct nvl_root *root, const char *folder, bool stop, struct nvl_error *err)
{
    const struct stat like = {.st_mode = S_IFREG | 0755};
    nvl_autofree char
        *snippets = nvl_xasprintf("%s/snippets", folder),
        *text = nvl_xasprintf(
            "#!/bin/sh\n"
            "# Written by 'nvlxc gpu hookscript install': the start of a virtual machine takes its "
            "GPU from the containers,\n"
            "# and its end gives it back.\n"
            "[ -x " NVL_PROGRAM " ] || exit 0\n"
            "exec " NVL_PROGRAM " gpu hookscript run \"$1\" \"$2\"%s\n",
            stop ? " --stop" : "");

    int r = nvl_root_make_folder(root, snippets);
    nvl_autofd int fd = r < 0 ? r : nvl_root_openat(root, snippets, O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return nvl_error_errno(err, fd, "cannot open %s", snippets);
    return nvl_file_replace(fd, stop ? NVL_HOOKSCRIPT_STOP : NVL_HOOKSCRIPT, text, strlen(text), &like, err);
}

static int check_vm(const struct nvl_root *root, const char *vm, char **hookscript, struct nvl_error *err)
{
    nvl_auto(nvl_host_clear) struct nvl_host host = {0};
    nvl_auto(nvl_strv_clear) struct nvl_strv pcis = {0};

    *hookscript = find_vm_value(root, vm, "hookscript", err);
    if (err->code < 0)
        return err->code;
    if (*hookscript != NULL && !nvl_is_own_hookscript(*hookscript)) {
        nvl_error_host(err, -EEXIST, "VM %s has another hookscript, and a VM has one: %.200s", vm,
                       *hookscript);
        nvl_error_hint(err, "add the line 'nvlxc gpu hookscript run \"$1\" \"$2\" || exit 1' to that script");
        return -EEXIST;
    }
    int r = nvl_host_read(&host, root, NVL_GPUS_ALL, err);
    if (r < 0)
        return r;
    nvl_vm_gpus(&host, vm, &pcis);
    if (pcis.count > 0)
        return 0;
    nvl_error_host(err, -ENODEV, "VM %s names no NVIDIA GPU of this node in a hostpci line", vm);
    nvl_error_hint(err, "qm set %s --hostpci0 %s", vm,
                   host.gpus.count > 0 ? host.gpus.items[0].pci : "ADDRESS   # as in `nvlxc gpus`");
    return -ENODEV;
}

int nvl_hookscript_install(const struct nvl_root *root, const char *vm, const char *storage, bool stop,
                           struct nvl_strv *done, struct nvl_error *err)
{
    nvl_autofree char *before = NULL, *name = NULL, *path = NULL, *content = NULL;

    int r = check_vm(root, vm, &before, err);
    if (r < 0)
        return r;
    r = find_storage(root, storage, &name, &path, &content, err);
    if (r == -ENOENT && content != NULL)
        r = allow_snippets(storage != NULL ? storage : "local", content, done, err);
    if (r == 0 && name == NULL)
        r = find_storage(root, storage, &name, &path, NULL, err);
    if (r == 0)
        r = write_script(root, path, stop, err);
    if (r < 0)
        return r;
    nvl_autofree char *volume =
        nvl_xasprintf("%s:snippets/%s", name, stop ? NVL_HOOKSCRIPT_STOP : NVL_HOOKSCRIPT);
    nvl_strv_pushf(done, "wrote %s/snippets/%s", path, stop ? NVL_HOOKSCRIPT_STOP : NVL_HOOKSCRIPT);
    r = run_qm(vm, "--hookscript", volume, err);
    if (r == 0)
        nvl_strv_pushf(done, "VM %s has the hookscript %s", vm, volume);
    return r;
}

static bool is_used(const struct nvl_root *root, const char *hookscript)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    struct nvl_error err = {0};

    if (nvl_root_list(root, VM_FOLDER, &names) < 0)
        return true;
    for (size_t i = 0; i < names.count; i++) {
        nvl_autofree char *vm = nvl_xstrndup(names.items[i], strcspn(names.items[i], "."));
        nvl_autofree char *has =
            nvl_has_suffix(names.items[i], ".conf") ? find_vm_value(root, vm, "hookscript", &err) : NULL;
        if (err.code < 0 || (has != NULL && strcmp(has, hookscript) == 0))
            return true;
    }
    return false;
}

/* Another node's VM may have it on a shared storage: then it stays, and does nothing without nvlxc. */
static void remove_script(const struct nvl_root *root, const char *hookscript, struct nvl_strv *done)
{
    nvl_autofree char *storage = nvl_xstrndup(hookscript, strcspn(hookscript, ":")), *name = NULL,
                      *path = NULL;

    if (is_used(root, hookscript) || find_storage(root, storage, &name, &path, NULL, NULL) < 0 ||
        nvl_has_prefix(path, "/mnt/pve/"))
        return;
    nvl_autofree char *file = nvl_xasprintf("%s/%s", path, strchr(hookscript, ':') + 1);
    if (nvl_root_unlink(root, file) == 0)
        nvl_strv_pushf(done, "removed %s", file);
}

int nvl_hookscript_remove(const struct nvl_root *root, const char *vm, struct nvl_strv *done,
                          struct nvl_error *err)
{
    nvl_autofree char *before = find_vm_value(root, vm, "hookscript", err);

    if (err->code < 0)
        return err->code;
    if (before == NULL || !nvl_is_own_hookscript(before))
        return 0;
    int r = run_qm(vm, "--delete", "hookscript", err);
    if (r < 0)
        return r;
    nvl_strv_pushf(done, "VM %s has no hookscript any more", vm);
    remove_script(root, before, done);
    return 0;
}
