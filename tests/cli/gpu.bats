# nvlxc gpu: what it says before anything is touched, and what a GPU that is lent is for the other commands. The hand-over
# itself needs a kernel with drivers: suite vm.

bats_require_minimum_version 1.5.0

setup() {
    load "$NVL_SOURCE/tests/lib/hosts.bash"
    load "$NVL_SOURCE/tests/lib/json.bash"
    NVLXC="$NVL_BUILD/src/cli/nvlxc"
    PCI=0000:01:00
    UUID=GPU-3291dfa4-fcc4-0110-615b-c894a0d7c689
}

# lendable HOST: its GPU and the sound beside it have an IOMMU group of their own.
lendable() {
    local function
    mkdir -p "$1/sys/kernel/iommu_groups/14/devices"
    for function in 0 1; do
        ln -s ../../../kernel/iommu_groups/14 "$1/sys/bus/pci/devices/$PCI.$function/iommu_group"
        ln -s "../../../../bus/pci/devices/$PCI.$function" "$1/sys/kernel/iommu_groups/14/devices/$PCI.$function"
    done
}

# lent HOST [VM]: as `nvlxc gpu lend` leaves it, with the GPU in a virtual machine.
lent() {
    mkdir -p "$1/run/nvlxc/lent"
    printf '%s\n' "uuid $UUID" 'model NVIDIA RTX A5500 Laptop GPU' 'index 0' ${2:+"vm $2"} "function $PCI.0 nvidia" \
        "function $PCI.1 snd_hda_intel" >"$1/run/nvlxc/lent/$PCI.0"
    rm -rf "$1/proc/driver/nvidia/gpus/$PCI.0"
    ln -sfn ../../../../bus/pci/drivers/vfio-pci "$1/sys/bus/pci/devices/$PCI.0/driver"
}

# refused TEXT…: `gpu lend` does not begin, says each text, and has noted nothing.
refused() {
    run -3 --separate-stderr on_machine "$host" "$NVLXC" gpu lend 0
    says "GPU 0, NVIDIA RTX A5500 Laptop GPU ($UUID) cannot be lent:" "$@"
    [ ! -e "$host/run/nvlxc/lent" ]
}

@test "a GPU that nothing keeps can be lent" {
    host=$(fixture a5500-550)
    lendable "$host"
    run -0 --separate-stderr on_machine "$host" "$NVLXC" gpu lend --to-vm 101 --dry-run
    [ "$output" = "GPU 0, NVIDIA RTX A5500 Laptop GPU ($UUID) can be lent to VM 101" ]
    on_machine "$host" "$NVLXC" --json gpu lend 0 --dry-run | is_json gpu
    [ ! -e "$host/run/nvlxc/lent" ]
}

@test "it cannot: without an IOMMU" {
    host=$(fixture a5500-550)
    refused "this machine's IOMMU is off" 'switch on the IOMMU (Intel: VT-d; AMD: AMD-Vi, IOMMU)'
}

@test "it cannot: another device in its group, but for bridges and what no driver holds" {
    local devices
    host=$(fixture a5500-550)
    devices=$host/sys/bus/pci/devices
    lendable "$host"
    ln -s "../../../../bus/pci/devices/0000:00:01.0" "$host/sys/kernel/iommu_groups/14/devices/0000:00:01.0"
    mkdir "$devices/0000:02:00.0"
    echo 0x010802 >"$devices/0000:02:00.0/class"
    ln -s x "$host/sys/kernel/iommu_groups/14/devices/0000:02:00.0"
    echo 0x060400 >"$devices/0000:00:01.0/class"
    ln -sfn ../../../../bus/pci/drivers/pcieport "$devices/0000:00:01.0/driver"
    run -0 on_machine "$host" "$NVLXC" gpu lend 0 --dry-run
    ln -s ../../../../bus/pci/drivers/nvme "$devices/0000:02:00.0/driver"
    refused 'its IOMMU group has other devices, which the virtual machine would need, too: 0000:02:00.0 (nvme)'
}

@test "it cannot: the console is on it" {
    local device
    host=$(fixture a5500-550)
    lendable "$host"
    device=$host/sys/bus/pci/devices/$PCI.0
    mkdir -p "$host/sys/class/graphics/fb0" "$host/sys/devices/platform/simple-framebuffer.0"
    ln -s ../../../devices/platform/simple-framebuffer.0 "$host/sys/class/graphics/fb0/device"
    # the firmware's framebuffer is on the card that the machine booted with
    echo 0 >"$device/boot_vga"
    run -0 on_machine "$host" "$NVLXC" gpu lend 0 --dry-run
    echo 1 >"$device/boot_vga"
    refused "the host's console is on it (fb0), and keeps its memory" 'initcall_blacklist=sysfb_init'
    # a driver's own
    echo 0 >"$device/boot_vga"
    ln -sfn "../../../bus/pci/devices/$PCI.0" "$host/sys/class/graphics/fb0/device"
    refused "the host's console is on it (fb0)"
}

@test "it cannot: nvidia-drm drives displays on it" {
    host=$(fixture a5500-550)
    lendable "$host"
    mkdir -p "$host/sys/module/nvidia_drm/parameters"
    echo N >"$host/sys/module/nvidia_drm/parameters/modeset"
    echo 0 >"$host/sys/module/nvidia_drm/refcnt"
    run -0 on_machine "$host" "$NVLXC" gpu lend 0 --dry-run
    echo Y >"$host/sys/module/nvidia_drm/parameters/modeset"
    refused 'nvidia-drm drives displays on it (modeset=1)' 'modprobe -r nvidia_drm   # until the next boot; nothing uses it now'
    # what uses it has to go first
    echo 2 >"$host/sys/module/nvidia_drm/refcnt"
    refused "echo 'options nvidia-drm modeset=0' > /etc/modprobe.d/nvlxc-drm.conf" 'update-initramfs -u' reboot
    [[ $output$stderr != *"modprobe -r"* ]]
}

@test "only root, only this machine, and only what it knows" {
    host=$(fixture a5500-550)
    run -2 --separate-stderr "$NVLXC" --root "$host" gpu lend 0
    says "gpu lend changes this machine's drivers, so it does not take --root"
    run -3 --separate-stderr on_machine "$host" "$NVLXC" gpu lend 7
    says 'no GPU 7 on this host' 'nvlxc gpus'
    run -2 --separate-stderr on_machine "$host" "$NVLXC" gpu lend all
    run -2 --separate-stderr on_machine "$host" "$NVLXC" gpu lend "MIG-$UUID/1/0"
    says 'names no whole GPU'
    run -2 --separate-stderr on_machine "$host" "$NVLXC" gpu borrow 0
    says "unknown word 'borrow': lend, back or hookscript"
    run -2 --separate-stderr on_machine "$host" "$NVLXC" gpu lend 0 --to-vm web
    says "'web' is no VM's number"
    run -2 --separate-stderr on_machine "$host" "$NVLXC" gpu back --to-vm 101
    run -2 --separate-stderr on_machine "$host" "$NVLXC" gpu back
    says 'no GPU is lent' 'nvlxc gpus'
    # it was never away
    run -0 --separate-stderr on_machine "$host" "$NVLXC" gpu back 0
    says 'is here: it was not lent'
    # alone it lists
    run -0 --separate-stderr "$NVLXC" --root "$host" gpu
    [ "$output" = "$("$NVLXC" --root "$host" gpus)" ]
    command -v setpriv >/dev/null || skip 'no setpriv'
    run -3 --separate-stderr setpriv --reuid 65534 --regid 65534 --clear-groups "$NVLXC" gpu lend 0
    says 'gpu lend must run as root' 'sudo nvlxc gpu lend'
}

@test "lent: every command knows it, by number and by UUID" {
    host=$(fixture a5500-550)
    run -0 "$NVLXC" --root "$host" attach 220 --gpu 0 --quiet
    lent "$host" 101
    run -0 --separate-stderr "$NVLXC" --root "$host" gpus
    says 'vfio-pci (lent to VM 101)'
    run -0 --separate-stderr "$NVLXC" --root "$host" --json gpus
    [ "$(jq -r '.gpus[0] | .state, .uuid, .model' <<<"$output")" = $'lent\n'"$UUID"$'\nNVIDIA RTX A5500 Laptop GPU' ]
    run -3 --separate-stderr "$NVLXC" --root "$host" attach 221 --gpu "$UUID"
    says 'is lent to VM 101' "nvlxc gpu back $PCI.0"
    run "$NVLXC" --root "$host" show 220
    says "the GPU at $PCI.0 is lent to VM 101"
    # on purpose: the container's lack of it is explained by that
    run --separate-stderr "$NVLXC" --root "$host" --json doctor
    [ "$(jq -c '[.findings[] | select(.id | test("gpu-lent|grant-")) | [.id, .severity]] | sort' <<<"$output")" = '[["gpu-lent","note"],["grant-gpu-held","note"]]' ]
    [ "$(jq -r '.findings[] | select(.id == "gpu-lent").fix[0].command' <<<"$output")" = "nvlxc gpu back $PCI.0" ]
    # to people it has a name
    run -0 "$NVL_SOURCE/tests/lib/at-terminal" 100 -- "$NVLXC" --root "$host" list
    says 'RTX A5500 Laptop GPU (lent to VM 101)'
    # a note of a device that the machine no longer has says nothing
    mv "$host/run/nvlxc/lent/$PCI.0" "$host/run/nvlxc/lent/0000:77:00.0"
    run -0 --separate-stderr "$NVLXC" --root "$host" gpus
    [[ $output != *0000:77* && $output != *lent* ]]
}

@test "lent, while nvidia still has it: no container gets it" {
    host=$(fixture a5500-550)
    mkdir -p "$host/run/nvlxc/lent"
    : >"$host/run/nvlxc/lent/$PCI.0"
    run -3 --separate-stderr "$NVLXC" --root "$host" attach 220 --gpu 0
    says 'is lent to a virtual machine'
    # names that are no address
    rm "$host/run/nvlxc/lent/$PCI.0"
    mkdir "$host/run/nvlxc/lent/01:00.0" "$host/run/nvlxc/lent/web"
    run -0 --separate-stderr "$NVLXC" --root "$host" attach 220 --gpu 0 --dry-run
}

# sysfs HOST: what is written to there changes no driver, as where none takes the device.
sysfs() {
    local function
    lendable "$1"
    mkdir -p "$1"/sys/bus/pci/drivers/{vfio-pci,nvidia,snd_hda_intel}
    : >"$1/sys/bus/pci/drivers_probe"
    for function in 0 1; do
        : >"$1/sys/bus/pci/devices/$PCI.$function/driver_override"
    done
    touch "$1"/sys/bus/pci/drivers/{vfio-pci,nvidia,snd_hda_intel}/unbind
}

# What was written last: unlike sysfs, a file keeps what is behind it.
overrides() {
    head -qn 1 "$host/sys/bus/pci/devices/$PCI".{0,1}/driver_override
}

# program NUMBER NAME CGROUP FILE: one that has that device open, in the host's /proc. The number is one that no process has, so
# that none is hit.
program() {
    mkdir -p "$host/proc/$1/fd"
    echo "$2" >"$host/proc/$1/comm"
    echo "0::$3" >"$host/proc/$1/cgroup"
    ln -s "$4" "$host/proc/$1/fd/3"
}

@test "who has it open is said, with what to do; a lend changes nothing then" {
    host=$(fixture a5500-550)
    sysfs "$host"
    program 99999001 Xorg /system.slice/display-manager.service /dev/nvidia0
    program 99999002 python3 /user.slice/user-1000.slice/session-3.scope /dev/nvidia0
    program 99999003 ollama /lxc/220/ns/system.slice/ollama.service /dev/nvidia0
    program 99999004 other /system.slice/other.service /dev/null
    run -3 --separate-stderr on_machine "$host" "$NVLXC" gpu lend 0 --to-vm 101
    says 'is in use:' "the host's display-manager.service: Xorg (pid 99999001) has /dev/nvidia0 open" \
        'the host: python3 (pid 99999002) has /dev/nvidia0 open' 'container 220: ollama (pid 99999003) has /dev/nvidia0 open' \
        'systemctl stop display-manager.service' "end the host's program python3 (pid 99999002)" \
        "nvlxc gpu lend $PCI.0 --to-vm 101 --stop   # ends the containers' programs"
    [[ $stderr != *99999004* ]]
    [ ! -e "$host/run/nvlxc/lent" ]
    # --stop ends no program of the host
    run -3 --separate-stderr on_machine "$host" "$NVLXC" gpu lend 0 --stop
    says Xorg python3
    [[ $stderr != *ollama* ]]
    [ ! -e "$host/run/nvlxc/lent" ]
}

@test "--stop, and the program does not end: refused, and undone" {
    host=$(fixture a5500-550)
    sysfs "$host"
    rm -r "$host/etc/pve/lxc"
    mkdir -p "$host/var/lib/lxc/box"
    echo 'lxc.uts.name = box' >"$host/var/lib/lxc/box/config"
    program 99999003 deaf /lxc.payload.box/system.slice/deaf.service /dev/nvidia0
    run -3 --separate-stderr on_machine "$host" "$NVLXC" gpu lend 0 --stop
    says 'container box: deaf (pid 99999003) has /dev/nvidia0 open'
    [ ! -e "$host/run/nvlxc/lent/$PCI.0" ]
}

@test "the persistence daemon is stopped, and if that fails the lend ends" {
    host=$(fixture a5500-550)
    sysfs "$host"
    rm -r "$host/etc/pve/lxc"
    program 99999001 nvidia-persiste /system.slice/nvidia-persistenced.service /dev/nvidia0
    run -0 on_machine "$host" "$NVLXC" gpu lend 0 --dry-run
    run -3 --separate-stderr on_machine "$host" "$NVLXC" gpu lend 0
    says 'nvidia-persiste (pid 99999001) has /dev/nvidia0 open' 'systemctl stop nvidia-persistenced.service'
    [ ! -e "$host/run/nvlxc/lent/$PCI.0" ]
}

@test "back: not while a virtual machine has it" {
    host=$(fixture a5500-550)
    sysfs "$host"
    lent "$host" 101
    mkdir -p "$host/dev/vfio"
    mknod "$host/dev/vfio/14" c 243 0
    program 99999005 kvm /qemu.slice/101.scope /dev/vfio/14
    run -3 --separate-stderr on_machine "$host" "$NVLXC" gpu back
    says "GPU 0, NVIDIA RTX A5500 Laptop GPU ($UUID) is in a virtual machine now:" 'kvm (pid 99999005) has /dev/vfio/14 open' 'qm shutdown 101'
    [ -e "$host/run/nvlxc/lent/$PCI.0" ]
    # through iommufd, by a device of its own; nobody said whose it is
    lent "$host"
    rm -r "$host/proc/99999005"
    mkdir -p "$host/sys/bus/pci/devices/$PCI.0/vfio-dev/vfio0" "$host/dev/vfio/devices"
    mknod "$host/dev/vfio/devices/vfio0" c 511 0
    program 99999006 kvm /qemu.slice/101.scope /dev/vfio/devices/vfio0
    run -3 --separate-stderr on_machine "$host" "$NVLXC" gpu back 0
    says 'kvm (pid 99999006) has /dev/vfio/devices/vfio0 open' 'shut the virtual machine down first'
}

@test "vfio-pci does not take it: all is undone, and the reason is said" {
    host=$(fixture a5500-550)
    sysfs "$host"
    rm -r "$host/etc/pve/lxc"
    run -1 --separate-stderr on_machine "$host" "$NVLXC" gpu lend 0 --to-vm 101
    says "vfio-pci has not taken $PCI.0" "the kernel's log says why" 'journalctl -k'
    [ ! -e "$host/run/nvlxc/lent/$PCI.0" ]
    # a lock that a user could open, a user could hold
    [ "$(stat -c %a "$host/run/nvlxc/lent.lock")" = 600 ]
    # no override is left
    [ -z "$(overrides | tr -d '\n')" ]
    [ "$(cat "$host/sys/bus/pci/drivers_probe")" = "$PCI.0" ]
    # without the module of vfio-pci it does not come so far
    rmdir "$host/sys/bus/pci/drivers/vfio-pci" 2>/dev/null || rm -r "$host/sys/bus/pci/drivers/vfio-pci"
    run -3 --separate-stderr on_machine "$host" "$NVLXC" gpu lend 0
    says "cannot load the kernel's driver vfio-pci (modprobe: it is not installed)" 'modprobe -v vfio-pci'
    [ ! -e "$host/run/nvlxc/lent/$PCI.0" ]
}

@test "a running container that cannot be entered is said, and keeps nothing from coming back" {
    host=$(fixture a5500-550)
    sysfs "$host"
    run -0 "$NVLXC" --root "$host" attach 220 --gpu 0 --quiet
    # as a lend leaves it that was killed when nvidia had not let go yet
    lent "$host" 101
    ln -sfn ../../../../bus/pci/drivers/nvidia "$host/sys/bus/pci/devices/$PCI.0/driver"
    run -0 on_machine "$host" "$NVLXC" gpu back --dry-run
    says 'can come back'
    [ -e "$host/run/nvlxc/lent/$PCI.0" ]
    run -1 --separate-stderr on_machine "$host" "$NVLXC" gpu back 0
    says "GPU 0, NVIDIA RTX A5500 Laptop GPU ($UUID) is back" 'warning: container 220:'
    [ ! -e "$host/run/nvlxc/lent/$PCI.0" ]
    [ -z "$(overrides | tr -d '\n')" ]
    # one that only its next start changes is noted
    lent "$host" 101
    ln -sfn ../../../../bus/pci/drivers/nvidia "$host/sys/bus/pci/devices/$PCI.0/driver"
    sed -i 's|exec /usr/libexec/nvlxc/hook|& --libraries=host|' "$host/etc/pve/lxc/220.conf"
    on_machine "$host" "$NVLXC" --json gpu back "$UUID" >"$BATS_TEST_TMPDIR/back" || true
    is_json gpu <"$BATS_TEST_TMPDIR/back"
    jq -r '.notes[]' "$BATS_TEST_TMPDIR/back" | grep -x 'container 220 follows at its next start'
}

@test "nvidia does not take it back: the note stays, and so does the way" {
    host=$(fixture a5500-550)
    sysfs "$host"
    lent "$host" 101
    run -1 --separate-stderr on_machine "$host" "$NVLXC" gpu back
    says "nvidia has not taken $PCI.0"
    [ -e "$host/run/nvlxc/lent/$PCI.0" ]
    # a lend that finds it with vfio-pci has nothing to do
    ln -sfn ../../../../bus/pci/drivers/vfio-pci "$host/sys/bus/pci/devices/$PCI.1/driver"
    run -0 on_machine "$host" "$NVLXC" gpu lend "$PCI.0"
    says 'is with vfio-pci already'
    # which of several
    cp "$host/run/nvlxc/lent/$PCI.0" "$host/run/nvlxc/lent/0000:02:00.0"
    run -2 --separate-stderr on_machine "$host" "$NVLXC" gpu back
    says 'more than one GPU is lent; lent are:' "$PCI.0" 0000:02:00.0
    run -2 --separate-stderr on_machine "$host" "$NVLXC" gpu back 5
    says 'the GPU 5 is not lent'
}

# ---- the hookscript ----

# virtual_machine HOST LINE…: VM 101, a storage for snippets, and Proxmox's qm, as far as it is called.
virtual_machine() {
    mkdir -p "$1/etc/pve/qemu-server" "$1/var/lib/vz" "$1/usr/bin"
    printf '%s\n' 'name: windows' "${@:2}" >"$1/etc/pve/qemu-server/101.conf"
    printf '%s\n' 'lvmthin: local-lvm' $'\tcontent images,rootdir' '' 'dir: local' $'\tpath /var/lib/vz' \
        $'\tcontent iso,vztmpl' '' 'dir: more' $'\tpath /var/lib/vz' $'\tcontent snippets,iso' >"$1/etc/pve/storage.cfg"
    give_programs "$1" sh sed
    cat >"$1/usr/bin/qm" <<'QM'
#!/bin/sh
[ ! -e /qm-fails ] || exit 25
config=/etc/pve/qemu-server/$2.conf
case $3 in
--delete) sed -i "1,/^\[/{/^$4:/d}" "$config" ;;
*) sed -i "1i ${3#--}: $4" "$config" ;;
esac
QM
    cat >"$1/usr/bin/pvesm" <<'PVESM'
#!/bin/sh
[ ! -e /pvesm-fails ] || exit 25
sed -i "/^dir: $2\$/,/^\$/s/\tcontent .*/\tcontent $4/" /etc/pve/storage.cfg
PVESM
    chmod 755 "$1/usr/bin/qm" "$1/usr/bin/pvesm"
}

hookscript() {
    on_machine "$host" "$NVLXC" gpu hookscript "$@"
}

@test "hookscript: installed, and removed without a trace" {
    host=$(fixture a5500-550)
    virtual_machine "$host" "hostpci0: $PCI,pcie=1" '' '[before]' 'hookscript: local:snippets/old'
    cp "$host/etc/pve/qemu-server/101.conf" "$BATS_TEST_TMPDIR/before"
    run -0 --separate-stderr hookscript install 101
    says 'wrote /var/lib/vz/snippets/nvlxc-gpu' 'VM 101 has the hookscript more:snippets/nvlxc-gpu'
    [ "$(stat -c %a "$host/var/lib/vz/snippets/nvlxc-gpu")" = 755 ]
    grep -x 'hookscript: more:snippets/nvlxc-gpu' "$host/etc/pve/qemu-server/101.conf"
    # nvlxc is gone: the VM starts all the same
    sed "s|/usr/bin/nvlxc|$BATS_TEST_TMPDIR/gone|" "$host/var/lib/vz/snippets/nvlxc-gpu" | sh -s 101 pre-start
    on_machine "$host" "$NVLXC" --json gpu hookscript remove 101 | is_json gpu-hookscript
    grep -v '^hookscript: more' "$host/etc/pve/qemu-server/101.conf" | diff "$BATS_TEST_TMPDIR/before" -
    [ ! -e "$host/var/lib/vz/snippets/nvlxc-gpu" ]
    # once more is no fault
    run -0 hookscript remove 101
    says 'VM 101 has no hookscript of nvlxc'
}

@test "hookscript: a script that another VM has stays" {
    host=$(fixture a5500-550)
    virtual_machine "$host" "hostpci0: $PCI,pcie=1" 'hookscript: more:snippets/nvlxc-gpu-stop'
    printf '%s\n' "hostpci0: $PCI" 'hookscript: more:snippets/nvlxc-gpu-stop' >"$host/etc/pve/qemu-server/102.conf"
    mkdir -p "$host/var/lib/vz/snippets"
    : >"$host/var/lib/vz/snippets/nvlxc-gpu-stop"
    run -0 hookscript remove 101
    [ -e "$host/var/lib/vz/snippets/nvlxc-gpu-stop" ]
    run -0 hookscript remove 102
    [ ! -e "$host/var/lib/vz/snippets/nvlxc-gpu-stop" ]
}

@test "hookscript: --stop and --storage" {
    host=$(fixture a5500-550)
    virtual_machine "$host" "hostpci0: $PCI,pcie=1"
    run -3 --separate-stderr hookscript install 101 --storage nowhere
    says "the storage 'nowhere' allows no snippets" 'pvesm status'
    run -0 hookscript install 101 --storage more --stop
    [ "$(tail -n 1 "$host/var/lib/vz/snippets/nvlxc-gpu-stop")" = 'exec /usr/bin/nvlxc gpu hookscript run "$1" "$2" --stop' ]
    # as Proxmox VE is installed: no storage allows them
    sed -i '/snippets/d' "$host/etc/pve/storage.cfg"
    : >"$host/pvesm-fails"
    run -3 --separate-stderr hookscript install 101
    says 'pvesm set local --content iso,vztmpl,snippets: status 25' 'try: pvesm set local --content iso,vztmpl,snippets'
    rm "$host/pvesm-fails"
    run -0 --separate-stderr hookscript install 101
    says 'the storage local allows snippets now, too' 'VM 101 has the hookscript local:snippets/nvlxc-gpu'
    grep -xF $'\tcontent iso,vztmpl,snippets' "$host/etc/pve/storage.cfg"
}

@test "hookscript: what stands in the way is said, and nothing is lost" {
    host=$(fixture a5500-550)
    virtual_machine "$host" 'memory: 4096'
    run -3 --separate-stderr hookscript install 999
    says 'there is no VM 999 on this node'
    run -3 --separate-stderr hookscript install 101
    says 'VM 101 names no NVIDIA GPU of this node in a hostpci line' "qm set 101 --hostpci0 $PCI.0"
    virtual_machine "$host" "hostpci0: $PCI,pcie=1" 'hookscript: local:snippets/mine.pl'
    cp "$host/etc/pve/qemu-server/101.conf" "$BATS_TEST_TMPDIR/before"
    run -3 --separate-stderr hookscript install 101
    says 'VM 101 has another hookscript' 'nvlxc gpu hookscript run "$1" "$2" || exit 1'
    run -0 hookscript remove 101
    diff "$BATS_TEST_TMPDIR/before" "$host/etc/pve/qemu-server/101.conf"
    virtual_machine "$host" "hostpci0: $PCI,pcie=1"
    : >"$host/qm-fails"
    run -3 --separate-stderr hookscript install 101
    says 'qm set 101 --hookscript more:snippets/nvlxc-gpu: status 25'
    run -2 --separate-stderr hookscript
    run -2 --separate-stderr hookscript install
    run -2 --separate-stderr hookscript install web
    run -2 --separate-stderr hookscript run 101
}

@test "hookscript: a VM without a GPU of NVIDIA's starts and stops, and other phases do nothing" {
    local phase
    host=$(fixture a5500-550)
    virtual_machine "$host" 'memory: 4096'
    for phase in pre-start post-start pre-stop post-stop something; do
        run -0 --separate-stderr hookscript run 101 $phase
        [ -z "$output$stderr" ]
    done
    # what keeps the GPU from being lent keeps the VM from starting
    virtual_machine "$host" "hostpci0: $PCI,pcie=1"
    run -3 --separate-stderr hookscript run 101 pre-start
    says 'cannot be lent' "this machine's IOMMU is off"
}

@test "hookscript: what was lent comes back when the VM stops, and where its start fails" {
    host=$(fixture a5500-550)
    sysfs "$host"
    rm -r "$host/etc/pve/lxc"
    virtual_machine "$host" "hostpci0: $PCI,pcie=1"
    run -1 --separate-stderr hookscript run 101 pre-start
    says 'is not lent' "vfio-pci has not taken $PCI.0"
    [ ! -e "$host/run/nvlxc/lent/$PCI.0" ]
    lent "$host" 101
    ln -sfn ../../../../bus/pci/drivers/nvidia "$host/sys/bus/pci/devices/$PCI.0/driver"
    # another VM's end takes nothing back
    run -0 hookscript run 102 post-stop
    [ -e "$host/run/nvlxc/lent/$PCI.0" ]
    run -0 hookscript run 101 post-stop
    says 'is back'
    [ ! -e "$host/run/nvlxc/lent/$PCI.0" ]
    # taken by Proxmox VE, unless the host's configuration keeps it so
    ln -sfn ../../../../bus/pci/drivers/vfio-pci "$host/sys/bus/pci/devices/$PCI.0/driver"
    echo 'options vfio-pci ids=10de:2438' >"$host/etc/modprobe.d/vfio.conf"
    run -0 hookscript run 101 post-stop
    [ -z "$output" ]
    rm "$host/etc/modprobe.d/vfio.conf"
    run -1 --separate-stderr hookscript run 101 post-stop
    says "nvidia has not taken $PCI.0"
    # the watcher: nobody starts it, and it does not run
    lent "$host" 101
    ln -sfn ../../../../bus/pci/drivers/nvidia "$host/sys/bus/pci/devices/$PCI.0/driver"
    run -0 hookscript run 101 watch
    says 'is back'
    [ ! -e "$host/run/nvlxc/lent/$PCI.0" ]
}
