"""What packaging/ says to Prometheus and Grafana: its expressions, and what each asks of a server."""
import json
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = ROOT / "packaging/prometheus/perch.rules.yml"
DASHBOARD = ROOT / "packaging/grafana/perch.json"
GUIDE = ROOT / "docs/operating.md"

SELECTOR = re.compile(r"\b(perch_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)(=~|=)"([^"]*)"')


def alerts() -> dict[str, dict[str, str]]:
    """Name: its expr and runbook. Each has a line of its own; promtool_test.py has Prometheus itself read the file."""
    found: dict[str, dict[str, str]] = {}
    for line in RULES.read_text().splitlines():
        if match := re.fullmatch(r"      - alert: (\w+)", line):
            found[match[1]] = current = {}
        elif match := re.fullmatch(r" +(expr|runbook): (.+)", line):
            assert match[1] not in current, line
            current[match[1]] = match[2]
    return found


def panels() -> list[dict]:
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def dashboard_expressions() -> list[str]:
    """As Grafana asks them, its variables filled in."""
    dashboard = json.loads(DASHBOARD.read_text())
    texts = [target["expr"] for panel in panels() for target in panel["targets"]]
    texts += [re.sub(r"label_values\((\w+), \w+\)", r"\1", variable["query"]["query"])
              for variable in dashboard["templating"]["list"] if variable["type"] == "query"]
    return [text.replace("$__rate_interval", "5m").replace("$instance", ".+") for text in texts]


def asked(expression: str) -> list[tuple[str, list[tuple[str, list[str]]]]]:
    """Each metric of an expression, with the labels it is chosen by and the values that are wanted."""
    return [(name, [(label, value.split("|") if kind == "=~" else [value])
                    for label, kind, value in MATCHER.findall(matchers)])
            for name, matchers in SELECTOR.findall(expression)]


def labels_of_result(expression: str) -> set[str]:
    return {label.strip() for by in re.findall(r"\bby \(([^)]*)\)", expression) for label in by.split(",")}
