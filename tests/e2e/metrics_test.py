#!/usr/bin/python3
"""Drives every limit that can be reached in seconds and sees the metric that core/limits.h names for it move, by
exactly as much as it should, while no other sign of trouble moves. Each case has a perchd of its own.

Not here, because they take a minute or a broken machine: silence with its real clients, a poisoned store;
net's and the store's unit tests have them.
"""
import contextlib
import pathlib
import re
import subprocess
import tempfile
import time
import unittest

import wire
from harness import BIN
from wire import frame, message, sized

ADA, BOB = 1, 2
PERCHD = BIN / "perchd"
TROUBLE = ("perch_errors_sent_total", "perch_held_total", "perch_rejected_total", "perch_accepts_paused_total",
           "perch_connections_refused_total", "perch_devices_", "perch_expired_total", "perch_deliveries_paused_total",
           "perch_store_refused_total", "perch_store_full", "perch_store_poisoned", "perch_send_queue_full_total",
           "perch_receive_buffers_exhausted_total", "perch_control_refused_total", "perch_store_messages_split_total",
           'perch_connections_closed_total{reason="')
CALM = ('perch_connections_closed_total{reason="peer"}', 'perch_connections_closed_total{reason="local"}')


def ask(data, what: str) -> subprocess.CompletedProcess:
    return subprocess.run([PERCHD, f"--{what}", "--data", data], capture_output=True, text=True, timeout=30)


def settle(read, good, what: str):
    """Reads until `good`; counters that follow a completion come a turn after the answer that a client sees."""
    end = time.monotonic() + 10
    while True:
        value = read()
        if good(value):
            return value
        assert time.monotonic() < end, f"{what}: {value}"
        time.sleep(0.02)


class Watched:
    """A perchd with limits of the test's choice, and what has moved since it started."""

    def __init__(self, test: unittest.TestCase, *flags: str, auto: bool = True,
                 data: pathlib.Path | None = None, **limits):
        for name, value in limits.items():
            flags += ("--set", f"limits.{name.replace('__', '.')}={value}")
        self.server = wire.Perchd(*flags, *(["--accounts-auto"] if auto else []), data=data)
        self.data = data or self.server.folder / "data"
        self.devices: list[wire.Device] = []
        test.addCleanup(self.stop)
        self.zero = self.read()

    def login(self, *args, **fields) -> wire.Device:
        """Stays connected to the end of the test, or until the test closes it."""
        self.devices.append(self.server.login(*args, **fields))
        return self.devices[-1]

    def stop(self):
        for device in self.devices:
            device.close()
        status = self.server.stop()
        assert status == 0, f"exit status {status} instead of a drain"

    def read(self) -> dict[str, float]:
        """Series without their core, summed over cores."""
        got = ask(self.data, "metrics")
        assert got.returncode == 0, got.stderr
        sums: dict[str, float] = {}
        for line in got.stdout.splitlines():
            if line.startswith("#"):
                continue
            series, value = line.rsplit(" ", 1)
            name, _, labels = series.partition("{")
            kept = [label for label in labels.rstrip("}").split(",") if label and not label.startswith("core=")]
            key = name + ("{" + ",".join(kept) + "}" if kept else "")
            sums[key] = sums.get(key, 0) + float(value)
        return sums

    def moved(self) -> dict[str, float]:
        now = self.read()
        return {name: now[name] - self.zero[name] for name in now if now[name] != self.zero[name]}

    def sees(self, expected: dict[str, float]) -> None:
        """All of `expected` has moved so, and no sign of trouble besides."""
        def wrong(moved):
            out = {name: moved.get(name, 0) for name, by in expected.items() if moved.get(name, 0) != by}
            return out | {name: by for name, by in moved.items()
                          if name.startswith(TROUBLE) and name not in CALM and name not in expected}
        settle(lambda: wrong(self.moved()), lambda out: not out, f"expected {expected}, but")


class Metrics(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="perch-e2e-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def test_no_server(self):
        folder = self.folder + "/no-server-runs-here"
        for what in ("metrics", "health"):
            got = ask(folder, what)
            self.assertEqual((got.returncode, got.stdout), (1, ""))
            self.assertEqual(got.stderr, f"perchd: --data {folder}: no server runs there\n")

    def test_long_folder(self):
        folder = self.folder + "/" + "x" * 120
        secret = pathlib.Path(self.folder) / "secret"
        secret.write_bytes(wire.SECRET)
        got = subprocess.run([PERCHD, "--data", folder, "--secret-file", secret, "--listen", "127.0.0.1:0"],
                             capture_output=True, text=True, timeout=30)
        self.assertEqual(got.returncode, 2)
        self.assertIn("99 bytes", got.stderr)

    def test_three_situations(self):
        watched = Watched(self, delivery__confirm_ms_max=3_600_000)
        ada, bob = watched.login(ADA), watched.login(BOB)
        ada.message(BOB)
        bob.take()
        ada.until("Outcome")
        watched.sees({"perch_logins_total": 2, "perch_sessions": 2, "perch_connections": 2, "perch_users_loaded": 2,
                      "perch_messages_taken_total": 1, "perch_messages_forwarded_live_total": 1,
                      'perch_results_total{tick="delivered"}': 1, "perch_messages_to_store_total": 0,
                      "perch_frames_received_total": 4, "perch_frames_sent_total": 4})
        bob.close()
        settle(watched.moved, lambda moved: moved.get("perch_sessions") == 1, "one session is left")
        ada.message(BOB, b"x" * 100)
        ada.message(BOB, b"y" * 3000)
        for _ in range(2):
            ada.until("Outcome")
        watched.sees({"perch_messages_taken_total": 3, "perch_messages_need_store_total": 2,
                      "perch_messages_to_store_total": 2, "perch_messages_stored_total": 2,
                      'perch_results_total{tick="accepted"}': 2, "perch_store_messages_split_total": 1,
                      "perch_messages_handed_over_total": 0})
        bob = watched.login(BOB, attempt=2)
        for _ in range(2):
            bob.take()
        ada.until("Receipt")
        watched.sees({"perch_messages_handed_over_total": 2, "perch_receipts_total": 2, "perch_logins_total": 3,
                      'perch_connections_closed_total{reason="peer"}': 1, "perch_store_messages_split_total": 1})
        moved = watched.moved()
        self.assertGreater(moved["perch_store_message_bytes_total"], 3100)
        self.assertEqual(moved["perch_store_commit_seconds_count"], moved["perch_store_commits_total"])
        self.assertEqual(moved["perch_store_batch_operations_sum"], moved["perch_store_operations_total"])
        self.assertEqual(ask(watched.data, "health").stdout, "ok\n")

    def test_bad_input(self):
        watched = Watched(self, auto=False)
        server = watched.server

        def refused(data: bytes) -> str:
            with server.connect() as connection:
                connection.send(data)
                return connection.error().name

        self.assertEqual(refused(wire.hello(ADA, token="a.b.c")), "TokenInvalid")
        self.assertEqual(refused(wire.hello(ADA, token=wire.token(ADA, seconds=-100))), "TokenExpired")
        self.assertEqual(refused(wire.hello(ADA)), "NoAccount")
        self.assertEqual(refused(sized(wire.HELLO_BYTES_MAX + 1)), "TooLarge")
        self.assertEqual(refused(sized(1)), "Malformed")
        self.assertEqual(refused(frame("Ping", nonce=1)), "State")
        watched.sees({'perch_errors_sent_total{code="token_invalid"}': 1, 'perch_errors_sent_total{code="state"}': 1,
                      'perch_errors_sent_total{code="token_expired"}': 1, 'perch_errors_sent_total{code="no_account"}': 1,
                      'perch_errors_sent_total{code="malformed"}': 1, 'perch_errors_sent_total{code="too_large"}': 1,
                      'perch_connections_closed_total{reason="bad_frame"}': 1,
                      'perch_connections_closed_total{reason="frame_too_large"}': 1,
                      'perch_connections_closed_total{reason="local"}': 4, "perch_connections_accepted_total": 6})

    def test_deadlines(self):
        data = pathlib.Path(self.folder) / "data"
        first = wire.Perchd("--accounts-auto", data=data)  # so that no login has to wait for the disk
        for user in (ADA, BOB):
            first.login(user).close()
        self.assertEqual(first.stop(), 0)
        watched = Watched(self, data=data, connections__login_ms_max=1_000, connections__frame_ms_max=1_000,
                          connections__ping_ms=1_000, connections__silence_ms_max=3_000)
        with watched.server.connect() as silent:
            self.assertEqual(silent.error().name, "LoginTimeout")
        half, idle = watched.login(ADA), watched.login(BOB)
        half.send(frame("Ping", nonce=1)[:10])
        self.assertEqual(half.error().name, "FrameTimeout")
        self.assertEqual(idle.error().name, "Idle")
        watched.sees({f'perch_connections_closed_total{{reason="{reason}"}}': 1
                      for reason in ("login_timeout", "frame_timeout", "silence")} |
                     {f'perch_errors_sent_total{{code="{code}"}}': 1
                      for code in ("login_timeout", "frame_timeout", "idle")})

    def test_connections(self):
        watched = Watched(self, connections__connections_max=3)
        taken = [watched.login(user) for user in (1, 2, 3)]
        waiting = watched.server.connect()
        paused = 'perch_accepts_paused_total{reason="connections"}'
        watched.sees({paused: 1, "perch_connections": 3, "perch_connections_accepted_total": 3})
        taken[0].close()
        watched.sees({paused: 2, "perch_connections": 3, "perch_connections_accepted_total": 4})
        waiting.close()

    def test_rejections(self):
        watched = Watched(self, delivery__devices_max=2, delivery__mailbox_items_max=3)
        server = watched.server
        ada, bob = watched.login(ADA), watched.login(BOB, "awake")
        watched.login(BOB, "away").close()
        with server.connect() as third:
            third.send(wire.hello(BOB, "third"))
            self.assertEqual(third.error().name, "DeviceLimit")
        ada.message(999)
        ada.until("Rejected")
        ada.message(BOB, b"x" * (wire.BODY_BYTES_MAX + 1))
        ada.until("Rejected")
        expected = {'perch_errors_sent_total{code="device_limit"}': 1, 'perch_rejected_total{reason="not_found"}': 1,
                    'perch_rejected_total{reason="too_large"}': 1}
        watched.sees(expected)
        for _ in range(4):  # the fourth finds the device that is away full
            ada.message(BOB)
            bob.take()
            ada.until("Outcome")
        watched.sees(expected | {"perch_devices_overflowed_total": 1})
        bob.close()
        settle(watched.moved, lambda moved: moved.get("perch_sessions") == 1, "one session is left")
        for _ in range(3):
            ada.message(BOB)
            ada.until("Outcome")
        ada.message(BOB)
        ada.until("Rejected")
        watched.sees(expected | {"perch_devices_overflowed_total": 1, 'perch_rejected_total{reason="mailbox_full"}': 1})

    def test_rate(self):
        watched = Watched(self, delivery__rate_burst=3, delivery__rate_per_second=1)
        ada = watched.login(ADA)
        watched.login(BOB).close()
        for _ in range(4):
            ada.message(BOB)
        self.assertEqual(ada.until("Hold").reason, 1)
        watched.sees({'perch_held_total{reason="rate"}': 1, "perch_messages_taken_total": 3})

    def test_flights_and_window(self):
        watched = Watched(self, delivery__flights_max=2, delivery__window=2, delivery__confirm_ms_max=3_600_000)
        ada, bob, eve = (watched.login(user) for user in (ADA, BOB, 3))
        for _ in range(2):
            ada.message(BOB, closed=1)
        eve.message(BOB)
        eve.until("Hold")
        watched.sees({'perch_held_total{reason="busy"}': 1, "perch_flights": 2, "perch_messages_taken_total": 2})
        self.assertGreater(watched.moved()["perch_flight_bytes"], 0)
        bob.take(), bob.take()
        for _ in range(2):
            ada.until("Outcome")
        ada.send(frame("Ping", nonce=1, closed=99))  # the rows are closed
        watched.sees({'perch_held_total{reason="busy"}': 1, "perch_flights": 0})
        wide = Watched(self, delivery__window=2, delivery__confirm_ms_max=3_600_000)
        ada, bob = wide.login(ADA), wide.login(BOB)
        for _ in range(3):
            ada.message(BOB, closed=1)
        self.assertEqual(ada.error().name, "Window")
        wide.sees({'perch_errors_sent_total{code="window"}': 1, "perch_messages_taken_total": 2})

    def test_slow_reader(self):
        watched = Watched(self, delivery__unconfirmed_frames_max=2, delivery__confirm_ms_max=3_000)
        ada, bob = watched.login(ADA), watched.login(BOB)
        for _ in range(2):
            ada.message(BOB)
        for _ in range(2):
            ada.until("Outcome")
        expected = {"perch_devices_slow_total": 1, "perch_messages_forwarded_live_total": 2,
                    "perch_messages_stored_total": 2}
        watched.sees(expected)
        ada.message(BOB)
        ada.until("Outcome")
        watched.sees(expected | {'perch_deliveries_paused_total{reason="unconfirmed_frames"}': 1,
                                 "perch_messages_stored_total": 3})

    def test_send_queue(self):
        watched = Watched(self, connections__send_queue_frames_max=8)
        ada, bob = watched.login(ADA), watched.login(BOB)
        ada.send(b"".join(message(BOB, seq, origin=ada.origin) for seq in range(1, 13)))
        for _ in range(12):
            bob.take()
        self.assertGreaterEqual(watched.moved()['perch_deliveries_paused_total{reason="send_queue"}'], 1)

    def test_send_queue_full(self):
        watched = Watched(self, connections__send_queue_frames_max=8)
        with watched.server.login(ADA) as device:
            device.send_or_gone(frame("Ping", nonce=1) * 50_000)  # more answers than its socket takes, and it reads none
            watched.sees({"perch_send_queue_full_total": 1, "perch_sessions": 0})

    def test_send_stall(self):
        watched = Watched(self, connections__send_stall_ms_max=300, delivery__confirm_ms_max=3_600_000,
                          delivery__unconfirmed_bytes_max=1 << 30, delivery__window=1000)
        ada = watched.login(ADA)
        watched.login(BOB)  # reads nothing
        for _ in range(250):  # 15 MB, more than the kernel takes
            ada.message(BOB, b"x" * 60_000, closed=1)
        for _ in range(250):
            ada.until("Outcome")
        watched.sees({'perch_connections_closed_total{reason="send_stall"}': 1, "perch_sessions": 1,
                      "perch_store_messages_split_total": 250})

    def test_blocks(self):
        watched = Watched(self, delivery__blocks_max=1)
        ada, bob = watched.login(ADA), watched.login(BOB)
        for request, whom in enumerate((ADA, 999), 1):
            bob.send(wire.frame("Block", request=request, user=whom))
            self.assertEqual(bob.receive().kind, ("Blocks", "Error")[request - 1])
        ada.message(BOB)
        ada.until("Outcome")
        watched.sees({'perch_errors_sent_total{code="block_limit"}': 1, "perch_messages_blocked_total": 1})

    def test_device_removed(self):
        watched = Watched(self, delivery__devices_max=2, delivery__device_removable_ms=1_000)
        for dev in ("first", "second"):
            watched.login(BOB, dev).close()
        settle(watched.moved, lambda moved: "perch_sessions" not in moved, "no session is left")
        time.sleep(1.2)
        watched.login(BOB, "third")
        watched.sees({"perch_devices_removed_total": 1})

    def test_unconfirmed_bytes(self):
        watched = Watched(self, frames__body_bytes_max=2_000, frames__frame_bytes_max=4_096,
                          frames__hello_bytes_max=4_096, delivery__unconfirmed_bytes_max=4_096)
        ada, bob = watched.login(ADA), watched.login(BOB)
        for _ in range(3):
            ada.message(BOB, b"x" * 1_500)
        for _ in range(3):
            ada.until("Outcome")
        moved = settle(watched.moved, lambda moved: moved.get("perch_messages_stored_total") == 3, "all are stored")
        self.assertGreaterEqual(moved['perch_deliveries_paused_total{reason="unconfirmed_bytes"}'], 1)

    def test_time_passes(self):
        watched = Watched(self, delivery__expiry_ms=1_500, store__move_after_ms=200, store__batch_ops_max=1)
        ada = watched.login(ADA)
        watched.login(BOB).close()
        ada.message(BOB)
        ada.until("Outcome")
        self.assertEqual(settle(watched.moved, lambda moved: "perch_store_moved_total" in moved, "never moved")
                         ["perch_store_moved_total"], 1)
        ada.until("Expired")
        watched.sees({"perch_expired_total": 1, "perch_store_moved_total": 1})
        moved = watched.moved()
        self.assertEqual(moved["perch_store_batches_full_total"], moved["perch_store_commits_total"])

    def test_unseen_device(self):
        watched = Watched(self, delivery__device_unseen_ms=1_000)
        ada = watched.login(ADA)
        watched.login(BOB).close()
        settle(watched.moved, lambda moved: moved.get("perch_sessions") == 1, "one session is left")
        time.sleep(1.2)
        ada.message(BOB)
        ada.until("Rejected")
        watched.sees({"perch_devices_unseen_total": 1, 'perch_rejected_total{reason="mailbox_full"}': 1})

    def test_store_full(self):
        watched = Watched(self, store__map_bytes=1 << 20)
        ada = watched.login(ADA)
        watched.login(BOB).close()
        settle(watched.moved, lambda moved: moved.get("perch_sessions") == 1, "one session is left")
        while True:
            ada.message(BOB, b"x" * 60_000)
            got = ada.receive()
            if got.kind == "Hold":
                break
        self.assertEqual(got.reason, 2)
        split = watched.moved()["perch_store_messages_split_total"]
        watched.sees({'perch_held_total{reason="store_full"}': 1, "perch_store_full": 1,
                      "perch_store_messages_split_total": split})
        moved = watched.moved()
        self.assertGreater(moved['perch_store_fill_ratio{map="journal"}'], 0.8)
        self.assertGreater(moved['perch_store_used_bytes{map="journal"}'], 0.8 * (1 << 20))
        self.assertEqual(ask(watched.data, "health").stdout, "full\n")

    def test_mesh(self):
        watched = Watched(self, "--reactors", "2", node__mesh_slots=2)
        ada = watched.login(ADA)
        friends = [watched.login(user) for user in range(100, 108)]  # some live on the other core
        ada.send(b"".join(message(100 + seq % 8, seq + 1, origin=ada.origin) for seq in range(32)))
        for friend in friends:
            for _ in range(4):
                friend.take()
        for _ in range(32):
            ada.until("Outcome")
        moved = settle(watched.moved, lambda moved: "perch_hops_delayed_total" in moved, "no hop was delayed")
        self.assertGreater(moved["perch_connections_moved_total"], 0)
        self.assertGreater(moved["perch_ring_wakes_total"], 0)
        watched.sees({"perch_hops_waiting": 0, "perch_messages_taken_total": 32})


class Drain(unittest.TestCase):
    def test_one_that_cannot_end(self):
        """The disk is stuck: after drain_ms_max it is as at a kill, and nobody has heard of a result."""
        with tempfile.TemporaryFile("w+") as log, tempfile.NamedTemporaryFile() as stuck:
            stuck.close()  # a name that nobody has
            server = wire.Perchd("--accounts-auto", "--set", "limits.node.drain_ms_max=4000", log=log,
                                 LD_PRELOAD=str(BIN.parent / "tests/e2e/held_flush.so"), HELD_FLUSH=stuck.name)
            self.addCleanup(server.stop)
            self.addCleanup(pathlib.Path(stuck.name).unlink, missing_ok=True)
            data = server.folder / "data"

            def draining() -> float:
                return float(re.search(r"^perch_draining_seconds (\S+)$", ask(data, "metrics").stdout, re.M)[1])

            def threads() -> int:  # without the kernel's own workers
                num = 0
                for name in pathlib.Path(f"/proc/{server.process.pid}/task").glob("*/comm"):
                    with contextlib.suppress(OSError):  # it has just ended
                        num += name.read_text() == "perchd\n"
                return num
            server.login(BOB).close()
            with server.login(ADA) as ada:
                num_threads = threads()
                pathlib.Path(stuck.name).touch()
                ada.message(BOB)
                self.assertEqual(draining(), 0)
                server.process.terminate()
                settle(draining, lambda seconds: seconds >= 1, "perch_draining_seconds")
                settle(threads, lambda num: num < num_threads, "the reactor did not end")
                self.assertEqual(ada.receive().kind, "Goaway")
                with self.assertRaises(TimeoutError):
                    ada.receive(timeout=0.2)
            pathlib.Path(stuck.name).unlink()
            self.assertEqual(server.process.wait(30), 0)
            log.seek(0)
            last = log.read().splitlines()[-1]
        self.assertIn("level=error msg=stopped", last)
        self.assertIn('reason="not drained in time', last)


class Log(unittest.TestCase):
    LINE = re.compile(r'ts=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z level=(info|warn|error)( core=(\d+|store))? '
                      r'msg=(\w+|"[ -~]+")( [a-z_]+=([!#-<>-~]+|"[ -~]*"))*')

    def test_lines(self):
        """Every line has the form, says what it should and in order, and holds nothing that is secret."""
        with tempfile.TemporaryFile("w+") as log:
            server = wire.Perchd("--accounts-auto", "--set", "limits.delivery.mailbox_items_max=1", "--set",
                                 "limits.delivery.rate_burst=4", "--set", "limits.delivery.rate_per_second=1", log=log)
            token = wire.token(ADA, seconds=-100)
            for _ in range(30):
                with server.connect() as connection:
                    connection.send(wire.hello(ADA, token=token))
                    self.assertEqual(connection.error().name, "TokenExpired")
            with server.login(ADA) as ada, server.login(BOB, "awake") as bob:
                server.login(BOB, "away").close()
                for _ in range(2):
                    ada.message(BOB, b"private")
                    bob.take()
                    ada.until("Outcome")
                ada.message(999, b"private")
                ada.until("Rejected")
                ada.message(BOB), ada.message(BOB)
                ada.until("Hold")
            self.assertEqual(server.stop(), 0)
            log.seek(0)
            lines = log.read().splitlines()
        # Before the log begins perchd says in plain text what it costs and what it warns of; then nothing but log.
        lines = lines[next(i for i, line in enumerate(lines) if line.startswith("ts=")):]
        for line in lines:
            self.assertRegex(line, f"^{self.LINE.pattern}$")
        said = [re.search(r'msg=("[^"]*"|\w+)', line)[1].strip('"') for line in lines]
        self.assertEqual(said[0], "started")
        self.assertEqual(said[-2:], ["draining", "stopped"])
        self.assertIn("reason=drained", lines[-1])
        self.assertIn("level=warn core=0 msg=\"device overflowed: it has a gap from here on\" user=2 device=2",
                      "\n".join(lines))
        self.assertIn("message rejected", said)
        self.assertIn("message held", said)
        expired = [line for line in lines if "error=TokenExpired" in line]
        self.assertGreater(len(expired), 0)
        self.assertLess(len(expired), 30)  # five a second
        for secret in ("private", token[:20], wire.SECRET.decode()):
            self.assertNotIn(secret, "\n".join(lines))


if __name__ == "__main__":
    unittest.main(verbosity=2)
