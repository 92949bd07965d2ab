"""Tuning to one person, on mouths made up from what the package's own net says."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dubkit.errors import ModelError
from dubkit.lips import adaptation, film_offset
from dubkit.lips.adaptation import Passage
from dubkit.lips.articulation import Articulator, net_input
from dubkit.lips.mouth_shape import gap_effect
from dubkit.models.speech_encoder import SpeechEncoderConfig
from dubkit.models.tc import TcConfig, TcNet, debug_tc, load_actor, save_actor, save_tc
from dubkit.records import (
    GRID_STEP,
    ROW_STEPS,
    SILENCE,
    EncoderRows,
    Floats,
    Phoneme,
    Shot,
    Timing,
)
from dubkit.speech import articulatory
from dubkit.speech.mel_levels import BANDS
from dubkit.speech.timing import cut_timing

SOUNDS = ["m", "aɪ", "b", "ɪ", "s", "ɑ", "p", "i", "l", "u", "v", "ɛ", "n", "oʊ"]
RATE = 25.0


@pytest.fixture(scope="module")
def articulator() -> Articulator:
    return Articulator()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Articulator:
    """A net that nobody trained: quick to tune."""
    torch.manual_seed(4)
    rows = SpeechEncoderConfig().rows
    count = len(gap_effect())
    net = TcNet(TcConfig(rows, articulatory.COUNT, BANDS, count, width=16, dilations=(1, 2)))
    path = tmp_path_factory.mktemp("small") / "tc.safetensors"
    save_tc(path, net, 1)
    return Articulator(weights=path)


def speech(seconds: float = 16.0, seed: int = 0, pause: float = 0.0) -> Timing:
    random = np.random.default_rng(seed)
    phonemes: list[Phoneme] = []
    at = 0.0
    while at < seconds:
        if pause and len(phonemes) % 12 == 11:
            phonemes.append(Phoneme(SILENCE, at, at + pause))
            at += pause
        end = at + float(random.uniform(0.06, 0.16))
        phonemes.append(Phoneme(str(random.choice(SOUNDS)), at, end))
        at = end
    count = int(seconds * RATE)
    times = np.arange(count) / RATE
    return cut_timing(phonemes, Shot(0, count), times, 0.8, None, rows_of(phonemes))


def rows_of(phonemes: list[Phoneme]) -> EncoderRows:
    """Encoder rows that tell the sounds apart."""
    random = np.random.default_rng(1)
    codes = {sound: random.normal(size=SpeechEncoderConfig().rows) for sound in SOUNDS}
    codes[SILENCE] = np.zeros(SpeechEncoderConfig().rows)
    cells = np.arange(int(phonemes[-1].end / GRID_STEP)) * GRID_STEP
    starts = [phoneme.start for phoneme in phonemes]
    spoken = [phonemes[i].symbol for i in np.searchsorted(starts, cells, "right") - 1]
    rows = np.stack([codes[symbol] for symbol in spoken]) * ROW_STEPS
    return EncoderRows(0, np.clip(np.round(rows), -127, 127).astype(np.int8))


def general(articulator: Articulator, timing: Timing) -> Floats:
    return articulator.shapes(timing)


def passage(timing: Timing, shapes: Floats) -> Passage:
    return Passage(timing, shapes.astype(np.float32), np.ones(len(shapes), np.bool_))


def someone(articulator: Articulator, timing: Timing) -> Floats:
    """A person whose mouth does otherwise what the same sounds ask of it, and opens more."""
    other = copy.deepcopy(articulator.net)
    random = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, weight in other.named_parameters():
            if name.endswith("weight") and ".last." not in name:
                weight.mul_(1 + 0.8 * torch.randn(weight.shape, generator=random))
        shapes: Floats = net_input(other, timing).predict(other).numpy()
    return np.asarray(1.3 * shapes, np.float32)


def test_a_persons_habits_are_learned_and_met_on_speech_that_was_held_out(
    articulator: Articulator, tmp_path: Path
) -> None:
    timing = speech()
    made = passage(timing, someone(articulator, timing))
    verdict = adaptation.tune(articulator, adaptation.select_in_sync(articulator, [made]))
    assert verdict.term is not None
    assert verdict.facts.after > verdict.facts.before + 0.02
    save_actor(tmp_path / "anna.safetensors", verdict.term, verdict.facts)
    anna = Articulator(actor=tmp_path / "anna.safetensors")
    assert anna.version != articulator.version
    later = speech(12.0, seed=9)  # another sentence of hers
    true = someone(articulator, later) @ gap_effect()
    met = [
        np.corrcoef(general(who, later) @ gap_effect(), true)[0, 1] for who in (articulator, anna)
    ]
    assert met[1] > met[0] + 0.02
    wide = [np.std(general(who, later) @ gap_effect()) for who in (articulator, anna)]
    assert wide[1] == pytest.approx(wide[0], rel=0.2), (
        "the person's range is the generator's matter"
    )


def test_a_mouth_that_is_wider_open_in_all_speech_is_given_no_wider_range(
    articulator: Articulator, tmp_path: Path
) -> None:
    timing = speech(20.0, pause=0.6)
    effect = gap_effect()
    spoken = np.zeros(len(timing.times), np.bool_)
    for run in timing.runs:
        spoken[run.start : run.end] = run.symbol != SILENCE
    wider = 0.05 * effect / np.square(effect).sum()  # 5 % of the face's width
    shapes = someone(articulator, timing) + spoken[:, None] * wider
    made = adaptation.tune(articulator, [passage(timing, shapes)])
    assert made.term is not None
    save_actor(tmp_path / "anna.safetensors", made.term, made.facts)
    anna = Articulator(actor=tmp_path / "anna.safetensors")
    adapted, bare = (general(net, timing) @ effect for net in (anna, articulator))
    assert 0.6 < float(adapted.std() / bare.std()) < 1.1


def test_short_passages_are_dealt_out_like_a_long_one(small: Articulator) -> None:
    whole = speech(12.0)
    shapes = general(small, whole)
    phonemes = [Phoneme(*timed) for timed in whole.phonemes]
    short = [
        passage(
            cut_timing(phonemes, Shot(at, at + 30), whole.times[at : at + 30], 0.8),
            shapes[at : at + 30],
        )
        for at in range(0, 300, 30)
    ]
    verdict = adaptation.tune(small, short)
    assert verdict.facts.seconds == pytest.approx(12.0, abs=0.5)
    assert verdict.facts.before != verdict.facts.after


def test_of_much_speech_some_moments_are_learned_from(small: Articulator) -> None:
    timing = speech(64.0)
    verdict = adaptation.tune(small, [passage(timing, someone(small, timing))])
    assert verdict.facts.seconds > 60
    assert verdict.term is not None
    assert 0.4 * adaptation.MOST_MOMENTS < len(verdict.term.moments) <= adaptation.MOST_MOMENTS


def test_too_little_speech_to_hold_any_out_teaches_nothing(small: Articulator) -> None:
    timing = speech(3.0)
    verdict = adaptation.tune(small, [passage(timing, someone(small, timing))])
    assert verdict.term is None
    assert adaptation.tune(small, []).term is None


def test_what_helps_nobody_is_not_kept(small: Articulator) -> None:
    timing = speech()
    noise = np.random.default_rng(0).normal(size=general(small, timing).shape)
    noise = noise.astype(np.float32)
    ordinary = passage(
        timing, np.asarray(general(small, timing) + np.float32(0.8) * noise, np.float32)
    )
    verdict = adaptation.tune(small, [ordinary])
    assert verdict.facts.before < 0.5
    assert verdict.term is None
    assert verdict.facts.seconds > 12


def test_equal_footage_gives_equal_nets(small: Articulator) -> None:
    timing = speech()
    made = passage(timing, someone(small, timing))
    one, two = (adaptation.tune(small, [made]).term for _ in range(2))
    assert one is not None
    assert two is not None
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, two.state_dict()[name])


def test_a_picture_out_of_step_with_its_sound_is_brought_in_step(articulator: Articulator) -> None:
    timing = speech()
    late = replace(timing, times=timing.times - 0.12)
    found = adaptation.select_in_sync(articulator, [passage(timing, general(articulator, late))])
    assert len(found) == 1
    assert float(found[0].timing.times[0]) == pytest.approx(-0.12, abs=0.011)


def test_a_passage_is_shifted_near_to_what_is_known_of_its_film(articulator: Articulator) -> None:
    timing = speech()
    late = replace(timing, times=timing.times - 0.12)
    made = passage(timing, general(articulator, late))
    (near,) = adaptation.select_in_sync(articulator, [made], 0.1)
    np.testing.assert_allclose(timing.times - near.timing.times, 0.12, atol=0.011)
    for far in adaptation.select_in_sync(articulator, [made], -0.1):
        np.testing.assert_array_less(timing.times - far.timing.times, -0.05)


def test_the_offset_of_a_film_is_that_of_its_lips_against_what_the_net_hears(
    articulator: Articulator,
) -> None:
    timing = speech()
    for late in (0.12, -0.08):
        shapes = general(articulator, replace(timing, times=timing.times - late))
        lips = adaptation.lips_of(articulator, passage(timing, shapes))
        found = film_offset.estimate([lips])
        assert found.seconds == pytest.approx(late, abs=0.015)


def test_a_face_that_does_not_move_with_the_sound_is_not_learned_from(
    articulator: Articulator,
) -> None:
    timing = speech()
    listener = general(articulator, speech(seed=5))
    still = np.zeros_like(listener)
    assert adaptation.select_in_sync(articulator, [passage(timing, still)]) == []
    assert adaptation.select_in_sync(articulator, [passage(timing, listener)]) == []


def test_only_usable_frames_in_which_something_is_said_count(articulator: Articulator) -> None:
    phonemes = [Phoneme("sil", 0, 4), Phoneme("ɑ", 4, 6), Phoneme("sil", 6, 8)]
    timing = cut_timing(phonemes, Shot(0, 200), np.arange(200) / RATE, 0.8)
    usable = np.arange(200) < 125
    made = Passage(timing, np.zeros((200, len(gap_effect())), np.float32), usable)
    assert adaptation.speech_seconds([made]) == pytest.approx(1.0, abs=0.05)


def test_a_profile_of_another_net_is_refused_when_it_is_used(
    small: Articulator, tmp_path: Path
) -> None:
    timing = speech(12.0)
    verdict = adaptation.tune(small, [passage(timing, someone(small, timing))])
    assert verdict.term is not None
    path = tmp_path / "anna.safetensors"
    save_actor(path, verdict.term, verdict.facts)
    assert load_actor(path).facts.net == small.digest
    save_tc(tmp_path / "other.safetensors", debug_tc(), 1)
    with pytest.raises(ModelError, match="another version"):
        Articulator(weights=tmp_path / "other.safetensors", actor=path).predict(timing)
