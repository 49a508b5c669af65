# attach --live and detach --live: a container that runs, changed as its next start would bring it up.
load setup
# shellcheck source=/dev/null
source "$NVL_SOURCE/tests/lib/json.bash"

setup_file() {
    simulate_host two-gpus-535
    simulate_installed 535
    nvlxc driver sync --quiet
    # as systemd has it: what is mounted in the container must not come back to the host all the same
    mount --make-rshared /
    make_container ct debian-12
    make_container priv debian-12 privileged
    make_container open debian-12 privileged
    # a filter is made of rules; this one has none
    printf '%s\n' 'lxc.cgroup2.devices.deny =' 'lxc.cgroup2.devices.allow =' >> /var/lib/lxc/open/config
    local name
    for name in ct priv open; do
        cp "/var/lib/lxc/$name/config" "/run/$name.config"
    done
}

teardown_file() {
    local name
    for name in ct priv open; do stop "$name" || true; done
}

# The first GPU of the bus is /dev/nvidia1 on this host, the second /dev/nvidia0.
setup() {
    : > /run/syslog
}

# mounts NAME: what is mounted where in it, without the numbers that each mount has.
mounts() {
    inside "$1" cat /proc/self/mountinfo | awk '{ print $4, $5, $6 }'
}

# mount_inside NAME DIR: a tmpfs there; its image has no mount(8), but mount(2).
mount_inside() {
    inside "$1" perl -e 'my ($type, $where) = ("tmpfs", $ARGV[0]); syscall(165, $type, $where, $type, 0, 0) == 0 or die $!' "$2"
}

# remember NAME: its root file system, its mounts and what is in its /dev, for `as_before`.
remember() {
    listing "/var/lib/lxc/$1/rootfs" > "/run/$1.listing"
    mounts "$1" > "/run/$1.mounts"
    inside "$1" find /dev > "/run/$1.dev"
}
as_before() {
    listing "/var/lib/lxc/$1/rootfs" | diff "/run/$1.listing" - &&
        mounts "$1" | diff "/run/$1.mounts" - &&
        inside "$1" find /dev | diff "/run/$1.dev" -
}

# has_gpu NAME MINOR: what a start gives a container with that one GPU, seen from inside.
has_gpu() {
    local node
    for node in nvidia$2 nvidiactl nvidia-uvm nvidia-uvm-tools; do
        [ "$(opens "$1" /dev/$node)" = allowed ] || { echo "$node: $(opens "$1" /dev/$node)"; return 1; }
    done
    [ "$(opens "$1" /dev/nvidia$((1 - $2)))" = missing ] || { echo "the other GPU's node is there"; return 1; }
    [ "$(loads "$1" libcuda.so.1)" = $BUNDLE/lib64/libcuda.so.535.261.03 ] || { loads "$1" libcuda.so.1; return 1; }
    [ "$(inside "$1" ls /proc/driver/nvidia/gpus | wc -l)" = 1 ] || return 1
    inside "$1" grep -qx 'ModifyDeviceFiles: 0' /proc/driver/nvidia/params || return 1
    run inside "$1" nvidia-smi
    # shellcheck disable=SC2154 # run sets it
    [ "$status" = 9 ]
}

@test "unprivileged: everything is there without a restart" {
    run -0 start ct
    remember ct
    [ "$(opens ct /dev/nvidia1)" = missing ]
    run -0 nvlxc attach ct --gpu 0 --live
    says "added to the running container: devices nvidia1 nvidiactl" "driver 535.261.03" "linker cache refreshed"
    [[ $output != *"restart it"* ]]
    has_gpu ct 1
    mounts ct > /run/ct.live
    # the devices that every program needs are as they were
    [ "$(opens ct /dev/null)" = allowed ]
}

@test "a second time nothing happens" {
    run -0 nvlxc attach ct --gpu 0 --live
    says "already attached, nothing to change" "nothing to change in the running container"
    mounts ct | diff /run/ct.live -
    has_gpu ct 1
}

@test "what the container mounts over it does not show on the host" {
    run -0 mount_inside ct $BUNDLE/lib64
    run -0 mount_inside ct /proc/driver/nvidia/gpus/0000:01:00.0
    run -0 inside ct ls $BUNDLE/lib64
    [ "$output" = "" ]
    [ -e /var/lib/nvlxc/driver/535.261.03/lib64/libcuda.so.1 ]
    run -0 inside ct ls /proc/driver/nvidia/gpus/0000:01:00.0
    [ "$output" = "" ]
    [ -e /proc/driver/nvidia/gpus/0000:01:00.0/information ]
    # umount2
    run -0 inside ct perl -e 'foreach (@ARGV) { syscall(166, $_, 0) == 0 or die $! }' $BUNDLE/lib64 \
        /proc/driver/nvidia/gpus/0000:01:00.0
    run ! inside ct sh -c "echo x > $BUNDLE/sonames"
}

@test "a start gives the same" {
    stop ct
    run -0 start ct
    has_gpu ct 1
    mounts ct | sort | diff <(sort /run/ct.live) -
    run -0 nvlxc attach ct --gpu 0 --live
    says "nothing to change in the running container"
}

@test "another grant: its nodes come, those of the earlier one go" {
    run -0 nvlxc attach ct --gpu 1 --live
    says "removed from the running container: devices nvidia1, its view" \
        "added to the running container: devices nvidia0, its view"
    has_gpu ct 0
    run -0 nvlxc --json attach ct --gpu 1 --capabilities utility --live
    [ "$(jq -r '.live.taken[0]' <<< "$output")" = "devices nvidia-uvm nvidia-uvm-tools" ]
    [ "$(opens ct /dev/nvidia-uvm)" = missing ]
    [ "$(opens ct /dev/nvidia0)" = allowed ]
}

@test "detach: everything as before its first attach, the config byte for byte" {
    run -0 nvlxc detach ct --live --dry-run
    says "would remove from the running container: devices nvidia0 nvidiactl" "driver 535.261.03"
    [ "$(opens ct /dev/nvidia0)" = allowed ]
    run -0 nvlxc detach ct --live
    says "removed from the running container: devices nvidia0 nvidiactl, driver 535.261.03, its view" \
        "removed from its root file system: "
    [[ $output != *"may remain"* ]]
    as_before ct
    cmp /var/lib/lxc/ct/config /run/ct.config
    run -0 nvlxc detach ct --live
    says "ct has no GPU; nothing to change" "nothing to change in the running container"
    stop ct
}

@test "a privileged container with an allow-list: its own GPU opens, another does not" {
    run -0 start priv
    remember priv
    run -0 nvlxc attach priv --gpu 0 --live
    has_gpu priv 1
    # a node that it makes itself is kept out by the filter
    run -0 inside priv mknod /root/other c 195 0
    [ "$(opens priv /root/other)" = filtered ]
    run -0 inside priv mknod /root/own c 195 1
    [ "$(opens priv /root/own)" = allowed ]
    [ "$(opens priv /dev/null)" = allowed ]
    run -0 nvlxc attach priv --gpu 0 --live
    says "nothing to change in the running container"
}

@test "and with another grant the filter goes along" {
    run -0 nvlxc attach priv --gpu 1 --live
    has_gpu priv 0
    [ "$(opens priv /root/other)" = allowed ]
    [ "$(opens priv /root/own)" = filtered ]
}

@test "programs that have the GPU open are named before detach, and keep it; the filter closes it for others" {
    # an open file without the driver's answer, as there is no driver
    inside priv perl -e 'sysopen(F, "/dev/nvidia0", 010000000) or die; sleep 100' 3>&- &
    local i
    for i in $(seq 50); do
        ! pgrep -f sysopen > /dev/null || break
        sleep 0.1
    done
    sleep 1
    run -0 nvlxc --json detach priv --live --dry-run
    is_json detach <<< "$output"
    [ "$(jq -r '.live.programs[] | "\(.program) \(.open_nodes[0])"' <<< "$output")" = "perl /dev/nvidia0" ]
    run -0 nvlxc detach priv --live
    says "priv: perl (pid " ") has /dev/nvidia0 open and keeps it until it closes it or exits"
    [ "$(opens priv /root/other)" = filtered ]
    pkill -f sysopen
    rm /var/lib/lxc/priv/rootfs/root/{other,own}
    as_before priv
    cmp /var/lib/lxc/priv/config /run/priv.config
    [ "$(opens priv /dev/null)" = allowed ]
    stop priv
}

@test "a container without a filter gets none" {
    run -0 start open
    run -0 nvlxc attach open --gpu 0 --live
    has_gpu open 1
    [ "$(opens open /dev/null)" = allowed ]
    run -0 inside open mknod /root/fuse c 10 229
    [ "$(opens open /root/fuse)" = allowed ]
    run -0 nvlxc detach open --live
    [ "$(opens open /root/fuse)" = allowed ]
    [ "$(opens open /dev/null)" = allowed ]
}

@test "nor where its config was given rules since it was started" {
    printf '%s\n' 'lxc.cgroup2.devices.deny = a' 'lxc.cgroup2.devices.allow = c 1:3 rwm' >> /var/lib/lxc/open/config
    run -0 nvlxc attach open --gpu 0 --live
    run -0 grep -c 'devices.allow = /dev/nvidia' /var/lib/lxc/open/config
    has_gpu open 1
    [ "$(opens open /dev/zero)" = allowed ]
    [ "$(opens open /root/fuse)" = allowed ]
    run -0 nvlxc detach open --live
    [ "$(opens open /dev/zero)" = allowed ]
    [ "$(opens open /root/fuse)" = allowed ]
    stop open
}

@test "--nodes static brings the nodes as well; --libraries none no driver" {
    run -0 start ct
    run -0 nvlxc attach ct --gpu 0 --nodes static --libraries none --live
    [ "$(opens ct /dev/nvidia1)" = allowed ]
    run ! inside ct ls $BUNDLE
    run -0 nvlxc attach ct --gpu 0 --nodes static --live
    has_gpu ct 1
    run -0 nvlxc detach ct --live
    as_before ct
    stop ct
}

@test "what pre-start would have made ready is made ready first" {
    rm /dev/nvidia1 /dev/nvidia-uvm
    rm -r /var/lib/nvlxc/driver/535.261.03
    run -0 start ct
    run -0 nvlxc attach ct --gpu 0 --live
    says "built the driver bundle" "/dev/nvidia-uvm made (it was missing)"
    has_gpu ct 1
    run -0 nvlxc detach ct --live
    as_before ct
    # each thing that the hook did is one note
    rm /dev/nvidia1 /dev/nvidia-uvm
    run -0 nvlxc --json attach ct --gpu 0 --live
    [ "$(jq -r '.live.notes[]' <<< "$output" | sort)" = "on the host: /dev/nvidia-uvm made (it was missing)
on the host: /dev/nvidia1 made (it was missing)" ]
    [ "$(jq -r '.live.problems | length' <<< "$output")" = 0 ]
    # also in the system log
    read_syslog
    grep -q 'ct: .*/dev/nvidia-uvm made (it was missing)' /run/syslog
    run -0 nvlxc detach ct --live
    stop ct
}

@test "a hook that does not say what it did in nvlxc's own form is said to be silent" {
    run -0 start ct
    printf '#!/bin/sh\necho "nvlxc: ct: all is well"\n' > /run/other-hook
    chmod +x /run/other-hook
    mount --bind /run/other-hook /usr/libexec/nvlxc/hook
    run -0 nvlxc --json attach ct --gpu 0 --live
    umount /usr/libexec/nvlxc/hook
    [ "$(jq -r '.live.notes[]' <<< "$output")" = "on the host: the hook did not report what it did (status 0)" ]
    has_gpu ct 1
    run -0 nvlxc detach ct --live
    as_before ct
    stop ct
}

@test "a node that cannot be brought is said, and is a failure" {
    run -0 start ct
    run -0 inside ct sh -c 'echo mine > /dev/nvidia1'
    run -1 nvlxc attach ct --gpu 0 --live
    says "/dev/nvidia1 cannot be bound: something else exists there in the container"
    [ "$(inside ct cat /dev/nvidia1)" = mine ]
    run -0 nvlxc detach ct --live
    [ "$(inside ct cat /dev/nvidia1)" = mine ]
    stop ct
}

@test "one that does not run: the config is changed, and it is said" {
    run -0 nvlxc attach ct --gpu 0 --live
    says "ct is not running: --live has nothing to do" "the container gets it at its next start"
    run -0 nvlxc detach ct --live
    says "ct is not running: --live has nothing to do"
    cmp /var/lib/lxc/ct/config /run/ct.config
}

@test "hostile: links in the place of its folders and nodes lead nowhere outside" {
    local root=/var/lib/lxc/ct/rootfs
    # the container's root could write there: only the way is barred
    mkdir -p /run/victim/ld.so.conf.d
    echo $BUNDLE/lib64 > /run/victim/ld.so.conf.d/00-nvlxc.conf
    chown -R 100000:100000 /run/victim
    listing /etc > /run/etc.before
    listing /run/victim > /run/victim.before
    cp -a $root/etc/ld.so.conf.d /run/ld.so.conf.d
    rm -r $root/etc/ld.so.conf.d
    ln -s /run/victim/ld.so.conf.d $root/etc/ld.so.conf.d
    ln -s ../../../../../../../../../../../run/victim $root/usr/local/nvidia
    run -0 start ct
    run -0 inside ct sh -c 'ln -s /etc /dev/nvidia1; ln -s ../../../../run/victim /dev/nvidia-caps; ln -s /etc/passwd /dev/nvidiactl'
    run -1 nvlxc attach ct --gpu 0 --live
    says "/dev/nvidia1 cannot be bound: something else exists there" "/dev/nvidiactl cannot be bound" \
        "the driver is at /opt/nvlxc/nvidia: /usr/local/nvidia is a link or a file"
    listing /etc | diff /run/etc.before -
    listing /run/victim | diff /run/victim.before -
    run ! grep /run/victim /proc/self/mountinfo
    run nvlxc detach ct --live
    listing /etc | diff /run/etc.before -
    listing /run/victim | diff /run/victim.before -
    stop ct
    rm $root/usr/local/nvidia $root/etc/ld.so.conf.d
    cp -a /run/ld.so.conf.d $root/etc/
}

@test "hostile: folders that change while it works" {
    local root=/var/lib/lxc/ct/rootfs i
    listing /etc > /run/etc.before
    run -0 start ct
    inside ct sh -c 'while :; do mv /usr/local/bin /usr/local/b; ln -s /etc /usr/local/bin; mv /etc/ld.so.conf.d /etc/l
        ln -s /usr /etc/ld.so.conf.d; rm /usr/local/bin /etc/ld.so.conf.d; mv /usr/local/b /usr/local/bin
        mv /etc/l /etc/ld.so.conf.d; done' 3>&- &
    sleep 0.3
    for i in $(seq 10); do
        nvlxc attach ct --gpu 0 --live || true
        nvlxc detach ct --live || true
    done
    listing /etc | diff /run/etc.before -
    run ! grep -E ' /(etc|usr)/[^ ]*nv' /proc/self/mountinfo
    stop ct
    wait || true
    [ -e $root/etc/ld.so.conf.d ] || mv $root/etc/l $root/etc/ld.so.conf.d
}

@test "another user's process in the place of the container's: refused" {
    useradd --create-home mallory
    python3 - 3>&- << 'PYTHON' &
import os, socket, struct, time
os.setuid(__import__("pwd").getpwnam("mallory").pw_uid)
s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
s.bind("\0/var/lib/lxc/ct/command")
s.listen(8)
time.sleep(60)
PYTHON
    local i server=$!
    for i in $(seq 50); do
        ! grep -q /var/lib/lxc/ct/command /proc/net/unix || break
        sleep 0.1
    done
    run -1 timeout 20 nvlxc attach ct --gpu 0 --live
    says "answers for container ct, which belongs to user 0" "the config is written"
    run -1 timeout 20 nvlxc verify ct
    says "answers for container ct, which belongs to user 0"
    run -1 timeout 20 nvlxc doctor ct
    kill $server
}
