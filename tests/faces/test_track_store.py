"""Tracks and choices on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dubkit.errors import WorkError
from dubkit.faces.selection import choose, load_choice, load_tracks, save_choice, save_tracks
from tests.faces.test_lips_from_sound import RATE
from tests.faces.test_selection import SETTINGS, still, track


def test_tracks_and_choices_come_back_equal(tmp_path: Path) -> None:
    gone = still(60)
    gone[10:30] = np.nan
    tracks = [track(0, still(80)), track(1, gone, start=520)]
    setting = np.array([0.5, -0.25, 0], np.float32)
    tracks[1] = replace(tracks[1], articulation=1.25, setting=setting)
    choices, _ = choose(tracks, SETTINGS, RATE, None)
    save_tracks(tmp_path, tracks)
    save_choice(tmp_path, choices)
    for before, after in zip(tracks, load_tracks(tmp_path), strict=True):
        assert (before.track, before.start) == (after.track, after.start)
        assert before.articulation == after.articulation
        assert (before.setting is None) == (after.setting is None)
        for name in ("boxes", "landmarks", "pose", "scores", "state"):
            a, b = getattr(before, name), getattr(after, name)
            assert a.dtype == b.dtype
            assert np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    stored = load_tracks(tmp_path)[1].setting
    assert stored is not None
    assert np.array_equal(stored, setting)
    assert load_choice(tmp_path) == choices


def test_no_tracks_are_stored_as_such(tmp_path: Path) -> None:
    save_tracks(tmp_path, [])
    save_choice(tmp_path, [])
    assert load_tracks(tmp_path) == []
    assert load_choice(tmp_path) == []


def test_equal_tracks_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        save_tracks(tmp_path / name, [track(0, still(60))])
    a, b = ((tmp_path / name / "tracks.npz").read_bytes() for name in ("a", "b"))
    assert a == b


@pytest.mark.parametrize("content", [b"", b"not a zip", None])
def test_a_damaged_file_says_what_to_do(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "tracks.npz").write_bytes(content)
    with pytest.raises(WorkError) as caught:
        load_tracks(tmp_path)
    assert caught.value.hint is not None
