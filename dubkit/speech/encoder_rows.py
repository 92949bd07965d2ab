"""The speech encoder's rows of a dub: 768 numbers for every cell of the 20 ms grid, in any language.

The sound is encoded in windows of 12 s on a fixed grid of dub time. Each window gives its inner 8 s, cross-faded with
its neighbors over one second. Rows therefore depend on the sound within `REACH` seconds and on the time in the dub
alone, never on where a shot begins or on the number of workers. Each window is measured against its own loudest
moment, so loudness does not count; silence is not amplified.

Rows are stored in steps of 1 / `records.ROW_STEPS` of their deviation, one byte a number.

The front end is Whisper's: 80 log-mel bands every 10 ms, on Slaney's scale (linear below 1 kHz, logarithmic above),
with a periodic Hann window of 25 ms. A frame is centered on its own time.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, lru_cache
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dubkit.media.audio import SPEECH_RATE
from dubkit.models import devices, speech_encoder
from dubkit.records import GRID_STEP, ROW_STEPS, EncoderRows, Floats
from dubkit.speech.mel_levels import stretch

CORE, CONTEXT, FADE = (
    400,
    100,
    25,
)  # cells of a window: taken, around them, and of half a cross-fade
REACH = (CORE + CONTEXT + FADE) * GRID_STEP  # seconds within which a row depends on the sound
FRAME, HOP = 400, 160  # samples
RANGE = 8.0  # decades under the loudest moment that are told apart
_CELL = 320  # samples
_TOP, _FAINTEST_TOP = (
    1.5,
    -2.5,
)  # log10 of power: what the loudest moment is set to, and the least it counts as
_LASTING = 6  # frames: a click is shorter, and so not the loudest moment
_FLOOR = 1e-10
_CORNER, _LINEAR = 1000.0, 200.0 / 3  # Hz: below the first, so many Hz are one mel
_LOG_STEP = np.log(6.4) / 27.0


@lru_cache(maxsize=1)
def packaged_encoder() -> speech_encoder.SpeechEncoder:
    """The encoder of this package, loaded once a process."""
    with as_file(files("dubkit") / "weights" / "speech_encoder.safetensors") as path:
        return speech_encoder.load_speech_encoder(path)[0]


def encode(samples: Floats, net: speech_encoder.SpeechEncoder | None = None) -> EncoderRows:
    """Rows of the whole of ``samples`` (mono, 16 kHz, -1..1)."""
    return EncoderRows(0, np.concatenate(list(encode_in_parts(samples, net))))


def encode_briefly(samples: Floats) -> EncoderRows:
    """Rows of a sound by a single window in its middle, where one holds all of it: half the work of `encode`.

    They are nearly those of `encode`, as a row depends a little on its place in the window: near enough to decide who
    speaks, not for what is rendered.
    """
    count = cell_count(len(samples))
    if count > speech_encoder.CELLS:
        return encode(samples)
    before = (speech_encoder.CELLS - count) // 2
    bands = torch.from_numpy(_window(samples, -before))
    with devices.threads(1), torch.inference_mode():
        rows = packaged_encoder()(bands[None])[0, before : before + count].numpy()
    return EncoderRows(0, _stored(rows))


def _stored(rows: Floats) -> NDArray[np.int8]:
    return np.clip(np.round(rows * ROW_STEPS), -127, 127).astype(np.int8)


def write_rows(path: Path, samples: Floats) -> None:
    """Write the rows of ``samples`` as an array file, a window at a time. Raises OSError, as on a full disk."""
    net = packaged_encoder()
    shape = (cell_count(len(samples)), net.config.rows)
    header = {"descr": "|i1", "fortran_order": False, "shape": shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for part in encode_in_parts(samples, net):
            file.write(part.tobytes())


def cell_count(samples: int) -> int:
    """The number of rows of so many samples: the last cell is centered on their end or beyond it."""
    return -(-samples // _CELL) + 1


def encode_in_parts(
    samples: Floats, net: speech_encoder.SpeechEncoder | None = None
) -> Iterator[NDArray[np.int8]]:
    """The rows from one end to the other, (n, R) at a time; no part of the sound stays in memory for it."""
    net = net or packaged_encoder()
    count = cell_count(len(samples))
    weight = ((np.arange(2 * FADE) + 0.5) / (2 * FADE))[:, None].astype(np.float32)
    before: Floats | None = None  # the last window's rows where this one fades in
    for start in range(0, count, CORE):
        bands = torch.from_numpy(_window(samples, start - CONTEXT))
        # sums in another order differ in their last bits; results must not depend on the number of workers
        with devices.threads(1), torch.inference_mode():
            rows = net(bands[None])[0].numpy()
        inner = rows[CONTEXT - FADE : CONTEXT + CORE + FADE].copy()
        if before is not None:
            inner[: 2 * FADE] = before * (1 - weight) + inner[: 2 * FADE] * weight
        before = inner[-2 * FADE :]
        is_last = start + CORE >= count
        low, high = max(start - FADE, 0), min(start + CORE + (FADE if is_last else -FADE), count)
        found = inner[low - start + FADE : high - start + FADE]
        yield _stored(found)


def _window(samples: Floats, first: int) -> Floats:
    """(2 CELLS, MEL_BANDS) scaled bands of the window that begins with cell ``first``; silence outside the sound."""
    begin, end = first * _CELL, (first + speech_encoder.CELLS) * _CELL
    # frames at the window's edges see the sound beyond it
    return scaled(
        log_mel(stretch(samples, begin - FRAME, end + FRAME), FRAME, 2 * speech_encoder.CELLS)
    )


def log_mel(samples: Floats, first: int, count: int) -> Floats:
    """(count, MEL_BANDS) log10 of the power in mel bands, of frames centered on sample ``first`` and every `HOP` on.

    ``samples`` must reach half a `FRAME` beyond the first and the last center.
    """
    begin = first - FRAME // 2
    pieces = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[begin::HOP][:count]
    spectrum = np.fft.rfft(pieces * _hann(), axis=1)
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    return np.asarray(np.log10(np.maximum(power @ mel_filters().T, _FLOOR)), np.float32)


def scaled(log: Floats) -> Floats:
    """Log-mel bands as the encoder takes them: against the window's loudest moment that lasts."""
    loudest = np.partition(log.max(1), -_LASTING)[-_LASTING]
    top = max(float(loudest), _FAINTEST_TOP)
    return np.asarray((np.clip(log - top, -RANGE, 0.5) + _TOP + 4.0) / 4.0, np.float32)


@cache
def _hann() -> NDArray[np.float64]:
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME))


@cache
def mel_filters() -> NDArray[np.float64]:
    """(MEL_BANDS, FRAME // 2 + 1) triangles of equal area, from 0 Hz to half the sample rate."""
    edges = _hertz(np.linspace(0.0, _mel(SPEECH_RATE / 2), speech_encoder.MEL_BANDS + 2))
    bins = np.fft.rfftfreq(FRAME, 1 / SPEECH_RATE)
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rise, fall = (bins - low) / (middle - low), (high - bins) / (high - middle)
    return np.asarray(np.maximum(0.0, np.minimum(rise, fall)) * (2.0 / (high - low)))


def _mel(hertz: float) -> float:
    if hertz < _CORNER:
        return hertz / _LINEAR
    return float(_CORNER / _LINEAR + np.log(hertz / _CORNER) / _LOG_STEP)


def _hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    corner = _CORNER / _LINEAR
    return np.where(mel < corner, mel * _LINEAR, _CORNER * np.exp(_LOG_STEP * (mel - corner)))
