"""FID with the real net's code and shapes, and seeded weights."""

from __future__ import annotations

import json
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from typer.testing import CliRunner

from dubkit.cli.app import app
from dubkit.engines.base import Moments
from dubkit.engines.registry import load_engine
from dubkit.errors import ModelError
from tests.clips import ffmpeg, film

pytestmark = pytest.mark.fid


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of the net's tensors at random, in the file format of the published weights."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    torch.manual_seed(0)
    with patch.object(torch, "load"), patch.object(torch.nn.Module, "load_state_dict"):
        net = FeatureExtractorInceptionV3("any", ["2048"], feature_extractor_weights_path="any")
    path = tmp_path_factory.mktemp("fid") / "pt_inception-2015-12-05-6726825d.pth"
    torch.save(net.state_dict(), path)
    assert abs(path.stat().st_size - 95_628_359) < 300_000  # the published file's
    return path


def pictures(seed: int, low: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(low, 256, (12, 40, 50, 3)).astype(np.uint8)


def moments(*parts: NDArray[np.float32]) -> Moments:
    found = Moments()
    for part in parts:
        found.add(part)
    return found


def test_the_figure_is_the_librarys_own_and_that_of_the_formula(weights: Path) -> None:
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    engine = load_engine("features", "inception", weights)
    a, b = engine.features(pictures(0)), engine.features(pictures(1, low=128))
    assert a.shape == (12, 2048)
    by_parts = engine.distance(moments(a[:5], a[5:]), moments(b))
    one, other = (fid_features_to_statistics(torch.from_numpy(f)) for f in (a, b))
    library = fid_statistics_to_metric(one, other, False)["frechet_inception_distance"]
    assert by_parts == pytest.approx(library, abs=1e-3)
    # the trace of the root of a product of covariances is the nuclear norm of the centered features' product
    x, y = (f.astype(np.float64) - f.mean(0) for f in (a, b))
    cross = np.linalg.svd(x @ y.T, compute_uv=False).sum() / 11
    formula = ((a.mean(0) - b.mean(0)) ** 2).sum() + ((x**2).sum() + (y**2).sum()) / 11 - 2 * cross
    assert by_parts == pytest.approx(float(formula), abs=1e-3)


def test_weights_of_another_net_are_refused(tmp_path: Path) -> None:
    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / "other.pth")
    torch.save(Path("code"), tmp_path / "code.pth")
    (tmp_path / "text.pth").write_text("no weights")
    for name in ("other", "code", "text", "missing"):
        with pytest.raises(ModelError, match="no Inception weights"):
            load_engine("features", "inception", tmp_path / f"{name}.pth")


def test_films_are_compared_and_equal_ones_are_not_apart(weights: Path, tmp_path: Path) -> None:
    made = film(tmp_path / "a.mp4", seconds=0.4, sound=False)
    gray = tmp_path / "gray.mp4"
    ffmpeg("-i", made, "-vf", "hue=s=0.5,eq=brightness=0.05", gray)

    def told(reference: Path) -> dict[str, float]:
        arguments = [
            "evaluate",
            made,
            "--reference",
            reference,
            "--inception",
            weights,
            "--jobs",
            "1",
            "--json",
        ]
        result = CliRunner().invoke(app, list(map(str, arguments)))
        assert result.exit_code == 0, result.stderr
        (found,) = json.loads(result.stdout)["films"]
        assert found["missing"]["fid_face"] == "no face was found in the film"
        rows: dict[str, float] = found["rows"]
        return rows

    same, other = told(made)["fid_frame"], told(gray)["fid_frame"]
    assert abs(same) < 1e-3
    assert other > 10 * abs(same)


def test_weights_of_the_wrong_net_end_the_command_before_it_begins(tmp_path: Path) -> None:
    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / "other.pth")
    made = film(tmp_path / "a.mp4", seconds=0.4)
    arguments = ["evaluate", made, "--reference", made, "--inception", tmp_path / "other.pth"]
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == 7
    assert "holds no Inception weights" in result.stderr
    assert not list(tmp_path.glob("*.evaluated.dubkit"))
