#!/usr/bin/env bats
# nvlxc and the containers of a real daemon: attach, start, verify, live, detach, diagnosis, and two that write at once.

setup_file() {
    load setup
    daemon_start
    daemon_init
    image_import debian-13 small
    "$client" project create lab --config features.images=false --config features.profiles=false
    "$client" profile create ml
    "$client" profile device add ml gpu0 gpu
    add web
    nvlxc attach web # builds the bundle
    nvlxc detach web
}

teardown_file() {
    load setup
    daemon_end
}

setup() {
    load setup
}

# add NAME [OPTION…]: a container, stopped, that sees /proc/driver as a real host's containers do.
add() {
    "$client" init small "$@" --quiet < /dev/null
    case " $* " in
    *' --project '*) "$client" config set --project lab "$1" raw.lxc='lxc.mount.entry = /proc/driver proc/driver none rbind,optional 0 0' ;;
    *) "$client" config set "$1" raw.lxc='lxc.mount.entry = /proc/driver proc/driver none rbind,optional 0 0' ;;
    esac
}

# config NAME [PROJECT]: the instance's own keys and devices, without what the daemon notes of its runs.
config() {
    daemon_ask "/1.0/instances/$1?project=${2:-default}" |
        jq -S '.metadata | {config: (.config | with_entries(select(.key | startswith("volatile.") | not))), devices, profiles}'
}

says() {
    local text flat
    flat=$(tr -s ' \n' ' ' <<< "$output")
    for text; do
        [[ $output == *"$text"* || $flat == *"$text"* ]] || { echo "expected: $text"; echo "got: $output"; return 1; }
    done
}

# opening NAME PATH RESULT: what opening that node says (tests/lib/lxc.bash)
opening() {
    local result
    result=$(opens "$1" "$2")
    [ "$result" = "$3" ] || { echo "$1: opening $2: $result, not $3"; return 1; }
}

# rootfs NAME: its root file system on the host
rootfs() {
    echo "$daemon_folder/containers/$1/rootfs"
}

# step NAME ID: what verify's step says
step() {
    nvlxc --json verify "$1" | jq -r --arg id "$2" '.steps[] | select(.id == $id) | .result + " " + .evidence'
}

# finds ID CONTAINER: doctor has that finding
finds() {
    nvlxc --json doctor "$2" | jq -e --arg id "$1" 'any(.findings[]; .id == $id)' > /dev/null || {
        nvlxc --json doctor "$2" | jq -r '.findings[].id'
        return 1
    }
}

has_nothing_of_nvlxcs() {
    local root
    root=$(rootfs "$1")
    [ ! -e "$root/usr/local/nvidia" ] && [ ! -e "$root/etc/ld.so.conf.d/00-nvlxc.conf" ] && [ ! -L "$root/usr/local/bin/nvidia-smi" ]
}

@test "attach, start, nodes and libraries, detach: the instance is as before" {
    config web > "$BATS_TEST_TMPDIR/before"
    run -0 nvlxc attach web --gpu 0
    says "GPU 0" "$client start web"
    run -0 nvlxc list
    says "web" "stopped"
    start web
    opening web /dev/nvidia0 allowed
    opening web /dev/nvidia-uvm allowed
    opening web /dev/nvidiactl allowed
    [ "$(loads web libcuda.so.1)" = /usr/local/nvidia/lib64/libcuda.so.550.163.01 ]
    [[ $(step web running) == pass* ]]
    [[ $(step web grant) == pass* ]]
    [[ $(step web nodes) == *ENXIO* ]] # no driver is behind them here
    [[ $(step web libcuda) == "pass /usr/local/nvidia/lib64/libcuda.so.550.163.01"* ]]
    run -0 nvlxc show web
    [[ $output == "web ("*", running)"* ]]
    stop web
    run -0 nvlxc detach web
    says "removed from its root file system"
    has_nothing_of_nvlxcs web
    diff "$BATS_TEST_TMPDIR/before" <(config web)
    start web
    opening web /dev/nvidia0 missing
    stop web
}

@test "a container of another project has its own grant" {
    add web --project lab
    config web lab > "$BATS_TEST_TMPDIR/before"
    run -1 nvlxc attach web
    says "several containers have the name web"
    run -0 nvlxc attach "$NVL_DAEMON/lab/web" --gpu 0
    says "$client start --project lab web"
    "$client" start --quiet --project lab web < /dev/null
    run -0 "$client" exec --project lab web -- sh -c 'ls /dev/nvidia0 && ls /usr/local/nvidia/lib64/libcuda.so.1'
    run -0 nvlxc list
    says "$NVL_DAEMON/lab/web"
    [ "$(config web | jq '.config["raw.lxc"] | contains("nvlxc")')" = false ]
    run -0 nvlxc detach "$NVL_DAEMON/lab/web" --live
    run -0 "$client" exec --project lab web -- sh -c '! ls /dev/nvidia0 2> /dev/null'
    diff "$BATS_TEST_TMPDIR/before" <(config web lab)
    "$client" delete --force --project lab web
}

@test "a privileged container has a filter: rules in its config, and live in the kernel" {
    add priv --config security.privileged=true
    "$client" config device add priv gpu gpu
    start priv
    opening priv /dev/nvidia0 allowed # the daemon adds the rules
    finds classic-rule-missing priv && false
    stop priv
    "$client" config device remove priv gpu
    start priv
    opening priv /dev/null allowed
    run -0 nvlxc attach priv --live
    opening priv /dev/nvidia0 allowed
    opening priv /dev/null allowed
    run -0 nvlxc detach priv --live
    opening priv /dev/nvidia0 missing
    run -0 nvlxc attach priv
    stop priv
    start priv
    opening priv /dev/nvidia0 allowed
    opening priv /dev/null allowed
    "$client" delete --force priv
}

@test "live: a running container gets the GPU and loses it; again there is nothing to do" {
    start web
    run -0 nvlxc attach web --live
    says "added to the running container"
    opening web /dev/nvidia0 allowed
    [ "$(loads web libcuda.so.1)" = /usr/local/nvidia/lib64/libcuda.so.550.163.01 ]
    run -0 nvlxc attach web --live
    says "nothing to change in the running container"
    run -0 nvlxc detach web --live
    opening web /dev/nvidia0 missing
    stop web
    has_nothing_of_nvlxcs web
}

@test "gpu devices and nvidia.runtime are by hand, and go by the commands that are printed" {
    local commands
    add two --profile default --profile ml
    run -0 nvlxc list
    says "two" "by hand"
    run -1 nvlxc attach two
    says "the device gpu0 of the profile ml" "$client config device add two gpu0 none"
    start two
    opening two /dev/nvidia0 allowed # the daemon's
    stop two
    commands=$(sed -n "s/^try: //p" <<< "$output")
    bash -ec "$commands" < /dev/null
    run -0 nvlxc attach two
    start two
    opening two /dev/nvidia0 allowed
    [ "$(loads two libcuda.so.1)" = /usr/local/nvidia/lib64/libcuda.so.550.163.01 ]
    "$client" delete --force two
}

@test "ps and gpus name the container" {
    nvlxc attach web
    start web
    run -0 nvlxc gpus
    says "web"
    # a driver library of the test's own, which has the program nvlxc-spin on the first GPU
    cat "$NVL_STUBS/libnvidia-ml.so" > /var/lib/nvlxc/driver/550.163.01/lib64/libnvidia-ml.so.550.163.01
    "$client" exec web -- bash -c 'cp /bin/sleep /tmp/nvlxc-spin; /tmp/nvlxc-spin 60 > /dev/null 2>&1 &' < /dev/null
    for _ in $(seq 50); do ! pgrep nvlxc-spin > /dev/null || break; sleep 0.1; done
    run -0 nvlxc ps
    says "web" "nvlxc-spin"
    stop web
    nvlxc detach web
    nvlxc driver sync --force > /dev/null 2>&1 || { rm -rf /var/lib/nvlxc/driver/550.163.01; nvlxc driver sync; }
}

@test "doctor: planted faults are found, by the names that the daemon's users know" {
    nvlxc attach web
    # the hook is gone
    mv /usr/libexec/nvlxc/hook /usr/libexec/nvlxc/hook-away
    finds hook-missing web
    start web # starts nevertheless
    stop web
    mv /usr/libexec/nvlxc/hook-away /usr/libexec/nvlxc/hook
    # no bundle
    mv /var/lib/nvlxc/driver /var/lib/nvlxc/driver-away
    finds bundle-absent web
    rmdir /var/lib/nvlxc/driver 2> /dev/null || true
    mv /var/lib/nvlxc/driver-away /var/lib/nvlxc/driver
    # a variable that runs the image's code
    "$client" config set web environment.LD_PRELOAD=/usr/lib/x86_64-linux-gnu/lxc/rootfs/evil.so
    finds hook-environment web
    run nvlxc doctor web
    says "environment.LD_PRELOAD of $NVL_DAEMON/web" "$client config unset web environment.LD_PRELOAD"
    "$client" config unset web environment.LD_PRELOAD
    # the driver got another number while it runs
    start web
    simulate_uvm_major 507
    finds start-outdated web
    run nvlxc doctor web
    says "$client restart web"
    simulate_uvm_major 506
    stop web
    # a folder that is gone; the printed command lets it start
    mkdir /srv/models
    "$client" config device add web models disk source=/srv/models path=/srv/models
    finds mount-absent web && false
    rmdir /srv/models
    run "$client" start web
    says "/srv/models"
    run nvlxc doctor web
    says "bring /srv/models back, or take it from this container:" "$client config device remove web models"
    "$client" config device set web models required=false
    finds mount-absent web && false
    start web
    stop web
    "$client" config device remove web models
    # lines by hand
    nvlxc detach web
    "$client" config set web raw.lxc='lxc.mount.entry = /dev/nvidia0 dev/nvidia0 none bind,optional,create=file
lxc.mount.entry = /dev/nvidiactl dev/nvidiactl none bind,optional,create=file
lxc.cgroup2.devices.allow = c 195:* rwm'
    run nvlxc doctor web
    says "raw.lxc of $NVL_DAEMON/web:3: lxc.cgroup2.devices.allow = c 195:* rwm" "($client config edit web)"
    start web
    opening web /dev/null filtered # as it says
    stop web
    run -0 nvlxc attach web --replace
    [[ $("$client" config get web raw.lxc) != *195* ]]
    nvlxc detach web
    "$client" config set web raw.lxc='lxc.mount.entry = /proc/driver proc/driver none rbind,optional 0 0'
}

@test "nvidia.runtime brings the bundle where the daemon was told so" {
    local folder=/usr/libexec/nvlxc/incus
    "$client" config set web nvidia.runtime=false
    run "$client" config set web nvidia.runtime=true
    says "NVIDIA"
    mkdir -p $folder
    ln -s ../hook $folder/nvidia
    install -m 755 "$NVL_SOURCE/data/incus/nvidia-container-cli" $folder/
    install -D -m 644 "$NVL_SOURCE/data/incus/nvlxc.conf" "/etc/systemd/system/$NVL_DAEMON.service.d/nvlxc.conf"
    daemon_stop
    # as systemd reads it
    # shellcheck disable=SC2046
    daemon_start $(sed -n 's/^Environment=//p' "$NVL_SOURCE/data/incus/nvlxc.conf")
    "$client" config set web nvidia.runtime=true
    "$client" config device add web gpu gpu
    start web
    opening web /dev/nvidia0 allowed
    [ "$(loads web libcuda.so.1)" = /usr/local/nvidia/lib64/libcuda.so.550.163.01 ]
    run -0 nvlxc show web
    says "by hand, nvidia.runtime of $NVL_DAEMON/web" "by hand, the device gpu of $NVL_DAEMON/web"
    run nvlxc doctor web
    [[ $output != *"stops its start"* ]]
    stop web
    "$client" config device remove web gpu
    "$client" config unset web nvidia.runtime
    rm "/etc/systemd/system/$NVL_DAEMON.service.d/nvlxc.conf"
    daemon_stop
    daemon_start
}

@test "a daemon that stopped or died is told of; when it is back, all is well" {
    daemon_stop
    run -1 nvlxc attach web
    says "is not running" "systemctl start $NVL_DAEMON"
    run -0 nvlxc list
    says "is not running"
    daemon_start
    run -0 nvlxc attach web
    daemon_kill
    run -1 nvlxc detach web
    says "is not running (nobody listens on its socket)"
    daemon_start
    run -0 nvlxc detach web
}

@test "a daemon that hangs is not waited for without end" {
    local began
    kill -STOP "$(cat /run/daemon.pid)"
    began=$SECONDS
    run nvlxc attach web
    kill -CONT "$(cat /run/daemon.pid)"
    [ "$status" = 1 ]
    says "does not answer within"
    [ $((SECONDS - began)) -lt 30 ]
}

@test "attach and detach beside the daemon's own client: no change is lost" {
    local n done i
    "$client" config unset web raw.lxc
    (
        n=0
        while [ ! -e "$BATS_TEST_TMPDIR/stop" ]; do
            n=$((n + 1))
            ! "$client" config set web "user.n$n=x" 2> /dev/null || echo "user.n$n" >> "$BATS_TEST_TMPDIR/set"
        done
    ) 3>&- 4>&- &
    local beside=$!
    for i in $(seq "${NVL_ROUNDS:-200}"); do
        nvlxc attach web --libraries none > "$BATS_TEST_TMPDIR/said" 2>&1 || { cat "$BATS_TEST_TMPDIR/said"; touch "$BATS_TEST_TMPDIR/stop"; false; }
        daemon_ask /1.0/instances/web | grep -q nvlxc/hook || { echo "attach $i is lost"; touch "$BATS_TEST_TMPDIR/stop"; false; }
        nvlxc detach web > "$BATS_TEST_TMPDIR/said" 2>&1 || { cat "$BATS_TEST_TMPDIR/said"; touch "$BATS_TEST_TMPDIR/stop"; false; }
        ! daemon_ask /1.0/instances/web | grep -q nvlxc/hook || { echo "detach $i is lost"; touch "$BATS_TEST_TMPDIR/stop"; false; }
    done
    touch "$BATS_TEST_TMPDIR/stop"
    wait $beside
    done=$(wc -l < "$BATS_TEST_TMPDIR/set")
    [ "$done" -ge 1 ]
    daemon_ask /1.0/instances/web | jq -r '.metadata.config | keys[]' > "$BATS_TEST_TMPDIR/keys"
    while read -r n; do
        grep -qx "$n" "$BATS_TEST_TMPDIR/keys" || { echo "$n is lost"; false; }
    done < "$BATS_TEST_TMPDIR/set"
}

@test "in a restricted project the daemon's refusal is passed on, and nothing is written" {
    "$client" project create closed --config features.images=false --config features.profiles=true --config restricted=true
    "$client" profile device add --project closed default root disk pool=default path=/ || true
    "$client" init small caged --project closed --quiet < /dev/null
    run -3 nvlxc attach "$NVL_DAEMON/closed/caged"
    says "raw.lxc" "forbidden"
    [ "$(config caged closed | jq -r '.config["raw.lxc"]')" = null ]
    "$client" delete --force --project closed caged
}

@test "ids that doctor gives LXC's containers leave the daemon its own" {
    local command sleeper
    mkdir -p /var/lib/lxc/plain
    printf '%s\n' 'lxc.rootfs.path = dir:/var/lib/lxc/plain/rootfs' 'lxc.idmap = u 0 2000000000 65536' 'lxc.idmap = g 0 2000000000 65536' \
        > /var/lib/lxc/plain/config
    nvlxc attach plain --libraries none --force
    nvlxc --json doctor plain | jq -r '.findings[] | select(.id == "idmap-forbidden") | .fix[].command' > "$BATS_TEST_TMPDIR/fix"
    cat "$BATS_TEST_TMPDIR/fix"
    [ "$(wc -l < "$BATS_TEST_TMPDIR/fix")" = 2 ]
    sh -e "$BATS_TEST_TMPDIR/fix"
    unshare --user sleep 60 3>&- 4>&- &
    sleeper=$!
    for _ in $(seq 50); do [ "$(readlink "/proc/$sleeper/ns/user")" = "$(readlink /proc/self/ns/user)" ] || break; sleep 0.1; done
    newuidmap $sleeper 0 2000000000 65536
    newgidmap $sleeper 0 2000000000 65536
    kill $sleeper
    rm -r /var/lib/lxc/plain
    daemon_stop
    daemon_start
    add fresh
    start fresh
    inside fresh true
    "$client" delete --force fresh
}
