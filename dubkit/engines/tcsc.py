"""The TC+SC generator: phoneme runs drive the mouth shape, aligned own frames become its picture.

An independent implementation of the method of Dong, Ma and Zhang (Computer Graphics Forum 43(7), 2024).
TC is the net of `models.tc`; SC aligns every face by its stable points, borrows texture from the same face's
own frames (nearest in mouth shape and pose), carries it to the wanted shape by a landmark mesh at the
picture's own resolution, and lays it over the native planes under a soft mask.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubkit.config import GenerateSettings
from dubkit.faces import align, composite, references, shape, wanted, warp
from dubkit.media.frames import Frame
from dubkit.media.planes import Plane, plane_format, plane_from_display
from dubkit.records import FaceState, FaceTrack, Floats, VideoInfo
from dubkit.synthesis.articulation import Articulator
from dubkit.synthesis.timing import Timing

# the warp is smooth but at the lips: finer than this would cost time and show nothing
_MIN_GRID, _MAX_GRID, _GRID_PER_PIXEL = 96, 288, 0.6
_FADE_SECONDS = 0.16
_VERSION = 7


@dataclass(frozen=True, slots=True)
class FacePlan:
    """What one face will do in a shot; T frames, rows as in its track."""

    start: int  # frame of row 0
    display_from_canonical: list[align.Matrix]
    current: Floats  # (T, L, 2) canonical landmarks as filmed
    target: Floats  # (T, L, 2) canonical landmarks as wanted
    alpha: Floats  # (T,) 0: leave the frame alone
    bank: tuple[int, ...]  # rows whose pixels are borrowed
    mix: list[list[tuple[int, float]]]  # per row: bank entries and weights


class TcscRenderer:
    """Renders one face of one shot."""

    def __init__(self, info: VideoInfo, plan: FacePlan, feather: float) -> None:
        self._plan = plan
        self._feather = feather
        layout = plane_format(info)
        self._planes = [plane_from_display(info, layout, k) for k in range(layout.planes)]
        self._depth = layout.depth
        self._anchors = warp.anchors()
        self._lent: dict[int, composite.Reference] = {}
        self.borrowed = frozenset(plan.start + row for row in plan.bank)

    def _plane_from_canonical(self, row: int) -> list[align.Matrix]:
        return [align.compose(m, self._plan.display_from_canonical[row]) for m in self._planes]

    def lend(self, frame: Frame) -> None:
        """Keep the face's surroundings of a bank frame."""
        row = frame.index - self._plan.start
        vertices = np.concatenate([self._plan.current[row], self._anchors])
        self._lent[row] = composite.cut_reference(
            frame.planes, self._plane_from_canonical(row), vertices
        )

    def touches(self, index: int) -> bool:
        """Whether frame ``index`` of the film changes."""
        row = index - self._plan.start
        return 0 <= row < len(self._plan.alpha) and self._plan.alpha[row] > 0

    def paint(self, frame: Frame, planes: tuple[Plane, ...]) -> bool:
        """Compose the wanted mouth into ``planes``."""
        if not self.touches(frame.index):
            return False
        plan, row = self._plan, frame.index - self._plan.start
        matrices = self._plane_from_canonical(row)
        vertices = np.concatenate([plan.target[row], self._anchors])
        pixels = _GRID_PER_PIXEL * composite.native_scale(matrices) * warp.SIDE
        size = int(np.clip(pixels, _MIN_GRID, _MAX_GRID))
        ids = warp.triangle_map(vertices, size)
        warps = []
        for entry, weight in plan.mix[row]:
            reference = self._lent[plan.bank[entry]]
            warps.append((reference, warp.warp(vertices, reference.vertices, ids), weight))
        mask = composite.soft_mask(plan.current[row], plan.target[row], self._feather)
        ring = composite.skin_ring(plan.current[row], mask)
        patch = composite.Patch(mask * plan.alpha[row], ring, tuple(warps))
        composite.compose_patch(planes, matrices, patch, self._depth)
        return True


class TcscSynthesizer:
    """See the module."""

    name = "tcsc"

    def __init__(self, settings: GenerateSettings, device: str = "cpu") -> None:
        self.settings = settings
        self._articulator = Articulator(device)

    @property
    def version(self) -> str:
        """Changes whenever results may change."""
        return f"{_VERSION}+{self._articulator.version}"

    def face(
        self, info: VideoInfo, track: FaceTrack, usable: NDArray[np.bool_], timing: Timing, row: int
    ) -> TcscRenderer:
        """Plan one face of a shot."""
        return TcscRenderer(
            info, self._plan(info, track, usable, timing, row), self.settings.feather
        )

    def _plan(
        self, info: VideoInfo, track: FaceTrack, usable: NDArray[np.bool_], timing: Timing, row: int
    ) -> FacePlan:
        present = track.state != FaceState.ABSENT
        landmarks = wanted.fill_absent(track.landmarks, present)
        pose = wanted.fill_absent(track.pose, present)
        matrices = [align.canonical_from_face(face) for face in landmarks]
        current = np.stack(
            [align.apply(m, face) for m, face in zip(matrices, landmarks, strict=True)]
        )
        good = usable & present
        frontal = shape.frontal(current, pose)
        rest = shape.resting_mouth(frontal[good])
        # half way to the mean speaker: a shot is short, and what it shows of a speaker's range is uncertain
        gain = shape.gain(frontal[good], rest) ** 0.5
        spoken = self._articulator.predict(timing, gain * self.settings.amplitude)
        shot_shapes, shown = self._in_silence(spoken.coefficients, spoken.speaking)
        coefficients, audible = shot_shapes[row:][: len(track)], shown[row:][: len(track)]
        target = wanted.wanted_landmarks(current, pose, rest, coefficients)
        seconds = np.arange(len(current)) / float(info.average_rate)
        poses = references.pose_features(pose, seconds)
        features = np.concatenate([references.mouth_features(current), poses], 1)
        goal = np.concatenate([references.mouth_features(target), poses], 1)
        lendable = good & (track.state == FaceState.SEEN)
        bank = references.choose_bank(
            features, lendable if lendable.any() else good, self.settings.references
        )
        path = references.choose_path(goal, features[bank])
        fade = wanted.fade(good, max(1, round(_FADE_SECONDS * float(info.average_rate))))
        return FacePlan(
            start=track.start,
            display_from_canonical=[align.invert(m) for m in matrices],
            current=current,
            target=target,
            alpha=np.minimum(fade, audible),
            bank=tuple(int(row) for row in bank),
            mix=references.blend_weights(path),
        )

    def _in_silence(self, coefficients: Floats, speaking: Floats) -> tuple[Floats, Floats]:
        """Apply the silence policy: (T, K) shapes and (T,) how much of them is shown."""
        policy = self.settings.silence
        if policy == "closed":
            return coefficients * speaking[:, None], np.ones_like(speaking)
        if policy == "original":
            return coefficients, speaking
        held = coefficients.copy()
        for t in range(1, len(held)):
            held[t] = held[t - 1] + speaking[t] * (coefficients[t] - held[t - 1])
        return held, np.ones_like(speaking)
