"""What a film is: its facts and the time of every picture (PyAV; the film is not decoded)."""

from __future__ import annotations

import io
import math
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, cast

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.sidedata.sidedata import Type as SideType
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from dubkit.errors import InputError
from dubkit.media import captions, fields
from dubkit.media.container import (
    MOST_PIXELS,
    Shape,
    film_stream,
    open_media,
    packets,
    refuse_other,
)
from dubkit.media.planes import planar_name, without_alpha
from dubkit.records import LATER, Color, Integers, StreamInfo, VideoInfo

Pts = Integers

_FIRST_LOOK = 24  # pictures decoded to see what the film really holds
_GLANCE = 4  # the same, where only the kind of the film is asked for
_WHOLE = {"mov", "matroska"}  # their first picture stands for itself; a stream may begin anywhere
_ENCRYPTED = ("encv", "enca", "encs")
_USUAL_RATES = tuple(
    Fraction(rate)
    for rate in (24, 25, 30, 50, 60, 48, 12, 15, 10, 20, 8, 5, 100, 120, 90, 72, 240, 1)
) + tuple(Fraction(n * 1000, 1001) for n in (24, 30, 60, 48, 15, 12, 120, 240))
_NEAR = Fraction(1, 10)  # a rate further from the mean is not tried
_UNSPECIFIED = 2  # FFmpeg's code for a color tag that is not given
_COARSE = 8  # ticks a picture: under this, rounding would hide a dropped picture
_ROUNDING = 1.6  # ticks: times may have been rounded twice


@dataclass(frozen=True, slots=True)
class _Look:
    """What the first decoded pictures say."""

    frame: VideoFrame
    timed: bool
    first: Literal["", "top", "bottom"]  # field, of interlaced pictures
    seen: frozenset[SideType]  # side data
    intra: bool  # all of them
    size: float  # bytes of a packet, on average


def head(path: Path, wanted: str = "auto") -> VideoInfo:
    """Facts of a film by its head alone: ``frames`` and ``duration`` are not to be relied on. Raises `InputError`."""
    with open_media(path) as container:
        stream = moving_pictures(container, path)
        _refuse_large(path, stream, MOST_PIXELS)
        look = _first_look(container, stream, path, _GLANCE)
        rate = stream.guessed_rate or stream.average_rate or Fraction(25)
        pts = np.arange(2, dtype=np.int64)
        scan = _Scan(pts, 1 / rate, 1, False, float("inf"), look.intra, look.size)
        return _describe(path, container, stream, look, scan, wanted)[0]


def probe(path: Path, max_pixels: int = MOST_PIXELS, wanted: str = "auto") -> tuple[VideoInfo, Pts]:
    """Facts of a film and the times of its pictures, (frames,) in ``info.time_base``, rising.

    Pictures that a player does not show (edit lists, pictures before the first that can be decoded) are left
    out; where a format begins with a picture that stands for itself, those before count as damaged. Raises
    `InputError` with the reason where the file cannot be dubbed; pictures of more than ``max_pixels`` are
    refused before one is decoded. ``wanted`` is `ProbeSettings.fields`.
    """
    with open_media(path) as container:
        stream = moving_pictures(container, path)
        _refuse_large(path, stream, max_pixels)
        look = _first_look(container, stream, path)
        scan = _scan(path, stream.index, look) if look.timed else _count(path, look.frame)
        return _describe(path, container, stream, look, scan, wanted)


def moving_pictures(container: InputContainer, path: Path) -> VideoStream:
    """The stream that is the film. Raises `InputError` where there is none that can be decoded."""
    stream = film_stream(container)
    if stream is None:
        kinds = sorted({s.type for s in container.streams if s.type != "video"})
        what = f"only {', '.join(kinds)}" if kinds else "no stream that can be used"
        cover = " (its cover art is not a film)" if container.streams.video else ""
        raise InputError(f"{path} has no moving pictures: it holds {what}{cover}")
    if stream.codec_context is None or stream.codec_context.codec_tag in _ENCRYPTED:
        raise InputError(
            f"{path} is encrypted or of an unknown codec",
            hint="dubkit reads only unprotected files",
        )
    return stream


def _refuse_large(path: Path, stream: VideoStream, most: int) -> None:
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > most:
        raise InputError(
            f"{path} has pictures of {width} x {height}, more than the limit",
            hint=f"raise it with --set probe.max_pixels={width * height}"
            if width * height <= MOST_PIXELS
            else "pictures of this size cannot be dubbed",
        )


def _first_look(
    container: InputContainer, stream: VideoStream, path: Path, many: int = _FIRST_LOOK
) -> _Look:
    frames: list[VideoFrame] = []
    sizes, intra = [0], True
    for packet in _packets(container, stream):
        sizes.append(packet.size)
        intra = intra and (packet.is_keyframe or not packet.size)
        try:
            frames += packet.decode()
        except av.FFmpegError:
            if frames:  # times that come after damage say nothing of the file's
                break
            continue
        if len(frames) >= many:
            break
    if not frames:
        raise InputError(
            f"no picture of {path} can be decoded", hint="the file is damaged, empty or protected"
        )
    times = [frame.pts for frame in frames]
    rising = all(
        b is not None and (a is None or a < b) for a, b in zip([None, *times], times, strict=False)
    )
    orders = (fields.first_field(frame) for frame in frames)
    first = next((order for order in orders if order), fields.PROGRESSIVE)
    seen = frozenset(kind for frame in frames for kind in captions.side_data(frame))
    return _Look(frames[0], rising, first, seen, intra, sum(sizes) / max(1, len(sizes) - 1))


def _packets(
    container: InputContainer, stream: VideoStream, later: list[bool] | None = None
) -> Iterable[Packet[VideoStream]]:
    """Packets until the end, or until the file is damaged beyond reading."""
    try:
        yield from packets(container, stream, later=later)
    except av.FFmpegError:
        return


@dataclass(frozen=True, slots=True)
class _Scan:
    """What a walk through the file found."""

    pts: Pts
    time_base: Fraction
    last_duration: int  # ticks; 0 where the file does not say
    timed: bool
    end: float  # seconds: where the last packet of any stream ends
    intra: bool  # every packet is a key frame
    size: float  # bytes of a packet, on average
    later: bool = False  # there are streams that begin in the middle of the file


def _scan(path: Path, index: int, look: _Look) -> _Scan:
    """Read the time of every packet, decoding none."""
    with open_media(path) as container:
        stream = container.streams[index]
        assert isinstance(stream, VideoStream)
        time_base = stream.time_base or Fraction(1, 1000)
        codec = stream.codec_context.codec.canonical_name
        lengths = captions.has_lengths(stream.codec_context.extradata or b"")
        stated: set[bytes] = set()
        opening: Packet[VideoStream] | None = None
        seen: list[tuple[int, int]] = []
        names = container.format.name.split(",")
        end, intra, size = 0.0, True, 0
        later: list[bool] = []
        try:
            packet: Packet[av.stream.Stream]
            for packet in packets(container, later=later):
                if packet.pts is None or packet.time_base is None:
                    continue
                duration = packet.duration or 0
                end = max(end, float((packet.pts + duration) * packet.time_base))
                if (
                    packet.stream_index == index
                    and not packet.is_discard
                    and not _is_hidden(packet, codec)
                ):
                    seen.append((packet.pts, duration))
                    intra, size = intra and packet.is_keyframe, size + packet.size
                    if packet.is_keyframe:
                        coded = cast("Packet[VideoStream]", packet)
                        one = captions.stated_shape(coded, codec, lengths=lengths)
                        opening = opening or coded
                        if stated and one not in stated:
                            _refuse_change(path, opening, coded, stream)
                        stated.add(one)
        except av.FFmpegError:
            if not seen:
                raise
    first = look.frame.pts or 0
    if seen and not _WHOLE.isdisjoint(names):
        first = min(first, seen[0][0])  # what cannot be decoded from there on is damaged
    shown = dict(pair for pair in sorted(seen) if pair[0] >= first)
    if not shown:
        return _count(path, look.frame)
    pts = np.fromiter(shown, np.int64, len(shown))
    last = shown[int(pts[-1])]
    return _Scan(pts, time_base, last, True, end, intra, size / len(seen), bool(later))


def _is_hidden(packet: Packet[av.stream.Stream], codec: str | None) -> bool:
    """VP8 keeps pictures that are never shown (alternate references) in packets of their own."""
    return codec == "vp8" and packet.size > 0 and not (bytes(packet)[0] >> 4) & 1


def _refuse_change(
    path: Path,
    first: Packet[VideoStream],
    later: Packet[VideoStream],
    stream: VideoStream,
) -> None:
    """Raise InputError where two key frames, each decoded alone and alike, are of different shapes."""
    shapes = [_shape_of(packet, stream) for packet in (first, later)]
    if shapes[0] and shapes[1]:
        refuse_other(path, shapes[0], shapes[1])


def _shape_of(packet: Packet[VideoStream], stream: VideoStream) -> Shape | None:
    decoder = av.CodecContext.create(stream.codec_context.codec.name, "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.extradata = captions.new_header(packet) or stream.codec_context.extradata
    decoder.codec_tag = stream.codec_context.codec_tag
    decoder.options = {"max_pixels": str(MOST_PIXELS)}
    decoder.thread_count = 1
    try:
        frames = [*decoder.decode(packet), *decoder.decode(None)]
    except av.FFmpegError:
        return None  # no picture of its own; the readers look at each
    return _shape(frames[0]) if frames else None


def _shape(frame: VideoFrame) -> Shape:
    return frame.width, frame.height, frame.format.name


def _count(path: Path, first: VideoFrame) -> _Scan:
    """Count the pictures of a file without usable times: they follow at the stated rate."""
    with open_media(path) as container:
        stream = film_stream(container)
        assert stream is not None
        rate = stream.guessed_rate or stream.average_rate or Fraction(25)
        frames, size, intra = 0, 0, True
        later: list[bool] = []
        for packet in _packets(container, stream, later):
            size, intra = size + packet.size, intra and (packet.is_keyframe or not packet.size)
            try:
                decoded = packet.decode()
            except av.FFmpegError:
                continue
            for frame in decoded:
                refuse_other(path, _shape(first), _shape(frame))
            frames += len(decoded)
    pts = np.arange(frames, dtype=np.int64)
    mean = size / max(1, frames)
    return _Scan(pts, 1 / rate, 1, False, frames / float(rate), intra, mean, bool(later))


def _describe(
    path: Path,
    container: InputContainer,
    stream: VideoStream,
    look: _Look,
    scan: _Scan,
    wanted: str,
) -> tuple[VideoInfo, Pts]:
    _refuse_truncated(path, container, scan)
    frame, pts = look.frame, scan.pts
    opaque = without_alpha(frame.format.name)
    name = opaque or planar_name(frame.format.name)
    if name is None:
        raise InputError(
            f"{path} has pictures of format {frame.format.name}, which dubkit cannot keep",
            hint="convert it first: ffmpeg -i FILM -c:v ffv1 -pix_fmt yuv444p10le NEW.mkv",
        )
    rate = constant_rate(pts, scan.time_base, _stated_rates(stream))
    average, duration = _lengths(pts, scan, rate, stream)
    info = VideoInfo(
        width=frame.width,
        height=frame.height,
        rate=rate,
        average_rate=average,
        frames=len(pts),
        time_base=scan.time_base,
        pixel_format=name,
        codec=stream.codec_context.codec.canonical_name,
        color=_color(frame, stream),
        rotation=round(-frame.rotation / 90) * 90 % 360,
        pixel_aspect=_aspect(stream),
        duration=duration,
        video_stream=stream.index,
        streams=stream_facts(container),
        container=container.format.name,
        timed=scan.timed,
        marked=look.first,
        progressive=not look.first
        and stream.codec_context.field_order == fields.STATED_PROGRESSIVE,
        alpha=opaque is not None,
        coded_format=frame.format.name,
        profile=stream.profile or "",
        tag=stream.codec_context.codec_tag,
        bit_rate=stream.bit_rate or round(scan.size * 8 * average),
        intra=scan.intra,
        siting=_siting(stream) if "420" in frame.format.name else "",
        mastering=_mastering(frame),
        light=_light(frame),
        hidden=tuple(
            sorted(
                {
                    *(() if opaque else _layers(stream)),
                    *(_HIDDEN[k] for k in look.seen if k in _HIDDEN),
                    *((LATER,) if scan.later else ()),
                }
            )
        ),
    )
    first = look.first if wanted == "auto" else wanted.replace("none", "")
    if not first:
        return info, pts
    _refuse_odd_fields(path, info, scan)
    return fields.parted(info, pts, first)


def _refuse_odd_fields(path: Path, info: VideoInfo, scan: _Scan) -> None:
    """Fields must have whole lines of chroma, and frames times, else the fields cannot be told."""
    chroma = 4 if "420" in info.pixel_format else 2
    if info.height % chroma or not (scan.timed or len(scan.pts) == scan.pts[-1] + 1):
        raise InputError(
            f"{path} is interlaced, and its fields cannot be separated",
            hint="deinterlace it first: ffmpeg -i FILM -vf bwdif=mode=send_field -c:v ffv1 -c:a copy NEW.mkv; "
            "or work on whole frames with --set probe.fields=none",
        )


_HIDDEN = {
    SideType.A53_CC: "closed captions",
    SideType.AFD: "active format",
    SideType.DYNAMIC_HDR_PLUS: "HDR10+",
    SideType.DOVI_RPU_BUFFER: "Dolby Vision",
    SideType.S12M_TIMECODE: "time codes",
    SideType.AMBIENT_VIEWING_ENVIRONMENT: "ambient viewing environment",
}


def _layers(stream: VideoStream) -> tuple[str, ...]:
    """What lies beside the coded pictures of WebM, where FFmpeg's own decoders do not look."""
    names = {name.lower(): value for name, value in stream.metadata.items()}
    return ("a layer of alpha",) if names.get("alpha_mode") == "1" else ()


def _mastering(frame: VideoFrame) -> str:
    """The mastering display: primaries in 1/50000, luminance in 1/10000 cd/m2."""
    data = captions.side_data(frame).get(SideType.MASTERING_DISPLAY_METADATA)
    if data is None:
        return ""
    values = struct.unpack("=22i", data[:88])
    pairs = zip(values[:20:2], values[1:20:2], strict=True)
    parts = [Fraction(a, b) if b else Fraction(0) for a, b in pairs]
    if not (values[20] and values[21]):
        return ""
    points = zip(parts[:8:2], parts[1:8:2], strict=True)
    colors = [f"({round(x * 50000)},{round(y * 50000)})" for x, y in points]
    red, green, blue, white = colors
    low, high = (round(part * 10000) for part in parts[8:10])
    return f"G{green}B{blue}R{red}WP{white}L({high},{low})"


def _light(frame: VideoFrame) -> str:
    data = captions.side_data(frame).get(SideType.CONTENT_LIGHT_LEVEL)
    if data is None:
        return ""
    most, mean = struct.unpack("=2I", data[:8])
    return f"{most},{mean}"


def _refuse_truncated(path: Path, container: InputContainer, scan: _Scan) -> None:
    if not container.duration or not scan.timed or "mpegts" in container.format.name:
        return
    promised = container.duration / av.time_base
    found = scan.end - min(0.0, (container.start_time or 0) / av.time_base)
    if promised - found > min(2.0, 0.2 * promised):
        raise InputError(
            f"{path} is truncated: it should last {promised:.1f} s but ends after {found:.1f} s",
            hint="copy or export the file again",
        )


def _stated_rates(stream: VideoStream) -> list[Fraction]:
    return [rate for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate) if rate]


def constant_rate(
    pts: Pts, time_base: Fraction, stated: Iterable[Fraction] = ()
) -> Fraction | None:
    """The frame rate if every picture keeps to it but for rounding, else None (variable)."""
    stated = list(stated)
    if len(pts) < 2:
        return stated[0] if stated else None
    mean = Fraction(len(pts) - 1) / (int(pts[-1] - pts[0]) * time_base)
    step = Fraction(1) / (int(np.median(np.diff(pts))) * time_base)
    likely = [rate for rate in _USUAL_RATES if rate in stated]
    derived = [Fraction(round(mean) or 1), step, mean.limit_denominator(1001)]
    for rate in (*likely, *_USUAL_RATES, *stated, *derived):
        if abs(rate / mean - 1) < _NEAR and _keeps_to(pts, 1 / (rate * time_base)):
            return rate
    return None


def _keeps_to(pts: Pts, ticks: Fraction) -> bool:
    """Whether pictures follow one another every ``ticks`` ticks, but for rounding."""
    if ticks < _COARSE:
        return bool((np.diff(pts) == float(ticks)).all())
    error = (pts - pts[0]) - np.arange(len(pts)) * float(ticks)
    return float(error.max() - error.min()) <= _ROUNDING


def _lengths(
    pts: Pts, scan: _Scan, rate: Fraction | None, stream: VideoStream
) -> tuple[Fraction, float]:
    """Average rate, and seconds from the first picture's start to the last one's end."""
    if rate is not None:
        return rate, float(len(pts) / rate)
    if len(pts) < 2:
        average = stream.average_rate or Fraction(25)
        return average, float(1 / average)
    span = int(pts[-1] - pts[0])
    last = scan.last_duration or round(span / (len(pts) - 1))
    average = Fraction(len(pts) - 1) / (span * scan.time_base)
    return average.limit_denominator(100_000), float((span + last) * scan.time_base)


def _color(frame: VideoFrame, stream: VideoStream) -> Color:
    """What the pictures say of their color, else what the container does."""
    stated = stream.codec_context
    tags = (
        (frame.color_range, stated.color_range, 0),
        (frame.colorspace, stated.colorspace, _UNSPECIFIED),
        (frame.color_primaries, stated.color_primaries, _UNSPECIFIED),
        (frame.color_trc, stated.color_trc, _UNSPECIFIED),
    )
    return Color(*(int(other if own == unknown else own) for own, other, unknown in tags))


_SITINGS = {b"\1\2": "left", b"\2\2": "center", b"\1\1": "topleft", b"\2\1": "top"}
_SITING = re.compile(rb"\x55\xb7\x81(.)\x55\xb8\x81(.)", re.DOTALL)  # ChromaSitingHorz and Vert


def _siting(stream: VideoStream) -> str:
    """Where chroma samples lie: PyAV does not tell, but writes it into the header of a Matroska file."""
    header = io.BytesIO()
    try:
        with av.open(header, "w", format="matroska") as made:
            made.add_stream_from_template(stream, opaque=True)
            made.start_encoding()
    except (av.FFmpegError, ValueError):  # a codec that Matroska does not hold
        return ""
    found = _SITING.search(header.getvalue())
    return _SITINGS.get(found[1] + found[2], "") if found else ""


def _aspect(stream: VideoStream) -> Fraction:
    stated = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
    return stated if stated and Fraction(1, 8) <= stated <= 8 else Fraction(1)


_DULL_NAMES = re.compile(
    r"(video|sound|subtitle|timecode|core media|data|apple|l-smash|gpac|iso media|mainconcept|\x1f)",
    re.I,
)  # what a handler is called where nobody named the track


def stream_facts(container: InputContainer) -> tuple[StreamInfo, ...]:
    """What is known of every stream without reading any."""
    chaptered = bool(container.chapters())
    return tuple(_stream_facts(stream, chaptered) for stream in container.streams)


def _stream_facts(stream: av.stream.Stream, chaptered: bool) -> StreamInfo:
    context = stream.codec_context
    kind: str = stream.type
    if kind == "video" and stream.disposition & av.stream.Disposition.attached_pic:
        kind = "cover"
    names = {name.lower(): value for name, value in stream.metadata.items()}
    handler = names.get("handler_name", "")
    title = names.get("title") or names.get("name") or names.get("filename")
    if not title and handler and not _DULL_NAMES.search(handler):
        title = handler
    own = context.codec.canonical_name if context else getattr(stream, "name", None)
    codec = own or "unknown"
    if kind == "attachment":
        codec = names.get("mimetype", codec)
    elif kind == "data" and "timecode" in names:
        codec = "tmcd"
    elif kind == "data" and codec == "bin_data" and chaptered and not title:
        codec = "chapters"  # QuickTime keeps their titles in a track of text
    sound = stream if isinstance(stream, AudioStream) and context else None
    return StreamInfo(
        stream.index,
        kind,
        codec,
        None if stream.language in (None, "und") else stream.language,
        title or None,
        channels=sound.channels if sound else 0,
        rate=sound.rate if sound else 0,
        layout=sound.layout.name if sound else "",
        purposes=tuple(
            flag.name or "" for flag in av.stream.Disposition if stream.disposition & flag
        ),
    )


FEW = 2  # pictures: some containers lose the last ones


def refuse_damaged(path: Path, damaged: int, frames: int, most: float) -> None:
    """Raise InputError where more than ``FEW`` and more than ``most`` (a share) of the pictures are damaged."""
    allowed = max(FEW, most * frames) if most else 0
    if damaged > allowed:
        share = math.ceil(100 * damaged / frames) / 100
        raise InputError(
            f"{path} is damaged: {damaged} of its {frames} pictures cannot be decoded",
            hint="use an intact copy; or let each of them repeat its neighbor: "
            f"--set probe.max_damaged={share:g}",
        )
