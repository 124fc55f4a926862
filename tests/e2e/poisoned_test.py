#!/usr/bin/python3
"""A commit that fails with a real error: the server ends with status 1 and says why, nobody has a tick for what was
not written, and after a restart all of it arrives once. RLIMIT_FSIZE is what makes the write fail."""
import os
import resource
import signal
import subprocess
import sys

from harness import BIN, Device, Server, check, require, run, settled, wait_until

NUM_LINES = 40


def poisoned(folder):
    server = Server(folder + "/server")
    # A write beyond the limit then fails with EFBIG instead of ending the process: perchd inherits this.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    server.start("--reactors", "2", restore_signals=False)
    a, b = Device(server, "alice", "phone", folder), Device(server, "bob", "phone", folder)
    try:
        a.talk("bob")
        b.listen()
        wait_until(lambda: a.identity()[1] and b.identity()[1], 10, "no login")
        b.leave()
        a.say("before")
        wait_until(lambda: a.marks() == [1], 10, "no first tick")

        journal = server.folder / "data/journal/data.mdb"
        size = os.stat(journal).st_size
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        for line in range(NUM_LINES):
            a.say(f"{line} " + "x" * 4000)
        status = server.process.wait(timeout=30)
        log = (server.folder / "perchd.log").read_text()
        require(status == 1, f"perchd ended with status {status}: {log[-500:]}")
        for why in ("a commit failed: the node stops", 'reason="the store failed"'):
            require(why in log, f"the log does not say why: {log[-500:]}")
        asked = subprocess.run([BIN / "perchd", "--data", server.folder / "data", "--health"], capture_output=True)
        require(asked.returncode == 1, f"--health of a node that has ended: {asked}")
        wait_until(lambda: len(a.outbox()) == 1 + NUM_LINES, 10, "not everything is in the outbox")
        unwritten = [row for row in a.outbox() if row[4] == 0]
        require(unwritten and all(row[3] for row in unwritten), "a message that was not written is closed")

        server.start("--reactors", "2")
        b.listen()
        settled([a, b])
        require(server.drain() == 0, "perchd did not end cleanly")
    finally:
        a.leave()
        b.leave()
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()
    total, _ = check([a, b])
    return f"status 1 at a failed commit, {len(unwritten)} rows without a tick; then {total['copies']} copies, each once"


if __name__ == "__main__":
    sys.exit(run(poisoned))
