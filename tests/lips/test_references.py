"""Banks of own frames and paths through them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from dubkit.faces import landmark_layout
from dubkit.lips import references
from tests.faces.faces import talking


def test_the_bank_holds_open_and_closed_mouths_and_only_usable_frames() -> None:
    faces = talking(60)
    features = references.mouth_features(faces)
    usable = np.ones(60, bool)
    usable[20:30] = False
    bank = references.choose_bank(features, usable, 6)
    assert len(bank) == 6
    assert usable[bank].all()
    opening = features[:, -4]
    assert opening[bank].min() <= np.quantile(opening[usable], 0.1)
    assert opening[bank].max() >= np.quantile(opening[usable], 0.9)


def test_a_mouth_that_just_closes_or_parts_lends_nothing_but_a_shut_and_an_open_one_do() -> None:
    faces = np.repeat(talking(1), 9, 0)
    gap = np.array([0.15, 0.15, 0.12, 0.02, 0.0, 0.0, 0.0, 0.15, 0.15], np.float32)
    middle = faces[:, landmark_layout.INNER_TOP, 1].copy()
    faces[:, landmark_layout.INNER_BOTTOM, 1] = middle + gap
    found = references.settled(faces)
    assert found.tolist() == [True, True, True, False, True, True, False, True, True]
    assert references.settled(faces[:2]).all()


def test_equal_frames_give_a_bank_of_one() -> None:
    features = np.ones((10, 4), np.float32)
    assert len(references.choose_bank(features, np.ones(10, bool), 5)) == 1


def test_no_usable_frame_gives_an_empty_bank() -> None:
    assert len(references.choose_bank(np.ones((3, 2), np.float32), np.zeros(3, bool), 5)) == 0


def test_the_path_follows_the_wanted_shape() -> None:
    bank = np.array([[0.0], [1.0]], np.float32)
    wanted = np.array([[0.0]] * 5 + [[1.0]] * 5, np.float32)
    assert references.choose_path(wanted, bank).tolist() == [0] * 5 + [1] * 5


def test_the_path_does_not_flicker_for_small_gains() -> None:
    bank = np.array([[0.0], [0.02]], np.float32)
    wanted = np.array([[0.0], [0.02]] * 10, np.float32)
    assert np.count_nonzero(np.diff(references.choose_path(wanted, bank))) == 0


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=60))
def test_blend_weights_always_sum_to_one_and_name_near_entries(path: list[int]) -> None:
    mixed = references.blend_weights(np.array(path))
    assert len(mixed) == len(path)
    for t, parts in enumerate(mixed):
        assert abs(sum(w for _, w in parts) - 1) < 1e-9
        assert {k for k, _ in parts} <= set(path[max(0, t - 2) : t + 3])


def test_a_second_path_takes_other_frames_where_there_are_any() -> None:
    rng = np.random.default_rng(0)
    wanted = rng.normal(size=(30, 4)).astype(np.float32)
    bank = rng.normal(size=(6, 4)).astype(np.float32)
    first = references.choose_path(wanted, bank)
    second = references.choose_path(wanted, bank, taken=first)
    assert (first != second).all()
    alone = np.zeros(30, np.intp)
    assert (references.choose_path(wanted, bank[:1], taken=alone) == 0).all()


def test_a_helped_mix_is_short_sums_to_one_and_is_led_by_the_first() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.integers(0, 3, 60), rng.integers(3, 6, 60)
    mixed = references.with_help(references.blend_weights(first), references.blend_weights(second))
    for parts in mixed:
        assert 1 <= len(parts) <= references.TOGETHER
        assert sum(w for _, w in parts) == pytest.approx(1)
        assert len({k for k, _ in parts}) == len(parts)
    still = references.blend_weights(np.zeros(9, np.intp))
    other = references.blend_weights(np.ones(9, np.intp))
    for parts in references.with_help(still, other):
        assert dict(parts)[1] == pytest.approx(references.HELPING)
