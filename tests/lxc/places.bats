# Root file systems in which not everything is the container's own: where the driver is put then, and that nothing stays,
# and nothing of others goes.
# shellcheck disable=SC2030,SC2031,SC2154,SC2016
load setup
# shellcheck source=/dev/null
source "$NVL_SOURCE/tests/lib/doctor.bash"
# shellcheck source=/dev/null
source "$NVL_SOURCE/tests/lib/verify.bash"

OTHER=/opt/nvlxc/nvidia

setup_file() {
    nvlxc driver sync --quiet
}

teardown() {
    local name
    for name in $(lxc-ls -1 --running); do stop "$name"; done
}

# remember NAME / is_as_before NAME: its root file system.
remember() {
    listing "/var/lib/lxc/$1/rootfs" > "/run/$1.before"
}
is_as_before() {
    listing "/var/lib/lxc/$1/rootfs" | diff "/run/$1.before" -
}

# share DIR NAME...: DIR, with the folders of /usr/local, is mounted there in each container.
share() {
    local dir=$1 name
    shift
    mkdir -p "$dir"/{bin,lib}
    chown -R 100000:100000 "$dir"
    for name; do
        echo "lxc.mount.entry = $dir usr/local none bind 0 0" >> "/var/lib/lxc/$name/config"
    done
}

@test "/usr/local is a folder that two containers share: another place, nothing in it, and neither takes it from the other" {
    make_container one debian-12
    make_container two debian-12
    share /srv/local one two
    remember one
    nvlxc attach one --quiet
    nvlxc attach two --quiet
    speaks one mount-point note
    has one mount-point title "its driver is at $OTHER"
    has one mount-point evidence "lxc.mount.entry = /srv/local usr/local" "/usr/local/nvidia lies on a mount of its own"
    start one
    start two
    run -0 syslog_of one
    says "driver 550.163.01" "the driver is at $OTHER: /usr/local/nvidia lies on a mount"
    run -0 loads one libcuda.so.1
    [ "$output" = $OTHER/lib64/libcuda.so.550.163.01 ]
    run -9 inside one nvidia-smi
    [ "$(readlink /var/lib/lxc/one/rootfs/usr/bin/nvidia-smi)" = $OTHER/bin/nvidia-smi ]
    [ "$(find /srv/local -mindepth 1 | sort | xargs)" = "/srv/local/bin /srv/local/lib" ]
    run -0 nvlxc show one
    says "the driver is at $OTHER"
    [ "$(nvlxc --json show one | jq -r .library_path.home)" = $OTHER ]
    speaks one mount-point note
    verify 1 one
    step libcuda pass evidence "$OTHER/lib64/libcuda.so.550.163.01, the kernel module's version"
    step nvidia-smi fail evidence "exit status 9"
    run -0 nvlxc driver list
    says "2"
    # and again, live
    run -0 nvlxc attach one --live
    run -0 nvlxc detach one --live
    run ! inside one test -e $OTHER/lib64
    run -0 loads two libcuda.so.1
    [ "$output" = $OTHER/lib64/libcuda.so.550.163.01 ]
    is_as_before one
    run -0 nvlxc attach one --live
    run -0 loads one libcuda.so.1
    [ "$output" = $OTHER/lib64/libcuda.so.550.163.01 ]
    stop one
    more_starts_leave_nothing one 2
    run -0 nvlxc detach one
    is_as_before one
    [ "$(find /srv/local -mindepth 1 | sort | xargs)" = "/srv/local/bin /srv/local/lib" ]
    # as soon as /usr/local is its own, the driver goes back
    sed -i '/srv\/local/d' /var/lib/lxc/two/config
    stop two
    start two
    run -0 loads two libcuda.so.1
    [ "$output" = $BUNDLE/lib64/libcuda.so.550.163.01 ] || { echo "got: $output"; false; }
    [ -z "$(ls -A "/var/lib/lxc/two/rootfs$OTHER")" ] # detach takes it
    [ ! -L /var/lib/lxc/two/rootfs/usr/bin/nvidia-smi ]
    speaks two
    stop two
    nvlxc detach two --quiet
    [ ! -e /var/lib/lxc/two/rootfs/opt/nvlxc ]
}

@test "/etc is a mount: said before and after, nothing in it, and nothing stays" {
    make_container etc debian-12
    cp -a /var/lib/lxc/etc/rootfs/etc /srv/etc
    local before
    before=$(listing /srv/etc)
    remember etc
    echo 'lxc.mount.entry = /srv/etc etc none bind 0 0' >> /var/lib/lxc/etc/config
    run -0 nvlxc attach etc
    says "its linker is not told of the driver" "lxc.mount.entry = /srv/etc etc"
    start etc
    speaks etc linker-place error
    has etc linker-place fix LD_LIBRARY_PATH=$BUNDLE/lib64
    run -0 inside etc env LD_LIBRARY_PATH=$BUNDLE/lib64 LD_PRELOAD=libcuda.so.1 cat /proc/self/maps
    says "$BUNDLE/lib64/libcuda.so.550.163.01"
    stop etc
    more_starts_leave_nothing etc 2
    run -0 nvlxc detach etc
    is_as_before etc
    [ "$(listing /srv/etc)" = "$before" ]
}

@test "what an earlier version left in a shared folder stays, and is named; the container that uses it keeps its driver" {
    make_container three debian-12
    make_container four debian-12
    share /srv/old three four
    nvlxc attach three --quiet
    nvlxc attach four --quiet
    # as before: the folder is the mount point of both
    mkdir /srv/old/nvidia
    ln -s /usr/local/nvidia/bin/nvidia-smi /srv/old/bin/nvidia-smi
    printf '# nvlxc made the folder /usr/local/nvidia\n# nvlxc made the link /usr/local/bin/nvidia-smi\n/usr/local/nvidia/lib64\n' \
        > /var/lib/lxc/three/rootfs/etc/ld.so.conf.d/00-nvlxc.conf
    start three
    start four
    "$NVL_SOURCE/tests/lib/rootfs" busybox "$NVL_CACHE/rootfs" /run/busybox
    cp /run/busybox/bin/busybox /srv/old/bin/
    nsenter -t "$(lxc-info -n four -pH)" -m /usr/local/bin/busybox mount -o bind /opt /usr/local/nvidia
    run nvlxc detach three --live
    says "/usr/local/bin/nvidia-smi" "on a mount that others may share: remove it there once none uses it"
    [ -d /srv/old/nvidia ]
    [ -L /srv/old/bin/nvidia-smi ]
    grep " /usr/local/nvidia " "/proc/$(lxc-info -n four -pH)/mountinfo"
}

@test "a root file system that another running container has: detach leaves it, and says why" {
    make_container owner debian-12
    nvlxc attach owner --quiet
    mkdir -p /var/lib/lxc/guest
    sed 's/^lxc.uts.name.*/lxc.uts.name = guest/' /var/lib/lxc/owner/config > /var/lib/lxc/guest/config
    start guest
    run -0 loads guest libcuda.so.1
    [ "$output" = $BUNDLE/lib64/libcuda.so.550.163.01 ] || { echo "got: $output"; false; }
    run nvlxc detach owner
    says "another container that runs has its driver mounted there"
    run -0 loads guest libcuda.so.1
    [ "$output" = $BUNDLE/lib64/libcuda.so.550.163.01 ] || { echo "got: $output"; false; }
    # nor does it live
    nvlxc attach owner --quiet
    start owner
    run nvlxc detach owner --live
    says "removed from the running container:" "another container that runs has its driver mounted there"
    run -0 loads guest libcuda.so.1
    [ "$output" = $BUNDLE/lib64/libcuda.so.550.163.01 ] || { echo "got: $output"; false; }
    stop owner
    # the files are the other's now, whose detach takes them
    run nvlxc detach guest --live
    [ ! -e /var/lib/lxc/owner/rootfs/usr/local/nvidia ]
    stop guest
    rm -r /var/lib/lxc/guest
    run -0 nvlxc detach owner
    [ ! -e /var/lib/lxc/owner/rootfs/usr/local/nvidia ]
}

@test "a volume at /usr: the driver's place is elsewhere, and what PATH lacks is said" {
    make_container volume debian-12
    mkdir -p /srv/usr
    cp -a /var/lib/lxc/volume/rootfs/usr/. /srv/usr/
    echo 'lxc.mount.entry = /srv/usr usr none bind 0 0' >> /var/lib/lxc/volume/config
    (cd /srv/usr && find . | sort) > /run/usr.before
    nvlxc attach volume --quiet
    start volume
    run -0 syslog_of volume
    says "nothing is written through a mount that others may share:" /usr/local/bin/nvidia-smi
    run -0 loads volume libcuda.so.1
    [ "$output" = $OTHER/lib64/libcuda.so.550.163.01 ]
    stop volume
    run -0 nvlxc detach volume
    (cd /srv/usr && find . | sort) | diff /run/usr.before -
}

@test "its CDI specification names the place where the driver is, from the first start on" {
    make_container engine debian-12
    share /srv/engine engine
    nvlxc attach engine --cdi --quiet
    start engine
    run -0 jq -r '.containerEdits.mounts[0] | .hostPath + " " + .containerPath' /var/lib/lxc/engine/rootfs/etc/cdi/nvlxc.json
    [ "$output" = "$OTHER $BUNDLE" ]
    run ! grep '"hostPath": "/usr/local/nvidia' /var/lib/lxc/engine/rootfs/etc/cdi/nvlxc.json
    stop engine
    more_starts_leave_nothing engine 1
}

@test "privileged, with the host's own /usr/local: nothing is written on the host" {
    make_container host debian-12 privileged
    local before
    before=$(find /usr/local | sort)
    echo 'lxc.mount.entry = /usr/local usr/local none bind 0 0' >> /var/lib/lxc/host/config
    remember host
    nvlxc attach host --capabilities all --quiet
    start host
    run -0 loads host libcuda.so.1
    [ "$output" = $OTHER/lib64/libcuda.so.550.163.01 ]
    [ "$(find /usr/local | sort)" = "$before" ]
    run -0 nvlxc detach host --live
    stop host
    [ "$(find /usr/local | sort)" = "$before" ]
    is_as_before host
}

@test "a mount over a folder for ICD files, and one over /etc: what would lie there is left out, and said" {
    make_container share debian-12
    mkdir -p /srv/share /srv/etc
    cp -a /var/lib/lxc/share/rootfs/etc/. /srv/etc/
    chown 100000:100000 /srv/share
    mkdir -p /var/lib/nvlxc/driver/550.163.01/etc/OpenCL/vendors
    touch /var/lib/nvlxc/driver/550.163.01/etc/OpenCL/vendors/nvidia.icd
    echo 'lxc.mount.entry = /srv/share etc/OpenCL none bind,create=dir 0 0' >> /var/lib/lxc/share/config
    nvlxc attach share --capabilities all --cdi --quiet
    start share
    run -0 syslog_of share
    says "nothing is written through a mount that others may share:" "/etc/OpenCL/vendors/nvidia.icd"
    [ -z "$(ls -A /srv/share)" ]
    stop share
    sed -i 's|/srv/share etc/OpenCL|/srv/etc etc|' /var/lib/lxc/share/config
    nvlxc detach share --quiet
    listing /srv/etc > /run/etc.before
    nvlxc attach share --quiet
    start share
    run -0 syslog_of share
    says "its /etc lies on a mount of its own"
    listing /srv/etc | diff /run/etc.before -
    stop share
}

@test "a broken link, a link, and a file in the way: the other place" {
    make_container link debian-12
    local root=/var/lib/lxc/link/rootfs
    mv "$root/usr/local" "$root/usr/kept"
    ln -s /srv/none "$root/usr/local"
    remember link
    nvlxc attach link --quiet
    speaks link mount-point note
    has link mount-point evidence "/usr/local/nvidia lies behind a broken link"
    start link
    run -0 loads link libcuda.so.1
    [ "$output" = $OTHER/lib64/libcuda.so.550.163.01 ]
    stop link
    nvlxc detach link --quiet
    is_as_before link
    rm "$root/usr/local"
    mv "$root/usr/kept" "$root/usr/local"
    ln -s /srv "$root/usr/local/nvidia"
    nvlxc attach link --quiet
    speaks link mount-point note
    has link mount-point evidence "/usr/local/nvidia is a link or a file"
    start link
    run -0 loads link libcuda.so.1
    [ "$output" = $OTHER/lib64/libcuda.so.550.163.01 ]
    stop link
    [ "$(readlink "$root/usr/local/nvidia")" = /srv ]
    # neither place: the start goes on, and the cause is named
    nvlxc detach link --quiet
    touch "$root/opt/nvlxc"
    run -0 nvlxc attach link
    says "$OTHER is a link or a file"
    speaks link mount-point error
    has link mount-point evidence "/usr/local/nvidia is a link or a file" "$OTHER is a link or a file"
    start link
    run -0 syslog_of link
    says "cannot mount the driver at /usr/local/nvidia: it is a link or a file, not a folder; nor at $OTHER"
    stop link
    nvlxc attach link --required --quiet
    run ! start link
}

@test "no room left: it is said, and nothing half made stays" {
    make_container full debian-12
    local root=/var/lib/lxc/full/rootfs
    mkdir -p /srv/full
    mount -t tmpfs -o size=256m tmpfs /srv/full
    cp -a "$root/." /srv/full/
    sed -i 's|^lxc.rootfs.path.*|lxc.rootfs.path = dir:/srv/full|' /var/lib/lxc/full/config
    nvlxc attach full --quiet
    dd if=/dev/zero of=/srv/full/root/filler bs=4k status=none || true
    (cd /srv/full && find . | sort) > /run/full.before
    speaks full mount-point error
    has full mount-point title "its root file system is full"
    start full
    run -0 syslog_of full
    says "no space is left"
    speaks full mount-point error
    verify 1 full
    step libcuda fail cause "the driver has no place in the container: /usr/local/nvidia cannot be made: no space is left" fix "nvlxc doctor full"
    stop full
    (cd /srv/full && find . | sort) | diff /run/full.before -
    # room for the driver's place, not for the cache
    rm /srv/full/root/filler
    start full
    stop full
    rm /srv/full/etc/ld.so.cache
    dd if=/dev/zero of=/srv/full/root/filler bs=4k status=none || true
    start full
    run -0 syslog_of full
    says "failed with status 1: no space is left on its file system"
    [ ! -e /srv/full/etc/ld.so.cache~ ]
    stop full
    rm /srv/full/root/filler
    nvlxc detach full --quiet
    umount /srv/full
}

@test "without a /dev of its own: the empty files that nodes were mounted on go at detach" {
    make_container dev debian-12 privileged
    local root=/var/lib/lxc/dev/rootfs
    sed -i '/common.conf/d' /var/lib/lxc/dev/config
    echo 'lxc.autodev = 0' >> /var/lib/lxc/dev/config
    mkdir -p "$root/dev"
    touch "$root/dev/nvidia-own"
    # liblxc leaves some itself
    start dev
    stop dev
    remember dev
    nvlxc attach dev --capabilities all --quiet
    start dev
    inside dev test -c /dev/nvidia0
    stop dev
    [ -f "$root/dev/nvidia0" ]
    speaks dev
    run -0 nvlxc detach dev
    says /dev/nvidia0
    is_as_before dev
}

@test "a loader of its own, as Plex's transcoder has: it finds the libraries in /usr/local/lib, and the others theirs" {
    make_container plex debian-12
    local root=/var/lib/lxc/plex/rootfs name bundle=/var/lib/nvlxc/driver/550.163.01/lib64
    "$NVL_SOURCE/tests/lib/rootfs" musl "$NVL_CACHE/rootfs" /run/musl
    mkdir -p "$root/opt/plex"
    cp /run/musl/lib/ld-musl-x86_64.so.1 /run/musl/bin/try-dlopen "$root/opt/plex/"
    remember plex
    # what musl can load
    mkdir -p /run/kept
    for name in libcuda libnvcuvid libnvidia-encode; do
        cp "$bundle/$name.so.550.163.01" /run/kept/
        gcc -shared -nostdlib -Wl,-soname,$name.so.1 -o "$bundle/$name.so.550.163.01" -x c /dev/null
    done
    nvlxc attach plex --capabilities compute,utility --quiet
    start plex
    run ! inside plex /opt/plex/ld-musl-x86_64.so.1 /opt/plex/try-dlopen libcuda.so.1
    stop plex
    nvlxc attach plex --capabilities compute,utility,video --quiet
    start plex
    run -0 inside plex /opt/plex/ld-musl-x86_64.so.1 /opt/plex/try-dlopen libcuda.so.1 libnvcuvid.so.1 libnvidia-encode.so.1
    says "libcuda.so.1: /usr/local/lib/libcuda.so.1"
    # the container's own ldconfig finds both: the bundle comes first
    run -0 inside plex ldconfig
    run -0 inside plex ldconfig -p
    says "libcuda.so.1 (libc6,x86-64) => /usr/local/lib/libcuda.so.1"
    run -0 loads plex libcuda.so.1
    [ "$output" = $BUNDLE/lib64/libcuda.so.550.163.01 ] || { echo "got: $output"; false; }
    speaks plex
    stop plex
    start plex
    run -0 syslog_of plex
    [[ $(syslog_of plex | tail -1) != *refreshed* ]]
    stop plex
    # while nothing is mounted, ldconfig drops such links: they come back
    chroot "$root" /sbin/ldconfig
    [ ! -L "$root/usr/local/lib/libcuda.so.1" ]
    start plex
    [ -L "$root/usr/local/lib/libcuda.so.1" ]
    stop plex
    more_starts_leave_nothing plex 2
    for name in libcuda libnvcuvid libnvidia-encode; do
        cat "/run/kept/$name.so.550.163.01" > "$bundle/$name.so.550.163.01"
    done
    nvlxc detach plex --quiet
    rm -rf "$root/var/cache/ldconfig"
    sed -i '/var\/cache\/ldconfig/d' /run/plex.before
    is_as_before plex
}

@test "musl under glibc's name, and gcompat's loader: neither is glibc" {
    make_container alpine musl
    local root=/var/lib/lxc/alpine/rootfs
    mkdir -p "$root/lib64"
    ln -s ../lib/ld-musl-x86_64.so.1 "$root/lib64/ld-linux-x86-64.so.2"
    run -0 nvlxc attach alpine
    says "what stands in the place of glibc's"
    start alpine
    speaks alpine container-musl error
    has alpine container-musl evidence "/lib/ld-musl-x86_64.so.1; what stands in the place of glibc's"
    run -0 syslog_of alpine
    says "its C library is musl"
    run nvlxc --json verify alpine
    VERIFIED=$output
    step libc fail cause "musl"
    stop alpine
    # gcompat's: a small program that runs musl's loader
    rm "$root/lib64/ld-linux-x86-64.so.2"
    gcc -static-pie -nostdlib -nostartfiles -o "$root/lib64/ld-linux-x86-64.so.2" -x c - <<'C'
void _start(void) { __asm__ volatile("mov $60, %eax; xor %edi, %edi; syscall"); }
C
    start alpine
    speaks alpine container-musl error
    run nvlxc --json verify alpine
    VERIFIED=$output
    step libc fail cause "musl"
    stop alpine
}

@test "NixOS: glibc in the store alone; what helps is named, and nothing stays" {
    make_container nixos busybox
    local root=/var/lib/lxc/nixos/rootfs store=/nix/store/0abc-glibc-2.40 deb
    rm -rf "$root"/{etc/ld.so.conf.d,lib,sbin,usr}
    mkdir -p "$root$store/lib" "$root/nix/store/1abc-bash" "$root/usr/bin" "$root/sbin"
    make_container deb debian-12
    deb=/var/lib/lxc/deb/rootfs
    cp "$deb/lib64/ld-linux-x86-64.so.2" "$deb"/lib/x86_64-linux-gnu/{libc.so.6,libdl.so.2,libm.so.6,libpthread.so.0,librt.so.1} "$root$store/lib/"
    gcc -D_GNU_SOURCE -Wl,--dynamic-linker=$store/lib/ld-linux-x86-64.so.2 -Wl,--disable-new-dtags,-rpath,$store/lib \
        -o "$root/nix/store/1abc-bash/try" "$NVL_SOURCE/tests/lib/try-dlopen.c"
    printf '#! /nix/store/1abc-bash/try\n' > "$root/sbin/init"
    chown -R 100000:100000 "$root"/{nix,usr,sbin}
    chmod 755 "$root/sbin/init"
    sed -i 's|^lxc.init.cmd.*|lxc.init.cmd = /bin/busybox sleep 100000|' /var/lib/lxc/nixos/config
    remember nixos
    nvlxc attach nixos --quiet
    start nixos
    run -0 syslog_of nixos
    says "its glibc has a place of its own ($store/lib/ld-linux-x86-64.so.2): set LD_LIBRARY_PATH=/usr/local/nvidia/lib64"
    run -0 inside nixos /bin/busybox env LD_LIBRARY_PATH=/usr/local/nvidia/lib64 /nix/store/1abc-bash/try libcuda.so.1
    says "/usr/local/nvidia/lib64/libcuda.so.1"
    speaks nixos container-glibc note
    has nixos container-glibc fix LD_LIBRARY_PATH=/usr/local/nvidia/lib64
    run nvlxc --json verify nixos
    VERIFIED=$output
    step libc fail cause "glibc only at a path of its own" fix "LD_LIBRARY_PATH=/usr/local/nvidia/lib64"
    stop nixos
    more_starts_leave_nothing nixos 2
    run -0 nvlxc detach nixos
    is_as_before nixos
}

@test "idmap=container: on the disk the root file system is the host's root's; detach rewrites the cache" {
    make_container mapped debian-12 privileged
    {
        cat /var/lib/lxc/mapped/config
        echo 'lxc.include = /usr/share/lxc/config/userns.conf'
        echo 'lxc.idmap = u 0 100000 65536'
        echo 'lxc.idmap = g 0 100000 65536'
        echo 'lxc.rootfs.options = idmap=container'
    } > /run/config
    cp /run/config /var/lib/lxc/mapped/config
    remember mapped
    nvlxc attach mapped --quiet
    start mapped || skip "this file system cannot be mapped"
    run -0 loads mapped libcuda.so.1
    stop mapped
    run -0 nvlxc detach mapped
    [[ $output != *stays* ]]
    run -1 grep -c nvidia /var/lib/lxc/mapped/rootfs/etc/ld.so.cache
    is_as_before mapped
}

@test "programs for another processor: said, and the cache is left as it is" {
    make_container arm debian-12
    local root=/var/lib/lxc/arm/rootfs
    nvlxc attach arm --quiet
    # as emulation runs it: the first program decides
    rm "$root/sbin/init"
    cp "$root/bin/true" "$root/sbin/init"
    printf '\267\000' | dd of="$root/sbin/init" bs=1 seek=18 conv=notrunc status=none
    run -0 nvlxc attach arm
    says "for another processor" "are for aarch64"
    before=$(sha256sum < "$root/etc/ld.so.cache")
    start arm
    run -0 syslog_of arm
    says "its programs are for another processor (aarch64)"
    speaks arm container-processor error
    has arm container-processor evidence "are for aarch64"
    stop arm
    [ "$(sha256sum < "$root/etc/ld.so.cache")" = "$before" ]
    run -0 nvlxc detach arm
    [ "$(sha256sum < "$root/etc/ld.so.cache")" = "$before" ]
}
