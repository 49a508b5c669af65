# nvlxc create on Proxmox VE: its commands are stand-ins (tests/lib/pct-create), the container and its Debian are real.
load setup
# shellcheck source=/dev/null
source "$NVL_SOURCE/tests/lib/stub-driver.bash"

STUBS=/run/stubs
CONF=/etc/pve/lxc/100.conf
CACHED=/var/lib/vz/template/cache/debian-13-standard_13.1-2_amd64.tar.zst
RECORD=/var/lib/nvlxc/create/100.json

setup_file() {
    local root=/srv/root name
    nvlxc driver sync --quiet
    build_stubs $STUBS
    stub_bundle $STUBS 550.163.01
    ip link add vmbr0 type bridge
    mkdir -p /run/sys
    mount -t sysfs sysfs /run/sys
    mount --bind /run/sys/class/net /sys/class/net
    "$NVL_SOURCE/tests/lib/rootfs" debian-13 "$NVL_CACHE/rootfs" $root
    mkdir -p $root/opt/debs
    cp "$NVL_CACHE"/packages-trixie/{clinfo,ocl-icd-libopencl1}_*_amd64.deb $root/opt/debs/
    install -m 755 $STUBS/stub-open.so $root/usr/local/lib/
    echo /usr/local/lib/stub-open.so > $root/etc/ld.so.preload
    : > $root/etc/stub-driver
    echo '127.0.0.1 localhost deb.debian.org' > $root/etc/hosts
    tar -C $root -cf /srv/debian.tar .
    rm -r $root
    echo /srv/debian.tar > /run/pveam
    mkdir -p /etc/nvlxc/templates /etc/pve/nodes/pve/lxc /etc/pve/nodes/pve/qemu-server
    ln -s nodes/pve /etc/pve/local
    ln -s nodes/pve/lxc /etc/pve/lxc
    printf 'dir: local\n\tpath /var/lib/vz\n\tcontent vztmpl,rootdir\n' > /etc/pve/storage.cfg
    cat > /etc/nvlxc/templates/opencl.json <<'T'
{"summary": "clinfo", "capabilities": "compute,utility", "memory": 512, "cores": 1, "disk": 1,
 "install": ["dpkg --configure -a; dpkg --install /opt/debs/*.deb", "clinfo --version > /root/version"]}
T
    jq '.install[1] = "exit 7"' /etc/nvlxc/templates/opencl.json > /etc/nvlxc/templates/broken.json
    for name in pct pveam; do
        install -m 755 "$NVL_SOURCE/tests/lib/pct-create" /usr/sbin/$name
        sed -i "2i export NVL_SOURCE=$NVL_SOURCE" /usr/sbin/$name
    done
}

teardown_file() {
    stop 100 || true
}

remove() {
    pct stop 100 || true
    pct destroy 100
    rm -f $CACHED
}

@test "from nothing to the table of verify; the mark is gone in the end" {
    run -0 nvlxc create opencl --yes
    [[ $output == *"[1/9] fetch the system template debian-13-standard"*"[9/9] remove the mark"* ]]
    [[ $output == *"cuda-kernel"*"pass"* ]]
    says "100 is done"
    [ -e $CACHED ]
    [ ! -e $RECORD ]
    run -0 cat $CONF
    [[ $output == "arch: amd64"$'\n'"cores: 1"*"lxc.hook.mount: "* && $output != *"nvlxc create"* ]]
    run -0 inside 100 cat /root/version
    [[ $output == clinfo* ]]
    # the next one has the next number
    run -0 nvlxc create opencl --dry-run
    [[ $output == *"create CT 101"* ]]
    remove
}

@test "a step that fails: undone, nothing of it is left; what was there before stays" {
    local before
    for before in no yes; do
        [ $before = no ] || pveam download local debian-13-standard_13.1-2_amd64.tar.zst
        run -1 nvlxc create broken --yes
        [[ $output == *"cannot install broken in it, 2 of 2: it ended with status 7"*"try: nvlxc create --undo 100"* ]]
        grep -qx '#nvlxc create' $CONF
        run -0 nvlxc create --undo 100 --yes
        [ ! -e $CONF ] && [ ! -e $RECORD ] && [ ! -e /var/lib/lxc/100 ]
        [ -e $CACHED ] || [ $before = no ]
        [ ! -e $CACHED ] || [ $before = yes ]
    done
    rm $CACHED
}

@test "killed while pct makes it: the half is removed, and it is made" {
    # as a pct that was killed leaves it
    run -1 nvlxc create broken --yes
    pct stop 100
    echo 'lock: create' > $CONF
    jq '(.steps[] | select(.id == "create") | .done) = "begun" | .steps |= [.[] | if .id == "create" or .id == "fetch" then . else .done = "no" end]' \
        $RECORD > /run/record && cp /run/record $RECORD
    run -1 nvlxc create broken --yes
    [[ $output == *"100 was begun before"*"[2/9] create CT 100"*"cannot install broken in it, 2 of 2"* ]]
    ! grep -q '^lock:' $CONF
    run -0 nvlxc create --undo 100 --yes
}

@test "a number that another guest has, and a CT of somebody else's, are left alone" {
    touch /etc/pve/nodes/pve/qemu-server/100.conf
    run -0 nvlxc create opencl --dry-run
    [[ $output == *"create CT 101"* ]]
    rm /etc/pve/nodes/pve/qemu-server/100.conf
    printf 'arch: amd64\nhostname: mine\n' > $CONF
    run -1 nvlxc create opencl --ctid 100 --yes
    [[ $output == *"the container 100 is there already"* ]]
    [ "$(sed -n 2p $CONF)" = 'hostname: mine' ]
    rm $CONF
}
