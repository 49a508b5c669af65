# A captured host is data: whatever its files are, nothing of them is loaded or executed, whatever is asked of it.

bats_require_minimum_version 1.5.0
load "$NVL_SOURCE/tests/lib/hosts.bash"

NVLXC="$NVL_BUILD/src/cli/nvlxc"

# Every library and program of the host leaves a mark when its code runs, and so do those that a search could find.
arm() {
    local host=$1 version lib
    version=$(grep -Eom1 '[0-9]+\.[0-9.]+' "$host/proc/driver/nvidia/version")
    cat > "$BATS_TEST_TMPDIR/mark.c" <<C
#include <fcntl.h>
#include <unistd.h>
__attribute__((constructor)) static void leave_mark(void)
{
    close(open("$BATS_TEST_TMPDIR/executed", O_CREAT | O_WRONLY, 0600));
}
int main(void) { return 0; }
C
    cc -shared -fPIC -o "$BATS_TEST_TMPDIR/mark.so" "$BATS_TEST_TMPDIR/mark.c"
    cc -o "$BATS_TEST_TMPDIR/mark" "$BATS_TEST_TMPDIR/mark.c"
    mkdir -p "$host/var/lib/nvlxc/driver/$version/lib64" "$host"/usr/{bin,sbin,lib/x86_64-linux-gnu/nvidia/current}
    for lib in libnvidia-ml.so.1 libnvidia-ml.so."$version" libcuda.so.1 libcuda.so."$version" libsmartcols.so.1 libelf.so.1 \
        libc.so.6 libdl.so.2 libjansson.so.4; do
        for folder in "var/lib/nvlxc/driver/$version/lib64" usr/lib/x86_64-linux-gnu usr/lib/x86_64-linux-gnu/nvidia/current; do
            rm -f "$host/$folder/$lib" && cp "$BATS_TEST_TMPDIR/mark.so" "$host/$folder/$lib"
        done
    done
    find "$host" -name '*.so*' -type f -exec cp "$BATS_TEST_TMPDIR/mark.so" {} \;
    for lib in bin/{nvidia-smi,pct,pvesh,pvesm,qm,systemctl,lxc-info,lxc-start,dkms,modinfo,dpkg,dpkg-query,apt-get,apt-cache} \
        sbin/{ldconfig,modprobe,update-initramfs,dkms,pct}; do
        rm -f "$host/usr/$lib" && cp "$BATS_TEST_TMPDIR/mark" "$host/usr/$lib"
    done
    rm -f "$BATS_TEST_TMPDIR/executed"
}

@test "the mark is left by what is loaded and by what is executed" {
    arm "$(fixture h100-mig)"
    LD_PRELOAD=$BATS_TEST_TMPDIR/mark.so /bin/true
    [ -e "$BATS_TEST_TMPDIR/executed" ]
    rm "$BATS_TEST_TMPDIR/executed"
    "$BATS_TEST_TMPDIR/mark"
    [ -e "$BATS_TEST_TMPDIR/executed" ]
}

@test "no command loads a library of a captured host, or starts a program of it" {
    local name command
    for name in h100-mig a5500-550 upgraded; do
        host=$(fixture "$name")
        arm "$host"
        mkdir -p "$host"/etc/pve/lxc && printf 'arch: amd64\nhostname: box\n' > "$host/etc/pve/lxc/220.conf"
        while read -r command; do
            # shellcheck disable=SC2086 # words
            ASAN_OPTIONS=verify_asan_link_order=0 "$NVLXC" --root "$host" $command > "$BATS_TEST_TMPDIR/said" 2>&1 || true
            # it got as far as its own work
            ! grep -q 'usage:' "$BATS_TEST_TMPDIR/said" || { echo "$command: $(cat "$BATS_TEST_TMPDIR/said")"; false; }
            [ ! -e "$BATS_TEST_TMPDIR/executed" ] || { echo "$name: nvlxc $command ran code of the host"; false; }
        done <<'COMMANDS'
host
gpus
gpus --nodes
list
ps
top
top --once --json
metrics
doctor
doctor 220
driver list
driver sync
driver sync --dry-run
driver verify
driver prune --dry-run
attach 220 --gpu MIG-11111111-2222-3333-4444-555555555555
attach 220 --gpu 0
attach 220 --gpu all
show 220
cdi 220
cdi --output /run/nvlxc.json
verify 220
bench 220
ps 220
host setup --dry-run
detach 220
template list
COMMANDS
    done
}
