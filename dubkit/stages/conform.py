"""Whether the dub lies on the film: where it begins, and its offset and drift against the film's own sound.

Publishes ``conform.json``. Runs before a face is looked at: a dub that does not lie on the film ends the run here,
unless it was accepted or is to be corrected. Later stages take the dub's place from `load_conform`.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dubkit.config.schema import ConformSettings
from dubkit.errors import ConformError, UsageError
from dubkit.media import audio, concat, container, loudness, timecode
from dubkit.records import Floats, Placement, Speech, VideoInfo
from dubkit.speech import sound_offset
from dubkit.stages import base, probe
from dubkit.work.store import read_record, write_record

CONFORM = "conform.json"
# confidence from which a finding counts: chance likenesses of short films had .53 and .61
SURE = 0.7
CERTAIN = 0.8  # and from which it stops a run
_LATER = 0.001  # seconds: BWF times nearer to the film's start than this are the start
_SAME_RATIO = 60e-6  # a stretch this near to the ratio of two frame rates is that ratio
_QUIET = 12.0  # natural logarithm of power over the lowest: what is louder is no silence


@dataclass(frozen=True, slots=True)
class Conform:
    """Where the dub lies, and where the sound says that it belongs."""

    placement: Placement  # as the dub is used
    finding: sound_offset.Finding  # as it was measured, from the dub's own start
    offset_ms: float  # of the dub as it was given against the film: above 0, the dub is early
    deviation_ms: float  # the most that it is off anywhere in the film
    over: bool  # whether it is off by more than that beyond doubt
    fixed: bool
    source: str  # where the placement comes from: start | option | BWF | correction
    summary: str
    beyond: float  # seconds of the dub after the film's end


def load_conform(folder: Path) -> Conform:
    """What this stage published. Raises WorkError where it cannot be read."""
    return read_record(folder / CONFORM, Conform)


def run(context: base.StageContext) -> base.StageReport:
    """Place the dub, measure it against the film, and refuse it where it is off."""
    info, pts = probe.load_film(context.folder("probe"))
    settings, job = context.config.conform, context.job
    dub = audio.audio_info(job.audio)
    placement, source, notes = place(job.video, job.audio, info, settings)
    with ThreadPoolExecutor(1) as beside:
        loud = beside.submit(loudness.measure, job.audio, dub.stream)
        levels = sound_offset.band_levels(audio.stream_samples(job.audio))
        finding = sound_offset.Finding("nothing")
        if settings.check and info.has_audio:
            finding = sound_offset.find(_film_levels(job.video, int(pts[0]), info), levels)
        measured = loud.result()
    found = judge(finding, placement, source, min(dub.duration, info.duration), settings)
    found = replace(found, beyond=found.placement.film_time(dub.duration) - info.duration)
    write_record(context.out / CONFORM, found)
    if found.placement.moves and context.config.stitch.audio_codec == "copy":
        raise UsageError(
            "the dub is moved into its place, so its sound cannot be copied",
            hint="use --set stitch.audio_codec=auto",
        )
    certain = finding.confidence >= CERTAIN
    if found.over and settings.over == "stop" and certain and not found.fixed:
        raise ConformError(
            f"the dub does not lie on the film: {found.summary}",
            hint="--fix-offset moves it (and stretches it) into place; --accept-offset takes it as it is",
        )
    warnings = [found.summary] if found.over else []
    notes.append(_note(found, info))
    beyond = _beyond(found, levels, info)
    (warnings if beyond and "silent" not in beyond else notes).extend([beyond] if beyond else [])
    if measured:
        notes.append(f"loudness of the dub: {measured.words}")
    return base.StageReport(
        warnings=tuple(warnings),
        notes=tuple(note for note in notes if note),
        facts={
            "basis": finding.basis,
            "offset_ms": round(found.offset_ms, 1),
            "drift_ppm": round(finding.ppm, 1),
            "confidence": round(finding.confidence, 3),
            "deviation_ms": round(found.deviation_ms, 1),
            "fixed": found.fixed,
            "start": round(found.placement.start, 6),
            "stretch": found.placement.stretch,
            "beyond_film_seconds": round(max(0.0, found.beyond), 3),
            **loudness.facts(measured, "dub_"),
        },
    )


def _film_levels(video: Path, first: int, info: VideoInfo) -> Floats:
    """Levels of the film's sound from its first picture on."""
    levels = sound_offset.band_levels(audio.stream_samples(video))
    rows = round(concat.film_offset(video, first, info) * sound_offset.ROWS)
    if rows < 0:
        lead = np.full((-rows, levels.shape[1]), levels.min(initial=0), np.float32)
        return np.concatenate([lead, levels])
    return levels[rows:]


def place(
    video: Path, dub: Path, info: VideoInfo, settings: ConformSettings
) -> tuple[Placement, str, list[str]]:
    """Where the dub begins, what says so, and notes: the option, else the time in a broadcast wave file."""
    if settings.dub_offset is not None:
        return Placement(settings.dub_offset), "option", []
    with container.open_media(dub) as sound:
        stated = _number(sound.metadata.get("time_reference"))
        rate = sound.streams.audio[0].rate if sound.streams.audio else 0
    if not stated or not rate:
        return Placement(), "start", []
    reference = stated / rate
    begins = film_start(video, info)
    start = reference - (begins or 0.0)
    says = f"the dub's broadcast wave header says that it begins at {_clock(reference)}"
    if abs(start) < _LATER:
        return Placement(), "BWF", []
    if abs(start) < info.duration:
        return Placement(start), "BWF", [f"{says}: {start:.3f} s from the film's first frame"]
    where = f"at {_clock(begins)}" if begins is not None else "without a time code"
    return Placement(), "start", [f"{says}, but the film begins {where}: the dub starts with it"]


def _number(text: str | None) -> int:
    return int(text) if text and text.strip().isdigit() else 0


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{seconds % 60:06.3f}"


def film_start(video: Path, info: VideoInfo) -> float | None:
    """Seconds after midnight at which the film's time code begins; None where it has none."""
    with container.open_media(video) as film:
        code = timecode.stated(film)
    return timecode.seconds_of(code, info.average_rate / info.lines) if code else None


def judge(
    finding: sound_offset.Finding,
    placement: Placement,
    source: str,
    seconds: float,
    settings: ConformSettings,
) -> Conform:
    """What a finding means for a dub of ``seconds`` that is placed so."""
    named = _named(finding)
    ends = (0.0, seconds)
    if finding.basis == "nothing":
        off, error = [0.0, 0.0], 0.0
    else:
        stretch = named[0] if named else finding.stretch
        off = [finding.offset + stretch * u - placement.film_time(u) for u in ends]
        error = max(finding.offset_error, finding.drift_error * seconds if not named else 0.0)
    most = 1000 * max(map(abs, off))
    spoken = finding.basis == "speech"
    limit = settings.max_speech_offset_ms if spoken else settings.max_offset_ms
    sure = finding.confidence >= SURE
    over = sure and most - 2000 * error > limit
    fixed = over and settings.over == "fix"
    if fixed:
        stretch = named[0] if named else finding.stretch
        placement, source = Placement(finding.offset, stretch), "correction"
    return Conform(
        placement,
        finding,
        1000 * off[0],
        most,
        over,
        fixed,
        source,
        _summary(finding, off, named, fixed=fixed),
        0.0,
    )


def _named(finding: sound_offset.Finding) -> tuple[float, str] | None:
    """The ratio of two frame rates that the stretch is, as far as can be told."""
    for ratio, name in sound_offset.RATIOS.items():
        if abs(finding.stretch / ratio - 1) < max(_SAME_RATIO, min(2 * finding.drift_error, 2e-4)):
            return ratio, name
    return None


def _summary(
    finding: sound_offset.Finding,
    off: list[float],
    named: tuple[float, str] | None,
    *,
    fixed: bool,
) -> str:
    """What was found, in a sentence."""
    if finding.basis == "nothing":
        return "the dub could not be laid against the film's sound"
    way = "early" if off[0] > 0 else "late"
    parts = [f"it begins {abs(1000 * off[0]):.0f} ms {way}"]
    stretch = named[0] if named else finding.stretch
    if abs(stretch - 1) > 1e-9:
        rates = (
            f", as if made for {named[1].replace(' to ', ' and the film ran at ')} frames/s"
            if named
            else ""
        )
        parts.append(
            f"drifts by {1e6 * (stretch - 1):+.0f} ppm{rates}, and is {abs(1000 * off[1]):.0f} ms off at its end"
        )
    by = "sound that both share" if finding.basis == "common sound" else "when people speak"
    done = "; it is corrected" if fixed else ""
    return f"{' and '.join(parts)} (measured by {by}, confidence {finding.confidence:.0%}){done}"


def _note(found: Conform, info: VideoInfo) -> str:
    if not info.has_audio:
        return "the film has no sound to lay the dub against"
    if found.over:
        return ""
    if found.finding.basis == "nothing" or found.finding.confidence < SURE:
        return "the dub is taken as it lies: its sound and the film's have too little in common to check it"
    return f"the dub lies on the film: {found.summary}"


def _beyond(found: Conform, levels: Floats, info: VideoInfo) -> str | None:
    """A sentence where the dub goes on after the film by little, or because it is moved: the rest is known before."""
    if found.beyond < 1 / float(info.average_rate) / 2:
        return None
    if found.beyond > probe.NOTED and not found.placement.moves:
        return None
    first = int(found.placement.dub_time(info.duration) * sound_offset.ROWS)
    rest = levels[max(0, first) + 4 :]  # windows that begin after the film
    silent = not len(rest) or float(rest.max()) < sound_offset.FLOOR + _QUIET
    how = "which is silent" if silent else "which is cut off, unless --length freeze is given"
    return f"the dub continues for {found.beyond:.3f} s after the film's end, {how}"


def lost_words(speech: Speech, placement: Placement, seconds: float) -> tuple[str, ...]:
    """The words of the dub that are not heard in a film of ``seconds``, or only in part."""
    return tuple(
        word.text
        for word in speech.words
        if placement.film_time(word.end) > seconds + 0.02 or placement.film_time(word.start) < -0.02
    )


def told(folder: Path) -> str:
    """What this stage found, in a sentence for a plan or a report."""
    found = load_conform(folder)
    if found.fixed or found.over or found.finding.confidence >= SURE:
        return found.summary
    return "unknown: the sounds have too little in common"


STAGE = base.Stage(
    name="conform",
    per=base.Per.JOB,
    source=base.Source.DUB,
    after=("probe",),
    run=run,
    version=3,
    sections=("conform",),
    files=("video", "audio"),
)
