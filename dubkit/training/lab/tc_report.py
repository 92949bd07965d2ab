"""Measures of a TC net on clips of a prepared set: what the model card of the shipped weights states."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dubkit.lips import articulation, mouth_shape
from dubkit.metrics import lips
from dubkit.records import Phoneme, Shot, Timing
from dubkit.speech.timing import cut_timing
from dubkit.training import tc_data, train_tc


def timing_of(clip: tc_data.Clip, path: str, offset: float) -> Timing:
    """The whole clip as one shot."""
    phonemes = [Phoneme(*timed) for timed in clip.phonemes[path]]
    shot, times = Shot(0, len(clip.times)), clip.times - offset
    return cut_timing(phonemes, shot, times, 0.8, clip.levels, clip.rows, scripted=path == "script")


def measure(
    articulator: articulation.Articulator, clip: tc_data.Clip, path: str, offset: float
) -> dict[str, float]:
    """What the net predicts for one clip, by the measures of `dubkit.metrics.lips`; what the clip lacks is missing."""
    timing = timing_of(clip, path, offset)
    spoken = articulator.predict(timing)
    shapes = spoken.coefficients * spoken.speaking[:, None]
    opening, real = (
        np.asarray(s @ mouth_shape.gap_effect(), np.float64) for s in (shapes, clip.shapes)
    )
    found = {
        "correlation": train_tc.correlation(shapes, clip),
        "amplitude": opening.std() / real.std(),
    }
    said = opening, timing.times, timing.phonemes
    for name, tally in (
        ("closures", lips.closures(*said)),
        ("open_in_silence", lips.open_in_silence(*said)),
    ):
        if tally.share is not None:
            found[name] = tally.share
    vowels, labials = lips.vowels_and_labials(*said)
    if vowels and labials:
        found["vowel_closure_ratio"] = lips.vowel_closure_ratio(vowels, labials)
    return {name: float(value) for name, value in found.items()}


def evaluate(
    weights: Path, clips: Sequence[tc_data.Clip], offsets: Mapping[str, float]
) -> dict[str, dict[str, float]]:
    """The measures of every clip and path, as ``clip/path``, and their means, as ``mean/path``."""
    articulator = articulation.Articulator(weights=weights)
    found: dict[str, dict[str, float]] = {}
    by_path: dict[str, list[dict[str, float]]] = defaultdict(list)
    for clip in clips:
        for path in clip.phonemes:
            measures = measure(articulator, clip, path, offsets.get(clip.name, clip.offset))
            found[f"{clip.name}/{path}"] = measures
            by_path[f"mean/{path}"].append(measures)
    for name, rows in sorted(by_path.items()):
        keys = sorted({key for row in rows for key in row})
        found[name] = {k: float(np.mean([r[k] for r in rows if k in r])) for k in keys}
    return found
