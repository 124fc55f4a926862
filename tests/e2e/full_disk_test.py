#!/usr/bin/python3
"""A disk that another process fills: messages are held, nothing is lost, and all goes on when there is room. Needs root
for a small tmpfs; without it is skipped."""
import os
import subprocess
import sys

from harness import Device, Server, Skipped, require, run, settled, wait_until


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


if __name__ == "__main__":
    sys.exit(run(full_disk))
