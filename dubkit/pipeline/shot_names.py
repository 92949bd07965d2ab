"""The shots of a film as people name them: by number and time code (``shot 4, 00:00:15:24``).

Time codes are those of the film, from 00:00:00:00 where it states none. Of interlaced film, fields are counted in
frames; of film with a variable rate, time codes are those of its average rate.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dubkit.errors import DubkitError, UsageError
from dubkit.media import timecode
from dubkit.pipeline import dry_run, fingerprint
from dubkit.progress import ShotName, ShotNames
from dubkit.records import Shot
from dubkit.stages import probe

if TYPE_CHECKING:
    from dubkit.records import VideoInfo

_FRAMES = re.compile(r"\d{7}-\d{7}")


def name_shots(run: fingerprint.Run, shots: Sequence[Shot]) -> dict[str, ShotName]:
    """The names of a run's shots, by their frames; without time codes where the film was not probed."""
    codes: Sequence[str | None] = _timecodes(run, shots) or [None] * len(shots)
    rows = zip(shots, codes, strict=True)
    return {shot.name: ShotName(n, code) for n, (shot, code) in enumerate(rows, 1)}


def _timecodes(run: fingerprint.Run, shots: Sequence[Shot]) -> list[str] | None:
    stage = next((stage for stage in run.stages if stage.name == probe.STAGE.name), None)
    if stage is None:
        return None
    try:
        info, pts = probe.load_film(run.folder(stage, None))
    except DubkitError:  # it was never probed
        return None
    first, clock = film_clock(run.job.video, info)
    if info.rate is None:
        seconds = (pts - pts[0]) * float(info.time_base)
        return [clock.text(first + round(float(seconds[s.start]) * clock.rate)) for s in shots]
    return [clock.text(first + shot.start // info.lines) for shot in shots]


def film_clock(film: Path, info: VideoInfo) -> tuple[int, timecode.Clock]:
    """The number of a film's first frame, as the film states it, and how its frames are numbered; else from 0."""
    rate = info.average_rate / info.lines
    with suppress(
        DubkitError
    ):  # a film that is gone; a time code that cannot be at this rate names no frame
        if stated := timecode.of_film(film)[0]:
            return timecode.read(stated, rate)
    return 0, timecode.Clock(rate)


def find_shot(text: str, names: ShotNames) -> str:
    """The frames of the shot that ``text`` names: its number, the time code of a frame of it, or its frames.

    Raises UsageError where there is none.
    """
    text = text.strip()
    if text in names:
        return text
    if text.lstrip("#").isdigit():
        found = [shot for shot, name in names.items() if name.number == int(text.lstrip("#"))]
    else:
        digits = re.sub(r"\D", "", text)
        starts = [(re.sub(r"\D", "", name.timecode or ""), shot) for shot, name in names.items()]
        found = [shot for code, shot in starts if len(code) == len(digits) and code <= digits][-1:]
    if found:
        return found[0]
    raise UsageError(
        f"there is no shot {text} among the {len(names)} of this film",
        hint="name it by its number, as in 4, or by its time code, as in 00:00:15:24",
    )


def frames_of(run: fingerprint.Run, text: str) -> str:
    """The frames of the shot of a run that ``text`` names, also one that is not known yet where they are named.

    Raises UsageError where there is none.
    """
    if _FRAMES.fullmatch(text):
        return text
    shots = dry_run.read_shots(run)
    if shots is None:
        raise UsageError(
            f"the shots of the film are not known yet, so which one is {text} is not either",
            hint="run the film first, or name the shot by its frames, as in 0000120-0000248",
        )
    return find_shot(text, name_shots(run, shots))
