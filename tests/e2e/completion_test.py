#!/usr/bin/python3
"""What bash completes after `perch`: every command and flag that the program has and no other, and whom one knows."""
import re
import subprocess
import sys

from harness import BIN, ROOT, Device, Server, require, run

COMMANDS = {"login", "send", "listen", "reply", "edit", "delete", "react", "timer", "profile", "chat", "history",
            "conversations", "search"}


def help_of(*command):
    return subprocess.run([BIN / "perch", *command, "--help"], check=True, capture_output=True, text=True).stdout


def completed(*words):
    """What a tab after these words offers; the last one is what is being typed."""
    script = f"""
        source '{ROOT}/packaging/completion/perch'
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _perch; printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script, "-", str(BIN / "perch"), *map(str, words)], check=True, capture_output=True,
                          text=True, timeout=20)
    require(not done.stderr, done.stderr)
    return set(done.stdout.split())


def completion(folder):
    named = set(re.findall(r"(?m)^  (\w+)  ", help_of().split("Subcommands:")[1]))
    require(named == COMMANDS, f"the program has the commands {sorted(named)}")
    require(completed("") == COMMANDS | {"--help", "--profile"}, f"{completed('')}")
    require(completed("l") == {"login", "listen"}, f"{completed('l')}")
    require(completed("c") == {"chat", "conversations"}, f"{completed('c')}")
    flags = 0
    for command in COMMANDS:
        has = set(re.findall(r"(?m)^  (?:-h,)?(--[\w-]+)", help_of(command)))
        offered = completed(command, "--")
        require(offered == has, f"{command}: completes {sorted(offered)}, has {sorted(has)}")
        flags += len(has)
    server = Server(folder + "/server")
    server.start()
    bob, ann = Device(server, "bob", "phone", folder), Device(server, "ann", "phone", folder)
    for sender, to in ((bob, "ann"), (ann, "bob")):  # one has to be the first, and nobody is there yet
        sender.send(to, "hello", wait=2)
    profile = bob.profile
    require("ann" in completed("send", "--profile", profile, ""), f"{completed('send', '--profile', profile, '')}")
    require(completed("chat", "--profile", profile, "a") == {"ann"}, "whom one knows")
    require(completed("chat", "--profile", profile, "b") == set(), "whom one does not know")
    require(completed("search", "--profile", profile, "--with", "a") == {"ann"}, "whom one knows, behind a flag")
    require(completed("react", "--profile", profile, "a") == {"ann"}, "whose conversation")
    require(completed("listen", "--profile", profile, "") == set(), "listen is for nobody")
    require(str(profile) in completed("listen", "--profile", str(profile)[:-1]), "a folder")
    require(server.drain() == 0, "perchd did not end cleanly")
    return f"{len(COMMANDS)} commands, {flags} flags and those one knows"


if __name__ == "__main__":
    sys.exit(run(completion))
