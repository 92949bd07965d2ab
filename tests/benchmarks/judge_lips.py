# /// script
# requires-python = ">=3.10,<3.13"
# dependencies = ["mediapipe==0.10.21", "av>=12", "opencv-contrib-python<4.12", "numpy<2"]
# ///
"""The outside judge: how well the lips of one video follow those of another, or the phonemes it speaks.

Measured with mediapipe's FaceMesh, which dubkit never uses, in a venv of its own:

    python -m venv judge && judge/bin/pip install mediapipe==0.10.21 av
    judge/bin/python tests/benchmarks/judge_lips.py RESULT [REAL] [--speech speech.json] [--json]

RESULT is the rendered video, REAL the real one with the same pictures and sound ("own audio"). Rows that need
REAL are left out without it; rows that need phonemes are left out without ``--speech``, the ``speech.json``
that a dubkit work folder holds. Inner-lip opening is the gap between the inner lip midpoints over face width.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import av
import cv2
import mediapipe as mp
import numpy as np

LIPS = [61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185]
LIPS += [78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191]
STABLE = [33, 133, 159, 145, 362, 263, 386, 374, 168, 6, 197]
LABIALS = {"p", "b", "m"}
OPEN_VOWELS = {"ɑ", "æ", "a", "aʊ", "aɪ", "ɔ", "ʌ", "ɛ", "eɪ", "oʊ", "ɔɪ"}
CLOSED = 0.02


def watch(path: Path) -> dict[str, np.ndarray]:
    """Landmarks (T, 478, 2) in pixels, times (T,), and grey frames (T, H, W) of a video."""
    options = {"max_num_faces": 1, "refine_landmarks": True, "min_detection_confidence": 0.5}
    points, times, grey = [], [], []
    with mp.solutions.face_mesh.FaceMesh(**options) as mesh, av.open(str(path)) as container:
        for frame in container.decode(video=0):
            image = frame.to_ndarray(format="rgb24")
            found = mesh.process(image).multi_face_landmarks
            row = np.full((478, 2), np.nan)
            if found:
                row = np.array([(p.x * frame.width, p.y * frame.height) for p in found[0].landmark])
            points.append(row)
            times.append(float(frame.time or 0))
            grey.append(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
    return {"points": np.stack(points), "times": np.array(times), "grey": np.stack(grey)}


def opening(points: np.ndarray) -> np.ndarray:
    """(T,) inner-lip opening over face width."""
    gap = np.linalg.norm(points[:, 13] - points[:, 14], axis=1)
    return np.asarray(gap / np.linalg.norm(points[:, 234] - points[:, 454], axis=1))


def lip_motion(points: np.ndarray) -> float:
    """Mean second difference of the lip points, in eye distances."""
    stable = points[:, STABLE].mean(1, keepdims=True)
    scale = np.linalg.norm(points[:, 33] - points[:, 263], axis=1)[:, None, None]
    lips = (points[:, LIPS] - stable) / scale
    return float(np.nanmean(np.linalg.norm(np.diff(lips, 2, axis=0), axis=-1)))


def similarity(a: np.ndarray, b: np.ndarray) -> float:
    """SSIM of two grey pictures (Wang 2004, Gaussian window 11, sigma 1.5)."""
    x, y = a.astype(np.float64), b.astype(np.float64)
    c1, c2 = 6.5025, 58.5225

    def blur(v: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(v, (11, 11), 1.5)

    mx, my = blur(x), blur(y)
    sx, sy, sxy = blur(x * x) - mx * mx, blur(y * y) - my * my, blur(x * y) - mx * my
    top = (2 * mx * my + c1) * (2 * sxy + c2)
    return float((top / ((mx * mx + my * my + c1) * (sx + sy + c2))).mean())


def box(points: np.ndarray, shape: tuple[int, ...], grow: float) -> tuple[slice, slice]:
    """The landmarks' box, grown by a part of its size, clipped to the picture."""
    low, high = points.min(0), points.max(0)
    low, high = low - grow * (high - low), high + grow * (high - low)
    x0, y0 = np.clip(low, 0, (shape[1] - 16, shape[0] - 16)).astype(int)
    x1, y1 = np.clip(high, (x0 + 12, y0 + 12), (shape[1], shape[0])).astype(int)
    return slice(y0, y1), slice(x0, x1)


def gradient(picture: np.ndarray) -> float:
    """Mean squared gradient."""
    p = picture.astype(np.float64)
    return float((np.diff(p, axis=0) ** 2).mean() + (np.diff(p, axis=1) ** 2).mean())


def lag_of(a: np.ndarray, b: np.ndarray, step: float) -> tuple[float, float]:
    """Milliseconds by which ``a`` is later than ``b``, and the correlation there (+-200 ms, 5 ms grid)."""
    fine = np.arange(0, (len(a) - 1) * step, 0.005)
    grid = np.arange(len(a)) * step
    u, v = np.interp(fine, grid, a), np.interp(fine, grid, b)
    best = (-2.0, 0, 0)
    for k in range(-40, 41):
        x, y = (u[k:], v[: len(v) - k]) if k >= 0 else (u[:k], v[-k:])
        if len(x) > 50 and x.std() > 0 and y.std() > 0:
            best = max(best, (float(np.corrcoef(x, y)[0, 1]), -abs(k), k))
    return 5.0 * best[-1], best[0]


def against_real(made: dict[str, np.ndarray], real: dict[str, np.ndarray]) -> dict[str, float]:
    """The rows that compare with the real video of the same sound."""
    n = min(len(made["times"]), len(real["times"]))
    a, b = opening(made["points"][:n]), opening(real["points"][:n])
    good = np.isfinite(a) & np.isfinite(b)
    step = float(np.median(np.diff(real["times"])))
    index = np.flatnonzero(good)
    ssim, sharp = [], []
    for t in index:
        face = box(real["points"][t], real["grey"][t].shape, 0.0)
        mouth = box(real["points"][t][LIPS], real["grey"][t].shape, 0.25)
        ssim.append(similarity(made["grey"][t][face], real["grey"][t][face]))
        sharp.append((gradient(made["grey"][t][mouth]), gradient(real["grey"][t][mouth])))
    sharp_made, sharp_real = np.mean(sharp, 0)
    fill = np.arange(n)
    a_full, b_full = (np.interp(fill, index, v[index]) for v in (a, b))
    offset, best = lag_of(a_full, b_full, step)
    return {
        "frames": n,
        "faces_lost": float((np.isfinite(b) & ~np.isfinite(a)).sum()),
        "correlation": float(np.corrcoef(a[good], b[good])[0, 1]),
        "amplitude": float(a[good].std() / b[good].std()),
        "offset_ms": offset,
        "correlation_there": best,
        "jitter": lip_motion(made["points"][:n]) / lip_motion(real["points"][:n]),
        "ssim": float(np.mean(ssim)),
        "sharpness": float(sharp_made / sharp_real),
    }


def against_speech(made: dict[str, np.ndarray], speech: dict[str, Any]) -> dict[str, float]:
    """The rows that compare with the phonemes of the sound."""
    gap, times = opening(made["points"]), made["times"] - made["times"][0]
    step = float(np.median(np.diff(times)))
    shut, labial, vowel, silent = [], [], [], []
    for p in speech["phonemes"]:
        inside = (times >= p["start"] - step / 2) & (
            times < max(p["end"], p["start"] + step) - step / 2
        )
        values = gap[inside & np.isfinite(gap)]
        symbol = p["symbol"].rstrip("ːˑ012")
        if symbol == "sil":
            quiet = (times >= p["start"] + 0.12) & (times < p["end"] - 0.12) & np.isfinite(gap)
            silent.extend(gap[quiet])
        elif len(values) and symbol in LABIALS:
            near = (times >= p["start"] - step) & (times < p["end"] + step) & np.isfinite(gap)
            shut.append(float(gap[near].min() < CLOSED))
            labial.append(float(values.min()))
        elif len(values) and symbol in OPEN_VOWELS:
            vowel.append(float(values.mean()))
    rows = {}
    if shut:
        rows["closure_recall"] = float(np.mean(shut))
    if labial and vowel:
        rows["vowel_closure_ratio"] = float(np.mean(vowel) / max(np.mean(labial), 1e-6))
    if silent:
        rows["open_in_silence"] = float((np.array(silent) > CLOSED).mean())
    return rows


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("result", type=Path)
    parser.add_argument("real", type=Path, nargs="?")
    parser.add_argument("--speech", type=Path)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    made = watch(args.result)
    rows: dict[str, float] = {}
    if args.real:
        rows |= against_real(made, watch(args.real))
    if args.speech:
        rows |= against_speech(made, json.loads(args.speech.read_text(encoding="utf-8")))
    if args.json:
        sys.stdout.write(json.dumps(rows) + "\n")
    else:
        sys.stdout.writelines(f"{name:22s} {value:9.3f}\n" for name, value in rows.items())


if __name__ == "__main__":
    main()
