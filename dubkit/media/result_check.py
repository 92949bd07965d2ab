"""Whether a film that was made is what was promised: its pictures are compared with the plan and with the source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dubkit.errors import OutputError
from dubkit.media import captions, codecs, streams, timecode
from dubkit.media.codecs import Encoding
from dubkit.media.container import film_stream, open_media, packets
from dubkit.media.frames import Frame, FrameReader
from dubkit.media.planes import Plane, plane_format, to_rgb
from dubkit.media.probe import probe
from dubkit.records import Integers, Picture, VideoInfo

LEAST_PSNR = (
    40.0  # dB, of pictures so small that what coding changes is averaged out: colors are compared
)
_COARSE_QUALITY, _COARSE_PSNR = (
    23.0,
    30.0,
)  # above this CRF the colors themselves are coded coarsely
_SMALL, _LEAST_SHRINK = 64, 8  # pixels on the long side; of a small picture at most an eighth
_MOST_SAMPLES = 6
_ROUNDED = 1e-3  # of an aspect
_SLOWER = 0.01  # of a rate, by which a container's rounded times may state another
_APART = 0.1  # seconds by which sound and pictures may begin apart


@dataclass(frozen=True, slots=True)
class Sample:
    """A frame of the film to compare, and the part of it that was painted, as shares of width and height."""

    index: int
    painted: tuple[float, float, float, float] | None = None  # x0 y0 x1 y1


@dataclass(frozen=True, slots=True)
class Promise:
    """What the result is to be."""

    source: Path
    info: VideoInfo  # of the source
    source_pts: Integers
    pts: Integers  # of the result, in the source's time base
    seconds: float
    encoding: Encoding
    quality: float
    copied: bool
    plan: streams.StreamPlan
    sound: streams.Sound
    samples: Sequence[Sample]


def check_result(film: Path, promise: Promise) -> float:
    """The length of the film in seconds. Raises `OutputError` that names each difference from what was promised."""
    info = promise.info
    made, pts = probe(film, wanted=info.fields or "none")
    found = [
        *_lengths(made, pts, promise),
        *_picture_facts(film, made, promise),
        *streams.differences(promise.plan, promise.sound, made.streams),
        *_container_facts(film, promise),
        *_captions(film, promise),
    ]
    if not found:
        found = _pixels(film, made, pts, promise)
    if found:
        raise OutputError(
            f"the result is not as promised: {'; '.join(found)}",
            hint="the film is not written; --set generate.codec=h264 or ffv1 may do, and please report it",
        )
    return made.duration


def _lengths(made: VideoInfo, pts: Integers, promise: Promise) -> list[str]:
    info = promise.info
    if made.frames != len(promise.pts):
        return [f"{made.frames} frames instead of {len(promise.pts)}"]
    planned = (promise.pts - promise.pts[0]) * float(info.time_base)
    found = (pts - pts[0]) * float(made.time_base)
    worst = float(np.abs(found - planned).max())
    told = []
    if worst > float(made.time_base) * 1.01 * made.lines:
        told.append(f"a frame is {worst * 1000:.1f} ms off its time")
    if abs(made.duration - promise.seconds) > 1.5 * info.lines / float(info.average_rate):
        told.append(f"it lasts {made.duration:.3f} s instead of {promise.seconds:.3f} s")
    return told


def _picture_facts(film: Path, made: VideoInfo, promise: Promise) -> list[str]:
    """Codec, depth, chroma, range, tags, fields, shape and HDR data that differ."""
    info, encoding, suffix = promise.info, promise.encoding, film.suffix.lower()
    pairs: list[tuple[str, object, object]] = [
        ("codec", made.codec, encoding.codec),
        ("size", (made.width, made.height), (info.width, info.height)),
        ("field order", made.marked, info.marked if promise.copied else encoding.first),
        ("pixel aspect", near(made.pixel_aspect, info.pixel_aspect), info.pixel_aspect),
    ]
    if suffix in streams.ISO:
        pairs.append(("rotation", made.rotation, info.rotation))
    alike = (promise.source.suffix.lower(), info.codec) == (suffix, encoding.codec)
    if info.progressive and alike and codecs.keeps_progressive(encoding.codec, suffix):
        pairs.append(("mark of progressive pictures", made.progressive, True))
    layout = plane_format(made)
    color = info.color if promise.copied else encoding.color
    if not layout.is_rgb:
        full = plane_format(info).full_range if promise.copied else color.range == codecs.FULL
        pairs.append(("full range", layout.full_range, full or codecs.is_gray(made.pixel_format)))
    if codecs.keeps_tags(encoding.codec, suffix) and not layout.is_rgb:
        tags = (made.color.matrix, made.color.primaries, made.color.transfer)
        meant = (color.matrix, color.primaries, color.transfer)
        if meant != (2, 2, 2):  # some codecs state BT.709 where nothing was stated
            pairs.append(("color tags", tags, meant))
    if codecs.states_siting(info, encoding, suffix):
        pairs.append(("place of chroma samples", made.siting, info.siting))
    if encoding.codec in codecs.CARRY_HDR:
        pairs.append(("mastering display", made.mastering, info.mastering))
        pairs.append(("light level", made.light, info.light))
    if info.codec == encoding.codec and encoding.codec in ("prores", "dnxhd"):
        pairs.append(("profile", made.profile, info.profile))
    if encoding.codec == "h264" and "profile" in encoding.options:
        constrained = made.profile.removeprefix("Constrained ")
        pairs.append(("profile", constrained, info.profile.removeprefix("Constrained ")))
    told = [f"{name} {a!s} instead of {b!s}" for name, a, b in pairs if a != b]
    if not promise.copied and (short := codecs.shortfall(encoding.pixel_format, made)):
        told.append(short)
    return told


def _container_facts(film: Path, promise: Promise) -> list[str]:
    """Time code, and whether sound and pictures begin together."""
    told = []
    rate = promise.info.rate
    with open_media(promise.source) as source, open_media(film) as result:
        stated = result.streams.video[0].average_rate
        if rate and stated and abs(float(stated * promise.info.lines / rate) - 1) > _SLOWER:
            told.append(f"a rate of {stated} frames/s instead of {rate / promise.info.lines}")
        before, after = timecode.stated(source), timecode.stated(result)
        if before and promise.plan.keeps_timecode and before != after:
            told.append(f"time code {after or 'missing'} instead of {before}")
        starts = [
            float((s.start_time or 0) * (s.time_base or 0))
            for s in (result.streams.video[0], *result.streams.audio[:1])
        ]
    if max(starts) - min(starts) > _APART:
        told.append(f"sound and picture begin {max(starts) - min(starts):.2f} s apart")
    return told


def _captions(film: Path, promise: Promise) -> list[str]:
    """Captions and HDR10+ that are gone, counted in all coded pictures where these are those that the film shows."""
    info, told = promise.info, []
    if len(promise.pts) < len(promise.source_pts):
        return []
    both = {info.codec, promise.encoding.codec}
    for name, carry, count in (
        ("closed captions", codecs.CARRY_CAPTIONS, captions.captioned),
        ("HDR10+", codecs.CARRY_DYNAMIC, captions.described),
    ):
        if name not in info.hidden or not both <= {*carry}:
            continue
        pictures, before = _counted(promise.source, info.video_stream, count)
        _, kept = _counted(film, None, count)
        if pictures == info.frames // info.lines and kept < before:
            told.append(f"{name} in {kept} frames instead of {before}")
    return told


def _counted(
    path: Path, number: int | None, count: Callable[[Iterable[bytes]], tuple[int, int]]
) -> tuple[int, int]:
    with open_media(path) as media:
        stream = film_stream(media) if number is None else media.streams[number]
        assert stream is not None
        return count(bytes(packet) for packet in packets(media, stream) if packet.size)


def near(found: Fraction, wanted: Fraction) -> Fraction:
    """The wanted aspect where a container's coarser one means it."""
    return wanted if abs(found / wanted - 1) < _ROUNDED else found


def _pixels(film: Path, made: VideoInfo, pts: Integers, promise: Promise) -> list[str]:
    """Colors of sampled frames, outside what was painted, and captions there."""
    told = []
    least = LEAST_PSNR if promise.quality <= _COARSE_QUALITY else _COARSE_PSNR
    samples = [s for s in promise.samples if s.index < min(len(promise.source_pts), len(pts))]
    step = max(1, -(-len(samples) // _MOST_SAMPLES))
    for sample in samples[::step]:
        filmed = _frame(promise.source, promise.info, promise.source_pts, sample.index)
        shown = _frame(film, made, pts, sample.index)
        value = _psnr(filmed, shown, sample)
        if value < least:
            told.append(
                f"frame {sample.index} differs from the source where nothing was painted "
                f"(PSNR {value:.1f} dB, at least {least:g})"
            )
        carried = promise.encoding.codec in codecs.CARRY_CAPTIONS
        if carried and bool(filmed.extras.captions) != bool(shown.extras.captions):
            told.append(f"frame {sample.index} has lost its closed captions")
    return told


def _frame(path: Path, info: VideoInfo, pts: Integers, index: int) -> Frame:
    upright = replace(info, rotation=0)
    return next(FrameReader(path, upright, pts).read(index, index + 1))


def small(frame: Frame) -> Picture:
    """A frame as coded, in RGB and so small that what coding changes, grain and the place of chroma average out."""
    height, width = frame.planes[0].shape
    scale = max(_LEAST_SHRINK, max(height, width) / _SMALL)
    size = (max(4, round(width / scale)), max(4, round(height * frame.info.lines / scale)))
    parts: list[Plane] = []
    for plane in frame.planes:
        part: Any = cv2.resize(np.ascontiguousarray(plane), size, interpolation=cv2.INTER_AREA)
        parts.append(part)
    return to_rgb(parts, frame.format)


def _psnr(filmed: Frame, shown: Frame, sample: Sample) -> float:
    a, b = (small(frame).astype(np.float32) for frame in (filmed, shown))
    error = ((a - b) ** 2).mean(2)
    if sample.painted is not None:
        height, width = error.shape
        x0, y0, x1, y1 = sample.painted
        columns = slice(max(0, int(x0 * width) - 1), int(np.ceil(x1 * width)) + 1)
        error[max(0, int(y0 * height) - 1) : int(np.ceil(y1 * height)) + 1, columns] = np.nan
    if np.isnan(error).all():
        return float("inf")
    mean = float(np.nanmean(error))
    return float("inf") if mean == 0 else 10 * float(np.log10(255**2 / mean))
