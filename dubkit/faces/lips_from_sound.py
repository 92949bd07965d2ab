"""Lip motion from sound by a linear map: how far footage is out of sync, and whether a face goes with its sound at all.

The map, trained on people who speak (`dubkit.training.lab.fit_lips_from_sound`), predicts from the sound around each
frame how far lips are open and drawn and how fast they move. Training judges footage by it, since it knows nothing of
the nets that are trained. Who speaks in a film is found by `dubkit.lips.active_speaker`. The correlation that chance
alone gives falls with the square root of the time seen, and so does the limit for "speaks".
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files

import numpy as np
from safetensors.numpy import load_file

from dubkit.faces import align, landmark_layout, smooth
from dubkit.records import Doubles, Floats

Series = Doubles

SAMPLE_RATE = 16000
BAND_EDGES = (100, 300, 600, 1000, 1500, 2200, 3200, 4800, 7500)  # Hz
SOUND_LAGS = tuple(round(0.04 * step, 2) for step in range(-7, 8))  # seconds
WINDOW = 512  # samples
RANGE_DB = 45.0  # below the loudest of a shot by more than this is silence
SLOW_SECONDS = 0.6  # standard deviation of the local mean that is removed
SYNC_SECONDS = 0.12  # largest lag between picture and sound
MIN_SECONDS = 0.6  # with less there is no score
MIN_MOTION = 0.012  # deviation of the opening of a mouth that rests, inter-ocular distances
WEIGHTS = (1.0, 0.5, 0.5)  # of opening, width and speed in the correlation
LIMIT = 0.5  # correlation over one second that chance does not reach


@dataclass(frozen=True, slots=True)
class SpeakerScore:
    """How well the motion of a mouth fits the sound."""

    correlation: float  # -1..1 at the best lag
    limit: float  # that this face needs to count as speaking, for the time it is seen
    motion: float  # deviation of the opening, inter-ocular distances

    @property
    def speaks(self) -> bool:
        return self.correlation >= self.limit and self.motion >= MIN_MOTION


@cache
def lips_from_sound() -> Floats:
    """(features, 3) linear map from `sound_features` to opening, width and speed."""
    with as_file(files("dubkit") / "weights" / "lips_from_sound.safetensors") as path:
        weights: Floats = load_file(path)["lips_from_sound"]
    return weights


def mouth_motion(landmarks: Floats) -> Series:
    """(T, L, 2) -> (T, 3): opening and width of the mouth in inter-ocular distances, and the opening's speed.

    Gaps (NaN) are interpolated; a face that is never present gives NaN.
    """
    present = np.flatnonzero(np.isfinite(landmarks[:, 0, 0]))
    if len(present) < 2:
        return np.full((len(landmarks), 3), np.nan)
    seen = landmarks[present]
    scale = np.array([align.scale_of(align.canonical_from_face(face)) for face in seen])
    gap = np.linalg.norm(
        seen[:, landmark_layout.INNER_TOP] - seen[:, landmark_layout.INNER_BOTTOM], axis=1
    )
    eyes = align.eye_centers(seen)
    corners = np.linalg.norm(
        seen[:, landmark_layout.MOUTH_LEFT] - seen[:, landmark_layout.MOUTH_RIGHT], axis=1
    )
    apart = np.maximum(np.linalg.norm(eyes[:, 0] - eyes[:, 1], axis=1), 1e-3)
    rows = np.arange(len(landmarks))
    opening = np.interp(rows, present, gap * scale)
    width = np.interp(rows, present, corners / apart)
    return np.stack([opening, width, np.abs(np.gradient(opening))], 1)


def sound_features(samples: Floats, times: Series) -> Series:
    """(T, lags x bands): levels of the sound in bands around each time, seconds into ``samples`` at 16 kHz."""
    padded = np.pad(samples, WINDOW)
    window = np.hanning(WINDOW)
    frequency = np.fft.rfftfreq(WINDOW, 1 / SAMPLE_RATE)
    edges = itertools.pairwise(BAND_EDGES)
    bands = [np.flatnonzero((frequency >= low) & (frequency < high)) for low, high in edges]
    levels = np.empty((len(times), len(SOUND_LAGS), len(bands)))
    for k, lag in enumerate(SOUND_LAGS):
        first = ((times + lag) * SAMPLE_RATE).astype(int) + WINDOW // 2
        first = np.clip(first, 0, len(padded) - WINDOW)
        power = (
            np.abs(np.fft.rfft(padded[first[:, None] + np.arange(WINDOW)] * window, axis=1)) ** 2
        )
        levels[:, k] = np.stack([power[:, band].mean(1) for band in bands], 1)
    decibel = 10 * np.log10(levels + 1e-8)
    above = np.maximum(decibel - decibel.max() + RANGE_DB, 0.0) / 20.0
    return np.asarray(above.reshape(len(times), -1))


def without_slow(values: Series, rate: float) -> Series:
    """(T, N) series without their slow part."""
    return values - smooth.local_mean(values, min(SLOW_SECONDS * rate, len(values) / 4))


def speaker_score(motion: Series, features: Series, rate: float) -> SpeakerScore | None:
    """Compare `mouth_motion` (T, 3) with `sound_features` (T, K) of the same frames, at ``rate`` frames a second.

    None where the track is shorter than `MIN_SECONDS`, has no landmarks, or the sound has one level throughout.
    """
    count = len(motion)
    if count < max(8, MIN_SECONDS * rate) or not np.isfinite(motion).all():
        return None
    if np.ptp(features) < 0.5:  # silence, or a tone
        return None
    predicted = without_slow(features, rate) @ lips_from_sound()
    measured = without_slow(motion, rate)
    reach = round(SYNC_SECONDS * rate)
    best = max(_correlation(measured, predicted, lag) for lag in range(-reach, reach + 1))
    return SpeakerScore(best, LIMIT / float(np.sqrt(count / rate)), float(motion[:, 0].std()))


def _correlation(measured: Series, predicted: Series, lag: int) -> float:
    """Weighted correlation of ``measured[t]`` with ``predicted[t + lag]``."""
    count = len(measured)
    rows = np.arange(max(0, -lag), min(count, count - lag))
    total = 0.0
    for kind, weight in enumerate(WEIGHTS):
        x = measured[rows, kind] - measured[rows, kind].mean()
        y = predicted[rows + lag, kind] - predicted[rows + lag, kind].mean()
        power = float(np.sqrt((x @ x) * (y @ y)))
        total += weight * float(x @ y) / power if power > 1e-9 else 0.0
    return total / sum(WEIGHTS)
