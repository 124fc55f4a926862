#!/usr/bin/python3
"""The programs of docs/integration.md, those whose language this machine has: each mints a token, and it logs in."""
import pathlib
import re
import shutil
import subprocess
import sys

from harness import ROOT, Device, Server, require, run

# Of each language of the guide: the file that the program is written to, and how it is run.
RUNS = {"python": ("mint.py", ["python3"]), "javascript": ("mint.js", ["node"]), "java": ("Mint.java", ["java"]),
        "go": ("mint.go", ["go", "run"]), "php": ("mint.php", ["php"])}


def integration(folder):
    programs = dict(re.findall(r"```(\w+)\n(.*?)```", (ROOT / "docs/integration.md").read_text().split("## Minting")[1],
                               re.S))
    require(programs.keys() == RUNS.keys(), f"the guide has {sorted(programs)}")
    server = Server(folder + "/server")
    server.start()
    ran, missing = [], []
    for user, (language, text) in enumerate(programs.items(), start=1):
        name, command = RUNS[language]
        if shutil.which(command[0]) is None:
            missing.append(language)
            continue
        path = pathlib.Path(folder) / name
        path.write_text(text)
        device = Device(server, user, "phone", folder)
        done = subprocess.run([*command, path, server.secret, str(user), "phone"], capture_output=True, text=True, timeout=120)
        require(done.returncode == 0, f"{language}: {done.stderr}")
        device.token_file.write_text(done.stdout)
        sent = device.send(user, f"minted in {language}")
        require(sent.returncode == 0, f"{language}: {sent.stdout}{sent.stderr}")
        require(device.identity()[0] == user, f"{language}: logged in as {device.identity()}")
        ran.append(language)
    require("python" in ran, "not even Python's")
    require(server.drain() == 0, "perchd did not end cleanly")
    return f"tokens of {', '.join(ran)} log in" + (f"; not on this machine: {', '.join(missing)}" if missing else "")


if __name__ == "__main__":
    sys.exit(run(integration))
