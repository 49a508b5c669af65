#!/usr/bin/env bats
# nvlxc driver list, sync and prune, with the files of Debian's real driver packages of two branches.

bats_require_minimum_version 1.5.0

setup_file() {
    export CACHE="${NVL_CACHE:-$NVL_SOURCE/.cache}/drivers"
    export HOST="$BATS_FILE_TMPDIR/host" STORE=/var/lib/nvlxc/driver
    NVL_DRIVER_SETS="compute utility video opencl" "$NVL_SOURCE/tests/lib/driver-packages" 550 "$CACHE" "$HOST"
    # the branch's version is Debian's to raise
    V=$(basename "$(realpath "$HOST/usr/lib/x86_64-linux-gnu/nvidia/current/libcuda.so.1")" | sed 's/^libcuda.so.//')
    export V
    [[ $V == 550.* ]]
    "$NVL_BUILD/src/cli/nvlxc" --root "$HOST" driver sync >"$BATS_FILE_TMPDIR/first"
}

setup() {
    load "$NVL_SOURCE/tests/lib/hosts.bash"
    NVLXC="$NVL_BUILD/src/cli/nvlxc"
    BUNDLE="$HOST$STORE/$V"
}

# The host's files without its bundles, as hard links.
fresh_host() {
    local host
    host=$(mktemp -d "$BATS_TEST_TMPDIR/host.XXXXXX")
    cp -al "$HOST/." "$host"
    rm -rf "${host:?}/var"
    printf '%s\n' "$host"
}

loaded() {
    mkdir -p "$1/proc/driver/nvidia"
    echo "NVRM version: NVIDIA UNIX x86_64 Kernel Module  $2  Tue Apr  8 12:41:17 UTC 2025" \
        >"$1/proc/driver/nvidia/version"
}

store() {
    find "$1$STORE" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | tr '\n' ' '
}

# Every entry with its inode, size and times.
listing() {
    find "$1" -printf '%P %y %i %m %s %T@ %C@ %l\n' | sort
}

# What a bundle is, wherever its files came from.
content() {
    (cd "$1" && find . \( -type l -printf '%p -> %l\n' \) -o \( -type d -printf '%p/\n' \) &&
        find . -type f ! -name manifest.json -exec sha256sum {} + && cat sonames) | sort
}

@test "the bundle of Debian's packages is built, and says what it lacks" {
    run cat "$BATS_FILE_TMPDIR/first"
    [[ ${lines[0]} == "$V: built ("*" files, "*" MiB)" ]]
    [[ $output == *"graphics: none of its "*" files is installed: apt install libglx-nvidia0 "* ]]
    [[ $output == *"ngx: libnvidia-ngx.so.1 is not installed: apt install libnvidia-ngx1"* ]]
    [[ $output != *compute:* ]]
    [[ $output != *utility:* ]]
    [[ $output != *video:* ]]
    for file in bin/nvidia-smi lib64/libcuda.so.$V lib64/libnvidia-ml.so.$V lib64/libnvidia-encode.so.$V \
        lib64/libnvidia-nvvm.so.$V lib64/vdpau/libvdpau_nvidia.so.$V etc/OpenCL/vendors/nvidia.icd; do
        [ -f "$BUNDLE/$file" ]
        [ ! -L "$BUNDLE/$file" ]
    done
    [ "$(readlink "$BUNDLE/lib64/libcuda.so.1")" = libcuda.so."$V" ]
    [ "$(readlink "$BUNDLE/lib64/libcuda.so")" = libcuda.so.1 ]
    [ "$(readlink "$BUNDLE/lib64/libnvidia-nvvm.so.4")" = libnvidia-nvvm.so."$V" ]
    [ -z "$(find "$BUNDLE" -name 'libGL.so*' -o -name 'libEGL.so*')" ]
    [ "$(store "$HOST")" = ".lock $V " ]
}

@test "everything in it can be read by anyone, and belongs to root" {
    [ -z "$(find "$BUNDLE" ! -type l \( ! -user root -o ! -group root \))" ]
    [ -z "$(find "$BUNDLE" -type d ! -perm 0755)" ]
    [ -z "$(find "$BUNDLE/bin" -type f ! -perm 0755)" ]
    [ -z "$(find "$BUNDLE" -path "$BUNDLE/bin" -prune -o -type f ! -perm 0644 -print)" ]
}

@test "every link is relative, and leads to a file in the bundle" {
    local link target count=0
    while IFS= read -r link; do
        target=$(readlink "$link")
        [[ $target != /* ]]
        [[ $(realpath -e "$link") == "$(realpath "$BUNDLE")"/* ]]
        count=$((count + 1))
    done < <(find "$BUNDLE" -type l)
    [ "$count" -ge 10 ]
}

@test "sonames lists what the libraries say, and ldconfig finds them there" {
    local root="$BATS_TEST_TMPDIR/root" folder soname
    mkdir -p "$root/etc" "$root/usr/local/nvidia"
    cp -al "$BUNDLE/lib64" "$root/usr/local/nvidia"
    echo /usr/local/nvidia/lib64 >"$root/etc/ld.so.conf"
    /sbin/ldconfig -r "$root" -X
    /sbin/ldconfig -r "$root" -p >"$BATS_TEST_TMPDIR/cache"
    while read -r folder soname; do
        [ "$folder" = lib64 ]
        grep -qF "	$soname (libc6,x86-64) => /usr/local/nvidia/lib64/$soname" "$BATS_TEST_TMPDIR/cache"
    done <"$BUNDLE/sonames"
    [ "$(wc -l <"$BUNDLE/sonames")" = "$(find "$BUNDLE/lib64" -maxdepth 1 -type f | wc -l)" ]
}

@test "the real nvidia-smi and libcuda of the bundle run, and find no driver" {
    if [ -e /proc/driver/nvidia/version ]; then
        skip "this machine has a driver of its own"
    fi
    run -9 env LD_LIBRARY_PATH="$BUNDLE/lib64" "$BUNDLE/bin/nvidia-smi"
    [[ $output == *"couldn't communicate with the NVIDIA driver"* ]]
    cat >"$BATS_TEST_TMPDIR/cu.c" <<'END'
#include <dlfcn.h>
#include <stdio.h>
int main(void)
{
    void *cuda = dlopen("libcuda.so", RTLD_NOW);
    int (*init)(unsigned) = cuda ? (int (*)(unsigned))dlsym(cuda, "cuInit") : NULL;
    if (!init)
        return puts(dlerror()), 1;
    printf("cuInit %d\n", init(0));
    return 0;
}
END
    cc -o "$BATS_TEST_TMPDIR/cu" "$BATS_TEST_TMPDIR/cu.c"
    run -0 env LD_LIBRARY_PATH="$BUNDLE/lib64" "$BATS_TEST_TMPDIR/cu"
    [ "$output" = "cuInit 100" ] # CUDA_ERROR_NO_DEVICE
}

@test "the manifest names each file's source, and its checksum is right" {
    local path source
    [ "$(jq -r .version "$BUNDLE/manifest.json")" = "$V" ]
    (cd "$BUNDLE" && jq -r '.files[] | "\(.xxh128)  \(.path)"' manifest.json | xxhsum -q -c -)
    [ "$(jq '.files | length' "$BUNDLE/manifest.json")" = \
        "$(find "$BUNDLE" -type f ! -name manifest.json ! -name sonames | wc -l)" ]
    while IFS=$'\t' read -r path source; do
        cmp "$HOST$source" "$BUNDLE/$path"
        [ ! -L "$HOST$source" ]
    done < <(jq -r '.files[] | [.path, .source] | @tsv' "$BUNDLE/manifest.json")
}

@test "a second sync changes nothing" {
    listing "$HOST$STORE" >"$BATS_TEST_TMPDIR/before"
    run -0 --separate-stderr "$NVLXC" --root "$HOST" driver sync
    [[ ${lines[0]} == "$V: is up to date ("* ]]
    [ -z "$stderr" ]
    listing "$HOST$STORE" | diff "$BATS_TEST_TMPDIR/before" -
    run -0 "$NVLXC" --root "$HOST" --json driver sync "$V"
    [ "$(jq -c '[.dry_run, .synced[0].version, .synced[0].changed]' <<<"$output")" = "[false,\"$V\",false]" ]
    listing "$HOST$STORE" | diff "$BATS_TEST_TMPDIR/before" -
}

@test "--dry-run writes nothing, neither for a first bundle nor for a change" {
    local host
    host=$(fresh_host)
    listing "$host" >"$BATS_TEST_TMPDIR/before"
    run -0 "$NVLXC" --root "$host" driver sync --dry-run
    [[ ${lines[0]} == "$V: would be built ("* ]]
    listing "$host" | diff "$BATS_TEST_TMPDIR/before" -

    "$NVLXC" --root "$host" driver sync >/dev/null
    rm "$host$STORE/$V/lib64/libcuda.so.$V"
    listing "$host" >"$BATS_TEST_TMPDIR/before"
    run -0 "$NVLXC" --root "$host" --json driver sync --dry-run
    [ "$(jq -c '[.dry_run, .synced[0].changed]' <<<"$output")" = "[true,true]" ]
    run -0 "$NVLXC" --root "$host" driver sync --dry-run
    [[ ${lines[0]} == "$V: would be brought up to date ("* ]]
    listing "$host" | diff "$BATS_TEST_TMPDIR/before" -

    run -0 "$NVLXC" --root "$host" driver sync
    [[ ${lines[0]} == "$V: brought up to date ("* ]]
    content "$host$STORE/$V" | diff <(content "$BUNDLE") -
}

# The libraries of HOST, laid out in other folders of a new root: $1 its library folder, $2 its prefix.
lay_out() {
    local root file lib=$1 prefix=$2
    root=$(mktemp -d "$BATS_TEST_TMPDIR/layout.XXXXXX")
    mkdir -p "$root/etc/ld.so.conf.d" "$root$lib/vdpau" "$root$prefix/bin" "$root/etc/OpenCL/vendors"
    find "$HOST/usr/lib/x86_64-linux-gnu" -type f -name "lib*.so.$V" ! -name 'libvdpau*' -exec ln -t "$root$lib" {} +
    ln "$HOST/usr/lib/x86_64-linux-gnu/nvidia/current/libvdpau_nvidia.so.$V" "$root$lib/vdpau"
    ln -s "libvdpau_nvidia.so.$V" "$root$lib/vdpau/libvdpau_nvidia.so.1"
    ln "$HOST"/usr/lib/nvidia/current/nvidia-{smi,debugdump} "$root$prefix/bin"
    cp -p "$HOST/etc/OpenCL/vendors/nvidia.icd" "$root/etc/OpenCL/vendors"
    echo "$lib" >"$root/etc/ld.so.conf"
    /sbin/ldconfig -r "$root"
    printf '%s\n' "$root"
}

@test "the layouts of .run and of a private prefix give the same bundle" {
    local root
    for layout in "/usr/lib/x86_64-linux-gnu /usr" "/usr/lib64 /usr" "/usr/local/nvidia/lib64 /usr/local/nvidia" \
        "/opt/nvidia/lib64 /opt/nvidia"; do
        # shellcheck disable=SC2086
        root=$(lay_out $layout)
        run -0 "$NVLXC" --root "$root" driver sync
        [[ ${lines[0]} == "$V: built ("* ]]
        [[ $output == *"install the driver again, with all its parts"* ]]
        content "$root$STORE/$V" | diff <(content "$BUNDLE") -
        rm -rf "$root"
    done
}

@test "graphics and 32-bit libraries" {
    local root="$BATS_TEST_TMPDIR/root" bundle
    NVL_DRIVER_SETS="small graphics" "$NVL_SOURCE/tests/lib/driver-packages" --i386 550 "$CACHE" "$root"
    "$NVLXC" --root "$root" driver sync >"$BATS_TEST_TMPDIR/out"
    bundle="$root$STORE/$V"
    grep -qx '  graphics: libnvoptix.so.1 is not installed: apt install libnvoptix1' "$BATS_TEST_TMPDIR/out"
    [ "$(readlink "$bundle/lib64/gbm/nvidia-drm_gbm.so")" = ../libnvidia-allocator.so."$V" ]
    [ "$(readlink "$bundle/lib64/libGLX_nvidia.so.0")" = libGLX_nvidia.so."$V" ]
    [ "$(readlink "$bundle/lib64/libnvidia-api.so.1")" = libnvidia-api.so."$V" ]
    [ "$(readlink "$bundle/lib32/libcuda.so.1")" = libcuda.so."$V" ]
    [ "$(head -c 5 "$bundle/lib32/libnvidia-glcore.so.$V" | od -An -tx1 | tr -d ' ')" = 7f454c4601 ]
    [ "$(head -c 5 "$bundle/lib64/libnvidia-glcore.so.$V" | od -An -tx1 | tr -d ' ')" = 7f454c4602 ]
    for file in vulkan/icd.d/nvidia_icd.json vulkan/implicit_layer.d/nvidia_layers.json \
        glvnd/egl_vendor.d/10_nvidia.json; do
        cmp "$root/usr/share/$file" "$bundle/share/$file"
    done
    grep -qx 'lib32 libGLX_nvidia.so.0' "$bundle/sonames"
    grep -qx "lib64 libnvidia-gpucomp.so.$V" "$bundle/sonames"
    (cd "$bundle" && jq -r '.files[] | "\(.xxh128)  \(.path)"' manifest.json | xxhsum -q -c -)
}

@test "packages upgraded, not rebooted: the running driver's bundle stays until it is not needed" {
    local host="$BATS_TEST_TMPDIR/host" old
    NVL_DRIVER_SETS=small "$NVL_SOURCE/tests/lib/driver-packages" 535 "$CACHE" "$host"
    old=$("$NVLXC" --root "$host" --json driver sync | jq -r '.synced[0].version')
    [[ $old == 535.* ]]
    loaded "$host" "$old"
    content "$host$STORE/$old" >"$BATS_TEST_TMPDIR/old"

    NVL_DRIVER_SETS=small "$NVL_SOURCE/tests/lib/driver-packages" 550 "$CACHE" "$host"
    run -0 "$NVLXC" --root "$host" driver sync
    [ "${lines[0]}" = "$old: kept as it is; its files are no longer installed on the host" ]
    [[ $output == *"$V: built ("* ]]
    content "$host$STORE/$old" | diff "$BATS_TEST_TMPDIR/old" -
    run -0 "$NVLXC" --root "$host" driver list
    [[ ${lines[1]} == "$V "*pending ]]
    [[ ${lines[2]} == "$old "*loaded ]]
    run -0 "$NVLXC" --root "$host" driver prune
    [ "${lines[0]}" = "$V: kept (pending)" ]
    [ "${lines[1]}" = "$old: kept (loaded)" ]

    # rebooted, while a container still has the old one
    loaded "$host" "$V"
    mkdir -p "$host/proc/77/ns"
    ln -s 'mnt:[4026532200]' "$host/proc/77/ns/mnt"
    echo "90 36 254:0 $STORE/$old /usr/local/nvidia ro - ext4 /dev/vda rw" >"$host/proc/77/mountinfo"
    run -0 "$NVLXC" --root "$host" --json driver list
    [ "$(jq -c '.bundles | map([.version, .complete, .loaded, .pending, .in_use])' <<<"$output")" = \
        "[[\"$V\",true,true,false,0],[\"$old\",true,false,false,1]]" ]
    [ "$(jq -r .driver.version <<<"$output")" = "$V" ]
    run -0 "$NVLXC" --root "$host" driver prune
    [ "${lines[1]}" = "$old: kept (in use by 1)" ]
    run -1 "$NVLXC" --root "$host" driver prune "$old"
    [[ $output == *"is kept: it is in use by 1"* ]]

    rm -r "$host/proc/77"
    run -0 "$NVLXC" --root "$host" driver prune --dry-run
    [[ ${lines[1]} == "$old: would be removed ("* ]]
    [ -d "$host$STORE/$old" ]
    run -0 "$NVLXC" --root "$host" driver prune
    [[ ${lines[1]} == "$old: removed ("* ]]
    [ "$(store "$host")" = ".lock $V " ]
    run -1 "$NVLXC" --root "$host" driver prune "$old"
    [[ $output == *"no driver bundle $old"* ]]
}

@test "the loaded driver's files are gone, and it has no bundle: an error that says what to do, but the other is built" {
    local host
    host=$(fresh_host)
    loaded "$host" 535.261.03
    run -3 --separate-stderr "$NVLXC" --root "$host" driver sync
    [[ $output == "$V: built ("* ]]
    [[ $stderr == "nvlxc: the loaded kernel module is 535.261.03, but its user-space files are not installed"* ]]
    [[ $stderr == *"try: reboot   # to load driver $V"*"or install the user-space files of 535.261.03"* ]]
    run -3 "$NVLXC" --root "$host" driver sync 470.256.02
    [[ $output == *"470.256.02"*"not installed (installed: $V)"* ]]
}

@test "a host without a driver" {
    local host
    host=$(fixture no-driver)
    run -3 "$NVLXC" --root "$host" driver sync
    [[ $output == "nvlxc: no NVIDIA driver on this host"* ]]
    [ ! -e "$host$STORE" ]
    run -0 "$NVLXC" --root "$host" driver list
    [[ $output == "no driver bundle"* ]]
    run -0 "$NVLXC" --root "$host" --json driver list
    [ "$(jq -c . <<<"$output")" = '{"format":1,"driver":{"loaded":false,"version":null,"flavour":null},"bundles":[],"from":null}' ]
    run -0 "$NVLXC" --root "$host" driver prune
}

@test "wrong command lines" {
    for line in "shrink" "list 550.163.01" "list --dry-run" "sync 550" "sync ../x" "prune all"; do
        # shellcheck disable=SC2086
        run -2 "$NVLXC" --root "$HOST" driver $line
        [[ $output == "nvlxc: "* ]]
    done
}

@test "only root may write on the machine itself" {
    if ! setpriv --reuid 65534 --clear-groups test -x "$NVLXC"; then
        skip "another user cannot reach the build folder"
    fi
    run -3 setpriv --reuid 65534 --clear-groups "$NVLXC" driver sync
    [[ $output == *"must run as root"* ]]
}

@test "a full disk: the store is as it was, the error says how much is needed and free" {
    local host
    host=$(fresh_host)
    mkdir -p "$host$STORE"
    # shellcheck disable=SC2016
    run -1 unshare -m sh -c 'mount -t tmpfs -o size=20m store "$1$2" && "$3" --root "$1" driver sync; r=$?
        ls -A "$1$2"; exit $r' sh "$host" "$STORE" "$NVLXC"
    [[ $output == *"no space for the driver bundle $STORE/$V: it needs "*" MiB, 20 MiB are free"* ]]
    [ "${lines[-1]}" = .lock ]
}

# somebody else writes there for two seconds: the work takes long
@test "progress is for terminals" {
    local host
    host=$(fresh_host)
    "$NVLXC" --root "$host" --quiet driver sync
    rm -rf "${host:?}/var/lib/nvlxc/driver/$V"
    export TERM=xterm
    flock "$host/var/lib/nvlxc/driver/.lock" sleep 2 3>&- &
    run -0 script -qec "'$NVLXC' --root '$host' driver sync" /dev/null
    [[ $output == *$'\e[K'"builds the driver bundle of $V"*$'\e[K'*"built"* ]]
    wait
    rm -rf "${host:?}/var/lib/nvlxc/driver/$V"
    flock "$host/var/lib/nvlxc/driver/.lock" sleep 2 3>&- &
    run -0 script -qec "'$NVLXC' --quiet --root '$host' driver sync" /dev/null
    [ -z "$output" ]
    wait
}

@test "what an earlier version kept of its search is removed by a sync, and nothing of others" {
    local host before
    host=$(fresh_host)
    mkdir -p "$host/var/lib/nvlxc"
    printf 'program: 0.1.0 4711 1\ninstalled: %s\nstate: 00\n' "$V" >"$host/var/lib/nvlxc/search"
    "$NVLXC" --root "$host" driver sync --dry-run
    [ -e "$host/var/lib/nvlxc/search" ]
    "$NVLXC" --root "$host" driver sync
    [ ! -e "$host/var/lib/nvlxc/search" ]
    for before in 'echo notes of somebody >' 'mkdir ' 'ln -s /etc/passwd '; do
        eval "$before\"$host/var/lib/nvlxc/search\""
        "$NVLXC" --root "$host" driver sync
        stat "$host/var/lib/nvlxc/search"
        rm -r "$host/var/lib/nvlxc/search"
    done
    # nothing to do: nothing is written
    before=$(listing "$host/var")
    run -0 "$NVLXC" --root "$host" driver sync
    [[ ${lines[0]} == "$V: is up to date ("*" files, "*" MiB)" ]]
    diff <(echo "$before") <(listing "$host/var")
}

@test "without libelf a bundle is not built, and that is said" {
    local host
    host=$(fresh_host)
    mkdir "$BATS_TEST_TMPDIR/lib"
    : >"$BATS_TEST_TMPDIR/lib/libelf.so.1"
    run -3 env LD_LIBRARY_PATH="$BATS_TEST_TMPDIR/lib" "$NVLXC" --root "$host" driver sync
    [[ $output == *"cannot load libelf.so.1, "*"apt install libelf1"* ]]
    [ "$(store "$host")" = ".lock " ]
}
