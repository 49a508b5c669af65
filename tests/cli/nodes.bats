# A Proxmox cluster seen from one of its nodes: what each publishes, gpus, list, show and doctor with --cluster.
# shellcheck disable=SC2154,SC2314 # bats sets them; `!` before the last command of a test
bats_require_minimum_version 1.5.0
load "$NVL_SOURCE/tests/lib/hosts.bash"
load "$NVL_SOURCE/tests/lib/json.bash"
load "$NVL_SOURCE/tests/lib/cluster.bash"

A5500=GPU-3291dfa4-fcc4-0110-615b-c894a0d7c689
OTHER=GPU-11111111-1111-1111-1111-111111111111

setup_file() {
    prepare_published
}

setup() {
    cluster_of_ten
}

nvlxc() {
    "$NVLXC" --root "$host" "$@"
}

# of_node NODE FILTER: of what gpus --cluster says of it, as JSON.
of_node() {
    nvlxc --json gpus --cluster 2>/dev/null | jq -c --arg node "$1" '.cluster_nodes[] | select(.cluster_node == $node) | '"$2"
}

# --- gpus ---

@test "gpus: one table over all nodes, and below it who says nothing and why" {
    run -0 --separate-stderr nvlxc gpus --cluster --wide
    [[ $output =~ n1\ +0\ +NVIDIA\ RTX\ A5500[^$'\n']*\ +580\.[0-9.]+\ +usable\ +0000:01:00\.0\ +$OTHER ]]
    [[ $output =~ n2\ +0\ +NVIDIA\ H100[^$'\n']*\ mig\  ]]
    [[ $output == *"  MIG GI "*" MIG-GPU-"* ]]
    [ "$(grep -c '^n3 ' <<<"$output")" = 2 ]
    [[ $output =~ n5\ +-\ +PCI\ 10de:[0-9a-f]{4}\ +-\ +-\ +vfio-pci\ +held ]]
    [[ $output =~ pve\ +0\ +NVIDIA\ RTX\ A5500[^$'\n']*\ 550\. ]]
    says 'n4 publishes nothing: run `nvlxc host publish` on n4' "n6 has no GPU of NVIDIA's" \
        'the nvlxc.json of n7 has the format 0, of an older nvlxc: upgrade nvlxc on n7' \
        'the nvlxc.json of n8 has the format 2, of a newer nvlxc: upgrade nvlxc here' \
        'the nvlxc.json of n9 is damaged: what it says of the GPUs is not in its form'
    [[ $output != *owned* ]]
    # a removed node is named, and nothing of it is shown
    [[ $stderr == *"gone is no member of the cluster, so its folder /etc/pve/nodes/gone is not looked at"* ]]
    ! grep -q '^gone' <<<"$output"
}

@test "gpus --json: the same, with the state of each file" {
    nvlxc --json gpus --cluster >"$BATS_TEST_TMPDIR/all" 2>/dev/null
    [ "$(jq -c '[.cluster, .quorum, .removed_nodes]' "$BATS_TEST_TMPDIR/all")" = '["lab",true,["gone"]]' ]
    [ "$(jq -r '.cluster_nodes[] | .cluster_node + " " + .file + " " + (.gpus | if . then length | tostring else "null" end)' "$BATS_TEST_TMPDIR/all")" = \
        "$(printf '%s\n' 'n1 good 1' 'n2 good 1' 'n3 good 2' 'n4 absent null' 'n5 good 1' 'n6 good 0' 'n7 older null' 'n8 newer null' 'n9 damaged null' 'pve good 1')" ]
    [ "$(jq -r '.cluster_nodes[] | select(.here).cluster_node' "$BATS_TEST_TMPDIR/all")" = pve ]
}

@test "gpus: the containers of all nodes that hold each GPU, and the VMs that claim it" {
    # shellcheck disable=SC2046 # lines
    ct n1 301 "$(grant $OTHER)"
    ct n1 302 "$(grant all)"
    ct n3 303 'lxc.mount.entry: /dev/nvidia1 dev/nvidia1 none bind 0 0'
    ct n4 304 "$(grant all)"
    ct gone 305 "$(grant all)"
    mkdir -p "$host/etc/pve/nodes/n5/qemu-server" "$host/etc/pve/mapping"
    printf 'hostpci0: mapping=card,pcie=1\nonboot: 1\n' >"$host/etc/pve/nodes/n5/qemu-server/100.conf"
    printf 'card\n\tmap id=10de:2438,node=n1,path=0000:41:00.0\n\tmap id=10de:2438,node=n5,path=%s\n' "$(of_node n5 '.gpus[0].pci' | tr -d '"')" \
        >"$host/etc/pve/mapping/pci.cfg"
    nvlxc --quiet attach 220
    [ "$(of_node n1 '[.gpus[0].containers[].container]')" = '["301","302"]' ]
    [ "$(of_node n3 '[.gpus[] | [.minor, .containers]]')" = '[[1,[{"container":"303","by_hand":true}]],[0,[]]]' ]
    [ "$(of_node n5 '.gpus[0].virtual_machines')" = '[{"vm":"100","running":null,"starts_at_boot":true}]' ]
    [ "$(of_node n1 '.gpus[0].virtual_machines')" = '[]' ]
    [ "$(of_node pve '[.gpus[0].containers[].container]')" = '["220"]' ]
    run -0 nvlxc gpus --cluster
    says "301, 302" "303 (by hand)" "VM 100"
    [[ $output != *305* ]]
}

@test "what this node has is what it has now, whatever its file says" {
    node pve h100-mig
    [ "$(of_node pve '.gpus[0].uuid')" = "\"$A5500\"" ]
    run -0 nvlxc gpus --cluster
    says 'pve publishes something else than what it has now: run `nvlxc host publish`'
}

@test "a GPU that is lent to a virtual machine" {
    node n5 vfio '.gpus[0].state = "lent"'
    [ "$(of_node n5 '.gpus[0].state')" = '"lent"' ]
    # this node's own: published once, and then nothing has changed
    mkdir -p "$host/run/nvlxc/lent"
    echo 'vm 101' >"$host/run/nvlxc/lent/0000:01:00.0"
    run -0 nvlxc --json host publish
    [ "$(jq -r '.gpus[0].state' "$host/etc/pve/nodes/pve/nvlxc.json")" = lent ]
    cp "$host/etc/pve/nodes/pve/nvlxc.json" "$BATS_TEST_TMPDIR/first"
    sleep 1
    run -0 nvlxc host publish
    diff "$BATS_TEST_TMPDIR/first" "$host/etc/pve/nodes/pve/nvlxc.json"
}

@test "a node that is offline: what it had" {
    sed -i 's/"id": 2, "online": 1/"id": 2, "online": 0/' "$host/etc/pve/.members"
    [ "$(of_node n1 .online)" = false ]
    run -0 nvlxc gpus --cluster
    says "n1 is offline; this is what it had on 20"
}

@test "without quorum everything is read, and it is said" {
    no_quorum
    for command in 'gpus --cluster' 'list --cluster' 'doctor --cluster' '--json gpus --cluster'; do
        # shellcheck disable=SC2086 # words
        run --separate-stderr nvlxc $command
        [ "$status" -lt 2 ]
        [[ $stderr == *"the cluster has no quorum: what the other nodes say may be old"* ]]
        [ -n "$output" ]
    done
    [ "$(nvlxc --json gpus --cluster 2>/dev/null | jq .quorum)" = false ]
}

# --- who is in the cluster ---

@test "no cluster: a node alone, a plain host; each command says so" {
    local commands=('gpus --cluster' 'show 220 --cluster' 'doctor --cluster') command
    alone() {
        for command in "${commands[@]}"; do
            # shellcheck disable=SC2086 # words
            run -3 --separate-stderr nvlxc $command
            says "this host is in no Proxmox cluster"
            [ -z "$output" ]
        done
        run -0 --separate-stderr nvlxc list --cluster
        [[ $stderr == *"this host is in no Proxmox cluster: --cluster adds nothing"* ]]
        run -0 nvlxc host publish
        says "this host is in no Proxmox cluster"
        run -0 nvlxc --quiet host publish
        [ -z "$output" ]
    }
    # pmxcfs of a node that is in none names no nodes
    printf '{\n"nodename": "pve",\n"version": 0\n}\n' >"$host/etc/pve/.members"
    rm "$host/etc/pve/nodes/pve/nvlxc.json"
    alone
    rm "$host/etc/pve/.members"
    alone
    [ ! -e "$host/etc/pve/nodes/pve/nvlxc.json" ]
    host=$(fixture two-gpus-535)
    alone
    [ ! -e "$host/etc/pve" ]
}

@test "without .members, or without nodes in it, corosync's configuration says who is in" {
    rm "$host/etc/pve/.members"
    printf '%s\n' '# logging { name: no }' 'logging {' '  debug: off' '  name: n3' '}' 'nodelist {' '  node {' '    name: pve' '    nodeid: 1' \
        '    ring0_addr: 10.0.0.1' '  }' '  node {' '    name: n1' '    ring0_addr: 10.0.0.2' '  }' '}' 'totem {' '  cluster_name: lab' '}' \
        >"$host/etc/pve/corosync.conf"
    [ "$(nvlxc --json gpus --cluster 2>/dev/null | jq -c '[.cluster, [.cluster_nodes[] | [.cluster_node, .online]]]')" = '["lab",[["n1",null],["pve",null]]]' ]
    # corosync is down: pmxcfs names no nodes
    printf '{\n"nodename": "pve",\n"version": 0\n}\n' >"$host/etc/pve/.members"
    [ "$(nvlxc --json gpus --cluster 2>/dev/null | jq -c '[.cluster_nodes[].cluster_node]')" = '["n1","pve"]' ]
}

@test "who is in the cluster cannot be told: an error, not an empty cluster" {
    echo '{"nodelist": {' >"$host/etc/pve/.members"
    for command in 'gpus --cluster' 'list --cluster' 'host publish'; do
        # shellcheck disable=SC2086 # words
        run -3 nvlxc $command
        says "/etc/pve/.members does not say who is in the cluster: it is damaged"
    done
}

@test "a user, who cannot read /etc/pve" {
    chmod 0640 "$host/etc/pve/.members"
    # who could not reach the folders above by their paths
    as_alice() {
        "$NVLXC" --version >/dev/null
        exec 8<"$host" 9<"$NVLXC"
        run --separate-stderr setpriv --reuid=1000 --regid=1000 --clear-groups /proc/self/fd/9 --root /proc/self/fd/8 "$@"
        exec 8<&- 9<&-
    }
    as_alice gpus --cluster
    [ "$status" = 3 ]
    says "cannot read /etc/pve/.members" "run it as root"
    # list has what is the user's
    as_alice list --cluster
    [ "$status" = 0 ]
    [[ $stderr == *"warning: cannot read /etc/pve/.members"* ]]
}

@test "names that are no node's are no members, and lead nowhere" {
    jq '.nodelist["../../../tmp"] = {online: 1} | .nodelist["a b"] = {} | .nodelist["x\u001b[2J"] = {}' "$host/etc/pve/.members" >"$BATS_TEST_TMPDIR/m"
    cp "$BATS_TEST_TMPDIR/m" "$host/etc/pve/.members"
    [ "$(nvlxc --json gpus --cluster 2>/dev/null | jq '.cluster_nodes | length')" = 10 ]
}

# --- a file that is not what it should be ---

@test "hostile files: each is said to be damaged, and the others are read" {
    local file=$host/etc/pve/nodes/n1/nvlxc.json good
    good=$(cat "$file")
    bad() {
        [ "$(of_node n1 '[.file, .gpus]')" = '["damaged",null]' ] || { of_node n1 .; return 1; }
        [ "$(of_node n3 '.gpus | length')" = 2 ]
        run -0 timeout 10 "$NVLXC" --root "$host" gpus --cluster
        says 'the nvlxc.json of n1 is damaged'
        run ! grep -q "$(printf '[\033\007\177]')" <<<"$output"
    }
    local filter
    for filter in '.gpus[0].pci = "0000:01:00.0/../.."' '.gpus[0].pci = "1:0.0"' '.gpus[0].uuid = "GPU-\u001b[2J"' '.gpus[0].uuid = 7' \
        '.gpus[0].index = -1' '.gpus[0].index = 1e99' '.gpus[0].minor = 99999999' '.gpus[0].kernel_driver = "a\nb"' 'del(.gpus[0].state)' \
        '.gpus[0].model = "\u001b[2J"' '.gpus[0].model = ("x" * 4000)' '.gpus += .gpus' '.gpus = [range(300)]' '.gpus[0].mig_devices = [range(100) | {gi: ., ci: 0}]' \
        '.gpus[0].mig_devices = [{gi: 1, ci: 0}, {gi: 1, ci: 0}]' '.gpus[0].memory_total_bytes = -1' '.driver.version = "550; rm"' \
        '.driver.version = 550' '.driver.flavour = "mine"' 'del(.driver)' '.driver.loaded = "yes"' '.published = "yesterday"' '.cluster_node = "n3"' \
        'del(.format)' '.format = "1"' '.format = 1.0000001' '.gpus = {}' '[.]' '1'; do
        jq "$filter" <<<"$good" >"$file"
        bad || { echo "$filter"; return 1; }
    done
    for text in '' '{' "$good$good" '{"format": 1, "format": 1}' "$(printf '[%.0s' {1..100000})" $'\xff\xfe'; do
        printf '%s' "$text" >"$file"
        bad
    done
    { printf '%s' "$good"; head -c 300000 /dev/zero | tr '\0' ' '; } >"$file"
    bad
    ln -sf /etc/passwd "$file"
    bad
    rm "$file"
    mkdir "$file"
    [ "$(of_node n1 .file)" != '"good"' ]
    rmdir "$file"
    mkfifo "$file"
    run timeout 10 "$NVLXC" --root "$host" --json gpus --cluster
    [ "$status" != 124 ]
    [ "$(of_node n1 .file)" != '"good"' ]
    rm "$file"
    printf '%s' "$good" >"$file"
    [ "$(of_node n1 .file)" = '"good"' ]
}

@test "what a node adds within the format is left out" {
    node n1 a5500-580-open '.more = [1] | .gpus[0].more = {a: 1}'
    [ "$(of_node n1 '[.file, (.gpus | length)]')" = '["good",1]' ]
}

# --- list ---

@test "list: the containers of all members, each with its node" {
    nvlxc --quiet attach 220
    ct n1 301 "$(grant $OTHER)"
    ct gone 305 "$(grant all)"
    run -0 --separate-stderr nvlxc list --cluster
    [[ $output =~ 220\ +[a-z-]+\ +pve\  ]]
    [[ $output =~ 301\ +ct301\ +n1\ +-\ +$OTHER ]]
    [[ $output != *305* ]]
    [[ $stderr == *"gone is no member of the cluster"* ]]
    [ "$(nvlxc --json list --cluster 2>/dev/null | jq -c '[.containers[] | [.container, .cluster_node]]')" = '[["220",null],["301","n1"]]' ]
}

# --- show ---

# verdicts CT: "NODE VERDICT" of each.
verdicts() {
    nvlxc --json show "$1" --cluster 2>/dev/null | jq -r '.cluster_nodes[] | .cluster_node + " " + .runs' | paste -sd ' '
}

@test "show: a grant by UUID runs only where that GPU is" {
    nvlxc --quiet attach 220
    run -0 --separate-stderr nvlxc show 220 --cluster
    [[ $output =~ pve\ +yes\ +is\ there\ +GPU\ 0,\ NVIDIA\ RTX\ A5500 ]]
    says "$A5500 is not on n1: it has GPU 0" "$A5500 is not on n3: it has GPUs 0 and 1" "$A5500 is not on n5: vfio-pci holds the GPU" \
        "$A5500 is not on n6: the nvidia driver" 'n4 publishes nothing' 'the nvlxc.json of n7 has the format 0'
    [[ $output != *"this host"* ]]
    [ "$(verdicts 220)" = 'n1 no n2 no n3 no n4 unknown n5 no n6 no n7 unknown n8 unknown n9 unknown pve yes' ]
}

@test "show: a grant that each start decides, by each node's own mapping, model and GPUs" {
    mkdir -p "$host/etc/pve/mapping"
    printf 'card\n\tmap id=10de:2438,node=pve,path=0000:01:00\n\tmap id=10de:2438,node=n1,path=0000:01:00\n\tmap id=10de:2438,node=n2,path=%s\n\tmap id=10de:2204,node=n3,path=0000:77:00\n' \
        "$(of_node n2 '.gpus[0].pci' | tr -d '"')" >"$host/etc/pve/mapping/pci.cfg"
    nvlxc --quiet attach 220 --gpu mapping:card
    run -0 --separate-stderr nvlxc show 220 --cluster
    says 'mapping:card gives no GPU on n2: the device at' 'and the mapping says 10de:2438' 'no device is at 0000:77:00' \
        'the mapping has no device of this node, n5'
    [ "$(verdicts 220 | grep -o 'n[1-6] [a-z]*' | paste -sd ' ')" = 'n1 yes n2 no n3 no n4 unknown n5 no n6 no' ]
    [[ $output != *"this host"* ]]
    nvlxc --quiet attach 220 --gpu model:A5500
    [ "$(verdicts 220 | grep -o 'n[1-6] [a-z]*' | paste -sd ' ')" = 'n1 yes n2 no n3 no n4 unknown n5 no n6 no' ]
    nvlxc --quiet attach 220 --gpu any
    [ "$(verdicts 220 | grep -o 'n[1-6] [a-z]*' | paste -sd ' ')" = 'n1 yes n2 no n3 perhaps n4 unknown n5 no n6 no' ]
}

@test "show: a CT of another node, by its number and its hostname; where HA and replication may start it" {
    ct n1 301 "$(grant all)"
    mkdir "$host/etc/pve/ha"
    printf 'ct: 301\n\tgroup some\n\tstate started\n\nvm: 100\n\tstate started\n' >"$host/etc/pve/ha/resources.cfg"
    printf 'group: some\n\tnodes n1:2,n3\n\trestricted 1\n' >"$host/etc/pve/ha/groups.cfg"
    printf 'local: 301-0\n\ttarget n2\n\nlocal: 3010-0\n\ttarget n5\n' >"$host/etc/pve/replication.cfg"
    run -0 --separate-stderr nvlxc show 301 --cluster
    [[ ${lines[0]} == "301 (Proxmox CT, on n1): all; compute,utility" ]]
    [[ $output =~ n1\ +yes\ +is\ there ]]
    [[ $output =~ n2\ +perhaps\ +replication\ +the\ driver\ of\ n2 ]]
    [[ $output =~ n3\ +perhaps\ +HA\ +the\ driver\ of\ n3,\ 535 ]]
    [[ $output =~ n5\ +no\ +-\ +no\ GPU\ can\ be\ given\ on\ n5 ]]
    [ "$(verdicts ct301)" = "$(verdicts 301)" ]
    # Proxmox VE 9: rules
    rm "$host/etc/pve/ha/groups.cfg"
    printf 'node-affinity: r1\n\tresources ct:301\n\tnodes n1:1,n6\n\tstrict 1\n' >"$host/etc/pve/ha/rules.cfg"
    [ "$(nvlxc --json show 301 --cluster 2>/dev/null | jq -r '[.cluster_nodes[] | select(.moves_by != null).cluster_node] | join(" ")')" = 'n2 n6' ]
    # a rule that only prefers, and one that is off, keep it from nowhere
    sed -i '/strict/d' "$host/etc/pve/ha/rules.cfg"
    [ "$(nvlxc --json show 301 --cluster 2>/dev/null | jq '[.cluster_nodes[] | select(.moves_by != null)] | length')" = 9 ]
    # HA that ignores it
    sed -i '0,/started/s//ignored/' "$host/etc/pve/ha/resources.cfg"
    [ "$(nvlxc --json show 301 --cluster 2>/dev/null | jq -r '[.cluster_nodes[] | select(.moves_by != null).cluster_node] | join(" ")')" = 'n2' ]
}

@test "show: what else keeps it away: its own driver files, nodes by number, a GPU to have alone, a VM, a lost GPU" {
    ct n1 301 "$(grant all --libraries=none)"
    [[ $(verdicts 301) == *'n3 no'* ]]
    run nvlxc show 301 --cluster
    says "it has its own files of the driver of n1, 580"
    ct n1 302 "$(grant all)"
    ct n3 303 "$(grant all --exclusive)"
    mkdir -p "$host/etc/pve/nodes/n3/qemu-server"
    printf 'hostpci0: %s\n' "$(of_node n3 '.gpus[1].pci' | tr -d '"')" >"$host/etc/pve/nodes/n3/qemu-server/104.conf"
    run -0 nvlxc show 302 --cluster
    says "303 has the GPU of n3, and 303 is to have it alone" "VM 104 of n3 takes GPU 1 when it starts"
    node n3 two-gpus-535 '.gpus[0].state = "lost"'
    run -0 nvlxc show 302 --cluster
    says "GPU 0 of n3: fallen off the bus"
    [[ $(verdicts 302) == *'n3 no'* ]]
    # its own node: then show fails, too
    node n1 a5500-580-open '.gpus[0].state = "lost"'
    run -1 nvlxc show 302 --cluster
}

@test "show: what is no CT with a grant" {
    ct n1 301
    run -1 nvlxc show 301 --cluster
    says "CT 301 has no grant" "ssh n1 nvlxc attach 301"
    run -1 nvlxc show root/web --cluster
    says "web is no CT of Proxmox's: no other node can run it"
    run -1 nvlxc show 999 --cluster
    says "no container 999"
    ct gone 305 "$(grant all)"
    run -1 nvlxc show 305 --cluster
    says "CT 305 is in the folder of gone, which is no member of the cluster"
}

# --- doctor ---

# heard: "ID:SEVERITY" of each finding.
heard() {
    nvlxc --json doctor --cluster 2>/dev/null | jq -r '.findings[] | .id + ":" + .severity + (if .container then ":" + .container else "" end)' | paste -sd ' '
}

# part ID KEY: of the finding.
part() {
    nvlxc --json doctor --cluster 2>/dev/null | jq -r --arg id "$1" --arg key "$2" '.findings[] | select(.id == $id) | .[$key] | '"$JQ_WORDS"
}

# quiet_cluster: all that can be said is said away.
quiet_cluster() {
    local name
    rm -r "$host/etc/pve/nodes/gone"
    for name in n4 n7 n8 n9; do
        node $name no-gpu
    done
}

# speaks [ID:SEVERITY…]: exactly these.
speaks() {
    [ "$(heard)" = "$*" ] || { nvlxc doctor --cluster; echo "expected: $*"; echo "heard: $(heard)"; return 1; }
}

# has ID KEY TEXT…
has() {
    local text got
    got=$(part "$1" "$2")
    for text in "${@:3}"; do
        [[ $got == *"$text"* ]] || { echo "expected: $text"; echo "got: $got"; return 1; }
    done
}

@test "doctor: nothing is wrong between the nodes" {
    quiet_cluster
    run -0 nvlxc doctor --cluster
    [[ ${lines[0]} == "nothing is wrong: 5 checks of the 10 nodes of the cluster" ]]
    says "Is each node's folder a member's?"
    [ "$(nvlxc --json doctor --cluster | jq -c '[.checked, .findings]')" = '[5,[]]' ]
    run -2 nvlxc doctor --cluster 220
    run -2 nvlxc doctor --cluster --fix
}

@test "node-unpublished: a note where nobody needs it, else a warning" {
    quiet_cluster
    rm "$host/etc/pve/nodes/n4/nvlxc.json"
    speaks node-unpublished:note
    has node-unpublished evidence "/etc/pve/nodes/n4/nvlxc.json was never written"
    ct n4 304 "$(grant all)"
    speaks node-unpublished:warning
    has node-unpublished evidence "container 304 with a grant is there"
    has node-unpublished fix "ssh -t n4 nvlxc host publish"
    node n4 no-gpu '.format = 0'
    has node-unpublished fix "ssh -t n4 apt install --only-upgrade nvlxc" "ssh -t n4 nvlxc host publish"
    node n4 no-gpu '.format = 2'
    speaks node-unpublished:warning
    has node-unpublished title "what n4 publishes cannot be used"
    [ "$(part node-unpublished fix)" = "apt install --only-upgrade nvlxc" ]
}

@test "node-unpublished: this node has something else now; the fix mends it" {
    quiet_cluster
    node pve h100-mig
    speaks node-unpublished:warning
    has node-unpublished title "pve publishes something else than what it has"
    [ "$(part node-unpublished fix)" = "nvlxc host publish" ]
    nvlxc host publish
    speaks
}

@test "node-removed: named, and nothing of it is looked at" {
    quiet_cluster
    mkdir -p "$host/etc/pve/nodes/gone/lxc"
    ct gone 305 "$(grant $A5500)"
    speaks node-removed:note
    has node-removed fix "rm -r /etc/pve/nodes/gone"
}

@test "node-gpu-absent: a grant by UUID whose GPU is on another node" {
    quiet_cluster
    ct n1 301 "$(grant $OTHER)"
    ct n1 302 "$(grant all)"
    speaks
    ct n3 303 "$(grant $OTHER)"
    speaks node-gpu-absent:error:303
    has node-gpu-absent title "its GPU is not on n3, its node"
    has node-gpu-absent evidence "$OTHER is not on n3: it has GPUs 0 and 1" "n1 has it"
    has node-gpu-absent fix "ssh -t n3 nvlxc attach 303"
    run -1 nvlxc doctor --cluster
}

@test "node-move-blind: HA may start it where it has no GPU" {
    quiet_cluster
    ct n1 301 "$(grant $OTHER)"
    mkdir "$host/etc/pve/ha"
    printf 'ct: 301\n\tgroup some\n' >"$host/etc/pve/ha/resources.cfg"
    printf 'group: some\n\tnodes n1,n6\n\trestricted\n' >"$host/etc/pve/ha/groups.cfg"
    speaks node-move-blind:warning:301
    has node-move-blind evidence "to n6 by HA: $OTHER is not on n6"
    has node-move-blind fix 'nvlxc show 301 --cluster'
    sed -i 's/,n6//' "$host/etc/pve/ha/groups.cfg"
    speaks
}

@test "node-driver-differs: an older driver is a warning, a newer one a note" {
    quiet_cluster
    ct n1 301 "$(grant all)"
    printf 'local: 301-0\n\ttarget n3\n' >"$host/etc/pve/replication.cfg"
    speaks node-driver-differs:warning:301
    has node-driver-differs evidence "n3: 535" "(replication)" "n1: 580" "(is there)"
    has node-driver-differs fix "nvlxc host setup"
    node n3 two-gpus-535 '.driver.version = "999.10"'
    speaks node-driver-differs:note:301
}

# --- publish ---

published() {
    cat "$host/etc/pve/nodes/pve/nvlxc.json"
}

@test "publish: only what has changed is written, and the time is no change" {
    local file=$host/etc/pve/nodes/pve/nvlxc.json
    sed -i 's/"published": "[^"]*"/"published": "2020-01-01T00:00:00Z"/' "$file"
    before=$(published)
    inode=$(stat -c %i "$file")
    run -0 nvlxc host publish
    says "this node's file says already what it has"
    [ "$(published)" = "$before" ] && [ "$(stat -c %i "$file")" = "$inode" ]
    # the driver was replaced
    sed -i 's/550\.163\.01/550.163.02/' "$host/proc/driver/nvidia/version"
    run -0 nvlxc host publish --dry-run
    says "would publish what this node has"
    [ "$(published)" = "$before" ]
    run -0 nvlxc --json host publish
    [ "$(jq -c '[.changed, .is_in_cluster]' <<<"$output")" = '[true,true]' ]
    [ "$(published | jq -r .driver.version)" = 550.163.02 ]
    [[ $(published | jq -r .published) > 2026 ]]
    [ "$(find "$host/etc/pve/nodes/pve" -name 'nvlxc.json*' | wc -l)" = 1 ]
}

@test "publish: a damaged file, and one of another format, are replaced; the size of memory is kept" {
    echo '{' >"$host/etc/pve/nodes/pve/nvlxc.json"
    run -0 nvlxc host publish
    [ "$(published | jq .format)" = 1 ]
    node pve h100-mig '.format = 2'
    run -0 nvlxc host publish
    [ "$(published | jq -c '[.format, .gpus[0].uuid]')" = "[1,\"$A5500\"]" ]
    published | jq '.gpus[0].memory_total_bytes = 17179869184 | .driver.version = "1.2"' >"$BATS_TEST_TMPDIR/new"
    cp "$BATS_TEST_TMPDIR/new" "$host/etc/pve/nodes/pve/nvlxc.json"
    run -0 nvlxc host publish
    [ "$(published | jq -c '[.driver.version, .gpus[0].memory_total_bytes]')" = '["550.163.01",17179869184]' ]
    run -0 nvlxc gpus --cluster
    says "16 GiB"
}

@test "publish: without quorum nothing is written, and it is said; --wait waits" {
    no_quorum
    before=$(published)
    sed -i 's/550\.163\.01/550.163.02/' "$host/proc/driver/nvidia/version"
    run -3 nvlxc host publish
    says "the Proxmox cluster has no quorum" "/etc/pve/nodes/pve/nvlxc.json stays as it is" "pvecm status"
    [ "$(published)" = "$before" ]
    (sleep 1.5 && chmod 0755 "$host/etc/pve/local") 3>&- &
    run -0 nvlxc host publish --wait 20
    wait
    [ "$(published | jq -r .driver.version)" = 550.163.02 ]
    run -2 nvlxc host publish --wait soon
    run -2 nvlxc host --wait 5
}

@test "publish: killed before the rename, the file is the old one, and the next sweeps what is left" {
    sed -i 's/550\.163\.01/550.163.02/' "$host/proc/driver/nvidia/version"
    before=$(published)
    ASAN_OPTIONS=detect_leaks=0 run strace -f -qq -o /dev/null -e trace=renameat,renameat2 \
        -e inject=renameat,renameat2:signal=KILL:error=EIO:when=1 -- "$NVLXC" --root "$host" host publish
    [ "$status" = 137 ]
    [ "$(published)" = "$before" ]
    # its reader waits for nobody: the file is there
    [ "$(of_node pve .file)" = '"good"' ]
    run -0 nvlxc host publish
    [ "$(find "$host/etc/pve/nodes/pve" -name 'nvlxc.json*' | wc -l)" = 1 ]
}

@test "publish: pmxcfs writes no more: an error that says so" {
    sed -i 's/550\.163\.01/550.163.02/' "$host/proc/driver/nvidia/version"
    before=$(published)
    ASAN_OPTIONS=detect_leaks=0 run -3 strace -f -qq -o /dev/null -e trace=renameat,renameat2 \
        -e inject=renameat,renameat2:error=EACCES -- "$NVLXC" --root "$host" host publish
    says "/etc/pve/nodes/pve"
    [ "$(published)" = "$before" ]
    [ "$(find "$host/etc/pve/nodes/pve" -name 'nvlxc.json*' | wc -l)" = 1 ]
}

@test "publish: this node is no member" {
    sed -i '/"pve": /d' "$host/etc/pve/.members"
    run -3 nvlxc host publish
    says "the cluster has no member pve"
}

@test "a file that its node is replacing is read" {
    ASAN_OPTIONS=detect_leaks=0 run -0 strace -f -qq -o "$BATS_TEST_TMPDIR/trace" -P etc/pve/nodes/n1/nvlxc.json -e trace=openat2 \
        -e inject=openat2:error=ENOENT:when=1..3 -- "$NVLXC" --root "$host" --json gpus --cluster
    grep -q INJECTED "$BATS_TEST_TMPDIR/trace"
    [ "$(sed -n '/^{/,$p' <<<"$output" | jq -r '.cluster_nodes[] | select(.cluster_node == "n1").file')" = good ]
}
