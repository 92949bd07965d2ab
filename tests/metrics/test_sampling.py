"""Which frames the gate looks at, and what it makes of those between."""

from __future__ import annotations

import numpy as np
from hypothesis import given, strategies as st

from dubkit.metrics.shot_meter import LIPS_RATE, looks


@given(
    rows=st.lists(st.sampled_from([True, True, True, False]), min_size=1, max_size=400),
    rate=st.sampled_from([10.0, 23.976, 25.0, 30.0, 50.0, 60.0]),
    start=st.floats(0, 2),
)
def test_only_painted_frames_are_looked_at_and_every_closure_wholly(
    rows: list[bool], rate: float, start: float
) -> None:
    painted = np.array(rows)
    times = np.arange(len(rows)) / rate
    chosen = looks(painted, times, [("b", start, start + 0.1), ("ɑ", start + 0.1, 9.0)], rate)
    assert not (chosen.any() & ~painted).any()
    inside = (times >= start) & (times < start + 0.1)
    assert (chosen.lips | ~painted)[inside].all()
    seen = np.flatnonzero(chosen.lips)
    for row in np.flatnonzero(painted):
        before, after = seen[seen <= row], seen[seen >= row]
        assert len(before), "each run begins with a look"
        assert len(after), "each run ends with a look"
        assert after[0] - before[-1] <= max(1, rate / LIPS_RATE + 0.01)


def test_of_a_long_shot_a_third_of_the_frames_is_looked_at_outside_closures() -> None:
    rows = np.ones(240, np.bool_)
    chosen = looks(rows, np.arange(240) / 24, [("ɑ", 0.0, 10.0)], 24.0)
    assert chosen.lips.sum() == 81
    assert chosen.pictures.sum() == 120
    runs = chosen.pictures[:-2] & chosen.pictures[1:-1] & chosen.pictures[2:]
    assert runs.sum() == 90, "flicker needs three neighbors, switching teeth four"


def test_a_short_shot_is_looked_at_in_every_frame() -> None:
    chosen = looks(np.ones(35, np.bool_), np.arange(35) / 24, [], 24.0)
    assert chosen.lips.all()
    assert chosen.pictures.all()


def test_a_slow_film_is_looked_at_in_every_frame() -> None:
    rows = np.ones(90, np.bool_)
    assert looks(rows, np.arange(90) / 15, [], 15.0).lips.all()
