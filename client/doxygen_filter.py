#!/usr/bin/python3
"""Shows a header to Doxygen as it wants it: the first comment is about the file, one before a declaration is ///, one
behind it ///<. Headings in classes, and what is said of includes and ends of blocks, are for readers of the source.
doxygen_filter.py FILE"""
import re
import sys


def shown(lines):
    behind = None  # column of the comment behind the declaration above
    is_heading = is_example = blank_before = False
    yield "/// @file"
    for line in lines:
        code, marker, text = re.fullmatch(r"(.*?)(//(?=$| ))?(?(2)(.*)|)", line).groups()
        if marker is None:
            behind, is_heading, is_example = None, False, False
            if "= delete;" not in line:
                yield line
        elif code.strip():
            behind, is_heading = len(code), False
            yield line if code.lstrip().startswith(("#", "}")) else f"{code}///<{text}"
        elif behind == len(code):
            yield f"{code}///<{text}"
        elif text.startswith(" ---"):
            behind, is_heading = None, not text.endswith("---")
        elif not is_heading:
            # Three blanks after an empty line begin an example, which Markdown wants indented further.
            is_example = text.startswith("   ") and (blank_before or is_example)
            behind, blank_before = None, not text.strip()
            yield f"{code}///{'  ' if is_example else ''}{text}"


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        print("\n".join(shown(file.read().splitlines())))
