#!/usr/bin/python3
"""The terminal client as its users meet it: every exit status and what it says with it, offline and online, with the
real binaries."""
import fcntl
import json
import os
import pathlib
import re
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

from harness import BIN, DELIVERED, Server, spawn, wait_until

DONE, NO_PROFILE, USAGE, QUEUED, REJECTED, REFUSED = range(6)
NOBODY = "127.0.0.1:9"  # a port that nothing listens on
HELD = r"^\* another process holds this profile's connection: waiting until it ends$"  # said by listen


class Person:
    """A profile and its token; perch() runs a command to its end, start() one that goes on."""

    def __init__(self, folder, server, name, device="phone", seconds=86400):
        self.name = name
        self.profile = pathlib.Path(folder) / f"{name}-{device}"
        self.token_file = pathlib.Path(folder) / f"{name}-{device}.token"
        self.token_file.write_text(server.token(name, device, seconds / 86400))
        self.server = server
        self.processes = []

    def command(self, command, *args, server=None, token=True):
        out = [BIN / "perch", command, "--profile", self.profile]
        if command not in ("history", "conversations", "search"):
            out += ["--server", server or self.server.address] if server != "" else []
            out += ["--token-file", self.token_file] if token else []
        return out + [str(arg) for arg in args]

    def perch(self, command, *args, text="", **more):
        return subprocess.run(self.command(command, *args, **more), input=text, capture_output=True, text=True,
                              timeout=60)

    def start(self, command, *args, **more):
        process = spawn(self.command(command, *args, **more), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                        stderr=subprocess.PIPE, text=True)
        self.processes.append(process)
        return process

    def visit(self, until=lambda: True):
        """Comes online, goes when `until`; what it was shown."""
        process = self.start("listen")
        line = process.stderr.readline()
        assert "online as user" in line, line
        wait_until(until, 20, f"{self.name} waited in vain")
        status, out, errors = self.stop(process)
        assert status == DONE, f"{status} {errors}"
        return out

    def query(self, sql):
        db = sqlite3.connect(self.profile / "profile.db", timeout=10)
        try:
            return db.execute(sql).fetchall()
        finally:
            db.close()

    def change(self, sql):
        db = sqlite3.connect(self.profile / "profile.db", timeout=10)
        with db:
            db.execute(sql)
        db.close()

    def stop(self, process, number=signal.SIGTERM):
        process.send_signal(number)
        out, errors = process.communicate(timeout=20)
        return process.returncode, out, errors


def took(process, number):
    """It has read all that was written to it, and no longer dies of that signal."""
    unread = fcntl.ioctl(process.stdin, termios.FIONREAD, bytes(4))
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    caught = int(re.search(r"^SigCgt:\s*(\w+)$", status, re.MULTILINE)[1], 16)
    return not any(unread) and caught >> (number - 1) & 1


class Cli(unittest.TestCase):
    flags = ()

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="perch-e2e-")
        cls.server = Server(cls.folder.name + "/server", cls.flags)
        cls.server.start()

    @classmethod
    def tearDownClass(cls):
        try:
            assert cls.server.drain() == 0, "perchd did not drain"
        finally:
            cls.server.process.stdout.close()
            cls.folder.cleanup()

    def setUp(self):
        self.people = []

    def tearDown(self):
        for person in self.people:
            for process in person.processes:
                if process.poll() is None:
                    process.kill()
                process.communicate()

    def person(self, name, device="phone", **more):
        out = Person(tempfile.mkdtemp(dir=self.folder.name), self.server, name, device, **more)
        self.people.append(out)
        return out

    def known(self, name):
        """Somebody who has logged in once."""
        out = self.person(name)
        out.visit()
        return out

    def ended(self, done, status, out="", errors=""):
        """The exit status, and a pattern for each of both outputs."""
        self.assertEqual(done.returncode, status, done)
        for pattern, text in ((out, done.stdout), (errors, done.stderr)):
            self.assertTrue(re.search(pattern, text, re.MULTILINE), f"no {pattern!r} in {done}")
        if status in (NO_PROFILE, USAGE, REFUSED):
            self.assertRegex(done.stdout + done.stderr, r"\A[^\n]*\n\Z", "one line says it")


class Online(Cli):
    def test_accepted_then_delivered(self):
        self.known("bob")
        alice = self.person("alice")
        self.ended(alice.perch("send", "bob", "to", "nobody", "yet"), DONE, "^✓ accepted$")
        bob = self.people[0]
        got = bob.perch("listen", "--count", 1, "--json")
        self.ended(got, DONE)
        self.assertEqual(json.loads(got.stdout)["body"], "to nobody yet")
        listener = bob.start("listen", "--count", 1)
        self.assertIn("online as user", listener.stderr.readline())
        self.ended(alice.perch("send", "@bob", "now"), DONE, "^✓✓ delivered$")
        out, _ = listener.communicate(timeout=20)
        self.assertRegex(out, r"^\d{4}-\d\d-\d\d \d\d:\d\d \d+: now\n$")
        self.assertEqual(listener.returncode, DONE)

    def test_nothing_of_a_ticked_message_stays_in_the_servers_memory(self):
        self.known("bob4")
        self.ended(self.person("mona").perch("send", "bob4", "hello"), DONE, "accepted")
        wait_until(lambda: self.server.metric("perch_flights") == 0, 20, "the server keeps a result that was seen")

    def test_text_from_the_standard_input(self):
        bob, carol = self.known("bob2"), self.person("carol")
        self.ended(carol.perch("send", "bob2", "-", text="two\nlines"), DONE)
        got = bob.perch("listen", "--count", 1, "--json")
        self.assertEqual(json.loads(got.stdout)["body"], "two\nlines")

    def test_nobody_has_the_handle(self):
        self.ended(self.person("dave").perch("send", "no-such-handle", "hello"), REJECTED, "",
                   "^perch: rejected: no-such-handle: no such user$")

    def test_nobody_has_the_id(self):
        self.ended(self.person("dave").perch("send", "4711", "hello"), REJECTED, "", "rejected: 4711: no such user")

    def test_a_recipient_that_cannot_be(self):
        dave = self.person("dave")
        for to in ("0", "@", "x" * 65):
            self.ended(dave.perch("send", to, "hello"), USAGE, "", "^perch: no such recipient can be: not sent$")
        self.ended(dave.perch("send", "", "hello"), USAGE, "", "^perch: no recipient$")
        self.ended(dave.perch("send", "x" * 64, "hello"), REJECTED, "", "no such user")

    def test_too_long(self):
        dave = self.person("dave")
        self.ended(dave.perch("send", "bob", "-", text="x" * 65537), USAGE, "",
                   "^perch: the message is over 65536 bytes: not sent$")
        self.assertEqual(dave.query("SELECT count(*) FROM outbox"), [(0,)])

    def test_what_the_output_did_not_take_is_shown_again(self):
        """By listen and by chat, which must not say that it was read either; what was accepted stays accepted."""
        quin, rolf = self.known("quin"), self.person("rolf")
        self.ended(rolf.perch("send", "quin", "kept"), DONE)
        user = rolf.query("SELECT user FROM identity")[0][0]
        with open("/dev/full", "w") as full:
            for command in (("listen", "--count", 1), ("chat", user), ("history", user), ("listen", "--json")):
                lost = subprocess.run(quin.command(*command), stdin=subprocess.DEVNULL, stdout=full,
                                      stderr=subprocess.PIPE, text=True, timeout=60)
                self.assertEqual(lost.returncode, NO_PROFILE, lost)
                self.assertRegex(lost.stderr, "(?m)^perch: the standard output cannot be written$")
        self.assertEqual(quin.query("SELECT count(*) FROM outbox"), [(0,)])
        self.ended(quin.perch("listen", "--count", 1), DONE, "kept$")

    def test_what_is_no_text_is_not_printed_as_such(self):
        quentin, rosa = self.known("quentin"), self.person("rosa")
        self.ended(rosa.perch("send", "quentin", "\x01\x02\x03"), DONE)
        self.ended(quentin.perch("listen", "--count", 1), DONE, "���$")
        quentin.change("UPDATE inbox SET content = 2")  # as a later client would send it
        quentin.change("DELETE FROM settings WHERE name = 'seen'")
        rosa.change("UPDATE outbox SET content = 2")
        user = rosa.query("SELECT user FROM identity")[0][0]
        self.ended(quentin.perch("listen", "--count", 1), DONE, r": \[content 2, 3 bytes\]$")
        self.ended(quentin.perch("history", user), DONE, r": \[content 2, 3 bytes\]$")
        self.ended(quentin.perch("chat", user), DONE, r": \[content 2, 3 bytes\]$")
        self.ended(rosa.perch("history", "quentin"), DONE, r"you: \[content 2, 3 bytes\]  ✓")

    def test_not_everything_came_in_time(self):
        self.ended(self.person("erin").perch("listen", "--seconds", 0.5, "--count", 1), QUEUED)

    def test_forged_token(self):
        mallory = self.person("mallory")
        token = mallory.token_file.read_text()
        mallory.token_file.write_text(token[:-3] + ("AAA" if token[-3:] != "AAA" else "BBB"))
        self.ended(mallory.perch("listen"), REFUSED, "", "^perch: the token is not accepted")
        self.ended(mallory.perch("send", "bob", "kept"), REFUSED, "^queued: the token is not accepted")
        self.assertEqual(mallory.query("SELECT open, mark FROM outbox"), [(1, 0)])
        mallory.token_file.write_text(token)
        self.known("bob")
        self.ended(mallory.perch("send", "bob", "and this"), DONE)
        self.assertEqual([row[0] for row in mallory.query("SELECT open FROM outbox")], [0, 0])

    def test_expired_token(self):
        self.ended(self.person("frank", seconds=-10).perch("listen"), REFUSED, "", "^perch: the token is not accepted")

    def test_a_session_whose_token_expires(self):
        listener = self.person("frank2", seconds=3).start("listen")
        _, errors = listener.communicate(timeout=60)
        self.assertEqual(listener.returncode, REFUSED)
        self.assertRegex(errors.splitlines()[-1], "^perch: the token is not accepted")

    def test_another_login_takes_over(self):
        grace = self.person("grace")
        first = grace.start("listen")
        self.assertIn("online as user", first.stderr.readline())
        copy = self.person("grace")  # another profile under the same device name
        second = copy.start("listen")
        _, errors = first.communicate(timeout=20)
        self.assertEqual(first.returncode, REFUSED)
        self.assertRegex(errors, "perch: another login of this device took over")
        self.assertEqual(copy.stop(second)[0], DONE)

    def test_the_profile_of_another_user(self):
        heidi = self.known("heidi")
        heidi.token_file.write_text(self.server.token("ivan", "phone"))
        self.ended(heidi.perch("listen"), REFUSED, "", "^perch: the profile belongs to another user")

    def test_too_many_devices(self):
        for number in range(8):
            self.person("judy", f"device {number}").visit()
        self.ended(self.person("judy", "one more").perch("listen"), REFUSED, "", "the user has too many devices")

    def test_a_signal_is_an_orderly_end(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            person = self.person("kim")
            process = person.start("listen")
            self.assertIn("online as user", process.stderr.readline())
            self.assertEqual(person.stop(process, number)[0], DONE)

    def test_history(self):
        bob, leo = self.known("bob3"), self.person("leo")
        for text in ("one", "two", "three\x1b[2J"):
            self.ended(leo.perch("send", "bob3", text), DONE)
        self.ended(leo.perch("history", "bob3"), DONE, r"you: one  ✓\n.*you: two  ✓\n.*you: three�\[2J  ✓\n")
        got = leo.perch("history", "--limit", 1, "--json", "bob3")
        self.assertEqual([json.loads(line)["state"] for line in got.stdout.splitlines()], ["accepted"])
        self.ended(leo.perch("history", "stranger"), DONE, r"\A\Z")
        self.ended(bob.perch("listen", "--count", 3), DONE)
        leo.visit(lambda: leo.query("SELECT count(*) FROM outbox WHERE mark = 2") == [(3,)])
        self.ended(leo.perch("history", "bob3"), DONE, "you: one  ✓✓\n")

    def test_login(self):
        mia = self.person("mia")
        self.ended(mia.perch("login", "--wait", 0.5, server=NOBODY), QUEUED, "", r"^perch: not yet \(.*\); the profile keeps")
        self.ended(mia.perch("login"), DONE, rf"^online as user \d+ \(mia\), device 1; the profile is {mia.profile}$")
        self.ended(mia.perch("login", server="", token=False), DONE, "^online as user")  # it keeps both
        listen = mia.start("listen")
        listen.stderr.readline()
        self.ended(mia.perch("login"), QUEUED, "", "^perch: another process holds .*; the token is for when it ends$")
        mia.stop(listen)
        mia.token_file.write_text("no token")
        self.ended(mia.perch("login"), REFUSED, "", "^perch: the token is not accepted")

    def test_the_profile_of_who_names_none(self):
        lea = self.person("lea")
        home = lea.profile.parent
        for names, folder in (({"HOME": home}, ".local/share/perch"), ({"XDG_DATA_HOME": home / "data"}, "data/perch"),
                              ({"PERCH_PROFILE": home / "work"}, "work")):
            for command in (["login", "--server", self.server.address, "--token-file", lea.token_file], ["conversations"]):
                done = subprocess.run([BIN / "perch", *command], env=names, capture_output=True, text=True, timeout=60)
                self.ended(done, DONE)
            self.assertTrue((home / folder / "profile.db").exists(), folder)
        self.ended(subprocess.run([BIN / "perch", "conversations"], env={}, capture_output=True, text=True), USAGE, "",
                   "^perch: no home directory: give --profile$")

    def test_conversations(self):
        ida, jon = self.known("ida"), self.person("jon")
        self.ended(jon.perch("conversations"), NO_PROFILE, "", "no profile there")
        for text in ("first", "second\x1b[2J"):
            self.ended(jon.perch("send", "ida", text), DONE)
        jon.perch("send", "--wait", 0, "nobody_yet", "to nobody", server="127.0.0.1:1")
        self.ended(jon.perch("conversations", "--limit", 1), DONE, r"\Anobody_yet .* you: to nobody  queued\n\Z")
        self.ended(jon.perch("conversations"), DONE, r"\nida  .* you: second�\[2J  ✓\n\Z")
        self.ended(ida.perch("listen", "--count", 2), DONE)
        user = jon.query("SELECT user FROM identity")[0][0]
        self.ended(ida.perch("conversations"), DONE, rf"\A{user}  .* 2 unread  .*  second�\[2J\n\Z")
        got = json.loads(ida.perch("conversations", "--json").stdout)
        self.assertEqual((got["peer"], got["unread"], got["last"]["body"]), (user, 2, "second\x1b[2J"))
        self.ended(ida.perch("chat", "--wait", 1, user, text="I have read it\n"), DONE)
        jon.visit(lambda: jon.query("SELECT count(*) FROM inbox") == [(1,)])
        self.ended(ida.perch("conversations"), DONE, r" {11}  .* you: I have read it  ✓")
        self.ended(jon.perch("search", "SECOND"), DONE, r"\A[\d: -]+  you to ida: second�\[2J\n\Z")
        self.ended(jon.perch("search", "--limit", 1, "e"), DONE, rf"\A[\d: -]+  ida: I have read it\n\Z")
        self.ended(jon.perch("search", "--with", "nobody_yet", "e"), DONE, r"\A\Z")
        self.ended(ida.perch("search", "--json", "--with", user, "have", "read"), DONE, '"mine":true.*"body":"I have read it"')


class Chats(Cli):
    def test_a_line_is_of_its_handle_from_the_first(self):
        """The peer writes first, and this profile has never heard of the handle."""
        nina, olaf = self.person("nina"), self.known("olaf")
        chat = nina.start("chat", "olaf")
        self.assertIn("online as user", chat.stderr.readline())
        self.ended(olaf.perch("send", "nina", "first"), DONE, "delivered")
        self.assertEqual(chat.stdout.readline(), "olaf: first\n")
        self.ended(self.person("paul").perch("send", "nina", "from another"), DONE)
        self.assertRegex(chat.stdout.readline(), r"^\d+: from another\n$")
        chat.stdin.write("hi olaf\n")
        chat.stdin.close()
        chat.stdin = None
        self.assertRegex(chat.stdout.read(), "^  ✓  hi olaf\n$")
        self.assertEqual(chat.wait(20), DONE)

    def test_a_line_that_is_not_taken_is_told_by_the_status(self):
        paul = self.person("paul")
        self.ended(paul.perch("chat", "no-such-handle", text="hello\n"), REJECTED,
                   r"^  rejected \(no such user\)  hello$")
        self.known("pia")
        done = paul.perch("chat", "pia", text="x" * 65537 + "\nshort\n")
        self.assertEqual(done.returncode, USAGE, done)
        self.assertRegex(done.stderr, "the message is over 65536 bytes: not sent")
        self.assertIn("✓  short", done.stdout)

    def test_what_waited_comes_with_the_handle(self):
        nina, olaf = self.known("nina2"), self.known("olaf2")
        self.ended(olaf.perch("send", "nina2", "waiting"), DONE, "accepted")
        chat = nina.start("chat", "olaf2")
        self.assertEqual(chat.stdout.readline(), "olaf2: waiting\n")
        self.assertEqual(nina.stop(chat)[0], DONE)
        self.ended(olaf.perch("chat", "--wait", 5, "nina2", text="bye\n"), DONE, "  ✓  bye")

    def test_what_came_meanwhile_is_shown_before_it_is_read(self):
        """More than the lines of history that a chat begins with, and of another conversation too."""
        ada, ben, cleo = self.known("ada"), self.known("ben"), self.known("cleo")
        self.ended(ben.perch("chat", "ada", text="hello\n"), DONE)  # ada's handle is known from here on
        self.ended(cleo.perch("send", "ben", "from cleo"), DONE)
        lines = [f"line {number}" for number in range(15)]
        self.ended(ada.perch("chat", "ben", text="".join(line + "\n" for line in lines)), DONE)
        self.ended(ben.perch("listen", "--count", 16), DONE)
        ben.change("DELETE FROM settings WHERE name = 'seen'")  # as if it had been killed before it printed them
        chat = ben.start("chat", "ada")
        wait_until(lambda: ben.query("SELECT open FROM outbox WHERE kind = 1") == [(0,)], 20, "nothing was said to be read")
        status, shown, _ = ben.stop(chat)
        self.assertEqual(status, DONE)
        self.assertEqual(re.findall("^ada: line .*$", shown, re.MULTILINE), [f"ada: {line}" for line in lines])
        self.assertRegex(shown, r"(?m)^\d+: from cleo$")
        ada.visit(lambda: ada.query("SELECT mark, count(*) FROM outbox WHERE kind = 0 GROUP BY mark") == [(3, len(lines))])
        self.assertEqual(ben.visit(), "")

    def test_what_was_shown_before_a_crash_is_said_to_be_read_at_the_next_start(self):
        """A listen leaves what a chat does that was killed between showing messages and saying that they were read."""
        vic, walt = self.known("vic"), self.known("walt")
        self.ended(vic.perch("chat", "walt", text="one\ntwo\n"), DONE)
        self.ended(walt.perch("listen", "--count", 2), DONE)
        self.assertEqual(walt.query("SELECT count(*) FROM outbox"), [(0,)])
        chat = walt.start("chat", "vic", server=NOBODY)  # offline: the mark can only be for the handle once that is known
        self.assertIn("offline", chat.stderr.readline())
        self.assertEqual(walt.stop(chat)[0], DONE)
        self.assertEqual(walt.query("SELECT count(*) FROM outbox"), [(0,)])
        chat = walt.start("chat", "vic")
        wait_until(lambda: walt.query("SELECT open FROM outbox WHERE kind = 1") == [(0,)], 20, "nothing was said to be read")
        self.assertEqual(walt.stop(chat)[0], DONE)
        vic.visit(lambda: vic.query("SELECT mark FROM outbox WHERE kind = 0") == [(3,), (3,)])

    def test_typed_offline_sent_on_reconnect(self):
        rita, sam = self.known("rita"), self.known("sam")
        chat = rita.start("chat", "sam", server=NOBODY)
        self.assertIn("offline", chat.stderr.readline())
        chat.stdin.write("first\nsecond\n")
        chat.stdin.flush()
        self.assertEqual(chat.stderr.readline(), "* queued: first\n")
        self.assertEqual(chat.stderr.readline(), "* queued: second\n")
        self.assertEqual(rita.stop(chat)[0], QUEUED)
        self.ended(rita.perch("chat", "sam", text="third\n"), DONE, "✓  first.*\n.*✓  second.*\n.*✓  third")
        got = sam.perch("listen", "--count", 3, "--json")
        self.assertEqual([json.loads(line)["body"] for line in got.stdout.splitlines()], ["first", "second", "third"])

    def test_it_goes_on_over_restarts_of_the_server(self):
        tom, uma = self.known("tom"), self.person("uma")
        listener = tom.start("listen", "--json")
        chat = uma.start("chat", "tom")
        for text in ("before", "between", "after"):
            chat.stdin.write(text + "\n")
            chat.stdin.flush()
            wait_until(lambda: (text.encode(),) in tom.query("SELECT CAST(body AS BLOB) FROM inbox"), 60,
                       f"{text} never came")
            if text != "after":
                self.server.kill()
                time.sleep(0.5)
                self.server.process.stdout.close()
                self.server.start()
        self.assertEqual(uma.stop(chat)[0], DONE)
        status, out, _ = tom.stop(listener)
        self.assertEqual(status, DONE)
        self.assertEqual([json.loads(line)["body"] for line in out.splitlines()], ["before", "between", "after"])
        self.assertEqual(uma.query("SELECT open, mark FROM outbox"), [(0, DELIVERED)] * 3)


class TakeOver(Cli):
    def test_send_goes_on_when_the_owner_ends(self):
        self.known("yves")
        zoe = self.person("zoe")
        owner = zoe.start("chat", "yves", server=NOBODY)
        self.assertIn("offline", owner.stderr.readline())
        waiting = zoe.start("send", "--wait", 30, "yves", "by myself then")
        wait_until(lambda: zoe.query("SELECT count(*) FROM outbox") == [(1,)], 20, "never queued")
        zoe.stop(owner)
        self.assertEqual(waiting.communicate(timeout=40)[0], "✓ accepted\n")
        self.assertEqual(waiting.returncode, DONE)


    def test_listen_goes_on_when_the_owner_ends(self):
        """The chat that took over while listen was away has the connection as long as it runs; each message is shown
        by the one that has it."""
        anna, bert = self.known("anna"), self.known("bert")
        chat = anna.start("chat", "bert")
        self.assertIn("online as user", chat.stderr.readline())
        listener = anna.start("listen", "--count", 1, "--json")
        self.assertRegex(listener.stderr.readline(), HELD)
        self.ended(bert.perch("send", "anna", "to the chat"), DONE, "delivered")
        self.assertRegex(chat.stdout.readline(), ": to the chat$")
        self.assertEqual(anna.stop(chat)[0], DONE)
        self.ended(bert.perch("send", "anna", "to the listener"), DONE)
        self.assertEqual(json.loads(listener.communicate(timeout=40)[0])["body"], "to the listener")
        self.assertEqual(listener.returncode, DONE)


class Full(Cli):
    flags = ("--connections-per-reactor", "1")

    def test_a_full_server(self):
        vera = self.person("vera")
        process = vera.start("listen")
        self.assertIn("online as user", process.stderr.readline())
        wanda = self.person("wanda")
        self.ended(wanda.perch("send", "--wait", 2, "vera", "hello"), QUEUED, "^queued: (no answer yet|offline)")
        self.assertEqual(vera.stop(process)[0], DONE)
        self.ended(wanda.perch("send", "--wait", 20, "vera", "hello again"), DONE)
        self.assertEqual([row[0] for row in wanda.query("SELECT open FROM outbox")], [0, 0])


class Offline(unittest.TestCase):
    """No server at all."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="perch-e2e-")
        self.server = Server(self.folder.name + "/server")
        self.person = Person(self.folder.name, self.server, "xena")
        self.perch = self.person.perch

    def tearDown(self):
        for process in self.person.processes:
            process.kill()
            process.communicate()
        self.folder.cleanup()

    ended = Cli.ended

    def test_send_says_that_it_is_offline(self):
        self.ended(self.perch("send", "--wait", 1, "bob", "kept", server=NOBODY), QUEUED, "^queued: offline, cannot connect$")
        self.ended(self.perch("history", "bob"), DONE, "you: kept  queued\n")

    def test_a_text_that_is_interrupted_is_not_sent(self):
        self.ended(self.perch("send", "--wait", 0, "bob", "-", text="whole", server=NOBODY), QUEUED)
        for number in (signal.SIGINT, signal.SIGTERM):
            for text in ("", "half ty"):
                send = self.person.start("send", "--wait", 0, "bob", "-", server=NOBODY)
                send.stdin.write(text)
                send.stdin.flush()
                wait_until(lambda: took(send, number), 20, "the text was never read")
                status, out, errors = self.person.stop(send, number)
                self.assertEqual((status, out, errors), (USAGE, "", "perch: interrupted: not sent\n"))
        self.assertEqual(self.person.query("SELECT count(*) FROM outbox"), [(1,)])

    def test_a_text_that_cannot_be_read_is_not_sent(self):
        self.ended(self.perch("send", "--wait", 0, "bob", "-", text="whole", server=NOBODY), QUEUED)
        folder = os.open("/", os.O_RDONLY)
        for stdin, why in ((folder, "Is a directory"), (None, "Bad file descriptor")):
            command = self.person.command("send", "--wait", 0, "bob", "-", server=NOBODY)
            close = ["sh", "-c", 'exec "$@" <&-', "sh"] if stdin is None else []
            done = subprocess.run([*close, *command], stdin=stdin, capture_output=True, text=True, timeout=60)
            self.ended(done, NO_PROFILE, "", f"^perch: the standard input cannot be read: {why}: not sent$")
        os.close(folder)
        self.assertEqual(self.person.query("SELECT count(*) FROM outbox"), [(1,)])

    def test_a_line_that_an_error_cuts_short_is_not_sent(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            ours = socket.create_connection(listener.getsockname())
            theirs, _ = listener.accept()
        chat = spawn(self.person.command("chat", "--wait", 0, "bob", server=NOBODY), stdin=theirs,
                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.person.processes.append(chat)
        theirs.close()
        ours.sendall(b"whole\nhalf")
        while (said := chat.stderr.readline()) != "* queued: whole\n":
            self.assertIn("offline", said)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        ours.close()  # by a reset
        self.assertEqual(chat.wait(20), QUEUED)
        self.assertEqual(self.person.query("SELECT CAST(body AS TEXT) FROM outbox"), [("whole",)])

    def test_the_server_and_the_token_are_remembered(self):
        self.ended(self.perch("send", "--wait", 0, "bob", "kept", server=NOBODY), QUEUED)
        self.ended(self.perch("send", "--wait", 0, "bob", "kept too", server="", token=False), QUEUED)

    def test_no_server_known(self):
        self.ended(self.perch("send", "bob", "hi", server=""), USAGE, "", "^perch: no usable server address")
        for address in ("nonsense", "host:", ":1", "host:0", "host:70000"):
            self.ended(self.perch("send", "bob", "hi", server=address), USAGE, "", "^perch: no usable server address")

    def test_usage(self):
        for args in ((), ("send",), ("send", "bob"), ("dance",), ("listen", "--seconds", "x"), ("history", "--limit", "0", "b")):
            done = subprocess.run([BIN / "perch", *args], capture_output=True, text=True)
            self.assertEqual(done.returncode, USAGE, done)
            self.assertRegex(done.stderr, "^perch: .+\n$")
        done = subprocess.run([BIN / "perch", "--help"], capture_output=True, text=True)
        self.assertEqual(done.returncode, DONE)
        self.assertIn("Exit status: 0 done", done.stdout)

    def test_token_files(self):
        self.person.token_file.write_text("\n")
        self.ended(self.perch("send", "bob", "hi"), USAGE, "", "^perch: --token-file .*: is empty$")
        self.person.token_file.unlink()
        self.ended(self.perch("send", "bob", "hi"), USAGE, "", "^perch: --token-file .*: cannot be read$")

    def test_no_profile(self):
        self.ended(self.perch("history", "bob"), NO_PROFILE, "", "^perch: .*: no profile there$")
        self.person.profile.write_text("a file, not a folder")
        self.ended(self.perch("send", "bob", "hi", server=NOBODY), NO_PROFILE, "", "Not a directory$")

    def test_a_profile_of_a_newer_version(self):
        self.perch("send", "--wait", 0, "bob", "kept", server=NOBODY)
        self.person.query("PRAGMA user_version=9")
        for command in (("send", "bob", "hi"), ("listen",), ("chat", "bob"), ("history", "bob")):
            self.ended(self.perch(*command), NO_PROFILE, "", "^perch: .*: written by a newer perch$")

    def test_a_corrupt_profile(self):
        self.perch("send", "--wait", 0, "bob", "kept", server=NOBODY)
        for end in ("-wal", "-shm"):
            (self.person.profile / f"profile.db{end}").unlink(missing_ok=True)
        (self.person.profile / "profile.db").write_bytes(b"no database at all " * 1000)
        self.ended(self.perch("send", "bob", "hi"), NO_PROFILE, "", "^perch: .*: cannot be opened: corrupt$")

    def test_a_profile_that_cannot_be_read(self):
        self.perch("send", "--wait", 0, "bob", "kept", server=NOBODY)
        self.person.change("ALTER TABLE inbox RENAME TO gone")
        for command in (("listen",), ("chat", "bob"), ("history", "bob")):
            self.ended(self.perch(*command, server=NOBODY), NO_PROFILE, r"\A\Z", "^perch: .*: cannot be read or written: corrupt$")

    def test_a_profile_that_another_process_holds(self):
        chat = self.person.start("chat", "bob", server=NOBODY)
        self.assertIn("offline", chat.stderr.readline())
        self.ended(self.perch("listen", "--seconds", 0.5, server=NOBODY), DONE, r"\A\Z", HELD)
        self.ended(self.perch("listen", "--seconds", 0.5, "--count", 1, server=NOBODY), QUEUED, r"\A\Z", HELD)
        self.ended(self.perch("send", "--wait", 0, "bob", "through the other one", server=NOBODY), QUEUED,
                   "^queued: another process holds this profile's connection and will send it$")
        status, _, _ = self.person.stop(chat)
        self.assertEqual(status, DONE, "it wrote nothing itself")
        self.assertEqual(self.person.query("SELECT open FROM outbox"), [(1,)])


if __name__ == "__main__":
    outcome = unittest.main(exit=False, verbosity=2).result
    bad = len(outcome.failures) + len(outcome.errors)
    sys.stderr.flush()
    print(f"{outcome.testsRun} uses of perch, {bad} failed", flush=True)
    sys.exit(bad != 0 or outcome.testsRun == 0)
