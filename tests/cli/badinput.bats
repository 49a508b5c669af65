# Bad input: each command ends with the right exit status and a clear line, and the host is as it was before: no byte,
# mode, owner or file differs.

bats_require_minimum_version 1.5.0
load "$NVL_SOURCE/tests/lib/hosts.bash"

NVLXC="$NVL_BUILD/src/cli/nvlxc"

setup() {
    host=$(fixture a5500-550)
}

# Everything that a command could change, as text.
state() {
    (
        cd "$1" || exit
        find etc home var -printf '%p %y %m %U %G %s %l\n' | sort
        find etc home var -type f -exec sha256sum {} + | sort
    )
}

# refuses STATUS TEXT ARGUMENT...: the command fails so, says TEXT on stderr, prints nothing, changes nothing.
refuses() {
    local status=$1 text=$2 before
    shift 2
    before=$(state "$host")
    run "-$status" --separate-stderr "$NVLXC" --root "$host" "$@"
    [ -z "$output" ]
    stderr=$(error_of "$stderr")
    [[ $stderr == *"$text"* ]] || { echo "'$stderr' lacks '$text'"; false; }
    [ "$(grep -vc "^  " <<<"$stderr")" -eq 1 ]
    [ "$(state "$host")" = "$before" ]
}

@test "the command line: unknown and incomplete options and arguments" {
    refuses 2 "unknown option --gpus" attach 220 --gpus 0
    refuses 2 "unknown option --gpu" detach 220 --gpu 0
    refuses 2 "option --gpu needs a value" attach 220 --gpu
    refuses 2 "option --dry-run takes no value" attach 220 --dry-run=yes
    refuses 2 "attach needs an argument" attach
    refuses 2 "unexpected argument '221'" attach 220 221
    refuses 2 "unexpected argument '220'" list 220
    refuses 2 "show needs an argument" show
    refuses 2 "--capabilities is given more than once" attach 220 --capabilities video --capabilities video
}

@test "what cannot be a GPU or a capability" {
    refuses 2 "GPU-3291" attach 220 --gpu GPU-3291
    refuses 2 "'nvidia0' does not name a GPU" attach 220 --gpu nvidia0
    refuses 2 "does not name a GPU" attach 220 --gpu -1
    refuses 2 "does not name a GPU" attach 220 --gpu 'MIG-GPU-3291dfa4-fcc4-0110-615b-c894a0d7c689/1'
    refuses 2 "--gpu is empty" attach 220 --gpu ''
    refuses 2 "--gpu all cannot be combined with other GPUs" attach 220 --gpu all --gpu 0
    refuses 2 "--gpu none cannot be combined with other GPUs" attach 220 --gpu 0,none
    refuses 2 "cuda" attach 220 --capabilities compute,cuda
}

@test "a GPU that is not here: the error lists those that are" {
    there=$'\n'"  0 NVIDIA RTX A5500 Laptop GPU GPU-3291dfa4-fcc4-0110-615b-c894a0d7c689"
    refuses 1 "no GPU 1 on this host; it has:$there" attach 220 --gpu 1
    refuses 1 "$there" attach 220 --gpu 0000:02:00.0
    refuses 1 "$there" attach 220 --gpu GPU-00000000-fcc4-0110-615b-c894a0d7c689
    refuses 1 "$there" attach 220 --gpu 0 --gpu 7
}

@test "unknown, ambiguous and foreign containers" {
    local command
    for command in attach detach show; do
        refuses 1 "no container nosuch; there are: 220, 221" $command nosuch
        refuses 1 "several containers have the name web: root/web, alice/web" $command web
        refuses 1 "CT 330 is on the node pve2" $command 330
        refuses 1 "no container ../../etc" $command ../../etc
    done
}

@test "lock: is set" {
    refuses 1 "CT 222 is locked (lock: backup); nothing was written; wait until that task has ended" attach 222
    [[ $stderr == *"pct unlock 222"* ]]
    "$NVLXC" --root "$host" --quiet attach 220
    sed -i '0,/^$/s/^$/lock: snapshot\n/' "$host/etc/pve/lxc/220.conf"
    refuses 1 "lock: snapshot" detach 220
}

@test "the cluster has no quorum" {
    rm "$host/etc/pve/local"
    mkdir "$host/etc/pve/local"
    chmod 0555 "$host/etc/pve/local"
    refuses 1 "no quorum" attach 220
}

@test "lines written by hand are in the way" {
    refuses 1 "lxc.cgroup2.devices.allow: c 195:* rwm" attach 223
}

@test "malformed configs" {
    printf 'arch: amd64\0\nhostname: x\n' >"$host/etc/pve/lxc/220.conf"
    refuses 1 "/etc/pve/lxc/220.conf" attach 220
    refuses 1 "/etc/pve/lxc/220.conf" detach 220
    refuses 1 "/etc/pve/lxc/220.conf" show 220

    sed -i 's/^lxc.idmap.*/lxc.idmap = u zero/' "$host/var/lib/lxc/web/config"
    refuses 1 "lxc.idmap" attach root/web

    "$NVLXC" --root "$host" --quiet attach 221
    sed -i 's/VISIBLE_DEVICES=.*/VISIBLE_DEVICES=two cards/' "$host/etc/pve/lxc/221.conf"
    refuses 1 "221.conf: NVIDIA_VISIBLE_DEVICES: 'two cards' does not name a GPU" show 221
}

@test "a config over 1 MiB" {
    head -c 1048577 /dev/zero | tr '\0' '#' >"$host/etc/pve/lxc/220.conf"
    refuses 1 "220.conf is larger than 1 MiB" attach 220
    # one that only attach's lines would make too large
    { cat "$host/etc/pve/lxc/221.conf"; head -c 1048000 /dev/zero | tr '\0' '#'; echo; } >"$BATS_TEST_TMPDIR/big"
    cp "$BATS_TEST_TMPDIR/big" "$host/etc/pve/lxc/221.conf"
    refuses 1 "the grant would make the config larger than 1 MiB" attach 221
}

@test "absent files and folders" {
    rm -r "$host/etc/pve" "$host/var/lib/lxc" "$host/home"
    mkdir "$host/home"
    refuses 1 "no container 220, nor any other; searched" attach 220
    run -1 --separate-stderr "$NVLXC" --root "$host/absent" attach 220
    [[ $stderr == *"cannot open the root directory"* ]]
}

@test "a config that is a link, a folder, or a FIFO" {
    mv "$host/etc/pve/lxc/220.conf" "$host/etc/pve/220.real"
    ln -s ../../../220.real "$host/etc/pve/lxc/220.conf"
    refuses 1 "220.conf is a symbolic link" attach 220
    mv "$host/var/lib/lxc/web" "$host/var/lib/lxc/real"
    ln -s real "$host/var/lib/lxc/web"
    refuses 1 "is a symbolic link" attach root/web
    rm "$host/etc/pve/lxc/220.conf"
    mkdir "$host/etc/pve/lxc/220.conf"
    refuses 1 "is a folder" attach 220
    rmdir "$host/etc/pve/lxc/220.conf"
    mkfifo "$host/etc/pve/lxc/220.conf"
    refuses 1 "is not a regular file" attach 220
}

# In a mount namespace of its own: refuses_on FOLDER PREPARE STATUS TEXT NAME, with a small tmpfs on FOLDER.
refuses_on() {
    # shellcheck disable=SC2016
    host=$host folder=$host/$1 prepare=$2 wanted=$3 text=$4 name=$5 NVLXC=$NVLXC before=$BATS_TEST_TMPDIR/before \
        unshare -m --propagation private bash -c '
            set -e
            cp -a "$folder" "$before"
            mount -t tmpfs -o size=64k,mode=0755 tmpfs "$folder"
            cp -a "$before/." "$folder/"
            eval "$prepare"
            status=0
            error=$("$NVLXC" --root "$host" attach "$name" 2>&1) || status=$?
            echo "$status: $error"
            [ "$status" -eq "$wanted" ]
            [[ $error == *"$text"* ]]
            [ ! -e "$folder/fill" ] || rm "$folder/fill"
            diff -r "$before" "$folder"
            rm -r "$before"'
}

@test "the disk is full while the config is written" {
    fill='dd if=/dev/zero of="$folder/fill" bs=1k 2>/dev/null || true'
    refuses_on etc/pve/nodes/pve/lxc "$fill" 1 \
        "/etc/pve/lxc/220.conf: cannot write 220.conf.nvlxc" 220
    refuses_on var/lib/lxc/web "$fill" 1 "free space on that file system" root/web
}

@test "the file system is read-only" {
    refuses_on var/lib/lxc/web 'mount -o remount,ro "$folder"' 1 "Read-only file system" root/web
}

# as_alice ARGUMENT...: the program run by a user, who could not reach the folders above by their paths.
as_alice() {
    "$NVLXC" --version >/dev/null
    exec 8<"$host" 9<"$NVLXC"
    run --separate-stderr setpriv --reuid=1000 --regid=1000 --clear-groups \
        /proc/self/fd/9 --root /proc/self/fd/8 "$@"
    exec 8<&- 9<&-
}

@test "as a user: unreadable folders, and files that only root may write" {
    # as pmxcfs shows it
    chmod 0750 "$host/etc/pve"
    chmod 0700 "$host/var/lib/lxc"
    before=$(state "$host")
    as_alice attach 220
    [ "$status" -eq 1 ]
    [[ $stderr == *"no container 220; there are: media, web"*"run it with sudo"* ]]
    [ "$(state "$host")" = "$before" ]

    # a folder of alice's in which root made the config
    chown -R 0:0 "$host/home/alice/.local/share/lxc/media"
    before=$(state "$host")
    as_alice attach media
    [ "$status" -eq 3 ]
    [[ $stderr == *"media/config"*"Permission denied"*"run it as root"* ]]
    [ "$(state "$host")" = "$before" ]

    chmod 0000 "$host/home/alice/.local/share/lxc/media/config"
    before=$(state "$host")
    as_alice show media
    [ "$status" -eq 3 ]
    [[ $stderr == *"cannot read the config"*"Permission denied"* ]]
    [ "$(state "$host")" = "$before" ]

    chmod 0000 "$host/home/alice/.local/share/lxc"
    before=$(state "$host")
    as_alice list
    [ "$status" -eq 1 ]
    [[ $stderr == *"cannot read the folder"*"/.local/share/lxc"*"Permission denied"* ]]
    [ "$(state "$host")" = "$before" ]
}

@test "a user's own container: attached by the user, who cannot build the bundle" {
    as_alice attach media
    [ "$status" -eq 0 ]
    [[ $stderr == *"warning: the driver bundle of 550.163.01 is missing; build it as root"* ]]
    grep -q '^lxc.environment = NVIDIA_VISIBLE_DEVICES=GPU-' "$host/home/alice/.local/share/lxc/media/config"
    [ ! -e "$host/var/lib/nvlxc" ]
}

@test "what a user cannot look at is not missing" {
    local conf=$host/home/alice/.local/share/lxc/media/config
    mkdir -p "$host/usr/lib/private"
    touch "$host/usr/lib/private/libcuda.so.1"
    echo 'lxc.mount.entry = /usr/lib/private/libcuda.so.1 usr/lib/libcuda.so.1 none bind,optional,create=file' >> "$conf"
    chmod 0700 "$host/usr/lib/private"
    as_alice --json doctor media
    [ "$(jq -r '[.findings[].id] | index("mount-source-missing")' <<< "$output")" = null ]
    rm "$host/usr/lib/private/libcuda.so.1"
    chmod 0755 "$host/usr/lib/private"
    as_alice --json doctor media
    [ "$(jq -r '[.findings[].id] | index("mount-source-missing")' <<< "$output")" != null ]
}

@test "with --json an error is an object" {
    run -1 --separate-stderr "$NVLXC" --root "$host" --json attach 222
    [ -z "$output" ]
    [ "$(jq -r .error.status <<<"$stderr")" = 1 ]
    [[ $(jq -r .error.message <<<"$stderr") == *"lock: backup"* ]]
    [[ $(jq -r ".error.fix[].command" <<<"$stderr") == *"pct unlock 222"* ]]
}

@test "two attaches at once: the config is one of the two, whole" {
    for gpu in all none; do
        cp -a "$host/etc/pve/nodes/pve/lxc/220.conf" "$BATS_TEST_TMPDIR/start"
        "$NVLXC" --root "$host" --quiet attach 220 --gpu $gpu
        cp "$host/etc/pve/lxc/220.conf" "$BATS_TEST_TMPDIR/$gpu"
        "$NVLXC" --root "$host" --quiet detach 220
    done
    for _ in 1 2 3 4 5; do
        "$NVLXC" --root "$host" --quiet attach 220 --gpu all 2>/dev/null &
        first=$!
        "$NVLXC" --root "$host" --quiet attach 220 --gpu none 2>/dev/null &
        second=$!
        ok=0
        wait $first && ok=$((ok + 1))
        wait $second && ok=$((ok + 1))
        [ $ok -ge 1 ]
        cmp -s "$BATS_TEST_TMPDIR/all" "$host/etc/pve/lxc/220.conf" ||
            cmp "$BATS_TEST_TMPDIR/none" "$host/etc/pve/lxc/220.conf"
        [ "$(ls "$host/etc/pve/lxc" | wc -l)" -eq 4 ]
        "$NVLXC" --root "$host" --quiet detach 220
    done
}
