#!/usr/bin/python3
"""The client in Python and the one in C++ talk through a real server: live, with either away, with the server away, and
with kill -9 of all three; then every SQLite of both kinds is compared. What the two share is PROTOCOL.md and the schema."""
import json
import os
import random
import sys
import time

from harness import ACCEPTED, BIN, DELIVERED, Device, Server, check, do, require, run, settled, wait_until

sys.path.insert(0, str(BIN.parent / "python"))
from perch_client import conversation  # noqa: E402
from perch_client.storage import Storage  # noqa: E402

KILLS = 24


def signed(blob):
    return int.from_bytes(blob or b"", "big", signed=True)  # as the C++ client's SQLite has them


class PythonDevice(Device):
    STATUSES = (0,)

    def _perch(self, command, *args):
        # `chat` of the C++ client is `talk` here.
        command = {"chat": "talk"}.get(command, command)
        return ["env", f"PYTHONPATH={BIN.parent / 'python'}", "/usr/bin/python3", "-m", "perch_client", command, self.profile,
                self.server.address, self.token_file, *(str(arg) for arg in args if arg != "--json")]

    def send(self, to, text, wait=10):
        raise NotImplementedError

    def marks(self):
        return [row[4] for row in self.outbox()]

    def outbox(self):
        # 3 and 4 are rejected and expired here, where the C++ client has read.
        return [(to, signed(origin), seq, is_open, mark if mark <= DELIVERED else -1, number, body) for to, origin, seq, is_open, mark, number, body in
                self.query("SELECT to_user, origin, seq, open, mark, number, body FROM outbox WHERE kind = 0 ORDER BY row")]

    def inbox(self):
        return [(user, device, signed(origin), signed(seq), *rest) for user, device, origin, seq, *rest in
                self.query("SELECT user, device, origin, seq, variant, peer, number, body FROM inbox ORDER BY arrival")]


def three_situations(folder):
    """Each once from Python to C++, and once from C++ to Python."""
    for number, (Sender, Recipient) in enumerate(((PythonDevice, Device), (Device, PythonDevice))):
        server = Server(f"{folder}/server{number}")
        server.start()
        a, b = Sender(server, "alice", f"a{number}", folder), Recipient(server, "bob", f"b{number}", folder)
        try:
            b.listen()
            wait_until(lambda: b.identity()[1], 15, "the recipient does not log in")
            a.talk("bob")
            wait_until(lambda: a.identity()[1], 15, "the sender does not log in")
            a.say("both are here")
            settled([a, b])
            b.leave()
            a.say("the recipient is away")
            wait_until(lambda: a.marks()[1:] == [ACCEPTED], 10, "no first tick for an absent recipient")
            b.listen()
            settled([a, b])
            require(min(a.marks()) >= DELIVERED, f"the second tick: {a.marks()}")
            require(server.drain() == 0, "perchd did not end cleanly")  # with Goaway to both
            server.start()
            server.kill()
            a.say("the server is away")
            wait_until(lambda: len(a.outbox()) == 3, 10, "not queued")
            require(a.outbox()[2][3] == 1, "closed without a server")
            server.start()
            settled([a, b], 60)
            if Recipient is Device:  # what a C++ `listen` prints nobody has read; a chat is read
                b.leave()
                b.talk("alice")
                a.say("somebody looks")
                settled([a, b])
            read = "SELECT count(*) FROM read_marks, identity WHERE reader != user" if Sender is PythonDevice else \
                "SELECT count(*) FROM outbox WHERE mark = 3"
            wait_until(lambda: a.query(read)[0][0] > 0, 20, "the recipient has read it, and the sender is not told")
        finally:
            a.leave()
            b.leave()
        require(server.drain() == 0, "perchd did not end cleanly")


def as_python_has_it(device, peer):
    """(id, what is shown, text, edited, which it answers, reactions) of each message."""
    name = lambda target: target and f"{target.user}.{target.device}.{target.origin:016x}.{target.seq}"  # noqa: E731
    storage = Storage(device.profile)
    try:
        return [(name(line.id), line.shown, line.text, line.edited, name(line.reply_to), sorted(line.reactions), line.timer_s)
                for line in conversation.lines(storage, peer)]
    finally:
        storage.close()


def as_cpp_has_it(device, peer):
    text = do(BIN / "perch", "history", "--profile", device.profile, "--json", str(peer))
    return [(line["id"], line["shown"], line["body"], line["edited"], line["reply_to"],
             sorted((each["user"], each["emoji"]) for each in line["reactions"]), line["timer_s"])
            for line in map(json.loads, text.splitlines())]


def items(folder):
    """One exchange of each kind in both directions; then both have the same conversation, and nothing of what was deleted."""
    server = Server(folder + "/server")
    server.start()
    a, b = PythonDevice(server, 1, "python", folder), Device(server, 2, "cpp", folder)

    def logins(device):
        log = device.profile / "perch.log"
        return log.read_text(errors="replace").count("online as") if log.exists() else 0

    def both_are_up_to_date():
        before = {device: logins(device) for device in (a, b)}
        for device in (a, b):
            device.start("listen")
        for device in (a, b):
            wait_until(lambda: logins(device) > before[device], 15, f"{device.user} does not log in")
        settled([a, b])
        a.leave()
        b.leave()

    both_are_up_to_date()
    do(*a._perch("send", 2, "one"))
    do(*b._perch("send", 1, "two"))
    both_are_up_to_date()
    # The last of the conversation is "two".
    do(*a._perch("about", 2, "reply", 1, "an answer to two"))
    do(*a._perch("about", 2, "react", 1, "👍"))
    do(*a._perch("about", 2, "edit", 3, "one, edited"))
    do(*a._perch("about", 2, "profile", 0, "Ada:counts"))
    do(*a._perch("about", 2, "timer", 0, 3600))
    do(*a._perch("send", 2, "for an hour"))
    do(*a._perch("send", 2, "a secret of a"))
    do(*a._perch("about", 2, "delete", 1))
    both_are_up_to_date()
    require(as_cpp_has_it(b, 1) == as_python_has_it(a, 2), f"{as_cpp_has_it(b, 1)}\n{as_python_has_it(a, 2)}")
    require("Ada" in do(*b._perch("profile", 1)), "whose profile is it")
    require(do(BIN / "perch", "timer", "--profile", b.profile, "1").strip() == "1 h", "the conversation's timer")
    do(*b._perch("reply", 1, 2, "an answer to a"))
    do(*b._perch("react", 1, 3, "❤"))
    do(*b._perch("edit", 1, 5, "two, edited"))
    do(*b._perch("profile", "--name", "Bob"))
    do(*b._perch("timer", 1, "off"))
    do(*b._perch("send", 1, "for good"))
    do(*b._perch("send", 1, "a secret of b"))
    do(*b._perch("delete", 1, 1))
    both_are_up_to_date()
    ours, theirs = as_cpp_has_it(b, 1), as_python_has_it(a, 2)
    require(ours == theirs, f"{ours}\n{theirs}")
    texts = [(shown, text, edited) for _, shown, text, edited, *_ in ours]
    require(texts == [("text", "one, edited", True), ("text", "two, edited", True), ("text", "an answer to two", False),
                      ("text", "for an hour", False), ("deleted", "", False), ("text", "an answer to a", False),
                      ("text", "for good", False), ("deleted", "", False)], f"{texts}")
    require([timer for *_, timer in ours] == [0, 0, 0, 3600, 0, 3600, 0, 0], f"{ours}")
    reactions = [line[5] for line in ours if line[5]]
    require(reactions == [[(1, "👍")], [(2, "❤")]], f"{reactions}")
    for device in (a, b):
        for path in device.profile.glob("profile.db*"):
            require(b"a secret of" not in path.read_bytes(), f"{path} has what was deleted")
    require(server.drain() == 0, "perchd did not end cleanly")


def kills(folder):
    seed = int(os.environ.get("PERCH_SEED", str(random.randrange(1 << 30))))
    print(f"seed {seed}", flush=True)
    choose = random.Random(seed)
    server = Server(folder + "/server")
    server.start("--reactors", "2")
    a, b = PythonDevice(server, 1, "phone", folder), Device(server, 2, "phone", folder)
    c = PythonDevice(server, 2, "tablet", folder)
    devices = [a, b, c]
    starts = {a: lambda: a.talk(2), b: lambda: b.talk(1), c: c.listen}
    num_lines = 0

    def speak(rounds):
        nonlocal num_lines
        for _ in range(rounds):
            for device in (a, b):
                num_lines += 1
                device.say(f"line {num_lines}")
            time.sleep(0.01)

    try:
        for device in devices:
            starts[device]()
        wait_until(lambda: all(d.identity()[1] for d in devices), 20, "not every device has logged in once")
        for _ in range(KILLS):
            speak(choose.randint(1, 8))
            victim = choose.choice([server, *devices])
            victim.kill()
            speak(choose.randint(0, 3))
            starts.get(victim, server.start)()
            time.sleep(choose.random() * 0.5)
        speak(3)
        end = time.monotonic() + 120
        while check(devices)[1] and time.monotonic() < end:
            time.sleep(0.5)
        total, problems = check(devices)
        require(not problems, "\n".join(problems[:20]) + f"\n{total}")
        require(total["copies"] > total["messages"] > KILLS, f"too little was said: {total}")
    finally:
        for device in devices:
            device.leave()
    require(server.drain() == 0, "perchd did not end cleanly")
    return total


def all_tests(folder):
    os.mkdir(folder + "/situations")
    os.mkdir(folder + "/kills")
    os.mkdir(folder + "/items")
    items(folder + "/items")
    three_situations(folder + "/situations")
    total = kills(folder + "/kills")
    return (f"Python to C++ and back; an item of each kind both ways; {KILLS} kills, {total['messages']} messages, {total['copies']} copies: 0 lost, "
            "0 duplicated, 0 out of order")


if __name__ == "__main__":
    sys.exit(run(all_tests))
