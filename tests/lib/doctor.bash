# What doctor says of one container: for the tests of its checks. Sourced by bats; `nvlxc` is the program or a function.
# shellcheck shell=bash disable=SC2154 # HOST is set by who sources this
# shellcheck source=/dev/null
source "${NVL_SOURCE:?}/tests/lib/json.bash"

# findings CT: what doctor says of the container alone, as JSON.
findings() {
    nvlxc --json doctor "$1" | jq '[.findings[] | select(.container != null)]'
}

# speaks CT [ID SEVERITY]: exactly that, or nothing at all.
speaks() {
    local got
    got=$(findings "$1") || return
    [ "$(jq -r '.[] | .id + " " + .severity' <<< "$got")" = "${2:+$2 $3}" ] || { echo "$got"; return 1; }
}

# part CT ID KEY: evidence, cause or fix of a finding.
part() {
    findings "$1" | jq -r --arg id "$2" --arg key "$3" '.[] | select(.id == $id) | .[$key] | '"$JQ_WORDS"
}

# has CT ID KEY TEXT...: that part has each of the texts.
has() {
    local text got
    got=$(part "$1" "$2" "$3")
    for text in "${@:4}"; do
        [[ $got == *"$text"* ]] || { echo "expected: $text"; echo "got: $got"; return 1; }
    done
}

# run_commands FIX: the commands of a fix, leaving out its words; false where it has none.
run_commands() {
    local line ran=0
    while IFS= read -r line; do
        case $line in
            nvlxc\ * | '  nvlxc '* | pct\ * | rm\ *) eval "$line" > /dev/null || return; ran=1 ;;
        esac
    done <<< "$1"
    [ $ran = 1 ]
}

# pct: Proxmox's, on the files of the fixture $HOST.
pct() {
    mkdir -p "$HOST/run"
    NVL_PCT_ROOT=$HOST "$NVL_SOURCE/tests/lib/pct" "$@"
}
