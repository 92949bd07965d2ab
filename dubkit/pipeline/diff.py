"""What another dub, or a corrected one, changes: which shots would be rendered again, and why."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dubkit.errors import UsageError, WorkError
from dubkit.pipeline import inspect, request
from dubkit.pipeline.job import run_job
from dubkit.records import SILENCE, Shot, Speech, TimedPhoneme
from dubkit.speech.timing import load_speech, load_timing

if TYPE_CHECKING:
    from dubkit.progress import Progress

_MOST_WORDS = 8  # quoted of a shot


@dataclass(frozen=True, slots=True)
class ShotDifference:
    """One shot of the new job beside the old one."""

    shot: str
    start: float  # seconds of the film
    end: float
    changed: bool
    reason: str
    number: int = 0  # its place in the film, from 1
    timecode: str | None = None


def compare_dub(
    old: Path, audio: Path, script: Path | None, progress: Progress
) -> list[ShotDifference]:
    """The job in work folder ``old`` against the same job with another dub; nothing of it is changed.

    Without a script the old job's own is taken. Raises DubkitError as a run does.
    """
    job = inspect.read_job(old).job
    with tempfile.TemporaryDirectory(prefix="dubkit-diff-") as scratch:
        other = replace(
            job,
            audio=audio.absolute(),
            script=script.absolute() if script else job.script,
            work=Path(scratch) / "work",
            analysis=old.absolute(),
        )
        run_job(
            request.RunRequest(other, inspect.read_config(old), until="timing"), progress=progress
        )
        return compare(old, other.work)


def compare(old: Path, new: Path) -> list[ShotDifference]:
    """Shots of the job in work folder ``new``, each against the job in ``old``.

    Both must have been run as far as the timing stage. Raises WorkError where they were not, UsageError where they
    are of two films.
    """
    before, after = _AnalyzedJob(old), _AnalyzedJob(new)
    if before.run.inputs["video"].sha256 != after.run.inputs["video"].sha256:
        raise UsageError(
            f"{old} and {new} are from different films: {before.run.job.video.name} and "
            f"{after.run.job.video.name}",
            hint="only only dubs of one film can be compared",
        )
    known = set(before.shots)
    settings = _settings(before, after)
    found = (_difference(shot, before, after, shot in known, settings) for shot in after.shots)
    return [
        replace(shot, number=name.number, timecode=name.timecode)
        for shot in found
        for name in (after.names[shot.shot],)
    ]


class _AnalyzedJob(inspect.OpenedJob):
    """A job as it lies in its work folder, analyzed."""

    def __init__(self, work: Path) -> None:
        super().__init__(work)
        if not self.shots:
            raise WorkError(f"the shots of {work} are not known yet", hint=_RUN_IT)
        self.speech: Speech = load_speech(self.folder("speech", None))

    def timing_outputs(self, shot: Shot) -> dict[str, str]:
        receipt = self.receipt("timing", shot)
        if receipt is None:
            raise WorkError(
                f"the timing of shot {shot.name} is not done in {self.run.job.work}", hint=_RUN_IT
            )
        return dict(receipt.outputs)


_RUN_IT = "run that job first, at least with --until timing"


def _settings(before: _AnalyzedJob, after: _AnalyzedJob) -> list[str]:
    """Settings of the picture that differ, in words."""
    changes: list[str] = []
    for section in ("faces", "generate"):
        old = getattr(before.config, section).model_dump()
        new = getattr(after.config, section).model_dump()
        changes += [f"{section}.{k} was {old[k]}, is {new[k]}" for k in new if old[k] != new[k]]
    return changes


def _difference(
    shot: Shot, before: _AnalyzedJob, after: _AnalyzedJob, known: bool, settings: list[str]
) -> ShotDifference:
    after.timing_outputs(shot)
    timing = load_timing(after.folder("timing", shot))
    start, end = float(timing.times[0]), float(timing.times[-1])
    if not known:
        return ShotDifference(shot.name, start, end, True, "the cut moved")
    reasons = list(settings)
    if before.timing_outputs(shot) != after.timing_outputs(shot):
        earlier = load_timing(before.folder("timing", shot))
        reasons.append(_speech_change(earlier.phonemes, timing.phonemes, before, after, start, end))
    return ShotDifference(shot.name, start, end, bool(reasons), "; ".join(reasons) or "equal")


def _speech_change(
    old: tuple[TimedPhoneme, ...],
    new: tuple[TimedPhoneme, ...],
    before: _AnalyzedJob,
    after: _AnalyzedJob,
    start: float,
    end: float,
) -> str:
    old_words, new_words = _words(before.speech, start, end), _words(after.speech, start, end)
    if old_words != new_words:
        return f"says {_quote(new_words)} instead of {_quote(old_words)}"
    if [p[0] for p in old] != [p[0] for p in new]:
        count = sum(p[0] != SILENCE for p in new)
        return f"other phonemes ({count} now)"
    moved = max(
        (max(abs(a[1] - b[1]), abs(a[2] - b[2])) for a, b in zip(old, new, strict=True)),
        default=0.0,
    )
    return f"phonemes move by up to {1000 * moved:.0f} ms" if moved > 0.0005 else "sounds different"


def _words(speech: Speech, start: float, end: float) -> list[str]:
    return [word.text for word in speech.words if word.end > start and word.start < end]


def _quote(words: list[str]) -> str:
    more = " ..." if len(words) > _MOST_WORDS else ""
    return f"“{' '.join(words[:_MOST_WORDS])}{more}”" if words else "nothing"
