"""What is said of a moment follows from the sound near it, so that a corrected line moves no other."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
from hypothesis import given, strategies as st

from dubkit.config.schema import SpeechSettings
from dubkit.media.audio import load_samples
from dubkit.records import Floats, Phoneme
from dubkit.speech import activity
from dubkit.speech.pocketsphinx import PocketsphinxAligner

GAP = 1.0  # seconds between the sentences


def joined(parts: list[Floats]) -> tuple[Floats, list[float]]:
    """Sentences with pauses between them, and where each starts."""
    rest = np.zeros(round(GAP * activity.RATE), np.float32)
    pieces, starts, at = [], [], 0.0
    for part in parts:
        starts.append(at)
        pieces += [part, rest]
        at += (len(part) + len(rest)) / activity.RATE
    return np.concatenate(pieces), starts


def within(phonemes: tuple[Phoneme, ...], start: float, end: float) -> list[tuple[str, float]]:
    return [(p.symbol, p.start) for p in phonemes if start <= p.start < end]


def test_a_corrected_sentence_moves_no_phoneme_of_the_others(data: Path) -> None:
    clips = sorted((data / "grid_s1").glob("*.mp4"))[:6]
    parts = [load_samples(clip) for clip in clips[:5]]
    aligner = PocketsphinxAligner(SpeechSettings())
    before, starts = joined(parts)
    other = load_samples(clips[5])[: len(parts[2])]
    parts[2] = np.pad(other, (0, len(parts[2]) - len(other)))
    after, _ = joined(parts)
    a = aligner.align(before, None, "en").phonemes
    b = aligner.align(after, None, "en").phonemes
    assert within(a, 0, starts[2] - GAP) == within(b, 0, starts[2] - GAP)
    assert within(a, starts[3], 60) == within(b, starts[3], 60)
    assert within(a, starts[2], starts[3] - GAP) != within(b, starts[2], starts[3] - GAP)


spans = st.lists(st.tuples(st.floats(0.1, 9), st.floats(0.13, 3)), min_size=1, max_size=40)


@given(spans)
def test_windows_hold_all_speech_and_none_is_too_long(lengths: list[tuple[float, float]]) -> None:
    at, found = 0.0, []
    for spoken, pause in lengths:
        found.append((at, at + spoken))
        at += spoken + pause
    cut = activity.windows(found, at)
    assert all(b - a <= 20.0 + 1e-6 for a, b in cut)
    assert all(b <= c + 1e-9 for (_, b), (c, _) in pairwise(cut))
    for start, end in found:
        covered = sum(max(0.0, min(b, end) - max(a, start)) for a, b in cut)
        assert covered > end - start - 1e-6


@given(spans, st.integers(0, 39), st.floats(0.2, 5))
def test_what_happens_beyond_long_pauses_moves_no_window(
    lengths: list[tuple[float, float]], which: int, change: float
) -> None:
    which %= len(lengths)

    def laid(change: float) -> tuple[list[activity.Span], float]:
        at, found = 0.0, []
        for i, (spoken, pause) in enumerate(lengths):
            spoken = min(spoken, change) if i == which else spoken
            found.append((at, at + spoken))
            at = round(at + (lengths[i][0] + pause), 6)
        return found, at

    first, end = laid(99.0)
    second, _ = laid(change)
    border = next(
        (a for a, b in reversed(list(pairwise(first))[:which]) if b[0] - a[1] > 0.7),
        None,
    )
    if border is not None:
        kept = [w for w in activity.windows(first, end) if w[1] <= border[1]]
        assert kept == [w for w in activity.windows(second, end) if w[1] <= border[1]]
