# Units in a container that boots systemd: what they close to their service, and the fixes as they are printed.
load setup
# shellcheck source=/dev/null
source "$NVL_SOURCE/tests/lib/json.bash"

setup_file() {
    nvlxc driver sync --quiet
    local name
    "$NVL_SOURCE/tests/bench/booting" boot
    # the same, privileged
    mkdir -p /var/lib/lxc/open/rootfs
    tar --numeric-owner -C /var/lib/lxc/open/rootfs -xpf "$NVL_CACHE"/bench/booting-*.tar
    {
        echo 'lxc.include = /usr/share/lxc/config/common.conf'
        container_lines open /var/lib/lxc/open | sed 's|^lxc.init.cmd = .*|lxc.init.cmd = /sbin/init|'
    } > /var/lib/lxc/open/config
    for name in boot open; do
        # what the service sees of its node, at each of its starts: a line
        cat > /var/lib/lxc/$name/rootfs/usr/bin/looks <<'SH'
#!/bin/sh
for node in /dev/nvidia0 /dev/dri/renderD128; do
    (exec 3< $node) 2>&1 | sed -E 's/.*: //; s/.*(No such file|Directory nonexistent).*/No such file/'
done > /run/seen.new
mv /run/seen.new /run/seen
exec sleep 100000
SH
        chmod 755 /var/lib/lxc/$name/rootfs/usr/bin/looks
    done
    # its systemd asks /proc/devices for names, as procfs would show them with the driver
    cp /proc/devices /run/devices
    echo 'lxc.mount.entry = /run/devices proc/devices none bind 0 0' >> /var/lib/lxc/open/config
    chgrp 991 /dev/dri/renderD128
    for name in boot open; do
        nvlxc attach $name --capabilities compute,utility,graphics --quiet
        start $name
        inside $name timeout 60 cat /up
    done
}

teardown_file() {
    stop boot || true
    stop open || true
}

# unit NAME LINE...: its service ollama, started anew.
unit() {
    printf '%s\n' '[Service]' ExecStart=/usr/bin/looks "${@:2}" > "/var/lib/lxc/$1/rootfs/etc/systemd/system/ollama.service"
    inside "$1" sh -c 'rm -rf /etc/systemd/system/ollama.service.d /run/seen; systemctl daemon-reload; systemctl restart ollama'
}

# seen NAME: what it has seen; there is no driver behind the nodes.
seen() {
    local i
    for i in $(seq 100); do
        if inside "$1" test -e /run/seen; then
            inside "$1" cat /run/seen
            return
        fi
        sleep 0.1
    done
    inside "$1" systemctl status ollama
    return 1
}
OPEN='No such device or address'

# finding NAME ID KEY: of what doctor says.
finding() {
    nvlxc --json doctor "$1" | jq -r --arg id "$2" --arg key "$3" '.findings[] | select(.id == $id) | .[$key] | '"$JQ_WORDS"
}

# mended NAME ID: the fix is pasted as it is printed; then the service has both nodes, and doctor has nothing to say of it.
mended() {
    local fix
    fix=$(finding "$1" "$2" fix)
    inside "$1" rm -f /run/seen
    bash -c "$fix" < /dev/null
    [ "$(seen "$1")" = "$OPEN"$'\n'"$OPEN" ] || { echo "$fix"; seen "$1"; inside "$1" sh -c 'tail -n 20 /etc/systemd/system/ollama.service.d/*'; return 1; }
    [ -z "$(finding "$1" "$2" title)" ]
}

@test "PrivateDevices: the nodes are gone, and come back by the fix" {
    unit boot PrivateDevices=yes
    [ "$(seen boot)" = $'No such file\nNo such file' ] || { seen boot; false; }
    [ "$(finding boot unit-closes-gpu severity)" = error ]
    mended boot unit-closes-gpu
}

@test "both keys, unprivileged and privileged" {
    local name
    for name in boot open; do
        unit $name 'PrivateDevices = yes' DevicePolicy=closed 'InaccessiblePaths=-/dev/dri /mnt'
        [ "$(seen $name)" = $'No such file\nNo such file' ] || { seen $name; false; }
        mended $name unit-closes-gpu
        grep -x InaccessiblePaths=/mnt /var/lib/lxc/$name/rootfs/etc/systemd/system/ollama.service.d/zz-nvlxc-devices.conf
    done
}

@test "a device filter: in force in a privileged container alone" {
    unit boot DevicePolicy=closed
    [ "$(seen boot)" = "$OPEN"$'\n'"$OPEN" ] || { seen boot; false; }
    [ "$(finding boot unit-closes-gpu severity)" = note ]
    unit open DevicePolicy=closed
    [ "$(seen open)" = $'Operation not permitted\nOperation not permitted' ] || { seen open; false; }
    [ "$(finding open unit-closes-gpu severity)" = error ]
    mended open unit-closes-gpu
    # which names let a device through
    unit open 'DeviceAllow=char-nvidia rw' 'DeviceAllow=/dev/nvidia*' 'DeviceAllow=/dev/dri/renderD128'
    [ "$(seen open)" = "$OPEN"$'\n'"$OPEN" ] || { seen open; false; }
    unit open 'DeviceAllow=char-nvidia-uvm' 'DeviceAllow=/dev/nvidia*' 'DeviceAllow=char-drm'
    [ "$(seen open)" = $'Operation not permitted\n'"$OPEN" ] || { seen open; false; }
    [[ $(finding open unit-closes-gpu evidence) = *'DeviceAllow=char-nvidia-uvm (no DeviceAllow= lets through: /dev/nvidia0, /dev/nvidiactl'* ]]
    mended open unit-closes-gpu
}

@test "a service's user outside the group of the node, a dynamic one too; the fix" {
    local lines
    inside boot useradd --system plain
    inside boot sh -c 'getent group render || groupadd --system render'
    stop boot
    start boot
    inside boot timeout 60 cat /up
    for lines in 'User = plain' DynamicUser=yes; do
        unit boot "$lines" 'ExecStart=' 'ExecStart=/bin/sh -c "(exec 3<> /dev/dri/renderD128) 2>&1 | grep -q denied && exec sleep 1; exec sleep 100000"'
        [ "$(finding boot service-user-graphics severity)" = warning ]
        sleep 2
        run -3 inside boot systemctl is-active ollama
        bash -c "$(finding boot service-user-graphics fix)" < /dev/null
        [ -z "$(finding boot service-user-graphics title)" ]
        sleep 2
        run -0 inside boot systemctl is-active ollama
    done
}
