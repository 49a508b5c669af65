# nvlxc create --dry-run: the plan on Proxmox and on plain LXC, and every wrong value.

bats_require_minimum_version 1.5.0
load "$NVL_SOURCE/tests/lib/hosts.bash"

NVLXC="$NVL_BUILD/src/cli/nvlxc"
GPU=GPU-3291dfa4-fcc4-0110-615b-c894a0d7c689
HOOK="</dev/null; [ ! -x /usr/libexec/nvlxc/hook ] || exec /usr/libexec/nvlxc/hook"

setup() {
    host=$(fixture a5500-550)
}

create() {
    "$NVLXC" --root "$host" create "$@" --dry-run
}

# on_lxc: the same host without Proxmox.
on_lxc() {
    rm -rf "$host"/etc/pve "$host"/usr/share/perl5 "$host"/usr/bin/pve* "$host"/var/lib/pve-cluster
    sed -i '/^Package: \(pve\|proxmox\)/,/^$/d' "$host/var/lib/dpkg/status" 2>/dev/null || true
    [ "$("$NVLXC" --root "$host" --json host | jq -r .proxmox)" != true ]
}

# config_of TEXT: what comes behind the line that names the config's file.
config_of() {
    sed '1,/^its config, /d' <<<"$1"
}

@test "the classic example: its config, with nvlxc's four lines in the place of its ten" {
    run -0 create ollama --ctid 300 --hostname ollama --cores 8 --memory 16G --swap 4G --ip 10.0.99.230/24 --gw 10.0.99.254 \
        --oci --entrypoint /start.sh --ostype ubuntu
    [ "$(config_of "$output" | grep -v '^lxc.environment.runtime: ')" = "arch: amd64
cmode: console
cores: 8
entrypoint: /start.sh
features: nesting=1
hostname: ollama
memory: 16384
net0: name=eth0,bridge=vmbr0,gw=10.0.99.254,host-managed=1,ip=10.0.99.230/24,type=veth
ostype: ubuntu
rootfs: local-lvm:vm-300-disk-0,size=32G
swap: 4096
unprivileged: 1
lxc.signal.halt: SIGTERM
lxc.environment: NVIDIA_VISIBLE_DEVICES=$GPU
lxc.environment: NVIDIA_DRIVER_CAPABILITIES=compute,utility
lxc.hook.pre-start: $HOOK
lxc.hook.mount: $HOOK" ]
    # the config is what attach itself would find attached
    config_of "$output" >"$host/etc/pve/lxc/300.conf"
    run -0 "$NVLXC" --root "$host" attach 300 --gpu 0
    [[ $output == *"already attached, nothing to change"* ]]
}

@test "what an option made of a template's value is said" {
    run -0 create ollama --cores 8 --memory 16G --swap 0 --disk 1T
    [[ $output == *"cores: 8, not 4"*"memory: 16384 MiB, not 8192"*"swap: 0 MiB, not 512"*"disk: 1024 GiB, not 32"* ]]
    run -0 create ollama --oci
    [[ $output == *"ostype: unmanaged, not debian: Proxmox does not change an image's files"* ]]
    run -0 create ollama --memory 8192
    [[ $output != *", not "* ]]
}

@test "the number is the next that no guest of the cluster has" {
    mkdir -p "$host/etc/pve/nodes/other/qemu-server" "$host/etc/pve/nodes/other/lxc"
    touch "$host/etc/pve/nodes/other/qemu-server/100.conf" "$host/etc/pve/nodes/other/lxc/101.conf"
    run -0 create hashcat
    [[ $output == *"create CT 102"* ]]
    run -0 create hashcat --ctid 777
    [[ $output == *"pct create 777 "* ]]
}

@test "plain LXC: systemd-networkd gets the address that was asked for, and a name server that is reachable" {
    on_lxc
    mkdir -p "$host/usr/bin" "$host/run/systemd/resolve"
    touch "$host/usr/bin/mmdebstrap"
    run -0 create ollama
    [[ $output == *'[Network]\nDHCP=yes\n"'* ]]
    printf 'nameserver 127.0.0.53\nnameserver ::1\nnameserver fe80::1%%eth0\n' >"$host/etc/resolv.conf"
    run -0 create ollama --ip 10.0.3.7/24 --gw 10.0.3.1
    [[ $output == *'[Network]\nAddress=10.0.3.7/24\nGateway=10.0.3.1\nDNS=10.0.3.1\n"'* ]]
    printf '# x\nnameserver 192.0.2.53\n' >"$host/run/systemd/resolve/resolv.conf"
    run -0 create ollama --ip 10.0.3.7/24 --gw 10.0.3.1
    [[ $output == *'Gateway=10.0.3.1\nDNS=192.0.2.53\n"'* ]]
    printf 'search x\nnameserver 2001:db8::53\nnameserver 192.0.2.1\n' >"$host/etc/resolv.conf"
    run -0 create ollama --ip 10.0.3.7/24
    [[ $output == *'Address=10.0.3.7/24\nDNS=2001:db8::53\n"'* ]]
}

@test "plain LXC: a root file system of Debian's, or one of yours" {
    on_lxc
    mkdir -p "$host/usr/bin"
    run -3 create ollama
    [[ $output == *"mmdebstrap"*"is not installed"*"apt install mmdebstrap"* ]]
    touch "$host/usr/bin/mmdebstrap"
    run -0 create ollama --hostname llm --ip 10.0.3.7/24 --gw 10.0.3.1
    [[ $output == *"mmdebstrap --include="*"trixie /var/lib/lxc/llm/rootfs.tar"*"lxc-usernsexec"* ]]
    [[ $output == *"lxc.net.0.ipv4.address = 10.0.3.7/24"*"lxc.net.0.ipv4.gateway = 10.0.3.1"* ]]
    [[ $output == *"lxc-attach -n llm -- env -i "* ]]
    # liblxc runs newuidmap for root's containers, too
    touch "$host/usr/bin/newuidmap"
    sed -i '/^root:/d' "$host/etc/subuid" "$host/etc/subgid" 2>/dev/null || true
    run -3 create ollama
    [[ $output == *"root has no ids for unprivileged containers in /etc/subuid and /etc/subgid: 100000 to 165535"* ]]
    [[ $output == *"try: echo root:100000:65536 >> /etc/subuid"*"echo root:100000:65536 >> /etc/subgid"* ]]
    # Incus gave root a range of its own, and could not live with a second one of that name
    echo root:1000000:1000000000 | tee -a "$host/etc/subuid" >>"$host/etc/subgid"
    run -3 create ollama
    [[ $output == *"try: echo 0:100000:65536 >> /etc/subuid"*"echo 0:100000:65536 >> /etc/subgid"* ]]
    sed -n 's/^\(try: \|     \)\(echo .*\)/\2/p' <<<"$output" | sed "s|>> /etc|>> $host/etc|" | sh
    local archive option
    for archive in /srv/a.tar: /srv/a.tar.gz:z /srv/a.tar.xz:J '/srv/a b.tar.zst: --zstd '; do
        option=${archive#*:}
        run -0 create ollama --template-archive "${archive%%:*}"
        [[ $output == *"tar -x$option --numeric-owner"* && $output != *mmdebstrap* ]]
    done
    [[ $output == *"< '/srv/a b.tar.zst'"* ]]
    run -1 create ollama --oci
    [[ $output == *"of images on Proxmox VE 9.1 and newer only"* ]]
    run -2 create ollama --storage local
    run -2 create ollama --ostype debian
    run -2 create ollama --ctid 300
}

@test "every line of every template's plan parses as shell" {
    local name
    touch "$host/usr/bin/mmdebstrap"
    for name in $("$NVLXC" --json template | jq -r '.templates[].template'); do
        "$NVLXC" --root "$host" --json create "$name" --gpu 0 --dry-run >"$BATS_TEST_TMPDIR/plan"
        jq -r '.plan[].commands[][2]' "$BATS_TEST_TMPDIR/plan" >"$BATS_TEST_TMPDIR/lines"
        [ "$(wc -l <"$BATS_TEST_TMPDIR/lines")" -ge 5 ]
        sh -n "$BATS_TEST_TMPDIR/lines"
    done
}

@test "wrong values: exit 2, each says what is right" {
    local wrong
    for wrong in '--ctid 99' '--ctid x' '--cores 0' '--cores many' '--memory 16X' '--memory G' '--memory 8M' '--swap -1' '--disk 5M' \
        '--disk 0' '--ip 10.0.0.1' '--ip 10.0.0.1/33' '--ip dhcp' '--gw 10.0.0.1' '--ip 10.0.0.2/24 --gw x' '--bridge a,b' \
        '--storage ;x' '--hostname a_b' '--oci --ostype windows' '--entrypoint /x' '--gpu nonsense'; do
        # shellcheck disable=SC2086 # words
        run -2 create ollama $wrong
        [[ $output == nvlxc:* ]]
    done
    run -2 create ollama --oci --entrypoint $'/x\ny'
    run -2 create hashcat --oci
    [[ $output == *"has no image"* ]]
    run -2 create nonsense
    [[ $output == *"unknown template 'nonsense'"*"templates: comfyui"* ]]
    printf 'dir: local\n' >"$host/etc/pve/storage.cfg"
    run -1 create ollama --storage other
    [[ $output == *"Proxmox has no storage 'other'"* ]]
    run -2 create
}

@test "a bridge that the host lacks is said before anything is done" {
    mkdir -p "$host/sys/class/net/vmbr1"
    run -1 create ollama
    [[ $output == *"this host has no bridge vmbr0"*"--bridge NAME"* ]]
    run -0 create ollama --bridge vmbr1
    [[ $output == *"bridge=vmbr1"* ]]
}

@test "nothing is done on a captured host, without root, or unasked" {
    run -2 "$NVLXC" --root "$host" create ollama --yes
    [[ $output == *"on a captured host"* ]]
    run -2 "$NVLXC" --root "$host" create ollama --json
    run -2 create ollama --yes
    [ ! -e "$host/var/lib/nvlxc/create" ]
    run -3 setpriv --reuid 65534 --clear-groups "$NVLXC" create ollama
    [[ $output == *"must run as root"* ]]
}
