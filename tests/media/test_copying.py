"""Shots in which nothing is painted keep the film's coded pictures, packet by packet."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import av
import numpy as np
import pytest

from dubkit.config.schema import Config
from dubkit.errors import OutputError
from dubkit.media.concat import Span, join_segments
from dubkit.media.copying import (
    Numbers,
    as_broken_link,
    copied_span,
    film_header,
    free_number,
    free_numbers,
    has_lengths,
    hevc_sets,
    joined_header,
    obstacles,
    parameter_sets,
    places_to_cut,
    renumbered,
    units,
    unpainted_groups,
    with_lengths,
    with_start_codes,
)
from dubkit.media.frames import FrameReader
from dubkit.media.mux import Wrapped, wrap_pictures
from dubkit.media.probe import probe
from dubkit.pipeline.job import deliver
from dubkit.records import Integers, Job
from dubkit.stages.generate import HEAD, RESULT, SEGMENT, GenerateResult
from dubkit.work.store import read_record
from tests.clips import film, tone
from tests.matrix.films import dub_stages

X264 = ("-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-sc_threshold", "0", "-crf", "12")
X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-crf", "12", "-x265-params")
CLOSED = "log-level=error:keyint=4:min-keyint=4:scenecut=0:bframes=2:b-adapt=0:open-gop=0"
OPEN = CLOSED.replace("open-gop=0", "open-gop=1").replace(
    "keyint=4:min-keyint=4", "keyint=6:min-keyint=6"
)
KINDS = {
    "h264 .mp4": (*X264, "-g", "4"),
    "h264 .mkv": (*X264, "-g", "4"),
    "h264 .ts": (*X264, "-g", "4"),
    "prores .mov": ("-c:v", "prores_ks"),
    "mjpeg .avi": ("-c:v", "mjpeg", "-q:v", "2", "-pix_fmt", "yuvj420p"),
    "hevc .mp4": (*X265, CLOSED),
    "hevc .mkv": (*X265, CLOSED),
    "hevc .ts": (*X265, CLOSED),
    "mpeg2 .ts": ("-c:v", "mpeg2video", "-g", "4", "-bf", "2", "-flags", "+cgop", "-sc_threshold", "1000000000"),
}  # fmt: skip


def dubbed(folder: Path, source: Path, copy: str = "auto", rest: int = 0) -> Path:
    """The film with a patch painted from its fifth frame on, but for the last ``rest``."""
    config = Config.model_validate({"generate": {"copy_frames": copy, "quality": 10}})
    sound = tone(folder / "dub.wav", 0.32, rate=48000)
    job = Job(source, sound, folder / f"out{source.suffix}", folder / "work")
    return dub_stages(job, config, folder, rest)


def coded(path: Path) -> Counter[str]:
    """The pictures' packets by what is coded in them, whatever headers a container puts before."""
    with av.open(str(path)) as media:
        stream = media.streams.video[0]
        codec = stream.codec_context.name
        lengths = has_lengths(stream.codec_context.extradata or b"")
        packets = [bytes(packet) for packet in media.demux(stream) if packet.size]
    if codec in ("h264", "hevc"):
        packets = [slices(packet, codec, lengths=lengths) for packet in packets]
    return Counter(sha256(packet).hexdigest() for packet in packets)


def slices(packet: bytes, codec: str, *, lengths: bool) -> bytes:
    """What is coded of a picture; whether it is called a broken link does not count."""
    found = units(packet, lengths=lengths)
    if codec == "h264":
        return b"".join(unit for unit in found if unit[0] & 31 in (1, 5))
    return b"".join(as_broken_link([unit for unit in found if unit[0] >> 1 & 63 < 32]))


@pytest.mark.parametrize("kind", KINDS)
def test_packets_of_an_untouched_shot_are_those_of_the_film(tmp_path: Path, kind: str) -> None:
    source = film(tmp_path / f"film{kind.split()[1]}", seconds=0.32, video=KINDS[kind])
    made = dubbed(tmp_path, source)
    first = tmp_path / "made-0000000-0000004"
    assert read_record(first / RESULT, GenerateResult).copied == (0, 4)
    assert not (first / SEGMENT).exists()
    assert sum((coded(source) & coded(made)).values()) == 4
    info, pts = probe(made)
    assert info.frames == 8
    originals = FrameReader(source, *probe(source)).read(0, 4)
    for mine, other in zip(originals, FrameReader(made, info, pts).read(0, 4), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(mine.planes, other.planes, strict=True))


INTERLACED = ("-c:v", "prores_ks", "-flags", "+ildct", "-vf", "setfield=tff")


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [(".mov", KINDS["prores .mov"]), (".mov", INTERLACED), (".avi", KINDS["mjpeg .avi"])],
    ids=["prores", "prores by fields", "mjpeg"],
)
def test_frames_of_a_painted_shot_that_were_not_painted_are_those_of_the_film(
    tmp_path: Path, suffix: str, codec: tuple[str, ...]
) -> None:
    source = film(tmp_path / f"film{suffix}", seconds=0.32, video=codec)
    made = dubbed(tmp_path, source, rest=2)
    assert sum((coded(source) & coded(made)).values()) == 6
    pairs = [FrameReader(p, *probe(p)).read(0, probe(p)[0].frames) for p in (source, made)]
    same = [
        all(np.array_equal(a, b) for a, b in zip(x.planes, y.planes, strict=True))
        for x, y in zip(*pairs, strict=True)
    ]
    lines = len(same) // 8
    assert same[: 4 * lines] == [True] * 4 * lines
    assert not any(same[4 * lines : 6 * lines])
    assert same[6 * lines :] == [True] * 2 * lines


GROUPED = [kind for kind in KINDS if kind.startswith(("h264", "hevc", "mpeg2"))]


@pytest.mark.parametrize("kind", GROUPED)
def test_groups_of_a_painted_shot_that_were_not_painted_are_those_of_the_film(
    tmp_path: Path, kind: str
) -> None:
    source = film(tmp_path / f"film{kind.split()[1]}", seconds=0.8, video=KINDS[kind])
    places = places_to_cut(source, probe(source)[0])
    assert places[:4].tolist() == [[0, 0], [4, 4], [8, 8], [12, 12]]
    made = dubbed(tmp_path, source, rest=9)  # of 20 frames, 4 to 10 are painted
    shot = tmp_path / "made-0000004-0000020"
    assert read_record(shot / RESULT, GenerateResult).groups == ((12, 20),)
    assert sum((coded(source) & coded(made)).values()) == 12
    pairs = [FrameReader(p, *probe(p)).read(0, 20) for p in (source, made)]
    same = [
        all(np.array_equal(a, b) for a, b in zip(x.planes, y.planes, strict=True))
        for x, y in zip(*pairs, strict=True)
    ]
    assert same[:4] + same[12:] == [True] * 12
    assert not any(same[4:11])


def both(*places: int) -> Integers:
    """Places at which what comes before ends where what comes after begins."""
    return np.array([[at, at] for at in places], np.int64)


def test_groups_that_a_shot_holds_whole_and_unpainted_are_taken() -> None:
    painted = np.zeros(17, np.bool_)
    painted[[5, 6]] = True  # of the film: 8 and 9
    clean = both(0, 4, 8, 12, 16, 24)
    assert unpainted_groups(3, painted, clean, 40) == [(4, 8), (12, 16)]
    assert unpainted_groups(3, painted, clean, 20) == [(4, 8), (12, 20)]
    assert unpainted_groups(3, ~painted, clean, 20) == []


def test_nothing_is_copied_where_that_is_switched_off(tmp_path: Path) -> None:
    source = film(tmp_path / "film.mov", seconds=0.32, video=KINDS["prores .mov"])
    dubbed(tmp_path, source, "off")
    assert (tmp_path / "made-0000000-0000004" / SEGMENT).exists()


def test_frames_before_the_first_place_to_cut_are_encoded(tmp_path: Path) -> None:
    """The second shot of three is untouched here and begins within a group."""
    assert copied_span(3, 12, both(0, 4, 8), 20) == (4, 8)
    assert copied_span(3, 20, both(0, 4, 8), 20) == (4, 20)
    assert copied_span(5, 7, both(0, 4, 8), 20) == (7, 7)
    assert HEAD != SEGMENT


@pytest.mark.parametrize(("kind", "kept"), [("mjpeg .avi", 3), ("h264 .mp4", 4)])
def test_a_group_with_a_broken_packet_is_encoded_again_and_counted(
    tmp_path: Path, kind: str, kept: int
) -> None:
    """The first shot, of four frames or (H.264) of two groups of two, has a broken one in its first group."""
    video = [*KINDS[kind][:-1], "2"] if kind.startswith("h264") else KINDS[kind]
    source = film(tmp_path / f"film{kind.split()[1]}", seconds=0.32, video=video)
    with av.open(str(source)) as media:
        packets = [(p.pos, p.size) for p in media.demux(video=0) if p.size]
    data = bytearray(source.read_bytes())
    at, size = packets[1]
    assert at is not None
    data[at + 8 : at + size] = bytes(size - 8)
    source.write_bytes(data)
    made = dubbed(tmp_path, source, rest=4)
    result = read_record(tmp_path / "made-0000000-0000004" / RESULT, GenerateResult)
    assert (result.copied, result.damaged) == (None, (1,))
    assert sum((coded(source) & coded(made)).values()) == kept + 4 - (kind[:4] == "h264") * 2
    assert probe(made)[0].frames == 8


def test_open_groups_are_no_places_to_cut(tmp_path: Path) -> None:
    tail = ("-g", "4", "-x264-params", "open-gop=1:bframes=2:b-adapt=0")
    source = film(tmp_path / "film.mp4", seconds=0.8, video=(*X264, *tail))
    info, _ = probe(source)
    assert places_to_cut(source, info).tolist() == [[0, 0]]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_open_groups_of_hevc_are_copied_but_for_the_pictures_before_their_first(
    tmp_path: Path, suffix: str
) -> None:
    source = film(tmp_path / f"film{suffix}", seconds=1.2, video=(*X265, OPEN))
    places = places_to_cut(source, probe(source)[0])
    assert places[:3].tolist() == [[0, 0], [4, 6], [10, 12]]  # two pictures need both groups
    made = dubbed(tmp_path, source, rest=21)  # of 30 frames, 4 to 8 are painted
    shot = tmp_path / "made-0000004-0000030"
    assert read_record(shot / RESULT, GenerateResult).groups == ((12, 30),)
    assert sum((coded(source) & coded(made)).values()) == 4 + 18
    pairs = [FrameReader(p, *probe(p)).read(0, 30) for p in (source, made)]
    same = [
        all(np.array_equal(a, b) for a, b in zip(x.planes, y.planes, strict=True))
        for x, y in zip(*pairs, strict=True)
    ]
    assert same[:4] + same[12:] == [True] * 22
    assert not any(same[4:9])


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_ffmpeg_decodes_all_of_a_film_of_two_encoders_from_any_place(
    tmp_path: Path, suffix: str
) -> None:
    """The system's FFmpeg, which nobody here has a hand in, says nothing, and shows every frame."""
    source = film(tmp_path / f"film{suffix}", seconds=1.2, video=(*X265, OPEN))
    made = dubbed(tmp_path, source, rest=21)
    inside = () if suffix == ".ts" else ((0.5, 17),)  # which has no index: FFmpeg begins anywhere
    for start, frames in ((0, 30), *inside):
        place = ["-ss", str(start), "-i", str(made), "-map", "0:v", "-f", "framemd5", "-"]
        argv = ["ffmpeg", "-v", "error", *place]
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        lines = [line for line in done.stdout.splitlines() if not line.startswith("#")]
        assert len(lines) in (frames, frames + 1)
        assert not done.stderr


def test_parameter_sets_of_an_encoder_get_numbers_that_the_film_leaves_free(tmp_path: Path) -> None:
    source = film(tmp_path / "film.mp4", seconds=0.32, video=KINDS["hevc .mp4"])
    header = film_header(source)
    numbers = free_numbers(header)
    assert numbers == Numbers(1, 30)
    again = free_numbers(with_start_codes(renumbered(hevc_sets(header), Numbers(3, 30))))
    assert again == Numbers(1, 29)
    both_sets = with_start_codes([*hevc_sets(header), *renumbered(hevc_sets(header), numbers)])
    assert free_numbers(both_sets) == Numbers(2, 29)
    with pytest.raises(ValueError, match="number"):
        renumbered(renumbered(hevc_sets(header), numbers), numbers)
    assert free_numbers(b"") is None


def header(*sets: bytes) -> bytes:
    return b"".join(b"\x00\x00\x00\x01" + unit for unit in sets)


def test_numbers_of_h264_are_free_where_neither_kind_of_set_has_them() -> None:
    sequence, picture, second = b"\x67\x64\x00\x0a\x80", b"\x68\x80", b"\x68\x40"
    assert free_number(with_start_codes([sequence, picture])) == 1
    assert free_number(with_start_codes([sequence, picture, second])) == 2
    assert free_number(with_start_codes([b"\x67\x64\x00\x0a\x40", second])) == 0
    assert free_number(b"") is None


@pytest.mark.parametrize("kind", ["hevc .mp4", "h264 .mp4"])
def test_a_film_whose_parameter_sets_cannot_be_told_is_named_once_with_the_reason(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = film(tmp_path / "film.mp4", video=KINDS[kind])
    info, settings = probe(source)[0], Config().generate
    assert obstacles(source, info, settings) == ()
    monkeypatch.setattr("dubkit.media.copying.film_header", lambda path: b"")
    (told,) = obstacles(source, info, settings)
    assert "parameter sets of the film are not in its header" in told
    off = settings.model_copy(update={"copy_frames": "off"})
    assert obstacles(source, info, off) == ()


def test_headers_of_film_and_encoder_are_joined_and_packets_get_lengths() -> None:
    sps, pps, other = b"\x67\x64\x00\x28\xac", b"\x68\xee", b"\x67\x64\x00\x28\x4c"
    both = joined_header(header(sps, pps), header(other, pps))
    assert parameter_sets(both) == [sps, other, pps]
    assert with_lengths(header(b"\x65abc")) == b"\x00\x00\x00\x04\x65abc"
    again = with_lengths(header(b"\x65abc", b"\x41" + b"d" * 300))
    assert units(again, lengths=True) == [b"\x65abc", b"\x41" + b"d" * 300]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 200 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a disk")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_fills_up_while_pictures_are_copied_is_named(
    tmp_path: Path, small_disk: Path
) -> None:
    source = film(tmp_path / "film.avi", size="640x360", seconds=1, video=KINDS["mjpeg .avi"])
    assert source.stat().st_size > 300_000
    info, pts = probe(source)
    whole = Span(source, info, int(pts[0]), int(pts[-1]))
    ways: dict[str, Callable[[Path], object]] = {
        "joined.mov": lambda out: join_segments([whole], pts, info.time_base, out),
        "film.avi": lambda out: deliver(source, out),
        "film.mov": lambda out: wrap_pictures([Wrapped(source, out, info, "mjpeg", {})]),
    }
    for name, write in ways.items():
        with pytest.raises(OutputError, match="the disk is full") as caught:
            write(small_disk / name)
        assert str(source) not in caught.value.message
        (small_disk / name).unlink(missing_ok=True)
        assert not list(small_disk.iterdir())
