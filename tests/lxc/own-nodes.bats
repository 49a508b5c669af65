# Nodes that the host keeps to a group of its own: the container gets copies for its own groups, and the host's stay as they
# are. Fixture: /dev/dri as udev makes it, 0660.
load setup

OWN=/dev/nvlxc/ct

setup_file() {
    nvlxc driver sync --quiet
    make_container ct debian-12
    make_container priv debian-12 privileged
    local root name
    for name in ct priv; do
        root=/var/lib/lxc/$name/rootfs
        printf 'video:x:44:\nrender:x:107:draws\n' >> $root/etc/group
        sed -i '0,/^video:/{/^video:/d}' $root/etc/group
        printf 'draws:x:1000:1000::/:/bin/sh\nother:x:1001:1001::/:/bin/sh\n' >> $root/etc/passwd
        cp /var/lib/lxc/$name/config /run/$name.plain
    done
    # the host's groups have other numbers
    chgrp 991 /dev/dri/renderD128
    chgrp 992 /dev/dri/card1
    simulated_nodes > /run/nodes.before
    nvlxc attach ct --capabilities compute,utility,graphics
    nvlxc attach priv --capabilities compute,utility,graphics
}

setup() {
    : > /run/syslog
}

teardown() {
    stop ct 2> /dev/null || true
    stop priv 2> /dev/null || true
}

simulated_nodes() {
    find /dev/dri /dev/nvidia* -type c -exec stat -c '%n %t:%T %a %u:%g' {} \; | sort
}

# opens_as NAME USER PATH: "No such device or address" where the user may (there is no driver behind it), else "denied".
opens_as() {
    # shellcheck disable=SC2016 # expanded in the container
    inside "$1" setpriv --reuid "$2" --regid 65534 --init-groups sh -c 'exec 3<>"$1"' sh "$3" 2>&1 |
        sed -E 's/.*(No such device or address).*/\1/; s/.*Permission (denied).*/\1/'
}

owner_of() {
    inside "$1" stat -c '%a %u:%g' "$2"
}

@test "a graphics node belongs to the container's root and to its own group; the host's stays as it is" {
    run -0 start ct
    run -0 syslog_of ct
    says dri/card1 dri/renderD128
    [[ $output != *but:* && $output != *note:* ]]
    [ "$(owner_of ct /dev/dri/renderD128)" = '660 0:107' ]
    [ "$(owner_of ct /dev/dri/card1)" = '660 0:44' ]
    [ "$(opens_as ct root /dev/dri/renderD128)" = 'No such device or address' ]
    [ "$(opens_as ct draws /dev/dri/renderD128)" = 'No such device or address' ]
    [ "$(opens_as ct other /dev/dri/renderD128)" = denied ]
    simulated_nodes | diff /run/nodes.before -
    # users of the host have no way to the copies
    [ "$(stat -c '%a %u:%g' $OWN)" = '700 100000:100000' ]
    [ "$(ls $OWN)" = $'card1\nrenderD128' ]
    run -0 nvlxc show ct
    [[ $output != *closed:* ]]
    run nvlxc --json doctor ct
    [ -n "$output" ] && [[ $output != *render-group* ]]
}

@test "what the container does to its nodes stays there" {
    run -0 start ct
    inside ct chmod 0606 /dev/dri/renderD128
    simulated_nodes | diff /run/nodes.before -
    stop ct
    run -0 start ct
    [ "$(owner_of ct /dev/dri/renderD128)" = '660 0:107' ]
}

@test "the same brought into a running container, and taken out of it" {
    run -0 start ct
    run -0 nvlxc detach ct --live
    says "removed from the running container: devices " "renderD128"
    run ! inside ct ls /dev/dri
    [ ! -e $OWN ]
    run -0 nvlxc attach ct --capabilities compute,utility,graphics --live
    [ "$(owner_of ct /dev/dri/renderD128)" = '660 0:107' ]
    [ "$(owner_of ct /dev/dri/card1)" = '660 0:44' ]
    [ "$(opens_as ct draws /dev/dri/renderD128)" = 'No such device or address' ]
    [ "$(opens_as ct other /dev/dri/renderD128)" = denied ]
    [ "$(stat -c '%a %u:%g' $OWN)" = '700 100000:100000' ]
    simulated_nodes | diff /run/nodes.before -
}

# by_hand NAME LINE: the config also has that line.
by_hand() {
    cp "/var/lib/lxc/$1/config" "/run/$1.granted"
    echo "$2" >> "/var/lib/lxc/$1/config"
}

@test "a mount entry for /dev/dri as a whole: the copies cover the host's nodes there; nothing else changes" {
    local name
    mknod -m 660 /dev/dri/renderD129 c 226 129
    simulated_nodes > /run/nodes.dri
    for name in ct priv; do
        nvlxc attach $name --capabilities compute,utility,graphics
        by_hand $name 'lxc.mount.entry = /dev/dri dev/dri none bind,optional,create=dir'
        run -0 start $name
        run -0 syslog_of $name
        [[ $output != *but:* && $output != *note:* ]]
        [ "$(owner_of $name /dev/dri/renderD128)" = '660 0:107' ]
        [ "$(owner_of $name /dev/dri/card1)" = '660 0:44' ]
        [ "$(opens_as $name draws /dev/dri/renderD128)" = 'No such device or address' ]
        # another vendor's stays what the entry makes of it
        inside $name test -c /dev/dri/renderD129
        simulated_nodes | diff /run/nodes.dri -
        run nvlxc --json doctor $name
        [ -n "$output" ] && [[ $output != *render-group* ]]
        stop $name
        simulated_nodes | diff /run/nodes.dri -
        # the same into a running container, and a second time; then out of it
        cp /run/$name.plain /var/lib/lxc/$name/config
        by_hand $name 'lxc.mount.entry = /dev/dri dev/dri none bind,optional,create=dir'
        run -0 start $name
        run -0 nvlxc attach $name --capabilities compute,utility,graphics --live
        [ "$(owner_of $name /dev/dri/renderD128)" = '660 0:107' ]
        run -0 nvlxc attach $name --capabilities compute,utility,graphics --live
        says 'already attached'
        [[ $output != *warning* ]]
        run -0 nvlxc detach $name --live
        simulated_nodes | diff /run/nodes.dri -
        inside $name test -c /dev/dri/renderD128
        stop $name
        cp /run/$name.plain /var/lib/lxc/$name/config
        nvlxc attach $name --capabilities compute,utility,graphics
    done
    rm /dev/dri/renderD129
}

@test "a mount entry for the node alone: covered, too" {
    by_hand ct 'lxc.mount.entry = /dev/dri/renderD128 dev/dri/renderD128 none bind,optional,create=file'
    run -0 start ct
    [ "$(owner_of ct /dev/dri/renderD128)" = '660 0:107' ]
    # the entry is not nvlxc's, so its node stays
    run -0 nvlxc detach ct --live
    [ "$(owner_of ct /dev/dri/renderD128)" = '660 65534:65534' ]
    run ! inside ct ls /dev/dri/card1
    stop ct
    cp /run/ct.granted /var/lib/lxc/ct/config
}

@test "no copy could be made: said; the next attach covers the host's node, and detach leaves neither" {
    cp /run/ct.plain /var/lib/lxc/ct/config
    run -0 start ct
    rm -rf /dev/nvlxc
    touch /dev/nvlxc
    run -1 nvlxc attach ct --capabilities compute,utility,graphics --live
    [[ $output == *"cannot make the container's own nodes"* ]]
    rm /dev/nvlxc
    run -0 nvlxc attach ct --capabilities compute,utility,graphics --live
    [ "$(owner_of ct /dev/dri/renderD128)" = '660 0:107' ]
    run -0 nvlxc detach ct --live
    run ! inside ct ls /dev/dri
    nvlxc attach ct --capabilities compute,utility,graphics
}

@test "a copy that did not get its group is replaced by the next attach --live" {
    run -0 start ct
    chgrp 100000 $OWN/renderD128
    [ "$(owner_of ct /dev/dri/renderD128)" = '660 0:0' ]
    run -0 nvlxc attach ct --capabilities compute,utility,graphics --live
    [ "$(owner_of ct /dev/dri/renderD128)" = '660 0:107' ]
    [ "$(opens_as ct draws /dev/dri/renderD128)" = 'No such device or address' ]
    [ "$(inside ct grep -c renderD128 /proc/self/mountinfo)" -eq 1 ]
}

@test "an id map with holes: the copies have the number that the map gives the group; doctor and show agree" {
    by_hand ct ''
    sed -i '/idmap = g/d' /var/lib/lxc/ct/config
    printf 'lxc.idmap = g %s\n' '0 100000 44' '44 44 1' '45 100045 62' '107 104 1' '108 100108 65428' >> /var/lib/lxc/ct/config
    cp /etc/subgid /run/subgid
    printf 'root:44:1\nroot:104:1\n' >> /etc/subgid
    run -0 start ct
    [ "$(owner_of ct /dev/dri/renderD128)" = '660 0:107' ]
    [ "$(stat -c %g $OWN/renderD128 $OWN/card1 | xargs)" = '104 44' ]
    [ "$(opens_as ct draws /dev/dri/renderD128)" = 'No such device or address' ]
    run nvlxc --json doctor ct
    [ -n "$output" ] && [[ $output != *render-group* ]]
    run -0 nvlxc show ct
    [[ $output != *closed:* ]]
    stop ct
    run nvlxc --json doctor ct
    [ -n "$output" ] && [[ $output != *render-group* ]]
    cp /run/subgid /etc/subgid
    cp /run/ct.granted /var/lib/lxc/ct/config
}

@test "a map without groups: LXC does not start it, and attach and doctor say why" {
    by_hand ct ''
    sed -i '/idmap = g/d' /var/lib/lxc/ct/config
    run ! start ct
    run -1 nvlxc attach ct --capabilities compute,utility,graphics
    says 'maps the container'"'"'s root to no group of the host' 'g 0 100000 65536'
    run nvlxc --json doctor ct
    says idmap-broken
    cp /run/ct.granted /var/lib/lxc/ct/config
}

@test "privileged: the container's group, not the host's of another number" {
    run -0 start priv
    [ "$(owner_of priv /dev/dri/renderD128)" = '660 0:107' ]
    [ "$(opens_as priv draws /dev/dri/renderD128)" = 'No such device or address' ]
    simulated_nodes | diff /run/nodes.before -
}

@test "without a group render its nodes are for video, as udev had it" {
    sed -i.before '/^render/d' /var/lib/lxc/ct/rootfs/etc/group
    run -0 start ct
    mv /var/lib/lxc/ct/rootfs/etc/group.before /var/lib/lxc/ct/rootfs/etc/group
    [ "$(owner_of ct /dev/dri/renderD128)" = '660 0:44' ]
    [ "$(owner_of ct /dev/dri/card1)" = '660 0:44' ]
}

@test "groups that are missing, or out of the container's reach: its root alone; the start goes on" {
    cp -a /var/lib/lxc/ct/rootfs/etc/group /run/group
    sed -i '/^render/d; s/^video:.*/video:x:4000000000:/' /var/lib/lxc/ct/rootfs/etc/group
    run -0 start ct
    [ "$(owner_of ct /dev/dri/renderD128)" = '660 0:0' ]
    [ "$(owner_of ct /dev/dri/card1)" = '660 0:0' ]
    stop ct
    rm /var/lib/lxc/ct/rootfs/etc/group
    mkfifo /var/lib/lxc/ct/rootfs/etc/group
    run -0 start ct
    [ "$(owner_of ct /dev/dri/renderD128)" = '660 0:0' ]
    stop ct
    rm /var/lib/lxc/ct/rootfs/etc/group
    cp -a /run/group /var/lib/lxc/ct/rootfs/etc/group
}

@test "NVIDIA's own nodes too, where the driver was told a mode of its own" {
    nvlxc attach ct --capabilities compute,utility
    sed -i 's/^DeviceFileMode:.*/DeviceFileMode: 432/; s/^DeviceFileGID:.*/DeviceFileGID: 991/' /proc/driver/nvidia/params
    chmod 660 /dev/nvidia*
    chgrp 991 /dev/nvidia*
    run -0 start ct
    local node
    for node in nvidia0 nvidiactl nvidia-uvm; do
        [ "$(owner_of ct /dev/$node)" = '660 0:44' ]
        [ "$(opens_as ct root /dev/$node)" = 'No such device or address' ]
        [ "$(opens_as ct other /dev/$node)" = denied ]
    done
    [ "$(ls $OWN)" = $'nvidia-uvm\nnvidia-uvm-tools\nnvidia0\nnvidiactl' ]
    stop ct
    simulate_host a5500-550
    # nothing is closed any more, and nothing stays
    run -0 start ct
    [ "$(owner_of ct /dev/nvidia0)" = '666 65534:65534' ]
    [ ! -e $OWN ]
}

@test "a closed node that pre-start has just made gets its copy in the same start" {
    nvlxc attach ct --capabilities compute,utility
    sed -i 's/^DeviceFileMode:.*/DeviceFileMode: 432/; s/^DeviceFileGID:.*/DeviceFileGID: 991/' /proc/driver/nvidia/params
    rm /dev/nvidia0
    run -0 start ct
    run -0 syslog_of ct
    says '/dev/nvidia0 made (it was missing)'
    [ "$(stat -c '%a %u:%g' /dev/nvidia0)" = '660 0:991' ]
    [ "$(ls $OWN)" = nvidia0 ]
    [ "$(owner_of ct /dev/nvidia0)" = '660 0:44' ]
    stop ct
    simulate_host a5500-550
}

@test "a host's node that became another device: the copy follows at the next start" {
    nvlxc attach ct --capabilities compute,utility,graphics
    run -0 start ct
    stop ct
    rm $OWN/renderD128
    mknod -m 666 $OWN/renderD128 c 1 3
    run -0 start ct
    [ "$(inside ct stat -c %t:%T /dev/dri/renderD128)" = e2:80 ]
}

@test "detach takes them away" {
    [ -d $OWN ]
    run -0 nvlxc detach ct
    [ ! -e $OWN ]
    [ -d /dev/nvlxc/priv ]
    run -0 nvlxc detach priv
    [ ! -e /dev/nvlxc/priv ]
    cmp /var/lib/lxc/ct/config /run/ct.plain
}
