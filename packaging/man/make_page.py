#!/usr/bin/python3
"""Makes a manual page of what is written about a program and what the program says of itself, so that no option or
command is missing or forgotten: in TEMPLATE @OPTIONS@ and @COMMANDS@ are what SOURCE --help tells, @KEYS@ the keys of
the configuration file SOURCE.
make_page.py VERSION TEMPLATE PAGE SOURCE"""
import pathlib
import re
import subprocess
import sys


def roff(text):
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("…", "...").replace("—", "\\(em")
    return re.sub(r"(?m)^([.'])", r"\\&\1", text)


def entry(head, text):
    return f".TP\n{head}\n{roff(text)}\n"


def sections(help_text):
    """{title: [(words, description)]} of what CLI11 prints: an entry begins two columns in, and what is further in
    goes on with it."""
    found, entries = {}, None
    for line in help_text.splitlines():
        title = re.fullmatch(r"(\w+):\s*", line)
        if title:
            entries = found.setdefault(title[1], [])
        elif not line.strip():
            entries = None
        elif entries is not None and re.match(r" {2}\S", line):
            words, _, description = line.strip().partition("  ")
            entries.append([words, description.strip()])
        elif entries:
            entries[-1][1] = f"{entries[-1][1]} {line.strip()}".strip()
    return found


def head(words):
    """`--wait FLOAT:FLOAT in [0 - 9]=1 Excludes: --x` is --wait FLOAT to a reader; defaults are in the description."""
    names, _, rest = words.partition(" ")
    value = re.match(r"[A-Z]+(?=[: =]|$)", rest)
    default = re.search(r"=(\S+)(?= |$)", rest)
    return (f".BR {roff(names).replace(',', ' , ')}" + (f' " {value[0]}"' if value else ""),
            f" (default {default[1]})" if default else "")


def options(help_text, known=()):
    shown = ""
    for words, description in sections(help_text).get("Options", []):
        if words in known:
            continue
        line, default = head(words)
        shown += entry(line, description + default)
    return shown


def told(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def commands(program, *group):
    shown = ""
    for name, description in sections(told(program, *group, "--help")).get("Subcommands", []):
        text = told(program, *group, name, "--help")
        arguments = "".join(f" {words.split(' ')[0]}" + (" ..." if " ... " in f"{words} " else "")
                            for words, _ in sections(text).get("Positionals", []))
        shown += f".SS {roff(' '.join((*group, name)) + arguments)}\n{roff(description[:1].upper() + description[1:])}.\n"
        # What the program itself takes is in OPTIONS.
        known = {words for words, _ in sections(told(program, "--help"))["Options"]}
        shown += options(text, known) + commands(program, *group, name)
    return shown


def keys(path):
    shown, table, comment = "", "", []
    for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines():
        header = re.fullmatch(r"\[+([\w.]+)\]+", line)
        key = re.match(r"(\w+) = ", line)
        if header:
            table = header[1]
            shown += f".SS [{table}]\n" if table != "keys" else f".SS [[keys]]\n{roff(' '.join(comment))}\n"
            comment = []
        elif key:
            # A key of [[keys]] is explained above all of them.
            shown += entry(f".B {key[1] if table in ('', 'keys') else table + '.' + key[1]}", " ".join(comment) or f"as in {line}")
            comment = []
        elif line.startswith("#"):
            comment.append(line.lstrip("# "))
        else:
            comment = []
    return shown


def main(version, template, page, source):
    text = pathlib.Path(template).read_text(encoding="utf-8").replace("@VERSION@", version)
    for name, made in (("@OPTIONS@\n", lambda: options(told(source, "--help"))), ("@COMMANDS@\n", lambda: commands(source)),
                       ("@KEYS@\n", lambda: keys(source))):
        if name in text:
            text = text.replace(name, made())
    pathlib.Path(page).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
