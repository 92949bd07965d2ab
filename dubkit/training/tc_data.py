"""What the TC net learns from: phonemes, sound and mouth shapes of the clips of a prepared set.

A clip comes in several versions of its sound, each with its own encoder rows. The phonemes are missing from half of
the windows and wrong in some, so that the net relies on the sound first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from dubkit.config.schema import TcTraining
from dubkit.errors import InputError
from dubkit.faces.align import apply, canonical_from_face
from dubkit.lips import articulation, mouth_shape
from dubkit.models.tc import FLAGS, PATHS, TcInput
from dubkit.records import (
    GRID_STEP,
    SILENCE,
    Doubles,
    EncoderRows,
    Floats,
    Integers,
    MelLevels,
    TimedPhoneme,
)
from dubkit.speech import articulatory, mel_levels
from dubkit.training import dataset, sound_versions

OPEN = 0.0175  # opening over face width of an open mouth
_MEAN_OPENING = 0.07  # upper quartile of the mean speaker's open frames
_GAIN_LIMITS = (0.7, 1.3)
_ENOUGH = 10  # frames that say something


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip; T frames, K coefficients of `lips.mouth_shape`."""

    name: str
    person: str
    times: Doubles  # (T,) seconds
    shapes: Floats  # (T, K) offsets from the clip's own resting mouth
    duration: float
    phonemes: dict[str, list[TimedPhoneme]]  # by path: script, recognition, loop; one at least
    sounds: tuple[dataset.SoundVersion, ...]  # the first as recorded
    offset: float = 0.0  # seconds that the picture is behind its sound

    @property
    def best_path(self) -> str:
        """The most exact phonemes there are."""
        return next(path for path in ("script", "recognition", "loop") if path in self.phonemes)

    @property
    def rows(self) -> EncoderRows:
        """The encoder rows of the sound as recorded."""
        return EncoderRows(0, self.sounds[0].rows)

    @property
    def levels(self) -> MelLevels:
        """The levels of the sound as recorded."""
        return MelLevels(0, self.sounds[0].levels)

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


def clip_of(name: str, person: str, stored: dataset.PreparedClip, offset: float) -> Clip | None:
    """A clip to train on; None where nobody speaks in it."""
    phonemes = {
        way: list(timed)
        for way, timed in stored.phonemes.items()
        if any(symbol != SILENCE for symbol, _, _ in timed)
    }
    if not phonemes or len(stored.times) < 2 or not stored.sounds:
        return None
    return Clip(
        name,
        person,
        stored.times,
        shapes_of(stored.landmarks, stored.pose),
        float(stored.times[-1] + np.median(np.diff(stored.times))),
        phonemes,
        stored.sounds,
        offset,
    )


def load(prepared: dataset.PreparedSet, names: Sequence[str]) -> list[Clip]:
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


@cache
def nonspeech_clips() -> tuple[Clip, ...]:
    """Clips of `NOBODY`: sounds without speech and a mouth at rest."""
    found = []
    for number, sound in enumerate(sound_versions.nonspeech()):
        times = np.arange(round(len(sound.rows) * GRID_STEP * _RATE)) / _RATE
        duration = float(times[-1]) + 1 / _RATE
        still: Floats = np.zeros((len(times), len(mouth_shape.basis().decode)), np.float32)
        phonemes = {"script": [(SILENCE, 0.0, duration)]}
        found.append(Clip(f"nonspeech{number}", NOBODY, times, still, duration, phonemes, (sound,)))
    return tuple(found)


NOBODY = "(nobody)"  # the person of `nonspeech_clips`
SHARE = (
    0.3  # power of a person's seconds that weighs them: many people matter more than much of one
)
MARGIN = 35  # cells around the frames of a window
MET = 0.012  # opening over face width of lips that meet
_RATE = 25.0  # frames a second of clips without speech
_MOST_FRAMES = 30  # a second, of a window

Rows = tuple[np.ndarray, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows of clips: B windows of T cells and N frames."""

    cells: TcInput
    low: Tensor  # (B, N) cell before each frame
    part: Tensor  # (B, N, 1) fraction of the distance to the next cell
    shapes: Tensor  # (B, N, K) over the speaker's gain
    mask: Tensor  # (B, N) 1 for frames that are there
    labial: Tensor  # (B, N) 1 in P, B and M
    runs: Tensor  # (B, N) number of the phoneme that sounds
    met: Tensor  # (B, N) 1 where the lips meet
    speech: Tensor  # (B, N) 1 where somebody speaks

    def to(self, device: torch.device) -> Batch:
        cells = TcInput(*(part.to(device) for part in self.cells))
        rest = (getattr(self, name).to(device) for name in list(self.__dataclass_fields__)[1:])
        return Batch(cells, *rest)


class Windows:
    """Draws batches."""

    def __init__(
        self, clips: Sequence[Clip], offsets: Mapping[str, float], settings: TcTraining
    ) -> None:
        self._offsets, self._settings = offsets, settings
        self._scripts = [clip.phonemes["script"] for clip in clips if "script" in clip.phonemes]
        self._people: dict[str, list[Clip]] = defaultdict(list)
        silent = nonspeech_clips() if settings.nonspeech else ()
        for clip in (*clips, *silent):
            self._people[clip.person].append(clip)
        self._names = sorted(self._people)
        # whoever speaks long is drawn more often, but not in proportion
        seconds = [sum(c.duration for c in self._people[name]) for name in self._names]
        speaks = np.array([name != NOBODY for name in self._names], np.float64)
        share = np.power(seconds, SHARE) * speaks
        self._share = share / share.sum() * (1 - settings.nonspeech)
        self._share = self._share + (1 - speaks) * settings.nonspeech
        self._share = self._share / self._share.sum()
        self._gains = {clip.name: clip.gain for clip in (*clips, *silent)}

    def draw(self, random: np.random.Generator) -> Batch:
        """One batch, a function of ``random`` alone."""
        columns = zip(*(self._window(random) for _ in range(self._settings.batch)), strict=True)
        stacked = [torch.from_numpy(np.stack(column)) for column in columns]
        given = len(TcInput._fields)
        return Batch(TcInput(*stacked[:given]), *stacked[given:])

    def _pick(self, random: np.random.Generator) -> tuple[Clip, dataset.SoundVersion]:
        clips = self._people[self._names[random.choice(len(self._names), p=self._share)]]
        length = np.array([clip.duration for clip in clips])
        clip = clips[random.choice(len(clips), p=length / length.sum())]
        which = 0
        if len(clip.sounds) > 1 and random.random() >= self._settings.clean:
            which = int(random.integers(1, len(clip.sounds)))
        return clip, clip.sounds[which]

    def _window(self, random: np.random.Generator) -> Rows:
        settings = self._settings
        clip, sound = self._pick(random)
        late, stretch = self._offsets.get(clip.name, 0.0), sound.stretch
        times = (clip.times - late) * stretch + settings.jitter * random.normal()
        latest = clip.duration * stretch - settings.seconds + 0.3
        start = random.uniform(-0.3, max(-0.29, latest))
        chosen = np.flatnonzero((times >= start) & (times < start + settings.seconds))
        frames = round(settings.seconds * _MOST_FRAMES)
        if len(chosen) < _ENOUGH:
            chosen = np.arange(min(len(times), frames // 2))
        chosen = chosen[:frames]
        # a window that holds fewer frames than it could may last longer than it should
        chosen = chosen[times[chosen] < times[chosen[0]] + settings.seconds]
        first = int(np.floor(times[chosen[0]] / GRID_STEP)) - MARGIN
        count = round(settings.seconds / GRID_STEP) + 2 * MARGIN + 4
        numbers = np.arange(first, first + count)
        given = self._given(clip, sound, numbers, random)
        place = times[chosen] / GRID_STEP - first
        truth = _truth(clip, clip.times[chosen] - late, clip.shapes[chosen])
        shapes = clip.shapes[chosen] / np.float32(self._gains[clip.name])
        return (*given, *_pack(place, count, frames, shapes, truth))

    def _given(
        self,
        clip: Clip,
        sound: dataset.SoundVersion,
        numbers: Integers,
        random: np.random.Generator,
    ) -> Rows:
        """The fields of `TcInput` for one window."""
        settings = self._settings
        scripted = "script" in clip.phonemes and random.random() < settings.script
        flags = np.zeros((len(numbers), FLAGS), np.float32)
        flags[:, 1 + PATHS.index("script" if scripted else "none")] = 1.0
        rows: Floats = np.zeros((len(numbers), sound.rows.shape[1]), np.float32)
        if not scripted or random.random() >= settings.row_loss:
            rows, flags[:, 0] = EncoderRows(0, sound.rows).at(numbers)
        features: Floats = np.zeros((len(numbers), articulatory.COUNT), np.float32)
        if scripted:
            phonemes = clip.phonemes["script"]
            if random.random() < settings.wrong_script:
                phonemes = self._scripts[random.integers(len(self._scripts))]
            stretched = [(s, a * sound.stretch, b * sound.stretch) for s, a, b in phonemes]
            features = articulatory.cells(stretched, numbers)
        levels: Floats = np.zeros((len(numbers), mel_levels.BANDS + 1), np.float32)
        inside = (numbers >= 0) & (numbers < len(sound.levels))
        levels[inside, :-1], levels[inside, -1] = sound.levels[numbers[inside]], 1.0
        return rows, features, augment_levels(levels, random, settings), flags


def augment_levels(sound: Floats, random: np.random.Generator, settings: TcTraining) -> Floats:
    """(T, BANDS + 1) levels and "known" of a window, varied like another voice in another room; sometimes none."""
    if random.random() < settings.sound_dropout or not sound[:, -1].any():
        return np.zeros_like(sound)
    levels = sound[:, :-1]
    # a longer or shorter vocal tract moves all bands up or down
    place = np.clip(np.arange(mel_levels.BANDS) + 0.75 * random.normal(), 0, mel_levels.BANDS - 1)
    low = np.minimum(place.astype(np.intp), mel_levels.BANDS - 2)
    levels = levels[:, low] * (low + 1 - place) + levels[:, low + 1] * (place - low)
    decibel = 3.0 * random.normal() + np.linspace(-1, 1, mel_levels.BANDS) * 3.0 * random.normal()
    levels = np.maximum(
        levels + (decibel + random.normal(size=mel_levels.BANDS)) / mel_levels.SCALE_DB, 0.0
    )
    if random.random() < settings.noisy:
        levels = np.maximum(
            levels, random.uniform(0, 1.2) + 0.1 * random.normal(size=(1, mel_levels.BANDS))
        )
    levels = levels + 0.05 * random.normal(size=levels.shape)
    levels = levels * (random.random((1, mel_levels.BANDS)) > 0.15)
    return np.asarray(np.concatenate([levels, sound[:, -1:]], 1), np.float32)


def _truth(clip: Clip, moments: Doubles, shapes: Floats) -> Rows:
    """(N,) each, at ``moments`` of the sound as recorded: labial, runs, met, speech."""
    phonemes = clip.phonemes[clip.best_path]
    runs = np.searchsorted(np.array([start for _, start, _ in phonemes]), moments, "right")
    labial = np.array([False, *(symbol[0] in articulation.BILABIALS for symbol, _, _ in phonemes)])[
        runs
    ]
    speech = np.array([False, *(symbol != SILENCE for symbol, _, _ in phonemes)])[runs]
    return labial, runs, shapes @ mouth_shape.gap_effect() < MET, speech


def _pack(place: Doubles, count: int, frames: int, shapes: Floats, truth: Rows) -> Rows:
    """One window, padded to ``frames``: low, part, shapes, mask, labial, runs, met, speech."""
    low = np.clip(np.floor(place), 0, count - 2).astype(np.int64)
    pad = (0, frames - len(place))

    def floats(values: np.ndarray) -> np.ndarray:
        return np.pad(values.astype(np.float32), (pad, *[(0, 0)] * (values.ndim - 1)))

    labial, runs, met, speech = truth
    return (
        np.pad(low, pad),
        floats((place - low)[:, None]),
        floats(shapes),
        floats(np.ones(len(place))),
        floats(labial),
        np.pad(runs.astype(np.int64), pad),
        floats(met),
        floats(speech),
    )
