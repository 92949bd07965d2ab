"""How well predicted mouth shapes match real ones, on clips that training never saw.

All numbers are about inner-lip opening over face width, with the rules of `lips.articulation` applied
and each clip's own audio-visual offset removed.

- ``correlation``: with the true opening over a clip's frames; 1 is perfect.
- ``amplitude``: standard deviation over the real one's; 1 is right, under it timid.
- ``closures``: share of P B M runs in which the opening falls under .02.
- ``ratio``: mean opening in open vowels over that in P B M; real speech has 4 to 6.
- ``silence``: share of silent frames (where `speaking` is 0) with an opening over .02.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from dubkit.lips.articulation import SHUT, Articulator
from dubkit.lips.mouth_shape import gap_effect
from dubkit.models.tc import TcNet
from dubkit.records import Floats, Phoneme, Shot
from dubkit.speech import articulatory
from dubkit.speech.timing import Timing, cut_timing
from dubkit.training.tc_data import Clip

CLOSED = 0.02
OPEN_VOWELS = frozenset(("ɑ", "æ", "ʌ", "ɛ", "aɪ", "aʊ", "eɪ", "ɔ"))  # noqa: RUF001 - IPA


def predict(net: TcNet, clip: Clip, path: str, offset: float) -> Floats:
    """(T, K) shapes of a clip by the bare net."""
    return predictions(net, clip, path, [offset])[0]


def predictions(net: TcNet, clip: Clip, path: str, offsets: Sequence[float]) -> list[Floats]:
    """The same for each of several ``offsets``, from one pass of the net."""
    first, last = clip.times[0] - max(offsets), clip.times[-1] - min(offsets)
    numbers = articulatory.grid(float(first) - 0.7, float(last) + 0.7)
    given = articulatory.inputs(clip.phonemes[path], numbers, clip.sound, net.config.bands)
    with torch.inference_mode():
        rows = net(torch.from_numpy(given)[None])[0].numpy()
    found = []
    for offset in offsets:
        place = (clip.times - offset) / articulatory.STEP - numbers[0]
        low = np.floor(place).astype(np.intp)
        part = (place - low)[:, None]
        found.append(np.asarray(rows[low] * (1 - part) + rows[low + 1] * part, np.float32))
    return found


def correlation(shapes: Floats, clip: Clip) -> float:
    """Of predicted and real opening."""
    effect = gap_effect()
    return float(np.corrcoef(shapes @ effect, clip.shapes @ effect)[0, 1])


def timing_of(clip: Clip, path: str, offset: float) -> Timing:
    """The whole clip as one shot."""
    phonemes = [Phoneme(*timed) for timed in clip.phonemes[path]]
    return cut_timing(phonemes, Shot(0, len(clip.times)), clip.times - offset, 0.8, clip.sound)


def measure(articulator: Articulator, clip: Clip, path: str, offset: float) -> dict[str, float]:
    """The measures of one clip; closures and ratio only where it has the sounds."""
    timing = timing_of(clip, path, offset)
    spoken = articulator.predict(timing)
    shapes = spoken.coefficients * spoken.speaking[:, None]
    opening, real = shapes @ gap_effect(), clip.shapes @ gap_effect()
    found = {"correlation": correlation(shapes, clip), "amplitude": opening.std() / real.std()}
    shut = [opening[r.start : r.end] for r in timing.runs if r.symbol[0] in SHUT]
    wide = [opening[r.start : r.end] for r in timing.runs if r.symbol in OPEN_VOWELS]
    if shut:
        found["closures"] = float(np.mean([run.min() < CLOSED for run in shut]))
    if shut and wide:
        closed = max(float(np.concatenate(shut).mean()), 1e-3)
        found["ratio"] = float(np.concatenate(wide).mean()) / closed
    silent = spoken.speaking == 0
    if silent.any():
        found["silence"] = float((opening[silent] > CLOSED).mean())
    return {name: float(value) for name, value in found.items()}


def evaluate(
    weights: Path, clips: Sequence[Clip], offsets: Mapping[str, float]
) -> dict[str, dict[str, float]]:
    """The measures of every clip and path, as ``clip/path``, and their means, as ``mean/path``."""
    articulator = Articulator(weights=weights)
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
