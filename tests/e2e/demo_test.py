#!/usr/bin/python3
"""The demo holds with the built binaries, and its check would notice if it did not."""
import contextlib
import io
import pathlib
import re
import sqlite3
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

from harness import BIN, ROOT, spawn

sys.path.insert(0, str(ROOT / "tools" / "demo"))
import play  # noqa: E402  (found through the path above)


def contents(path: pathlib.Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""  # it has ended


class CheckTest(unittest.TestCase):
    """Play.check against databases that are wrong in one way each."""

    def totals(self, arrived: list[tuple[int, str]], mark: int = play.DELIVERED) -> play.Totals:
        """B's inbox has `arrived` (number, body) in that order; A composed one, two, three."""
        people = {}
        for user, name in enumerate("AB", start=1):
            person = play.Person(name, pathlib.Path("perch"), pathlib.Path("."))
            person.user = user
            person.database = sqlite3.connect(":memory:")
            self.addCleanup(person.database.close)
            person.database.executescript(
                "CREATE TABLE outbox (row INTEGER PRIMARY KEY, kind DEFAULT 0, mark, open DEFAULT 0);"
                "CREATE TABLE inbox (arrival INTEGER PRIMARY KEY, user, number, variant DEFAULT 0, body);")
            people[name] = person
        for number, body in arrived:
            people["B"].database.execute("INSERT INTO inbox (user, number, body) VALUES (1, ?, ?)",
                                         (number, body.encode()))
        people["A"].database.executemany("INSERT INTO outbox (mark) VALUES (?)", [(mark,)] * 3)
        checked = play.Play([], None, people, 0)
        checked.expected["A", "B"] = ["one", "two", "three"]
        checked.totals.sent = 3
        checked.check()
        return checked.totals

    def test_all_is_well(self):
        totals = self.totals([(1, "one"), (2, "two"), (3, "three")])
        self.assertEqual((totals.live, totals.lost, totals.duplicated, totals.out_of_order, totals.unticked),
                         (3, 0, 0, 0, 0))

    def test_lost(self):
        self.assertEqual(self.totals([(1, "one"), (3, "three")]).lost, 1)

    def test_duplicated(self):
        self.assertEqual(self.totals([(1, "one"), (2, "two"), (3, "three"), (4, "two")]).duplicated, 1)

    def test_changed_is_lost_and_too_much(self):
        totals = self.totals([(1, "one"), (2, "Two"), (3, "three")])
        self.assertEqual((totals.lost, totals.duplicated), (1, 1))

    def test_out_of_order(self):
        self.assertGreater(self.totals([(1, "one"), (3, "three"), (2, "two")]).out_of_order, 0)  # by arrival
        self.assertGreater(self.totals([(1, "one"), (3, "two"), (2, "three")]).out_of_order, 0)  # by number

    def test_without_ticks(self):
        self.assertEqual(self.totals([(1, "one"), (2, "two"), (3, "three")], play.ACCEPTED).unticked, 3)


class VerdictTest(unittest.TestCase):
    """What the check finds is what the player ends with."""

    def end_with(self, **wrong) -> tuple[int, str]:
        class Server:
            address, process = "", mock.Mock(returncode=0)

            def __init__(self, *_): pass
            def start(self): pass
            def stop(self): pass
            def num_stored(self): return 0

        def check(played):
            for name, value in wrong.items():
                setattr(played.totals, name, value)

        said = io.StringIO()
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(said), \
                mock.patch.object(sys, "argv", ["play.py", "--bin", "bin", "--data", folder]), \
                mock.patch.multiple(play, Server=Server, Person=mock.Mock()), \
                mock.patch.multiple(play.Play, run=lambda _: None, settle=lambda _: None, check=check):
            return play.main(), said.getvalue()

    def test_held(self):
        status, said = self.end_with(sent=5)
        self.assertEqual(status, 0)
        self.assertIn("The promise held.", said)

    def test_not_held(self):
        for wrong in ("lost", "duplicated", "out_of_order", "unticked"):
            status, said = self.end_with(sent=5, **{wrong: 1})
            self.assertEqual(status, 1, wrong)
            self.assertIn("THE PROMISE DID NOT HOLD", said)


class DemoTest(unittest.TestCase):
    def test_one_that_is_stopped_leaves_nothing_running(self):
        with tempfile.TemporaryDirectory() as folder:
            playing = spawn(["/usr/bin/python3", ROOT / "tools/demo/play.py", "--bin", BIN, "--data", folder],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for line in playing.stdout:  # as it is said, though this is a pipe
                if line.startswith("==="):
                    break
            playing.terminate()
            _, said = playing.communicate(timeout=60)
            self.assertEqual((playing.returncode, said), (130, "stopped before the end: nothing was checked\n"))
            running = [path.parent.name for path in pathlib.Path("/proc").glob("[0-9]*/cmdline")
                       if folder.encode() in contents(path)]
            self.assertEqual(running, [])

    def test_demo_holds(self):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                ["/usr/bin/python3", ROOT / "tools/demo/play.py", "--bin", BIN, "--data", folder,
                 "--reactors", "2"],
                capture_output=True, text=True, timeout=400)
        self.assertEqual(done.returncode, 0, done.stdout[-3000:] + done.stderr)
        self.assertIn("The promise held.", done.stdout)
        figures = {name: int(value) for name, value in re.findall(r"^    (\w[\w ]+\w)  +(\d+)", done.stdout, re.M)}
        # The receptions that the play announces waited on the server's disk, every one.
        waited = sum(map(int, re.findall(r"receives (\d+) messages that waited", done.stdout)))
        self.assertGreaterEqual(figures["stored and handed over"], waited)
        self.assertGreater(waited, 0)
        self.assertGreater(figures["forwarded live"], 0)
        self.assertGreater(figures["sent from outboxes"], 0)
        for tick in ("✓ ", "✓✓ ", "… "):
            self.assertIn(f"      {tick}", done.stdout)
        for what in ("receives", "killed with SIGKILL", "the server is back", "speaks into the outbox"):
            self.assertIn(what, done.stdout)


if __name__ == "__main__":
    unittest.main()
