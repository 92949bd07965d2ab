"""Every setting is named by a test, and those that no other test is about do what they say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import BaseModel

from dubkit.config.schema import Config, FaceSettings, GateSettings, PrepareSettings, TcTraining
from dubkit.faces.selection import untouched
from dubkit.faces.tracker import track_shot
from dubkit.faces.tracklet import TrackerSettings
from dubkit.metrics.gate_limits import LIMITS, check
from dubkit.records import FaceState, FaceTrack, Shot
from dubkit.training import quality
from dubkit.training.train_tc import TcObjective
from tests.faces.test_selection import still, track
from tests.painted import PaintedFilm, PaintedLandmarker, Person
from tests.training.talking import config
from tests.training.test_tc_training import clip

TESTS = Path(__file__).resolve().parents[1]
RATE = 25.0


def leaves(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Section and name of every setting."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from leaves(kind, f"{prefix}{name}.")
        else:
            yield prefix, name


def test_every_setting_is_named_by_a_test() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in TESTS.rglob("*.py"))
    words = set(re.findall(r"\w+", text))
    assert not [f"{section}{name}" for section, name in leaves(Config) if name not in words]


@pytest.mark.parametrize(
    ("setting", "measure", "bad", "good"),
    [
        ("min_found", "found", 0.49, 0.51),
        ("max_silence", "silence", 0.51, 0.49),
        ("min_closures", "closures", 0.49, 0.51),
        ("max_offset_ms", "offset_ms", 0.51, 0.49),
        ("min_movement", "movement", 0.49, 0.51),
        ("max_seam", "seam", 0.51, 0.49),
        ("max_flicker", "flicker", 0.51, 0.49),
        ("max_outside", "outside", 0.51, 0.49),
        ("min_likeness", "likeness", 0.49, 0.51),
        ("min_sharpness", "sharpness", 0.49, 0.51),
        ("min_frame_sharpness", "frame_sharpness", 0.49, 0.51),
        ("max_stain", "stain", 0.51, 0.49),
        ("max_chin_edge", "chin_edge", 0.51, 0.49),
        ("max_switching", "switching", 0.51, 0.49),
        ("max_pieces", "pieces", 0.51, 0.49),
    ],
)
def test_a_limit_of_the_gate_holds_its_own_measure_alone(
    setting: str, measure: str, bad: float, good: float
) -> None:
    settings = GateSettings.model_validate({setting: 0.5})
    for value, failed in ((good, []), (bad, [measure])):
        found = check({measure: value}, settings)
        assert [c.measure for c in found] == list(LIMITS)
        assert [c.measure for c in found if not c.passed] == failed
        assert next(c.limit for c in found if c.measure == measure) == 0.5


def follow(visible: Sequence[bool], **settings: object) -> tuple[list[FaceTrack], PaintedFilm]:
    """The tracks of a face that is seen in some frames of a shot."""
    film = PaintedFilm(lambda i: [Person(0, 120, 80, 24)] if visible[i] else [])
    rules = TrackerSettings.of(FaceSettings.model_validate(settings), RATE)
    return track_shot(Shot(0, len(visible)), film.views, PaintedLandmarker(), rules), film


def test_the_detector_is_called_every_so_many_seconds() -> None:
    calls = [
        follow([True] * 60, detect_every=seconds)[1].detector.calls for seconds in (0.4, 0.8, 2.4)
    ]
    assert calls[0] >= 1.5 * calls[1] > calls[2]


@pytest.mark.parametrize(("seconds", "state"), [(0.4, "BRIDGED"), (0.2, "ABSENT")])
def test_a_gap_is_filled_up_to_its_longest(seconds: float, state: str) -> None:
    visible = [True] * 20 + [False] * 8 + [True] * 20
    (found,), _ = follow(visible, bridge_seconds=seconds)
    assert found.state[20:28].tolist() == [FaceState[state]] * 8


@pytest.mark.parametrize(("seconds", "count"), [(0.4, 1), (1.2, 0)])
def test_shorter_tracks_are_dropped(seconds: float, count: int) -> None:
    tracks, _ = follow([10 <= i < 30 for i in range(50)], min_track_seconds=seconds)
    assert len(tracks) == count


@pytest.mark.parametrize(("limit", "spans"), [(40.0, []), (20.0, [(540, 560, "tilted")])])
def test_a_face_tilted_beyond_the_limit_is_left_alone(
    limit: float, spans: list[tuple[int, int, str]]
) -> None:
    one = track(0, still(60))
    one.pose[40:60, 1] = 30
    found = untouched(one, FaceSettings(max_pitch=limit), RATE)
    assert [(u.start, u.end, u.reason) for u in found] == spans


def test_footage_is_tracked_within_the_limits_of_preparing() -> None:
    settings = ("train.prepare.min_width=80", "train.prepare.max_pitch=11")
    found = quality.face_settings(config(*settings))
    assert (found.min_size, found.max_pitch) == (80, 11)


def test_unsure_landmarks_are_refused() -> None:
    scores = np.array([0.2, 0.7, 0.7], np.float32)
    assert quality.face_fault(scores, PrepareSettings(min_confidence=0.69)) is None
    fault = quality.face_fault(scores, PrepareSettings(min_confidence=0.71))
    assert fault == "the face is uncertain: confidence 0.70, 0.71 needed"


def test_lips_that_agree_too_little_with_the_sound_are_refused() -> None:
    level = np.tile(np.array([0.2, 0.9], np.float32), 200)
    motion = np.tile(np.array([[0.0], [0.5]]), (100, 3))
    sync = quality.Sync(0.3, 0.0, sure=True)

    def fault(least: float) -> str | None:
        settings = PrepareSettings(min_agreement=least)
        return quality.sound_fault(level, motion, RATE, sync, settings)

    assert fault(0.29) is None
    assert "correlation 0.30, 0.31 needed" in (fault(0.31) or "")


def test_too_little_speech_is_refused() -> None:
    phonemes = [("sil", 0.0, 1.5), ("a", 1.5, 2.0)]
    assert quality.speech_fault(phonemes, 2.0, PrepareSettings(min_voiced=0.25)) is None
    fault = quality.speech_fault(phonemes, 2.0, PrepareSettings(min_voiced=0.26))
    assert fault == "speech in 25% of it, 26% needed"


def test_weights_decay_as_the_setting_says() -> None:
    """AdamW shrinks a weight by rate times decay before it moves."""
    ends = []
    for decay in (0.0, 0.5):
        settings = TcTraining(batch=2, width=8, rate=0.1, decay=decay)
        objective = TcObjective([clip("a", "a")], [clip("a", "a")], {}, settings)
        net = objective.modules()["net"]
        before = torch.cat([p.detach().flatten() for p in net.parameters()])
        for parameter in net.parameters():
            parameter.grad = torch.zeros_like(parameter)
        objective.optimizers()["net"].step()
        after = torch.cat([p.detach().flatten() for p in net.parameters()])
        ends.append(float(after.norm() / before.norm()))
    assert ends == pytest.approx([1.0, 0.95])
