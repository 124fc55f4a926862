#!/usr/bin/python3
"""How perchd starts, or says in one line why not: configuration, keys, addresses, folders. The real binary, on 127.0.0.1
and ::1 only."""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("PERCH_BIN", ROOT / "build/release/bin"))
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

    def run_perchd(self, *flags):
        return subprocess.run([BIN / "perchd", *flags], capture_output=True, text=True, timeout=30)

    def refused(self, *flags, says):
        """perchd ends with status 2 and one line on stderr that holds every text of `says`."""
        done = self.run_perchd(*flags)
        self.assertEqual(done.returncode, 2, done)
        self.assertEqual(done.stdout, "")
        lines = done.stderr.splitlines()
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

    def test_a_wrong_line_of_the_file(self):
        for line, says in (("reactor = 1", "no such key; did you mean reactors?"),
                           ("reactors = true", "is a boolean; give an integer from 1 to 1023"),
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
        self.refused(*self.key("none"), says=["key dev: ", "/none: cannot be read: No such file"])
        self.write("short", SECRET[1:] + "\n")
        self.refused(*self.key("short"), says=["key dev: ", "/short: a secret of 31 bytes is too short", "32"])
        self.write("huge", SECRET * 4096)
        self.refused(*self.key("huge"), says=["/huge: too large for a key"])

    def test_a_public_key_that_cannot_be_used(self):
        self.write("pem", "-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----\n")
        self.refused(*self.good[:4], "--public-key-file", str(self.folder / "pem"),
                     says=["key ed: ", "/pem: holds no Ed25519 public key", "openssl pkey"])

    def test_everybody_can_read_the_secret(self):
        path = self.write("open", SECRET, 0o644)
        done = self.run_perchd(*self.key("open"), "--check-config")
        self.assertEqual((done.returncode, done.stdout), (0, "ok\n"))
        self.assertEqual(done.stderr.count("\n"), 1)
        self.assertIn(f"warning: key dev: {path}: everybody on this machine can read this secret", done.stderr)


if __name__ == "__main__":
    outcome = unittest.main(exit=False, verbosity=1).result
    print(f"{outcome.testsRun} ways to start, {len(outcome.skipped)} skipped")
    sys.exit(not outcome.wasSuccessful())
