"""Judge what was made of one shot, and keep its original picture where that is better.

What is judged was measured by the stage ``generate`` while it made the pictures (`dubkit.stages.generate`). Publishes
``gate.json`` (`dubkit.metrics.gate_limits.GateResult`) and, where the shot keeps its picture, files of its own in place
of those of the stage ``generate``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from dubkit.errors import WorkError
from dubkit.faces.selection import load_choice, load_tracks
from dubkit.metrics import gate_limits, lip_sync, shot_meter
from dubkit.stages import base, generate
from dubkit.work.store import read_record, write_record


def run(context: base.StageContext) -> base.StageReport:
    """Judge one shot."""
    if context.shot is None:
        raise WorkError("the gate works on shots, but was given none")
    settings = context.config.gate
    faces = () if settings.action == "off" else tuple(_faces(context))
    result = gate_limits.judge(context.shot.name, faces, settings, context.decision)
    if result.kept:
        generate.keep_original(context)
    write_record(context.out / gate_limits.GATE, result)
    why = "; ".join(result.reasons)
    warned = not result.passed and not result.kept and result.verdict is None
    return base.StageReport(
        kept=why if result.kept else None,
        warnings=(f"fails the gate: {why}",) if warned else (),
        facts={
            "measured": int(bool(faces)),
            "failed": int(not result.passed),
            "kept": int(result.kept),
            "approved": int(result.verdict == "approve"),
        },
    )


def _faces(context: base.StageContext) -> Iterator[gate_limits.FaceChecks]:
    """The checks of each face that was dubbed."""
    earlier = context.folder("generate") / generate.EARLIER
    if earlier.is_file():
        for face in read_record(earlier, list[gate_limits.FaceChecks]):
            known = {one.measure: one.value for one in face.checks if one.value is not None}
            yield replace(face, checks=gate_limits.check(known, context.config.gate))
        return
    faces = shot_meter.load_seen(context.folder("generate"))
    if not faces or context.shot is None:
        return
    tracks = {track.track: track for track in load_tracks(context.folder("faces"))}
    choices = {choice.track: choice for choice in load_choice(context.folder("generate"))}
    voices = generate.Cast(context)
    still = context.config.generate.silence != "original"
    for seen in faces:
        track = tracks[seen.track]
        row = track.start - context.shot.start
        name = voices.people.get(seen.track)
        own = generate.own_timing(context.folder("timing"), choices[seen.track], name)
        speech = lip_sync.speech_of(own, row, len(track), voices.config(track).generate)
        found = seen.values(speech, still=still)
        yield gate_limits.FaceChecks(
            seen.track, seen.frames, gate_limits.check(found, context.config.gate)
        )


STAGE = base.Stage(
    name="gate",
    per=base.Per.SHOT,
    source=base.Source.DUB,
    after=("probe", "faces", "references", "timing", "generate"),
    run=run,
    shown=lambda config: config.gate.action != "off",
    version=7,
    sections=("gate", "generate"),
    files=("video",),
    # what looks, and what says which mouth was wanted
    identity=generate.identity,
    heeds_decision=True,
)
