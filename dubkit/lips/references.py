"""Reference frames: a face's own frames that give texture, as a small bank per shot and a steady path through it."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dubkit.faces import landmark_layout
from dubkit.records import Floats, Indices

_POSE_WEIGHT = 0.025  # canonical units per degree
_TIME_WEIGHT = 0.004  # per second of distance
_SWITCH_COST = 0.06
_MOST_SWITCHES = (
    1.8  # a second between lips that are apart; the cost of a switch rises until there are no more
)
_HARDER, _ROUNDS = 1.4, 12  # by how much it rises at a time, and how often at most
# for each unit by which the mouth opens wider than the reference, for what is there was never seen; and less wide, for
# then lips cover what is there, but lips that shut over teeth look otherwise than such as were shut
_UNSEEN, _COVERED, _PRESSED = 6.0, 0.5, 5.0
_WIDE, _MOST_WIDER = (
    0.16,
    3.0,
)  # gap of the mean speaker's wide mouths; how far a smaller one counts as such
_BLURRED, _CRISP = (
    0.25,
    0.05,
)  # for each e-fold of gradient energy below the frame's own, and above it
_LIGHT = 0.3  # for each e-fold between the lights
# for each e-fold by which a lip would be drawn out, beyond so many: it gets soft and loses its border
_DRAWN, _DRAWN_FROM = 0.6, 0.2
_THINNEST = 0.03  # canonical units: of thinner lips landmarks do not say how thin they are
_INNER_WEIGHT = 2.0  # the mouth's inside is what a warp cannot make
_SHUT, _FAST = 0.035, 0.046  # canonical units of inner-lip gap, and of its change a frame
_APART = 0.02  # gap from which on one sees what is between lips
_PARTED = 0.08  # gap from which on a switch would be seen most
_IN_SIGHT = 20.0  # what a switch in an open mouth costs against one between shut lips
_HIDDEN = 2.0  # what a reference costs whose mouth is hidden: more than any other reason
_STEADY = 4  # frames to either side by whose sharpness a frame goes
_ENOUGH = 24  # frames from which the sharpness that a mouth's shape explains can be told


def lip_features(canonical: Floats) -> Floats:
    """(T, L, 2) canonical landmarks -> (T, F): the outline of the lips, which a borrowed mouth's should be like."""
    lips = canonical[:, landmark_layout.LIPS_OUTER[::2]]
    lips = lips - canonical[:, landmark_layout.LIPS].mean(1, keepdims=True)
    return np.asarray(lips.reshape(len(lips), -1), np.float32)


def mouth_features(canonical: Floats) -> Floats:
    """(T, L, 2) canonical landmarks -> (T, F): what a bank should show all kinds of."""
    gap = (
        canonical[:, landmark_layout.LIPS_INNER[2:9], 1]
        - canonical[:, landmark_layout.LIPS_INNER[18:11:-1], 1]
    )
    return np.concatenate([lip_features(canonical), _INNER_WEIGHT * gap], 1).astype(np.float32)


def pose_features(pose: Floats, seconds: NDArray[np.floating]) -> Floats:
    """(T, 3) degrees and (T,) seconds -> (T, 4) in the unit of `mouth_features`."""
    return np.concatenate([_POSE_WEIGHT * pose, _TIME_WEIGHT * seconds[:, None]], 1).astype(
        np.float32
    )


def settled(canonical: Floats) -> NDArray[np.bool_]:
    """(T,) frames whose landmarks may be trusted, of (T, L, 2): all but those whose lips just meet or part.

    Smoothed landmarks call a mouth shut a moment before it is; borrowed for a closure, it would stay ajar.
    """
    gap = gap_of(canonical)
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


@dataclass(frozen=True, slots=True)
class Choice:
    """What decides which reference each of T frames takes, of N."""

    cost: Floats  # (T, N) by shape and pose
    gap: Floats  # (T,) of the wanted lips
    rate: float  # frames a second
    rows: Indices  # (N,) the references' own frames; beyond T: those of other shots


def without(choice: Choice, rows: Container[int]) -> Choice:
    """The same with the references of some ``rows`` last of all."""
    last = np.array([_HIDDEN * (row in rows) for row in choice.rows.tolist()], np.float32)
    return replace(choice, cost=choice.cost + last)


def gap_of(canonical: Floats) -> Floats:
    """(T,) inner-lip gap of (T, L, 2) canonical landmarks."""
    lower, upper = landmark_layout.INNER_BOTTOM, landmark_layout.INNER_TOP
    return np.asarray(canonical[:, lower, 1] - canonical[:, upper, 1], np.float32)


def parted(gap: Floats, seen: Floats) -> Floats:
    """(T,) gaps of lips as those of the mean speaker, of landmarks' ``gap`` (T,), where (N,) ``seen`` are a speaker's.

    Of some people landmarks show only a part of how far they open their mouths, and never shut lips.
    """
    least, wide = np.quantile(seen, [0.05, 0.9])
    wider = np.clip(_WIDE / max(float(wide - least), 1e-3), 1, _MOST_WIDER)
    return np.asarray(wider * np.maximum(gap - max(float(least), 0), 0), np.float32)


def shape_cost(goal: Floats, bank: Floats, gap: Floats, bank_gap: Floats) -> Floats:
    """(T, N): how unlike the wanted frames, features (T, F), the references (N, F) are.

    ``gap`` (T,) and ``bank_gap`` (N,) are of their lips, as `parted` has them. A reference that shows less of the
    mouth is worse than one that shows more.
    """
    cost = np.sqrt(((goal[:, None] - bank[None]) ** 2).sum(-1))
    more = gap[:, None] - bank_gap[None]
    shut = 1 - np.clip(gap[:, None] / _SHUT, 0, 1)
    covered = (_COVERED + _PRESSED * shut) * np.maximum(-more, 0)
    return np.asarray(cost + _UNSEEN * np.maximum(more, 0) + covered, np.float32)


def drawn_cost(wanted: Floats, shown: Floats) -> Floats:
    """(T, N): what it costs that lips of the faces ``wanted`` (T, L, 2) are thicker than those ``shown`` (N, L, 2)."""
    goal, seen = (np.log(np.maximum(_thickness(faces), _THINNEST)) for faces in (wanted, shown))
    drawn = goal[:, None] - seen[None] - _DRAWN_FROM
    return np.asarray(_DRAWN * np.maximum(drawn, 0).mean(-1), np.float32)


def _thickness(canonical: Floats) -> Floats:
    """(T, 2) the mean thickness of the upper and of the lower lip in their middles, of (T, L, 2)."""
    outer, inner = (
        canonical[..., 1][:, r] for r in (landmark_layout.LIPS_OUTER, landmark_layout.LIPS_INNER)
    )
    below = (outer - inner).astype(np.float32)
    return np.stack([-below[:, 13:18].mean(1), below[:, 3:8].mean(1)], 1)


def in_sight(gap: Floats) -> Floats:
    """(T,) how far apart the lips, ``gap`` (T,), are both before and after a switch at each frame."""
    return np.asarray(np.minimum(gap, np.concatenate([gap[:1], gap[:-1]])))


@dataclass(frozen=True, slots=True)
class Look:
    """How frames look, T rows; NaN where that is not known."""

    sharpness: Floats  # log of the gradient energy of the mouth
    light: Floats  # log of the mean luma


def sharpness_of_shapes(sharpness: Floats, canonical: Floats, others: Floats) -> Floats:
    """(N,) log gradient energy that a speaker's mouths of the shapes ``others`` (N, L, 2) have: an open mouth has more
    edges.

    Fitted to what frames ``canonical`` (T, L, 2) show, ``sharpness`` (T,), NaN where that is not known.
    """
    known = np.isfinite(sharpness)
    if known.sum() < _ENOUGH:
        return np.full(
            len(others), np.mean(sharpness[known]) if known.any() else np.nan, np.float32
        )
    terms, wanted = _shape_terms(canonical[known]), _shape_terms(others)
    wanted = np.clip(wanted, terms.min(0), terms.max(0))
    return np.asarray(wanted @ np.linalg.lstsq(terms, sharpness[known], rcond=None)[0], np.float32)


def _shape_terms(canonical: Floats) -> Floats:
    gap = gap_of(canonical)
    corners = canonical[:, [landmark_layout.MOUTH_LEFT, landmark_layout.MOUTH_RIGHT], 0]
    return np.stack([np.ones_like(gap), gap, gap**2, np.diff(corners, axis=1)[:, 0]], 1)


def steady(values: Floats) -> Floats:
    """(T,) the median of each value and its neighbors in time; those that are NaN are left out."""
    padded = np.pad(values, _STEADY, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * _STEADY + 1)
    known = np.isfinite(windows).any(1)
    found = np.zeros(len(values), np.float32)
    found[known] = np.nanmedian(windows[known], 1)
    return found


def look_cost(look: Look, rows: Indices) -> Floats:
    """(T, N): how unlike the frames the references, which are the frames ``rows`` (N,), look.

    A blurred frame in a sharp one is seen, a sharp one in a blurred one less.
    """
    blurred = look.sharpness[:, None] - look.sharpness[rows][None]
    darker = np.abs(look.light[:, None] - look.light[rows][None])
    cost = _BLURRED * np.maximum(blurred, 0) + _CRISP * np.maximum(-blurred, 0) + _LIGHT * darker
    return np.asarray(np.nan_to_num(cost), np.float32)


def steady_path(choice: Choice, look: Look) -> Indices:
    """(T,) the reference of each frame: near in shape, pose, light and sharpness, and held while lips are apart.

    The cost of a switch that is seen rises until there are no more than `_MOST_SWITCHES` in a second.
    """
    cost = choice.cost + look_cost(look, choice.rows)[: len(choice.cost)]
    seen = in_sight(choice.gap)
    switch = _SWITCH_COST * (1 + (_IN_SIGHT - 1) * np.clip(seen / _PARTED, 0, 1))
    most = max(1.0, _MOST_SWITCHES * len(cost) / choice.rate)
    path = choose_path(cost, switch)
    for _ in range(_ROUNDS):
        if switches(path, choice.gap) <= most:
            break
        switch = np.where(seen > _APART, _HARDER * switch, switch)
        path = choose_path(cost, switch)
    return path


def skin_path(choice: Choice, look: Look) -> Indices:
    """(T,) the reference whose skin each frame shows, held also while lips are shut.

    A mouth that is borrowed for a moment then does not bring its folds and highlights along, which would flash up.
    """
    return steady_path(replace(choice, gap=np.full_like(choice.gap, _PARTED)), look)


def switches(path: Indices, gap: Floats) -> int:
    """How often another reference is shown between lips that are apart; (T,) both."""
    return int(np.count_nonzero((np.diff(path) != 0) & (in_sight(gap)[1:] > _APART)))


def choose_path(cost: Floats, switch: Floats) -> Indices:
    """(T,) column of ``cost`` (T, N) for each frame, so that all of it and of the switches is least (Viterbi).

    ``switch`` (T,) is what a switch before each frame costs.
    """
    back = np.zeros(cost.shape, np.intp)
    best = cost[0]
    for t in range(1, len(cost)):
        leap = int(best.argmin())
        stay = best <= best[leap] + switch[t]
        back[t] = np.where(stay, np.arange(len(best)), leap)
        best = np.where(stay, best, best[leap] + switch[t]) + cost[t]
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


def led(mixes: Iterable[Mix], path: Indices) -> list[Mix]:
    """The mixes of skin with the entries ``path`` (T,) whose mouths are shown put first, of weight 0 where they lend no
    skin.
    """
    return [
        [(k, dict(mix).get(k, 0.0)), *(part for part in mix if part[0] != k)]
        for mix, k in zip(mixes, path.tolist(), strict=True)
    ]


def _summed(parts: Iterable[tuple[int, float]]) -> Mix:
    weights: dict[int, float] = {}
    for k, w in parts:
        weights[k] = weights.get(k, 0.0) + w
    total = sum(weights.values())
    return [(k, w / total) for k, w in sorted(weights.items())]
