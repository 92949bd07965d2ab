"""The judge measures what it says, and finds real video perfect."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dubkit.config.schema import GenerateSettings
from dubkit.media.frames import FrameReader
from dubkit.media.probe import probe
from dubkit.media.writer import FrameWriter
from tests import clips
from tests.benchmarks import judge_lips as judge

SCRIPT = Path(judge.__file__)
FRAMES, SIZE, WIDTH = 100, 160, 80.0


def talker(gap: np.ndarray, jitter: float = 0.0) -> judge.Watched:
    """A drawn face of 80 px whose mouth opens by ``gap`` (T,), in face widths."""
    rng = np.random.default_rng(1)
    face = rng.uniform((40, 70), (120, 140), (judge.LANDMARKS, 2))
    face[judge.LEFT_EDGE], face[judge.RIGHT_EDGE] = (40, 80), (120, 80)
    face[judge.LEFT_EYE], face[judge.RIGHT_EYE] = (55, 60), (105, 60)
    points = np.repeat(face[None], len(gap), 0)
    points[:, judge.UPPER_LIP] = (80, 110)
    points[:, judge.LOWER_LIP] = np.stack([np.full(len(gap), 80), 110 + WIDTH * gap], 1)
    points[:, judge.LIPS] += jitter * rng.standard_normal((len(gap), len(judge.LIPS), 2))
    return judge.Watched(points, np.arange(len(gap)) / 25)


def speech_gap(shift: float = 0.0, size: float = 0.1) -> np.ndarray:
    times = np.arange(FRAMES) / 25 - shift
    return np.asarray(size * (1 + np.sin(17 * times) * np.sin(3 * times)) / 2)


def film(path: Path, change: tuple[int, int] | None = None) -> Path:
    """Ten lossless frames of noise; ``change`` is a luma sample (row, column) that differs."""
    info = clips.facts(width=SIZE, height=SIZE, pixel_format="yuv420p", frames=10)
    rng = np.random.default_rng(7)
    part = path.with_suffix(".nut")
    with FrameWriter(part, info, GenerateSettings(codec="ffv1")) as writer:
        for t in range(10):
            luma = rng.integers(30, 200, (SIZE, SIZE), np.uint8)
            if change:
                luma[change] += 1
            chroma = np.full((SIZE // 2, SIZE // 2), 128, np.uint8)
            writer.write((luma, chroma, chroma), t * round(1 / 25 / info.time_base))
    return part.rename(path)


def test_the_opening_is_the_gap_over_the_face_width() -> None:
    gap = np.array([0.0, 0.05, 0.1])
    np.testing.assert_allclose(judge.opening(talker(gap).points), gap, atol=1e-9)


def test_lips_against_themselves_are_perfect() -> None:
    real = talker(speech_gap(), jitter=0.2)
    rows = judge.follow(real, real)
    assert rows == {
        "opening_correlation": pytest.approx(1),
        "amplitude": 1,
        "reference_offset_ms": 0,
        "correlation_there": pytest.approx(1),
        "jitter": 1,
        "width_correlation": pytest.approx(1),
        "width_amplitude": 1,
        "contacts": 1,
    }


def test_late_small_and_trembling_lips_are_found_out() -> None:
    real = talker(speech_gap(), jitter=0.2)
    late = judge.follow(talker(speech_gap(shift=0.08)), real)
    assert late["reference_offset_ms"] == pytest.approx(80, abs=10)
    assert late["opening_correlation"] < 0.95 < late["correlation_there"]
    assert judge.follow(talker(speech_gap(size=0.05)), real)["amplitude"] == pytest.approx(0.5, 0.1)
    assert judge.follow(talker(speech_gap(), jitter=1.0), real)["jitter"] > 3


def test_short_closures_of_the_real_lips_must_be_closed_in_the_made_ones() -> None:
    real = np.full(60, 0.1)
    real[:5], real[20:23], real[30:40], real[50:52] = 0.0, 0.0, 0.0, 0.01  # at rest, two closures
    assert judge.contacts(real, real, 0) == (2, 2)
    assert judge.contacts(np.roll(real, 3), real, 3) == (2, 2)
    assert judge.contacts(np.roll(real, 6), real, 0) == (0, 2)
    assert judge.contacts(np.full(60, 0.1), real, 0) == (0, 2)


def test_what_is_watched_can_be_kept(tmp_path: Path) -> None:
    seen = talker(speech_gap())
    judge.save_watched(tmp_path / "seen.npz", seen)
    kept = judge.load_watched(tmp_path / "seen.npz")
    np.testing.assert_allclose(kept.points, seen.points, atol=1e-4)
    assert judge.follow(kept, seen)["opening_correlation"] == pytest.approx(1, abs=1e-4)


def test_what_the_real_lips_are_late_themselves_can_be_taken_out() -> None:
    made = talker(speech_gap())
    for shift in (0.08, -0.08):
        rows = judge.follow(made, talker(speech_gap(shift)), late_ms=1000 * shift)
        assert rows["opening_correlation"] < 0.95
        assert rows["correlation_in_sync"] > 0.99
        assert rows["offset_in_sync_ms"] == pytest.approx(0, abs=10)
    wrong = judge.follow(made, talker(speech_gap(0.08)), late_ms=-80)
    assert wrong["correlation_in_sync"] < rows["opening_correlation"]


def test_phonemes_are_held_against_the_opening() -> None:
    gap = np.full(FRAMES, 0.1)
    gap[:25], gap[50:53], gap[75:78], gap[86:] = 0.0, 0.01, 0.05, 0.0
    spoken = [("sil", 0, 1), ("ɑ", 1, 2), ("m", 2, 2.12), ("æː", 2.12, 3), ("b", 3, 3.12)]
    phonemes = [{"symbol": s, "start": a, "end": b} for s, a, b in spoken]
    rows = judge.speak(talker(gap), {"phonemes": phonemes})
    assert rows["closures"] == 0.5
    assert rows["vowel_closure_ratio"] == pytest.approx(0.1 / 0.03)
    assert rows["open_in_silence"] == 0
    gap[5:15] = 0.1  # from .4 s on it may open for the vowel at 1 s
    quiet = judge.speak(talker(gap), {"phonemes": phonemes})
    assert quiet["open_in_silence"] == pytest.approx(5 / 23)


def test_pictures_against_themselves_are_perfect_and_blur_is_not() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    assert judge.similarity(picture, picture) == pytest.approx(1)
    assert judge.similarity(picture, 255 - picture) < 0
    soft = (picture // 2 + np.roll(picture, 1, 0) // 2).astype(np.uint8)
    assert judge.gradient(soft) < 0.8 * judge.gradient(picture)


@pytest.mark.parametrize(("row", "changed"), [(10, 10.0), (115, 0.0)], ids=["forehead", "mouth"])
def test_a_sample_counts_as_changed_only_outside_the_lower_face(
    tmp_path: Path, row: int, changed: float
) -> None:
    real, made = film(tmp_path / "a.mkv"), film(tmp_path / "b.mkv", change=(row, 80))
    seen = talker(speech_gap()[:10])
    rows = judge.judge(made, real, lossless=True, watching=lambda path: seen)
    assert rows["changed_outside"] == changed
    assert rows["frames"] == 10


def test_what_cannot_be_measured_is_left_out_and_lost_faces_are_counted(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv")
    seen = talker(speech_gap()[:10])
    assert judge.judge(path, watching=lambda path: seen) == {"frames": 10}
    blind = replace(seen, points=np.where(np.arange(10)[:, None, None] < 3, np.nan, seen.points))
    looks = iter([blind, seen])
    rows = judge.judge(path, path, own_sound=False, watching=lambda path: next(looks))
    assert rows["faces_lost"] == 3
    assert "correlation" not in rows


@pytest.mark.parametrize(
    ("value", "bar", "met"),
    [
        (0.8, ">= 0.80", True),
        (0.79, ">= 0.80", False),
        (0.01, "<= 0.01", True),
        (1.3, "0.8 to 1.2", False),
        (-20.0, "-20 to 20", True),
    ],
)
def test_bars_are_read_as_they_are_written(value: float, bar: str, met: bool) -> None:
    assert judge.meets(value, bar) is met


def test_the_table_has_a_line_for_every_row() -> None:
    text = judge.table({"frames": 75.0, "opening_correlation": 0.7, "ssim": 0.97})
    assert re.search(r"^opening_correlation +0.700 +>= 0.80 +NO", text, re.MULTILINE)
    assert re.search(r"^ssim +0.970 +>= 0.95 +yes", text, re.MULTILINE)
    assert len(text.splitlines()) == 4


@pytest.fixture(scope="module")
def judging() -> str:
    """The Python of a venv that has mediapipe."""
    python = os.environ.get("DUBKIT_JUDGE_PYTHON")
    if not python:
        pytest.skip("DUBKIT_JUDGE_PYTHON names no Python with mediapipe")
    return python


def test_real_video_against_itself_scores_perfectly(
    judging: str, data: Path, tmp_path: Path
) -> None:
    clip = data / "grid_other" / "bbaf2n.mp4"
    argv = [judging, str(SCRIPT), str(clip), str(clip), "--lossless", "--json", "rows.json"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "rows.json").read_text())
    info, pts = probe(clip)
    assert (
        rows.pop("frames")
        == info.frames
        == len(list(FrameReader(clip, info, pts).read(0, info.frames)))
    )
    perfect = {
        "opening_correlation",
        "correlation_there",
        "amplitude",
        "jitter",
        "width_correlation",
        "width_amplitude",
        "ssim",
        "sharpness",
    }
    assert {name: pytest.approx(1) for name in perfect} | {
        "reference_offset_ms": 0,
        "faces_lost": 0,
        "changed_outside": 0,
    } == {name: value for name, value in rows.items() if name != "contacts"}
    assert rows.get("contacts", 1.0) == 1
    assert "NO" not in done.stdout
    assert done.stdout.startswith("measure")


def test_a_jaw_that_goes_on_as_filmed_is_told_from_one_that_goes_with_the_new_lips() -> None:
    rng = np.random.default_rng(0)
    filmed, dubbed = (np.convolve(rng.normal(0, 1, 120), np.ones(5) / 5, "same") for _ in range(2))

    def face(gap: np.ndarray, jaw: np.ndarray) -> judge.Watched:
        points = np.zeros((len(gap), judge.LANDMARKS, 2))
        points[:, judge.RIGHT_EDGE, 0] = 100
        points[:, judge.LOWER_LIP, 1] = 10 + 4 * gap
        points[:, judge.CHIN, 1] = 60 + 2 * jaw
        return judge.Watched(points, np.arange(len(gap)) / 25)

    real = face(filmed, filmed)
    assert judge.jaw(real, real)["real_jaw_slope"] == pytest.approx(0.5)
    old = judge.jaw(face(dubbed, filmed), real)
    new = judge.jaw(face(dubbed, dubbed), real)
    assert old["jaw_as_filmed"] == pytest.approx(1)
    assert abs(new["jaw_as_filmed"]) < 0.3
    assert new["jaw_slope"] == pytest.approx(0.5)
    assert abs(old["jaw_slope"]) < 0.2
