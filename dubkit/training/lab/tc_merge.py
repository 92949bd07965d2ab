"""Make one TC net of several that were trained with different seeds: its answer is the mean of theirs, exactly.

    python -m dubkit.training.lab.tc_merge dubkit/weights/tc.safetensors A.safetensors B.safetensors ...

The channels of the nets stand side by side in a wider net and do not meet before its last layer.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from dubkit.errors import ModelError
from dubkit.models.tc import TcNet, load_tc, save_tc


@torch.no_grad()
def merged(nets: Sequence[TcNet]) -> TcNet:
    """The mean of ``nets`` as one net. Raises ModelError where they are not of one kind."""
    config = nets[0].config
    if any(replace(net.config, width=config.width) != config for net in nets):
        raise ModelError("nets of different make cannot be merged")
    whole = TcNet(replace(config, width=sum(net.config.width for net in nets)))
    for name, layer in whole.named_modules():
        if isinstance(layer, nn.Conv1d) and layer.bias is not None:
            parts = [net.get_submodule(name) for net in nets]
            weights: list[Tensor] = [part.get_parameter("weight") for part in parts]
            biases: list[Tensor] = [part.get_parameter("bias") for part in parts]
            if name == "last":
                layer.weight.copy_(torch.cat(weights, 1) / len(nets))
                layer.bias.copy_(torch.stack(biases).mean(0))
            else:
                layer.weight.copy_(torch.cat(weights) if name == "first" else _aside(weights))
                layer.bias.copy_(torch.cat(biases))
    return whole.eval()


def _aside(weights: Sequence[Tensor]) -> Tensor:
    """Kernels (C, C, k) on the diagonal of one; elsewhere 0."""
    width = sum(len(w) for w in weights)
    whole = weights[0].new_zeros(width, width, weights[0].shape[2])
    at = 0
    for weight in weights:
        whole[at : at + len(weight), at : at + len(weight)] = weight
        at += len(weight)
    return whole


def main() -> None:
    """Merge files."""
    target, *sources = (Path(argument) for argument in sys.argv[1:])
    loaded = [load_tc(source) for source in sources]
    step = max(checkpoint.step for _, checkpoint in loaded)
    save_tc(target, merged([net for net, _ in loaded]), step)


if __name__ == "__main__":
    main()
