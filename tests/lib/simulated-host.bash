# Functions for what runs on a simulated host (see simulated-host): change what the driver shows. Sourced by bash.

# simulate_host FIXTURE: the machine's driver is now the one of tests/hosts/FIXTURE. Running containers keep what they have.
simulate_host() {
    local tree=$NVL_SOURCE/tests/hosts/$1
    [ -d "$tree" ] || { echo "simulate_host: no fixture $1" >&2; return 2; }
    mkdir -p /run/simulated
    if ! mountpoint -q /proc/driver; then
        mount -t tmpfs -o mode=555 tmpfs /proc/driver
        touch /run/simulated/{devices,modules}
        mount --bind /run/simulated/devices /proc/devices
        # a kernel without modules has no such file
        [ ! -e /proc/modules ] || mount --bind /run/simulated/modules /proc/modules
        mkdir -p /run/simulated/system
        mount --rbind /sys/devices/system /run/simulated/system
        mount -t tmpfs -o mode=755 tmpfs /sys/bus
        mount -t tmpfs -o mode=755 tmpfs /sys/devices
    fi
    # in place: the files are mounted
    cat "$tree/proc/devices" > /run/simulated/devices
    cat "$tree/proc/modules" > /run/simulated/modules
    rm -rf /proc/driver/* /sys/bus/*
    find /sys/devices -mindepth 1 -maxdepth 1 ! -name system -exec rm -rf {} +
    [ ! -d "$tree/proc/driver" ] || cp -a "$tree/proc/driver/." /proc/driver/
    [ ! -d "$tree/sys/bus" ] || cp -a "$tree/sys/bus/." /sys/bus/
    [ ! -d "$tree/sys/devices" ] || cp -a "$tree/sys/devices/." /sys/devices/
    chown -R 0:0 /proc/driver /sys/bus
    if [ ! -d /sys/devices/system ]; then
        mkdir /sys/devices/system
        mount --rbind /run/simulated/system /sys/devices/system
    fi
    simulate_nodes "$tree/nodes"
}

# simulate_nodes FILE: NVIDIA's device nodes are now those of FILE ("dev/nvidia0 c 195 0 0666" a line).
simulate_nodes() {
    local path type major minor mode
    rm -rf /dev/nvidia* /dev/dri
    while read -r path type major minor mode; do
        case $path in dev/nvidia* | dev/dri/*) ;; *) continue ;; esac
        mkdir -p "/$(dirname "$path")"
        if [ "$type" = f ]; then
            install -m "$mode" /dev/null "/$path"
        else
            mknod -m "$mode" "/$path" "$type" "$major" "$minor"
        fi
    done < "$1"
}

# simulate_uvm_major MAJOR: the kernel gave nvidia-uvm another major, and its nodes were made anew, as after a reboot.
simulate_uvm_major() {
    local text
    text=$(sed "s/^ *[0-9]* nvidia-uvm\$/$1 nvidia-uvm/" /proc/devices)
    printf '%s\n' "$text" > /run/simulated/devices
    rm -f /dev/nvidia-uvm /dev/nvidia-uvm-tools
    mknod -m 666 /dev/nvidia-uvm c "$1" 0
    mknod -m 666 /dev/nvidia-uvm-tools c "$1" 1
}

# simulate_module VERSION: another version of the kernel module is loaded.
simulate_module() {
    sed -E -i "s/(Module +)[0-9.]+/\1$1/" /proc/driver/nvidia/version
}

# simulate_installed BRANCH|none: the driver's packages of that branch are installed in place of those before.
simulate_installed() {
    local before file
    before=$(cat /run/simulated/installed)
    [ "$before" = none ] || (cd "$("$NVL_SOURCE/tests/lib/driver-tree" "$before")" && find . ! -type d) | while IFS= read -r file; do
        rm -f "/$file"
    done
    [ "$1" = none ] || tar -C "$("$NVL_SOURCE/tests/lib/driver-tree" "$1")" -c . | tar -C / -x
    echo "$1" > /run/simulated/installed
    ldconfig
}
