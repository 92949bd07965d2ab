"""Join coded segments without encoding anew, every frame at its exact time (PyAV)."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from dubkit.config.schema import GenerateSettings
from dubkit.errors import OutputError
from dubkit.media import copying, fields, frames, planes
from dubkit.media.codecs import Encoding
from dubkit.media.container import film_stream, open_media
from dubkit.media.probe import probe
from dubkit.media.writer import FrameWriter, write_failure
from dubkit.records import Integers, Mask, VideoInfo

# MOV keeps any time base and every frame's duration, Matroska the color tags of codecs that have none
_CARRIERS = {
    **dict.fromkeys(("ffv1", "vp8"), "matroska"),
    **dict.fromkeys(("vp9", "av1"), "mp4"),
    **dict.fromkeys(("rawvideo", "ffvhuff", "huffyuv", "utvideo", "magicyuv"), "nut"),
}
# equal bytes, times as given; strict: FFmpeg makes AVC-Intra of deep H.264 in MOV otherwise, which nobody decodes
_EXACT = {"fflags": "+bitexact", "avoid_negative_ts": "disabled", "strict": "unofficial"}


@dataclass(frozen=True, slots=True)
class _Timed:
    """When a packet is to be decoded and shown, in ticks."""

    pts: int
    dts: int
    duration: int


@dataclass(frozen=True, slots=True)
class Span:
    """Coded pictures of the film, or of a segment that was made, by the times of the first and the last."""

    film: Path
    info: VideoInfo
    first: int  # in the stream's own time base
    last: int
    made: bool = False


Piece = Path | Span  # a segment that was made, or a part of the film as it is coded


def join_segments(
    segments: Sequence[Piece],
    pts: Integers,
    time_base: Fraction,
    out: Path,
    *,
    repeated: bool = False,
    progressive: bool = False,
) -> int:
    """Write the coded pictures of ``segments`` one after another; returns how many.

    The n-th picture in order of presentation gets time ``pts[n] - pts[0]``; ``pts`` may be shorter
    than the segments: the end is then cut at the first place at or after it where no picture that
    stays needs one that goes. ``repeated``: H.264 of several headers gets its own before each key frame, for
    containers that have no place for headers. ``progressive`` is stated. Raises `OutputError` where
    there are too few pictures.
    """
    orders = [_ranks(path) for path in segments]
    offsets = np.cumsum([0, *map(len, orders)])
    ranks = np.concatenate([order + offset for order, offset in zip(orders, offsets, strict=False)])
    if len(ranks) < len(pts):
        raise OutputError(f"the segments hold {len(ranks)} pictures of {len(pts)}")
    kept = closed_end(ranks, len(pts))
    times = _times(ranks[:kept], _lengthened(pts, kept))
    _copy(segments, times, time_base, out, repeated=repeated, progressive=progressive)
    return kept


def copy_frames(
    film: Path, info: VideoInfo, pts: Integers, span: tuple[int, int], out: Path
) -> bool:
    """Write coded pictures of a film, ``span`` as coded, half-open, with times from 0 at its constant rate.

    False, and no file, where they do not stand alone.
    """
    times, (first, last) = fields.frame_times(pts, info), span
    piece = Span(film, info, int(times[first]), int(times[last - 1]))
    head = next(copying.packets_between(film, info, piece.first, piece.last), None)
    if head is None or not head.is_keyframe or head.pts != piece.first:
        return False
    rate, count = info.average_rate / info.lines, last - first
    grid = np.arange(count) * rate.denominator
    if join_segments([piece], grid, Fraction(1, rate.numerator), out) == count:
        return True
    out.unlink()
    return False


def closed_end(ranks: Integers, wanted: int) -> int:
    """The least count of pictures, ``wanted`` or more, that is complete in decoding order too."""
    highest = np.maximum.accumulate(ranks)
    complete = np.flatnonzero(highest == np.arange(len(ranks))) + 1
    return int(complete[complete >= wanted][0]) if wanted else 0


def between_painted(segment: Path, own: Span, times: Integers, painted: Mask) -> list[Piece]:
    """A shot of a codec in which every frame stands for itself: ``segment`` where ``painted`` (N,), else the film.

    ``own`` is the film's part of the shot, ``times`` (N,) those of its coded pictures. Only the segment where it
    does not hold one packet a picture.
    """
    made = np.sort([packet.pts for packet in _packets(segment) if packet.pts is not None])
    if painted.all() or len(made) != len(painted):
        return [segment]
    info, _ = probe(segment)
    edges = [0, *(np.flatnonzero(np.diff(painted)) + 1), len(painted)]
    found: list[Piece] = []
    for a, b in pairwise(edges):
        if painted[a]:
            found.append(Span(segment, info, int(made[a]), int(made[b - 1]), made=True))
        else:
            found.append(replace(own, first=int(times[a]), last=int(times[b - 1])))
    return found


def between_groups(
    segment: Path, start: int, own: Sequence[tuple[int, int, Span]], count: int
) -> list[Piece]:
    """A shot of ``count`` coded pictures from number ``start`` on: ``segment``, but the film's ``own`` groups in it.

    Only the segment where it cannot be cut around them.
    """
    info, times = probe(segment)
    coded = fields.frame_times(times, info)
    clean = {*(int(a) for a, b in copying.places_to_cut(segment, info) if a == b), count}
    borders = [at - start for a, b, _ in own for at in (a, b)]
    if len(coded) != count or not clean.issuperset(borders):
        return [segment]
    found: list[Piece] = []
    at = 0
    for a, b, span in own:
        if a - start > at:
            last = int(coded[a - start - 1])
            found.append(Span(segment, info, int(coded[at]), last, made=True))
        found.append(span)
        at = b - start
    if at < count:
        found.append(Span(segment, info, int(coded[at]), int(coded[-1]), made=True))
    return found


def can_copy(path: Path, info: VideoInfo) -> bool:
    """Whether a film's coded pictures are just those it shows, so that they can be copied."""
    if not info.timed:
        return False
    with open_media(path) as container:
        packets = [(p.pts, p.is_discard) for p in _packets_of(container)]
    times = {pts for pts, _ in packets}
    whole = None not in times and not any(discard for _, discard in packets)
    return whole and len(times) == len(packets) == info.frames


def film_offset(path: Path, first: int, info: VideoInfo) -> float:
    """Seconds from the start of a file, as ffmpeg counts it, to its first picture."""
    with open_media(path) as container:
        start = (container.start_time or 0) / av.time_base
    return float(first * info.time_base) - start if info.timed else 0.0


def _lengthened(pts: Integers, count: int) -> Integers:
    """Times from 0 for ``count`` pictures; those beyond the list follow at its last step."""
    times = pts - pts[0]
    step = int(times[-1] - times[-2]) if len(times) > 1 else 1
    more = times[-1] + step * np.arange(1, count - len(times) + 1)
    return np.concatenate([times, more]).astype(np.int64)


def _packets(piece: Piece) -> Iterator[Packet[VideoStream]]:
    """The coded pictures of a piece, in the order of decoding."""
    if isinstance(piece, Span):
        yield from copying.packets_between(piece.film, piece.info, piece.first, piece.last)
        return
    with open_media(piece) as container:
        yield from _packets_of(container)


def _ranks(piece: Piece) -> Integers:
    """Place in the order of presentation of every picture, in the order of decoding."""
    shown = [packet.pts for packet in _packets(piece) if packet.pts is not None]
    order = np.argsort(np.array(shown, np.int64), kind="stable")
    ranks = np.empty(len(shown), np.int64)
    ranks[order] = np.arange(len(shown))
    return ranks


def _packets_of(container: av.container.InputContainer) -> Iterator[Packet[VideoStream]]:
    stream = film_stream(container)
    if stream is not None:
        yield from (packet for packet in container.demux(stream) if packet.size)


def _times(ranks: Integers, pts: Integers) -> list[_Timed]:
    """Times of pictures in decoding order; decoding times rise and are never after showing times."""
    count = len(ranks)
    delay = int(max(0, (np.arange(count) - ranks).max(initial=0)))
    step = max(1, int(np.median(np.diff(pts)))) if count > 1 else 1
    before = pts[0] - step * np.arange(delay, 0, -1)
    dts = np.concatenate([before, pts])[:count]
    durations = np.append(np.diff(pts), step)
    return [
        _Timed(int(pts[rank]), int(at), int(durations[rank]))
        for rank, at in zip(ranks, dts, strict=True)
    ]


def _copy(
    segments: Sequence[Piece],
    times: Sequence[_Timed],
    time_base: Fraction,
    out: Path,
    *,
    repeated: bool,
    progressive: bool,
) -> None:
    try:
        with _create(out, segments) as (target, stream, mixed):
            stream.time_base = time_base
            if progressive:
                stream.codec_context.field_order = fields.STATED_PROGRESSIVE
            waiting = iter(times)
            for number, piece in enumerate(segments):
                form = _form(piece, mixed, first=not number, repeated=repeated)
                _copy_one(_packets(piece), waiting, target, stream, time_base, form)
    except (av.FFmpegError, OSError) as error:
        raise write_failure(out, error) from error


Form = Callable[
    [bytes, bool], bytes
]  # a coded picture, and whether it is a key frame, as it goes in


def _form(piece: Piece, mixed: _Mixed, *, first: bool, repeated: bool) -> Form | None:
    """How packets of a piece are changed where pictures of several headers meet; None: they are not."""
    if not mixed.codec:
        return None
    header = _header(piece)
    lengths = copying.has_lengths(header)
    if mixed.codec == "h264":
        sets = copying.parameter_sets(header) if repeated else []
        return partial(_h264, convert=not lengths, sets=sets) if sets or not lengths else None
    if _is_made(piece):
        return partial(_renumbered, lengths=lengths, numbers=mixed.numbers)
    return _FilmOfHevc(lengths, opens=not first)


def _h264(data: bytes, key: bool, *, convert: bool, sets: Sequence[bytes]) -> bytes:
    """With lengths before units, and with parameter sets before key frames."""
    data = copying.with_lengths(data) if convert else data
    return copying.with_sets(data, sets) if key else data


def _renumbered(data: bytes, key: bool, *, lengths: bool, numbers: copying.Numbers | None) -> bytes:
    assert numbers is not None
    found = copying.units(data, lengths=lengths)
    return copying.with_start_codes(copying.renumbered(found, numbers))


class _FilmOfHevc:
    """Pictures of the film, with start codes; the first of a span that ``opens`` follows upon other pictures."""

    def __init__(self, lengths: bool, *, opens: bool) -> None:
        self._lengths, self._opens = lengths, opens

    def __call__(self, data: bytes, key: bool) -> bytes:
        found = copying.units(data, lengths=self._lengths)
        if self._opens:
            found, self._opens = copying.as_broken_link(found), False
        return copying.with_start_codes(found) if self._lengths or key else data


def _copy_one(
    packets: Iterator[Packet[VideoStream]],
    waiting: Iterator[_Timed],
    target: OutputContainer,
    stream: VideoStream,
    time_base: Fraction,
    form: Form | None,
) -> None:
    for packet in packets:
        timed = next(waiting, None)
        if timed is None:
            return
        if form is not None:
            key = packet.is_keyframe
            again: Any = Packet(form(bytes(packet), key))
            packet = again
            packet.is_keyframe = key
        packet.stream = stream
        packet.time_base = time_base
        packet.pts, packet.dts, packet.duration = timed.pts, timed.dts, timed.duration
        target.mux(packet)


@dataclass(frozen=True, slots=True)
class _Mixed:
    """Pictures of the film's own header and of an encoder's that go into one stream."""

    codec: str = ""  # h264 or hevc; nothing: they need no change
    numbers: copying.Numbers | None = None  # of the encoder's parameter sets of HEVC


@contextmanager
def _create(
    out: Path, segments: Sequence[Piece]
) -> Iterator[tuple[OutputContainer, VideoStream, _Mixed]]:
    """An output with one stream of the segments' codec, and whether pictures of several headers go in."""
    made = next((piece for piece in segments if _is_made(piece)), None)
    span = next((piece for piece in segments if not _is_made(piece)), None)
    like = _file(made or span or Path())
    with open_media(like) as source:
        template = film_stream(source)
        if template is None:
            raise OutputError(f"the segment {like} holds no pictures")
        codec = template.codec_context.codec.canonical_name
        carrier = _CARRIERS.get(codec, "mov")
        with av.open(f"file:{out}", "w", format=carrier, container_options=_EXACT) as target:
            stream = target.add_stream_from_template(template, opaque=True)
            if carrier in source.format.name.split(","):
                stream.codec_context.codec_tag = template.codec_context.codec_tag
            mixed = _Mixed()
            if span is not None and codec in ("h264", "hevc"):
                headers = [_header(piece) for piece in (span, made) if piece]
                mixed, header = _joined(codec, [header for header in headers if header])
                stream.codec_context.extradata = header
            yield target, stream, mixed


def _joined(codec: str, headers: Sequence[bytes]) -> tuple[_Mixed, bytes]:
    """How the film's pictures and an encoder's meet, whose headers these are, and the header of both."""
    if codec == "h264":
        return _Mixed(codec), copying.joined_header(*headers)
    film, *rest = headers
    numbers = copying.free_numbers(film)
    sets = copying.hevc_sets(film)
    if rest and numbers is None:
        raise OutputError("the parameter sets of the film's HEVC cannot be read")
    if numbers is not None:
        sets += [u for made in rest for u in copying.renumbered(copying.hevc_sets(made), numbers)]
    return _Mixed(codec, numbers), copying.with_start_codes(sets)


def _is_made(piece: Piece) -> bool:
    return piece.made if isinstance(piece, Span) else True


def _file(piece: Piece) -> Path:
    return piece.film if isinstance(piece, Span) else piece


def _header(piece: Piece) -> bytes:
    return copying.film_header(_file(piece))


SECONDS = 0.16  # of a fade
_THUMB = 64  # pixels
_SAME = 12.0  # levels of 255 by which pictures differ where the film goes on, at most


@dataclass(frozen=True, slots=True)
class Fade:
    """Frames over which a segment comes from the film's own pictures, and goes back to them."""

    head: int = 0
    tail: int = 0

    def share(self, number: int, count: int) -> float:
        """How much of picture ``number`` of ``count`` is as made, 0 to 1."""
        shares = [1.0]
        if self.head:
            shares.append((number + 1) / (self.head + 1))
        if self.tail:
            shares.append((count - number) / (self.tail + 1))
        return min(shares)


def goes_on(reader: frames.FrameReader, cut: int) -> bool:
    """Whether the picture goes on over a cut: the frame before it and the one at it are much the same."""
    before, after = (
        frame.picture(_THUMB).astype(np.float32) for frame in reader.read(cut - 1, cut + 1)
    )
    return float(np.abs(after - before).mean()) < _SAME


def can_fade(segment: Path, reader: frames.FrameReader) -> bool:
    """Whether the segment has the film's own samples, so that both can be mixed."""
    return probe(segment)[0].pixel_format == reader.info.pixel_format


def fade_segment(
    segment: Path,
    reader: frames.FrameReader,
    start: int,
    fade: Fade,
    settings: GenerateSettings,
    out: Path,
    encoding: Encoding | None = None,
) -> None:
    """Code a segment, which begins at frame ``start`` of the film, anew with its ends faded."""
    there, times = probe(segment)
    made = frames.FrameReader(segment, there, times).read(0, there.frames)
    filmed = reader.read(start, start + there.frames)
    with FrameWriter(out, reader.info, settings, encoding=encoding) as writer:
        for number, (a, b) in enumerate(zip(filmed, made, strict=True)):
            writer.write(_mixed(a, b, fade.share(number, there.frames)), a.pts, a.extras)


def part_of_segment(
    segment: Path,
    skip: int,
    reader: frames.FrameReader,
    start: int,
    painted: Mask,
    settings: GenerateSettings,
    out: Path,
    encoding: Encoding,
) -> bool:
    """Write the pictures of a finished segment from number ``skip`` on as those of a film from frame ``start`` on.

    Its coded pictures are taken where they can be. Else those that are ``painted`` (N,) are coded once more, and the
    others are the film's own. False, and no file, where the segment's pictures are of another kind.
    """
    there, times = probe(segment, wanted=reader.info.fields or "none")
    count, lines = len(painted), there.lines
    if there.pixel_format != reader.info.pixel_format or there.frames < skip + count:
        return False
    alike = _coded_alike(segment, there, reader.info, encoding)
    if alike and not skip and there.frames == count:
        shutil.copyfile(segment, out)
        return True
    if alike and copying.stands_alone(there.codec):
        coded, rate = fields.frame_times(times, there), there.average_rate / lines
        first, last = skip // lines, -(-(skip + count) // lines)
        piece = Span(segment, there, int(coded[first]), int(coded[last - 1]), made=True)
        grid = np.arange(last - first) * rate.denominator
        join_segments([piece], grid, Fraction(1, rate.numerator), out)
        return True
    made = frames.FrameReader(segment, there, times).read(skip, skip + count)
    filmed = reader.read(start, start + count)
    with FrameWriter(out, reader.info, settings, encoding=encoding) as writer:
        for new, own, one in zip(made, filmed, painted, strict=True):
            writer.write((new if one else own).planes, own.pts, own.extras)
    return True


def _coded_alike(segment: Path, there: VideoInfo, film: VideoInfo, encoding: Encoding) -> bool:
    """Whether the coded pictures of a segment could have been made by an encoding for this film."""
    if there.codec != encoding.codec:
        return False
    if there.codec == film.codec and there.profile != film.profile and there.codec != "h264":
        return False
    if there.codec != "h264":
        return True
    wanted = encoding.options.get("x264-params", "").partition("sps-id=")[2].partition(":")[0]
    sets = copying.parameter_sets(_header(segment))
    return {copying.set_number(unit) for unit in sets if unit[0] & 31 == 7} == {int(wanted or 0)}


def _mixed(source: frames.Frame, made: frames.Frame, share: float) -> tuple[planes.Plane, ...]:
    if share >= 1:
        return made.planes
    pairs = zip(source.planes, made.planes, strict=True)
    return tuple(_between(a, b, share) for a, b in pairs)


def _between(a: planes.Plane, b: planes.Plane, share: float) -> planes.Plane:
    mixed = np.rint(a + share * (b.astype(np.float32) - a))
    made: planes.Plane = np.empty_like(a)
    made[...] = mixed
    return made
