"""Which clips are out of sync by themselves: a witness that knows neither phonemes nor the gate.

Lips are predicted from the sound alone (`dubkit.faces.lips_from_sound`) and compared with the real ones at every
offset, over the whole clip. Of some clips nobody has verified the sync; the gate cannot be blamed where it refuses
those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dubkit.faces import lips_from_sound
from dubkit.media.audio import load_samples
from dubkit.speech.timing import load_timing
from tests.benchmarks.gate_clips import ShotFiles
from tests.benchmarks.gate_scenes import dubbed_tracks

STEP, REACH = 0.04, 8  # seconds, steps of offset looked at
FRAMES, OFF, WINS = 200, 0.1, 0.2  # frames that say something, seconds off, correlation won there


@dataclass(frozen=True, slots=True)
class Witness:
    """What the sound says of a clip's lips."""

    frames: int
    late: float  # seconds by which they agree best
    there: float  # correlation there
    here: float  # and as the clip is

    @property
    def out_of_sync(self) -> bool:
        """Whether it is sure that sound and picture are apart."""
        wins = self.there - self.here >= WINS
        return self.frames >= FRAMES and abs(self.late) >= OFF and wins


def witness(shots: Sequence[ShotFiles]) -> Witness | None:
    """Of all shots of a clip in which one face is dubbed; None where there is none."""
    lags = np.arange(-REACH, REACH + 1)
    total, frames = np.zeros(len(lags)), 0
    for files in shots:
        tracks = dubbed_tracks(files)
        if len(tracks) == 1:
            track = tracks[0]
            timing = load_timing(files.folder("timing"))
            times = timing.times[track.start - files.shot.start :][: len(track)]
            rate = (len(times) - 1) / max(float(times[-1] - times[0]), 1e-6)
            shown = lips_from_sound.without_slow(
                lips_from_sound.mouth_motion(track.landmarks), rate
            )
            samples = load_samples(files.video)
            total += len(track) * np.array(
                [_agreement(shown, samples, times - lag * STEP, rate) for lag in lags]
            )
            frames += len(track)
    if not frames:
        return None
    best = int(total.argmax())
    return Witness(
        frames, float(lags[best] * STEP), float(total[best] / frames), float(total[REACH] / frames)
    )


def _agreement(shown: np.ndarray, samples: np.ndarray, times: np.ndarray, rate: float) -> float:
    """Weighted correlation of (T, 3) motions with those that the sound foretells at ``times``."""
    features = lips_from_sound.without_slow(lips_from_sound.sound_features(samples, times), rate)
    told = features @ lips_from_sound.lips_from_sound()
    found = 0.0
    for kind, weight in enumerate(lips_from_sound.WEIGHTS):
        x, y = shown[:, kind] - shown[:, kind].mean(), told[:, kind] - told[:, kind].mean()
        power = float(np.sqrt((x @ x) * (y @ y)))
        found += weight * float(x @ y) / power if power > 1e-9 else 0.0
    return found / sum(lips_from_sound.WEIGHTS)
