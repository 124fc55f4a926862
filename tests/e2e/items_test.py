#!/usr/bin/python3
"""reply, edit, delete, react, timer and profile as the users of perch meet them: exit statuses, what both see of it, and
the same as lines of a chat."""
import json
import pathlib
import sys
import unittest

from harness import wait_until
from perch_cli_test import DONE, NO_PROFILE, NOBODY, QUEUED, USAGE, Cli


class Items(Cli):
    def two(self, test):
        """Who know each other."""
        ann, bob = self.known(f"{test}_ann"), self.known(f"{test}_bob")
        for person, other in ((ann, bob), (bob, ann)):
            person.change(f"INSERT INTO handles VALUES ('{other.name}', {other.query('SELECT user FROM identity')[0][0]})")
        return ann, bob

    def test_the_handle_of_who_wrote_first_is_asked_for(self):
        ann, bob = self.known("first_ann"), self.known("first_bob")
        self.said(ann, "send", bob.name, "one", out="accepted")
        self.visit(bob, 1)
        self.said(bob, "react", ann.name, 1, "!", out="accepted")
        self.said(bob, "react", "first_nobody", 1, "!", status=USAGE, errors="^perch: no message 1 is here")

    def said(self, person, command, *args, status=DONE, out="", errors="", **more):
        done = person.perch(command, *args, **more)
        self.ended(done, status, out, errors)
        return done.stdout

    def history(self, person, peer):
        """Without the times in front."""
        return [line[17:] for line in self.said(person, "history", peer).splitlines()]

    def visit(self, person, num):
        """Comes online until so many messages are there and shown; what was shown now."""
        return person.visit(lambda: person.query(
            "SELECT count(*), max(arrival) = (SELECT value + 0 FROM settings WHERE name = 'seen') FROM inbox") == [(num, 1)])

    def test_both_see_what_was_said_about_a_message(self):
        ann, bob = self.two("both")
        self.said(ann, "send", bob.name, "one", out="^✓ accepted$")
        self.visit(bob, 1)
        self.said(bob, "reply", ann.name, 1, "two", out="^✓ accepted$")
        self.said(bob, "react", ann.name, 2, "👍", out="^✓ accepted$")
        told = self.visit(ann, 2)
        self.assertIn(f'{bob.name}: (to "one") two', told)
        self.assertIn(f'* {bob.name} reacted 👍 to "one"', told)
        self.said(ann, "edit", bob.name, 2, "uno", out="^✓ accepted$")
        self.said(ann, "react", bob.name, 1, "!", out="^✓ accepted$")
        self.said(ann, "react", bob.name, 1, "", out="^✓ accepted$")
        told = self.visit(bob, 4)
        self.assertIn(f"* {ann.name} edited a message: uno", told)
        self.assertIn(f'* {ann.name} took back a reaction to "two"', told)
        self.assertEqual(self.history(ann, bob.name)[0].split("  ")[0], f"you: uno (edited) [👍 {bob.name}]")
        self.assertEqual(self.history(ann, bob.name)[1], f'{bob.name}: (to "uno") two')
        self.assertEqual(self.history(bob, ann.name)[0], f"{ann.name}: uno (edited) [👍 you]")
        first = json.loads(self.said(bob, "history", "--json", ann.name).splitlines()[0])
        self.assertEqual((first["body"], first["edited"], first["shown"]), ("uno", True, "text"))
        self.assertEqual(first["reactions"], [{"user": first["reactions"][0]["user"], "emoji": "👍"}])
        self.said(ann, "delete", bob.name, first["id"], out="^✓ accepted$")
        self.assertEqual(bob.query("SELECT count(*) FROM inbox WHERE gone = 1"), [(0,)])
        told = self.visit(bob, 5)
        self.assertIn(f"* {ann.name} deleted a message", told)
        for person, peer in ((ann, bob), (bob, ann)):
            lines = self.history(person, peer.name)
            self.assertIn("[deleted]", lines[0])
            self.assertIn("(to [deleted]) two", lines[1])
            self.assertEqual(self.said(person, "search", "uno"), "")
            for path in pathlib.Path(person.profile).glob("profile.db*"):
                self.assertNotIn(b"uno", path.read_bytes(), path)

    def test_what_cannot_be_said(self):
        ann, bob = self.two("cannot")
        self.said(ann, "send", bob.name, "mine")
        self.visit(bob, 1)
        self.said(bob, "edit", ann.name, 1, "x", status=USAGE, errors="^perch: that cannot be said about message 1: not sent$")
        self.said(bob, "delete", ann.name, 1, status=USAGE, errors="cannot be said about message 1")
        self.said(bob, "react", ann.name, 2, "x", status=USAGE, errors="^perch: no message 2 is here")
        self.said(bob, "react", ann.name, "1.2.3.4", "x", status=USAGE, errors="^perch: no message 1.2.3.4 is here")
        self.said(bob, "reply", ann.name, "first", "x", status=USAGE, errors="^perch: first is neither a number nor the id")
        self.said(bob, "timer", ann.name, "soon", status=USAGE, errors="^perch: soon: such as 30s")
        self.said(bob, "profile", "--name", "x" * 65, status=USAGE, errors="64 bytes")
        self.said(bob, "profile", "--name", "x", ann.name, status=USAGE, errors="only one's own")
        self.assertEqual(bob.query("SELECT count(*) FROM outbox WHERE kind = 0"), [(0,)])
        nobody = self.person("cannot_nobody")
        self.said(nobody, "profile", token=False, server="", status=NO_PROFILE, errors="no profile there")
        self.said(nobody, "timer", "x", token=False, server="", status=NO_PROFILE, errors="no profile there")
        self.said(nobody, "send", "--wait", 0, bob.name, "x", server=NOBODY, status=QUEUED)
        self.said(nobody, "profile", "--name", "x", server=NOBODY, status=USAGE, errors="never been online")

    def test_offline_it_is_queued_and_what_was_never_sent_is_taken_back(self):
        ann, bob = self.two("offline")
        self.said(ann, "send", bob.name, "sent")
        self.said(ann, "edit", "--wait", 0, bob.name, 1, "changed", server=NOBODY, status=QUEUED, out="^queued: offline$")
        self.said(ann, "send", "--wait", 0, "offline_carol", "waits", server=NOBODY, status=QUEUED)
        self.said(ann, "edit", "--wait", 0, "offline_carol", 1, "waits longer", server=NOBODY, status=QUEUED)
        self.assertEqual(self.history(ann, "offline_carol"), ["you: waits longer  queued"])
        self.said(ann, "delete", "offline_carol", 1, server=NOBODY, out="^taken back: it was not sent yet$")
        self.assertEqual(self.history(ann, "offline_carol"), [])
        ann.visit(lambda: ann.query("SELECT count(*) FROM outbox WHERE open = 1") == [(0,)])
        self.visit(bob, 2)
        self.assertEqual(self.history(bob, ann.name), [f"{ann.name}: changed (edited)"])

    def test_messages_disappear_after_they_were_read(self):
        ann, bob = self.two("timer")
        self.said(ann, "timer", bob.name, "1s", out="accepted")
        self.assertEqual(self.said(ann, "timer", bob.name), "1 s\n")
        self.said(ann, "send", bob.name, "only for a second", out="accepted")
        told = self.visit(bob, 2)
        self.assertIn(f"* {ann.name} let messages disappear 1 s after they are read", told)
        self.assertEqual(len(self.history(bob, ann.name)), 1, "nobody has read it")
        wait_until(lambda: self.history(ann, bob.name) == [], 20, "it does not disappear where it was sent")
        chat = bob.start("chat", ann.name)  # reads it
        wait_until(lambda: bob.query("SELECT count(*) FROM inbox WHERE gone = 2") == [(1,)], 20, "it does not disappear")
        bob.stop(chat)
        self.assertEqual(self.history(bob, ann.name), [])
        for path in pathlib.Path(bob.profile).glob("profile.db*"):
            self.assertNotIn(b"only for a second", path.read_bytes(), path)

    def test_a_profile_is_told_to_whom_one_writes(self):
        ann, bob = self.two("profile")
        self.said(ann, "profile", "--name", "Ann", "--about", "ann here", out="delivered")
        self.assertEqual(self.said(ann, "profile"), "name:  Ann\nabout: ann here\n")
        bob.visit()
        self.assertEqual(bob.query("SELECT count(*) FROM inbox"), [(0,)], "nobody has written to him")
        self.said(ann, "send", bob.name, "hello", out="accepted")
        told = self.visit(bob, 2)
        self.assertIn(f"* {ann.name} says to be Ann: ann here", told)
        self.assertEqual(json.loads(self.said(bob, "profile", "--json", ann.name)), {"name": "Ann", "about": "ann here"})
        self.said(ann, "profile", "--name", "Anne", out="accepted")
        self.visit(bob, 3)
        self.assertEqual(self.said(bob, "profile", ann.name), "name:  Anne\nabout: ann here\n")
        self.said(ann, "send", bob.name, "again", out="accepted")
        self.visit(bob, 4)

    def test_lines_of_a_chat(self):
        ann, bob = self.two("chat")
        self.said(bob, "send", ann.name, "from bob")
        lines = ("one", "/edit 1 uno", "/reply 2 an answer", "/react 3 👍", "/timer 1h", "/timer soon", "/edit 9 x", "two",
                 "/delete 1", "/elsewhere is a text", "//edit 1 is one too")
        self.visit(ann, 1)
        done = ann.perch("chat", bob.name, text="".join(line + "\n" for line in lines))
        self.assertEqual(done.returncode, USAGE, done)
        self.assertRegex(done.stdout, r"(?m)^  ✓  uno  \(about: one\)$")
        self.assertRegex(done.stderr, "(?m)^perch: /timer 30s, 5m")
        self.assertRegex(done.stderr, "no message 9 is here")
        self.assertRegex(done.stdout, r"(?m)^  ✓  timer: 1 h$")
        shown = [line.split("  ")[0] for line in self.history(ann, bob.name)]
        self.assertEqual(shown, [f"{bob.name}: from bob [👍 you]", "you: uno (edited)", 'you: (to "from bob") an answer',
                                 "you: [deleted]", "you: /elsewhere is a text", "you: /edit 1 is one too"])


if __name__ == "__main__":
    outcome = unittest.main(exit=False, verbosity=1).result
    bad = len(outcome.failures) + len(outcome.errors)
    print(f"{outcome.testsRun} uses of perch, {bad} failed", flush=True)
    sys.exit(bad != 0 or outcome.testsRun == 0)
