"""Read pictures in the film's own planes with their exact times (PyAV)."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from dubkit.errors import InputError
from dubkit.media import fields
from dubkit.media.captions import Extras, dynamic_metadata, extras_of, has_lengths
from dubkit.media.container import open_media, packets, refuse_other
from dubkit.media.planes import (
    Plane,
    PlaneFormat,
    alpha_name,
    paint_format,
    paint_planes,
    plane_format,
    plane_rows,
    swscale_matrix,
)
from dubkit.records import Integers, Picture, VideoInfo

_MPEG, _JPEG = 1, 2
_RGB_ORDER = (2, 0, 1)  # FFmpeg keeps planes of RGB as G, B, R


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a film; its planes are read-only views of the decoder's memory."""

    index: int  # in the film
    pts: int  # in info.time_base
    planes: tuple[Plane, ...]  # (H, W) each: Y U V, or gray, or R G B
    format: PlaneFormat
    info: VideoInfo
    _decoded: VideoFrame = field(repr=False)
    _scaler: VideoReformatter = field(repr=False)
    _alpha: Plane | None = field(repr=False, default=None)
    _dynamic: bytes = field(repr=False, default=b"")

    @property
    def extras(self) -> Extras:
        """What lies beside the colors; of two fields the first has the frame's captions."""
        if self.format.parity is not None and self.index % 2:
            return Extras(self._alpha)
        return extras_of(self._decoded, self._alpha, self._dynamic)

    def for_painting(self) -> Frame:
        """The picture as faces in it are painted: itself, or of RGB with planes of luma and color differences, which
        alone are to be read.
        """
        layout = self.format
        if not layout.is_rgb:
            return self
        return replace(self, planes=paint_planes(self.planes, layout), format=paint_format(layout))

    def picture(self, long_side: int) -> Picture:
        """(H, W, 3) RGB, upright, square pixels, the longer side at most ``long_side``."""
        info = self.info
        width, height = info.display_size
        scale = min(1.0, long_side / max(width, height))
        width, height = max(1, round(width * scale)), max(1, round(height * scale))
        if info.rotation in (90, 270):
            width, height = height, width
        small = self._scaler.reformat(
            self._decoded if self.format.parity is None else self._field(),
            width=width,
            height=height,
            format="rgb24",
            src_colorspace=swscale_matrix(self.format),
            src_color_range=_JPEG if self.format.full_range else _MPEG,
            dst_color_range=_JPEG,
            interpolation=Interpolation.AREA if scale < 1 else Interpolation.BILINEAR,
        )
        rgb = plane_rows(small.planes[0], np.uint8)
        rgb = rgb[:, : width * 3].reshape(height, width, 3)
        return np.ascontiguousarray(np.rot90(rgb, -info.rotation // 90))

    def rgb16(self) -> NDArray[np.uint16]:
        """(H, W, 3) RGB of 16 bits, as coded: neither turned nor scaled."""
        deep = self._scaler.reformat(
            self._decoded if self.format.parity is None else self._field(),
            format="rgb48le",
            src_colorspace=swscale_matrix(self.format),
            src_color_range=_JPEG if self.format.full_range else _MPEG,
            dst_color_range=_JPEG,
            interpolation=Interpolation.BICUBIC,
        )
        width, height = self.info.width, self.info.height
        rows = plane_rows(deep.planes[0], np.uint16)
        return np.array(rows[:, : width * 3], np.uint16).reshape(height, width, 3)

    def _field(self) -> VideoFrame:
        """The field as a picture that can be scaled."""
        made = VideoFrame(self.info.width, self.info.height, self.info.pixel_format)
        ordered = (
            [self.planes[_RGB_ORDER.index(i)] for i in range(3)]
            if self.format.is_rgb
            else self.planes
        )
        for target, source in zip(made.planes, ordered, strict=True):
            plane_rows(target, self.format.sample_type)[:, : target.width] = source
        return made


# dav1d reads only once what it is to leave out: it would leave out what is asked for later
_ALL = ("av1",)
_LONGEST_GAP = 250  # pictures that are decoded for nothing rather than skipped by seeking


class _Damaged(Exception):  # noqa: N818 - a signal inside this module
    """A packet cannot be decoded."""


class FrameReader:
    """Reads pictures of a film by index, exactly.

    The n-th picture of the film is always the n-th time in ``pts``: one that is missing or cannot
    be decoded is replaced by the picture before it and named in `damaged`, as is one of which the decoder could read
    a part only.
    """

    def __init__(self, path: Path, info: VideoInfo, pts: Integers, threads: int = 0) -> None:
        self.path = path
        self.info = info
        self.pts = pts
        self.threads = threads
        self.format = plane_format(info)
        self.damaged: list[
            int
        ] = []  # pictures that were read, but cannot be decoded, or only in part
        self._from = 0
        self._needed: set[int] | None = None  # pictures that are asked for, see `_wanted`
        self._scaler = VideoReformatter()
        self._dynamic: dict[int | None, bytes] = {}  # HDR10+ by the time of the picture
        self._stored = alpha_name(info.pixel_format) if info.alpha else info.pixel_format

    @property
    def repaired(self) -> int:
        """How many pictures that were read are damaged."""
        return len(self.damaged)

    def read(self, start: int, end: int, needed: Collection[int] | None = None) -> Iterator[Frame]:
        """Pictures ``start`` to ``end`` (excluded), in order; of these, only those that are ``needed``."""
        if self.info.fields:
            chosen = self._fields(start, end)
            yield from (f for f in chosen if needed is None or f.index in needed)
            return
        if not 0 <= start <= end <= self.info.frames:
            raise ValueError(f"pictures {start} to {end} of a film of {self.info.frames}")
        if start == end:
            return
        expected = start
        last: VideoFrame | None = None
        for index, decoded in self._steady(start, needed):
            if index < expected:
                last = decoded if last is None else last
                continue
            for missing in range(expected, min(index, end)):
                if needed is None or missing in needed:
                    self.damaged.append(missing)
                    yield self._frame(missing, decoded if last is None else last)
            if index < end and (needed is None or index in needed):
                if decoded.is_corrupt:
                    self.damaged.append(index)
                yield self._frame(index, decoded)
            expected, last = index + 1, decoded
            if expected >= end:
                return
        if last is None:
            raise InputError(f"pictures {start} to {end} of {self.path} cannot be decoded")
        for missing in range(expected, end):
            if needed is None or missing in needed:
                self.damaged.append(missing)
                yield self._frame(missing, last)

    def read_some(self, wanted: Iterable[int]) -> Iterator[Frame]:
        """The ``wanted`` pictures, in order: short gaps between them are decoded, long ones skipped by seeking."""
        left = sorted(set(wanted))
        spans: list[list[int]] = []
        for index in left:
            if spans and index - spans[-1][-1] <= _LONGEST_GAP:
                spans[-1].append(index)
            else:
                spans.append([index])
        for span in spans:
            yield from self.read(span[0], span[-1] + 1, set(span))

    def _fields(self, start: int, end: int) -> Iterator[Frame]:
        """The same of an interlaced film, whose frames are parted."""
        coded, times = fields.woven(self.info), fields.frame_times(self.pts, self.info)
        reader = FrameReader(self.path, coded, times, self.threads)
        for frame in reader.read(start // 2, (end + 1) // 2):
            self.damaged = [2 * one + field for one in reader.damaged for field in (0, 1)]
            for index in range(max(start, 2 * frame.index), min(end, 2 * frame.index + 2)):
                odd = fields.parity(self.info, index)
                yield Frame(
                    index,
                    int(self.pts[index]),
                    tuple(plane[odd::2] for plane in frame.planes),
                    replace(self.format, parity=odd),
                    self.info,
                    frame._decoded,
                    self._scaler,
                    None if frame._alpha is None else frame._alpha[odd::2],
                )

    def _frame(self, index: int, decoded: VideoFrame) -> Frame:
        planes = _planes(decoded, self.format)
        color, alpha = (planes[:-1], planes[-1]) if self.info.alpha else (planes, None)
        if self.format.is_rgb:
            color = tuple(color[i] for i in _RGB_ORDER)
        return Frame(
            *(index, int(self.pts[index]), color, self.format, self.info, decoded, self._scaler),
            *(alpha, self._dynamic.get(decoded.pts, b"")),
        )

    def _steady(
        self, start: int, needed: Collection[int] | None
    ) -> Iterator[tuple[int, VideoFrame]]:
        """Decoded pictures with their index; what is damaged is read again by one thread.

        With several, an error takes pictures beside the damaged one along, by chance.
        """
        following = start
        try:
            for index, decoded in self._decode(start, self.threads, needed, strict=True):
                yield index, decoded
                following = max(following, index + 1)
        except _Damaged:
            yield from self._decode(following, 1, needed, strict=False)

    def _decode(
        self, start: int, threads: int, needed: Collection[int] | None, *, strict: bool
    ) -> Iterator[tuple[int, VideoFrame]]:
        """Decoded pictures with their index, from at most ``start`` on, or the first there is."""
        with open_media(self.path) as container:
            stream = container.streams[self.info.video_stream]
            assert isinstance(stream, VideoStream)
            stream.thread_type = "AUTO"
            stream.codec_context.thread_count = threads
            if not self.info.timed:
                yield from enumerate(self._pictures(container, stream, strict))
                return
            before = () if needed is None else (index - 1 for index in needed)
            self._from, self._needed = start - 1, None if needed is None else {*needed, *before}
            for decoded in self._sought(container, stream, start, strict):
                index = self._index(decoded)
                if index is not None:
                    yield index, decoded

    def _index(self, decoded: VideoFrame) -> int | None:
        return None if decoded.pts is None else self._place(decoded.pts)

    def _wanted(self, place: int | None) -> bool:
        """Whether a picture is decoded even where no other one refers to it; so is one that stands in for the next."""
        if place is None or self.info.codec in _ALL:
            return True
        return place >= self._from and (self._needed is None or place in self._needed)

    def _place(self, pts: int) -> int | None:
        """The index of the picture of that time."""
        index = int(np.searchsorted(self.pts, pts))
        return index if index < len(self.pts) and self.pts[index] == pts else None

    def _sought(
        self, container: InputContainer, stream: VideoStream, start: int, strict: bool
    ) -> Iterator[VideoFrame]:
        """Pictures from a key frame at or before picture ``start``, seeking back until one is."""
        if start == 0:
            yield from self._pictures(container, stream, strict)
            return
        goal = int(self.pts[start])
        first = int(self.pts[0])
        back = 0
        while True:
            target = max(first, goal - back)
            container.seek(target, stream=stream, backward=True, any_frame=False)
            pictures = self._pictures(container, stream, strict)
            head = next(pictures, None)
            if head is not None and head.pts is not None and head.pts <= goal:
                yield head
                yield from pictures
                return
            if target == first:
                break
            back = back * 4 or round(2 / self.info.time_base)
        container.seek(min(first, 0), stream=stream, backward=True, any_frame=False)
        yield from self._pictures(container, stream, strict)

    def _pictures(
        self, container: InputContainer, stream: VideoStream, strict: bool
    ) -> Iterator[VideoFrame]:
        """Decoded pictures in the film's format.

        Packets that cannot be decoded raise `_Damaged` if ``strict``, else are left out.
        """
        coming = packets(container, stream)
        lengths = has_lengths(stream.codec_context.extradata or b"")
        dynamic = self.info.codec == "hevc" and "HDR10+" in self.info.hidden
        while True:
            try:
                packet = next(coming, None)
            except av.FFmpegError:
                return
            if packet is None:
                return
            place = None if packet.pts is None else self._place(packet.pts)
            if dynamic and place is not None:
                self._dynamic[packet.pts] = dynamic_metadata(bytes(packet), lengths=lengths)
            stream.codec_context.skip_frame = "DEFAULT" if self._wanted(place) else "NONREF"
            try:
                decoded = packet.decode()
            except av.FFmpegError as error:
                if strict:
                    raise _Damaged from error
                continue
            for frame in decoded:
                yield self._conformed(frame)

    def _conformed(self, frame: VideoFrame) -> VideoFrame:
        info = self.info
        if (frame.format.name, frame.width, frame.height) == (
            self._stored,
            info.width,
            info.height,
        ):
            return frame
        own = frame.format.name
        refuse_other(
            self.path,
            (info.width, info.height, info.coded_format or own),
            (frame.width, frame.height, own),
        )
        pts = frame.pts
        changed = frame.reformat(width=info.width, height=info.height, format=self._stored)
        changed.pts = pts
        return changed


KEPT = 32 << 20  # bytes of pictures, at most, that wait for a second pass


class TwoPasses:
    """Reads pictures ``start`` to ``end`` of a film twice, but decodes the last ones, up to `KEPT` bytes, once."""

    def __init__(
        self, path: Path, info: VideoInfo, pts: Integers, start: int, end: int, threads: int = 0
    ) -> None:
        self._first, self._second = (FrameReader(path, info, pts, threads) for _ in range(2))
        self._start, self._end = start, end
        self._tail: deque[Frame] = deque(maxlen=KEPT // _size(info))
        self._kept = 0  # pictures of the end that the first pass leaves for the second

    @property
    def damaged(self) -> list[int]:
        """Pictures that could not be decoded, once the second pass is over."""
        kept = self._second_end()
        return [*self._second.damaged, *(i for i in self._first.damaged if i >= kept)]

    def first(self, wanted: Collection[int]) -> Iterator[Frame]:
        """The ``wanted`` pictures, in order."""
        chosen = set(wanted)
        most = self._tail.maxlen or 0
        # a short rest is read as well, so that it is there for the second pass
        short = bool(chosen) and self._end - max(chosen) <= most
        rest = range(max(chosen), self._end) if short else ()
        for frame in self._first.read_some(chosen.union(rest)):
            if self._tail and self._tail[-1].index != frame.index - 1:
                self._tail.clear()
            self._tail.append(frame)
            if frame.index in chosen:
                yield frame
        if self._tail and self._tail[-1].index != self._end - 1:
            self._tail.clear()
        self._kept = len(self._tail)

    def second(self) -> Iterator[Frame]:
        """All pictures, in order; one that was kept is let go of."""
        yield from self._second.read(self._start, self._second_end())
        while self._tail:
            yield self._tail.popleft()

    def _second_end(self) -> int:
        """The first picture that the second pass need not decode."""
        return self._end - self._kept


def _size(info: VideoInfo) -> int:
    """Bytes of a decoded picture."""
    known = VideoFormat(info.pixel_format, info.width, info.height * info.lines)
    return sum(part.width * part.height * (1 + (part.bits > 8)) for part in known.components)


def _planes(frame: VideoFrame, layout: PlaneFormat) -> tuple[Plane, ...]:
    kind = layout.sample_type
    views: list[Plane] = []
    for plane in frame.planes:
        view = plane_rows(plane, kind)[:, : plane.width]
        view.flags.writeable = False
        views.append(view)
    return tuple(views)
