# nvlxc detach: the config as it was, and the root file system without nvlxc's files.

bats_require_minimum_version 1.5.0
load "$NVL_SOURCE/tests/lib/hosts.bash"

NVLXC="$NVL_BUILD/src/cli/nvlxc"

# What the start hook leaves in a root file system, and something of the container's own.
make_rootfs() {
    mkdir -p "$1"/{etc/ld.so.conf.d,usr/local/bin,usr/local/nvidia,usr/sbin}
    printf '# nvlxc made the folder /usr/local/nvidia\n/usr/local/nvidia/lib64\n' >"$1/etc/ld.so.conf.d/00-nvlxc.conf"
    printf '/usr/local/lib\n' >"$1/etc/ld.so.conf.d/libc.conf"
    ln -s /usr/local/nvidia/bin/nvidia-smi "$1/usr/local/bin/nvidia-smi"
}

@test "attach and detach give back every config byte for byte" {
    host=$(fixture a5500-550)
    # the hardest: no line end on the last line, and one of CRLF
    printf 'arch: amd64\r\nunprivileged: 1' >"$host/etc/pve/lxc/220.conf"
    truncate -s -1 "$host/var/lib/lxc/web/config"
    for pair in 220:etc/pve/lxc/220.conf 221:etc/pve/lxc/221.conf root/web:var/lib/lxc/web/config \
        box:var/lib/lxc/box/config media:home/alice/.local/share/lxc/media/config; do
        name=${pair%%:*} conf=$host/${pair#*:}
        cp -p "$conf" "$BATS_TEST_TMPDIR/before"
        run -0 "$NVLXC" --root "$host" attach "$name"
        ! cmp -s "$BATS_TEST_TMPDIR/before" "$conf"
        run -0 "$NVLXC" --root "$host" detach "$name"
        cmp "$BATS_TEST_TMPDIR/before" "$conf"
        [ "$(stat -c '%a %u %g' "$conf")" = "$(stat -c '%a %u %g' "$BATS_TEST_TMPDIR/before")" ]
    done
}

@test "a running container keeps its GPU, and is told what to do" {
    host=$(fixture a5500-550)
    run -0 "$NVLXC" --root "$host" attach 220
    run -0 "$NVLXC" --root "$host" detach 220
    [[ $output == *"keeps its GPU until it stops or restarts: pct reboot 220"* ]]
    [[ $output == *"may remain in its root file system: "*"(it is running)"* ]]

    make_rootfs "$host/var/lib/lxc/web/rootfs"
    run -0 "$NVLXC" --root "$host" attach root/web
    echo '0000000000000000: 00000002 00000000 00010000 0001 01 34568 @/var/lib/lxc/web/command' >>"$host/proc/net/unix"
    run -0 "$NVLXC" --root "$host" detach root/web
    [[ $output == *"lxc-stop -n web && lxc-start -n web"* ]]
    [[ $output == *"run \`nvlxc detach root/web\` again"* ]]
    [ -L "$host/var/lib/lxc/web/rootfs/usr/local/bin/nvidia-smi" ]
}

@test "without a grant: nothing to change, but leftovers in a stopped root file system go" {
    host=$(fixture a5500-550)
    rootfs=$host/var/lib/lxc/web/rootfs
    make_rootfs "$rootfs"
    cp "$host/var/lib/lxc/web/config" "$BATS_TEST_TMPDIR/before"

    run -0 "$NVLXC" --root "$host" detach root/web --dry-run
    [[ $output == *"would remove from its root file system: "*"/usr/local/bin/nvidia-smi"* ]]
    [ -L "$rootfs/usr/local/bin/nvidia-smi" ]

    run -0 "$NVLXC" --root "$host" detach root/web
    [[ $output == *"root/web has no GPU; nothing to change"* ]]
    [[ $output == *"removed from its root file system: "*"/usr/local/nvidia"* ]]
    [ ! -e "$rootfs/usr/local/nvidia" ]
    [ ! -L "$rootfs/usr/local/bin/nvidia-smi" ]
    [ ! -e "$rootfs/etc/ld.so.conf.d/00-nvlxc.conf" ]
    [ "$(cat "$rootfs/etc/ld.so.conf.d/libc.conf")" = /usr/local/lib ]
    cmp "$BATS_TEST_TMPDIR/before" "$host/var/lib/lxc/web/config"

    run -0 "$NVLXC" --root "$host" detach root/web
    [ "$output" = "root/web has no GPU; nothing to change" ]
}

@test "the linker cache is written again where it names the bundle" {
    ldconfig=$(command -v ldconfig || echo /sbin/ldconfig)
    host=$(fixture a5500-550)
    rootfs=$host/var/lib/lxc/web/rootfs
    make_rootfs "$rootfs"
    mkdir -p "$rootfs/usr/local/nvidia/lib64" "$rootfs/usr/local/lib"
    echo 'int f(void) { return 0; }' | cc -shared -fPIC -Wl,-soname,libcuda.so.1 -x c -o \
        "$rootfs/usr/local/nvidia/lib64/libcuda.so.1" -
    cp "$rootfs/usr/local/nvidia/lib64/libcuda.so.1" "$rootfs/usr/local/lib/libown.so.1"
    echo 'include /etc/ld.so.conf.d/*.conf' >"$rootfs/etc/ld.so.conf"
    "$ldconfig" -r "$rootfs"
    grep -q /usr/local/nvidia/lib64/libcuda.so.1 "$rootfs/etc/ld.so.cache"
    rm -r "$rootfs/usr/local/nvidia/lib64"
    chown -hR 100000:100000 "$rootfs"

    # the host has none: the cache stays, and it is said
    run -0 "$NVLXC" --root "$host" detach root/web
    [[ $output == *"remains in its root file system: /etc/ld.so.cache"* ]]

    cp "$ldconfig" "$host/usr/sbin/ldconfig"
    run -0 "$NVLXC" --root "$host" detach root/web
    [[ $output != *"ld.so.cache"* ]]
    ! grep -q /usr/local/nvidia "$rootfs/etc/ld.so.cache"
    [ "$(stat -c %u "$rootfs/etc/ld.so.cache")" = 100000 ]
}

@test "--dry-run shows the diff and changes nothing; --json has stable keys" {
    host=$(fixture a5500-550)
    run -0 "$NVLXC" --root "$host" attach 220
    cp "$host/etc/pve/lxc/220.conf" "$BATS_TEST_TMPDIR/attached"
    run -0 "$NVLXC" --root "$host" detach 220 --dry-run
    [[ $output == "--- a/etc/pve/lxc/220.conf"*"-lxc.environment: NVIDIA_VISIBLE_DEVICES="* ]]
    cmp "$BATS_TEST_TMPDIR/attached" "$host/etc/pve/lxc/220.conf"

    json=$("$NVLXC" --root "$host" --json detach 220)
    [ "$(jq -c keys_unsorted <<<"$json")" = \
        '["format","container","dry_run","changed","diff","removed","remaining","why","live","warnings"]' ]
    [ "$(jq -c '[.container, .changed, .diff, .removed]' <<<"$json")" = '["220",true,null,[]]' ]
    [ "$("$NVLXC" --root "$host" --json detach 220 | jq .changed)" = false ]
}

@test "lines written by hand stay, and it is said" {
    host=$(fixture a5500-550)
    cp "$host/etc/pve/lxc/223.conf" "$BATS_TEST_TMPDIR/before"
    run -0 "$NVLXC" --root "$host" detach 223
    [[ $output == *"written by hand and stay"* ]]
    cmp "$BATS_TEST_TMPDIR/before" "$host/etc/pve/lxc/223.conf"
}
