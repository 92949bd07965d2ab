"""The work of stage ``adapt``, apart from it because it loads nets: gather speech, tune, judge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dubkit.config import Config
from dubkit.engines.base import Aligner
from dubkit.engines.registry import released
from dubkit.errors import InputError
from dubkit.faces import align, shape, wanted
from dubkit.faces.store import load_choice, load_tracks
from dubkit.media.span import load_span
from dubkit.models.actor import save_actor
from dubkit.records import FaceState, FaceTrack, Floats, Shot
from dubkit.stages.adapt import ACTOR, VERDICT, AdaptVerdict
from dubkit.stages.base import StageContext, StageReport
from dubkit.stages.probe import load_film
from dubkit.stages.speech import aligner
from dubkit.synthesis import tune
from dubkit.synthesis.articulation import Articulator
from dubkit.synthesis.sound import listen
from dubkit.synthesis.timing import cut_timing
from dubkit.work.store import write_record

MAX_SECONDS = 180.0  # of footage: more brings little
_CONTEXT = 1.0  # seconds of sound around a face
_FEWEST = 25  # frames: shorter glimpses say nothing


@dataclass(frozen=True, slots=True)
class Face:
    """A face that may be learnt from."""

    track: FaceTrack
    usable: np.ndarray  # (T,)


def articulator(config: Config) -> Articulator:
    """The TC net that a configuration names, without any actor."""
    chosen = config.generate.tc
    return Articulator(weights=Path(chosen).expanduser() if chosen else None)


def adapt(context: StageContext) -> StageReport:
    """Tune, judge on held-out speech, publish what is better."""
    settings = context.config.adapt
    net = articulator(context.config)
    faces = _faces(context.inputs["faces"])
    passages = tune.convincing(net, list(_passages(context, faces)))
    seconds = tune.seconds_of(passages)
    if seconds < settings.min_seconds:
        raise InputError(
            f"only {seconds:.1f} s of usable speech was found to adapt to, {settings.min_seconds:g} s are needed: "
            f"{len(faces)} faces seen, {len(passages)} of them move with the film's own sound",
            hint="run without --adapt, or with --actor and a profile from other footage",
        )
    verdict = tune.tune(net, passages)
    if verdict.layer is not None:
        save_actor(context.out / ACTOR, verdict.layer, verdict.facts)
    told = AdaptVerdict(
        True, verdict.kept, len(passages), seconds, verdict.facts.before, verdict.facts.after
    )
    write_record(context.out / VERDICT, told)
    return StageReport(
        engine=f"tc {net.digest}",
        notes=(_note(told),),
        facts={
            "kept": told.kept,
            "faces": told.faces,
            "speech_seconds": round(seconds, 2),
            "held_out_before": told.before,
            "held_out_after": told.after,
        },
    )


def _note(told: AdaptVerdict) -> str:
    whom = "one face" if told.faces == 1 else f"{told.faces} faces, taken for one person,"
    measured = (
        f"correlation of the opening on held-out speech {told.before:.2f} -> {told.after:.2f}"
    )
    if told.kept:
        return f"adapted to {told.seconds:.0f} s of speech of {whom} ({measured})"
    return f"not adapted: {told.seconds:.0f} s of speech of {whom} made nothing better ({measured})"


def _faces(folders: Sequence[Path]) -> list[Face]:
    """The dubbed face of each shot, longest first."""
    found: list[Face] = []
    for folder in folders:
        choices = {choice.track: choice for choice in load_choice(folder)}
        dubbed = [t for t in load_tracks(folder) if choices[t.track].dubbed]
        if dubbed:
            largest = max(dubbed, key=lambda t: choices[t.track].width)
            found.append(Face(largest, choices[largest.track].usable))
    return sorted(found, key=lambda face: (-int(face.usable.sum()), face.track.start))


def _passages(context: StageContext, faces: Sequence[Face]) -> Iterator[tune.Passage]:
    """The footage, `MAX_SECONDS` of it at most."""
    seconds = 0.0
    with released(aligner(context.config, context.device)) as engine:
        for face in faces:
            found = _passage(context, engine, face) if seconds < MAX_SECONDS else None
            if found is not None:
                seconds += tune.seconds_of([found])
                yield found


def _passage(context: StageContext, engine: Aligner, face: Face) -> tune.Passage | None:
    """What one face did and what the film said meanwhile; None where there is nothing to learn."""
    track = face.track
    usable = face.usable & (track.state == FaceState.SEEN)
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
    return tune.Passage(timing, _shapes(track, usable), usable)


def _shapes(track: FaceTrack, usable: np.ndarray) -> Floats:
    """(T, K) mouth shapes of a track as offset from its resting mouth."""
    present = track.state != FaceState.ABSENT
    landmarks = wanted.fill_absent(track.landmarks, present)
    pose = wanted.fill_absent(track.pose, present)
    canonical = np.stack([align.apply(align.canonical_from_face(f), f) for f in landmarks])
    frontal = shape.frontal(canonical, pose)
    return shape.encode(frontal - shape.resting_mouth(frontal[usable]))
