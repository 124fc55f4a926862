#!/usr/bin/python3
"""The three situations, two devices of one user, a recipient that reads nothing and a drain under load: with the real
binaries, compared in every device's own SQLite."""
import os
import signal
import sys
import time

from harness import DELIVERED, Device, Server, require, run, settled, wait_until


def three_situations(folder):
    # Live is what is confirmed in time, and nobody knows how much of it this machine needs.
    server = Server(folder + "/server", ["--set", "limits.delivery.confirm_ms_max=3600000"])
    server.start("--reactors", "2")
    a, b = Device(server, "alice", "phone", folder), Device(server, "bob", "phone", folder)
    a.talk("bob")
    b.listen()
    try:
        wait_until(lambda: a.identity()[1] and b.identity()[1], 10, "no login")
        a.say("both are here")
        settled([a, b])
        require(server.metric("perch_messages_stored_total") == 0, "written to the disk with everybody there")
        b.leave()
        a.say("bob is away")
        wait_until(lambda: len(a.outbox()) == 2 and a.outbox()[1][4] == 1, 10, "no first tick for an absent recipient")
        time.sleep(0.3)
        require(a.outbox()[1][4] == 1 and len(b.inbox()) == 1, "delivered to nobody")
        require(server.metric("perch_messages_stored_total") == 1, "a first tick without a write")
        b.listen()
        settled([a, b])
        require([row[4] for row in a.outbox()] == [DELIVERED, DELIVERED], "the second tick did not come")
        server.kill()
        a.say("the server is away")
        wait_until(lambda: len(a.outbox()) == 3, 10, "not queued")
        require(a.outbox()[2][3] == 1, "closed without a server")
        server.start()
        settled([a, b])
    finally:
        a.leave()
        b.leave()
    require(server.drain() == 0, "perchd did not end cleanly")


def two_devices(folder):
    server = Server(folder + "/server")
    server.start()
    phone, laptop = Device(server, 1, "phone", folder), Device(server, 1, "laptop", folder)
    b = Device(server, 2, "phone", folder)
    phone.talk(2)
    laptop.listen()
    b.talk(1)
    try:
        wait_until(lambda: all(d.identity()[1] for d in (phone, laptop, b)), 10, "no login")
        phone.say("from the phone")
        b.say("to both devices")
        settled([phone, laptop, b])
        laptop.leave()
        phone.say("the laptop is closed")
        b.say("and gets this later")
        time.sleep(0.5)
        server.kill()
        server.start()
        laptop.listen()
        total = settled([phone, laptop, b])
        require(total["copies"] == 8, f"4 messages on 2 devices each: {total}")
    finally:
        for device in (phone, laptop, b):
            device.leave()
    require(server.drain() == 0, "perchd did not end cleanly")


def eight_devices(folder):
    server = Server(folder + "/server")
    server.start()
    a = Device(server, 1, "phone", folder)
    all_of_b = [Device(server, 2, f"device {i}", folder) for i in range(8)]
    a.talk(2)
    try:
        for device in all_of_b:
            device.listen()
        wait_until(lambda: all(d.identity()[1] for d in (a, *all_of_b)), 20, "no login")
        a.say("to all of them")
        settled([a, *all_of_b])
        for device in all_of_b[::2]:
            device.leave()
        a.say("half of them are away")
        wait_until(lambda: a.marks() == [DELIVERED, DELIVERED], 10, "not safe for those that are away")
        for device in all_of_b[::2]:
            device.listen()
        total = settled([a, *all_of_b])
        require(total["copies"] == 16, f"2 messages on 8 devices: {total}")
    finally:
        for device in (a, *all_of_b):
            device.leave()
    require(server.drain() == 0, "perchd did not end cleanly")


def reader_that_stops(folder):
    """Its messages wait on the disk, but for the window of what is sent and not confirmed. What the server has of them
    in memory beside that is in flight: at most a window of the sender's messages, and once more while it is sent."""
    kib_each, num, window_kib = 60, 900, 64 * 60
    server = Server(folder + "/server")
    server.start("--reactors", "1")
    a, b = Device(server, 1, "phone", folder), Device(server, 2, "phone", folder)
    a.talk(2)
    b.listen()
    try:
        wait_until(lambda: a.identity()[1] and b.identity()[1], 10, "no login")
        b.process.send_signal(signal.SIGSTOP)
        before = server.anonymous_kib()
        text = "x" * (kib_each << 10)
        for line in range(num):
            a.say(f"{line} {text}")
        # No answer within two seconds: stored, the sender is not kept waiting.
        wait_until(lambda: a.marks() == [1] * num, 120, "not accepted")
        grown, bound = server.anonymous_kib() - before, 8 << 10  # window, receive buffers, what the allocator keeps
        require(2 * window_kib <= bound < kib_each * num / 4, "the bound says nothing")
        require(grown <= bound, f"{kib_each * num} KiB wait for a reader that stopped, and the server grew by {grown} KiB")
        b.process.send_signal(signal.SIGCONT)
        settled([a, b], 120)
    finally:
        b.process.send_signal(signal.SIGCONT)
        a.leave()
        b.leave()
    require(server.drain() == 0, "perchd did not end cleanly")


def drain_under_load(folder):
    server = Server(folder + "/server")
    server.start("--reactors", "2")
    a, b = Device(server, 1, "phone", folder), Device(server, 2, "phone", folder)
    a.talk(2)
    b.talk(1)
    try:
        wait_until(lambda: a.identity()[1] and b.identity()[1], 10, "no login")
        for turn in range(3):
            for line in range(100):
                a.say(f"{turn} {line}")
                b.say(f"{turn} {line} back")
            require(server.drain() == 0, "perchd did not end cleanly")
            # More of them than there are cores, too.
            server.start("--reactors", str((1, 2, os.cpu_count() + 1)[turn]))
        settled([a, b], 60)
    finally:
        a.leave()
        b.leave()
    require(server.drain() == 0, "perchd did not end cleanly")


def all_tests(folder):
    for test in (three_situations, two_devices, eight_devices, reader_that_stops, drain_under_load):
        started = time.monotonic()
        own = f"{folder}/{test.__name__}"
        os.mkdir(own)
        test(own)
        print(f"{test.__name__}: held ({time.monotonic() - started:.1f} s)", flush=True)
    return "every situation held"


if __name__ == "__main__":
    sys.exit(run(all_tests))
