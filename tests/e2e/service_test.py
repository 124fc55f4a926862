#!/usr/bin/python3
"""perchd under a service manager, played by the test: what it is told and when, a watchdog that a stuck disk starves,
sockets that are passed on."""
import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

import wire
from harness import BIN, ROOT, spawn, wait_until

# Becomes perchd with the descriptors it is given as 3, 4, …
PASS_ON = """
import os, sys
num = int(sys.argv[1])
fds = [os.dup2(os.dup(int(fd)), 100 + i) for i, fd in enumerate(sys.argv[2:2 + num])]
for i, fd in enumerate(fds):
    os.dup2(fd, 3 + i)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(num))
os.execv(sys.argv[2 + num], sys.argv[2 + num:])
"""


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "secret").write_bytes(wire.SECRET)
        (self.folder / "secret").chmod(0o600)
        self.command = [str(BIN / "perchd"), "--data", str(self.folder / "data"), "--secret-file",
                        str(self.folder / "secret"), "--accounts-auto", "--reactors", "2", "--listen", "127.0.0.1:0"]

    def perchd(self, *flags, passed=(), **environment):
        """The process, and its first line."""
        command = [*self.command, *flags]
        fds = [one.fileno() for one in passed]
        if fds:
            command = [sys.executable, "-c", PASS_ON, str(len(fds)), *map(str, fds), *command]
        process = spawn(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, pass_fds=fds,
                        env={**os.environ, **environment})
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process, process.stdout.readline()

    def stop(self, process):
        process.send_signal(signal.SIGTERM)
        return process.wait(20)

    def metric(self, name):
        told = subprocess.run([BIN / "perchd", "--metrics", "--data", self.folder / "data"], capture_output=True,
                              text=True, check=True, timeout=20).stdout
        return float(re.search(rf"^{name} (\S+)$", told, re.M)[1])


class Manager:
    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(20)

    def until(self, line):
        """All that was heard up to the datagram with this line."""
        lines = []
        while line not in lines:
            lines += self.socket.recv(4096).decode().splitlines()
        return lines

    def forget(self):
        """What has come and was not asked for."""
        self.socket.setblocking(False)
        lines = []
        with contextlib.suppress(BlockingIOError):
            while True:
                lines += self.socket.recv(4096).decode().splitlines()
        self.socket.settimeout(20)
        return lines


class Notify(Case):
    def test_start_and_stop(self):
        for name in (str(self.folder / "notify"), f"\0perch-test-{os.getpid()}"):
            manager = Manager(name)
            self.addCleanup(manager.socket.close)
            process, _ = self.perchd(NOTIFY_SOCKET=name.replace("\0", "@"))
            self.assertNotIn("STOPPING=1", manager.until("READY=1"))
            manager.until("STATUS=serves")
            self.assertEqual(self.stop(process), 0)
            self.assertNotIn("WATCHDOG=1", manager.until("STOPPING=1"))

    def test_what_cannot_start_is_never_ready(self):
        manager = Manager(str(self.folder / "notify"))
        self.addCleanup(manager.socket.close)
        process, line = self.perchd("--listen", "192.0.2.1:1", NOTIFY_SOCKET=str(self.folder / "notify"))
        self.assertEqual((line, process.wait(20)), ("", 2))
        self.assertNotIn("READY=1", manager.forget())

    def test_reload(self):
        manager = Manager(str(self.folder / "notify"))
        self.addCleanup(manager.socket.close)
        file = self.folder / "perchd.toml"
        file.write_text("[log]\nlevel = 'info'\n")
        process, _ = self.perchd("--config", str(file), NOTIFY_SOCKET=str(self.folder / "notify"))
        manager.until("STATUS=serves")
        process.send_signal(signal.SIGHUP)
        manager.until("RELOADING=1")
        manager.until("READY=1")
        manager.until("STATUS=serves")
        file.write_text("[log]\nlevel = 'loud'\n")
        process.send_signal(signal.SIGHUP)
        lines = []
        while not any(line.startswith("STATUS=") for line in lines):
            lines = manager.socket.recv(4096).decode().splitlines()
        self.assertIn(f"STATUS=reload refused: {file}:2: log.level: loud", "\n".join(lines))
        self.assertNotIn("RELOADING=1", manager.forget())
        self.assertEqual(self.stop(process), 0)

    def test_watchdog(self):
        stuck = self.folder / "stuck"
        manager = Manager(str(self.folder / "notify"))
        self.addCleanup(manager.socket.close)
        process, line = self.perchd(NOTIFY_SOCKET=str(self.folder / "notify"), WATCHDOG_USEC="3000000",
                                    LD_PRELOAD=str(BIN.parent / "tests/e2e/held_flush.so"), HELD_FLUSH=str(stuck))
        host, port = line.split()[1].split(":")
        manager.until("READY=1")
        for _ in range(3):
            manager.until("WATCHDOG=1")  # with nothing to do
        with contextlib.closing(wire.Connection((host, int(port)))) as connection:
            stuck.touch()
            connection.send(wire.hello(1))  # a first login: its row is committed, and the flush does not end
            wait_until(lambda: self.metric("perch_stalled_seconds") >= 2, 20, "the store thread is not seen to be stuck")
            manager.forget()
            wait_until(lambda: self.metric("perch_stalled_seconds") >= 6, 20, "the store thread is not seen to be stuck")
            self.assertNotIn("WATCHDOG=1", manager.forget())
            stuck.unlink()
            manager.until("WATCHDOG=1")
            self.assertEqual(connection.receive().kind, "Welcome")
        self.assertEqual(self.stop(process), 0)


class Activation(Case):
    def listener(self, family=socket.AF_INET, kind=socket.SOCK_STREAM, address="127.0.0.1"):
        passed = socket.socket(family, kind | socket.SOCK_NONBLOCK)
        self.addCleanup(passed.close)
        passed.bind((address, 0))
        return passed

    def test_all_reactors_accept_from_what_is_passed(self):
        first, second = self.listener(), self.listener()
        for one in (first, second):
            one.listen(100)
        # Who comes before the server waits for it.
        early = wire.Connection(first.getsockname())
        early.send(wire.hello(1))
        process, line = self.perchd(passed=(first, second))
        self.assertEqual(line, "listening 127.0.0.1:%d\n" % first.getsockname()[1])
        self.assertEqual(process.stdout.readline(), "listening 127.0.0.1:%d\n" % second.getsockname()[1])
        self.assertEqual(early.receive().kind, "Welcome")
        early.close()

        def accepted():
            told = subprocess.run([BIN / "perchd", "--metrics", "--data", self.folder / "data"], capture_output=True,
                                  text=True, check=True, timeout=20).stdout
            return [int(num) for num in re.findall(r'^perch_connections_accepted_total\{core="\d"\} (\d+)$', told, re.M)]
        with contextlib.ExitStack() as open_ones:
            for num in range(100):
                server = wire.SimpleNamespace(address=(first, second)[num % 2].getsockname())
                open_ones.enter_context(wire.Device(server, 10 + num))
        self.assertEqual(len(accepted()), 2)
        self.assertEqual(sum(accepted()), 101)
        self.assertTrue(all(accepted()), accepted())
        self.assertEqual(self.stop(process), 0)
        # The next server goes on where this one ended; nobody is refused meanwhile.
        late = wire.Connection(first.getsockname())
        late.send(wire.hello(1, attempt=2))
        process, _ = self.perchd(passed=(first,))
        self.assertEqual(late.receive().kind, "Welcome")
        late.close()
        self.assertEqual(self.stop(process), 0)

    def test_what_is_passed_and_cannot_be_used(self):
        unbound = self.listener()
        datagrams = self.listener(kind=socket.SOCK_DGRAM)
        unix = socket.socket(socket.AF_UNIX)
        self.addCleanup(unix.close)
        unix.bind(str(self.folder / "socket"))
        unix.listen()
        for passed in (unbound, datagrams, unix):
            process, line = self.perchd(passed=(passed,))
            self.assertEqual((line, process.wait(20)), ("", 2))
            self.assertIn("LISTEN_FDS: descriptor 3 is no listening TCP socket", process.stderr.read())


class Unit(unittest.TestCase):
    def test_exposure(self):
        if shutil.which("systemd-analyze") is None:
            self.skipTest("no systemd-analyze")
        with tempfile.TemporaryDirectory() as folder:
            unit = pathlib.Path(folder) / "perch.service"
            unit.write_text((ROOT / "packaging/perch.service.in").read_text().replace("@CMAKE_INSTALL_PREFIX@", "/usr"))
            done = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--threshold=20", unit],
                                  capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stdout[-300:] + done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
