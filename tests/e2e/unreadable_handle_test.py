#!/usr/bin/python3
"""perch chat with somebody whose handle the server cannot read for a while: it says so, shows what others write
meanwhile, and goes on by itself when the server can. The server is a script: the real one reads what it has written."""
import socket
import subprocess
import tempfile
import threading
import unittest

import wire
from harness import BIN, spawn

ME, BOB, CAROL = 5, 7, 9
BUSY = next(code for code, name in wire.ERRORS.items() if name == "Busy")


class Scripted(wire.Connection):
    """The server's end of the one connection that comes to `listener`."""

    def __init__(self, listener):
        self.timeout = 20
        listener.settimeout(self.timeout)
        self.socket, _ = listener.accept()
        self.data = b""

    def welcome(self):
        self.until("Hello")
        self.send(wire.frame("Welcome", version=1, boot=1, session=1, incarnation=1, user=ME, device=1, window=64,
                             body_bytes_max=wire.BODY_BYTES_MAX, frame_bytes_max=wire.FRAME_BYTES_MAX, ping_ms=30_000))

    def deliver(self, author, seq, text):
        self.send(wire.frame("Message", route=dict(to=ME, from_=author, device=1, origin=author, seq=seq, number=seq * 1024,
                                                   time_ms=1), body=text))


class UnreadableHandle(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="perch-e2e-")
        self.addCleanup(self.folder.cleanup)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.listener.close)

    def start(self, *command):
        process = spawn([BIN / "perch", *command, "--profile", self.folder.name + "/me", "--token", "t",
                         "--server", f"127.0.0.1:{self.listener.getsockname()[1]}"],
                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        bound = threading.Timer(30, process.kill)  # nobody waits for a line for ever
        bound.start()

        def end():
            bound.cancel()
            process.kill()
            process.communicate()
        self.addCleanup(end)
        return process

    def test_a_chat_goes_on_without_it(self):
        chat = self.start("chat", "bob")
        with Scripted(self.listener) as server:
            server.welcome()
            self.assertIn("online as user", chat.stderr.readline())
            asked = server.until("Resolve", handle="bob")
            server.deliver(CAROL, 1, b"before")
            for _ in range(2):
                server.send(wire.frame("Error", code=BUSY, text="this handle cannot be read", retry_ms=50,
                                       request=asked.request))
                asked = server.until("Resolve", handle="bob")
            self.assertEqual(chat.stdout.readline(), f"{CAROL}: before\n")
            server.deliver(BOB, 1, b"meanwhile")
            self.assertEqual(chat.stdout.readline(), f"{BOB}: meanwhile\n")
            server.send(wire.frame("Resolved", request=asked.request, handle="bob", user=BOB))
            self.assertEqual(server.until("Read").route.to, BOB)  # what it has shown, now that it knows whose that was
            server.deliver(BOB, 2, b"after")
            self.assertEqual(chat.stdout.readline(), "bob: after\n")
            chat.terminate()
            _, errors = chat.communicate(timeout=20)
        self.assertEqual(errors.splitlines(), ["* the server is busy: this handle cannot be read"])  # once


if __name__ == "__main__":
    unittest.main()
