"""Measure the embedded face engines against the teacher, on people that training never saw.

    python -m dubkit.training.lab.faces_report DATA LABELS OUT.json [--scenery FOLDER] [--sets SET ...]

For every clip (``split`` val or test) the detector looks at every fifth frame and the landmarker
follows the face from its own last landmarks, as a tracker does. Every tenth portrait is one
picture. ``--scenery`` holds pictures without faces, for false alarms. One row a clip goes to OUT
and to stderr.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
import cv2
import numpy as np
import torch

from dubkit.config.schema import FaceSettings
from dubkit.faces import align, embedded, landmark_layout, lip_outline
from dubkit.faces.tracklet import Region
from dubkit.records import Floats, Indices, Picture
from dubkit.training.lab.faces_data import read_still

HD = (1280, 720)
SMALL_FACE = 48.0


@dataclass(slots=True)
class Tally:
    """What was seen in one clip, frame by frame; NaN where ours or the teacher's is missing."""

    ours: list[Floats] = field(default_factory=list)
    theirs: list[Floats] = field(default_factory=list)
    lips: list[lip_outline.Profile | None] = field(default_factory=list)
    confidence: list[float] = field(default_factory=list)
    looks: int = 0
    found: int = 0
    extra: int = 0
    small_looks: int = 0
    small_found: int = 0


def frames_of(path: Path) -> Iterator[Picture]:
    """All pictures of a clip or still, upright, as the teacher saw them."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def locate(
    engine: embedded.EmbeddedLandmarker, picture: Picture, canonical: align.Matrix
) -> tuple[Floats, float]:
    """Landmarks in the picture, and confidence, from where the face is believed to be."""
    matrix = align.compose(align.crop_from_canonical(engine.crop_size), canonical)
    smooth = cv2.INTER_AREA if align.scale_of(matrix) < 0.5 else cv2.INTER_LINEAR
    size = (engine.crop_size, engine.crop_size)
    crop = cv2.warpAffine(picture, matrix, size, flags=smooth, borderMode=cv2.BORDER_REPLICATE)
    landmarks, _, confidence = engine.locate(crop[None].astype(np.uint8, copy=False))
    return align.apply(align.invert(matrix), landmarks[0]), float(confidence[0])


def same_face(box: tuple[float, float, float, float], truth: Floats) -> bool:
    """Whether a detection means the teacher's face: over a third in common."""
    low, high = truth.min(0), truth.max(0)
    mine = np.array(box)
    inner = np.clip(np.minimum(mine[2:], high) - np.maximum(mine[:2], low), 0, None).prod()
    union = (mine[2:] - mine[:2]).prod() + (high - low).prod() - inner
    return bool(inner / union > 0.33)


def in_hd(picture: Picture, truth: Floats) -> tuple[Picture, Floats]:
    """The picture shrunk so that its face is 48 pixels wide, in a gray 1280 x 720 frame."""
    scale = SMALL_FACE / float(np.ptp(truth[:, 0]))
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    small = small[: HD[1], : HD[0]]
    frame = np.full((HD[1], HD[0], 3), 110, np.uint8)
    x, y = (HD[0] - small.shape[1]) // 3, (HD[1] - small.shape[0]) // 3
    frame[y : y + small.shape[0], x : x + small.shape[1]] = small
    return frame, truth * scale + (x, y)


def follow(
    detector: embedded.EmbeddedDetector,
    landmarker: embedded.EmbeddedLandmarker,
    pictures: Iterator[Picture],
    points: Floats,
    every: int,
) -> Tally:
    """Detect now and then, landmark always."""
    tally, nothing = Tally(), np.full((landmark_layout.COUNT, 2), np.nan, np.float32)
    last: Floats | None = None
    for index, (picture, row) in enumerate(zip(pictures, points, strict=False)):
        truth = row[landmark_layout.MESH, :2]
        known = bool(np.isfinite(truth).all())
        if index % every == 0 or last is None:
            seen = detector.detect(picture)
            hits = [d for d in seen if known and same_face(d.box, truth)]
            tally.extra += len(seen) - len(hits)
            if known and np.ptp(truth[:, 0]) >= SMALL_FACE:
                tally.looks, tally.found = tally.looks + 1, tally.found + bool(hits)
                frame, moved = in_hd(picture, truth)
                tally.small_looks += 1
                tally.small_found += any(same_face(d.box, moved) for d in detector.detect(frame))
            if last is None and hits:
                last, _ = locate(landmarker, picture, align.canonical_from_points(hits[0].points))
        ours, sure = nothing, 0.0
        if last is not None:
            ours, sure = locate(landmarker, picture, align.canonical_from_face(last))
            last = ours if sure >= 0.5 else None
        tally.ours.append(ours)
        view = Region(picture, np.eye(2, 3))
        tally.lips.append(None if last is None else lip_outline.profile(view, ours))
        tally.theirs.append(truth)
        tally.confidence.append(sure)
    return tally


def measures(tally: Tally) -> dict[str, float | int]:
    """The figures of one clip."""
    ours, theirs = np.stack(tally.ours), np.stack(tally.theirs)
    both = np.isfinite(ours).all((1, 2)) & np.isfinite(theirs).all((1, 2))
    facts: dict[str, float | int] = {
        "frames": len(ours),
        "both": int(both.sum()),
        "detector_looks": tally.looks,
        "detector_found": tally.found,
        "detector_extra": tally.extra,
        "found_at_48px_in_720p": tally.small_found,
        "looks_at_48px_in_720p": tally.small_looks,
    }
    if not both.any():
        return facts
    a, b = ours[both], theirs[both]
    eyes = np.linalg.norm(np.diff(align.eye_centers(b), axis=1)[:, 0], axis=1)
    error = np.linalg.norm(a - b, axis=2) / eyes[:, None]
    facts["error"], facts["lips_error"] = (
        float(error.mean()),
        float(error[:, landmark_layout.LIPS].mean()),
    )
    facts["confidence"] = float(np.mean(np.array(tally.confidence)[both]))
    seen = ((int(row), tally.lips[row]) for row in np.flatnonzero(both))
    profiles = {row: lips for row, lips in seen if lips is not None}
    shown = list(profiles)
    if len(shown) > 10:  # of the same frames, before and after the picture was looked at
        outline = landmark_layout.LIPS_OUTER
        for name, faces in (
            ("landmarker_outline", ours[shown]),
            ("outline", lip_outline.outlined(ours[shown], np.stack(list(profiles.values())))),
        ):
            away = np.linalg.norm((faces - theirs[shown])[:, outline], axis=2).mean(1)
            width = np.ptp(theirs[shown][..., 0], axis=1)
            facts[f"{name}_error"] = float((away / width).mean())
    if len(a) > 10:
        facts["opening_r"] = float(np.corrcoef(opening(a), opening(b))[0, 1])
        facts["opening_slope"] = float(np.std(opening(a)) / np.std(opening(b)))
        facts["lips_jitter"] = jitter(a, landmark_layout.LIPS) / jitter(b, landmark_layout.LIPS)
        facts["stable_jitter"] = jitter(a, landmark_layout.STABLE) / jitter(
            b, landmark_layout.STABLE
        )
    return facts


def opening(faces: Floats) -> Floats:
    """(T, L, 2) -> (T,) inner-lip gap over face width."""
    gap = np.linalg.norm(
        faces[:, landmark_layout.INNER_BOTTOM] - faces[:, landmark_layout.INNER_TOP], axis=1
    )
    return np.asarray(gap / np.ptp(faces[..., 0], axis=1), np.float32)


def jitter(faces: Floats, points: Indices) -> float:
    """Mean length of the second difference."""
    return float(np.linalg.norm(np.diff(faces[:, points], n=2, axis=0), axis=2).mean())


def false_alarms(
    detector: embedded.EmbeddedDetector, landmarker: embedded.EmbeddedLandmarker, folder: Path
) -> dict[str, float | int]:
    """Detections in pictures that hold no face, and how many of them the landmarker believes twice."""
    looks, alarms, believed, worst = 0, 0, 0, 0.0
    for path in sorted(folder.glob("*.*")):
        picture = read_still(path)
        seen = detector.detect(picture)
        for found in seen:
            last, first = locate(landmarker, picture, align.canonical_from_points(found.points))
            _, second = locate(landmarker, picture, align.canonical_from_face(last))
            believed += min(first, second) >= 0.5
        looks, alarms = looks + 1, alarms + len(seen)
        worst = max([worst, *(d.score for d in seen)])
        if seen:
            sys.stderr.write(f"false alarm: {path.name} {[round(d.score, 2) for d in seen]}\n")
    return {"pictures": looks, "detections": alarms, "believed": believed, "best_score": worst}


def main() -> None:
    """Walk the data."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name in ("data", "labels", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--scenery", type=Path)
    parser.add_argument("--sets", nargs="*", default=["grid_other", "grid_s1", "hdtf", "portraits"])
    parser.add_argument("--limit", type=int, default=8, help="clips of one data set")
    args = parser.parse_args()
    torch.set_num_threads(1)
    detector, landmarker = (
        embedded.EmbeddedDetector(FaceSettings()),
        embedded.EmbeddedLandmarker(FaceSettings()),
    )
    with (args.data / "clips.csv").open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["split"] in ("val", "test")]
    report: dict[str, dict[str, float | int]] = {}
    if args.scenery:
        report["scenery"] = false_alarms(detector, landmarker, args.scenery)
    for group in args.sets:
        clips = [r["file"] for r in rows if r["set"] == group][: args.limit]
        for name in clips:
            points = np.load(args.labels / Path(name).with_suffix(".npz"))["points"]
            tally = follow(detector, landmarker, frames_of(args.data / name), points, 5)
            report[name] = measures(tally)
    if "portraits" in args.sets:
        total = Tally()
        for path in sorted((args.data / "portraits").glob("*.jpg"))[9::10]:
            points = np.load(args.labels / "portraits" / f"{path.stem}.npz")["points"]
            one = follow(detector, landmarker, frames_of(path), points, 1)
            for name in ("ours", "theirs", "confidence"):
                getattr(total, name).extend(getattr(one, name))
            for name in ("looks", "found", "extra", "small_looks", "small_found"):
                setattr(total, name, getattr(total, name) + getattr(one, name))
        facts = measures(total)
        report["portraits"] = {k: v for k, v in facts.items() if "jitter" not in k}
    for name, facts in report.items():
        sys.stderr.write(f"{name}: " + " ".join(f"{k}={v:.4g}" for k, v in facts.items()) + "\n")
    args.out.write_text(json.dumps(report, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
