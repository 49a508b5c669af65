# nvlxc create on plain LXC: from nothing to the table of verify, with a real container, a real Debian, and a program of
# Debian's that is really installed in it. There is no network: its packages lie in the root file system's archive.
load setup
# shellcheck source=/dev/null
source "$NVL_SOURCE/tests/lib/stub-driver.bash"

STUBS=/run/stubs
ARCHIVE=/srv/debian.tar
C=/var/lib/lxc/opencl
RECORD=/var/lib/nvlxc/create/opencl.json

setup_file() {
    local root=/srv/root
    nvlxc driver sync --quiet
    build_stubs $STUBS
    stub_bundle $STUBS 550.163.01
    ip link add lxcbr0 type bridge
    ip link set lxcbr0 up
    # LXC looks for it in the sysfs of this network namespace
    mkdir -p /run/sys /sys/devices/virtual
    mount -t sysfs sysfs /run/sys
    mount --bind /run/sys/class/net /sys/class/net
    mount --bind /run/sys/devices/virtual /sys/devices/virtual
    "$NVL_SOURCE/tests/lib/rootfs" debian-13 "$NVL_CACHE/rootfs" $root
    mkdir -p $root/opt/debs
    cp "$NVL_CACHE"/packages-trixie/{clinfo,ocl-icd-libopencl1}_*_amd64.deb $root/opt/debs/
    printf '#!/bin/sh\nexec sleep 100000\n' > $root/sbin/init
    chmod 755 $root/sbin/init
    # a driver behind the nodes
    install -m 755 $STUBS/stub-open.so $root/usr/local/lib/
    echo /usr/local/lib/stub-open.so > $root/etc/ld.so.preload
    : > $root/etc/stub-driver
    # where a network would be
    echo '127.0.0.1 localhost deb.debian.org' > $root/etc/hosts
    tar -C $root -cf $ARCHIVE .
    rm -r $root
    mkdir -p /etc/nvlxc/templates
    cat > /etc/nvlxc/templates/opencl.json <<'T'
{"summary": "clinfo", "capabilities": "compute,utility", "memory": 512, "cores": 1, "disk": 1,
 "install": ["dpkg --configure -a; dpkg --install /opt/debs/*.deb", "clinfo --version > /root/version"],
 "url": "http://ADDRESS:8080/", "then": ["look at it"]}
T
}

teardown_file() {
    stop opencl || true
}

CREATE=(nvlxc create opencl --template-archive $ARCHIVE --ip 10.0.3.5/24)

create() {
    "${CREATE[@]}" "$@"
}

remove() {
    [ -e $C/config ] || { rm -rf $C; return; }
    stop opencl || true
    nvlxc detach opencl --quiet
    rm -rf $C
}

# gone: nothing of it is left.
gone() {
    [ ! -e $C ] && [ ! -e $RECORD ] && [ ! -e /dev/nvlxc/opencl ]
}

@test "from nothing to the table of verify, in one command" {
    run -0 create --yes
    # who could open the lock could hold it
    [ "$(stat -c %a /run/nvlxc/create.lock)" = 600 ]
    [[ $output == *"[1/9] make the root file system of opencl"*"[8/9] "*"remove the mark"* ]]
    [[ $output == *"cuda-kernel"*"pass"* ]]
    says "open: http://10.0.3.5:8080/" "for you to do: look at it" "opencl is done"
    run -0 inside opencl cat /root/version
    [[ $output == clinfo* ]]
    [ ! -e $RECORD ]
    [ ! -e $C/.nvlxc-create ]
    grep -q '^lxc.net.0.ipv4.address = 10.0.3.5/24$' $C/config
    run -0 nvlxc show opencl
    [ "$(stat -c %u $C/rootfs)" = 100000 ]
}

@test "one that is there and not create's is left alone" {
    run -1 create --yes
    [[ $output == *"the container opencl is there already"* ]]
    run -1 nvlxc create --undo opencl --yes
    [[ $output == *"has nothing unfinished of the name 'opencl'"* && $output != *"try:"* ]]
    run -0 inside opencl true
    remove
}

@test "killed in each of its steps, and run again: the same in the end" {
    local n hit=""
    for n in 1 2 3 4 5 6 7 8 9; do
        hit+=" $(killed_in opencl "$n" "${CREATE[@]}" --yes)"
        [ -e $RECORD ] || { remove; continue; }
        if [ -e $C/config ] && [ ! -e $C/.nvlxc-create ]; then # the last step had done its work
            run -1 create --yes
            says "is there already"
        else
            run -0 create --yes
            [[ $output == *"opencl was begun before"* ]]
        fi
        run -0 inside opencl test -s /root/version
        run -0 nvlxc show opencl
        [ ! -e $RECORD ]
        remove
    done
    echo "killed in:$hit"
    [ "$(tr ' ' '\n' <<< "$hit" | sed '/^$/d' | sort -u | wc -l)" -ge 4 ]
    [[ $hit == *create*start*install* ]]
}

@test "a step that fails: its own words, what to do; then undone: nothing is left" {
    jq '.install[1] = "echo no such thing >&2; echo try: rm -rf / >&2; exit 7"' /etc/nvlxc/templates/opencl.json > /run/broken
    cp /run/broken /etc/nvlxc/templates/broken.json
    run -1 nvlxc create broken --hostname opencl --template-archive $ARCHIVE --ip 10.0.3.5/24 --yes
    [[ $output == *"      echo no such thing >&2; "*"; exit 7"*"cannot install broken in it, 2 of 2: it ended with status 7:"*"no such thing"* ]]
    [[ $output == *"try: nvlxc create --undo opencl"* ]]
    # what the container said looks like no advice
    [[ $output == *$'\n  try: rm -rf /'* && $output != *$'\ntry: rm'* ]]
    grep -q 'no such thing' /var/log/nvlxc-create.log
    # another plan for the same name
    run -1 create --yes
    [[ $output == *"was begun from the template broken with other values"* ]]
    run -0 nvlxc create --undo opencl --yes
    gone
    run lxc-info -n opencl
    [ "$status" -ne 0 ]
}

@test "one that was made in the meantime under that name is not undone" {
    run -1 nvlxc create broken --hostname opencl --template-archive $ARCHIVE --ip 10.0.3.5/24 --yes
    stop opencl
    rm -rf $C
    # killed before there was a mark
    mkdir $C
    cp $RECORD /run/record
    run -0 nvlxc create --undo opencl --yes
    gone
    cp /run/record $RECORD
    make_container opencl debian-12
    run -1 nvlxc create --undo opencl --yes
    [[ $output == *"is not the one that nvlxc create began: nothing is removed"* ]]
    [ -e $C/config ]
    rm -rf $C $RECORD
}

@test "a record that is damaged, or that others can write, is not believed" {
    mkdir -p ${RECORD%/*}
    echo '{"container": "opencl"' > $RECORD
    run -1 create --yes
    [[ $output == *"$RECORD is damaged, so what was made is not known"* ]]
    echo '{"container": "other", "template": "x", "config_path": "/x", "steps": []}' > $RECORD
    run -1 nvlxc create --undo opencl --yes
    [[ $output == *"$RECORD is damaged"* ]]
    echo '{"container": "opencl", "template": "x", "config_path": "/x", "lxc": true, "steps": [{"id": "a", "done": "yes", "command": "true", "undo": "touch /run/undone"}]}' > $RECORD
    chmod 666 $RECORD
    run -1 nvlxc create --undo opencl --yes
    [[ $output == *"is not believed: others can write it"* ]]
    [ ! -e /run/undone ]
    chmod 644 $RECORD
    run -0 nvlxc create --undo opencl --yes
    [ -e /run/undone ] && [ ! -e $RECORD ]
    run -1 nvlxc create --undo ../driver --yes
}

@test "one that ended behind its last step only forgets the record" {
    run -0 create --yes
    run -1 create --yes
    printf '{"container": "opencl", "template": "opencl", "config_path": "%s", "lxc": true, "steps": [{"id": "finish", "done": "begun", "command": "true"}]}' \
        $C/config > $RECORD
    run -1 create --yes
    [[ $output == *"is there already"* ]]
    [ ! -e $RECORD ]
    remove
}
