"""The four things pocketsphinx does for us, each on one short piece of sound, and its phones as phonemes of a dub.

Its acoustic model, dictionary and language models are inside its wheel. A piece of sound is mono 16 kHz
float; times in the results are seconds from the start of the piece.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from pocketsphinx import Decoder, get_model_path
from pocketsphinx.lm import ArpaBoLM

from dubkit.records import SILENCE, Floats, Phoneme, Word
from dubkit.speech import activity, g2p, phone_map

_HOP = 0.01  # seconds of a frame of the acoustic model
_ROUNDING = 1e-6  # seconds; what is shorter is rounding

Phones = list[tuple[str, float, float, int | None]]  # IPA or sil, start, end, word number
Words = list[tuple[str, float, float]]


@dataclass(frozen=True, slots=True)
class Forced:
    """A forced alignment: phones, and how well they fit the sound.

    ``fit`` is the median over the spoken phones of their acoustic score a frame (a log likelihood against
    the frame's best senone, so at most 0). Measured on 24 clips: -9 to -22 with the right words, -29 to
    -82 with other sentences.
    """

    phones: Phones
    fit: float
    word_fits: tuple[float, ...] = ()  # the same of every word


class Decoders:
    """Decoders are made when first needed, and kept; each holds the acoustic model."""

    @cached_property
    def _forced(self) -> Decoder:
        # bestpath and narrow beams make the phone pass fail ("Alignment failed")
        return Decoder(
            lm=None, bestpath=False, beam=1e-80, wbeam=1e-60, pbeam=1e-80, loglevel="FATAL"
        )

    @cached_property
    def _patient(self) -> Decoder:
        # drops no path: slower; gets through clipped words, other languages and other voices
        return Decoder(lm=None, bestpath=False, beam=0, wbeam=0, pbeam=0, loglevel="FATAL")

    @cached_property
    def _loop(self) -> Decoder:
        model = str(Path(get_model_path("en-us")) / "en-us-phone.lm.bin")
        return Decoder(allphone=model, lm=None, lw=2.0, beam=1e-20, pbeam=1e-20, loglevel="FATAL")

    @cached_property
    def _free(self) -> Decoder:
        model = str(Path(get_model_path("en-us")) / "en-us.lm.bin")
        # limits keep noise and music from taking longer than they last
        return Decoder(lm=model, bestpath=False, maxhmmpf=3000, maxwpf=20, loglevel="FATAL")

    @cached_property
    def _guided(self) -> Decoder:
        return Decoder(lm=None, bestpath=False, loglevel="FATAL")

    def force(self, samples: Floats, words: Sequence[phone_map.Spoken]) -> Forced | None:
        """Align exactly these words; None where no path through the sound says them."""
        found = _force(self._forced, samples, words)
        return _force(self._patient, samples, words) if found is None else found

    def loop(self, samples: Floats) -> Phones:
        """Phones by sound alone, no words: works in every language."""
        decoder = self._loop
        _decode(decoder, samples)
        return [
            (g2p.IPA.get(s.word, SILENCE), s.start_frame * _HOP, (s.end_frame + 1) * _HOP, None)
            for s in decoder.seg() or ()
        ]

    def recognize(self, samples: Floats) -> Words:
        """Words of free English speech."""
        return _recognized(self._free, samples)

    def guide(self, script: Sequence[Sequence[phone_map.Spoken]]) -> None:
        """Make `recognize_guided` expect the words of this script, given by line."""
        decoder = self._guided
        _add_words(decoder, [word for line in script for word in line])
        names = (" ".join(word.name for word in line) for line in script if line)
        text = "\n".join(f"<s> {line} </s>" for line in names)
        with TemporaryDirectory(prefix="dubkit-") as folder:
            path = Path(folder) / "script.arpa"
            model = ArpaBoLM(text=text)
            model.compute()
            with path.open("w", encoding="utf-8") as file:
                model.write(file)
            decoder.add_lm_file("script", str(path))
        decoder.activate_search("script")

    def recognize_guided(self, samples: Floats) -> Words:
        """Words, by name, of speech that mostly follows the script given to `guide`."""
        return _recognized(self._guided, samples)


def _add_words(decoder: Decoder, words: Iterable[phone_map.Spoken]) -> None:
    pronunciations = {word.name: word.phones for word in words if word.groups}
    unknown = [name for name in sorted(pronunciations) if decoder.lookup_word(name) is None]
    for name in unknown:
        # the decoder rebuilds its search after the last one only: that is what takes time
        decoder.add_word(name, pronunciations[name], name == unknown[-1])


def _force(decoder: Decoder, samples: Floats, words: Sequence[phone_map.Spoken]) -> Forced | None:
    _add_words(decoder, words)
    try:
        decoder.set_align_text(" ".join(word.name for word in words))
        _decode(decoder, samples)
        decoder.set_alignment()
        _decode(decoder, samples)
        alignment = decoder.get_alignment()
    except RuntimeError:
        return None
    phones: Phones = []
    scores: list[list[float]] = []
    for entry in alignment.words() if alignment is not None else ():
        found = [
            (p.name, p.start * _HOP, (p.start + p.duration) * _HOP, p.score / max(1, p.duration))
            for p in entry
        ]
        if entry.name[0] in "<[+":
            phones += [(SILENCE, start, end, None) for _, start, end, _ in found]
        elif len(scores) < len(words):
            phones += _grouped(words[len(scores)], [f[:3] for f in found], len(scores))
            scores.append([score for *_, score in found])
    if len(scores) < len(words):
        return None
    fit = float(np.median([score for word in scores for score in word]))
    return Forced(phones, fit, tuple(float(np.mean(word)) for word in scores))


def _grouped(word: phone_map.Spoken, found: list[tuple[str, float, float]], number: int) -> Phones:
    """A word's phones back as its own symbols."""
    if not word.groups:
        return [(g2p.IPA.get(phone, SILENCE), start, end, number) for phone, start, end in found]
    phones: Phones = []
    at = 0
    for symbol, group in zip(word.symbols, word.groups, strict=True):
        part = found[at : at + len(group)]
        at += len(group)
        if part:
            phones.append((symbol, part[0][1], part[-1][2], number))
    return phones


def _decode(decoder: Decoder, samples: Floats) -> None:
    pcm = (np.clip(activity.normalized(samples), -1.0, 1.0) * 32767).astype("<i2").tobytes()
    decoder.reinit_feat(decoder.config)  # else the features of a piece depend on the one before it
    decoder.start_utt()
    decoder.process_raw(pcm, full_utt=True)
    decoder.end_utt()


def _recognized(decoder: Decoder, samples: Floats) -> Words:
    _decode(decoder, samples)
    return [
        (s.word.partition("(")[0], s.start_frame * _HOP, (s.end_frame + 1) * _HOP)
        for s in decoder.seg() or ()
        if s.word[0] not in "<[+"
    ]


def silence_inaudible(phones: Phones, dead: Sequence[activity.Span]) -> Phones:
    """The phones without those in the inaudible spans ``dead`` (rising); phones that reach into one are shortened."""
    audible: Phones = []
    at = 0
    for symbol, start, end, word in phones:
        while at < len(dead) and dead[at][1] <= start:
            at += 1
        kept = (start, end)
        if at < len(dead) and symbol != SILENCE:
            low, high = dead[at]
            if low <= start < high:
                kept = (min(high, end), end)
            elif start < low < end:
                kept = (start, low)
        if kept[1] - kept[0] > 0.005:
            audible.append((symbol, *kept, word))
    return audible


def tile(
    texts: Sequence[str],
    phones: Phones,
    duration: float,
    scores: Sequence[float] | None = None,
) -> tuple[tuple[Word, ...], tuple[Phoneme, ...]]:
    """Words, and phonemes that tile ``0 .. duration``: gaps become silence, silences are joined.

    Words without an audible phone are left out.
    """
    phonemes: list[Phoneme] = []
    spans: dict[int, list[float]] = {}
    order: list[int] = []
    at = 0.0
    for symbol, start, end, word in phones:
        start, end = max(at, min(start, duration)), min(end, duration)
        if end - start <= _ROUNDING:
            continue
        if start - at > _ROUNDING:
            phonemes.append(Phoneme(SILENCE, at, start))
        else:
            start = at
        if word is not None:
            if word not in spans:
                order.append(word)
            spans.setdefault(word, [start, end])[1] = end
        phonemes.append(Phoneme(symbol, start, end, None if word is None else len(order) - 1))
        at = end
    if duration - at > _ROUNDING:
        phonemes.append(Phoneme(SILENCE, at, duration))
    elif phonemes:
        phonemes[-1] = replace(phonemes[-1], end=duration)
    found = [1.0 if scores is None else scores[i] for i in order]
    words = tuple(
        Word(texts[i], spans[i][0], spans[i][1], score)
        for i, score in zip(order, found, strict=True)
    )
    return words, _joined(phonemes)


def _joined(phonemes: list[Phoneme]) -> tuple[Phoneme, ...]:
    joined: list[Phoneme] = []
    for phoneme in phonemes:
        if joined and phoneme.symbol == SILENCE == joined[-1].symbol:
            joined[-1] = Phoneme(SILENCE, joined[-1].start, phoneme.end)
        else:
            joined.append(phoneme)
    return tuple(joined)
