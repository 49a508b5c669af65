#!/usr/bin/env bats
# Bundles of real packages: the first and last branches that Debian has, another architecture, and what its archive has
# newest today. Nothing that the packages have may be left out, and nothing be called missing that the branch never had.

bats_require_minimum_version 1.5.0

# What the bundle's libraries are linked with and must find in the container.
CONTAINER="ld-linux-x86-64.so.2 ld-linux-aarch64.so.1 libc.so.6 libcrypto.so.3 libdl.so.2 libgcc_s.so.1 libm.so.6
    libpthread.so.0 librt.so.1 libutil.so.1 libX11.so.6 libXext.so.6 libGL.so.1 libEGL.so.1 libnvidia-egl-wayland.so.1"
# What the packages have and a bundle does not: the X server's GLX of the time before glvnd.
LEFT_OUT="libglx.so"

setup() {
    NVLXC="$NVL_BUILD/src/cli/nvlxc"
    # shellcheck source=tests/lib/clients.bash
    . "$NVL_SOURCE/tests/lib/clients.bash"
}

# One root for all: its bundles' libraries are looked at one after another.
setup_file() {
    export CACHE="${NVL_CACHE:-$NVL_SOURCE/.cache}" ROOT="$BATS_FILE_TMPDIR/container"
    mkdir "$ROOT"
    "$NVL_SOURCE/tests/lib/rootfs" debian-13 "$CACHE/rootfs" "$ROOT"
    # shellcheck source=tests/lib/clients.bash
    . "$NVL_SOURCE/tests/lib/clients.bash"
    "$NVL_SOURCE/tests/lib/packages" trixie "$CACHE" "$ROOT" "${CLIENTS[@]}" "${GL[@]}"
}

# A host with a branch's files; sets HOST, V and BUNDLE, and `out` to what the sync said.
bundled() {
    local tree
    tree=$("$NVL_SOURCE/tests/lib/driver-tree" "$1-all")
    HOST="$BATS_TEST_TMPDIR/host"
    cp -al "$tree" "$HOST" 2>/dev/null || cp -a "$tree" "$HOST"
    "$NVLXC" --root "$HOST" driver sync >"$BATS_TEST_TMPDIR/out"
    V=$(ls "$HOST/var/lib/nvlxc/driver")
    BUNDLE="$HOST/var/lib/nvlxc/driver/$V"
    sed 1d "$BATS_TEST_TMPDIR/out" >"$BATS_TEST_TMPDIR/missing"
}

# OptiX is the one part that is not unpacked, since it is large.
misses_only_optix() {
    cat "$BATS_TEST_TMPDIR/out"
    diff "$BATS_TEST_TMPDIR/missing" <([ -z "$1" ] || echo "  graphics: libnvoptix.so.1 is not installed: apt install $1")
}

# Each library, program, module and file of data of the packages is a source of the manifest, or left out by name.
has_all_of_packages() {
    local file name
    jq -r '.files[].source' "$BUNDLE/manifest.json" | sort -u >"$BATS_TEST_TMPDIR/sources"
    (cd "$HOST" && find usr etc -path usr/share/lintian -prune -o -type f \( -name '*.so' -o -name '*.so.*' -o -name '*.json' -o -name '*.icd' -o -name '*.dll' \
        -o -name 'nvidia-smi' -o -name 'nvidia-debugdump' -o -name '*-rc' \) -printf '/%p\n') | sort >"$BATS_TEST_TMPDIR/files"
    [ "$(wc -l <"$BATS_TEST_TMPDIR/files")" -gt 20 ]
    while read -r file; do
        name=${file##*/}
        [[ " $LEFT_OUT " == *" ${name%%.so*}.so "* ]] || { echo "left out: $file"; false; }
    done < <(comm -13 "$BATS_TEST_TMPDIR/sources" "$BATS_TEST_TMPDIR/files")
}

# Each library that one of the bundle's needs is in the bundle or in the list above.
needs_what_is_known() {
    local file needed
    while read -r file; do
        for needed in $(objdump -p "$file" | awk '$1 == "NEEDED" { print $2 }'); do
            [ -e "$BUNDLE/lib64/$needed" ] || [[ " $(echo $CONTAINER) " == *" $needed "* ]] ||
                { echo "$file needs $needed"; false; }
        done
    done < <(find "$BUNDLE/lib64" -type f -name '*.so*')
}

# The X server's modules want symbols of the server; Vulkan's producer of 470 wants the container's egl-wayland.
all_load_in_debian_13() {
    local libraries
    rm -rf "${ROOT:?}/usr/local/nvidia"
    cp -al "$BUNDLE" "$ROOT/usr/local/nvidia" 2>/dev/null || cp -a "$BUNDLE" "$ROOT/usr/local/nvidia"
    libraries=$(cd "$ROOT" && find usr/local/nvidia/lib64 -type f -name '*.so*' ! -path '*/xorg/*' \
        ! -name 'libnvidia-vulkan-producer.so.470.*' -printf '/%p ')
    # shellcheck disable=SC2086
    run -0 chroot "$ROOT" env LD_LIBRARY_PATH=/usr/local/nvidia/lib64 try-dlopen $libraries
    [ "${#lines[@]}" -ge 20 ]
}

@test "390: complete, and lacks nothing that it never had" {
    bundled 390
    misses_only_optix ""
    has_all_of_packages
    needs_what_is_known
    all_load_in_debian_13
}

@test "470: NVVM, whose number is its own, is the driver's" {
    bundled 470
    misses_only_optix libnvidia-tesla-470-nvoptix1
    [ "$(readlink "$BUNDLE/lib64/libnvidia-nvvm.so.4")" = "libnvidia-nvvm.so.$V" ]
    has_all_of_packages
    needs_what_is_known
    all_load_in_debian_13
}

@test "535" {
    bundled 535
    misses_only_optix libnvoptix1
    has_all_of_packages
    needs_what_is_known
    all_load_in_debian_13
}

@test "550" {
    bundled 550
    misses_only_optix libnvoptix1
    has_all_of_packages
    needs_what_is_known
    all_load_in_debian_13
}

@test "the newest that Debian's archive has" {
    bundled newest
    [ "${V%%.*}" -ge 550 ]
    misses_only_optix libnvoptix1
    has_all_of_packages
    needs_what_is_known
    all_load_in_debian_13
}

@test "550 of an arm64 host, which has no NGX" {
    bundled arm64
    misses_only_optix libnvoptix1
    has_all_of_packages
    needs_what_is_known
    [ "$(head -c 20 "$BUNDLE/lib64/libcuda.so.$V" | od -An -tx1 -j18 | tr -d ' ')" = b700 ]
}
