"""What lies over one face of a shot is kept in every frame, and taken out of the frames that lend their pixels.

What a reference does not show under a subtitle, others do, since the face moves: their pixels are carried there. A
reference whose mouth stays hidden is not borrowed from; where all are, the mouth stays as filmed. Where the skin of a
frame and of its references do not show the same, whatever it is (a microphone, a hand), the frame's samples stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dubkit.faces import align, landmark_layout, smooth
from dubkit.lips import blend, masks, mesh_warp
from dubkit.lips.overlays import Edges, OverlayFinder, Usual
from dubkit.records import Floats, Indices, Mask

_SHARE = 0.5  # of the mask, from which on a pixel is one of the lower face
_UNDER = 0.02  # of a matte, from which on a sample is not the face's
_DONORS = 5  # other references that are looked at for what one does not show
_BESIDE = 15  # pixels around a hole on which colors are matched
_FURTHEST = 0.12  # of their range, by which they may be off
_FILL = 3  # pixels from which what nobody shows is filled
_LIPS_REACH = 0.05  # canonical units around the lips that count as the mouth
_MOST_BOXED = 0.04  # share of a lower face under a box, over which the mouth counts as hidden
_HIDDEN = 0.15  # share of a mouth that nobody shows, from which on it is hidden
_INSIDE = np.array([0.85, 1.35])  # of the face's width and height around the mouth
_GRID = 192


@dataclass(frozen=True, slots=True)
class Uncovered:
    """References without what lay over them, by row."""

    references: dict[int, blend.Reference]
    hidden: frozenset[int]  # rows whose mouth is nowhere seen


class FaceOverlays:
    """What lies over one face.

    ``planes`` lead from display coordinates to each plane, ``display`` (T) from canonical ones to the display;
    ``shapes`` are the canonical landmarks (T, L, 2) as filmed and as wanted, ``black`` is the sample of luma that is
    black.
    """

    def __init__(
        self,
        planes: Sequence[align.Matrix],
        display: Sequence[align.Matrix],
        shapes: tuple[Floats, Floats],
        feather: float,
        rate: float,
        depth: int,
        black: float = 0.0,
    ) -> None:
        self._planes, self._display, self._feather, self._depth = planes, display, feather, depth
        self._black = black
        self._current, self._target = shapes
        ways = [align.compose(planes[0], way) for way in display]
        faces = [align.apply(way, face) for way, face in zip(ways, self._current, strict=True)]
        scales = np.array([align.scale_of(way) for way in ways], np.float32)
        self._ways = ways
        self._finder = OverlayFinder(np.stack(faces), scales, rate, depth)
        self._edges: dict[int, Edges] = {}
        self._usual: Usual | None = None
        self._covers: dict[int, tuple[blend.Kept | None, blend.Reference]] = {}

    def see(self, luma: blend.Plane, row: int) -> None:
        """Look at a frame; frames come in order."""
        self._finder.see(luma, row)

    def find(self, lent: Mapping[int, blend.Reference]) -> None:
        """Find what lies over the face, when all frames were seen; ``lent`` are its own references."""
        for row, found in self._finder.found().items():
            edges = found.beside(self._mouth(found, row), self._finder.unit)
            edges = edges.within(self._inside(edges, row), self._finder.unit)
            if edges.proven.any():
                self._edges[row] = edges
        if not self._edges:
            return
        seen = []
        for row, reference in lent.items():
            edges = self._edges.get(row) or self._finder.nothing(row)
            colors = self._colors(edges, reference.planes, reference.plane_from_canonical, row)
            if colors is not None:
                free = self._face(edges, row) & ~edges.around(self._finder.unit)
                seen.append(colors[free][::3])
        if sum(map(len, seen)):
            self._usual = Usual.of(np.concatenate(seen))

    @property
    def none(self) -> bool:
        """Whether nothing lies over the face, in any frame."""
        return not self._edges

    def over_lips(self, row: int) -> bool:
        """Whether something lies over the lips of a row."""
        edges = self._edges.get(row)
        return edges is not None and edges.covers(self._finder.lips(row))

    def kept(
        self, row: int, planes: Sequence[blend.Plane], matrices: Sequence[align.Matrix]
    ) -> blend.Kept | None:
        """What lies over the face in the ``planes`` of a row, to which ``matrices`` lead from canonical coordinates."""
        edges = self._edges.get(row)
        if edges is None or self._usual is None:
            return None
        colors = self._colors(edges, planes, matrices, row)
        if colors is None:
            return None
        mouth = self._mouth(edges, row)
        matte, boxes = edges.matte(colors, self._finder.unit, mouth, self._usual)
        if not (matte[self._face(edges, row)] > 0).any():
            return None
        from_luma = align.invert(self._planes[0])
        on_luma = align.compose(from_luma, edges.plane_from_working())
        ways = tuple(align.compose(plane, on_luma) for plane in self._planes)
        return blend.Kept(matte, ways, boxes)

    def uncovered(
        self,
        rows: Iterable[int],
        lent: Mapping[int, blend.Reference],
        splits: Mapping[int, Floats],
    ) -> Uncovered:
        """Those references of ``rows`` that something lies over, without it; ``lent`` are all, ``splits`` are where
        their teeth part.
        """
        found: dict[int, blend.Reference] = {}
        hidden = set()
        for row in rows:
            kept, _ = self._cover(row, lent[row])
            if kept is None:
                continue
            others = sorted(
                (other for other in lent if other != row),
                key=lambda other: float(np.abs(self._current[other] - self._current[row]).mean()),
            )
            donors = [(self._cover(r, lent[r])[1], splits[r]) for r in others[:_DONORS]]
            found[row], missing = self._filled(row, lent[row], kept, donors)
            if missing > _HIDDEN:
                hidden.add(row)
        return Uncovered(found, frozenset(hidden))

    def _cover(
        self, row: int, reference: blend.Reference
    ) -> tuple[blend.Kept | None, blend.Reference]:
        """What lies over a reference, and the reference with one plane more: of what is hidden, in 255ths."""
        if row not in self._covers:
            kept = self.kept(row, reference.planes, reference.plane_from_canonical)
            cover: NDArray[np.uint8] = np.zeros(reference.planes[0].shape, np.uint8)
            if kept is not None:
                under = self._on(kept, 0, reference, row) > _UNDER
                wide = cv2.dilate(under.astype(np.uint8), np.ones((5, 5), np.uint8))
                cover = wide.astype(np.uint8) * np.uint8(255)
            ways = reference.plane_from_canonical
            wider = blend.Reference(
                reference.vertices, (*reference.planes, cover), (*ways, ways[0])
            )
            self._covers[row] = kept, wider
        return self._covers[row]

    def _inside(self, edges: Edges, row: int) -> Mask:
        """(H, W) where the face is and not its silhouette, on a map of edges: from the nose to under the chin."""
        return self._drawn_inside(self._from_canonical(edges, row), row, edges.proven.shape)

    def _drawn_inside(self, way: align.Matrix, row: int, shape: tuple[int, ...]) -> Mask:
        """The same on a picture of a ``shape``, to which ``way`` leads from canonical coordinates."""
        face = self._current[row]
        outline = np.concatenate([face[landmark_layout.JAW], face[landmark_layout.NOSE_TIP[:1]]])
        middle = face[landmark_layout.LIPS].mean(0)
        points = align.apply(way, (middle + (outline - middle) * _INSIDE).astype(np.float32))
        drawn = np.zeros(shape, np.uint8)
        cv2.fillPoly(drawn, [np.round(points).astype(np.int32)], 1)
        return drawn > 0

    def _filled(
        self,
        row: int,
        reference: blend.Reference,
        kept: blend.Kept,
        donors: Sequence[tuple[blend.Reference, Floats]],
    ) -> tuple[blend.Reference, float]:
        """A reference whose holes are filled by what ``donors`` show there, and the share of its mouth left."""
        ids = mesh_warp.triangle_map(reference.vertices, _GRID)
        warps = [
            mesh_warp.warp(reference.vertices, donor.vertices, ids, split)
            for donor, split in donors
        ]
        planes: list[blend.Plane] = []
        missing = 1.0
        limit = _FURTHEST * (1 << self._depth)
        for k, (plane, matrix) in enumerate(
            zip(reference.planes, reference.plane_from_canonical, strict=True)
        ):
            cover = self._on(kept, k, reference, row)
            left = cover > _UNDER
            made = plane.astype(np.float32)
            around = cv2.dilate(left.astype(np.uint8), np.ones((_BESIDE, _BESIDE), np.uint8)) > 0
            face = self._drawn_inside(matrix, row, plane.shape)
            for (donor, _), warp in zip(donors, warps, strict=True):
                if not left.any():
                    break
                size = plane.shape[::-1]
                last = len(donor.planes) - 1
                pixels, over = blend.warped(donor, warp, matrix, size, (k, last), self._black)
                free = over < 255 * _UNDER
                ring = (around & ~(cover > _UNDER) & free).astype(np.float32)
                pixels += blend.color_offset(plane, pixels, ring, limit)
                taken = left & free & face
                made[taken] = pixels[taken]
                left &= ~taken
            top = float((1 << self._depth) - 1)
            whole: NDArray[Any] = np.clip(np.rint(made), 0, top).astype(plane.dtype)
            if left.any():
                mask = left.astype(np.uint8)
                whole = cv2.inpaint(whole, mask, _FILL, cv2.INPAINT_TELEA).astype(plane.dtype)
            if k == 0:
                missing = self._missing(left, kept, reference, row)
            planes.append(whole)
        return replace(reference, planes=tuple(planes)), missing

    def _missing(self, left: Mask, kept: blend.Kept, reference: blend.Reference, row: int) -> float:
        """The share of a mouth that is ``left`` (H, W) hidden in the luma of a reference; 1 under a box."""
        matrix = reference.plane_from_canonical[0]
        points = align.apply(matrix, self._current[row][landmark_layout.LIPS_OUTER])
        hull = [np.round(cv2.convexHull(points)).astype(np.int32)]
        lips = np.zeros(left.shape, np.uint8)
        cv2.fillPoly(lips, hull, 1)
        cv2.polylines(lips, hull, True, 1, round(2 * _LIPS_REACH * align.scale_of(matrix)))
        if not lips.any():
            return 1.0
        face = self._drawn_inside(matrix, row, left.shape)
        box = self._on(kept, 0, reference, row, boxes=True)
        return 1.0 if box[face].mean() > _MOST_BOXED else float(left[lips > 0].mean())

    def _on(
        self,
        kept: blend.Kept,
        plane: int,
        reference: blend.Reference,
        row: int,
        *,
        boxes: bool = False,
    ) -> Floats:
        """A map on a plane of a reference, which is a part of the picture's."""
        whole = align.compose(self._planes[plane], self._display[row])
        x, y = np.round((whole - reference.plane_from_canonical[plane])[:, 2]).astype(int)
        shape = reference.planes[plane].shape
        return kept.on(plane, int(x), int(y), shape, boxes=boxes)

    def _colors(
        self,
        edges: Edges,
        planes: Sequence[blend.Plane],
        matrices: Sequence[align.Matrix],
        row: int,
    ) -> Floats | None:
        """(H, W, planes) in 255ths, as the map of edges lies; None outside the picture."""
        from_canonical = self._from_canonical(edges, row)
        shape = edges.proven.shape
        colors = []
        for plane, matrix in zip(planes, matrices, strict=True):
            if not plane.size:
                return None
            back = align.compose(from_canonical, align.invert(matrix))
            flags, mode = cv2.INTER_LINEAR, cv2.BORDER_REPLICATE
            seen = cv2.warpAffine(plane, back, shape[::-1], flags=flags, borderMode=mode)
            colors.append(seen.astype(np.float32) / (1 << (self._depth - 8)))
        return np.stack(colors, 2)

    def _from_canonical(self, edges: Edges, row: int) -> align.Matrix:
        return align.compose(align.invert(edges.plane_from_working()), self._ways[row])

    def _face(self, edges: Edges, row: int) -> Mask:
        """(H, W) where the lower face is, on a map of edges."""
        mask = masks.soft_mask(self._current[row], self._target[row], self._feather)
        back = align.invert(mesh_warp.grid_from_canonical(len(mask)))
        way = align.compose(self._from_canonical(edges, row), back)
        return np.asarray(blend.to_plane(mask, way, edges.proven.shape[::-1]) > _SHARE)

    def _mouth(self, edges: Edges, row: int) -> Mask:
        """(H, W) where the lips are, on a map of edges."""
        drawn = np.zeros(edges.proven.shape, np.uint8)
        lips = self._current[row][landmark_layout.LIPS_OUTER]
        hull = cv2.convexHull(align.apply(self._from_canonical(edges, row), lips))
        cv2.fillPoly(drawn, [np.round(hull).astype(np.int32)], 1)
        return cv2.dilate(drawn, np.ones((5, 5), np.uint8)) > 0


# distance of skin's points from one another and from the lips, canonical units; and where they lie inside the jaw, as
# shares of the way to the mouth
_APART, _FROM_LIPS = 0.08, 0.13
_INSIDE_JAW = (0.05, 0.14, 0.26, 0.4)


@cache
def _skin_triangles() -> Indices:
    """(N, 3) triangles of the mesh whose middles lie on the skin of the lower face, none beside another."""
    mean, mesh = align.mean_face(), mesh_warp.mesh()
    edge = np.isin(mesh.triangles, [*landmark_layout.JAW, *landmark_layout.OVAL]).sum(1)
    inside = (mesh.triangles < len(mean)).all(1) & ~mesh.inner & (edge <= 1)
    triangles = mesh.triangles[inside]
    middles = mean[triangles].mean(1)
    lips = np.linalg.norm(middles[:, None] - mean[landmark_layout.LIPS], axis=2).min(1)
    below = mean[landmark_layout.NOSE_TIP[0], 1]
    chosen: list[int] = []
    for k in np.flatnonzero((middles[:, 1] > below) & (lips > _FROM_LIPS)).tolist():
        if all(np.linalg.norm(middles[k] - middles[c]) > _APART for c in chosen):
            chosen.append(k)
    return np.asarray(triangles[chosen], np.intp)


def skin_points(face: Floats) -> Floats:
    """(P, 2) places of the skin of the lower face, the same in each face (L, 2), between its landmarks."""
    middle = face[landmark_layout.LIPS].mean(0)
    jaw = face[landmark_layout.JAW[2:-2]]
    rows = [jaw + share * (middle - jaw) for share in _INSIDE_JAW]
    return np.concatenate([face[_skin_triangles()].mean(1), *rows]).astype(np.float32)


# by how many 255ths skin differs between two frames of a face that show the same (where light changes, or a fold
# deepens), and from where on it is not the same thing: of luma, and of the other planes. Of 40 clips over whose faces
# nothing lies, with the best of twelve references, one point in 10,000 differs by more than the first
_SAME_SKIN, _OTHER_THING = np.array([[44, 16, 16], [80, 30, 30]], np.float32)


def foreign(skin: Floats, other: Floats) -> Floats:
    """(..., P) 0..1: where two looks at a skin, (..., P, C), do not show the same: something lies over one of them.

    Y U V or gray, in 255ths; NaN where it is not known. What all of the skin differs by is light.
    """
    change = other - skin
    known = np.isfinite(change)
    some = np.where(known, change, 0)[..., ::3, :]
    light = smooth.median(np.ascontiguousarray(some.swapaxes(-1, -2)))[..., None, :]
    low, high = (limits[: change.shape[-1]] for limits in (_SAME_SKIN, _OTHER_THING))
    part = np.clip((np.abs(change - light) - low) / (high - low), 0, 1)
    return np.asarray(np.where(known, part, 0).max(-1), np.float32)


_FOREIGN = 3.0  # what a reference costs that shows something else on all of the skin
Mixes = Sequence[Sequence[tuple[int, float]]]


class SkinCovers:
    """Where something lies over the skin of one face, or of its references: there they do not show the same.

    ``current`` (T, L, 2) are canonical landmarks as filmed, ``others`` those of frames that other shots lend.
    """

    def __init__(
        self,
        current: Floats,
        others: Sequence[Floats],
        planes: int,
        depth: int,
    ) -> None:
        self._faces, self._frames = [*current, *others], len(current)
        self._depth = depth
        shape = len(self._faces), len(skin_points(self._faces[0])), planes
        self._skin = np.full(shape, np.nan, np.float32)
        self._covered = np.zeros(shape[:2], np.float32)

    def see(
        self, planes: Sequence[blend.Plane], matrices: Sequence[align.Matrix], row: int
    ) -> None:
        """Look at the skin of a row, from T on that of a lent one; ``matrices`` lead from canonical coordinates."""
        self._skin[row] = self._colors(planes, matrices, row)

    def _colors(
        self, planes: Sequence[blend.Plane], matrices: Sequence[align.Matrix], row: int
    ) -> Floats:
        return blend.colors_at(planes, matrices, skin_points(self._faces[row]), self._depth)

    def cost(self, rows: Indices) -> Floats:
        """(T, N) what the references ``rows`` (N,) cost for what they show of the skin that a frame does not."""
        seen = self._skin[: self._frames]
        other = [foreign(seen, self._skin[row]).mean(1) for row in rows]
        return np.asarray(_FOREIGN * np.stack(other, 1), np.float32)

    def settle(
        self, mixes: Mixes, bank: Sequence[int], lent: Mapping[int, blend.Reference]
    ) -> None:
        """Find what is covered where each row is a mix of entries of the ``bank``, as they are ``lent``: of what lay
        over references, some was taken out.
        """
        skin = {entry: self._skin[bank[entry]] for mix in mixes for entry, _ in mix}
        for entry in skin:
            reference, row = lent.get(bank[entry]), bank[entry]
            if reference is not None and row < self._frames:
                skin[entry] = self._colors(reference.planes, reference.plane_from_canonical, row)
        for row, mix in enumerate(mixes):
            other = np.stack([skin[entry] for entry, _ in mix])
            self._covered[row] = foreign(self._skin[row], other).max(0)

    def any(self, row: int) -> bool:
        """Whether something lies over the skin of a row, or of its references."""
        return bool(self._covered[row].any())

    def mask(
        self, row: int, target: Floats, filmed: blend.Reference, lent: Sequence[blend.Reference]
    ) -> Floats:
        """(128, 128) 0..1 where it lies, of a row that is to get the landmarks ``target``; 0 on its mouth."""
        goal = mesh_warp.vertices(target)
        ids = mesh_warp.triangle_map(goal, masks.GRID)

        def shown(reference: blend.Reference) -> Floats:
            carried = mesh_warp.warp(goal, reference.vertices, ids)
            every, to_grid = range(len(reference.planes)), mesh_warp.grid_from_canonical(masks.GRID)
            parts = blend.warped(reference, carried, to_grid, ids.shape, every)
            picture = cv2.blur(np.stack(parts, 2) / (1 << (self._depth - 8)), (3, 3))
            return np.asarray(picture.reshape(ids.size, -1), np.float32)

        other = foreign(shown(filmed), np.stack([shown(reference) for reference in lent])).max(0)
        near = skin_points(self._faces[row])[self._covered[row] > 0]
        covered = masks.cover_mask(near, other.reshape(ids.shape))
        return np.asarray(covered * (1 - masks.mouth_mask(target)), np.float32)
