"""No type of the wire schema may bear a name that generated code of some language uses for its own.

flatc puts the types of a namespace into one module and spells out there, without a path, what that language's own
library calls by the same name: a table `Result` makes the Rust output one that no compiler takes, and nothing in
C++ or Python shows it. Names of types are not on the wire, so it costs nothing to choose another in time.
"""
import pathlib
import re
import sys

SCHEMA = pathlib.Path(__file__).resolve().parent.parent / "codec/schema/perch.fbs"
TAKEN = {
    "Rust": "Box Clone Copy Debug Default EndianScalar Eq Err Follow Hash None Ok Option Ord Ordering PartialEq "
            "PartialOrd Push Result Self Some String Vec Verifiable",
    "Java, Kotlin, C#, Swift, Dart, TypeScript": "Array Builder ByteBuffer FlatBufferBuilder Int Integer List Long "
            "Map Object Offset Optional Short Struct Table Type Vector",
}


def main() -> int:
    text = re.sub(r"//.*", "", SCHEMA.read_text())
    names = re.findall(r"^\s*(?:table|struct|enum|union)\s+(\w+)", text, re.MULTILINE)
    assert "Frame" in names and "Payload" in names and "Scope" in names and "Route" in names, names
    clashes = [f"{name} ({language})" for language, taken in TAKEN.items() for name in names if name in taken.split()]
    for clash in clashes:
        print(f"{SCHEMA.name}: a type may not be called {clash}")
    return 1 if clashes else 0


if __name__ == "__main__":
    sys.exit(main())
