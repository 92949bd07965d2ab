"""The arithmetic of the benchmark of lips: who is taken, intervals, tables, lips that nobody rendered."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest

from dubkit.errors import STOPPED, DubkitError, InputError, Interrupted
from dubkit.records import FaceTrack, TrackChoice
from tests.benchmarks import judge_lips, lips_in_the_wild as wild
from tests.benchmarks.test_judge_lips import FRAMES, speech_gap, talker

LIST = """file,set,person,split,ship,language
judge_a/x.mp4,judge_a,p1,test,no,en
film/y.mp4,film,p2,test,no,en
grid_s1/1.mp4,grid_s1,s1,val,yes,en
grid_s1/2.mp4,grid_s1,s1,val,yes,en
grid_s1/3.mp4,grid_s1,s1,val,yes,en
grid_s1/4.mp4,grid_s1,s1,val,yes,en
grid_s1/5.mp4,grid_s1,s1,val,yes,en
hdtf/6.mp4,hdtf,p3,val,yes,en
hdtf/7.mp4,hdtf,p4,train,yes,en
arabic/8.mp4,arabic,p5,val,no,ar
"""


def test_each_group_of_people_is_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "clips.csv").write_text(LIST)
    groups = {name: wild.taken(tmp_path, name) for name in ("wild", "val", "film")}
    assert {name: [row["file"] for row in rows] for name, rows in groups.items()} == {
        "wild": ["judge_a/x.mp4"],
        "val": ["hdtf/6.mp4", *(f"grid_s1/{n}.mp4" for n in range(1, 5))],
        "film": ["film/y.mp4"],
    }


def test_an_interval_holds_the_mean_narrows_with_clips_and_repeats() -> None:
    values = np.random.default_rng(3).normal(0.6, 0.1, 200)
    few, many = (wild.interval(v, np.mean) for v in (values[:20], values))
    assert few[0] < values[:20].mean() < few[1]
    assert many[1] - many[0] == pytest.approx(2 * 1.96 * 0.1 / np.sqrt(200), rel=0.15)
    assert many[1] - many[0] < 0.6 * (few[1] - few[0])
    assert wild.interval(values, np.mean) == many
    assert wild.interval(np.full(5, 0.3), np.mean) == (0.3, 0.3)


def test_the_table_sums_up_what_was_measured_and_leaves_out_what_was_not() -> None:
    rows = [{"correlation_there": 0.3, "amplitude": 1.0}, {"correlation_there": 0.7}, {}]
    text = wild.table(rows)
    assert " ".join(text.split("\n")[0].split()[:5]) == "correlation_there at its own lag"
    assert "0.500" in text.split("\n")[0]
    assert "n 2" in text.split("\n")[0]
    assert "clips under 0.4" in text.split("\n")[1]
    assert "1.000" in text.split("\n")[1]
    assert "jitter" not in text


def face(wanted: np.ndarray) -> wild.Face:
    count = len(wanted)
    track = FaceTrack.__new__(FaceTrack)
    choice = TrackChoice.__new__(TrackChoice)
    return wild.Face("0-100/0", track, choice, wanted, np.linspace(0, 0.1, count))


def bench(folder: Path) -> wild.Bench:
    return wild.Bench(
        argparse.Namespace(data=folder, out=folder, analysis=None, settings=[], fast=True)
    )


def test_a_clip_that_was_stopped_is_done_again_and_one_that_fails_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {"file": "judge_a/x.mp4", "set": "judge_a", "split": "test"}
    ends: list[DubkitError] = [STOPPED, InputError("there is no face"), STOPPED]

    def dub(*_: object) -> Path:
        raise ends.pop(0)

    monkeypatch.setattr(wild.Bench, "dub", dub)
    with pytest.raises(Interrupted):
        bench(tmp_path).clip(row, "own", [row])
    assert bench(tmp_path).clip(row, "own", [row]) == {}
    assert bench(tmp_path).clip(row, "own", [row]) == {}
    assert len(ends) == 1


def test_lips_that_nobody_rendered_are_measured_like_rendered_ones() -> None:
    real = talker(speech_gap(), jitter=0.2)
    found = wild.follow_wanted(face(0.5 * speech_gap(shift=0.08)), real)
    assert found["correlation_there"] > 0.99 > found["opening_correlation"]
    assert found["reference_offset_ms"] == pytest.approx(80, abs=10)
    assert found["amplitude"] == pytest.approx(0.5, abs=0.02)
    blind = judge_lips.Watched(real.points.copy(), real.times)
    blind.points[: FRAMES // 4] = np.nan
    assert wild.follow_wanted(face(speech_gap()), blind)["amplitude"] == pytest.approx(1, abs=0.02)
