#!/usr/bin/python3
"""SIGHUP: what a running perchd takes from its file and its key files, what it refuses, that a wrong file changes
nothing, and that whoever is logged in stays so. And the log: its level at run time, and as JSON."""
import json
import pathlib
import signal
import tempfile
import unittest

import wire
from harness import wait_until

OTHER_SECRET = b"another secret, of which no token of the old one knows anything"


class Reload(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.log = open(self.folder / "log", "w+")
        self.addCleanup(self.log.close)
        self.file = self.folder / "perchd.toml"
        self.key_file = self.folder / "key"

    def write(self, text="", secret=wire.SECRET):
        self.key_file.write_bytes(secret)
        self.key_file.chmod(0o600)
        self.file.write_text(f'[[keys]]\nkid = "dev"\nalgorithm = "HS256"\nfile = "{self.key_file}"\n[accounts]\n'
                             f'auto = true\n{text}')

    def start(self, text=""):
        self.write(text)
        # The flags' key is another one; of the file's kid "dev" stays only what --secret-kid does not replace.
        self.server = wire.Perchd("--config", str(self.file), "--secret-kid", "flag", "--reactors", "2", log=self.log)
        self.addCleanup(self.server.stop)

    def lines(self):
        return (self.folder / "log").read_text().splitlines()

    def hang_up(self, says):
        """SIGHUP, and the line that it makes."""
        num = len(self.lines())
        self.server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: any("reload" in line for line in self.lines()[num:]), 10, "nothing was said")
        new = [line for line in self.lines()[num:] if "reload" in line]
        self.assertEqual(len(new), 1, new)
        for text in says:
            self.assertIn(text, new[0])

    def test_limits_and_those_who_are_logged_in(self):
        self.start("[limits.delivery]\nrate_burst = 1000\n")
        with self.server.login(1) as ada, self.server.login(2) as bob:
            for _ in range(10):
                ada.message(2)
                bob.take()
                ada.until("Outcome")
            self.write("[limits.delivery]\nrate_burst = 2\nrate_per_second = 1\n")
            self.hang_up(["level=info msg=reloaded",
                          'changed="limits.delivery.rate_burst limits.delivery.rate_per_second keys"'])

            def held():
                with self.server.login(3) as eve:
                    for _ in range(3):
                        eve.message(2)
                    while True:
                        got = eve.receive()
                        if got.kind in ("Hold", "Outcome"):
                            if got.kind == "Hold" or eve.seq == got.seq:
                                return got.kind == "Hold"
            wait_until(held, 10, "the new rate does not hold")
            ada.send(wire.frame("Ping", nonce=1))
            ada.until("Pong")

    def test_keys(self):
        self.start()
        with self.server.login(1) as ada:
            self.write(secret=OTHER_SECRET)
            self.hang_up(["msg=reloaded", "changed=keys"])
            for _ in range(10):  # the kernel chooses who accepts
                self.assertFalse(self.can_log_in(), "the old key is good after \"reloaded\"")
            ada.send(wire.frame("Ping", nonce=1))
            ada.until("Pong")  # who is logged in stays so until the token ends
            self.write()
            self.hang_up(["msg=reloaded"])
            for _ in range(10):
                self.assertTrue(self.can_log_in(), "the new key is not good after \"reloaded\"")

    def can_log_in(self):
        with self.server.connect() as connection:
            connection.send(wire.hello(5))
            return connection.receive().kind == "Welcome"

    def test_what_is_wrong_changes_nothing(self):
        self.start("[limits.delivery]\nrate_burst = 1000\n")
        with self.server.login(1) as ada, self.server.login(2) as bob:
            for text, says in (("[limits.delivery]\nrate_burst = 1\nwindw = 3\n", "did you mean limits.delivery.window?"),
                               ("[limits.delivery]\nrate_burst = 1\nwindow = 3\n", "limits.delivery.window: is for a start"),
                               ("[limits.delivery]\nrate_burst = 1\n[log]\nlevel = 'loud'\n", "log.level: loud is none"),
                               ("[limits.delivery]\nrate_burst = 1\n[log]\nformat = 'json'\n", "log.format: is for a start"),
                               ("[limits.delivery\n", "not TOML")):
                self.write(text)
                self.hang_up(["level=error", "reload refused, nothing has changed", f"{self.file}:", says])
            self.write("[limits.delivery]\nrate_burst = 1\n", secret=b"short")
            self.hang_up(["level=error", "reload refused, nothing has changed", "a secret of 5 bytes"])
            self.write(secret=OTHER_SECRET)
            self.file.unlink()
            self.hang_up(["level=error", "reload refused, nothing has changed", "cannot be read"])
            for _ in range(10):
                ada.message(2)
                bob.take()
                ada.until("Outcome")
            self.assertTrue(self.can_log_in())

    def test_level(self):
        self.start()
        self.write("[log]\nlevel = 'error'\n")
        num = len(self.lines())
        self.server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: not self.says_refusal(), 10, "the level did not change")
        self.assertNotIn("msg=reloaded", "\n".join(self.lines()[num:]))  # it is of a lower level itself
        self.write()
        self.hang_up(["msg=reloaded", 'changed="log.level keys"'])
        wait_until(self.says_refusal, 10, "the level did not change back")

    def says_refusal(self):
        """Is a refused connection logged? Asked after a fresh one, with what the main thread writes in between."""
        num = len(self.lines())
        with self.server.connect() as connection:
            connection.send(wire.hello(1, token="none"))
            self.assertEqual(connection.error().name, "TokenInvalid")
        try:
            wait_until(lambda: len(self.lines()) > num, 1, "")
        except Exception:
            return False
        return True

    def test_json(self):
        self.start("[log]\nformat = 'json'\n")
        with self.server.login(1) as ada, self.server.login(2):
            ada.message(2, b"private")
        token = wire.token(1, seconds=-100)
        with self.server.connect() as connection:
            connection.send(wire.hello(1, token=token))
            self.assertEqual(connection.error().name, "TokenExpired")
        self.assertEqual(self.server.stop(), 0)
        text = self.lines()
        text = text[next(i for i, line in enumerate(text) if line.startswith("{")):]
        lines = [json.loads(line) for line in text]
        for line in lines:
            self.assertRegex(line["ts"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
            self.assertIn(line["level"], ("info", "warn", "error"))
        self.assertEqual([line["msg"] for line in lines][0], "started")
        self.assertIn("TokenExpired", [line.get("error") for line in lines])
        for secret in ("private", token[:20], wire.SECRET.decode()):
            self.assertNotIn(secret, "\n".join(text))


if __name__ == "__main__":
    unittest.main(verbosity=2)
