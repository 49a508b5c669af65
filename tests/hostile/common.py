"""What all attacks share: a count of what held, a guard over what must not change, mounts, and programs with a deadline."""

import ctypes
import os
import signal
import stat
import subprocess
import sys
import time

SOURCE = os.environ["NVL_SOURCE"]
HOOK = "/usr/libexec/nvlxc/hook"
ROOTFS_MOUNT = "/usr/lib/x86_64-linux-gnu/lxc/rootfs"
CLONE_NEWNS, MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 0x20000, 1, 32, 4096, 16384, 1 << 18

libc = ctypes.CDLL(None, use_errno=True)


def say(text):
    print(text, file=sys.stderr, flush=True)


def sh(script, **options):
    """A script with the functions of the other tests, on the simulated host."""
    prelude = '. "$NVL_SOURCE/tests/lib/lxc.bash"; . "$NVL_SOURCE/tests/lib/simulated-host.bash"; set -e\n'
    return subprocess.run(["bash", "-c", prelude + script], check=True, stdout=subprocess.PIPE, text=True, **options).stdout


def mount(source, target, kind=None, flags=0, data=None):
    words = [None if word is None else os.fsencode(word) for word in (source, target, kind)]
    if libc.mount(*words, flags, None if data is None else data.encode()) != 0:
        raise OSError(ctypes.get_errno(), "mount", target)


class Case:
    """One attack: its class, its name, and a function that gives what was violated, as a list of texts."""

    def __init__(self, group, name, function, seconds=1):
        self.group, self.name, self.function, self.seconds = group, name, function, seconds


class Ended:
    """How a program ended: status is its exit status, or what the signal would be in a shell; None if it did not end in time."""

    def __init__(self, status, seconds, peak, out, err):
        self.status, self.seconds, self.peak, self.out, self.err = status, seconds, peak, out, err

    def problems(self, statuses, limit):
        if self.status is None:
            return ["it did not end within %d s" % limit]
        if self.status not in statuses:
            return ["its exit status is %d, not one of %s: %s" % (self.status, sorted(statuses), (self.out + self.err)[-300:])]
        return []


def run(command, limit=20, env=None, before=None, stdin=subprocess.DEVNULL):
    """Runs it with a deadline; `before` is called in the child. Its output goes to files: who is left behind keeps no pipe."""
    out, err = (open("/run/hostile/%s" % name, "w+", errors="replace") for name in ("out", "err"))
    start = time.monotonic()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            if before is not None:
                before()
            os.execvpe(command[0], command, os.environ if env is None else env)
        except BaseException as error:  # whatever it was: this is the child
            os.write(2, str(error).encode())
        os._exit(126)
    status, usage = None, None
    while time.monotonic() - start < limit:
        done, status_word, usage = os.wait4(pid, os.WNOHANG)
        if done == pid:
            status = os.waitstatus_to_exitcode(status_word)
            status = status if status >= 0 else 128 - status
            break
        time.sleep(0.002)
    if status is None:
        os.killpg(pid, signal.SIGKILL)
    seconds = time.monotonic() - start
    texts = []
    for file in (out, err):
        file.seek(0)
        texts.append(file.read(1 << 20))
        file.close()
    return Ended(status, seconds, usage.ru_maxrss if usage else 0, *texts)


def nvlxc(*words, limit=20, before=None):
    return run(["/usr/bin/nvlxc", *words], limit=limit, before=before)


def describe(path, with_ctime):
    st = os.lstat(path)
    text = "%o %d:%d %d %d" % (st.st_mode, st.st_uid, st.st_gid, st.st_size, st.st_mtime_ns)
    if with_ctime:
        text += " %d" % st.st_ctime_ns
    if stat.S_ISLNK(st.st_mode):
        text += " " + os.readlink(path)
    elif stat.S_ISREG(st.st_mode) and not with_ctime and st.st_size < 1 << 16:
        with open(path, "rb") as file:
            text += " %r" % file.read()
    return text


class Guard:
    """Trees that nothing may change: names, types, modes, owners, times, links; without the time of change also contents. Of the
    folders `but` only what is in them."""

    def __init__(self, *tops, with_ctime=True, but=()):
        self.tops, self.with_ctime, self.but = tops, with_ctime, but
        self.before = self.look()

    def look(self):
        found = {}
        for top in self.tops:
            for folder, folders, files in os.walk(top):
                for path in ([] if folder in self.but else [folder]) + [os.path.join(folder, name) for name in files] + \
                        [os.path.join(folder, name) for name in folders if os.path.islink(os.path.join(folder, name))]:
                    try:
                        found[path] = describe(path, self.with_ctime)
                    except FileNotFoundError:
                        pass
        return found

    def problems(self):
        after = self.look()
        changed = ["%s: was %s, is %s" % (path, self.before.get(path), after.get(path))
                   for path in sorted(set(self.before) | set(after)) if self.before.get(path) != after.get(path)]
        self.before = after
        return ["changed outside: " + text[:300] for text in changed[:3]]
