"""The gate's decision on a shot: each measure (`dubkit.metrics.definitions`) with its limit, and what follows.

`GateResult` is ``gate.json`` in the folder of the stage ``gate``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dubkit.config.schema import GateSettings
from dubkit.records import Decision
from dubkit.work.store import read_record

GATE = "gate.json"


@dataclass(frozen=True, slots=True)
class Check:
    """One measure of one face held to its limit."""

    measure: str  # a name in `LIMITS`
    value: float | None  # None: there was nothing to measure
    limit: float
    better: str  # "lower": ``value`` may be at most ``limit``; "higher": at least; "near 0": that far from 0
    passed: bool  # what could not be measured passes
    reason: str  # a clause: why it failed; why there was nothing to measure; else empty

    @property
    def excess(self) -> float:
        """How far the value is beyond the limit, as a share of the limit; 0 where it passed."""
        if self.passed or self.value is None:
            return 0.0
        return abs(size(self.value, self.better) - self.limit) / max(abs(self.limit), 1e-6)


def size(value: float, better: str) -> float:
    """What of a value is held to its limit: of one that is best near 0, how far it is from there."""
    return abs(value) if better == "near 0" else value


@dataclass(frozen=True, slots=True)
class FaceChecks:
    """One dubbed face of a shot."""

    track: int
    frames: int  # frames looked at
    checks: tuple[Check, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if not check.passed)


@dataclass(frozen=True, slots=True)
class GateResult:
    """What was measured of a shot and what was done with it."""

    shot: str
    action: str  # off | warn | keep-original | stop
    verdict: str | None  # approve | reject, where a person has spoken
    note: str  # the person's remark
    faces: tuple[FaceChecks, ...]  # none where nothing was painted, or nothing is measured
    passed: bool  # whether the measures are within their limits
    kept: bool  # whether the shot keeps its original picture
    reasons: tuple[str, ...]  # why the measures failed, or the person's rejection

    @property
    def refused(self) -> bool:
        """Whether there may be no film with this shot in it."""
        return self.action == "stop" and not self.passed and self.verdict is None


@dataclass(frozen=True, slots=True)
class Limit:
    """A measure's setting and the sentence of its failure."""

    setting: str  # in `GateSettings`
    better: str  # lower | higher | near 0
    failure: str  # format of value, or of late: the value in words
    absent: str  # why it may be missing


LIMITS: Mapping[str, Limit] = {
    "found": Limit(
        "min_found", "higher", "the face is found in only {value:.0%} of its frames", "no frame"
    ),
    "silence": Limit(
        "max_silence",
        "lower",
        "the lips move in silence ({value:.3f})",
        "there is too little silence",
    ),
    "closures": Limit(
        "min_closures",
        "higher",
        "the lips meet in only {value:.0%} of P, B and M",
        "too few P, B, M",
    ),
    "offset_ms": Limit(
        "max_offset_ms", "near 0", "the lips are {late} the sound", "too little speech"
    ),
    "movement": Limit(
        "min_movement",
        "higher",
        "the mouth hardly moves in speech ({value:.2f})",
        "too little speech",
    ),
    "seam": Limit("max_seam", "lower", "a seam is visible ({value:.3f})", "no frame"),
    "flicker": Limit(
        "max_flicker", "lower", "the picture flickers ({value:.3f})", "too few frames"
    ),
    "outside": Limit(
        "max_outside", "lower", "the picture outside the mouth changed ({value:.3f})", "no frame"
    ),
    "likeness": Limit(
        "min_likeness", "higher", "the face does not look like itself ({value:.2f})", "no frame"
    ),
    "sharpness": Limit(
        "min_sharpness", "higher", "the mouth is blurred ({value:.2f})", "the face is too small"
    ),
    "frame_sharpness": Limit(
        "min_frame_sharpness",
        "higher",
        "single frames of the mouth are blurred ({value:.2f})",
        "the face is too small",
    ),
    "stain": Limit("max_stain", "lower", "the skin is stained ({value:.1f} of 255)", "no frame"),
    "chin_edge": Limit(
        "max_chin_edge",
        "lower",
        "a second chin is visible ({value:.2f})",
        "the chin is not in the picture",
    ),
    "switching": Limit(
        "max_switching",
        "lower",
        "the teeth switch from frame to frame ({value:.3f})",
        "the mouth is hardly open",
    ),
    "pieces": Limit("max_pieces", "lower", "pieces lie beside the face ({value:.3f})", "no frame"),
}


def check(values: Mapping[str, float], settings: GateSettings) -> tuple[Check, ...]:
    """Hold measures, by their name in `LIMITS`, to the settings; a missing one passes and says why."""
    return tuple(_check(name, values.get(name), settings) for name in LIMITS)


def _check(name: str, value: float | None, settings: GateSettings) -> Check:
    rule = LIMITS[name]
    limit = float(getattr(settings, rule.setting))
    if value is None:
        return Check(name, None, limit, rule.better, True, rule.absent)
    passed = value >= limit if rule.better == "higher" else size(value, rule.better) <= limit
    late = f"{abs(value):.0f} ms {'behind' if value > 0 else 'ahead of'}"
    reason = "" if passed else rule.failure.format(value=value, late=late)
    return Check(name, round(value, 5), limit, rule.better, passed, reason)


def judge(
    shot: str,
    faces: tuple[FaceChecks, ...],
    settings: GateSettings,
    decision: Decision | None = None,
) -> GateResult:
    """What follows from the checks, the setting ``action`` and a person's decision, which overrides both."""
    many = len(faces) > 1
    reasons = [
        f"face {face.track}: {one.reason}" if many else one.reason
        for face in faces
        for one in face.failed
    ]
    passed = not reasons
    kept = not passed and settings.action == "keep-original"
    verdict, note = (decision.verdict, decision.note) if decision else (None, "")
    if verdict == "approve":
        kept = False
    elif verdict == "reject":
        kept = True
        reasons.insert(0, f"rejected{': ' if note else ''}{note}")
    return GateResult(shot, settings.action, verdict, note, faces, passed, kept, tuple(reasons))


def load_gate(folder: Path) -> GateResult:
    """The result that the stage ``gate`` published for a shot. Raises WorkError where it cannot be read."""
    return read_record(folder / GATE, GateResult)
