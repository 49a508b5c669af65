#!/usr/bin/env bats
# Man pages and completions say what --help says: they are made from the same tables.

bats_require_minimum_version 1.5.0

setup() {
    load "$NVL_SOURCE/tests/lib/hosts.bash"
    NVLXC="$NVL_BUILD/src/cli/nvlxc"
    BASH_FILE="$NVL_BUILD/completions/nvlxc" ZSH_FILE="$NVL_BUILD/completions/_nvlxc" FISH_FILE="$NVL_BUILD/completions/nvlxc.fish"
    # the completions call nvlxc by its name
    PATH="$NVL_BUILD/src/cli:$PATH"
}

commands() {
    "$NVLXC" --help | sed -n '/^options:/q; s/^  \([a-z]\+\)\b.*/\1/p'
}

# The options of --help, or of a command's.
options() {
    "$NVLXC" "$@" --help | sed -n '/^examples:/q; s/^  \(-[a-zA-Z], \)\?\(--[a-z0-9-]*\).*/\2/p'
}

# examples COMMAND: the command lines of its examples, without "nvlxc ".
examples() {
    "$NVLXC" "$1" --help | sed -n '1,/^examples:/d; s/^  nvlxc \?//p' | sed 's/   *.*//'
}

# page NAME: the man page as text, its hyphens plain.
page() {
    sed 's/\\-/-/g; s/\\f[BIR]//g; s/\\(aq/'"'"'/g; s/\\&//g' "$NVL_BUILD/man/$1.8"
}

# completes WORD…: what the program offers at the end of the line: a word a line, as it says them. "" at its end begins a
# new word.
completes() {
    "$NVLXC" complete -- "$@" | cut -f 1
}

# says_of WORD…: the same with what each word is.
says_of() {
    "$NVLXC" complete -- "$@" | tr '\t' '|'
}

# bash_completes WORD…: what bash makes of it, from its words as it splits a line.
bash_completes() {
    # shellcheck disable=SC2016 # for the inner shell
    bash --norc -c '
        source "$1"
        shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _nvlxc
        printf "%s\n" "${COMPREPLY[@]}"' bash "$BASH_FILE" "$@"
}

# press_tab bash|zsh LINE: the line after Tab, and what the shell has shown.
press_tab() {
    local file="$BASH_FILE"
    command -v "$1" >/dev/null || skip "there is no $1 here"
    [ "$1" = bash ] || file="$ZSH_FILE"
    "$NVL_SOURCE/tests/lib/press-tab" "$1" "$(realpath "$(dirname "$file")")/$(basename "$file")" "$2"
}

# typed PATTERN: the line is like it.
typed() {
    # shellcheck disable=SC2053,SC2154 # a pattern; run sets lines
    [[ ${lines[0]} == $1 ]] || { echo "expected: $1"; cat -A <<<"$output"; return 1; }
}

# fish_completes LINE
fish_completes() {
    command -v fish >/dev/null || skip "there is no fish here"
    # shellcheck disable=SC2016 # for fish
    HOME="$BATS_TEST_TMPDIR" fish --no-config -c 'source $argv[1]; complete -C $argv[2]' "$FISH_FILE" "$1" | tr '\t' '|'
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

@test "the pages can be read without a complaint, and fit 80 columns" {
    command -v man >/dev/null || skip "there is no man here"
    local file long
    for file in "$NVL_BUILD"/man/*.8; do
        run -0 --separate-stderr env MANWIDTH=80 man --warnings -l "$file"
        [ -z "$stderr" ] || { echo "$file: $stderr"; false; }
        [ "${#lines[@]}" -gt 10 ]
        long=$(col -bx <<<"$output" | LC_ALL=C.UTF-8 grep -E '^.{81}' || true)
        [ -z "$long" ] || { echo "$file: $long"; false; }
    done
}

@test "every command has three to five examples, in --help and in its page" {
    local command line all
    for command in $(commands); do
        mapfile -t all < <(examples "$command")
        [ "${#all[@]}" -ge 3 ] && [ "${#all[@]}" -le 5 ] || { echo "$command: ${#all[@]}"; false; }
        page "nvlxc-$command" | sed -n '/^\.SH EXAMPLES/,/^\.SH EXIT/p' >"$BATS_TEST_TMPDIR/page"
        for line in "${all[@]}"; do
            grep -qxF -- "nvlxc${line:+ $line}" "$BATS_TEST_TMPDIR/page" || { echo "$command: $line"; false; }
        done
        # the main page shows one of each that is for people
        case $command in
        metrics | cdi | capture) ;;
        *) page nvlxc | grep -qxF -- "nvlxc${all[0]:+ ${all[0]}}" ;;
        esac
    done
}

# The words of an example up to what another program does with it; `words` has them.
split_example() {
    local line=${1%% | *}
    line=${line%% > *}
    read -ra words <<<"$line"
}

@test "the examples are command lines that nvlxc takes" {
    local command line words host
    host=$(fixture a5500-550)
    cd "$BATS_TEST_TMPDIR"
    mkdir -p "$host/usr/share/nvlxc"
    cp -r "$NVL_SOURCE/data/templates" "$host/usr/share/nvlxc/"
    sed 's/^hostname: .*/hostname: ct101/' "$host/etc/pve/lxc/221.conf" >"$host/etc/pve/lxc/101.conf"
    for command in $(commands); do
        while IFS= read -r line; do
            split_example "$line"
            # a captured host stands for each host that an example names
            [ "${words[0]:-}" != --root ] || words=("${words[@]:2}")
            # a driver's installer is no file of this host, and a captured host is not set up
            run -0 "$NVLXC" --root "$host" "${words[@]}" --help
            run "$NVLXC" --root "$host" "${words[@]}"
            [ "$status" -ne 2 ] || [[ $output == *"captured host"* || $output == *"does not take --root"* ]] || { echo "nvlxc $line: $output"; false; }
        done < <(examples "$command")
    done
}

@test "an example is looked at as it is printed" {
    split_example "--json list | jq ."
    [ "${words[*]}" = "--json list" ]
    [ "$(examples attach | head -n 1)" = "attach 101" ]
    [ -z "$(examples overview | head -n 1)" ]
    run -2 "$NVLXC" attach 101 --wiht mps --help
}

# default_of COMMAND OPTION: as --help says it.
default_of() {
    says_of "$1" "$2" | sed -n 's/.*\[default: \(.*\)\]$/\1/p'
}

@test "a default holds without the option" {
    local host plain option
    host=$(fixture a5500-550)
    plain=$("$NVLXC" --root "$host" attach 220 --dry-run 2>/dev/null)
    [ -n "$plain" ]
    for option in --nodes --libraries --capabilities; do
        [ -n "$(default_of attach $option)" ]
        [ "$("$NVLXC" --root "$host" attach 220 --dry-run $option "$(default_of attach $option)" 2>/dev/null)" = "$plain" ]
    done
    [ "$("$NVLXC" --root "$host" attach 220 --dry-run --nodes static 2>/dev/null)" != "$plain" ]
    plain=$("$NVLXC" --root "$host" cdi 2>/dev/null) || true
    [ "$("$NVLXC" --root "$host" cdi --capabilities "$(default_of cdi --capabilities)" 2>/dev/null)" = "$plain" ]
    [[ "$("$NVLXC" attach --help)" == *"[default: hook]"*"[default: bundle]"* ]]
    [[ "$(page nvlxc-attach)" == *"[default: compute,utility]."* ]]
    # nowhere in words of its own
    run ! grep -riE '\(default' "$NVL_SOURCE"/man "$NVL_SOURCE"/src/cli/cmd
}

@test "the values of an option: nvlxc takes each, and --help names them" {
    local host option word help
    host=$(fixture a5500-550)
    help=$("$NVLXC" attach --help | tr -s ' \n' ' ')
    for option in nodes libraries capabilities with; do
        run -0 completes attach "--$option" ""
        [ "${#lines[@]}" -ge 3 ]
        for word in "${lines[@]}"; do
            [ -n "$word" ] || continue # what the shells are told
            [[ $help == *"--$option "*" $word"* ]] || { echo "--help: no $word"; false; }
            run "$NVLXC" --root "$host" attach 220 --dry-run "--$option" "$word"
            [ "$status" -ne 2 ] || { echo "$option $word: $output"; false; }
        done
        run -2 "$NVLXC" --root "$host" attach 220 --dry-run "--$option" nonsense
    done
    # the words of arguments
    [ "$(completes driver "" | paste -sd '|')" = "$("$NVLXC" driver --help | sed -n 's/^usage: .*\[\(list.*\)\] .*/\1/p')" ]
    [ "$(completes host "" | paste -sd " ")" = "setup publish" ]
    for word in $(completes host setup --from ""); do
        run "$NVLXC" --root "$host" host setup --dry-run --from "$word"
        [ "$status" -ne 2 ]
    done
}

@test "every command and option is offered, with what --help says" {
    local command option
    [ "$(completes "" | sort)" = "$({ commands; echo help; } | sort)" ]
    [ "$(completes help "" | sort)" = "$(commands | sort)" ]
    for command in $(commands); do
        [ "$(says_of "$command" -- | cut -d '|' -f 1 | sort)" = "$({ options "$command"; options; } | sort)" ]
    done
    [ "$(says_of attach --nod)" = '--nodes|who adds device nodes: hook, dev or static [default: hook]' ]
    [ "$(says_of att)" = 'attach|give GPUs to a container' ]
    # the command that answers is for shells alone
    [[ "$("$NVLXC" help)" != *complete* ]]
    run -2 "$NVLXC" comp
    [[ $output != *"'complete'"* ]]
}

@test "words and values follow what has been typed" {
    [ "$(completes --quiet driver p)" = prune ]
    # the value of --root is no command
    [ "$(completes --root attach de)" = detach ]
    [ "$(completes attach --capabilities=vid | head -n 1)" = --capabilities=video ]
    [ "$(completes attach --cap compute,uti | head -n 1)" = compute,utility ]
    [[ "$(completes attach --capabilities compute,)" != *compute,compute* ]]
    [ "$(completes attach --gpu a)" = $'all\nany' ]
    # given once; a list may go on
    [ -z "$(completes attach --nodes hook --nod)" ]
    [ "$(completes attach --gpu 0 --gp)" = --gpu ]
    # behind what is no command, behind the last argument, and behind "--"
    [ -z "$(completes nonsense "")" ]
    [ -z "$(completes help attach "")" ]
    [ -z "$(completes gpus "")" ]
    [ -z "$(completes host setup "")" ]
    [ -z "$(completes attach -- --no)" ]
    # paths are the shell's
    [ "$(says_of capture "")" = '|files' ]
    [ "$(says_of --root "")" = '|folders' ]
    [ "$(says_of driver sync --from n)" = $'|folders\nnone|forget the folder' ]
}

@test "containers by name and hostname; those with a grant where one is needed" {
    local host command
    host=$(fixture a5500-550)
    run -0 says_of --root "$host" attach ""
    [ "${lines[0]}" = "220|ollama, running" ]
    [ "${lines[1]}" = "221|jellyfin, stopped" ]
    [[ $output == *$'\nbox|LXC, stopped\n'*$'\nalice/web|LXC of alice, stopped' ]]
    [ "$(says_of --root "$host" attach jel)" = "jellyfin|Proxmox CT 221, stopped" ]
    [ "$(completes "--root=$host" doctor 22)" = $'220\n221\n222\n223' ]
    [ "$("$NVLXC" --root "$host" complete -- attach 221 | cut -f 1)" = 221 ]
    "$NVLXC" --root "$host" attach 221 --gpu 0 2>/dev/null
    for command in detach show verify bench cdi; do
        [ "$(says_of --root "$host" "$command" "")" = "221|jellyfin, stopped" ] || { echo "$command"; false; }
    done
    [ "$(says_of --root "$host" show jel)" = "jellyfin|Proxmox CT 221, stopped" ]
    # one argument, and it is there
    [ -z "$(completes --root "$host" show 221 "")" ]
}

@test "GPUs by index and UUID, MIG devices, templates, workloads and versions" {
    local host
    run -0 says_of --root "$(fixture two-gpus-535)" attach --gpu ""
    [[ ${lines[0]} == "0|NVIDIA "* ]]
    [[ $output == *$'\nGPU-'*"|GPU 0, NVIDIA "*$'\nall|'*$'\nnone|'* ]]
    host=$(fixture two-gpus-535)
    mkdir -p "$host/etc/pve/mapping"
    printf 'fast\n\tmap node=pve,path=0000:02:00\n\nx;y\n\tmap node=pve,path=0000:01:00\n' > "$host/etc/pve/mapping/pci.cfg"
    [ "$(completes --root "$host" attach --gpu m)" = mapping:fast ]
    host=$(fixture h100-mig)
    run -0 says_of --root "$host" template ollama --gpu MIG
    [[ ${lines[0]} =~ ^MIG-GPU-[-0-9a-f]+/[0-9]+/[0-9]+\|MIG\ device ]]
    run -1 --separate-stderr "$NVLXC" --root "$host" attach none-such --gpu "${lines[0]%%|*}"
    # behind a comma, another GPU
    [ -z "$(completes --root "$host" attach --gpu 0,a)" ]
    [[ "$(says_of --root "$host" template oll)" == "ollama|"?* ]]
    [ "$(completes --root "$host" attach --workload vl)" = vllm ]
    [ "$(completes --root "$host" verify 220 --workload "" | sort | uniq -d)" = "" ]
    [[ "$(completes --root "$host" verify 220 --workload "")" == *vllm*podman* ]]
    host=$(fixture upgraded)
    run -0 says_of --root "$host" driver prune ""
    [ "$output" = $'580.95.05|installed, without a bundle\n550.163.01|loaded' ] || [ "$output" = $'550.163.01|loaded\n580.95.05|installed, without a bundle' ]
    [ "$(completes --root "$host" driver prune 550.163.01 "")" = 580.95.05 ]
}

@test "whatever stands there, the answer is quiet" {
    local line
    for line in '--root /nonexistent show|' 'nonsense|' 'attach|--nonsense|' 'attach|--=|' '--root|' '--json=|' '--|' 'driver|x|y|z|' \
        'help|nonsense|' '-|' 'attach|--gpu|,,,' 'd|' "attach|--capabilities|,"; do
        IFS='|' read -ra words <<<"$line"
        [[ $line != *'|' ]] || words+=("")
        run -0 --separate-stderr "$NVLXC" complete -- "${words[@]}"
        [ -z "$stderr" ] || { echo "$line: $stderr"; false; }
    done
    run -0 --separate-stderr "$NVLXC" complete
    [ -z "$stderr" ]
    run -0 --separate-stderr "$NVLXC" complete --
    [ -z "$stderr" ]
}

@test "bash: words that it splits, values and files" {
    [ "$(bash_completes nvlxc at)" = attach ]
    [ "$(bash_completes nvlxc attach 220 --capabilities = vid)" = video ]
    [ "$(bash_completes nvlxc attach --gpu = al)" = all ]
    [[ "$(bash_completes nvlxc attach --gpu =)" == *all* ]]
    [[ "$(bash_completes nvlxc attach --gpu "")" == *all* ]]
    [ "$(bash_completes nvlxc attach --with imex = 0,mp)" = 0,mps ]
    [ "$(bash_completes nvlxc attach --gpu 0000 : 01 : 00.0 --nodes st)" = static ]
    [ "$(bash_completes nvlxc --root "$NVL_SOURCE/test")" = "$NVL_SOURCE/tests" ]
    [ "$(bash_completes nvlxc capture "$NVL_SOURCE/LIC")" = "$NVL_SOURCE/LICENSE" ]
    [ -z "$(bash_completes nvlxc gpus "")" ]
}

@test "bash: a person types and presses Tab" {
    local host
    host=$(fixture a5500-550)
    run -0 press_tab bash "nvlxc help atta"
    typed "nvlxc help attach "
    run -0 press_tab bash "nvlxc --root $host attach 220 --gpu=GP"
    typed "*attach 220 --gpu=GPU-3291dfa4-* "
    run -0 press_tab bash "nvlxc attach --capabilities compute,u"
    typed "nvlxc attach --capabilities compute,utility"
    run -0 press_tab bash "nvlxc --root $host show "
    [[ $output != *220* ]]
    run -0 press_tab bash "nvlxc --root $host attach "
    [[ $output == *220*221*box*alice/web* ]]
    run -0 press_tab bash "nvlxc metrics --root $host $NVL_SOURCE/LIC"
    typed "nvlxc metrics --root $host $NVL_SOURCE/LICENSE "
}

@test "zsh: a person types and presses Tab" {
    local host
    host=$(fixture a5500-550)
    run -0 press_tab zsh "nvlxc help atta"
    typed "nvlxc help attach "
    run -0 press_tab zsh "nvlxc "
    [[ $output == *"attach    -- give GPUs to a container"* ]]
    run -0 press_tab zsh "nvlxc attach --li"
    [[ $output == *"--libraries  -- the driver's files: bundle, host or none [default: bundle]"* ]]
    run -0 press_tab zsh "nvlxc --root $host attach 220 --gpu=GP"
    typed "*attach 220 --gpu=GPU-3291dfa4-* "
    run -0 press_tab zsh "nvlxc --root $host attach "
    [[ $output == *"220"*"-- ollama, running"* ]]
    run -0 press_tab zsh "nvlxc attach --capabilities compute,gra"
    typed "nvlxc attach --capabilities compute,graphics,*"
    run -0 press_tab zsh "nvlxc metrics $NVL_SOURCE/LIC"
    typed "nvlxc metrics $NVL_SOURCE/LICENSE "
    run -0 press_tab zsh "nvlxc cdi --output=$NVL_SOURCE/LIC"
    typed "nvlxc cdi --output=$NVL_SOURCE/LICENSE "
}

@test "fish: words, values and files" {
    local host
    host=$(fixture a5500-550)
    [ "$(fish_completes "nvlxc atta")" = "attach|give GPUs to a container" ]
    [ "$(fish_completes "nvlxc attach --nodes sta")" = "static|mount entries name them as they are today" ]
    [ "$(fish_completes "nvlxc attach --capabilities compute,u")" = "compute,utility|nvidia-smi and NVML" ]
    [ "$(fish_completes "nvlxc --root $host attach --gpu=al")" = "--gpu=all|all GPUs, also those that are added later" ]
    [[ "$(fish_completes "nvlxc --root $host attach ")" == *"220|ollama, running"*"alice/web|LXC of alice, stopped"* ]]
    [ "$(fish_completes "nvlxc capture $NVL_SOURCE/LIC")" = "$NVL_SOURCE/LICENSE" ]
    [ "$(fish_completes "nvlxc cdi --output=$NVL_SOURCE/LIC")" = "--output=$NVL_SOURCE/LICENSE" ]
    [ "$(fish_completes "nvlxc --root $NVL_SOURCE/sr")" = "$NVL_SOURCE/src/" ]
    [ -z "$(fish_completes "nvlxc gpus ")" ]
}

# A host whose containers have names that shells and terminals would obey.
hostile_host() {
    local host name
    host=$(fixture a5500-550)
    # shellcheck disable=SC2016 # as it is
    for name in '$(touch x)' '`touch x`' ';touch x;' 'a b' "it's" '-rf' '%F{red}' '*' '"' 'a\b' '~root' '@files' 'a:b'; do
        mkdir "$host/var/lib/lxc/$name"
        cp "$host/var/lib/lxc/box/config" "$host/var/lib/lxc/$name/config"
    done
    # shellcheck disable=SC2016 # as it is
    printf 'arch: amd64\nhostname: $(touch x)`touch x`\x1b[31m\x07;touch x;%%F{red}%%(?..)\\\nrootfs: local:1\n' >"$host/etc/pve/lxc/301.conf"
    printf 'arch: amd64\nhostname: tab\there\x7f\xff\nrootfs: local:1\n' >"$host/etc/pve/lxc/302.conf"
    printf '%s\n' "$host"
}

@test "hostile names: only plain words, and no character that a terminal obeys" {
    local host
    host=$(hostile_host)
    [ -d "$host/var/lib/lxc/\$(touch x)" ]
    run -0 "$NVLXC" complete -- --root "$host" attach ""
    [[ $output == *$'\n301\t'* && $output == *$'\n302\ttab here'* ]]
    run ! grep -P '[\x00-\x08\x0b-\x1f\x7f]' <<<"$output"
    [ "$("$NVLXC" complete -- --root "$host" attach "" | grep -vcE $'^[A-Za-z0-9/._+-]+(\t[^\t]+)?$')" = 0 ]
    # the name that asks for files is no such line
    run -0 completes --root "$host" attach @
    [ -z "$output" ]
    # shellcheck disable=SC2016 # as it is
    run -0 completes --root "$host" attach '$('
    [ -z "$output" ]
}

@test "hostile names: no shell runs them" {
    local host shell
    host=$(hostile_host)
    cd "$BATS_TEST_TMPDIR"
    for shell in bash zsh; do
        run -0 press_tab "$shell" "nvlxc --root $host attach "
        [[ $output == *301* ]]
        run -0 press_tab "$shell" "nvlxc --root $host attach 301"
        typed "*attach 301 "
        # shellcheck disable=SC2016 # as it is
        run -0 press_tab "$shell" "nvlxc --root $host attach "'\$\('
    done
    fish_completes "nvlxc --root $host attach " | grep -q '^301|'
    [ -z "$(find "$BATS_TEST_TMPDIR" "$host" -name x)" ]
}
