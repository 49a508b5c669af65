# shellcheck shell=bash
# Debian's own packages for the tests, from the mirror that this machine uses; none is installed on it. Sourced by bash.

# The mirror that this machine takes Debian itself from, by apt's own reading of its sources: URI, nothing more.
debian_mirror() {
    # shellcheck disable=SC2016 # apt fills these in
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)' 'Created-By: Packages' |
        awk '$3 == "main" && $4 == "Debian" && $2 !~ /-(security|updates|backports|proposed-updates)$/ { print $1; exit }'
}

need_package_lists() {
    # one at a time: apt-get fails where another updates them
    [ -n "$(debian_mirror)" ] || (flock 8 && { [ -n "$(debian_mirror)" ] || apt-get update >&2; }) 8</etc/apt
    [ -n "$(debian_mirror)" ] || {
        echo "apt's sources on this machine name no Debian mirror" >&2
        return 1
    }
}

# debian_root SUITE DIR [OPTION...]: the smallest Debian that has apt, without manuals; options are mmdebstrap's.
debian_root() {
    local suite=$1 dir=$2 options=() line
    shift 2
    need_package_lists || return
    # mmdebstrap's apt reads nothing of this machine's configuration, but must know how to reach the mirror.
    while read -r line; do
        options+=(--aptopt="$line")
    done < <(apt-config dump | grep -E '^Acquire::(http|https|Retries|Check-Valid-Until|Check-Date)\b.* "[^"]+";$')
    # A half-made root is thrown away, so dpkg need not wait for the disk. mmdebstrap runs a Python program for each package:
    # Debian's, not one that stands before it in somebody's PATH and may take longer to start than to do its work.
    # One that is killed takes its mounts of proc and sys with it.
    # shellcheck disable=SC2016 # $1 is the hook's
    PATH=/usr/sbin:/usr/bin:/sbin:/bin unshare --mount --propagation private -- mmdebstrap --quiet --mode=root --format=directory --variant=apt --skip=check/qemu "${options[@]}" \
        --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
        --customize-hook='rm -f "$1"/etc/apt/apt.conf.d/99mmdebstrap' "$@" "$suite" "$dir" \
        "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(debian_mirror) $suite main" >&2
}
