"""One face as SyncNet wants it: 224 px crops at 25 pictures a second beside 16 kHz sound.

Crops are cut as syncnet_python's ``run_pipeline.py`` cuts them: from the smoothed box's middle, 1.4 times its half
side to the left and right, once above and 1.8 times below; whole pixels, grey beyond the picture, brought to size by
plain bilinear interpolation. Two things differ: boxes are the bounds of our landmarks in place of S3FD's, and
pictures are not compressed once more on the way.
"""

from __future__ import annotations

import wave
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dubkit.media.audio import stream_samples
from dubkit.media.frames import Frame, FrameReader
from dubkit.media.planes import rgb_crop
from dubkit.metrics.syncnet import RATE, Sync, sync_of
from dubkit.models.syncnet import SIDE, load_syncnet
from dubkit.records import FaceTrack, VideoInfo

SCALE = 0.4
SMOOTH = 13  # frames of the median filter
LEAST = 7  # frames; in less, the median filter finds no size
BEYOND = 110  # grey outside the picture
SAMPLE_RATE = 16000


def sync_of_face(
    weights: Path,
    video: Path,
    info: VideoInfo,
    pts: NDArray[np.int64],
    face: FaceTrack,
    sound: Path,
) -> Sync | None:
    """LSE-D and LSE-C of one face with ``sound``, a file of `write_sound`; None where it is too short.

    Raises ModelError.
    """
    net = load_syncnet(weights)
    count = len(face)
    if count < LEAST:
        return None
    step = float(info.time_base)
    start = float(pts[face.start] - pts[0]) * step
    last = float(pts[face.start + count - 1] - pts[0]) * step + float(1 / info.average_rate)
    samples = read_sound(sound, round(start * SAMPLE_RATE), round(last * SAMPLE_RATE))
    reader = FrameReader(video, info, pts)
    return sync_of(net, _crops(reader, face, start, last), samples)


def write_sound(source: Path, path: Path) -> None:
    """Write the whole sound of a file as SyncNet hears it, so that every face may read its own part."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        for block in stream_samples(source, SAMPLE_RATE):
            file.writeframesraw(whole_numbers(block).astype("<i2").tobytes())


def read_sound(path: Path, start: int, end: int) -> NDArray[np.int16]:
    """Samples ``start .. end`` of a file of `write_sound`, fewer where it ends before."""
    with wave.open(str(path), "rb") as file:
        file.setpos(min(start, file.getnframes()))
        return np.frombuffer(file.readframes(end - start), "<i2").astype(np.int16)


def whole_numbers(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """-1..1 -> 16-bit, as ffmpeg counts: a 16-bit source comes out as it was."""
    return np.asarray(np.clip(np.rint(samples * 32768.0), -32768, 32767), np.int16)


def _crops(
    reader: FrameReader, face: FaceTrack, start: float, end: float
) -> Iterator[NDArray[np.uint8]]:
    """BGR crops at the times ``start + k / 25``, each of the frame that is shown then."""
    boxes = smoothed(np.asarray(face.boxes, np.float64))
    step = float(reader.info.time_base)
    first = int(reader.pts[0])
    wanted = start
    held: NDArray[np.uint8] | None = None
    for frame in reader.read(face.start, face.start + len(face)):
        shown = (frame.pts - first) * step
        while held is not None and wanted < shown - 1e-6:
            yield held
            wanted += 1 / RATE
        held = crop(frame, boxes[frame.index - face.start])
    while held is not None and wanted < end - 1e-6:
        yield held
        wanted += 1 / RATE


def crop(frame: Frame, box: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The (224, 224, 3) BGR picture of a smoothed box: middle x, middle y, half side."""
    x, y, half = box
    low = np.floor([x - half * (1 + SCALE), y - half]).astype(int)
    high = np.floor([x + half * (1 + SCALE), y + half * (1 + 2 * SCALE)]).astype(int)
    wide, tall = np.maximum(high - low, 1)
    shift = np.array([[1.0, 0.0, -low[0]], [0.0, 1.0, -low[1]]])
    seen = rgb_crop(frame, shift, int(max(wide, tall)))[:tall, :wide, ::-1].copy()
    width, height = frame.info.display_size
    columns, rows = low[0] + np.arange(wide), low[1] + np.arange(tall)
    seen[(rows < 0) | (rows >= height)] = BEYOND
    seen[:, (columns < 0) | (columns >= width)] = BEYOND
    return np.asarray(cv2.resize(seen, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR), np.uint8)


def smoothed(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T, 4) boxes, NaN where absent -> (T, 3) middle x, middle y, half side, by running medians.

    Beyond its ends a track counts as zero, as for ``scipy.signal.medfilt``.
    """
    size = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]) / 2
    rows = np.stack([(boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2, size], 1)
    known = np.flatnonzero(np.isfinite(rows[:, 2]))
    at = np.arange(len(rows))
    filled = np.stack([np.interp(at, known, column[known]) for column in rows.T], 1)
    padded = np.pad(filled, ((SMOOTH // 2, SMOOTH // 2), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, SMOOTH, axis=0)
    return np.asarray(np.median(windows, axis=-1))
