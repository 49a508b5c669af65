# nvlxc ps: which programs use the GPUs, by an NVML of the test's own that has processes; their containers by the fixture's
# /proc, whose cgroups are in the forms of Proxmox, of LXC, and of a user's LXC.

bats_require_minimum_version 1.5.0
load "$NVL_SOURCE/tests/lib/hosts.bash"
load "$NVL_SOURCE/tests/lib/json.bash"
load "$NVL_SOURCE/tests/lib/nvml.bash"

NVLXC="$NVL_BUILD/src/cli/nvlxc"

setup() {
    host=$(fixture a5500-550)
    uuid=$(sed -n 's/GPU UUID:[[:space:]]*//p' "$host"/proc/driver/nvidia/gpus/*/information)
    program 100 /lxc/220/ns/system.slice/ollama.service ollama
    program 101 /lxc.payload.box/init.scope python3
    program 102 /user.slice/user-1000.slice/user@1000.service/lxc.payload.web ffmpeg
    program 103 /system.slice/ssh.service $'ev\e[31mil'
    program 104 /lxc.payload.web-1/lxc.payload.box vllm
    program 77 /lxc.monitor/220 Xorg
}

ALL='{100, 6000ull << 20, -1, -1}, {101, -1, -1, -1}, {102, 1ull << 20, -1, -1}, {103, 2ull << 20, -1, -1},
    {104, 3ull << 20, -1, -1}, {999, 4ull << 20, -1, -1},'

@test "ps: each program with its container, GPU and memory" {
    nvml "$uuid" "$ALL" "${V3[@]}"
    run -0 on_machine "$host" "$NVLXC" ps
    [ "$output" = "CONTAINER GPU PID KIND     USE MEMORY   PROGRAM
220       0   100 compute  -   6000 MiB ollama
box       0   101 compute  -   -        python3
alice/web 0   102 compute  -   1 MiB    ffmpeg
-         0   103 compute  -   2 MiB    ev?[31mil
root/web  0   104 compute  -   3 MiB    vllm
-         0   999 compute  -   4 MiB    -
-         0   77  graphics -   5 MiB    Xorg" ]
}

@test "ps CT: that container's alone; none is said" {
    nvml "$uuid" "$ALL" "${V3[@]}"
    run -0 on_machine "$host" "$NVLXC" ps root/web
    [ "${#lines[@]}" = 2 ]
    [[ ${lines[1]} == "root/web "*vllm ]]
    run -0 on_machine "$host" "$NVLXC" ps media
    [ "$output" = "nothing in that container uses a GPU now" ]
    run -1 on_machine "$host" "$NVLXC" ps nobody
    [[ $output == *"no container nobody"* ]]
}

@test "ps --json has all keys; what is not known is null" {
    nvml "$uuid" "{100, -1, 2, 1}, {999, 8, -1, -1}," "${V3[@]}"
    run -0 on_machine "$host" "$NVLXC" --json ps
    is_json ps <<< "$output"
    [ "$(jq -c '.processes[0] | .gpu |= {index, uuid}' <<< "$output")" = \
        "{\"container\":\"220\",\"gpu\":{\"index\":0,\"uuid\":\"$uuid\"},\"mig_device\":{\"uuid\":null,\"gi\":2,\"ci\":1},\"pid\":100,\"kind\":\"compute\",\"gpu_percent\":null,\"memory_bytes\":null,\"program\":\"ollama\"}" ]
    [ "$(jq -c '.processes[1] | [.container, .mig_device, .memory_bytes, .program]' <<< "$output")" = '[null,null,8,null]' ]
    run -0 on_machine "$host" "$NVLXC" ps
    [[ $output == *"0 MIG 2/1"* ]]
}

@test "ps: more programs than there was room for at first" {
    local many='' i
    for i in $(seq 40); do many+="{$((2000 + i)), 1, -1, -1}, "; done
    nvml "$uuid" "$many" "${V3[@]}"
    [ "$(on_machine "$host" "$NVLXC" --json ps | jq '.processes | length')" = 41 ]
}

@test "ps: an older NVML, and one that is too old" {
    nvml "$uuid" "$ALL" "${V3[@]//_v3/_v2}"
    run -0 on_machine "$host" "$NVLXC" ps 220
    [[ $output == *ollama* ]]
    nvml "$uuid" "$ALL" "${V3[0]//_v3/_v1}"
    run -3 on_machine "$host" "$NVLXC" ps
    [[ $output == *"libnvidia-ml.so.1: NVML is too old"* ]]
}

@test "ps: no NVML, one that does not start, no driver" {
    nvml "$uuid" "" "${V3[@]}"
    NVML_INIT=18 run -3 on_machine "$host" "$NVLXC" ps
    [[ $output == *"NVML does not start: Driver/library version mismatch"* ]]
    rm -r "$host/var/lib/nvlxc" "$host/usr/lib/x86_64-linux-gnu"
    run -3 on_machine "$host" "$NVLXC" ps
    [[ $output == *"libnvidia-ml.so.550.163.01 is not installed"* ]]
    run -3 on_machine "$(fixture no-driver)" "$NVLXC" ps
    [[ $output == *"kernel module is not loaded"* ]]
}

@test "ps --open: who has a node open, of the host and of containers, without NVML" {
    # /dev/full, as if it were the driver's: a descriptor of a program refers to it
    sed -i 's/^195 .*/  1 nvidia/; /nvidia-modeset/d' "$host/proc/devices"
    sed -i 's/^Device Minor:.*/Device Minor: \t 7/' "$host"/proc/driver/nvidia/gpus/*/information
    mkdir -p "$host/proc"/{100,103,104}/fd
    mknod -m 666 "$host/dev/nvidia7" c 1 7
    ln -s /dev/nvidia7 "$host/proc/100/fd/3"
    ln -s /dev/nvidia7 "$host/proc/100/fd/4"
    ln -s /dev/nvidia7 "$host/proc/103/fd/17"
    ln -s /dev/null "$host/proc/104/fd/3"
    run -0 on_machine "$host" "$NVLXC" ps --open
    [ "$output" = "CONTAINER PID PROGRAM   OPEN
220       100 ollama    /dev/nvidia7
-         103 ev?[31mil /dev/nvidia7" ]
    run -0 on_machine "$host" "$NVLXC" ps --open 220
    [ "${#lines[@]}" = 2 ]
    run -0 on_machine "$host" "$NVLXC" ps --open media
    [ "$output" = "no program in that container has a device node of NVIDIA's driver open now" ]
    run -0 on_machine "$host" "$NVLXC" --json ps --open
    is_json ps-open <<< "$output"
    [ "$(jq -c '.programs[1]' <<< "$output")" = '{"container":null,"pid":103,"program":"ev?[31mil","open_nodes":["/dev/nvidia7"]}' ]
    rm "$host/proc/driver/nvidia/version"
    run -0 on_machine "$host" "$NVLXC" ps --open
    [[ $output == *"kernel module is not loaded"* ]]
    run -2 "$NVLXC" --root "$host" ps --open
    [[ $output == *"does not take --root"* ]]
}
