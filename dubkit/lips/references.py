"""Reference frames: a face's own frames that give texture, as a small bank per shot and a steady path through it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from dubkit.faces import landmark_layout
from dubkit.records import Floats

_POSE_WEIGHT = 0.012  # canonical units per degree
_TIME_WEIGHT = 0.004  # per second of distance
_SWITCH_COST = 0.08
TOGETHER = 3  # frames at most that one picture is made of
_SLIGHT = 0.08  # weight below which a frame is left out
_TAKEN = 1e3  # cost of a frame that is taken
_INNER_WEIGHT = 2.0  # the mouth's inside is what a warp cannot make
_SHUT, _FAST = 0.035, 0.046  # canonical units of inner-lip gap, and of its change a frame
HELPING = 0.33  # weight of the second frame; the first must stay ahead of it while it cross-fades


def mouth_features(canonical: Floats) -> Floats:
    """(T, L, 2) canonical landmarks -> (T, F): what must agree between a borrowed mouth and the wanted one."""
    lips = canonical[:, landmark_layout.LIPS_OUTER[::2]]
    lips = lips - canonical[:, landmark_layout.LIPS].mean(1, keepdims=True)
    gap = (
        canonical[:, landmark_layout.LIPS_INNER[2:9], 1]
        - canonical[:, landmark_layout.LIPS_INNER[18:11:-1], 1]
    )
    return np.concatenate([lips.reshape(len(lips), -1), _INNER_WEIGHT * gap], 1).astype(np.float32)


def pose_features(pose: Floats, seconds: NDArray[np.floating]) -> Floats:
    """(T, 3) degrees and (T,) seconds -> (T, 4) in the unit of `mouth_features`."""
    return np.concatenate([_POSE_WEIGHT * pose, _TIME_WEIGHT * seconds[:, None]], 1).astype(
        np.float32
    )


def settled(canonical: Floats) -> NDArray[np.bool_]:
    """(T,) frames whose landmarks may be trusted, of (T, L, 2): all but those whose lips just meet or part.

    Smoothed landmarks call a mouth shut a moment before it is; borrowed for a closure, it would stay ajar.
    """
    gap = canonical[:, landmark_layout.INNER_BOTTOM, 1] - canonical[:, landmark_layout.INNER_TOP, 1]
    if len(gap) < 3:
        return np.ones(len(gap), np.bool_)
    return np.asarray((gap > _SHUT) | (np.abs(np.gradient(gap)) < _FAST))


def choose_bank(features: Floats, usable: NDArray[np.bool_], count: int) -> NDArray[np.intp]:
    """Rows that cover the shot's own mouth shapes and poses best, ascending (greedy k-centers).

    ``features`` (T, F), ``usable`` (T,). Deterministic: ties go to the earlier frame.
    """
    rows = np.flatnonzero(usable)
    if not len(rows):
        return rows
    points = features[rows]
    first = int(np.linalg.norm(points - np.median(points, 0), axis=1).argmin())
    chosen = [first]
    distance = np.linalg.norm(points - points[first], axis=1)
    while len(chosen) < min(count, len(rows)):
        furthest = int(distance.argmax())
        if distance[furthest] <= 0:
            break
        chosen.append(furthest)
        distance = np.minimum(distance, np.linalg.norm(points - points[furthest], axis=1))
    return np.sort(rows[chosen])


def choose_path(
    wanted: Floats, bank: Floats, taken: NDArray[np.intp] | None = None
) -> NDArray[np.intp]:
    """(T,) index into the bank for each frame: near in shape and pose, switching seldom (Viterbi).

    ``wanted`` (T, F) features of the target, ``bank`` (N, F); ``taken`` (T,) entries that are not to be
    chosen, where there is another.
    """
    cost = np.sqrt(((wanted[:, None] - bank[None]) ** 2).sum(-1))
    if taken is not None and len(bank) > 1:
        cost[np.arange(len(cost)), taken] += _TAKEN
    back = np.zeros(cost.shape, np.intp)
    best = cost[0]
    for t in range(1, len(cost)):
        leap = int(best.argmin())
        stay = best <= best[leap] + _SWITCH_COST
        back[t] = np.where(stay, np.arange(len(best)), leap)
        best = np.where(stay, best, best[leap] + _SWITCH_COST) + cost[t]
    path = np.empty(len(cost), np.intp)
    path[-1] = int(best.argmin())
    for t in range(len(cost) - 1, 0, -1):
        path[t - 1] = back[t, path[t]]
    return path


Mix = list[tuple[int, float]]  # bank entries and their weights, which sum to 1


def blend_weights(path: NDArray[np.intp], reach: int = 2) -> list[Mix]:
    """Per frame the bank entries to mix: a cross-fade of ``2 * reach`` frames at switches."""
    kernel = np.bartlett(2 * reach + 3)[1:-1]
    mixed = []
    for t in range(len(path)):
        window = np.clip(np.arange(t - reach, t + reach + 1), 0, len(path) - 1)
        mixed.append(_summed(zip(path[window].tolist(), kernel.tolist(), strict=True)))
    return mixed


def with_help(first: list[Mix], second: list[Mix]) -> list[Mix]:
    """Two mixes in one, frame by frame; the second weighs `HELPING`. At most `TOGETHER` entries, none of them
    slight: each costs as much as the first.
    """
    mixed = []
    for a, b in zip(first, second, strict=True):
        whole = _summed(
            [*((k, w * (1 - HELPING)) for k, w in a), *((k, w * HELPING) for k, w in b)]
        )
        heaviest = sorted(whole, key=lambda part: -part[1])[:TOGETHER]
        mixed.append(_summed([part for part in heaviest if part[1] >= _SLIGHT]))
    return mixed


def _summed(parts: Iterable[tuple[int, float]]) -> Mix:
    weights: dict[int, float] = {}
    for k, w in parts:
        weights[k] = weights.get(k, 0.0) + w
    total = sum(weights.values())
    return [(k, w / total) for k, w in sorted(weights.items())]
