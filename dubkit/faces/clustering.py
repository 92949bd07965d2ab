"""Which tracked faces of a film are one person: clusters of their appearance.

Agglomerative, by the mean likeness of two clusters' faces (average linkage), where a clear face counts more than a
small or turned one. Two faces that are in one picture are never one person. Faces that are too unclear to tell found no
person: they join one that they resemble, or stay unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from dubkit.records import Floats, Indices, Integers, Mask

UNKNOWN = -1
_NEVER = np.float32(-2.0)  # less alike than any two faces


@dataclass(frozen=True, slots=True)
class Looks:
    """The faces of a film, N of them."""

    vectors: Floats  # (N, D) of length 1
    weights: Floats  # (N,) how clearly each is seen, 0 not at all
    starts: Integers  # (N,) frames of the film, half-open
    ends: Integers  # (N,)

    def __len__(self) -> int:
        return len(self.weights)


def together(looks: Looks) -> Mask:
    """(N, N) whether two faces are in one picture."""
    shared: Mask = np.less.outer(looks.starts, looks.ends)
    shared &= shared.T
    np.fill_diagonal(shared, False)
    return shared


def cluster(
    looks: Looks, likeness: float, clear: float, given: Sequence[int | None] | None = None
) -> Indices:
    """(N,) the person of each face, numbered from 0 by their first face, or `UNKNOWN`.

    Clusters are joined while two of them are at least ``likeness`` alike. Faces of a weight under ``clear`` found none.
    ``given`` holds the numbers of faces that are known to be one person (equal numbers) or two: they are believed.
    """
    known: list[int | None] = list(given) if given is not None else [None] * len(looks)
    founders = [k for k in range(len(looks)) if looks.weights[k] >= clear or known[k] is not None]
    state = _Clusters(looks, founders, known)
    state.join(likeness)
    labels = np.full(len(looks), UNKNOWN, np.intp)
    for number, members in enumerate(state.members):
        labels[members] = number
    for face in np.argsort(-looks.weights, kind="stable"):
        if labels[face] == UNKNOWN:
            labels[face] = state.nearest(looks, int(face), likeness)
    return _numbered(labels)


def _numbered(labels: Indices) -> Indices:
    """The same people, numbered by their first face."""
    order = list(dict.fromkeys(int(label) for label in labels if label != UNKNOWN))
    number = {label: k for k, label in enumerate(order)} | {UNKNOWN: UNKNOWN}
    return np.array([number[int(label)] for label in labels], np.intp)


class _Clusters:
    """Clusters of faces with their sums; the mean likeness of two is the product of sums over that of weights."""

    def __init__(self, looks: Looks, founders: Sequence[int], known: Sequence[int | None]) -> None:
        groups: dict[object, list[int]] = {}
        for face in founders:
            name = known[face]
            groups.setdefault(("given", name) if name is not None else face, []).append(face)
        self.members = list(groups.values())
        self._shared = together(looks)
        weights = np.maximum(looks.weights, 1e-3)
        count = len(self.members)
        self._sums = np.zeros((count, looks.vectors.shape[1]), np.float32)
        self._weights = np.zeros(count, np.float32)
        self._given: Mask = np.array([isinstance(name, tuple) for name in groups], np.bool_)
        for k, faces in enumerate(self.members):
            self._sums[k] = (weights[faces, None] * looks.vectors[faces]).sum(0)
            self._weights[k] = weights[faces].sum()
        belongs = np.zeros((count, len(looks)), np.float32)
        for k, faces in enumerate(self.members):
            belongs[k, faces] = 1
        self._apart = (belongs @ self._shared.astype(np.float32) @ belongs.T) > 0
        self._apart |= self._given[:, None] & self._given[None]

    def join(self, likeness: float) -> None:
        """Join the two clusters most alike, again and again."""
        alike = self._compact()
        best = alike.argmax(1) if len(alike) else np.zeros(0, np.intp)
        left = len(alike)
        while left > 1:
            nearest = alike[np.arange(len(alike)), best]
            a = int(nearest.argmax())
            b = int(best[a])
            if alike[a, b] < likeness:
                break
            kept, gone = sorted((a, b))
            self._merge(kept, gone)
            left -= 1
            if 2 * left < len(alike):
                alike = self._compact()
                best = alike.argmax(1)
                continue
            alike[gone], alike[:, gone] = _NEVER, _NEVER
            alike[kept] = self._row(kept)
            alike[:, kept] = alike[kept]
            stale = (best == kept) | (best == gone)
            stale[[kept, gone]] = True
            best[stale] = alike[stale].argmax(1)
            nearer = alike[:, kept] > alike[np.arange(len(alike)), best]
            best[nearer] = kept
        self._compact()

    def _compact(self) -> Floats:
        """Leave out the empty clusters; (K, K) how alike the others are."""
        left = [k for k, faces in enumerate(self.members) if faces]
        self.members = [self.members[k] for k in left]
        self._sums, self._weights = self._sums[left], self._weights[left]
        self._given, self._apart = self._given[left], self._apart[np.ix_(left, left)]
        alike: Floats = (self._sums @ self._sums.T) / np.outer(self._weights, self._weights)
        alike[self._apart] = _NEVER
        np.fill_diagonal(alike, _NEVER)
        return alike

    def _row(self, k: int) -> Floats:
        """(K,) how alike cluster ``k`` is to each, `_NEVER` where they may not be one."""
        row: Floats = (self._sums @ self._sums[k]) / (self._weights * self._weights[k])
        row[self._apart[k]] = _NEVER
        row[k] = _NEVER
        return row

    def _merge(self, kept: int, gone: int) -> None:
        self.members[kept] = sorted(self.members[kept] + self.members[gone])
        self.members[gone] = []
        self._sums[kept] += self._sums[gone]
        self._weights[kept] += self._weights[gone]
        self._apart[kept] |= self._apart[gone]
        self._apart[gone] = True
        self._apart[:, kept], self._apart[:, gone] = self._apart[kept], True
        if self._given[gone]:
            self._given[kept] = True

    def nearest(self, looks: Looks, face: int, likeness: float) -> int:
        """The cluster that an unclear face resembles, and is not beside in a picture; it counts for nothing there."""
        if not self.members or looks.weights[face] <= 0:
            return UNKNOWN
        alike = self._sums @ looks.vectors[face] / self._weights
        for k, faces in enumerate(self.members):
            if self._shared[face, faces].any():
                alike[k] = _NEVER
        best = int(alike.argmax())
        if alike[best] < likeness:
            return UNKNOWN
        self.members[best].append(
            face
        )  # so that another face of this picture does not join as well
        return best
