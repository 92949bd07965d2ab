"""Weights that may not be used for paid work are refused before a run."""

from __future__ import annotations

import pytest

from dubkit import api
from dubkit.config.schema import Config, SpeechSettings
from dubkit.errors import UsageError
from dubkit.pipeline import inputs
from dubkit.pipeline.inputs import check_paid_work
from dubkit.weights.locate import names_of_whisperx


class Named:
    """An engine that names its weights."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def weights(self, settings: object) -> tuple[str, ...]:
        return self.names


class Whisperx:
    """What the engine says of its weights, without its library."""

    @staticmethod
    def weights(settings: SpeechSettings) -> tuple[str, ...]:
        return names_of_whisperx(settings)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(inputs, "choose", lambda kind, name, settings: ("embedded", ""))
    return monkeypatch


@pytest.mark.parametrize(
    ("weight", "says"), [("align-de", "CC-BY-NC-4.0"), ("align-uk", "is not stated")]
)
def test_weights_that_are_not_free_for_paid_work_are_refused(
    engine: pytest.MonkeyPatch, weight: str, says: str
) -> None:
    engine.setattr(inputs, "engine_class", lambda *_: Named("whisper-small", weight))
    config = Config(speech=SpeechSettings(aligner="whisperx", language="de"))
    with pytest.raises(UsageError, match=says) as raised:
        check_paid_work(config)
    assert "models list" in str(raised.value.hint)


def test_weights_that_are_free_pass(engine: pytest.MonkeyPatch) -> None:
    engine.setattr(inputs, "engine_class", lambda *_: Named("whisper-small", "align-en"))
    check_paid_work(Config(speech=SpeechSettings(aligner="whisperx", language="en")))


def test_where_the_language_decides_it_must_be_said(engine: pytest.MonkeyPatch) -> None:
    engine.setattr(inputs, "engine_class", lambda *_: Named("whisper-small"))
    with pytest.raises(UsageError, match="language"):
        check_paid_work(Config(speech=SpeechSettings(aligner="whisperx")))


@pytest.mark.parametrize(
    "settings",
    [
        {"language": "vi"},
        {"language": "de-AT"},
        {"align_model": "VOXPOPULI_ASR_BASE_10K_DE"},
        {"align_model": "nguyenvulebinh/wav2vec2-base-vi-vlsp2020"},
    ],
)
def test_another_way_to_name_a_weight_changes_nothing(
    engine: pytest.MonkeyPatch, settings: dict[str, str]
) -> None:
    """However torchaudio, the hub or a region's code call it."""
    engine.setattr(inputs, "engine_class", lambda *_: Whisperx())
    config = Config(speech=SpeechSettings.model_validate({"aligner": "whisperx", **settings}))
    with pytest.raises(UsageError, match="NC-4"):
        check_paid_work(config)


def test_engines_of_the_package_pass() -> None:
    check_paid_work(Config(speech=SpeechSettings(aligner="pocketsphinx")))


def test_another_license_is_not_known() -> None:
    with pytest.raises(UsageError, match="not known"):
        api.run("film.mp4", "dub.wav", license="free")
