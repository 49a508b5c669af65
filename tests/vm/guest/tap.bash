# shellcheck shell=bash
# Cases of a test, told as TAP, one line each; $boot is part of their names. Sourced by bash.
: "${boot:?}"

# tries NAME COMMAND...: one case; what the command said is told where it fails.
tries() {
    local name=$1 said status=0
    shift
    said=$("$@" 2>&1) || status=$?
    if [ $status = 0 ]; then
        echo "ok - boot $boot: $name"
    else
        echo "not ok - boot $boot: $name"
        printf '%s\n' "$said" "(exit status $status)" | sed 's/^/# /'
    fi
}

# is EXPECTED COMMAND...: whether the command succeeds and says just that.
is() {
    local expected=$1 said status=0
    shift
    said=$("$@" 2>&1) || status=$?
    if [ $status != 0 ] || [ "$said" != "$expected" ]; then
        printf 'expected:\n%s\nseen (exit status %s):\n%s\n' "$expected" "$status" "$said"
        return 1
    fi
}

# fails COMMAND...: well where the command is not.
fails() {
    ! "$@"
}

# within SECONDS COMMAND...: tries again until it succeeds.
within() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || { "$@"; return; }
        sleep 1
    done
}
