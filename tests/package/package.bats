#!/usr/bin/env bats
# The package on a host: installed, with a container that uses it; a driver's upgrade; removed; purged. Each case goes on
# from the one before.
bats_require_minimum_version 1.5.0
# shellcheck source=/dev/null
source "$NVL_SOURCE/tests/lib/simulated-host.bash"
# shellcheck source=/dev/null
source "$NVL_SOURCE/tests/lib/lxc.bash"

DEB=$(echo "$NVL_SOURCE"/build-package/nvlxc_*.deb)
STORE=/var/lib/nvlxc/driver
OLD=550.163.01

setup_file() {
    # what the package brings shall come from it
    rm -f /usr/bin/nvlxc /usr/libexec/nvlxc/hook
    make_container ct debian-12
    cp -a /var/lib/lxc/ct/config /run/ct.plain
}

teardown_file() {
    stop ct 2>/dev/null || true
}

says() {
    local text
    for text; do
        [[ $output == *"$text"* ]] || { echo "expected: $text"; echo "got: $output"; return 1; }
    done
}

# What a package of the driver does, as far as dpkg's triggers are concerned. $1: its version
install_driver_package() {
    local tree=/run/driver-package
    rm -rf $tree
    mkdir -p $tree/DEBIAN $tree/usr/lib/x86_64-linux-gnu/nvidia/test-$1
    echo "$1" >$tree/usr/lib/x86_64-linux-gnu/nvidia/test-$1/libtest.so
    printf '%s\n' 'Package: libtest-nvidia' "Version: $1" 'Architecture: amd64' 'Maintainer: nobody <nobody@example.org>' \
        'Description: a driver for a test' >$tree/DEBIAN/control
    dpkg-deb -b $tree /run/driver.deb
    dpkg -i /run/driver.deb
}

@test "the package has the version of the program" {
    local version
    version=$(sed -n "s/^  version: '\(.*\)',/\1/p" "$NVL_SOURCE/meson.build")
    [ "$(dpkg-deb -f "$DEB" Version)" = "$version" ]
}

@test "it can be installed: programs, pages and completions are there, and the units are enabled" {
    run -0 dpkg -i "$DEB"
    [[ $output != *rror* ]]
    run -0 nvlxc --version
    local page
    for page in nvlxc nvlxc-attach nvlxc-driver; do
        [ -s "/usr/share/man/man8/$page.8.gz" ]
    done
    [ -s /usr/share/bash-completion/completions/nvlxc ]
    [ -s /usr/share/zsh/vendor-completions/_nvlxc ]
    [ -s /usr/share/fish/vendor_completions.d/nvlxc.fish ]
    [ -x /usr/libexec/nvlxc/hook ]
    [ -e /etc/systemd/system/multi-user.target.wants/nvlxc-boot.service ]
    [ -e /etc/systemd/system/multi-user.target.wants/nvlxc-publish.service ]
    [ -e /etc/systemd/system/paths.target.wants/nvlxc-driver.path ]
    # the timers are there for those who enable them
    local timer
    for timer in nvlxc-doctor.timer nvlxc-metrics.timer; do
        grep -qx "/\(usr/\)\?lib/systemd/system/$timer" <(dpkg -L nvlxc)
        [ -z "$(find /etc/systemd/system -name "$timer")" ]
    done
    cmp /usr/share/nvlxc/kernels.json "$NVL_SOURCE/data/kernels.json"
    # nothing for developers, and no other program's files
    run -0 dpkg -L nvlxc
    [[ $output != *include* && $output != *.a ]]
    run ! grep -E '^/(etc|var|opt|usr/local)/.' <<<"$output"
}

# autopkgtest [NAME...]: without what these tests' own runner has set.
autopkgtest() {
    rm -rf /run/autopkgtest
    mkdir /run/autopkgtest
    cd "$NVL_SOURCE"
    run env -i PATH="${OTHER_BATS:-}/usr/sbin:/usr/bin:/sbin:/bin" LC_ALL=C.UTF-8 NVL_CACHE="$NVL_CACHE" \
        AUTOPKGTEST_TMP=/run/autopkgtest bash debian/tests/commands "$@" 3>&-
    grep -v '^ok ' <<<"$output"
    [ "$status" = 0 ]
}

# All of them run where the package is tested by itself; here they have run with the programs that were built.
@test "its autopkgtest: command tests pass with the programs that it installed" {
    autopkgtest attach completions gpus
    [ "$(grep -c '^1\.\.' <<<"$output")" = 3 ]
    local cases
    cases=$(cat tests/cli/{attach,completions,gpus}.bats | grep -c '^@test ')
    [ "$(grep -c '^ok ' <<<"$output")" = "$cases" ]
    # that these were the ones
    local is_used=true
    mv /usr/bin/nvlxc /run/nvlxc
    printf '#!/bin/sh\nexit 9\n' >/usr/bin/nvlxc
    chmod 755 /usr/bin/nvlxc
    ! autopkgtest list || is_used=false
    mv /run/nvlxc /usr/bin/nvlxc
    $is_used
}

@test "its autopkgtest: it runs each of the command tests, and has what they name of a build" {
    local file
    mkdir /run/bats
    printf '#!/bin/sh\necho "runs $2"\n' >/run/bats/bats
    chmod 755 /run/bats/bats
    OTHER_BATS=/run/bats: autopkgtest
    # but for the one that looks at the checkout itself
    diff <(printf 'runs %s\n' tests/cli/*.bats | grep -v '/lint\.bats$') <(echo "$output")
    cat tests/cli/*.bats tests/lib/{hosts,doctor,nvml}.bash | grep -o '\$NVL_BUILD"\?/[a-z/_]*' | sed 's|.*NVL_BUILD"\?/||' | sort -u >/run/named
    grep -qx src/cli/nvlxc /run/named
    while read -r file; do
        [ -e "/run/autopkgtest/build/$file" ] || { echo "no $file"; return 1; }
    done </run/named
    rm -r /run/autopkgtest /run/bats
}

@test "a container is attached, and has the GPU" {
    run -0 nvlxc attach ct
    cp -a /var/lib/lxc/ct/config /run/ct.attached
    run -0 start ct
    [ "$(opens ct /dev/nvidia0)" = allowed ]
    run -0 loads ct libcuda.so.1
    [ "$output" = /usr/local/nvidia/lib64/libcuda.so.$OLD ]
    stop ct
}

@test "a driver's package that is installed has its bundle made at once" {
    simulate_installed 535
    run -0 install_driver_package 1
    says 'Processing triggers for nvlxc'
    [[ $output != *nvlxc:* ]]
    [ -e $STORE/$OLD/manifest.json ]
    [ -e $STORE/535.261.03/manifest.json ]
    # and again, when there is nothing new: nothing is written
    find $STORE -printf '%p %i %T@ %C@\n' >/run/before
    run -0 install_driver_package 2
    find $STORE -printf '%p %i %T@ %C@\n' | diff /run/before -
    run -0 dpkg -r libtest-nvidia
    says 'Processing triggers for nvlxc'
}

@test "a trigger that cannot do its work fails no installation" {
    mv $STORE /run/store
    echo 'no folder' >$STORE
    run -0 install_driver_package 3
    says 'nvlxc: '
    rm $STORE
    mv /run/store $STORE
    dpkg -r libtest-nvidia
}

@test "on a host without a driver the trigger says nothing" {
    simulate_host no-gpu
    simulate_installed none
    run -0 install_driver_package 4
    [[ $output != *nvlxc:* ]]
    dpkg -r libtest-nvidia
    simulate_host a5500-550
    simulate_installed 550
}

@test "installed again over itself: nothing is lost" {
    run -0 dpkg -i "$DEB"
    cmp /var/lib/lxc/ct/config /run/ct.attached
    run -0 start ct
    [ "$(opens ct /dev/nvidia0)" = allowed ]
    stop ct
}

@test "removed: it says which containers have a grant, touches none, and they start" {
    # lines by hand are no grant: they work without nvlxc
    mkdir /var/lib/lxc/byhand
    printf 'lxc.mount.entry = /dev/nvidia0 dev/nvidia0 none bind,optional,create=file\n' >/var/lib/lxc/byhand/config
    run -0 nvlxc list
    says 'byhand'
    # what the node of a cluster published, and what is another's beside it
    mkdir -p /etc/pve/nodes/pve
    ln -s nodes/pve /etc/pve/local
    touch /etc/pve/local/nvlxc.json /etc/pve/local/lrm_status
    run -0 dpkg -r nvlxc
    [ "$(ls /etc/pve/nodes/pve)" = lrm_status ]
    rm -r /etc/pve
    says 'these containers have a grant' $'\n  ct\n' "nvlxc detach CT"
    [[ $output != *byhand* ]]
    rm -r /var/lib/lxc/byhand
    [ ! -e /usr/libexec/nvlxc/hook ]
    cmp /var/lib/lxc/ct/config /run/ct.attached
    [ -e $STORE/$OLD/manifest.json ]
    run -0 start ct
    [ "$(opens ct /dev/nvidia0)" = missing ]
    run -0 inside ct true
    stop ct
}

@test "purged: the bundles go, also the firmware lent to the kernel; configs stay, with what detach would take away said" {
    mkdir -p /var/lib/nvlxc/firmware/$OLD /lib/firmware/updates/nvidia/$OLD
    echo firmware >/var/lib/nvlxc/firmware/$OLD/gsp_ga10x.bin
    cp /var/lib/nvlxc/firmware/$OLD/gsp_ga10x.bin /lib/firmware/updates/nvidia/$OLD
    echo theirs >/lib/firmware/updates/other.bin
    printf 'program: 0.1.0 4711 1\nstate: 00\n' >/var/lib/nvlxc/search # of an earlier version
    mkdir /var/lib/nvlxc/doctor
    echo '{}' >/var/lib/nvlxc/doctor/findings.json
    touch /var/lib/nvlxc/doctor/.lock
    run -0 dpkg -P nvlxc
    says 'these lines remain in /var/lib/lxc/ct/config' 'lxc.hook.pre-start' 'NVIDIA_VISIBLE_DEVICES'
    cmp /var/lib/lxc/ct/config /run/ct.attached
    [ -z "$(ls -A /var/lib/nvlxc)" ]
    [ ! -e /lib/firmware/updates/nvidia ]
    [ -e /lib/firmware/updates/other.bin ]
    [ ! -e /etc/systemd/system/multi-user.target.wants/nvlxc-boot.service ]
    # the lines that it shows are those that detach takes away
    diff /run/ct.plain /run/ct.attached | sed -n 's/^> //p' | sort >/run/taken
    sed -n 's/^  lxc/lxc/p' <<<"$output" | sort | diff /run/taken -
    run -0 start ct
    stop ct
}

@test "purged while a container runs: it keeps its driver" {
    dpkg -i "$DEB"
    nvlxc driver sync
    run -0 start ct
    run -0 dpkg -P nvlxc
    says "a running container uses $STORE/$OLD"
    run -0 loads ct libcuda.so.1
    [ "$output" = /usr/local/nvidia/lib64/libcuda.so.$OLD ]
    stop ct
}

@test "installed anew, it takes the container up again, and detach gives its config back" {
    run -0 dpkg -i "$DEB"
    run -0 start ct
    [ "$(opens ct /dev/nvidia0)" = allowed ]
    stop ct
    run -0 nvlxc detach ct
    cmp /var/lib/lxc/ct/config /run/ct.plain
    run -0 dpkg -P nvlxc
    [[ $output != *grant* ]]
    [[ $output != *"these lines remain"* ]]
}
