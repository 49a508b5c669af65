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
    done < <(sed -n 's|^ExecStart=-\?/usr/bin/nvlxc|nvlxc|p' "$DATA"/nvlxc-{boot,driver,publish}.service)
}

@test "what the node has is published at boot and after a driver came, in a cluster alone, and nothing waits for it" {
    [ "$(values nvlxc-publish.service WantedBy)" = multi-user.target ]
    [ "$(values nvlxc-driver.service OnSuccess)" = nvlxc-publish.service ]
    local unit
    for unit in nvlxc-boot.service pve-cluster.service corosync.service; do
        values nvlxc-publish.service After | grep -qxF $unit
    done
    run ! grep -E '^(Before|RequiredBy)=' "$DATA/nvlxc-publish.service"
    [ "$(values nvlxc-publish.service Type)" = exec ]
    [ "$(values nvlxc-publish.service ConditionPathExists)" = /etc/corosync/corosync.conf ]
    # no quorum is no failure of the boot
    [ "$(sed -n 's/^ExecStart=//p' "$DATA/nvlxc-publish.service")" = "-/usr/bin/nvlxc --quiet host publish --wait 600" ]
    values nvlxc-publish.service ReadWritePaths | grep -qx -- -/etc/pve
}

@test "the timers: some minutes after boot, then again and again; nothing enables them" {
    [ "$(values nvlxc-doctor.timer OnBootSec)" = 5min ]
    [ "$(values nvlxc-doctor.timer OnUnitActiveSec)" = 15min ]
    [ "$(values nvlxc-doctor.timer RandomizedDelaySec)" = 1min ]
    [ "$(values nvlxc-metrics.timer OnUnitActiveSec)" = 1min ]
    local unit
    for unit in doctor metrics; do
        [ "$(values nvlxc-$unit.timer WantedBy)" = timers.target ]
        run ! grep -q '^\[Install\]' "$DATA/nvlxc-$unit.service"
        # each starts the service of its name
        run ! grep -q '^Unit=' "$DATA/nvlxc-$unit.timer"
    done
    # another unit that wants them would start them all the same
    run ! grep -lE '^(Wants|Requires|Also|BindsTo|Upholds)=' "$DATA"/*.service "$DATA"/*.timer "$DATA"/*.path
    grep -q 'dh_installsystemd --no-enable \$(timers)' "$NVL_SOURCE/debian/rules"
    [ "$(sed -n 's/^timers := //p' "$NVL_SOURCE/debian/rules")" = "$(cd "$DATA" && echo *.timer)" ]
}

@test "what is found goes to the journal, as one word for the shell; mail is a line away" {
    local notify=() line
    [ "$(sed -n 's/^ExecStart=//p' "$DATA/nvlxc-doctor.service")" = '/usr/bin/nvlxc --quiet doctor --notify ${NVLXC_NOTIFY}' ]
    [ "$(sed -n 's/^Environment=//p' "$DATA/nvlxc-doctor.service")" = '"NVLXC_NOTIFY=systemd-cat -t nvlxc -p warning"' ]
    # the lines for mail, as a shell reads what is in the quotes
    mapfile -t notify < <(sed -n "s/^#   Environment='NVLXC_NOTIFY=\(.*\)'$/\1/p" "$DATA/nvlxc-doctor.service")
    [ "${#notify[@]}" = 2 ]
    mkdir "$BATS_TEST_TMPDIR/bin"
    for line in mail sendmail; do
        printf '#!/bin/sh\nprintf "%%s|" "${0##*/}" "$@"\ncat\n' >"$BATS_TEST_TMPDIR/bin/$line"
        chmod 755 "$BATS_TEST_TMPDIR/bin/$line"
    done
    for line in "${notify[@]}"; do
        echo body | NVLXC_SUBJECT='1 new $(touch x); "' PATH="$BATS_TEST_TMPDIR/bin:$PATH" sh -c "$line" >>"$BATS_TEST_TMPDIR/out"
    done
    diff "$BATS_TEST_TMPDIR/out" - <<'EOF'
mail|-s|1 new $(touch x); "|root|body
sendmail|-i|root|Subject: 1 new $(touch x); "

body
EOF
}

@test "metrics are written where node_exporter is installed, and nowhere else" {
    local folder=/var/lib/prometheus/node-exporter
    [ "$(values nvlxc-metrics.service ConditionPathIsDirectory)" = $folder ]
    [ "$(sed -n 's/^ExecStart=//p' "$DATA/nvlxc-metrics.service")" = "/usr/bin/nvlxc --quiet metrics $folder/nvlxc.prom" ]
    # the checks look for the driver below /lib/modules, and join a container's cgroup
    run ! grep -E '^(ProtectKernelModules|ProtectControlGroups|RestrictNamespaces=yes|PrivateDevices)' "$DATA/nvlxc-metrics.service" "$DATA/nvlxc-doctor.service"
}

@test "systemd finds nothing wrong in them" {
    command -v systemd-analyze >/dev/null || skip "there is no systemd here"
    local root="$BATS_TEST_TMPDIR/root" program
    # the programs that they call, at their places
    mkdir -p "$root/usr/lib/systemd"
    cp -aL /usr/lib/systemd/system "$root/usr/lib/systemd/" 2>/dev/null || cp -a /usr/lib/systemd/system "$root/usr/lib/systemd/"
    cp "$DATA"/*.service "$DATA"/*.path "$DATA"/*.timer "$root/usr/lib/systemd/system/"
    for program in /usr/bin/nvlxc /usr/libexec/nvlxc/hook; do
        install -D -m 755 /bin/true "$root$program"
    done
    run -0 systemd-analyze verify --man=no --root="$root" nvlxc-boot.service nvlxc-driver.service nvlxc-driver.path nvlxc-publish.service \
        nvlxc-doctor.service nvlxc-doctor.timer nvlxc-metrics.service nvlxc-metrics.timer
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
    for unit in nvlxc-boot nvlxc-driver nvlxc-publish nvlxc-metrics; do
        run -0 systemd-analyze security --no-pager --offline=true --threshold=39 "$DATA/$unit.service"
    done
    # the one that runs the administrator's command is closed as far as a mail program lets it be
    run -0 systemd-analyze security --no-pager --offline=true --threshold=86 "$DATA/nvlxc-doctor.service"
    run ! grep -E '^(NoNewPrivileges|ProtectHome|SystemCallFilter|CapabilityBoundingSet|RestrictAddressFamilies|IPAddress|RestrictSUIDSGID|PrivateUsers)' \
        "$DATA/nvlxc-doctor.service"
    sed '/^CapabilityBoundingSet=/d' "$DATA/nvlxc-boot.service" >"$BATS_TEST_TMPDIR/nvlxc-boot.service"
    run ! systemd-analyze security --no-pager --offline=true --threshold=39 "$BATS_TEST_TMPDIR/nvlxc-boot.service"
}
