#!/usr/bin/env bats
# The checks of `./dev lint` and the counting of `./dev test` find what they are there to find.
bats_require_minimum_version 1.5.0

setup() {
    copy=$BATS_TEST_TMPDIR/copy
    mkdir -p "$copy"
    cp -R "$NVL_SOURCE/src" "$copy/"
}

@test "the includes of the tree go in the allowed directions" {
    run -0 "$NVL_SOURCE/tests/lint/includes" "$copy"
    [ -z "$output" ]
}

@test "an include against the direction is found, with its file and line" {
    sed -i '1i #include "plan/plan.h"' "$copy/src/host/gpu.h"
    run -1 "$NVL_SOURCE/tests/lint/includes" "$copy"
    [ "$output" = 'src/host/gpu.h:1: host may not use plan ("plan/plan.h")' ]
}

@test "an include that does not name its room, and a room that nobody knows, are found" {
    echo '#include "gpu.h"' >> "$copy/src/host/host.c"
    mkdir "$copy/src/attic"
    echo '#include "base/text.h"' > "$copy/src/attic/old.c"
    run -1 "$NVL_SOURCE/tests/lint/includes" "$copy"
    [[ $output == *'"gpu.h" should be "ROOM/…/NAME.h"'* ]]
    [[ $output == *'src/attic/old.c:1: the room attic is not in the table'* ]]
}

@test "a tree without sources is not taken for a good one" {
    rm -rf "$copy/src"
    mkdir "$copy/src"
    run -1 "$NVL_SOURCE/tests/lint/includes" "$copy"
    [[ $output == *'no C file'* ]]
}

@test "words that only one machine knows, and unfinished ends, are found" {
    run -0 "$NVL_SOURCE/tests/lint/words" "$copy"
    # in pieces, since this file is looked at too
    printf '/* TO%s: later */\n' DO > "$copy/src/a.c"
    printf 'see /%s/main/src\n' work > "$copy/src/b.c"
    printf 'URIs: http://%s/\n' deb.debian.org > "$copy/src/c.c"
    printf 'Serial Number : %s\n' 0123456789 > "$copy/src/d.c"
    run -1 "$NVL_SOURCE/tests/lint/words" "$copy"
    for file in a b c d; do
        [[ $output == *"src/$file.c:1:"* ]]
    done
}

# program NAME SHELL-COMMAND: a test program in a small meson project of its own.
program() {
    printf "test('%s', find_program('sh'), args: ['-c', '''%s'''], suite: 'unit', protocol: 'tap', timeout: 2)\n" \
        "$1" "$2" >> "$copy/meson.build"
}

count() {
    meson setup "$copy/build" "$copy" > /dev/null
    run "$@" "$NVL_SOURCE/tests/lib/run" "$copy/build"
}

@test "the test runner counts cases, and a skipped one as skipped" {
    echo "project('counted')" > "$copy/meson.build"
    program good 'echo 1..3; echo ok 1 - a; echo "ok 2 - b # SKIP no GPU"; echo ok 3'
    count -0
    [ "${lines[-1]}" = '2 passed, 0 failed, 1 skipped' ]
}

@test "the test runner shows a failed case with what it said" {
    echo "project('counted')" > "$copy/meson.build"
    program bad 'echo 1..2; echo "not ok 1 - two GPUs"; echo "# expected 2"; echo ok 2 - more; exit 1'
    count -1
    [ "${lines[-1]}" = '1 passed, 1 failed' ]
    echo "$output"
    [[ $output == *'FAILED  unit/bad: two GPUs'*'# expected 2'* ]]
}

@test "a program that dies, stops early, hangs or runs nothing is a failure" {
    echo "project('counted')" > "$copy/meson.build"
    program dies 'echo 1..1; echo ok 1 - a; kill -SEGV $$'
    program early 'echo 1..2; echo ok 1 - a'
    program hangs 'echo 1..1; echo ok 1 - a; exec sleep 100'
    program nothing 'echo 1..0'
    count -1
    [ "${lines[-1]}" = '3 passed, 4 failed' ]
    for name in dies early hangs; do
        [[ $output == *"FAILED  unit/$name ended as"* ]]
    done
    [[ $output == *'FAILED  unit/nothing ran no test case'* ]]
}

@test "no test at all is a failure" {
    echo "project('counted')" > "$copy/meson.build"
    count -1
    [ "${lines[-1]}" = '0 passed, 1 failed' ]
}

@test "./dev lists its verbs, and refuses one that it does not know" {
    run -0 "$NVL_SOURCE/dev"
    for verb in build test demo lint format packages clean; do
        [[ $output == *"$verb "* ]]
    done
    run -2 "$NVL_SOURCE/dev" bulid
    [[ $output == *"there is no verb 'bulid'"* ]]
}
