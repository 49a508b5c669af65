#!/usr/bin/env bats
# The ground that the other files of this folder stand on: a daemon, and its containers, run on a simulated host.

setup_file() {
    load setup
    daemon_start
    daemon_init
    image_import busybox small
    launch web
    launch priv --config security.privileged=true
    "$client" project create other --config features.images=false --config features.profiles=false
    launch web --project other
}

teardown_file() {
    load setup
    daemon_end
}

setup() {
    load setup
}

# init_of NAME [PROJECT]: the process outside.
init_of() {
    daemon_ask "/1.0/instances/$1/state?project=${2:-default}" | jq .metadata.pid
}

# first_id PID: who its root is outside.
first_id() {
    awk '$1 == 0 { print $2 }' "/proc/$1/uid_map"
}

@test "containers run and take commands, unprivileged and privileged ones" {
    run -0 inside web id -u
    [ "$output" = 0 ]
    [ "$(first_id "$(init_of web)")" -ge 100000 ]
    run -0 inside priv id -u
    [ "$output" = 0 ]
    [ "$(first_id "$(init_of priv)")" = 0 ]
}

@test "nvlxc runs on this host, which has the simulated GPU" {
    run -0 nvlxc gpus
    [[ $output == *'RTX A5500'* ]]
}

@test "two projects have a container of one name each" {
    run -0 "$client" exec --project other web -- touch /mark
    run -0 inside web test ! -e /mark
    [ "$(init_of web)" != "$(init_of web other)" ]
}

@test "the programs of the package lxc are not there" {
    run ! command -v lxc-start
    run ! command -v lxc-attach
}

@test "containers run on while the daemon stops or dies, and it knows them again" {
    local before
    before=$(init_of web)
    daemon_stop
    run ! daemon_ask /1.0
    [ -e "/proc/$before" ]
    daemon_start
    [ "$(init_of web)" = "$before" ]
    daemon_kill
    [ -e "/proc/$before" ]
    daemon_start
    [ "$(init_of web)" = "$before" ]
    inside web true
}

@test "a start that fails says why, and the container starts without the cause" {
    stop web
    "$client" config set web raw.lxc='lxc.hook.mount = /bin/false'
    run -1 start web
    [[ $output == *'Failed to run mount hooks'* ]]
    "$client" config unset web raw.lxc
    start web
}

@test "a container stops and starts" {
    stop web
    run -0 "$client" list --format csv --columns s web
    [ "$output" = STOPPED ]
    start web
    inside web true
}
