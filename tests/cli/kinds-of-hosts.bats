#!/usr/bin/env bats
# Drivers and hosts as people have them (tests/hosts/kinds.bash): what gpus, host, doctor, host setup, attach and driver sync
# say there is what somebody has read and found right.

bats_require_minimum_version 1.5.0

# shellcheck source=/dev/null
source "$NVL_SOURCE/tests/lib/hosts.bash"

# tell FILE COMMAND...: what the program says of $HOST, and its exit status.
tell() {
    local status=0
    "$NVL_BUILD/src/cli/nvlxc" --root "$HOST" "${@:2}" >"$BATS_TEST_TMPDIR/out" 2>&1 || status=$?
    { printf '$ nvlxc %s\n' "${*:2}" && cat "$BATS_TEST_TMPDIR/out" && printf '[exit status %s]\n' "$status"; } >>"$1"
}

# check NAME: all of it.
check() {
    local HOST kind container=web
    HOST=$(fixture "$1")
    [ ! -d "$HOST/etc/pve" ] || container=101
    tell "$BATS_TEST_TMPDIR/gpus" gpus
    tell "$BATS_TEST_TMPDIR/gpus" host
    tell "$BATS_TEST_TMPDIR/doctor" doctor
    tell "$BATS_TEST_TMPDIR/setup" host setup --dry-run
    tell "$BATS_TEST_TMPDIR/drivers" host --drivers
    tell "$BATS_TEST_TMPDIR/attach" attach --dry-run --gpu all "$container"
    tell "$BATS_TEST_TMPDIR/attach" driver sync --dry-run
    # how many questions there are, and which, is no matter of the host
    sed -i 's/[0-9]* checks of the host/N checks of the host/; /^nothing is wrong:/,/^\[exit/{/^  /d}' "$BATS_TEST_TMPDIR/doctor"
    for kind in gpus doctor setup drivers attach; do is_as_read "$1.$kind.txt" <"$BATS_TEST_TMPDIR/$kind"; done
}

@test "pve-9.2-rtx5090: Proxmox VE 9.2 with a GPU that no packaged driver knows" {
    check pve-9.2-rtx5090
}

@test "pve-9.2-rtx3090: Proxmox VE 9.2, as it comes: nouveau has the GPU" {
    check pve-9.2-rtx3090
}

@test "pve-9.2-gtx1080: Proxmox VE 9.2 with a GPU whose last branch is 580" {
    check pve-9.2-gtx1080
}

@test "pve-9.2-upgraded: Proxmox VE 9.2, with Debian's driver of the time before" {
    check pve-9.2-upgraded
}

@test "pve-9.1-run: Proxmox VE 9.1 with NVIDIA's installer, and a kernel that its driver is not for" {
    check pve-9.1-run
}

@test "pve-9.1-two-gpus: two GPUs that no driver joins" {
    check pve-9.1-two-gpus
}

@test "pve-9.1-passthrough: leftovers of passthrough" {
    check pve-9.1-passthrough
}

@test "pve-9.1-vgpu: the host driver for virtual GPUs" {
    check pve-9.1-vgpu
}

@test "pve-9.1-sriov: virtual functions beside their GPU" {
    check pve-9.1-sriov
}

@test "debian-12-k80: Debian 12 with a K80" {
    check debian-12-k80
}

@test "debian-13-tesla-535: Debian 13 with the packages of tesla-535" {
    check debian-13-tesla-535
}

@test "debian-13-tesla-535-kernel: the same on a kernel that they are not for" {
    check debian-13-tesla-535-kernel
}

@test "debian-13-archive: Debian 13 with NVIDIA's own archive" {
    check debian-13-archive
}

@test "pve-9.2-archive: the same on Proxmox VE 9.2, with a driver of the time before" {
    check pve-9.2-archive
}

@test "nixos: NixOS" {
    check nixos
}

@test "fedora: Fedora, with a kernel that akmods has not built for" {
    check fedora
}

@test "arch: Arch between an upgrade and its reboot" {
    check arch
}

@test "opensuse: openSUSE with a GPU whose last branch is 580" {
    check opensuse
}

@test "debian-13-ampere-a2: an arm64 server with Debian's driver" {
    check debian-13-ampere-a2
}

@test "ubuntu-24.04-gh200: Grace Hopper, with the driver of Ubuntu's archive" {
    check ubuntu-24.04-gh200
}

@test "dgx-spark-gb10: a GPU without memory of its own" {
    check dgx-spark-gb10
}

@test "jetson-orin: Tegra, which nvlxc does not support, is named" {
    check jetson-orin
}

@test "every kind of host has its case and its files" {
    local kind
    for kind in $("$NVL_SOURCE/tests/hosts/make-kind"); do
        grep -qx "    check $kind" "$BATS_TEST_FILENAME"
        [ -f "$NVL_SOURCE/tests/hosts/expected/$kind.doctor.txt" ]
    done
}
