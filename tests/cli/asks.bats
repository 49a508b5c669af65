# Questions on a terminal: which container, which GPU, and doctor --fix before each fix.

bats_require_minimum_version 1.5.0
load "$NVL_SOURCE/tests/lib/hosts.bash"

NVLXC="$NVL_BUILD/src/cli/nvlxc"

two_gpus() {
    host=$(fixture two-gpus-535)
    mkdir -p "$host"/var/lib/lxc/{web,wiki}/rootfs
    for name in web wiki; do
        printf 'lxc.uts.name = %s\nlxc.rootfs.path = dir:/var/lib/lxc/%s/rootfs\n' $name $name >"$host/var/lib/lxc/$name/config"
    done
}

# typed ANSWERS COMMAND…: runs it on a terminal on which someone types these lines; the input ends after them.
typed() {
    printf '%b' "$1" >"$BATS_TEST_TMPDIR/typed"
    shift
    run script --quiet --return --command "$(printf '%q ' "$@")" /dev/null <"$BATS_TEST_TMPDIR/typed"
    output=${output//$'\r'/}
}

@test "attach without a container lists them and asks; with several GPUs it asks, too" {
    two_gpus
    typed 'web\n1\n' "$NVLXC" --root "$host" attach --dry-run
    [ "$status" = 0 ]
    [[ $output == *"  web   LXC, stopped"*"  wiki  LXC, stopped"*"which container gets a GPU?"* ]]
    [[ $output == *"  0    NVIDIA GeForce RTX 3090 (GPU-"*"  1    NVIDIA GeForce RTX 4090 (GPU-"*"  all  all of them"*"which GPU?"* ]]
    [[ $output == *"var/lib/lxc/web/config"*"NVIDIA_VISIBLE_DEVICES=GPU-e07a54c3-21f8-4d0b-b6a9-58c3d92e7f14"* ]]
    typed 'wi\nall\n' "$NVLXC" --root "$host" attach --dry-run
    [[ $output == *"var/lib/lxc/wiki/config"*"NVIDIA_VISIBLE_DEVICES=all"* ]]
    # what the command line says is not asked
    typed '' "$NVLXC" --root "$host" attach web --gpu 0 --dry-run
    [ "$status" = 0 ]
    [[ $output != *"which"* ]]
}

@test "create asks which GPU, too, but not with --yes" {
    two_gpus
    typed '1\n' "$NVLXC" --root "$host" create llama-cpp --template-archive /r.tar --dry-run
    [ "$status" = 0 ]
    [[ $output == *"  1    NVIDIA GeForce RTX 4090 (GPU-"*"which GPU?"*"nvlxc attach llama-cpp --gpu GPU-e07a54c3-21f8-4d0b-b6a9-58c3d92e7f14 "* ]]
    typed '' "$NVLXC" --root "$host" create llama-cpp --template-archive /r.tar --gpu all --dry-run
    [ "$status" = 0 ]
    [[ $output != *"which"* && $output == *"nvlxc attach llama-cpp --gpu all "* ]]
    typed '' "$NVLXC" --root "$host" --json create llama-cpp --template-archive /r.tar --dry-run
    [ "$status" = 2 ]
    [[ $output != *"which"* ]]
}

@test "a CT's hostname stands beside it, and it is printable" {
    host=$(fixture a5500-550)
    printf 'hostname: ol\033[31mlama\n' >>"$host/etc/pve/lxc/220.conf"
    NO_COLOR=1 typed '220\n' "$NVLXC" --root "$host" attach --dry-run
    [[ $output == *"  220 "*"running"* ]]
    [[ $output != *$'\033'* ]]
}

@test "no answer, a wrong one three times, or none at all: nothing is changed" {
    two_gpus
    before=$(cat "$host"/var/lib/lxc/*/config)
    for answers in '\n' 'w\nx\nnobody\n' ''; do
        typed "$answers" "$NVLXC" --root "$host" attach
        [ "$status" = 1 ]
        [[ $output == *"nothing was chosen, and nothing was changed"* ]]
    done
    typed 'web\n0 or 1\n\n' "$NVLXC" --root "$host" attach
    [ "$status" = 1 ]
    [ "$(cat "$host"/var/lib/lxc/*/config)" = "$before" ]
}

@test "without a terminal nobody is asked: the error says what is missing" {
    two_gpus
    run -2 --separate-stderr "$NVLXC" --root "$host" attach </dev/null
    [ "$(error_of "$stderr")" = "nvlxc: attach needs an argument: CT; nvlxc attach --help" ]
    run -2 --separate-stderr "$NVLXC" --root "$host" attach web </dev/null
    [[ $stderr == *"this host has 2 NVIDIA GPUs; choose with --gpu:"$'\n'"  0 NVIDIA GeForce RTX 3090 GPU-"* ]]
    typed 'web\n' "$NVLXC" --json --root "$host" attach
    [ "$status" = 2 ]
    rm -r "$host"/var/lib/lxc/*
    typed '' "$NVLXC" --root "$host" attach
    [ "$status" = 1 ]
    [[ $output == *"no LXC container that could get a GPU"*"nvlxc template"* ]]
}

# ---- doctor --fix: what it does stands in tests/lxc/fix.bats ----

@test "doctor --fix: only for this machine, for root, on a terminal or with --yes" {
    host=$(fixture a5500-550)
    rm "$host/dev/nvidiactl"
    for words in "--root $host doctor --fix --yes" "--json doctor --fix --yes" "doctor --yes"; do
        # shellcheck disable=SC2086 # words
        run -2 --separate-stderr "$NVLXC" $words
        [ -z "$output" ]
    done
    run -2 --separate-stderr "$NVLXC" doctor --fix </dev/null
    [[ $stderr == *"there is no terminal"*"nvlxc doctor --fix --yes"* ]]
    run -1 --separate-stderr setpriv --reuid=65534 --clear-groups "$NVLXC" doctor --fix --yes
    [[ $stderr == *"only root"*"sudo nvlxc doctor --fix"* ]]
    [ ! -e "$host/dev/nvidiactl" ]
}
