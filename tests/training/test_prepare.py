"""Footage becomes a set that trainings read, and what is refused is told why."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from dubkit.config.schema import Config
from dubkit.errors import InputError, OutputError, WorkError
from dubkit.faces import landmark_layout
from dubkit.faces.tracker import track_shot
from dubkit.progress import NoProgress
from dubkit.records import Shot
from dubkit.training import cut_clips
from dubkit.training.dataset import CLIPS, INDEX, PreparedSet, read_clip
from dubkit.training.prepare import PrepareResult, prepare
from tests.clips import ffmpeg
from tests.painted import LEVELS, Person
from tests.training.talking import ENGINES, config, one_face, speech, write_film

ROOT = Path(__file__).resolve().parents[2]


def make(folder: Path, out: Path, settings: Config | None = None) -> PrepareResult:
    return prepare(folder, out, settings or config(), NoProgress())


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people, one of them with a script."""
    folder = tmp_path_factory.mktemp("footage")
    write_film(folder / "ann" / "first.mkv", 2.0)
    (folder / "ann" / "first.txt").write_text("some words that are said", encoding="utf-8")
    write_film(folder / "bob" / "first.mkv", 2.4)
    return folder


@pytest.fixture(scope="module")
def done(footage: Path, tmp_path_factory: pytest.TempPathFactory) -> PrepareResult:
    return make(footage, tmp_path_factory.mktemp("sets") / "set")


def digests(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((root / CLIPS).glob("*"))
    }


def test_a_folder_of_two_people_becomes_a_set_with_one_of_them_held_out(
    done: PrepareResult,
) -> None:
    found = PreparedSet(done.root)
    assert found.names() == ["ann__first", "bob__first"]
    assert {facts.person for facts in found.clips.values()} == {"ann", "bob"}
    assert {facts.split for facts in found.clips.values()} == {"train", "val"}
    assert done.held_out is None
    assert not found.refused


def test_a_clip_has_one_picture_and_one_row_of_everything_a_frame(done: PrepareResult) -> None:
    found = PreparedSet(done.root)
    clip = found.load("bob__first")
    pictures = list(found.pictures("bob__first"))
    assert len(pictures) == len(clip.times) == found.clips["bob__first"].frames == 60
    assert {p.shape for p in pictures} == {(found.crop, found.crop, 3)}
    assert clip.landmarks.shape == (60, landmark_layout.COUNT, 2)
    assert clip.pose.shape == (60, 3)
    np.testing.assert_allclose(clip.times, np.arange(60) / 25, atol=1e-6)
    assert len(clip.energy) == pytest.approx(2.4 / 0.02, abs=2)
    assert len(clip.sounds) == 6
    assert abs(len(clip.sounds[0].levels) - len(clip.energy)) <= 1
    for sound in clip.sounds:
        assert len(sound.rows) == len(sound.levels)
        assert len(sound.rows) == pytest.approx(len(clip.energy) * sound.stretch, abs=2)


def test_a_point_of_the_face_lies_at_one_place_of_every_crop(done: PrepareResult) -> None:
    """Painted faces tell in red and green which canonical point a pixel shows."""
    found = PreparedSet(done.root)
    scale = found.crop / 3.0  # canonical -1.5 .. 1.5 and 0 .. 3
    for picture in list(found.pictures("bob__first"))[::7]:
        for x, y in ((0.0, 1.0), (0.5, 0.7), (-0.6, 1.2)):
            column, row = round((x + 1.5) * scale), round(y * scale)
            patch = picture[row - 4 : row + 5, column - 4 : column + 5].reshape(-1, 3)
            shown = (np.median(patch, 0)[:2] - 128) / LEVELS
            # the film's grain shifts whole pictures by up to about .2
            assert np.abs(shown - (x, y)).max() < 0.3


def test_phonemes_are_on_the_clips_own_clock_by_every_way(done: PrepareResult) -> None:
    clip = PreparedSet(done.root).load("ann__first")
    assert set(clip.phonemes) == {"script", "recognition", "loop"}
    for timed in clip.phonemes.values():
        assert timed[0][1] == pytest.approx(0, abs=0.05)
        assert timed[-1][2] == pytest.approx(2.0, abs=0.06)
    assert set(PreparedSet(done.root).load("bob__first").phonemes) == {"recognition", "loop"}


class Listener(NoProgress):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


@pytest.mark.parametrize("script", [b"another film's words", b"binary\0\0\1", b""])
def test_a_script_that_does_not_fit_is_left_aside_and_that_is_said(
    script: bytes, footage: Path, tmp_path: Path
) -> None:
    folder, told = tmp_path / "in", Listener()
    folder.mkdir()
    os.link(footage / "ann" / "first.mkv", folder / "x.mkv")
    (folder / "x.txt").write_bytes(script)
    prepare(folder, tmp_path / "set", config(), told)
    assert set(PreparedSet(tmp_path / "set").load("x").phonemes) == {"recognition", "loop"}
    assert [note for note in told.notes if note.startswith("x.mkv: its script is ignored")]


def nobody(frame: int, opening: float) -> Sequence[Person]:
    return []


def far_away(frame: int, opening: float) -> Sequence[Person]:
    return [Person(0, 100.0, 70.0, 18.0, 0.0, opening)]


def frozen(frame: int, opening: float) -> Sequence[Person]:
    return [Person(0, 100.0, 62.0, 32.0, 0.0, 0.4 * (frame // 40 % 2))]


def two_who_speak(frame: int, opening: float) -> Sequence[Person]:
    return [
        Person(0, 54.0, 66.0, 29.0, 0.0, opening),
        Person(1, 150.0, 66.0, 29.0, 0.0, opening),
    ]


def shut(frame: int, opening: float) -> Sequence[Person]:
    return one_face(frame, 0.0)


def against(frame: int, opening: float) -> Sequence[Person]:
    """A mouth that moves, but not with the sound."""
    return one_face(frame, float(np.random.default_rng(frame).random()))


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "no face": (lambda p: write_film(p, cast=nobody), "no face"),
    "face too small": (lambda p: write_film(p, cast=far_away), "too small: .* 64 needed"),
    "two speakers": (
        lambda p: write_film(p, 3.0, cast=two_who_speak),
        "two faces (speak at the same time|, and it is not clear)",
    ),
    "too short": (lambda p: write_film(p, 0.6), "too short: 0.60 s, 1 needed"),
    "no sound": (lambda p: write_film(p, mute=True), "it has no sound"),
    "silent": (lambda p: write_film(p, sound=np.zeros(32000, np.float32)), "its sound is silent"),
    "a tone": (
        lambda p: write_film(p, sound=(0.3 * np.sin(np.arange(32000) / 9)).astype(np.float32)),
        "not speech: one level throughout",
    ),
    "repeated pictures": (
        lambda p: write_film(p, cast=frozen, grain=0),
        r"\d\d% of its pictures repeat the one before",
    ),
    "shut mouth": (
        lambda p: write_film(p, cast=shut, grain=0.2),
        "a still picture or a still mouth",
    ),
    "another's voice": (
        lambda p: write_film(p, 6.2, cast=against),
        "the lips do not move with the sound: correlation",
    ),
    "out of sync": (
        lambda p: write_film(p, 6.2, late=0.4),
        r"the picture is \d+ ms behind the sound, 240 allowed",
    ),
    "not a film": (lambda p: p.write_bytes(b"no film at all" * 99), "not a media file"),
    "empty": (lambda p: p.write_bytes(b""), "it is empty"),
}


@pytest.mark.parametrize("kind", sorted(BAD))
def test_what_cannot_be_learned_from_is_refused_with_the_reason(kind: str, tmp_path: Path) -> None:
    write, reason = BAD[kind]
    write(tmp_path / "clip.mkv")
    with pytest.raises(InputError, match=f"none of the 1 videos.*{reason}"):
        make(tmp_path, tmp_path / "set")
    index = json.loads((tmp_path / "set" / INDEX).read_text(encoding="utf-8"))
    assert list(index["refused"]) == ["clip.mkv"]
    assert not list((tmp_path / "set" / CLIPS).glob("*"))


def test_a_blurred_face_is_refused(footage: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"mostly: blurred: \d\.\d+ .* 9 needed"):
        make(footage, tmp_path / "set", config("train.prepare.min_focus=9"))


def test_a_late_picture_is_measured(tmp_path: Path) -> None:
    write_film(tmp_path / "in" / "now.mkv", 6.2)
    write_film(tmp_path / "in" / "late.mkv", 6.2, late=0.12)
    clips = make(tmp_path / "in", tmp_path / "set").index.clips
    assert clips["late"].offset - clips["now"].offset == pytest.approx(0.12, abs=0.03)


def test_samples_that_are_no_numbers_are_silence(tmp_path: Path) -> None:
    sound = speech(2.0)
    sound[5000:9000] = np.nan
    folder = tmp_path / "in"
    write_film(folder / "x.mkv")
    with av.open(str(tmp_path / "nan.wav"), "w") as container:
        stream = container.add_stream("pcm_f32le", rate=16000, layout="mono")
        block = av.AudioFrame.from_ndarray(sound[None], format="flt", layout="mono")
        block.sample_rate, block.pts = 16000, 0
        container.mux(stream.encode(block))
        container.mux(stream.encode())
    both: list[str | Path] = [
        "-i",
        folder / "x.mkv",
        "-i",
        tmp_path / "nan.wav",
        "-map",
        "0:v",
        "-map",
        "1:a",
    ]
    ffmpeg(*both, "-c", "copy", folder / "nan.mkv")
    make(folder, tmp_path / "set")
    clip = PreparedSet(tmp_path / "set").load("nan")
    assert np.isfinite(clip.energy).all()
    assert np.isfinite(clip.sounds[0].levels).all()


def test_long_footage_is_cut_into_pieces_named_by_their_frames(tmp_path: Path) -> None:
    write_film(tmp_path / "in" / "long.mkv", 5.2)
    result = make(tmp_path / "in", tmp_path / "set", config("train.prepare.max_seconds=5"))
    assert list(result.index.clips) == ["long-0000000-0000065", "long-0000065-0000130"]
    second = PreparedSet(tmp_path / "set").load("long-0000065-0000130")
    assert second.times[0] == 0
    assert result.index.clips["long-0000065-0000130"].start == 65


def test_frames_without_the_face_are_left_out_and_told(tmp_path: Path) -> None:
    def comes_late(frame: int, opening: float) -> Sequence[Person]:
        return one_face(frame, opening) if frame >= 40 else []

    write_film(tmp_path / "in" / "x.mkv", 4.0, cast=comes_late)
    result = make(tmp_path / "in", tmp_path / "set")
    (facts,) = result.index.clips.values()
    assert (facts.start, facts.frames) == (40, 60)


def test_nothing_is_done_twice_and_only_what_changed_is_done_again(
    footage: Path, tmp_path: Path
) -> None:
    out, folder = tmp_path / "set", tmp_path / "in"
    for name in ("a.mkv", "b.mkv"):
        folder.mkdir(exist_ok=True)
        os.link(footage / "ann" / "first.mkv", folder / name)
    assert make(folder, out).done == 4
    before = digests(out)
    assert make(folder, out).done == 0
    assert make(folder, out, config("train.prepare.val_share=0.5")).done == 0
    (out / CLIPS / "a.npz").unlink()
    assert make(folder, out).done == 0, "it is still in the work folder"
    assert digests(out) == before
    for path in (out / "work" / "a").rglob("*.npz"):
        path.unlink()
    (out / CLIPS / "a.npz").unlink()
    assert make(folder, out).done == 1
    assert digests(out) == before
    (folder / "b.txt").write_text("other words", encoding="utf-8")
    assert make(folder, out).done == 2
    (folder / "a.mkv").unlink()
    result = make(folder, out)
    assert result.done == 0
    assert {path.stem for path in (out / CLIPS).glob("*")} == {"b"}
    assert {path.name for path in (out / "work").glob("*")} == {"b"}


def test_after_a_kill_the_same_command_goes_on_and_the_set_is_the_same(
    footage: Path, done: PrepareResult, tmp_path: Path
) -> None:
    out = tmp_path / "set"
    settings = [part for setting in ENGINES for part in ("--set", setting)]
    command = [
        sys.executable,
        "-m",
        "dubkit",
        "train",
        "prepare",
        str(footage),
        str(out),
        *settings,
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not list((out / CLIPS).glob("*.mp4")) and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    first = {path: path.stat().st_mtime_ns for path in (out / CLIPS).glob("*")}
    assert first
    result = make(footage, out)
    assert result.done < result.units
    assert {path: path.stat().st_mtime_ns for path in first} == first
    assert digests(out) == digests(done.root)
    assert result.index == done.index


def test_what_fails_for_one_file_alone_is_its_reason_and_the_others_are_kept(
    footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_large(shot: Shot, *rest: Any) -> Any:
        if shot.frames == 60:  # bob's
            raise MemoryError
        return track_shot(shot, *rest)

    monkeypatch.setattr(cut_clips, "track_shot", too_large)
    result = make(footage, tmp_path / "set")
    assert list(result.index.clips) == ["ann__first"]
    assert "not enough memory" in result.index.refused["bob/first.mkv"]
    monkeypatch.undo()
    again = make(footage, tmp_path / "set")
    assert (again.done, list(again.index.clips)) == (1, ["ann__first", "bob__first"])


def test_a_full_disk_is_no_fault_of_a_file_and_ends_the_command(
    footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "x")

    monkeypatch.setattr(cut_clips, "track_shot", full)
    with pytest.raises(OutputError, match="disk is full"):
        make(footage, tmp_path / "set")


def test_another_film_in_the_place_of_one_is_prepared_anew(footage: Path, tmp_path: Path) -> None:
    out, first, second = (tmp_path / name for name in ("set", "first", "second"))
    for folder, person in ((first, "ann"), (second, "bob")):
        folder.mkdir()
        os.link(footage / person / "first.mkv", folder / "x.mkv")
    before = make(first, out).index.clips["x"]
    first.rename(tmp_path / "moved")
    assert make(tmp_path / "moved", out).done == 0, "the same film in another place"
    after = make(second, out).index.clips["x"]
    assert (before.frames, after.frames) == (50, 60)
    assert len(list((out / "work" / "x").glob("video-*"))) == 1


def test_what_an_older_version_left_in_a_set_is_cleared_away(footage: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    for name in ("clips", "done"):
        (out / name).mkdir(parents=True)
    for name in ("digests.json", "done/abc-look.json", "clips/gone.npz"):
        (out / name).write_text("{}", encoding="utf-8")
    (out / "set.json").write_text('{"format": 1, "crop": 192}', encoding="utf-8")
    make(footage / "ann", out)
    assert {p.name for p in out.iterdir()} == {"set.json", "clips", "work", "lock", "attend.lock"}
    assert {p.stem for p in (out / "clips").iterdir()} == {"first"}


def test_workers_beside_one_another_make_the_same_set(
    footage: Path, done: PrepareResult, tmp_path: Path
) -> None:
    out = tmp_path / "set"
    make(footage, out, config("parallel.jobs=2"))
    assert digests(out) == digests(done.root)


def test_a_list_says_who_is_held_out_and_what_is_for_tests(footage: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in "abc":
        os.link(footage / "ann" / "first.mkv", folder / f"{name}.mkv")
    rows = (
        "file,person,split,ship,group\na.mkv,x,train,yes,g\nb.mkv,y,test,yes,g\nc.mkv,z,val,no,g\n"
    )
    (folder / "clips.csv").write_text(rows, encoding="utf-8")
    index = make(folder, tmp_path / "set").index
    assert list(index.clips) == ["a"]
    assert (index.clips["a"].person, index.clips["a"].group) == ("x", "g")
    assert "keeps it for tests" in index.refused["b.mkv"]
    assert "ship=no" in index.refused["c.mkv"]
    research = make(folder, tmp_path / "set", config("train.prepare.research=true")).index
    assert {name: facts.split for name, facts in research.clips.items()} == {
        "a": "train",
        "c": "val",
    }


def test_one_clip_alone_is_trained_on_and_that_is_said(footage: Path, tmp_path: Path) -> None:
    result = make(footage / "ann", tmp_path / "set")
    assert result.held_out == "there is one clip only: nothing can be held out"
    assert PreparedSet(tmp_path / "set").held_out() == ["first"]


def test_a_folder_without_videos_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing here", encoding="utf-8")
    with pytest.raises(InputError, match="holds no videos"):
        make(tmp_path, tmp_path / "set")
    with pytest.raises(InputError, match="is not a folder"):
        make(tmp_path / "nowhere", tmp_path / "set")


def test_a_folder_that_holds_other_things_is_never_written_to(
    footage: Path, tmp_path: Path
) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(WorkError, match=r"not a prepared set: it contains holiday\.jpg"):
        make(footage, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["holiday.jpg"]


def test_a_set_of_another_version_or_damaged_is_refused(
    done: PrepareResult, tmp_path: Path
) -> None:
    index = json.loads((done.root / INDEX).read_text(encoding="utf-8"))
    (tmp_path / INDEX).write_text(json.dumps({**index, "format": 99}), encoding="utf-8")
    with pytest.raises(WorkError, match="has format 99, this dubkit reads 2"):
        PreparedSet(tmp_path)
    (tmp_path / INDEX).write_text("{", encoding="utf-8")
    with pytest.raises(WorkError, match="damaged or not of dubkit"):
        PreparedSet(tmp_path)
    with pytest.raises(InputError, match="is not a prepared set"):
        PreparedSet(tmp_path / "nowhere")
    cut = tmp_path / "cut.npz"
    cut.write_bytes((done.root / CLIPS / "ann__first.npz").read_bytes()[:900])
    with pytest.raises(WorkError, match="is damaged"):
        read_clip(cut)
