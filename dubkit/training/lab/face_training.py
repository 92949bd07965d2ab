"""The command line of the two face nets' trainings, which `training.trainer` runs.

Apart from both, because each defines only a net, its data and its measures.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from dubkit.config.schema import LoopSettings
from dubkit.models.checkpoint import digest
from dubkit.progress import NoProgress
from dubkit.training.trainer import Objective, run_training


class Lines(NoProgress):
    """Every check is a line on stderr."""

    def note(self, message: str) -> None:
        sys.stderr.write(f"{message}\n")


def main(
    description: str,
    make: Callable[[argparse.Namespace, LoopSettings], Objective],
    defaults: LoopSettings,
    **own: int,
) -> None:
    """Train what ``make`` returns for the command line; ``own`` are options of this net with their defaults."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("set", type=Path)
    parser.add_argument("out", type=Path, help="the folder of the training, which it resumes")
    parser.add_argument("--start", type=Path, help="weights to start from")
    for name in ("steps", "batch", "check_every", "seed"):
        parser.add_argument(f"--{name}", type=int, default=getattr(defaults, name))
    parser.add_argument("--rate", type=float, default=defaults.rate)
    for name, value in own.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    chosen = {name: getattr(args, name) for name in ("steps", "batch", "check_every", "seed")}
    settings = defaults.model_copy(
        update={**chosen, "rate": args.rate, "patience": args.steps, "precision": "bfloat16"}
    )
    torch.set_num_threads(1)
    torch.manual_seed(settings.seed)
    identity = {name: str(value) for name, value in vars(args).items() if name != "out"}
    identity["start"] = digest(args.start) if args.start else "none"
    objective = make(args, settings)
    device = torch.device("cpu")
    run_training(objective, settings, args.out, identity=identity, device=device, progress=Lines())
