# What NVIDIA's own nvidia-smi, NVML and CUDA say of each fault in a real container, from two branches of the driver, and
# that verify names the cause of it. No driver is behind the nodes of a simulated host: where nothing else is wrong, that is.
load setup
# shellcheck source=/dev/null
source "$NVL_SOURCE/tests/lib/verify.bash"

setup_file() {
    nvlxc driver sync --quiet
    make_container ct debian-12
    make_container priv debian-13 privileged
    nvlxc attach ct --quiet
    nvlxc attach priv --quiet
    chroot /var/lib/lxc/ct/rootfs useradd --system ollama
}

teardown_file() {
    stop ct || true
    stop priv || true
}

# driver BRANCH VERSION: the host has that driver, and the container is started with it.
driver() {
    VERSION=$2
    stop ct || true
    simulate_installed "$1"
    simulate_module "$2"
    nvlxc driver sync --quiet
    start ct
}

# smi_says CT STATUS TEXT: the program itself, started by hand, and what verify tells of it.
smi_says() {
    run "-$2" inside "$1" nvidia-smi
    says "$3"
    verify 1 "$1"
    step nvidia-smi fail evidence "/usr/local/bin/nvidia-smi: exit status $2: $3"
}

no_driver() {
    smi_says ct 9 "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."
    [ "$(first_failure)" = nodes ]
    step libcuda pass evidence "$BUNDLE/lib64/libcuda.so.$VERSION, the kernel module's version"
    local id
    for id in nodes nvidia-smi nvml cuda-init; do
        step $id fail cause "/dev/nvidia0 has the right number and may be opened, but no driver answers behind it" fix "nvlxc host"
    done
    step nvml fail evidence "nvmlInit gives 9, Driver Not Loaded"
    step cuda-init fail evidence "cuInit gives 100 CUDA_ERROR_NO_DEVICE: no CUDA-capable device is detected"
    step nodes-user fail evidence "ollama: " cause "no driver answers behind it"
}

# In the bundle, under the running container: its package was not installed when it was made.
library_missing() {
    local lib=/var/lib/nvlxc/driver/$VERSION/lib64 id
    mkdir /run/away
    mv "$lib"/libnvidia-ml.so.* /run/away
    smi_says ct 12 "NVIDIA-SMI couldn't find libnvidia-ml.so library in your system."
    for id in libnvidia-ml nvidia-smi; do
        step $id fail cause "lacks libnvidia-ml.so.1: it is not installed on the host" fix "nvlxc driver sync"
    done
    step nvml skip evidence "the step libnvidia-ml failed"
    step libcuda pass
    mv /run/away/* "$lib"
    rmdir /run/away
    # there, and not where the loader looks
    rm /var/lib/lxc/ct/rootfs/etc/ld.so.cache
    mv /var/lib/lxc/ct/rootfs/etc/ld.so.conf.d/00-nvlxc.conf /run/
    smi_says ct 12 "NVIDIA-SMI couldn't find libnvidia-ml.so library in your system."
    for id in libnvidia-ml libcuda nvidia-smi; do
        step $id fail cause "the container's linker cache does not name it" fix "in the container: ldconfig"
    done
    # the fix is a command: run it
    mv /run/00-nvlxc.conf /var/lib/lxc/ct/rootfs/etc/ld.so.conf.d/
    inside ct ldconfig
    no_driver
}

mode_denies() {
    # while it runs: a start would make it copies of its own
    chmod 600 /dev/nvidia0 /dev/nvidiactl
    smi_says ct 4 "Failed to initialize NVML: Insufficient Permissions"
    local id
    for id in nodes nvidia-smi nvml cuda-init; do
        step $id fail cause "/dev/nvidia0 has mode 0600" fix "chmod 0666 /dev/nvidia0 /dev/nvidiactl"
    done
    step nvml fail evidence "nvmlInit gives 4, Insufficient Permissions"
    # its root may, and its services may not: it is their step that fails
    chown 100000:100000 /dev/nvidia0 /dev/nvidiactl
    chmod 660 /dev/nvidia0 /dev/nvidiactl
    verify 1 ct
    step nodes fail evidence "no driver answers (ENXIO)"
    step nodes-user fail evidence "ollama: nvidia0 nvidiactl: denied by its mode (EACCES)" cause "/dev/nvidia0 has mode 0660" \
        fix "chmod 0666 /dev/nvidia0 /dev/nvidiactl"
    bash -c "$(jq -r '.steps[] | select(.id == "nodes-user") | '"$JQ_COMMANDS" <<< "$VERIFIED" | grep '^chmod')"
    chown 0:0 /dev/nvidia0 /dev/nvidiactl
    no_driver
}

filter_denies() {
    cp /var/lib/lxc/priv/config /run/priv.config
    sed -i '/devices.allow = \/dev\/nvidia/d' /var/lib/lxc/priv/config
    start priv
    smi_says priv 255 "Failed to initialize NVML: Unknown Error"
    local id
    for id in nodes nvidia-smi nvml cuda-init; do
        step $id fail cause "the container's device filter denies /dev/nvidia0 (195:0)" fix "nvlxc attach priv"
    done
    step nvml fail evidence "nvmlInit gives 999, Unknown Error"
    step cuda-init fail evidence "cuInit gives 100"
    bash -c "$(jq -r '.steps[] | select(.id == "nodes") | '"$JQ_COMMANDS" <<< "$VERIFIED" | sed 's/lxc-stop/& -k/')"
    cmp /var/lib/lxc/priv/config /run/priv.config
    verify 1 priv
    step nodes fail evidence "no driver answers (ENXIO)"
    stop priv
}

@test "550: no driver behind the nodes" {
    driver 550 550.163.01
    no_driver
}

@test "550: a library is missing" {
    VERSION=550.163.01
    library_missing
}

@test "550: the node's mode denies, root or a service's user" {
    VERSION=550.163.01
    mode_denies
}

@test "550: the device filter denies" {
    filter_denies
}

@test "535: no driver behind the nodes" {
    driver 535 535.261.03
    no_driver
}

@test "535: a library is missing" {
    VERSION=535.261.03
    library_missing
}

@test "535: the node's mode denies, root or a service's user" {
    VERSION=535.261.03
    mode_denies
}

@test "535: the device filter denies" {
    filter_denies
}
