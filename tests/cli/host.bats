#!/usr/bin/env bats
# nvlxc host, on every fixture host: what is well, what is wrong, what mends it, and the exit status.

bats_require_minimum_version 1.5.0

setup() {
    load "$NVL_SOURCE/tests/lib/hosts.bash"
    NVLXC="$NVL_BUILD/src/cli/nvlxc"
}

# check NAME STATUS: what host says of that fixture host is what is expected, in both forms.
check() {
    local host
    host=$(fixture "$1")
    run --separate-stderr "$NVLXC" --root "$host" host --json
    [ "$status" = "$2" ]
    is_as_read "$1.host.json" <<<"$output"
    [ -z "$stderr" ]
    run --separate-stderr "$NVLXC" --root "$host" host
    [ "$status" = "$2" ]
    is_as_read "$1.host.txt" <<<"$output"
    [ -z "$stderr" ]
}

# problems HOST: the ids of what is wrong there, as a JSON list.
problems() {
    run --separate-stderr "$NVLXC" --root "$1" host --json
    jq -c '[.problems[].id]' <<<"$output"
}

@test "host: all is well on a laptop's A5500" {
    check a5500-550 0
}

@test "host: a reboot that moved the majors changes nothing" {
    check a5500-550-rebooted 0
}

@test "host: two GPUs with 535" {
    check two-gpus-535 0
}

@test "host: MIG" {
    check h100-mig 0
}

@test "host: open modules" {
    check a5500-580-open 0
}

@test "host: nouveau holds the GPU" {
    check nouveau 3
}

@test "host: vfio-pci holds the GPU" {
    check vfio 3
}

@test "host: no driver" {
    check no-driver 3
}

@test "host: no GPU" {
    check no-gpu 3
}

@test "host: an upgrade that waits for its reboot is a note while the loaded version's bundle is there" {
    check upgraded 0
}

@test "host: the same without that bundle is a problem" {
    local host
    host=$(fixture upgraded)
    rm -r "$host/var/lib/nvlxc"
    [ "$(problems "$host")" = '["libraries-mismatch"]' ]
    run -1 "$NVLXC" --root "$host" host
    [[ "$output" == *"an upgrade waits for its reboot, and containers get no driver until then"* ]]
}

@test "host: a bundle without a manifest is a problem" {
    local host
    host=$(fixture upgraded)
    echo '{' >"$host/var/lib/nvlxc/driver/550.163.01/manifest.json"
    [ "$(problems "$host")" = '["libraries-mismatch"]' ]
    run -1 "$NVLXC" --root "$host" doctor
    [[ "$output" == *"a bundle whose manifest cannot be read"* ]]
}

@test "host: nodes with the major of before the reboot" {
    check stale-uvm 1
}

@test "host: nvidia_uvm is not loaded" {
    check uvm-missing 1
}

@test "host: a plain file in a node's place, and a node that is closed to users" {
    check bad-nodes 1
}

@test "host: missing nodes, and the commands that make them" {
    local host
    host=$(fixture a5500-550)
    rm "$host/dev/nvidia0" "$host/dev/nvidia-uvm" "$host/dev/nvidia-uvm-tools" "$host/dev/nvidiactl"
    run -1 "$NVLXC" --root "$host" host --json
    [ "$(jq -r '.problems[].title' <<<"$output")" = "a device node is missing: /dev/nvidia0
a device node is missing: /dev/nvidiactl
device nodes are missing: /dev/nvidia-uvm, /dev/nvidia-uvm-tools" ]
    [ "$(jq -r '.problems[].fix' <<<"$output")" = "nvidia-modprobe -c 0
mknod -m 0666 /dev/nvidiactl c 195 255
nvidia-modprobe -c 0 -u" ]
}

@test "host: the fix for missing nodes is right: after it nothing is missing" {
    local host fix
    host=$(fixture a5500-550)
    rm "$host/usr/bin/nvidia-modprobe" "$host"/dev/nvidia[0-9]* "$host"/dev/nvidiactl "$host"/dev/nvidia-[mu]*
    rm -r "$host/dev/nvidia-caps"
    run -1 "$NVLXC" --root "$host" host --json
    fix=$(jq -r '.problems[].fix' <<<"$output")
    sh -ec "${fix//\/dev\//$host/dev/}"
    [ "$(problems "$host")" = '[]' ]
}

@test "host: the params of the driver say which mode is right" {
    local host
    host=$(fixture a5500-550)
    sed -i 's/^DeviceFileMode: .*/DeviceFileMode: 432/' "$host/proc/driver/nvidia/params"
    chmod 0660 "$host"/dev/nvidia0
    [ "$(problems "$host")" = '[]' ]
}

@test "host: a MIG device's capability node is missing" {
    local host
    host=$(fixture h100-mig)
    rm "$host/dev/nvidia-caps/nvidia-cap22"
    run -1 "$NVLXC" --root "$host" host --json
    [ "$(jq -r '.problems[0].title' <<<"$output")" = "a device node is missing: /dev/nvidia-caps/nvidia-cap22" ]
    [[ "$(jq -r '.problems[0].fix' <<<"$output")" == *"mknod -m 0444 /dev/nvidia-caps/nvidia-cap22 c 509 22" ]]
}

@test "host: a GPU for a virtual machine beside one that works is a note" {
    local host
    host=$(fixture two-gpus-535)
    rm -r "$host/proc/driver/nvidia/gpus/0000:02:00.0"
    ln -sfn ../../../../bus/pci/drivers/vfio-pci \
        "$host/sys/devices/pci0000:00/0000:00:01.1/0000:02:00.0/driver"
    run -0 "$NVLXC" --root "$host" host
    [[ "$output" == *"note       GPU 0000:02:00.0 (10de:2684) is held by vfio-pci"* ]]
}

@test "host: nova_core holds a GPU" {
    local host
    host=$(fixture nouveau)
    ln -sfn ../../../../bus/pci/drivers/NovaCore "$host/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/driver"
    run -3 "$NVLXC" --root "$host" host --json
    [ "$(jq -r '.problems[0].id' <<<"$output")" = gpu-nova ]
    [[ "$(jq -r '.problems[0].fix' <<<"$output")" == *"blacklist nova_core\\nblacklist nova_drm"* ]]
}

@test "host: the driver is loaded and does not take the GPU" {
    local host
    host=$(fixture two-gpus-535)
    rm -r "$host/proc/driver/nvidia/gpus/0000:02:00.0"
    rm "$host/sys/devices/pci0000:00/0000:00:01.1/0000:02:00.0/driver"
    [ "$(problems "$host")" = '["gpu-refused"]' ]
    run -1 "$NVLXC" --root "$host" host
}

@test "host: installed and not loaded" {
    local host
    host=$(fixture a5500-550)
    rm -r "$host/proc/driver" "$host/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/driver"
    : >"$host/proc/modules"
    [ "$(problems "$host")" = '["driver-not-loaded"]' ]
    run -3 "$NVLXC" --root "$host" host
    [[ "$output" == *"the kernel module is not loaded, though the driver 550.163.01 is installed"* ]]
}

@test "host: a version that is not understood" {
    local host
    host=$(fixture a5500-550)
    echo 'NVRM version: something else' >"$host/proc/driver/nvidia/version"
    [ "$(problems "$host")" = '["driver-version"]' ]
}

@test "host: the module is loaded and no library is installed" {
    local host
    host=$(fixture a5500-550)
    rm -r "$host/usr/lib/x86_64-linux-gnu"
    [ "$(problems "$host")" = '["libraries-absent"]' ]
}

@test "host: an older version is installed than the loaded one" {
    local host
    host=$(fixture a5500-550)
    sed -i 's/550\.163\.01/580.95.05/' "$host/proc/driver/nvidia/version"
    run -1 "$NVLXC" --root "$host" host
    [[ "$output" == *"580.95.05 is loaded, 550.163.01 installed: they do not match"* ]]
}

@test "host: the contract's keys are always there" {
    for name in a5500-550 no-gpu nouveau; do
        run --separate-stderr "$NVLXC" --root "$(fixture "$name")" host --json
        [ "$(jq -c keys_unsorted <<<"$output")" = '["driver","gpus","modules","nodes","bundle","problems"]' ]
        [ "$(jq -c '.driver | keys_unsorted' <<<"$output")" = '["loaded","version","flavour","installed"]' ]
    done
}

@test "host: --quiet says it by the exit status alone" {
    run -0 "$NVLXC" --root "$(fixture a5500-550)" --quiet host
    [ -z "$output" ]
    run -1 "$NVLXC" --root "$(fixture stale-uvm)" --quiet host
    [ -z "$output" ]
}
