# shellcheck shell=bash
# Incus as Debian has it, and its container, incus/web. systemd holds its socket and starts the daemon when somebody asks.
# Sourced by bash.

# Without a network.
set_up_incus() {
    incus admin init --preseed <<'PRESEED'
storage_pools:
- name: default
  driver: dir
profiles:
- name: default
  devices:
    root:
      path: /
      pool: default
      type: disk
PRESEED
}

import_image() {
    incus image import /root/image/metadata.tar /root/image/rootfs.tar --alias small
}

# What is in its config, in the daemon's database.
raw_lxc() {
    incus config get web raw.lxc
}

warns() {
    nvlxc list 2>&1 >/dev/null | grep -F "$1"
}

# list_wakes_incus: a question, and nothing else, starts the daemon. Under emulation that takes longer than nvlxc waits.
list_wakes_incus() {
    fails systemctl is-active incus.service || return
    nvlxc list
    systemctl is-active incus.service | grep -x -e active -e activating
}

# The daemon stops, its containers run on.
incus_sleeps() {
    tries 'stop Incus' systemctl stop incus.service
    # with it goes incus-startup.service, which stops the containers if the daemon still runs
    tries 'close the socket of Incus' systemctl stop incus.socket
    tries 'list says that Incus is not running' warns 'Incus is not running (nobody listens on its socket)'
    tries 'incus/web runs on' is_running incus/web
    tries 'open the socket of Incus' systemctl start incus.socket
    tries 'list wakes Incus' list_wakes_incus
    tries 'list has the container of Incus' within 60 says list Incus
    tries 'list has nothing to warn of' fails warns ''
    tries 'start what stops Incus with the machine' systemctl start incus-startup.service
}
