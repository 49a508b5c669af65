# nvlxc cdi: the specification's devices, nodes and mounts on hosts of each kind; the file; what `driver sync` makes of it.
# tests/lxc/cdi.bats gives it to podman.

bats_require_minimum_version 1.5.0
load "$NVL_SOURCE/tests/lib/hosts.bash"

NVLXC="$NVL_BUILD/src/cli/nvlxc"
STORE=/var/lib/nvlxc/driver

# host NAME: $host, with a bundle of its loaded driver.
host() {
    host=$(fixture "$1")
    V=$(grep -oE -m1 '[0-9]{3}(\.[0-9]+)+' "$host/proc/driver/nvidia/version")
    bundle "$V"
}

bundle() {
    mkdir -p "$host$STORE/$1"/{bin,lib64/gbm,share/vulkan/icd.d}
    touch "$host$STORE/$1"/{manifest.json,bin/nvidia-smi,lib64/libcuda.so.1,lib64/gbm/nvidia-drm_gbm.so} \
        "$host$STORE/$1/share/vulkan/icd.d/nvidia_icd.json"
}

nvlxc() {
    "$NVLXC" --root "$host" "$@"
}

# container NAME ATTACH-ARGUMENT...: a container with that grant.
container() {
    mkdir -p "$host/var/lib/lxc/$1/rootfs" "$host/etc/lxc"
    printf 'lxc.rootfs.path = dir:/var/lib/lxc/%s/rootfs\nlxc.uts.name = %s\n' "$1" "$1" > "$host/var/lib/lxc/$1/config"
    nvlxc attach "$@" --quiet
}

# nodes DEVICE: its own, in a line. shared: everybody's. env: likewise. mounts: "SOURCE TARGET" a line.
nodes() {
    jq -r --arg name "$1" '[.devices[] | select(.name == $name).containerEdits.deviceNodes[].path] | join(" ")' <<< "$output"
}
shared() { jq -r '[.containerEdits.deviceNodes[].path] | join(" ")' <<< "$output"; }
names() { jq -r '[.devices[].name] | join(" ")' <<< "$output"; }
env_of() { jq -r '.containerEdits.env | join(" ")' <<< "$output"; }
mounts() { jq -r '.containerEdits.mounts[] | .hostPath + " " + .containerPath' <<< "$output"; }

# The fields that CDI 0.5.0 has, and no others: engines refuse a file with one that they do not know.
is_valid() {
    jq -e '
        def only($keys): (keys - $keys) == [];
        def texts: type == "array" and all(type == "string");
        def edits: only(["env", "deviceNodes", "mounts"]) and (length > 0)
            and ((.env // []) | texts and all(test("^[A-Z_]+=.")))
            and ((.deviceNodes // []) | all(only(["path"]) and (.path | startswith("/dev/"))))
            and ((.mounts // []) | all(only(["hostPath", "containerPath", "options"])
                and (.hostPath | startswith("/")) and (.containerPath | startswith("/"))
                and .options == ["ro", "nosuid", "nodev", "bind"]));
        only(["cdiVersion", "kind", "devices", "containerEdits"])
        and .cdiVersion == "0.5.0" and .kind == "nvidia.com/gpu"
        and (.devices | length > 0)
        and (.devices | all(only(["name", "containerEdits"]) and (.name | test("^[A-Za-z0-9]([A-Za-z0-9_.:-]*[A-Za-z0-9])?$"))
            and (.containerEdits | edits) and (.containerEdits.deviceNodes | length > 0)))
        and ([.devices[].name] | length == (unique | length))
        and (.containerEdits | edits)' <<< "$output" > /dev/null
}

@test "one GPU: by index, UUID and all; the driver by one bundle" {
    host a5500-550
    run -0 --separate-stderr nvlxc cdi
    is_valid
    [ -z "$stderr" ]
    [ "$(names)" = "0 GPU-3291dfa4-fcc4-0110-615b-c894a0d7c689 all" ]
    for name in $(names); do [ "$(nodes "$name")" = /dev/nvidia0 ]; done
    [ "$(shared)" = "/dev/nvidiactl /dev/nvidia-uvm /dev/nvidia-uvm-tools /dev/nvidia-modeset" ]
    [ "$(env_of)" = "NVIDIA_VISIBLE_DEVICES=void NVIDIA_DRIVER_CAPABILITIES=compute,utility" ]
    [ "$(mounts)" = "$STORE/550.163.01 /usr/local/nvidia
$STORE/550.163.01/lib64 /usr/lib/glibc-hwcaps/x86-64-v2
$STORE/550.163.01/lib64 /usr/lib64/glibc-hwcaps/x86-64-v2
$STORE/550.163.01/lib64 /usr/lib/x86_64
$STORE/550.163.01/lib64 /usr/lib64/x86_64
$STORE/550.163.01/bin/nvidia-smi /usr/local/bin/nvidia-smi" ]
    # the loaded version's, where another is installed
    host upgraded
    run -0 nvlxc cdi
    [[ $(mounts) == "$STORE/$V /usr/local/nvidia"* ]]
}

@test "two GPUs: the index is the driver's, the node's number need not be it" {
    host two-gpus-535
    run -0 nvlxc cdi
    is_valid
    mapfile -t uuids < <(nvlxc --json gpus | jq -r '.gpus[].uuid')
    [ "$(names)" = "0 ${uuids[0]} 1 ${uuids[1]} all" ]
    [ "$(nodes 0)" = /dev/nvidia1 ]
    [ "$(nodes "${uuids[1]}")" = /dev/nvidia0 ]
    [ "$(nodes all)" = "/dev/nvidia1 /dev/nvidia0" ]
}

@test "capabilities: nodes of graphics, files that the bundle has; what needs no uvm gets none" {
    host a5500-550
    run -0 nvlxc cdi --capabilities graphics
    is_valid
    [ "$(nodes 0)" = "/dev/nvidia0 /dev/dri/card1 /dev/dri/renderD128" ]
    [ "$(shared)" = "/dev/nvidiactl /dev/nvidia-uvm /dev/nvidia-uvm-tools /dev/nvidia-modeset" ]
    [ "$(env_of)" = "NVIDIA_VISIBLE_DEVICES=void NVIDIA_DRIVER_CAPABILITIES=graphics" ]
    [ "$(mounts | tail -n +6)" = "$STORE/$V/share/vulkan/icd.d/nvidia_icd.json /usr/share/vulkan/icd.d/nvidia_icd.json
$STORE/$V/lib64/gbm/nvidia-drm_gbm.so /usr/lib/x86_64-linux-gnu/gbm/nvidia-drm_gbm.so
$STORE/$V/lib64/gbm/nvidia-drm_gbm.so /usr/lib64/gbm/nvidia-drm_gbm.so
$STORE/$V/lib64/gbm/nvidia-drm_gbm.so /usr/lib/gbm/nvidia-drm_gbm.so" ]
    rm "$host/dev/nvidia-modeset"
    run -0 nvlxc cdi --capabilities utility
    [ "$(shared)" = /dev/nvidiactl ]
    run -2 nvlxc cdi --capabilities compute,dance
    says dance
}

@test "MIG: each device with its capability nodes, the GPU with all of them" {
    host h100-mig
    local gpu=GPU-6b1f0c9e-d2a7-4c38-9f54-7ae3b8d61c05 caps=/dev/nvidia-caps/nvidia-cap
    run -0 nvlxc cdi
    is_valid
    [ "$(names)" = "0 $gpu 0:0 MIG-$gpu:1:0 0:1 MIG-$gpu:2:0 0:2 MIG-$gpu:2:1 all" ]
    [ "$(nodes 0:0)" = "/dev/nvidia0 ${caps}12 ${caps}13" ]
    [ "$(nodes "MIG-$gpu:2:1")" = "/dev/nvidia0 ${caps}21 ${caps}23" ]
    [ "$(nodes 0)" = "/dev/nvidia0 ${caps}12 ${caps}13 ${caps}21 ${caps}22 ${caps}23" ]
    [ "$(nodes all)" = "$(nodes 0)" ]
}

@test "a container: its grant's GPU, counted as in it; the driver from its own mount" {
    host two-gpus-535
    local second
    second=$(nvlxc --json gpus | jq -r '.gpus[1].uuid')
    container box --gpu 1
    run -0 --separate-stderr nvlxc cdi box
    is_valid
    [ -z "$stderr" ]
    [ "$(names)" = "0 $second all" ]
    [ "$(nodes 0)" = /dev/nvidia0 ]
    [ "$(nodes all)" = /dev/nvidia0 ]
    # the node that compute does not bring is not in it
    [ "$(shared)" = "/dev/nvidiactl /dev/nvidia-uvm /dev/nvidia-uvm-tools" ]
    [ "$(mounts | head -n 2)" = "/usr/local/nvidia /usr/local/nvidia
/usr/local/nvidia/lib64 /usr/lib/glibc-hwcaps/x86-64-v2" ]
    [[ $(mounts | tail -n 1) == "/usr/local/nvidia/bin/nvidia-smi "* ]]
    [[ $output != *"$STORE"* ]]
    nvlxc attach box --gpu 1 --capabilities all --quiet
    run -0 nvlxc cdi box
    [ "$(env_of)" = "NVIDIA_VISIBLE_DEVICES=void NVIDIA_DRIVER_CAPABILITIES=all" ]
    # with their names in it, of whomever they are there
    [ "$(nodes 0)" = "/dev/nvidia0 /dev/dri/card2 /dev/dri/renderD129" ]
    run -2 nvlxc cdi box --capabilities compute
    says "does not go with a container"
}

@test "a container with a MIG device: that one alone" {
    host h100-mig
    local gpu=GPU-6b1f0c9e-d2a7-4c38-9f54-7ae3b8d61c05 caps=/dev/nvidia-caps/nvidia-cap
    container box --gpu "MIG-$gpu/2/1"
    run -0 nvlxc cdi box
    is_valid
    [ "$(names)" = "0:0 MIG-$gpu:2:1 all" ]
    [ "$(nodes all)" = "/dev/nvidia0 ${caps}21 ${caps}23" ]
}

@test "a container with a driver of its own: the nodes, and it is said" {
    host two-gpus-535
    container box --gpu 0 --libraries none
    run -0 --separate-stderr nvlxc cdi box
    is_valid
    [ -z "$(jq -r '.containerEdits.mounts // empty' <<< "$output")" ]
    [[ $stderr == *"--libraries none"*"only the nodes"* ]]
}

@test "containers that have nothing to give on" {
    host two-gpus-535
    run -1 nvlxc cdi nobody
    says "no container nobody"
    container box --gpu 0
    nvlxc detach box --quiet
    run -1 nvlxc cdi box
    says "box has no grant from nvlxc" "nvlxc attach box"
    nvlxc attach box --gpu none --quiet
    run -3 nvlxc cdi box
    says "this host has none of the GPUs granted to box"
    # a card that was taken out is named, the other one is there
    nvlxc attach box --gpu 0 --gpu 1 --quiet
    rm -r "$host/proc/driver/nvidia/gpus/$(nvlxc --json gpus | jq -r '.gpus[1].pci')"
    run -0 --separate-stderr nvlxc cdi box
    [ "$(nodes all)" = /dev/nvidia1 ]
    [[ $stderr == *"nvlxc: warning: "*GPU-* ]]
}

@test "no GPU, no driver, no bundle" {
    host=$(fixture no-gpu)
    run -3 nvlxc cdi
    says "this host has no NVIDIA GPU"
    host=$(fixture no-driver)
    run -3 nvlxc cdi
    says "no NVIDIA driver is loaded"
    # the driver is there, and does not show its GPU
    host a5500-550
    nvlxc cdi --output /etc/cdi/nvlxc.json --quiet
    rm -r "$host"/proc/driver/nvidia/gpus/*
    run -3 nvlxc cdi
    says "GPU 0000:01:00.0 has no device minor" "journalctl -k"
    run -0 --separate-stderr sync_driver --json driver sync
    [ "$(jq -c .cdi_file <<< "$output")" = null ]
    [[ $stderr == *"/etc/cdi/nvlxc.json was not updated: "* ]]
    [ "$(jq '.devices | length' "$host/etc/cdi/nvlxc.json")" = 3 ]
    host=$(fixture a5500-550)
    run -3 nvlxc cdi --output /etc/cdi/nvlxc.json
    says "no bundle of the loaded driver 550.163.01" "nvlxc driver sync"
    [ ! -e "$host/etc/cdi" ]
}

@test "a node that is missing or stale is named, and warned of" {
    host stale-uvm
    run -0 --separate-stderr nvlxc cdi
    [[ $(shared) == *" /dev/nvidia-uvm "* ]]
    [[ $stderr == *"warning: /dev/nvidia-uvm is named but is stale"*"nvlxc doctor"* ]]
    rm "$host/dev/nvidia0"
    run -0 --separate-stderr nvlxc cdi
    [ "$(nodes 0)" = /dev/nvidia0 ]
    [[ $stderr == *"/dev/nvidia0 is named but is missing"* ]]
}

@test "--output: the folder is made, the file is whole; the same again writes nothing" {
    host a5500-550
    run -0 nvlxc cdi --output /etc/cdi/nvlxc.json
    [ "$output" = "/etc/cdi/nvlxc.json: written; 3 devices, the first is nvidia.com/gpu=0" ]
    [ "$(stat -c %a "$host/etc/cdi" "$host/etc/cdi/nvlxc.json" | tr '\n' ' ')" = "755 644 " ]
    [ "$(ls "$host/etc/cdi")" = nvlxc.json ]
    nvlxc cdi | cmp - "$host/etc/cdi/nvlxc.json"
    before=$(stat -c '%i %y' "$host/etc/cdi/nvlxc.json")
    run -0 nvlxc cdi --output /etc/cdi/nvlxc.json
    says "up to date"
    [ "$(stat -c '%i %y' "$host/etc/cdi/nvlxc.json")" = "$before" ]
    run -0 nvlxc --json cdi --output /etc/cdi/nvlxc.json --capabilities utility
    [ "$(jq -c . <<< "$output")" = \
        '{"format":1,"path":"/etc/cdi/nvlxc.json","changed":true,"devices":["0","GPU-3291dfa4-fcc4-0110-615b-c894a0d7c689","all"]}' ]
    run -0 nvlxc cdi --quiet --output /run/cdi/a.json
    [ -z "$output" ]
    [ -s "$host/run/cdi/a.json" ]
    # the machine's own root takes a name in the current folder, too
    run -2 nvlxc cdi --output a.json
    says "give an absolute path"
}

@test "--output refuses what it would destroy, and says what is in the way" {
    host a5500-550
    mkdir "$host/etc/cdi"
    ln -s ../../outside "$host/etc/cdi/nvlxc.json"
    run -1 nvlxc cdi --output /etc/cdi/nvlxc.json
    says "/etc/cdi/nvlxc.json exists and is not a regular file"
    [ -L "$host/etc/cdi/nvlxc.json" ]
    run -1 nvlxc cdi --output /dev/nvidia0
    says "not a regular file"
    [ -c "$host/dev/nvidia0" ]
    run -1 nvlxc cdi --output /nowhere/at/all.json
    says "cannot write /nowhere/at/all.json: its folder: No such file"
    [ ! -e "$host/nowhere" ]
}

@test "another specification of these devices is told of" {
    host a5500-550
    mkdir -p "$host/run/cdi" "$host/etc/cdi"
    echo 'kind: nvidia.com/gpu' > "$host/run/cdi/nvidia.yaml"
    echo 'kind: example.com/gpu' > "$host/etc/cdi/example.yaml"
    run -0 --separate-stderr nvlxc cdi --output /etc/cdi/nvlxc.json
    [[ $stderr == *"/run/cdi/nvidia.yaml also describes nvidia.com/gpu"* ]]
    [[ $stderr != *example.yaml* ]]
    [[ $stderr != *nvlxc.json* ]]
}

# loaded VERSION: the machine has rebooted into it; its bundle is there.
loaded() {
    sed -E -i "s/$V/$1/" "$host/proc/driver/nvidia/version"
    rm -rf "$host$STORE/$V"
    V=$1
    bundle "$V"
}

# Nothing is installed on this host; the bundle itself is tests/cli/driver.bats' matter.
sync_driver() {
    find "$host/usr" -name 'lib*.so*' -delete
    printf '{"version": "%s", "files": [], "links": []}' "$V" > "$host$STORE/$V/manifest.json"
    touch "$host$STORE/$V/sonames"
    nvlxc "$@"
}

@test "after a driver upgrade driver sync writes it anew, with its capabilities" {
    host a5500-550
    nvlxc cdi --capabilities compute,graphics --output /etc/cdi/nvlxc.json --quiet
    nvlxc cdi --output /etc/cdi/by-hand.json --quiet
    cp "$host/etc/cdi/by-hand.json" "$BATS_TEST_TMPDIR/by-hand.json"
    loaded 580.95.05
    run -0 --separate-stderr sync_driver driver sync --dry-run
    [[ $output == *"/etc/cdi/nvlxc.json: would be brought up to date"* ]]
    grep -q 550.163.01 "$host/etc/cdi/nvlxc.json"
    run -0 --separate-stderr sync_driver driver sync
    [[ $output == *"/etc/cdi/nvlxc.json: brought up to date"* ]]
    nvlxc cdi --capabilities compute,graphics | cmp - "$host/etc/cdi/nvlxc.json"
    grep -q 580.95.05 "$host/etc/cdi/nvlxc.json"
    cmp "$host/etc/cdi/by-hand.json" "$BATS_TEST_TMPDIR/by-hand.json"
    run -0 --separate-stderr sync_driver --json driver sync
    [ "$(jq -c .cdi_file <<< "$output")" = '{"path":"/etc/cdi/nvlxc.json","changed":false}' ]
    # doctor has nothing to say of it
    run nvlxc doctor
    [[ $output != *cdi* ]]
}

@test "driver sync leaves what nvlxc did not write, and the old one where there is no driver" {
    host a5500-550
    nvlxc cdi --output /etc/cdi/nvlxc.json --quiet
    cp "$host/etc/cdi/nvlxc.json" "$BATS_TEST_TMPDIR/ours"
    local change
    for change in '.containerEdits.mounts[0].hostPath = "/opt/driver"' '.kind = "example.com/gpu"' 'del(.containerEdits.env)' '[]'; do
        jq "$change" "$BATS_TEST_TMPDIR/ours" > "$host/etc/cdi/nvlxc.json"
        cp "$host/etc/cdi/nvlxc.json" "$BATS_TEST_TMPDIR/theirs"
        run -0 --separate-stderr sync_driver --json driver sync
        [ "$(jq -c .cdi_file <<< "$output")" = null ]
        cmp "$host/etc/cdi/nvlxc.json" "$BATS_TEST_TMPDIR/theirs"
    done
    head -c 300 "$BATS_TEST_TMPDIR/ours" > "$host/etc/cdi/nvlxc.json"
    run -0 sync_driver driver sync --quiet
    [ "$(stat -c %s "$host/etc/cdi/nvlxc.json")" = 300 ]
    cp "$BATS_TEST_TMPDIR/ours" "$host/etc/cdi/nvlxc.json"
    rm -r "$host/proc/driver/nvidia"
    run -0 --separate-stderr nvlxc driver sync --if-present --quiet
    [ -z "$stderr" ]
    cmp "$host/etc/cdi/nvlxc.json" "$BATS_TEST_TMPDIR/ours"
}

@test "attach --cdi: a word of the hook's line; shown, taken back; not for a user's container" {
    host a5500-550
    container ct --cdi
    grep -q -- --cdi "$host/var/lib/lxc/ct/config"
    run -0 nvlxc show ct
    [[ $output == *"; CDI"* ]]
    run -0 nvlxc attach ct --cdi
    [[ $output == *"already attached"* ]]
    run -0 nvlxc attach ct
    run ! grep -q -- --cdi "$host/var/lib/lxc/ct/config"
    # a file that is ours goes with the grant, another stays
    mkdir -p "$host/var/lib/lxc/ct/rootfs/etc/cdi"
    nvlxc cdi ct > "$host/var/lib/lxc/ct/rootfs/etc/cdi/nvlxc.json"
    cp "$host/var/lib/lxc/ct/rootfs/etc/cdi/nvlxc.json" "$host/var/lib/lxc/ct/rootfs/etc/cdi/theirs.json"
    run -0 nvlxc detach ct --dry-run
    [ -e "$host/var/lib/lxc/ct/rootfs/etc/cdi/nvlxc.json" ]
    run -0 nvlxc detach ct
    [[ $output == *"/etc/cdi/nvlxc.json"* ]]
    [ "$(ls "$host/var/lib/lxc/ct/rootfs/etc/cdi")" = theirs.json ]
    run -1 nvlxc attach media --cdi
    [[ $output == *"a user's start hook cannot make the specification"*"nvlxc cdi media | lxc-attach -n media"* ]]
}

@test "arm64: glibc has no folders for better processors there, so each library is mounted by its soname" {
    host debian-13-ampere-a2
    printf 'lib64 libcuda.so.1\nlib64 libnvidia-ml.so.1\nlib32 libcuda.so.1\n' > "$host$STORE/$V/sonames"
    run -0 nvlxc cdi
    diff <(mounts | grep 'so\.1') - << END
$STORE/$V/lib64/libcuda.so.1 /usr/lib/libcuda.so.1
$STORE/$V/lib64/libcuda.so.1 /usr/lib64/libcuda.so.1
$STORE/$V/lib64/libnvidia-ml.so.1 /usr/lib/libnvidia-ml.so.1
$STORE/$V/lib64/libnvidia-ml.so.1 /usr/lib64/libnvidia-ml.so.1
END
    [[ $(mounts) != *hwcaps* ]]
    # a bundle without its list is no reason for a specification without libraries
    rm "$host$STORE/$V/sonames"
    run -3 nvlxc cdi
    says "cannot read $STORE/$V/sonames"
}
