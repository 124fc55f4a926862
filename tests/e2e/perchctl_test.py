#!/usr/bin/python3
"""perchctl against a real perchd: every command, as text and as JSON, and what each says when it is not done."""
import json
import os
import pathlib
import pty
import re
import subprocess
import tempfile
import time
import unittest

import wire
from harness import BIN

PERCHCTL = BIN / "perchctl"
ADA, BOB = 1, 2


def run(*args, seconds: float = 30) -> subprocess.CompletedProcess:
    return subprocess.run([PERCHCTL, *map(str, args)], capture_output=True, text=True, timeout=seconds)


def until(condition, what: str, seconds: float = 10):
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, what
        time.sleep(0.02)
    return value


class PerchctlTest(unittest.TestCase):
    def start(self, *flags: str, data: pathlib.Path | None = None, log=subprocess.DEVNULL) -> wire.Perchd:
        server = wire.Perchd("--accounts-auto", *flags, data=data, log=log)
        self.addCleanup(server.stop)
        self.data = data or server.folder / "data"
        return server

    def login(self, server: wire.Perchd, *args, **fields) -> wire.Device:
        device = server.login(*args, **fields)
        self.addCleanup(device.close)
        return device

    def done(self, *args) -> str:
        ended = run("--data", self.data, *args)
        self.assertEqual((ended.returncode, ended.stderr), (0, ""), args)
        return ended.stdout

    def json(self, *args):
        """What it prints with --json: one value a line."""
        lines = self.done("--json", *args).splitlines()
        self.assertEqual(len(lines), 1, lines)
        return json.loads(lines[0])

    def refused(self, status: int, says: str, *args) -> None:
        """It ends with `status` and one line."""
        ended = run(*args)
        self.assertEqual((ended.returncode, ended.stdout), (status, ""), args)
        self.assertEqual(ended.stderr.count("\n"), 1, ended.stderr)
        self.assertTrue(ended.stderr.startswith("perchctl: "), ended.stderr)
        self.assertIn(says, ended.stderr)

    # ---- the command line

    def test_wrong_use_is_one_line_and_status_2(self):
        self.refused(2, "see perchctl --help")
        self.refused(2, "see perchctl --help", "dance")
        self.refused(2, "see perchctl --help", "top", "--interval", "0")
        self.refused(2, "name its folder with --data", "health")
        helped = run("--help")
        self.assertEqual(helped.returncode, 0)
        self.assertIn("Exit status: 0 done", helped.stdout)

    def test_without_a_server_nothing_is_done(self):
        with tempfile.TemporaryDirectory() as folder:
            for command in ("health", "metrics", "status", "top", "drain", "users", "devices ada", "mailbox ada",
                            "blocks ada", "block ada eve", "disconnect ada", "token revoke ada", "token list",
                            "backup /nowhere/b", "export ada"):
                self.refused(1, "no server runs there", "--data", folder, *command.split())
        self.refused(1, "longer than 99 bytes", "--data", "/" + "x" * 100, "health")

    @unittest.skipUnless(os.geteuid() == 0, "only root can become somebody else")
    def test_a_stranger_is_told_whose_the_socket_is(self):
        self.start()
        ended = subprocess.run([PERCHCTL, "--data", self.data, "health"], user=65534, group=65534, extra_groups=[],
                               capture_output=True, text=True, timeout=30)
        self.assertEqual(ended.returncode, 1)
        self.assertIn("become that user, or root", ended.stderr)

    # ---- how the server is

    def test_status_health_and_metrics(self):
        server = self.start()
        ada = self.login(server, ADA)
        self.assertEqual(self.done("health"), "ok\n")
        self.assertEqual(self.json("health"), {"health": "ok"})
        ada.message(ADA + 100)
        ada.until("Rejected")
        status = until(lambda: (got := self.json("status"))["sessions"] == 1 and got, "no session")
        self.assertEqual((status["health"], status["reactors"], status["connections"]), ("ok", 1, 1))
        self.assertLess(status["up_seconds"], 60)
        self.assertEqual(status["messages_taken"], 1)
        self.assertIn("health       ok\n", self.done("status"))
        text = self.done("metrics")
        self.assertIn("# TYPE perch_sessions gauge\n", text)
        samples = {(one["name"], *sorted(one["labels"].items())): one["value"] for one in self.json("metrics")}
        self.assertEqual(samples["perch_sessions", ("core", "0")], 1)
        self.assertEqual(len(samples), sum(not line.startswith("#") for line in text.splitlines()))

    def test_top_without_a_terminal_prints_once(self):
        server = self.start("--reactors", "2")
        devices = [self.login(server, user) for user in range(1, 7)]
        top = self.json("top", "--interval", "0.2")
        self.assertEqual([row["core"] for row in top["cores"]], ["0", "1"])
        self.assertEqual(sum(row["sessions"] for row in top["cores"]), len(devices))
        self.assertGreaterEqual(top["seconds"], 0.2)
        self.assertEqual(top["store"]["journal_fill"], self.json("status")["journal_fill"])
        lines = self.done("top", "--once", "--interval", "0.1").splitlines()
        self.assertEqual([line.split()[0] for line in lines], ["CORE", "0", "1", "all", "store"])
        self.assertEqual(lines[3].split()[1:3], ["6", "6"])

    def test_top_counts_what_happens_meanwhile(self):
        server = self.start()
        ada, bob = self.login(server, ADA), self.login(server, BOB)
        process = subprocess.Popen([PERCHCTL, "--data", self.data, "--json", "top", "--interval", "1.5"],
                                   stdout=subprocess.PIPE, text=True)
        requests = lambda: wire_metric(self.done("metrics"), "perch_control_requests_total")
        first = requests()
        until(lambda: requests() > first + 1, "top never looked")
        for _ in range(20):
            ada.message(BOB)
            bob.take()
        told, _ = process.communicate(timeout=20)
        [row] = json.loads(told)["cores"]
        self.assertGreater(row["taken_per_second"], 0)
        self.assertGreater(row["forwarded_live_per_second"], 0)
        self.assertGreater(row["hops_per_second"], 0)

    def test_top_in_a_terminal_goes_on_until_the_server_ends(self):
        server = self.start()
        main, terminal = pty.openpty()
        process = subprocess.Popen([PERCHCTL, "--data", self.data, "top", "--interval", "0.05"], stdout=terminal,
                                   stderr=subprocess.PIPE, text=True)
        os.close(terminal)
        shown = b""
        while shown.count(b"\x1b[H\x1b[2JCORE") < 3:
            shown += os.read(main, 65536)
        server.stop()
        _, said = process.communicate(timeout=20)
        os.close(main)
        self.assertEqual(process.returncode, 1)
        self.assertIn("server", said)

    # ---- users

    def test_users_in_pages(self):
        server = self.start()
        self.assertEqual(self.done("--json", "users"), "")
        self.login(server, "ada", "phone")
        self.login(server, BOB, "phone", token=wire.token(BOB, "phone", handle="bob"))
        self.login(server, BOB, "tablet", token=wire.token(BOB, "tablet"))
        rows = [json.loads(line) for line in self.done("--json", "users").splitlines()]
        self.assertEqual([(row["handle"], row["devices"]) for row in rows], [("bob", 2), ("ada", 1)])
        self.assertIn("ada", self.done("users").splitlines()[-1])
        # More than one answer of the server holds.
        for user in range(10_000, 10_250):
            with wire.Device(server, user):
                pass
        rows = [json.loads(line) for line in self.done("--json", "users").splitlines()]
        self.assertEqual([row["user"] for row in rows], sorted({row["user"] for row in rows}))
        self.assertEqual(len(rows), 252)

    def test_devices(self):
        server = self.start()
        self.login(server, "ada", "phone")
        with server.login("ada", 'a "tablet"'):
            pass
        until(lambda: [one["online"] for one in self.json("devices", "ada")["devices"]] == [True, False], "not online")
        ada = self.json("devices", "ada")
        self.assertEqual(ada, {**self.json("devices", ada["user"]), "devices": ada["devices"]})
        phone, tablet = ada["devices"]
        self.assertEqual((phone["name"], phone["device"]), ("phone", 1))
        self.assertGreater(phone["session"]["expires_ms"], time.time() * 1000)
        self.assertEqual((tablet["name"], tablet["session"]), ('a "tablet"', None))
        lines = self.done("devices", "ada").splitlines()
        self.assertIn("(ada)", lines[0])
        self.assertEqual(lines[2].split(), ["1", "online", "0", "0", "-", "phone"])
        for command in ("devices", "mailbox"):
            self.refused(1, "no user eve", "--data", self.data, command, "eve")
            self.refused(1, "no user 4711", "--data", self.data, command, "4711")
            self.refused(2, "a user id or a handle", "--data", self.data, command, "a b")

    def test_mailbox_shows_counts_and_never_contents(self):
        server = self.start()
        ada = self.login(server, ADA)
        with server.login(BOB):
            pass
        secret = b"nobody else reads this"
        for _ in range(3):
            ada.message(BOB, secret)
            ada.until("Outcome")
        box = self.json("mailbox", BOB)
        [device] = box["devices"]
        self.assertEqual(device["waiting"], box["waiting"])
        self.assertEqual((box["waiting"]["messages"], box["waiting"]["on_disk"]), (3, 3))
        self.assertGreater(box["waiting"]["bytes"], 3 * len(secret))
        text = self.done("mailbox", BOB) + self.done("--json", "mailbox", BOB)
        self.assertNotIn("nobody", text)
        self.assertIn("in all", text)
        bob = self.login(server, BOB)
        for _ in range(3):
            bob.take()
        until(lambda: self.json("mailbox", BOB)["waiting"]["messages"] == 0, "something waits still")

    def test_log_level(self):
        with tempfile.NamedTemporaryFile("w") as log:
            server = self.start(log=log)
            self.assertEqual(self.done("log-level"), "info\n")
            ada = wire.token(ADA)
            self.login(server, ADA, token=ada)
            self.assertEqual(self.json("log-level", "debug"), {"log_level": "debug"})

            def logs() -> str:
                server.login(BOB, token=wire.token(BOB)).close()
                return pathlib.Path(log.name).read_text()
            until(lambda: "session ends" in logs(), "nothing is logged of who comes and goes")
            with server.login(ADA, "tablet") as tablet, server.login(BOB) as bob:
                tablet.message(BOB, b"nobody else reads this")
                bob.take()
                tablet.until("Outcome")
                with server.connect() as connection:
                    connection.send(wire.hello(ADA, token=ada[:-1]))
                    self.assertEqual(connection.error().name, "TokenInvalid")
            self.refused(1, "loud is no level; give debug, info, warn or error", "--data", self.data, "log-level", "loud")
            self.assertEqual(self.done("log-level"), "debug\n")
            for line in (r'"good token" user=1 handle="" peer=127\.0\.0\.1:\d+ connection=\d+\n',
                         r'"session begins" user=1 device=2 session=\d+ connection=\d+\n',
                         r'"session ends" user=1 device=2 session=\d+\n', r'"connection closed" reason=peer connection=\d+\n'):
                until(lambda line=line: re.search(f"level=debug core=0 msg={line}", logs()), line)
            self.assertEqual(self.done("log-level", "warn"), "warn\n")
            said = logs()
            for secret in ("nobody", wire.SECRET.decode(), ada.split(".")[1], ada.split(".")[2]):
                self.assertNotIn(secret, said)
            self.assertEqual(logs().count("level=debug"), said.count("level=debug"))

    # ---- what is done to users

    def test_block_for_a_user_and_no_more(self):
        server = self.start()
        ada, bob = self.login(server, ADA), self.login(server, "bob", "b")
        bob_id = self.json("devices", "bob")["user"]
        self.assertEqual(self.json("blocks", "bob"), {"user": bob_id, "blocks": []})
        self.assertEqual(self.json("block", "bob", ADA), {"user": bob_id, "blocks": [ADA]})
        self.assertEqual(bob.until("Blocks").users, [ADA])
        ada.message(bob_id, b"not for you")
        self.assertEqual(wire.TICKS[ada.until("Outcome").tick], "Accepted")
        self.assertEqual(self.done("blocks", "bob"), f"user {bob_id} blocks 1\n{ADA}\n")
        self.assertEqual(self.done("unblock", "bob", ADA), f"user {bob_id} blocks nobody\n")
        self.assertEqual(bob.until("Blocks").users, [])
        ada.message(bob_id, b"hello again")
        self.assertEqual(bob.take().body, b"hello again")
        data = ("--data", self.data)
        self.refused(1, "no user eve", *data, "block", "bob", "eve")
        self.refused(1, "nobody blocks himself", *data, "block", "bob", "bob")
        self.refused(1, "no user 4711", *data, "blocks", "4711")
        self.refused(2, "see perchctl --help", *data, "block", "bob")
        self.refused(2, "WHOM: a user id", *data, "block", "bob", "a b")

    def test_disconnect(self):
        server = self.start()
        phone, tablet = self.login(server, ADA, "phone"), self.login(server, ADA, "tablet")
        self.assertEqual(self.json("disconnect", ADA, 2), {"user": ADA, "sessions_ended": 1})
        tablet.until("Goaway")
        self.assertIsNone(tablet.receive())
        self.assertEqual(self.done("disconnect", ADA), "1 session ended\n")
        phone.until("Goaway")
        self.assertEqual(self.json("disconnect", ADA)["sessions_ended"], 0)
        self.refused(1, f"user {ADA} has no device 9", "--data", self.data, "disconnect", ADA, 9)
        self.refused(1, "named by its number", "--data", self.data, "disconnect", ADA, "phone")
        self.login(server, ADA, "phone")

    def test_a_revocation_ends_sessions_and_outlives_the_server(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        data = pathlib.Path(folder.name) / "data"
        server = self.start(data=data)
        old = wire.token(ADA, "phone", iat=int(time.time()) - 60)
        ada = self.login(server, ADA, "phone", token=old)
        self.assertEqual(self.done("--json", "token", "list"), "")
        revoked = self.json("token", "revoke", ADA)
        self.assertEqual((revoked["user"], revoked["sessions_ended"]), (ADA, 1))
        self.assertEqual(ada.error().name, "TokenInvalid")
        server.stop()
        server = self.start(data=data)
        with server.connect() as refused:
            refused.send(wire.hello(ADA, "phone", token=old))
            self.assertEqual(refused.error().name, "TokenInvalid")
        self.assertEqual(self.json("token", "list"), {"user": ADA, "revoked_before_ms": revoked["revoked_before_ms"]})
        self.assertIn(" UTC\n", self.done("token", "list"))
        self.login(server, ADA, "phone", token=wire.token(ADA, "phone", iat=revoked["revoked_before_ms"] // 1000))
        self.refused(1, "no user eve", "--data", self.data, "token", "revoke", "eve")

    def test_drain(self):
        server = self.start()
        ada = self.login(server, ADA)
        self.assertEqual(self.json("drain", "--wait"), {"drain": "ended"})
        self.assertEqual(server.process.wait(10), 0)
        ada.until("Goaway")
        server = self.start()
        self.assertEqual(self.done("drain"), "draining\n")
        self.assertEqual(server.process.wait(15), 0)


def wire_metric(text: str, name: str) -> float:
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.split("{")[0].split(" ")[0] == name)


if __name__ == "__main__":
    unittest.main()
