"""The Inception net of FID with its 2048 features: torch-fidelity's own code, the weights published for FID.

Alone because it is loaded by name: it needs the extra ``fid``.
"""

from __future__ import annotations

import io
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch_fidelity
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_statistics_to_metric

from dubkit.errors import ModelError
from dubkit.models.devices import place
from dubkit.weights.locate import inception

if TYPE_CHECKING:
    from dubkit.engines.base import Moments
    from dubkit.records import Floats, Picture

FEATURES = "2048"
BATCH = 16


class InceptionFeatures:
    """What FID compares. The settings are the path of its weights; None: those of the weights cache."""

    name = "inception"
    version = str(torch_fidelity.__version__)

    def __init__(self, settings: Path | None, device: str = "cpu") -> None:
        self.device = place(device)
        self.net = _loaded(inception(settings)).to(self.device)

    def features(self, pictures: Picture) -> Floats:
        """``pictures`` (N, H, W, 3) RGB of any size -> (N, 2048)."""
        found = []
        with torch.inference_mode():
            for at in range(0, len(pictures), BATCH):
                part = torch.from_numpy(np.ascontiguousarray(pictures[at : at + BATCH]))
                seen = self.net(part.to(self.device).permute(0, 3, 1, 2))[0]
                found.append(seen.cpu().numpy())
        return np.concatenate(found).astype(np.float32)

    def distance(self, a: Moments, b: Moments) -> float:
        """The Frechet distance of two sets of features."""
        one, other = ({"mu": m.mean, "sigma": m.covariance} for m in (a, b))
        return float(fid_statistics_to_metric(one, other, verbose=False)[KEY_METRIC_FID])


def _loaded(path: Path) -> FeatureExtractorInceptionV3:
    """The net. torch-fidelity unpickles what it is given, so it is given a copy of what was read safely."""
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        copy = io.BytesIO()
        torch.save(stored, copy)
        copy.seek(0)
        return FeatureExtractorInceptionV3(
            InceptionFeatures.name, [FEATURES], feature_extractor_weights_path=copy
        )
    except (
        OSError,
        EOFError,
        UnpicklingError,
        RuntimeError,
        TypeError,
        ValueError,
        AttributeError,
    ) as error:
        reason = str(error).splitlines()[0] if str(error) else "it is empty"
        raise ModelError(
            f"{path} holds no Inception weights for FID: {reason}",
            hint="dubkit models pull fid-inception; or place pt_inception-2015-12-05-6726825d.pth",
        ) from error
