#!/usr/bin/python3
"""The dashboard and the alert rules ask only for what a running perchd has: every metric, label and value. And every
alert has its page in docs/operating.md, and every page there its alert. promtool_test.py asks Prometheus itself."""
import re
import subprocess
import unittest

import prometheus_text
import wire
from harness import BIN
from monitoring_files import GUIDE, alerts, asked, dashboard_expressions, labels_of_result, panels

FROM_PROMETHEUS = {"instance", "job"}  # labels that the scrape adds


class Monitoring(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        server = wire.Perchd("--accounts-auto", "--reactors", "2", log=subprocess.DEVNULL)
        try:
            text = subprocess.run([BIN / "perchd", "--metrics", "--data", server.folder / "data"], check=True,
                                  capture_output=True, text=True).stdout
        finally:
            server.stop()
        cls.values: dict[str, dict[str, set[str]]] = {}  # metric, label: its values
        for series in prometheus_text.read(text):
            name, _, labels = series.partition("{")
            known = cls.values.setdefault(name, {})
            for label, value in re.findall(r'(\w+)="([^"]*)"', labels):
                known.setdefault(label, set()).add(value)

    def problems(self, expression: str) -> list[str]:
        out, known = [], set(FROM_PROMETHEUS)
        for name, matchers in asked(expression):
            if name not in self.values:
                out.append(f"{name}: perchd has no such metric")
                continue
            known |= set(self.values[name])
            for label, wanted in matchers:
                if label in FROM_PROMETHEUS:
                    continue
                out += [f'{name}{{{label}="{value}"}}: perchd never says so' for value in wanted
                        if value not in self.values[name].get(label, set())]
        out += [f"{label}: no metric of {expression} has this label" for label in labels_of_result(expression) - known]
        return out

    def test_alert_rules_ask_for_what_there_is(self):
        self.assertGreaterEqual(len(alerts()), 10)
        for name, alert in alerts().items():
            self.assertEqual(self.problems(alert["expr"]), [], name)

    def test_dashboard_asks_for_what_there_is(self):
        expressions = dashboard_expressions()
        self.assertGreaterEqual(len(expressions), 30)
        for expression in expressions:
            self.assertTrue(asked(expression), expression)
            self.assertEqual(self.problems(expression), [], expression)

    def test_legends_name_labels_of_the_result(self):
        for panel in panels():
            for target in panel["targets"]:
                named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
                self.assertLessEqual(named, labels_of_result(target["expr"]) | FROM_PROMETHEUS, panel["title"])

    def test_what_is_wrong_is_found(self):
        for expression in ("rate(perch_messages_token_total[5m])", 'perch_held_total{reason="bussy"}',
                           'perch_held_total{code="busy"}', 'perch_held_total{reason=~"busy|bussy"}',
                           "sum by (code) (perch_held_total)", "perch_store_commit_seconds"):
            self.assertEqual(len(self.problems(expression)), 1, expression)

    def test_every_alert_has_its_page_and_every_page_its_alert(self):
        pages = re.findall(r"^### (Perch\w+)$", GUIDE.read_text(), re.M)
        self.assertEqual(pages, list(alerts()))  # in the order of the rules, once each
        for name, alert in alerts().items():
            self.assertEqual(alert["runbook"], f"docs/operating.md#{name.lower()}")

    def test_a_page_says_what_it_means_where_to_look_and_what_to_do(self):
        for page in re.split(r"^### (?=Perch)", GUIDE.read_text(), flags=re.M)[1:]:
            page = re.split(r"^## ", page, flags=re.M)[0]
            self.assertEqual(re.findall(r"^\*\*(.+?)\*\*", page, re.M), ["Means.", "Look.", "Do."], page.splitlines()[0])


if __name__ == "__main__":
    unittest.main(verbosity=2)
