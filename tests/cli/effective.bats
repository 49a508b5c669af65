# What a container's config comes to at its next start: includes, Proxmox's pending section, values as liblxc reads them. All
# commands have the same picture.

bats_require_minimum_version 1.5.0
load "$NVL_SOURCE/tests/lib/hosts.bash"
load "$NVL_SOURCE/tests/lib/doctor.bash"

nvlxc() {
    "$NVL_BUILD/src/cli/nvlxc" --root "$HOST" "$@"
}

# lxc NAME LINE...: a container of root's with these lines
lxc() {
    mkdir -p "$HOST/var/lib/lxc/$1"
    printf '%s\n' "${@:2}" > "$HOST/var/lib/lxc/$1/config"
}

# ct ID LINE...: a CT of this node
ct() {
    mkdir -p "$HOST/etc/pve/lxc"
    printf '%s\n' "${@:2}" > "$HOST/etc/pve/lxc/$1.conf"
}

GPU_CONF=('lxc.cgroup2.devices.allow = c 195:* rwm' 'lxc.cgroup2.devices.allow = c 508:* rwm'
    'lxc.mount.entry = /dev/nvidia0 dev/nvidia0 none bind,optional,create=file'
    'lxc.mount.entry = /dev/nvidia1 dev/nvidia1 none bind,optional,create=file')

setup() {
    HOST=$(fixture two-gpus-535)
    mkdir -p "$HOST/etc/lxc"
}

@test "GPUs that an include brings are known to every command, with the file and the line" {
    printf '%s\n' "${GPU_CONF[@]}" > "$HOST/etc/lxc/gpu.conf"
    lxc box 'lxc.cgroup2.devices.deny = a' 'lxc.cgroup2.devices.allow = c 1:3 rwm' 'lxc.include = /etc/lxc/gpu.conf'
    lxc other 'lxc.uts.name = other'
    run -0 nvlxc list
    [[ $output =~ box\ +-\ +stopped\ +by\ hand\ +-\ +LXC ]]
    run -0 nvlxc gpus
    [ "$(grep -c 'box (by hand)' <<< "$output")" = 2 ]
    run -0 nvlxc show box
    [[ $output == *"/etc/lxc/gpu.conf:3: lxc.mount.entry = /dev/nvidia0 "* ]]
    run -1 nvlxc attach other --gpu 0 --exclusive
    says "already belongs to box"
    [ "$(cat "$HOST/var/lib/lxc/other/config")" = 'lxc.uts.name = other' ]
    # nvlxc edits no file that others may include too
    for option in '' --replace; do
        run -1 nvlxc attach box --gpu 0 $option
        says "/etc/lxc/gpu.conf:1: lxc.cgroup2.devices.allow = c 195:* rwm" "does not edit included files" \
            "the line of /var/lib/lxc/box/config that includes /etc/lxc/gpu.conf"
    done
    # doctor knows its rules, and what it tells to do is no command that refuses
    run nvlxc doctor box
    [[ $output != *"no device rule"* ]]
    [[ $output == *"# after you have removed the NVIDIA lines of /etc/lxc/gpu.conf"* ]]
    # done as it says
    sed -i '/lxc.include/d' "$HOST/var/lib/lxc/box/config"
    run -0 nvlxc attach box --gpu 0
    run -1 nvlxc attach other --gpu 0 --exclusive
    run -0 nvlxc attach other --gpu 1 --exclusive
}

@test "a folder, a file in an included file, an fstab: all are followed" {
    mkdir "$HOST/etc/lxc/more.d"
    printf '%s\n' "${GPU_CONF[3]}" > "$HOST/etc/lxc/more.d/b.conf"
    echo 'lxc.include = /etc/lxc/more.d' > "$HOST/etc/lxc/first.conf"
    lxc folder 'lxc.include = /etc/lxc/first.conf'
    printf '%s\n' '# nodes' '/dev/nvidia1 dev/nvidia1 none bind,optional,create=file 0 0' > "$HOST/etc/lxc/fstab"
    lxc tab 'lxc.mount.fstab = /etc/lxc/fstab'
    run -0 nvlxc --json gpus
    [ "$(jq -c '[.gpus[].containers | map(select(.by_hand).container)]' <<< "$output")" = '[["folder","tab"],[]]' ]
    run -0 nvlxc show folder
    [[ $output == *"/etc/lxc/more.d/b.conf:1: "* ]]
    run -0 nvlxc show tab
    [[ $output == *"/etc/lxc/fstab:2: "* ]]
}

@test "an include that is not there: said everywhere, refused where it would have to be known" {
    lxc box 'lxc.include = /etc/lxc/gone.conf' 'lxc.uts.name = box'
    lxc other 'lxc.uts.name = other'
    run -0 --separate-stderr nvlxc list
    [[ $stderr == *"/var/lib/lxc/box/config: lxc.include: cannot read /etc/lxc/gone.conf"* ]]
    run -1 nvlxc attach box --gpu 0
    says "lxc.include: cannot read /etc/lxc/gone.conf" "restore it, or remove its lxc.include line"
    run -1 nvlxc attach other --gpu 0 --exclusive
    says "cannot tell which GPUs another container has" "/etc/lxc/gone.conf"
    run -0 nvlxc attach other --gpu 0
    # detach does not need it
    run -0 nvlxc detach box
}

@test "text behind a rule's access letters is no reason to call it denied: liblxc does not look at it" {
    HOST=$(fixture a5500-550)
    ct 220 'arch: amd64' 'ostype: debian' 'rootfs: local-lvm:vm-220-disk-0,size=8G' \
        'lxc.cgroup2.devices.allow: c 195:* rwm # adjust' 'lxc.cgroup2.devices.allow: c 506:* rwm # adjust' \
        'lxc.mount.entry: /dev/nvidia0 dev/nvidia0 none bind,optional,create=file' \
        'lxc.mount.entry: /dev/nvidiactl dev/nvidiactl none bind,optional,create=file' \
        'lxc.mount.entry: /dev/nvidia-uvm dev/nvidia-uvm none bind,optional,create=file'
    uvm=$(awk '$2 == "nvidia-uvm" { print $1 }' "$HOST/proc/devices")
    sed -i "s/506/$uvm/" "$HOST/etc/pve/lxc/220.conf"
    run nvlxc doctor 220
    [[ $output != *"den"*"them"* && $output != *"no rule"* ]] || { echo "$output"; false; }
    # with one letter less the rule is not whole, and the letters count
    sed -i 's/ rwm # adjust/ r/' "$HOST/etc/pve/lxc/220.conf"
    run -1 nvlxc doctor 220
    [[ $output == *"den"* ]]
}

@test "a mount entry whose target lacks dev/: the node lands in another place, and doctor says so" {
    HOST=$(fixture a5500-550)
    lxc box 'lxc.mount.entry = /dev/nvidia0 nvidia0 none bind,optional,create=file' \
        'lxc.mount.entry = /dev/nvidiactl dev/nvidiactl none bind,optional,create=file' \
        'lxc.mount.entry = /dev/nvidia-uvm dev/nvidia-uvm none bind,optional,create=file'
    speaks box mount-target error
    has box mount-target evidence "/var/lib/lxc/box/config:1: " "/nvidia0 in the container"
    run_commands "$(part box mount-target fix)"
    speaks box
}

@test "mount-target: what is found all the same, what is not there at all, and folders" {
    HOST=$(fixture a5500-550)
    lxc box 'lxc.mount.entry = /dev/nvidia0 ./dev//nvidia0 none bind,optional,create=file' \
        'lxc.mount.entry = /dev/nvidiactl dev/nvidiactl none bind,optional,create=file' \
        'lxc.mount.entry = /dev/nvidia-uvm dev/nvidia-uvm none bind,optional,create=file' \
        'lxc.mount.entry = /dev/dri/renderD128 dev/dri/renderD129 none bind,optional,create=file' \
        'lxc.mount.entry = /dev/nvidia-caps /var/lib/elsewhere none bind,optional,create=dir'
    speaks box
    lxc box 'lxc.mount.entry = /dev/nvidia9 nvidia9 none bind,optional,create=file'
    speaks box mount-source-missing error
    lxc box 'lxc.rootfs.path = dir:/srv/box' 'lxc.mount.entry = /dev/nvidia0 /srv/box/nvidia0 none bind,create=file' \
        'lxc.mount.entry = /dev/dri/renderD128 render none bind,optional,create=file' \
        'lxc.mount.entry = /dev/dri gpu/dri none bind,optional,create=dir'
    speaks box mount-target error
    has box mount-target evidence "/dev/nvidia0 becomes /nvidia0 in the container" \
        "/dev/dri/renderD128 becomes /render in the container"
    [[ $(part box mount-target evidence) != *gpu/dri* ]]
    # attach leaves a DRM node's line, which is not known by its path
    has box mount-target fix "write the target dev/dri/renderD128 in the line of /dev/dri/renderD128" "nvlxc attach box"
    sed -i 's|renderD128 render |renderD128 dev/dri/renderD128 |' "$HOST/var/lib/lxc/box/config"
    run_commands "$(part box mount-target fix)"
    speaks box
}

@test "the pending section: dev[n] of NVIDIA there is known, refused, taken with --replace, and counts as deleted" {
    HOST=$(fixture a5500-550)
    ct 220 'arch: amd64' 'dev0: /dev/nvidia0' 'unprivileged: 1' '' '[pve:pending]' 'dev4: /dev/nvidia-modeset' \
        'memory: 2048' '' '[before]' 'dev7: /dev/nvidia-uvm'
    run -1 nvlxc attach 220
    says 'dev0: /dev/nvidia0' 'dev4: /dev/nvidia-modeset'
    [[ $output != *dev7* ]]
    run -0 nvlxc attach 220 --replace
    run ! grep -E '^dev[04]:' "$HOST/etc/pve/lxc/220.conf"
    grep -q '^memory: 2048' "$HOST/etc/pve/lxc/220.conf"
    grep -q '^dev7: /dev/nvidia-uvm' "$HOST/etc/pve/lxc/220.conf"
    # what the next start deletes is not there any more
    ct 221 'arch: amd64' 'dev0: /dev/nvidia0' '' '[pve:pending]' 'delete: dev0'
    run -0 nvlxc --json gpus
    [ "$(jq -c '.gpus[0].containers | map(select(.by_hand).container) | index("221")' <<< "$output")" = null ]
    # the last of two is the one that Proxmox takes
    ct 222 'arch: amd64' 'dev0: /dev/nvidia0' 'dev0: /dev/ttyS0'
    run -0 nvlxc --json gpus
    [ "$(jq -c '.gpus[0].containers | map(select(.by_hand).container) | index("222")' <<< "$output")" = null ]
}

@test "variables that run code on the host as soon as there is a hook: attach refuses, doctor has an error" {
    HOST=$(fixture a5500-550)
    local line
    mkdir -p "$HOST/usr/local/lib" "$HOST/tmp/lib" "$HOST/var/lib/lxc/box/rootfs/lib" "$HOST/opt/open" "$HOST/srv"
    chmod 1777 "$HOST/tmp"
    chmod 0777 "$HOST/opt/open"
    ln -s /var/lib/lxc/box/rootfs/lib "$HOST/srv/link"
    ln -s /var/lib/lxc/box/rootfs/none "$HOST/srv/nowhere"
    ln -s /srv/inner "$HOST/srv/outer"
    ln -s /var/lib/lxc/box/rootfs "$HOST/srv/inner"
    while read -r line; do
        lxc box 'lxc.uts.name = box' 'lxc.rootfs.path = dir:/var/lib/lxc/box/rootfs' 'lxc.rootfs.mount = /mnt/root' \
            "lxc.environment = $line"
        cp "$HOST/var/lib/lxc/box/config" "$BATS_TEST_TMPDIR/before"
        run -1 nvlxc attach box
        says "${line%%=*}" "container's code would run on the host" "lxc.environment.runtime"
        cmp "$BATS_TEST_TMPDIR/before" "$HOST/var/lib/lxc/box/config"
    done <<'LINES'
LD_PRELOAD=/usr/lib/x86_64-linux-gnu/lxc/rootfs/evil.so
LD_AUDIT=/evil.so
GLIBC_TUNABLES=glibc.malloc.check=3
BASH_ENV=/etc/profile
ENV=/etc/profile
SHELLOPTS=xtrace
PS4=$(id)
BASH_FUNC_exec%%=() { id; }
GCONV_PATH=/x
LD_LIBRARY_PATH=lib
LD_LIBRARY_PATH=/usr/lib:
LD_LIBRARY_PATH=/usr/lib::/lib
LD_LIBRARY_PATH=/var/lib/lxc/box/rootfs/lib
LD_LIBRARY_PATH=/usr/lib:/usr/lib/x86_64-linux-gnu/lxc/rootfs/lib
LD_LIBRARY_PATH=/srv/link
LD_LIBRARY_PATH=/srv/link/made/later
LD_LIBRARY_PATH=/srv/outer/lib
LD_LIBRARY_PATH=/srv/nowhere
LD_LIBRARY_PATH=/mnt/root/lib
LD_LIBRARY_PATH=/usr/lib/../../srv/link
LD_LIBRARY_PATH=/tmp/lib
LD_LIBRARY_PATH=/tmp/not/there
LD_LIBRARY_PATH=/opt/open;/usr/lib
LD_LIBRARY_PATH=$ORIGIN/lib
LINES
    # in an include, and where LXC sets what hooks get by itself
    echo 'lxc.environment = LD_PRELOAD=/evil.so' > "$HOST/etc/lxc/env.conf"
    lxc box 'lxc.include = /etc/lxc/env.conf'
    run -1 nvlxc attach box
    says "/etc/lxc/env.conf:1: lxc.environment = LD_PRELOAD=/evil.so"
    lxc box 'lxc.environment.hooks = LD_PRELOAD=/evil.so'
    run -1 nvlxc attach box
    # what CUDA images have, what only init sees, what is cleared, and what is taken over from the host are no reason
    lxc box 'lxc.environment = LD_PRELOAD=/evil.so' 'lxc.environment =' 'lxc.environment = LD_PRELOAD' \
        'lxc.environment = LD_LIBRARY_PATH=/usr/local/nvidia/lib:/usr/local/nvidia/lib64' 'lxc.environment = PATH=/bin' \
        'lxc.environment.runtime = LD_PRELOAD=/libfine.so' 'lxc.environment = LANG=C'
    run -0 nvlxc attach box
    # added afterwards, doctor finds it, and its fix in words mends it
    echo 'lxc.environment = LD_PRELOAD=/evil.so' >> "$HOST/var/lib/lxc/box/config"
    speaks box hook-environment error
    has box hook-environment evidence "LD_PRELOAD=/evil.so"
    has box hook-environment fix "lxc.environment.runtime"
    has box hook-environment cause "it sets LD_PRELOAD. LXC" "as the host's root"
    sed -i 's/^lxc.environment = LD_PRELOAD=/lxc.environment.runtime = LD_PRELOAD=/' "$HOST/var/lib/lxc/box/config"
    speaks box
    # also before the first hook: attach would add it
    lxc box 'lxc.environment = LD_PRELOAD=/evil.so'
    speaks box hook-environment error
    ct 300 'arch: amd64' 'lxc.environment: LD_PRELOAD=/evil.so'
    speaks 300 hook-environment error
}

@test "dev[n] of a device that is not there, whosever it is: the start fails, and what is there instead is named" {
    HOST=$(fixture a5500-550)
    ct 220 'arch: amd64' 'dev0: /dev/dri/card0,gid=44' 'dev1: /dev/dri/renderD128,gid=104' 'dev2: /dev/ttyUSB0' 'unprivileged: 1'
    speaks 220 dev-absent error
    has 220 dev-absent evidence "/etc/pve/lxc/220.conf:2: dev0: /dev/dri/card0,gid=44" \
        "/dev/dri/card0 is not a device of the host; it has /dev/dri/card1" "/dev/ttyUSB0 is not a device of the host"
    [[ $(part 220 dev-absent evidence) != *renderD128* ]]
    has 220 dev-absent fix "pct set 220 -dev0 /dev/dri/card1,gid=44 --delete dev2   # or bring /dev/ttyUSB0 back"
    run_commands "$(part 220 dev-absent fix)"
    speaks 220
    # also where the GPU came by nvlxc
    ct 221 'arch: amd64' 'dev0: /dev/nvidia0' 'dev1: /dev/dri/card0,gid=44' 'unprivileged: 1'
    run -0 nvlxc attach 221 --replace
    speaks 221 dev-absent error
}

@test "an id map that /etc/subgid does not allow: the start fails, with the line to add" {
    HOST=$(fixture a5500-550)
    mkdir -p "$HOST/usr/bin"
    touch "$HOST/usr/bin/newuidmap" "$HOST/usr/bin/newgidmap"
    echo 'root:100000:65536' > "$HOST/etc/subuid"
    printf '%s\n' 'root:100000:65000' 'root:165000:536' > "$HOST/etc/subgid"
    ct 220 'arch: amd64' 'unprivileged: 1' 'lxc.idmap: u 0 100000 65536' 'lxc.idmap: g 0 100000 44' 'lxc.idmap: g 44 44 1' \
        'lxc.idmap: g 45 100045 62' 'lxc.idmap: g 107 104 1' 'lxc.idmap: g 108 100108 65428'
    run -0 nvlxc attach 220
    speaks 220 idmap-forbidden error
    has 220 idmap-forbidden evidence "220.conf:5: lxc.idmap: g 44 44 1" "/etc/subgid does not give root the ids 44 to 44" "104 to 104"
    has 220 idmap-forbidden fix "echo root:44:1 >> /etc/subgid" "echo root:104:1 >> /etc/subgid"
    [ "$(part 220 idmap-forbidden fix | wc -l)" = 2 ]
    part 220 idmap-forbidden fix | sed "s|>> /etc|>> $HOST/etc|" | sh
    speaks 220
    # a second large range of that name would stop Incus' and LXD's containers
    echo root:1000000:1000000000 | tee "$HOST/etc/subuid" > "$HOST/etc/subgid"
    ct 221 'arch: amd64' 'unprivileged: 1' 'lxc.idmap: u 0 100000 65536' 'lxc.idmap: g 0 100000 65536'
    run -0 nvlxc attach 221
    has 221 idmap-forbidden fix "echo 0:100000:65536 >> /etc/subuid" "echo 0:100000:65536 >> /etc/subgid"
    part 221 idmap-forbidden fix | sed "s|>> /etc|>> $HOST/etc|" | sh
    speaks 221
    # a user's container has the user's ranges, and newuidmap asks the source that nsswitch.conf names
    mkdir -p "$HOST/home/alice/.local/share/lxc/mapped"
    printf '%s\n' 'lxc.idmap = u 0 300000 65536' 'lxc.idmap = g 0 300000 65536' > "$HOST/home/alice/.local/share/lxc/mapped/config"
    chown -R --reference="$HOST/home/alice" "$HOST/home/alice/.local"
    echo 'alice:200000:65536' | tee -a "$HOST/etc/subuid" >> "$HOST/etc/subgid"
    speaks mapped idmap-forbidden error
    has mapped idmap-forbidden fix "echo alice:300000:65536 >> /etc/subuid"
    echo 'subid: sss' >> "$HOST/etc/nsswitch.conf"
    speaks mapped
}

@test "a root file system without a place for the driver: the cause, not one more restart" {
    HOST=$(fixture a5500-550)
    local root=$HOST/var/lib/lxc/box/rootfs
    mkdir -p "$root"/{etc/ld.so.conf.d,lib64,usr/local}
    echo 'include /etc/ld.so.conf.d/*.conf' > "$root/etc/ld.so.conf"
    touch "$root/lib64/ld-linux-x86-64.so.2"
    lxc box 'lxc.rootfs.path = dir:/var/lib/lxc/box/rootfs' 'lxc.rootfs.options = noatime,ro'
    run -0 nvlxc attach box
    speaks box mount-point error
    has box mount-point evidence "/var/lib/lxc/box/config:2: lxc.rootfs.options = noatime,ro" "/usr/local/nvidia does not exist yet"
    has box mount-point fix "remove ro from line 2 of /var/lib/lxc/box/config"
    # what a start of a writable one makes
    mkdir "$root/usr/local/nvidia"
    speaks box
    rm -r "$root/usr/local"
    ln -s /srv/none "$root/usr/local"
    sed -i '/options/d' "$HOST/var/lib/lxc/box/config"
    speaks box mount-point note
    has box mount-point evidence "/usr/local/nvidia lies behind a broken link"
    mkdir -p "$root/srv/none"
    speaks box
    # what the config will mount counts before it is mounted; a missing optional source does not
    mkdir -p "$HOST/srv/shared"
    echo 'lxc.mount.entry = /srv/none usr/local none bind,optional 0 0' >> "$HOST/var/lib/lxc/box/config"
    speaks box
    echo 'lxc.mount.entry = /srv/shared usr/local none bind 0 0' >> "$HOST/var/lib/lxc/box/config"
    speaks box mount-point note
    has box mount-point evidence "/var/lib/lxc/box/config:" "lxc.mount.entry = /srv/shared usr/local" \
        "/usr/local/nvidia lies on a mount of its own"
    echo 'lxc.mount.entry = /srv/shared opt none bind 0 0' >> "$HOST/var/lib/lxc/box/config"
    speaks box mount-point error
    has box mount-point evidence "/opt/nvlxc/nvidia lies on a mount of its own"
    has box mount-point fix "make /usr/local/nvidia or /opt/nvlxc/nvidia a folder" "lxc-start -n box"
}
