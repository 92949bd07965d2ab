"""Which codec a film's pictures become: the film's own where FFmpeg can encode it, else the nearest, and what is lost.

Decided from the head of the film, before a frame is read; `Encoding.losses` says in words what the result will
not hold of the film.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import av
import cv2
from av.video.format import VideoFormat

from dubkit.config.schema import GenerateSettings
from dubkit.errors import ConfigError, InputError
from dubkit.media.fields import woven
from dubkit.media.planes import alpha_name, plane_format, swscale_matrix
from dubkit.records import LATER, Color, VideoInfo

os.environ.setdefault("SVT_LOG", "1")  # errors only: the AV1 encoder prints its settings otherwise

# x264 and x265 give other bytes with other thread counts, and x264 with two was seen to differ from
# run to run; shots are encoded beside one another instead
ENCODER_THREADS = 1
BIT709, BT2020, LIMITED, FULL = 1, 9, 1, 2
_CPU_AVX_512F = 13  # OpenCV's number
_QP2LAMBDA = 118
_BEST = str(2 * _QP2LAMBDA)  # quantizer 2 of the codecs of MPEG's time


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a film's pictures are encoded."""

    encoder: str  # FFmpeg's
    codec: str  # FFmpeg's name of what it makes
    pixel_format: str
    options: Mapping[str, str]
    exact: bool  # whether the encoder takes the film's samples as they are
    color: Color  # of the result
    first: str = ""  # field, of interlaced pictures
    losses: tuple[str, ...] = ()
    intra: bool = False  # every frame stands for itself

    @property
    def steady(self) -> bool:
        """Whether the encoder takes only the times of a frame rate; the film's are put in place at the end."""
        return self.codec in ("mpeg2video", "mpeg4", "dvvideo")

    @property
    def container(self) -> str:
        """Of a segment: NUT keeps any time base, but not every codec, nor color tags outside the pictures."""
        return _SEGMENTS.get(self.codec, "nut")


@dataclass(frozen=True, slots=True)
class _Codec:
    """A codec that is written."""

    encoders: tuple[str, ...]
    options: Callable[[VideoInfo, GenerateSettings], dict[str, str]] = lambda info, settings: {}
    limited: bool = False  # holds no full range
    fields: bool = False  # holds interlaced pictures
    even: bool = False  # subsampled chroma needs even sizes
    intra: bool = True
    always_tagged: bool = False  # states BT.709 where nothing is stated


def _x264(info: VideoInfo, settings: GenerateSettings) -> dict[str, str]:
    lossless = settings.quality == 0
    rate = {"qp": "0"} if lossless else {"crf": f"{settings.quality:g}"}
    fixed = f"open-gop=0:force-cfr=0:lookahead-threads=1{_x264_instructions()}"
    if info.marked:
        fixed += ":tff=1" if info.marked == "top" else ":bff=1"
    if info.mastering:
        fixed += f":mastering-display={info.mastering}"
    if info.light:
        fixed += f":cll={info.light}"
    made = {"preset": settings.speed, **rate}
    profile = _X264_PROFILES.get(info.profile) if info.codec == "h264" and not lossless else None
    if profile == "main" or (profile and not info.marked):
        made["profile"] = profile
    if info.codec == "h264" and "Intra" in info.profile and not lossless:
        fixed += ":keyint=1"
        size = woven(info)
        kind = _AVC_INTRA.get((size.width, size.height, info.pixel_format))
        if kind:
            made["avcintra-class"] = kind
            del made["crf"]
    return {**made, "x264-params": fixed}


_AVC_INTRA = {
    **dict.fromkeys(((1920, 1080, "yuv422p10le"), (1280, 720, "yuv422p10le")), "100"),
    **dict.fromkeys(((1440, 1080, "yuv420p10le"), (960, 720, "yuv420p10le")), "50"),
}
# which hold less than what x264 takes by itself
_X264_PROFILES = {"Baseline": "baseline", "Constrained Baseline": "baseline", "Main": "main"}


@cache
def _x264_instructions() -> str:
    """x264's AVX-512 code (seen in core 165) gives other bytes from run to run; AVX2 does not."""
    wide = cv2.checkHardwareSupport(_CPU_AVX_512F)
    return ":asm=AVX2" if wide else ""


def _x265(info: VideoInfo, settings: GenerateSettings) -> dict[str, str]:
    fixed = f"open-gop=0:pools={ENCODER_THREADS}:frame-threads=1:info=0:log-level=error"
    if settings.quality == 0:
        fixed += ":lossless=1"
    if info.mastering:
        fixed += f":master-display={info.mastering}:hdr10=1"
    if info.light:
        fixed += f":max-cll={info.light}"
    made = {"preset": settings.speed, "crf": f"{settings.quality:g}", "x265-params": fixed}
    return {**made, "forced-idr": "1"}


def _prores(info: VideoInfo, settings: GenerateSettings) -> dict[str, str]:
    profiles = {
        "apco": "proxy",
        "apcs": "lt",
        "apcn": "standard",
        "apch": "hq",
        "ap4h": "4444",
        "ap4x": "4444xq",
    }
    named = {
        "Proxy": "proxy",
        "LT": "lt",
        "Standard": "standard",
        "HQ": "hq",
        "4444": "4444",
        "XQ": "4444xq",
    }
    known = profiles.get(info.tag) or named.get(info.profile) if info.codec == "prores" else None
    wide = _chroma(info.pixel_format) in ("444", "RGB") or info.alpha
    return {"profile": known or ("4444" if wide else "hq"), "vendor": "apl0"}


_DNXHD_RATES = (
    *(36, 45, 60, 75, 80, 85, 90, 100, 110, 115, 120, 145, 175, 180, 185, 220, 240),
    *(290, 365, 390, 440),
)


def _dnxhd(info: VideoInfo, settings: GenerateSettings) -> dict[str, str]:
    if info.codec == "dnxhd" and info.profile.upper() == "DNXHD":
        rate = min(_DNXHD_RATES, key=lambda known: abs(known - info.bit_rate / 1e6))
        return {"profile": "dnxhd", "b": f"{rate}M"}
    if info.codec == "dnxhd" and " " in info.profile:
        return {"profile": info.profile.lower().replace(" ", "_")}
    deep = plane_format(info).depth > 8
    wide = _chroma(info.pixel_format) in ("444", "RGB")
    return {"profile": "dnxhr_444" if wide else "dnxhr_hqx" if deep else "dnxhr_hq"}


def _mpeg2(info: VideoInfo, settings: GenerateSettings) -> dict[str, str]:
    studio = "422" in info.pixel_format
    rate = int((info.bit_rate or 50_000_000) * (1 if studio else 1.5))
    made = {"b": str(rate), "maxrate": str(rate), "bufsize": str(int(rate * 0.4)), "bt": str(rate)}
    made |= {"qmin": "1", "qmax": "28"}
    if studio:  # XDCAM HD422 and IMX
        made |= {"minrate": str(rate), "intra_dc_precision": "2", "intra_vlc": "1"}
        made |= {"non_linear_quant": "1"}
    if info.intra:
        return {**made, "g": "1", "bf": "0"}
    return {**made, "g": "12", "bf": "2", "sc_threshold": "1000000000"}


def _vp9(info: VideoInfo, settings: GenerateSettings) -> dict[str, str]:
    if settings.quality == 0:
        return {"lossless": "1", "cpu-used": "5"}
    return {"crf": f"{settings.quality * 63 / 51:.0f}", "b": "0", "cpu-used": "5", "row-mt": "0"}


def _av1(info: VideoInfo, settings: GenerateSettings) -> dict[str, str]:
    return {
        "crf": f"{max(1, settings.quality * 63 / 51):.0f}",
        "preset": "9",
        "svtav1-params": "lp=1",
    }


def _fixed(**options: str) -> Callable[[VideoInfo, GenerateSettings], dict[str, str]]:
    return lambda info, settings: dict(options)


_QSCALE = _fixed(global_quality=_BEST, flags="+qscale")
_FFV1 = _fixed(level="3", coder="1", context="0", g="1", slicecrc="1")
# FFmpeg's name of a codec -> how it is written
CODECS: Mapping[str, _Codec] = {
    "h264": _Codec(("libx264", "libx264rgb"), _x264, fields=True, even=True, intra=False),
    "hevc": _Codec(("libx265",), _x265, even=True, intra=False),
    "prores": _Codec(("prores_ks",), _prores, limited=True, fields=True),
    "dnxhd": _Codec(("dnxhd",), _dnxhd, limited=True, fields=True, always_tagged=True),
    "mpeg2video": _Codec(("mpeg2video",), _mpeg2, limited=True, fields=True, intra=False),
    "jpeg2000": _Codec(("jpeg2000",), _fixed(pred="dwt53")),
    "cfhd": _Codec(("cfhd",), _fixed(quality="film3+"), limited=True, fields=True),
    "ffv1": _Codec(("ffv1",), _FFV1, fields=True),
    "ffvhuff": _Codec(("ffvhuff",)),
    "huffyuv": _Codec(("huffyuv",)),
    "utvideo": _Codec(("utvideo",)),
    "magicyuv": _Codec(("magicyuv",)),
    "v210": _Codec(("v210",), limited=True, fields=True),
    "v410": _Codec(("v410",), limited=True),
    "r210": _Codec(("r210",)),
    "rawvideo": _Codec(("rawvideo",), fields=True),
    "png": _Codec(("png",)),
    "qtrle": _Codec(("qtrle",)),
    "mjpeg": _Codec(("mjpeg",), _QSCALE),
    "dvvideo": _Codec(("dvvideo",), limited=True, fields=True),
    "mpeg4": _Codec(("mpeg4",), _QSCALE, limited=True, intra=False),
    "vp8": _Codec(("libvpx",), _fixed(crf="6", b="50M"), limited=True, intra=False),
    "vp9": _Codec(("libvpx-vp9",), _vp9, intra=False),
    "av1": _Codec(("libsvtav1",), _av1, intra=False),
}
_MASTERS = {
    *("prores", "dnxhd", "jpeg2000", "cfhd", "ffv1", "ffvhuff", "huffyuv", "utvideo", "magicyuv"),
    *("v210", "v410", "r210", "rawvideo", "png", "qtrle", "dvvideo", "dirac", "tiff", "dpx", "exr"),
    *("hap", "dxv", "apv", "v308", "v408", "vc1image", "hq_hqa", "hqx", "lagarith", "targa"),
}
_SEGMENTS = {
    **dict.fromkeys(("ffv1",), "matroska"),
    **dict.fromkeys(("prores", "dnxhd", "cfhd", "v210", "v410", "r210", "png", "qtrle"), "mov"),
    **dict.fromkeys(("jpeg2000", "dvvideo", "mjpeg"), "mov"),
    **dict.fromkeys(("vp8", "vp9", "av1"), "matroska"),
}
WANTED = {"h264": "h264", "h265": "hevc", "dnxhr": "dnxhd", "cineform": "cfhd"}


def encoders() -> dict[str, list[str]]:
    """For each codec that is written its encoders that are missing here."""
    found = {}
    for name, codec in CODECS.items():
        found[name] = [encoder for encoder in codec.encoders if not _is_there(encoder)]
    return found


def _is_there(encoder: str) -> bool:
    try:
        av.codec.Codec(encoder, "w")
    except (av.codec.codec.UnknownCodecError, av.FFmpegError):
        return False
    return True


def result_codec(info: VideoInfo, settings: GenerateSettings) -> str:
    """FFmpeg's name of the codec of the result. Raises `InputError` for a master that cannot be written again."""
    if settings.codec != "source":
        return WANTED.get(settings.codec, settings.codec)
    if info.codec in CODECS:
        return info.codec
    if info.codec in _MASTERS:
        near = "prores" if plane_format(info).depth <= 10 else "ffv1"
        raise InputError(
            f"FFmpeg cannot write {info.codec} pictures again, which this film is made of",
            hint=f"the nearest that keeps depth and chroma is --set generate.codec={near}",
        )
    return "h264"


def numbered(encoding: Encoding, number: int) -> Encoding:
    """The same with parameter sets of H.264 under another number than the film's."""
    params = f"{encoding.options['x264-params']}:sps-id={number}"
    return replace(encoding, options={**encoding.options, "x264-params": params})


def encoding_for(info: VideoInfo, settings: GenerateSettings) -> Encoding:
    """The encoder and its options. Raises `ConfigError` or `InputError` where the request cannot be met."""
    name = result_codec(info, settings)
    codec = CODECS[name]
    source = alpha_name(info.pixel_format) if info.alpha else _unmarked(info.pixel_format)
    if name == "rawvideo" and info.codec == "rawvideo":
        encoder, pixels = "rawvideo", info.coded_format
    else:
        encoder, pixels = _nearest(source, codec.encoders)
    _check(info, name, codec, pixels)
    color = _color(info, codec, pixels)
    full = plane_format(info).full_range
    matrix = _matrix_loss(info, color, pixels)
    exact = _kind(source) == _kind(pixels) and (full == (color.range == FULL) or _is_rgb(pixels))
    losses = [*_losses(source, pixels), *matrix, *_range_loss(info, codec, pixels)]
    if settings.codec == "source" and _kind(pixels)[1] < _kind(source)[1]:
        near = "ffv1" if name in _MASTERS or _is_rgb(source) or info.alpha else "h265"
        losses[0] += f" (--set generate.codec={near} keeps them)"
    losses += _hidden(info, name)
    options = codec.options(info, settings)
    if name in _SITED and "420" in pixels and info.siting not in ("", _IMPLIED.get(name)):
        options["chroma_sample_location"] = info.siting
    intra = codec.intra or options.get("g") == "1" or "keyint=1" in options.get("x264-params", "")
    first = info.marked if codec.fields else ""
    sure = exact and not matrix
    return Encoding(encoder, name, pixels, options, sure, color, first, tuple(losses), intra)


def _check(info: VideoInfo, name: str, codec: _Codec, pixels: str) -> None:
    """Raise where the codec cannot hold the film's pictures."""
    if info.marked and not codec.fields:
        raise InputError(
            f"the film is interlaced, which {name} pictures cannot be here",
            hint="--set generate.codec=h264 or prores keeps the fields; or deinterlace it first: "
            "ffmpeg -i FILM -vf bwdif=mode=send_field -c:v ffv1 -c:a copy NEW.mkv",
        )
    shape = VideoFormat(pixels, 16, 16)
    odd = (info.width % 2 and shape.chroma_width() < 16) or (
        info.height % 2 and shape.chroma_height() < 16
    )
    if odd and codec.even:
        raise InputError(
            f"{name} cannot hold pictures of {info.width} x {info.height} with {_chroma_label(pixels)} chroma",
            hint="--set generate.codec=ffv1 keeps them (in an .mkv), or =prores (in a .mov)",
        )


@cache
def _formats(encoder: str) -> tuple[str, ...]:
    try:
        return tuple(known.name for known in av.codec.Codec(encoder, "w").video_formats or ())
    except (av.codec.codec.UnknownCodecError, av.FFmpegError) as error:
        raise ConfigError(
            f"this PyAV has no encoder {encoder}",
            hint="choose another generate.codec; dubkit doctor lists the encoders",
        ) from error


def _nearest(source: str, encoders: Sequence[str]) -> tuple[str, str]:
    """The encoder and the pixel format of it that loses least, and adds least."""
    known = [(encoder, name) for encoder in encoders for name in _formats(encoder)]
    usable = [pair for pair in known if not pair[1].startswith(("pal", "mono", "yuvj", "nv"))]
    return min(usable or known, key=lambda pair: _distance(source, pair[1]))


_FINER = {"400": 0, "410": 1, "411": 2, "420": 2, "440": 3, "422": 3, "444": 4, "RGB": 4}


def _distance(source: str, name: str) -> tuple[int, ...]:
    a, b = _kind(source), _kind(name)
    finer = _FINER[b[0]] - _FINER[a[0]]
    split = a[0] != b[0] and {a[0], b[0]} in ({"411", "420"}, {"440", "422"})
    return (
        a[2] and not b[2],
        max(0, a[1] - b[1]),
        max(0, -finer) + split,
        (a[0] == "RGB") != (b[0] == "RGB"),
        max(0, b[1] - a[1]),
        max(0, finer),
        b[2] and not a[2],
        name != source,
    )


def _kind(name: str) -> tuple[str, int, bool]:
    """Chroma, depth and alpha of a format: equal ones hold the same samples."""
    known = VideoFormat(name, 16, 16)
    alpha = any(part.is_alpha for part in known.components)
    return _chroma(name), known.components[0].bits, alpha and name not in ("bgr0", "rgb0", "0rgb")


def _chroma(name: str) -> str:
    known = VideoFormat(name, 16, 16)
    if known.is_rgb:
        return "RGB"
    if len(known.components) < 3:
        return "400"
    shape = (known.chroma_width(), known.chroma_height())
    return {(16, 16): "444", (8, 16): "422", (8, 8): "420", (4, 16): "411", (16, 8): "440"}.get(
        shape, "410"
    )


def _chroma_label(name: str) -> str:
    found = _chroma(name)
    return found if found == "RGB" else "gray" if found == "400" else ":".join(found)


def _is_rgb(name: str) -> bool:
    return bool(VideoFormat(name, 16, 16).is_rgb)


def _unmarked(name: str) -> str:
    """Full range is a tag of the stream here, not of the pixel format."""
    return name.replace("yuvj", "yuv")


def _color(info: VideoInfo, codec: _Codec, pixels: str) -> Color:
    """Color tags of the result: the film's, but for what is converted."""
    color = info.color
    layout = plane_format(info)
    if _is_rgb(pixels):
        return color
    if layout.is_rgb:
        matrix = BT2020 if color.primaries == BT2020 else BIT709
        return replace(color, range=LIMITED, matrix=matrix)
    if codec.always_tagged and color.matrix not in (BIT709, BT2020):
        color = replace(color, matrix=BIT709)  # converted to it
    if layout.full_range:
        return replace(color, range=LIMITED if codec.limited else FULL)
    return color


def _range_loss(info: VideoInfo, codec: _Codec, pixels: str) -> list[str]:
    full = plane_format(info).full_range and not plane_format(info).is_rgb
    return ["full range becomes limited range"] if full and codec.limited else []


def _matrix_loss(info: VideoInfo, color: Color, pixels: str) -> list[str]:
    """Samples that become those of another matrix, since the codec states it."""
    layout = plane_format(info)
    if layout.is_rgb or _is_rgb(pixels) or color.matrix not in (BIT709, BT2020):
        return []
    own = swscale_matrix(layout)
    if own == color.matrix:
        return []
    return [
        f"colors of {_MATRICES.get(own, f'matrix {own}')} become those of {_MATRICES[color.matrix]}"
    ]


_MATRICES = {1: "BT.709", 4: "FCC", 5: "BT.601", 6: "BT.601", 7: "SMPTE 240M", 9: "BT.2020"}


def _losses(source: str, pixels: str) -> list[str]:
    a, b = _kind(source), _kind(pixels)
    found = []
    if b[1] < a[1]:
        found.append(f"{a[1]} bits become {b[1]}")
    if _FINER[b[0]] < _FINER[a[0]]:
        found.append(f"chroma {_chroma_label(source)} becomes {_chroma_label(pixels)}")
    if a[0] == "RGB" and b[0] != "RGB":
        found.append(f"RGB becomes YUV {_chroma_label(pixels)}")
    if a[2] and not b[2]:
        found.append("alpha is left out")
    return found


# which codecs can state where chroma lies, and in what: pictures, or the header of Matroska alone
_SITED_IN = {"ffv1": (".mkv",), "vp8": (".mkv", ".webm")}
_SITED = ("h264", "hevc", "av1", *_SITED_IN)
# where it lies by their standards if that is not stated
_IMPLIED = {"h264": "left", "hevc": "left", "mjpeg": "center", "dvvideo": "topleft"}


def states_siting(info: VideoInfo, encoding: Encoding, suffix: str) -> bool:
    """Whether the film states where its chroma lies, and so will the result."""
    subsampled = bool(info.siting) and "420" in encoding.pixel_format
    held = encoding.codec in _SITED and suffix in _SITED_IN.get(encoding.codec, (suffix,))
    return subsampled and held


CARRY_HDR = ("h264", "hevc")
CARRY_CAPTIONS = ("h264", "hevc", "mpeg2video")
CARRY_DYNAMIC = ("hevc",)  # HDR10+


def _hidden(info: VideoInfo, codec: str) -> list[str]:
    """What the pictures carry beside samples and the result will not."""
    lost = []
    for what in info.hidden:
        kept = what in ("closed captions", "active format") and codec in CARRY_CAPTIONS
        kept |= what == "HDR10+" and {info.codec, codec} <= {*CARRY_DYNAMIC}
        if not kept:
            where = "" if what == LATER else " in the pictures"
            lost.append(f"{what}{where} {'are' if what.endswith('s') else 'is'} left out")
    if (info.mastering or info.light) and codec not in CARRY_HDR:
        lost.append("HDR mastering display and light level are left out")
    return lost


_NAMES = {
    **{"h264": "H.264", "hevc": "HEVC", "prores": "ProRes", "dnxhd": "DNxHD", "ffv1": "FFV1"},
    **{"mpeg2video": "MPEG-2", "jpeg2000": "JPEG 2000", "cfhd": "CineForm", "rawvideo": "raw"},
    **{"vp8": "VP8", "vp9": "VP9", "av1": "AV1", "mjpeg": "MJPEG", "png": "PNG", "mpeg4": "MPEG-4"},
}


def title(codec: str, profile: str, pixels: str) -> str:
    """A codec with its pictures, for people: ``ProRes HQ 10 bit 4:2:2``."""
    _, depth, alpha = _kind(pixels)
    name = " ".join(part for part in (_NAMES.get(codec, codec), profile) if part)
    return f"{name} {depth} bit {_chroma_label(pixels)}{' with alpha' if alpha else ''}"


_TAGGING = (".mkv", ".mov", ".mp4", ".m4v")
_UNMARKED = ("mpeg4", "dnxhd")  # the mark of progressive pictures is lost on the way to Matroska
_UNTAGGED = ("rawvideo", "ffvhuff", "huffyuv", "utvideo", "magicyuv")  # segments are in NUT
_TAGGED = ("h264", "hevc", "mpeg2video", "vp9", "av1", "prores")  # color tags lie in the pictures


def keeps_tags(codec: str, suffix: str) -> bool:
    """Whether color tags of the pictures survive in a container."""
    return codec in _TAGGED or (suffix in _TAGGING and codec not in _UNTAGGED)


def keeps_progressive(codec: str, suffix: str) -> bool:
    """Whether the mark of progressive pictures survives where codec and container remain the film's."""
    return codec not in (*_UNTAGGED, *(_UNMARKED if suffix == ".mkv" else ()))


def is_gray(name: str) -> bool:
    """Whether a format holds luma only."""
    return _chroma(name) == "400"


def shortfall(promised: str, made: VideoInfo) -> str:
    """What the pictures of a result lack of the promised format; nothing where they hold as much."""
    found = alpha_name(made.pixel_format) if made.alpha else made.pixel_format
    a, b = _kind(promised), _kind(found)
    if b[1] < a[1] or _FINER[b[0]] < _FINER[a[0]] or (a[2] and not b[2]):
        return f"pictures of format {found} instead of {promised}"
    return ""


def container_losses(info: VideoInfo, encoding: Encoding, suffix: str) -> tuple[str, ...]:
    """What a container will not hold of the pictures' facts."""
    color = info.color
    told = []
    tagged = (color.matrix, color.primaries, color.transfer) != (2, 2, 2)
    if tagged and not (keeps_tags(encoding.codec, suffix) or _is_rgb(encoding.pixel_format)):
        told.append(f"color tags are left out by {suffix}")
    if (
        info.progressive
        and encoding.codec == info.codec
        and not keeps_progressive(info.codec, suffix)
    ):
        told.append(f"the mark of progressive pictures is left out by {suffix}")
    meant = info.siting in ("", _IMPLIED.get(encoding.codec, "left"))
    if not (meant or "420" not in encoding.pixel_format or states_siting(info, encoding, suffix)):
        told.append(f"where chroma samples lie ({info.siting}) is left out by {suffix}")
    if info.rotation and suffix not in (".mp4", ".m4v", ".mov"):
        told.append(f"the rotation is left out by {suffix}")
    return tuple(told)


def first_line(info: VideoInfo, encoding: Encoding, settings: GenerateSettings) -> str:
    """What the pictures are and become, why, and the option that changes it."""
    source = alpha_name(info.pixel_format) if info.alpha else info.pixel_format
    came = title(info.codec, info.profile, source)
    if settings.codec == "source" and encoding.codec == info.codec:
        why = "kept"
    elif settings.codec == "source":
        why = f"{_NAMES.get(info.codec, info.codec)} is not written"
    else:
        why = "as requested"
    goes = title(encoding.codec, encoding.options.get("profile", ""), encoding.pixel_format)
    return f"picture: {came} -> {goes} ({why}: generate.codec={settings.codec})"
