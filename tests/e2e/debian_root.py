"""A Debian of this machine's release in a folder, for tests of packages: made once by debootstrap and kept in the build
folder, with what the packages depend on. Tests use it through an overlay, which they may spoil."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

from harness import BIN, Skipped, do, require, spawn

BASE = BIN.parent / "debian_root"
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
INSTALL = ("apt-get", "install", "-y", "-q", "--no-install-recommends")


def in_own_mounts():
    """Goes on in a mount namespace of its own: nothing stays mounted, however the test ends."""
    if os.geteuid() != 0:
        raise Skipped("roots are made and mounted by root alone")
    for program in ("debootstrap", "systemd-nspawn", "cpack", "dpkg-shlibdeps", "unshare"):
        if shutil.which(program) is None:
            raise Skipped(f"no {program}")
    if os.environ.get("PERCH_OWN_MOUNTS") is None:
        os.execvpe("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv],
                   dict(os.environ, PERCH_OWN_MOUNTS="yes"))


def chroot(root, *command, **process):
    """Runs a command that must succeed in a root where nothing else runs; returns what it prints."""
    script = 'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"'
    return do("unshare", "--mount", "--pid", "--fork", "--kill-child", "bash", "-c", script, str(root), *command,
              env=ENVIRONMENT, stdin=subprocess.DEVNULL, **process)


def base(dependencies):
    """The root that all tests share, with these packages in it."""
    release = re.search(r"(?m)^VERSION_CODENAME=(.*)$", pathlib.Path("/etc/os-release").read_text())[1]
    root = BASE / release
    ready, wanted = root / "root_is_ready", "\n".join(sorted(dependencies))
    if ready.exists() and ready.read_text() == wanted:
        return root
    if not ready.exists():
        sites = do("apt-get", "indextargets", "--format", "$(SITE) $(CODENAME)").splitlines()
        mirrors = [site.split()[0] for site in sites if site.split()[1:] == [release]]
        if not mirrors:
            raise Skipped(f"apt names no mirror of {release}: run apt-get update first")
        shutil.rmtree(root, ignore_errors=True)
        BASE.mkdir(exist_ok=True)
        made = subprocess.run(["debootstrap", "--variant=minbase", "--include=systemd,systemd-sysv,dbus,ca-certificates", release,
                               root, mirrors[0]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if made.returncode:
            raise Skipped(f"debootstrap could not make a root: {made.stdout[-500:]}")
        root.chmod(0o755)
        # How this machine reaches its mirror (a proxy, a certificate) is the machine's, not Perch's.
        shutil.copytree("/etc/apt/apt.conf.d", root / "etc/apt/apt.conf.d", dirs_exist_ok=True)
        shutil.copy("/etc/ssl/certs/ca-certificates.crt", root / "etc/ssl/certs/ca-certificates.crt")
        shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
    chroot(root, "apt-get", "update", "-q")
    chroot(root, *INSTALL, *dependencies)
    ready.write_text(wanted)
    return root


def overlay(folder, dependencies):
    """A root over base() whose changes are in `folder`."""
    for name in ("upper", "work", "root"):
        (folder / name).mkdir()
    layers = f"lowerdir={base(dependencies)},upperdir={folder}/upper,workdir={folder}/work"
    done = subprocess.run(["mount", "-t", "overlay", "perch-test", "-o", layers, folder / "root"], capture_output=True, text=True)
    if done.returncode:
        raise Skipped(f"no overlay can be mounted here: {done.stderr.strip()}")
    return folder / "root"


class Machine:
    """systemd and what it starts in a root, with a loopback interface and no other network. `with` boots it and ends
    it."""

    def __init__(self, root):
        self.root = root
        self.log = root.parent / "machine.log"

    def __enter__(self):
        with open(self.log, "wb") as log:
            self.process = spawn(["systemd-nspawn", "-D", self.root, "--register=no", "--keep-unit", "--boot", "--private-network",
                                  "--console=read-only"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self.leader = self._find_leader()
            end = time.monotonic() + 60
            while (state := self.ask("systemctl", "is-system-running").stdout.strip()) not in ("running", "degraded"):
                require(time.monotonic() < end and self.process.poll() is None, f"systemd does not start ({state}): {self.told()}")
                time.sleep(0.1)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def told(self):
        return self.log.read_text(errors="replace")[-2000:]

    def _find_leader(self):
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        end = time.monotonic() + 30
        while True:
            for pid in children.read_text().split() if children.exists() else ():
                if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "systemd":
                    return pid
            if self.process.poll() is not None or time.monotonic() > end:
                raise Skipped(f"systemd-nspawn boots nothing here: {self.told()}")
            time.sleep(0.1)

    def ask(self, *command):
        """Runs a command in it; what it answers may be a failure."""
        return subprocess.run(["nsenter", "-t", self.leader, "-m", "-u", "-i", "-n", "-p", *command], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, env=ENVIRONMENT)

    def do(self, *command):
        done = self.ask(*command)
        require(done.returncode == 0, f"{' '.join(command)}: status {done.returncode}: {done.stdout}")
        return done.stdout
