# nvlxc and its hook, of arm64 and under an emulator, on a simulated host with Debian's driver for arm64; LXC is the machine's own.
# What an emulator keeps from being tried is said where it is met: it has no seccomp, so the hook gives up no rights and leaves the
# linker's cache to the test.
load "$NVL_SOURCE/tests/lxc/setup"

setup_file() {
    nvlxc driver sync --quiet
    make_container arm arm64
    make_container x86 debian-12
}

teardown_file() {
    stop arm || true
    stop x86 || true
}

@test "the bundle has the driver of arm64" {
    run -0 readelf -h /var/lib/nvlxc/driver/550.163.01/lib64/libcuda.so.1
    says AArch64
}

@test "attach, start, nodes, driver" {
    listing /var/lib/lxc/arm/rootfs > /run/arm.before
    run -0 nvlxc attach arm
    start arm
    for node in nvidia0 nvidiactl nvidia-uvm; do [ "$(opens arm /dev/$node)" = allowed ]; done
    run -0 inside arm ls $BUNDLE/lib64
    says libcuda.so.1 libnvidia-ml.so.1
    run -0 inside arm ldconfig
    run -0 inside arm try-dlopen libcuda.so.1
    says "$BUNDLE/lib64/libcuda.so.1"
    # the real program with the real libraries; there is no driver behind the nodes, and they say so
    run -9 inside arm nvidia-smi
    says "couldn't communicate with the NVIDIA driver"
}

@test "doctor finds nothing in the container; detach leaves nothing" {
    run nvlxc --json doctor arm
    jq -r '.findings[] | .id + ": " + .title' <<< "$output"
    jq -e 'all(.findings[]; .container == null)' <<< "$output"
    stop arm
    run -0 nvlxc detach arm
    [ ! -e /var/lib/lxc/arm/rootfs$BUNDLE ]
}

@test "a container of x86-64 on this host: attach, the start and doctor say so, and its linker's cache stays" {
    local cache=/var/lib/lxc/x86/rootfs/etc/ld.so.cache
    sha256sum $cache > /run/cache
    run -0 nvlxc attach x86
    says "another processor than the host's" "are for x86-64"
    start x86
    sha256sum --check --quiet /run/cache
    run -1 nvlxc doctor x86
    says "its programs are for another processor than the host's"
    stop x86
}
