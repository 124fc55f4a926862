#!/usr/bin/python3
"""examples/, copied out of the tree and built as a project that embeds Perch builds: with an installed copy by
find_package and by pkg-config alone, and with the source by add_subdirectory. Then they talk."""
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import sys

from harness import BIN, ROOT, Device, Installed, Server, check, do, require, run, settled, spawn, wait_until

# Kept between runs: only what has changed is built again.
SUBDIRECTORY = BIN.parent / "embedding"
CMAKELISTS = f"""cmake_minimum_required(VERSION 3.25)
project(bot CXX)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
add_subdirectory({ROOT} perch)
add_executable(bot bot.cc)
target_link_libraries(bot Perch::perch)
"""
STATIC = """
add_executable(bot_static bot.cc)
target_link_libraries(bot_static PRIVATE Perch::perch_static)
"""


def check_readme():
    section = (ROOT / "README.md").read_text().split("\n## Embedding the client\n")[1].split("\n## ")[0]
    program = section.split("```cpp\n")[1].split("```")[0]
    require(program in (ROOT / "examples/bot.cc").read_text(), "README.md has another bot than examples/bot.cc")
    lines = len((ROOT / "examples/chat.cc").read_text().splitlines())
    require(lines <= 60, f"the minimal chat has {lines} lines")


def write_if_changed(path, text):
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def build_with_subdirectory():
    SUBDIRECTORY.mkdir(exist_ok=True)
    write_if_changed(SUBDIRECTORY / "CMakeLists.txt", CMAKELISTS)
    write_if_changed(SUBDIRECTORY / "bot.cc", (ROOT / "examples/bot.cc").read_text())
    # Not optimised and few large units: a third of the time. Who embeds Perch chooses that, not Perch.
    do("cmake", "-G", "Ninja", "-DCMAKE_UNITY_BUILD=ON", "-S", SUBDIRECTORY, "-B", SUBDIRECTORY / "build")
    do("cmake", "--build", SUBDIRECTORY / "build", "--target", "bot")
    commands = json.loads((SUBDIRECTORY / "build/compile_commands.json").read_text())
    bot = next(entry["command"] for entry in commands if "/bot.dir/" in entry["command"])
    require(" -W" not in bot and " -fno" not in bot, f"Perch's own flags reach who embeds it: {bot}")
    linked = do("ldd", SUBDIRECTORY / "build/bot")
    for foreign in ("liburing", "libcrypto", "libssl", "libfmt"):
        require(foreign not in linked, f"who embeds Perch gets {foreign}: {linked}")
    return SUBDIRECTORY / "build/bot"


def build_with_package(folder, installed):
    """bot_static, chat and bridge; the last two by pkg-config alone."""
    project = folder / "examples"
    shutil.copytree(ROOT / "examples", project)
    with open(project / "CMakeLists.txt", "a") as file:
        file.write(STATIC)
    do("cmake", "-G", "Ninja", "-S", project, "-B", folder / "cmake", f"-DCMAKE_PREFIX_PATH={installed.prefix}")
    do("cmake", "--build", folder / "cmake")
    strict = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror"]
    flags = installed.flags()
    do("c++", "-std=c++20", *strict, project / "chat.cc", "-o", folder / "chat", *flags)
    do("cc", "-std=c11", "-D_POSIX_C_SOURCE=200809L", *strict, project / "bridge.c", "-o", folder / "bridge", *flags)
    return {**{name: folder / "cmake" / name for name in ("bot", "bot_static")},
            **{name: folder / name for name in ("chat", "bridge")}}


class Example(Device):
    """A device whose profile an example keeps, which does nothing about SIGTERM."""
    STATUSES = (-signal.SIGTERM,)

    def start_example(self, program, *args):
        environment = dict(os.environ, PERCH_TOKEN=self.token_file.read_text())
        with open(self.profile / "perch.log", "ab") as log:
            self.process = spawn([program, *args], cwd=self.profile, env=environment, stdin=subprocess.PIPE, stdout=log,
                                 stderr=log, text=True)

    def told(self):
        return (self.profile / "perch.log").read_text()


class Bot(Example):
    """Its profile is the folder `bot` where it was started."""

    def start_bot(self, program):
        self.start_example(program, self.server.address)
        (self.profile / "bot").mkdir(exist_ok=True)

    def query(self, sql):
        outer, self.profile = self.profile, self.profile / "bot"
        try:
            return super().query(sql)
        finally:
            self.profile = outer


def bots_answer(server, folder, programs):
    """Devices of one user answer, and do not answer each other."""
    alice = Device(server, "alice", "phone", folder)
    bots = [Bot(server, "bot", f"bot{number}", folder) for number in range(len(programs))]
    try:
        for bot, program in zip(bots, programs):
            bot.start_bot(program)
        wait_until(lambda: all(bot.identity()[1] for bot in bots), 10, "the bots did not log in")
        for asked in (1, 2):
            alice.leave()
            alice.send("bot", f"question {asked}")
            alice.listen()
            wait_until(lambda: (alice.profile / "perch.log").read_text().count("I am a bot.") >= len(bots) * asked, 10,
                       f"answers to question {asked}: {len(alice.inbox())}")
            # Each device has seen the others' answers, which it must not answer.
            wait_until(lambda: all(len(bot.inbox()) >= len(bots) * asked for bot in bots), 10, "an answer is missing")
        wait_until(lambda: not check([alice, *bots])[1], 10, "not settled")
        require([len(bot.outbox()) for bot in bots] == [2] * len(bots),
                f"{[len(bot.outbox()) for bot in bots]} answers, not 2 of each")
    finally:
        for device in (alice, *bots):
            device.leave()
    require({row[7] for row in alice.inbox()} == {b"I am a bot."}, f"answers: {alice.inbox()}")


def bridge_passes(server, folder, program):
    """Every line of a pipe arrives once, in order; an unfinished last one too, and what is longer than a buffer."""
    carol, bridge = Device(server, "carol", "phone", folder), Example(server, "log", "bridge", folder)
    lost = Example(server, "log", "lost", folder)
    lines = [f"line {number}" for number in range(200)] + ["x" * 65000, "", "the last one, without an end"]
    try:
        carol.listen()
        wait_until(lambda: carol.identity()[1], 10, "carol did not log in")
        bridge.start_example(program, ".", server.address, "carol")
        bridge.process.stdin.write("\n".join(lines))
        bridge.process.stdin.close()
        status = bridge.process.wait(timeout=60)
        bridge.process = None
        require(status == 0, f"the bridge ended with status {status}: {bridge.told()}")
        settled([carol, bridge])
        require([row[7].decode() for row in carol.inbox()] == [line for line in lines if line], "other lines came")
        # What it cannot send it says.
        bridge.start_example(program, ".", server.address, "nobody-has-this-handle")
        bridge.process.stdin.write("lost\n")
        bridge.process.stdin.close()
        status = bridge.process.wait(timeout=60)
        bridge.process = None
        require(status == 1, f"the bridge ended with status {status} although its line was rejected")
        # What it no longer knows the fate of it does not call delivered.
        lost.start_example(program, ".", "127.0.0.1:1", "carol")
        lost.process.stdin.write("line\n")
        lost.process.stdin.close()
        wait_until(lambda: len(lost.outbox()) == 1, 10, f"nothing is queued: {lost.told()}")
        with sqlite3.connect(lost.profile / "profile.db") as profile:
            profile.execute("DELETE FROM outbox")
        status = lost.process.wait(timeout=60)
        lost.process = None
        require(status == 1 and "no state of a line: not found" in lost.told(), f"status {status}: {lost.told()}")
    finally:
        for device in (carol, bridge, lost):
            device.leave()


def chat_talks(server, folder, program):
    """Lines, messages and ticks; and what is typed while there is no server arrives later."""
    dave, erin = Device(server, "dave", "phone", folder), Example(server, "erin", "chat", folder)
    try:
        dave.listen()
        wait_until(lambda: dave.identity()[1], 10, "dave did not log in")
        erin.start_example(program, ".", server.address, "dave")
        wait_until(lambda: "* online as erin" in erin.told(), 10, f"the chat does not come online: {erin.told()}")
        erin.process.stdin.write("hello dave\n")
        erin.process.stdin.flush()
        wait_until(lambda: "✓✓: hello dave" in erin.told(), 10, f"no second tick: {erin.told()}")
        dave.leave()
        dave.send("erin", "hello\x1b[2Jerin")
        wait_until(lambda: "dave: hello [2Jerin" in erin.told(), 10, f"the answer is not shown: {erin.told()}")
        server.kill()
        erin.process.stdin.write("are you there?\n")
        erin.process.stdin.flush()
        wait_until(lambda: "queued: are you there?" in erin.told(), 10, f"not queued: {erin.told()}")
        server.start()
        wait_until(lambda: "✓: are you there?" in erin.told(), 30, f"no tick after the server came back: {erin.told()}")
        dave.listen()
        settled([dave, erin])
    finally:
        dave.leave()
        erin.leave()


def talk(folder):
    check_readme()
    folder = pathlib.Path(folder)
    subdirectory = build_with_subdirectory()
    built = build_with_package(folder, Installed(folder / "installed", "library", "dev"))
    server = Server(folder / "server")
    server.start()
    try:
        bots_answer(server, folder, [subdirectory, built["bot"], built["bot_static"]])
        bridge_passes(server, folder, built["bridge"])
        chat_talks(server, folder, built["chat"])
    finally:
        server.kill()
    return "the examples, built in four ways, answer, pass on and chat"


if __name__ == "__main__":
    sys.exit(run(talk))
