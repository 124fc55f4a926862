#!/usr/bin/python3
"""The demo holds with the built binaries, and its check would notice if it did not."""
import pathlib
import re
import sqlite3
import subprocess
import sys
import tempfile
import unittest

from harness import BIN, ROOT

sys.path.insert(0, str(ROOT / "tools" / "demo"))
import play  # noqa: E402  (found through the path above)


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


class DemoTest(unittest.TestCase):
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
        for what in ("receives", "killed with SIGKILL", "the server is back", "speaks into the outbox"):
            self.assertIn(what, done.stdout)


if __name__ == "__main__":
    unittest.main()
