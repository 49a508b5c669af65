# What nvlxc-boot.service runs, on a host that has just booted: modules, nodes, UUIDs, bundle. modprobe is a stand-in that
# "loads" what the case gives it; nodes and bundles are real.
load setup

HOOK=/usr/libexec/nvlxc/hook
PATH_OF_MODPROBE=/sbin/modprobe

setup_file() {
    # the machine's own, where it has one, must not be asked
    rm -f $PATH_OF_MODPROBE
    make_container ct debian-12
    nvlxc attach ct
}

setup() {
    forget_syslog
    rm -f /run/modprobe.log $PATH_OF_MODPROBE
    simulate_host a5500-550
}

teardown() {
    stop ct 2> /dev/null || true
}

# modprobe_is LINES: a modprobe that notes how it was called and then does this, in sh.
modprobe_is() {
    printf '#!/bin/sh\necho "$@" >> /run/modprobe.log\n%s\n' "$1" > $PATH_OF_MODPROBE
    chmod 755 $PATH_OF_MODPROBE
}

# The driver of a fixture that modprobe loads: its files in /proc appear, its nodes do not.
driver_waits() {
    rm -rf /run/waiting
    cp -a "$NVL_SOURCE/tests/hosts/$1/proc" /run/waiting
    simulate_host "$1"
    rm -rf /dev/nvidia* /proc/driver/nvidia /proc/driver/nvidia-caps
    grep -v nvidia /run/waiting/devices > /run/simulated/devices
    : > /run/simulated/modules
}

LOAD='case "$*" in
    *-n*) exit 0 ;;
    *nvidia) cp -a /run/waiting/driver/nvidia /proc/driver/; cat /run/waiting/devices | grep -v nvidia-uvm > /run/simulated/devices ;;
    *nvidia-uvm) cat /run/waiting/devices > /run/simulated/devices ;;
esac'

nodes() {
    (cd /dev && find nvidia* -type c -printf '%p ' -exec stat -c '%t:%T %a %u:%g' {} \; | sort)
}

# What the fixture's own list says, in the same form.
nodes_of() {
    sort "$NVL_SOURCE/tests/hosts/$1/nodes" | while read -r path _ major minor mode; do
        case $path in dev/nvidia*) printf '%s %x:%x %o 0:0\n' "${path#dev/}" "$major" "$minor" "$mode" ;; esac
    done
}

@test "after boot: the modules are loaded and every node is made, as the driver's own tools would make it" {
    driver_waits a5500-550
    modprobe_is "$LOAD"
    run -0 $HOOK --prepare
    diff <(nodes_of a5500-550) <(nodes)
    [ "$(sed 's/^-q //; s/^-b //' /run/modprobe.log | tr '\n' ';')" = '-n nvidia;nvidia;nvidia-uvm;nvidia-modeset;' ]
    run -0 syslog_of host
    [ "${#lines[@]}" = 1 ]
    says 'host: nvidia loaded, nvidia-uvm loaded, /dev/nvidiactl made (it was missing)'
}

@test "MIG: the capabilities of every instance, and the two of the tools" {
    driver_waits h100-mig
    modprobe_is "$LOAD"
    run -0 $HOOK --prepare
    diff <(nodes_of h100-mig) <(nodes)
}

@test "the second time nothing is done and nothing said" {
    nodes > /run/nodes
    find /dev -name 'nvidia*' -printf '%p %i %C@\n' | sort > /run/before
    run -0 $HOOK --prepare
    [ -z "$output" ]
    is_silent
    find /dev -name 'nvidia*' -printf '%p %i %C@\n' | sort | diff /run/before -
}

@test "nodes from before the reboot: stale ones are made anew, with the new uvm major" {
    simulate_host stale-uvm
    modprobe_is 'exit 1'
    run -0 $HOOK --prepare
    says '/dev/nvidia-uvm made (it was stale)' '/dev/nvidia-uvm-tools made (it was stale)'
    local major
    major=$(sed -n 's/^ *\([0-9]*\) nvidia-uvm$/\1/p' /proc/devices)
    [ "$(stat -c %t:%T /dev/nvidia-uvm)" = "$(printf %x "$major"):0" ]
    [ "$(stat -c %t:%T /dev/nvidia-uvm-tools)" = "$(printf %x "$major"):1" ]
}

@test "something else in a node's place: an empty file goes, a file with content stays and is named" {
    rm /dev/nvidiactl /dev/nvidia0
    touch /dev/nvidiactl
    echo 'not empty' > /dev/nvidia0
    run -0 $HOOK --prepare
    [ -c /dev/nvidiactl ]
    [ "$(cat /dev/nvidia0)" = 'not empty' ]
    says '/dev/nvidiactl made (it was not a device)' 'cannot make /dev/nvidia0'
}

@test "mode and owner are those of the driver's parameters; ModifyDeviceFiles 0 means hands off" {
    rm -rf /dev/nvidia*
    sed -i 's/^DeviceFileMode: .*/DeviceFileMode: 432/; s/^DeviceFileGID: .*/DeviceFileGID: 44/' /proc/driver/nvidia/params
    run -0 $HOOK --prepare
    [ "$(stat -c '%a %u:%g' /dev/nvidia0)" = '660 0:44' ]
    rm -rf /dev/nvidia*
    sed -i 's/^ModifyDeviceFiles: .*/ModifyDeviceFiles: 0/' /proc/driver/nvidia/params
    run -0 $HOOK --prepare
    [ -z "$(find /dev -name 'nvidia*')" ]
}

@test "uvm cannot be loaded: one warning, and the other nodes are there" {
    simulate_host uvm-missing
    rm -rf /dev/nvidia*
    modprobe_is 'exit 1'
    run -0 $HOOK --prepare
    says "cannot load nvidia-uvm (modprobe: status 1): see 'nvlxc host'"
    [ -c /dev/nvidia0 ]
    [ ! -e /dev/nvidia-uvm ]
    read_syslog
    grep -q '^<28>' /run/syslog # a warning of a daemon
}

@test "no GPU, or one that another driver has: nothing is loaded, nothing is said" {
    local host
    modprobe_is 'exit 0'
    for host in no-gpu nouveau vfio; do
        simulate_host $host
        run -0 $HOOK --prepare
        [ -z "$output" ]
        [ ! -e /run/modprobe.log ]
        [ -z "$(find /dev -name 'nvidia*')" ]
    done
    is_silent
}

@test "a GPU without a driver: silent where none ever was, and a warning where containers had one" {
    simulate_host no-driver
    rm -rf /var/lib/nvlxc/driver
    modprobe_is 'exit 1'
    run -0 $HOOK --prepare
    [ -z "$output" ]
    [ "$(cat /run/modprobe.log)" = '-q -n nvidia' ]
    # a machine without modprobe is no different
    rm $PATH_OF_MODPROBE
    run -0 $HOOK --prepare
    [ -z "$output" ]
    modprobe_is 'exit 1'
    mkdir -p /var/lib/nvlxc/driver/550.163.01
    run -0 $HOOK --prepare
    says "no NVIDIA kernel module for the running kernel: was it built? see 'nvlxc host'"
    rm -r /var/lib/nvlxc/driver/550.163.01
}

@test "the administrator blacklisted nvidia: it is asked for with -b, and its absence is nothing to report" {
    driver_waits a5500-550
    modprobe_is 'exit 0' # as modprobe -b ends for a blacklisted module
    run -0 $HOOK --prepare
    [ -z "$output" ]
    [ "$(tail -n 1 /run/modprobe.log)" = '-q -b nvidia' ]
}

@test "the driver is there and fails: a warning" {
    driver_waits a5500-550
    modprobe_is 'case "$*" in *-n*) exit 0 ;; esac; exit 1'
    run -0 $HOOK --prepare
    says "cannot load nvidia (modprobe: status 1): see 'nvlxc host'"
}

@test "only root can" {
    rm /dev/nvidia0
    run -0 setpriv --reuid 1000 --regid 1000 --clear-groups $HOOK --prepare
    says 'must run as root to prepare the host'
    [ ! -e /dev/nvidia0 ]
}

# What the unit runs, with its options, one after the other as systemd would.
boot() {
    local line
    sed -n 's/^ExecStart=//p' "$NVL_SOURCE/data/nvlxc-boot.service" > /run/commands
    [ "$(wc -l < /run/commands)" -ge 3 ]
    while read -r line; do
        # shellcheck disable=SC2086 # its words
        $line > /dev/null || return
    done < /run/commands
}

@test "a boot with nothing prepared: a container starts with its GPU, its config untouched" {
    rm -rf /var/lib/nvlxc/driver
    cp /var/lib/lxc/ct/config /run/ct.config
    driver_waits a5500-550
    modprobe_is "$LOAD"
    run -0 --separate-stderr boot
    [ -z "$stderr" ]
    [ -e /var/lib/nvlxc/driver/550.163.01/manifest.json ]
    : > /run/syslog
    run -0 start ct
    run -0 syslog_of ct
    [[ $output != *' made '* && $output != *' built'* ]]
    [ "$(opens ct /dev/nvidia0)" = allowed ]
    [ "$(opens ct /dev/nvidia-uvm)" = allowed ]
    run -0 loads ct libcuda.so.1
    [ "$output" = $BUNDLE/lib64/libcuda.so.550.163.01 ]
    cmp /var/lib/lxc/ct/config /run/ct.config
}

@test "pre-start builds a missing bundle for a container that is to have one, and for no other" {
    rm -rf /var/lib/nvlxc/driver
    run -0 $HOOK --nodes=static --libraries=host ct lxc pre-start
    run -0 $HOOK --libraries=none ct lxc pre-start
    [ ! -e /var/lib/nvlxc/driver ]
    run -0 $HOOK --required ct lxc pre-start
    says 'driver bundle 550.163.01 built'
    [ -e /var/lib/nvlxc/driver/550.163.01/manifest.json ]
}

@test "a boot into an upgraded driver: its bundle was ready, the old one goes" {
    simulate_installed 535
    nvlxc driver sync --quiet
    simulate_module 535.261.03
    find /var/lib/nvlxc/driver/535.261.03 -printf '%p %i %C@\n' | sort > /run/before
    run -0 --separate-stderr boot
    [ -z "$stderr" ]
    [ ! -e /var/lib/nvlxc/driver/550.163.01 ]
    find /var/lib/nvlxc/driver/535.261.03 -printf '%p %i %C@\n' | sort | diff /run/before -
    simulate_installed 550
}

@test "a boot without a GPU: the unit's commands end well and say nothing" {
    simulate_host no-gpu
    simulate_installed none
    rm -rf /var/lib/nvlxc/driver
    run -0 --separate-stderr boot
    [ -z "$stderr" ]
    is_silent
    [ ! -e /var/lib/nvlxc/driver ]
    simulate_installed 550
}
