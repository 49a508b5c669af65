#!/usr/bin/env bats
# doctor on real containers: what is in force in them while they run, and that healthy ones are silent.
# shellcheck disable=SC2030,SC2031,SC2154,SC2016
load setup
# shellcheck source=/dev/null
source "$NVL_SOURCE/tests/lib/doctor.bash"

setup_file() {
    nvlxc driver sync --quiet
    make_container web debian-12
    make_container priv debian-12 privileged
    cp /var/lib/lxc/web/config /run/web.plain
    cp /var/lib/lxc/priv/config /run/priv.plain
}

teardown() {
    stop web 2> /dev/null || true
    stop priv 2> /dev/null || true
    cp /run/web.plain /var/lib/lxc/web/config
    cp /run/priv.plain /var/lib/lxc/priv/config
    simulate_host a5500-550
    umount /run/own 2> /dev/null || true
}

# mend CT ID: runs the commands of the fix.
mend() {
    local fix
    fix=$(part "$1" "$2" fix)
    [[ $fix == *nvlxc\ * || $fix == *lxc-* || $fix == *chmod\ * ]]
    # its init does not know how to end when it is asked to
    bash -ec "${fix//lxc-stop/lxc-stop -k}" < /dev/null > /dev/null
}

@test "healthy: before it is attached, attached, running, stopped again: silent" {
    speaks web
    nvlxc attach web --quiet
    speaks web
    start web
    speaks web
    stop web
    speaks web
    nvlxc attach priv --quiet
    start priv
    speaks priv
}

@test "healthy: a user and a service in it may open the nodes" {
    nvlxc attach web --quiet
    start web
    inside web sh -c 'echo ollama:x:990:990::/:/bin/false >> /etc/passwd
        printf "[Service]\nUser=ollama\n" > /etc/systemd/system/ollama.service'
    speaks web
    inside web sh -c 'sed -i /^ollama/d /etc/passwd; rm /etc/systemd/system/ollama.service'
}

@test "nothing of the container is run, and nothing is left in its cgroup" {
    nvlxc attach web --quiet
    start web
    local init procs
    init=$(lxc-info -n web -pH)
    procs=/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$init/cgroup")/cgroup.procs
    cp "$procs" /run/before
    speaks web
    cmp "$procs" /run/before
}

@test "attached while it runs: start-outdated; the fix restarts it" {
    start web
    nvlxc attach web --quiet
    speaks web start-outdated error
    run -0 part web start-outdated evidence
    says '/dev/nvidia0 is not in the running container' 'no driver is mounted at /usr/local/nvidia'
    mend web start-outdated
    speaks web
}

@test "nvidia-uvm got another major while it runs: start-outdated with both numbers; the fix" {
    nvlxc attach web --quiet
    start web
    simulate_uvm_major 511
    speaks web start-outdated error
    run -0 part web start-outdated evidence
    says '/dev/nvidia-uvm is 506:0 in the running container, 511:0 on the host'
    mend web start-outdated
    speaks web
}

@test "another driver was loaded while it runs: start-outdated with both versions" {
    nvlxc attach web --quiet
    start web
    simulate_module 535.261.03
    speaks web start-outdated error
    run -0 part web start-outdated evidence
    says 'the driver 550.163.01 is mounted at /usr/local/nvidia, the kernel module is 535.261.03'
}

@test "the filter in force denies, the config is right by now: device-filtered; the real nvidia-smi says the same" {
    nvlxc attach priv --quiet
    cp /var/lib/lxc/priv/config /run/priv.attached
    sed -i '/allow = .dev.nvidia0 /d' /var/lib/lxc/priv/config
    speaks priv grant-rule-missing error
    start priv
    [ "$(opens priv /dev/nvidia0)" = filtered ]
    speaks priv grant-rule-missing error # the cause; that it is denied is folded into it
    cp /run/priv.attached /var/lib/lxc/priv/config
    speaks priv device-filtered error
    run -0 part priv device-filtered evidence
    [ "$output" = "opening /dev/nvidia0 as the container's root: Operation not permitted (EPERM)" ]
    mend priv device-filtered
    [ "$(opens priv /dev/nvidia0)" = allowed ]
    speaks priv
}

@test "the filter denies all of NVIDIA: nvidia-smi says Unknown Error, as the cause does" {
    nvlxc attach priv --quiet
    cp /var/lib/lxc/priv/config /run/priv.attached
    sed -i '/allow = .dev.nvidia/d' /var/lib/lxc/priv/config
    start priv
    cp /run/priv.attached /var/lib/lxc/priv/config
    run -255 inside priv nvidia-smi
    local said=$output
    run -0 part priv device-filtered cause
    says "$said"
}

@test "the host's node is closed: the host's finding, and none of the container beside it" {
    nvlxc attach web --quiet
    start web
    chmod 0600 /dev/nvidiactl /dev/nvidia0
    [ "$(opens web /dev/nvidia0)" = denied ]
    run -4 inside web nvidia-smi
    says 'Insufficient Permissions'
    run -1 nvlxc --json doctor web
    run -0 jq -r '[.findings[] | select(.evidence | test("/dev/nvidia0")) | .id] | length' <<< "$output"
    [ "$output" = 1 ]
}

@test "the driver is told to close its nodes: the hook brings the container's own; bound, device-denied; the fix" {
    sed -i 's/DeviceFileMode: 438/DeviceFileMode: 432/' /proc/driver/nvidia/params
    chmod 0660 /dev/nvidia0
    nvlxc attach web --quiet
    start web
    [ "$(opens web /dev/nvidia0)" = allowed ]
    speaks web
    stop web
    nvlxc attach web --nodes static --quiet
    start web
    [ "$(opens web /dev/nvidia0)" = denied ]
    speaks web device-denied error
    run -0 part web device-denied evidence
    says "opening /dev/nvidia0 as the container's root: Permission denied (EACCES) (mode 0660, owner 0:0)"
    run -0 part web device-denied fix
    says NVreg_DeviceFileMode=0666 'chmod 0666 /dev/nvidia*'
    chmod 0666 /dev/nvidia*
    speaks web
}

@test "a node of the container's own config is closed: device-denied" {
    mkdir -p /run/own
    mount -t tmpfs -o mode=755 tmpfs /run/own
    mknod -m 600 /run/own/nvidia0 c 195 0
    nvlxc attach web --quiet
    echo 'lxc.mount.entry = /run/own/nvidia0 dev/nvidia0 none bind,create=file 0 0' >> /var/lib/lxc/web/config
    start web
    speaks web device-denied error
    # it is the same device, and the node that is meant is that one
    run -0 part web device-denied fix
    [ "$output" = "chmod 0666 /run/own/nvidia0" ]
    chmod 0666 /run/own/nvidia0
    speaks web
}

@test "a driver library of its own: unused a note; preferred an error, the loader's own choice" {
    nvlxc attach web --quiet
    start web
    stop web
    local lib=/var/lib/lxc/web/rootfs/usr/lib/x86_64-linux-gnu
    cp /var/lib/nvlxc/driver/550.163.01/lib64/libcuda.so.550.163.01 "$lib/libcuda.so.535.104.05"
    start web
    inside web ldconfig
    speaks web own-driver-libraries note
    run -0 loads web libcuda.so.1
    [ "$output" = "$BUNDLE"/lib64/libcuda.so.550.163.01 ]
    inside web sh -c 'echo /usr/lib/x86_64-linux-gnu > /etc/ld.so.conf.d/00-first.conf; ldconfig'
    run -0 loads web libcuda.so.1
    [ "$output" = /usr/lib/x86_64-linux-gnu/libcuda.so.535.104.05 ]
    speaks web own-driver-libraries error
    inside web sh -c 'rm /usr/lib/x86_64-linux-gnu/libcuda.so.* /etc/ld.so.conf.d/00-first.conf; ldconfig'
    speaks web
}

@test "the cache was written without the driver: linker-cache; the fix" {
    nvlxc attach web --quiet
    start web
    inside web sh -c 'mv /etc/ld.so.conf.d/00-nvlxc.conf /root; ldconfig; mv /root/00-nvlxc.conf /etc/ld.so.conf.d'
    run loads web libcuda.so.1
    [[ $output != *$BUNDLE* ]]
    run -12 inside web nvidia-smi
    local said
    said=$(grep -o "couldn't find [a-z.-]* library" <<< "$output")
    speaks web linker-cache error
    run -0 part web linker-cache cause
    says "$said"
    mend web linker-cache
    run -0 loads web libcuda.so.1
    [ "$output" = "$BUNDLE"/lib64/libcuda.so.550.163.01 ]
    speaks web
}

@test "create=file without its source: mount-source-missing alone; once the line is gone, the file; the fix" {
    echo 'lxc.mount.entry = /dev/nvidia0 dev/nvidia0 none bind,optional,create=file 0 0' >> /var/lib/lxc/web/config
    echo 'lxc.mount.entry = /dev/nvidia7 dev/nvidia7 none bind,optional,create=file 0 0' >> /var/lib/lxc/web/config
    start web
    [ -f /proc/"$(lxc-info -n web -pH)"/root/dev/nvidia7 ]
    speaks web mount-source-missing error
    sed -i '/nvidia7/d' /var/lib/lxc/web/config
    speaks web left-mount-points warning
    run -0 part web left-mount-points fix
    [ "$output" = 'lxc-attach -n web -- rm /dev/nvidia7' ]
    mend web left-mount-points
    speaks web
}

@test "no driver is loaded: the host is blamed, the container is not blamed" {
    nvlxc attach web --quiet
    start web
    rm -r /proc/driver/nvidia
    run -9 inside web nvidia-smi
    says "couldn't communicate with the NVIDIA driver"
    speaks web
    # which of the driver's checks it is depends on this machine's kernel
    run -1 nvlxc --json doctor web
    run -0 jq -r '[.findings[].id] | map(select(startswith("driver-") or . == "headers-missing")) | length' <<< "$output"
    [ "$output" = 1 ]
}

@test "classic lines in a running container whose major is stale: the filter in force, the config, and one finding" {
    cat >> /var/lib/lxc/priv/config <<'END'
lxc.cgroup2.devices.allow = c 195:* rwm
lxc.cgroup2.devices.allow = c 507:* rwm
lxc.mount.entry = /dev/nvidia0 dev/nvidia0 none bind,optional,create=file 0 0
lxc.mount.entry = /dev/nvidiactl dev/nvidiactl none bind,optional,create=file 0 0
lxc.mount.entry = /dev/nvidia-uvm dev/nvidia-uvm none bind,optional,create=file 0 0
END
    start priv
    [ "$(opens priv /dev/nvidia0)" = allowed ]
    [ "$(opens priv /dev/nvidia-uvm)" = filtered ]
    speaks priv classic-major-stale error
    eval "$(part priv classic-major-stale fix | grep '^nvlxc attach')" > /dev/null
    speaks priv start-outdated error
    mend priv start-outdated
    [ "$(opens priv /dev/nvidia-uvm)" = allowed ]
    speaks priv
}

@test "a frozen container holds nothing up" {
    nvlxc attach priv --quiet
    start priv
    lxc-freeze -n priv
    run timeout 10 nvlxc --json doctor priv
    lxc-unfreeze -n priv
    [ "$status" -le 1 ]
    speaks priv
}

@test "a read-only root file system: the cause is named while it runs, and its fix mends it; a link that leads nowhere: the other place" {
    # as no start has left it yet
    nvlxc detach priv --quiet
    [ ! -e /var/lib/lxc/priv/rootfs/usr/local/nvidia ]
    echo 'lxc.rootfs.options = ro' >> /var/lib/lxc/priv/config
    nvlxc attach priv --quiet
    start priv
    speaks priv mount-point error
    has priv mount-point fix "remove ro from line" "/var/lib/lxc/priv/config"
    # as it says
    stop priv
    sed -i '/^lxc.rootfs.options/d' /var/lib/lxc/priv/config
    start priv
    stop priv
    echo 'lxc.rootfs.options = ro' >> /var/lib/lxc/priv/config
    start priv
    speaks priv
    run -0 loads priv libcuda.so.1
    stop priv
    sed -i '/^lxc.rootfs.options/d' /var/lib/lxc/priv/config
    nvlxc detach priv --quiet
    mv /var/lib/lxc/priv/rootfs/usr/local /var/lib/lxc/priv/rootfs/usr/kept
    ln -s '/srv/none; touch /srv/harmed' /var/lib/lxc/priv/rootfs/usr/local
    nvlxc attach priv --quiet
    start priv
    speaks priv mount-point note
    run -0 loads priv libcuda.so.1
    [ "$output" = /opt/nvlxc/nvidia/lib64/libcuda.so.550.163.01 ]
    stop priv
    # with what it leads to: the mount table escapes the blanks there
    mkdir -p '/var/lib/lxc/priv/rootfs/srv/none; touch /srv/harmed'
    start priv
    speaks priv
    run -0 loads priv libcuda.so.1
    stop priv
    [ ! -e /srv/harmed ]
    nvlxc detach priv --quiet
    rm -r '/var/lib/lxc/priv/rootfs/srv/none; touch '
    rm /var/lib/lxc/priv/rootfs/usr/local
    mv /var/lib/lxc/priv/rootfs/usr/kept /var/lib/lxc/priv/rootfs/usr/local
}

@test "mount-absent: an entry without optional whose source is gone; LXC says the same, and the fix starts it" {
    mkdir /srv/media
    echo 'lxc.mount.entry = /srv/media srv/media none bind,create=dir 0 0' >> /var/lib/lxc/web/config
    nvlxc attach web --quiet
    speaks web
    rmdir /srv/media
    speaks web mount-absent error
    run -1 start web
    run -0 grep -a 'Failed to mount "/srv/media"' /run/lxc-web.log
    has web mount-absent fix 'add `,optional` to the options in line' '/var/lib/lxc/web/config'
    run -0 nvlxc --json attach web
    [ "$(jq -c '[.starts, .findings[0].id]' <<< "$output")" = '[false,"mount-absent"]' ]
    sed -i 's|srv/media none bind,create=dir|srv/media none bind,create=dir,optional|' /var/lib/lxc/web/config
    speaks web
    start web
}

# silent FOLDER: in the running container priv it never answers, until one of `fuses` is killed.
silent() {
    "$NVL_SOURCE/tests/lib/silent-fuse" "$1" "$(lxc-info -n priv -pH)" > "/run/silent${1//\//.}" 3>&- &
    fuses+=($!)
    until grep -q mounted "/run/silent${1//\//.}"; do sleep 0.1; done
}

@test "no-answer: a file system in it that never answers is said, and nothing waits for it" {
    nvlxc attach priv --quiet
    start priv
    speaks priv
    silent /srv
    # nothing looks there
    speaks priv
    silent /etc
    speaks priv no-answer error
    has priv no-answer fix "lxc-stop -n priv && lxc-start -n priv"
    # whoever was left behind goes with it
    kill "${fuses[@]}"
    wait "${fuses[@]}" || true
    pgrep -x nvlxc | while read -r pid; do tail --pid="$pid" -f /dev/null; done
    stop priv
    start priv
    speaks priv
}
