"""The four things pocketsphinx does for us, each on one short piece of sound.

Its acoustic model, dictionary and language models are inside its wheel. A piece of sound is mono 16 kHz
float; times in the results are seconds from the start of the piece.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from pocketsphinx import Decoder, get_model_path
from pocketsphinx.lm import ArpaBoLM

from dubkit.engines.g2p import SILENCE, pronounce
from dubkit.records import Floats

_HOP = 0.01  # seconds of a frame of the acoustic model

Phones = list[tuple[str, float, float, int | None]]  # ARPAbet or sil, start, end, word number
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
        # slower; gets through clipped words and words that are not quite what is said
        return Decoder(
            lm=None, bestpath=False, beam=1e-200, wbeam=1e-200, pbeam=1e-200, loglevel="FATAL"
        )

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

    def force(self, samples: Floats, words: Sequence[str]) -> Forced | None:
        """Align exactly these words; None where no path through the sound says them."""
        found = _force(self._forced, samples, words)
        return _force(self._patient, samples, words) if found is None else found

    def loop(self, samples: Floats) -> Phones:
        """Phones by sound alone, no words: works in every language."""
        decoder = self._loop
        _decode(decoder, samples)
        return [
            (_symbol(s.word), s.start_frame * _HOP, (s.end_frame + 1) * _HOP, None)
            for s in decoder.seg() or ()
        ]

    def recognise(self, samples: Floats) -> Words:
        """Words of free English speech."""
        return _heard(self._free, samples)

    def guide(self, script: Sequence[Sequence[str]]) -> None:
        """Make `recognise_guided` expect the words of this script, given by line."""
        decoder = self._guided
        _teach(decoder, {word for line in script for word in line})
        text = "\n".join(f"<s> {' '.join(line)} </s>" for line in script if line)
        with TemporaryDirectory(prefix="dubkit-") as folder:
            path = Path(folder) / "script.arpa"
            model = ArpaBoLM(text=text)
            model.compute()
            with path.open("w", encoding="utf-8") as file:
                model.write(file)
            decoder.add_lm_file("script", str(path))
        decoder.activate_search("script")

    def recognise_guided(self, samples: Floats) -> Words:
        """Words of speech that mostly follows the script given to `guide`."""
        return _heard(self._guided, samples)


def _teach(decoder: Decoder, words: Iterable[str]) -> None:
    unknown = [word for word in sorted(set(words)) if decoder.lookup_word(word) is None]
    for word in unknown:
        # the decoder rebuilds its search after the last one only: that is what takes time
        decoder.add_word(word, pronounce(word) or "AH", word == unknown[-1])


def _force(decoder: Decoder, samples: Floats, words: Sequence[str]) -> Forced | None:
    _teach(decoder, words)
    try:
        decoder.set_align_text(" ".join(words))
        _decode(decoder, samples)
        decoder.set_alignment()
        _decode(decoder, samples)
        alignment = decoder.get_alignment()
    except RuntimeError:
        return None
    phones: Phones = []
    scores: list[float] = []
    number = -1
    for entry in alignment.words() if alignment is not None else ():
        spoken = entry.name[0] not in "<[+"
        number += spoken
        for phone in entry:
            start, end = phone.start * _HOP, (phone.start + phone.duration) * _HOP
            phones.append((_symbol(phone.name), start, end, number if spoken else None))
            if spoken:
                scores.append(phone.score / max(1, phone.duration))
    return Forced(phones, float(np.median(scores))) if number + 1 == len(words) else None


def _decode(decoder: Decoder, samples: Floats) -> None:
    pcm = (np.clip(samples, -1.0, 1.0) * 32767).astype("<i2").tobytes()
    decoder.start_utt()
    decoder.process_raw(pcm, full_utt=True)
    decoder.end_utt()


def _heard(decoder: Decoder, samples: Floats) -> Words:
    _decode(decoder, samples)
    return [
        (s.word.partition("(")[0], s.start_frame * _HOP, (s.end_frame + 1) * _HOP)
        for s in decoder.seg() or ()
        if s.word[0] not in "<[+"
    ]


def _symbol(name: str) -> str:
    return SILENCE if name == "SIL" or name.startswith("+") else name
