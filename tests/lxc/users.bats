# A user's container: lxc-start run by a plain user, in the user's own folder.
load setup

setup_file() {
    nvlxc driver sync --quiet
    useradd --create-home --shell /bin/bash alice
    sed -i /^alice:/d /etc/subuid /etc/subgid
    echo alice:200000:65536 | tee -a /etc/subuid >> /etc/subgid
    local dir=/home/alice/.local/share/lxc/media
    mkdir -p "$dir"
    "$NVL_SOURCE/tests/lib/rootfs" debian-12 "$NVL_CACHE/rootfs" "$dir/rootfs"
    "$NVL_SOURCE/tests/lib/shift-owner" "$dir/rootfs" 200000
    {
        echo "lxc.include = /usr/share/lxc/config/common.conf"
        echo "lxc.include = /usr/share/lxc/config/userns.conf"
        echo "lxc.idmap = u 0 200000 65536"
        echo "lxc.idmap = g 0 200000 65536"
        container_lines media "$dir"
    } > "$dir/config"
    chown alice: /home/alice/.local /home/alice/.local/share /home/alice/.local/share/lxc "$dir" "$dir/config"
    chmod 755 /home/alice
    # a cgroup of the user's own, as systemd gives one
    mkdir -p /sys/fs/cgroup/alice/shell
    chown -R alice: /sys/fs/cgroup/alice
}

# as_alice COMMAND...
as_alice() {
    (
        echo $BASHPID > /sys/fs/cgroup/alice/shell/cgroup.procs
        exec setpriv --reuid alice --regid alice --init-groups --reset-env "$@"
    )
}

teardown_file() {
    as_alice lxc-stop -n media -k || true
}

@test "attach by root finds the user's container, and keeps its owner" {
    run -0 nvlxc attach media
    [ "$(stat -c %U /home/alice/.local/share/lxc/media/config)" = alice ]
    run -0 nvlxc list
    says media
}

@test "it starts as the user, with nodes and driver" {
    run -0 as_alice lxc-start -n media -d -l INFO -o /home/alice/log
    run ! as_alice lxc-attach -n media --clear-env -- sh -c "exec 3< /dev/nvidia0"
    says "No such device or address"
    run -9 as_alice lxc-attach -n media --clear-env -v PATH=/usr/local/bin:/usr/bin:/bin -- nvidia-smi
    run -0 as_alice lxc-attach -n media --clear-env -- sh -c 'LD_PRELOAD=libcuda.so.1 cat /proc/self/maps'
    says $BUNDLE/lib64/libcuda.so.550.163.01
    run -0 as_alice lxc-attach -n media --clear-env -- cat /proc/driver/nvidia/params
    says "ModifyDeviceFiles: 0"
}

@test "verify enters it too, in its own user namespace" {
    run -1 nvlxc verify media
    says "a program linked with glibc starts" "no driver answers (ENXIO)" "exit status 9" \
        "$BUNDLE/lib64/libcuda.so.550.163.01, the kernel module's version"
    # only root can
    run -3 as_alice nvlxc verify media
    says "only root can"
}

@test "detach --live and attach --live while it runs, by root; the files are the container's root's" {
    run -0 nvlxc detach media --live
    says "removed from the running container: devices nvidia-uvm nvidia-uvm-tools nvidia0 nvidiactl" "removed from its root file system"
    run ! as_alice lxc-attach -n media --clear-env -- ls /dev/nvidia0
    [ ! -e /home/alice/.local/share/lxc/media/rootfs/etc/ld.so.conf.d/00-nvlxc.conf ]
    run -0 nvlxc attach media --live
    says "added to the running container: devices nvidia0 nvidiactl" "driver 550.163.01"
    run ! as_alice lxc-attach -n media --clear-env -- sh -c "exec 3< /dev/nvidia0"
    says "No such device or address"
    run -0 as_alice lxc-attach -n media --clear-env -- sh -c 'LD_PRELOAD=libcuda.so.1 cat /proc/self/maps'
    says $BUNDLE/lib64/libcuda.so.550.163.01
    [ "$(stat -c %u /home/alice/.local/share/lxc/media/rootfs/etc/ld.so.conf.d/00-nvlxc.conf)" = 200000 ]
    [ "$(stat -c %u /home/alice/.local/share/lxc/media/rootfs/etc/ld.so.cache)" = 200000 ]
    # she cannot: it takes mounts of the host's
    run -3 as_alice nvlxc attach media --live
    says "must run as root"
}

# process_of COMMAND: its number, once it runs.
process_of() {
    local i
    for i in $(seq 50); do
        pgrep -xf "$1" && return
        sleep 0.1
    done
    return 1
}

# answers PID COMMAND...: runs it where the user's container names that process as its init.
answers() {
    mkdir -p /run/answer
    printf '#!/bin/sh\necho %s\n' "$1" > /run/answer/lxc-info
    chmod 755 /run/answer/lxc-info
    PATH=/run/answer:$PATH "${@:2}"
}

@test "her container names another's process as its init: refused, and nothing is done there" {
    # one of the host; one that shares its users but not its mounts with the host; another user's container
    run -1 answers $$ nvlxc attach media --live
    says "process $$ is not the init of that container: it shares its users with the host"
    run -1 answers $$ nvlxc verify media
    says "process $$ is not the init of that container: it shares its users with the host"
    unshare --mount sleep 100 3>&- &
    local private=$!
    run -1 answers $private nvlxc detach media --live
    says "it shares its users with the host"
    kill $private
    make_container other debian-12
    run -0 start other
    local init
    init=$(lxc-info -n other -pH)
    run -1 answers "$init" nvlxc attach media --live
    says "user 0 set up its users"
    run ! inside other ls /dev/nvidia0
    stop other
    # a user namespace of hers with the host's own mounts
    as_alice unshare --user --map-root-user sleep 101 3>&- &
    init=$(process_of 'sleep 101')
    run -1 answers "$init" nvlxc attach media --live
    says "process $init is not the init of that container: it shares its mounts with the host"
    kill "$init"
}

@test "what answers for her container never ends: verify and doctor do" {
    printf '#!/bin/sh\nexec sleep 1000\n' > /run/answer/lxc-info
    PATH=/run/answer:$PATH run -1 timeout 40 nvlxc verify media
    says "its init was not found"
    PATH=/run/answer:$PATH run -1 timeout 40 nvlxc doctor media
}

@test "nor by the host's files in mounts of her own: what she may not write stays as it is" {
    as_alice unshare --user --map-root-user --mount sleep 102 3>&- &
    local init
    init=$(process_of 'sleep 102')
    run -1 answers "$init" nvlxc attach media --live
    says "cannot mount the driver at /usr/local/nvidia: it cannot be made" "nor at /opt/nvlxc/nvidia: it cannot be made"
    run answers "$init" nvlxc detach media --live
    kill "$init"
    [ ! -e /usr/local/nvidia ]
    [ ! -e /opt/nvlxc ]
    [ ! -e /etc/ld.so.conf.d/00-nvlxc.conf ]
    run -0 nvlxc attach media
}

@test "the user detaches it herself" {
    run -0 as_alice lxc-stop -n media -k
    run -0 as_alice nvlxc detach media
    run ! grep -i nvidia /home/alice/.local/share/lxc/media/config
}
