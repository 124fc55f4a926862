#!/usr/bin/python3
"""The full-screen `perch` in a real terminal: a first run, two people who chat, a server that goes and comes back, and
whatever else is done to it. Screens are compared with those in screens/."""
import os
import re
import signal
import subprocess
import sys
import time

from harness import BIN, Device, Server, require, run, spawn
from terminal import Terminal

HOSTILE = "\x1b]2;stolen\x07\x1b[2J\x1b[31mred\x9b5n \u202eturned"


def first_run(alice, folder, server):
    alice.line(f"perch --profile {folder}/alice")
    alice.is_screen("first_run", "Welcome")
    alice.line("nonsense")
    alice.line("not a token")
    alice.shows("a server is HOST:PORT")
    alice.keys("C-u")
    alice.line(server.address)
    alice.shows("does not let this device in")
    alice.keys("C-u")
    alice.paste(server.token("alice", "laptop") + "\n")
    alice.is_screen("token_pasted", "characters")
    alice.keys("Enter")
    alice.is_screen("nobody_yet", "online")


def talk(alice, bob, folder, server):
    alice.keys("C-t")
    alice.is_screen("to_whom", "to:")
    alice.line("@bob")
    alice.line("hello Bob")
    alice.is_screen("one_tick", r"hello Bob  ✓\n")
    bob.line(f"perch --profile {folder}/bob")
    bob.is_screen("unread", r"hello Bob +1 ")
    alice.shows(r"hello Bob  ✓✓\n")
    # Whose messages come in is known by a number until one has asked for the handle.
    bob.keys("C-t")
    bob.line("alice")
    alice.is_screen("read", "hello Bob  ✓✓ read")
    bob.line("hi! 😀 and 漢字 | wide")
    bob.line("👨\u200d👩\u200d👧 family | 🇩🇪 flag | ❤\ufe0f heart | e\u0301 accent")
    bob.paste("two lines\nin one message")
    bob.keys("Enter")
    bob.is_screen("bobs_side", "in one message  ✓✓ read")
    alice.is_screen("emoji", "in one message")


def edit(alice):
    alice.type("ab cd 漢👨\u200d👩\u200d👧x")
    alice.keys("Left", "BSpace")
    alice.shows("> ab cd 漢x")
    alice.keys("Home")
    alice.type("->")
    alice.keys("End", "C-w")
    alice.shows("> ->ab cd\n")
    alice.keys("M-Enter")
    alice.type("second line")
    alice.is_screen("two_lines_to_send", "second line")
    alice.keys("C-u", "BSpace", "C-u")
    alice.keys("Up")
    alice.shows("> hello Bob")
    alice.keys("C-u")


def lose_the_server(alice, bob, server):
    server.kill()
    alice.line("are you there?")
    alice.is_screen("offline", r"are you there\?  …", r"offline \(cannot connect\): trying again")
    server.start()
    alice.is_screen("back", r"are you there\?  ✓✓ read", "online")


def resize(alice):
    alice.resize(40, 12)
    alice.is_screen("narrow", "hello|there")
    alice.keys("F2")
    alice.is_screen("narrow_list", "Up, Down")
    alice.keys("Escape")
    alice.keys("F1")
    alice.shows("Enter\n")
    alice.keys("Escape")
    alice.resize(20, 6)
    alice.shows("perch: this terminal")
    alice.resize(80, 24)
    alice.is_screen("back", r"are you there\?")


def say_more(alice, bob):
    """About what was said: another text for it, an emoji, an answer, and that it is gone."""
    alice.keys("C-s")
    alice.shows("a: answer")
    alice.type("e")
    alice.shows(r"edit: are you there\?")
    alice.keys("C-u")
    alice.line("are you here again?")
    bob.shows(r"are you here again\?  edited")
    bob.keys("C-s")
    bob.type("r")
    bob.shows("react:")
    bob.line("🎉")
    alice.shows("🎉\n")
    bob.keys("C-s")
    bob.type("a")
    bob.shows("answer:")
    bob.line("as if nothing had been")
    bob.line("a slip")
    alice.shows("a slip")
    bob.shows("a slip  ✓✓ read")
    bob.keys("C-s")
    bob.type("d")
    bob.is_screen("delete", "for everyone")
    bob.type("y")
    alice.is_screen("said_about", "▏are you here", "deleted")
    alice.keys("C-y")
    alice.line("soon")
    alice.shows("soon is no time")
    alice.keys("C-y")
    alice.line("1h")
    alice.shows("disappear 1 h after")
    alice.line("not for long")
    bob.shows("not for long  gone in 1 h")
    bob.keys("C-y")
    bob.line("off")
    bob.shows("messages stay")


def scroll_and_search(alice, bob):
    for i in range(40):
        bob.line(f"line {i} of many")
    alice.shows("line 39 of many")
    alice.keys("PageUp")
    alice.shows("more below")
    bob.line("the latest")
    alice.keys("PageUp", "PageUp", "PageUp")
    alice.is_screen("scrolled", "hello Bob")
    alice.keys("C-f")
    alice.line("line 7")
    alice.is_screen("found", "1 message with")
    alice.keys("Enter")
    alice.shows("line 7 of many")
    require("the latest" not in alice.text().split("│", 2)[2], "the end is shown, not what was found")
    alice.keys("Escape")
    alice.shows("│ HH:MM bob  the latest")
    alice.keys("F1")
    alice.is_screen("help", "Shift-Tab")
    alice.keys("Escape")


def be_attacked(alice, bob_device):
    title = alice.value("#{pane_title}")
    bob_device.send("alice", HOSTILE)
    alice.is_screen("hostile", "turned")
    require(alice.value("#{pane_title}") == title, "a peer has set the terminal's title")


def perch_of(terminal):
    """The process that runs in the terminal's shell."""
    shell = terminal.value("#{pane_pid}")
    children = open(f"/proc/{shell}/task/{shell}/children", encoding="ascii").read().split()
    require(len(children) == 1, f"the shell has the processes {children}")
    return int(children[0])


def be_ended(terminal, folder, how, expected):
    """Whatever ends it, the shell has its terminal back."""
    terminal.line(f"clear; perch --profile {folder}/alice; echo status $?")
    terminal.shows("F1 help|Up, Down")
    how(terminal)
    terminal.shows(f"status {expected}")
    require(terminal.value("#{alternate_on}") == "0", "the shell is on the other screen")
    terminal.line("clear; stty")
    terminal.shows("speed")
    require(not re.search(r"-icanon|-echo\b|-isig|-opost", terminal.text()), f"{terminal.text()}")


def be_stopped(alice):
    alice.keys("C-z")
    alice.shows("Stopped")
    require(alice.value("#{alternate_on}") == "0", "the shell is on the other screen")
    alice.line("clear; fg")
    alice.shows("F1 help|Up, Down")
    os.kill(perch_of(alice), signal.SIGSTOP)
    alice.shows("Stopped")
    alice.line("clear; fg")
    alice.shows("F1 help|Up, Down")


def be_dumb(folder):
    profile = ["--profile", f"{folder}/alice"]
    for environment in ({"TERM": "dumb"}, {}):
        done = subprocess.run([BIN / "perch", *profile], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              env=os.environ | environment)
        require(done.returncode == 2 and "perch --help" in done.stderr, f"{done}")
    terminal = Terminal(folder, "dumb")
    try:
        terminal.line(f"TERM=dumb perch {' '.join(profile)}; echo status $?")
        terminal.shows("status 2")
    finally:
        terminal.end()


def screens(folder):
    server = Server(folder + "/server")
    server.start()
    alice, bob = Terminal(folder, "alice"), Terminal(folder, "bob")
    try:
        for name in ("bob", "carol"):
            token = server.token(name, "phone")
            subprocess.run([BIN / "perch", "login", "--profile", f"{folder}/{name}", "--server", server.address, "--token",
                            token], check=True, capture_output=True)
        first_run(alice, folder, server)
        talk(alice, bob, folder, server)
        edit(alice)
        lose_the_server(alice, bob, server)
        resize(alice)
        say_more(alice, bob)
        be_attacked(alice, Device(server, "bob", "tablet", folder))
        scroll_and_search(alice, bob)
        be_stopped(alice)
        alice.keys("C-c")
        alice.wait(lambda: alice.value("#{alternate_on}") == "0", "Ctrl-C does not leave")
        be_ended(alice, folder, lambda it: it.keys("C-c"), 0)
        be_ended(alice, folder, lambda it: os.kill(perch_of(it), signal.SIGTERM), 0)
        be_ended(alice, folder, lambda it: os.kill(perch_of(it), signal.SIGABRT), 128 + signal.SIGABRT)
        be_dumb(folder)
    finally:
        alice.end()
        bob.end()
    require(server.drain() == 0, "perchd did not end cleanly")
    return "two people chatted in two terminals"


if __name__ == "__main__":
    sys.exit(run(screens))
