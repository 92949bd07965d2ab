"""How well covered mouths are told from free ones.

    python tests/benchmarks/bench_occlusion.py DATA OUT [--clips N] [--research]

Over every validation clip of DATA (people that training never saw; ``--research``: news anchors too) a hand, a
hand of the face's own color, a microphone and a cup are drawn, moving in before the mouth and out again. Counted
are the frames on which dubkit abstains: of the covered ones (`COVERED` of the lower face, by the drawing and the
landmarks of the free clip) it should be most, of the free clips' frames hardly any. Films and ``occlusion.json``
go into OUT; ``OUT/*.png`` shows frames at the borders.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from dubkit.config.schema import FaceSettings
from dubkit.engines.registry import load_engine
from dubkit.faces import landmark_layout
from dubkit.faces.selection import choose
from dubkit.faces.tracker import track_shot
from dubkit.faces.tracklet import TrackerSettings
from dubkit.media.frames import FrameReader
from dubkit.media.probe import probe
from dubkit.records import FaceTrack, Shot
from dubkit.stages.faces import FrameView
from tests.benchmarks.occluders import KINDS, draw, path, place

COVERED, FREE = 0.08, 0.005  # share of the lower face


def clips(data: Path, research: bool) -> list[Path]:
    """The validation clips, of the one GRID speaker four."""
    with (data / "clips.csv").open(encoding="utf-8", newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["split"] == "val"]
    wanted = [r for r in rows if r["set"] not in ("grid_s1", "arabic", "portraits")]
    wanted += [r for r in rows if r["set"] == "grid_s1"][:4]
    wanted += [r for r in rows if r["set"] == "arabic"][::6] if research else []
    return [data / r["file"] for r in wanted if r["file"].endswith(".mp4")]


def follow(video: Path, settings: FaceSettings) -> tuple[list[FaceTrack], Any, float]:
    """Tracks, what is done with them, and seconds of processor time."""
    info, pts = probe(video)
    detector = load_engine("detector", "embedded", settings)
    landmarker = load_engine("landmarker", "embedded", settings)
    reader = FrameReader(video, info, pts)
    rate = float(info.average_rate)

    def views(start: int, end: int) -> Any:
        for frame in reader.read(start, end):
            yield frame.index, FrameView(frame, detector, settings.detect_size)

    began = time.process_time()
    tracks = track_shot(Shot(0, info.frames), views, landmarker, TrackerSettings.of(settings, rate))
    choices, _ = choose(tracks, settings, rate, None)
    return tracks, choices, time.process_time() - began


def usable(tracks: list[FaceTrack], choices: Any, frames: int) -> NDArray[np.bool_]:
    """(frames,) whether some face is dubbed there."""
    found = np.zeros(frames, bool)
    for track, choice in zip(tracks, choices, strict=True):
        if choice.dubbed:
            found[track.start : track.start + len(track)] |= choice.usable
    return found


def cover_up(video: Path, face: FaceTrack, kind: str, out: Path) -> NDArray[np.float64]:
    """Write the film with the thing; (frames,) share of the lower face that it covers."""
    rng = np.random.default_rng(zlib.crc32(f"{video.stem} {kind}".encode()))
    shares: list[float] = []
    with av.open(str(video)) as source, av.open(str(out), "w") as target:
        stream = source.streams.video[0]
        rate = float(stream.average_rate or 25)
        made = target.add_stream("libx264", stream.average_rate, options={"crf": "16"})
        made.width, made.height, made.pix_fmt = stream.width, stream.height, "yuv420p"
        points = _filled(face)
        level, thing = path(len(points), rate), None
        for t, frame in enumerate(source.decode(video=0)):
            if t >= len(points):
                break
            picture = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
            thing = thing or draw(kind, _skin(picture, points[t]), rng)
            wide = float(np.ptp(points[t][landmark_layout.OVAL, 0]))
            mouth = points[t][landmark_layout.LIPS].mean(0).astype(np.float64)
            sway = 0.04 * np.sin(t / rate * 5)
            covered, cover = place(picture, thing, mouth, wide, float(level[t]), sway)
            shares.append(_share(cover, points[t]))
            for packet in made.encode(av.VideoFrame.from_ndarray(covered, format="rgb24")):
                target.mux(packet)
        for packet in made.encode():
            target.mux(packet)
    return np.array(shares)


def _filled(face: FaceTrack) -> NDArray[np.float32]:
    """Landmarks of every frame from 0 on, the nearest where there are none."""
    known = np.flatnonzero(np.isfinite(face.landmarks[:, 0, 0]))
    rows = np.arange(face.start + len(face)) - face.start
    nearest = known[np.abs(rows[:, None] - known[None]).argmin(1)]
    return np.asarray(face.landmarks[nearest], np.float32)


def _skin(picture: NDArray[np.uint8], points: NDArray[np.float32]) -> tuple[float, float, float]:
    at = np.round(points[landmark_layout.CHEEKS]).astype(int)
    at = np.clip(at, 0, (picture.shape[1] - 1, picture.shape[0] - 1))
    red, green, blue = np.median(picture[at[:, 1], at[:, 0]], 0)
    return float(red), float(green), float(blue)


def _share(cover: NDArray[np.float32], points: NDArray[np.float32]) -> float:
    hull = cv2.convexHull(points[landmark_layout.MOVING].astype(np.float32))
    mask = np.zeros(cover.shape, np.uint8)
    cv2.fillConvexPoly(mask, np.round(hull).astype(np.int32), 1)
    return float(cover[mask > 0].mean()) if mask.any() else 0.0


def sheet(video: Path, shares: NDArray[np.float64], free: NDArray[np.bool_], out: Path) -> None:
    """Frames around the first border: green frame where dubbed, red where not."""
    begin = int(np.argmax(shares > 0))
    tiles = []
    with av.open(str(video)) as source:
        for t, frame in enumerate(source.decode(video=0)):
            if begin - 6 <= t < begin + 18:
                picture = cv2.resize(frame.to_ndarray(format="rgb24"), (192, 160))
                color = (0, 220, 0) if free[t] else (230, 0, 0)
                cv2.rectangle(picture, (0, 0), (191, 159), color, 5)
                text = f"{shares[t]:.2f}"
                cv2.putText(picture, text, (8, 22), 0, 0.6, (255, 255, 0), 2)
                tiles.append(picture)
    tiles += [np.zeros_like(tiles[0])] * (24 - len(tiles))
    rows = [np.concatenate(tiles[k : k + 6], 1) for k in range(0, 24, 6)]
    cv2.imwrite(str(out), np.concatenate(rows)[..., ::-1])


def main() -> None:
    """Compose, follow, count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--clips", type=int)
    parser.add_argument("--research", action="store_true")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    settings = FaceSettings(which="largest")
    table: list[dict[str, Any]] = []
    for video in clips(args.data, args.research)[: args.clips]:
        tracks, choices, seconds = follow(video, settings)
        frames = max(t.start + len(t) for t in tracks)
        free = usable(tracks, choices, frames)
        row = {"clip": video.stem, "kind": "free", "free": frames, "wrong": int((~free).sum())}
        table.append(row | {"ms": 1000 * seconds / frames})
        for kind in KINDS:
            out = args.out / f"{video.stem}_{kind.replace(' ', '_')}.mp4"
            shares = cover_up(video, tracks[0], kind, out)
            made, chosen, _ = follow(out, settings)
            dubbed = usable(made, chosen, len(shares))
            covered, away = shares >= COVERED, shares < FREE
            away &= ~np.convolve(~away, np.ones(9), "same").astype(bool)  # the fade is no mistake
            table.append(
                {
                    "clip": video.stem,
                    "kind": kind,
                    "covered": int(covered.sum()),
                    "abstained": int((covered & ~dubbed).sum()),
                    "free": int(away.sum()),
                    "wrong": int((away & ~dubbed).sum()),
                }
            )
            sheet(out, shares, dubbed, out.with_suffix(".png"))
        for row in table[-1 - len(KINDS) :]:
            sys.stdout.write(f"{json.dumps(row)}\n")
        sys.stdout.flush()
    for kind in ("free", *KINDS, "all things"):
        rows = [r for r in table if r["kind"] == kind or (kind == "all things" and "covered" in r)]
        sums = {
            k: sum(r.get(k, 0) for r in rows) for k in ("covered", "abstained", "free", "wrong")
        }
        caught = f"{sums['abstained'] / sums['covered']:.3f}" if sums["covered"] else "-"
        wrong = sums["wrong"] / max(1, sums["free"])
        sys.stdout.write(f"{kind:12s} abstained {caught} of {sums['covered']} covered, ")
        sys.stdout.write(f"{wrong:.4f} of {sums['free']} free\n")
    (args.out / "occlusion.json").write_text(json.dumps(table, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
