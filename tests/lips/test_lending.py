"""Frames that a person's shots lend one another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dubkit.errors import WorkError
from dubkit.faces import align
from dubkit.lips import blend, lending, mesh_warp
from dubkit.records import FaceState, FaceTrack
from tests.faces.faces import placed, with_gap

SIZE = 80.0  # pixels in a canonical unit


def track(gaps: list[float]) -> FaceTrack:
    """A face whose mouth is open by ``gaps``, frame by frame."""
    faces = np.stack([placed(with_gap(gap), SIZE, 0.0, 200, 150) for gap in gaps])
    count = len(gaps)
    boxes = np.tile(np.array([100, 60, 300, 320], np.float32), (count, 1))
    one, seen = np.ones(count, np.float32), np.full(count, FaceState.SEEN, np.int8)
    return FaceTrack(0, 40, boxes, faces, np.zeros((count, 3), np.float32), one, seen, one * 0)


def offer(gap: float, face: str = "0000900-0000950/0", **changes: object) -> lending.Offer:
    base = lending.Offer(face, 900, with_gap(gap), np.zeros(3, np.float32), SIZE, -0.7, 1.0)
    return replace(base, **changes)  # type: ignore[arg-type]


ALL = np.ones(30, np.bool_)
SHUT = track([0.0] * 30)


def test_a_face_offers_different_mouths_of_frames_that_may_be_trusted() -> None:
    gaps = [0.0] * 10 + [0.1] * 10 + [0.3] * 10
    rows = lending.offered_rows(track(gaps), ALL)
    assert {gaps[row] for row in rows} == {0.0, 0.1, 0.3}
    usable = ALL.copy()
    usable[20:] = False
    assert max(lending.offered_rows(track(gaps), usable)) < 20
    assert not len(lending.offered_rows(track(gaps), ~ALL))


def test_a_shot_borrows_mouths_that_it_does_not_show_and_no_others() -> None:
    bank = [offer(0.0), offer(0.3), offer(0.31), offer(0.15)]
    found = lending.borrowed(SHUT, ALL, -0.7, "0000040-0000070/0", bank, 8)
    assert 0 not in found, "its own mouths are shut"
    assert found
    assert len(lending.borrowed(SHUT, ALL, -0.7, "0000040-0000070/0", bank, 1)) == 1
    open_too = track([0.01 * k for k in range(32)])
    usable = np.ones(32, np.bool_)
    assert lending.borrowed(open_too, usable, -0.7, "0000040-0000072/0", bank, 8) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"light": -2.0},
        {"size": 30.0},
        {"pose": np.array([25, 0, 0], np.float32)},
        {"face": "0000040-0000070/0"},
    ],
    ids=["another light", "a smaller face", "a turned head", "the face itself"],
)
def test_what_would_be_seen_as_foreign_is_not_borrowed(changes: dict[str, object]) -> None:
    bank = [offer(0.3, **changes)]  # type: ignore[arg-type]
    assert lending.borrowed(SHUT, ALL, -0.7, "0000040-0000070/0", bank, 8) == []
    assert lending.borrowed(SHUT, ALL, -0.7, "0000040-0000070/0", [offer(0.3)], 8) == [0]


def test_a_bank_leaves_out_blurred_frames_and_is_bounded() -> None:
    offers = [offer(0.01 * k) for k in range(40)]
    offers[7] = replace(offers[7], sharpness=0.1)
    kept = lending.person_bank(offers)
    assert len(kept) == lending.BANK
    assert 7 not in kept
    assert lending.person_bank([]) == []


def test_frames_are_read_as_they_were_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    planes = tuple(rng.integers(0, 1023, s, np.uint16) for s in ((40, 50), (20, 25), (20, 25)))
    matrices = tuple(np.array([[s, 0, 3.0], [0, s, 4.0]]) for s in (20.0, 10.0, 10.0))
    first, second = offer(0.1), offer(0.3, frame=912)
    pictures = [
        blend.Reference(mesh_warp.vertices(o.canonical), planes, matrices) for o in (first, second)
    ]
    path = tmp_path / "references" / "u" / "lent_0.npz"
    path.parent.mkdir(parents=True)
    lending.save_lent(path, lending.Lent((first, second), tuple(pictures)))
    assert [o.frame for o in lending.load_offers(path)] == [900, 912]
    read = lending.load_lent(path, [1])
    assert len(read) == 1
    assert np.array_equal(read.references[0].planes[0], planes[0])
    assert np.array_equal(read.references[0].vertices, pictures[1].vertices)
    assert np.allclose(align.apply(read.references[0].plane_from_canonical[1], np.zeros(2)), (3, 4))
    path.write_bytes(b"no archive")
    with pytest.raises(WorkError, match="cannot be read") as caught:
        lending.load_lent(path)
    assert "--force references" in (caught.value.hint or "")
