/* The last steps: the key that Secure Boot asks for, the unit that prepares the host at boot, loading the
 * driver now or by a reboot. */
#include "setup/inventory.h"
#include "setup/packages.h"

/* The last change to how the machine boots: the driver is installed by then. */
static void add_pin(struct nvl_setup *s)
{
    const struct nvl_choice *c = s->choice;
    bool is_pinned =
        s->facts->pinned != NULL && c->kernel != NULL && strcmp(s->facts->pinned, c->kernel) == 0;

    if (!c->needs_kernel)
        return;
    struct nvl_setup_step *step = nvl_setup_step_add(
        s->plan, "pin", "pin of that kernel", is_pinned ? NVL_SETUP_DONE : NVL_SETUP_PENDING,
        nvl_xasprintf(
            "kernel %s boots, even if a newer one is installed, until 'proxmox-boot-tool kernel unpin'",
            c->kernel));
    if (!is_pinned) {
        nvl_autofree char *kernel =
            c->kernel_package != NULL ? nvl_xasprintf("%s.X-pve", c->kernel) : nvl_xstrdup(c->kernel);
        nvl_setup_step_command(step, "proxmox-boot-tool", "kernel", "pin", kernel, NULL);
    }
}

static bool key_is_missing(const struct nvl_setup_facts *f)
{
    return f->system.secure_boot == NVL_SECURE_BOOT_ON && f->installed.enrolled != NVL_ENROLLED_YES &&
           !f->loaded.loaded;
}

static void add_secure_boot(struct nvl_setup *s)
{
    static const char title[] = "key for Secure Boot";
    const struct nvl_setup_facts *f = s->facts;
    const char *key = f->installed.signing_key != NULL ? f->installed.signing_key : "/var/lib/dkms/mok.pub";

    if (f->system.secure_boot == NVL_SECURE_BOOT_OFF) {
        nvl_setup_step_add(s->plan, "secure-boot", title, NVL_SETUP_NOT_NEEDED,
                           nvl_xasprintf("Secure Boot is off"));
    } else if (f->system.secure_boot == NVL_SECURE_BOOT_UNKNOWN) {
        nvl_setup_step_add(s->plan, "secure-boot", title, NVL_SETUP_NOT_NEEDED,
                           nvl_xasprintf("the firmware does not report that Secure Boot is on"));
    } else if (!key_is_missing(f)) {
        nvl_setup_step_add(s->plan, "secure-boot", title, NVL_SETUP_DONE,
                           nvl_xasprintf("%s", f->loaded.loaded
                                                   ? "the kernel loads the module"
                                                   : "the firmware has the key that dkms signs with"));
    } else if (f->key_is_pending) {
        nvl_setup_step_add(s->plan, "secure-boot", title, NVL_SETUP_YOURS,
                           nvl_xasprintf("confirm the key at the next boot: choose Enroll MOK, and enter the "
                                         "password that you chose"));
    } else {
        struct nvl_setup_step *step = nvl_setup_step_add(
            s->plan, "secure-boot", title, NVL_SETUP_YOURS,
            nvl_xasprintf("Secure Boot is on: the kernel refuses a module whose key the firmware does not "
                          "have. The command asks you to choose a password; the firmware asks for it at the "
                          "next boot (Enroll MOK)"));
        nvl_setup_step_command(step, "mokutil", "--import", key, NULL);
    }
}

static void add_boot_unit(struct nvl_setup *s)
{
    static const char title[] = "nodes at every boot";

    if (!s->facts->has_boot_unit) {
        nvl_setup_step_add(
            s->plan, "boot", title, NVL_SETUP_NOT_NEEDED,
            nvl_xasprintf("%s is not installed; containers' hooks prepare the host when they start",
                          NVL_SETUP_BOOT_UNIT));
    } else if (s->facts->boot_unit_is_enabled) {
        nvl_setup_step_add(s->plan, "boot", title, NVL_SETUP_DONE,
                           nvl_xasprintf("%s is enabled", NVL_SETUP_BOOT_UNIT));
    } else {
        struct nvl_setup_step *step = nvl_setup_step_add(
            s->plan, "boot", title, NVL_SETUP_PENDING,
            nvl_xasprintf("it loads nvidia-uvm and makes every node before containers start"));
        nvl_setup_step_command(step, "systemctl", "enable", NVL_SETUP_BOOT_UNIT, NULL);
    }
}

/* The kernel itself refuses such a module, for as long as it runs. Source: kernel-parameters.txt. */
static bool is_refused_by_kernel(const struct nvl_setup_facts *f)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv places = {0};

    nvl_claims_evidence(&f->barriers, &places);
    for (size_t i = 0; i < places.count; i++)
        if (nvl_has_prefix(places.items[i], "/proc/cmdline: module_blacklist="))
            return true;
    return false;
}

/* Why the driver cannot load before a reboot; NULL if it can. */
static char *reboot_reason(const struct nvl_setup *s)
{
    const struct nvl_setup_facts *f = s->facts;

    if (s->choice->needs_kernel)
        return nvl_xasprintf("kernel %s is not the running one", s->choice->kernel);
    if (f->modules.nouveau || f->modules.nova_core)
        return nvl_xasprintf("%s has the GPU until then", f->modules.nouveau ? "nouveau" : "nova_core");
    if (is_refused_by_kernel(f))
        return nvl_xasprintf("the running kernel has module_blacklist=, so it refuses the driver");
    if (key_is_missing(f))
        return nvl_xasprintf("the firmware learns the key at boot");
    if (f->loaded.loaded && nvl_driver_is_pending(s))
        return nvl_xasprintf("driver %s stays loaded until then, and containers keep using it",
                             f->loaded.version);
    return NULL;
}

static void add_load(struct nvl_setup *s)
{
    static const char title[] = "driver loaded";
    const struct nvl_setup_facts *f = s->facts;
    nvl_autofree char *reboot = reboot_reason(s);
    struct nvl_setup_step *step;

    if (reboot != NULL) {
        s->plan->needs_reboot = true;
        step = nvl_setup_step_add(s->plan, "load", "reboot", NVL_SETUP_YOURS, TAKE_PTR(reboot));
        nvl_setup_step_command(step, "systemctl", "reboot", NULL);
    } else if (s->choice->kind == NVL_CHOICE_PRESENT && f->installed.origin == NVL_ORIGIN_VGPU) {
        nvl_setup_step_add(s->plan, "load", title, NVL_SETUP_IMPOSSIBLE, nvl_xstrdup(nvl_vgpu_text));
    } else if (f->loaded.loaded && f->modules.nvidia_uvm) {
        nvl_setup_step_add(
            s->plan, "load", title, NVL_SETUP_DONE,
            nvl_xasprintf("driver %s and nvidia-uvm are loaded; no reboot is needed", f->loaded.version));
    } else {
        step = nvl_setup_step_add(s->plan, "load", title, NVL_SETUP_PENDING,
                                  nvl_xasprintf("nothing else has the GPU: no reboot is needed"));
        if (f->has_boot_unit && f->system.has_systemd) {
            nvl_setup_step_command(step, "systemctl", "restart", NVL_SETUP_BOOT_UNIT, NULL);
        } else {
            nvl_setup_step_command(step, "modprobe", "nvidia", NULL);
            nvl_setup_step_command(step, "modprobe", "nvidia-uvm", NULL);
        }
        step->on_failure =
            "the kernel's log tells the reason: dmesg | grep -i -e nvrm -e nvidia; so does nvlxc doctor";
    }
}

void nvl_steps_boot(struct nvl_setup *s)
{
    if (s->choice->kind == NVL_CHOICE_NONE)
        return;
    add_pin(s);
    add_secure_boot(s);
    add_boot_unit(s);
    add_load(s);
}
