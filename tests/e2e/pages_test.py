#!/usr/bin/python3
"""The manual pages: groff takes them without a warning, and every option, command and key is in them that the programs
and the configuration have."""
import gzip
import re
import subprocess
import sys

from harness import BIN, do, require, run

PAGES = BIN.parent / "packaging/man"
PROGRAMS = {"perch.1": "perch", "perchd.8": "perchd", "perchctl.8": "perchctl", "perch-bench.1": "perch-bench"}


def rendered(page):
    """As a terminal shows it, without bold and underlined."""
    source = gzip.decompress((PAGES / f"{page}.gz").read_bytes())
    done = subprocess.run(["groff", "-k", "-man", "-Tutf8", "-ww", "-rHY=0", "-rLL=200n", "-P-cbou"], input=source, capture_output=True, check=True)
    require(not done.stderr, f"{page}: {done.stderr.decode()}")
    return done.stdout.decode()


def words_of(program, *group):
    """Every option and command that a program tells of."""
    text = do(BIN / program, *group, "--help")
    yield from re.findall(r"(?m)^  (?:-\w,)?(--[\w-]+)", text)
    for commands in re.findall(r"(?ms)^Subcommands:\n(.*?)(?:\n\n|\Z)", text):
        for name in re.findall(r"(?m)^  (\S+)", commands):
            yield " ".join((*group, name))
            yield from words_of(program, *group, name)


def keys():
    table = ""
    for line in do(BIN / "perchd", "--print-config").splitlines():
        header, key = re.fullmatch(r"\[([\w.]+)\]", line), re.match(r"(\w+) = ", line)
        if header:
            table = header[1] + "."
        elif key:
            yield table + key[1]


def check(_):
    num = 0
    for page, words in {**{page: set(words_of(program)) for page, program in PROGRAMS.items()}, "perchd.toml.5": set(keys())}.items():
        text = rendered(page)
        require(len(words) > 2, f"{page}: only {words} to look for")
        for word in words:
            require(re.search(rf"(?m)^ +(-\w,)?{re.escape(word)}(\s|$)", text), f"{page} says nothing of {word}")
        num += len(words)
    page = " ".join(rendered("perch.1").split())
    listed = do(BIN / "perch", "--help").split("Keys of the full-screen chat:\n")[1]
    for line in filter(str.strip, listed.splitlines()):
        key = re.match(r"    (.{20})", line)[1].rstrip()
        require(key and " ".join(key.split()) in page, f"perch.1 says nothing of {key!r}")
        num += 1
    return f"{num} options, commands and keys are in the manual pages"


if __name__ == "__main__":
    sys.exit(run(check))
