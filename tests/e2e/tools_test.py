#!/usr/bin/python3
"""tools/run as a new user meets it: the server it leaves running, the two commands it prints, and what it says where
something is missing; and what tools/test makes of its tests' results. apt-get, sudo, cmake and the like are stand-ins
first in PATH: nothing is installed or built."""
import errno
import fcntl
import os
import pathlib
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

from harness import BIN, ROOT, become_nobody, fail_io_uring, spawn


class Case(unittest.TestCase):
    """A copy of tools/ in a tree of its own, with the built binaries where a build would have put them."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="perch-e2e-")
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name) / "perch"
        shutil.copytree(ROOT / "tools", self.root / "tools")
        (self.root / "build/release").mkdir(parents=True)
        (self.root / "build/release/bin").symlink_to(BIN.resolve())
        self.path = self.root / "path"
        self.path.mkdir()
        self.stand_in("cmake", "exit 0")
        self.stand_in("dpkg-query", "echo installed")
        self.environment = dict(os.environ, PATH=f"{self.path}:{os.environ['PATH']}")

    def stand_in(self, name, text):
        path = self.path / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def start(self, *args):
        process = subprocess.Popen([self.root / "tools/run", *args], stdin=subprocess.DEVNULL, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=self.environment)
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        self.addCleanup(watchdog.cancel)
        self.addCleanup(self.stop, process)
        return process

    def stop(self, process):
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
        process.stdout.close()

    def only(self, *names):
        """Of the machine's programs these are found, and the stand-ins; no others."""
        self.environment["PATH"] = str(self.path)
        for name in ("bash", "sh", "dirname", "cat", "uname", *names):
            (self.path / name).symlink_to(shutil.which(name))

    def refused(self, *args, says, status=1, program="run", before=None):
        """`before` runs in the child."""
        done = subprocess.run([self.root / "tools" / program, *args], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=60, env=self.environment, preexec_fn=before)
        self.assertEqual(done.returncode, status, done)
        self.assertRegex(done.stderr.splitlines()[-1], f"^error: .*{re.escape(says)}")
        return done


def some_port():
    return str(random.randrange(10_000, 32_768))  # below those that the kernel hands out by itself


class Serve(Case):
    def serve(self, port=None):
        """The process, the two commands it prints, as a shell would run them, and its port: the one that was asked for,
        or another if somebody has that. Nobody can tell before the server tries."""
        for _ in range(10):
            port = port or some_port()
            process = self.start("--serve", "--port", port, "--reactors", "1")
            said, commands = "", []
            for line in process.stdout:
                said += line
                if " chat --profile " in line:
                    self.assertRegex(said, r"(?s)^== packages: .*\n== configure: .*\n== build: ")  # its progress
                    commands.append(shlex.split(line))
                    if len(commands) == 2:
                        return process, commands, port
            if "Address already in use" not in said:
                break
            port = None
        self.fail(said)

    def chat(self, command):
        process = spawn(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                        cwd=self.root)
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        self.addCleanup(watchdog.cancel)
        return process

    def talk(self, commands):
        """One message each way through the printed commands."""
        alice, bob = map(self.chat, commands)
        try:
            for sender, recipient, line in ((alice, bob, "alice: over"), (bob, alice, "bob: and out")):
                name, text = line.split(": ")
                sender.stdin.write(text + "\n")
                sender.stdin.flush()
                for row in recipient.stdout:
                    if row == line + "\n":
                        break
                else:
                    self.fail(f"{name} was not heard")
        finally:
            for process in (alice, bob):
                process.terminate()
                process.communicate(timeout=20)

    def test_the_printed_commands_work_and_a_second_run_is_safe(self):
        port = None
        for _ in range(2):
            process, commands, port = self.serve(port)
            self.talk(commands)
            self.stop(process)

    def test_a_second_run_beside_the_first(self):
        _, commands, port = self.serve()
        self.refused("--serve", "--port", str(int(port) + 1), says="another tools/run --serve is running here; stop it")
        self.talk(commands)

    def test_a_port_in_use(self):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = str(other.getsockname()[1])
            done = self.refused("--serve", "--port", port, says=f"port {port} is in use; choose another with --port")
        self.assertIn("Address already in use", done.stderr)

    def test_a_server_that_does_not_start_for_another_reason(self):
        (self.root / "build/serve").mkdir()
        (self.root / "build/serve/store").write_text("no folder")
        port = some_port()
        done = self.refused("--serve", "--port", port, says=f"perchd did not start on 127.0.0.1:{port}")
        self.assertIn("Not a directory", done.stderr)
        self.assertNotIn("in use", done.stderr)

    def test_a_server_that_ends_by_itself_says_so(self):
        process, _, _ = self.serve()
        children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        [server] = [int(pid) for pid in children if pathlib.Path(f"/proc/{pid}/comm").read_text() == "perchd\n"]
        os.kill(server, signal.SIGKILL)
        said = process.stdout.read()
        self.assertIn("error: perchd ended with status 137; all that it said is in build/serve/said", said)
        self.assertEqual(process.wait(timeout=30), 1)

    def test_a_machine_that_takes_its_time(self):
        """The server does not answer for three seconds whenever somebody logs in."""
        programs = self.root / "build/release/bin"
        programs.unlink()
        programs.mkdir()
        (programs / "perchd").symlink_to(BIN / "perchd")
        (programs / "perch").write_text(f"""#!/bin/sh
for server in $(cat /proc/$PPID/task/$PPID/children) none; do
  [ $server != none ] || exit 1
  [ "$(cat /proc/$server/comm)" != perchd ] || break
done
kill -STOP $server
(sleep 3; kill -CONT $server) &
exec {BIN}/perch "$@"
""")
        (programs / "perch").chmod(0o755)
        self.serve()


class Twice(Case):
    """What would disturb each other is not started."""

    def hold(self, name):
        lock = open(self.root / "build" / f"{name}.lock", "w")
        self.addCleanup(lock.close)
        fcntl.flock(lock, fcntl.LOCK_EX)
        return lock

    def test_the_demo(self):
        self.hold("demo")
        (self.root / "build/demo").mkdir()
        self.refused(says="another tools/run is playing the demo in build/demo; wait")
        self.assertTrue((self.root / "build/demo").exists())

    def test_the_tests(self):
        self.hold("test")
        self.refused(program="test", says="another tools/test is running here; wait")

    def test_builds_wait_for_each_other(self):
        self.stand_in("cmake", "exit 3")
        lock = self.hold("release")
        process = self.start()
        for line in process.stdout:
            if "waiting for another one" in line:
                break
        else:
            self.fail("it did not wait")
        lock.close()
        self.assertIn("configure failed", process.stdout.read())


class NotOurs(Case):
    """One line and the remedy where nothing can be locked."""

    def test_another_user_built_here(self):
        self.root.parent.chmod(0o755)
        (self.root / "build").chmod(0o555)  # as root's is to others
        self.addCleanup((self.root / "build").chmod, 0o755)
        for program in ("run", "test"):
            done = self.refused(program=program, says=f"as that user run: rm -r {self.root}/build",
                                before=become_nobody())
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)

    def test_another_user_began_to_build_here(self):
        self.root.parent.chmod(0o755)
        (self.root / "build").chmod(0o777)
        (self.root / "build/release").chmod(0o555)
        done = self.refused(says=f"as that user run: rm -r {self.root}/build", before=become_nobody())
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)

    def test_no_flock(self):
        self.only("sed", "nproc", "mkdir")
        self.refused(says="flock is missing")


class Missing(Case):
    def setUp(self):
        super().setUp()
        self.stand_in("dpkg-query", '[ "$3" = libfmt-dev ] || echo installed')
        self.stand_in("id", "echo 1000")

    def test_no_network(self):
        self.stand_in("sudo", 'exec "$@"')
        self.stand_in("apt-get", "echo 'Could not resolve host'; exit 100")
        done = self.refused(says="apt could not install: libfmt-dev - is there a network")
        self.assertIn("Could not resolve host", done.stderr)
        self.assertIn("warning: apt-get update failed", done.stderr)

    def test_an_update_that_fails_is_only_a_warning(self):
        self.stand_in("sudo", 'exec "$@"')
        self.stand_in("apt-get", '[ "$1" = install ]')
        self.stand_in("cmake", "exit 3")
        done = self.refused(says="configure failed")
        self.assertIn("warning: apt-get update failed", done.stderr)

    def test_sudo_refuses(self):
        self.stand_in("sudo", "exit 1")
        self.refused(says="sudo refuses; as root, run: apt-get install --no-install-recommends libfmt-dev")

    def test_neither_root_nor_sudo(self):
        self.only("sed", "tr", "nproc")
        self.refused(says="not root and no sudo; as root, run: apt-get install --no-install-recommends libfmt-dev")


class Kernel(Case):
    def setUp(self):
        super().setUp()
        self.stand_in("cmake", "exit 3")  # where it gets to when nothing is in the way

    def disabled(self, value):
        """tools/common.sh with /proc's word for it replaced by a file of the test."""
        proc = self.root / "io_uring_disabled"
        proc.write_text(f"{value}\n")
        text = (ROOT / "tools/common.sh").read_text()
        self.assertEqual(text.count("/proc/sys/kernel/io_uring_disabled"), 2)
        (self.root / "tools/common.sh").write_text(text.replace("/proc/sys/kernel/io_uring_disabled", str(proc)))

    def test_io_uring_is_refused(self):
        """By a real filter, as the kernel or a container does; what io_uring_disabled says is the reason."""
        for value, error, says in ((2, errno.EPERM, "io_uring is disabled; as root"),
                                   (1, errno.EPERM, "io_uring is disabled for ordinary users; as root"),
                                   (0, errno.EPERM, "io_uring is refused (EPERM): a container's filter"),
                                   (0, errno.ENOSYS, "io_uring is refused (ENOSYS): a container's filter"),
                                   (0, errno.ENOMEM, "ulimit -l unlimited"),
                                   (0, errno.EIO, "io_uring cannot be used: EIO")):
            self.disabled(value)
            self.refused(says=says, before=fail_io_uring(error))

    def test_who_is_let_in_all_the_same(self):
        self.disabled(1)  # as for root, and for the group of kernel.io_uring_group
        self.refused(says="configure failed")

    def test_an_old_kernel(self):
        for release, says in (("5.15.0-91", "kernel 5.15.0-91 is too old"), ("6.0.1", "kernel 6.0.1 is too old")):
            self.stand_in("uname", f"echo {release}")
            self.refused(says=says)


class Usage(Case):
    def test_wrong_flags(self):
        for args, says in ((("--port",), "--port needs a value"), (("--port", "70000"), "is not from 1 to 65535"),
                           (("--dance",), "--dance: unknown option"), (("--pace", "x"), "'x' is no number")):
            self.refused(*args, says=says, status=2)

    def test_wrong_flags_of_the_others(self):
        short = self.root / "short"
        short.write_text("secret\n")
        to = ("--sub", "ada", "--dev", "x")
        for command, says in (
                (("test", "--dance"), "--dance: unknown option"),
                (("fresh", "--dance"), "--dance: unknown option"),
                (("mint-token", *to), "--secret-file"),
                (("mint-token", *to, "--secret-file", short), "only 6 bytes of at least 32"),
                (("mint-token", *to, "--secret-file", self.root / "none"), "--secret-file: [Errno 2]")):
            done = subprocess.run([ROOT / "tools" / command[0], *command[1:]], capture_output=True, text=True, timeout=30)
            self.assertEqual((done.returncode, done.stdout), (2, ""), command)
            self.assertIn(says, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)


class Summary(unittest.TestCase):
    """The end of tools/test: its last line and its exit status say the same, and nothing that did not run has passed."""

    def summary(self, *cases, ctest_status=0):
        with tempfile.NamedTemporaryFile("w", suffix=".xml") as junit:
            junit.write(f"<testsuite>{''.join(cases)}</testsuite>")
            junit.flush()
            done = subprocess.run([ROOT / "tools/test_summary.py", junit.name, str(ctest_status)],
                                  capture_output=True, text=True, timeout=30)
        self.assertEqual(done.stderr, "")
        return done.returncode, done.stdout.splitlines()

    def case(self, name, status, inside="", said=""):
        return (f'<testcase name="{name}" time="1.2" status="{status}">{inside}'
                f"<system-out>{said}</system-out></testcase>")

    def test_all_passed(self):
        status, lines = self.summary(self.case("Suite.Case", "run"), self.case("x_test", "run", said="a\n3 held\n"),
                                     self.case("silent", "run"))
        self.assertEqual((status, lines), (0, ["passed: x_test in 1 s: 3 held", "3 passed, 0 failed"]))

    def test_one_failed(self):
        status, lines = self.summary(self.case("a_test", "fail", "<failure message=''/>"), self.case("S.C", "run"),
                                     ctest_status=8)
        self.assertEqual((status, lines), (1, ["failed: a_test", "1 passed, 1 failed"]))

    def test_skipped_is_neither(self):
        status, lines = self.summary(
            self.case("x_test", "notrun", '<skipped message="SKIP_RETURN_CODE=77"/>', "SKIPPED: no tmpfs\n"),
            self.case("S.C", "notrun", '<skipped message="SKIP_REGULAR_EXPRESSION_MATCHED"/>',
                      "s_test.cc:7: Skipped\nonly root can\n\n[  SKIPPED ] 1 test"),
            self.case("S.D", "run"))
        self.assertEqual((status, lines), (0, ["skipped: S.C (only root can)", "skipped: x_test (SKIPPED: no tmpfs)",
                                               "1 passed, 0 failed"]))

    def test_what_could_not_be_started_has_failed(self):
        status, lines = self.summary(self.case("x_test", "notrun", '<skipped message="Unable to find executable"/>'),
                                     self.case("S.C", "run"))
        self.assertEqual((status, lines), (1, ["failed: x_test", "1 passed, 1 failed"]))

    def test_ctest_itself_failed(self):
        status, lines = self.summary(self.case("S.C", "run"), ctest_status=8)
        self.assertEqual((status, lines), (1, ["failed: ctest itself (exit status 8)", "1 passed, 1 failed"]))

    def test_nothing_ran(self):
        status, lines = self.summary()
        self.assertEqual((status, lines), (1, ["error: no test ran", "0 passed, 0 failed"]))


if __name__ == "__main__":
    outcome = unittest.main(exit=False, warnings="ignore").result
    print(f"{outcome.testsRun} uses of tools/run and tools/test, {len(outcome.failures) + len(outcome.errors)} failed")
    sys.exit(not outcome.wasSuccessful() or outcome.testsRun == 0)
