# shellcheck shell=bash
# What hosts are made of, in the forms that real ones have; each function adds to the host $HOST. kinds.bash makes whole
# hosts of them. Sourced.

PCI_BRIDGE=sys/devices/pci0000:00/0000:00:01.0

# folder PATH: the one that this file lies in.
folder() {
    [ -d "$HOST${1%/*}" ] || mkdir -p "$HOST${1%/*}"
}

# put PATH: standard input into that file of the host.
put() {
    local text
    folder "$1"
    IFS= read -rd '' text || true
    printf %s "$text" >"$HOST$1"
}

# empty PATH...: files whose names are all that counts.
empty() {
    local path
    for path; do
        folder "$path"
        : >"$HOST$path"
    done
}

# lead PATH TARGET: a link.
lead() {
    folder "$1"
    ln -sfn "$2" "$HOST$1"
}

# bare: a machine without a GPU and without a distribution.
bare() {
    lead /bin usr/bin
    lead /sbin usr/sbin
    lead /lib usr/lib
    lead /lib64 usr/lib64
    printf '%s\n' "$ARCH" | put /proc/sys/kernel/arch
    mkdir -p "$HOST"/usr/{bin,sbin,lib,lib64} "$HOST/run/lock/lxc" "$HOST/run/systemd/system" "$HOST/sys/bus/pci/devices" \
        "$HOST/boot"
    printf 'dev/null c 1 3 0666\n' >"$HOST/nodes"
    printf '%s\n' 'Character devices:' '  1 mem' '  5 /dev/tty' ' 10 misc' '136 pts' '226 drm' '' 'Block devices:' \
        '259 blkext' | put /proc/devices
    printf '%s 40960 0 - Live 0x0000000000000000\n' veth overlay bridge | put /proc/modules
    printf 'Num       RefCount Protocol Flags    Type St Inode Path\n' | put /proc/net/unix
    printf 'BOOT_IMAGE=/boot/vmlinuz root=/dev/mapper/root ro quiet\n' | put /proc/cmdline
    sysfs_device 0000:00:01.0 8086 460d 060400
}

# sysfs_device PCI VENDOR DEVICE CLASS: as sysfs has it; all but the bridge are behind it.
sysfs_device() {
    local folder=$PCI_BRIDGE
    [ "$1" = 0000:00:01.0 ] || folder+=/$1
    printf '0x%s\n' "$2" | put "/$folder/vendor"
    printf '0x%s\n' "$3" | put "/$folder/device"
    printf '0x%s\n' "$4" | put "/$folder/class"
    lead "/sys/bus/pci/devices/$1" "../../../../$folder"
}

# gpu PCI DEVICE [CLASS]: one of NVIDIA's, by its PCI device id; 030000 is a graphics card, 030200 one without outputs.
gpu() {
    sysfs_device "$1" 10de "$2" "${3:-030000}"
    GPUS+=("$1")
}

# virtual_function PCI PHYSICAL DEVICE: of a GPU that SR-IOV divides.
virtual_function() {
    sysfs_device "$1" 10de "$3" 030200
    lead "/$PCI_BRIDGE/$1/physfn" "../$2"
}

# bound PCI DRIVER: which driver has a device.
bound() {
    mkdir -p "$HOST/sys/bus/pci/drivers/$2"
    lead "/$PCI_BRIDGE/$1/driver" "../../../../bus/pci/drivers/$2"
    lead "/sys/bus/pci/drivers/$2/$1" "../../../../$PCI_BRIDGE/$1"
}

# ---- machines ----

# arm64: the host is one; call it first.
arm64() {
    ARCH=aarch64 MULTIARCH=aarch64-linux-gnu DEBIAN_ARCH=arm64
    rmdir "$HOST/usr/lib64"
    rm "$HOST/lib64"
    printf 'aarch64\n' | put /proc/sys/kernel/arch
}

# device_tree MODEL COMPATIBLE...: of a machine whose firmware has no ACPI.
device_tree() {
    printf '%s\n' "$1" | tr '\n' '\0' | put /proc/device-tree/model
    printf '%s\n' "${@:2}" | tr '\n' '\0' >"$HOST/proc/device-tree/compatible"
}

# ---- distributions ----

# debian VERSION: with its archive as its installer writes it: one-line up to 12, deb822 since 13.
debian() {
    local codename=trixie key=/usr/share/keyrings/debian-archive-keyring.gpg
    [ "$1" = 13 ] || codename=bookworm
    printf '%s\n' "PRETTY_NAME=\"Debian GNU/Linux $1 ($codename)\"" 'NAME="Debian GNU/Linux"' "VERSION_ID=\"$1\"" \
        "VERSION=\"$1 ($codename)\"" "VERSION_CODENAME=$codename" ID=debian | put /etc/os-release
    printf '%s.2\n' "$1" | put /etc/debian_version
    empty /usr/sbin/update-initramfs /etc/default/grub
    mkdir -p "$HOST/var/lib/dpkg/info"
    if [ "$1" = 12 ]; then
        put /etc/apt/sources.list <<END
deb http://mirror.example/debian/ $codename main non-free-firmware
deb-src http://mirror.example/debian/ $codename main non-free-firmware

deb http://mirror.example/debian-security $codename-security main non-free-firmware
deb-src http://mirror.example/debian-security $codename-security main non-free-firmware

deb http://mirror.example/debian/ $codename-updates main non-free-firmware
deb-src http://mirror.example/debian/ $codename-updates main non-free-firmware
END
    else
        put /etc/apt/sources.list.d/debian.sources <<END
Types: deb
URIs: http://mirror.example/debian/
Suites: $codename $codename-updates
Components: main contrib non-free-firmware
Signed-By: $key

Types: deb
URIs: http://mirror.example/debian-security/
Suites: $codename-security
Components: main contrib non-free-firmware
Signed-By: $key
END
    fi
    package dpkg 1.22.21
}

# with_non_free: Debian 13's components that the driver needs, as whoever has its packages has them.
with_non_free() {
    sed -i 's/^Components: main .*/Components: main contrib non-free non-free-firmware/' \
        "$HOST/etc/apt/sources.list.d/debian.sources"
}

# backports: by hand.
backports() {
    sed -i 's/^Suites: trixie trixie-updates$/& trixie-backports/' "$HOST/etc/apt/sources.list.d/debian.sources"
}

# proxmox VERSION KERNEL: Proxmox VE 9 on Debian 13, one container, the kernel that it boots.
proxmox() {
    debian 13
    put /etc/apt/sources.list.d/proxmox.sources <<'END'
Types: deb
URIs: http://mirror.example/debian/pve
Suites: trixie
Components: pve-no-subscription
Signed-By: /usr/share/keyrings/proxmox-archive-keyring.gpg
END
    package pve-manager "$1"
    package pve-container 6.1.10
    package pve-cluster 9.1.6
    package proxmox-default-kernel 2.1.0
    kernel "$2" running
    lead /etc/pve/local nodes/pve
    lead /etc/pve/lxc nodes/pve/lxc
    put /etc/pve/nodes/pve/lxc/101.conf <<'END'
arch: amd64
cores: 8
features: nesting=1
hostname: ollama
memory: 16384
net0: name=eth0,bridge=vmbr0,hwaddr=BC:24:11:5A:7E:21,ip=dhcp,type=veth
onboot: 1
ostype: debian
rootfs: local-lvm:vm-101-disk-0,size=32G
swap: 512
unprivileged: 1
END
}

# other_distribution NAME ID [KEY=VALUE...]: its os-release.
other_distribution() {
    printf '%s\n' "NAME=\"$1\"" "ID=$2" "${@:3}" | put /etc/os-release
}

# lxc_container NAME: of plain LXC, root's own.
lxc_container() {
    put "/var/lib/lxc/$1/config" <<END
lxc.uts.name = $1
lxc.rootfs.path = dir:/var/lib/lxc/$1/rootfs
END
}

# package NAME VERSION [MAINTAINER]: installed, as dpkg has it: a paragraph and a list of files.
package() {
    printf 'Package: %s\nStatus: install ok installed\nMaintainer: %s\nArchitecture: %s\nVersion: %s\n\n' "$1" \
        "${3:-Debian NVIDIA Maintainers <pkg-nvidia-devel@lists.example>}" "$DEBIAN_ARCH" "$2" >>"$HOST/var/lib/dpkg/status"
    empty "/var/lib/dpkg/info/$1.list"
}

# packages VERSION NAME...: several of one version.
packages() {
    local name
    for name in "${@:2}"; do package "$name" "$1"; done
}

# ---- kernels ----

# kernel RELEASE [running]: an installed kernel with its image, its initramfs and the other drivers' modules.
kernel() {
    empty "/boot/vmlinuz-$1" "/boot/initrd.img-$1" "/usr/lib/modules/$1/kernel/drivers/gpu/drm/nouveau/nouveau.ko.xz"
    case $1 in 7.*) empty "/usr/lib/modules/$1/kernel/drivers/gpu/nova-core/nova_core.ko.xz" ;; esac
    [ "${2:-}" = running ] || return 0
    printf '%s\n' "$1" | put /proc/sys/kernel/osrelease
    printf 'Linux version %s (builder@host) (gcc 14.2.0) #1 SMP PREEMPT_DYNAMIC\n' "$1" | put /proc/version
}

# headers RELEASE: of that kernel, so that a module can be built for it.
headers() {
    empty "/usr/src/linux-headers-$1/include/generated/autoconf.h"
    lead "/usr/lib/modules/$1/build" "/usr/src/linux-headers-$1"
}

# modules RELEASE NAME [FOLDER]: the driver's modules for a kernel; NAME is that of the first.
modules() {
    local folder=/usr/lib/modules/$1/${3:-updates/dkms} part
    for part in '' -drm -modeset -peermem -uvm; do empty "$folder/$2$part.ko.xz"; done
}

# dkms NAME VERSION [RELEASE...]: dkms's entry, built for these kernels.
dkms() {
    local tree=/var/lib/dkms/$1 release
    empty "/usr/sbin/dkms" "/usr/src/$1-$2/dkms.conf"
    lead "$tree/$2/source" "/usr/src/$1-$2"
    for release in "${@:3}"; do
        empty "$tree/$2/$release/$ARCH/module/$1.ko.xz" "$tree/$2/$release/$ARCH/log/make.log"
        lead "$tree/kernel-$release-$ARCH" "$2/$release/$ARCH"
        modules "$release" "$1"
    done
}

# dkms_failed NAME VERSION RELEASE: the log that a failed build leaves.
dkms_failed() {
    put "/var/lib/dkms/$1/$2/build/make.log" <<END
DKMS (dkms-3.2.2) make.log for $1/$2 for kernel $3 ($ARCH)
Sun Nov 15 09:12:40 UTC 2026
make[1]: Entering directory '/usr/src/linux-headers-$3'
././common/inc/nv-mm.h:315:25: error: 'struct vm_area_struct' has no member named '__vm_flags'; did you mean 'vm_flags'?
make[1]: *** [Makefile:260: __sub-make] Error 2
END
}

# ---- the driver ----

# library_names VERSION SET: what a driver of that branch has: "NAME" or "LINK TARGET". SET is compute, for programs without a
# screen, or graphics, what is there besides.
library_names() {
    local version=$1 branch=${1%%.*} names name
    if [ "$2" = compute ]; then
        names='cuda.so.1 nvidia-ml.so.1 nvidia-cfg.so.1 nvidia-ptxjitcompiler.so.1 nvidia-opencl.so.1 nvcuvid.so.1
            nvidia-encode.so.1 nvidia-opticalflow.so.1'
        [ "$branch" -lt 515 ] || printf '%s %s\n' libnvidia-nvvm.so.4 "libnvidia-nvvm.so.$version"
        [ "$branch" -lt 575 ] || printf '%s\n' libnvidia-nvvm70.so.4 "libnvidia-gpucomp.so.$version"
    else
        names='GLX_nvidia.so.0 EGL_nvidia.so.0 GLESv1_CM_nvidia.so.1 GLESv2_nvidia.so.2 nvidia-allocator.so.1 nvidia-fbc.so.1
            nvoptix.so.1'
        [ "$ARCH" = aarch64 ] || names+=' nvidia-ngx.so.1'
        printf '%s\n' "libnvidia-"{eglcore,glcore,glsi,tls,glvkspirv,rtcore}".so.$version"
        [ "$branch" -lt 545 ] || [ "$branch" -ge 575 ] || printf '%s\n' "libnvidia-gpucomp.so.$version"
        [ "$branch" -lt 575 ] || printf '%s\n' "libnvidia-present.so.$version"
        printf '%s %s\n' vdpau/libvdpau_nvidia.so.1 "libvdpau_nvidia.so.$version"
    fi
    for name in $names; do
        printf 'lib%s lib%s\n' "$name" "${name%.*}.$version"
    done
}

# libraries FOLDER VERSION SET...: a driver's libraries, in one folder, with the links of their sonames.
libraries() {
    local folder=$1 version=$2 name target
    for set in "${@:3}"; do
        while read -r name target; do
            [[ $name != */* ]] || target=${name%/*}/$target
            empty "$folder/${target:-$name}"
            [ -z "$target" ] || lead "$folder/$name" "${target##*/}"
        done < <(library_names "$version" "$set")
    done
}

# program VERSION PATH...: programs of the driver, which name its version somewhere.
program() {
    local path
    for path in "${@:2}"; do
        printf 'a stand-in\0%s\0' "$1" | tr '\0' '\n' | put "$path"
        chmod 755 "$HOST$path"
    done
}

# opencl_icd: the file by which programs find OpenCL.
opencl_icd() {
    printf 'libnvidia-opencl.so.1\n' | put /etc/OpenCL/vendors/nvidia.icd
}

# debian_libraries SERIES VERSION: those for programs without a screen, in a folder of their own behind alternatives, as
# Debian has them; SERIES: current, tesla-535.
debian_libraries() {
    local folder=/usr/lib/$MULTIARCH name target
    libraries "$folder/nvidia/$1" "$2" compute
    while read -r name target; do
        lead "$folder/$name" "/etc/alternatives/nvidia--$name-$MULTIARCH"
        lead "/etc/alternatives/nvidia--$name-$MULTIARCH" "$folder/nvidia/$1/$name"
    done < <(library_names "$2" compute)
    program "$2" "/usr/lib/nvidia/$1/nvidia-smi" /usr/bin/nvidia-modprobe /usr/bin/nvidia-persistenced
    lead /usr/bin/nvidia-smi /etc/alternatives/nvidia--nvidia-smi
    lead /etc/alternatives/nvidia--nvidia-smi "/usr/lib/nvidia/$1/nvidia-smi"
    opencl_icd
    firmware "$2"
}

# firmware VERSION: of the GPUs' system processor.
firmware() {
    empty "/usr/lib/firmware/nvidia/$1/gsp_tu10x.bin" "/usr/lib/firmware/nvidia/$1/gsp_ga10x.bin"
}

# run_driver VERSION: what NVIDIA's installer leaves, but for the module.
run_driver() {
    libraries "/usr/lib/$MULTIARCH" "$1" compute graphics
    firmware "$1"
    opencl_icd
    empty /var/log/nvidia-installer.log /usr/lib/nvidia/pre-install
    program "$1" /usr/bin/nvidia-{installer,smi,modprobe,persistenced}
    icd_files /usr/share nvidia_icd.json libGLX_nvidia.so.0
    mkdir -p "$HOST/etc/vulkan"
    mv "$HOST/usr/share/vulkan/icd.d" "$HOST/etc/vulkan/"
    xorg_driver "$1" /usr/lib/xorg/modules/drivers /usr/lib/xorg/modules/extensions
    lead /usr/bin/nvidia-uninstall nvidia-installer
    printf '1: /usr/bin/nvidia-smi\n' | put /var/lib/nvidia/log
    printf '/usr/lib/nvidia\n' | put /var/lib/nvidia/dirs
    printf '%s\n' '# generated by nvidia-installer' 'blacklist nouveau' 'options nouveau modeset=0' |
        put /usr/lib/modprobe.d/nvidia-installer-disable-nouveau.conf
}

# icd_files SHARE NAME LIBRARY: the files by which programs find Vulkan and EGL; NAME is Vulkan's.
icd_files() {
    printf '{ "file_format_version": "1.0.0", "ICD": { "library_path": "%s", "api_version": "1.4.312" } }\n' "$3" |
        put "$1/vulkan/icd.d/$2"
    printf '{ "file_format_version": "1.0.0", "ICD": { "library_path": "libEGL_nvidia.so.0" } }\n' |
        put "$1/glvnd/egl_vendor.d/10_nvidia.json"
}

# xorg_driver VERSION DRIVERS EXTENSIONS: what the X server loads, in these folders.
xorg_driver() {
    program "$1" "$2/nvidia_drv.so"
    empty "$3/libglxserver_nvidia.so.$1"
    lead "$3/libglxserver_nvidia.so" "libglxserver_nvidia.so.$1"
}

# no_nouveau: the line by which Debian's packages, and most people, keep it out.
no_nouveau() {
    printf 'blacklist nouveau\n' | put /etc/modprobe.d/nvidia-blacklists-nouveau.conf
}

# loaded VERSION FLAVOUR MODEL [PART...]: the driver is loaded and has all GPUs, which nothing else has; PARTs are the
# modules besides nvidia, by default those of every driver.
loaded() {
    local version=$1 flavour=$2 model=$3 minor=0 pci part
    local text="NVIDIA UNIX $ARCH Kernel Module  $version  Tue Sep 23 10:11:41 UTC 2025"
    shift 3
    [ $# -gt 0 ] || set -- nvidia_uvm nvidia_drm nvidia_modeset
    [ "$flavour" = proprietary ] ||
        text="NVIDIA UNIX Open Kernel Module for $ARCH  $version  Release Build  (root@host)  Tue Sep 23 10:11:41 UTC 2025"
    printf '%s\n' "NVRM version: $text" 'GCC version:  gcc version 14.2.0 (Debian 14.2.0-19) ' | put /proc/driver/nvidia/version
    printf '%s\n' 'ModifyDeviceFiles: 1' 'DeviceFileUID: 0' 'DeviceFileGID: 0' 'DeviceFileMode: 438' 'ExcludedGpus: ""' |
        put /proc/driver/nvidia/params
    for part in nvidia "$@"; do
        printf '%s 1605632 0 - Live 0x0000000000000000 (OE)\n' "$part" >>"$HOST/proc/modules"
    done
    driver_majors "$version" "$@"
    for pci in "${GPUS[@]}"; do
        driven_gpu "$pci" "$minor" "$version" "$model"
        minor=$((minor + 1))
    done
    printf 'nvidia-persiste\n' | put /proc/611/comm
    mkdir -p "$HOST/run/nvidia-persistenced"
    printf '611\n' >"$HOST/run/nvidia-persistenced/nvidia-persistenced.pid"
}

# driver_majors VERSION PART...: the driver's lines of /proc/devices, and its nodes.
driver_majors() {
    local lines='195 nvidia\n195 nvidia-modeset\n195 nvidiactl\n' uvm=''
    [ "${1%%.*}" -ge 545 ] || lines='195 nvidia-frontend\n'
    [[ " $* " != *" nvidia_uvm "* ]] || uvm='511 nvidia-uvm\n'
    lines+="508 nvidia-caps\\n509 nvidia-nvswitch\\n510 nvidia-nvlink\\n$uvm"
    sed -i "s/^226 drm\$/&\\n${lines%\\n}/" "$HOST/proc/devices"
    printf '%s\n' 'dev/nvidiactl c 195 255 0666' 'dev/nvidia-caps/nvidia-cap1 c 508 1 0400' \
        'dev/nvidia-caps/nvidia-cap2 c 508 2 0444' >>"$HOST/nodes"
    [ -z "$uvm" ] || printf 'dev/nvidia-uvm c 511 0 0666\ndev/nvidia-uvm-tools c 511 1 0666\n' >>"$HOST/nodes"
    [[ " $* " != *" nvidia_modeset "* ]] || printf 'dev/nvidia-modeset c 195 254 0666\n' >>"$HOST/nodes"
    printf 'config 1\nmonitor 2\n' | put /proc/driver/nvidia-caps/mig-minors
}

# driven_gpu PCI MINOR VERSION MODEL
driven_gpu() {
    local card=$(($2 + 1)) render=$(($2 + 128))
    printf '%s: \t %s\n' Model "$4" 'GPU UUID' "GPU-3291dfa4-fcc4-0110-615b-c894a0d7c6$(printf %02x "$2")" 'Bus Type' PCIe \
        'Bus Location' "$1" 'Device Minor' "$2" 'GPU Firmware' "$3" 'GPU Excluded' No |
        put "/proc/driver/nvidia/gpus/$1/information"
    bound "$1" nvidia
    printf '226:%s\n' "$card" | put "/$PCI_BRIDGE/$1/drm/card$card/dev"
    printf '226:%s\n' "$render" | put "/$PCI_BRIDGE/$1/drm/renderD$render/dev"
    printf '%s\n' "dev/nvidia$2 c 195 $2 0666" "dev/dri/card$card c 226 $card 0660" \
        "dev/dri/renderD$render c 226 $render 0660" >>"$HOST/nodes"
}
