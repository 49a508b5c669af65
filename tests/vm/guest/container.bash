# shellcheck shell=bash
# What a container sees. Sourced by bash.

inside() {
    local name=$1
    shift
    lxc-attach -n "$name" --clear-env -v PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin -- "$@" </dev/null
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
    is RUNNING lxc-info -n "$1" -sH
}

restart() {
    ! lxc-info -n "$1" -sH | grep -q RUNNING || lxc-stop -n "$1" -k || return
    lxc-start -n "$1" -d -l INFO -o "/run/$1.log" || {
        grep -E " (ERROR|WARN) " "/run/$1.log"
        return 1
    }
}
