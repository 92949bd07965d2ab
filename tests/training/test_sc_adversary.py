"""The adversarial term of the SC net's training."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from dubkit.config.schema import ScTraining
from dubkit.errors import Interrupted
from dubkit.lips import refiner
from dubkit.models.sc import debug_sc, load_sc, save_sc
from dubkit.progress import NoProgress
from dubkit.training import train_sc
from dubkit.training.sc_data import Maps, Samples, stacked
from dubkit.training.train_sc import Adversary, Made
from dubkit.training.trainer import StepContext, run_training

CPU = torch.device("cpu")
SIZE = refiner.SIZE


def maps(seed: int, batch: int = 2) -> Maps:
    """Rough mouths."""
    torch.manual_seed(seed)
    core = torch.zeros(batch, 1, SIZE, SIZE)
    core[..., 44:84, 34:94] = 1
    truth = 0.1 * torch.randn(batch, 3, SIZE, SIZE)
    weights = torch.tensor([[0.7, 0.3]]).expand(batch, -1)
    return Maps(
        filmed=truth,
        truth=truth,
        visible=1 - core,
        sketch=core.expand(-1, refiner.SKETCHES, -1, -1),
        core=core,
        mask=core,
        ring=torch.zeros_like(core),
        references=torch.nn.functional.avg_pool2d(truth, 3, 1, 1)[:, None].repeat(1, 2, 1, 1, 1),
        shade=torch.ones(batch, 2, 1, SIZE, SIZE),
        weights=weights,
    )


def blurred(given: Maps) -> Made:
    """A patch without detail."""
    patch = given.references[:, 0]
    return Made(patch, patch, given.mask)


def context(step: int) -> StepContext:
    return StepContext(step, 2e-3, CPU, lambda: torch.autocast("cpu", enabled=False))


def test_a_discriminator_learns_to_tell_blurred_mouths_from_real_ones() -> None:
    torch.manual_seed(0)
    adversary = Adversary(0.5, 2e-3, CPU)
    told = [adversary.train_step(maps(k), blurred(maps(k)), context(k + 1)) for k in range(25)]
    assert told[0] > 1.2
    assert told[-1] < 0.5


def test_the_term_pulls_as_hard_as_its_share_says_and_leaves_the_discriminator_alone() -> None:
    torch.manual_seed(0)
    adversary, given = Adversary(0.5, 2e-3, CPU), maps(0)
    patch = given.references[:, 0].clone().requires_grad_(True)
    made = Made(patch, patch, given.mask)
    others = (patch - given.truth).abs().mean()
    term = adversary.term(given, made, others, 10_000)
    (pull,) = torch.autograd.grad(term, patch, retain_graph=True)
    (asked,) = torch.autograd.grad(others, patch, retain_graph=True)
    assert float(pull.norm() / asked.norm()) == pytest.approx(0.5, rel=1e-3)
    assert pull[..., :20, :].abs().max() == 0  # nothing outside the window of mouths
    term.backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is None and p.requires_grad for p in adversary.discriminator.parameters())


def test_the_term_grows_from_nothing() -> None:
    adversary, given = Adversary(0.5, 2e-3, CPU), maps(0)
    patch = given.references[:, 0].clone().requires_grad_(True)
    made, others = Made(patch, patch, given.mask), (patch - given.truth).abs().mean()
    early, late = (abs(float(adversary.term(given, made, others, s).detach())) for s in (1, 10_000))
    assert early < 0.01 * late


class _Made(Samples):
    """Samples that need no footage."""

    def __init__(self) -> None: ...

    def draw(self, rng: np.random.Generator, count: int = 2) -> Maps:
        seed = int(rng.integers(1000))
        drawn = maps(seed, 1)
        more = [drawn.references[:, :1]] * count
        weights = torch.full((1, count), 1 / count)
        shade = torch.ones(1, count, 1, SIZE, SIZE)
        return replace(drawn, references=torch.cat(more, 1), weights=weights, shade=shade)


def objective(
    settings: ScTraining, kind: type[train_sc.ScObjective] = train_sc.ScObjective
) -> train_sc.ScObjective:
    net = debug_sc().train()
    held_out = [stacked([maps(1, 1)])]
    torch.manual_seed(settings.seed)
    return kind(_Made(), held_out, net, settings)


def settings(**changes: object) -> ScTraining:
    return ScTraining.model_validate(
        {"steps": 6, "batch": 1, "check_every": 3, "loaders": 0, "adversarial": 0.3, **changes}
    )


def states(found: train_sc.ScObjective) -> dict[str, Tensor]:
    return {
        f"{name}/{key}": value
        for name, module in found.modules().items()
        for key, value in module.state_dict().items()
    }


def test_a_training_with_a_discriminator_goes_on_as_if_it_had_never_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = objective(settings())
    how = partial(run_training, identity={}, device=CPU, progress=NoProgress())
    monkeypatch.setattr(train_sc, "_SHOWN", 1)
    how(whole, settings(), tmp_path / "whole")

    class Stopped(train_sc.ScObjective):
        def train_step(self, batch: Maps, context: StepContext) -> dict[str, float]:
            if context.step == 4:
                raise Interrupted("stopped")
            return dict(super().train_step(batch, context))

    broken = objective(settings(), Stopped)
    with pytest.raises(Interrupted):
        how(broken, settings(), tmp_path / "parts")
    again = objective(settings())
    how(again, settings(), tmp_path / "parts")
    assert any(name.startswith("discriminator/") for name in states(whole))
    pairs = zip(states(whole).items(), states(again).values(), strict=True)
    assert [name for (name, a), b in pairs if not torch.equal(a, b)] == []


def test_the_weights_that_are_kept_hold_no_discriminator(tmp_path: Path) -> None:
    found = objective(settings())
    found.save(tmp_path / "sc.safetensors", 1)
    save_sc(tmp_path / "plain.safetensors", debug_sc(), 1)
    assert (tmp_path / "sc.safetensors").stat().st_size == (
        tmp_path / "plain.safetensors"
    ).stat().st_size
    load_sc(tmp_path / "sc.safetensors")


def test_without_a_share_there_is_no_discriminator() -> None:
    plain = objective(settings(adversarial=0))
    assert set(plain.modules()) == {"net", "average"}
    assert plain.goal == "loss"


def test_with_a_discriminator_likeness_and_sharpness_decide() -> None:
    found = objective(settings())
    measured = found.evaluate()
    gap = abs(1 - measured["sharpness_lips"])
    assert measured[found.goal] == pytest.approx(1 - measured["ssim_lips"] + gap)
