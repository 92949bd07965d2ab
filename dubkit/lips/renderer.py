"""Renders one face of one shot: own frames carried to the wanted mouth, fused, laid over the native planes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dubkit.faces import align
from dubkit.lips import blend, mesh_warp, refiner
from dubkit.lips.references import Mix
from dubkit.lips.refiner import MouthPainter
from dubkit.media.frames import Frame
from dubkit.media.planes import Plane, plane_format, plane_from_display
from dubkit.records import Floats, VideoInfo

# the warp is smooth but at the lips, whose border a coarser grid blurs: a small face can afford a finer one
_MIN_GRID, _MAX_GRID, _GRID_PER_PIXEL = 192, 288, 0.6
_UNSEEN = 0.01  # a reference that weighs less than this everywhere is left out

Lent = tuple[blend.Reference, mesh_warp.Warp, float]


@dataclass(frozen=True, slots=True)
class FacePlan:
    """What one face will do in a shot; T frames, rows as in its track."""

    start: int  # frame of row 0
    display_from_canonical: list[align.Matrix]  # T
    current: Floats  # (T, L, 2) canonical landmarks as filmed
    target: Floats  # (T, L, 2) canonical landmarks as wanted
    alpha: Floats  # (T,) 0: leave the frame alone
    bank: tuple[int, ...]  # rows whose pixels are borrowed
    mix: list[Mix]  # per row: bank entries and weights
    trust: Floats | None = None  # (T,) 0..1, how far the net is followed; None: wholly


class Renderer:
    """See the module. Without a painter the warp alone makes the picture."""

    def __init__(
        self, info: VideoInfo, plan: FacePlan, feather: float, painter: MouthPainter | None
    ) -> None:
        self._plan = plan
        self._feather = feather
        self._painter = painter
        layout = plane_format(info)
        self._planes = [plane_from_display(info, layout, k) for k in range(layout.planes)]
        self._coding = refiner.Coding(layout.depth, layout.is_rgb)
        self._lent: dict[int, blend.Reference] = {}
        self._small: dict[int, blend.Reference] = {}
        used = {plan.bank[entry] for mix in plan.mix for entry, _ in mix}
        self._row_of = {plan.start + row: row for row in used}
        self.borrowed = frozenset(self._row_of)

    def _plane_from_canonical(self, row: int) -> list[align.Matrix]:
        return [align.compose(m, self._plan.display_from_canonical[row]) for m in self._planes]

    def _cut(self, planes: Sequence[Plane], row: int) -> blend.Reference:
        """The face's surroundings in a frame."""
        vertices = mesh_warp.vertices(self._plan.current[row])
        return blend.cut_reference(planes, self._plane_from_canonical(row), vertices)

    def lend(self, frame: Frame) -> None:
        """Keep the face's surroundings of a bank frame."""
        row = self._row_of[frame.index]
        self._lent[row] = self._cut(frame.planes, row)
        if self._painter is not None:
            self._small[row] = refiner.shrink(self._lent[row])

    def touches(self, index: int) -> bool:
        """Whether frame ``index`` of the film changes."""
        row = index - self._plan.start
        return 0 <= row < len(self._plan.alpha) and self._plan.alpha[row] > 0

    def paint(self, frame: Frame, planes: tuple[Plane, ...]) -> bool:
        """Compose the wanted mouth into ``planes``."""
        if not self.touches(frame.index):
            return False
        row = frame.index - self._plan.start
        matrices, plan = self._plane_from_canonical(row), self._plan
        mask = blend.soft_mask(plan.current[row], plan.target[row], self._feather)
        patch = self._warped(row, mask, blend.native_scale(matrices))
        if self._painter is not None:
            patch = self._painted(self._painter, frame, row, patch)
        patch = replace(patch, mask=patch.mask * plan.alpha[row])
        blend.compose_patch(planes, matrices, patch, self._coding.depth)
        return True

    def _warped(self, row: int, mask: Floats, scale: float) -> blend.Patch:
        """The patch as the warp alone makes it."""
        plan = self._plan
        vertices = mesh_warp.vertices(plan.target[row])
        size = int(np.clip(_GRID_PER_PIXEL * scale * mesh_warp.SIDE, _MIN_GRID, _MAX_GRID))
        ids = mesh_warp.triangle_map(vertices, size)
        warps: list[Lent] = []
        for entry, weight in plan.mix[row]:
            reference = self._lent[plan.bank[entry]]
            warps.append((reference, mesh_warp.warp(vertices, reference.vertices, ids), weight))
        ring = blend.skin_ring(plan.current[row], mask)
        return blend.Patch(mask, ring, tuple(warps))

    def _painted(
        self, painter: MouthPainter, frame: Frame, row: int, patch: blend.Patch
    ) -> blend.Patch:
        """The same patch, fused and completed by the net."""
        plan, coding = self._plan, self._coding
        current, target = plan.current[row], plan.target[row]
        hidden = np.maximum(blend.whole_mask(current, target, self._feather), patch.mask)
        region = refiner.outline(current, target, hidden, patch.ring)
        filmed = refiner.as_filmed(refiner.shrink(self._cut(frame.planes, row)), coding)
        pictures, offsets, shades = [], [], []
        for (entry, _), (_, carried, _) in zip(plan.mix[row], patch.warps, strict=True):
            picture = refiner.as_warped(self._small[plan.bank[entry]], carried, coding)
            offsets.append(refiner.color_offset(filmed, picture, region.ring))
            pictures.append(picture + offsets[-1])
            shades.append(refiner.from_warp_grid(carried.shade))
        weights = [weight for _, _, weight in patch.warps]
        mouth = painter.paint(filmed, region, pictures, shades, weights)
        if plan.trust is not None:
            mouth = mouth.held_back(float(plan.trust[row]), weights)
        change = mouth.residual * refiner.border()[..., None]
        change += (mouth.weights[..., None] * np.stack(offsets)).sum(0)
        shown = [k for k, w in enumerate(mouth.weights) if w.max() > _UNSEEN]
        share, texture = (w[shown] / w[shown].sum(0) for w in (mouth.weights, mouth.texture))
        return blend.Patch(
            mask=patch.mask * refiner.to_warp_grid(mouth.mask, len(patch.mask), outside=1.0),
            ring=patch.ring,
            warps=tuple(patch.warps[k] for k in shown),
            painted=blend.Painted(
                refiner.view_from_canonical(),
                tuple(share),
                tuple(texture),
                tuple(coding.planes(change, len(self._planes))),
            ),
        )
