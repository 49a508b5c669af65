# What changes between two starts: majors, driver packages, the hook, the bundle. The config never has to.
load setup

setup_file() {
    nvlxc driver sync --quiet
    make_container ct debian-12
    cp /var/lib/lxc/ct/config /run/ct.plain
    nvlxc attach ct
    cp /var/lib/lxc/ct/config /run/ct.config
}

setup() {
    : > /run/syslog
}

teardown() {
    stop ct 2> /dev/null || true
}

uvm_of() {
    inside ct stat -c %t:%T /dev/nvidia-uvm
}

@test "nvidia-uvm has another major after a reboot: the next start has it" {
    run -0 start ct
    run -0 uvm_of
    [ "$output" = "$(printf '%x' 506):0" ]
    stop ct
    simulate_uvm_major 511
    run -0 start ct
    run -0 uvm_of
    [ "$output" = "$(printf '%x' 511):0" ]
    [ "$(opens ct /dev/nvidia-uvm)" = allowed ]
    cmp /var/lib/lxc/ct/config /run/ct.config
}

@test "nodes that are missing, stale or an empty file on the host are made before the start" {
    rm /dev/nvidia-uvm /dev/nvidia-uvm-tools /dev/nvidiactl
    mknod -m 666 /dev/nvidia-uvm c 499 0
    touch /dev/nvidiactl
    run -0 start ct
    local node
    for node in nvidia0 nvidiactl nvidia-uvm nvidia-uvm-tools; do
        [ "$(opens ct /dev/$node)" = allowed ]
    done
    [ "$(stat -c %a /dev/nvidia-uvm)" = 666 ]
    run -0 syslog_of ct
    says "/dev/nvidia-uvm made (it was stale)" "/dev/nvidia-uvm-tools made (it was missing)" "/dev/nvidiactl made (it was not a device)"
}

@test "the host's packages are replaced and the module is not: the mounted driver is still the module's" {
    simulate_installed 535
    run -0 start ct
    run -0 loads ct libcuda.so.1
    [ "$output" = $BUNDLE/lib64/libcuda.so.550.163.01 ]
    run -9 inside ct nvidia-smi
    # the new one is built beside it, and neither is pruned
    run -0 nvlxc driver sync
    run -0 nvlxc driver prune
    run -0 nvlxc --json driver list
    [ "$(jq -r '[.bundles[] | "\(.version) \(.loaded) \(.pending)"] | sort | join(",")' <<< "$output")" = \
        "535.261.03 false true,550.163.01 true false" ]
}

@test "after the reboot into the new driver, the container has the new one, config untouched" {
    simulate_module 535.261.03
    run -0 start ct
    run -0 loads ct libcuda.so.1
    [ "$output" = $BUNDLE/lib64/libcuda.so.535.261.03 ]
    run -0 syslog_of ct
    says "driver 535.261.03" "linker cache refreshed"
    cmp /var/lib/lxc/ct/config /run/ct.config
    run -0 nvlxc driver prune
    [ ! -e /var/lib/nvlxc/driver/550.163.01 ]
    [ -e /var/lib/nvlxc/driver/535.261.03 ]
}

@test "the bundle is missing and can be built: pre-start builds it" {
    rm -r /var/lib/nvlxc/driver/535.261.03
    run -0 start ct
    run -0 syslog_of ct
    says "driver bundle 535.261.03 built"
    run -0 loads ct libcuda.so.1
    [ "$output" = $BUNDLE/lib64/libcuda.so.535.261.03 ]
}

@test "the bundle is missing and cannot be built: starts, and says why" {
    simulate_installed none
    rm -r /var/lib/nvlxc/driver/535.261.03
    run -0 start ct
    [ "$(opens ct /dev/nvidia0)" = allowed ]
    run -0 syslog_of ct
    says "no driver bundle for 535.261.03" "run 'nvlxc driver sync' on the host"
}

@test "the same with --required: does not start, and says why" {
    run -1 nvlxc attach ct --required # attached, and said: the bundle cannot be built
    says "the driver bundle of 535.261.03 was not built"
    run -0 grep -c -- 'hook --required' /var/lib/lxc/ct/config
    [ "$output" = 2 ]
    run -1 start ct
    run -0 syslog_of ct
    says "the start is refused, since the GPU is required" "no driver bundle for 535.261.03"
    run -1 nvlxc attach ct
    cmp /var/lib/lxc/ct/config /run/ct.config
}

@test "the driver is not loaded: starts, and says so" {
    simulate_host no-driver
    run -0 start ct
    [ "$(opens ct /dev/nvidia0)" = missing ]
    run -0 syslog_of ct
    says "NVIDIA's kernel module is not loaded on the host"
    simulate_host a5500-550
    simulate_installed 550
}

@test "the hook is removed from the host: starts, without a GPU" {
    mv /usr/libexec/nvlxc/hook /run/hook
    run -0 start ct
    [ "$(opens ct /dev/nvidia0)" = missing ]
    mv /run/hook /usr/libexec/nvlxc/hook
    stop ct
    run -0 start ct
    [ "$(opens ct /dev/nvidia0)" = allowed ]
}

@test "a GPU that is gone: starts, with a clear line" {
    sed -i "s/$A5500/GPU-00000000-0000-0000-0000-000000000000/" /proc/driver/nvidia/gpus/*/information
    run -0 start ct
    run -0 syslog_of ct
    says "$A5500 is not on this host"
    stop ct
    simulate_host a5500-550
}

@test "a GPU that says no UUID though the start opened it: it does not come up" {
    sed -i "s/$A5500/GPU-????????-????-????-????-????????????/" /proc/driver/nvidia/gpus/*/information
    run -0 start ct
    run -0 syslog_of ct
    says "$A5500 is not on this host" "it does not come up, see the kernel log"
    stop ct
    simulate_host a5500-550
}

@test "detach gives the config back" {
    run -0 nvlxc detach ct
    cmp /var/lib/lxc/ct/config /run/ct.plain
}
