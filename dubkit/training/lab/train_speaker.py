"""Make ``weights/speaker.safetensors``: the net that tells whether a mouth makes the speech that is heard.

    python -m dubkit.training.lab.train_speaker DATA CACHE dubkit/weights/speaker.safetensors [STEPS]

Only clips with ``split=train`` and ``ship=yes`` are used. Each clip is analyzed once (CACHE). Training stretches are
put together at random: a mouth that speaks, one at rest (its own silent frames to and fro), one that chews, beside its
own sound, a stranger's, or its own from another moment. The target is, for every beat with speech, whether the sound is
this mouth's. The stack that only listens is trained on mixtures of those people's sounds (`Mixtures`).
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from dubkit.config.schema import Config
from dubkit.engines import registry
from dubkit.faces import tracker, tracklet
from dubkit.lips import active_speaker, articulation, mouth_shape
from dubkit.media import audio, frames
from dubkit.media.audio import SPEECH_RATE
from dubkit.media.probe import probe
from dubkit.models import speaker, speech_encoder
from dubkit.records import EncoderRows, FaceTrack, Floats, MelLevels, Shot, Timing
from dubkit.speech import activity, encoder_rows, mel_levels
from dubkit.stages.faces import FrameView
from dubkit.training import sound_versions

LONGEST = 20.0  # seconds of a clip
MARGIN = 1.0  # seconds of sound around it
LENGTH = 200  # beats of a training stretch
BEAT_SAMPLES = round(active_speaker.BEAT * SPEECH_RATE)
DRAWN, BATCH, STEPS, RATE = 2000, 32, 1000, 3e-3
GRID_EVERY = 13  # of one man's many clips one in so many is taken
WEIGHTS = {"grid_s1": 0.3, "grid_more": 0.5}  # how often clips of a set are drawn
SYNC = 3  # beats by which picture and sound stray in training
# mixtures that are drawn, and the training on them
MIXED, MIXED_STEPS, MIXED_RATE = 1400, 1500, 2e-3


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip on beats."""

    name: str
    person: str
    shapes: Floats  # (N, K)
    heard: active_speaker.Heard | None  # of its own sound
    weight: float

    @property
    def spoken(self) -> np.ndarray:
        """(N,) beats in which its sound holds speech."""
        if self.heard is None:
            return np.zeros(len(self.shapes), np.bool_)
        return np.asarray(self.heard.speech > 0)


def analyze(video: Path, cache: Path) -> Path | None:
    """Write the largest face of a clip and the encoder rows of its sound; None where there is no face."""
    path = cache / f"{video.parent.name}__{video.stem}.npz"
    if path.is_file():
        return path
    settings = Config().faces
    detector = registry.load_engine("detector", "embedded", settings, "cpu")
    landmarker = registry.load_engine("landmarker", "embedded", settings, "cpu")
    info, pts = probe(video)
    rate = float(info.average_rate)
    count = min(len(pts), int(LONGEST * rate))
    reader = frames.FrameReader(video, info, pts, threads=1)

    def views(start: int, end: int) -> Iterator[tuple[int, tracklet.View]]:
        for frame in reader.read(start, end):
            yield frame.index, FrameView(frame, detector, settings.detect_size)

    tracks = tracker.track_shot(
        Shot(0, count), views, landmarker, tracklet.TrackerSettings.of(settings, rate)
    )
    if not tracks:
        return None
    track = tracks[0]
    times = (pts[:count] * float(info.time_base)).astype(np.float64)
    begin = float(times[0]) - MARGIN
    samples = audio.load_span(video, begin, float(times[-1]) + MARGIN)
    found: dict[str, np.ndarray] = {
        "landmarks": track.landmarks,
        "pose": track.pose,
        "state": track.state,
        "times": times[track.start :][: len(track)] - begin,
        "rate": np.array(rate),
    }
    if samples is not None:
        levels = mel_levels.mel_levels_of(samples)
        found |= {"rows": encoder_rows.encode(samples).rows, "levels": levels.levels}
    np.savez(path, allow_pickle=False, **found)
    return path


def read_clip(path: Path, row: dict[str, str], articulator: articulation.Articulator) -> Clip:
    """A clip as `analyze` left it."""
    stored = np.load(path)
    count = len(stored["landmarks"])
    blank = np.zeros(count, np.float32)
    track = FaceTrack(
        0, 0, np.zeros((count, 4), np.float32), stored["landmarks"], stored["pose"], blank,
        stored["state"], blank,
    )  # fmt: skip
    times = stored["times"] + 0.5 / float(stored["rate"])
    beats = np.arange(times[0], times[-1], active_speaker.BEAT)
    shapes = active_speaker.seen_shapes(track, np.ones(count, np.bool_))
    heard = None
    if "rows" in stored:
        timing = Timing(
            beats, (), (), MelLevels(0, stored["levels"]), EncoderRows(0, stored["rows"]), False
        )
        heard = active_speaker.hear(articulator, timing)
    weight = WEIGHTS.get(row["set"], min(len(beats) * active_speaker.BEAT / 8, 2.0))
    return Clip(
        path.stem, row["person"], active_speaker.on_beats(shapes, times, beats), heard, weight
    )


def rows_of(data: Path) -> list[dict[str, str]]:
    """The rows of all clips that may be trained on."""
    with (data / "clips.csv").open(newline="") as file:
        return [r for r in csv.DictReader(file) if r["split"] == "train" and r["ship"] == "yes"]


def clips(data: Path, cache: Path, articulator: articulation.Articulator) -> list[Clip]:
    """Those whose faces are trained on, analyzed."""
    rows = rows_of(data)
    rows = [r for r in rows if r["set"] not in ("portraits", "grid_s1")] + [
        r for r in rows if r["set"] == "grid_s1"
    ][::GRID_EVERY]
    cache.mkdir(parents=True, exist_ok=True)
    found = []
    for row in rows:
        path = analyze(data / row["file"], cache)
        if path is not None:
            found.append(read_clip(path, row, articulator))
    return found


class Stretches:
    """Draws training stretches."""

    def __init__(self, clips: list[Clip], seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.clips = clips
        weights = np.array([c.weight for c in clips])
        self.chances = weights / weights.sum()
        self.audible = [k for k, c in enumerate(clips) if c.heard is not None and c.spoken.any()]
        self.resting = [k for k, c in enumerate(clips) if len(_still(c)) >= 5]

    def draw(self) -> tuple[np.ndarray, ...]:
        """Features (T, SEEN), (T, MATCHED), and targets and weights (T,) of both heads."""
        k = int(self.random.choice(len(self.clips), p=self.chances))
        clip = self.clips[k]
        start = int(self.random.integers(0, max(1, len(clip.shapes) - LENGTH + 1)))
        at = np.clip(np.arange(start, start + LENGTH), 0, len(clip.shapes) - 1)
        moving, mouth = self._mouth(clip, at)
        heard, own = self._sound(k, clip, at)
        speech = heard.speech > 0
        said = clip.spoken[at] if clip.heard is not None else np.ones(LENGTH, np.bool_)
        target = own & moving
        known = speech & (~moving | said)
        seen, matched = active_speaker.features(heard, self._roughened(mouth))
        # what is seen speaks where its own sound does; short pauses count as neither
        alone = said & moving
        sure = ~moving | said
        return seen, matched, target, known, alone, sure

    def _mouth(self, clip: Clip, at: np.ndarray) -> tuple[np.ndarray, Floats]:
        """(T,) where the mouth speaks, and its shapes (T, K): speaking, at rest, or both in turn."""
        mouth = clip.shapes[at].copy()
        moving = np.ones(LENGTH, np.bool_)
        kind = self.random.random()
        if kind < 0.45:
            return moving, mouth
        rest = self._rest(clip)
        low, high = (0, LENGTH) if kind < 0.65 else self._span()
        fade = np.zeros(LENGTH, np.float32)
        fade[low:high] = 1
        fade = np.convolve(np.pad(fade, 2, mode="edge"), np.ones(5) / 5, "valid").astype(np.float32)
        moving[low:high] = False
        return moving, mouth * (1 - fade[:, None]) + rest * fade[:, None]

    def _span(self) -> tuple[int, int]:
        edge = int(self.random.integers(20, LENGTH - 20))
        return (0, edge) if self.random.random() < 0.5 else (edge, LENGTH)

    def _rest(self, clip: Clip) -> Floats:
        """(T, K) a mouth that does not speak."""
        other = self.clips[int(self.random.choice(self.resting))]
        source = clip if len(_still(clip)) >= 5 and self.random.random() < 0.5 else other
        still = source.shapes[_still(source)]
        length = int(self.random.integers(4, len(still) + 1))
        loop = still[:length]
        loop = np.concatenate([loop, loop[::-1]])
        rest = loop[np.arange(LENGTH) % len(loop)].copy()
        time = np.arange(LENGTH) * active_speaker.BEAT
        if self.random.random() < 0.3:  # chewing: slow and even
            effect = mouth_shape.gap_effect()
            beat = self.random.uniform(0.7, 2.0)
            phase = np.cumsum(1 + 0.15 * self.random.standard_normal(LENGTH)) * active_speaker.BEAT
            wide = self.random.uniform(0.005, 0.035)
            swing = wide * (0.5 - 0.5 * np.cos(2 * np.pi * beat * phase + self.random.random()))
            direction = effect + self.random.normal(0, 0.3 * np.abs(effect).max(), len(effect))
            rest += (swing[:, None] * direction / float(effect @ effect)).astype(np.float32)
        if self.random.random() < 0.3:  # a smile that comes and goes
            wide = self.random.normal(0, 1.2, rest.shape[1])
            middle, width = self.random.uniform(0, time[-1]), self.random.uniform(0.3, 2)
            rest += (np.exp(-0.5 * ((time - middle) / width) ** 2)[:, None] * wide).astype(
                np.float32
            )
        return np.asarray(rest, np.float32)

    def _sound(self, k: int, clip: Clip, at: np.ndarray) -> tuple[active_speaker.Heard, np.ndarray]:
        """Sound for a mouth, and (T,) where it is the mouth's own; own and foreign sound may take turns."""
        foreign = self._foreign(clip)
        kind = self.random.random()
        if clip.heard is None or kind < 0.35:
            return foreign, np.zeros(LENGTH, np.bool_)
        lag = int(self.random.integers(-SYNC, SYNC + 1))
        own = _cut(clip.heard, np.clip(at + lag, 0, len(clip.shapes) - 1))
        mine = np.ones(LENGTH, np.bool_)
        if kind > 0.7:
            low, high = self._span()
            mine[low:high] = False
            own = active_speaker.Heard(
                own.times,
                *(
                    np.where(mine.reshape(-1, *[1] * (a.ndim - 1)), a, b)
                    for a, b in zip(_values(own), _values(foreign), strict=True)
                ),
            )
        return self._doubtful(own), mine

    def _foreign(self, clip: Clip) -> active_speaker.Heard:
        others = [k for k in self.audible if self.clips[k].person != clip.person]
        if clip.heard is not None and len(clip.shapes) > 2 * LENGTH and self.random.random() < 0.2:
            source, shift = clip, int(self.random.integers(25, LENGTH))
            start = int(self.random.integers(0, len(clip.shapes)))
            rows = (start + shift + np.arange(LENGTH)) % len(source.shapes)
        else:
            source = self.clips[int(self.random.choice(others))]
            start = int(self.random.integers(0, len(source.shapes)))
            rows = (start + np.arange(LENGTH)) % len(source.shapes)
        assert source.heard is not None
        return self._doubtful(_cut(source.heard, rows))

    def _doubtful(self, heard: active_speaker.Heard) -> active_speaker.Heard:
        """The TC net knows the people that it was trained on too well: strangers' shapes are asked less exactly."""
        noise = self.random.standard_normal(heard.shapes.shape)
        smooth = np.apply_along_axis(lambda c: np.convolve(c, np.ones(4) / 2, "same"), 0, noise)
        part = self.random.uniform(0.2, 0.9)
        spread = heard.shapes.std(0) + 1e-3
        return active_speaker.Heard(
            heard.times,
            np.asarray(heard.shapes + part * smooth * spread, np.float32),
            heard.speech,
            np.asarray(heard.closure + self.random.normal(0, 1.0, len(heard.closure)), np.float32),
            heard.several,
        )

    def _roughened(self, mouth: Floats) -> Floats:
        noise = self.random.standard_normal(mouth.shape)
        level = self.random.choice([0.0, 0.05, 0.15, 0.25])
        scale = self.random.uniform(0.5, 1.4)
        return np.asarray(mouth * scale + level * noise, np.float32)


class Mixtures:
    """Draws stretches of one voice or two, varied as in TC training, with where both speak."""

    def __init__(self, data: Path, rows: list[dict[str, str]], seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.data = data
        self.files: dict[str, list[str]] = {}
        for row in rows:
            self.files.setdefault(row["person"], []).append(row["file"])

    def draw(self) -> tuple[np.ndarray, ...]:
        """(T, R) rows of the speech encoder, half floats, (T,) where two speak, and (T,) where that is sure."""
        random = self.random
        first, second = random.choice(sorted(self.files), 2, replace=False)
        sound, loud = self._voice(first)
        both, sure = np.zeros(LENGTH, np.bool_), np.ones(LENGTH, np.bool_)
        if random.random() < 0.5:
            other, also = self._voice(second)
            ends = sorted(random.integers(0, LENGTH, 2))
            low, high = (0, LENGTH) if random.random() < 0.4 else ends
            there = np.zeros(LENGTH, np.float32)
            there[low:high] = 10 ** (np.clip(random.normal(0, 5), -10, 10) / 20)
            sound = sound + np.repeat(there, BEAT_SAMPLES) * other
            also &= there > 0
            both = loud & also
            sure = both | ~(_wide(loud) & _wide(also))
        if random.random() < 0.3:
            kind = int(random.integers(sound_versions.KINDS))
            beside = sound_versions.nonspeech_sound(kind, random, LENGTH * active_speaker.BEAT)
            level = 10 ** (-random.uniform(3, 25) / 20) / (beside.std() + 1e-5)
            sound = sound + level * beside
        sound *= 10 ** (-random.uniform(0, 25) / 20) / np.abs(sound).max()
        beats = np.arange(LENGTH, dtype=np.float64) * active_speaker.BEAT
        rows = encoder_rows.encode_briefly(np.asarray(sound, np.float32))
        timing = Timing(beats, (), (), encoder=rows)
        return active_speaker.sound_rows(timing).astype(np.float16), both, sure

    def _voice(self, person: str) -> tuple[Floats, np.ndarray]:
        """A stretch of one person, and (T,) where it is loud."""
        random, count = self.random, LENGTH * BEAT_SAMPLES
        parts: list[Floats] = []
        while sum(map(len, parts)) < 1.2 * count:
            whole = audio.load_samples(self.data / str(random.choice(self.files[person])))
            start = int(random.integers(0, max(1, len(whole) - count)))
            part = whole[start : start + count]
            parts.append(part / (part.std() + 1e-5))
            if random.random() < 0.3:
                parts.append(np.zeros(int(random.uniform(0.1, 1.2) * SPEECH_RATE), np.float32))
        spoken = np.concatenate(parts)
        varied, stretch = sound_versions.vary(spoken, random)
        start = int(random.integers(0, len(varied) - count))
        sound = varied[start : start + count]
        level = activity.levels(spoken)
        loud = level > activity.speech_level(level) - 20
        at = start / SPEECH_RATE + (np.arange(LENGTH) + 0.5) * active_speaker.BEAT
        frames_at = np.minimum(at / stretch * activity.FRAMES_A_SECOND, len(loud) - 1)
        return sound / (sound.std() + 1e-5), loud[frames_at.astype(int)]


def _wide(beats: np.ndarray) -> np.ndarray:
    """(T,) beats within a third of a second of some."""
    return np.asarray(np.convolve(beats, np.ones(17), "same") > 0.5)


def listen(net: speaker.SpeakerNet, mixtures: Mixtures, steps: int = MIXED_STEPS) -> None:
    """Train the stack that only listens, in place."""
    stack, random = net.voices, mixtures.random
    rows, both, sure = (
        np.stack(part) for part in zip(*(mixtures.draw() for _ in range(MIXED)), strict=True)
    )
    tuner = torch.optim.AdamW(stack.parameters(), MIXED_RATE, weight_decay=0.05)
    plan = torch.optim.lr_scheduler.OneCycleLR(tuner, MIXED_RATE, total_steps=steps)
    loss = nn.BCEWithLogitsLoss(reduction="none")
    stack.train()
    for step in range(steps):
        chosen = random.integers(0, len(rows), 24)
        given = torch.from_numpy(rows[chosen].astype(np.float32))
        # every recording has a color of its own
        given = given + 0.3 * torch.randn(len(chosen), 1, given.shape[2])
        given = nn.functional.dropout(given + 0.2 * torch.randn_like(given), 0.2)
        known = torch.from_numpy(sure[chosen].astype(np.float32))
        wrong = loss(stack(given), torch.from_numpy(both[chosen].astype(np.float32)))
        mean = (wrong * known).sum() / known.sum()
        tuner.zero_grad()
        mean.backward()
        nn.utils.clip_grad_norm_(stack.parameters(), 1.0)
        tuner.step()
        plan.step()
        if step % 100 == 99:
            sys.stdout.write(f"voices {step + 1}: {float(mean.detach()):.4f}\n")
            sys.stdout.flush()
    stack.eval()


def _values(heard: active_speaker.Heard) -> tuple[Floats, ...]:
    return heard.shapes, heard.speech, heard.closure, heard.several


def _cut(heard: active_speaker.Heard, rows: np.ndarray) -> active_speaker.Heard:
    return active_speaker.Heard(heard.times[rows], *(v[rows] for v in _values(heard)))


def _still(clip: Clip) -> np.ndarray:
    """Beats of the longest stretch in which a mouth is quiet: its sound holds no speech and it hardly opens."""
    if clip.heard is None:
        return np.zeros(0, np.int64)
    opening = clip.shapes @ mouth_shape.gap_effect()
    calm = (clip.heard.speech < -1) & (np.abs(np.gradient(opening)) < 0.006) & (opening < 0.03)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], calm, [False]]).astype(int)))
    spans = edges.reshape(-1, 2)
    if not len(spans):
        return np.zeros(0, np.int64)
    low, high = max(spans.tolist(), key=lambda s: s[1] - s[0])
    return np.arange(low, high)


def train(data: list[Clip], steps: int, seed: int = 0) -> speaker.SpeakerNet:
    """A net of its own from nothing."""
    torch.manual_seed(seed)
    stretches = Stretches(data, seed)
    heard = speech_encoder.SpeechEncoderConfig().rows
    config = speaker.SpeakerConfig(active_speaker.SEEN, active_speaker.MATCHED, heard)
    net = speaker.SpeakerNet(config)
    tuner = torch.optim.AdamW(net.parameters(), RATE, weight_decay=0.02)
    plan = torch.optim.lr_scheduler.OneCycleLR(tuner, RATE, total_steps=steps)
    loss = nn.BCEWithLogitsLoss(reduction="none")
    drawn = [stretches.draw() for _ in range(DRAWN)]
    parts = [torch.from_numpy(np.stack(p).astype(np.float32)) for p in zip(*drawn, strict=True)]
    losses: list[float] = []
    for step in range(steps):
        rows = torch.from_numpy(stretches.random.integers(0, DRAWN, BATCH))
        seen, matched, target, known, alone, sure = (part[rows] for part in parts)
        answer = net(seen, matched)
        first = (loss(answer.matched, target) * known).sum() / known.sum().clamp(min=1)
        second = (loss(answer.seen, alone) * sure).sum() / sure.sum().clamp(min=1)
        tuner.zero_grad()
        (first + 0.5 * second).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        tuner.step()
        plan.step()
        losses.append(float(first.detach()))
        if step % 100 == 99:
            sys.stdout.write(
                f"{step + 1}: {np.mean(losses[-100:]):.4f} {float(second.detach()):.4f}\n"
            )
            sys.stdout.flush()
    return net.eval()


def main() -> None:
    """Analyze, train, write."""
    data, cache, out = (Path(word) for word in sys.argv[1:4])
    steps = int(sys.argv[4]) if len(sys.argv) > 4 else STEPS
    found = clips(data, cache, articulation.Articulator())
    sys.stdout.write(f"{len(found)} clips of {len({c.person for c in found})} people\n")
    net = train(found, steps)
    voices = [r for r in rows_of(data) if r["set"] not in ("portraits", "silent_gov")]
    listen(net, Mixtures(data, voices, seed=11))
    speaker.save_speaker(out, net, steps)


if __name__ == "__main__":
    main()
