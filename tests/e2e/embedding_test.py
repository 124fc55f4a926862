#!/usr/bin/python3
"""The README's bot, built in a project of its own as the README says, answers two people through a real server."""
import pathlib
import re
import signal
import subprocess
import sys

from harness import BIN, ROOT, Device, Server, require, run, wait_until

PROJECT = """cmake_minimum_required(VERSION 3.25)
project(bot LANGUAGES C CXX)
add_subdirectory({source} perch)
add_executable(bot main.cc)
target_link_libraries(bot client)
"""


def source_of_bot(server, token):
    chapter = (ROOT / "README.md").read_text().split("## Embedding the client")[1]
    code = re.search(r"```cpp\n(.*?)```", chapter, re.S)[1]
    for written, meant in (("127.0.0.1:7110", server.address), ("the JWT your backend minted", token)):
        require(code.count(written) == 1, f"README.md's bot has no {written}")
        code = code.replace(written, meant)
    return code


def build_bot(code):
    """In the build folder, where the next run finds what this one has built."""
    folder = pathlib.Path(BIN).parent / "embedding"
    folder.mkdir(exist_ok=True)
    for name, text in (("CMakeLists.txt", PROJECT.format(source=ROOT)), ("main.cc", code)):
        (folder / name).write_text(text)
    for command in (["cmake", "-G", "Ninja", "-S", folder, "-B", folder / "build", "-DCMAKE_BUILD_TYPE=Release"],
                    ["cmake", "--build", folder / "build", "--target", "bot"]):
        done = subprocess.run(command, capture_output=True, text=True)
        require(done.returncode == 0, f"{' '.join(map(str, command))}: {done.stdout[-3000:]}{done.stderr[-2000:]}")
    return folder / "build/bot"


def bot_answers(folder):
    server = Server(folder + "/server")
    server.start()
    bot = build_bot(source_of_bot(server, server.token("bot", "first")))
    process = subprocess.Popen([bot], cwd=folder)
    people = [Device(server, name, "phone", folder) for name in ("alice", "bob")]
    try:
        wait_until(lambda: server.metric("perch_sessions") == 1, 10, "the bot does not log in")
        for person in people:
            person.talk("bot")
            person.say("hello")
        wait_until(lambda: all(len(person.inbox()) == 1 for person in people), 20, "the bot does not answer")
        for person in people:
            body = person.inbox()[0][-1]
            require(bytes(body) == b"I am a bot.", f"the bot answers {body!r}")
    finally:
        for person in people:
            person.leave()
        process.send_signal(signal.SIGTERM)
        process.wait(10)
    require(server.drain() == 0, "perchd did not end cleanly")
    return "the README's bot builds in a project of its own and answers"


if __name__ == "__main__":
    sys.exit(run(bot_answers))
