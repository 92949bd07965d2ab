"""Phonemes -> mouth shape: numpy in and out around the TC net, and the rules of articulation.

The net predicts how the mouth moves; three rules are enforced afterward, because a viewer notices each breach: lips are
shut in the middle of every P, B and M, the lower lip is at the teeth in F and V, and lips never pass through one
another.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dubkit.lips import mouth_shape
from dubkit.models.checkpoint import Checkpoint
from dubkit.models.tc import Actor, TcNet, load_actor, load_tc
from dubkit.records import GRID_STEP, SILENCE, Floats, TimedPhoneme, Timing
from dubkit.speech import articulatory


@dataclass(frozen=True, slots=True)
class NetInput:
    """The input of the TC net for N frames: T cells of the grid, and where the frames lie between them."""

    cells: Tensor  # (1, T, F) features
    low: Tensor  # (N,) cell before each frame
    part: Tensor  # (N, 1) way to the next cell

    def predict(self, net: TcNet) -> Tensor:  # (N, K)
        """Mouth shapes at the frames."""
        cells = net(self.cells)[0]
        shapes: Tensor = cells[self.low] * (1 - self.part) + cells[self.low + 1] * self.part
        return shapes


def net_input(net: TcNet, timing: Timing) -> NetInput:
    """The input of ``net`` for all frames of ``timing``, with as much context as its receptive field."""
    reach = GRID_STEP * (net.reach + 1)
    first, last = float(timing.times.min()), float(timing.times.max())
    numbers = articulatory.grid(first - reach, last + reach)
    given = articulatory.inputs(timing.phonemes, numbers, timing.sound, net.config.bands)
    position = timing.times / GRID_STEP - numbers[0]
    low = np.floor(position).astype(np.int64)
    part = (position - low).astype(np.float32)[:, None]
    return NetInput(torch.from_numpy(given)[None], torch.from_numpy(low), torch.from_numpy(part))


BILABIALS = frozenset("pbm")
LABIODENTALS = frozenset("fvɱ")
LABIODENTAL_GAP = 0.02  # opening of F and V over face width; the median of real speech
# where inside the phoneme the lips are closest, 0 to 1, measured on real speech: an aligner counts the
# burst and the breath after it to P and B
_CONTACT_AT = {"p": 0.25, "b": 0.25, "m": 0.5, "f": 0.35, "v": 0.65}
_RAMP = 0.04  # seconds over which a rule sets in
_MIN_OPENING = -0.002  # opening below which lips would pass through one another
# in shorter silences the net's shape is kept: real speakers keep the mouth open in four fifths of such frames. No
# longer than the context that a shot has
_PAUSE_SECONDS = 0.8
# seconds before speech in which a mouth opens, as people draw breath, and after it in which it comes to rest: chosen so
# that mouths are open in as much of the pauses as real ones
_ONSET_SECONDS, _RELAX_SECONDS = 0.8, 0.5
_SETTLE_SECONDS = 0.15  # seconds in which a mouth comes to the posture of rest, if that is open
_RULES_VERSION = 4  # changes with the rules


@dataclass(frozen=True, slots=True)
class Articulation:
    """How a mouth moves; T frames, K coefficients of `lips.mouth_shape`."""

    coefficients: Floats  # (T, K) offsets from rest
    speaking: Floats  # (T,) 1 in speech, 0 in silence, ramps between


class Articulator:
    """The TC net of the package, or of a checkpoint file. Runs on the CPU: milliseconds a shot.

    With the profile of an ``actor`` it moves the mouth as that person does.
    """

    def __init__(
        self, device: str = "cpu", weights: Path | None = None, actor: Path | None = None
    ) -> None:
        self._path, self._actor_path = weights, actor

    @cached_property
    def _loaded(self) -> tuple[TcNet, Checkpoint]:
        if self._path is not None:
            return load_tc(self._path)
        with as_file(files("dubkit") / "weights" / "tc.safetensors") as path:
            return load_tc(path)

    @cached_property
    def _actor(self) -> Actor | None:
        if self._actor_path is None:
            return None
        return load_actor(self._actor_path, self.digest)

    @property
    def net(self) -> TcNet:
        """The net itself without any actor, to be tuned."""
        return self._loaded[0]

    @property
    def digest(self) -> str:
        """Names the weights."""
        return self._loaded[1].digest

    @property
    def version(self) -> str:
        """Names the weights, the actor and the rules."""
        return f"tc{_RULES_VERSION}-{self.digest}" + (
            f"+{self._actor.digest}" if self._actor else ""
        )

    def predict(self, timing: Timing, gain: float = 1.0) -> Articulation:
        """The mouth shape at each frame's moment, as offset from a resting mouth that is shut.

        ``gain`` is how widely this speaker articulates against the mean (`lips.mouth_shape.gain`); an actor's
        profile knows that already, so a known actor's gain is to be 1.
        """
        coefficients = _enforce_rules(self.shapes(timing) * gain, timing)
        return Articulation(coefficients, speaking(timing))

    def shapes(self, timing: Timing) -> Floats:
        """(T, K) the prediction of the net (the actor's, else the package's) at each frame, without the rules."""
        net = self._actor.net if self._actor else self._loaded[0]
        with one_thread(), torch.inference_mode():
            return np.asarray(net_input(net, timing).predict(net).numpy(), np.float32)


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread."""
    # sums in another order differ in their last bits; results must not depend on the number of workers
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def speaking(timing: Timing) -> Floats:
    """(T,) 1 where the dub speaks, 0 in silences longer than a short pause, smooth between."""
    level = np.ones(len(timing.times))
    for begin, finish in silences(timing.phonemes):
        if finish - begin >= _PAUSE_SECONDS:
            after, before = (
                (timing.times - begin) / _RELAX_SECONDS,
                (finish - timing.times) / _ONSET_SECONDS,
            )
            level = np.minimum(level, 1 - _smooth(np.minimum(after, before)))
    return np.asarray(level, np.float32)


def at_rest(shapes: Floats, posture: Floats, timing: Timing) -> Floats:
    """(T, K) shapes whose mouth is never more closed in pauses than in ``posture`` (K,), the speaker's at rest.

    Where nothing is said in all of the shot, they stay as they are: a mouth ajar would look as if it were about to
    speak.
    """
    effect = mouth_shape.gap_effect()
    wide = float(posture @ effect)
    if wide <= 0 or not speaking(timing).any():
        return shapes
    hold = np.zeros(len(timing.times))
    for begin, finish in silences(timing.phonemes):
        if finish - begin >= _PAUSE_SECONDS:
            inside = np.minimum(timing.times - begin, finish - timing.times) / _SETTLE_SECONDS
            hold = np.maximum(hold, _smooth(inside))
    lacking = 1 - np.clip(shapes @ effect / wide, 0.0, 1.0)
    return np.asarray(shapes + (hold * lacking)[:, None] * posture, np.float32)


def _smooth(part: NDArray[np.float64]) -> NDArray[np.float64]:
    """0 to 1 as ``part`` goes from 0 to 1, without a kink."""
    part = np.clip(part, 0.0, 1.0)
    return np.asarray(part * part * (3 - 2 * part))


def silences(phonemes: tuple[TimedPhoneme, ...]) -> list[tuple[float, float]]:
    """Silent spans in seconds, including those before the first and after the last phoneme."""
    spans: list[tuple[float, float]] = []
    at = -np.inf
    for symbol, start, end in [*phonemes, ("", np.inf, np.inf)]:
        if symbol == SILENCE:
            continue
        if start > at:
            spans.append((at, start))
        at = end
    return spans


def _enforce_rules(coefficients: Floats, timing: Timing) -> Floats:
    """(T, K) shapes with the rules enforced, each by the smallest change of shape."""
    effect = mouth_shape.gap_effect()
    opening = coefficients @ effect
    wanted = np.maximum(opening, _MIN_OPENING)
    for symbol, start, end in timing.phonemes:
        if symbol[0] in BILABIALS or symbol[0] in LABIODENTALS:
            goal = 0.0 if symbol[0] in BILABIALS else LABIODENTAL_GAP
            contact = _CONTACT_AT.get(symbol[0], 0.5)
            hold = _rule_strength(timing.times, start + contact * (end - start), end - start)
            wanted = np.minimum(wanted, hold * goal + (1 - hold) * np.maximum(wanted, goal))
    # smallest in units of how much shapes vary
    step = effect / float(effect @ effect)
    return np.asarray(coefficients + (wanted - opening)[:, None] * step, np.float32)


def _rule_strength(times: NDArray[np.float64], center: float, length: float) -> NDArray[np.float64]:
    """(T,) 0..1, how strongly a rule applies: fully around its center, and in one frame at least."""
    hold = np.clip((length / 4 + _RAMP - np.abs(times - center)) / _RAMP, 0.0, 1.0)
    nearest = int(np.argmin(np.abs(times - center)))
    interval = float(np.median(np.diff(times))) if len(times) > 1 else GRID_STEP
    if abs(times[nearest] - center) <= interval:
        hold[nearest] = 1.0
    return np.asarray(hold)
