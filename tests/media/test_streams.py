"""Which streams go along, into which container and as what: plans only, no file is written."""

from __future__ import annotations

import pytest

from dubkit.errors import UsageError
from dubkit.media.audio import AudioInfo
from dubkit.media.streams import (
    Keep,
    Sound,
    bit_rate,
    differences,
    language_code,
    plan_dub,
    plan_streams,
)
from dubkit.records import StreamInfo


def sound(index: int, codec: str = "aac", channels: int = 2, **more: object) -> StreamInfo:
    facts = {"rate": 48000, "layout": "stereo", **more}
    return StreamInfo(index, "audio", codec, channels=channels, **facts)  # type: ignore[arg-type]


def dub(codec: str = "pcm_s24le", rate: int = 48000, channels: int = 2) -> AudioInfo:
    return AudioInfo(0, codec, rate, channels, 10.0)


@pytest.mark.parametrize(
    ("codec", "suffix", "made"),
    [
        ("pcm_s24le", ".mov", "copy"),
        ("pcm_s24le", ".mxf", "copy"),
        ("pcm_s24le", ".mp4", "aac"),
        ("pcm_s16be", ".mkv", "copy"),
        ("flac", ".mov", "pcm_s24le"),
        ("flac", ".mkv", "copy"),
        ("pcm_f32le", ".mov", "copy"),
        ("truehd", ".mov", "pcm_s24le"),
        ("aac", ".mxf", "pcm_s24le"),
        ("aac", ".webm", "libopus"),
        ("pcm_s16le", ".ts", "aac"),
    ],
)
def test_sound_stays_as_good_as_the_container_allows(codec: str, suffix: str, made: str) -> None:
    assert plan_dub(dub(codec), suffix, "auto").codec == made
    plan = plan_streams([sound(1, codec)], 0, suffix, keep="all", others=True)
    assert plan.carried[0].sound is not None
    assert plan.carried[0].sound.codec == made
    assert bool(plan.notes) == (made != "copy")


def test_moved_or_mixed_sound_keeps_its_depth_and_cannot_be_copied() -> None:
    assert plan_dub(dub(), ".mov", "auto", changed=True).codec == "pcm_s24le"
    assert plan_dub(dub("pcm_f32be"), ".mkv", "auto", changed=True).codec == "pcm_f32le"
    with pytest.raises(UsageError, match="cannot be copied"):
        plan_dub(dub(), ".mov", "copy", changed=True)


def test_rates_that_a_codec_lacks_are_lowered() -> None:
    assert plan_dub(dub(rate=192_000), ".mp4", "auto") == Sound(
        "aac", bit_rate=192_000, rate=96_000
    )
    assert plan_dub(dub(rate=44_100), ".mxf", "auto") == Sound("pcm_s24le", rate=48_000)


def test_no_lossy_track_gets_less_than_192_kilobits() -> None:
    assert [bit_rate(n) for n in (1, 2, 6, 8)] == [192_000, 192_000, 512_000, 512_000]


@pytest.mark.parametrize(("keep", "kept"), [("all", [1, 2, 3]), ("original", [2]), ("none", [])])
def test_the_main_track_is_the_original_one(keep: Keep, kept: list[int]) -> None:
    tracks = [sound(1), sound(2, purposes=("original",)), sound(3, purposes=("default",))]
    plan = plan_streams(tracks, 0, ".mkv", keep=keep, others=True)
    assert [c.index for c in plan.carried] == kept
    assert not any("default" in c.purposes for c in plan.carried)


def test_a_track_that_cannot_go_along_is_named() -> None:
    plan = plan_streams([sound(1, "pcm_s24le", 64)], 0, ".mp4", keep="all", others=True)
    assert not plan.carried
    assert "64 channels" not in plan.warnings[0] or "holds at most 8" in plan.warnings[0]
    assert "is left out" in plan.warnings[0]


@pytest.mark.parametrize(
    ("codec", "suffix", "made"),
    [
        ("subrip", ".mp4", "mov_text"),
        ("mov_text", ".mkv", "subrip"),
        ("hdmv_pgs_subtitle", ".mkv", "copy"),
        ("hdmv_pgs_subtitle", ".mp4", None),
        ("dvd_subtitle", ".mp4", "copy"),
        ("eia_608", ".mov", "copy"),
        ("eia_608", ".mkv", None),
        ("ass", ".mov", "mov_text"),
        ("dvb_teletext", ".mkv", None),
        ("webvtt", ".webm", "copy"),
    ],
)
def test_subtitles_are_kept_turned_into_text_or_named(
    codec: str, suffix: str, made: str | None
) -> None:
    stream = StreamInfo(2, "subtitle", codec, "eng")
    plan = plan_streams([stream], 0, suffix, keep="all", others=True)
    assert [c.codec for c in plan.carried] == ([made] if made else [])
    assert bool(plan.warnings) == (made is None or codec == "ass")
    if made is None:
        assert codec in plan.warnings[0]


@pytest.mark.parametrize("suffix", [".mov", ".mp4", ".mkv", ".mxf"])
def test_a_time_code_track_is_not_called_lost(suffix: str) -> None:
    streams = [StreamInfo(0, "video", "h264"), StreamInfo(1, "data", "tmcd")]
    assert not plan_streams(streams, 0, suffix, keep="all", others=True).warnings
    other = [StreamInfo(1, "data", "klv")]
    assert "klv" in plan_streams(other, 0, suffix, keep="all", others=True).warnings[0]


def test_a_container_without_languages_is_named() -> None:
    stream = StreamInfo(1, "audio", "pcm_s24le", "eng", channels=2, rate=48000)
    plan = plan_streams([stream], 0, ".mxf", keep="all", others=True)
    assert "no language" in plan.warnings[0]


def test_a_result_that_differs_from_its_plan_is_found() -> None:
    plan = plan_streams([sound(1), sound(2, "pcm_s16le")], 0, ".mp4", keep="all", others=True)
    made = [StreamInfo(0, "video", "h264"), sound(1), sound(2), sound(3)]
    assert not differences(plan, Sound("aac"), made)
    assert differences(plan, Sound("aac"), made[:3]) == ["2 sound tracks instead of 3"]
    assert differences(plan, Sound("pcm_s24le"), made) == ["the dub is aac, not pcm_s24le"]
    more = [*made, StreamInfo(4, "video", "h264")]
    assert differences(plan, Sound("aac"), more) == ["2 video tracks instead of 1"]


def test_languages_get_three_letters() -> None:
    assert [language_code(tag) for tag in ("fr", "pt-br", "ger", "cmn", "xx", None)] == [
        "fra", "por", "deu", "zho", None, None,
    ]  # fmt: skip
