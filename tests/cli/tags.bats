# attach --tag: Proxmox's tags of a CT name its GPUs. The host has two: an RTX 3090, GPU 0, and an RTX 4090, GPU 1.

bats_require_minimum_version 1.5.0
load "$NVL_SOURCE/tests/lib/hosts.bash"

NVLXC="$NVL_BUILD/src/cli/nvlxc"

setup() {
    host=$(fixture two-gpus-535)
    mkdir -p "$host/etc/pve/nodes/pve/lxc" "$host/var/lib/lxc/web"
    ln -s nodes/pve "$host/etc/pve/local"
    ln -s nodes/pve/lxc "$host/etc/pve/lxc"
    conf=$host/etc/pve/lxc/220.conf
    config
}

# config [LINE]: 220's config, with that line where Proxmox would have it.
config() {
    printf '%s\n' 'arch: amd64' 'hostname: ml' 'rootfs: local-lvm:vm-220-disk-0,size=8G' 'swap: 512' ${1:+"$1"} 'unprivileged: 1' \
        'lxc.cap.drop: sys_time' > "$conf"
    cp "$conf" "$BATS_TEST_TMPDIR/before"
}

nvlxc() {
    "$NVLXC" --root "$host" "$@"
}

attach() {
    nvlxc attach 220 --libraries none "$@"
}

tags() {
    sed -n 's/^tags: //p' "$conf"
}

@test "a tag for each GPU, where Proxmox would write it; detach restores the file" {
    run -0 attach --gpu 0 --tag
    [ "$(grep -n ^tags "$conf")" = '5:tags: gpu-0' ]
    cp "$conf" "$BATS_TEST_TMPDIR/attached"
    run -0 attach --gpu 0 --tag
    says "nothing to change"
    cmp "$conf" "$BATS_TEST_TMPDIR/attached"
    nvlxc --json show 220 | jq -e '.grant.tag'
    run -0 nvlxc detach 220
    cmp "$conf" "$BATS_TEST_TMPDIR/before"
    run -0 attach --gpu 0 --gpu 1 --tag
    [ "$(tags)" = 'gpu-0;gpu-1' ]
    run -0 attach --gpu 1 --tag --dry-run
    says "-tags: gpu-0;gpu-1" "+tags: gpu-1"
    [ "$(tags)" = 'gpu-0;gpu-1' ]
}

@test "a grant that fits several nodes has one tag for all" {
    local words
    for words in any all model:4090; do
        run -0 attach --gpu $words --tag
        [ "$(tags)" = gpu ]
        nvlxc detach 220
        cmp "$conf" "$BATS_TEST_TMPDIR/before"
    done
    run -0 attach --gpu none --tag
    [ -z "$(tags)" ]
}

@test "off by default; a later attach keeps it true, and only detach ends it" {
    attach --gpu 0
    [ -z "$(tags)" ]
    nvlxc --json show 220 | jq -e '.grant.tag == false'
    attach --gpu 0 --tag
    attach --gpu 1
    [ "$(tags)" = gpu-1 ]
    attach --gpu any --required
    [ "$(tags)" = gpu ]
    attach --gpu 0,1
    [ "$(tags)" = 'gpu-0;gpu-1' ]
    # somebody took it away in the web page
    sed -i /^tags/d "$conf"
    attach --gpu 0
    [ "$(tags)" = gpu-0 ]
    nvlxc detach 220
    cmp "$conf" "$BATS_TEST_TMPDIR/before"
    attach --gpu 0
    [ -z "$(tags)" ]
}

@test "others' tags stay in their order, however they are written" {
    local before after
    while IFS='|' read -r before after; do
        config "tags: $before"
        run -0 attach --gpu 0 --tag
        [ "$(tags)" = "$after" ] || { echo "$before: $(tags)"; false; }
        attach --gpu 1
        [ "$(tags)" = "${after%gpu-0}gpu-1" ]
        nvlxc detach 220
        cmp "$conf" "$BATS_TEST_TMPDIR/before"
    done <<'END'
prod|prod;gpu-0
z;a|z;a;gpu-0
a, b c|a, b c;gpu-0
gpux;gpu-;my-gpu-0;gpu-0a|gpux;gpu-;my-gpu-0;gpu-0a;gpu-0
END
    # Proxmox has sorted them since
    config 'tags: z;a'
    attach --gpu 0 --tag
    sed -i 's/^tags.*/tags: a;gpu-0;z/' "$conf"
    attach --gpu 1
    [ "$(tags)" = 'a;z;gpu-1' ]
    sed -i 's/^tags.*/tags: gpu-1;z/' "$conf"
    nvlxc detach 220
    [ "$(tags)" = z ]
}

@test "tags of that form that somebody else wrote stay, if no grant put any there" {
    config 'tags: gpu;gpu-7'
    attach --gpu 0
    [ "$(tags)" = 'gpu;gpu-7' ]
    nvlxc detach 220
    cmp "$conf" "$BATS_TEST_TMPDIR/before"
    run -0 attach --gpu 0 --tag
    [ "$(tags)" = 'gpu;gpu-7;gpu-0' ]
}

@test "a snapshot's tags and the notes are not touched; a file without a last line end keeps that" {
    printf '#tags: note\n%s\n[before]\narch: amd64\ntags: gpu-9;old\n' "$(cat "$conf")" > "$conf.new"
    mv "$conf.new" "$conf"
    cp "$conf" "$BATS_TEST_TMPDIR/before"
    attach --gpu 0 --tag
    [ "$(tags)" = $'gpu-0\ngpu-9;old' ]
    run -0 grep -c '^#tags: note$' "$conf"
    nvlxc detach 220
    cmp "$conf" "$BATS_TEST_TMPDIR/before"
    printf 'lxc.cap.drop: sys_time\narch: amd64' > "$conf"
    cp "$conf" "$BATS_TEST_TMPDIR/before"
    attach --gpu 0 --tag
    [ "$(tags)" = gpu-0 ]
    nvlxc detach 220
    cmp "$conf" "$BATS_TEST_TMPDIR/before"
    printf 'arch: amd64\r\ntags: a\r\n' > "$conf"
    cp "$conf" "$BATS_TEST_TMPDIR/before"
    attach --gpu 0 --tag
    [ "$(tags)" = $'a;gpu-0\r' ]
    nvlxc detach 220
    cmp "$conf" "$BATS_TEST_TMPDIR/before"
}

@test "only Proxmox has tags" {
    printf 'lxc.uts.name = web\nlxc.rootfs.path = dir:/var/lib/lxc/web/rootfs\n' > "$host/var/lib/lxc/web/config"
    run -2 nvlxc attach web --gpu 0 --tag
    says "--tag is for Proxmox's CTs: the config of web"
    ! grep nvlxc "$host/var/lib/lxc/web/config"
    # detach works where the grant itself cannot be read
    attach --gpu 0 --tag
    sed -i 's/NVIDIA_VISIBLE_DEVICES=.*/NVIDIA_VISIBLE_DEVICES=x/' "$conf"
    run -0 nvlxc detach 220
    cmp "$conf" "$BATS_TEST_TMPDIR/before"
}
