"""Where the weights of the engines from elsewhere are. Loads none of their libraries, touches no network.

A folder or file that the settings name comes first, then dubkit's own weights cache, then the caches that
Hugging Face and torch keep, so that weights which other programs have pulled are used too.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

from dubkit.config.schema import FaceSettings, SpeechSettings
from dubkit.errors import ModelError
from dubkit.weights import cache as catalog, entries

AUTO = "auto"  # the best recognizer that is here
_MULTILINGUAL = 51_865  # tokens of a Whisper of many languages; one of English has one less
# best first; those with .en, and the distilled one, were made for English alone
_MANY = ("large-v3", "large-v3-turbo", "large-v2", "large-v1", "medium", "small", "base", "tiny")
_ENGLISH = ("distil-large-v3", "medium.en", "small.en", "base.en", "tiny.en")
_FOR_ENGLISH = (
    *(
        "large-v3",
        "large-v3-turbo",
        "distil-large-v3",
        "large-v2",
        "large-v1",
        "medium.en",
        "medium",
    ),
    *("small.en", "small", "base.en", "base", "tiny.en", "tiny"),
)
RETINAFACE = "retinaface-resnet50"
_RETINAFACE_FILE = "retinaface_resnet50_2020-07-20-f168fae3c"
INCEPTION = "fid-inception"
_INCEPTION_FILES = (  # one net, as pytorch-fid and torch-fidelity call it
    "pt_inception-2015-12-05-6726825d.pth",
    "weights-inception-2015-12-05-6726825d.pth",
)
_SAMPLE = 1 << 20  # bytes read from each end of a large file
# the alignment models that come through torchaudio: its name for them, and their file
TORCHAUDIO = {
    "en": ("WAV2VEC2_ASR_BASE_960H", "wav2vec2_fairseq_base_ls960_asr_ls960.pth"),
    "fr": ("VOXPOPULI_ASR_BASE_10K_FR", "wav2vec2_voxpopuli_base_10k_asr_fr.pt"),
    "de": ("VOXPOPULI_ASR_BASE_10K_DE", "wav2vec2_voxpopuli_base_10k_asr_de.pt"),
    "es": ("VOXPOPULI_ASR_BASE_10K_ES", "wav2vec2_voxpopuli_base_10k_asr_es.pt"),
    "it": ("VOXPOPULI_ASR_BASE_10K_IT", "wav2vec2_voxpopuli_base_10k_asr_it.pt"),
}


@dataclass(frozen=True, slots=True)
class AlignModel:
    """An alignment model on this machine."""

    language: str
    folder: Path
    name: str | None = (
        None  # torchaudio's name of the file in the folder; None: a transformers folder
    )

    @property
    def marks(self) -> tuple[Path, ...]:
        """The files that tell it from others."""
        return _weight_files(self.folder)


def retinaface(settings: FaceSettings) -> Path:
    """The weights file of RetinaFace. Raises ModelError where it is not here."""
    if settings.weights is not None:
        path = Path(settings.weights).expanduser()
        if path.is_file():
            return path
        raise ModelError(f"there is no weights file {path}", hint="see --set faces.weights")
    kept = [
        _torch_home() / "checkpoints" / f"{_RETINAFACE_FILE}{suffix}" for suffix in (".zip", ".pth")
    ]
    found = catalog.find(RETINAFACE) or next((path for path in kept if path.is_file()), None)
    if found is None:
        raise ModelError("the engine retinaface has no weights here", hint=_bring(RETINAFACE))
    return found


def inception(settings: Path | None) -> Path:
    """The weights file of FID's Inception: the one given, else the caches'. Raises ModelError where there is none."""
    if settings is not None:
        return settings
    kept = [_torch_home() / "checkpoints" / name for name in _INCEPTION_FILES]
    found = catalog.find(INCEPTION) or next((path for path in kept if path.is_file()), None)
    if found is None:
        raise ModelError("FID's Inception has no weights here", hint=_bring(INCEPTION))
    return found


def recognizer(settings: SpeechSettings) -> Path:
    """The folder of the Whisper that the settings name.

    Raises ModelError where it is not here, or knows English only and the dub is stated to be in another language.
    """
    folder = _recognizer(settings)
    if _other_than_english(settings.language) and english_only(folder):
        raise ModelError(
            f"the recognizer in {folder} knows English only, and the dub is in {settings.language!r}",
            hint="dubkit models pull whisper-small, which knows 99 languages",
        )
    return folder


def _other_than_english(language: str | None) -> bool:
    return language is not None and language.lower().split("-")[0] != "en"


@cache
def english_only(folder: Path) -> bool:
    """Whether a Whisper in CTranslate2's format was made for English alone: it has fewer tokens than others."""
    words, listed = folder / "vocabulary.json", folder / "vocabulary.txt"
    if words.is_file():
        return len(json.loads(words.read_bytes())) < _MULTILINGUAL
    return listed.is_file() and len(listed.read_bytes().splitlines()) < _MULTILINGUAL


def recognizer_names(language: str | None) -> tuple[str, ...]:
    """The recognizers that suit a dub in ``language``, best first; for an unknown one those that detect it first."""
    if language is None:
        return (*_MANY, *_ENGLISH)
    return _MANY if _other_than_english(language) else _FOR_ENGLISH


def _best_recognizer(settings: SpeechSettings) -> str | None:
    names = recognizer_names(settings.language)
    return next((name for name in names if _recognizer_folder(name) is not None), None)


def _recognizer_folder(size: str) -> Path | None:
    found = _cataloged(f"whisper-{size}") or _hub_snapshot(_repository(size))
    return found if found is not None and (found / "model.bin").is_file() else None


def _recognizer(settings: SpeechSettings) -> Path:
    if settings.model == AUTO:
        best = _best_recognizer(settings)
        if best is None:
            raise ModelError("no recognizer is here", hint=_bring("whisper-small"))
        return _recognizer_folder(best) or Path(best)
    folder = Path(settings.model).expanduser()
    if (folder / "model.bin").is_file():
        if not (folder / "tokenizer.json").is_file():
            raise ModelError(
                f"the recognizer in {folder} has no tokenizer",
                hint="copy tokenizer.json and preprocessor_config.json from where it was made",
            )
        return folder
    if folder.is_dir():
        raise ModelError(
            f"{folder} holds no CTranslate2 model (model.bin)",
            hint="convert it: ct2-transformers-converter --model NAME --output_dir FOLDER",
        )
    name = f"whisper-{settings.model}"
    found = _recognizer_folder(settings.model)
    if found is None:
        raise ModelError(
            f"the recognizer {settings.model!r} is not here",
            hint=_bring(name)
            if name in entries.WEIGHTS
            else "--set speech.model=FOLDER names a local one",
        )
    return found


def align_model(settings: SpeechSettings, language: str) -> AlignModel:
    """The alignment model for a language. Raises ModelError where it is not here."""
    asked = settings.align_model
    if asked is not None:
        found = _asked_model(asked, language)
        if found is None:
            raise ModelError(
                f"the alignment model {asked!r} is not here",
                hint="--set speech.align_model takes a folder of a wav2vec2 CTC model too",
            )
        return found
    name = f"align-{language}"
    folder = _cataloged(name)
    if language in TORCHAUDIO:
        label, file = TORCHAUDIO[language]
        folders = [folder] if folder else [_torch_home() / "checkpoints"]
        there = next((f for f in folders if (f / file).is_file()), None)
        if there is not None:
            return AlignModel(language, there, label)
    elif folder is None and name in entries.WEIGHTS:
        folder = _hub_snapshot(entries.WEIGHTS[name].hub or "")
    if language not in TORCHAUDIO and folder is not None:
        return AlignModel(language, folder)
    way = "--set speech.align_model=FOLDER names a model of your own, speech.aligner=pocketsphinx needs none"
    raise ModelError(
        f"whisperx has no alignment model for the language {language!r} here",
        hint=f"{_bring(name)}, or {way}" if name in entries.WEIGHTS else way,
    )


def align_models(settings: SpeechSettings) -> tuple[AlignModel, ...]:
    """Every alignment model that a dub may get: the one of the language that is said, or all that are here.

    Raises ModelError where there is none.
    """
    if settings.language is not None:
        return (align_model(settings, settings.language.lower().split("-")[0]),)
    if settings.align_model is not None:
        return (align_model(settings, "en"),)
    languages = [
        name.removeprefix("align-") for name in entries.WEIGHTS if name.startswith("align-")
    ]
    found = [model for language in languages if (model := _align_model_or_none(settings, language))]
    return tuple(found) if found else (align_model(settings, "en"),)


def _align_model_or_none(settings: SpeechSettings, language: str) -> AlignModel | None:
    try:
        return align_model(settings, language)
    except ModelError:
        return None


def whisperx(settings: SpeechSettings) -> Path:
    """What the engine needs before it can do anything: its recognizer and an aligner, that of the language
    where it is known.
    """
    folder = recognizer(settings)
    align_models(settings)
    return folder


def whisper(settings: SpeechSettings) -> Path:
    """What the engine needs before it can do anything: its recognizer. Raises ModelError."""
    if settings.vad == "pyannote":
        raise ModelError(
            "the voice activity detector pyannote is a part of whisperx",
            hint="--set speech.vad=silero",
        )
    return recognizer(settings)


def names_of_whisper(settings: SpeechSettings) -> tuple[str, ...]:
    """The catalog's names of what `whisper` would load, from whichever cache; none for local folders."""
    if Path(settings.model).expanduser().is_dir():
        return ()
    named = settings.model if settings.model != AUTO else _best_recognizer(settings) or "small"
    return tuple(name for name in (f"whisper-{named}",) if name in entries.WEIGHTS)


def marks_of_whisperx(settings: SpeechSettings) -> tuple[str, ...]:
    """Marks of the weights that will be used, as far as that can be known before the dub is heard.

    Of alignment models it is the one for the language that is stated, or all that are here. Raises ModelError
    where the engine could do nothing: without an alignment model for the language that is stated; without both
    kinds of model where none is.
    """
    marks: list[str] = []
    missing: list[ModelError] = []
    try:
        folder = recognizer(settings)
        marks.append(mark(folder / "model.bin"))
    except ModelError as error:
        missing.append(error)
    try:
        models = align_models(settings)
        marks.append(mark(*(path for model in models for path in model.marks)))
    except ModelError as error:
        if settings.language or missing:
            raise (missing[0] if missing and not settings.language else error) from None
    return tuple(marks)


def names_of_whisperx(settings: SpeechSettings) -> tuple[str, ...]:
    """The catalog's names of what `whisperx` would load, from whichever cache; none for local folders."""
    names = list(names_of_whisper(settings))
    if settings.align_model is not None:
        names += _catalog_names(settings.align_model)
    elif settings.language is not None:
        names.append(f"align-{settings.language.lower().split('-')[0]}")
    return tuple(name for name in names if name in entries.WEIGHTS)


def _catalog_names(model: str) -> list[str]:
    """The entry of an alignment model that is named as torchaudio or the hub names it."""
    named = {label: f"align-{code}" for code, (label, _) in TORCHAUDIO.items()}
    named.update({entry.hub: name for name, entry in entries.WEIGHTS.items() if entry.hub})
    return [named[model]] if model in named else []


@cache
def mark(*paths: Path) -> str:
    """A short digest that changes with the files: of small ones whole, of large ones both ends and the
    size.
    """
    digest = sha256()
    for path in sorted(paths):
        size = path.stat().st_size
        digest.update(f"{path.name} {size} ".encode())
        with path.open("rb") as file:
            digest.update(file.read(_SAMPLE))
            if size > 2 * _SAMPLE:
                file.seek(-_SAMPLE, os.SEEK_END)
            digest.update(file.read(_SAMPLE))
    return digest.hexdigest()[:16]


def _asked_model(asked: str, language: str) -> AlignModel | None:
    folder = Path(asked).expanduser()
    if (folder / "config.json").is_file():
        return AlignModel(language, folder)
    for code, (label, file) in TORCHAUDIO.items():
        folders = [_cataloged(f"align-{code}"), _torch_home() / "checkpoints"]
        if asked == label:
            there = next((f for f in folders if f and (f / file).is_file()), None)
            return AlignModel(language, there, label) if there else None
    snapshot = _hub_snapshot(asked) if "/" in asked else None
    return AlignModel(language, snapshot) if snapshot else None


def _cataloged(name: str) -> Path | None:
    return catalog.find(name) if name in entries.WEIGHTS else None


def _bring(name: str) -> str:
    return catalog.hint(name)


def _repository(size: str) -> str:
    if "/" in size:
        return size
    entry = entries.WEIGHTS.get(f"whisper-{size}")
    return entry.hub if entry and entry.hub else f"Systran/faster-whisper-{size}"


def _hub_snapshot(repository: str) -> Path | None:
    """The newest snapshot of a repository in Hugging Face's cache."""
    home = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    hub = Path(os.environ.get("HF_HUB_CACHE", home / "hub")).expanduser()
    folder = hub / f"models--{repository.replace('/', '--')}"
    reference = folder / "refs" / "main"
    if not reference.is_file():
        return None
    snapshot = folder / "snapshots" / reference.read_text(encoding="utf-8").strip()
    return snapshot if snapshot.is_dir() else None


def _torch_home() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("TORCH_HOME") or Path(base) / "torch"
    return Path(home).expanduser() / "hub"


def _weight_files(folder: Path) -> tuple[Path, ...]:
    patterns = ("*.bin", "*.safetensors", "*.pt", "*.pth", "vocab*.json", "vocabulary.*")
    return tuple(path for pattern in patterns for path in folder.glob(pattern))
