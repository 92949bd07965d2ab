"""Write pictures in the film's own planes with their exact times (PyAV): one segment a shot."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from av.packet import Packet
from av.video.format import VideoFormat
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import Interpolation
from av.video.stream import VideoStream

from dubkit.config.schema import GenerateSettings
from dubkit.errors import OutputError
from dubkit.media import captions, fields
from dubkit.media.captions import Extras
from dubkit.media.codecs import ENCODER_THREADS, FULL, LIMITED, Encoding, encoding_for
from dubkit.media.planes import Plane, alpha_name, plane_format, plane_rows, swscale_matrix
from dubkit.records import VideoInfo

_GLOBAL_HEADER = 1 << 22
_BITEXACT = 1 << 23
_CLOSED = -(1 << 31)  # groups that need nothing of the next one
_INTERLACED = 1 << 18 | 1 << 29  # coded by fields, motion too
_ORDER = {"": 0, "top": 2, "bottom": 3}  # FFmpeg's AVFieldOrder
_RGB_ORDER = (1, 2, 0)  # R G B -> FFmpeg's planes G, B, R
_MATRICES = (1, 4, 5, 6, 7, 9)  # that can be converted with
_NONE = Extras()


class FrameWriter:
    """Encodes pictures into one segment (see `Encoding.container`). A context manager.

    Equal pictures, times and settings give equal bytes; an error inside the block leaves no file.
    """

    def __init__(
        self,
        path: Path,
        info: VideoInfo,
        settings: GenerateSettings,
        threads: int = ENCODER_THREADS,
        encoding: Encoding | None = None,
        keys: Collection[int] = (),
    ) -> None:
        """``keys`` are numbers of coded pictures, from 0, from which on nothing before is needed."""
        self.path = path
        self._keys = frozenset(keys)
        self.info = info
        self.encoding = encoding or encoding_for(info, settings)
        self.format = plane_format(info)
        self._coded = fields.woven(info)
        self._threads = threads
        self._written = 0
        self._first: tuple[Sequence[Plane], Extras] | None = None  # field, that waits for the other
        self._marker: fields.FieldMarker | None = None
        self._hidden: dict[int, bytes] = {}  # what goes into the coded picture, by its time

    def __enter__(self) -> FrameWriter:
        try:
            self._container = av.open(
                f"file:{self.path}",
                "w",
                format=self.encoding.container,
                container_options={"fflags": "+bitexact"},
            )
            self._stream = self._add_stream()
        except (av.FFmpegError, OSError) as error:
            raise write_failure(self.path, error) from error
        return self

    def _add_stream(self) -> VideoStream:
        info, encoding = self._coded, self.encoding
        stream = self._container.add_stream(
            encoding.encoder, rate=info.average_rate, options=dict(encoding.options)
        )
        assert isinstance(stream, VideoStream)
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = (
            info.width,
            info.height,
            encoding.pixel_format,
        )
        base = 1 / info.average_rate if encoding.steady else info.time_base
        context.time_base = stream.time_base = base
        context.framerate = info.average_rate
        context.sample_aspect_ratio = info.pixel_aspect
        color = encoding.color
        context.color_range, context.colorspace = color.range, color.matrix
        context.color_primaries, context.color_trc = color.primaries, color.transfer
        context.thread_count = self._threads
        context.flags |= _GLOBAL_HEADER | _BITEXACT
        if self._keys and encoding.codec == "mpeg2video":
            context.flags |= _CLOSED
        if encoding.first:
            context.flags |= _INTERLACED
            context.field_order = _ORDER[encoding.first]
        return stream

    def write(self, planes: Sequence[Plane], pts: int, extras: Extras = _NONE) -> None:
        """Add a picture: native planes as in `frames.Frame`, its time in ``info.time_base``.

        Of an interlaced film pictures are fields, and two of them make a frame.
        """
        if self.info.fields:
            if self._first is None:
                self._first = planes, extras
                self._pts = pts
                return
            (first, extras), second = self._first, extras
            planes, pts = fields.weave(first, planes, self.info.fields), self._pts // 2
            if extras.alpha is not None and second.alpha is not None:
                pair = fields.weave((extras.alpha,), (second.alpha,), self.info.fields)
                extras = replace(extras, alpha=pair[0])
            self._first = None
        frame = self._frame(planes, extras.alpha)
        if self.encoding.steady:
            pts = self._written
        frame.pts, frame.time_base = pts, self._stream.codec_context.time_base
        if self._written in self._keys:
            frame.pict_type = PictureType.I
        if self.encoding.first:
            if self._marker is None:
                self._marker = fields.FieldMarker(frame, self.encoding.first)
            frame = self._marker.mark(frame)
        if hidden := captions.coded(extras, self.encoding.codec):
            self._hidden[pts] = hidden
        try:
            self._mux(self._stream.encode(frame))
        except (av.FFmpegError, OSError) as error:
            raise write_failure(self.path, error) from error
        self._written += 1

    def _mux(self, packets: Sequence[Packet[VideoStream]]) -> None:
        for packet in packets:
            hidden = None if packet.pts is None else self._hidden.pop(packet.pts, None)
            if hidden is not None:
                packet = captions.with_hidden(packet, hidden, self.encoding.codec)
            if packet.pts is not None and (packet.dts is None or packet.dts > packet.pts):
                packet.dts = packet.pts  # x265, of a single picture, once in hundreds of times
            self._container.mux(packet)

    def _frame(self, planes: Sequence[Plane], alpha: Plane | None) -> VideoFrame:
        native = self.info.pixel_format.replace("yuvj", "yuv")
        native = alpha_name(native) if self.info.alpha else native
        frame = VideoFrame(self._coded.width, self._coded.height, native)
        ordered = [planes[i] for i in _RGB_ORDER] if self.format.is_rgb else [*planes]
        if self.info.alpha:
            top = 2**self.format.depth - 1
            ordered.append(np.full_like(planes[0], top) if alpha is None else alpha)
        for target, source in zip(frame.planes, ordered, strict=True):
            rows = plane_rows(target, self.format.sample_type)
            rows[:, : target.width] = source
        made = self._converted(frame, native)
        color = (
            self.encoding.color
        )  # some encoders take the tags of the frame, others those of the stream
        made.color_range, made.colorspace = color.range, color.matrix
        made.color_primaries, made.color_trc = color.primaries, color.transfer
        return made

    def _converted(self, frame: VideoFrame, native: str) -> VideoFrame:
        """The frame in the encoder's format, and in the range of the result."""
        wanted, color = self.encoding.pixel_format, self.encoding.color
        come = FULL if self.format.full_range else LIMITED
        goes = FULL if color.range == FULL or VideoFormat(wanted, 16, 16).is_rgb else LIMITED
        own = swscale_matrix(self.format)
        to = (
            color.matrix
            if color.matrix in _MATRICES and not VideoFormat(wanted, 16, 16).is_rgb
            else own
        )
        if native == wanted and come == goes and own == to:
            return frame
        return frame.reformat(
            format=wanted,
            src_colorspace=own,
            dst_colorspace=to,
            src_color_range=come,
            dst_color_range=goes,
            interpolation=Interpolation.BICUBIC,
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None and self._written:
                self._mux(self._stream.encode(None))
            self._container.close()
        except (av.FFmpegError, OSError) as failure:
            self._remove()
            if kind is None:
                raise write_failure(self.path, failure) from failure
        if kind is not None:
            self._remove()

    def _remove(self) -> None:
        if self.path.is_file():
            self.path.unlink()


def write_failure(path: Path, error: Exception) -> OutputError:
    """What to say where a file cannot be written."""
    code = getattr(error, "errno", None)
    if code == errno.ENOSPC:
        return OutputError(
            f"the disk is full: {path} cannot be written",
            hint="free some space and run the same command again",
        )
    if code in (errno.EACCES, errno.EPERM, errno.EROFS):
        return OutputError(
            f"{path} is not writable", hint="choose another folder, or check its permissions"
        )
    return OutputError(f"{path} cannot be written: {getattr(error, 'strerror', None) or error}")


def try_encoding(info: VideoInfo, settings: GenerateSettings) -> None:
    """Encode one gray picture: raises `OutputError` or `ConfigError` where the encoder refuses such pictures."""
    with tempfile.TemporaryDirectory(prefix="dubkit-") as folder:
        path = Path(folder) / "trial"
        coded = fields.woven(info)
        layout = plane_format(coded)
        across, down = layout.shift
        sizes = [(coded.height, coded.width)]
        small = (-(-coded.height // 2**down), -(-coded.width // 2**across))
        sizes += [sizes[0] if layout.is_rgb else small] * (layout.planes - 1)
        middle = 2 ** (layout.depth - 1)
        try:
            with FrameWriter(path, coded, settings) as writer:
                gray: list[Plane] = []
                for size in sizes:
                    deep = np.full(size, middle, np.uint16)
                    gray.append(deep if layout.depth > 8 else deep.astype(np.uint8))
                writer.write(gray, 0)
        except OutputError as error:
            name = writer_name(info, settings)
            raise OutputError(
                f"the encoder {name} refuses pictures like this film's: {error.message}",
                hint="choose another codec with --set generate.codec=ffv1, prores or h264",
            ) from error


def writer_name(info: VideoInfo, settings: GenerateSettings) -> str:
    """FFmpeg's name of the encoder in use."""
    return encoding_for(info, settings).encoder
