"""Borders of shots: what is a cut, what only looks like one, and what lies between two pictures."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from dubkit.engines.shot_borders import BorderFinder, tiled
from dubkit.records import Picture, Shot, Transition

SIZE = (96, 160)


def scene(number: int, count: int, move: float = 0.2) -> list[Picture]:
    """Pictures of a place that moves slowly."""
    chance = np.random.default_rng(number)
    coarse = chance.uniform(20, 235, (32, 81, 3)).astype(np.float32)
    whole = cv2.resize(coarse, (SIZE[1] * 3, SIZE[0] * 2), interpolation=cv2.INTER_CUBIC)
    found = []
    for index in range(count):
        x = int(40 + move * index * 2)
        found.append(
            np.asarray(np.clip(whole[40 : 40 + SIZE[0], x : x + SIZE[1]], 0, 255), np.uint8)
        )
    return found


def lit(pictures: Sequence[Picture], factors: Sequence[float]) -> list[Picture]:
    return [
        np.asarray(np.clip(p * f, 0, 255), np.uint8) for p, f in zip(pictures, factors, strict=True)
    ]


def found(
    pictures: Sequence[Picture], proposed: Sequence[int] = (), shortest: float = 0.4
) -> list[Shot]:
    finder = BorderFinder(25.0, set(proposed))
    for picture in pictures:
        finder.add(picture)
    return finder.shots(shortest)


def starts(shots: Sequence[Shot]) -> list[int]:
    return [shot.start for shot in shots]


def noisy(pictures: Sequence[Picture]) -> list[Picture]:
    chance = np.random.default_rng(9)
    return [
        np.asarray(np.clip(p + chance.normal(0, 40, p.shape), 0, 255), np.uint8) for p in pictures
    ]


def test_cuts_in_noise_pans_and_shake_are_found() -> None:
    shaking = scene(3, 25, move=0)
    shaking = [
        np.roll(p, (4 * (-1) ** i, 6 * (-1) ** (i // 2)), (0, 1)) for i, p in enumerate(shaking)
    ]
    film = [*noisy(scene(1, 25)), *scene(2, 25, move=3), *shaking, *scene(4, 25)]
    shots = found(film)
    assert starts(shots) == [0, 25, 50, 75]
    assert not any(shot.transitions for shot in shots)


def test_a_proposed_cut_within_one_picture_is_none_and_eats_no_real_one() -> None:
    film = [*scene(1, 30), *scene(2, 30)]
    assert starts(found(film, proposed=[15, 26, 30, 40])) == [0, 30]


def test_a_flash_is_no_cut_and_stays_as_filmed() -> None:
    film = scene(1, 50)
    film[20:22] = [np.full_like(film[0], 250)] * 2
    (shot,) = found(film, proposed=[20, 22])
    assert shot.transitions == (Transition(20, 22, "flash"),)


def test_light_that_flickers_stays_as_filmed() -> None:
    factors = [0.35 if 20 <= i < 44 and i // 3 % 2 else 1.0 for i in range(70)]
    (shot,) = found(lit(scene(1, 70), factors), proposed=[21, 27, 33])
    (flicker,) = shot.transitions
    assert flicker.kind == "flash"
    assert flicker.start == 21
    assert 40 <= flicker.end <= 44


def test_light_that_changes_once_is_no_transition() -> None:
    (shot,) = found(lit(scene(1, 60), [1.0 if i < 30 else 0.6 for i in range(60)]))
    assert not shot.transitions


@pytest.mark.parametrize("length", [8, 16, 30])
@pytest.mark.parametrize("kind", ["dissolve", "wipe"])
def test_a_gradual_transition_is_a_border_and_stays_as_filmed(kind: str, length: int) -> None:
    a, b = scene(1, 40 + length, move=0.05), scene(2, 40 + length, move=0.05)
    between = []
    for i in range(length):
        part, before, after = (i + 1) / (length + 1), a[40 + i], b[i]
        mixed = before * (1 - part) + after * part
        if kind == "wipe":
            mixed = np.where(np.arange(SIZE[1])[:, None] < part * SIZE[1], after, before)
        between.append(np.asarray(mixed, np.uint8))
    first, second = found([*a[:40], *between, *b[length:]])
    assert 40 <= first.end <= 40 + length
    spans = [*first.transitions, *second.transitions]
    assert {span.kind for span in spans} == {kind}
    kept = {i for span in spans for i in range(span.start, span.end)}
    inside = set(range(40, 40 + length))
    assert len(kept & inside) >= 0.8 * length
    assert len(kept - inside) <= 6 + length // 8


def test_a_fade_through_black_is_a_border() -> None:
    away, back = np.linspace(1, 0, 12), np.linspace(0, 1, 12)
    film = [
        *lit(scene(1, 42), [*[1.0] * 30, *away]),
        *lit(scene(2, 42), [*back, *[1.0] * 30]),
    ]
    first, second = found(film)
    assert 38 <= first.end <= 46
    assert first.transitions[0].kind == second.transitions[0].kind == "fade"
    assert 30 <= first.transitions[0].start <= 34
    assert 50 <= second.transitions[-1].end <= 55


def test_a_short_shot_joins_the_picture_that_it_is_more_like() -> None:
    shots = tiled({30: 0.5, 34: 0.2}, [], 60, shortest=10)
    assert shots == [Shot(0, 34, (Transition(30, 34, "insert"),)), Shot(34, 60)]
    shots = tiled({30: 0.1, 34: 0.4}, [], 60, shortest=10)
    assert shots == [Shot(0, 30), Shot(30, 60, (Transition(30, 34, "insert"),))]


def test_cuts_between_flat_pictures_are_left_to_the_other_detector() -> None:
    film = [*[np.full((*SIZE, 3), 20, np.uint8)] * 20, *[np.full((*SIZE, 3), 200, np.uint8)] * 20]
    assert starts(found(film, proposed=[20])) == [0, 20]


def test_a_camera_that_moves_is_one_shot() -> None:
    assert found(scene(5, 60, move=1.5)) == [Shot(0, 60)]
