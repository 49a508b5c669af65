# The ways to carry a grant out, with real LXC: who brings the nodes, and where the driver's files come from. Proxmox's own
# dev[n] entries cannot be started here: their lines are checked against its grammar by the unit tests of plans.
load setup

setup_file() {
    # the host is the machine's own release: the one whose library folder fits
    . /etc/os-release
    nvlxc driver sync --quiet
    make_container ct "debian-$VERSION_ID"
    make_container other "debian-$([ "$VERSION_ID" = 12 ] && echo 13 || echo 12)"
    make_container priv "debian-$VERSION_ID" privileged
    for name in ct priv other; do cp "/var/lib/lxc/$name/config" "/run/$name.plain"; done
}

setup() {
    : > /run/syslog
}

teardown() {
    local name
    for name in ct other priv; do stop "$name" 2> /dev/null || true; done
}

NODES="nvidia0 nvidiactl nvidia-uvm nvidia-uvm-tools"

# gives_nodes NAME: each can be opened, and is the device that it should be.
gives_nodes() {
    local node
    for node in $NODES; do
        [ "$(opens "$1" "/dev/$node")" = allowed ] || { echo "$node: $(opens "$1" "/dev/$node")"; return 1; }
        [ "$(inside "$1" stat -c %t:%T "/dev/$node")" = "$(stat -c %t:%T "/dev/$node")" ]
    done
}

# attach_and_start NAME WAYS...
attach_and_start() {
    nvlxc attach "$@" && start "$1"
}

# back NAME: detached, the config is as it was.
back() {
    stop "$1"
    nvlxc detach "$1" && cmp "/var/lib/lxc/$1/config" "/run/$1.plain"
}

@test "static nodes, bundle" {
    run -0 attach_and_start ct --nodes static
    gives_nodes ct
    run -0 loads ct libcuda.so.1
    [ "$output" = $BUNDLE/lib64/libcuda.so.550.163.01 ]
    run -9 inside ct nvidia-smi
    says "couldn't communicate with the NVIDIA driver"
    run -0 syslog_of ct
    says "driver 550.163.01"
    [[ $output != *devices* ]]
    [[ $output != *but:* ]]
    # the driver's own view is narrowed in every way
    run -0 inside ct cat /proc/driver/nvidia/params
    says "ModifyDeviceFiles: 0"
    run -0 back ct
}

@test "static nodes, bundle, privileged: through the allow-list" {
    run -0 attach_and_start priv --nodes static
    gives_nodes priv
    [ "$(opens priv /dev/null)" = allowed ]
    run -0 back priv
}

@test "static nodes, the host's libraries" {
    run -0 attach_and_start ct --nodes static --libraries host
    gives_nodes ct
    run -0 loads ct libcuda.so.1
    [[ $output == /usr/lib/x86_64-linux-gnu/nvidia/current/libcuda.so.550.163.01 ]]
    run -0 loads ct libnvidia-ml.so.1
    [[ $output == /usr/lib/x86_64-linux-gnu/nvidia/current/libnvidia-ml.so.550.163.01 ]]
    run -9 inside ct /opt/nvidia-container/nvidia-smi
    says "couldn't communicate with the NVIDIA driver"
    run ! inside ct test -e $BUNDLE/lib64
    run ! inside ct sh -c 'echo x > /usr/lib/x86_64-linux-gnu/new'
    # the hook had nothing to do, and nothing to say
    run -1 syslog_of ct
    # its own programs, on the host's libraries
    run -0 inside ct apt-get --version
    run -0 back ct
}

@test "the hook's nodes, the host's libraries" {
    run -0 attach_and_start ct --libraries host
    gives_nodes ct
    run -0 loads ct libcuda.so.1
    [[ $output == /usr/lib/x86_64-linux-gnu/nvidia/current/libcuda.so.550.163.01 ]]
    run -0 back ct
}

@test "the host's libraries in another release: refused; --force insists, with a warning" {
    run -1 nvlxc attach other --libraries host
    says "are not of the same release"
    cmp /var/lib/lxc/other/config /run/other.plain
    run -0 nvlxc attach other --libraries host --force
    says "may find libraries that are too new or too old"
    run -0 nvlxc detach other
    cmp /var/lib/lxc/other/config /run/other.plain
}

@test "static nodes, no libraries" {
    run -0 attach_and_start ct --nodes static --libraries none
    gives_nodes ct
    run ! inside ct nvidia-smi
    [ -z "$(loads ct libcuda.so.1 2> /dev/null)" ]
    run ! inside ct test -e $BUNDLE/lib64
    run -0 back ct
}

@test "the hook's nodes, no libraries" {
    run -0 attach_and_start ct --libraries none
    gives_nodes ct
    [ -z "$(loads ct libcuda.so.1 2> /dev/null)" ]
    run ! inside ct test -e $BUNDLE/lib64
    run -0 syslog_of ct
    says "devices $NODES"
    [[ $output != *"driver 550"* ]]
    run -0 back ct
}

@test "static nodes are made before they are mounted, where they are missing on the host" {
    rm /dev/nvidia-uvm /dev/nvidia-uvm-tools
    run -0 attach_and_start ct --nodes static --libraries none
    gives_nodes ct
    run -0 back ct
}

@test "static nodes: one that the config lacks is said; --required refuses the start" {
    run -0 nvlxc attach ct --nodes static
    sed -i '/mount.entry = .dev.nvidia-uvm /d' /var/lib/lxc/ct/config
    run -0 start ct
    [ "$(opens ct /dev/nvidia-uvm)" = missing ]
    run -0 syslog_of ct
    says "the config's mount entries did not add /dev/nvidia-uvm"
    run -1 nvlxc show ct
    says "not among them: /dev/nvidia-uvm"
    stop ct
    run -0 nvlxc attach ct --nodes static --required
    sed -i '/mount.entry = .dev.nvidia-uvm /d' /var/lib/lxc/ct/config
    run -1 start ct
    run -0 nvlxc attach ct --nodes static --required
    run -0 start ct
    gives_nodes ct
    run -0 back ct
}

@test "static nodes are today's: another uvm major is another start's, without a change" {
    run -0 attach_and_start ct --nodes static
    stop ct
    cp /var/lib/lxc/ct/config /run/ct.attached
    simulate_uvm_major 511
    run -0 start ct
    gives_nodes ct
    cmp /var/lib/lxc/ct/config /run/ct.attached
    run -0 back ct
    simulate_host a5500-550
}

@test "display nodes: static ones too" {
    run -0 attach_and_start priv --nodes static --capabilities graphics
    run -0 nvlxc --json show priv
    local node
    for node in $(jq -r '.nodes[].path | select(startswith("/dev/dri"))' <<< "$output"); do
        [ "$(inside priv stat -c %t:%T "$node")" = "$(stat -c %t:%T "$node")" ]
    done
    run -0 back priv
}

@test "from way to way, each start has what the config says" {
    local ways
    for ways in '--nodes static' '--nodes hook --libraries none' '--nodes static --libraries host' ''; do
        # shellcheck disable=SC2086 # several words
        run -0 attach_and_start ct $ways
        gives_nodes ct
        stop ct
    done
    run -0 start ct
    run -0 loads ct libcuda.so.1
    [ "$output" = $BUNDLE/lib64/libcuda.so.550.163.01 ]
    run -0 back ct
}

@test "lines by hand start a container; replaced, it has the same and more" {
    cat >> /var/lib/lxc/ct/config << 'LINES'
lxc.mount.entry = /dev/nvidia0 dev/nvidia0 none bind,optional,create=file
lxc.mount.entry = /dev/nvidiactl dev/nvidiactl none bind,optional,create=file
lxc.mount.entry = /dev/nvidia-uvm dev/nvidia-uvm none bind,optional,create=file
lxc.mount.entry = /dev/nvidia-uvm-tools dev/nvidia-uvm-tools none bind,optional,create=file
LINES
    run -0 start ct
    gives_nodes ct
    stop ct
    run -0 nvlxc attach ct --replace
    run -0 start ct
    gives_nodes ct
    run -0 loads ct libcuda.so.1
    [ "$output" = $BUNDLE/lib64/libcuda.so.550.163.01 ]
    run -0 back ct
}

@test "--with: nodes of other modules, sockets and folders, open in the container; a number that changes is looked up" {
    mkdir -p /tmp/nvidia-mps /dev/nvidia-caps-imex-channels /run/nvidia-persistenced
    mknod -m 666 /dev/gdrdrv c 242 0
    mknod -m 666 /dev/nvidia-caps-imex-channels/channel1 c 243 1
    : > /run/nvidia-persistenced/socket
    : > /tmp/nvidia-mps/control
    local name
    for name in ct priv; do
        run -0 nvlxc attach $name --with mps,persistenced,gdrcopy,imex=1
        run -0 start $name
        [ "$(opens $name /dev/gdrdrv)" = allowed ]
        [ "$(opens $name /dev/nvidia-caps-imex-channels/channel1)" = allowed ]
        inside $name test -e /tmp/nvidia-mps/control -a -e /run/nvidia-persistenced/socket
        stop $name
    done
    # after a reboot the module has another major
    rm /dev/gdrdrv
    mknod -m 666 /dev/gdrdrv c 244 0
    run -0 start priv
    [ "$(opens priv /dev/gdrdrv)" = allowed ]
    [ "$(inside priv stat -c %t /dev/gdrdrv)" = f4 ]
    stop priv
    # what the host lacks is left out, and stops nothing
    rm -r /dev/gdrdrv /dev/nvidia-caps-imex-channels /tmp/nvidia-mps /run/nvidia-persistenced
    for name in ct priv; do
        run -0 start $name
        [ "$(opens $name /dev/nvidia0)" = allowed ]
        run -0 back $name
    done
}
