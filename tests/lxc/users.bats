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

@test "the user detaches it herself" {
    run -0 as_alice lxc-stop -n media -k
    run -0 as_alice nvlxc detach media
    run ! grep -i nvidia /home/alice/.local/share/lxc/media/config
}
