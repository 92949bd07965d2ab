"""How exactly pocketsphinx aligns real speech, and how fast. Run by hand: ``pytest -m benchmark -s``.

The GRID corpus states when each word starts and ends (25,000 units are a second). To reach: a median error of
10 ms and 88 % of the boundaries within 50 ms.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pytest

from dubkit.config.schema import SpeechSettings
from dubkit.media.audio import load_samples
from dubkit.records import ScriptLine
from dubkit.speech.pocketsphinx import PocketsphinxAligner

CLIPS = 40


@pytest.mark.benchmark
def test_words_of_real_speech_are_found_within_hundredths_of_a_second(data: Path) -> None:
    aligner = PocketsphinxAligner(SpeechSettings())
    errors: list[float] = []
    seconds = took = 0.0
    for path in sorted((data / "grid_s1").glob("*.align"))[:CLIPS]:
        lines = [line.split() for line in path.read_text(encoding="ascii").splitlines()]
        marks = [(int(a) / 25000, int(b) / 25000, w) for a, b, w in lines if w not in ("sil", "sp")]
        samples = load_samples(path.with_suffix(".mp4"))
        began = time.process_time()
        speech = aligner.align(samples, (ScriptLine(" ".join(w for *_, w in marks)),), "en")
        took += time.process_time() - began
        seconds += len(samples) / 16000
        assert [word.text for word in speech.words] == [w for *_, w in marks]
        for word, (start, end, _) in zip(speech.words, marks, strict=True):
            errors += [word.start - start, word.end - end]
    size = np.abs(errors)
    within = {limit: float((size <= limit + 1e-3).mean()) for limit in (0.05, 0.1)}
    sys.stdout.write(
        f"\n{CLIPS} clips: median error {np.median(size) * 1000:.0f} ms, bias "
        f"{np.median(errors) * 1000:+.0f} ms, within 50 ms {within[0.05]:.1%}, within 100 ms "
        f"{within[0.1]:.1%}, {seconds / took:.1f} times faster than real time\n"
    )
    assert np.median(size) <= 0.0105
    assert within[0.05] >= 0.88


@pytest.mark.benchmark
def test_words_that_are_recognized_lie_where_the_script_has_them(data: Path) -> None:
    """Without a script, against the script's own result, over the words that both have."""
    aligner = PocketsphinxAligner(SpeechSettings())
    errors: list[float] = []
    words = heard = 0
    for path in sorted((data / "grid_s1").glob("*.align"))[:CLIPS]:
        lines = [line.split() for line in path.read_text(encoding="ascii").splitlines()]
        text = " ".join(w for *_, w in lines if w not in ("sil", "sp"))
        samples = load_samples(path.with_suffix(".mp4"))
        told = aligner.align(samples, (ScriptLine(text),), "en").words
        free = aligner.align(samples, None, "en").words
        words += len(told)
        for word in told:
            near = [w for w in free if w.text == word.text and abs(w.start - word.start) < 0.5]
            heard += bool(near)
            errors += [near[0].start - word.start, near[0].end - word.end] if near else []
    size = np.abs(errors)
    sys.stdout.write(
        f"\nwithout a script: {heard / words:.1%} of the words are recognized; of those, median error "
        f"{np.median(size) * 1000:.0f} ms, within 50 ms {(size <= 0.051).mean():.1%}\n"
    )
    assert np.median(size) <= 0.02
