"""The image net (SC) with numpy in and out: one frame at a time, so that no frame depends on its neighbors.

Called by several threads at once; on the CPU the process has one torch thread (`models.devices.place`).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.resources import as_file, files
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from dubkit.errors import ModelError
from dubkit.faces import align, landmark_layout
from dubkit.faces.align import Matrix, apply, compose, invert, scale_of
from dubkit.lips import blend, lending, masks, mesh_warp, overlay_removal, references
from dubkit.lips.mesh_warp import Warp, grid_from_canonical
from dubkit.media.frames import Frame
from dubkit.media.planes import (
    Plane,
    black_of,
    paint_format,
    plane_format,
    plane_from_display,
    warp_plane,
)
from dubkit.models.checkpoint import Checkpoint
from dubkit.models.sc import CHOICE, ScInput, ScNet, ScOutput, load_sc
from dubkit.records import Floats, VideoInfo

SIZE = 128
LEFT, TOP, SIDE = -1.25, 0.0, 2.5  # canonical units
SKETCHES = 6  # channels of `sketch`
_HIDDEN = 0.004  # mask above which the frame is hidden from the net
_LIPS_REACH = 0.12  # canonical units around the lips where only the patch is right
_LIPS_SOFT = 0.06
_FURTHEST = 0.12  # by which colors may be off, of their range
_EDGE = 8  # grid pixels at the border over which nothing is added any more


@dataclass(frozen=True, slots=True)
class Outline:
    """The geometry of one frame's patch on the grid; all (S, S) in 0..1 but the sketch."""

    mask: Floats  # of `masks.whole_mask`
    visible: Floats  # 0 or 1: the part of the frame that is shown to the net, nothing of its jaw
    core: Floats  # around the lips, where the patch replaces the frame entirely
    ring: Floats  # where the patch must agree with the frame
    sketch: Floats  # (S, S, SKETCHES)


def view_from_canonical(size: int = SIZE) -> Matrix:
    """Canonical coordinates -> pixels of the (size, size) grid; pixel centers at integers."""
    scale = size / SIDE
    return np.array([[scale, 0, -LEFT * scale - 0.5], [0, scale, -TOP * scale - 0.5]])


def from_warp_grid(grid: Floats, size: int = SIZE) -> Floats:
    """A square map of the warp region (`warp.grid_from_canonical`) resampled on the view."""
    matrix = compose(view_from_canonical(size), invert(grid_from_canonical(grid.shape[0])))
    flags, mode = cv2.INTER_LINEAR, cv2.BORDER_REPLICATE
    seen = cv2.warpAffine(grid, matrix, (size, size), flags=flags, borderMode=mode)
    return np.asarray(seen, np.float32)


def to_warp_grid(view: Floats, size: int, outside: float) -> Floats:
    """The way back; ``outside`` fills what the view does not show."""
    matrix = compose(grid_from_canonical(size), invert(view_from_canonical(view.shape[0])))
    flags, mode = cv2.INTER_LINEAR, cv2.BORDER_CONSTANT
    made = cv2.warpAffine(
        view, matrix, (size, size), flags=flags, borderMode=mode, borderValue=(outside,)
    )
    return np.asarray(made, np.float32)


def outline(current: Floats, target: Floats, mask: Floats, ring: Floats) -> Outline:
    """All maps of one frame.

    ``current`` and ``target`` (L, 2) canonical landmarks as filmed and as wanted; ``mask`` and ``ring`` as
    `masks` makes them.
    """
    seen = from_warp_grid(mask)
    return Outline(
        mask=seen,
        visible=(seen <= _HIDDEN).astype(np.float32),
        core=_core(current, target),
        ring=from_warp_grid(ring),
        sketch=_sketch(current, target, seen),
    )


def _sketch(current: Floats, target: Floats, mask: Floats) -> Floats:
    """Drawn landmarks, (S, S, SKETCHES): wanted lips, their inside and jaw, filmed lips and jaw, the mask."""
    drawn = [
        _filled(target[landmark_layout.LIPS_OUTER]),
        _filled(target[landmark_layout.LIPS_INNER]),
        _filled(_lower_face(target)),
        _filled(current[landmark_layout.LIPS_OUTER]),
        _filled(_lower_face(current)),
        mask,
    ]
    return np.stack(drawn, 2)


def _lower_face(face: Floats) -> Floats:
    return np.concatenate([face[landmark_layout.JAW], face[landmark_layout.NOSE_TIP[2:3]]])


def _filled(points: Floats) -> Floats:
    """A polygon (N, 2), canonical, drawn with soft edges."""
    drawn = np.zeros((SIZE, SIZE), np.uint8)
    fixed = np.round(apply(view_from_canonical(), points) * 16).astype(np.int32)
    cv2.fillPoly(drawn, [fixed], 255, cv2.LINE_AA, 4)
    return np.asarray(drawn.astype(np.float32) / 255)


def _core(current: Floats, target: Floats) -> Floats:
    drawn = masks.hulls((current, target), _LIPS_REACH, view_from_canonical())
    return np.asarray(cv2.GaussianBlur(drawn, (0, 0), _LIPS_SOFT * SIZE / SIDE))


def border() -> Floats:
    """(S, S) 1 inside, falling to 0 at the grid's border: what is added there would end in a line."""
    ramp = np.minimum(np.arange(SIZE), np.arange(SIZE)[::-1]) / _EDGE
    one = np.clip(ramp, 0, 1)
    return np.asarray(one[:, None] * one[None], np.float32)


def shrink(reference: blend.Reference) -> blend.Reference:
    """The same reference with planes no finer than the grid needs, so that sampling them does not alias."""
    pairs = zip(reference.planes, reference.plane_from_canonical, strict=True)
    planes, matrices = zip(*(_shrunk(plane, matrix) for plane, matrix in pairs), strict=True)
    return blend.Reference(reference.vertices, planes, matrices)


def _shrunk(plane: Plane, matrix: Matrix) -> tuple[Plane, Matrix]:
    """A plane and its ``plane_from_canonical``, both smaller by a whole number."""
    factor = max(int(scale_of(matrix) * SIDE / SIZE), 1)
    height, width = plane.shape[0] // factor, plane.shape[1] // factor
    if factor == 1 or not height or not width:
        return plane, matrix
    size, whole = (width, height), plane[: height * factor, : width * factor]
    small: Plane = cv2.resize(whole, size, interpolation=cv2.INTER_AREA).view(plane.dtype)
    shift = (1 / factor - 1) / 2
    smaller = np.array([[1 / factor, 0, shift], [0, 1 / factor, shift]])
    return small, compose(smaller, matrix)


@dataclass(frozen=True, slots=True)
class Coding:
    """How planes code a picture."""

    depth: int
    black: float  # the sample of luma that is black

    def picture(self, planes: Sequence[Floats]) -> Floats:
        """Planes resampled on the grid -> picture."""
        top = float((1 << self.depth) - 1)
        if len(planes) == 1:
            luma = planes[0] / top - 0.5
            return np.stack([luma, np.zeros_like(luma), np.zeros_like(luma)], 2)
        return np.asarray(np.stack(list(planes), 2) / np.float32(top) - np.float32(0.5), np.float32)

    def planes(self, change: Floats, count: int) -> list[Floats]:
        """A change of picture (S, S, 3) -> the change of each plane, in samples."""
        top = np.float32((1 << self.depth) - 1)
        return [np.ascontiguousarray(change[..., k]) * top for k in range(count)]


def as_filmed(reference: blend.Reference, coding: Coding) -> Floats:
    """A frame's picture on the grid."""
    planes = []
    for plane, matrix in zip(reference.planes, reference.plane_from_canonical, strict=True):
        to_view = compose(view_from_canonical(), invert(matrix))
        if plane.size:
            # the interpolation of `blend.warped`: else the net would learn their difference
            flags, mode = cv2.INTER_CUBIC, cv2.BORDER_REPLICATE
            seen = cv2.warpAffine(plane, to_view, (SIZE, SIZE), flags=flags, borderMode=mode)
            planes.append(np.asarray(seen, np.float32))
        else:
            planes.append(np.zeros((SIZE, SIZE), np.float32))
    return coding.picture(planes)


def as_warped(reference: blend.Reference, warp: Warp, coding: Coding) -> Floats:
    """A reference's picture on the grid, carried to the wanted shape."""
    matrix, size = view_from_canonical(), (SIZE, SIZE)
    group = range(len(reference.planes))
    return coding.picture(blend.warped(reference, warp, matrix, size, group, coding.black))


def color_offset(filmed: Floats, made: Floats, ring: Floats) -> Floats:
    """(S, S, 3) what makes ``made`` agree with the frame along the ring."""
    return blend.color_offset(filmed, made, ring, _FURTHEST)


@dataclass(frozen=True, slots=True)
class Mouth:
    """The output of the net for one frame, on its grid."""

    weights: Floats  # (K, S, S) of the references, together 1: of light and color
    texture: Floats  # (K, S, S) the same, of what is finer
    residual: Floats  # (S, S, 3) to be added
    mask: Floats  # (S, S) 0..1, factor of the soft mask

    def limited(self, trust: float, weights: Sequence[float]) -> Mouth:
        """Interpolated between this output (``trust`` 1) and the plain mix of the references (0)."""
        plain = np.asarray(weights, np.float32)[:, None, None]
        mixed = trust * self.weights + (1 - trust) * plain
        chosen = mixed**CHOICE
        return Mouth(
            weights=mixed,
            texture=chosen / chosen.sum(0),
            residual=self.residual * np.float32(trust),
            mask=1 - np.float32(trust) * (1 - self.mask),
        )

    def led(self, where: Floats) -> Mouth:
        """The same with the first reference alone ``where`` (S, S) is 1."""
        only = np.zeros_like(self.weights)
        only[0] = 1
        weights, texture = (w + where * (only - w) for w in (self.weights, self.texture))
        return replace(self, weights=weights, texture=texture)


class MouthPainter:
    """The SC net of the package, or of a checkpoint file."""

    def __init__(self, device: torch.device, weights: Path | None = None) -> None:
        self._device, self._path = device, weights

    @cached_property
    def _loaded(self) -> tuple[ScNet, Checkpoint]:
        if self._path is not None:
            net, checkpoint = load_sc(self._path)
        else:
            with as_file(files("dubkit") / "weights" / "sc.safetensors") as path:
                net, checkpoint = load_sc(path)
        if net.config.sketches != SKETCHES:
            raise ModelError(f"the SC net was made for {net.config.sketches} sketches")
        net.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return net, checkpoint

    @property
    def version(self) -> str:
        """Names the weights."""
        return f"sc1-{self._loaded[1].digest}"

    def paint(
        self,
        filmed: Floats,
        outline: Outline,
        pictures: Sequence[Floats],
        shades: Sequence[Floats],
        weights: Sequence[float],
    ) -> Mouth:
        """One frame.

        ``filmed`` (S, S, 3) the frame, ``pictures`` of the references (S, S, 3) and ``shades`` (S, S), all on
        the view; ``weights`` sum to 1.
        """
        given = ScInput(
            filmed=self._tensor(filmed * outline.visible[..., None]),
            visible=self._tensor(outline.visible[..., None]),
            sketch=self._tensor(outline.sketch),
            core=self._tensor(outline.core[..., None]),
            references=torch.cat([self._tensor(p) for p in pictures])[None],
            shade=torch.cat([self._tensor(s[..., None]) for s in shades])[None],
            weights=torch.tensor([list(weights)], dtype=torch.float32, device=self._device),
        )
        with torch.inference_mode():
            output: ScOutput = self._loaded[0](given)
        mixed = output.weights[0].float().cpu().numpy()
        chosen = mixed**CHOICE
        return Mouth(
            weights=mixed,
            texture=chosen / chosen.sum(0),
            residual=np.ascontiguousarray(
                output.residual[0].float().cpu().numpy().transpose(1, 2, 0)
            ),
            mask=output.mask[0, 0].float().cpu().numpy(),
        )

    def _tensor(self, part: Floats) -> Tensor:
        """(S, S, C) -> (1, C, S, S)."""
        assert part.shape[:2] == (SIZE, SIZE)
        whole = torch.from_numpy(np.ascontiguousarray(part, np.float32)).permute(2, 0, 1)
        return whole[None].to(self._device)


# the warp is smooth but at the lips, whose border a coarser grid blurs: a small face can afford a finer one
_MIN_GRID, _MAX_GRID, _GRID_PER_PIXEL = 192, 288, 0.6
# limits of the factor by which detail of a mouth is fitted to what this speaker's mouths of that shape have
_CRISPER = (0.65, 1.1)
_GIVEN = 0.8  # e-folds of detail for one of energy; edges are not all detail
# nose and upper cheeks, by which the light of a face is told: nothing that speech moves
_LIT = np.concatenate([landmark_layout.NOSE_BRIDGE, landmark_layout.NOSTRILS])
_FADE_SECONDS = 0.06  # half of the time in which a mouth that is hidden fades
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
    choice: references.Choice  # among them, and then the lent ones
    lent: lending.Lent = lending.NOTHING  # frames of other shots, rows from T on
    trust: Floats | None = None  # (T,) 0..1, how far the net is followed; None: wholly


class Renderer:
    """See the module. Without a painter the warp alone makes the picture."""

    def __init__(
        self, info: VideoInfo, plan: FacePlan, feather: float, painter: MouthPainter | None
    ) -> None:
        self._plan = plan
        self._feather = feather
        self._painter = painter
        layout = paint_format(plane_format(info))
        self._shape = (info.height, info.width)
        self._planes = [plane_from_display(info, layout, k) for k in range(layout.planes)]
        self._coding = Coding(layout.depth, black_of(layout))
        self._lent: dict[int, blend.Reference] = {}
        self._split: dict[int, Floats] = {}
        self._small: dict[int, blend.Reference] = {}
        self._shown: dict[int, Floats | None] = {}
        frames = len(plan.alpha)
        own = {row for row in plan.bank if row < frames}
        rows = {*own, *np.flatnonzero(plan.alpha > 0).tolist()}
        self._row_of = {plan.start + row: row for row in rows}
        self.borrowed = frozenset(self._row_of)
        unknown = np.full(frames + len(plan.lent), np.nan, np.float32)
        self._look = references.Look(unknown, unknown.copy())
        self._settled: list[references.Mix] | None = None
        self._sharpness = unknown
        self._overlays = overlay_removal.FaceOverlays(
            self._planes,
            plan.display_from_canonical,
            (plan.current, plan.target),
            feather,
            float(info.average_rate),
            layout.depth,
            self._coding.black,
        )
        self._covers = overlay_removal.SkinCovers(
            plan.current,
            [offer.canonical for offer in plan.lent.offers],
            len(self._planes),
            layout.depth,
        )
        self._fade = max(1, round(_FADE_SECONDS * float(info.average_rate)))
        self._alpha = plan.alpha
        for row, reference in enumerate(plan.lent.references, frames):
            self._keep(reference, row)
        self._lock = threading.Lock()

    def _plane_from_canonical(self, row: int) -> list[align.Matrix]:
        return [align.compose(m, self._plan.display_from_canonical[row]) for m in self._planes]

    def _cut(self, planes: Sequence[Plane], row: int) -> blend.Reference:
        """The face's surroundings in a frame."""
        vertices = mesh_warp.vertices(self._plan.current[row])
        return blend.cut_reference(planes, self._plane_from_canonical(row), vertices)

    def lend(self, frame: Frame) -> None:
        """See how a frame looks; of those of the bank keep the face's surroundings."""
        row = self._row_of[frame.index]
        ways = self._plane_from_canonical(row)
        self._see(frame.planes[0], align.apply(ways[0], self._plan.current[row]), row)
        self._covers.see(frame.planes, ways, row)
        self._overlays.see(frame.planes[0], row)
        if row in self._plan.bank:
            self._keep(self._cut(frame.planes, row), row)

    def _keep(self, reference: blend.Reference, row: int) -> None:
        """A reference to borrow from; how one of another shot looks is seen here."""
        self._lent[row] = reference
        self._split[row] = blend.teeth_part(reference, self._coding.black)
        grid = self._on_grid(reference.planes, reference.plane_from_canonical)
        self._shown[row] = masks.shown_by(grid, reference.vertices[: landmark_layout.COUNT])
        if self._painter is not None:
            self._small[row] = shrink(reference)
        other = row - len(self._plan.alpha)
        if other >= 0:
            canonical = self._plan.lent.offers[other].canonical
            face = align.apply(reference.plane_from_canonical[0], canonical)
            self._see(reference.planes[0], face, row)
            self._covers.see(reference.planes, reference.plane_from_canonical, row)

    def _on_grid(self, planes: Sequence[Plane], ways: Sequence[Matrix]) -> Floats:
        """(S, S, C) planes on the grid of `masks`, in 255ths; ``ways`` lead to them from canonical coordinates."""
        back = invert(grid_from_canonical(SIZE))
        seen = np.zeros((SIZE, SIZE, len(planes)), np.float32)
        for k, (plane, way) in enumerate(zip(planes, ways, strict=True)):
            if plane.size:
                seen[..., k] = warp_plane(plane, compose(way, back), SIZE)
        return seen / np.float32(1 << (self._coding.depth - 8))

    def _see(self, luma: Plane, face: Floats, row: int) -> None:
        """Note sharpness of the mouth and light of a ``face`` (L, 2), in pixels."""
        skin = blend.part(luma, face[_LIT])
        self._look.sharpness[row] = blend.sharpness(luma, face[landmark_layout.LIPS])
        if skin.size:
            self._look.light[row] = np.log(skin.mean() + 1)

    def settled(self) -> list[references.Mix]:
        """T mixes of bank entries, the shown mouth's first; weights are of skin. Decided when all was lent."""
        with self._lock:
            if self._settled is None:
                plan = self._plan
                self._look_over()
                frames, sharp = len(plan.alpha), self._look.sharpness
                shown = np.stack([*plan.current, *(o.canonical for o in plan.lent.offers)])
                usual, wanted = (
                    references.sharpness_of_shapes(sharp[:frames], plan.current, faces)
                    for faces in (shown, plan.target)
                )
                look = replace(self._look, sharpness=sharp - usual)
                self._sharpness = wanted + references.steady(look.sharpness[:frames])
                self._settled = self._uncovered(look)
                self._covers.settle(self._settled, plan.bank, self._lent)
            return self._settled

    def _look_over(self) -> None:
        """Find what lies over the face: how sharp a mouth is behind it is not known."""
        frames = len(self._plan.alpha)
        own = {row: reference for row, reference in self._lent.items() if row < frames}
        self._overlays.find(own)
        for row in range(frames):
            if self._overlays.over_lips(row):
                self._look.sharpness[row] = np.nan

    def _uncovered(self, look: references.Look) -> list[references.Mix]:
        """What `settled` gives, with what lies over the chosen ones taken out of them.

        Where nothing else is left than references whose mouths are hidden, the frames keep theirs; so do those in which
        something lies over the lips themselves.
        """
        plan, hidden = self._plan, set[int]()
        frames = len(plan.alpha)
        own = {row: reference for row, reference in self._lent.items() if row < frames}
        done: set[int] = set()
        covered = self._covers.cost(plan.choice.rows)
        choice = replace(plan.choice, cost=plan.choice.cost + covered)
        while True:
            left = references.without(choice, hidden)
            path = references.steady_path(left, look)
            skin = references.blend_weights(references.skin_path(left, look))
            mixes = references.led(skin, path)
            used = {plan.bank[entry] for mix in mixes for entry, _ in mix} & set(own) - done
            if self._overlays.none or not used:
                break
            clear = self._overlays.uncovered(used, own, self._split)
            for row, reference in clear.references.items():
                self._keep(reference, row)
            hidden |= clear.hidden
            done |= used
            if not clear.hidden:
                break
        unseen = np.array(
            [plan.bank[e] in hidden or self._overlays.over_lips(row) for row, e in enumerate(path)]
        )
        if unseen.any():
            box = np.ones(2 * self._fade + 1, np.float32)
            wide = np.convolve(unseen, box, "same") > 0
            shown = ~unseen * (1 - np.convolve(wide, box / len(box), "same"))
            self._alpha = np.asarray(plan.alpha * shown, np.float32)
        return mixes

    @property
    def hidden_frames(self) -> int:
        """Frames that keep their mouth, since something lies over it, or over all mouths that could be borrowed."""
        return int(((self._plan.alpha > 0) & (self._alpha == 0)).sum())

    def touches(self, index: int) -> bool:
        """Whether frame ``index`` of the film changes; decided when all was lent."""
        row, alpha = index - self._plan.start, self._plan.alpha
        if not (0 <= row < len(alpha) and alpha[row] > 0):
            return False
        self.settled()
        return bool(self._alpha[row] > 0)

    def mask(self, index: int) -> Floats | None:
        """(H, W) 0..1, soft, over the first plane: outside it nothing of that frame changes."""
        if not self.touches(index):
            return None
        row, plan = index - self._plan.start, self._plan
        soft = masks.soft_mask(plan.current[row], plan.target[row], self._feather)
        place = self._plane_from_canonical(row)[0]
        return blend.mask_over(soft * self._alpha[row], place, self._shape)

    def paint(self, frame: Frame, planes: tuple[Plane, ...]) -> bool:
        """Compose the wanted mouth into ``planes``."""
        if not self.touches(frame.index):
            return False
        row = frame.index - self._plan.start
        matrices, plan = self._plane_from_canonical(row), self._plan
        kept = self._overlays.kept(row, frame.planes, matrices)
        mask = masks.soft_mask(plan.current[row], plan.target[row], self._feather)
        if masks.is_turned(plan.current[row]):
            faces = plan.current[row], plan.target[row]
            mask = mask * masks.filmed_silhouette(self._on_grid(frame.planes, matrices), *faces)
        if self._covers.any(row):
            own = self._cut(frame.planes, row)
            lent = [self._lent[plan.bank[entry]] for entry, _ in self.settled()[row]]
            mask = mask * (1 - self._covers.mask(row, plan.target[row], own, lent))
        patch = self._warped(row, mask, blend.native_scale(matrices))
        if self._painter is not None:
            patch = self._painted(self._painter, frame, row, patch)
        patch = replace(patch, mask=patch.mask * self._alpha[row], kept=kept)
        coding = self._coding
        blend.compose_patch(planes, matrices, patch, coding.depth, coding.black)
        lips = align.apply(matrices[0], plan.target[row][landmark_layout.LIPS])
        missing = float(self._sharpness[row]) - blend.sharpness(planes[0], lips)
        if np.isfinite(missing) and np.isfinite(self._look.sharpness[row]):
            gain = float(np.clip(np.exp(_GIVEN * missing), *_CRISPER))
            where = patch.mouth * patch.mask
            blend.crispen(planes[0], matrices[0], where, gain, coding.depth, kept)
        return True

    def _warped(self, row: int, mask: Floats, scale: float) -> blend.Patch:
        """The patch as the warp alone makes it."""
        plan = self._plan
        vertices = mesh_warp.vertices(plan.target[row])
        size = int(np.clip(_GRID_PER_PIXEL * scale * mesh_warp.SIDE, _MIN_GRID, _MAX_GRID))
        # the net looks beyond the mask
        part = mesh_warp.WHOLE if self._painter is not None else blend.reach(mask, size)
        ids = mesh_warp.triangle_map(vertices, size, part)
        warps: list[Lent] = []
        for entry, weight in self.settled()[row]:
            lender = plan.bank[entry]
            reference, split = self._lent[lender], self._split[lender]
            carried = mesh_warp.warp(vertices, reference.vertices, ids, split, part)
            warps.append((reference, carried, weight))
            shown = self._shown[lender]
            if shown is not None:
                mask = mask * (1 - weight * (1 - mesh_warp.carried(shown, carried)))
        ring = masks.skin_ring(plan.current[row], plan.target[row], mask)
        mouth = masks.mouth_mask(plan.target[row])
        return blend.Patch(mask, ring, tuple(warps), mouth)

    def _painted(
        self, painter: MouthPainter, frame: Frame, row: int, patch: blend.Patch
    ) -> blend.Patch:
        """The same patch, fused and completed by the net."""
        plan, coding = self._plan, self._coding
        current, target = plan.current[row], plan.target[row]
        hidden = np.maximum(masks.whole_mask(current, target, self._feather), patch.mask)
        region = outline(current, target, hidden, patch.ring)
        filmed = as_filmed(shrink(self._cut(frame.planes, row)), coding)
        pictures, offsets, shades = [], [], []
        for (entry, _), (_, carried, _) in zip(self.settled()[row], patch.warps, strict=True):
            picture = as_warped(self._small[plan.bank[entry]], carried, coding)
            offsets.append(color_offset(filmed, picture, region.ring))
            pictures.append(picture + offsets[-1])
            shades.append(from_warp_grid(carried.shade))
        weights = [weight for _, _, weight in patch.warps]
        mouth = painter.paint(filmed, region, pictures, shades, weights)
        if plan.trust is not None:
            mouth = mouth.limited(float(plan.trust[row]), weights)
        mouth = mouth.led(from_warp_grid(patch.mouth))
        change = mouth.residual * border()[..., None]
        change += (mouth.weights[..., None] * np.stack(offsets)).sum(0)
        shown = [k for k, w in enumerate(mouth.weights) if w.max() > _UNSEEN]
        share, texture = (w[shown] / w[shown].sum(0) for w in (mouth.weights, mouth.texture))
        return blend.Patch(
            mask=patch.mask * to_warp_grid(mouth.mask, len(patch.mask), outside=1.0),
            ring=patch.ring,
            mouth=patch.mouth,
            warps=tuple(patch.warps[k] for k in shown),
            painted=blend.Painted(
                view_from_canonical(),
                tuple(share),
                tuple(texture),
                tuple(coding.planes(change, len(self._planes))),
            ),
        )
