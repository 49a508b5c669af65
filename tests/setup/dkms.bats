#!/usr/bin/env bats
# The whole of host setup, with real packages, in a Debian 13: the module is built for the release's kernel, and for one
# that is too new the build fails, which host setup knows beforehand. It takes minutes, so it runs with NVL_TEST_DKMS=1, as in CI.

bats_require_minimum_version 1.5.0

setup_file() {
    load "$NVL_SOURCE/tests/setup/chroot.bash"
    [ "${NVL_TEST_DKMS:-}" = 1 ] || return 0
    export ROOT="$BATS_FILE_TMPDIR/debian-13"
    make_root debian-13 "$ROOT"
    in_root apt-get update
    kernel_is "$(release_kernel)"
}

teardown_file() {
    load "$NVL_SOURCE/tests/setup/chroot.bash"
    [ "${NVL_TEST_DKMS:-}" != 1 ] || unmake_root "$BATS_FILE_TMPDIR/debian-13"
}

setup() {
    load "$NVL_SOURCE/tests/setup/chroot.bash"
    [ "${NVL_TEST_DKMS:-}" = 1 ] || skip "it builds kernel modules for minutes: NVL_TEST_DKMS=1"
}

@test "dkms: host setup builds the module for the release's kernel" {
    local kernel
    kernel=$(release_kernel)
    run --separate-stderr nvlxc_in_root host setup --yes
    # this machine's kernel is another one: the module that was built cannot be loaded into it
    [ "$status" = 1 ]
    [[ "$stderr" == *"(load): modprobe ended with status 1"* ]]
    in_root dkms status | grep "^nvidia-current/550.163.01, $kernel, x86_64: installed"
    [ "$(nvlxc_in_root host setup --dry-run --json |
        jq -c '[.steps[] | select(.state == "to do").id]')" = '["load"]' ]
}

@test "dkms: on a 7.x kernel it fails, and host setup says so beforehand" {
    local package kernel
    # with the release's entry, the same for its backports, and the components that host setup adds
    sed -i 's/ main.*/ main contrib non-free non-free-firmware/; p; s/ trixie main/ trixie-backports main/' "$ROOT/etc/apt/sources.list"
    in_root apt-get update
    package=$(in_root apt-cache depends linux-headers-amd64/trixie-backports |
        sed -n 's/^ *Depends: \(linux-headers-[0-9].*\)$/\1/p' | head -n 1)
    kernel=${package#linux-headers-}
    kernel_is "$kernel"
    run --separate-stderr nvlxc_in_root host setup --dry-run
    [ "$status" = 3 ]
    [[ "$stderr" == *"no packaged driver supports kernel $kernel"* ]]
    # no building by the packages' own hooks
    mkdir -p "$ROOT/etc/dkms"
    touch "$ROOT/etc/dkms/no-autoinstall"
    in_root apt-get install --yes --no-install-recommends "$package" nvidia-kernel-dkms/trixie
    run in_root dkms build -m nvidia-current -v 550.163.01 -k "$kernel"
    [ "$status" != 0 ]
    grep -E 'error:' "$ROOT"/var/lib/dkms/nvidia-current/550.163.01/build/make.log
    # and doctor names the cause, with the compiler's first word about it
    local found
    found=$(nvlxc_in_root --json doctor | jq '.findings[] | select(.id == "driver-kernel")')
    echo "$found"
    [[ "$(jq -r .title <<<"$found")" == "kernel $kernel is newer than driver 550.163.01"* ]]
    jq -r .evidence <<<"$found" | grep -E '^ *make.log:[0-9]+: .*error:'
}
