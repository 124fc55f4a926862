#!/usr/bin/python3
"""The Debian packages, installed, started, upgraded, removed and purged in a Debian root: first where nothing runs but
what is started by hand, then under a real systemd, where two people chat and the unit does what it says. Skipped where no
root can be made (not root, no debootstrap, no mirror)."""
import pathlib
import re
import subprocess
import sys

from debian_root import INSTALL, Machine, chroot, in_own_mounts, overlay
from harness import BIN, ROOT, do, require, run, wait_until

NEXT = "99.0"  # a later version than any


def packages(folder, **settings):
    """{name: file} of packages that cpack makes."""
    do("cpack", "-B", folder, *(arg for name, value in settings.items() for arg in ("-D", f"CPACK_{name}={value}")),
       cwd=BIN.parent)
    return {path.name.split("_")[0]: path for path in folder.glob("*.deb")}


def dependencies(files):
    """Names of packages, but for our own."""
    told = "\n".join(do("dpkg-deb", "-f", path, "Depends") for path in files.values())
    return {re.match(r"[\w.+-]+", word)[0] for word in re.split(r"[,\n]\s*", told) if word} - files.keys()


def left_of(root):
    """What there is of the server and its state."""
    places = ("etc/perch", "var/lib/perch", "usr/bin/perchd", "usr/lib/systemd/system/perch.service",
              "etc/systemd/system/multi-user.target.wants/perch.service", "etc/systemd/system/perch.service",
              "var/lib/systemd/deb-systemd-helper-enabled/perch.service.dsh-also")
    found = []
    for place in places:
        path = root / place
        if path.is_symlink() or path.exists():
            found += [place, *(str(inner.relative_to(root)) for inner in path.rglob("*") if path.is_dir())]
    return found


def check_by_hand(root):
    """As in a container's build: no service manager, and the server is started by a shell."""
    chroot(root, *INSTALL, "/debs/perch-server.deb", "/debs/perch-client.deb")
    secret = root / "etc/perch/secret"
    require((secret.stat().st_mode & 0o777, secret.stat().st_uid) == (0o640, 0), f"the secret is {secret.stat()}")
    first = secret.read_text()
    require(len(first) > 40, f"a secret of {len(first)} bytes")
    chroot(root, "su", "-s", "/bin/sh", "perch", "-c", "cat /etc/perch/secret")
    # On other ports than those of the packaged configuration, which another server may have.
    said = chroot(root, "sh", "-ec", """
        perchd --config /etc/perch/perchd.toml --check-config
        perchd --config /etc/perch/perchd.toml --listen 127.0.0.1:0 --set operations.listen= >/tmp/said 2>/tmp/log &
        for i in $(seq 100); do grep -q listening /tmp/said && break; sleep 0.1; done
        perchctl --data /var/lib/perch health || cat /tmp/log
        perchctl --data /var/lib/perch drain --wait
        wait $!""")
    require(said.splitlines()[:2] == ["ok", "ok"], f"started by hand: {said}")
    owners = do("stat", "--format=%U %a", *(root / "var/lib/perch").glob("[jt]*"), root / "var/lib/perch")
    require(len(set((root / "var/lib/perch").iterdir())) >= 4 and "root" not in owners, f"/var/lib/perch: {owners}")
    chroot(root, "apt-get", "remove", "-y", "perch-server")
    require((root / "var/lib/perch/journal").exists() and secret.read_text() == first, "removing deletes state")
    (root / "var/lib/perch/a copy").write_text("of somebody")
    chroot(root, "apt-get", "purge", "-y", "perch-server")
    require(left_of(root) == ["var/lib/perch", "var/lib/perch/a copy"], f"after purging there is {left_of(root)}")
    (root / "var/lib/perch/a copy").unlink()


def log_in(machine, root, name):
    token = do(ROOT / "tools/mint-token", "--secret-file", root / "etc/perch/secret", "--kid", "main", "--sub", name, "--dev", "phone")
    (root / f"srv/{name}.token").write_text(token)
    machine.do("perch", "login", "--profile", f"/srv/{name}", "--server", "127.0.0.1:7110", "--token-file", f"/srv/{name}.token")


def main_pid(machine):
    return machine.do("systemctl", "show", "--value", "--property=MainPID", "perch.service").strip()


def journal(machine):
    return machine.do("journalctl", "-u", "perch", "--no-pager", "-o", "cat")


def is_ready(machine):
    """systemd was told READY, by the notification socket."""
    return machine.ask("systemctl", "is-active", "perch.service").stdout.strip() == "active"


def check_service(machine, root):
    machine.do(*INSTALL, "/debs/perch-server.deb", "/debs/perch-client.deb")
    require(is_ready(machine), journal(machine))
    told = machine.ask("systemctl", "status", "perch").stdout
    require("Status: " in told and "enabled" in told, f"systemctl status: {told}")
    exposure = machine.ask("systemd-analyze", "security", "--threshold=20", "perch.service")
    require(exposure.returncode == 0, f"exposed: {exposure.stdout[-300:]}")
    # What an operator changes first.
    config = root / "etc/perch/perchd.toml"
    config.write_text(config.read_text().replace("auto = false", "auto = true"))
    machine.do("systemctl", "restart", "perch")
    log_in(machine, root, "alice")
    log_in(machine, root, "bob")
    machine.do("perch", "send", "--profile", "/srv/alice", "bob", "before the upgrade")
    return re.search(r"exposure level for perch.service: ([\d.]+)", exposure.stdout)[1]


def received(machine):
    return machine.do("perch", "listen", "--profile", "/srv/bob", "--count", "1", "--seconds", "20")


def check_reload(machine, root):
    config, before = root / "etc/perch/perchd.toml", main_pid(machine)
    right = config.read_text().replace("rate_burst = 1000", "rate_burst = 2000")
    config.write_text(right)
    machine.do("systemctl", "reload", "perch")
    wait_until(lambda: re.search(r"msg=reloaded .*rate_burst", journal(machine)), 10, f"no reload: {journal(machine)}")
    config.write_text("lisen = []\n" + right)
    require(machine.ask("systemctl", "reload", "perch").returncode == 1, "a wrong configuration is not refused")
    config.write_text(right)
    require(is_ready(machine) and main_pid(machine) == before, "a reload is a restart")


def check_upgrade(machine, root):
    before = main_pid(machine)
    machine.do(*INSTALL, "/debs/perch-server-next.deb")
    require(NEXT in machine.do("dpkg-query", "-W", "perch-server"), "not upgraded")
    require(is_ready(machine) and main_pid(machine) != before, "the upgrade did not restart the server")
    require('auto = true' in (root / "etc/perch/perchd.toml").read_text(), "the upgrade changed the configuration")
    said = received(machine)
    require("before the upgrade" in said, f"what waited did not arrive: {said}")


def check_restarts(machine, root):
    """It comes back when it was killed, and when it stands still; not when its configuration is wrong."""
    folder = root / "etc/systemd/system/perch.service.d"
    folder.mkdir(parents=True)
    (folder / "test.conf").write_text("[Service]\nWatchdogSec=2\nTimeoutAbortSec=1\n")
    machine.do("systemctl", "daemon-reload")
    machine.do("systemctl", "restart", "perch")
    for signal in ("KILL", "STOP"):
        before = main_pid(machine)
        machine.do("sh", "-c", f"kill -{signal} {before}")
        wait_until(lambda: main_pid(machine) not in (before, "0") and is_ready(machine), 30, f"not started again after SIG{signal}")
    require("watchdog" in journal(machine).lower(), "the watchdog did not bite")
    config = root / "etc/perch/perchd.toml"
    right = config.read_text()
    config.write_text("lisen = []\n" + right)
    failed = machine.ask("systemctl", "restart", "perch")
    state = machine.do("systemctl", "show", "--value", "--property=ExecMainStatus,NRestarts", "perch").split()
    require(failed.returncode != 0 and "2" in state, f"a wrong configuration: {failed.stdout} {state}")
    config.write_text(right)
    machine.do("systemctl", "reset-failed", "perch")
    machine.do("systemctl", "restart", "perch")


def check_socket(machine):
    """systemd has the port: who connects while no server runs is not refused."""
    machine.do("systemctl", "stop", "perch")
    machine.do("systemctl", "enable", "--now", "perch.socket")
    require(not is_ready(machine), "the socket alone started the server")
    said = machine.do("perch", "send", "--profile", "/srv/alice", "bob", "over the socket")  # whose connection starts it
    require(is_ready(machine), f"a connection did not start the server: {said}")
    require("over the socket" in received(machine), "nothing came")
    machine.do("systemctl", "disable", "--now", "perch.socket")
    machine.do("systemctl", "restart", "perch")


def check_removal(machine, root):
    machine.do("apt-get", "remove", "-y", "perch-server")
    require("perchd" not in machine.do("sh", "-c", "cat /proc/[0-9]*/comm") and not is_ready(machine), "removed, and still running")
    machine.do("apt-get", "purge", "-y", "perch-server")
    require(not left_of(root), f"after purging there is {left_of(root)}")


def use(folder):
    folder = pathlib.Path(folder)
    files = packages(folder / "now")
    later = packages(folder / "later", COMPONENTS_ALL="server", PACKAGE_VERSION=NEXT)
    require(len(files) == 5 and len(later) == 1, f"packages: {files}, {later}")
    root = overlay(folder, dependencies({name: files[name] for name in ("perch-server", "perch-client")}))
    try:
        (root / "debs").mkdir()
        for name, path in (*files.items(), ("perch-server-next", later["perch-server"])):
            (root / f"debs/{name}.deb").write_bytes(path.read_bytes())
        check_by_hand(root)
        with Machine(root) as machine:
            exposure = check_service(machine, root)
            check_reload(machine, root)
            check_upgrade(machine, root)
            check_restarts(machine, root)
            check_socket(machine)
            check_removal(machine, root)
    finally:
        subprocess.run(["umount", "--lazy", root], check=True)
    return f"installed, started, upgraded, removed and purged; systemd-analyze security: {exposure}"


def test(folder):
    in_own_mounts()
    return use(folder)


if __name__ == "__main__":
    sys.exit(run(test))
