"""Tuning to one person, on mouths made up from what the package's own net says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dubkit.errors import ModelError
from dubkit.faces.shape import gap_effect
from dubkit.models.actor import load_actor, save_actor
from dubkit.models.tc import debug_tc, save_tc
from dubkit.records import Floats, Phoneme, Shot
from dubkit.synthesis import tune
from dubkit.synthesis.articulation import Articulator
from dubkit.synthesis.timing import Timing, cut_timing
from dubkit.synthesis.tune import Passage

SOUNDS = ["m", "aɪ", "b", "ɪ", "s", "ɑ", "p", "i", "l", "u", "v", "ɛ", "n", "oʊ"]
RATE = 25.0


@pytest.fixture(scope="module")
def articulator() -> Articulator:
    return Articulator()


def speech(seconds: float = 24.0, seed: int = 0) -> Timing:
    random = np.random.default_rng(seed)
    phonemes, at = [], 0.0
    while at < seconds:
        end = at + float(random.uniform(0.06, 0.16))
        phonemes.append(Phoneme(str(random.choice(SOUNDS)), at, end))
        at = end
    count = int(seconds * RATE)
    return cut_timing(phonemes, Shot(0, count), np.arange(count) / RATE, 0.8)


def general(articulator: Articulator, timing: Timing) -> Floats:
    weight, bias = articulator.last_layer
    return np.asarray(articulator.hidden(timing) @ weight.T + bias, np.float32)


def passage(timing: Timing, shapes: Floats) -> Passage:
    return Passage(timing, shapes.astype(np.float32), np.ones(len(shapes), np.bool_))


def someone(articulator: Articulator, timing: Timing, seed: int = 3) -> Floats:
    """A person who draws the corners wide where others open, and opens more."""
    random = np.random.default_rng(seed)
    shapes = general(articulator, timing)
    habit = np.eye(shapes.shape[1]) * 1.3 + 0.25 * random.normal(size=(shapes.shape[1],) * 2)
    return np.asarray(shapes @ habit + 0.1 * random.normal(size=shapes.shape), np.float32)


def test_a_persons_habits_are_learnt_and_met_on_speech_that_was_held_out(
    articulator: Articulator, tmp_path: Path
) -> None:
    timing = speech()
    made = passage(timing, someone(articulator, timing))
    verdict = tune.tune(articulator, tune.convincing(articulator, [made]))
    assert verdict.kept
    assert verdict.after_error < 0.5 * verdict.before_error
    assert verdict.facts.after > verdict.facts.before
    assert verdict.layer is not None
    save_actor(tmp_path / "anna.safetensors", verdict.layer, verdict.facts)
    anna = Articulator(actor=tmp_path / "anna.safetensors")
    assert anna.version != articulator.version
    later = speech(8.0, seed=9)  # another sentence of hers
    true = someone(articulator, later)
    errors = [np.abs(general(who, later) - true).mean() for who in (articulator, anna)]
    assert errors[1] < 0.6 * errors[0]


def test_what_helps_nobody_is_not_kept(articulator: Articulator) -> None:
    timing = speech()
    noise = np.random.default_rng(0).normal(size=general(articulator, timing).shape)
    noise = noise.astype(np.float32)
    ordinary = passage(timing, general(articulator, timing) + np.float32(0.8) * noise)
    verdict = tune.tune(articulator, [ordinary])
    assert not verdict.kept
    assert verdict.layer is None
    assert verdict.facts.seconds > 15


def test_equal_footage_gives_equal_layers(articulator: Articulator) -> None:
    timing = speech()
    made = passage(timing, someone(articulator, timing))
    one, two = (tune.tune(articulator, [made]).layer for _ in range(2))
    assert one is not None
    assert two is not None
    assert one.last.weight.detach().numpy().tobytes() == two.last.weight.detach().numpy().tobytes()


def test_a_picture_out_of_step_with_its_sound_is_brought_in_step(articulator: Articulator) -> None:
    timing = speech()
    late = Timing(timing.times - 0.12, timing.phonemes, timing.runs)
    found = tune.convincing(articulator, [passage(timing, general(articulator, late))])
    assert len(found) == 1
    assert float(found[0].timing.times[0]) == pytest.approx(-0.12, abs=0.011)


def test_a_face_that_does_not_move_with_the_sound_is_not_learnt_from(
    articulator: Articulator,
) -> None:
    timing = speech()
    listener = general(articulator, speech(seed=5))
    still = np.zeros_like(listener)
    assert tune.convincing(articulator, [passage(timing, still)]) == []
    assert tune.convincing(articulator, [passage(timing, listener)]) == []


def test_only_usable_frames_in_which_something_is_said_count(articulator: Articulator) -> None:
    phonemes = [Phoneme("sil", 0, 4), Phoneme("ɑ", 4, 6), Phoneme("sil", 6, 8)]
    timing = cut_timing(phonemes, Shot(0, 200), np.arange(200) / RATE, 0.8)
    usable = np.arange(200) < 125
    made = Passage(timing, np.zeros((200, len(gap_effect())), np.float32), usable)
    assert tune.seconds_of([made]) == pytest.approx(1.0, abs=0.05)


def test_a_profile_of_another_net_is_refused_when_it_is_used(
    articulator: Articulator, tmp_path: Path
) -> None:
    timing = speech(12.0)
    verdict = tune.tune(articulator, [passage(timing, someone(articulator, timing))])
    assert verdict.layer is not None
    path = tmp_path / "anna.safetensors"
    save_actor(path, verdict.layer, verdict.facts)
    assert load_actor(path).facts.net == articulator.digest
    save_tc(tmp_path / "other.safetensors", debug_tc(), 1)
    with pytest.raises(ModelError, match="another version"):
        Articulator(weights=tmp_path / "other.safetensors", actor=path).predict(timing)
