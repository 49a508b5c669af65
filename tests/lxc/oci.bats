# Containers made of OCI images, as Proxmox 9.1 and lxc-create's oci template make them: the image's program is the first
# process, run as the image's user, with the image's environment; there is no init, and there need not be a shell.
load setup

setup_file() {
    nvlxc driver sync --quiet
    # two GPUs, of which the containers are to have one
    simulate_host two-gpus-535
    simulate_module 550.163.01
}

teardown_file() {
    local name
    for name in ollama cuda bare static tpl; do stop "$name" || true; done
}

# image NAME KIND: a container whose root file system is an image's: its program is oci-entry, run as uid 1000. The lines on
# stdin go to its config.
image() {
    local dir=/var/lib/lxc/$1
    mkdir -p "$dir/rootfs"
    "image_$2" "$dir/rootfs"
    mkdir -p "$dir/rootfs"/{dev,proc,sys,tmp,etc} "$dir/rootfs/out"
    chown 1000:1000 "$dir/rootfs/out"
    "$NVL_SOURCE/tests/lib/shift-owner" "$dir/rootfs" 100000
    {
        echo "lxc.include = /usr/share/lxc/config/common.conf"
        echo "lxc.include = /usr/share/lxc/config/userns.conf"
        echo "lxc.idmap = u 0 100000 65536"
        echo "lxc.idmap = g 0 100000 65536"
        container_lines "$1" "$dir" | grep -v init.cmd
        echo "lxc.init.cmd = /bin/entry"
        echo "lxc.init.uid = 1000"
        echo "lxc.init.gid = 1000"
        cat
    } > "$dir/config"
}

entry() {
    gcc -D_GNU_SOURCE "$@" "$NVL_SOURCE/tests/lib/oci-entry.c"
}

# A whole distribution, as Ollama's image and NVIDIA's CUDA images are built on Ubuntu. The latter name the folders where
# NVIDIA's tools put the driver in the linker's configuration too.
image_distribution() {
    "$NVL_SOURCE/tests/lib/rootfs" debian-13 "$NVL_CACHE/rootfs" "$1"
    entry -o "$1/usr/bin/entry" -ldl
}

image_cuda() {
    image_distribution "$1"
    printf '/usr/local/nvidia/lib\n/usr/local/nvidia/lib64\n' > "$1/etc/ld.so.conf.d/nvidia.conf"
    # its own libcuda, for drivers that are older than its CUDA
    mkdir -p "$1/usr/local/cuda-12.4/compat"
    cp -P "$("$NVL_SOURCE/tests/lib/driver-tree" 535)"/usr/lib/x86_64-linux-gnu/nvidia/current/libcuda.so.{1,535*} "$1/usr/local/cuda-12.4/compat/"
    ln -s cuda-12.4 "$1/usr/local/cuda"
    chroot "$1" /sbin/ldconfig
}

# The C library and the program: no shell, no ldconfig and nothing of the linker's configuration.
image_bare() {
    local whole=$BATS_TEST_TMPDIR/whole file
    "$NVL_SOURCE/tests/lib/rootfs" debian-13 "$NVL_CACHE/rootfs" "$whole"
    mkdir -p "$1"/{bin,lib64,lib/x86_64-linux-gnu}
    cp -L "$whole/lib64/ld-linux-x86-64.so.2" "$1/lib64/"
    for file in libc.so.6 libdl.so.2 libm.so.6 libpthread.so.0 librt.so.1; do
        cp -L "$whole/lib/x86_64-linux-gnu/$file" "$1/lib/x86_64-linux-gnu/"
    done
    entry -o "$1/bin/entry" -ldl
    rm -rf "$whole"
}

image_static() {
    mkdir -p "$1/bin"
    entry -static -DSTATIC -o "$1/bin/entry"
}

# What the image's program saw.
report_of() {
    local file=/var/lib/lxc/$1/rootfs/out/report
    for _ in $(seq 100); do [ ! -e "$file" ] || break; sleep 0.1; done
    cat "$file"
}

@test "as Ollama's image: its program, not root, has the driver and the granted GPU alone" {
    image ollama distribution <<'END'
lxc.environment = PATH=/usr/local/nvidia/bin:/usr/local/cuda/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
lxc.environment = LD_LIBRARY_PATH=/usr/local/nvidia/lib:/usr/local/nvidia/lib64
lxc.environment = OLLAMA_HOST=0.0.0.0:11434
END
    listing /var/lib/lxc/ollama/rootfs > /run/ollama.before
    cp /var/lib/lxc/ollama/config /run/ollama.config
    run -0 nvlxc attach ollama --gpu 1
    run -0 start ollama
    run -0 nvlxc show ollama
    says "image:   its LD_LIBRARY_PATH names /usr/local/nvidia/lib64"
    run -0 report_of ollama
    # the second GPU has device minor 0
    says "uid 1000 gid 1000 pid 1" "/dev/nvidia0: opens" "/dev/nvidiactl: opens" "/dev/nvidia-uvm: opens" \
        "/dev/nvidia1: No such file" "libcuda.so.1: $BUNDLE/lib64/libcuda.so.1" "libnvidia-ml.so.1: $BUNDLE/lib64/" \
        "LD_LIBRARY_PATH=/usr/local/nvidia/lib:/usr/local/nvidia/lib64"
    [[ $output != *"NVIDIA_VISIBLE_DEVICES=all"* ]]
    stop ollama
}

@test "detach leaves the image as it was" {
    rm /var/lib/lxc/ollama/rootfs/out/report
    run -0 nvlxc detach ollama
    cmp /var/lib/lxc/ollama/config /run/ollama.config
    listing /var/lib/lxc/ollama/rootfs > /run/ollama.after
    diff /run/ollama.before /run/ollama.after
}

@test "as NVIDIA's CUDA images: its libcuda for older drivers does not come before the driver's" {
    image cuda cuda <<'END'
lxc.environment = PATH=/usr/local/nvidia/bin:/usr/local/cuda/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
lxc.environment = LD_LIBRARY_PATH=/usr/local/nvidia/lib:/usr/local/nvidia/lib64
lxc.environment = NVARCH=x86_64
lxc.environment = NVIDIA_REQUIRE_CUDA=cuda>=12.4
END
    run -0 nvlxc attach cuda --gpu 0
    run -0 start cuda
    run -0 report_of cuda
    says "/dev/nvidia1: opens" "/dev/nvidia0: No such file" "libcuda.so.1: $BUNDLE/lib64/libcuda.so.1"
    stop cuda
    # where somebody puts that folder first, it is said
    cp /var/lib/lxc/cuda/config /run/cuda.config
    echo 'lxc.environment = LD_LIBRARY_PATH=/usr/local/cuda/compat:/usr/local/nvidia/lib64' >> /var/lib/lxc/cuda/config
    run -0 nvlxc show cuda
    says "its LD_LIBRARY_PATH finds its own /usr/local/cuda/compat/libcuda.so.1 before the driver's"
    cp /run/cuda.config /var/lib/lxc/cuda/config
}

@test "no shell, no ldconfig, no linker configuration: LD_LIBRARY_PATH alone leads to the driver" {
    image bare bare <<'END'
lxc.environment = LD_LIBRARY_PATH=/usr/local/nvidia/lib64
END
    find /var/lib/lxc/bare/rootfs | sort > /run/bare.before
    run -0 nvlxc attach bare --gpu 1 --capabilities all
    run -0 start bare
    run -0 report_of bare
    says "uid 1000" "/dev/nvidia0: opens" "libcuda.so.1: $BUNDLE/lib64/libcuda.so.1"
    run -0 syslog_of bare
    says "LD_LIBRARY_PATH=/usr/local/nvidia/lib64"
    stop bare
    # nothing was made that could not be noted
    [ ! -e /var/lib/lxc/bare/rootfs/etc/OpenCL ]
    # without the variable its programs do not find it, and that is what is said
    sed -i /LD_LIBRARY_PATH/d /var/lib/lxc/bare/config
    rm /var/lib/lxc/bare/rootfs/out/report
    run -0 nvlxc show bare
    says "neither LD_LIBRARY_PATH nor a linker's configuration leads its programs to the driver"
    run -0 start bare
    run -0 report_of bare
    says "libcuda.so.1: failed"
    stop bare
    run -0 nvlxc detach bare
    [ ! -e /var/lib/lxc/bare/rootfs/usr/local/nvidia ]
}

@test "a static program in an image with nothing else: the nodes" {
    image static static < /dev/null
    run -0 nvlxc attach static --gpu 1
    run -0 start static
    run -0 report_of static
    says "uid 1000" "/dev/nvidia0: opens" "/dev/nvidia1: No such file"
    stop static
}

@test "Proxmox's lxc.environment.runtime: the image's NVIDIA_VISIBLE_DEVICES=all does not widen the grant" {
    run -0 nvlxc attach cuda --gpu 0
    cat >> /var/lib/lxc/cuda/config <<'END'
lxc.environment.runtime = NVIDIA_VISIBLE_DEVICES=all
lxc.environment.runtime = NVIDIA_DRIVER_CAPABILITIES=compute,utility
END
    rm -f /var/lib/lxc/cuda/rootfs/out/report
    if ! start cuda; then
        grep -q 'environment.runtime' /run/lxc-cuda.log || lxc-start -n cuda -d 2>&1 | grep -i environment
        skip "this LXC does not know lxc.environment.runtime"
    fi
    run -0 report_of cuda
    says "NVIDIA_VISIBLE_DEVICES=all" "/dev/nvidia1: opens" "/dev/nvidia0: No such file"
    stop cuda
}

@test "a template's config for plain LXC starts" {
    mkdir -p /usr/share/nvlxc /var/lib/lxc/tpl
    cp -r "$NVL_SOURCE/data/templates" /usr/share/nvlxc/
    nvlxc template docker --lxc --hostname tpl --gpu 0 > /var/lib/lxc/tpl/config
    # what a simulated host has not: controllers and a bridge
    sed -i -e '/^lxc.cgroup2.\(memory\|cpu\)/d' -e 's/^lxc.net.0.type.*/lxc.net.0.type = empty/' -e '/^lxc.net.0.\(link\|flags\)/d' \
        /var/lib/lxc/tpl/config
    "$NVL_SOURCE/tests/lib/rootfs" debian-12 "$NVL_CACHE/rootfs" /var/lib/lxc/tpl/rootfs
    "$NVL_SOURCE/tests/lib/shift-owner" /var/lib/lxc/tpl/rootfs 100000
    run -0 nvlxc attach tpl --gpu 0 --workload docker --cdi
    says "already attached"
    run -0 start tpl
    [ "$(opens tpl /dev/nvidia1)" = allowed ]
    run -0 loads tpl libnvcuvid.so.1
    says "$BUNDLE/lib64/libnvcuvid.so.550.163.01"
    stop tpl
}
