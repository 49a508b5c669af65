# What users and containers write is any bytes: JSON is JSON all the same, and nothing that a terminal obeys comes out.

bats_require_minimum_version 1.5.0
load "$NVL_SOURCE/tests/lib/hosts.bash"

NVLXC="$NVL_BUILD/src/cli/nvlxc"
# not UTF-8, a title for the terminal, a colour, a C1 control, letters that run the other way
EVIL=$'w\xff\e]0;owned\a\e[31m\u009b2J\u202e'

# A container of root's and one of a user's, each with a grant and such a line by hand. A name with a control character would
# make it no container.
setup() {
    host=$(fixture a5500-550)
    local dir odd=$'w\xff\u202eb' user
    for user in root alice; do
        dir=$host/var/lib/lxc/$odd
        [ $user = root ] || dir=$host/home/$user/.local/share/lxc/$odd
        mkdir -p "$dir"
        echo 'lxc.uts.name = odd' > "$dir/config"
        [ $user = root ] || chown -R 1000:1000 "$host/home/$user"
        "$NVLXC" --root "$host" attach "$user/$odd" --quiet
        printf 'lxc.mount.entry = /dev/nvidia0 dev/nvidia0 none bind,%s 0 0\n' "$EVIL" >> "$dir/config"
    done
    name=root/$odd
}

# harmless FILE: UTF-8, and no control character but the newline
harmless() {
    iconv -f UTF-8 -t UTF-8 "$1" > /dev/null || { echo "not UTF-8: $(cat -v "$1")"; return 1; }
    ! LC_ALL=C grep -nP '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80\xae' "$1" | cat -v | grep . ||
        { echo "a terminal would obey: $(cat -v "$1")"; return 1; }
}

@test "JSON is JSON" {
    local command
    for command in list gpus doctor "show $name" "attach $name --dry-run" "attach $name --replace --dry-run" "detach $name --dry-run" \
        "show no-$name"; do
        # shellcheck disable=SC2086 # words
        "$NVLXC" --root "$host" --json $command > "$host/out" 2> "$host/err" || true
        [ -s "$host/out" ] || mv "$host/err" "$host/out"
        jq -e . "$host/out" > "$host/parsed" || { echo "$command: $(cat -v "$host/out")"; false; }
        iconv -f UTF-8 -t UTF-8 "$host/out" > /dev/null
    done
    [ "$("$NVLXC" --root "$host" --json list | jq '[.containers[] | select(.container | test("w[?]"))] | length')" = 2 ]
    [ "$("$NVLXC" --root "$host" --json gpus | jq '[.gpus[0].containers[] | select(.container | test("w[?]"))] | length')" = 2 ]
    [ "$("$NVLXC" --root "$host" --json show "$name" | jq '.lines_by_hand | length')" = 1 ]
}

@test "text for people is harmless" {
    local command
    for command in list gpus doctor "show $name" "attach $name --dry-run" "attach $name --replace --dry-run" "detach $name --dry-run" \
        "show no-$name" metrics; do
        # shellcheck disable=SC2086 # words
        "$NVLXC" --root "$host" $command > "$host/out" 2>&1 || true
        [ -s "$host/out" ]
        harmless "$host/out" || { echo "$command"; false; }
    done
}

# pasted TEXT: every command for nvlxc or LXC that stands in it, run as a line of a shell whose programs only note that they ran.
pasted() {
    local line
    mkdir -p "$BATS_TEST_TMPDIR/bin"
    for line in nvlxc lxc-start lxc-stop lxc-attach pct; do
        printf '#!/bin/sh\n' > "$BATS_TEST_TMPDIR/bin/$line"
        chmod 755 "$BATS_TEST_TMPDIR/bin/$line"
    done
    while IFS= read -r line; do
        (cd "$BATS_TEST_TMPDIR" && PATH="$BATS_TEST_TMPDIR/bin:$PATH" bash -c "$line" < /dev/null > pasted.out 2>&1) || true
    done < <(grep -oE '(nvlxc|lxc-[a-z]+|pct) [a-z].*' <<< "$1" | sed 's/[`].*//')
}

@test "a name that a user chose is a word in every command that is there to be pasted" {
    local command text evil='a;touch owned;$(touch owned)&touch owned'
    mkdir -p "$host/home/alice/.local/share/lxc/$evil"
    cp "$host/home/alice/.local/share/lxc/"$'w\xff\u202eb/config' "$host/home/alice/.local/share/lxc/$evil/config"
    chown -R 1000:1000 "$host/home/alice"
    for command in show attach detach "detach --dry-run" "attach --replace" "attach --exclusive" verify cdi doctor "attach --live" bench; do
        # shellcheck disable=SC2086 # words
        text=$("$NVLXC" --root "$host" $command "alice/$evil" 2>&1) || true
        [ -n "$text" ]
        pasted "$text"
        [ ! -e "$BATS_TEST_TMPDIR/owned" ] || { echo "$command: $text"; false; }
    done
    # the overview names the first container
    rm -rf "$host/etc/pve" "$host/var/lib/lxc"/* "$host/home/alice/.local/share/lxc/w"*
    pasted "$("$NVLXC" --root "$host")"
    [ ! -e "$BATS_TEST_TMPDIR/owned" ]
    # the test's own eye
    pasted "see: nvlxc show alice/$evil"
    [ -e "$BATS_TEST_TMPDIR/owned" ]
}
