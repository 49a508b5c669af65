"""Hostile root file systems: every path that nvlxc reads or writes in one, with every kind of thing that can stand there; and
folders that turn into links while the hook works.

The mount hook runs as liblxc has it, in a mount namespace with the root bound, as the host's root: what leads out of it would
be written with all rights. Then detach cleans the root as a folder of the host."""

import multiprocessing
import os
import shutil
import socket
import stat
import subprocess

from common import (CLONE_NEWNS, HOOK, MS_BIND, MS_PRIVATE, MS_RDONLY, MS_REC, MS_REMOUNT, ROOTFS_MOUNT, Case, Guard, libc,
                    mount, nvlxc, run, sh)

ARENA, OUTSIDE = "/run/hostile/arena", "/run/hostile/outside"
ROOT, TEMPLATE = ARENA + "/root", "/run/hostile/template"
CONFIG = "/var/lib/lxc/hostile/config"
LIB = "usr/lib/x86_64-linux-gnu"
# of this host, besides what lies beside the root
HOST = ["/etc", "/usr/local", "/opt", "/var/cache", "/var/lib/nvlxc", "/usr/libexec/nvlxc", "/usr/share/vulkan"]
LIMIT = 20

# What docs/design/files.md and src/inject/places.c name, and the folders above; "f": a file is expected there.
PATHS = [tuple(line.split()) for line in """
etc d
etc/ld.so.conf f
etc/ld.so.conf.d d
etc/ld.so.conf.d/00-nvlxc.conf f
etc/ld.so.cache f
etc/ld.so.cache~ f
etc/group f
etc/OpenCL d
etc/OpenCL/vendors d
etc/OpenCL/vendors/nvidia.icd f
etc/cdi d
etc/cdi/nvlxc.json f
usr d
usr/local d
usr/local/nvidia d
usr/local/nvidia/.nvlxc f
usr/local/bin d
usr/local/bin/nvidia-smi f
usr/bin d
usr/bin/nvidia-smi f
usr/local/lib d
usr/local/lib/libcuda.so.1 f
usr/lib d
usr/share d
usr/share/vulkan d
usr/share/vulkan/icd.d/nvidia_icd.json f
usr/share/vulkan/implicit_layer.d d
usr/share/glvnd/egl_vendor.d d
usr/share/nvidia d
usr/share/nvidia/nvoptix.bin f
usr/share/egl/egl_external_platform.d d
LIB d
LIB/libc.so.6 f
LIB/gbm d
LIB/gbm/nvidia-drm_gbm.so f
LIB/vdpau/libvdpau_nvidia.so.1 f
usr/lib/xorg/modules d
usr/lib/xorg/modules/drivers/nvidia_drv.so f
lib64/ld-linux-x86-64.so.2 f
sbin/init f
opt d
opt/nvlxc d
opt/nvlxc/nvidia d
var/cache d
var/cache/ldconfig d
var/cache/ldconfig/aux-cache f
var/cache/ldconfig/aux-cache~ f
proc d
dev d
dev/nvidia0 f
dev/nvidia-caps d
dev/dri d
""".replace("LIB", LIB).strip().splitlines()]

KINDS = ["link-out", "link-up", "link-self", "link-loop", "link-dangling", "link-proc", "link-deep", "fifo", "socket", "device",
         "sparse", "folder", "file", "unreadable", "mount", "mount-read-only", "hard-link", "newline"]


def make_template():
    """As little as ldconfig and the hook take for a Debian with glibc."""
    for folder in ["etc/ld.so.conf.d", "usr/bin", "usr/sbin", LIB, "usr/lib64", "usr/local/bin", "usr/local/lib", "usr/share",
                   "usr/lib/xorg/modules/drivers", "usr/lib/xorg/modules/extensions", "opt", "var/cache/ldconfig", "run", "tmp",
                   "dev", "proc", "sys"]:
        os.makedirs("%s/%s" % (TEMPLATE, folder))
    for name in ["bin", "sbin", "lib", "lib64"]:
        os.symlink("usr/" + name, "%s/%s" % (TEMPLATE, name))
    for source, to in [("/bin/dash", "usr/bin/sh"), ("/bin/dash", "usr/sbin/init"), ("/lib64/ld-linux-x86-64.so.2",
                       "usr/lib64/ld-linux-x86-64.so.2"), ("/lib/x86_64-linux-gnu/libc.so.6", LIB + "/libc.so.6")]:
        shutil.copy(source, "%s/%s" % (TEMPLATE, to))
    for name, text in [("ld.so.conf", "include /etc/ld.so.conf.d/*.conf\n"), ("passwd", "root:x:0:0::/root:/bin/sh\n"),
                       ("ld.so.conf.d/x86.conf", "/%s\n" % LIB), ("group", "root:x:0:\nvideo:x:44:\nrender:x:105:\n")]:
        with open("%s/etc/%s" % (TEMPLATE, name), "w", encoding="ascii") as file:
            file.write(text)


def make_outside():
    for folder in ["folder", "folder/below"]:
        os.makedirs("%s/%s" % (OUTSIDE, folder))
    for name in ["file", "folder/file", "folder/00-nvlxc.conf", "folder/nvidia-smi"]:
        with open("%s/%s" % (OUTSIDE, name), "w", encoding="ascii") as file:
            file.write("canary\n")


def prepare():
    make_template()
    make_outside()
    os.makedirs(ROOTFS_MOUNT, exist_ok=True)
    os.makedirs(os.path.dirname(CONFIG))
    with open(CONFIG, "w", encoding="ascii") as file:
        file.write("lxc.uts.name = hostile\nlxc.rootfs.path = dir:%s\n" % ROOT)
    fresh_root()
    sh("nvlxc attach hostile --capabilities all --quiet")
    prepare.config = open(CONFIG, encoding="ascii").read()
    prepare.outside = Guard(OUTSIDE, with_ctime=False)
    prepare.host = Guard(*HOST)


def fresh_root():
    shutil.rmtree(ARENA, ignore_errors=True)
    os.mkdir(ARENA)
    shutil.copytree(TEMPLATE, ROOT, symlinks=True)


def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def plant(path, kind, wanted):
    """Puts the thing there. Gives what must be mounted there instead."""
    at = os.path.join(ROOT, path)
    target = OUTSIDE + ("/folder" if wanted == "d" else "/file")
    parent = os.path.dirname(at)
    os.makedirs(parent, exist_ok=True)
    if kind == "newline":
        # beside it: what reads the folder meets the name
        folder = at if wanted == "d" else parent
        os.makedirs(folder, exist_ok=True)
        for name in ["a\nb.conf", "\x1b[31m.conf", "x" * 255]:
            with open(os.path.join(folder, name), "w", encoding="ascii") as file:
                file.write("/tmp\n")
        return None
    if kind in ("mount", "mount-read-only"):
        if not os.path.lexists(at):
            if wanted == "d":
                os.makedirs(at)
            else:
                open(at, "w", encoding="ascii").close()
        return (target, path, kind == "mount-read-only")
    kept = at + ".kept"
    if os.path.lexists(at):
        os.rename(at, kept)
    if kind == "link-out":
        os.symlink(target, at)
    elif kind == "link-up":
        os.symlink("../" * 40 + target[1:], at)
    elif kind == "link-self":
        os.symlink(os.path.basename(at), at)
    elif kind == "link-loop":
        os.symlink(os.path.basename(at) + ".2", at)
        os.symlink(os.path.basename(at), at + ".2")
    elif kind == "link-dangling":
        os.symlink("/nowhere/at/all", at)
    elif kind == "link-proc":
        os.symlink("/proc/1/root" + target, at)
    elif kind == "link-deep":
        for i in range(39):
            os.symlink("%s.%d" % (os.path.basename(at), i + 1), at + (".%d" % i if i else ""))
        os.symlink("../" * 40 + target[1:], at + ".39")
    elif kind == "fifo":
        os.mkfifo(at)
    elif kind == "socket":
        here = os.getcwd()
        os.chdir(parent)
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(os.path.basename(at))
        os.chdir(here)
    elif kind == "device":
        os.mknod(at, stat.S_IFCHR | 0o666, os.makedev(1, 5))  # /dev/zero: reading it never ends
    elif kind == "sparse":
        with open(at, "wb") as file:
            file.truncate(1 << 38)
    elif kind == "folder":
        os.mkdir(at)
    elif kind == "file":
        with open(at, "w", encoding="ascii") as file:
            file.write("not a folder\n")
    elif kind == "unreadable":
        if os.path.lexists(kept) and not os.path.islink(kept):
            os.rename(kept, at)
        elif wanted == "d":
            os.mkdir(at)
        else:
            open(at, "w", encoding="ascii").close()
        os.chmod(at, 0)
    elif kind == "hard-link":
        os.link(OUTSIDE + "/file", at)
    return None


def enter(base, planted, with_own):
    """In the child: the namespace that a mount hook meets, or that of a host where the root has such mounts."""
    if libc.unshare(CLONE_NEWNS) != 0:
        raise OSError("unshare")
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    if with_own:
        mount(ROOT, base, None, MS_BIND | MS_REC)
    if planted is not None:
        source, path, read_only = planted
        mount(source, os.path.join(base, path), None, MS_BIND)
        if read_only:
            mount(None, os.path.join(base, path), None, MS_BIND | MS_REMOUNT | MS_RDONLY)
    for name in ["dev", "proc"]:
        if not with_own or not stat.S_ISDIR(os.lstat(os.path.join(base, name)).st_mode) or with_own == "without " + name:
            continue
        if name == "dev":
            mount("none", base + "/dev", "tmpfs", 0, "mode=755")
        else:
            mount("proc", base + "/proc", "proc")
            mount("/proc/driver", base + "/proc/driver", None, MS_BIND | MS_REC)


def hook(planted=None, own="all", required=False):
    env = {"LXC_ROOTFS_MOUNT": ROOTFS_MOUNT, "NVIDIA_VISIBLE_DEVICES": "all", "NVIDIA_DRIVER_CAPABILITIES": "all",
           "LXC_CONFIG_FILE": CONFIG}
    return run([HOOK, "hostile", "lxc", "mount"], limit=LIMIT, env=env, before=lambda: enter(ROOTFS_MOUNT, planted, own))


def detach(planted=None):
    with open(CONFIG, "w", encoding="ascii") as file:
        file.write(prepare.config)
    return nvlxc("detach", "hostile", limit=LIMIT, before=lambda: enter(ROOT, planted, None))


def attack(path, kind, wanted):
    """ldconfig makes notes in /var/cache, and nvlxc takes them away: a mount there is touched, and left as it was."""
    fresh_root()
    planted = plant(path, kind, wanted)
    own = "without " + path.split("/")[0] if path.split("/")[0] in ("dev", "proc") else "all"
    outside = prepare.outside
    outside.but = (OUTSIDE + "/folder",) if kind == "mount" and path.startswith("var/cache") else ()
    outside.before = outside.look()
    problems = []
    for what, end in (("start", hook(planted, own)), ("detach", detach(planted))):
        statuses = {0} if what == "start" else {0, 1}
        problems += ["%s: %s" % (what, text) for text in end.problems(statuses, LIMIT) + outside.problems()]
        if end.peak > 400 << 10:
            problems.append("%s: it took %d MiB" % (what, end.peak >> 10))
    return problems + prepare.host.problems()


# ---- races ----

SWAPPED = [("usr/local", "d"), ("usr/local/nvidia", "d"), ("etc", "d"), ("etc/ld.so.conf.d", "d"), ("usr/local/bin", "d"),
           ("usr/share", "d"), ("var/cache/ldconfig", "d"), ("opt", "d"), ("etc/ld.so.cache", "f"), ("etc/OpenCL", "d"),
           (LIB, "d"), ("dev", "d"), ("usr", "d"), ("etc/ld.so.conf.d/00-nvlxc.conf", "f")]


def swap(path, link):
    """Exchanges the two names for ever: renameat2(2), RENAME_EXCHANGE."""
    a, b = os.fsencode(path), os.fsencode(link)
    while True:
        libc.renameat2(-100, a, -100, b, 2)


def race(path, wanted, kind, rounds):
    fresh_root()
    at = os.path.join(ROOT, path)
    if not os.path.lexists(at):
        if wanted == "d":
            os.makedirs(at)
        else:
            os.makedirs(os.path.dirname(at), exist_ok=True)
            open(at, "w", encoding="ascii").close()
    target = OUTSIDE + ("/folder" if wanted == "d" else "/file")
    os.symlink(target if kind == "link-out" else "../" * 40 + target[1:], at + ".swap")
    own = "without dev" if path == "dev" else "all"
    outside = prepare.outside
    outside.before = outside.look()
    swapper = multiprocessing.Process(target=swap, args=(at, at + ".swap"), daemon=True)
    swapper.start()
    problems = []
    try:
        for i in range(rounds):
            end = hook(None, own) if i % 2 == 0 else detach()
            problems += end.problems({0, 1} if i % 2 else {0}, LIMIT)
    finally:
        swapper.terminate()
        swapper.join()
    return problems + outside.problems() + prepare.host.problems()


# ---- in a running container ----

LIVE = [("usr/local", "d"), ("usr/local/nvidia", "d"), ("opt", "d"), ("etc/ld.so.conf.d", "d"), ("usr/share", "d"),
        ("dev/nvidia0", "f"), ("etc/ld.so.cache", "f")]
LIVE_KINDS = ["link-out", "link-up", "link-loop", "link-proc", "fifo", "file"]
LIVE_SCRIPT = {"link-out": "ln -s {target} {at}", "link-up": "ln -s ../../../../../../..{target} {at}", "link-loop": "ln -s {at} {at}",
               "link-proc": "ln -s /proc/1/root{target} {at}", "fifo": "mknod {at} p", "file": "echo > {at}"}


def start_live():
    if not hasattr(start_live, "pid"):
        sh("make_container live debian-12 privileged; nvlxc attach live --quiet --capabilities all; start live")
        start_live.pid = sh("lxc-info -n live -pH").strip()
    return start_live.pid


def attack_live(path, kind, wanted):
    pid = start_live()
    inside = ["nsenter", "-t", pid, "-m", "-p", "/bin/sh", "-c"]
    nvlxc("detach", "live", "--live")
    at = "/" + path
    target = OUTSIDE + ("/folder" if wanted == "d" else "/file")
    subprocess.run(inside + ["PATH=/bin; mkdir -p %s; mkdir -p %s; [ ! -e %s ] || mv %s %s.kept; %s" % (
        os.path.dirname(at), target if wanted == "d" else os.path.dirname(target), at, at, at,
        LIVE_SCRIPT[kind].format(at=at, target=target))], check=True)
    outside = prepare.outside
    outside.before = outside.look()
    problems = []
    for words in (["attach", "live", "--live", "--capabilities", "all"], ["detach", "live", "--live"]):
        end = nvlxc(*words, limit=100)
        problems += ["%s: %s" % (words[0], text) for text in end.problems({0, 1}, 100) + outside.problems()]
    subprocess.run(inside + ["PATH=/bin; rm -rf %s; [ ! -e %s.kept ] || mv %s.kept %s" % (at, at, at, at)], check=True)
    return problems + prepare.host.problems()


def cases(full):
    # what is mounted on /dev is the container's: LXC itself does so
    found = [Case("paths", "%s at %s" % (kind, path), lambda a=(path, kind, wanted): attack(*a))
             for path, wanted in PATHS for kind in KINDS if (path, kind) != ("dev", "mount")]
    rounds = 80 if full else 6
    found += [Case("races", "%s <-> %s" % (path, kind), lambda a=(path, wanted, kind, rounds): race(*a))
              for path, wanted in SWAPPED for kind in ("link-out", "link-up")]
    found += [Case("live", "%s at %s" % (kind, path), lambda a=(path, kind, wanted): attack_live(*a))
              for path, wanted in LIVE for kind in LIVE_KINDS]
    return found
