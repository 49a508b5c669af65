# nvlxc create on plain LXC with a network (slirp4netns): a Debian that mmdebstrap makes, packages from Debian's archive and from
# npm's registry, CUDA's libraries, the table of verify at the end. Its container has the stub driver.
load setup
# shellcheck source=/dev/null
source "$NVL_SOURCE/tests/lib/stub-driver.bash"

STUBS=/run/stubs
C=/var/lib/lxc/llama-cpp
CREATE=(nvlxc create llama-cpp --ip 10.0.2.50/24 --gw 10.0.2.2 --yes)

setup_file() {
    echo nameserver 10.0.2.3 > /etc/resolv.conf
    nvlxc driver sync --quiet
    build_stubs $STUBS
    stub_bundle $STUBS 550.163.01
    mkdir -p /usr/share/nvlxc
    cp -r "$NVL_SOURCE/data/templates" /usr/share/nvlxc/
    # LXC looks for the bridge in the sysfs of this network namespace
    mkdir -p /run/sys /sys/devices/virtual
    mount -t sysfs sysfs /run/sys
    mount --bind /run/sys/class/net /sys/class/net
    mount --bind /run/sys/devices/virtual /sys/devices/virtual
    trust_as_here
}

# The container trusts whom this machine trusts, which may have a proxy's own certificates, and has a driver behind its nodes.
trust_as_here() {
    mv /usr/bin/mmdebstrap /usr/bin/mmdebstrap.real
    cat > /usr/bin/mmdebstrap <<'M'
#!/bin/sh
for certificate in /usr/local/share/ca-certificates/*.crt; do
    [ ! -e "$certificate" ] || set -- "--customize-hook=upload $certificate $certificate" "$@"
done
exec /usr/bin/mmdebstrap.real "$@" \
    '--customize-hook=chroot "$1" update-ca-certificates' \
    '--customize-hook=echo cafile=/etc/ssl/certs/ca-certificates.crt > "$1/root/.npmrc"' \
    '--customize-hook=upload /run/stubs/stub-open.so /usr/local/lib/stub-open.so' \
    '--customize-hook=echo /usr/local/lib/stub-open.so > "$1/etc/ld.so.preload"; : > "$1/etc/stub-driver"'
M
    chmod 755 /usr/bin/mmdebstrap
}

teardown_file() {
    stop llama-cpp || true
}

@test "llama-cpp: killed in each of its steps, and run again, up to the table of verify" {
    local n hit=""
    for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14; do
        hit+=" $(killed_in llama-cpp "$n" "${CREATE[@]}")"
    done
    echo "killed in:$hit"; tail -n 12 /run/create.out
    # what is quick may be over before it can be killed
    [[ $hit == *create*install* ]]
    [ "$(tr ' ' '\n' <<< "$hit" | sed '/^$/d' | sort -u | wc -l)" -ge 3 ]
    # the last of these runs, too, may have come to its end
    if [ -e /var/lib/nvlxc/create/llama-cpp.json ]; then
        run -0 "${CREATE[@]}"
    else
        run -0 cat /run/create.out
    fi
    [[ $output == *"llama-cpp was begun before"*"cuda-kernel"*"pass"* ]]
    says "in the container: node-llama-cpp chat --gpu cuda" "llama-cpp is done"
    [ ! -e $C/.nvlxc-create ]
    [ ! -e /var/lib/nvlxc/create/llama-cpp.json ]
}

@test "its address is the one that was asked for, and its names are resolved" {
    run -0 inside llama-cpp ip -4 -o address show eth0
    [[ $output == *"inet 10.0.2.50/24"* ]]
    [ "$(wc -l <<< "$output")" = 1 ]
    run -0 inside llama-cpp getent ahosts deb.debian.org
}

@test "llama.cpp finds driver and CUDA's libraries" {
    local cuda=/opt/llama-cpp/node_modules/@node-llama-cpp/linux-x64-cuda-ext/bins/linux-x64-cuda/fallback/libggml-cuda.so
    run -0 inside llama-cpp ldd $cuda
    [[ $output == *"libcuda.so.1 => /usr/local/nvidia/lib64/libcuda.so.1"* ]]
    # llama.cpp's own comes from the folder beside it
    [ "$(grep 'not found' <<< "$output")" = $'\tlibggml-base.so => not found' ]
    # as far as it comes with a stub: libcudart asks the real driver for more
    run -0 inside llama-cpp node-llama-cpp inspect gpu
    [[ $output == *"CUDA is detected"* ]]
}

# has_root_mounts: mmdebstrap has made a root in which it runs programs.
has_root_mounts() {
    grep -qs mmdebstrap /proc/[0-9]*/mountinfo
}

@test "undone while its root file system is made: nothing is left" {
    setsid nvlxc create llama-cpp --hostname second --ip 10.0.2.51/24 --gw 10.0.2.2 --yes > /run/create.out 2>&1 3>&- &
    for _ in $(seq 600); do ! has_root_mounts || break; sleep 0.1; done
    has_root_mounts
    pkill -KILL -s $!
    wait $! || true
    run ! grep mmdebstrap /proc/self/mountinfo
    [ -z "$(ls -d /tmp/mmdebstrap.* 2> /dev/null)" ]
    run -0 nvlxc create --undo second --yes
    [ ! -e /var/lib/lxc/second ]
    [ ! -e /var/lib/nvlxc/create/second.json ]
    [ ! -e /dev/nvlxc/second ]
    run ! pgrep -f mmdebstrap.real
}
