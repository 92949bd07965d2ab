"""What the TC net learns from: phonemes, sound and mouth shapes of the clips of a prepared set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubkit.errors import InputError
from dubkit.faces.align import apply, canonical_from_face
from dubkit.lips import mouth_shape
from dubkit.records import Floats
from dubkit.speech.mel_levels import Sound
from dubkit.speech.timing import SILENCE, Timed
from dubkit.training.dataset import PreparedClip, PreparedSet

OPEN = 0.0175  # opening over face width of an open mouth
_MEAN_OPENING = 0.07  # upper quartile of the mean speaker's open frames
_GAIN_LIMITS = (0.7, 1.3)
_ENOUGH = 10  # frames that say something


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip; T frames, K coefficients of `lips.mouth_shape`."""

    name: str
    person: str
    times: NDArray[np.float64]  # (T,) seconds
    shapes: Floats  # (T, K) offsets from the clip's own resting mouth
    duration: float
    phonemes: dict[str, list[Timed]]  # by path: script, recognition, loop; one at least
    sound: Sound | None
    offset: float = 0.0  # seconds that the picture is behind its sound

    @property
    def best_path(self) -> str:
        """The most exact phonemes there are."""
        return next(path for path in ("script", "recognition", "loop") if path in self.phonemes)

    @property
    def gain(self) -> float:
        """How widely this speaker articulates, from the open frames of the clip alone."""
        opening = self.shapes @ mouth_shape.gap_effect()
        wide = opening[opening > OPEN]
        low, high = _GAIN_LIMITS
        if len(wide) <= _ENOUGH:
            return 1.0
        return float(np.clip(np.percentile(wide, 75) / _MEAN_OPENING, low, high))


def shapes_of(landmarks: Floats, pose: Floats) -> Floats:
    """(T, L, 2) landmarks and (T, 3) degrees -> (T, K) mouth shapes as offset from rest."""
    canonical = np.stack([apply(canonical_from_face(face), face) for face in landmarks])
    mouths = mouth_shape.frontal(canonical.astype(np.float32), pose)
    return mouth_shape.encode(mouths - mouth_shape.resting_mouth(mouths))


def clip_of(name: str, person: str, stored: PreparedClip, offset: float) -> Clip | None:
    """A clip to learn from; None where nothing is said in it."""
    phonemes = {
        way: list(timed)
        for way, timed in stored.phonemes.items()
        if any(symbol != SILENCE for symbol, _, _ in timed)
    }
    if not phonemes or len(stored.times) < 2:
        return None
    sound = None if stored.sound is None else Sound(0, stored.sound)
    return Clip(
        name,
        person,
        stored.times,
        shapes_of(stored.landmarks, stored.pose),
        float(stored.times[-1] + np.median(np.diff(stored.times))),
        phonemes,
        sound,
        offset,
    )


def load(prepared: PreparedSet, names: Sequence[str]) -> list[Clip]:
    """The clips ``names`` in which is spoken. Raises InputError where there is none."""
    clips = []
    for name in names:
        facts = prepared.clips[name]
        if not facts.silent:
            clip = clip_of(name, facts.person, prepared.load(name), facts.offset)
            if clip is not None:
                clips.append(clip)
    if not clips:
        raise InputError(
            f"nobody speaks in the clips of {prepared.root}",
            hint="the TC net learns from faces that speak; give clips with their own sound",
        )
    return clips
