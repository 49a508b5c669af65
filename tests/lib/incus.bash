# shellcheck shell=bash disable=SC2034
# Functions for a real daemon, Incus or LXD (NVL_DAEMON), and its containers on a simulated host of its own kind (NVL_SYSTEM).
# Sourced by bash, bats among them. What lxc.bash has holds here too, where it goes by `inside`, `start` and `stop`.

# shellcheck source=/dev/null
source "$NVL_SOURCE/tests/lib/lxc.bash"

# As the packages' units start them, and with the ids that the packages gave to root.
case ${NVL_DAEMON:-} in
incus)
    daemon_path=/usr/libexec/incus:/usr/sbin:/usr/bin:/sbin:/bin
    client=incus daemon_folder=/var/lib/incus daemon_run=/run/incus daemon_log=/var/log/incus/incus.log daemon_group=incus-admin
    daemon_program=/usr/libexec/incus/incusd daemon_admin=(incus admin)
    ;;
lxd)
    daemon_path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    client=lxc daemon_folder=/var/lib/lxd daemon_run=/var/log/lxd daemon_log=/var/log/lxd/lxd.log daemon_group=lxd
    daemon_program=/usr/bin/lxd daemon_admin=(lxd)
    ;;
*)
    echo "incus.bash: NVL_DAEMON must be incus or lxd" >&2
    return 2
    ;;
esac
daemon_socket=$daemon_folder/unix.socket

# detached LOG COMMAND...: runs it in the background, with nothing of its caller's open, for whose end bats would wait.
detached() (
    exec < /dev/null > "$1" 2>&1
    shift
    cd /
    for fd in /proc/self/fd/*; do
        fd=${fd##*/}
        [ "$fd" -le 2 ] || eval "exec $fd>&-"
    done
    exec setsid "$@" &
    echo $! > /run/detached
)

# daemon_start [VARIABLE=VALUE...]: the daemon runs and answers. Its containers that ran before, still run. As systemd does, it
# gives it no environment of its own but these; INCUS_IDMAPPED_MOUNTS_DISABLE=1 and LXD_… have it shift the owners of files.
daemon_start() {
    mkdir -p "$(dirname "$daemon_log")"
    if ! mountpoint -q /var/lib/lxcfs; then
        # the daemons' units want it
        detached /run/lxcfs.log lxcfs /var/lib/lxcfs
        for _ in $(seq 100); do ! mountpoint -q /var/lib/lxcfs || break; sleep 0.1; done
    fi
    detached /run/daemon.out env -i PATH="$daemon_path" LANG=C.UTF-8 "$@" "$daemon_program" --group "$daemon_group" --logfile "$daemon_log"
    mv /run/detached /run/daemon.pid
    for _ in $(seq 60); do
        daemon_lives || break
        ! "$daemon_program" waitready --timeout=1 2> /dev/null || return 0
    done
    echo "$NVL_DAEMON did not start; it said:" >&2
    cat /run/daemon.out >&2
    return 1
}

# A process that has ended stays as a zombie until somebody asks for it.
daemon_lives() {
    grep -qs '^State:[[:space:]]*[^Z]' "/proc/$(cat /run/daemon.pid)/status"
}

# daemon_gone: waits until the process has ended.
daemon_gone() {
    for _ in $(seq 300); do
        daemon_lives || return 0
        sleep 0.1
    done
    echo "$NVL_DAEMON does not end; it said:" >&2
    tail -n 50 /run/daemon.out >&2
    return 1
}

# daemon_stop: as at an upgrade of its package: containers run on. The socket goes, unlike systemd's.
daemon_stop() {
    kill -TERM "$(cat /run/daemon.pid)" && daemon_gone
}

# daemon_kill: as where it crashed.
daemon_kill() {
    kill -KILL "$(cat /run/daemon.pid)" && daemon_gone
}

# daemon_end: all containers are stopped, then the daemon.
daemon_end() {
    timeout 60 "${daemon_admin[@]}" shutdown --timeout 30 && daemon_gone
}

# daemon_init: a storage pool of plain folders, and a default profile with a root disk on it and without a network.
daemon_init() {
    "${daemon_admin[@]}" init --preseed << 'PRESEED'
storage_pools:
- name: default
  driver: dir
profiles:
- name: default
  devices:
    root:
      path: /
      pool: default
      type: disk
PRESEED
}

# image_import KIND [ALIAS [OPTION...]]: an image of a root file system of tests/lib/rootfs; options are the client's.
image_import() {
    local kind=$1 alias=${2:-$1} folder=/run/image
    shift $(($# > 1 ? 2 : 1))
    "$NVL_SOURCE/tests/lib/rootfs" "$kind" "$NVL_CACHE/rootfs" || return
    rm -rf $folder
    mkdir -p $folder
    cat > $folder/metadata.yaml << METADATA
architecture: x86_64
creation_date: 1700000000
properties:
  os: ${kind%%-*}
  release: "${kind##*-}"
  description: $kind
METADATA
    tar -C $folder -cf $folder/metadata.tar metadata.yaml
    ln -s "$NVL_CACHE/rootfs/$kind"-[0-9]*.tar $folder/rootfs.tar
    "$client" image import $folder/metadata.tar $folder/rootfs.tar --alias "$alias" "$@" > /run/image.out 2>&1 || {
        cat /run/image.out >&2
        return 1
    }
}

# launch NAME [OPTION...]: a container of the image `small` that runs.
launch() {
    "$client" launch small "$@" < /dev/null > /run/launch.out 2>&1 || {
        cat /run/launch.out >&2
        return 1
    }
}

# daemon_ask PATH [OPTION...]: the daemon's own answer, by curl; options are curl's.
daemon_ask() {
    local path=$1
    shift
    curl --silent --show-error --max-time 60 --unix-socket "$daemon_socket" "$@" "http://daemon$path"
}

# start NAME [--project PROJECT] / stop NAME [--project PROJECT]: 0 where it runs / once it is gone. A failed start prints
# LXC's log, and ends when the daemon is done with it: until then it says of the container that it is busy, or that it runs.
start() {
    local name=${3:+${3}_}$1 said=''
    ! "$client" start "$@" < /dev/null || return 0
    for _ in $(seq 200); do
        said=$("$client" info --show-log "$@" < /dev/null 2>&1) || true
        # the log is whole when LXC has ended
        pgrep -f "^\[lxc monitor\] .* $name\$" > /dev/null || [[ $said != *' ERROR '* ]] || break
        sleep 0.1
    done
    echo "$said" >&2
    return 1
}
stop() {
    "$client" stop --force "$@" < /dev/null
}

# inside NAME COMMAND...: as the container's root. What a program prints in its last moment may be lost on the daemon's way to its
# client (one in a hundred on a busy machine), so the end waits a little.
inside() {
    local name=$1
    shift
    # shellcheck disable=SC2016 # expanded in the container
    "$client" exec "$name" -- sh -c '"$@"; ended=$?; sleep 0.3; exit $ended' sh "$@" < /dev/null
}
