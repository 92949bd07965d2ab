"""Mux a film: pictures, dub, and the other streams of the source (ffmpeg, no re-encoding of pictures).

The pictures start at time 0 and the dub with them; what else the film holds moves by as much.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dubkit.errors import OutputError
from dubkit.media import audio, container, credentials, loudness, process, streams
from dubkit.records import AT_START, Placement, VideoInfo

_QUIET = ("-nostdin", "-hide_banner", "-loglevel", "error", "-y")
_NUMBERS_ONLY = (
    rf"aeval=if(lt(abs(val(ch))\,{audio.LOUDEST:g})\,val(ch)\,0):c=same"  # NaN is not less
)
_STEADY = "aresample=async=1:first_pts=0"  # holes become silence, time 0 is the first sample
_PICTURE, _DUB, _SOURCE = range(3)  # inputs of the command
_PITCHED = 0.003  # a stretch that is heard as another pitch, which is then kept
_MARGIN = 0.4  # dB under the ceiling, for what resampling adds
_MIME = {"png": "image/png", "mjpeg": "image/jpeg", "bmp": "image/bmp"}


@dataclass(frozen=True, slots=True)
class Mix:
    """Music and effects that are mixed under the dub."""

    path: Path | None  # None: a sound track of the film
    stream: int  # index in that file
    placement: Placement
    gain: float  # of music and effects, in dB
    rate: int  # of the mix
    layout: str
    ceiling: float | None = None  # dBTP that peaks are limited to; None: they are left


@dataclass(frozen=True, slots=True)
class Parts:
    """All that goes into a film."""

    picture: Path  # one video stream, times from 0
    dub: Path
    source: Path
    info: VideoInfo  # of the source
    offset: float  # seconds from the source's start to its first picture
    seconds: float  # length of the picture
    sound: streams.Sound
    dub_stream: int
    plan: streams.StreamPlan
    codec: str  # of the pictures
    keep: bool  # metadata and chapters
    language: str | None = None  # of the dub, in three letters
    title: str | None = None
    placement: Placement = AT_START
    dub_rate: int = 48_000
    mix: Mix | None = None
    changed: bool = False  # a mouth was, which the file's metadata is to state
    label: Path | None = None  # a text file for the stream `streams.LABEL`


def mux(parts: Parts, out: Path) -> None:
    """Write the film; raises `ToolError`, or `OutputError` where the disk is full."""
    suffix = out.suffix.lower()
    covers = _covers(parts, out.parent) if suffix == ".mkv" else []
    process.run([str(process.find_program("ffmpeg")), *_QUIET, *_arguments(parts, out, covers)])
    for cover, _ in covers:
        cover.unlink()
    if suffix == ".mov":  # ffmpeg writes only the languages that the old Macintosh knew
        codes = [c.language for c in parts.plan.carried if c.kind in ("audio", "subtitle")]
        set_languages(out, [parts.language, *codes])
    if parts.info.rotation and suffix in streams.ISO:
        set_rotation(out, parts.info.rotation)
    if parts.changed and suffix in streams.ISO:
        credentials.add_xmp(out)


def _arguments(parts: Parts, out: Path, covers: Sequence[tuple[Path, str]]) -> list[str]:
    limit = ("-t", f"{parts.seconds:.6f}") if parts.sound.codec == "copy" else ()
    arguments = [*read_from(parts.picture), *read_from(parts.dub, *limit)]
    carried = [c for c in parts.plan.carried if not (covers and c.kind == "cover")]
    film = parts.keep or bool(carried) or parts.mix is not None
    if film:
        arguments += _film_input(parts)
    if parts.mix is not None and parts.mix.path is not None:
        arguments += read_from(parts.mix.path)
    if parts.label is not None:
        arguments += ["-f", "srt", "-i", _name(parts.label)]
    last = arguments.count("-i") - 1
    if parts.mix is not None:
        arguments += ["-filter_complex", f"{_mixed(parts, parts.mix, _DUB)}[mix]"]
    dub = f"{_DUB}:{parts.dub_stream}" if parts.mix is None else "[mix]"
    arguments += ["-map", f"{_PICTURE}:v:0", "-map", dub]
    for stream in carried:
        own = stream.index != streams.LABEL
        arguments += ["-map", f"{_SOURCE}:{stream.index}" if own else f"{last}:0"]
    tags = str(_SOURCE) if parts.keep and film else "-1"
    arguments += ["-map_metadata", tags, "-map_chapters", tags, "-dn"]
    if parts.keep:
        arguments += ["-map_metadata:s:0", f"{_SOURCE}:s:{parts.info.video_stream}"]
        if parts.codec in ("vp8", "vp9"):  # alpha is a layer of its own there, which is not written
            arguments += ["-metadata:s:0", "alpha_mode="]
    arguments += [
        *_picture(parts.info, parts.codec, out.suffix.lower()),
        *_dub(parts, out.suffix.lower()),
    ]
    if parts.changed:
        for name, value in credentials.tags(out.suffix.lower()).items():
            arguments += ["-metadata", f"{name}={value}"]
    for number, stream in enumerate(carried, 2):
        arguments += _carried(number, stream, parts, out.suffix.lower())
    attached = sum(stream.kind == "attachment" for stream in carried)
    for number, (cover, mime) in enumerate(covers, attached):
        arguments += ["-attach", _name(cover), f"-metadata:s:t:{number}", f"mimetype={mime}"]
        arguments += [f"-metadata:s:t:{number}", f"filename={cover.name}"]
    return [*arguments, _name(out)]


def mix_loudness(parts: Parts) -> loudness.Loudness | None:
    """What the mix of dub and music and effects would measure. Raises ToolError where it cannot be made."""
    assert parts.mix is not None
    first = read_from(parts.dub)
    second = read_from(parts.mix.path) if parts.mix.path is not None else _film_input(parts)
    graph = _mixed(parts, parts.mix, 0, 1)
    argv = [str(process.find_program("ffmpeg")), "-nostdin", "-hide_banner", "-nostats"]
    argv += [*first, *second, "-filter_complex", f"{graph},{loudness.METER}[mix]"]
    argv += ["-map", "[mix]", "-f", "null", "-"]
    return loudness.read_summary(process.run(argv, messages=True).decode(errors="replace"))


def _film_input(parts: Parts) -> list[str]:
    place = ("-itsoffset", f"{-parts.offset:.6f}", "-t", f"{parts.seconds:.6f}")
    return read_from(parts.source, *place)


def _mixed(parts: Parts, mix: Mix, dub: int, other: int | None = None) -> str:
    """Filters that mix input ``dub`` with music and effects, without the name of what comes out."""
    if other is None:
        other = _SOURCE if mix.path is None else _SOURCE + 1
    form = f"aformat=sample_rates={mix.rate}:channel_layouts={mix.layout}"
    voice = [*_cleaned(parts.sound), _STEADY, *placing(parts.placement, parts.dub_rate), form]
    under = [_STEADY, *placing(mix.placement, mix.rate), f"volume={mix.gain:g}dB", form]
    end = ["amix=inputs=2:duration=longest:normalize=0"]
    if mix.ceiling is not None:  # oversampled, since peaks lie between samples
        level = 10 ** ((mix.ceiling - _MARGIN) / 20)
        end += [f"aresample={4 * mix.rate}", f"alimiter=limit={level:.6f}:level=disabled"]
        end += [f"aresample={mix.rate}"]
    end += ["apad", f"atrim=end={parts.seconds:.6f}"]
    graph = f"[{dub}:{parts.dub_stream}]{','.join(voice)}[voice];"
    graph += f"[{other}:{mix.stream}]{','.join(under)}[under];"
    return f"{graph}[voice][under]{','.join(end)}"


def placing(placement: Placement, rate: int) -> list[str]:
    """Filters that put sound of ``rate`` samples a second in its place."""
    filters = []
    if abs(placement.stretch - 1) > _PITCHED:
        filters.append(f"atempo={1 / placement.stretch:.9f}")
    elif placement.stretch != 1:  # by less than anybody hears: as a tape at another speed
        filters.append(f"aresample={round(8 * rate * placement.stretch)}")
        filters += [f"asetrate={8 * rate}", f"aresample={rate}"]
    if placement.start > 0:
        filters.append(f"adelay=delays={round(placement.start * rate)}S:all=1")
    elif placement.start < 0:
        filters += [f"atrim=start={-placement.start:.6f}", "asetpts=PTS-STARTPTS"]
    return filters


def read_from(path: Path, *options: str) -> list[str]:
    """A file to read: no address and no playlist, even if it became one since it was checked."""
    only = ("-protocol_whitelist", "file", "-format_whitelist", container.FORMATS)
    return [*only, *options, "-i", _name(path)]


def _name(path: Path) -> str:
    """A name that ffmpeg takes as a file, whatever characters it has."""
    return f"file:{path}"


def _picture(info: VideoInfo, codec: str, suffix: str) -> list[str]:
    """Options of the pictures, whose codec is ``codec``, and of the file."""
    options = ["-c:v:0", "copy", "-disposition:v:0", "default", "-fflags", "+bitexact"]
    options += ["-flags:v", "+bitexact", "-flags:a", "+bitexact"]
    if info.pixel_aspect != 1:
        shape = info.pixel_aspect * info.width / (info.height * info.lines)
        options += ["-aspect:v:0", f"{shape.numerator}:{shape.denominator}"]
    rate = info.rate
    if suffix == ".avi" and info.container == "avi":  # its frames, some empty, follow at this rate
        rate = rate or 1 / info.time_base
    if suffix in (".mxf", ".mkv", ".webm", ".avi") and rate:  # stated apart from the times
        options += ["-r:v:0", str(rate / info.lines)]
    if suffix == ".mxf" and codec == "h264":  # whose header lies in the pictures
        options += ["-bsf:v:0", "h264_mp4toannexb"]
    if suffix == ".avi" and codec == "mjpeg":
        options += ["-tag:v:0", "MJPG"]  # segments are in QuickTime, which calls it jpeg
    if suffix == ".m4v":  # FFmpeg takes it for one of the old iPod, which hold fewer codecs
        options += ["-f", "mp4"]
    if suffix in streams.ISO:
        options += ["-movflags", "+faststart"]
        scale = info.time_base.denominator // info.lines
        options += ["-video_track_timescale", str(scale)]
        if codec == "hevc":
            options += ["-tag:v:0", "hvc1"]  # the only one that Apple's players take
        if codec == "h264" and suffix == ".mov":
            # FFmpeg takes deep H.264 for AVC-Intra otherwise, and writes what nobody decodes
            options += ["-tag:v:0", "avc1", "-strict", "unofficial"]
    return options


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A coded picture that goes alone into a container."""

    picture: Path
    out: Path
    info: VideoInfo
    codec: str
    tags: Mapping[str, str]  # the file's metadata


def wrap_pictures(wanted: Sequence[Wrapped]) -> None:
    """Put coded pictures into containers of their own, all with one program. Raises `ToolError`."""
    argv = [str(process.find_program("ffmpeg")), *_QUIET]
    for one in wanted:
        argv += read_from(one.picture)
    for number, one in enumerate(wanted):
        argv += ["-map", f"{number}:v:0", "-map_metadata", "-1"]
        argv += _picture(one.info, one.codec, one.out.suffix.lower())
        for name, value in one.tags.items():
            argv += ["-metadata", f"{name}={value}"]
            if name == "reel_name":
                argv += ["-metadata:s:v:0", f"{name}={value}"]
        argv.append(_name(one.out))
    process.run(argv)
    for one in wanted:
        if one.info.rotation and one.out.suffix.lower() in streams.ISO:
            set_rotation(one.out, one.info.rotation)


def extract_sound(film: Path, out: Path, seconds: float) -> None:
    """Write the first sound track of a film as PCM of 24 bits, from time 0 on. Raises `ToolError`."""
    chain = f"{_STEADY},apad,atrim=end={seconds:.6f}"
    argv = [str(process.find_program("ffmpeg")), *_QUIET, *read_from(film), "-map", "0:a:0"]
    argv += ["-af", chain, "-c:a", "pcm_s24le", "-map_metadata", "-1"]
    process.run([*argv, "-fflags", "+bitexact", "-flags:a", "+bitexact", _name(out)])


def _dub(parts: Parts, suffix: str) -> list[str]:
    """Options of the dub, which is stream 1 of the result and the one that players choose."""
    end = [f"atrim=end={parts.seconds:.6f}"]
    if parts.mix is not None:
        options = _encoder(1, parts.sound)
    else:
        more = ["apad", *end] if parts.sound.pad else end
        options = _sound(1, parts.sound, [*placing(parts.placement, parts.dub_rate), *more])
    if parts.keep:
        options += ["-map_metadata:s:1", f"{_DUB}:s:{parts.dub_stream}"]
    return options + _tags(1, parts.language, parts.title, ("default", "dub"), suffix)


def _carried(number: int, stream: streams.Carried, parts: Parts, suffix: str) -> list[str]:
    """Options of a stream of the film, number ``number`` of the result."""
    if stream.sound is not None:
        options = _sound(number, stream.sound, [f"atrim=end={parts.seconds:.6f}"])
    else:
        options = [f"-c:{number}", stream.codec]
    if parts.keep and stream.index != streams.LABEL:
        options += [f"-map_metadata:s:{number}", f"{_SOURCE}:s:{stream.index}"]
    if stream.kind == "attachment":
        return options
    return options + _tags(number, stream.language, stream.title, stream.purposes, suffix)


def _tags(
    number: int, language: str | None, title: str | None, purposes: Sequence[str], suffix: str
) -> list[str]:
    options = [f"-disposition:{number}", "+".join(purposes) or "0"]
    if language:
        options += [f"-metadata:s:{number}", f"language={language}"]
    if title:
        options += [f"-metadata:s:{number}", f"title={title}"]
        if suffix in (".mp4", ".m4v"):  # where players look for it
            options += [f"-metadata:s:{number}", f"handler_name={title}"]
    return options


def _sound(number: int, sound: streams.Sound, end: Sequence[str]) -> list[str]:
    """Codec and filters of a sound track; ``end`` are the last filters where it is encoded."""
    if sound.codec == "copy":
        return [f"-c:{number}", "copy"]
    chain = ",".join([*_cleaned(sound), _STEADY, *end])
    return [f"-filter:{number}", chain, *_encoder(number, sound)]


def _cleaned(sound: streams.Sound) -> list[str]:
    return [_NUMBERS_ONLY] if sound.clean else []


def _encoder(number: int, sound: streams.Sound) -> list[str]:
    options = [f"-c:{number}", sound.codec]
    if sound.bit_rate:
        options += [f"-b:{number}", str(sound.bit_rate)]
    if sound.rate:
        options += [f"-ar:{number}", str(sound.rate)]
    return options


def _covers(parts: Parts, folder: Path) -> list[tuple[Path, str]]:
    """Cover art as files with their types: Matroska attaches them, and ffmpeg does so with files only."""
    found: list[tuple[Path, str]] = []
    for stream in (c for c in parts.plan.carried if c.kind == "cover"):
        with container.open_media(parts.source) as film:
            pictures = film.streams[stream.index]
            codec = pictures.codec_context.name if pictures.codec_context else ""
            packet = next((p for p in film.demux(pictures) if p.size), None)
        if packet is None or codec not in _MIME:
            continue
        ending = "jpg" if codec == "mjpeg" else codec
        path = folder / (f"cover-{len(found)}.{ending}" if found else f"cover.{ending}")
        path.write_bytes(bytes(packet))
        found.append((path, _MIME[codec]))
    return found


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


def set_languages(path: Path, codes: Sequence[str | None]) -> None:
    """Name the languages, in three letters, of the tracks of sound and text of a .mov, in their order."""
    kinds = (b"soun", b"sbtl", b"subt", b"text", b"clcp")
    with path.open("r+b") as file:
        tracks = [t for t in _tracks(file) if _handler(file, *t) in kinds]
        for code, (start, end) in zip(codes, tracks, strict=False):
            header = _inside(file, start, end, b"mdia", b"mdhd")
            if code is None or header is None:
                continue
            file.seek(header)
            version = file.read(1)[0]
            file.seek(header + (32 if version else 20))
            a, b, c = (ord(letter) - 0x60 for letter in code)
            file.write(struct.pack(">H", a << 10 | b << 5 | c))


def _tracks(file: BinaryIO) -> list[tuple[int, int]]:
    """Where the bodies of the tracks begin and end."""
    file.seek(0, 2)
    return [
        (first, last)
        for kind, start, end in _boxes(file, 0, file.tell())
        if kind == b"moov"
        for inner, first, last in _boxes(file, start, end)
        if inner == b"trak"
    ]


def _inside(file: BinaryIO, start: int, end: int, *path: bytes) -> int | None:
    """Where the body of a box begins, which lies in boxes within each other."""
    for kind, first, last in _boxes(file, start, end):
        if kind == path[0]:
            return first if len(path) == 1 else _inside(file, first, last, *path[1:])
    return None


def _video_header(file: BinaryIO) -> int | None:
    """Where the body of the first video track's ``tkhd`` begins."""
    for start, end in _tracks(file):
        if _handler(file, start, end) == b"vide":
            return _inside(file, start, end, b"tkhd")
    return None


def _handler(file: BinaryIO, start: int, end: int) -> bytes | None:
    body = _inside(file, start, end, b"mdia", b"hdlr")
    if body is None:
        return None
    file.seek(body + 8)
    return file.read(4)


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
