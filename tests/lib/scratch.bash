# shellcheck shell=bash
# A folder for big files that nobody keeps: in memory where there is plenty, since disks of test machines can be slow.
# Sourced by bash.

# need_private_mounts "$@": starts the script anew in a mount namespace of its own: what it mounts goes with it, however it
# ends.
need_private_mounts() {
    [ "${NVL_PRIVATE_MOUNTS:-}" != $$ ] || return 0
    [ "$(id -u)" = 0 ] || { echo "$0: this takes root" >&2; exit 3; }
    # the number of the process stays
    NVL_PRIVATE_MOUNTS=$$ exec unshare --mount --propagation private -- "$0" "$@"
}

# MiB of memory that are free, or can be.
free_memory() {
    echo $(($(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo) / 1024))
}

# make_scratch MIB: after the above, sets $scratch to a new folder, with room for so much, that goes with this process. It lies in
# NVL_SCRATCH where that is set; else in memory where twice as much and 2 GiB are free, and 2 GiB more for each other test that
# may run beside this one (NVL_TEST_JOBS), or in /var/tmp.
make_scratch() {
    scratch=$(mktemp -d "${NVL_SCRATCH:-/var/tmp}/nvlxc-test.XXXXXX")
    chmod 755 "$scratch"
    trap 'umount --recursive "$scratch" 2>/dev/null || true; rm -rf --one-file-system "$scratch"' EXIT
    if [ -z "${NVL_SCRATCH:-}" ] && [ "$(free_memory)" -gt $(($1 * 2 + 2048 * ${NVL_TEST_JOBS:-1})) ]; then
        mount -t tmpfs -o "mode=755,size=$1m" tmpfs "$scratch"
    fi
    [ "$(df --output=avail -BM "$scratch" | tail -n 1 | tr -dc 0-9)" -ge "$1" ] || {
        echo "$scratch has less room than the $1 MiB that this takes" >&2
        return 1
    }
}
