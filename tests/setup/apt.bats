#!/usr/bin/env bats
# host setup with real apt, in a Debian 12 and a Debian 13: the sources that it writes are accepted, what it would install
# resolves and removes nothing, and what was done is seen as done.

bats_require_minimum_version 1.5.0

setup_file() {
    load "$NVL_SOURCE/tests/setup/chroot.bash"
    export ROOTS="$BATS_FILE_TMPDIR"
    local kind
    for kind in debian-12 debian-13; do
        make_root "$kind" "$ROOTS/$kind"
        ROOT="$ROOTS/$kind"
        in_root apt-get update
        cp -a "$ROOT/etc/apt" "$ROOTS/$kind.apt"
    done
}

teardown_file() {
    load "$NVL_SOURCE/tests/setup/chroot.bash"
    unmake_root "$ROOTS/debian-12"
    unmake_root "$ROOTS/debian-13"
}

setup() {
    load "$NVL_SOURCE/tests/setup/chroot.bash"
}

teardown() {
    [ -z "${SERVER:-}" ] || kill "$SERVER"
    rm -f "$ROOTS"/*/etc/apt/apt.conf.d/91archive
}

# on KIND: that root, with the sources as they were made and the release's own kernel.
on() {
    export ROOT="$ROOTS/$1"
    rm -rf "$ROOT/etc/apt" "$ROOT/usr/local/sbin/apt-get" "$ROOT/etc/modprobe.d/nvlxc.conf" \
        "$ROOT/var/log/nvlxc-setup.log"
    cp -a "$ROOTS/$1.apt" "$ROOT/etc/apt"
    kernel_is "$(release_kernel)"
}

# As Debian's installer writes it since 13, with other people's stanzas beside.
use_deb822() {
    local codename uri key
    read -r _ key uri codename _ <"$ROOT/etc/apt/sources.list"
    key=${key#\[signed-by=}
    cat >"$ROOT/etc/apt/sources.list.d/debian.sources" <<SOURCES
# The release and its updates.
Types: deb deb-src
URIs: $uri
Suites: $codename $codename-updates
Components: main
Signed-By: ${key%]}

Types: deb
URIs: $uri
Suites: $codename-backports-sloppy
Components: main
Enabled: no
SOURCES
    printf 'Types: deb\nURIs: http://mirror.example/debian/pve\nSuites: %s\nComponents: pve-no-subscription\nEnabled: no\n' \
        "$codename" >"$ROOT/etc/apt/sources.list.d/proxmox.sources"
    echo '# moved to debian.sources' >"$ROOT/etc/apt/sources.list"
}

# stops_at_headers: carried out as far as nothing is installed; a failure says what to do.
stops_at_headers() {
    forbid_installing
    run --separate-stderr nvlxc_in_root host setup --yes
    echo "$output"
    echo "$stderr"
    [ "$status" = 1 ]
    [[ "$stderr" == *"(headers): apt-get ended with status 100"* ]]
    [[ "$stderr" == *"/var/log/nvlxc-setup.log"* ]]
    grep -q 'no network today' "$ROOT/var/log/nvlxc-setup.log"
    rm "$ROOT/usr/local/sbin/apt-get"
}

@test "setup: one-line sources of Debian 12" {
    on debian-12
    [ "$(step components | jq -r .state)" = 'to do' ]
    stops_at_headers
    grep -qE ' bookworm main contrib non-free non-free-firmware$' "$ROOT/etc/apt/sources.list"
    apt_accepts_sources
    [ "$(step components | jq -r .state)" = 'done' ]
    simulate headers
    simulate driver
    [[ "$(version_of nvidia-kernel-dkms)" == 535.* ]]
}

@test "setup: deb822 sources of Debian 13, other stanzas untouched" {
    on debian-13
    use_deb822
    cp -a "$ROOT/etc/apt/sources.list.d" "$BATS_TEST_TMPDIR/before"
    stops_at_headers
    run -1 diff -r "$BATS_TEST_TMPDIR/before" "$ROOT/etc/apt/sources.list.d"
    [ "$(grep -c '^[<>]' <<<"$output")" = 2 ]
    grep -qx '> Components: main contrib non-free non-free-firmware' <<<"$output"
    apt_accepts_sources
    [ "$(step components | jq -r .state)" = 'done' ]
    simulate headers
    simulate driver
    [[ "$(version_of nvidia-kernel-dkms)" == 550.163.01-* ]]
    [[ "$(version_of nvidia-kernel-dkms)" != *bpo* ]]
}

@test "setup: deb822 sources of Debian 12, what every capability needs" {
    on debian-12
    use_deb822
    stops_at_headers
    apt_accepts_sources
    simulate driver --capabilities all
    [[ "$(version_of libnvoptix1)" == 535.* ]]
}

@test "setup: one-line sources of Debian 13, what every capability needs" {
    on debian-13
    stops_at_headers
    apt_accepts_sources
    simulate driver --capabilities all
    [[ "$(version_of libnvidia-ngx1)" == 550.* ]]
}

@test "setup: kernel 6.17 takes the driver alone from backports" {
    on debian-13
    kernel_is 6.17.4+deb13-amd64
    [ "$(step backports | jq -r .state)" = 'to do' ]
    forbid_installing
    run nvlxc_in_root host setup --yes
    [ "$status" = 1 ]
    apt_accepts_sources
    [ "$(step backports | jq -r .state)" = 'done' ]
    simulate driver
    [[ "$(version_of nvidia-kernel-dkms)" == *~bpo13+* ]]
    [[ "$(version_of libcuda1)" == *~bpo13+* ]]
    # of all others the release's own
    run ! grep -v -e '^Inst .*nvidia' -e '^Inst libcuda1' -e '^Inst libnvcuvid1' <(grep '^Inst.*~bpo' "$BATS_TEST_TMPDIR/simulated")
    in_root apt-get install --simulate linux-headers-amd64 >"$BATS_TEST_TMPDIR/simulated"
    [[ "$(version_of linux-headers-amd64)" == 6.12.* ]]
}

# The release's driver is installed, and the kernel is newer than it: what doctor says is run as it stands.
@test "setup: the fix of doctor for a kernel that Debian's driver is not for brings the one of backports" {
    local kernel=6.17.4+deb13-amd64 fix
    on debian-13
    kernel_is "$kernel"
    mkdir -p "$ROOT/lib/modules/$kernel/build" "$ROOT/var/lib/dkms/nvidia-current/550.163.01"
    cp "$ROOT/var/lib/dpkg/status" "$BATS_TEST_TMPDIR/status"
    printf '\nPackage: nvidia-kernel-dkms\nStatus: install ok installed\nArchitecture: amd64\nVersion: 550.163.01-2\n%s\n' \
        'Maintainer: Debian NVIDIA Maintainers <pkg-nvidia-devel@lists.alioth.debian.org>' >>"$ROOT/var/lib/dpkg/status"
    nvlxc_in_root --json doctor >"$BATS_TEST_TMPDIR/doctor" || [ $? = 1 ]
    fix=$(jq -r '.findings[] | select(.id == "driver-kernel").fix[].command | values' "$BATS_TEST_TMPDIR/doctor" | head -n 1)
    [ "$fix" = "nvlxc host setup" ]
    forbid_installing
    # shellcheck disable=SC2086 # its words
    run nvlxc_in_root ${fix#nvlxc } --yes
    apt_accepts_sources
    simulate driver
    cp "$BATS_TEST_TMPDIR/status" "$ROOT/var/lib/dpkg/status"
    rm -r "$ROOT/lib/modules/$kernel" "$ROOT/var/lib/dkms"
    [[ "$(version_of nvidia-kernel-dkms)" == 550.163.01-4~bpo13+* ]]
}

@test "setup: Debian's older drivers resolve" {
    on debian-12
    local device="$ROOT/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/device"
    echo 0x102d >"$device"
    [ "$(nvlxc_in_root host setup --dry-run --json | jq -r .chosen.series)" = tesla-470 ]
    stops_at_headers
    apt_accepts_sources
    simulate driver
    echo 0x2438 >"$device"
    [[ "$(version_of nvidia-tesla-470-kernel-dkms)" == 470.* ]]
    [[ "$(version_of libnvidia-tesla-470-cuda1)" == 470.* ]]
    simulate driver --from tesla-535
    [[ "$(version_of nvidia-tesla-535-kernel-dkms)" == 535.* ]]
    on debian-13
    stops_at_headers
    simulate driver --from tesla-535 --capabilities all
    [[ "$(version_of nvidia-tesla-535-kernel-dkms)" == 535.* ]]
}

@test "setup: NVIDIA's archive, by its key, before Debian's driver" {
    load "$NVL_SOURCE/tests/setup/nvidia-archive.bash"
    on debian-13
    ARCHIVE="$BATS_TEST_TMPDIR/archive"
    driver 580.95.05
    package nvidia-driver-pinning-580 580-1
    serve_archive "$ROOT"
    # carried out as far as the headers
    forbid_installing
    run --separate-stderr nvlxc_in_root host setup --yes --from nvidia
    echo "$output$stderr"
    [[ "$stderr" == *"(headers): apt-get ended with status 100"* ]]
    rm "$ROOT/usr/local/sbin/apt-get"
    apt_accepts_sources
    grep -q 'BEGIN PGP PUBLIC KEY BLOCK' "$ROOT/etc/apt/keyrings/nvlxc-nvidia.asc"
    [ "$(stat -c %a "$ROOT/etc/apt/keyrings/nvlxc-nvidia.asc")" = 644 ]
    [ "$(step archive --from nvidia | jq -r .state)" = 'done' ]
    simulate driver --from nvidia
    [[ "$(version_of nvidia-kernel-open-dkms)" == 580.95.05-1 ]]
    [[ "$(version_of libcuda1)" == 580.95.05-1 ]]
    # a GPU that newer branches have left stays on the branch
    echo 0x1b80 >"$ROOT/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/device"
    simulate branch --from nvidia
    simulate driver --from nvidia
    [[ "$(version_of nvidia-kernel-dkms)" == 580.95.05-1 ]]
    echo 0x2438 >"$ROOT/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/device"
    # what the archive has is known only then: its driver is not for this kernel, and nothing is installed
    kernel_is 6.17.13-own
    mkdir -p "$ROOT/lib/modules/6.17.13-own/build/include" "$ROOT/boot"
    touch "$ROOT/boot/vmlinuz-6.17.13-own"
    run --separate-stderr nvlxc_in_root host setup --yes --from nvidia
    rm -r "$ROOT/lib/modules/6.17.13-own" "$ROOT/boot/vmlinuz-6.17.13-own"
    echo "$output$stderr"
    [ "$status" = 1 ]
    [[ "$stderr" == *"apt would install 580.95.05-1: driver 580.95.05 does not fit kernel 6.17.13-own: builds up to kernel 6.16"* ]]
    [ ! -e "$ROOT/var/lib/dpkg/info/nvidia-driver-cuda.list" ]
}

@test "setup: a package that would be removed stops it, and is named" {
    on debian-13
    mkdir -p "$ROOT/tmp/proxmox-ve/DEBIAN"
    cat >"$ROOT/tmp/proxmox-ve/DEBIAN/control" <<'CONTROL'
Package: proxmox-ve
Version: 9.0.0
Architecture: all
Maintainer: tests <tests@example.org>
Conflicts: linux-headers-amd64
Description: stands for a package that must not go
CONTROL
    in_root dpkg-deb --build /tmp/proxmox-ve /tmp/proxmox-ve.deb
    in_root dpkg --install /tmp/proxmox-ve.deb
    run --separate-stderr nvlxc_in_root host setup --yes
    in_root dpkg --remove proxmox-ve
    echo "$stderr"
    [ "$status" = 1 ]
    [[ "$stderr" == *"this would remove proxmox-ve: nothing was installed"* ]]
}

@test "setup: an archive that refuses stops it, and the next run goes on from there" {
    on debian-13
    mkdir "$BATS_TEST_TMPDIR/empty"
    # on a port that is free
    python3 -u -m http.server --bind 127.0.0.1 --directory "$BATS_TEST_TMPDIR/empty" 0 >"$BATS_TEST_TMPDIR/served" 2>&1 3>&- &
    local server=$! port=
    until [ -n "$port" ]; do
        kill -0 "$server"
        sleep 0.1
        port=$(sed -n 's/^Serving HTTP on .* port \([0-9]*\) .*/\1/p' "$BATS_TEST_TMPDIR/served")
    done
    printf 'Types: deb\nURIs: http://127.0.0.1:%s/debian/pve\nSuites: trixie\nComponents: pve-enterprise\n' "$port" \
        >"$ROOT/etc/apt/sources.list.d/pve-enterprise.sources"
    forbid_installing
    run --separate-stderr nvlxc_in_root host setup --yes
    kill "$server"
    echo "$output$stderr"
    [ "$status" = 1 ]
    [[ "$stderr" == *"(update)"* ]]
    [[ "$stderr" == *"can be disabled"* ]]
    [ "$(step components | jq -r .state)" = 'done' ]
    rm "$ROOT/etc/apt/sources.list.d/pve-enterprise.sources"
    stops_at_headers
}

@test "setup: it asks once; without a terminal it says what to do instead" {
    on debian-13
    forbid_installing
    cp "$ROOT/etc/apt/sources.list" "$BATS_TEST_TMPDIR/before"
    run --separate-stderr nvlxc_in_root host setup </dev/null
    [ "$status" = 1 ]
    [[ "$stderr" == *"there is no terminal"*"--dry-run shows the plan, --yes carries it out"* ]]
    run script --quiet --return --command "$(declare -f in_root nvlxc_in_root); nvlxc_in_root host setup" /dev/null <<<n
    echo "$output"
    [ "$status" = 1 ]
    [[ "$output" == *" 1.  archive components: to do"*"Carry out these steps? [y/N/q]"*"nothing was changed"* ]]
    cmp "$BATS_TEST_TMPDIR/before" "$ROOT/etc/apt/sources.list"
    run script --quiet --return --command "$(declare -f in_root nvlxc_in_root); nvlxc_in_root host setup" /dev/null <<<y
    echo "$output"
    [ "$status" = 1 ]
    [[ "$output" == *"[1/11] archive components"*"wrote /etc/apt/sources.list"*"[3/11] apt's lists"*"E: no network today"* ]]
    run ! cmp "$BATS_TEST_TMPDIR/before" "$ROOT/etc/apt/sources.list"
}
