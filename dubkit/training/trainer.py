"""A training from start, or from where it stopped, to its end.

::

    FOLDER/<kind>.safetensors    the best weights so far, ready for use
    FOLDER/state.safetensors     where the training stands
    FOLDER/metrics.jsonl         one line a check
    FOLDER/previews/000500.png   what the net makes of held-out clips at step 500

A check measures the net on held-out clips, keeps it if it is the best so far, draws a preview and saves the
state. After as many checks without a better result as the patience allows, the training ends.
"""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import cv2
import torch

from dubkit.config.schema import LoopSettings
from dubkit.errors import Interrupted, ModelError, OutputError
from dubkit.progress import Progress
from dubkit.training.loop import Lesson, Outcome, Pace, batches, course_of_rate, seed_of
from dubkit.training.resume import Standing, load_state, save_state, write_whole
from dubkit.work.folder import explain
from dubkit.work.lock import hold

STATE, METRICS, PREVIEWS = "state.safetensors", "metrics.jsonl", "previews"


def run_lesson(
    lesson: Lesson,
    settings: LoopSettings,
    folder: Path,
    *,
    identity: Mapping[str, str],
    device: torch.device,
    progress: Progress,
) -> Outcome:
    """Train, or go on training, in ``folder``.

    Raises `Interrupted` after Ctrl-C with the state saved, `OutputError` where a file cannot be written,
    `ModelError` or `WorkError` where the folder holds another training.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made: {error.strerror}") from error
    try:
        with hold(folder), _stop_requests() as asked:
            course = _Course(lesson, settings, folder, dict(identity), device, progress)
            course.begin()
            course.run(asked)
            return course.outcome()
    except OSError as error:
        raise explain(error, folder) from error


class _Course:
    """A training on its way."""

    def __init__(
        self,
        lesson: Lesson,
        settings: LoopSettings,
        folder: Path,
        identity: Mapping[str, str],
        device: torch.device,
        progress: Progress,
    ) -> None:
        self.lesson, self.settings, self.folder = lesson, settings, folder
        self.identity, self.device, self.progress = identity, device, progress
        self.standing = Standing()
        self.lines: list[dict[str, Any]] = []
        self._begun = time.monotonic()

    def begin(self) -> None:
        """Take up a saved state, or measure where the net starts from."""
        lesson = self.lesson
        modules, optimizers = lesson.modules(), lesson.optimizers()
        state = self.folder / STATE
        found = load_state(state, lesson.kind, self.identity, modules, optimizers)
        if found is None:
            self.check()
        else:
            self.standing = found
            self._begun -= found.seconds
            self.lines = _known_lines(self.folder / METRICS, found.step)
        every, steps = self.settings.check_every, self.settings.steps
        done = self.standing.step // every
        self.progress.plan(lesson.kind, -(-steps // every), done, 0)

    def run(self, asked: Callable[[], bool]) -> None:
        """Step by step to the end. Raises `Interrupted` when asked to stop."""
        settings, standing = self.settings, self.standing
        began = time.monotonic()
        last = settings.steps if standing.finished is None else standing.step
        for batch in batches(self.lesson, settings, standing.step + 1, last):
            self._step(batch)
            if standing.step % settings.check_every == 0 or standing.step == settings.steps:
                self.check()
                spent, began = time.monotonic() - began, time.monotonic()
                self.progress.advance(self.lesson.kind, f"step {standing.step}", 0, spent, None)
            if standing.finished is not None:
                return
            if asked():
                self._save()
                raise Interrupted(
                    f"stopped after step {standing.step} of {settings.steps}; it is saved",
                    hint="the same command goes on from there",
                )

    def _step(self, batch: Any) -> None:
        standing, settings = self.standing, self.settings
        step = standing.step + 1
        torch.manual_seed(seed_of(settings.seed, step))
        rate = settings.rate * course_of_rate(step, settings.steps)
        for optimizer in self.lesson.optimizers().values():
            for group in optimizer.param_groups:
                group["lr"] = rate
        losses = self.lesson.learn(batch, Pace(step, rate, self.device, self._autocast))
        if not all(math.isfinite(value) for value in losses.values()):
            raise ModelError(
                f"the training went astray at step {step}: a loss is not a number",
                hint=f"begin anew in another folder with a lower rate than {settings.rate:g}",
            )
        for name, value in losses.items():
            standing.sums[name] = standing.sums.get(name, 0.0) + value
        standing.summed += 1
        standing.step = step

    def _autocast(self) -> AbstractContextManager[Any]:
        wanted = self.settings.precision
        half = wanted == "bfloat16" or (wanted == "auto" and self.device.type == "cuda")
        return torch.autocast(self.device.type, torch.bfloat16, enabled=half)

    def check(self) -> None:
        """Measure on held-out clips, keep the best, look, save, and decide whether to go on."""
        standing, settings, lesson = self.standing, self.settings, self.lesson
        measures = {name: float(value) for name, value in lesson.examine().items()}
        reached = measures[lesson.goal]
        better = math.isfinite(reached) and (standing.best is None or reached < standing.best)
        if better:
            standing.best, standing.best_step, standing.idle = reached, standing.step, 0
        else:
            standing.idle += 1
        if better and standing.step:
            lesson.save(self.folder / f"{lesson.kind}.safetensors", standing.step)
        if standing.step >= settings.steps:
            standing.finished = "all steps are done"
        elif standing.idle >= settings.patience:
            standing.finished = f"no better result in {standing.idle} checks"
        self._log(measures, better)
        self._look()
        standing.sums, standing.summed = {}, 0
        self._save()

    def _log(self, measures: Mapping[str, float], better: bool) -> None:
        standing = self.standing
        losses = {n: round(v / standing.summed, 6) for n, v in standing.sums.items()}
        line = {
            "step": standing.step,
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
        self.progress.note(f"step {standing.step}: held out {shown}{loss}{' *' if better else ''}")

    def _look(self) -> None:
        picture = self.lesson.preview()
        if picture is None:
            return
        done, packed = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        if done:
            folder = self.folder / PREVIEWS
            folder.mkdir(exist_ok=True)
            write_whole(folder / f"{self.standing.step:06d}.png", packed.tobytes())

    def _save(self) -> None:
        self.standing.seconds = round(time.monotonic() - self._begun, 3)
        save_state(
            self.folder / STATE,
            self.lesson.kind,
            self.identity,
            self.standing,
            self.lesson.modules(),
            self.lesson.optimizers(),
        )

    def outcome(self) -> Outcome:
        """What there is now."""
        standing = self.standing
        weights = self.folder / f"{self.lesson.kind}.safetensors"
        best = next((li for li in self.lines if li["step"] == standing.best_step), None)
        return Outcome(
            weights if standing.best_step else None,
            standing.step,
            standing.best_step,
            standing.best,
            self.lesson.goal,
            standing.finished or "",
            standing.seconds,
            best["held_out"] if best else {},
        )


def _known_lines(path: Path, step: int) -> list[dict[str, Any]]:
    """The log up to a step; lines that a crash left behind go."""
    if not path.is_file():
        return []
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line["step"] <= step]


@contextmanager
def _stop_requests() -> Iterator[Callable[[], bool]]:
    """Ctrl-C and SIGTERM ask to stop after the step in hand; a second Ctrl-C stops at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return

    def ask(number: int, frame: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
