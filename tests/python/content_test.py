#!/usr/bin/python3
"""What messages contain in the Python client: items as bytes, and a conversation as it stands (PROTOCOL.md §10)."""
import pathlib
import random
import re
import sys
import tempfile
import unittest

from perch_client import content, conversation
from perch_client.content import Item, MessageId
from perch_client.storage import InboxRow, Insert, Storage

ME, BOB, EVE, MY_DEVICE = 5, 7, 8, 2
BOB_ORIGIN = (1 << 63) + 1
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TARGET = MessageId(BOB, 1, BOB_ORIGIN, 5)
ITEMS = (Item("text", "hello"), Item("text", "café\n👍", target=TARGET, timer_s=60), Item("text", "x" * 64_512),
         Item("edit", "better", target=TARGET), Item("delete", target=TARGET), Item("reaction", "👍", target=TARGET),
         Item("reaction", target=TARGET), Item("timer", timer_s=3600), Item("timer"), Item("profile", "Ada", "counts"),
         Item("profile"))


class ItemTest(unittest.TestCase):
    def test_comes_back_as_it_was(self):
        for item in ITEMS:
            self.assertEqual(content.decode(content.encode(item)), item)

    def test_reads_the_bytes_of_the_protocol(self):
        section = (ROOT / "PROTOCOL.md").read_text().split("## 10. ")[1]
        body = bytes.fromhex(re.search(r"```\n(.*?)```", section, re.S)[1])
        self.assertEqual(content.decode(body), Item("reaction", "👍", target=MessageId(1, 1, 0xa1b2c3d4e5f60718, 2)))

    def test_refuses_what_others_could_not_read(self):
        for item in (Item("text"), Item("text", "x" * 64_513), Item("text", "a\0"), Item("text", "\ud800"),
                     Item("text", "a", timer_s=31_536_001), Item("edit", "a"), Item("edit", target=TARGET), Item("delete"),
                     Item("reaction", "x" * 65, target=TARGET), Item("profile", "x" * 65), Item("profile", about="x" * 513),
                     Item("delete", target=TARGET._replace(user=0)), Item("delete", target=TARGET._replace(seq=1 << 63))):
            with self.assertRaises(content.Unreadable, msg=item):
                content.encode(item)

    def test_any_bytes_are_read_or_refused(self):
        choose, taken = random.Random(1), 0
        for _ in range(20_000):
            body = bytearray(content.encode(choose.choice((*ITEMS[:2], *ITEMS[3:]))))
            for _ in range(choose.randint(1, 4)):
                body[choose.randrange(len(body))] = choose.choice((choose.randrange(32), choose.randrange(256)))
            try:
                item = content.decode(bytes(body[:choose.choice((len(body), choose.randrange(len(body)))) or None]))
            except content.Unreadable:
                continue
            taken += 1
            if item.kind not in ("newer", "silent"):
                self.assertEqual(content.decode(content.encode(item)), item)
        self.assertGreater(taken, 500)


class ConversationTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="perch-python-")
        self.addCleanup(folder.cleanup)
        self.folder, self.now = pathlib.Path(folder.name), 1000.0
        self.storage = Storage(self.folder, wall=lambda: self.now)
        self.addCleanup(self.storage.close)
        with self.storage.transaction():
            self.storage.set_welcome(ME, MY_DEVICE, 1, False)

    def came(self, user, seq, number, what, peer=BOB):
        item = isinstance(what, Item)
        row = InboxRow(0, user, 1, BOB_ORIGIN, seq, peer if user == ME else user, number, 1, int(item),
                       content.encode(what) if item else what.encode())
        with self.storage.transaction():
            return self.storage.insert(row)[0]

    def sent(self, item):
        with self.storage.transaction():
            row = self.storage.row(self.storage.add_message(BOB, "", 1, content.encode(item)))
        return MessageId(ME, MY_DEVICE, row.origin, row.seq)

    def result(self, target, number, delivered=False):
        with self.storage.transaction():
            self.storage.on_outcome(target.origin, target.seq, number, 1, delivered)

    def shown(self, peer=BOB):
        return [(line.text if line.shown == "text" else f"({line.shown})") + "*" * line.edited +
                "".join(f" {user}{emoji}" for user, emoji in line.reactions)
                for line in conversation.lines(self.storage, peer)]

    def on_disk(self, text):
        return any(text.encode() in path.read_bytes() for path in self.folder.glob("profile.db*"))

    def one(self, seq):
        return MessageId(BOB, 1, BOB_ORIGIN, seq)

    def test_a_message_as_it_stands(self):
        self.came(BOB, 3, 30, Item("edit", "later", target=self.one(1)))  # before its target
        self.came(BOB, 2, 20, Item("edit", "earlier", target=self.one(1)))
        self.came(EVE, 1, 40, Item("edit", "not hers", target=self.one(1)))
        self.came(BOB, 1, 10, "one")
        mine = self.sent(Item("text", "two", target=self.one(1)))
        self.sent(Item("reaction", "+", target=self.one(1)))
        self.came(ME, 9, 50, Item("reaction", "!", target=self.one(1)))
        self.sent(Item("edit", "not mine", target=self.one(1)))
        self.assertEqual(self.shown(), ["later* 5+", "two"])
        self.assertEqual(conversation.lines(self.storage, BOB)[1].reply_to, self.one(1))
        self.came(BOB, 4, 60, Item("delete", target=mine))
        self.assertEqual(self.shown(), ["later* 5+", "two"])
        self.came(BOB, 5, 61, Item("delete", target=self.one(1)))
        self.assertEqual(self.shown(), ["(deleted)", "two"])
        self.assertEqual(self.shown(EVE), [])

    def test_what_is_deleted_is_no_more_on_the_disk(self):
        self.came(BOB, 1, 10, "a secret")
        self.came(BOB, 2, 20, Item("edit", "an edited secret", target=self.one(1)))
        self.came(BOB, 3, 30, Item("delete", target=self.one(1)))
        self.assertIs(self.came(BOB, 1, 10, "a secret"), Insert.KNOWN)
        self.assertIs(self.came(BOB, 4, 40, Item("edit", "a late secret", target=self.one(1))), Insert.KNOWN)
        mine = self.sent(Item("text", "owed"))
        self.sent(Item("delete", target=mine))
        self.assertEqual(self.storage.open_rows(0, 1)[0].body, content.encode(Item("text", "owed")))
        self.assertEqual(self.shown(), ["(deleted)", "(deleted)"])
        self.result(mine, 50)
        self.storage.scrub()
        self.assertTrue(self.on_disk("owed"), "a restored server may need it")
        self.result(mine, 50, True)
        self.storage.scrub()
        for text in ("secret", "owed"):
            self.assertFalse(self.on_disk(text), text)
        self.assertEqual(self.storage.unread(BOB), [(1, BOB_ORIGIN, 1)])

    def test_timers_end(self):
        self.came(BOB, 1, 10, Item("text", "for a minute", timer_s=60))
        self.now += 1000
        self.assertEqual(self.shown(), ["for a minute"])
        with self.storage.transaction():
            self.storage.on_read(ME, BOB, 1, BOB_ORIGIN, 1)
        mine = self.sent(Item("text", "mine", timer_s=60))
        self.now += 30
        self.result(mine, 20)
        self.assertEqual(self.shown(), ["for a minute", "mine"])
        self.assertEqual(self.storage.next_end(), self.now + 30)
        self.now += 30
        self.assertEqual(self.shown(), ["mine"])
        self.now += 30
        self.assertEqual(self.shown(), [])
        self.assertIsNone(self.storage.next_end())
        self.storage.scrub()
        self.assertFalse(self.on_disk("for a minute"))

    def test_the_last_setting_counts(self):
        self.came(BOB, 2, 20, Item("timer", timer_s=20))
        self.came(BOB, 1, 10, Item("timer", timer_s=10))
        self.came(BOB, 3, 30, Item("profile", "Bob"))
        self.assertEqual(conversation.last(self.storage, BOB, "timer").timer_s, 20)
        self.sent(Item("timer", timer_s=5))
        self.assertEqual(conversation.last(self.storage, BOB, "timer").timer_s, 5)
        self.assertEqual(conversation.last(self.storage, BOB, "profile", BOB).text, "Bob")
        self.assertIsNone(conversation.last(self.storage, BOB, "profile", ME))
        self.assertEqual(self.shown(), [])
        self.assertEqual(self.storage.unread(BOB), [])

    def test_what_cannot_be_read_is_shown_as_such(self):
        with self.storage.transaction():
            for seq, (kind, body) in enumerate(((1, b"no item"), (7, b"\x01")), 1):
                self.storage.insert(InboxRow(0, BOB, 1, BOB_ORIGIN, seq, BOB, seq, 1, kind, body))
        self.came(BOB, 3, 30, Item("edit", "x", target=self.one(1)))
        self.assertEqual(self.shown(), ["(unreadable)", "(bytes)"])


if __name__ == "__main__":
    program = unittest.main(exit=False, verbosity=1)
    print(f"{program.result.testsRun} tests, {len(program.result.failures) + len(program.result.errors)} failed")
    sys.exit(not program.result.wasSuccessful())
