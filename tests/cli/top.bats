# nvlxc top: what the driver says of each GPU, and the programs of `ps`; once, and at a terminal, where it draws again and
# again and gives the terminal back, however it ends.

bats_require_minimum_version 1.5.0
load "$NVL_SOURCE/tests/lib/hosts.bash"
load "$NVL_SOURCE/tests/lib/json.bash"
load "$NVL_SOURCE/tests/lib/nvml.bash"

NVLXC="$NVL_BUILD/src/cli/nvlxc"
PROGRAMS='{100, 6000ull << 20, -1, -1}, {101, -1, -1, -1}, {90, 1ull << 20, -1, -1},'

setup() {
    host=$(fixture a5500-550)
    uuid=$(sed -n 's/GPU UUID:[[:space:]]*//p' "$host"/proc/driver/nvidia/gpus/*/information)
    program 100 /lxc/220/ns/system.slice/ollama.service ollama
    program 101 /lxc.payload.box/init.scope python3
    program 90 /system.slice/ssh.service $'ev\e[31mil'
    program 77 /lxc.monitor/220 Xorg
}

# top [ARGUMENT…]: on the host, once
top() {
    on_machine "$host" "$NVLXC" top "$@"
}

# at_terminal COLUMNS STEP…: `nvlxc top --interval 1` on the host
at_terminal() {
    "$NVL_SOURCE/tests/lib/at-terminal" "$@" -- "$BASH" -c "$(declare -f on_machine)
        on_machine '$host' '$NVLXC' top --interval 1"
}

# frames TEXT: its lines as a screen shows them, without styles
frames() {
    sed 's/\x1b\[H/\n/g; s/\x1b\[[0-9;?]*[a-zA-Z]//g' <<< "$1"
}

# fits TEXT COLUMNS
fits() {
    local long
    long=$(frames "$1" | LC_ALL=C.UTF-8 awk -v most="$2" 'length($0) > most')
    [ -z "$long" ] || { echo "longer than $2 columns: $long"; return 1; }
}

@test "top: each GPU, and below them the programs, the largest first" {
    nvml "$uuid" "$PROGRAMS" "${V3[@]}" -DREADINGS
    run -0 top --once
    [ "$output" = "GPU MODEL                MEMORY         USE  ENC   DEC POWER   TEMP
0   RTX A5500 Laptop GPU 6000/16384 MiB 37 % 100 % 0 % 25/80 W 45 C

CONTAINER GPU PID KIND     USE  MEMORY   PROGRAM
220       0   100 compute  42 % 6000 MiB ollama
-         0   77  graphics 0 %  5 MiB    Xorg
-         0   90  compute  0 %  1 MiB    ev?[31mil
box       0   101 compute  0 %  -        python3" ]
    # no terminal: the same
    [ "$(top)" = "$output" ]
    run -0 top --quiet
    [ -z "$output" ]
    run -2 top --interval 0
    [[ $output == *"--interval takes 1 to 3600 seconds, not '0'"* ]]
    run -2 top --interval 3601
}

@test "top: what is not known is a dash: a sensor that the GPU lacks, nonsense, an older library; no program is said" {
    nvml "$uuid" "$PROGRAMS" "${V3[@]}" -DREADINGS -DBARE
    run -0 top
    [ "${lines[1]}" = "0   RTX A5500 Laptop GPU 6000/16384 MiB 37 % 100 % -   25 W  45 C" ]
    nvml "$uuid" "$PROGRAMS" "${V3[@]}" -DREADINGS -DUNIFIED
    run -0 top
    [ "$(tr -s ' ' <<< "${lines[1]}")" = "0 RTX A5500 Laptop GPU - 37 % 100 % 0 % 25/80 W 45 C" ]
    nvml "$uuid" "$PROGRAMS" "${V3[@]}" -DREADINGS -DWILD
    run -0 top
    [ "${lines[1]}" = "0   RTX A5500 Laptop GPU -      -   -   -   -     -" ]
    nvml "$uuid" "" "${V3[0]}" -DGRAPHICS=nvmlDeviceGetGraphicsRunningProcesses_v3
    sed -i 's/    \*n = 1;/    *n = 0;/' "$BATS_TEST_TMPDIR/ml.c"
    cc -shared -fPIC "${V3[@]}" -o "$host"/var/lib/nvlxc/driver/*/lib64/libnvidia-ml.so.1 "$BATS_TEST_TMPDIR/ml.c"
    run -0 top
    [ "${lines[1]}" = "0   RTX A5500 Laptop GPU -      -   -   -   -     -" ]
    [ "${lines[2]}" = "no program uses a GPU now" ]
}

@test "top --json has all keys; what is not known is null" {
    nvml "$uuid" "$PROGRAMS" "${V3[@]}" -DREADINGS
    run -0 --separate-stderr on_machine "$host" "$NVLXC" --json top
    is_json top <<< "$output"
    [ "$(jq -c '.gpus[0].readings' <<< "$output")" = \
        '{"memory_used_bytes":6291456000,"memory_total_bytes":17179869184,"gpu_percent":37,"memory_percent":5,"encoder_percent":100,"decoder_percent":0,"power_milliwatts":25043,"power_limit_milliwatts":80000,"temperature_celsius":45,"sm_clock_mhz":1695,"memory_clock_mhz":8001,"ecc_corrected":12,"ecc_uncorrected":1,"throttle_reasons":["sw_power_cap","sw_thermal_slowdown"]}' ]
    [ "$(jq -c .processes <<< "$output")" = "$(on_machine "$host" "$NVLXC" --json ps | jq -c .processes)" ]
    nvml "$uuid" "$PROGRAMS" "${V3[@]}"
    run -0 on_machine "$host" "$NVLXC" --json top
    is_json top <<< "$output"
    [ "$(jq -c '.gpus[0].readings | [.[]] | unique' <<< "$output")" = '[null]' ]
    # NVML does not list it
    nvml "GPU-00000000-0000-0000-0000-000000000000" "$PROGRAMS" "${V3[@]}" -DREADINGS
    run -0 on_machine "$host" "$NVLXC" --json top
    is_json top <<< "$output"
    [ "$(jq -c '.gpus[0].readings' <<< "$output")" = null ]
}

@test "top: no NVML, a captured host, no driver: as ps says it" {
    run -3 "$NVLXC" --root "$host" top
    [[ $output == *"nvlxc does not load the libraries of a captured host"* ]]
    rm -r "$host/usr/lib/x86_64-linux-gnu"
    run -3 top
    [[ $output == *"libnvidia-ml.so.550.163.01 is not installed"* ]]
    host=$(fixture no-driver)
    run -3 top
    [[ $output == *"kernel module is not loaded"* ]]
}

@test "at a terminal: it draws again, sorts as asked, fits, and q quits" {
    nvml "$uuid" "$PROGRAMS" "${V3[@]}" -DREADINGS
    run -0 at_terminal 80 see:python3 see:python3 keys:p 'see:now: pid' 'see:python3' keys:m 'see:now: memory' see:python3 keys:q
    [ "${lines[-1]}" = "restored 0" ]
    [[ $output == $'\e[?1049h\e[?25l'* && ${lines[-2]} == *$'\e[?25h\e[?1049l' ]]
    fits "$output" 80
    # the first picture, and one by pid
    frames "$output" | grep -A 5 CONTAINER | head -5 | awk '{print $3}' | tr '\n' ' ' | grep -qx 'PID 100 77 90 101 '
    frames "$output" | grep -A 5 CONTAINER | awk '{print $3}' | tr '\n' ' ' | grep -q 'PID 77 90 100 101 '
    [[ $output != *$'ev\e[31m'* ]]
}

@test "at a narrow terminal, and one that becomes so: no line is wider" {
    nvml "$uuid" "$PROGRAMS" "${V3[@]}" -DREADINGS
    run -0 at_terminal 40 see:box keys:q
    [ "${lines[-1]}" = "restored 0" ]
    fits "$output" 40
    run -0 at_terminal 80 see:python3 size:30 'see:\x1b[J' keys:q
    fits "${output##*$'\e[J\e[H'}" 30
}

@test "at a terminal: Ctrl-C, SIGTERM and SIGHUP give it back, also while the driver does not answer" {
    local step
    nvml "$uuid" "$PROGRAMS" "${V3[@]}" -DREADINGS
    for step in 'keys:\x03' signal:TERM signal:HUP; do
        run -0 at_terminal 80 see:python3 "$step"
        [[ $output == *$'\e[?25h\e[?1049l'* ]]
        [[ ${lines[-1]} == "restored "* && ${lines[-1]} != "restored 0" ]]
    done
    nvml "$uuid" "$PROGRAMS" "${V3[@]}" -DREADINGS -DHANGS
    SECONDS=0
    run -0 at_terminal 80 keys:q
    [ "${lines[-1]}" = "restored 0" ]
    [ "$SECONDS" -lt 8 ]
    run -0 at_terminal 80
    [ "${lines[-1]}" = "restored 3" ]
    says "NVIDIA's driver did not answer NVML within 30 s"
}

@test "at a terminal: a first picture that fails is the command's error, a later one is shown" {
    run -0 at_terminal 80
    [ "${lines[-1]}" = "restored 3" ]
    [[ $output == *"nvlxc: "*NVML* && $output != *$'\e[?1049h'* ]]
    nvml "$uuid" "$PROGRAMS" "${V3[@]}" -DREADINGS
    (sleep 3 && rm "$host"/var/lib/nvlxc/driver/*/lib64/libnvidia-ml.so.1) &
    run -0 at_terminal 80 see:python3 'see:nvlxc: ' 'see:nvlxc: ' keys:q
    [ "${lines[-1]}" = "restored 0" ]
    wait
}

@test "ps --watch is the same, of all containers" {
    nvml "$uuid" "$PROGRAMS" "${V3[@]}" -DREADINGS
    [ "$(on_machine "$host" "$NVLXC" ps --watch)" = "$(top)" ]
    [ "$(on_machine "$host" "$NVLXC" --json ps --watch)" = "$(on_machine "$host" "$NVLXC" --json top)" ]
    run -0 "$NVL_SOURCE/tests/lib/at-terminal" 80 'see:nvlxc top, every 2 s' see:python3 see:python3 keys:q -- "$BASH" -c \
        "$(declare -f on_machine); on_machine '$host' '$NVLXC' ps --watch"
    [[ ${lines[-1]} == "restored 0" ]]
    run -2 on_machine "$host" "$NVLXC" ps --watch 220
    says "ps: --watch shows all programs, so it takes no container ('220')"
}
