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


def costs(wanted: np.ndarray, bank: np.ndarray) -> np.ndarray:
    return np.asarray(np.abs(wanted[:, None] - bank[None]), np.float32)


def choice(cost: np.ndarray, gap: float = 0.1) -> references.Choice:
    parted = np.full(len(cost), gap, np.float32)
    return references.Choice(cost, parted, 25.0, np.arange(cost.shape[1]))


def unknown(frames: int) -> references.Look:
    nothing = np.full(frames, np.nan, np.float32)
    return references.Look(nothing, nothing)


def test_the_path_follows_the_wanted_shape() -> None:
    cost = costs(np.array([0.0] * 9 + [1.0] * 9), np.array([0.0, 1.0]))
    assert references.steady_path(choice(cost), unknown(18)).tolist() == [0] * 9 + [1] * 9


def test_the_path_does_not_flicker_for_small_gains() -> None:
    cost = costs(np.array([0.0, 0.02] * 10), np.array([0.0, 0.02]))
    assert not np.diff(references.steady_path(choice(cost), unknown(20))).any()


def test_a_path_switches_less_than_twice_a_second_however_much_it_would_gain() -> None:
    wanted = np.repeat(np.arange(25) % 2, 4).astype(float)  # four seconds of six shapes a second
    path = references.steady_path(choice(costs(wanted, np.array([0.0, 1.0]))), unknown(100))
    assert np.count_nonzero(np.diff(path)) < 2 * 4
    shut = references.steady_path(choice(costs(wanted, np.array([0.0, 1.0])), 0.0), unknown(100))
    assert np.count_nonzero(np.diff(shut)) == 24  # which nobody sees


def test_skin_is_held_where_another_shut_mouth_is_shown_for_a_moment() -> None:
    wanted = np.zeros(50)
    wanted[20:22] = 1.0
    shut = choice(costs(wanted, np.array([0.0, 1.0])), 0.0)
    path = references.steady_path(shut, unknown(50))
    assert np.flatnonzero(np.diff(path)).tolist() == [19, 21]
    skin = references.skin_path(shut, unknown(50))
    assert not skin.any()
    mixes = references.led(references.blend_weights(skin), path)
    assert mixes[10] == [(0, 1.0)]
    assert mixes[20] == [(1, 0.0), (0, 1.0)]
    wanted[20:] = 1.0  # for longer: its skin comes with it
    shut = choice(costs(wanted, np.array([0.0, 1.0])), 0.0)
    assert np.flatnonzero(np.diff(references.skin_path(shut, unknown(50)))).tolist() == [19]


def test_a_switch_waits_for_lips_that_are_shut() -> None:
    cost = costs(np.repeat([0.0, 0.25], 12), np.array([0.0, 0.25]))
    gap = np.full(24, 0.1, np.float32)
    gap[8] = 0.0
    held = references.Choice(cost, gap, 25.0, np.arange(2))
    free = references.steady_path(choice(cost), unknown(24))
    waiting = references.steady_path(held, unknown(24))
    assert np.flatnonzero(np.diff(free)).tolist() == [11]
    assert np.flatnonzero(np.diff(waiting)).tolist() == [8]
    assert references.switches(free, gap) == 1
    assert references.switches(waiting, gap) == 0


def test_a_blurred_frame_is_not_lent_to_a_sharp_one_nor_a_dark_one_to_a_bright_one() -> None:
    cost = np.zeros((10, 2), np.float32)
    cost[:, 1] += 0.05  # the sharp and bright one is a little farther off in shape
    sharp, light = np.zeros(10, np.float32), np.zeros(10, np.float32)
    sharp[0] = -0.7
    blurred = references.steady_path(choice(cost), references.Look(sharp, np.zeros_like(light)))
    assert (blurred[1:] == 1).all()
    light[0] = -0.4
    dark = references.steady_path(choice(cost), references.Look(np.zeros_like(sharp), light))
    assert (dark[1:] == 1).all()
    assert not references.steady_path(choice(cost), unknown(10)).any()


def test_sharpness_is_told_apart_from_what_an_open_mouth_shows() -> None:
    faces = talking(60)
    explained = (3 + 5 * references.gap_of(faces)).astype(np.float32)
    blurred = explained.copy()
    blurred[20] -= 0.5
    blurred[3] = np.nan
    usual = references.sharpness_of_shapes(blurred, faces, faces)
    assert np.nanargmin(blurred - usual) == 20
    assert np.abs(usual - explained).max() < 0.1
    few = references.sharpness_of_shapes(explained[:5], faces[:5], faces)
    assert few == pytest.approx(explained[:5].mean())


def test_one_blurred_frame_does_not_count_among_sharp_ones() -> None:
    values = np.ones(20, np.float32)
    values[7], values[12] = -3, np.nan
    assert references.steady(values).tolist() == [1.0] * 20
    assert references.steady(np.full(3, np.nan, np.float32)).tolist() == [0.0] * 3


def test_a_mouth_that_was_open_wider_lends_rather_than_one_that_shows_too_little() -> None:
    alike = np.zeros((1, 3), np.float32)
    bank, gaps = np.zeros((2, 3), np.float32), np.array([0.1, 0.3], np.float32)
    less, more = references.shape_cost(alike, bank, np.array([0.2], np.float32), gaps)[0]
    assert 3 * more < less
    shut = references.shape_cost(alike, bank, np.array([0.0], np.float32), gaps)[0]
    assert shut[0] < shut[1]


def test_a_reference_whose_lips_would_be_drawn_out_costs_more() -> None:
    wanted = talking(3)
    thin, thick = wanted.copy(), wanted.copy()
    below = landmark_layout.LIPS_OUTER[1:10]
    height = wanted[:, below, 1] - wanted[:, landmark_layout.LIPS_INNER[1:10], 1]
    thin[:, below, 1] -= 0.6 * height
    thick[:, below, 1] += 0.6 * height
    cost = references.drawn_cost(wanted, np.stack([thin[0], wanted[0], thick[0]]))
    assert cost.shape == (3, 3)
    assert (cost[:, 0] > 0.15).all()
    assert np.abs(cost[:, 1:]).max() < 0.02


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=60))
def test_blend_weights_always_sum_to_one_and_name_near_entries(path: list[int]) -> None:
    mixed = references.blend_weights(np.array(path))
    others = np.array(path[::-1])
    for mix, led, entry in zip(mixed, references.led(mixed, others), others, strict=True):
        assert led[0][0] == entry
        assert dict(led) == {entry: 0.0, **dict(mix)}
    assert len(mixed) == len(path)
    for t, parts in enumerate(mixed):
        assert abs(sum(w for _, w in parts) - 1) < 1e-9
        assert {k for k, _ in parts} <= set(path[max(0, t - 2) : t + 3])


def test_gaps_are_counted_from_where_a_speakers_lips_seem_to_meet() -> None:
    wide = np.linspace(0, 0.2, 50).astype(np.float32)
    assert np.abs(references.parted(wide, wide) - wide).max() < 0.02
    narrow = np.asarray(0.15 + wide / 6, np.float32)
    made = references.parted(narrow, narrow)
    assert made[:3].max() == 0
    assert 0.05 < made[-1] < 0.2
