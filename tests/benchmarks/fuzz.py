# ruff: noqa: E501 - the good files are long lines
"""Everything that reads a stranger's file, given files that nobody would write. Run by hand, for hours or days.

    python tests/benchmarks/fuzz.py FOLDER [--seconds 600] [--only script cast ...] [--seed 1]

Each target is a reader of dubkit and a few good files. A good file, or one of the corpus, is damaged (bytes flipped, cut,
repeated, crossed with another; numbers, names and brackets exchanged for evil ones), written to a disk in memory, and
read. Allowed is an answer or a `DubkitError` of one short sentence; a fault is anything else, more than ``LIMIT`` seconds
of processor time for a file, and more than ``MEMORY`` bytes. A damaged file that runs lines of dubkit that none before it
ran goes into ``FOLDER/corpus/TARGET``; one that is a fault into ``FOLDER/faults/TARGET``, with its traceback beside it.

What was done is kept in ``FOLDER/state.json`` after every round: the same command goes on with new damage, and the
sums are of all that was ever run in FOLDER. Ends with 1 where a fault is known. Linux only.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import logging
import os
import random
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from dubkit.batches.find_jobs import read_list
from dubkit.config.presets import load_config
from dubkit.delivery import cut_list, markers, new_edit
from dubkit.errors import DubkitError
from dubkit.faces import consent, people, selection
from dubkit.faces.appearance import load_looks
from dubkit.lips.lending import load_lent
from dubkit.media import audio, credentials, probe, script, shotlist, timecode
from dubkit.metrics.gate_limits import load_gate
from dubkit.metrics.shot_meter import load_seen
from dubkit.models.checkpoint import load_checkpoint
from dubkit.pipeline.verdicts import read_verdicts
from dubkit.speech import g2p, timing
from dubkit.stages.probe import load_film
from dubkit.stages.shots import load_shots
from dubkit.training.dataset import read_clip, read_index
from dubkit.work import manifest
from tests.clips import ffmpeg, film, tone

LIMIT = 20  # seconds of processor time for one file
MEMORY = 6 * 2**30  # bytes of address space
LONGEST = 4000  # characters of an error
ROUND = 8.0  # seconds for a target before the next one's turn
_RATE = Fraction(25)
_EVIL = (
    b"0", b"-1", b"1e999", b"nan", b"9" * 5000, b"[" * 3000, b"{" * 3000, b"\x00", b"\xff\xfe", b"\x1b[2J",
    b"../../etc/passwd", b"/dev/zero", b"http://127.0.0.1:9/", b"<!ENTITY a '&b;&b;'>", b"&a;", b"\r\n", b"\xe2\x80\xae",
    b'"', b"'", b"true", b"null", b"1/0", b"99:99:99:99", b"-->", b"{\\an8}", b"<" * 500, b"(" * 500, b"a" * 3000,
)  # fmt: skip


class TooLong(BaseException):  # that no reader takes for an error of its own
    """A reader needs more time than any file is worth."""


@dataclass(slots=True)
class Target:
    """A reader, its good files, and what became of it."""

    read: Callable[[Path], object]
    seeds: list[tuple[str, bytes]]  # suffix or name, and content
    lines: set[tuple[str, int]] = field(default_factory=set)
    fixed: bool = False  # the seeds' names are what the reader looks for in a folder


def _script(path: Path) -> None:
    lines = script.read_script(path, None, lambda said: None)
    for line in lines[:20]:
        for word in g2p.words_of(line.text[:1000])[:50]:
            g2p.pronounce(word)


def _cuts() -> cut_list.CutList:
    clock = timecode.Clock(_RATE)
    return cut_list.CutList("film", "REEL", clock, 90_000, 500, (640, 360), None)


def _notes(path: Path) -> None:
    for note in markers.read_notes(path, _cuts()):
        markers._VERDICT.match(note.text)


def _edit(path: Path) -> None:
    time_of = cut_list.FilmTime(timecode.Clock(_RATE), 90_000, "REEL", True)
    with cut_list.strange_times(path):
        new_edit._of_list(path, time_of, 500)


def _verify(path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as name:
        beside = Path(name) / "film.credentials.json"
        beside.write_bytes(path.read_bytes())
        (Path(name) / "film.mkv").write_bytes(_verify_film)
        credentials.in_words(credentials.verify_film(Path(name) / "film.mkv", "0" * 64))


_verify_film = b""


def _media(path: Path) -> None:
    info, _ = probe.probe(path)
    credentials.stated_source_type(path)
    timecode.of_film(path)
    assert info.frames >= 0


def _records(read: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda path: read(path.parent)


def _texts() -> dict[str, list[tuple[str, bytes]]]:
    ttml = (
        b'<?xml version="1.0"?><tt xmlns="http://www.w3.org/ns/ttml" xml:lang="de"><body><div><p begin="00:00:01.2" '
        b'end="3s">Guten <span>Tag</span><br/>Welt</p></div></body></tt>'
    )
    otio = cut_list.otio_text(_cuts()).encode()
    edl = b"TITLE: A\nFCM: NON-DROP FRAME\n\n001  REEL     V     C        01:00:00:00 01:00:02:00 01:00:00:00 01:00:02:00\n* LOC: 01:00:01:00 RED     reject: chin\n"
    fcpxml = b'<?xml version="1.0"?><!DOCTYPE fcpxml><fcpxml version="1.10"><marker start="3601s" duration="1/25s" value="reject" note="x"/></fcpxml>'
    csv = b"Marker Name,Description,In,Out\nreject,chin,01:00:01:00,01:00:02:00\n"
    cast = (
        b'kind = "dubkit-cast"\nversion = 1\nfilm = "'
        + b"0" * 64
        + b'"\nunknown = []\n[[person]]\nname = "A"\nfaces = ["0000000-0000100/0"]\ndub = true\n'
    )
    agreed = (
        b'kind = "dubkit-consent"\nversion = 1\nfilm = "0"\n[[person]]\nname = "A"\nlanguages = ["de"]\nuntil = 2030-01-01\ndocument = "'
        + b"a" * 64
        + b'"\n'
    )
    facts = {"source": {"name": "a", "sha256": "0"}, "dub": {"name": "b", "sha256": "1"}, "language": "de", "consent": "x",
             "shots": [{"shot": "s", "changed": "c", "seconds": [[0, 1]]}], "result_sha256": "0" * 64}  # fmt: skip
    srt = b"1\n00:00:00,200 --> 00:00:01,500\nANNA: My portrait (off) has been <i>silent</i>\n\n2\n00:01:00,000 --> 00:01:02,000\n- No.\n- $3.50 on 4/5, Dr. No!\n"
    return {
        "script": [
            (".srt", srt), (".vtt", b"WEBVTT\n\n00:00.200 --> 00:01.500\n<v Anna>My portrait\n"), (".ttml", ttml),
            (".ass", b"[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\n\n[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\nDialogue: 0,0:00:00.20,0:00:01.50,Default,A,0,0,0,,{\\i1}Hello\n"),
            (".txt", b"ANNA\n(whispers) It is 12:30, isn't it?\n\n[00:01] BEN: 1,000 things\n"), (".sub", b"{0}{25}Hello|you\n"),
            (".sbv", b"0:00:01.000,0:00:02.000\nHello\n"), (".stl", b"850STL25.01" + bytes(1013) + bytes(128)),
        ],
        "cast": [(".toml", cast)],
        "consent": [(".toml", agreed)],
        "preset": [(".toml", b'extends = "fast"\ndescription = "x"\n[faces]\nwhich = "all"\ndetect_size = 640\n[gate]\naction = "off"\n')],
        "jobs": [(".csv", b"video,audio,script\na.mp4,a.wav,a.srt\n"), (".toml", b'[defaults]\nlanguage = "de"\n[[job]]\nvideo = "a.mp4"\naudio = "a.wav"\n')],
        "shots": [(".txt", b"0\n14\n00:00:02:00\n"), (".csv", b"Scene Number,Start Frame,End Frame\n1,1,14\n2,15,28\n")],
        "markers": [(".csv", csv), (".edl", edl), (".fcpxml", fcpxml), (".otio", otio)],
        "edit": [(".edl", edl), (".otio", otio)],
        "verdicts": [(".json", json.dumps({"kind": "dubkit-verdicts", "version": 1, "film": "0", "shots": {"0000120-0000248": {"verdict": "reject", "instead": "original", "note": "x"}}}).encode())],
        "credentials": [(".json", json.dumps(facts).encode())],
    }  # fmt: skip


def _npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def targets(scratch: Path, work: Path | None) -> dict[str, Target]:
    """All targets; ``work`` is a finished work folder, whose files are the seeds of those that read records."""
    global _verify_film
    film(scratch / "good.mkv", seconds=0.2)
    _verify_film = (scratch / "good.mkv").read_bytes()
    tone(scratch / "good.wav", 0.2)
    media = [(".mkv", _verify_film)]
    for name in ("good.mp4", "good.avi", "good.ts", "good.mov", "good.mxf"):
        with contextlib.suppress(Exception):
            ffmpeg(
                "-i",
                scratch / "good.mkv",
                "-c:v",
                "mpeg2video" if name.endswith("mxf") else "copy",
                scratch / name,
            )
            media.append((Path(name).suffix, (scratch / name).read_bytes()))
    sounds = [(".wav", (scratch / "good.wav").read_bytes())]
    for name in ("good.flac", "good.mp3", "good.ogg", "good.m4a"):
        ffmpeg("-i", scratch / "good.wav", scratch / name)
        sounds.append((Path(name).suffix, (scratch / name).read_bytes()))
    readers: dict[str, Callable[[Path], object]] = {
        "script": _script,
        "cast": people.read_cast,
        "consent": consent.read_consent,
        "preset": lambda path: load_config([str(path)]),
        "jobs": read_list,
        "shots": lambda path: shotlist.read_shots(path, 42),
        "markers": _notes,
        "edit": _edit,
        "verdicts": read_verdicts,
        "credentials": _verify,
    }
    found = {name: Target(readers[name], seeds) for name, seeds in _texts().items()}
    found["film"] = Target(_media, media)
    found["dub"] = Target(lambda path: audio.map_samples(path, path.parent), sounds)
    weights = Path(people.__file__).parents[1] / "weights"
    found["weights"] = Target(
        lambda path: load_checkpoint(path, "speaker"),
        [(".safetensors", (weights / "speaker.safetensors").read_bytes()[:60_000])],
    )
    if work is not None:
        found |= _records_of(work)
    return found


def _records_of(work: Path) -> dict[str, Target]:
    """Readers of a work folder's files."""
    readers: Mapping[str, tuple[str, Callable[[Path], object]]] = {
        "manifest": ("manifest.json", manifest.read_manifest),
        "receipt": ("receipt.json", manifest.read_receipt),
        "tracks": ("tracks.npz", selection.load_tracks),
        "choice": ("chosen.json", selection.load_choice),
        "voices": ("voices.json", selection.load_voices),
        "looks": ("looks.npz", load_looks),
        "timing": ("timing.npz", timing.load_timing),
        "speech": ("speech.json", timing.load_speech),
        "sound": ("sound.npz", timing.load_sound),
        "rows": ("encoder_rows.npy", timing.load_rows),
        "shots_record": ("shots.json", load_shots),
        "gate": ("gate.json", load_gate),
        "roles": ("roles.json", people.load_roles),
        "people": ("people.json", people.load_people),
    }
    found = {}
    for name, (file, read) in readers.items():
        there = sorted(work.rglob(file))
        if there:
            found[name] = Target(_records(read), [(file, there[0].read_bytes())], fixed=True)
    several: Mapping[str, tuple[tuple[str, str], Callable[[Path], object]]] = {
        "film_facts": (("video.json", "pts.npy"), load_film),
        "seen": (("seen.json", "lips.npz"), load_seen),
    }
    for name, (files, read) in several.items():
        places = [p.parent for p in sorted(work.rglob(files[0])) if (p.parent / files[1]).is_file()]
        if places:
            seeds = [(file, (places[0] / file).read_bytes()) for file in files]
            found[name] = Target(_records(read), seeds, fixed=True)
    lent = sorted(work.rglob("offer_*.npz"))
    if lent:
        found["lent"] = Target(load_lent, [(".npz", lent[0].read_bytes()[:400_000])])
    index = Path("index.json")
    found["set_index"] = Target(_records(read_index), [(index.name, b'{"clips": []}')], fixed=True)
    found["clip"] = Target(read_clip, [(".npz", _npz(a=np.zeros(3)))])
    return found


def damaged(content: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    """One to four harms; of JSON half the time such that it stays JSON."""
    if content[:1] in b"{[" and chance.random() < 0.5:
        with contextlib.suppress(ValueError, RecursionError):
            return json.dumps(_exchanged(json.loads(content), chance)).encode()
    data = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        _harm(data, others, chance)
    return bytes(data[: 4 * 2**20])


_VALUES: tuple[Any, ...] = (None, True, 0, -1, 1e300, float("nan"), 2**70, "", "x", "../x", "\x00", [], {}, [[]], "Timeline.1", "Clip.1", "Gap.1",
           "RationalTime.1", "TimeRange.1", "Stack.1", "Track.1", "9" * 3000)  # fmt: skip


def _exchanged(table: Any, chance: random.Random) -> Any:
    """JSON with one or some of its values exchanged, left out or doubled."""
    share = chance.choice((0.02, 0.1, 0.3))

    def changed(value: Any) -> Any:
        if chance.random() < share:
            return chance.choice(_VALUES)
        if isinstance(value, dict):
            return {
                chance.choice(("x", key)) if chance.random() < share / 4 else key: changed(inner)
                for key, inner in value.items()
                if chance.random() > share / 4
            }
        if isinstance(value, list):
            found = [changed(inner) for inner in value]
            return found * 2 if chance.random() < share / 4 else found
        return value

    return changed(table)


def _harm(data: bytearray, others: Sequence[bytes], chance: random.Random) -> None:
    at = chance.randrange(len(data) + 1)
    end = min(len(data), at + chance.choice((1, 2, 4, 8, 40, 400)))
    kind = chance.randrange(9)
    if kind == 0 and data:
        for _ in range(chance.randint(1, 8)):
            data[chance.randrange(len(data))] = chance.randrange(256)
    elif kind == 1:
        del data[at:end]
    elif kind == 2:
        data[at:at] = chance.choice(_EVIL)
    elif kind == 3:
        data[at:end] = chance.choice(_EVIL)
    elif kind == 4:
        data[at:at] = bytes(data[at:end]) * chance.choice((2, 10, 300))
    elif kind == 5:
        other = chance.choice(others)
        start = chance.randrange(len(other) + 1)
        data[at:end] = other[start : start + chance.choice((8, 80, 800))]
    elif kind == 6:
        width, sign = chance.choice(((1, "B"), (2, "H"), (4, "I"), (8, "Q")))
        value = chance.choice(
            (0, 1, 2 ** (8 * width) - 1, 2 ** (8 * width - 1), 2 ** (8 * width - 1) - 1)
        )
        data[at : at + width] = struct.pack(chance.choice("<>") + sign, value)
    elif kind == 7:
        _exchange_token(data, chance)
    else:
        del data[at:]


def _exchange_token(data: bytearray, chance: random.Random) -> None:
    """A number or a string of a text becomes another."""
    spots = [k for k, c in enumerate(data[:20_000]) if chr(c) in '0123456789"=:,']
    if spots:
        at = chance.choice(spots)
        end = at + 1
        while end < len(data) and chr(data[end]).isalnum():
            end += 1
        data[at:end] = chance.choice(_EVIL)


_SEEN_CODE: dict[CodeType, bool] = {}
_OWN = str(Path(people.__file__).parents[1])


class Lines:
    """The lines of dubkit that run meanwhile, as a set of (file, line)."""

    def __init__(self) -> None:
        self.found: set[tuple[str, int]] = set()

    def __enter__(self) -> Lines:
        sys.settrace(self._call)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _call(self, frame: FrameType, event: str, _: object) -> Any:
        code = frame.f_code
        own = _SEEN_CODE.get(code)
        if own is None:
            own = _SEEN_CODE[code] = code.co_filename.startswith(_OWN)
        return self._line if own else None

    def _line(self, frame: FrameType, event: str, _: object) -> Any:
        if event == "line":
            self.found.add((frame.f_code.co_filename, frame.f_lineno))
        return self._line


def _too_long(*_: object) -> None:
    raise TooLong


def read_once(target: Target, path: Path) -> tuple[str | None, set[tuple[str, int]]]:
    """What is wrong, None for nothing, and the lines that ran."""
    lines, wrong = Lines(), None
    signal.setitimer(signal.ITIMER_PROF, LIMIT)
    try:
        with lines, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            target.read(path)
    except DubkitError as error:
        if len(error.message) > LONGEST or "\n" in error.message.strip():
            wrong = f"no short sentence: {error.message[:500]!r}"
    except (Exception, TooLong):
        wrong = traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return wrong, lines.found


def _where(wrong: str) -> str:
    """What tells one fault from another: the end of its traceback."""
    places = [line for line in wrong.splitlines() if line.strip().startswith("File ")]
    return "\n".join([*places[-2:], wrong.splitlines()[-1][:40]])


def main() -> int:
    """Run; 1 where a fault is known."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--seconds", type=float, default=600.0, help="of processor time, for this run"
    )
    parser.add_argument("--only", nargs="+", help="targets")
    parser.add_argument("--work", type=Path, help="a finished work folder, whose files are seeds")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    logging.disable(logging.CRITICAL)
    signal.signal(signal.SIGPROF, _too_long)
    args.folder.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="dubkit-fuzz-", dir="/dev/shm"))
    try:
        known = targets(scratch, args.work)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        chosen = {n: t for n, t in known.items() if not args.only or n in args.only}
        return _run(chosen, args.folder, scratch, args.seconds, args.seed)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _run(
    chosen: Mapping[str, Target], folder: Path, scratch: Path, seconds: float, seed: int
) -> int:
    state_file = folder / "state.json"
    state: dict[str, Any] = json.loads(state_file.read_text()) if state_file.is_file() else {}
    began = _spent()
    while _spent() - began < seconds:
        for name, target in chosen.items():
            told = state.setdefault(name, {"files": 0, "seconds": 0.0, "faults": {}})
            start = _spent()
            done = _apart(name, target, folder, scratch, seed * 1_000_003 + told["files"])
            told["files"] += done["files"]
            for place, count in done["faults"].items():
                told["faults"][place] = told["faults"].get(place, 0) + count
            told["seconds"] = round(told["seconds"] + _spent() - start, 2)
            told["corpus"] = len(list((folder / "corpus" / name).glob("*")))
            told["lines"] = max(done["lines"], told.get("lines", 0))
            beside = state_file.with_suffix(".part")
            beside.write_text(json.dumps(state, indent=1))
            beside.replace(state_file)
            kinds = len(told["faults"])
            sums = f"{told['files']:8} files {told['seconds']:8.0f} s  lines {told['lines']:5}"
            say(f"{name:12} {sums}  corpus {told['corpus']:4}  faults {kinds}")
            if _spent() - began >= seconds:
                break
    files, spent = (sum(t[k] for t in state.values()) for k in ("files", "seconds"))
    faults = sum(len(t["faults"]) for t in state.values())
    say(f"all runs: {files} files, {spent:.0f} s of processor time, {faults} kinds of faults")
    return int(faults > 0)


def _spent() -> float:
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, kinds))


def _apart(name: str, target: Target, folder: Path, scratch: Path, seed: int) -> dict[str, Any]:
    """A round in a process of its own: a reader in native code may take it along."""
    place = scratch / name
    place.mkdir(exist_ok=True)
    report = scratch / f"{name}.report"
    report.write_text(json.dumps({"files": 0, "faults": {}, "lines": 0}))
    child = os.fork()
    if child == 0:
        try:
            _round(name, target, folder, place, seed, report)
        except BaseException:
            traceback.print_exc()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    done: dict[str, Any] = json.loads(report.read_text())
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        kept = folder / "faults" / name
        kept.mkdir(parents=True, exist_ok=True)
        for path in place.iterdir():
            if path.is_file():
                shutil.copyfile(path, kept / f"signal{number}-{seed}-{path.name}")
        done["faults"][f"died of signal {number}"] = 1
        done["files"] += 1
    return done


def _round(name: str, target: Target, folder: Path, place: Path, seed: int, report: Path) -> None:
    corpus = folder / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    pool = [*target.seeds]
    pool += [(path.name.partition("-")[2], path.read_bytes()) for path in sorted(corpus.iterdir())]
    for suffix, content in pool:
        target.lines |= read_once(target, _laid(target, place, suffix, content))[1]
    others = [content for _, content in pool if content] or [b"x"]
    deadline, number, faults = time.process_time() + ROUND, 0, dict[str, int]()

    def tell() -> None:
        told = {"files": number, "faults": faults, "lines": len(target.lines)}
        report.write_text(json.dumps(told))

    while time.process_time() < deadline and number < 2000:
        chance = random.Random(seed + number)
        number += 1
        suffix, content = chance.choice(pool)
        data = damaged(content, others, chance)
        wrong, lines = read_once(target, _laid(target, place, suffix, data))
        if lines - target.lines:
            target.lines |= lines
            pool.append((suffix, data))
            (corpus / f"{hashlib.sha256(data).hexdigest()[:12]}-{suffix}").write_bytes(data)
        if wrong is not None:
            kept = folder / "faults" / name
            kept.mkdir(parents=True, exist_ok=True)
            key = hashlib.sha256(_where(wrong).encode()).hexdigest()[:12]
            (kept / f"{key}-{suffix}").write_bytes(data)
            (kept / f"{key}.txt").write_text(wrong)
            faults[_where(wrong)] = faults.get(_where(wrong), 0) + 1
        if number % 20 == 0 or wrong is not None:
            tell()
    tell()


def _laid(target: Target, place: Path, suffix: str, content: bytes) -> Path:
    """The damaged file, with the good ones beside it that the reader looks for."""
    if target.fixed:
        for name, good in target.seeds:
            (place / name).write_bytes(good)
    path = place / (suffix if target.fixed else f"file{suffix}")
    path.write_bytes(content)
    return path


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
