#!/usr/bin/python3
"""A backup put back (PROTOCOL.md 6), and the same one once more: the server says that it is one, what it lacks is sent
again, once, and no number is given to two messages."""
import shutil
import subprocess
import sys

from harness import BIN, DELIVERED, Device, Server, check, require, run, wait_until

STORE = ("journal", "tables")


def copy_store(source, target):
    for part in STORE:
        shutil.rmtree(target / part, ignore_errors=True)
        shutil.copytree(source / part, target / part)


def refused_start(server):
    done = subprocess.run([BIN / "perchd", "--data", server.folder / "data", "--listen", server.address,
                           "--secret-file", server.secret], capture_output=True, text=True, timeout=30)
    return done.returncode, done.stderr


def restored_backup(folder):
    server = Server(folder + "/server")
    data, backup = server.folder / "data", server.folder / "backup"
    backup.mkdir()
    server.start()
    a, b = Device(server, "alice", "phone", folder), Device(server, "bob", "phone", folder)
    a.talk("bob")
    b.listen()
    try:
        wait_until(lambda: a.identity()[1] and b.identity()[1], 10, "no login")
        b.leave()
        a.say("in the backup")
        wait_until(lambda: len(a.outbox()) == 1 and a.outbox()[0][4] == 1, 10, "no first tick")
        require(server.drain() == 0, "perchd did not end cleanly")
        copy_store(data, backup)
        server.start()
        a.say("after the backup")
        wait_until(lambda: len(a.outbox()) == 2 and a.outbox()[1][4] == 1, 20, "no first tick")
        # The same copy twice: what was given out after the first time is as unknown to it the second time.
        for messages in (3, 4):
            server.kill()
            copy_store(backup, data)
            status, said = refused_start(server)
            require(status == 2 and "--restored" in said, f"an old store was taken for the newest: {status} {said}")
            server.start("--restored")
            b.listen()
            wait_until(lambda: a.marks() == [DELIVERED] * (messages - 1), 30, "what the backup lacks was not sent again")
            a.say(f"message {messages}")
            wait_until(lambda: a.marks() == [DELIVERED] * messages, 30, "no second tick")
            b.leave()
            total, problems = check([a, b])
            require(not problems and total["messages"] == messages, f"{total} {problems[:3]}")
        require(server.drain() == 0, "perchd did not end cleanly")
        server.start()  # once is enough
        require(server.drain() == 0, "perchd did not end cleanly")
    finally:
        a.leave()
        b.leave()
    return "an old store is refused; put back twice with --restored, nothing is lost or there twice"


if __name__ == "__main__":
    sys.exit(run(restored_backup))
