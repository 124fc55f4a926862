#!/usr/bin/python3
"""perch-bench where it is easiest to believe: a generator that falls behind, and a relay that loses what it carries."""
import json
import os
import shutil
import signal
import subprocess
import sys
import time

from harness import BIN, require, run, spawn

# Stands in for perch-relay: what connections with odd names send goes nowhere.
LOSSY_RELAY = '''#!/usr/bin/python3
import selectors, socket, struct
listener = socket.create_server(("127.0.0.1", 0), backlog=128)
print("listening 127.0.0.1:%d" % listener.getsockname()[1], flush=True)
ready, peers = selectors.DefaultSelector(), {}
for _ in range(10):
    peer, _ = listener.accept()
    own, to = struct.unpack("<II", peer.recv(8, socket.MSG_WAITALL))
    peers[own] = peer
    ready.register(peer, selectors.EVENT_READ, (own, to))
while True:
    for key, _ in ready.select():
        own, to = key.data
        data = key.fileobj.recv(1 << 16)
        if not data:
            ready.unregister(key.fileobj)
        elif own % 2 == 0:
            peers[to].sendall(data)
'''


def bench(program, folder, *flags):
    """A run with 10 devices that ends well, over a store in `folder`; the process, and where its figures will be."""
    figures = folder + "/figures.json"
    process = spawn([program, "pairs", "--connections", "10", "--rate", "100", "--warm-up", "0", "--data", folder,
                     "--json", figures, *flags], stdout=subprocess.PIPE, text=True)
    return process, figures


def a_generator_that_sleeps_over_the_end(folder):
    seconds, rate = 5, 100
    process, figures = bench(BIN / "perch-bench", folder, "--seconds", str(seconds))
    time.sleep(3)
    process.send_signal(signal.SIGSTOP)  # what it still has to do when it wakes is the latest of all
    time.sleep(seconds)
    process.send_signal(signal.SIGCONT)
    said, _ = process.communicate(timeout=60)
    require(process.returncode == 0, f"status {process.returncode}: {said}")
    with open(figures) as file:
        perch = json.load(file)["perch"]
    require(perch["intended_per_s"] == rate, f"{perch['intended_per_s']} were meant each second, not {rate}")
    slept_us = perch["generator_lag_us"]["max"]
    require(slept_us > 2_000_000, f"the generator was late by {slept_us} us at most: it did not sleep over the end")
    require(perch["sent"] == perch["delivered"] == perch["latency_us"]["num"] == seconds * rate,
            f"of {seconds * rate} messages {perch['sent']} were sent, {perch['latency_us']['num']} measured")


def a_relay_that_loses(folder):
    programs = folder + "/bin"
    os.mkdir(programs)
    shutil.copy(BIN / "perch-bench", programs)  # it looks for the others beside itself
    os.symlink(BIN / "perchd", programs + "/perchd")
    with open(programs + "/perch-relay", "w") as relay:
        relay.write(LOSSY_RELAY)
    os.chmod(relay.name, 0o755)
    process, figures = bench(programs + "/perch-bench", folder, "--seconds", "1", "--relay")
    said, _ = process.communicate(timeout=90)
    with open(figures) as file:
        told = json.load(file)
    require(told["perch"]["lost"] == 0 and 0 < told["relay"]["lost"] < 100, f"lost: {said}")
    require(process.returncode == 1, f"a relay that loses, and status {process.returncode}: {said}")
    require("cpu_ratio_to_relay" not in told and "no ratio:" in said, f"compared with less than everything: {said}")


def as_many_as_perchd_takes(folder):
    """A number that is refused is refused by the flag, not by a server that has been started."""
    for num, says in (("1000000", "--connections"), ("3", "--connections")):
        done = subprocess.run([BIN / "perch-bench", "pairs", "--connections", num, "--max"], stderr=subprocess.PIPE,
                              stdout=subprocess.DEVNULL, text=True, timeout=60)
        require(done.returncode == 2 and done.stderr.startswith(f"perch-bench: {says}"), f"{num}: {done}")


def all_tests(folder):
    tests = (a_generator_that_sleeps_over_the_end, a_relay_that_loses, as_many_as_perchd_takes)
    for test in tests:
        own = f"{folder}/{test.__name__}"
        os.mkdir(own)
        test(own)
    return f"{len(tests)} ways to be wrong about a server, none taken"


if __name__ == "__main__":
    sys.exit(run(all_tests))
