#!/usr/bin/python3
"""Hostile clients: every error and every rejection of PROTOCOL.md that a version 1 server can answer, over raw TCP.

Each attack is checked for its exact answer, and after each an honest sender, an honest recipient and a new login must
get what they always get. All attacks run against one reactor and against two, where logins move between cores. At the
end every server must drain on SIGTERM with exit status 0.

At the end every code, reason and payload of the schema must have been seen, but for what NEVER_SAID explains.
"""
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time
import unittest

import wire
from hostile_bytes import (ADA, BAD_TOKENS, BOB, CLIENT_FRAMES, EVE, HS256, MALFORMED_ANYWHERE,
                           SERVER_FRAMES, UNKNOWN_FRAMES, claims, without)
from hostile_people import People
from wire import frame, hello, jwt, message, sized, token


class Hostile:
    """What is attacked: self.server, with honest Ada and Bob online on it. Subclasses say how it is started."""

    flags = ("--accounts-auto",)

    @classmethod
    def setUpClass(cls):
        cls.server = wire.Perchd(*cls.flags)
        cls.meet()

    @classmethod
    def meet(cls):
        cls.ada = cls.server.login(ADA, "honest")
        cls.bob = cls.server.login(BOB, "honest")

    @classmethod
    def tearDownClass(cls):
        cls.ada.close()
        cls.bob.close()
        status = cls.server.stop()
        assert status == 0, f"exit status {status} instead of a drain"

    def tearDown(self):
        self.honest()

    def honest(self):
        """The people who use the server notice nothing."""
        self.assertTrue(self.server.alive(), "the server is gone")
        body = random.randbytes(20)
        seq = self.ada.message(BOB, body)
        got = self.bob.take()
        self.assertEqual((got.body, got.route.from_, got.route.seq), (body, ADA, seq))
        result = self.ada.until("Outcome", seq=seq)
        self.assertEqual((result.origin, result.number), (self.ada.origin, got.route.number))
        with self.server.login(3, "new connection") as third:
            third.ping()

    def refused(self, data: bytes, *codes: str, device: wire.Device | None = None):
        """`data`, on a connection that is not logged in or on the device's, is answered by one of the codes and the end."""
        with device or self.server.connect() as connection:
            connection.send_or_gone(data)
            error = connection.error()
        self.assertIn(error.name, codes)
        self.honest()
        return error

    def each(self, attacks: dict[str, bytes], *codes: str, logged_in: bool = False):
        for name, data in attacks.items():
            with self.subTest(name, logged_in=logged_in):
                self.refused(data, *codes, device=self.server.login(EVE) if logged_in else None)


class Attacks(Hostile):
    # ---- bytes ---------------------------------------------------------------------------------------------

    def test_malformed(self):
        self.each(MALFORMED_ANYWHERE, "Malformed")
        self.each(MALFORMED_ANYWHERE, "Malformed", logged_in=True)

    def test_frames_of_random_bytes(self):
        rng = random.Random(4711)
        for i in range(40):
            data = rng.randbytes(rng.randrange(16, 400))
            self.refused(sized(len(data)) + data[:4] + b"PRC1" + data[8:], "Malformed", "UnknownFrame",
                         device=self.server.login(EVE) if i % 2 else None)

    def test_one_byte_changed(self):
        """Whatever it has become, it is answered or passed on, and the server reads on or says why not."""
        good = message(EVE, 1, b"to myself", closed=1)
        ends = 0
        for at in range(4, len(good)):
            bad = good[:at] + bytes([good[at] ^ (0x80 if at % 2 else 0x7f)]) + good[at + 1:]
            with self.server.login(EVE) as device:
                device.send_or_gone(bad + frame("Ping", nonce=99))
                while True:
                    got = device.receive()
                    self.assertIsNotNone(got, f"closed without a word, byte {at}")
                    if got.kind == "Pong":
                        break
                    if got.kind == "Error":
                        self.assertIn(wire.ERRORS[got.code], ("Malformed", "UnknownFrame", "State"))
                        ends += 1
                        break
            if at % 16 == 0:
                self.honest()
        self.assertGreater(ends, 20)

    def test_lengths(self):
        for limit, logged_in in ((wire.HELLO_BYTES_MAX, False), (wire.FRAME_BYTES_MAX, True)):
            for length in (0, 1, wire.FRAME_BYTES_MIN - 5, limit - 3, limit - 4 + 2**16, 2**31 - 1, 2**31, 2**32 - 4, 2**32 - 1):
                for sent in (b"", b"abc"):
                    with self.subTest(length=length, sent=sent, logged_in=logged_in):
                        self.refused(sized(length) + sent, "Malformed" if length < wire.FRAME_BYTES_MIN - 4 else "TooLarge",
                                     device=self.server.login(EVE) if logged_in else None)
            for length in (wire.FRAME_BYTES_MIN - 4, limit - 4):
                with self.subTest(length=length, logged_in=logged_in):
                    with (self.server.login(EVE) if logged_in else self.server.connect()) as connection:
                        connection.send(sized(length) + b"abc")
                        with self.assertRaises(TimeoutError):
                            connection.until("Goaway", 0.3)

    def test_a_declared_length_costs_nothing(self):
        before = self.server.resident_kib()
        waiting = []
        for i in range(200):
            device = self.server.login(EVE + 1 + i)
            device.send(sized(wire.FRAME_BYTES_MAX - 4) + b"abc")
            waiting.append(device)
        self.honest()
        grown = self.server.resident_kib() - before
        for device in waiting:
            device.close()
        self.assertLess(grown, 200 * 66 // 2)

    def test_largest_frame_and_body(self):
        with self.server.login(EVE) as device:
            overhead = len(message(EVE, 1, bytes(wire.BODY_BYTES_MAX))) - wire.BODY_BYTES_MAX
            size = wire.FRAME_BYTES_MAX - overhead
            while len(message(EVE, 1, bytes(size))) > wire.FRAME_BYTES_MAX:
                size -= 1
            largest = message(EVE, 1, bytes(size), origin=device.origin)
            self.assertGreater(len(largest), wire.FRAME_BYTES_MAX - 8)
            device.send(largest)
            self.assertEqual(wire.REJECTS[device.until("Rejected", seq=1).reason], "TooLarge")
            device.send(message(EVE, 2, bytes(wire.BODY_BYTES_MAX + 1), origin=device.origin))
            self.assertEqual(wire.REJECTS[device.until("Rejected", seq=2).reason], "TooLarge")
            device.send(message(EVE, 3, bytes(wire.BODY_BYTES_MAX), origin=device.origin))
            device.until("Outcome", seq=3)
        largest_and_more = message(EVE, 1, bytes(size + 8))
        self.assertGreater(len(largest_and_more), wire.FRAME_BYTES_MAX)
        self.refused(largest_and_more, "TooLarge", device=self.server.login(EVE))

    # ---- states --------------------------------------------------------------------------------------------

    def test_before_login(self):
        self.each(CLIENT_FRAMES | SERVER_FRAMES, "State")
        self.each(UNKNOWN_FRAMES, "UnknownFrame")

    def test_after_login(self):
        self.each(SERVER_FRAMES | {"Hello": hello(EVE), "Hello of another": hello(ADA, "honest")}, "State", logged_in=True)
        self.each(UNKNOWN_FRAMES, "UnknownFrame", logged_in=True)

    def test_bytes_behind_hello(self):
        for name, more in {"a byte": b"\0", "half a length": b"\x20\0", "Ping": frame("Ping", nonce=1),
                           "Hello": hello(EVE), "much": bytes(3000)}.items():
            with self.subTest(name):
                self.refused(hello(EVE) + more, "Malformed", "State")

    def test_second_hello_while_logging_in(self):
        for i in range(40):
            with self.server.connect() as connection:
                connection.send(hello(3000 + 2 * i))
                time.sleep(i % 8 / 4000)
                connection.send_or_gone(hello(3001 + 2 * i))
                kinds = []
                while (got := connection.receive()) is not None:
                    kinds.append(got.kind if got.kind != "Error" else wire.ERRORS[got.code])
                self.assertIn(kinds, (["Welcome", "State"], ["Malformed"], ["State"]))
        self.honest()

    def test_an_ended_login_takes_nobodys_place(self):
        for i in range(100):
            gone = self.server.connect()
            gone.send(hello(5000 + i, f"never {i}"))
            if i % 4 > 1:
                time.sleep(0.001 * (i % 3))
            gone.reset() if i % 2 else gone.close()
            with self.server.login(4) as first, self.server.login(5) as second:
                time.sleep(0.002)
                first.ping()
                second.ping()
        self.honest()

    def test_version(self):
        self.refused(hello(EVE, version_min=2, version_max=3), "Version")
        self.refused(hello(EVE, version_min=0, version_max=0), "Version")
        with self.server.login(EVE, version_min=0, version_max=9) as device:
            self.assertEqual(device.welcome.version, 1)

    # ---- tokens and devices --------------------------------------------------------------------------------

    def test_bad_tokens(self):
        self.each({name: hello(EVE, token=bad) for name, bad in BAD_TOKENS.items()}, "TokenInvalid")
        self.each({name: frame("Refresh", token=bad) for name, bad in BAD_TOKENS.items()}, "TokenInvalid", logged_in=True)

    def test_token_expired(self):
        self.refused(hello(EVE, token=token(EVE, seconds=-1)), "TokenExpired")
        self.refused(hello(EVE, token=jwt(HS256, claims(exp=0))), "TokenExpired")
        self.refused(hello(EVE, token=jwt(HS256, claims(exp=1), b"x" * 32)), "TokenInvalid")

    def test_refresh(self):
        for name, fresh, code in (("another user", token(ADA), "TokenInvalid"),
                                  ("another device", token(EVE, "e"), "TokenInvalid"),
                                  ("expired", token(EVE, seconds=-1), "TokenExpired")):
            with self.subTest(name):
                self.refused(frame("Refresh", token=fresh), code, device=self.server.login(EVE))
        short = token(EVE, seconds=3)
        ends, stays = self.server.login(EVE, token=short), self.server.login(EVE + 1, token=token(EVE + 1, seconds=3))
        with ends, stays:
            stays.send(frame("Refresh", token=token(EVE + 1, seconds=600)))
            self.assertGreater(stays.until("Refreshed").session_expires_ms, stays.welcome.session_expires_ms)
            ends.ping()
            time.sleep(3.1)
            stays.ping()
            ends.send(frame("Ping", nonce=1))
            self.assertEqual(ends.error().name, "SessionExpired")

    def test_device_limit(self):
        user = 7000
        for i in range(wire.DEVICES_MAX):
            self.server.login(user, f"device {i}").close()
        self.refused(hello(user, "one more"), "DeviceLimit")
        for i in range(wire.DEVICES_MAX):
            with self.server.login(user, f"device {i}") as device:
                self.assertEqual(device.welcome.device, i + 1)

    def test_replaced(self):
        with self.server.login(EVE) as old, self.server.login(EVE) as new:
            old.send_or_gone(message(BOB, 1, b"from a session that is over", origin=old.origin))
            error = old.error()
            self.assertEqual((error.name, error.origin), ("Replaced", new.origin))
            new.ping()
        self.honest()  # and Bob was sent nothing else

    def test_stale_attempt(self):
        with self.server.login(EVE, origin=77, attempt=5) as device:
            self.refused(hello(EVE, origin=77, attempt=4), "StaleAttempt")
            self.refused(hello(EVE, origin=77, attempt=0), "StaleAttempt")
            device.ping()
            with self.server.login(EVE, origin=77, attempt=6) as newer:
                error = device.error()
                self.assertEqual((error.name, error.origin), ("Replaced", 77))
                newer.ping()

    # ---- messages ------------------------------------------------------------------------------------------

    def test_confirm(self):
        for count in (1, 2**32, 2**64 - 1):
            self.refused(frame("Confirm", count=count), "Confirm", device=self.server.login(EVE))
        with self.server.login(8011) as sender, self.server.login(8001) as device:
            sender.message(8001)
            device.until("Message")
            device.send(frame("Confirm", count=2))
            self.assertEqual(device.error().name, "Confirm")
            sender.until("Outcome", seq=1)
        with self.server.login(8001) as device:
            device.take()
            device.send(frame("Confirm", count=0))  # fewer than before is nothing
            device.ping()

    def test_a_receipt_and_a_read_mark_come_back(self):
        self.server.login(8003).close()
        with self.server.login(8013) as sender:
            seq = sender.message(8003)
            self.assertEqual(wire.TICKS[sender.until("Outcome", seq=seq).tick], "Accepted")
            with self.server.login(8003) as reader:
                got = reader.take()
                receipt = sender.until("Receipt")
                self.assertEqual((receipt.peer, receipt.device, receipt.origin, receipt.up_to),
                                 (8003, got.route.device, sender.origin, seq))
                reader.seq += 1
                reader.send(frame("Read", route=dict(to=8013, origin=reader.origin, seq=reader.seq, closed=1),
                                  device=got.route.device, origin=got.route.origin, up_to=seq))
                read = sender.until("Read")
                self.assertEqual((read.route.from_, read.device, read.origin, read.up_to),
                                 (8003, got.route.device, sender.origin, seq))
                sender.send(frame("Confirm", count=sender.count, closed=seq + 1))
                reader.until("Outcome", seq=reader.seq)

    def test_resolve(self):
        with self.server.login(8002, token=token(8002, handle="known")) as device:
            device.send(frame("Resolve", request=1, handle="unknown"))
            got = device.receive()
            self.assertEqual((got.kind, wire.ERRORS[got.code], got.request), ("Error", "NotFound", 1))
            device.send(frame("Resolve", request=2, handle=""))
            self.assertEqual(wire.ERRORS[device.receive().code], "NotFound")
            device.send(frame("Resolve", request=3, handle="known"))
            self.assertEqual(device.until("Resolved", request=3).user, 8002)
            device.ping()

    def test_handles(self):
        """A user gets the first free handle that a token names, whenever that is, and keeps it."""
        def login(user: int, handle: str = "", **fields) -> "wire.Device":
            return self.server.login(user, token=token(user, handle=handle), **fields)

        with login(8100) as first:
            self.assertEqual(first.welcome.handle, None)
        for handle in ("late", "later"):
            with login(8100, handle) as device:
                self.assertEqual(device.welcome.handle, "late")
        with login(8101, "late") as other, login(8100) as device:
            self.assertEqual((other.welcome.handle, device.welcome.handle), (None, "late"))
            for handle, user in (("late", 8100), ("Late", None), ("later", None)):
                with self.subTest(handle):
                    other.send(frame("Resolve", request=1, handle=handle))
                    self.assertEqual(getattr(other.receive(), "user", None), user)
        with self.server.login(0, token=token("late")) as device:
            self.assertEqual(device.welcome.user, 8100)
            device.send(frame("Refresh", token=token("late")))
            device.until("Refreshed")

    def test_rejected(self):
        with self.server.login(EVE) as device:
            seq = 0
            for reason, route in (("NotFound", dict(to=999_999)), ("NotFound", dict(to=0)), ("NotFound", dict(to=2**64 - 1)),
                                  ("NotMember", dict(to=BOB, scope=1)), ("NotMember", dict(to=BOB, scope=255))):
                for kind, fields in (("Message", dict(body=b"x")), ("Read", dict(up_to=1))):
                    with self.subTest(kind, **route):
                        seq += 1
                        device.send(frame(kind, route=dict(origin=device.origin, seq=seq, closed=seq, **route), **fields))
                        got = device.until("Rejected", seq=seq)
                        self.assertEqual((wire.REJECTS[got.reason], got.origin), (reason, device.origin))
                        device.ping()
                        self.honest()

    def test_forged_route(self):
        """What the server sets is overwritten; a sender cannot speak for somebody else."""
        with self.server.login(8013) as device, self.server.login(8003) as peer:
            device.message(8003, b"it is me, Ada", from_=ADA, number=2**64 - 1, time_ms=1, device=9)
            got = peer.take()
            self.assertEqual((got.route.from_, got.route.device), (8013, device.welcome.device))
            self.assertGreater(got.route.time_ms, 1)
            result = device.until("Outcome", seq=1)
            self.assertEqual(got.route.number, result.number)
            self.assertLess(result.number, 2**63)

    # ---- connections ---------------------------------------------------------------------------------------

    def test_end_at_every_byte_of_hello(self):
        data = hello(EVE)
        for size in range(len(data) + 1):
            connection = self.server.connect()
            connection.send(data[:size])
            connection.reset() if size % 2 else connection.close()
            if size % 32 == 0:
                self.honest()

    def test_end_at_every_byte_of_a_message(self):
        with self.server.login(8004) as peer:
            size_of_all = len(message(8004, 1, b"byte 000"))
            for size in range(size_of_all + 1):
                with self.server.login(EVE) as device:
                    device.send(message(8004, 1, b"byte %3d" % size, origin=device.origin)[:size])
                    if size == size_of_all:
                        self.assertEqual(peer.take().body, b"byte %3d" % size)
                        device.until("Outcome", seq=1)
                if size % 32 == 0:
                    self.honest()
            peer.ping()

    def test_byte_by_byte(self):
        with self.server.connect() as connection:
            for byte in hello(EVE):
                connection.send(bytes([byte]))
            self.assertEqual(connection.receive().kind, "Welcome")
            for byte in frame("Ping", nonce=8):
                connection.send(bytes([byte]))
            self.assertEqual(connection.until("Pong").nonce, 8)

    def test_floods(self):
        for reset in (False, True):
            silent = [self.server.connect() for _ in range(300)]
            self.honest()
            for connection in silent:
                connection.reset() if reset else connection.close()
            self.honest()
        for i in range(300):
            self.server.connect().reset() if i % 2 else self.server.connect().close()
        self.honest()


class OneReactor(Attacks, unittest.TestCase):
    flags = ("--accounts-auto", "--reactors", "1")


class TwoReactors(Attacks, unittest.TestCase):
    flags = ("--accounts-auto", "--reactors", "2")


class Deadlines(Hostile, unittest.TestCase):
    def test_login_and_frame_timeouts(self):
        began = time.monotonic()
        with self.server.connect(20) as silent, self.server.connect(20) as slow, self.server.login(EVE, timeout=20) as inside:
            slow.send(hello(EVE)[:50])
            inside.send(frame("Ping", nonce=1)[:30])
            self.assertEqual(silent.error().name, "LoginTimeout")
            self.assertEqual(slow.error().name, "LoginTimeout")
            self.assertGreater(time.monotonic() - began, 9)
            self.assertEqual(inside.error().name, "FrameTimeout")
            self.assertGreater(time.monotonic() - began, 14)


class Patient(Hostile, unittest.TestCase):
    """Nobody has to confirm in time: what is sent stays on its way."""
    flags = ("--accounts-auto", "--set", "limits.delivery.confirm_ms_max=3600000")

    def test_window(self):
        with self.server.login(8010) as sender, self.server.login(8000) as silent:
            sender.send(b"".join(message(8000, i + 1, b"%d" % i, origin=sender.origin) for i in range(wire.WINDOW)))
            sender.send(frame("Ping", nonce=5))
            self.assertEqual(sender.receive().kind, "Pong")  # before any result, and no error
            sender.send(message(8000, wire.WINDOW + 1, b"too many", origin=sender.origin))
            self.assertEqual(sender.error().name, "Window")
            self.honest()
            for i in range(wire.WINDOW):
                self.assertEqual(silent.until("Message").body, b"%d" % i)
            silent.send(frame("Ping", nonce=6))
            self.assertEqual(silent.receive().kind, "Pong")  # the one too many was not taken
            silent.close()
            with self.server.login(8010, origin=sender.origin, attempt=2) as again:
                again.send(message(8000, 1, b"0", origin=sender.origin))
                again.until("Outcome", seq=1)


class Impatient(Hostile, unittest.TestCase):
    """Limits so short that a test can wait for them."""
    flags = ("--accounts-auto", "--set", "limits.connections.ping_ms=500",
             "--set", "limits.connections.silence_ms_max=6000", "--set", "limits.connections.send_stall_ms_max=2000",
             "--set", "limits.delivery.flights_max=8", "--set", "limits.delivery.expiry_ms=1000",
             "--set", "limits.store.move_after_ms=500")

    def busy_until(self, done, seconds: float) -> None:
        """The honest ones go on, which also keeps them from being idle."""
        end = time.monotonic() + seconds
        while not done():
            self.assertLess(time.monotonic(), end, "it never came")
            self.honest()

    def test_idle(self):
        with self.server.login(EVE) as silent:
            def told() -> bool:
                try:
                    self.assertEqual(silent.error(timeout=0.3).name, "Idle")
                    return True
                except TimeoutError:
                    return False
            self.busy_until(told, 20)

    def test_who_does_not_read_is_closed_without_a_word(self):
        with self.server.login(9006) as deaf:
            deaf.socket.setblocking(False)
            pings = frame("Ping", nonce=1) * 100

            def gone() -> bool:
                try:
                    while True:
                        deaf.socket.send(pings)
                except BlockingIOError:
                    return False
                except (BrokenPipeError, ConnectionResetError):
                    return True
            self.busy_until(gone, 30)
            kinds = set()
            try:
                while (got := deaf.receive()) is not None:
                    kinds.add(got.kind)
            except AssertionError as end:
                self.assertRegex(str(end), "inside a frame|reset")
            self.assertLessEqual(kinds, {"Pong"})

    def test_more_than_the_memory_for_flights_is_held(self):
        with self.server.login(EVE) as eve, self.server.login(9004) as slow:
            for seq in range(1, 13):
                eve.send(message(9004, seq, b"%d" % seq, origin=eve.origin))
            hold = eve.until("Hold")
            self.assertEqual((wire.HOLDS[hold.reason], hold.origin), ("Busy", eve.origin))
            self.assertGreater(hold.wait_ms, 0)
            taken = [slow.take().body for _ in range(hold.seq - 1)]
            for seq in range(1, hold.seq):
                eve.until("Outcome", seq=seq)
            time.sleep(hold.wait_ms / 1000)
            for seq in range(hold.seq, hold.seq + 2):
                eve.send(message(9004, seq, b"%d" % seq, origin=eve.origin, closed=hold.seq))
                taken.append(slow.take().body)
                eve.until("Outcome", seq=seq)
            self.assertEqual(taken, [b"%d" % seq for seq in range(1, hold.seq + 2)])

    def test_expired(self):
        self.server.login(9005).close()
        with self.server.login(EVE) as eve:
            seq = eve.message(9005)
            self.assertEqual(wire.TICKS[eve.until("Outcome", seq=seq).tick], "Accepted")
            gone = []

            def told() -> bool:
                eve.ping()
                try:
                    gone.append(eve.until("Expired", timeout=0.3))
                except TimeoutError:
                    pass
                return bool(gone)
            self.busy_until(told, 20)
            self.assertEqual((gone[0].peer, gone[0].origin, gone[0].seq), (9005, eve.origin, seq))
            eve.send(frame("Confirm", count=eve.count, closed=seq + 1))


class NoAccounts(Hostile, unittest.TestCase):
    flags = ()

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="perch-e2e-")
        data = pathlib.Path(cls.folder) / "data"
        first = wire.Perchd("--accounts-auto", data=data)
        for user in (ADA, BOB, 3):
            first.login(user, "honest").close()
        assert first.stop() == 0
        cls.server = wire.Perchd(data=data)
        cls.meet()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        shutil.rmtree(cls.folder)

    def test_no_account(self):
        self.refused(hello(EVE), "NoAccount")
        self.refused(hello("nobody"), "NoAccount")
        self.refused(hello(2**63 - 1), "NoAccount")


class Rate(Hostile, unittest.TestCase):
    flags = ("--accounts-auto", "--rate", "4", "--rate-burst", "6")

    def test_hold(self):
        with self.server.login(EVE) as device, self.server.login(9000):
            # At once: between two of them the rate would have let one more through.
            device.send(b"".join(message(EVE, seq, origin=device.origin) for seq in range(1, 9)))
            for seq in range(1, 7):
                device.until("Outcome", seq=seq)
            hold = device.receive()
            self.assertEqual((hold.kind, hold.seq, hold.origin), ("Hold", 7, device.origin))
            self.assertEqual(wire.HOLDS[hold.reason], "Rate")
            self.assertGreater(hold.wait_ms, 0)
            time.sleep(hold.wait_ms / 1000 + 0.3)
            device.send(message(EVE, 8, origin=device.origin))  # behind the held one: ignored
            device.send(frame("Ping", nonce=3))
            self.assertEqual(device.receive().kind, "Pong")
            device.send(message(EVE, 7, origin=device.origin))
            device.until("Outcome", seq=7)


class FewConnections(Hostile, unittest.TestCase):
    flags = ("--accounts-auto", "--connections-per-reactor", "8")

    def test_flood(self):
        waiting = [self.server.connect() for _ in range(60)]
        seq = self.ada.message(BOB, b"still here")
        self.assertEqual(self.bob.take().body, b"still here")
        self.ada.until("Outcome", seq=seq)
        for connection in waiting:
            connection.close()


class FullMailbox(Hostile, unittest.TestCase):
    flags = ("--accounts-auto", "--rate", "1000000", "--rate-burst", "1000000")

    def test_mailbox_full(self):
        self.server.login(9001).close()
        with self.server.login(EVE, timeout=60) as device:
            for _ in range(16):
                first, body = device.seq + 1, bytes(wire.BODY_BYTES_MAX - 512)
                for _ in range(wire.WINDOW):
                    device.message(9001, body, closed=first)
                answers = [device.receive() for _ in range(wire.WINDOW)]
                self.assertTrue(all(got.kind == "Outcome" for got in answers[:32]))
            for _ in range(16):
                device.message(9001, body)
                got = device.receive()
                if got.kind == "Rejected":
                    break
            self.assertEqual((got.kind, wire.REJECTS.get(getattr(got, "reason", 0))), ("Rejected", "MailboxFull"))


class SlowDevice(Hostile, unittest.TestCase):
    flags = ("--accounts-auto", "--set", "limits.delivery.mailbox_items_max=4")

    def test_slow_reader(self):
        """It confirms nothing until its mailbox is full; the user's other device takes everything."""
        with self.server.login(EVE) as sender, self.server.login(9003, "quick") as quick:
            with self.server.login(9003, "slow") as slow:
                for _ in range(8):
                    seq = sender.message(9003)
                    quick.take()
                    sender.until("Outcome", seq=seq)
                while slow.until("Message").route.seq < 5:  # the fifth found it full, the sixth was not for it
                    pass
                slow.send(frame("Confirm", count=slow.count))
                self.assertEqual(slow.error().name, "SlowReader")
            with self.server.login(9003, "slow") as slow:
                self.assertTrue(slow.welcome.overflowed)


class FullStore(Hostile, unittest.TestCase):
    flags = ("--accounts-auto", "--journal-bytes", str(1 << 20))

    def test_store_full(self):
        self.server.login(9002).close()
        with self.server.login(EVE) as device:
            for _ in range(60):
                device.message(9002, bytes(32 * 1024))
                got = device.receive()
                if got.kind != "Outcome":
                    break
            self.assertEqual((got.kind, wire.HOLDS.get(getattr(got, "reason", 0))), ("Hold", "StoreFull"))
            self.assertEqual(got.seq, device.seq)
            device.ping()

    def honest(self):  # nothing is taken any more, but nobody is turned away
        self.assertTrue(self.server.alive())
        for device in (self.ada, self.bob):
            device.ping()
        with self.server.login(ADA, "honest again") as device:
            device.ping()


class Draining(unittest.TestCase):
    def test_drain(self):
        server = wire.Perchd("--accounts-auto", "--reactors", "2")
        with server.login(ADA) as ada, server.login(BOB) as bob, server.connect() as late, server.connect() as half:
            half.send(hello(EVE)[:40])
            for _ in range(20):
                ada.message(BOB, closed=1)  # Bob confirms none of them
            ada.ping()
            server.process.send_signal(signal.SIGTERM)
            ada.until("Goaway")
            ada.send_or_gone(message(BOB, 21, "late", origin=ada.origin))
            late.send_or_gone(hello(EVE))
            results, kinds = 0, []
            for connection in (ada, late):
                try:
                    while (got := connection.receive()) is not None:
                        results += got.kind == "Outcome"
                        if got.kind != "Outcome":
                            kinds.append((got.kind, wire.HOLDS.get(getattr(got, "reason", 0)),
                                          wire.ERRORS.get(getattr(got, "code", 0))))
                except AssertionError as reset:
                    self.assertIn("reset", str(reset))
            self.assertEqual(results, 20)
            for kind, hold, error in kinds:
                self.assertIn((kind, hold if kind == "Hold" else error), (("Hold", "Draining"), ("Error", "Busy")))
        self.assertEqual(server.stop(), 0)


# What a server of version 1 never says, and why.
NEVER_SAID = {
    "ErrorCode": {"None_": "no error"},
    "Payload": {"NONE": "no payload"} | dict.fromkeys(("Hello", "Refresh", "Resolve", "Confirm", "Ping", "Block"), "a client's")
    | dict.fromkeys(("Presence", "Typing", "CallSignal", "KeyBundle", "GroupChange"), "reserved"),
    "RejectReason": {}, "HoldReason": {}, "Tick": {},
}


def gaps() -> list[str]:
    """What the schema has and no answer had, and what is said although NEVER_SAID denies it."""
    out = []
    for enum, never in NEVER_SAID.items():
        out += [f"{enum}.{name} was never seen: add the attack, or a reason to NEVER_SAID"
                for name in sorted(wire.unseen(enum) - set(never))]
        out += [f"{enum}.{name} was seen: take it from NEVER_SAID" for name in sorted(set(never) & wire.SEEN[enum])]
    return out


if __name__ == "__main__":
    outcome = unittest.main(exit=False, verbosity=2).result
    missing = [] if len(sys.argv) > 1 else gaps()  # with arguments only some attacks were run
    bad = len(outcome.failures) + len(outcome.errors) + len(missing)
    sys.stderr.flush()
    for gap in missing:
        print(gap)
    print(f"{outcome.testsRun} attacks and their kin, {bad} failed", flush=True)
    sys.exit(bad != 0 or outcome.testsRun == 0)
