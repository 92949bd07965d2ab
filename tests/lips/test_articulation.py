"""The mouth that speaks: the net in the package and the rules around it."""

from __future__ import annotations

import numpy as np
import pytest

from dubkit.lips import mouth_shape
from dubkit.lips.articulation import Articulation, Articulator, at_rest, speaking
from dubkit.lips.mouth_shape import gap_effect
from dubkit.media.audio import load_samples
from dubkit.records import Phoneme, Shot, Timing
from dubkit.speech.encoder_rows import encode
from dubkit.speech.mel_levels import mel_levels_of
from dubkit.speech.timing import cut_timing
from tests.portrait import ASSETS

SENTENCE = [
    "sil",
    "m",
    "aɪ",
    "b",
    "ɪ",
    "ɡ",
    "m",
    "ɑ",
    "p",
    "sil",
    "f",
    "aɪ",
    "v",
    "p",
    "i",
    "p",
    "ʌ",
    "l",
    "sil",
]


def speech(
    symbols: list[str] = SENTENCE, length: float = 0.1, silence: float = 0.8
) -> list[Phoneme]:
    phonemes, at = [], 0.0
    for symbol in symbols:
        end = at + (silence if symbol == "sil" else length)
        phonemes.append(Phoneme(symbol, at, end))
        at = end
    return phonemes


def film(rate: float = 25.0, symbols: list[str] = SENTENCE, length: float = 0.1) -> Timing:
    phonemes = speech(symbols, length)
    count = int(phonemes[-1].end * rate)
    return cut_timing(phonemes, Shot(0, count), np.arange(count) / rate, 0.8)


def opening(found: Articulation) -> np.ndarray:
    return np.asarray(found.coefficients @ gap_effect())


@pytest.fixture(scope="module")
def articulator() -> Articulator:
    return Articulator()


def test_shapes_have_a_row_a_frame_and_a_column_a_coefficient(articulator: Articulator) -> None:
    timing = film()
    found = articulator.predict(timing)
    assert found.coefficients.shape == (len(timing.times), len(mouth_shape.basis().decode))
    assert found.speaking.shape == (len(timing.times),)
    assert np.isfinite(found.coefficients).all()


@pytest.mark.parametrize("rate", [23.976, 25.0, 29.97, 50.0])
def test_lips_shut_once_in_every_p_b_and_m(articulator: Articulator, rate: float) -> None:
    timing = film(rate, length=0.06)
    gaps = opening(articulator.predict(timing, gain=1.3))
    shut = [run for run in timing.runs if run.symbol in "pbm"]
    assert len(shut) == 6
    for run in shut:
        assert gaps[run.start : run.end].min() < 0.02
        # the burst counts to the phoneme: with few frames the shut one may be just before it
        assert gaps[run.start - 1 : run.end].min() < 0.005


def test_open_vowels_are_far_wider_than_closures(articulator: Articulator) -> None:
    timing = film(length=0.14)
    gaps = opening(articulator.predict(timing))
    wide = [gaps[r.start : r.end].max() for r in timing.runs if r.symbol in ("aɪ", "ɑ")]
    shut = [gaps[r.start : r.end].min() for r in timing.runs if r.symbol in "pbm"]
    assert np.mean(wide) > 0.03
    assert np.mean(wide) > 4 * np.mean(shut)


def test_lips_never_cross(articulator: Articulator) -> None:
    assert opening(articulator.predict(film())).min() > -0.003


@pytest.mark.parametrize("scripted", [True, False])
def test_a_silent_dub_does_not_move_the_mouth(articulator: Articulator, scripted: bool) -> None:
    times, nothing = np.arange(100) / 25, np.zeros(4 * 16000, np.float32)
    timing = cut_timing(
        [Phoneme("sil", 0.0, 4.0)],
        Shot(0, 100),
        times,
        0.8,
        mel_levels_of(nothing),
        encode(nothing),
        scripted=scripted,
    )
    found = articulator.predict(timing)
    assert (found.speaking == 0).all()
    assert (np.abs(opening(found)) < 0.01).all()


def test_speaking_is_one_in_speech_and_short_pauses_and_ramps_without_jumps() -> None:
    phonemes = [Phoneme("sil", 0, 1), Phoneme("a", 1, 1.5), Phoneme("sil", 1.5, 1.6)]
    phonemes += [Phoneme("a", 1.6, 2), Phoneme("sil", 2, 3)]
    moments = np.arange(300) / 100
    timing = cut_timing(phonemes, Shot(0, 300), moments, 0.8)
    level = speaking(timing.times, timing.phonemes)
    assert (level[100:200] == 1).all()
    assert level[19] == level[251] == 0
    assert level[30] > 0.02  # people draw breath before they speak
    assert level[230] > 0.02
    assert np.abs(np.diff(level)).max() < 0.12


POSTURE = np.asarray(gap_effect() * 0.04 / (gap_effect() @ gap_effect()), np.float32)


def test_who_rests_ajar_is_ajar_in_long_pauses_only(articulator: Articulator) -> None:
    phonemes = speech(silence=1.3)
    moments = np.arange(int(phonemes[-1].end * 25)) / 25
    timing = cut_timing(phonemes, Shot(0, len(moments)), moments, 0.8)
    found = articulator.predict(timing)
    closed = found.coefficients * found.speaking[:, None]
    rested = at_rest(closed, POSTURE, timing.times, timing.phonemes)
    before, after = closed @ gap_effect(), rested @ gap_effect()
    paused = np.zeros(len(before), np.bool_)
    for symbol, start, end in timing.phonemes:
        if symbol == "sil":
            paused |= (timing.times >= start) & (timing.times <= end)
    assert (after[paused] >= before[paused] - 1e-6).all()
    well_inside = np.convolve(paused, np.ones(9), "same") == 9
    assert well_inside.any()
    assert (after[well_inside] > 0.0399).all()
    np.testing.assert_array_equal(rested[~paused], closed[~paused])


def test_short_pauses_stay_as_the_net_says() -> None:
    phonemes = [Phoneme("a", 0, 1), Phoneme("sil", 1, 1.7), Phoneme("a", 1.7, 2)]
    timing = cut_timing(phonemes, Shot(0, 50), np.arange(50) / 25, 0.8)
    shapes = np.zeros((50, len(POSTURE)), np.float32)
    assert not at_rest(shapes, POSTURE, timing.times, timing.phonemes).any()


def test_where_nothing_is_said_who_rests_ajar_is_shut() -> None:
    timing = cut_timing([Phoneme("sil", 0, 2)], Shot(0, 50), np.arange(50) / 25, 0.8)
    shapes = np.zeros((50, len(POSTURE)), np.float32)
    assert not at_rest(shapes, POSTURE, timing.times, timing.phonemes).any()


def test_the_way_to_rest_has_no_jumps() -> None:
    phonemes = [Phoneme("sil", 0, 1), Phoneme("m", 1, 1.1), Phoneme("sil", 1.1, 3)]
    timing = cut_timing(phonemes, Shot(0, 300), np.arange(300) / 100, 0.8)
    still = np.zeros((300, len(POSTURE)), np.float32)
    course = at_rest(still, POSTURE, timing.times, timing.phonemes) @ gap_effect()
    assert course[105] == 0
    assert course[50] == pytest.approx(0.04, abs=1e-4)
    assert np.abs(np.diff(course)).max() < 0.005


def test_a_shot_alone_equals_the_same_frames_of_the_whole_film(articulator: Articulator) -> None:
    phonemes = speech(SENTENCE * 3, silence=1.3)
    moments = np.arange(int(phonemes[-1].end * 25)) / 25
    whole = articulator.predict(cut_timing(phonemes, Shot(0, len(moments)), moments, 0.8))
    for start, end in ((0, 20), (37, 61), (60, len(moments))):
        part = articulator.predict(cut_timing(phonemes, Shot(start, end), moments[start:end], 0.8))
        np.testing.assert_allclose(
            part.coefficients[1:-1], whole.coefficients[start:end][1:-1], atol=1e-4
        )
        np.testing.assert_allclose(part.speaking, whole.speaking[start:end], atol=1e-6)


@pytest.mark.parametrize("scripted", [True, False])
def test_a_shot_cut_with_its_sound_equals_the_same_frames_of_the_whole_film(
    articulator: Articulator, scripted: bool
) -> None:
    voice = load_samples(ASSETS / "dub.flac")
    pause = np.zeros(2 * 16000, np.float32)
    sound = np.concatenate([pause, voice[: 5 * 16000], pause, voice[5 * 16000 : 9 * 16000], pause])
    levels, rows = mel_levels_of(sound), encode(sound)
    moments = np.arange(len(sound) // 640) / 25
    phonemes = speech(length=0.12, silence=1.0)

    def cut(start: int, end: int) -> Articulation:
        shot, times = Shot(start, end), moments[start:end]
        timing = cut_timing(phonemes, shot, times, 0.8, levels, rows, scripted=scripted)
        return articulator.predict(timing)

    whole = cut(0, len(moments))
    assert 0 < whole.speaking.mean() < 1
    for start, end in ((0, 60), (45, 80), (100, 101), (160, 230), (200, len(moments))):
        part = cut(start, end)
        np.testing.assert_allclose(
            part.coefficients, whole.coefficients[start:end], atol=1e-4, err_msg=f"{start}"
        )
        np.testing.assert_allclose(part.speaking, whole.speaking[start:end], atol=1e-6)


def test_the_same_timing_gives_the_same_bytes(articulator: Articulator) -> None:
    one, two = (Articulator().predict(film()).coefficients for _ in range(2))
    assert one.tobytes() == two.tobytes()


def test_one_frame_and_variable_frame_times_are_predicted(articulator: Articulator) -> None:
    phonemes = speech()
    single = cut_timing(phonemes, Shot(9, 10), np.array([1.0]), 0.8)
    assert articulator.predict(single).coefficients.shape[0] == 1
    uneven = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.12, 40))
    found = articulator.predict(cut_timing(phonemes, Shot(0, 40), uneven, 0.8))
    assert np.isfinite(found.coefficients).all()


def test_gain_widens_the_mouth(articulator: Articulator) -> None:
    narrow, wide = (opening(articulator.predict(film(), gain=g)).max() for g in (0.8, 1.2))
    assert wide == pytest.approx(1.5 * narrow, rel=0.05)
