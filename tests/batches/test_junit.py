from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from dubkit.batches.jobs import Outcome
from dubkit.batches.run_batch import write_junit


def test_each_state_has_its_mark_and_odd_letters_do_not_break_the_file(tmp_path: Path) -> None:
    out = tmp_path / "x.mp4"
    outcomes = [
        Outcome("good", "done", 0, out, "a", seconds=2.0),
        Outcome("half", "partial", 10, out, "a", seconds=1.0, kept=("shot 1: no", "shot 2: no")),
        Outcome("bad\x00<&>", "failed", 3, out, "a", error="broken \x1b[31m <film>", hint="mend"),
    ]
    path = tmp_path / "report.xml"
    write_junit(path, [], outcomes, [])
    assert ElementTree.parse(path).getroot()[0].get("tests") == "0"
    entries = [_Named(o.name) for o in outcomes]
    write_junit(path, entries, outcomes, [])  # type: ignore[arg-type]
    suite = ElementTree.parse(path).getroot()[0]
    assert (suite.get("tests"), suite.get("errors"), suite.get("failures")) == ("3", "1", "1")
    assert suite.get("time") == "3.000"
    assert [[child.tag for child in case] for case in suite] == [[], ["failure"], ["error"]]
    assert suite[1][0].text == "shot 1: no\nshot 2: no"


class _Named:
    def __init__(self, name: str) -> None:
        self.name = name
