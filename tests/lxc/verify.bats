# verify in real containers with the real driver files. There is no driver behind the nodes of a simulated host, so the
# real nvidia-smi, NVML and CUDA fail as they do on a machine whose driver is gone: and each fault is told from the others.
load setup
# shellcheck source=/dev/null
source "$NVL_SOURCE/tests/lib/verify.bash"
# shellcheck source=/dev/null
source "$NVL_SOURCE/tests/lib/clients.bash"

setup_file() {
    nvlxc driver sync --quiet
    make_container d12 debian-12
    make_container d13 debian-13
    make_container priv debian-12 privileged
    make_container musl musl
    make_container busybox busybox
    local name
    for name in d12 d13 priv musl busybox; do
        nvlxc attach "$name" --quiet
        start "$name"
    done
}

teardown_file() {
    local name
    for name in d12 d13 priv musl busybox d11 nothing; do stop "$name" || true; done
}

# The steps that come out the same wherever glibc is and no driver answers.
check_no_driver() {
    [ "$(steps fail)" = "nodes nvidia-smi nvml cuda-init" ]
    step libc pass
    step nodes fail evidence "no driver answers (ENXIO)" cause "no driver answers behind it" fix "nvlxc host"
    step libnvidia-ml pass evidence "$BUNDLE/lib64/libnvidia-ml.so.550.163.01, the kernel module's version"
    step libcuda pass evidence "$BUNDLE/lib64/libcuda.so.550.163.01, the kernel module's version"
    step nvidia-smi fail evidence "exit status 9: NVIDIA-SMI has failed because it couldn't communicate"
    step nvml fail evidence "nvmlInit gives 9, Driver Not Loaded"
    step cuda-init fail evidence "cuInit gives 100 CUDA_ERROR_NO_DEVICE: no CUDA-capable device is detected"
    step cuda-kernel skip evidence "the step cuda-init failed"
    step nvenc skip evidence "video is not granted"
}

@test "the probe needs no symbol newer than glibc's first for x86-64, and only the two libraries that every glibc has" {
    local probe=$NVL_BUILD/src/probe/probe
    run -0 bash -c "objdump -T '$probe' | sed -n 's/.*\*UND\*.*(\{0,1\}\(GLIBC_[0-9.]*\).*/\1/p' | sort -u"
    [ "$output" = GLIBC_2.2.5 ]
    # and no symbol without a version, which would bind to anything
    run -1 bash -c "objdump -T '$probe' | grep -F '*UND*' | grep -v GLIBC_"
    run -0 bash -c "readelf -dW '$probe' | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | sort | xargs"
    [ "$output" = "libc.so.6 libdl.so.2" ]
    run -1 bash -c "readelf -dW '$probe' | grep -E 'RPATH|RUNPATH|RELR'"
    run -0 bash -c "readelf -nW '$probe'"
    [[ $output != *ISA* ]]
}

@test "Debian 12: what is seen, step by step" {
    verify 1 d12
    is_json verify <<< "$VERIFIED"
    check_no_driver
}

@test "Debian 13: the same" {
    verify 1 d13
    check_no_driver
}

@test "Debian 11, the oldest that mirrors have: the same" {
    compgen -G "$NVL_CACHE/rootfs/debian-11-*.tar" > /dev/null || skip "no Debian 11 in the cache"
    make_container d11 debian-11
    nvlxc attach d11 --quiet
    start d11
    verify 1 d11
    check_no_driver
}

@test "a privileged container: the same" {
    verify 1 priv
    check_no_driver
}

@test "nothing is left in the container, and no cgroup" {
    listing /var/lib/lxc/d12/rootfs > /run/before
    verify 1 d12
    listing /var/lib/lxc/d12/rootfs > /run/after
    diff /run/before /run/after
    no_cgroup_left d12
}

@test "for people: a table, then the first failure with its cause and fix" {
    run -1 nvlxc verify d12
    says "STEP" "RESULT" "cuda-init" "The first step that failed is nodes." "cause: " "no driver answers" "fix:   nvlxc host"
}

@test "a container that does not run: the command that starts it" {
    stop d13
    run -1 nvlxc verify d13
    says "container d13 is not running" "lxc-start -n d13"
    start d13
}

@test "a name with blanks is one word of each command" {
    make_container "a b" busybox
    run -1 nvlxc verify "a b"
    says "lxc-start -n 'a b'"
    start "a b"
    verify 1 "a b"
    step grant fail fix "nvlxc attach 'a b'"
    stop "a b"
}

@test "a frozen container is left in peace" {
    lxc-freeze -n d13
    run -1 nvlxc verify d13
    lxc-unfreeze -n d13
    says "is frozen" "lxc-unfreeze"
    verify 1 d13
    check_no_driver
}

@test "bad requests" {
    run -2 nvlxc verify d12 --workload chess
    says "unknown workload 'chess'"
    run -2 nvlxc verify d12 --timeout 0
    run -1 nvlxc verify d12 --user nobody-here
    says "nobody-here"
    run -1 nvlxc verify no-such-container
    run -2 nvlxc verify
    run -2 nvlxc --root "$NVL_SOURCE/tests/hosts/a5500-550" verify 220
    says "it does not take --root"
}

@test "musl and no C library at all: the first failure says so" {
    verify 1 musl
    [ "$(steps fail)" = libc ]
    step libc fail cause "is musl" fix "glibc"
    verify 1 busybox
    [ "$(steps fail)" = libc ]
    step libc fail cause "without glibc for x86-64"
}

@test "no grant: nothing is tried" {
    make_container nothing debian-12
    start nothing
    verify 1 nothing
    [ "$(steps fail)" = grant ]
    step grant fail cause "no GPU was attached" fix "nvlxc attach nothing"
    [ "$(steps pass)" = running ]
}

@test "attached while it runs: the nodes come with the next start" {
    nvlxc attach nothing --quiet
    verify 1 nothing
    [ "$(first_failure)" = nodes ]
    step nodes fail evidence "nvidia-uvm nvidia-uvm-tools: missing" cause "was started before" fix "lxc-start -n nothing"
    step libcuda fail cause "no driver is mounted at $BUNDLE" fix "nvlxc driver sync"
    # the fix is a command: run it, and the finding is gone
    bash -c "$(jq -r '.steps[] | select(.id == "nodes") | '"$JQ_COMMANDS" <<< "$VERIFIED" | sed 's/lxc-stop/& -k/')"
    verify 1 nothing
    check_no_driver
}

@test "the device filter denies: EPERM, nvidia-smi 255, and the rule that is missing" {
    stop priv
    cp /var/lib/lxc/priv/config /run/priv.config
    sed -i '/cgroup2.devices.allow = \/dev\/nvidia/d' /var/lib/lxc/priv/config
    start priv
    verify 1 priv
    step nodes fail evidence "denied by the device filter (EPERM)" cause "device filter denies /dev/nvidia0 (195:0)" \
        fix "nvlxc attach priv"
    step nvidia-smi fail evidence "exit status 255: Failed to initialize NVML: Unknown Error" cause "device filter"
    step cuda-init fail cause "device filter"
    # the fix mends it
    nvlxc attach priv --quiet
    cmp /var/lib/lxc/priv/config /run/priv.config
    stop priv
    start priv
    verify 1 priv
    check_no_driver
}

@test "the node's mode denies: EACCES, nvidia-smi 4" {
    # while it runs: a start would make it copies of its own
    chmod 600 /dev/nvidia0 /dev/nvidiactl
    verify 1 d12
    step nodes fail evidence "denied by its mode (EACCES)" cause "has mode 0600" fix "chmod 0666 /dev/nvidia0 /dev/nvidiactl"
    step nvidia-smi fail evidence "exit status 4: Failed to initialize NVML: Insufficient Permissions" cause "has mode 0600"
    bash -c "$(jq -r '.steps[] | select(.id == "nodes") | '"$JQ_COMMANDS" <<< "$VERIFIED" | grep '^chmod')"
    verify 1 d12
    check_no_driver
}

@test "a service's user: its own permissions count" {
    inside d12 useradd --system --no-create-home ollama
    verify 1 d12
    step nodes-user fail evidence "ollama: "
    inside d12 useradd alice
    verify 1 d12 --user alice
    step nodes-user fail evidence "alice: "
    inside d12 userdel ollama
}

@test "nodes that the host keeps to a group: the container's groups count" {
    inside d12 useradd --groups video bob
    stop d12
    sed -i 's/ModifyDeviceFiles: 1/ModifyDeviceFiles: 0/' /proc/driver/nvidia/params
    chown 0:44 /dev/nvidia*
    chmod 660 /dev/nvidia*
    start d12
    verify 1 d12 --user bob
    step nodes-user fail evidence "bob: nvidia0 nvidiactl nvidia-uvm nvidia-uvm-tools: no driver answers"
    verify 1 d12 --user alice
    step nodes fail evidence "no driver answers"
    step nodes-user fail evidence "alice: nvidia0 nvidiactl nvidia-uvm nvidia-uvm-tools: denied by its mode" \
        cause "is for the container's root and its group video, and alice is not in that group" fix "in the container: usermod -aG video alice"
    inside d12 usermod -aG video alice
    verify 1 d12 --user alice
    step nodes-user fail evidence "alice: nvidia0 nvidiactl nvidia-uvm nvidia-uvm-tools: no driver answers"
    # a container that has no such group
    inside d12 gpasswd -d alice video
    sed -i.kept '/^video:/d' /var/lib/lxc/d12/rootfs/etc/group
    verify 1 d12 --user alice
    step nodes-user fail fix "groupadd --system video && usermod -aG video alice"
    mv /var/lib/lxc/d12/rootfs/etc/group.kept /var/lib/lxc/d12/rootfs/etc/group
    # for root alone: then no group helps
    stop d12
    chmod 600 /dev/nvidia*
    start d12
    verify 1 d12 --user bob
    step nodes-user fail cause "has mode 0600" fix "chmod 0666 /dev/nvidia0 /dev/nvidiactl /dev/nvidia-uvm"
    step nodes-user fail fix "lxc-start -n d12"
    chown 0:0 /dev/nvidia*
    chmod 666 /dev/nvidia*
    sed -i 's/ModifyDeviceFiles: 0/ModifyDeviceFiles: 1/' /proc/driver/nvidia/params
    stop d12
    start d12
    verify 1 d12
    check_no_driver
}

@test "lines by hand, and the device filter denies: attach is to replace them" {
    make_container hand debian-12 privileged
    local node
    for node in nvidia0 nvidiactl nvidia-uvm; do
        echo "lxc.mount.entry = /dev/$node dev/$node none bind,optional,create=file 0 0"
    done >> /var/lib/lxc/hand/config
    start hand
    verify 1 hand
    step grant pass evidence "lines by hand"
    step nodes fail evidence "denied by the device filter (EPERM)" fix "nvlxc attach hand --replace"
    stop hand
}

@test "nvidia-uvm is missing: nvidia-smi does not mind, CUDA does" {
    stop d12
    sed -i 's/ModifyDeviceFiles: 1/ModifyDeviceFiles: 0/' /proc/driver/nvidia/params
    rm /dev/nvidia-uvm /dev/nvidia-uvm-tools
    start d12
    verify 1 d12
    step nodes fail evidence "nvidia-uvm nvidia-uvm-tools: missing"
    sed -i 's/ModifyDeviceFiles: 0/ModifyDeviceFiles: 1/' /proc/driver/nvidia/params
    stop d12
    start d12
    verify 1 d12
    check_no_driver
}

@test "the driver was upgraded under a running container" {
    simulate_module 550.200.02
    verify 1 d12
    step libcuda fail evidence "is 550.163.01, the kernel module 550.200.02" cause "must be the same" fix "lxc-start -n d12"
    step libnvidia-ml fail
    simulate_module 550.163.01
}

@test "the container's own driver wins over the bundle" {
    local lib=/var/lib/lxc/d12/rootfs/usr/lib/x86_64-linux-gnu
    cp -L "$("$NVL_SOURCE/tests/lib/driver-tree" 535)"/usr/lib/x86_64-linux-gnu/nvidia/current/libcuda.so.535.* "$lib/"
    rm /var/lib/lxc/d12/rootfs/etc/ld.so.conf.d/00-nvlxc.conf
    inside d12 ldconfig
    verify 1 d12
    step libcuda fail evidence "/usr/lib/x86_64-linux-gnu/libcuda.so.535" cause "must be the same" fix "remove the driver that is installed there"
    # no bundle in the linker's list: NVML is not found at all, and nvidia-smi says so
    step libnvidia-ml fail cause "linker cache does not name it" fix ldconfig
    step nvml skip evidence "the step libnvidia-ml failed"
    step nvidia-smi fail evidence "exit status 12"
    rm "$lib"/libcuda.so.535.* "$lib/libcuda.so.1"
    stop d12
    start d12
    verify 1 d12
    check_no_driver
}

@test "the driver's file is not what it should be" {
    echo 'not a library' > /var/lib/lxc/d12/rootfs/usr/local/lib/libcuda.so.1
    sed -i '$a lxc.environment = LD_LIBRARY_PATH=/usr/local/lib' /var/lib/lxc/d12/config
    verify 1 d12
    step libcuda fail cause "the container's loader rejects it"
    step cuda-init skip evidence "the step libcuda failed"
    sed -i '$d' /var/lib/lxc/d12/config
    rm /var/lib/lxc/d12/rootfs/usr/local/lib/libcuda.so.1
}

@test "graphics with the real files: what a library needs of the container, then its ICD is found and loads" {
    simulate_installed 550-graphics
    nvlxc driver sync --quiet
    stop d13
    nvlxc attach d13 --capabilities all --quiet
    start d13
    verify 1 d13
    step opencl pass evidence "$BUNDLE/lib64/libnvidia-opencl.so.550.163.01, named by /etc/OpenCL/vendors/nvidia.icd"
    step nvenc pass evidence "$BUNDLE/lib64/libnvidia-encode.so.550.163.01, interface 12.2"
    step nvdec pass
    step vulkan fail evidence "libX11.so.6: cannot open shared object file" cause "libGLX_nvidia.so.0 needs libX11.so.6" \
        fix "in the container: apt install libx11-6"
    # what the fix installs, with what it needs
    "$NVL_SOURCE/tests/lib/packages" trixie "$NVL_CACHE" /var/lib/lxc/d13/rootfs "${CLIENTS[@]}"
    chown -Rh --from=0:0 100000:100000 /var/lib/lxc/d13/rootfs
    inside d13 ldconfig
    verify 1 d13
    step vulkan pass evidence "$BUNDLE/lib64/libGLX_nvidia.so.550.163.01, named by /usr/share/vulkan/icd.d/nvidia_icd.json"
    rm /var/lib/lxc/d13/rootfs/usr/share/vulkan/icd.d/nvidia_icd.json
    verify 1 d13
    step vulkan pass evidence "no file in the container names it: programs find it with VK_DRIVER_FILES=$BUNDLE/share/vulkan/icd.d/nvidia_icd.json"
}

@test "only utility: CUDA is not expected" {
    stop d12
    nvlxc attach d12 --capabilities utility --quiet
    start d12
    verify 1 d12
    step cuda-init skip evidence "compute is not granted"
    step nvml fail evidence "9, Driver Not Loaded"
    nvlxc attach d12 --capabilities compute,utility --quiet
    stop d12
    start d12
}

@test "the host has no driver: nothing is tried, exit status 3" {
    mv /proc/driver/nvidia/version /proc/driver/nvidia/version.away
    run -3 nvlxc verify d12
    says "kernel module is not loaded" "nvlxc host"
    mv /proc/driver/nvidia/version.away /proc/driver/nvidia/version
}

@test "what is run inside is confined: no capability, no new privileges, no host descriptor" {
    cat > /var/lib/lxc/priv/rootfs/usr/local/bin/nvidia-smi.test <<'SH'
#!/bin/sh
{ grep -E '^(CapEff|CapBnd|NoNewPrivs|Uid)' /proc/self/status; ls -l /proc/self/fd; env; cat /proc/self/cgroup; tty; } > /tmp/seen 2>&1
SH
    chmod 755 /var/lib/lxc/priv/rootfs/usr/local/bin/nvidia-smi.test
    mv /var/lib/lxc/priv/rootfs/usr/local/bin/nvidia-smi /var/lib/lxc/priv/rootfs/usr/local/bin/nvidia-smi.link
    mv /var/lib/lxc/priv/rootfs/usr/local/bin/nvidia-smi.test /var/lib/lxc/priv/rootfs/usr/local/bin/nvidia-smi
    SECRET=of-the-host nvlxc verify priv > /dev/null || true
    run -0 cat /var/lib/lxc/priv/rootfs/tmp/seen
    says "NoNewPrivs:	1" "CapEff:	0000000000000002" "CapBnd:	0000000000000002" "not a tty" "CUDA_CACHE_DISABLE=1"
    [[ $output != *SECRET* ]]
    # an input that has ended, the file (twice), ls's own folder
    [ "$(grep -c -- ' -> ' <<< "$output")" = 4 ]
    [ "$(grep -c -- ' 0 -> pipe:' <<< "$output")" = 1 ]
    [ "$(grep -c -- ' -> /tmp/seen' <<< "$output")" = 2 ]
    mv /var/lib/lxc/priv/rootfs/usr/local/bin/nvidia-smi.link /var/lib/lxc/priv/rootfs/usr/local/bin/nvidia-smi
}

@test "a grant that lacks a capability, on a host of two GPUs: the fix keeps its GPU and its ways, and works when pasted" {
    make_container ways debian-12
    # the bundle is of another version: that is not what is asked here
    simulate_host two-gpus-535
    local gpu
    gpu=$(nvlxc --json gpus | jq -r '.gpus[1].uuid')
    printf '#!/bin/sh\n' > /var/lib/lxc/ways/rootfs/usr/bin/ffmpeg
    chmod 755 /var/lib/lxc/ways/rootfs/usr/bin/ffmpeg
    nvlxc attach ways --gpu 1 --capabilities utility,graphics --nodes static --quiet || true
    start ways
    verify 1 ways --workload ffmpeg
    step ffmpeg fail fix "nvlxc attach ways --gpu $gpu --capabilities utility,video,graphics --nodes=static"
    stop ways
    run nvlxc attach ways --gpu "$gpu" --capabilities utility,video,graphics --nodes=static
    says "capabilities utility,video,graphics" "nodes static"
    # without a grant the GPU has to be chosen
    nvlxc detach ways --quiet
    start ways
    verify 1 ways
    step grant fail fix "nvlxc attach ways --gpu GPU"
    stop ways
    simulate_host a5500-550
}
