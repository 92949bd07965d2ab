"""Stages ``speech`` and ``timing``, from files to files."""

from __future__ import annotations

import wave
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from dubkit.config.schema import Config
from dubkit.errors import InputError, WorkError
from dubkit.media.audio import load_samples
from dubkit.records import Job, Phoneme, Placement, Shot, Speech, Stem
from dubkit.speech.encoder_rows import cell_count
from dubkit.speech.sound_offset import Finding
from dubkit.speech.timing import SPEECH, load_rows, load_speech, load_timing, stem_folders
from dubkit.stages import speech, timing
from dubkit.stages.base import StageContext
from dubkit.stages.conform import judge
from dubkit.work.store import write_record
from tests.clips import save_wav
from tests.portrait import ASSETS
from tests.speech.test_nonspeech import music
from tests.work.test_store import video


def context(folder: Path, audio: Path, script: Path | None = None, **more: object) -> StageContext:
    out = folder / "out"
    out.mkdir(exist_ok=True)
    job = Job(folder / "film.mp4", audio, folder / "result.mp4", folder / "work", script)
    fields = {"job": job, "config": Config(), "out": out, "inputs": {}, **more}
    return StageContext(**fields)  # type: ignore[arg-type]


def test_speech_aligns_the_script_of_the_dub(tmp_path: Path) -> None:
    report = speech.run(context(tmp_path, ASSETS / "dub.flac", ASSETS / "dub.txt"))
    stored = load_speech(tmp_path / "out")
    assert stored.path == "script" == report.facts["path"]
    assert stored.duration == pytest.approx(len(load_samples(ASSETS / "dub.flac")) / 16000)
    assert report.facts["words"] == len(stored.words) > 10
    assert report.engine is not None
    assert report.engine.startswith("pocketsphinx")


def test_speech_refuses_a_dub_without_sound_and_an_empty_script(tmp_path: Path) -> None:
    (tmp_path / "dub.wav").write_bytes(b"")
    (tmp_path / "dub.txt").write_text("", encoding="utf-8")
    with pytest.raises(InputError):
        speech.run(context(tmp_path, tmp_path / "dub.wav"))
    with pytest.raises(InputError):
        speech.run(context(tmp_path, ASSETS / "dub.flac", tmp_path / "dub.txt"))


def test_lips_do_not_sing_with_the_band(tmp_path: Path) -> None:
    soundfile = tmp_path / "music.wav"
    with wave.open(str(soundfile), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes((music() * 32000).astype("<i2").tobytes())
    report = speech.run(context(tmp_path, soundfile))
    assert report.facts["silent_seconds"] == pytest.approx(5.0, abs=0.3)


def test_without_a_script_no_words_are_recognized_but_where_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the recognizer was started")

    with monkeypatch.context() as patched:
        patched.setattr("dubkit.speech.auto.aligner_of", refuse)
        report = speech.run(context(tmp_path, ASSETS / "dub.flac"))
        asked = Config.model_validate({"speech": {"recognize": True}})
        foreign = Config.model_validate({"generate": {"synthesizer": "some.module:Thing"}})
        for config in (asked, foreign):
            with pytest.raises(AssertionError):
                speech.run(context(tmp_path, ASSETS / "dub.flac", config=config))
    stored = load_speech(tmp_path / "out")
    assert report.facts["path"] == stored.path == "sound"
    assert not stored.words
    assert "no script" in report.warnings[0]
    # it tiles the dub, and says where somebody speaks as the script's phonemes do
    edges = [0.0, *(p.end for p in stored.phonemes)]
    assert [p.start for p in stored.phonemes] == pytest.approx(edges[:-1])
    assert edges[-1] == pytest.approx(stored.duration)
    speech.run(context(tmp_path, ASSETS / "dub.flac", ASSETS / "dub.txt"))
    moments = np.arange(0.01, stored.duration, 0.02)
    by_sound, by_script = (spoken_at(s, moments) for s in (stored, load_speech(tmp_path / "out")))
    assert (by_sound == by_script).mean() > 0.9


def test_each_stem_is_published_beside_the_mix_and_cut_with_it(tmp_path: Path) -> None:
    dub, silence = load_samples(ASSETS / "dub.flac"), np.zeros(32000, np.float32)
    late = np.concatenate([silence, dub])
    save_wav(tmp_path / "anna.wav", np.concatenate([dub, silence]))
    save_wav(tmp_path / "boris.wav", late)
    save_wav(tmp_path / "clara.wav", 0 * late)
    save_wav(tmp_path / "mix.wav", late + np.concatenate([dub, silence]))
    stems = tuple(Stem(name, tmp_path / f"{name}.wav") for name in ("anna", "boris", "clara"))
    given = context(tmp_path, tmp_path / "mix.wav")
    report = speech.run(replace(given, job=replace(given.job, stems=stems)))
    assert report.notes == ("the stem clara is silent: this person's lips rest",)
    folders = stem_folders(tmp_path / "out")
    assert list(folders) == ["anna", "boris", "clara"]
    said = {name: load_speech(folder) for name, folder in folders.items()}
    starts = {
        n: next((p.start for p in s.phonemes if p.symbol != "sil"), None) for n, s in said.items()
    }
    assert starts["anna"] is not None
    assert starts["boris"] == pytest.approx(starts["anna"] + 2.0, abs=0.05)
    assert starts["clara"] is None
    rows = load_rows(folders["boris"])
    assert rows is not None
    assert len(rows.rows) == cell_count(len(late))


def spoken_at(said: Speech, moments: np.ndarray) -> np.ndarray:
    at = np.searchsorted([p.start for p in said.phonemes], moments, "right") - 1
    return np.array([said.phonemes[k].symbol != "sil" for k in at])


def timed(
    root: Path,
    phonemes: tuple[Phoneme, ...],
    shot: Shot | None,
    config: Config,
    placement: Placement | None = None,
) -> Path:
    """Run the timing stage on a film whose first frame has PTS 900 in 1/90000 s, 23.976 frames a second."""
    for name in ("probe", "speech", "conform"):
        (root / name).mkdir(parents=True)
    out = root / "out"
    out.mkdir()
    write_record(root / "probe" / "video.json", video())
    np.save(root / "probe" / "pts.npy", 900 + np.arange(100, dtype=np.int64) * 3753 // 1)
    said = Speech("en", 4.0, (), phonemes, "test", "script")
    write_record(root / "speech" / "speech.json", said)
    placement = Placement() if placement is None else placement
    placed = judge(Finding("nothing"), placement, "start", 4.0, config.conform)
    write_record(root / "conform" / "conform.json", placed)
    inputs = {name: (root / name,) for name in ("probe", "speech", "conform")}
    job = Job(root / "film.mp4", root / "dub.wav", root / "result.mp4", root / "work")
    timing.run(StageContext(job=job, config=config, out=out, inputs=inputs, shot=shot))
    return out


SAID = (Phoneme("sil", 0.0, 1.0), Phoneme("a", 1.0, 2.0), Phoneme("sil", 2.0, 4.0))


def test_a_dub_that_begins_later_and_runs_longer_moves_the_lips(tmp_path: Path) -> None:
    there = Placement(0.5, 1.001)
    found = load_timing(timed(tmp_path, SAID, Shot(20, 60), Config(), there))
    step = float(Fraction(3753, 90000))
    np.testing.assert_allclose(there.film_time(0) + 1.001 * found.times, np.arange(20, 60) * step)
    spoken = next(run for run in found.runs if run.symbol == "a")
    assert spoken.start == int(np.ceil(there.film_time(1.0) / step))


def test_timing_lays_phonemes_on_exact_frame_times(tmp_path: Path) -> None:
    found = load_timing(timed(tmp_path, SAID, Shot(20, 60), Config()))
    step = float(Fraction(3753, 90000))
    np.testing.assert_allclose(found.times, np.arange(20, 60) * step, atol=1e-9)
    assert [run.symbol for run in found.runs] == ["sil", "a", "sil"]
    assert found.runs[1].start == int(np.ceil(1.0 / step))


def test_a_positive_offset_makes_lips_later(tmp_path: Path) -> None:
    late = Config.model_validate({"timing": {"offset_ms": 100.0}})
    found = load_timing(timed(tmp_path, SAID, Shot(20, 60), late))
    assert found.runs[1].start == int(np.ceil(1.1 / float(Fraction(3753, 90000))))


def test_lips_are_placed_by_the_dubs_time_whatever_the_films_own_error_is() -> None:
    """The film's offset is published by ``adapt``, which the timing of a shot never reads."""
    assert "adapt" not in timing.STAGE.after
    assert not {"video"} & set(timing.STAGE.files)


def test_a_change_elsewhere_leaves_the_files_of_a_shot_equal(tmp_path: Path) -> None:
    other = (*SAID[:2], Phoneme("sil", 2.0, 3.2), Phoneme("m", 3.2, 4.0))
    one = timed(tmp_path / "one", SAID, Shot(0, 40), Config())
    two = timed(tmp_path / "two", other, Shot(0, 40), Config())
    for path in one.iterdir():
        assert path.read_bytes() == (two / path.name).read_bytes()


def test_timing_without_a_shot_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WorkError):
        timed(tmp_path, SAID, None, Config())


def test_a_speech_that_was_made_anew_is_read_anew(tmp_path: Path) -> None:
    """It is kept by each process between the shots of a film."""
    for language in ("en", "de"):
        made = Speech(language, 1.0, (), (Phoneme("sil", 0.0, 1.0),), "test", "script")
        write_record(tmp_path / "new.json", made)
        (tmp_path / "new.json").replace(tmp_path / SPEECH)
        assert load_speech(tmp_path).language == language
    (tmp_path / SPEECH).unlink()
    with pytest.raises(WorkError, match="cannot be read"):
        load_speech(tmp_path)
