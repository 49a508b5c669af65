#!/usr/bin/env bats
# The whole of host setup, in a Debian 13: with a stand-in of NVIDIA's installer, which is upgraded, built for a second
# kernel, and removed; then with Debian's real packages, whose module is built for the release's kernel, and fails for one
# that is too new, which host setup knows beforehand. It takes minutes, so it runs with NVL_TEST_DKMS=1; with NVL_TEST_DKMS=half, as
# in CI, one of the two, another one for each commit.

bats_require_minimum_version 1.5.0

setup_file() {
    load "$NVL_SOURCE/tests/setup/chroot.bash"
    [ -n "${NVL_TEST_DKMS:-}" ] || return 0
    HALF=$(printf '%s\n' run dkms)
    [ "$NVL_TEST_DKMS" != half ] || HALF=$(git -C "$NVL_SOURCE" log -1 --format=%h | tr -d '\n' | cksum | awk '{ print $1 % 2 ? "run" : "dkms" }')
    export HALF
    export ROOT="$BATS_FILE_TMPDIR/debian-13"
    make_root debian-13 "$ROOT"
    in_root apt-get update
    # a host has its kernel's image
    in_root apt-get install --yes --no-install-recommends linux-image-amd64 initramfs-tools
    kernel_is "$(release_kernel)"
}

teardown_file() {
    load "$NVL_SOURCE/tests/setup/chroot.bash"
    [ -z "${NVL_TEST_DKMS:-}" ] || unmake_root "$BATS_FILE_TMPDIR/debian-13"
}

setup() {
    load "$NVL_SOURCE/tests/setup/chroot.bash"
    [ -n "${NVL_TEST_DKMS:-}" ] || skip "it builds kernel modules for minutes: NVL_TEST_DKMS=1"
    [[ $'\n'$HALF$'\n' == *$'\n'"${BATS_TEST_DESCRIPTION%%:*}"$'\n'* ]] || skip "the other half for this commit: NVL_TEST_DKMS=1"
}

# installer VERSION: a stand-in of NVIDIA's installer, in the root; prints its path there.
installer() {
    local file=/root/NVIDIA-Linux-x86_64-$1.run
    "$NVL_SOURCE/tests/setup/make-installer" "$1" "$ROOT$file" && echo "$file"
}

# sets_up [OPTION...]: host setup, up to the last step. This machine's kernel is another one: the module that was built
# cannot be loaded into it.
sets_up() {
    run --separate-stderr nvlxc_in_root host setup --yes "$@"
    echo "$output$stderr"
    [ "$status" = 1 ]
    [[ "$stderr" == *"(load): modprobe ended with status 1"* ]]
}

# is_all_but_loaded [OPTION...]: nothing else is left to do.
is_all_but_loaded() {
    [ "$(nvlxc_in_root host setup --dry-run --json "$@" | jq -c '[.plan[] | select(.state == "to do").id]')" = '["load"]' ]
}

@test "run: NVIDIA's installer gets what it needs, and its module is built" {
    local kernel file
    kernel=$(release_kernel)
    file=$(installer 580.95.05)
    sets_up --run "$file"
    [[ "$output" == *"# sh $file --silent --dkms --no-install-compat32-libs --no-opengl-files"* ]]
    in_root dkms status | grep "^nvidia/580.95.05, $kernel, x86_64: installed"
    [ -e "$ROOT/usr/lib/x86_64-linux-gnu/libcuda.so.580.95.05" ]
    [ ! -e "$ROOT/usr/lib/x86_64-linux-gnu/libnvidia-glcore.so.580.95.05" ]
    is_all_but_loaded --run "$file"
    # it stays when nobody asks for another one, and nothing of Debian's is planned beside it
    is_all_but_loaded
    [ "$(step driver | jq -r .state)" = 'not needed' ]
}

@test "run: an upgrade, and a module for a second kernel" {
    local kernel second
    kernel=$(release_kernel)
    sets_up --run "$(installer 580.142)"
    in_root dkms status | grep "^nvidia/580.142, $kernel, x86_64: installed"
    run ! grep 580.95.05 <(in_root dkms status; find "$ROOT/usr/lib/x86_64-linux-gnu" "$ROOT/usr/src" -name '*nvidia*')
    second=${kernel%-amd64}-cloud-amd64
    kernel_is "$second"
    sets_up
    in_root dkms status | grep "^nvidia/580.142, $second, x86_64: installed"
    in_root dkms status | grep "^nvidia/580.142, $kernel, x86_64: installed"
    # what doctor says where the module is gone is run as printed
    in_root dkms remove -m nvidia -v 580.142 -k "$second"
    local fix
    fix=$(nvlxc_in_root --json doctor | jq -r '.findings[] | select(.id == "driver-not-built").fix[].command | values' | head -n 1)
    [ "$fix" = "dkms autoinstall -k $second" ]
    in_root sh -c "$fix"
    in_root dkms status | grep "^nvidia/580.142, $second, x86_64: installed"
    kernel_is "$kernel"
    # for which the real driver would be built, too, for minutes
    in_root apt-get purge --yes "linux-headers-$second" linux-headers-cloud-amd64
    # an installer that fails is said, with where its log is
    mv "$ROOT/usr/include/stdlib.h" "$BATS_TEST_TMPDIR/"
    run --separate-stderr nvlxc_in_root host setup --yes --run "$(installer 580.178.04)"
    mv "$BATS_TEST_TMPDIR/stdlib.h" "$ROOT/usr/include/"
    [ "$status" = 1 ]
    [[ "$stderr" == *"(driver): sh ended with status 1"*"hint: /var/log/nvidia-installer.log has the error"* ]]
    in_root dkms status | grep "^nvidia/580.142, $kernel, x86_64: installed"
}

@test "dkms: host setup makes place for Debian's driver, and builds its module for the release's kernel" {
    local kernel
    kernel=$(release_kernel)
    sets_up --from debian
    [ ! -e "$ROOT/usr/bin/nvidia-uninstall" ]
    [ ! -e "$ROOT/usr/lib/x86_64-linux-gnu/libcuda.so.580.142" ]
    run ! grep '^nvidia/' <(in_root dkms status)
    in_root dkms status | grep "^nvidia-current/550.163.01, $kernel, x86_64: installed"
    is_all_but_loaded
}

# The root as it looks while its driver is loaded on the GPU of a fixture host: for commands that only read.
loaded_view() {
    VIEW="$BATS_TEST_TMPDIR/view"
    mkdir "$VIEW"
    # copies: whoever removes the view shall not reach the checkout
    cp -a "$NVL_SOURCE/tests/hosts/a5500-550/"{proc,sys} "$BATS_TEST_TMPDIR/"
    mount --bind "$ROOT" "$VIEW"
    mount --bind "$BATS_TEST_TMPDIR/proc" "$VIEW/proc"
    mount --bind "$BATS_TEST_TMPDIR/sys" "$VIEW/sys"
}

teardown() {
    umount "${VIEW:-/no-view}/sys" "${VIEW:-/no-view}/proc" "${VIEW:-/no-view}" 2>/dev/null || true
}

# fix_of ID: the commands that doctor prints for it there.
fix_of() {
    "$NVL_BUILD/src/cli/nvlxc" --root "$VIEW" --json doctor | jq -r --arg id "$1" '.findings[] | select(.id == $id).fix[].command | values'
}

@test "dkms: what doctor prints for missing libraries and firmware brings them back" {
    local fix
    loaded_view
    [ -z "$(fix_of libraries-absent)$(fix_of firmware-missing)" ]
    in_root apt-get remove --yes libcuda1 libnvidia-ml1
    fix=$(fix_of libraries-absent | head -n 1) # then the bundle is made anew
    echo "$fix"
    [ "$fix" = "apt install libcuda1 nvidia-smi   # version 550.163.01" ]
    in_root sh -c "${fix/apt install/apt-get install --yes}"
    [ -z "$(fix_of libraries-absent)" ]
    rm "$ROOT"/lib/firmware/nvidia/550.163.01/gsp_*.bin
    fix=$(fix_of firmware-missing)
    echo "$fix"
    [ "$fix" = "apt install --reinstall firmware-nvidia-gsp" ]
    in_root sh -c "${fix/apt install/apt-get install --yes}"
    [ -z "$(fix_of firmware-missing)" ]
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
