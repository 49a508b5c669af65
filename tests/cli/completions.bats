#!/usr/bin/env bats
# Man pages and completions say what --help says: they are made from the same tables.

bats_require_minimum_version 1.5.0

setup() {
    NVLXC="$NVL_BUILD/src/cli/nvlxc"
    BASH_FILE="$NVL_BUILD/completions/nvlxc" ZSH_FILE="$NVL_BUILD/completions/_nvlxc"
}

commands() {
    "$NVLXC" --help | sed -n '/^commands:/,/^$/s/^  \([a-z]*\).*/\1/p'
}

# The options of --help, or of a command's.
options() {
    "$NVLXC" "$@" --help | sed -n 's/^  \(--[a-z0-9-]*\).*/\1/p'
}

# page NAME: the man page as text, its hyphens plain.
page() {
    sed 's/\\-/-/g; s/\\f[BIR]//g' "$NVL_BUILD/man/$1.8"
}

# completes LINE: what bash offers at the end of the line, a word a line. "" at its end begins a new word.
completes() {
    # shellcheck disable=SC2016 # for the inner shell
    bash --norc -c '
        source "$1"
        shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _nvlxc
        printf "%s\n" "${COMPREPLY[@]}"' bash "$BASH_FILE" "$@" | sort
}

@test "every command has a page, and every option of its --help is in it" {
    local command option
    [ "$(commands | wc -l)" -ge 8 ]
    for command in $(commands); do
        page "nvlxc-$command" >"$BATS_TEST_TMPDIR/page"
        grep -q "^nvlxc-$command - " "$BATS_TEST_TMPDIR/page"
        for option in $(options "$command"); do
            grep -q -- "^$option" "$BATS_TEST_TMPDIR/page" || { echo "$command: $option"; false; }
        done
        page nvlxc | grep -q "nvlxc-$command(8)"
    done
    for option in $(options); do
        page nvlxc | grep -q -- "^$option"
    done
}

@test "no page is left of a command that is gone" {
    [ "$(cd "$NVL_BUILD/man" && printf '%s\n' nvlxc-*.8 | sort)" = "$(commands | sed 's/.*/nvlxc-&.8/' | sort)" ]
}

@test "the pages can be read without a complaint" {
    command -v man >/dev/null || skip "there is no man here"
    local file
    for file in "$NVL_BUILD"/man/*.8; do
        run -0 --separate-stderr env MANWIDTH=80 man --warnings -l "$file"
        [ -z "$stderr" ] || { echo "$file: $stderr"; false; }
    done
}

@test "every command and option is in both completions" {
    local command option
    for command in $(commands); do
        grep -qF "    '$command:" "$ZSH_FILE"
        sed -n "/^_nvlxc_of_$command=(/,/^)/p" "$ZSH_FILE" >"$BATS_TEST_TMPDIR/zsh"
        grep -qF "_nvlxc_of_$command=(" "$BATS_TEST_TMPDIR/zsh"
        completes nvlxc "$command" -- >"$BATS_TEST_TMPDIR/bash"
        for option in $(options "$command"); do
            grep -qF -- "$option" "$BATS_TEST_TMPDIR/zsh"
            grep -qxF -- "$option" "$BATS_TEST_TMPDIR/bash"
        done
    done
    [ "$(completes nvlxc "")" = "$(commands | sort)" ]
    [ "$(completes nvlxc --)" = "$(options | sort)" ]
}

@test "bash: words, values and files" {
    [ "$(completes nvlxc at)" = attach ]
    [ "$(completes nvlxc driver s)" = sync ]
    [ "$(completes nvlxc --quiet driver p)" = prune ]
    [ "$(completes nvlxc attach 220 --capabilities = vid)" = video ]
    [ "$(completes nvlxc attach 220 --capabilities compute,uti)" = compute,utility ]
    [[ "$(completes nvlxc attach --gpu "")" == *all* ]]
    [[ "$(completes nvlxc attach --gpu = a)" == all ]]
    [ "$(completes nvlxc --root "$NVL_SOURCE/test")" = "$NVL_SOURCE/tests" ]
    [ "$(completes nvlxc capture "$NVL_SOURCE/LIC")" = "$NVL_SOURCE/LICENSE" ]
    # the value of --root is no command
    [ "$(completes nvlxc --root attach de)" = detach ]
    [ -z "$(completes nvlxc gpus "")" ]
}

@test "bash: containers of Proxmox and of LXC" {
    [ "$(id -u)" = 0 ]
    run -0 unshare -m bash -c '
        source "$1"
        mkdir -p "$2/.local/share/lxc/mine" && touch "$2/.local/share/lxc/mine/config"
        mount -t tmpfs tmpfs /etc && mount -t tmpfs tmpfs /var/lib
        mkdir -p /etc/pve/lxc /var/lib/lxc/web && touch /etc/pve/lxc/220.conf /var/lib/lxc/web/config
        HOME=$2 COMP_WORDS=(nvlxc show "") COMP_CWORD=2
        _nvlxc
        echo "${COMPREPLY[*]}"' bash "$BASH_FILE" "$BATS_TEST_TMPDIR"
    [ "$output" = "220 web mine" ]
}

@test "zsh: everything that the tables call is there" {
    local name
    for name in $(grep -o ':_nvlxc_[A-Z]*' "$ZSH_FILE" | sort -u); do
        grep -q "functions\[${name#:}\]" "$ZSH_FILE" || { echo "$name"; false; }
    done
    grep -q ':CT:_nvlxc_CT' "$ZSH_FILE"
}

@test "zsh reads its file" {
    command -v zsh >/dev/null || skip "there is no zsh here"
    run -0 zsh -n "$ZSH_FILE"
    [ -z "$output" ]
}
