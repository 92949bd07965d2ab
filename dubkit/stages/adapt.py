"""What the film's own sound says of its faces: how far sound and picture are apart, and how each person speaks.

The offset (`lips.film_offset`) is estimated for every film that is dubbed by a net; the lips of a dub never follow it.
Adapting learns the way of speaking of the film's own people, of each by how their face moves with the film's own sound.

Publishes ``adapted.json`` and, for every person whose held-out speech improved, ``person_N.safetensors``. Who is
one person is known from the stage cast (or all faces are one, where a setting says so), and only faces whose lips move
with the sound teach anything. Where ``adapt.enabled`` is ``auto``, people with too little speech are passed over before
any of their sound is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dubkit.config.schema import AdaptSettings, Config
from dubkit.engines.registry import load_module
from dubkit.errors import InputError, UsageError
from dubkit.faces import align, selection
from dubkit.faces.people import Person, load_people
from dubkit.lips import film_offset, mouth_shape
from dubkit.lips.film_offset import STRETCH_SECONDS, FilmOffset
from dubkit.media import audio
from dubkit.parallel.workers import in_order
from dubkit.records import FaceState, FaceTrack, Floats, Phoneme, Shot, Shown, Timing
from dubkit.speech import activity, mel_levels
from dubkit.speech.timing import cut_timing
from dubkit.stages import base, probe
from dubkit.work.store import digest_file, read_record, write_record

if TYPE_CHECKING:
    from dubkit.lips.adaptation import Passage
    from dubkit.lips.articulation import Articulator

RESULT = "adapted.json"


@dataclass(frozen=True, slots=True, repr=False)
class PersonResult(Shown):
    """The result for one person."""

    name: str
    faces: tuple[str, ...]  # all that are dubbed with what was learned, each as SHOT/TRACK
    in_sync: int  # how many of them move with the film's own sound
    seconds: float  # of their usable speech
    before: float = 0.0  # correlation of the opening on held-out speech, `lips.adaptation`
    after: float = 0.0
    profile: str | None = None  # its file, if held-out speech was predicted better

    @property
    def kept(self) -> bool:
        return self.profile is not None

    def facts_shown(self) -> dict[str, object]:
        """Who, from how much speech, and what it gained."""
        gained = {"before": round(self.before, 3), "after": round(self.after, 3)}
        return {"name": self.name, "seconds": round(self.seconds, 1), **gained, "kept": self.kept}


@dataclass(frozen=True, slots=True)
class AdaptResult:
    """The result of the stage, person by person; ``enabled``: whether it was tried."""

    enabled: bool
    persons: tuple[PersonResult, ...] = ()
    offset: FilmOffset | None = None  # None: not looked for, as no net makes the mouths


def actors_of(folder: Path) -> dict[str, Path]:
    """The profiles that this stage published, by the faces (SHOT/TRACK) that they belong to."""
    result = read_record(folder / RESULT, AdaptResult)
    return {
        face: folder / person.profile
        for person in result.persons
        if person.profile is not None
        for face in person.faces
    }


def film_offset_of(folder: Path) -> FilmOffset | None:
    """The film's offset that this stage published, if any."""
    return read_record(folder / RESULT, AdaptResult).offset


def identity(config: Config) -> str:
    """The TC net, where it is used, and for what. Raises UsageError for two profiles at once."""
    if not (_adapts(config) or _measures(config)):
        return "off"
    if config.adapt.enabled is True and config.generate.actor is not None:
        raise UsageError(
            "an actor profile is given, and --adapt would make another",
            hint="use --adapt or --actor, not both",
        )
    own = config.generate.tc
    digest = digest_file(Path(own).expanduser()) if own else _shipped_digest()
    return digest if _adapts(config) else f"{digest}, offset only"


def _adapts(config: Config) -> bool:
    """Whether people are adapted to; ``auto`` means where a net makes the mouths and no profile is given."""
    if config.adapt.enabled == "auto":
        return _measures(config) and config.generate.actor is None
    return config.adapt.enabled


@cache
def _shipped_digest() -> str:
    """Of the TC net in the package; loading it would take a second."""
    with as_file(files("dubkit") / "weights" / "tc.safetensors") as path:
        return digest_file(path)


def run(context: base.StageContext) -> base.StageReport:
    """Learn of each person, judge on held-out speech, publish what improved."""
    settings = context.config.adapt
    footage = _Footage(context)
    offset = _film_offset(footage) if _measures(context.config) else None
    known = {} if offset is None else _offset_facts(offset)
    said: tuple[str, ...] = ()
    if offset is not None and offset.seconds is not None:
        said = (f"sound and picture of the film: {offset}",)
    if not _adapts(context.config):
        write_record(context.out / RESULT, AdaptResult(False, offset=offset))
        return base.StageReport(notes=said, facts=known)
    persons: list[PersonResult] = []
    late = None if offset is None else offset.seconds
    for number, (person, faces) in enumerate(_persons(context), 1):
        persons.append(_adapt(footage, number, person, faces, late))
    longest = max((person.seconds for person in persons), default=0.0)
    if settings.enabled is True and longest < settings.min_seconds:
        raise _too_little(settings, persons, longest)
    write_record(context.out / RESULT, AdaptResult(True, tuple(persons), offset))
    return base.StageReport(
        engine=f"tc {footage.articulator.digest}" if longest else None,
        notes=(*said, *_notes(persons, settings.min_seconds)),
        facts=known | _facts(persons),
    )


OFFSET_FACES = 16  # that the film's offset is estimated from
_OFFSET_SECONDS = 64.0  # of all these faces together
_OFFSET_LEAST = 1.5  # seconds of a face; shorter ones are left out
MAX_SECONDS = 90.0  # of a person's footage: more improves little
_CONTEXT_SECONDS = 1.0  # of sound around a face
_MIN_FRAMES = 25  # of a face: less shows nothing


@dataclass(frozen=True, slots=True)
class Face:
    """A dubbed face, to be learned from."""

    name: str  # SHOT/TRACK
    track: FaceTrack
    usable: np.ndarray  # (T,)


def _measures(config: Config) -> bool:
    """Whether the film's offset is looked for: it takes the net that makes the mouths."""
    return config.generate.synthesizer in ("warp", "tcsc")


class _Footage:
    """The film's faces with its own sound."""

    def __init__(self, context: base.StageContext) -> None:
        self.context = context

    @cached_property
    def articulator(self) -> Articulator:
        return _articulator(self.context.config)

    @cached_property
    def rate(self) -> float:
        """Frames a second."""
        return float(probe.load_film(self.context.folder("probe"))[0].average_rate)

    def passage(self, face: Face, *, briefly: bool = False) -> Passage | None:
        """The mouth shapes of a face with the speech of the film's sound; None where there is nothing to learn.

        ``briefly`` encodes the sound with half the work: near enough for the offset, not for learning.
        """
        return _passage(self.context, self.articulator, face, briefly=briefly)


def _film_offset(footage: _Footage) -> FilmOffset:
    """The offset of the film's picture, from some of its dubbed faces in all of its length."""
    dubbed = _faces(footage.context.inputs["faces"])
    faces = [f for f in dubbed if f.usable.sum() >= _OFFSET_LEAST * footage.rate]
    if len(faces) > OFFSET_FACES:
        chosen = np.linspace(0, len(faces) - 1, OFFSET_FACES).round().astype(int)
        faces = [faces[k] for k in chosen]
    if not faces:
        return film_offset.estimate(())
    frames = round(max(_OFFSET_SECONDS / len(faces), STRETCH_SECONDS) * footage.rate)
    lips_of, articulator = _adaptation().lips_of, footage.articulator

    def lips(face: Face) -> film_offset.Lips | None:
        passage = footage.passage(_part(face, frames), briefly=True)
        return None if passage is None else lips_of(articulator, passage)

    with load_module("dubkit.models.devices", what="adapting").threads(1):
        found = list(in_order(lips, faces, footage.context.cores))
    return film_offset.estimate([face for face in found if face is not None])


def _part(face: Face, frames: int) -> Face:
    """The ``frames`` of a face in a row of which most are usable."""
    if len(face.track) <= frames:
        return face
    count = np.convolve(face.usable & _seen(face.track), np.ones(frames, np.int64), "valid")
    first = int(count.argmax())
    end = first + frames
    return Face(face.name, face.track.part(first, end), face.usable[first:end])


def _offset_facts(offset: FilmOffset) -> dict[str, str | int | float | bool | None]:
    late = None if offset.seconds is None else round(1000 * offset.seconds)
    return {
        "offset_ms": late,
        "offset_deviation_ms": round(1000 * offset.deviation),
        "offset_agreement": offset.agreement,
    }


def _adaptation() -> Any:
    """`lips.adaptation`, which loads torch: a run without the stage does not."""
    return load_module("dubkit.lips.adaptation", what="adapting")


def _articulator(config: Config) -> Articulator:
    """The TC net that a configuration names, without any actor."""
    path = config.generate.tc
    found: Articulator = _adaptation().Articulator(
        weights=Path(path).expanduser() if path else None
    )
    return found


def _adapt(
    footage: _Footage,
    number: int,
    person: Person,
    faces: Sequence[Face],
    late: float | None,
) -> PersonResult:
    """Learn from one person's footage; the profile is written where it is an improvement.

    ``late`` is by how many seconds the film's picture is late, so that no dub inherits that.
    """
    settings, out = footage.context.config.adapt, footage.context.out
    result = PersonResult(person.name, person.faces, 0, 0.0)
    seen = sum(int((face.usable & _seen(face.track)).sum()) for face in faces)
    if settings.enabled == "auto" and seen < settings.min_seconds * footage.rate:
        return result  # there is no more speech than there are frames
    adaptation = _adaptation()
    passages = adaptation.select_in_sync(footage.articulator, list(_passages(footage, faces)), late)
    seconds = round(adaptation.speech_seconds(passages), 2)
    result = replace(result, in_sync=len(passages), seconds=seconds)
    if seconds < settings.min_seconds:
        return result
    tuned = adaptation.tune(footage.articulator, passages)
    profile = f"person_{number}.safetensors" if tuned.term is not None else None
    if profile is not None:
        adaptation.save_profile(out / profile, tuned)
    return replace(result, before=tuned.facts.before, after=tuned.facts.after, profile=profile)


def _too_little(
    settings: AdaptSettings, persons: Sequence[PersonResult], longest: float
) -> InputError:
    faces = sum(len(person.faces) for person in persons)
    in_sync = sum(person.in_sync for person in persons)
    whose = f" of one person ({len(persons)} found)" if len(persons) > 1 else ""
    return InputError(
        f"only {longest:.1f} s of usable speech{whose} to adapt to, {settings.min_seconds:g} s are needed: "
        f"{in_sync} of {faces} faces move with the film's own sound",
        hint="run without --adapt, or with --actor and a profile from other footage; "
        "where all faces are one person's, --set adapt.persons=one",
    )


def _notes(persons: Sequence[PersonResult], least: float) -> tuple[str, ...]:
    """A line for each person with enough speech, and one for all others."""
    notes = []
    for person in persons:
        if person.seconds >= least:
            details = (
                f"{person.seconds:.0f} s of speech, correlation with the lips on held-out speech "
                f"{person.before:.2f} -> {person.after:.2f}"
            )
            many = "one face" if len(person.faces) == 1 else f"{len(person.faces)} faces"
            outcome = "adapted to" if person.kept else "no sure improvement, so not adapted to"
            notes.append(f"{outcome} {person.name} ({many}): {details}")
    rest = [person for person in persons if person.seconds < least]
    if rest and notes:
        faces = sum(len(person.faces) for person in rest)
        notes.append(
            f"{faces} faces of other people are not adapted to: under {least:g} s of speech each"
        )
    return tuple(notes)


def _facts(persons: Sequence[PersonResult]) -> dict[str, str | int | float | bool | None]:
    """The figures, for the manifest."""
    facts: dict[str, str | int | float | bool | None] = {
        "persons": len(persons),
        "kept": sum(person.kept for person in persons),
    }
    for person in persons:
        facts |= {
            f"{person.name}_kept": person.kept,
            f"{person.name}_faces": len(person.faces),
            f"{person.name}_seconds": person.seconds,
            f"{person.name}_before": person.before,
            f"{person.name}_after": person.after,
        }
    return facts


def _persons(context: base.StageContext) -> list[tuple[Person, list[Face]]]:
    """The people whose speech can be learned from, each with the dubbed faces of that person, longest first.

    The person's own ``faces`` are all that are dubbed with what is learned: those of people with this double too.
    """
    faces = {face.name: face for face in _faces(context.inputs["faces"])}
    if not faces:
        return []
    if context.config.adapt.persons == "one":
        whole = Person("person_1", tuple(sorted(faces)), (), 0.0, 0.0)
        return [(whole, _longest_first(faces.values()))]
    cast = load_people(context.folder("cast")).people
    found = []
    for person in cast:
        own = _longest_first(faces[name] for name in person.faces if name in faces)
        users = [p for p in cast if (p.double or p.name) == person.name and p.dub]
        names = tuple(sorted(name for user in users for name in user.faces if name in faces))
        if own and names:
            found.append((replace(person, faces=names), own))
    return found


def _longest_first(faces: Iterable[Face]) -> list[Face]:
    return sorted(faces, key=lambda face: (-int(face.usable.sum()), face.name))


def _seen(track: FaceTrack) -> np.ndarray:
    return np.asarray(track.state == FaceState.SEEN)


def _faces(folders: Sequence[Path]) -> Iterator[Face]:
    """The dubbed faces of a film, in its order."""
    for folder in folders:
        choices = {choice.track: choice for choice in selection.load_choice(folder)}
        for track in selection.load_tracks(folder):
            choice = choices[track.track]
            if choice.dubbed and (choice.usable & _seen(track)).any():
                yield Face(f"{folder.name}/{track.track}", track, choice.usable)


def _passages(footage: _Footage, faces: Sequence[Face]) -> Iterator[Passage]:
    """A person's footage, `MAX_SECONDS` of speech at most."""
    seconds = 0.0
    for face in faces:
        left = MAX_SECONDS - seconds
        if left < STRETCH_SECONDS:
            return
        found = footage.passage(_part(face, round(left * footage.rate)))
        if found is not None:
            seconds += _adaptation().speech_seconds([found])
            yield found


def _passage(
    context: base.StageContext, articulator: Articulator, face: Face, *, briefly: bool
) -> Passage | None:
    """The mouth shapes of one face with the speech of the film's own sound; None where there is nothing to learn."""
    track = face.track
    usable = face.usable & _seen(track)
    if usable.sum() < _MIN_FRAMES:
        return None
    info, pts = probe.load_film(context.folder("probe"))
    span = pts[track.start : track.start + len(track)]
    clock = (span * float(info.time_base)).astype(np.float64)
    begin = float(clock[0]) - _CONTEXT_SECONDS
    samples = audio.load_span(context.job.video, begin, float(clock[-1]) + _CONTEXT_SECONDS)
    if samples is None:
        return None
    shot = Shot(track.start, track.start + len(track))
    encoder = load_module("dubkit.speech.encoder_rows", what="adapting")
    rows = (encoder.encode_briefly if briefly else encoder.encode)(samples)
    sound, noise = mel_levels.mel_levels_of(samples), activity.spans_of(activity.unspoken(samples))

    def timing(phonemes: Sequence[Phoneme]) -> Timing:
        times = clock - begin
        return cut_timing(
            phonemes, shot, times, _CONTEXT_SECONDS, sound, rows, scripted=False, noise=noise
        )

    spoken = articulator.predict(timing(())).phonemes
    passage: Passage = _adaptation().Passage(
        timing([Phoneme(*span) for span in spoken]), _shapes(track, usable), usable
    )
    return passage


def _shapes(track: FaceTrack, usable: np.ndarray) -> Floats:
    """(T, K) mouth shapes of a track as offset from its resting mouth."""
    present = track.state != FaceState.ABSENT
    landmarks = mouth_shape.fill_absent(track.landmarks, present)
    pose = mouth_shape.fill_absent(track.pose, present)
    canonical = np.stack([align.apply(align.canonical_from_face(f), f) for f in landmarks])
    frontal = mouth_shape.frontal(canonical, pose)
    return mouth_shape.encode(frontal - mouth_shape.resting_mouth(frontal[usable]))


STAGE = base.Stage(
    name="adapt",
    per=base.Per.JOB,
    source=base.Source.VIDEO,
    after=("probe", "faces", "cast"),
    run=run,
    version=12,
    sections=("adapt",),
    files=("video",),
    identity=identity,
)
