"""What a work folder knows of a job and its shots, as the page is told it."""

# ruff: noqa: RUF001 - IPA letters are meant

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dubkit.errors import DubkitError, WorkError
from dubkit.faces.track_store import load_choice, load_tracks
from dubkit.metrics.gate_limits import GateResult
from dubkit.metrics.lips import LABIALS, MARKS, opening
from dubkit.opened import OpenedJob
from dubkit.planning.risk import Seen, main_face
from dubkit.records import FaceState, FaceTrack, Shot, Speech, StageResult
from dubkit.report.measures import gate_rows
from dubkit.speech.timing import SILENCE, Timing, load_timing
from dubkit.stages.gate import load_gate
from dubkit.stages.generate import RESULT, GenerateResult
from dubkit.stages.speech import load_speech
from dubkit.work.store import read_record

THOUSAND = 1000  # openings are told in thousandths of the face's width
PER_SHOT = ("faces", "timing", "generate", "gate")
STATES = ("failed", "kept", "warned", "dubbed", "untouched", "waiting")


@dataclass(slots=True)
class ShotFacts:
    """One shot of the page; ``table`` is what the page's script reads."""

    shot: Shot
    state: str  # one of STATES
    why: str = ""  # it failed, or keeps its original picture
    painted: bool = False  # whether there is a picture with a new mouth, used or not
    track: FaceTrack | None = None  # the dubbed face
    table: dict[str, Any] = field(default_factory=dict)

    @property
    def rendered(self) -> bool:
        """Whether there is a dubbed picture to show beside the original one."""
        return self.painted and self.track is not None


def shot_facts(opened: OpenedJob, shot: Shot, speech: Speech | None) -> ShotFacts:
    """All that is known of a shot, however far the job is."""
    receipts = {name: receipt for name in PER_SHOT if (receipt := opened.receipt(name, shot))}
    state, why, painted = _state(opened, shot, receipts)
    facts = ShotFacts(shot, state, why, painted)
    table = facts.table
    table |= {"name": shot.name, "state": state, "why": why, "measures": []}
    gate = _gate(opened, shot, receipts)
    if gate is not None:
        table["measures"] = gate_rows(gate)
        table["excess"] = round(_excess(gate), 3)
        table["judged"] = " ".join(filter(None, (gate.verdict, gate.note)))
    table["seconds"] = {name: receipt.seconds for name, receipt in receipts.items()}
    table["notes"] = [w for receipt in receipts.values() for w in receipt.warnings]
    timing = _read(load_timing, opened, "timing", shot, receipts)
    if timing is not None:
        table["phones"] = _phones(timing, shot)
        table["words"] = _words(speech, timing)
    if "faces" in receipts:
        _faces(facts, opened, shot)
    return facts


def _excess(gate: GateResult) -> float:
    """How far the worst check is beyond its limit, in limits."""
    beyond = [
        abs(check.value - check.limit) / max(abs(check.limit), 1e-6)
        for face in gate.faces
        for check in face.failed
        if check.value is not None
    ]
    return max(beyond, default=0.0)


def load_words(opened: OpenedJob) -> Speech | None:
    """What is said, where that was found out."""
    if opened.receipt("speech", None) is None:
        return None
    try:
        return load_speech(opened.folder("speech", None))
    except WorkError:
        return None


def _read(
    load: Any, opened: OpenedJob, name: str, shot: Shot, receipts: Mapping[str, StageResult]
) -> Timing | None:
    """What a unit published; a damaged one counts as not done."""
    if name not in receipts:
        return None
    try:
        found: Timing = load(opened.folder(name, shot))
        return found
    except DubkitError:
        return None


def _state(
    opened: OpenedJob, shot: Shot, receipts: Mapping[str, StageResult]
) -> tuple[str, str, bool]:
    for name in PER_SHOT:
        line = opened.manifest.results.get(f"{name}/{shot.name}")
        if line and line.error and not line.fingerprint:
            return "failed", f"{name}: {line.error}", False
    made = receipts.get("generate")
    if made is None:
        return "waiting", "", False
    if made.error:
        return "kept", made.error, False
    try:
        result = read_record(opened.folder("generate", shot) / RESULT, GenerateResult)
    except WorkError:
        return "waiting", "its files are damaged", False
    gate = _gate(opened, shot, receipts)
    if gate is not None and (gate.kept or not gate.passed):
        state = "kept" if gate.kept else "failed" if gate.refused else "warned"
        if gate.verdict != "approve":
            return state, "; ".join(gate.reasons), result.touched
    return ("dubbed" if result.touched else "untouched"), "", result.touched


def _gate(opened: OpenedJob, shot: Shot, receipts: Mapping[str, StageResult]) -> GateResult | None:
    """What the gate said of a shot; None where it has not seen it."""
    if "gate" not in receipts:
        return None
    try:
        return load_gate(opened.folder("gate", shot))
    except WorkError:
        return None


def _faces(facts: ShotFacts, opened: OpenedJob, shot: Shot) -> None:
    try:
        tracks = load_tracks(opened.folder("faces", shot))
        choices = load_choice(opened.folder("faces", shot))
    except WorkError:
        return
    main = main_face(Seen(tracks, choices, 1.0, True, None))
    if main is None:
        return
    track, choice = main
    facts.table["original"] = openings(track, shot)
    if choice.dubbed:
        facts.track = track
        facts.table["untouched"] = [
            [span.start - shot.start, span.end - shot.start, span.reason]
            for span in choice.untouched
        ]


def openings(track: FaceTrack, shot: Shot) -> list[int | None]:
    """Opening of the mouth in every frame of the shot, thousandths of the face's width; None: no face."""
    series: list[int | None] = [None] * shot.frames
    seen = track.state != FaceState.ABSENT
    for row, value in enumerate(opening(track.landmarks)):
        if seen[row] and np.isfinite(value):
            series[track.start - shot.start + row] = round(float(value) * THOUSAND)
    return series


def _phones(timing: Timing, shot: Shot) -> list[list[Any]]:
    """Runs of phonemes: symbol, first frame and end in the shot, kind."""
    return [
        [run.symbol, run.start - shot.start, run.end - shot.start, _kind(run.symbol)]
        for run in timing.runs
    ]


def _kind(symbol: str) -> str:
    bare = symbol.rstrip(MARKS)
    if symbol == SILENCE:
        return "silence"
    if bare in LABIALS:
        return "closure"
    if bare in ("f", "v"):
        return "teeth"
    return "vowel" if bare[:1] in _VOWELS else "other"


_VOWELS = frozenset("aeiouyæɑɒɐəɚɛɜɝɪɨʉɯʊʌɔøœɤɵ")


def _words(speech: Speech | None, timing: Timing) -> str:
    if speech is None:
        return ""
    start, end = float(timing.times[0]), float(timing.times[-1])
    return " ".join(word.text for word in speech.words if word.end > start and word.start < end)


def stage_rows(opened: OpenedJob, names: Sequence[str]) -> list[dict[str, Any]]:
    """Of each stage: units done, time, engines."""
    rows = []
    for name in names:
        own = [r for r in opened.manifest.results.values() if r.stage == name and r.fingerprint]
        engines = Counter(result.engine for result in own if result.engine)
        rows.append(
            {
                "name": name,
                "done": len(own),
                "seconds": round(sum(result.seconds for result in own), 2),
                "engines": [engine for engine, _ in engines.most_common()],
            }
        )
    return rows
