#!/usr/bin/python3
"""README.md, "Embedding the client": its program, in a project of its own that takes Perch in as the README says, is
built, and answers on two devices of one user without answering itself."""
import json
import os
import signal
import subprocess
import sys

from harness import BIN, ROOT, Device, Server, check, require, run, spawn, wait_until

# Kept between runs: only what has changed is built again.
PROJECT = BIN.parent / "embedding"
CMAKELISTS = f"""cmake_minimum_required(VERSION 3.25)
project(bot CXX)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
add_subdirectory({ROOT} perch)
add_executable(bot bot.cc)
target_link_libraries(bot client)
"""
# What the README has in their place is an example.
LITERALS = {'"127.0.0.1:7110"': 'std::getenv("BOT_SERVER")', '"the JWT your backend minted"': 'std::getenv("BOT_TOKEN")'}


def readme_program():
    section = (ROOT / "README.md").read_text().split("\n## Embedding the client\n")[1].split("\n## ")[0]
    program = section.split("```cpp\n")[1].split("```")[0]
    for literal, value in LITERALS.items():
        require(program.count(literal) == 1, f"README.md: the program has {literal} {program.count(literal)} times")
        program = program.replace(literal, value)
    return "#include <cstdlib>\n" + program


def write_if_changed(path, text):
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def build():
    PROJECT.mkdir(exist_ok=True)
    write_if_changed(PROJECT / "CMakeLists.txt", CMAKELISTS)
    write_if_changed(PROJECT / "bot.cc", readme_program())
    for command in (["cmake", "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-S", PROJECT, "-B", PROJECT / "build"],
                    ["cmake", "--build", PROJECT / "build", "--target", "bot"]):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        require(done.returncode == 0, done.stdout)
    commands = json.loads((PROJECT / "build/compile_commands.json").read_text())
    bot = next(entry["command"] for entry in commands if entry["file"].endswith("/bot.cc"))
    require(" -W" not in bot and " -fno" not in bot, f"Perch's own flags reach who embeds it: {bot}")
    return PROJECT / "build/bot"


class Bot(Device):
    """A device whose profile the README's program keeps, which does nothing about SIGTERM."""
    STATUSES = (-signal.SIGTERM,)

    def start(self, program):
        with open(self.profile / "bot.log", "ab") as log:
            environment = dict(os.environ, BOT_SERVER=self.server.address, BOT_TOKEN=self.token_file.read_text())
            self.process = spawn([program], cwd=self.profile, env=environment, stdout=log, stderr=log)
        self.profile = self.profile / "bot"

    def _ended(self, status, what):
        return f"the README's program {what}, status {status}: {(self.profile.parent / 'bot.log').read_text()[-1000:]}"


def answers(folder):
    program = build()
    server = Server(folder + "/server")
    server.start()
    alice, bots = Device(server, "alice", "phone", folder), [Bot(server, "bot", name, folder) for name in ("one", "two")]
    try:
        for bot in bots:
            bot.start(program)
        wait_until(lambda: all(bot.identity()[1] for bot in bots), 10, "the bots did not log in")
        for asked in (1, 2):
            alice.leave()
            alice.send("bot", f"question {asked}")
            alice.listen()
            # Both devices answer, and each has seen the other's answers, which it must not answer.
            wait_until(lambda: (alice.profile / "perch.log").read_text().count("I am a bot.") >= 2 * asked, 10,
                       f"answers to question {asked}: {len(alice.inbox())}")
            wait_until(lambda: all(len(bot.inbox()) >= 2 * asked for bot in bots), 10, "a device lacks the other's answer")
        wait_until(lambda: not check([alice, *bots])[1], 10, "not settled")
        require([len(bot.outbox()) for bot in bots] == [2, 2], f"{[len(bot.outbox()) for bot in bots]} answers, not 2 and 2")
    finally:
        for device in (alice, *bots):
            device.leave()
    require({row[7] for row in alice.inbox()} == {b"I am a bot."}, f"answers: {alice.inbox()}")
    return "the README's program answers 2 questions on each of 2 devices"


if __name__ == "__main__":
    sys.exit(run(answers))
