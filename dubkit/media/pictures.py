"""Small RGB videos of our own: aligned crops of faces, written once and read by every training.

H.264 in MP4, 4:2:0, limited range, BT.601. Equal pictures and times give equal bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream

from dubkit.errors import InputError
from dubkit.media import planes, writer
from dubkit.media.codecs import ENCODER_THREADS
from dubkit.media.container import open_media
from dubkit.records import Picture

CRF = "12"
KEY_EVERY = 25  # pictures: a training that wants one in the middle decodes no more than this
_BT601, _MPEG, _JPEG = 5, 1, 2
_EXACT = {"fflags": "+bitexact"}


def to_frame(
    picture: Picture, pts: int, time_base: Fraction, scaler: VideoReformatter
) -> VideoFrame:
    """An RGB picture as encoders take it: 4:2:0, limited range, BT.601; shown at ``pts``.

    A ``scaler`` that is kept from picture to picture saves more than half of the time.
    """
    frame = scaler.reformat(
        VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24"),
        format="yuv420p",
        dst_colorspace=_BT601,
        src_color_range=_JPEG,
        dst_color_range=_MPEG,
        interpolation=Interpolation.BICUBIC,
    )
    frame.pts, frame.time_base = pts, time_base
    return frame


class PictureWriter:
    """Writes square RGB pictures; a context manager. An error inside the block leaves no file."""

    def __init__(self, path: Path, size: int, rate: Fraction, time_base: Fraction) -> None:
        self.path, self.size, self._rate, self._time_base = path, size, rate, time_base

    def __enter__(self) -> PictureWriter:
        try:
            self._container = av.open(
                f"file:{self.path}", "w", format="mp4", container_options=_EXACT
            )
            stream = self._container.add_stream("libx264", rate=self._rate.limit_denominator(1001))
        except (av.FFmpegError, OSError) as error:
            raise writer.write_failure(self.path, error) from error
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = self.size, self.size, "yuv420p"
        stream.codec_context.time_base = stream.time_base = self._time_base
        stream.codec_context.thread_count = ENCODER_THREADS
        stream.options = {"crf": CRF, "preset": "veryfast", "g": str(KEY_EVERY), "bf": "0"}
        self._stream, self._scaler = stream, VideoReformatter()
        return self

    def write(self, picture: Picture, pts: int) -> None:
        """Add one picture (S, S, 3), shown at ``pts`` in the time base."""
        frame = to_frame(picture, pts, self._time_base, self._scaler)
        try:
            self._container.mux(self._stream.encode(frame))
        except (av.FFmpegError, OSError) as error:
            raise writer.write_failure(self.path, error) from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._container.mux(self._stream.encode(None))
            self._container.close()
        except (av.FFmpegError, OSError) as failure:
            self.path.unlink(missing_ok=True)
            if kind is None:
                raise writer.write_failure(self.path, failure) from failure
        if kind is not None:
            self.path.unlink(missing_ok=True)


def read_pictures(path: Path) -> Iterator[Picture]:
    """The pictures of a file that `PictureWriter` wrote, in order, one at a time.

    Raises `InputError` where it is missing or damaged.
    """
    with open_media(path) as container:
        if not container.streams.video:
            raise InputError(f"{path} holds no pictures")
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        try:
            for frame in container.decode(stream):
                yield _rgb(frame)
        except av.FFmpegError as error:
            raise InputError(f"{path} is damaged: {error}") from error


def _rgb(frame: VideoFrame) -> Picture:
    shown = frame.reformat(
        format="rgb24",
        src_colorspace=_BT601,
        src_color_range=_MPEG,
        dst_color_range=_JPEG,
        interpolation=Interpolation.BICUBIC,
    )
    rows = planes.plane_rows(shown.planes[0], np.uint8)
    return np.ascontiguousarray(rows[:, : frame.width * 3].reshape(frame.height, frame.width, 3))
