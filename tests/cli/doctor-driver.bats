#!/usr/bin/env bats
# doctor and host setup on hosts whose driver came from elsewhere than Debian's main packages: each fix fits the driver that
# is there, and no host with NVIDIA's installer is told of a package of Debian's driver, which would uninstall it.
# shellcheck disable=SC2030,SC2031,SC2154
bats_require_minimum_version 1.5.0

# shellcheck source=/dev/null
source "$NVL_SOURCE/tests/lib/hosts.bash"
# shellcheck source=/dev/null
source "$NVL_SOURCE/tests/lib/doctor-host.bash"

# lacks TEXT...: no fix of any finding has any of the texts.
lacks() {
    local text got
    got=$(nvlxc --json doctor | jq -r '.findings[].fix | '"$JQ_WORDS")
    for text in "$@"; do
        [[ $got != *"$text"* ]] || { echo "not expected: $text"; echo "got: $got"; return 1; }
    done
}

# first ID: the first line of its fix.
first() {
    part "$1" fix | head -n 1
}

# kernel_is RELEASE: the one that runs, with its headers.
kernel_is() {
    echo "$1" >"$HOST/proc/sys/kernel/osrelease"
    mkdir -p "$HOST/usr/lib/modules/$1/build"
}

# module_for RELEASE [NAME]: a kernel that has the driver's module.
module_for() {
    mkdir -p "$HOST/usr/lib/modules/$1/updates/dkms"
    touch "$HOST/usr/lib/modules/$1/updates/dkms/${2:-nvidia.ko.xz}"
}

installed() {
    mkdir -p "$HOST/var/lib/dpkg"
    printf 'Package: %s\nStatus: install ok installed\nMaintainer: %s\nVersion: %s\n\n' "$1" "$3" "$2" \
        >>"$HOST/var/lib/dpkg/status"
}

gpu_is() {
    echo "0x$1" >"$HOST/$GPU/device"
}

# os ID [KEY=VALUE...]: another distribution.
os() {
    printf '%s\n' "ID=$1" "${@:2}" >"$HOST/etc/os-release"
    rm -rf "$HOST/etc/pve" "$HOST/etc/debian_version" "$HOST/var/lib/dpkg"
}

# A .run driver whose module is built by dkms, for another kernel alone.
run_host() {
    HOST=$(fixture a5500-580-open)
    unload
    mkdir -p "$HOST/etc/pve" "$HOST/var/lib/dkms/nvidia/580.95.05/source"
    touch "$HOST/usr/bin/nvidia-uninstall"
    kernel_is 6.17.4-2-pve
    module_for 6.14.8-2-pve
}

no_driver() {
    HOST=$(fixture no-driver)
    mkdir -p "$HOST/etc/pve"
    kernel_is "$1"
}

@test "A1: NVIDIA's installer, and a kernel that its driver is not for" {
    run_host
    speaks driver-kernel:error
    has driver-kernel fix "# NVIDIA's driver 580.105.08 or newer" \
        "https://download.nvidia.com/XFree86/Linux-x86_64/580.178.04/NVIDIA-Linux-x86_64-580.178.04.run" \
        "nvlxc host setup --run NVIDIA-Linux-x86_64-580.178.04.run" "proxmox-boot-tool kernel pin 6.14.8-2-pve"
    lacks "apt" "580.95.05"
    run -3 --separate-stderr nvlxc host setup --dry-run
    says "driver 580.95.05 of NVIDIA's installer is installed, without a module" \
        "does not support kernel 6.17.4-2-pve: download NVIDIA's installer of 580.105.08 or newer, then: nvlxc host setup --run FILE"
}

@test "A1: the installer's driver with its other faults" {
    run_host
    kernel_is 6.14.11-4-pve # which it is for, and is not built
    speaks driver-not-built:error
    has driver-not-built fix "dkms autoinstall -k 6.14.11-4-pve" "modprobe nvidia"
    lacks "apt" "nvidia-current"
    rm -r "$HOST/var/lib/dkms" # without dkms it is installed again
    speaks driver-not-built:error
    has driver-not-built fix "nvlxc host setup --run NVIDIA-Linux-x86_64-580.95.05.run"
    lacks "apt install nvidia" "libcuda1"

    HOST=$(fixture a5500-580-open)
    rm -r "$HOST/usr/lib/firmware" "$HOST/proc/611"
    speaks firmware-missing:warning persistence:note
    has firmware-missing fix "sh NVIDIA-Linux-x86_64-580.95.05.run --extract-only" \
        "install -D -m 644 -t /lib/firmware/nvidia/580.95.05 NVIDIA-Linux-x86_64-580.95.05/firmware/gsp_*.bin"
    [ "$(part persistence fix)" = "nvidia-smi -pm 1" ]
    rm -r "$HOST"/usr/lib/{x86_64,i386}-linux-gnu
    has libraries-absent fix "sh NVIDIA-Linux-x86_64-580.95.05.run --no-kernel-modules" "nvlxc driver sync"
    rm "$HOST/usr/bin/nvidia-modprobe"
    sed -i '/nvidia-uvm/d' "$HOST/proc/devices"
    has uvm-not-loaded fix "modprobe nvidia-uvm" "mknod -m 0666 /dev/nvidia-uvm c"
    lacks "apt"
}

@test "A2: Debian's driver and Proxmox's next kernel: the one that has the module, or its headers out of the way" {
    HOST=$(fixture pve-9.2-upgraded)
    [ "$(part driver-kernel fix)" = "proxmox-boot-tool kernel pin 6.17.13-2-pve && reboot" ]
    rm -r "$HOST/usr/lib/modules/6.17.13-2-pve/updates"
    [ "$(part driver-kernel fix)" = \
        "apt remove proxmox-headers-7.0.2-6-pve   # driver 550 does not build on that kernel, and would not install
nvlxc host setup" ]
    # both blacklists end in one file
    has nova-blacklist fix ">> /etc/modprobe.d/nvlxc.conf"
    rm "$HOST/etc/modprobe.d/nvidia-blacklists-nouveau.conf"
    has nouveau-blacklist fix ">> /etc/modprobe.d/nvlxc.conf"
}

@test "A3: no driver: what fits is planned, or is NVIDIA's own" {
    no_driver 6.14.8-2-pve
    speaks driver-absent:error
    [ "$(first driver-absent)" = "nvlxc host setup" ]
    has driver-absent fix "apt install nvidia-kernel-dkms"
    no_driver 6.17.4-2-pve # from backports: nothing that apt does by itself
    [ "$(part driver-absent fix)" = "nvlxc host setup" ]
    no_driver 7.0.2-1-pve # another kernel
    [ "$(part driver-absent fix)" = "nvlxc host setup" ]
    rmdir "$HOST/etc/pve"
    kernel_is 7.0.4+deb13-amd64
    has driver-absent fix "# NVIDIA's driver 580.142 or newer of branch 580, or 595.58.03 or newer" \
        "nvlxc host setup --run NVIDIA-Linux-x86_64-580.178.04.run"
    lacks "nvidia-kernel-dkms"
    gpu_is 1b81 # Pascal: its last branch
    [ "$(first driver-absent)" = "# NVIDIA's driver 580.142 or newer of branch 580" ]
    gpu_is 2b85
    has driver-absent fix "nvlxc host setup --run NVIDIA-Linux-x86_64-580.178.04.run"
    gpu_is 3002
    has driver-absent fix "download the driver that NVIDIA names for this GPU" "host setup --run FILE"
    lacks "apt"
    HOST=$(fixture debian-12-k80)
    has driver-absent fix "nvlxc host setup" "apt install linux-headers-amd64 linux-headers-6.1.0-40-amd64" \
        "apt install nvidia-tesla-470-kernel-dkms nvidia-tesla-470-smi libnvidia-tesla-470-cuda1 "
}

@test "A4: Debian's tesla and legacy packages are known, and keep their names" {
    HOST=$(fixture a5500-550)
    rm "$HOST/etc/pve/nodes/pve/lxc/223.conf"
    unload
    rm -r "$HOST/var/lib/dkms" "$HOST/usr/lib/modules/6.14.11-4-pve/updates"
    sed -i 's/^Package: nvidia-kernel-dkms/Package: nvidia-tesla-535-kernel-dkms/; s/^Version: 550.163.01-2/Version: 535.274.02-1~deb13u1/' \
        "$HOST/var/lib/dpkg/status"
    mkdir -p "$HOST/var/lib/dkms/nvidia-tesla-535/535.274.02"
    mv "$HOST/usr/lib/x86_64-linux-gnu/nvidia/current" "$HOST/usr/lib/x86_64-linux-gnu/nvidia/tesla-535"
    speaks driver-not-built:error # 6.14 is one that it is for
    has driver-not-built fix "dkms autoinstall -k 6.14.11-4-pve" "modprobe nvidia-tesla-535"
    kernel_is 6.17.4-2-pve
    speaks driver-kernel:error
    has driver-kernel evidence "driver 535.274.02 is for kernels up to 6.15"
    has driver-kernel fix "apt purge nvidia-tesla-535-alternative nvidia-tesla-535-kernel-dkms" "nvlxc host setup"
    lacks "550.163.01"
    # a newer one of the same series
    sed -i 's/535.274.02-1~deb13u1/535.216.03-3~deb12u1/' "$HOST/var/lib/dpkg/status"
    mv "$HOST/var/lib/dkms/nvidia-tesla-535/535.274.02" "$HOST/var/lib/dkms/nvidia-tesla-535/535.216.03"
    kernel_is 6.15.4-1-pve
    [ "$(first driver-kernel)" = "apt update && apt install nvidia-tesla-535-kernel-dkms   # 535.274.02-1~deb13u1, from trixie" ]
    # legacy: its module has such a name, too
    rm -r "$HOST/var/lib/dkms"
    mkdir -p "$HOST/var/lib/dkms/nvidia-legacy-390xx/390.157"
    sed -i 's/nvidia-tesla-535-kernel-dkms/nvidia-legacy-390xx-kernel-dkms/; s/535.216.03-3~deb12u1/390.157-16/' \
        "$HOST/var/lib/dpkg/status"
    gpu_is 0dc4 # Fermi
    has driver-not-built fix "modprobe nvidia-legacy-390xx"
    module_for 6.15.4-1-pve nvidia-legacy-390xx.ko.xz
    speaks driver-not-loaded:error
}

# granted LIST: a container with a grant of these capabilities, and the loaded driver's bundle.
granted() {
    local bundle=var/lib/nvlxc/driver/550.163.01
    cat >>"$HOST/var/lib/lxc/web/config" <<END
lxc.environment = NVIDIA_VISIBLE_DEVICES=GPU-3291dfa4-fcc4-0110-615b-c894a0d7c689
lxc.environment = NVIDIA_DRIVER_CAPABILITIES=$1
lxc.hook.pre-start = </dev/null; [ ! -x /usr/libexec/nvlxc/hook ] || exec /usr/libexec/nvlxc/hook
lxc.hook.mount = </dev/null; [ ! -x /usr/libexec/nvlxc/hook ] || exec /usr/libexec/nvlxc/hook
END
    mkdir -p "$HOST/usr/libexec/nvlxc" "$HOST/$bundle"
    install -m 755 /dev/null "$HOST/usr/libexec/nvlxc/hook"
    cp -a "$NVL_SOURCE/tests/hosts/upgraded/$bundle/." "$HOST/$bundle/"
}

@test "A4: what libraries are missing is named as the series has them, or the archive, or the installer" {
    HOST=$(fixture a5500-550)
    rm "$HOST/etc/pve/nodes/pve/lxc/223.conf"
    granted compute,video
    rm "$HOST"/usr/lib/x86_64-linux-gnu/libnvidia-encode.so.1 \
        "$HOST"/usr/lib/x86_64-linux-gnu/nvidia/current/libnvidia-encode*
    [ "$(first libraries-incomplete)" = "apt install libnvidia-encode1 nvidia-vdpau-driver   # version 550.163.01" ]
    rm -r "$HOST/var/lib/dkms"
    sed -i 's/^Package: nvidia-kernel-dkms/Package: nvidia-tesla-550-kernel-dkms/' "$HOST/var/lib/dpkg/status"
    [ "$(first libraries-incomplete)" = "apt install libnvidia-tesla-550-encode1 nvidia-tesla-550-vdpau-driver   # version 550.163.01" ]
    sed -i 's/^Package: nvidia-tesla-550-kernel-dkms/Package: nvidia-kernel-open-dkms/' "$HOST/var/lib/dpkg/status"
    [ "$(first libraries-incomplete)" = "apt install libnvidia-encode1 nvidia-vdpau-driver   # version 550.163.01" ]
    sed -i 's/^Package: nvidia-kernel-open-dkms/Package: other/' "$HOST/var/lib/dpkg/status"
    mkdir -p "$HOST/var/lib/dkms/nvidia/550.163.01"
    has libraries-incomplete fix "sh NVIDIA-Linux-x86_64-550.163.01.run --no-kernel-modules" "nvlxc driver sync"
    lacks apt
}

@test "A5: NVIDIA's archive is known, and its packages are named" {
    HOST=$(fixture a5500-580-open)
    rm "$HOST/usr/bin/nvidia-installer"
    mkdir -p "$HOST/etc/pve" "$HOST/var/lib/dkms/nvidia/580.95.05"
    installed nvidia-kernel-open-dkms 580.95.05-1 "NVIDIA CORPORATION <cudatools@nvidia.com>"
    installed nvidia-driver-cuda 580.95.05-1 "NVIDIA CORPORATION <cudatools@nvidia.com>"
    installed proxmox-default-headers 2.0.0 "Proxmox"
    nvlxc host setup --dry-run --json | jq -e '.plan[] | select(.id == "driver") | .state == "not needed" and
        (.reason | contains("nvidia-kernel-open-dkms 580.95.05-1 is installed, from NVIDIA'"'"'s archive"))'
    unload
    kernel_is 6.17.4-2-pve
    speaks driver-kernel:error
    has driver-kernel title "driver 580.95.05 (open)"
    has driver-kernel fix "# NVIDIA's driver 580.105.08 or newer" \
        "apt update && apt install nvidia-driver-cuda nvidia-kernel-open-dkms"
    lacks ".run" "host setup"
    # nothing is planned beside it while its module is not loaded, either
    run -3 --separate-stderr nvlxc host setup --dry-run
    says "nvidia-kernel-open-dkms 580.95.05-1 is installed, and does not fit: builds up to kernel 6.16" \
        "upgrade it: nvlxc host setup --from nvidia"
    nvlxc host setup --dry-run --json --from nvidia | jq -e '.plan[] | select(.id == "driver") | .state == "to do"'
    kernel_is 6.14.8-2-pve
    nvlxc host setup --dry-run --json | jq -e '.plan[] | select(.id == "driver") | .state == "not needed"'
    kernel_is 6.17.4-2-pve
    gpu_is 1b81 # Pascal, which the open modules do not drive, and 590 no longer knows
    has driver-kernel fix "apt install nvidia-driver-pinning-580" \
        "apt install --allow-downgrades nvidia-driver-cuda nvidia-kernel-dkms"
    # the same name as Debian's package: whose it is its maintainer says
    gpu_is 2438
    sed -i 's/nvidia-kernel-open-dkms/nvidia-kernel-dkms/' "$HOST/var/lib/dpkg/status"
    has driver-kernel fix "apt install nvidia-driver-cuda nvidia-kernel-dkms"
    has driver-kernel title "driver 580.95.05 (proprietary)"
}

@test "A6: other distributions: their own command where it is known" {
    HOST=$(fixture no-driver)
    kernel_is 6.17.8-300.fc43.x86_64
    os fedora VERSION_ID=43
    [ "$(first driver-absent)" = "dnf install akmod-nvidia xorg-x11-drv-nvidia-cuda   # from RPM Fusion, nonfree" ]
    os nobara 'ID_LIKE="rhel centos fedora"'
    lacks apt
    kernel_is 6.12.60-1-lts
    os cachyos ID_LIKE=arch
    [ "$(first driver-absent)" = "pacman -Syu nvidia-open-dkms nvidia-utils" ]
    os opensuse-tumbleweed 'ID_LIKE="opensuse suse"'
    [[ $(first driver-absent) == zypper* ]]
    os nixos
    has driver-absent fix "hardware.nvidia.open = true" "nixos-rebuild boot"
    os ubuntu ID_LIKE=debian
    [ "$(first driver-absent)" = "ubuntu-drivers install" ]
    os slackware
    [ "$(part driver-absent fix)" = "install NVIDIA's driver, with its kernel module, from the distribution" ]
    gpu_is 1b81
    os arch
    has driver-absent fix "branch 580"
    lacks pacman
}

@test "A6: another distribution's driver is not mended by Debian's packages" {
    HOST=$(fixture a5500-550)
    rm -r "$HOST/etc/pve"
    rm "$HOST/etc/debian_version"
    unload
    os arch
    rm -r "$HOST/var/lib/dkms" "$HOST/usr/lib/modules"
    mkdir -p "$HOST/var/lib/dkms/nvidia/550.163.01" "$HOST/usr/lib/modules"
    echo 6.12.60-1-lts >"$HOST/proc/sys/kernel/osrelease"
    has headers-missing fix "pacman -S linux-lts-headers" "dkms autoinstall -k 6.12.60-1-lts"
    kernel_is 6.17.8-arch1-1
    [ "$(first driver-kernel)" = "pacman -Syu" ]
    lacks apt .run
    os fedora
    [ "$(first driver-kernel)" = "dnf upgrade --refresh akmod-nvidia xorg-x11-drv-nvidia-cuda" ]
}

@test "A6: a distribution's libraries without a module, and with one for another kernel" {
    HOST=$(fixture fedora)
    speaks driver-not-built:error
    [ "$(part driver-not-built fix)" = $'akmods --force --kernels 6.17.10-300.fc43.x86_64\nmodprobe nvidia' ]
    rm -r "$HOST/usr/lib/modules/6.17.10-300.fc43.x86_64/build"
    [ "$(first headers-missing)" = "dnf install kernel-devel-6.17.10-300.fc43.x86_64" ]
    rm -r "$HOST/usr/lib/modules/6.17.8-300.fc43.x86_64/extra"
    [[ $(first driver-not-built) == "dnf install akmod-nvidia "* ]]
    lacks apt dkms
    # the open flavor's folder
    mkdir -p "$HOST/usr/lib/modules/6.17.10-300.fc43.x86_64/extra/nvidia-open"
    touch "$HOST/usr/lib/modules/6.17.10-300.fc43.x86_64/extra/nvidia-open/nvidia.ko.xz"
    speaks driver-not-loaded:error
    HOST=$(fixture arch)
    unload
    speaks kernel-replaced:error
    has kernel-replaced evidence "/lib/modules has 6.17.9-arch1-1"
    [ "$(part kernel-replaced fix)" = reboot ]
}

@test "boot: the distribution's own commands, wherever a fix changes what a boot reads" {
    HOST=$(fixture nouveau)
    has gpu-nouveau fix "update-initramfs -u -k all"
    os fedora
    has gpu-nouveau fix "dracut --force --regenerate-all" reboot
    lacks update-initramfs
    os gentoo
    has gpu-nouveau fix "rebuild the initramfs, by this distribution's own way"
    HOST=$(fixture vfio)
    rm "$HOST/etc/modprobe.d/vfio.conf"
    mkdir -p "$HOST/etc/default"
    echo 'quiet vfio-pci.ids=10de:2438' >"$HOST/proc/cmdline"
    echo 'GRUB_CMDLINE_LINUX="quiet vfio-pci.ids=10de:2438"' >"$HOST/etc/default/grub"
    echo 'blacklist nvidia' >"$HOST/etc/modprobe.d/nvidia.conf"
    os arch
    [ "$(part gpu-vfio fix | tail -n 3)" = \
        $'grub-mkconfig -o /boot/grub/grub.cfg\nmkinitcpio -P\nreboot' ]
    os opensuse-leap 'ID_LIKE="suse opensuse"'
    has gpu-vfio fix "grub2-mkconfig -o /boot/grub2/grub.cfg" dracut
    os fedora
    has gpu-vfio fix "rebuild the boot loader's configuration, by this distribution's own way" dracut
}

@test "A7: two GPUs that no driver joins: which of them stays out with which driver" {
    local other
    HOST=$(fixture two-gpus-535)
    unload
    rm -f "$HOST"/sys/devices/pci0000:00/*/0000:0[12]:00.0/driver
    other=$(echo "$HOST"/sys/devices/pci0000:00/*/0000:02:00.0)
    rm -rf "$HOST"/usr/lib/x86_64-linux-gnu "$HOST"/var/lib/{dkms,dpkg} "$HOST"/usr/lib/modules
    for gpu in "$HOST"/sys/devices/pci0000:00/*/0000:01:00.0; do echo 0x1b81 >"$gpu/device"; done
    echo 0x2b85 >"$other/device"
    kernel_is 6.1.0-40-amd64
    speaks driver-absent:error
    [[ $(first driver-absent) == "no driver supports all GPUs of this host: choose"* ]]
    has driver-absent fix "driver 580 or older (proprietary modules) leaves out GPU 0000:02:00.0 (Blackwell)" \
        "driver 570 or newer (open modules) leaves out GPU 0000:01:00.0 (Pascal)" \
        "NVIDIA's installer for GPU 0000:01:00.0 (10de:1b81, Pascal): " \
        "NVIDIA's installer for GPU 0000:02:00.0 (10de:2b85, Blackwell): 580 or newer" "nvlxc host setup --run FILE"
    run -3 --separate-stderr nvlxc host setup --dry-run
    says "no driver supports both GPU 0000:01:00.0 (10de:1b81, Pascal) and GPU 0000:02:00.0 (10de:2b85, Blackwell)"
}

# a module with that licence: what modinfo prints
module_with_licence() {
    printf 'license=%s\0version=580.95.05\0' "$2" >"$BATS_TEST_TMPDIR/info"
    echo 'int nothing;' | gcc -c -x c - -o "$BATS_TEST_TMPDIR/object.o"
    mkdir -p "$(dirname "$1")"
    objcopy --add-section .modinfo="$BATS_TEST_TMPDIR/info" "$BATS_TEST_TMPDIR/object.o" "$1"
}

@test "B: the flavour of a module that is not loaded is not guessed" {
    run_host
    kernel_is 6.14.11-4-pve
    gpu_is 2b85 # needs the open one
    speaks driver-not-built:error
    module_for 6.14.11-4-pve # compressed: not read
    speaks driver-not-loaded:error
    rm "$HOST/usr/lib/modules/6.14.11-4-pve/updates/dkms/nvidia.ko.xz"
    module_with_licence "$HOST/usr/lib/modules/6.14.11-4-pve/updates/dkms/nvidia.ko" "Dual MIT/GPL"
    speaks driver-not-loaded:error
    module_with_licence "$HOST/usr/lib/modules/6.14.11-4-pve/updates/dkms/nvidia.ko" NVIDIA
    speaks gpu-flavour:error
    has gpu-flavour evidence "580.95.05 (proprietary)"
    has gpu-flavour fix "nvlxc host setup --run NVIDIA-Linux-x86_64-580.95.05.run"
    lacks apt
}

@test "driver-vgpu: the host driver for virtual GPUs has no CUDA, and nothing else is missed" {
    HOST=$(fixture a5500-580-open)
    rm "$HOST"/usr/lib/*-linux-gnu/libcuda.so*
    touch "$HOST/usr/lib/x86_64-linux-gnu/libnvidia-vgpu.so.580.95.05"
    echo 'nvidia_vgpu_vfio 1 0 - Live 0x0' >>"$HOST/proc/modules"
    sed -i '/nvidia-uvm/d' "$HOST/proc/devices"
    speaks driver-vgpu:error
    has driver-vgpu evidence "no libcuda.so.1 is installed; /proc/modules: nvidia_vgpu_vfio"
    has driver-vgpu fix "replace the host driver for virtual GPUs with NVIDIA's ordinary driver"
    [ "$(nvlxc host | grep -c '^problem')" = 1 ]
    [[ $(nvlxc driver sync --dry-run) == *"compute: "*": NVIDIA's host driver for virtual GPUs does not have that"* ]]
    # merged: the ordinary one's libraries, too
    touch "$HOST/usr/lib/x86_64-linux-gnu/libcuda.so.580.95.05"
    speaks uvm-not-loaded:error
}

@test "a driver in a folder of its own stays there" {
    HOST=$(fixture a5500-580-open)
    rm "$HOST/usr/bin/nvidia-installer"
    mkdir -p "$HOST/opt/nvidia/lib64"
    mv "$HOST"/usr/lib/x86_64-linux-gnu/lib* "$HOST/opt/nvidia/lib64/"
    rm -r "$HOST/usr/lib/i386-linux-gnu"
    unload
    kernel_is 6.14.8-2-pve
    speaks driver-not-built:error
    has driver-not-built fix "sh NVIDIA-Linux-x86_64-580.95.05.run --kernel-modules-only --dkms"
    lacks "apt install nvidia" "libcuda1"
}
