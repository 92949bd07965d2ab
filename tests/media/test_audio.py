"""Sound from any file: mono samples, in step, clean."""

from __future__ import annotations

import wave
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from dubkit.errors import InputError
from dubkit.media import loudness
from dubkit.media.audio import (
    audio_info,
    has_center,
    load_samples,
    load_span,
    map_samples,
    parts,
    stream_samples,
)
from tests.clips import ffmpeg, film, save_wav, tone


@pytest.mark.parametrize("kind", ["wav", "flac", "mp3", "m4a", "ogg", "opus", "mkv", "ac3"])
def test_every_usual_kind_is_heard_at_its_length_and_pitch(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"dub.{kind}"
    ffmpeg("-i", tone(tmp_path / "tone.wav", 2, rate=48000), path)
    samples = load_samples(path)
    assert samples.dtype == np.float32
    assert len(samples) == pytest.approx(32000, abs=1500)
    spectrum = np.abs(np.fft.rfft(samples[8000:24000]))
    assert int(spectrum.argmax()) == pytest.approx(220, abs=2)
    assert audio_info(path).duration == pytest.approx(2, abs=0.1)


def test_channels_are_mixed_and_the_rate_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "stereo.wav"
    both = "sine=300:duration=1,aformat=channel_layouts=stereo,pan=stereo|c0=c0|c1=-1*c0"
    ffmpeg("-f", "lavfi", "-i", both, path)
    samples = load_samples(path, 8000)
    assert len(samples) == pytest.approx(8000, abs=2)
    assert np.abs(samples).max() < 0.01
    assert audio_info(path).channels == 2


def test_sound_that_begins_late_is_preceded_by_silence(tmp_path: Path) -> None:
    picture = film(tmp_path / "film.mp4", seconds=2, sound=False)
    path = tmp_path / "late.mkv"
    sound = tone(tmp_path / "tone.wav", 1)
    ffmpeg("-i", picture, "-itsoffset", "0.5", "-i", sound, "-map", "0", "-map", "1", path)
    samples = load_samples(path)
    assert np.abs(samples[:7800]).max() < 0.02
    assert np.abs(samples[8200:9000]).max() > 0.3


def test_a_hole_in_the_sound_is_silent_and_shifts_nothing(tmp_path: Path) -> None:
    path = tmp_path / "hole.mkv"
    blocks = "asetnsamples=160,aselect='not(between(t,0.4,0.6))'"
    ffmpeg("-i", tone(tmp_path / "tone.wav", 1), "-af", blocks, "-c:a", "pcm_s16le", path)
    samples = load_samples(path)
    assert len(samples) == pytest.approx(16000, abs=400)
    assert np.abs(samples[7500:8500]).max() < 0.02
    assert np.abs(samples[12000:]).max() > 0.3


def test_samples_that_are_no_numbers_become_silence(tmp_path: Path) -> None:
    raw = np.full(16000, 0.25, "<f4")
    raw[100], raw[200], raw[300] = np.nan, np.inf, 7.0
    (tmp_path / "raw").write_bytes(raw.tobytes())
    path = tmp_path / "dub.wav"
    form = ("-f", "f32le", "-ar", "16000", "-ac", "1")
    ffmpeg(*form, "-i", tmp_path / "raw", "-c:a", "pcm_f32le", path)
    samples = load_samples(path)
    assert np.isfinite(samples).all()
    assert (samples[100], samples[300]) == (0.0, 1.0)
    assert samples[1000] == pytest.approx(0.25)


def test_a_long_sound_comes_in_blocks_that_add_up(tmp_path: Path) -> None:
    path = tone(tmp_path / "tone.wav", 3)
    blocks = list(stream_samples(path))
    assert len(blocks) > 5
    assert np.array_equal(np.concatenate(blocks), load_samples(path))


def test_a_file_without_sound_is_refused(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", sound=False)
    for read in (load_samples, audio_info):
        with pytest.raises(InputError, match="has no sound"):
            read(path)


def test_an_empty_sound_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "dub.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
    with pytest.raises(InputError):
        load_samples(path)


def test_what_is_saved_is_read_back(tmp_path: Path) -> None:
    samples = np.linspace(-1, 1, 16000, dtype=np.float32)
    save_wav(tmp_path / "a.wav", samples)
    assert np.abs(load_samples(tmp_path / "a.wav") - samples).max() < 1e-4


def test_mapped_samples_are_the_same_and_leave_nothing_behind(tmp_path: Path) -> None:
    path, folder = tmp_path / "a.wav", tmp_path / "room"
    folder.mkdir()
    samples = np.sin(np.arange(50000) / 9).astype(np.float32)
    save_wav(path, samples)
    mapped = map_samples(path, folder)
    np.testing.assert_array_equal(mapped, load_samples(path))
    for size in (1, 4096, 70000):
        found = list(islice(parts(mapped, size), 20))
        np.testing.assert_array_equal(np.concatenate(found), mapped[: 20 * size])
    assert not list(folder.iterdir())


def test_a_file_of_nothing_is_refused_when_it_is_mapped(tmp_path: Path) -> None:
    save_wav(tmp_path / "a.wav", np.zeros(0, np.float32))
    with pytest.raises(InputError, match="none of it can be decoded"):
        map_samples(tmp_path / "a.wav", tmp_path)


def test_the_center_channel_of_a_dub_can_be_had_alone(tmp_path: Path) -> None:
    path = tmp_path / "surround.wav"
    center, left = "sine=frequency=300:duration=1", "sine=frequency=900:duration=1"
    graph = "[0:a][1:a]amerge=inputs=2,pan=5.1|FL=c1|FC=c0|FR=c1[a]"
    ffmpeg("-f", "lavfi", "-i", center, "-f", "lavfi", "-i", left, "-filter_complex", graph,
           "-map", "[a]", path)  # fmt: skip
    assert has_center(path)
    for wanted in (True, False):
        power = np.abs(np.fft.rfft(map_samples(path, tmp_path, center=wanted)[:16000])) ** 2
        beside = power[895:905].sum() / power[295:305].sum()
        assert beside < 1e-3 if wanted else beside > 0.05
    assert not has_center(tone(tmp_path / "mono.wav", 0.2))


def test_sound_that_changes_its_kind_in_the_middle_is_read_to_its_end(tmp_path: Path) -> None:
    pieces = []
    for name, rate, channels in (("a", 22050, 1), ("b", 44100, 2)):
        pieces.append(tmp_path / f"{name}.mp3")
        source = f"sine=440:sample_rate={rate}:duration=1"
        ffmpeg("-f", "lavfi", "-i", source, "-ac", str(channels), pieces[-1])
    path = tmp_path / "both.mp3"
    path.write_bytes(b"".join(piece.read_bytes() for piece in pieces))
    samples = load_samples(path)
    assert len(samples) / 16000 == pytest.approx(2, abs=0.2)
    loud = [float(np.abs(samples[at : at + 8000]).mean()) for at in (4000, len(samples) - 12000)]
    assert loud[1] == pytest.approx(loud[0], rel=0.1)
    window = load_span(path, 0.5, 1.9)
    assert window is not None
    assert np.abs(window[-4000:]).mean() > 0.5 * loud[0]


@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_u8", "pcm_s24le", "pcm_f32le"])
@pytest.mark.parametrize("channels", [9, 41, 64])
def test_more_channels_than_ffmpeg_knows_are_mixed(
    tmp_path: Path, channels: int, codec: str
) -> None:
    raw, path = tmp_path / "dub.raw", tmp_path / "dub.wav"
    voice = 0.8 * np.sin(np.arange(16000) * 2 * np.pi * 300 / 16000)
    samples = np.zeros((16000, channels), "<f4")
    samples[:, ::2] = voice[:, None]
    samples.tofile(raw)
    ffmpeg("-f", "f32le", "-ar", "16000", "-ac", str(channels), "-i", raw, "-c:a", codec, path)
    mixed = load_samples(path)
    assert len(mixed) == 16000
    share = (channels + 1) // 2 / channels
    assert np.abs(mixed[2000:14000] - share * voice[2000:14000]).max() < 0.02
    assert loudness.measure(path, 0) is None  # which is of channels whose places are known
