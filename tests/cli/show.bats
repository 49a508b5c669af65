# nvlxc show: one container's grant, and what it comes to on this host at this moment.

bats_require_minimum_version 1.5.0
load "$NVL_SOURCE/tests/lib/hosts.bash"

NVLXC="$NVL_BUILD/src/cli/nvlxc"
GPU=GPU-3291dfa4-fcc4-0110-615b-c894a0d7c689

attached() {
    host=$(fixture a5500-550)
    # the fixture's libraries are empty files, of which no bundle can be built
    mkdir -p "$host/var/lib/nvlxc/driver/550.163.01"
    : >"$host/var/lib/nvlxc/driver/550.163.01/manifest.json"
    "$NVLXC" --root "$host" --quiet attach "$@"
}

@test "all well: exit 0" {
    attached 220
    run -0 "$NVLXC" --root "$host" show 220
    [[ ${lines[0]} == "220 (Proxmox CT, running): /etc/pve/lxc/220.conf" ]]
    [[ $output == *"$GPU; compute,utility"* ]]
    [[ $output == *"GPU 0, NVIDIA RTX A5500 Laptop GPU ($GPU)"* ]]
    [[ $output == *"550.163.01, bundle /var/lib/nvlxc/driver/550.163.01 exists"* ]]
    [[ $output =~ /dev/nvidia-uvm\ +506:0\ +506:0\ +ok ]]
    [[ $output == *"a deny-list, needs no rules"* ]]
}

@test "--json: stable keys" {
    attached 221 --capabilities utility
    json=$("$NVLXC" --root "$host" --json show 221)
    [ "$(jq -c keys_unsorted <<<"$json")" = \
        '["format","container","kind","user","running","config","grant","gpus","missing","nodes","driver","bundle","filter","rules","entries","library_path","closed","lines_by_hand","lines_astray","ok"]' ]
    [ "$(jq -c .grant <<<"$json")" = "{\"devices\":[\"$GPU\"],\"capabilities\":[\"utility\"],\"required\":false,\"exclusive\":false,\"tag\":false,\"cdi\":false,\"nodes_by\":\"hook\",\"libraries_by\":\"bundle\",\"with\":[]}" ]
    [ "$(jq -c '.gpus[0] | [.index, .uuid, .minor, .pci, .model, .mig_device]' <<<"$json")" = \
        "[0,\"$GPU\",0,\"0000:01:00.0\",\"NVIDIA RTX A5500 Laptop GPU\",null]" ]
    [ "$(jq -c '[.nodes[] | [.path, .major, .minor, .state]]' <<<"$json")" = \
        '[["/dev/nvidia0",195,0,"ok"],["/dev/nvidiactl",195,255,"ok"]]' ]
    [ "$(jq -c '[.driver.version, .bundle, .filter, .rules, .ok]' <<<"$json")" = \
        '["550.163.01",{"version":"550.163.01","exists":true},"allow",{"present":["/dev/nvidia0","/dev/nvidiactl"],"missing":[]},true]' ]
}

@test "no grant: exit 0, unknown is null; lines by hand are shown" {
    host=$(fixture a5500-550)
    run -0 "$NVLXC" --root "$host" show 221
    [[ $output == *"no GPU from nvlxc"* ]]
    [ "$("$NVLXC" --root "$host" --json show 221 | jq -c '[.grant, .gpus, .bundle, .rules, .lines_by_hand]')" = '[null,null,null,null,[]]' ]
    run -0 "$NVLXC" --root "$host" show 223
    [[ $output == *"by hand, line "*"lxc.cgroup2.devices.allow: c 195:* rwm"* ]]
    [[ $output == *"/dev/nvidia-uvm dev/nvidia-uvm none bind"* ]]
}

@test "a grant for a GPU that is gone: said plainly, exit 1" {
    attached 220
    sed -i "s/$GPU/GPU-00000000-1111-2222-3333-444444444444/" "$host/etc/pve/lxc/220.conf"
    run -1 "$NVLXC" --root "$host" show 220
    [[ $output == *"missing: GPU-00000000-1111-2222-3333-444444444444"* ]]
    json=$("$NVLXC" --root "$host" --json show 220) || status=$?
    [ "$status" -eq 1 ]
    [ "$(jq -c '[.gpus, (.missing | length), .ok]' <<<"$json")" = '[[],1,false]' ]
}

@test "a node that is missing, stale or no device: exit 1, with its state" {
    attached 220
    rm "$host/dev/nvidia-uvm" "$host/dev/nvidia0" "$host/dev/nvidia-uvm-tools"
    : >"$host/dev/nvidia0"
    mknod -m 666 "$host/dev/nvidia-uvm-tools" c 511 1
    run -1 "$NVLXC" --root "$host" show 220
    [[ $output =~ /dev/nvidia-uvm\ +506:0\ +-\ +missing ]]
    [[ $output =~ /dev/nvidia0\ +195:0\ +-\ +not\ a\ device ]]
    [[ $output =~ /dev/nvidia-uvm-tools\ +506:1\ +511:1\ +stale ]]
}

@test "a rule that the device filter needs and the config lacks: exit 1" {
    attached 221
    sed -i '/nvidia-uvm rw/d' "$host/etc/pve/lxc/221.conf"
    run -1 "$NVLXC" --root "$host" show 221
    [[ $output == *"an allow-list; it blocks: /dev/nvidia-uvm"* ]]
}

@test "another driver is loaded than the bundle is of: it is said" {
    attached 220
    sed -i 's/550\.163\.01/560.35.03/' "$host/proc/driver/nvidia/version"
    run -0 "$NVLXC" --root "$host" show 220
    [[ $output == *"560.35.03, bundle /var/lib/nvlxc/driver/560.35.03 is missing (nvlxc driver sync)"* ]]
}

@test "MIG devices and their capability nodes" {
    host=$(fixture h100-mig)
    mkdir -p "$host/etc/pve/lxc"
    printf 'arch: amd64\nunprivileged: 1\n' >"$host/etc/pve/lxc/220.conf"
    h100=GPU-6b1f0c9e-d2a7-4c38-9f54-7ae3b8d61c05
    "$NVLXC" --root "$host" --quiet attach 220 --gpu MIG-$h100/2/1
    json=$("$NVLXC" --root "$host" --json show 220)
    [ "$(jq -c '.gpus[0].mig_device | [.gi, .ci]' <<<"$json")" = '[2,1]' ]
    [ "$(jq '[.nodes[].path | select(startswith("/dev/nvidia-caps/"))] | length' <<<"$json")" -eq 2 ]
}
