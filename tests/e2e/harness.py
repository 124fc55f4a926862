"""What the end-to-end tests share: a perchd, devices driven through the real `perch`, and the checker that compares
every device's own SQLite with every sender's outbox. Talks to 127.0.0.1 only."""
import ctypes
import os
import pathlib
import re
import resource
import signal
import sqlite3
import struct
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("PERCH_BIN", ROOT / "build/release/bin"))
ACCEPTED, DELIVERED = 1, 2  # outbox.mark; 0 queued, 3 read


class Failure(Exception):
    pass


class Skipped(Exception):
    """The test cannot run here; why."""


def require(condition, text):
    if not condition:
        raise Failure(text)


def spawn(command, **process):
    """Popen of a program that ends with this one, however this one ends: no test leaves anything running."""
    return subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *command], **process)


def do(*command, **process):
    """Runs a command that must succeed; returns what it prints."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **process)
    require(done.returncode == 0, f"{' '.join(map(str, command))}: status {done.returncode}: {done.stdout}")
    return done.stdout


class Installed:
    """A copy of components that `cmake --install` has put under a prefix."""

    def __init__(self, prefix, *components):
        self.prefix = pathlib.Path(prefix)
        for component in components:
            do("cmake", "--install", BIN.parent, "--prefix", self.prefix, "--component", component)

    def files(self):
        return {str(path.relative_to(self.prefix)) for path in self.prefix.rglob("*") if not path.is_dir()}

    def library(self):
        return next(self.prefix.rglob("libperch.so"))

    def flags(self, *modules):
        """What pkg-config says of perch and other modules, and where the loader finds the library."""
        folder = self.library().parent
        found = do("pkg-config", "--cflags", "--libs", "perch", *modules,
                   env=dict(os.environ, PKG_CONFIG_PATH=str(folder / "pkgconfig")))
        return [*found.split(), f"-Wl,-rpath,{folder}"]


def become_nobody(**limits):
    """For the child: an ordinary user with these resource limits, which it cannot raise."""
    def before():
        for name, value in limits.items():
            resource.setrlimit(getattr(resource, name), (value, value))
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
    return before


class Server:
    def __init__(self, folder, flags=()):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.secret = self.folder / "secret"
        self.secret.write_text(os.urandom(32).hex())
        self.secret.chmod(0o600)
        self.flags = list(flags)
        self.address = "127.0.0.1:0"
        self.process = None

    def launch(self, *more, **process):
        """start() without waiting until it listens. `process`: as of Popen."""
        with open(self.folder / "perchd.log", "ab") as log:
            self.process = spawn(
                [BIN / "perchd", "--data", self.folder / "data", "--listen", self.address, "--secret-file",
                 self.secret, "--accounts-auto", "--rate", "100000", "--rate-burst", "100000", "--reactors", "1", *self.flags, *more],
                stdout=subprocess.PIPE, stderr=log, text=True, **process)

    def start(self, *more, **process):
        self.launch(*more, **process)
        line = self.process.stdout.readline()
        require(line.startswith("listening "), f"perchd did not start: see {self.folder}/perchd.log: "
                + (self.folder / "perchd.log").read_text()[-500:])
        self.address = line.split()[1]

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        status = self.process.wait()
        require(status == -signal.SIGKILL, f"perchd had ended by itself with status {status}: "
                + (self.folder / "perchd.log").read_text()[-2000:])

    def drain(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)

    def metric(self, name, label=""):
        """The sum of a counter over all threads, and over all labels or those with this one, as the running server
        tells it."""
        told = subprocess.run([BIN / "perchd", "--data", self.folder / "data", "--metrics"], check=True,
                              capture_output=True, text=True).stdout
        values = [line.split()[-1] for line in told.splitlines()
                  if line.split("{")[0].split(" ")[0] == name and label in line]
        require(values, f"no counter {name}")
        return sum(map(int, values))

    def anonymous_kib(self):
        """What the process itself holds: without the pages of the store's files, which the kernel takes back."""
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1])
        raise Failure("perchd is gone")

    def token(self, user, device, days=1):
        return subprocess.run([ROOT / "tools/mint-token", "--secret-file", self.secret, "--sub", str(user), "--dev",
                               device, "--days", str(days)], check=True, capture_output=True, text=True).stdout.strip()


class Device:
    """One profile. talk(to) starts a `perch chat` whose lines are typed by say(); listen() a `perch listen`."""

    STATUSES = (0, 3)  # of a perch that is asked to end: all is closed, something is queued

    def __init__(self, server, user, name, folder):
        self.server, self.user, self.name = server, user, name
        self.profile = pathlib.Path(folder) / f"{user}-{name}"
        self.profile.mkdir(parents=True)
        self.token_file = self.profile / "token"
        self.token_file.write_text(server.token(user, name))
        self.process = None
        self.is_killed = False
        self.typed = []  # of each process that talked: its lines
        self.killed = set()  # which of those were

    def _perch(self, command, *args):
        return [BIN / "perch", command, "--profile", self.profile, "--server", self.server.address, "--token-file",
                self.token_file, *map(str, args)]

    def start(self, command, *args):
        self.is_killed = False
        with open(self.profile / "perch.log", "ab") as log:
            self.process = spawn(self._perch(command, *args), stdin=subprocess.PIPE, stdout=log, stderr=log, text=True)

    def talk(self, to):
        self.typed.append([])
        self.start("chat", to)

    def listen(self):
        self.start("listen", "--json")

    def say(self, text):
        self.typed[-1].append(text)
        try:
            self.process.stdin.write(text + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # killed: what was never committed to the outbox was never sent

    def told_kept(self):
        """The lines of which chat has said that they are queued, or how far they got: they were committed."""
        log = (self.profile / "perch.log").read_text(errors="replace")
        return set(re.findall(r"(?m)^(?:\* queued: |  \S+(?: \([^)]*\))?  )(.*)$", log))

    def kill(self):
        self.killed.add(len(self.typed) - 1)
        self.is_killed = True
        self.process.send_signal(signal.SIGKILL)
        status = self.process.wait()
        require(status == -signal.SIGKILL, self._ended(status, "had ended by itself"))

    def leave(self):
        process, self.process = self.process, None
        if process is None or self.is_killed:
            return
        process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
            raise Failure(self._ended(status, "had not ended 30 s after SIGTERM")) from None
        require(status in self.STATUSES, self._ended(status, "ended"))

    def _ended(self, status, what):
        log = (self.profile / "perch.log").read_text(errors="replace")
        return f"perch of {self.user}-{self.name} {what}, status {status}: {log[-1000:]}"

    def send(self, to, text, wait=10):
        return subprocess.run(self._perch("send", "--wait", wait, to, text), capture_output=True, text=True)

    def query(self, sql):
        for path in self.profile.glob("*.db"):
            db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
            try:
                return db.execute(sql).fetchall()
            except sqlite3.OperationalError as error:
                if "no such table" not in str(error):  # the profile is being made at this moment
                    raise
            finally:
                db.close()
        return []

    def outbox(self):
        """(to, origin, seq, open, mark, number, body) of every message, in order of seq."""
        return self.query("SELECT to_user, origin, seq, open, mark, number, body FROM outbox WHERE kind = 0 ORDER BY row")

    def marks(self):
        return [row[0] for row in self.query("SELECT mark FROM outbox WHERE kind = 0 ORDER BY row")]

    def inbox(self):
        """(user, device, origin, seq, variant, peer, number, body) in order of arrival."""
        return self.query("SELECT user, device, origin, seq, variant, peer, number, body FROM inbox ORDER BY arrival")

    def identity(self):
        rows = self.query("SELECT user, device FROM identity")
        return rows[0] if rows else (0, 0)


def wait_until(condition, seconds, text):
    end = time.monotonic() + seconds
    while not condition():
        require(time.monotonic() < end, text)
        time.sleep(0.1)


def not_kept(device):
    """Compares what was typed with the outbox: every line is there once, in order. Only one that was killed may have lost
    lines, the last it was given, and none of which it had said that it is kept. Yields what is wrong."""
    told = device.told_kept()
    kept = [row[6].decode() for row in device.outbox()]
    for process, lines in enumerate(device.typed):
        num = 0
        while num < min(len(lines), len(kept)) and kept[num] == lines[num]:
            num += 1
        del kept[:num]
        lost = lines[num:] if process not in device.killed else [line for line in lines[num:] if line in told]
        if lost:
            yield f"{device.user}-{device.name}: {lost[0][:80]!r} was typed and is not in the outbox"
    if kept:
        yield f"{device.user}-{device.name}: {kept[0][:80]!r} is in the outbox out of order, twice or untyped"


def check(devices):
    """Compares what was typed with all outboxes, and those with all inboxes. Returns totals; `problems` is empty if
    every promise held."""
    who = {d: d.identity() for d in devices}
    total = {"messages": 0, "copies": 0, "lost": 0, "duplicated": 0, "reordered": 0, "open": 0, "numbers": 0,
             "unexpected": 0, "undelivered": 0, "not kept": 0}
    problems = []

    def problem(kind, text):
        total[kind] += 1
        problems.append(f"{kind}: {text}")

    for device in devices:
        if device.typed:
            for text in not_kept(device):
                problem("not kept", text)
    inboxes = {d: d.inbox() for d in devices}
    known = set()
    numbers = {}
    for sender in devices:
        user, number_of_device = who[sender]
        last = {}
        for to, origin, seq, is_open, mark, number, body in sender.outbox():
            name = (user, number_of_device, origin, seq)
            known.add(name)
            total["messages"] += 1
            if is_open:
                problem("open", f"{sender.user}: {body!r}")
                continue
            if mark < DELIVERED:
                problem("undelivered", f"{sender.user}: {body!r} has mark {mark}")
            if number in numbers:
                problem("numbers", f"{body!r} and {numbers[number]!r} have one number")
            numbers[number] = body
            if last.get(to, 0) >= number:
                problem("reordered", f"{sender.user}: number of {body!r} is not above that of the one before")
            last[to] = number
            for device in devices:
                if device is sender or who[device][0] not in (to, user):
                    continue
                copies = [row for row in inboxes[device] if row[:4] == name]
                total["copies"] += len(copies)
                if not copies:
                    problem("lost", f"{body!r} from {sender.user} is not on {device.user}-{device.name}")
                elif len(copies) > 1:
                    problem("duplicated", f"{body!r} is {len(copies)} times on {device.user}-{device.name}")
                elif copies[0][6] != number or copies[0][7] != body:
                    problem("numbers", f"{body!r}: {copies[0][6]} on {device.user}-{device.name}, {number} at the sender")
    for device in devices:
        last_arrival = {}
        for user, number_of_device, origin, seq, variant, peer, number, body in inboxes[device]:
            if (user, number_of_device, origin, seq) not in known or variant != 0:
                problem("unexpected", f"{body!r} on {device.user}-{device.name}")
            key = (user, number_of_device, peer)
            if last_arrival.get(key, 0) >= seq:
                problem("reordered", f"{body!r} came to {device.user}-{device.name} after a later one")
            last_arrival[key] = seq
    return total, problems


def settled(devices, seconds=30):
    """Waits until all that was said is in outboxes and, once, in order and with two ticks, in inboxes."""
    end = time.monotonic() + seconds
    while True:
        total, problems = check(devices)
        if not problems:
            return total
        require(time.monotonic() < end, f"{total}; {problems[:5]}")
        time.sleep(0.1)


LIBC = ctypes.CDLL(None, use_errno=True)


def prctl(*args):
    if LIBC.prctl(*(ctypes.c_ulong(arg) for arg in args)) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def fail_io_uring(error):
    """For the child: io_uring_setup fails with `error`, by a seccomp filter as a container has it."""
    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]
    set_seccomp, set_no_new_privs = 22, 38
    io_uring_setup, load_number, jump_if_equal, answer = 425, 0x20, 0x15, 0x06
    allow, fail = 0x7FFF0000, 0x00050000 | error
    code = b"".join(struct.pack("HBBI", *line) for line in (
        (load_number, 0, 0, 0), (jump_if_equal, 0, 1, io_uring_setup), (answer, 0, 0, fail), (answer, 0, 0, allow)))

    def before():
        prctl(set_no_new_privs, 1, 0, 0, 0)
        program = Program(4, code)
        prctl(set_seccomp, 2, ctypes.addressof(program), 0, 0)
    return before


def run(test):
    """Runs test(folder) in a folder of its own; kept if it fails. Returns the process's exit status: 77 if it was
    skipped."""
    folder = tempfile.mkdtemp(prefix="perch-e2e-")
    status = 0
    try:
        print(test(folder))
    except Failure as failure:
        failures = [failure]
        while failures[0].__context__:  # the cause; what failed after it, while all was ended, is told too
            failures.insert(0, failures[0].__context__)
        print("\n".join(f"FAILED: {failure}" for failure in failures))
        print(f"all files are kept in {folder}")
        return 1
    except Skipped as skipped:
        print(f"SKIPPED: {skipped}")
        status = 77
    subprocess.run(["rm", "-rf", folder], check=True)
    return status
