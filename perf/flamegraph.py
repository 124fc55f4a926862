#!/usr/bin/env python3
"""Turns `perf script` output into a flame graph: one SVG file that needs nothing but a browser.

    perf script -i perf.data | perf/flamegraph.py "title" > out.svg

Width is the share of samples, height the depth of the stack, colour the place: kernel blue, perchd orange,
libraries grey. A pointer on a box shows its name, samples and share. Boxes narrower than 0.1 % are left out.
"""
import html
import re
import sys

WIDTH, ROW, MARGIN, FONT, SHARE_MIN = 1200, 17, 34, 11, 0.001
COLOURS = {"kernel": "#9ab8d8", "server": "#f0a860", "library": "#c8c8c8"}


class Box:
    def __init__(self, name, place):
        self.name, self.place, self.samples, self.children = name, place, 0, {}

    def child(self, name, place):
        return self.children.setdefault((name, place), Box(name, place))


def read(lines):
    """The tree of all stacks. A stack is a header line, then frames from the innermost out, then a blank line."""
    root, stack = Box("all", "library"), []
    for line in lines:
        frame = re.match(r"\s+[0-9a-f]+ (.+) \(([^()]*|\[[^]]*\])\)\s*$", line)
        if frame:
            name = re.sub(r"\+0x[0-9a-f]+$", "", frame.group(1))
            name = re.sub(r"\(.*", "", name.replace("(anonymous namespace)::", "")).replace("perch::", "")
            dso = frame.group(2)
            place = "kernel" if dso.startswith("[") else "server" if dso.endswith("/perchd") else "library"
            stack.append((name, place))
        elif not line.strip() and stack:
            box = root
            box.samples += 1
            for name, place in reversed(stack):
                if name == "[unknown]":
                    continue
                box = box.child(name, place)
                box.samples += 1
            stack = []
    return root


def depth(box, least):
    return 1 + max((depth(c, least) for c in box.children.values() if c.samples >= least), default=0)


def draw(box, x, level, rows, total, out):
    width = box.samples / total * (WIDTH - 20)
    y = MARGIN + (rows - level) * ROW
    share = f"{box.samples / total:.1%}"
    name = html.escape(box.name)
    out.append(f'<g><title>{name}: {box.samples} samples, {share}</title><rect x="{x:.1f}" y="{y}" '
               f'width="{max(width - 0.5, 0.3):.1f}" height="{ROW - 1}" fill="{COLOURS[box.place]}"/>')
    letters = int(width / (FONT * 0.6)) - 1
    if letters >= 3:
        text = box.name if len(box.name) <= letters else box.name[:letters - 1] + "…"
        out.append(f'<text x="{x + 3:.1f}" y="{y + 12}">{html.escape(text)}</text>')
    out.append("</g>")
    for child in sorted(box.children.values(), key=lambda c: (-c.samples, c.name)):
        if child.samples / total >= SHARE_MIN:
            draw(child, x, level + 1, rows, total, out)
        x += child.samples / total * (WIDTH - 20)


def main():
    title = html.escape(sys.argv[1]) if len(sys.argv) > 1 else "flame graph"
    root = read(sys.stdin)
    if root.samples == 0:
        sys.exit("flamegraph.py: no stack in the input; record with perf record -g")
    rows = depth(root, root.samples * SHARE_MIN)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{MARGIN + (rows + 1) * ROW}" '
           f'font-family="monospace" font-size="{FONT}"><rect width="100%" height="100%" fill="#fff"/>'
           f'<text x="10" y="20" font-size="14">{title}, {root.samples} samples</text>']
    draw(root, 10, 1, rows, root.samples, out)
    print("\n".join(out + ["</svg>"]))


main()
