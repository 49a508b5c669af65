# shellcheck shell=bash
# Whole hosts, one function each, of the parts of parts.bash: drivers and distributions as people have them. What each is
# about says README.md. Sourced.

# shellcheck source=/dev/null
source "$(dirname "${BASH_SOURCE[0]}")/parts.bash"

# ---- Proxmox VE ----

kind_pve-9.2-rtx5090() {
    proxmox 9.2.10 7.0.2-6-pve
    gpu 0000:01:00.0 2b85
}

kind_pve-9.2-rtx3090() {
    proxmox 9.2.10 7.0.2-6-pve
    gpu 0000:01:00.0 2204
    bound 0000:01:00.0 nouveau
    printf 'nouveau 3592192 1 - Live 0x0000000000000000\n' >>"$HOST/proc/modules"
}

kind_pve-9.2-gtx1080() {
    proxmox 9.2.10 7.0.2-6-pve
    gpu 0000:01:00.0 1b80
}

# Debian's driver from backports, which was right for 6.17; then 9.2 came with its kernel.
kind_pve-9.2-upgraded() {
    proxmox 9.2.10 7.0.2-6-pve
    kernel 6.17.13-2-pve
    gpu 0000:01:00.0 2204
    headers 7.0.2-6-pve
    headers 6.17.13-2-pve
    packages 2.1.0 proxmox-default-headers proxmox-headers-6.17 proxmox-headers-7.0
    packages 1 proxmox-headers-7.0.2-6-pve proxmox-headers-6.17.13-2-pve
    backports
    debian_driver 550.163.01-4~bpo13+1
    dkms nvidia-current 550.163.01 6.17.13-2-pve
    dkms_failed nvidia-current 550.163.01 7.0.2-6-pve
}

# debian_driver VERSION: Debian's main packages, as host setup and most guides install them.
debian_driver() {
    with_non_free
    packages "$1" nvidia-kernel-dkms nvidia-kernel-support nvidia-alternative nvidia-smi libcuda1 libnvidia-ml1 \
        libnvidia-ptxjitcompiler1 libnvcuvid1 libnvidia-encode1 libnvidia-opticalflow1 libnvidia-cfg1 libnvidia-nvvm4 \
        nvidia-opencl-icd nvidia-opencl-common firmware-nvidia-gsp nvidia-persistenced nvidia-modprobe
    package nvidia-installer-cleanup 20240109+1
    debian_libraries current "${1%%-*}"
    no_nouveau
}

kind_pve-9.1-run() {
    proxmox 9.1.4 6.17.4-2-pve
    kernel 6.14.11-4-pve
    gpu 0000:01:00.0 2204
    headers 6.17.4-2-pve
    headers 6.14.11-4-pve
    packages 2.0.1 proxmox-default-headers proxmox-headers-6.14 proxmox-headers-6.17
    packages 1 proxmox-headers-6.14.11-4-pve proxmox-headers-6.17.4-2-pve
    package dkms 3.2.2-1~deb13u1
    run_driver 580.95.05
    dkms nvidia 580.95.05 6.14.11-4-pve
    dkms_failed nvidia 580.95.05 6.17.4-2-pve
}

kind_pve-9.1-two-gpus() {
    proxmox 9.1.4 6.14.11-4-pve
    gpu 0000:01:00.0 1b80
    gpu 0000:02:00.0 2b85
}

# What a guide for passthrough had written, and nobody took out again.
kind_pve-9.1-passthrough() {
    proxmox 9.1.4 6.14.11-4-pve
    gpu 0000:01:00.0 2204
    printf '%s\n' 'options vfio-pci ids=10de:2204,10de:1aef disable_vga=1' | put /etc/modprobe.d/vfio.conf
    printf '%s\n' 'blacklist radeon' 'blacklist nouveau' 'blacklist nvidia' 'blacklist nvidiafb' |
        put /etc/modprobe.d/blacklist.conf
}

# The host driver for virtual GPUs: modules for virtual machines, no nvidia-uvm; no libcuda.
kind_pve-9.1-vgpu() {
    proxmox 9.1.4 6.14.11-4-pve
    headers 6.14.11-4-pve
    packages 2.0.1 proxmox-default-headers proxmox-headers-6.14
    package proxmox-headers-6.14.11-4-pve 1
    package dkms 3.2.2-1~deb13u1
    gpu 0000:01:00.0 1eb8 030200
    run_driver 580.95.02
    rm -r "$HOST"/usr/lib/x86_64-linux-gnu "$HOST"/usr/share/{glvnd,vulkan} "$HOST"/usr/lib/xorg "$HOST"/etc/{vulkan,OpenCL}
    empty /usr/lib/x86_64-linux-gnu/libnvidia-{ml,cfg,vgpu,vgxcfg}.so.580.95.02
    lead /usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1 libnvidia-ml.so.580.95.02
    program 580.95.02 /usr/bin/nvidia-vgpu{d,-mgr}
    dkms nvidia 580.95.02 6.14.11-4-pve
    loaded 580.95.02 proprietary 'Tesla T4' nvidia_vgpu_vfio
}

# A merged driver, which has CUDA as well; SR-IOV divides the GPU.
kind_pve-9.1-sriov() {
    local function
    proxmox 9.1.4 6.14.11-4-pve
    headers 6.14.11-4-pve
    packages 2.0.1 proxmox-default-headers proxmox-headers-6.14
    package proxmox-headers-6.14.11-4-pve 1
    package dkms 3.2.2-1~deb13u1
    gpu 0000:01:00.0 2235 030200
    run_driver 580.95.02
    empty /usr/lib/x86_64-linux-gnu/libnvidia-{vgpu,vgxcfg}.so.580.95.02
    program 580.95.02 /usr/bin/nvidia-vgpu{d,-mgr}
    dkms nvidia 580.95.02 6.14.11-4-pve
    loaded 580.95.02 proprietary 'NVIDIA A40' nvidia_vgpu_vfio nvidia_uvm nvidia_modeset
    for function in 4 5 6 7; do
        virtual_function "0000:01:00.$function" 0000:01:00.0 2235
    done
    bound 0000:01:00.4 nvidia
    bound 0000:01:00.5 nvidia
    bound 0000:01:00.6 vfio-pci
}

# ---- Debian ----

# A K80 is two GPUs, of Kepler.
kind_debian-12-k80() {
    debian 12
    kernel 6.1.0-40-amd64 running
    package linux-image-amd64 6.1.153-1
    gpu 0000:05:00.0 102d 030200
    gpu 0000:06:00.0 102d 030200
    lxc_container web
}

# tesla_535 VERSION: Debian's packages of the series.
tesla_535() {
    with_non_free
    packages "$1" nvidia-tesla-535-kernel-dkms nvidia-tesla-535-kernel-support nvidia-tesla-535-alternative \
        nvidia-tesla-535-smi libnvidia-tesla-535-{cuda1,ml1,ptxjitcompiler1,cfg1,encode1,nvcuvid1,opticalflow1,nvvm4} \
        nvidia-tesla-535-opencl-icd firmware-nvidia-tesla-535-gsp
    packages 550.163.01-2 nvidia-opencl-common
    packages 550.163.01-1 nvidia-persistenced nvidia-modprobe
    package nvidia-installer-cleanup 20240109+1
    debian_libraries tesla-535 "${1%%-*}"
    no_nouveau
}

kind_debian-13-tesla-535() {
    debian 13
    kernel 6.12.57+deb13-amd64 running
    headers 6.12.57+deb13-amd64
    packages 6.12.57-1 linux-image-amd64 linux-headers-amd64 linux-headers-6.12.57+deb13-amd64
    gpu 0000:01:00.0 1b38 030200
    tesla_535 535.274.02-1~deb13u1
    dkms nvidia-tesla-535 535.274.02 6.12.57+deb13-amd64
    loaded 535.274.02 proprietary 'Tesla P40'
    lxc_container web
}

# The same, with a kernel from backports that it does not build on.
kind_debian-13-tesla-535-kernel() {
    debian 13
    kernel 6.12.57+deb13-amd64
    kernel 6.17.8+deb13-amd64 running
    headers 6.12.57+deb13-amd64
    headers 6.17.8+deb13-amd64
    packages 6.17.8-1~bpo13+1 linux-image-amd64 linux-headers-amd64 linux-headers-6.17.8+deb13-amd64
    gpu 0000:01:00.0 1b38 030200
    tesla_535 535.274.02-1~deb13u1
    dkms nvidia-tesla-535 535.274.02 6.12.57+deb13-amd64
    dkms_failed nvidia-tesla-535 535.274.02 6.17.8+deb13-amd64
    lxc_container web
}

# nvidia_archive VERSION: the compute-only set of NVIDIA's own archive for Debian: flat folders, no alternatives.
nvidia_archive() {
    local name
    printf 'deb [signed-by=/usr/share/keyrings/cuda-archive-keyring.gpg] https://developer.download.nvidia.com/compute/cuda/repos/debian13/x86_64/ /\n' |
        put /etc/apt/sources.list.d/cuda-debian13-x86_64.list
    for name in nvidia-kernel-open-dkms nvidia-kernel-support nvidia-driver-cuda libcuda1 libnvidia-ml1 libnvidia-cfg1 \
        libnvidia-ptxjitcompiler1 libnvidia-nvvm4 libnvidia-nvvm704 libnvidia-gpucomp libnvcuvid1 libnvidia-encode1 libnvidia-opticalflow1 \
        firmware-nvidia-gsp nvidia-persistenced nvidia-modprobe; do
        package "$name" "$1" 'NVIDIA <cudatools@nvidia.com>'
    done
    package cuda-keyring 1.1-1 'cudatools <cudatools@nvidia.com>'
    libraries /usr/lib/x86_64-linux-gnu "${1%%-*}" compute
    firmware "${1%%-*}"
    opencl_icd
    program "${1%%-*}" /usr/bin/nvidia-{smi,modprobe,persistenced}
    no_nouveau
}

kind_debian-13-archive() {
    debian 13
    kernel 6.12.57+deb13-amd64 running
    headers 6.12.57+deb13-amd64
    packages 6.12.57-1 linux-image-amd64 linux-headers-amd64 linux-headers-6.12.57+deb13-amd64
    gpu 0000:01:00.0 2684
    nvidia_archive 595.58.03-1
    dkms nvidia 595.58.03 6.12.57+deb13-amd64
    loaded 595.58.03 open 'NVIDIA GeForce RTX 4090'
    lxc_container web
}

# The same archive on Proxmox VE, from the time of 6.17.
kind_pve-9.2-archive() {
    proxmox 9.2.10 7.0.2-6-pve
    kernel 6.17.13-2-pve
    gpu 0000:01:00.0 2b85
    headers 7.0.2-6-pve
    headers 6.17.13-2-pve
    packages 2.1.0 proxmox-default-headers proxmox-headers-6.17 proxmox-headers-7.0
    packages 1 proxmox-headers-7.0.2-6-pve proxmox-headers-6.17.13-2-pve
    nvidia_archive 580.126.20-1
    dkms nvidia 580.126.20 6.17.13-2-pve
    dkms_failed nvidia 580.126.20 7.0.2-6-pve
}

# ---- other distributions ----

kind_nixos() {
    local part version=580.105.08 store=/nix/store/4dh4138m8gbp56kh63j2pwgsfhf5l8v7
    other_distribution NixOS nixos 'VERSION_ID="25.11"' VERSION_CODENAME=xantusia
    printf '6.12.57\n' | put /proc/sys/kernel/osrelease
    gpu 0000:01:00.0 2684
    libraries "$store-nvidia-x11-$version-6.12.57/lib" "$version" compute graphics
    lead /run/opengl-driver "$store-graphics-drivers"
    for part in lib share etc; do lead "$store-graphics-drivers/$part" "$store-nvidia-x11-$version-6.12.57/$part"; done
    printf '%s\n' "$store-nvidia-x11-$version-6.12.57/lib/libnvidia-opencl.so" |
        put "$store-nvidia-x11-$version-6.12.57/etc/OpenCL/vendors/nvidia.icd"
    icd_files "$store-nvidia-x11-$version-6.12.57/share" nvidia_icd.x86_64.json \
        "$store-nvidia-x11-$version-6.12.57/lib/libGLX_nvidia.so.0"
    xorg_driver "$version" "$store-nvidia-x11-$version-6.12.57/lib/xorg/modules/"{drivers,extensions}
    program "$version" "$store-nvidia-x11-$version-6.12.57-bin/bin/nvidia-smi"
    empty "$store-linux-6.12.57-modules/lib/modules/6.12.57/kernel/drivers/video/nvidia.ko.xz"
    lead /run/current-system "$store-nixos-system-host-25.11"
    lead "$store-nixos-system-host-25.11/sw/bin/nvidia-smi" "$store-nvidia-x11-$version-6.12.57-bin/bin/nvidia-smi"
    lead /run/booted-system "$store-nixos-system-host-25.11"
    lead "$store-nixos-system-host-25.11/kernel-modules" "$store-linux-6.12.57-modules"
    empty "$store-nvidia-x11-$version-6.12.57-firmware/lib/firmware/nvidia/$version/gsp_ga10x.bin"
    lead "$store-nixos-system-host-25.11/firmware" "$store-nvidia-x11-$version-6.12.57-firmware/lib/firmware"
    printf '%s\n' "$store-nixos-system-host-25.11/firmware" | put /sys/module/firmware_class/parameters/path
    printf 'blacklist nouveau\nblacklist nvidiafb\n' | put /etc/modprobe.d/nixos.conf
    rmdir "$HOST/usr/lib64" "$HOST/usr/sbin"
    rm "$HOST/lib64" "$HOST/sbin"
    loaded "$version" open 'NVIDIA GeForce RTX 4090'
    lxc_container web
}

# RPM Fusion's akmod has not built for the kernel that was booted.
kind_fedora() {
    other_distribution 'Fedora Linux' fedora VERSION_ID=43 'PLATFORM_ID="platform:f43"'
    kernel 6.17.10-300.fc43.x86_64 running
    kernel 6.17.8-300.fc43.x86_64
    gpu 0000:01:00.0 2684
    libraries /usr/lib64 580.105.08 compute graphics
    firmware 580.105.08
    opencl_icd
    program 580.105.08 /usr/bin/nvidia-{smi,modprobe,persistenced}
    empty /usr/sbin/akmods
    icd_files /usr/share nvidia_icd.x86_64.json /usr/lib64/libGLX_nvidia.so.0
    xorg_driver 580.105.08 /usr/lib64/xorg/modules/drivers /usr/lib64/xorg/modules/extensions
    modules 6.17.8-300.fc43.x86_64 nvidia extra/nvidia
    headers 6.17.10-300.fc43.x86_64
    printf '%s\n' 'blacklist nouveau' 'blacklist nova_core' | put /usr/lib/modprobe.d/nvidia.conf
    lxc_container web
}

# After pacman -Syu and before the reboot: kernel and driver are new on disk, the running kernel's folder is gone.
kind_arch() {
    other_distribution 'Arch Linux' arch BUILD_ID=rolling
    kernel 6.17.9-arch1-1
    printf '6.17.7-arch1-1\n' | put /proc/sys/kernel/osrelease
    gpu 0000:01:00.0 2684
    libraries /usr/lib 580.119.02 compute graphics
    firmware 580.119.02
    opencl_icd
    program 580.119.02 /usr/bin/nvidia-{smi,modprobe,persistenced}
    icd_files /usr/share nvidia_icd.json libGLX_nvidia.so.0
    xorg_driver 580.119.02 /usr/lib/xorg/modules/drivers /usr/lib/nvidia/xorg
    modules 6.17.9-arch1-1 nvidia extramodules
    printf 'blacklist nouveau\n' | put /usr/lib/modprobe.d/nvidia-utils.conf
    loaded 580.105.08 open 'NVIDIA GeForce RTX 4090'
    lxc_container web
}

kind_opensuse() {
    other_distribution 'openSUSE Tumbleweed' opensuse-tumbleweed 'ID_LIKE="opensuse suse"' 'VERSION_ID="20261120"'
    kernel 6.17.9-1-default running
    gpu 0000:01:00.0 1b80
    bound 0000:01:00.0 nouveau
    printf 'nouveau 3592192 1 - Live 0x0000000000000000\n' >>"$HOST/proc/modules"
    lxc_container web
}

# ---- arm64 ----

# Ampere's server with a card for inference, as Debian brings its driver.
kind_debian-13-ampere-a2() {
    arm64
    debian 13
    kernel 6.12.57+deb13-arm64 running
    headers 6.12.57+deb13-arm64
    packages 6.12.57-1 linux-image-arm64 linux-headers-arm64 linux-headers-6.12.57+deb13-arm64
    gpu 000d:01:00.0 25b6 030200
    debian_driver 550.163.01-2
    dkms nvidia-current 550.163.01 6.12.57+deb13-arm64
    loaded 550.163.01 proprietary 'NVIDIA A2'
    lxc_container web
}

# Grace Hopper: Ubuntu's kernel of 64 KiB pages, NVIDIA's driver of Ubuntu's archive, the open module, which alone knows it.
kind_ubuntu-24.04-gh200() {
    arm64
    other_distribution Ubuntu ubuntu ID_LIKE=debian 'VERSION_ID="24.04"' VERSION_CODENAME=noble
    mkdir -p "$HOST/var/lib/dpkg/info"
    kernel 6.8.0-1040-nvidia-64k running
    headers 6.8.0-1040-nvidia-64k
    modules 6.8.0-1040-nvidia-64k nvidia kernel/nvidia-580-server-open
    gpu 0009:01:00.0 2342 030200
    libraries "/usr/lib/$MULTIARCH" 580.95.05 compute graphics
    firmware 580.95.05
    opencl_icd
    program 580.95.05 /usr/bin/nvidia-{smi,modprobe,persistenced}
    icd_files /usr/share nvidia_icd.json libGLX_nvidia.so.0
    packages 580.95.05-0ubuntu0.24.04.2 libnvidia-compute-580-server nvidia-utils-580-server
    loaded 580.95.05 open 'NVIDIA GH200 480GB'
    lxc_container web
}

# DGX Spark: the GPU has an address on PCI, and no memory of its own.
kind_dgx-spark-gb10() {
    arm64
    other_distribution Ubuntu ubuntu ID_LIKE=debian 'VERSION_ID="24.04"' VERSION_CODENAME=noble
    mkdir -p "$HOST/var/lib/dpkg/info"
    kernel 6.11.0-1016-nvidia running
    headers 6.11.0-1016-nvidia
    modules 6.11.0-1016-nvidia nvidia kernel/nvidia-580-open
    gpu 000f:01:00.0 2e12
    libraries "/usr/lib/$MULTIARCH" 580.95.05 compute graphics
    firmware 580.95.05
    opencl_icd
    program 580.95.05 /usr/bin/nvidia-{smi,modprobe,persistenced}
    icd_files /usr/share nvidia_icd.json libGLX_nvidia.so.0
    packages 580.95.05-0ubuntu0.24.04.2 libnvidia-compute-580 nvidia-utils-580
    loaded 580.95.05 open 'NVIDIA GB10'
    lxc_container web
}

# A Jetson: the GPU is no PCI device, and its driver another one; nvidia.ko drives the display alone.
kind_jetson-orin() {
    arm64
    other_distribution Ubuntu ubuntu ID_LIKE=debian 'VERSION_ID="22.04"' VERSION_CODENAME=jammy
    mkdir -p "$HOST/var/lib/dpkg/info"
    kernel 5.15.148-tegra running
    device_tree 'NVIDIA Jetson AGX Orin Developer Kit' nvidia,p3737-0000+p3701-0005 nvidia,p3701-0005 nvidia,tegra234
    printf '# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n' | put /etc/nv_tegra_release
    empty "/usr/lib/$MULTIARCH/nvidia/"{libcuda.so.1.1,libnvrm_gpu.so,libnvidia-ml.so.1}
    lead "/usr/lib/$MULTIARCH/nvidia/libcuda.so.1" libcuda.so.1.1
    printf '%s\n' 'dev/nvmap c 10 125 0660' 'dev/nvhost-gpu c 505 1 0660' 'dev/nvhost-ctrl-gpu c 505 2 0660' >>"$HOST/nodes"
    lxc_container web
}

# make_kind NAME: that host in $HOST, an empty folder. All its files have one age.
make_kind() {
    # shellcheck disable=SC2034 # the parts fill it
    local GPUS=() ARCH=x86_64 MULTIARCH=x86_64-linux-gnu DEBIAN_ARCH=amd64
    bare
    "kind_$1" || return 1
    find "$HOST" -exec touch -h -d '2026-11-15 12:00:00 UTC' {} +
}

# kinds_of_hosts: their names.
kinds_of_hosts() {
    declare -F | sed -n 's/^declare -f kind_//p'
}
