#!/usr/bin/python3
"""A backup of a server that people use: made while they write, verified, damaged in every file, put back. What the backup
lacks is sent again, once (PROTOCOL.md 6), and nobody had to say that it is one."""
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys

from harness import ACCEPTED, BIN, DELIVERED, Device, Server, check, require, run, spawn, wait_until

PERCHCTL = BIN / "perchctl"


def ctl(*args):
    done = subprocess.run([PERCHCTL, *map(str, args)], capture_output=True, text=True, timeout=60)
    require(done.returncode in (0, 1, 2) and done.stderr.count("\n") == (done.returncode != 0),
            f"perchctl {args}: status {done.returncode}: {done.stdout} {done.stderr}")
    return done.returncode, done.stdout + done.stderr


def refused(says, *args):
    status, said = ctl(*args)
    require(status == 1 and says in said, f"perchctl {args}: status {status}: {said}")


def made(*args):
    status, said = ctl("--json", *args)
    require(status == 0, f"perchctl {args}: {said}")
    return json.loads(said)


def damaged_backups(backup, folder):
    """A bit of each file, a missing end, a missing file: each is found, and said of which file."""
    broken = pathlib.Path(folder) / "broken"
    for name in ("store", "manifest.json"):
        size = (backup / name).stat().st_size
        for at in (10, size // 2, size - 12):
            shutil.rmtree(broken, ignore_errors=True)
            shutil.copytree(backup, broken)
            data = bytearray((broken / name).read_bytes())
            data[at] ^= 4
            (broken / name).write_bytes(data)
            if name == "manifest.json" and json_says(bytes(data)) == json_says((backup / name).read_bytes()):
                continue  # of what no program reads
            refused(f"{broken}/{name}", "verify", broken)
        refused(f"{broken}/{name}", "restore", broken, "--to", folder + "/none")
        os.truncate(broken / name, size - 20)
        refused(f"{broken}/{name}", "verify", broken)
        (broken / name).unlink()
        refused(f"{broken}/{name}", "verify", broken)
    require(not os.path.exists(folder + "/none"), "a damaged backup was begun to be restored")


def json_says(data):
    try:
        told = json.loads(data)
    except ValueError:
        return None
    told.pop("made", None)
    return told


def backup_and_restore(folder):
    server = Server(folder + "/server", ["--reactors", "2"])
    data, backup = server.folder / "data", server.folder / "backups" / "monday"
    backup.parent.mkdir()
    refused("no server runs there", "--data", data, "backup", backup)
    server.start()
    a, b = Device(server, "alice", "phone", folder), Device(server, "bob", "phone", folder)
    a.talk("bob")
    b.listen()
    try:
        wait_until(lambda: a.identity()[1] and b.identity()[1], 10, "no login")
        b.leave()
        for line in range(20):
            a.say(f"before {line}")
        wait_until(lambda: a.marks() == [ACCEPTED] * 20, 20, "no first tick")
        # Under traffic: what is written meanwhile is in it or not, and neither is wrong.
        process = spawn([PERCHCTL, "--data", data, "--json", "backup", backup], stdout=subprocess.PIPE, text=True)
        for line in range(200):
            a.say(f"meanwhile {line}")
        told, _ = process.communicate(timeout=60)
        require(process.returncode == 0, f"the backup was not made: {told}")
        told = json.loads(told)
        require(told["users"] == 2 and 20 <= told["messages"] <= 220, told)
        require(sorted(os.listdir(backup.parent)) == ["monday"] and sorted(os.listdir(backup)) == ["manifest.json", "store"],
                os.listdir(backup.parent))
        require(made("verify", backup)["crc32c"] == told["crc32c"], "verify says something else")
        refused("is there already", "--data", data, "backup", backup)
        damaged_backups(backup, folder)
        refused("a server runs there", "restore", backup, "--to", data)

        wait_until(lambda: a.marks() == [ACCEPTED] * 220, 30, "no first tick")
        a.say("after the backup")
        b.listen()
        wait_until(lambda: a.marks() == [DELIVERED] * 221, 30, "no second tick")
        b.leave()
        a.say("after the backup, for who is away")
        wait_until(lambda: a.marks() == [DELIVERED] * 221 + [ACCEPTED], 20, "no first tick")
        server.kill()
        refused("is not empty", "restore", backup, "--to", data)
        for part in ("journal", "tables"):
            shutil.rmtree(data / part)
        require(made("restore", backup, "--to", data)["users"] == 2, "not restored")
        refused("is not empty", "restore", backup, "--to", data)
        server.start()
        b.listen()
        wait_until(lambda: a.marks() == [DELIVERED] * 222, 30, "what the backup lacks was not sent again")
        require(incarnation(server, folder) != told["incarnation"], "it took no new incarnation")
        a.say("and on")
        wait_until(lambda: a.marks() == [DELIVERED] * 223, 30, "no second tick")
        b.leave()
        total, problems = check([a, b])
        require(not problems and total["messages"] == 223, f"{total} {problems[:3]}")
        require(server.drain() == 0, "perchd did not end cleanly")

        # To a machine that has nothing; what an earlier try left there is no hindrance.
        elsewhere = server.folder / "elsewhere"
        (elsewhere / "restoring" / "journal").mkdir(parents=True)
        (elsewhere / "tables").mkdir()
        made("restore", backup, "--to", elsewhere)
        data.rename(server.folder / "gone")
        elsewhere.rename(data)
        server.start()
        require(server.drain() == 0, "perchd did not end cleanly")
    finally:
        a.leave()
        b.leave()
    return "a backup under traffic is whole, and what it lacks is sent again, once"


def incarnation(server, folder):
    """Of the running server, as a backup of it says."""
    path = pathlib.Path(folder) / "for-its-incarnation"
    return made("--data", server.folder / "data", "backup", path)["incarnation"]


def killed_backup(folder):
    """A perchctl that is killed leaves no backup under its name, and the server makes the next one."""
    server = Server(folder + "/killed")
    server.start()
    data, backup = server.folder / "data", server.folder / "backup"
    try:
        a = Device(server, 1, "phone", folder)
        a.talk(1)
        wait_until(lambda: a.identity()[1], 10, "no login")
        a.leave()
        partial = pathlib.Path(f"{backup}.partial")
        partial.mkdir()
        (partial / "store").write_text("of one that was killed")
        process = spawn([PERCHCTL, "--data", data, "backup", backup], stdout=subprocess.DEVNULL)
        process.send_signal(signal.SIGKILL)
        process.wait()
        require(not backup.exists() or ctl("verify", backup)[0] == 0, "half a backup has the name of a whole one")
        shutil.rmtree(backup, ignore_errors=True)
        wait_until(lambda: ctl("--data", data, "backup", backup)[0] == 0, 10, "no further backup is made")
        require(not partial.exists(), "what the killed one left is still there")
        require(server.drain() == 0, "perchd did not end cleanly")
    finally:
        if server.process.poll() is None:
            server.kill()
    return "a killed backup is none"


def small_files_only():
    """For the child: a file takes 100 KB, and then no more."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


def full_disk(folder):
    """Where there is no room for it, a backup is not made, and says so; the server knows nothing of it."""
    disk = pathlib.Path(folder) / "disk"
    disk.mkdir()
    mounted = not subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "perch-test", disk], capture_output=True).returncode
    server = Server(folder + "/full")
    server.start()
    data, backup = server.folder / "data", disk / "backup"
    try:
        a, b = Device(server, 1, "phone", folder + "/full"), Device(server, 2, "phone", folder + "/full")
        a.talk(2)
        b.listen()
        wait_until(lambda: a.identity()[1] and b.identity()[1], 10, "no login")
        b.leave()
        for line in range(20):
            a.say(f"{line} " + "y" * 20_000)
        wait_until(lambda: a.marks() == [ACCEPTED] * 20, 20, "no first tick")
        if mounted:
            refused("are free there", "--data", data, "backup", backup)
            require(os.listdir(disk) == [], os.listdir(disk))
        # Room that goes while it is written.
        elsewhere = server.folder / "backup"
        done = subprocess.run([PERCHCTL, "--data", data, "backup", elsewhere], capture_output=True, text=True, timeout=60,
                              preexec_fn=small_files_only)
        require(done.returncode == 1 and "backup.partial/store: File too large" in done.stderr,
                f"{done.returncode}: {done.stderr}")
        require(not list(server.folder.glob("backup*")), "something of half a backup is left")
        made("--data", data, "backup", elsewhere)
        b.listen()
        wait_until(lambda: a.marks() == [DELIVERED] * 20, 20, "no second tick")
        a.leave()
        b.leave()
        require(server.drain() == 0, "perchd did not end cleanly")
    finally:
        if server.process.poll() is None:
            server.kill()
        if mounted:
            subprocess.run(["umount", disk])
    return "no room, no backup" + ("" if mounted else "; NOT TRIED on a full disk: no tmpfs can be mounted here")


if __name__ == "__main__":
    sys.exit(max(run(test) for test in (backup_and_restore, killed_backup, full_disk)))
