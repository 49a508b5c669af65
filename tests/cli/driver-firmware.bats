#!/usr/bin/env bats
# nvlxc driver sync and the loaded driver's GSP firmware: kept, lent to the kernel while an upgrade waits for the
# reboot, taken away after it. The files are the test's own; names and places are those of Debian's
# firmware-nvidia-gsp, in /lib/firmware (Debian 12) and /usr/lib/firmware (13).

bats_require_minimum_version 1.5.0

OLD=550.163.01 NEW=580.95.05
KEPT=/var/lib/nvlxc/firmware LIB=/usr/lib/firmware/nvidia UPDATES=/usr/lib/firmware/updates

setup() {
    load "$NVL_SOURCE/tests/lib/hosts.bash"
    NVLXC="$NVL_BUILD/src/cli/nvlxc"
    HOST=$(fixture a5500-550)
    [ -L "$HOST/lib" ]
    # a bundle that is complete: what is looked at here is the firmware
    mkdir -p "$HOST/var/lib/nvlxc/driver/$OLD"
    printf '{"version": "%s", "files": [], "links": []}\n' $OLD >"$HOST/var/lib/nvlxc/driver/$OLD/manifest.json"
    rm -rf "$HOST"/usr/lib/x86_64-linux-gnu "$HOST/etc/ld.so.cache"
    install_firmware $OLD
}

install_firmware() {
    mkdir -p "$HOST$LIB/$1"
    head -c 400000 /dev/urandom >"$HOST$LIB/$1/gsp_ga10x.bin"
    head -c 300001 /dev/urandom >"$HOST$LIB/$1/gsp_tu10x.bin"
}

# As the packages do: the new version's files come, the old one's go; the module stays.
upgrade() {
    cp -a "$HOST$LIB/$OLD" "$BATS_TEST_TMPDIR/before"
    install_firmware $NEW
    rm -r "${HOST:?}$LIB/$OLD"
}

reboot() {
    sed -i "s/$OLD/$NEW/" "$HOST/proc/driver/nvidia/version"
    mkdir -p "$HOST/var/lib/nvlxc/driver/$NEW"
    sed "s/$OLD/$NEW/" "$HOST/var/lib/nvlxc/driver/$OLD/manifest.json" >"$HOST/var/lib/nvlxc/driver/$NEW/manifest.json"
}

sync() {
    run -0 --separate-stderr "$NVLXC" --root "$HOST" "$@" driver sync
    [ -z "$stderr" ]
}

# Every entry with inode and times.
listing() {
    find "$HOST/usr/lib/firmware" "$HOST/var/lib/nvlxc" -printf '%p %y %i %m %s %T@ %C@\n' | sort
}

@test "the loaded version's firmware is kept, and a second sync writes nothing" {
    sync
    [[ ${lines[0]} == "$OLD: its firmware kept (2 files, 684 KiB)" ]]
    cmp "$HOST$LIB/$OLD/gsp_ga10x.bin" "$HOST$KEPT/$OLD/gsp_ga10x.bin"
    cmp "$HOST$LIB/$OLD/gsp_tu10x.bin" "$HOST$KEPT/$OLD/gsp_tu10x.bin"
    [ "$(stat -c '%a %U' "$HOST$KEPT/$OLD" "$HOST$KEPT/$OLD/gsp_ga10x.bin")" = "755 root
644 root" ]
    [ ! -e "$HOST$UPDATES" ]
    listing >"$BATS_TEST_TMPDIR/listing"
    sync
    [[ $output != *firmware* ]]
    listing | diff "$BATS_TEST_TMPDIR/listing" -
    sync --json
    [ "$(jq -c '.firmware' <<<"$output")" = \
        "{\"version\":\"$OLD\",\"files\":2,\"bytes\":700001,\"changed\":false,\"lent\":false}" ]
}

@test "an upgrade takes it away: it is lent to the kernel, in one line, and once" {
    sync
    upgrade
    run -0 "$NVLXC" --root "$HOST" driver sync --dry-run
    [[ $output == *"$OLD: its firmware would be placed in /lib/firmware/updates/nvidia/$OLD until the reboot"* ]]
    [ ! -e "$HOST$UPDATES" ]
    sync
    [[ ${lines[0]} == "$OLD: its firmware is placed in /lib/firmware/updates/nvidia/$OLD until the reboot: the upgrade removed it" ]]
    diff -r "$BATS_TEST_TMPDIR/before" "$HOST$UPDATES/nvidia/$OLD"
    [ "$(find "$HOST$UPDATES" ! -type d | wc -l)" = 2 ]
    [ "$(stat -c %a "$HOST$UPDATES/nvidia/$OLD/gsp_ga10x.bin")" = 644 ]
    listing >"$BATS_TEST_TMPDIR/listing"
    sync
    [[ ${lines[0]} == "$OLD: its firmware is in /lib/firmware/updates/nvidia/$OLD until the reboot" ]]
    listing | diff "$BATS_TEST_TMPDIR/listing" -
    # the next boot's firmware is the packages' business
    [ ! -e "$HOST$KEPT/$NEW" ]
}

@test "after the reboot it is taken away, and the new version's is kept" {
    sync
    upgrade
    sync
    reboot
    run -0 "$NVLXC" --root "$HOST" driver sync --dry-run
    [[ ${lines[0]} == "$NEW: its firmware would be kept (2 files, 684 KiB), and the copy for the kernel removed" ]]
    [ -e "$HOST$UPDATES/nvidia/$OLD/gsp_ga10x.bin" ]
    sync
    [[ ${lines[0]} == "$NEW: its firmware kept (2 files, 684 KiB), and the copy for the kernel removed" ]]
    [ ! -e "$HOST$UPDATES" ]
    [ "$(ls "$HOST$KEPT")" = $NEW ]
    diff -r "$HOST$LIB/$NEW" "$HOST$KEPT/$NEW"
}

@test "the packages come back to the loaded version: what was lent is taken away" {
    sync
    upgrade
    sync
    cp -a "$BATS_TEST_TMPDIR/before" "$HOST$LIB/$OLD"
    sync
    [[ ${lines[0]} == "firmware that the kernel no longer needs: removed from /lib/firmware/updates/nvidia" ]]
    [ ! -e "$HOST$UPDATES" ]
    diff -r "$HOST$LIB/$OLD" "$HOST$KEPT/$OLD"
}

@test "files of others in /lib/firmware/updates stay, and so do their folders" {
    sync
    upgrade
    mkdir -p "$HOST$UPDATES/nvidia/$OLD"
    echo theirs >"$HOST$UPDATES/nvidia/$OLD/gsp_ga10x.bin"
    echo other >"$HOST$UPDATES/iwlwifi.ucode"
    sync
    [ "$(cat "$HOST$UPDATES/nvidia/$OLD/gsp_ga10x.bin")" = theirs ]
    cmp "$BATS_TEST_TMPDIR/before/gsp_tu10x.bin" "$HOST$UPDATES/nvidia/$OLD/gsp_tu10x.bin"
    reboot
    sync
    [ "$(cd "$HOST$UPDATES" && find . -type f | sort | tr '\n' ' ')" = "./iwlwifi.ucode ./nvidia/$OLD/gsp_ga10x.bin " ]
}

@test "a kept file that was changed there by hand is not taken for the lent one" {
    sync
    upgrade
    sync
    printf x | dd of="$HOST$UPDATES/nvidia/$OLD/gsp_tu10x.bin" bs=1 seek=299999 conv=notrunc status=none
    reboot
    sync
    [ -e "$HOST$UPDATES/nvidia/$OLD/gsp_tu10x.bin" ]
    [ ! -e "$HOST$UPDATES/nvidia/$OLD/gsp_ga10x.bin" ]
}

@test "a newer build of the same version replaces what was kept" {
    sync
    install_firmware $OLD
    sync
    [[ ${lines[0]} == "$OLD: its firmware kept "* ]]
    diff -r "$HOST$LIB/$OLD" "$HOST$KEPT/$OLD"
}

@test "Debian 12 has it in /lib/firmware, without merged folders too" {
    rm "$HOST/lib"
    mkdir "$HOST/lib"
    mv "$HOST/usr/lib/firmware" "$HOST/lib/firmware"
    sync
    diff -r "$HOST/lib/firmware/nvidia/$OLD" "$HOST$KEPT/$OLD"
    rm -r "$HOST/lib/firmware/nvidia/$OLD"
    sync
    diff -r "$HOST/lib/firmware/updates/nvidia/$OLD" "$HOST$KEPT/$OLD"
}

@test "what a sync left half way is not taken for firmware" {
    mkdir -p "$HOST$KEPT/$OLD"
    head -c 1000 /dev/zero >"$HOST$KEPT/$OLD/.gsp_ga10x.bin.tmp"
    sync
    [ "$(ls -A "$HOST$KEPT/$OLD" | tr '\n' ' ')" = "gsp_ga10x.bin gsp_tu10x.bin " ]
}

@test "firmware that the module does not use, or does not have, is not kept" {
    sed -i 's/^EnableGpuFirmware: .*/EnableGpuFirmware: 0/' "$HOST/proc/driver/nvidia/params"
    sync
    [[ $output != *firmware* ]]
    [ ! -e "$HOST$KEPT" ]
    sed -i 's/^EnableGpuFirmware: .*/EnableGpuFirmware: 18/' "$HOST/proc/driver/nvidia/params"
    rm -r "${HOST:?}$LIB"
    sync --json
    [ "$(jq -c .firmware <<<"$output")" = null ]
    [ ! -e "$HOST$KEPT" ]
}

@test "no driver is loaded: nothing is kept and nothing taken away" {
    sync
    upgrade
    sync
    rm -r "$HOST/proc/driver/nvidia"
    listing >"$BATS_TEST_TMPDIR/listing"
    run -0 "$NVLXC" --root "$HOST" driver sync --if-present
    [ -z "$output" ]
    listing | diff "$BATS_TEST_TMPDIR/listing" -
}

@test "it cannot be written: says so, and the bundles are synced all the same" {
    rm -rf "$HOST/var/lib/nvlxc/firmware"
    echo 'no folder' >"$HOST/var/lib/nvlxc/firmware"
    run -1 --separate-stderr "$NVLXC" --root "$HOST" driver sync
    [[ $stderr == "nvlxc: $OLD: its firmware: cannot "*"$KEPT"* ]]
    [[ $output == *"$OLD: kept as it is"* ]]
}

@test "the disk is full: the old file stays, and nothing half written does" {
    local disk="$HOST$KEPT"
    mkdir -p "$disk"
    mount -t tmpfs -o size=500k,mode=755 tmpfs "$disk"
    run -1 --separate-stderr "$NVLXC" --root "$HOST" driver sync
    [ "$(find "$disk" -type f -printf '%f ')" = "gsp_ga10x.bin " ] || { find "$disk" -ls; umount "$disk"; false; }
    umount "$disk"
    [[ $stderr == *"$KEPT/$OLD/gsp_tu10x.bin: No space left on device"* ]]
}

@test "driver sync --if-present: all is well without a driver, and only sync knows it" {
    HOST=$(fixture no-gpu)
    run -0 "$NVLXC" --root "$HOST" driver sync --if-present
    [ -z "$output" ]
    [ ! -e "$HOST/var/lib/nvlxc" ]
    run -3 "$NVLXC" --root "$HOST" driver sync
    run -2 "$NVLXC" --root "$HOST" driver prune --if-present
    [[ $output == *"--if-present works only with sync"* ]]
}
