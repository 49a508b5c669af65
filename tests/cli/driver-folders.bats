#!/usr/bin/env bats
# Where the driver is: folders of distributions that are not Debian, one that the user names, and the remnants of an
# earlier installation. The files are those of Debian's real packages.

bats_require_minimum_version 1.5.0

setup_file() {
    export CACHE="${NVL_CACHE:-$NVL_SOURCE/.cache}/drivers" STORE=/var/lib/nvlxc/driver DEBIAN="$BATS_FILE_TMPDIR/debian"
    NVL_DRIVER_SETS="small" "$NVL_SOURCE/tests/lib/driver-packages" 550 "$CACHE" "$DEBIAN"
    V=$(basename "$(realpath "$DEBIAN/usr/lib/x86_64-linux-gnu/nvidia/current/libcuda.so.1")" | sed 's/^libcuda.so.//')
    export V
}

setup() {
    NVLXC="$NVL_BUILD/src/cli/nvlxc"
    HOST="$BATS_TEST_TMPDIR/host"
    mkdir "$HOST"
    BUNDLE="$HOST$STORE/$V"
}

# The libraries into one folder, nvidia-smi into another.
lay_out() {
    mkdir -p "$HOST$1" "$HOST$2"
    find "$DEBIAN/usr/lib/x86_64-linux-gnu" -type f -name "lib*.so.$V" -exec ln -t "$HOST$1" {} +
    ln "$DEBIAN/usr/lib/nvidia/current/nvidia-smi" "$HOST$2"
}

is_complete() {
    [ -x "$BUNDLE/bin/nvidia-smi" ]
    [ "$(readlink "$BUNDLE/lib64/libcuda.so.1")" = "libcuda.so.$V" ]
    [ "$(readlink "$BUNDLE/lib64/libnvidia-ml.so.1")" = "libnvidia-ml.so.$V" ]
    [ "$(readlink "$BUNDLE/lib64/libnvidia-ptxjitcompiler.so.1")" = "libnvidia-ptxjitcompiler.so.$V" ]
}

@test "Google's nodes, Talos, Flatcar and prefixes by version" {
    local layout
    for layout in "/home/kubernetes/bin/nvidia/lib64 /home/kubernetes/bin/nvidia/bin" \
        "/usr/local/glibc/usr/lib /usr/local/bin" "/opt/nvidia/$V/lib64 /opt/nvidia/$V/bin" \
        "/opt/nvidia/$V/4230.2.3/lib64 /opt/nvidia/$V/4230.2.3/bin" "/opt/nvidia/current/usr/lib64 /opt/bin"; do
        # shellcheck disable=SC2086
        lay_out $layout
        run -0 "$NVLXC" --root "$HOST" driver sync
        [[ ${lines[0]} == "$V: built ("* ]]
        is_complete
        rm -rf "${HOST:?}"/*
    done
}

@test "NixOS: links into its store, and files that name paths there" {
    local store=/nix/store/abc-nvidia-x11/lib driver=/nix/store/def-graphics-drivers file
    lay_out $store /nix/store/ghi-nvidia-x11-bin/bin
    mkdir -p "$HOST$driver/lib" "$HOST$driver/etc/OpenCL/vendors" "$HOST/run" "$HOST/run/current-system/sw/bin"
    for file in "$HOST$store"/*; do
        ln -s "$store/${file##*/}" "$HOST$driver/lib"
    done
    cp -L "$HOST$store/libcuda.so.$V" "$HOST$store/libnvidia-opencl.so.$V"
    ln -s "$store/libnvidia-opencl.so.$V" "$HOST$driver/lib/"
    echo "$store/libnvidia-opencl.so.1" >"$HOST$driver/etc/OpenCL/vendors/nvidia.icd"
    ln -s $driver "$HOST/run/opengl-driver"
    ln -s /nix/store/ghi-nvidia-x11-bin/bin/nvidia-smi "$HOST/run/current-system/sw/bin/nvidia-smi"
    run -0 "$NVLXC" --root "$HOST" driver sync
    is_complete
    [ "$(tr -d '\0' <"$BUNDLE/etc/OpenCL/vendors/nvidia.icd")" = libnvidia-opencl.so.1 ]
    [ "$(jq -r '.files[] | select(.path == "bin/nvidia-smi").source' "$BUNDLE/manifest.json")" = \
        /nix/store/ghi-nvidia-x11-bin/bin/nvidia-smi ]
}

@test "Fedora: the ICD has the architecture in its name and a path in its text" {
    lay_out /usr/lib64 /usr/bin
    cp "$HOST/usr/lib64/libcuda.so.$V" "$HOST/usr/lib64/libGLX_nvidia.so.$V"
    mkdir -p "$HOST/usr/share/vulkan/icd.d"
    echo '{"file_format_version": "1.0.1", "ICD": {"library_path": "/usr/lib64/libGLX_nvidia.so.0", "api_version": "1.4"}}' \
        >"$HOST/usr/share/vulkan/icd.d/nvidia_icd.x86_64.json"
    echo '{"ICD": {"library_path": "/usr/lib/libGLX_nvidia.so.0"}}' >"$HOST/usr/share/vulkan/icd.d/nvidia_icd.i686.json"
    run -0 "$NVLXC" --root "$HOST" driver sync
    [ "$(jq -c .ICD "$BUNDLE/share/vulkan/icd.d/nvidia_icd.json")" = \
        '{"library_path":"libGLX_nvidia.so.0","api_version":"1.4"}' ]
    (cd "$BUNDLE" && jq -r '.files[] | "\(.xxh128)  \(.path)"' manifest.json | xxhsum -q -c -)
    run -0 "$NVLXC" --root "$HOST" driver sync
    [[ ${lines[0]} == "$V: is up to date ("* ]]
}

@test "--from names a folder, now and later, until it is forgotten" {
    lay_out /srv/drivers/today /srv/drivers/today
    run -3 "$NVLXC" --root "$HOST" driver sync
    [[ $output == *"nvlxc driver sync --from FOLDER"* ]]
    run -0 "$NVLXC" --root "$HOST" driver sync --from /srv/drivers/today --dry-run
    [[ ${lines[0]} == "$V: would be built ("* ]]
    [ ! -e "$HOST/etc/nvlxc" ]
    run -0 "$NVLXC" --root "$HOST" --json driver sync --from /srv/drivers/today
    [ "$(jq -r .from <<<"$output")" = /srv/drivers/today ]
    is_complete
    [ "$(cat "$HOST/etc/nvlxc/driver-folder")" = /srv/drivers/today ]
    run -0 "$NVLXC" --root "$HOST" driver sync
    [[ ${lines[0]} == "$V: is up to date ("* ]]
    run -0 "$NVLXC" --root "$HOST" driver list
    [[ $output == *"looked for in /srv/drivers/today first (driver sync --from)" ]]
    run -0 "$NVLXC" --root "$HOST" --json driver list
    [ "$(jq -r .from <<<"$output")" = /srv/drivers/today ]

    mkdir -p "$HOST/proc/driver/nvidia"
    echo "NVRM version: NVIDIA UNIX x86_64 Kernel Module  $V  Tue Apr  8 12:41:17 UTC 2025" >"$HOST/proc/driver/nvidia/version"
    run "$NVLXC" --root "$HOST" host
    [[ $output == *"folder     /srv/drivers/today (driver sync --from)"* ]]

    rm -r "$HOST/srv"
    run -0 "$NVLXC" --root "$HOST" driver list
    [[ $output == *"which has none now" ]]
    run "$NVLXC" --root "$HOST" driver sync --from none
    [ ! -e "$HOST/etc/nvlxc/driver-folder" ]
    run -0 "$NVLXC" --root "$HOST" driver list
    [[ $output != *"looked for"* ]]
    run "$NVLXC" --root "$HOST" host
    [[ $output == *"libraries  none found; if they are in a folder of their own: nvlxc driver sync --from FOLDER"* ]]
}

@test "--from refuses what is no driver's folder, and remembers nothing" {
    lay_out /srv/driver/lib64 /srv/driver/bin
    mkdir -p "$HOST/srv/empty"
    run -1 "$NVLXC" --root "$HOST" driver sync --from /srv/empty
    [[ $output == *"no driver in "*"/srv/empty: neither libcuda.so.VERSION nor"* ]]
    run -1 "$NVLXC" --root "$HOST" driver sync --from /srv/nowhere
    [[ $output == *"/srv/nowhere: No such file or directory"* ]]
    run -1 "$NVLXC" --root "$HOST" driver sync --from "/srv/driver/lib64/libcuda.so.$V"
    [[ $output == *"Not a directory"* ]]
    run -2 "$NVLXC" --root "$HOST" driver sync --from srv/driver
    run -2 "$NVLXC" --root "$HOST" driver list --from /srv/driver
    [ ! -e "$HOST/etc/nvlxc" ]
    # the folder of the libraries and the one above it are the same driver
    run -0 "$NVLXC" --root "$HOST" driver sync --from /srv/driver
    run -0 "$NVLXC" --root "$HOST" driver sync --from /srv/driver/lib64
    [[ ${lines[0]} == "$V: is up to date ("* ]]
    is_complete
    # a bundle is no source of one
    run ! "$NVLXC" --root "$HOST" driver sync --from "$STORE/$V"
}

@test "Debian's packages over a .run that nobody uninstalled: its remnants are no driver" {
    local lib=/usr/lib/x86_64-linux-gnu old=570.133.07
    cp -al "$DEBIAN/." "$HOST"
    mkdir -p "$HOST/usr/src/nvidia-current-$V"
    cp "$HOST$lib/nvidia/current/libcuda.so.$V" "$HOST$lib/libcuda.so.$old"
    cp "$HOST$lib/nvidia/current/libnvidia-ml.so.$V" "$HOST$lib/libnvidia-ml.so.$old"
    rm "$HOST/usr/bin/nvidia-smi"
    echo "a program of $old" >"$HOST/usr/bin/nvidia-smi"
    run -0 "$NVLXC" --root "$HOST" driver sync
    [[ ${lines[0]} == "$V: built ("* ]]
    [[ $output == *"$old: left out; its libraries are in $lib, but no kernel module of that version is installed"* ]]
    [[ $output != *"nvidia-smi is "* ]]
    is_complete
    grep -q "$V" "$BUNDLE/bin/nvidia-smi"
    [ "$(ls "$HOST$STORE")" = "$V" ]
    run "$NVLXC" --root "$HOST" host
    [[ $output != *"$old"* ]]
    # given by its number it is made all the same
    run -0 "$NVLXC" --root "$HOST" driver sync $old
    [ -e "$HOST$STORE/$old/lib64/libcuda.so.$old" ]
    # once its module is loaded it is the driver
    mkdir -p "$HOST/proc/driver/nvidia"
    echo "NVRM version: NVIDIA UNIX x86_64 Kernel Module  $old  Tue Apr  8 12:41:17 UTC 2025" >"$HOST/proc/driver/nvidia/version"
    run -0 "$NVLXC" --root "$HOST" driver sync
    [[ $output != *"left out"* ]]
    [[ $output == *"$old: is up to date"* ]]
}
