"""Rows of the matrix of master formats: each is kept or refused by name, none differs without a word.

The fast ones run everywhere, all of them with ``pytest -m benchmark tests/matrix`` or, with the table of
docs/master-formats.md written anew, ``python -m tests.matrix.films``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.matrix.films import BEGIN, DOC, Row, run
from tests.matrix.rows import ROWS

FAST = [row for row in ROWS if row.fast]


@pytest.mark.parametrize("row", FAST, ids=lambda row: row.name)
def test_a_fast_row_is_kept_or_refused_by_name(tmp_path: Path, row: Row) -> None:
    assert run(row, tmp_path).wrong == []


@pytest.mark.benchmark
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_is_kept_or_refused_by_name(tmp_path: Path, row: Row) -> None:
    assert run(row, tmp_path).wrong == []


def test_the_matrix_is_large_and_every_row_stands_in_the_table() -> None:
    assert len(ROWS) >= 120
    assert len({row.name for row in ROWS}) == len(ROWS)
    table = DOC.read_text().partition(BEGIN)[2]
    assert [row.name for row in ROWS if f"| {row.name} |" not in table] == []
