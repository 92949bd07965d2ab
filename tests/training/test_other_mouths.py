"""Mouths that were opened or shut by the warp: picture and labels move together, and nothing else moves."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dubkit.faces import align, landmark_layout
from dubkit.lips import mouth_shape
from dubkit.records import Floats, Picture
from dubkit.training.lab.faces_data import CROP, wide_from_canonical
from dubkit.training.lab.other_mouths import Speaker, reshape

AHEAD = np.zeros(3, np.float32)


def opened(opening: float) -> Floats:
    """(L, 2) crop pixels of the mean face with its lips that far apart, over the face's width."""
    mean = align.mean_face()
    rest = mouth_shape.frontal(mean[None], AHEAD[None])[0]
    effect = mouth_shape.gap_effect()
    step = (opening - float(mouth_shape.gap(rest))) * effect / float(effect @ effect)
    face = mouth_shape.wanted_landmarks(mean[None], AHEAD[None], rest, step[None])[0]
    return align.apply(wide_from_canonical(), face)


def opening_of(points: Floats) -> float:
    face = align.apply(align.invert(wide_from_canonical()), points)
    return float(mouth_shape.gap(mouth_shape.frontal(face[None], AHEAD[None])[0]))


def picture(points: Floats, inside: int) -> Picture:
    """Gray skin, green dots at both lips' middles, and ``inside`` between the lips."""
    drawn = np.full((CROP, CROP, 3), 120, np.uint8)
    ring = np.round(points[landmark_layout.LIPS_INNER]).astype(np.int32)
    cv2.fillPoly(drawn, [ring], (inside, inside, inside))
    for spot in (landmark_layout.LIPS_OUTER[5], landmark_layout.LIPS_OUTER[15]):
        x, y = points[spot]
        cv2.circle(
            drawn, (round(float(x) * 16), round(float(y) * 16)), 24, (0, 255, 0), -1, cv2.LINE_AA, 4
        )
    return drawn


def green(drawn: Picture) -> Floats:
    """(2,) the middle of what is green in the picture's lower and upper half of the mouth, as heights."""
    weight = np.clip(drawn[..., 1].astype(np.float32) - drawn[..., 0] - 40, 0, None)
    rows = weight.sum(1)
    where = np.flatnonzero(rows > 20)
    parts = np.split(where, np.flatnonzero(np.diff(where) > 1) + 1)
    assert len(parts) == 2
    return np.array([np.average(p, weights=rows[p]) for p in parts], np.float32)


def moved(own: float, start: float, end: float) -> tuple[Picture, Floats]:
    """A mouth ``own`` wide, dark inside, moved as another's was from ``start`` to ``end``, whose teeth are bright."""
    face, first, last = opened(own), opened(start), opened(end)
    return reshape(
        np.random.default_rng(1),
        (picture(face, 10), face, AHEAD),
        (first, AHEAD),
        (last, AHEAD),
        picture(last, 240),
        wide_from_canonical(),
    )


@pytest.mark.parametrize(
    ("own", "start", "end"), [(0.0, 0.0, 0.08), (0.06, 0.02, 0.1), (0.08, 0.1, 0.0)]
)
def test_picture_and_labels_move_alike(own: float, start: float, end: float) -> None:
    face = opened(own)
    made, points = moved(own, start, end)
    change = opening_of(points) - own
    assert change * np.sign(end - start) > 0.02
    upper, lower = green(made)
    assert upper == pytest.approx(points[landmark_layout.LIPS_OUTER[15], 1], abs=1.0)
    assert lower == pytest.approx(points[landmark_layout.LIPS_OUTER[5], 1], abs=1.0)
    held = np.setdiff1d(np.arange(landmark_layout.COUNT), landmark_layout.MOVING)
    np.testing.assert_allclose(points[held], face[held], atol=1e-3)
    assert (made[:60] == 120).all()  # above the eyes


def test_lips_never_pass_one_another() -> None:
    _, points = moved(0.0, 0.12, 0.0)
    assert opening_of(points) == pytest.approx(0, abs=0.004)


def test_what_shows_between_lips_that_were_shut_is_the_others() -> None:
    made, points = moved(0.0, 0.0, 0.12)
    x, y = points[[landmark_layout.INNER_TOP, landmark_layout.INNER_BOTTOM]].mean(0)
    assert made[round(float(y)), round(float(x))].min() > 200  # in equal light


def test_speakers_open_their_mouths_more_often_than_they_shut_them() -> None:
    speaker = Speaker(np.arange(100, 110), np.linspace(0, 0.1, 10, dtype=np.float32))
    drawn = np.array([speaker.draw(np.random.default_rng(k)) for k in range(400)])
    assert drawn.min() >= 100
    assert drawn.max() < 110
    different = drawn[drawn[:, 0] != drawn[:, 1]]
    assert 0.6 < (different[:, 1] > different[:, 0]).mean() < 0.75
