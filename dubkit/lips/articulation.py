"""Speech -> mouth shape: numpy in and out around the TC net, and the rules that speech never breaks.

The net predicts how the mouth moves; four rules are enforced after it, because a viewer notices each breach: lips meet
where the closure head is sure of it, they are shut in the middle of every P, B and M of a script, the lower lip is at
the teeth in its F and V, and lips never pass through one another.

Without a script, phonemes are left out altogether: recognized ones made the lips worse (``weights/tc.md``), and
many languages have none. The speech activity head then decides where somebody speaks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import as_file, files
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dubkit.errors import ModelError
from dubkit.lips import mouth_shape
from dubkit.models import checkpoint, devices, speech_encoder, tc
from dubkit.records import (
    GRID_STEP,
    SILENCE,
    Doubles,
    EncoderRows,
    Floats,
    Integers,
    MelLevels,
    TimedPhoneme,
    Timing,
)
from dubkit.speech import articulatory, mel_levels


@dataclass(frozen=True, slots=True)
class NetInput:
    """What the net is given for N frames, with as many cells around them as `speaking` and the net look at."""

    cells: tc.TcInput  # of T cells
    first: int  # number of cell 0
    low: Tensor  # (N,) cell before each frame
    part: Tensor  # (N, 1) way to the next cell

    def predict(self, net: tc.AnyNet) -> Tensor:  # (N, K)
        """Mouth shapes at the frames."""
        shapes: Tensor = self.at_frames(net(self.cells).shapes[0])
        return shapes

    def at_frames(self, cells: Tensor) -> Tensor:
        """(T, ...) values of the cells -> (N, ...) at the frames."""
        part = self.part if cells.dim() > 1 else self.part[:, 0]
        return cells[self.low] * (1 - part) + cells[self.low + 1] * part


def net_input(net: tc.AnyNet, timing: Timing) -> NetInput:
    """What ``net`` is given for a stretch: phonemes only where they are those of a script."""
    around = _PAUSE_SECONDS + GRID_STEP * (net.reach + 1)
    first, last = float(timing.times.min()), float(timing.times.max())
    numbers = articulatory.grid(first - around, last + around)
    path = "script" if timing.scripted else "none"
    cells = tc_input(net.config, timing.phonemes, path, numbers, timing.sound, timing.encoder)
    place = timing.times / GRID_STEP - numbers[0]
    low = np.floor(place).astype(np.int64)
    part = (place - low).astype(np.float32)[:, None]
    return NetInput(cells, int(numbers[0]), torch.from_numpy(low), torch.from_numpy(part))


def tc_input(
    config: tc.TcConfig,
    phonemes: Sequence[TimedPhoneme],
    path: str,
    numbers: Integers,
    sound: MelLevels | None,
    encoder: EncoderRows | None,
) -> tc.TcInput:
    """The cells ``numbers`` (consecutive) as a net of ``config`` takes them, a batch of one.

    ``path`` is where the phonemes are from, one of `models.tc.PATHS`; with ``none`` they are left out.
    """
    count = len(numbers)
    flags = np.zeros((count, tc.FLAGS), np.float32)
    rows: Floats = np.zeros((count, config.rows), np.float32)
    if encoder is not None:
        rows, flags[:, 0] = encoder.at(numbers)
    flags[:, 1 + tc.PATHS.index(path)] = 1.0
    features: Floats = np.zeros((count, config.features), np.float32)
    if path != "none":
        features = articulatory.cells(phonemes, numbers)
    levels = np.zeros((count, config.bands + 1), np.float32)
    if sound is not None:
        place = numbers - sound.first
        levels[:, :-1] = sound.rows(numbers)
        levels[(place >= 0) & (place < len(sound.levels)), -1] = 1.0
    return tc.TcInput(*(torch.from_numpy(part)[None] for part in (rows, features, levels, flags)))


BILABIALS = frozenset("pbm")
LABIODENTALS = frozenset("fvɱ")
LABIODENTAL_GAP = 0.02  # opening of F and V over face width; the median of real speech
# where inside the phoneme the lips are closest, 0 to 1, measured on real speech: an aligner counts the
# burst and the breath after it to P and B
_CONTACT_AT = {"p": 0.25, "b": 0.25, "m": 0.5, "f": 0.35, "v": 0.65}
_RAMP = 0.04  # seconds over which a rule takes hold
_MIN_OPENING = -0.002  # opening below which lips would pass through one another
# seconds: in shorter silences the mouth does what the net says. Real speakers keep it open in four fifths of such
# frames; no longer than the context that a shot knows
_PAUSE_SECONDS = 0.8
# seconds before speech in which a mouth opens, for people draw breath, and in which it comes to rest after it: so
# mouths are open in as much of the pauses as real ones
_ONSET_SECONDS, _RELAX_SECONDS = 0.8, 0.5
_SETTLE_SECONDS = 0.15  # seconds in which a mouth comes to the posture of rest, if that is open
# probability of lips that meet from which the opening is reduced, and at which it is 0; chosen on people left out of
# the training
_CLOSING_FROM, _CLOSED = 0.2, 0.5
# without a script: the symbols of speech that the speech activity head detects, and of lips that meet in it
_SPEECH, _CONTACT = "ə", "m"
_RULES_VERSION = 5  # changes with the rules


@dataclass(frozen=True, slots=True)
class Articulation:
    """How a mouth moves; T frames, K coefficients of `lips.mouth_shape`."""

    coefficients: Floats  # (T, K) offsets from rest
    speaking: Floats  # (T,) 1 in speech, 0 in silence, ramps between
    phonemes: tuple[TimedPhoneme, ...]  # the script's; without one, the speech that was detected


class Articulator:
    """The TC net of the package, or of a checkpoint file. Runs on the CPU: milliseconds a shot.

    With the profile of an ``actor`` it moves the mouth as that person does.
    """

    def __init__(
        self, device: str = "cpu", weights: Path | None = None, actor: Path | None = None
    ) -> None:
        self._path, self._actor_path = weights, actor

    @cached_property
    def _loaded(self) -> tuple[tc.TcNet, checkpoint.Checkpoint]:
        if self._path is not None:
            return tc.load_tc(self._path)
        with as_file(files("dubkit") / "weights" / "tc.safetensors") as path:
            return tc.load_tc(path)

    @cached_property
    def _actor(self) -> tc.Actor | None:
        if self._actor_path is None:
            return None
        return tc.load_actor(self._actor_path, self.digest)

    @property
    def net(self) -> tc.TcNet:
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

        ``gain`` is how widely this speaker articulates against the mean (`lips.mouth_shape.gain`), with an
        actor's profile too, which keeps the net's range.
        """
        given = net_input(self._net, timing)
        with devices.threads(1), torch.inference_mode():
            answer = self._net(given.cells)
            shapes = given.at_frames(answer.shapes[0]).numpy() * np.float32(gain)
            closure = given.at_frames(answer.closure[0]).numpy()
            speech, closures = answer.speech[0].numpy(), answer.closure[0].numpy()
        phonemes = timing.phonemes
        if not timing.scripted and timing.encoder is not None:
            phonemes = _detected(speech, closures, given.first, timing)
        obeyed = _enforce_rules(_closed(shapes, closure), timing)
        return Articulation(obeyed, speaking(timing.times, phonemes), phonemes)

    def shapes(self, timing: Timing) -> Floats:
        """(T, K) the net's bare answer at each frame's moment: the actor's net, else the package's."""
        with devices.threads(1), torch.inference_mode():
            return np.asarray(net_input(self._net, timing).predict(self._net).numpy(), np.float32)

    @cached_property
    def _net(self) -> tc.AnyNet:
        net = self.net
        sizes = (net.config.rows, net.config.features, net.config.bands, net.config.coefficients)
        count = len(mouth_shape.basis().decode)
        if sizes != (
            speech_encoder.SpeechEncoderConfig().rows,
            articulatory.COUNT,
            mel_levels.BANDS,
            count,
        ):
            raise ModelError(
                f"{self._path or 'the TC net'} was made for another version of dubkit's inputs",
                hint="prepare the clips and train again: dubkit train prepare, dubkit train tc",
            )
        return tc.PersonNet(net, self._actor.term) if self._actor else net


def _detected(
    speech: Floats, closure: Floats, first: int, timing: Timing
) -> tuple[TimedPhoneme, ...]:
    """The spans of speech, and of lips that meet in it, by the logits (T,) of the cells from ``first`` on.

    Noise is left out.
    Cells farther than `_PAUSE_SECONDS` from the frames are left out, and those without encoder rows.
    """
    numbers = np.arange(first, first + len(speech))
    moments = numbers * GRID_STEP
    spoken = (speech > 0) & (timing.encoder.at(numbers)[1] > 0 if timing.encoder else False)
    spoken &= (moments >= timing.times.min() - _PAUSE_SECONDS) & (
        moments <= timing.times.max() + _PAUSE_SECONDS
    )
    for begin, finish in timing.noise:
        spoken &= (moments < begin) | (moments >= finish)
    kinds = np.where(spoken, np.where(closure > 0, 2, 1), 0)
    edges = np.flatnonzero(np.diff(kinds, prepend=0, append=0)).tolist()
    times = [(edge + first - 0.5) * GRID_STEP for edge in edges]
    return tuple(
        (_CONTACT if kinds[edge] == 2 else _SPEECH, begin, finish)
        for edge, (begin, finish) in zip(edges, pairwise(times), strict=False)
        if kinds[edge]
    )


def _closed(coefficients: Floats, closure: Floats) -> Floats:
    """(T, K) shapes whose opening is reduced as far as the logits ``closure`` (T,) say that the lips meet."""
    effect = mouth_shape.gap_effect()
    likely = 1 / (1 + np.exp(-np.clip(closure, -30, 30)))
    part = np.clip((likely - _CLOSING_FROM) / (_CLOSED - _CLOSING_FROM), 0, 1)
    opening = np.maximum(coefficients @ effect, 0.0)
    step = effect / float(effect @ effect)
    return np.asarray(coefficients - (part * opening)[:, None] * step, np.float32)


def speaking(times: Doubles, phonemes: Sequence[TimedPhoneme]) -> Floats:
    """(T,) 1 where somebody speaks, 0 in silences longer than a short pause, smooth between."""
    level = np.ones(len(times))
    for begin, finish in silences(phonemes):
        if finish - begin >= _PAUSE_SECONDS:
            after, before = (times - begin) / _RELAX_SECONDS, (finish - times) / _ONSET_SECONDS
            level = np.minimum(level, 1 - _smooth(np.minimum(after, before)))
    return np.asarray(level, np.float32)


def at_rest(
    shapes: Floats,
    posture: Floats,
    times: Doubles,
    phonemes: Sequence[TimedPhoneme],
) -> Floats:
    """(T, K) shapes whose mouth is never more closed in pauses than in ``posture`` (K,), the speaker's at rest.

    Where nothing is said in all of the shot, they stay as they are: a mouth ajar would look as if it were about to
    speak.
    """
    effect = mouth_shape.gap_effect()
    wide = float(posture @ effect)
    if wide <= 0 or not speaking(times, phonemes).any():
        return shapes
    hold = np.zeros(len(times))
    for begin, finish in silences(phonemes):
        if finish - begin >= _PAUSE_SECONDS:
            inside = np.minimum(times - begin, finish - times) / _SETTLE_SECONDS
            hold = np.maximum(hold, _smooth(inside))
    lacking = 1 - np.clip(shapes @ effect / wide, 0.0, 1.0)
    return np.asarray(shapes + (hold * lacking)[:, None] * posture, np.float32)


def _smooth(part: Doubles) -> Doubles:
    """0 to 1 as ``part`` goes from 0 to 1, without a kink."""
    part = np.clip(part, 0.0, 1.0)
    return np.asarray(part * part * (3 - 2 * part))


def silences(phonemes: Sequence[TimedPhoneme]) -> list[tuple[float, float]]:
    """Silent spans, what lies before the first and after the last phoneme included."""
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
    """Enforce the rules on (T, K) shapes; those of phonemes only where a script gave them."""
    effect = mouth_shape.gap_effect()
    opening = coefficients @ effect
    wanted = np.maximum(opening, _MIN_OPENING)
    for symbol, start, end in timing.phonemes if timing.scripted else ():
        if symbol[0] in BILABIALS or symbol[0] in LABIODENTALS:
            goal = 0.0 if symbol[0] in BILABIALS else LABIODENTAL_GAP
            place = _CONTACT_AT.get(symbol[0], 0.5)
            hold = _rule_strength(timing.times, start + place * (end - start), end - start)
            wanted = np.minimum(wanted, hold * goal + (1 - hold) * np.maximum(wanted, goal))
    # smallest in units of how much shapes vary
    step = effect / float(effect @ effect)
    return np.asarray(coefficients + (wanted - opening)[:, None] * step, np.float32)


def _rule_strength(times: Doubles, center: float, length: float) -> Doubles:
    """(T,) 0..1, how strongly a rule applies: fully around its center, and in one frame at least."""
    hold = np.clip((length / 4 + _RAMP - np.abs(times - center)) / _RAMP, 0.0, 1.0)
    nearest = int(np.argmin(np.abs(times - center)))
    interval = float(np.median(np.diff(times))) if len(times) > 1 else GRID_STEP
    if abs(times[nearest] - center) <= interval:
        hold[nearest] = 1.0
    return np.asarray(hold)
