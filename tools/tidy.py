#!/usr/bin/env python3
"""What a machine can say about the source, so that no person has to.

    tools/tidy.py              every rule on this checkout; one line for each finding; exit status 1 if any
    tools/tidy.py --self-test  every rule on small examples, good ones and bad ones

Exceptions stand in the lists below, each with its reason. An entry that nothing needs any more is a
finding too, so the lists can only tell the truth.
"""
import os
import re
import sys

FOLDERS = ["core", "codec", "tls", "store", "net", "chat", "client", "ctl", "bench", "tests"]

# Folder: what it may include (ARCHITECTURE.md, Layout).
MAY_INCLUDE = {
    "core": {"core"},
    "codec": {"core", "codec"},
    "tls": {"core", "tls"},
    "store": {"core", "store"},
    "net": {"core", "codec", "net"},
    "chat": {"core", "codec", "tls", "store", "net", "chat"},
    "client/protocol": {"core", "codec", "client/protocol", "client/storage.h", "client/events.h"},
    "client": {"core", "codec", "client"},
    "ctl": {"core", "tls", "store", "ctl"},
    "bench": {"core", "codec", "tls", "store", "net", "client", "bench"},
    "tests": {"core", "codec", "tls", "store", "net", "chat", "client", "ctl", "bench", "tests"},
}
GENERATED = {"perch_generated.h": "codec/frame.h", "bench_commit.h": "bench/machine.cc",
             "content_generated.h": "client/item.cc"}  # its only user

# Words that have a place. A place is a file or a folder/.
PLACES = {  # name: (pattern, where it may stand, what to do instead, an example)
    "liburing": (
        r"<liburing", {"core/ring_uring.cc"}, "the kernel is reached through core/ring.h",
        "#include <liburing.h>\n"),
    "lmdb": (
        r"<lmdb\.h>", {"store/store_lmdb.cc"}, "the disk is reached through store/kv.h",
        "#include <lmdb.h>\n"),
    "unsafe disk": (
        r"\bMDB_(NOSYNC|NOMETASYNC|MAPASYNC|WRITEMAP|NOMEMINIT)\b", set(),
        "no tick on memory alone: LMDB flushes every commit", "open(env, MDB_NOSYNC);\n"),
    "boringssl": (
        r"<openssl/", {"tls/"}, "cryptography lives in tls/", "#include <openssl/evp.h>\n"),
    "sqlite": (
        r"<sqlite3\.h>", {"client/", "tests/"}, "SQLite is the client's", "#include <sqlite3.h>\n"),
    "flatbuffers": (
        r"\bGet(Mutable|SizePrefixed)*(Root|Frame)\b|<flatbuffers/", {"codec/"},
        "codec::verify() and codec::trusted() are the only ways from bytes to a frame",
        "auto* frame = wire::GetSizePrefixedFrame(data);\n"),
    "threads": (
        r"<(atomic|mutex|shared_mutex|thread|condition_variable|future|semaphore|latch|barrier)>|"
        r"std::(atomic|mutex|jthread|thread|async|shared_ptr|weak_ptr|make_shared)\b",
        {"core/spsc_queue.h", "core/handoff.h", "core/mesh.h", "core/mesh.cc", "core/metrics.h", "chat/backup.h", "chat/backup.cc",
         "chat/node.h", "chat/node_state.h", "chat/node.cc", "chat/node_service.cc", "chat/node_threads.cc",
         "tests/"},
        "ARCHITECTURE.md, Threads, lists what two threads touch; objects have one owner",
        "std::mutex lock;\n"),
    "exceptions": (
        r"\b(throw|try|catch)\b", {"chat/main.cc", "client/main.cc", "ctl/main.cc", "bench/perch_bench.cc"},
        "errors are Result<T>; a main file may meet exceptions, because CLI11 throws",
        "int f() { throw 1; }\n"),
    "time": (
        r"\bclock_gettime\b|\bgettimeofday\b|<chrono>|\btime\((nullptr|NULL|0)\)",
        {"core/clock.cc", "bench/machine.cc", "tests/"}, "time comes through core/clock.h",
        "uint64_t now = time(nullptr);\n"),
    "randomness": (
        r"\b(getrandom|getentropy|s?rand)\(|\brandom_device\b|\bmt19937|<random>", {"core/random.cc"},
        "randomness comes through core/random.h", "#include <random>\n"),
    "assert": (
        r"\bassert\(|<cassert>|<assert\.h>", set(), "PERCH_CHECK stays on in release, PERCH_DCHECK says not",
        "void f(int x) { assert(x > 0); }\n"),
}

# Headers without a unit test of their own name: where their test is, or why there is none.
UNTESTED = {
    "bench/machine.h": "says what this machine is",
    "bench/pairs.h": "bench_pairs_smoke runs it whole",
    "bench/traffic.h": "bench_pairs_smoke runs it whole",
    "bench/wires.h": "bench_pairs_smoke runs it whole",
    "chat/descriptors.h": "tests/e2e/startup_test.py",
    "chat/flight.h": "tests/unit/core_fixture.h runs it in a whole node, as does the simulator",
    "chat/hops.h": "tests/unit/core_fixture.h runs it in a whole node, as does the simulator",
    "chat/listeners.h": "tests/e2e/startup_test.py",
    "chat/login.h": "tests/unit/core_fixture.h runs it in a whole node, as does the simulator",
    "chat/node.h": "tests/e2e run it whole",
    "chat/node_state.h": "tests/e2e run it whole",
    "chat/operator.h": "tests/e2e/perchctl_test.py asks it all",
    "chat/privileges.h": "tests/e2e/startup_test.py",
    "chat/recovery_fan_out.h": "tests/unit/core_fixture.h runs it in a whole node, as does the simulator",
    "chat/user.h": "tests/unit/core_fixture.h runs it in a whole node, as does the simulator",
    "chat/user_write.h": "tests/unit/core_fixture.h runs it in a whole node, as does the simulator",
    "client/identity.h": "data",
    "client/message.h": "data",
    "client/perch.h": "tests/e2e/c_api.c, a program in C",
    "client/row.h": "tests/unit/events_test.cc",
    "client/sqlite_query.h": "a part of client/sqlite_store.h",
    "client/terminal/command.h": "tests/e2e/perch_cli_test.py runs every command",
    "client/terminal/history.h": "tests/e2e/perch_cli_test.py",
    "client/terminal/screen.h": "tests/e2e/screen_test.py",
    "client/terminal/screen/capabilities.h": "tests/unit/painter_test.cc paints with them",
    "client/terminal/screen/help.h": "texts: tests/e2e/screen_test.py shows them",
    "client/terminal/screen/state.h": "data; the tests of update.h and layout.h beside it",
    "client/terminal/screen/terminal.h": "tests/e2e/screen_test.py has a real one",
    "core/api.h": "tests/e2e/install_test.py looks at what is exported",
    "core/control_client.h": "tests/unit/control_test.cc",
    "core/limits.h": "numbers",
    "core/probe.h": "tests/probes.py looks for its probes in the built perchd",
    "core/metrics_table.h": "a table: core/metrics.h makes it what tests/unit/metrics_test.cc sees",
    "net/connection.h": "data; the files of net/state.h hold the transitions",
    "net/state.h": "Net's own data; tests/unit/net_test.cc and its neighbours see what it does",
    "ctl/backup_folder.h": "tests/e2e/backup_test.py",
    "ctl/new_store.h": "tests/e2e/backup_test.py",
    "ctl/command.h": "tests/e2e/perchctl_test.py runs every command",
    "ctl/json.h": "tests/e2e/perchctl_test.py reads what it prints",
    "store/kv.h": "an interface",
    "store/store.h": "an interface",
}

# Files over LINES_MAX: the most lines they may have. Only ever lowered.
LINES_MAX = 700
LONG_FILES = {}

COLUMNS_MAX = 110  # of C++ and the schema, as in .clang-format
TEXT = (".cc", ".h", ".py", ".fbs", ".cmake", ".sh", ".md", ".txt", ".json")


class Tree:
    """The files of a checkout: path to text."""

    def __init__(self, files):
        self.files = files

    def paths(self, *endings):
        return [path for path in sorted(self.files) if path.endswith(endings)]

    def cpp(self):
        return [path for path in self.paths(".h", ".cc") if path.split("/")[0] in FOLDERS]

    def lines(self, path):
        return enumerate(self.files[path].splitlines(), 1)

    def code(self, path):
        """Lines without comments and string literals, which say nothing about what is used."""
        def blank(match):
            text = match.group()
            return text if text.startswith("#include") else "\n" * text.count("\n")
        pattern = r'#include[^\n]*|//[^\n]*|/\*.*?\*/|R"\(.*?\)"|"(?:\\.|[^"\\\n])*"'
        return enumerate(re.sub(pattern, blank, self.files[path], flags=re.S).splitlines(), 1)


def read_tree(root):
    files = {}
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [name for name in subfolders if name not in ("build", ".git", "__pycache__")]
        for name in names:
            path = os.path.join(folder, name)
            short = os.path.relpath(path, root)
            if not name.endswith(TEXT) and not short.startswith(("tools/", ".ci/")):
                continue
            with open(path, encoding="utf-8") as file:
                files[short] = file.read()
    return Tree(files)


# --- rules: each yields (path, line, what is wrong) -----------------------------------------------------

def place(tree, word):
    pattern, places, remedy, _ = PLACES[word]
    used = set()
    for path in tree.cpp():
        homes = {home for home in places if path == home or (home.endswith("/") and path.startswith(home))}
        for number, line in tree.code(path):
            if not re.search(pattern, line):
                continue
            used |= homes
            if not homes:
                yield path, number, f"{line.strip()[:60]}: {remedy}"
    for home in places - used:
        yield "tools/tidy.py", 0, f"PLACES[{word}] lists {home}, which does not need it"


def includes(tree):
    for path in tree.cpp():
        rule = max((folder for folder in MAY_INCLUDE if path.startswith(folder + "/")), key=len)
        for number, line in tree.code(path):
            match = re.match(r'#include "([^"]+)"', line)
            if not match:
                continue
            name = match.group(1)
            beside = f"{os.path.dirname(path)}/{name}"
            if rule == "tests" and beside in tree.files:
                name = beside
            if name in GENERATED:
                if path != GENERATED[name]:
                    yield path, number, f"{name} is for {GENERATED[name]} alone"
            elif name not in tree.files:
                yield path, number, f"{name}: no such header; its path begins at the top"
            elif not any(name == allowed or name.startswith(allowed + "/") for allowed in MAY_INCLUDE[rule]):
                yield path, number, f"{rule}/ may not include {name} (ARCHITECTURE.md, Layout)"


def headers(tree):
    for path in tree.cpp():
        if not path.endswith(".h"):
            continue
        text = tree.files[path]
        if not text.startswith("// "):
            yield path, 1, "a header begins with a comment that says what it is for"
        if not re.search(r"^#pragma once$", text, re.M):
            yield path, 1, "no #pragma once"


def unit_tests(tree, untested=None):
    untested = UNTESTED if untested is None else untested
    for path in tree.cpp():
        folder, stem = path.split("/")[0], os.path.basename(path)[:-2]
        if not path.endswith(".h") or folder == "tests":
            continue
        names = [f"tests/unit/{stem}_test.cc", f"tests/unit/{folder}_{stem}_test.cc"]
        tested = any(f'#include "{path}"' in tree.files.get(name, "") for name in names)
        if not tested and path not in untested:
            yield path, 1, f"{names[0]} does not include it: write it, or UNTESTED of tools/tidy.py says why"
        if tested and path in untested:
            yield "tools/tidy.py", 0, f"UNTESTED lists {path}, which has a test"
    for path, reason in untested.items():
        if path not in tree.files:
            yield "tools/tidy.py", 0, f"UNTESTED lists {path}, which is not there"
        if re.fullmatch(r"\S+_test\.cc", reason) and f'#include "{path}"' not in tree.files.get(reason, ""):
            yield "tools/tidy.py", 0, f"UNTESTED says that {reason} tests {path}: it does not include it"


def pragmas(tree):
    """PLACES looks at code without its strings, where SQL stands."""
    for path in tree.cpp():
        if path.startswith("tests/"):
            continue
        for number, line in tree.lines(path):
            for name, value in re.findall(r"PRAGMA\s+(synchronous|journal_mode)\s*[=(]\s*(\w+)", line, re.I):
                if value.upper() != {"synchronous": "FULL", "journal_mode": "WAL"}[name.lower()]:
                    yield path, number, f"{name}={value}: a commit reaches the disk before it is confirmed"


def lengths(tree, long_files=None):
    long_files = LONG_FILES if long_files is None else long_files
    for path in tree.paths(".cc", ".h", ".py", ".fbs"):
        lines = len(tree.files[path].splitlines())
        if lines > long_files.get(path, LINES_MAX):
            allowed = long_files.get(path, LINES_MAX)
            yield path, lines, f"{lines} lines, {allowed} are allowed: one noun per file"
        if path in long_files and lines <= LINES_MAX:
            yield "tools/tidy.py", 0, f"LONG_FILES lists {path}, which has {lines} lines only"
    for path in long_files:
        if path not in tree.files:
            yield "tools/tidy.py", 0, f"LONG_FILES lists {path}, which is not there"


def layout(tree):
    for path in sorted(tree.files):
        text = tree.files[path]
        if path.endswith("as_you_like_it.txt"):
            continue  # quoted as its source has it
        if text and (not text.endswith("\n") or text.endswith("\n\n")):
            yield path, text.count("\n"), "ends with exactly one newline"
        if "\t" in text or "\r" in text:
            yield path, 1, "tab or carriage return"
        for number, line in tree.lines(path):
            if line != line.rstrip():
                yield path, number, "blanks at the end of the line"
            if len(line) > COLUMNS_MAX and path.endswith((".h", ".cc", ".fbs")):
                yield path, number, f"{len(line)} columns, {COLUMNS_MAX} are allowed"


def leftovers(tree):
    pattern = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
    for path in sorted(tree.files):
        for number, line in tree.lines(path):
            if pattern.search(line):
                yield path, number, "finish it, or make it an issue"


def machine_paths(tree):
    for path in sorted(tree.files):
        for number, line in tree.lines(path):
            if re.search(r"/(work|root)/|/home/\w", line):
                yield path, number, "a path of one machine"
            if re.search(r'["\'=( ]/tmp/', line) and not path.startswith("tests/"):
                yield path, number, "ask for the folder of temporary files (TMPDIR), or take an option"


HEADER = "// What it is for.\n#pragma once\n"
RULES = {  # name: (check, trees in each of which it must find something, a tree in which it must not)
    "includes": (
        includes,
        [{"net/a.cc": '#include "chat/b.h"\n', "chat/b.h": HEADER},
         {"core/a.cc": '#include "b.h"\n', "core/b.h": HEADER},
         {"client/protocol/a.cc": '#include "client/c.h"\n', "client/c.h": HEADER},
         {"net/a.cc": '#include "perch_generated.h"\n'}],
        {"chat/a.cc": '#include "net/b.h"\n', "net/b.h": HEADER,
              "tests/sim/a.cc": '#include "b.h"\n', "tests/sim/b.h": HEADER}),
    "headers": (
        headers, [{"core/a.h": "#pragma once\n"}, {"core/a.h": "// What it is for.\nint a;\n"}],
        {"core/a.h": HEADER}),
    "unit tests": (
        lambda tree: unit_tests(tree, {}),
        [{"core/a.h": HEADER}, {"core/a.h": HEADER, "tests/unit/a_test.cc": '#include "codec/a.h"\n'}],
        {"core/a.h": HEADER, "tests/unit/a_test.cc": '#include "core/a.h"\n',
         "codec/a.h": HEADER, "tests/unit/codec_a_test.cc": '#include "codec/a.h"\n'}),
    "unit tests, reasons": (
        lambda tree: unit_tests(tree, {"core/a.h": "none needed"}),
        [{}, {"core/a.h": HEADER, "tests/unit/a_test.cc": '#include "core/a.h"\n'}], {"core/a.h": HEADER}),
    "unit tests, elsewhere": (
        lambda tree: unit_tests(tree, {"core/a.h": "tests/unit/b_test.cc"}),
        [{"core/a.h": HEADER}, {"core/a.h": HEADER, "tests/unit/b_test.cc": ""}],
        {"core/a.h": HEADER, "tests/unit/b_test.cc": '#include "core/a.h"\n'}),
    "pragmas": (
        pragmas,
        [{"client/a.cc": 'exec("PRAGMA synchronous=NORMAL");\n'},
         {"client/a.cc": 'exec("pragma synchronous = 1");\n'},
         {"client/a.cc": 'exec("PRAGMA journal_mode=MEMORY");\n'}],
        {"client/a.cc": 'exec("PRAGMA journal_mode=WAL"); exec("PRAGMA synchronous=FULL");\n',
         "client/b.cc": 'query("PRAGMA synchronous");\n'}),
    "lengths": (
        lambda tree: lengths(tree, {}), [{"core/a.cc": "\n" * (LINES_MAX + 1)}],
        {"core/a.cc": "\n" * LINES_MAX}),
    "lengths, ratchet": (
        lambda tree: lengths(tree, {"core/a.cc": LINES_MAX + 9}),
        [{}, {"core/a.cc": "\n" * (LINES_MAX + 10)}, {"core/a.cc": "\n" * LINES_MAX}],
        {"core/a.cc": "\n" * (LINES_MAX + 9)}),
    "layout": (
        layout,
        [{"core/a.cc": "\tint a;\n"}, {"core/a.cc": "int a; \n"}, {"README.md": "no newline"},
         {"core/a.cc": "int a;\n\n"}, {"core/a.cc": "int a;\r\n"}, {"core/a.cc": "/" * 111 + "\n"}],
        {"core/a.cc": "int a;\n", "README.md": "|" * 200 + "\n"}),
    "leftovers": (
        leftovers, [{"core/a.cc": "// TO" "DO: finish\n"}, {"tools/a": "# FIX" "ME\n"}],
        {"core/a.cc": 'open("XXXXXX");\n'}),
    "machine paths": (
        machine_paths, [{"README.md": "cd /" "work/main\n"}, {"core/a.cc": 'open("/' 'tmp/a");\n'}],
        {"tests/unit/a_test.cc": 'open("/' 'tmp/a");\n', "tools/a": "${TMPDIR:-/tmp}/a\n"}),
}


def self_test():
    failures = []
    for name, (check, bad_trees, good) in RULES.items():
        for bad in bad_trees:
            if not list(check(Tree(bad))):
                failures.append(f"{name}: finds nothing in {bad}")
        failures += [f"{name}: finds {found} in the good example" for found in check(Tree(good))]
    for word, (_, places, _, bad) in PLACES.items():
        found = {path for path, _, _ in place(Tree({"chat/elsewhere.cc": bad}), word)}
        if "chat/elsewhere.cc" not in found:
            failures.append(f"{word}: finds nothing in {bad!r}")
        if places and "tools/tidy.py" not in found:
            failures.append(f"{word}: a place that does not need it is not found")
        everywhere = {home if not home.endswith("/") else home + "a.cc": bad for home in places}
        everywhere["chat/comment.cc"] = "".join(f"// {line}\n" for line in bad.splitlines())
        failures += [f"{word}: finds {found} where it may stand" for found in place(Tree(everywhere), word)]
    for failure in failures:
        print(failure)
    print(f"{len(RULES) + len(PLACES)} rules, {len(failures)} failures")
    return 1 if failures else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    if sys.argv[1:]:
        print(__doc__)
        return 2
    tree = read_tree(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    findings = [found for check in (includes, headers, unit_tests, pragmas, lengths, layout, leftovers, machine_paths)
                for found in check(tree)]
    findings += [found for word in PLACES for found in place(tree, word)]
    for path, line, what in findings:
        print(f"{path}:{line}: {what}")
    print(f"{len(tree.files)} files, {len(findings)} findings")
    return 1 if findings else 0


sys.exit(main())
