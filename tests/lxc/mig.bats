# MIG devices: a container has the instances of its grant and nothing of others', and a changed layout is looked at anew at
# each start. The simulated host has GI 1 with CI 0 (nodes 12, 13) and GI 2 with CI 0 and 1 (21; 22, 23).
load setup

H100=GPU-6b1f0c9e-d2a7-4c38-9f54-7ae3b8d61c05
MIG_CAPS=/proc/driver/nvidia/capabilities/gpu0/mig

setup_file() {
    simulate_host h100-mig
    nvlxc driver sync --quiet
    make_container one debian-12
    make_container priv debian-12 privileged
    for name in one priv; do cp "/var/lib/lxc/$name/config" "/run/$name.plain"; done
}

setup() {
    : > /run/syslog
}

teardown_file() {
    local name
    for name in one priv; do stop "$name" || true; done
}

# caps NAME: the numbers of the capability nodes that it has.
caps() {
    inside "$1" ls /dev/nvidia-caps | sed 's/nvidia-cap//' | sort -n | paste -sd ' '
}

# view NAME: the instances that the driver's own view shows in it.
view() {
    # shellcheck disable=SC2016 # expanded in the container
    inside "$1" sh -c 'cd "$1" && find . -name access | sort | paste -sd " "' sh $MIG_CAPS
}

@test "a MIG device: its GPU's node, its instances' nodes, nothing of the others" {
    run -0 nvlxc attach one --gpu MIG-$H100/2/1
    run -0 start one
    [ "$(caps one)" = '21 23' ]
    for node in nvidia0 nvidiactl nvidia-uvm nvidia-caps/nvidia-cap21 nvidia-caps/nvidia-cap23; do
        [ "$(opens one /dev/$node)" = allowed ] || { echo "$node: $(opens one /dev/$node)"; false; }
        [ "$(inside one stat -c %t:%T /dev/$node)" = "$(stat -c %t:%T /dev/$node)" ]
    done
    [ "$(view one)" = './gi2/access ./gi2/ci1/access' ]
    run ! inside one ls /proc/driver/nvidia/capabilities/mig
    run -0 syslog_of one
    [[ $output != *but:* ]]
    stop one
}

@test "two devices of one GPU; all of its devices with the whole GPU" {
    run -0 nvlxc attach one --gpu MIG-$H100/1/0 --gpu MIG-$H100/2/0
    run -0 start one
    [ "$(caps one)" = '12 13 21 22' ]
    [ "$(view one)" = './gi1/access ./gi1/ci0/access ./gi2/access ./gi2/ci0/access' ]
    stop one
    run -0 nvlxc attach one --gpu $H100
    run -0 start one
    [ "$(caps one)" = '12 13 21 22 23' ]
    stop one
}

@test "privileged: another instance's node can be made but not opened" {
    run -0 nvlxc attach priv --gpu MIG-$H100/1/0
    run -0 start priv
    [ "$(caps priv)" = '12 13' ]
    major=$((0x$(stat -c %t /dev/nvidia-caps/nvidia-cap21)))
    inside priv sh -c "mknod /tmp/own c $major 13 && mknod /tmp/other c $major 22"
    [ "$(opens priv /tmp/own)" = allowed ]
    [ "$(opens priv /tmp/other)" = filtered ]
    stop priv
}

@test "a changed layout: the same instance with other numbers is found at the next start" {
    run -0 nvlxc attach one --gpu MIG-$H100/2/1
    cp /var/lib/lxc/one/config /run/one.granted
    # as after other instances were made: GI 2's nodes have other minors
    sed -i 's/DeviceFileMinor: .*/DeviceFileMinor: 30/' $MIG_CAPS/gi2/access
    sed -i 's/DeviceFileMinor: .*/DeviceFileMinor: 32/' $MIG_CAPS/gi2/ci1/access
    run -0 start one
    [ "$(caps one)" = '30 32' ]
    [ "$(opens one /dev/nvidia-caps/nvidia-cap32)" = allowed ]
    cmp /var/lib/lxc/one/config /run/one.granted
    stop one
}

@test "a vanished instance: said by the start, by show and by doctor; with --required there is no start" {
    rm -r $MIG_CAPS/gi2/ci1
    run -0 start one
    run ! inside one ls /dev/nvidia0
    run -0 syslog_of one
    says "MIG-$H100/2/1 is not on this host: GPU 0 has the MIG devices 1/0 and 2/0"
    stop one
    run -1 nvlxc show one
    says "MIG-$H100/2/1"
    run -1 nvlxc doctor one
    says "error, container one: the MIG device of its grant is gone" "nvlxc gpus"
    run -0 nvlxc attach one --gpu MIG-$H100/1/0 --required
    rm -r $MIG_CAPS/gi1
    run ! start one
}

@test "detach: the config as it was" {
    for name in one priv; do
        run -0 nvlxc detach $name
        cmp /var/lib/lxc/$name/config /run/$name.plain
    done
}
