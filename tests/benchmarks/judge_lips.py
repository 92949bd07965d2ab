# /// script
# requires-python = ">=3.10,<3.13"
# dependencies = ["mediapipe==0.10.21", "av>=12", "numpy<2"]
# ///
"""The outside judge: how well the lips of one video follow those of another, or the phonemes it speaks.

Measured with mediapipe's FaceMesh, which dubkit never uses, in a venv of its own (mediapipe brings OpenCV):

    uv run tests/benchmarks/judge_lips.py RESULT [REAL] [--speech speech.json] [--late MS] [--lossless] [--json FILE]
    uv run tests/benchmarks/judge_lips.py RESULT --watch POINTS.npz

or, without uv:

    python3.11 -m venv judge && judge/bin/pip install mediapipe==0.10.21 av 'numpy<2'
    judge/bin/python tests/benchmarks/judge_lips.py RESULT [REAL] ...

RESULT is the rendered video; REAL the real one with the same pictures and, for the rows that follow its lips,
the same sound ("own audio"; ``--other-sound`` leaves those out). Where REAL's own picture and sound are apart, right
lips cannot go with the real ones; ``--late`` says by how many milliseconds its lips are late, and rows ``..._in_sync``
measure what is left when that is taken out. ``--speech`` is the ``speech.json`` that a
dubkit work folder holds, for the rows about phonemes. ``--lossless`` says that RESULT was encoded without
loss: then every sample outside the lower face must equal REAL's. Prints a table with the bar of each row;
``--json`` writes the rows to a file, or to stdout for ``-``, in place of the table. Inner-lip opening is the
gap between the inner lip midpoints over face width, the mouth's width that between its corners. ``--watch`` measures
nothing: it writes what the judge sees of RESULT, for programs that measure it several times.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

LIPS = [61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185]
LIPS += [78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191]
STABLE = [33, 133, 159, 145, 362, 263, 386, 374, 168, 6, 197]
LEFT_CORNER, RIGHT_CORNER = 61, 291
CHIN, NOSE_BASE = 152, 2
UPPER_LIP, LOWER_LIP, LEFT_EDGE, RIGHT_EDGE, LEFT_EYE, RIGHT_EYE = 13, 14, 234, 454, 33, 263
LANDMARKS = 478
LABIALS = {"p", "b", "m"}
OPEN_VOWELS = {"ɑ", "æ", "a", "aʊ", "aɪ", "ɔ", "ʌ", "ɛ", "eɪ", "oʊ", "ɔɪ"}
CLOSED = 0.02  # opening under which lips are shut
CONTACT_FRAMES = 6  # longest closure that counts as one of speech
AFTER, BEFORE = 0.35, 0.6  # seconds of a silence in which a mouth comes to rest, and draws breath
REACH = 0.25  # face widths beyond the lower face that a soft mask may cover

# what real video reaches against itself, and the least that a generator should
BARS: dict[str, tuple[str, str]] = {
    "opening_correlation": ("1", ">= 0.80"),
    "amplitude": ("1", "0.8 to 1.2"),
    "closures": ("0.99", ">= 0.95"),
    "contacts": ("1", ">= 0.95"),
    "width_correlation": ("1", ">= 0.60"),
    "width_amplitude": ("1", "0.9 to 1.1"),
    "vowel_closure_ratio": ("4.0 to 5.7", ">= 4.0"),
    "open_in_silence": ("-", "<= 0.01"),
    "reference_offset_ms": ("0", "-20 to 20"),
    "correlation_in_sync": ("1", ">= 0.80"),
    "offset_in_sync_ms": ("0", "-20 to 20"),
    "jitter": ("1", "<= 1.1"),
    "ssim": ("1", ">= 0.95"),
    "sharpness": ("1", "0.9 to 1.1"),
    "changed_outside": ("0", "<= 0"),
    "jaw_as_filmed": ("1", "<= 0.2"),
    "jaw_slope": ("0.3 to 0.8", "0.3 to 0.8"),
    "faces_lost": ("0", "<= 0"),
}


@dataclass(frozen=True)
class Watched:
    """What the judge sees of a video; NaN rows where it sees no face."""

    points: np.ndarray  # (T, 478, 2) pixels
    times: np.ndarray  # (T,) seconds from the first frame

    @property
    def step(self) -> float:
        """Seconds between two frames."""
        return float(np.median(np.diff(self.times))) if len(self.times) > 1 else 0.04


def frames(path: Path) -> Iterator[av.VideoFrame]:
    """Frames of a video as they are decoded."""
    with av.open(str(path)) as container:
        yield from container.decode(video=0)


def watch(path: Path) -> Watched:
    """Look at a video; frames are not kept."""
    # not imported at the top: the measuring functions are tested where mediapipe cannot be installed
    solutions = importlib.import_module("mediapipe.python.solutions.face_mesh")
    points, times = [], []
    with solutions.FaceMesh(max_num_faces=1, refine_landmarks=True) as mesh:
        for frame in frames(path):
            found = mesh.process(frame.to_ndarray(format="rgb24")).multi_face_landmarks
            row = np.full((LANDMARKS, 2), np.nan)
            if found:
                row = np.array([(p.x * frame.width, p.y * frame.height) for p in found[0].landmark])
            points.append(row)
            times.append(float(frame.time or 0))
    return Watched(np.stack(points), np.array(times) - times[0])


def opening(points: np.ndarray) -> np.ndarray:
    """(T,) inner-lip opening over face width."""
    gap = np.linalg.norm(points[:, UPPER_LIP] - points[:, LOWER_LIP], axis=1)
    return np.asarray(gap / np.linalg.norm(points[:, LEFT_EDGE] - points[:, RIGHT_EDGE], axis=1))


def width(points: np.ndarray) -> np.ndarray:
    """(T,) distance of the corners of the mouth over face width."""
    wide = np.linalg.norm(points[:, LEFT_CORNER] - points[:, RIGHT_CORNER], axis=1)
    return np.asarray(wide / np.linalg.norm(points[:, LEFT_EDGE] - points[:, RIGHT_EDGE], axis=1))


def save_watched(path: Path, seen: Watched) -> None:
    """Write what was seen."""
    np.savez(path, points=seen.points.astype(np.float32), times=seen.times)


def load_watched(path: Path) -> Watched:
    """What `save_watched` wrote."""
    with np.load(path) as stored:
        return Watched(stored["points"].astype(np.float64), stored["times"])


def jaw(made: Watched, real: Watched) -> dict[str, float]:
    """The rows about the jaw: how far it goes on moving as it was filmed, and how far it goes with the new opening.

    Of changes from frame to frame; a slope is that of the jaw over the lips' opening.
    """
    n = min(len(made.times), len(real.times))
    changes = []
    for seen in (made.points[:n], real.points[:n]):
        width = np.linalg.norm(seen[:, LEFT_EDGE] - seen[:, RIGHT_EDGE], axis=1)
        height = np.linalg.norm(seen[:, CHIN] - seen[:, NOSE_BASE], axis=1) / width
        changes.append((np.diff(height), np.diff(opening(seen))))
    (jaw_made, gap_made), (jaw_real, gap_real) = changes
    good = np.isfinite(jaw_made) & np.isfinite(jaw_real)
    if good.sum() < 3 or not min(jaw_made[good].std(), jaw_real[good].std()) > 0:
        return {}
    slope, real_slope = (
        float((j[good] * g[good]).sum() / max((g[good] ** 2).sum(), 1e-12))
        for j, g in ((jaw_made, gap_made), (jaw_real, gap_real))
    )
    return {
        "jaw_as_filmed": float(np.corrcoef(jaw_made[good], jaw_real[good])[0, 1]),
        "jaw_slope": slope,
        "real_jaw_slope": real_slope,
    }


def lip_motion(points: np.ndarray) -> float:
    """Mean second difference of the lip points, in eye distances."""
    stable = points[:, STABLE].mean(1, keepdims=True)
    scale = np.linalg.norm(points[:, LEFT_EYE] - points[:, RIGHT_EYE], axis=1)[:, None, None]
    lips = (points[:, LIPS] - stable) / scale
    return float(np.nanmean(np.linalg.norm(np.diff(lips, 2, axis=0), axis=-1)))


def similarity(a: np.ndarray, b: np.ndarray) -> float:
    """SSIM of two gray pictures (Wang 2004, Gaussian window 11, sigma 1.5)."""
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


def lower_face(points: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(H, W) bool: below the eyes, on the face or at most `REACH` face widths from it."""
    canvas = np.zeros(shape[:2], np.uint8)
    cv2.fillConvexPoly(canvas, cv2.convexHull(np.round(points).astype(np.int32)), 1)
    width = np.linalg.norm(points[LEFT_EDGE] - points[RIGHT_EDGE])
    reach = 2 * round(REACH * width) + 1
    around = cv2.dilate(canvas, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    across = points[RIGHT_EYE] - points[LEFT_EYE]
    y, x = np.mgrid[: shape[0], : shape[1]]
    depth = across[0] * (y - points[LEFT_EYE][1]) - across[1] * (x - points[LEFT_EYE][0])
    return np.asarray((around > 0) & (depth > 0))


def changed_outside(
    made: Sequence[np.ndarray], real: Sequence[np.ndarray], area: np.ndarray
) -> int:
    """Samples of native planes that differ though they are not in ``area`` (H, W) of the first plane."""
    count = 0
    for a, b in zip(made, real, strict=True):
        part = cv2.resize(area.astype(np.float32), a.shape[::-1], interpolation=cv2.INTER_AREA)
        count += int(((a != b) & (part == 0)).sum())
    return count


def planes_of(frame: av.VideoFrame) -> list[np.ndarray]:
    """The samples of a frame as decoded, one array a plane."""
    kind = np.uint16 if frame.format.components[0].bits > 8 else np.uint8
    planes = []
    for plane in frame.planes:
        memory: Any = plane  # the buffer protocol, which PyAV's annotations do not tell
        rows: Any = np.frombuffer(memory, kind)
        planes.append(rows.reshape(plane.height, -1)[:, : plane.width])
    return planes


def contacts(made: np.ndarray, real: np.ndarray, shift: int) -> tuple[int, int]:
    """How many short closures of real lips (T,) the made ones (T,) close in, ``shift`` frames later; of how many.

    A closure between two openings of speech, no rest: at most `CONTACT_FRAMES` long. Made lips may be a frame apart.
    """
    shut = np.concatenate([[False], real < CLOSED, [False]]).astype(np.int8)
    edges = np.flatnonzero(np.diff(shut))
    hits = total = 0
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        if end - begin > CONTACT_FRAMES or begin == 0 or end == len(real):
            continue
        near = made[max(0, begin + shift - 1) : max(0, end + shift + 1)]
        if len(near) and np.isfinite(near).any():
            total += 1
            hits += bool(np.nanmin(near) < CLOSED)
    return hits, total


def follow(made: Watched, real: Watched, late_ms: float | None = None) -> dict[str, float]:
    """The rows that compare lips with those of the real video of the same sound; ``late_ms`` are the real lips."""
    n = min(len(made.times), len(real.times))
    a, b = opening(made.points[:n]), opening(real.points[:n])
    good = np.isfinite(a) & np.isfinite(b)
    if not good.any():
        sys.exit("no frame shows a face in both videos")
    index, fill = np.flatnonzero(good), np.arange(n)
    a_full, b_full = (np.interp(fill, index, v[index]) for v in (a, b))
    offset, best = lag_of(a_full, b_full, real.step)
    rows = {
        "opening_correlation": float(np.corrcoef(a[good], b[good])[0, 1]),
        "amplitude": float(a[good].std() / b[good].std()),
        "reference_offset_ms": offset,
        "correlation_there": best,
        "jitter": lip_motion(made.points[:n]) / lip_motion(real.points[:n]),
    }
    wide, real_wide = width(made.points[:n])[good], width(real.points[:n])[good]
    rows["width_correlation"] = float(np.corrcoef(wide, real_wide)[0, 1])
    rows["width_amplitude"] = float(wide.std() / real_wide.std())
    hits, total = contacts(a_full, b_full, round(offset / 1000 / real.step))
    if total:
        rows["contacts"] = hits / total
    if late_ms is not None:
        then = fill * real.step + late_ms / 1000  # when real lips do what they should do now
        known = (then >= 0) & (then <= (n - 1) * real.step)
        in_time = np.interp(then[known], fill * real.step, b_full)
        rows["correlation_in_sync"] = float(np.corrcoef(a_full[known], in_time)[0, 1])
        rows["offset_in_sync_ms"] = offset + late_ms
    return rows


def look(made: Path, real: Path, seen: Watched, lossless: bool, every: int = 1) -> dict[str, float]:
    """The rows that compare pictures, each ``every``-th; ``seen`` is the real video. Streams both files."""
    ssim, sharp, changed = [], [], 0
    for t, (a, b) in enumerate(zip(frames(made), frames(real), strict=False)):
        if t % every:
            continue
        points = seen.points[t] if t < len(seen.points) else np.full((1, 2), np.nan)
        if not np.isfinite(points).all():
            continue
        x, y = a.to_ndarray(format="gray"), b.to_ndarray(format="gray")
        face, mouth = box(points, y.shape, 0.0), box(points[LIPS], y.shape, 0.25)
        ssim.append(similarity(x[face], y[face]))
        sharp.append((gradient(x[mouth]), gradient(y[mouth])))
        if lossless:
            area = lower_face(points, y.shape)
            changed += changed_outside(planes_of(a), planes_of(b), area)
    if not ssim:
        sys.exit(f"no face in {real}")
    made_sharp, real_sharp = np.mean(sharp, 0)
    rows = {"ssim": float(np.mean(ssim)), "sharpness": float(made_sharp / real_sharp)}
    return rows | ({"changed_outside": float(changed)} if lossless else {})


def speak(made: Watched, speech: dict[str, Any]) -> dict[str, float]:
    """The rows that compare with the phonemes of the sound."""
    gap, times, step = opening(made.points), made.times, made.step
    seen = np.isfinite(gap)
    shut, labial, vowel = [], [], []
    rest = seen.copy()
    for p in speech["phonemes"]:
        start, end = float(p["start"]), float(p["end"])
        symbol = p["symbol"].rstrip("ːˑ012")
        inside = (times >= start - step / 2) & (times < max(end, start + step) - step / 2) & seen
        if symbol != "sil":
            rest &= (times >= end + AFTER) | (times < start - BEFORE)
        if inside.any() and symbol in LABIALS:
            near = (times >= start - step) & (times < end + step) & seen
            shut.append(float(gap[near].min() < CLOSED))
            labial.append(float(gap[inside].min()))
        elif inside.any() and symbol in OPEN_VOWELS:
            vowel.append(float(gap[inside].mean()))
    rows = {}
    if shut:
        rows["closures"] = float(np.mean(shut))
    if labial and vowel:
        rows["vowel_closure_ratio"] = float(np.mean(vowel) / max(float(np.mean(labial)), 1e-6))
    if rest.any():
        rows["open_in_silence"] = float((gap[rest] > CLOSED).mean())
    return rows


def judge(
    result: Path,
    real: Path | None = None,
    speech: dict[str, Any] | None = None,
    *,
    own_sound: bool = True,
    late_ms: float | None = None,
    lossless: bool = False,
    every: int = 1,
    watching: Callable[[Path], Watched] = watch,
) -> dict[str, float]:
    """All rows that can be measured; rows ``real_...`` are those of the real video by the same phonemes.

    Pictures are compared in each ``every``-th frame.
    """
    made = watching(result)
    rows: dict[str, float] = {"frames": float(len(made.times))}
    there = watching(real) if real is not None else None
    if real is not None and there is not None:
        n = min(len(made.times), len(there.times))
        seen, kept = (np.isfinite(w.points[:n, 0, 0]) for w in (there, made))
        rows["faces_lost"] = float((seen & ~kept).sum())
        rows |= follow(made, there, late_ms) if own_sound else jaw(made, there)
        rows |= look(result, real, there, lossless, every)
    if speech is not None:
        rows |= speak(made, speech)
        if there is not None and own_sound:
            rows |= {f"real_{name}": value for name, value in speak(there, speech).items()}
    return rows


def meets(value: float, bar: str) -> bool:
    """Whether a value meets a bar as `BARS` writes them."""
    words = bar.split()
    if words[0] == "<=":
        return value <= float(words[1])
    if words[0] == ">=":
        return value >= float(words[1])
    return float(words[0]) <= value <= float(words[2])


def table(rows: dict[str, float]) -> str:
    """The rows for people."""
    lines = [f"{'measure':22s} {'value':>9s}  {'bar':12s} {'met':4s} real video"]
    for name, value in rows.items():
        real, bar = BARS.get(name, ("", ""))
        met = ("yes" if meets(value, bar) else "NO") if bar else ""
        lines.append(f"{name:22s} {value:9.3f}  {bar:12s} {met:4s} {real}".rstrip())
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print a table, or write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("result", type=Path)
    parser.add_argument("real", type=Path, nargs="?")
    parser.add_argument("--speech", type=Path, help="the dub's phonemes, of a work folder")
    parser.add_argument("--other-sound", action="store_true", help="REAL says something else")
    parser.add_argument("--late", type=float, metavar="MS", help="REAL's lips are late by")
    parser.add_argument("--lossless", action="store_true", help="compare samples outside the mask")
    parser.add_argument("--watch", type=Path, help="write the judge's points of RESULT there")
    parser.add_argument("--json", nargs="?", const="-", help="where to write the rows; - is stdout")
    args = parser.parse_args()
    if args.watch:
        save_watched(args.watch, watch(args.result))
        return
    speech = json.loads(args.speech.read_text(encoding="utf-8")) if args.speech else None
    rows = judge(
        args.result,
        args.real,
        speech,
        own_sound=not args.other_sound,
        late_ms=args.late,
        lossless=args.lossless,
    )
    if args.json and args.json != "-":
        Path(args.json).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(json.dumps(rows) + "\n" if args.json == "-" else table(rows))


if __name__ == "__main__":
    main()
