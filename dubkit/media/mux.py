"""Mux a film: pictures, dub, and the other streams of the source (ffmpeg, no re-encoding of pictures).

The pictures start at time 0 and the dub with them; subtitles and chapters move by as much.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import ffmpeg

from dubkit.errors import OutputError, UsageError
from dubkit.media import audio, container, process
from dubkit.records import StreamInfo, VideoInfo

_ISO = (".mp4", ".m4v", ".mov")
_MP4_SOUNDS = {"aac", "ac3", "eac3", "mp3", "alac"}
_PCM = {"pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_s16be", "pcm_s24be"}
_SOUNDS = {
    ".mp4": _MP4_SOUNDS,
    ".m4v": _MP4_SOUNDS,
    ".mov": (_MP4_SOUNDS - {"eac3"}) | _PCM,
    ".mkv": _MP4_SOUNDS | _PCM | {"flac", "opus", "vorbis", "dts", "truehd", "mp2"},
}
_ENCODED = {"aac": container.CONTAINERS, "flac": (".mkv",), "pcm": (".mov", ".mkv")}
_TEXTS = {"subrip", "srt", "ass", "ssa", "webvtt", "mov_text", "text"}
_BIT_RATE = 96_000  # of AAC, a channel
_NUMBERS_ONLY = (
    rf"aeval=if(lt(abs(val(ch))\,{audio.LOUDEST:g})\,val(ch)\,0):c=same"  # NaN is not less
)


@dataclass(frozen=True, slots=True)
class Sound:
    """What becomes of the dub: ``copy`` or an encoder, and whether silence follows it."""

    codec: str
    pad: bool
    bit_rate: int | None = None
    clean: bool = False  # samples that are no numbers become silence


@dataclass(frozen=True, slots=True)
class Carried:
    """A subtitle or attachment of the source that goes along, and its codec there."""

    index: int
    kind: str
    codec: str


def plan_sound(
    dub: audio.AudioInfo, suffix: str, wanted: str, seconds: float, slack: float
) -> Sound:
    """How the dub goes into a film of ``seconds``; differences up to ``slack`` seconds are left.

    ``wanted`` is `StitchSettings.audio_codec`. Raises `UsageError` where the container cannot hold it.
    """
    pad = dub.duration < seconds - slack
    taken = dub.codec in _SOUNDS[suffix]
    clean = not dub.finite
    if wanted == "copy":
        if not taken:
            raise UsageError(
                f"sound of codec {dub.codec} cannot be copied into {suffix}",
                hint="use --set stitch.audio_codec=auto, or write an .mkv",
            )
        return Sound("copy", pad=False)
    if wanted == "auto":
        if taken and not pad and not clean:
            return Sound("copy", pad=False)
        plain = dub.codec in _PCM | {"flac", "alac"} or dub.codec.startswith("pcm_")
        wanted = "aac" if not plain or suffix in (".mp4", ".m4v") else _lossless(suffix)
    if suffix not in _ENCODED[wanted]:
        raise UsageError(
            f"{wanted} sound cannot go into {suffix}",
            hint=f"use {' or '.join(_ENCODED[wanted])}, or --set stitch.audio_codec=aac",
        )
    if wanted == "aac":
        return Sound("aac", pad, min(_BIT_RATE * max(1, dub.channels), 512_000), clean)
    if wanted == "pcm":
        deep = dub.codec not in ("pcm_s16le", "mp3", "aac")
        return Sound("pcm_s24le" if deep else "pcm_s16le", pad, clean=clean)
    return Sound("flac", pad, clean=clean)


def _lossless(suffix: str) -> str:
    return "flac" if suffix == ".mkv" else "pcm"


def plan_carried(streams: Sequence[StreamInfo], suffix: str) -> tuple[list[Carried], list[str]]:
    """Which streams of the source go along, and a sentence for each that the container refuses."""
    carried: list[Carried] = []
    warnings: list[str] = []
    for stream in streams:
        if stream.kind == "subtitle":
            codec = _subtitle_codec(stream.codec, suffix)
            if codec is None:
                warnings.append(
                    f"subtitles of codec {stream.codec} cannot go into {suffix}: left out"
                )
            else:
                carried.append(Carried(stream.index, "s", codec))
        elif stream.kind == "attachment" and suffix == ".mkv" and stream.codec in _FONTS:
            carried.append(Carried(stream.index, "t", "copy"))
        elif stream.kind in ("attachment", "data"):
            warnings.append(f"stream {stream.index} ({stream.kind}, {stream.codec}) is left out")
    return carried, warnings


_FONTS = ("ttf", "otf", "unknown")


def _subtitle_codec(codec: str, suffix: str) -> str | None:
    if suffix == ".mkv":
        return "subrip" if codec == "mov_text" else "copy"
    if codec not in _TEXTS:
        return None
    return "copy" if codec == "mov_text" else "mov_text"


@dataclass(frozen=True, slots=True)
class Parts:
    """All that goes into a film."""

    picture: Path  # one video stream, times from 0
    dub: Path
    source: Path
    info: VideoInfo  # of the source
    offset: float  # seconds from the source's start to its first picture
    seconds: float  # length of the picture
    sound: Sound
    dub_stream: int
    carried: Sequence[Carried]
    keep: bool  # metadata and chapters


def mux(parts: Parts, out: Path) -> None:
    """Write the film; raises `ToolError`, or `OutputError` where the disk is full."""
    picture = _input(parts.picture)
    limit = {} if parts.sound.pad else {"t": f"{parts.seconds:.6f}"}
    dub = _input(parts.dub, **limit)
    streams = [picture["v:0"], dub[str(parts.dub_stream)]]
    if parts.keep:
        source = _input(parts.source, itsoffset=f"{-parts.offset:.6f}", t=f"{parts.seconds:.6f}")
        streams += [source[str(stream.index)] for stream in parts.carried]
        if not parts.carried:
            # ffmpeg-python lists an input only where one of its streams is mapped
            streams += [source["s:999?"]]
    graph = ffmpeg.output(*streams, _name(out), **_options(parts, out.suffix.lower()))
    argv = graph.compile(cmd=[str(process.find_program("ffmpeg")), *_QUIET], overwrite_output=True)
    process.run(argv)
    if parts.info.rotation and out.suffix.lower() in _ISO:
        set_rotation(out, parts.info.rotation)


_QUIET = ("-nostdin", "-hide_banner", "-loglevel", "error")


def _input(path: Path, **options: str) -> Any:
    """A file to read: no address and no playlist, even if it became one since it was checked."""
    only = {"protocol_whitelist": "file", "format_whitelist": container.FORMATS}
    return ffmpeg.input(_name(path), **only, **options)


def _name(path: Path) -> str:
    """A name that ffmpeg takes as a file, whatever characters it has."""
    return f"file:{path}"


def _options(parts: Parts, suffix: str) -> dict[str, Any]:
    options: dict[str, Any] = {
        "c:v": "copy",
        "fflags": "+bitexact",
        "flags:v": "+bitexact",
        "flags:a": "+bitexact",
        "map_metadata": "2" if parts.keep else "-1",
        "map_chapters": "2" if parts.keep else "-1",
        "dn": None,
        **_sound_options(parts),
    }
    for number, stream in enumerate(s for s in parts.carried if s.kind == "s"):
        options[f"c:s:{number}"] = stream.codec
        options[f"map_metadata:s:s:{number}"] = f"2:s:{stream.index}"
    if any(stream.kind == "t" for stream in parts.carried):
        options["c:t"] = "copy"
    if parts.keep:
        options["map_metadata:s:v:0"] = f"2:s:{parts.info.video_stream}"
        options["map_metadata:s:a:0"] = f"1:s:{parts.dub_stream}"
    if parts.info.pixel_aspect != 1:
        shape = parts.info.pixel_aspect * parts.info.width / parts.info.height
        options["aspect"] = f"{shape.numerator}:{shape.denominator}"
    if suffix in _ISO:
        options["movflags"] = "+faststart"
        options["video_track_timescale"] = parts.info.time_base.denominator
    return options


def _sound_options(parts: Parts) -> dict[str, Any]:
    sound = parts.sound
    if sound.codec == "copy":
        return {"c:a": "copy"}
    steady = "aresample=async=1:first_pts=0"
    if sound.clean:
        steady = f"{_NUMBERS_ONLY},{steady}"
    end = f"atrim=end={parts.seconds:.6f}"
    options: dict[str, Any] = {
        "c:a": sound.codec,
        "af": f"{steady},apad,{end}" if sound.pad else f"{steady},{end}",
    }
    if sound.bit_rate:
        options["b:a"] = sound.bit_rate
    return options


_ONE, _W = 1 << 16, 1 << 30
_TURNS = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}


def set_rotation(path: Path, degrees: int) -> None:
    """Make players turn the first video track clockwise by 0, 90, 180 or 270 degrees."""
    with path.open("r+b") as file:
        at = _video_header(file)
        if at is None:
            raise OutputError(f"{path} has no video track to rotate")
        file.seek(at)
        version = file.read(1)[0]
        file.seek(at + (52 if version else 40))
        a, b, c, d = _TURNS[degrees]
        file.write(struct.pack(">9i", a * _ONE, b * _ONE, 0, c * _ONE, d * _ONE, 0, 0, 0, _W))


def _video_header(file: BinaryIO) -> int | None:
    """Where the body of the first video track's ``tkhd`` begins."""
    file.seek(0, 2)
    for kind, start, end in _boxes(file, 0, file.tell()):
        if kind != b"moov":
            continue
        for inner, first, last in _boxes(file, start, end):
            if inner == b"trak" and _handler(file, first, last) == b"vide":
                for box, body, _ in _boxes(file, first, last):
                    if box == b"tkhd":
                        return body
    return None


def _handler(file: BinaryIO, start: int, end: int) -> bytes | None:
    for kind, first, last in _boxes(file, start, end):
        if kind == b"mdia":
            for inner, body, _ in _boxes(file, first, last):
                if inner == b"hdlr":
                    file.seek(body + 8)
                    return file.read(4)
    return None


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start of body and end of each box between two places."""
    at = start
    while at + 8 <= end:
        file.seek(at)
        size, kind = struct.unpack(">I4s", file.read(8))
        body = at + 8
        if size == 1:
            size, body = struct.unpack(">Q", file.read(8))[0], at + 16
        size = size or end - at
        if size < 8:
            return
        yield kind, body, at + size
        at += size
