"""Reading frames: exact positions, native planes, upright pictures, repairs."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from dubkit.errors import InputError
from dubkit.media import frames as frames_module
from dubkit.media.frames import FrameReader, TwoPasses
from dubkit.media.probe import probe
from tests.clips import ffmpeg, film, timed_film

OPEN_GOP = ("-c:v", "libx264", "-bf", "3", "-g", "10", "-x264-params", "open-gop=1:bframes=3")
KINDS = {
    "h264.mp4": ("-c:v", "libx264", "-bf", "3", "-g", "12"),
    "h264.mkv": ("-c:v", "libx264", "-bf", "3", "-g", "12"),
    "h264.ts": ("-c:v", "libx264", "-bf", "3", "-g", "12"),
    "h264.avi": ("-c:v", "libx264", "-bf", "2", "-g", "12"),
    "raw.h264": ("-c:v", "libx264", "-bf", "2", "-g", "12"),
    "open.mp4": OPEN_GOP,
    "open.ts": OPEN_GOP,
    "mpeg2.ts": ("-c:v", "mpeg2video", "-bf", "2", "-g", "9"),
    "mpeg4.avi": ("-c:v", "mpeg4", "-bf", "2", "-g", "9"),
    "hevc.mp4": ("-c:v", "libx265", "-x265-params", "log-level=error:keyint=10", "-g", "10"),
    "ffv1.mkv": (
        "-c:v",
        "ffv1",
    ),
    "one_key.mp4": ("-c:v", "libx264", "-g", "999", "-sc_threshold", "0"),
    "vp8.webm": ("-c:v", "libvpx", "-auto-alt-ref", "1", "-lag-in-frames", "16", "-g", "20"),
    "av1.webm": ("-c:v", "libsvtav1", "-preset", "10", "-g", "20"),
    "vp9.webm": ("-c:v", "libvpx-vp9", "-auto-alt-ref", "1", "-deadline", "realtime"),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_frame_is_the_same_from_wherever_reading_starts(tmp_path: Path, name: str) -> None:
    path = film(tmp_path / name, seconds=2, sound=False, video=KINDS[name])
    info, pts = probe(path)
    reader = FrameReader(path, info, pts, threads=2)
    whole = [frame.planes[0].copy() for frame in reader.read(0, info.frames)]
    assert len(whole) == info.frames
    assert reader.repaired == 0
    for start in (1, 7, 11, 12, 13, 24, 25, info.frames - 1):
        frames = list(reader.read(start, min(start + 3, info.frames)))
        assert [f.index for f in frames] == list(range(start, min(start + 3, info.frames)))
        for frame in frames:
            assert frame.pts == pts[frame.index]
            assert np.array_equal(frame.planes[0], whole[frame.index]), (start, frame.index)
    assert reader.repaired == 0


@pytest.mark.parametrize("name", ["h264.mp4", "mpeg2.ts", "mpeg4.avi", "vp8.webm", "open.mp4"])
def test_as_many_frames_are_read_as_ffmpeg_decodes(tmp_path: Path, name: str) -> None:
    path = film(tmp_path / name, seconds=2, sound=False, video=KINDS[name])
    ffmpeg("-i", path, "-fps_mode", "passthrough", "-f", "rawvideo", tmp_path / "raw")
    frames = (tmp_path / "raw").stat().st_size / (96 * 64 * 1.5)
    assert probe(path)[0].frames == frames


def test_a_range_that_is_no_part_of_the_film_is_a_bug(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4")
    info, pts = probe(path)
    reader = FrameReader(path, info, pts)
    assert list(reader.read(5, 5)) == []
    with pytest.raises(ValueError, match="film of 25"):
        list(reader.read(20, 26))


FORMATS = ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p12le", "gray"]
FORMATS += ["gray10le", "gbrp", "gbrp10le", "yuv410p", "yuv411p", "yuv440p"]


@pytest.mark.parametrize("pixels", FORMATS)
def test_planes_hold_the_decoded_samples(tmp_path: Path, pixels: str) -> None:
    path = film(tmp_path / "film.mkv", size="50x38", video=("-c:v", "ffv1", "-pix_fmt", pixels))
    info, pts = probe(path)
    assert info.pixel_format == pixels
    ffmpeg("-i", path, "-f", "rawvideo", "-pix_fmt", pixels, tmp_path / "raw")
    order = (1, 2, 0) if pixels.startswith("gbrp") else (0, 1, 2)
    mine = b"".join(
        frame.planes[i].tobytes()
        for frame in FrameReader(path, info, pts).read(0, info.frames)
        for i in order[: len(frame.planes)]
    )
    assert mine == (tmp_path / "raw").read_bytes()


@pytest.mark.parametrize(
    ("packed", "planar"),
    [("rgb24", "gbrp"), ("uyvy422", "yuv422p"), ("nv12", "yuv420p"), ("bgr0", "gbrp")],
)
def test_packed_samples_are_taken_apart_without_loss(
    tmp_path: Path, packed: str, planar: str
) -> None:
    path = tmp_path / "film.nut"
    film(path, size="64x48", sound=False, video=("-c:v", "rawvideo", "-pix_fmt", packed))
    info, pts = probe(path)
    assert info.pixel_format == planar
    apart = tmp_path / "apart"
    ffmpeg("-i", path, "-f", "rawvideo", "-pix_fmt", planar, apart)
    order = (1, 2, 0) if planar == "gbrp" else (0, 1, 2)
    mine = b"".join(
        frame.planes[i].tobytes()
        for frame in FrameReader(path, info, pts).read(0, info.frames)
        for i in order
    )
    assert mine == apart.read_bytes()


def test_planes_cannot_be_written_by_mistake(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4")
    info, pts = probe(path)
    frame = next(FrameReader(path, info, pts).read(0, 1))
    with pytest.raises(ValueError, match="read-only"):
        frame.planes[0][0, 0] = 1


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_the_picture_is_as_a_player_shows_it(tmp_path: Path, degrees: int) -> None:
    plain, path = film(tmp_path / "plain.mp4", size="96x64"), tmp_path / "film.mp4"
    ffmpeg("-i", plain, "-c", "copy", "-metadata:s:v:0", f"rotate={degrees}", path)
    info, pts = probe(path)
    ffmpeg("-i", path, "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", tmp_path / "raw")
    picture = next(FrameReader(path, info, pts).read(0, 1)).picture(96)
    shown = np.fromfile(tmp_path / "raw", np.uint8).reshape(picture.shape)
    assert picture.shape == (*info.display_size[::-1], 3)
    assert np.abs(picture.astype(int) - shown).mean() < 2


def test_pictures_have_square_pixels_and_are_never_enlarged(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mkv", size="90x60", extra=("-vf", "setsar=2/1"))
    info, pts = probe(path)
    frame = next(FrameReader(path, info, pts).read(0, 1))
    assert frame.picture(90).shape == (30, 90, 3)
    assert frame.picture(4000).shape == (60, 180, 3)


def test_a_damaged_frame_repeats_the_one_before_and_is_counted(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mkv", sound=False, video=("-c:v", "libx264", "-g", "1"))
    info, pts = probe(path)
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        coded = [bytes(packet) for packet in container.demux(video=0)]
    place = content.index(coded[10])
    content[place : place + len(coded[10])] = b"\xff" * len(coded[10])
    path.write_bytes(content)
    reader = FrameReader(path, info, pts)
    frames = [(f.index, f.planes[0].copy()) for f in reader.read(8, 13)]
    assert [index for index, _ in frames] == [8, 9, 10, 11, 12]
    assert reader.repaired == 1
    assert np.array_equal(frames[2][1], frames[1][1])
    assert not np.array_equal(frames[3][1], frames[1][1])


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("threads", [1, 2])
def test_some_frames_are_the_same_as_among_all(tmp_path: Path, name: str, threads: int) -> None:
    path = film(tmp_path / name, seconds=2, sound=False, video=KINDS[name])
    info, pts = probe(path)
    whole = [f.planes[0].copy() for f in FrameReader(path, info, pts).read(0, info.frames)]
    reader = FrameReader(path, info, pts, threads=threads)
    for wanted in ([0, 5, 6, 19, 20, info.frames - 1], [3], [14, 17, 30], range(7, info.frames, 6)):
        found = {f.index: f.planes[0].copy() for f in reader.read_some(wanted)}
        assert list(found) == list(wanted)
        assert all(np.array_equal(luma, whole[index]) for index, luma in found.items())
    assert reader.damaged == []


PICTURE = 96 * 64 * 3 // 2  # bytes


@pytest.mark.parametrize("room", [0, 5, 100])
@pytest.mark.parametrize("wanted", [range(14, 40), range(14, 33), range(10, 20), (12, 39), ()])
@pytest.mark.parametrize("name", ["h264.mp4", "one_key.mp4"])
def test_two_passes_give_each_picture_twice_whatever_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, wanted: range, room: int
) -> None:
    monkeypatch.setattr(frames_module, "KEPT", room * PICTURE)
    path = film(tmp_path / name, seconds=2, sound=False, video=KINDS[name])
    info, pts = probe(path)
    whole = [f.planes[0].copy() for f in FrameReader(path, info, pts).read(0, info.frames)]
    passes = TwoPasses(path, info, pts, 10, 40)
    first = [(f.index, f.planes[0].copy()) for f in passes.first(wanted)]
    second = [(f.index, f.planes[0].copy()) for f in passes.second()]
    assert [index for index, _ in first] == list(wanted)
    assert [index for index, _ in second] == list(range(10, 40))
    assert all(np.array_equal(luma, whole[index]) for index, luma in first + second)
    assert passes.damaged == []


def test_pictures_that_were_kept_are_not_decoded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []
    read = FrameReader.read

    def counted(self: FrameReader, start: int, end: int, *some: set[int]) -> object:
        decoded.append((start, end))
        return read(self, start, end, *some)

    monkeypatch.setattr(FrameReader, "read", counted)
    monkeypatch.setattr(frames_module, "KEPT", 10 * PICTURE)
    path = film(tmp_path / "h264.mp4", seconds=2, sound=False, video=KINDS["h264.mp4"])
    info, pts = probe(path)
    passes = TwoPasses(path, info, pts, 0, 40)
    list(passes.first(range(3, 36)))
    list(passes.second())
    assert decoded == [(3, 40), (0, 30)]


@pytest.mark.parametrize("room", [0, 3, 100])
def test_what_is_damaged_is_named_once_by_two_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    monkeypatch.setattr(frames_module, "KEPT", room * PICTURE)
    path = film(tmp_path / "film.mkv", sound=False, video=("-c:v", "libx264", "-g", "1"))
    info, pts = probe(path)
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        coded = [bytes(packet) for packet in container.demux(video=0)]
    for number in (6, 13):
        place = content.index(coded[number])
        content[place : place + len(coded[number])] = b"\xff" * len(coded[number])
    path.write_bytes(content)
    passes = TwoPasses(path, info, pts, 0, 15)
    list(passes.first(range(5, 15)))
    assert [f.index for f in passes.second()] == list(range(15))
    assert passes.damaged == [6, 13]


@pytest.mark.parametrize("threads", [0, 1])
def test_a_picture_that_was_decoded_in_part_is_counted(tmp_path: Path, threads: int) -> None:
    path = film(tmp_path / "film.ts", sound=False, seconds=2, size="320x180")
    info, pts = probe(path)
    content = bytearray(path.read_bytes())
    rng = np.random.default_rng(3)
    for packet in range(len(content) // 188 * 4 // 10, len(content) // 188 * 4 // 10 + 6):
        body = slice(packet * 188 + 5, packet * 188 + 188)
        content[body] = rng.bytes(183)
    path.write_bytes(content)
    reader = FrameReader(path, info, pts, threads)
    frames = [frame.index for frame in reader.read(0, info.frames)]
    assert frames == list(range(info.frames))
    assert 0 < reader.repaired < 12
    assert sorted(set(reader.damaged)) == sorted(reader.damaged)


def test_a_film_that_shrank_since_it_was_probed_still_gives_every_frame(tmp_path: Path) -> None:
    path = film(tmp_path / "film.ts", sound=False, seconds=2)
    info, pts = probe(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 3 // 4])
    reader = FrameReader(path, info, pts)
    assert len(list(reader.read(0, info.frames))) == info.frames
    assert reader.repaired > 0
    path.write_bytes(b"")
    with pytest.raises(InputError, match="is empty"):
        list(reader.read(0, 1))


def test_frames_of_a_variable_film_carry_their_own_times(tmp_path: Path) -> None:
    times = [0, 3000, 6000, 15000, 16500, 20000, 30000, 33000, 36000]
    path = timed_film(tmp_path / "film.mp4", times, Fraction(1, 90000))
    info, pts = probe(path)
    frames = list(FrameReader(path, info, pts).read(3, 7))
    assert [(f.pts - pts[0]) * info.time_base * 90000 for f in frames] == times[3:7]
