"""The stage that lays a dub on its film: where it begins, what is measured, what is refused or corrected."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dubkit.config.schema import Config, ConformSettings
from dubkit.errors import ConformError, UsageError
from dubkit.media.audio import SPEECH_RATE
from dubkit.media.probe import probe
from dubkit.records import AT_START, Job, Placement
from dubkit.speech.sound_offset import Finding
from dubkit.stages import conform, probe as probe_stage
from dubkit.stages.base import StageContext, StageReport
from tests.clips import ffmpeg, film, save_wav, tone
from tests.speech.test_sound_offset import moved, scene

LENGTH = 30.0


@pytest.fixture(scope="module")
def talking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film with sound in which much happens."""
    folder = tmp_path_factory.mktemp("talking")
    save_wav(folder / "sound.wav", scene(1, LENGTH))
    silent = film(folder / "silent.mkv", seconds=LENGTH, rate="5", size="32x32", sound=False)
    path = folder / "film.mkv"
    ffmpeg("-i", silent, "-i", folder / "sound.wav", "-c:v", "copy", "-c:a", "aac", path)
    return path


def conformed(
    tmp_path: Path, source: Path, dub: Path, stitch: dict[str, Any] | None = None, **settings: Any
) -> tuple[conform.Conform, StageReport]:
    config = Config.model_validate({"conform": settings, "stitch": stitch or {}})
    job = Job(source, dub, tmp_path / "out.mkv", tmp_path)
    folders = [tmp_path / name for name in ("probe", "conform")]
    for folder in folders:
        folder.mkdir(exist_ok=True)
    probe_stage.run(StageContext(job, config, folders[0], {}))
    report = conform.run(StageContext(job, config, folders[1], {"probe": (folders[0],)}))
    return conform.load_conform(folders[1]), report


def dub_of(tmp_path: Path, offset: float, stretch: float = 1.0) -> Path:
    path = tmp_path / "dub.wav"
    save_wav(path, moved(scene(1, LENGTH) + 0.5 * scene(2, LENGTH), offset, stretch))
    return path


def test_a_dub_that_lies_on_its_film_is_left_there(tmp_path: Path, talking: Path) -> None:
    found, report = conformed(tmp_path, talking, dub_of(tmp_path, 0.0))
    assert found.placement == AT_START
    assert not found.over
    assert not report.warnings
    assert any("lies on the film" in note for note in report.notes)
    assert report.facts["confidence"] == 1.0
    assert -60 < float(report.facts["dub_loudness_lufs"] or 0) < 0


def test_a_dub_that_is_early_stops_the_run_unless_it_is_accepted_or_fixed(
    tmp_path: Path, talking: Path
) -> None:
    dub = dub_of(tmp_path, 0.5)
    with pytest.raises(ConformError, match=r"begins (49|50)\d ms early \(") as caught:
        conformed(tmp_path, talking, dub)
    assert caught.value.exit_code == 9
    assert "--fix-offset" in str(caught.value.hint)
    found, report = conformed(tmp_path, talking, dub, over="accept")
    assert found.placement == AT_START
    assert any("early" in warning for warning in report.warnings)
    found, report = conformed(tmp_path, talking, dub, over="fix")
    assert found.fixed
    assert found.placement.start == pytest.approx(0.5, abs=0.02)
    assert found.placement.stretch == 1
    with pytest.raises(UsageError, match="cannot be copied"):
        conformed(tmp_path, talking, dub, {"audio_codec": "copy"}, over="fix")
    found, report = conformed(tmp_path, talking, dub, dub_offset=0.5)
    assert not found.over
    assert report.facts["start"] == 0.5
    found, report = conformed(tmp_path, talking, dub, check=False)
    assert found.finding.basis == "nothing"
    found, _ = conformed(tmp_path, talking, dub, max_offset_ms=700.0)
    assert not found.over


def test_a_dub_for_another_frame_rate_is_stretched(tmp_path: Path, talking: Path) -> None:
    found, report = conformed(tmp_path, talking, dub_of(tmp_path, 0.2, 25 / 24), over="fix")
    assert found.placement.stretch == 25 / 24
    assert found.placement.start == pytest.approx(0.2, abs=0.02)
    assert "25 and the film ran at 24 frames/s" in report.warnings[0]
    assert report.facts["drift_ppm"] == pytest.approx(41667, abs=300)


def test_speech_alone_is_judged_by_a_wider_limit() -> None:
    settings = ConformSettings(max_speech_offset_ms=300.0)
    spoken = Finding("speech", 0.2, 1.0, 1.0, 0.02, 0.0, 20.0)
    assert not conform.judge(spoken, AT_START, "start", 100.0, settings).over
    common = Finding("common sound", 0.2, 1.0, 1.0, 0.002, 0.0, 20.0)
    assert conform.judge(common, AT_START, "start", 100.0, settings).over
    unsure = Finding("common sound", 5.0, 1.0, 0.4, 0.002, 0.0, 10.0)
    assert not conform.judge(unsure, AT_START, "start", 100.0, settings).over


@pytest.mark.parametrize(
    ("reference", "code", "start", "source"),
    [
        (3600 + 2, "01:00:00:00", 2.0, "BWF"),
        (3600, "01:00:00:00", 0.0, "BWF"),
        (3600, None, 0.0, "start"),
        (2, None, 2.0, "BWF"),
        (0, "01:00:00:00", 0.0, "start"),
    ],
)
def test_the_time_in_a_broadcast_wave_file_is_obeyed(
    tmp_path: Path, reference: int, code: str | None, start: float, source: str
) -> None:
    timed = ("-timecode", code) if code else ()
    path = film(tmp_path / "film.mov", seconds=4, extra=timed)
    dub, stated = tmp_path / "dub.wav", f"time_reference={reference * 16000}"
    ffmpeg("-i", tone(tmp_path / "t.wav", 2), "-write_bext", "1", "-metadata", stated, dub)
    placement, told, notes = conform.place(path, dub, probe(path)[0], ConformSettings())
    assert (placement, told) == (Placement(start), source)
    assert bool(notes) == (bool(start) or (reference > 0 and code is None))
    chosen = conform.place(path, dub, probe(path)[0], ConformSettings(dub_offset=-0.5))
    assert chosen == (Placement(-0.5), "option", [])


@pytest.mark.parametrize("silent", [False, True])
def test_a_dub_that_goes_on_after_the_film_is_reported_by_however_little(
    tmp_path: Path, silent: bool
) -> None:
    path = film(tmp_path / "film.mkv", seconds=1)
    samples = 0.3 * np.sin(np.arange(round(1.3 * SPEECH_RATE)) * 0.2).astype(np.float32)
    samples[SPEECH_RATE:] *= 0.0 if silent else 1.0
    save_wav(tmp_path / "dub.wav", samples)
    _, report = conformed(tmp_path, path, tmp_path / "dub.wav")
    told = report.notes if silent else report.warnings
    assert any("0.300 s after the film's end" in line for line in told)
    assert report.facts["beyond_film_seconds"] == pytest.approx(0.3, abs=0.002)
    assert json.dumps(dict(report.facts))


def test_what_was_told_before_the_run_is_not_told_again(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mkv", seconds=1)
    samples = 0.3 * np.sin(np.arange(3 * SPEECH_RATE) * 0.2).astype(np.float32)
    save_wav(tmp_path / "dub.wav", samples)
    _, report = conformed(tmp_path, path, tmp_path / "dub.wav")
    assert not any("after the film's end" in line for line in (*report.notes, *report.warnings))
    assert report.facts["beyond_film_seconds"] == pytest.approx(2.0, abs=0.002)
