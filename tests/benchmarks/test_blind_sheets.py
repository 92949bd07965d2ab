"""The arithmetic of the blind test: which frames, whose, which way, how many right; and that the net can tell."""

from __future__ import annotations

import numpy as np
import pytest

from tests.benchmarks import blind_sheets as blind


def test_sixteen_frames_in_a_row_or_none() -> None:
    rows = np.zeros(60, np.bool_)
    assert blind.span(rows) is None
    rows[2:17] = True
    assert blind.span(rows) is None
    rows[20:40] = True
    assert blind.span(rows) == 22


def test_half_of_the_sheets_are_dubbed_in_an_order_that_the_seed_gives() -> None:
    thrown = blind.coins(40, 3)
    assert sum(thrown) == 20
    assert thrown == blind.coins(40, 3) != blind.coins(40, 4)


def test_every_person_is_shown_before_one_is_shown_twice() -> None:
    people = ["a"] * 30 + ["b", "c"]
    chosen = blind.spread(people, 4, 1)
    assert {people[k] for k in chosen} == {"a", "b", "c"}
    assert len(set(blind.spread(people, 40, 1))) == len(people)


def test_answers_are_counted() -> None:
    key = {"00": ["real", "p", "s"], "01": ["dubbed", "p", "s"], "02": ["dubbed", "q", "s"]}
    assert blind.score(key, "00 real\n01 real\n\n02 dubbed sharp teeth\n") == (2, 3, 1, 2)


def test_the_area_under_the_curve() -> None:
    truth = np.array([False, False, True, True])
    assert blind.auc(np.array([0.0, 1, 2, 3]), truth) == 1
    assert blind.auc(np.array([0.0, 2, 1, 3]), truth) == 0.75
    assert blind.auc(np.ones(4), truth) == 0.5


def test_a_fault_in_all_dubs_is_found_on_people_that_were_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(blind, "SIDE", 16)
    random = np.random.default_rng(1)
    people = np.array(list("abcdefgh"))
    real = random.integers(60, 180, (len(people), blind.FRAMES, 16, 16, 3)).astype(np.uint8)
    made = real.copy()
    made[:, ::2, 6:10] = 20
    assert blind.judged(people, real, made)[0] > 0.9
