# nvlxc attach --nodes, --libraries, --exclusive: what each writes, when it is refused, and what show, list and detach say.

bats_require_minimum_version 1.5.0
load "$NVL_SOURCE/tests/lib/hosts.bash"

NVLXC="$NVL_BUILD/src/cli/nvlxc"
GPU=GPU-3291dfa4-fcc4-0110-615b-c894a0d7c689

# pve_container HOST [VERSION]: that version of the package is installed, or none.
pve_container() {
    local status=$1/var/lib/dpkg/status
    awk -v RS= -v ORS='\n\n' '!/^Package: pve-container\n/' "$status" >"$status.new"
    [ $# -eq 1 ] || printf 'Package: pve-container\nStatus: install ok installed\nVersion: %s\n\n' "$2" >>"$status.new"
    mv "$status.new" "$status"
}

# release ROOT ID VERSION_ID: what a container's root file system says it is.
release() {
    mkdir -p "$1/etc"
    printf 'NAME="x"\nID=%s\nVERSION_ID="%s"\n' "$2" "$3" >"$1/etc/os-release"
    chown -R 100000:100000 "$1"
}

# round_trip NAME CONFIG ARGUMENTS...: attach, attach again, detach.
round_trip() {
    local name=$1 config=$2
    shift 2
    cp "$config" "$BATS_TEST_TMPDIR/before"
    "$NVLXC" --root "$host" --quiet attach "$name" "$@" || return 1
    cp "$config" "$BATS_TEST_TMPDIR/attached"
    "$NVLXC" --root "$host" attach "$name" "$@" | grep -q 'nothing to change' || return 1
    cmp "$BATS_TEST_TMPDIR/attached" "$config" || return 1
    "$NVLXC" --root "$host" --quiet detach "$name" || return 1
    cmp "$BATS_TEST_TMPDIR/before" "$config"
}

setup() {
    host=$(fixture a5500-550)
    # the bundle is not the subject here
    mkdir -p "$host/var/lib/nvlxc/driver/550.163.01"
    : >"$host/var/lib/nvlxc/driver/550.163.01/manifest.json"
    pve_container "$host" 6.0.13
}

@test "--nodes dev: free numbers, explicit modes, others' entries as they were" {
    conf=$host/etc/pve/lxc/220.conf
    sed -i '1a dev1: /dev/ttyUSB0,gid=20\ndev0: /dev/dri/renderD128,gid=104' "$conf"
    run -0 --separate-stderr "$NVLXC" --root "$host" attach 220 --nodes dev
    says "capabilities compute,utility; nodes dev" \
        "Proxmox does not start a CT while a node of its dev[n] entries is missing" "nvlxc-boot.service"
    [ "$(grep '^dev' "$conf")" = "$(printf '%s\n' 'dev1: /dev/ttyUSB0,gid=20' 'dev0: /dev/dri/renderD128,gid=104' \
        'dev2: /dev/nvidia0,mode=0666' 'dev3: /dev/nvidiactl,mode=0666' 'dev4: /dev/nvidia-uvm,mode=0666' \
        'dev5: /dev/nvidia-uvm-tools,mode=0666')" ]
    [ "$(grep -c '^lxc.hook.*hook --nodes=dev$' "$conf")" -eq 2 ]
    # above the snapshot's section
    [ "$(grep -n '^dev5' "$conf" | cut -d: -f1)" -lt "$(grep -n '^\[before-gpu\]' "$conf" | cut -d: -f1)" ]
    # no rules: Proxmox makes them from its entries
    run -0 "$NVLXC" --root "$host" attach 221 --nodes dev
    ! grep -q devices.allow "$host/etc/pve/lxc/221.conf"
    run -0 "$NVLXC" --root "$host" show 221
}

@test "--nodes dev: round trips, also between ways" {
    conf=$host/etc/pve/lxc/220.conf
    : >"$host/etc/pve/lxc/223.conf"
    round_trip 220 "$conf" --nodes dev
    round_trip 220 "$conf" --nodes dev --libraries none --exclusive --capabilities all
    cp "$conf" "$BATS_TEST_TMPDIR/first"
    for ways in '--nodes dev' '--nodes static' '' '--nodes dev --libraries none' '--nodes static --libraries none'; do
        # shellcheck disable=SC2086 # several words
        run -0 "$NVLXC" --root "$host" attach 220 $ways
    done
    ! grep -q '^dev' "$conf"
    run -0 "$NVLXC" --root "$host" detach 220
    cmp "$BATS_TEST_TMPDIR/first" "$conf"
}

@test "--nodes dev: an entry of ours that was changed in the web interface goes with the rest" {
    conf=$host/etc/pve/lxc/220.conf
    cp "$conf" "$BATS_TEST_TMPDIR/before"
    run -0 "$NVLXC" --root "$host" attach 220 --nodes dev
    sed -i 's|^dev0: .*|dev0: path=/dev/nvidia0,gid=44,mode=0660|' "$conf"
    run -0 "$NVLXC" --root "$host" show 220
    run -0 "$NVLXC" --root "$host" detach 220
    cmp "$BATS_TEST_TMPDIR/before" "$conf"
}

@test "--nodes dev: refused where Proxmox does not know it, with the version found" {
    cp "$host/etc/pve/lxc/220.conf" "$BATS_TEST_TMPDIR/before"
    for version in 5.0.6 4.4-3 5.0; do
        pve_container "$host" $version
        run -3 --separate-stderr "$NVLXC" --root "$host" attach 220 --nodes dev
        says "needs pve-container 5.0.7 or newer; this host has $version"
    done
    pve_container "$host"
    run -3 --separate-stderr "$NVLXC" --root "$host" attach 220 --nodes dev
    says "this host has none that dpkg knows of"
    cmp "$BATS_TEST_TMPDIR/before" "$host/etc/pve/lxc/220.conf"
    for version in 5.0.7 5.0.10 5.1.0 6.1.10; do
        pve_container "$host" $version
        run -0 "$NVLXC" --root "$host" attach 220 --nodes dev
        run -0 "$NVLXC" --root "$host" detach 220
    done
}

@test "--nodes dev on plain LXC, and words that are none: the command line is wrong" {
    run -2 --separate-stderr "$NVLXC" --root "$host" attach root/web --nodes dev
    says "LXC has no dev[n] entries" "--nodes static"
    run -2 --separate-stderr "$NVLXC" --root "$host" attach 220 --nodes devs
    says "give hook, dev or static"
    run -2 --separate-stderr "$NVLXC" --root "$host" attach 220 --libraries mine
    says "give bundle, host or none"
}

@test "--nodes dev: a node that is missing is said, by attach and by show" {
    rm "$host/dev/nvidia-uvm"
    run -0 --separate-stderr "$NVLXC" --root "$host" attach 220 --nodes dev
    says "/dev/nvidia-uvm is missing on the host: the CT does not start until it exists"
    run -1 "$NVLXC" --root "$host" show 220
    says "nodes:   by Proxmox's dev[n] entries: /dev/nvidia0, /dev/nvidiactl, /dev/nvidia-uvm, /dev/nvidia-uvm-tools" \
        "Proxmox does not start the CT while one of them is missing on the host"
}

@test "--nodes static: an entry and, in an allow-list, a rule for every node of the grant" {
    conf=$host/etc/pve/lxc/221.conf
    cp "$conf" "$BATS_TEST_TMPDIR/before"
    run -0 --separate-stderr "$NVLXC" --root "$host" attach 221 --nodes static --capabilities graphics
    for node in nvidia0 nvidiactl nvidia-uvm nvidia-uvm-tools nvidia-modeset dri/card1 dri/renderD129; do
        [ -e "$host/dev/$node" ] || continue
        grep -qx "lxc.mount.entry: /dev/$node dev/$node none bind,optional,create=file" "$conf"
        grep -qx "lxc.cgroup2.devices.allow: /dev/$node rw" "$conf"
    done
    [ "$(grep -c '^lxc.mount.entry' "$conf")" = "$("$NVLXC" --root "$host" --json show 221 | jq '.nodes | length')" ]
    ! grep -q '195:' "$conf"
    run -0 "$NVLXC" --root "$host" detach 221
    cmp "$BATS_TEST_TMPDIR/before" "$conf"
    # no allow-list, no rules
    run -0 "$NVLXC" --root "$host" attach root/web --nodes static
    [ "$(grep -c '^lxc.mount.entry = /dev/nvidia' "$host/var/lib/lxc/web/config")" -eq 4 ]
    ! grep -q devices.allow "$host/var/lib/lxc/web/config"
    round_trip box "$host/var/lib/lxc/box/config" --nodes static --libraries none
    round_trip media "$host/home/alice/.local/share/lxc/media/config" --nodes static
}

@test "--nodes static: MIG nodes; a GPU with another number is said by show" {
    host=$(fixture h100-mig)
    mkdir -p "$host/etc/pve/lxc"
    printf 'arch: amd64\n' >"$host/etc/pve/lxc/220.conf"
    h100=GPU-6b1f0c9e-d2a7-4c38-9f54-7ae3b8d61c05
    run -0 "$NVLXC" --root "$host" attach 220 --gpu MIG-$h100/2/1 --nodes static --libraries none
    [ "$(grep -c '^lxc.mount.entry: /dev/nvidia-caps/nvidia-cap[0-9]* dev/nvidia-caps/nvidia-cap' "$host/etc/pve/lxc/220.conf")" -eq 2 ]

    host=$(fixture two-gpus-535)
    mkdir -p "$host/etc/pve/lxc"
    printf 'arch: amd64\nunprivileged: 1\n' >"$host/etc/pve/lxc/220.conf"
    run -0 "$NVLXC" --root "$host" attach 220 --gpu 0 --nodes static --libraries none
    sed -i 's|/dev/nvidia1 dev/nvidia1|/dev/nvidia0 dev/nvidia0|' "$host/etc/pve/lxc/220.conf"
    run -1 "$NVLXC" --root "$host" show 220
    says "not among them: /dev/nvidia1" "not of this grant: /dev/nvidia0" \
        "run \`nvlxc attach 220 --nodes=static --libraries=none\` again with the same GPUs"
    [ "$("$NVLXC" --root "$host" --json show 220 | jq -c '.entries.missing + .entries.other')" = '["/dev/nvidia1","/dev/nvidia0"]' ]
    run -0 "$NVLXC" --root "$host" attach 220 --gpu 0 --nodes=static --libraries=none
    run -0 "$NVLXC" --root "$host" show 220
}

@test "--libraries host: the host's library folder, alternatives, nvidia-smi" {
    conf=$host/var/lib/lxc/web/config
    release "$host/var/lib/lxc/web/rootfs" debian 13
    run -0 --separate-stderr "$NVLXC" --root "$host" attach root/web --libraries host
    says "installing or upgrading packages in the container fails"
    [[ $stderr != *privileged* ]]
    [ "$(grep '^lxc.mount.entry' "$conf")" = "$(printf 'lxc.mount.entry = %s\n' \
        '/usr/lib/x86_64-linux-gnu usr/lib/x86_64-linux-gnu none ro,bind,optional,create=dir' \
        '/etc/alternatives etc/alternatives none ro,bind,optional,create=dir' \
        '/usr/bin/nvidia-smi opt/nvidia-container/nvidia-smi none ro,bind,optional,create=file')" ]
    run -0 "$NVLXC" --root "$host" show root/web
    says "550.163.01; the host's own library folders"
    run -0 "$NVLXC" --root "$host" detach root/web
    round_trip root/web "$conf" --libraries host --nodes static

    release "$host/var/lib/lxc/box/rootfs" debian 13
    run -0 --separate-stderr "$NVLXC" --root "$host" attach box --libraries host
    says "its root can remount the host's library folder writable"
}

@test "--libraries host: refused where the releases differ or are not known, with both; --force insists" {
    conf=$host/var/lib/lxc/web/config
    cp "$conf" "$BATS_TEST_TMPDIR/before"
    release "$host/var/lib/lxc/web/rootfs" debian 12
    run -1 --separate-stderr "$NVLXC" --root "$host" attach root/web --libraries host
    says "the host's is debian 13, the container's debian 12" "--force insists"
    release "$host/var/lib/lxc/web/rootfs" ubuntu 13
    run -1 --separate-stderr "$NVLXC" --root "$host" attach root/web --libraries host
    rm "$host/var/lib/lxc/web/rootfs/etc/os-release"
    run -1 --separate-stderr "$NVLXC" --root "$host" attach root/web --libraries host
    says "the container's unknown: its /etc/os-release does not say"
    run -1 --separate-stderr "$NVLXC" --root "$host" attach 220 --libraries host
    says "the container's unknown: its root file system is on storage local-lvm"
    # what a hostile container may put there is not followed
    ln -s /etc/os-release "$host/var/lib/lxc/web/rootfs/etc/os-release"
    run -1 --separate-stderr "$NVLXC" --root "$host" attach root/web --libraries host
    cmp "$BATS_TEST_TMPDIR/before" "$conf"

    run -0 --separate-stderr "$NVLXC" --root "$host" attach root/web --libraries host --force
    says "the host's release is debian 13, the container's unknown"
    run -0 "$NVLXC" --root "$host" show root/web
    says "the host's libraries may not fit it"
}

@test "--libraries host: a host without the libraries, and one that waits for its reboot" {
    release "$host/var/lib/lxc/web/rootfs" debian 13
    sed -i 's/550\.163\.01/560.35.03/' "$host/proc/driver/nvidia/version"
    run -0 --separate-stderr "$NVLXC" --root "$host" attach root/web --libraries host
    says "the host's libraries are 550.163.01, the loaded module is 560.35.03"
    rm -r "$host/usr/lib/x86_64-linux-gnu"
    run -3 --separate-stderr "$NVLXC" --root "$host" attach root/web --libraries host
    says "the host's library folders contain neither libcuda.so.1"
}

@test "--libraries none: no bundle is built, the hook is told" {
    rm -r "$host/var/lib/nvlxc"
    run -0 --separate-stderr "$NVLXC" --root "$host" attach 220 --libraries none
    [ ! -e "$host/var/lib/nvlxc" ]
    [[ $stderr != *bundle* ]]
    [ "$(grep -c '^lxc.hook.*hook --libraries=none$' "$host/etc/pve/lxc/220.conf")" -eq 2 ]
    run -0 "$NVLXC" --root "$host" show 220
    says "the container has its own files, which must be of this version"
}

@test "list and show say the ways, in JSON too" {
    : >"$host/etc/pve/lxc/223.conf"
    run -0 "$NVLXC" --root "$host" attach 220 --nodes dev --libraries none --exclusive
    run -0 "$NVLXC" --root "$host" list
    says "$GPU; nodes dev; libraries none; exclusive"
    [ "$("$NVLXC" --root "$host" list --json | jq -c '.containers[0].grant | [.exclusive, .nodes_by, .libraries_by]')" = '[true,"dev","none"]' ]
    run -0 "$NVLXC" --root "$host" show 220
    says "grant:   $GPU; compute,utility; nodes dev; libraries none; exclusive"
    json=$("$NVLXC" --root "$host" --json show 220)
    [ "$(jq -c '.grant | [.exclusive, .nodes_by, .libraries_by]' <<<"$json")" = '[true,"dev","none"]' ]
    [ "$(jq -c .entries.present <<<"$json")" = '["/dev/nvidia0","/dev/nvidiactl","/dev/nvidia-uvm","/dev/nvidia-uvm-tools"]' ]
    [ "$("$NVLXC" --root "$host" --json attach 220 --nodes dev | jq -c '.grant | [.nodes_by, .libraries_by, .exclusive]')" = '["dev","bundle",false]' ]
}

@test "--exclusive: refused where another container has the GPU, by a grant or by hand; remembered" {
    run -1 --separate-stderr "$NVLXC" --root "$host" attach 220 --exclusive
    says "GPU 0, NVIDIA RTX A5500 Laptop GPU ($GPU) already belongs to 223" "\`nvlxc show 223\`"
    : >"$host/etc/pve/lxc/223.conf"
    run -0 "$NVLXC" --root "$host" attach root/web
    run -1 --separate-stderr "$NVLXC" --root "$host" attach 220 --exclusive
    says "already belongs to root/web"
    ! grep -q NVIDIA "$host/etc/pve/lxc/220.conf"
    run -0 "$NVLXC" --root "$host" detach root/web

    run -0 --separate-stderr "$NVLXC" --root "$host" attach 220 --exclusive
    run -0 --separate-stderr "$NVLXC" --root "$host" attach 220 --exclusive
    says "nothing to change"
    run -0 --separate-stderr "$NVLXC" --root "$host" attach 221
    says "warning: 220 has exclusive use of GPU 0, NVIDIA RTX A5500 Laptop GPU ($GPU) (--exclusive)"
    # sharing is usual
    run -0 "$NVLXC" --root "$host" detach 220
    run -0 --separate-stderr "$NVLXC" --root "$host" attach box
    [[ $stderr != *alone* ]]
}

@test "--exclusive: MIG devices of one GPU are several; the whole GPU is all of them" {
    host=$(fixture h100-mig)
    mkdir -p "$host/etc/pve/lxc"
    for ct in 220 221 222; do printf 'arch: amd64\nunprivileged: 1\n' >"$host/etc/pve/lxc/$ct.conf"; done
    h100=GPU-6b1f0c9e-d2a7-4c38-9f54-7ae3b8d61c05
    run -0 "$NVLXC" --root "$host" attach 220 --gpu MIG-$h100/2/1 --exclusive
    run -0 --separate-stderr "$NVLXC" --root "$host" attach 221 --gpu MIG-$h100/1/0 --exclusive
    [[ $stderr != *alone* ]]
    run -1 --separate-stderr "$NVLXC" --root "$host" attach 222 --gpu $h100 --exclusive
    says "already belongs to 220, 221"
    run -0 --separate-stderr "$NVLXC" --root "$host" attach 222 --gpu $h100
    says "220 has exclusive use of" "221 has exclusive use of"
}
