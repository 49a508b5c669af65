#!/usr/bin/env bats
# doctor: each of the host's checks, with its fault planted in a healthy fixture host. Every test asserts that the check
# speaks, and no other one; where its fix is a command that can be run here, it is run, and the finding is gone.
# shellcheck disable=SC2030,SC2031,SC2154,SC2016
bats_require_minimum_version 1.5.0

# shellcheck source=/dev/null
source "$NVL_SOURCE/tests/lib/hosts.bash"
# shellcheck source=/dev/null
source "$NVL_SOURCE/tests/lib/doctor-host.bash"

A5500='GPU-3291dfa4-fcc4-0110-615b-c894a0d7c689'
K=6.14.11-4-pve
DKMS=var/lib/dkms/nvidia-current/550.163.01

setup() {
    HOST=$(healthy)
}

# The fixture host without the container that has lines by hand: nothing is wrong with it.
healthy() {
    local host
    host=$(fixture a5500-550) && rm "$host/etc/pve/nodes/pve/lxc/223.conf" && printf '%s\n' "$host"
}

# mend ID: runs the commands of the fix on the fixture's files, but for those that need a real machine.
mend() {
    local line ran=0
    while read -r line; do
        case $line in
        reboot* | update-initramfs* | apt\ * | journalctl* | or:* | modprobe* | \(*) continue ;;
        esac
        line=${line//systemctl /systemctl --root=$HOST }
        line=$(sed -E "s#(^|[ =>'])/(etc|usr|var|dev|boot)/#\1$HOST/\2/#g" <<< "$line")
        eval "$line"
        ran=$((ran + 1))
    done < <(part "$1" fix)
    [ "$ran" -gt 0 ]
}

# What `host` is held by: held_by NAME
held_by() {
    ln -sfn "../../../../bus/pci/drivers/$1" "$HOST/$GPU/driver"
}

# A grant for the plain container `web`, with the hook and the bundle that it needs: still nothing is wrong.
grant() {
    local bundle=var/lib/nvlxc/driver/550.163.01
    cat >> "$HOST/var/lib/lxc/web/config" <<END
lxc.environment = NVIDIA_VISIBLE_DEVICES=$A5500
lxc.environment = NVIDIA_DRIVER_CAPABILITIES=compute
lxc.hook.pre-start = </dev/null; [ ! -x /usr/libexec/nvlxc/hook ] || exec /usr/libexec/nvlxc/hook
lxc.hook.mount = </dev/null; [ ! -x /usr/libexec/nvlxc/hook ] || exec /usr/libexec/nvlxc/hook
END
    mkdir -p "$HOST/usr/libexec/nvlxc" "$HOST/$bundle"
    install -m 755 /dev/null "$HOST/usr/libexec/nvlxc/hook"
    cp -a "$NVL_SOURCE/tests/hosts/upgraded/$bundle/." "$HOST/$bundle/"
}

@test "a healthy host: silent, and the all-clear says what was asked" {
    speaks
    run -0 nvlxc doctor
    [[ ${lines[0]} == "nothing is wrong: "*" checks of the host; no container has a GPU" ]]
    for word in GPU driver "device nodes" "Is nvidia-uvm loaded?" "Does the cluster have quorum?"; do
        [[ $(tr -s ' \n' ' ' <<< "$output") == *"$word"* ]] # wherever its lines break
    done
    run -0 nvlxc --json doctor
    [ "$(jq -c keys_unsorted <<< "$output")" = '["format","findings","checked"]' ]
    [ "$(jq .checked <<< "$output")" -ge 40 ]
    run -0 nvlxc --quiet doctor
    [ -z "$output" ]
}

@test "a healthy host with a container: silent, and the container is named" {
    grant
    run -0 nvlxc doctor
    [[ ${lines[0]} == *"checks of the host and 1 container (root/web)" ]]
    [[ $output == *config* ]]
    [ "$(nvlxc --json doctor | jq .checked)" -gt "$(HOST=$(healthy) && nvlxc --json doctor | jq .checked)" ]
    run -0 nvlxc doctor root/web
    run -1 nvlxc doctor nobody
    [[ $output == *nobody* ]]
    run -2 nvlxc doctor root/web 220
}

@test "the other fixture hosts are healthy too" {
    for name in a5500-550-rebooted a5500-580-open two-gpus-535 h100-mig; do
        HOST=$(fixture $name)
        speaks
    done
}

@test "--quiet: the titles of errors and warnings, and no more" {
    HOST=$(fixture stale-uvm)
    run -1 nvlxc --quiet doctor
    [ "$output" = "error: device nodes are stale: /dev/nvidia-uvm, /dev/nvidia-uvm-tools" ]
    HOST=$(fixture a5500-550)
    sed -i -e '1i #<-- nvidia gpu passthrough end -->' \
        -e '3i lxc.mount.entry: /dev/nvidia1 dev/nvidia1 none bind,optional,create=file' "$HOST/etc/pve/lxc/220.conf"
    run -1 nvlxc --quiet doctor 220
    [ "$output" = "error, container 220: it mounts NVIDIA files that the host does not have" ]
    [ "$(nvlxc --json doctor 220 | jq -r '[.findings[] | select(.severity == "note")] | length')" -gt 0 ]
}

@test "a finding has all of its keys, in both forms" {
    HOST=$(fixture stale-uvm)
    run -1 nvlxc --json doctor
    [ "$(jq -c '.findings[0] | keys_unsorted' <<< "$output")" = \
        '["id","severity","container","stops_start","title","evidence","cause","fix"]' ]
    [ "$(jq -r '.findings[0].container' <<< "$output")" = null ]
    run -1 nvlxc doctor
    [ "${lines[0]}" = "1. error: device nodes are stale: /dev/nvidia-uvm, /dev/nvidia-uvm-tools" ]
    [ "${lines[1]}" = "       /dev/nvidia-uvm is 506:0, should be 511:0" ]
    [[ $output == *$'\n   why: '*CUDA*999* ]]
    [[ $output == *$'\n   fix:\n       rm -f /dev/nvidia-uvm\n'* ]]
    [[ ${lines[-1]} == "1 error in "*" checks of the host; no container has a GPU" ]]
}

# --- the GPU ---

@test "gpu-absent: and nothing that follows from it" {
    HOST=$(fixture no-gpu)
    speaks gpu-absent:error
    has gpu-absent evidence "/sys/bus/pci/devices"
    has gpu-absent fix "lspci -nn -d 10de:"
}

@test "gpu-nouveau: the fix writes a blacklist; what is not loaded for it is folded" {
    unload
    held_by nouveau
    rm "$HOST/etc/modprobe.d/nvidia.conf"
    speaks gpu-nouveau:error
    has gpu-nouveau evidence "0000:01:00.0/driver -> ../../../../bus/pci/drivers/nouveau"
    has gpu-nouveau fix "update-initramfs -u -k all" reboot
    mend gpu-nouveau
    [ "$(cat "$HOST/etc/modprobe.d/nvlxc.conf")" = "blacklist nouveau" ]
}

@test "gpu-nova" {
    unload
    held_by nova_core
    speaks gpu-nova:error
    mend gpu-nova
    [ "$(cat "$HOST/etc/modprobe.d/nvlxc.conf")" = $'blacklist nova_core\nblacklist nova_drm' ]
}

@test "gpu-vfio: the lines that gave it away are named, and taken back" {
    unload
    held_by vfio-pci
    echo "options vfio-pci ids=10de:2438,10de:228b" > "$HOST/etc/modprobe.d/vfio.conf"
    mkdir -p "$HOST/etc/pve/qemu-server"
    printf 'name: win\nhostpci1: 0000:01:00,pcie=1\n\n[old]\nhostpci0: 0000:01:00\n' > "$HOST/etc/pve/qemu-server/100.conf"
    speaks gpu-vfio:error
    has gpu-vfio evidence "/etc/modprobe.d/vfio.conf:1: options vfio-pci ids=10de:2438,10de:228b" \
        "100.conf:2: hostpci1: 0000:01:00,pcie=1"
    has gpu-vfio fix "nvlxc gpu back 0000:01:00.0" "nvlxc gpu hookscript install 100" "qm set 100 --delete hostpci1"
    [[ $(part gpu-vfio fix) != *hostpci0* ]]
    # by hand: a captured host's GPU stays where it is
    nvlxc() {
        [ "$1" = gpu ] || { "$NVL_BUILD/src/cli/nvlxc" --root "$HOST" "$@"; return; }
        [ "$*" = 'gpu back 0000:01:00.0' ] || [ "$*" = 'gpu hookscript install 100' ]
    }
    mend gpu-vfio
    [ "$(cat "$HOST/etc/modprobe.d/vfio.conf")" = "options vfio-pci ids=10de:228b" ]
}

# vfio_by: the fixture whose GPU vfio-pci has, without the line that its modprobe.d has for it.
vfio_by() {
    HOST=$(fixture vfio)
    rm "$HOST/etc/modprobe.d/vfio.conf"
}

@test "gpu-vfio: by the kernel's command line, with nvidia blacklisted: both are taken back" {
    vfio_by
    echo "quiet iommu=pt vfio-pci.ids=10de:228b,10DE:2438" > "$HOST/proc/cmdline"
    mkdir -p "$HOST/etc/default"
    printf '%s\n' '# GRUB' 'GRUB_CMDLINE_LINUX_DEFAULT="quiet iommu=pt vfio-pci.ids=10de:228b,10DE:2438"' \
        > "$HOST/etc/default/grub"
    printf '# passthrough\nblacklist nvidia\nblacklist nvidia-drm\n' > "$HOST/etc/modprobe.d/blacklist.conf"
    speaks gpu-vfio:error driver-absent:error
    has gpu-vfio evidence "/proc/cmdline: vfio-pci.ids=10de:228b,10DE:2438" \
        '/etc/default/grub:2: GRUB_CMDLINE_LINUX_DEFAULT=' "/etc/modprobe.d/blacklist.conf:2: blacklist nvidia"
    [ "$(part gpu-vfio fix | tail -n 3)" = $'update-grub\nupdate-initramfs -u -k all\nreboot' ]
    update-grub() { :; }
    mend gpu-vfio
    [ "$(tail -n 1 "$HOST/etc/default/grub")" = 'GRUB_CMDLINE_LINUX_DEFAULT="quiet iommu=pt vfio-pci.ids=10de:228b,"' ]
    [ "$(cat "$HOST/etc/modprobe.d/blacklist.conf")" = $'# passthrough\n# blacklist nvidia\nblacklist nvidia-drm' ]
    # systemd-boot, as Proxmox VE's boot tool feeds it
    mkdir -p "$HOST/etc/kernel" && rm "$HOST/etc/default/grub"
    echo "root=ZFS=rpool/ROOT/pve-1 vfio-pci.ids=10de:228b,10DE:2438" > "$HOST/etc/kernel/cmdline"
    has gpu-vfio evidence "/etc/kernel/cmdline:1: root="
    has gpu-vfio fix "proxmox-boot-tool refresh"
}

@test "gpu-vfio: by a rule of udev's, which names this GPU or leaves it out" {
    vfio_by
    mkdir -p "$HOST/etc/udev/rules.d"
    printf '%s\n' '# vfio' 'ACTION=="add", SUBSYSTEM=="pci", KERNEL=="0000:02:00.0", ATTR{driver_override}="vfio-pci"' \
        'SUBSYSTEM=="pci", ATTR{vendor}=="0x10de", ATTR{device}=="0x2438|0x2288", ATTR{driver_override}="vfio-pci"' \
        > "$HOST/etc/udev/rules.d/90-vfio.rules"
    has gpu-vfio evidence '/etc/udev/rules.d/90-vfio.rules:3: SUBSYSTEM=="pci", ATTR{vendor}=="0x10de"'
    [[ $(part gpu-vfio evidence) != *rules:2:* ]]
    mend gpu-vfio
    grep -q '^# SUBSYSTEM=="pci", ATTR{vendor}' "$HOST/etc/udev/rules.d/90-vfio.rules"
    grep -q '^ACTION' "$HOST/etc/udev/rules.d/90-vfio.rules"
    [ "$(part gpu-vfio fix)" = "" ]
}

@test "gpu-vfio: by an alias, by driverctl, by a script of the initramfs" {
    vfio_by
    echo "alias pci:v000010DEd00002438sv*sd*bc03sc00i* vfio-pci" > "$HOST/etc/modprobe.d/alias.conf"
    has gpu-vfio evidence "/etc/modprobe.d/alias.conf:1: alias pci:v000010DE"
    rm "$HOST/etc/modprobe.d/alias.conf"
    mkdir -p "$HOST/etc/driverctl.d" && echo vfio-pci > "$HOST/etc/driverctl.d/0000:01:00.0"
    has gpu-vfio evidence "/etc/driverctl.d/0000:01:00.0:1: vfio-pci"
    [ "$(part gpu-vfio fix)" = $'driverctl unset-override 0000:01:00.0\nreboot' ]
    rm -r "$HOST/etc/driverctl.d"
    mkdir -p "$HOST/etc/initramfs-tools/scripts/init-top"
    printf '%s\n' '#!/bin/sh' 'for dev in 0000:01:00.0 0000:01:00.1; do' \
        '    echo vfio-pci > /sys/bus/pci/devices/$dev/driver_override' 'done' > "$HOST/etc/initramfs-tools/scripts/init-top/vfio"
    has gpu-vfio evidence "/etc/initramfs-tools/scripts/init-top/vfio:3: echo vfio-pci"
    has gpu-vfio fix "remove 0000:01:00.0 from" "update-initramfs -u -k all"
    sed -i 's/0000:01/0000:02/g' "$HOST/etc/initramfs-tools/scripts/init-top/vfio"
    [ "$(part gpu-vfio fix)" = "" ]
}

@test "gpu-vfio: nothing is found that did it: no fix is printed as if it were one" {
    vfio_by
    echo "options vfio-pci ids=10de:1111 disable_vga=1" > "$HOST/etc/modprobe.d/vfio.conf"
    echo "quiet vfio-pci.ids=10de:1111" > "$HOST/proc/cmdline"
    echo "blacklist nvidia" > "$HOST/etc/modprobe.d/blacklist.conf"
    echo vfio-pci > "$HOST/$GPU/driver_override"
    [ "$(part gpu-vfio fix)" = "" ]
    has gpu-vfio evidence "0000:01:00.0/driver_override: vfio-pci"
    has gpu-vfio cause "was not found"
    run nvlxc attach 1
    [ "$status" -ne 0 ]
}

@test "gpu-vfio: a VM that runs, by a mapping" {
    vfio_by
    mkdir -p "$HOST"/etc/pve/{qemu-server,mapping,nodes/pve} "$HOST/run/qemu-server" "$HOST/proc/4711"
    ln -sfn nodes/pve "$HOST/etc/pve/local"
    printf 'name: win\nhostpci0: mapping=gpu,pcie=1\n' > "$HOST/etc/pve/qemu-server/104.conf"
    printf 'other\n\tmap id=10de:2438,node=pve,path=0000:05:00.0\n\ngpu\n\tmap id=10de:2438,node=pve2,path=0000:01:00\n\tmap id=10de:2438,node=pve,path=0000:01:00\n' \
        > "$HOST/etc/pve/mapping/pci.cfg"
    echo 4711 > "$HOST/run/qemu-server/104.pid" && echo kvm > "$HOST/proc/4711/comm"
    has gpu-vfio evidence "104.conf:2: hostpci0: mapping=gpu,pcie=1" "/etc/pve/mapping/pci.cfg:6: map id=10de:2438,node=pve,"
    [[ $(part gpu-vfio evidence) != *cfg:5* ]]
    # without a reboot
    [ "$(part gpu-vfio fix | cut -d '#' -f 1 | sed 's/ *$//')" = \
        $'qm shutdown 104\nnvlxc gpu back 0000:01:00.0\nnvlxc gpu hookscript install 104' ]
}

@test "gpu-lent: on purpose, and until it comes back" {
    mkdir -p "$HOST/run/nvlxc/lent"
    echo 'vm 101' > "$HOST/run/nvlxc/lent/0000:01:00.0"
    speaks gpu-lent:note
    has gpu-lent title "is lent to VM 101"
    [ "$(part gpu-lent fix)" = "nvlxc gpu back 0000:01:00.0" ]
}

@test "gpu-virtual-machine: a VM names a GPU that nvidia drives" {
    mkdir -p "$HOST/etc/pve/qemu-server"
    printf 'onboot: 1\nhostpci0: 01:00,pcie=1\n' > "$HOST/etc/pve/qemu-server/104.conf"
    speaks gpu-virtual-machine:warning
    has gpu-virtual-machine title "VM 104"
    has gpu-virtual-machine evidence "/etc/pve/qemu-server/104.conf:2: hostpci0: 01:00,pcie=1"
    has gpu-virtual-machine cause "starts at boot" "takes the GPU away from NVIDIA's driver"
    [ "$(part gpu-virtual-machine fix)" = \
        "nvlxc gpu hookscript install 104   # from then on they take turns; or for good: qm set 104 --delete hostpci0" ]
    # they take turns already
    echo 'hookscript: local:snippets/nvlxc-gpu' >> "$HOST/etc/pve/qemu-server/104.conf"
    speaks
    sed -i '$s/-gpu/-gpu-stop/' "$HOST/etc/pve/qemu-server/104.conf"
    speaks
    sed -i '$s/nvlxc-gpu-stop/mine/' "$HOST/etc/pve/qemu-server/104.conf"
    speaks gpu-virtual-machine:warning
    sed -i '$d' "$HOST/etc/pve/qemu-server/104.conf"
    # neither at boot nor beside a container: worth knowing
    sed -i 1d "$HOST/etc/pve/qemu-server/104.conf"
    speaks gpu-virtual-machine:note
    # not this GPU, a part of it, a template, one that goes
    local text
    for text in 'hostpci0: 0000:01:00.1' 'hostpci0: 02:00' 'hostpci0: 0000:01:00.0,mdev=nvidia-63' $'template: 1\nhostpci0: 01:00' \
        $'hostpci0: 01:00\n[PENDING]\ndelete: hostpci0' $'name: x\n[snap]\nhostpci0: 01:00'; do
        echo "$text" > "$HOST/etc/pve/qemu-server/104.conf"
        speaks
    done
    printf 'hostpci0: 0000:02:00.0;0000:01:00.0\n' > "$HOST/etc/pve/qemu-server/104.conf"
    speaks gpu-virtual-machine:note
    printf 'name: x\n[PENDING]\nhostpci3: host=0000:01:00.0\n' > "$HOST/etc/pve/qemu-server/104.conf"
    speaks gpu-virtual-machine:note
}

@test "gpu-lost: the GPU has fallen off the bus" {
    head -c 256 /dev/zero | tr '\0' '\377' > "$HOST/$GPU/config"
    speaks gpu-lost:error
    has gpu-lost title "has fallen off the bus"
    has gpu-lost cause "Xid 79"
    has gpu-lost fix "reboot"
    run -1 nvlxc host
    says "has fallen off the bus"
    # an ordinary one; one that sleeps without power is not woken for it
    printf '\336\020\070\044' > "$HOST/$GPU/config" && head -c 252 /dev/zero >> "$HOST/$GPU/config"
    speaks
    head -c 64 /dev/zero | tr '\0' '\377' > "$HOST/$GPU/config"
    echo D3cold > "$HOST/$GPU/power_state"
    speaks
}

# log LINE…: the kernel's log, with something around it.
log() {
    mkdir -p "$HOST/var/log"
    { echo '<6>[    0.000000] Linux version 6.12'; printf '%s\n' "$@"; echo '<6>[ 9999.000000] end'; } > "$HOST/var/log/dmesg"
}

@test "gpu-xid: what the driver reported of the GPU, the worst first" {
    log '<4>[  201.5] NVRM: Xid (PCI:0000:01:00): 31, pid=4711, name=python3, Ch 00000008, intr 10000000. MMU Fault'
    speaks gpu-xid:note
    has gpu-xid title "has reported Xid 31 (a program used GPU memory that it does not have)"
    has gpu-xid evidence "[  201.5] NVRM: Xid (PCI:0000:01:00): 31, pid=4711"
    log '<4>[  1.5] NVRM: Xid (PCI:0000:01:00): 31, pid=4711, name=python3' \
        "<4>[  2.5] NVRM: Xid (PCI:0000:01:00): 119, pid=77, name=ollama, Timeout after 6s of waiting for RPC response from GPU0 GSP!" \
        "<4>[  8.5] NVRM: Xid (PCI:0000:01:00): 119, pid=78, name=ollama, Timeout after 6s of waiting for RPC response from GPU0 GSP!"
    speaks gpu-xid:warning
    has gpu-xid title "has reported Xid 119 (the GPU's firmware (GSP) does not answer) since the boot"
    has gpu-xid evidence "NVRM: Xid (PCI:0000:01:00): 31" "2 times, at last: [  8.5] NVRM"
    has gpu-xid fix "reboot" "nvlxc host --drivers"
    # older drivers' form, a MIG device's, a number without a name
    log 'NVRM: Xid (0000:01:00): 48, An uncorrectable double bit error'
    speaks gpu-xid:warning
    has gpu-xid fix "nvidia-smi -q   # ECC errors" "reboot"
    log '[ 3.1] NVRM: Xid (PCI:0000:01:00 GPU-I:05): 999, pid=1'
    speaks gpu-xid:note
    has gpu-xid title "has reported Xid 999 since the boot"
    # another GPU's, half of one, nobody's
    log 'NVRM: Xid (PCI:0000:99:00): 79, pid=1' 'NVRM: Xid (PCI:0000:01:00): ' 'NVRM: Xid (PCI:0000:01:00' 'NVRM: Xid (): 79, x' \
        'NVRM: Xid (PCI:0000:01:00): 79'
    speaks
    # terminals obey no program's name
    log $'NVRM: Xid (PCI:0000:01:00): 13, pid=1, name=\e]0;x\a'
    speaks gpu-xid:note
    [[ $(nvlxc doctor || true) != *$'\e]'* ]]
    # the GPU that is lost is one finding
    log "NVRM: Xid (PCI:0000:01:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus."
    speaks gpu-xid:warning
    has gpu-xid fix "journalctl -k" "reboot"
    head -c 256 /dev/zero | tr '\0' '\377' > "$HOST/$GPU/config"
    speaks gpu-lost:error
}

@test "gpu-silent: used since the boot, and no UUID" {
    grant # by its UUID, to root/web, which does not run
    sed -i 's/^GPU UUID:.*/GPU UUID: \t GPU-????????-????-????-????-????????????/' \
        "$HOST/proc/driver/nvidia/gpus/0000:01:00.0/information"
    speaks grant-gpu-unused:note
    sed 's/220/web/' "$HOST/proc/net/unix" >> "$HOST/proc/net/unix.new" && mv "$HOST/proc/net/unix.new" "$HOST/proc/net/unix"
    speaks gpu-silent:error
    has gpu-silent title "does not come up"
    has gpu-silent evidence "GPU UUID: GPU-????????" "container root/web was started with it"
    has gpu-silent fix "journalctl -k"
    [ "$(nvlxc --json gpus | jq -r '.gpus[0].state')" = silent ]
    run -1 nvlxc show root/web
    says "it does not come up, see the kernel log"
}

@test "a virtual function (SR-IOV) is no GPU: no index, no error, and no bind" {
    HOST=$(fixture h100-mig)
    local vf=sys/bus/pci/devices/0000:17:00.4 gpus before
    before=$(nvlxc --json gpus | jq -c '.gpus[0] | [.index, .uuid]')
    mkdir -p "$HOST/$vf"
    echo 0x10de > "$HOST/$vf/vendor" && echo 0x030200 > "$HOST/$vf/class" && echo 0x2330 > "$HOST/$vf/device"
    ln -s ../0000:17:00.0 "$HOST/$vf/physfn"
    speaks
    # and where nvidia drives it
    ln -s ../../../bus/pci/drivers/nvidia "$HOST/$vf/driver"
    mkdir "$HOST/proc/driver/nvidia/gpus/0000:17:00.4"
    sed 's/^Device Minor:.*/Device Minor: \t 1/; s/17:00.0/17:00.4/; s/GPU-./GPU-0/' \
        "$HOST/proc/driver/nvidia/gpus/0000:17:00.0/information" > "$HOST/proc/driver/nvidia/gpus/0000:17:00.4/information"
    speaks
    gpus=$(nvlxc --json gpus)
    [ "$(jq -c '.gpus[0] | [.index, .uuid]' <<< "$gpus")" = "$before" ]
    [ "$(jq -c '[.gpus[].virtual_functions]' <<< "$gpus")" = '[1]' ]
    run nvlxc gpus
    says "nvidia (1 virtual function)"
    [[ $output != *17:00.4* ]]
    run -0 nvlxc host
    says "driven by nvidia, 1 virtual function"
    [[ $output != *bind* && $output != *problem* && $output != *17:00.4* ]]
    [ "$(nvlxc --json host | jq '.gpus | length')" = 1 ]
}

@test "gpu-vfio beside a GPU that works is a note, and the exit status 0" {
    HOST=$(fixture two-gpus-535)
    rm -r "$HOST/proc/driver/nvidia/gpus/0000:02:00.0"
    ln -sfn ../../../../bus/pci/drivers/vfio-pci "$HOST/sys/devices/pci0000:00/0000:00:01.1/0000:02:00.0/driver"
    speaks gpu-vfio:note
    run -0 nvlxc doctor
    [[ $output == *"nothing is wrong, 1 note: "* ]]
}

@test "gpu-other-driver" {
    unload
    held_by pci-stub
    speaks gpu-other-driver:error
    has gpu-other-driver fix "echo 0000:01:00.0 > /sys/bus/pci/devices/0000:01:00.0/driver/unbind"
}

@test "gpu-too-new: an RTX 5090 and 550" {
    unload
    echo 0x2b85 > "$HOST/$GPU/device"
    speaks gpu-too-new:error
    has gpu-too-new evidence "10de:2b85" Blackwell "550.163.01 (proprietary)" "570 or newer"
    has gpu-too-new fix "NVIDIA's driver 580 or newer" "apt purge nvidia-alternative nvidia-kernel-dkms" \
        "nvlxc host setup --run NVIDIA-Linux-x86_64-580.178.04.run"
}

@test "gpu-too-old: a Kepler and 550" {
    unload
    echo 0x1180 > "$HOST/$GPU/device"
    speaks gpu-too-old:error
    has gpu-too-old fix "branch 470"
}

@test "gpu-flavour: open modules and a Pascal" {
    HOST=$(fixture a5500-580-open)
    rm -r "$HOST/proc/driver/nvidia/gpus/0000:01:00.0" "$HOST/$GPU/driver"
    echo 0x1b06 > "$HOST/$GPU/device"
    speaks gpu-flavour:error
    has gpu-flavour evidence "580.95.05 (open)" Pascal
    has gpu-flavour fix "nvlxc host setup --run NVIDIA-Linux-x86_64-580.95.05.run"
    [[ $(part gpu-flavour fix) != *"nvidia-kernel-dkms"* ]]
}

@test "gpu-refused: nothing known explains it" {
    rm -r "$HOST/proc/driver/nvidia/gpus/0000:01:00.0" "$HOST/$GPU/driver"
    speaks gpu-refused:error
    has gpu-refused evidence "0000:01:00.0/driver does not exist" "NVRM version"
    has gpu-refused fix "journalctl -k -g NVRM"
}

@test "gpu-excluded: the option is taken out" {
    sed -i 's/^GPU Excluded:.*/GPU Excluded:\t Yes/' "$HOST/proc/driver/nvidia/gpus/0000:01:00.0/information"
    echo "options nvidia-current NVreg_ExcludedGpus=0000:01:00.0 NVreg_EnableMSI=1" > "$HOST/etc/modprobe.d/x.conf"
    speaks gpu-excluded:error
    has gpu-excluded evidence "GPU Excluded: Yes" "x.conf:1: options nvidia-current NVreg_ExcludedGpus"
    mend gpu-excluded
    [ "$(cat "$HOST/etc/modprobe.d/x.conf")" = "options nvidia-current NVreg_EnableMSI=1" ]
}

# --- the kernel module ---

@test "driver-absent: on Debian and on Proxmox VE" {
    HOST=$(fixture no-driver)
    speaks driver-absent:error
    [ "$(part driver-absent fix | head -1)" = "nvlxc host setup" ]
    has driver-absent fix "linux-headers-amd64 linux-headers-6.12.107+deb13-amd64" nvidia-kernel-dkms
    echo $K > "$HOST/proc/sys/kernel/osrelease"
    has driver-absent fix "proxmox-default-headers proxmox-headers-$K"
}

@test "headers-missing: a new kernel came without them" {
    unload
    rm -r "$HOST/usr/lib/modules/$K/updates" "$HOST/usr/src/linux-headers-$K"
    mkdir -p "$HOST/usr/lib/modules/6.8.12-4-pve/updates/dkms"
    touch "$HOST/usr/lib/modules/6.8.12-4-pve/updates/dkms/nvidia-current.ko.xz"
    speaks headers-missing:error
    has headers-missing evidence "/lib/modules/$K/build does not exist, or is a broken link" "kernel 6.8.12-4-pve has one" \
        "package nvidia-kernel-dkms 550.163.01-2" "dkms: nvidia-current/550.163.01"
    has headers-missing fix "apt install proxmox-default-headers proxmox-headers-$K" "dkms autoinstall -k $K" \
        "modprobe nvidia-current"
}

@test "driver-kernel: newer than the driver is for: host setup, or another kernel" {
    unload
    echo 6.17.2-1-pve > "$HOST/proc/sys/kernel/osrelease"
    mkdir -p "$HOST/usr/lib/modules/6.17.2-1-pve/build"
    speaks driver-kernel:error
    has driver-kernel title "kernel 6.17.2-1-pve is newer than driver 550.163.01 (proprietary)"
    has driver-kernel evidence "driver 550.163.01 is for kernels up to 6.15" "kernel $K has one"
    [ "$(part driver-kernel fix | head -1)" = "nvlxc host setup" ]
    has driver-kernel fix "proxmox-boot-tool kernel pin $K"
}

@test "driver-kernel: the build that failed on 7.2, with the compiler's first error" {
    unload
    local kernel=7.2.12+deb13-amd64
    sed -i 's/550\.163\.01-2/550.163.01-4~bpo13+1/' "$HOST/var/lib/dpkg/status"
    echo $kernel > "$HOST/proc/sys/kernel/osrelease"
    mkdir -p "$HOST/usr/lib/modules/$kernel/build" "$HOST/$DKMS/build"
    {
        echo "DKMS make.log for nvidia-current-550.163.01 for kernel $kernel (x86_64)"
        sed 's/^[0-9]*://' "$NVL_SOURCE/tests/hosts/samples/dkms-7.2.errors"
    } > "$HOST/$DKMS/build/make.log"
    sed -i 's/proxmox-default-headers/linux-headers-amd64/' "$HOST/var/lib/dpkg/status"
    speaks driver-kernel:error
    has driver-kernel evidence "/var/lib/dkms/nvidia-current/550.163.01/build/make.log:" \
        "nv-mm.h:315:25: error: 'struct vm_area_struct' has no member named '__vm_flags'"
    [ "$(part driver-kernel fix | head -1)" = "nvlxc host setup" ] # which pins another kernel of Proxmox's
    rm -r "$HOST/etc/pve"
    has driver-kernel fix "580.178.04 or newer of branch 580, or 610.57.04 or newer" \
        "apt purge nvidia-alternative nvidia-kernel-dkms" "nvlxc host setup --run NVIDIA-Linux-x86_64-580.178.04.run" \
        "or reboot into kernel $K"
}

@test "driver-build-failed: on a kernel that it is for" {
    unload
    rm -r "$HOST/usr/lib/modules/$K/updates"
    mkdir -p "$HOST/$DKMS/build"
    printf '%s\n' "DKMS make.log for nvidia-current-550.163.01 for kernel $K (x86_64)" "make -j2" \
        "cc1: error: unrecognized command-line option '-fnew'" "make: *** [all] Error 2" > "$HOST/$DKMS/build/make.log"
    speaks driver-build-failed:error
    has driver-build-failed evidence "make.log:3: cc1: error: unrecognized command-line option"
    has driver-build-failed fix "dkms autoinstall -k $K"
}

@test "driver-not-built: dkms has not built it" {
    unload
    rm -r "$HOST/usr/lib/modules/$K/updates"
    speaks driver-not-built:error
    has driver-not-built evidence "no nvidia module in /lib/modules/$K"
    has driver-not-built fix "dkms autoinstall -k $K" "modprobe nvidia-current"
}

@test "driver-not-built: only libraries were installed" {
    unload
    rm -r "$HOST/usr/lib/modules/$K/updates" "$HOST/var/lib/dkms"
    sed -i 's/nvidia-kernel-dkms/other/' "$HOST/var/lib/dpkg/status"
    speaks driver-not-built:error
    has driver-not-built title "libraries are installed, but not its kernel module"
    has driver-not-built fix "apt install nvidia-kernel-dkms"
}

# secure_boot 0|1: the firmware's variable, after its four bytes of attributes.
secure_boot() {
    local vars=$HOST/sys/firmware/efi/efivars
    mkdir -p "$vars"
    printf '%b' "\\6\\0\\0\\0\\$1" > "$vars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
}

@test "driver-secure-boot: the key is not enrolled, and once it is, that is not the cause" {
    local list=$HOST/sys/firmware/efi/efivars/MokListRT-605dab50-e046-4300-abb6-3dd810dd8b23
    unload
    secure_boot 1
    echo "a certificate" > "$HOST/var/lib/dkms/mok.pub"
    speaks driver-secure-boot:error
    has driver-secure-boot evidence "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c: 1" \
        "does not contain /var/lib/dkms/mok.pub" "/lib/modules/$K/updates/dkms/nvidia-current.ko.xz exists"
    has driver-secure-boot fix "mokutil --import /var/lib/dkms/mok.pub" reboot
    mokutil() { [ "$1" = --import ] && { printf 'list '; cat "$2"; } > "$list"; }
    mend driver-secure-boot
    speaks driver-not-loaded:error
    rm "$list"
    secure_boot 0
    speaks driver-not-loaded:error
}

@test "driver-secure-boot: nothing was ever signed" {
    unload
    secure_boot 1
    speaks driver-secure-boot:error
    has driver-secure-boot fix "dkms generate_mok" "dkms build nvidia-current/550.163.01 -k $K --force" \
        "mokutil --import /var/lib/dkms/mok.pub"
}

@test "driver-not-loaded: built, and nothing says why" {
    unload
    speaks driver-not-loaded:error
    has driver-not-loaded evidence "/proc/driver/nvidia/version does not exist" "nvidia-current.ko.xz exists"
    has driver-not-loaded cause "couldn't communicate with the NVIDIA driver"
    [ "$(part driver-not-loaded fix | head -1)" = "modprobe nvidia-current" ]
}

@test "driver-not-loaded: modprobe's own configuration forbids it, until the fix" {
    unload
    echo "  blacklist  nvidia" > "$HOST/etc/modprobe.d/passthrough.conf"
    speaks driver-not-loaded:error
    has driver-not-loaded evidence "/etc/modprobe.d/passthrough.conf:1: blacklist nvidia"
    mend driver-not-loaded
    [ "$(cat "$HOST/etc/modprobe.d/passthrough.conf")" = "#   blacklist  nvidia" ]
    [[ $(part driver-not-loaded evidence) != *passthrough* ]]
}

@test "driver-version: not understood" {
    echo "NVRM version: something else" > "$HOST/proc/driver/nvidia/version"
    rm -r "$HOST/usr/lib/firmware"
    speaks driver-version:error
    has driver-version evidence "NVRM version: something else"
    has driver-version fix "nvlxc doctor --report"
}

# --- libraries and bundles ---

@test "libraries-absent" {
    rm -r "$HOST/usr/lib/x86_64-linux-gnu"
    speaks libraries-absent:error
    has libraries-absent fix "apt install libcuda1 nvidia-smi" "550.163.01" "nvlxc driver sync"
}

@test "libraries-mismatch: an upgrade, and no bundle of the loaded version" {
    HOST=$(fixture upgraded)
    rm -r "$HOST/var/lib/nvlxc"
    speaks libraries-mismatch:error
    has libraries-mismatch evidence "Kernel Module  550.163.01" "libraries of 580.95.05" "driver/550.163.01: no bundle"
    [ "$(part libraries-mismatch fix)" = reboot ]
}

@test "libraries-mismatch: older libraries than the module" {
    sed -i 's/550\.163\.01/580.95.05/' "$HOST/proc/driver/nvidia/version" \
        "$HOST/proc/driver/nvidia/gpus/0000:01:00.0/information"
    mv "$HOST/usr/lib/firmware/nvidia/550.163.01" "$HOST/usr/lib/firmware/nvidia/580.95.05"
    speaks libraries-mismatch:error
    has libraries-mismatch title "580.95.05 is loaded, 550.163.01 installed: they do not match"
    has libraries-mismatch fix "install the libraries of 580.95.05"
}

@test "upgrade-pending: a note while the loaded version's bundle is there" {
    HOST=$(fixture upgraded)
    speaks upgrade-pending:note
    [ "$(part upgrade-pending fix)" = reboot ]
    has upgrade-pending title "upgrade pending, reboot when convenient: 550.163.01 is loaded, 580.95.05 installed"
    run -0 nvlxc doctor
}

@test "libraries-incomplete: only what a container is granted" {
    grant
    rm "$HOST"/usr/lib/x86_64-linux-gnu/libnvidia-encode.so.1 \
        "$HOST"/usr/lib/x86_64-linux-gnu/nvidia/current/libnvidia-encode*
    speaks
    sed -i 's/CAPABILITIES=compute$/CAPABILITIES=compute,video/' "$HOST/var/lib/lxc/web/config"
    speaks libraries-incomplete:warning
    has libraries-incomplete evidence "video: " "libnvidia-encode.so.1" "containers with a grant: root/web"
    has libraries-incomplete fix "libnvidia-encode1" "nvlxc driver sync"
}

@test "libraries-incomplete: what few programs need is a note" {
    grant
    rm "$HOST"/usr/lib/x86_64-linux-gnu/libnvidia-opencl.so.1 \
        "$HOST"/usr/lib/x86_64-linux-gnu/nvidia/current/libnvidia-opencl*
    speaks libraries-incomplete:note
    has libraries-incomplete evidence "compute: libnvidia-opencl.so.1 is not installed"
    has libraries-incomplete fix "apt install nvidia-opencl-icd" "nvlxc driver sync"
}

@test "bundle-absent: once a container has a grant" {
    rm -rf "$HOST/var/lib/nvlxc"
    speaks
    grant
    rm -r "$HOST/var/lib/nvlxc"
    speaks bundle-absent:warning
    has bundle-absent fix "nvlxc driver sync"
}

# A healthy host whose driver files are Debian's real ones, with their bundle.
real_host() {
    local real=$BATS_FILE_TMPDIR/real
    if [ ! -d "$real" ]; then
        NVL_DRIVER_SETS="compute utility" "$NVL_SOURCE/tests/lib/driver-packages" 550 \
            "${NVL_CACHE:-$NVL_SOURCE/.cache}/drivers" "$real" > /dev/null
    fi
    rm -r "$HOST"/usr/lib/{x86_64-linux-gnu,nvidia} "$HOST"/etc/{alternatives,OpenCL} "$HOST/usr/bin/nvidia-smi"
    cp -al --remove-destination "$real/usr" "$real/etc" "$HOST/"
    grant
    rm -r "$HOST/var/lib/nvlxc"
    [ -n "$1" ] || nvlxc --quiet driver sync
}

@test "bundle-absent, with the real driver: the fix makes it" {
    real_host absent
    [[ $(nvlxc --json doctor | jq -r '.findings[].id') == *bundle-absent* ]]
    mend bundle-absent
    [[ $(nvlxc --json doctor | jq -r '.findings[].id') != *bundle* ]]
    nvlxc --json driver list | jq -e '.bundles[0].complete' > /dev/null
}

@test "bundle-damaged, with the real driver: which file it is, and the fix makes it whole" {
    real_host ''
    local bundle=$HOST/var/lib/nvlxc/driver/550.163.01 before
    before=$(nvlxc --json doctor | jq -c '[.findings[].id]')
    [[ $before != *bundle* ]]
    truncate -s 100 "$bundle/lib64/libcuda.so.550.163.01"
    has bundle-damaged evidence "/var/lib/nvlxc/driver/550.163.01/lib64/libcuda.so.550.163.01 has 100 bytes, the manifest"
    [ "$(nvlxc --json doctor | jq -r '.findings[] | select(.id == "bundle-damaged") | .severity')" = error ]
    mend bundle-damaged
    [ "$(nvlxc --json doctor | jq -c '[.findings[].id]')" = "$before" ]

    rm "$bundle/lib64/libcuda.so.1" "$bundle/sonames" "$bundle/bin/nvidia-smi"
    has bundle-damaged evidence "lib64/libcuda.so.1: No such file" "sonames: No such file" "bin/nvidia-smi: No such file"
    mend bundle-damaged
    ln -sf libcuda.so.1.0 "$bundle/lib64/libcuda.so.1"
    has bundle-damaged evidence "lib64/libcuda.so.1 -> libcuda.so.1.0, the manifest says libcuda.so.550.163.01"
    mend bundle-damaged
    echo '{' > "$bundle/manifest.json"
    has bundle-damaged evidence "manifest.json: is not a manifest of that version"
    mend bundle-damaged
    [ "$(nvlxc --json doctor | jq -c '[.findings[].id]')" = "$before" ]
}

@test "bundle-damaged: other content of the same size is seen with --deep, and mended" {
    real_host ''
    local file=$HOST/var/lib/nvlxc/driver/550.163.01/lib64/libcuda.so.550.163.01
    [[ $(nvlxc --json doctor --deep | jq -r '.findings[].id') != *bundle* ]]
    cp "$file" "$file.new" && printf x | dd of="$file.new" bs=1 seek=5000 conv=notrunc status=none && mv "$file.new" "$file"
    [[ $(nvlxc --json doctor | jq -r '.findings[].id') != *bundle* ]]
    part() { nvlxc --json doctor --deep | jq -r --arg id "$1" --arg key "$2" '.findings[] | select(.id == $id) | .[$key] | '"$JQ_WORDS"; }
    has bundle-damaged evidence "libcuda.so.550.163.01 does not have the content that the manifest names (XXH128)"
    mend bundle-damaged
    [[ $(nvlxc --json doctor --deep | jq -r '.findings[].id') != *bundle* ]]
}

@test "bundle-damaged: one of a version that is no longer installed is a warning" {
    mkdir -p "$HOST/var/lib/nvlxc/driver/535.261.03"
    speaks bundle-damaged:warning
    [ "$(part bundle-damaged fix)" = "nvlxc driver prune" ]
    mend bundle-damaged
    speaks
}

@test "bundle-damaged: also where the libraries are gone that it was made of" {
    grant
    rm -r "$HOST/usr/lib/x86_64-linux-gnu"
    speaks libraries-absent:warning
    rm "$HOST/var/lib/nvlxc/driver/550.163.01/sonames"
    speaks bundle-damaged:error libraries-absent:warning
}

@test "driver-not-loaded: nouveau has one GPU, and that is not why the other has no driver" {
    local other=0000:02:00.0
    unload
    held_by nouveau
    mkdir -p "$HOST/${GPU%/*}/$other"
    cp -rd "$HOST/$GPU/." "$HOST/${GPU%/*}/$other/"
    rm "$HOST/${GPU%/*}/$other/driver"
    ln -s "../../../${GPU#sys/}/../$other" "$HOST/sys/bus/pci/devices/$other"
    speaks gpu-nouveau:error driver-not-loaded:error
    ln -sfn ../../../../bus/pci/drivers/nouveau "$HOST/${GPU%/*}/$other/driver"
    speaks gpu-nouveau:error gpu-nouveau:error
}

@test "firmware-missing: gone with an upgrade, or not installed" {
    rm -r "$HOST/usr/lib/firmware"
    speaks firmware-missing:warning
    has firmware-missing evidence "/lib/firmware/nvidia/550.163.01" "GPU Firmware: 550.163.01"
    has firmware-missing fix firmware-nvidia-gsp
    local folder
    for folder in updates updates/$K $K .; do # where the kernel looks
        install -D /dev/null "$HOST/usr/lib/firmware/$folder/nvidia/550.163.01/gsp_tu10x.bin"
        speaks
        rm -r "$HOST/usr/lib/firmware"
        speaks firmware-missing:warning
    done
    HOST=$(fixture upgraded)
    rm -r "$HOST/usr/lib/firmware"
    speaks firmware-missing:warning upgrade-pending:note
    [ "$(part firmware-missing fix)" = reboot ]
}

# --- device nodes and services ---

@test "uvm-not-loaded: and its missing nodes are folded" {
    HOST=$(fixture uvm-missing)
    speaks uvm-not-loaded:error
    has uvm-not-loaded evidence "/proc/devices: no line nvidia-uvm"
    has uvm-not-loaded cause 999
    [ "$(part uvm-not-loaded fix)" = $'modprobe nvidia-uvm\nnvidia-modprobe -c 0 -u' ]
    rm "$HOST/usr/bin/nvidia-modprobe"
    has uvm-not-loaded fix "apt install nvidia-modprobe"
}

# fault PATH ID SEVERITY: a node that is planted wrong is found, and its fix makes it right.
fault() {
    rm "$HOST/usr/bin/nvidia-modprobe"
    speaks "$2:$3"
    has "$2" evidence "$1"
    mend "$2"
    speaks
    touch "$HOST/usr/bin/nvidia-modprobe"
}

@test "node-missing: each kind, with what fails without it" {
    rm "$HOST/dev/nvidia0"
    has node-missing cause "No devices were found"
    fault /dev/nvidia0 node-missing error
    rm "$HOST/dev/nvidiactl"
    fault /dev/nvidiactl node-missing error
    rm "$HOST"/dev/nvidia-uvm*
    has node-missing cause 999
    fault /dev/nvidia-uvm-tools node-missing error
    rm "$HOST/dev/nvidia-uvm-tools"
    fault /dev/nvidia-uvm-tools node-missing warning
    rm "$HOST/dev/nvidia-modeset"
    fault /dev/nvidia-modeset node-missing warning
    rm "$HOST/dev/dri/renderD128"
    speaks node-missing:warning
    has node-missing fix "udevadm trigger"
}

@test "node-missing: a MIG device's" {
    HOST=$(fixture h100-mig)
    rm "$HOST/dev/nvidia-caps/nvidia-cap22"
    has node-missing cause "Insufficient Permissions"
    fault "/dev/nvidia-caps/nvidia-cap22 does not exist, should be 509:22" node-missing error
}

@test "node-not-device: a file that create=file left" {
    rm "$HOST/dev/nvidia-uvm"
    touch "$HOST/dev/nvidia-uvm"
    fault "/dev/nvidia-uvm is not a device" node-not-device error
}

@test "node-not-device: a render node that a mount into a bound /dev/dri left as a file" {
    rm "$HOST/dev/dri/renderD128"
    touch "$HOST/dev/dri/renderD128"
    speaks node-not-device:warning
    has node-not-device evidence "/dev/dri/renderD128 is not a device"
    has node-not-device fix "rm -f /dev/dri/renderD128" "udevadm trigger"
}

@test "libraries-incomplete: without the PTX compiler CUDA gives error 221" {
    grant
    rm "$HOST"/usr/lib/x86_64-linux-gnu/libnvidia-ptxjitcompiler.so.1 \
        "$HOST"/usr/lib/x86_64-linux-gnu/nvidia/current/libnvidia-ptxjitcompiler*
    speaks libraries-incomplete:warning
    has libraries-incomplete evidence "compute: libnvidia-ptxjitcompiler.so.1"
}

@test "node-stale: majors of before the reboot" {
    rm "$HOST/dev/nvidia-uvm"
    mknod -m 666 "$HOST/dev/nvidia-uvm" c 511 0
    fault "/dev/nvidia-uvm is 511:0, should be 506:0" node-stale error
}

@test "node-mode: closed to containers' users; the driver's params say what is right" {
    chmod 600 "$HOST/dev/nvidiactl"
    fault "/dev/nvidiactl has mode 0600, should have 0666" node-mode error
    sed -i 's/^DeviceFileMode: .*/DeviceFileMode: 432/' "$HOST/proc/driver/nvidia/params"
    chmod 660 "$HOST"/dev/nvidia*
    chmod 755 "$HOST/dev/nvidia-caps"
    speaks
}

@test "mig-empty: in MIG mode without an instance" {
    HOST=$(fixture h100-mig)
    local mig=$HOST/proc/driver/nvidia/capabilities/gpu0/mig
    rm -r "$mig"/gi*
    touch "$mig/config"
    speaks mig-empty:error
    has mig-empty fix "nvidia-smi mig -i 0000:17:00.0 -cgi PROFILE -C" "nvidia-smi -i 0000:17:00.0 -mig 0"
}

@test "fabric-manager: where there is a switch, not where there is a major" {
    grep -q nvidia-nvswitch "$HOST/proc/devices"
    mkdir -p "$HOST/proc/driver/nvidia-nvswitch/devices/0000:c1:00.0"
    speaks fabric-manager:error
    has fabric-manager evidence "0000:c1:00.0"
    has fabric-manager cause 802
    has fabric-manager fix "nvidia-fabricmanager of version 550.163.01" "systemctl enable --now nvidia-fabricmanager"
    mkdir "$HOST/proc/612" && echo nv-fabricmanage > "$HOST/proc/612/comm"
    speaks
}

@test "persistence: a note, and the exit status 0" {
    rm -r "$HOST/proc/611"
    speaks persistence:note
    run -0 nvlxc doctor
    has persistence fix "apt install nvidia-persistenced"
    touch "$HOST/usr/bin/nvidia-persistenced"
    [ "$(part persistence fix)" = "systemctl enable --now nvidia-persistenced" ]
}

# --- boot, the hook, the cluster ---

@test "nouveau-blacklist: the fix writes it" {
    rm "$HOST/etc/modprobe.d/nvidia.conf"
    speaks nouveau-blacklist:warning
    mend nouveau-blacklist
    speaks
}

@test "nouveau-blacklist: other ways to keep it out" {
    rm "$HOST/etc/modprobe.d/nvidia.conf"
    local word
    for word in modprobe.blacklist=nouveau modprobe.blacklist=a,nouveau module_blacklist=nouveau rd.driver.blacklist=nouveau \
        nouveau.modeset=0; do
        echo "quiet $word" > "$HOST/proc/cmdline"
        speaks
    done
    echo "quiet modprobe.blacklist=nouveau2" > "$HOST/proc/cmdline"
    speaks nouveau-blacklist:warning
    rm "$HOST/proc/cmdline"
    echo "install nouveau /bin/false" > "$HOST/etc/modprobe.d/nouveau.conf"
    speaks
    rm "$HOST/etc/modprobe.d/nouveau.conf"
    speaks nouveau-blacklist:warning
    rm -r "$HOST/usr/lib/modules/$K/kernel/drivers/gpu/drm/nouveau" # this kernel has none
    speaks
}

@test "nvidia-kept-out: a blacklist is left over, and the driver is loaded" {
    printf 'blacklist nouveau\nblacklist nvidia\ninstall nvidia /sbin/modprobe -i nvidia-current\n' > "$HOST/etc/modprobe.d/nvidia.conf"
    speaks nvidia-kept-out:warning
    has nvidia-kept-out evidence "/etc/modprobe.d/nvidia.conf:2: blacklist nvidia"
    mend nvidia-kept-out
    speaks
    echo "quiet modprobe.blacklist=nouveau,nvidia" > "$HOST/proc/cmdline"
    speaks nvidia-kept-out:warning
    has nvidia-kept-out fix "remove nvidia from the kernel's command line"
}

@test "vfio-ids: vfio-pci is told to take a GPU that is not bound yet" {
    echo "options vfio-pci ids=10de:2438,10de:228b" > "$HOST/etc/modprobe.d/vfio.conf"
    speaks vfio-ids:warning
    has vfio-ids evidence "/etc/modprobe.d/vfio.conf:1: options vfio-pci ids=10de:2438,10de:228b"
    mend vfio-ids
    speaks
}

@test "nova-blacklist: on kernels that have it" {
    mkdir -p "$HOST/usr/lib/modules/$K/kernel/drivers/gpu/nova-core"
    speaks nova-blacklist:warning
    mend nova-blacklist
    speaks
}

@test "initramfs-old: older than the blacklist" {
    mkdir -p "$HOST/boot"
    touch -d "1 hour ago" "$HOST/boot/initrd.img-$K"
    touch "$HOST/etc/modprobe.d/nvidia.conf"
    speaks initramfs-old:warning
    has initramfs-old evidence "/boot/initrd.img-$K" "/etc/modprobe.d/nvidia.conf"
    [ "$(part initramfs-old fix)" = "update-initramfs -u -k all" ]
    touch -d "1 hour" "$HOST/boot/initrd.img-$K"
    speaks
}

@test "headers-not-kept: the package that brings each kernel's" {
    sed -i 's/proxmox-default-headers/other/' "$HOST/var/lib/dpkg/status"
    speaks headers-not-kept:warning
    has headers-not-kept fix "apt install proxmox-default-headers proxmox-headers-$K"
    printf '\nPackage: proxmox-headers-6.14\nStatus: install ok installed\nVersion: 6.14.11-4\n' >> "$HOST/var/lib/dpkg/status"
    speaks
}

@test "hook-missing: while containers have a grant" {
    grant
    rm "$HOST/usr/libexec/nvlxc/hook"
    speaks hook-missing:error
    has hook-missing evidence "/usr/libexec/nvlxc/hook does not exist" root/web
    has hook-missing fix "apt install --reinstall nvlxc"
}

# Container 221 has the nodes by Proxmox's own entries, and starts at boot.
onboot() {
    printf 'dev0: /dev/nvidia0,mode=0666\nonboot: 1\n' > "$BATS_TEST_TMPDIR/lines"
    cat "$HOST/etc/pve/lxc/221.conf" >> "$BATS_TEST_TMPDIR/lines"
    cp "$BATS_TEST_TMPDIR/lines" "$HOST/etc/pve/lxc/221.conf"
}

# host_speaks [ID:SEVERITY...]: the same for the host's findings alone.
host_speaks() {
    local got
    got=$(nvlxc --json doctor | jq -r '.findings[] | select(.container == null) | .id + ":" + .severity' | tr '\n' ' ')
    [ "${got% }" = "$*" ] || { nvlxc doctor; echo "expected: $*"; return 1; }
}

@test "boot-nodes: a container that needs them at boot, until the unit is enabled" {
    onboot
    host_speaks boot-nodes:warning
    has boot-nodes evidence "start at boot and name nodes themselves: 221" "nvlxc-boot.service does not exist"
    has boot-nodes fix "apt install --reinstall nvlxc"
    install -D -m 644 "$NVL_SOURCE/data/nvlxc-boot.service" "$HOST/usr/lib/systemd/system/nvlxc-boot.service"
    host_speaks boot-nodes:warning
    [ "$(part boot-nodes fix)" = "systemctl enable nvlxc-boot.service" ]
    mend boot-nodes
    host_speaks
}

@test "boot-nodes: a unit of the user's own that is not ordered before the guests" {
    onboot
    install -D -m 644 "$NVL_SOURCE/data/nvlxc-boot.service" "$HOST/usr/lib/systemd/system/nvlxc-boot.service"
    mkdir -p "$HOST/etc/systemd/system"
    sed '/^Before=/d' "$NVL_SOURCE/data/nvlxc-boot.service" > "$HOST/etc/systemd/system/nvlxc-boot.service"
    systemctl --root="$HOST" enable nvlxc-boot.service
    host_speaks boot-nodes:warning
    has boot-nodes evidence "/etc/systemd/system/nvlxc-boot.service has no Before=pve-guests.service"
    has boot-nodes fix "systemctl revert nvlxc-boot.service"
}

@test "boot-nodes: plain LXC's guests are lxc.service's" {
    HOST=$(fixture two-gpus-535)
    mkdir -p "$HOST/var/lib/lxc/a"
    printf '%s\n' 'lxc.start.auto = 1' 'lxc.mount.entry = /dev/nvidia0 dev/nvidia0 none bind,optional' > "$HOST/var/lib/lxc/a/config"
    install -D -m 644 "$NVL_SOURCE/data/nvlxc-boot.service" "$HOST/usr/lib/systemd/system/nvlxc-boot.service"
    systemctl --root="$HOST" enable nvlxc-boot.service
    host_speaks
    sed -i 's/ lxc.service//; s/^Before=lxc.service */Before=/' "$HOST/usr/lib/systemd/system/nvlxc-boot.service"
    host_speaks boot-nodes:warning
    has boot-nodes evidence "has no Before=lxc.service"
    sed -i 's/^lxc.start.auto = 1/lxc.start.auto = 0/' "$HOST/var/lib/lxc/a/config"
    host_speaks
}

@test "boot-nodes: not while it starts by hand, nor for a container with the hook" {
    onboot
    sed -i '/^onboot/d' "$HOST/etc/pve/lxc/221.conf"
    host_speaks
    HOST=$(healthy)
    grant
    echo "lxc.start.auto = 1" >> "$HOST/var/lib/lxc/web/config"
    host_speaks
}

@test "boot-nodes: a grant with --nodes dev needs them too; with --nodes static the start hook makes them" {
    mkdir -p "$HOST/usr/libexec/nvlxc" && install -m 755 /dev/null "$HOST/usr/libexec/nvlxc/hook"
    nvlxc driver sync --quiet 2> /dev/null || true
    sed -i '1i onboot: 1' "$HOST/etc/pve/lxc/221.conf"
    nvlxc attach 221 --nodes dev > /dev/null 2>&1
    [[ $(nvlxc --json doctor | jq -r '.findings[] | select(.id == "boot-nodes") | .evidence') == *"themselves: 221"* ]]
    nvlxc detach 221 > /dev/null 2>&1
    nvlxc attach 221 --nodes static > /dev/null 2>&1
    [ "$(nvlxc --json doctor | jq '[.findings[] | select(.id == "boot-nodes")] | length')" = 0 ]
}

@test "cluster-gone: pmxcfs was stopped, and left the empty folder" {
    rm -r "$HOST/etc/pve"
    mkdir "$HOST/etc/pve"
    speaks cluster-gone:error
    has cluster-gone evidence "/etc/pve is an empty folder"
    has cluster-gone fix "systemctl restart pve-cluster"
}

@test "exclusive-shared: a clone of a container that should have its GPU alone, and what else gives that GPU" {
    local pve=$HOST/etc/pve/lxc
    grant && nvlxc detach root/web > /dev/null # hook and bundle stay
    nvlxc attach 221 --exclusive --capabilities compute > /dev/null
    speaks
    cp "$pve/221.conf" "$pve/224.conf"
    speaks exclusive-shared:error
    has exclusive-shared title "221 should have its GPU alone, and shares it"
    has exclusive-shared evidence "GPU 0, NVIDIA RTX A5500 Laptop GPU" "221 has it with --exclusive, 224 too"
    has exclusive-shared fix "nvlxc detach 224   # or, to leave it the GPU: nvlxc detach 221" "attach 221 again without --exclusive"
    mend exclusive-shared
    speaks
    ! grep -q nvidia "$pve/224.conf"
    # a grant that shares, of an edit
    sed 's/ --exclusive//' "$pve/221.conf" > "$pve/224.conf"
    has exclusive-shared evidence "221 has it with --exclusive, 224 by a grant"
    nvlxc attach 224 --gpu none --capabilities compute > /dev/null
    speaks
    # lines by hand, which no command of nvlxc takes away
    printf '%s\n' 'arch: amd64' 'dev0: /dev/nvidia0' 'unprivileged: 1' > "$pve/224.conf"
    has exclusive-shared evidence "221 has it with --exclusive, 224 by lines by hand"
    has exclusive-shared fix "remove the lines about NVIDIA from 224 (\`nvlxc show 224\` lists them), or: nvlxc detach 221"
    # two that share, as both agreed to
    rm "$pve/224.conf"
    nvlxc attach 221 --capabilities compute > /dev/null
    cp "$pve/221.conf" "$pve/224.conf"
    speaks
}

@test "quorum-lost: /etc/pve is read-only" {
    rm "$HOST/etc/pve/local"
    mkdir "$HOST/etc/pve/local"
    chmod 555 "$HOST/etc/pve/local"
    speaks quorum-lost:error
    has quorum-lost fix "pvecm status"
}

@test "cgroup-v1: the device filter of the hybrid layout" {
    printf '%s\n' "cgroup2 /sys/fs/cgroup/unified cgroup2 rw,nsdelegate 0 0" \
        "cgroup /sys/fs/cgroup/devices cgroup rw,nosuid,devices 0 0" > "$HOST/proc/mounts"
    speaks cgroup-v1:warning
    has cgroup-v1 evidence "/proc/mounts: cgroup /sys/fs/cgroup/devices cgroup rw,nosuid,devices 0 0"
    has cgroup-v1 fix "systemd.unified_cgroup_hierarchy=0"
    echo "cgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0" > "$HOST/proc/mounts"
    speaks
}

# --- together ---

@test "findings are sorted by what blocks first" {
    rm "$HOST/dev/nvidia0" "$HOST/etc/modprobe.d/nvidia.conf"
    rm -r "$HOST/proc/611" "$HOST/usr/lib/firmware"
    speaks node-missing:error firmware-missing:warning nouveau-blacklist:warning persistence:note
    run -1 nvlxc doctor
    [[ ${lines[-1]} == "1 error, 2 warnings, 1 note in "* ]]
}

# without_driver CAUSE: the host has no driver for that reason, and none of its nodes.
without_driver() {
    unload
    rm -rf "$HOST"/dev/nvidia*
    case $1 in
    gpu-nouveau) held_by nouveau ;;
    gpu-too-new) echo 0x2b85 > "$HOST/$GPU/device" ;;
    driver-absent) rm -r "$HOST"/usr/lib/{x86_64-linux-gnu,nvidia,firmware,modules/$K/updates} "$HOST/var/lib/dkms"
        rm -rf "$HOST/var/lib/nvlxc" && sed -i 's/^Package: .*nvidia.*/Package: other/' "$HOST/var/lib/dpkg/status" ;;
    headers-missing) rm -r "$HOST/usr/lib/modules/$K/updates" "$HOST/usr/src/linux-headers-$K" ;;
    driver-kernel) echo 6.17.2-1-pve > "$HOST/proc/sys/kernel/osrelease"
        mkdir -p "$HOST/usr/lib/modules/6.17.2-1-pve/build" ;;
    driver-build-failed) rm -r "$HOST/usr/lib/modules/$K/updates" && mkdir -p "$HOST/$DKMS/build"
        printf '%s\n' "DKMS make.log for nvidia-current-550.163.01 for kernel $K (x86_64)" 'x.c:1: error: no' \
            > "$HOST/$DKMS/build/make.log" ;;
    driver-not-built) rm -r "$HOST/usr/lib/modules/$K/updates" ;;
    driver-secure-boot) secure_boot 1 ;;
    driver-not-loaded) ;;
    *) return 1 ;;
    esac
}

@test "no driver, whatever the reason: it is said once, and no container is blamed for it" {
    local cause
    for cause in gpu-nouveau gpu-too-new driver-absent headers-missing driver-kernel driver-build-failed driver-not-built \
        driver-secure-boot driver-not-loaded; do
        HOST=$(healthy)
        grant
        # by hand, by Proxmox, and with dev[n] of nvlxc's own
        printf 'lxc.mount.entry: %s none bind,optional,create=file\n' '/dev/nvidia0 dev/nvidia0' '/dev/nvidia-uvm dev/nvidia-uvm' \
            > "$BATS_TEST_TMPDIR/lines"
        cat "$HOST/etc/pve/lxc/222.conf" "$BATS_TEST_TMPDIR/lines" > "$BATS_TEST_TMPDIR/conf"
        grep -q '^\[' "$HOST/etc/pve/lxc/222.conf" && return 1
        cat "$BATS_TEST_TMPDIR/conf" > "$HOST/etc/pve/lxc/222.conf"
        nvlxc attach 221 --nodes dev --capabilities compute > /dev/null 2>&1
        speaks
        without_driver $cause
        speaks "$cause:error"
        [[ $(nvlxc doctor | tail -n 1) == "1 error in "*" and 3 containers ("*")" ]]
    done
}

@test "host shows the same findings, by the same ids" {
    rm "$HOST/dev/nvidia0"
    rm -r "$HOST/proc/611"
    run -1 nvlxc --json host
    [ "$(jq -c '[.findings[].id]' <<< "$output")" = '["node-missing","persistence"]' ]
    run -1 nvlxc host
    [[ $output == *"note       the persistence daemon is not installed"* ]]
}

# --- the report ---

@test "report: versions, GPUs, containers and findings, in Markdown" {
    grant
    rm "$HOST/dev/nvidia0"
    run -1 nvlxc doctor root/web --report
    [ "${lines[0]}" = "## nvlxc doctor" ]
    for text in "| kernel | $K |" "| distribution | debian 13 (trixie), Proxmox VE 9 |" "| pve-container | 6.0.9 |" \
        "| nvidia-kernel-dkms | 550.163.01-2 |" "| driver | 550.163.01, libraries 550.163.01 |" \
        "| flavour | proprietary |" "| GPU | NVIDIA RTX A5500 Laptop GPU (10de:2438, nvidia) |" \
        "| container | root/web (LXC, unprivileged, hook, stopped) |" "node-missing" "nvidia-modprobe -c 0"; do
        [[ $output == *"$text"* ]] || { echo "$text"; echo "$output"; return 1; }
    done
}

@test "report: nothing that says whose machine it is" {
    local secret="tank-9000|example\.org|alice|203\.0\.113|2001:db8|bc:24:11|7c9e6679|3291dfa4|1420918033|hunter2|hf_Abc|deadbeefcafe"
    echo tank-9000.example.org > "$HOST/etc/hostname"
    local number="Serial Number"
    grant
    # where evidence quotes files, somebody's secrets may stand in them
    cat >> "$HOST/etc/modprobe.d/passthrough.conf" <<END
blacklist nvidia # 0000:01:00.0 10de:2438 tank-9000 203.0.113.7 2001:db8::17 bc:24:11:5e:90:01 by alice in /home/alice/x token=hunter2 $number: 1420918033
install nvidia-current /bin/false --id 7c9e6679-7425-40de-944b-e07fc1f90ae7 alice@pam!x hf_AbcDefGhiJklMnoPqrStuVwxYzAbCdEf deadbeefcafe00112233445566778899 API_KEY="hunter2" TANK-9000
END
    unload
    run -1 nvlxc doctor
    grep -qE "$secret" <<< "$output"
    run -1 nvlxc doctor --report
    local report=$output
    echo "$report"
    run ! grep -iE "$secret" <<< "$report"
    # what helps is still there
    for text in "blacklist nvidia" "/etc/modprobe.d/passthrough.conf" "0000:01:00.0" "550.163.01" "$K" "10de:2438" \
        "nvidia-current.ko.xz" "/home/USER/x" "token=MASKED"; do
        [[ $report == *"$text"* ]] || { echo "missing: $text"; return 1; }
    done
}

@test "report: a GPU's UUID is cut short" {
    grant
    sed -i "s/$A5500/GPU-aaaabbbb-cccc-dddd-eeee-ffff00001111/" "$HOST/var/lib/lxc/web/config"
    run -1 nvlxc doctor --report
    [[ $output == *"GPU-aaaa…"* ]]
    run ! grep -E 'aaaabbbb|3291dfa4' <<< "$output"
}
