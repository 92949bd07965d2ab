"""One face as SyncNet wants it: 224 px crops at 25 pictures a second beside 16 kHz sound.

The crop is that of syncnet_python's ``run_pipeline.py``: a square around the smoothed box, 1.4 times its half
side to left, right and above the chin, 1.8 below the middle.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubkit.evaluation.sync import RATE, Sync, sync_of
from dubkit.media.audio import load_samples
from dubkit.media.frames import FrameReader
from dubkit.media.planes import rgb_crop
from dubkit.models.syncnet import SIDE, load_syncnet
from dubkit.records import FaceTrack, VideoInfo

SCALE = 0.4
SMOOTH = 13  # frames of the median filter
SAMPLE_RATE = 16000


def sync_of_face(
    weights: Path,
    video: Path,
    info: VideoInfo,
    pts: NDArray[np.int64],
    face: FaceTrack,
    sound: Path,
) -> Sync | None:
    """LSE-D and LSE-C of one face with ``sound``; None where it is too short. Raises ModelError."""
    net = load_syncnet(weights)
    step = float(info.time_base)
    start = float(pts[face.start] - pts[0]) * step
    count = len(face)
    last = float(pts[face.start + count - 1] - pts[0]) * step + float(1 / info.average_rate)
    samples = load_samples(sound, SAMPLE_RATE)[
        round(start * SAMPLE_RATE) : round(last * SAMPLE_RATE)
    ]
    whole = np.clip(np.round(samples * 32767), -32768, 32767).astype(np.int16)
    reader = FrameReader(video, info, pts)
    return sync_of(net, _crops(reader, face, start, last), whole)


def _crops(
    reader: FrameReader, face: FaceTrack, start: float, end: float
) -> Iterator[NDArray[np.uint8]]:
    """BGR crops at the times ``start + k / 25``, each of the frame that is shown then."""
    boxes = _smoothed(np.asarray(face.boxes, np.float64))
    step = float(reader.info.time_base)
    first = int(reader.pts[0])
    wanted = start
    held: NDArray[np.uint8] | None = None
    for frame in reader.read(face.start, face.start + len(face)):
        shown = (frame.pts - first) * step
        while held is not None and wanted < shown - 1e-6:
            yield held
            wanted += 1 / RATE
        crop = rgb_crop(frame, _crop_from_display(boxes[frame.index - face.start]), SIDE)
        held = np.ascontiguousarray(crop[..., ::-1])
    while held is not None and wanted < end - 1e-6:
        yield held
        wanted += 1 / RATE


def _crop_from_display(box: NDArray[np.float64]) -> NDArray[np.float64]:
    """(2, 3) from a smoothed box: middle x, middle y, half side."""
    x, y, half = box
    scale = SIDE / (2 * half * (1 + SCALE))
    left, top = x - half * (1 + SCALE), y - half
    return np.array([[scale, 0.0, -scale * left], [0.0, scale, -scale * top]])


def _smoothed(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T, 4) boxes, NaN where absent -> (T, 3) middle x, middle y, half side, by running medians."""
    size = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]) / 2
    rows = np.stack([(boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2, size], 1)
    known = np.flatnonzero(np.isfinite(rows[:, 2]))
    at = np.arange(len(rows))
    filled = np.stack([np.interp(at, known, column[known]) for column in rows.T], 1)
    padded = np.pad(filled, ((SMOOTH // 2, SMOOTH // 2), (0, 0)), "edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, SMOOTH, axis=0)
    return np.asarray(np.median(windows, axis=-1))
