# The JSON output against its schemas: load with `load "$NVL_SOURCE/tests/lib/json.bash"`.
# shellcheck shell=bash

# keep_json COMMAND PROGRAM ARGUMENT…: runs `PROGRAM --json ARGUMENT…` and keeps what it prints in $BATS_TEST_TMPDIR/json,
# to be checked as COMMAND's, or, if it failed and printed nothing on standard output, as an error. Gives its exit status.
keep_json() {
    local command=$1 folder=$BATS_TEST_TMPDIR/json file status=0
    mkdir -p "$folder"
    file=$(mktemp "$folder/$command.XXXXXX")
    "${@:2:1}" --json "${@:3}" >"$file" 2>"$file.err" || status=$?
    if [ -s "$file" ]; then
        mv "$file" "$file.json"
    else
        # warnings may precede it
        tail -n 1 "$file.err" >"$folder/error.$(basename "$file").json"
        rm "$file"
    fi
    rm "$file.err"
    return $status
}

# All that keep_json kept is as docs/json says.
check_json() {
    "$NVL_SOURCE/tests/lib/json-check" "$BATS_TEST_TMPDIR"/json/*.json
}

# is_json COMMAND: standard input is as that command's schema says.
is_json() {
    cat >"$BATS_TEST_TMPDIR/$1.one.json"
    "$NVL_SOURCE/tests/lib/json-check" "$BATS_TEST_TMPDIR/$1.one.json"
}

# For jq: a part of a finding as text, a line of a fix as "restart it: pct reboot 101"; and a fix's commands alone.
# shellcheck disable=SC2016,SC2034 # for who sources this, and jq
JQ_WORDS='if type == "array" then .[] | .command as $c | if .text != null and $c != null and (.text | contains($c)) then .text
    else [.text, $c] | map(values) | join(": ") end else . end'
# shellcheck disable=SC2034
JQ_COMMANDS='.fix[].command | values'
