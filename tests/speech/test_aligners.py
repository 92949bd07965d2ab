"""Every embedded aligner keeps the protocol's promises, and pocketsphinx aligns."""

from __future__ import annotations

import numpy as np
import pytest

from dubkit.config.schema import SpeechSettings
from dubkit.engines.base import Aligner
from dubkit.errors import InputError
from dubkit.media.audio import load_samples
from dubkit.media.script import read_script
from dubkit.records import Floats, ScriptLine
from dubkit.speech.g2p import words_of
from dubkit.speech.phone_map import Spoken, english
from dubkit.speech.pocketsphinx import PocketsphinxAligner
from dubkit.speech.sphinx_decoders import Decoders
from dubkit.speech.uniform import EvenAligner
from tests.engines.conformance import RATE, SOUNDS, assert_tiles
from tests.portrait import ASSETS

HELLO = (ScriptLine("Hello world."),)


@pytest.fixture(scope="module")
def dub() -> Floats:
    return load_samples(ASSETS / "dub.flac")


@pytest.fixture(scope="module")
def script() -> tuple[ScriptLine, ...]:
    return read_script(ASSETS / "dub.txt")


@pytest.fixture(scope="module")
def sphinx() -> PocketsphinxAligner:
    return PocketsphinxAligner(SpeechSettings(aligner="pocketsphinx"))


@pytest.mark.parametrize("sound", SOUNDS)
@pytest.mark.parametrize("lines", [None, HELLO], ids=["no script", "script"])
@pytest.mark.parametrize("engine", ["pocketsphinx", "even"])
def test_any_sound_gives_phonemes_that_tile_it(
    engine: str,
    lines: tuple[ScriptLine, ...] | None,
    sound: str,
    dub: Floats,
    sphinx: PocketsphinxAligner,
) -> None:
    aligner: Aligner = sphinx if engine == "pocketsphinx" else EvenAligner(SpeechSettings())
    samples = SOUNDS[sound](dub)
    try:
        speech = aligner.align(samples, lines, "en")
    except InputError:  # the script is not what this says: a deliberate answer too
        assert (engine, lines) == ("pocketsphinx", HELLO)
        return
    assert_tiles(speech, samples)


def test_a_silent_dub_is_all_silence_and_says_so(sphinx: PocketsphinxAligner) -> None:
    speech = sphinx.align(np.zeros(2 * RATE, np.float32), HELLO, "en")
    assert speech.path == "silence"
    assert [p.symbol for p in speech.phonemes] == ["sil"]
    assert any("silent" in warning for warning in speech.warnings)


def test_a_script_is_aligned_word_by_word(
    sphinx: PocketsphinxAligner, dub: Floats, script: tuple[ScriptLine, ...]
) -> None:
    speech = sphinx.align(dub, script, None)
    assert speech.path == "script"
    assert not speech.warnings
    expected = [word for line in script for word in words_of(line.text)]
    assert [word.text for word in speech.words] == expected
    assert [w.start for w in speech.words] == sorted(w.start for w in speech.words)


def test_equal_input_gives_an_equal_alignment(dub: Floats, script: tuple[ScriptLine, ...]) -> None:
    first, second = (
        PocketsphinxAligner(SpeechSettings()).align(dub, script, "en") for _ in range(2)
    )
    assert first == second


def test_a_script_that_is_not_spoken_is_refused_with_its_score(
    sphinx: PocketsphinxAligner, dub: Floats
) -> None:
    lines = (ScriptLine("Completely different sentences about the weather in northern Finland."),)
    with pytest.raises(InputError, match=r"its score is -?\d+") as raised:
        sphinx.align(dub, lines, "en")
    assert "--trust-script" in str(raised.value.hint)
    trusting = PocketsphinxAligner(SpeechSettings(trust_script=True))
    assert trusting.align(dub, lines, "en").path == "script"


def test_without_a_script_english_is_recognized(sphinx: PocketsphinxAligner, dub: Floats) -> None:
    speech = sphinx.align(dub, None, "en")
    assert speech.path == "recognition"
    assert len(speech.words) > 5


def test_another_language_without_a_script_goes_to_the_phone_loop(
    sphinx: PocketsphinxAligner, dub: Floats
) -> None:
    speech = sphinx.align(dub, None, "de")
    assert speech.path == "phone-loop"
    assert not speech.words
    assert any("de" in warning for warning in speech.warnings)


def test_a_script_that_the_language_cannot_say_is_refused(
    sphinx: PocketsphinxAligner, dub: Floats
) -> None:
    with pytest.raises(InputError, match="cannot be pronounced in the language 'en'") as raised:
        sphinx.align(dub, (ScriptLine("你好，世界，今天天气很好"),), "en")
    assert "--language" in str(raised.value.hint)


def test_silence_inside_a_dub_is_found_and_not_spoken_in(
    sphinx: PocketsphinxAligner, dub: Floats
) -> None:
    loud = int(np.flatnonzero(np.abs(dub) > 0.1)[0])
    voice = dub[loud : loud + 2 * RATE]
    silence = np.zeros(3 * RATE, np.float32)
    samples = np.concatenate([silence, voice, silence])
    speech = sphinx.align(samples, None, "de")
    silent = [p for p in speech.phonemes if p.symbol == "sil"]
    assert silent[0].start == 0
    assert silent[0].end == pytest.approx(3.0, abs=0.15)
    assert silent[-1].start == pytest.approx(5.0, abs=0.15)


def test_a_long_dub_is_cut_at_pauses_and_still_aligned_to_its_plain_script(
    sphinx: PocketsphinxAligner, dub: Floats, script: tuple[ScriptLine, ...]
) -> None:
    copies = 3
    single = sphinx.align(dub, script, "en")
    samples = np.tile(dub, copies)
    speech = sphinx.align(samples, script * copies, "en")
    assert speech.path == "script"
    assert len(speech.words) == copies * len(single.words)
    starts = [w.start + k * single.duration for k in range(copies) for w in single.words]
    errors = np.abs(np.array(starts) - [w.start for w in speech.words])
    assert np.median(errors) < 0.02
    assert (errors < 0.1).mean() > 0.9


def test_the_fit_tells_right_words_from_wrong_ones(dub: Floats) -> None:
    def words(text: str) -> list[Spoken]:
        return [english(word) for word in words_of(text)]

    decoders = Decoders()
    right = decoders.force(
        dub,
        words(
            "My portrait has been silent for many years now my mouth "
            "may open a map a big boat bye bye"
        ),
    )
    wrong = decoders.force(dub, words("completely different sentences about weather in finland"))
    assert right is not None
    assert wrong is not None
    assert right.fit > -26 > wrong.fit + 10
