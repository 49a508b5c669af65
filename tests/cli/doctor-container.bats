#!/usr/bin/env bats
# doctor: each of the container's checks that needs no running container, with its fault planted in a fixture host.
# Every test asserts that the check speaks, and no other one of the container; where its fix is a command, it is run.
# shellcheck disable=SC2030,SC2031,SC2154,SC2016
bats_require_minimum_version 1.5.0

# shellcheck source=/dev/null
source "$NVL_SOURCE/tests/lib/hosts.bash"
# shellcheck source=/dev/null
source "$NVL_SOURCE/tests/lib/doctor.bash"

A5500=GPU-3291dfa4-fcc4-0110-615b-c894a0d7c689

setup() {
    HOST=$(fixture a5500-550)
    PVE=$HOST/etc/pve/lxc
    WEB=$HOST/var/lib/lxc/web
}

nvlxc() {
    "$NVL_BUILD/src/cli/nvlxc" --root "$HOST" "$@"
}

# mend CT ID: runs the commands of the fix; words are left out.
mend() {
    run_commands "$(part "$1" "$2" fix)"
}

# take_out CT ID: removes the lines of configs that the evidence names, as the fix says, then runs its commands.
take_out() {
    local place fix
    fix=$(part "$1" "$2" fix)
    while IFS= read -r place; do
        sed -i "${place##*:}d" "$HOST${place%:*}"
    done < <(part "$1" "$2" evidence | sed -n 's|^\(/[^:]*:[0-9]*\): .*|\1|p' | sort -t: -k2,2nr)
    [[ $fix != *nvlxc\ * ]] || run_commands "$fix"
}

# add FILE LINE...: lines at the end of the part of a config that is in force.
add() {
    printf '%s\n' "${@:2}" > "$BATS_TEST_TMPDIR/lines"
    awk -v file="$BATS_TEST_TMPDIR/lines" 'function put(line) { while ((getline line < file) > 0) print line; done = 1 }
        /^\[/ && !done { put() } { print } END { if (!done) put() }' "$1" > "$BATS_TEST_TMPDIR/new"
    cat "$BATS_TEST_TMPDIR/new" > "$1"
}

# plain FIXTURE: another host, with one unprivileged container, a.
plain() {
    HOST=$(fixture "$1")
    mkdir -p "$HOST/var/lib/lxc/a"
    printf '%s\n' 'lxc.idmap = u 0 100000 65536' 'lxc.idmap = g 0 100000 65536' 'lxc.rootfs.path = /nowhere' \
        > "$HOST/var/lib/lxc/a/config"
}

# rootfs DIR: a folder that is enough of a Debian for the checks of files.
rootfs() {
    mkdir -p "$1"/{dev,etc/ld.so.conf.d,etc/systemd/system,lib64,usr/bin,usr/lib/x86_64-linux-gnu,usr/local/bin,var/lib/dpkg/info}
    echo 'include /etc/ld.so.conf.d/*.conf' > "$1/etc/ld.so.conf"
    printf 'ID=debian\nVERSION_ID="12"\n' > "$1/etc/os-release"
    printf 'root:x:0:0:root:/root:/bin/sh\n' > "$1/etc/passwd"
    printf 'root:x:0:\nvideo:x:44:\nrender:x:105:\n' > "$1/etc/group"
    touch "$1/lib64/ld-linux-x86-64.so.2" "$1/var/lib/dpkg/status"
}

# library FILE SONAME: a shared library that ldconfig takes up.
library() {
    mkdir -p "$(dirname "$1")"
    gcc -shared -nostdlib -Wl,-soname,"$2" -o "$1" -x c /dev/null
}

# attached: root's container web with a root file system and a grant.
attached() {
    rootfs "$WEB/rootfs"
    nvlxc attach root/web > /dev/null 2>&1
    speaks root/web
}

# started: as after a start, by what it leaves in the root file system: the linker's cache gives the bundle.
started() {
    echo /usr/local/nvidia/lib64 > "$WEB/rootfs/etc/ld.so.conf.d/00-nvlxc.conf"
    library "$WEB/rootfs/usr/local/nvidia/lib64/libcuda.so.1" libcuda.so.1
    library "$WEB/rootfs/usr/local/nvidia/lib64/libnvidia-ml.so.1" libnvidia-ml.so.1
    ldconfig -r "$WEB/rootfs"
    rm -r "$WEB/rootfs/usr/local/nvidia/lib64"
    speaks root/web
}

# --- nothing to say ---

@test "containers without a GPU are silent, whatever they are" {
    local ct
    for ct in 220 221 222 root/web box alice/web media; do speaks $ct; done
}

@test "containers that were attached are silent: Proxmox, privileged, plain LXC, with an allow-list, a user's" {
    local ct
    for ct in 220 221 root/web box media; do
        nvlxc attach $ct > /dev/null 2>&1
        speaks $ct
    done
}

@test "a variable of the same name in lxc.environment.runtime is no finding" {
    nvlxc attach 220 > /dev/null 2>&1
    add "$PVE/220.conf" 'lxc.environment.runtime: NVIDIA_VISIBLE_DEVICES=all'
    speaks 220
}

@test "a stopped container with a whole root file system is silent, before its first start and after it" {
    attached
    started
}

# --- folded is what has the same cause, on the same path ---

# ids CT: of its findings, in their order.
ids() {
    findings "$1" | jq -r '[.[].id] | join(" ")'
}

@test "folding: a library of another version stays an error when a node goes missing" {
    add "$PVE/220.conf" 'lxc.mount.entry: /dev/nvidia-modeset dev/nvidia-modeset none bind,optional,create=file' \
        'lxc.mount.entry: /usr/lib/x86_64-linux-gnu/libcuda.so.535.54 usr/lib/x86_64-linux-gnu/libcuda.so.1 none bind 0 0'
    speaks 220 mount-source-missing error
    rm "$HOST/dev/nvidia-modeset"
    [[ $(nvlxc --json doctor 220 | jq -r '.findings[].id') == *node-missing* ]]
    speaks 220 mount-source-missing error
    sed -i '/libcuda/d' "$PVE/220.conf"
    speaks 220 # the host's missing node is the cause
}

@test "folding: a stale rule for nvidia-uvm says nothing of the GPU's node that no rule names" {
    sed -i -e 's/c 506:/c 507:/' -e '/c 195:/d' "$PVE/223.conf"
    [ "$(ids 223)" = "classic-major-stale classic-rule-missing" ]
    has 223 classic-rule-missing evidence '/dev/nvidia0 dev'
    [[ $(part 223 classic-rule-missing evidence) != *uvm* ]]
}

@test "folding: another node that is closed on the host is not why a service may not open its own" {
    rootfs "$HOST/srv/221"
    sed -i 's|^rootfs:.*|rootfs: /srv/221,size=16G|' "$PVE/221.conf"
    add "$PVE/221.conf" 'dev0: /dev/nvidia0'
    echo 'ollama:x:999:999::/usr/share/ollama:/bin/false' >> "$HOST/srv/221/etc/passwd"
    printf '[Service]\nUser=ollama\n' > "$HOST/srv/221/etc/systemd/system/ollama.service"
    chmod 0600 "$HOST/dev/nvidia-modeset"
    [[ $(nvlxc --json doctor 221 | jq -r '.findings[].id') == *node-mode* ]]
    speaks 221 service-user-denied error
    sed -i 's|^dev0:.*|dev0: /dev/nvidia-modeset,mode=0600|' "$PVE/221.conf"
    speaks 221 # the host's finding about the same node
}

@test "folding: stubs in LD_LIBRARY_PATH are not why the linker takes an old driver; a compat folder is its own" {
    rootfs "$WEB/rootfs"
    add "$WEB/config" 'lxc.mount.entry = /dev/nvidia0 dev/nvidia0 none bind 0 0' \
        'lxc.environment = LD_LIBRARY_PATH=/usr/local/cuda/lib64/stubs'
    library "$WEB/rootfs/usr/local/cuda/lib64/stubs/libcuda.so" libcuda.so.1
    library "$WEB/rootfs/usr/lib/x86_64-linux-gnu/libcuda.so.535.104.05" libcuda.so.1
    [ "$(ids root/web)" = "cuda-stubs own-driver-libraries" ]
    sed -i /LD_LIBRARY_PATH/d "$WEB/config"
    mkdir -p "$WEB/rootfs/usr/local/cuda-12.8/compat"
    mv "$WEB"/rootfs/usr/lib/x86_64-linux-gnu/libcuda.so* "$WEB/rootfs/usr/local/cuda-12.8/compat"
    echo /usr/local/cuda-12.8/compat > "$WEB/rootfs/etc/ld.so.conf.d/cuda.conf"
    ldconfig -r "$WEB/rootfs"
    speaks root/web cuda-compat error
}

# --- the grant's lines ---

@test "grant-unreadable: an unknown capability; the fix writes the same GPUs again" {
    nvlxc attach 220 > /dev/null 2>&1
    sed -i 's/CAPABILITIES=.*/CAPABILITIES=compute,gpu/' "$PVE/220.conf"
    speaks 220 grant-unreadable error
    has 220 grant-unreadable evidence NVIDIA_DRIVER_CAPABILITIES=compute,gpu $A5500
    has 220 grant-unreadable fix "nvlxc attach 220 --gpu $A5500"
    mend 220 grant-unreadable
    speaks 220
}

@test "grant-incomplete: the mount hook's line is gone; the fix writes it again" {
    nvlxc attach 220 > /dev/null 2>&1
    sed -i '/^lxc.hook.mount/d' "$PVE/220.conf"
    speaks 220 grant-incomplete error
    has 220 grant-incomplete evidence 'no lxc.hook.mount line'
    mend 220 grant-incomplete
    speaks 220
}

@test "grant-incomplete: without the pre-start line it is a warning" {
    nvlxc attach 220 > /dev/null 2>&1
    sed -i '/^lxc.hook.pre-start/d' "$PVE/220.conf"
    speaks 220 grant-incomplete warning
    mend 220 grant-incomplete
    speaks 220
}

@test "grant-incomplete: the variable is cleared by a later line" {
    nvlxc attach box > /dev/null 2>&1
    echo 'lxc.environment =' >> "$HOST/var/lib/lxc/box/config"
    run -0 part box grant-incomplete evidence
    [[ $output == *NVIDIA_VISIBLE_DEVICES* ]]
}

@test "section-lines: appended to a file with a snapshot; the fix" {
    printf '%s\n' 'lxc.cgroup2.devices.allow: c 195:* rwm' \
        'lxc.mount.entry: /dev/nvidia0 dev/nvidia0 none bind,optional,create=file' >> "$PVE/220.conf"
    speaks 220 section-lines error
    has 220 section-lines evidence 220.conf:29: 'c 195:* rwm' /dev/nvidia0
    has 220 section-lines cause '[before-gpu]' 'end of the file'
    [ "$(part 220 section-lines fix)" = 'nvlxc attach 220 --replace' ]
    mend 220 section-lines
    [ "$(sed '1,/^\[/d' "$PVE/220.conf" | grep -ci -e nvidia -e 195:)" = 0 ]
    speaks 220
}

@test "section-lines: raw lines in [pve:pending] never become active" {
    printf '\n[pve:pending]\nlxc.environment: NVIDIA_VISIBLE_DEVICES=all\n' > "$BATS_TEST_TMPDIR/pending"
    sed -i "/^unprivileged: 1/{
        r $BATS_TEST_TMPDIR/pending
        :a
        n
        ba
    }" "$PVE/220.conf"
    speaks 220 section-lines error
    has 220 section-lines cause '[pve:pending]'
    take_out 220 section-lines # a variable alone may be there for a program's sake: attach leaves it
    speaks 220
}

@test "section-lines: what attach takes out of [pve:pending]; dev[n] that waits there goes with it" {
    sed -i '0,/^$/s|^$|\n[pve:pending]\ndev0: /dev/nvidia0,mode=0666\n|' "$PVE/220.conf"
    grep -qx '\[pve:pending\]' "$PVE/220.conf"
    speaks 220
    sed -i 's|^dev0: .*|&\nlxc.mount.entry: /dev/nvidia0 dev/nvidia0 none bind,optional,create=file|' "$PVE/220.conf"
    speaks 220 section-lines error
    [[ $(part 220 section-lines evidence) != *dev0* ]]
    mend 220 section-lines
    run ! grep -q '^dev0:' "$PVE/220.conf"
    speaks 220
}

@test "section-lines: an older snapshot's lines are its own" {
    printf '%s\n' '' '[aaa]' 'lxc.cgroup2.devices.allow: c 195:* rwm' 'lxc.mount.entry: /dev/nvidia0 dev/nvidia0 none bind' \
        '' '[zzz]' 'memory: 512' >> "$PVE/220.conf"
    speaks 220
}

@test "section-lines: a snapshot taken of an attached container is as it should be" {
    nvlxc attach 220 > /dev/null 2>&1
    { cat "$PVE/220.conf"; grep -h '^lxc\.' "$PVE/220.conf"; } > "$BATS_TEST_TMPDIR/conf"
    cat "$BATS_TEST_TMPDIR/conf" > "$PVE/220.conf"
    speaks 220
    nvlxc detach 220 > /dev/null
    speaks 220
}

@test "lines-dropped: a blank before the line; the fix is the line as Proxmox reads it" {
    add "$PVE/221.conf" ' lxc.environment: NVIDIA_VISIBLE_DEVICES=all'
    speaks 221 lines-dropped warning
    run -0 part 221 lines-dropped fix
    local line=${output#*$'\n'}
    [ "$line" = 'lxc.environment: NVIDIA_VISIBLE_DEVICES=all' ]
    sed -i "s/^ lxc.env.*/$line/" "$PVE/221.conf"
    speaks 221
}

@test "lines-dropped: what is read and not written" {
    local key
    cp "$PVE/221.conf" "$BATS_TEST_TMPDIR/before"
    for key in lxc.hook.start-host lxc.rootfs.path lxc.rootfs.options lxc.proc.oom_score_adj lxc.namespace.share.net lxc.sysctl.net.x; do
        add "$PVE/221.conf" "$key: /root/nvidia.sh"
        speaks 221 lines-dropped warning
        has 221 lines-dropped evidence "$key: /root/nvidia.sh"
        take_out 221 lines-dropped
        nvlxc detach 221 > /dev/null
        cmp "$PVE/221.conf" "$BATS_TEST_TMPDIR/before"
    done
}

@test "lines that Proxmox does not read and that are not about NVIDIA are no finding" {
    add "$PVE/221.conf" ' lxc.environment: A=b'
    speaks 221
}

@test "other-dialect: Proxmox's form in a config of LXC's ends the start" {
    add "$WEB/config" 'lxc.mount.entry: /dev/nvidia0 dev/nvidia0 none bind 0 0'
    speaks root/web other-dialect error
    take_out root/web other-dialect
    speaks root/web
}

@test "other-dialect: dev0 is ignored by LXC" {
    add "$WEB/config" 'dev0: /dev/nvidia0'
    speaks root/web other-dialect warning
}

@test "marker-comments: begin and end at the top, their lines elsewhere; the fix" {
    sed -i '1i # NVIDIA GPU passthrough begin\n# NVIDIA GPU passthrough end' "$PVE/221.conf"
    speaks 221 marker-comments note
    take_out 221 marker-comments
    speaks 221
}

@test "notes that only speak of NVIDIA are no markers" {
    sed -i '1i # uses the NVIDIA GPU for the weekend builds' "$PVE/221.conf"
    speaks 221
}

@test "lxc-nvidia-hook: it refuses privileged containers" {
    add "$PVE/221.conf" 'lxc.hook.mount: /usr/share/lxc/hooks/nvidia'
    speaks 221 lxc-nvidia-hook error
    has 221 lxc-nvidia-hook cause 'refuses privileged containers'
    touch "$HOST/usr/bin/nvidia-container-cli"
    speaks 221 lxc-nvidia-hook error
    mend 221 lxc-nvidia-hook
    speaks 221
}

@test "lxc-nvidia-hook: beside nvlxc's own" {
    touch "$HOST/usr/bin/nvidia-container-cli"
    nvlxc attach root/web > /dev/null 2>&1
    add "$WEB/config" 'lxc.hook.mount = /usr/share/lxc/hooks/nvidia'
    speaks root/web lxc-nvidia-hook warning
    mend root/web lxc-nvidia-hook
    speaks root/web
}

@test "lxc-nvidia-hook: alone, with its program, in an unprivileged container, it is no finding" {
    touch "$HOST/usr/bin/nvidia-container-cli"
    add "$WEB/config" 'lxc.hook.mount = /usr/share/lxc/hooks/nvidia'
    speaks root/web
    rm "$HOST/usr/bin/nvidia-container-cli"
    speaks root/web lxc-nvidia-hook error
}

# --- device rules ---

@test "classic-major-pinned: right today, written as a number" {
    speaks 223 classic-major-pinned warning
    has 223 classic-major-pinned evidence 'c 506:* rwm' '506 is nvidia-uvm now'
    has 223 classic-major-pinned fix 'nvlxc attach 223 --replace'
    mend 223 classic-major-pinned
    [ "$(grep -c -e '195:' -e '506:' "$PVE/223.conf")" = 0 ]
    speaks 223
}

@test "classic-major-stale: the major of another boot, with both numbers; the corrected line" {
    sed -i 's/^506 nvidia-uvm/511 nvidia-uvm/; s/^511 nvidia-nvlink/506 nvidia-nvlink/' "$HOST/proc/devices"
    rm "$HOST"/dev/nvidia-uvm*
    mknod -m 666 "$HOST/dev/nvidia-uvm" c 511 0
    mknod -m 666 "$HOST/dev/nvidia-uvm-tools" c 511 1
    speaks 223 classic-major-stale error
    has 223 classic-major-stale evidence 'c 506:* rwm' '506 is nvidia-nvlink now' '511 is nvidia-uvm now'
    has 223 classic-major-stale cause 'error 999'
    local line
    line=$(part 223 classic-major-stale fix | sed -n 's/^\(lxc.*\)/\1/p' | head -n 1)
    [ "$line" = 'lxc.cgroup2.devices.allow: c 511:* rwm' ]
    cp "$PVE/223.conf" "$BATS_TEST_TMPDIR/stale"
    sed -i "s/^.*c 506:.*/$line/" "$PVE/223.conf"
    speaks 223 classic-major-pinned warning
    cat "$BATS_TEST_TMPDIR/stale" > "$PVE/223.conf"
    mend 223 classic-major-stale
    speaks 223
}

@test "classic-major-stale: one number that may have been uvm's or MIG's: told once, with both lines" {
    plain h100-mig
    printf '%s\n' 'lxc.cgroup2.devices.deny = a' 'lxc.cgroup2.devices.allow = c 1:3 rwm' 'lxc.cgroup2.devices.allow = c 195:* rwm' \
        'lxc.cgroup2.devices.allow = c 237:* rwm' 'lxc.mount.entry = /dev/nvidia0 dev/nvidia0 none bind,create=file' \
        'lxc.mount.entry = /dev/nvidia-caps dev/nvidia-caps none bind,create=dir' >> "$HOST/var/lib/lxc/a/config"
    speaks a classic-major-stale error
    has a classic-major-stale evidence '237 is nobody' '505 is nvidia-uvm now' '509 is nvidia-caps now'
    has a classic-major-stale cause 'error 999' 'MIG devices'
    [ "$(part a classic-major-stale fix | sed -n 's/^\(lxc.*\)/\1/p')" = \
        $'lxc.cgroup2.devices.allow = c 505:* rwm\nlxc.cgroup2.devices.allow = c 509:* rwm' ]
}

@test "classic-rule-missing: nodes are mounted that no rule allows; the fix" {
    sed -i '/c 506:/d' "$PVE/223.conf"
    speaks 223 classic-rule-missing error
    has 223 classic-rule-missing evidence '/dev/nvidia-uvm dev' '/dev/nvidia-uvm-tools dev'
    cp "$PVE/223.conf" "$BATS_TEST_TMPDIR/missing"
    local line
    while IFS= read -r line; do add "$PVE/223.conf" "$line"; done < <(part 223 classic-rule-missing fix | sed -n 's/^lxc/lxc/p')
    speaks 223
    cat "$BATS_TEST_TMPDIR/missing" > "$PVE/223.conf"
    mend 223 classic-rule-missing
    speaks 223
}

@test "rules-without-effect: on an unprivileged CT, right or wrong numbers" {
    add "$PVE/220.conf" 'lxc.cgroup2.devices.allow: c 195:* rwm' 'lxc.cgroup2.devices.allow: c 499:* rwm'
    speaks 220 rules-without-effect note
    has 220 rules-without-effect evidence 'c 195:*' 'c 499:*'
    take_out 220 rules-without-effect
    speaks 220
}

@test "rules-without-effect: a user's container" {
    add "$HOST/home/alice/.local/share/lxc/media/config" 'lxc.cgroup2.devices.allow = c 195:* rwm'
    speaks media rules-without-effect note
}

@test "rules-deny-rest: the first rule of a container without a list; the fix" {
    add "$WEB/config" 'lxc.cgroup2.devices.allow = c 195:* rwm'
    speaks root/web rules-deny-rest error
    has root/web rules-deny-rest cause /dev/null
    take_out root/web rules-deny-rest
    speaks root/web
}

@test "rules-deny-rest: nvlxc's own rules, after the list around them was taken away; the fix" {
    nvlxc attach box > /dev/null 2>&1
    sed -i '/devices.*= [abc]/d' "$HOST/var/lib/lxc/box/config"
    speaks box rules-deny-rest error
    mend box rules-deny-rest
    speaks box
}

@test "grant-rule-missing: a node of the grant without a rule; the fix" {
    nvlxc attach 221 > /dev/null 2>&1
    sed -i '/allow: \/dev\/nvidia0 /d' "$PVE/221.conf"
    speaks 221 grant-rule-missing error
    has 221 grant-rule-missing evidence '/dev/nvidia0 (195:0)'
    mend 221 grant-rule-missing
    speaks 221
}

@test "the fix keeps what else the grant says: required" {
    nvlxc attach 221 --required > /dev/null 2>&1
    sed -i '/allow: \/dev\/nvidia0 /d' "$PVE/221.conf"
    has 221 grant-rule-missing fix "nvlxc attach 221 --gpu $A5500 --required"
    mend 221 grant-rule-missing
    speaks 221
    grep -q 'hook --required' "$PVE/221.conf"
}

@test "grant-rule-missing: the container became privileged after it was attached" {
    nvlxc attach 220 --capabilities compute,utility,video > /dev/null 2>&1
    sed -i '0,/^unprivileged: 1/{/^unprivileged: 1/d}' "$PVE/220.conf"
    speaks 220 grant-rule-missing error
    has 220 grant-rule-missing fix '--capabilities compute,utility,video'
    mend 220 grant-rule-missing
    speaks 220
}

@test "nodes dev: Proxmox makes the rules, privileged or not: silent; by hand the same" {
    local ct
    for ct in 220 221; do
        nvlxc attach $ct --nodes dev > /dev/null 2>&1
        grep -q '^dev0: /dev/nvidia0,mode=0666$' "$PVE/$ct.conf"
        [ "$(grep -c devices.allow "$PVE/$ct.conf")" = 0 ]
        speaks $ct
    done
    # a rule that denies stands after those that Proxmox makes
    add "$PVE/221.conf" 'lxc.cgroup2.devices.deny: c 195:0 rwm'
    speaks 221 grant-rule-missing error
    sed -i '/devices.deny/d' "$PVE/221.conf"
    # and deny-write is no rule that suffices
    sed -i 's|^dev0: .*|&,deny-write=1|' "$PVE/221.conf"
    speaks 221 grant-rule-missing error
    has 221 grant-rule-missing evidence '/dev/nvidia0 (195:0)'
    mend 221 grant-rule-missing
    speaks 221
}

@test "grant-incomplete: an entry of --nodes dev or static was taken out; the fix writes it again, in the same way" {
    local way key
    for way in dev static; do
        nvlxc attach 221 --nodes $way > /dev/null 2>&1
        speaks 221
        sed -i '/ \/dev\/nvidia-uvm[, ]/d' "$PVE/221.conf"
        speaks 221 grant-incomplete error
        [ $way = dev ] && key='dev[n] entry' || key=lxc.mount.entry
        [ "$(part 221 grant-incomplete evidence | head -n 1)" = "no $key for /dev/nvidia-uvm" ]
        has 221 grant-incomplete fix "--nodes=$way"
        mend 221 grant-incomplete
        grep -q "nvidia-uvm[, ]" "$PVE/221.conf"
        speaks 221
        nvlxc detach 221 > /dev/null
    done
}

@test "nodes static: a folder that somebody mounts brings its nodes" {
    add "$PVE/220.conf" 'lxc.mount.entry: /dev/dri dev/dri none bind,optional,create=dir'
    nvlxc attach 220 --nodes static --capabilities graphics,utility > /dev/null 2>&1
    speaks 220
    sed -i '/ dev\/dri none/d' "$PVE/220.conf"
    speaks 220 grant-incomplete error
    has 220 grant-incomplete evidence /dev/dri/renderD128
}

@test "rule-other-gpu: a rule for another node; the fix takes it away" {
    nvlxc attach 221 > /dev/null 2>&1
    sed -i 's|^lxc.cgroup2.devices.allow: /dev/nvidia0 rw|&\nlxc.cgroup2.devices.allow: /dev/nvidia1 rw|' "$PVE/221.conf"
    speaks 221 rule-other-gpu warning
    has 221 rule-other-gpu evidence /dev/nvidia1
    mend 221 rule-other-gpu
    speaks 221
}

@test "the GPU's minor changed: the rule for the old one is folded into the one that is missing" {
    nvlxc attach 221 > /dev/null 2>&1
    sed -i 's/\(Device Minor:.*\)0/\13/' "$HOST/proc/driver/nvidia/gpus/0000:01:00.0/information"
    mv "$HOST/dev/nvidia0" "$HOST/dev/nvidia3.old" && mknod -m 666 "$HOST/dev/nvidia3" c 195 3 && rm "$HOST/dev/nvidia3.old"
    speaks 221 grant-rule-missing error
    mend 221 grant-rule-missing
    speaks 221
}

@test "cgroup-v1-rules: keys that this host ignores" {
    sed -i 's/cgroup2.devices/cgroup.devices/' "$PVE/223.conf"
    speaks 223 cgroup-v1-rules error
    cp "$PVE/223.conf" "$BATS_TEST_TMPDIR/v1"
    mend 223 cgroup-v1-rules
    speaks 223
    cat "$BATS_TEST_TMPDIR/v1" > "$PVE/223.conf"
    sed -i 's/cgroup.devices/cgroup2.devices/' "$PVE/223.conf"
    speaks 223 classic-major-pinned warning
}

# --- what it mounts ---

@test "mount-source-missing: an optional entry whose source is gone" {
    add "$PVE/220.conf" 'lxc.mount.entry: /dev/nvidia1 dev/nvidia1 none bind,optional,create=file'
    speaks 220 mount-source-missing error
    has 220 mount-source-missing evidence '/dev/nvidia1 does not exist'
    has 220 mount-source-missing cause 'without a message' 'empty file'
    mend 220 mount-source-missing
    speaks 220
}

@test "mount-source-missing: a library of a version that was replaced" {
    add "$PVE/220.conf" 'lxc.mount.entry: /usr/lib/x86_64-linux-gnu/libcuda.so.535.54 usr/lib/libcuda.so.1 none bind,optional,create=file'
    speaks 220 mount-source-missing warning
}

@test "library-folder-mounted: the host's libraries over another release's; the fix" {
    rootfs "$WEB/rootfs"
    add "$WEB/config" 'lxc.mount.entry = /usr/lib/x86_64-linux-gnu usr/lib/x86_64-linux-gnu none bind 0 0'
    printf 'ID=debian\nVERSION_ID="13"\n' > "$HOST/etc/os-release"
    speaks root/web library-folder-mounted error
    has root/web library-folder-mounted evidence 'the host is debian 13, the container debian 12'
    # alone it may be there for a reason of its own, and attach leaves it
    has root/web library-folder-mounted fix "remove line $(grep -n 'usr/lib/x86' "$WEB/config" | cut -d: -f1) from /var/lib/lxc/web/config"
    take_out root/web library-folder-mounted
    speaks root/web
}

@test "library-folder-mounted: beside NVIDIA's own lines attach takes it out" {
    rootfs "$WEB/rootfs"
    printf 'ID=debian\nVERSION_ID="13"\n' > "$HOST/etc/os-release"
    add "$WEB/config" 'lxc.mount.entry = /usr/lib/x86_64-linux-gnu usr/lib/x86_64-linux-gnu none bind 0 0' \
        'lxc.mount.entry = /dev/nvidia0 dev/nvidia0 none bind,optional,create=file'
    speaks root/web library-folder-mounted error
    [[ $(part root/web library-folder-mounted fix) != *take* ]]
    mend root/web library-folder-mounted
    [ "$(grep -c usr/lib/ "$WEB/config")" = 0 ]
    speaks root/web
}

@test "library-folder-mounted: of the same release it is no finding" {
    rootfs "$WEB/rootfs"
    add "$WEB/config" 'lxc.mount.entry = /usr/lib/x86_64-linux-gnu usr/lib/x86_64-linux-gnu none bind 0 0'
    printf 'ID=debian\nVERSION_ID="12"\n' > "$HOST/etc/os-release"
    speaks root/web
}

@test "dev-missing: the start ends with Device … does not exist; the fix" {
    sed -i '/^unprivileged/i dev0: /dev/nvidia7,mode=0666' "$PVE/221.conf"
    add "$PVE/221.conf" 'dev0: /dev/nvidia7,mode=0666'
    speaks 221 dev-missing error
    has 221 dev-missing evidence '/dev/nvidia7 does not exist on the host'
    has 221 dev-missing cause 'does not exist'
    mend 221 dev-missing
    speaks 221
}

@test "dev-mode: passed without a mode; the fix" {
    add "$PVE/221.conf" 'dev0: /dev/nvidia0' 'dev1: path=/dev/nvidiactl,gid=44'
    speaks 221 dev-mode note
    has 221 dev-mode evidence dev0
    mend 221 dev-mode
    grep -qx 'dev0: /dev/nvidia0,mode=0666' "$PVE/221.conf"
    speaks 221
    sed -i 's/mode=0666/mode=0664,deny-write=1/' "$PVE/221.conf" # others may read it alone
    speaks 221 dev-mode note
    [ "$(part 221 dev-mode fix)" = 'pct set 221 -dev0 /dev/nvidia0,deny-write=1,mode=0666' ]
    sed -i 's/mode=0664/&,uid=1000/' "$PVE/221.conf" # somebody's choice
    speaks 221
    # pct changes nothing while a device is missing: that comes first
    sed -i 's/,uid=1000//' "$PVE/221.conf"
    add "$PVE/221.conf" 'dev2: /dev/nvidia7'
    speaks 221 dev-missing error
    sed -i 's/^dev2.*/dev2: \/dev\/ttyUSB0/' "$PVE/221.conf"
    speaks 221 dev-absent error
    # a MIG device's capability is read only
    mkdir -p "$HOST/dev/nvidia-caps"
    [ -e "$HOST/dev/nvidia-caps/nvidia-cap12" ] || mknod "$HOST/dev/nvidia-caps/nvidia-cap12" c 505 12
    sed -i '/^dev0/d; s/^dev2.*/dev2: \/dev\/nvidia-caps\/nvidia-cap12,mode=0444/' "$PVE/221.conf"
    speaks 221
}

# --- what its grant names ---

@test "grant-gpu-missing: another card's UUID" {
    nvlxc attach 220 > /dev/null 2>&1
    sed -i 's/DEVICES=GPU-3291dfa4/DEVICES=GPU-00000000/' "$PVE/220.conf"
    speaks 220 grant-gpu-missing error
    has 220 grant-gpu-missing evidence 'GPU-00000000-fcc4-0110-615b-c894a0d7c689 is not on this host'
    [ "$(part 220 grant-gpu-missing fix)" = $'nvlxc gpus --wide\nwith one of those UUIDs: nvlxc attach 220 --gpu UUID' ]
    nvlxc attach 220 --gpu "$(nvlxc --json gpus | jq -r '.gpus[0].uuid')" > /dev/null 2>&1
    speaks 220
}

@test "grant-gpu-unfit: a start would find no GPU of this host that fits" {
    nvlxc attach 220 --gpu model:A100 --force > /dev/null 2>&1
    speaks 220 grant-gpu-unfit error
    has 220 grant-gpu-unfit evidence 'model:A100 gives no GPU on this host: it has NVIDIA RTX A5500 Laptop GPU'
    has 220 grant-gpu-unfit fix 'nvlxc gpus' 'nvlxc attach 220 --gpu GPU'
    # two of one
    nvlxc attach 220 --gpu any,any --force > /dev/null 2>&1
    speaks 220 grant-gpu-unfit error
    has 220 grant-gpu-unfit evidence 'any gives no GPU on this host: GPU 0 is in the grant already'
    nvlxc attach 220 --gpu any > /dev/null 2>&1
    speaks 220
}

@test "grant-one-node: HA or replication may start it on another node, and the grant names a card of this one" {
    mkdir -p "$HOST"/etc/pve/nodes/other/lxc "$HOST/etc/pve/ha"
    nvlxc attach 220 --capabilities compute,video > /dev/null 2>&1
    printf 'vm: 220\n\tstate started\n\nct: 2200\n\tstate started\n' > "$HOST/etc/pve/ha/resources.cfg"
    speaks 220
    printf '\nct: 220\n\tstate started\n' >> "$HOST/etc/pve/ha/resources.cfg"
    speaks 220 grant-one-node warning
    has 220 grant-one-node evidence '/etc/pve/ha/resources.cfg:7: ct: 220'
    has 220 grant-one-node fix "nvlxc attach 220 --gpu 'model:RTX A5500 Laptop GPU' --capabilities compute,video"
    mend 220 grant-one-node
    speaks 220
    # all GPUs are those of any node
    nvlxc attach 220 --gpu all > /dev/null 2>&1
    speaks 220
}

@test "grant-gpu-unused: the driver does not say its UUIDs yet" {
    # one that runs was started with the GPU: then it does not come up, which the host's gpu-silent says
    nvlxc attach 221 > /dev/null 2>&1
    sed -i 's/^GPU UUID:.*/GPU UUID: \t GPU-????????-????-????-????-????????????/' \
        "$HOST/proc/driver/nvidia/gpus/0000:01:00.0/information"
    speaks 221 grant-gpu-unused note
    [ "$(part 221 grant-gpu-unused fix)" = 'nvidia-smi -L' ]
}

@test "grant-gpu-excluded" {
    nvlxc attach 220 > /dev/null 2>&1
    sed -i 's/^GPU Excluded:.*/GPU Excluded:\t Yes/' "$HOST/proc/driver/nvidia/gpus/0000:01:00.0/information"
    # the host says it first, once for all containers
    speaks 220
    run nvlxc --json doctor 220
    run -0 jq -r '.findings[].id' <<< "$output"
    [[ $output == *gpu-excluded* ]]
    # one of two may be excluded for a reason: that is no fault of the host, and one of this container
    plain two-gpus-535
    nvlxc attach a --gpu 1 > /dev/null 2>&1
    speaks a
    sed -i 's/^GPU Excluded:.*/GPU Excluded:\t Yes/' "$HOST/proc/driver/nvidia/gpus/0000:02:00.0/information"
    speaks a grant-gpu-excluded error
    has a grant-gpu-excluded fix 'grep -r NVreg_ExcludedGpus' update-initramfs
}

@test "grant-gpu-held: granted by its address, and vfio-pci has it" {
    plain two-gpus-535
    nvlxc attach a --gpu 0 > /dev/null 2>&1
    sed -i 's/DEVICES=.*/DEVICES=0000:01:00.0/' "$HOST/var/lib/lxc/a/config"
    speaks a
    rm -r "$HOST/proc/driver/nvidia/gpus/0000:01:00.0"
    ln -sfn ../../../bus/pci/drivers/vfio-pci "$HOST/sys/bus/pci/devices/0000:01:00.0/driver"
    speaks a grant-gpu-held error # that a virtual machine has it is a note of the host's, and no fault there
    has a grant-gpu-held evidence 'vfio-pci holds the GPU at 0000:01:00.0'
    has a grant-gpu-held fix 'give the GPU back' 'nvlxc attach a --gpu UUID'
}

@test "grant-mig-missing and grant-mig-uuid" {
    plain h100-mig
    local gpu
    gpu=$(nvlxc --json gpus | jq -r '.gpus[0].uuid')
    nvlxc attach a --gpu "MIG-$gpu/1/0" > /dev/null 2>&1
    speaks a
    sed -i "s|/1/0|/5/0|" "$HOST/var/lib/lxc/a/config"
    speaks a grant-mig-missing error
    has a grant-mig-missing evidence "MIG-$gpu/5/0"
    has a grant-mig-missing fix 'nvidia-smi mig -cgi PROFILE -C' 'nvlxc attach a --gpu MIG-GPU-UUID/GI/CI'
    sed -i "s|DEVICES=.*|DEVICES=MIG-41b4f2ee-7d4b-5f0e-8a2f-0d1c2b3a4f5e|" "$HOST/var/lib/lxc/a/config"
    speaks a grant-mig-uuid error
    has a grant-mig-uuid fix 'nvlxc attach a --gpu MIG-41b4f2ee-7d4b-5f0e-8a2f-0d1c2b3a4f5e'
}

@test "other-gpus-open: privileged, without a device list, one GPU of two; the fix" {
    HOST=$(fixture two-gpus-535)
    mkdir -p "$HOST/var/lib/lxc/a" "$HOST/usr/share/lxc/config"
    printf '%s\n' 'lxc.rootfs.path = /nowhere' > "$HOST/var/lib/lxc/a/config"
    printf '%s\n' 'lxc.cgroup2.devices.deny = a' 'lxc.cgroup2.devices.allow = c 1:3 rwm' > "$HOST/usr/share/lxc/config/common.conf"
    nvlxc attach a --gpu 0 > /dev/null 2>&1
    speaks a other-gpus-open warning
    has a other-gpus-open evidence /dev/nvidia0 'RTX 4090'
    sed -i "1i $(part a other-gpus-open fix | sed -n 's/^\(lxc.include.*\)/\1/p')" "$HOST/var/lib/lxc/a/config"
    nvlxc attach a --gpu 0 > /dev/null 2>&1
    speaks a
    # all of them: none is left to be kept from
    sed -i 1d "$HOST/var/lib/lxc/a/config"
    nvlxc attach a --gpu all > /dev/null 2>&1
    speaks a
}

# --- what its root file system holds ---

@test "container-musl" {
    attached
    rm "$WEB/rootfs/lib64/ld-linux-x86-64.so.2"
    mkdir -p "$WEB/rootfs/lib" && touch "$WEB/rootfs/lib/ld-musl-x86_64.so.1"
    speaks root/web container-musl error
    has root/web container-musl cause __register_atfork
    has root/web container-musl fix Debian
}

@test "container-processor, container-glibc: by what its first program is" {
    attached
    mkdir -p "$WEB/rootfs/sbin" "$WEB/rootfs/nix/store/x"
    cp /bin/true "$WEB/rootfs/sbin/init"
    printf '\267\000' | dd of="$WEB/rootfs/sbin/init" bs=1 seek=18 conv=notrunc status=none
    speaks root/web container-processor error
    has root/web container-processor evidence aarch64
    has root/web container-processor fix "for the host's processor"
    # Nix's: a script, whose interpreter names a loader in the store
    rm "$WEB/rootfs/lib64/ld-linux-x86-64.so.2"
    local loader=/nix/store/x/ld-linux-x86-64.so.2
    cp /lib64/ld-linux-x86-64.so.2 "$WEB/rootfs$loader"
    gcc -Wl,--dynamic-linker=$loader -o "$WEB/rootfs/nix/store/x/sh" -x c - <<< 'int main(void) { return 0; }'
    printf '#! /nix/store/x/sh\n' > "$WEB/rootfs/sbin/init"
    speaks root/web container-glibc note
    has root/web container-glibc evidence $loader
    has root/web container-glibc fix LD_LIBRARY_PATH=/usr/local/nvidia/lib64
}

@test "mount-point: a file or a link in its place, and the other place; both" {
    attached
    touch "$WEB/rootfs/usr/local/nvidia"
    speaks root/web mount-point note
    has root/web mount-point title "its driver is at /opt/nvlxc/nvidia"
    has root/web mount-point evidence '/usr/local/nvidia is a link or a file, not a folder'
    rm "$WEB/rootfs/usr/local/nvidia"
    speaks root/web
    ln -s /opt "$WEB/rootfs/usr/local/nvidia"
    speaks root/web mount-point note
    ln -s /nowhere "$WEB/rootfs/opt"
    speaks root/web mount-point error
    has root/web mount-point evidence '/opt/nvlxc/nvidia lies behind a broken link'
    rm "$WEB/rootfs/opt" "$WEB/rootfs/usr/local/nvidia"
    speaks root/web
}

@test "linker-place: /etc, or the folder of the linker in it, is mounted by a line" {
    attached
    local target
    for target in etc etc/ld.so.conf.d; do
        add "$WEB/config" "lxc.mount.entry = /srv/etc $target none bind,ro 0 0"
        speaks root/web linker-place error
        has root/web linker-place evidence "lxc.mount.entry = /srv/etc $target"
        has root/web linker-place fix "LD_LIBRARY_PATH=/usr/local/nvidia/lib64"
        take_out root/web linker-place
        speaks root/web
    done
    add "$WEB/config" "lxc.mount.entry = /srv/hosts etc/hosts none bind,create=file 0 0"
    speaks root/web
    nvlxc attach root/web --libraries none > /dev/null 2>&1
    add "$WEB/config" "lxc.mount.entry = /srv/etc etc none bind 0 0"
    speaks root/web
}

@test "linker-include: /etc/ld.so.conf reads nothing else; the fix" {
    attached
    echo /opt/lib > "$WEB/rootfs/etc/ld.so.conf"
    speaks root/web linker-include error
    eval "$(part root/web linker-include fix | sed -n 's/^in the container: //p' | sed "s|/etc/ld.so.conf\$|$WEB/rootfs&|")"
    speaks root/web
    echo '  include ld.so.conf.d/*.conf' > "$WEB/rootfs/etc/ld.so.conf"
    speaks root/web
}

@test "library-path: an image without a linker's configuration, and nothing in its environment" {
    attached
    rm "$WEB/rootfs/etc/ld.so.conf"
    speaks root/web library-path warning
    has root/web library-path evidence "no /etc/ld.so.conf" "LD_LIBRARY_PATH in its config: not set"
    has root/web library-path fix /usr/local/nvidia/lib64
    add "$WEB/config" 'lxc.environment.runtime = LD_LIBRARY_PATH=/app/lib'
    has root/web library-path evidence "in its config: /app/lib"
    add "$WEB/config" 'lxc.environment.runtime = LD_LIBRARY_PATH=/app/lib:/usr/local/nvidia/lib64'
    speaks root/web
    # no glibc: nothing to lead
    sed -i /runtime/d "$WEB/config"
    rm "$WEB/rootfs/lib64/ld-linux-x86-64.so.2"
    speaks root/web
}

@test "own-driver-libraries: unused beside the bundle, a note; preferred, an error" {
    attached
    started
    library "$WEB/rootfs/usr/lib/x86_64-linux-gnu/libcuda.so.535.104.05" libcuda.so.1
    speaks root/web own-driver-libraries note
    has root/web own-driver-libraries evidence /usr/lib/x86_64-linux-gnu/libcuda.so.535.104.05 'the kernel module is 550.163.01'
    ldconfig -r "$WEB/rootfs"
    speaks root/web own-driver-libraries note
    # another file of the linker's configuration comes first
    echo /usr/lib/x86_64-linux-gnu > "$WEB/rootfs/etc/ld.so.conf.d/00-first.conf"
    library "$WEB/rootfs/usr/local/nvidia/lib64/libnvidia-ml.so.1" libnvidia-ml.so.1
    ldconfig -r "$WEB/rootfs"
    speaks root/web own-driver-libraries error
    has root/web own-driver-libraries cause 803
    rm "$WEB"/rootfs/usr/lib/x86_64-linux-gnu/libcuda.so*
    speaks root/web
}

@test "own-driver-libraries: before the first start, a note; of the same version, nothing; by hand, an error" {
    attached
    library "$WEB/rootfs/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.550.163.01" libnvidia-ml.so.1
    speaks root/web
    mv "$WEB"/rootfs/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.{550.163.01,535.104.05}
    speaks root/web own-driver-libraries note
    nvlxc detach root/web > /dev/null
    speaks root/web
    add "$WEB/config" 'lxc.mount.entry = /dev/nvidia0 dev/nvidia0 none bind 0 0'
    speaks root/web own-driver-libraries error
}

@test "own-driver-libraries: Debian's package is named in the fix" {
    attached
    library "$WEB/rootfs/usr/lib/x86_64-linux-gnu/libcuda.so.535.104.05" libcuda.so.1
    printf 'Package: libcuda1\nStatus: install ok installed\nVersion: 535.104.05-1\n' > "$WEB/rootfs/var/lib/dpkg/status"
    has root/web own-driver-libraries fix 'lxc-attach -n web -- apt-get purge libcuda1'
}

@test "cuda-stubs: the toolkit's stubs in LD_LIBRARY_PATH" {
    attached
    library "$WEB/rootfs/usr/local/cuda/lib64/stubs/libcuda.so" libcuda.so.1
    speaks root/web
    add "$WEB/config" 'lxc.environment = LD_LIBRARY_PATH=/usr/local/cuda/lib64/stubs:/usr/local/nvidia/lib64'
    speaks root/web cuda-stubs error
    has root/web cuda-stubs cause 'error 34'
    has root/web cuda-stubs fix "remove that folder from LD_LIBRARY_PATH in /var/lib/lxc/web/config"
    sed -i 's|/usr/local/cuda/lib64/stubs:||' "$WEB/config"
    speaks root/web
}

@test "cuda-stubs: in the linker's configuration, before the bundle" {
    attached
    started
    library "$WEB/rootfs/usr/local/cuda/lib64/stubs/libcuda.so" libcuda.so.1
    library "$WEB/rootfs/usr/local/nvidia/lib64/libcuda.so.1" libcuda.so.1
    library "$WEB/rootfs/usr/local/nvidia/lib64/libnvidia-ml.so.1" libnvidia-ml.so.1
    echo /usr/local/cuda/lib64/stubs > "$WEB/rootfs/etc/ld.so.conf.d/cuda.conf"
    ldconfig -r "$WEB/rootfs"
    speaks root/web # the bundle comes first
    mv "$WEB"/rootfs/etc/ld.so.conf.d/{cuda,00-cuda}.conf
    ldconfig -r "$WEB/rootfs"
    speaks root/web cuda-stubs error
    has root/web cuda-stubs evidence /etc/ld.so.cache /usr/local/cuda/lib64/stubs/libcuda.so
    has root/web cuda-stubs fix 'lxc-attach -n web -- ldconfig'
    rm "$WEB/rootfs/etc/ld.so.conf.d/00-cuda.conf"
    ldconfig -r "$WEB/rootfs"
    speaks root/web
}

@test "cuda-compat: on a consumer GPU an error, on a data centre GPU nothing" {
    attached
    library "$WEB/rootfs/usr/local/cuda-12.8/compat/libcuda.so.1" libcuda.so.1
    add "$WEB/config" 'lxc.environment = LD_LIBRARY_PATH=/usr/local/cuda-12.8/compat'
    speaks root/web cuda-compat error
    has root/web cuda-compat evidence 'RTX A5500 Laptop' /usr/local/cuda-12.8/compat/libcuda.so.1
    has root/web cuda-compat cause 804
    has root/web cuda-compat fix "remove that folder from LD_LIBRARY_PATH in /var/lib/lxc/web/config"
    sed -i 's/^Model:.*/Model: \t NVIDIA H100 80GB HBM3/' "$HOST/proc/driver/nvidia/gpus/0000:01:00.0/information"
    speaks root/web
    local model
    for model in 'NVIDIA GeForce RTX 4090' 'NVIDIA TITAN RTX' 'Quadro RTX 5000 Mobile'; do
        sed -i "s/^Model:.*/Model: \t $model/" "$HOST/proc/driver/nvidia/gpus/0000:01:00.0/information"
        speaks root/web cuda-compat error
    done
    sed -i '/LD_LIBRARY_PATH/d' "$WEB/config"
    speaks root/web
}

@test "service-user-denied: dev[n] for root alone, and Ollama runs as another; the fix" {
    rootfs "$HOST/srv/221"
    sed -i 's|^rootfs:.*|rootfs: /srv/221,size=16G|' "$PVE/221.conf"
    add "$PVE/221.conf" 'dev0: /dev/nvidia0'
    echo 'ollama:x:999:999::/usr/share/ollama:/bin/false' >> "$HOST/srv/221/etc/passwd"
    speaks 221 dev-mode note
    printf '[Service]\nUser=ollama\n' > "$HOST/srv/221/etc/systemd/system/ollama.service"
    speaks 221 service-user-denied error
    has 221 service-user-denied evidence '/dev/nvidia0: mode 0660' 'ollama.service runs as ollama'
    mend 221 service-user-denied
    speaks 221
    # or its group has them
    sed -i 's|^dev0:.*|dev0: /dev/nvidia0,gid=44|' "$PVE/221.conf"
    speaks 221 service-user-denied error
    sed -i 's/^video:x:44:/&ollama/' "$HOST/srv/221/etc/group"
    speaks 221
}

@test "service-user-denied: the driver is told to make its nodes for a group of the host" {
    attached
    sed -i 's/DeviceFileMode: 438/DeviceFileMode: 432/' "$HOST/proc/driver/nvidia/params"
    chmod 0660 "$HOST"/dev/nvidia0
    speaks root/web
    printf 'jellyfin:x:110:115::/var/lib/jellyfin:/bin/false\n' >> "$WEB/rootfs/etc/passwd"
    # the start hook gives the container's group video a copy
    printf '[Service]\nUser=jellyfin\nSupplementaryGroups=video\n' > "$WEB/rootfs/etc/systemd/system/jellyfin.service"
    speaks root/web
    sed -i /Supplementary/d "$WEB/rootfs/etc/systemd/system/jellyfin.service"
    speaks root/web service-user-denied error
    has root/web service-user-denied evidence "/dev/nvidia0: mode 0660, owner 100000:100044"
    has root/web service-user-denied fix 'chmod 0666' NVreg_DeviceFileMode=0666
    local service
    for service in ollama plexmediaserver frigate; do
        mv "$WEB"/rootfs/etc/systemd/system/{*,$service}.service
        speaks root/web service-user-denied error
        has root/web service-user-denied evidence "$service.service runs as jellyfin"
    done
    chmod 0666 "$HOST"/dev/nvidia0
    speaks root/web
}

@test "render-group: graphics, and the node's group is the host's; the start hook's own nodes mend it" {
    rootfs "$WEB/rootfs"
    chgrp 104 "$HOST/dev/dri/renderD128"
    nvlxc attach root/web --capabilities graphics,utility --nodes static > /dev/null 2>&1
    speaks root/web render-group warning
    has root/web render-group evidence '/dev/dri/renderD128: mode 0660, owner 0:104' 'group render is 105 (100105 on the host)'
    has root/web render-group fix 'nvlxc attach root/web' '--capabilities utility,graphics' 'lxc-start -n web'
    [[ $(part root/web render-group fix) != *static* ]]
    chmod 0666 "$HOST/dev/dri/renderD128"
    speaks root/web
    chmod 0660 "$HOST/dev/dri/renderD128"
    nvlxc attach root/web --capabilities graphics,utility > /dev/null 2>&1
    speaks root/web
    nvlxc attach root/web --nodes static > /dev/null 2>&1
    speaks root/web # compute does not take it
}

@test "render-group: a user's container has the host's nodes" {
    rootfs "$HOST/home/alice/.local/share/lxc/media/rootfs"
    chown -R 165536:165536 "$HOST/home/alice/.local/share/lxc/media/rootfs"
    chgrp 104 "$HOST/dev/dri/renderD128"
    nvlxc attach media --capabilities graphics,utility > /dev/null 2>&1
    speaks media render-group warning
    has media render-group fix 'chmod 0666 /dev/dri/renderD128'
    chmod 0666 "$HOST/dev/dri/renderD128"
    speaks media
}

@test "render-group: a privileged container's group has another number" {
    rootfs "$HOST/var/lib/lxc/box/rootfs"
    chgrp 104 "$HOST/dev/dri/renderD128"
    nvlxc attach box --capabilities graphics,utility --nodes static > /dev/null 2>&1
    speaks box render-group warning
    sed -i 's/^render:x:105/render:x:104/' "$HOST/var/lib/lxc/box/rootfs/etc/group"
    speaks box
}

@test "idmap-broken: a map without groups, or without root" {
    attached
    sed -i '/idmap = g/d' "$WEB/config"
    speaks root/web idmap-broken error
    has root/web idmap-broken evidence "maps the container's root to no group of the host"
    has root/web idmap-broken fix "in /var/lib/lxc/web/config" '"g 0 100000 65536"'
    add "$WEB/config" 'lxc.idmap = g 1 100001 65535'
    speaks root/web idmap-broken error
    add "$WEB/config" 'lxc.idmap = g 0 100000 1'
    speaks root/web
    add "$WEB/config" 'lxc.idmap = b 1000 1000 1'
    speaks root/web idmap-broken error
    has root/web idmap-broken title "not valid"
    has root/web idmap-broken evidence "'b 1000 1000 1' is not a mapping"
}

@test "rootfs-claimed: a user's config names a folder that is not the user's" {
    local config=$HOST/home/alice/.local/share/lxc/media/config
    mkdir -p "$HOST/srv/theirs/etc"
    chmod 755 "$HOST/srv/theirs"
    nvlxc attach media > /dev/null 2>&1
    speaks media
    cp "$config" "$HOST/media"
    sed -i '/rootfs.path/d' "$config"
    add "$config" 'lxc.rootfs.path = dir:/srv/theirs'
    speaks media rootfs-claimed error
    has media rootfs-claimed evidence "/srv/theirs belongs to user 0, who is neither alice nor one of the container"
    has media rootfs-claimed fix "a root file system of alice's" /home/alice/.local/share/lxc/media/config
    run -1 nvlxc detach media
    [[ $output == *"/srv/theirs belongs to user 0"*"nothing was changed"* ]]
    cat "$HOST/media" > "$config"
    speaks media
}

# holes LINE...: the container's groups are mapped by these lines.
holes() {
    sed -i '/idmap = g/d' "$WEB/config"
    add "$WEB/config" "${@/#/lxc.idmap = g }"
}

@test "render-group, service-user-denied: ids by all lines of the map" {
    rootfs "$WEB/rootfs"
    sed -i 's/^render:x:105/render:x:107/' "$WEB/rootfs/etc/group"
    chgrp 104 "$HOST/dev/dri/renderD128"
    chgrp 44 "$HOST/dev/dri/card1"
    nvlxc attach root/web --capabilities graphics,compute,utility --nodes static > /dev/null 2>&1
    # the map that people write for /dev/dri: 44 is 44, 107 the host's 104
    holes '0 100000 44' '44 44 1' '45 100045 62' '107 104 1' '108 100108 65428'
    speaks root/web
    run -0 nvlxc show root/web
    [[ $output != *closed:* ]]
    # copies made by the hook have the container's group, wherever it lies
    nvlxc attach root/web --capabilities graphics,compute,utility --nodes hook > /dev/null 2>&1
    speaks root/web
    # a line that leads elsewhere: both the number and the reason are right
    nvlxc attach root/web --capabilities graphics,compute,utility --nodes static > /dev/null 2>&1
    holes '0 100000 44' '44 44 1' '45 100045 62' '107 555 1' '108 100108 65428'
    speaks root/web render-group warning
    has root/web render-group evidence 'group render is 107 (555 on the host)' 'group video is 44 (44 on the host)'
    run nvlxc show root/web
    [[ $output = *closed:*renderD128* ]]
    # a hole: no number at all
    holes '0 100000 107' '108 100108 65428'
    has root/web render-group evidence 'group render is 107 (not mapped to the host)'
    # a service whose group is the host's
    sed -i 's/DeviceFileMode: 438/DeviceFileMode: 432/' "$HOST/proc/driver/nvidia/params"
    chmod 0660 "$HOST"/dev/nvidia0 "$HOST/dev/nvidia-uvm"
    chgrp 44 "$HOST"/dev/nvidia0 "$HOST/dev/nvidia-uvm"
    holes '0 100000 44' '44 44 1' '45 100045 62' '107 104 1' '108 100108 65428'
    printf 'jellyfin:x:110:115::/var/lib/jellyfin:/bin/false\n' >> "$WEB/rootfs/etc/passwd"
    unit jellyfin '[Service]' User=jellyfin 'SupplementaryGroups=video render'
    [[ $(findings root/web | jq -r '.[].id') != *user* ]]
    unit jellyfin '[Service]' User=jellyfin
    has root/web service-user-denied evidence '/dev/nvidia0: mode 0660, owner 0:44; jellyfin.service runs as jellyfin (100110)'
}

# unit NAME LINE...: the unit as its package brings it. dropin PLACE LINE...
unit() {
    mkdir -p "$WEB/rootfs/usr/lib/systemd/system"
    printf '%s\n' "${@:2}" > "$WEB/rootfs/usr/lib/systemd/system/$1.service"
}

dropin() {
    mkdir -p "$(dirname "$WEB/rootfs$1")"
    printf '%s\n' "${@:2}" > "$WEB/rootfs$1"
}

# closed_for NAME GROUP: a grant whose nodes are for the container's groups, and a service that runs as somebody.
closed_for() {
    attached
    printf '%s:x:110:115::/:/bin/false\n' "$1" >> "$WEB/rootfs/etc/passwd"
    chmod 0660 "$HOST"/dev/nvidia0
    sed -i 's/DeviceFileMode: 438/DeviceFileMode: 432/' "$HOST/proc/driver/nvidia/params"
}

@test "service-user-denied: a unit is read as systemd reads it" {
    closed_for jellyfin
    unit jellyfin '# Jellyfin' '[Unit]' 'User=nobody' '[Service]' 'Type = simple' 'User = jellyfin' 'Group = jellyfin'
    speaks root/web service-user-denied error
    has root/web service-user-denied fix 'SupplementaryGroups=video' 'systemctl restart jellyfin' 'or on the host: chmod 0666'
    # a list grows by drop-ins, over lines, with comments between
    dropin /etc/systemd/system/jellyfin.service.d/10-groups.conf '[Service]' 'SupplementaryGroups = tty \' '; not this' ' video'
    speaks root/web
    # an empty line takes it back; the name alone decides the order
    dropin /usr/lib/systemd/system/jellyfin.service.d/20-none.conf '[Service]' 'SupplementaryGroups ='
    speaks root/web service-user-denied error
    # the same name in a higher folder hides it, and so does a mask
    dropin /etc/systemd/system/jellyfin.service.d/20-none.conf '[Service]'
    speaks root/web
    rm "$WEB/rootfs/etc/systemd/system/jellyfin.service.d/20-none.conf"
    ln -s /dev/null "$WEB/rootfs/etc/systemd/system/jellyfin.service.d/20-none.conf"
    speaks root/web
    rm -r "$WEB"/rootfs/etc/systemd/system/jellyfin.service.d "$WEB"/rootfs/usr/lib/systemd/system/jellyfin.service.d
    # for all services, and by a number
    dropin /etc/systemd/system/service.d/all.conf '[Service]' 'SupplementaryGroups=44'
    speaks root/web
    rm -r "$WEB/rootfs/etc/systemd/system/service.d"
    # a line of a higher folder's unit; a masked unit; one that runs as root after all
    speaks root/web service-user-denied error
    dropin /etc/systemd/system/jellyfin.service '[Service]' 'User=root'
    speaks root/web
    ln -sf /dev/null "$WEB/rootfs/etc/systemd/system/jellyfin.service"
    speaks root/web
    rm "$WEB/rootfs/etc/systemd/system/jellyfin.service"
    dropin /etc/systemd/system/jellyfin.service.d/root.conf '[Service]' 'User='
    speaks root/web
}

@test "service-user-denied: names with dashes share drop-ins, a dynamic user has no entry, a link another name" {
    closed_for immich
    unit immich-ml '[Service]' User=immich
    speaks root/web service-user-denied error
    dropin /etc/systemd/system/immich-.service.d/gpu.conf '[Service]' SupplementaryGroups=video
    speaks root/web
    rm -r "$WEB"/rootfs/etc/systemd/system/immich-.service.d "$WEB/rootfs/usr/lib/systemd/system/immich-ml.service"
    unit ollama '[Service]' DynamicUser=yes
    speaks root/web service-user-denied error
    has root/web service-user-denied evidence 'ollama.service runs as ollama (a dynamic user)'
    dropin /etc/systemd/system/ollama.service.d/gpu.conf '[Service]' 'SupplementaryGroups="render" "video"'
    speaks root/web
    rm -r "$WEB"/rootfs/etc/systemd/system/ollama.service.d "$WEB/rootfs/usr/lib/systemd/system/ollama.service"
    unit mediaserver '[Service]' User=immich
    ln -s /usr/lib/systemd/system/mediaserver.service "$WEB/rootfs/etc/systemd/system/plexmediaserver.service"
    speaks root/web service-user-denied error
    dropin /etc/systemd/system/mediaserver.service.d/gpu.conf '[Service]' SupplementaryGroups=video
    speaks root/web
}

@test "service-user-graphics: the service is not in the group that has the render node" {
    rootfs "$WEB/rootfs"
    chgrp 104 "$HOST/dev/dri/renderD128"
    nvlxc attach root/web --capabilities graphics,compute,video,utility > /dev/null 2>&1
    printf 'jellyfin:x:110:115::/:/bin/false\n' >> "$WEB/rootfs/etc/passwd"
    unit jellyfin '[Service]' 'User = jellyfin'
    speaks root/web service-user-graphics warning
    has root/web service-user-graphics evidence '/dev/dri/renderD128: mode 0660, owner 100000:100105' 'runs as jellyfin (100110)'
    has root/web service-user-graphics fix 'SupplementaryGroups=render'
    sed -i 's/^render:x:105:/&jellyfin/' "$WEB/rootfs/etc/group"
    speaks root/web
}

# paste SERVICE: runs what the fix runs in the container, on its root file system.
paste() {
    local script
    script=$(part root/web "$1" fix | sed -n 's/^lxc-attach -n web -- sh -c //p')
    eval "script=$script"
    script=${script%% && systemctl*}
    (eval "${script//\/etc\//$WEB/rootfs/etc/}")
}

@test "unit-closes-gpu: PrivateDevices and a device policy; the fix" {
    attached
    unit ollama '[Service]' 'User=root' 'PrivateDevices = true' 'DevicePolicy=closed'
    speaks root/web unit-closes-gpu error
    has root/web unit-closes-gpu evidence '/usr/lib/systemd/system/ollama.service:3: PrivateDevices=true' \
        '/usr/lib/systemd/system/ollama.service:4: DevicePolicy=closed (no DeviceAllow= lets through: /dev/nvidia0, /dev/nvidiactl, /dev/nvidia-uvm)'
    has root/web unit-closes-gpu fix '"PrivateDevices=no" "DeviceAllow=char-nvidia* rw"' 'systemctl daemon-reload && systemctl restart ollama'
    paste unit-closes-gpu
    speaks root/web
    # a second fix says again what the first said: neither takes the other back
    unit ollama '[Service]' PrivateDevices=yes
    speaks root/web
    unit ollama '[Service]' PrivateDevices=yes 'InaccessiblePaths=/dev/nvidiactl'
    has root/web unit-closes-gpu fix '"PrivateDevices=no" "InaccessiblePaths="'
    paste unit-closes-gpu
    speaks root/web
    # a drop-in of somebody's that comes later than others still comes earlier than the fix
    dropin /etc/systemd/system/ollama.service.d/override.conf '[Service]' PrivateDevices=1
    speaks root/web
    rm -r "$WEB/rootfs/etc/systemd/system/ollama.service.d"
    dropin /etc/systemd/system/ollama.service.d/override.conf '[Service]' PrivateDevices=nonsense
    speaks root/web unit-closes-gpu error # systemd skips it
    # nodes that are bound into the private /dev
    unit ollama '[Service]' PrivateDevices=yes 'BindPaths=/dev/nvidia0 /dev/nvidiactl' 'BindPaths=-/dev/nvidia-uvm' 'DeviceAllow=char-nvidia*'
    rm -r "$WEB/rootfs/etc/systemd/system/ollama.service.d"
    speaks root/web
    # the policy alone: an unprivileged container's systemd cannot filter
    unit ollama '[Service]' DevicePolicy=strict
    speaks root/web unit-closes-gpu note
    has root/web unit-closes-gpu cause 'no effect'
    [ -z "$(part root/web unit-closes-gpu fix | grep -v null)" ]
    unit ollama '[Service]' 'InaccessiblePaths=/home -/dev/nvidia0' TemporaryFileSystem=/usr/local
    speaks root/web unit-closes-gpu error
    has root/web unit-closes-gpu evidence 'InaccessiblePaths=/home -/dev/nvidia0 (hides /dev/nvidia0)' 'TemporaryFileSystem=/usr/local (hides /usr/local/nvidia)'
    paste unit-closes-gpu
    grep -x InaccessiblePaths=/home "$WEB/rootfs/etc/systemd/system/ollama.service.d/zz-nvlxc-devices.conf"
    speaks root/web
}

# private: whether the service open-webui has private devices: as systemd says, "yes" or "no".
private() {
    LC_ALL=C.UTF-8 systemd-analyze security --offline=true --root="$WEB/rootfs" open-webui.service 2> /dev/null |
        sed -n 's/^✓ PrivateDevices=.*/yes/p; s/^✗ PrivateDevices=.*/no/p'
}

@test "unit-closes-gpu: what systemd itself makes of a unit and its drop-ins" {
    [ -n "$(command -v systemd-analyze)" ] || skip "no systemd-analyze"
    attached
    local at=/etc/systemd/system lib=/usr/lib/systemd/system n=0
    # asked TEXT: nvlxc says the same as systemd
    asked() {
        local wanted says=no
        wanted=$(private)
        [ -n "$wanted" ] || [ $n -gt 0 ] || skip "this systemd-analyze cannot tell"
        [[ $(nvlxc --json doctor root/web | jq -r '.findings[] | select(.id == "unit-closes-gpu") | .evidence') != *PrivateDevices=* ]] || says=yes
        [ "$says" = "$wanted" ] || { echo "$1: systemd says $wanted, nvlxc $says"; return 1; }
        n=$((n + 1))
    }
    # text LINE...: the unit itself
    text() {
        unit open-webui '[Service]' ExecStart=/bin/true "$@"
        asked "$*"
    }
    text 'PrivateDevices=yes'
    text 'PrivateDevices=yes' 'PrivateDevices=off'
    text '  PrivateDevices  =  ON  '
    text 'privatedevices=yes'
    text 'PrivateDevices=yes # not a comment'
    text 'PrivateDevices=\' 'yes'
    text 'PrivateDevices= \' '# between' 'yes'
    text 'Environment=a \' 'PrivateDevices=yes'
    text 'Environment=a \\' 'PrivateDevices=yes'
    text 'Environment=a \' '' 'PrivateDevices=yes'
    text '#Environment=a \' 'PrivateDevices=yes'
    text '; PrivateDevices=yes'
    text '[Unit]' 'PrivateDevices=yes'
    text '[service]' 'PrivateDevices=yes'
    text '[Unit] ' '[Service] ' 'PrivateDevices=yes'
    text 'PrivateDevices' '=yes' 'PrivateDevices=t'
    text 'PrivateDevices=y'$'\r'
    text 'PrivateDevices=yes \'
    text 'PrivateDevices=yes' 'PrivateDevices='
    text "$(printf 'Environment=%0200000d' 0)" 'PrivateDevices=yes'
    # drop-ins: by name, whatever the folder; a higher folder hides the same name
    unit open-webui '[Service]' ExecStart=/bin/true
    dropin $lib/open-webui.service.d/50.conf '[Service]' PrivateDevices=yes
    asked "a package's drop-in"
    dropin $at/open-webui.service.d/40.conf '[Service]' PrivateDevices=no
    asked "an earlier name in a higher folder"
    dropin $at/open-webui.service.d/60.conf '[Service]' PrivateDevices=no
    asked "a later name"
    rm "$WEB/rootfs$at/open-webui.service.d/60.conf"
    dropin $at/open-.service.d/50.conf '[Service]' PrivateDevices=no
    asked "the prefix's, of the same name"
    dropin $lib/service.d/70.conf '[Service]' PrivateDevices=yes
    asked "of all services"
    ln -s /dev/null "$WEB/rootfs$at/service.d" 2> /dev/null || true
    dropin $at/open-webui.service.d/70.conf ''
    asked "hidden by another one"
    : > "$WEB/rootfs$at/open-webui.service.d/70.conf"
    asked "hidden by an empty one"
    rm -r "$WEB/rootfs$lib/service.d" "$WEB"/rootfs$at/open-* "$WEB"/rootfs$lib/open-webui.service.d
    dropin $at/open-webui.service.d/50.txt '[Service]' PrivateDevices=yes
    asked "another suffix"
    dropin $at/open-webui.service.d/.50.conf '[Service]' PrivateDevices=yes
    asked "a hidden file"
    dropin $at/open-webui.service.d/50.conf PrivateDevices=yes
    asked "no section"
    # another fragment
    dropin /usr/local/lib/systemd/system/open-webui.service '[Service]' ExecStart=/bin/true PrivateDevices=yes
    asked "/usr/local/lib"
    dropin $at/open-webui.service '[Service]' ExecStart=/bin/true
    asked "/etc"
    [ $n -gt 30 ]
}

@test "unit-closes-gpu: which DeviceAllow lets NVIDIA through, in a privileged container" {
    local allow
    WEB=$HOST/var/lib/lxc/box
    rootfs "$WEB/rootfs"
    nvlxc attach box > /dev/null 2>&1
    speaks box
    for allow in 'char-nvidia*' 'char-* rw' 'char-nvidia* rwm'; do
        unit ollama '[Service]' DevicePolicy=closed "DeviceAllow=$allow"
        speaks box
    done
    # by the names that /proc/devices has, and by paths
    unit ollama '[Service]' 'DeviceAllow=char-nvidia rw' 'DeviceAllow=char-nvidia-uvm rw'
    speaks box
    unit ollama '[Service]' 'DeviceAllow=/dev/nvidia0' 'DeviceAllow=/dev/nvidiactl rw' DeviceAllow=/dev/nvidia-uvm
    speaks box
    for allow in 'char-nvidia rw' '/dev/nvidia*' 'char-nvidia* r' 'char-drm' 'block-*' 'char-nvidia-frontend'; do
        unit ollama '[Service]' "DeviceAllow=$allow"
        speaks box unit-closes-gpu error
        has box unit-closes-gpu evidence "ollama.service:2: DeviceAllow=$allow (no DeviceAllow= lets through: /dev/nvidia" '/dev/nvidia-uvm)'
    done
    unit ollama '[Service]' DevicePolicy=closed 'DeviceAllow=char-nvidia*' DeviceAllow=
    speaks box unit-closes-gpu error
    unit ollama '[Service]' DevicePolicy=closed DevicePolicy=auto
    speaks box
}

@test "unit-closes-gpu: hostile units" {
    attached
    printf '[Service]\nPrivateDevices=yes\nInaccessiblePaths=/dev/nvidia0 "/$(touch pwned)" /a;b\n' > "$WEB/rootfs/etc/systemd/system/ollama.service"
    speaks root/web unit-closes-gpu error
    [[ $(part root/web unit-closes-gpu fix) != *pwned* ]]
    mkfifo "$WEB/rootfs/etc/systemd/system/jellyfin.service"
    ln -s / "$WEB/rootfs/etc/systemd/system/frigate.service"
    head -c 300000 /dev/zero | tr '\0' '\\' > "$WEB/rootfs/etc/systemd/system/comfyui.service"
    mkdir -p "$WEB/rootfs/etc/systemd/system/vllm.service.d"
    printf '[Service]\n%s' "$(yes PrivateDevices=yes | head -5000)" > "$WEB/rootfs/etc/systemd/system/vllm.service"
    (cd "$WEB/rootfs/etc/systemd/system/vllm.service.d" && for i in $(seq 400); do echo x > "$i.conf"; done)
    run nvlxc --json doctor root/web
    [ "$(jq '[.findings[] | select(.id == "unit-closes-gpu")] | length' <<< "$output")" = 2 ]
}

@test "left-mount-points: empty files in /dev, a note; among libraries, a warning; the fix" {
    attached
    touch "$WEB"/rootfs/dev/nvidia{0,ctl}
    speaks root/web left-mount-points note
    touch "$WEB/rootfs/usr/lib/x86_64-linux-gnu/libcuda.so.535.104.05" "$WEB/rootfs/usr/bin/nvidia-smi"
    speaks root/web left-mount-points warning
    has root/web left-mount-points evidence /dev/nvidia0 /usr/lib/x86_64-linux-gnu/libcuda.so.535.104.05 /usr/bin/nvidia-smi
    mend root/web left-mount-points
    [ ! -e "$WEB/rootfs/dev/nvidiactl" ]
    speaks root/web
    local file
    for file in bin/nvidia-debugdump bin/nvidia-persistenced lib/libnvidia-ml.so.1 lib64/libnvcuvid.so.1; do
        mkdir -p "$WEB/rootfs/usr/${file%/*}" && touch "$WEB/rootfs/usr/$file"
        speaks root/web left-mount-points warning
        has root/web left-mount-points evidence "/usr/$file is an empty file"
        echo x > "$WEB/rootfs/usr/$file" # not empty: somebody's
        speaks root/web
        rm "$WEB/rootfs/usr/$file"
    done
}

@test "left-mount-points: names that a shell would read otherwise are not repeated, links not followed" {
    attached
    touch "$WEB/rootfs/dev/nvidia0; touch pwned"
    ln -s /etc "$WEB/rootfs/dev/nvidia-link"
    speaks root/web
}

@test "a user's name for a container is quoted where a command names it" {
    mv "$HOST"/home/alice/.local/share/lxc/{media,'a b;touch pwned'}
    sed -i 's|lxc/media|lxc/a b;touch pwned|' "$HOST/home/alice/.local/share/lxc/a b;touch pwned/config"
    add "$HOST/home/alice/.local/share/lxc/a b;touch pwned/config" \
        'lxc.mount.entry = /dev/nvidia9 dev/nvidia9 none bind,optional,create=file'
    speaks 'a b;touch pwned' mount-source-missing error
    (cd "$BATS_TEST_TMPDIR" && mend 'a b;touch pwned' mount-source-missing)
    [ ! -e "$BATS_TEST_TMPDIR/pwned" ]
    speaks 'a b;touch pwned'
}

@test "kernel-packages: DKMS in the container" {
    attached
    touch "$WEB"/rootfs/var/lib/dpkg/info/{nvidia-kernel-dkms,nvidia-dkms-550,nvidia-settings}.list
    printf 'Package: %s\nStatus: install ok installed\nVersion: 1\n\n' nvidia-kernel-dkms nvidia-settings > "$WEB/rootfs/var/lib/dpkg/status"
    speaks root/web kernel-packages warning
    has root/web kernel-packages fix 'lxc-attach -n web -- apt-get purge nvidia-kernel-dkms'
    [[ $(part root/web kernel-packages evidence) != *550* ]] # removed, its list stays
}

@test "nested-no-cdi: Docker with NVIDIA's toolkit, and without it" {
    attached
    touch "$WEB/rootfs/usr/bin/dockerd"
    speaks root/web nested-no-cdi note
    touch "$WEB/rootfs/usr/bin/nvidia-ctk"
    mkdir "$WEB/rootfs/etc/nvidia-container-runtime"
    printf '[nvidia-container-cli]\n#no-cgroups = true\n' > "$WEB/rootfs/etc/nvidia-container-runtime/config.toml"
    speaks root/web nested-no-cdi warning
    has root/web nested-no-cdi fix "nvlxc cdi root/web | lxc-attach -n web -- sh -c 'mkdir -p /etc/cdi && cat > /etc/cdi/nvlxc.json'"
    printf 'no-cgroups = true\n' >> "$WEB/rootfs/etc/nvidia-container-runtime/config.toml"
    speaks root/web
    rm "$WEB/rootfs/etc/nvidia-container-runtime/config.toml"
    local spec
    for spec in etc/cdi/nvidia.yaml etc/cdi/nvidia.json run/cdi/nvidia.yaml var/run/cdi/nvidia.json; do
        speaks root/web nested-no-cdi warning
        install -D /dev/null "$WEB/rootfs/$spec"
        speaks root/web
        rm "$WEB/rootfs/$spec"
    done
    # or podman's
    mv "$WEB"/rootfs/usr/bin/{dockerd,podman}
    speaks root/web nested-no-cdi warning
}

@test "a hostile root file system: FIFOs, huge files and links out of it hold nothing up" {
    attached
    rm "$WEB"/rootfs/etc/{passwd,group,ld.so.conf,os-release}
    mkfifo "$WEB"/rootfs/etc/{passwd,group,ld.so.conf,os-release,ld.so.cache} "$WEB/rootfs/etc/systemd/system/ollama.service"
    truncate -s 8G "$WEB/rootfs/var/lib/dpkg/status"
    touch "$WEB/rootfs/var/lib/dpkg/info/nvidia-driver.list"
    ln -s ../../../../../../../../etc "$WEB/rootfs/etc/cdi"
    rm -r "$WEB/rootfs/usr/bin" && ln -s /dev "$WEB/rootfs/usr/bin"
    run -0 timeout 20 "$NVL_BUILD/src/cli/nvlxc" --version
    run timeout 20 "$NVL_BUILD/src/cli/nvlxc" --root "$HOST" --json doctor root/web
    [ "$status" -le 1 ]
    speaks root/web
}

# --- nodes that two lines make ---

@test "node-twice: a dev[n] entry of what a mount entry makes first; a hook that runs mknod" {
    printf '%s\n' 'dev0: /dev/dri/renderD128,gid=993' \
        'lxc.mount.entry: /dev/dri/renderD128 dev/dri/renderD128 none bind,optional,create=file' > "$PVE/220.conf"
    nvlxc attach 220 > /dev/null 2>&1
    speaks 220 node-twice error
    has 220 node-twice evidence '220.conf:1: dev0: /dev/dri/renderD128,gid=993' '220.conf:2: lxc.mount.entry: /dev/dri/renderD128'
    has 220 node-twice cause 'Script exited with status 17'
    mend 220 node-twice
    speaks 220
    # the folder has it, too; and two entries of one path
    printf '%s\n' 'dev0: /dev/dri/renderD128' 'lxc.mount.entry: /dev/dri dev/dri none bind,optional,create=dir' > "$PVE/220.conf"
    nvlxc attach 220 > /dev/null 2>&1
    speaks 220 node-twice error
    printf '%s\n' 'dev0: /dev/dri/renderD128' 'dev3: /dev/dri/renderD128,gid=44' > "$PVE/220.conf"
    nvlxc attach 220 > /dev/null 2>&1
    speaks 220 node-twice error
    has 220 node-twice fix 'pct set 220 --delete dev3'
    # by hand, both
    printf '%s\n' 'dev0: /dev/nvidia0' 'lxc.mount.entry: /dev/nvidia0 dev/nvidia0 none bind,optional,create=file' > "$PVE/220.conf"
    part 220 node-twice fix | grep -qx 'nvlxc attach 220 --replace'
    # a hook beside a grant
    printf '%s\n' 'arch: amd64' > "$PVE/220.conf"
    nvlxc attach 220 > /dev/null 2>&1
    echo 'lxc.hook.autodev: sh -c "mknod ${LXC_ROOTFS_MOUNT}/dev/nvidia0 c 195 0"' >> "$PVE/220.conf"
    has 220 node-twice evidence 'the start hook of its grant brings /dev/nvidia0'
    run_commands "$(part 220 node-twice fix)"
    [ -z "$(part 220 node-twice fix)" ]
    # what makes no node that is there already
    echo 'lxc.hook.autodev: sh -c "mknod -m 666 ${LXC_ROOTFS_MOUNT}/dev/fuse c 10 229; echo mknod"' >> "$PVE/220.conf"
    echo 'dev0: /dev/dri/renderD128' >> "$PVE/220.conf"
    [ -z "$(part 220 node-twice fix)" ]
}

@test "with-absent: what --with names is not on the host" {
    nvlxc attach 220 --with persistenced,imex=1 > /dev/null 2>&1
    speaks 220 with-absent warning
    has 220 with-absent evidence 'persistenced: /run/nvidia-persistenced/socket does not exist on the host' 'channel1'
    has 220 with-absent fix 'systemctl start nvidia-persistenced' 'NVreg_CreateImexChannel0=1'
    mkdir -p "$HOST/run/nvidia-persistenced" "$HOST/dev/nvidia-caps-imex-channels"
    : > "$HOST/run/nvidia-persistenced/socket"
    : > "$HOST/dev/nvidia-caps-imex-channels/channel1"
    speaks 220
}

@test "node-taken: another vendor's device under the name of the GPU's node" {
    printf '%s\n' 'lxc.mount.entry: /dev/dri/renderD130 dev/dri/renderD128 none bind,optional,create=file' > "$PVE/220.conf"
    nvlxc attach 220 --capabilities compute,utility,graphics > /dev/null 2>&1
    speaks 220 node-taken error
    has 220 node-taken fix 'remove line 1 from /etc/pve/lxc/220.conf'
    take_out 220 node-taken
    speaks 220
}

@test "dev-absent: what is there instead, and which of it is NVIDIA's; links by address, too" {
    printf '%s\n' 'dev0: /dev/dri/card0,gid=44' 'dev1: /dev/dri/by-path/pci-0000:00:03.0-render,gid=993' > "$PVE/220.conf"
    mkdir -p "$HOST/dev/dri/by-path"
    ln -s ../renderD128 "$HOST/dev/dri/by-path/pci-0000:01:00.0-render"
    nvlxc attach 220 > /dev/null 2>&1
    has 220 dev-absent evidence 'it has /dev/dri/card1 (NVIDIA'"'"'s, 0000:01:00.0)' \
        'it has /dev/dri/by-path/pci-0000:01:00.0-render (NVIDIA'"'"'s, 0000:01:00.0)'
    # the path may come last, and what is no device is not there
    printf '%s\n' 'dev0: gid=44,path=/dev/dri/card0,deny-write=1' > "$PVE/220.conf"
    touch "$HOST/dev/dri/card0"
    nvlxc attach 220 > /dev/null 2>&1
    [ "$(part 220 dev-absent fix)" = 'pct set 220 -dev0 /dev/dri/card1,gid=44,deny-write=1' ]
    printf '%s\n' 'dev0: /dev/ttyUSB0,gid=20' > "$PVE/220.conf"
    nvlxc attach 220 > /dev/null 2>&1
    [[ $(part 220 dev-absent cause) != */dev/dri* ]]
    # a node of NVIDIA's that no grant brings
    printf '%s\n' 'dev0: /dev/nvidia-nvswitch0' > "$PVE/220.conf"
    nvlxc attach 220 > /dev/null 2>&1
    has 220 dev-absent fix 'pct set 220 --delete dev0'
}
