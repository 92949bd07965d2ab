"""A dub's sound as aligners see it: its loud spans, its pauses, and what there is to say of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dubkit.media.audio import let_go
from dubkit.records import Floats
from dubkit.speech import activity
from dubkit.speech.activity import Levels, Span

_CLEAR = 15.0  # dB under the loud part of a track: voices, not breath and rooms


@dataclass(slots=True)
class Track:
    """The sound of one dub, 16 kHz mono."""

    samples: Floats
    duration: float
    level: Levels
    spans: list[Span]
    warnings: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, samples: Floats) -> Track:
        """A track of any samples."""
        sound = activity.clean(samples)
        level = activity.levels(sound)
        return cls(sound, len(samples) / activity.RATE, level, activity.voiced_spans(level, 0.12))

    def cut(self, start: float, end: float) -> Floats:
        """The samples of a stretch."""
        let_go(self.samples)
        return self.samples[round(start * activity.RATE) : round(end * activity.RATE)]

    def speech(self, seconds: float) -> Floats:
        """The first ``seconds`` of what is not silent, one stretch after the other."""
        parts = [self.cut(start, end) for start, end in self.windows()]
        sound = np.concatenate([*parts, np.zeros(0, np.float32)])
        return np.asarray(sound[: round(seconds * activity.RATE)], np.float32)

    def windows(self, start: float = 0.0, end: float = float("inf")) -> list[Span]:
        """The windows that hold speech between two moments."""
        whole = activity.windows(self.spans, self.duration)
        cut = [(max(a, start), min(b, end)) for a, b in whole]
        return [(a, b) for a, b in cut if b - a > 0.05]

    def clear(self, start: float, end: float) -> float:
        """Seconds of a stretch that are about as loud as this track's speech."""
        low, high = (round(time * activity.FRAMES_A_SECOND) for time in (start, end))
        level = self.level[max(0, low) : max(0, high)]
        return (
            float((level > activity.speech_level(self.level) - _CLEAR).sum())
            / activity.FRAMES_A_SECOND
        )

    def pauses(self) -> list[Span]:
        """What lies between the loud spans."""
        edges = [0.0, *(t for span in self.spans for t in span), self.duration]
        return list(zip(edges[::2], edges[1::2], strict=True))
