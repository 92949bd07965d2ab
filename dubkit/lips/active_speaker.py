"""The active speaker, in time: does this mouth make the speech that is heard now?

The TC net asks of the film's own sound how a mouth would have to move; the speaker net (`models.speaker`) compares that
with the mouth that is seen. Everything is laid on beats of 40 ms on the sound's own clock. Without speech in the sound
the mouth alone is judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import as_file, files

import numpy as np
import torch

from dubkit.faces import align, smooth
from dubkit.lips import articulation, mouth_shape
from dubkit.models import devices, speaker
from dubkit.records import GRID_STEP, Doubles, FaceState, FaceTrack, Floats, Mask, Timing
from dubkit.speech import activity, encoder_rows, mel_levels

BEAT = 0.04  # seconds
LAGS = tuple(range(-6, 7))  # beats by which picture and sound may be apart
_SPREAD = 25  # beats over which a mean is slow and a deviation is taken
_QUICK = 9
_SHAPES = 6  # coefficients that are compared, beside the opening
_UNHEARD = -8.0  # logit of speech where there is none
_UNIT = 0.03  # opening over face width
# under these deviations a mouth rests: noise must not look like speech
_STILL_OPENING, _STILL_SHAPE = 0.012, 0.35
SEEN, MATCHED = 7 + _SHAPES, 5 + 3 * len(LAGS)  # features of a beat


@dataclass(frozen=True, slots=True)
class Heard:
    """What the film's own sound asks of a mouth, in N beats; ``times`` are seconds into that sound."""

    times: Doubles  # (N,)
    shapes: Floats  # (N, K)
    speech: Floats  # (N,) logit that somebody speaks
    closure: Floats  # (N,) logit that lips meet
    several: Floats  # (N,) logit that several voices speak at once


@dataclass(frozen=True, slots=True)
class Match:
    """Logits of N beats for one face."""

    matched: Floats  # (N,) it makes the speech that is heard
    seen: Floats  # (N,) it speaks, by the picture alone
    there: Mask  # (N,) where the face is seen
    shapes: Floats  # (N, K) of its mouth


def hear(articulator: articulation.Articulator, timing: Timing) -> Heard:
    """What the sound of ``timing`` asks of a mouth; ``timing.times`` are the beats."""
    given = articulation.net_input(articulator.net, timing)
    with devices.threads(1), torch.inference_mode():
        answer = articulator.net(given.cells)
        shapes, closure, speech = (given.at_frames(part[0]).numpy() for part in answer)
        several = packaged_net().voices(torch.from_numpy(sound_rows(timing))[None])[0].numpy()
    return Heard(timing.times, shapes, speech, closure, several)


def sound_rows(timing: Timing) -> Floats:
    """(N, R) the speech encoder's rows at the beats of ``timing``: the mean of the two cells of each."""
    assert timing.encoder is not None
    first = np.round(timing.times / GRID_STEP).astype(np.int64)
    pair = [timing.encoder.at(first + k)[0] for k in range(2)]
    return np.asarray((pair[0] + pair[1]) / 2, np.float32)


def hear_samples(samples: Floats | None, begin: float, end: float) -> Heard:
    """What ``samples`` (16 kHz mono) ask for from ``begin`` to ``end`` seconds; without sound nobody is heard."""
    beats = np.arange(begin, end + BEAT, BEAT)
    if samples is None:
        count = len(mouth_shape.basis().decode)
        silent = np.full(len(beats), _UNHEARD, np.float32)
        return Heard(beats, np.zeros((len(beats), count), np.float32), silent, silent, silent)
    noise = activity.spans_of(activity.unspoken(samples))
    rows, levels = encoder_rows.encode_briefly(samples), mel_levels.mel_levels_of(samples)
    heard = hear(_articulator(), Timing(beats, (), (), levels, rows, scripted=False))
    speech = heard.speech.copy()
    for low, high in noise:
        speech[(beats >= low) & (beats < high)] = _UNHEARD
    return replace(heard, speech=speech)


@cache
def _articulator() -> articulation.Articulator:
    """The package's own, read once a process: a film has many shots."""
    return articulation.Articulator()


def seen_shapes(track: FaceTrack, usable: Mask) -> Floats:
    """(T, K) mouth shapes of a track as offset from its most closed mouth."""
    present = track.state != FaceState.ABSENT
    landmarks = mouth_shape.fill_absent(track.landmarks, present)
    pose = mouth_shape.fill_absent(track.pose, present)
    canonical = np.stack([align.apply(align.canonical_from_face(f), f) for f in landmarks])
    frontal = mouth_shape.frontal(canonical, pose)
    return mouth_shape.encode(frontal - mouth_shape.resting_mouth(frontal[usable & present]))


def on_beats(values: Floats, times: Doubles, beats: Doubles) -> Floats:
    """(T, K) values of frames at ``times`` -> (N, K) at ``beats``; the ends are held."""
    columns = [np.interp(beats, times, column) for column in values.T]
    return np.stack(columns, 1).astype(np.float32)


def match(heard: Heard, track: FaceTrack, usable: Mask, times: Doubles) -> Match:
    """How one face goes with the sound; ``times`` (T,) are those of the track's frames, on the clock of ``heard``."""
    shapes = on_beats(seen_shapes(track, usable), times, heard.times)
    present = np.interp(heard.times, times, track.state != FaceState.ABSENT) > 0.5
    there = present & (heard.times >= times[0] - BEAT) & (heard.times <= times[-1] + BEAT)
    return match_shapes(heard, shapes, there)


def match_shapes(heard: Heard, shapes: Floats, there: Mask) -> Match:
    """The same for mouth shapes (N, K) on the beats of ``heard``."""
    seen, matched = features(heard, shapes)
    with devices.threads(1), torch.inference_mode():
        answer = packaged_net()(torch.from_numpy(seen)[None], torch.from_numpy(matched)[None])
    return Match(answer.matched[0].numpy(), answer.seen[0].numpy(), there, shapes)


def features(heard: Heard, shapes: Floats) -> tuple[Floats, Floats]:
    """(N, SEEN) and (N, MATCHED) features of mouth shapes (N, K) and of how they go with the sound."""
    effect = mouth_shape.gap_effect()
    opening, asked = shapes @ effect, heard.shapes @ effect
    quick, wanted = _quick(opening[:, None])[:, 0], _quick(asked[:, None])[:, 0]
    speed, pace = np.gradient(opening), np.gradient(asked)
    coarse, told = _quick(shapes[:, :_SHAPES]), _quick(heard.shapes[:, :_SHAPES])
    seen = np.stack(
        [
            opening / _UNIT,
            quick / _UNIT,
            speed / _UNIT,
            _deviation(opening, _QUICK) / _UNIT,
            _deviation(opening, _SPREAD) / _UNIT,
            _deviation(speed, _QUICK) / _UNIT,
            _deviation(speed, _SPREAD) / _UNIT,
        ],
        1,
    )
    spread = np.sqrt(_mean(coarse**2, _SPREAD))
    given = np.stack(
        [
            asked / _UNIT,
            _deviation(asked, _SPREAD) / _UNIT,
            heard.speech.clip(-8, 8) / 4,
            heard.closure.clip(-8, 8) / 4,
            (1 / (1 + np.exp(-heard.closure.clip(-8, 8)))) * opening / _UNIT,
        ],
        1,
    )
    products = [
        *_products(quick[:, None], wanted[:, None], _STILL_OPENING),
        *_products(speed[:, None], pace[:, None], 0.4 * _STILL_OPENING),
        *_products(coarse, told, _STILL_SHAPE * np.sqrt(_SHAPES)),
    ]
    first = np.concatenate([seen, spread], 1).clip(-6, 6).astype(np.float32)
    second = np.concatenate([given, np.stack(products, 1)], 1).clip(-6, 6).astype(np.float32)
    return first, second


def _mean(values: Floats, width: int) -> Floats:
    """The mean over an odd ``width`` of rows around each row; the ends are held."""
    pad = [(width // 2 + 1, width // 2)] + [(0, 0)] * (values.ndim - 1)
    total = np.cumsum(np.pad(values.astype(np.float64), pad, mode="edge"), axis=0)
    return np.asarray((total[width:] - total[:-width]) / width, np.float32)


def _quick(values: Floats) -> Floats:
    """(N, K) without the slow part."""
    return np.asarray(values - _mean(values, _SPREAD), np.float32)


def _deviation(values: Floats, width: int) -> Floats:
    mean = _mean(values, width)
    square = _mean(values**2, width)
    return np.asarray(np.sqrt(np.maximum(square - mean**2, 0)), np.float32)


def _products(a: Floats, b: Floats, still: float) -> list[Floats]:
    """For each of `LAGS`, (N,) how ``a`` (N, K) goes with ``b`` that many beats later, against both deviations."""
    norm = np.sqrt(_mean((a**2).sum(1), _SPREAD) + still**2)
    other = np.sqrt(_mean((b**2).sum(1), _SPREAD) + still**2)
    found = []
    for lag in LAGS:
        rows = np.clip(np.arange(len(b)) + lag, 0, len(b) - 1)
        product = (a * b[rows]).sum(1) / (norm * other[rows])
        found.append(_mean(product, 5))
    return found


@cache
def packaged_net() -> speaker.SpeakerNet:
    """The net of this package, loaded once a process."""
    with as_file(files("dubkit") / "weights" / "speaker.safetensors") as path:
        return speaker.load_speaker(path)


# logits for who alone moves their mouth, and those of sight from which it is sure. Of 66 clips of strangers it misses 3
# and not 5; of mouths that talk alone under another's voice it takes a third, and not a tenth, for those who are heard
_ALONE, _SURE_SIGHT = 1.5, 2.0
# a beat is hardly evidence of its own: its neighbors see nearly the same frames
_EVIDENCE = 0.12
_CHANGE = 4.0  # what it costs to begin or to end, in logits of a whole stretch
_BY_SIGHT = 0.35  # how much a mouth that speaks, by the picture, says beside a match with the sound
_RIVAL, _AHEAD = (
    0.3,
    2.0,
)  # how much a better match of another face says against one, and from where on
_MOST = 4.0, 6.0  # logits beyond which sight, and a rival, say no more
_WITHIN = 75  # beats over which several voices are told from one
_LEAST_SCORE = 0.6  # mean probability over its speech with which a face speaks
_BY_LIPS = 0.8  # the same by the picture alone
_LEAST_SECONDS = 0.24  # of speech
_PAUSE_BEATS = 25
_ONSET = 9  # beats by which the speech of a face may begin after the voice, or end before it
_SOME_SPEECH = 0.03  # share of a shot's beats with speech from which the sound decides


def speaks(heard: Heard, faces: dict[int, Match]) -> tuple[bool, dict[int, tuple[Mask, float]]]:
    """Whether the sound decided, and for each face that speaks (N,) the beats in which it does, and how surely.

    Without speech in the sound the mouths alone decide.
    """
    spoken = heard.speech > 0
    by_sound = float(np.mean(spoken)) >= _SOME_SPEECH
    several = _several(heard)
    found: dict[int, tuple[Mask, float]] = {}
    for number, face in faces.items():
        logits, here = (face.matched, face.there & spoken) if by_sound else (face.seen, face.there)
        evidence = logits.astype(np.float64)
        if by_sound:
            others = [other for k, other in faces.items() if k != number]
            logits = logits + _alone(face, others) + _second(several, face, others)
            evidence = logits + _beside(several, face, others)
        state = _likeliest(np.where(here, _EVIDENCE * evidence, 0.0))
        state &= face.there
        kept, score = _sure_spans(state, here, logits, _LEAST_SCORE if by_sound else _BY_LIPS)
        if kept.any():
            found[number] = kept, score
    if by_sound:
        masks = {number: mask for number, (mask, _) in found.items()}
        for number, (mask, score) in found.items():
            taken = np.zeros_like(mask)
            for k, other in masks.items():
                taken |= other & (k != number)
            found[number] = _with_the_voice(mask, spoken & faces[number].there, taken), score
    return by_sound, found


# beats of speech in which it is seen how widely somebody articulates: so few say nothing, and half of what so many
# say is believed. Limits of the logarithm of the range of the mouth over that of the net's. Of 19 people who were seen
# twice, this leaves a deviation of .18 in the rest of their speech; the mean speaker .28, the widest openings .24
_TOO_FEW, _HALF_BELIEVED, _RANGE = 12, 25, (-0.5, 0.4)


def articulation_range(heard: Heard, face: Match, speaking: Mask) -> float | None:
    """How widely a face articulates where it is ``speaking`` (N,), over what the net makes of that; None: unknown."""
    said = speaking & face.there & (heard.speech > 0)
    if said.sum() <= _TOO_FEW:
        return None
    effect = mouth_shape.gap_effect()
    seen, made = (float((shapes[said] @ effect).std()) for shapes in (face.shapes, heard.shapes))
    ratio = np.log(max(seen, 1e-4) / max(made, 1e-4))
    believed = said.sum() / (said.sum() + _HALF_BELIEVED)
    return float(np.exp(believed * np.clip(ratio, *_RANGE)))


# beats of speech of which half of what they say is believed: in 35 clips, cut in halves, the mean shape of one half is
# .024 of the eye distance from what the net makes of its sound, and .011 from that with the other half's setting
_SETTING_BELIEVED = 3


def articulatory_setting(heard: Heard, face: Match, speaking: Mask) -> Floats | None:
    """(K,) how a face's mouth is held where it is ``speaking`` (N,), beside what the net makes of that and beside the
    lips' opening: spread in a smile, rounded, thin-lipped; None: unknown.
    """
    said = speaking & face.there & (heard.speech > 0)
    if said.sum() <= _TOO_FEW:
        return None
    kept = mouth_shape.slow_course(face.shapes, face.there, 1 / BEAT)
    apart = (face.shapes - kept - heard.shapes)[said].mean(0)
    believed = said.sum() / (said.sum() + _SETTING_BELIEVED)
    return np.asarray(believed * mouth_shape.beside_gap(apart), np.float32)


def _with_the_voice(speaking: Mask, spoken: Mask, taken: Mask) -> Mask:
    """(N,) a face's speech from where the voice begins to where it ends, if that is near and nobody else's.

    A match needs half a second of lips and sound, and so is late where somebody begins.
    """
    grown: Mask = speaking.copy()
    runs = list(smooth.segments(speaking))
    for voice in smooth.segments(spoken):
        for run in runs:
            if voice.start < run.start < voice.stop and run.start - voice.start <= _ONSET:
                before = slice(voice.start, run.start)
                grown[before] |= not taken[before].any()
            if voice.start < run.stop < voice.stop and voice.stop - run.stop <= _ONSET:
                after = slice(run.stop, voice.stop)
                grown[after] |= not taken[after].any()
    return grown


def _beside(several: Doubles, face: Match, others: Sequence[Match]) -> Doubles:
    """(N,) what speaks for a face beside its match: that its mouth moves, and that no other's fits better, which says
    nothing where several voices speak, by `_several`.
    """
    sight, most = _MOST
    found = _BY_SIGHT * face.seen.astype(np.float64).clip(-sight, sight)
    for other in others:
        better = other.there & (other.matched > face.matched + _AHEAD)
        against = _RIVAL * other.matched.astype(np.float64).clip(0, most)
        found -= np.where(better, (1 - several) * against, 0.0)
    return np.asarray(found)


def _alone(face: Match, others: Sequence[Match]) -> Floats:
    """(N,) logits for the only mouth that moves: where somebody is heard, and one face speaks by the picture while no
    other is there but at rest, that one is rarely not who is heard; a mouth at rest is no likelier to speak for that.
    """
    sight = face.seen.clip(-_SURE_SIGHT, _SURE_SIGHT) / _SURE_SIGHT
    alone = np.ones(len(sight), np.float32)
    for other in others:
        at_rest = (-other.seen / _SURE_SIGHT).clip(0, 1)
        alone = np.where(other.there, np.minimum(alone, at_rest), alone)
    return np.asarray(_ALONE * alone * sight, np.float32)


def _several(heard: Heard) -> Doubles:
    """(N,) how likely several voices speak at once around each beat: between words, one of them is heard alone."""
    likely = _mean(heard.several, _WITHIN).astype(np.float64)
    return np.asarray(1 / (1 + np.exp(-likely.clip(-20, 20))))


def _second(several: Doubles, face: Match, others: Sequence[Match]) -> Floats:
    """(N,) logits for a second speaker: where ``several`` voices are heard and another face makes one of them, no mouth
    can match the mixture well, and so what is seen of it counts, where that says more.
    """
    beside = np.zeros(len(face.seen), np.bool_)
    for other in others:
        beside |= other.there & (other.matched > 0)
    sight = face.seen.clip(-_MOST[0], _MOST[0])
    return np.asarray(several * beside * (sight - face.matched).clip(0), np.float32)


def _likeliest(evidence: Doubles) -> Mask:
    """(N,) the likeliest course of a face that speaks or not, by how much each beat speaks for it."""
    count = len(evidence)
    best, back = np.zeros(2), np.zeros((count, 2), np.int64)
    for beat, value in enumerate(evidence.tolist()):
        stay = best
        move = best[::-1] - _CHANGE
        back[beat] = np.where(stay >= move, [0, 1], [1, 0])
        best = np.maximum(stay, move) + np.array([0.0, value])
    state = np.zeros(count, np.bool_)
    at = int(best.argmax()) if best[0] != best[1] else 0
    for beat in range(count - 1, -1, -1):
        state[beat] = at == 1
        at = int(back[beat, at])
    return state


def _sure_spans(state: Mask, here: Mask, logits: Floats, least: float) -> tuple[Mask, float]:
    """The speech in the runs of ``state`` where the beats ``here`` are sure enough, and the surest of it.

    Short pauses are part of it; before, after, and in long ones nobody speaks.
    """
    kept, surest = np.zeros_like(state), 0.0
    speech = smooth.closed(state & here, _PAUSE_BEATS)
    for run in smooth.segments(speech & state):
        inside = np.flatnonzero(here[run]) + run.start
        if len(inside) * BEAT < _LEAST_SECONDS:
            continue
        likely = 1 / (1 + np.exp(-logits[inside].astype(np.float64).clip(-20, 20)))
        score = float(likely.mean())
        if score >= least:
            kept[run] = True
            surest = max(surest, score)
    return kept, surest
