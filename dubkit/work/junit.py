"""JUnit XML, as CI systems read it: one suite of cases."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

from dubkit.work.manifest import write_atomic

_UNPRINTABLE = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_PLURAL = {"error": "errors", "failure": "failures", "skipped": "skipped"}


@dataclass(frozen=True, slots=True)
class Case:
    """One test case; it passed where ``mark`` is None."""

    group: str  # classname
    name: str
    seconds: float = 0.0
    mark: Literal["error", "failure", "skipped"] | None = None
    message: str = ""
    text: str = ""


def write_cases(path: Path, suite: str, cases: Sequence[Case]) -> None:
    """Write a suite; characters that XML cannot hold are replaced."""
    root = ElementTree.Element("testsuites")
    tally = dict.fromkeys(_PLURAL.values(), 0)
    for case in cases:
        if case.mark:
            tally[_PLURAL[case.mark]] += 1
    counts = {"tests": len(cases), **tally}
    head = {"name": _clean(suite), **{key: str(value) for key, value in counts.items()}}
    head["time"] = f"{sum(case.seconds for case in cases):.3f}"
    element = ElementTree.SubElement(root, "testsuite", head)
    for case in cases:
        _write(element, case)
    ElementTree.indent(root)
    write_atomic(path, ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n")


def _write(suite: ElementTree.Element, case: Case) -> None:
    head = {"classname": _clean(case.group), "name": _clean(case.name)}
    element = ElementTree.SubElement(suite, "testcase", {**head, "time": f"{case.seconds:.3f}"})
    if case.mark:
        child = ElementTree.SubElement(element, case.mark, message=_clean(case.message))
        child.text = _clean(case.text) or None


def _clean(text: str) -> str:
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)
