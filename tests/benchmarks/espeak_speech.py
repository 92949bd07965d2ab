"""Speech that espeak-ng makes, with the true times of its words and phonemes: ``espeak_speech.py VOICE OUT < text``.

Writes OUT.wav (16 kHz) and OUT.json: ``words`` [[place in the text, start, end], ...], ``phonemes`` [[IPA, start, end],
...] in seconds; words that are said together have one entry. A process of its own, because espeak-ng is one state
a process.
"""

from __future__ import annotations

import ctypes
import json
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubkit.media.audio import load_samples
from dubkit.speech.espeak import located
from tests.clips import save_wav

_WORD, _END, _PHONEME = 1, 5, 7
_SYNCHRONOUS, _PHONEME_EVENTS_IN_IPA, _UTF8 = 2, 3, 1


class _Name(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),  # milliseconds
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Name),
    )


_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


def speak(
    text: str, voice: str
) -> tuple[NDArray[np.float32], int, list[tuple[int, int, int, str]]]:
    """Sound, its rate, and espeak-ng's events: (type, milliseconds, position in the text, name)."""
    found = located()
    assert found is not None
    call = ctypes.CDLL(found[0])
    folder = str(found[1]).encode() if found[1] else None
    rate = call.espeak_Initialize(_SYNCHRONOUS, 0, folder, _PHONEME_EVENTS_IN_IPA | 0x8000)
    pieces: list[NDArray[np.int16]] = []
    events: list[tuple[int, int, int, str]] = []

    def take(sound: object, count: int, told: object) -> int:
        if sound and count:
            pieces.append(np.ctypeslib.as_array(sound, (count,)).copy())
        i = 0
        while told[i].type:  # type: ignore[index]
            event = told[i]  # type: ignore[index]
            name = event.id.string.decode("utf-8", "replace") if event.type == _PHONEME else ""
            events.append((event.type, event.audio_position, event.text_position, name))
            i += 1
        return 0

    callback = _CALLBACK(take)
    call.espeak_SetSynthCallback(callback)
    assert call.espeak_SetVoiceByName(voice.encode()) == 0
    raw = text.encode()
    call.espeak_Synth(raw, len(raw) + 1, 0, 0, 0, _UTF8, None, None)
    call.espeak_Synchronize()
    sound: NDArray[np.float32] = np.concatenate(pieces).astype(np.float32) / np.float32(32768)
    return sound, int(rate), events


def truth(
    text: str, events: list[tuple[int, int, int, str]], end: float
) -> dict[str, list[object]]:
    """Words and phonemes with their times; pauses have no name."""
    sounds = [(ms / 1000, name.strip("ˈˌ_: ")) for kind, ms, _, name in events if kind == _PHONEME]
    edges = [*(start for start, _ in sounds), end]
    phonemes = [
        (name, start, stop) for (start, name), stop in zip(sounds, edges[1:], strict=True) if name
    ]
    starts = [(ms / 1000, at) for kind, ms, at, _ in events if kind == _WORD]
    words: list[object] = []
    for number, (start, at) in enumerate(starts):
        after = starts[number + 1][0] if number + 1 < len(starts) else end
        inside = [p for p in phonemes if start - 1e-3 <= p[1] < after - 1e-3]
        if inside:
            words.append([at - 1, inside[0][1], inside[-1][2]])
    return {"words": words, "phonemes": list(phonemes)}


def main() -> None:
    """See the module."""
    voice, out = sys.argv[1], Path(sys.argv[2])
    text = " ".join(sys.stdin.read().split())
    sound, rate, events = speak(text, voice)
    told = truth(text, events, len(sound) / rate)
    out.with_suffix(".json").write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
    save_wav(out.with_suffix(".full.wav"), sound, rate)
    save_wav(out.with_suffix(".wav"), load_samples(out.with_suffix(".full.wav")))
    out.with_suffix(".full.wav").unlink()


if __name__ == "__main__":
    main()
