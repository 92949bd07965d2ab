"""How fast a stage is and how long it still takes.

Time left is reckoned by frames of picture done in *this* run: what an earlier run finished counts
neither as work done nor as speed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

_WORDS = {"look": "files", "cut": "pieces", "labels": "files"} | dict.fromkeys(
    ("tc", "sc", "landmarker"), "checks"
)


@dataclass(slots=True)
class Meter:
    """Speed and time left of one stage. ``now`` values are seconds of any steady clock."""

    units: int
    current: int  # done before this run
    frames: int  # to do in this run
    begun: float
    word: str = "shots"  # what the units are called
    done_units: int = 0
    done_frames: int = 0
    failed: int = 0
    latest: float = field(init=False)

    def __post_init__(self) -> None:
        self.latest = self.begun

    def advance(self, frames: int, failed: bool, now: float) -> None:
        """Count one unit."""
        self.done_units += 1
        self.done_frames += frames
        self.failed += failed
        self.latest = now

    @property
    def finished(self) -> bool:
        return self.current + self.done_units >= self.units

    @property
    def work(self) -> tuple[int, int]:
        """(done, to do) in this run: frames where there are any, else units."""
        if self.frames:
            return self.done_frames, self.frames
        return self.done_units, self.units - self.current

    @property
    def speed(self) -> float | None:
        """Frames a second; None before the first unit or without frames."""
        spent = self.latest - self.begun
        return self.done_frames / spent if self.done_frames and spent > 0 else None

    def left(self, now: float) -> float | None:
        """Seconds to go, None while unknown."""
        done, todo = self.work
        if not done:
            return None
        seconds = (self.latest - self.begun) * (todo - done) / done
        return max(0.0, seconds - (now - self.latest))

    def describe(self, now: float) -> str:
        """The state in words: ``3/8 shots, 51.2 frames/s, 0:14 left``."""
        parts = [f"{self.current + self.done_units}/{self.units}"]
        parts[0] += f" {self.word}" if self.units != 1 else ""
        if self.speed is not None:
            parts.append(f"{self.speed:.1f} frames/s")
        left = self.left(now)
        if left is not None and not self.finished:
            parts.append(f"{clock_text(left)} left")
        if self.failed:
            parts.append(f"{self.failed} failed")
        return ", ".join(parts)


def unit_word(stage: str) -> str:
    """What the units of a stage are called; those of trainings are no shots."""
    return _WORDS.get(stage, "shots")


def clock_text(seconds: float) -> str:
    """Seconds as ``1:02:03`` or ``2:03``."""
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, secs = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{secs:02d}" if hours else f"{minutes}:{secs:02d}"
