"""Stage ``generate``: real films of a painted face, dubbed by the real generator."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from dubkit.config.schema import Config, GenerateSettings
from dubkit.faces import align
from dubkit.faces.selection import load_tracks, save_choice, save_tracks
from dubkit.lips import mesh_warp, mouth_shape
from dubkit.media.frames import FrameReader
from dubkit.media.planes import Plane, paint_planes, plane_format, to_rgb
from dubkit.media.probe import probe
from dubkit.media.writer import FrameWriter
from dubkit.records import (
    FaceState,
    FaceTrack,
    Job,
    Phoneme,
    Shot,
    TrackChoice,
    Untouched,
    VideoInfo,
)
from dubkit.speech.timing import cut_timing, save_timing
from dubkit.stages import generate, probe as probe_stage
from dubkit.stages.base import StageContext
from dubkit.work.store import read_record
from tests import clips
from tests.faces.faces import drawn, placed, talking

FRAMES, SIZE = 30, 256
SCALE, X, Y = 52.0, 128.0, 95.0
RATE = 25
TINT = (1.0, 0.8, 0.72)  # of red, green and blue
SPOKEN = (
    Phoneme("sil", 0, 0.2),
    Phoneme("m", 0.2, 0.32),
    Phoneme("ɑ", 0.32, 0.8),
    Phoneme("sil", 0.8, 1.2),
)
SILENT = (Phoneme("sil", 0, 1.2),)


@dataclass(frozen=True)
class Scene:
    """A film of one face that opens and shuts its mouth, and where its parts are published."""

    root: Path
    faces: list[np.ndarray]

    def context(self, out: str = "out", **settings: object) -> StageContext:
        values = {"codec": "ffv1", **settings}
        film = self.root / "film.mkv"
        target = self.root / out
        target.mkdir()
        return StageContext(
            job=Job(film, film, self.root / "o.mkv", self.root / "w"),
            config=Config(generate=GenerateSettings.model_validate(values)),
            out=target,
            inputs={name: (self.root / name,) for name in ("probe", "faces", "timing")},
            shot=Shot(0, FRAMES),
        )


def publish(
    root: Path, pixel_format: str, speech: tuple[Phoneme, ...], untouched: tuple[Untouched, ...]
) -> Scene:
    faces = [placed(face, SCALE, 0.03, X, Y) for face in talking(FRAMES)]
    info = clips.facts(width=SIZE, height=SIZE, pixel_format=pixel_format, frames=FRAMES)
    with FrameWriter(root / "film.mkv.nut", info, GenerateSettings(codec="ffv1")) as writer:
        for t, face in enumerate(faces):
            picture = drawn(face, SIZE, SIZE, seed=3)
            writer.write(coded(picture, info), t * int(Fraction(1, RATE) / info.time_base))
    (root / "film.mkv.nut").rename(root / "film.mkv")
    info, pts = probe(root / "film.mkv")
    for name in ("probe", "faces", "timing"):
        (root / name).mkdir()
    probe_context = StageContext(
        Job(root / "film.mkv", root / "film.mkv", root / "o", root / "w"),
        Config(),
        root / "probe",
        {},
    )
    probe_stage.run(probe_context)
    times = (pts - pts[0]) * float(info.time_base)
    save_timing(root / "timing", cut_timing(speech, Shot(0, FRAMES), times, 0.8))
    marks = np.stack(faces).astype(np.float32)
    track = FaceTrack(
        track=0,
        start=0,
        boxes=np.concatenate([marks.min(1), marks.max(1)], 1),
        landmarks=marks,
        pose=np.zeros((FRAMES, 3), np.float32),
        scores=np.ones(FRAMES, np.float32),
        state=np.full(FRAMES, FaceState.SEEN, np.int8),
        occlusion=np.zeros(FRAMES, np.float32),
    )
    save_tracks(root / "faces", [track])
    choice = chosen(0, True, untouched)
    save_choice(root / "faces", [choice])
    return Scene(root, faces)


def coded(picture: np.ndarray, info: VideoInfo) -> tuple[Plane, ...]:
    """A gray picture of 8 bits in the planes of a film: in color where these have room for it at each pixel."""
    layout = plane_format(info)
    tinted = [np.rint(share * picture).astype(np.uint8) for share in TINT]
    if layout.is_rgb:
        return tuple(tinted)
    if layout.shift == (0, 0):
        deep = paint_planes(tinted, replace(layout, is_rgb=True, depth=8))
        return tuple(np.rint(plane / 257).astype(np.uint8) for plane in deep)
    wide = np.left_shift(picture.astype(np.uint16), layout.depth - 8)
    gray: Any = wide.astype(layout.sample_type)
    chroma = np.full_like(gray[::2, ::2], 1 << (layout.depth - 1))
    return gray, chroma, chroma


def chosen(start: int, dubbed: bool, untouched: tuple[Untouched, ...]) -> TrackChoice:
    return TrackChoice(0, start, FRAMES, dubbed, "test", 2.3 * SCALE, None, untouched)


def pictures(path: Path) -> list[np.ndarray]:
    """Luma of every frame."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    depth16 = frames[0].format.components[0].bits > 8
    kind = np.uint16 if depth16 else np.uint8
    return [
        np.frombuffer(bytes(f.planes[0]), kind).reshape(f.height, -1)[:, : f.width].copy()
        for f in frames
    ]


def darkness(picture: np.ndarray) -> float:
    """How dark the middle of the mouth is, 0..255."""
    values = picture.astype(float) / (1 if picture.dtype == np.uint8 else 4)
    low, high = int(Y + 1.16 * SCALE), int(Y + 1.28 * SCALE)
    return 255 - float(values[low:high, int(X) - 5 : int(X) + 6].mean())


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return publish(tmp_path, "yuv420p", SPOKEN, ())


def test_the_mouth_speaks_shuts_on_m_and_rests_in_silence(scene: Scene) -> None:
    context = scene.context()
    report = generate.run(context)
    assert report.facts["painted"] == FRAMES
    source = [darkness(p) for p in pictures(scene.root / "film.mkv")]
    made = [darkness(p) for p in pictures(context.out / generate.SEGMENT)]
    vowel, shut = made[int(0.45 * RATE) : int(0.65 * RATE)], made[int(0.26 * RATE)]
    assert max(source) - min(source) > 40, "the film's own mouth moves"
    assert np.mean(vowel) > shut + 15
    assert np.ptp(made[-4:]) < 12, "at rest after the speech, though the film's mouth moves on"


def test_outside_the_mask_every_sample_is_the_sources(scene: Scene) -> None:
    context = scene.context()
    generate.run(context)
    pairs = zip(
        pictures(scene.root / "film.mkv"), pictures(context.out / generate.SEGMENT), strict=True
    )
    for t, (source, made) in enumerate(pairs):
        rows, columns = np.nonzero(source != made)
        assert len(rows), "every frame is painted"
        canonical = align.canonical_from_face(scene.faces[t].astype(np.float32))
        where = align.apply(canonical, np.stack([columns, rows], 1).astype(np.float32))
        assert where[:, 1].min() > 0.5, "nothing above the nose changes"
        assert np.abs(where[:, 0]).max() < -mesh_warp.LEFT


def test_frames_that_cannot_be_dubbed_stay_as_they_are(tmp_path: Path) -> None:
    scene = publish(tmp_path, "yuv420p", SPOKEN, (Untouched(10, 15, "covered"),))
    context = scene.context()
    report = generate.run(context)
    source = pictures(scene.root / "film.mkv")
    made = pictures(context.out / generate.SEGMENT)
    assert report.facts["painted"] == FRAMES - 5
    same = [np.array_equal(a, b) for a, b in zip(source, made, strict=True)]
    assert same == [10 <= t < 15 for t in range(FRAMES)]


def test_ten_bit_pictures_keep_ten_bits(tmp_path: Path) -> None:
    scene = publish(tmp_path, "yuv420p10le", SPOKEN, ())
    context = scene.context()
    generate.run(context)
    made = pictures(context.out / generate.SEGMENT)
    assert made[0].dtype == np.uint16
    assert any((p & 3).any() for p in made), "the patch is made in ten bits, not in eight"


def test_a_film_gets_the_same_mouth_in_rgb(tmp_path: Path) -> None:
    made, filmed = {}, {}
    for pixels in ("gbrp", "yuvj444p"):
        root = tmp_path / pixels
        root.mkdir()
        context = publish(root, pixels, SPOKEN, ()).context()
        generate.run(context)
        made[pixels], filmed[pixels] = (
            in_color(path) for path in (context.out / generate.SEGMENT, root / "film.mkv")
        )
    assert np.abs(filmed["gbrp"] - filmed["yuvj444p"]).max() <= 3
    changed = np.abs(made["gbrp"] - filmed["gbrp"])
    assert changed.max() > 80
    apart = np.abs(made["gbrp"] - made["yuvj444p"])
    assert np.quantile(apart, 0.999) <= 6
    assert apart.mean() < 0.05 * changed[changed > 8].mean()


def in_color(path: Path) -> np.ndarray:
    """(T, H, W, 3) RGB of a film."""
    info, pts = probe(path)
    frames = FrameReader(path, info, pts).read(0, len(pts))
    return np.stack([to_rgb(list(f.planes), f.format) for f in frames]).astype(int)


def test_silence_policies(tmp_path: Path) -> None:
    scene = publish(tmp_path, "yuv420p", SILENT, ())
    source = pictures(scene.root / "film.mkv")
    results = {}
    for policy in ("rest", "closed", "original", "hold"):
        context = scene.context(out=policy, silence=policy)
        generate.run(context)
        results[policy] = pictures(context.out / generate.SEGMENT)
    assert all(np.array_equal(a, b) for a, b in zip(source, results["original"], strict=True))
    for policy in ("rest", "closed", "hold"):
        assert np.ptp([darkness(p) for p in results[policy]]) < 25
        assert np.ptp([darkness(p) for p in source]) > 40


def test_the_same_shot_gives_the_same_bytes(scene: Scene) -> None:
    first, second = scene.context("a", codec="h264"), scene.context("b", codec="h264")
    generate.run(first)
    generate.run(second)
    names = (generate.SEGMENT, generate.RESULT)
    assert [(first.out / n).read_bytes() for n in names] == [
        (second.out / n).read_bytes() for n in names
    ]


def test_the_original_is_kept_where_generation_failed(scene: Scene) -> None:
    context = scene.context()
    generate.keep_original(context)
    made = pictures(context.out / generate.SEGMENT)
    assert all(
        np.array_equal(a, b) for a, b in zip(pictures(scene.root / "film.mkv"), made, strict=True)
    )
    result = read_record(context.out / generate.RESULT, generate.GenerateResult)
    assert not result.touched
    assert result.frames == FRAMES


def test_the_pass_through_synthesizer_changes_nothing(scene: Scene) -> None:
    context = scene.context(synthesizer="passthrough")
    generate.run(context)
    result = read_record(context.out / generate.RESULT, generate.GenerateResult)
    assert (result.touched, result.painted) == (False, 0)
    made = pictures(context.out / generate.SEGMENT)
    assert all(
        np.array_equal(a, b) for a, b in zip(pictures(scene.root / "film.mkv"), made, strict=True)
    )


def test_no_amplitude_is_a_mouth_at_rest(scene: Scene) -> None:
    context = scene.context(amplitude=0.0)
    generate.run(context)
    source = [darkness(p) for p in pictures(scene.root / "film.mkv")]
    made = [darkness(p) for p in pictures(context.out / generate.SEGMENT)]
    assert np.ptp(made) < 0.3 * np.ptp(source)


def test_a_mouth_is_held_in_speech_as_its_speaker_holds_it(scene: Scene) -> None:
    plain = scene.context("plain")
    generate.run(plain)
    count = len(mouth_shape.basis().decode)
    setting = mouth_shape.beside_gap(np.array([0.0, *[0.8] * (count - 1)], np.float32))
    track = load_tracks(scene.root / "faces")[0]
    save_tracks(scene.root / "faces", [replace(track, setting=setting)])
    held = scene.context("held")
    generate.run(held)
    one, other = (pictures(context.out / generate.SEGMENT) for context in (plain, held))
    change = [float(np.abs(a.astype(int) - b).mean()) for a, b in zip(one, other, strict=True)]
    spoken = change[int(0.4 * RATE) : int(0.7 * RATE)]
    assert min(spoken) > 3 * change[-1], "at rest it is as it was"


def test_a_face_that_is_not_chosen_is_not_touched(scene: Scene) -> None:
    choice = chosen(0, False, ())
    save_choice(scene.root / "faces", [choice])
    context = scene.context()
    generate.run(context)
    assert not read_record(context.out / generate.RESULT, generate.GenerateResult).touched


def test_a_track_that_begins_in_mid_shot_speaks_from_there(scene: Scene) -> None:
    whole = load_tracks(scene.root / "faces")[0]
    late = replace(
        whole,
        start=8,
        boxes=whole.boxes[8:],
        landmarks=whole.landmarks[8:],
        pose=whole.pose[8:],
        scores=whole.scores[8:],
        state=whole.state[8:],
    )
    save_tracks(scene.root / "faces", [late])
    choice = chosen(8, True, ())
    save_choice(scene.root / "faces", [choice])
    context = scene.context()
    assert generate.run(context).facts["painted"] == FRAMES - 8
    made = [darkness(p) for p in pictures(context.out / generate.SEGMENT)]
    assert np.mean(made[12:16]) > np.mean(made[-4:]) + 15
