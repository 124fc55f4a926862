"""Attacks by what people do to each other: part of hostile_test.py."""
import unittest

import wire
from wire import frame


class People(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = wire.Perchd("--accounts-auto", "--reactors", "2")

    @classmethod
    def tearDownClass(cls):
        assert cls.server.stop() == 0

    def test_block(self):
        """Whoever is named, the answer is the same; a user's own list is all that anybody learns of."""
        with self.server.login(8200) as ann, self.server.login(8201) as bob:
            for request, user in enumerate((8201, 999_999, 2**64 - 1), 1):
                ann.send(frame("Block", request=request, user=user, on=True))
                self.assertEqual(len(ann.until("Blocks", request=request).users), request)
            bob.send(frame("Block", request=9, user=0))
            self.assertEqual(bob.until("Blocks", request=9).users, [])
            for _ in range(100):
                ann.send(frame("Block", request=7, user=0))
            for _ in range(100):
                ann.until("Blocks", request=7)
            bob.message(8200, b"from somebody who is blocked")
            self.assertEqual(wire.TICKS[bob.until("Outcome").tick], "Accepted")
            for user in range(9_000, 9_000 + 40):
                ann.send(frame("Block", request=user, user=user))
            said = {(got.kind, wire.ERRORS.get(getattr(got, "code", None))) for got in (ann.receive() for _ in range(40))}
            self.assertLessEqual(said, {("Blocks", None), ("Error", "Busy")})
            ann.ping()

    def test_blocks_max(self):
        limited = wire.Perchd("--accounts-auto", "--set", "limits.delivery.blocks_max=1")
        self.addCleanup(limited.stop)
        with limited.login(8200) as ann:
            ann.send(frame("Block", request=1, user=11))
            self.assertEqual(ann.until("Blocks").users, [11])
            ann.send(frame("Block", request=2, user=12))
            got = ann.receive()
            self.assertEqual((got.kind, wire.ERRORS[got.code], got.request), ("Error", "BlockLimit", 2))
            ann.ping()
