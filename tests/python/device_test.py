#!/usr/bin/python3
"""The Python client's Device against a scripted server: what it sends, commits and tells, and when."""
import importlib
import pathlib
import random
import sqlite3
import sys
import tempfile
import unittest

from perch_client import device as device_module
from perch_client import wire
from perch_client.device import Changed, Device, Offline, Online, Received, State, Stopped, Unreadable
from perch_client.storage import Insert, InUse, Mark, Storage
from server import ME, MY_DEVICE, PEER, PEER_ORIGIN, frame, message, read, welcome

INFINITY = float("inf")


class DeviceTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="perch-python-")
        self.addCleanup(folder.cleanup)
        self.profile = pathlib.Path(folder.name) / "profile"
        self.now = 1000.0
        self.told = []
        self.open()

    def open(self):
        self.storage = Storage(self.profile)
        self.addCleanup(self.storage.close)
        self.device = Device(self.storage, "token", lambda: self.now, self.told.append, random.Random(1))

    def reopen(self):
        self.storage.close()
        self.open()

    def taken(self) -> list[tuple[str, bytes]]:
        """(kind, frame) of what the device has written since the last time."""
        frames = list(wire.Framer().feed(bytes(self.device.output)))
        self.device.output.clear()
        return [(wire.parse(one).kind, one) for one in frames]

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.taken()]

    def sent(self) -> list[tuple[int, bytes]]:
        """(seq, body) of the messages it has written."""
        frames = [wire.parse(one) for kind, one in self.taken() if kind == "Message"]
        return [(one.route.seq, one.body) for one in frames]

    def feed(self, *frames: bytes):
        self.device.received(b"".join(frames))

    def log_in(self, **fields):
        self.device.connected()
        self.assertEqual(self.kinds(), ["Hello"])
        self.feed(welcome(**fields))
        self.assertIs(self.device.state, State.ONLINE)

    def again(self, **fields):
        self.device.disconnected()
        self.log_in(**fields)

    def events(self, kind) -> list:
        return [event for event in self.told if isinstance(event, kind)]

    def outcome(self, seq: int, number: int, tick: int = 1) -> bytes:
        return frame("Outcome", origin=self.storage.origin, seq=seq, number=number, time_ms=9, tick=tick)

    def mark(self, row: int) -> Mark:
        return self.storage.row(row).mark

    @staticmethod
    def fields(one: bytes):
        """A client's own frame: its table and its route."""
        module = importlib.import_module
        root = module("perch.wire.Frame").Frame.GetRootAs(one, 4)
        kind = wire.parse(one).kind
        table = getattr(module(f"perch.wire.{kind}"), kind)()
        table.Init(root.Payload().Bytes, root.Payload().Pos)
        return table, root.Route()

    def count(self) -> list[int]:
        """What its Confirms say."""
        return [self.fields(one)[0].Count() for kind, one in self.taken() if kind == "Confirm"]

    def fail_commits(self):
        """From here on no transaction is committed, as with a full disk."""
        self.storage._db.set_authorizer(
            lambda action, what, *_: sqlite3.SQLITE_DENY if (action, what) == (sqlite3.SQLITE_TRANSACTION, "COMMIT")
            else sqlite3.SQLITE_OK)

    # ---- receiving ------------------------------------------------------------------------------------------

    def test_one_confirm_for_what_one_read_brought(self):
        self.log_in()
        self.feed(message(1, 1024, b"a"), message(2, 2048, b"b"),
                  frame("Receipt", peer=PEER, device=MY_DEVICE, origin=1, first=0, up_to=1))
        self.assertEqual(self.count(), [3])
        self.feed(frame("Pong", nonce=1))
        self.assertEqual(self.count(), [])
        self.again()
        self.taken()
        self.feed(message(2, 2048, b"b"))
        self.assertEqual(self.count(), [1], "counts start again with the session")
        self.assertEqual([row.body for row in self.storage.inbox()], [b"a", b"b"])
        self.assertEqual(len(self.events(Received)), 2)

    def test_nothing_is_confirmed_or_told_without_a_commit(self):
        self.log_in()
        self.taken()
        self.told.clear()
        self.fail_commits()
        self.feed(message(1, 1024, b"a"))
        self.assertEqual((self.taken(), self.told), ([], []))
        self.assertTrue(self.device.wants_close)
        self.device.disconnected()
        self.assertEqual(self.events(Offline)[0].why[:12], "the profile:")
        self.storage._db.set_authorizer(None)
        self.log_in()
        self.taken()
        self.feed(message(1, 1024, b"a"))
        self.assertEqual(self.count(), [1])

    def test_what_is_committed_is_flushed(self):
        self.assertEqual(self.storage._db.execute("PRAGMA synchronous").fetchone()[0], 2)

    def test_bytes_may_come_one_by_one(self):
        self.log_in()
        self.taken()
        for byte in message(1, 1024, b"a"):
            self.device.received(bytes([byte]))
        self.assertEqual(self.count(), [1])

    def test_a_larger_number_wins_and_other_bytes_stay_visible(self):
        self.log_in()
        self.feed(message(1, 1024, b"a"), message(1, 4096, b"a"), message(1, 2048, b"a"))
        self.assertEqual([row.number for row in self.storage.inbox()], [4096])
        self.feed(message(1, 5120, b"other"))
        self.assertEqual([row.body for row in self.storage.inbox()], [b"a", b"other"])
        self.assertEqual([event.insert for event in self.events(Received)],
                         [Insert.NEW, Insert.RENUMBERED, Insert.VARIANT])

    def test_ids_and_marks_of_64_bits(self):
        self.log_in()
        large = 2**64 - 1
        self.feed(message(large, 1, b"a"), message(large - 1, 2, b"b"), read(large, self.storage.origin),
                  frame("Receipt", peer=PEER, device=MY_DEVICE, origin=large, first=large, up_to=large),
                  frame("Outcome", origin=large, seq=large, number=large, time_ms=large),
                  message(1, large, b"of nobody", from_=large, to=large))
        self.assertFalse(self.device.wants_close)
        self.assertEqual([row.seq for row in self.storage.inbox()], [large, large - 1, 1])
        self.assertEqual(self.device.mark_read(PEER), 1)

    def test_a_copy_of_ones_own_belongs_to_the_recipients_conversation(self):
        self.log_in()
        self.feed(message(1, 1024, b"mine", from_=ME, to=PEER), message(2, 2048, b"theirs"))
        self.assertEqual([row.body for row in self.storage.history(PEER)], [b"mine", b"theirs"])

    def test_what_is_not_known_is_skipped_and_not_counted(self):
        self.log_in()
        self.taken()
        later = bytearray(frame("Pong", nonce=1))
        table = wire.Table(bytes(later), 4 + int.from_bytes(later[4:8], "little"))
        later[table.field(6, 1)] = 200
        self.feed(frame("Typing", on=True), bytes(later), message(1, 1024, b"a"))
        self.assertEqual(self.count(), [1])

    def test_a_counted_frame_that_cannot_be_read_blocks_nothing(self):
        self.log_in()
        self.taken()
        spoiled = bytearray(message(1, 1024, b"never seen"))
        at = spoiled.index(b"never seen") - 4
        spoiled[at:at + 4] = (1 << 30).to_bytes(4, "little")
        self.feed(bytes(spoiled), message(2, 2048, b"behind it"), message(3, 3072, b"to a group", scope=1))
        self.assertEqual(self.count(), [3])
        self.assertEqual(self.events(Unreadable), [Unreadable(PEER, 1, PEER_ORIGIN, 1), Unreadable(PEER, 1, PEER_ORIGIN, 3)])
        self.assertEqual([row.body for row in self.storage.inbox()], [b"behind it"])

    def test_what_breaks_the_format_ends_the_session_and_what_came_before_counts(self):
        whole = message(2, 2048, b"x")
        for bad in (b"\xff\xff\xff\x7f", b"\x04\0\0\0" + bytes(4), frame("Ping", nonce=1),
                    whole[:8] + bytes(len(whole) - 8)):
            self.setUp()
            self.log_in()
            self.taken()
            self.feed(message(1, 1024, b"good"), bad)
            self.assertTrue(self.device.wants_close)
            self.assertEqual(len(self.storage.inbox()), 1)

    def test_before_the_welcome_nothing_is_taken(self):
        self.device.connected()
        self.feed(message(1, 1024, b"early"))
        self.assertTrue(self.device.wants_close)
        self.assertEqual(self.storage.inbox(), [])

    # ---- sending --------------------------------------------------------------------------------------------

    def test_a_row_is_sent_once_and_again_with_the_next_session(self):
        self.device.send(PEER, b"offline")
        self.log_in()
        first = self.taken()
        self.assertEqual([kind for kind, _ in first], ["Message"])
        self.device.send(PEER, b"online")
        self.assertEqual(self.sent(), [(2, b"online")])
        self.again()
        self.assertEqual(self.taken()[0], first[0], "the same bytes")
        self.feed(self.outcome(1, 1024), self.outcome(2, 2048, tick=2))
        self.assertEqual([self.mark(row) for row in (1, 2)], [Mark.ACCEPTED, Mark.DELIVERED])
        self.again()
        self.assertEqual(self.sent(), [])
        self.assertEqual(self.storage.identity().after, 2048)

    def test_a_new_opening_has_a_new_origin_and_old_rows_keep_theirs(self):
        self.device.send(PEER, b"old")
        origin = self.storage.origin
        self.reopen()
        self.assertNotEqual(self.storage.origin, origin)
        self.device.send(PEER, b"new")
        self.log_in()
        routes = [wire.parse(one).route for kind, one in self.taken() if kind == "Message"]
        self.assertEqual([(one.origin, one.seq) for one in routes], [(origin, 1), (self.storage.origin, 2)])

    def test_what_its_frames_say_besides(self):
        origin = self.storage.origin
        self.device.connected()
        [(_, hello)] = self.taken()
        table, _ = self.fields(hello)
        self.assertEqual((table.Token(), table.Origin(), table.PreviousOrigin(), table.Attempt(), table.Incarnation()),
                         (b"token", origin, 0, 1, 0))
        self.feed(welcome())
        for number in range(3):
            self.device.send(PEER, b"%d" % number)
        self.assertEqual([(self.fields(one)[1].Closed(), self.fields(one)[1].After()) for _, one in self.taken()], [(1, 0)] * 3)
        self.feed(self.outcome(1, 1024), self.outcome(2, 2048), message(1, 1, b"a"))
        [(_, confirm)] = self.taken()
        self.assertEqual(self.fields(confirm)[0].Closed(), 3)
        self.device.send(PEER, b"next")
        [(_, sent)] = self.taken()
        self.assertEqual((self.fields(sent)[1].Closed(), self.fields(sent)[1].After()), (3, 2048))
        self.now += 30
        self.feed(self.outcome(3, 3072), self.outcome(4, 4096))
        self.device.timer()
        [(_, ping)] = self.taken()
        self.assertEqual(self.fields(ping)[0].Closed(), 5)
        self.device.disconnected()
        self.device.connected()
        table, _ = self.fields(self.taken()[0][1])
        self.assertEqual((table.PreviousOrigin(), table.Attempt(), table.Incarnation()), (0, 2, 77), "of an EARLIER opening")
        self.reopen()
        self.device.set_token("another")
        self.device.connected()
        table, _ = self.fields(self.taken()[0][1])
        self.assertEqual((table.PreviousOrigin(), table.Attempt(), table.Token()), (origin, 1, b"another"))

    def test_a_gap_is_told_until_it_was_shown(self):
        for flag in ("continuity_broken", "overflowed"):
            self.setUp()
            self.log_in(**{flag: True})
            self.assertTrue(getattr(self.events(Online)[0], flag))
            self.again()
            self.reopen()
            self.assertTrue(self.storage.identity().has_gap)
            self.storage.gap_was_shown()
            self.assertFalse(self.storage.identity().has_gap)

    def test_what_no_server_takes_is_refused_at_once(self):
        for to, body, content in (("x" * 65, b"", 0), ("", b"", 0), (0, b"", 0), (1 << 63, b"", 0), (PEER, b"", 256)):
            with self.assertRaises(ValueError):
                self.device.send(to, body, content)
        self.assertEqual(self.storage.outbox(), [])

    def test_a_message_is_withdrawn_until_it_is_sent(self):
        rows = [self.device.send(PEER, b"0"), self.device.send(PEER, b"1")]
        self.assertTrue(self.device.withdraw(rows[0]))
        self.log_in()
        self.assertEqual(self.sent(), [(2, b"1")])
        self.assertFalse(self.device.withdraw(rows[1]))

    def test_a_storage_that_fails_while_it_sends(self):
        self.log_in()
        row = self.device.send(PEER, b"first")
        self.taken()
        self.device.disconnected()
        self.device.send(PEER, b"second")
        self.device.connected()
        self.taken()
        self.feed(welcome(window=1))
        self.assertEqual(self.sent(), [(1, b"first")])
        self.fail_commits()
        self.feed()
        self.device._in_flight.clear()
        self.device.timer()
        self.assertEqual(self.sent(), [], "not sent before it is noted as sent")
        self.assertTrue(self.device.wants_close)
        self.storage._db.set_authorizer(None)
        self.assertEqual(self.mark(row), Mark.QUEUED)

    def test_the_window(self):
        for number in range(5):
            self.device.send(PEER, b"%d" % number)
        self.log_in(window=2)
        self.assertEqual([seq for seq, _ in self.sent()], [1, 2])
        self.feed(self.outcome(1, 1024))
        self.assertEqual([seq for seq, _ in self.sent()], [3])

    def test_hold_goes_back_and_waits(self):
        self.log_in()
        for number in range(4):
            self.device.send(PEER, b"%d" % number)
        self.assertEqual([seq for seq, _ in self.sent()], [1, 2, 3, 4])
        self.feed(frame("Hold", origin=self.storage.origin, seq=2, reason=200, wait_ms=500), self.outcome(1, 1024))
        self.assertEqual(self.sent(), [])
        self.assertEqual(self.device.next_timer(), self.now + 0.5)
        self.now += 0.5
        self.device.timer()
        self.assertEqual([seq for seq, _ in self.sent()], [2, 3, 4])

    def test_rejected(self):
        self.log_in()
        row = self.device.send(PEER, b"x")
        self.feed(frame("Rejected", origin=self.storage.origin, seq=1, number=1024, reason=200))
        self.assertEqual((self.mark(row), self.storage.row(row).reason), (Mark.REJECTED, 200))
        self.feed(frame("Receipt", peer=PEER, device=MY_DEVICE, origin=self.storage.origin, first=0, up_to=1))
        self.assertEqual(self.mark(row), Mark.REJECTED)

    def test_a_receipt_is_for_rows_that_are_closed_as_accepted(self):
        self.log_in()
        rows = [self.device.send(PEER, b"x") for _ in range(3)]
        other = self.device.send(PEER + 1, b"to another")
        self.feed(self.outcome(1, 1024), self.outcome(2, 2048), self.outcome(4, 4096))
        self.feed(frame("Receipt", peer=PEER, device=MY_DEVICE, origin=self.storage.origin, first=2, up_to=4))
        self.assertEqual([self.mark(row) for row in (*rows, other)],
                         [Mark.ACCEPTED, Mark.DELIVERED, Mark.QUEUED, Mark.ACCEPTED])
        self.feed(frame("Receipt", peer=PEER, device=MY_DEVICE + 1, origin=self.storage.origin, first=0, up_to=4))
        self.assertEqual(self.mark(rows[0]), Mark.ACCEPTED, "of another device")

    def test_expired(self):
        self.log_in()
        row = self.device.send(PEER, b"x")
        self.feed(self.outcome(1, 1024), frame("Expired", peer=PEER, device=MY_DEVICE, origin=self.storage.origin, seq=1))
        self.assertEqual(self.mark(row), Mark.EXPIRED)
        self.feed(frame("Receipt", peer=PEER, device=MY_DEVICE, origin=self.storage.origin, first=0, up_to=1))
        self.assertEqual(self.mark(row), Mark.EXPIRED)
        self.feed(self.outcome(1, 1024, tick=2))
        self.assertEqual(self.mark(row), Mark.DELIVERED)
        open_row = self.device.send(PEER, b"its outcome was lost")
        self.feed(frame("Expired", peer=PEER, device=MY_DEVICE, origin=self.storage.origin, seq=2), self.outcome(2, 2048))
        self.assertEqual((self.mark(open_row), self.storage.row(open_row).open), (Mark.EXPIRED, False))

    def test_read_is_for_what_is_delivered_now_or_later(self):
        self.log_in()
        rows = [self.device.send(PEER, b"x") for _ in range(2)]
        self.feed(self.outcome(1, 1024, tick=2), self.outcome(2, 2048), read(2, self.storage.origin))
        self.assertEqual([self.storage.row(row).read for row in rows], [True, False])
        self.feed(frame("Receipt", peer=PEER, device=MY_DEVICE, origin=self.storage.origin, first=0, up_to=2))
        self.assertEqual([self.storage.row(row).read for row in rows], [True, True])
        self.told.clear()
        rows.append(self.device.send(PEER, b"x"))
        self.feed(self.outcome(3, 3072, tick=2), read(2, self.storage.origin), read(3, self.storage.origin))
        self.assertEqual({event.row.row for event in self.events(Changed)}, {rows[2]}, "only what is new")

    def test_mark_read_says_it_once_and_a_newer_one_replaces_what_was_never_sent(self):
        self.log_in()
        self.feed(message(1, 1024, b"a"))
        self.device.disconnected()
        self.assertEqual(self.device.mark_read(PEER), 1)
        self.assertEqual(self.device.mark_read(PEER), 0)
        self.log_in()
        self.feed(message(2, 2048, b"b"))
        self.device.mark_read(PEER)
        self.assertEqual(self.kinds().count("Read"), 2, "the first is sent and fixed")
        self.assertEqual([row.up_to for row in self.storage.open_rows(0, 9)], [1, 2])

    def test_a_handle_is_asked_for(self):
        row = self.device.send("bob", b"hello")
        self.log_in()
        [(kind, _)] = self.taken()
        self.assertEqual(kind, "Resolve")
        self.feed(frame("Error", code=17, retry_ms=300, request=1))
        self.assertFalse(self.device.wants_close)
        self.assertEqual(self.kinds(), [])
        self.now += 0.3
        self.device.timer()
        self.assertEqual(self.kinds(), ["Resolve"])
        self.feed(frame("Resolved", request=2, handle="bob", user=PEER))
        self.assertEqual(self.sent(), [(1, b"hello")])
        self.device.send("bob", b"again")
        self.assertEqual(self.sent(), [(2, b"again")])
        nobody = self.device.send("nobody", b"x")
        self.assertEqual(self.kinds(), ["Resolve"])
        self.feed(frame("Error", code=19, request=3))
        self.assertEqual((self.mark(row), self.mark(nobody)), (Mark.QUEUED, Mark.REJECTED))

    def test_a_row_over_the_frame_limit(self):
        rows = [self.device.send(PEER, bytes(5000)), self.device.send(PEER, b"small")]
        self.log_in(frame_bytes_max=2000)
        self.assertEqual(self.sent(), [(2, b"small")])
        self.assertEqual(self.mark(rows[0]), Mark.REJECTED)
        self.device.disconnected()
        self.log_in()
        sent = self.device.send(PEER, bytes(5000))
        self.taken()
        self.again(frame_bytes_max=2000)
        self.assertEqual(self.sent(), [(2, b"small")])
        self.assertEqual(self.mark(sent), Mark.QUEUED, "once sent it waits for a server that takes it")
        with self.assertRaises(ValueError):
            self.device.send(PEER, bytes(64 * 1024 + 1))

    def test_after_a_restored_server(self):
        self.log_in()
        for _ in range(3):
            self.device.send(PEER, b"x")
        self.feed(self.outcome(1, 1024), self.outcome(2, 2048, tick=2), message(1, 1, b"a"))
        self.device.mark_read(PEER)
        self.feed(message(2, 2, b"b"))
        self.device.mark_read(PEER)
        self.feed(self.outcome(4, 4096), self.outcome(5, 5120))
        self.taken()
        self.again(incarnation=78)
        self.assertEqual(self.events(Online)[-1].num_reopened, 2)
        self.assertEqual([row.seq for row in self.storage.open_rows(0, 9)], [1, 3, 5], "of the reads the last")
        self.feed(frame("Rejected", origin=self.storage.origin, seq=1, number=9999, reason=1))
        self.assertEqual(self.mark(1), Mark.REJECTED, "whose account is newer than the backup")
        self.assertEqual([row.seq for row in self.storage.open_rows(0, 9)], [3, 5])

    # ---- the session ----------------------------------------------------------------------------------------

    def test_another_users_token(self):
        self.log_in()
        self.device.disconnected()
        self.device.connected()
        self.feed(welcome(user=ME + 1))
        self.assertIs(self.device.state, State.STOPPED)
        self.assertEqual(self.storage.identity().user, ME)

    def test_what_only_people_can_mend_stops(self):
        for code, needs_token in ((6, True), (7, True), (16, True), (8, False), (9, False), (3, False), (10, False)):
            self.setUp()
            self.log_in()
            self.feed(frame("Error", code=code, text="no"))
            self.assertTrue(self.device.wants_close)
            self.device.disconnected()
            self.assertIs(self.device.state, State.STOPPED)
            self.assertEqual(self.events(Stopped)[0].needs_token, needs_token)
            self.device.set_token("another")
            self.assertIs(self.device.state, State.OFFLINE if needs_token else State.STOPPED)

    def test_other_errors_come_again(self):
        self.log_in()
        self.feed(frame("Error", code=10, origin=self.storage.origin))
        self.device.disconnected()
        self.assertIs(self.device.state, State.OFFLINE, "our own newer connection")
        for code in (17, 200):
            self.log_in()
            self.feed(frame("Error", code=code, retry_ms=70_000))
            self.assertTrue(self.device.wants_close)
            self.device.disconnected()
            self.assertIs(self.device.state, State.OFFLINE)
            self.assertEqual(self.device.connect_at >= self.now + 70, code == 17)

    def test_a_session_that_expires_while_the_next_token_is_on_its_way(self):
        self.log_in()
        self.device.set_token("another")
        self.assertEqual(self.kinds(), ["Refresh"])
        self.feed(frame("Error", code=16))
        self.device.disconnected()
        self.assertIs(self.device.state, State.OFFLINE)

    def test_a_token_that_is_there_before_the_old_one_is_refused(self):
        self.device.connected()
        self.device.set_token("another")
        self.feed(frame("Error", code=7))
        self.device.disconnected()
        self.assertIs(self.device.state, State.OFFLINE)

    def test_pings_and_a_server_that_is_dead(self):
        self.device.connected()
        self.now += device_module.WELCOME_S_MAX
        self.device.timer()
        self.assertTrue(self.device.wants_close)
        self.device.disconnected()
        self.log_in()
        self.assertEqual(self.device.next_timer(), self.now + 30)
        self.now += 30
        self.device.timer()
        self.assertEqual(self.kinds(), ["Ping"])
        self.assertEqual(self.device.next_timer(), self.now + device_module.ANSWER_S_MAX)
        self.feed(frame("Pong", nonce=1))
        self.now += device_module.ANSWER_S_MAX
        self.device.timer()
        self.assertFalse(self.device.wants_close)
        self.now += 20
        self.device.timer()
        self.now += device_module.ANSWER_S_MAX
        self.device.timer()
        self.assertTrue(self.device.wants_close)

    def test_a_row_without_its_answer(self):
        self.log_in()
        self.device.send(PEER, b"x")
        self.now += 29
        self.feed(frame("Pong", nonce=1))
        self.device.timer()
        self.assertFalse(self.device.wants_close)
        self.now += 1
        self.device.timer()
        self.assertTrue(self.device.wants_close)

    def test_it_comes_back_later_and_later(self):
        longest = []
        for _ in range(12):
            waits = []
            for seed in range(50):
                self.device._random = random.Random(seed)
                failures, state = self.device._failures, self.device.state
                self.device.disconnected()
                waits.append(self.device.connect_at - self.now)
                self.device._failures = failures
            self.device._failures += 1
            longest.append(max(waits))
        for attempt, wait in enumerate(longest):
            ceiling = min(60, 0.5 * 2 ** attempt)
            self.assertTrue(0.7 * ceiling < wait <= ceiling, (attempt, wait))
        self.assertTrue(self.events(Offline))
        self.log_in()
        self.now += device_module.STEADY_S
        self.device.disconnected()
        self.assertLessEqual(self.device.connect_at, self.now + 0.5)

    def test_goaway(self):
        self.log_in()
        self.feed(frame("Goaway", jitter_ms=2000))
        self.device.send(PEER, b"x")
        self.assertEqual(self.sent(), [], "nothing new")
        self.assertLessEqual(self.device.next_timer(), self.now + 2)
        self.now += 2
        self.device.timer()
        self.assertTrue(self.device.wants_close)
        self.device.disconnected()
        self.assertLessEqual(self.device.connect_at, self.now)
        self.device.disconnected()
        self.assertGreater(self.device.connect_at, self.now, "it is not back yet: a failure like any other")

    def test_goaway_is_waited_for(self):
        self.log_in()
        self.device.send(PEER, b"x")
        self.feed(frame("Hold", origin=self.storage.origin, seq=1, reason=3, wait_ms=1), frame("Goaway", jitter_ms=2000))
        at = self.device.next_timer()
        self.now += 0.5 * (at - self.now)
        self.device.timer()
        self.assertEqual(self.device.next_timer(), at, "a hold that is over is no reason to wake")
        self.device.disconnected()
        self.assertEqual(self.device.connect_at, at)

    def test_who_leaves_says_what_the_server_may_forget(self):
        self.log_in()
        self.device.leave()
        self.assertEqual(self.kinds(), ["Ping"])
        self.device.leave()
        self.assertEqual(self.kinds(), [])

    # ---- the profile ----------------------------------------------------------------------------------------

    def test_one_process_has_a_profile(self):
        with self.assertRaises(InUse):
            Storage(self.profile)

    def test_a_profile_of_another_version_is_refused(self):
        self.storage._db.execute("PRAGMA user_version = 7")
        self.storage.close()
        with self.assertRaisesRegex(ValueError, "another version"):
            Storage(self.profile)


class WireTest(unittest.TestCase):
    """Whatever the bytes, a frame is read or it is Broken."""

    FRAMES = (welcome(handle="ann"), message(1, 1024, b"hello"), read(1, 2), frame("Error", code=1, text="text"),
              frame("Outcome", origin=1, seq=2), frame("Receipt", peer=1, up_to=3), frame("Resolved", handle="bob", user=2))

    def parse(self, data: bytes):
        try:
            return wire.parse(data)
        except wire.Broken:
            return None

    def test_every_cut(self):
        for whole in self.FRAMES:
            self.assertIsNotNone(self.parse(whole))
            for length in range(len(whole)):
                self.parse(whole[:length])

    def test_mutated_frames_end_at_most_the_session(self):
        """A Device is fed what parse() takes, too."""
        choose = random.Random(2)
        with tempfile.TemporaryDirectory(prefix="perch-python-") as folder:
            storage = Storage(folder)
            storage._db.execute("PRAGMA synchronous = OFF")
            device = Device(storage, "token", lambda: 1000.0, lambda event: None, random.Random(1))
            for _ in range(3000):
                if device.state is State.STOPPED:
                    device.state = State.OFFLINE
                if device.state is State.OFFLINE:
                    device.connected()
                    device.received(welcome())
                data = bytearray(choose.choice(self.FRAMES[1:]))
                for _ in range(choose.randint(0, 3)):
                    data[choose.randrange(20, len(data))] = choose.choice((0, 1, 0x7F, 0x80, 0xFF, choose.randrange(256)))
                device.received(bytes(data))
                if device.wants_close:
                    device.disconnected()
            self.assertGreater(len(storage.inbox()), 50)
            storage.close()

    def test_mutated(self):
        choose = random.Random(1)
        read_all_the_same = broken = 0
        for _ in range(20_000):
            data = bytearray(choose.choice(self.FRAMES))
            for _ in range(choose.randint(1, 4)):
                data[choose.randrange(len(data))] = choose.choice((0, 1, 0x7F, 0x80, 0xFF, choose.randrange(256)))
            if self.parse(bytes(data)) is None:
                broken += 1
            else:
                read_all_the_same += 1
        self.assertGreater(broken, 1000)
        self.assertGreater(read_all_the_same, 1000)

    def test_the_example_of_the_protocol(self):
        text = (pathlib.Path(__file__).resolve().parents[2] / "PROTOCOL.md").read_text()
        dump = text[text.index("34 00 00 00 14"):].split("```")[0]
        self.assertEqual(wire.parse(bytes.fromhex(dump)).kind, "Ping")
        ours = wire.ping(0, 1)
        self.assertEqual(wire.parse(ours).kind, "Ping")


if __name__ == "__main__":
    outcome = unittest.main(exit=False).result
    print(f"{outcome.testsRun} tests, {len(outcome.failures) + len(outcome.errors)} failed")
    sys.exit(not outcome.wasSuccessful() or outcome.testsRun == 0)
