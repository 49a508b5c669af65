# shellcheck shell=bash
# The table of tests/gpu: one row for each thing that was tried. Sourced by bash. $ROWS is the file that they go to, $LOGS the
# folder that keeps what each of them printed.

# row RESULT ID TEXT: RESULT is pass, fail or skip.
row() {
    printf '%s\t%s\t%s\n' "$1" "$2" "$(tr '\t\n' '  ' <<< "$3" | cut -c 1-300)" >> "$ROWS"
    printf '%-5s %-22s %s\n' "$1" "$2" "$(tr '\t\n' '  ' <<< "$3" | cut -c 1-160)" >&2
}

# step ID COMMAND...: a row from how the command ends: 0 pass, 77 skip, else fail; its last line is the row's text. It stands
# in no condition, since there `set -e` would not count; `passed ID` asks for its result.
step() {
    local id=$1 status result=fail
    shift
    (set -e; "$@") > "$LOGS/$id.log" 2>&1 < /dev/null
    status=$?
    case $status in 0) result=pass ;; 77) result=skip ;; esac
    row $result "$id" "$(grep -av '^[[:space:]]*$' "$LOGS/$id.log" | tail -n 1)"
}

# skip REASON: ends a step.
skip() {
    echo "$1"
    exit 77
}

# passed ID: that row is there and says pass.
passed() {
    grep -q "^pass	$1	" "$ROWS"
}

# table: the rows for a page of docs, and their numbers.
table() {
    printf '| result | what | evidence |\n|---|---|---|\n'
    awk -F'\t' '{ gsub(/\|/, "\\|"); printf "| %s | %s | %s |\n", $1, $2, $3; n[$1]++ }
        END { printf "\n%d passed, %d failed, %d skipped\n", n["pass"], n["fail"], n["skip"] }' "$ROWS"
}
