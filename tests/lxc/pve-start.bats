# Whether a CT starts, as Proxmox starts it: with lines of its own beside a grant that make device nodes, too. The stand-in
# for Proxmox (tests/lib/pve-start) makes each node of dev[n] with mknod after the mount hooks, and gives up where it exists.
load setup

CONF=/etc/pve/lxc/900.conf

setup_file() {
    nvlxc driver sync --quiet
    make_container 900 debian-12
    make_container 901 debian-12 privileged
    printf 'video:x:44:\nrender:x:993:\n' >> /var/lib/lxc/900/rootfs/etc/group
    rm /var/lib/lxc/90?/config
    mkdir -p /etc/pve/nodes/pve/lxc /run/lock/lxc
    ln -s nodes/pve /etc/pve/local
    ln -s nodes/pve/lxc /etc/pve/lxc
    # the one that knows dev[n]
    printf '\nPackage: pve-container\nStatus: install ok installed\nVersion: 6.0.13\n' >> /var/lib/dpkg/status
}

setup() {
    : > /run/syslog
    printf '%s\n' 'arch: amd64' 'memory: 512' 'ostype: debian' 'rootfs: /var/lib/lxc/900/rootfs' 'unprivileged: 1' > $CONF
    sed '/unprivileged/d; s/900/901/' $CONF > /etc/pve/lxc/901.conf
}

teardown() {
    local ct
    for ct in 900 901; do stop $ct 2> /dev/null || true; done
}

pve_start() {
    "$NVL_SOURCE/tests/lib/pve-start" "$1" || { grep -E ' (ERROR|WARN) ' "/run/lxc-$1.log" >&2; return 1; }
}

# top LINES…: before the raw lines of the config, as Proxmox would put them.
top() {
    sed -i "1i $1" $CONF
}

@test "without anything: the stand-in starts a CT, and dies where a device of dev[n] is missing or its path exists" {
    run -0 pve_start 900
    stop 900
    top 'dev0: /dev/dri/renderD128,gid=993'
    run -0 pve_start 900
    [ "$(inside 900 stat -c '%a %u %g %t:%T' /dev/dri/renderD128)" = "660 0 993 e2:80" ]
    stop 900
    top 'dev1: /dev/dri/card7'
    run -1 pve_start 900
    says 'Device /dev/dri/card7 does not exist'
    sed -i /card7/d $CONF
    echo 'lxc.mount.entry: /dev/dri/renderD128 dev/dri/renderD128 none bind,optional,create=file' >> $CONF
    run -1 pve_start 900
    run -0 grep -a 'Could not mknod\|status 17' /run/lxc-900.log
}

@test "dev[n] of the GPU's render node beside a grant, in every way to bring nodes: it starts, and Proxmox's stays" {
    top 'dev0: /dev/dri/renderD128,gid=993'
    top 'dev1: /dev/dri/card1,gid=44'
    cp $CONF /run/900.conf
    local nodes
    for nodes in hook dev static; do
        run -0 nvlxc attach 900 --capabilities compute,utility,graphics --nodes $nodes
        run -0 pve_start 900
        [ "$(inside 900 stat -c '%a %u %g %t:%T' /dev/dri/renderD128)" = "660 0 993 e2:80" ]
        [ "$(inside 900 stat -c '%a %u %g' /dev/dri/card1)" = "660 0 44" ]
        [ "$(opens 900 /dev/nvidia0)" = allowed ]
        stop 900
        run -0 nvlxc detach 900
        cmp $CONF /run/900.conf
    done
    run -0 syslog_of 900
    says "Proxmox's dev[n] entries bring dri/"
}

@test "dev[n] of NVIDIA's own nodes, added beside a grant: the start hook leaves them to Proxmox" {
    run -0 nvlxc attach 900
    top 'dev0: /dev/nvidia0,mode=0666'
    top 'dev1: /dev/nvidia-uvm,gid=44'
    run -0 pve_start 900
    [ "$(opens 900 /dev/nvidia0)" = allowed ]
    [ "$(inside 900 stat -c '%a %g' /dev/nvidia-uvm)" = "660 44" ]
    [ "$(opens 900 /dev/nvidiactl)" = allowed ]
}

@test "a node that two lines make: doctor says so, the start fails as it says, and its fix mends it" {
    top 'dev0: /dev/nvidia0'
    echo 'lxc.mount.entry: /dev/nvidia0 dev/nvidia0 none bind,optional,create=file' >> $CONF
    run -1 pve_start 900
    run -1 nvlxc doctor 900
    says 'Proxmox will not start it: two lines make the same device node' 'dev0: /dev/nvidia0' 'nvlxc attach 900 --replace'
    run -0 nvlxc attach 900 --replace
    run -0 pve_start 900
    [ "$(opens 900 /dev/nvidia0)" = allowed ]
}

@test "an autodev hook that makes the nodes, in its own words or in a script: by hand, and it starts once replaced" {
    # shellcheck disable=SC2016 # LXC's shell expands it
    local inline='lxc.hook.autodev: sh -c "mknod -m 666 ${LXC_ROOTFS_MOUNT}/dev/nvidia0 c 195 0; mknod -m 666 ${LXC_ROOTFS_MOUNT}/dev/nvidiactl c 195 255"'
    # shellcheck disable=SC2016
    printf '#!/bin/sh -e\nfor i in 0; do\n    mknod -m 666 "$LXC_ROOTFS_MOUNT/dev/nvidia$i" c 195 $i\ndone\n' > /usr/local/bin/make-gpu
    # shellcheck disable=SC2016
    printf '#!/bin/sh -e\nfor n in nvidia0 nvidiactl; do\n    cp -a /dev/$n "$LXC_ROOTFS_MOUNT/dev/"\ndone\n' > /usr/local/bin/copy-gpu
    chmod 755 /usr/local/bin/make-gpu /usr/local/bin/copy-gpu
    local conf=/etc/pve/lxc/901.conf line
    for line in "$inline" 'lxc.hook.autodev: /usr/local/bin/make-gpu' 'lxc.hook.autodev: /usr/local/bin/copy-gpu' 'lxc.hook.mount: /bin/sh /usr/local/bin/make-gpu'; do
        setup
        cp $conf /run/901.bare
        echo 'lxc.cgroup2.devices.allow: c 195:* rwm' >> $conf
        echo "$line" >> $conf
        run -0 pve_start 901
        stop 901
        run -1 nvlxc attach 901
        says "the config has NVIDIA lines that nvlxc did not write" "lxc.hook."
        run -0 nvlxc attach 901 --replace
        says "removed 2 lines" "-> nvlxc's start hook"
        run -0 pve_start 901
        [ "$(opens 901 /dev/nvidia0)" = allowed ]
        stop 901
        # added beside the grant: an error, with the way out
        echo "$line" >> $conf
        run -1 nvlxc doctor 901
        says 'nvlxc attach 901 --replace'
        run -0 nvlxc detach 901
    done
}

@test "an autodev hook that makes other nodes, too: --replace says that nobody makes them then" {
    # shellcheck disable=SC2016 # LXC's shell expands it
    local make='mkdir -p ${LXC_ROOTFS_MOUNT}/dev/net; mknod ${LXC_ROOTFS_MOUNT}/dev/net/tun c 10 200; mknod ${LXC_ROOTFS_MOUNT}/dev/nvidia0 c 195 0'
    printf '%s\n' 'lxc.cgroup2.devices.allow: c 195:* rwm' "lxc.hook.autodev: sh -c \"$make\"" >> /etc/pve/lxc/901.conf
    run -0 nvlxc attach 901 --replace
    says "-> nvlxc's start hook; nothing makes /dev/net/tun then"
}

@test "an autodev hook that makes another vendor's node, which the grant would bring: refused, by the line's name" {
    # shellcheck disable=SC2016 # LXC's shell expands it
    echo 'lxc.hook.autodev: sh -ec "mkdir ${LXC_ROOTFS_MOUNT}/dev/dri; mknod -m 666 ${LXC_ROOTFS_MOUNT}/dev/dri/renderD128 c 226 128"' >> /etc/pve/lxc/901.conf
    cp /etc/pve/lxc/901.conf /run/901.conf
    run -0 pve_start 901
    stop 901
    run -1 nvlxc attach 901 --capabilities compute,utility,graphics
    says '901: with this grant, LXC will not start it' 'lxc.hook.autodev: sh -ec' '/dev/dri/renderD128'
    cmp /etc/pve/lxc/901.conf /run/901.conf
    run -0 nvlxc attach 901
    run -0 pve_start 901
}

@test "forty configs as people have them: attach knows which of them start" {
    local corpus=$NVL_SOURCE/tests/lib/config-corpus seed ct conf answer started failed=0 n_started=0 n_stopped=0
    "$corpus" prepare /
    for seed in $(seq 40); do
        "$corpus" make "$seed" > /run/corpus.conf
        ct=901
        ! grep -q -e '^unprivileged: 1' -e '^lxc.idmap' /run/corpus.conf || ct=900
        conf=/etc/pve/lxc/$ct.conf
        cp /run/corpus.conf $conf
        # shellcheck disable=SC2046 # words
        answer=$(nvlxc --json attach $ct --replace $("$corpus" ways "$seed") 2> /dev/null) || continue
        started=false
        ! pve_start $ct > /run/corpus.log 2>&1 || started=true
        if [ "$(jq .starts <<< "$answer")" = $started ]; then
            [ $started = true ] && n_started=$((n_started + 1)) || n_stopped=$((n_stopped + 1))
        else
            failed=$((failed + 1))
            echo "seed $seed: started: $started; attach says: $(jq -c '[.starts, .findings]' <<< "$answer")"
            grep -a ERROR /run/corpus.log | head -n 5; cat $conf
        fi
        stop $ct 2> /dev/null || true
        [ $ct = 901 ] || continue
        # a node on the root file system itself would stay
        rm -rf /var/lib/lxc/901/rootfs/dev/dri /var/lib/lxc/901/rootfs/dev/nvidia*
    done
    echo "$n_started start, $n_stopped do not, $failed differ"
    [ $failed = 0 ] && [ $n_started -gt 15 ] && [ $n_stopped -gt 3 ]
}
