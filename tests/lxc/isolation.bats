# A container has its own GPU, and no way to another.
load setup

RTX3090= RTX4090=

setup_file() {
    simulate_host two-gpus-535
    simulate_installed 535
    nvlxc driver sync --quiet
    make_container one debian-12
    make_container priv debian-12 privileged
    make_container nothing debian-12
    cp /var/lib/lxc/nothing/config /run/nothing.config
}

teardown_file() {
    local name
    for name in one priv nothing; do stop "$name" || true; done
}

# The first GPU of the bus is /dev/nvidia1 on this host, the second /dev/nvidia0.
setup() {
    RTX3090=$(sed -n 's/GPU UUID:[[:space:]]*//p' /proc/driver/nvidia/gpus/0000:01:00.0/information)
    RTX4090=$(sed -n 's/GPU UUID:[[:space:]]*//p' /proc/driver/nvidia/gpus/0000:02:00.0/information)
}

# What root in the container can do about a node that it was not given: make it itself.
makes_and_opens() {
    inside "$1" sh -c "rm -f /tmp/node; mknod /tmp/node c 195 $2" || { echo "no mknod"; return; }
    opens "$1" /tmp/node
}

@test "index, minor and bus order are not mixed up" {
    run -0 nvlxc attach one --gpu 0
    run -0 grep -c "NVIDIA_VISIBLE_DEVICES=$RTX3090" /var/lib/lxc/one/config
    run -0 start one
    [ "$(opens one /dev/nvidia1)" = allowed ]
    run -0 inside one ls /proc/driver/nvidia/gpus
    [ "$output" = 0000:01:00.0 ]
}

@test "unprivileged: the other GPU's node is not there and cannot be made" {
    [ "$(opens one /dev/nvidia0)" = missing ]
    run -0 makes_and_opens one 0
    says "no mknod"
}

@test "privileged: the other GPU's node can be made but not opened" {
    run -0 nvlxc attach priv --gpu 0
    run -0 start priv
    [ "$(opens priv /dev/nvidia1)" = allowed ]
    [ "$(opens priv /dev/nvidia0)" = missing ]
    run -0 makes_and_opens priv 1
    [ "$output" = allowed ]
    run -0 makes_and_opens priv 0
    [ "$output" = filtered ]
}

# opened_by DEVICES: the GPUs' nodes that a start with that grant opens beforehand, while the driver reports no UUID.
opened_by() {
    sed "s/^lxc.environment = NVIDIA_VISIBLE_DEVICES=.*/lxc.environment = NVIDIA_VISIBLE_DEVICES=$1/" /var/lib/lxc/one/config > /run/one.config
    LXC_NAME=one LXC_CONFIG_FILE=/run/one.config strace -f -qq -e trace=openat,openat2 -o /run/one.trace \
        /usr/libexec/nvlxc/hook one lxc pre-start
    sed -n '/O_RDWR/s|.*"\(/\{0,1\}dev/\)\{0,1\}\(nvidia[0-9]\)".*|\2|p' /run/one.trace | sort -u | xargs
}

@test "a start opens, for its UUID, only a GPU that the grant can mean" {
    sed -i 's/^GPU UUID:.*/GPU UUID: \t GPU-????????-????-????-????-????????????/' /proc/driver/nvidia/gpus/*/information
    [ "$(opened_by "$RTX3090")" = "nvidia0 nvidia1" ] # it may be either's
    [ "$(opened_by 0000:01:00.0)" = nvidia1 ]
    [ "$(opened_by 1)" = nvidia0 ]
    [ "$(opened_by all)" = "nvidia0 nvidia1" ]
    [ "$(opened_by none)" = "" ]
    simulate_host two-gpus-535
    sed -i 's/^GPU UUID:.*/GPU UUID: \t GPU-????????-????-????-????-????????????/' /proc/driver/nvidia/gpus/0000:02:00.0/information
    [ "$(opened_by "$RTX3090")" = "" ] # another's, which is known
    [ "$(opened_by "$RTX4090")" = nvidia0 ]
    simulate_host two-gpus-535
}

@test "another grant: the next start gives the other GPU instead" {
    stop one
    run -0 nvlxc attach one --gpu "$RTX4090"
    run -0 start one
    [ "$(opens one /dev/nvidia0)" = allowed ]
    [ "$(opens one /dev/nvidia1)" = missing ]
    run -0 inside one ls /proc/driver/nvidia/gpus
    [ "$output" = 0000:02:00.0 ]
}

# each mount below /proc costs the boot of a container, and each of its services that has a /proc of its own
@test "the driver's /proc is two mounts, for one GPU or for all" {
    run -0 inside one grep -c ' /proc/driver/nvidia' /proc/self/mountinfo
    [ "$output" = 2 ]
    inside one cat /proc/driver/nvidia/registry | diff /proc/driver/nvidia/registry -
    stop one
    run -0 nvlxc attach one --gpu all
    run -0 start one
    run -0 inside one grep -c ' /proc/driver/nvidia' /proc/self/mountinfo
    [ "$output" = 2 ]
    inside one cat /proc/driver/nvidia/registry | diff /proc/driver/nvidia/registry -
    [ -s /proc/driver/nvidia/registry ]
}

@test "a host whose own folders of GPUs are mounts shows what is in them" {
    local mine=/run/nested gpu=/proc/driver/nvidia/gpus/0000:02:00.0
    stop one
    cp -r $gpu $mine
    echo 'Nested: yes' >> $mine/information
    mount --bind $mine $gpu
    run -0 start one
    umount $gpu
    run -0 inside one tail -n 1 $gpu/information
    [ "$output" = 'Nested: yes' ]
}

@test "several GPUs, and all" {
    stop one
    run -0 nvlxc attach one --gpu 0 --gpu 1
    run -0 start one
    [ "$(opens one /dev/nvidia0) $(opens one /dev/nvidia1)" = "allowed allowed" ]
    run -0 inside one cat /proc/driver/nvidia/gpus/0000:01:00.0/information /proc/driver/nvidia/gpus/0000:02:00.0/information
    says "$RTX3090" "$RTX4090"
    stop one
    run -0 nvlxc attach one --gpu all --capabilities utility
    run -0 start one
    [ "$(opens one /dev/nvidia0) $(opens one /dev/nvidia1)" = "allowed allowed" ]
    [ "$(opens one /dev/nvidia-uvm)" = missing ]
}

@test "a container without a grant gets nothing" {
    run -0 start nothing
    [ "$(opens nothing /dev/nvidia0)" = missing ]
    [ "$(opens nothing /dev/nvidiactl)" = missing ]
    cmp /var/lib/lxc/nothing/config /run/nothing.config
}

@test "a node of the host that is not the driver's is not bound" {
    stop one
    rm /dev/nvidia1
    mknod -m 666 /dev/nvidia1 c 1 5
    # pre-start would mend it: ask the driver's own word not to touch nodes
    sed -i 's/ModifyDeviceFiles: 1/ModifyDeviceFiles: 0/' /proc/driver/nvidia/params
    run -0 start one
    sed -i 's/ModifyDeviceFiles: 0/ModifyDeviceFiles: 1/' /proc/driver/nvidia/params
    [ "$(opens one /dev/nvidia1)" = missing ]
    [ "$(opens one /dev/nvidia0)" = allowed ]
    read_syslog
    run -0 bash -c 'grep -a "nvlxc\[.*\]: one:" /run/syslog | tail -n 1'
    says "/dev/nvidia1 is not the driver's device on the host"
}

# stopped_at PATH PROGRAM…: the process of a program that has stopped itself as it opens that path below a root handle.
stopped_at() {
    local path=$1 count
    shift
    strace -o /run/trace -e trace=openat2 "$@" > /run/said
    count=$(grep -a '^openat2(' /run/trace | grep -an "^openat2([0-9]*, \"$path\"" | head -n 1)
    strace -o /run/trace -e trace=openat2 -e inject=openat2:signal=SIGSTOP:when="${count%%:*}" "$@" > /run/said 3>&- &
    timeout 10 sh -c 'until pgrep -r T,t -x hook; do sleep 0.05; done'
}

@test "the hook reads the container's linker cache without rights and without the host" {
    local pid rootfs=/var/lib/lxc/priv/rootfs
    stop priv || true
    run -0 nvlxc attach priv --gpu 0
    export LXC_ROOTFS_MOUNT=/run/rootfs NVIDIA_VISIBLE_DEVICES=all
    mkdir -p /run/rootfs
    printf '%s\n' "mount --bind $rootfs /run/rootfs" 'mount -t tmpfs tmpfs /run/rootfs/dev' \
        'exec /usr/libexec/nvlxc/hook priv lxc mount' > /run/mount-hook
    pid=$(stopped_at etc/ld.so.cache unshare --mount --propagation private sh /run/mount-hook)
    [ "$(readlink "/proc/$pid/root")" = /run/rootfs ]
    run -0 grep -E '^(CapInh|CapPrm|CapEff|CapAmb|NoNewPrivs)' "/proc/$pid/status"
    [ "$(awk '{ print $2 }' <<<"$output" | sort | uniq -c | awk '{ print $1, $2 }')" = $'4 0000000000000000\n1 1' ]
    # the standard ones, its own root, what it opens there, the log, and ldconfig, which is open for reading
    run -0 ls -l "/proc/$pid/fd"
    echo "$output"
    [ "$(awk '$9 > 2 { print $11 }' <<<"$output" | sed 's/socket:.*/socket/' | sort)" = $'/run/rootfs\n/run/rootfs/etc/ld.so.cache\n/usr/sbin/ldconfig\nsocket' ]
    kill -KILL "$pid"
    wait
    # what it keeps until then
    pid=$(stopped_at etc/ld.so.conf.d/00-nvlxc.conf unshare --mount --propagation private sh /run/mount-hook)
    run -0 sed -n 's/^CapPrm:\t//p' "/proc/$pid/status"
    [ "$output" = 000000000024000b ]
    kill -KILL "$pid"
}

@test "an environment that reaches the host's shell is named at the start and by verify" {
    run -0 nvlxc attach priv --gpu 0
    echo 'lxc.environment = LD_PRELOAD=/lib/nothing.so' >> /var/lib/lxc/priv/config
    run -0 start priv
    read_syslog
    run -0 bash -c 'grep -a "nvlxc\[.*\]: priv:" /run/syslog | tail -n 2'
    says "its environment sets LD_PRELOAD, which can run its image's code on the host: see 'nvlxc doctor priv'"
    run nvlxc verify priv
    says "its config sets LD_PRELOAD" "lxc.environment.runtime"
    stop priv
    sed -i '/LD_PRELOAD/d' /var/lib/lxc/priv/config
}

@test "MIG: the instance's nodes and capabilities, and no other's" {
    stop one
    simulate_host h100-mig
    local uuid
    uuid=$(nvlxc --json gpus | jq -r '.gpus[0].uuid')
    run -1 nvlxc attach one --gpu "MIG-$uuid/1/0" # attached; the files of its driver are not installed
    says "the driver bundle of 550.163.01 was not built"
    run -0 start one
    run -0 nvlxc --json gpus
    local gi ci
    gi=$(sed -n 's/DeviceFileMinor: //p' /proc/driver/nvidia/capabilities/gpu0/mig/gi1/access)
    ci=$(sed -n 's/DeviceFileMinor: //p' /proc/driver/nvidia/capabilities/gpu0/mig/gi1/ci0/access)
    run -0 inside one sh -c 'ls /dev/nvidia-caps; ls -R /proc/driver/nvidia/capabilities'
    says "nvidia-cap$gi" "nvidia-cap$ci" gi1
    [[ $output != *gi2* ]]
    run -0 inside one sh -c 'ls /dev/nvidia-caps | wc -l'
    [ "$output" = 2 ]
    [ "$(opens one "/dev/nvidia-caps/nvidia-cap$ci")" = allowed ]
}
