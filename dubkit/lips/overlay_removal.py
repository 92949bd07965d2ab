"""What lies over one face of a shot is kept in every frame, and taken out of the frames that lend their pixels.

What a reference does not show under a subtitle, others do, since the face moves: their pixels are carried there. A
reference whose mouth stays hidden is not borrowed from; where all are, the mouth stays as filmed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dubkit.faces import align, landmark_layout
from dubkit.lips import blend, masks, mesh_warp
from dubkit.lips.overlays import Edges, Kept, OverlayFinder, Usual
from dubkit.records import Floats, Mask

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
    ``shapes`` are the canonical landmarks (T, L, 2) as filmed and as wanted.
    """

    def __init__(
        self,
        planes: Sequence[align.Matrix],
        display: Sequence[align.Matrix],
        shapes: tuple[Floats, Floats],
        feather: float,
        rate: float,
        depth: int,
    ) -> None:
        self._planes, self._display, self._feather, self._depth = planes, display, feather, depth
        self._current, self._target = shapes
        ways = [align.compose(planes[0], way) for way in display]
        faces = [align.apply(way, face) for way, face in zip(ways, self._current, strict=True)]
        scales = np.array([align.scale_of(way) for way in ways], np.float32)
        self._ways = ways
        self._finder = OverlayFinder(np.stack(faces), scales, rate, depth)
        self._edges: dict[int, Edges] = {}
        self._usual: Usual | None = None
        self._covers: dict[int, tuple[Kept | None, blend.Reference]] = {}

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
    ) -> Kept | None:
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
        return Kept(matte, ways, boxes)

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

    def _cover(self, row: int, reference: blend.Reference) -> tuple[Kept | None, blend.Reference]:
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
        kept: Kept,
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
                pixels, over = blend.warped(donor, warp, matrix, size, (k, last))
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

    def _missing(self, left: Mask, kept: Kept, reference: blend.Reference, row: int) -> float:
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
        self, kept: Kept, plane: int, reference: blend.Reference, row: int, *, boxes: bool = False
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
