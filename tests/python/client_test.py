#!/usr/bin/python3
"""The asyncio client of Python against a scripted server on a real socket: ends, callbacks, waiting."""
import asyncio
import pathlib
import sys
import tempfile
import unittest

from perch_client import Client, Mark, NotRunning, Refused, wire
from server import MY_DEVICE, PEER, frame, message, welcome


class Server:
    """Answers each login with Welcome and each Message as `answer` says."""

    def __init__(self, answer):
        self.answer, self.heard, self.writers = answer, [], []

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        return self.server.sockets[0].getsockname()[:2]

    async def __aexit__(self, *_):
        for writer in self.writers:
            writer.close()
        self.server.close()

    async def serve(self, reader, writer):
        self.writers.append(writer)
        framer = wire.Framer()
        while data := await reader.read(65536):
            for one in framer.feed(data):
                parsed = wire.parse(one)
                self.heard.append(parsed.kind)
                answers = {"Hello": lambda _: [welcome()], "Message": self.answer}.get(parsed.kind, lambda _: [])(parsed)
                writer.write(b"".join(answers))
        writer.close()


def outcome(tick):
    return lambda sent: [frame("Outcome", origin=sent.route.origin, seq=sent.route.seq, number=1024 * sent.route.seq,
                               time_ms=9, tick=tick)]


def accepted_then_delivered(sent):
    return [*outcome(1)(sent), frame("Receipt", peer=PEER, device=MY_DEVICE, origin=sent.route.origin, first=0,
                                     up_to=sent.route.seq)]


class ClientTest(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="perch-python-")
        self.addCleanup(folder.cleanup)
        self.profile = pathlib.Path(folder.name)

    async def test_closes_under_traffic(self):
        for _ in range(20):
            async with asyncio.timeout(20), Server(accepted_then_delivered) as address:
                async with Client(self.profile, address, "token") as client:
                    row = client.send(PEER, "hello")
                    self.assertEqual((await client.until(row, Mark.DELIVERED)).mark, Mark.DELIVERED)

    async def test_a_callback_that_raises_ends_nothing(self):
        raised = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context["exception"]))
        answer = lambda sent: [message(1, 1, b"\xff"), message(2, 2, b"next"), *outcome(2)(sent)]  # noqa: E731
        async with asyncio.timeout(20), Server(answer) as address, Client(self.profile, address, "token") as client:
            heard = []
            client.on_message = lambda message, insert: heard.append(message.body.decode())
            await client.until(client.send(PEER, "hello"), Mark.DELIVERED)
            self.assertEqual(heard, ["next"])
            self.assertEqual([type(error) for error in raised], [UnicodeDecodeError])
            self.assertEqual(len(client.storage.inbox()), 2)

    async def test_refused(self):
        answer = lambda sent: [frame("Rejected", origin=sent.route.origin, seq=sent.route.seq, number=1)]  # noqa: E731
        async with asyncio.timeout(20), Server(answer) as address, Client(self.profile, address, "token") as client:
            with self.assertRaises(Refused):
                await client.until(client.send(PEER, "hello"))

    async def test_who_waits_is_told_of_a_stop_and_of_the_end(self):
        answer = lambda sent: [frame("Error", code=16, text="the token has expired")]  # noqa: E731
        async with asyncio.timeout(20), Server(answer) as address:
            async with Client(self.profile, address, "token") as client:
                stops = []
                client.on_stopped = stops.append
                row = client.send(PEER, "hello")
                for waiting in (client.until(row), client.until_settled()):
                    with self.assertRaisesRegex(NotRunning, "the token has expired"):
                        await waiting
                self.assertEqual([stop.needs_token for stop in stops], [True])
                client.set_token("another")
                waiting = asyncio.create_task(client.until(row))
                await asyncio.sleep(0)
            with self.assertRaises(NotRunning):
                await waiting

    async def test_comes_back_and_sends_again(self):
        kept = []

        def answer(sent):
            kept.append(sent)
            return outcome(2)(sent) if len(kept) > 1 else [frame("Error", code=200)]

        server = Server(answer)
        async with asyncio.timeout(20), server as address, Client(self.profile, address, "token") as client:
            await client.until(client.send(PEER, "hello"), Mark.DELIVERED)
        self.assertEqual([one.route.seq for one in kept], [1, 1])
        self.assertEqual(server.heard.count("Hello"), 2)

    async def test_works_offline(self):
        async with Server(outcome(1)) as address:
            pass
        async with asyncio.timeout(20), Client(self.profile, address, "token") as client:
            told = asyncio.get_running_loop().create_future()
            client.on_offline = lambda why: told.done() or told.set_result(why)
            row = client.send(PEER, "hello")
            await told
            self.assertEqual(client.storage.row(row).mark, Mark.QUEUED)

    async def test_a_fault_of_ours_is_no_silence(self):
        async with asyncio.timeout(20), Server(outcome(1)) as address:
            client = Client(self.profile, address, "token")
            client._device.received = lambda data: 1 // 0
            await client.__aenter__()
            with self.assertRaisesRegex(NotRunning, "ZeroDivisionError"):
                await client.until(client.send(PEER, "hello"))
            with self.assertRaises(ZeroDivisionError):
                await client.close()


if __name__ == "__main__":
    outcome_of_all = unittest.main(exit=False).result
    print(f"{outcome_of_all.testsRun} tests, {len(outcome_of_all.failures) + len(outcome_of_all.errors)} failed")
    sys.exit(not outcome_of_all.wasSuccessful() or outcome_of_all.testsRun == 0)
