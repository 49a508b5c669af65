#!/usr/bin/env bats
# The systemd units: what they are ordered after and before, and that systemd takes them.

bats_require_minimum_version 1.5.0

setup() {
    DATA="$NVL_SOURCE/data"
}

# values UNIT KEY: every word of that key, one a line.
values() {
    sed -n "s/^$2=//p" "$DATA/$1" | tr ' ' '\n'
}

@test "the host is ready before any guest starts" {
    local unit
    for unit in pve-guests.service pve-ha-lrm.service lxc.service; do
        values nvlxc-boot.service Before | grep -qxF $unit
    done
    for unit in local-fs.target systemd-modules-load.service nvidia-persistenced.service \
        nvidia-mig-manager.service nvidia-fabricmanager.service; do
        values nvlxc-boot.service After | grep -qxF $unit
    done
    [ "$(values nvlxc-boot.service WantedBy)" = multi-user.target ]
    [ "$(values nvlxc-boot.service Type)" = oneshot ]
    [ "$(values nvlxc-boot.service RemainAfterExit)" = yes ]
}

@test "first the nodes, then the bundle, then what nothing needs goes" {
    [ "$(sed -n 's/^ExecStart=//p' "$DATA/nvlxc-boot.service")" = "/usr/libexec/nvlxc/hook --prepare
/usr/bin/nvlxc --quiet driver sync --if-present
/usr/bin/nvlxc --quiet driver prune" ]
}

@test "an installation of a driver starts a sync, however often ldconfig runs" {
    values nvlxc-driver.path PathChanged | grep -qxF /etc/ld.so.cache
    values nvlxc-driver.path PathChanged | grep -qxF /usr/lib/firmware/nvidia
    [ "$(values nvlxc-driver.path WantedBy)" = paths.target ]
    [ "$(values nvlxc-driver.path Unit)" = nvlxc-driver.service ]
    [ "$(values nvlxc-driver.service StartLimitIntervalSec)" = 0 ]
    [ "$(sed -n 's/^ExecStart=//p' "$DATA/nvlxc-driver.service")" = "/usr/bin/nvlxc --quiet driver sync --if-present" ]
}

@test "nvlxc takes the commands that the units give" {
    local line words
    while read -r line; do
        read -ra words <<<"$line"
        run -0 "$NVL_BUILD/src/cli/nvlxc" --root "$NVL_SOURCE/tests/hosts/no-gpu" "${words[@]:1}" --dry-run
        [ -z "$output" ]
    done < <(sed -n 's|^ExecStart=/usr/bin/nvlxc|nvlxc|p' "$DATA"/*.service)
}

@test "systemd finds nothing wrong in them" {
    command -v systemd-analyze >/dev/null || skip "there is no systemd here"
    local root="$BATS_TEST_TMPDIR/root" program
    # the programs that they call, at their places
    mkdir -p "$root/usr/lib/systemd"
    cp -aL /usr/lib/systemd/system "$root/usr/lib/systemd/" 2>/dev/null || cp -a /usr/lib/systemd/system "$root/usr/lib/systemd/"
    cp "$DATA"/*.service "$DATA"/*.path "$root/usr/lib/systemd/system/"
    for program in /usr/bin/nvlxc /usr/libexec/nvlxc/hook; do
        install -D -m 755 /bin/true "$root$program"
    done
    run -0 systemd-analyze verify --man=no --root="$root" nvlxc-boot.service nvlxc-driver.service nvlxc-driver.path
    [[ $output != *nvlxc* ]] || { echo "$output"; false; }
}

@test "a mistake in a unit would be found" {
    command -v systemd-analyze >/dev/null || skip "there is no systemd here"
    sed 's/^Type=oneshot/Type=once/' "$DATA/nvlxc-boot.service" >"$BATS_TEST_TMPDIR/nvlxc-boot.service"
    run systemd-analyze verify --man=no "$BATS_TEST_TMPDIR/nvlxc-boot.service"
    [[ $output == *"Type"* ]]
}

@test "a unit can do little more than its work: systemd's measure is under 4 of 10" {
    command -v systemd-analyze >/dev/null || skip "there is no systemd here"
    local unit
    for unit in nvlxc-boot nvlxc-driver; do
        run -0 systemd-analyze security --no-pager --offline=true --threshold=39 "$DATA/$unit.service"
    done
    sed '/^CapabilityBoundingSet=/d' "$DATA/nvlxc-boot.service" >"$BATS_TEST_TMPDIR/nvlxc-boot.service"
    run ! systemd-analyze security --no-pager --offline=true --threshold=39 "$BATS_TEST_TMPDIR/nvlxc-boot.service"
}
