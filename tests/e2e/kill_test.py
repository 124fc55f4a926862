#!/usr/bin/python3
"""Fifty times kill -9 under load, of the server and of clients, then everything heals, every outbox is compared with what
was typed, and every device's SQLite with every outbox. Seeded: PERCH_SEED=N repeats the choices (not the timing)."""
import os
import random
import sys
import time

from harness import Device, Server, check, require, run, wait_until

KILLS = int(os.environ.get("PERCH_KILLS", "50"))
PAIRS = 3


def kills(folder):
    seed = int(os.environ.get("PERCH_SEED", str(random.randrange(1 << 30))))
    print(f"seed {seed}", flush=True)
    choose = random.Random(seed)
    server = Server(folder + "/server")
    server.start("--reactors", "2")
    talkers = []
    for pair in range(PAIRS):
        a, b = 100 + 2 * pair, 101 + 2 * pair
        talkers += [(Device(server, a, "phone", folder), b), (Device(server, b, "phone", folder), a)]
    tablet = Device(server, 101, "tablet", folder)
    devices = [d for d, _ in talkers] + [tablet]
    count = 0
    try:
        for device, peer in talkers:
            device.talk(peer)
        tablet.listen()
        # An account exists from its first login on, and a device gets what arrives from then on.
        wait_until(lambda: all(d.identity()[1] for d in devices), 20, "not every device has logged in once")

        def speak(rounds):
            nonlocal count
            for _ in range(rounds):
                for device, _ in talkers:
                    count += 1
                    device.say(f"line {count}")
                time.sleep(0.01)

        server_kills = client_kills = 0
        for kill in range(KILLS):
            speak(choose.randint(1, 12))
            if choose.random() < 0.6:
                server.kill()
                server_kills += 1
                speak(choose.randint(0, 3))
                server.start("--reactors", str(choose.choice([1, 2, 3])))
            else:
                device, peer = choose.choice(talkers + [(tablet, None)])
                device.kill()
                client_kills += 1
                speak(choose.randint(0, 6))
                device.talk(peer) if peer else device.listen()
            time.sleep(choose.random() * 0.6)
        speak(3)

        def healed():
            _, left = check(devices)
            return not left

        end = time.monotonic() + 120
        while not healed() and time.monotonic() < end:
            time.sleep(1)
        require(server.process.poll() is None, "perchd ended by itself")
        require(KILLS < 20 or (server_kills > 0 and client_kills > 0),  # of fewer all may well be of one kind
                f"{server_kills} server kills, {client_kills} client kills: both must happen")
        total, problems = check(devices)
        require(not problems, "\n".join(problems[:20]) + f"\n{total}")
        require(total["messages"] > KILLS and total["copies"] > total["messages"], f"too little was said: {total}")
        told = sum(len(device.told_kept()) for device, _ in talkers)
        require(told > KILLS, f"clients said of {told} lines only that they are kept: that check saw nothing")
        for device in devices:
            device.leave()
        require(server.drain() == 0, "perchd did not drain")
        return (f"{server_kills} server kills, {client_kills} client kills, {count} lines, {total['messages']} messages, "
                f"{total['copies']} copies: 0 lost, 0 duplicated, 0 out of order")
    finally:
        for device in devices:
            device.leave()
        if server.process and server.process.poll() is None:
            server.process.kill()
            server.process.wait()


if __name__ == "__main__":
    sys.exit(run(kills))
