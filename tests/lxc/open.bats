# Grants whose GPU each start chooses, in real containers as Proxmox starts them. The host has two GPUs; /etc/pve is as pmxcfs
# shows it, closed to the container's root.
load setup

CONF=/etc/pve/lxc/900.conf
MAPPINGS=/etc/pve/mapping/pci.cfg
# by the bus: GPU 0 is /dev/nvidia1
FIRST=/dev/nvidia1 SECOND=/dev/nvidia0

setup_file() {
    simulate_host two-gpus-535
    simulate_installed 535
    nvlxc driver sync --quiet
    make_container 900 debian-12
    make_container 901 debian-12 privileged
    make_container plain debian-12
    rm /var/lib/lxc/90?/config
    mkdir -p /etc/pve/nodes/pve1/lxc /etc/pve/nodes/pve2/lxc /etc/pve/mapping /run/lock/lxc
    ln -s nodes/pve1 /etc/pve/local
    ln -s nodes/pve1/lxc /etc/pve/lxc
}

setup() {
    : > /run/syslog
    simulate_host two-gpus-535
    printf '%s\n' 'arch: amd64' 'memory: 512' 'ostype: debian' 'rootfs: /var/lib/lxc/900/rootfs' 'unprivileged: 1' > $CONF
    sed '/unprivileged/d; s/900/901/' $CONF > /etc/pve/lxc/901.conf
    mapping 10de:2684 0000:02:00
}

teardown() {
    local name
    for name in 900 901 plain; do stop $name 2> /dev/null || true; done
}

# mapping ID ADDRESS: what "fast" is on this node.
mapping() {
    printf 'fast\n\tmap id=10de:2204,node=pve2,path=0000:01:00\n\tmap id=%s,iommugroup=14,node=pve1,path=%s\n' "$1" "$2" > $MAPPINGS
    chmod 640 $MAPPINGS
    chgrp www-data $MAPPINGS
}

pve_start() {
    "$NVL_SOURCE/tests/lib/pve-start" "$1" || { grep -E ' (ERROR|WARN) ' "/run/lxc-$1.log" >&2; return 1; }
}

# has_only NAME NODE: of the GPUs' nodes it has that one, and no more.
has_only() {
    [ "$(opens "$1" "$2")" = allowed ] || { echo "$2: $(opens "$1" "$2")"; syslog_of "$1"; return 1; }
    [ "$(inside "$1" sh -c 'echo /dev/nvidia[0-9]')" = "$2" ] || { inside "$1" ls -l /dev; return 1; }
}

# vfio_takes ADDRESS
vfio_takes() {
    rm -r "/proc/driver/nvidia/gpus/$1"
    rm -f "/sys/bus/pci/devices/$1/driver"
    mkdir -p /sys/bus/pci/drivers/vfio-pci
    ln -s ../../../../bus/pci/drivers/vfio-pci "/sys/bus/pci/devices/$1/driver"
}

@test "a mapping gives its GPU of this node; changed, the next start has the other" {
    local ct
    for ct in 900 901; do
        mapping 10de:2684 0000:02:00
        run -0 nvlxc attach $ct --gpu mapping:fast
        run -0 pve_start $ct
        has_only $ct $SECOND
        # the container's root cannot read Proxmox's own
        [ $ct = 901 ] || [ "$(stat -c '%a %U' /run/nvlxc/mapping/$ct.cfg)" = "644 root" ]
        run -0 inside $ct ls /proc/driver/nvidia/gpus
        [ "$output" = 0000:02:00.0 ]
        stop $ct
        mapping 10de:2204 0000:01:00.0
        # a privileged one has a list of devices
        [ $ct = 900 ] || nvlxc attach $ct --gpu mapping:fast
        run -0 pve_start $ct
        has_only $ct $FIRST
        run -0 syslog_of $ct
        [[ $output != *but:* ]]
        stop $ct
        run -0 nvlxc detach $ct
        [ ! -e /run/nvlxc/mapping/$ct.cfg ]
    done
}

@test "a mapping that gives nothing: the log says why, the container starts; a required grant ends the start" {
    nvlxc attach 900 --gpu mapping:fast
    mapping 10de:9999 0000:02:00
    run -0 pve_start 900
    run -0 syslog_of 900
    says "mapping:fast gives no GPU on this host: the device at 0000:02:00 is 10de:2684, and the mapping says 10de:9999"
    [ "$(opens 900 $SECOND)" = missing ]
    [ "$(opens 900 $FIRST)" = missing ]
    stop 900
    printf 'fast\n\tmap id=10de:2204,node=pve2,path=0000:01:00\n' > $MAPPINGS
    run -0 pve_start 900
    run -0 syslog_of 900
    says "the mapping has no device of this node"
    stop 900
    rm $MAPPINGS
    : > /run/syslog
    run -0 pve_start 900
    run -0 syslog_of 900
    says "mapping:fast gives no GPU on this host: Proxmox has no mapping"
    [ "$(opens 900 $SECOND)" = missing ]
    stop 900
    # no answer is no permission for what an earlier start found
    mapping 10de:2684 0000:02:00
    run -0 pve_start 900
    has_only 900 $SECOND
    stop 900
    rm $MAPPINGS
    mkdir $MAPPINGS
    : > /run/syslog
    run -0 pve_start 900
    run -0 syslog_of 900
    says "cannot pass Proxmox's mappings on to the mount hook" "its pre-start hook left no word of it"
    [ "$(opens 900 $SECOND)" = missing ]
    stop 900
    rmdir $MAPPINGS
    mapping 10de:9999 0000:02:00
    nvlxc attach 900 --gpu mapping:fast --required --force
    run -1 pve_start 900
    run -0 syslog_of 900
    says "the start is refused, since the GPU is required"
}

@test "any: the first GPU that works; held by VFIO it is the next one, and comes back" {
    run -0 nvlxc attach 900 --gpu any
    run -0 pve_start 900
    has_only 900 $FIRST
    stop 900
    vfio_takes 0000:01:00.0
    run -0 pve_start 900
    has_only 900 $SECOND
    run -0 syslog_of 900
    [[ $output != *but:* ]]
    # it is back: the next start will have it, and what runs is not wrong
    simulate_host two-gpus-535
    has_only 900 $SECOND
    nvlxc --json doctor 900 > /run/doctor || true
    run -0 jq -e 'all(.findings[]; .id != "start-outdated" and .id != "device-filtered" and .id != "grant-gpu-unfit")' /run/doctor
    run -0 nvlxc show 900
    says "GPU 0, NVIDIA GeForce RTX 3090"
    stop 900
    run -0 pve_start 900
    has_only 900 $FIRST
    stop 900
    nvlxc attach 900 --gpu any --gpu any
    run -0 pve_start 900
    [ "$(opens 900 $FIRST) $(opens 900 $SECOND)" = "allowed allowed" ]
}

@test "a model, in a container of LXC; --live takes what it comes to now" {
    run -0 nvlxc attach plain --gpu "model:rtx 4090" --cdi
    run -0 start plain
    has_only plain $SECOND
    run -0 inside plain grep -c 'dev/nvidia0' /etc/cdi/nvlxc.json
    run -1 inside plain grep 'dev/nvidia1' /etc/cdi/nvlxc.json
    run -0 nvlxc attach plain --gpu "model:rtx 3090" --live
    has_only plain $FIRST
    stop plain
    run -0 start plain
    has_only plain $FIRST
}

@test "an image's variable adds nothing to a grant that names its GPU" {
    run -0 nvlxc attach plain --gpu 0
    echo 'lxc.environment = NVLXC_GPUS=any,any' >> /var/lib/lxc/plain/config
    run -0 start plain
    has_only plain $FIRST
    stop plain
    # nor what the caller of lxc-start has set
    sed -i /NVLXC_GPUS/d /var/lib/lxc/plain/config
    export NVLXC_GPUS=any,any
    run -0 start plain
    unset NVLXC_GPUS
    has_only plain $FIRST
}
