"""SMPTE time codes (ST 12-1): numbers of frames since midnight, with and without drop frame, and what a film states.

A time code counts whole frames at the rounded rate; drop frame leaves out two numbers (four at 59.94) at the start of
each minute but every tenth, so that it keeps to the clock at 29.97 and 59.94 frames/s.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from av.container import InputContainer

from dubkit.errors import InputError
from dubkit.media.container import open_media

_CODE = re.compile(r"(\d\d):(\d\d):(\d\d)([:;.,])(\d\d\d?)")
_WAY = "give the time code of the first frame with --timecode, as in 01:00:00:00"


@dataclass(frozen=True, slots=True)
class Clock:
    """How the frames of a film are numbered."""

    rate: Fraction  # frames a second
    drop: bool = False  # numbers are left out

    @property
    def nominal(self) -> int:
        """Numbers in a second."""
        return round(self.rate)

    @property
    def can_drop(self) -> bool:
        """Whether drop frame is defined at this rate."""
        return self.rate.denominator == 1001 and self.nominal in (30, 60)

    @property
    def _left_out(self) -> int:
        """Numbers left out at the start of a minute."""
        return self.nominal // 15 if self.drop else 0

    @property
    def day(self) -> int:
        """Frames in 24 hours."""
        return 24 * (3600 * self.nominal - 54 * self._left_out)

    def text(self, frame: int, *, wraps: bool = True) -> str:
        """The time code of a frame counted from midnight; after 24 hours it goes on at 00:00:00:00, if it ``wraps``."""
        if wraps:
            frame %= self.day
        if self.drop:
            whole = 600 * self.nominal - 9 * self._left_out  # frames in ten minutes
            tens, rest = divmod(frame, whole)
            minutes = max(0, rest - self._left_out) // (60 * self.nominal - self._left_out)
            frame += self._left_out * (9 * tens + minutes)
        seconds, frames = divmod(frame, self.nominal)
        minutes, seconds = divmod(seconds, 60)
        mark = ";" if self.drop else ":"
        digits = 2 if self.nominal <= 100 else 3
        return f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}{mark}{frames:0{digits}d}"


def read(code: str, rate: Fraction) -> tuple[int, Clock]:
    """The frame that a time code names, counted from midnight, and how it counts: drop frame after ``;``, ``,``, ``.``.

    Raises InputError for one that cannot be at ``rate`` frames a second, with the reason.
    """
    parts = _CODE.fullmatch(code.strip())
    if parts is None:
        raise InputError(f"{code!r} is not a time code", hint=_WAY)
    hours, minutes, seconds, frames = (int(parts[n]) for n in (1, 2, 3, 5))
    clock = Clock(rate, parts[4] != ":")
    shown = f"{float(rate):.6g} frames/s"
    if hours > 23 or minutes > 59 or seconds > 59 or frames >= clock.nominal:
        raise InputError(f"there is no time code {code} at {shown}", hint=_WAY)
    if clock.drop and not clock.can_drop:
        raise InputError(
            f"the time code {code} is drop frame, which there is only at 29.97 and 59.94, not at {shown}",
            hint=_WAY,
        )
    left_out = clock._left_out
    if frames < left_out and not seconds and minutes % 10:
        raise InputError(f"drop frame leaves out the time code {code}", hint=_WAY)
    past = 60 * hours + minutes
    total = (3600 * hours + 60 * minutes + seconds) * clock.nominal + frames
    return total - left_out * (past - past // 10), clock


def seconds_of(code: str, rate: Fraction) -> float | None:
    """Seconds after midnight that a time code stands for; None for one that cannot be at this rate."""
    try:
        return float(read(code, rate)[0] / rate)
    except InputError:
        return None


def stated(media: InputContainer) -> str | None:
    """The time code at which a film starts, by its container or any stream."""
    places = [media.metadata, *(stream.metadata for stream in media.streams)]
    found = (value for tags in places for key, value in tags.items() if key.lower() == "timecode")
    return next(found, None)


def stated_reel(media: InputContainer) -> str | None:
    """The name of the reel (tape) that a film states."""
    places = [media.metadata, *(stream.metadata for stream in media.streams)]
    names = ("reel_name", "reel", "tape")
    found = (value for tags in places for key, value in tags.items() if key.lower() in names)
    return next(found, None)


def of_film(path: Path) -> tuple[str | None, str | None]:
    """Time code of the first frame and reel, as a film states them."""
    with open_media(path) as media:
        return stated(media), stated_reel(media)
