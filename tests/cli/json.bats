# JSON, format 1: every command's output on every kind of host is as its schema in docs/json says, errors too. The schemas of
# all commands share one table of keys, so that a key has the same type everywhere.

bats_require_minimum_version 1.5.0
load "$NVL_SOURCE/tests/lib/hosts.bash"
load "$NVL_SOURCE/tests/lib/json.bash"

NVLXC="$NVL_BUILD/src/cli/nvlxc"

# ask COMMAND ARGUMENT…: of the host; any exit status but 2, and no crash, will do.
ask() {
    local status=0
    keep_json "$1" "$NVLXC" --root "$host" "${@:2}" || status=$?
    [ "$status" -ne 2 ] && [ "$status" -lt 126 ] || { echo "exit status $status: ${*:2}"; return 1; }
}

# were_answered COMMAND…: each has at least one output that is no error.
were_answered() {
    local command
    for command; do
        compgen -G "$BATS_TEST_TMPDIR/json/$command.*.json" >/dev/null || { echo "never answered: $command"; return 1; }
    done
}

ask_everything() {
    local ct
    ask overview
    ask gpus gpus
    ask gpus-nodes gpus --nodes
    ask list list
    ask host host
    ask host-drivers host --drivers
    ask host-setup host setup --dry-run
    ask doctor doctor
    ask driver-list driver list
    ask driver-sync driver sync --dry-run
    ask driver-prune driver prune --dry-run
    ask template template
    keep_json create "$NVLXC" --root "$host" create ollama --gpu none --dry-run || true
    for ct in $(find "$host/etc/pve/lxc" "$host/var/lib/lxc" -name '[0-9]*.conf' -printf '%f\n' 2>/dev/null | sed 's/.conf//') \
        $(ls "$host/var/lib/lxc" 2>/dev/null); do
        ask show show "$ct"
        # a running container without its processes, and a config that is not there, are errors like others
        keep_json attach "$NVLXC" --root "$host" attach "$ct" --gpu all --replace --dry-run || true
        ask detach detach "$ct" --dry-run
        ask doctor doctor "$ct"
    done
}

@test "every command on every fixture host is as its schema says" {
    for host in $(find "$NVL_SOURCE/tests/hosts" -mindepth 2 -maxdepth 2 -name nodes -printf '%h\n'); do
        host=$(fixture "$(basename "$host")")
        ask_everything
    done
    check_json
    were_answered overview gpus gpus-nodes list host host-drivers host-setup doctor driver-list driver-sync driver-prune template create \
        show attach detach
}

@test "every command on every kind of host is as its schema says" {
    for kind in $("$NVL_SOURCE/tests/hosts/make-kind"); do
        host=$(fixture "$kind")
        ask_everything
    done
    check_json
    were_answered overview gpus gpus-nodes list host host-drivers host-setup doctor driver-list driver-sync driver-prune template
}

@test "what attach, show, list, detach and doctor say of grants of all forms" {
    host=$(fixture a5500-550)
    for words in '220 --required --exclusive' '221 --nodes static' '222 --nodes dev --capabilities all' '220 --libraries none' \
        '220 --gpu none' 'web --cdi --with mps,imex=2' 'media --workload jellyfin'; do
        # shellcheck disable=SC2086 # words
        for dry in --dry-run ''; do
            keep_json attach "$NVLXC" --root "$host" attach $words --replace $dry || true
        done
        ask show show "${words%% *}"
        ask list list
        ask gpus gpus
        ask doctor doctor
    done
    ask list list --cluster
    keep_json detach "$NVLXC" --root "$host" detach 220
    keep_json detach "$NVLXC" --root "$host" detach media
    check_json
    were_answered attach show list gpus doctor detach
}

@test "a cluster of ten nodes" {
    load "$NVL_SOURCE/tests/lib/cluster.bash"
    prepare_published
    cluster_of_ten
    "$NVLXC" --root "$host" --quiet attach 220
    ct n3 303 "$(grant GPU-11111111-1111-1111-1111-111111111111)"
    mkdir -p "$host/etc/pve/nodes/n2/qemu-server"
    echo "hostpci0: $(jq -r '.gpus[0].pci' "$host/etc/pve/nodes/n2/nvlxc.json")" >"$host/etc/pve/nodes/n2/qemu-server/100.conf"
    ask gpus-cluster gpus --cluster
    ask list list --cluster
    ask show-cluster show 220 --cluster
    ask show-cluster show 303 --cluster
    ask doctor doctor --cluster
    ask host-publish host publish --dry-run
    ask host-publish host publish
    rm "$host/etc/pve/.members"
    for command in 'gpus --cluster' 'show 220 --cluster' 'doctor --cluster' 'host publish'; do
        # shellcheck disable=SC2086 # words
        ask host-publish $command
    done
    check_json
    were_answered gpus-cluster list show-cluster doctor host-publish
}

@test "MIG devices, templates' texts, a capture and the version" {
    host=$(fixture h100-mig)
    keep_json gpus "$NVLXC" --root "$host" gpus
    jq -e '.gpus[0].mig_devices[0].uuid | startswith("MIG-GPU-")' "$BATS_TEST_TMPDIR"/json/gpus.*.json
    mkdir -p "$host/etc/nvlxc" "$host/etc/pve/lxc"
    keep_json template "$NVLXC" --root "$host" template
    jq -e '.templates[0].memory_bytes > 1000000000' "$BATS_TEST_TMPDIR"/json/template.*.json
    for form in '--ctid 300' '--ctid 300 --pct' --lxc; do
        # shellcheck disable=SC2086 # words
        keep_json template-text "$NVLXC" --root "$host" template ollama $form --gpu none
    done
    keep_json capture "$NVLXC" --root "$host" capture "$BATS_TEST_TMPDIR/host.tar"
    keep_json version "$NVLXC" version
    check_json
}

@test "an error: what and why, its exit status, and what to do as commands" {
    host=$(fixture a5500-550)
    wrong() {
        run -"$1" --separate-stderr "$NVLXC" --json --root "$host" "${@:2}"
        [ -z "$output" ]
        tail -n 1 <<<"$stderr" >"$(mktemp "$BATS_TEST_TMPDIR/json/error.XXXXXX.json")"
    }
    mkdir "$BATS_TEST_TMPDIR/json"
    wrong 2 atach 220
    wrong 2 attach 220 --nonsense
    wrong 2 attach
    wrong 2 attach 220 --gpu ''
    wrong 1 show 999
    wrong 1 attach 220 --gpu 7
    wrong 3 ps
    wrong 3 top
    wrong 1 driver prune 1.2.3
    jq -e '.format == 1 and .error.status == 1 and (.error.fix[0] | .command == "nvlxc driver list")' <<<"$stderr"
    check_json
}

@test "a schema that does not fit fails: the check can tell" {
    mkdir "$BATS_TEST_TMPDIR/json"
    host=$(fixture a5500-550)
    keep_json gpus "$NVLXC" --root "$host" gpus
    file=$(ls "$BATS_TEST_TMPDIR"/json/gpus.*.json)
    for spoil in '.gpus[0].index = "0"' '.gpus[0].extra = 1' 'del(.gpus[0].uuid)' 'del(.format)' '.format = 2' '.more = 1' \
        '.gpus[0].nodes[0].state = 3' '.gpus[0].driver = "nvidia"' '.gpus = {}'; do
        jq "$spoil" "$file" >"$BATS_TEST_TMPDIR/gpus.spoilt.json"
        run -1 "$NVL_SOURCE/tests/lib/json-check" "$BATS_TEST_TMPDIR/gpus.spoilt.json"
    done
    run -0 "$NVL_SOURCE/tests/lib/json-check" "$file"
    run -1 "$NVL_SOURCE/tests/lib/json-check"
}
