# Proxmox's cluster file system as it behaves: files that others replace meanwhile, and /etc/pve that is not there.

bats_require_minimum_version 1.5.0
load "$NVL_SOURCE/tests/lib/hosts.bash"

NVLXC="$NVL_BUILD/src/cli/nvlxc"

setup() {
    host=$(fixture a5500-550)
    lxc=$host/etc/pve/lxc
    # a fleet of one GPU, without lines by hand
    rm "$lxc/223.conf"
    "$NVLXC" --root "$host" --quiet attach 220
}

teardown() {
    [ -z "${writer:-}" ] || kill "$writer" || true
}

# absent_for WHEN PATH COMMAND…: while it runs, opening PATH (as nvlxc names it) fails with ENOENT, the first time, the first
# three times (1..3), or always (1+): what a reader on pmxcfs gets while somebody replaces the file. A sanitizer cannot look
# for leaks in a traced program.
absent_for() {
    ASAN_OPTIONS=detect_leaks=0 strace -f -qq -o "$BATS_TEST_TMPDIR/trace" -P "$2" -e trace=openat2 \
        -e inject=openat2:error=ENOENT:when="$1" -- "${@:3}"
}

@test "a config that is replaced meanwhile is read: list, show, gpus, detach" {
    run -0 --separate-stderr absent_for 1..3 etc/pve/lxc/220.conf "$NVLXC" --root "$host" list
    [[ $output == *220* ]]
    [ -z "$stderr" ]
    grep -q INJECTED "$BATS_TEST_TMPDIR/trace"
    run -0 absent_for 1..3 etc/pve/lxc/220.conf "$NVLXC" --root "$host" gpus
    says 220
    run -0 absent_for 1 etc/pve/lxc/220.conf "$NVLXC" --root "$host" show 220
    run -0 absent_for 1 etc/pve/lxc/220.conf "$NVLXC" --root "$host" doctor --quiet 220 || [ "$status" = 1 ]
    run -0 absent_for 1 etc/pve/lxc/220.conf "$NVLXC" --root "$host" detach 220
    # also under the lock, where the folder is already open
    run -0 absent_for 1..3 220.conf "$NVLXC" --root "$host" attach 220
    grep -q INJECTED "$BATS_TEST_TMPDIR/trace"
}

@test "--exclusive sees who has the GPU, even if that config is replaced meanwhile" {
    run -1 absent_for 1..3 etc/pve/lxc/220.conf "$NVLXC" --root "$host" attach 221 --exclusive
    says "already belongs to 220"
    # it is listed and cannot be opened: unknown
    run -1 absent_for 1+ etc/pve/lxc/220.conf "$NVLXC" --root "$host" attach 221 --exclusive
    says "cannot tell which GPUs another container has" 220.conf
    ! grep -q nvidia "$lxc/221.conf"
}

@test "a CT that is removed while the others are read is left out" {
    # /etc/pve/lxc is read, then 220 is removed, then 220 is read
    mv "$lxc/220.conf" "$BATS_TEST_TMPDIR/"
    ln -s /nowhere "$lxc/220.conf"
    (sleep 0.1 && rm "$lxc/220.conf") 3>&- &
    run -0 --separate-stderr "$NVLXC" --root "$host" list
    wait
    [[ $output == "no container has a GPU"* ]]
    [ -z "$stderr" ]
}

@test "a VM's config that is replaced meanwhile is read" {
    mkdir -p "$host/etc/pve/nodes/pve/qemu-server"
    ln -s nodes/pve/qemu-server "$host/etc/pve/qemu-server"
    printf 'hostpci0: 0000:01:00\nonboot: 1\n' >"$host/etc/pve/qemu-server/100.conf"
    ids() { jq -r '.findings[].id'; }
    before=$("$NVLXC" --root "$host" --json doctor | ids)
    run --separate-stderr absent_for 1..3 etc/pve/qemu-server/100.conf "$NVLXC" --root "$host" --json doctor
    [ "$(ids <<<"$output")" = "$before" ]
    grep -q INJECTED "$BATS_TEST_TMPDIR/trace"
    rm "$host/etc/pve/qemu-server/100.conf"
    [ "$("$NVLXC" --root "$host" --json doctor | ids)" != "$before" ]
}

# wait_for_lock PID: until the program, or the child that works in its place, waits for a lock that the test holds.
wait_for_lock() {
    local pid
    for _ in $(seq 100); do
        for pid in "$1" $(pgrep -P "$1"); do
            if [[ $(readlink "/proc/$pid/exe") == */nvlxc && $(ls -l "/proc/$pid/fd") == *pve-config-221.lock* ]]; then
                return 0
            fi
        done
        sleep 0.02
    done
    return 1
}

# Somebody writes between the read and the write: attach holds what it read, waits for the lock, and finds another config.
@test "the config changes between reading and writing: decided again, and both changes are there" {
    exec 9>>"$host/run/lock/lxc/pve-config-221.lock"
    flock 9
    "$NVLXC" --root "$host" attach 221 >"$BATS_TEST_TMPDIR/said" 2>&1 3>&- 9>&- &
    wait_for_lock $!
    sed -i 's/^cores: .*/cores: 7/' "$lxc/221.conf"
    flock -u 9
    wait $! || { cat "$BATS_TEST_TMPDIR/said"; return 1; }
    grep -q '^cores: 7$' "$lxc/221.conf"
    grep -q '^lxc.environment: NVIDIA_VISIBLE_DEVICES=' "$lxc/221.conf"

    flock 9
    "$NVLXC" --root "$host" detach 221 >"$BATS_TEST_TMPDIR/said" 2>&1 3>&- 9>&- &
    wait_for_lock $!
    sed -i 's/^cores: .*/cores: 8/' "$lxc/221.conf"
    flock -u 9
    wait $!
    grep -q '^cores: 8$' "$lxc/221.conf"
    ! grep -q NVIDIA "$lxc/221.conf"
}

# What was decided counts no more either: the change gives the GPU to another container.
@test "the config that changed meanwhile is judged again" {
    exec 9>>"$host/run/lock/lxc/pve-config-221.lock"
    flock 9
    "$NVLXC" --root "$host" attach 221 >"$BATS_TEST_TMPDIR/said" 2>&1 3>&- 9>&- &
    pid=$!
    wait_for_lock $pid
    sed -i '1s/^/lock: backup\n/' "$lxc/221.conf"
    flock -u 9
    ! wait $pid
    grep -q 'CT 221 is locked (lock: backup)' "$BATS_TEST_TMPDIR/said"
    ! grep -q NVIDIA "$lxc/221.conf"
}

# Each time the config is opened under the lock, that takes longer than its writer's next write.
@test "a config that never stays: refused, and nothing is written" {
    sed -i '1s/^/# 00000\n/' "$lxc/221.conf"
    (for n in $(seq 1000); do
        printf '# %05d\n' "$n" 1<>"$lxc/221.conf"
        sleep 0.02
    done) 3>&- &
    writer=$!
    ASAN_OPTIONS=detect_leaks=0 run -1 strace -f -qq -o "$BATS_TEST_TMPDIR/trace" -P 221.conf -e trace=openat2 \
        -e inject=openat2:delay_enter=300000 -- "$NVLXC" --root "$host" attach 221
    says "221.conf changed since it was read; nothing was written" "run the command again"
    [ "$(grep -c '"221.conf"' "$BATS_TEST_TMPDIR/trace")" = 4 ]
    ! grep -q NVIDIA "$lxc/221.conf"
    ! compgen -G "$lxc/*.nvlxc.*"
}

@test "killed before the rename: the config is the old one, and the next write sweeps what is left" {
    cp "$lxc/221.conf" "$BATS_TEST_TMPDIR/before"
    ASAN_OPTIONS=detect_leaks=0 run strace -f -qq -o /dev/null -e trace=renameat,renameat2 -e inject=renameat,renameat2:signal=KILL:error=EIO:when=1 -- \
        "$NVLXC" --root "$host" attach 221
    [ "$status" = 137 ]
    compgen -G "$lxc/221.conf.nvlxc.*"
    cmp "$lxc/221.conf" "$BATS_TEST_TMPDIR/before"
    run -0 "$NVLXC" --root "$host" attach 221
    ! compgen -G "$lxc/*.nvlxc.*"
}

@test "Proxmox's next write moves no line that attach wrote" {
    export NVL_PCT_ROOT=$host
    for how in "--nodes dev --capabilities graphics" "--nodes static" ""; do
        # shellcheck disable=SC2086 # words
        run -0 "$NVLXC" --root "$host" attach 220 $how
        cp "$lxc/220.conf" "$BATS_TEST_TMPDIR/written"
        run -0 "$NVL_SOURCE/tests/lib/pct" set 220 --memory 16384
        cmp "$lxc/220.conf" "$BATS_TEST_TMPDIR/written"
    done
}

# ---- pmxcfs is not there ----

# What Proxmox generates at each start, below the folder that is root's lxcpath.
generate() {
    mkdir -p "$host/var/lib/lxc/220"
    printf 'lxc.arch = amd64\nlxc.uts.name = ollama\n' >"$host/var/lib/lxc/220/config"
}

# without_pmxcfs COMMAND…: its process is gone, while it is mounted.
without_pmxcfs() {
    # shellcheck disable=SC2016 # expanded inside
    unshare --mount --propagation private -- sh -c '"$0" "$1" && shift && exec "$@"' \
        "$NVL_SOURCE/tests/lib/dead-fuse" "$host/etc/pve" "$@"
}

# stop_pmxcfs: it was stopped, and the package's empty folder is left.
stop_pmxcfs() {
    rm -rf "$host/etc/pve"
    mkdir "$host/etc/pve"
    printf 'Package: pve-cluster\nStatus: install ok installed\nVersion: 9.1.6\n\n' >>"$host/var/lib/dpkg/status"
}

# nothing_is_known [without_pmxcfs]: each command says why, fails, and takes no CT for a container of root.
nothing_is_known() {
    generate
    find "$host" -type f -exec sha256sum {} + >"$BATS_TEST_TMPDIR/before" 2>/dev/null
    local command
    for command in 'attach 220' 'attach 220 --dry-run' 'attach root/220' 'attach root/web' 'detach 220' 'show 220' list 'list --json' ps \
        'doctor 220' 'cdi 220'; do
        # shellcheck disable=SC2086 # words
        run -3 --separate-stderr "$@" "$NVLXC" --root "$host" $command
        says "Proxmox's cluster file system is not mounted (/etc/pve" "systemctl restart pve-cluster"
        [ -z "$output" ]
    done
    run -1 --separate-stderr "$@" "$NVLXC" --root "$host" gpus
    says "cannot tell which containers have a GPU" "not mounted" "?"
    find "$host" -type f -exec sha256sum {} + 2>/dev/null | diff "$BATS_TEST_TMPDIR/before" -
    run -1 "$@" "$NVLXC" --root "$host" --json doctor
    [ "$(jq -r '.findings[] | .id + ":" + .severity' <<<"$output")" = cluster-gone:error ]
    [ "$(jq -r '.findings[].fix[].command' <<<"$output")" = "systemctl restart pve-cluster" ]
}

@test "pmxcfs died: nothing is written, nothing is listed as if all were well, and doctor says so" {
    without_pmxcfs true || skip "this kernel has no FUSE"
    nothing_is_known without_pmxcfs
    run -1 without_pmxcfs "$NVLXC" --root "$host" doctor
    says "Transport endpoint is not connected"
}

@test "pmxcfs was stopped: the same" {
    stop_pmxcfs
    nothing_is_known
    run -1 "$NVLXC" --root "$host" doctor
    says "/etc/pve is an empty folder"
    # metrics say it
    run -0 "$NVLXC" --root "$host" metrics
    says cluster-gone
}

# A capture has no /etc/pve; Debian's own LXC with a left-over folder is no Proxmox host; nor is one whose pve-cluster was removed.
@test "no Proxmox host: an empty /etc/pve, and a package that was removed" {
    stop_pmxcfs
    sed -i '/^Package: pve-/,/^$/s/install ok installed/deinstall ok config-files/' \
        "$host/var/lib/dpkg/status"
    run -0 "$NVLXC" --root "$host" attach root/web
    rmdir "$host/etc/pve"
    run -0 "$NVLXC" --root "$host" detach root/web
}

@test "on the machine itself: what lies in /etc/pve and is not pmxcfs counts for nothing" {
    printf 'Package: pve-cluster\nStatus: install ok installed\nVersion: 9.1.6\n\n' >>"$host/var/lib/dpkg/status"
    run -3 on_machine "$host" "$NVLXC" attach 220
    says "/etc/pve is a folder of this disk" "not pmxcfs" "systemctl restart pve-cluster"
}
