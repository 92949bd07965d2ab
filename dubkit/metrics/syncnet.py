"""LSE-D and LSE-C: distance and confidence of SyncNet, scored as joonson/syncnet_python does.

Pictures are 224 px face crops at 25 a second, sound 16 kHz mono. LSE cannot see a mouth that moves in silence, and it
prefers some generators to real video: never the only measure.
"""

from __future__ import annotations

import wave
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from pickle import UnpicklingError

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dubkit.errors import ModelError
from dubkit.media import audio, frames, planes
from dubkit.records import FaceTrack, VideoInfo

REACH = 15  # frames of shift tried to either side
BATCH = 20
RATE = 25  # pictures a second
SAMPLES_A_PICTURE = 640


@dataclass(frozen=True, slots=True)
class Sync:
    """How one face goes with its sound."""

    distance: float  # LSE-D: mean distance at the best shift; lower is better
    confidence: float  # LSE-C: median over the shifts less the best; higher is better
    offset: int  # frames that the sound is late against the picture, at the best shift


def sync_of(
    net: SyncNet, pictures: Iterable[NDArray[np.uint8]], samples: NDArray[np.int16]
) -> Sync | None:
    """Score pictures (224, 224, 3) BGR, 25 a second, with their sound; None for less than six pictures."""
    seen = _seen(net, pictures, len(samples) // SAMPLES_A_PICTURE)
    if not len(seen):
        return None
    return score(seen, _heard(net, samples, len(seen)))


def score(seen: Tensor, heard: Tensor) -> Sync:
    """Vectors of both, (T, D) each -> the score over all shifts."""
    width = 2 * REACH + 1
    padded = torch.nn.functional.pad(heard, (0, 0, REACH, REACH))
    total = torch.zeros(width)
    for t in range(len(seen)):
        near = padded[t : t + width]
        total += torch.nn.functional.pairwise_distance(seen[t : t + 1].expand(width, -1), near)
    mean = total / len(seen)
    best, place = torch.min(mean, 0)
    return Sync(float(best), float(torch.median(mean) - best), REACH - int(place))


def _windows(pictures: Iterable[NDArray[np.uint8]], limit: int) -> Iterator[NDArray[np.uint8]]:
    """Runs of five pictures, as many as the original scores: five fewer than there are."""
    held: list[NDArray[np.uint8]] = []
    for number, picture in enumerate(pictures, 1):
        if number > limit:
            return
        held = [*held[-FRAMES:], picture]
        if len(held) > FRAMES:  # the last window of all is left out
            yield np.stack(held[:FRAMES], 0)


def _seen(net: SyncNet, pictures: Iterable[NDArray[np.uint8]], limit: int) -> Tensor:
    found: list[Tensor] = []
    batch: list[NDArray[np.uint8]] = []

    def flush() -> None:
        tensor = torch.from_numpy(np.stack(batch)).permute(0, 4, 1, 2, 3).float()
        found.append(net.see(tensor))
        batch.clear()

    with torch.inference_mode():
        for window in _windows(pictures, limit):
            batch.append(window)
            if len(batch) == BATCH:
                flush()
        if batch:
            flush()
    return torch.cat(found) if found else torch.zeros(0, 1024)


def _heard(net: SyncNet, samples: NDArray[np.int16], count: int) -> Tensor:
    rows = torch.from_numpy(cepstra(samples)).float().T[None, None]
    found: list[Tensor] = []
    with torch.inference_mode():
        for at in range(0, count, BATCH):
            moments = range(at, min(at + BATCH, count))
            windows = [rows[..., 4 * t : 4 * t + STEPS] for t in moments]
            found.append(net.hear(torch.cat(windows)))
    return torch.cat(found)


Array = NDArray[np.float64]

WINDOW, STEP, FFT, FILTERS, COUNT, LIFTER = 400, 160, 512, 26, 13, 22
_TINY = float(np.finfo(float).eps)


def cepstra(samples: NDArray[np.int16]) -> Array:
    """(N,) samples at 16 kHz as 16-bit numbers -> (T, 13), a row every 10 ms."""
    signal = samples.astype(np.float64)
    signal = np.append(signal[:1], signal[1:] - 0.97 * signal[:-1])
    count = 1 + max(0, -(-(len(signal) - WINDOW) // STEP))
    padded = np.pad(signal, (0, max(0, (count - 1) * STEP + WINDOW - len(signal))))
    rows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::STEP][:count]
    found = np.empty((count, COUNT))
    for at in range(0, count, 6000):  # a minute at a time
        power = np.abs(np.fft.rfft(rows[at : at + 6000], FFT)) ** 2 / FFT
        mel = np.log(np.maximum(power @ _filters().T, _TINY))
        part = mel @ _cosine().T
        part[:, 0] = np.log(np.maximum(power.sum(1), _TINY))
        found[at : at + 6000] = part
    return found


@cache
def _filters() -> Array:
    """(26, 257) triangles, evenly spaced in mel."""
    top = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, top, FILTERS + 2) / 2595) - 1)
    edges = np.floor((FFT + 1) * hertz / SAMPLE_RATE).astype(int)
    bank = np.zeros((FILTERS, FFT // 2 + 1))
    for i, (low, middle, high) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
        bank[i, low:middle] = (np.arange(low, middle) - low) / max(middle - low, 1)
        bank[i, middle:high] = (high - np.arange(middle, high)) / max(high - middle, 1)
    return bank


@cache
def _cosine() -> Array:
    """(13, 26): orthonormal DCT-II, then the sine lifter."""
    n, k = np.arange(FILTERS), np.arange(COUNT)[:, None]
    dct = np.cos(np.pi * k * (2 * n + 1) / (2 * FILTERS)) * np.sqrt(2 / FILTERS)
    dct[0] /= np.sqrt(2)
    lift = 1 + LIFTER / 2 * np.sin(np.pi * np.arange(COUNT) / LIFTER)
    return np.asarray(dct * lift[:, None])


SCALE = 0.4
SMOOTH = 13  # frames of the median filter
LEAST = 7  # frames; in less, the median filter finds no size
BEYOND = 110  # gray outside the picture
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
    reader = frames.FrameReader(video, info, pts)
    return sync_of(net, _crops(reader, face, start, last), samples)


def write_sound(source: Path, path: Path) -> None:
    """Write the whole sound of a file as SyncNet hears it, so that every face may read its own part."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        for block in audio.stream_samples(source, SAMPLE_RATE):
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
    reader: frames.FrameReader, face: FaceTrack, start: float, end: float
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


def crop(frame: frames.Frame, box: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The (224, 224, 3) BGR picture of a smoothed box: middle x, middle y, half side."""
    x, y, half = box
    low = np.floor([x - half * (1 + SCALE), y - half]).astype(int)
    high = np.floor([x + half * (1 + SCALE), y + half * (1 + 2 * SCALE)]).astype(int)
    wide, tall = np.maximum(high - low, 1)
    shift = np.array([[1.0, 0.0, -low[0]], [0.0, 1.0, -low[1]]])
    seen = planes.rgb_crop(frame, shift, int(max(wide, tall)))[:tall, :wide, ::-1].copy()
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


FRAMES = 5  # pictures of a window
CEPSTRA, STEPS = 13, 20  # coefficients and 10 ms steps of sound beside it
SIDE = 224  # pixels


class SyncNet(nn.Module):
    """Windows of 5 pictures or 0.2 s of sound -> vectors (B, 1024) that are near where both belong together."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_sound(1, 64, (3, 3), 1),
            nn.MaxPool2d(1, 1),
            *_sound(64, 192, (3, 3), 1),
            nn.MaxPool2d(3, (1, 2)),
            *_sound(192, 384, (3, 3), 1),
            *_sound(384, 256, (3, 3), 1),
            *_sound(256, 256, (3, 3), 1),
            nn.MaxPool2d(3, 2),
            *_sound(256, 512, (5, 4), 0),
        )
        self.netfcaud = _head()
        self.netfclip = _head()
        self.netcnnlip = nn.Sequential(
            *_picture(3, 96, (5, 7, 7), (1, 2, 2), (0, 0, 0)),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_picture(96, 256, (1, 5, 5), (1, 2, 2), (0, 1, 1)),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *_picture(256, 256, (1, 3, 3), (1, 1, 1), (0, 1, 1)),
            *_picture(256, 256, (1, 3, 3), (1, 1, 1), (0, 1, 1)),
            *_picture(256, 256, (1, 3, 3), (1, 1, 1), (0, 1, 1)),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_picture(256, 512, (1, 6, 6), (1, 1, 1), (0, 0, 0)),
        )

    def hear(self, cepstra: Tensor) -> Tensor:  # (B, 1, 13, 20) -> (B, 1024)
        found: Tensor = self.netfcaud(self.netcnnaud(cepstra).flatten(1))
        return found

    def see(self, pictures: Tensor) -> Tensor:  # (B, 3, 5, 224, 224) BGR 0..255 -> (B, 1024)
        found: Tensor = self.netfclip(self.netcnnlip(pictures).flatten(1))
        return found


def _sound(enter: int, leave: int, kernel: tuple[int, int], padding: int) -> list[nn.Module]:
    return [nn.Conv2d(enter, leave, kernel, padding=padding), nn.BatchNorm2d(leave), nn.ReLU()]


def _picture(
    enter: int,
    leave: int,
    kernel: tuple[int, int, int],
    stride: tuple[int, int, int],
    padding: tuple[int, int, int],
) -> list[nn.Module]:
    convolution = nn.Conv3d(enter, leave, kernel, stride, padding)
    return [convolution, nn.BatchNorm3d(leave), nn.ReLU()]


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 1024))


def load_syncnet(path: Path) -> SyncNet:
    """The net with the weights of a ``syncnet_v2.model``; nothing in the file is run.

    The published file is of PyTorch's first format and from before batch normalization counted its batches.
    Raises ModelError for a file that is missing, damaged, or of another net.
    """
    net = SyncNet()
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        found = net.load_state_dict(dict(stored), strict=False)
    except (
        OSError,
        EOFError,
        UnpicklingError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        reason = str(error).splitlines()[0] if str(error) else "it is empty"
        raise _refused(path, reason) from error
    absent = [key for key in found.missing_keys if not key.endswith("num_batches_tracked")]
    if absent or found.unexpected_keys:
        raise _refused(path, f"{', '.join((absent + found.unexpected_keys)[:2])} does not fit")
    return net.eval().requires_grad_(False)


def _refused(path: Path, reason: str) -> ModelError:
    return ModelError(
        f"{path} holds no SyncNet weights: {reason}",
        hint="dubkit models pull syncnet; or place syncnet_v2.model yourself",
    )
