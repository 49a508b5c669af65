# attach --live and detach --live on fixture hosts: what they refuse, and what a dry run says. What they do is in
# tests/lxc/live.bats.

bats_require_minimum_version 1.5.0
load "$NVL_SOURCE/tests/lib/hosts.bash"

NVLXC="$NVL_BUILD/src/cli/nvlxc"

setup() {
    host=$(fixture a5500-550)
    web=$host/var/lib/lxc/web/config
    cp "$web" "$BATS_TEST_TMPDIR/before"
}

runs() {
    echo '0000000000000000: 00000002 00000000 00010000 0001 01 34568 @/var/lib/lxc/web/command' >>"$host/proc/net/unix"
}

@test "on a running container, attach and detach mention --live beside the restart" {
    runs
    run -0 "$NVLXC" --root "$host" attach root/web
    says "restart it: lxc-stop -n web && lxc-start -n web; or run this again with --live"
    run -0 "$NVLXC" --root "$host" detach root/web
    says "lxc-stop -n web && lxc-start -n web; or run this again with --live"
}

@test "one that does not run: a note, and the config is changed" {
    run -0 "$NVLXC" --root "$host" attach root/web --live
    says "root/web is not running: --live has nothing to do" "the container gets it at its next start"
    grep -q NVIDIA_VISIBLE_DEVICES "$web"
    run -0 "$NVLXC" --root "$host" --json detach --live root/web
    [ "$(jq -c .live <<<"$output")" = '{"running":false,"brought":[],"taken":[],"problems":[],"notes":[],"programs":[]}' ]
    cmp "$BATS_TEST_TMPDIR/before" "$web"
}

@test "another machine's root cannot be entered: nothing is written" {
    runs
    run -2 "$NVLXC" --root "$host" attach root/web --live
    says "--live changes a running container of this machine"
    cmp "$BATS_TEST_TMPDIR/before" "$web"
    run -0 "$NVLXC" --root "$host" attach root/web
    cp "$web" "$BATS_TEST_TMPDIR/attached"
    run -2 "$NVLXC" --root "$host" detach root/web --live
    cmp "$BATS_TEST_TMPDIR/attached" "$web"
}

@test "--dry-run says what would be brought in" {
    runs
    run -0 "$NVLXC" --root "$host" attach root/web --live --dry-run
    says "+lxc.environment = NVIDIA_VISIBLE_DEVICES=" \
        "would add to the running container: devices nvidia0 nvidiactl nvidia-uvm nvidia-uvm-tools, driver 550.163.01"
    run -0 "$NVLXC" --root "$host" --json attach root/web --live --dry-run --libraries none --capabilities utility
    [ "$(jq -c .live.brought <<<"$output")" = '["devices nvidia0 nvidiactl","its view of /proc/driver/nvidia"]' ]
    cmp "$BATS_TEST_TMPDIR/before" "$web"
}

@test "without --live it is null in JSON" {
    run -0 "$NVLXC" --root "$host" --json attach root/web
    [ "$(jq .live <<<"$output")" = null ]
    run -0 "$NVLXC" --root "$host" --json detach root/web
    [ "$(jq .live <<<"$output")" = null ]
}

@test "what only a start can bring is refused before anything is written" {
    run -2 "$NVLXC" --root "$host" attach 220 --nodes dev --live
    says "applies its dev[n] entries only at a start" "pct set 220 --devN PATH" "pve-container 6.0.4"
    ! grep -q NVIDIA_VISIBLE "$host/etc/pve/lxc/220.conf"
    run -2 "$NVLXC" --root "$host" attach root/web --libraries host --force --live
    says "it would mount over library folders that the container's programs are using"
    cmp "$BATS_TEST_TMPDIR/before" "$web"
}
