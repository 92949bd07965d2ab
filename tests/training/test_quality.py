"""Measures of footage say what they mean."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from dubkit.training import quality
from dubkit.training.footage import assign_splits


def test_pictures_that_repeat_are_counted() -> None:
    crops, random = quality.CropQuality(), np.random.default_rng(0)
    for number in range(20):
        if number % 2 == 0:
            picture = random.integers(0, 255, (48, 48, 3)).astype(np.uint8)
        crops.add(picture, 1.0)
    assert crops.repeated == pytest.approx(10 / 19)


def test_energy_is_one_at_full_scale_and_nothing_in_silence() -> None:
    full = np.sign(np.sin(np.arange(16000) / 5)).astype(np.float32)
    level = quality.energy(np.concatenate([full, np.zeros(16000, np.float32)]))
    assert len(level) == 101
    assert level[25] == pytest.approx(1.0, abs=0.01)
    assert level[75] == 0
    assert quality.energy(full * 0.1)[25] == pytest.approx(0.75, abs=0.01)


People = st.dictionaries(
    st.text("abcdef0123456789", min_size=1, max_size=6),
    st.tuples(st.sampled_from("stuvwxyz"), st.sampled_from([None, None, None, "train", "val"])),
    min_size=1,
    max_size=40,
)


@given(People, st.floats(0.05, 0.6))
def test_no_person_without_a_stated_split_is_on_both_sides(
    clips: dict[str, tuple[str, str | None]], share: float
) -> None:
    splits, _ = assign_splits(clips, share)
    assert splits.keys() == clips.keys()
    assert all(splits[name] == split for name, (_, split) in clips.items() if split)
    free = {person for person, split in clips.values()} - {
        p for p, split in clips.values() if split
    }
    if len({person for person, _ in clips.values()}) > 1:
        for person in free:
            assert len({splits[name] for name, (who, _) in clips.items() if who == person}) == 1


@given(st.sets(st.text("abcdefgh", min_size=1, max_size=5), min_size=2, max_size=30))
def test_somebody_is_held_out_and_somebody_is_not(people: set[str]) -> None:
    splits, remark = assign_splits({f"{p}-clip": (p, None) for p in people}, 0.1)
    assert set(splits.values()) == {"train", "val"}
    assert remark is None


def test_people_held_out_stay_held_out_when_others_join() -> None:
    few = {f"clip{n}": (f"person{n}", None) for n in range(40)}
    many = few | {f"clip{n}": (f"person{n}", None) for n in range(40, 80)}
    before, after = assign_splits(few, 0.2)[0], assign_splits(many, 0.2)[0]
    assert all(after[name] == split for name, split in before.items())
    assert 3 <= sum(split == "val" for split in before.values()) <= 14


def test_of_a_single_person_clips_are_held_out_and_that_is_said() -> None:
    splits, remark = assign_splits({f"clip{n}": ("ann", None) for n in range(10)}, 0.1)
    assert "val" in splits.values()
    assert remark is not None
    assert "one person" in remark
