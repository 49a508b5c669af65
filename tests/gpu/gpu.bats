# tests/gpu itself, without a GPU: what prepare makes, and all that run does, on a simulated host on which LXC is not installed,
# with a stub in the driver's place (tests/lib/stub-driver.c), whose files lie in a private folder.
bats_require_minimum_version 1.5.0
# shellcheck source=/dev/null
source "$NVL_SOURCE/tests/lib/stub-driver.bash"

STUBS=/run/stubs
PREPARED=$NVL_CACHE/gpu/prepared

# row RESULT ID [TEXT]: the table has it.
row() {
    grep -q "^| $1 | $2 | .*${3:-}" /run/results/table.md || {
        echo "no row: $1 $2 ${3:-}"
        grep "^| .* | $2 |" /run/results/table.md
        cat "/run/results/logs/$2.log"
        return 1
    }
}

# The driver's programs and libraries are stubs, and opening its nodes opens in the containers, as it would with a driver.
put_stubs() {
    local name driver=/run/driver
    build_stubs $STUBS
    mkdir -p $driver/lib64 $driver/bin
    find "$NVL_CACHE/driver-tree-550/usr/lib" -type f -name '*.so.550.163.01' -exec cp {} $driver/lib64/ \;
    for name in libcuda libnvidia-ml libnvidia-encode libnvcuvid; do
        cat $STUBS/$name.so > $driver/lib64/$name.so.550.163.01
    done
    ldconfig -n $driver/lib64
    # what lies in the bundle must say its version
    printf '#!/bin/sh\n# 550.163.01\necho "0, Stub GPU 0"\n' > $driver/bin/nvidia-smi
    chmod 755 $driver/bin/nvidia-smi
    # a private folder, mounted, that the linker's cache does not know
    mkdir -p /usr/local/nvidia
    mount --bind $driver /usr/local/nvidia
    mount -o remount,bind,ro /usr/local/nvidia
    cp -a "$PREPARED" /run/prepared
    mkdir /run/root
    tar -C /run/root -xpzf /run/prepared/rootfs.tar.gz
    install -D -m 755 $STUBS/stub-open.so /run/root/usr/local/lib/stub-open.so
    echo /usr/local/lib/stub-open.so > /run/root/etc/ld.so.preload
    tar -C /run/root --numeric-owner -cz . > /run/prepared/rootfs.tar.gz
}

# A PyTorch that multiplies.
put_torch() {
    local site
    mkdir -p /opt/torch
    python3 -m venv --without-pip --copies /opt/torch/.venv || python3 -m venv --without-pip /opt/torch/.venv
    site=$(echo /opt/torch/.venv/lib/python3*/site-packages)
    mkdir -p "$site/torch"
    cat > "$site/torch/__init__.py" << 'PYTHON'
import os
__version__ = "2.0+stub"
class version: cuda = "12.4"
class cuda:
    device_count = staticmethod(lambda: len([n for n in os.listdir("/dev") if n == "nvidia0"]))
    get_device_name = staticmethod(lambda i: "Stub GPU %d" % i)
class Sum(int):
    def item(self): return int(self)
class ones:
    def __init__(self, n, m, device): self.n = n
    def __matmul__(self, other): return self
    def sum(self): return Sum(self.n ** 3)
PYTHON
}

setup_file() {
    put_stubs
    put_torch
    # LXC is not installed here
    rm -f /usr/bin/lxc-* /usr/lib/x86_64-linux-gnu/liblxc* /usr/bin/jq
    rm -rf /usr/share/lxc /usr/libexec/lxc /usr/lib/x86_64-linux-gnu/lxc /usr/bin/nvlxc /usr/libexec/nvlxc /etc/lxc
    ldconfig
    # the host's CUDA is the slower one, so that the container's ratios are above the target
    printf '%s\n' 'slow-cuInit 40000' 'slow-cuMemcpyHtoD 60000' 'slow-cuMemcpyDtoH 60000' 'slow-cuMemcpyDtoD 9000' \
        'slow-nothing 200' 'slow-compute 9000' > /etc/stub-driver
    status=0
    NVL_GPU_ROUNDS=1 "$NVL_SOURCE/tests/gpu/run" /run/prepared /run/results > /run/output 2> /run/errors || status=$?
    echo $status > /run/status
}

@test "what prepare makes stays under 60 MiB" {
    [ "$(du -sm --apparent-size "$PREPARED" | cut -f1)" -lt 60 ]
    [ -x "$PREPARED/build/src/cli/nvlxc" ]
}

@test "run comes to its end without a failure, and prints its table" {
    [ "$(cat /run/status)" = 0 ] || { cat /run/errors /run/output; return 1; }
    run -0 tail -n 1 /run/output
    [[ $output == *" passed, 0 failed, "* ]]
    cmp /run/results/table.md /run/output || tail -n +2 /run/output | cmp /run/results/table.md -
}

@test "the host: programs that run, GPUs, the capture, CUDA and its speed" {
    row pass programs "LXC: brought along"
    row pass host-gpus 550.163.01
    row pass host-capture "files, without serial numbers"
    tar -tf /run/results/host.tar | grep -q proc/driver/nvidia/version
    row pass host-cuda
    row pass host-bench "launches"
    row pass bundle "550.163.01"
    grep -q "\"/usr/local/nvidia/lib64" /run/results/logs/manifest.json
}

@test "an unprivileged and a privileged container, from attach to detach" {
    local name
    for name in unprivileged privileged; do
        row pass $name-made
        row pass $name-attach GPU-3291dfa4-fcc4-0110-615b-c894a0d7c689
        row pass $name-start "it runs"
        row pass $name-nodes
        row pass $name-smi "Stub GPU 0"
        row pass $name-verify "14 steps passed"
        row pass $name-bench "compute "
        row pass $name-bench-target
        row pass $name-processes "its kernel's results were right"
        row pass $name-detach "byte for byte"
    done
}

@test "live, and a container without a grant" {
    row pass live-attach "14 steps passed"
    row pass live-detach "no node is left"
    row pass none-denied "refused by the device filter"
}

@test "a framework of the machine in a container; one that it lacks is skipped" {
    row pass framework-pytorch "Stub GPU 0"
    row skip framework-jax "no Python on this machine has jax"
}

@test "the machine is as it was" {
    row pass unchanged
    [ ! -e /usr/bin/lxc-start ]
    [ ! -e /usr/bin/nvlxc ]
    [ -z "$(find /var/lib/nvlxc /var/lib/lxc -mindepth 1)" ]
    [ -z "$(find /tmp -maxdepth 1 -name 'nvlxc-gpu*')" ]
}

@test "a driver that does not work is a failure; what a machine does not allow is a skip" {
    echo cuInit 999 > /etc/stub-driver
    # as in a container that may not make namespaces: then nothing of containers is tried
    mkdir -p /run/refuse
    printf '#!/bin/sh\necho "unshare failed: Operation not permitted"\nexit 1\n' > /run/refuse/unshare
    chmod 755 /run/refuse/unshare
    run -1 env PATH="/run/refuse:$PATH" "$NVL_SOURCE/tests/gpu/run" /run/prepared /run/refused
    rm /etc/stub-driver
    [[ $output == *"| fail | host-cuda |"* ]]
    [[ $output == *"| skip | may-unshare | not possible here"* ]]
    [[ $output == *"| skip | containers |"* ]]
}

@test "no driver: exit status 3" {
    umount -l /proc/driver
    run -3 "$NVL_SOURCE/tests/gpu/run" /run/prepared
}
