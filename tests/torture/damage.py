"""Damaged inputs, made from whole ones by a seed: the same number gives the same damage."""

from __future__ import annotations

import json
import random
import shutil
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from dubkit.delivery import cut_list
from dubkit.media import timecode
from dubkit.work.store import digest_file
from tests.clips import ffmpeg
from tests.torture.films import Inputs, small_inputs
from tests.torture.processes import run

Hurt = Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True, slots=True)
class Damaged:
    """A set of inputs, one of which is damaged."""

    what: str
    film: Path
    dub: Path
    script: Path | None
    shots: Path | None
    sheet: tuple[str, Path] | None = None  # an option of ``run`` and its file
    list_of: Path | None = None  # a new edit, that is compared with the work folder beside it
    makes_film: bool = True

    def words(self, folder: Path) -> list[str]:
        if self.list_of is not None:
            return ["diff", str(folder / "work"), str(self.list_of)]
        files = [str(self.film), "--audio", str(self.dub)]
        files += ["--script", str(self.script)] if self.script else []
        files += ["--shots", str(self.shots)] if self.shots else []
        files += [self.sheet[0], str(self.sheet[1])] if self.sheet else []
        places = ["--out", str(folder / "out.mp4"), "--work", str(folder / "work")]
        return ["run", *files, *places]


@dataclass(frozen=True, slots=True)
class Whole:
    """Inputs that are well, in many formats."""

    plain: Inputs
    films: tuple[Path, ...]
    dubs: tuple[Path, ...]
    scripts: tuple[Path, ...]
    lists: tuple[Path, ...]
    sheets: tuple[tuple[str, Path], ...]  # options of ``run`` and their files
    edits: tuple[Path, ...]
    work: Path  # a finished work folder


def whole(folder: Path) -> Whole:
    """Two seconds of film in five containers, its dub in five formats, scripts and shot lists."""
    plain = small_inputs(folder, shots=3, frames=14)
    film, dub = plain.film, plain.dub
    films, dubs = [film], [dub]
    for name in ("film.mkv", "film.avi", "film.ts", "film.mov"):
        films.append(folder / name)
        ffmpeg("-i", film, "-c", "copy", films[-1])
    for name in ("dub.flac", "dub.mp3", "dub.ogg", "dub.m4a"):
        dubs.append(folder / name)
        ffmpeg("-i", dub, dubs[-1])
    texts = {
        "dub.srt": "1\n00:00:00,200 --> 00:00:01,500\nMy portrait has been silent\n\n",
        "dub.vtt": "WEBVTT\n\n00:00.200 --> 00:01.500\nMy portrait has been <i>silent</i>\n",
        "dub.ttml": '<tt xmlns="http://www.w3.org/ns/ttml"><body><div><p begin="00:00:00.2" '
        'end="00:00:01.5">My portrait has been silent</p></div></body></tt>',
        "dub.ass": "[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\n\n[Events]\nFormat: Layer, Start, "
        "End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
        "Dialogue: 0,0:00:00.20,0:00:01.50,Default,,0,0,0,,My portrait has been silent\n",
        "shots.txt": "0\n14\n28\n",
        "shots.csv": "Scene Number,Start Frame,End Frame\n1,1,14\n2,15,28\n3,29,42\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    scripts = [plain.script, *(folder / name for name in texts if name.startswith("dub"))]
    lists = [folder / name for name in texts if name.startswith("shots")]
    work = folder / "done" / "work"
    words: list[str | Path] = [
        "run",
        film,
        "--audio",
        dub,
        "--out",
        folder / "done" / "out.mp4",
        "--work",
        work,
    ]
    done = run(words, folder / "done" / "log")
    assert done.process.returncode in (0, 10), done.err()
    return Whole(
        plain,
        tuple(films),
        tuple(dubs),
        tuple(scripts),
        tuple(lists),
        tuple(_sheets(folder, film)),
        tuple(_edits(folder)),
        work,
    )


def _sheets(folder: Path, film: Path) -> Iterator[tuple[str, Path]]:
    """A cast, a preset and verdicts of the film."""
    digest = digest_file(film)
    texts = {
        "--cast": f'kind = "dubkit-cast"\nversion = 1\nfilm = "{digest}"\nunknown = []\n\n[[person]]\nname = "Anna"\n'
        'faces = ["0000000-0000014/0"]\ndub = true\n',
        "--preset": '[faces]\nwhich = "all"\n\n[gate]\nmax_stain = 20.0\n',
        "--verdicts": json.dumps({"kind": "dubkit-verdicts", "version": 1, "film": digest, "shots": {
            "0000000-0000014": {"verdict": "reject", "instead": "original", "note": "1"}}}),
    }  # fmt: skip
    for option, text in texts.items():
        path = folder / f"sheet{option}.{'json' if option == '--verdicts' else 'toml'}"
        path.write_text(text, encoding="utf-8")
        yield option, path


def _edits(folder: Path) -> Iterator[Path]:
    """The first second of the film, as lists."""
    clock = timecode.Clock(Fraction(25))
    clip = cut_list.Clip("film", folder / "film.mp4", 0, 42, 0, 25)
    cuts = cut_list.CutList("new", "FILM", clock, 0, 25, (320, 240), None, clips=(clip,))
    for suffix, text in ((".edl", cut_list.edl_text(cuts)), (".otio", cut_list.otio_text(cuts))):
        path = folder / f"edit{suffix}"
        path.write_text(text, encoding="utf-8")
        yield path


_KINDS = (
    *["film"] * 5,
    *["dub"] * 2,
    *["script"] * 2,
    "list",
    *["sheet"] * 3,
    *["edit"] * 2,
    "work",
)


def damaged(good: Whole, folder: Path, number: int, seed: int) -> Damaged:
    """Case ``number``: of 16, five have a bad film, two a bad dub, two a bad script, one a bad list of shots, three a
    bad cast, preset or file of verdicts, two a bad list of a new edit, one a damaged work folder.
    """
    chance = random.Random(seed * 100_003 + number)
    folder.mkdir(parents=True, exist_ok=True)
    kind = _KINDS[number % len(_KINDS)]
    plain = good.plain
    if kind in ("sheet", "edit", "work"):
        return _other(good, kind, folder, chance)
    sources = {"film": good.films, "dub": good.dubs, "script": good.scripts, "list": good.lists}
    source = chance.choice(sources[kind])
    target = folder / source.name
    hurts = _TEXT if kind in ("script", "list") else _MEDIA
    name = chance.choice(sorted(hurts))
    what = f"{source.name}: {name}"
    if kind in ("film", "dub") and chance.random() < 0.2:
        what = f"{source.name}: {_exchange(good, kind, target, chance)}"
    else:
        target.write_bytes(hurts[name](source.read_bytes(), chance))
    return Damaged(
        what,
        target if kind == "film" else plain.film,
        target if kind == "dub" else plain.dub,
        target if kind == "script" else (None if chance.random() < 0.5 else plain.script),
        target if kind == "list" else None,
    )


def _other(good: Whole, kind: str, folder: Path, chance: random.Random) -> Damaged:
    """A damaged sheet, list or work folder."""
    plain = good.plain
    if kind == "sheet":
        option, source = chance.choice(good.sheets)
        what, target = _hurt(source, folder / source.name, _TEXT, chance)
        return Damaged(what, plain.film, plain.dub, None, None, sheet=(option, target))
    shutil.copytree(good.work, folder / "work")
    if kind == "edit":
        source = chance.choice(good.edits)
        what, target = _hurt(source, folder / source.name, _TEXT, chance)
        return Damaged(what, plain.film, plain.dub, None, None, list_of=target, makes_film=False)
    files = sorted(p for p in (folder / "work").rglob("*") if p.is_file() and p.stat().st_size)
    source = chance.choice([p for p in files if p.name not in ("lock", "attend.lock", "run.log")])
    what, _ = _hurt(source, source, _MEDIA, chance)
    (folder / "work" / "lock").write_text("process 1 on somewhere\n")  # it did not come to its end
    return Damaged(f"work folder, {what}", plain.film, plain.dub, None, None)


def _hurt(
    source: Path, target: Path, hurts: dict[str, Hurt], chance: random.Random
) -> tuple[str, Path]:
    name = chance.choice(sorted(hurts))
    target.write_bytes(hurts[name](source.read_bytes(), chance))
    return f"{source.name}: {name}", target


def _exchange(good: Whole, kind: str, target: Path, chance: random.Random) -> str:
    """Something else under the name of what was asked for."""
    if kind == "film":
        what = chance.choice(("sound alone", "streams swapped", "another container", "a script"))
    else:
        what = chance.choice(("pictures alone", "another container", "a script", "no numbers"))
    film = str(good.plain.film)
    if what == "sound alone":
        ffmpeg("-i", film, "-map", "0:a", "-c", "copy", target)
    elif what == "pictures alone":
        other = target.with_suffix(".mp4")
        ffmpeg("-i", film, "-map", "0:v", "-c", "copy", other)
        other.replace(target)
    elif what == "streams swapped":
        ffmpeg("-i", film, "-map", "0:a", "-map", "0:v", "-c", "copy", target)
    elif what == "another container":
        shutil.copyfile(chance.choice(good.films if kind == "dub" else good.dubs), target)
    elif what == "no numbers":
        target.write_bytes(_float_wav([float("nan"), float("inf"), -1e30, 0.1] * 8000))
    else:
        shutil.copyfile(good.plain.script, target)
    return what


def _float_wav(samples: list[float]) -> bytes:
    body = struct.pack(f"<{len(samples)}f", *samples)
    head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36 + len(body), b"WAVE", b"fmt ", 16, 3, 1,
                       16000, 64000, 4, 32)  # fmt: skip
    return head + struct.pack("<4sI", b"data", len(body)) + body


def _cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))]


def _cut_start(data: bytes, chance: random.Random) -> bytes:
    return data[chance.randrange(1, len(data)) :]


def _flip(data: bytes, chance: random.Random, below: int, most: int) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, most)):
        changed[chance.randrange(min(below, len(changed)))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _blank(data: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(data))
    end = min(len(data), start + chance.randint(1, len(data) // 2))
    return data[:start] + bytes(end - start) + data[end:]


def _spill(data: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(data))
    return data[:start] + chance.randbytes(chance.randint(1, 4096)) + data[start:]


def _large_numbers(data: bytes, chance: random.Random) -> bytes:
    """Four bytes of the header, or of an index at the end, say "very much"."""
    changed = bytearray(data)
    near_end = chance.random() < 0.5
    for _ in range(chance.randint(1, 3)):
        spot = chance.randrange(min(600, len(data)))
        spot = max(0, len(data) - 4 - spot) if near_end else spot
        changed[spot : spot + 4] = chance.choice((b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"))
    return bytes(changed)


_MEDIA: dict[str, Hurt] = {
    "cut off": _cut,
    "start missing": _cut_start,
    "bits flipped": lambda data, chance: _flip(data, chance, len(data), 200),
    "header bits flipped": lambda data, chance: _flip(data, chance, 400, 12),
    "zeros inside": _blank,
    "bytes put in": _spill,
    "very large numbers": _large_numbers,
    "wrong header": lambda data, chance: (
        chance.choice((b"RIFF\xff\xff\xff\xffWAVE", b"\x00\x00\x00\x20ftypisom", b"ID3\x04",
                       b"OggS", b"fLaC", b"\x1aE\xdf\xa3", b"#EXTM3U\n")) + data[16:]
    ),
    "noise": lambda data, chance: chance.randbytes(len(data)),
    "twice": lambda data, chance: data + data,
}  # fmt: skip
_TEXT: dict[str, Hurt] = {
    "cut off": _cut,
    "start missing": _cut_start,
    "bits flipped": lambda data, chance: _flip(data, chance, len(data), 20),
    "noise": lambda data, chance: chance.randbytes(300),
    "in UTF-16, odd": lambda data, chance: data.decode().encode("utf-16")[:-1],
    "numbers grown": lambda data, chance: data.replace(b"0", b"0" * chance.choice((9, 99, 5000))),
    "numbers below zero": lambda data, chance: data.replace(b"1", b"-1"),
    "one endless line": lambda data, chance: data.strip() + b" word" * 40_000,
    "a thousand times": lambda data, chance: data * 1000,
    "deep": lambda data, chance: data + b"<a>[({" * 20_000,
    "entities": lambda data, chance: (
        b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
        + b"".join(
            b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(12)
        )
        + b"]><tt><body><div><p begin='0s' end='1s'>&m;</p></div></body></tt>"
    ),
    "zeros": lambda data, chance: bytes(len(data)),
    "empty": lambda data, chance: b"",
}  # fmt: skip
