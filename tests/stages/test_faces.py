"""The faces stage on films with painted faces, through real files."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from dubkit.config.schema import Config, FaceSettings
from dubkit.faces.selection import load_choice, load_tracks, load_voices
from dubkit.media.probe import probe
from dubkit.media.process import find_program, run as run_program
from dubkit.records import FaceState, Floats, Job, Shot
from dubkit.stages.base import Per, Source, StageContext, StageReport
from dubkit.stages.faces import STAGE, run, run_without
from dubkit.work.store import write_record
from tests.painted import Person, Scene, paint
from tests.training.talking import openings, speech

SIZE = (320, 200)
PAINTED = FaceSettings(
    detector="tests.painted:PaintedDetector",
    landmarker="tests.painted:PaintedLandmarker",
    which="largest",
)
SPEAKING = PAINTED.model_copy(update={"which": "speaking"})


def write_film(
    path: Path,
    scene: Scene,
    frames: int,
    sound: Floats | None = None,
    aspect: Fraction = Fraction(1),
) -> Path:
    """Lossless film of a painted scene at 25 fps; ``aspect`` squeezes its picture."""
    width = round(SIZE[0] / aspect)
    with av.open(str(path), "w") as container:
        video = container.add_stream("ffv1", rate=25)
        video.width, video.height, video.pix_fmt = width, SIZE[1], "bgr0"
        audio = (
            None if sound is None else container.add_stream("pcm_s16le", rate=16000, layout="mono")
        )
        for index in range(frames):
            picture = paint(scene(index), *SIZE)
            squeezed = picture[:, ((np.arange(width) + 0.5) * float(aspect)).astype(int)]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(squeezed), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(video.encode(frame.reformat(format="bgr0")))
        container.mux(video.encode())
        if audio is not None and sound is not None:
            block = av.AudioFrame.from_ndarray(
                (sound[None] * 32767).astype(np.int16), format="s16", layout="mono"
            )
            block.sample_rate, block.pts = 16000, 0
            container.mux(audio.encode(block))
            container.mux(audio.encode())
    return path


def run_stage(
    folder: Path, video: Path, shot: Shot | None = None, settings: FaceSettings = PAINTED
) -> tuple[StageReport, Path]:
    info, pts = probe(video)
    before, out = folder / "probe", folder / "out"
    before.mkdir(exist_ok=True)
    out.mkdir(exist_ok=True)
    write_record(before / "video.json", info)
    np.save(before / "pts.npy", pts)
    job = Job(video, video, folder / "result.mp4", folder)
    config = Config(faces=settings)
    context = StageContext(job, config, out, {"probe": (before,)}, shot or Shot(0, info.frames))
    return run(context), out


def one_face(i: int) -> Sequence[Person]:
    return [Person(0, 100 + i, 80, 26)]


def test_the_stage_says_what_it_is() -> None:
    assert (STAGE.name, STAGE.per, STAGE.source) == ("faces", Per.SHOT, Source.VIDEO)
    assert STAGE.sections == ("faces",)
    identity = STAGE.identity(Config(faces=PAINTED))
    assert identity == "painted 1, painted 1"
    assert STAGE.identity(Config(faces=SPEAKING)).startswith("painted 1, painted 1, speaker ")


def test_a_face_is_followed_through_a_real_file(tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mkv", one_face, 40)
    report, out = run_stage(tmp_path, film, Shot(10, 40))
    (track,) = load_tracks(out)
    (choice,) = load_choice(out)
    assert (track.start, len(track)) == (10, 30)
    truth = np.stack([one_face(i)[0].landmarks for i in range(10, 40)])
    assert np.abs(track.landmarks - truth).mean() < 0.6
    assert choice.dubbed
    assert choice.usable.all()
    assert report.facts["faces"] == report.facts["dubbed"] == 1
    assert report.facts["seen"] == 30
    assert report.facts["no_face"] == 0
    assert report.engine == "painted 1, painted 1"


def test_anamorphic_pixels_are_undone(tmp_path: Path) -> None:
    narrow = write_film(tmp_path / "narrow.mkv", one_face, 15, aspect=Fraction(8, 5))
    film = tmp_path / "film.mkv"
    ffmpeg = str(find_program("ffmpeg"))
    run_program([ffmpeg, "-i", str(narrow), "-c", "copy", "-aspect", "320:200", str(film)])
    _, out = run_stage(tmp_path, film)
    (track,) = load_tracks(out)
    truth = np.stack([one_face(i)[0].landmarks for i in range(15)])
    assert np.abs(track.landmarks - truth).mean() < 1.0


def test_a_shot_without_faces_is_a_normal_result(tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mkv", lambda i: [], 12)
    report, out = run_stage(tmp_path, film)
    assert load_tracks(out) == []
    assert load_choice(out) == []
    assert report.facts["faces"] == 0
    assert report.facts["no_face"] == 12
    assert report.warnings == ()


def test_a_face_that_comes_late_is_there_from_its_first_frame(tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mkv", lambda i: one_face(i) if i >= 17 else [], 50)
    _, out = run_stage(tmp_path, film)
    (track,) = load_tracks(out)
    assert track.start == 17
    assert (track.state == FaceState.SEEN).all()


def test_a_small_face_is_listed_with_its_reason(tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mkv", lambda i: [Person(0, 100, 80, 9)], 12)
    report, out = run_stage(tmp_path, film)
    (choice,) = load_choice(out)
    assert not choice.dubbed
    assert "too small" in choice.reason
    assert any("no face can be dubbed" in note for note in report.notes)


def test_still_faces_and_no_sound_dub_nobody_and_say_so(tmp_path: Path) -> None:
    film = write_film(
        tmp_path / "film.mkv", lambda i: [Person(0, 70, 80, 18), Person(1, 220, 80, 30)], 25
    )
    report, out = run_stage(tmp_path, film, settings=SPEAKING)
    assert [c.dubbed for c in load_choice(out)] == [False, False]
    assert any("--faces largest" in note for note in report.notes)
    assert report.facts["nobody"] == 1
    assert not load_voices(out).known


@pytest.mark.parametrize("speaker", [0, 1])
def test_the_face_that_moves_with_the_films_own_sound_is_dubbed(
    tmp_path: Path, speaker: int
) -> None:
    sound = speech(4.0)
    wide = openings(sound, 100)

    def scene(i: int) -> Sequence[Person]:
        opening = (float(wide[i]), 0.0) if speaker == 0 else (0.0, float(wide[i]))
        return [
            Person(0, 70, 80, 22, opening=opening[0]),
            Person(1, 220, 80, 34, opening=opening[1]),
        ]

    film = write_film(tmp_path / "film.mkv", scene, 100, sound)
    _, out = run_stage(tmp_path, film, settings=SPEAKING)
    tracks, choices = load_tracks(out), load_choice(out)
    (dubbed,) = [t for t, c in zip(tracks, choices, strict=True) if c.dubbed]
    assert (dubbed.boxes[0, 0] < 120) == (speaker == 0)
    assert load_voices(out).known


def test_the_same_shot_gives_the_same_bytes(tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mkv", one_face, 20)
    results = []
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        _, out = run_stage(folder, film)
        results.append([(out / f).read_bytes() for f in ("tracks.npz", "chosen.json")])
    assert results[0] == results[1]


def test_the_fallback_leaves_a_shot_without_faces(tmp_path: Path) -> None:
    job = Job(tmp_path / "x", tmp_path / "x", tmp_path / "y", tmp_path)
    report = run_without(StageContext(job, Config(), tmp_path, {}, Shot(0, 5)))
    assert load_tracks(tmp_path) == []
    assert load_choice(tmp_path) == []
    assert report.facts["dubbed"] == 0
