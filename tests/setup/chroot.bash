# A Debian with real apt, as a host that nvlxc is run on: a root of tests/lib/rootfs, entered by chroot, with the GPU and
# the kernel of a fixture host. Loaded by the tests of this folder, which run in a mount namespace of their own.
# shellcheck shell=bash

# make_root KIND DIR: unpacks it, with mounts, network, the fixture host's GPU, and the program.
make_root() {
    local root=$2 host="$NVL_SOURCE/tests/hosts/no-driver"
    "$NVL_SOURCE/tests/lib/rootfs" "$1" "${NVL_CACHE:-$NVL_SOURCE/.cache}/rootfs" "$root" 9>&- || return 1
    cp /etc/resolv.conf "$root/etc/resolv.conf"
    # How this machine reaches its mirror.
    apt-config dump | grep -E '^Acquire::(http|https|Retries|Check-Valid-Until|Check-Date)\b.* "[^"]+";$' \
        >"$root/etc/apt/apt.conf.d/90network"
    printf 'Acquire::Languages "none";\nAPT::Sandbox::User "root";\n' >>"$root/etc/apt/apt.conf.d/90network"
    # Copies, not mounts: whoever removes the root shall not reach the checkout.
    cp -a "$host/sys/." "$root/sys/"
    mknod -m 0666 "$root/dev/null" c 1 3
    mknod -m 0666 "$root/dev/zero" c 1 5
    mknod -m 0666 "$root/dev/random" c 1 8
    mknod -m 0666 "$root/dev/urandom" c 1 9
    mount -t proc proc "$root/proc"
    printf '%s\n' 6.12.0-amd64 >"$root/tmp/osrelease"
    mount --bind "$root/tmp/osrelease" "$root/proc/sys/kernel/osrelease"
    copy_program "$root"
}

# The program with every library that it needs, the loader too: the root's own may be older.
copy_program() {
    local lib
    mkdir -p "$1/opt/nvlxc"
    cp "$NVL_BUILD/src/cli/nvlxc" "$1/opt/nvlxc/"
    ldd "$NVL_BUILD/src/cli/nvlxc" | grep -o '/[^ ]*' | while read -r lib; do
        cp -L "$lib" "$1/opt/nvlxc/"
    done
}

unmake_root() {
    local mounted
    # What is mounted last is unmounted first.
    awk -v root="$1/" 'index($2, root) == 1 { print $2 }' /proc/mounts | tac | while read -r mounted; do
        umount "$mounted"
    done
    rm -rf "$1"
}

# in_root COMMAND...: in the root that $ROOT names.
in_root() {
    # shellcheck disable=SC2153 # the tests set it
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive chroot "$ROOT" "$@"
}

nvlxc_in_root() {
    in_root /opt/nvlxc/ld-linux-x86-64.so.2 --library-path /opt/nvlxc /opt/nvlxc/nvlxc "$@"
}

# kernel_is RELEASE: what uname -r says there. Written into the file that is mounted.
kernel_is() {
    printf '%s\n' "$1" >"$ROOT/tmp/osrelease"
}

# The kernel that the release has now, by the package that brings its headers.
release_kernel() {
    in_root apt-cache depends linux-headers-amd64 | sed -n 's/^ *Depends: linux-headers-\([0-9].*\)$/\1/p' | head -n 1
}

# step ID: that step of the plan, as JSON.
step() {
    nvlxc_in_root host setup --dry-run --json "${@:2}" | jq --arg id "$1" '.plan[] | select(.id == $id)'
}

# command_of ID [OPTION...]: the words of a step's first command, one on a line.
command_of() {
    step "$@" | jq -r '.commands[0][]'
}

# simulate ID [OPTION...]: has apt try that step's installation, which must resolve and remove nothing.
simulate() {
    local words
    mapfile -t words < <(command_of "$@")
    [ "${words[1]}" = install ] || return 1
    in_root "${words[@]}" --simulate >"$BATS_TEST_TMPDIR/simulated" || return 1
    ! grep '^Remv' "$BATS_TEST_TMPDIR/simulated"
}

# Keeps apt-get from installing anything: it fails there, as without network.
forbid_installing() {
    cat >"$ROOT/usr/local/sbin/apt-get" <<'WRAPPER'
#!/bin/sh
case "$* " in
*--simulate*) ;;
install*) echo 'E: no network today' >&2; exit 100 ;;
esac
exec /usr/bin/apt-get "$@"
WRAPPER
    chmod 0755 "$ROOT/usr/local/sbin/apt-get"
}

# What apt said of the sources when host setup had it update its lists: nothing to complain about.
apt_accepts_sources() {
    local said
    said=$(sed -n '/^ *# apt-get update$/,/^\[/p' "$ROOT/var/log/nvlxc-setup.log")
    grep '^Reading package lists' <<<"$said"
    ! grep -E '^[WE]:' <<<"$said"
}

# version_of PACKAGE: the version in the simulated installation.
version_of() {
    sed -n "s/^Inst $1 \(\[[^]]*\] \)\?(\([^ ]*\) .*/\2/p" "$BATS_TEST_TMPDIR/simulated"
}
