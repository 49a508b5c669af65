/* Device nodes: whether they exist and are the driver's current devices; and nvidia-uvm, without which there
 * are none. */
#include "doctor/families.h"
#include "doctor/host/shared.h"

/* The texts about the nodes of one kind, and what fails without them. */
static const struct kind {
    const char *name;
    enum nvl_node_kind kinds[2];
    enum nvl_severity severity;
    const char *effect;
} kinds[] = {
    {"GPU",
     {NVL_NODE_GPU, NVL_NODE_GPU},
     NVL_SEVERITY_ERROR,
     "nvidia-smi says \"No devices were found\", CUDA gives error 100"},
    {"control",
     {NVL_NODE_CTL, NVL_NODE_CTL},
     NVL_SEVERITY_ERROR,
     "nothing works: nvidia-smi \"couldn't communicate with the NVIDIA driver\", CUDA gives error 100"},
    {"uvm",
     {NVL_NODE_UVM, NVL_NODE_UVM_TOOLS},
     NVL_SEVERITY_ERROR,
     "nvidia-smi works, but CUDA programs fail with error 999"},
    {"MIG",
     {NVL_NODE_CAP, NVL_NODE_CAP},
     NVL_SEVERITY_ERROR,
     "programs cannot use the MIG device: \"Insufficient Permissions\""},
    {"modeset",
     {NVL_NODE_MODESET, NVL_NODE_MODESET},
     NVL_SEVERITY_WARNING,
     "Vulkan and OpenGL do not find the GPU; CUDA does"},
    {"DRI",
     {NVL_NODE_DRI, NVL_NODE_DRI},
     NVL_SEVERITY_WARNING,
     "Vulkan, EGL and VA-API do not find the GPU; CUDA does"},
};

static void check_uvm(const struct nvl_check *check, const struct nvl_host_facts *facts,
                      struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv fix = {0};
    struct nvl_driver_need need = nvl_driver_need_of(facts);

    if (facts->host.majors.uvm >= 0)
        return;
    struct nvl_finding *f = nvl_host_finding(findings, check, NVL_SEVERITY_ERROR, "nvidia-uvm is not loaded");
    nvl_finding_about(f, NVL_SUBJECT_NODE, "/dev/nvidia-uvm");
    nvl_finding_about(f, NVL_SUBJECT_NODE, "/dev/nvidia-uvm-tools");
    nvl_finding_evidence(f, "/proc/devices: no line nvidia-uvm\n/proc/modules: %s",
                         facts->modules.nvidia_uvm ? "nvidia_uvm is loaded" : "no line nvidia_uvm");
    nvl_finding_cause(f,
                      "nothing loads it at boot; the first CUDA program that runs as root on the host does. "
                      "Until then nvidia-smi works, but CUDA programs in containers fail with error 999");
    bool has_modprobe = facts->has_nvidia_modprobe || nvl_advise_tool(&need, "nvidia-modprobe", &fix);
    nvl_strv_push(&fix, "modprobe nvidia-uvm");
    nvl_strv_push(&fix, has_modprobe
                            ? "nvidia-modprobe -c 0 -u"
                            : "mknod -m 0666 /dev/nvidia-uvm c $(awk '$2 == \"nvidia-uvm\" { print $1 }' "
                              "/proc/devices) 0");
    nvl_finding_fix_lines(f, &fix);
}

static void add_commands(struct nvl_strv *fix, const struct nvl_node *node, bool has_modprobe)
{
    nvl_autofree char *command = NULL;

    if (node->state == NVL_NODE_STALE || node->state == NVL_NODE_NOT_DEVICE)
        nvl_strv_pushf(fix, "rm -f %s", node->path);
    if (node->state == NVL_NODE_MODE)
        command = nvl_xasprintf("chmod %04o %s", node->mode, node->path);
    else if (node->kind == NVL_NODE_DRI)
        command = nvl_xstrdup("udevadm trigger --subsystem-match=drm --action=add");
    else if (has_modprobe && node->kind == NVL_NODE_GPU)
        command = nvl_xasprintf("nvidia-modprobe -c %d", node->minor);
    else if (has_modprobe && node->kind == NVL_NODE_MODESET)
        command = nvl_xstrdup("nvidia-modprobe -m");
    else if (has_modprobe && (node->kind == NVL_NODE_UVM || node->kind == NVL_NODE_UVM_TOOLS))
        command = nvl_xstrdup("nvidia-modprobe -c 0 -u");
    else
        command = nvl_xasprintf("mknod -m %04o %s c %d %d", node->mode, node->path, node->major, node->minor);
    if (node->kind == NVL_NODE_CAP && node->state != NVL_NODE_MODE)
        nvl_strv_push_once(fix, "mkdir -p /dev/nvidia-caps");
    nvl_strv_push_once(fix, command);
}

static void add_evidence(struct nvl_strv *evidence, const struct nvl_node *node)
{
    switch (node->state) {
    case NVL_NODE_MISSING:
        nvl_strv_pushf(evidence, "%s does not exist, should be %d:%d", node->path, node->major, node->minor);
        break;
    case NVL_NODE_NOT_DEVICE:
        nvl_strv_pushf(evidence, "%s is not a device, should be %d:%d", node->path, node->major, node->minor);
        break;
    case NVL_NODE_STALE:
        nvl_strv_pushf(evidence, "%s is %d:%d, should be %d:%d", node->path, node->found_major,
                       node->found_minor, node->major, node->minor);
        break;
    case NVL_NODE_MODE:
        nvl_strv_pushf(evidence, "%s has mode %04o, should have %04o", node->path, node->found_mode,
                       node->mode);
        break;
    case NVL_NODE_OK:
        break;
    }
}

/* The nodes of one kind in one state; with what is wrong with each, and the commands that fix it. */
static void say_kind(const struct nvl_check *check, const struct nvl_host_facts *facts,
                     const struct kind *kind, enum nvl_node_state state, const char *what, const char *cause,
                     struct nvl_findings *findings)
{
    bool is_tools = true;
    nvl_auto(nvl_strv_clear) struct nvl_strv paths = {0}, evidence = {0}, fix = {0};

    for (size_t i = 0; i < facts->n_nodes; i++) {
        const struct nvl_node *node = &facts->nodes[i];
        bool is_kind = node->kind == kind->kinds[0] || node->kind == kind->kinds[1];
        if (!is_kind || node->state != state || node->major < 0) /* the finding about its module reports it */
            continue;
        is_tools &= node->kind == NVL_NODE_UVM_TOOLS; /* only profilers open them */
        nvl_strv_push(&paths, node->path);
        add_evidence(&evidence, node);
        add_commands(&fix, node, facts->has_nvidia_modprobe);
    }
    if (paths.count == 0)
        return;
    nvl_autofree char *list = nvl_strv_join(&paths, ", ");
    nvl_autofree char *title =
        nvl_xasprintf("%s %s: %s", paths.count > 1 ? "device nodes are" : "a device node is", what, list);
    struct nvl_finding *f =
        nvl_host_finding(findings, check, is_tools ? NVL_SEVERITY_WARNING : kind->severity, title);
    nvl_finding_about_each(f, NVL_SUBJECT_NODE, &paths);
    nvl_finding_evidence_lines(f, &evidence);
    nvl_finding_cause(f, "%s; %s", cause, is_tools ? "profilers and debuggers fail" : kind->effect);
    nvl_finding_fix_lines(f, &fix);
}

static void say_nodes(const struct nvl_check *check, const struct nvl_host_facts *facts,
                      enum nvl_node_state state, const char *what, const char *cause,
                      struct nvl_findings *findings)
{
    for (size_t i = 0; i < NVL_LENGTH(kinds); i++)
        say_kind(check, facts, &kinds[i], state, what, cause, findings);
}

static void check_missing_nodes(const struct nvl_check *check, const struct nvl_host_facts *facts,
                                struct nvl_findings *findings)
{
    say_nodes(check, facts, NVL_NODE_MISSING, "missing",
              "neither the kernel nor udev makes NVIDIA's nodes: a program that runs as root makes them when "
              "it needs them, and so does the start hook of root's containers",
              findings);
}

static void check_not_devices(const struct nvl_check *check, const struct nvl_host_facts *facts,
                              struct nvl_findings *findings)
{
    say_nodes(check, facts, NVL_NODE_NOT_DEVICE, "not a device",
              "a bind mount with create=file left an empty file in /dev while the node did not exist, and "
              "the driver does not replace it",
              findings);
}

static void check_stale_nodes(const struct nvl_check *check, const struct nvl_host_facts *facts,
                              struct nvl_findings *findings)
{
    say_nodes(check, facts, NVL_NODE_STALE, "stale",
              "the driver got another major when it was loaded again, but something made the nodes with "
              "fixed numbers",
              findings);
}

static void check_node_modes(const struct nvl_check *check, const struct nvl_host_facts *facts,
                             struct nvl_findings *findings)
{
    say_nodes(check, facts, NVL_NODE_MODE, "closed to users",
              "something changed the mode that the driver's parameters ask for (/proc/driver/nvidia/params): "
              "users of containers are other users of this host, and cannot open the nodes",
              findings);
}

const struct nvl_check nvl_node_checks[] = {
    {"uvm-not-loaded", "Is nvidia-uvm loaded?", 10, NVL_NEEDS_LOADED, "driver-vgpu", NVL_OF_HOST(check_uvm)},
    {"node-missing", "Do the device nodes exist?", 20, NVL_NEEDS_LOADED, NULL,
     NVL_OF_HOST(check_missing_nodes)},
    {"node-not-device", "Are the nodes devices?", 30, NVL_NEEDS_LOADED, NULL, NVL_OF_HOST(check_not_devices)},
    {"node-stale", "Do the nodes have the driver's current numbers?", 40, NVL_NEEDS_LOADED, NULL,
     NVL_OF_HOST(check_stale_nodes)},
    {"node-mode", "May users open the nodes?", 50, NVL_NEEDS_LOADED, NULL, NVL_OF_HOST(check_node_modes)},
    {0},
};
