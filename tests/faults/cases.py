"""The cases of `faults`: commands that nvlxc and its hook are interrupted in, and the host that each one runs on."""

import json
import shlex

STATE = "var/lib/incus/state"  # of the stand-in for Incus, in a host's folder


class Case:
    """A command on a copy of a host. {host} in it is the copy's folder; `prepare` is a shell script that runs there before.
    A command that begins with "hook" runs with the copy as the machine's own root, in a mount namespace of its own; so does one
    of a machine, whose other programs are stand-ins (stand-in). For one about a container of Incus the stand-in of its API
    (tests/lib/incus-daemon) listens, which nobody interrupts."""

    def __init__(self, name, command, prepare="", host="a5500-550", reads=False, may_lack=None, output=None, grows=None):
        self.name, self.command, self.prepare, self.host = name, command, prepare, host
        self.reads = reads  # changes nothing
        self.output = output  # is never overwritten; after an error that it told it may lack something
        self.may_lack = may_lack  # what a killed one leaves unnoted
        self.grows = grows  # a file that is only added to
        self.is_hook = command.startswith("hook ")
        self.is_machine = command.startswith("host setup ")
        self.asks_incus = " incus/" in command


# In a host's folder: a driver of two small libraries, complete enough to be built into a bundle.
DRIVER = """
    rm -rf usr/lib/x86_64-linux-gnu/lib*nvidia* usr/lib/x86_64-linux-gnu/libcuda* usr/lib/x86_64-linux-gnu/nvidia etc/ld.so.cache
    mkdir -p usr/lib/x86_64-linux-gnu usr/bin
    cp "$LIBRARIES"/*.so.* usr/lib/x86_64-linux-gnu/
    printf '#!/bin/sh\\n# nvidia-smi %s\\n' 550.163.01 > usr/bin/nvidia-smi; chmod 755 usr/bin/nvidia-smi
"""
BUNDLE = DRIVER + '"$NVLXC" --root . driver sync --quiet\n'
FIRMWARE = BUNDLE + """
    rm -rf var/lib/nvlxc/firmware; mkdir -p usr/lib/firmware/nvidia/550.163.01
    head -c 300000 /dev/zero > usr/lib/firmware/nvidia/550.163.01/gsp_ga10x.bin
    head -c 9000 /dev/zero > usr/lib/firmware/nvidia/550.163.01/gsp_tu10x.bin
"""
# A small root file system with glibc, as a container's.
ROOTFS = """
    r=var/lib/lxc/web/rootfs; mkdir -p $r/{bin,dev,etc/ld.so.conf.d,lib64,usr/bin,usr/lib/x86_64-linux-gnu,usr/local/bin,usr/share,proc,var/cache/ldconfig}
    ln -s usr/lib $r/lib
    cp -L /bin/sh $r/bin/sh; cp -L /lib64/ld-linux-x86-64.so.2 $r/lib64/; cp -L /lib/x86_64-linux-gnu/libc.so.6 $r/usr/lib/x86_64-linux-gnu/
    echo 'include /etc/ld.so.conf.d/*.conf' > $r/etc/ld.so.conf; echo /usr/lib/x86_64-linux-gnu > $r/etc/ld.so.conf.d/x86.conf
    printf 'root:x:0:\\nvideo:x:44:\\nrender:x:104:\\n' > $r/etc/group
"""
# Two nodes, of which the other one has published.
CLUSTER = """
    printf '%s\\n' 'nodelist {' ' node {' '  name: pve' ' }' ' node {' '  name: pve2' ' }' '}' > etc/pve/corosync.conf
    "$NVLXC" --root . host publish --quiet
    sed 's/"pve"/"pve2"/' etc/pve/nodes/pve/nvlxc.json > etc/pve/nodes/pve2/nvlxc.json
"""
# Two instances of one name, with what nvlxc must leave alone.
INSTANCE = {"name": "web", "project": "default", "type": "container", "config": {"user.note": "kept", "raw.lxc": "lxc.cap.drop = sys_time"},
            "devices": {}, "profiles": ["default"]}
INCUS = "mkdir -p var/lib/incus/database; printf %%s %s > %s\n" % (shlex.quote(json.dumps(
    {"instances": [INSTANCE, {**INSTANCE, "project": "lab"}], "profiles": {"default": [{"name": "default", "config": {}, "devices": {}}]}})), STATE)
ON_INCUS = """
    "$NVL_SOURCE/tests/lib/incus-daemon" var/lib/incus/unix.socket %s & daemon=$!
    until "$NVLXC" --root . attach incus/web --gpu 0 --quiet 2>/dev/null; do sleep 0.1; done
    kill $daemon; rm var/lib/incus/unix.socket
""" % STATE
START = BUNDLE + ROOTFS + """
    cp "$HOOK" hook; mkdir -p sbin mnt run/nvlxc; cp -L /sbin/ldconfig sbin/ldconfig
"""

# A Debian 13 without a driver that can be a machine's root: its own shell, and the stand-ins for what host setup calls.
MACHINE = """
    HOST=$PWD; . "$NVL_SOURCE/tests/hosts/parts.bash"
    debian 13
    mkdir -p real/proc root tmp boot usr/lib/apt usr/lib/x86_64-linux-gnu var/log var/lib/apt/lists var/lib/dpkg/updates run/systemd/system \\
        etc/apt/preferences.d etc/apt/keyrings etc/kernel etc/modprobe.d usr/lib/modprobe.d etc/systemd/system/multi-user.target.wants
    ln -sfn /real/proc/self proc/self
    programs="$(command -v sh cat mv rm ln mkdir) $NVLXC"
    cp -L $programs usr/bin/
    cp -L $(ldd $programs | sed -n 's|.*=> \\(/[^ ]*\\) .*|\\1|p' | sort -u) usr/lib/x86_64-linux-gnu/
    cp -L /lib64/ld-linux-x86-64.so.2 usr/lib64/
    mv usr/bin/nvlxc nvlxc
    cp "$NVL_SOURCE/tests/faults/stand-in" usr/lib/
    for program in bin/apt-get bin/dpkg bin/systemctl bin/nvidia-uninstall lib/apt/apt-helper sbin/update-initramfs sbin/dkms sbin/modprobe sbin/proxmox-boot-tool; do
        ln -sf /usr/lib/stand-in usr/$program
    done
    rm usr/bin/nvidia-uninstall
    echo 'as it was' > var/log/nvlxc-setup.log
    blacklisted() { printf 'options loop max_loop=8\\nblacklist nouveau\\n' > etc/modprobe.d/nvlxc.conf; touch boot/initrd.img-*; }
"""
# update-initramfs that was killed leaves a second name of the old image, and takes it away the next time it runs
ON_MACHINE = {"host": "no-driver", "grows": "var/log/nvlxc-setup.log", "may_lack": ".dpkg-bak"}

CASES = [
    Case("attach", "attach 220 --gpu 0", BUNDLE),
    Case("attach-lxc", "attach root/web --gpu 0", BUNDLE),
    Case("attach-user", "attach alice/web --gpu 0", BUNDLE),
    Case("attach-replace", "attach 223 --gpu 0 --replace", BUNDLE),
    Case("attach-static", "attach 220 --gpu 0 --nodes static", BUNDLE),
    Case("detach", "detach 220", '"$NVLXC" --root . attach 220 --gpu 0 --quiet'),
    Case("detach-clean", "detach root/web", START + """
        "$NVLXC" --root . attach root/web --gpu 0 --quiet
        mkdir -p $r/usr/local/nvidia $r/etc/cdi
        printf '# nvlxc made the folder /usr/local/nvidia\\n/usr/local/nvidia/lib64\\n' > $r/etc/ld.so.conf.d/00-nvlxc.conf
        ln -s /usr/local/nvidia/bin/nvidia-smi $r/usr/local/bin/nvidia-smi"""),
    Case("attach-incus", "attach incus/web --gpu 0", BUNDLE + INCUS),
    Case("detach-incus", "detach incus/web", BUNDLE + INCUS + ON_INCUS),
    Case("sync", "driver sync", DRIVER),
    Case("sync-update", "driver sync", BUNDLE + "echo more >> usr/bin/nvidia-smi"),
    Case("sync-from", "driver sync --from /opt/driver", DRIVER + """
        mkdir -p opt/driver/lib64; mv usr/lib/x86_64-linux-gnu/lib*.so.* opt/driver/lib64/"""),
    Case("sync-firmware", "driver sync", FIRMWARE),
    Case("sync-lend", "driver sync", FIRMWARE + """
        "$NVLXC" --root . driver sync --quiet; rm -r usr/lib/firmware/nvidia/550.163.01"""),
    Case("prune", "driver prune", BUNDLE + """
        mv var/lib/nvlxc/driver/550.163.01 var/lib/nvlxc/driver/535.1.1
        sed -i 's/550.163.01/535.1.1/' var/lib/nvlxc/driver/535.1.1/manifest.json"""),
    Case("cdi", "cdi --output /etc/cdi/nvlxc.json", BUNDLE),
    Case("cdi-kept", "driver sync", BUNDLE + """
        "$NVLXC" --root . cdi --output /etc/cdi/nvlxc.json --quiet; sed -i 's/rw"/r"/' etc/cdi/nvlxc.json"""),
    Case("cdi-print", "cdi", BUNDLE, reads=True),
    Case("publish", "host publish", CLUSTER + "rm etc/pve/nodes/pve/nvlxc.json"),
    Case("publish-changed", "host publish", CLUSTER + "sed -i 's/550/535/' etc/pve/nodes/pve/nvlxc.json"),
    Case("gpus-cluster", "gpus --cluster", CLUSTER, reads=True),
    Case("capture", "capture {host}/captured.tar", "mkdir -p tmp", output="captured.tar"),
    Case("template", "template ollama --ctid 300", reads=True),
    Case("gpus", "gpus", reads=True),
    Case("list", "list", reads=True),
    Case("show", "show 223", reads=True),
    Case("host", "host", reads=True),
    # these read a config twice: where the second time goes well, nobody needs to hear of the first
    Case("doctor", "doctor", "rm -r home/alice/.local", reads=True),
    Case("metrics", "metrics", "rm -r home/alice/.local", reads=True),
    Case("mount", "hook --records web lxc mount", START),
    Case("mount-required", "hook --records --required web lxc mount", START),
    Case("mount-again", "hook --records web lxc mount", START + """
        mkdir -p $r/usr/local/nvidia
        printf '# nvlxc made the folder /usr/local/nvidia\\n/usr/local/nvidia/lib64\\n' > $r/etc/ld.so.conf.d/00-nvlxc.conf"""),
    # without a place for notes the home holds its own: one that was made and not noted is nvlxc's all the same, for detach
    Case("mount-no-linker", "hook --records web lxc mount", START + "rm -r $r/etc/ld.so.conf*", may_lack="usr/local/nvidia/.nvlxc"),
    Case("pre-start", "hook --records web lxc pre-start", START + """
        "$NVLXC" --root . attach root/web --gpu 0 --quiet; chmod 660 dev/nvidia0; rm dev/nvidia-uvm"""),
    # all that setup does to a Debian; the sources are a link, and some of modprobe's files are the administrator's
    Case("setup", "host setup --yes", MACHINE + """
        kernel 6.12.107+deb13-amd64 running; empty /usr/lib/systemd/system/nvlxc-boot.service
        mv etc/apt/sources.list.d/debian.sources etc/apt/mine; ln -s ../mine etc/apt/sources.list.d/debian.sources
        printf 'options loop max_loop=8' > etc/modprobe.d/nvlxc.conf; chmod 640 etc/modprobe.d/nvlxc.conf
        printf '# old\\nblacklist nvidiafb\\nblacklist nvidia\\n' > etc/modprobe.d/passthrough.conf
        printf 'install nvidia /bin/false\\n' > usr/lib/modprobe.d/package.conf""", **ON_MACHINE),
    Case("setup-backports", "host setup --yes", MACHINE + """
        proxmox 9.1.4 6.17.4-1-pve; blacklisted
        printf 'nouveau 3000 1 - Live 0x0\\n' > proc/modules
        printf '# old\\nblacklist nvidia\\n' > etc/modprobe.d/passthrough.conf; touch -r boot etc/modprobe.d/passthrough.conf""",
         **ON_MACHINE),
    Case("setup-kernel", "host setup --yes", MACHINE + "proxmox 9.2.10 7.0.2-6-pve; blacklisted; with_non_free", **ON_MACHINE),
    Case("setup-nvidia", "host setup --yes --from nvidia", MACHINE + """
        kernel 6.12.107+deb13-amd64 running; blacklisted""", **ON_MACHINE),
    Case("setup-run", "host setup --yes --run /root/driver.run", MACHINE + """
        rm etc/apt/sources.list.d/*; debian 12; ln -sf /usr/lib/stand-in usr/sbin/update-initramfs
        kernel 6.1.0-40-amd64 running; blacklisted
        cat > root/driver.run <<'END'
#!/bin/sh
targetdir=NVIDIA-Linux-x86_64-580.105.08
set -e
PATH=/usr/bin
ln -sf /usr/lib/stand-in /usr/bin/nvidia-uninstall
printf so > /usr/lib/x86_64-linux-gnu/libcuda.new; mv /usr/lib/x86_64-linux-gnu/libcuda.new /usr/lib/x86_64-linux-gnu/libcuda.so.580.105.08
mkdir -p /var/lib/dkms/nvidia/580.105.08
/usr/sbin/dkms autoinstall -k 6.1.0-40-amd64
exit
END""", **ON_MACHINE),
    Case("setup-other", "host setup --yes --from debian", MACHINE + """
        kernel 6.12.107+deb13-amd64 running; blacklisted; with_non_free
        ln -s /usr/lib/stand-in usr/bin/nvidia-uninstall; : > usr/lib/x86_64-linux-gnu/libcuda.so.570.124.04
        empty /usr/lib/modules/6.12.107+deb13-amd64/updates/dkms/nvidia.ko.xz""", **ON_MACHINE),
    Case("setup-module", "host setup --yes", MACHINE + """
        kernel 6.12.107+deb13-amd64 running; blacklisted; with_non_free
        headers 6.12.107+deb13-amd64; packages 1 linux-headers-6.12.107+deb13-amd64 linux-headers-amd64
        packages 550.163.01-2 nvidia-kernel-dkms; mkdir -p var/lib/dkms/nvidia-current/550.163.01""", **ON_MACHINE),
]
