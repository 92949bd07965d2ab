"""The contact sheet of a film's people, and what is refused before a cast is made."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

import dubkit
from dubkit.errors import OutputError
from dubkit.faces.appearance import PORTRAIT_SIDE
from dubkit.faces.people import People, Person
from dubkit.planning.film_cast import FilmCast, draw_sheet

FACES = ("0000000-0000050/0", "0000050-0000090/1")


def test_each_person_has_a_row_with_portraits(tmp_path: Path) -> None:
    green = np.full((PORTRAIT_SIDE, PORTRAIT_SIDE, 3), (0, 200, 0), np.uint8)
    (tmp_path / "0000050-0000090").mkdir()
    cv2.imwrite(str(tmp_path / "0000050-0000090" / "face_1.jpg"), green)
    anna = Person("Anna", FACES, FACES[::-1], 3.2, 1.0)
    boris = Person("Boris", ("0000090-0000120/0",), (), 1.2, 0.0, dub=False, double="Anna")
    people = People((anna, boris), ("0000090-0000120/1",), named=True)
    one = draw_sheet((anna,), people, tmp_path)
    both = draw_sheet((anna, boris), people, tmp_path)
    assert len(both) > len(one)
    shown = (np.abs(both.astype(int) - (0, 200, 0)) < 12).all(2)
    result = FilmCast(people, tmp_path / "film.cast.toml", ())
    assert repr(result) == f"FilmCast(file={result.file}, people=Anna, Boris, unknown=1)"
    assert 100 * 100 < shown.sum() < 200 * 200, "one portrait; the other file is missing"


def test_an_edited_cast_file_is_not_overwritten_unasked(tmp_path: Path) -> None:
    (tmp_path / "film.cast.toml").write_text("edited")
    with pytest.raises(OutputError, match="exists already"):
        dubkit.cast(tmp_path / "film.mp4")
    assert (tmp_path / "film.cast.toml").read_text() == "edited"
