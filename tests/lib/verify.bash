# Looking at what `nvlxc verify` says. Sourced by bash, bats among them.
# shellcheck source=/dev/null
source "${NVL_SOURCE:?}/tests/lib/json.bash"

# verify STATUS CT…: runs it with --json, checks its exit status, keeps what it said for the functions below.
verify() {
    local status=0 wanted=$1
    shift
    VERIFIED=$(nvlxc --json verify "$@") || status=$?
    [ "$status" = "$wanted" ] || { 
        echo "exit status $status, not $wanted"
        jq -c '.steps[] | select(.result != "pass")' <<< "$VERIFIED"
        return 1
    }
}

# steps RESULT: the ids of the steps with that result, with blanks between.
steps() {
    jq -r --arg result "$1" '[.steps[] | select(.result == $result) | .id] | join(" ")' <<< "$VERIFIED"
}

# step ID RESULT [KEY TEXT]...: that step has that result, and TEXT in its evidence, cause or fix.
step() {
    local id=$1 found
    found=$(jq -c --arg id "$1" '.steps[] | select(.id == $id)' <<< "$VERIFIED")
    [ "$(jq -r .result <<< "$found")" = "$2" ] || { echo "$id is not $2: $found"; return 1; }
    shift 2
    while [ $# -gt 0 ]; do
        [[ $(jq -r --arg key "$1" '.[$key] | '"$JQ_WORDS" <<< "$found") == *"$2"* ]] ||
            { echo "$id: no '$2' in its $1: $found"; return 1; }
        shift 2
    done
}

# first_failure: its id.
first_failure() {
    jq -r .first_failure <<< "$VERIFIED"
}

# no_cgroup_left CT: none of verify's own is in the running container's.
no_cgroup_left() {
    local cgroup left
    cgroup=/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$(lxc-info -n "$1" -pH)/cgroup")
    [ -e "$cgroup/cgroup.procs" ] || { echo "no cgroup $cgroup"; return 1; }
    left=$(find "$cgroup" -name 'nvlxc-verify*')
    [ -z "$left" ] || { echo "left: $left"; return 1; }
}
