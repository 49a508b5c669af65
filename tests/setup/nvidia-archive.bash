# A stand-in of NVIDIA's archive for Debian: flat, signed by a key of its own, served over https under the real one's name.
# Loaded by apt.bats; its packages have the real ones' names and relations, and hold nothing.
# shellcheck shell=bash

# package NAME VERSION [FIELD...]: into $ARCHIVE.
package() {
    local folder="$ARCHIVE/$1.build"
    mkdir -p "$folder/DEBIAN"
    printf '%s\n' "Package: $1" "Version: $2" "Architecture: amd64" "Maintainer: NVIDIA CORPORATION <cudatools@nvidia.com>" \
        "${@:3}" "Description: stands for NVIDIA's" >"$folder/DEBIAN/control"
    dpkg-deb --root-owner-group --build "$folder" "$ARCHIVE/$1_$2_amd64.deb" >&2
    rm -rf "$folder"
}

# driver VERSION: the packages of one driver.
driver() {
    local name
    package nvidia-kernel-open-dkms "$1-1" "Provides: nvidia-kernel-dkms-any" "Depends: dkms" "Conflicts: nvidia-kernel-dkms"
    package nvidia-kernel-dkms "$1-1" "Depends: dkms" "Conflicts: nvidia-kernel-open-dkms"
    for name in libcuda1 libnvidia-ml1 libnvidia-cfg1 libnvidia-ptxjitcompiler1 libnvidia-nvvm4 libnvidia-encode1 libnvcuvid1 \
        nvidia-persistenced nvidia-modprobe nvidia-opencl-icd; do
        package "$name" "$1-1"
    done
    package nvidia-driver-cuda "$1-1" "Depends: libcuda1 (= $1-1), libnvidia-ml1 (= $1-1), nvidia-persistenced (= $1-1)"
}

# serve_archive ROOT: signs what is in $ARCHIVE, serves it, and lets ROOT reach it as developer.download.nvidia.com. Sets
# SERVER, the process to kill.
serve_archive() {
    local path="$ARCHIVE.served/compute/cuda/repos/debian13/x86_64" gnupg address=127.77.0.1
    gnupg=$(mktemp -d "$BATS_TEST_TMPDIR/gnupg.XXXXXX")
    mkdir -p "$path"
    cp "$ARCHIVE"/*.deb "$path/"
    (cd "$path" && dpkg-scanpackages --multiversion . >Packages 2>"$ARCHIVE.said")
    printf 'Origin: NVIDIA\nLabel: NVIDIA CUDA\nDate: %s\nSHA256:\n %s %s Packages\n' "$(date -uR)" \
        "$(sha256sum "$path/Packages" | cut -d ' ' -f 1)" "$(stat -c %s "$path/Packages")" >"$path/Release"
    gpg --homedir "$gnupg" --batch --quiet --passphrase '' --quick-generate-key 'cudatools <cudatools@nvidia.com>' rsa2048 sign 2>&3
    gpg --homedir "$gnupg" --batch --quiet --clearsign -o "$path/InRelease" "$path/Release"
    gpg --homedir "$gnupg" --armor --export >"$path/3bf863cc.pub"
    gpgconf --homedir "$gnupg" --kill all
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=developer.download.nvidia.com \
        -addext subjectAltName=DNS:developer.download.nvidia.com -keyout "$BATS_TEST_TMPDIR/tls.key" -out "$BATS_TEST_TMPDIR/tls.crt" 2>"$ARCHIVE.said"
    # an address that nothing else has
    python3 - "$address" "$ARCHIVE.served" "$BATS_TEST_TMPDIR/tls" 3>&- >"$BATS_TEST_TMPDIR/served" 2>&1 <<'SERVER' &
import functools, http.server, ssl, sys
class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps the connection open: an end without TLS's goodbye is an error to apt
handler = functools.partial(Handler, directory=sys.argv[2])
server = http.server.ThreadingHTTPServer((sys.argv[1], 443), handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[3] + ".crt", sys.argv[3] + ".key")
server.socket = context.wrap_socket(server.socket, server_side=True)
print("ready", flush=True)
server.serve_forever()
SERVER
    SERVER=$!
    until grep -q ready "$BATS_TEST_TMPDIR/served"; do
        kill -0 "$SERVER" || { cat "$BATS_TEST_TMPDIR/served"; return 1; }
        sleep 0.1
    done
    cp "$BATS_TEST_TMPDIR/tls.crt" "$1/etc/nvidia-archive.crt"
    printf '%s developer.download.nvidia.com\n' "$address" >"$1/etc/hosts"
    cat >"$1/etc/apt/apt.conf.d/91archive" <<'CONF'
Acquire::https::developer.download.nvidia.com::CaInfo "/etc/nvidia-archive.crt";
Acquire::https::Proxy::developer.download.nvidia.com "DIRECT";
CONF
}
