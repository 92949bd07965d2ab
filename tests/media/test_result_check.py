"""A result that differs from what was promised is named for what differs, and an honest one passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dubkit.config.schema import Config, GenerateSettings
from dubkit.errors import OutputError
from dubkit.media import result_check
from dubkit.media.captions import Extras
from dubkit.media.probe import probe
from dubkit.media.result_check import Promise
from dubkit.media.writer import FrameWriter
from dubkit.records import Job
from tests.clips import ffmpeg, film, hdr10_plus, noise, tone
from tests.matrix.films import dub_stages

TRIPLETS = bytes([0xFC, 0x94, 0x20, 0xFD, 0x80, 0x80])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Promise]:
    """An honest result of a film with a time code, and what was promised of it."""
    folder = tmp_path_factory.mktemp("result")
    video = ("-c:v", "libx264", "-g", "4", "-crf", "12", "-pix_fmt", "yuv420p")
    tags = ("-color_primaries", "bt709", "-color_trc", "bt709", "-colorspace", "bt709")
    source = film(
        folder / "film.mov", seconds=0.32, video=video,
        extra=(*tags, "-timecode", "01:00:00:00", "-metadata:s:a:0", "language=fra"),
    )  # fmt: skip
    sound = tone(folder / "dub.wav", 0.32, rate=48000)
    job = Job(source, sound, folder / "out.mov", folder / "work")
    promises: list[Promise] = []
    check = result_check.check_result

    def seen(path: Path, promise: Promise) -> float:
        promises.append(promise)
        return check(path, promise)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(result_check, "check_result", seen)
        config = Config.model_validate({"generate": {"quality": 10}})
        return dub_stages(job, config, folder), promises[0]


CODE = ("-c:v", "libx264", "-crf", "8")
ALL = ("-map", "0:v", "-map", "0:a", "-c", "copy")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ((*ALL, *CODE, "-vf", "hue=h=60"), "differs from the source where nothing was painted"),
        ((*ALL, *CODE, "-frames:v", "7"), "7 frames instead of 8"),
        ((*ALL, *CODE, "-vf", "scale=94:64"), "size (94, 64) instead of (96, 64)"),
        ((*ALL, "-c:v", "mpeg4", "-q:v", "1"), "codec mpeg4 instead of h264"),
        ((*ALL, *CODE, "-pix_fmt", "yuvj420p"), "full range True instead of False"),
        ((*ALL, *CODE, "-colorspace", "smpte170m"), "color tags"),
        (
            (*ALL, *CODE, "-chroma_sample_location", "topleft"),
            "place of chroma samples topleft instead of left",
        ),
        ((*ALL, *CODE, "-vf", "setsar=2"), "pixel aspect 2 instead of 1"),
        (("-map", "0:v", "-map", "0:a:0", "-c", "copy"), "sound"),
        ((*ALL, "-timecode", "02:00:00:00"), "time code 02:00:00:00 instead of 01:00:00:00"),
    ],
    ids=[
        "colors",
        "frames",
        "size",
        "codec",
        "range",
        "tags",
        "chroma",
        "shape",
        "tracks",
        "time code",
    ],
)
def test_what_differs_is_named(
    made: tuple[Path, Promise], tmp_path: Path, change: Sequence[str], named: str
) -> None:
    honest, promise = made
    other = tmp_path / "other.mov"
    ffmpeg("-i", honest, *change, other)
    with pytest.raises(OutputError, match="the result is not as promised") as found:
        result_check.check_result(other, promise)
    assert named in str(found.value)


def test_an_honest_result_passes(made: tuple[Path, Promise]) -> None:
    honest, promise = made
    assert result_check.check_result(honest, promise) == pytest.approx(0.32)


def test_captions_that_are_gone_are_counted(made: tuple[Path, Promise], tmp_path: Path) -> None:
    honest, promise = made
    source = tmp_path / "captioned.mov"
    with FrameWriter(source, promise.info, GenerateSettings()) as writer:
        for pts, planes in enumerate(noise(promise.info, 8)):
            writer.write(planes, pts, Extras(None, TRIPLETS if pts != 3 else b""))
    info, _ = probe(source)
    captioned = replace(promise, source=source, info=replace(promise.info, hidden=info.hidden))
    with pytest.raises(OutputError, match="closed captions in 0 frames instead of 7"):
        result_check.check_result(honest, captioned)


def test_hdr10_plus_that_is_gone_is_counted(made: tuple[Path, Promise], tmp_path: Path) -> None:
    honest, promise = made
    source, info = tmp_path / "described.mov", replace(promise.info, codec="hevc")
    with FrameWriter(source, info, GenerateSettings()) as writer:
        for pts, planes in enumerate(noise(info, 8)):
            writer.write(planes, pts, Extras(dynamic=b"" if pts == 3 else hdr10_plus()))
    described = replace(info, hidden=probe(source)[0].hidden)
    encoding = replace(promise.encoding, codec="hevc")
    wanted = replace(promise, source=source, info=described, encoding=encoding)
    with pytest.raises(OutputError, match=r"HDR10\+ in 0 frames instead of 7"):
        result_check.check_result(honest, wanted)
