#!/usr/bin/python3
"""The demo's play reads as the conversation it is meant to be: enough of it, nobody speaks from nowhere."""
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools" / "demo"))
import script  # noqa: E402  (found through the path above)


def loaded(text: str) -> list[script.Scene]:
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "play.txt"
        path.write_text(text)
        return script.load(path)


class ScriptTest(unittest.TestCase):
    def test_play_is_large_enough(self):
        scenes = script.load()
        self.assertGreaterEqual(sum(len(scene.lines()) for scene in scenes), 200)
        self.assertGreaterEqual(len({name for scene in scenes for name in scene.cast}), 6)
        self.assertTrue(all(event.text for scene in scenes for event in scene.lines()))

    def test_people_come_before_they_speak_and_all_leave(self):
        for scene in script.load():
            there = set()
            for event in scene.events:
                if event.kind == "enter":
                    self.assertFalse(there & set(event.who))
                    there |= set(event.who)
                elif event.kind == "exit":
                    self.assertLessEqual(set(event.who), there)
                    there -= set(event.who)
                elif event.kind == "line":
                    self.assertLessEqual(set(event.who), there)
            self.assertFalse(there)

    def test_no_word_is_lost(self):
        said = " ".join(event.text for scene in script.load() for event in scene.lines()).split()
        printed, in_direction = [], False
        for row in script.PLAY.read_text().splitlines():
            if row.startswith(("#", "ACT ", "SCENE ")):
                continue
            in_direction = in_direction or row.startswith("\t[")
            if not in_direction:
                printed += row.partition("\t")[2].split()
            if row.endswith("]"):
                in_direction = False
        self.assertEqual(said, printed)

    def test_what_a_direction_leaves_open(self):
        [scene] = loaded("ACT I\nSCENE I\tA room.\n\t[Enter A, First Lord, and\n\tattendants]\n"
                         "A\tOne\n\ttwo.\n"
                         "First Lord\tThree.\n\t[Exit]\n\t[Thunder]\nA\tFive.\n")
        self.assertEqual([(event.kind, event.who) for event in scene.events],
                         [("enter", ["A", "First Lord"]), ("line", ["A"]), ("line", ["First Lord"]),
                          ("exit", ["First Lord"]), ("stage", []), ("line", ["A"]), ("exit", ["A"])])
        self.assertEqual(scene.lines()[0].text, "One\ntwo.")

    def test_mistakes_are_refused(self):
        head = "ACT I\nSCENE I\tA room.\n"
        for text in ("A\tToo early.\n", head + "A\tFrom nowhere.\n", head + "\tNobody's.\n",
                     head + "\t[Enter A]\n\t[Enter A]\nA\tTwice.\n",
                     head + "\t[Enter A]\n\t[Exit B]\nA\tx\nB\ty\n"):
            with self.assertRaises(script.ScriptError, msg=text):
                loaded(text)


if __name__ == "__main__":
    unittest.main()
