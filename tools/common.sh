# What tools/run and tools/test share: saying what happens, installing, building. Sourced, never run.
# Every function says what failed and what to do about it, and is safe to call twice.

perch_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
perch_preset=release
perch_build=$perch_root/build/$perch_preset
perch_bin=$perch_build/bin

say() { printf '== %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# packages_missing: prints the names from packages.txt that dpkg does not have installed.
packages_missing() {
  local name
  while read -r name; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || printf '%s\n' "$name"
  done < <(sed 's/#.*//; s/[[:space:]]//g; /^$/d' "$perch_root/tools/packages.txt")
}

# install_packages: asks apt only when something is missing, so a complete machine needs no network.
install_packages() {
  command -v dpkg-query >/dev/null ||
    die "this is no Debian or Ubuntu; install by hand what tools/packages.txt names, then build with cmake"
  local missing sudo=() log
  missing=$(packages_missing | tr '\n' ' ')
  if [ -z "$missing" ]; then say "packages: all there"; return; fi
  say "packages: installing $missing"
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null ||
      die "not root and no sudo; as root, run: apt-get install --no-install-recommends $missing"
    sudo true || die "sudo refuses; as root, run: apt-get install --no-install-recommends $missing"
    sudo=(sudo)
  fi
  log=$(mktemp)
  # Errors of a single repository are warnings to apt: what counts is whether the install then works.
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -q >"$log" 2>&1 ||
    { tail -n 5 "$log" >&2; printf 'warning: apt-get update failed; trying with the lists there are\n' >&2; }
  # shellcheck disable=SC2086  # the names are separate words
  # A new machine may be busy with upgrades of its own: the lock is waited for.
  if ! (set -o pipefail
        "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
          apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=300 $missing 2>&1 | tee "$log" |
          awk '/^(Get:|Unpacking |Setting up )/ && ++n % 25 == 0 { print; fflush() }'); then
    tail -n 15 "$log" >&2
    rm -f "$log"
    die "apt could not install: ${missing}- is there a network, and on Ubuntu is 'universe' enabled?"
  fi
  rm -f "$log"
}

# fetch_promtool: Prometheus's checker of metrics and rules, for the tests. Its package is unpacked below build/ and not
# installed, because that would start a server. What needs it is skipped if it cannot be had.
fetch_promtool() {
  local folder=$perch_root/build/promtool
  if command -v promtool >/dev/null || [ -x "$folder/usr/bin/promtool" ]; then return; fi
  say "promtool: fetching the package prometheus"
  mkdir -p "$folder"
  if ! (cd "$folder" && rm -f ./*.deb && apt-get download -q prometheus >apt.log 2>&1 && dpkg-deb -x ./*.deb . &&
        rm -f ./*.deb usr/bin/prometheus); then
    printf 'warning: no promtool, so what it checks will be skipped; apt said: %s\n' "$(tail -n 1 "$folder/apt.log")" >&2
  fi
}

# open_lock NAME: the caller's variable `lock` becomes a descriptor of build/NAME.lock.
open_lock() {
  command -v flock >/dev/null || die "flock is missing; it is in the package util-linux"
  { mkdir -p "$perch_build" && [ -w "$perch_build" ] && exec {lock}>"$perch_root/build/$1.lock"; } 2>/dev/null ||
    die "build/ cannot be written to; if another user built here (root, with sudo), as that user run: rm -r" \
        "$perch_root/build"
}

# only_one NAME TEXT: ends with TEXT if another process of this checkout holds NAME; else holds it as long as this process
# and what it starts live.
only_one() {
  local lock
  open_lock "$1"
  flock -n "$lock" || die "$2"
}

# check_io_uring: says early what would otherwise be an error of the server, minutes later. The kernel itself is asked,
# because more than a sysctl can forbid it: containers filter system calls. REQUIRES: install_packages.
check_io_uring() {
  local release major minor answer disabled=0
  release=$(uname -r)
  major=${release%%.*}; minor=${release#*.}; minor=${minor%%[!0-9]*}
  if [ "$major" -lt 6 ] || { [ "$major" -eq 6 ] && [ "$minor" -lt 1 ]; }; then
    die "kernel $release is too old: Perch needs 6.1 or newer"
  fi
  answer=$(/usr/bin/python3 -c '
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
io_uring_setup, params = 425, ctypes.create_string_buffer(120)
done = libc.syscall(io_uring_setup, 8, params) >= 0
print("fine" if done else errno.errorcode.get(ctypes.get_errno(), "?"))')
  [ ! -r /proc/sys/kernel/io_uring_disabled ] || disabled=$(cat /proc/sys/kernel/io_uring_disabled)
  case $answer:$disabled in
    fine:*) ;;
    EPERM:2) die "io_uring is disabled; as root, run: sysctl -w kernel.io_uring_disabled=0" ;;
    EPERM:1) die "io_uring is disabled for ordinary users; as root, run: sysctl -w kernel.io_uring_disabled=0," \
                 "or join the group of kernel.io_uring_group" ;;
    EPERM:*|ENOSYS:*) die "io_uring is refused ($answer): a container's filter of system calls forbids it, or the" \
                          "kernel is built without; start the container with --security-opt seccomp=unconfined" ;;
    ENOMEM:*) die "there is no memory for io_uring (ENOMEM); raise the limit of locked memory: ulimit -l unlimited" ;;
    *) die "io_uring cannot be used: $answer" ;;
  esac
}

# build [TARGET…]: configures and builds the release preset; the whole log is kept beside it. One at a time.
build() {
  local log=$perch_build/build.log targets=() lock
  [ $# -eq 0 ] || targets=(--target "$@")
  open_lock "$perch_preset"
  flock -n "$lock" || { say "build: waiting for another one of this folder"; flock "$lock"; }
  say "configure: preset $perch_preset"
  (cd "$perch_root" && cmake --preset "$perch_preset") >"$log" 2>&1 ||
    { tail -n 30 "$log" >&2; die "configure failed; everything it said is in ${log#"$perch_root"/}"; }
  say "build: $(nproc) at a time"
  # Ninja's progress goes to a terminal as it is; elsewhere only every fiftieth step is shown.
  local show=(cat)
  [ -t 1 ] || show=(awk '/^\[[0-9]+\/[0-9]+\]/ && ++n % 50 == 0 { print; fflush() }')
  if ! (set -o pipefail
        cmake --build "$perch_build" -j"$(nproc)" "${targets[@]}" 2>&1 | tee -a "$log" | "${show[@]}"); then
    grep -nE -A8 'error:|FAILED:' "$log" | head -n 60 >&2
    die "the build failed; everything it said is in ${log#"$perch_root"/}"
  fi
  exec {lock}>&-
}
