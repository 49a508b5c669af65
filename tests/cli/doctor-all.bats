#!/usr/bin/env bats
# doctor without CT: it looks at every container, names those that have something to do with GPUs, and stays fast; what
# containers write cannot reach the terminal that it prints to.
# shellcheck disable=SC2030,SC2031,SC2154,SC2016
bats_require_minimum_version 1.5.0

# shellcheck source=/dev/null
source "$NVL_SOURCE/tests/lib/hosts.bash"

setup() {
    HOST=$(fixture a5500-550)
    rm "$HOST/etc/pve/lxc/223.conf"
    PVE=$HOST/etc/pve/lxc
    WEB=$HOST/var/lib/lxc/web
    MEDIA=$HOST/home/alice/.local/share/lxc/media
}

nvlxc() {
    "$NVL_BUILD/src/cli/nvlxc" --root "$HOST" "$@"
}

# found: "SCOPE ID SEVERITY" of each finding, sorted.
found() {
    nvlxc --json doctor | jq -r '.findings[] | (.container // "host") + " " + .id + " " + .severity' | sort
}

@test "containers that have no grant and no NVIDIA line in force: what is lost in their configs is found" {
    sed -i '/^\[before-gpu\]/s/before-gpu/before/; /[Gg][Pp][Uu]/d' "$PVE/220.conf" # nothing but a number says it
    printf '%s\n' 'lxc.cgroup2.devices.allow:  c  195:* rwm' >> "$PVE/220.conf" # in its snapshot's section
    sed -i '1i \ lxc.environment: NVIDIA_VISIBLE_DEVICES=all' "$PVE/221.conf"
    sed -i '1i # NVIDIA GPU passthrough begin\n# NVIDIA GPU passthrough end' "$PVE/222.conf"
    echo 'dev0: /dev/nvidia0' >> "$WEB/config"
    cat >> "$HOST/var/lib/lxc/box/config" <<'END'
lxc.environment = NVIDIA_VISIBLE_DEVICES=all
lxc.environment = NVIDIA_DRIVER_CAPABILITIES=compute,gpu
lxc.hook.mount = </dev/null; [ ! -x /usr/libexec/nvlxc/hook ] || exec /usr/libexec/nvlxc/hook
END
    run -0 found
    [ "$output" = "220 section-lines error
221 lines-dropped warning
222 marker-comments note
box grant-unreadable error
root/web other-dialect warning" ]
    run -1 nvlxc doctor
    [[ "${lines[*]: -2}" == *"2 errors, 2 warnings, 1 note in "*" checks of the host and 5 containers (220, 221, 222, box, root/web)" ]]
    run -1 nvlxc doctor --report
    for text in '| container | 220 (Proxmox CT, unprivileged, no GPU, running) |' '| container | box (LXC, privileged, '; do
        [[ $output == *"$text"* ]] || { echo "$output"; return 1; }
    done
}

@test "containers that have nothing to do with GPUs are not mentioned, nor those that only speak of one" {
    sed -i '1i # uses the NVIDIA GPU of another machine' "$PVE/221.conf"
    sed -i 's/^hostname:.*/hostname: cuda-docs/' "$PVE/222.conf"
    # an older snapshot, and a folder of libraries without anything of NVIDIA's
    printf '%s\n' '[aaa]' 'dev0: /dev/nvidia0' '' '[zzz]' 'memory: 512' >> "$PVE/221.conf"
    echo 'lxc.mount.entry = /usr/lib usr/lib none bind 0 0 # no gpu' >> "$WEB/config"
    run -0 nvlxc doctor
    [[ ${lines[0]} == "nothing is wrong: "*" checks of the host; no container has a GPU" ]]
    run -0 nvlxc doctor --report
    [[ $output == *'| containers | none with a GPU |'* ]]
    # of those that speak of one the config is asked, the root file system is not
    local some all none
    rm -r "$PVE"/22[02].conf "$HOST"/var/lib/lxc/* "$HOST"/home/*/.local
    some=$(nvlxc --json doctor | jq .checked)
    all=$(nvlxc --json doctor 221 | jq .checked)
    rm "$PVE/221.conf"
    none=$(nvlxc --json doctor | jq .checked)
    [ "$none" -lt "$some" ] && [ "$some" -lt "$all" ]
}

@test "a config that cannot be read is said, and keeps nobody else from being looked at" {
    printf 'lxc.environment = A=\0\n' >> "$WEB/config"
    printf '%s\n' 'lxc.cgroup2.devices.allow: c 195:* rwm' >> "$PVE/220.conf"
    run -1 --separate-stderr nvlxc doctor
    [[ $output == *"container 220: its NVIDIA lines are in a section"* ]]
    [[ $stderr == *"nvlxc: warning: "*"/var/lib/lxc/web/config"* ]]
    [ "$(wc -l <<< "$stderr")" -eq 1 ]
    # by name it is an error
    run -1 --separate-stderr nvlxc doctor root/web
    [[ $stderr == "nvlxc: "*/var/lib/lxc/web/config* ]]
}

@test "ten thousand containers: seconds, and no more memory than for ten" {
    local i small=$HOST/etc/pve/lxc
    rm "$small"/*.conf
    for ((i = 1000; i < 1010; i++)); do printf 'arch: amd64\nhostname: c%d\nunprivileged: 1\nonboot: 1\n' $i > "$small/$i.conf"; done
    /usr/bin/time -f %M -o "$BATS_TEST_TMPDIR/ten" "$NVL_BUILD/src/cli/nvlxc" --root "$HOST" --json doctor > /dev/null
    for ((i = 1010; i < 11000; i++)); do ln "$small/$((1000 + i % 10)).conf" "$small/$i.conf"; done
    printf '%s\n' 'lxc.mount.entry: /dev/nvidia7 dev/nvidia7 none bind,optional' > "$small/11000.conf"
    run -1 /usr/bin/time -f '%U %M' -o "$BATS_TEST_TMPDIR/many" timeout 200 "$NVL_BUILD/src/cli/nvlxc" --root "$HOST" --json doctor
    local seconds memory
    read -r seconds memory < <(tail -n 1 "$BATS_TEST_TMPDIR/many") # of the processor: others may keep it busy
    [ "${seconds%.*}" -le 10 ]
    [ "$(jq -r '.findings[] | (.container // "host") + " " + .id' <<< "$output")" = "11000 mount-source-missing" ]
    # their names and places are kept, nothing of their configs: a config of 4 KiB each would be 40 MB
    grep -q __asan_init "$NVL_BUILD/src/cli/nvlxc" || # which keeps what was freed
        [ "$memory" -lt "$(($(tail -n 1 "$BATS_TEST_TMPDIR/ten") + 12000))" ]
}

# --- hostile text ---

# A title for the terminal, the screen cleared, C1's CSI, a text that runs backwards, no UTF-8, an overlong slash, half a
# surrogate, and a character of several bytes that is harmless.
EVIL=$'\e]0;owned\a\e[2J\u009b31m\u202egnp.exe\xff\xc0\xaf\xed\xa0\x80\xe2\x82ok\u2066é'
CLEAN='?]0;owned??[2J??31m???gnp.exe??????'

# harmless TEXT: it is UTF-8, and nothing of it is obeyed by a terminal.
harmless() {
    iconv -f UTF-8 -t UTF-8 <<< "$1" > /dev/null || return
    ! LC_ALL=C.UTF-8 grep -nP '[\x00-\x08\x0b-\x1f\x7f\x{80}-\x{9f}\x{200e}\x{200f}\x{202a}-\x{202e}\x{2066}-\x{2069}]' <<< "$1"
}

# says_evil ARGUMENTS...: doctor, in each of its forms, shows the evidence, and nothing that is obeyed.
says_evil() {
    local form
    for form in '' --json --report; do
        run "$NVL_BUILD/src/cli/nvlxc" --root "$HOST" doctor $form "$@"
        [ "$status" -eq 1 ]
        [ -n "$output" ]
        harmless "$output"
        [[ $form != --json ]] || output=$(jq -r '.findings[] | to_entries[].value' <<< "$output")
        harmless "$output"
        [[ $output == *owned*gnp.exe*ok* ]] || { echo "$output" | cat -v; return 1; }
    done
}

@test "the test's own eye: it sees each of what must not be printed" {
    local bad
    for bad in $'\e' $'\a' $'\x7f' $'\u009b' $'\u202e' $'\u2066' $'a\rb'; do
        run ! harmless "a${bad}b"
    done
    run ! harmless $'\xff'
    run ! harmless $'\xed\xa0\x80'
    harmless $'é\tü\n…'
}

@test "escape sequences in a user's config" {
    printf 'lxc.mount.entry = /dev/nvidia9%s dev/nvidia9 none bind,optional\n' "$EVIL" >> "$MEDIA/config"
    says_evil
    says_evil media
    [[ $(nvlxc --json doctor | jq -r '.findings[].evidence') == *"/dev/nvidia9$CLEAN"*é* ]]
    # in an unreadable variable
    cat >> "$WEB/config" <<END
lxc.environment = NVIDIA_VISIBLE_DEVICES=$EVIL
lxc.hook.mount = </dev/null; [ ! -x /usr/libexec/nvlxc/hook ] || exec /usr/libexec/nvlxc/hook
END
    sed -i '$d' "$MEDIA/config"
    [[ $(nvlxc --json doctor root/web | jq -r '.findings[].id') == *grant-unreadable* ]]
    says_evil root/web
    says_evil
}

@test "escape sequences in a root file system: the release, a service's user, a library's name and folder" {
    local root=$WEB/rootfs
    mkdir -p "$root"/{etc/systemd/system,lib64,usr/lib/x86_64-linux-gnu,usr/share}
    printf 'ID="deb%s"\nVERSION_ID="12"\n' "$EVIL" > "$root/etc/os-release"
    printf 'lxc.mount.entry = /dev/nvidia0 dev/nvidia0 none bind,optional\n' >> "$WEB/config"
    printf 'lxc.mount.entry = /usr/lib usr/lib none bind 0 0\n' >> "$WEB/config"
    says_evil root/web
    [[ $(nvlxc --json doctor root/web | jq -r '.findings[] | select(.id == "library-folder-mounted").evidence') == *"deb?"* ]]
    sed -i '$d' "$WEB/config"
    printf 'ID=debian\nVERSION_ID="12"\n' > "$root/etc/os-release"

    printf 'root:x:0:0:root:/root:/bin/sh\no%s:x:990:990::/:/bin/false\n' "$EVIL" > "$root/etc/passwd"
    printf '[Service]\nUser=o%s\n' "$EVIL" > "$root/etc/systemd/system/ollama.service"
    chmod 0660 "$HOST/dev/nvidia0"
    sed -i 's/DeviceFileMode: 438/DeviceFileMode: 432/' "$HOST/proc/driver/nvidia/params"
    says_evil root/web
    [[ $(nvlxc --json doctor root/web | jq -r '.findings[] | select(.id == "service-user-denied").evidence') == *"runs as o?"* ]]
    rm "$root/etc/systemd/system/ollama.service"
    chmod 0666 "$HOST/dev/nvidia0"

    mkdir "$root/opt$EVIL" "$root/opt$EVIL/stubs" && touch "$root/opt$EVIL/stubs/libcuda.so.1"
    printf 'lxc.environment = LD_LIBRARY_PATH=/opt%s/stubs\n' "$EVIL" >> "$WEB/config"
    says_evil root/web
    [[ $(nvlxc --json doctor root/web | jq -r '.findings[] | select(.id == "cuda-stubs").evidence') == *"/opt?"* ]]
}

@test "a user's container whose name is hostile: no UTF-8, a text that runs backwards, Markdown" {
    local name=$'a\u202e\xffb|<img src=x>`c'
    mv "$MEDIA" "${MEDIA%/*}/$name"
    sed -i "/rootfs.path/d" "${MEDIA%/*}/$name/config"
    echo 'lxc.mount.entry = /dev/nvidia9 dev/nvidia9 none bind,optional' >> "${MEDIA%/*}/$name/config"
    local form
    for form in '' --json --report; do
        run -1 --separate-stderr "$NVL_BUILD/src/cli/nvlxc" --root "$HOST" doctor $form
        harmless "$output"
        [[ $output == *'a????b'* ]] || { echo "$output" | cat -v; return 1; }
    done
    [[ $output == *'| container | a????b\|\<img src=x\>\`c (LXC of USER, '* ]]
    [[ $output == *'### '*'container a????b\|\<img src=x\>\`c)'* ]]
    # and where its config cannot be read
    printf '\0' >> "${MEDIA%/*}/$name/config"
    run -0 --separate-stderr nvlxc doctor
    [[ $stderr == *'a????b'* ]]
    harmless "$stderr"
}
