"""What users and images write: configs that claim what is another's, variables for the hooks' shell, leases, file systems that
never answer. Root works on it by name, and looks at all of it with list, doctor and metrics."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import time

import roots
from common import SOURCE, Case, Guard, nvlxc, run, sh

HOME, LXC = "/home/alice", "/home/alice/.local/share/lxc"
ALICE, RANGE, VICTIMS = 1234, 300000, 100000
EVIL, VICTIM = LXC + "/evil", "/var/lib/lxc/victim"
HERS = "lxc.idmap = u 0 %d 65536\nlxc.idmap = g 0 %d 65536\n" % (RANGE, RANGE)
OTHERS = "lxc.idmap = u 0 %d 65536\nlxc.idmap = g 0 %d 65536\n" % (VICTIMS, VICTIMS)
GRANT = "lxc.environment = NVIDIA_VISIBLE_DEVICES=all\nlxc.environment = NVIDIA_DRIVER_CAPABILITIES=all\n" \
        "lxc.hook.mount = /usr/libexec/nvlxc/hook\n"
SECRET = "lxc.uts.name = s3cr3t\nlxc.environment = s3cr3t\n"


def own(path, uid):
    for folder, folders, files in os.walk(path):
        for name in [""] + folders + files:
            os.lchown(os.path.join(folder, name), uid, uid)


def prepare():
    """The victim is a container of root's with what a start leaves in it, within reach of everybody."""
    sh("""useradd --uid %d --user-group --create-home --shell /bin/bash alice
        sed -i /^alice:/d /etc/subuid /etc/subgid
        echo alice:%d:65536 | tee -a /etc/subuid >> /etc/subgid
        chmod 755 /home/alice /var/lib/lxc""" % (ALICE, RANGE))
    os.makedirs(EVIL)
    os.makedirs(VICTIM)
    own(HOME, ALICE)
    with open(VICTIM + "/config", "w", encoding="ascii") as file:
        file.write("lxc.uts.name = victim\nlxc.rootfs.path = dir:%s/rootfs\n%s" % (VICTIM, OTHERS))
    roots.fresh_root()
    roots.hook()
    shutil.copytree(roots.ROOT, VICTIM + "/rootfs", symlinks=True)
    own(VICTIM + "/rootfs", VICTIMS)
    assert os.path.exists(VICTIM + "/rootfs/etc/ld.so.conf.d/00-nvlxc.conf")
    with open("/root/secret", "w", encoding="ascii") as file:
        file.write(SECRET)
    os.chmod("/root/secret", 0o600)
    sh("nvlxc attach victim --quiet")
    prepare.victim = Guard(VICTIM, with_ctime=False)
    # a healthy one of hers
    fill(LXC + "/good", HERS + "lxc.rootfs.path = dir:%s/good/rootfs\n" % LXC)
    sh("nvlxc attach alice/good --quiet || nvlxc attach good --quiet")
    prepare.host = Guard(*roots.HOST)


def fill(folder, text):
    os.makedirs(folder, exist_ok=True)
    with open(folder + "/config", "w", encoding="ascii") as file:
        file.write(text)
    own(folder, ALICE)


# ---- claims ----

def unchanged():
    return prepare.victim.problems() + prepare.host.problems()


def clear():
    shutil.rmtree(EVIL, ignore_errors=True)


# Each: its config below the grant, and a word of the refusal; None where nothing is to be refused, only left alone.
CLAIMS = {
    "another's ids and root file system": (OTHERS + "lxc.rootfs.path = dir:%s/rootfs\n" % VICTIM, "does not give alice"),
    "her ids, another's root file system": (HERS + "lxc.rootfs.path = dir:%s/rootfs\n" % VICTIM, "neither alice nor one of"),
    "another's, by a link of hers": (OTHERS + "lxc.rootfs.path = dir:%s/link\n" % EVIL, "does not give alice"),
    "her ids, by a link of hers": (HERS + "lxc.rootfs.path = dir:%s/link\n" % EVIL, "neither alice nor one of"),
    "one id more than hers": (HERS.replace("65536", "65537") + "lxc.rootfs.path = dir:%s/rootfs\n" % EVIL, "does not give alice"),
    "the host's ids": (HERS.replace(str(RANGE), "0") + "lxc.rootfs.path = /\n", "the host's own root directory"),
    "the host's ids, a folder of the host": (HERS.replace(str(RANGE), "0") + "lxc.rootfs.path = /usr\n", "container's root"),
    "the host, without a map": ("lxc.rootfs.path = dir:/usr\n", "container's root"),
    "another's, through /proc": (OTHERS + "lxc.rootfs.path = dir:/proc/1/root%s/rootfs\n" % VICTIM, None),
    "root's group among her ids": (HERS + "lxc.idmap = g 65536 0 1\nlxc.rootfs.path = dir:%s/rootfs\n" % EVIL, "does not give alice"),
    "a folder of root's in her home": (HERS + "lxc.rootfs.path = dir:%s/roots\n" % EVIL, "neither alice nor one of"),
    "an include that only root can read": (HERS + "lxc.rootfs.path = dir:%s/rootfs\nlxc.include = /root/secret\n" % EVIL, None),
    "an fstab that only root can read": (HERS + "lxc.rootfs.path = dir:%s/rootfs\nlxc.mount.fstab = /root/secret\n" % EVIL, None),
    "an include that never ends": (HERS + "lxc.include = /dev/zero\n", None),
    "an include of itself": (HERS + "lxc.include = %s/config\n" % EVIL, None),
    "an include of a FIFO": (HERS + "lxc.include = %s/fifo\n" % EVIL, None),
}
COMMANDS = ["detach evil --dry-run", "detach evil", "detach evil --live", "attach evil --dry-run", "attach evil --live", "show evil",
            "doctor evil", "cdi evil", "verify evil", "list", "ps", "metrics", "doctor", "gpus"]


def plant_claim(text):
    clear()
    fill(EVIL, GRANT + text)
    os.mkfifo(EVIL + "/fifo")
    shutil.copytree(roots.TEMPLATE, EVIL + "/rootfs", symlinks=True)
    own(EVIL, ALICE)
    own(EVIL + "/rootfs", RANGE)
    os.symlink(VICTIM + "/rootfs", EVIL + "/link")
    os.mkdir(EVIL + "/roots")


def claim(name):
    text, refusal = CLAIMS[name]
    problems = []
    for command in COMMANDS:
        plant_claim(text)
        before = open(EVIL + "/config", encoding="ascii").read()
        end = nvlxc(*command.split())
        found = end.problems({0, 1, 2, 3}, 20) + unchanged()
        if "s3cr3t" in end.out + end.err:
            found.append("it repeats what only root can read")
        if refusal and command.startswith("detach evil") and (end.status != 1 or refusal not in end.err):
            found.append("it is not refused: %d %s" % (end.status, end.out + end.err))
        if refusal and command.startswith("detach evil") and open(EVIL + "/config", encoding="ascii").read() != before:
            found.append("it was refused, and the config written")
        problems += ["%s: %s" % (command, text) for text in found]
    clear()
    return problems


def out_of_reach():
    """The ranges overlap, as where both have Proxmox's: then only the way to the folder tells whose it is."""
    sh("echo alice:%d:65536 | tee -a /etc/subuid >> /etc/subgid; chmod 700 %s" % (VICTIMS, VICTIM))
    prepare.victim.before = prepare.victim.look()
    prepare.host.before = prepare.host.look()
    plant_claim(OTHERS + "lxc.rootfs.path = dir:%s/rootfs\n" % VICTIM)
    end = nvlxc("detach", "evil")
    problems = unchanged()
    if end.status != 1 or "out of reach for alice" not in end.err:
        problems.append("it is not refused: %s %s" % (end.status, end.out + end.err))
    sh("sed -i /^alice:%d:/d /etc/subuid /etc/subgid; chmod 755 %s" % (VICTIMS, VICTIM))
    prepare.victim.before = prepare.victim.look()
    prepare.host.before = prepare.host.look()
    clear()
    return problems


def her_own():
    """What is hers works: else a refusal of everything would hold."""
    plant_claim(HERS + "lxc.rootfs.path = dir:%s/rootfs\n" % EVIL)
    os.symlink("/usr/local/nvidia/bin/nvidia-smi", EVIL + "/rootfs/usr/local/bin/nvidia-smi")
    end = nvlxc("detach", "evil")
    problems = unchanged()
    if end.status != 0 or os.path.lexists(EVIL + "/rootfs/usr/local/bin/nvidia-smi"):
        problems.append("it was not cleaned: %s %s" % (end.status, end.out + end.err))
    clear()
    return problems


# ---- configs and homes that are held ----

def others_are_listed(end, what, word):
    problems = end.problems({0, 1}, 20)
    if "victim" not in end.out:
        problems.append("root's container is not among the %s" % what)
    if word not in end.err:
        problems.append("nothing is said of it: %s" % end.err)
    return problems


def as_alice():
    os.setgroups([])
    os.setgid(ALICE)
    os.setuid(ALICE)


def leased():
    """A write lease (fcntl, F_SETLEASE): whoever opens the file may have to wait for 45 s."""
    fill(EVIL, GRANT + HERS)
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            as_alice()
            signal.signal(signal.SIGIO, signal.SIG_IGN)
            fd = os.open(EVIL + "/config", os.O_RDWR)
            fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            os.write(told, b"x")
            time.sleep(600)
        finally:
            os._exit(1)
    os.close(told)
    problems = [] if os.read(ready, 1) == b"x" else ["no lease was to be had"]
    os.close(ready)
    for command, limit in (("list", 5), ("metrics", 5), ("doctor", 5), ("show evil", 5), ("attach evil", 5), ("detach evil", 5)):
        end = nvlxc(*command.split(), limit=limit)
        found = end.problems({0, 1}, limit)
        if command != "doctor" and "process %d (python3) holds a lease" % pid not in end.err:
            found.append("the holder is not named: %s" % end.err)
        if command == "list" and "victim" not in end.out:
            found.append("root's container is not listed")
        problems += ["%s: %s" % (command, text) for text in found]
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    clear()
    return problems


def is_over(pid):
    try:
        with open("/proc/%d/stat" % pid, encoding="ascii") as file:
            return file.read().split()[2] == "Z"
    except FileNotFoundError:
        return True


class Silence:
    """A file system that never answers, for as long as the block."""

    def __init__(self, folder, *pid):
        self.words = [SOURCE + "/tests/lib/silent-fuse", folder, *pid]

    def __enter__(self):
        self.process = subprocess.Popen(self.words, stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"mounted\n"

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        if len(self.words) == 2:
            subprocess.run(["umount", "-l", self.words[1]], check=True)


def silent_home():
    problems, word = [], "the home of alice did not answer"
    with Silence(LXC):
        for command in ("list", "metrics", "show victim", "attach victim --dry-run", "metrics"):
            end = nvlxc(*command.split())
            problems += ["%s: %s" % (command, text) for text in others_are_listed(end, "output", word)]
            word = "the home of alice is left out: process"
        # a timer's runs: the first one waits there, and no other
        left = sh("pgrep -xc nvlxc || true").strip()
        if left != "1":
            problems.append("%s processes wait for the home" % left)
    return problems


def silent_config():
    """One file of hers, as a mount in her folder: the names are listed, the reading hangs."""
    fill(EVIL, GRANT + HERS + "lxc.include = %s/deep/config\n" % EVIL)
    os.mkdir(EVIL + "/deep")
    problems = []
    with Silence(EVIL + "/deep"):
        for command in ("list", "metrics"):
            problems += others_are_listed(nvlxc(*command.split()), "output", "the home of alice did not answer")
    clear()
    return problems


def start_silent():
    sh("[ -e /var/lib/lxc/silent ] || make_container silent debian-12 privileged; nvlxc attach silent --quiet; start silent")
    return sh("lxc-info -n silent -pH").strip()


def silent_container(command, limit, word):
    problems = []
    pid = start_silent()
    with Silence("/etc", pid):
        end = nvlxc(*command.split(), limit=limit)
        problems += end.problems({0, 1}, limit)
        if word not in end.err + end.out:
            problems.append("nothing is said of it: %s" % (end.err + end.out))
        if command in ("doctor", "metrics") and "victim" not in end.out:
            problems.append("the others are not looked at: %s" % end.out)
        # who is left behind is one, not one more for each run of a timer
        again = nvlxc("metrics", limit=5)
        problems += ["again: " + text for text in again.problems({0}, 5)] if command == "metrics" else []
    for _ in range(50):
        left = subprocess.run(["pgrep", "-x", "nvlxc"], stdout=subprocess.PIPE, text=True).stdout.split()
        if all(is_over(int(pid)) for pid in left):
            break
        time.sleep(0.1)
    else:
        problems.append("processes stay: %s" % left)
    sh("stop silent")
    return problems


def signalled():
    """Control-C during the wait ends it at once."""
    with Silence(LXC):
        end = run(["timeout", "--foreground", "-s", "INT", "2", "/usr/bin/nvlxc", "list"], limit=8)
    return end.problems({124, 130}, 8)


def held_lock():
    """The lock of the bundles: the holder is named, and waited for once."""
    with open("/var/lib/nvlxc/driver/.lock", "r+", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        end = nvlxc("driver", "sync", limit=80)
    problems = end.problems({1}, 80)
    if "process %d (python3)" % os.getpid() not in end.err:
        problems.append("the holder is not named: %s" % end.err)
    return problems


# ---- variables for the shell that runs hooks ----

REFUSED = ["LD_PRELOAD=/x.so", "LD_AUDIT=/x.so", "LD_LIBRARY_PATH=x", "LD_LIBRARY_PATH=/usr/lib:", "LD_LIBRARY_PATH=/tmp",
           "LD_LIBRARY_PATH=$ORIGIN", "LD_LIBRARY_PATH=" + roots.ROOTFS_MOUNT + "/usr/lib", "LD_DEBUG_OUTPUT=/etc/x", "LD_PROFILE=x",
           "LD_ASSUME_KERNEL=1", "GLIBC_TUNABLES=glibc.malloc.check=3", "BASH_ENV=/x", "ENV=/x", "SHELLOPTS=xtrace", "BASHOPTS=extdebug",
           "PS4=$(id)", "GCONV_PATH=/x", "LOCPATH=/x", "BASH_FUNC_test%%=() { id; }"]
FINE = ["LD_LIBRARY_PATH=/usr/local/nvidia/lib:/usr/local/nvidia/lib64", "PATH=/bin", "LANG=C", "CUDA_VERSION=12.4", "LDFLAGS=-L/x",
        "ENVIRONMENT=x", "PS1=x"]


def variable(text, key, is_refused):
    folder = "/var/lib/lxc/variable"
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    with open(folder + "/config", "w", encoding="ascii") as file:
        file.write("lxc.uts.name = v\nlxc.rootfs.path = dir:%s\n%s = %s\n" % (roots.TEMPLATE, key, text))
    attach = nvlxc("attach", "variable")
    problems = attach.problems({1} if is_refused else {0, 1}, 20)
    if is_refused and text.split("=")[0] not in attach.err:
        problems.append("attach does not say why: %s" % attach.err)
    if not is_refused and "lxc.environment = " + text in attach.err:
        problems.append("attach complains: %s" % attach.err)
    if is_refused:  # as if it had been attached before the line was there
        with open(folder + "/config", "a", encoding="ascii") as file:
            file.write(GRANT)
    end = nvlxc("--json", "doctor", "variable")
    ids = [finding["id"] for finding in json.loads(end.out)["findings"] if finding["container"] == "variable"]
    if ("hook-environment" in ids) != is_refused:
        problems.append("doctor finds %s" % ids)
    shutil.rmtree(folder)
    return problems


def cases():
    found = [Case("claims", name, lambda name=name: claim(name)) for name in CLAIMS]
    found += [Case("claims", "another's ids by overlap, out of reach", out_of_reach), Case("claims", "her own", her_own)]
    found += [Case("held", "a lease on a config", leased),
              Case("held", "a home that never answers", silent_home, 60),
              Case("held", "an include that never answers", silent_config, 30),
              Case("held", "a signal while a home does not answer", signalled),
              Case("held", "the lock of the bundles", held_lock, 70)]
    for command, limit, seconds, word in (("metrics", 20, 14, "container silent did not answer within"),
                                          ("doctor", 20, 16, "its file systems do not answer"),
                                          ("verify silent", 20, 16, "the file systems of container silent do not answer"),
                                          ("attach silent --live", 20, 16, "its file systems do not answer"),
                                          ("detach silent --live", 100, 100, "not done after")):
        found.append(Case("held", "a container that never answers, " + command,
                          lambda a=(command, limit, word): silent_container(*a), seconds))
    found += [Case("variables", "%s = %s" % (key, text), lambda a=(text, key, texts is REFUSED): variable(*a))
              for texts in (REFUSED, FINE) for text in texts for key in ("lxc.environment", "lxc.environment.hooks")]
    return found
