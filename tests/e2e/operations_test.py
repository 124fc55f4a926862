#!/usr/bin/python3
"""What monitoring sees of a server over HTTP: /metrics, strictly read, /healthz and /readyz, through start and drain; and
that nobody who asks there can hold up anything."""
import contextlib
import http.client
import pathlib
import signal
import socket
import subprocess
import tempfile
import unittest

import prometheus_text
import wire
from harness import BIN, wait_until


class Monitored(unittest.TestCase):
    def start(self, *flags, **environment):
        self.server = wire.Perchd("--accounts-auto", "--reactors", "2", "--set", "operations.listen=127.0.0.1:0", *flags,
                                  **environment)
        self.addCleanup(self.server.stop)
        line = self.server.process.stdout.readline()
        self.assertRegex(line, r"^operations http://127\.0\.0\.1:\d+/metrics$")
        self.port = int(line.split(":")[2].split("/")[0])

    def get(self, path, method="GET", timeout=20):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)) as connection:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer

    def test_metrics(self):
        self.start()
        with self.server.login(1) as ada, self.server.login(2) as bob:
            ada.message(2)
            bob.take()
            ada.until("Outcome")
            self.server.login(3).close()
            ada.message(3)  # for a device that is away: the store thread commits
            ada.until("Outcome")
            status, text, answer = self.get("/metrics")
        self.assertEqual(status, 200)
        self.assertEqual(answer.getheader("Content-Type"), "text/plain; version=0.0.4; charset=utf-8")
        series = prometheus_text.read(text)
        self.assertEqual(sum(value for name, value in series.items() if name.startswith("perch_messages_taken_total")), 2)
        self.assertGreater(series["perch_store_commit_seconds_count"], 0)
        again = prometheus_text.read(self.get("/metrics")[1])
        self.assertEqual(again["perch_http_requests_total"], series["perch_http_requests_total"] + 1)
        for name, value in series.items():
            if "_total" in name:
                self.assertGreaterEqual(again[name], value, name)
        asked = subprocess.run([BIN / "perchd", "--metrics", "--data", self.server.folder / "data"], check=True,
                               capture_output=True, text=True).stdout
        self.assertEqual(set(prometheus_text.read(asked)), set(series))

    def test_the_reader_is_strict(self):
        good = '# HELP perch_a_total x\n# TYPE perch_a_total counter\nperch_a_total{core="0"} 1\n'
        prometheus_text.read(good)
        for old, new in (("_total ", "_totals "), ("counter", "gauge"), (" 1\n", " 1"), ("# TYPE", "# TIPE"), (" x\n", "\n"),
                         (" 1\n", " one\n"), ('"0"', "0"), (" 1\n", ' 1\nperch_a_total{core="0"} 1\n'),
                         ("{core", "_b{core"), ("perch_a", "perch_a_ms"), ("perch_a", "perch_aB"),
                         (" 1\n", ' 1\n# HELP perch_b_total x\n# TYPE perch_b_total counter\n')):
            with self.assertRaises(prometheus_text.Wrong, msg=f"{old!r} {new!r}"):
                prometheus_text.read(good.replace(old, new))

    def test_refusals_are_counted(self):
        self.start()
        self.assertEqual(self.get("/")[0], 404)
        self.assertEqual(self.get("/metrics", "POST")[0], 405)
        with socket.create_connection(("127.0.0.1", self.port), 20) as peer:
            peer.sendall(b"hello\r\n\r\n")
            self.assertTrue(peer.recv(100).startswith(b"HTTP/1.1 400 "))
        with socket.create_connection(("127.0.0.1", self.port), 20) as peer:
            peer.sendall(b"GET / HTTP/1.1\r\n" + b"x" * 10_000)
            self.assertTrue(peer.recv(100).startswith(b"HTTP/1.1 431 "))
        series = prometheus_text.read(self.get("/metrics")[1])
        for reason in ("not_found", "method", "malformed", "too_large"):
            self.assertEqual(series[f'perch_http_refused_total{{reason="{reason}"}}'], 1, reason)

    def test_who_asks_slowly_holds_up_nobody(self):
        self.start()
        with contextlib.ExitStack() as all_of_them:
            for _ in range(16):  # chat/http.h: so many places
                peer = all_of_them.enter_context(socket.create_connection(("127.0.0.1", self.port), 20))
                peer.sendall(b"GET /metr")
            with self.server.login(1) as ada, self.server.login(2) as bob:
                ada.message(2)
                bob.take()
                ada.until("Outcome")
            health = subprocess.run([BIN / "perchd", "--health", "--data", self.server.folder / "data"], timeout=20,
                                    capture_output=True, text=True).stdout
            self.assertEqual(health, "ok\n")
            self.assertEqual(self.get("/healthz")[0], 200)  # once they have lost their places
            wait_until(lambda: prometheus_text.read(self.get("/metrics")[1])
                       ['perch_http_refused_total{reason="timeout"}'] == 16, 20, "not all have lost their places")
        series = prometheus_text.read(self.get("/metrics")[1])
        self.assertGreaterEqual(series["perch_http_paused_total"], 1)

    def test_health(self):
        self.start()
        for path in ("/healthz", "/readyz"):
            self.assertEqual(self.get(path)[:2], (200, "ok\n"))
            self.assertEqual(self.get(path, "HEAD")[:2], (200, ""))

    def test_health_while_it_drains(self):
        with tempfile.NamedTemporaryFile() as stuck:
            stuck.close()  # a name that nobody has
            self.addCleanup(pathlib.Path(stuck.name).unlink, missing_ok=True)
            self.start(LD_PRELOAD=str(BIN.parent / "tests/e2e/held_flush.so"), HELD_FLUSH=stuck.name)
            self.server.login(2).close()
            with self.server.login(1) as ada:
                pathlib.Path(stuck.name).touch()
                ada.message(2)
                self.server.process.send_signal(signal.SIGTERM)
                wait_until(lambda: self.get("/readyz")[:2] == (503, "draining\n"), 10, "it does not drain")
                self.assertEqual(self.get("/healthz")[:2], (200, "draining\n"))
                pathlib.Path(stuck.name).unlink()
                self.assertEqual(self.server.process.wait(20), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
