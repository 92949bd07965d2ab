"""Which tracked faces are one person."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dubkit.faces.appearance import persons
from dubkit.records import Floats


def track(*angles: float) -> Floats:
    """Descriptors of a made-up track: unit vectors in a plane."""
    return np.stack([[np.cos(a), np.sin(a)] for a in angles]).astype(np.float32)


def test_tracks_that_look_alike_somewhere_are_one_person() -> None:
    anna, anna_aside, bea = track(0.0, 0.6), track(0.7, 0.9), track(3.0)
    assert persons([anna, bea, anna_aside], 0.95) == [[0, 2], [1]]
    assert persons([anna, bea, anna_aside], 0.999) == [[0], [1], [2]]
    assert persons([], 0.9) == []


@given(st.lists(st.floats(0, 6.28), max_size=8), st.randoms())
def test_who_is_one_person_does_not_depend_on_the_order_of_the_tracks(
    angles: list[float], random: object
) -> None:
    order = list(range(len(angles)))
    random.shuffle(order)  # type: ignore[attr-defined]
    plain = persons([track(a) for a in angles], 0.95)
    shuffled = persons([track(angles[k]) for k in order], 0.95)
    assert {frozenset(g) for g in plain} == {frozenset(order[k] for k in g) for g in shuffled}
    assert sorted(k for group in plain for k in group) == list(range(len(angles)))
