# detach of a stopped Proxmox CT on a storage. The files in its root file system are those that a real start left; `pct` is
# tests/lib/pct, which locks, writes the config anew, fails and refuses as pve-container's does.
load setup

CONF=/etc/pve/lxc/900.conf
DISK=/srv/vm-900-disk-0

setup_file() {
    nvlxc driver sync --quiet
    make_container 900 debian-12
    local root=/var/lib/lxc/900/rootfs
    # what any start leaves is there before
    start 900 && stop 900
    listing $root > /run/900.before
    nvlxc attach 900
    start 900 && stop 900
    mv $root $DISK
    mkdir -p /etc/pve/nodes/pve/lxc /run/lock/lxc $root
    ln -s nodes/pve /etc/pve/local
    ln -s nodes/pve/lxc /etc/pve/lxc
    rm /var/lib/lxc/900/config
    install -m 755 "$NVL_SOURCE/tests/lib/pct" /usr/sbin/pct
    cp -a $DISK /run/disk
}

setup() {
    rm -f /run/pct.log /run/pct-*
    printf '%s\n' 'arch: amd64' 'memory: 512' 'ostype: debian' 'rootfs: local-lvm:vm-900-disk-0,size=4G' \
        'unprivileged: 1' > $CONF
    cp $CONF /run/900.conf
    rm -rf $DISK
    cp -a /run/disk $DISK
    nvlxc attach 900
}

# clean: the disk is as before attach, and nothing of the mount is left.
clean() {
    listing $DISK | diff /run/900.before -
    cmp $CONF /run/900.conf
    ! mountpoint -q /var/lib/lxc/900/rootfs
}

@test "its files are there before" {
    run -0 listing $DISK
    says nvidia-smi 00-nvlxc.conf
}

@test "the disk is mounted, cleaned, unmounted; the config is as before" {
    run -0 nvlxc detach 900
    says "900: its config no longer grants a GPU" "removed from its root file system: " /usr/local/bin/nvidia-smi
    [[ $output != *stay* && $output != *mounted* ]]
    clean
    [ "$(cat /run/pct.log)" = $'mount 900\nunmount 900' ]
}

@test "without a grant: nothing is run, the file stays as it is, and it is said how to clean" {
    nvlxc detach 900
    rm -f /run/pct.log
    printf '%s\n' 'unprivileged: 1' 'a line that Proxmox cannot read' '# notes' 'memory: 512' \
        'rootfs: local-lvm:vm-900-disk-0,size=4G' > $CONF
    cp $CONF /run/900.conf
    run -0 nvlxc detach 900
    says "900 has no GPU; nothing to change" "was not looked at; if an earlier detach left files there: pct start 900 && nvlxc detach 900 --live"
    run -0 nvlxc detach 900 --dry-run
    says "900 has no GPU; nothing to change"
    [[ $output != *"would run"* && $output != *keys* ]]
    [ ! -e /run/pct.log ]
    cmp $CONF /run/900.conf
    listing $DISK | diff /run/900.before -
}

@test "what pct mount does to the file is said before, and by --dry-run" {
    printf '%s\n' 'unprivileged: 1' 'a line that Proxmox cannot read' '# notes' 'memory: 512' \
        'rootfs: local-lvm:vm-900-disk-0,size=4G' > $CONF
    nvlxc attach 900
    cp $CONF /run/attached
    run -0 nvlxc detach 900 --dry-run
    says "detach would run \`pct mount 900\`, then \`pct unmount 900\`" "notes on top, keys sorted, lines that it cannot read lost" \
        "Proxmox cannot read line 2 of /etc/pve/lxc/900.conf, and would lose it: a line that Proxmox cannot read" \
        "may remain in its root file system: " /usr/local/bin/nvidia-smi "(\`pct mount 900\` is needed to see them)"
    [ ! -e /run/pct.log ]
    cmp $CONF /run/attached
    [[ $(nvlxc --json detach 900 --dry-run | jq -r '.warnings[]') == *"would run \`pct mount 900\`"*"line 2"* ]]

    run -0 nvlxc detach 900
    [[ ${lines[0]} == "900: running \`pct mount 900\`, then \`pct unmount 900\`"*"keys sorted"* ]]
    says "and loses it: a line that Proxmox cannot read"
    [ "$(cat $CONF)" = $'# notes\nmemory: 512\nrootfs: local-lvm:vm-900-disk-0,size=4G\nunprivileged: 1' ]
    listing $DISK | diff /run/900.before -
}

# fails_to_mount WHY…: the config is written, what may stay is said with why and with what to do, and the CT is as usable as
# before: the lock that `pct mount` leaves is taken away again.
fails_to_mount() {
    run -1 nvlxc detach 900
    says "900: its config no longer grants a GPU" "may remain in its root file system: " "$@" \
        "once it starts again, remove them with: pct start 900 && nvlxc detach 900 --live"
    cmp $CONF /run/900.conf
    nvlxc attach 900
}

@test "the volume is gone, or its storage is disabled: the CT does not stay locked, and it is a failure" {
    mv $DISK $DISK.gone
    fails_to_mount "no such volume 'local-lvm:vm-900-disk-0'" "(\`pct mount 900\` failed with status 255)"
    [ "$(cat /run/pct.log)" = $'mount 900\nunmount 900' ]
    mv $DISK.gone $DISK
    echo local-lvm > /run/pct-disabled
    fails_to_mount "storage 'local-lvm' is disabled"
    touch /run/pct-mount-fails
    fails_to_mount "mount of CT 900 goes wrong" "(\`pct mount 900\` failed with status 25)"
    pct set 900 --memory 512 # nothing keeps it from being changed
    mv /usr/sbin/pct /usr/sbin/pct.real
    fails_to_mount "(cannot run \`pct mount 900\`: No such file or directory)"
    mv /usr/sbin/pct.real /usr/sbin/pct
}

@test "the lock that a failed mount left cannot be taken away: it is said, with the command" {
    touch /run/pct-mount-fails /run/pct-unmount-fails
    run -1 nvlxc detach 900
    says "900 stays locked (lock: mounted) after the failed \`pct mount\`" "\`pct unmount 900\` failed with status 25" \
        "run \`pct unmount 900\`"
    # whoever comes later hears it, too
    run -1 nvlxc attach 900
    says "CT 900 is locked (lock: mounted)" "pct unmount 900"
    [[ $output != *unlock* ]]
    rm /run/pct-unmount-fails
    pct unmount 900
    cmp $CONF /run/900.conf
}

# A backup, or somebody's own `pct mount`, begins between the write and the mount.
@test "somebody else's lock stays" {
    local lock
    mv /usr/sbin/pct /usr/sbin/pct.real
    for lock in backup mounted; do
        printf '#!/bin/sh\n[ "$1" != mount ] || sed -i "1s/^/lock: %s\\n/" %s\nexec /usr/sbin/pct.real "$@"\n' $lock $CONF > /usr/sbin/pct
        chmod 755 /usr/sbin/pct
        run -1 nvlxc detach 900
        says "CT is locked ($lock)" "may remain in its root file system"
        grep -q "^lock: $lock$" $CONF
        [ "$(cat /run/pct.log)" = 'mount 900' ]
        rm /run/pct.log
        cp /run/900.conf $CONF
        nvlxc attach 900
    done
    mv /usr/sbin/pct.real /usr/sbin/pct
}

@test "a CT that cannot be unmounted: a failure, with the command" {
    touch /run/pct-unmount-fails
    run -1 nvlxc detach 900
    says "removed from its root file system" "it is still mounted and locked; run \`pct unmount 900\`"
    rm /run/pct-unmount-fails
    pct unmount 900
    clean
}

@test "an interrupt while it is mounted does not leave it mounted" {
    touch /run/pct-mount-interrupts
    run nvlxc detach 900
    [ "$status" -gt 128 ]
    [ "$(cat /run/pct.log)" = $'mount 900\nunmount 900' ]
    clean
}
