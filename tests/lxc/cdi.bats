# nvlxc cdi, read by a container engine: podman on the host, and podman in an unprivileged LXC container that has a grant. Its
# images are Debian's root file systems, which know nothing of the driver.
load setup
# shellcheck source=/dev/null
source "$NVL_SOURCE/tests/lib/clients.bash"
# shellcheck source=/dev/null
source "$NVL_SOURCE/tests/lib/verify.bash"
# shellcheck source=/dev/null
source "$NVL_SOURCE/tests/lib/stub-driver.bash"

NEST=/var/lib/lxc/nest/rootfs
PODMAN=(podman --runtime runc --storage-driver vfs --cgroup-manager cgroupfs --events-backend file
    run --rm --network none --pids-limit 0)

setup_file() {
    local kind
    nvlxc driver sync --quiet
    # two GPUs; the second one's node is /dev/nvidia0
    simulate_host two-gpus-535
    simulate_module 550.163.01
    make_container nest debian-12 privileged
    "$NVL_SOURCE/tests/lib/packages" bookworm "$NVL_CACHE" "$NEST" "${ENGINE[@]}"
    # its library folders and those of Debian 12 and 13 are searched in another way
    for kind in debian-11 debian-12 debian-13; do
        "$NVL_SOURCE/tests/lib/rootfs" $kind "$NVL_CACHE/rootfs" "$NEST/images/$kind" || rm -rf "$NEST/images/$kind"
    done
    # podman on the host: in the same root file system, with the host's nodes, bundles and specifications
    mkdir -p /run/engine /etc/cdi "$NEST"/{etc/cdi,var/lib/nvlxc}
    mount --bind "$NEST" /run/engine
    for kind in /dev /proc /sys /run /var/lib/nvlxc /etc/cdi; do mount --rbind $kind /run/engine$kind; done
}

teardown_file() {
    stop nest || true
    stop dock || true
}

# on_host ARGUMENT... IMAGE SCRIPT: podman run
on_host() {
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot /run/engine "${PODMAN[@]}" "${@:1:$#-2}" \
        --rootfs "/images/${*: -2:1}" sh -c "${*: -1}" < /dev/null
}

in_nest() {
    inside nest "${PODMAN[@]}" "${@:1:$#-2}" --rootfs "/images/${*: -2:1}" sh -c "${*: -1}"
}

# What a program sees: nodes, whether those of the two GPUs open, whose libraries it loads, its variables.
LOOK='ls /dev/nvidia* /dev/dri 2>&1
    for n in 0 1; do (exec 3</dev/nvidia$n) 2>&1 | sed "s/.*open //"; done
    mknod /run/other c 195 1 && (exec 3</run/other) 2>&1 | sed "s/.*open //"
    for l in libcuda.so.1 libnvidia-ml.so.1; do LD_PRELOAD=$l cat /proc/self/maps | sed -n "s|.* \(/.*/${l%.1}\.\)|loads \1|p" | sort -u; done
    touch /usr/local/nvidia/x 2>&1; env | sort; nvidia-smi 2>&1 || true'

# What podman's images see, whichever they are: the second GPU alone, and the driver.
has_second_gpu() {
    says "/dev/nvidia0: No such device or address" "/dev/nvidia1: No such file" "/usr/local/nvidia/x': Read-only file system" \
        NVIDIA_VISIBLE_DEVICES=void NVIDIA_DRIVER_CAPABILITIES=compute,utility \
        "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver"
    # the image's own variables are untouched
    [[ $output != *LD_LIBRARY_PATH* ]]
    [[ $output == *$'\n'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin$'\n'* ]]
}

@test "podman on the host: an image of Debian 12 has the GPU and the driver, without a hook" {
    run -0 nvlxc cdi --output /etc/cdi/nvlxc.json
    run -0 on_host --device nvidia.com/gpu=1 debian-12 "$LOOK"
    has_second_gpu
    says "loads /usr/lib/glibc-hwcaps/x86-64-v2/libcuda.so.550.163.01" "loads /usr/lib/glibc-hwcaps/x86-64-v2/libnvidia-ml.so.550.163.01"
    # nor can the other GPU be had by its number
    says "/run/other: Operation not permitted"
}

@test "podman on the host: an image of Debian 13" {
    run -0 on_host --device nvidia.com/gpu=1 debian-13 "$LOOK"
    has_second_gpu
    says "loads /usr/lib/glibc-hwcaps/x86-64-v2/libcuda.so.550.163.01"
}

@test "podman on the host: an image of Debian 11, whose C library knows the older folders" {
    [ -d "$NEST/images/debian-11" ] || skip "no Debian 11 from here"
    run -0 on_host --device nvidia.com/gpu=1 debian-11 "$LOOK"
    has_second_gpu
    says "loads /usr/lib/x86_64/libcuda.so.550.163.01"
}

@test "by UUID, all of them, one that is not there, none" {
    run -0 on_host --device "nvidia.com/gpu=$(nvlxc --json gpus | jq -r '.gpus[0].uuid')" debian-12 "$LOOK"
    says "/dev/nvidia1: No such device or address" "/dev/nvidia0: No such file"
    run -0 on_host --device nvidia.com/gpu=all debian-12 "$LOOK"
    says "/dev/nvidia0: No such device or address" "/dev/nvidia1: No such device or address"
    run ! on_host --device nvidia.com/gpu=2 debian-12 true
    says nvidia.com/gpu=2
    run -0 on_host debian-12 "$LOOK"
    says "/dev/nvidia0: No such file" "/dev/nvidia1: No such file"
    [[ $output != *550.163.01* ]]
}

@test "an image whose variables name /usr/local/nvidia, as NVIDIA's and Ollama's do" {
    run -0 on_host --env LD_LIBRARY_PATH=/usr/local/nvidia/lib:/usr/local/nvidia/lib64 --device nvidia.com/gpu=0 debian-12 "$LOOK"
    says "loads /usr/local/nvidia/lib64/libcuda.so.550.163.01" "LD_LIBRARY_PATH=/usr/local/nvidia/lib:/usr/local/nvidia/lib64"
}

@test "graphics: the GPU's own nodes of /dev/dri" {
    run -0 nvlxc cdi --capabilities all --output /etc/cdi/nvlxc.json
    run -0 on_host --device nvidia.com/gpu=1 debian-12 'ls /dev/dri'
    says card2 renderD129
    [[ $output != *renderD128* ]]
}

@test "after a reboot with another major of nvidia-uvm the same file is right" {
    run -0 nvlxc cdi --output /etc/cdi/nvlxc.json
    cp /etc/cdi/nvlxc.json /run/before.json
    simulate_uvm_major 507
    run -0 nvlxc driver sync
    cmp /etc/cdi/nvlxc.json /run/before.json
    run -0 on_host --device nvidia.com/gpu=1 debian-12 'stat -c %t /dev/nvidia-uvm; (exec 3</dev/nvidia-uvm) || true'
    says 1fb "No such device or address"
}

@test "after an upgrade of the driver podman has the new one" {
    simulate_installed 535
    local new
    new=$(basename "$(realpath /usr/lib/x86_64-linux-gnu/nvidia/current/libcuda.so.1)" | sed 's/^libcuda.so.//')
    # installed, and not loaded yet
    run -0 nvlxc driver sync
    cmp /etc/cdi/nvlxc.json /run/before.json
    simulate_module "$new"
    run -0 nvlxc driver sync
    says "/etc/cdi/nvlxc.json: brought up to date"
    run -0 nvlxc driver prune
    run -0 on_host --device nvidia.com/gpu=1 debian-12 "$LOOK"
    says "loads /usr/lib/glibc-hwcaps/x86-64-v2/libcuda.so.$new"
}

@test "podman in a container: the grant's GPU and the driver, given on" {
    "$NVL_SOURCE/tests/lib/shift-owner" "$NEST" 100000
    cat >> /var/lib/lxc/nest/config <<'END'
lxc.include = /usr/share/lxc/config/userns.conf
lxc.include = /usr/share/lxc/config/nesting.conf
lxc.idmap = u 0 100000 65536
lxc.idmap = g 0 100000 65536
lxc.mount.entry = tmpfs dev/shm tmpfs create=dir 0 0
END
    nvlxc attach nest --gpu 1
    run -0 start nest
    # doctor's own words
    fix=$(nvlxc --json doctor nest | jq -r '.findings[] | select(.id == "nested-no-cdi") | '"$JQ_COMMANDS")
    [[ $fix == "nvlxc cdi nest | lxc-attach -n nest -- "* ]]
    run -0 sh -c "$fix"
    run -0 in_nest --device nvidia.com/gpu=0 debian-12 "$LOOK"
    has_second_gpu
    says "loads /usr/lib/glibc-hwcaps/x86-64-v2/libcuda.so.535."
    run -0 sh -c "nvlxc --json doctor nest | jq -r '.findings[].id'"
    [[ $output != *nested-no-cdi* ]]
    run nvlxc --json verify nest
    [ "$(jq -r '.steps[] | select(.id == "cdi") | .result + " " + .evidence' <<< "$output")" = "pass /etc/cdi/nvlxc.json" ]
    # graphics: the host keeps that node to itself, so what is there is the container's own
    stop nest
    nvlxc attach nest --gpu 1 --capabilities all
    run -0 start nest
    run -0 sh -c "$fix"
    run -0 in_nest --device nvidia.com/gpu=all debian-12 'ls /dev/dri'
    says renderD129
    # another grant
    stop nest
    nvlxc attach nest --gpu 0
    run -0 start nest
    run nvlxc --json verify nest
    [ "$(jq -r '.steps[] | select(.id == "cdi") | .result + " " + .evidence' <<< "$output")" = \
        "fail /etc/cdi/nvlxc.json names /dev/nvidia0, which the container does not have" ]
    run -0 sh -c "$(jq -r '.steps[] | select(.id == "cdi") | '"$JQ_COMMANDS" <<< "$output")"
    run -0 in_nest --device nvidia.com/gpu=0 debian-12 "$LOOK"
    says "/dev/nvidia1: No such device or address" "/dev/nvidia0: No such file"
}

# cdi_step: what verify says of it.
cdi_step() {
    nvlxc --json verify nest | jq -r '.steps[] | select(.id == "cdi") | .result + " " + .evidence'
}

@test "attach --cdi: each start makes the specification true to the grant, and detach takes it away" {
    stop nest
    nvlxc detach nest
    # the file by hand of the test above is nvlxc's as well
    [ ! -e "$NEST/etc/cdi/nvlxc.json" ]
    cp -a "$NEST/etc" /run/etc.plain
    run -0 nvlxc attach nest --gpu 1 --cdi
    run -0 nvlxc show nest
    says '; CDI'
    [ ! -e "$NEST/etc/cdi/nvlxc.json" ]
    run -0 start nest
    run -0 in_nest --device nvidia.com/gpu=0 debian-12 "$LOOK"
    has_second_gpu
    [ "$(stat -c %u:%a "$NEST/etc/cdi/nvlxc.json")" = 100000:644 ]
    run cdi_step
    says 'pass /etc/cdi/nvlxc.json'
    # nothing to do at the next start
    stop nest
    : > /run/syslog
    cp -p "$NEST/etc/cdi/nvlxc.json" /run/first.json
    run -0 start nest
    run -0 syslog_of nest
    [[ $output != *cdi* && $output != *but:* ]]
    [ "$(stat -c %Y "$NEST/etc/cdi/nvlxc.json")" = "$(stat -c %Y /run/first.json)" ]
    # another GPU: by the next start, without a word of anybody's; what somebody wrote in its place goes
    stop nest
    run -0 nvlxc attach nest --gpu 0 --cdi
    ln -sf /etc/passwd "$NEST/etc/cdi/nvlxc.json"
    run -0 start nest
    run -0 syslog_of nest
    says /etc/cdi/nvlxc.json
    run cdi_step
    says 'pass /etc/cdi/nvlxc.json'
    [ "$(inside nest cat /etc/passwd | head -c 4)" = root ]
    run -0 in_nest --device nvidia.com/gpu=0 debian-12 "$LOOK"
    says "/dev/nvidia1: No such device or address" "/dev/nvidia0: No such file"
    # live
    run -0 nvlxc attach nest --gpu all --cdi --live
    run -0 in_nest --device nvidia.com/gpu=all debian-12 "$LOOK"
    says "/dev/nvidia0: No such device or address" "/dev/nvidia1: No such device or address"
    run -0 nvlxc detach nest --live
    says /etc/cdi/nvlxc.json
    [ ! -e "$NEST/etc/cdi/nvlxc.json" ]
    stop nest
    run -0 nvlxc attach nest --gpu 1 --cdi
    run -0 start nest
    stop nest
    run -0 nvlxc detach nest
    says /etc/cdi/nvlxc.json
    [ ! -e "$NEST/etc/cdi/nvlxc.json" ] && [ ! -e /run/nvlxc/cdi/nest.json ]
}

@test "attach --cdi: a container in which it cannot be written starts, and says so; somebody else's file stays" {
    run -0 nvlxc attach nest --gpu 1 --cdi
    mkdir -p "$NEST/etc/cdi/nvlxc.json/x"
    : > /run/syslog
    run -0 start nest
    run -0 syslog_of nest
    says 'cannot write /etc/cdi/nvlxc.json'
    stop nest
    rm -r "$NEST/etc/cdi/nvlxc.json"
    # without --cdi nothing is written
    run -0 nvlxc attach nest --gpu 1
    run -0 start nest
    [ ! -e "$NEST/etc/cdi/nvlxc.json" ]
    stop nest
    echo '{"kind": "nvidia.com/gpu"}' > "$NEST/etc/cdi/nvlxc.json"
    run -0 nvlxc detach nest
    [ -e "$NEST/etc/cdi/nvlxc.json" ]
}

# stub_container NAME: its driver is the stub from now on, and its grant is kept in its specification.
stub_container() {
    stub_nodes /run/stubs "$1"
    stub_says "$1"
    nvlxc attach "$1" --gpu all --cdi --quiet
    start "$1"
}

# edit_specification NAME FILTER: by jq, until the next start.
edit_specification() {
    local file=/var/lib/lxc/$1/rootfs/etc/cdi/nvlxc.json
    jq "$2" "$file" > /run/edited.json
    cat /run/edited.json > "$file"
}

# leaves_nothing NAME: of verify, in the running container.
leaves_nothing() {
    run -0 inside "$1" sh -c 'ls -d /run/nvlxc* 2> /dev/null || true
        cd /proc && grep -la "/run/nvlxc-verif[y]" [0-9]*/cmdline || true'
    [ -z "$output" ] || { echo "left: $output"; return 1; }
}

@test "verify: podman runs a container through the specification, and leaves nothing" {
    rm "$NEST/etc/cdi/nvlxc.json"
    build_stubs /run/stubs
    stub_bundle /run/stubs "$(sed -n "s/.*Module  *\([0-9.]*\).*/\1/p" /proc/driver/nvidia/version)"
    stub_container nest
    run -0 inside nest find / -xdev
    local before=$output
    verify 0 nest
    step cdi pass evidence /etc/cdi/nvlxc.json
    step podman pass evidence "CUDA works in a container that podman made, on 1 GPU: Stub GPU 0"
    leaves_nothing nest
    run -0 inside nest find / -xdev
    diff <(sort <<< "$before") <(sort <<< "$output")
    verify 0 nest --workload podman
    step podman pass
    verify 1 nest --workload docker
    step cdi fail evidence "not found in the container: docker"
    # each GPU counts
    stub_says nest devices 2
    verify 1 nest
    step podman fail evidence "a container that podman made has 1 of 2 GPUs" fix "lxc-start -n nest"
    stub_says nest
}

@test "verify: podman cannot, and why" {
    local file=$NEST/etc/cdi/nvlxc.json
    cp -p "$file" /run/right.json
    # what the specification alone does not tell
    edit_specification nest '.devices[].containerEdits.deviceNodes += [{"path": "/dev/dri/renderD200"}]'
    verify 1 nest
    step cdi pass
    step podman fail evidence '/dev/dri/renderD200": no such file or directory' cause "names a node that the container does not have" \
        fix "lxc-stop -n nest && lxc-start -n nest"
    cat /run/right.json > "$file"
    edit_specification nest '.containerEdits.mounts[1].hostPath = "/usr/local/nvidia/lib65"'
    verify 1 nest
    step podman fail evidence '/usr/local/nvidia/lib65' cause "names a file that the container does not have"
    edit_specification nest 'del(.containerEdits.mounts)'
    verify 1 nest
    step podman fail evidence "libcuda.so.1: cannot open shared object file" cause "the specification does not give on all"
    cat /run/right.json > "$file"
    edit_specification nest 'del(.containerEdits.deviceNodes)'
    verify 1 nest
    step podman fail evidence "cuInit" evidence "(error 100)"
    # what it tells itself
    cat /run/right.json > "$file"
    sed -i 's|/dev/nvidia0|/dev/nvidia9|' "$file"
    verify 1 nest
    step cdi fail evidence "/dev/nvidia9, which the container does not have"
    step podman skip evidence "the step cdi failed"
    # NVIDIA's toolkit was there, too
    cat /run/right.json > "$file"
    cp "$file" "$NEST/etc/cdi/nvidia.json"
    verify 1 nest
    step podman fail evidence "unresolvable CDI devices nvidia.com/gpu=all" cause "more than one does" \
        fix "in the container: rm /etc/cdi/nvidia.json"
    rm "$NEST/etc/cdi/nvidia.json"
    mv "$NEST/usr/sbin/runc" "$NEST/usr/sbin/runc.off"
    verify 1 nest
    step podman fail evidence "not found" cause "podman lacks the program" fix "install crun"
    mv "$NEST/usr/sbin/runc.off" "$NEST/usr/sbin/runc"
    # CUDA does not work in the container itself
    stub_says nest cuInit 999
    verify 1 nest
    step podman skip evidence "the step cuda-init failed"
    stub_says nest
    verify 0 nest
    leaves_nothing nest
}

@test "verify: what podman runs hangs, crashes, floods; podman itself is hostile" {
    local begin
    cp -p "$NEST/etc/cdi/nvlxc.json" /run/right.json
    # the stub's own settings, in podman's container alone
    edit_specification nest '.containerEdits.mounts += [{"hostPath": "/etc/stub-nested", "containerPath": "/etc/stub-driver", "options": ["ro", "bind"]}]'
    echo "cuInit -2" > "$NEST/etc/stub-nested"
    begin=$SECONDS
    verify 1 nest --timeout 2
    step podman fail evidence "in cuInit: did not end within 2 s and was killed" cause "CUDA works in nest itself"
    [ "$(jq -c '.steps[] | select(.id == "podman").fix' <<< "$VERIFIED")" = '[]' ]
    [ $((SECONDS - begin)) -lt 20 ]
    leaves_nothing nest
    echo "cuInit -1" > "$NEST/etc/stub-nested"
    verify 1 nest
    step podman fail evidence "in cuInit: exit status 139"
    echo "cuInit -3" > "$NEST/etc/stub-nested"
    verify 1 nest
    step podman fail evidence "in cuInit"
    cat /run/right.json > "$NEST/etc/cdi/nvlxc.json"
    mv "$NEST/usr/bin/podman" "$NEST/usr/bin/podman.real"
    cat > "$NEST/usr/bin/podman" <<'END'
#!/bin/sh
[ "$1" != kill ] || exec sleep 50
{ (: < /dev/tty) && echo terminal; tr '\0' '\n' < /proc/self/environ; ls -l /proc/self/fd; } > /seen 2>&1
setsid sleep 50 &
printf 'Error: \033[2Jx\n'
exit 125
END
    chmod 755 "$NEST/usr/bin/podman"
    begin=$SECONDS
    NVL_SECRET=of-the-host verify 1 nest 9< /etc/passwd
    step podman fail evidence "podman: exit status 125: Error: ?[2Jx"
    [ $((SECONDS - begin)) -lt 20 ]
    run -0 cat "$NEST/seen"
    [[ $output != *terminal* && $output != *of-the-host* && $output != */work/* && $output != */run/simulated* ]]
    # three, and the folder itself
    [ "$(grep -c ' -> ' <<< "$output")" = 4 ]
    mv "$NEST/usr/bin/podman.real" "$NEST/usr/bin/podman"
    verify 0 nest
}

# docker_says CONFIG: its daemon is started anew with that daemon.json.
docker_says() {
    # shellcheck disable=SC2016 # expanded in the container
    inside dock sh -c 'mkdir -p /etc/docker && echo "$1" > /etc/docker/daemon.json
        [ ! -e /run/docker.pid ] || { kill "$(cat /run/docker.pid)"; while [ -e /run/docker.pid ]; do sleep 0.1; done; }
        setsid dockerd --iptables=false --ip6tables=false --bridge=none --storage-driver=vfs > /run/dockerd.log 2>&1 < /dev/null &
        n=0; until docker version > /dev/null 2>&1; do n=$((n + 1)); [ $n -lt 300 ] || { cat /run/dockerd.log; exit 1; }; sleep 0.1; done' sh "$1"
}

@test "verify: Docker runs a container through the specification, once it may" {
    make_container dock debian-13 privileged
    "$NVL_SOURCE/tests/lib/packages" trixie "$NVL_CACHE" /var/lib/lxc/dock/rootfs "${DOCKER[@]}"
    "$NVL_SOURCE/tests/lib/shift-owner" /var/lib/lxc/dock/rootfs 100000
    cat >> /var/lib/lxc/dock/config <<'END'
lxc.include = /usr/share/lxc/config/userns.conf
lxc.include = /usr/share/lxc/config/nesting.conf
lxc.idmap = u 0 100000 65536
lxc.idmap = g 0 100000 65536
END
    stub_container dock
    verify 0 dock
    step cdi pass
    step docker skip evidence "its daemon does not run"
    docker_says '{}'
    verify 1 dock --workload docker
    step docker fail evidence 'could not select device driver "cdi"' cause "does not read CDI specifications" fix '"features": {"cdi": true}'
    docker_says '{"features": {"cdi": true}}'
    verify 0 dock
    step docker pass evidence "CUDA works in a container that docker made, on 1 GPU: Stub GPU 0"
    # Docker lost what the probe said: seen now and then, here by a wrapper, once
    # shellcheck disable=SC2016 # expanded in the container
    inside dock sh -c 'mv /usr/bin/docker /usr/bin/docker.real
        printf "%s\n" "#!/bin/sh" "[ \"\$1\" != run ] || [ -e /run/lost ] || { touch /run/lost; exec docker.real \"\$@\" > /dev/null; }" \
            "exec docker.real \"\$@\"" > /usr/bin/docker
        chmod 755 /usr/bin/docker'
    verify 0 dock
    step docker pass evidence "CUDA works in a container that docker made, on 1 GPU: Stub GPU 0"
    inside dock test -e /run/lost
    inside dock mv /usr/bin/docker.real /usr/bin/docker
    edit_specification dock '.devices[].containerEdits.deviceNodes += [{"path": "/dev/dri/renderD200"}]'
    verify 1 dock
    step docker fail evidence '/dev/dri/renderD200": no such file or directory' cause "names a node that the container does not have"
    # neither containers nor images
    run -0 inside dock sh -c 'docker ps -aq; docker image ls -aq; ls -d /run/nvlxc* 2> /dev/null || true'
    [ -z "$output" ]
    # the daemon has died
    # shellcheck disable=SC2016 # expanded in the container
    inside dock sh -c 'kill -9 "$(cat /run/docker.pid)"'
    verify 1 dock
    step docker fail evidence "Cannot connect to the Docker daemon" fix "systemctl restart docker"
}
