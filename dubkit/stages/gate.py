"""Judge what was made of one shot, and keep its original picture where that is better.

What is judged was measured by the stage ``generate`` while it made the pictures (`dubkit.stages.generate`). Publishes
``gate.json`` (`dubkit.metrics.gate_limits.GateResult`) and, where the shot keeps its picture, files of its own in place
of those of the stage ``generate``.
"""

from __future__ import annotations

from collections.abc import Iterator

from dubkit.errors import WorkError
from dubkit.faces.selection import load_tracks
from dubkit.metrics.gate_limits import GATE, FaceChecks, check, judge
from dubkit.metrics.lip_sync import speech_of
from dubkit.metrics.shot_meter import load_seen
from dubkit.speech.timing import load_timing
from dubkit.stages import generate
from dubkit.stages.base import Per, Source, Stage, StageContext, StageReport
from dubkit.work.store import write_record


def run(context: StageContext) -> StageReport:
    """Judge one shot."""
    if context.shot is None:
        raise WorkError("the gate works on shots, but was given none")
    settings = context.config.gate
    faces = () if settings.action == "off" else tuple(_faces(context))
    result = judge(context.shot.name, faces, settings, context.decision)
    if result.kept:
        generate.keep_original(context)
    write_record(context.out / GATE, result)
    why = "; ".join(result.reasons)
    warned = not result.passed and not result.kept and result.verdict is None
    return StageReport(
        kept=why if result.kept else None,
        warnings=(f"fails the gate: {why}",) if warned else (),
        facts={
            "measured": int(bool(faces)),
            "failed": int(not result.passed),
            "kept": int(result.kept),
            "approved": int(result.verdict == "approve"),
        },
    )


def _faces(context: StageContext) -> Iterator[FaceChecks]:
    """The checks of each face that was dubbed."""
    faces = load_seen(context.folder("generate"))
    if not faces or context.shot is None:
        return
    timing = load_timing(context.folder("timing"))
    tracks = {track.track: track for track in load_tracks(context.folder("faces"))}
    voices = generate.Cast(context)
    still = context.config.generate.silence != "original"
    for seen in faces:
        track = tracks[seen.track]
        row = track.start - context.shot.start
        speech = speech_of(timing, row, len(track), voices.config(track).generate)
        found = seen.values(speech, still=still)
        yield FaceChecks(seen.track, seen.frames, check(found, context.config.gate))


STAGE = Stage(
    name="gate",
    per=Per.SHOT,
    source=Source.DUB,
    after=("probe", "faces", "adapt", "timing", "generate"),
    run=run,
    version=4,
    sections=("gate", "generate"),
    files=("video",),
    # what looks, and what says which mouth was wanted
    identity=generate.identity,
    heeds_decision=True,
)
