"""What is written of the measures, in code and in the documentation, is what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dubkit.config.schema import Config
from dubkit.metrics import lips
from dubkit.metrics.definitions import BY_NAME, MEASURES
from dubkit.metrics.gate_limits import LIMITS

PAGE = (Path(__file__).parents[2] / "docs" / "measures.md").read_text(encoding="utf-8")
ROWS = {
    name: line
    for line in PAGE.split("## ")[0].splitlines()
    if line.startswith("| `")
    for name in re.findall(r"`(\w+)`", line.split("|")[1])
}


def test_every_measure_has_one_name_and_one_row_in_the_documentation() -> None:
    assert len(BY_NAME) == len(MEASURES)
    assert set(ROWS) == set(BY_NAME)


def test_every_measure_of_the_gate_is_defined() -> None:
    assert set(LIMITS) <= set(BY_NAME)


@pytest.mark.parametrize("name", LIMITS)
def test_the_limits_in_the_documentation_are_the_defaults(name: str) -> None:
    limit = float(getattr(Config().gate, LIMITS[name].setting))
    word = {"lower": "at most", "higher": "at least", "near 0": "within"}[LIMITS[name].better]
    cell = ROWS[name].split("|")[5].strip()
    found = re.match(rf"{word} ([\d.]+)", cell)
    assert found, cell
    assert float(found[1]) == limit


def test_the_common_definitions_in_the_documentation_are_the_codes() -> None:
    assert f"closed* under **{str(lips.SHUT).lstrip('0')}**" in PAGE
    assert f"{str(lips.AFTER).lstrip('0')} s after speech" in PAGE
    assert f"{str(lips.BEFORE).lstrip('0')} s before it" in PAGE
    assert "nearer than .03 of" in BY_NAME["closures"].meaning
