#!/usr/bin/python3
"""The three situations, two devices of one user, a recipient that reads nothing, a drain under load and a disk that is
full: with the real binaries, compared in every device's own SQLite."""
import os
import signal
import subprocess
import sys
import time

from harness import DELIVERED, Device, Failure, Server, check, require, run, wait_until


def settled(devices, seconds=30):
    """Waits until all that was said is in outboxes and, once, in order and with two ticks, in inboxes."""
    said = sum(device.num_said for device in devices)
    end = time.monotonic() + seconds
    while True:
        total, problems = check(devices)
        if not problems and total["messages"] == said:
            return total
        require(time.monotonic() < end, f"{total['messages']} of {said} in outboxes; {problems[:5]}")
        time.sleep(0.1)


def three_situations(folder):
    server = Server(folder + "/server")
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


def reader_that_stops(folder):
    server = Server(folder + "/server")
    server.start()
    a, b = Device(server, 1, "phone", folder), Device(server, 2, "phone", folder)
    a.talk(2)
    b.listen()
    try:
        wait_until(lambda: a.identity()[1] and b.identity()[1], 10, "no login")
        b.process.send_signal(signal.SIGSTOP)
        text = "x" * 1000
        for line in range(1000):
            a.say(f"{line} {text}")
        # No answer within two seconds: stored, the sender is not kept waiting, the server's memory stays bounded.
        wait_until(lambda: len(a.outbox()) == 1000 and all(row[4] == 1 for row in a.outbox()), 60, "not accepted")
        b.process.send_signal(signal.SIGCONT)
        settled([a, b], 60)
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
            server.start("--reactors", str(turn + 1))
        settled([a, b], 60)
    finally:
        a.leave()
        b.leave()
    require(server.drain() == 0, "perchd did not end cleanly")


def full_disk(folder):
    """Needs root for a small tmpfs; without it says so and is not counted."""
    disk = folder + "/disk"
    os.mkdir(disk)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "perch-test", disk], capture_output=True).returncode:
        return "not run: no tmpfs can be mounted here"
    server = Server(folder + "/server")
    try:
        (server.folder / "data").symlink_to(disk)
        server.start("--reactors", "1")
        a, b = Device(server, 1, "phone", folder), Device(server, 2, "phone", folder)
        a.talk(2)
        b.listen()
        wait_until(lambda: a.identity()[1] and b.identity()[1], 10, "no login")
        b.leave()
        with open(disk + "/filler", "wb") as filler:
            try:
                while True:
                    filler.write(bytes(65536))
                    filler.flush()
            except OSError:
                pass
        for line in range(50):
            a.say(f"{line} " + "y" * 2000)
        time.sleep(3)
        require(server.process.poll() is None,
                f"perchd ended because the disk is full: status {server.process.poll()}, "
                + (server.folder / "perchd.log").read_text()[-500:])
        require(any(row[3] for row in a.outbox()), "everything was accepted on a full disk")
        os.unlink(disk + "/filler")
        b.listen()
        settled([a, b], 60)
        a.leave()
        b.leave()
        require(server.drain() == 0, "perchd did not end cleanly")
    finally:
        if server.process and server.process.poll() is None:
            server.process.kill()
            server.process.wait()
        subprocess.run(["umount", disk])
    return "held, then delivered"


def all_tests(folder):
    for test in (three_situations, two_devices, reader_that_stops, drain_under_load, full_disk):
        started = time.monotonic()
        own = f"{folder}/{test.__name__}"
        os.mkdir(own)
        said = test(own)
        print(f"{test.__name__}: {said or 'held'} ({time.monotonic() - started:.1f} s)", flush=True)
    return "every situation held"


if __name__ == "__main__":
    sys.exit(run(all_tests))
