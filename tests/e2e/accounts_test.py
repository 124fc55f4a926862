#!/usr/bin/python3
"""What perchctl does with an account: a token for it, everything that is held of it, and nothing of it any more."""
import base64
import json
import pathlib
import shutil
import struct
import subprocess
import tempfile
import unittest

import wire
from harness import BIN

PERCHCTL = BIN / "perchctl"
ADA, BOB, CARL = 0x1122334455667788, 0x2233445566778811, 0x3344556677881122
FROM_BOB, FROM_ADA, FOR_CARL = b"what bob says to ada", b"what ada says to bob", b"what bob says to carl"


def run(*args) -> subprocess.CompletedProcess:
    return subprocess.run([PERCHCTL, *map(str, args)], capture_output=True, text=True, timeout=60)


class AccountsTest(unittest.TestCase):
    def setUp(self):
        self.data = pathlib.Path(tempfile.mkdtemp(prefix="perch-accounts-"))
        self.addCleanup(shutil.rmtree, self.data)
        self.server = None

    def start(self, *flags: str) -> wire.Perchd:
        server = wire.Perchd(*flags, data=self.data, log=subprocess.DEVNULL)
        self.addCleanup(lambda: server.alive() and server.stop())
        return server

    def done(self, *args) -> str:
        ended = run("--data", self.data, *args)
        self.assertEqual((ended.returncode, ended.stderr), (0, ""), args)
        return ended.stdout

    def refused(self, status: int, says: str, *args) -> None:
        ended = run(*args)
        self.assertEqual((ended.returncode, ended.stdout), (status, ""), args)
        self.assertEqual(ended.stderr.count("\n"), 1, ended.stderr)
        self.assertIn(says, ended.stderr)

    def lines(self, *args) -> list[dict]:
        return [json.loads(line) for line in self.done(*args).splitlines()]

    def raw(self) -> bytes:
        """Every byte of the store's files."""
        return b"".join(path.read_bytes() for path in sorted(self.data.rglob("*")) if path.is_file())

    def login(self, server: wire.Perchd, user: int, handle: str) -> wire.Device:
        device = server.login(user, token=wire.token(user, handle=handle))
        self.addCleanup(device.close)
        return device

    def write(self) -> None:
        """Bob has written to ada, who is away, in parts of several values; ada to bob, who is away."""
        server = self.start("--accounts-auto")
        ada, carl = self.login(server, ADA, "ada"), self.login(server, CARL, "carl")
        with self.login(server, BOB, "bob") as bob:
            ada.close()
            bob.message(ADA, FROM_BOB * 200)
            bob.until("Outcome", tick=wire.schema("Tick").Accepted)
            bob.message(CARL, FOR_CARL)
            carl.take()
            bob.until("Outcome")
            bob.send(wire.frame("Ping", nonce=1, closed=bob.seq + 1))  # so nobody needs its result any more
            bob.until("Pong")
            carl.ping()
        carl.close()
        with self.login(server, ADA, "ada") as ada:  # what waits for her is not confirmed
            ada.message(BOB, FROM_ADA)
            ada.until("Outcome", tick=wire.schema("Tick").Accepted)
        self.server = server

    def test_export_tells_all_that_is_held(self):
        self.write()
        told = self.lines("export", "ada")
        self.assertEqual(told, self.lines("export", ADA))
        [user] = [line for line in told if line["kind"] == "user"]
        self.assertEqual((user["user"], user["handle"], len(user["devices"])), (ADA, "ada", 1))
        messages = {line["to"]: line for line in told if line["kind"] == "message"}
        self.assertEqual(sorted(messages), sorted([ADA, BOB]))
        self.assertEqual(messages[ADA]["id"]["user"], BOB)
        self.assertEqual(messages[ADA]["waits_for"], [{"user": ADA, "devices": [1]}])
        for to, text in ((ADA, FROM_BOB * 200), (BOB, FROM_ADA)):
            self.assertIn(text, base64.b64decode(messages[to]["frame_base64"]))
        self.assertNotIn("carl", self.done("export", "ada"))
        self.refused(1, "no user eve", "--data", self.data, "export", "eve")

    def test_erase_leaves_nothing_and_tells_who_wrote(self):
        self.write()
        self.refused(1, "stop it first", "--data", self.data, "erase", "ada")
        self.assertEqual(self.server.stop(), 0)
        for text in (FROM_BOB, FROM_ADA, struct.pack(">Q", ADA), b"ada", struct.pack(">Q", CARL), b"carl"):
            self.assertIn(text, self.raw())  # so it would be found
        self.refused(1, "no user eve", "--data", self.data, "erase", "eve")
        # What an erasure that was cut short left is no hindrance.
        (self.data / "restoring" / "journal").mkdir(parents=True)
        [erased] = self.lines("--json", "erase", "carl")
        self.assertEqual((erased["erased"], erased["kept_messages"], erased["kept_statuses"]), (CARL, 0, 0))
        for text in (struct.pack(">Q", CARL), struct.pack("<Q", CARL), b"carl", FOR_CARL):
            self.assertNotIn(text, self.raw())
        self.assertIn("kept, because they are others': 1 messages", self.done("erase", ADA))
        self.assertNotIn(FROM_BOB, self.raw())
        self.assertIn(FROM_ADA, self.raw())
        self.refused(1, "no user ada", "--data", self.data, "erase", "ada")
        self.assertEqual(sorted(path.name for path in self.data.iterdir()), ["ceiling", "journal", "lock", "tables"])

        server = self.start()
        with server.connect() as ada:
            ada.send(wire.hello(ADA))
            self.assertEqual(wire.ERRORS[ada.error().code], "NoAccount")
        with server.login(BOB) as bob:
            got = {frame.kind: frame for frame in (bob.receive(), bob.receive())}
            self.assertIn(FROM_ADA, bytes(got["Message"].body))
            self.assertEqual((got["Expired"].peer, got["Expired"].seq), (ADA, 1))
            bob.send(wire.frame("Confirm", count=bob.count))
            bob.message(ADA)
            self.assertEqual(bob.until("Rejected").reason, wire.schema("RejectReason").NotFound)
        self.assertEqual(server.stop(), 0)

    def test_what_the_mover_has_moved_is_erased_and_exported_too(self):
        self.write()
        self.assertEqual(self.server.stop(), 0)
        server = self.start("--set", "limits.store.move_after_ms=1", "--set", "limits.store.move_ms=1")
        with server.login(BOB) as bob:
            bob.ping()
        told = {line["to"] for line in self.lines("export", ADA) if line["kind"] == "message"}
        self.assertEqual(told, {ADA, BOB})
        self.assertEqual(server.stop(), 0)
        self.done("erase", ADA)
        self.assertNotIn(FROM_BOB, self.raw())

    def test_mint_makes_a_token_that_lets_in(self):
        server = self.start("--accounts-auto")
        secret = server.folder / "secret"
        minted = run("token", "mint", "ada", "--secret-file", secret)
        self.assertEqual((minted.returncode, minted.stderr), (0, ""))
        with server.login("ada", token=minted.stdout.strip()) as ada:
            self.assertEqual(ada.welcome.handle, "ada")
        told = json.loads(run("--json", "token", "mint", ADA, "--secret-file", secret, "--device", "phone", "--valid", "12h").stdout)
        self.assertEqual((told["user"], told["device"]), (str(ADA), "phone"))
        with server.login(ADA, token=told["token"]) as ada:
            self.assertEqual(ada.user, ADA)
            self.assertEqual(ada.welcome.session_expires_ms, told["expires_ms"])
        self.assertEqual(self.lines("--json", "devices", ADA)[0]["devices"][0]["name"], "phone")
        other = run("token", "mint", "ada", "--secret-file", secret, "--kid", "other")
        with server.connect() as stranger:
            stranger.send(wire.hello(token=other.stdout.strip()))
            self.assertEqual(wire.ERRORS[stranger.error().code], "TokenInvalid")
        for user, more in (("Ada", []), ("0", []), ("ada", ["--device", "x" * 65]), ("ada", ["--device", "a\nb"])):
            self.refused(2, "no token can say that", "token", "mint", user, "--secret-file", secret, *more)
        self.refused(1, "No such file", "token", "mint", "ada", "--secret-file", self.data / "none")
        secret.write_text("short")
        self.refused(1, "no secret of 32 or more", "token", "mint", "ada", "--secret-file", secret)
        self.refused(2, "--valid", "token", "mint", "ada", "--secret-file", secret, "--valid", "soon")
        self.refused(2, "see perchctl --help", "token", "mint", "ada")


if __name__ == "__main__":
    unittest.main()
