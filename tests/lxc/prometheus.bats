# Debian's own Prometheus and node_exporter read what `nvlxc metrics` writes; the shipped alerts and the dashboard's queries
# are answered by them.
load setup
# shellcheck source=/dev/null
source "$NVL_SOURCE/tests/lib/clients.bash"

TOOLS=/run/tools
PROM=/run/textfile/nvlxc.prom

setup_file() {
    nvlxc driver sync --quiet
    mkdir -p $TOOLS /run/textfile /run/data
    "$NVL_SOURCE/tests/lib/packages" bookworm "$NVL_CACHE" $TOOLS "${WATCHERS[@]}"
    ip link set lo up
    make_container ct debian-12
    nvlxc attach ct --quiet
    # a GPU that is not there
    make_container gone debian-12
    nvlxc attach gone --quiet
    sed -i 's/GPU-[0-9a-f-]*/GPU-00000000-0000-0000-0000-000000000000/' /var/lib/lxc/gone/config
}

teardown_file() {
    [ ! -e /run/pids ] || xargs kill < /run/pids
}

promtool() {
    $TOOLS/usr/bin/promtool "$@"
}

@test "what is written is in the format, with names and units as Prometheus wants them" {
    run -0 nvlxc metrics $PROM
    run -0 promtool check metrics < $PROM
    [ -z "$output" ]
    grep -q '^nvlxc_container_gpus_missing{container="gone"} 1$' $PROM
}

@test "the alerts are well, and each comes when it must, and only then" {
    run -0 promtool check rules "$NVL_SOURCE/data/prometheus/nvlxc.rules.yml"
    sed "s|RULES|$NVL_SOURCE/data/prometheus/nvlxc.rules.yml|" "$NVL_SOURCE/tests/lxc/prometheus.rules_test.yml" > /run/rules_test.yml
    run -0 promtool test rules /run/rules_test.yml
    # every alert is tried
    diff <(grep -o 'alert: .*' "$NVL_SOURCE/data/prometheus/nvlxc.rules.yml" | cut -c8- | sort) \
        <(grep -o 'alertname: [A-Za-z]*' /run/rules_test.yml | cut -c12- | sort -u)
}

# answer QUERY: what Prometheus has, as JSON.
answer() {
    $TOOLS/usr/bin/promtool query instant --format json http://127.0.0.1:9090 "$1"
}

@test "Prometheus has it by node_exporter: the dashboard's queries and a pending alert" {
    local query try
    # values that only a driver has
    cat >> $PROM <<'T'
# TYPE nvlxc_gpu_utilization_ratio gauge
nvlxc_gpu_utilization_ratio{gpu="0",uuid="a"} 0.5
# TYPE nvlxc_gpu_memory_used_bytes gauge
nvlxc_gpu_memory_used_bytes{gpu="0",uuid="a"} 50
# TYPE nvlxc_gpu_memory_total_bytes gauge
nvlxc_gpu_memory_total_bytes{gpu="0",uuid="a"} 100
# TYPE nvlxc_gpu_encoder_utilization_ratio gauge
nvlxc_gpu_encoder_utilization_ratio{gpu="0",uuid="a"} 0.1
# TYPE nvlxc_gpu_temperature_celsius gauge
nvlxc_gpu_temperature_celsius{gpu="0",uuid="a"} 60
# TYPE nvlxc_gpu_power_watts gauge
nvlxc_gpu_power_watts{gpu="0",uuid="a"} 80
# TYPE nvlxc_container_gpu_memory_bytes gauge
nvlxc_container_gpu_memory_bytes{container="ct",gpu="0",uuid="a"} 1
# TYPE nvlxc_container_gpu_programs gauge
nvlxc_container_gpu_programs{container="ct",gpu="0",uuid="a"} 1
T
    sed -i '/^# HELP nvlxc_\(gpu_\(util\|memory\|encoder\|temp\|power\)\|container_gpu_\(programs\|memory\)\)/d' $PROM
    awk '!/^# TYPE/ || !seen[$3]++' $PROM > /run/once && cat /run/once > $PROM
    cat > /run/prometheus.yml <<T
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [$NVL_SOURCE/data/prometheus/nvlxc.rules.yml]
scrape_configs: [{job_name: node, static_configs: [{targets: ['127.0.0.1:9100']}]}]
T
    $TOOLS/usr/bin/prometheus-node-exporter --collector.disable-defaults --collector.textfile \
        --collector.textfile.directory=/run/textfile --web.listen-address=127.0.0.1:9100 > /run/exporter.log 2>&1 3>&- &
    echo $! > /run/pids
    $TOOLS/usr/bin/prometheus --config.file=/run/prometheus.yml --storage.tsdb.path=/run/data \
        --web.listen-address=127.0.0.1:9090 --web.console.templates=/run --web.console.libraries=/run > /run/prometheus.log 2>&1 3>&- &
    echo $! >> /run/pids
    for try in {1..100}; do
        [[ $(answer 'nvlxc_checks' 2> /dev/null) != *nvlxc_checks* ]] || break
        sleep 0.2
    done
    [ "$try" -lt 100 ]
    while read -r query; do
        run -0 answer "${query//\$instance/.*}"
        [ "$(jq length <<< "$output")" -gt 0 ] || { echo "no answer: $query"; false; }
    done < <(jq -r '.panels[].targets[].expr' "$NVL_SOURCE/data/grafana/nvlxc.json")
    for try in {1..50}; do
        [[ $(answer 'ALERTS{alertname="NvlxcContainerWithoutGpu"}') != *gone* ]] || break
        sleep 0.2
    done
    run -0 answer 'ALERTS{alertname="NvlxcContainerWithoutGpu"}'
    [[ $output == *'"alertstate":"pending"'*'"container":"gone"'* ]]
}
