"""No frame depends on how the work was cut, ordered or shared out.

The film is the demo's portrait under a moving camera: a real face, seen by the real engines.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from dubkit.config.schema import Config, FaceSettings, GenerateSettings
from dubkit.engines.base import FaceRenderer
from dubkit.faces.people import Role, save_roles
from dubkit.faces.selection import CHOICES, TRACKS, load_choice, load_tracks
from dubkit.lips.articulation import Articulator
from dubkit.media.audio import load_samples
from dubkit.media.frames import FrameReader
from dubkit.media.planes import Plane
from dubkit.metrics.shot_meter import LIPS, SEEN
from dubkit.models.tc import ActorFacts, PersonTerm, save_actor
from dubkit.records import Job, Phoneme, Shot
from dubkit.speech.mel_levels import mel_levels_of
from dubkit.speech.timing import cut_timing, load_timing, save_timing
from dubkit.stages import faces, generate, probe as probe_stage
from dubkit.stages.base import StageContext
from dubkit.stages.probe import load_film
from tests.clips import pictures_film, save_wav
from tests.portrait import SHOTS, render

FRAMES = 36
SHOT = Shot(2, FRAMES)  # a shot that does not begin with the film
SPOKEN = [("sil", 0.0, 0.1), ("m", 0.1, 0.2), ("ɑ", 0.2, 0.6), ("f", 0.6, 0.75), ("oʊ", 0.75, 1.5)]
Planes = tuple[Plane, ...]


@dataclass(frozen=True)
class Scene:
    """A film, what is known of its one shot, and the same shot painted whole."""

    root: Path
    whole: dict[str, list[Planes]]  # engine -> planes of every frame

    def context(self, out: Path, cores: int = 1, **values: object) -> StageContext:
        out.mkdir()
        film = self.root / "film.mp4"
        return StageContext(
            job=Job(film, self.root / "dub.wav", self.root / "o.mkv", self.root / "w"),
            config=Config(
                generate=GenerateSettings.model_validate(values),
                faces=FaceSettings(which="largest"),
            ),
            out=out,
            inputs={name: (self.root / name,) for name in ("probe", "faces", "timing")},
            shot=SHOT,
            cores=cores,
        )


def engines() -> list[str]:
    """The generator that is taken if nothing is said, and the one without an image net."""
    return sorted({"warp", GenerateSettings().synthesizer})


def renderers(scene: Scene, engine: str) -> list[FaceRenderer]:
    """Fresh ones, with all frames lent, as another process would have them."""
    config = Config(generate=GenerateSettings(synthesizer=engine))
    info, pts = load_film(scene.root / "probe")
    timing = load_timing(scene.root / "timing")
    made = generate.synthesizer(config, "cpu")
    choices = load_choice(scene.root / "faces")
    found = [
        made.face(info, track, choice.usable, timing, track.start - SHOT.start)
        for track, choice in zip(load_tracks(scene.root / "faces"), choices, strict=True)
        if choice.dubbed
    ]
    reader = FrameReader(scene.root / "film.mp4", info, pts)
    for frame in reader.read(SHOT.start, SHOT.end):
        for renderer in found:
            if frame.index in renderer.borrowed:
                renderer.lend(frame)
    return found


def paint(scene: Scene, faces: list[FaceRenderer], start: int, end: int) -> list[Planes]:
    info, pts = load_film(scene.root / "probe")
    painted = []
    for frame in FrameReader(scene.root / "film.mp4", info, pts).read(start, end):
        planes = tuple(plane.copy() for plane in frame.planes)
        for renderer in faces:
            renderer.paint(frame, planes)
        painted.append(planes)
    return painted


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    root = tmp_path_factory.mktemp("scene")
    pictures = [picture[::2, ::2] for picture in render(replace(SHOTS[0], frames=FRAMES))]
    film = pictures_film(root / "film.mp4", pictures)
    times = np.arange(24000) / 16000
    save_wav(root / "dub.wav", (0.3 * np.sin(900 * times * np.sin(times))).astype(np.float32))
    scene = Scene(root, {})
    for name in ("probe", "faces", "timing"):
        (root / name).mkdir()
    context = replace(scene.context(root / "unused"), out=root / "probe")
    probe_stage.run(context)
    faces.run(replace(context, out=root / "faces"))
    info, pts = load_film(root / "probe")
    seconds = (pts[SHOT.start : SHOT.end] - pts[0]) * float(info.time_base)
    phonemes = [Phoneme(*spoken) for spoken in SPOKEN]
    sound = mel_levels_of(load_samples(root / "dub.wav"))
    save_timing(root / "timing", cut_timing(phonemes, SHOT, seconds, 0.8, sound))
    for engine in engines():
        scene.whole[engine] = paint(scene, renderers(scene, engine), SHOT.start, SHOT.end)
    assert film.is_file()
    return scene


def same(made: Iterable[Planes], whole: Iterable[Planes]) -> bool:
    pairs = zip(made, whole, strict=True)
    return all(np.array_equal(a, b) for x, y in pairs for a, b in zip(x, y, strict=True))


@pytest.mark.parametrize("engine", engines())
def test_something_is_painted(scene: Scene, engine: str) -> None:
    info, pts = load_film(scene.root / "probe")
    reader = FrameReader(scene.root / "film.mp4", info, pts)
    filmed = [frame.planes for frame in reader.read(SHOT.start, SHOT.end)]
    assert not same(scene.whole[engine], filmed)


@pytest.mark.parametrize("engine", engines())
@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_a_shot_rendered_in_chunks_in_any_order_equals_the_shot_rendered_whole(
    scene: Scene, engine: str, data: st.DataObject
) -> None:
    cuts = data.draw(st.sets(st.integers(SHOT.start + 1, SHOT.end - 1), max_size=5), "cuts")
    chunks = list(pairwise([SHOT.start, *sorted(cuts), SHOT.end]))
    made: dict[int, list[Planes]] = {}
    for start, end in data.draw(st.permutations(chunks), "order"):
        made[start] = paint(scene, renderers(scene, engine), start, end)
    assert same([planes for start in sorted(made) for planes in made[start]], scene.whole[engine])


@pytest.mark.parametrize("engine", engines())
@pytest.mark.parametrize("codec", ["h264", "ffv1"])
def test_the_number_of_cores_changes_no_byte(
    scene: Scene, tmp_path: Path, engine: str, codec: str
) -> None:
    made = set()
    for run, cores in enumerate((1, 1, 2, 5)):
        context = scene.context(tmp_path / str(run), cores, synthesizer=engine, codec=codec)
        generate.run(context)
        for name in (generate.SEGMENT, generate.RESULT, SEEN, LIPS):
            made.add((context.out / name).read_bytes())
    assert len(made) == 4


def test_faces_are_the_same_however_many_cores_decode(scene: Scene, tmp_path: Path) -> None:
    for cores in (1, 3):
        context = scene.context(tmp_path / str(cores), cores)
        faces.run(context)
        for name in (TRACKS, CHOICES):
            assert (context.out / name).read_bytes() == (scene.root / "faces" / name).read_bytes()


def test_each_face_speaks_with_the_profile_of_its_own_person(scene: Scene, tmp_path: Path) -> None:
    """A profile for this face changes what is painted; one for another face does not."""
    net = Articulator()
    facts = ActorFacts(net.digest, 12.0, 0.5, 0.6)
    term = PersonTerm(1, *PersonTerm.sizes_for(net.net.config))
    term.gain.fill_(1.5)
    face = load_tracks(scene.root / "faces")[0].track
    made: dict[int, tuple[str | None, bytes]] = {}
    for whose in (face, face + 9):
        folder = tmp_path / f"roles-{len(made)}"
        folder.mkdir()
        save_actor(folder / "profile.safetensors", term, facts)
        save_roles(folder, [Role(whose, profile="profile.safetensors")])
        context = scene.context(tmp_path / f"out-{len(made)}", synthesizer="warp")
        report = generate.run(replace(context, inputs={**context.inputs, "references": (folder,)}))
        made[whose] = (report.engine, (context.out / generate.SEGMENT).read_bytes())
    plain = scene.context(tmp_path / "plain", synthesizer="warp")
    expected = (generate.run(plain).engine, (plain.out / generate.SEGMENT).read_bytes())
    assert made[face + 9] == expected
    assert made[face][1] != expected[1]
    assert "+" in str(made[face][0]).removeprefix(str(expected[0]))
