# Hosts of which some file or folder is not what it should be: every command ends soon, with one of its exit statuses, and JSON
# is JSON. With the sanitizers that CI builds in, no byte is read that is not there.

bats_require_minimum_version 1.5.0
load "$NVL_SOURCE/tests/lib/hosts.bash"

# answers COMMAND...: a sanitizer's complaint ends it with 99
answers() {
    local status=0
    ASAN_OPTIONS=${ASAN_OPTIONS:-}:exitcode=99 UBSAN_OPTIONS=${UBSAN_OPTIONS:-}:exitcode=99 \
        timeout 30 "$NVL_BUILD/src/cli/nvlxc" --root "$host" "$@" > "$out" 2> "$err" < /dev/null || status=$?
    [ $status -le 3 ] || { echo "seed $seed, $*: exit status $status"; cat "$err"; return 1; }
    [ "$1" != --json ] || [ ! -s "$out" ] || jq . "$out" > "$out.parsed" || { echo "seed $seed, $*:"; cat "$out"; return 1; }
}

# damaged FIRST LAST: with the seeds from FIRST to LAST, each on the next of the fixture hosts
damaged() {
    local hosts seed host ct out=$BATS_TEST_TMPDIR/out err=$BATS_TEST_TMPDIR/err
    mapfile -t hosts < <(cd "$NVL_SOURCE/tests/hosts" && ls -d */nodes)
    for seed in $(seq "$1" "$2"); do
        host=$(fixture "${hosts[seed % ${#hosts[@]}]%/nodes}")
        ct=$(cd "$host" && ls -d etc/pve/lxc/*.conf var/lib/lxc/* 2> "$err" | sed 's|.*/||; s/\.conf$//' | head -n 1)
        "$NVL_SOURCE/tests/lib/damage" "$seed" "$host"
        for command in gpus host doctor 'list --cluster' cdi 'driver list' 'driver prune --dry-run' template 'host setup --dry-run' \
            "show ${ct:-none}" "doctor ${ct:-none}" "attach ${ct:-none} --gpu all --replace --dry-run" "detach ${ct:-none} --dry-run"; do
            # shellcheck disable=SC2086 # words
            answers --json $command
        done
        answers metrics
        answers doctor --report
        answers capture "$BATS_TEST_TMPDIR/$seed.tar"
        answers attach "${ct:-none}" --gpu 0
        answers detach "${ct:-none}"
        chmod -R u+rwX "$host" && rm -rf "$host" "$BATS_TEST_TMPDIR/$seed.tar"
    done
}

@test "damaged hosts, a first thirty" {
    damaged 1 30
}

@test "damaged hosts, a second thirty" {
    damaged 31 60
}
