"""Where a track holds speech: loud spans and windows, silence, and what is loud without being speech.

Levels are of 10 ms frames, like those of the acoustic model. All times are seconds. Whether a moment is speech follows
from the sound near it, since a corrected line must not move the words of others; of the whole track only its loudness
is used, in coarse steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from dubkit.media.audio import parts, release_pages
from dubkit.records import GRID_STEP, SILENCE, Doubles, Floats, Mask, Phoneme
from dubkit.speech.mel_levels import SAMPLE_RATE, stretch

LANGUAGE_SECONDS = 30.0  # of speech by which a language is detected
RATE = 16000
FRAME = 160
FRAMES_A_SECOND = 100
SILENT = -66.0  # dB of full scale: a track whose loudest frames stay below this is silent
COARSE = 6.0  # dB: steps in which a track's loudness is taken
DEAD = -50.0  # dB below the track's own speech level: inaudible, whatever an aligner finds there

_BLOCK = 2**20

Span = tuple[float, float]
Levels = Doubles


def clean(samples: Floats) -> Floats:
    """The samples as one row of finite numbers, which any engine accepts; not copied without need."""
    flat = np.asarray(samples, np.float32).reshape(-1)
    # a film's track must not be copied whole without need
    if all(bool(np.isfinite(part).all()) for part in parts(flat, _BLOCK)):
        return flat
    return np.nan_to_num(flat, posinf=0.0, neginf=0.0)


def normalized(piece: Floats) -> Floats:
    """A piece of sound with its peak at 0.7 and its mean at 0; silence stays silence."""
    centered = piece - piece.mean(dtype=np.float64) if len(piece) else piece
    peak = float(np.abs(centered).max(initial=0.0))
    if peak < 10 ** (SILENT / 20):
        return np.zeros_like(piece, np.float32)
    return np.asarray(centered * (0.7 / peak), np.float32)


def levels(samples: Floats) -> Levels:
    """Level of every 10 ms frame in dB of full scale without its offset, a last part of a frame included."""
    count = -(-len(samples) // FRAME)
    power = np.empty(count)
    at = 0
    # a minute at a time: a film's track must not be copied whole
    for minute in parts(samples, 60 * RATE):
        part = minute.astype(np.float64)
        part = np.pad(part, (0, -len(part) % FRAME)).reshape(-1, FRAME)
        power[at : at + len(part)] = part.var(1)
        at += len(part)
    return np.asarray(10 * np.log10(power + 1e-12))


def speech_level(level: Levels) -> float:
    """The level of the loud part of a track, dB, in steps of `COARSE`."""
    return _coarse(level, 95) if len(level) else -np.inf


def _coarse(level: Levels, percent: float) -> float:
    return COARSE * round(float(np.percentile(level, percent)) / COARSE)


def voiced_spans(level: Levels, gap: float = 0.2) -> list[Span]:
    """Spans that may hold speech, merged over pauses shorter than ``gap`` seconds."""
    loud = speech_level(level)
    if loud < SILENT:
        return []
    floor = _coarse(level, 5)
    threshold = max(loud - 35.0, min(floor + 0.3 * (loud - floor), loud - 12.0))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], level > threshold, [0]]).astype(int)))
    spans: list[Span] = []
    for start, end in (edges.reshape(-1, 2) / FRAMES_A_SECOND).tolist():
        if spans and start - spans[-1][1] < gap:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return [span for span in spans if span[1] - span[0] >= 0.05]


def windows(
    spans: list[Span], duration: float, longest: float = 20.0, pad: float = 0.25
) -> list[Span]:
    """Cut a track into windows at its pauses, none longer than ``longest``, without its long silences.

    A stretch between two long pauses is cut at its longest inner pause until all parts are short enough, so
    where it is cut depends on that stretch alone.
    """
    pieces: list[Span] = []
    stretch: list[Span] = []
    for span in spans:
        if stretch and span[0] - stretch[-1][1] > 0.7:
            pieces += _cut(stretch, longest - 2 * pad)
            stretch = []
        stretch.append(span)
    return _padded(pieces + (_cut(stretch, longest - 2 * pad) if stretch else []), duration, pad)


def _cut(stretch: list[Span], longest: float) -> list[Span]:
    start, end = stretch[0][0], stretch[-1][1]
    if end - start <= longest:
        return [(start, end)]
    if len(stretch) == 1:  # one long span without a pause to cut at: equal parts
        parts = int(np.ceil((end - start) / longest))
        return list(pairwise(np.linspace(start, end, parts + 1).tolist()))
    # of pauses alike, the one nearest the middle
    middle = (start + end) / 2
    best = max(
        range(1, len(stretch)),
        key=lambda i: (
            round(stretch[i][0] - stretch[i - 1][1], 2),
            -abs(stretch[i][0] - middle),
        ),
    )
    return _cut(stretch[:best], longest) + _cut(stretch[best:], longest)


def _padded(pieces: list[Span], duration: float, pad: float) -> list[Span]:
    padded: list[Span] = []
    for i, (start, end) in enumerate(pieces):
        before = pieces[i - 1][1] if i else 0.0
        after = pieces[i + 1][0] if i + 1 < len(pieces) else duration
        # on a coarse grid, so that a slightly different threshold rarely moves a window
        low = max(_snapped(start - pad), _snapped((before + start) / 2))
        high = min(_snapped(end + pad), _snapped((end + after) / 2))
        padded.append((max(min(low, start), 0.0), min(max(high, end), duration)))
    return padded


def _snapped(time: float) -> float:
    return round(time * 10) / 10


def dead_spans(level: Levels, shortest: float = 0.25) -> list[Span]:
    """Spans too quiet to hold speech."""
    quiet = level < max(speech_level(level) + DEAD, -90.0)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], quiet, [0]]).astype(int)))
    spans = (edges.reshape(-1, 2) / FRAMES_A_SECOND).tolist()
    return [(start, end) for start, end in spans if end - start >= shortest]


_CLEAR = 15.0  # dB below the loud part of a track: voices, not breath and room noise


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
        sound = clean(samples)
        level = levels(sound)
        return cls(sound, len(samples) / RATE, level, voiced_spans(level, 0.12))

    def cut(self, start: float, end: float) -> Floats:
        """The samples of a stretch."""
        release_pages(self.samples)
        return self.samples[round(start * RATE) : round(end * RATE)]

    def speech(self, seconds: float) -> Floats:
        """The first ``seconds`` of what is not silent, one stretch after the other."""
        parts = [self.cut(start, end) for start, end in self.windows()]
        sound = np.concatenate([*parts, np.zeros(0, np.float32)])
        return np.asarray(sound[: round(seconds * RATE)], np.float32)

    def windows(self, start: float = 0.0, end: float = float("inf")) -> list[Span]:
        """The windows that hold speech between two moments."""
        whole = windows(self.spans, self.duration)
        cut = [(max(a, start), min(b, end)) for a, b in whole]
        return [(a, b) for a, b in cut if b - a > 0.05]

    def clear(self, start: float, end: float) -> float:
        """Seconds of a stretch that are about as loud as this track's speech."""
        low, high = (round(time * FRAMES_A_SECOND) for time in (start, end))
        level = self.level[max(0, low) : max(0, high)]
        return float((level > speech_level(self.level) - _CLEAR).sum()) / FRAMES_A_SECOND

    def pauses(self) -> list[Span]:
        """What lies between the loud spans."""
        edges = [0.0, *(t for span in self.spans for t in span), self.duration]
        return list(zip(edges[::2], edges[1::2], strict=True))


REACH = 0.75  # seconds to either side
LOW, HIGH = 70, 400  # Hz, of voices
VOICED = 0.6  # correlation with itself a pitch period later
BREATHY = 0.4  # less, and there is no voice at all
ACTIVE_DB = 25.0  # under the loudest near sound by more is no sound
STILL = 0.004  # octaves between cells: a pitch that stands
STANDS = 0.55  # share of standing pitch in music; of a hundred windows of speech two have .5
PAUSES = 0.2  # share of cells under half the mean power; speech has .3 and more
EVEN_DB = 2.0  # deviation of the level; clear speech has 5 and more, speech over a bad radio 2.5
HOARSE = 0.35  # seconds without voice; of a hundred windows of clear speech two have .26
FAINT_DB = -60.0  # no sound at all
_WINDOW, _HOP = 640, round(GRID_STEP * SAMPLE_RATE)  # samples
_SPAN = np.arange(2 * _WINDOW)
_CHUNK = 512  # cells at once
_EVERY = 5  # cells between two looks for music

Cells = Doubles


def silence_unspoken(phonemes: Sequence[Phoneme], nothing: Mask) -> tuple[Phoneme, ...]:
    """Phonemes that lie mostly where nothing is spoken, the cells ``nothing`` of `unspoken`, become silence."""
    kept: list[Phoneme] = []
    for phoneme in phonemes:
        low, high = (round(t / GRID_STEP) for t in (phoneme.start, phoneme.end))
        here = nothing[low : max(high, low + 1)]
        silent = len(here) > 0 and here.mean() > 0.5
        kept.append(Phoneme(SILENCE, phoneme.start, phoneme.end) if silent else phoneme)
    return tuple(kept)


def unspoken(samples: Floats) -> Mask:
    """(N,) cells of `GRID_STEP` seconds that are loud without being speech."""
    voicing, pitch, level = _voice(samples)
    found = np.zeros(len(level), np.bool_)
    reach = round(REACH / GRID_STEP)
    for at in range(0, len(level), _EVERY):
        near = slice(max(0, at - reach), at + reach + 1)
        if _is_music(voicing[near], pitch[near], level[near]):
            found[max(0, at - _EVERY // 2) : at + _EVERY // 2 + 1] = True
    return np.logical_or(found, _is_breath(voicing, level, reach))


def spans_of(cells: Mask) -> tuple[Span, ...]:
    """The unbroken runs of ``cells`` (N,), cells of `GRID_STEP` seconds, as spans in seconds."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], cells, [False]]).astype(np.int8)))
    spans = np.round(edges.reshape(-1, 2) * GRID_STEP, 3).tolist()
    return tuple((begin, end) for begin, end in spans)


def _is_music(voicing: Cells, pitch: Cells, level: Cells) -> bool:
    if level.max() < FAINT_DB or len(level) < 20:
        return False
    power = 10 ** (level / 10)
    if (power < 0.5 * power.mean()).mean() > PAUSES:
        return False
    if level.std() < EVEN_DB:
        return True
    tone = (voicing > VOICED) & (level > level.max() - ACTIVE_DB)
    both = tone[1:] & tone[:-1]
    return bool(both.sum() > 3 and (np.abs(np.diff(pitch))[both] < STILL).mean() > STANDS)


def _is_breath(voicing: Cells, level: Cells, reach: int) -> Mask:
    """(N,) long runs of sound without voice."""
    if not len(level):
        return np.zeros(0, np.bool_)
    padded = np.pad(level, reach, constant_values=-np.inf)
    loudest = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).max(1)
    hoarse: Mask = (level > np.maximum(loudest - ACTIVE_DB, FAINT_DB)) & (voicing <= BREATHY)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], hoarse, [False]]).astype(np.int8)))
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        hoarse[begin:end] = (end - begin) * GRID_STEP >= HOARSE
    return hoarse


def _voice(samples: Floats) -> tuple[Cells, Cells, Cells]:
    """Per cell: how periodic the sound is (-1..1), its pitch in octaves over 1 Hz, its level in dB of full scale."""
    count = -(-len(samples) // _HOP)
    parts = [
        _periodicity(_windows(samples, at, min(at + _CHUNK, count)))
        for at in range(0, count, _CHUNK)
    ]
    if not parts:
        return np.zeros(0), np.zeros(0), np.zeros(0)
    voicing, pitch, level = (np.concatenate(column) for column in zip(*parts, strict=True))
    return voicing, pitch, level


def _windows(samples: Floats, first: int, last: int) -> Cells:
    """(last - first, 2 W) the sound from each of these cells on."""
    near: Cells = stretch(samples, first * _HOP, last * _HOP + 2 * _WINDOW).astype(np.float64)
    pieces: Cells = near[np.arange(last - first)[:, None] * _HOP + _SPAN]
    return pieces


def _periodicity(pieces: Cells) -> tuple[Cells, Cells, Cells]:
    """Normalized cross-correlation of a window (n, 2 W) with itself a period later."""
    pieces = pieces - pieces.mean(1, keepdims=True)
    first, size = pieces[:, :_WINDOW], 4 * _WINDOW
    spectra = np.conj(np.fft.rfft(first, size)) * np.fft.rfft(pieces, size)
    agreed = np.fft.irfft(spectra)[:, :_WINDOW]
    energy = (first**2).sum(1)
    running = np.cumsum(np.pad(pieces**2, ((0, 0), (1, 0))), 1)
    later = running[:, _WINDOW : 2 * _WINDOW] - running[:, :_WINDOW]
    relative = agreed / np.sqrt(np.maximum(energy[:, None] * later, 1e-9))
    lags = np.arange(SAMPLE_RATE // HIGH, SAMPLE_RATE // LOW)
    best = relative[:, lags].argmax(1)
    pitch = np.log2(SAMPLE_RATE / lags[best])
    return relative[:, lags].max(1), pitch, 10 * np.log10(energy / _WINDOW + 1e-10)
