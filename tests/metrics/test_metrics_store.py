"""What was seen of faces comes back from disk as it was, or says that it cannot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dubkit.errors import WorkError
from dubkit.metrics.lip_sync import Lips
from dubkit.metrics.shot_meter import LIPS, SEEN, Seen, load_seen, save_seen


def seen(track: int, count: int) -> Seen:
    random = np.random.default_rng(track)
    painted = np.ones(count + 3, np.bool_)
    painted[-1] = False
    shapes = random.standard_normal((count, 12)).astype(np.float32)
    lips = Lips(painted, np.arange(count), random.random(count), shapes)
    return Seen(track, count, {"seam": 0.01 * track}, lips)


def test_faces_come_back_as_they_were(tmp_path: Path) -> None:
    faces = [seen(3, 5), seen(11, 0)]
    save_seen(tmp_path, faces)
    again = load_seen(tmp_path)
    assert [(f.track, f.frames, f.pictures) for f in again] == [
        (f.track, f.frames, f.pictures) for f in faces
    ]
    for one, other in zip(faces, again, strict=True):
        for name in ("painted", "rows", "opened", "shapes"):
            assert np.array_equal(getattr(one.lips, name), getattr(other.lips, name))


def test_equal_sights_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        save_seen(tmp_path / name, [seen(1, 4)])
    for file in (SEEN, LIPS):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 and no more", None])
def test_a_damaged_file_is_said(tmp_path: Path, damage: bytes | None) -> None:
    save_seen(tmp_path, [seen(1, 4)])
    path = tmp_path / LIPS
    path.unlink() if damage is None else path.write_bytes(damage)
    with pytest.raises(WorkError, match="cannot be read"):
        load_seen(tmp_path)


def test_a_face_without_its_lips_is_said(tmp_path: Path) -> None:
    save_seen(tmp_path, [seen(1, 4)])
    kept = (tmp_path / LIPS).read_bytes()
    save_seen(tmp_path, [seen(2, 4)])
    (tmp_path / LIPS).write_bytes(kept)
    with pytest.raises(WorkError, match="cannot be read"):
        load_seen(tmp_path)
