"""A training ends with the same weights however often it was stopped, and says why it ended."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dubkit.config.schema import LoopSettings
from dubkit.errors import Interrupted, ModelError, OutputError, WorkError
from dubkit.media.process import run
from dubkit.models.checkpoint import load_checkpoint, save_checkpoint
from dubkit.progress import NoProgress
from dubkit.training.trainer import (
    METRICS,
    PREVIEWS,
    STATE,
    Outcome,
    StepContext,
    gradient_step,
    rate_at,
    run_training,
    update_average,
)

IDENTITY = {"prepared set": "abc"}


@dataclass(frozen=True)
class Pair:
    x: Tensor
    y: Tensor


class Line:
    """A tiny objective: a net with dropout learns a line; held out is the line itself."""

    kind = "line"
    goal = "error"

    def __init__(self, stop_at: int | None = None, spoil_at: int | None = None) -> None:
        torch.manual_seed(3)
        self.net = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Dropout(0.1), nn.Linear(16, 1))
        self.average = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Dropout(0.0), nn.Linear(16, 1))
        self.average.load_state_dict(self.net.state_dict())
        self.optimizer = torch.optim.AdamW(self.net.parameters())
        self.stop_at, self.spoil_at = stop_at, spoil_at
        self.steps: list[int] = []

    def modules(self) -> Mapping[str, nn.Module]:
        return {"net": self.net, "average": self.average}

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        return {"net": self.optimizer}

    def draw(self, rng: np.random.Generator) -> Pair:
        x = torch.from_numpy(rng.standard_normal((8, 2)).astype(np.float32))
        return Pair(x, x.sum(1, keepdim=True))

    def train_step(self, batch: Pair, context: StepContext) -> Mapping[str, float]:
        self.steps.append(context.step)
        if context.step == self.stop_at:
            os.kill(os.getpid(), signal.SIGINT)
        with context.autocast():
            loss = ((self.net(batch.x) - batch.y) ** 2).mean()
        if context.step == self.spoil_at:
            loss = loss * float("nan")
        value = gradient_step(self.net, self.optimizer, loss, 1.0)
        update_average(self.average, self.net, 0.9)
        return {"loss": value}

    def evaluate(self) -> Mapping[str, float]:
        x = torch.linspace(-1, 1, 40).reshape(20, 2)
        with torch.no_grad():
            error = (self.average(x) - x.sum(1, keepdim=True)).abs().mean()
        return {"error": float(error)}

    def preview(self) -> NDArray[np.uint8] | None:
        return np.full((4, 6, 3), 99, np.uint8)

    def save(self, path: Path, step: int) -> None:
        save_checkpoint(path, "line", self.average, {}, step)


def settings(**changes: object) -> LoopSettings:
    return LoopSettings.model_validate(
        {"steps": 60, "check_every": 20, "rate": 0.01, "seed": 5, **changes}
    )


def train(
    objective: Line, folder: Path, wanted: LoopSettings | None = None, **identity: str
) -> Outcome:
    return run_training(
        objective,
        wanted or settings(),
        folder,
        identity={**IDENTITY, **identity},
        device=torch.device("cpu"),
        progress=NoProgress(),
    )


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def files(folder: Path) -> dict[str, bytes]:
    """All that a training leaves behind but the time that it took."""
    found = {p.name: p.read_bytes() for p in folder.rglob("*.png")}
    weights = load_checkpoint(folder / "line.safetensors", "line")
    found |= {name: tensor.numpy().tobytes() for name, tensor in weights.tensors.items()}
    for line in (folder / METRICS).read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        del row["seconds"]
        found[f"line {row['step']}"] = json.dumps(row).encode()
    return found


def weights(objective: Line) -> list[Tensor]:
    return [*objective.net.state_dict().values(), *objective.average.state_dict().values()]


@pytest.mark.parametrize("stops", [(1,), (20,), (33,), (7, 41, 59)])
def test_stopped_and_gone_on_equals_never_stopped_to_the_bit(
    stops: tuple[int, ...], tmp_path: Path
) -> None:
    whole = Line()
    train(whole, tmp_path / "whole")
    for stop in stops:
        with pytest.raises(Interrupted, match=f"stopped after step {stop} of 60; it is saved"):
            train(Line(stop_at=stop), tmp_path / "parts")
    last = Line()
    train(last, tmp_path / "parts")
    assert last.steps[0] == stops[-1] + 1
    for mine, other in zip(weights(last), weights(whole), strict=True):
        assert torch.equal(mine, other)
    assert files(tmp_path / "parts") == files(tmp_path / "whole")


def test_batches_drawn_ahead_by_threads_change_nothing(tmp_path: Path) -> None:
    for loaders in (0, 4):
        train(Line(), tmp_path / str(loaders), settings(loaders=loaders))
    assert files(tmp_path / "0") == files(tmp_path / "4")


def test_a_crash_between_checks_goes_on_from_the_last_check(tmp_path: Path) -> None:
    train(Line(), tmp_path / "whole")
    with pytest.raises(Interrupted):
        train(Line(stop_at=40), tmp_path / "parts")
    state = (tmp_path / "parts" / STATE).read_bytes()
    with pytest.raises(ModelError):
        train(Line(spoil_at=55), tmp_path / "parts")
    assert (tmp_path / "parts" / STATE).read_bytes() == state
    train(Line(), tmp_path / "parts")
    assert files(tmp_path / "parts") == files(tmp_path / "whole")


def test_the_best_weights_are_kept_with_a_log_and_pictures(tmp_path: Path) -> None:
    outcome = train(Line(), tmp_path)
    rows = [json.loads(r) for r in (tmp_path / METRICS).read_text(encoding="utf-8").splitlines()]
    assert [row["step"] for row in rows] == [0, 20, 40, 60]
    best = min(rows, key=lambda row: row["held_out"]["error"])
    assert outcome.best_step == best["step"]
    assert outcome.best == pytest.approx(best["held_out"]["error"], abs=1e-5)
    assert rows[1]["losses"]["loss"] > 0
    assert sorted(p.name for p in (tmp_path / PREVIEWS).iterdir()) == [
        f"{step:06d}.png" for step in (0, 20, 40, 60)
    ]
    assert load_checkpoint(tmp_path / "line.safetensors", "line").step == best["step"]


def test_it_ends_early_where_nothing_gets_better(tmp_path: Path) -> None:
    class Stuck(Line):
        def evaluate(self) -> Mapping[str, float]:
            return {"error": 1.0}

    outcome = train(Stuck(), tmp_path, settings(steps=1000, patience=3))
    assert outcome.step == 60
    assert outcome.finished == "no better result in 3 checks"
    assert outcome.weights is None
    assert not (tmp_path / "line.safetensors").exists()
    again = Stuck()
    assert train(again, tmp_path, settings(steps=1000, patience=3)).step == 60
    assert not again.steps


def test_a_loss_that_is_no_number_stops_the_training(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="diverged at step 30: a loss is not a number") as caught:
        train(Line(spoil_at=30), tmp_path)
    assert "lower rate than 0.01" in (caught.value.hint or "")


def test_other_settings_or_footage_are_never_mixed_into_a_training(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(Line(stop_at=5), tmp_path)
    with pytest.raises(WorkError, match="prepared set was abc, is xyz"):
        run_training(
            Line(),
            settings(),
            tmp_path,
            identity={"prepared set": "xyz"},
            device=torch.device("cpu"),
            progress=NoProgress(),
        )


class Wide(Line):
    def __init__(self) -> None:
        super().__init__()
        self.net[0] = nn.Linear(2, 32)


class Curve(Line):
    kind = "curve"


@pytest.mark.parametrize(
    ("objective", "reason"),
    [(Wide, "is for another net"), (Curve, "is the training of a line, not of a curve")],
)
def test_a_state_of_another_net_is_refused(
    objective: type[Line], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(Interrupted):
        train(Line(stop_at=5), tmp_path)
    with pytest.raises(ModelError, match=reason):
        train(objective(), tmp_path)


@pytest.mark.parametrize("content", [b"", b"no tensors at all", None])
def test_a_state_that_is_damaged_is_refused(content: bytes | None, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(Line(stop_at=5), tmp_path)
    state = tmp_path / STATE
    state.write_bytes(state.read_bytes()[:-50] if content is None else content)
    with pytest.raises(ModelError, match="damaged"):
        train(Line(), tmp_path)


def test_a_checkpoint_of_the_product_is_no_state(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / STATE, "line", nn.Linear(2, 2), {}, 1)
    with pytest.raises(ModelError, match="is not a training of dubkit"):
        train(Line(), tmp_path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 kB."""
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if os.geteuid() != 0 or not mount or not umount:
        pytest.skip("a file system of its own can only be mounted by root")
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        run([mount, "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)])
    except Exception as error:
        if type(error).__name__ != "ToolError":
            raise
        pytest.skip(f"no file system can be mounted here: {error}")
    yield folder
    run([umount, "-l", str(folder)])


def test_a_full_disk_leaves_the_last_good_state(small_disk: Path, tmp_path: Path) -> None:
    train(Line(), tmp_path / "whole")
    with pytest.raises(Interrupted):
        train(Line(stop_at=33), small_disk)
    state = (small_disk / STATE).read_bytes()
    room = shutil.disk_usage(small_disk).free
    (small_disk / "filler").write_bytes(b"x" * (room - 2000))
    with pytest.raises(OutputError, match=r"the disk is full|No space left"):
        train(Line(), small_disk)
    assert (small_disk / STATE).read_bytes() == state
    assert not list(small_disk.glob(f".{STATE}*"))
    (small_disk / "filler").unlink()
    train(Line(), small_disk)
    assert files(small_disk) == files(tmp_path / "whole")


def test_a_folder_is_used_by_one_training_at_a_time(tmp_path: Path) -> None:
    class Nosy(Line):
        def train_step(self, batch: Pair, context: StepContext) -> Mapping[str, float]:
            with pytest.raises(WorkError, match="is in use by process"):
                train(Line(), tmp_path)
            return super().train_step(batch, context)

    train(Nosy(), tmp_path, settings(steps=1))


def test_half_precision_is_used_where_it_is_asked_for(tmp_path: Path) -> None:
    kinds: list[torch.dtype] = []

    class Watching(Line):
        def train_step(self, batch: Pair, context: StepContext) -> Mapping[str, float]:
            with context.autocast():
                kinds.append(self.net(batch.x).dtype)
            return super().train_step(batch, context)

    for precision in ("auto", "bfloat16"):
        train(Watching(), tmp_path / precision, settings(steps=1, precision=precision))
    assert kinds == [torch.float32, torch.bfloat16]


def test_the_rate_warms_up_and_ends_low() -> None:
    rates = [rate_at(step, 1000) for step in range(1, 1001)]
    assert rates[0] == pytest.approx(0.01, abs=0.001)
    assert max(rates) == pytest.approx(1, abs=0.05)
    assert rates[-1] == pytest.approx(0.01)
    assert rate_at(1, 1) == pytest.approx(0.01)
