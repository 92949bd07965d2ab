"""Weights of engines from elsewhere are found where people keep them, and asked for where they are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubkit.config.schema import FaceSettings, SpeechSettings
from dubkit.errors import ModelError
from dubkit.weights import locate


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("DUBKIT_CACHE", "HF_HOME", "TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    return tmp_path


def write(*paths: Path, text: str = "weights") -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def hub(caches: Path, repository: str, *names: str) -> Path:
    """A repository as Hugging Face's cache keeps it."""
    folder = caches / "HF_HOME" / "hub" / f"models--{repository.replace('/', '--')}"
    write(folder / "refs" / "main", text="abc123\n")
    write(*(folder / "snapshots" / "abc123" / name for name in names))
    return folder / "snapshots" / "abc123"


def test_a_recognizer_is_a_local_folder(tmp_path: Path) -> None:
    write(tmp_path / "own" / "model.bin", tmp_path / "own" / "tokenizer.json")
    settings = SpeechSettings(model=str(tmp_path / "own"))
    assert locate.recognizer(settings) == tmp_path / "own"
    assert locate.names_of_whisperx(settings) == ()


@pytest.mark.parametrize(
    ("model", "repository"),
    [
        ("small", "Systran/faster-whisper-small"),
        ("large-v3-turbo", "mobiuslabsgmbh/faster-whisper-large-v3-turbo"),
        ("someone/whisper-of-mine", "someone/whisper-of-mine"),
    ],
)
def test_a_recognizer_is_found_by_name_in_the_cache_of_hugging_face(
    caches: Path, model: str, repository: str
) -> None:
    snapshot = hub(caches, repository, "model.bin", "tokenizer.json")
    assert locate.recognizer(SpeechSettings(model=model)) == snapshot


def test_a_recognizer_that_is_not_here_names_the_way_to_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no recognizer is here") as caught:
        locate.recognizer(SpeechSettings())
    assert caught.value.hint == "dubkit models pull whisper-small"
    with pytest.raises(ModelError, match="'small' is not here") as caught:
        locate.recognizer(SpeechSettings(model="small"))
    assert caught.value.hint == "dubkit models pull whisper-small"
    with pytest.raises(ModelError, match="'nonsense' is not here"):
        locate.recognizer(SpeechSettings(model="nonsense"))
    with pytest.raises(ModelError, match="holds no CTranslate2 model") as caught:
        locate.recognizer(SpeechSettings(model=str(tmp_path)))
    assert "ct2-transformers-converter" in str(caught.value.hint)


def test_the_best_recognizer_that_is_here_and_knows_the_language_is_taken(caches: Path) -> None:
    def found(**said: str) -> str:
        return locate.recognizer(SpeechSettings.model_validate(said)).parent.parent.name

    hub(caches, "Systran/faster-whisper-tiny.en", "model.bin")
    assert found() == found(language="en-GB") == "models--Systran--faster-whisper-tiny.en"
    with pytest.raises(ModelError, match="no recognizer is here"):
        locate.recognizer(SpeechSettings(language="de"))
    hub(caches, "Systran/faster-whisper-tiny", "model.bin")
    assert found() == found(language="de") == "models--Systran--faster-whisper-tiny"
    assert found(language="en") == "models--Systran--faster-whisper-tiny.en"
    assert locate.names_of_whisper(SpeechSettings(language="de")) == ("whisper-tiny",)


def test_a_recognizer_of_english_is_refused_for_another_language(tmp_path: Path) -> None:
    names = ("model.bin", "tokenizer.json", "vocabulary.txt")
    for tokens in (51_864, 51_865):
        own = tmp_path / str(tokens)
        write(*(own / name for name in names))
        (own / "vocabulary.txt").write_text("token\n" * tokens)
        settings = SpeechSettings(model=str(own), language="de")
        if tokens == 51_865:
            assert locate.recognizer(settings) == own
        else:
            with pytest.raises(ModelError, match="knows English only, and the dub is in 'de'"):
                locate.recognizer(settings)
        assert locate.recognizer(SpeechSettings(model=str(own), language="en-US")) == own


def test_a_folder_without_its_tokenizer_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "half" / "model.bin")
    with pytest.raises(ModelError, match="has no tokenizer"):
        locate.recognizer(SpeechSettings(model=str(tmp_path / "half")))


def test_the_alignment_model_of_english_is_found_where_torch_keeps_it(caches: Path) -> None:
    label, file = locate.TORCHAUDIO["en"]
    write(caches / "TORCH_HOME" / "hub" / "checkpoints" / file)
    for settings in (SpeechSettings(), SpeechSettings(align_model=label)):
        found = locate.align_model(settings, "en")
        assert found.name == label
        assert (found.folder / file).is_file()


def test_an_alignment_model_is_a_local_folder_or_a_repository(caches: Path, tmp_path: Path) -> None:
    write(tmp_path / "own" / "config.json", tmp_path / "own" / "model.safetensors")
    found = locate.align_model(SpeechSettings(align_model=str(tmp_path / "own")), "xx")
    assert (found.folder, found.name, found.language) == (tmp_path / "own", None, "xx")
    assert found.marks == (tmp_path / "own" / "model.safetensors",)
    snapshot = hub(caches, "someone/wav2vec", "config.json")
    found = locate.align_model(SpeechSettings(align_model="someone/wav2vec"), "xx")
    assert found.folder == snapshot


def test_a_language_without_alignment_model_names_the_way_to_one() -> None:
    with pytest.raises(ModelError, match="'nl'") as caught:
        locate.align_model(SpeechSettings(), "nl")
    assert "dubkit models pull align-nl" in str(caught.value.hint)
    with pytest.raises(ModelError, match="'eo'") as caught:
        locate.align_model(SpeechSettings(), "eo")
    assert "pull" not in str(caught.value.hint)
    with pytest.raises(ModelError, match="'not there'"):
        locate.align_model(SpeechSettings(align_model="not there"), "en")


def test_the_detectors_weights_are_a_file_or_where_torch_keeps_them(
    caches: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="no weights here"):
        locate.retinaface(FaceSettings())
    with pytest.raises(ModelError, match="there is no weights file"):
        locate.retinaface(FaceSettings(weights=str(tmp_path / "absent.pth")))
    write(tmp_path / "own.pth")
    settings = FaceSettings(weights=str(tmp_path / "own.pth"))
    assert locate.retinaface(settings) == tmp_path / "own.pth"
    kept = caches / "TORCH_HOME/hub/checkpoints/retinaface_resnet50_2020-07-20-f168fae3c.zip"
    write(kept)
    assert locate.retinaface(FaceSettings()) == kept


def test_the_names_for_the_license_check_are_those_of_the_catalog() -> None:
    named = locate.names_of_whisperx
    assert named(SpeechSettings()) == ("whisper-small",)
    assert named(SpeechSettings(language="de", model="base")) == ("whisper-base", "align-de")
    assert named(SpeechSettings(language="de", align_model="x")) == ("whisper-small",)


def test_a_mark_changes_with_the_files(tmp_path: Path) -> None:
    first, second, third = (tmp_path / name for name in ("a", "b", "c"))
    first.write_bytes(b"0" * (5 << 20))
    second.write_bytes(b"0" * (5 << 20) + b"1")
    third.write_bytes(b"0" * (5 << 20))
    marks = {locate.mark(first), locate.mark(second), locate.mark(third)}
    assert len(marks) == 3
    assert locate.mark(first, second) == locate.mark(second, first)
