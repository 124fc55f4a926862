#!/usr/bin/python3
"""Every probe that core/probe.h lists is in perchd with as many arguments, and no other; and its malloc is jemalloc's.

    tests/probes.py PERCHD
"""
import pathlib
import re
import subprocess
import sys

header = (pathlib.Path(__file__).resolve().parents[1] / "core/probe.h").read_text()
listed = {name: int(num) for num, name in re.findall(r"DTRACE_PROBE(\d)\(perch, (\w+)", header)}
notes = subprocess.run(["readelf", "-n", sys.argv[1]], check=True, capture_output=True, text=True).stdout
built: dict[str, set[int]] = {}
for name, arguments in re.findall(r"Provider: perch\n\s*Name: (\w+)\n.*\n\s*Arguments: ?(.*)", notes):
    built.setdefault(name, set()).add(len(arguments.split()))
wrong = [f"{name}: {num} arguments are listed, perchd has {sorted(built.get(name, set())) or 'no such probe'}"
         for name, num in listed.items() if built.get(name) != {num}]
wrong += [f"{name}: in perchd and not in core/probe.h" for name in built if name not in listed]
needed = subprocess.run(["readelf", "-d", sys.argv[1]], check=True, capture_output=True, text=True).stdout
if "libasan" not in needed and "libtsan" not in needed and "[libjemalloc." not in needed:
    wrong.append("perchd does not need libjemalloc")
print("\n".join(wrong) or f"{len(listed)} probes")
sys.exit(bool(wrong or not listed))
