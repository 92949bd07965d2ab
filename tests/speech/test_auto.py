"""``auto`` takes the aligner that has what the language of the dub needs, whenever that language is known."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from dubkit.config.schema import Config, SpeechSettings
from dubkit.engines.registry import ENGINES, Entry, choose
from dubkit.errors import InputError, ModelError
from dubkit.records import DetectedLanguage, Floats, Phoneme, ScriptLine, Speech
from dubkit.speech.auto import AlignerByLanguage, aligner_of
from dubkit.speech.pocketsphinx import PocketsphinxAligner
from dubkit.stages import speech as speech_stage
from dubkit.weights import locate
from tests.optional.speech import RATE, speak

GERMAN = (ScriptLine("guten Morgen liebe Freunde heute ist ein schöner Tag"),)
SILENCE = np.zeros(RATE, np.float32)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """WhisperX counts as installed, faster-whisper does not; its recognizer and the English aligner are here."""
    for name in ("DUBKIT_CACHE", "HF_HOME", "HF_HUB_CACHE", "TORCH_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    there = metadata.version
    monkeypatch.setattr(metadata, "version", lambda p: "9" if p == "whisperx" else there(p))
    monkeypatch.delitem(ENGINES["aligner"], "whisper")
    own = tmp_path / "whisper"
    own.mkdir()
    for name in ("model.bin", "tokenizer.json"):
        (own / name).write_text(name)
    add_aligner(tmp_path, "en")
    return tmp_path


def add_aligner(cache: Path, language: str) -> None:
    folder = cache / "TORCH_HOME" / "hub" / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / locate.TORCHAUDIO[language][1]).write_text(language)


def settings(cache: Path, **more: object) -> SpeechSettings:
    return SpeechSettings.model_validate({"model": str(cache / "whisper"), **more})


@pytest.mark.parametrize("language", ["de", "de-AT", "DE"])
def test_a_language_that_is_said_and_has_no_aligner_here_gets_the_next_engine(
    cache: Path, language: str
) -> None:
    name, why = choose("aligner", "auto", settings(cache, language=language))
    assert name == "pocketsphinx"
    assert why == (
        "auto: whisperx has no alignment model for the language 'de' here (dubkit models pull align-de)"
    )
    assert choose("aligner", "auto", settings(cache, language="en"))[0] == "whisperx"
    add_aligner(cache, "de")
    assert choose("aligner", "auto", settings(cache, language=language))[0] == "whisperx"


def test_the_language_of_the_script_decides_where_none_was_said(cache: Path) -> None:
    pytest.importorskip("py3langid", reason="needs the extra languages")
    spoken = speak("guten Morgen liebe Freunde heute ist ein schöner Tag", voice="de", seed=3)
    aligner = aligner_of(settings(cache, trust_script=True), "cpu")
    found = aligner.align(spoken.samples, GERMAN, None)
    assert (found.language, found.path) == ("de", "script")
    assert found.engine.startswith("pocketsphinx ")
    assert len(found.words) == 9
    assert isinstance(aligner, AlignerByLanguage)
    assert aligner.notes == (
        "aligner: pocketsphinx (auto: whisperx has no alignment model for the language 'de' here "
        "(dubkit models pull align-de))",
    )


def test_an_engine_that_was_named_is_never_replaced(cache: Path) -> None:
    with pytest.raises(ModelError, match="no alignment model for the language 'de'") as caught:
        locate.whisperx(settings(cache, aligner="whisperx", language="de"))
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("dubkit models pull align-de, or ")
    assert "speech.aligner=pocketsphinx needs none" in caught.value.hint
    named = aligner_of(SpeechSettings(aligner="pocketsphinx"), "cpu")
    assert isinstance(named, PocketsphinxAligner)


def test_another_aligner_in_the_cache_is_another_identity_until_the_language_is_said(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ``auto`` will take of an unknown dub may change with every aligner that comes; if German is
    spoken, only with the German one.
    """
    table = dict(ENGINES["aligner"])
    table["whisperx"] = Entry("tests_listener:Marks", weights=locate.whisperx)
    monkeypatch.setitem(ENGINES, "aligner", table)
    listener(monkeypatch)

    def identities() -> list[str]:
        values = [{}, {"language": "de"}]
        own = [{"model": str(cache / "whisper"), **value} for value in values]
        configs = [Config.model_validate({"speech": value}) for value in own]
        return [speech_stage.identity(config) for config in configs]

    first = identities()
    assert " or pocketsphinx" in first[0]
    assert first[1].startswith("pocketsphinx")
    add_aligner(cache, "fr")
    second = identities()
    assert first[0] != second[0]
    assert first[1] == second[1]
    add_aligner(cache, "de")
    assert identities()[1].startswith("listener")


class Marks:
    """Stands for WhisperX where only its version matters."""

    name = "listener"

    def __init__(self, settings: SpeechSettings, device: str = "cpu") -> None:
        models = locate.align_models(settings)
        self.version = "+".join(model.language for model in models)


class RecognizingAligner:
    """Hears German, and aligns only what `aligns` names."""

    name = "listener"
    version = "1"
    aligns: tuple[str, ...] = ()
    lines: tuple[ScriptLine, ...] = GERMAN
    sure = True
    closed = False

    def __init__(self, settings: SpeechSettings, device: str = "cpu") -> None:
        self.settings = settings

    @classmethod
    def weights(cls, settings: SpeechSettings) -> None:
        if settings.language is not None and settings.language not in cls.aligns:
            raise ModelError(f"listener cannot align {settings.language!r}", hint="teach it")

    def language_of(self, samples: Floats) -> DetectedLanguage | None:
        detected = DetectedLanguage("de", self.sure, "it sounds like 'de'")
        return detected if samples.any() else None

    def transcribe(
        self, samples: Floats, language: str, least: float = -np.inf
    ) -> tuple[ScriptLine, ...]:
        return self.lines

    def align(
        self, samples: Floats, script: tuple[ScriptLine, ...] | None, language: str | None
    ) -> Speech:
        whole = len(samples) / RATE
        phonemes = (Phoneme("sil", 0.0, whole),)
        return Speech(language or "en", whole, (), phonemes, "listener 1", "recognition")

    def close(self) -> None:
        type(self).closed = True


def listener(monkeypatch: pytest.MonkeyPatch, **facts: object) -> type[RecognizingAligner]:
    """The class above with these facts, as the engine that ``auto`` tries first."""
    kind = type("Mine", (RecognizingAligner,), facts)
    module = ModuleType("tests_listener")
    module.Mine, module.Marks = kind, Marks  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tests_listener", module)
    return kind


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    own = {
        "listener": Entry("tests_listener:Mine", weights=lambda s: sys.modules["tests_listener"].Mine.weights(s)),
        "pocketsphinx": ENGINES["aligner"]["pocketsphinx"],
    }  # fmt: skip
    monkeypatch.setitem(ENGINES, "aligner", own)
    return monkeypatch


def heard() -> Floats:
    return speak("guten Morgen liebe Freunde heute ist ein schöner Tag", voice="de", seed=3).samples


def test_a_language_that_is_only_heard_gets_the_next_engine_with_the_words_that_were_heard(
    table: pytest.MonkeyPatch,
) -> None:
    kind = listener(table)
    aligner = AlignerByLanguage(SpeechSettings())
    found = aligner.align(heard(), None, None)
    assert found.engine.startswith("pocketsphinx ")
    assert (found.language, found.path) == ("de", "recognition")
    assert [word.text for word in found.words] == GERMAN[0].text.lower().split()
    assert found.warnings[0] == "it sounds like 'de'"
    assert "recognized by listener" in found.warnings[1]
    assert aligner.notes == ("aligner: pocketsphinx (auto: listener cannot align 'de' (teach it))",)
    aligner.close()
    assert kind.closed


def test_a_language_that_is_heard_and_can_be_aligned_stays_with_the_engine(
    table: pytest.MonkeyPatch,
) -> None:
    listener(table, aligns=("de",))
    aligner = AlignerByLanguage(SpeechSettings())
    found = aligner.align(heard(), None, None)
    assert (found.engine, found.language) == ("listener 1", "de")
    assert found.warnings == ("it sounds like 'de'",)
    assert aligner.notes == ("aligner: listener (auto: the best available)",)


@pytest.mark.parametrize(
    "lines",
    [(), (ScriptLine("völlig anderes Gerede über Wetter und Politik in fernen Ländern"),)],
    ids=["nothing", "something else"],
)
def test_words_that_were_heard_wrongly_are_not_forced_on_the_sound(
    table: pytest.MonkeyPatch, lines: tuple[ScriptLine, ...]
) -> None:
    listener(table, lines=lines)
    samples = np.concatenate([heard()[: 2 * RATE], SILENCE])
    found = AlignerByLanguage(SpeechSettings()).align(samples, None, None)
    assert found.path == "phone-loop"
    assert found.words == ()


def test_a_language_that_is_guessed_counts_only_where_its_words_fit(
    table: pytest.MonkeyPatch,
) -> None:
    listener(table, sure=False)
    found = AlignerByLanguage(SpeechSettings()).align(heard(), None, None)
    assert (found.language, found.path, len(found.words)) == ("de", "recognition", 9)
    other = (ScriptLine("völlig anderes Gerede über Wetter und Politik in fernen Ländern"),)
    listener(table, sure=False, lines=other)
    found = AlignerByLanguage(SpeechSettings()).align(heard(), None, None)
    assert (found.language, found.path, found.words) == ("und", "phone-loop", ())
    assert "lips follow the sound alone; the words that listener recognized" in found.warnings[1]


def test_silence_has_no_language(table: pytest.MonkeyPatch) -> None:
    listener(table)
    found = AlignerByLanguage(SpeechSettings()).align(SILENCE, None, None)
    assert found.engine == "listener 1"


def test_a_wrong_script_is_refused_as_ever(cache: Path) -> None:
    other = (ScriptLine("völlig anderes Gerede über Wetter und Politik in fernen Ländern"),)
    samples = np.concatenate([heard()[: 2 * RATE], SILENCE])
    with pytest.raises(InputError, match="script"):
        aligner_of(settings(cache), "cpu").align(samples, other, "de")
