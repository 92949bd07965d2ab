"""One film, whatever the number of workers and whichever shot is done first."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import dubkit
from dubkit.parallel import scheduler
from tests.clips import pictures_film, save_wav
from tests.portrait import SHOTS, render

LENGTHS = (24, 12, 20, 14)


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four short shots, three of them of a face, a dub and its shots."""
    folder = tmp_path_factory.mktemp("footage")
    shots = [replace(SHOTS[k], frames=n) for k, n in zip((0, 1, 2, 0), LENGTHS, strict=True)]
    pictures_film(folder / "film.mp4", [picture[::2, ::2] for s in shots for picture in render(s)])
    times = np.arange(round(16000 * sum(LENGTHS) / 25)) / 16000
    voice = 0.3 * np.sin(800 * times) * (np.sin(2 * np.pi * 3 * times) > 0)
    save_wav(folder / "dub.wav", voice.astype(np.float32))
    starts = [str(sum(LENGTHS[:k])) for k in range(len(LENGTHS))]
    (folder / "shots.txt").write_text("\n".join(starts))
    return folder


def film(footage: Path, out: Path, jobs: int) -> bytes:
    result = dubkit.run(
        footage / "film.mp4",
        footage / "dub.wav",
        out=out,
        shots=footage / "shots.txt",
        settings=["speech.aligner=even", "faces.which=largest"],
        jobs=jobs,
        device="cpu",
    )
    assert result.output == out
    return out.read_bytes()


@pytest.fixture(scope="module")
def one_by_one(footage: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return film(footage, tmp_path_factory.mktemp("one") / "out.mp4", jobs=1)


def test_two_workers_make_the_same_film(footage: Path, one_by_one: bytes, tmp_path: Path) -> None:
    assert film(footage, tmp_path / "out.mp4", jobs=2) == one_by_one


@pytest.mark.parametrize("seed", [1, 2])
def test_any_order_of_the_shots_makes_the_same_film(
    footage: Path, one_by_one: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)
    orders: list[list[int]] = []

    def shuffled(queue: scheduler._Queue, call: scheduler.Call, number: int) -> None:
        queue.heap.append((not call.whole, -call.size, number, call))
        chance.shuffle(queue.heap)
        queue.left += call.size
        orders.append([entry[2] for entry in queue.heap])

    def first(queue: scheduler._Queue) -> tuple[scheduler.Call, int]:
        call, left = queue.heap.pop(0)[-1], queue.left
        queue.left -= call.size
        return call, left

    monkeypatch.setattr(scheduler._Queue, "push", shuffled)
    monkeypatch.setattr(scheduler._Queue, "pop", first)
    assert film(footage, tmp_path / "out.mp4", jobs=2) == one_by_one
    assert any(order != sorted(order) for order in orders)
