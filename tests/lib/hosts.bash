# Fixture hosts for the command tests: load with `load "$NVL_SOURCE/tests/lib/hosts.bash"` or `source`.
# shellcheck shell=bash

# fixture NAME: copies tests/hosts/NAME to a fresh folder below $BATS_TEST_TMPDIR, or makes the host of that name of
# tests/hosts/kinds.bash there; makes its device nodes, gives the users' home folders to them, and prints the folder's path.
# Each call gives another copy.
fixture() {
    local source="$NVL_SOURCE/tests/hosts/$1" host user uid gid home
    host=$(mktemp -d "$BATS_TEST_TMPDIR/$1.XXXXXX") && chmod 0755 "$host" || return 1
    if [ ! -f "$source/nodes" ]; then
        "$NVL_SOURCE/tests/hosts/make-kind" "$1" "$host" || return 1
        printf '%s\n' "$host"
        return
    fi
    # The checkout may belong to anyone, and may hold nodes that make-nodes made for use by hand.
    cp -a "$source/." "$host/" || return 1
    chown -hR 0:0 "$host" || return 1
    # nor shall its umask matter
    chmod -R go-w "$host" && chmod 0755 "$host" || return 1
    "$NVL_SOURCE/tests/hosts/make-nodes" "$host" || return 1
    if [ -f "$host/etc/passwd" ]; then
        while IFS=: read -r user _ uid gid _ home _; do
            if [ -n "$user" ] && [ "$uid" -ge 1000 ] && [ "$uid" -lt 60000 ] && [ -d "$host$home" ]; then
                chown -hR "$uid:$gid" "$host$home" || return 1
            fi
        done <"$host/etc/passwd"
    fi
    printf '%s\n' "$host"
}

# is_as_read FILE: standard input is what that file of tests/hosts/expected has, which somebody has read and found right. With
# NVL_REGENERATE=1 it is written there instead: read the diff.
is_as_read() {
    if [ -n "${NVL_REGENERATE:-}" ]; then
        cat >"$NVL_SOURCE/tests/hosts/expected/$1"
    else
        diff -u "$NVL_SOURCE/tests/hosts/expected/$1" -
    fi
}

# says TEXT…: what the last `run` printed, on stdout or stderr, has each of them, also where it is wrapped.
says() {
    local text flat
    # shellcheck disable=SC2154 # run sets them
    flat=$(tr -s ' \n' ' ' <<<"$output$stderr")
    for text; do
        [[ $output$stderr == *"$text"* || $flat == *"$text"* ]] || { echo "expected: $text"; echo "got: $output$stderr"; return 1; }
    done
}

# error_of TEXT: an error as one line, "MESSAGE; what to do; what to try": its hints and commands follow it in lines of their own.
error_of() {
    sed -E -e ':more' -e 'N' -e '$!b more' -e 's/\n(hint: |try: |     )/; /g' <<<"$1"$'\n' | sed '/^$/d'
}

# give_programs HOST PROGRAM…: this machine's own, with their libraries, for what runs on_machine.
give_programs() {
    local host=$1 program library
    mkdir -p "$host/bin"
    for program in "${@:2}"; do
        cp -L "$(command -v "$program")" "$host/bin/$program"
        for library in $(ldd "$host/bin/$program" | grep -o '/[^ ]*'); do
            mkdir -p "$host${library%/*}"
            cp -Ln "$library" "$host$library"
        done
    done
}

# on_machine HOST PROGRAM ARGUMENT…: the program with the fixture as the machine itself, not by --root: the fixture is its
# root, with what the program needs of the real machine mounted in it for as long as it runs. /proc has the fixture's files
# and two real entries: "self", which is each process's own, and the program's, for which a sanitizer asks by its number; for
# leaks it would ask for those of the program's children.
on_machine() {
    local loader libraries
    loader=$(realpath "$(ldd /bin/sh | sed -n 's|^[[:space:]]*\(/[^ ]*/ld[^ ]*\) .*|\1|p')")
    libraries=$(ldd /bin/sh | sed -n 's|.* => \(/.*\)/libc\.so\.6 .*|\1|p')
    if [ -n "${NVL_EMULATED:-}" ]; then loader=$(realpath /lib/ld-linux-aarch64.so.1) libraries=/lib/aarch64-linux-gnu; fi
    # shellcheck disable=SC2016 # expanded inside
    ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 unshare --mount --propagation private -- bash -ec '
        host=$1 loader=$2 libraries=$3 program=$4
        mkdir -p "$host/proc/$$" "$host/real"
        ln -sfn /real/proc/self "$host/proc/self"
        mount --bind /proc/$$ "$host/proc/$$"
        mount --rbind / "$host/real"
        # where a build counts which lines run (tests/lib/coverage)
        counts=$NVL_SOURCE/.cache/coverage
        [ ! -d "$counts" ] || { mkdir -p "$host$counts" && mount --bind "$counts" "$host$counts"; }
        exec chroot "$host" "/real$loader" --library-path "/real$libraries:/real/usr$libraries" "/real$program" "${@:5}"
    ' on_machine "$1" "$loader" "$libraries" "$(realpath "$2")" "${@:3}"
}
