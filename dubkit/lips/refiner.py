"""Numpy in and out around the SC net: one frame at a time, so that no frame depends on its neighbours.

Called by several threads at once; on the CPU the process has one torch thread (`models.devices.place`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dubkit.errors import ModelError
from dubkit.lips.refiner_grid import SIZE, SKETCHES, Outline
from dubkit.models.checkpoint import Checkpoint
from dubkit.models.sc import CHOICE, ScInput, ScNet, ScOutput, load_sc
from dubkit.records import Floats


@dataclass(frozen=True, slots=True)
class Mouth:
    """What the net says of one frame, on the grid of `lips.refiner_grid`."""

    weights: Floats  # (K, S, S) of the references, together 1: of light and colour
    texture: Floats  # (K, S, S) the same, of what is finer
    residual: Floats  # (S, S, 3) to be added
    mask: Floats  # (S, S) 0..1, factor of the soft mask

    def held_back(self, trust: float, weights: Sequence[float]) -> Mouth:
        """Between what was said (``trust`` 1) and the plain mix of the references (0)."""
        plain = np.asarray(weights, np.float32)[:, None, None]
        mixed = trust * self.weights + (1 - trust) * plain
        chosen = mixed**CHOICE
        return Mouth(
            weights=mixed,
            texture=chosen / chosen.sum(0),
            residual=self.residual * np.float32(trust),
            mask=1 - np.float32(trust) * (1 - self.mask),
        )


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
        hidden = filmed * outline.visible[..., None]
        given = ScInput(
            filmed=self._tensor(hidden),
            visible=self._tensor(outline.visible[..., None]),
            sketch=self._tensor(outline.sketch),
            core=self._tensor(outline.core[..., None]),
            references=torch.cat([self._tensor(p) for p in pictures])[None],
            shade=torch.cat([self._tensor(s[..., None]) for s in shades])[None],
            weights=torch.tensor([list(weights)], dtype=torch.float32, device=self._device),
        )
        with torch.inference_mode():
            said: ScOutput = self._loaded[0](given)
        mixed = said.weights[0].float().cpu().numpy()
        chosen = mixed**CHOICE
        return Mouth(
            weights=mixed,
            texture=chosen / chosen.sum(0),
            residual=np.ascontiguousarray(
                said.residual[0].float().cpu().numpy().transpose(1, 2, 0)
            ),
            mask=said.mask[0, 0].float().cpu().numpy(),
        )

    def _tensor(self, part: Floats) -> Tensor:
        """(S, S, C) -> (1, C, S, S)."""
        assert part.shape[:2] == (SIZE, SIZE)
        whole = torch.from_numpy(np.ascontiguousarray(part, np.float32)).permute(2, 0, 1)
        return whole[None].to(self._device)
