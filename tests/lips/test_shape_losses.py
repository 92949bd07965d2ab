"""What the losses keep can be trained with, whoever computed it first."""

from __future__ import annotations

import torch

from dubkit.lips import shape_losses


def test_what_is_kept_is_no_inference_tensor() -> None:
    shape_losses.effects.cache_clear()
    shape_losses.importance.cache_clear()
    with torch.inference_mode():
        kept = (*shape_losses.effects(), shape_losses.importance())
    assert not any(tensor.is_inference() for tensor in kept)
