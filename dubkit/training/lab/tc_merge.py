"""Make one TC net of several that were trained with different seeds: its answer is the mean of theirs, exactly.

    python -m dubkit.training.lab.tc_merge dubkit/weights/tc.safetensors A.safetensors B.safetensors ...

The nets must have been trained with the same settings.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import nn

from dubkit.errors import ModelError
from dubkit.models.tc import TcNet, load_tc, save_tc


def merged(nets: Sequence[TcNet]) -> TcNet:
    """The mean of ``nets`` as one net. Raises ModelError where they are not of one kind."""
    config = nets[0].config
    if any(net.config != config for net in nets):
        raise ModelError("nets of different make cannot be merged")
    whole = TcNet(replace(config, nets=len(nets) * config.nets))
    whole.nets = nn.ModuleList(single for net in nets for single in net.nets)
    return whole.eval()


def main() -> None:
    """Merge files."""
    target, *sources = (Path(argument) for argument in sys.argv[1:])
    loaded = [load_tc(source) for source in sources]
    step = max(checkpoint.step for _, checkpoint in loaded)
    save_tc(target, merged([net for net, _ in loaded]), step)


if __name__ == "__main__":
    main()
