# A pretended Proxmox cluster of ten nodes, seen from one of them: what the others publish was written by nvlxc itself on other
# fixture hosts. Sourced by bats after hosts.bash.
# shellcheck shell=bash disable=SC2154 # bats sets them
bats_require_minimum_version 1.5.0

NVLXC="$NVL_BUILD/src/cli/nvlxc"

# join HOST NODE…: these are the members of the cluster to which HOST, whose node is `pve`, belongs.
join() {
    local host=$1 node id=0 list=''
    for node in "${@:2}"; do
        id=$((id + 1))
        list+="${list:+,$'\n'}  \"$node\": { \"id\": $id, \"online\": 1, \"ip\": \"10.0.0.$id\"}"
        mkdir -p "$host/etc/pve/nodes/$node/lxc"
    done
    printf '{\n"nodename": "pve",\n"version": 5,\n"cluster": { "name": "lab", "version": 3, "nodes": %d, "quorate": 1 },\n"nodelist": {\n%s\n  }\n}\n' \
        "$id" "$list" >"$host/etc/pve/.members"
}

# publishes FIXTURE: what a node with that hardware publishes, named NODE.
publishes() {
    local host
    host=$(fixture "$1") || return
    rm -rf "$host/etc/pve"
    mkdir -p "$host/etc/pve/nodes/pve"
    ln -s nodes/pve "$host/etc/pve/local"
    join "$host" pve
    "$NVLXC" --root "$host" --quiet host publish || return
    sed 's/"cluster_node": "pve"/"cluster_node": "NODE"/' "$host/etc/pve/nodes/pve/nvlxc.json"
}

# prepare_published: once for a file, what takes long.
prepare_published() {
    local name
    for name in a5500-580-open h100-mig two-gpus-535 vfio no-gpu; do
        publishes $name >"$BATS_FILE_TMPDIR/$name.json" || return
    done
}

# node NAME FIXTURE [JQ]: that node publishes what the fixture's hardware is, changed by the filter.
node() {
    sed "s/\"NODE\"/\"$1\"/" "$BATS_FILE_TMPDIR/$2.json" | jq "${3:-.}" >"$host/etc/pve/nodes/$1/nvlxc.json"
}

# cluster_of_ten: sets $host, which is the node pve.
#   pve    an A5500, driver 550; publishes       n5   a GPU that vfio-pci holds
#   n1     the same model, newer driver          n6   no GPU
#   n2     an H100 in MIG mode                   n7   a file of an older format
#   n3     two GPUs, older driver                n8   a file of a newer format
#   n4     never published                       n9   a hostile file
#   gone   was removed; its folder stays
cluster_of_ten() {
    host=$(fixture a5500-550)
    join "$host" pve n1 n2 n3 n4 n5 n6 n7 n8 n9
    rm -r "$host/etc/pve/nodes/pve2" "$host/etc/pve/lxc/223.conf"
    "$NVLXC" --root "$host" --quiet host publish
    node n1 a5500-580-open '.gpus[0].uuid = "GPU-11111111-1111-1111-1111-111111111111"'
    node n2 h100-mig
    node n3 two-gpus-535
    node n5 vfio
    node n6 no-gpu
    node n7 h100-mig '.format = 0'
    node n8 h100-mig '.format = 2 | .gpus = "moved elsewhere"'
    node n9 h100-mig '.gpus[0].model = "\u001b]0;owned\u0007 H100"'
    mkdir -p "$host/etc/pve/nodes/gone/lxc"
    cp "$host/etc/pve/nodes/n1/nvlxc.json" "$host/etc/pve/nodes/gone/"
}

# ct NODE CTID LINE…: a CT of that node with these lines, as its own nvlxc wrote them.
ct() {
    printf '%s\n' 'arch: amd64' 'ostype: debian' "hostname: ct$2" 'unprivileged: 1' "${@:3}" >"$host/etc/pve/nodes/$1/lxc/$2.conf"
}

# grant DEVICES [HOOK-ARGUMENT]: the lines of a grant.
grant() {
    local hook='</dev/null; [ ! -x /usr/libexec/nvlxc/hook ] || exec /usr/libexec/nvlxc/hook'
    printf '%s\n' "lxc.environment: NVIDIA_VISIBLE_DEVICES=$1" 'lxc.environment: NVIDIA_DRIVER_CAPABILITIES=compute,utility' \
        "lxc.hook.pre-start: $hook${2:+ $2}" "lxc.hook.mount: $hook${2:+ $2}"
}

# no_quorum: pmxcfs takes away the write permission of a link, which here only a folder can show.
no_quorum() {
    rm "$host/etc/pve/local"
    mkdir -m 0555 "$host/etc/pve/local"
}
