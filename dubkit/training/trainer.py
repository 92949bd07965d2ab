"""The training loop: from the start, or from the saved state, to the end.

::

    FOLDER/<kind>.safetensors    the best weights so far, ready for use
    FOLDER/state.safetensors     where the training stands
    FOLDER/metrics.jsonl         one line a check
    FOLDER/previews/000500.png   what the net makes of held-out data at step 500

A check measures the net on held-out data, keeps it if it is the best so far, draws a preview and saves the
state. After as many checks without a better result as the patience allows, the training ends.
"""

from __future__ import annotations

import errno
import json
import math
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from dubkit.config.schema import LoopSettings
from dubkit.errors import Interrupted, ModelError, OutputError, WorkError
from dubkit.records import Picture
from dubkit.work import lock, manifest
from dubkit.work.folder import explain

if TYPE_CHECKING:
    from dubkit.progress import Progress

_WARM_UP = 200  # steps, or a tenth of the training


@dataclass(frozen=True, slots=True)
class StepContext:
    """One step of a training; the learning rate of the optimizers is set already."""

    step: int  # from 1
    rate: float
    device: torch.device
    autocast: Callable[[], AbstractContextManager[Any]]


class Objective(Protocol):
    """What is trained on what: a net, its data, its losses and its measures.

    ``goal`` names the measure of `evaluate` that decides which weights are kept; lower is better.
    """

    kind: str  # of the checkpoint that is written
    goal: str

    def modules(self) -> Modules:
        """Every net whose state changes, by name, running averages included."""

    def optimizers(self) -> Optimizers:
        """Every optimizer by name."""

    def draw(self, rng: np.random.Generator) -> Any:
        """A batch, a function of ``rng`` alone; called from several threads."""

    def train_step(self, batch: Any, context: StepContext) -> Mapping[str, float]:
        """Take one step; returns the losses by name."""

    def evaluate(self) -> Mapping[str, float]:
        """Measures on held-out data."""

    def preview(self) -> Picture | None:
        """A picture (H, W, 3) RGB of what the net does on held-out data, or None."""

    def save(self, path: Path, step: int) -> None:
        """Write the checkpoint that the product loads."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a training ended."""

    weights: Path | None  # None: nothing was better than the start
    step: int
    best_step: int
    best: float | None
    goal: str
    finished: str
    seconds: float
    measures: Mapping[str, float] = field(default_factory=dict)


def batches(objective: Objective, settings: LoopSettings, first: int, last: int) -> Iterator[Any]:
    """The batches of steps ``first`` to ``last``, some of them drawn ahead by threads."""

    def draw(step: int) -> Any:
        return objective.draw(np.random.default_rng((settings.seed, step)))

    if settings.loaders == 0:
        yield from map(draw, range(first, last + 1))
        return
    ahead: deque[Future[Any]] = deque()
    with ThreadPoolExecutor(settings.loaders) as pool:
        try:
            for step in range(first, last + 1):
                ahead.append(pool.submit(draw, step))
                if len(ahead) > settings.loaders:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def run_steps(
    objective: Objective,
    settings: LoopSettings,
    device: torch.device,
    first: int = 1,
    last: int | None = None,
) -> Iterator[tuple[int, Mapping[str, float]]]:
    """Take steps ``first`` to ``last`` (None: the last of the settings); yields each with its losses.

    Randomness and learning rate of a step follow from its number, so a training may be cut anywhere.
    """

    def autocast() -> AbstractContextManager[Any]:
        wanted = settings.precision
        half = wanted == "bfloat16" or (wanted == "auto" and device.type == "cuda")
        return torch.autocast(device.type, torch.bfloat16, enabled=half)

    last = settings.steps if last is None else last
    for step, batch in enumerate(batches(objective, settings, first, last), first):
        torch.manual_seed(_seed_of(settings.seed, step))
        rate = settings.rate * rate_at(step, settings.steps)
        for optimizer in objective.optimizers().values():
            for group in optimizer.param_groups:
                group["lr"] = rate
        yield step, objective.train_step(batch, StepContext(step, rate, device, autocast))


def _seed_of(seed: int, step: int) -> int:
    return int(np.random.SeedSequence((seed, step)).generate_state(1, np.uint64)[0] >> 1)


def rate_at(step: int, steps: int) -> float:
    """The factor of the learning rate at a step: linear warm-up, then a cosine down to a hundredth."""
    warm = min(1.0, step / min(_WARM_UP, max(1, steps // 10)))
    return warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(step / steps, 1.0))))


def gradient_step(
    net: torch.nn.Module, optimizer: torch.optim.Optimizer, loss: Tensor, longest: float
) -> float:
    """Take one optimizer step, gradients clipped to the norm ``longest``; returns the loss as a number."""
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(net.parameters(), longest)
    optimizer.step()
    return float(loss.detach())


@torch.no_grad()
def update_average(average: torch.nn.Module, net: torch.nn.Module, keep: float) -> None:
    """Move a running average of weights and statistics toward the net; ``keep`` is the share of the old one."""
    for mine, other in zip(average.state_dict().values(), net.state_dict().values(), strict=True):
        if mine.dtype.is_floating_point:
            mine.lerp_(other, 1 - keep)
        else:
            mine.copy_(other)


FORMAT = 1
_KEY = "dubkit training"
_ELSEWHERE = "choose another folder, or delete this one"

Modules = Mapping[str, nn.Module]
Optimizers = Mapping[str, torch.optim.Optimizer]


@dataclass(slots=True)
class TrainingState:
    """How far a training has come."""

    step: int = 0  # steps done
    seconds: float = 0.0  # spent, over all runs
    best: float | None = None  # the deciding measure at its best
    best_step: int = 0
    idle: int = 0  # checks since then
    finished: str | None = None  # why it ended
    sums: dict[str, float] = field(default_factory=dict)  # of the losses since the last check
    summed: int = 0


def save_state(
    path: Path,
    kind: str,
    identity: Mapping[str, str],
    state: TrainingState,
    modules: Modules,
    optimizers: Optimizers,
) -> None:
    """Replace the state. Raises `OutputError` where it cannot be written; the one before stays."""
    tensors: dict[str, Tensor] = {}
    for name, module in modules.items():
        tensors |= {f"module/{name}/{k}": t for k, t in module.state_dict().items()}
    for name, optimizer in optimizers.items():
        for index, memory in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{name}/{index}/{k}": _tensor(v) for k, v in memory.items()}
    facts = {
        "format": FORMAT,
        "kind": kind,
        "identity": dict(identity),
        "standing": asdict(state),
    }
    packed = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    write_whole(path, save(packed, {_KEY: json.dumps(facts)}))


def write_whole(path: Path, content: bytes) -> None:
    """Write a file or leave the old one. Raises `OutputError`."""
    try:
        manifest.write_atomic(path, content)
    except OSError as error:
        for beside in path.parent.glob(f".{path.name}.*"):
            beside.unlink(missing_ok=True)
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        what = "the disk is full" if full else str(error.strerror)
        raise OutputError(
            f"{path} cannot be written: {what}",
            hint="make room and give the same command: it resumes from the last saved state",
        ) from error


def load_state(
    path: Path,
    kind: str,
    identity: Mapping[str, str],
    modules: Modules,
    optimizers: Optimizers,
) -> TrainingState | None:
    """Put a saved state into nets and optimizers; None where there is none.

    Raises `ModelError` where it is damaged or of another net, `WorkError` where it is of a training with other
    settings, footage or start.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"the saved training {path} is damaged: {error}", hint=_ELSEWHERE
        ) from error
    facts = _facts(path, kind, metadata)
    _compare(path, facts["identity"], identity)
    for name, module in modules.items():
        _fill(path, module, _part(tensors, f"module/{name}/"))
    for name, optimizer in optimizers.items():
        _remember(optimizer, _part(tensors, f"optimizer/{name}/"))
    return TrainingState(**facts["standing"])


def _facts(path: Path, kind: str, metadata: Mapping[str, str]) -> dict[str, Any]:
    if _KEY not in metadata:
        raise ModelError(f"{path} is not a training of dubkit", hint=_ELSEWHERE)
    try:
        facts: dict[str, Any] = json.loads(metadata[_KEY])
        version, found = facts["format"], facts["kind"]
        TrainingState(**facts["standing"])
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"the metadata of {path} are damaged: {error}", hint=_ELSEWHERE) from error
    if version != FORMAT:
        raise ModelError(
            f"{path} was saved by another version of dubkit (format {version}, not {FORMAT})",
            hint=_ELSEWHERE,
        )
    if found != kind:
        raise ModelError(f"{path} is the training of a {found}, not of a {kind}", hint=_ELSEWHERE)
    return facts


def _compare(path: Path, before: Mapping[str, str], now: Mapping[str, str]) -> None:
    changed = [
        f"{name} was {before.get(name)}, is {now.get(name)}"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    ]
    if changed:
        raise WorkError(
            f"{path.parent} holds a training with other settings: {'; '.join(changed)}",
            hint="give the same settings to resume it, or another folder to start over",
        )


def _fill(path: Path, module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    own = module.state_dict()
    wrong = own.keys() ^ tensors.keys() or {n for n in own if own[n].shape != tensors[n].shape}
    if wrong:
        raise ModelError(f"{path} is for another net: {min(wrong)} does not fit", hint=_ELSEWHERE)
    module.load_state_dict(dict(tensors))


def _remember(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    memory: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, key = name.partition("/")
        memory.setdefault(int(index), {})[key] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": memory, "param_groups": groups})


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def _tensor(value: Any) -> Tensor:
    return value if isinstance(value, Tensor) else torch.tensor(value)


STATE, METRICS, PREVIEWS = "state.safetensors", "metrics.jsonl", "previews"


def run_training(
    objective: Objective,
    settings: LoopSettings,
    folder: Path,
    *,
    identity: Mapping[str, str],
    device: torch.device,
    progress: Progress,
) -> Outcome:
    """Train in ``folder``, or resume the training that it holds.

    Raises `Interrupted` after Ctrl-C with the state saved, `OutputError` where a file cannot be written,
    `ModelError` or `WorkError` where the folder holds another training.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made: {error.strerror}") from error
    try:
        with lock.hold(folder), _stop_requests() as stop_requested:
            trainer = _Trainer(objective, settings, folder, dict(identity), device, progress)
            trainer.resume()
            trainer.run(stop_requested)
            return trainer.outcome()
    except OSError as error:
        raise explain(error, folder) from error


class _Trainer:
    """One training under way."""

    def __init__(
        self,
        objective: Objective,
        settings: LoopSettings,
        folder: Path,
        identity: Mapping[str, str],
        device: torch.device,
        progress: Progress,
    ) -> None:
        self.objective, self.settings, self.folder = objective, settings, folder
        self.identity, self.device, self.progress = identity, device, progress
        self.state = TrainingState()
        self.lines: list[dict[str, Any]] = []
        self._begun = time.monotonic()

    def resume(self) -> None:
        """Load the saved state, or evaluate the net as it starts."""
        objective = self.objective
        modules, optimizers = objective.modules(), objective.optimizers()
        path = self.folder / STATE
        found = load_state(path, objective.kind, self.identity, modules, optimizers)
        if found is None:
            self.check()
        else:
            self.state = found
            self._begun -= found.seconds
            self.lines = _known_lines(self.folder / METRICS, found.step)
        every, steps = self.settings.check_every, self.settings.steps
        done = self.state.step // every
        self.progress.plan(objective.kind, -(-steps // every), done, 0)

    def run(self, stop_requested: Callable[[], bool]) -> None:
        """Step by step to the end. Raises `Interrupted` when a stop is requested."""
        settings, state = self.settings, self.state
        began = time.monotonic()
        last = settings.steps if state.finished is None else state.step
        steps = run_steps(self.objective, settings, self.device, state.step + 1, last)
        for step, losses in steps:
            self._add(step, losses)
            if step % settings.check_every == 0 or step == settings.steps:
                self.check()
                spent, began = time.monotonic() - began, time.monotonic()
                self.progress.advance(self.objective.kind, f"step {step}", 0, spent, None)
            if state.finished is not None:
                return
            if stop_requested():
                self._save()
                raise Interrupted(
                    f"stopped after step {step} of {settings.steps}; it is saved",
                    hint="the same command resumes it",
                )

    def _add(self, step: int, losses: Mapping[str, float]) -> None:
        state = self.state
        if not all(math.isfinite(value) for value in losses.values()):
            raise ModelError(
                f"the training diverged at step {step}: a loss is not a number",
                hint=f"start over in another folder with a lower rate than {self.settings.rate:g}",
            )
        for name, value in losses.items():
            state.sums[name] = state.sums.get(name, 0.0) + value
        state.summed += 1
        state.step = step

    def check(self) -> None:
        """Evaluate, keep the best weights, draw a preview, save the state, and decide whether to continue."""
        state, settings, objective = self.state, self.settings, self.objective
        measures = {name: float(value) for name, value in objective.evaluate().items()}
        reached = measures[objective.goal]
        better = math.isfinite(reached) and (state.best is None or reached < state.best)
        if better:
            state.best, state.best_step, state.idle = reached, state.step, 0
        else:
            state.idle += 1
        if better and state.step:
            objective.save(self.folder / f"{objective.kind}.safetensors", state.step)
        if state.step >= settings.steps:
            state.finished = "all steps are done"
        elif state.idle >= settings.patience:
            state.finished = f"no better result in {state.idle} checks"
        self._log(measures, better)
        self._save_preview()
        state.sums, state.summed = {}, 0
        self._save()

    def _log(self, measures: Mapping[str, float], better: bool) -> None:
        state = self.state
        losses = {n: round(v / state.summed, 6) for n, v in state.sums.items()}
        line = {
            "step": state.step,
            "seconds": round(time.monotonic() - self._begun, 1),
            "losses": losses,
            "held_out": {name: round(value, 6) for name, value in measures.items()},
            "best": better,
        }
        self.lines.append(line)
        text = "".join(json.dumps(line) + "\n" for line in self.lines)
        write_whole(self.folder / METRICS, text.encode())
        shown = ", ".join(f"{name} {value:.4g}" for name, value in measures.items())
        loss = "".join(f", {name} {value:.4g}" for name, value in losses.items())
        self.progress.note(f"step {state.step}: held out {shown}{loss}{' *' if better else ''}")

    def _save_preview(self) -> None:
        picture = self.objective.preview()
        if picture is None:
            return
        done, packed = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        if done:
            folder = self.folder / PREVIEWS
            folder.mkdir(exist_ok=True)
            write_whole(folder / f"{self.state.step:06d}.png", packed.tobytes())

    def _save(self) -> None:
        self.state.seconds = round(time.monotonic() - self._begun, 3)
        save_state(
            self.folder / STATE,
            self.objective.kind,
            self.identity,
            self.state,
            self.objective.modules(),
            self.objective.optimizers(),
        )

    def outcome(self) -> Outcome:
        """How it ended."""
        state = self.state
        weights = self.folder / f"{self.objective.kind}.safetensors"
        best = next((li for li in self.lines if li["step"] == state.best_step), None)
        return Outcome(
            weights if state.best_step else None,
            state.step,
            state.best_step,
            state.best,
            self.objective.goal,
            state.finished or "",
            state.seconds,
            best["held_out"] if best else {},
        )


def _known_lines(path: Path, step: int) -> list[dict[str, Any]]:
    """The log up to a step, without lines that a crash left behind."""
    if not path.is_file():
        return []
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line["step"] <= step]


@contextmanager
def _stop_requests() -> Iterator[Callable[[], bool]]:
    """Ctrl-C and SIGTERM request a stop after the current step; a second Ctrl-C stops at once."""
    requested = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield requested.is_set
        return

    def request(number: int, frame: object) -> None:
        if requested.is_set():
            raise KeyboardInterrupt
        requested.set()

    before = {number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield requested.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
