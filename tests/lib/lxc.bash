# Functions for real LXC containers on a simulated host. Sourced by bash, bats among them.

# make_container NAME KIND [unprivileged|privileged]: KIND is one of tests/lib/rootfs. Its config is the one that Debian's
# lxc-create writes, without a network; /proc/driver is shown in it as procfs would show the real one.
make_container() {
    local name=$1 kind=$2 privilege=${3:-unprivileged} dir=/var/lib/lxc/$1
    mkdir -p "$dir"
    "$NVL_SOURCE/tests/lib/rootfs" "$kind" "$NVL_CACHE/rootfs" "$dir/rootfs" || return
    {
        echo "lxc.include = /usr/share/lxc/config/common.conf"
        if [ "$privilege" = unprivileged ]; then
            echo "lxc.include = /usr/share/lxc/config/userns.conf"
            echo "lxc.idmap = u 0 100000 65536"
            echo "lxc.idmap = g 0 100000 65536"
        fi
        container_lines "$name" "$dir"
    } > "$dir/config"
    [ "$privilege" = privileged ] || "$NVL_SOURCE/tests/lib/shift-owner" "$dir/rootfs" 100000
}

container_lines() {
    cat <<EOF
lxc.uts.name = $1
lxc.arch = linux64
lxc.rootfs.path = dir:$2/rootfs
lxc.net.0.type = empty
lxc.init.cmd = /bin/sleep 100000
lxc.mount.entry = /proc/driver proc/driver none rbind,optional 0 0
EOF
}

# start NAME / stop NAME: 0 where it runs / once it is gone. A failed start prints LXC's errors.
start() {
    rm -f "/run/lxc-$1.log"
    lxc-start -n "$1" -d -l INFO -o "/run/lxc-$1.log" || { grep -E ' (ERROR|WARN) ' "/run/lxc-$1.log" >&2; return 1; }
}
stop() {
    lxc-stop -n "$1" -k
}

# inside NAME COMMAND...: as the container's root, with a plain environment.
inside() {
    local name=$1
    shift
    lxc-attach -n "$name" --clear-env -v PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin -- "$@" < /dev/null
}

# opens NAME PATH: what opening the node says: "allowed" (the filter lets it through; there is no driver behind it, ENXIO, or
# it really opens), "filtered" (EPERM), "missing", "denied" (EACCES).
opens() {
    # shellcheck disable=SC2016 # expanded in the container
    inside "$1" sh -c 'exec 3<"$1"' sh "$2" 2>&1 | {
        text=$(cat)
        case $text in
            '' | *'No such device or address'*) echo allowed ;;
            *'Operation not permitted'*) echo filtered ;;
            *'No such file'* | *'nonexistent'*) echo missing ;;
            *'Permission denied'*) echo denied ;;
            *) echo "$text" ;;
        esac
    }
}

# loads NAME SONAME: the file that the container's loader takes for it, as it stands in the process's memory map.
loads() {
    # shellcheck disable=SC2016 # expanded in the container
    inside "$1" sh -c 'LD_PRELOAD=$1 cat /proc/self/maps' sh "$2" | sed -n "s|.* \(/.*/${2%%.so*}\.so.*\)|\1|p" | sort -u
}

# listing DIR: everything in a tree that a start could leave something in: names, types, modes, owners, links, contents.
# Left out is what the container's own apt writes, and the bytes of the linker's cache, which is written anew from the same
# libraries (what it says is another question).
listing() {
    (cd "$1" && find . -xdev -printf '%P %y %m %U:%G %l\n' | sort &&
        find . -xdev -type f -print0 | sort -z | xargs -0 sha256sum) |
        grep -v -e '^[0-9a-f]\{64\}  \./etc/ld\.so\.cache$' -e '^[0-9a-f]\{64\}  \./var/cache/ldconfig/aux-cache$' -e var/cache/apt/
}

# more_starts_leave_nothing NAME COUNT: so many more starts leave its root file system as one start leaves it.
more_starts_leave_nothing() {
    local root=/var/lib/lxc/$1/rootfs
    start "$1" && stop "$1" || return
    listing "$root" > "/run/$1.one"
    for _ in $(seq "$2"); do
        start "$1" && stop "$1" || return
    done
    listing "$root" > "/run/$1.more"
    diff "/run/$1.one" "/run/$1.more"
}

# read_syslog: all that was said so far is in /run/syslog. What reads the log's socket may be behind: a mark shows when it has
# come so far; the mark's own line goes.
read_syslog() {
    local mark=mark-$RANDOM$RANDOM try
    logger -t mark "$mark"
    for try in $(seq 200); do
        ! grep -aq "$mark" /run/syslog || break
        sleep 0.05
    done
    [ "$try" -lt 200 ] || { echo "read_syslog: the log is not read" >&2; return 1; }
}

# is_silent: nothing was said.
is_silent() {
    read_syslog && ! grep -av ' mark\(\[[0-9]*\]\)\?: mark-' /run/syslog | grep -aq .
}

# forget_syslog: what was said so far, and may come late, is not this test's.
forget_syslog() {
    read_syslog
    : > /run/syslog
}

# syslog_of NAME: what the hook has said of the container.
syslog_of() {
    read_syslog || return
    grep -a "nvlxc\[.*\]: $1:" /run/syslog
}

# killed_in CT N COMMAND…: a run of `create` that is killed, with all that it started, as soon as its Nth step is begun; prints
# the step's id, or nothing if it was faster.
killed_in() {
    local record=/var/lib/nvlxc/create/$1.json number=$2 run count=0
    shift 2
    setsid "$@" > /run/create.out 2>&1 3>&- &
    run=$!
    while [ -e /proc/$run ] && [ "${count:-0}" -lt "$number" ]; do
        count=$(grep -c '"done": "\(begun\|yes\|before\)"' "$record" 2> /dev/null || true)
    done
    pkill -KILL -s $run || true
    wait $run || true
    jq -r '[.steps[] | select(.done == "begun").id] | last // empty' "$record" 2> /dev/null || true
}
