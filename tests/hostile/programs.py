"""Programs and servers of a container that nvlxc talks to, and the published classes of attacks on NVIDIA's container toolkit,
runc and LXC, each by its number."""

import hashlib
import os
import pty
import signal
import socket
import subprocess
import time

import roots
import users
from common import Case, libc, nvlxc, run, sh

PROGRAMS = "/var/lib/lxc/programs/rootfs"
CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWNS = 0x20000000, 0x40000000, 0x20000
PORT = 11434


def start():
    """An unprivileged container with what verify looks for: Ollama."""
    if hasattr(start, "pid"):
        return start.pid
    sh("""make_container programs debian-12
        root=/var/lib/lxc/programs/rootfs
        chmod 1777 $root/tmp
        printf '#!/bin/sh\n' > $root/usr/local/bin/ollama && chmod 755 $root/usr/local/bin/ollama
        nvlxc attach programs --quiet
        start programs""")
    start.pid = sh("lxc-info -n programs -pH").strip()
    subprocess.run(["nsenter", "-t", start.pid, "-n", "ip", "link", "set", "lo", "up"], check=True)
    return start.pid


def enter(kind, flag):
    fd = os.open("/proc/%s/ns/%s" % (start(), kind), os.O_RDONLY)
    if libc.setns(fd, flag) != 0:
        raise OSError("setns")
    os.close(fd)


def judge(end, limit):
    problems = end.problems({0, 1}, limit)
    if "\x1b" in end.out + end.err:
        problems.append("a terminal would obey its output")
    if end.peak > 200 << 10:
        problems.append("it took %d MiB" % (end.peak >> 10))
    return problems


# ---- servers ----

OK = b"HTTP/1.0 200 OK\r\n\r\n"


def endless(piece):
    def answer(one):
        while True:
            one.sendall(piece)
    return answer


def drip(one):
    one.sendall(b"HTTP/1.0 200 OK\r\n")
    while True:
        one.sendall(b"x")
        time.sleep(0.5)


SERVERS = {
    "endless headers": lambda one: (one.sendall(b"HTTP/1.0 200 OK\r\n"), endless(b"X-Header: %s\r\n" % (b"x" * 1000))(one)),
    "an endless answer": lambda one: (one.sendall(OK), endless(b'{"version":"' + b"x" * 1000)(one)),
    "no answer": lambda one: time.sleep(600),
    "a drip": drip,
    "garbage": lambda one: one.sendall(bytes(range(256)) * 64),
    "a redirect": lambda one: one.sendall(b"HTTP/1.0 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n"),
    "nothing": lambda one: None,
    "a version for the terminal": lambda one: one.sendall(OK + b'{"version":"\\u001b]0;owned\\u0007","models":[]}'),
    "deep JSON": lambda one: one.sendall(OK + b"[" * 100000),
    "a hundred thousand models": lambda one: one.sendall(OK + b'{"version":"1","models":[' + b",".join([b"{}"] * 50000) + b"]}"),
    "huge sizes": lambda one: one.sendall(OK + b'{"version":"1","models":[{"name":"a\\u0000b","size":9223372036854775807,'
                                          b'"size_vram":-9223372036854775808},{"size":1e308}]}'),
    "not text": lambda one: one.sendall(OK + b'{"version":"\xff\xfe","models":[{"name":"\xff"}]}'),
}


def serve(name):
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setpgid(0, 0)
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            enter("net", CLONE_NEWNET)
            with socket.socket() as server:
                server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                server.bind(("127.0.0.1", PORT))
                server.listen(8)
                os.write(told, b"x")
                while True:
                    one, _ = server.accept()
                    if os.fork() == 0:
                        one.recv(4096)
                        SERVERS[name](one)
                        os._exit(0)
                    one.close()
        finally:
            os._exit(1)
    os.close(told)
    assert os.read(ready, 1) == b"x"
    os.close(ready)
    return pid


def server(name):
    start()
    pid = serve(name)
    try:
        return judge(nvlxc("verify", "programs", "--workload", "ollama", "--timeout", "3", limit=60), 60)
    finally:
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


# ---- programs ----

SCRIPTS = {
    "prints endlessly": "while :; do echo 'nvlxc sum 1 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'; done",
    "prints one endless line": "tr '\\0' x < /dev/zero",
    "never ends": "trap '' TERM INT HUP; while :; do sleep 1; done",
    "leaves others behind": "trap '' TERM; (setsid sleep 1000 &) ; (setsid sleep 1000 &); sleep 1000",
    "prints for the terminal": "printf '\\033]0;owned\\007\\033[2J\\303\\050\\n'; exit 3",
    "ends by a signal": "kill -SEGV $$",
}
# what verify runs whether CUDA works or not
JOURNAL, SMI = "/usr/bin/journalctl", "/usr/local/bin/nvidia-smi"


def put_program(path, text):
    roots.remove(PROGRAMS + path)
    with open(PROGRAMS + path, "w", encoding="ascii") as file:
        file.write("#!/bin/sh\n: > /tmp/ran\n%s\n" % text)
    os.chmod(PROGRAMS + path, 0o755)


def left_inside():
    """What still runs in the container besides its init."""
    return [line for line in sh("lxc-attach -n programs --clear-env -- /bin/sh -c 'cat /proc/[0-9]*/cmdline' | tr '\\0' ' '")
            .replace("/bin/sleep 100000", "").split("\n") if "sleep 1000 " in line + " "]


def was_run():
    ran = os.path.exists(PROGRAMS + "/tmp/ran")
    if ran:
        os.unlink(PROGRAMS + "/tmp/ran")
    return ran


def program(path, text):
    start()
    put_program(path, text)
    problems = judge(nvlxc("verify", "programs", "--workload", "ollama", "--timeout", "3", limit=60), 60)
    if not was_run():
        problems.append("the program inside was not run")
    if left_inside():
        problems.append("processes stay in the container: %s" % left_inside())
    os.unlink(PROGRAMS + path)
    return problems


# ---- published classes ----

def together(*attacks):
    def function():
        return [problem for attack in attacks for problem in attack()]
    return function


def hook_with(value):
    """What a container's config may ask for in the variable."""
    roots.fresh_root()
    outside = roots.prepare.outside
    outside.before = outside.look()
    env = {"LXC_ROOTFS_MOUNT": roots.ROOTFS_MOUNT, "NVIDIA_VISIBLE_DEVICES": value, "LXC_CONFIG_FILE": roots.CONFIG,
           "NVIDIA_DRIVER_CAPABILITIES": value}
    # what the hook has bound is in its namespace alone: the second program of the child looks there
    end = run(["/bin/sh", "-c", "%s hostile lxc mount; ls %s/dev" % (roots.HOOK, roots.ROOTFS_MOUNT)], limit=20, env=env,
              before=lambda: roots.enter(roots.ROOTFS_MOUNT, None, "all"))
    problems = end.problems({0}, 20) + outside.problems() + roots.prepare.host.problems()
    nodes = end.out.split("\n")
    if any(name and not name.startswith(("nvidia", "dri", "nvlxc:")) for name in nodes):
        problems.append("in its /dev: %s" % nodes)
    return problems


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


HOSTS_PROGRAMS = ["/usr/bin/nvlxc", "/usr/libexec/nvlxc/hook", "/usr/libexec/nvlxc/probe", os.path.realpath("/sbin/ldconfig"),
                  "/usr/bin/lxc-attach"]


def overwrite_programs():
    """In the container: whoever comes in is opened by /proc/PID/exe, and written to once it has ended."""
    enter("pid", CLONE_NEWPID)
    enter("mnt", CLONE_NEWNS)
    if os.fork() != 0:
        os._exit(0)
    own = {os.getpid(), 1}
    held = {}
    while True:
        for name in os.listdir("/proc"):
            if not name.isdigit() or int(name) in own:
                continue
            try:
                held[name] = os.open("/proc/%s/exe" % name, os.O_RDONLY)
            except OSError:
                pass
        for name, fd in list(held.items()):
            try:
                write = os.open("/proc/self/fd/%d" % fd, os.O_WRONLY | os.O_APPEND)
                if b"nvlxc" in os.readlink(b"/proc/self/fd/%d" % fd) or b"ldconfig" in os.readlink(b"/proc/self/fd/%d" % fd):
                    os.write(write, b"#overwritten\n")
                os.close(write)
            except OSError:
                pass
            os.close(fd)
            del held[name]


def overwritten():
    """As the container's root, who is nobody's root outside."""
    start()
    before = [digest(path) for path in HOSTS_PROGRAMS]
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        try:
            user = os.open("/proc/%s/ns/user" % start(), os.O_RDONLY)
            mnt, pids = (os.open("/proc/%s/ns/%s" % (start(), kind), os.O_RDONLY) for kind in ("mnt", "pid"))
            for fd, flag in ((user, 0x10000000), (mnt, CLONE_NEWNS), (pids, CLONE_NEWPID)):
                if libc.setns(fd, flag) != 0:
                    raise OSError("setns")
            os.setgid(0)
            os.setuid(0)
            globals()["enter"] = lambda *_: None
            overwrite_programs()
        finally:
            os._exit(1)
    problems = []
    for _ in range(3):
        for words in (["detach", "programs", "--live"], ["attach", "programs", "--live"], ["verify", "programs", "--timeout", "3"]):
            problems += nvlxc(*words, limit=60).problems({0, 1}, 60)
    sh("pkill -KILL -g %d || true" % pid)
    os.waitpid(pid, 0)
    if before != [digest(path) for path in HOSTS_PROGRAMS]:
        problems.append("a program of the host was overwritten")
    return problems


def leaked():
    """What runs inside sees none of the caller's descriptors, no folder of the host, and no terminal."""
    start()
    put_program(JOURNAL, "{ for fd in /proc/$$/fd/*; do echo \"$fd $(readlink $fd)\"; done; echo cwd $(readlink /proc/$$/cwd)\n"
                "if : < /dev/tty; then echo terminal; fi; } > /tmp/leaked 2> /dev/null")
    folder = os.open("/root", os.O_RDONLY | os.O_DIRECTORY)
    os.set_inheritable(folder, True)
    pid, terminal = pty.fork()
    if pid == 0:
        os.dup2(folder, 9)
        os.chdir("/root")
        os.execv("/usr/bin/nvlxc", ["nvlxc", "verify", "programs", "--workload", "ollama", "--timeout", "5"])
    try:
        while os.read(terminal, 4096):
            pass
    except OSError:
        pass
    os.waitpid(pid, 0)
    os.close(terminal)
    os.close(folder)
    if not was_run():
        return ["the program inside was not run"]
    text = open(PROGRAMS + "/tmp/leaked", encoding="utf-8").read()
    os.unlink(PROGRAMS + "/tmp/leaked")
    os.unlink(PROGRAMS + JOURNAL)
    bad = [line for line in text.split("\n") if "/root" in line or "/pts" in line or line == "terminal" or "/fd/9" in line]
    return ["it sees: %s" % bad] if bad or "cwd /" not in text else []


def attack(*where):
    return lambda: roots.attack(*where)


def race(path, wanted):
    return lambda: roots.race(path, wanted, "link-out", 10) + roots.race(path, wanted, "link-up", 10)


CLASSES = {
    "CVE-2024-0132: a folder becomes a link between the check of a mount point and the mount":
        together(race("usr/local/nvidia", "d"), race("usr/local", "d")),
    "CVE-2025-23359: the same, after it was mended: a link anywhere above a library's place":
        together(race(roots.LIB, "d"), race("usr", "d")),
    "CVE-2024-0133: empty files appear on the host, as mount points behind a link":
        together(attack("dev/nvidia0", "link-out", "f"), attack("dev", "link-up", "d"), attack("dev/dri", "link-out", "d")),
    "CVE-2024-0134: files of the host are written as the linker's cache is renewed":
        together(attack("etc/ld.so.cache", "link-out", "f"), attack("etc/ld.so.cache~", "link-up", "f"),
                 attack("var/cache/ldconfig", "link-out", "d")),
    "CVE-2024-0135: a file of the image stands for a program of the host":
        together(attack("usr/bin/nvidia-smi", "link-up", "f"), attack("usr/local/bin/nvidia-smi", "hard-link", "f"),
                 attack("sbin/init", "link-out", "f")),
    "CVE-2024-0136: a variable asks for devices of the host that are no GPU":
        together(*[lambda value=value: hook_with(value) for value in
                   ("/dev/mem", "../../dev/mem", "0,/dev/kmsg", "all,../mem", "0:/etc", "nvidia.com/gpu=all:/dev/mem")]),
    "CVE-2024-0137: what is entered is not the container's":
        together(lambda: users.claim("another's, through /proc")),
    "CVE-2025-23266: a variable of the image is code in the hooks' shell":
        together(*[lambda text=text: users.variable(text, "lxc.environment", True) for text in
                   ("LD_PRELOAD=/proc/self/cwd/evil.so", "LD_AUDIT=/usr/lib/evil.so", "BASH_ENV=/evil")]),
    "CVE-2025-23267: a link in the linker's configuration leads out":
        together(attack("etc/ld.so.conf.d/00-nvlxc.conf", "link-out", "f"), attack("etc/ld.so.conf.d", "link-up", "d"),
                 attack("etc/ld.so.conf", "link-proc", "f"), race("etc/ld.so.conf.d", "d")),
    "CVE-2019-5736: a program of the host is overwritten through /proc/PID/exe": overwritten,
    "CVE-2024-21626: a descriptor or the folder of the caller leaks into the container": leaked,
    "CVE-2016-10124: a program inside reaches the terminal of who enters": leaked,
    "CVE-2017-5985: root's work for a user is done where the user has no rights":
        together(lambda: users.claim("another's ids and root file system"), users.out_of_reach),
}


def cases():
    found = [Case("servers", name, lambda name=name: server(name), 25 if name in ("no answer", "a drip") else 5) for name in SERVERS]
    found += [Case("programs", "%s %s" % (os.path.basename(path), name), lambda a=(path, text): program(*a), 8)
              for path in (JOURNAL, SMI) for name, text in SCRIPTS.items()]
    found += [Case("published", name, function, 12) for name, function in CLASSES.items()]
    return found
