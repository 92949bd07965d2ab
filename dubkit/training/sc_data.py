"""What the SC net learns from: a frame of a clip, and other frames of the same clip carried to its mouth.

Self-reconstruction with the methods of `dubkit run` (`lips.mesh_warp`, `lips.refiner`): the references are chosen by
mouth shape and pose, never from the moment itself and sometimes deliberately of a distant mouth shape, because a dub
needs mouths that a shot does not show. The frame under the patch is given another mouth half of the time,
so that the mask learns what it must cover. A clip of a single picture (a portrait) lends itself, its mouth
warped to another shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import cv2
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own habit
from torch import Tensor

from dubkit.errors import InputError
from dubkit.faces import align, landmark_layout
from dubkit.lips import blend, masks, mesh_warp, references, refiner
from dubkit.models.sc import ScInput
from dubkit.records import Doubles, Floats, Picture
from dubkit.training.dataset import CROP, PreparedSet


@dataclass(frozen=True, slots=True)
class Footage:
    """One clip in memory; T frames."""

    name: str
    person: str
    luma: Picture  # (T, CROP, CROP)
    chroma: Picture  # (T, 2, CROP / 2, CROP / 2)
    canonical: Floats  # (T, L, 2)
    features: Floats  # (T, F) mouth shape and pose, see `lips.references`
    times: Doubles

    def reference(self, row: int) -> blend.Reference:
        """A frame as the generator keeps it."""
        planes = (self.luma[row], self.chroma[row, 0], self.chroma[row, 1])
        return blend.Reference(mesh_warp.vertices(self.canonical[row]), planes, matrices())


def matrices() -> tuple[align.Matrix, ...]:
    """``plane_from_canonical`` of a prepared crop's luma and chroma."""
    luma = mesh_warp.grid_from_canonical(CROP)
    half = np.array([[0.5, 0, -0.25], [0, 0.5, -0.25]])
    return luma, align.compose(half, luma), align.compose(half, luma)


def load_footage(prepared: PreparedSet, split: str, most: int) -> list[Footage]:
    """The clips of a split, of each at most ``most`` frames, spread evenly."""
    found = [_load(prepared, name, most) for name in prepared.names(split)]
    if not found:
        raise InputError(f"{prepared.root} holds no clip of the split {split}")
    return found


def _load(prepared: PreparedSet, name: str, most: int) -> Footage:
    clip = prepared.load(name)
    step = -(-len(clip.times) // most)
    luma, chroma = [], []
    for row, picture in enumerate(prepared.pictures(name)):
        if row % step == 0:
            coded = cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420)
            luma.append(coded[:CROP])
            chroma.append(coded[CROP:].reshape(2, CROP // 2, CROP // 2))
    to_canonical = align.invert(mesh_warp.grid_from_canonical(CROP))
    canonical = [
        align.apply(align.compose(to_canonical, matrix), face)
        for matrix, face in zip(clip.crop_from_display[::step], clip.landmarks[::step], strict=True)
    ]
    if len(luma) != len(canonical):
        raise InputError(f"{name} has {len(luma)} pictures for {len(canonical)} rows")
    points, times = np.stack(canonical), clip.times[::step]
    pose = references.pose_features(clip.pose[::step], np.zeros(len(times)))
    return Footage(
        name=name,
        person=prepared.clips[name].person,
        luma=np.stack(luma),
        chroma=np.stack(chroma),
        canonical=points,
        features=np.concatenate([references.mouth_features(points), pose], 1),
        times=times,
    )


Random = np.random.Generator


@dataclass(frozen=True, slots=True)
class Maps:
    """One sample or, stacked, a batch: everything on the view, channels first."""

    filmed: Tensor  # (B, 3, S, S)
    truth: Tensor  # (B, 3, S, S)
    visible: Tensor  # (B, 1, S, S)
    sketch: Tensor  # (B, C, S, S)
    core: Tensor  # (B, 1, S, S)
    mask: Tensor  # (B, 1, S, S) by geometry
    ring: Tensor  # (B, 1, S, S)
    references: Tensor  # (B, K, 3, S, S)
    shade: Tensor  # (B, K, 1, S, S)
    weights: Tensor  # (B, K)

    def given(self) -> ScInput:
        """The input of the net."""
        return ScInput(
            self.filmed,
            self.visible,
            self.sketch,
            self.core,
            self.references,
            self.shade,
            self.weights,
        )

    def parts(self) -> list[Tensor]:
        """All fields, in order."""
        return [getattr(self, f.name) for f in fields(self)]

    def to(self, device: torch.device) -> Maps:
        """On another device."""
        return from_parts([part.to(device) for part in self.parts()])


def from_parts(parts: Sequence[Tensor]) -> Maps:
    """The inverse of `Maps.parts`."""
    return Maps(**{f.name: part for f, part in zip(fields(Maps), parts, strict=True)})


def as_tensor(part: Floats) -> Tensor:
    """(S, S) or (S, S, C) -> (1, C, S, S)."""
    whole = part[..., None] if part.ndim == 2 else part
    return torch.from_numpy(np.ascontiguousarray(whole.transpose(2, 0, 1), np.float32))[None]


def stacked(samples: Sequence[Maps], rng: Random | None = None) -> Maps:
    """A batch; with ``rng`` each sample is mirrored or deformed."""
    whole = [torch.cat(parts) for parts in zip(*(s.parts() for s in samples), strict=True)]
    if rng is None:
        return from_parts(whole)
    grid = torch.cat([_deformation(rng) for _ in samples])
    images = [t.flatten(1, -3) for t in whole[:-1]]
    together = torch.cat(images, 1)
    moved = torch.split(
        F.grid_sample(together, grid, padding_mode="border", align_corners=False),
        [t.shape[1] for t in images],
        1,
    )
    back = [m.view(t.shape) for m, t in zip(moved, whole[:-1], strict=True)]
    seen = [f.name for f in fields(Maps)].index("visible")
    back[seen] = (back[seen] > 0.999).float()
    return from_parts([*back, whole[-1]])


def _deformation(rng: Random) -> Tensor:
    """(1, S, S, 2) a sampling grid: mirrored or not, other proportions, smooth bumps."""
    size = refiner.SIZE
    steps = (np.arange(size, dtype=np.float32) + 0.5) * 2 / size - 1
    x, y = np.meshgrid(steps, steps)
    if rng.random() < 0.6:
        coarse = rng.normal(0, 0.03, (2, 5, 5)).astype(np.float32)
        bumps = [cv2.resize(c, (size, size), interpolation=cv2.INTER_CUBIC) for c in coarse]
        scale = np.exp(rng.normal(0, 0.05, 2))
        x = x * np.float32(scale[0]) + bumps[0]
        y = y * np.float32(scale[1]) + bumps[1]
    if rng.random() < 0.5:
        x = -x
    return torch.from_numpy(np.stack([x, y], 2).astype(np.float32))[None]


COUNT = 3  # references of a sample
_HELPING = 0.33  # weight of the last of them
FEATHER = 0.12
_GRID = 96  # of the warp
_APART = 0.4  # seconds between a frame and what it may borrow from
_BANK = 40  # frames that a choice is made from
_STILLS = 0.2  # share of the samples that are of single pictures
_CODING = refiner.Coding(8, 16.0)


class Samples:
    """Draws samples from footage; thread-safe, a function of the generator alone."""

    def __init__(self, footage: Sequence[Footage]) -> None:
        self.moving = [clip for clip in footage if clip.times[-1] > 2.5 * _APART]
        self.stills = [clip for clip in footage if clip.times[-1] <= 2.5 * _APART]
        if not self.moving:
            raise InputError(
                "no clip is long enough to borrow from itself", hint="add more footage"
            )
        people = [clip.person for clip in self.moving]
        frames = {p: sum(len(c.times) for c in self.moving if c.person == p) for p in set(people)}
        share = np.array([len(c.times) / frames[c.person] ** 0.6 for c in self.moving])
        self._share = np.cumsum(share / share.sum())
        gap = (landmark_layout.INNER_BOTTOM, landmark_layout.INNER_TOP)
        self._rows = []
        for clip in self.moving:
            opening = np.maximum(np.subtract(*(clip.canonical[:, k, 1] for k in gap)), 0)
            weight = 1 + 10 * np.minimum(opening, 0.3)
            self._rows.append(np.cumsum(weight / weight.sum()))

    def draw(self, rng: Random, count: int = COUNT) -> Maps:
        """One sample with ``count`` references, batch dimension 1."""
        if self.stills and rng.random() < _STILLS:
            clip = self.stills[rng.integers(len(self.stills))]
            return self._still(clip, int(rng.integers(len(clip.times))), rng, count)
        number = _pick(self._share, rng)
        return moving_sample(self.moving[number], _pick(self._rows[number], rng), rng, count)

    def _still(self, clip: Footage, row: int, rng: Random, count: int) -> Maps:
        """A single picture lends itself with other mouths."""
        lent = []
        for weight in _weights(rng, count):
            other = self.moving[_pick(self._share, rng)]
            a, b = rng.integers(len(other.times), size=2)
            push = other.canonical[a] - other.canonical[b]
            lent.append((_reposed(clip.reference(row), clip.canonical[row], push), weight))
        other = self.moving[_pick(self._share, rng)]
        a, b = rng.integers(len(other.times), size=2)
        current = with_mouth(clip.canonical[row], other.canonical[a] - other.canonical[b])
        return assemble(clip.reference(row), clip.canonical[row], current, lent, rng)


def _pick(cumulative: Doubles, rng: Random) -> int:
    return min(int(np.searchsorted(cumulative, rng.random())), len(cumulative) - 1)


def _weights(rng: Random, count: int) -> list[float]:
    """Weights of one frame, or two that cross-fade, and of one that helps; the generator mixes at most two."""
    if count == 1:
        return [1.0]
    fade = float(rng.uniform(0.5, 1)) if count > 2 else 1.0
    main = [fade, 1 - fade][: count - 1]
    rest = [0.0] * (count - 1 - len(main))
    return [*((1 - _HELPING) * w / sum(main) for w in main), *rest, _HELPING]


def with_mouth(canonical: Floats, push: Floats) -> Floats:
    """(L, 2) landmarks with their moving points pushed, the inner lips never crossed."""
    moved: Floats = canonical.copy()
    moved[landmark_layout.MOVING] += push[landmark_layout.MOVING]
    lower, upper = landmark_layout.LIPS_INNER[1:10], landmark_layout.LIPS_INNER[:10:-1]
    crossed = np.maximum(moved[upper, 1] - moved[lower, 1], 0)
    moved[lower, 1] += crossed / 2
    moved[upper, 1] -= crossed / 2
    return moved


def _reposed(true: blend.Reference, canonical: Floats, push: Floats) -> blend.Reference:
    """A picture warped to show another mouth."""
    points = mesh_warp.vertices(with_mouth(canonical, push))
    made = mesh_warp.warp(points, true.vertices, mesh_warp.triangle_map(points, _GRID))
    planes = []
    for k, matrix in enumerate(true.plane_from_canonical):
        size = (true.planes[k].shape[1], true.planes[k].shape[0])
        (drawn,) = blend.warped(true, made, matrix, size, [k], _CODING.black)
        planes.append(np.clip(drawn, 0, 255).astype(np.uint8))
    return blend.Reference(points, tuple(planes), true.plane_from_canonical)


def moving_sample(
    clip: Footage, row: int, rng: Random, count: int = COUNT, relight: bool = True
) -> Maps:
    """A frame and, mostly, the references that the generator would choose for it."""
    away = np.flatnonzero(np.abs(clip.times - clip.times[row]) >= _APART)
    bank = rng.choice(away, min(_BANK, len(away)), replace=False)
    order = bank[np.linalg.norm(clip.features[bank] - clip.features[row], axis=1).argsort()]
    luck = rng.random()
    if luck < 0.25:  # as in a shot that shows few mouths
        order = order[int(rng.integers(min(10, len(order)))) :]
    elif luck < 0.4:
        order = rng.permutation(order)
    rows = [int(order[min(k, len(order) - 1)]) for k in range(count)]
    lent = [(clip.reference(r), w) for r, w in zip(rows, _weights(rng, count), strict=True)]
    current = clip.canonical[row]
    if rng.random() < 0.5:
        other = int(rng.integers(len(clip.times)))
        current = with_mouth(current, clip.canonical[other] - current)
    light = rng if relight else None
    return assemble(clip.reference(row), clip.canonical[row], current, lent, light)


def assemble(
    true: blend.Reference,
    target: Floats,
    current: Floats,
    lent: Sequence[tuple[blend.Reference, float]],
    rng: Random | None,
) -> Maps:
    """All maps of a sample; without ``rng`` the light is left as it is."""
    points = mesh_warp.vertices(target)
    ids = mesh_warp.triangle_map(points, _GRID)
    mask = masks.whole_mask(current, target, FEATHER)
    ring = masks.skin_ring(current, target, mask)
    drawn = refiner.outline(current, target, mask, ring)
    truth = filmed = refiner.as_filmed(true, _CODING)
    if current is not target:
        other = mesh_warp.vertices(current)
        back = mesh_warp.warp(other, points, mesh_warp.triangle_map(other, _GRID))
        filmed = refiner.as_warped(true, back, _CODING)
    pictures, shades = [], []
    for reference, _ in lent:
        made = mesh_warp.warp(points, reference.vertices, ids)
        picture = refiner.as_warped(reference, made, _CODING)
        if rng is not None and rng.random() < 0.3:
            picture = _other_light(picture, rng)
        pictures.append(picture + refiner.color_offset(filmed, picture, drawn.ring))
        shades.append(refiner.from_warp_grid(made.shade))
    if rng is not None:
        filmed, truth, *pictures = _relit([filmed, truth, *pictures], rng)
    return Maps(
        filmed=as_tensor(filmed),
        truth=as_tensor(truth),
        visible=as_tensor(drawn.visible),
        sketch=as_tensor(drawn.sketch),
        core=as_tensor(drawn.core),
        mask=as_tensor(drawn.mask),
        ring=as_tensor(drawn.ring),
        references=torch.cat([as_tensor(p) for p in pictures])[None],
        shade=torch.cat([as_tensor(s) for s in shades])[None],
        weights=torch.tensor([[w for _, w in lent]], dtype=torch.float32),
    )


def _other_light(picture: Floats, rng: Random) -> Floats:
    """A reference filmed under a light that falls from elsewhere."""
    ramp = np.linspace(-1, 1, refiner.SIZE, dtype=np.float32)
    slope = rng.normal(0, 0.06, 2).astype(np.float32)
    gain = 1 + slope[0] * ramp[:, None] + slope[1] * ramp[None]
    lit: Floats = picture.copy()
    lit[..., 0] = (picture[..., 0] + 0.5) * gain - 0.5 + np.float32(rng.normal(0, 0.02))
    return lit


def _relit(pictures: Sequence[Floats], rng: Random) -> list[Floats]:
    """The same change of light and color to all."""
    gain = np.array([np.exp(rng.normal(0, 0.15)), *[np.exp(rng.normal(0, 0.25))] * 2])
    if rng.random() < 0.06:
        gain[1:] = 0
    shift = rng.normal(0, (0.06, 0.015, 0.015))
    return [np.asarray(p * gain + shift, np.float32) for p in pictures]
