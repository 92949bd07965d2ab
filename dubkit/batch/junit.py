"""JUnit XML of a batch, one test case a job, as CI systems read it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from dubkit.batch.book import Outcome
from dubkit.batch.entries import Entry, Problem
from dubkit.work.manifest import write_atomic

_UNPRINTABLE = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_junit(
    path: Path, entries: Sequence[Entry], outcomes: Sequence[Outcome], problems: Sequence[Problem]
) -> None:
    """A failed job is an error, one with original pictures a failure, one not reached is skipped."""
    by_name = {outcome.name: outcome for outcome in outcomes}
    wrong: dict[str, list[Problem]] = {}
    for problem in problems:
        wrong.setdefault(problem.job, []).append(problem)
    names = list(dict.fromkeys([*(entry.name for entry in entries), *wrong]))
    suite = ElementTree.Element("testsuite", name="dubkit batch", tests=str(len(names)))
    tally = {"errors": 0, "failures": 0, "skipped": 0}
    seconds = 0.0
    for name in names:
        outcome = by_name.get(name)
        took = outcome.seconds if outcome else 0.0
        seconds += took
        case = ElementTree.SubElement(
            suite, "testcase", classname="dubkit.batch", name=_clean(name), time=f"{took:.3f}"
        )
        kind = _mark(case, outcome, wrong.get(name, []))
        if kind:
            tally[kind] += 1
    suite.attrib |= {key: str(value) for key, value in tally.items()} | {"time": f"{seconds:.3f}"}
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    write_atomic(path, ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n")


def _mark(
    case: ElementTree.Element, outcome: Outcome | None, problems: Sequence[Problem]
) -> str | None:
    if problems:
        text = "\n".join(f"{problem.origin}: {problem.message}" for problem in problems)
        _child(case, "error", problems[0].message, text)
        return "errors"
    if outcome is None:
        ElementTree.SubElement(case, "skipped", message="not reached")
        return "skipped"
    if outcome.state in ("failed", "interrupted"):
        message = outcome.error or outcome.state
        _child(case, "error", message, f"{message}\n{outcome.hint or ''}")
        return "errors"
    if outcome.state == "partial":
        count = len(outcome.kept)
        _child(case, "failure", f"{count} shots keep their picture", "\n".join(outcome.kept))
        return "failures"
    return None


def _child(case: ElementTree.Element, tag: str, message: str, text: str) -> None:
    ElementTree.SubElement(case, tag, message=_clean(message)).text = _clean(text)


def _clean(text: str) -> str:
    """Without characters that XML cannot hold."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)
