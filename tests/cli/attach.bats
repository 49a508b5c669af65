# nvlxc attach on fixture hosts: what it writes, and what it says of hosts that cannot give what is asked for.

bats_require_minimum_version 1.5.0
load "$NVL_SOURCE/tests/lib/hosts.bash"

NVLXC="$NVL_BUILD/src/cli/nvlxc"
GPU=GPU-3291dfa4-fcc4-0110-615b-c894a0d7c689

# The lines that attach writes: "grant DEVICES CAPABILITIES [RULE]..." in Proxmox's form.
grant() {
    printf 'lxc.environment: NVIDIA_VISIBLE_DEVICES=%s\n' "$1"
    printf 'lxc.environment: NVIDIA_DRIVER_CAPABILITIES=%s\n' "$2"
    local kind rule
    for kind in pre-start mount; do
        printf 'lxc.hook.%s: ' "$kind"
        echo "</dev/null; [ ! -x /usr/libexec/nvlxc/hook ] || exec /usr/libexec/nvlxc/hook"
    done
    for rule in "${@:3}"; do
        printf 'lxc.cgroup2.devices.allow: %s rw\n' "$rule"
    done
}

# A CT for a fixture host that has none.
make_ct() {
    mkdir -p "$1/etc/pve/lxc"
    printf 'arch: amd64\nhostname: ct\nunprivileged: 1\n' >"$1/etc/pve/lxc/220.conf"
}

# The fixture's libraries are empty files: makes libraries of them, and what nvidia-smi must hold.
make_libraries() {
    local file name soname
    for file in "$1"/usr/lib/x86_64-linux-gnu/{,nvidia/current/}lib*.so.550.163.01; do
        name=${file##*/}
        case $file in
        */current/libEGL*|*/current/libGLX*) soname=${name%.550*}.0 ;;
        */current/libnvidia-nvvm*) soname=${name%.550*}.4 ;;
        */current/*) soname=${name%.550*}.1 ;;
        *) soname=$name ;;
        esac
        echo 'int f;' | cc -shared -nostdlib -Wl,-soname,"$soname" -x c -o "$file" -
    done
    printf 'NVIDIA-SMI 550.163.01\n' >"$1/usr/lib/nvidia/current/nvidia-smi"
}

@test "attach 220: the host's only GPU, by UUID, before the snapshot section" {
    host=$(fixture a5500-550)
    conf=$host/etc/pve/lxc/220.conf
    cp "$conf" "$BATS_TEST_TMPDIR/before"
    chown 0:33 "$conf" && chmod 0640 "$conf"

    run -0 "$NVLXC" --root "$host" attach 220
    [[ $output == *"220: GPU 0, NVIDIA RTX A5500 Laptop GPU ($GPU)"* ]]
    [[ $output == *"capabilities compute,utility"* ]]
    [[ $output == *"pct reboot 220"* ]]

    awk -v grant="$(grant $GPU compute,utility)" 'NF == 0 && !done { print grant; done = 1 } { print }' \
        "$BATS_TEST_TMPDIR/before" >"$BATS_TEST_TMPDIR/expected"
    diff -u "$BATS_TEST_TMPDIR/expected" "$conf"
    [ "$(stat -c '%a %u %g' "$conf")" = "640 0 33" ]
    [ "$(ls "$host/etc/pve/lxc")" = "$(printf '%s\n' 220.conf 221.conf 222.conf 223.conf)" ]
}

@test "a second attach changes nothing, byte for byte" {
    host=$(fixture a5500-550)
    run -0 "$NVLXC" --root "$host" attach 220 --gpu 0 --capabilities video,compute
    cp -p "$host/etc/pve/lxc/220.conf" "$BATS_TEST_TMPDIR/once"
    inode=$(stat -L -c %i "$host/etc/pve/lxc/220.conf")
    run -0 "$NVLXC" --root "$host" attach --capabilities=compute,video --gpu "$GPU" 220
    [[ $output == *"220: already attached, nothing to change"* ]]
    cmp "$BATS_TEST_TMPDIR/once" "$host/etc/pve/lxc/220.conf"
    [ "$(stat -L -c %i "$host/etc/pve/lxc/220.conf")" = "$inode" ]
}

@test "attach with another request changes the grant, and detach gives back the file" {
    host=$(fixture a5500-550)
    cp "$host/etc/pve/lxc/220.conf" "$BATS_TEST_TMPDIR/before"
    run -0 "$NVLXC" --root "$host" attach 220
    run -0 "$NVLXC" --root "$host" attach 220 --gpu all --capabilities all
    [ "$(grep -c NVIDIA_ "$host/etc/pve/lxc/220.conf")" -eq 2 ]
    grep -qx 'lxc.environment: NVIDIA_VISIBLE_DEVICES=all' "$host/etc/pve/lxc/220.conf"
    grep -qx 'lxc.environment: NVIDIA_DRIVER_CAPABILITIES=all' "$host/etc/pve/lxc/220.conf"
    run -0 "$NVLXC" --root "$host" detach 220
    cmp "$BATS_TEST_TMPDIR/before" "$host/etc/pve/lxc/220.conf"
}

@test "--dry-run prints the diff, and writes nothing" {
    host=$(fixture a5500-550)
    cp -a "$host" "$BATS_TEST_TMPDIR/before"
    "$NVLXC" --root "$host" attach 220 --dry-run >"$BATS_TEST_TMPDIR/diff"
    diff -r --no-dereference "$BATS_TEST_TMPDIR/before/etc" "$host/etc"
    diff -r --no-dereference "$BATS_TEST_TMPDIR/before/run" "$host/run"
    diff -r --no-dereference "$BATS_TEST_TMPDIR/before/var" "$host/var"
    [ "$(head -n 2 "$BATS_TEST_TMPDIR/diff")" = "$(printf -- '--- a/etc/pve/lxc/220.conf\n+++ b/etc/pve/lxc/220.conf')" ]
    grep -q 'would build the driver bundle /var/lib/nvlxc/driver/550.163.01' "$BATS_TEST_TMPDIR/diff"

    # it is what diff says of the file that attach then writes
    run -0 "$NVLXC" --root "$host" attach 220
    diff -u --label a/etc/pve/lxc/220.conf --label b/etc/pve/lxc/220.conf \
        "$BATS_TEST_TMPDIR/before/etc/pve/lxc/220.conf" "$host/etc/pve/lxc/220.conf" >"$BATS_TEST_TMPDIR/expected" || true
    cmp "$BATS_TEST_TMPDIR/expected" <(grep -v '^would build' "$BATS_TEST_TMPDIR/diff")
}

@test "a privileged CT gets a path-form rule for each node, whatever is there now" {
    host=$(fixture a5500-550)
    sed -i '/nvidia-uvm$/d' "$host/proc/devices"
    rm "$host/dev/nvidia-uvm"
    cp "$host/etc/pve/lxc/221.conf" "$BATS_TEST_TMPDIR/expected"
    grant $GPU compute,utility /dev/nvidia0 /dev/nvidiactl /dev/nvidia-uvm /dev/nvidia-uvm-tools \
        >>"$BATS_TEST_TMPDIR/expected"
    run -0 "$NVLXC" --root "$host" attach 221
    diff -u "$BATS_TEST_TMPDIR/expected" "$host/etc/pve/lxc/221.conf"
    ! grep -q '195:' "$host/etc/pve/lxc/221.conf"
}

@test "LXC containers, root's and a user's, in LXC's own form" {
    host=$(fixture a5500-550)
    run -0 "$NVLXC" --root "$host" attach root/web
    grep -qx "lxc.environment = NVIDIA_VISIBLE_DEVICES=$GPU" "$host/var/lib/lxc/web/config"
    ! grep -q devices.allow "$host/var/lib/lxc/web/config"

    conf=$host/home/alice/.local/share/lxc/media/config
    chmod 0600 "$conf"
    run -0 "$NVLXC" --root "$host" attach media
    grep -qx "lxc.environment = NVIDIA_VISIBLE_DEVICES=$GPU" "$conf"
    [ "$(stat -c '%a %u %g' "$conf")" = "600 1000 1000" ]

    # a device filter of its own: rules for the nodes
    run -0 "$NVLXC" --root "$host" attach box
    [ "$(grep -c '^lxc.cgroup2.devices.allow = /dev/nvidia.* rw$' "$host/var/lib/lxc/box/config")" -eq 4 ]
}

@test "a privileged container without a device filter: a warning" {
    host=$(fixture a5500-550)
    sed -i /devices/d "$host/var/lib/lxc/box/config"
    run -0 --separate-stderr "$NVLXC" --root "$host" attach box
    [[ $stderr == *"nothing prevents it from making nodes of the host's other GPUs"* ]]
    ! grep -q devices.allow "$host/var/lib/lxc/box/config"
    run -0 --separate-stderr "$NVLXC" --root "$host" attach root/web
    [[ $stderr != *"nothing keeps it"* ]]
}

@test "--json: stable keys" {
    host=$(fixture a5500-550)
    json=$("$NVLXC" --root "$host" --json attach 221 --required --capabilities utility)
    [ "$(jq -c keys_unsorted <<<"$json")" = \
        '["format","container","dry_run","changed","grant","starts","findings","bundle_state","new_rules","replaced","diff","live","warnings"]' ]
    [ "$(jq -c '[.container, .changed, .grant.devices, .grant.capabilities, .new_rules, .diff]' <<<"$json")" = \
        "[\"221\",true,[\"$GPU\"],[\"utility\"],[\"/dev/nvidia0\",\"/dev/nvidiactl\"],null]" ]
    grep -q '^lxc.hook.mount: .*--required' "$host/etc/pve/lxc/221.conf"
    [ "$("$NVLXC" --root "$host" --json attach 221 --required --capabilities utility | jq .changed)" = false ]

    json=$("$NVLXC" --root "$host" --json attach 220 --dry-run)
    [[ $(jq -r .diff <<<"$json") == "--- a/etc/pve/lxc/220.conf"* ]]
    ! grep -q NVIDIA "$host/etc/pve/lxc/220.conf"
}

@test "the bundle of the loaded version is built where it is missing, and only then" {
    host=$(fixture a5500-550)
    make_libraries "$host"
    run -0 --separate-stderr "$NVLXC" --root "$host" attach 220
    [ -f "$host/var/lib/nvlxc/driver/550.163.01/manifest.json" ]
    [[ $output == *"built the driver bundle"* ]]
    [ -f "$host/var/lib/nvlxc/driver/550.163.01/lib64/libcuda.so.1" ]
    run -0 --separate-stderr "$NVLXC" --root "$host" attach 221
    [[ $output != *"built the driver bundle"* ]]
}

@test "a bundle that cannot be built: the attach stands, and yet it failed" {
    host=$(fixture a5500-550)
    rm -rf "$host"/usr/lib/x86_64-linux-gnu "$host"/usr/lib/nvidia
    run -1 --separate-stderr "$NVLXC" --root "$host" attach 220 --json
    [ "$(jq -r .bundle_state <<<"$output")" = missing ]
    run -1 --separate-stderr "$NVLXC" --root "$host" attach 220
    [[ $stderr == *"warning: the driver bundle of 550.163.01 was not built"* ]]
    grep -q NVIDIA_VISIBLE_DEVICES "$host/etc/pve/lxc/220.conf"
}

@test "several GPUs: which one must be said, and the list says which there are" {
    host=$(fixture two-gpus-535)
    make_ct "$host"
    run -2 --separate-stderr "$NVLXC" --root "$host" attach 220
    [ -z "$output" ]
    [[ $stderr == *"this host has 2 NVIDIA GPUs; choose with --gpu"* ]]
    [[ $stderr == *"0 NVIDIA GeForce RTX 3090 GPU-9d2c1f60-7b3e-4a55-8e21-0c64f5d0a1b2"* ]]
    [[ $stderr == *"1 NVIDIA GeForce RTX 4090 GPU-e07a54c3-21f8-4d0b-b6a9-58c3d92e7f14"* ]]
    ! grep -q NVIDIA "$host/etc/pve/lxc/220.conf"
}

@test "index, PCI address and UUID are written as UUIDs, each GPU once, in the order given" {
    host=$(fixture two-gpus-535)
    make_ct "$host"
    first=GPU-9d2c1f60-7b3e-4a55-8e21-0c64f5d0a1b2
    second=GPU-e07a54c3-21f8-4d0b-b6a9-58c3d92e7f14
    devices() { sed -n 's/^lxc.environment: NVIDIA_VISIBLE_DEVICES=//p' "$host/etc/pve/lxc/220.conf"; }

    # minors are reversed against bus order: index 0 is the first on the bus, /dev/nvidia1
    run -0 "$NVLXC" --root "$host" attach 220 --gpu 0
    [ "$(devices)" = $first ]
    run -0 "$NVLXC" --root "$host" attach 220 --gpu 02:00.0
    [ "$(devices)" = $second ]
    run -0 "$NVLXC" --root "$host" attach 220 --gpu 1 --gpu $first --gpu 0000:02:00.0
    [ "$(devices)" = "$second,$first" ]
    run -0 "$NVLXC" --root "$host" attach 220 --gpu 0,1
    [ "$(devices)" = "$first,$second" ]
    run -0 "$NVLXC" --root "$host" attach 220 --gpu none
    [ "$(devices)" = none ]

    sed -i /unprivileged/d "$host/etc/pve/lxc/220.conf"
    run -0 "$NVLXC" --root "$host" attach 220 --gpu 0
    grep -qx 'lxc.cgroup2.devices.allow: /dev/nvidia1 rw' "$host/etc/pve/lxc/220.conf"
    ! grep -q /dev/nvidia0 "$host/etc/pve/lxc/220.conf"
}

@test "a GPU whose UUID the driver does not say is written by its PCI address" {
    host=$(fixture a5500-550)
    sed -i '/UUID/d' "$host/proc/driver/nvidia/gpus/0000:01:00.0/information"
    run -0 "$NVLXC" --root "$host" attach 220
    grep -qx 'lxc.environment: NVIDIA_VISIBLE_DEVICES=0000:01:00.0' "$host/etc/pve/lxc/220.conf"
}

@test "MIG devices: by GPU, GI and CI; unknown ones list what there is" {
    host=$(fixture h100-mig)
    make_ct "$host"
    h100=GPU-6b1f0c9e-d2a7-4c38-9f54-7ae3b8d61c05
    run -0 "$NVLXC" --root "$host" attach 220 --gpu MIG-$h100/1/0 --gpu MIG-$h100/2/1
    grep -qx "lxc.environment: NVIDIA_VISIBLE_DEVICES=MIG-$h100/1/0,MIG-$h100/2/1" "$host/etc/pve/lxc/220.conf"
    [[ $output == *"MIG device 2/1 of GPU 0"* ]]

    run -1 --separate-stderr "$NVLXC" --root "$host" attach 220 --gpu MIG-$h100/2/5
    [[ $stderr == *"MIG-$h100/2/5"*"    MIG-$h100/1/0"$'\n'"    MIG-$h100/2/0"$'\n'"    MIG-$h100/2/1"* ]]
    # before its first use the driver does not say the UUID that these names are made of
    sed -i '/GPU UUID/d' "$host"/proc/driver/nvidia/gpus/*/information
    run -1 --separate-stderr "$NVLXC" --root "$host" attach 220 --gpu MIG-$h100/2/5
    [[ $stderr == *"with MIG devices, which have names once a program has used the GPU"* ]] && [[ $stderr != *"MIG-/"* ]]

    run -0 --separate-stderr "$NVLXC" --root "$host" attach 220 --gpu 0
    [[ $stderr == *"MIG mode"* ]]
}

@test "a MIG UUID is asked of the bundle's NVML and written in the form that /proc resolves" {
    [ -z "${NVL_EMULATED:-}" ] || skip "it takes a host of x86-64 for the machine itself"
    host=$(fixture h100-mig)
    make_ct "$host"
    uuid=MIG-11111111-2222-3333-4444-555555555555
    # the fixture's libraries are empty files
    run -3 --separate-stderr on_machine "$host" "$NVLXC" attach 220 --gpu $uuid
    says "/nvidia/current/libnvidia-ml.so." "cannot open NVML"
    rm -r "$host/usr/lib/x86_64-linux-gnu"
    run -3 --separate-stderr on_machine "$host" "$NVLXC" attach 220 --gpu $uuid
    says "libnvidia-ml.so.550.163.01 is not installed"

    version=550.163.01
    lib64=$host/var/lib/nvlxc/driver/$version/lib64
    mkdir -p "$lib64"
    cat >"$BATS_TEST_TMPDIR/ml.c" <<'C'
#include <string.h>
int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int r) { return r ? "failed" : "fine"; }
int nvmlDeviceGetHandleByUUID(const char *uuid, void **device)
{
    *device = (void *)8;
    return strcmp(uuid, "MIG-11111111-2222-3333-4444-555555555555") == 0 ? 0 : 6;
}
int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(void *mig, void **gpu) { *gpu = mig; return 0; }
int nvmlDeviceGetUUID(void *gpu, char *uuid, unsigned len)
{
    strncpy(uuid, "GPU-6b1f0c9e-d2a7-4c38-9f54-7ae3b8d61c05", len);
    return 0;
}
int nvmlDeviceGetGpuInstanceId(void *mig, unsigned *gi) { *gi = 2; return 0; }
int nvmlDeviceGetComputeInstanceId(void *mig, unsigned *ci) { *ci = 1; return 0; }
C
    cc -shared -fPIC -o "$lib64/libnvidia-ml.so.1" "$BATS_TEST_TMPDIR/ml.c"
    # the fixture's other files are none of a driver: no bundle can be made of them
    run -1 --separate-stderr on_machine "$host" "$NVLXC" attach 220 --gpu $uuid
    says "the driver bundle of 550.163.01 was not built"
    grep -qx 'lxc.environment: NVIDIA_VISIBLE_DEVICES=MIG-GPU-6b1f0c9e-d2a7-4c38-9f54-7ae3b8d61c05/2/1' \
        "$host/etc/pve/lxc/220.conf"
    run -1 --separate-stderr on_machine "$host" "$NVLXC" attach 220 --gpu MIG-99999999-2222-3333-4444-555555555555
    says "no GPU MIG-99999999" "/1/0"

    # a captured host's is not asked
    run -3 --separate-stderr "$NVLXC" --root "$host" attach 220 --gpu $uuid
    says "does not load the libraries of a captured host" "MIG-GPU-UUID/GI/CI"
}

@test "hosts that cannot give a GPU: exit 3, with what is in the way" {
    local name text
    while IFS='|' read -r name text; do
        host=$(fixture "$name")
        make_ct "$host"
        cp "$host/etc/pve/lxc/220.conf" "$BATS_TEST_TMPDIR/before"
        for gpu in '' '--gpu=0' '--gpu=all'; do
            run -3 --separate-stderr "$NVLXC" --root "$host" attach 220 $gpu
            [ -z "$output" ]
            [[ $(error_of "$stderr") == *"$text"* ]] || { echo "$name: $stderr"; false; }
        done
        cmp "$BATS_TEST_TMPDIR/before" "$host/etc/pve/lxc/220.conf"
    done <<'CASES'
nouveau|is held by nouveau, so NVIDIA's driver cannot use it; printf 'blacklist nouveau\n' >> /etc/modprobe.d/nvlxc.conf
vfio|is held by vfio-pci, for a virtual machine; sed -i 's/10de:2438,\{0,1\}//I' /etc/modprobe.d/vfio.conf; update-initramfs
no-driver|has no driver: no NVIDIA driver is loaded; nvlxc doctor
no-gpu|this host has no NVIDIA GPU
CASES
}

@test "a GPU that another driver holds: the fix has the distribution's own commands" {
    host=$(fixture nouveau)
    mkdir -p "$host/var/lib/lxc/web/rootfs"
    printf 'lxc.uts.name = web\nlxc.rootfs.path = dir:/var/lib/lxc/web/rootfs\n' >"$host/var/lib/lxc/web/config"
    echo 'ID=fedora' >"$host/etc/os-release"
    run -3 --separate-stderr "$NVLXC" --root "$host" attach web
    says "dracut --force --regenerate-all"
    [[ $stderr != *update-initramfs* ]]
}

@test "attach: a VM that names the GPU, a GPU that has fallen off the bus, a virtual function" {
    local pci=sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0
    host=$(fixture a5500-550)
    mkdir -p "$host/etc/pve/qemu-server"
    printf 'onboot: 1\nhostpci0: 0000:01:00\n' > "$host/etc/pve/qemu-server/104.conf"
    run -0 --separate-stderr "$NVLXC" --root "$host" attach 220 --dry-run
    says "VM 104 names it too (hostpci0; starts at boot)" "takes the GPU away"
    rm -r "$host/etc/pve/qemu-server"
    run -0 --separate-stderr "$NVLXC" --root "$host" attach 220 --dry-run
    [[ $stderr != *"VM 104"* ]]

    head -c 64 /dev/zero | tr '\0' '\377' > "$host/$pci/config"
    run -0 --separate-stderr "$NVLXC" --root "$host" attach 220 --dry-run
    says "GPU 0 has fallen off the bus"

    mkdir -p "$host/sys/bus/pci/devices/0000:01:00.4"
    echo 0x10de > "$host/sys/bus/pci/devices/0000:01:00.4/vendor"
    echo 0x030200 > "$host/sys/bus/pci/devices/0000:01:00.4/class"
    ln -s ../0000:01:00.0 "$host/sys/bus/pci/devices/0000:01:00.4/physfn"
    run -3 --separate-stderr "$NVLXC" --root "$host" attach 220 --gpu 01:00.4 --dry-run
    says "is a virtual function of the GPU at 0000:01:00.0, not a GPU of its own"
    run -1 --separate-stderr "$NVLXC" --root "$host" attach 220 --gpu 7 --dry-run
    [[ $stderr != *01:00.4* ]]
}
