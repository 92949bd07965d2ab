"""The speech encoder's rows of a dub."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st

from dubkit.errors import WorkError
from dubkit.lips.articulation import Articulator
from dubkit.lips.mouth_shape import gap_effect
from dubkit.media.audio import load_samples
from dubkit.models.speech_encoder import SpeechEncoderConfig
from dubkit.records import GRID_STEP, EncoderRows, Floats, Shot
from dubkit.speech import encoder_rows
from dubkit.speech.encoder_rows import (
    CORE,
    REACH,
    cell_count,
    encode,
    encode_briefly,
    encode_in_parts,
    log_mel,
)
from dubkit.speech.mel_levels import mel_levels_of
from dubkit.speech.timing import cut_timing, load_rows, load_timing, save_timing
from dubkit.training.sound_versions import nonspeech_sound
from tests.portrait import ASSETS
from tests.speech.test_mel_levels import syllables

RATE = 16000
APPLAUSE = 3  # kind of `nonspeech_sound`


@pytest.fixture(scope="module")
def voice() -> Floats:
    return load_samples(ASSETS / "dub.flac")


@pytest.fixture(scope="module")
def long_voice(voice: Floats) -> Floats:
    return np.tile(voice, 40 * RATE // len(voice) + 1)[: 40 * RATE]


@pytest.fixture(scope="module")
def long_rows(long_voice: Floats) -> EncoderRows:
    return encode(long_voice)


def filter_bank() -> np.ndarray:
    """Slaney's triangles, by their definition: (80, 201)."""

    def mel(hertz: float) -> float:
        if hertz < 1000:
            return 3 * hertz / 200
        return 15 + 27 * float(np.log(hertz / 1000) / np.log(6.4))

    def hertz(mels: float) -> float:
        return 200 * mels / 3 if mels < 15 else 1000 * float(6.4 ** ((mels - 15) / 27))

    edges = [hertz(mel(8000) * k / 81) for k in range(82)]
    bank = np.zeros((80, 201))
    for band in range(80):
        low, middle, high = edges[band : band + 3]
        for k in range(201):
            frequency = 40.0 * k
            if low < frequency <= middle:
                bank[band, k] = (frequency - low) / (middle - low)
            elif middle < frequency < high:
                bank[band, k] = (high - frequency) / (high - middle)
        bank[band] *= 2 / (high - low)
    return bank


def test_the_front_end_is_whispers(voice: Floats) -> None:
    """Frame by frame from the definition: periodic Hann window, power, Slaney's bands, logarithm."""
    sound = voice[: 2 * RATE]
    found = log_mel(sound, 400, 50)
    bank = filter_bank()
    np.testing.assert_allclose(encoder_rows.mel_filters(), bank, atol=1e-9)
    window = np.sin(np.pi * np.arange(400) / 400) ** 2
    waves = np.exp(-2j * np.pi * np.outer(np.arange(201), np.arange(400)) / 400)
    for frame in range(50):
        piece = sound[400 + 160 * frame - 200 :][:400].astype(np.float64)
        power = np.abs(waves @ (piece * window)) ** 2
        expected = np.log10(np.maximum(bank @ power, 1e-10))
        np.testing.assert_allclose(found[frame], expected, atol=1e-4)


@pytest.mark.parametrize(
    "count", [0, 1, 319, 320, 321, CORE * 320 - 1, CORE * 320, CORE * 320 + 9000]
)
def test_every_cell_of_any_length_has_a_row(count: int) -> None:
    sound = np.asarray(0.1 * np.random.default_rng(0).normal(size=count), np.float32)
    rows = encode(sound).rows
    assert rows.shape == (cell_count(count), SpeechEncoderConfig().rows)
    assert rows.dtype == np.int8
    assert rows.any(1).all()


def test_loudness_says_nothing(long_voice: Floats, long_rows: EncoderRows) -> None:
    quiet = encode(np.asarray(long_voice * 0.125, np.float32))
    different = quiet.rows != long_rows.rows
    assert different.mean() < 1e-3
    assert np.abs(quiet.rows.astype(int) - long_rows.rows)[different].max(initial=0) <= 1


@settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(at=st.floats(0.0, 39.0), seed=st.integers(0, 100))
def test_what_changes_farther_away_than_the_reach_changes_no_byte(
    long_voice: Floats, long_rows: EncoderRows, at: float, seed: int
) -> None:
    changed = long_voice.copy()
    place = slice(round(at * RATE), round((at + 1) * RATE))
    random = np.random.default_rng(seed)
    changed[place] = 0.3 * random.normal(size=len(changed[place]))
    found = encode(changed).rows
    moments = np.arange(len(found)) * GRID_STEP
    far = (moments < at - REACH) | (moments > at + 1 + REACH)
    np.testing.assert_array_equal(found[far], long_rows.rows[far])
    assert (found[~far] != long_rows.rows[~far]).any()


def test_a_piece_on_the_grid_of_windows_equals_the_film(
    long_voice: Floats, long_rows: EncoderRows
) -> None:
    step = CORE * GRID_STEP
    piece = encode(long_voice[round(step * RATE) :]).rows
    same = round((REACH - 2) / GRID_STEP)
    np.testing.assert_array_equal(piece[same:], long_rows.rows[CORE + same :])


def test_a_piece_off_the_grid_moves_lips_almost_equally(
    long_voice: Floats, long_rows: EncoderRows
) -> None:
    whole = opening(long_voice, long_rows)
    later = long_voice[5 * RATE :]
    piece = opening(later, encode(later))
    margin = slice(25, 700)
    assert np.corrcoef(whole[125:][margin], piece[margin])[0, 1] > 0.98


@pytest.mark.parametrize("seconds", [0.5, 4.0, 8.0, 11.9, 14.0])
def test_one_window_says_nearly_what_several_do(
    long_voice: Floats, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    windows: list[int] = []
    window = encoder_rows._window

    def counted(samples: Floats, first: int) -> Floats:
        windows.append(first)
        return window(samples, first)

    monkeypatch.setattr(encoder_rows, "_window", counted)
    sound = long_voice[: round(16000 * seconds)]
    several, brief = encode_briefly(sound), len(windows)
    whole = encode(sound)
    assert several.rows.shape == whole.rows.shape
    assert several.rows.dtype == np.int8
    assert np.corrcoef(several.rows.ravel(), whole.rows.ravel())[0, 1] > 0.95
    assert brief == (1 if seconds < 12 else len(windows) - brief)


def test_the_number_of_threads_changes_no_byte(voice: Floats) -> None:
    before = torch.get_num_threads()
    found = set()
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            found.add(encode(voice).rows.tobytes())
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert len(found) == 1


def test_rows_come_back_from_disk_and_a_shot_gets_its_part(
    tmp_path: Path, long_voice: Floats, long_rows: EncoderRows
) -> None:
    encoder_rows.write_rows(tmp_path / "encoder_rows.npy", long_voice)
    stored = load_rows(tmp_path)
    assert stored is not None
    assert isinstance(stored.rows, np.memmap)
    np.testing.assert_array_equal(stored.rows, long_rows.rows)
    times = 20 + np.arange(25) / 25
    timing = cut_timing(
        [], Shot(0, 25), times, 0.8, None, stored, scripted=False, noise=[(0, 19.5)]
    )
    folder = tmp_path / "shot"
    folder.mkdir()
    save_timing(folder, timing)
    loaded = load_timing(folder)
    assert not loaded.scripted
    assert loaded.noise == ((19.2, 19.5),)
    assert loaded.encoder is not None
    numbers = np.arange(955, 1095)
    for one, other in zip(loaded.encoder.at(numbers), long_rows.at(numbers), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not loaded.encoder.at(np.array([0, 2000]))[1].any()


def test_a_film_is_encoded_a_window_at_a_time(long_voice: Floats, long_rows: EncoderRows) -> None:
    parts = list(encode_in_parts(long_voice))
    assert len(parts) == -(-cell_count(len(long_voice)) // CORE)
    assert max(map(len, parts)) <= CORE + 25
    np.testing.assert_array_equal(np.concatenate(parts), long_rows.rows)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"rows"])
def test_damaged_rows_are_a_work_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "encoder_rows.npy").write_bytes(content)
    with pytest.raises(WorkError, match="cannot be read"):
        load_rows(tmp_path)
    np.save(tmp_path / "encoder_rows.npy", np.zeros((3, 768)))
    with pytest.raises(WorkError):
        load_rows(tmp_path)
    assert load_rows(tmp_path / "elsewhere") is None


def opening(samples: Floats, rows: EncoderRows | None = None) -> np.ndarray:
    """(T,) openings at 25 frames a second without a script, rest in silence included."""
    return np.asarray(predicted(samples, rows)[0])


def predicted(samples: Floats, rows: EncoderRows | None = None) -> tuple[np.ndarray, float]:
    """Those openings, and the share of frames in which somebody speaks."""
    count = max(len(samples) * 25 // RATE, 1)
    times = np.arange(count) / 25
    clean = np.nan_to_num(samples, posinf=0.0, neginf=0.0).astype(np.float32)
    found = Articulator().predict(
        cut_timing(
            [], Shot(0, count), times, 0.8, mel_levels_of(clean), rows or encode(samples),
            scripted=False,
        )
    )  # fmt: skip
    spoken = np.zeros(count, np.bool_)
    for _, start, end in found.phonemes:
        spoken |= (times >= start) & (times < end)
    shown = found.coefficients * found.speaking[:, None]
    return shown @ gap_effect(), float(spoken.mean())


@pytest.mark.slow
def test_lips_move_in_languages_that_nothing_knows(data: Path) -> None:
    found = {path.name: predicted(load_samples(path)[: 10 * RATE]) for path in spoken_files(data)}
    assert len(found) >= 4
    for name, (opened, spoken) in found.items():
        assert spoken > 0.6, name
        assert (opened > 0.02).mean() > 0.4, name
        assert opened.std() > 0.015, name


def spoken_files(data: Path) -> list[Path]:
    """Speech in several languages."""
    return sorted(p for p in (data / "audio").iterdir() if p.suffix in (".wav", ".mp3", ".flac"))[
        :8
    ]


def click() -> Floats:
    sound = np.zeros(6 * RATE, np.float32)
    sound[3 * RATE] = 0.9
    return sound


@pytest.mark.parametrize(
    "sound",
    [np.zeros(6 * RATE, np.float32), click(), np.full(6 * RATE, np.nan, np.float32)],
    ids=["silence", "click", "nan"],
)
def test_lips_rest_where_there_is_nothing(sound: Floats) -> None:
    opened, spoken = predicted(sound)
    assert spoken == 0
    assert np.abs(opened).max() < 0.01


@pytest.mark.parametrize("kind", range(9))
def test_lips_rest_in_noise_and_music(kind: int) -> None:
    sound = nonspeech_sound(kind, np.random.default_rng(99), 12.0)
    opened, spoken = predicted(sound)
    assert spoken <= 0.05
    assert (opened > 0.02).mean() <= 0.1


def telephone(sound: Floats) -> Floats:
    spectrum = np.fft.rfft(sound)
    spectrum[np.fft.rfftfreq(len(sound), 1 / RATE) > 4000] = 0
    return np.asarray(np.fft.irfft(spectrum, len(sound)), np.float32)


def noisy(sound: Floats) -> Floats:
    noise = np.random.default_rng(1).normal(size=len(sound))
    power = np.sqrt((sound**2).mean() / (noise**2).mean())
    return np.asarray(sound + noise * power * 10**-0.5, np.float32)


def clipped(sound: Floats) -> Floats:
    return np.asarray(np.clip(sound * 10, -0.9, 0.9), np.float32)


def broken(sound: Floats) -> Floats:
    damaged = sound.copy()
    damaged[RATE : RATE + 1000] = np.nan
    damaged[2 * RATE] = np.inf
    return np.asarray(damaged, np.float32)


@pytest.mark.parametrize("spoil", [telephone, noisy, clipped, broken])
def test_lips_move_with_speech_that_is_spoilt(
    voice: Floats, spoil: Callable[[Floats], Floats]
) -> None:
    clean, spoken = predicted(voice)
    opened, still_spoken = predicted(spoil(voice))
    assert np.isfinite(opened).all()
    assert still_spoken > spoken - 0.15
    assert np.corrcoef(clean, opened)[0, 1] > 0.7


def envelopes(sound: Floats, keep: int = 24) -> np.ndarray:
    """(T, 257) what the mouth makes of the voice, every 8 ms: spectra without their fine structure."""
    padded = np.pad(sound, 256)
    at = np.arange(0, len(sound), 128)[:, None] + np.arange(512)
    spectrum = np.abs(np.fft.rfft(padded[np.minimum(at, len(padded) - 1)] * np.hanning(512)))
    cepstrum = np.fft.irfft(np.log(spectrum + 1e-5))
    cepstrum[:, keep:-keep] = 0
    return np.asarray(np.exp(np.fft.rfft(cepstrum).real))


def voiced_by(source: np.ndarray, sound: Floats) -> Floats:
    """The speech ``sound`` with another voice: ``source`` (N,) in place of what the vocal cords do."""
    padded, out = np.pad(source, 256), np.zeros(len(source) + 1024)
    window = np.hanning(512)
    for row, envelope in enumerate(envelopes(sound)):
        piece = np.fft.rfft(padded[128 * row :][:512] * window, 512) * envelope
        out[128 * row :][:512] += np.fft.irfft(piece)[:512] * window
    return np.asarray(0.3 * out[256:][: len(sound)] / np.abs(out).max(), np.float32)


def whispered(sound: Floats) -> Floats:
    """Breath in place of the voice."""
    return voiced_by(np.random.default_rng(3).normal(size=len(sound)), sound)


def sung(sound: Floats) -> Floats:
    """Each word held half as long again on the notes of a scale, with vibrato."""
    held = np.interp(np.arange(0, len(sound) - 1, 1 / 1.5), np.arange(len(sound)), sound)
    time = np.arange(len(held)) / RATE
    notes = np.array([196.0, 220.0, 246.9, 261.6, 293.7])[(time / 0.6).astype(int) % 5]
    pitch = notes * (1 + 0.02 * np.sin(2 * np.pi * 5.5 * time))
    pulses = np.diff(np.floor(np.cumsum(pitch) / RATE), prepend=0) > 0
    return voiced_by(pulses.astype(np.float64), np.asarray(held, np.float32))


@pytest.mark.parametrize("spoil", [whispered, sung])
def test_lips_move_where_somebody_whispers_or_sings(
    voice: Floats, spoil: Callable[[Floats], Floats]
) -> None:
    piece = voice[: 6 * RATE]
    clean, _ = predicted(piece)
    opened, spoken = predicted(spoil(piece))
    assert spoken > 0.5
    assert (opened > 0.02).mean() > 0.5 * (clean > 0.02).mean()
    assert opened.std() > 0.5 * clean.std()


def test_lips_move_where_two_speak_at_once(voice: Floats) -> None:
    piece = voice[: 6 * RATE]
    opened, spoken = predicted(np.asarray(piece + np.roll(piece, 2 * RATE), np.float32))
    assert spoken > 0.8
    assert opened.std() > 0.5 * predicted(piece)[0].std()


def test_lips_rest_through_long_applause() -> None:
    sound = np.tile(nonspeech_sound(APPLAUSE, np.random.default_rng(7), 12.0), 5)
    opened, spoken = predicted(sound)
    assert spoken <= 0.02
    assert (opened > 0.02).mean() <= 0.02


def test_a_buzz_without_words_is_no_error() -> None:
    assert np.isfinite(opening(syllables(2.0))).all()
