"""From followed faces to tracks: short gaps filled, stray faces dropped, everything smoothed both ways."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from dubkit.faces import association, landmark_layout
from dubkit.faces.occlusion import strangeness
from dubkit.faces.smooth import local_mean, segments, smooth_run
from dubkit.faces.tracklet import Rules, Trail
from dubkit.records import FaceState, FaceTrack, Floats

POSE_SECONDS = 0.08  # standard deviation of the smoothing of the head pose, at full strength


def finish(trails: Iterable[Trail], rules: Rules) -> list[FaceTrack]:
    """Tracks of a shot, numbered from the largest face on."""
    tracks = [_track(t, rules) for t in trails if _worthy(t, rules)]
    tracks.sort(key=lambda t: (-median_width(t), t.start, float(t.boxes[0, 0])))
    return [
        FaceTrack(n, t.start, t.boxes, t.landmarks, t.pose, t.scores, t.state, t.strange)
        for n, t in enumerate(tracks)
    ]


def median_width(track: FaceTrack) -> float:
    """Width of a face in pixels, as it mostly is."""
    return float(np.nanmedian(track.boxes[:, 2] - track.boxes[:, 0]))


def _worthy(trail: Trail, rules: Rules) -> bool:
    return len(trail.sightings) >= rules.shortest


def _track(trail: Trail, rules: Rules) -> FaceTrack:
    start, end = min(trail.sightings), max(trail.sightings) + 1
    count = end - start
    landmarks = np.full((count, landmark_layout.COUNT, 2), np.nan, np.float32)
    pose = np.full((count, 3), np.nan, np.float32)
    scores = np.zeros(count, np.float32)
    state = np.full(count, FaceState.ABSENT, np.int8)
    for index, sighting in trail.sightings.items():
        row = index - start
        landmarks[row], pose[row], scores[row] = sighting.landmarks, sighting.pose, sighting.score
        state[row] = FaceState.SEEN
    _bridge(landmarks, pose, state, rules.bridge)
    for run in segments(state != FaceState.ABSENT):
        landmarks[run] = smooth_run(landmarks[run], rules.rate, rules.smoothing)
        sigma = POSE_SECONDS * rules.smoothing * rules.rate
        pose[run] = local_mean(pose[run].astype(np.float64), sigma)
    strange = _strange(trail, start, count, rules)
    return FaceTrack(
        0, start, association.bounds(landmarks), landmarks, pose, scores, state, strange
    )


def _strange(trail: Trail, start: int, count: int, rules: Rules) -> Floats:
    """(T,) `cover.strangeness`; between sightings as at the next ones."""
    frames = sorted(trail.sightings)
    seen = [trail.sightings[frame] for frame in frames]
    at = np.array(frames) - start
    skin, pose = (np.stack([getattr(s, name) for s in seen]) for name in ("skin", "pose"))
    scores = np.array([s.score for s in seen], np.float32)
    found = strangeness(skin, pose, scores, at / rules.rate)
    return np.interp(np.arange(count), at, found).astype(np.float32)


def _bridge(landmarks: Floats, pose: Floats, state: NDArray[np.int8], longest: int) -> None:
    """Fill short gaps in place, evenly from the last sighting to the next."""
    for gap in segments(state == FaceState.ABSENT):
        length = gap.stop - gap.start
        if length > longest:
            continue
        before, after = gap.start - 1, gap.stop
        for row in range(gap.start, gap.stop):
            part = (row - before) / (length + 1)
            landmarks[row] = (1 - part) * landmarks[before] + part * landmarks[after]
            pose[row] = (1 - part) * pose[before] + part * pose[after]
            state[row] = FaceState.BRIDGED
