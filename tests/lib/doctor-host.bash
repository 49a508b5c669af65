# What doctor says of a fixture host as a whole, $HOST: for the tests of its checks. Sourced by bats.
# shellcheck shell=bash disable=SC2034,SC2154 # HOST is set by who sources this
# shellcheck source=/dev/null
source "${NVL_SOURCE:?}/tests/lib/json.bash"

GPU=sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0

nvlxc() {
    "$NVL_BUILD/src/cli/nvlxc" --root "$HOST" "$@"
}

# speaks [ID:SEVERITY...]: exactly these, in this order.
speaks() {
    local got
    got=$(nvlxc --json doctor | jq -r '.findings[] | .id + ":" + .severity' | tr '\n' ' ')
    [ "${got% }" = "$*" ] || { nvlxc doctor; echo "expected: $*"; return 1; }
}

# part ID KEY: evidence, cause, title or fix of a finding.
part() {
    nvlxc --json doctor | jq -r --arg id "$1" --arg key "$2" '.findings[] | select(.id == $id) | .[$key] | '"$JQ_WORDS"
}

# has ID KEY TEXT...: that part has each of the texts.
has() {
    local text got
    got=$(part "$1" "$2")
    for text in "${@:3}"; do
        [[ $got == *"$text"* ]] || { echo "expected: $text"; echo "got: $got"; return 1; }
    done
}

# unload: the driver is installed, and it is not loaded.
unload() {
    rm -rf "$HOST/proc/driver" "$HOST/$GPU/driver"
    : > "$HOST/proc/modules"
    sed -i '/nvidia/d' "$HOST/proc/devices"
}
