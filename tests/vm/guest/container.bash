# shellcheck shell=bash
# What a container sees. Sourced by bash.

# lxc TOOL NAME [ARGUMENT...]: one of LXC's tools, also on a container of Incus, whose own client takes seconds for an answer.
lxc() {
    local folder=/var/lib/lxc
    [ "${2#incus/}" = "$2" ] || folder=/var/lib/incus/containers
    "$1" -P $folder -n "${2#incus/}" "${@:3}"
}

inside() {
    lxc lxc-attach "$1" --clear-env -v PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin -- "${@:2}" </dev/null
}

# Each of NVIDIA's nodes in its /dev, and whether it really opens.
nodes() {
    # shellcheck disable=SC2016 # expanded in the container
    inside "$1" sh -c '
        cd /dev
        for node in nvidia[0-9]* nvidiactl nvidia-modeset nvidia-uvm* nvidia-caps/*; do
            [ -e "$node" ] || continue
            if why=$( (exec 3<"$node") 2>&1); then echo "$node opens"; else echo "$node: $why"; fi
        done'
}

# numbers NAME NODE...: major and minor of its nodes, in decimal.
numbers() {
    local name=$1
    shift
    inside "$name" stat -c '%n %Hr:%Lr' "$@"
}

# refuses NAME MAJOR:MINOR...: none of these can be opened in it, by a node that its own root makes.
refuses() {
    # shellcheck disable=SC2016 # expanded in the container
    inside "$1" sh -c '
        for number; do
            rm -f /root/node
            mknod /root/node c "${number%:*}" "${number#*:}" 2>/dev/null && (exec 3</root/node) 2>/dev/null || continue
            echo "opens $number"
            exit 1
        done' sh "${@:2}"
}

# The files that its loader takes for the driver's libraries.
libraries() {
    # shellcheck disable=SC2016 # expanded in the container
    inside "$1" sh -c 'try-dlopen "$@" | sed "s/.*: //" | xargs readlink -f' sh \
        libcuda.so.1 libnvidia-ml.so.1 libnvidia-ptxjitcompiler.so.1
}

is_running() {
    is RUNNING lxc lxc-info "$1" -sH
}

restart() {
    case $1 in
    incus/*) restart_in_incus "${1#incus/}" ;;
    *) restart_in_lxc "$1" ;;
    esac
}

restart_in_lxc() {
    ! lxc-info -n "$1" -sH | grep -q RUNNING || lxc-stop -n "$1" -k || return
    lxc-start -n "$1" -d -l INFO -o "/run/$1.log" || {
        grep -E " (ERROR|WARN) " "/run/$1.log"
        return 1
    }
}

restart_in_incus() {
    ! is_running "incus/$1" >/dev/null || incus stop --force "$1" || return
    incus start "$1" || {
        incus info "$1" --show-log
        return 1
    }
}
