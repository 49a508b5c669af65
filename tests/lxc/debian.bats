# The main job, in Debian 12 and 13 containers: attach, start, use, detach.
load setup

setup_file() {
    nvlxc driver sync --quiet
    make_container d12 debian-12
    make_container d13 debian-13
    make_container priv debian-12 privileged
}

teardown_file() {
    local name
    for name in d12 d13 priv; do stop "$name" || true; done
}

# Everything that a container must show, once it was attached and started.
check_container() {
    local node
    for node in nvidia0 nvidiactl nvidia-uvm nvidia-uvm-tools; do
        [ "$(opens "$1" /dev/$node)" = allowed ] || { opens "$1" /dev/$node; return 1; }
    done
    run -0 loads "$1" libcuda.so.1
    [ "$output" = $BUNDLE/lib64/libcuda.so.550.163.01 ]
    run -0 loads "$1" libnvidia-ml.so.1
    [ "$output" = $BUNDLE/lib64/libnvidia-ml.so.550.163.01 ]
    # the real program and the real libraries; there is no driver behind the nodes, and they say so
    run -9 inside "$1" nvidia-smi
    says "couldn't communicate with the NVIDIA driver"
    # the container's own programs work as before
    run -0 inside "$1" apt-get check
    run -0 inside "$1" apt-cache policy
    # the driver is read-only
    run ! inside "$1" sh -c "echo x > $BUNDLE/lib64/libcuda.so.550.163.01"
    run ! inside "$1" touch $BUNDLE/new
}

@test "Debian 12: attach, start, nodes, libraries, nvidia-smi, apt" {
    listing /var/lib/lxc/d12/rootfs > /run/d12.before
    cp /var/lib/lxc/d12/config /run/d12.config
    run -0 nvlxc attach d12
    run -0 start d12
    check_container d12
}

@test "Debian 13: the same" {
    listing /var/lib/lxc/d13/rootfs > /run/d13.before
    cp /var/lib/lxc/d13/config /run/d13.config
    run -0 nvlxc attach d13 --gpu 0
    run -0 start d13
    check_container d13
}

@test "a privileged container: the same, through its allow-list" {
    run -0 nvlxc attach priv --gpu $A5500
    run -0 grep -c 'lxc.cgroup2.devices.allow = /dev/nvidia' /var/lib/lxc/priv/config
    run -0 start priv
    local node
    for node in nvidia0 nvidiactl nvidia-uvm nvidia-uvm-tools; do
        [ "$(opens priv /dev/$node)" = allowed ]
    done
    run -9 inside priv nvidia-smi
    [ "$(opens priv /dev/null)" = allowed ]
}

@test "the driver's /proc shows the container's GPU alone, and asks for no nodes" {
    run -0 inside d12 cat /proc/driver/nvidia/params
    says "ModifyDeviceFiles: 0" "DeviceFileMode: 438"
    run -0 inside d12 ls /proc/driver/nvidia/gpus
    [ "$output" = 0000:01:00.0 ]
    run -0 inside d12 cat /proc/driver/nvidia/gpus/0000:01:00.0/information
    says $A5500
    run -0 inside d12 cat /proc/driver/nvidia/version
    says 550.163.01
    run ! inside d12 touch /proc/driver/nvidia/new
    # the host's own is as it was
    grep -qx 'ModifyDeviceFiles: 1' /proc/driver/nvidia/params
}

@test "the hook says in one line to the system log what it did" {
    [ "$(syslog_of d12 | wc -l)" = 1 ]
    run -0 syslog_of d12
    says "devices nvidia0 nvidiactl nvidia-uvm nvidia-uvm-tools, driver 550.163.01, linker cache refreshed"
}

@test "a second start refreshes nothing" {
    stop d12
    run -0 start d12
    read_syslog
    run -0 bash -c 'grep -a "nvlxc\[.*\]: d12:" /run/syslog | tail -n 1'
    says "driver 550.163.01"
    [[ $output != *refreshed* ]]
}

@test "the container's own ldconfig keeps the driver" {
    run -0 inside d13 ldconfig
    run -0 loads d13 libcuda.so.1
    [ "$output" = $BUNDLE/lib64/libcuda.so.550.163.01 ]
}

@test "driver list knows which containers use the bundle; prune keeps it" {
    run -0 nvlxc driver list
    says 550.163.01 loaded "in use by 3"
    run -0 nvlxc driver prune
    [ -e /var/lib/nvlxc/driver/550.163.01/manifest.json ]
}

@test "100 starts leave the root file system as one start leaves it" {
    stop d13
    more_starts_leave_nothing d13 99
}

@test "detach: config and root file system are as before attach" {
    stop d12
    run -0 nvlxc detach d12
    cmp /var/lib/lxc/d12/config /run/d12.config
    listing /var/lib/lxc/d12/rootfs > /run/d12.after
    diff /run/d12.before /run/d12.after
    run -0 ldconfig -p -C /var/lib/lxc/d12/rootfs/etc/ld.so.cache
    [[ $output != *nvidia* ]]
    run -0 nvlxc detach d13
    cmp /var/lib/lxc/d13/config /run/d13.config
    run -0 start d12
    [ "$(opens d12 /dev/nvidia0)" = missing ]
    run -127 inside d12 nvidia-smi
}
