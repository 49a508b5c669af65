# A driver of our own in place of NVIDIA's (stub-driver.c), for what cannot be seen without a GPU. Sourced by bash.

# build_stubs DIR: the libraries and programs, for any container.
build_stubs() {
    local flags=(-D_GNU_SOURCE -std=gnu17 -O1 -Wall -fPIC -shared -fno-stack-protector -U_FORTIFY_SOURCE)
    mkdir -p "$1"
    gcc "${flags[@]}" -DSTUB_OPEN -o "$1/stub-open.so" "$NVL_SOURCE/tests/lib/stub-driver.c"
    build_stub "$1" libcuda STUB_CUDA "${flags[@]}"
    build_stub "$1" libnvidia-ml STUB_ML "${flags[@]}"
    build_stub "$1" libnvidia-encode STUB_VIDEO "${flags[@]}"
    build_stub "$1" libnvcuvid STUB_VIDEO "${flags[@]}"
    build_stub "$1" libnvidia-opencl STUB_OPENCL "${flags[@]}"
    gcc -D_GNU_SOURCE -O1 -Wall -static -o "$1/ollama" "$NVL_SOURCE/tests/lib/stub-driver-ollama.c"
}

# build_stub DIR NAME PART FLAG...
build_stub() {
    gcc "${@:4}" -D"$3" -Wl,-soname,"$2.so.1" -o "$1/$2.so" "$NVL_SOURCE/tests/lib/stub-driver.c"
}

# stub_bundle DIR VERSION: the bundle's libraries are the stubs now, under the names that they have there. In place, so
# that containers which have it mounted see them.
stub_bundle() {
    local name lib=/var/lib/nvlxc/driver/$2/lib64
    for name in libcuda libnvidia-ml libnvidia-encode libnvcuvid; do
        cat "$1/$name.so" > "$lib/$name.so.$2"
    done
    # shellcheck disable=SC2016 # expanded by the program that is written
    printf '#!/bin/sh\necho "0, Stub GPU 0, %s, 16384 MiB"\nexit "$(cat /etc/stub-smi 2> /dev/null || echo 0)"\n' "$2" \
        > "/var/lib/nvlxc/driver/$2/bin/nvidia-smi"
}

# stub_nodes DIR CT: opening one of the driver's nodes in the container opens, as it would with a driver behind it.
stub_nodes() {
    local rootfs=/var/lib/lxc/$2/rootfs
    install -m 755 "$1/stub-open.so" "$rootfs/usr/local/lib/stub-open.so"
    echo /usr/local/lib/stub-open.so > "$rootfs/etc/ld.so.preload"
}

# stub_says CT [WHAT NUMBER]...: what goes wrong in that container's driver; nothing without more.
stub_says() {
    local file=/var/lib/lxc/$1/rootfs/etc/stub-driver
    shift
    : > "$file"
    while [ $# -gt 0 ]; do
        echo "$1 $2" >> "$file"
        shift 2
    done
}
