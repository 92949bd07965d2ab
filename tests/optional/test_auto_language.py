"""``auto`` with the real WhisperX: only where the cache has an aligner for the language of the dub."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dubkit.config.schema import SpeechSettings
from dubkit.engines.registry import released
from dubkit.records import ScriptLine
from dubkit.speech.auto import AlignerByLanguage
from tests.clips import film, save_wav
from tests.optional.conftest import NUMBERS
from tests.optional.speech import Spoken, speak

pytestmark = [pytest.mark.whisperx, pytest.mark.filterwarnings("ignore")]
DUTCH = "dubkit models pull align-nl"


@pytest.fixture
def cache(tmp_path: Path, align_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A weights cache whose only aligner is the one of Dutch (which here knows English numbers)."""
    for name in ("DUBKIT_CACHE", "HF_HOME", "TORCH_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    shutil.copytree(align_folder, tmp_path / "DUBKIT_CACHE" / "models" / "align-nl")
    return tmp_path


@pytest.fixture
def settings(whisper_folder: Path) -> SpeechSettings:
    return SpeechSettings(model=str(whisper_folder))


@pytest.mark.usefixtures("cache")
def test_a_language_whose_aligner_is_here_gets_whisperx(settings: SpeechSettings) -> None:
    ten = speak(" ".join(NUMBERS), seed=500, pitch=45)
    with released(AlignerByLanguage(settings)) as aligner:
        found = aligner.align(ten.samples, (ScriptLine(ten.text),), "nl")
        assert aligner.notes == ("aligner: whisperx (auto: the best available)",)
    assert found.engine.startswith("whisperx")
    assert [word.text for word in found.words] == NUMBERS


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("number", [0, 1], ids=["en", "de"])
def test_a_language_that_whisperx_hears_but_cannot_align_gets_words_without_it(
    settings: SpeechSettings, clips: list[Spoken], number: int
) -> None:
    """The tiny Whisper tells the language, and hears words that nobody says; so none are forced."""
    language = ("en", "de")[number]
    with released(AlignerByLanguage(settings)) as aligner:
        found = aligner.align(clips[number].samples, None, None)
        (note,) = aligner.notes
    assert found.path in ("recognition", "phone-loop")
    assert found.engine.startswith("whisper " if found.path == "recognition" else "pocketsphinx ")
    assert found.language == language
    assert f"no language was set: the dub sounds like {language!r}" in found.warnings
    lacks = f"whisperx has no alignment model for the language {language!r} here"
    assert note == f"aligner: whisper (auto: {lacks} (dubkit models pull align-{language}))"


@pytest.mark.slow
def test_a_run_says_which_aligner_it_took_and_its_manifest_keeps_it(
    cache: Path, whisper_folder: Path
) -> None:
    spoken = speak("acht neun sieben elf guten Morgen", voice="de", seed=4)
    save_wav(cache / "dub.wav", spoken.samples)
    (cache / "dub.txt").write_text("acht neun sieben elf guten Morgen")
    film(cache / "film.mp4", seconds=1.0)

    def run(*flags: str, out: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
        command = [sys.executable, "-m", "dubkit", "run", str(cache / "film.mp4"), "--audio"]
        command += [str(cache / "dub.wav"), "--out", str(cache / out), "--jobs", "1", "--set"]
        command += [f"speech.model={whisper_folder}", "--until", "speech", "--trust-script", *flags]
        ended = subprocess.run(
            command, capture_output=True, text=True, check=False, env=dict(os.environ)
        )
        path = (cache / out).with_suffix(".dubkit") / "manifest.json"
        results = json.loads(path.read_text())["results"] if path.is_file() else {}
        return ended, results.get("speech/job", {})

    script = ("--script", str(cache / "dub.txt"), "--language", "de")
    ended, kept = run(*script, out="script.mp4")
    assert ended.returncode == 0, ended.stderr
    line = (
        "aligner: pocketsphinx (auto: whisperx has no alignment model for the language 'de' here "
        "(dubkit models pull align-de))"
    )
    assert line in " ".join(ended.stderr.split())
    assert kept["notes"] == [line]
    assert kept["engine"].startswith("pocketsphinx")
    assert kept["facts"]["language"] == "de"
    named, begun = run("--set", "speech.aligner=whisperx", *script, out="named.mp4")
    assert (named.returncode, begun) == (7, {})
    assert "whisperx has no alignment model for the language 'de' here" in named.stderr
    assert "dubkit models pull align-de" in " ".join(named.stderr.split())
    shutil.copytree(
        cache / "DUBKIT_CACHE/models/align-nl", cache / "own"
    )  # a folder of one's own is there for every language
    ended, kept = run(*script, "--set", f"speech.align_model={cache / 'own'}", out="script.mp4")
    assert ended.returncode == 0, ended.stderr
    assert kept["engine"].startswith("whisperx")
    assert kept["notes"] == ["aligner: whisperx (auto: the best available)"]
