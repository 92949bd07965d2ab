"""Sound: any file -> mono float samples, and a WAV writer."""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream

from dubkit.errors import InputError
from dubkit.media.container import layout_of, open_media, packets
from dubkit.records import Doubles, Floats

SPEECH_RATE = 16000
LOUDEST = 1000.0  # full scale is 1: what is further out is no sound, and encoders refuse it
LONGEST = 24 * 3600.0  # seconds of sound that are held at once
LOWEST_RATE = 1000  # samples a second
_ROOM = 3600.0  # seconds of sound that a header is believed before they are decoded
_GAP_SECONDS = 0.05  # shorter holes between two packets are rounding
_LARGEST_HOLE = 3600.0  # longer ones are damage


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """Facts about the sound of a file: its first audio stream."""

    stream: int  # index in the container
    codec: str
    rate: int
    channels: int
    duration: float  # seconds from the file's start to the sound's end
    finite: bool = True  # False: some samples are no numbers, or beyond `LOUDEST`
    language: str | None = None  # as the file tags it
    title: str | None = None
    layout: str = ""  # FFmpeg's name


def audio_info(path: Path, *, whole: bool = True) -> AudioInfo:
    """Facts about the first audio stream of a file. Raises `InputError` where there is none.

    Unless the ``whole`` file shall be read, its length is what the header states and its samples count as numbers.
    """
    with open_media(path) as container:
        stream = sound_stream(container, path)
        context = stream.codec_context
        facts = (stream.index, context.codec.canonical_name, context.sample_rate, stream.channels)
        language = None if stream.language in (None, "und") else stream.language
        title, layout = stream.metadata.get("title"), stream.layout.name
        end = end_of(container, stream) if whole else (container.duration or 0) / av.time_base
    # only samples that are stored as they are can be no numbers
    finite = not (whole and facts[1].startswith("pcm_f")) or _is_finite(path)
    return AudioInfo(*facts, end, finite, language, title, layout)


def _is_finite(path: Path) -> bool:
    with open_media(path) as container:
        stream = sound_stream(container, path)
        try:
            return all(
                bool((np.abs(frame.to_ndarray()) < LOUDEST).all())
                for frame in container.decode(stream)
            )
        except av.FFmpegError:  # damaged from here on: ffmpeg leaves it out as well
            return True


def audio_end(path: Path) -> float:
    """Seconds from the file's start to the end of its sound."""
    with open_media(path) as container:
        return end_of(container, sound_stream(container, path))


_BEFORE = 5.0  # seconds that are read before the end that a header states


def end_of(
    container: InputContainer, stream: AudioStream | VideoStream, stated: float | None = None
) -> float:
    """Seconds from the file's start to the end of a stream's last packet; with a ``stated`` end only from there on."""
    end = 0
    try:
        if stated is not None:
            start = (container.start_time or 0) / av.time_base
            container.seek(round((start + max(0.0, stated - _BEFORE)) * av.time_base))
        for packet in packets(container, stream):
            if packet.pts is not None:
                end = max(end, packet.pts + (packet.duration or 0))
    except av.FFmpegError:
        pass
    return max(
        0.0, float(end * (stream.time_base or 0)) - (container.start_time or 0) / av.time_base
    )


def load_samples(path: Path, rate: int = SPEECH_RATE) -> Floats:
    """The whole sound of a file as mono samples (N,), -1..1, at ``rate``.

    Sample 0 is the file's start: a late stream is preceded by silence, holes are filled with it,
    and samples that are no numbers become silence. Raises `InputError` where the file has no sound,
    or more than `LONGEST`, which its header need not admit.
    """
    # room for as much as there seems to be
    held = np.empty(round((min(audio_end(path), _ROOM) + 1) * rate), np.float32)
    done = 0
    for block in _limited_blocks(path, rate):
        end = done + len(block)
        if end > len(held):
            held = np.concatenate([held[:done], np.empty(len(held) // 4 + len(block), np.float32)])
        held[done:end] = block
        done = end
    return _require_samples(held[:done], path)


def has_center(path: Path) -> bool:
    """Whether the first sound stream of a file has a center channel beside others."""
    with open_media(path) as container:
        return _center_of(sound_stream(container, path)) is not None


def _center_of(stream: AudioStream) -> int | None:
    """The number of the center channel of a stream with more than two channels."""
    names = [channel.name for channel in stream.layout.channels]
    return names.index("FC") if len(names) > 2 and "FC" in names else None


def map_samples(
    path: Path, folder: Path, rate: int = SPEECH_RATE, *, center: bool = False
) -> Floats:
    """As `load_samples`, mapped from an unnamed file in ``folder``: a film's sound need not fit in memory.

    With ``center``, the center channel alone, where there is one.

    Pages that were read leave memory again with `release_pages`. The file is not written to.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        count = 0
        for block in _limited_blocks(path, rate, center=center):
            # a full disk is an error here; in mapped memory it would be a crash
            file.write(block.tobytes())
            count += len(block)
        file.flush()
        if not count:
            return _require_samples(np.zeros(0, np.float32), path)
        return np.asarray(np.memmap(file, np.float32, "c"))


def release_pages(samples: Floats) -> None:
    """Let the pages of mapped samples leave memory; they are read again from the file where needed."""
    owner: object = samples
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if isinstance(owner, mmap.mmap):
        owner.madvise(mmap.MADV_DONTNEED)


def parts(samples: Floats, size: int) -> Iterator[Floats]:
    """The samples from beginning to end, ``size`` at a time; mapped pages are released after each part."""
    for at in range(0, len(samples), size):
        yield samples[at : at + size]
        release_pages(samples)


def _limited_blocks(path: Path, rate: int, *, center: bool = False) -> Iterator[Floats]:
    count = 0
    for block in stream_samples(path, rate, center=center):
        count += len(block)
        if count > LONGEST * rate:
            raise InputError(
                f"the sound of {path} is longer than {LONGEST / 3600:g} hours", hint="split it"
            )
        yield block


def _require_samples(samples: Floats, path: Path) -> Floats:
    if not len(samples):
        raise InputError(f"{path} has a sound stream, but none of it can be decoded")
    return samples


def stream_samples(
    path: Path, rate: int = SPEECH_RATE, *, center: bool = False
) -> Iterator[Floats]:
    """The same in blocks, for long files: memory stays small."""
    with open_media(path) as container:
        stream = sound_stream(container, path)
        channel = _center_of(stream) if center else None
        layout = "mono" if channel is None else stream.layout.name
        resampler = AudioResampler(format="fltp", layout=layout, rate=rate)
        origin = (container.start_time or 0) / av.time_base
        done = 0
        for frame in _resampled(container, stream, resampler):
            if frame.pts is not None and frame.time_base is not None:
                due = round((float(frame.pts * frame.time_base) - origin) * rate)
                if due - done > _LARGEST_HOLE * rate:
                    hours = (due - done) / rate / 3600
                    raise InputError(f"the sound of {path} is damaged: a gap of {hours:.1f} hours")
                if due - done > _GAP_SECONDS * rate:
                    yield np.zeros(due - done, np.float32)
                    done = due
            samples = _clean(frame, channel or 0)
            done += len(samples)
            yield samples


def sound_stream(container: InputContainer, path: Path) -> AudioStream:
    """The first stream of sound. Raises `InputError` where there is none that can be decoded."""
    if not container.streams.audio:
        raise InputError(f"{path} has no sound", hint="the dub must be a file with an audio stream")
    stream = container.streams.audio[0]
    if stream.codec_context is None:
        raise InputError(f"the sound of {path} has a codec that cannot be decoded")
    if 0 < stream.rate < LOWEST_RATE:  # a few bytes of it would last for hours
        raise InputError(
            f"the sound in {path} has a sample rate of {stream.rate} Hz, which cannot hold speech"
        )
    return stream


def _resampled(
    container: InputContainer, stream: AudioStream, resampler: AudioResampler
) -> Iterator[AudioFrame]:
    """All of a stream that can be decoded; where its kind changes, as where recordings were put together, another
    resampler goes on.
    """
    before = None
    for frame in _decoded(container, stream):
        now = frame.format.name, frame.layout.name, frame.sample_rate
        if before not in (None, now):
            yield from resampler.resample(None)
            resampler = AudioResampler(resampler.format, resampler.layout, resampler.rate)
        before = now
        try:
            made = resampler.resample(_mixed(frame))
        except av.FFmpegError:  # as what cannot be decoded
            continue
        yield from made
    yield from resampler.resample(None)


def _mixed(frame: AudioFrame) -> AudioFrame:
    """The mean of all channels where nobody knows where they are."""
    count = frame.layout.nb_channels
    if layout_of(count, frame.layout.name) is not None:
        return frame
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, count).T
    mean = samples.mean(0, dtype=np.float64)
    if samples.dtype.kind != "f":
        mean = mean / 2.0 ** (8 * samples.itemsize - 1) - (samples.dtype.kind == "u")
    mixed = AudioFrame.from_ndarray(mean[None].astype(np.float32), format="fltp", layout="mono")
    mixed.sample_rate, mixed.pts, mixed.time_base = frame.sample_rate, frame.pts, frame.time_base
    return mixed


def _decoded(container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame]:
    coming = packets(container, stream)
    while True:
        try:
            packet = next(coming, None)
        except av.FFmpegError:
            packet = None
        if packet is None:
            return
        try:
            decoded = packet.decode()
        except av.FFmpegError:
            continue
        yield from decoded


def _clean(frame: AudioFrame, channel: int) -> Floats:
    samples: Floats = np.array(frame.to_ndarray()[channel], np.float32)
    samples = np.where(np.abs(samples) < LOUDEST, samples, np.float32(0))
    return np.clip(samples, -1.0, 1.0, out=samples)


_SAME, _SLACK = (
    0.97,
    0.005,
)  # correlation of sound that is the same, and seconds by which it may lie elsewhere
_SILENT = 1e-4  # root of the mean square


def same_sound(one: tuple[Path, Doubles], other: tuple[Path, Doubles]) -> bool:
    """Whether two files sound the same over the moments (T,) of as many frames, be it louder or quieter."""
    spans = []
    for path, times in (one, other):
        step = float(np.median(np.diff(times))) if len(times) > 1 else 0.04
        with open_media(path) as container:
            origin = (container.start_time or 0) / av.time_base
        start = origin + float(times[0])
        span = load_span(path, start - _SLACK, start + step * len(times) + _SLACK)
        if span is None:
            return False
        spans.append(span)
    count, slack = min(map(len, spans)), round(_SLACK * SPEECH_RATE)
    a, b = (span[:count] - span[:count].mean() for span in spans)
    middle, levels = a[slack:-slack], [float(np.sqrt((x**2).mean())) for x in (a, b)]
    if max(levels) < _SILENT:
        return True
    best = max(float(middle @ b[at : at + len(middle)]) for at in range(2 * slack + 1))
    size = float(np.linalg.norm(middle)) * float(np.linalg.norm(b[slack:-slack]))
    return min(levels) >= _SILENT and best > _SAME * size


_LEAD = 0.5  # seconds sought before the start: codecs need some run-up


def load_span(path: Path, start: float, end: float, rate: int = SPEECH_RATE) -> Floats | None:
    """Mono samples of ``start .. end``, seconds on the container's own clock; silence where it has no sound.

    None where the file has no sound that can be decoded.
    """
    out = np.zeros(max(1, round((end - start) * rate)), np.float32)
    decoded = False
    with open_media(path) as container:
        for frame in _frames(container, start, end, rate):
            if frame.pts is None or frame.time_base is None:
                continue
            first = round((float(frame.pts * frame.time_base) - start) * rate)
            block = np.nan_to_num(frame.to_ndarray().reshape(-1), posinf=0.0, neginf=0.0)
            low, high = max(0, first), min(len(out), first + len(block))
            if low < high:
                out[low:high] = block[low - first : high - first]
            decoded = True
    return out if decoded else None


def _frames(container: InputContainer, start: float, end: float, rate: int) -> Iterator[AudioFrame]:
    """Resampled sound from a little before ``start`` until ``end`` is passed."""
    if not container.streams.audio or container.streams.audio[0].codec_context is None:
        return
    stream = container.streams.audio[0]
    resampler = AudioResampler(format="flt", layout="mono", rate=rate)
    try:
        container.seek(round(max(0.0, start - _LEAD) * av.time_base), backward=True)
    except av.FFmpegError:
        return
    for frame in _resampled(container, stream, resampler):
        yield frame
        if frame.time is not None and frame.time > end:
            return
