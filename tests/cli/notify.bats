# nvlxc doctor --notify: what comes and what goes is told to a real command, once, and nothing that could not be looked at
# counts as gone. The fixture is the machine itself, with a shell in it.
# shellcheck disable=SC2016 # commands are for the shell that nvlxc starts

bats_require_minimum_version 1.5.0
load "$NVL_SOURCE/tests/lib/hosts.bash"
load "$NVL_SOURCE/tests/lib/json.bash"

NVLXC="$NVL_BUILD/src/cli/nvlxc"
# told to a file of the host: what it reads, and its environment
TELL='cat > /told; printf "%s|%s|%s\n" "$NVLXC_SUBJECT" "$NVLXC_NEW" "$NVLXC_GONE" >> /times'

setup() {
    host=$(fixture a5500-550)
    state=$host/var/lib/nvlxc/doctor/findings.json
    rm "$host/etc/pve/lxc/223.conf"
    give_programs "$host" sh cat sleep
}

# doctor ARGUMENT…: on the host
doctor() {
    on_machine "$host" "$NVLXC" doctor "$@"
}

# notify [COMMAND]: tells, and has what it said in $output and $stderr
notify() {
    rm -f "$host/told"
    run -"${status_wanted:-0}" --separate-stderr doctor --notify "${1:-$TELL}"
}

# is_alive PID: not only a process that nobody has waited for
is_alive() {
    [[ $(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) == [!Z]* ]]
}

# told LINE…: the command was run, and read a text that begins with the first line and has each of the others as a line.
told() {
    local line
    [ -e "$host/told" ] || { echo "the command was not run: $output$stderr"; return 1; }
    [ "$(head -n 1 "$host/told")" = "nvlxc on $(hostname): $1" ] || { cat "$host/told"; return 1; }
    for line in "${@:2}"; do
        grep -qxF -- "$line" "$host/told" || { echo "no line: $line"; cat "$host/told"; return 1; }
    done
}

# not_told: the command was not run.
not_told() {
    [ ! -e "$host/told" ] || { cat "$host/told"; return 1; }
}

# known ID…: these are in the file, in any order.
known() {
    [ "$(jq -r '.findings[].id' "$state" | sort | paste -sd ' ')" = "$*" ] || { cat "$state"; return 1; }
}

# dead FOLDER STATUS: notify, while a dead FUSE is mounted there
dead() {
    rm -f "$host/told"
    run -"$2" --separate-stderr unshare --mount --propagation private -- bash -c \
        "$(declare -f on_machine); "'"$1" "$2" && on_machine "$3" "$4" doctor --notify "$5"' \
        bash "$NVL_SOURCE/tests/lib/dead-fuse" "$1" "$host" "$NVLXC" "$TELL"
}

# pinned NAME: a container of root's with a finding in its config, classic-major-pinned
pinned() {
    mkdir -p "$host/var/lib/lxc/$1"
    printf '%s\n' 'lxc.include = /usr/share/lxc/config/debian.common.conf' "lxc.rootfs.path = dir:/var/lib/lxc/$1/rootfs" \
        'lxc.cgroup2.devices.allow = c 195:* rwm' 'lxc.cgroup2.devices.allow = c 506:* rwm' 'lxc.mount.entry = /dev/nvidia0 dev/nvidia0 none bind,optional,create=file' \
        >"$host/var/lib/lxc/$1/config"
}
PINNED='a device rule names a major that changes between boots'
UVM='a device node is missing: /dev/nvidia-uvm'

@test "comes, stays, goes: told once, with cause and fix, and the counts" {
    notify
    not_told
    [[ $output == *"no last run is known: all findings are new"*"nothing has come or gone, so the command was not run"* ]]
    rm "$host/dev/nvidia-uvm"
    notify
    told '1 new finding' "new: error: $UVM" '  why:' '  fix:' '    nvidia-modprobe -c 0 -u'
    [ "$output" = "the command was told: 1 new finding" ]
    run ! grep -q '^gone\|last run' "$host/told"
    notify
    not_told
    [ "$output" = "nothing has come or gone, so the command was not run" ]
    mknod -m 666 "$host/dev/nvidia-uvm" c 506 0
    pinned box
    notify
    told '1 new finding, 1 gone' "new: warning, container box: $PINNED" "gone: $UVM"
    rm -r "$host/var/lib/lxc/box"
    notify
    told '1 finding gone' "gone: container box: $PINNED"
    notify
    not_told
    diff "$host/times" - <<EOF
nvlxc on $(hostname): 1 new finding|1|0
nvlxc on $(hostname): 1 new finding, 1 gone|1|1
nvlxc on $(hostname): 1 finding gone|0|1
EOF
}

@test "the first run tells what is there; notes are never told" {
    pinned box
    echo 'lxc.environment = NOTE=nvidia' >>"$host/var/lib/lxc/web/config"
    notify
    told '1 new finding' 'The last run is not known, so this is all that there is.' "new: warning, container box: $PINNED"
    run ! grep -q 'note' "$host/told"
    known classic-major-pinned
}

@test "a finding that grows is told again, none of it as gone; one that shrinks is not" {
    rm "$host/dev/nvidia-uvm"
    notify
    rm "$host/dev/nvidia0" "$host/dev/nvidiactl"
    notify
    told '2 new findings'
    mknod -m 666 "$host/dev/nvidia0" c 195 0
    rm "$host/dev/nvidia-uvm-tools"
    notify
    told '1 new finding, 1 gone' 'gone: a device node is missing: /dev/nvidia0' \
        'new: error: device nodes are missing: /dev/nvidia-uvm, /dev/nvidia-uvm-tools'
    mknod -m 666 "$host/dev/nvidia-uvm" c 506 0
    rm "$host/dev/nvidiactl" 2>/dev/null || true
    notify
    not_told
    mknod -m 666 "$host/dev/nvidia-uvm-tools" c 506 1
    notify
    told '1 finding gone' 'gone: a device node is missing: /dev/nvidia-uvm-tools'
}

@test "a command that fails, or is killed, or does not exist: nothing counts as told" {
    notify
    rm "$host/dev/nvidia-uvm"
    local before command
    before=$(cat "$state")
    for command in 'exit 3|failed with status 3' 'kill -9 $$|was ended by signal 9' '/nonsense|failed with status 127' \
        'cat > /told; exit 1|failed with status 1'; do
        status_wanted=1 notify "${command%|*}"
        says "nvlxc: the command of --notify ${command#*|}: " "nothing counts as told, so the next run tells it again"
        [ "$(cat "$state")" = "$before" ]
    done
    told '1 new finding' "new: error: $UVM"
    notify
    told '1 new finding' "new: error: $UVM"
    notify
    not_told
}

@test "a command that hangs is killed after a minute, with its children; what a good one leaves at work goes on" {
    notify
    rm "$host/dev/nvidia-uvm"
    SECONDS=0
    status_wanted=1 notify 'sleep 1000 & echo $! > /child; sleep 1000'
    [ "$SECONDS" -ge 59 ] && [ "$SECONDS" -lt 80 ]
    says "the command of --notify did not end within 60 s and was killed, with its process group"
    ! is_alive "$(cat "$host/child")" || false
    known
    # a mailer that delivers behind its caller's back
    notify 'cat > /told; { sleep 1; echo > /delivered; } > /dev/null 2>&1 &'
    told '1 new finding'
    sleep 2
    [ -e "$host/delivered" ]
    known node-missing
}

@test "nvlxc is killed meanwhile: its command ends with it, and the next run tells it" {
    notify
    rm "$host/dev/nvidia-uvm"
    doctor --notify 'echo $$ > /shell; sleep 1000' 3>&- &
    for _ in $(seq 100); do [ ! -s "$host/shell" ] || break; sleep 0.1; done
    kill -9 "$(sed 's/.*) //' "/proc/$(cat "$host/shell")/stat" | cut -d ' ' -f 2)"
    wait $! || true
    for _ in $(seq 50); do is_alive "$(cat "$host/shell")" || break; sleep 0.1; done
    ! is_alive "$(cat "$host/shell")" || false
    notify
    told '1 new finding' "new: error: $UVM"
}

# damaged: the last run is not known, which is said, and all is told.
damaged() {
    notify
    says "nvlxc: warning: no last run is known, for the file of it in /var/lib/nvlxc/doctor is damaged"
    told '1 new finding' 'The last run is not known, so this is all that there is.' "new: error: $UVM"
    [ -f "$state" ] && [ ! -L "$state" ] && [ "$(stat -c '%u %a' "$state")" = "0 600" ]
    known node-missing
    notify
    not_told
}

@test "a file that is damaged, too large, a link, or somebody else's: no last run is known" {
    rm "$host/dev/nvidia-uvm"
    notify
    local whole text
    whole=$(cat "$state")
    for text in '' '{' '[]' 'null' '{"format":1}' '{"format":2,"findings":[]}' '{"format":1,"findings":{}}' '{"format":1,"findings":[1]}' \
        "${whole/node-missing/}x" "${whole/\"deep\": false/\"deep\": 0}" "${whole/\"container\": null/\"container\": 7}" \
        "${whole/\"node /7, \"node }"; do
        printf '%s' "$text" >"$state"
        damaged
    done
    printf '%s\0%s' "$whole" x >"$state"
    damaged
    truncate -s 9M "$state"
    damaged
    cp "$state" "$host/elsewhere"
    ln -sf /elsewhere "$state"
    damaged
    chown 1000 "$state"
    damaged
    rm "$state"
    mkfifo "$state"
    damaged
    # a check that there is no longer is nobody's news
    jq '.findings += [{"id": "no-such-check", "container": null, "about": [], "title": "x", "deep": false}]' <<<"$whole" >"$state"
    notify
    not_told
    known node-missing
    # nobody else reads it, or can hold its lock
    [ "$(stat -c '%u %a' "$state" "$host/var/lib/nvlxc/doctor/.lock" | sort -u)" = "0 600" ]
}

@test "two runs at once tell it once, and one waits for the other" {
    notify
    rm "$host/dev/nvidia-uvm"
    local i
    for i in 1 2 3; do
        doctor --notify 'sleep 1; echo "$NVLXC_SUBJECT" >> /times' >"$BATS_TEST_TMPDIR/out.$i" 2>&1 3>&- &
        eval "pid$i=\$!"
    done
    # shellcheck disable=SC2154 # set by eval
    wait "$pid1" && wait "$pid2" && wait "$pid3"
    [ "$(cat "$host/times")" = "nvlxc on $(hostname): 1 new finding" ]
    [ "$(cat "$BATS_TEST_TMPDIR"/out.* | sort | uniq -c | tr -s ' ')" = " 2 nothing has come or gone, so the command was not run
 1 the command was told: 1 new finding" ]
    # a lock that somebody holds for a while
    rm "$host/dev/nvidia0"
    flock "$host/var/lib/nvlxc/doctor/.lock" sleep 3 3>&- &
    sleep 0.5
    SECONDS=0
    notify
    [ "$SECONDS" -ge 2 ]
    told '1 new finding'
}

@test "hostile names and lines: no shell runs them, no terminal obeys them, no line is forged" {
    local name='$(touch x)`touch x`;touch x;"'
    pinned "$name"
    pinned $'e\xe2\x80\xaevil\xff'
    printf 'lxc.mount.entry = /nowhere$(touch\\040x)\\012new:\\040error:\\040forged\\012gone:\\040forged\\012.\\012~!touch\\040x\\033[31m mnt none bind 0 0\n' \
        >>"$host/var/lib/lxc/$name/config"
    printf '# \033[31m\007$(touch x)\n' >>"$host/var/lib/lxc/$name/config"
    notify
    told '3 new findings' "new: warning, container $name: $PINNED" "new: warning, container e???vil?: $PINNED" \
        "new: error, container $name: LXC will not start it: it mounts what the host does not have"
    run ! grep -P '[\x00-\x08\x0b-\x1f\x7f]|\xe2\x80\xae' "$host/told"
    run ! grep -E '^(new: error: forged|gone|\.$|~)' "$host/told"
    iconv -f UTF-8 -t UTF-8 "$host/told" >/dev/null
    [ -z "$(find "$host" "$BATS_TEST_TMPDIR" -name x -print)" ]
    rm -r "${host:?}/var/lib/lxc/$name"
    notify
    told '2 findings gone' "gone: container $name: $PINNED"
    [ -z "$(find "$host" -name x -print)" ]
}

@test "not gone: a config that cannot be read, a home that cannot be looked into" {
    pinned box
    local media=$host/home/alice/.local/share/lxc/media
    printf '%s\n' 'lxc.mount.entry = /dev/nvidia0 dev/nvidia0 none bind,optional,create=file' \
        'lxc.mount.entry = /nowhere mnt none bind 0 0' >>"$media/config"
    notify
    told '2 new findings'
    mv "$host/var/lib/lxc/box/config" "$host/var/lib/lxc/box/kept"
    mkdir "$host/var/lib/lxc/box/config"
    dead "$host/home/alice" 0
    says "nvlxc: warning: /var/lib/lxc/box/config is a folder" "nvlxc: warning: cannot read the folder /home/alice/.local/share/lxc"
    [[ $output == *"2 earlier findings could not be looked for this time"* ]]
    not_told
    known classic-major-pinned mount-absent
    # readable again, and as before: nobody hears of it
    rmdir "$host/var/lib/lxc/box/config"
    mv "$host/var/lib/lxc/box/kept" "$host/var/lib/lxc/box/config"
    notify
    not_told
    # an absence is one
    rm -r "$host/var/lib/lxc/box" "$media"
    notify
    told '2 findings gone'
}

@test "not gone: a root file system that is not there now" {
    local web=$host/var/lib/lxc/web
    mkdir -p "$web/rootfs"/{dev,etc/ld.so.conf.d,lib,lib64,usr/bin,usr/lib/x86_64-linux-gnu,usr/local/bin,var/lib/dpkg/info}
    echo 'include /etc/ld.so.conf.d/*.conf' >"$web/rootfs/etc/ld.so.conf"
    printf 'ID=debian\nVERSION_ID="12"\n' >"$web/rootfs/etc/os-release"
    printf 'root:x:0:0:root:/root:/bin/sh\n' >"$web/rootfs/etc/passwd"
    printf 'root:x:0:\nvideo:x:44:\nrender:x:105:\n' >"$web/rootfs/etc/group"
    touch "$web/rootfs/lib64/ld-linux-x86-64.so.2" "$web/rootfs/var/lib/dpkg/status"
    "$NVLXC" --root "$host" --quiet attach root/web 2>/dev/null
    notify
    # of another C library
    mv "$web/rootfs/lib64/ld-linux-x86-64.so.2" "$BATS_TEST_TMPDIR/"
    touch "$web/rootfs/lib/ld-musl-x86_64.so.1"
    notify
    [[ $(grep '^new: ' "$host/told") == 'new: error, container root/web: '* ]]
    grep -q container-musl "$state"
    mv "$web/rootfs" "$web/away"
    notify
    not_told
    [[ $output == *"1 earlier finding could not be looked for this time"* ]]
    grep -q container-musl "$state"
    mv "$web/away" "$web/rootfs"
    notify
    not_told
    rm "$web/rootfs/lib/ld-musl-x86_64.so.1"
    mv "$BATS_TEST_TMPDIR/ld-linux-x86-64.so.2" "$web/rootfs/lib64/"
    notify
    told '1 finding gone'
    [[ $(grep '^gone: ' "$host/told") == 'gone: container root/web: '* ]]
}

@test "not gone: the cluster file system has died, or the driver is not loaded" {
    cp "$host/etc/pve/lxc/221.conf" "$BATS_TEST_TMPDIR/"
    printf '%s\n' 'lxc.cgroup2.devices.allow: c 195:* rwm' 'lxc.cgroup2.devices.allow: c 506:* rwm' >>"$host/etc/pve/lxc/221.conf"
    pinned box
    rm "$host/dev/nvidia-uvm"
    notify
    told '3 new findings' "new: warning, container 221: $PINNED"
    # its process is gone, while it is mounted
    dead "$host/etc/pve" 1
    told '1 new finding' "new: error: Proxmox's cluster file system is not mounted" 'Nothing counts as gone, and something may be there only because of that.'
    grep -q '^Incomplete: cannot read /etc/pve' "$host/told"
    known classic-major-pinned classic-major-pinned cluster-gone node-missing
    notify
    told '1 finding gone' "gone: Proxmox's cluster file system is not mounted"
    # it was stopped, and the package's empty folder is left
    mv "$host/etc/pve" "$host/etc/kept"
    cp "$host/var/lib/dpkg/status" "$BATS_TEST_TMPDIR/"
    mkdir "$host/etc/pve"
    printf 'Package: pve-cluster\nStatus: install ok installed\nVersion: 9.1.6\n\n' >>"$host/var/lib/dpkg/status"
    notify
    told '1 new finding' "new: error: Proxmox's cluster file system is not mounted"
    rmdir "$host/etc/pve"
    mv "$host/etc/kept" "$host/etc/pve"
    cp "$BATS_TEST_TMPDIR/status" "$host/var/lib/dpkg/status"
    notify
    told '1 finding gone'
    # what is left out since something else explains it, and what only a loaded driver can answer
    mv "$host/proc/driver" "$host/proc/devices" "$host/proc/modules" "$BATS_TEST_TMPDIR/"
    : >"$host/proc/modules"
    sed '/nvidia/d' "$BATS_TEST_TMPDIR/devices" >"$host/proc/devices"
    notify
    [ -e "$host/told" ]
    run ! grep -q '^gone: ' "$host/told"
    rm "$host/proc/modules" "$host/proc/devices"
    mv "$BATS_TEST_TMPDIR"/{driver,devices,modules} "$host/proc/"
    cp "$BATS_TEST_TMPDIR/221.conf" "$host/etc/pve/lxc/221.conf"
    notify
    run grep -c '^new: ' "$host/told"
    [ "$output" = 0 ]
    grep -qxF "gone: container 221: $PINNED" "$host/told"
    known classic-major-pinned node-missing
}

@test "not gone: what another finding explains now" {
    local gpu=$host/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0
    rm "$host/etc/modprobe.d/nvidia.conf"
    notify
    told '1 new finding' 'new: warning: nothing keeps nouveau from taking the GPU at the next boot'
    # it took the GPU
    mkdir -p "$host/sys/bus/pci/drivers/nouveau"
    mv "$host/proc/driver" "$host/proc/devices" "$BATS_TEST_TMPDIR/"
    sed '/nvidia/d' "$BATS_TEST_TMPDIR/devices" >"$host/proc/devices"
    ln -sfn ../../../../bus/pci/drivers/nouveau "$gpu/driver"
    notify
    told '1 new finding' "new: error: GPU 0000:01:00.0 (10de:2438) is held by nouveau, so NVIDIA's driver cannot use it"
    known gpu-nouveau nouveau-blacklist
    ln -sfn ../../../../bus/pci/drivers/nvidia "$gpu/driver"
    rm "$host/proc/devices"
    mv "$BATS_TEST_TMPDIR/driver" "$BATS_TEST_TMPDIR/devices" "$host/proc/"
    notify
    told '1 finding gone'
    known nouveau-blacklist
}

@test "not gone: what only --deep sees; an I/O error is told, and nothing counts as gone" {
    local version=550.163.01 bundle library
    rm -rf "$host"/usr/lib/x86_64-linux-gnu/{lib*nvidia*,libcuda*,nvidia} "$host/etc/ld.so.cache"
    for library in libcuda libnvidia-ml libnvidia-encode libnvcuvid; do
        gcc -shared -nostdlib -Wl,-soname,$library.so.1 -o "$host/usr/lib/x86_64-linux-gnu/$library.so.$version" -x c /dev/null
    done
    "$NVLXC" --root "$host" --quiet driver sync
    bundle=$host/var/lib/nvlxc/driver/$version
    [ -d "$bundle" ]
    notify
    local file
    file=$(find "$bundle" -name 'libcuda.so.*' -type f | head -n 1)
    cp -a "$file" "$BATS_TEST_TMPDIR/whole"
    tr a-y b-z <"$BATS_TEST_TMPDIR/whole" >"$file"
    notify
    not_told
    rm -f "$host/told"
    run -0 doctor --deep --notify "$TELL"
    told '1 new finding'
    notify
    not_told
    known bundle-damaged
    cp -a "$BATS_TEST_TMPDIR/whole" "$file"
    notify
    not_told
    run -0 doctor --deep --notify "$TELL"
    told '1 finding gone' "gone: the bundle of $version is damaged"
    # a disk that fails: what is found is told, what is not found is not gone
    pinned box
    notify
    rm -r "$host/var/lib/lxc/box"
    rm "$host/dev/nvidia-uvm" "$host/told"
    run -1 strace -f -qq -o "$BATS_TEST_TMPDIR/trace" -P etc/modprobe.d -e trace=openat2 -e inject=openat2:error=EIO -- \
        "$BASH" -c "$(declare -f on_machine); on_machine '$host' '$NVLXC' doctor --notify '$TELL'"
    grep -q INJECTED "$BATS_TEST_TMPDIR/trace"
    says "cannot read /etc/modprobe.d: Input/output error"
    told '2 new findings' "new: error: $UVM" 'Incomplete: cannot read /etc/modprobe.d: Input/output error.' \
        'new: warning: nothing keeps nouveau from taking the GPU at the next boot'
    notify
    told '2 findings gone' "gone: container box: $PINNED" 'gone: nothing keeps nouveau from taking the GPU at the next boot'
}

@test "--json: what has come and gone, and the command's own output beside it" {
    pinned box
    run -0 --separate-stderr on_machine "$host" "$NVLXC" --json doctor --notify 'echo "from the command"'
    is_json doctor-notify <<<"$output"
    [ "$(jq -c '[.new[].id, .gone]' <<<"$output")" = '["classic-major-pinned",[]]' ]
    [[ $stderr == *"from the command"* ]]
    rm -r "$host/var/lib/lxc/box"
    run -0 --separate-stderr on_machine "$host" "$NVLXC" --json doctor --notify true
    is_json doctor-notify <<<"$output"
    [ "$(jq -c '[.new, .gone]' <<<"$output")" = "[[],[{\"id\":\"classic-major-pinned\",\"container\":\"box\",\"title\":\"$PINNED\"}]]" ]
    pinned box
    run -0 on_machine "$host" "$NVLXC" --quiet doctor --notify true
    [ -z "$output" ]
}

@test "what does not go together is refused in words, and nothing is run or written" {
    run -2 "$NVLXC" --root "$host" doctor --notify 'touch /told'
    says "does not take --root"
    run -2 doctor --notify "$TELL" 220
    says "takes no container ('220')"
    run -2 doctor --notify "$TELL" --fix
    says "neither --fix nor --report"
    run -2 doctor --notify "$TELL" --report
    says "neither --fix nor --report"
    run -2 doctor --notify ''
    says "needs a command for /bin/sh"
    run -2 doctor --notify
    # of the machine itself: it ends before it looks at anything
    run -3 setpriv --reuid 65534 --regid 65534 --clear-groups "$NVLXC" doctor --notify true
    says "only root can run doctor --notify"
    not_told
    [ ! -e "$host/var/lib/nvlxc/doctor" ]
}
