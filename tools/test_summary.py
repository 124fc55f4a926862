#!/usr/bin/python3
"""What tools/test says at its end, from ctest's own account.

    tools/test_summary.py JUNIT_XML CTEST_STATUS
"""
import sys
import xml.etree.ElementTree as xml


def lines_of(case):
    return (case.findtext("system-out") or "").strip().splitlines() or ["it said nothing"]


def outcome(case):
    """passed, failed or skipped: only who asked for it is skipped. What could not be started has failed."""
    if case.get("status") == "run":
        return "passed"
    skipped = case.find("skipped")
    return "skipped" if skipped is not None and skipped.get("message", "").startswith("SKIP_") else "failed"


def why_skipped(case):
    lines = lines_of(case)
    for line, following in zip(lines, lines[1:]):
        if line.endswith(": Skipped"):  # GoogleTest says the reason in the middle of its output
            return following
    return lines[-1]


def main(path, ctest_status):
    """The exit status of tools/test."""
    cases = {"passed": [], "failed": [], "skipped": []}
    for case in sorted(xml.parse(path).getroot().iter("testcase"), key=lambda case: case.get("name")):
        cases[outcome(case)].append(case)
    for case in cases["passed"]:
        # A test that counted or measured says so in its last line; those of the units (Suite.Case) have nothing to add.
        if "." not in case.get("name") and case.findtext("system-out"):
            print(f"passed: {case.get('name')} in {float(case.get('time')):.0f} s: {lines_of(case)[-1]}")
    for case in cases["skipped"]:
        print(f"skipped: {case.get('name')} ({why_skipped(case)})")
    for case in cases["failed"]:
        print(f"failed: {case.get('name')}")
    passed, failed = len(cases["passed"]), len(cases["failed"])
    if ctest_status != 0 and failed == 0:
        print(f"failed: ctest itself (exit status {ctest_status})")
        failed = 1
    if passed + failed == 0:
        print("error: no test ran")
    print(f"{passed} passed, {failed} failed")
    return 0 if passed > 0 and failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
