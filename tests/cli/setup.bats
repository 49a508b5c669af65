#!/usr/bin/env bats
# nvlxc host setup --dry-run on hosts of every kind that it knows: the whole plan, as it is shown; states that are done
# already; hosts that it refuses.

bats_require_minimum_version 1.5.0

setup() {
    load "$NVL_SOURCE/tests/lib/hosts.bash"
    NVLXC="$NVL_BUILD/src/cli/nvlxc"
    PLANS="$NVL_SOURCE/tests/setup/plans"
    KEY=/usr/share/keyrings/debian-archive-keyring.gpg
}

# put PATH: standard input into that file of the host.
put() {
    mkdir -p "$HOST$(dirname "$1")"
    cat >"$HOST$1"
}

# installed PACKAGE VERSION: as dpkg has it.
installed() {
    mkdir -p "$HOST/var/lib/dpkg"
    printf 'Package: %s\nStatus: install ok installed\nVersion: %s\n\n' "$1" "$2" >>"$HOST/var/lib/dpkg/status"
}

# bootable KERNEL: a kernel that is installed.
bootable() {
    mkdir -p "$HOST/boot" "$HOST/lib/modules/$1"
    touch "$HOST/boot/vmlinuz-$1"
}

# debian VERSION KERNEL: a host of that release without a driver; its GPU is an A5500.
debian() {
    HOST=$(fixture no-driver)
    # callers join these functions with &&, where a failure would go on, on the machine itself
    [ -n "$HOST" ] || exit 1
    local codename=trixie
    [ "$1" = 13 ] || codename=bookworm
    printf 'NAME="Debian GNU/Linux"\nVERSION_ID="%s"\nVERSION_CODENAME=%s\nID=debian\n' "$1" "$codename" |
        put /etc/os-release
    echo "$2" | put /proc/sys/kernel/osrelease
    rm -rf "$HOST/lib/modules" "$HOST/var/lib/dpkg"
    bootable "$2"
}

# kernel RELEASE: that runs.
kernel() {
    echo "$1" | put /proc/sys/kernel/osrelease
}

# gpu DEVICE: another one, by its PCI device id.
gpu() {
    echo "0x$1" >"$HOST/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/device"
}

# As Debian's installer writes it: one-line up to 12, deb822 since 13.
one_line_sources() {
    put /etc/apt/sources.list <<SOURCES
deb [signed-by=$KEY] http://mirror.example/debian/ $1 main non-free-firmware
deb-src [signed-by=$KEY] http://mirror.example/debian/ $1 main non-free-firmware

deb [signed-by=$KEY] http://mirror.example/debian-security $1-security main non-free-firmware
deb [signed-by=$KEY] http://mirror.example/debian/ $1-updates main non-free-firmware
SOURCES
}

deb822_sources() {
    put /etc/apt/sources.list.d/debian.sources <<SOURCES
Types: deb
URIs: http://mirror.example/debian/
Suites: $1 $1-updates
Components: main contrib
Signed-By: $KEY

Types: deb
URIs: http://mirror.example/debian-security/
Suites: $1-security
Components: main contrib
Signed-By: $KEY
SOURCES
}

proxmox_sources() {
    put /etc/apt/sources.list.d/proxmox.sources <<SOURCES
Types: deb
URIs: http://mirror.example/debian/pve
Suites: $1
Components: pve-no-subscription
Signed-By: /usr/share/keyrings/proxmox-archive-keyring.gpg
SOURCES
    put /etc/apt/sources.list.d/ceph.list <<SOURCES
deb [signed-by=/usr/share/keyrings/proxmox-archive-keyring.gpg] http://mirror.example/debian/ceph-squid $1 no-subscription
SOURCES
}

# proxmox VERSION KERNEL: of the release that it is built on, with its sources.
proxmox() {
    case $1 in
    8) debian 12 "$2" && one_line_sources bookworm && proxmox_sources bookworm && installed pve-manager 8.4.14 ;;
    9) debian 13 "$2" && deb822_sources trixie && proxmox_sources trixie && installed pve-manager 9.1.1 ;;
    esac && mkdir -p "$HOST/etc/pve"
}

# plan [OPTION...]: the plan, as JSON.
plan() {
    "$NVLXC" --root "$HOST" host setup --dry-run --json "$@"
}

# state ID [OPTION...]: of that step.
state() {
    plan "${@:2}" | jq -r --arg id "$1" '.plan[] | select(.id == $id) | .state'
}

# is_as_planned NAME [OPTION...]: the plan is the one that is kept under that name.
is_as_planned() {
    run --separate-stderr "$NVLXC" --root "$HOST" host setup --dry-run "${@:2}"
    [ "$status" = 0 ]
    [ -z "$stderr" ]
    output=${output//"$BATS_TEST_TMPDIR"/\/root}
    [ -z "${NVL_REGENERATE:-}" ] || printf '%s\n' "$output" >"$PLANS/$1.txt"
    diff -u "$PLANS/$1.txt" <(printf '%s\n' "$output")
}

# installer VERSION [FOLDER]: the header of NVIDIA's installer of that version, as its file begins; prints the path.
installer() {
    local file="$BATS_TEST_TMPDIR/NVIDIA-Linux-x86_64-$1.run"
    cat >"$file" <<HEADER
#! /bin/sh
CRCsum=0000000000
MD5=00000000000000000000000000000000
skip=1063
label="NVIDIA Accelerated Graphics Driver for Linux-x86_64 $1"
version_string=$1
pkg_version=0
script=./nvidia-installer
targetdir=${2:-NVIDIA-Linux-x86_64-$1}
scriptargs=""
TARGET_OS="Linux"
TARGET_ARCH="x86_64"
HEADER
    echo "$file"
}

# words ID [OPTION...]: of that step's command.
words() {
    plan "${@:2}" | jq -r --arg id "$1" '.plan[] | select(.id == $id).commands[0] | join(" ")'
}

# refuses [OPTION...]: exit status 3; the error is in $stderr.
refuses() {
    run --separate-stderr "$NVLXC" --root "$HOST" host setup --dry-run "$@"
    echo "$output$stderr"
    [ "$status" = 3 ]
}

@test "setup: Debian 12, one-line sources" {
    debian 12 6.1.0-40-amd64
    one_line_sources bookworm
    is_as_planned debian-12
}

@test "setup: Debian 13, deb822 sources" {
    debian 13 6.12.107+deb13-amd64
    deb822_sources trixie
    is_as_planned debian-13
}

@test "setup: Proxmox VE 8, the opt-in kernel" {
    proxmox 8 6.14.11-4-bpo12-pve
    installed proxmox-kernel-6.14 6.14.11-4~bpo12+1
    is_as_planned proxmox-8
}

@test "setup: Proxmox VE 9, kernel 6.14: the release's own driver" {
    proxmox 9 6.14.8-2-pve
    is_as_planned proxmox-9-6.14
}

@test "setup: Proxmox VE 9, kernel 6.17: the driver from backports" {
    proxmox 9 6.17.4-1-pve
    is_as_planned proxmox-9-6.17
}

@test "setup: Proxmox VE 9, kernel 7.0: an installed 6.14 is pinned" {
    proxmox 9 7.0.2-1-pve
    bootable 6.14.8-2-pve
    bootable 6.14.11-4-pve
    is_as_planned proxmox-9-7.0
    echo 6.14.11-4-pve | put /etc/kernel/proxmox-boot-pin
    [ "$(state pin)" = 'done' ]
    # after the reboot: nothing brings the headers of 7.0, for which dkms would build and fail
    echo 6.14.11-4-pve | put /proc/sys/kernel/osrelease
    [ "$(plan | jq -c '.plan[] | select(.id == "headers").commands[0][5:]')" = '["proxmox-headers-6.14.11-4-pve","proxmox-headers-6.14"]' ]
    [ "$(plan | jq .needs_reboot)" = false ]
}

@test "setup: Proxmox VE 9, kernel 7.0 alone: another one is installed and pinned" {
    proxmox 9 7.0.2-1-pve
    run plan
    [ "$(jq -c '[.plan[] | select(.id == "kernel" or .id == "pin" or .id == "headers") | .commands[0][-1]]' <<<"$output")" = \
        '["proxmox-kernel-6.17","proxmox-headers-6.17","6.17.X-pve"]' ]
    [ "$(jq .needs_reboot <<<"$output")" = true ]
}

@test "setup: headers of a kernel that the driver does not build on stop it" {
    debian 13 6.12.107+deb13-amd64
    deb822_sources trixie
    bootable 7.2.12+deb13-amd64
    [ "$(state driver)" = 'to do' ]
    mkdir -p "$HOST/lib/modules/7.2.12+deb13-amd64/build/include"
    refuses
    [[ "$stderr" == *"the headers of kernel 7.2.12+deb13-amd64 are installed, but driver 550 does not build on it"* ]]
}

@test "setup: Secure Boot, nouveau, nova_core, an initramfs and the boot unit" {
    debian 13 6.12.107+deb13-amd64
    deb822_sources trixie
    mkdir -p "$HOST/sys/firmware/efi/efivars"
    printf '\006\000\000\000\001' >"$HOST/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
    printf 'nouveau 3000 1 - Live 0x0000000000000000\n' | put /proc/modules
    mkdir -p "$HOST/lib/modules/6.12.107+deb13-amd64/kernel/drivers/gpu/nova-core" "$HOST/usr/sbin"
    touch "$HOST/usr/sbin/update-initramfs" "$HOST/boot/initrd.img-6.12.107+deb13-amd64"
    put /usr/lib/systemd/system/nvlxc-boot.service </dev/null
    printf 'options loop max_loop=8' | put /etc/modprobe.d/nvlxc.conf
    is_as_planned secure-boot
}

@test "setup: what is done is seen as done" {
    local package
    debian 13 6.12.107+deb13-amd64
    deb822_sources trixie
    sed -i 's/main contrib/main contrib non-free non-free-firmware/' "$HOST/etc/apt/sources.list.d/debian.sources"
    mkdir -p "$HOST/lib/modules/6.12.107+deb13-amd64/updates/dkms" "$HOST/usr/sbin"
    touch "$HOST/lib/modules/6.12.107+deb13-amd64/updates/dkms/nvidia-current.ko.xz" "$HOST/usr/sbin/update-initramfs"
    for package in $(plan | jq -r '.plan[] | select(.id == "headers" or .id == "driver") | .commands[0][5:][]'); do
        installed "$package" 550.163.01-2
    done
    printf 'blacklist nouveau\n' | put /etc/modprobe.d/nvlxc.conf
    touch -d 2000-01-01 "$HOST/boot/initrd.img-6.12.107+deb13-amd64"
    [ "$(state initramfs)" = 'to do' ]
    touch "$HOST/boot/initrd.img-6.12.107+deb13-amd64"
    printf '%s\n' 'NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.163.01  Tue Apr  8 12:41:17 UTC 2025' |
        put /proc/driver/nvidia/version
    printf 'nvidia 1 1 - Live 0x0\nnvidia_uvm 1 0 - Live 0x0\n' | put /proc/modules
    put /usr/lib/systemd/system/nvlxc-boot.service </dev/null
    mkdir -p "$HOST/etc/systemd/system/multi-user.target.wants"
    ln -s /usr/lib/systemd/system/nvlxc-boot.service "$HOST/etc/systemd/system/multi-user.target.wants/"
    is_as_planned all-done
}

@test "setup: what is installed is not asked for again; a module that is not built is built" {
    debian 13 6.12.107+deb13-amd64
    deb822_sources trixie
    installed nvidia-kernel-dkms 550.163.01-2
    installed linux-headers-amd64 6.12.107-1
    run plan
    [ "$(jq -c '.plan[] | select(.id == "headers").commands[0][5:]' <<<"$output")" = '["linux-headers-6.12.107+deb13-amd64"]' ]
    jq -e '.plan[] | select(.id == "driver").commands[0] | index("nvidia-smi") and (index("nvidia-kernel-dkms") | not)' \
        <<<"$output"
    jq -e '.plan[] | select(.id == "module").commands[0] == ["dkms","autoinstall","-k","6.12.107+deb13-amd64"]' <<<"$output"
}

@test "setup: the release's driver makes place for that of backports when the kernel is newer" {
    local package
    proxmox 9 6.17.4-1-pve
    for package in $(plan | jq -r '.plan[] | select(.id == "driver") | .commands[0][5:][]'); do
        installed "$package" 550.163.01-2
    done
    [ "$(state driver)" = 'to do' ]
    plan | jq -e '.plan[] | select(.id == "driver").commands[0] | index("nvidia-kernel-dkms")'
    sed -i 's/550.163.01-2/550.163.01-4~bpo13+1/' "$HOST/var/lib/dpkg/status"
    [ "$(state driver)" = 'done' ]
}

@test "setup: a kernel from backports takes its headers from there" {
    debian 13 6.16.3+deb13-amd64
    deb822_sources trixie
    installed linux-image-amd64 6.16.3-1~bpo13+1
    plan | jq -e '.plan[] | select(.id == "headers").commands[0][-1] == "linux-headers-amd64/trixie-backports"'
}

@test "setup: backports that the machine has already get the components, and no second stanza" {
    proxmox 9 6.17.4-1-pve
    printf 'deb [signed-by=%s] http://mirror.example/debian trixie-backports main\n' "$KEY" |
        put /etc/apt/sources.list.d/backports.list
    run plan
    [ "$(jq -c '[.plan[] | select(.id == "backports").edits[].path]' <<<"$output")" = '["/etc/apt/preferences.d/nvlxc"]' ]
    jq -e '.plan[] | select(.id == "components").edits[] | select(.path == "/etc/apt/sources.list.d/backports.list").text |
        endswith(" trixie-backports main contrib non-free non-free-firmware\n")' <<<"$output"
}

@test "setup: what capabilities need is installed" {
    debian 13 6.12.107+deb13-amd64
    deb822_sources trixie
    plan --capabilities video | jq -e '.plan[] | select(.id == "driver").commands[0] |
        index("libnvidia-opticalflow1") and (index("nvidia-opencl-icd") | not)'
    plan --capabilities all | jq -e '.plan[] | select(.id == "driver").commands[0] |
        index("libnvidia-ngx1") and index("libglx-nvidia0") and index("nvidia-opencl-icd")'
    run -2 --separate-stderr "$NVLXC" --root "$HOST" host setup --dry-run --capabilities cuda
    [[ "$stderr" == *cuda* ]]
}

@test "setup: a driver from elsewhere stays" {
    HOST=$(fixture a5500-580-open)
    run --separate-stderr plan
    [ "$status" = 0 ]
    [ "$(jq -r '.plan[] | select(.id == "driver") | .state' <<<"$output")" = 'not needed' ]
    [ "$(jq -c '[.plan[] | select(.state == "to do")]' <<<"$output")" = '[]' ]
    debian 13 6.12.107+deb13-amd64
    deb822_sources trixie
    installed nvidia-open-kernel-dkms 595.58.03-1
    [ "$(state driver)" = 'not needed' ]
    [ "$(state components)" = 'not needed' ]
}

@test "setup: files of NVIDIA's installer without a module are said, and nothing is put over them" {
    debian 13 6.12.107+deb13-amd64
    deb822_sources trixie
    put /usr/bin/nvidia-uninstall </dev/null
    refuses
    [[ "$stderr" == *"files of NVIDIA's own installer are here"*"host setup --run FILE"* ]]
}

@test "setup --run: NVIDIA's installer, with all that it needs" {
    proxmox 9 6.17.4-2-pve
    is_as_planned proxmox-9-6.17-run --run "$(installer 580.105.08)"
    [[ "$(words driver --run "$(installer 580.105.08)" --capabilities graphics,compat32)" == *.run\ --silent\ --dkms ]]
    # an X server uses the rest
    put /usr/bin/Xorg </dev/null
    [[ "$(words driver --run "$(installer 580.105.08)")" != *--no-opengl-files* ]]
    # what only the open modules drive, by the name that each version has for them
    gpu 2b85
    [[ "$(words driver --run "$(installer 580.105.08)")" == *" --kernel-module-type=open "* ]]
    kernel 6.8.12-15-pve
    gpu 2438
    printf 'nouveau 3100672 1 - Live 0x0\n' | put /proc/modules
    [[ "$(words driver --run "$(installer 570.124.04)")" == *" --no-nouveau-check --skip-module-load" ]]
    # an older one refuses as long as nouveau is loaded
    kernel 6.1.0-40-amd64
    [ "$(state driver --run "$(installer 535.161.07)")" = 'for you to do' ]
    [[ "$(plan --run "$(installer 535.161.07)" | jq -r '.plan[] | select(.id == "driver").reason')" == \
        *"reboot first, then: nvlxc host setup --run $BATS_TEST_TMPDIR/NVIDIA-Linux-x86_64-535.161.07.run" ]]
}

@test "setup --run: what does not fit is refused before anything changes" {
    debian 13 6.17.4+deb13-amd64
    deb822_sources trixie
    refuses --run "$(installer 535.161.07)"
    says "driver 535.161.07 does not fit kernel 6.17.4+deb13-amd64: builds up to kernel 6.7" "580.105.08 or newer"
    gpu 2b85
    kernel 6.12.107+deb13-amd64
    refuses --run "$(installer 550.163.01)"
    says "does not fit GPU 0000:01:00.0 (10de:2b85, Blackwell): does not know Blackwell"
    gpu 1b80
    refuses --run "$(installer 595.58.03)"
    says "(10de:1b80, Pascal): dropped Pascal"
    refuses --run "$(installer 550.90.05 NVIDIA-Linux-x86_64-550.90.05-vgpu-kvm)"
    says "host driver for virtual GPUs: it has no CUDA"
    refuses --run "$(installer 580.105.08 NVIDIA-Linux-aarch64-580.105.08)"
    says "is for machines of another kind (aarch64); download NVIDIA-Linux-x86_64-580.105.08.run"
    # what the table does not know is the user's to know
    gpu 3002
    run plan --run "$(installer 595.58.03)"
    [ "$status" = 0 ]
    says "does not know whether it fits GPU 0000:01:00.0 (10de:3002)"
    printf '#!/bin/sh\nlabel="CUDA Installer"\ntargetdir="pkg"\n' >"$BATS_TEST_TMPDIR/cuda.run"
    run -1 --separate-stderr plan --run "$BATS_TEST_TMPDIR/cuda.run"
    says "cuda.run is not NVIDIA's driver installer: it calls itself CUDA Installer" "download NVIDIA-Linux-*.run"
    run -1 --separate-stderr plan --run /dev/zero
    says "/dev/zero is not NVIDIA's driver installer"
    run -1 --separate-stderr plan --run "$BATS_TEST_TMPDIR/none.run"
    says "none.run: No such file or directory"
    run -2 --separate-stderr plan --run "$BATS_TEST_TMPDIR/cuda.run" --from nvidia
    # packages of the driver would be in its way
    gpu 2438
    installed nvidia-kernel-dkms 550.163.01-2
    refuses --run "$(installer 580.105.08)"
    says "nvidia-kernel-dkms 550.163.01-2 is installed, and setup removes no packages"
    [ "$(words other-driver --run "$(installer 580.105.08)" || true)" = "apt-get purge nvidia-alternative nvidia-kernel-dkms" ]
}

@test "setup --run: packages of NVIDIA's archive go by name: NVIDIA's container toolkit is somebody else's" {
    HOST=$(fixture debian-13-archive)
    refuses --run "$(installer 595.91.07)"
    says "nvidia-kernel-open-dkms" "setup removes no packages"
    [ "$(words other-driver --run "$(installer 595.91.07)" || true)" = \
        "apt-get purge nvidia-kernel-open-dkms nvidia-driver-cuda libcuda1 libnvidia-ml1" ]
}

@test "setup --run: an upgrade, a rebuild, and the way back to packages" {
    HOST=$(fixture a5500-580-open)
    local file
    file=$(installer 580.95.05)
    [ "$(state driver --run "$file")" = 'done' ]
    file=$(installer 580.142)
    [ "$(words driver --run "$file")" = "sh $file --silent --dkms --kernel-module-type=open --no-install-compat32-libs --no-opengl-files --allow-installation-with-running-driver" ]
    [[ "$(plan --run "$file" | jq -r '.plan[] | select(.id == "load").reason')" == "driver 580.95.05 stays loaded until then"* ]]
    # a kernel without the module: dkms builds it
    rm -rf "$HOST/proc/driver" "$HOST/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/driver"
    : >"$HOST/proc/modules"
    rm -rf "$HOST/lib/modules"
    bootable 6.12.107+deb13-amd64
    kernel 6.12.107+deb13-amd64
    mkdir -p "$HOST/var/lib/dkms/nvidia/580.95.05"
    [ "$(words module)" = 'dkms autoinstall -k 6.12.107+deb13-amd64' ]
    [ "$(words headers)" = 'apt-get install --yes --no-install-recommends --no-remove linux-headers-6.12.107+deb13-amd64 linux-headers-amd64' ]
    [ "$(state driver)" = 'not needed' ]
    # one that it does not build on
    kernel 6.17.4+deb13-amd64
    refuses
    says "580.95.05 of NVIDIA's installer" "580.105.08 or newer" "host setup --run FILE"
    # packages instead
    kernel 6.12.107+deb13-amd64
    deb822_sources trixie
    [ "$(words other-driver --from debian)" = 'nvidia-uninstall --silent' ]
    [[ "$(words driver --from debian)" == *" nvidia-kernel-dkms "* ]]
}

@test "setup --run: of two GPUs that no driver has, the file chooses one" {
    HOST=$(fixture pve-9.1-two-gpus)
    [[ "$(words driver --run "$(installer 580.105.08)")" == *" --kernel-module-type=proprietary "* ]]
    run plan --run "$(installer 580.105.08)"
    says "GPU 0000:02:00.0 (10de:2b85, Blackwell) stays without a driver: none has both"
    [[ "$(words driver --run "$(installer 595.58.03)")" == *" --kernel-module-type=open "* ]]
    run plan --run "$(installer 595.58.03)"
    says "GPU 0000:01:00.0 (10de:1b80, Pascal) stays without a driver"
    refuses --run "$(installer 470.256.02)"
}

@test "setup --from nvidia: its archive, key and pin" {
    debian 13 6.17.4+deb13-amd64
    deb822_sources trixie
    is_as_planned debian-13-nvidia --from nvidia
    # a GPU that newer branches have left
    gpu 1b80
    kernel 6.12.107+deb13-amd64
    [[ "$(words branch --from nvidia)" == *' nvidia-driver-pinning-580' ]]
    [[ "$(words driver --from nvidia)" == *' nvidia-kernel-dkms nvidia-driver-cuda' ]]
    gpu 1004
    refuses --from nvidia
    says "NVIDIA's archive for Debian trixie has no driver of branch 470"
    # an entry that the machine has already
    gpu 2438
    put /etc/apt/sources.list.d/cuda-debian13-x86_64.list <<'SOURCES'
deb [signed-by=/usr/share/keyrings/cuda-archive-keyring.gpg] https://developer.download.nvidia.com/compute/cuda/repos/debian13/x86_64/ /
SOURCES
    [ "$(plan --from nvidia | jq -c '[.plan[] | select(.id == "archive") | .edits[].path]')" = '["/etc/apt/preferences.d/nvlxc-nvidia"]' ]
    [ -z "$(state archive-key --from nvidia)" ]
    # Debian's driver is in the way
    installed nvidia-kernel-dkms 550.163.01-2
    refuses --from nvidia
    says "nvidia-kernel-dkms 550.163.01-2 is installed, and setup removes no packages"
}

@test "setup --from: Debian's older drivers, chosen where only they fit" {
    debian 12 6.1.0-40-amd64
    one_line_sources bookworm
    gpu 102d
    is_as_planned debian-12-k80
    gpu 2438
    [[ "$(words driver --from tesla-535)" == *" nvidia-tesla-535-kernel-dkms nvidia-tesla-535-smi libnvidia-tesla-535-cuda1 "* ]]
    refuses --from tesla-460
    says "Debian bookworm has no nvidia-tesla-460"
    kernel 6.16.3+deb13-amd64
    refuses --from tesla-535
    says "Debian's nvidia-tesla-535 " "does not fit: builds up to kernel 6.14"
    run -2 --separate-stderr plan --from backports
    says "--from takes debian, nvidia, or the name of Debian's older drivers"
}

@test "setup: no packaged driver for the kernel: NVIDIA's installer is named" {
    debian 13 7.0.4+deb13-amd64
    deb822_sources trixie
    refuses
    [[ "$(error_of "$stderr")" == "nvlxc: no packaged driver supports kernel 7.0.4+deb13-amd64; NVIDIA has 580.142 or newer of branch 580, or 595.58.03 or newer, in its archive; nvlxc host setup --from nvidia; nvlxc host setup --run FILE   # or by its installer" ]]
    [ "$(plan 2>/dev/null | jq -r '.plan[] | select(.id == "driver").state')" = impossible ]
}

@test "setup: a GPU that is too new, and one that is too old" {
    debian 13 6.12.107+deb13-amd64
    deb822_sources trixie
    gpu 2b85
    refuses
    [[ "$stderr" == *"Blackwell) needs driver 570 or newer with the open kernel modules"* ]]
    gpu 1004
    refuses
    [[ "$stderr" == *"Kepler) is too old: its last driver is 470"* ]]
    gpu 1b81
    [ "$(state driver)" = 'to do' ]
}

@test "setup: other distributions and releases are refused with what was found" {
    debian 13 6.8.0-50-generic
    printf 'ID=ubuntu\nVERSION_ID="24.04"\nVERSION_CODENAME=noble\n' | put /etc/os-release
    refuses
    [[ "$(error_of "$stderr")" == *"knows Debian 12 and 13 and Proxmox VE 8 and 9; this is ubuntu 24.04; ubuntu-drivers install; reboot; nvlxc host" ]]
    printf 'ID=debian\nVERSION_ID="11"\nVERSION_CODENAME=bullseye\n' | put /etc/os-release
    refuses
    [[ "$(error_of "$stderr")" == *"this is debian 11;"*"sh NVIDIA-Linux-x86_64-"*".run --dkms; nvlxc host" ]]
    rm "$HOST/etc/os-release"
    refuses
    [[ "$(error_of "$stderr")" == *"this is another system;"* ]]
}

@test "setup: without a GPU, and with one that virtual machines have" {
    HOST=$(fixture no-gpu)
    refuses
    [[ "$stderr" == *"no NVIDIA GPU"* ]]
    HOST=$(fixture vfio)
    refuses
    [[ "$stderr" == *"vfio-pci has the GPU 0000:01:00.0"* ]]
}

@test "setup: what is left over from passthrough is in the plan" {
    debian 13 6.12.107+deb13-amd64
    deb822_sources trixie
    mkdir -p "$HOST/usr/sbin"
    touch "$HOST/usr/sbin/update-initramfs" "$HOST/boot/initrd.img-6.12.107+deb13-amd64"
    printf 'blacklist nouveau\n' | put /etc/modprobe.d/nvlxc.conf
    touch -d '1 hour' "$HOST/boot/initrd.img-6.12.107+deb13-amd64"
    [ "$(state barriers)$(state claims)" = '' ]
    [ "$(state initramfs)" = 'done' ]
    printf '# old\nblacklist nvidiafb\n blacklist nvidia\nblacklist  nvidia_current\n' | put /etc/modprobe.d/pve-passthrough.conf
    printf 'install nvidia /bin/false' | put /usr/lib/modprobe.d/package.conf
    run -0 "$NVLXC" --root "$HOST" host setup --dry-run
    says "lines that keep NVIDIA's driver away: to do" '/etc/modprobe.d/pve-passthrough.conf:3: blacklist' \
        '-blacklist  nvidia_current' '+# blacklist  nvidia_current' '+++ /etc/modprobe.d/package.conf' '+# install nvidia /bin/false'
    [[ $output != *'-blacklist nvidiafb'* && $output != *"kernel's command line"* ]]
    [ "$(state initramfs)" = 'to do' ]
    rm "$HOST/etc/modprobe.d/pve-passthrough.conf" "$HOST/usr/lib/modprobe.d/package.conf"
    # on the kernel's command line it is the user's, and takes a reboot
    printf 'quiet module_blacklist=nvidia\n' | put /proc/cmdline
    [ "$(state barriers)" = 'for you to do' ]
    [[ "$(plan | jq -r '.plan[] | select(.id == "load") | .reason')" == *module_blacklist=* ]]
    rm "$HOST/proc/cmdline"
    # ids of a GPU that is not bound yet
    printf 'options vfio-pci ids=10de:2438,10de:2288\n' | put /etc/modprobe.d/vfio.conf
    [ "$(state claims)" = 'for you to do' ]
    run -0 "$NVLXC" --root "$HOST" host setup --dry-run
    says '/etc/modprobe.d/vfio.conf:1: options vfio-pci ids=10de:2438,10de:2288'
    printf 'options vfio-pci ids=10de:2288\n' | put /etc/modprobe.d/vfio.conf
    [ "$(state claims)" = '' ]
}

@test "setup: an initramfs is as old as its copy of modprobe's files, and counts only if it is a kernel's" {
    local image
    debian 13 6.12.107+deb13-amd64
    deb822_sources trixie
    image="$HOST/boot/initrd.img-6.12.107+deb13-amd64"
    mkdir -p "$HOST/usr/sbin"
    touch "$HOST/usr/sbin/update-initramfs"
    printf 'blacklist nouveau\n' | put /etc/modprobe.d/nvlxc.conf
    touch -d 2000-01-01 "$image.dpkg-bak" "$image.new" "$HOST/boot/initrd.img-6.1.0-1-amd64"
    [ "$(state initramfs)" = 'not needed' ]
    touch "$image"
    [ "$(state initramfs)" = 'done' ]
    # a line that setup has commented out, and was killed
    printf '# blacklist nvidia\n' | put /etc/modprobe.d/pve-passthrough.conf
    touch -d '1 hour' "$HOST/etc/modprobe.d/pve-passthrough.conf"
    [ -z "$(state barriers)" ]
    [ "$(state initramfs)" = 'to do' ]
}

@test "setup: dpkg finishes first what it was interrupted in" {
    debian 13 6.12.107+deb13-amd64
    deb822_sources trixie
    put /var/lib/dpkg/updates/tmp.i </dev/null
    [ -z "$(state dpkg)" ]
    put /var/lib/dpkg/updates/0003 </dev/null
    [ "$(state dpkg)" = 'to do' ]
    [ "$(words dpkg)" = 'dpkg --configure -a' ]
    [ "$(plan | jq -c '[.plan[].id] | index("dpkg") < index("headers")')" = true ]
}

@test "setup: sources without Debian's archive, a kernel of other making" {
    debian 13 6.12.107+deb13-amd64
    proxmox_sources trixie
    refuses
    [[ "$stderr" == *"apt's sources name no archive of Debian trixie"* ]]
    debian 13 6.12.50-mine
    deb822_sources trixie
    refuses
    [[ "$stderr" == *"kernel 6.12.50-mine is neither Debian's nor Proxmox's"* ]]
    mkdir -p "$HOST/lib/modules/6.12.50-mine/build"
    [ "$(state headers)" = 'done' ]
}

@test "setup: the command line" {
    debian 13 6.12.107+deb13-amd64
    deb822_sources trixie
    run -2 --separate-stderr "$NVLXC" --root "$HOST" host set-up
    [[ "$stderr" == *"unknown word 'set-up'"* ]]
    run -2 --separate-stderr "$NVLXC" --root "$HOST" host --yes
    [[ "$stderr" == *"work only with 'host setup'"* ]]
    run -2 --separate-stderr "$NVLXC" --root "$HOST" host setup --dry-run --yes
    run -2 --separate-stderr "$NVLXC" --root "$HOST" host setup --yes
    [[ "$stderr" == *"captured host"* ]]
    run -2 --separate-stderr "$NVLXC" --root "$HOST" --json host setup --yes
}

@test "setup: a dry run changes nothing" {
    proxmox 9 6.17.4-1-pve
    cp -a "$HOST" "$BATS_TEST_TMPDIR/before"
    run -0 "$NVLXC" --root "$HOST" host setup --dry-run
    diff -r --no-dereference "$BATS_TEST_TMPDIR/before/etc" "$HOST/etc"
    [ ! -e "$HOST/var/log/nvlxc-setup.log" ]
}
