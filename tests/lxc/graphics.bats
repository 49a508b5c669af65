# Graphics, OpenCL, video and 32-bit programs: the files and nodes that they need beside the driver's libraries, with the
# real driver packages and the loaders of Debian 13.
load setup
# shellcheck source=/dev/null
source "$NVL_SOURCE/tests/lib/clients.bash"

setup_file() {
    simulate_installed 550-graphics
    nvlxc driver sync --quiet
    local root=/var/lib/lxc/gl/rootfs
    make_container gl debian-13 privileged
    "$NVL_SOURCE/tests/lib/packages" trixie "$NVL_CACHE" "$root" "${CLIENTS[@]}" "${LIBC_32[@]}"
    # beside the container's own shell, which a kernel without 32-bit programs must be able to run
    mkdir /run/packages-32
    "$NVL_SOURCE/tests/lib/packages" trixie "$NVL_CACHE" /run/packages-32 "${SHELL_32[@]}"
    install -m 755 /run/packages-32/usr/bin/dash "$root/usr/bin/dash-32"
    gcc -D_GNU_SOURCE -o "$root/usr/bin/try-icd" "$NVL_SOURCE/tests/lib/try-icd.c" -ldl
    chroot "$root" /sbin/ldconfig
    sed -i '/^lxc.include/a lxc.include = /usr/share/lxc/config/userns.conf\nlxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536' \
        /var/lib/lxc/gl/config
    "$NVL_SOURCE/tests/lib/shift-owner" "$root" 100000
    listing "$root" > /run/gl.before
}

teardown_file() {
    stop gl || true
}

# drivers_of API: the bundle's libraries that the API's loader opens in the container.
drivers_of() {
    inside gl env LD_DEBUG=files /usr/bin/try-icd "$1" 2>&1 | sed -n "s|.*calling init: $BUNDLE/lib64/||p" | sort -u
}

@test "the bundle has the ICD files, the backends and the 32-bit libraries" {
    local file
    for file in etc/OpenCL/vendors/nvidia.icd share/vulkan/icd.d/nvidia_icd.json share/glvnd/egl_vendor.d/10_nvidia.json \
        lib64/gbm/nvidia-drm_gbm.so lib64/vdpau/libvdpau_nvidia.so.1 lib32/libcuda.so.1 lib32/libGLX_nvidia.so.0; do
        [ -e "/var/lib/nvlxc/driver/550.163.01/$file" ] || { echo "no $file"; false; }
    done
}

@test "all capabilities: each file is in its place, and leads to one" {
    run -0 nvlxc attach gl --capabilities all
    run -0 start gl
    run -0 syslog_of gl
    [[ $output != *"cannot make"* ]]
    local file
    for file in /etc/OpenCL/vendors/nvidia.icd /usr/share/vulkan/icd.d/nvidia_icd.json \
        /usr/share/vulkan/implicit_layer.d/nvidia_layers.json /usr/share/glvnd/egl_vendor.d/10_nvidia.json \
        /usr/lib/x86_64-linux-gnu/gbm/nvidia-drm_gbm.so /usr/lib/x86_64-linux-gnu/vdpau/libvdpau_nvidia.so.1 \
        /usr/lib/i386-linux-gnu/gbm/nvidia-drm_gbm.so /usr/lib/i386-linux-gnu/vdpau/libvdpau_nvidia.so.1; do
        run -0 inside gl readlink -e "$file"
        says "$BUNDLE/"
        run -0 inside gl test -r "$file"
    done
}

@test "what the ICD files name is found by that name" {
    local library
    run -0 inside gl cat /etc/OpenCL/vendors/nvidia.icd /usr/share/vulkan/icd.d/nvidia_icd.json \
        /usr/share/glvnd/egl_vendor.d/10_nvidia.json
    says libnvidia-opencl.so.1 libGLX_nvidia.so.0 libEGL_nvidia.so.0
    for library in libnvidia-opencl.so.1 libGLX_nvidia.so.0 libEGL_nvidia.so.0; do
        run -0 inside gl try-dlopen "$library"
        says "$BUNDLE/lib64/$library"
    done
    run -0 inside gl try-dlopen /usr/lib/x86_64-linux-gnu/gbm/nvidia-drm_gbm.so \
        /usr/lib/x86_64-linux-gnu/vdpau/libvdpau_nvidia.so.1
}

@test "the loaders of OpenCL, Vulkan and EGL open NVIDIA's driver" {
    run -0 drivers_of opencl
    says libnvidia-opencl.so.1
    run -0 drivers_of vulkan
    says libGLX_nvidia.so.0 libnvidia-glcore.so.550.163.01
    run -0 drivers_of egl
    says libEGL_nvidia.so.0
}

@test "the 32-bit driver is among what the container's linker finds" {
    run -0 inside gl ldconfig -p
    says "libcuda.so.1 (libc6) => $BUNDLE/lib32/libcuda.so.1" "libcuda.so.1 (libc6,x86-64) => $BUNDLE/lib64/libcuda.so.1"
    run -0 loads gl libcuda.so.1
    [ "$output" = $BUNDLE/lib64/libcuda.so.550.163.01 ]
}

@test "32-bit programs find the 32-bit driver" {
    run -0 inside gl dd if=/usr/bin/dash-32 bs=1 skip=4 count=1 status=none
    [ "$output" = $'\001' ]
    # by bash, which tries no binary as a script
    run inside gl bash -c "/usr/bin/dash-32 -c 'echo it runs'"
    [[ $output != *"Exec format error"* ]] || skip "this machine's kernel runs no 32-bit programs (IA-32 emulation is off)"
    [ "$output" = "it runs" ]
    # shellcheck disable=SC2016 # expanded in the container
    run -0 inside gl env LD_PRELOAD=libcuda.so.1 /usr/bin/dash-32 -c 'while read -r line; do echo "$line"; done < /proc/self/maps'
    says "$BUNDLE/lib32/libcuda.so.550.163.01"
    [[ $output != *lib64/libcuda* ]]
}

@test "nodes: the GPU's own card and render node, and modeset" {
    run -0 inside gl ls /dev/dri /dev/nvidia-modeset
    says card1 renderD128 /dev/nvidia-modeset
    [ "$(opens gl /dev/dri/renderD128)" = allowed ]
    run -0 nvlxc show gl
    [[ $output != *closed:* && $output != *image:* ]]
    [ "$(opens gl /dev/nvidia-modeset)" = allowed ]
}

@test "a smaller grant takes away what it has not, at the next start" {
    stop gl
    run -0 nvlxc attach gl
    run -0 start gl
    local root=/var/lib/lxc/gl/rootfs
    [ -L $root/etc/OpenCL/vendors/nvidia.icd ]
    [ ! -e $root/usr/share/glvnd ] || [ -z "$(ls -A $root/usr/share/glvnd/egl_vendor.d)" ]
    [ ! -e $root/usr/share/vulkan/implicit_layer.d/nvidia_layers.json ]
    [ ! -e $root/usr/lib/i386-linux-gnu/vdpau ]
    run -0 inside gl ls /dev
    [[ $output != *dri* && $output != *modeset* ]]
    # 32-bit ones are not searched any more
    run -0 inside gl ldconfig -p
    [[ $output != *lib32* ]]
    stop gl
}

@test "starts leave what one start leaves; detach leaves the root file system as before attach" {
    run -0 nvlxc attach gl --capabilities all
    more_starts_leave_nothing gl 9
    run -0 nvlxc detach gl
    listing /var/lib/lxc/gl/rootfs > /run/gl.after
    diff /run/gl.before /run/gl.after
}

@test "several cards: the container has those of its own GPU, found by PCI address" {
    simulate_host two-gpus-535
    simulate_module 550.163.01
    run -0 nvlxc attach gl --gpu 1 --capabilities graphics
    run -0 start gl
    run -0 inside gl ls /dev/dri
    [ "$output" = "$(printf 'card2\nrenderD129')" ]
    run -0 inside gl ls /dev
    # its device minor is not its index
    says nvidia0 nvidia-modeset
    [[ $output != *nvidia1* ]]
    stop gl
    run -0 nvlxc attach gl --gpu all --capabilities graphics
    run -0 start gl
    run -0 inside gl ls /dev/dri
    # card0 is another vendor's
    [ "$output" = "$(printf 'card1\ncard2\nrenderD128\nrenderD129')" ]
    stop gl
    run -0 nvlxc detach gl
}
