# Containers of Incus and LXD, with a stand-in for their API (tests/lib/incus-daemon). The real daemons: tests/daemons.

bats_require_minimum_version 1.5.0
load "$NVL_SOURCE/tests/lib/hosts.bash"

NVLXC="$NVL_BUILD/src/cli/nvlxc"
MAP='[{"Isuid":true,"Isgid":false,"Hostid":1000000,"Nsid":0,"Maprange":1000000000},{"Isuid":false,"Isgid":true,"Hostid":1000000,"Nsid":0,"Maprange":1000000000}]'

setup() {
    host=$(fixture two-gpus-535)
    state=$BATS_TEST_TMPDIR/state
    printf '%s' '{"instances": [], "profiles": {"default": [{"name": "default", "config": {},
        "devices": {"root": {"type": "disk", "path": "/", "pool": "default"}, "eth0": {"type": "nic"}}}]}}' > "$state"
}

teardown() {
    [ -z "${daemon:-}" ] || kill "$daemon"
}

# listen [FOLDER]: the stand-in, as Incus unless the folder is another daemon's.
listen() {
    local folder=$host${1:-/var/lib/incus}
    mkdir -p "$folder/database"
    "$NVL_SOURCE/tests/lib/incus-daemon" "$folder/unix.socket" "$state" 3>&- &
    daemon=$!
    for _ in $(seq 100); do [ ! -S "$folder/unix.socket" ] || return 0; sleep 0.05; done
    return 1
}

# instance NAME [KEY=VALUE…]: one of the project $project, with profiles $profiles and devices $devices (JSON).
instance() {
    local name=$1
    shift
    jq --arg name "$name" --arg project "${project:-default}" --arg map "$MAP" --argjson profiles "${profiles:-[\"default\"]}" \
        --argjson devices "${devices:-{\}}" --args '.instances += [{name: $name, project: $project, type: "container",
            config: ({"volatile.idmap.next": $map} + ([$ARGS.positional[] | capture("^(?<key>[^=]*)=(?<value>.*)$"; "m")] | from_entries)),
            devices: $devices, profiles: $profiles}]' "$@" < "$state" > "$state.new"
    mv "$state.new" "$state"
}

# profile NAME CONFIG DEVICES: as JSON
profile() {
    change '.profiles.default += [{name: $name, config: $config, devices: $devices}]' --arg name "$1" --argjson config "$2" --argjson devices "$3"
}

change() {
    jq "${@:2}" "$1" "$state" > "$state.new"
    mv "$state.new" "$state"
}

behaves() {
    change '.behaves = $how' --arg how "$1"
}

# raw NAME [PROJECT]: its own raw.lxc
raw() {
    jq -r --arg name "$1" --arg project "${2:-default}" \
        '.instances[] | select(.name == $name and .project == $project) | .config["raw.lxc"] // "none"' "$state"
}

nvlxc() {
    "$NVLXC" --root "$host" "$@"
}

# names: all containers, as the error for one that does not exist lists them
names() {
    "$NVLXC" --root "$host" show no-such 2>&1 | sed -n 's/.*there are: //p'
}

attach() {
    nvlxc attach --libraries none "$@"
}

same_instances() {
    diff <(jq -S .instances "$1") <(jq -S .instances "$2")
}

@test "the containers of every project are seen, and no virtual machine" {
    instance web
    project=lab instance web
    instance only
    change '.instances += [{name: "vm", project: "default", type: "virtual-machine", config: {}, devices: {}, profiles: []}]'
    listen
    [[ $(names) == *"only, incus/web, incus/lab/web"* && $(names) != *vm* ]]
    attach only --gpu 0
    run -0 nvlxc list
    says "only" "Incus"
    run -0 nvlxc --json list
    [ "$(jq -r '.containers[] | select(.container == "only") | .kind' <<<"$output")" = incus ]
    run -1 nvlxc show web
    says "several containers have the name web: incus/web, incus/lab/web"
    run -0 nvlxc show incus/default/web
    run -0 nvlxc show lab_web
    says "incus/lab/web (Incus, stopped)"
}

@test "attach writes raw.lxc alone, keeps its other lines, and detach restores the instance" {
    local text
    for text in '' 'lxc.apparmor.profile = unconfined' $'# mine\nlxc.cap.drop = sys_time\n' $'\n\n'; do
        printf '%s' '{"instances": [], "profiles": {"default": [{"name": "default", "config": {}, "devices": {}}]}}' > "$state"
        instance web user.note=kept ${text:+"raw.lxc=$text"}
        project=lab instance web
        cp "$state" "$BATS_TEST_TMPDIR/before"
        [ -n "${daemon:-}" ] || listen
        run -0 attach incus/web --gpu 0
        says "incus start web"
        [[ $(raw web) == *"lxc.environment = NVIDIA_VISIBLE_DEVICES=GPU-"*"lxc.hook.mount = "*nvlxc/hook* ]]
        [[ $(raw web) == *"$text"* ]]
        [[ $(raw web) != *devices.allow* ]] # it has no filter
        [ "$(raw web lab)" = none ]
        same_instances <(change_back) "$BATS_TEST_TMPDIR/before"
        cp "$state" "$BATS_TEST_TMPDIR/attached"
        run -0 attach incus/web --gpu 0
        says "nothing to change"
        same_instances "$state" "$BATS_TEST_TMPDIR/attached"
        run -0 nvlxc list
        says "incus/web"
        run -0 nvlxc detach incus/web
        same_instances "$state" "$BATS_TEST_TMPDIR/before"
    done
}

# change_back: the state with web's raw.lxc of before
change_back() {
    jq --slurpfile before "$BATS_TEST_TMPDIR/before" '.instances |= map(if .name == "web" and .project == "default" then
        .config = (.config | del(.["raw.lxc"])) + ($before[0].instances[0].config | with_entries(select(.key == "raw.lxc"))) else . end)' "$state"
}

@test "an instance of another project is reached by its project's name" {
    project=lab instance web
    instance web
    listen
    run -0 attach incus/lab/web --gpu 1
    says "incus start --project lab web"
    [ "$(raw web)" = none ]
    [[ $(raw web lab) == *nvlxc/hook* ]]
}

@test "LXC's own containers and Proxmox's are found beside those of a daemon" {
    local name
    host=$(fixture a5500-550)
    instance web
    listen
    run -1 nvlxc show web
    says "several containers have the name web: root/web, alice/web, incus/web"
    for name in 220 root/web box alice/web media incus/web; do
        run -0 nvlxc show "$name"
    done
}

@test "LXD is asked and answered by its own client's name" {
    instance web
    listen /var/lib/lxd
    run -0 attach lxd/web --gpu 0
    says "lxc start web"
    run -0 nvlxc show web
    says "web (LXD, stopped): raw.lxc of lxd/web"
}

@test "raw.lxc of a profile is in force, is copied by attach, and comes back by detach" {
    local after=
    profile app '{"raw.lxc": "lxc.cap.drop = sys_time"}' '{}'
    profiles='["default", "app"]' instance web
    cp "$state" "$BATS_TEST_TMPDIR/before"
    listen
    run -0 attach web --gpu 0
    says "raw.lxc of a profile is copied into the instance"
    [[ $(raw web) == "lxc.cap.drop = sys_time"* ]]
    run -0 nvlxc detach web
    same_instances "$state" "$BATS_TEST_TMPDIR/before"
    # the profile changed meanwhile: what the instance has stays
    nvlxc attach web --gpu 0 --libraries none
    change '.profiles.default[1].config["raw.lxc"] = "lxc.cap.drop = mknod"'
    run -0 nvlxc detach web
    after=$(raw web)
    [ "$after" = 'lxc.cap.drop = sys_time' ]
}

@test "a privileged container has a filter, and gets rules" {
    instance web security.privileged=true
    listen
    run -0 attach web --gpu 0
    [[ $(raw web) == *"lxc.cgroup2.devices.allow = /dev/nvidia1 rw"* ]]
    run -0 nvlxc show web
    says "filter"
}

@test "the daemon adds the rules of a privileged container's devices" {
    devices='{"g": {"type": "gpu"}, "f": {"type": "unix-char", "source": "/dev/nvidia-caps/nvidia-cap1", "path": "/dev/x"}}' \
        instance web security.privileged=true
    devices='{"g": {"type": "gpu"}}' instance plain
    listen
    nvlxc --json doctor web > "$BATS_TEST_TMPDIR/findings" || true
    jq -e 'all(.findings[]; .id != "classic-rule-missing")' "$BATS_TEST_TMPDIR/findings"
    nvlxc --json doctor plain > "$BATS_TEST_TMPDIR/findings" || true
    jq -e 'all(.findings[]; .id != "classic-rule-missing")' "$BATS_TEST_TMPDIR/findings"
    # without a rule it is one
    change '.instances[0].devices = {} | .instances[0].config["raw.lxc"] = "lxc.mount.entry = /dev/nvidia0 dev/nvidia0 none bind,optional,create=file"'
    nvlxc --json doctor web > "$BATS_TEST_TMPDIR/findings" || true
    jq -e 'any(.findings[]; .id == "classic-rule-missing")' "$BATS_TEST_TMPDIR/findings"
}

@test "a fix for what a device or a key brings is a command of the daemon's" {
    local root=$host/var/lib/incus/storage-pools/default/containers/web/rootfs
    mkdir -p "$host/var/lib/incus/containers/web" "$root/etc" "$root/usr/lib/stubs"
    ln -s "${root#"$host"}" "$host/var/lib/incus/containers/web/rootfs"
    devices='{"libs": {"type": "disk", "source": "/usr/lib/x86_64-linux-gnu", "path": "/usr/lib/x86_64-linux-gnu"}}' instance web
    listen
    nvlxc --json doctor web > "$BATS_TEST_TMPDIR/findings" || true
    jq -r '.findings[] | select(.id == "library-folder-mounted").fix[] | .command // .text' "$BATS_TEST_TMPDIR/findings" > "$BATS_TEST_TMPDIR/fix"
    diff "$BATS_TEST_TMPDIR/fix" - << 'FIX'
incus config device remove web libs
have nvlxc add only the driver:
nvlxc attach web --gpu GPU
FIX
    # a variable of the image's
    : > "$root/usr/lib/stubs/libcuda.so.1"
    change '.instances[0].config["environment.LD_LIBRARY_PATH"] = "/usr/lib/stubs" | .instances[0].devices = {g: {type: "gpu"}}'
    nvlxc --json doctor web > "$BATS_TEST_TMPDIR/findings" || true
    jq -r '.findings[] | select(.id == "cuda-stubs").fix[] | .command // .text' "$BATS_TEST_TMPDIR/findings" > "$BATS_TEST_TMPDIR/fix"
    diff "$BATS_TEST_TMPDIR/fix" - << 'FIX'
remove that folder from environment.LD_LIBRARY_PATH of incus/web, and restart the container
FIX
}

@test "gpu devices and nvidia.runtime are by hand, and attach names what takes them away" {
    profile ml '{}' '{"gpu0": {"type": "gpu"}}'
    profiles='["default", "ml"]' instance one
    devices='{"my gpu": {"type": "gpu", "gputype": "physical", "id": "all"}}' instance two nvidia.runtime=true
    project=lab profiles='["ml"]' instance three
    listen
    run -0 nvlxc list
    says "one" "two" "three" "by hand"
    run -1 attach one --gpu 0
    says "the device gpu0 of the profile ml" "incus config device add one gpu0 none"
    run -1 attach two --gpu 0
    says "nvidia.runtime of incus/two" "incus config unset two nvidia.runtime"
    run -1 attach three --gpu 0
    says "incus config device add --project lab three gpu0 none"
    run -0 nvlxc show one
    says "by hand, the device gpu0 of the profile ml"
    # as they say
    change '(.instances[] | select(.name == "one")).devices.gpu0 = {type: "none"}'
    run -0 attach one --gpu 0
}

@test "a device counts for the GPU that it means" {
    local words # GPU 1 is 0000:02:00.0, and its node /dev/nvidia0
    instance web
    listen
    for words in "{\"type\": \"gpu\", \"pci\": \"0000:02:00.0\"}" '{"type": "gpu", "id": "nvidia.com/gpu=1"}' \
        '{"type": "unix-char", "source": "/dev/nvidia0", "path": "/dev/nvidia0"}'; do
        change '.instances[0].devices = {g: $device}' --argjson device "$words"
        run -0 nvlxc --json list
        [ "$(jq -r '.containers[] | select(.container == "web") | .by_hand' <<<"$output")" = true ]
        run -1 attach web --gpu 0
        says "the device g of incus/web" "incus config device remove web g"
        instance other
        run -1 attach other --gpu 1 --exclusive
        says "already belongs to web"
        run -0 attach other --gpu 0 --exclusive
        change 'del(.instances[1])'
    done
    for words in '{"type": "gpu", "vendorid": "8086"}' '{"type": "gpu", "pci": "0000:00:02.0"}' '{"type": "disk", "source": "/srv", "path": "/srv"}' \
        '{"type": "unix-char", "path": "/dev/fuse"}' '{"type": "gpu", "gputype": "mig", "pci": "x"}' '{"type": 7}' '{}'; do
        change '.instances[0].devices = {g: $device}' --argjson device "$words"
        run -0 attach web --gpu 0
        nvlxc detach web
    done
}

@test "an image's variable is overridden; one that runs code in the hook's shell is refused" {
    instance web environment.NVIDIA_VISIBLE_DEVICES=all environment.LD_LIBRARY_PATH=/usr/local/nvidia/lib
    instance evil environment.LD_PRELOAD=/usr/lib/x86_64-linux-gnu/lxc/rootfs/evil.so
    instance lines $'environment.LD_PRELOAD=/usr/lib/x86_64-linux-gnu/lxc/rootfs/evil.so\nlxc.cap.drop = x'
    listen
    run -0 attach web --gpu 1
    run -0 nvlxc show web
    says "GPU 1"
    run -1 attach evil --gpu 0
    says "LD_PRELOAD" "incus config unset evil environment.LD_PRELOAD"
    [ "$(raw evil)" = none ]
    run -1 attach lines --gpu 0
    says "LD_PRELOAD"
    profile bad '{"environment.BASH_ENV": "/root/x"}' '{}'
    profiles='["bad"]' instance too
    run -1 attach too --gpu 0
    says "incus config set too environment.BASH_ENV ''"
    run nvlxc doctor evil
    says "hook-environment" || says "its environment can run its image's code on the host" "incus config unset evil environment.LD_PRELOAD"
}

@test "a change of other keys at the moment of writing is no obstacle, one without end is named" {
    instance web
    listen
    run -0 attach web --gpu 0
    nvlxc detach web
    behaves busy
    run -1 attach web --gpu 0
    says "nothing was written to raw.lxc of incus/web, which others change all the time"
    [ "$(raw web)" = none ]
}

@test "what changes beside nvlxc is not lost" {
    instance web
    listen
    # another program that reads, and writes if nothing changed meanwhile
    python3 - "$host/var/lib/incus/unix.socket" "$BATS_TEST_TMPDIR/n" 3>&- <<'PYTHON' &
import http.client, itertools, json, socket, sys
class Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(sys.argv[1])
for n in itertools.count():
    while True:
        c = Connection("x"); c.request("GET", "/1.0/instances/web"); r = c.getresponse(); r.read(); etag = r.headers["ETag"]
        c = Connection("x"); c.request("PATCH", "/1.0/instances/web", json.dumps({"config": {f"user.n{n}": "x"}}), {"If-Match": etag})
        if c.getresponse().status == 200:
            break
    open(sys.argv[2], "w").write(str(n + 1))
PYTHON
    local beside=$! done
    for _ in $(seq 15); do
        run -0 attach web --gpu 0
        [[ $(raw web) == *nvlxc/hook* ]]
        run -0 nvlxc detach web
        [ "$(raw web)" = none ]
    done
    kill $beside
    wait $beside || true
    done=$(cat "$BATS_TEST_TMPDIR/n")
    [ "$done" -gt 20 ]
    [ "$(jq '[.instances[0].config | keys[] | select(startswith("user.n"))] | length' "$state")" -ge "$done" ]
}

@test "whatever the daemon answers, the other containers are listed and the reason is said" {
    local how
    instance web
    listen
    for how in garbage halves fails sets-up deaf hangs huge; do
        behaves $how
        run -0 --separate-stderr nvlxc list
        [[ $stderr == *Incus* ]] || { echo "$how: $stderr"; false; }
        run -1 attach web --gpu 0
        says "no container web" "Incus"
    done
    behaves forbids
    run -0 --separate-stderr nvlxc list
    [ -z "$stderr" ]
    behaves sets-up
    run -1 attach incus/web --gpu 0
    says "it is still starting: run the command again in a moment"
    # each daemon has its own unit
    behaves hangs
    run -0 nvlxc list
    says "journalctl -u incus"
}

@test "a daemon that is not running is told from one that is not there" {
    local folder=$host/var/lib/incus
    run -0 --separate-stderr nvlxc list
    [ -z "$stderr" ]
    mkdir -p "$folder"
    run -0 --separate-stderr nvlxc list # installed, never used
    [ -z "$stderr" ]
    mkdir "$folder/database"
    run -0 nvlxc list
    says "Incus is not running (its socket is absent), so its containers are not known" "systemctl start incus"
    python3 -c 'import socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1])' "$folder/unix.socket"
    run -0 nvlxc list
    says "Incus is not running (nobody listens on its socket)"
    run -1 attach incus/web --gpu 0
    says "it may be one of those that nvlxc could not see" "systemctl start incus"
    rm "$folder/unix.socket"
    : > "$folder/unix.socket"
    run -0 nvlxc list
    says "Incus is not running"
}

@test "--exclusive is refused while a daemon does not answer" {
    mkdir -p "$host/var/lib/incus/database" "$host/var/lib/lxc/plain"
    echo 'lxc.rootfs.path = dir:/x' > "$host/var/lib/lxc/plain/config"
    run -1 attach plain --gpu 0 --exclusive
    says "Incus is not running"
    run -0 attach plain --gpu 0
}

@test "an instance that starts or stops is waited for, but not without end" {
    instance web
    listen
    behaves starting
    (sleep 1; behaves '') 3>&- &
    run -0 attach web --gpu 0
    nvlxc detach web
    behaves starting
    run -1 attach web --gpu 0
    says "nothing was written" "Instance is busy running a \"start\" operation"
    [ "$(raw web)" = none ]
}

@test "the daemon's own refusal is said as it is, and nothing is lost" {
    instance web 'raw.lxc=lxc.log.file = /x'
    listen
    cp "$state" "$BATS_TEST_TMPDIR/before"
    run -3 attach web --gpu 0
    says "Incus says: Invalid config: Setting lxc.logfile is not allowed"
    same_instances "$state" "$BATS_TEST_TMPDIR/before"
}

@test "containers on other members of a cluster belong to those" {
    instance web
    instance far
    change '(.instances[] | select(.name == "far")).location = "there" | (.instances[] | select(.name == "web")).location = "here"'
    listen
    run -0 attach web --gpu 0
    run -1 attach far --gpu 0
    says "container incus/far is on the node there, not on this one"
    [ "$(raw far)" = none ]
}

@test "containers of LXD's snap are seen, and not written" {
    instance web
    listen /var/snap/lxd/common/lxd
    [[ $(names) == *web* ]]
    run -3 attach web --gpu 0
    says "LXD's snap" "nothing was written"
    run -3 attach web --gpu 0 --dry-run
    says "LXD's snap"
    [ "$(raw web)" = none ]
    behaves deaf
    run -0 nvlxc list
    says "journalctl -u snap.lxd.daemon"
}

@test "names and values are the daemon's word, and no more" {
    devices='{"g\n../\u001b[31m": {"type": "gpu"}, "x": {"type": "disk", "source": "/etc\nlxc.hook.mount = /x", "path": "/y"}}' instance web \
        $'environment.A=1\nlxc.hook.pre-start = /evil' $'raw.lxc=lxc.cap.drop = sys_time\r\n'
    change '.instances += [{name: "../../etc", project: "default", type: "container"}, {name: "a b", type: "container"}, {name: 7, type: "container"},
        {type: "container", name: "w\u001b", config: 3, expanded_config: [], profiles: "x"}, 7, null, {name: "x", project: "a/../b", type: "container"}]'
    listen
    [[ $(names) == *web* && $(names) != *etc* && $(names) != *$'\e'* && $(names) != *"a b"* ]]
    run -0 nvlxc show web
    [[ $output != *evil* && $output != *$'\e'* ]]
    run -0 attach web --gpu 0
    [[ $(raw web) != *evil* ]]
}
