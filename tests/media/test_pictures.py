"""Crops come back as they were written, one at a time, and equal crops give equal files."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from dubkit.errors import InputError, OutputError
from dubkit.media.pictures import PictureWriter, read_pictures
from dubkit.records import Picture

BASE, RATE = Fraction(1, 12800), Fraction(25)


def crops(count: int, size: int = 64) -> list[Picture]:
    coarse = np.random.default_rng(1).integers(40, 215, (4, 4, 1)).repeat(3, 2).astype(np.uint8)
    smooth = np.asarray(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC), np.uint8)
    return [np.roll(smooth, 2 * n, 1) for n in range(count)]


def write(path: Path, pictures: list[Picture]) -> Path:
    with PictureWriter(path, pictures[0].shape[0], RATE, BASE) as writer:
        for number, picture in enumerate(pictures):
            writer.write(picture, 512 * number)
    return path


def test_pictures_come_back_in_order_nearly_as_they_were(tmp_path: Path) -> None:
    given = crops(30)
    found = list(read_pictures(write(tmp_path / "a.mp4", given)))
    assert len(found) == 30
    for picture, other in zip(found, given, strict=True):
        assert picture.shape == other.shape
        assert np.abs(picture.astype(int) - other).mean() < 2.5


def test_colors_keep_their_level(tmp_path: Path) -> None:
    flat = np.empty((64, 64, 3), np.uint8)
    flat[:] = (200, 120, 60)
    (found,) = read_pictures(write(tmp_path / "a.mp4", [flat]))
    assert np.abs(found.astype(int) - (200, 120, 60)).max() <= 3


def test_equal_pictures_give_equal_bytes(tmp_path: Path) -> None:
    one, two = (write(tmp_path / name, crops(10)) for name in ("a.mp4", "b.mp4"))
    assert one.read_bytes() == two.read_bytes()


def test_variable_times_are_taken(tmp_path: Path) -> None:
    with PictureWriter(tmp_path / "a.mp4", 64, RATE, BASE) as writer:
        for picture, at in zip(crops(5), (0, 512, 2000, 2100, 9000), strict=True):
            writer.write(picture, at)
    assert len(list(read_pictures(tmp_path / "a.mp4"))) == 5


def test_an_error_in_between_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    pictures = [*crops(2), np.zeros((3, 3), np.uint8)]
    with pytest.raises(ValueError, match="ndim"):
        write(path, pictures)
    assert not path.exists()


def test_what_cannot_be_written_or_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        write(tmp_path / "no" / "a.mp4", crops(2))
    with pytest.raises(InputError, match="does not exist"):
        list(read_pictures(tmp_path / "nowhere.mp4"))
    whole = write(tmp_path / "a.mp4", crops(40)).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError):
        list(read_pictures(tmp_path / "cut.mp4"))
