# Containers as people have them: a grant takes no start away, no line that is not its own, and says what stands in its way.
# tests/lxc/pve-start.bats has the same with real containers.

bats_require_minimum_version 1.5.0
load "$NVL_SOURCE/tests/lib/hosts.bash"

nvlxc() {
    "$NVL_BUILD/src/cli/nvlxc" --root "$HOST" "$@"
}

# ct ID LINE...: a CT of this node
ct() {
    printf '%s\n' "arch: amd64" "${@:2}" > "$HOST/etc/pve/lxc/$1.conf"
    cp "$HOST/etc/pve/lxc/$1.conf" "$HOST/before"
}

setup() {
    HOST=$(fixture a5500-550)
    CONF=$HOST/etc/pve/lxc/220.conf
    printf '\nPackage: pve-container\nStatus: install ok installed\nVersion: 6.0.13\n\n' >> "$HOST/var/lib/dpkg/status"
}

@test "two hundred configs: attached, attached again, detached; or refused by a line's name; --replace takes what it lists" {
    "$NVL_SOURCE/tests/lib/config-corpus" prepare "$HOST"
    "$NVL_SOURCE/tests/lib/config-corpus" check "$NVL_BUILD/src/cli/nvlxc" "$HOST" 220 0 200
}

@test "dev[n] of the render node beside a grant with graphics: left, and not named twice" {
    local nodes
    ct 220 'dev0: /dev/dri/renderD128,gid=993' 'dev1: /dev/dri/card1,gid=44' 'unprivileged: 1'
    for nodes in hook dev static; do
        run -0 nvlxc --json attach 220 --capabilities compute,utility,graphics --nodes $nodes
        [ "$(jq -c '[.starts, .findings]' <<< "$output")" = '[true,[]]' ]
        [ "$(grep -c 'renderD128' "$CONF")" = 1 ]
        run -0 nvlxc detach 220
        cmp "$CONF" "$HOST/before"
    done
}

@test "what nvlxc does not bring is not by hand, in nobody's way, and nobody takes it" {
    local line
    while IFS= read -r line; do
        ct 220 'unprivileged: 1' "$line"
        run -0 nvlxc show 220
        says 'no GPU'
        [[ $output != *'by hand'* ]]
        run -0 nvlxc attach 220
        run -0 nvlxc attach 220 --replace
        run -0 nvlxc detach 220
        cmp "$CONF" "$HOST/before"
    done <<'LINES'
lxc.mount.entry: /tmp/nvidia-mps tmp/nvidia-mps none bind,optional,create=dir
lxc.mount.entry: /run/nvidia-mps run/nvidia-mps none bind,optional,create=dir
lxc.mount.entry: /run/nvidia-persistenced/socket run/nvidia-persistenced/socket none bind,optional,create=file
lxc.mount.entry: /var/run/nvidia-persistenced/socket var/run/nvidia-persistenced/socket none bind,optional,create=file
lxc.mount.entry: /run/nvidia-fabricmanager/socket run/nvidia-fabricmanager/socket none bind,optional,create=file
lxc.mount.entry: /etc/nvidia-imex etc/nvidia-imex none bind,optional,create=dir
lxc.mount.entry: /dev/nvidia-caps-imex-channels dev/nvidia-caps-imex-channels none bind,optional,create=dir
lxc.mount.entry: /dev/nvidia-caps-imex-channels/channel0 dev/nvidia-caps-imex-channels/channel0 none bind,optional,create=file
lxc.mount.entry: /dev/nvidia-nvswitchctl dev/nvidia-nvswitchctl none bind,optional,create=file
lxc.mount.entry: /dev/nvidia-nvswitch0 dev/nvidia-nvswitch0 none bind,optional,create=file
lxc.mount.entry: /dev/nvidia-nvlink dev/nvidia-nvlink none bind,optional,create=file
lxc.mount.entry: /dev/nvidia-fs0 dev/nvidia-fs0 none bind,optional,create=file
lxc.mount.entry: /dev/gdrdrv dev/gdrdrv none bind,optional,create=file
lxc.cgroup2.devices.allow: /dev/nvidia-nvswitchctl rw
lxc.cgroup2.devices.allow: /dev/nvidia-fs0 rw
lxc.environment: CUDA_MPS_PIPE_DIRECTORY=/tmp/nvidia-mps
LINES
}

@test "a rule by number for what nvlxc does not bring stays beside its node; without one it is of an earlier boot" {
    ct 220 'lxc.cgroup2.devices.allow: c 510:* rwm' 'lxc.cgroup2.devices.allow: c 508:0 rw' \
        'lxc.mount.entry: /dev/nvidia-nvswitchctl dev/nvidia-nvswitchctl none bind,optional,create=file' \
        'lxc.cgroup2.devices.allow: c 195:* rwm'
    run -0 nvlxc attach 220 --replace
    says 'removed 1 line about' 'c 195:* rwm -> '
    grep -q 'c 510:' "$CONF"
    grep -q 'c 508:0' "$CONF"
    ct 220 'lxc.cgroup2.devices.allow: c 510:* rwm' 'lxc.cgroup2.devices.allow: c 195:* rwm'
    run -0 nvlxc attach 220 --replace
    says 'c 510:* rwm -> '
}

@test "--replace lists each line, and what takes its place" {
    ct 220 'dev3: /dev/nvidia0' 'lxc.cgroup2.devices.allow: c 195:* rwm' \
        'lxc.mount.entry: /dev/nvidia-modeset dev/nvidia-modeset none bind,optional,create=file' \
        'lxc.mount.entry: /usr/lib/x86_64-linux-gnu/libcuda.so.1 usr/lib/x86_64-linux-gnu/libcuda.so.1 none bind,ro,create=file' \
        'lxc.environment: NVIDIA_VISIBLE_DEVICES=all' 'lxc.hook.mount: /usr/share/lxc/hooks/nvidia'
    run -0 nvlxc --json attach 220 --replace --dry-run --capabilities compute,utility
    [ "$(jq -r '.replaced[] | (.line | capture("line (?<n>[0-9]+)").n) + " " + .instead' <<< "$output" | sort)" = "$(sort <<'LIST'
2 the start hook binds the node
3 rules by path
4 nothing: the grant does not include this node
5 the driver's bundle
6 the variables of the grant
7 nvlxc's start hook
LIST
    )" ]
    cmp "$CONF" "$HOST/before"
    run -0 nvlxc attach 220 --replace
    says '  line 3: lxc.cgroup2.devices.allow: c 195:* rwm -> rules by path'
}

@test "--with: entries and rules, shown, taken by detach; what the host lacks is said" {
    ct 220
    mkdir -p "$HOST/tmp/nvidia-mps" "$HOST/dev/nvidia-caps-imex-channels"
    : > "$HOST/dev/nvidia-caps-imex-channels/channel3"
    run -0 --separate-stderr nvlxc attach 220 --with mps,imex=3 --with gdrcopy
    [[ $stderr == *'--with gdrcopy: /dev/gdrdrv does not exist on the host'*'modprobe gdrdrv'* ]]
    [[ $stderr != *'--with mps'* ]]
    grep -qx 'lxc.mount.entry: /tmp/nvidia-mps tmp/nvidia-mps none bind,optional,create=dir' "$CONF"
    grep -qx 'lxc.cgroup2.devices.allow: /dev/nvidia-caps-imex-channels/channel3 rw' "$CONF"
    grep -q 'lxc.hook.mount: .*hook --with=mps,gdrcopy,imex=3$' "$CONF"
    run -0 nvlxc show 220
    says 'with mps,gdrcopy,imex=3'
    [ "$(nvlxc --json show 220 | jq -r '.grant.with | join(",")')" = mps,gdrcopy,imex=3 ]
    cp "$CONF" "$HOST/once"
    run -0 nvlxc attach 220 --with gdrcopy,mps,imex=3
    cmp "$CONF" "$HOST/once"
    # fewer, and none
    run -0 nvlxc attach 220 --with mps
    ! grep -q -e gdrdrv -e imex "$CONF"
    run -0 nvlxc detach 220
    cmp "$CONF" "$HOST/before"
    # somebody else's line stays, and there is no second one
    ct 220 'lxc.mount.entry: /tmp/nvidia-mps tmp/nvidia-mps none bind,optional,create=dir'
    run -0 nvlxc attach 220 --with mps
    [ "$(grep -c '/tmp/nvidia-mps' "$CONF")" = 1 ]
    run -0 nvlxc detach 220
    cmp "$CONF" "$HOST/before"
    local word
    for word in imex imex= imex=2048 mps,what ''; do
        run -2 --separate-stderr nvlxc attach 220 --with "$word"
        says 'give mps, persistenced, fabricmanager, gdrcopy or imex=N'
    done
}

@test "a config that does not start anyway: said with the line and the fix, and attached" {
    ct 220 'dev0: /dev/dri/card7,gid=44' 'unprivileged: 1'
    run -0 --separate-stderr nvlxc --json attach 220
    [ "$(jq -r '[.starts, .findings[0].id, .findings[0].fix[].command] | join(" ")' <<< "$output")" = \
        'false dev-absent pct set 220 -dev0 /dev/dri/card1,gid=44' ]
    run -0 --separate-stderr nvlxc attach 220
    [[ $stderr == *'220: Proxmox will not start it: it passes a device that does not exist'*'220.conf:2: dev0: /dev/dri/card7'*'pct set 220 -dev0 /dev/dri/card1,gid=44'* ]]
}

@test "a start that the grant would take away: refused by the line's name, unless --force" {
    ct 220 'lxc.hook.autodev: sh -c "mknod ${LXC_ROOTFS_MOUNT}/dev/dri/renderD128 c 226 128"'
    run -1 --separate-stderr nvlxc attach 220 --capabilities compute,utility,graphics
    says '220: with this grant, LXC will not start it: two lines make the same device node' \
        '220.conf:2: lxc.hook.autodev: sh -c' 'the start hook of its grant brings /dev/dri/renderD128' \
        "hint: remove line 2 from /etc/pve/lxc/220.conf" "hint: then attach again"
    cmp "$CONF" "$HOST/before"
    run -0 --separate-stderr nvlxc --json attach 220 --capabilities compute,utility,graphics --force
    [ "$(jq .starts <<< "$output")" = false ]
    run -0 nvlxc attach 220
}

@test "what stopped the start before is no reason to refuse, on whichever line it is then; each line can be pasted" {
    touch "$HOST/usr/bin/newuidmap" "$HOST/usr/bin/newgidmap"
    echo root:100000:65536 | tee "$HOST/etc/subuid" > "$HOST/etc/subgid"
    local ids=('lxc.idmap: u 0 100000 65536' 'lxc.idmap: g 0 100000 44' 'lxc.idmap: g 44 44 1')
    ct 220 'unprivileged: 1' "${ids[@]}"
    run -0 --separate-stderr nvlxc attach 220 --nodes dev
    [[ $stderr == *$'220: LXC will not start it: it maps ids that it may not use\n    /etc/pve/lxc/220.conf:'*$'  fix:\n    echo root:44:1 >> /etc/subgid' ]]
    ct 220 'unprivileged: 1' 'lxc.cgroup2.devices.allow: c 195:* rwm' "${ids[@]}"
    run -0 --separate-stderr nvlxc --json attach 220 --replace
    # told once
    [ "$(jq -c '[.starts, [.findings[].id], (.warnings | map(select(test("220:"))))]' <<< "$output")" = \
        '[false,["idmap-forbidden"],[]]' ]
    [ -z "$stderr" ]
    # but another one is
    ct 220 'unprivileged: 1' "${ids[@]}" 'lxc.hook.autodev: sh -c "mknod ${LXC_ROOTFS_MOUNT}/dev/dri/renderD128 c 226 128"'
    run -1 nvlxc attach 220 --capabilities compute,graphics
    says 'two lines make the same device node'
}

@test "a place that is another one, and works: said, and no warning" {
    mkdir -p "$HOST/srv/ct/rootfs"/{etc,opt,usr}
    ln -s /nowhere "$HOST/srv/ct/rootfs/usr/local"
    ct 220 'rootfs: /srv/ct/rootfs'
    run -0 --separate-stderr nvlxc attach 220
    says "220: its driver is at /opt/nvlxc/nvidia, not at /usr/local/nvidia"
    [[ $stderr != *"its driver is at"* && $output != *fix:* ]]
}

@test "an included file: all its lines about NVIDIA are named at once" {
    mkdir -p "$HOST/etc/lxc"
    printf '%s\n' 'lxc.cgroup2.devices.allow = c 195:* rwm' 'lxc.tty.max = 2' \
        'lxc.mount.entry = /dev/nvidia0 dev/nvidia0 none bind,optional,create=file' \
        'lxc.mount.entry = /dev/nvidiactl dev/nvidiactl none bind,optional,create=file' > "$HOST/etc/lxc/gpu.conf"
    ct 220 'lxc.include: /etc/lxc/gpu.conf'
    run -1 nvlxc attach 220 --replace
    says '/etc/lxc/gpu.conf:1: lxc.cgroup2' 'also its lines 3, 4' 'remove these lines there'
    sed -i '3,4d' "$HOST/etc/lxc/gpu.conf"
    run -1 nvlxc attach 220 --replace
    says 'remove the line there'
    [[ $output != *'also its'* ]]
}

@test "dev[n] that doubles a node: one fix, and none that brings the entry back" {
    ct 220 'dev0: /dev/nvidia0' 'lxc.mount.entry: /dev/nvidia0 dev/nvidia0 none bind,optional,create=file'
    run nvlxc --json doctor 220
    [ "$(jq -c '[.findings[] | select(.container != null) | .id]' <<< "$output")" = '["node-twice"]' ]
}

@test "--replace of what kept it from starting: that is said" {
    ct 220 'dev0: /dev/nvidia0' 'lxc.mount.entry: /dev/nvidia0 dev/nvidia0 none bind,optional,create=file'
    run -0 --separate-stderr nvlxc attach 220 --replace
    [[ $stderr == *'220 did not start before: Proxmox will not start it: two lines make the same device node'*'the new lines mend that'* ]]
}

@test "hook lines of an earlier form: known, rewritten by the next attach, taken by detach" {
    local earlier="sh -c '[ ! -x /usr/libexec/nvlxc/hook ] || exec /usr/libexec/nvlxc/hook \"\$@\"' nvlxc"
    ct 220
    run -0 nvlxc attach 220 --libraries none
    cp "$CONF" "$HOST/new"
    while IFS= read -r line; do
        case $line in lxc.hook.*) line="${line%%: *}: $earlier --libraries=none" ;; esac
        printf '%s\n' "$line"
    done < "$HOST/new" > "$CONF"
    grep -q "lxc.hook.mount: sh -c '.*' nvlxc --libraries=none" "$CONF"
    cp "$CONF" "$HOST/old"
    run -0 nvlxc show 220
    says 'libraries none'
    run -0 nvlxc attach 220 --libraries none
    cmp "$CONF" "$HOST/new"
    cp "$HOST/old" "$CONF"
    run -0 nvlxc detach 220
    cmp "$CONF" "$HOST/before"
}

@test "--nodes dev: /dev/dri for the container's own groups, where its root file system tells them" {
    mkdir -p "$HOST/srv/ct/rootfs/etc"
    printf 'video:x:44:\nrender:x:993:\n' > "$HOST/srv/ct/rootfs/etc/group"
    ct 220 'dev0: /dev/dri/renderD129,gid=104' 'rootfs: /srv/ct/rootfs'
    run -0 nvlxc attach 220 --nodes dev --capabilities compute,utility,graphics
    grep -qx 'dev[0-9]*: /dev/dri/card1,mode=0660,uid=0,gid=44' "$CONF"
    grep -qx 'dev[0-9]*: /dev/dri/renderD128,mode=0660,uid=0,gid=993' "$CONF"
    cp "$CONF" "$HOST/once"
    run -0 nvlxc attach 220 --nodes dev --capabilities compute,utility,graphics
    cmp "$CONF" "$HOST/once"
    # its groups got other numbers
    sed -i 's/993/105/' "$HOST/srv/ct/rootfs/etc/group"
    run -0 nvlxc attach 220 --nodes dev --capabilities compute,utility,graphics
    [ "$(grep -c 'renderD128' "$CONF")" = 1 ]
    grep -q 'renderD128,mode=0660,uid=0,gid=105' "$CONF"
    run -0 nvlxc detach 220
    cmp "$CONF" "$HOST/before"
    # on a storage nobody knows them: open to all
    ct 220 'rootfs: local-lvm:vm-220-disk-0,size=8G'
    run -0 nvlxc attach 220 --nodes dev --capabilities compute,utility,graphics
    grep -q 'renderD128,mode=0666,uid=0,gid=0' "$CONF"
}

@test "a hook that makes a GPU's node has that GPU: gpus, --exclusive and --replace know" {
    HOST=$(fixture two-gpus-535)
    mkdir -p "$HOST/etc/pve/lxc" "$HOST/usr/local/bin"
    CONF=$HOST/etc/pve/lxc/220.conf
    local line second=GPU-e07a54c3-21f8-4d0b-b6a9-58c3d92e7f14
    printf '#!/bin/sh\nmknod -m 666 $LXC_ROOTFS_MOUNT/dev/nvidia0 c 195 0\n' > "$HOST/usr/local/bin/gpu"
    for line in 'lxc.hook.autodev: sh -c "mknod ${LXC_ROOTFS_MOUNT}/dev/nvidia0 c 195 0"' 'lxc.hook.autodev: /usr/local/bin/gpu'; do
        ct 220 "$line"
        # minors are reversed against bus order
        run -0 nvlxc --json gpus
        [ "$(jq -c '[.gpus[] | .containers | map(select(.by_hand)) | length]' <<< "$output")" = '[0,1]' ]
        printf 'arch: amd64\n' > "$HOST/etc/pve/lxc/221.conf"
        run -1 nvlxc attach 221 --gpu 1 --exclusive
        says 'already belongs to 220'
        run -0 nvlxc attach 220 --replace
        grep -qx "lxc.environment: NVIDIA_VISIBLE_DEVICES=$second" "$CONF"
    done
    ct 220 'lxc.hook.autodev: for i in 0 1; do mknod $LXC_ROOTFS_MOUNT/dev/nvidia$i c 195 $i; done'
    run -0 nvlxc --json gpus
    [ "$(jq -c '[.gpus[] | .containers | map(select(.by_hand)) | length]' <<< "$output")" = '[1,1]' ]
}

@test "lines are named by their numbers in the file as it is, wherever new ones go" {
    ct 220 'unprivileged: 1' 'lxc.idmap: u 0 100000 65536' 'lxc.idmap: g 0 100000 44' 'lxc.idmap: g 44 44 1' 'lxc.idmap: g 45 100045 65491'
    mkdir -p "$HOST/usr/bin"
    touch "$HOST/usr/bin/newuidmap" "$HOST/usr/bin/newgidmap"
    echo root:100000:65536 | tee "$HOST/etc/subuid" > "$HOST/etc/subgid"
    # Proxmox's entries stand above; what stopped the start before is no reason to refuse
    run -0 --separate-stderr nvlxc attach 220 --nodes dev
    [[ $stderr == *'220.conf:5: lxc.idmap: g 44 44 1'*'echo root:44:1 >> /etc/subgid'* ]]
    ct 220 'lxc.hook.autodev: sh -c "mknod ${LXC_ROOTFS_MOUNT}/dev/nvidia-modeset c 195 254"' 'swap: 0'
    sed -i 's|nvidia-modeset c 195 254|dri/renderD128 c 226 128|' "$CONF"
    run -1 nvlxc attach 220 --capabilities graphics --nodes dev
    says '220.conf:2: lxc.hook.autodev' 'remove line 2 from'
}
