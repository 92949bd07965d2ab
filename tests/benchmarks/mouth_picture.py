"""The picture of dubbed mouths, frame by frame: references, sharpness, chroma, and sheets to look at.

    python tests/benchmarks/mouth_picture.py OUT WORK... [--engine warp] [--film]

Each WORK is the work folder of a run that reached the stage ``timing`` (``dubkit run ... --until timing``). Its largest
dubbed face is rendered as the stage ``generate`` does, without encoding. For each it prints

- ``switches``: changes of reference a second of speech while lips are apart; ``switches_all``: shut lips counted too;
- ``mixed``: share of the frames whose skin is mixed of more than one (the mouth never is);
- ``sharp``, ``sharp10``: gradient energy of the mouth over the filmed one's, the mean, and the 10th percentile of the
  frames (on own sound the mouths are alike, on another one they are not);
- ``chroma``: 99.9th percentile of the change of color differences on skin, low-passed, in 255ths;
- ``pump``: second difference of the light on the chin, over the filmed one's.

Into OUT go ``NAME.mkv`` (lossless, for ``judge_lips.py``) and ``NAME-K.png``: mouths, filmed above made.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np

from dubkit.config.schema import GenerateSettings
from dubkit.faces import align, landmark_layout
from dubkit.faces.selection import load_choice, load_tracks
from dubkit.lips import generator, references, refiner
from dubkit.media.frames import Frame, FrameReader
from dubkit.media.planes import plane_from_display
from dubkit.metrics import picture
from dubkit.records import FaceTrack, Floats, Picture, Timing, TrackChoice, VideoInfo
from dubkit.speech.timing import load_timing
from dubkit.stages import probe

TILE, COLUMNS, SHOWN = 160, 8, 16
_SHOWN_SIDE, _SHOWN_TOP = 1.9, 0.35  # canonical units that a tile shows
_LOW_PASS = 0.06  # canonical units
_SPOKEN = 0.5  # of the activity, above which a frame counts as speech


@dataclass
class Sums:
    """What is added up over frames."""

    sharp: list[tuple[float, float]] = field(default_factory=list)
    chroma: list[np.ndarray] = field(default_factory=list)
    chin: list[tuple[float, float]] = field(default_factory=list)
    tiles: list[np.ndarray] = field(default_factory=list)

    def rows(self) -> dict[str, float]:
        """The measures."""
        made, real = np.array(self.sharp).T
        after, before = (np.abs(np.diff(light, 2)).mean() for light in np.array(self.chin).T)
        rows = {"sharp": float(made.mean() / real.mean()), "pump": float(after / before)}
        rows["sharp10"] = float(np.percentile(made / np.maximum(real, 1e-6), 10))
        if self.chroma:
            rows["chroma"] = float(np.percentile(np.concatenate(self.chroma), 99.9))
        return rows


def view_from_canonical() -> align.Matrix:
    """Canonical coordinates -> pixels of a tile: the lower face, upright."""
    scale = TILE / _SHOWN_SIDE
    return np.array([[scale, 0, _SHOWN_SIDE / 2 * scale], [0, scale, -_SHOWN_TOP * scale]])


def view(frame: Frame, display_from_canonical: align.Matrix) -> Floats:
    """(TILE, TILE, planes) in 255ths: the lower face of a frame."""
    seen = []
    for k, plane in enumerate(frame.planes):
        back = align.compose(
            plane_from_display(frame.info, frame.format, k), display_from_canonical
        )
        matrix = align.compose(view_from_canonical(), align.invert(back))
        seen.append(cv2.warpAffine(plane.astype(np.float32), matrix, (TILE, TILE)))
    return np.asarray(np.stack(seen, 2) * 255 / ((1 << frame.format.depth) - 1), np.float32)


def skin_of(faces: Sequence[Floats]) -> Floats:
    """(TILE, TILE) 0 or 1: what is skin in all of the faces, their mouths left out."""
    reach, shape = np.ones((9, 9), np.uint8), (TILE, TILE)
    skin = np.ones(shape, np.bool_)
    for face in faces:
        oval, lips = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
        points = np.round(align.apply(view_from_canonical(), face)).astype(np.int32)
        cv2.fillPoly(oval, [points[landmark_layout.OVAL]], 1)
        cv2.fillPoly(lips, [cv2.convexHull(points[landmark_layout.LIPS_OUTER])], 1)
        skin &= (cv2.erode(oval, reach) > 0) & (cv2.dilate(lips, reach) == 0)
    return np.asarray(skin, np.float32)


def measure(sums: Sums, source: Frame, made: Frame, plan: refiner.FacePlan, row: int) -> None:
    """Add one frame."""
    face = align.apply(plan.display_from_canonical[row], plan.current[row])
    from_display = plane_from_display(source.info, source.format, 0)
    lips = align.apply(from_display, face[landmark_layout.LIPS])
    where = picture.box(lips, source.planes[0].shape, 0.25, least=8)
    if where is not None:
        energies = [picture.gradient(f.planes[0][where].astype(np.float32)) for f in (made, source)]
        sums.sharp.append((energies[0], energies[1]))
    before, after = (view(f, plan.display_from_canonical[row]) for f in (source, made))
    skin = skin_of((plan.current[row], plan.target[row]))
    if before.shape[2] == 3 and skin.any():
        sigma = _LOW_PASS * TILE / _SHOWN_SIDE
        weight = cv2.GaussianBlur(skin, (0, 0), sigma) + 1e-3
        change = (after - before)[..., 1:] * skin[..., None]
        low = cv2.GaussianBlur(change, (0, 0), sigma) / weight[..., None]
        sums.chroma.append(np.abs(low[skin > 0]).max(1))
    chin = plan.target[row][landmark_layout.CHIN].mean(0)
    x, y = np.round(align.apply(view_from_canonical(), chin)).astype(int)
    patch = (slice(max(y - 5, 0), y + 6), slice(max(x - 8, 0), x + 9), 0)
    sums.chin.append((float(after[patch].mean()), float(before[patch].mean())))
    sums.tiles += [to_rgb(before), to_rgb(after)]


def to_rgb(planes: Floats) -> Picture:
    """(H, W, 3) of planes in 255ths, for the eye."""
    if planes.shape[2] == 1:
        return np.repeat(np.clip(planes, 0, 255).astype(np.uint8), 3, 2)
    y = 1.164 * (planes[..., 0] - 16)
    u, v = planes[..., 1] - 128, planes[..., 2] - 128
    rgb = np.stack([y + 1.596 * v, y - 0.392 * u - 0.813 * v, y + 2.017 * u], 2)
    return np.asarray(np.clip(rgb, 0, 255), np.uint8)


def references_shown(
    renderer: refiner.Renderer, spoken: np.ndarray, rate: float
) -> dict[str, float]:
    """``switches`` and ``mixed``."""
    mixes = renderer.settled()
    path = np.array([mix[0][0] for mix in mixes])
    both = spoken[1:] & spoken[:-1]
    changes = (np.diff(path) != 0) & both
    seen = changes & (references.in_sight(renderer._plan.choice.gap)[1:] > 0.02)
    second = rate / max(both.sum(), 1)
    return {
        "switches": float(seen.sum() * second),
        "switches_all": float(changes.sum() * second),
        "mixed": float(np.mean([max(w for _, w in mix) < 1 for mix in mixes])),
    }


def sheet(tiles: list[np.ndarray], out: Path, first: int) -> None:
    """Filmed above made, ``SHOWN`` frames from ``first`` on."""
    pairs = [np.vstack(tiles[2 * k : 2 * k + 2]) for k in range(first, first + SHOWN)]
    pairs = [p for p in pairs if p.size]
    lines = [pairs[k : k + COLUMNS] for k in range(0, len(pairs), COLUMNS)]
    lines = [row + [np.zeros_like(pairs[0])] * (COLUMNS - len(row)) for row in lines]
    whole = np.vstack([np.hstack(row) for row in lines])
    cv2.imwrite(str(out), whole[..., ::-1])


def load(work: Path) -> tuple[str, Timing, FaceTrack, TrackChoice]:
    """The largest dubbed face of the first shot that has one, with the name of the shot."""
    for folder in sorted(work.glob("dub-*/timing/*-*")):
        faces = next(work.glob(f"video-*/faces/{folder.name}"))
        for track, choice in zip(load_tracks(faces), load_choice(faces), strict=True):
            if choice.dubbed and choice.usable.any():
                return folder.name, load_timing(folder), track, choice
    raise SystemExit(f"{work}: no face is dubbed")


def render(work: Path, out: Path, engine: str, *, keep: bool) -> dict[str, float]:
    """Render a work folder's face, and measure it."""
    shot, timing, track, choice = load(work)
    info, pts = probe.load_film(next(work.glob("video-*/probe/job")))
    settings = GenerateSettings(synthesizer=engine)
    kind = {"warp": generator.WarpSynthesizer, "tcsc": generator.TcscSynthesizer}[engine]
    start, end = (int(part) for part in shot.split("-"))
    renderer = kind(settings).face(info, track, choice.usable, timing, track.start - start)
    video = Path(json.loads((work / "manifest.json").read_text())["job"]["video"])
    for frame in FrameReader(video, info, pts).read(start, end):
        if frame.index in renderer.borrowed:
            renderer.lend(frame)
    sums, busy, plan = Sums(), 0.0, renderer._plan
    coder = writer(out, info) if keep else None
    for frame in FrameReader(video, info, pts).read(start, end):
        planes = tuple(plane.copy() for plane in frame.planes)
        began = time.process_time()
        painted = renderer.paint(frame, planes)
        busy += time.process_time() - began
        row = frame.index - plan.start
        if painted and plan.alpha[row] == 1:
            measure(sums, frame, replace(frame, planes=planes), plan, row)
        if coder is not None and coder.stdin is not None:
            for plane in planes:
                coder.stdin.write(np.ascontiguousarray(plane).tobytes())
    if coder is not None:
        coder.communicate()
    wanted = generator.wanted(timing, settings)
    spoken = wanted.speaking[track.start - start :][: len(track)] > _SPOKEN
    for k, first in enumerate(range(0, len(sums.tiles) // 2 - SHOWN + 1, 2 * SHOWN)):
        sheet(sums.tiles, out.with_name(f"{out.name}-{k}.png"), first)
    rows = references_shown(renderer, spoken, float(info.average_rate))
    return rows | sums.rows() | {"ms": 1000 * busy / max(len(sums.sharp), 1)}


def writer(out: Path, info: VideoInfo) -> subprocess.Popen[bytes]:
    """A coder without loss that takes planes."""
    raw = ["-f", "rawvideo", "-pix_fmt", info.pixel_format, "-s", f"{info.width}x{info.height}"]
    coded = ["-c:v", "libx264", "-qp", "0", "-preset", "ultrafast", f"{out}.mkv"]
    argv = ["ffmpeg", "-y", "-v", "error", *raw, "-r", str(info.average_rate), "-i", "-", *coded]
    return subprocess.Popen(argv, stdin=subprocess.PIPE)


def main() -> None:
    """Render, measure, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("work", type=Path, nargs="+")
    parser.add_argument("--engine", choices=("warp", "tcsc"), default="warp")
    parser.add_argument("--film", action="store_true", help="write lossless films, too")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    table = {}
    for work in args.work:
        rows = render(work, args.out / work.name, args.engine, keep=args.film)
        table[work.name] = rows
        show(work.name, rows)
    names = sorted({name for rows in table.values() for name in rows})
    found = {n: [r[n] for r in table.values() if n in r] for n in names}
    show("mean", {n: float(np.mean(v)) for n, v in found.items()})
    show("worst", {n: min(v) if n.startswith("sharp") else max(v) for n, v in found.items()})
    (args.out / "picture.json").write_text(json.dumps(table, indent=1), encoding="utf-8")


def show(name: str, rows: dict[str, float]) -> None:
    """One line."""
    said = " ".join(f"{key} {value:.3f}" for key, value in sorted(rows.items()))
    sys.stdout.write(f"{name:14s} {said}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
