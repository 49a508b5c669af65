# nvlxc metrics: read by Prometheus' own parser for Python, which takes no sample twice and no bad escape.

bats_require_minimum_version 1.5.0
load "$NVL_SOURCE/tests/lib/hosts.bash"
load "$NVL_SOURCE/tests/lib/nvml.bash"

NVLXC="$NVL_BUILD/src/cli/nvlxc"
HOOK="</dev/null; [ ! -x /usr/libexec/nvlxc/hook ] || exec /usr/libexec/nvlxc/hook"

# grant NAME SELECTORS: a container of root's with that grant
grant() {
    mkdir -p "$host/var/lib/lxc/$1"
    printf '%s\n' "lxc.environment = NVIDIA_VISIBLE_DEVICES=$2" "lxc.hook.pre-start = $HOOK" "lxc.hook.mount = $HOOK" \
        > "$host/var/lib/lxc/$1/config"
}

# samples [FILE]: each as "NAME VALUE LABEL=VALUE…", labels and lines sorted; fails where it is not in the format, or one
# comes twice.
samples() {
    /usr/bin/python3 -c '
import sys
from prometheus_client.parser import text_string_to_metric_families
seen = set()
for family in text_string_to_metric_families(sys.stdin.read()):
    counts = family.samples and family.samples[0].name.endswith("_total")
    assert family.documentation and family.type == ("counter" if counts else family.type), family
    assert family.type == "gauge" or family.name == "nvlxc_gpu_ecc_errors", family
    for s in family.samples:
        line = " ".join([s.name] + ["%s=%s" % label for label in sorted(s.labels.items())])
        assert line not in seen, line
        seen.add(line)
        print(s.name, "%d" % s.value if s.value == int(s.value) else s.value, *["%s=%s" % label for label in sorted(s.labels.items())])
' | LC_ALL=C sort
}

# metrics [ARGUMENT…]: those of the host
metrics() {
    on_machine "$host" "$NVLXC" metrics "$@" > "$BATS_TEST_TMPDIR/text" && samples < "$BATS_TEST_TMPDIR/text"
}

setup() {
    host=$(fixture a5500-550)
    uuid=$(sed -n 's/GPU UUID:[[:space:]]*//p' "$host"/proc/driver/nvidia/gpus/*/information)
    rm -r "$host"/etc/pve "$host"/home/alice
    rm -r "$host"/var/lib/lxc/*
    program 101 /lxc.payload.box/init.scope python3
    program 102 /lxc.payload.box/init.scope ollama
    program 103 /system.slice/ssh.service Xorg
    grant box all
    grant web "$uuid"
}

@test "who uses which GPU, and what is granted: 0 where nothing is used" {
    nvml "$uuid" '{101, 6ull << 20, -1, -1}, {102, 2ull << 20, -1, -1},' "${V3[@]}"
    sed -i 's/{77,/{103,/' "$BATS_TEST_TMPDIR/ml.c"
    cc -shared -fPIC "${V3[@]}" -o "$host"/var/lib/nvlxc/driver/*/lib64/libnvidia-ml.so.1 "$BATS_TEST_TMPDIR/ml.c"
    run -0 metrics
    diff <(grep -v 'nvlxc_findings\|nvlxc_checks' <<< "$output") - <<EOF
nvlxc_container_gpu_granted 1 container=box gpu=0 uuid=$uuid
nvlxc_container_gpu_granted 1 container=web gpu=0 uuid=$uuid
nvlxc_container_gpu_memory_bytes 0 container=web gpu=0 uuid=$uuid
nvlxc_container_gpu_memory_bytes 5242880 gpu=0 uuid=$uuid
nvlxc_container_gpu_memory_bytes 8388608 container=box gpu=0 uuid=$uuid
nvlxc_container_gpu_programs 0 container=web gpu=0 uuid=$uuid
nvlxc_container_gpu_programs 1 gpu=0 uuid=$uuid
nvlxc_container_gpu_programs 2 container=box gpu=0 uuid=$uuid
nvlxc_container_gpu_utilization_ratio 0 container=web gpu=0 uuid=$uuid
nvlxc_container_gpus_missing 0 container=box
nvlxc_container_gpus_missing 0 container=web
nvlxc_driver_info 1 flavour=proprietary version=550.163.01
nvlxc_gpu_info 1 gpu=0 model=NVIDIA RTX A5500 Laptop GPU pci=0000:01:00.0 uuid=$uuid
nvlxc_nvml_up 1
EOF
}

@test "memory that the driver does not tell is left out" {
    nvml "$uuid" '{101, -1, -1, -1}, {102, 2ull << 20, -1, -1},' "${V3[@]}"
    run -0 metrics
    [[ $output == *"nvlxc_container_gpu_programs 2 container=box"* ]]
    [[ $output == *"nvlxc_container_gpu_memory_bytes 0 container=web"* ]]
    run ! grep 'memory_bytes .* container=box' <<< "$output"
}

@test "how busy a container's programs are: one that computes and draws counts once" {
    program 100 /lxc.payload.box/init.scope blender
    nvml "$uuid" '{100, 6ull << 20, -1, -1}, {101, 2ull << 20, -1, -1},' "${V3[@]}" -DREADINGS
    sed -i 's/{77,/{100,/' "$BATS_TEST_TMPDIR/ml.c"
    cc -shared -fPIC "${V3[@]}" -DREADINGS -o "$host"/var/lib/nvlxc/driver/*/lib64/libnvidia-ml.so.1 "$BATS_TEST_TMPDIR/ml.c"
    run -0 metrics
    [ "$(grep gpu_utilization_ratio <<< "$output" | grep container)" = "nvlxc_container_gpu_utilization_ratio 0 container=web gpu=0 uuid=$uuid
nvlxc_container_gpu_utilization_ratio 0.42 container=box gpu=0 uuid=$uuid" ]
}

@test "the driver's errors, by their numbers, also of a GPU that is no longer there" {
    mkdir -p "$host/var/log"
    printf 'NVRM: Xid (PCI:0000:%s): %s, pid=1, name=x\n' 01:00 31 01:00 79 01:00 31 99:00 79 > "$host/var/log/dmesg"
    run -0 "$NVLXC" --root "$host" metrics
    diff <(grep '^nvlxc_gpu_xid' <<< "$output") - <<EOF
nvlxc_gpu_xid_messages{gpu="0",uuid="$uuid",pci="0000:01:00.0",xid="31"} 2
nvlxc_gpu_xid_messages{gpu="0",uuid="$uuid",pci="0000:01:00.0",xid="79"} 1
nvlxc_gpu_xid_messages{pci="0000:99:00.0",xid="79"} 1
EOF
}

@test "what the driver reports of a GPU: in base units" {
    nvml "$uuid" '' "${V3[@]}" -DREADINGS
    run -0 metrics
    diff <(grep '^nvlxc_gpu_' <<< "$output" | grep -v '_info\|_xid') - <<EOF
nvlxc_gpu_clock_hertz 1695000000 clock=sm gpu=0 uuid=$uuid
nvlxc_gpu_clock_hertz 8001000000 clock=memory gpu=0 uuid=$uuid
nvlxc_gpu_decoder_utilization_ratio 0 gpu=0 uuid=$uuid
nvlxc_gpu_ecc_errors_total 1 gpu=0 severity=uncorrected uuid=$uuid
nvlxc_gpu_ecc_errors_total 12 gpu=0 severity=corrected uuid=$uuid
nvlxc_gpu_encoder_utilization_ratio 1 gpu=0 uuid=$uuid
nvlxc_gpu_memory_total_bytes 17179869184 gpu=0 uuid=$uuid
nvlxc_gpu_memory_used_bytes 6291456000 gpu=0 uuid=$uuid
nvlxc_gpu_memory_utilization_ratio 0.05 gpu=0 uuid=$uuid
nvlxc_gpu_power_limit_watts 80 gpu=0 uuid=$uuid
nvlxc_gpu_power_watts 25.043 gpu=0 uuid=$uuid
nvlxc_gpu_temperature_celsius 45 gpu=0 uuid=$uuid
nvlxc_gpu_throttle 1 gpu=0 reason=sw_power_cap uuid=$uuid
nvlxc_gpu_throttle 1 gpu=0 reason=sw_thermal_slowdown uuid=$uuid
nvlxc_gpu_utilization_ratio 0.37 gpu=0 uuid=$uuid
EOF
    # a sensor that the GPU lacks, nonsense, and a library that has none of the functions: left out
    nvml "$uuid" '' "${V3[@]}" -DREADINGS -DBARE
    run -0 metrics
    [[ $output == *"nvlxc_gpu_power_watts 25.043 "* && $output == *"nvlxc_gpu_encoder_utilization_ratio 1 "* ]]
    run ! grep '^nvlxc_gpu_\(decoder\|power_limit\|throttle\|ecc\)' <<< "$output"
    nvml "$uuid" '' "${V3[@]}" -DREADINGS -DWILD
    run -0 metrics
    [ "$(grep '^nvlxc_gpu_' <<< "$output" | grep -v '_info\|_xid')" = "" ]
    nvml "$uuid" '' "${V3[@]}"
    run -0 metrics
    [ "$(grep '^nvlxc_gpu_' <<< "$output" | grep -v '_info\|_xid')" = "" ]
    [[ $output == *"nvlxc_nvml_up 1"* ]]
}

@test "a driver that never answers: left after ten seconds, and the rest is there" {
    nvml "$uuid" '{101, 6ull << 20, -1, -1},' "${V3[@]}" -DREADINGS -DHANGS
    run -0 --separate-stderr timeout 40 "$BASH" -c "$(declare -f on_machine); on_machine '$host' '$NVLXC' metrics"
    says "nvlxc: warning: " "NVIDIA's driver did not answer"
    [[ $output == *"nvlxc_nvml_up 0"* && $output == *'nvlxc_container_gpu_granted{container="box"'* ]]
    run ! grep '^nvlxc_gpu_[^i]' <<< "$output"
}

@test "MIG devices have labels of their own" {
    host=$(fixture h100-mig)
    uuid=$(sed -n 's/GPU UUID:[[:space:]]*//p' "$host"/proc/driver/nvidia/gpus/*/information)
    grant box "MIG-$uuid/1/0,MIG-$uuid/2/0,MIG-$uuid/2/1"
    program 101 /lxc.payload.box/init.scope python3
    nvml "$uuid" '{101, 6ull << 20, 2, 1},' "${V3[@]}"
    run -0 metrics
    [[ $output == *"nvlxc_container_gpu_granted 1 ci=0 container=box gi=1 gpu=0 uuid=$uuid"* ]]
    [[ $output == *"nvlxc_container_gpu_programs 0 ci=0 container=box gi=1 gpu=0 uuid=$uuid"* ]]
    [[ $output == *"nvlxc_container_gpu_programs 0 ci=0 container=box gi=2 gpu=0 uuid=$uuid"* ]]
    [[ $output == *"nvlxc_container_gpu_programs 1 ci=1 container=box gi=2 gpu=0 uuid=$uuid"* ]]
    [[ $output == *"nvlxc_container_gpu_memory_bytes 6291456 ci=1 container=box gi=2 gpu=0 uuid=$uuid"* ]]
}

@test "without NVML: said, nvlxc_nvml_up is 0, nothing of programs; the rest is there" {
    run -0 --separate-stderr metrics
    says "nvlxc: warning: " "NVML"
    [[ $output == *"nvlxc_nvml_up 0"* && $output == *"nvlxc_container_gpu_granted 1 container=box"* ]]
    [[ $output != *"nvlxc_container_gpu_programs "* && $output != *"nvlxc_container_gpu_memory_bytes "* ]]
}

@test "without a driver, and without a GPU" {
    local name
    for name in no-driver no-gpu nouveau; do
        host=$(fixture $name)
        grant box all
        run -0 --separate-stderr metrics
        [[ $output == *"nvlxc_nvml_up 0"* && $output == *"nvlxc_container_gpus_missing 1 container=box"* ]]
        [[ $output != *"nvlxc_driver_info "* && $output != *"nvlxc_gpu_info "* ]]
    done
}

@test "findings are those of doctor, counted where a check finds several" {
    grant gone GPU-00000000-0000-0000-0000-000000000000
    chmod 0600 "$host/dev/nvidia0" "$host/dev/nvidiactl"
    run -0 --separate-stderr metrics
    grep nvlxc_findings <<< "$output" > "$BATS_TEST_TMPDIR/found"
    on_machine "$host" "$NVLXC" --json doctor > "$BATS_TEST_TMPDIR/doctor" || [ $? = 1 ]
    jq -r '.findings[] | [.id, .severity, if .container == null then "" else "container=" + .container + " " end] |
        "\(.[2])id=\(.[0]) severity=\(.[1])"' "$BATS_TEST_TMPDIR/doctor" |
        LC_ALL=C sort | uniq -c | while read -r n labels; do echo "nvlxc_findings $n $labels"; done |
        LC_ALL=C sort | diff - "$BATS_TEST_TMPDIR/found"
    grep -q "^nvlxc_findings [2-9]" "$BATS_TEST_TMPDIR/found"
    [[ $output == *"nvlxc_checks $(jq .checked "$BATS_TEST_TMPDIR/doctor")"* ]]
}

@test "names that are any bytes: still the format, and those that look alike are one" {
    nvml "$uuid" '{101, 6ull << 20, -1, -1}, {104, 1ull << 20, -1, -1},' "${V3[@]}"
    grant $'o\xff"\\{}' all
    grant $'o\xfe"\\{}' 0,7
    program 104 $'/lxc.payload.o\xfe"\\{}/init.scope' x
    run -0 metrics
    [[ $output == *'nvlxc_container_gpu_memory_bytes 1048576 container=root/o?"\{} gpu=0'* || \
        $output == *'nvlxc_container_gpu_memory_bytes 1048576 container=o?"\{} gpu=0'* ]]
    [[ $output == *'nvlxc_container_gpus_missing 1 container=o?"\{}'* ]]
}

@test "into a file: as a whole, readable for all, or as it was" {
    run -0 --separate-stderr metrics
    [ "$(wc -l <<< "$output")" -gt 8 ]
    local whole=$output dir=$host/var/lib/prometheus age
    mkdir "$dir"
    echo old > "$dir/nvlxc.prom"
    exec 7< "$dir/nvlxc.prom"
    run -0 on_machine "$host" "$NVLXC" metrics /var/lib/prometheus/nvlxc.prom
    [ "$(samples < "$dir/nvlxc.prom")" = "$whole" ]
    [ "$(cat <&7)" = old ]
    [ "$(stat -c %a "$dir/nvlxc.prom")" = 644 ]
    [ "$(ls "$dir")" = nvlxc.prom ]
    # anew also where it says the same: whoever reads it looks at its age
    touch -d yesterday "$dir/nvlxc.prom"
    age=$(stat -c %Y "$dir/nvlxc.prom")
    run -0 on_machine "$host" "$NVLXC" metrics /var/lib/prometheus/nvlxc.prom
    [ "$(stat -c %Y "$dir/nvlxc.prom")" -gt "$age" ]
    run -1 "$NVLXC" --root "$host" metrics /var/lib/none/nvlxc.prom
    [[ $output == *"nvlxc: cannot write /var/lib/none/nvlxc.prom: its folder: No such file or directory"* ]]
    run -2 "$NVLXC" --root "$host" metrics nvlxc.prom
    run -2 "$NVLXC" --root "$host" --json metrics
    [[ $output == *"metrics has no JSON output"* ]]
}

@test "what is no regular file is not replaced: a device, a pipe, a link" {
    mkfifo "$host/run/pipe"
    ln -s pipe "$host/run/link"
    mknod "$host/run/null" c 1 3
    local name
    for name in pipe link null; do
        run -1 "$NVLXC" --root "$host" metrics /run/$name
        [[ $output == *"/run/$name exists and is not a regular file"* ]]
    done
    [ -p "$host/run/pipe" ] && [ -L "$host/run/link" ] && [ -c "$host/run/null" ]
}
