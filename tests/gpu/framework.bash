# shellcheck shell=bash
# A framework that the machine has, bound read-only into a container. Sourced by bash (tests/gpu/steps).

# python_with PACKAGE: the machine's Python that has it.
python_with() {
    local python
    for python in python3 /opt/*/.venv/bin/python3 /opt/*/venv/bin/python3 /opt/*/bin/python3 /venv/bin/python3 /root/venv/bin/python3; do
        python=$(command -v "$python") || continue
        if "$python" -c "import importlib.util, sys; sys.exit(importlib.util.find_spec('$1') is None)" 2> /dev/null; then
            echo "$python"
            return
        fi
    done
    return 1
}

# bind_python NAME PYTHON: its folders and program, at the same places, and copies of the libraries that they name apart from
# the C library.
bind_python() {
    local config=/var/lib/lxc/$1/config lib=/var/lib/lxc/$1/rootfs/opt/nvlxc-framework path name at create number=0
    umount -l /run/framework/[0-9]* 2> /dev/null || true
    mkdir -p /run/framework
    "$2" - << 'PYTHON' > /run/framework/paths
import os, sys, sysconfig
paths = {os.path.realpath(sys.executable), os.path.abspath(sys.executable)}
paths |= {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
paths |= {path for path in sys.path if os.path.isdir(path)}
for prefix in (sys.prefix, sys.base_prefix):
    if prefix not in ("/usr", "/usr/local"):
        paths.add(os.path.realpath(prefix))
        paths.add(prefix)
paths = {path for path in paths if path and os.path.exists(path)}
for path in sorted(paths):
    # what lies in another of them comes with it
    if not any(path != other and path.startswith(other + "/") for other in paths):
        print(path)
PYTHON
    while read -r path; do
        # the container's root cannot walk through the folders of the machine's, /root among them
        number=$((number + 1)) at=/run/framework/$number create="dir"
        if [ -d "$path" ]; then
            mkdir -p "$at"
        else
            create="file"
            : > "$at"
        fi
        mount --rbind "$path" "$at"
        echo "lxc.mount.entry = $at ${path#/} none rbind,ro,create=$create 0 0" >> "$config"
    done < /run/framework/paths
    mkdir -p "$lib"
    {
        ldd "$(realpath "$2")" || true
        find "$("$2" -c 'import os; print(os.path.dirname(os.__file__))')/lib-dynload" -name '*.so' -exec ldd {} + || true
        ldconfig -p | sed -n 's/^\t\(libstdc++\.so\.6\|libgcc_s\.so\.1\|libgomp\.so\.1\) (libc6,x86-64.* => \(.*\)/\t\1 => \2 (0)/p'
    } 2> /dev/null | sed -n 's/^\t\(.*\) => \(\/.*\) (.*/\1 \2/p' | sort -u | while read -r name path; do
        case $name in libc.so* | libm.so* | libdl.so* | libpthread.so* | librt.so* | libutil.so* | libresolv.so* | ld-linux*) continue ;; esac
        cp -L "$path" "$lib/$name"
    done
    echo "lxc.environment = LD_LIBRARY_PATH=/opt/nvlxc-framework" >> "$config"
}

jax_inside() {
    inside framework env LD_LIBRARY_PATH=/opt/nvlxc-framework XLA_PYTHON_CLIENT_PREALLOCATE=false PYTHONDONTWRITEBYTECODE=1 "$1" -c '
import jax, jax.numpy as n
assert jax.devices()[0].platform == "gpu", jax.devices()
a = n.ones((256, 256), n.float32)
assert float((a @ a).sum()) == 2.0 ** 24
print("jax", jax.__version__, jax.devices()[0].device_kind)'
}

# framework torch|jax: a step.
framework() {
    local python kind=privileged status=0
    python=$(python_with "$1") || skip "no Python on this machine has $1"
    stop framework 2> /dev/null || true
    rm -rf --one-file-system /var/lib/lxc/framework
    [ -e "$NVL_CACHE/no-userns" ] || kind=unprivileged
    unpack_container framework "$kind"
    bind_python framework "$python"
    nvlxc attach framework --gpu "$UUID"
    start framework
    if [ "$1" = torch ]; then
        nvlxc --json verify framework --workload pytorch > "$LOGS/verify-framework.json" || status=$?
        jq -r '.steps[] | select(.id == "pytorch") | "\(.evidence) \(.cause // "")"' "$LOGS/verify-framework.json"
    else
        jax_inside "$python" || status=$?
    fi
    stop framework
    return "$status"
}
