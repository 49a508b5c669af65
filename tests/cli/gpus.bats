#!/usr/bin/env bats
# nvlxc gpus, on every fixture host: the JSON that the contract promises, and the table that people see.

bats_require_minimum_version 1.5.0

setup() {
    load "$NVL_SOURCE/tests/lib/hosts.bash"
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
    [[ ${lines[0]} == $'INDEX\tMODEL\tUUID\t'* ]]
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
    [ "$(jq -c . <<<"$output")" = '{"gpus":[]}' ]
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
            '["index","uuid","minor","pci","model","driver","state","nodes","mig","containers","by_hand"]' ]
    done
}

@test "gpus: what is wrong with a GPU's own node" {
    local host
    host=$(fixture a5500-550)
    rm "$host/dev/nvidia0"
    run -0 "$NVLXC" --root "$host" gpus
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
    [ "$(jq -c '.gpus[0].containers' <<<"$output")" = '["221","box","alice/web"]' ]
    [ "$(jq -c '.gpus[0].by_hand' <<<"$output")" = '["223"]' ]
    [ -z "$stderr" ]
    run -0 "$NVLXC" --root "$host" gpus
    [[ "${lines[1]}" == *" 221, 223 (by hand), box, alice/web" ]]
}

@test "gpus: a container is named with the GPU that it has, not with the other" {
    local host
    host=$(fixture two-gpus-535)
    mkdir -p "$host/var/lib/lxc/ollama"
    grant "$host" var/lib/lxc/ollama/config " = " 1
    run -0 "$NVLXC" --root "$host" gpus --json
    [ "$(jq -c '[.gpus[].containers]' <<<"$output")" = '[[],["ollama"]]' ]
}

@test "gpus: a MIG device is its container's, and its GPU too" {
    local host uuid=GPU-6b1f0c9e-d2a7-4c38-9f54-7ae3b8d61c05
    host=$(fixture h100-mig)
    mkdir -p "$host/var/lib/lxc/train"
    grant "$host" var/lib/lxc/train/config " = " "MIG-$uuid/2/1"
    run -0 "$NVLXC" --root "$host" gpus --json
    [ "$(jq -c '.gpus[0].containers' <<<"$output")" = '["train"]' ]
    run -0 "$NVLXC" --root "$host" gpus
    [[ "${lines[1]}" == *" train" ]]
    [[ "${lines[2]}" == *" -" ]]
    [[ "${lines[3]}" == *" -" ]]
    [[ "${lines[4]}" == *" train" ]]
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
}

@test "gpus: an argument is one too many" {
    run -2 "$NVLXC" gpus 0
    [[ "$output" == *"unexpected argument '0'"* ]]
}
