"""Which codec a film's pictures become, and what is said to be lost."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest

from dubkit.config.schema import GenerateSettings
from dubkit.errors import ConfigError, InputError
from dubkit.media import codecs
from dubkit.media.codecs import container_losses, encoding_for, first_line, result_codec, shortfall
from dubkit.records import Color
from tests.clips import facts


@pytest.mark.parametrize("codec", ["prores", "dnxhd", "ffv1", "hevc", "mpeg2video", "cfhd", "v210"])
def test_the_films_own_codec_is_the_default(codec: str) -> None:
    assert result_codec(replace(facts("yuv422p10le"), codec=codec), GenerateSettings()) == codec


def test_a_delivery_codec_that_cannot_be_written_becomes_h264_and_the_first_line_says_so() -> None:
    info = replace(facts(), codec="vc1")
    encoding = encoding_for(info, GenerateSettings())
    assert encoding.codec == "h264"
    assert "vc1 is not written: generate.codec=source" in first_line(
        info, encoding, GenerateSettings()
    )


def test_a_master_that_cannot_be_written_is_refused_with_the_nearest_codec() -> None:
    with pytest.raises(InputError, match="cannot write hap") as caught:
        result_codec(replace(facts("gbrp"), codec="hap"), GenerateSettings())
    assert "generate.codec=prores" in (caught.value.hint or "")


def test_depth_chroma_and_alpha_never_fall_without_a_word() -> None:
    info = replace(facts("yuv444p12le"), codec="ffv1", alpha=True)
    assert encoding_for(info, GenerateSettings()).losses == ()
    lost = encoding_for(info, GenerateSettings(codec="h264")).losses
    assert lost == ("12 bits become 10", "alpha is left out")
    lost = encoding_for(facts("yuv444p"), GenerateSettings(codec="av1")).losses
    assert lost == ("chroma 4:4:4 becomes 4:2:0",)


@pytest.mark.parametrize(
    ("profile", "marked", "quality", "kept"),
    [
        ("Constrained Baseline", "", 16, "baseline"),
        ("Main", "top", 16, "main"),
        ("Main", "", 0, None),  # without loss there is High 4:4:4 only
        ("High", "", 16, None),
    ],
)
def test_h264_keeps_a_profile_that_holds_less(
    profile: str, marked: Literal["", "top"], quality: float, kept: str | None
) -> None:
    info = replace(facts(), codec="h264", profile=profile, marked=marked)
    made = encoding_for(info, GenerateSettings(quality=quality))
    assert made.options.get("profile") == kept


def test_deep_rgb_becomes_yuv_with_a_matrix_that_says_so() -> None:
    info = facts("gbrp12le", color=Color(2, 0, 1, 1))
    encoding = encoding_for(info, GenerateSettings(codec="h264"))
    assert (encoding.pixel_format, encoding.color.matrix, encoding.color.range) == (
        "yuv444p10le",
        1,
        1,
    )
    assert encoding.losses == ("12 bits become 10", "RGB becomes YUV 4:4:4")


def test_full_range_becomes_limited_where_the_codec_holds_no_other() -> None:
    info = replace(facts("yuvj420p"), color=Color(2, 1, 1, 1))
    encoding = encoding_for(info, GenerateSettings(codec="prores"))
    assert (encoding.color.range, encoding.exact) == (1, False)
    assert encoding.losses == ("full range becomes limited range",)


def test_interlaced_pictures_keep_their_order_or_are_refused_with_a_way_out() -> None:
    info = replace(facts(), marked="top", fields="top")
    assert "tff=1" in encoding_for(info, GenerateSettings()).options["x264-params"]
    with pytest.raises(InputError, match="interlaced") as caught:
        encoding_for(info, GenerateSettings(codec="h265"))
    assert "bwdif" in (caught.value.hint or "")


def test_odd_sizes_are_refused_where_chroma_cannot_be_halved() -> None:
    with pytest.raises(InputError, match="51 x 37") as caught:
        encoding_for(facts(width=51, height=37), GenerateSettings(codec="h264"))
    assert "ffv1" in (caught.value.hint or "")
    assert encoding_for(facts("yuv444p", width=51, height=37), GenerateSettings()).losses == ()


def test_hdr_data_goes_along_in_hevc_and_is_reported_elsewhere() -> None:
    display = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    info = replace(facts("yuv420p10le"), codec="hevc", mastering=display, light="1000,400")
    options = encoding_for(info, GenerateSettings()).options["x265-params"]
    assert f"master-display={display}" in options
    assert "max-cll=1000,400" in options
    assert encoding_for(info, GenerateSettings(codec="prores")).losses == (
        "HDR mastering display and light level are left out",
    )


def test_what_pictures_carry_and_the_codec_does_not_is_reported() -> None:
    info = replace(facts(), hidden=("HDR10+", "closed captions"))
    assert encoding_for(info, GenerateSettings()).losses == ("HDR10+ in the pictures is left out",)
    lost = encoding_for(info, GenerateSettings(codec="ffv1")).losses
    assert "closed captions in the pictures are left out" in lost


def test_a_result_that_holds_less_than_promised_is_named() -> None:
    assert shortfall("yuv422p10le", facts("yuv422p")) != ""
    assert shortfall("yuv422p10le", facts("yuv420p10le")) != ""
    assert shortfall("yuv422p10le", facts("yuv444p12le")) == ""


def test_an_encoder_that_is_not_here_is_named_before_the_first_frame(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    absent = replace(codecs.CODECS["prores"], encoders=("prores_that_nobody_built",))
    monkeypatch.setattr(codecs, "CODECS", {**codecs.CODECS, "prores": absent})
    with pytest.raises(ConfigError, match="has no encoder prores_that_nobody_built") as caught:
        encoding_for(replace(facts("yuv422p10le"), codec="prores"), GenerateSettings())
    assert "another generate.codec" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("codec", "siting", "option", "suffix", "lost"),
    [
        ("h264", "topleft", "topleft", ".mp4", False),
        ("h264", "left", None, ".mp4", False),
        ("h265", "center", "center", ".mov", False),
        ("av1", "left", "left", ".webm", False),
        ("ffv1", "left", "left", ".mkv", False),
        ("ffv1", "center", "center", ".avi", True),
        ("vp9", "topleft", None, ".webm", True),
        ("vp9", "left", None, ".webm", False),
        ("prores", "topleft", None, ".mov", False),
    ],
)
def test_where_chroma_lies_is_written_or_said_to_be_lost(
    codec: str, siting: str, option: str | None, suffix: str, *, lost: bool
) -> None:
    info = replace(facts(), siting=siting)
    encoding = encoding_for(info, GenerateSettings.model_validate({"codec": codec}))
    assert encoding.options.get("chroma_sample_location") == option
    told = (f"where chroma samples lie ({siting}) is left out by {suffix}",) if lost else ()
    assert container_losses(info, encoding, suffix) == told


def test_pictures_that_state_nothing_of_chroma_lose_nothing() -> None:
    encoding = encoding_for(facts(), GenerateSettings(codec="vp9"))
    assert "chroma_sample_location" not in encoding.options
    assert container_losses(facts(), encoding, ".webm") == ()


@pytest.mark.parametrize(
    ("codec", "pixels", "near"),
    [
        ("vp9", "yuv422p10le", "h265"),
        ("prores", "yuv444p12le", "ffv1"),
        ("vp9", "gbrp12le", "ffv1"),
    ],
)
def test_where_an_encoder_holds_less_depth_the_nearest_codec_that_holds_it_is_named(
    codec: str, pixels: str, near: str
) -> None:
    info = replace(facts(pixels), codec=codec)
    told = encoding_for(info, GenerateSettings()).losses[0]
    assert told.endswith(f"(--set generate.codec={near} keeps them)")
    assert encoding_for(info, GenerateSettings(codec=near)).losses == ()
