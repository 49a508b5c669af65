/* The plan of host setup: what the machine is, which driver, then the steps in their order. */
#include "setup/setup.h"

#include <errno.h>

#include "driver/choose_nvidia.h"
#include "driver/distribution.h"
#include "driver/package_names.h"
#include "driver/replace.h"
#include "grant/grant.h"
#include "host/compat_table.h"
#include "host/gpu_reason.h"
#include "setup/inventory.h"
#include "setup/packages.h"

/* On another distribution: its own commands, as doctor has them. */
static void hint_own_way(const struct nvl_setup_facts *facts, const struct nvl_support *support,
                         struct nvl_error *err)
{
    struct nvl_driver_need need = nvl_setup_need(facts, support);
    nvl_auto(nvl_strv_clear) struct nvl_strv fix = {0}, commands = {0};

    if (facts->loaded.loaded) {
        nvl_error_hint(err, "driver %s is loaded, so there is nothing to set up: nvlxc host",
                       facts->loaded.version);
        return;
    }
    nvl_advise_install(&need, &fix);
    for (size_t i = 0; i < fix.count; i++)
        if (fix.items[i][0] != '#')
            nvl_strv_push(&commands, fix.items[i]);
    nvl_autofree char *text = nvl_strv_join(&commands, "\n");
    nvl_error_hint(err, "%s\nnvlxc host", text);
}

/* Debian 12 and 13, and Proxmox VE on them; the steps consist of their packages. */
static int check_system(const struct nvl_setup_facts *facts, const struct nvl_support *support,
                        struct nvl_error *err)
{
    const struct nvl_system *s = &facts->system;

    if (s->kernel == NULL)
        return nvl_error_host(err, -ENOTSUP,
                              "the kernel does not report its version in /proc/sys/kernel/osrelease");
    if (!nvl_can_set_up(s)) {
        nvl_error_host(err, -ENOTSUP,
                       "host setup knows Debian 12 and 13 and Proxmox VE 8 and 9; this is %s%s%s",
                       s->id != NULL ? s->id : "another system", s->version_id != NULL ? " " : "",
                       s->version_id != NULL ? s->version_id : "");
        hint_own_way(facts, support, err);
        return -ENOTSUP;
    }
    return 0;
}

static int check_gpus(const struct nvl_root *root, const struct nvl_setup_facts *facts, struct nvl_error *err)
{
    const struct nvl_gpu *held = NULL;

    for (size_t i = 0; i < facts->gpus.count; i++) {
        if (nvl_gpu_state(&facts->gpus.items[i]) == NVL_GPU_IS_VIRTUAL)
            continue;
        if (facts->gpus.items[i].driver != NVL_GPU_VFIO)
            return 0;
        held = &facts->gpus.items[i];
    }
    if (held == NULL)
        return nvl_gpu_refuse_absence(
            root,
            "if a GPU is plugged in but missing here, check the firmware's settings "
            "and the output of: lspci",
            err);
    nvl_error_host(err, -ENODEV, "vfio-pci has the GPU %s%s, for virtual machines", held->pci,
                   facts->gpus.count > 1 ? " and the others" : "");
    nvl_error_hint(err,
                   "to use it on the host, remove its ids from /etc/modprobe.d; which line: nvlxc doctor");
    return -ENODEV;
}

/* Looks up the packages that the choice itself asks for. */
static void look_up_kernels(const struct nvl_root *root, struct nvl_setup_facts *facts)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    for (size_t i = 0; i <= facts->installed.bootable.count; i++) {
        nvl_autofree char *image = nvl_image_package(&facts->system, i < facts->installed.bootable.count
                                                                         ? facts->installed.bootable.items[i]
                                                                         : facts->system.kernel);
        if (image != NULL)
            nvl_strv_push(&names, image);
    }
    nvl_setup_look_up(root, &names, facts);
}

static void look_up(const struct nvl_root *root, const struct nvl_strv *packages,
                    struct nvl_setup_facts *facts)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    for (size_t i = 0; i < packages->count; i++)
        nvl_strv_pushf(&names, "%.*s", (int)strcspn(packages->items[i], "/"), packages->items[i]);
    nvl_setup_look_up(root, &names, facts);
}

/* A driver that stays, without a module for the running kernel, though dkms has its source. */
static bool lacks_module(const struct nvl_setup_facts *facts, const struct nvl_choice *choice)
{
    const struct nvl_installed_driver *i = &facts->installed;

    return choice->kind == NVL_CHOICE_PRESENT && !facts->loaded.loaded && i->module == NULL &&
           i->dkms_name != NULL;
}

static void add_steps(const struct nvl_root *root, struct nvl_setup_facts *facts,
                      const struct nvl_setup_request *request, struct nvl_setup_plan *plan)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv tools = {0}, headers = {0}, driver = {0};
    struct nvl_setup setup = {.facts = facts,
                              .choice = &plan->choice,
                              .request = request,
                              .tools = &tools,
                              .headers = &headers,
                              .driver = &driver,
                              .plan = plan};

    setup.builds = nvl_choice_installs(&plan->choice) || lacks_module(facts, &plan->choice);
    if (setup.builds)
        nvl_header_packages(facts, &plan->choice, &headers);
    nvl_tool_packages(facts, &plan->choice, &tools);
    nvl_driver_packages(facts, &plan->choice, request->capabilities, &driver);
    look_up(root, &tools, facts);
    look_up(root, &headers, facts);
    look_up(root, &driver, facts);
    nvl_steps_apt(&setup);
    nvl_steps_driver(&setup);
    nvl_steps_boot(&setup);
}

int nvl_setup_plan_make(const struct nvl_root *root, const struct nvl_setup_request *request,
                        struct nvl_setup_plan *plan, struct nvl_error *err)
{
    nvl_auto(nvl_setup_facts_clear) struct nvl_setup_facts facts = {0};
    nvl_auto(nvl_support_clear) struct nvl_support support = {0};

    *plan = (struct nvl_setup_plan){0};
    int r = nvl_setup_facts_read(root, &facts, err);
    if (r == 0)
        r = nvl_support_read(root, &support, err);
    if (r == 0)
        r = check_gpus(root, &facts, err);
    if (r == 0)
        r = check_system(&facts, &support, err);
    if (r < 0)
        return r;
    look_up_kernels(root, &facts);
    struct nvl_driver_need need = nvl_setup_need(&facts, &support);
    nvl_driver_ways_find(&need, &plan->ways);
    need.wish = &request->wish;
    nvl_choose_driver(&need, &plan->choice);
    add_steps(root, &facts, request, plan);
    return nvl_root_trouble(root, err); /* what could not be read is not absent */
}

int nvl_setup_misfit(const struct nvl_root *root, const char *package_version, enum nvl_flavour flavour,
                     char **problem, struct nvl_error *err)
{
    nvl_auto(nvl_setup_facts_clear) struct nvl_setup_facts facts = {0};
    nvl_auto(nvl_support_clear) struct nvl_support support = {0};
    const char *upstream = nvl_skip_epoch(package_version);

    int r = nvl_setup_facts_read(root, &facts, err);
    if (r == 0)
        r = nvl_support_read(root, &support, err);
    if (r < 0)
        return r;
    struct nvl_driver_need need = nvl_setup_need(&facts, &support);
    nvl_autofree char *version = nvl_xstrndup(upstream, strcspn(upstream, "-+~"));
    *problem = nvl_driver_misfit_text(&need, version, flavour);
    return nvl_root_trouble(root, err);
}

void nvl_setup_plan_clear(struct nvl_setup_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        struct nvl_setup_step *step = &plan->steps[i];
        for (size_t c = 0; c < step->n_commands; c++)
            nvl_strv_clear(&step->commands[c]);
        for (size_t e = 0; e < step->n_edits; e++)
            nvl_edit_clear(&step->edits[e]);
        free(step->commands);
        free(step->edits);
        free(step->reason);
    }
    free(plan->steps);
    nvl_choice_clear(&plan->choice);
    nvl_driver_ways_clear(&plan->ways);
    *plan = (struct nvl_setup_plan){0};
}
