"""No type of a schema may bear a name that generated code of some language uses for its own.

flatc puts the types of a namespace into one module and spells out there, without a path, what that language's own
library calls by the same name: a table `Result` makes the Rust output one that no compiler takes, and nothing in
C++ or Python shows it. Names of types are not on the wire, so it costs nothing to choose another in time.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SCHEMAS = {"codec/schema/perch.fbs": "Frame Payload Scope Route", "client/content/content.fbs": "Item Kind Target"}
TAKEN = {
    "Rust": "Box Clone Copy Debug Default EndianScalar Eq Err Follow Hash None Ok Option Ord Ordering PartialEq "
            "PartialOrd Push Result Self Some String Vec Verifiable",
    "Java, Kotlin, C#, Swift, Dart, TypeScript": "Array Builder ByteBuffer FlatBufferBuilder Int Integer List Long "
            "Map Object Offset Optional Short Struct Table Type Vector",
}


def main() -> int:
    num_clashes = 0
    for schema, expected in SCHEMAS.items():
        text = re.sub(r"//.*", "", (ROOT / schema).read_text())
        names = re.findall(r"^\s*(?:table|struct|enum|union)\s+(\w+)", text, re.MULTILINE)
        assert set(expected.split()) <= set(names), names
        for language, taken in TAKEN.items():
            for name in set(names) & set(taken.split()):
                print(f"{schema}: a type may not be called {name} ({language})")
                num_clashes += 1
    return 1 if num_clashes else 0


if __name__ == "__main__":
    sys.exit(main())
