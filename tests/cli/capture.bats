#!/usr/bin/env bats
# nvlxc capture: what it writes is a host that --root reads the same way, and says nothing more.

bats_require_minimum_version 1.5.0

setup() {
    load "$NVL_SOURCE/tests/lib/hosts.bash"
    NVLXC="$NVL_BUILD/src/cli/nvlxc"
    export TMPDIR="$BATS_TEST_TMPDIR/tmp"
    mkdir "$TMPDIR"
}

# gpus_of HOST: what gpus says of it, without who has them: a capture has no containers.
gpus_of() {
    "$NVLXC" --root "$1" gpus --json | jq 'del(.gpus[].containers)'
}

# host_of HOST: what host says, without the literal evidence: links in a capture are shorter.
host_of() {
    "$NVLXC" --root "$1" host --json | jq 'del(.findings[].evidence)'
}

# round_trip NAME: a capture of that fixture host, unpacked, is the same host to gpus and host.
round_trip() {
    local host again="$BATS_TEST_TMPDIR/again-$1"
    host=$(fixture "$1")
    run -0 "$NVLXC" --root "$host" capture "$BATS_TEST_TMPDIR/$1.tar"
    mkdir "$again"
    tar -C "$again" -xf "$BATS_TEST_TMPDIR/$1.tar"
    "$NVL_SOURCE/tests/hosts/make-nodes" "$again"
    diff -u <(gpus_of "$host") <(gpus_of "$again")
    diff -u <(host_of "$host") <(host_of "$again")
}

@test "capture: unpacked, it is the same host: two GPUs" {
    round_trip two-gpus-535
}

@test "capture: unpacked, it is the same host: Proxmox VE with Debian's driver" {
    round_trip a5500-550
}

@test "capture: what the administrator taught about drivers comes along" {
    local host again="$BATS_TEST_TMPDIR/again"
    host=$(fixture no-driver)
    mkdir -p "$host/etc/nvlxc" "$again"
    echo '{"broken' >"$host/etc/nvlxc/kernels.json"
    run -0 "$NVLXC" --root "$host" capture "$BATS_TEST_TMPDIR/taught.tar"
    tar -C "$again" -xf "$BATS_TEST_TMPDIR/taught.tar"
    cmp "$host/etc/nvlxc/kernels.json" "$again/etc/nvlxc/kernels.json"
}

# What doctor advises depends on where the driver came from.
@test "capture: unpacked, the driver has come from the same place" {
    local host again="$BATS_TEST_TMPDIR/again"
    host=$(fixture a5500-580-open)
    rm "$host/usr/bin/nvidia-installer"
    rm -r "$host"/usr/lib/{firmware,*-linux-gnu}
    mkdir -p "$host/var/lib/dpkg" "$again"
    printf 'Package: nvidia-kernel-dkms\nStatus: install ok installed\nMaintainer: NVIDIA CORPORATION <cudatools@nvidia.com>\nVersion: 580.95.05-1\n' \
        >"$host/var/lib/dpkg/status"
    run -0 "$NVLXC" --root "$host" capture "$BATS_TEST_TMPDIR/archive.tar"
    tar -C "$again" -xf "$BATS_TEST_TMPDIR/archive.tar"
    "$NVLXC" --root "$again" --json doctor | grep 'apt install libcuda1 nvidia-driver-cuda '
    rm "$host/var/lib/dpkg/status"
    touch "$host/usr/bin/nvidia-uninstall"
    run -0 "$NVLXC" --root "$host" capture "$BATS_TEST_TMPDIR/run.tar"
    mkdir "$again.run"
    tar -C "$again.run" -xf "$BATS_TEST_TMPDIR/run.tar"
    "$NVLXC" --root "$again.run" --json doctor | grep 'sh NVIDIA-Linux-x86_64-580.95.05.run --no-kernel-modules'
}

@test "capture: unpacked, it is the same host: MIG" {
    round_trip h100-mig
}

@test "capture: unpacked, it is the same host: NVIDIA's installer" {
    round_trip a5500-580-open
}

@test "capture: unpacked, it is the same host: an upgrade that waits, with its bundle" {
    round_trip upgraded
}

@test "capture: unpacked, it is the same host: faults are kept" {
    round_trip bad-nodes
    round_trip stale-uvm
    round_trip uvm-missing
}

@test "capture: unpacked, it is the same host: another driver, and none" {
    round_trip nouveau
    round_trip vfio
    round_trip no-driver
    round_trip no-gpu
}

@test "capture: what takes a GPU away, and what is no GPU, comes along; nobody's name does" {
    local host again gpu=sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0
    host=$(fixture a5500-550)
    mkdir -p "$host"/etc/pve/{qemu-server,mapping} "$host/etc/udev/rules.d" "$host/sys/bus/pci/devices/0000:01:00.4"
    printf 'name: secret\nonboot: 1\nhostpci0: mapping=secret,pcie=1\n' > "$host/etc/pve/qemu-server/104.conf"
    printf 'secret\n\tmap node=pve,path=0000:01:00\n' > "$host/etc/pve/mapping/pci.cfg"
    echo 0x10de > "$host/sys/bus/pci/devices/0000:01:00.4/vendor"
    echo 0x030200 > "$host/sys/bus/pci/devices/0000:01:00.4/class"
    ln -s ../0000:01:00.0 "$host/sys/bus/pci/devices/0000:01:00.4/physfn"
    head -c 64 /dev/zero | tr '\0' '\377' > "$host/$gpu/config"
    mkdir -p "$host/var/log"
    printf '[1.0] audit: secret\nNVRM: Xid (PCI:0000:01:00): %s, pid=1, name=secret\n' 31 79 31 > "$host/var/log/dmesg"
    run -0 "$NVLXC" --root "$host" capture "$BATS_TEST_TMPDIR/taken.tar"
    again=$(mktemp -d "$BATS_TEST_TMPDIR/again.XXXXXX")
    tar -xf "$BATS_TEST_TMPDIR/taken.tar" -C "$again" --strip-components=1
    run ! grep -r secret "$again"
    [ "$(cat "$again/etc/pve/qemu-server/104.conf")" = $'hostpci0: 0000:01:00\nonboot: 1' ]
    [ "$("$NVLXC" --root "$again" gpus --json | jq -c '[.gpus[] | [.state, .virtual_functions]]')" = '[["lost",1]]' ]
    [ "$(grep -c 'Xid (PCI:0000:01:00): 31, ' "$again/var/log/dmesg")" = 2 ]
    [ "$(wc -l < "$again/var/log/dmesg")" = 3 ]
}

@test "capture: .tgz and .gz are compressed, others are not" {
    local host
    host=$(fixture a5500-550)
    for name in a.tgz b.tar.gz; do
        run -0 "$NVLXC" --root "$host" capture "$BATS_TEST_TMPDIR/$name"
        gzip -t "$BATS_TEST_TMPDIR/$name"
    done
    run -0 "$NVLXC" --root "$host" capture "$BATS_TEST_TMPDIR/c.tar"
    run ! gzip -t "$BATS_TEST_TMPDIR/c.tar"
    tar -tf "$BATS_TEST_TMPDIR/c.tar" >/dev/null
}

@test "capture: a file that exists is not touched" {
    echo mine >"$BATS_TEST_TMPDIR/out.tar"
    run -1 "$NVLXC" --root "$(fixture a5500-550)" capture "$BATS_TEST_TMPDIR/out.tar"
    [ "$(error_of "$output")" = "nvlxc: $BATS_TEST_TMPDIR/out.tar already exists; name another file, or remove it first" ]
    [ "$(cat "$BATS_TEST_TMPDIR/out.tar")" = mine ]
}

@test "capture: a link that leads nowhere is not followed" {
    ln -s "$BATS_TEST_TMPDIR/elsewhere" "$BATS_TEST_TMPDIR/out.tar"
    run -1 "$NVLXC" --root "$(fixture a5500-550)" capture "$BATS_TEST_TMPDIR/out.tar"
    [ ! -e "$BATS_TEST_TMPDIR/elsewhere" ]
}

@test "capture: a folder that is not there" {
    run -1 "$NVLXC" --root "$(fixture a5500-550)" capture "$BATS_TEST_TMPDIR/no/out.tar"
    [[ "$output" == "nvlxc: cannot create $BATS_TEST_TMPDIR/no/out.tar: No such file or directory"* ]]
}

@test "capture: without tar: exit 3, says so, leaves nothing" {
    local host
    host=$(fixture a5500-550)
    run -3 env PATH=/nonexistent "$NVLXC" --root "$host" capture "$BATS_TEST_TMPDIR/out.tar"
    [ "$(error_of "$output")" = "nvlxc: tar is not installed; apt install tar" ]
    [ ! -e "$BATS_TEST_TMPDIR/out.tar" ]
    [ -z "$(ls -A "$TMPDIR")" ]
}

@test "capture: a tar that fails leaves nothing" {
    local host
    host=$(fixture a5500-550)
    mkdir "$BATS_TEST_TMPDIR/bin"
    printf '#!/bin/sh\necho half\nexit 2\n' >"$BATS_TEST_TMPDIR/bin/tar"
    chmod +x "$BATS_TEST_TMPDIR/bin/tar"
    run -1 env PATH="$BATS_TEST_TMPDIR/bin:$PATH" "$NVLXC" --root "$host" capture "$BATS_TEST_TMPDIR/out.tar"
    [ ! -e "$BATS_TEST_TMPDIR/out.tar" ]
    [ -z "$(ls -A "$TMPDIR")" ]
}

@test "capture: no temporary folder stays" {
    run -0 "$NVLXC" --root "$(fixture a5500-550)" capture "$BATS_TEST_TMPDIR/out.tar"
    [ -z "$(ls -A "$TMPDIR")" ]
}

@test "capture: says what is inside, and that no serial number is" {
    run -0 "$NVLXC" --root "$(fixture a5500-550)" capture "$BATS_TEST_TMPDIR/out.tar"
    [[ "$output" == *"no serial number "* ]]
    [[ "$output" == *"UUID"* ]]
}

@test "capture: no name of the machine, no container, no user, no other file is inside" {
    local host
    host=$(fixture a5500-550)
    echo secret-host >"$host/etc/hostname"
    echo 1234567890 >"$host/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/serial"
    sed -i 's/(buildd@debian)/(root@secret-host)/' "$host/proc/driver/nvidia/version"
    run -0 "$NVLXC" --root "$host" capture "$BATS_TEST_TMPDIR/out.tar"
    run ! grep -v ' 0/0 ' <(tar -tvf "$BATS_TEST_TMPDIR/out.tar") # not even in the archive's own headers
    mkdir "$BATS_TEST_TMPDIR/again"
    tar -C "$BATS_TEST_TMPDIR/again" -xf "$BATS_TEST_TMPDIR/out.tar"
    run -1 grep -rE 'secret-host|1234567890|alice|ollama|BC:24' "$BATS_TEST_TMPDIR/again"
    [ ! -e "$BATS_TEST_TMPDIR/again/etc/pve" ]
    [ ! -e "$BATS_TEST_TMPDIR/again/home" ]
    [ ! -e "$BATS_TEST_TMPDIR/again/var/lib/lxc" ]
}

@test "capture: no file of the driver is inside" {
    local host
    host=$(fixture a5500-550)
    echo "a library of NVIDIA's" >"$host/usr/lib/x86_64-linux-gnu/nvidia/current/libcuda.so.550.163.01"
    run -0 "$NVLXC" --root "$host" capture "$BATS_TEST_TMPDIR/out.tar"
    [ "$(tar -xOf "$BATS_TEST_TMPDIR/out.tar" \
        ./usr/lib/x86_64-linux-gnu/nvidia/current/libcuda.so.550.163.01 | wc -c)" = 0 ]
}

@test "capture: --json" {
    run -0 "$NVLXC" --root "$(fixture a5500-550)" capture "$BATS_TEST_TMPDIR/out.tar" --json
    [ "$(jq -r .path <<<"$output")" = "$BATS_TEST_TMPDIR/out.tar" ]
    [ "$(jq .bytes <<<"$output")" = "$(stat -c %s "$BATS_TEST_TMPDIR/out.tar")" ]
}

@test "capture: needs the name of a file" {
    run -2 "$NVLXC" capture
    [[ "$output" == *"capture needs an argument"* ]]
}
