# Root file systems of other kinds than a plain Debian.
load setup

setup_file() {
    nvlxc driver sync --quiet
}

@test "a container that carries another version of libcuda: the bundle wins" {
    make_container other debian-12
    local tree root=/var/lib/lxc/other/rootfs
    tree=$("$NVL_SOURCE/tests/lib/driver-tree" 535)
    # as NVIDIA's installer leaves it: in the distribution's own folder
    cp "$tree"/usr/lib/x86_64-linux-gnu/nvidia/current/libcuda.so.535* "$root/usr/lib/x86_64-linux-gnu/"
    chroot "$root" /sbin/ldconfig
    run -0 ldconfig -p -C "$root/etc/ld.so.cache"
    says "libcuda.so.1 (libc6,x86-64) => /lib/x86_64-linux-gnu/libcuda.so.1"
    run -0 nvlxc attach other
    run -0 start other
    run -0 loads other libcuda.so.1
    [ "$output" = $BUNDLE/lib64/libcuda.so.550.163.01 ]
    run -9 inside other nvidia-smi
    stop other
    run -0 nvlxc detach other
    run -0 start other
    run -0 loads other libcuda.so.1
    says /usr/lib/x86_64-linux-gnu/libcuda.so.535
    stop other
}

@test "an image without ldconfig, with LD_LIBRARY_PATH as CUDA images have it: works" {
    make_container image noldconfig
    [ ! -e /var/lib/lxc/image/rootfs/sbin/ldconfig ]
    [ ! -e /var/lib/lxc/image/rootfs/etc/ld.so.conf ]
    echo 'lxc.environment = LD_LIBRARY_PATH=/usr/local/nvidia/lib:/usr/local/nvidia/lib64' >> /var/lib/lxc/image/config
    run -0 nvlxc attach image
    run -0 start image
    run -0 inside image env LD_LIBRARY_PATH=/usr/local/nvidia/lib:/usr/local/nvidia/lib64 LD_PRELOAD=libcuda.so.1 cat /proc/self/maps
    says $BUNDLE/lib64/libcuda.so.550.163.01
    run -9 inside image env LD_LIBRARY_PATH=/usr/local/nvidia/lib64 nvidia-smi
    run -0 syslog_of image
    says "LD_LIBRARY_PATH=/usr/local/nvidia/lib64"
    [ "$(nvlxc --json doctor image | jq -r '.findings[] | select(.container == "image") | .id')" = "" ]
    stop image
    sed -i '/LD_LIBRARY_PATH/d' /var/lib/lxc/image/config
    [ "$(nvlxc --json doctor image | jq -r '.findings[] | select(.container == "image") | .id')" = library-path ]
}

@test "musl: starts, with one clear line that it cannot load the driver" {
    make_container musl musl
    run -0 nvlxc attach musl
    run -0 start musl
    [ "$(opens musl /dev/nvidia0)" = allowed ]
    [ "$(syslog_of musl | wc -l)" = 1 ]
    run -0 syslog_of musl
    says "its C library is musl, which cannot load NVIDIA's driver"
    # and so it is: the real library in a real musl program
    run ! inside musl /bin/try-dlopen /usr/local/nvidia/lib64/libcuda.so.1
    says "Error relocating"
    stop musl
}

@test "busybox alone, static: starts with its nodes" {
    make_container busy busybox
    run -0 nvlxc attach busy
    run -0 start busy
    [ "$(opens busy /dev/nvidia0)" = allowed ]
    stop busy
}

@test "hook version 1" {
    make_container v1 busybox
    echo 'lxc.hook.version = 1' >> /var/lib/lxc/v1/config
    run -0 nvlxc attach v1
    run -0 start v1
    [ "$(opens v1 /dev/nvidia0)" = allowed ]
    run -0 syslog_of v1
    says "driver 550.163.01"
    stop v1
}

@test "hostile links in the root file system lead nowhere" {
    make_container evil busybox
    local root=/var/lib/lxc/evil/rootfs
    mkdir -p /srv/host/bin /srv/host/nvidia
    echo untouched > /srv/host/file
    chmod -R a+rwX /srv/host
    rm -rf "$root/usr/local" "$root/etc/ld.so.conf.d" "$root/etc/ld.so.cache"
    ln -s /srv/host "$root/usr/local"
    mkdir -p "$root/etc/ld.so.conf.d"
    echo 'include /etc/ld.so.conf.d/*.conf' > "$root/etc/ld.so.conf"
    ln -s /srv/host/file "$root/etc/ld.so.conf.d/00-nvlxc.conf"
    mkfifo "$root/etc/ld.so.cache"
    run -0 nvlxc attach evil
    run -0 timeout 60 lxc-start -n evil -d
    [ "$(cat /srv/host/file)" = untouched ]
    [ "$(find /srv/host | sort | tr '\n' ' ')" = "/srv/host /srv/host/bin /srv/host/file /srv/host/nvidia " ]
    # nothing of it is mounted on the host
    run ! grep /srv/host /proc/self/mountinfo
    stop evil
    run -0 nvlxc detach evil
    [ "$(cat /srv/host/file)" = untouched ]
}

@test "a mount point that is a link is left alone, and the driver is elsewhere" {
    make_container link busybox
    local root=/var/lib/lxc/link/rootfs
    mkdir -p "$root/usr/local" "$root/elsewhere"
    rm -rf "$root/usr/local/nvidia"
    ln -s /elsewhere "$root/usr/local/nvidia"
    run -0 nvlxc attach link
    run -0 start link
    run -0 syslog_of link
    says "the driver is at /opt/nvlxc/nvidia: /usr/local/nvidia is a link or a file"
    run -0 inside link ls /elsewhere
    [ -z "$output" ]
    stop link
}
