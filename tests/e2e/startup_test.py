#!/usr/bin/python3
"""How perchd starts, or says in one line why not: configuration, keys, addresses, folders, limits of the system, its
user. The real binary, on 127.0.0.1 only. What needs root is skipped without, and says so."""
import contextlib
import ctypes
import errno
import http.client
import json
import os
import pathlib
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import unittest

from harness import BIN, ROOT, Device, Server, become_nobody, fail_io_uring, prctl, settled, wait_until

SECRET = "0123456789abcdef0123456789abcdef"


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.write("secret", SECRET)
        self.good = ["--data", str(self.folder / "data"), "--listen", "127.0.0.1:0", "--secret-file",
                     str(self.folder / "secret")]

    def write(self, name, text, mode=0o600):
        path = self.folder / name
        path.write_text(text)
        path.chmod(mode)
        return str(path)

    def run_perchd(self, *flags, before=None):
        return subprocess.run([BIN / "perchd", *flags], capture_output=True, text=True, timeout=30, preexec_fn=before)

    def refused(self, *flags, says, before=None):
        """perchd ends with status 2 and one line on stderr, warnings apart, that holds every text of `says`. `before`
        runs in the child."""
        done = self.run_perchd(*flags, before=before)
        self.assertEqual(done.returncode, 2, done)
        self.assertEqual(done.stdout, "")
        lines = [line for line in done.stderr.splitlines() if not line.startswith("perchd: warning: ")]
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertTrue(lines[0].startswith("perchd: "), lines[0])
        for text in says:
            self.assertIn(text, lines[0])


class Configuration(Case):
    def test_printed_configuration_is_the_packaged_file(self):
        packaged = ROOT / "chat/perchd.toml"
        done = self.run_perchd("--config", packaged, "--print-config")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout, packaged.read_text())

    def test_flags_win_over_the_file(self):
        path = self.write("perchd.toml", "reactors = 3\n[accounts]\nauto = false\n[limits.delivery]\nwindow = 9\n")
        text = self.run_perchd("--config", path, "--reactors", "4", "--accounts-auto", "--set",
                               "limits.delivery.rate_burst=17", "--print-config").stdout
        for line in ("reactors = 4", "auto = true", "window = 9", "rate_burst = 17"):
            self.assertIn(f"\n{line}\n", text)

    def test_check_config(self):
        path = self.write("perchd.toml", f'data = "{self.folder}/data"\n[[keys]]\nkid = "k"\nalgorithm = "HS256"\n'
                                         f'file = "{self.folder}/secret"\n')
        done = self.run_perchd("--config", path, "--check-config")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "ok\n", ""))
        self.assertFalse((self.folder / "data").exists())
        self.refused("--config", path, "--check-config", "--rate", "0", says=["--rate", "0 is out of range"])

    def test_check_config_tells_all_that_is_wrong(self):
        path = self.write("perchd.toml", 'reactors = 3\nlissten = ["x"]\n[limits.delivery]\nwindw = 3\nrate_burst = 0\n'
                                         '[[keys]]\nkid = "k"\nalgorithm = "RS256"\nfile = "f"\n'
                                         f'[[keys]]\nkid = "l"\nalgorithm = "HS256"\nfile = "{self.folder}/none"\n')
        flags = ("--config", path, "--set", "limits.node.drain_ms_max=x")
        wrong = [(path, 2, "lissten", "no such key; did you mean listen?"),
                 (path, 4, "limits.delivery.windw", "no such key; did you mean limits.delivery.window?"),
                 (path, 5, "limits.delivery.rate_burst", "0 is out of range; give an integer from 1 to 1000000"),
                 (path, 6, "keys.algorithm", "RS256 is unknown; give HS256 or EdDSA"),
                 ("--set", None, "limits.node.drain_ms_max", "x is no integer; give an integer from 0 to 3600000"),
                 (f"{self.folder}/none", None, "key l",
                  "cannot be read: No such file or directory; make it readable or name another file")]
        done = self.run_perchd(*flags, "--check-config")
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertEqual(done.stderr.splitlines(), [
            f"perchd: {source}{'' if line is None else f':{line}'}: {key}: {why}" for source, line, key, why in wrong])
        done = self.run_perchd(*flags, "--check-config", "--json")
        self.assertEqual((done.returncode, done.stderr, done.stdout.count("\n")), (2, "", 1))
        self.assertEqual(json.loads(done.stdout), {"ok": False, "warnings": [], "problems": [
            {"source": str(source), "line": line, "key": key, "problem": why} for source, line, key, why in wrong]})
        done = self.run_perchd("--listen", "x", "--set", "log.level=loud", "--check-config")
        self.assertEqual([line.split(": ")[2] for line in done.stderr.splitlines()], ["data", "listen", "log.level", "keys"])
        done = self.run_perchd(*self.good, "--check-config", "--json")
        self.assertEqual((done.returncode, json.loads(done.stdout)), (0, {"ok": True, "problems": [], "warnings": []}))
        self.refused(*self.good, "--json", says=["--check-config"])

    def test_a_wrong_line_of_the_file(self):
        for line, says in (("reactor = 1", "no such key; did you mean reactors?"),
                           ("reactors = true", "is a boolean; give an integer from 0 to 1023"),
                           ("reactors = 1024", "1024 is out of range"),
                           ("reactors = ", "not TOML")):
            path = self.write("perchd.toml", f"# a comment\n{line}\n")
            self.refused("--config", path, *self.good, says=[f"{path}:2: ", says])
        path = self.write("perchd.toml", "[limits.connections]\nping_ms = 80000\n")
        self.refused("--config", path, *self.good, says=[f"{path}:2: limits.connections.silence_ms_max: 75000",
                                                        "give 80001 or more"])
        self.refused("--config", self.folder / "none.toml", says=["none.toml: cannot be read: No such file"])

    def test_wrong_flags(self):
        self.refused("--no-such-flag", says=["--no-such-flag"])
        self.refused(*self.good, "--reactors", "many", says=["--reactors: reactors: many is no integer"])
        self.refused(*self.good, "--set", "window=1", says=["did you mean limits.delivery.window?"])
        self.refused(*self.good, "--set", "reactors", says=["write --set KEY=VALUE"])
        self.refused(says=["data: no folder for the store"])
        self.refused(*self.good[:2], says=["keys: nobody could log in"])


class Keys(Case):
    def key(self, name):
        return [*self.good[:4], "--secret-file", str(self.folder / name)]

    def test_a_secret_that_cannot_be_used(self):
        self.refused(*self.key("none"), says=["/none: key dev: cannot be read: No such file"])
        self.write("short", SECRET[1:] + "\n")
        self.refused(*self.key("short"), says=["/short: key dev: a secret of 31 bytes is too short", "32"])
        self.write("huge", SECRET * 4096)
        self.refused(*self.key("huge"), says=["/huge: key dev: too large for a key"])

    def test_a_public_key_that_cannot_be_used(self):
        self.write("pem", "-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----\n")
        self.refused(*self.good[:4], "--public-key-file", str(self.folder / "pem"),
                     says=["/pem: key ed: holds no Ed25519 public key", "openssl pkey"])

    def test_everybody_can_read_the_secret(self):
        path = self.write("open", SECRET, 0o644)
        done = self.run_perchd(*self.key("open"), "--check-config")
        self.assertEqual((done.returncode, done.stdout), (0, "ok\n"))
        self.assertEqual(done.stderr.count("\n"), 1)
        self.assertIn(f"warning: {path}: key dev: everybody on this machine can read this secret", done.stderr)


PR_CAPBSET_DROP, CAP_SYS_RESOURCE = 24, 24


class Addresses(Case):
    def at(self, address):
        return ["--data", str(self.folder / "data"), "--listen", address, "--secret-file", str(self.folder / "secret")]

    def test_no_address(self):
        for address in ("localhost:7110", "127.0.0.1", "127.0.0.1:70000", "::1:5"):
            self.refused(*self.at(address), says=["--listen: listen: ", address, "write 127.0.0.1:7110 or [::1]:7110"])

    def test_an_address_of_another_machine(self):
        self.refused(*self.good, "--set", "operations.listen=localhost:9110",
                     says=["--set: operations.listen: localhost:9110: not an address; write 127.0.0.1:9110"])
        self.refused(*self.good, "--set", "operations.listen=192.0.2.1:9110",
                     says=["operations.listen: 192.0.2.1:9110: Cannot assign requested address"])
        self.refused(*self.at("192.0.2.1:7110"), says=["listen: 192.0.2.1:7110: Cannot assign requested address"])

    def test_a_port_in_use(self):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            address = "127.0.0.1:%d" % other.getsockname()[1]
            self.refused(*self.at(address), says=[f"listen: {address}: Address already in use", "stop what uses it"])

    def test_a_port_that_another_perchd_uses(self):
        # Both would share it by SO_REUSEPORT, and each get half of the connections.
        server = Server(self.folder / "server")
        server.start("--reactors", "2")
        self.addCleanup(server.drain)
        self.refused(*self.at(server.address), says=[f"listen: {server.address}: Address already in use"])


class Folders(Case):
    def test_a_folder_that_cannot_be_made(self):
        self.write("file", "")
        self.refused("--data", str(self.folder / "file/data"), *self.good[2:],
                     says=["data: ", "cannot be made: Not a directory"])
        self.refused("--data", str(self.folder / "none/data"), *self.good[2:],
                     says=["data: ", "cannot be made: No such file or directory"])

    def test_a_folder_of_somebody_else(self):
        self.folder.chmod(0o755)
        (self.folder / "secret").chmod(0o644)
        (self.folder / "data").mkdir(mode=0o500)
        self.refused(*self.good, before=become_nobody(), says=["data: ", "cannot be written to: Permission denied",
                                                              "chown -R"])

    def test_a_folder_that_another_perchd_uses(self):
        server = Server(self.folder / "server")
        server.start()
        self.addCleanup(server.drain)
        self.refused("--data", str(self.folder / "server/data"), *self.good[2:],
                     says=["data: ", "another perchd uses this folder"])


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


class Val(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("data", ctypes.c_char_p)]


def write_meta(environment, num_tables, key, number):
    """Sets a number of the meta table of a store that nobody has open, as store/packer.h writes it."""
    lmdb = ctypes.CDLL("liblmdb.so.0")

    def call(name, *args):
        if error := getattr(lmdb, "mdb_" + name)(*args):
            raise OSError(f"mdb_{name}: {error}")
    key, number = bytes([key]), struct.pack(">Q", number)
    value = struct.pack(">I", crc32c(key + number)) + number
    env, transaction, table = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_uint()
    call("env_create", ctypes.byref(env))
    call("env_set_maxdbs", env, ctypes.c_uint(num_tables))
    call("env_open", env, os.fsencode(environment), 0, 0o600)
    call("txn_begin", env, None, 0, ctypes.byref(transaction))
    call("dbi_open", transaction, b"meta", 0, ctypes.byref(table))
    call("put", transaction, table, ctypes.byref(Val(len(key), key)), ctypes.byref(Val(len(value), value)), 0)
    call("txn_commit", transaction)
    lmdb.mdb_env_close(env)


class Formats(Case):
    def test_a_store_of_another_perch(self):
        meta_key_format, num_tables = 1, {"journal": 4, "tables": 17}  # store/keyspace.h
        for part in num_tables:
            server = Server(self.folder / part)
            server.start()
            self.assertEqual(server.drain(), 0)
            data = self.folder / part / "data"
            for other, written_by in {3: "a newer Perch; upgrade perchd", 1: "an older Perch, which this"}.items():
                write_meta(data / part, num_tables[part], meta_key_format, other)
                self.refused("--data", str(data), *self.good[2:],
                             says=[f"data: {data}: this store has format {other}, written by {written_by}"])
            write_meta(data / part, num_tables[part], meta_key_format, 2)  # and nothing else was wrong with it
            server.start()
            self.assertEqual(server.drain(), 0)


class System(Case):
    def test_io_uring_is_refused(self):
        self.refused(*self.good, before=fail_io_uring(errno.EPERM), says=["io_uring", "seccomp"])
        self.refused(*self.good, before=fail_io_uring(errno.ENOSYS), says=["no io_uring", "6.1 or newer"])

    def test_too_few_descriptors(self):
        def few():
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
            if os.geteuid() == 0:
                prctl(PR_CAPBSET_DROP, CAP_SYS_RESOURCE, 0, 0, 0)  # or it would raise the limit
        self.refused(*self.good, before=few,
                     says=["limits.connections.connections_max: 16384", "RLIMIT_NOFILE is 64", "LimitNOFILE"])

    def test_a_low_soft_limit_of_descriptors_is_raised(self):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        if hard < 16384:
            self.skipTest("the hard limit of descriptors is too low for the default configuration")
        server = Server(self.folder / "server")
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        try:
            server.start()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        self.assertEqual(server.drain(), 0)

    def test_locked_memory(self):
        """The 8 MiB that Debian gives everybody are enough for two reactors; 64 KiB are not."""
        flags = [*self.good, "--reactors", "2"]
        self.folder.chmod(0o777)
        (self.folder / "secret").chmod(0o644)
        self.refused(*flags, before=become_nobody(RLIMIT_MEMLOCK=64 << 10), says=["RLIMIT_MEMLOCK", "LimitMEMLOCK"])
        process = subprocess.Popen([BIN / "perchd", *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True, preexec_fn=become_nobody(RLIMIT_MEMLOCK=8 << 20))
        self.assertTrue(process.stdout.readline().startswith("listening "))
        process.terminate()
        process.communicate(timeout=20)
        self.assertEqual(process.returncode, 0)


def status_of(process):
    """Fields of /proc/PID/status, of every thread."""
    for task in pathlib.Path(f"/proc/{process.pid}/task").iterdir():
        yield dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines() if ":\t" in line)


class Privileges(Case):
    def test_a_user_that_cannot_be_become(self):
        self.refused(*self.good, "--user", "no-such-user", says=["user: no-such-user: no such user"])
        self.folder.chmod(0o777)
        (self.folder / "secret").chmod(0o644)
        self.refused(*self.good, "--user", "root", before=become_nobody(), says=["user: only root can become root"])

    def test_whoever_starts_it_gains_nothing(self):
        server = Server(self.folder / "server")
        server.start("--reactors", "2")
        self.addCleanup(server.drain)
        for status in status_of(server.process):
            self.assertEqual(status["NoNewPrivs"], "1")

    @unittest.skipUnless(os.geteuid() == 0, "SKIPPED, not root: giving root up cannot be tested")
    def test_root_is_given_up(self):
        self.folder.chmod(0o755)
        groups = os.getgroups()
        self.addCleanup(os.setgroups, groups)
        os.setgroups([0, 4])  # or there may be none to give up
        server = Server(self.folder / "server", ["--user", "nobody"])
        for start in range(2):  # what the first one wrote the second one can open
            server.start("--reactors", "2")
            statuses = list(status_of(server.process))
            self.assertGreaterEqual(len(statuses), 4)  # main, two reactors, store
            for status in statuses:
                self.assertEqual(status["Uid"].split(), ["65534"] * 4)
                self.assertEqual(status["Gid"].split(), ["65534"] * 4)
                self.assertEqual(status["Groups"].strip(), "")
                self.assertEqual(status["NoNewPrivs"], "1")
                for capabilities in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
                    self.assertEqual(int(status[capabilities], 16), 0)
            for path in (self.folder / "server/data").rglob("*"):
                self.assertEqual(path.stat().st_uid, 65534, path)
            phone, tablet = (Device(server, user, f"device-{start}", self.folder) for user in (1, 2))
            tablet.listen()
            wait_until(lambda: tablet.identity()[1], 10, "the recipient has not logged in")
            phone.send(2, f"as nobody, start {start}")
            wait_until(lambda: any(f"start {start}".encode() in bytes(row[-1]) for row in tablet.inbox()), 10,
                       "the message did not arrive")
            tablet.leave()
            self.assertEqual(server.drain(), 0)

    @unittest.skipUnless(os.geteuid() == 0, "SKIPPED, not root: the warning is only for root")
    def test_root_that_stays_is_warned_of(self):
        done = self.run_perchd(*self.good, "--listen", "192.0.2.1:1")
        self.assertIn("perchd: warning: runs as root; name an ordinary user with --user", done.stderr)


class LongJournal(Case):
    def test_what_it_answers_while_it_reads_what_waited(self):
        server = Server(self.folder / "server")
        server.start()
        a, b = Device(server, 1, "phone", self.folder), Device(server, 2, "phone", self.folder)
        b.listen()
        wait_until(lambda: b.identity()[1], 10, "no login")
        b.leave()
        a.talk(2)
        for line in range(100):
            a.say(str(line))
        wait_until(lambda: a.marks() == [1] * 100, 20, "not accepted")
        a.leave()
        self.assertEqual(server.drain(), 0)

        def health():
            asked = subprocess.run([BIN / "perchd", "--data", server.folder / "data", "--health"], capture_output=True,
                                   text=True, timeout=30)
            return asked.stdout

        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            operations = "127.0.0.1:%d" % free.getsockname()[1]

        def get(path):
            with contextlib.closing(http.client.HTTPConnection(operations, timeout=30)) as connection:
                connection.request("GET", path)
                answer = connection.getresponse()
                return answer.status, answer.read()

        server.launch("--set", f"operations.listen={operations}",
                      env={**os.environ, "LD_PRELOAD": str(BIN.parent / "tests/e2e/slow_store.so")})
        try:
            wait_until(lambda: health() == "starting\n", 15, "the operator is not answered")
            self.assertEqual((get("/readyz"), get("/healthz")), ((503, b"starting\n"), (200, b"starting\n")))
            server.process.send_signal(signal.SIGTERM)
            self.assertEqual(server.process.wait(timeout=15), 0)
            self.assertEqual(server.process.stdout.read(), "", "it never listened")
        finally:
            server.process.kill()
        server.start()
        b.listen()
        a.talk(2)
        settled([a, b])
        for device in (a, b):
            device.leave()
        self.assertEqual(server.drain(), 0)


if __name__ == "__main__":
    outcome = unittest.main(exit=False, warnings="ignore").result
    for case, reason in outcome.skipped:
        print(f"{case.id()}: {reason}")
    print(f"{outcome.testsRun} tests of starting, {len(outcome.skipped)} of them skipped")
    sys.exit(not outcome.wasSuccessful())
