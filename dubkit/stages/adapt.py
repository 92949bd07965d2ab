"""Tune the generator to the film's own speakers, each by what their face does with the film's own sound.

Publishes ``verdict.json`` and, for every person whose held-out speech got better, ``person_N.safetensors``. Nobody
is recognized: dubbed faces that look alike in one set-up are taken for one person (or all of them, where a
setting says so), and only where their lips go with the sound. Does nothing unless it is asked to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dubkit.config.schema import AdaptSettings, Config
from dubkit.engines.base import Aligner
from dubkit.engines.registry import load_module, released
from dubkit.errors import InputError, UsageError
from dubkit.faces import align
from dubkit.faces.appearance import looks, persons
from dubkit.faces.track_store import load_choice, load_tracks
from dubkit.lips import mouth_shape
from dubkit.media.audio import load_span
from dubkit.media.frames import FrameReader
from dubkit.records import FaceState, FaceTrack, Floats, Shot
from dubkit.speech import auto
from dubkit.speech.mel_levels import listen
from dubkit.speech.timing import cut_timing
from dubkit.stages.base import Per, Source, Stage, StageContext, StageReport
from dubkit.stages.probe import load_film
from dubkit.work.store import read_record, write_record

if TYPE_CHECKING:
    from dubkit.lips.adaptation import Passage
    from dubkit.lips.articulation import Articulator

VERDICT = "verdict.json"


@dataclass(frozen=True, slots=True)
class PersonVerdict:
    """What came of one person."""

    name: str
    faces: tuple[str, ...]  # all that look like this person, each as SHOT/TRACK
    heard: int  # of them, those that move with the film's own sound
    seconds: float  # of their usable speech
    before: float = 0.0  # error on held-out speech, `lips.adaptation`
    after: float = 0.0
    profile: str | None = None  # file, where it was kept

    @property
    def kept(self) -> bool:
        return self.profile is not None


@dataclass(frozen=True, slots=True)
class AdaptVerdict:
    """What came of it, person by person."""

    asked: bool
    persons: tuple[PersonVerdict, ...] = ()


def actors_of(folder: Path) -> dict[str, Path]:
    """The profiles that this stage kept, by the faces (SHOT/TRACK) that they are for."""
    verdict = read_record(folder / VERDICT, AdaptVerdict)
    return {
        face: folder / person.profile
        for person in verdict.persons
        if person.profile is not None
        for face in person.faces
    }


def identity(config: Config) -> str:
    """Aligner and net, where they are used. Raises UsageError for two profiles at once."""
    if not config.adapt.enabled:
        return "off"
    if config.generate.actor is not None:
        raise UsageError(
            "an actor profile is given, and another is to be made",
            hint="give --adapt or --actor, not both",
        )
    heard_by = auto.identity_of(config.speech)
    return f"{heard_by}, {articulator(config).digest}"


def run(context: StageContext) -> StageReport:
    """Tune, judge on held-out speech, publish what is better."""
    if context.config.adapt.enabled:
        return adapt(context)
    write_record(context.out / VERDICT, AdaptVerdict(False))
    return StageReport()


def _adaptation() -> Any:
    """`lips.adaptation`, which loads torch: a run that adapts nothing needs neither."""
    return load_module("dubkit.lips.adaptation", what="adapting")


STAGE = Stage(
    name="adapt",
    per=Per.JOB,
    source=Source.VIDEO,
    after=("probe", "faces"),
    run=run,
    version=3,
    sections=("adapt",),
    files=("video",),
    identity=identity,
)


MAX_SECONDS = 180.0  # of a person's footage: more brings little
_CONTEXT = 1.0  # seconds of sound around a face
_PLACES = (0.05, 0.2, 0.4, 0.6, 0.8, 0.95)  # where in a track its look is taken
_FEWEST = 25  # frames: shorter glimpses say nothing


@dataclass(frozen=True, slots=True)
class Face:
    """A face that may be learned from."""

    name: str  # SHOT/TRACK
    track: FaceTrack
    usable: np.ndarray  # (T,)


def articulator(config: Config) -> Articulator:
    """The TC net that a configuration names, without any actor."""
    chosen = config.generate.tc
    net: Articulator = _adaptation().Articulator(
        weights=Path(chosen).expanduser() if chosen else None
    )
    return net


def adapt(context: StageContext) -> StageReport:
    """Tune to each person, judge on held-out speech, publish what is better."""
    settings = context.config.adapt
    net = articulator(context.config)
    found: list[PersonVerdict] = []
    with released(auto.aligner_of(context.config.speech, context.device)) as engine:
        for number, faces in enumerate(_persons(context), 1):
            found.append(_person(context, engine, net, f"person_{number}", faces))
    longest = max((person.seconds for person in found), default=0.0)
    if longest < settings.min_seconds:
        raise _too_little(settings, found, longest)
    write_record(context.out / VERDICT, AdaptVerdict(True, tuple(found)))
    return StageReport(
        engine=f"tc {net.digest}",
        notes=_notes(found, settings.min_seconds),
        facts=_facts(found),
    )


def _person(
    context: StageContext, engine: Aligner, net: Articulator, name: str, faces: Sequence[Face]
) -> PersonVerdict:
    """What one person's footage brings; the profile is written where it is kept."""
    names = tuple(sorted(face.name for face in faces))
    adaptation = _adaptation()
    passages = adaptation.convincing(net, list(_passages(context, engine, faces)))
    told = PersonVerdict(name, names, len(passages), round(adaptation.seconds_of(passages), 2))
    if told.seconds < context.config.adapt.min_seconds:
        return told
    verdict = adaptation.tune(net, passages)
    profile = f"{name}.safetensors"
    if verdict.net is not None:
        verdict.save(context.out / profile)
    return replace(
        told,
        before=verdict.facts.before,
        after=verdict.facts.after,
        profile=profile if verdict.kept else None,
    )


def _too_little(
    settings: AdaptSettings, found: Sequence[PersonVerdict], longest: float
) -> InputError:
    faces = sum(len(person.faces) for person in found)
    heard = sum(person.heard for person in found)
    whose = f" of one person ({len(found)} told apart)" if len(found) > 1 else ""
    return InputError(
        f"only {longest:.1f} s of usable speech{whose} was found to adapt to, {settings.min_seconds:g} s are needed: "
        f"{heard} of {faces} faces move with the film's own sound",
        hint="run without --adapt, or with --actor and a profile from other footage; "
        "where all faces are one person's, --set adapt.persons=one",
    )


def _notes(found: Sequence[PersonVerdict], least: float) -> tuple[str, ...]:
    """A line for each person with enough speech, and one for all others."""
    notes = []
    for person in found:
        if person.seconds >= least:
            what = (
                f"{person.seconds:.0f} s of speech, error on held-out speech "
                f"{person.before:.2f} -> {person.after:.2f}"
            )
            many = "one face" if len(person.faces) == 1 else f"{len(person.faces)} faces"
            told = "adapted to" if person.kept else "not adapted, nothing got better, to"
            notes.append(f"{told} {person.name} ({many}): {what}")
    rest = [person for person in found if person.seconds < least]
    if rest:
        faces = sum(len(person.faces) for person in rest)
        notes.append(
            f"{faces} faces of others are not adapted to: under {least:g} s of speech each"
        )
    return tuple(notes)


def _facts(found: Sequence[PersonVerdict]) -> dict[str, str | int | float | bool | None]:
    """The figures, for the manifest."""
    facts: dict[str, str | int | float | bool | None] = {
        "persons": len(found),
        "kept": sum(person.kept for person in found),
    }
    for person in found:
        facts |= {
            f"{person.name}_kept": person.kept,
            f"{person.name}_faces": len(person.faces),
            f"{person.name}_seconds": person.seconds,
            f"{person.name}_before": person.before,
            f"{person.name}_after": person.after,
        }
    return facts


def _persons(context: StageContext) -> list[list[Face]]:
    """The dubbed faces of the film by person, each person's longest first."""
    settings = context.config.adapt
    faces = list(_faces(context.inputs["faces"]))
    if not faces:
        return []
    groups = [list(range(len(faces)))]
    if settings.persons == "apart":
        info, pts = load_film(context.folder("probe"))
        reader = FrameReader(context.job.video, info, pts, threads=context.cores)
        seen = [
            looks(reader, face.track, np.flatnonzero(face.usable & _seen(face.track)), _PLACES)
            for face in faces
        ]
        groups = persons(seen, settings.likeness)
    sorted_groups = [[faces[k] for k in group] for group in groups]
    return [sorted(g, key=lambda f: (-int(f.usable.sum()), f.name)) for g in sorted_groups]


def _seen(track: FaceTrack) -> np.ndarray:
    return np.asarray(track.state == FaceState.SEEN)


def _faces(folders: Sequence[Path]) -> Iterator[Face]:
    """The dubbed faces of a film, in its order."""
    for folder in folders:
        choices = {choice.track: choice for choice in load_choice(folder)}
        for track in load_tracks(folder):
            choice = choices[track.track]
            if choice.dubbed and (choice.usable & _seen(track)).any():
                yield Face(f"{folder.name}/{track.track}", track, choice.usable)


def _passages(context: StageContext, engine: Aligner, faces: Sequence[Face]) -> Iterator[Passage]:
    """A person's footage, `MAX_SECONDS` of it at most."""
    seconds = 0.0
    for face in faces:
        found = _passage(context, engine, face) if seconds < MAX_SECONDS else None
        if found is not None:
            seconds += _adaptation().seconds_of([found])
            yield found


def _passage(context: StageContext, engine: Aligner, face: Face) -> Passage | None:
    """What one face did and what the film said meanwhile; None where there is nothing to learn."""
    track = face.track
    usable = face.usable & _seen(track)
    if usable.sum() < _FEWEST:
        return None
    info, pts = load_film(context.folder("probe"))
    span = pts[track.start : track.start + len(track)]
    clock = (span * float(info.time_base)).astype(np.float64)
    begin = float(clock[0]) - _CONTEXT
    samples = load_span(context.job.video, begin, float(clock[-1]) + _CONTEXT)
    if samples is None:
        return None
    speech = engine.align(samples, None, context.config.adapt.language)
    shot = Shot(track.start, track.start + len(track))
    timing = cut_timing(speech.phonemes, shot, clock - begin, _CONTEXT, listen(samples))
    passage: Passage = _adaptation().Passage(timing, _shapes(track, usable), usable)
    return passage


def _shapes(track: FaceTrack, usable: np.ndarray) -> Floats:
    """(T, K) mouth shapes of a track as offset from its resting mouth."""
    present = track.state != FaceState.ABSENT
    landmarks = mouth_shape.fill_absent(track.landmarks, present)
    pose = mouth_shape.fill_absent(track.pose, present)
    canonical = np.stack([align.apply(align.canonical_from_face(f), f) for f in landmarks])
    frontal = mouth_shape.frontal(canonical, pose)
    return mouth_shape.encode(frontal - mouth_shape.resting_mouth(frontal[usable]))
