"""How espeak-ng pronounces words of its 100 and more languages, in IPA.

Its library is called directly (`ctypes`): the one inside the wheel ``espeakng_loader``, which the extra
``languages`` brings, or the one of the system. espeak-ng is a single state for the whole process.
"""

from __future__ import annotations

import ctypes
import importlib.util
import shutil
from ctypes.util import find_library
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from threading import Lock

from dubkit.errors import MissingDependency

INSTALL = "pip install 'dubkit[languages]', or install espeak-ng with your system's package manager"

_WHEEL = "espeakng_loader"
_UTF8 = 1
_IPA_WITH_BARS = 0x02 | (ord("_") << 8)  # IPA, phonemes parted by "_"
_SILENT_OUTPUT = 1
_DO_NOT_EXIT = 0x8000
_PREFERRED = {"en": "en-us", "zh": "cmn", "pt": "pt-br"}  # where several voices claim a language


class _Voice(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("reserved", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


@dataclass(frozen=True, slots=True)
class Language:
    """A language as espeak-ng knows it."""

    code: str  # as in ``--language``
    name: str
    voice: str  # espeak-ng's file, as in ``roa/fr``


def available() -> bool:
    """Whether espeak-ng is on this machine."""
    return located() is not None


@cache
def espeak() -> Espeak:
    """The process's one espeak-ng. Raises MissingDependency where there is none."""
    found = located()
    if found is None:
        raise MissingDependency(
            "pronouncing this language needs espeak-ng, which is not installed", hint=INSTALL
        )
    return Espeak(*found)


class Espeak:
    """espeak-ng, started; ``library`` is its shared library, ``data`` its folder of languages."""

    def __init__(self, library: str, data: Path | None) -> None:
        self._lock = Lock()
        self._voice = ""
        try:
            self._call = ctypes.CDLL(library)
        except OSError as error:
            raise MissingDependency(f"espeak-ng cannot be loaded: {error}", hint=INSTALL) from None
        self._declare()
        folder = str(data).encode() if data else None
        if self._call.espeak_Initialize(_SILENT_OUTPUT, 0, folder, _DO_NOT_EXIT) <= 0:
            raise MissingDependency("espeak-ng does not find its languages", hint=INSTALL)

    @property
    def version(self) -> str:
        info = self._call.espeak_Info(None)
        return str(info.decode().split()[0])

    @cache  # noqa: B019 - there is one object a process, see `espeak`
    def languages(self) -> dict[str, Language]:
        """What it speaks, by code (``de``, ``pt-br``), the plain code of a language included."""
        claims: dict[str, tuple[int, Language]] = {}
        listed = self._call.espeak_ListVoices(None)
        at = 0
        while listed[at]:
            voice = listed[at].contents
            for rank, code in _tags(voice.languages):
                language = Language(code, voice.name.decode().strip(), voice.identifier.decode())
                claims[code] = min(claims.get(code, (999, language)), (rank, language), key=_rank)
            at += 1
        for code, tag in _PREFERRED.items():
            if tag in claims:
                claims[code] = (0, replace(claims[tag][1], code=code))
        return {code: language for code, (_, language) in sorted(claims.items())}

    def ipa(self, text: str, voice: str) -> str:
        """``text`` in IPA, phonemes parted by ``_``, words by blanks; with marks of stress and tone."""
        with self._lock:
            if voice != self._voice and self._call.espeak_SetVoiceByName(voice.encode()):
                raise MissingDependency(f"espeak-ng cannot load the voice {voice}", hint=INSTALL)
            self._voice = voice
            rest = ctypes.c_char_p(text.replace("\0", " ").encode())
            parts = []
            while rest.value is not None:
                part = self._call.espeak_TextToPhonemes(ctypes.byref(rest), _UTF8, _IPA_WITH_BARS)
                parts.append((part or b"").decode("utf-8", "replace"))
            return " ".join(part for part in parts if part)

    def _declare(self) -> None:
        call = self._call
        call.espeak_Initialize.argtypes = (
            ctypes.c_int,
            ctypes.c_int,
            ctypes.c_char_p,
            ctypes.c_int,
        )
        call.espeak_Info.restype = ctypes.c_char_p
        call.espeak_Info.argtypes = (ctypes.c_void_p,)
        call.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
        call.espeak_ListVoices.argtypes = (ctypes.c_void_p,)
        call.espeak_SetVoiceByName.argtypes = (ctypes.c_char_p,)
        call.espeak_TextToPhonemes.restype = ctypes.c_char_p
        call.espeak_TextToPhonemes.argtypes = (
            ctypes.POINTER(ctypes.c_char_p),
            ctypes.c_int,
            ctypes.c_int,
        )


def _rank(claim: tuple[int, Language]) -> int:
    return claim[0]


def _tags(at: int) -> list[tuple[int, str]]:
    """Pairs (rank, code) from espeak's list: a byte, a string, and so on until a zero byte."""
    found = []
    while rank := ctypes.string_at(at, 1)[0]:
        code = ctypes.string_at(at + 1)
        found.append((rank, code.decode().lower()))
        at += len(code) + 2
    return found


def located() -> tuple[str, Path | None] | None:
    """The shared library and its data, the wheel's before the system's."""
    spec = importlib.util.find_spec(_WHEEL)
    if spec is not None and spec.origin is not None:
        folder = Path(spec.origin).parent
        for name in ("libespeak-ng.so", "libespeak-ng.dylib"):
            if (folder / name).exists():
                return str(folder / name), folder / "espeak-ng-data"
    found = find_library("espeak-ng")
    if found:
        return found, None
    program = shutil.which("espeak-ng")
    beside = Path(program).resolve().parent.parent / "lib" if program else None
    for name in ("libespeak-ng.so.1", "libespeak-ng.1.dylib", "libespeak-ng.dylib"):
        if beside and (beside / name).exists():
            return str(beside / name), None
    return None
