#!/usr/bin/env bats
# nvlxc gpus, on every fixture host: the JSON that the contract promises, and the table that people see.

bats_require_minimum_version 1.5.0

setup() {
    load "$NVL_SOURCE/tests/lib/hosts.bash"
    load "$NVL_SOURCE/tests/lib/json.bash"
    NVLXC="$NVL_BUILD/src/cli/nvlxc"
    EXPECTED="$NVL_SOURCE/tests/hosts/expected"
}

# check NAME: what gpus says of that fixture host is what is expected, in both forms.
check() {
    local host
    host=$(fixture "$1")
    run -0 --separate-stderr "$NVLXC" --root "$host" gpus --json
    is_as_read "$1.gpus.json" <<<"$output"
    [ -z "$stderr" ]
    run -0 --separate-stderr "$NVLXC" --root "$host" gpus
    is_as_read "$1.gpus.txt" <<<"$output"
    [ -z "$stderr" ]
}

# grant HOST CONFIG SEPARATOR DEVICES: the lines of nvlxc in a config that has no sections.
grant() {
    local hook="</dev/null; [ ! -x /usr/libexec/nvlxc/hook ] || exec /usr/libexec/nvlxc/hook"
    printf 'lxc.environment%s%s\n' "$3" "NVIDIA_VISIBLE_DEVICES=$4" "$3" "NVIDIA_DRIVER_CAPABILITIES=compute,utility" \
        >>"$1/$2"
    printf 'lxc.hook.%s%s%s\n' pre-start "$3" "$hook" mount "$3" "$hook" >>"$1/$2"
}

@test "gpus: a laptop's A5500 with 550" {
    check a5500-550
}

@test "gpus: without libsmartcols the columns are parted by tabs" {
    local host
    host=$(fixture a5500-550)
    mkdir "$BATS_TEST_TMPDIR/lib"
    : >"$BATS_TEST_TMPDIR/lib/libsmartcols.so.1"
    run -0 env LD_LIBRARY_PATH="$BATS_TEST_TMPDIR/lib" "$NVLXC" --root "$host" gpus
    diff <(printf '%s\n' "${output//$'\t'/ }") <(tr -s ' ' <"$EXPECTED/a5500-550.gpus.txt" | sed 's/ $//')
    [[ ${lines[0]} == $'INDEX\tMODEL\tCONTAINERS\t'* ]]
}

@test "gpus: the same after a reboot" {
    check a5500-550-rebooted
}

@test "gpus: the index follows the bus, the node the minor" {
    check two-gpus-535
    run -0 "$NVLXC" --root "$(fixture two-gpus-535)" gpus --json
    [ "$(jq -c '[.gpus[] | [.index, .pci, .minor, .nodes[0].path]]' <<<"$output")" = \
        '[[0,"0000:01:00.0",1,"/dev/nvidia1"],[1,"0000:02:00.0",0,"/dev/nvidia0"]]' ]
}

@test "gpus: MIG devices stand below their GPU, with their capability nodes" {
    check h100-mig
}

@test "gpus: 580 with open modules" {
    check a5500-580-open
}

@test "gpus: held by nouveau: listed, without index, UUID and model" {
    check nouveau
}

@test "gpus: held by vfio-pci" {
    check vfio
}

@test "gpus: without a driver" {
    check no-driver
}

@test "gpus: an upgrade that waits for its reboot" {
    check upgraded
}

@test "gpus: a host without an NVIDIA GPU gives an empty list and no error" {
    check no-gpu
    run -0 "$NVLXC" --root "$(fixture no-gpu)" gpus --json
    [ "$(jq -c . <<<"$output")" = '{"format":1,"gpus":[]}' ]
}

@test "gpus: faults of nodes that all GPUs share do not show" {
    check stale-uvm
    check uvm-missing
    check bad-nodes
}

@test "gpus: the contract's keys are always there" {
    for name in a5500-550 h100-mig nouveau no-driver; do
        run -0 "$NVLXC" --root "$(fixture "$name")" gpus --json
        [ "$(jq -c '.gpus[0] | keys_unsorted' <<<"$output")" = \
            '["index","uuid","minor","pci","model","kernel_driver","state","nodes","mig_devices","containers","virtual_machines","virtual_functions"]' ]
    done
}

@test "gpus: what is wrong with a GPU's own node" {
    local host
    host=$(fixture a5500-550)
    rm "$host/dev/nvidia0"
    run -0 "$NVLXC" --root "$host" gpus
    [[ "${lines[1]}" == *" nvidia0 (missing)" ]]
    run -0 "$NVLXC" --root "$host" gpus --wide
    [[ "$output" == *"nvidia0 (missing), dri/card1, dri/renderD128"* ]]

    : >"$host/dev/nvidia0"
    run -0 "$NVLXC" --root "$host" gpus
    [[ "$output" == *"nvidia0 (not a device)"* ]]

    rm "$host/dev/nvidia0"
    mknod -m 0666 "$host/dev/nvidia0" c 195 7
    run -0 "$NVLXC" --root "$host" gpus --json
    [ "$(jq -c '.gpus[0].nodes[0]' <<<"$output")" = \
        '{"path":"/dev/nvidia0","major":195,"minor":0,"state":"stale"}' ]

    rm "$host/dev/nvidia0"
    mknod -m 0600 "$host/dev/nvidia0" c 195 0
    run -0 "$NVLXC" --root "$host" gpus --json
    [ "$(jq -r '.gpus[0].nodes[0].state' <<<"$output")" = mode ]
}

@test "gpus: a node that is a link to the right device is not the device" {
    local host
    host=$(fixture a5500-550)
    mv "$host/dev/nvidia0" "$host/dev/real"
    ln -s real "$host/dev/nvidia0"
    run -0 "$NVLXC" --root "$host" gpus --json
    [ "$(jq -r '.gpus[0].nodes[0].state' <<<"$output")" = "not a device" ]
}

@test "gpus: no UUID from the driver is null" {
    local host
    host=$(fixture a5500-550)
    sed -i '/GPU UUID/d' "$host/proc/driver/nvidia/gpus/0000:01:00.0/information"
    run -0 "$NVLXC" --root "$host" gpus --json
    [ "$(jq -c '.gpus[0] | [.uuid, .index]' <<<"$output")" = '[null,0]' ]
}

@test "gpus: names the containers whose grant means the GPU" {
    local host
    host=$(fixture a5500-550)
    grant "$host" etc/pve/nodes/pve/lxc/221.conf ": " all
    grant "$host" var/lib/lxc/box/config " = " 0
    grant "$host" home/alice/.local/share/lxc/web/config " = " GPU-3291dfa4-fcc4-0110-615b-c894a0d7c689
    grant "$host" home/alice/.local/share/lxc/media/config " = " GPU-00000000-0000-0000-0000-000000000000
    grant "$host" etc/pve/nodes/pve2/lxc/330.conf ": " all
    run -0 --separate-stderr "$NVLXC" --root "$host" gpus --json
    # not by a UUID of another GPU, not on another node; lines by hand are told apart
    [ "$(jq -c '[.gpus[0].containers[] | select(.by_hand | not).container]' <<<"$output")" = '["221","box","alice/web"]' ]
    [ "$(jq -c '[.gpus[0].containers[] | select(.by_hand).container]' <<<"$output")" = '["223"]' ]
    [ -z "$stderr" ]
    run -0 "$NVLXC" --root "$host" gpus
    [[ "${lines[1]}" == *" 221, 223 (by hand), box, alice/web "* ]]
}

@test "gpus: a virtual machine that claims the GPU stands beside the containers" {
    host=$(fixture a5500-550)
    mkdir -p "$host/etc/pve/qemu-server"
    printf 'onboot: 1\nhostpci0: 0000:01:00,pcie=1\n' > "$host/etc/pve/qemu-server/104.conf"
    printf 'hostpci0: 02:00\n' > "$host/etc/pve/qemu-server/105.conf"
    run -0 "$NVLXC" --root "$host" gpus
    [[ $output == *" 223 (by hand), VM 104 "* && $output != *105* ]]
    run -0 "$NVLXC" --root "$host" --json gpus
    is_json gpus <<< "$output"
    [ "$(jq -c '.gpus[0].virtual_machines' <<< "$output")" = '[{"vm":"104","running":false,"starts_at_boot":true}]' ]
}

@test "gpus: no row is wider than 80 columns; --wide has all" {
    local name
    for name in a5500-550 two-gpus-535 h100-mig bad-nodes nouveau vfio; do
        run -0 "$NVLXC" --root "$(fixture $name)" gpus
        [ -z "$(awk '!/^note: / && length($0) > 80' <<<"$output")" ] || { echo "$name: $output"; false; }
    done
    run -0 "$NVLXC" --root "$(fixture a5500-550)" gpus --wide
    [[ "${lines[1]}" == *" GPU-3291dfa4-fcc4-0110-615b-c894a0d7c689 nvidia0, dri/card1, dri/renderD128" ]]
}

@test "gpus: a container is named with the GPU that it has, not with the other" {
    local host
    host=$(fixture two-gpus-535)
    mkdir -p "$host/var/lib/lxc/ollama"
    grant "$host" var/lib/lxc/ollama/config " = " 1
    run -0 "$NVLXC" --root "$host" gpus --json
    [ "$(jq -c '[.gpus[].containers | map(.container)]' <<<"$output")" = '[[],["ollama"]]' ]
}

@test "gpus: a MIG device is its container's, and its GPU too" {
    local host uuid=GPU-6b1f0c9e-d2a7-4c38-9f54-7ae3b8d61c05
    host=$(fixture h100-mig)
    mkdir -p "$host/var/lib/lxc/train"
    grant "$host" var/lib/lxc/train/config " = " "MIG-$uuid/2/1"
    run -0 "$NVLXC" --root "$host" gpus --json
    [ "$(jq -c '.gpus[0].containers' <<<"$output")" = '[{"container":"train","by_hand":false}]' ]
    run -0 "$NVLXC" --root "$host" gpus
    [[ "${lines[1]}" == *" train "* ]]
    [[ "${lines[2]}" != *train* ]]
    [[ "${lines[3]}" != *train* ]]
    [[ "${lines[4]}" == *" train "* ]]
    [[ "${lines[5]}" == *"nvlxc gpus --wide"* ]]
    run -0 "$NVLXC" --root "$host" gpus --wide
    [[ "${lines[4]}" == *" MIG-$uuid/2/1 "* ]]
}

@test "gpus: a config that is damaged costs a warning, not the listing" {
    local host
    host=$(fixture two-gpus-535)
    mkdir -p "$host/var/lib/lxc/broken"
    printf 'lxc.uts.name = a\0b\n' >"$host/var/lib/lxc/broken/config"
    run -0 --separate-stderr "$NVLXC" --root "$host" gpus --json
    [ "$(jq '.gpus | length' <<<"$output")" = 2 ]
    [[ "$stderr" == "nvlxc: warning: "*broken* ]]
}

@test "gpus: --quiet prints nothing" {
    run -0 "$NVLXC" --root "$(fixture a5500-550)" --quiet gpus
    [ -z "$output" ]
    run -0 "$NVLXC" --root "$(fixture a5500-550)" --quiet gpus --nodes
    [ -z "$output" ]
}

# vgpu_host HOST: its driver is NVIDIA's host driver for virtual GPUs.
vgpu_host() {
    rm "$1"/usr/lib/*-linux-gnu/libcuda.so*
    touch "$1/usr/lib/x86_64-linux-gnu/libnvidia-vgpu.so.580.95.05"
    echo 'nvidia_vgpu_vfio 1 0 - Live 0x0' >>"$1/proc/modules"
    sed -i '/nvidia_uvm/d' "$1/proc/modules"
    sed -i '/nvidia-uvm/d' "$1/proc/devices"
    rm "$1"/dev/nvidia-uvm*
}

@test "gpus: a host driver for virtual GPUs has no CUDA; host --drivers and the hook say so, too" {
    local host text="the driver is NVIDIA's host driver for virtual GPUs (vGPU), which has no CUDA"
    host=$(fixture a5500-580-open)
    vgpu_host "$host"
    run -0 "$NVLXC" --root "$host" gpus
    says "note: $text, for this host or for containers: NVIDIA's ordinary driver has, or a merged one that has both"
    run -0 "$NVLXC" --root "$host" --quiet gpus
    [ -z "$output" ]
    run -0 "$NVLXC" --root "$host" host --drivers
    [[ $output =~ "NVIDIA's vGPU host"\ +"580.95.05 " ]]
    says "has no CUDA, installed" "$text"
    [ "$("$NVLXC" --root "$host" host --drivers --json | jq -c '[.drivers[] | select(.recommended)]')" = '[]' ]
    run on_machine "$host" "$NVL_BUILD/src/hook/hook" --prepare
    says "cannot load nvidia-uvm" ", which NVIDIA's host driver for virtual GPUs lacks: see 'nvlxc host'"
    # merged: it has CUDA
    touch "$host/usr/lib/x86_64-linux-gnu/libcuda.so.580.95.05"
    run -0 "$NVLXC" --root "$host" gpus
    [[ $output != *note* ]]
}

@test "gpus: virtual functions are counted, not listed, and are no choice" {
    local host bus bridge i
    host=$(fixture h100-mig)
    bus=$host/sys/bus/pci/devices
    bridge=$(dirname "$(realpath "$bus/0000:17:00.0")")
    for i in 4 5; do
        mkdir "$bridge/0000:17:00.$i"
        cp "$bus/0000:17:00.0/"{class,vendor,device} "$bridge/0000:17:00.$i/"
        ln -s ../0000:17:00.0 "$bridge/0000:17:00.$i/physfn"
        ln -s "../../../${bridge#"$host"/sys/}/0000:17:00.$i" "$bus/"
    done
    ln -s ../../../../bus/pci/drivers/vfio-pci "$bridge/0000:17:00.5/driver"
    run -0 "$NVLXC" --root "$host" gpus
    says "nvidia (2 virtual functions)"
    [[ $output != *17:00.[45]* ]]
    [ "$("$NVLXC" --root "$host" gpus --json | jq -c '[.gpus[] | [.pci, .virtual_functions]]')" = '[["0000:17:00.0",2]]' ]
    [ "$("$NVLXC" --root "$host" host --json | jq -c '[(.gpus | length), .findings]')" = '[1,[]]' ]
    [ "$("$NVLXC" --root "$host" doctor --json | jq '.findings | length')" = 0 ]
    run -0 "$NVLXC" --root "$host" host setup --dry-run
    [[ $output != *17:00.[45]* && $output != *vfio* ]]
    mkdir -p "$host/var/lib/lxc/box"
    printf 'lxc.rootfs.path = dir:/var/lib/lxc/box/rootfs\n' >"$host/var/lib/lxc/box/config"
    run -0 "$NVLXC" --root "$host" attach box --dry-run # there is one GPU: it need not be named
    says "NVIDIA_VISIBLE_DEVICES=GPU-6b1f0c9e"
    run -3 "$NVLXC" --root "$host" attach box --gpu 17:00.4 --dry-run
    says "is a virtual function of the GPU at 0000:17:00.0, not a GPU of its own"
}

@test "gpus --nodes: each node with what it is for, and the capabilities that bring it" {
    local host json
    host=$(fixture h100-mig)
    mkdir "$host/dev/nvidia-caps-imex-channels"
    mknod -m 0666 "$host/dev/nvidia-caps-imex-channels/channel0" c 507 0
    mknod -m 0666 "$host/dev/nvidia-fs3" c 500 3
    mknod -m 0666 "$host/dev/nvidia-nvswitch0" c 499 0
    mknod -m 0666 "$host/dev/gdrdrv" c 498 0
    mknod -m 0666 "$host/dev/nvidia-else" c 497 0
    mknod -m 0666 "$host/dev/nvidia7" c 195 7 # of a GPU that is gone
    : >"$host/dev/nvidia-nvlink"
    run -0 --separate-stderr "$NVLXC" --root "$host" gpus --nodes
    diff -u "$EXPECTED/h100-mig.nodes.txt" <(printf '%s\n' "$output")
    [ -z "$stderr" ]
    json=$("$NVLXC" --root "$host" gpus --nodes --json)
    # not one node of /dev is left out, but for what is not NVIDIA's
    diff <(find "$host/dev" ! -type d ! -name null | sed "s|^$host||" | sort) <(jq -r '.nodes[].path' <<<"$json" | sort)
    [ "$(jq -c '.nodes[] | select(.path == "/dev/nvidia-caps/nvidia-cap13")' <<<"$json")" = \
        '{"path":"/dev/nvidia-caps/nvidia-cap13","major":509,"minor":13,"state":"ok","purpose":"a MIG device","owner":"GPU 0, MIG GI 1, CI 0","capabilities":["compute","utility","video","graphics","display","ngx","compat32"],"with":[]}' ]
    [ "$(jq -c '.nodes[] | select(.path == "/dev/gdrdrv") | [.purpose, .owner, .capabilities, .with]' <<<"$json")" = \
        '["GDRCopy",null,[],["gdrcopy"]]' ]
}

@test "gpus --nodes: what is missing, and what a driver that is not loaded left over" {
    local host
    host=$(fixture a5500-550)
    rm "$host/dev/nvidia-uvm"
    [ "$("$NVLXC" --root "$host" gpus --nodes --json | jq -r '.nodes[] | select(.state != "ok") | [.path, .state] | @csv')" = \
        '"/dev/nvidia-uvm","missing"' ]
    rm -r "$host/proc/driver"
    : >"$host/proc/devices"
    run -0 "$NVLXC" --root "$host" gpus --nodes
    [[ $output =~ /dev/nvidiactl\ +195:255\ +stale ]]
    run -0 "$NVLXC" --root "$(fixture no-driver)" gpus --nodes
    [ "$output" = "There is no device node of NVIDIA's: its driver is not loaded." ]
    [ "$("$NVLXC" --root "$(fixture no-gpu)" gpus --nodes --json | jq -c .)" = '{"format":1,"nodes":[]}' ]
}

@test "gpus: an argument is one too many" {
    run -2 "$NVLXC" gpus 0
    [[ "$output" == *"unexpected argument '0'"* ]]
}
