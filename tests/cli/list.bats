# nvlxc list: the containers that have a grant, or NVIDIA lines by hand.

bats_require_minimum_version 1.5.0
load "$NVL_SOURCE/tests/lib/hosts.bash"

NVLXC="$NVL_BUILD/src/cli/nvlxc"
GPU=GPU-3291dfa4-fcc4-0110-615b-c894a0d7c689

@test "a table: granted containers and those by hand, no others" {
    host=$(fixture a5500-550)
    "$NVLXC" --root "$host" --quiet attach 220
    "$NVLXC" --root "$host" --quiet attach media --capabilities compute,video
    run -0 --separate-stderr "$NVLXC" --root "$host" list
    [ "${#lines[@]}" -eq 4 ]
    [[ ${lines[0]} =~ ^CONTAINER\ +HOSTNAME\ +STATE\ +GPUS\ +CAPABILITIES\ +KIND$ ]]
    [[ ${lines[1]} =~ ^220\ +ollama\ +running\ +$GPU\ +compute,utility\ +Proxmox\ CT$ ]]
    [[ ${lines[2]} =~ ^223\ +frigate\ +stopped\ +by\ hand\ +-\ +Proxmox\ CT$ ]]
    [[ ${lines[3]} =~ ^media\ +-\ +stopped\ +$GPU\ +compute,video\ +LXC\ of\ alice$ ]]
    [ -z "$stderr" ]
}

@test "--names: those with a grant, one a line, without those by hand" {
    host=$(fixture a5500-550)
    run -0 --separate-stderr "$NVLXC" --root "$host" list --names
    [ -z "$output$stderr" ]
    "$NVLXC" --root "$host" --quiet attach 220
    "$NVLXC" --root "$host" --quiet attach media
    run -0 --separate-stderr "$NVLXC" --root "$host" list --names
    [ "$output" = $'220\nmedia' ]
    [ -z "$stderr" ]
    run -0 "$NVLXC" --root "$host" --quiet list --names
    [ -z "$output" ]
    run -2 "$NVLXC" --root "$host" list --names --json
}

@test "no container with a GPU: it is said" {
    host=$(fixture no-gpu)
    run -0 "$NVLXC" --root "$host" list
    [[ $output == "no container has a GPU"* ]]
    [ "$("$NVLXC" --root "$host" list --json | jq -c .)" = '{"format":1,"containers":[]}' ]
}

@test "--json: stable keys, null for what is not known" {
    host=$(fixture a5500-550)
    "$NVLXC" --root "$host" --quiet attach 220 --required --capabilities all
    json=$("$NVLXC" --root "$host" list --json)
    [ "$(jq -c '.containers[0]' <<<"$json")" = \
        "{\"container\":\"220\",\"kind\":\"pve\",\"cluster_node\":null,\"user\":null,\"running\":true,\"grant\":{\"devices\":[\"$GPU\"],\"capabilities\":[\"compute\",\"utility\",\"video\",\"graphics\",\"display\",\"ngx\",\"compat32\"],\"required\":true,\"exclusive\":false,\"tag\":false,\"cdi\":false,\"nodes_by\":\"hook\",\"libraries_by\":\"bundle\",\"with\":[]},\"by_hand\":false}" ]
    [ "$(jq -c '.containers[1]' <<<"$json")" = \
        '{"container":"223","kind":"pve","cluster_node":null,"user":null,"running":false,"grant":null,"by_hand":true}' ]
}

@test "--cluster: the CTs of the other nodes too" {
    host=$(fixture a5500-550)
    "$NVLXC" --root "$host" --quiet attach 220
    # as its own node's nvlxc wrote it
    grep ^lxc "$host/etc/pve/lxc/220.conf" >>"$host/etc/pve/nodes/pve2/lxc/330.conf"
    run -0 "$NVLXC" --root "$host" list
    [[ $output != *330* ]]
    run -0 "$NVLXC" --root "$host" list --cluster
    [[ $output =~ 330\ +[a-z0-9-]+\ +pve2\ +-\ +$GPU ]]
    [ "$("$NVLXC" --root "$host" list --cluster --json | jq -c '.containers[] | select(.container == "330") | [.cluster_node, .running]')" = \
        '["pve2",null]' ]
}

@test "a config that cannot be read is a warning, not the end" {
    host=$(fixture a5500-550)
    "$NVLXC" --root "$host" --quiet attach 220
    head -c 1100000 /dev/zero | tr '\0' '#' >"$host/etc/pve/lxc/219.conf"
    printf 'arch: amd64\0\n' >"$host/etc/pve/lxc/218.conf"
    run -0 --separate-stderr "$NVLXC" --root "$host" list
    [[ $stderr == *"warning: /etc/pve/lxc/219.conf is left out"* ]]
    [[ $stderr == *"warning: /etc/pve/lxc/218.conf is left out"* ]]
    [[ $output == *"$GPU"* ]]
}

# rows are made into a table a few at a time
@test "hundreds of containers: one table, one JSON, each in its order, alike in width" {
    host=$(fixture a5500-550)
    "$NVLXC" --root "$host" --quiet attach 220
    for ct in $(seq 300 499) 1000000; do
        cp "$host/etc/pve/lxc/220.conf" "$host/etc/pve/lxc/$ct.conf"
    done
    mkdir -p "$host/var/lib/lxc/a-name-that-is-long"
    touch "$host/var/lib/lxc/a-name-that-is-long/config"
    "$NVLXC" --root "$host" --quiet attach a-name-that-is-long --capabilities all
    run -0 --separate-stderr "$NVLXC" --root "$host" list
    [ "${#lines[@]}" -eq 205 ]
    [ "$(grep -c CONTAINER <<<"$output")" -eq 1 ]
    [[ ${lines[0]} =~ ^CONTAINER\ +HOSTNAME\ +STATE\ +GPUS\ +CAPABILITIES\ +KIND$ ]]
    [ "$(awk 'NR > 1 { print $1 }' <<<"$output" | tr '\n' ' ')" = "220 223 $(seq -s ' ' 300 499) 1000000 a-name-that-is-long " ]
    # KIND and GPUS begin below their headings, in every row
    [ "$(awk '{ print match($0, /KIND|Proxmox|LXC/) }' <<<"$output" | sort -u | wc -l)" -eq 1 ]
    [ "$(awk '{ print match($0, /GPUS|GPU-|by hand/) }' <<<"$output" | sort -u | wc -l)" -eq 1 ]

    json=$("$NVLXC" --root "$host" list --json)
    [ "$json" = "$(jq --indent 2 . <<<"$json")" ]
    [ "$(jq -r '[.containers[].container] | join(" ")' <<<"$json")" = "220 223 $(seq -s ' ' 300 499) 1000000 a-name-that-is-long" ]
}
