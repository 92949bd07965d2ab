from __future__ import annotations

import random
from pathlib import Path

import cv2
import numpy as np
import pytest

from dubkit.errors import OutputError
from dubkit.planning.contact_sheet import COLORS, PAGE, SheetWriter
from dubkit.planning.shot_plan import Level, ShotPlan, Spoken, jpeg


def plan(number: int, level: Level = Level.HIGH) -> ShotPlan:
    gray = np.full((90, 160, 3), 128, np.uint8)
    return ShotPlan(
        shot=f"{50 * number:07d}-{50 * number + 50:07d}",
        start=2.0 * number,
        end=2.0 * number + 2,
        frames=50,
        faces=1,
        dubbed=1,
        who="face 0: the only face that can be dubbed",
        face=None,
        speech=Spoken(1.0, 10, 2, (True,) * 25 + (False,) * 25),
        focus=1.0,
        risk=level,
        reasons=(),
        to_paint=50,
        thumbnail=jpeg(gray),
        box=(0.25, 0.25, 0.5, 0.75),
    )


def test_a_long_film_gets_pages_of_bounded_size_whatever_the_order(tmp_path: Path) -> None:
    order = list(range(2 * PAGE + 5))
    random.Random(1).shuffle(order)
    writer = SheetWriter(tmp_path / "shots.png", len(order))
    assert all(writer.add(number, plan(number)).thumbnail is None for number in order)
    pages = writer.close()
    assert [page.name for page in pages] == ["shots.png", "shots-2.png", "shots-3.png"]
    sizes = [cv2.imread(str(page)).shape for page in pages]  # type: ignore[union-attr]
    assert sizes[0] == sizes[1]
    assert max(sizes[0]) < 4000
    assert sizes[2][0] < sizes[0][0]


def test_risk_face_and_speech_are_drawn(tmp_path: Path) -> None:
    writer = SheetWriter(tmp_path / "one.png", 1)
    writer.add(0, plan(0))
    sheet = cv2.imread(str(writer.close()[0]))
    assert sheet is not None
    red = tuple(reversed(COLORS[Level.HIGH]))
    assert (sheet == red).all(-1).sum() > 1000
    spoken = (sheet == (255, 172, 108)).all(-1)
    assert 140 * 8 <= spoken.sum() <= 160 * 8


def test_a_picture_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    writer = SheetWriter(tmp_path / "nowhere" / "one.png", 1)
    with pytest.raises(OutputError, match=r"one\.png cannot be written"):
        writer.add(0, plan(0))
