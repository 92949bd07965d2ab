"""SyncNet of Chung and Zisserman ("Out of time: automated lip sync in the wild", ACCV workshops 2016).

Layers, sizes and names are those of the public ``syncnet_v2.model`` (joonson/syncnet_python, MIT), so that file
loads as it is. A judge, never a loss.
"""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor, nn

from dubkit.errors import ModelError

FRAMES = 5  # pictures of a window
CEPSTRA, STEPS = 13, 20  # coefficients and 10 ms steps of sound beside it
SIDE = 224  # pixels


class SyncNet(nn.Module):
    """Windows of 5 pictures or 0.2 s of sound -> vectors (B, 1024) that are near where both belong together."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_sound(1, 64, (3, 3), 1),
            nn.MaxPool2d(1, 1),
            *_sound(64, 192, (3, 3), 1),
            nn.MaxPool2d(3, (1, 2)),
            *_sound(192, 384, (3, 3), 1),
            *_sound(384, 256, (3, 3), 1),
            *_sound(256, 256, (3, 3), 1),
            nn.MaxPool2d(3, 2),
            *_sound(256, 512, (5, 4), 0),
        )
        self.netfcaud = _head()
        self.netfclip = _head()
        self.netcnnlip = nn.Sequential(
            *_picture(3, 96, (5, 7, 7), (1, 2, 2), (0, 0, 0)),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_picture(96, 256, (1, 5, 5), (1, 2, 2), (0, 1, 1)),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *_picture(256, 256, (1, 3, 3), (1, 1, 1), (0, 1, 1)),
            *_picture(256, 256, (1, 3, 3), (1, 1, 1), (0, 1, 1)),
            *_picture(256, 256, (1, 3, 3), (1, 1, 1), (0, 1, 1)),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_picture(256, 512, (1, 6, 6), (1, 1, 1), (0, 0, 0)),
        )

    def hear(self, cepstra: Tensor) -> Tensor:  # (B, 1, 13, 20) -> (B, 1024)
        found: Tensor = self.netfcaud(self.netcnnaud(cepstra).flatten(1))
        return found

    def see(self, pictures: Tensor) -> Tensor:  # (B, 3, 5, 224, 224) BGR 0..255 -> (B, 1024)
        found: Tensor = self.netfclip(self.netcnnlip(pictures).flatten(1))
        return found


def _sound(enter: int, leave: int, kernel: tuple[int, int], padding: int) -> list[nn.Module]:
    return [nn.Conv2d(enter, leave, kernel, padding=padding), nn.BatchNorm2d(leave), nn.ReLU()]


def _picture(
    enter: int,
    leave: int,
    kernel: tuple[int, int, int],
    stride: tuple[int, int, int],
    padding: tuple[int, int, int],
) -> list[nn.Module]:
    convolution = nn.Conv3d(enter, leave, kernel, stride, padding)
    return [convolution, nn.BatchNorm3d(leave), nn.ReLU()]


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 1024))


def load_syncnet(path: Path) -> SyncNet:
    """The net with the weights of a ``syncnet_v2.model``; nothing in the file is run.

    The published file is of PyTorch's first format and from before batch normalization counted its batches.
    Raises ModelError for a file that is missing, damaged, or of another net.
    """
    net = SyncNet()
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        found = net.load_state_dict(dict(stored), strict=False)
    except (
        OSError,
        EOFError,
        UnpicklingError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        reason = str(error).splitlines()[0] if str(error) else "it is empty"
        raise _refused(path, reason) from error
    absent = [key for key in found.missing_keys if not key.endswith("num_batches_tracked")]
    if absent or found.unexpected_keys:
        raise _refused(path, f"{', '.join((absent + found.unexpected_keys)[:2])} does not fit")
    return net.eval().requires_grad_(False)


def _refused(path: Path, reason: str) -> ModelError:
    return ModelError(
        f"{path} holds no SyncNet weights: {reason}",
        hint="dubkit models pull syncnet; or place syncnet_v2.model yourself",
    )
