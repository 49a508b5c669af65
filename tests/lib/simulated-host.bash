# Functions for what runs on a simulated host (see simulated-host): change what the driver shows. Sourced by bash.

# simulate_host FIXTURE: the machine's driver is now the one of tests/hosts/FIXTURE. Running containers keep what they have.
simulate_host() {
    local tree=$NVL_SOURCE/tests/hosts/$1
    [ -d "$tree" ] || { echo "simulate_host: no fixture $1" >&2; return 2; }
    mkdir -p /run/simulated
    if ! mountpoint -q /proc/driver; then
        mount -t tmpfs -o mode=555 tmpfs /proc/driver
        touch /run/simulated/{devices,modules,pci}
        mount --bind /run/simulated/devices /proc/devices
        # a machine without a PCI bus has no such file
        [ ! -e /proc/bus/pci/devices ] || mount --bind /run/simulated/pci /proc/bus/pci/devices
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
    simulate_pci > /run/simulated/pci
    if [ ! -d /sys/devices/system ]; then
        mkdir /sys/devices/system
        mount --rbind /run/simulated/system /sys/devices/system
    fi
    simulate_nodes "$tree/nodes"
}

# simulate_pci: what the kernel shows of a PCI device beyond what a captured host has, made of that: its modalias, and its
# line of /proc/bus/pci/devices (place, vendor and device, interrupt), which is printed.
simulate_pci() {
    local folder name vendor device class
    for folder in /sys/bus/pci/devices/*; do
        [ -e "$folder/vendor" ] || continue
        name=${folder##*/} device=0x0000 class=0x000000
        read -r vendor < "$folder/vendor"
        [ ! -e "$folder/device" ] || read -r device < "$folder/device"
        [ ! -e "$folder/class" ] || read -r class < "$folder/class"
        if [ -e "$folder/class" ] && [ -e "$folder/device" ]; then
            printf 'pci:v%08Xd%08Xsv00000000sd00000000bc%02Xsc%02Xi%02X\n' "$vendor" "$device" \
                $((class >> 16)) $((class >> 8 & 255)) $((class & 255)) > "$folder/modalias"
        fi
        printf '%s%02x\t%s%s\t0\n' "$(echo "$name" | cut -d: -f2)" \
            $((0x$(echo "$name" | cut -d: -f3 | cut -d. -f1) << 3 | ${name##*.})) "${vendor#0x}" "${device#0x}"
    done
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
