# detach of a stopped Proxmox CT on a storage. The files in its root file system are those that a real start left; `pct` is a
# stand-in that mounts, unmounts and locks as pve-container's does: `lock: mounted` meanwhile, refused where there is a lock.
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
    cat > /usr/sbin/pct <<'PCT'
#!/bin/sh -eu
conf=/etc/pve/lxc/$2.conf root=/var/lib/lxc/$2/rootfs
echo "$*" >> /run/pct.log
[ ! -e "/run/pct-$1-fails" ] || { echo "$1 of CT $2 goes wrong" >&2; exit 25; }
case $1 in
mount)
    ! grep -q ^lock: "$conf" || { echo "CT is locked" >&2; exit 255; }
    sed -i '0,/^memory/s//lock: mounted\nmemory/' "$conf"
    mount --bind "/srv/vm-$2-disk-0" "$root"
    echo "mounted CT $2 in '$root'"
    ;;
unmount)
    umount "$root"
    sed -i '/^lock: mounted$/d' "$conf"
    ;;
esac
PCT
    chmod 755 /usr/sbin/pct
    cp -a $DISK /run/disk
}

setup() {
    rm -f /run/pct.log /run/pct-*-fails
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

@test "again, without a grant: nothing to do, and nothing is left" {
    nvlxc detach 900
    run -0 nvlxc detach 900
    says "900 has no GPU; nothing to change"
    clean
}

@test "--dry-run mounts nothing, and says what may be there" {
    nvlxc detach 900 --dry-run > /run/dry
    run -0 cat /run/dry
    says "may remain in its root file system: " /usr/local/bin/nvidia-smi "(\`pct mount 900\` is needed to see them)"
    [ ! -e /run/pct.log ]
}

@test "a CT that cannot be mounted: the config is written, and what may stay is said with why" {
    touch /run/pct-mount-fails
    run -0 nvlxc detach 900
    says "mount of CT 900 goes wrong" "may remain in its root file system: " "(\`pct mount 900\` failed with status 25)"
    cmp $CONF /run/900.conf
    mv /usr/sbin/pct /usr/sbin/pct.real
    nvlxc attach 900
    run -0 nvlxc detach 900
    mv /usr/sbin/pct.real /usr/sbin/pct
    says "(cannot run \`pct mount 900\`: No such file or directory)"
}

@test "a CT that cannot be unmounted is a warning, with the command" {
    touch /run/pct-unmount-fails
    run -0 nvlxc detach 900
    says "removed from its root file system" "it is still mounted and locked; run \`pct unmount 900\`"
    rm /run/pct-unmount-fails
    pct unmount 900
    clean
}

@test "an interrupt while it is mounted does not leave it mounted" {
    sed -i '/^mount)/a kill -INT $PPID; kill -TERM $PPID' /usr/sbin/pct
    run nvlxc detach 900
    sed -i '/^kill/d' /usr/sbin/pct
    [ "$status" -gt 128 ]
    [ "$(cat /run/pct.log)" = $'mount 900\nunmount 900' ]
    clean
}
