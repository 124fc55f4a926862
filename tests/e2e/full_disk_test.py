#!/usr/bin/python3
"""A disk that another process fills: new messages are held, what waits is handed over, confirmed and deleted all the
same, nothing is lost, and all goes on when there is room. Needs root for a small tmpfs; without it is skipped."""
import os
import subprocess
import sys

from harness import ACCEPTED, DELIVERED, Device, Server, Skipped, require, run, settled, wait_until


def full_disk(folder):
    disk = folder + "/disk"
    os.mkdir(disk)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "perch-test", disk], capture_output=True).returncode:
        raise Skipped("no tmpfs can be mounted here")
    server = Server(folder + "/server")
    try:
        (server.folder / "data").symlink_to(disk)
        server.start("--reactors", "1")
        a, b = Device(server, 1, "phone", folder), Device(server, 2, "phone", folder)
        a.talk(2)
        b.listen()
        wait_until(lambda: a.identity()[1] and b.identity()[1], 10, "no login")
        b.leave()
        waiting = [f"before {line} " + "x" * 2000 for line in range(3)]
        for line in waiting:
            a.say(line)
        wait_until(lambda: a.marks() == [ACCEPTED] * 3, 30, "not accepted while there is room")
        with open(disk + "/filler", "wb") as filler:
            try:
                while True:
                    filler.write(bytes(65536))
                    filler.flush()
            except OSError:
                pass
        for line in range(50):
            a.say(f"{line} " + "y" * 2000)
        wait_until(lambda: server.metric("perch_held_total", "store_full") > 0, 30, "nothing was held")
        require(server.process.poll() is None,
                f"perchd ended because the disk is full: status {server.process.poll()}, "
                + (server.folder / "perchd.log").read_text()[-500:])
        require(any(row[3] for row in a.outbox()), "everything was accepted on a full disk")
        held = server.metric("perch_held_total", "store_full")
        b.listen()
        wait_until(lambda: a.marks()[:3] == [DELIVERED] * 3, 30, "what waited was not handed over on a full disk")
        wait_until(lambda: server.metric("perch_held_total", "store_full") > held, 30, "the disk is not full any more")
        os.unlink(disk + "/filler")
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


if __name__ == "__main__":
    sys.exit(run(full_disk))
