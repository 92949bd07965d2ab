"""The sound of a part of a film, without decoding what lies before it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.container import InputContainer

from dubkit.media.audio import SPEECH_RATE
from dubkit.media.container import open_media
from dubkit.records import Floats

_LEAD = 0.5  # seconds sought before the start: codecs need some run-up


def load_span(path: Path, start: float, end: float, rate: int = SPEECH_RATE) -> Floats | None:
    """Mono samples of ``start .. end``, seconds on the container's own clock; silence where nothing is heard.

    None where the file has no sound that can be decoded.
    """
    out = np.zeros(max(1, round((end - start) * rate)), np.float32)
    heard = False
    with open_media(path) as container:
        for frame in _frames(container, start, end, rate):
            if frame.pts is None or frame.time_base is None:
                continue
            first = round((float(frame.pts * frame.time_base) - start) * rate)
            block = np.nan_to_num(frame.to_ndarray().reshape(-1), posinf=0.0, neginf=0.0)
            low, high = max(0, first), min(len(out), first + len(block))
            if low < high:
                out[low:high] = block[low - first : high - first]
            heard = True
    return out if heard else None


def _frames(container: InputContainer, start: float, end: float, rate: int) -> Iterator[AudioFrame]:
    """Resampled sound from a little before ``start`` until ``end`` is passed."""
    if not container.streams.audio or container.streams.audio[0].codec_context is None:
        return
    stream = container.streams.audio[0]
    resampler = AudioResampler(format="flt", layout="mono", rate=rate)
    try:
        container.seek(round(max(0.0, start - _LEAD) * av.time_base), backward=True)
        for packet in container.demux(stream):
            for frame in packet.decode():
                yield from resampler.resample(frame)
                if frame.time is not None and frame.time > end:
                    return
    except av.FFmpegError:  # damaged from here on: what was heard so far counts
        return
