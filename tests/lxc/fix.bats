#!/usr/bin/env bats
# doctor --fix on a machine with a shell: it shows, asks, runs what doctor prints, and looks again.
# shellcheck disable=SC2030,SC2031,SC2154
load setup

setup() {
    simulate_host a5500-550
    mkdir -p /var/lib/lxc/web/rootfs
    printf 'lxc.uts.name = web\nlxc.rootfs.path = dir:/var/lib/lxc/web/rootfs\n' > /var/lib/lxc/web/config
    nvlxc attach web --quiet 2> /dev/null
    rm -rf /var/lib/nvlxc/driver
}

# break_nodes: two faults that are nvlxc's own to mend, besides the missing bundle.
break_nodes() {
    rm /dev/nvidiactl
    chmod 0600 /dev/nvidia0
}

# ids: of the findings about nodes and bundles; this host also lacks firmware and a blacklist, which are not nvlxc's to mend.
ids() {
    nvlxc --json doctor | jq -r '[.findings[].id | select(test("^(node|bundle)-"))] | join(" ")'
}

# typed ANSWERS ARGUMENT…: doctor --fix on a terminal on which someone types these lines.
typed() {
    printf '%b' "$1" > /run/typed
    shift
    run script --quiet --return --command "nvlxc doctor --fix $*" /dev/null < /run/typed
    output=${output//$'\r'/}
}

@test "--yes: nodes, modes and the bundle are as they should be, and doctor says so" {
    break_nodes
    [ "$(ids)" = "node-missing node-mode bundle-absent" ]
    run -1 nvlxc doctor --fix --yes
    says "a device node is missing: /dev/nvidiactl" "mknod -m 0666 /dev/nvidiactl c 195 255" "chmod 0666 /dev/nvidia0" "doctor looks again:"
    [ "$(stat -c '%t:%T %a' /dev/nvidiactl)" = 'c3:ff 666' ]
    [ "$(stat -c %a /dev/nvidia0)" = 666 ]
    [ -z "$(ids)" ]
    [ -e /var/lib/nvlxc/driver/550.163.01/manifest.json ]
    run -1 nvlxc doctor --fix --yes
    says "no fix here is nvlxc's own"
}

@test "asked for each: no leaves it, yes runs it, q ends it" {
    break_nodes
    typed 'n\ny\n'
    [ "$status" = 1 ]
    says "run it? [y/N/q]"
    [ ! -e /dev/nvidiactl ]
    [ "$(stat -c %a /dev/nvidia0)" = 666 ]
    chmod 0600 /dev/nvidia0
    typed 'q\n'
    [ "$status" = 1 ]
    says "stopped; what was done before stays"
    [ ! -e /dev/nvidiactl ]
    [ "$(stat -c %a /dev/nvidia0)" = 600 ]
    # the end of the input is no yes
    typed ''
    [ "$status" = 1 ]
    [ ! -e /dev/nvidiactl ]
}

@test "what is not nvlxc's own is shown by doctor and never run" {
    : > /run/ran
    for program in apt apt-get reboot update-initramfs; do
        printf '#!/bin/sh\necho "%s $*" >> /run/ran\n' $program > /usr/local/sbin/$program
        chmod +x /usr/local/sbin/$program
    done
    rm -r /proc/driver/nvidia 2> /dev/null || simulate_host no-driver
    run -1 nvlxc doctor --fix --yes
    [ ! -s /run/ran ]
    rm /usr/local/sbin/{apt,apt-get,reboot,update-initramfs}
}

@test "lines by hand, which attach --replace would take, stay" {
    printf 'lxc.mount.entry = /dev/nvidia0 dev/nvidia0 none bind,optional,create=file\nlxc.cgroup2.devices.allow = c 195:* rwm\nlxc.cgroup2.devices.allow = c 506:* rwm\n' >> /var/lib/lxc/web/config
    cp /var/lib/lxc/web/config /run/config
    nvlxc --json doctor | jq -e '[.findings[].fix[].command | values | select(test("--replace"))] | length > 0'
    run -1 nvlxc doctor --fix --yes
    cmp /run/config /var/lib/lxc/web/config
}

@test "a command that fails ends it, and is named" {
    break_nodes
    printf '#!/bin/sh\necho no >&2; exit 7\n' > /usr/local/sbin/mknod
    chmod +x /usr/local/sbin/mknod
    run -1 nvlxc doctor --fix --yes
    says "failed with status 7: mknod -m 0666 /dev/nvidiactl"
    rm /usr/local/sbin/mknod
}

@test "what a user names and writes is never run" {
    # names and lines that would be commands of nvlxc's own forms, were they taken as such
    mkdir -p "/var/lib/lxc/a: rm -rf b/rootfs"
    printf 'lxc.uts.name = a\nlxc.rootfs.path = dir:/var/lib/lxc/web/rootfs\n' > "/var/lib/lxc/a: rm -rf b/config"
    run -1 --separate-stderr nvlxc show 'a: rm -rf c'
    [[ $stderr != *"try: rm"* ]]
    : > /run/hostile
    chmod 0600 /run/hostile
    printf ' chmod 0666 /dev/nvidia0 /run/hostile\nchmod 0666 /dev/nvidia0 /run/hostile\n lxc.environment = NVIDIA_VISIBLE_DEVICES=all: chmod 0666 /run/hostile\n' >> /var/lib/lxc/web/config
    run nvlxc doctor --fix --yes
    [ "$(stat -c %a /run/hostile)" = 600 ]
    rm -r "/var/lib/lxc/a: rm -rf b"
}
