#!/usr/bin/env bats
# nvlxc host, on every fixture host: what is well, what is wrong, what mends it, and the exit status.

bats_require_minimum_version 1.5.0

setup() {
    load "$NVL_SOURCE/tests/lib/hosts.bash"
load "$NVL_SOURCE/tests/lib/json.bash"
    NVLXC="$NVL_BUILD/src/cli/nvlxc"
}

# check NAME STATUS: what host says of that fixture host is what is expected, in both forms.
check() {
    local host
    host=$(fixture "$1")
    run --separate-stderr "$NVLXC" --root "$host" host --json
    [ "$status" = "$2" ]
    is_as_read "$1.host.json" <<<"$output"
    [ -z "$stderr" ]
    run --separate-stderr "$NVLXC" --root "$host" host
    [ "$status" = "$2" ]
    is_as_read "$1.host.txt" <<<"$output"
    [ -z "$stderr" ]
}

# problems HOST: the ids of what is wrong there, as a JSON list.
problems() {
    run --separate-stderr "$NVLXC" --root "$1" host --json
    jq -c '[.findings[].id]' <<<"$output"
}

@test "host: all is well on a laptop's A5500" {
    check a5500-550 0
}

@test "host: a reboot that moved the majors changes nothing" {
    check a5500-550-rebooted 0
}

@test "host: two GPUs with 535" {
    check two-gpus-535 0
}

@test "host: MIG" {
    check h100-mig 0
}

@test "host: open modules" {
    check a5500-580-open 0
}

@test "host: nouveau holds the GPU" {
    check nouveau 3
}

@test "host: vfio-pci holds the GPU" {
    check vfio 3
}

@test "host: no driver" {
    check no-driver 3
}

@test "host: no GPU" {
    check no-gpu 3
}

@test "host: an upgrade that waits for its reboot is a note while the loaded version's bundle is there" {
    check upgraded 0
}

@test "host: the same without that bundle is a problem" {
    local host
    host=$(fixture upgraded)
    rm -r "$host/var/lib/nvlxc"
    [ "$(problems "$host")" = '["libraries-mismatch"]' ]
    run -1 "$NVLXC" --root "$host" host
    says "an upgrade waits for its reboot, and containers get no driver until then"
}

@test "host: a bundle without a manifest is a problem" {
    local host
    host=$(fixture upgraded)
    echo '{' >"$host/var/lib/nvlxc/driver/550.163.01/manifest.json"
    [ "$(problems "$host")" = '["libraries-mismatch"]' ]
    run -1 "$NVLXC" --root "$host" doctor
    [[ "$output" == *"a bundle whose manifest cannot be read"* ]]
}

@test "host: nodes with the major of before the reboot" {
    check stale-uvm 1
}

@test "host: nvidia_uvm is not loaded" {
    check uvm-missing 1
}

@test "host: a plain file in a node's place, and a node that is closed to users" {
    check bad-nodes 1
}

@test "host: missing nodes, and the commands that make them" {
    local host
    host=$(fixture a5500-550)
    rm "$host/dev/nvidia0" "$host/dev/nvidia-uvm" "$host/dev/nvidia-uvm-tools" "$host/dev/nvidiactl"
    run -1 "$NVLXC" --root "$host" host --json
    [ "$(jq -r '.findings[].title' <<<"$output")" = "a device node is missing: /dev/nvidia0
a device node is missing: /dev/nvidiactl
device nodes are missing: /dev/nvidia-uvm, /dev/nvidia-uvm-tools" ]
    [ "$(jq -r '.findings[].fix | '"$JQ_WORDS" <<<"$output")" = "nvidia-modprobe -c 0
mknod -m 0666 /dev/nvidiactl c 195 255
nvidia-modprobe -c 0 -u" ]
}

@test "host: the fix for missing nodes is right: after it nothing is missing" {
    local host fix
    host=$(fixture a5500-550)
    rm "$host/usr/bin/nvidia-modprobe" "$host"/dev/nvidia[0-9]* "$host"/dev/nvidiactl "$host"/dev/nvidia-[mu]*
    rm -r "$host/dev/nvidia-caps"
    run -1 "$NVLXC" --root "$host" host --json
    fix=$(jq -r '.findings[].fix | '"$JQ_WORDS" <<<"$output")
    sh -ec "${fix//\/dev\//$host/dev/}"
    [ "$(problems "$host")" = '[]' ]
}

@test "host: the params of the driver say which mode is right" {
    local host
    host=$(fixture a5500-550)
    sed -i 's/^DeviceFileMode: .*/DeviceFileMode: 432/' "$host/proc/driver/nvidia/params"
    chmod 0660 "$host"/dev/nvidia0
    [ "$(problems "$host")" = '[]' ]
}

@test "host: a MIG device's capability node is missing" {
    local host
    host=$(fixture h100-mig)
    rm "$host/dev/nvidia-caps/nvidia-cap22"
    run -1 "$NVLXC" --root "$host" host --json
    [ "$(jq -r '.findings[0].title' <<<"$output")" = "a device node is missing: /dev/nvidia-caps/nvidia-cap22" ]
    [[ "$(jq -r '.findings[0].fix | '"$JQ_WORDS" <<<"$output")" == *"mknod -m 0444 /dev/nvidia-caps/nvidia-cap22 c 509 22" ]]
}

@test "host: a GPU for a virtual machine beside one that works is a note" {
    local host
    host=$(fixture two-gpus-535)
    rm -r "$host/proc/driver/nvidia/gpus/0000:02:00.0"
    ln -sfn ../../../../bus/pci/drivers/vfio-pci \
        "$host/sys/devices/pci0000:00/0000:00:01.1/0000:02:00.0/driver"
    run -0 "$NVLXC" --root "$host" host
    [[ "$output" == *"note       GPU 0000:02:00.0 (10de:2684) is held by vfio-pci"* ]]
}

@test "host: nova_core holds a GPU" {
    local host
    host=$(fixture nouveau)
    ln -sfn ../../../../bus/pci/drivers/NovaCore "$host/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/driver"
    run -3 "$NVLXC" --root "$host" host --json
    [ "$(jq -r '.findings[0].id' <<<"$output")" = gpu-nova ]
    [[ "$(jq -r '.findings[0].fix | '"$JQ_WORDS" <<<"$output")" == *"blacklist nova_core\\nblacklist nova_drm"* ]]
}

@test "host: the driver is loaded and does not take the GPU" {
    local host
    host=$(fixture two-gpus-535)
    rm -r "$host/proc/driver/nvidia/gpus/0000:02:00.0"
    rm "$host/sys/devices/pci0000:00/0000:00:01.1/0000:02:00.0/driver"
    [ "$(problems "$host")" = '["gpu-refused"]' ]
    run -1 "$NVLXC" --root "$host" host
}

@test "host: installed and not loaded" {
    local host
    host=$(fixture a5500-550)
    rm -r "$host/proc/driver" "$host/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/driver"
    : >"$host/proc/modules"
    [ "$(problems "$host")" = '["driver-not-loaded"]' ]
    run -3 "$NVLXC" --root "$host" host
    says "the kernel module is not loaded, though the driver 550.163.01 is installed"
}

@test "host: a version that is not understood" {
    local host
    host=$(fixture a5500-550)
    echo 'NVRM version: something else' >"$host/proc/driver/nvidia/version"
    [ "$(problems "$host")" = '["driver-version"]' ]
}

@test "host: the module is loaded and no library is installed" {
    local host
    host=$(fixture a5500-550)
    rm -r "$host/usr/lib/x86_64-linux-gnu"
    [ "$(problems "$host")" = '["libraries-absent"]' ]
}

@test "host: an older version is installed than the loaded one" {
    local host
    host=$(fixture a5500-550)
    sed -i 's/550\.163\.01/580.95.05/' "$host/proc/driver/nvidia/version"
    run -1 "$NVLXC" --root "$host" host
    [[ "$output" == *"580.95.05 is loaded, 550.163.01 installed: they do not match"* ]]
}

@test "host: the contract's keys are always there" {
    for name in a5500-550 no-gpu nouveau; do
        run --separate-stderr "$NVLXC" --root "$(fixture "$name")" host --json
        [ "$(jq -c keys_unsorted <<<"$output")" = '["format","driver","gpus","modules","nodes","bundle","findings"]' ]
        [ "$(jq -c '.driver | keys_unsorted' <<<"$output")" = '["loaded","version","flavour","installed_versions","from"]' ]
    done
}

# gpu HOST PCI ID: the GPU there is this one, and nothing drives it.
gpu() {
    local folder
    folder=$(realpath "$1/sys/bus/pci/devices/$2")
    rm -f "$folder/driver"
    echo "$3" >"$folder/device"
}

# second_gpu HOST ID: a copy of the first GPU, with that PCI id.
second_gpu() {
    local bridge="$1/sys/devices/pci0000:00/0000:00:01.1"
    mkdir -p "$bridge"
    cp -a "$1/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0" "$bridge/0000:02:00.0"
    ln -s ../../../devices/pci0000:00/0000:00:01.1/0000:02:00.0 "$1/sys/bus/pci/devices/0000:02:00.0"
    gpu "$1" 0000:02:00.0 "$2"
}

kernel() {
    echo "$2" >"$1/proc/sys/kernel/osrelease"
}

# ways HOST FILTER: what jq makes of the list of drivers, each as one line.
ways() {
    "$NVLXC" --root "$1" host --drivers --json | jq -r "$2"
}

@test "drivers: each source and branch once, the installed one in its place, within 80 columns" {
    local host
    host=$(fixture a5500-550)
    run -0 --separate-stderr "$NVLXC" --root "$host" host --drivers
    printf '%s\n' "$output" | is_as_read a5500-550.drivers.txt
    [ -z "$stderr" ]
    [ "$(wc -L <<<"$output")" -le 80 ]
    run -0 "$NVLXC" --root "$host" --quiet host --drivers
    [ -z "$output" ]
    [ "$(ways "$host" '.drivers[0] | keys_unsorted | join(" ")')" = \
        "source kind branch version or_newer flavour fits why_not kernel installed recommended" ]
    [ "$(ways "$host" '[.drivers[] | select(.installed)] | length')" = 1 ]
    [ "$(ways "$host" '[.drivers[] | [.source, .branch]] | (unique | length) == length')" = true ]
}

@test "drivers: a kernel that no package fits: NVIDIA's, no version that is not newer, and no branch past a GPU's last" {
    local host
    host=$(fixture no-driver)
    kernel "$host" 7.0.4+deb13-amd64
    gpu "$host" 0000:01:00.0 0x1b81
    run -0 "$NVLXC" --root "$host" host --drivers
    [[ ${lines[1]} =~ ^"NVIDIA .run, apt "\ *"580.142 or newer of 580 "\ *"proprietary yes"$ ]]
    says " dropped Pascal" " builds up to kernel 6.17" \
        "recommended: NVIDIA .run, 580.142 or newer of 580"
    [ "$(ways "$host" '[.drivers[] | select(.fits and (.branch | tonumber) > 580)] | length')" = 0 ]
}

@test "drivers: an installed one that does not fit is told, and only newer ones of NVIDIA's are named" {
    local host
    host=$(fixture a5500-580-open)
    rm -r "$host/proc/driver"
    : >"$host/proc/modules"
    gpu "$host" 0000:01:00.0 0x2438
    kernel "$host" 6.17.4-2-pve
    mkdir -p "$host/var/lib/dkms/nvidia/580.95.05" "$host/usr/bin"
    touch "$host/usr/bin/nvidia-uninstall"
    [ "$(ways "$host" '.drivers[0] | [.kind, .version, .or_newer, .recommended] | @csv')" = \
        '"run","580.105.08",true,true' ]
    [ "$(ways "$host" '.drivers[] | select(.installed) | [.kind, .version, .flavour, .fits, .why_not] | @csv')" = \
        '"run","580.95.05",,false,"builds up to kernel 6.16"' ]
    [ "$(ways "$host" '[.drivers[] | select(.kind == "run" and .branch < "580")] | length')" = 0 ]
}

@test "drivers: on Proxmox the kernel that it would pin" {
    local host
    host=$(fixture a5500-550)
    rm -r "$host/proc/driver" "$host/usr/lib/x86_64-linux-gnu" "$host/var/lib/dkms" "$host/lib/modules" "$host/var/lib/dpkg"
    : >"$host/proc/modules"
    gpu "$host" 0000:01:00.0 0x2438
    kernel "$host" 7.0.2-6-pve
    [ "$(ways "$host" '.drivers[0] | [.source, .version, .fits, .kernel, .recommended] | @csv')" = \
        '"trixie-backports","550.163.01-4~bpo13+1",true,"6.17",true' ]
    run -0 "$NVLXC" --root "$host" host --drivers
    says "yes, on kernel 6.17" "recommended: trixie-backports, 550.163.01-4~bpo13+1"
}

@test "drivers: two GPUs that no driver joins, and one that nvlxc does not know" {
    local host
    host=$(fixture no-driver)
    gpu "$host" 0000:01:00.0 0x1b81
    second_gpu "$host" 0x2b85
    [ "$(ways "$host" '[.drivers[] | select(.fits or .recommended)] | length')" = 0 ]
    says_conflict='no driver supports both GPU 0000:01:00.0 (10de:1b81, Pascal) and GPU 0000:02:00.0 (10de:2b85, Blackwell)'
    [[ $(ways "$host" .note) == "$says_conflict: driver 580 or older (proprietary modules) leaves out GPU"* ]]
    # and the same from everyone
    run -0 "$NVLXC" --root "$host" gpus
    says "note: $says_conflict: driver 580 or older (proprietary modules) leaves out GPU"
    run -3 "$NVLXC" --root "$host" host setup --dry-run
    says "nvlxc: $says_conflict" "hint: driver 580 or older (proprietary modules) leaves out GPU"
    run -1 "$NVLXC" --root "$host" doctor
    says "driver 580 or older (proprietary modules) leaves out GPU 0000:02:00.0 (Blackwell)"
    host=$(fixture no-driver)
    gpu "$host" 0000:01:00.0 0x3002
    [ "$(ways "$host" '[.drivers[] | select(.fits or .recommended)] | length')" = 0 ]
    run -0 "$NVLXC" --root "$host" host --drivers
    says "unknown for GPU 10de:3002" "download the driver that NVIDIA names for this GPU"
}

@test "drivers: another distribution, a GPU for virtual machines, no GPU, a real-time kernel" {
    local host
    host=$(fixture no-driver)
    printf 'ID=fedora\nVERSION_ID=43\n' >"$host/etc/os-release"
    kernel "$host" 6.17.4-200.fc43.x86_64
    run -0 "$NVLXC" --root "$host" host --drivers
    [[ ${lines[1]} == "fedora's packages -  "*" unknown to nvlxc" ]]
    says "NVIDIA .run       580.105.08 or newer of 580" "recommended: fedora's packages"
    [[ $output != *trixie* && $output != *archive* ]]
    printf 'ID=nixos\n' >"$host/etc/os-release"
    rm "$host/proc/sys/kernel/osrelease"
    [ "$(ways "$host" '[.kernel, (.drivers[] | .source)] | @csv')" = ",\"nixos's packages\"" ]

    [ "$(ways "$(fixture vfio)" '[.note, ([.drivers[] | select(.recommended)] | length)] | @csv')" = \
        "\"vfio-pci has this host's GPUs, for virtual machines: only the kernel was looked at\",0" ]
    [ "$(ways "$(fixture no-gpu)" .note)" = "this host has no NVIDIA GPU: only the kernel was looked at" ]
    host=$(fixture no-driver)
    kernel "$host" 6.12.107+deb13-rt-amd64
    [ "$(ways "$host" '[.drivers[].why_not] | unique | join(", ")')" = "fails on a real-time kernel" ]
}

# local_table HOST TEXT: the rows that the host's administrator adds.
local_table() {
    mkdir -p "$1/etc/nvlxc"
    printf '%s\n' "$2" >"$1/etc/nvlxc/kernels.json"
}

@test "table: rows of /etc/nvlxc add drivers and GPUs, and replace those about the same driver" {
    local host blackwell='"ids": ["3002-3002"], "first": "610", "last": null, "flavours": ["open"]'
    host=$(fixture no-driver)
    gpu "$host" 0000:01:00.0 0x3002
    local_table "$host" '{"format": 1, "generations": [{"name": "Rubin", '"$blackwell"'}],
        "kernels": [{"branch": "620", "from": "620.10.01", "max": "7.9", "basis": "built", "source": "me"},
                    {"branch": "610", "from": "610.57.04", "max": "6.12", "fails": ["6.12"], "basis": "built", "source": "me"}]}'
    [ "$(ways "$host" '[.drivers[] | select(.kind == "run" and .fits) | .version] | @csv')" = '"610.43.03","620.10.01"' ]
    [ "$(ways "$host" '.drivers[] | select(.kind == "run" and .branch == "595") | .why_not')" = "does not know Rubin" ]
    # and everyone else goes by them
    run "$NVLXC" --root "$host" doctor
    says "610.43.03"
    run "$NVLXC" --root "$host" host setup --dry-run
    says "Rubin" "610.43.03"
}

@test "table: a newer release's table takes the place of the program's own, an older one does not" {
    local host table
    host=$(fixture no-driver)
    mkdir -p "$host/usr/share/nvlxc"
    table='{"format": 1, "kernels": [{"branch": "777", "from": "777.1", "max": "9.9", "basis": "built", "source": "x"}],
        "generations": [{"name": "Ampere", "ids": ["2400-25ff"], "first": "450", "flavours": ["open"]}], "date": '
    echo "$table \"2099-01-01\"}" >"$host/usr/share/nvlxc/kernels.json"
    [ "$(ways "$host" '[.drivers[].version] | unique | @csv')" = '"777.1"' ]
    echo "$table \"2020-01-01\"}" >"$host/usr/share/nvlxc/kernels.json"
    [ "$(ways "$host" '[.drivers[] | select(.version == "777.1")] | length')" = 0 ]
}

@test "table: a mistake names file, row and key, for each command that needs the table; others go on" {
    local host text what command
    host=$(fixture no-driver)
    while IFS='|' read -r text what; do
        local_table "$host" "$text"
        run -1 --separate-stderr "$NVLXC" --root "$host" host --drivers
        [ -z "$output" ]
        [[ $stderr == *"/etc/nvlxc/kernels.json: $what"* || $stderr == *"/etc/nvlxc/kernels.json$what"* ]] ||
            { echo "$text: $stderr"; false; }
        [[ $stderr == *"nvlxc then goes by its own table"* ]]
    done <<'EOF'
{"format": 1, "kernels": [|:2: 
[]|must be an object with "format": 1
{"format": 2}|its format is 2, but this nvlxc reads format 1
{"format": 1, "kernels": {}}|'kernels' and 'generations' must be lists
{"format": 1, "kernels": [{"branch": "580", "basis": "built", "source": "x"}, {"branch": 580}]}|kernels, row 2: 'branch' must be a branch, such as "580"
{"format": 1, "kernels": [{"branch": "580", "max": "7", "basis": "built", "source": "x"}]}|kernels, row 1: 'max' must be two numbers, such as "6.17"
{"format": 1, "kernels": [{"branch": "580", "flavor": "open", "basis": "built", "source": "x"}]}|kernels, row 1: 'flavor' is no key of such a row
{"format": 1, "kernels": [{"branch": "580", "fail": ["6.17"], "basis": "built", "source": "x"}]}|kernels, row 1: 'fail' is no key of such a row
{"format": 1, "kernels": [{"branch": "580", "basis": "heard", "source": "x"}]}|kernels, row 1: 'basis' must be "built"
{"format": 1, "kernels": [{"branch": "580", "basis": "built"}]}|kernels, row 1: 'source' is missing
{"format": 1, "kernels": [{"branch": "580", "fails": ["x"], "basis": "built", "source": "x"}]}|kernels, row 1: 'fails' must be two numbers
{"format": 1, "kernels": [{"branch": "535", "series": "a; reboot", "package": "1", "suite": "trixie", "basis": "built", "source": "x"}]}|kernels, row 1: 'series' must be a name
{"format": 1, "kernels": [{"branch": "535", "suite": "trixie", "basis": "built", "source": "x"}]}|kernels, row 1: 'package' is missing
{"format": 1, "generations": [{"name": "A", "ids": ["30ff-3000"], "flavours": ["open"]}]}|generations, row 1: 'ids' must be ranges of PCI device ids
{"format": 1, "generations": [{"name": "A", "ids": ["3000-30ff"]}]}|generations, row 1: 'flavours' is missing
{"format": 1, "date": "soon"}|'date' must be a date
EOF
    for command in host doctor "host setup --dry-run"; do
        # shellcheck disable=SC2086 # words
        run -1 "$NVLXC" --root "$host" $command
        says "/etc/nvlxc/kernels.json: 'date' must be a date"
    done
    run -0 "$NVLXC" --root "$host" gpus
    rm "$host/etc/nvlxc/kernels.json"
    mkdir "$host/etc/nvlxc/kernels.json"
    run -1 "$NVLXC" --root "$host" host --drivers
    says "/etc/nvlxc/kernels.json is not a regular file"
}

@test "host: --quiet says it by the exit status alone" {
    run -0 "$NVLXC" --root "$(fixture a5500-550)" --quiet host
    [ -z "$output" ]
    run -1 "$NVLXC" --root "$(fixture stale-uvm)" --quiet host
    [ -z "$output" ]
}
