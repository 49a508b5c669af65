# Grants whose GPU each start chooses: any, model:TEXT, mapping:NAME. The host is node pve1 of a cluster: an RTX 3090, GPU 0,
# and an RTX 4090, GPU 1. Real containers start with them in tests/lxc/open.bats.

bats_require_minimum_version 1.5.0
load "$NVL_SOURCE/tests/lib/hosts.bash"

NVLXC="$NVL_BUILD/src/cli/nvlxc"
FIRST=GPU-9d2c1f60-7b3e-4a55-8e21-0c64f5d0a1b2
SECOND=GPU-e07a54c3-21f8-4d0b-b6a9-58c3d92e7f14

setup() {
    host=$(fixture two-gpus-535)
    mkdir -p "$host"/etc/pve/{mapping,ha} "$host"/etc/pve/nodes/pve{1,2}/lxc
    ln -s nodes/pve1 "$host/etc/pve/local"
    ln -s nodes/pve1/lxc "$host/etc/pve/lxc"
    conf=$host/etc/pve/lxc/220.conf
    mappings=$host/etc/pve/mapping/pci.cfg
    printf '%s\n' 'arch: amd64' 'hostname: ml' 'ostype: debian' 'rootfs: local-lvm:vm-220-disk-0,size=8G' 'unprivileged: 1' > "$conf"
    cp "$conf" "$BATS_TEST_TMPDIR/before"
    printf '%s\n' fast $'\tcomment the 4090' $'\tmap id=10de:2684,iommugroup=14,node=pve1,path=0000:02:00' \
        $'\tmap id=10de:2204,node=pve2,path=0000:41:00.0' '' elsewhere $'\tmap id=10de:2204,node=pve2,path=0000:01:00' '' \
        changed $'\tmap id=10de:1111,node=pve1,path=0000:01:00.0' '' sound $'\tmap id=10de:1aef,node=pve1,path=0000:01:00.1' '' \
        nothing $'\tmap id=10de:2204,node=pve1,path=0000:0a:00.0' '' \
        both $'\tmap id=10de:2684,node=pve1,path=0000:02:00.0;0000:02:00.1' $'\tmap id=10de:2204,node=pve1,path=0000:01:00' > "$mappings"
}

nvlxc() {
    "$NVLXC" --root "$host" "$@"
}

# attach ARGUMENT…: to 220; what the bundle lacks does not matter.
attach() {
    nvlxc attach 220 --libraries none "$@"
}

# The lines of 220's variables.
variables() {
    grep -h '^lxc.environment' "$conf"
}

gpus_of() {
    nvlxc --json show 220 | jq -r '.gpus[].uuid'
}

# finds ID TEXT…: doctor has that finding about 220, with these texts.
finds() {
    run nvlxc --json doctor 220
    output=$(jq -r --arg id "$1" '.findings[] | select(.id == $id) | .title, .evidence, .cause, .fix' <<< "$output")
    [ -n "$output" ] || { echo "no $1"; return 1; }
    says "${@:2}"
}

finds_no() {
    nvlxc --json doctor 220 > "$BATS_TEST_TMPDIR/doctor" || [ $? = 1 ]
    jq -e --arg id "$1" 'all(.findings[]; .id != $id)' "$BATS_TEST_TMPDIR/doctor"
}

@test "any, a model, a mapping: NVIDIA's variable is void, nvlxc's own has the words, and detach restores the file" {
    local words
    for words in any "model:rtx 3090" mapping:fast "any,model:RTX 4090" "$SECOND,any"; do
        run -0 attach --gpu "$words"
        says "each start decides anew"
        [ "$(variables | head -2)" = "lxc.environment: NVIDIA_VISIBLE_DEVICES=void
lxc.environment: NVLXC_GPUS=$words" ]
        cp "$conf" "$BATS_TEST_TMPDIR/attached"
        run -0 attach --gpu "$words"
        says "nothing to change"
        cmp "$conf" "$BATS_TEST_TMPDIR/attached"
        run -0 nvlxc detach 220
        cmp "$conf" "$BATS_TEST_TMPDIR/before"
    done
}

@test "each gives one GPU of this host: the first that fits and that the grant does not have yet" {
    run -0 attach --gpu any
    says "220: any is GPU 0, NVIDIA GeForce RTX 3090 ($FIRST) now"
    [ "$(gpus_of)" = "$FIRST" ]
    attach --gpu any --gpu any
    [ "$(gpus_of)" = "$FIRST"$'\n'"$SECOND" ]
    attach --gpu mapping:fast --gpu any
    [ "$(gpus_of)" = "$SECOND"$'\n'"$FIRST" ]
    attach --gpu any --gpu 0
    [ "$(gpus_of)" = "$FIRST"$'\n'"$SECOND" ]
    attach --gpu "model:RTX 4090"
    [ "$(gpus_of)" = "$SECOND" ]
    attach --gpu model:geforce
    [ "$(gpus_of)" = "$FIRST" ]
    # an address with functions, a list of them; GPU 0 comes first whatever the order of the file
    attach --gpu mapping:both --gpu mapping:both
    [ "$(gpus_of)" = "$FIRST"$'\n'"$SECOND" ]
    run -0 nvlxc show 220
    says "grant: mapping:both,mapping:both; compute,utility; libraries none; each start decides" "($SECOND), for mapping:both"
    run -0 nvlxc list
    says "mapping:both ($FIRST), mapping:both ($SECOND)"
    nvlxc list --json | jq -e '.containers[0].grant.devices == ["mapping:both", "mapping:both"]'
}

@test "what fits no GPU here is refused, with the reason; --force is for another node" {
    local selector why
    while IFS='|' read -r selector why; do
        run -1 attach --gpu "$selector"
        says "$selector gives no GPU on this host: $why" "add --force"
        cmp "$conf" "$BATS_TEST_TMPDIR/before"
    done <<'END'
model:A100|it has NVIDIA GeForce RTX 3090, NVIDIA GeForce RTX 4090
model:RTX 309|it has NVIDIA GeForce RTX 3090
mapping:elsewhere|the mapping has no device of this node, pve1
mapping:changed|the device at 0000:01:00.0 is 10de:2204, and the mapping says 10de:1111
mapping:sound|0000:01:00.1 is not a GPU
mapping:nothing|no device is at 0000:0a:00.0
mapping:unknown|Proxmox has no mapping of PCI devices with this name
END
    printf 'nic\n\tmap id=8086:2000,node=pve1,path=0000:00:02\n' > "$mappings"
    printf 0x8086 > "$host/sys/bus/pci/devices/0000:00:02.0/vendor"
    printf 0x2000 > "$host/sys/bus/pci/devices/0000:00:02.0/device"
    run -1 attach --gpu mapping:nic
    says "the device at 0000:00:02 (8086:2000) is not NVIDIA's"
    rm "$mappings"
    run -1 attach --gpu mapping:fast
    says "this host has no mappings of PCI devices from Proxmox"
    run -1 attach --gpu any,any,any
    says "any gives no GPU on this host: GPU 0 is in the grant already; GPU 1 is in the grant already"
    run -0 attach --gpu model:A100 --force
    says "warning: model:A100 gives no GPU on this host"
    [ "$(variables | sed -n 2p)" = "lxc.environment: NVLXC_GPUS=model:A100" ]
    run -0 nvlxc list
    says "model:A100 (none here)"
    finds grant-gpu-unfit "model:A100 gives no GPU on this host"
}

@test "a host that changes: the next start has another GPU, and the config stays" {
    attach --gpu any
    cp "$conf" "$BATS_TEST_TMPDIR/attached"
    # VFIO has GPU 0 now
    rm -r "$host/proc/driver/nvidia/gpus/0000:01:00.0"
    ln -sfn ../../../../bus/pci/drivers/vfio-pci "$host/sys/bus/pci/devices/0000:01:00.0/driver"
    [ "$(gpus_of)" = "$SECOND" ]
    run -0 attach --gpu any
    says "nothing to change"
    run -1 attach --gpu any,any
    says "vfio-pci holds the GPU at 0000:01:00.0"
    # it has fallen off the bus
    mkdir -p "$host/proc/driver/nvidia/gpus"
    cp -a "$NVL_SOURCE/tests/hosts/two-gpus-535/proc/driver/nvidia/gpus/0000:01:00.0" "$host/proc/driver/nvidia/gpus/"
    ln -sfn ../../../../bus/pci/drivers/nvidia "$host/sys/bus/pci/devices/0000:01:00.0/driver"
    [ "$(gpus_of)" = "$FIRST" ]
    printf '\xff%.0s' {1..64} > "$host/sys/bus/pci/devices/0000:01:00.0/config"
    [ "$(gpus_of)" = "$SECOND" ]
    rm "$host/sys/bus/pci/devices/0000:01:00.0/config"
    # without a UUID it comes last: it was not used yet, or does not come up
    sed -i 's/GPU-9d2c.*/GPU-????????-????-????-????-????????????/' "$host/proc/driver/nvidia/gpus/0000:01:00.0/information"
    [ "$(gpus_of)" = "$SECOND" ]
    # another device has the address now
    attach --gpu mapping:fast
    printf 0x2704 > "$host/sys/bus/pci/devices/0000:02:00.0/device"
    run nvlxc show 220
    says "the device at 0000:02:00 is 10de:2704, and the mapping says 10de:2684"
}

@test "from one form to the other, and --replace: the lines of the old form go" {
    attach --gpu any
    run -0 attach --gpu 1
    [ "$(variables)" = "lxc.environment: NVIDIA_VISIBLE_DEVICES=$SECOND
lxc.environment: NVIDIA_DRIVER_CAPABILITIES=compute,utility" ]
    run -0 attach --gpu mapping:fast --capabilities compute
    [ "$(variables | sort)" = "lxc.environment: NVIDIA_DRIVER_CAPABILITIES=compute
lxc.environment: NVIDIA_VISIBLE_DEVICES=void
lxc.environment: NVLXC_GPUS=mapping:fast" ]
    # by hand beside it: the grant is the default of --replace
    echo 'lxc.cgroup2.devices.allow: c 195:* rwm' >> "$conf"
    run -0 attach --replace
    [ "$(variables | sort)" = "lxc.environment: NVIDIA_DRIVER_CAPABILITIES=compute,utility
lxc.environment: NVIDIA_VISIBLE_DEVICES=void
lxc.environment: NVLXC_GPUS=mapping:fast" ]
    run -0 nvlxc detach 220
    cmp "$conf" "$BATS_TEST_TMPDIR/before"
}

@test "a line of that name by an image or by hand gives nothing" {
    # alone it is nobody's grant, and attach does not write beside it
    echo 'lxc.environment: NVLXC_GPUS=any' >> "$conf"
    run -0 nvlxc list
    says "by hand"
    run -1 attach --gpu 1
    says "NVIDIA lines that nvlxc did not write" NVLXC_GPUS=any
    run -0 attach --gpu 1 --replace
    ! grep NVLXC_GPUS "$conf"
    # beside a grant that names its GPU it does not count, wherever it stands
    echo 'lxc.environment: NVLXC_GPUS=any,any' >> "$conf"
    [ "$(gpus_of)" = "$SECOND" ]
    sed -i '1i lxc.environment: NVLXC_GPUS=any,any' "$conf"
    [ "$(gpus_of)" = "$SECOND" ]
    run -0 attach --gpu 1
    ! grep NVLXC_GPUS "$conf"
    # nor where NVIDIA's variable is absent, or all
    sed -i 's/NVIDIA_VISIBLE_DEVICES=.*/NVIDIA_VISIBLE_DEVICES=/' "$conf"
    echo 'lxc.environment: NVLXC_GPUS=any' >> "$conf"
    nvlxc --json show 220 | jq -e '.gpus == []'
    # NVIDIA's own variable does not know the words
    sed -i 's/NVIDIA_VISIBLE_DEVICES=.*/NVIDIA_VISIBLE_DEVICES=any/' "$conf"
    run -1 nvlxc show 220
    says "NVIDIA_VISIBLE_DEVICES: 'any' does not name a GPU"
    # a text that is none
    sed -i 's/NVIDIA_VISIBLE_DEVICES=.*/NVIDIA_VISIBLE_DEVICES=void/; s/NVLXC_GPUS=any/NVLXC_GPUS=mapping:..\/x/' "$conf"
    run -1 nvlxc show 220
    says "NVLXC_GPUS: 'mapping:../x' does not name a GPU"
    finds grant-unreadable NVLXC_GPUS=mapping:../x
}

@test "what each start decides cannot be named in the config" {
    local nodes
    for nodes in dev static; do
        run -2 nvlxc attach 220 --gpu any --nodes $nodes
        says "--nodes $nodes names the nodes of today" "leave --nodes out"
    done
    # pre-start of a user's container is not root's: nobody reads Proxmox's file for it
    host=$(fixture a5500-550)
    run -2 nvlxc attach alice/web --gpu mapping:fast
    says "--gpu mapping:fast is for containers of root" "--gpu any"
    run -0 nvlxc attach alice/web --gpu any --libraries none
    host=${conf%/etc/pve/*}
    run -2 attach --gpu any,all
    run -2 attach --gpu model:
    run -2 attach --gpu 'model:$(id)'
    run -2 attach --gpu 'mapping:a b'
    run -2 attach --gpu "$(printf 'any,%.0s' {1..65})"
    says "more than 64 GPUs"
    cmp "$conf" "$BATS_TEST_TMPDIR/before"
}

@test "an allow-list names the nodes of all GPUs that a start here may choose" {
    sed -i /unprivileged/d "$conf"
    mkdir -p "$host/usr/share/lxc/config"
    printf 'lxc.cgroup2.devices.deny = a\nlxc.cgroup2.devices.allow = c 1:3 rwm\n' > "$host/usr/share/lxc/config/common.conf"
    run -0 attach --gpu any
    says "its list of devices is part of the config"
    grep 'allow: /dev/nvidia0 rw' "$conf"
    grep 'allow: /dev/nvidia1 rw' "$conf"
    finds_no other-gpus-open
    run -0 attach --gpu mapping:fast
    grep 'allow: /dev/nvidia0 rw' "$conf"
    ! grep 'allow: /dev/nvidia1 rw' "$conf"
}

@test "doctor: a grant that names a GPU of this node, on a CT that may start on another" {
    attach --gpu 1
    finds_no grant-one-node
    printf 'vm: 220\n\tstate started\n\nct: 2200\n\tstate started\n' > "$host/etc/pve/ha/resources.cfg"
    printf 'local: 2200-0\n\ttarget pve2\n' > "$host/etc/pve/replication.cfg"
    finds_no grant-one-node
    printf '\nct: 220\n\tgroup gpus\n\tstate started\n' >> "$host/etc/pve/ha/resources.cfg"
    finds grant-one-node "/etc/pve/ha/resources.cfg:7: ct: 220" "nvlxc attach 220 --gpu mapping:fast --libraries=none"
    rm "$mappings"
    rm -r "$host/etc/pve/ha"
    printf 'local: 220-0\n\ttarget pve2\n\tschedule */15\n' > "$host/etc/pve/replication.cfg"
    finds grant-one-node "/etc/pve/replication.cfg:1: local: 220-0" "replication.cfg:2: target pve2" "nvlxc attach 220 --gpu 'model:RTX 4090' --libraries=none"
    # the fix works when pasted
    eval "nvlxc $(nvlxc doctor 220 | grep -o "attach 220 --gpu.*" | head -1)"
    finds_no grant-one-node
    # a host of its own has no other node
    attach --gpu 1
    rm -r "$host/etc/pve/nodes/pve2"
    finds_no grant-one-node
}
