"""What the TC net learns from: phonemes, sound and mouth shapes of the clips of a prepared set."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dubkit.config.schema import TcTraining
from dubkit.errors import InputError
from dubkit.faces.align import apply, canonical_from_face
from dubkit.lips import mouth_shape
from dubkit.lips.articulation import BILABIALS
from dubkit.records import GRID_STEP, SILENCE, Floats, MelLevels, TimedPhoneme
from dubkit.speech import articulatory
from dubkit.speech.mel_levels import BANDS, SCALE_DB
from dubkit.training.dataset import PreparedClip, PreparedSet

OPEN = 0.0175  # opening over face width of an open mouth
_MEAN_OPENING = 0.07  # upper quartile of the mean speaker's open frames
_GAIN_LIMITS = (0.7, 1.3)
_ENOUGH = 10  # frames that say something


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip; T frames, K coefficients of `lips.mouth_shape`."""

    name: str
    person: str
    times: NDArray[np.float64]  # (T,) seconds
    shapes: Floats  # (T, K) offsets from the clip's own resting mouth
    duration: float
    phonemes: dict[str, list[TimedPhoneme]]  # by path: script, recognition, loop; one at least
    sound: MelLevels | None
    offset: float = 0.0  # seconds that the picture is behind its sound

    @property
    def best_path(self) -> str:
        """The most exact phonemes there are."""
        return next(path for path in ("script", "recognition", "loop") if path in self.phonemes)

    @property
    def gain(self) -> float:
        """How widely this speaker articulates, from the open frames of the clip alone."""
        opening = self.shapes @ mouth_shape.gap_effect()
        wide = opening[opening > OPEN]
        low, high = _GAIN_LIMITS
        if len(wide) <= _ENOUGH:
            return 1.0
        return float(np.clip(np.percentile(wide, 75) / _MEAN_OPENING, low, high))


def shapes_of(landmarks: Floats, pose: Floats) -> Floats:
    """(T, L, 2) landmarks and (T, 3) degrees -> (T, K) mouth shapes as offset from rest."""
    canonical = np.stack([apply(canonical_from_face(face), face) for face in landmarks])
    mouths = mouth_shape.frontal(canonical.astype(np.float32), pose)
    return mouth_shape.encode(mouths - mouth_shape.resting_mouth(mouths))


def clip_of(name: str, person: str, stored: PreparedClip, offset: float) -> Clip | None:
    """A clip to train on; None where nobody speaks in it."""
    phonemes = {
        way: list(timed)
        for way, timed in stored.phonemes.items()
        if any(symbol != SILENCE for symbol, _, _ in timed)
    }
    if not phonemes or len(stored.times) < 2:
        return None
    sound = None if stored.sound is None else MelLevels(0, stored.sound)
    return Clip(
        name,
        person,
        stored.times,
        shapes_of(stored.landmarks, stored.pose),
        float(stored.times[-1] + np.median(np.diff(stored.times))),
        phonemes,
        sound,
        offset,
    )


def load(prepared: PreparedSet, names: Sequence[str]) -> list[Clip]:
    """The clips ``names`` in which is spoken. Raises InputError where there is none."""
    clips = []
    for name in names:
        facts = prepared.clips[name]
        if not facts.silent:
            clip = clip_of(name, facts.person, prepared.load(name), facts.offset)
            if clip is not None:
                clips.append(clip)
    if not clips:
        raise InputError(
            f"nobody speaks in the clips of {prepared.root}",
            hint="the TC net learns from faces that speak; use clips with their own sound",
        )
    return clips


SHARE = (
    0.2  # power of a person's seconds that weighs them: many people matter more than much of one
)
MARGIN = 0.7  # seconds around a clip, and lost at each side of a window
FRAMES = 72  # frames of a training window at most
PATHS = {"script": 0.7, "recognition": 0.15, "loop": 0.15}
STRETCH = (0.9, 0.95, 1.0, 1.05, 1.1)
_PADDING = 64  # cells

Rows = tuple[np.ndarray, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows of clips: B windows of T cells and N frames."""

    cells: Tensor  # (B, T, F)
    low: Tensor  # (B, N) cell before each frame
    part: Tensor  # (B, N, 1) fraction of the distance to the next cell
    shapes: Tensor  # (B, N, K)
    mask: Tensor  # (B, N) 1 for frames that are there
    shut: Tensor  # (B, N) 1 in the P B M
    runs: Tensor  # (B, N) number of the phoneme that sounds

    def to(self, device: torch.device) -> Batch:
        fields = (getattr(self, name) for name in self.__dataclass_fields__)
        return Batch(*(field.to(device) for field in fields))


class Windows:
    """Draws batches; features are computed once for every clip, path and stretch."""

    def __init__(
        self, clips: Sequence[Clip], offsets: Mapping[str, float], settings: TcTraining
    ) -> None:
        self._offsets, self._settings = offsets, settings
        self._people: dict[str, list[Clip]] = defaultdict(list)
        for clip in clips:
            self._people[clip.person].append(clip)
        self._names = sorted(self._people)
        # whoever speaks long is drawn more often, but not in proportion
        seconds = [sum(c.duration for c in self._people[name]) for name in self._names]
        share = np.power(seconds, SHARE)
        self._share = share / share.sum()
        self._gains = {clip.name: clip.gain for clip in clips}
        self._known: dict[tuple[str, str, float], tuple[int, Floats]] = {}

    def draw(self, random: np.random.Generator) -> Batch:
        """One batch, a function of ``random`` alone."""
        columns = zip(*(self._window(random) for _ in range(self._settings.batch)), strict=True)
        return Batch(*(torch.from_numpy(np.stack(column)) for column in columns))

    def _pick(self, random: np.random.Generator) -> tuple[Clip, str, float]:
        clips = self._people[self._names[random.choice(len(self._names), p=self._share)]]
        length = np.array([clip.duration for clip in clips])
        clip = clips[random.choice(len(clips), p=length / length.sum())]
        names = [name for name in PATHS if name in clip.phonemes]
        chances = np.array([PATHS[name] for name in names])
        path = names[random.choice(len(names), p=chances / chances.sum())]
        return clip, path, float(random.choice(STRETCH))

    def _features(self, clip: Clip, path: str, stretch: float) -> tuple[int, Floats]:
        key = (clip.name, path, stretch)
        if key not in self._known:
            timed = [(s, a * stretch, b * stretch) for s, a, b in clip.phonemes[path]]
            numbers = articulatory.grid(-MARGIN, clip.duration * stretch + MARGIN)
            rows = articulatory.inputs(timed, numbers, None, BANDS)
            if clip.sound is not None:
                rows[:, articulatory.COUNT : -1] = _stretched(clip, numbers / stretch)
                rows[:, -1] = 1.0
            self._known[key] = (int(numbers[0]), rows)
        return self._known[key]

    def _window(self, random: np.random.Generator) -> Rows:
        settings = self._settings
        clip, path, stretch = self._pick(random)
        first, rows = self._features(clip, path, stretch)
        late = self._offsets.get(clip.name, 0.0)
        times = (clip.times - late) * stretch + settings.jitter * random.normal()
        length = settings.seconds - MARGIN
        start = random.uniform(-0.3, max(-0.29, clip.duration * stretch - length + 0.3))
        chosen = np.flatnonzero((times >= start) & (times < start + length))
        if len(chosen) < 10:
            chosen = np.arange(min(len(times), FRAMES // 2))
        chosen = chosen[:FRAMES]
        size = round(settings.seconds / GRID_STEP) + _PADDING
        base = max(0, int(times[chosen[0]] / GRID_STEP) - first - _PADDING // 2)
        cells = rows[base : base + size]
        silent: Floats = np.zeros((size - len(cells), rows.shape[1]), np.float32)
        silent[:, 0] = 1.0
        cells = np.concatenate([cells, silent])
        cells[:, articulatory.COUNT :] = augment_sound(
            cells[:, articulatory.COUNT :], random, settings
        )
        starts = np.array([begin for _, begin, _ in clip.phonemes[path]]) * stretch
        runs = np.searchsorted(starts, times[chosen], "right")
        shut = np.array([False, *(symbol[0] in BILABIALS for symbol, _, _ in clip.phonemes[path])])[
            runs
        ]
        shapes = clip.shapes[chosen] / self._gains[clip.name]
        return _pack(cells, times[chosen] / GRID_STEP - first - base, shapes, shut, runs)


def _stretched(clip: Clip, places: NDArray[np.float64]) -> Floats:
    """(N, BANDS) levels of the clip's sound at places between the cells of its grid."""
    if clip.sound is None:
        return np.zeros((len(places), BANDS), np.float32)
    low = np.floor(places).astype(np.int64)
    part = (places - low)[:, None]
    return np.asarray(
        clip.sound.rows(low) * (1 - part) + clip.sound.rows(low + 1) * part, np.float32
    )


def augment_sound(
    sound: Floats, random: np.random.Generator, settings: TcTraining
) -> NDArray[np.floating]:
    """(T, BANDS + 1) levels and "known" of a window, varied like another voice in another room; sometimes none."""
    if random.random() < settings.sound_dropout or not sound[:, -1].any():
        return np.zeros_like(sound)
    levels = sound[:, :-1]
    # a longer or shorter vocal tract moves all bands up or down
    place = np.clip(np.arange(BANDS) + 0.75 * random.normal(), 0, BANDS - 1)
    low = np.minimum(place.astype(np.intp), BANDS - 2)
    levels = levels[:, low] * (low + 1 - place) + levels[:, low + 1] * (place - low)
    decibel = 3.0 * random.normal() + np.linspace(-1, 1, BANDS) * 3.0 * random.normal()
    levels = np.maximum(levels + (decibel + random.normal(size=BANDS)) / SCALE_DB, 0.0)
    if random.random() < settings.noisy:
        levels = np.maximum(levels, random.uniform(0, 1.2) + 0.1 * random.normal(size=(1, BANDS)))
    levels = levels + 0.05 * random.normal(size=levels.shape)
    levels = levels * (random.random((1, BANDS)) > 0.15)
    return np.concatenate([levels, sound[:, -1:]], 1)


def _pack(
    cells: Floats, place: NDArray[np.float64], shapes: Floats, shut: np.ndarray, runs: np.ndarray
) -> Rows:
    """One window, padded: cells, low, part, shapes, mask, shut, runs."""
    low = np.clip(np.floor(place), 0, len(cells) - 2).astype(np.int64)
    pad = (0, FRAMES - len(place))
    return (
        cells.astype(np.float32),
        np.pad(low, pad),
        np.pad((place - low).astype(np.float32), pad)[:, None],
        np.pad(shapes.astype(np.float32), (pad, (0, 0))),
        np.pad(np.ones(len(place), np.float32), pad),
        np.pad(shut.astype(np.float32), pad),
        np.pad(runs.astype(np.int64), pad),
    )
