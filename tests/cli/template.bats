# nvlxc template: ready configurations for workloads.

bats_require_minimum_version 1.5.0
load "$NVL_SOURCE/tests/lib/hosts.bash"

NVLXC="$NVL_BUILD/src/cli/nvlxc"
GPU=GPU-3291dfa4-fcc4-0110-615b-c894a0d7c689

setup() {
    host=$(fixture a5500-550)
    OWN=$BATS_TEST_TMPDIR/own
    mkdir -p "$OWN/nvlxc/templates"
}

# with_own COMMAND…: on a machine whose /etc/nvlxc/templates has what lies in $OWN. Templates are never taken from --root.
with_own() {
    # shellcheck disable=SC2016 # of the inner shell
    unshare --mount sh -c 'mount -t overlay -o "lowerdir=$1:/etc" overlay /etc && shift && exec "$@"' sh "$OWN" "$@"
}

template() {
    "$NVLXC" --root "$host" template "$@"
}

HOOK="</dev/null; [ ! -x /usr/libexec/nvlxc/hook ] || exec /usr/libexec/nvlxc/hook"

@test "the list has all workloads, with what they want" {
    run -0 template
    local name
    for name in ollama tensorflow pytorch vllm comfyui jellyfin plex frigate whisper docker emby immich open-webui hashcat llama-cpp \
        whisper-cpp; do
        [[ $output =~ (^|$'\n')$name\  ]] || { echo "no $name"; false; }
    done
    [[ $output =~ jellyfin\ +compute,utility,video\ +4\.0\ GiB\ +4\ +32\ GiB\ +yes ]]
    [ "$("$NVLXC" --root "$host" --json template | jq -c '.templates | map(.template)')" = \
        '["comfyui","docker","emby","frigate","hashcat","immich","jellyfin","llama-cpp","ollama","open-webui","plex","pytorch","tensorflow","vllm","whisper","whisper-cpp"]' ]
    [ "$("$NVLXC" --root "$host" --json template | jq -c '.templates[0] | keys_unsorted')" = \
        '["template","path","summary","capabilities","memory_bytes","swap_bytes","cores","disk_bytes","ostype","features","install","verify","image","service","user","url","then"]' ]
}

@test "one alone: what it wants and how it is installed" {
    run -0 template ollama
    [[ $output == *"ollama: Ollama: language models ($NVL_SOURCE/data/templates/ollama.json)"* ]]
    [[ $output == *"4 cores, 8192 MiB memory, 512 MiB swap, 32 GiB disk, debian, nesting=1"* ]]
    [[ $output == *"install:      apt-get update"$'\n'"              dpkg --configure -a; apt-get install -f -y ca-certificates curl zstd"* ]]
    [[ $output == *"runs as:      ollama"$'\n'"open:         http://ADDRESS:11434"$'\n'"then:         in the container: "* ]]
    [[ $output == *"nvlxc verify CT --workload ollama"* ]]
    [[ $output != *service:* ]]
    run -0 template vllm
    [[ $output == *"service:      /opt/vllm/bin/vllm serve "* ]]
    # what a template does not have, it does not say
    run -0 template hashcat
    for word in service: "runs as:" open: "try it:"; do
        [[ $output != *"$word"* ]] || { echo "has $word"; false; }
    done
    [ "$("$NVLXC" --root "$host" --json template hashcat | jq -c '[.service, .user, .url, .verify, (.then | length)]')" = \
        '[null,"root",null,null,1]' ]
    [ "$("$NVLXC" --root "$host" --json template comfyui | jq -c '[.user, .url]')" = '["comfyui","http://ADDRESS:8188"]' ]
}

@test "every installation is commands that a shell takes, and no prose" {
    local command word file
    while IFS= read -r command; do
        sh -n -c "$command" || { echo "no shell takes: $command"; false; }
        word=${command%% *}
        case $word in
        apt-get | chown | curl | docker | dpkg | find | getent | git | install | mkdir | npm | printf | python3 | rm | sh | systemctl | test | \
            /opt/*/bin/* | /usr/*/bin/*) ;;
        *)
            echo "is it a command? $command"
            false
            ;;
        esac
        # where nobody answers, apt-get must not ask; after dpkg was killed it would do nothing
        [[ $command != *"apt-get install"* || $command == *"dpkg --configure -a; apt-get install -f -y"* ]] ||
            { echo "asks, or not a second time: $command"; false; }
    done < <("$NVLXC" --root "$host" --json template | jq -r '.templates[].install[]')
    for file in "$NVL_SOURCE"/data/templates/*.json; do
        # it fetches nothing before it has its lists
        [ "$(jq -r '.install[0] // "apt-get update"' "$file")" = "apt-get update" ] || { echo "$file: no apt-get update"; false; }
        # in a pipe, a download that failed would pass for an empty script
        [ "$(jq -r '.install[] | select(test("[|] *(ba)?sh\\b"))' "$file")" = "" ] || { echo "$file: pipes into a shell"; false; }
    done
}

@test "whom a template's unit runs as, its installation makes" {
    local file user
    for file in "$NVL_SOURCE"/data/templates/*.json; do
        user=$(jq -r 'select(.service and .user) | .user' "$file")
        [ -z "$user" ] || jq -r '.install[]' "$file" | grep -q "^getent passwd $user || useradd .* $user\$" || { echo "$file: no user $user"; false; }
    done
}

@test "what a template tells verify, verify knows" {
    local name
    for name in $("$NVLXC" --root "$host" --json template | jq -r '.templates[].verify // empty'); do
        run -1 "$NVLXC" verify no-such-container --workload "$name"
        [[ $output == *no-such-container* ]]
    done
    run -2 "$NVLXC" verify no-such-container --workload nonsense
    [[ $output == *"or the name of a template"* ]]
    # and a template's own name
    for name in $("$NVLXC" --root "$host" --json template | jq -r '.templates[] | select(.verify).template'); do
        run -1 "$NVLXC" --root "$host" verify no-such-container --workload "$name"
        [[ $output == *no-such-container* ]]
    done
    run -2 "$NVLXC" --root "$host" verify no-such-container --workload hashcat
    [[ $output == *"the template 'hashcat' has no \"verify\" key"* ]]
}

@test "--ctid: Ollama's config" {
    run -0 --separate-stderr template ollama --ctid 300
    [ "$output" = "arch: amd64
cores: 4
features: nesting=1
hostname: ollama
memory: 8192
net0: name=eth0,bridge=vmbr0,ip=dhcp,type=veth
ostype: debian
rootfs: local-lvm:vm-300-disk-0,size=32G
swap: 512
unprivileged: 1
lxc.environment: NVIDIA_VISIBLE_DEVICES=$GPU
lxc.environment: NVIDIA_DRIVER_CAPABILITIES=compute,utility
lxc.hook.pre-start: $HOOK
lxc.hook.mount: $HOOK" ]
    [ -z "$stderr" ]
}

@test "--ctid: Jellyfin's, with names of one's own" {
    printf 'zfspool: tank\n\tcontent rootdir,images\n' >"$host/etc/pve/storage.cfg"
    run -0 template jellyfin --ctid 301 --hostname media --bridge vmbr1 --gpu 0
    [ "$output" = "arch: amd64
cores: 4
features: nesting=1
hostname: media
memory: 4096
net0: name=eth0,bridge=vmbr1,ip=dhcp,type=veth
ostype: debian
rootfs: tank:subvol-301-disk-0,size=32G
swap: 512
unprivileged: 1
lxc.environment: NVIDIA_VISIBLE_DEVICES=$GPU
lxc.environment: NVIDIA_DRIVER_CAPABILITIES=compute,utility,video
lxc.hook.pre-start: $HOOK
lxc.hook.mount: $HOOK" ]
}

@test "--oci: Ollama's own image as a CT" {
    run -0 template ollama --ctid 300 --oci --gpu all
    [ "$output" = "arch: amd64
cmode: console
cores: 4
entrypoint: /bin/ollama serve
features: nesting=1
hostname: ollama
memory: 8192
net0: name=eth0,bridge=vmbr0,host-managed=1,ip=dhcp,type=veth
ostype: unmanaged
rootfs: local-lvm:vm-300-disk-0,size=32G
swap: 512
unprivileged: 1
lxc.environment.runtime: PATH=/usr/local/nvidia/bin:/usr/local/cuda/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
lxc.environment.runtime: LD_LIBRARY_PATH=/usr/local/nvidia/lib:/usr/local/nvidia/lib64
lxc.environment.runtime: NVIDIA_DRIVER_CAPABILITIES=compute,utility
lxc.environment.runtime: NVIDIA_VISIBLE_DEVICES=all
lxc.environment.runtime: OLLAMA_HOST=0.0.0.0:11434
lxc.signal.halt: SIGTERM
lxc.environment: NVIDIA_VISIBLE_DEVICES=all
lxc.environment: NVIDIA_DRIVER_CAPABILITIES=compute,utility
lxc.hook.pre-start: $HOOK
lxc.hook.mount: $HOOK" ]
}

@test "--lxc: a plain LXC container's config" {
    run -0 template docker --lxc --hostname work
    [ "$output" = "lxc.include = /usr/share/lxc/config/common.conf
lxc.include = /usr/share/lxc/config/userns.conf
lxc.include = /usr/share/lxc/config/nesting.conf
lxc.idmap = u 0 100000 65536
lxc.idmap = g 0 100000 65536
lxc.arch = linux64
lxc.uts.name = work
lxc.rootfs.path = dir:/var/lib/lxc/work/rootfs
lxc.net.0.type = veth
lxc.net.0.link = lxcbr0
lxc.net.0.flags = up
lxc.apparmor.profile = generated
lxc.apparmor.allow_nesting = 1
lxc.cgroup2.memory.max = 8192M
lxc.cgroup2.memory.swap.max = 512M
lxc.cgroup2.cpu.max = 400000 100000
lxc.environment = NVIDIA_VISIBLE_DEVICES=$GPU
lxc.environment = NVIDIA_DRIVER_CAPABILITIES=compute,utility,video
lxc.hook.pre-start = $HOOK --cdi
lxc.hook.mount = $HOOK --cdi" ]
    # the image's NVIDIA_… do not stand against the grant's
    run -0 --separate-stderr template ollama --lxc --oci
    [[ $output == *"lxc.init.cmd = /bin/ollama serve"*"lxc.environment = OLLAMA_HOST="* ]]
    [ "$(grep -c NVIDIA_VISIBLE_DEVICES <<<"$output")" -eq 1 ]
    [[ $stderr == *"the image requests no address itself"* ]]
}

# stand_ins: Proxmox's commands and nvlxc, which say what they were called with.
stand_ins() {
    mkdir -p "$BATS_TEST_TMPDIR/bin"
    printf '#!/bin/sh\n[ "$1" != available ] || printf "system debian-12-standard_12.7-1_amd64.tar.zst\\nsystem debian-13-standard_13.1-2_amd64.tar.zst\\n"\n[ "$1" != list ] || printf "NAME SIZE\\nlocal:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst 123MB\\n"\n' >"$BATS_TEST_TMPDIR/bin/pveam"
    printf '#!/bin/sh\necho "$# $1 $2 $3"\n' >"$BATS_TEST_TMPDIR/bin/pct"
    printf '#!/bin/sh\nexit 0\n' >"$BATS_TEST_TMPDIR/bin/nvlxc"
    chmod 755 "$BATS_TEST_TMPDIR"/bin/*
}

@test "--pct: commands that a shell takes, with attach's own options" {
    run -0 template tensorflow --ctid 302 --pct --storage fast
    [ "${lines[0]}" = "pveam update && pveam download local \"\$(pveam available --section system | awk '\$2 ~ /^debian-13-standard/ {name = \$2} END {print name}')\"" ]
    [ "${lines[1]}" = "pct create 302 \"\$(pveam list local | awk '\$1 ~ /\\/debian-13-standard/ {name = \$1} END {print name}')\" --hostname tensorflow --cores 8 --memory 16384 --swap 512 --net0 name=eth0,bridge=vmbr0,ip=dhcp,type=veth --rootfs fast:48 --unprivileged 1 --features nesting=1 --ostype debian --description 'nvlxc create'" ]
    [ "${lines[2]}" = "nvlxc attach 302 --gpu $GPU --capabilities compute,utility" ]
    [ "${lines[3]}" = "pct start 302" ]
    [[ ${lines[5]} == "pct exec 302 -- env -i HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive PATH="*" sh -c "* ]]
    [ "${lines[-2]}" = "nvlxc verify 302 --workload tensorflow" ]
    [ "${lines[-1]}" = "pct set 302 --delete description" ]
    # as they run, with stand-ins
    stand_ins
    template tensorflow --ctid 302 --pct >"$BATS_TEST_TMPDIR/script"
    PATH=$BATS_TEST_TMPDIR/bin:$PATH run -0 sh -e "$BATS_TEST_TMPDIR/script"
    [ "${lines[0]}" = "23 create 302 local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst" ]
    # attach takes what it is told
    run -0 bash -c "$NVLXC --root $host attach 220 $(sed -n 's/^nvlxc attach 302//p' "$BATS_TEST_TMPDIR/script")"
    run -0 template ollama --ctid 303 --pct --oci
    [[ ${lines[0]} == *"skopeo copy docker://docker.io/ollama/ollama:latest "* ]]
    [[ ${lines[1]} == "pct create 303 local:vztmpl/ollama_latest.tar "*"host-managed=1"* ]]
    [[ $output != *--ostype* && $output != *"sh -c"* ]]
    # Proxmox VE 9.1 and newer fetches images itself
    mkdir -p "$host/usr/share/perl5/PVE/API2/Storage"
    echo "name => 'oci_registry_pull'," >"$host/usr/share/perl5/PVE/API2/Storage/Status.pm"
    run -0 template ollama --ctid 303 --pct --oci
    [ "${lines[0]}" = "pvesh create /nodes/localhost/storage/local/oci-registry-pull --reference docker.io/ollama/ollama:latest --filename ollama_latest" ]
}

@test "what is printed, nvlxc itself takes for attached" {
    template ollama --ctid 300 >"$host/etc/pve/lxc/300.conf"
    run -0 "$NVLXC" --root "$host" attach 300
    [[ $output == *"already attached, nothing to change"* ]]
    run -0 --separate-stderr template ollama --ctid 300
    [[ $stderr == *"CT 300 already exists"* ]]
}

@test "attach --workload: its capabilities, with those that are named beside it" {
    run -0 "$NVLXC" --root "$host" attach 220 --workload jellyfin
    [[ $output == *"220: capabilities compute,utility,video"* ]]
    run -0 "$NVLXC" --root "$host" attach 220 --workload ollama --capabilities graphics
    grep -qx 'lxc.environment: NVIDIA_DRIVER_CAPABILITIES=compute,utility,graphics' "$host/etc/pve/lxc/220.conf"
    run -2 "$NVLXC" --root "$host" attach 220 --workload nonsense
    [[ $output == *"--workload: unknown template 'nonsense'"*"templates: comfyui"* ]]
    echo '{' >"$OWN/nvlxc/templates/ollama.json"
    run -1 with_own "$NVLXC" --root "$host" attach 220 --workload ollama
    [[ $output == *"--workload: the template /etc/nvlxc/templates/ollama.json: line "* ]]
}

@test "an image's NVIDIA_VISIBLE_DEVICES, for its own process, is not the grant" {
    template ollama --ctid 300 --oci >"$host/etc/pve/lxc/300.conf"
    run -0 "$NVLXC" --root "$host" attach 300
    [[ $output == *"already attached, nothing to change"* ]]
    [ "$("$NVLXC" --root "$host" --json show 300 | jq -c '[.grant.devices, .library_path.finds_bundle, .lines_by_hand]')" = \
        "[[\"$GPU\"],true,[]]" ]
    run -0 "$NVLXC" --root "$host" detach 300
    grep -q '^lxc.environment.runtime: NVIDIA_VISIBLE_DEVICES=all$' "$host/etc/pve/lxc/300.conf"
}

@test "a template of one's own; one that is wrong is named, and the others are listed" {
    jq '.memory = 65536 | .summary = "mine"' "$NVL_SOURCE/data/templates/ollama.json" >"$OWN/nvlxc/templates/ollama.json"
    printf '{"summary": "x",}\n' >"$OWN/nvlxc/templates/broken.json"
    mkfifo "$OWN/nvlxc/templates/pipe.json"
    run -1 with_own "$NVLXC" --root "$host" template
    [[ $output == *"left out: the template /etc/nvlxc/templates/broken.json: line 1, column 17"* ]]
    [[ $output == *"left out: the template /etc/nvlxc/templates/pipe.json"* ]]
    [[ $output =~ ollama\ +compute,utility\ +64\ GiB.*mine ]]
    [[ $output == *jellyfin* ]]
    run -1 with_own "$NVLXC" --root "$host" template broken --ctid 300
    [[ $output == *"the template /etc/nvlxc/templates/broken.json: line 1, column 17"* ]]
    run -0 with_own "$NVLXC" --root "$host" template ollama --ctid 300
    [[ $output == *"memory: 65536"* ]]
    # those of a captured host are not
    mkdir -p "$host/etc/nvlxc"
    cp -r "$OWN/nvlxc/templates" "$host/etc/nvlxc/"
    run -0 template
    [[ $output != *broken* && $output != *mine* ]]
}

@test "errors: exit 2, and they say what is right" {
    run -2 template nonsense
    [[ $output == *"unknown template 'nonsense'"*"templates: comfyui, docker"* ]]
    run -2 template ollama --ctid 99
    [[ $output == *"'99' is not a number from 100 to 999999999"* ]]
    run -2 template ollama --ctid 300 --lxc
    run -2 template ollama --pct
    [[ $output == *"--ctid N"* ]]
    run -2 template ollama --hostname x
    [[ $output == *"give --ctid N or --lxc"* ]]
    run -2 template --ctid 300
    [[ $output == *"which template?"* ]]
    run -2 template ollama --ctid 300 --hostname 'a,b'
    [[ $output == *"not a host's name"* ]]
    run -2 template ollama --ctid 300 --bridge 'a,b'
    run -2 template ollama --ctid 300 --storage ';x'
    run -2 template whisper --ctid 300 --oci
    [[ $output == *"has no image"* ]]
    run -2 template ollama --ctid 300 --gpu nonsense
    printf 'dir: local\n' >"$host/etc/pve/storage.cfg"
    run -1 template ollama --ctid 300 --storage other
    [[ $output == *"Proxmox has no storage 'other'"*"/etc/pve/storage.cfg has local"* ]]
}

@test "a host without a driver: exit 3" {
    host=$(fixture no-driver)
    run -3 template ollama --ctid 300
    run -0 template ollama --ctid 300 --gpu none
    [[ $output == *"NVIDIA_VISIBLE_DEVICES=none"* ]]
}
