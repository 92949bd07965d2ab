"""Write pictures in the film's own planes with their exact times (PyAV): one segment a shot."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType

import av
import cv2
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from dubkit.config.schema import GenerateSettings
from dubkit.errors import ConfigError, OutputError
from dubkit.media.planes import Plane, plane_format, plane_rows
from dubkit.records import VideoInfo

# x264 and x265 give other bytes with other thread counts, and x264 with two was seen to differ from
# run to run; shots are encoded beside one another instead
ENCODER_THREADS = 1

_CPU_AVX_512F = 13  # OpenCV's number
_GLOBAL_HEADER = 1 << 22
_BITEXACT = 1 << 23
_RGB_ORDER = (1, 2, 0)  # R G B -> FFmpeg's planes G, B, R


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a film's pictures are encoded."""

    codec: str  # FFmpeg's encoder
    pixel_format: str
    options: Mapping[str, str]
    exact: bool  # whether the encoder takes the film's samples as they are

    @property
    def container(self) -> str:
        """NUT keeps any time base, but not every codec, nor color tags outside the pictures."""
        return {"prores_ks": "mov", "ffv1": "matroska"}.get(self.codec, "nut")


def encoding_for(info: VideoInfo, settings: GenerateSettings) -> Encoding:
    """The encoder and its options; raises `ConfigError` where the request cannot be met."""
    depth = plane_format(info).depth
    name = info.pixel_format
    if settings.codec == "h264":
        pixels, options = _for_x264(name, depth), _x264_options(settings)
        codec = "libx264rgb" if pixels == "rgb24" else "libx264"
    elif settings.codec == "h265":
        codec, pixels, options = "libx265", _for_x265(name, depth), _x265_options(settings)
    elif settings.codec == "ffv1":
        codec, pixels = "ffv1", "bgr0" if name == "gbrp" else _unmarked(name)
        options = {
            "level": "3",
            "coder": "1",
            "context": "0",
            "g": "1",
            "slicecrc": "1",
        }
    else:
        wide = name.startswith(("yuv444", "gbrp", "yuvj444"))
        codec, pixels = "prores_ks", "yuv444p10le" if wide else "yuv422p10le"
        options = {"profile": "4444" if wide else "hq", "vendor": "apl0"}
    if pixels not in _known_pixels(codec):
        raise ConfigError(
            f"{settings.codec} cannot hold pictures of format {name}",
            hint="choose another with --set generate.codec=ffv1 (or h264, h265, prores)",
        )
    same = {_unmarked(name)} | ({"rgb24", "bgr0"} if name == "gbrp" else set())
    return Encoding(codec, pixels, options, pixels in same)


def _known_pixels(codec: str) -> set[str]:
    try:
        return {known.name for known in av.codec.Codec(codec, "w").video_formats or ()}
    except (av.codec.codec.UnknownCodecError, av.FFmpegError) as error:
        raise ConfigError(
            f"this PyAV has no encoder {codec}", hint="choose another generate.codec"
        ) from error


def _unmarked(name: str) -> str:
    """Full range is a tag of the stream here, not of the pixel format."""
    return name.replace("yuvj", "yuv")


def _chroma(name: str) -> str:
    for kind in ("420", "422", "444"):
        if kind in name:
            return kind
    return "444" if name.startswith(("gbrp", "yuv440")) else "422" if "411" in name else "420"


def _for_x264(name: str, depth: int) -> str:
    if name == "gbrp":
        return "rgb24"
    if name.startswith("gray"):
        return "gray" if depth == 8 else "gray10le"
    return f"yuv{_chroma(name)}p" + ("" if depth == 8 else "10le")


def _for_x265(name: str, depth: int) -> str:
    suffix = "" if depth == 8 else "10le" if depth <= 10 else "12le"
    if name.startswith("gbrp"):
        return "gbrp" + suffix
    return ("gray" if name.startswith("gray") else f"yuv{_chroma(name)}p") + suffix


def _x264_options(settings: GenerateSettings) -> dict[str, str]:
    rate = {"qp": "0"} if settings.quality == 0 else {"crf": f"{settings.quality:g}"}
    fixed = f"open-gop=0:force-cfr=0:lookahead-threads=1{_x264_instructions()}"
    return {"preset": settings.speed, "x264-params": fixed, **rate}


@cache
def _x264_instructions() -> str:
    """x264's AVX-512 code (seen in core 165) gives other bytes from run to run; AVX2 does not."""
    wide = cv2.checkHardwareSupport(_CPU_AVX_512F)
    return ":asm=AVX2" if wide else ""


def _x265_options(settings: GenerateSettings) -> dict[str, str]:
    fixed = f"open-gop=0:pools={ENCODER_THREADS}:frame-threads=1:info=0:log-level=error"
    lossless = ":lossless=1" if settings.quality == 0 else ""
    return {
        "preset": settings.speed,
        "crf": f"{settings.quality:g}",
        "x265-params": fixed + lossless,
    }


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
    ) -> None:
        self.path = path
        self.info = info
        self.encoding = encoding_for(info, settings)
        self.format = plane_format(info)
        self._threads = threads
        self._written = 0

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
        info, encoding = self.info, self.encoding
        stream = self._container.add_stream(
            encoding.codec, rate=info.average_rate, options=dict(encoding.options)
        )
        assert isinstance(stream, VideoStream)
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = (
            info.width,
            info.height,
            encoding.pixel_format,
        )
        context.time_base = stream.time_base = info.time_base
        context.framerate = info.average_rate
        context.sample_aspect_ratio = info.pixel_aspect
        context.color_range = (
            2 if self.format.full_range and not self.format.is_rgb else info.color.range
        )
        context.colorspace = info.color.matrix
        context.color_primaries = info.color.primaries
        context.color_trc = info.color.transfer
        context.thread_count = self._threads
        context.flags |= _GLOBAL_HEADER | _BITEXACT
        return stream

    def write(self, planes: Sequence[Plane], pts: int) -> None:
        """Add a picture: native planes as in `frames.Frame`, its time in ``info.time_base``."""
        frame = self._frame(planes)
        frame.pts, frame.time_base = pts, self.info.time_base
        try:
            self._container.mux(self._stream.encode(frame))
        except (av.FFmpegError, OSError) as error:
            raise write_failure(self.path, error) from error
        self._written += 1

    def _frame(self, planes: Sequence[Plane]) -> VideoFrame:
        native = _unmarked(self.info.pixel_format)
        frame = VideoFrame(self.info.width, self.info.height, native)
        ordered = [planes[i] for i in _RGB_ORDER] if self.format.is_rgb else planes
        for target, source in zip(frame.planes, ordered, strict=True):
            rows = plane_rows(target, self.format.sample_type)
            rows[:, : target.width] = source
        self._tag(frame)
        if native == self.encoding.pixel_format:
            return frame
        level = 2 if self.format.full_range else 1
        return frame.reformat(
            format=self.encoding.pixel_format, src_color_range=level, dst_color_range=level
        )

    def _tag(self, frame: VideoFrame) -> None:
        """Some encoders take the color tags of the frame, others those of the stream."""
        color = self.info.color
        frame.color_range = 2 if self.format.full_range else color.range
        frame.colorspace = color.matrix
        frame.color_primaries, frame.color_trc = color.primaries, color.transfer

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None and self._written:
                self._container.mux(self._stream.encode(None))
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
