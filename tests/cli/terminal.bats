# What people type and see: words that are nearly right, help, the overview, lines that fit 80 columns.

bats_require_minimum_version 1.5.0
load "$NVL_SOURCE/tests/lib/hosts.bash"

NVLXC="$NVL_BUILD/src/cli/nvlxc"

commands() {
    "$NVLXC" --help | sed -n '/^options:/q; s/^  \([a-z]\+\)\b.*/\1/p'
}

# fits TEXT: no line of it is longer than 80 columns.
fits() {
    local long
    long=$(awk 'length($0) > 80' <<< "$1")
    [ -z "$long" ] || { echo "longer than 80 columns: $long"; return 1; }
}

@test "a command or an option may be shortened as long as it is clear which" {
    host=$(fixture a5500-550)
    [ "$("$NVLXC" --root "$host" ov)" = "$("$NVLXC" --root "$host" overview)" ]
    run -0 --separate-stderr "$NVLXC" --root "$host" att 220 --gpu 0 --dry
    [ "$output" = "$("$NVLXC" --root "$host" attach 220 --gpu 0 --dry-run 2> /dev/null)" ]
    run -2 "$NVLXC" --root "$host" d
    [ "$(error_of "$output")" = "nvlxc: unknown command 'd'; did you mean 'detach' or 'doctor' or 'driver'?" ]
    run -2 "$NVLXC" --root "$host" attach 220 --re
    [[ $(error_of "$output") == "nvlxc: unknown option --re; did you mean '--"*"' or '--"*"'?" ]]
}

@test "a word that is nearly right gets the right one" {
    run -2 "$NVLXC" doctr
    [ "$(error_of "$output")" = "nvlxc: unknown command 'doctr'; did you mean 'doctor'?" ]
    run -2 "$NVLXC" hots
    [ "$(error_of "$output")" = "nvlxc: unknown command 'hots'; did you mean 'host'?" ]
    run -2 "$NVLXC" versoin
    [ "$(error_of "$output")" = "nvlxc: unknown command 'versoin'; did you mean 'version'?" ]
    run -2 "$NVLXC" attach 220 --gpus 0
    [ "$(error_of "$output")" = "nvlxc: unknown option --gpus; did you mean '--gpu'?" ]
    run -2 "$NVLXC" help atach
    [ "$(error_of "$output")" = "nvlxc: unknown command 'atach'; did you mean 'attach'?" ]
    run -2 "$NVLXC" frobnicate
    [ "$(error_of "$output")" = "nvlxc: unknown command 'frobnicate'; nvlxc help   # the commands" ]
    run -2 "$NVLXC" "$(printf '%0.sx' {1..200})"
    [[ $output == *"try: nvlxc help   # the commands" ]]
    run -2 "$NVLXC" ''
    [ "$(error_of "$output")" = "nvlxc: unknown command ''; nvlxc help   # the commands" ]
}

@test "help and version, however they are asked for" {
    local command
    for command in help -h "help --quiet"; do
        # shellcheck disable=SC2086 # words
        [ "$("$NVLXC" $command)" = "$("$NVLXC" --help)" ]
    done
    for command in $(commands); do
        [ "$("$NVLXC" help "$command")" = "$("$NVLXC" "$command" --help)" ]
        [ "$("$NVLXC" "$command" -h)" = "$("$NVLXC" "$command" --help)" ]
    done
    [ "$("$NVLXC" version)" = "$("$NVLXC" --version)" ]
    [ "$("$NVLXC" -V)" = "$("$NVLXC" --version)" ]
    host=$(fixture a5500-550)
    [ "$("$NVLXC" --root "$host" driver)" = "$("$NVLXC" --root "$host" driver list)" ]
}

# help_at COLUMNS [COMMAND]: what a terminal of that width shows.
help_at() {
    script -qec "stty cols $1; '$NVLXC' help ${2:-}" /dev/null | tr -d '\r'
}

# longest TEXT: the length of its longest line.
longest() {
    awk '{ n = length($0) > n ? length($0) : n } END { print n }' <<< "$1"
}

@test "no help has a line of more than 80 columns, and the list of commands fits 42 lines" {
    local command text
    text=$("$NVLXC" help)
    fits "$text"
    [ "$(wc -l <<< "$text")" -le 42 ]
    for command in $(commands); do
        text=$("$NVLXC" help "$command")
        fits "$text"
    done
}

@test "help fills a wider terminal, up to 120 columns" {
    local command columns wide=0
    for command in "" $(commands); do
        for columns in 60 80 100 120 300; do
            [ "$(longest "$(help_at "$columns" "$command")")" -le $((columns < 80 ? 80 : columns > 120 ? 120 : columns)) ] ||
                { echo "$command at $columns"; false; }
        done
        [ "$(longest "$(help_at 120 "$command")")" -le 105 ] || wide=$((wide + 1))
    done
    # but for those that have little to say
    [ "$wide" -ge 12 ]
    # items and the texts of options and examples, too
    for command in "driver" "host" "attach"; do
        [ "$(help_at 120 "$command" | grep -c '^  *[-a-z]')" -lt "$(help_at 80 "$command" | grep -c '^  *[-a-z]')" ]
    done
}

@test "help in columns: options, defaults and examples are aligned" {
    run -0 "$NVLXC" help detach
    [[ $output == *$'\noptions:\n  --live                 change the running container now, without a restart\n'* ]]
    [[ $output == *$'\nexamples:\n  nvlxc detach 101 --dry-run         what would go from the config of CT 101\n'* ]]
    # a default is not torn
    [[ "$("$NVLXC" help attach)" == *$'hook, dev or static\n                         [default: hook]\n'* ]]
    # a line that is too long for its column has what it does below it
    [[ "$("$NVLXC" help driver)" == *$'580.95.05\n                                a driver that lies in a folder of its own\n'* ]]
    run -0 "$NVLXC" help driver
    [[ $output == *$'\n  list   shows the bundles'*$'\n  sync   builds or updates the bundle of the loaded driver and of every other\n         installed'* ]]
}

# overview NAME: of that fixture host, as text.
overview() {
    "$NVLXC" --root "$(fixture "$1")"
}

@test "nvlxc alone: the host in six lines, and the next step" {
    local name said
    run -1 overview a5500-550
    [ "$output" = "driver   550.163.01 (proprietary), loaded
GPU      NVIDIA RTX A5500 Laptop GPU
used by  223
wrong    container 223: a device rule names a major that changes between boots
next     nvlxc doctor   # why, and the command that fixes it
help     nvlxc help" ]
    run -3 overview no-driver
    [ "${lines[4]}" = "next     nvlxc host setup --dry-run   # the steps to a driver that fits" ]
    run -3 overview no-gpu
    [ "${lines[1]}" = "GPU      none" ]
    run -0 overview two-gpus-535
    [ "${lines[2]}" = "GPU      NVIDIA GeForce RTX 4090" ]
    for name in $(ls "$NVL_SOURCE/tests/hosts"); do
        [ -e "$NVL_SOURCE/tests/hosts/$name/proc" ] || continue
        said=$(overview "$name") || [ $? -ne 2 ]
        fits "$said"
        [ "$(wc -l <<< "$said")" -le 9 ]
        # what it says to type is a command
        read -ra said <<< "$(sed -n 's/^next *\(.*\)   # .*/\1/p' <<< "$said")"
        [ "${said[0]}" = nvlxc ]
        "$NVLXC" --root "$(fixture "$name")" "${said[@]:1}" > "$BATS_TEST_TMPDIR/said" 2>&1 || [ $? -ne 2 ]
    done
}

@test "from nothing to an attached container by what it says" {
    local next
    host=$(fixture two-gpus-535)
    mkdir -p "$host/etc/pve/lxc"
    printf 'arch: amd64\nhostname: ollama\nostype: debian\nrootfs: local:220/vm-220-disk-0.raw,size=8G\nunprivileged: 1\n' \
        > "$host/etc/pve/lxc/220.conf"
    next=$("$NVLXC" --root "$host" | sed -n 's/^next *nvlxc \(.*\)   # .*/\1/p')
    [ "$next" = "attach 220 --gpu 0 --dry-run" ]
    # shellcheck disable=SC2086 # words
    run -0 "$NVLXC" --root "$host" $next
    # by its hostname, as people know it
    run -1 "$NVLXC" --root "$host" attach olama --gpu 0
    [[ $(error_of "$output") == *"no container olama; there are: 220; did you mean 'ollama'?" ]]
    run -0 --separate-stderr "$NVLXC" --root "$host" attach ollama --gpu 0
    [[ "${lines[-2]}" == "the container gets it at its next start: pct start 220" ]]
    [[ "${lines[-1]}" == "then try it from inside: nvlxc verify 220" ]]
    run -0 "$NVLXC" --root "$host" show ollama
    [ "$output" = "$("$NVLXC" --root "$host" show 220)" ]
    run "$NVLXC" --root "$host"
    [ "${lines[3]}" = "used by  220" ]
}

@test "the overview as JSON" {
    run -1 "$NVLXC" --root "$(fixture a5500-550)" --json
    jq -e '.driver.version == "550.163.01" and .containers == [{"container":"223"}] and .error_count + .warning_count > 0 and .next.command == "nvlxc doctor"' <<< "$output"
}

# ---- on a terminal ----

# drawn_on_terminal COLUMNS ARGUMENT…: every byte that nvlxc writes to a terminal of that width; variables before it are
# the program's.
drawn_on_terminal() {
    local columns=$1 command
    shift
    printf -v command '%q ' "$NVLXC" "$@"
    TERM=${TERM_IS:-xterm} LC_ALL=${LOCALE:-C.UTF-8} script -qec "stty cols $columns; $command" /dev/null < /dev/null
}

# on_terminal COLUMNS ARGUMENT…: what of it stays there. A line of progress, which a slow machine shows, is cleared.
on_terminal() {
    drawn_on_terminal "$@" | perl -0777 -pe 's/\r\e\[K[^\r\n]*(?=\r\e\[K)//g; s/\r//g'
}

# What is never broken: lines of a diff, of a config, of a file as evidence, and commands.
LITERAL='^[-+ ][a-z#\[]|^lxc\.|^ *(# |\| )|^by hand|^  line [0-9]+: |^ *(do: )?(apt|nvlxc|printf|dpkg|curl) |^       [^ ]+:[0-9]*:? |^ */[^ ]+$'

# fills COLUMNS TEXT: no line but literal ones is wider; there are lines.
fills() {
    local wide
    [ -n "$2" ]
    wide=$(perl -CS -ne 'chomp; s/\e\[\d*[mK]//g; print "$_\n" if length > '"$1" <<< "$2" | grep -Ev "$LITERAL" || true)
    [ -z "$wide" ] || { echo "wider than $1 columns: $wide"; return 1; }
}

# A host with a container of each kind: granted and running, granted with dev[n], by hand.
with_containers() {
    host=$(fixture a5500-550)
    sed 's/^hostname:.*/hostname: vllm/; s/vm-220/vm-224/' "$host/etc/pve/lxc/220.conf" > "$host/etc/pve/lxc/224.conf"
    "$NVLXC" --root "$host" --quiet attach 220 2> /dev/null
    "$NVLXC" --root "$host" --quiet attach 221 --nodes dev 2> /dev/null
}

COMMANDS=(
    "" gpus "gpus --nodes" list "list --cluster" "show 220" "show 221" "show 223" doctor "doctor 223" host "host --drivers"
    "attach 220 --gpu 0 --dry-run" "attach 223 --gpu 0 --replace --dry-run" "detach 221 --dry-run" "host setup --dry-run"
    template "template ollama" "create ollama --gpu 0 --dry-run" "driver list" "driver sync --dry-run" "driver prune --dry-run"
)

@test "no line is wider than the terminal, except what is literal" {
    local command columns
    with_containers
    for columns in 80 120; do
        for command in "${COMMANDS[@]}"; do
            # shellcheck disable=SC2086 # words
            run on_terminal "$columns" --root "$host" --color=never $command
            # the program's own error is not this test's
            output=$(grep -v '^nvlxc: [^w]' <<< "$output") || true
            fills "$columns" "$output" || { echo "of: $command"; false; }
        done
    done
}

@test "a change that is made says so within the terminal's width" {
    local columns
    for columns in 80 120; do
        with_containers
        fills "$columns" "$(on_terminal "$columns" --root "$host" --quiet attach 224 --gpu 0; on_terminal "$columns" --root "$host" attach 224 --gpu 0 --capabilities all)"
        fills "$columns" "$(on_terminal "$columns" --root "$host" detach 224)"
        fills "$columns" "$(on_terminal "$columns" --root "$host" detach 220)"
    done
}

@test "a table that is too wide gives way between words, and cuts nothing" {
    local said
    host=$(fixture a5500-550)
    sed -i '0,/^hostname:.*/s//hostname: a-name-of-twenty-eight-bytes/' "$host/etc/pve/lxc/220.conf"
    "$NVLXC" --root "$host" --quiet attach 220 --nodes dev --capabilities compute,utility,video 2> /dev/null
    said=$(on_terminal 80 --root "$host" --color=never list)
    fills 80 "$said"
    [[ $said == *"a-name-of-twenty-eight-bytes"* ]]
    [[ $(tr -s ' \n' ' ' <<< "$said") == *"nodes dev"* ]]
    # off a terminal it is one line
    [ "$("$NVLXC" --root "$host" list | wc -l)" -eq 3 ]
}

@test "ps fits, too" {
    local columns
    # shellcheck source=/dev/null
    source "$NVL_SOURCE/tests/lib/nvml.bash"
    host=$(fixture a5500-550)
    uuid=$(sed -n 's/GPU UUID:[[:space:]]*//p' "$host"/proc/driver/nvidia/gpus/*/information)
    program 100 /lxc/220/ns/system.slice/ollama.service ollama
    nvml "$uuid" '{100, 6000ull << 20, -1, -1},' "${V3[@]}"
    export -f on_machine
    export host NVLXC
    for columns in 80 120; do
        # the shell of `script`: another one drops bash's functions from the environment
        # shellcheck disable=SC2016 # of the inner shell
        SHELL=/bin/bash run -0 script -qec "stty cols $columns; bash -c 'on_machine \"\$host\" \"\$NVLXC\" --color=never ps'" /dev/null
        [[ $output == *"6000 MiB ollama"* ]]
        fills "$columns" "$(tr -d '\r' <<< "$output")"
    done
}

# as_on_terminal NAME ARGUMENT…: standard output on 80 columns is what was read and found right.
as_on_terminal() {
    local name=$1 command
    shift
    printf -v command '%q ' "$NVLXC" --root "$host" --color=never "$@"
    TERM=xterm LC_ALL=C.UTF-8 script -qec "stty cols 80; $command 2> /dev/null" /dev/null < /dev/null | tr -d '\r' |
        is_as_read "terminal.$name.txt"
}

@test "what people see on 80 columns, as it was read" {
    with_containers
    as_on_terminal overview
    as_on_terminal gpus gpus
    as_on_terminal list list
    as_on_terminal show show 221
    as_on_terminal show-by-hand show 223
    as_on_terminal doctor doctor
    as_on_terminal attach attach 224 --gpu 0
    as_on_terminal attach-replace attach 223 --gpu 0 --replace --dry-run
    as_on_terminal setup host setup --dry-run
    as_on_terminal sync driver sync --dry-run
    as_on_terminal template template
}

ESCAPE=$'\e['

@test "colour: on a terminal, as --color, NO_COLOR and TERM say" {
    host=$(fixture a5500-550)
    [[ $(on_terminal 80 --root "$host" gpus) == *"$ESCAPE"* ]]
    [[ $(on_terminal 80 --root "$host" --color=auto gpus) == *"$ESCAPE"* ]]
    [[ $(on_terminal 80 --root "$host" --color=never gpus) != *"$ESCAPE"* ]]
    [[ $(NO_COLOR=1 on_terminal 80 --root "$host" gpus) != *"$ESCAPE"* ]]
    [[ $(NO_COLOR='' on_terminal 80 --root "$host" gpus) == *"$ESCAPE"* ]]
    [[ $(NO_COLOR=1 on_terminal 80 --root "$host" --color=always gpus) == *"$ESCAPE"* ]]
    [[ $(TERM_IS=dumb on_terminal 80 --root "$host" gpus) != *"$ESCAPE"* ]]
    [[ $("$NVLXC" --root "$host" gpus) != *"$ESCAPE"* ]]
    [[ $("$NVLXC" --root "$host" --color=always gpus) == *"$ESCAPE"* ]]
    # the option stands where others do
    [ "$("$NVLXC" --root "$host" --color always gpus)" = "$("$NVLXC" --root "$host" gpus --color=always)" ]
}

@test "colour: red is wrong, yellow careful, green well, bold what to paste" {
    local said
    with_containers
    said=$("$NVLXC" --root "$host" --color=always doctor) || [ $? -eq 1 ]
    [[ $said == *$'\e[31merror\e[0m: \e[1mthe start hook is missing on this host\e[0m'* ]]
    [[ $said == *$'\e[33mwarning\e[0m, container 223: '* ]]
    [[ $said == *$'\e[1mnvlxc driver sync\e[0m'* ]]
    [[ $("$NVLXC" --root "$host" --color=always list) == *$'\e[32mrunning\e[0m'* ]]
    [[ $("$NVLXC" --root "$host" --color=always gpus --nodes) == *$'\e[32mok '* ]]
    rm "$host/dev/nvidia-uvm"
    said=$("$NVLXC" --root "$host" --color=always show 220) || [ $? -eq 1 ]
    [[ $said == *$'\e[31mmissing\e[0m'* ]]
    # it takes no room
    [ "$("$NVLXC" --root "$host" --color=always list | sed 's/\x1b\[[0-9]*m//g; s/ *$//')" = "$("$NVLXC" --root "$host" list | sed 's/ *$//')" ]
}

@test "colour: never in JSON, with --quiet, or in a report" {
    with_containers
    [[ $("$NVLXC" --root "$host" --color=always --json list) != *"$ESCAPE"* ]]
    run -1 "$NVLXC" --root "$host" --color=always --quiet doctor
    [[ $output != *"$ESCAPE"* ]]
    run -1 "$NVLXC" --root "$host" --color=always doctor --report
    [[ $output != *"$ESCAPE"* ]]
    run -1 "$NVLXC" --root "$host" --color=always --quiet attach 999
    [[ $output != *"$ESCAPE"* ]]
}

@test "colour: a wrong word is a wrong command line" {
    local command
    for command in gpus help '' --version; do
        # shellcheck disable=SC2086 # words
        run -2 "$NVLXC" --color=blue $command
        [[ $output == "nvlxc: --color takes auto, always or never, not 'blue'"* ]]
    done
    run -2 "$NVLXC" gpus --color
    [[ $output == "nvlxc: option --color needs a value: WHEN"* ]]
}

@test "colour: a container brings none" {
    local said
    host=$(fixture a5500-550)
    sed -i '0,/^hostname:.*/s//hostname: ev\x1b[31mil/' "$host/etc/pve/lxc/220.conf"
    printf 'lxc.mount.entry: /dev/nvidia0 dev/nvidia0 none bind,\x1b[2J 0 0\n' >> "$host/etc/pve/lxc/221.conf"
    "$NVLXC" --root "$host" --quiet attach 220 2> /dev/null
    said=$(on_terminal 80 --root "$host" --color=always list)
    [[ $said == *'ev?[31mil'* ]]
    said=$(on_terminal 80 --root "$host" --color=always show 221)
    [[ $said == *'?[2J'* && $said != *$'\e[2J'* ]]
    said=$(on_terminal 80 --root "$host" --color=always attach 221 --replace --dry-run)
    [[ $said != *$'\e[2J'* ]]
}

@test "symbols: on a terminal whose locale is UTF-8; words elsewhere" {
    host=$(fixture a5500-550)
    [[ $(on_terminal 80 --root "$host" --color=never doctor) == *"! warning, container 223"* ]]
    [[ $(on_terminal 80 --root "$host" --color=never host setup --dry-run) == *": ✓ done"* ]]
    [[ $(LOCALE=C on_terminal 80 --root "$host" --color=never host setup --dry-run) == *": done"* ]]
    [[ $(LOCALE=de_DE.utf8 on_terminal 80 --root "$host" --color=never host setup --dry-run) == *": ✓ done"* ]]
    [[ $(TERM_IS=linux on_terminal 80 --root "$host" --color=never host setup --dry-run) == *": done"* ]]
    # no terminal
    [[ $(LC_ALL=C.UTF-8 "$NVLXC" --root "$host" host setup --dry-run 2>&1) == *": done"* ]]
    [[ $(LC_ALL=C.UTF-8 "$NVLXC" --root "$host" --color=always doctor) == *"warning"* ]]
}

TAR=$(command -v tar)

# A tar that takes its time.
slow_tar() {
    mkdir -p "$BATS_TEST_TMPDIR/bin"
    printf '#!/bin/sh\nsleep %s\nexec %s "$@"\n' "$1" "$TAR" > "$BATS_TEST_TMPDIR/bin/tar"
    chmod 755 "$BATS_TEST_TMPDIR/bin/tar"
    PATH=$BATS_TEST_TMPDIR/bin:$PATH
    rm -f "$BATS_TEST_TMPDIR/file"
}

@test "progress: after a second, on a terminal, and then it is gone" {
    local said clear=$'\e[K'
    host=$(fixture no-gpu)
    slow_tar 2
    said=$(drawn_on_terminal 80 --root "$host" capture "$BATS_TEST_TMPDIR/file")
    [[ $said == *"${clear}writes $BATS_TEST_TMPDIR/file"*"$clear"*"$BATS_TEST_TMPDIR/file ("* ]]
    slow_tar 2
    said=$(drawn_on_terminal 80 --root "$host" capture --quiet "$BATS_TEST_TMPDIR/file")
    [ -z "$said" ]
    slow_tar 2
    said=$(drawn_on_terminal 80 --root "$host" capture --json "$BATS_TEST_TMPDIR/file")
    [[ $said == "{"* ]]
    slow_tar 2
    run -0 "$NVLXC" --root "$host" capture "$BATS_TEST_TMPDIR/file"
    [[ $output != *writes* ]]
}

@test "progress: what is quick shows none" {
    local said start try
    host=$(fixture no-gpu)
    # a machine that is busy may take its second after all: such a run says nothing
    for try in {1..20}; do
        slow_tar 0
        start=${EPOCHREALTIME/[.,]/}
        said=$(drawn_on_terminal 80 --root "$host" capture "$BATS_TEST_TMPDIR/file")
        [ $((${EPOCHREALTIME/[.,]/} - start)) -ge 900000 ] || break
    done
    [ "$try" -lt 20 ]
    [[ $said == *"$BATS_TEST_TMPDIR/file ("* && $said != *writes* ]]
}
