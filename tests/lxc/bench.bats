# bench: host and container beside each other. The driver is a stub on both sides (tests/lib/stub-driver.c) whose calls take
# as long as a file says: so what the ratios must be is known.
load setup
# shellcheck source=/dev/null
source "$NVL_SOURCE/tests/lib/json.bash"
# shellcheck source=/dev/null
source "$NVL_SOURCE/tests/lib/stub-driver.bash"

STUBS=/run/stubs
LIBCUDA=/usr/lib/x86_64-linux-gnu/nvidia/current/libcuda.so.550.163.01

setup_file() {
    nvlxc driver sync --quiet
    build_stubs $STUBS
    cp $LIBCUDA /run/libcuda.real
    cat $STUBS/libcuda.so > $LIBCUDA
    stub_bundle $STUBS 550.163.01
    make_container d12 debian-12
    stub_nodes $STUBS d12
    nvlxc attach d12 --quiet
    start d12
}

teardown_file() {
    local name
    for name in d12 priv; do stop "$name" || true; done
}

setup() {
    EQUAL=(slow-cuInit 20000 slow-cuMemcpyHtoD 20000 slow-cuMemcpyDtoH 20000 slow-cuMemcpyDtoD 10000 slow-nothing 100 slow-compute 10000)
    host_says "${EQUAL[@]}"
    stub_says d12 "${EQUAL[@]}"
}

# host_says [WHAT NUMBER]...: the host's own driver.
host_says() {
    : > /etc/stub-driver
    while [ $# -gt 0 ]; do
        echo "$1 $2" >> /etc/stub-driver
        shift 2
    done
}

# within ID LOW HIGH: that measure's ratio.
within() {
    jq -e --arg id "$1" --argjson low "$2" --argjson high "$3" \
        '.measures[] | select(.id == $id) | .ratio >= $low and .ratio <= $high' <<< "$output" > /dev/null ||
        { echo "$1 is not within $2 and $3: $output"; return 1; }
}

# bench ARGUMENT...: its JSON alone, in $output.
bench() {
    run -0 --separate-stderr nvlxc --json bench d12 "$@"
}

@test "the same driver on both sides: every ratio is about 1, and the target is met" {
    bench --rounds 3
    is_json bench <<< "$output"
    local id
    for id in cuda-init copy-to-device copy-from-device copy-on-device launches compute; do within $id 0.7 1.4; done
    [ "$(jq -r '[.container, .gpu.model, .gpu.uuid, .rounds, .target, (.measures | length)] | map(tostring) | join(" ")' <<< "$output")" = \
        "d12 Stub GPU 0 $A5500 3 null 6" ]
    [ "$(jq -r '.measures[0] | keys | join(" ")' <<< "$output")" = "id in_container on_host ratio unit" ]
    run -0 nvlxc bench d12 --rounds 1 --target 0.5
    says "MEASURE" "time to cuInit" "copy, host to device" "copy, device to host" "copy, device to device" "kernel launches" \
        "a computing kernel" "GB/s" "GFLOP/s" "Stub GPU 0 in d12, medians of 1 rounds" "The target of 0.5 is met."
}

@test "a container whose cuInit takes twice as long has a ratio of a half, and only that" {
    stub_says d12 "${EQUAL[@]:2}" slow-cuInit 40000
    bench --rounds 3
    within cuda-init 0.4 0.6
    within launches 0.7 1.4
    [ "$(jq -r .lowest <<< "$output")" = cuda-init ]
}

@test "slower copies and kernels in the container, and a faster one" {
    stub_says d12 slow-cuInit 20000 slow-cuMemcpyHtoD 80000 slow-cuMemcpyDtoH 20000 slow-cuMemcpyDtoD 40000 slow-nothing 400 slow-compute 2000
    bench --rounds 3
    within copy-to-device 0.1 0.5
    within copy-from-device 0.7 1.4
    within copy-on-device 0.2 0.3
    within launches 0.2 0.55
    within compute 3 6
}

@test "a missed target is exit status 1, with --target alone" {
    stub_says d12 "${EQUAL[@]:2}" slow-cuInit 40000
    run -0 nvlxc bench d12 --rounds 1
    says "The lowest ratio is 0." "time to cuInit"
    run -1 nvlxc bench d12 --rounds 1 --target 0.9
    says "The target of 0.9 is missed."
    run -1 --separate-stderr nvlxc --json bench d12 --rounds 1 --target 0.9
    [ "$(jq -r .target <<< "$output")" = 0.9 ]
}

@test "one GPU on both sides, by its UUID; a config's CUDA_VISIBLE_DEVICES does not count" {
    # the driver shows the one that is asked for, and shows another where it is asked for none
    stub_says d12 "${EQUAL[@]}" other-gpu 1
    run -1 nvlxc bench d12 --rounds 1
    says "not the same GPU: the host's CUDA uses GPU-3291dfa4-fcc4-0110-615b-c894a0d7c689, the container's GPU-55555555-5555"
    stub_says d12 "${EQUAL[@]}"
    echo "lxc.environment = CUDA_VISIBLE_DEVICES=GPU-00000000-0000-0000-0000-000000000000" >> /var/lib/lxc/d12/config
    run -0 nvlxc bench d12 --rounds 1
    sed -i '$d' /var/lib/lxc/d12/config
}

@test "CUDA that fails: on which side, in which call" {
    stub_says d12 "${EQUAL[@]}" cuInit 999
    run -1 nvlxc bench d12
    says "CUDA does not work in the container: cuInit gives 999 CUDA_ERROR_UNKNOWN: unknown error" "nvlxc verify d12"
    stub_says d12 "${EQUAL[@]}" cuMemcpyDtoD 700
    run -1 nvlxc bench d12
    says "CUDA does not work in the container: bench.on-device gives 700"
    stub_says d12 "${EQUAL[@]}" cuMemAllocHost -1
    run -1 nvlxc bench d12
    says "in the container: in cuMemAllocHost: ended by signal 11"
    stub_says d12 "${EQUAL[@]}"
    host_says "${EQUAL[@]}" broken-kernel 1
    run -1 nvlxc bench d12
    says "CUDA does not work on the host: the GPU computes wrong results: result 0 is 41700000 instead of 41800000" "try: nvlxc doctor   # for the cause"
    host_says "${EQUAL[@]}" cuInit -1
    run -1 nvlxc bench d12
    says "on the host: in cuInit: ended by signal 11"
}

@test "no libcuda in the container" {
    make_container priv debian-13 privileged
    nvlxc attach priv --capabilities utility --libraries none --quiet
    start priv
    run -1 nvlxc bench priv
    says "CUDA does not work in the container: libcuda does not load" "cannot open shared object" "nvlxc verify priv"
    stop priv
    run -1 nvlxc bench priv
    says "container priv is not running" "lxc-start -n priv"
    nvlxc detach priv --quiet
    start priv
    run -1 nvlxc bench priv
    says "nvlxc gave container priv no GPU of this host" "nvlxc attach priv"
    stop priv
}

@test "after an upgrade the host's own libcuda does not fit: the host uses the bundle's, too" {
    mv $LIBCUDA /run/libcuda.550
    run -0 nvlxc bench d12 --rounds 1
    mv /run/libcuda.550 $LIBCUDA
}

@test "arguments" {
    run -2 nvlxc bench
    run -2 nvlxc bench d12 --rounds 0
    says "--rounds takes 1 to 99"
    local bad
    for bad in 0 x 0.9x 3 -1 1e3 0.9.9 ''; do
        run -2 nvlxc bench d12 --target "$bad"
        says "--target takes a ratio"
    done
    run -1 nvlxc bench nobody
}

@test "nothing is left in the container" {
    bench --rounds 1
    local cgroup
    cgroup=/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$(lxc-info -n d12 -pH)/cgroup")
    [ -e "$cgroup/cgroup.procs" ]
    [ -z "$(find "$cgroup" -name 'nvlxc-verify*')" ]
}
