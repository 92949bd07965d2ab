"""Models made on the spot for the engines from elsewhere; one of each kind for the whole session."""

from __future__ import annotations

import random
from pathlib import Path
from types import ModuleType

import pytest

from dubkit.engines.containment import contained
from dubkit.engines.registry import ENGINES
from tests.optional.speech import Spoken, speak

NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
MARKS = {  # marker: the engine that it asks for
    "whisper": ("aligner", "whisper"),
    "whisperx": ("aligner", "whisperx"),
    "fid": ("features", "inception"),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of an engine are skipped where its library is not installed."""
    for item in items:
        for marker, (kind, name) in MARKS.items():
            entry = ENGINES[kind][name]
            if item.get_closest_marker(marker) and entry.library is None:
                item.add_marker(pytest.mark.skip(f"needs pip install 'dubkit[{entry.extra}]'"))


@pytest.fixture(scope="session")
def makers() -> ModuleType:
    with contained():
        from tests.optional import tiny_models
    return tiny_models


@pytest.fixture(scope="session")
def lessons() -> list[Spoken]:
    rng = random.Random(0)
    return [
        speak(" ".join(rng.sample(NUMBERS, 8)), seed=i, pitch=(40, 50, 60)[i % 3])
        for i in range(12)
    ]


@pytest.fixture(scope="session")
def align_folder(
    tmp_path_factory: pytest.TempPathFactory, makers: ModuleType, lessons: list[Spoken]
) -> Path:
    """An alignment model that knows the English numbers up to ten."""
    folder = tmp_path_factory.mktemp("aligner")
    with contained():
        loss = makers.make_aligner(folder, lessons)
    assert loss < 0.2
    return folder


HEARD = (("one two three four", "We see 3 dogs", "en"), ("acht neun sieben elf", "Guten Tag", "de"))


@pytest.fixture(scope="session")
def clips() -> list[Spoken]:
    """The two tracks that the tiny Whisper knows: English and German."""
    return [
        speak(words, voice={"en": "en-us"}.get(language, language), seed=90 + i, pitch=90 - 80 * i)
        for i, (words, _, language) in enumerate(HEARD)
    ]


@pytest.fixture(scope="session")
def whisper_folder(
    tmp_path_factory: pytest.TempPathFactory, makers: ModuleType, clips: list[Spoken]
) -> Path:
    """A Whisper that takes the clips for the texts of `HEARD`, in CTranslate2's format."""
    folder = tmp_path_factory.mktemp("whisper")
    known = [(clip, text, language) for clip, (_, text, language) in zip(clips, HEARD, strict=True)]
    with contained():
        loss = makers.make_whisper(folder, known)
    assert loss < 0.2
    return folder / "ct2"
