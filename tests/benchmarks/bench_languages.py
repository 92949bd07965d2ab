"""How exactly other languages are aligned. Run by hand: ``pytest -m benchmark -s``.

espeak-ng speaks each text and tells where its words and phonemes are. To reach: a median error of 40 ms.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import unicodedata
from collections.abc import Sequence
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dubkit.config.schema import SpeechSettings
from dubkit.media.audio import load_samples
from dubkit.records import Phoneme, ScriptLine
from dubkit.speech.espeak import espeak
from dubkit.speech.pocketsphinx import PocketsphinxAligner

SPEAKER = Path(__file__).with_name("espeak_speech.py")
TEXTS = {
    "de": "Guten Morgen, meine Damen und Herren. Wir haben heute einen wunderschönen Tag, und ich möchte "
    "Ihnen etwas zeigen. Der alte Bahnhof liegt hinter dem Fluss. Früher fuhren hier viele Züge nach Süden.",
    "fr": "Bonjour à tous, je suis très heureux de vous voir ce matin. Nous allons parler de la mer et des "
    "bateaux. Le vieux port se trouve derrière la grande place. Autrefois, beaucoup de navires partaient "
    "vers le sud.",
    "es": "Buenos días a todos, me alegra mucho verlos esta mañana. Vamos a hablar del mar y de los barcos. "
    "El puerto viejo está detrás de la plaza grande. Antes salían muchos barcos hacia el sur.",
    "ru": "Доброе утро, дорогие друзья. Сегодня прекрасная погода, и я хочу показать вам кое что. Старый "
    "вокзал находится за рекой. Раньше отсюда уходило много поездов на юг.",
    "it": "Buongiorno a tutti, sono molto felice di vedervi questa mattina. Parleremo del mare e delle "
    "barche. Il vecchio porto si trova dietro la grande piazza. Una volta molte navi partivano verso sud.",
    "zh": "大家早上好，很高兴今天见到你们。我们要谈谈大海和船。老港口在大广场的后面。以前有很多船从这里往南走。",
}


def phone_errors(
    found: Sequence[Phoneme], true: Sequence[tuple[str, float, float]]
) -> tuple[NDArray[np.float64], float]:
    """How far the starts of phones are from the true ones, seconds, over those that both tell in one order;
    and the share of the true ones that this is.
    """
    said = [(_plain(p.symbol), p.start) for p in found if p.symbol != "sil"]
    told = [(_plain(symbol), start) for symbol, start, _ in true]
    a, b = ([symbol for symbol, _ in row] for row in (said, told))
    blocks = SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks()
    pairs = [(block.a + i, block.b + i) for block in blocks for i in range(block.size)]
    return np.abs([said[i][1] - told[j][1] for i, j in pairs]), len(pairs) / len(told)


def _plain(symbol: str) -> str:
    """Without length and other marks, which a sentence changes."""
    return "".join(c for c in symbol if unicodedata.category(c) in ("Ll", "Lo"))


@pytest.mark.benchmark
@pytest.mark.parametrize("language", TEXTS)
def test_words_of_other_languages_are_found_within_hundredths_of_a_second(
    language: str, tmp_path: Path
) -> None:
    text, voice = TEXTS[language], espeak().languages()[language].voice
    command = [sys.executable, str(SPEAKER), voice, str(tmp_path / "dub")]
    root = str(Path(__file__).resolve().parents[2])
    subprocess.run(command, input=text.encode(), check=True, env={**os.environ, "PYTHONPATH": root})
    told = json.loads((tmp_path / "dub.json").read_text(encoding="utf-8"))
    samples = load_samples(tmp_path / "dub.wav")
    speech = PocketsphinxAligner(SpeechSettings()).align(samples, (ScriptLine(text),), language)
    places, at = {}, 0
    for word in speech.words:
        at = text.lower().index(word.text, at)
        places[at] = word
        at += len(word.text)
    errors = [places[place].start - start for place, start, _ in told["words"] if place in places]
    phones, shared = phone_errors(speech.phonemes, told["phonemes"])
    missing = 1 - len(errors) / len(told["words"])
    size = np.abs(errors)
    sys.stdout.write(
        f"\n{language}: {len(errors)} words, {missing:.0%} missing, median error "
        f"{np.median(size) * 1000:.0f} ms, within 50 ms {(size <= 0.051).mean():.1%}; phones "
        f"({shared:.0%} of them are the same): {np.median(phones) * 1000:.0f} ms, within 50 ms "
        f"{(phones <= 0.051).mean():.1%}\n"
    )
    assert missing < 0.1
    assert np.median(phones) <= 0.04
    assert np.median(size) <= 0.04
