"""A real terminal for the tests: a tmux server of its own, in which somebody runs the full-screen `perch`, types and is
shown screens. What differs from run to run is masked."""
import os
import pathlib
import re
import shutil
import subprocess
import time

from harness import BIN, Skipped, require

SCREENS = pathlib.Path(__file__).resolve().parent / "screens"
SECONDS = 20  # within which a screen must show what it should
# tmux versions draw these in one column or in two, and perch puts what follows where it belongs: with a blank more.
DISPUTED = "❤\ufe0f|🇩🇪|👨\u200d👩\u200d👧"


def masked(text):
    text = re.sub(r"\b\d\d:\d\d\b", "HH:MM", text)
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", text)
    text = re.sub(r"\(\d+ characters\)", "(N characters)", text)
    text = re.sub(r"\d{9,}", lambda user: "#" * len(user.group()), text)
    text = re.sub(f"({DISPUTED}) +", r"\1 ", text)
    return "\n".join(line.rstrip() for line in text.splitlines()).rstrip() + "\n"


class Terminal:
    """A shell in a terminal of 80x24."""

    def __init__(self, folder, name, columns=80, rows=24):
        if shutil.which("tmux") is None:
            raise Skipped("tmux is not installed")
        self.socket = pathlib.Path(folder) / f"tmux-{name}"
        self.columns, self.rows = columns, rows
        environment = {key: value for key, value in os.environ.items()
                       if not key.startswith(("TMUX", "LC_", "PERCH")) and key != "NO_COLOR"}
        environment |= {"LC_ALL": "C.UTF-8", "TZ": "UTC", "PS1": "$ ", "PATH": f"{BIN}:{os.environ['PATH']}"}
        subprocess.run(["setpriv", "--pdeathsig", "KILL", "tmux", "-S", self.socket, "-u", "-f", "/dev/null",
                        "new-session", "-d", "-x", str(columns), "-y", str(rows), "bash --norc --noprofile -i"],
                       check=True, env=environment)

    def tmux(self, *command):
        return subprocess.run(["tmux", "-S", self.socket, "-u", *map(str, command)], check=True, capture_output=True,
                              text=True).stdout

    def end(self):
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], capture_output=True)

    def keys(self, *names):
        self.tmux("send-keys", *names)

    def type(self, text):
        self.tmux("send-keys", "-l", "--", text)

    def line(self, text):
        self.type(text)
        self.keys("Enter")

    def paste(self, text):
        """A line break goes as "\\r", as terminals send it; bracketed, if the program has asked for it."""
        self.tmux("set-buffer", text)
        self.tmux("paste-buffer", "-p")

    def resize(self, columns, rows):
        self.tmux("resize-window", "-x", columns, "-y", rows)

    def value(self, format):
        return self.tmux("display-message", "-p", format).strip()

    def text(self):
        return masked(self.tmux("capture-pane", "-p"))

    def wait(self, condition, what):
        end = time.monotonic() + SECONDS
        while not condition():
            require(time.monotonic() < end, f"{what}; the screen is\n{self.text()}")
            time.sleep(0.05)

    def shows(self, *patterns):
        """Waits until the screen has all of these."""
        for pattern in patterns:
            self.wait(lambda: re.search(pattern, self.text()), f"{pattern!r} is not shown")

    def is_screen(self, name, *patterns):
        """Waits for the patterns, and that the screen is the one in screens/NAME.txt. With PERCH_SCREENS=write in the
        environment it becomes that: for who has changed what is shown, and looks at the difference."""
        self.shows(*patterns)
        path = SCREENS / f"{name}.txt"
        if os.environ.get("PERCH_SCREENS") == "write":
            time.sleep(0.5)
            SCREENS.mkdir(exist_ok=True)
            path.write_text(self.text(), encoding="utf-8")
        expected = path.read_text(encoding="utf-8")
        self.wait(lambda: self.text() == expected, f"{name}: the screen is not\n{expected}")
