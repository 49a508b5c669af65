# verify where the GPU works, and where it fails as only a machine with a driver can: the driver's libraries are stubs with
# one small device in them (tests/lib/stub-driver.c), the containers real.
load setup
# shellcheck source=/dev/null
source "$NVL_SOURCE/tests/lib/verify.bash"
# shellcheck source=/dev/null
source "$NVL_SOURCE/tests/lib/stub-driver.bash"

STUBS=/run/stubs

setup_file() {
    local name
    nvlxc driver sync --quiet
    build_stubs $STUBS
    stub_bundle $STUBS 550.163.01
    make_container d12 debian-12
    make_container priv debian-13 privileged
    for name in d12 priv; do
        stub_nodes $STUBS $name
        nvlxc attach $name --capabilities compute,utility,video --quiet
        start $name
    done
}

teardown_file() {
    local name
    for name in d12 priv d11 classic; do stop "$name" || true; done
}

setup() {
    R=/var/lib/lxc/d12/rootfs
    stub_says d12
}

# program NAME: a script of that name in the container, from standard input.
program() {
    mkdir -p "$(dirname "$R$1")"
    rm -f "$R$1"
    cat > "$R$1"
    chmod 755 "$R$1"
}

@test "all is well: every step passes, exit status 0" {
    verify 0 d12
    is_json verify <<< "$VERIFIED"
    [ "$(steps fail)" = "" ]
    [ "$(steps pass)" = "running grant libc nodes libnvidia-ml libcuda nvidia-smi nvml cuda-init cuda-devices cuda-memory cuda-kernel nvenc nvdec" ]
    step nodes pass evidence "nvidia0 nvidiactl nvidia-uvm nvidia-uvm-tools: opens"
    step nvml pass evidence "driver 550.163.01, 1 GPU: Stub GPU 0"
    step cuda-init pass evidence "CUDA 12.4"
    step cuda-devices pass evidence "1: Stub GPU 0, 16384 MiB"
    step cuda-memory pass evidence "1048576 bytes"
    step cuda-kernel pass evidence "262144 results"
    step nvenc pass evidence "interface 12.2"
    run -0 nvlxc verify d12
    says "d12 can use its GPU: 14 steps passed"
}

@test "on a terminal: the program that takes long is said, then the table, which fits" {
    local said
    printf '#!/bin/sh\nsleep 3\n' | program /usr/bin/ffmpeg
    said=$(TERM=xterm LC_ALL=C.UTF-8 script -qec 'stty cols 80; nvlxc verify d12' /dev/null < /dev/null | tr -d '\r')
    rm "$R/usr/bin/ffmpeg"
    [[ $said == *$'\e[K'"runs inside: "*ffmpeg*$'\e[K'* ]]
    [[ $said == *$'\e[32m✓ pass\e[0m'* ]]
    # behind the progress that was cleared
    said=$(sed 's/.*\x1b\[K//; s/\x1b\[[0-9]*m//g' <<< "$said")
    [[ $said == *"STEP "*"RESULT"*"EVIDENCE"* ]]
    [ -z "$(perl -CS -ne 'chomp; print "$_\n" if length > 80' <<< "$said" | grep -Ev '^ *[^ ]*(/|nvlxc)' || true)" ]
}

@test "a privileged container, Debian 13: the same" {
    verify 0 priv
    step cuda-kernel pass evidence "262144 results"
}

@test "Debian 11: the same" {
    compgen -G "$NVL_CACHE/rootfs/debian-11-*.tar" > /dev/null || skip "no Debian 11 in the cache"
    make_container d11 debian-11
    stub_nodes $STUBS d11
    nvlxc attach d11 --quiet
    start d11
    verify 0 d11
    step cuda-kernel pass evidence "262144 results"
}

@test "two GPUs: each of them is used" {
    stub_says d12 devices 2
    verify 0 d12
    step cuda-devices pass evidence "2: Stub GPU 0, 16384 MiB; Stub GPU 1, 16384 MiB"
    step cuda-kernel pass evidence "262144 results; 262144 results"
    # the second alone does not work
    stub_says d12 devices 2 second 46
    verify 1 d12
    [ "$(first_failure)" = cuda-memory ]
    step cuda-memory fail evidence "cuCtxCreate gives 46 CUDA_ERROR_DEVICE_UNAVAILABLE" cause "exclusive mode"
    step cuda-kernel skip
}

# with LINE COMMAND...: while the config has that line, too; it is read anew each time.
with() {
    local status=0
    sed -i "\$a $1" /var/lib/lxc/d12/config
    shift
    "$@" || status=$?
    sed -i '$d' /var/lib/lxc/d12/config
    return $status
}

@test "the config's environment counts: GPUs that it hides" {
    stub_says d12 cuInit 100
    program /usr/local/bin/nvidia-smi <<< $'#!/bin/sh\necho "sees $CUDA_VISIBLE_DEVICES$NOT_FOR_IT"'
    with "lxc.environment = CUDA_VISIBLE_DEVICES=7\nlxc.environment = NOT_FOR_IT=x" verify 1 d12
    sed -i '$d' /var/lib/lxc/d12/config
    step nvidia-smi pass evidence "sees 7"
    [[ $(jq -r '.steps[] | select(.id == "nvidia-smi") | .evidence' <<< "$VERIFIED") = "sees 7" ]]
    step cuda-init fail cause "sets CUDA_VISIBLE_DEVICES=7, which names no GPU" fix "remove that lxc.environment line"
    program /usr/local/bin/nvidia-smi <<< $'#!/bin/sh\necho No devices were found'
    verify 1 d12
    step nvidia-smi fail evidence "exit status 0: No devices were found" cause "finds no GPU"
    rm "$R/usr/local/bin/nvidia-smi"
    ln -s "$BUNDLE"/bin/nvidia-smi "$R/usr/local/bin/nvidia-smi"
}

@test "which libcuda: of CUDA's compatibility package, or one whose name has no version" {
    local compat=$R/usr/local/cuda/compat
    mkdir -p "$compat"
    cp $STUBS/libcuda.so "$compat/libcuda.so.560.35.03"
    ln -s libcuda.so.560.35.03 "$compat/libcuda.so.1"
    with "lxc.environment = LD_LIBRARY_PATH=/usr/local/cuda/compat" verify 0 d12
    step libcuda pass evidence "/usr/local/cuda/compat/libcuda.so.560.35.03, a CUDA compatibility library of 560.35.03"
    mv "$compat/libcuda.so.560.35.03" "$compat/libcuda.so.1"
    with "lxc.environment = LD_LIBRARY_PATH=/usr/local/cuda/compat" verify 0 d12
    step libcuda pass evidence "/usr/local/cuda/compat/libcuda.so.1, which does not tell its version"
    printf '\000550.163.01\000' >> "$compat/libcuda.so.1"
    with "lxc.environment = LD_LIBRARY_PATH=/usr/local/cuda/compat" verify 0 d12
    step libcuda pass evidence "/usr/local/cuda/compat/libcuda.so.1, the kernel module's version"
    rm -r "$R/usr/local/cuda"
}

@test "a GPU of the grant that does not come up: said in the host's words" {
    cp /proc/driver/nvidia/gpus/0000:01:00.0/information /run/information
    sed -i 's/^GPU UUID:.*/GPU UUID: \t GPU-????????-????-????-????-????????????/' /proc/driver/nvidia/gpus/0000:01:00.0/information
    verify 1 d12
    [ "$(first_failure)" = grant ]
    step grant fail evidence "does not come up" cause "RmInitAdapter" fix "journalctl -k"
    cat /run/information > /proc/driver/nvidia/gpus/0000:01:00.0/information
    verify 0 d12
}

@test "a grant of what the host does not have is its own failure" {
    cp /var/lib/lxc/d12/config /run/d12.config
    sed -i 's/NVIDIA_VISIBLE_DEVICES=.*/NVIDIA_VISIBLE_DEVICES=GPU-00000000-1111-2222-3333-444444444444/' /var/lib/lxc/d12/config
    verify 1 d12
    [ "$(first_failure)" = grant ]
    step grant fail evidence "GPU-00000000-1111-2222-3333-444444444444" cause "names something that this host does not have" fix "nvlxc gpus"
    cp /run/d12.config /var/lib/lxc/d12/config
}

@test "what debuggers alone use may be missing" {
    stop d12
    sed -i 's/ModifyDeviceFiles: 1/ModifyDeviceFiles: 0/' /proc/driver/nvidia/params
    rm /dev/nvidia-uvm-tools
    start d12
    verify 0 d12
    step nodes pass evidence "nvidia-uvm: opens; nvidia-uvm-tools: missing"
    sed -i 's/ModifyDeviceFiles: 0/ModifyDeviceFiles: 1/' /proc/driver/nvidia/params
    stop d12
    start d12
}

@test "a user whom the container's map does not have" {
    echo 'far:x:200000:200000::/:/bin/sh' >> "$R/etc/passwd"
    verify 1 d12 --user far
    step nodes pass
    step nodes-user fail evidence "as far: could not run (become its user)" cause "its uid 200000 may be outside"
    sed -i '$d' "$R/etc/passwd"
}

# cuda CODE CALL STEP: CALL fails with that number, and STEP is the first that fails.
cuda() {
    stub_says d12 "$2" "$1"
    verify 1 d12
    [ "$(first_failure)" = "$3" ]
    step "$3" fail evidence "$2 gives $1"
}

@test "cuInit: each number has its cause" {
    cuda 34 cuInit cuda-init
    step cuda-init fail evidence CUDA_ERROR_STUB_LIBRARY cause "stub of libcuda" fix "stubs folder"
    cuda 100 cuInit cuda-init
    step cuda-init fail evidence CUDA_ERROR_NO_DEVICE cause "sees no GPU" fix "nvlxc show d12"
    cuda 101 cuInit cuda-init
    step cuda-init fail evidence CUDA_ERROR_INVALID_DEVICE cause "MIG"
    cuda 802 cuInit cuda-init
    step cuda-init fail evidence CUDA_ERROR_SYSTEM_NOT_READY cause "fabric manager" fix "systemctl enable --now nvidia-fabricmanager"
    cuda 803 cuInit cuda-init
    step cuda-init fail evidence CUDA_ERROR_SYSTEM_DRIVER_MISMATCH cause "does not have the kernel module's version, 550.163.01"
    cuda 804 cuInit cuda-init
    step cuda-init fail cause "CUDA compatibility library" fix "cuda-compat"
    # every node is well: then it is the module
    cuda 999 cuInit cuda-init
    step cuda-init fail evidence "CUDA_ERROR_UNKNOWN: unknown error" cause "nvidia-uvm itself" fix "modprobe nvidia-uvm"
    step cuda-devices skip evidence "the step cuda-init failed"
}

@test "later calls: the step in which they are, and their causes" {
    cuda 800 cuCtxCreate cuda-memory
    step cuda-memory fail cause "compute mode" fix "nvidia-smi -c 0"
    cuda 2 cuMemAlloc cuda-memory
    step cuda-memory fail cause "other programs use the GPU's memory"
    cuda 221 cuModuleLoadData cuda-kernel
    step cuda-kernel fail cause "libnvidia-ptxjitcompiler.so.1 is not in the container"
    cuda 222 cuModuleLoadData cuda-kernel
    cuda 719 cuCtxSynchronize cuda-kernel
    step cuda-kernel fail fix dmesg
    cuda 5555 cuLaunchKernel cuda-kernel
    step cuda-kernel fail cause "error 5555"
    step cuda-memory pass
}

@test "what comes back is compared" {
    stub_says d12 broken-memory 1
    verify 1 d12
    step cuda-memory fail evidence "instead of" cause "does not return the data"
    stub_says d12 broken-kernel 1
    verify 1 d12
    step cuda-memory pass
    step cuda-kernel fail evidence "word 262143 is"
}

@test "nvidia-uvm missing, stale, not a device: CUDA's 999 is that, and nvidia-smi works" {
    local node
    stop d12
    sed -i 's/ModifyDeviceFiles: 1/ModifyDeviceFiles: 0/' /proc/driver/nvidia/params
    rm /dev/nvidia-uvm /dev/nvidia-uvm-tools
    start d12
    stub_says d12 cuInit 999
    verify 1 d12
    [ "$(first_failure)" = nodes ]
    step nodes fail evidence "nvidia-uvm nvidia-uvm-tools: missing" cause "nvidia-uvm is not loaded" fix "modprobe nvidia-uvm"
    step nvidia-smi pass
    step cuda-init fail cause "/dev/nvidia-uvm is not on the host"
    # a node of another boot
    stop d12
    mknod -m 666 /dev/nvidia-uvm c 511 0
    cp /var/lib/lxc/d12/config /run/d12.config
    echo 'lxc.mount.entry = /dev/nvidia-uvm dev/nvidia-uvm none bind,create=file 0 0' >> /var/lib/lxc/d12/config
    start d12
    verify 1 d12
    step nodes fail evidence "nvidia-uvm: stale number" cause "has number 511:0, but the driver's is 506:0"
    step cuda-init fail cause "has number 511:0"
    # the file that create=file left where the source was missing
    stop d12
    rm /dev/nvidia-uvm
    sed -i 's/bind,create=file/bind,optional,create=file/' /var/lib/lxc/d12/config
    start d12
    verify 1 d12
    step nodes fail evidence "nvidia-uvm: not a device" cause "an empty file"
    stop d12
    cp /run/d12.config /var/lib/lxc/d12/config
    sed -i 's/ModifyDeviceFiles: 0/ModifyDeviceFiles: 1/' /proc/driver/nvidia/params
    start d12
    stub_says d12
    verify 0 d12
}

@test "NVML and nvidia-smi: 18, and nothing found" {
    stub_says d12 nvmlInit 18
    echo 18 > "$R/etc/stub-smi"
    verify 1 d12
    step nvidia-smi fail evidence "exit status 18" cause "does not have the kernel module's version"
    step nvml fail evidence "nvmlInit gives 18, Driver/library version mismatch" fix "nvlxc driver sync"
    stub_says d12 nvmlInit 17
    echo 17 > "$R/etc/stub-smi"
    verify 1 d12
    step nvml fail cause "failed to initialize it" fix "nvlxc host"
    rm "$R/etc/stub-smi"
    stub_says d12 nvmlDeviceGetHandleByIndex 15
    verify 1 d12
    step nvml fail evidence "nvmlDeviceGetHandleByIndex gives 15" cause "fallen off the bus"
    stub_says d12 nvmlDeviceGetCount 16
    verify 1 d12
    step nvml fail evidence "nvmlDeviceGetCount gives 16" cause "needs a reset"
    stub_says d12 devices 0
    echo 6 > "$R/etc/stub-smi"
    verify 1 d12
    step nvidia-smi fail evidence "exit status 6" cause "finds no GPU"
    step nvml fail evidence "finds no GPU"
    step cuda-devices fail evidence "CUDA finds no GPU"
    rm "$R/etc/stub-smi"
}

@test "a crash and a hang are told by their place" {
    stub_says d12 cuInit -1
    verify 1 d12
    step cuda-init fail evidence "in cuInit: ended by signal 11" cause "crashes the program in that call"
    stub_says d12 cuLaunchKernel -2
    verify 1 d12 --timeout 3
    step cuda-memory pass
    step cuda-kernel fail evidence "in cuLaunchKernel: did not end within 3 s" cause "does not return"
}

@test "hostile output: escape sequences, a flood, a program without end" {
    stub_says d12 hostile 1
    verify 0 d12
    step cuda-devices pass evidence "1:  [2J ]0;owned ??31m?100"
    run -0 nvlxc verify d12
    [[ $output != *$'\033'* && $output != *$'\007'* && $output != *$'\233'* ]]
    # forged lines and too many of them
    stub_says d12 cuInit -3
    verify 1 d12 --timeout 5
    step cuda-devices fail
    stub_says d12
    program /usr/local/bin/nvidia-smi <<'SH'
#!/bin/sh
(while :; do sleep 1000; done) &
(setsid sh -c 'exec sleep 4321' &)
yes nvidia 2> /dev/null | head -c 20000000
exec yes
SH
    local begin=$SECONDS
    verify 1 d12 --timeout 3
    step nvidia-smi fail evidence "did not end within 3 s"
    [ $((SECONDS - begin)) -lt 25 ]
    # what it started is gone with it
    run -1 pgrep -f 'sleep 4321'
    no_cgroup_left d12
    rm "$R/usr/local/bin/nvidia-smi"
    ln -s "$BUNDLE"/bin/nvidia-smi "$R/usr/local/bin/nvidia-smi"
}

@test "a hostile workload: escape sequences, no end, output without end" {
    program /usr/bin/ffmpeg <<'SH'
#!/bin/sh
printf '\033]0;owned\007\033[2J\233\377 nothing\r\n' >&2
exit 1
SH
    verify 1 d12 --workload ffmpeg
    step ffmpeg fail evidence "/usr/bin/ffmpeg: exit status 1: ?]0;owned??[2J?? nothing"
    run -1 nvlxc verify d12 --workload ffmpeg
    # nothing but what a line of text is made of
    [ -z "$(LC_ALL=C tr -d '\n -~' <<< "$output")" ]
    # never ends, and cannot be asked to
    program /usr/bin/ffmpeg <<'SH'
#!/bin/sh
trap '' TERM INT HUP
exec > /dev/null 2>&1
while :; do sleep 1234; done
SH
    local begin=$SECONDS
    verify 1 d12 --workload ffmpeg --timeout 2
    step ffmpeg fail evidence "did not end within 2 s and was killed" cause "does not end by itself"
    [ $((SECONDS - begin)) -lt 15 ]
    run -1 pgrep -f 'sleep 1234'
    # ends at once, leaves something that holds the output
    program /usr/bin/ffmpeg <<'SH'
#!/bin/sh
setsid sh -c 'trap "" TERM; while :; do echo still here; sleep 0.1; done' &
exit 3
SH
    begin=$SECONDS
    verify 1 d12 --workload ffmpeg --timeout 60
    step ffmpeg fail evidence "exit status 3"
    [ $((SECONDS - begin)) -lt 15 ]
    run -1 pgrep -f 'still here'
    # what one program leaves is gone when the next one runs
    program /usr/local/bin/nvidia-smi <<'SH'
#!/bin/sh
setsid sleep 4321 > /dev/null 2>&1 &
echo $! > /tmp/left
SH
    program /usr/bin/ffmpeg <<'SH'
#!/bin/sh
[ -s /tmp/left ] && [ ! -e "/proc/$(cat /tmp/left)/exe" ]
SH
    verify 0 d12 --workload ffmpeg
    rm "$R/usr/local/bin/nvidia-smi" "$R/tmp/left"
    ln -s "$BUNDLE"/bin/nvidia-smi "$R/usr/local/bin/nvidia-smi"
    # prints without end: what is kept of it is little
    program /usr/bin/ffmpeg <<'SH'
#!/bin/sh
head -c 3000000 /dev/zero | tr '\0' x
exec yes "$(head -c 60000 /dev/zero | tr '\0' y)"
SH
    verify 1 d12 --workload ffmpeg --timeout 3
    step ffmpeg fail evidence "did not end within 3 s"
    [ ${#VERIFIED} -lt 10000 ]
    rm "$R/usr/bin/ffmpeg"
    no_cgroup_left d12
}

@test "hostile names of files and folders stay out of the terminal, the JSON and the commands" {
    local odd=$'\033[31m\377\302\233;reboot'
    mkdir -p "$R/opt/$odd/lib/python3.11/site-packages/torch" "$R/etc/cdi"
    program "/opt/$odd/bin/python3" <<< $'#!/bin/sh\nexit 1'
    program /usr/bin/podman < /dev/null
    echo 'kind: nvidia.com/gpu, path: /dev/nvidia7' > "$R/etc/cdi/$odd.yaml"
    verify 1 d12
    [ "$(steps fail)" = "pytorch cdi" ]
    step pytorch fail evidence "/opt/?[31m???;reboot/bin/python3: exit status 1"
    step cdi fail evidence "/etc/cdi/?[31m???;reboot.yaml names /dev/nvidia7" fix "delete that file"
    [[ $(jq -r '.steps[].fix[].command' <<< "$VERIFIED") != *reboot.yaml* ]]
    run -1 nvlxc verify d12
    [ -z "$(LC_ALL=C tr -d '\n -~' <<< "$output")" ]
    # no file: a FIFO and a link out of the container
    rm "$R/etc/cdi/$odd.yaml"
    mkfifo "$R/etc/cdi/a.yaml"
    echo 'nvidia.com/gpu' > /run/of-the-host.yaml
    ln -s ../../../../../../../../run/of-the-host.yaml "$R/etc/cdi/b.yaml"
    verify 1 d12 --workload podman
    step cdi fail evidence "no specification of nvidia.com/gpu"
    rm -r "$R/opt/$odd" "$R/etc/cdi" "$R/usr/bin/podman"
}

@test "OpenCL: it loads where the driver has it, and its file names it" {
    verify 0 d12
    step opencl skip evidence "the host's driver has no libnvidia-opencl.so.1"
    step vulkan skip evidence "graphics is not granted"
    mkdir -p "$R/etc/OpenCL/vendors"
    echo libnvidia-opencl.so.1 > "$R/etc/OpenCL/vendors/nvidia.icd"
    verify 1 d12
    step opencl fail cause "lacks libnvidia-opencl.so.1" fix "nvlxc driver sync"
    cp $STUBS/libnvidia-opencl.so "$R/usr/local/lib/libnvidia-opencl.so.1"
    inside d12 ldconfig
    verify 0 d12
    step opencl pass evidence "named by /etc/OpenCL/vendors/nvidia.icd"
    # by its version's name too, but not another
    echo libnvidia-opencl.so.550.163.01 > "$R/etc/OpenCL/vendors/nvidia.icd"
    verify 0 d12
    echo libnvidia-opencl.so.535.104.05 > "$R/etc/OpenCL/vendors/nvidia.icd"
    verify 1 d12
    step opencl fail evidence "does not name libnvidia-opencl.so.1" cause "for another driver" fix "rm /etc/OpenCL/vendors/nvidia.icd"
    # not the driver's library at all
    echo libnvidia-opencl.so.1 > "$R/etc/OpenCL/vendors/nvidia.icd"
    cp $STUBS/libnvcuvid.so "$R/usr/local/lib/libnvidia-opencl.so.1"
    verify 1 d12
    step opencl fail evidence "libnvidia-opencl.so.1: it has no clGetExtensionFunctionAddress" cause "is incomplete"
    rm -r "$R/etc/OpenCL" "$R/usr/local/lib/libnvidia-opencl.so.1"
    inside d12 ldconfig
}

@test "NVENC and NVDEC: another version, no answer, nothing there" {
    cp $STUBS/libnvidia-encode.so "$R/usr/local/lib/libnvidia-encode.so.535.104.05"
    ln -sf libnvidia-encode.so.535.104.05 "$R/usr/local/lib/libnvidia-encode.so.1"
    mv "$R/etc/ld.so.conf.d/00-nvlxc.conf" "$R/etc/ld.so.conf.d/zz-nvlxc.conf"
    inside d12 ldconfig
    verify 1 d12
    step nvenc fail evidence "libnvidia-encode.so.535.104.05 is 535.104.05, the kernel module 550.163.01" cause "must be the same" \
        fix "remove the driver that is installed there"
    step nvdec pass
    rm "$R"/usr/local/lib/libnvidia-encode.so.*
    mv "$R/etc/ld.so.conf.d/zz-nvlxc.conf" "$R/etc/ld.so.conf.d/00-nvlxc.conf"
    inside d12 ldconfig
    stub_says d12 nvenc 7
    verify 1 d12
    step nvenc fail cause "loads but does not work"
    stub_says d12 nvenc -1
    verify 1 d12
    step nvenc fail evidence "it does not answer"
    stub_says d12
    local lib=/var/lib/nvlxc/driver/550.163.01/lib64
    mv "$lib/libnvcuvid.so.1" /run/
    verify 1 d12
    step nvdec fail evidence "libnvcuvid.so.1: cannot open shared object file" cause "lacks libnvcuvid.so.1"
    mv /run/libnvcuvid.so.1 "$lib/"
    verify 0 d12
}

@test "lines by hand instead of a grant" {
    make_container classic debian-12
    stub_nodes $STUBS classic
    for node in nvidia0 nvidiactl nvidia-uvm; do
        echo "lxc.mount.entry = /dev/$node dev/$node none bind,optional,create=file 0 0"
    done >> /var/lib/lxc/classic/config
    start classic
    cp $STUBS/libcuda.so /var/lib/lxc/classic/rootfs/usr/local/lib/libcuda.so.550.163.01
    cp $STUBS/libnvidia-ml.so /var/lib/lxc/classic/rootfs/usr/local/lib/libnvidia-ml.so.550.163.01
    inside classic ldconfig
    verify 1 classic
    step grant pass evidence "lines by hand"
    step nodes pass evidence "opens"
    step cuda-kernel pass
    step nvidia-smi fail evidence "nvidia-smi is not in the container"
}

# Workloads.

@test "ffmpeg: frames are encoded, as the service's user, and its messages have causes" {
    inside d12 useradd --system jellyfin
    program /usr/lib/jellyfin-ffmpeg/ffmpeg <<'SH'
#!/bin/sh
echo "$@" > /tmp/ffmpeg.arguments
id -un > /tmp/ffmpeg.user
[ ! -e /etc/stub-ffmpeg ] || { cat /etc/stub-ffmpeg >&2; exit 1; }
SH
    verify 0 d12
    step ffmpeg pass evidence "encoded 5 frames with h264_nvenc as jellyfin"
    step nodes-user pass evidence "jellyfin: nvidia0"
    grep -q -- '-c:v h264_nvenc' "$R/tmp/ffmpeg.arguments"
    [ "$(cat "$R/tmp/ffmpeg.user")" = jellyfin ]
    echo 'Unknown encoder h264_nvenc' > "$R/etc/stub-ffmpeg"
    verify 1 d12 --workload jellyfin
    step ffmpeg fail cause "built without NVENC"
    echo '[h264_nvenc @ 0x1] OpenEncodeSessionEx failed: out of memory (10): (no details)' > "$R/etc/stub-ffmpeg"
    verify 1 d12 --workload ffmpeg
    step ffmpeg fail cause "encoding sessions"
    echo 'something new' > "$R/etc/stub-ffmpeg"
    verify 1 d12 --workload ffmpeg
    step ffmpeg fail evidence "exit status 1: something new" cause "CUDA itself works"
    rm -r "$R/etc/stub-ffmpeg" "$R/usr/lib/jellyfin-ffmpeg"
    inside d12 userdel jellyfin
    verify 1 d12 --workload ffmpeg
    step ffmpeg fail evidence "not found in the container"
}

@test "PyTorch and TensorFlow: a product is right, and their messages have causes" {
    mkdir -p "$R/opt/ai/venv/lib/python3.11/site-packages/torch" "$R/opt/ai/venv/lib/python3.11/site-packages/tensorflow"
    program /opt/ai/venv/bin/python3 <<'SH'
#!/bin/sh
[ "$1" = -c ] || exit 9
[ ! -e /etc/stub-python ] || { cat /etc/stub-python >&2; exit 1; }
echo 'a line of its own'
echo "nvlxc with 2.3.0 ['Stub GPU 0']"
case $2 in *'import torch'* | *'import tensorflow'*) echo "nvlxc sum 16777216" ;; esac
SH
    verify 0 d12
    step pytorch pass evidence "/opt/ai/venv/bin/python3, 2.3.0 ['Stub GPU 0']"
    step tensorflow pass
    printf 'Traceback\nRuntimeError: CUDA unknown error - this may be due to an incorrectly set up environment\n' > "$R/etc/stub-python"
    verify 1 d12 --workload pytorch
    step pytorch fail evidence "RuntimeError: CUDA unknown error" cause "nvidia-uvm itself"
    [[ $(steps fail) != *tensorflow* ]]
    echo 'nvlxc without CUDA' > "$R/etc/stub-python"
    verify 1 d12 --workload pytorch
    step pytorch fail cause "build supports only the CPU" fix "pip install"
    echo 'Cannot dlopen some GPU libraries. Please make sure' > "$R/etc/stub-python"
    verify 1 d12 --workload tensorflow
    step tensorflow fail cause "cuDNN" fix "tensorflow[and-cuda]"
    # with CUDA out of order they say nothing new
    stub_says d12 cuInit 999
    verify 1 d12
    step pytorch skip evidence "the step cuda-init failed"
    rm -r "$R/etc/stub-python" "$R/opt/ai"
}

# unit NAME LINE…: the container's unit of that name; it has no systemd.
unit() {
    mkdir -p "$R/usr/lib/systemd/system"
    printf '%s\n' '[Service]' "${@:2}" > "$R/usr/lib/systemd/system/$1.service"
}

# transcoder PATH: a build of ffmpeg, which fails as a real one does where /etc/stub-says tells it to: messages on standard
# error, exit status 1 (255 where it cannot open the device).
transcoder() {
    program "$1" <<'SH'
#!/bin/sh
printf '%s\n' "$@" > /tmp/arguments
id -un > /tmp/user
echo "$LD_LIBRARY_PATH" > /tmp/library_path
case $* in *h264_nvenc*) ;; *) exit 9 ;; esac
[ ! -e /etc/stub-says ] || { cat /etc/stub-says >&2; exit 1; }
SH
}

says_message() {
    printf '%s\n' "$@" > "$R/etc/stub-says"
}

@test "Plex: its own transcoder, as its unit's user; the messages of a transcoder have causes" {
    local transcoder='/usr/lib/plexmediaserver/Plex Transcoder'
    program /usr/bin/ffmpeg <<< $'#!/bin/sh\nexit 0'
    verify 1 d12 --workload plex
    step plex fail evidence "not found in the container: $transcoder"
    transcoder "$transcoder"
    inside d12 useradd --system plex
    unit plexmediaserver 'User = plex' 'Group=plex'
    verify 0 d12 --workload plex
    [ "$(steps fail)" = "" ]
    step plex pass evidence "$transcoder encoded 5 frames with h264_nvenc as plex"
    step nodes-user pass evidence "plex: nvidia0"
    [ "$(cat "$R/tmp/user")" = plex ]
    [ "$(head -2 "$R/tmp/arguments" | xargs)" = '-init_hw_device cuda' ]
    # without being asked, and the distribution's ffmpeg by itself
    verify 0 d12
    step plex pass
    step ffmpeg pass evidence "/usr/bin/ffmpeg encoded"
    says_message '[AVHWDeviceContext @ 0x1] Cannot load libcuda.so.1' '[AVHWDeviceContext @ 0x1] Could not dynamically load CUDA' \
        'Device creation failed: -1.' "Failed to set value 'cuda' for option 'init_hw_device': Operation not permitted" \
        'Error parsing global options: Operation not permitted'
    verify 1 d12 --workload plex
    step plex fail evidence "Error parsing global options" cause "a loader of its own, which reads no ld.so.cache" fix "lxc-start -n d12"
    says_message '[h264_nvenc @ 0x1] Cannot load libnvidia-encode.so.1' \
        '[h264_nvenc @ 0x1] The minimum required Nvidia driver for nvenc is (unknown) or newer'
    verify 1 d12 --workload plex
    step plex fail cause "libnvidia-encode.so.1 or libnvcuvid.so.1"
    says_message '[h264_nvenc @ 0x1] OpenEncodeSessionEx failed: unsupported device (2): (no details)' \
        '[h264_nvenc @ 0x1] No capable devices found'
    verify 1 d12 --workload plex
    step plex fail cause "no NVENC encoder for H.264"
    # a build without the picture: the GPU was opened before that was noticed
    says_message "[in#0 @ 0x1] Unknown input format: 'lavfi'" 'Error opening input: Invalid argument'
    verify 0 d12 --workload plex
    step plex pass evidence "opened the GPU with CUDA as plex; it is built without lavfi"
    # the program may, the service may not
    rm "$R/etc/stub-says"
    unit plexmediaserver 'User = plex' 'PrivateDevices = yes'
    verify 1 d12
    step plex fail cause "keeps plexmediaserver.service from the GPU: /usr/lib/systemd/system/plexmediaserver.service:3: PrivateDevices=yes" \
        fix 'zz-nvlxc-devices.conf && systemctl daemon-reload && systemctl restart plexmediaserver'
    # an unprivileged container's systemd cannot filter devices
    unit plexmediaserver 'User = plex' 'DevicePolicy=closed'
    verify 0 d12 --workload plex
    rm -r "$R/usr/lib/systemd" "$R/usr/lib/plexmediaserver" "$R/usr/bin/ffmpeg"
    inside d12 userdel plex
}

@test "Emby, Frigate: each its own program; Jellyfin's is not the distribution's" {
    transcoder /opt/emby-server/bin/ffmpeg
    verify 0 d12 --workload emby
    step emby pass evidence "/opt/emby-server/bin/ffmpeg encoded"
    [ "$(cat "$R/tmp/library_path")" = /opt/emby-server/lib:/opt/emby-server/extra/lib ]
    says_message '[h264_nvenc @ 0x1] Cannot load libcuda.so.1'
    verify 1 d12 --workload emby
    step emby fail cause "does not find libcuda.so.1" fix "ldconfig"
    rm -r "$R/opt/emby-server" "$R/etc/stub-says"
    transcoder /usr/lib/ffmpeg/7.0/bin/ffmpeg
    verify 0 d12 --workload frigate
    step frigate pass
    rm -r "$R/usr/lib/ffmpeg"
    transcoder /usr/bin/ffmpeg
    verify 1 d12 --workload jellyfin
    step ffmpeg fail evidence "not found in the container: /usr/lib/jellyfin-ffmpeg/ffmpeg"
    rm "$R/usr/bin/ffmpeg"
}

@test "Immich and Open WebUI: the Python of their own; Immich's server, too" {
    local ml=/opt/immich/app/machine-learning/ml-venv ui=/root/.local/share/uv/tools/open-webui
    verify 1 d12 --workload immich
    step immich fail evidence "not found in the container: the Python package onnxruntime in /opt/immich/app/machine-learning/ml-venv"
    mkdir -p "$R$ml/lib/python3.12/site-packages/onnxruntime" "$R$ui/lib/python3.11/site-packages/torch"
    program $ml/bin/python3 <<'SH'
#!/bin/sh
id -un > /tmp/user
case $2 in *'import numpy, onnxruntime'*CUDAExecutionProvider*) ;; *) exit 9 ;; esac
[ ! -e /etc/stub-says ] || { cat /etc/stub-says >&2; exit 1; }
echo "nvlxc with 1.20.1 ['CUDAExecutionProvider', 'CPUExecutionProvider']"
echo 'nvlxc sum 16777216'
SH
    program $ui/bin/python3 <<'SH'
#!/bin/sh
echo "nvlxc with 2.3.0 ['Stub GPU 0']"
echo 'nvlxc sum 16777216'
SH
    inside d12 useradd --system immich
    unit immich-ml User=immich
    verify 0 d12
    step immich pass evidence "$ml/bin/python3, 1.20.1 ['CUDAExecutionProvider'"
    step open-webui pass evidence "$ui/bin/python3, 2.3.0"
    [ "$(cat "$R/tmp/user")" = immich ]
    transcoder /usr/lib/jellyfin-ffmpeg/ffmpeg
    verify 0 d12 --workload immich
    step immich-server pass evidence "/usr/lib/jellyfin-ffmpeg/ffmpeg encoded"
    step immich pass
    verify 0 d12 --workload open-webui
    [[ $(steps pass) != *immich* ]]
    says_message 'nvlxc without CUDA'
    verify 1 d12
    step immich fail cause "supports only the CPU" fix "onnxruntime-gpu"
    says_message '2025 [E:onnxruntime:Default] Failed to load library libonnxruntime_providers_cuda.so with error: libcudnn.so.9: cannot open shared object file' \
        'onnxruntime fell back to CPUExecutionProvider'
    verify 1 d12 --workload immich
    step immich fail evidence "fell back to CPUExecutionProvider" cause "lacks cuDNN"
    rm -r "$R/etc/stub-says" "$R/opt/immich" "$R/root/.local" "$R/usr/lib/jellyfin-ffmpeg" "$R/usr/lib/systemd"
    inside d12 userdel immich
}

# ollama_log LINE...: the log of its last start.
ollama_log() {
    mkdir -p "$R/var/log/ollama"
    printf '%s\n' "$@" > "$R/var/log/ollama/server.log"
}
LISTENING='time=2025-03-01T10:00:00.000Z level=INFO source=routes.go:1231 msg="Listening on 127.0.0.1:11434 (version 0.6.2)"'
ON_GPU='time=2025-03-01T10:00:01.000Z level=INFO source=types.go:130 msg="inference compute" id=GPU-3291dfa4 library=CUDA variant=v12 compute=8.6 name="NVIDIA RTX A5500"'
ON_CPU='time=2025-03-01T10:00:01.000Z level=INFO source=types.go:130 msg="inference compute" id=cpu library=cpu variant="" compute=""'

@test "Ollama: on the GPU, by its log and by its models" {
    nsenter --target "$(lxc-info -n d12 -pH)" --net ip link set lo up
    install -m 755 $STUBS/ollama "$R/usr/local/bin/ollama"
    verify 1 d12
    step ollama fail evidence "127.0.0.1:11434 in the container: Connection refused" fix "systemctl start ollama"
    echo '{"version":"0.6.2"}' > "$R/etc/stub-ollama.version"
    echo '{"models":[]}' > "$R/etc/stub-ollama.ps"
    inside d12 ollama 11434
    verify 0 d12
    step ollama skip evidence "nothing tells what it computes on"
    ollama_log "$LISTENING" "$ON_CPU" "$LISTENING" "$ON_GPU"
    verify 0 d12
    step ollama pass evidence "version 0.6.2, its log: inference compute\" id=GPU-3291dfa4 library=CUDA"
    echo '{"models":[{"name":"llama3:8b","size":6000000000,"size_vram":3000000000}]}' > "$R/etc/stub-ollama.ps"
    verify 0 d12 --workload ollama
    step ollama pass evidence "1 model loaded, 50 % in GPU memory"
}

@test "Ollama: a long log is read from its end, the journal where there is none" {
    { printf '%s\n' "$LISTENING" "$ON_CPU"; yes 'a line of no interest' | head -c 600000; echo; printf '%s\n' "$LISTENING" "$ON_GPU"; } > /run/log
    ollama_log
    cp /run/log "$R/var/log/ollama/server.log"
    echo '{"models":[]}' > "$R/etc/stub-ollama.ps"
    verify 0 d12
    step ollama pass evidence "library=CUDA"
    rm "$R/var/log/ollama/server.log"
    program /usr/bin/journalctl <<SH
#!/bin/sh
case "\$*" in *--unit=ollama*) printf '%s\n' '$LISTENING' '$ON_CPU' ;; esac
SH
    verify 1 d12
    step ollama fail evidence "library=cpu" cause "found none then"
    rm "$R/usr/bin/journalctl"
}

@test "Ollama: fallen back to the CPU, and why" {
    ollama_log "$LISTENING" "$ON_GPU" "$LISTENING" "$ON_CPU"
    echo '{"models":[]}' > "$R/etc/stub-ollama.ps"
    verify 1 d12
    step ollama fail evidence "library=cpu" cause "found none then; CUDA works in this container now" fix "systemctl restart ollama"
    # its unit closes the devices: a restart alone changes nothing
    unit ollama PrivateDevices=yes DevicePolicy=closed
    verify 1 d12
    step ollama fail cause "/usr/lib/systemd/system/ollama.service:2: PrivateDevices=yes" cause "/usr/lib/systemd/system/ollama.service:3: DevicePolicy=closed" \
        fix '"PrivateDevices=no" "DeviceAllow=char-nvidia* rw"'
    rm -r "$R/usr/lib/systemd"
    stub_says d12 cuInit 802
    verify 1 d12
    [ "$(first_failure)" = cuda-init ]
    step ollama fail cause "the step cuda-init failed"
    stub_says d12 cuInit 999
    ollama_log "$LISTENING" 'level=INFO msg="unknown error initializing cuda driver library /usr/local/nvidia/lib64/libcuda.so.550.163.01: cuda driver library init failure: 999. see https://example.org"' 'msg="no compatible GPUs were discovered"'
    verify 1 d12
    step ollama fail cause "nvidia-uvm itself"
    stub_says d12
    ollama_log "$LISTENING" "$ON_GPU"
    echo '{"models":[{"name":"llama3:8b","size":6000000000,"size_vram":0}]}' > "$R/etc/stub-ollama.ps"
    verify 1 d12
    step ollama fail evidence "llama3:8b is loaded and has no GPU memory"
}

@test "Ollama: another port by its log, and hostile answers" {
    inside d12 ollama 11500
    ollama_log "${LISTENING/127.0.0.1:11434/[::]:11500}" "$ON_GPU"$'\033[31m'
    echo '{"models":null}' > "$R/etc/stub-ollama.ps"
    verify 0 d12
    run -0 nvlxc verify d12
    [[ $output != *$'\033'* ]]
    printf '{"version":"\\u001b[2Jx"}' > "$R/etc/stub-ollama.version"
    verify 0 d12
    step ollama pass evidence "version ?[2Jx"
    { printf '{"models":['; yes '{"name":"m","size":9223372036854775807,"size_vram":-1},' | head -c 1900000 || true; } > "$R/etc/stub-ollama.ps"
    verify 0 d12
    yes '[' | tr -d '\n' | head -c 1000000 > "$R/etc/stub-ollama.version" || true
    verify 1 d12
    step ollama fail evidence "is not Ollama"
    # an answer without end, and a log that is none
    rm -r "$R/var/log/ollama"
    mkdir "$R/var/log/ollama"
    mkfifo "$R/var/log/ollama/server.log"
    pkill -x ollama
    touch "$R/etc/stub-ollama.slow"
    inside d12 ollama 11434
    local begin=$SECONDS
    verify 1 d12 --workload ollama
    step ollama fail evidence "is not Ollama: it takes too long"
    [ $((SECONDS - begin)) -lt 30 ]
    pkill -x ollama
    rm "$R/etc/stub-ollama.slow" "$R/var/log/ollama/server.log"
    rm "$R/usr/local/bin/ollama"
}

@test "Docker: its CDI specification is there, and speaks of what is there" {
    program /usr/bin/dockerd < /dev/null
    verify 1 d12
    step cdi fail evidence "/usr/bin/dockerd is installed" fix "nvlxc cdi d12 | lxc-attach -n d12 -- sh -c"
    # the older way
    mkdir -p "$R/etc/nvidia-container-runtime"
    printf '[nvidia-container-cli]\n#no-cgroups = true\nno-cgroups = false\n' > "$R/etc/nvidia-container-runtime/config.toml"
    verify 1 d12
    printf '[nvidia-container-cli]\n  no-cgroups = true\n' > "$R/etc/nvidia-container-runtime/config.toml"
    verify 0 d12
    step cdi pass evidence "no-cgroups = true"
    rm -r "$R/etc/nvidia-container-runtime"
    mkdir -p "$R/etc/cdi"
    cat > "$R/etc/cdi/nvidia.yaml" <<'YAML'
cdiVersion: 0.5.0
kind: nvidia.com/gpu
devices: [{name: "0", containerEdits: {deviceNodes: [{path: /dev/nvidia0}, {path: /dev/nvidiactl}]}}]
containerEdits: {mounts: [{hostPath: /usr/local/nvidia/lib64/libcuda.so.550.163.01}]}
YAML
    verify 0 d12 --workload docker
    step cdi pass evidence /etc/cdi/nvidia.yaml
    step docker skip evidence "its daemon does not run"
    sed -i 's/nvidia0/nvidia7/' "$R/etc/cdi/nvidia.yaml"
    verify 1 d12
    step cdi fail evidence "/dev/nvidia7, which the container does not have" fix "in the container: rm /etc/cdi/nvidia.yaml" fix "nvlxc cdi d12 |"
    sed -i 's/nvidia7/nvidia0/; s/550.163.01/535.1.2/' "$R/etc/cdi/nvidia.yaml"
    verify 1 d12
    step cdi fail evidence "the driver 535.1.2"
    rm -r "$R/etc/cdi" "$R/usr/bin/dockerd"
    verify 1 d12 --workload podman
    step cdi fail evidence "not found"
}
