"""The timing of a shot: the phonemes around it and the exact time of its frames; also the dub's speech on disk.

It holds nothing from farther away than the context, not even where a long silence ends: a line corrected elsewhere
leaves it equal, so that nothing is rendered again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubkit import records
from dubkit.errors import WorkError
from dubkit.work.store import (
    UNREADABLE,
    load_array,
    map_array,
    open_arrays,
    read_record,
    write_record,
)

SPEECH = "speech.json"
RUNS = "runs.json"
PHONEMES = "phonemes.json"
TIMES = "times.npy"
SOUND = "sound.npz"
ROWS = "encoder_rows.npy"  # of the whole dub
SHOT_ROWS = "encoder_rows.npz"
SPEAKING = "speaking.json"
STEMS = "stems"  # a folder with one of the same kind for every stem
_NET_REACH = 0.16  # seconds beyond the context that the TC net sees of levels and rows


@dataclass(frozen=True, slots=True)
class _Speaking:
    """``speaking.json``: how far the phonemes may be trusted."""

    scripted: bool
    noise: tuple[tuple[float, float], ...]
    speakers: tuple[tuple[str, float, float], ...] = ()


def cut_timing(
    phonemes: Sequence[records.Phoneme],
    shot: records.Shot,
    times: NDArray[np.float64],
    context: float,
    sound: records.MelLevels | None = None,
    encoder: records.EncoderRows | None = None,
    *,
    scripted: bool = True,
    noise: Sequence[tuple[float, float]] = (),
    speakers: Sequence[tuple[str, float, float]] = (),
) -> records.Timing:
    """The part of a speech that a shot needs; ``times`` (T,) are those of its frames.

    ``phonemes``, ``scripted`` and ``noise`` are as in `records.Speech`, ``sound`` and ``encoder`` of the whole dub.
    """
    low, high = float(times[0]) - context, float(times[-1]) + context
    near = [
        (p.symbol, max(p.start, low), min(p.end, high))
        for p in phonemes
        if p.end > low and p.start < high
    ]
    timed = tuple(p for p in near if p[2] > p[1])
    return records.Timing(
        times,
        timed,
        tuple(_runs(timed, shot, times)),
        None if sound is None else sound.cut(low - _NET_REACH, high + _NET_REACH),
        None if encoder is None else encoder.cut(low - _NET_REACH, high + _NET_REACH),
        scripted,
        tuple((max(a, low), min(b, high)) for a, b in noise if b > low and a < high),
        tuple((n, max(a, low), min(b, high)) for n, a, b in speakers if b > low and a < high),
    )


def off_screen(lines: Sequence[records.SpokenLine]) -> list[tuple[float, float]]:
    """The seconds of a dub in which only people speak whom the script says to be out of the picture."""
    others = [
        (line.start, line.end)
        for line in lines
        if line.on_screen is not False and line.start is not None and line.end is not None
    ]
    found = []
    for line in lines:
        if line.on_screen is not False or line.start is None or line.end is None:
            continue
        spans = [(line.start, line.end)]
        for start, end in others:
            cut = [((a, min(b, start)), (max(a, end), b)) for a, b in spans]
            spans = [part for parts in cut for part in parts if part[1] > part[0]]
        found += spans
    return sorted(found)


def without(
    phonemes: Sequence[records.Phoneme], spans: Sequence[tuple[float, float]]
) -> tuple[records.Phoneme, ...]:
    """The phonemes with silence for those whose middle lies in one of the ``spans``, which do not overlap."""
    starts = np.array([start for start, _ in spans])
    kept = []
    for phoneme in phonemes:
        middle = (phoneme.start + phoneme.end) / 2
        at = int(np.searchsorted(starts, middle, "right")) - 1
        inside = at >= 0 and middle < spans[at][1]
        kept.append(
            records.Phoneme(records.SILENCE, phoneme.start, phoneme.end) if inside else phoneme
        )
    return tuple(kept)


def speakers(lines: Sequence[records.SpokenLine]) -> list[tuple[str, float, float]]:
    """Who says what is heard of a script's lines: name, start and end in seconds of the dub."""
    return [
        (line.speaker, line.start, line.end)
        for line in lines
        if line.speaker and line.start is not None and line.end is not None
    ]


def within(
    phonemes: Sequence[records.TimedPhoneme], spans: Sequence[tuple[float, float]]
) -> list[records.TimedPhoneme]:
    """The phonemes with those made silent whose middle is in none of ``spans`` (seconds, in order)."""
    starts = np.array([low for low, _ in spans])
    found = []
    for symbol, begin, end in phonemes:
        at = int(np.searchsorted(starts, (begin + end) / 2, "right")) - 1
        mine = at >= 0 and (begin + end) / 2 <= spans[at][1]
        found.append((symbol if mine else records.SILENCE, begin, end))
    return found


def same_words(one: records.Timing, other: records.Timing) -> bool:
    """Whether the same phonemes of a script are spoken over the frames of both, or both have no script."""
    if one.scripted != other.scripted:
        return False
    spoken = [
        [
            symbol
            for symbol, start, end in timing.phonemes
            if symbol != records.SILENCE and timing.times[0] <= start and end <= timing.times[-1]
        ]
        for timing in (one, other)
    ]
    return not one.scripted or spoken[0] == spoken[1]


def stem_folders(folder: Path) -> dict[str, Path]:
    """The folders of the stems in a folder of the stage speech or timing, by the names of their people."""
    root = folder / STEMS
    return {path.name: path for path in sorted(root.iterdir())} if root.is_dir() else {}


def _runs(
    phonemes: Sequence[records.TimedPhoneme], shot: records.Shot, times: NDArray[np.float64]
) -> list[records.PhonemeRun]:
    """Frames belong to the phoneme that sounds at their moment; outside the dub they are silent."""
    runs: list[records.PhonemeRun] = []
    starts = np.array([start for _, start, _ in phonemes])
    which = np.searchsorted(starts, times, "right") - 1
    for row, (time, at) in enumerate(zip(times.tolist(), which.tolist(), strict=True)):
        inside = at >= 0 and time < phonemes[at][2]
        symbol, begin, finish = phonemes[at] if inside else (records.SILENCE, time, time)
        last = runs[-1] if runs else None
        frame = shot.start + row
        if last is not None and (last.symbol, last.begin) == (symbol, begin):
            runs[-1] = records.PhonemeRun(symbol, last.start, frame + 1, begin, finish)
        elif last is not None and not inside and last.symbol == records.SILENCE:
            runs[-1] = records.PhonemeRun(symbol, last.start, frame + 1, last.begin, finish)
        else:
            runs.append(records.PhonemeRun(symbol, frame, frame + 1, begin, finish))
    return runs


def save_timing(folder: Path, timing: records.Timing) -> None:
    """Write the files of a timing; without sound, there is no ``sound.npz`` and no ``encoder_rows.npz``."""
    write_record(folder / RUNS, list(timing.runs), list[records.PhonemeRun])
    write_record(folder / PHONEMES, list(timing.phonemes), list[records.TimedPhoneme])
    write_record(
        folder / SPEAKING, _Speaking(timing.scripted, timing.noise, timing.speakers), _Speaking
    )
    np.save(folder / TIMES, timing.times, allow_pickle=False)
    if timing.sound is not None:
        save_sound(folder, timing.sound)
    if timing.encoder is not None:
        rows = timing.encoder
        np.savez(folder / SHOT_ROWS, first=np.int64(rows.first), rows=rows.rows)


def load_timing(folder: Path) -> records.Timing:
    """What `save_timing` wrote. Raises WorkError where it is missing or damaged."""
    path = folder / TIMES
    try:
        times: NDArray[np.float64] = load_array(path)
    except (OSError, ValueError) as error:
        raise WorkError(
            f"the work file {path} cannot be read", hint="run again with --force timing"
        ) from error
    runs = read_record(folder / RUNS, list[records.PhonemeRun])
    phonemes = read_record(folder / PHONEMES, list[records.TimedPhoneme])
    speaking = read_record(folder / SPEAKING, _Speaking)
    return records.Timing(
        times,
        tuple(phonemes),
        tuple(runs),
        load_sound(folder),
        _load_shot_rows(folder),
        speaking.scripted,
        speaking.noise,
        speaking.speakers,
    )


def save_sound(folder: Path, sound: records.MelLevels) -> None:
    """Write ``sound.npz``; equal sounds give equal bytes."""
    np.savez(folder / SOUND, first=np.int64(sound.first), levels=sound.levels.astype(np.float16))


def load_sound(folder: Path) -> records.MelLevels | None:
    """What `save_sound` wrote; None where there is none. Raises WorkError where it is damaged."""
    path = folder / SOUND
    if not path.is_file():
        return None
    try:
        with open_arrays(path) as stored:
            return records.MelLevels(int(stored["first"]), stored["levels"].astype(np.float32))
    except UNREADABLE as error:
        raise WorkError(
            f"the work file {path} cannot be read", hint="run again with --force speech"
        ) from error


def _load_shot_rows(folder: Path) -> records.EncoderRows | None:
    path = folder / SHOT_ROWS
    if not path.is_file():
        return None
    try:
        with open_arrays(path) as stored:
            return records.EncoderRows(int(stored["first"]), _int8(stored["rows"]))
    except UNREADABLE as error:
        raise WorkError(
            f"the work file {path} cannot be read", hint="run again with --force timing"
        ) from error


def _int8(rows: NDArray[np.int8]) -> NDArray[np.int8]:
    if rows.dtype != np.int8 or rows.ndim != 2:
        raise ValueError("these are no encoder rows")
    return rows


def load_rows(folder: Path) -> records.EncoderRows | None:
    """The encoder rows of the whole dub, left on disk; None where there are none.

    Raises WorkError where they are damaged.
    """
    path = folder / ROWS
    if not path.is_file():
        return None
    try:
        return records.EncoderRows(0, _int8(map_array(path)))
    except (OSError, ValueError, EOFError) as error:
        raise WorkError(
            f"the work file {path} cannot be read", hint="run again with --force speech"
        ) from error


def load_speech(folder: Path) -> records.Speech:
    """The whole dub, as the stage speech published it. Raises WorkError where it cannot be read."""
    path = folder / SPEECH
    facts = path.stat() if path.is_file() else None
    return _loaded(path, (facts.st_ino, facts.st_size, facts.st_mtime_ns) if facts else None)


@lru_cache(maxsize=1)
def _loaded(path: Path, _state: tuple[int, int, int] | None) -> records.Speech:
    """A film's speech is long, and each of its shots wants a little of it."""
    return read_record(path, records.Speech)
