"""How a dub lies on a film, found from the sound of both: offset and drift, with a confidence.

Two sounds that share music and effects are laid over each other by the changes of their level in 16 bands; where
they share none, by when somebody speaks, which is coarser. Either is done chunk by chunk of the film and for each
ratio between the usual frame rates, so that a drift is a line through the chunks and not a blurred peak.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from dubkit.media.audio import SPEECH_RATE
from dubkit.records import Doubles, Floats

ROWS = 100  # a second
BANDS = 16
_HOP, _WINDOW = SPEECH_RATE // ROWS, 512
_LOWEST, _HIGHEST = 80.0, 7000.0  # Hz
_QUIET = 1e-8  # power under which a band counts as silent
FLOOR = float(np.log(_QUIET))  # the level of digital silence
_SPEECH_BANDS = slice(3, 13)  # 270 to 3400 Hz
_SPEECH_ROWS = 25  # a second, where speech activity is compared
MOST_OFFSET = 60.0  # seconds
_RATES = (24000 / 1001, 24.0, 25.0)
RATIOS: dict[float, str] = {
    1.0: "",
    **{new / old: f"{new:.6g} to {old:.6g}" for new in _RATES for old in _RATES if new != old},
}  # film seconds for a second of a dub that was made for ``new`` frames a second, when the film has ``old``


@dataclass(frozen=True, slots=True)
class _Way:
    """How two sounds are compared."""

    rows: int  # a second
    chunk: float  # seconds of the film that are laid at once
    slope: float  # largest drift beside the ratio
    near: float  # seconds around the line in which a chunk's own peak counts
    sure: float  # z at which the line is beyond doubt
    least: float  # z under which nothing is said
    most: float  # z that a single chunk counts for, at most
    events: float  # moments on which the line has to rest
    shortest: float  # seconds of film under which nothing is said


_COMMON = _Way(ROWS, 20.0, 3e-4, 0.05, sure=16.0, least=9.0, most=25.0, events=60.0, shortest=3.0)
_SPEAKING = _Way(
    _SPEECH_ROWS, 60.0, 1e-4, 0.3, sure=9.0, least=4.5, most=12.0, events=60.0, shortest=60.0
)
_LAID = 0.5  # of what a chunk and as much of the dub hold, from which an offset counts
_BETTER = 1.08  # times the score of a dub that does not drift
_SHOWN = 3.0  # standard errors from which a slope is one
_LEAST_CHANGE = 0.05  # deviation of a band's changes under which it counts as steady


@dataclass(frozen=True, slots=True)
class Finding:
    """Where second u of the dub lies in the film: at ``offset + stretch * u`` seconds."""

    basis: Literal["common sound", "speech", "nothing"]
    offset: float = 0.0
    stretch: float = 1.0
    confidence: float = 0.0  # 0 to 1
    offset_error: float = 0.0  # standard error in seconds
    drift_error: float = 0.0  # of the stretch
    score: float = 0.0  # deviations by which the line stands out from all others

    @property
    def ppm(self) -> float:
        """The drift in millionths."""
        return (self.stretch - 1) * 1e6


def band_levels(blocks: Iterable[Floats]) -> Floats:
    """(N, BANDS) natural logarithms of the power in bands, `ROWS` a second, of sound in blocks at `SPEECH_RATE`."""
    window = np.hanning(_WINDOW).astype(np.float32)
    matrix = _band_matrix()
    rest: Floats = np.zeros(_WINDOW // 2, np.float32)
    found: list[Floats] = []
    waiting: list[Floats] = []
    for block in blocks:
        waiting.append(block)
        if sum(map(len, waiting)) < SPEECH_RATE:
            continue
        rest = _rows(np.concatenate([rest, *waiting]), window, matrix, found)
        waiting = []
    _rows(np.concatenate([rest, *waiting, np.zeros(_WINDOW, np.float32)]), window, matrix, found)
    return np.concatenate(found) if found else np.zeros((0, BANDS), np.float32)


def _rows(samples: Floats, window: Floats, matrix: Floats, found: list[Floats]) -> Floats:
    """Append the rows that the samples hold; returns the samples of those to come."""
    count = max(0, (len(samples) - _WINDOW) // _HOP + 1)
    if not count:
        return samples
    frames = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW)[: count * _HOP : _HOP]
    power = np.abs(np.fft.rfft(frames * window)).astype(np.float32) ** 2 / _WINDOW
    found.append(np.log(power @ matrix + _QUIET).astype(np.float32))
    return samples[count * _HOP :]


def _band_matrix() -> Floats:
    """(bins, BANDS) triangles, evenly spaced in mel."""
    low, high = (2595 * float(np.log10(1 + f / 700)) for f in (_LOWEST, _HIGHEST))
    mels = np.linspace(low, high, BANDS + 2)
    edges = 700 * (10 ** (mels / 2595) - 1)
    bins = np.fft.rfftfreq(_WINDOW, 1 / SPEECH_RATE)[:, None]
    rise = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.asarray(np.maximum(0, np.minimum(rise, fall)), np.float32)


def find(film: Floats, dub: Floats) -> Finding:
    """How a dub lies on a film, from the `band_levels` of both, which begin at the film's first picture.

    The line that common sound shows is taken where it stands out, else the one of speech.
    """
    if min(len(film), len(dub)) < 3 * ROWS:
        return Finding("nothing")
    common = _search(changes(film), changes(dub), _COMMON, "common sound")
    if common.confidence >= 0.5:
        return common
    spoken = _search(activity(film), activity(dub), _SPEAKING, "speech")
    return max(common, spoken, key=lambda finding: finding.confidence)


def changes(levels: Floats) -> Floats:
    """(N, BANDS) how the level of each band changes, compressed, of mean 0 and deviation 1."""
    smooth = _smoothed(levels, 3)
    step = np.zeros_like(smooth)
    step[2:] = smooth[2:] - smooth[:-2]
    step = np.tanh(step)
    scale = step.std(0)
    return np.asarray(
        np.clip((step - step.mean(0)) / np.maximum(scale, _LEAST_CHANGE), -4, 4), np.float32
    )


def activity(levels: Floats) -> Floats:
    """(M, 1) how much is spoken, `_SPEECH_ROWS` a second, against its mean nearby."""
    step = ROWS // _SPEECH_ROWS
    power = np.exp(levels[:, _SPEECH_BANDS]).sum(1)
    power = power[: len(power) // step * step].reshape(-1, step).mean(1)
    level = np.log(power + _QUIET)
    low, high = np.percentile(level, (15, 90))
    active = np.clip((level - low) / max(high - low, 1e-3), 0, 1)[:, None]
    active = _smoothed(active.astype(np.float32), 5)
    return np.asarray(active - _smoothed(active, 20 * _SPEECH_ROWS + 1), np.float32)


def _smoothed(rows: Floats, width: int) -> Floats:
    """Running mean over ``width`` rows."""
    width = min(width, 2 * (len(rows) // 2) - 1)
    if width < 2:
        return rows
    half = width // 2
    padded = np.pad(rows.astype(np.float64), ((half + 1, half), (0, 0)), "edge")
    sums = np.cumsum(padded, 0)
    return np.asarray((sums[width:] - sums[:-width]) / width, np.float32)


def _search(
    film: Floats, dub: Floats, way: _Way, basis: Literal["common sound", "speech"]
) -> Finding:
    """The line that stands out most, over all ratios."""
    if min(len(film), len(dub)) < way.shortest * way.rows:
        return Finding("nothing")
    best, place = (0.0, 0.0, 0.0, 1.0), None
    for ratio in RATIOS:  # 1 comes first, and another has to be clearly better
        chunks, centers = _correlate(film, _stretched(dub, ratio), way)
        if not len(chunks):
            return Finding("nothing")
        score, offset, slope = _best_line(chunks, centers, way)
        if score > best[0] * (_BETTER if best[3] == 1 and place else 1):
            best, place = (score, offset, slope, ratio), (chunks, centers)
    if place is None:
        return Finding("nothing")
    found = _refined(*place, best, way, basis)
    events = _events(film, _stretched(dub, found.stretch), found.offset, way)
    return replace(found, confidence=found.confidence * min(1.0, events / way.events))


def _events(film: Floats, dub: Floats, offset: float, way: _Way) -> float:
    """At how many moments the two agree: many small ones, or one large that means nothing."""
    late = round(offset * way.rows)
    film, dub = film[max(0, late) :], dub[max(0, -late) :]
    count = min(len(film), len(dub))
    agreement = np.maximum(0, (film[:count] * dub[:count]).sum(1))
    return float(agreement.sum() ** 2 / max(float((agreement**2).sum()), 1e-9))


def _stretched(rows: Floats, ratio: float) -> Floats:
    """Rows of a sound that lasts ``ratio`` times as long."""
    if ratio == 1:
        return rows
    at = np.arange(int(len(rows) * ratio)) / ratio
    low = np.minimum(at.astype(np.int64), len(rows) - 2)
    share = (at - low).astype(np.float32)[:, None]
    return np.asarray(rows[low] * (1 - share) + rows[low + 1] * share, np.float32)


def _correlate(film: Floats, dub: Floats, way: _Way) -> tuple[Floats, Doubles]:
    """(K, L) correlations of K chunks of the film with the dub at every offset, in deviations, and their centers.

    Column j is an offset of ``j - L // 2`` rows: how much later the film has what the dub has.
    """
    reach = min(round(MOST_OFFSET * way.rows), min(len(film), len(dub)) // 2)
    size = round(min(way.chunk * way.rows, max(way.chunk / 6 * way.rows, len(film) / 8)))
    size = min(size, len(film))
    length = 1 << int(np.ceil(np.log2(size + 2 * reach + size)))
    padded = np.pad(dub, ((reach + size, reach + size), (0, 0)))
    found, centers = [], []
    for start in range(0, len(film) - size // 2, size):
        part = film[start : start + size]
        low = start + size  # of the padded dub: `reach` rows before the chunk
        beside = padded[low : low + len(part) + 2 * reach]
        if len(beside) < len(part) + reach or not part.any() or not beside.any():
            continue
        sums = _sums(beside, part, length, reach)
        # at an offset where the dub hardly reaches the chunk sums are small, and make others stand out
        laid = _sums((beside**2).sum(1)[:, None], (part**2).sum(1)[:, None], length, reach)
        there = laid >= _LAID * float((part**2).sum() * (dub**2).sum()) / len(dub)
        if np.count_nonzero(there) < reach:
            continue
        sums -= np.median(sums[there])
        spread = 1.4826 * np.median(np.abs(sums[there]))
        if spread <= 0:
            continue
        sums[~there] = 0
        found.append(np.clip(sums / spread, -4, way.most).astype(np.float32))
        centers.append((start + len(part) / 2) / way.rows)
    if not found:
        return np.zeros((0, 0), np.float32), np.zeros(0)
    return np.stack(found), np.array(centers)


def _sums(beside: Floats, part: Floats, length: int, reach: int) -> Floats:
    """(2 * reach + 1,) sums of products of a chunk ``part`` with what lies ``beside`` it, at every offset."""
    spectra = np.fft.rfft(beside, length, axis=0) * np.conj(np.fft.rfft(part, length, axis=0))
    return np.asarray(np.fft.irfft(spectra.sum(1), length)[: 2 * reach + 1][::-1], np.float64)


def _best_line(chunks: Floats, centers: Doubles, way: _Way) -> tuple[float, float, float]:
    """Score, offset at film second 0 and slope of the line on which the chunks agree most."""
    span = float(centers[-1] - centers[0]) if len(centers) > 1 else 0.0
    steps = int(np.ceil(way.slope * span * way.rows / 2)) if span else 0
    best = (-1.0, 0.0, 0.0)
    middle = chunks.shape[1] // 2
    for step in range(-steps, steps + 1):
        slope = step * 2 / (span * way.rows) if span else 0.0
        moved = np.rint(slope * (centers - centers.mean()) * way.rows).astype(np.int64)
        total = np.zeros(chunks.shape[1], np.float32)
        for row, by in zip(chunks, moved.tolist(), strict=True):
            total += np.roll(row, -by)
        spread = 1.4826 * float(np.median(np.abs(total - np.median(total))))
        at = int(total.argmax())
        score = float(total[at] - np.median(total)) / max(spread, 1e-6)
        if score > best[0]:
            best = (score, (at - middle) / way.rows - slope * float(centers.mean()), slope)
    return best


def _refined(
    chunks: Floats,
    centers: Doubles,
    best: tuple[float, float, float, float],
    way: _Way,
    basis: Literal["common sound", "speech"],
) -> Finding:
    """A line through the chunks' own peaks near the one that was found."""
    score, offset, slope, ratio = best
    middle, reach = chunks.shape[1] // 2, max(1, round(way.near * way.rows))
    times, lags, weights = [], [], []
    for row, center in zip(chunks, centers.tolist(), strict=True):
        at = middle + round((offset + slope * center) * way.rows)
        low, high = at - reach, at + reach + 1
        if low < 1 or high >= len(row):
            continue
        peak = low + int(row[low:high].argmax())
        if row[peak] < 3:
            continue
        times.append(center)
        lags.append((peak - middle + _parabola(row[peak - 1 : peak + 2])) / way.rows)
        weights.append(float(row[peak]))
    if len(times) >= 2:
        offset, slope, errors = _fit(np.array(times), np.array(lags), np.array(weights), way)
    elif times:
        offset, slope, errors = lags[0], 0.0, (1 / way.rows, way.slope)
    else:
        errors = (way.near, way.slope)
    # film = offset + slope * film + ratio * dub
    stretch = ratio / (1 - slope)
    confidence = float(np.clip((score - way.least) / (way.sure - way.least), 0, 1))
    return Finding(basis, offset / (1 - slope), stretch, confidence, *errors, score)


def _parabola(three: Floats) -> float:
    """Where between three values the peak is, -.5 to .5 from the middle one."""
    a, b, c = (float(v) for v in three)
    bend = a - 2 * b + c
    return float(np.clip(0.5 * (a - c) / bend, -0.5, 0.5)) if bend < 0 else 0.0


def _fit(
    times: Doubles, lags: Doubles, weights: Doubles, way: _Way
) -> tuple[float, float, tuple[float, float]]:
    """A line by reweighted least squares; a slope that the data do not show is none. Also its errors."""
    trust = weights.copy()
    line: Sequence[float] = (0.0, float(np.average(lags, weights=weights)))
    for _ in range(12):
        if len(times) >= 4:
            line = np.polyfit(times, lags, 1, w=np.sqrt(trust)).tolist()
        else:
            line = (0.0, float(np.average(lags, weights=trust)))
        left = lags - np.polyval(line, times)
        scale = max(1.4826 * float(np.median(np.abs(left))), 0.2 / way.rows)
        trust = weights / (1 + (left / (2 * scale)) ** 2)
    count = max(1.0, float(trust.sum()) ** 2 / float((trust**2).sum()))
    spread = max(float(times.std()), 1e-6)
    drift_error = scale / np.sqrt(count) / spread if len(times) >= 4 else way.slope
    if abs(line[0]) < _SHOWN * drift_error:
        offset = float(np.average(lags, weights=trust))
        return offset, 0.0, (float(scale / np.sqrt(count)), float(drift_error))
    at_zero = float(np.hypot(scale / np.sqrt(count), drift_error * float(times.mean())))
    return line[1], line[0], (at_zero, float(drift_error))
