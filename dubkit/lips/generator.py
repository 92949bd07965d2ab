"""The TC+SC generator: phoneme runs drive the mouth shape, aligned own frames become its picture.

An independent implementation of the method of Dong, Ma and Zhang (Computer Graphics Forum 43(7), 2024).
TC is the net of `models.tc`; SC aligns every face by its stable points, borrows texture from the same face's
own frames (nearest in mouth shape and pose), carries it to the wanted shape by a landmark mesh at the
picture's own resolution, and lays it over the native planes under a soft mask.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from dubkit.config.schema import GenerateSettings
from dubkit.faces import align
from dubkit.lips import articulation, lending, mouth_shape, references, refiner
from dubkit.models.devices import place
from dubkit.records import FaceState, FaceTrack, Floats, Indices, Mask, Timing, VideoInfo

_VERSION = 28
# half way to the mean speaker where only the picture says how widely somebody articulates, which is uncertain
_HALFWAY = 0.5
_SEEN, _BEYOND = 18.0, 7.0  # degrees that training showed, and over which the net's say fades out


def _trust(pose: Floats) -> Floats:
    """(T,) how far the image net is followed, from (T, 3) degrees: it never saw heads turned far."""
    turned = np.abs(pose[:, :2]).max(1)
    return np.asarray(np.clip((_SEEN + _BEYOND - turned) / _BEYOND, 0, 1), np.float32)


def named(weights: str | None) -> Path | None:
    """The checkpoint file that a setting names; None: the package's own."""
    return Path(weights).expanduser() if weights else None


def wanted(timing: Timing, settings: GenerateSettings) -> articulation.Articulation:
    """The mouth shapes that the dub asks of a mean speaker, resting in long silences."""
    spoken = _articulator_of(settings).predict(timing)
    resting = np.asarray(spoken.coefficients * spoken.speaking[:, None], np.float32)
    return replace(spoken, coefficients=resting)


@cache
def _articulator(device: str) -> articulation.Articulator:
    """The package's own, read once a process: a film has many shots."""
    return articulation.Articulator(device)


def _articulator_of(settings: GenerateSettings, device: str = "cpu") -> articulation.Articulator:
    if settings.tc is None and settings.actor is None:
        return _articulator(device)
    return articulation.Articulator(device, named(settings.tc), named(settings.actor))


class WarpSynthesizer:
    """The generator without an image net: the fallback, and the baseline of the net."""

    name = "warp"

    def __init__(self, settings: GenerateSettings, device: str = "cpu") -> None:
        self.settings = settings
        self._articulator = _articulator_of(settings, device)
        self._painter: refiner.MouthPainter | None = None

    @property
    def version(self) -> str:
        """Changes whenever results may change."""
        return f"{_VERSION}+{self._articulator.version}"

    def face(
        self,
        info: VideoInfo,
        track: FaceTrack,
        usable: Mask,
        timing: Timing,
        row: int,
        lent: lending.Lent | None = None,
    ) -> refiner.Renderer:
        """Plan one face of a shot; ``lent`` are frames of this person in other shots."""
        plan = self._plan(info, track, usable, timing, row)
        if lent is not None:
            plan = self._with_lent(plan, lent)
        return refiner.Renderer(info, plan, self.settings.feather, self._painter)

    def _plan(
        self, info: VideoInfo, track: FaceTrack, usable: Mask, timing: Timing, row: int
    ) -> refiner.FacePlan:
        present = track.state != FaceState.ABSENT
        landmarks = mouth_shape.fill_absent(track.landmarks, present)
        pose = mouth_shape.fill_absent(track.pose, present)
        matrices = [align.canonical_from_face(face) for face in landmarks]
        current = np.stack(
            [align.apply(m, face) for m, face in zip(matrices, landmarks, strict=True)]
        )
        good = usable & present
        frontal = mouth_shape.frontal(current, pose)
        rest = mouth_shape.resting_mouth(frontal[good])
        gain = track.articulation or mouth_shape.gain(frontal[good], rest) ** _HALFWAY
        seen = good & (track.state == FaceState.SEEN)
        posture = mouth_shape.posture(frontal, rest, seen, float(info.average_rate))
        coefficients, audible, speaking = (
            values[row:][: len(track)] for values in self._spoken(timing, gain, posture)
        )
        fade = mouth_shape.fade(
            good, max(1, round(mouth_shape.FADE_SECONDS * float(info.average_rate)))
        )
        shaped, shown = mouth_shape.two_steps(np.minimum(fade, audible))
        kept = mouth_shape.expression(frontal, rest, seen, float(info.average_rate))
        if track.setting is not None and self.settings.actor is None:  # a profile knows it
            kept = kept + speaking[:, None] * track.setting
        target = mouth_shape.wanted_landmarks(current, pose, rest, coefficients, kept)
        target = current + shaped[:, None, None] * (target - current)
        lendable = good & (track.state == FaceState.SEEN) & references.settled(current)
        lendable = lendable if lendable.any() else good
        bank, choice = self._lenders(info, current, target, pose, lendable)
        return refiner.FacePlan(
            start=track.start,
            display_from_canonical=[align.invert(m) for m in matrices],
            current=current,
            target=target,
            alpha=shown,
            bank=tuple(int(row) for row in bank),
            choice=choice,
            trust=_trust(pose),
        )

    def _with_lent(self, plan: refiner.FacePlan, lent: lending.Lent) -> refiner.FacePlan:
        """The plan with frames of other shots to choose among as well, where they are clearly nearer."""
        choice, own = plan.choice, references.gap_of(plan.current[list(plan.bank)])
        faces = np.stack([offer.canonical for offer in lent.offers])
        goal, shown = references.lip_features(plan.target), references.lip_features(faces)
        gap = references.parted(references.gap_of(faces), own)
        cost = references.shape_cost(goal, shown, choice.gap, gap) + lending.FOREIGN
        cost += references.drawn_cost(plan.target, faces)
        rows = len(plan.alpha) + np.arange(len(lent))
        wider = replace(
            choice,
            cost=np.concatenate([choice.cost, cost], 1),
            rows=np.concatenate([choice.rows, rows]),
        )
        bank = (*plan.bank, *(int(row) for row in rows))
        return replace(plan, bank=bank, choice=wider, lent=lent)

    def _lenders(
        self, info: VideoInfo, current: Floats, target: Floats, pose: Floats, lendable: Mask
    ) -> tuple[Indices, references.Choice]:
        """Rows to borrow from, only ones that are ``lendable`` (T,), and what decides between them in each frame.

        ``current`` and ``target`` (T, L, 2) canonical landmarks as filmed and as wanted, ``pose`` (T, 3).
        """
        rate = float(info.average_rate)
        poses = references.pose_features(pose, np.arange(len(current)) / rate)
        features = np.concatenate([references.mouth_features(current), poses], 1)
        bank = references.choose_bank(features, lendable, self.settings.references)
        shown, goal = (
            np.concatenate([references.lip_features(f), p], 1)
            for f, p in ((current[bank], poses[bank]), (target, poses))
        )
        filmed = references.gap_of(current)
        gap, own = (
            references.parted(g, filmed[lendable]) for g in (references.gap_of(target), filmed)
        )
        cost = references.shape_cost(goal, shown, gap, own[bank])
        cost += references.drawn_cost(target, current[bank])
        return bank, references.Choice(cost, gap, rate, bank)

    def _spoken(
        self, timing: Timing, gain: float, posture: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """(T, K) shapes by the silence policy, (T,) how much of them is shown, and (T,) how much of them is speech.

        ``gain`` is how widely the speaker articulates, ``posture`` (K,) how the mouth rests.
        """
        spoken = self._articulator.predict(timing, gain * self.settings.amplitude)
        policy, coefficients, speaking = self.settings.silence, spoken.coefficients, spoken.speaking
        shown = np.ones_like(speaking)
        if policy == "original":
            return coefficients, speaking, shown
        if policy == "hold":
            held = coefficients.copy()
            for t in range(1, len(held)):
                held[t] = held[t - 1] + speaking[t] * (coefficients[t] - held[t - 1])
            return held, shown, shown
        closed = coefficients * speaking[:, None]
        if policy == "rest":
            closed = articulation.at_rest(closed, posture, timing.times, spoken.phonemes)
        return closed, shown, speaking


class TcscSynthesizer(WarpSynthesizer):
    """The whole generator; see the module."""

    name = "tcsc"

    def __init__(self, settings: GenerateSettings, device: str = "cpu") -> None:
        super().__init__(settings, device)
        self._painter = refiner.MouthPainter(place(device), named(settings.sc))

    @property
    def version(self) -> str:
        """Changes whenever results may change."""
        return f"{super().version}+{self._painter.version if self._painter else ''}"
