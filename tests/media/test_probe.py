"""Probing real files: facts, times, and everything that is refused."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from dubkit.config.schema import GenerateSettings
from dubkit.errors import InputError
from dubkit.media.codecs import encoding_for
from dubkit.media.frames import FrameReader
from dubkit.media.probe import constant_rate, probe
from tests.clips import ffmpeg, film, timed_film, tone


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".mov", ".avi"])
@pytest.mark.parametrize("rate", ["24000/1001", "25", "30000/1001", "50"])
def test_the_frame_rate_is_recognized_in_every_container(
    tmp_path: Path, suffix: str, rate: str
) -> None:
    info, pts = probe(film(tmp_path / f"film{suffix}", rate=rate, seconds=2))
    assert info.rate == info.average_rate == Fraction(rate)
    assert info.frames == len(pts) == round(2 * Fraction(rate))
    assert (np.diff(pts) > 0).all()
    assert info.duration == pytest.approx(2, abs=0.03)


def test_a_raw_stream_without_times_is_counted(tmp_path: Path) -> None:
    path = film(tmp_path / "film.h264", sound=False, seconds=2)
    info, pts = probe(path)
    assert not info.timed
    assert info.rate == 25
    assert pts.tolist() == list(range(50))


def test_variable_frame_times_are_read_exactly(tmp_path: Path) -> None:
    times = [0, 3000, 6000, 15000, 16500, 20000, 30000, 33000, 36000]
    info, pts = probe(timed_film(tmp_path / "film.mp4", times, Fraction(1, 90000)))
    assert info.rate is None
    assert [(p - pts[0]) * info.time_base for p in pts] == [Fraction(t, 90000) for t in times]
    assert float(info.average_rate) == pytest.approx(8 / 0.4, rel=1e-3)


def test_a_film_with_frames_left_out_is_not_constant() -> None:
    pts = np.delete(np.arange(101), 50).astype(np.int64)
    assert constant_rate(pts, Fraction(1, 25)) is None
    assert constant_rate(pts * 40, Fraction(1, 1000)) is None


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(24), Fraction(60000, 1001)])
def test_rounding_to_milliseconds_hides_no_rate_even_in_a_long_film(rate: Fraction) -> None:
    frames = np.arange(200_000)
    pts = np.rint(frames * float(1000 / rate)).astype(np.int64)
    assert constant_rate(pts, Fraction(1, 1000)) == rate


def test_the_picture_is_described_as_decoded(tmp_path: Path) -> None:
    tags = ("-vf", "setsar=16/11", "-pix_fmt", "yuv422p10le", "-colorspace", "bt709")
    path = film(tmp_path / "film.mkv", size="98x66", extra=(*tags, "-metadata", "title=x"))
    info, _ = probe(path)
    assert (info.width, info.height, info.pixel_format) == (98, 66, "yuv422p10le")
    assert info.pixel_aspect == Fraction(16, 11)
    assert info.display_size == (143, 66)
    assert info.color.matrix == 1
    assert [s.kind for s in info.streams] == ["video", "audio"]
    assert info.has_audio


def test_the_real_codec_is_named_and_not_a_decoder(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mkv", extra=("-c:a", "libmp3lame"))
    assert [s.codec for s in probe(path)[0].streams] == ["h264", "mp3"]


def test_an_edit_list_leaves_frames_out_as_a_player_does(tmp_path: Path) -> None:
    whole = film(tmp_path / "whole.mp4", seconds=2, sound=False)
    path = tmp_path / "cut.mp4"
    ffmpeg("-ss", "0.7", "-i", whole, "-c", "copy", path)
    info, pts = probe(path)
    assert info.frames < 50
    assert pts[0] * info.time_base <= Fraction(1, 25)


X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:pools=1")
SIZES = {
    ".ts": ("-c:v", "libx264", "-preset", "veryfast"),
    ".h264": ("-c:v", "libx264", "-preset", "veryfast"),
    ".hevc": X265,
    ".m2v": ("-c:v", "mpeg2video"),
    ".webm": ("-c:v", "libvpx", "-deadline", "realtime"),
    ".avi": ("-c:v", "mjpeg", "-pix_fmt", "yuvj420p"),
    ".mov": ("-c:v", "prores_ks"),
    ".mkv": ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"),
}


def joined(parts: list[Path]) -> Path:
    """Films of one codec and container, one after the other, as they are coded."""
    whole = parts[0].with_name(f"film{parts[0].suffix}")
    if whole.suffix in (".webm", ".avi", ".mov", ".mkv"):
        listed = whole.with_name("list.txt")
        listed.write_text("".join(f"file {part.name}\n" for part in parts))
        ffmpeg("-f", "concat", "-i", listed, "-c", "copy", whole)
    else:
        whole.write_bytes(b"".join(part.read_bytes() for part in parts))
    return whole


@pytest.mark.parametrize("suffix", SIZES)
def test_a_size_that_changes_in_the_middle_is_refused_without_decoding_the_film(
    tmp_path: Path, suffix: str
) -> None:
    parts = [tmp_path / f"{size}{suffix}" for size in ("128x96", "96x64")]
    for number, part in enumerate(parts):
        film(part, size=part.stem, sound=False, video=SIZES[suffix],
             extra=("-output_ts_offset", str(number)))  # fmt: skip
    whole = joined(parts)
    with pytest.raises(InputError, match="from 128 x 96 to 96 x 64 in the middle") as caught:
        probe(whole)
    assert "scale=128:96" in str(caught.value.hint)


FORMATS = {
    ".ts": ("yuv422p", "-c:v", "libx264", "-preset", "veryfast"),
    ".h264": ("yuv420p10le", "-c:v", "libx264", "-preset", "veryfast"),
    ".hevc": ("yuv444p", *X265),
    ".m2v": ("yuv422p", "-c:v", "mpeg2video"),
    ".avi": ("yuv444p", "-c:v", "mjpeg", "-strict", "unofficial"),
    ".mov": ("yuv444p10le", "-c:v", "prores_ks"),
    ".mkv": ("rgb24", "-c:v", "png"),
    ".webm": ("yuv444p", "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"),
}
FIRST = {".mkv": "gray", ".mov": "yuv422p10le"}  # else yuv420p


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_pixel_format_that_changes_in_the_middle_is_refused_without_decoding_the_film(
    tmp_path: Path, suffix: str
) -> None:
    later, *video = FORMATS[suffix]
    first = FIRST.get(suffix, "yuv420p")
    parts = [tmp_path / f"{pixels}{suffix}" for pixels in (first, later)]
    for number, part in enumerate(parts):
        film(part, seconds=2, sound=False, video=video,
             extra=("-pix_fmt", part.stem, "-output_ts_offset", str(2 * number)))  # fmt: skip
    whole = joined(parts)
    with pytest.raises(InputError, match=f"from format {first}.* to .* in the middle") as caught:
        probe(whole)
    assert f"-pix_fmt {first}" in str(caught.value.hint)


SITED = {
    "h264.mp4": ("-c:v", "libx264"),
    "h264.ts": ("-c:v", "libx264"),
    "hevc.mkv": X265,
    "ffv1.mkv": ("-c:v", "ffv1"),
    "av1.mp4": ("-c:v", "libsvtav1", "-preset", "12"),
}


@pytest.mark.parametrize("name", SITED)
def test_where_chroma_lies_is_known_as_it_is_stated(tmp_path: Path, name: str) -> None:
    stated = ("-pix_fmt", "yuv420p", "-chroma_sample_location", "topleft")
    sited = film(tmp_path / name, seconds=0.2, sound=False, video=SITED[name], extra=stated)
    assert probe(sited)[0].siting == "topleft"
    plain = film(tmp_path / f"plain-{name}", seconds=0.2, sound=False, video=SITED[name],
                 extra=("-pix_fmt", "yuv420p"))  # fmt: skip
    assert probe(plain)[0].siting == ("left" if name[0] == "h" else "")


def test_where_chroma_lies_is_known_of_codecs_that_matroska_does_not_hold(tmp_path: Path) -> None:
    path = film(tmp_path / "film.avi", seconds=0.2, sound=False, video=("-c:v", "rawvideo"))
    assert probe(path)[0].siting == ""


@pytest.mark.parametrize(("default", "taken"), [("0", 1), ("1", 1), ("2", 2), ("", 1)])
def test_of_several_video_tracks_the_default_one_is_the_film_or_the_largest(
    tmp_path: Path, default: str, taken: int
) -> None:
    plain, path = film(tmp_path / "plain.mkv", sound=False), tmp_path / "film.mkv"
    maps = ("-map", "0:v", "-map", "0:v", "-map", "0:v", "-s:v:0", "48x32", "-s:v:2", "64x48")
    chosen = [f"-disposition:v:{default}", "default"] if default else []
    flags = [x for n in "012" if n != default for x in (f"-disposition:v:{n}", "0")]
    ffmpeg("-i", plain, *maps, "-c:v", "libx264", *flags, *chosen, "-default_mode", "passthrough",
           path)  # fmt: skip
    assert probe(path)[0].video_stream == (0 if default == "0" else taken)


def test_cover_art_is_not_a_film(tmp_path: Path) -> None:
    picture = tmp_path / "cover.png"
    ffmpeg("-f", "lavfi", "-i", "color=red:size=32x32", "-frames:v", "1", picture)
    song = tmp_path / "song.mp3"
    maps = ("-map", "0", "-map", "1", "-disposition:v", "attached_pic")
    ffmpeg("-i", tone(tmp_path / "tone.wav", 1), "-i", picture, *maps, song)
    with pytest.raises(InputError, match=r"no moving pictures.*cover art"):
        probe(song)


def test_the_film_beside_cover_art_is_found(tmp_path: Path) -> None:
    picture = tmp_path / "cover.png"
    ffmpeg("-f", "lavfi", "-i", "color=red:size=32x32", "-frames:v", "1", picture)
    plain, path = film(tmp_path / "plain.mp4"), tmp_path / "film.mp4"
    maps = ("-map", "1:v", "-map", "0:v", "-map", "0:a", "-c", "copy", "-disposition:v:0")
    ffmpeg("-i", plain, "-i", picture, *maps, "attached_pic", path)
    info, _ = probe(path)
    assert (info.width, info.codec) == (96, "h264")
    assert [s.kind for s in info.streams].count("video") == 1


NAMES = [
    "with space.mp4",
    'it\'s "quoted".mp4',
    "-dash.mp4",
    "frame%03d.mp4",
    "日本語 ünïcode.mp4",
    "new\nline.mp4",
    "a:b.mp4",
    "a;b&c|d$(e).mp4",
]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_that_the_system_takes_works(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    film(tmp_path / name)
    assert probe(tmp_path / name)[0].frames == 25
    monkeypatch.chdir(tmp_path)
    assert probe(Path(name))[0].frames == 25


def test_tags_in_an_old_encoding_do_no_harm(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mkv", extra=("-metadata", "title=caf" + "Q" * 8))
    path.write_bytes(path.read_bytes().replace(b"Q" * 8, b"\xe9\xff\xe9\xe9\xe9\xe9\xe9\xe9"))
    assert probe(path)[0].frames == 25


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        probe(tmp_path / "nothing.mp4")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        probe(tmp_path)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.touch()
    with pytest.raises(InputError, match="is empty"):
        probe(path)


@pytest.mark.parametrize("content", [b"hello, this is a letter\n" * 50, bytes(5000), b"\x89PNG"])
def test_a_file_that_is_no_media_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"not a media file|still picture"):
        probe(path)


def test_a_playlist_is_refused_and_nothing_in_it_is_opened(tmp_path: Path) -> None:
    film(tmp_path / "real.ts")
    for name, text in (
        ("list.m3u8", "#EXTM3U\n#EXTINF:1,\nreal.ts\n#EXT-X-ENDLIST\n"),
        ("list.txt", "ffconcat version 1.0\nfile real.ts\n"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match="playlist"):
            probe(tmp_path / name)


def test_a_still_picture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "still.png"
    ffmpeg("-f", "lavfi", "-i", "color=red:size=32x32", "-frames:v", "1", path)
    with pytest.raises(InputError):
        probe(path)


def test_sound_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no moving pictures: it holds only audio"):
        probe(tone(tmp_path / "tone.wav", 1))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("front", [True, False])
def test_a_truncated_film_is_refused(tmp_path: Path, suffix: str, front: bool) -> None:
    extra = ("-movflags", "+faststart") if front and suffix == ".mp4" else ()
    path = film(tmp_path / f"film{suffix}", seconds=4, extra=extra)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="truncated"):
        probe(path)


def test_pictures_with_transparency_are_read_as_colors_with_alpha_beside_them(
    tmp_path: Path,
) -> None:
    video = ("-c:v", "ffv1", "-pix_fmt", "yuva420p")
    path = film(tmp_path / "film.mkv", video=video)
    info, pts = probe(path)
    assert (info.pixel_format, info.alpha) == ("yuv420p", True)
    frame = next(FrameReader(path, info, pts).read(0, 1))
    assert len(frame.planes) == 3
    assert frame.extras.alpha is not None
    assert frame.extras.alpha.shape == frame.planes[0].shape


def test_pictures_of_floating_point_are_refused_with_a_way_out(tmp_path: Path) -> None:
    path = film(tmp_path / "film.nut", video=("-c:v", "rawvideo", "-pix_fmt", "gbrpf32le"))
    with pytest.raises(InputError) as caught:
        probe(path)
    assert caught.value.hint


def test_alpha_in_a_layer_of_its_own_is_named_as_lost(tmp_path: Path) -> None:
    alpha = ("-vf", "format=yuva420p", "-c:v", "libvpx-vp9", "-deadline", "realtime")
    path = film(tmp_path / "film.webm", seconds=0.2, sound=False, video=alpha)
    info, _ = probe(path)
    assert info.hidden == ("a layer of alpha",)
    told = encoding_for(info, GenerateSettings()).losses
    assert told == ("a layer of alpha in the pictures is left out",)
