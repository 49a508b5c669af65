# Configs with NVIDIA lines that nvlxc did not write: what show and list say of them, and attach --replace.

bats_require_minimum_version 1.5.0
load "$NVL_SOURCE/tests/lib/hosts.bash"

NVLXC="$NVL_BUILD/src/cli/nvlxc"
GPU=GPU-3291dfa4-fcc4-0110-615b-c894a0d7c689
CONFIGS=$NVL_SOURCE/tests/unit/configs/by-hand

# use NAME: the corpus file NAME is CT 220's config.
use() {
    cp "$CONFIGS/pve/$1.conf" "$host/etc/pve/lxc/220.conf"
}

capabilities_of() {
    sed -n 's/^lxc.environment[:=] NVIDIA_DRIVER_CAPABILITIES=//p' "$host/etc/pve/lxc/$1.conf"
}

setup() {
    host=$(fixture a5500-550)
    mkdir -p "$host/var/lib/nvlxc/driver/550.163.01"
    : >"$host/var/lib/nvlxc/driver/550.163.01/manifest.json"
}

@test "the classic block of CT 223: shown, listed, not written beside" {
    cp "$host/etc/pve/lxc/223.conf" "$BATS_TEST_TMPDIR/before"
    run -0 "$NVLXC" --root "$host" show 223
    says "by hand, line 10: lxc.cgroup2.devices.allow: c 195:* rwm" "by hand, line 11: lxc.cgroup2.devices.allow: c 506:* rwm" \
        "/dev/nvidia-uvm-tools dev/nvidia-uvm-tools" "nvlxc attach 223 --replace --dry-run"
    [[ $output != *226* ]]
    [[ $output != *"/dev/dri"* ]]
    [ "$("$NVLXC" --root "$host" --json show 223 | jq '.lines_by_hand | length')" -eq 7 ]
    run -0 "$NVLXC" --root "$host" list
    [[ $output =~ 223\ +frigate\ +stopped\ +by\ hand ]]
    run -1 --separate-stderr "$NVLXC" --root "$host" attach 223
    says "the config has NVIDIA lines that nvlxc did not write" "--replace"
    cmp "$BATS_TEST_TMPDIR/before" "$host/etc/pve/lxc/223.conf"
}

@test "--replace: one diff; what is not about NVIDIA stays byte for byte; detach gives the config without a GPU" {
    conf=$host/etc/pve/lxc/223.conf
    cp "$conf" "$BATS_TEST_TMPDIR/before"
    grep -v -e '195:' -e '506:' -e nvidia "$conf" >"$BATS_TEST_TMPDIR/bare"
    "$NVLXC" --root "$host" attach 223 --replace --dry-run >"$BATS_TEST_TMPDIR/diff"
    cmp "$BATS_TEST_TMPDIR/before" "$conf"
    [ "$(grep -c '^-lxc' "$BATS_TEST_TMPDIR/diff")" -eq 7 ]
    run -0 --separate-stderr "$NVLXC" --root "$host" attach 223 --replace
    says "removed 7 lines about NVIDIA that nvlxc did not write" "restores the config without a GPU, not these lines"
    # the diff is what it did
    patch -s -o "$BATS_TEST_TMPDIR/patched" "$BATS_TEST_TMPDIR/before" <"$BATS_TEST_TMPDIR/diff"
    cmp "$BATS_TEST_TMPDIR/patched" "$conf"
    # nothing that the container had is missing: modeset and display nodes, too
    [ "$(capabilities_of 223)" = compute,utility,graphics ]
    grep -qx 'lxc.mount.entry: /dev/dri dev/dri none bind,optional,create=dir' "$conf"

    cp "$conf" "$BATS_TEST_TMPDIR/once"
    run -0 "$NVLXC" --root "$host" attach 223 --replace
    says "nothing to change"
    run -0 "$NVLXC" --root "$host" attach 223 --capabilities compute,utility,graphics
    cmp "$BATS_TEST_TMPDIR/once" "$conf"
    run -0 "$NVLXC" --root "$host" detach 223
    cmp "$BATS_TEST_TMPDIR/bare" "$conf"
}

@test "every shape of the corpus: replaced, and detached to the config without a GPU" {
    for shape in "$CONFIGS"/pve/*.conf; do
        name=$(basename "$shape" .conf)
        use "$name"
        run -0 "$NVLXC" --root "$host" attach 220 --gpu 0 --replace
        run -0 "$NVLXC" --root "$host" show 220
        [[ $output != *"by hand"* ]] || { echo "$name: $output"; false; }
        run -0 "$NVLXC" --root "$host" detach 220
        cmp "$host/etc/pve/lxc/220.conf" "$CONFIGS/pve/$name.bare"
    done
    for shape in "$CONFIGS"/lxc/*.conf; do
        name=$(basename "$shape" .conf)
        cp "$shape" "$host/var/lib/lxc/web/config"
        run -0 "$NVLXC" --root "$host" attach root/web --gpu 0 --replace
        run -0 "$NVLXC" --root "$host" detach root/web
        cmp "$host/var/lib/lxc/web/config" "$CONFIGS/lxc/$name.bare"
    done
}

@test "what the lines give is the default: capabilities" {
    use classic
    run -0 "$NVLXC" --root "$host" attach 220 --replace
    [ "$(capabilities_of 220)" = compute,utility,video ]
    use lxc-hook
    run -0 "$NVLXC" --root "$host" attach 220 --replace
    [ "$(capabilities_of 220)" = compute,video ]
    grep -qx 'lxc.environment: NVIDIA_VISIBLE_DEVICES=all' "$host/etc/pve/lxc/220.conf"
    ! grep -q hooks/nvidia "$host/etc/pve/lxc/220.conf"
    grep -qx 'lxc.hook.mount: /usr/local/bin/own-hook' "$host/etc/pve/lxc/220.conf"
    use dev-entries
    run -0 "$NVLXC" --root "$host" attach 220 --replace
    [ "$(capabilities_of 220)" = compute,utility ]
    # what is asked for counts
    use classic
    run -0 "$NVLXC" --root "$host" attach 220 --replace --capabilities utility
    [ "$(capabilities_of 220)" = utility ]
}

@test "what the lines give is the default: GPUs, by the nodes that they name" {
    host=$(fixture two-gpus-535)
    mkdir -p "$host/etc/pve/lxc"
    first=GPU-9d2c1f60-7b3e-4a55-8e21-0c64f5d0a1b2 second=GPU-e07a54c3-21f8-4d0b-b6a9-58c3d92e7f14
    devices() { sed -n 's/^lxc.environment: NVIDIA_VISIBLE_DEVICES=//p' "$host/etc/pve/lxc/220.conf"; }
    # minors are reversed against bus order
    printf 'dev0: /dev/nvidia0\ndev1: /dev/nvidiactl\n' >"$host/etc/pve/lxc/220.conf"
    run -0 "$NVLXC" --root "$host" attach 220 --replace
    [ "$(devices)" = $second ]
    use stale-majors
    run -0 "$NVLXC" --root "$host" attach 220 --replace
    [ "$(devices)" = $second,$first ]
    use stale-majors
    run -0 "$NVLXC" --root "$host" attach 220 --replace --gpu 0
    [ "$(devices)" = $first ]
    # a node of no GPU is said, and the request must say which
    printf 'dev0: /dev/nvidia7\n' >"$host/etc/pve/lxc/220.conf"
    run -2 --separate-stderr "$NVLXC" --root "$host" attach 220 --replace
    says "this host has 2 NVIDIA GPUs"
    run -0 --separate-stderr "$NVLXC" --root "$host" attach 220 --replace --gpu all
    run -0 "$NVLXC" --root "$host" detach 220
    [ ! -s "$host/etc/pve/lxc/220.conf" ]
}

@test "a dynamic major that another driver has now is not NVIDIA's" {
    use stale-majors
    run -0 "$NVLXC" --root "$host" show 220
    says "c 234:* rwm" "c 509:* rwm" "c 511:* rwm"
    [[ $output != *"c 242:"* ]]
    [[ $output != *"c 189:"* ]]
    [[ $output != *nvidia-models* ]]
    # hidraw is gone, and 242 is anybody's
    sed -i '/hidraw/d' "$host/proc/devices"
    run -0 "$NVLXC" --root "$host" show 220
    says "c 242:* rwm"
}

@test "a rule by hand that made the filter does not count: without it no rule is needed" {
    printf 'lxc.uts.name = web\nlxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536\n' >"$BATS_TEST_TMPDIR/bare"
    { cat "$BATS_TEST_TMPDIR/bare"; echo 'lxc.cgroup2.devices.allow = c 195:* rwm'; } >"$host/var/lib/lxc/web/config"
    run -0 "$NVLXC" --root "$host" attach root/web --replace
    ! grep -q devices.allow "$host/var/lib/lxc/web/config"
    run -0 "$NVLXC" --root "$host" detach root/web
    cmp "$BATS_TEST_TMPDIR/bare" "$host/var/lib/lxc/web/config"
}

@test "lines astray in a snapshot's section: shown and warned of, taken out with --replace alone" {
    use astray
    run -0 "$NVLXC" --root "$host" show 220
    says "by hand, without effect, line 16 in [second]: lxc.cgroup2.devices.allow: c 195:* rwm" "in [second]: dev0: /dev/nvidia-uvm"
    [[ $output != *226* ]]
    [ "$("$NVLXC" --root "$host" --json show 220 | jq '.lines_astray | length')" -eq 4 ]
    run -0 "$NVLXC" --root "$host" list
    [[ $output =~ 220\ .*by\ hand ]]

    run -0 --separate-stderr "$NVLXC" --root "$host" attach 220
    says "NVIDIA lines after the [section] have no effect" "nvlxc detach 220 && nvlxc attach 220 --replace"
    run -0 "$NVLXC" --root "$host" detach 220
    cmp "$host/etc/pve/lxc/220.conf" "$CONFIGS/pve/astray.conf"

    run -0 --separate-stderr "$NVLXC" --root "$host" attach 220 --replace
    says "removed 4 lines about NVIDIA that nvlxc did not write"
    [[ $stderr != *"no effect"* ]]
    run -0 "$NVLXC" --root "$host" detach 220
    cmp "$host/etc/pve/lxc/220.conf" "$CONFIGS/pve/astray.bare"
}

@test "a snapshot of a time with lines by hand stays as it is" {
    use snapshots
    run -0 "$NVLXC" --root "$host" attach 220 --replace
    run -0 "$NVLXC" --root "$host" attach 220 --replace
    says "nothing to change"
    [ "$(sed -n '/^\[good\]/,$p' "$host/etc/pve/lxc/220.conf")" = "$(sed -n '/^\[good\]/,$p' "$CONFIGS/pve/snapshots.conf")" ]
}

@test "--replace where nothing is by hand is a plain attach" {
    cp "$host/etc/pve/lxc/220.conf" "$BATS_TEST_TMPDIR/before"
    run -0 "$NVLXC" --root "$host" attach 220 --replace
    [[ $output != *"did not write"* ]]
    [ "$(capabilities_of 220)" = compute,utility ]
    run -0 "$NVLXC" --root "$host" detach 220
    cmp "$BATS_TEST_TMPDIR/before" "$host/etc/pve/lxc/220.conf"
    [ "$("$NVLXC" --root "$host" --json attach 223 --replace --dry-run | jq '.replaced | length')" -eq 7 ]
}

@test "--help says what does not come back" {
    run -0 "$NVLXC" attach --help
    says "--replace" "config without a GPU, not these lines"
    run -0 "$NVLXC" detach --help
    says "which \`attach --replace\` removed do not come back"
}
