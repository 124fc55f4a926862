#!/usr/bin/python3
"""Prometheus's own opinion, by promtool: of the names, types and help of a running perchd's metrics, of the alert rules,
of every expression of the dashboard, and whether each alert fires when it should (tests/monitoring)."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import wire
from harness import BIN
from monitoring_files import ROOT, RULES, alerts, dashboard_expressions

FETCHED = ROOT / "build/promtool/usr/bin/promtool"  # tools/test puts it there
PROMTOOL = os.environ.get("PROMTOOL") or shutil.which("promtool") or (str(FETCHED) if FETCHED.exists() else None)
RULES_TEST = ROOT / "tests/monitoring/perch.rules_test.yml"


class Promtool(unittest.TestCase):
    def run_it(self, *args, **options) -> subprocess.CompletedProcess:
        return subprocess.run([PROMTOOL, *map(str, args)], capture_output=True, text=True, timeout=120, **options)

    def agrees(self, *args, **options) -> str:
        done = self.run_it(*args, **options)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def test_metrics(self):
        server = wire.Perchd("--accounts-auto", log=subprocess.DEVNULL)
        self.addCleanup(server.stop)
        text = subprocess.run([BIN / "perchd", "--metrics", "--data", server.folder / "data"], check=True,
                              capture_output=True, text=True).stdout
        self.assertEqual(self.agrees("check", "metrics", input=text), "")
        for wrong in (text.replace("perch_logins_total", "perch_logins"), text.replace("_seconds", "_milliseconds"),
                      re.sub("# HELP perch_sessions .*\n", "", text)):
            self.assertNotEqual(self.run_it("check", "metrics", input=wrong).returncode, 0)

    def test_rules(self):
        self.assertIn(f"{len(alerts())} rules found", self.agrees("check", "rules", RULES))

    def test_expressions_of_the_dashboard(self):
        expressions = dashboard_expressions()
        rules = "groups:\n  - name: dashboard\n    rules:\n" + "".join(
            f"      - record: dashboard:{i}\n        expr: '{text}'\n" for i, text in enumerate(expressions))
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            file.write(rules.replace("dashboard:", "dashboard:e"))
            file.flush()
            self.assertIn(f"{len(expressions)} rules found", self.agrees("check", "rules", file.name))

    def test_alerts_fire_when_they_should(self):
        test = RULES_TEST.read_text()
        for name in alerts():
            cases = re.findall(rf"^ +(?:- \{{.*)?alertname: {name}\b(.*\n.*exp_alerts)?", test, re.M)
            self.assertTrue(any(cases), f"{name}: nothing shows that it fires")
            self.assertFalse(all(cases), f"{name}: nothing shows that it does not fire")
        with tempfile.TemporaryDirectory() as folder:
            for file in (RULES, RULES_TEST):
                shutil.copy(file, folder)
            self.assertIn("SUCCESS", self.agrees("test", "rules", RULES_TEST.name, cwd=folder))
            rules = pathlib.Path(folder) / RULES.name
            rules.write_text(rules.read_text().replace("> 10\n", "> 12\n", 1))
            self.assertIn("PerchStuck", self.run_it("test", "rules", RULES_TEST.name, cwd=folder).stderr)


if __name__ == "__main__":
    if PROMTOOL is None:
        print("no promtool: install Debian's package prometheus, or name one in PROMTOOL; tools/test fetches it itself")
        sys.exit(77)
    unittest.main(verbosity=2)
