"""The rows of the matrix: codec, container, depth, chroma, range, fields, rate, sound and streams."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.matrix.films import Row

PCM = ("-c:a", "pcm_s24le")
PRORES = [
    ("proxy", 0, "yuv422p10le"),
    ("lt", 1, "yuv422p10le"),
    ("standard", 2, "yuv422p10le"),
    ("hq", 3, "yuv422p10le"),
    ("4444", 4, "yuv444p10le"),
    ("4444 alpha", 4, "yuva444p10le"),
    ("xq", 5, "yuv444p10le"),
    ("xq alpha", 5, "yuva444p10le"),
]
TV = "interlace=scan=tff:lowpass=0,setfield=tff"
BFF = "interlace=scan=bff:lowpass=0,setfield=bff"
TAGS = ("-color_primaries", "bt709", "-color_trc", "bt709", "-colorspace", "bt709")
ILACE = ("-flags", "+ildct+ilme")
FULL_HD = (1920, 1080)


def _prores(name: str, profile: int, pixels: str, suffix: str, fast: bool = False) -> Row:
    video = ("-c:v", "prores_ks", "-profile:v", str(profile), "-pix_fmt", pixels, *TAGS)
    return Row(f"prores {name} {suffix}", suffix, video, sound=PCM, fast=fast)


def _ffv1(
    pixels: str, size: tuple[int, int] = (128, 96), fast: bool = False, full: bool = False
) -> Row:
    ranged = ("-color_range", "pc") if full else ()
    video = ("-c:v", "ffv1", "-level", "3", "-pix_fmt", pixels, *ranged)
    odd = "" if size == (128, 96) else f" {size[0]}x{size[1]}"
    name = f"ffv1 {pixels}{odd}{' full' if full else ''}"
    filters = f"scale={size[0]}:{size[1]}"
    return Row(name, ".mkv", video, size, filters=filters, sound=("-c:a", "flac"), fast=fast)


def _h264(pixels: str, suffix: str, fast: bool = False, **more: object) -> Row:
    video = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "12", "-pix_fmt", pixels)
    return Row(f"h264 {pixels} {suffix}", suffix, video, fast=fast, **more)  # type: ignore[arg-type]


def _sited(
    codec: str,
    suffix: str,
    place: str,
    encoder: str,
    *options: str,
    sound: tuple[str, ...] = ("-c:a", "aac"),
    fast: bool = False,
) -> Row:
    video = ("-c:v", encoder, *options, "-pix_fmt", "yuv420p", "-chroma_sample_location", place)
    return Row(f"{codec} chroma {place} {suffix}", suffix, video, sound=sound, fast=fast)


def _avc_intra(kind: str, pixels: str, size: tuple[int, int]) -> Row:
    coded = ("-x264-params", f"avcintra-class={kind}:keyint=1", "-preset", "ultrafast")
    video = ("-c:v", "libx264", "-pix_fmt", pixels, *coded)
    return Row(f"avc-intra {kind} {size[1]}p .mxf", ".mxf", video, size=size, sound=PCM)


X265 = "log-level=error:pools=1:frame-threads=1"
HDR = (
    f"{X265}:hdr10=1:repeat-headers=1:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:"
    "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):max-cll=1000,400"
)
PQ = ("-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc")
HLG = ("-color_primaries", "bt2020", "-color_trc", "arib-std-b67", "-colorspace", "bt2020nc")


def _hevc(pixels: str, suffix: str, params: str = X265, name: str = "", fast: bool = False) -> Row:
    tags = PQ if params is HDR else HLG if name == "hlg" else ()
    tag = ("-tag:v", "hvc1") if suffix in (".mp4", ".mov") else ()
    speed = ("-crf", "12", "-preset", "ultrafast", "-pix_fmt", pixels)
    video = ("-c:v", "libx265", *speed, "-x265-params", params, *tag, *tags)
    return Row(f"hevc {name} {pixels} {suffix}".replace("  ", " "), suffix, video, fast=fast)


def _dnx(name: str, pixels: str, suffix: str, fast: bool = False, **more: object) -> Row:
    rate = ("-b:v", "120M") if name == "120" else ("-profile:v", f"dnxhr_{name}")
    video = ("-c:v", "dnxhd", *rate, "-pix_fmt", pixels)
    size = FULL_HD if name == "120" else (256, 144)
    return Row(f"dnx {name} {suffix}", suffix, video, size, sound=PCM, fast=fast, **more)  # type: ignore[arg-type]


def _mpeg2(name: str, pixels: str, suffix: str, *options: str, **more: object) -> Row:
    video = ("-c:v", "mpeg2video", "-pix_fmt", pixels, "-q:v", "2", *options)
    sound = PCM if suffix in (".mxf", ".mov") else ("-c:a", "mp2")
    return Row(f"mpeg2 {name} {suffix}", suffix, video, sound=sound, **more)  # type: ignore[arg-type]


def _fields(name: str, suffix: str, order: str, *video: str, **more: object) -> Row:
    scan = TV if order == "top" else BFF
    sound = PCM if suffix in (".mov", ".mxf") else ("-c:a", "ac3")
    row: dict[str, object] = {"sound": sound, "filters": scan, "rate": "50", **more}
    return Row(f"{name} {order} field first {suffix}", suffix, video, **row)  # type: ignore[arg-type]


def _rate(rate: str, suffix: str) -> Row:
    video = ("-c:v", "libx264", "-crf", "14", "-bf", "3", "-pix_fmt", "yuv420p")
    return Row(f"h264 {rate} fps {suffix}", suffix, video, rate=rate)


def _plain(codec: str, pixels: str, suffix: str, *options: str, **more: object) -> Row:
    sound = PCM if suffix in (".mov", ".mxf") else ("-c:a", "pcm_s16le")
    row: dict[str, object] = {"sound": sound, **more}
    video = ("-c:v", codec, "-pix_fmt", pixels, *options)
    return Row(f"{codec} {pixels} {suffix}", suffix, video, **row)  # type: ignore[arg-type]


AAC, SMALL = ("-c:a", "aac"), ("-c:a", "pcm_s16le")
MORE: tuple[tuple[Any, ...], ...] = (
    ("mjpeg", "yuvj420p", {".mp4": AAC, ".mkv": SMALL}, "-q:v", "2"),
    ("mjpeg", "yuvj420p", {".m4v": AAC}, "-q:v", "2", "-f", "mp4"),
    ("mpeg2video", "yuv420p", {".mp4": AAC}, "-q:v", "2"),
    ("mpeg2video", "yuv420p", {".m4v": AAC}, "-q:v", "2", "-f", "mp4"),
    ("libx264", "yuv420p", {".m4v": AAC, ".avi": SMALL}),
    ("libx265", "yuv420p", {".m4v": AAC}, "-x265-params", X265, "-f", "mp4"),
    ("libsvtav1", "yuv420p", {".mkv": AAC}, "-preset", "12"),
    ("libsvtav1", "yuv420p", {".m4v": AAC}, "-preset", "12", "-f", "mp4"),
    ("libvpx-vp9", "yuv420p", {".mkv": AAC}, "-crf", "14", "-b:v", "0"),
    ("libvpx-vp9", "yuv420p", {".m4v": AAC}, "-crf", "14", "-b:v", "0", "-f", "mp4"),
    ("libvpx", "yuv420p", {".mkv": AAC}, "-b:v", "20M"),
    ("mpeg4", "yuv420p", {".m4v": AAC, ".mov": AAC, ".mkv": AAC}, "-q:v", "2"),
    ("r210", "gbrp10le", {".mov": PCM, ".mkv": PCM}),
    ("rawvideo", "uyvy422", {".mov": PCM}),
    ("rawvideo", "yuv420p", {".mkv": PCM}),
    ("v410", "yuv444p10le", {".mov": PCM, ".mkv": PCM}),
    ("cfhd", "yuv422p10le", {".mkv": PCM}),
    ("dnxhd", "yuv422p", {".mkv": PCM}, "-profile:v", "dnxhr_hq", "-s", "256x144"),
    ("huffyuv", "yuv422p", {".mkv": PCM}),
    ("jpeg2000", "yuv422p10le", {".mkv": PCM}),
    ("magicyuv", "yuv444p", {".mkv": PCM}),
    ("png", "rgb24", {".mkv": PCM, ".avi": SMALL}),
    ("ffv1", "yuv422p10le", {".avi": SMALL}),
    ("v210", "yuv422p10le", {".avi": SMALL}),
)
ROWS: tuple[Row, ...] = (
    *(_prores(*entry, ".mov", fast=entry[0] in ("hq", "4444 alpha")) for entry in PRORES),
    _prores("hq", 3, "yuv422p10le", ".mkv"),
    *(
        _ffv1(p, fast=p in ("gbrp12le", "gray"))
        for p in (
            "yuv420p",
            "yuv422p",
            "yuv444p",
            "yuv411p",
            "yuv420p10le",
            "yuv422p10le",
            "yuv444p10le",
            "yuv422p12le",
            "yuv444p12le",
            "yuv444p16le",
            "gray",
            "gray10le",
            "gray16le",
            "gbrp",
            "gbrp10le",
            "gbrp12le",
            "gbrp16le",
            "yuva420p",
            "yuva444p10le",
            "gbrap12le",
        )
    ),
    *(_ffv1(p, full=True, fast=p == "yuv420p") for p in ("yuv420p", "yuv422p10le", "yuv444p12le")),
    *(_ffv1(p, (85, 49), fast=p == "yuv420p") for p in ("yuv420p", "yuv422p", "yuv444p")),
    *(
        _h264(p, ".mp4", fast=p == "yuv420p")
        for p in ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "gray")
    ),
    *(_h264(p, ".mov") for p in ("yuv420p", "yuv422p10le", "yuv444p10le")),
    *(_h264("yuv420p", s) for s in (".mkv", ".ts")),
    *(
        Row(
            f"h264 {profile} .mp4",
            ".mp4",
            ("-c:v", "libx264", "-profile:v", profile, "-crf", "12", "-pix_fmt", "yuv420p"),
            fast=profile == "baseline",
        )
        for profile in ("baseline", "main")
    ),
    Row(
        "h264 full range .mp4",
        ".mp4",
        ("-c:v", "libx264", "-pix_fmt", "yuvj420p", "-color_range", "pc"),
    ),
    Row("h264 rgb .mkv", ".mkv", ("-c:v", "libx264rgb", "-crf", "10", "-pix_fmt", "rgb24")),
    Row(
        "h264 1080p25 10 bit 4:2:2 .mov",
        ".mov",
        (
            "-c:v",
            "libx264",
            "-pix_fmt",
            "yuv422p10le",
            "-preset",
            "ultrafast",
            "-tag:v",
            "avc1",
            "-strict",
            "-1",
        ),
        FULL_HD,
    ),
    Row(
        "h264 odd 4:4:4 .mp4",
        ".mp4",
        ("-c:v", "libx264", "-pix_fmt", "yuv444p"),
        (85, 49),
        filters="scale=85:49",
    ),
    _hevc("yuv420p", ".mp4"),
    _hevc("yuv420p10le", ".mp4", HDR, "hdr10", fast=True),
    _hevc("yuv420p10le", ".mkv", HDR, "hdr10"),
    _hevc("yuv420p10le", ".mov", X265, "hlg"),
    _hevc("yuv422p10le", ".mov"),
    _hevc("yuv422p12le", ".mp4"),
    _hevc("yuv444p12le", ".mkv"),
    _hevc("yuv420p", ".ts"),
    _dnx("lb", "yuv422p", ".mov"),
    _dnx("sq", "yuv422p", ".mov"),
    _dnx("hq", "yuv422p", ".mov"),
    _dnx("hqx", "yuv422p10le", ".mov"),
    _dnx("444", "yuv444p10le", ".mov"),
    _dnx("hqx", "yuv422p10le", ".mxf"),
    _dnx("120", "yuv422p", ".mov"),
    _dnx("120", "yuv422p", ".mxf"),
    _mpeg2("main", "yuv420p", ".ts"),
    _mpeg2("main", "yuv420p", ".mkv"),
    _mpeg2("422 intra", "yuv422p", ".mxf", "-g", "1", "-bf", "0"),
    _mpeg2("422 long gop", "yuv422p", ".mxf", "-g", "12", "-bf", "2"),
    _mpeg2("422 long gop", "yuv422p", ".mov", "-g", "12", "-bf", "2"),
    _fields(
        "prores hq",
        ".mov",
        "top",
        "-c:v",
        "prores_ks",
        "-profile:v",
        "3",
        "-flags",
        "+ildct",
        fast=True,
    ),
    _fields(
        "prores hq", ".mov", "bottom", "-c:v", "prores_ks", "-profile:v", "3", "-flags", "+ildct"
    ),
    _fields("mpeg2", ".ts", "top", "-c:v", "mpeg2video", "-q:v", "2", *ILACE),
    _fields("mpeg2", ".ts", "bottom", "-c:v", "mpeg2video", "-q:v", "2", *ILACE),
    _fields(
        "xdcam 422", ".mxf", "top", "-c:v", "mpeg2video", "-pix_fmt", "yuv422p", "-q:v", "2", *ILACE
    ),
    _fields("h264", ".ts", "top", "-c:v", "libx264", "-x264-params", "tff=1", *ILACE),
    _fields("h264", ".mp4", "top", "-c:v", "libx264", "-x264-params", "tff=1", *ILACE),
    _fields("h264", ".mov", "bottom", "-c:v", "libx264", "-x264-params", "bff=1", *ILACE),
    _fields(
        "h264 29.97",
        ".ts",
        "top",
        "-c:v",
        "libx264",
        "-x264-params",
        "tff=1",
        *ILACE,
        rate="60000/1001",
    ),
    _fields("ffv1", ".mkv", "top", "-c:v", "ffv1", "-field_order", "tt"),
    _fields("v210", ".mov", "top", "-c:v", "v210", "-field_order", "tt"),
    _fields(
        "dnx 120",
        ".mov",
        "top",
        "-c:v",
        "dnxhd",
        "-b:v",
        "120M",
        "-pix_fmt",
        "yuv422p",
        *ILACE,
        size=FULL_HD,
    ),
    Row(
        "h264 fields as frames .ts",
        ".ts",
        ("-c:v", "libx264", "-x264-params", "tff=1", *ILACE),
        rate="50",
        filters=TV,
        settings=("probe.fields=none",),
    ),
    Row(
        "telecine mpeg2 .ts",
        ".ts",
        ("-c:v", "mpeg2video", "-q:v", "2", *ILACE),
        rate="24000/1001",
        filters="telecine,setfield=tff",
        sound=("-c:a", "ac3"),
    ),
    Row(
        "hevc fields .mp4",
        ".mkv",
        ("-c:v", "libx264", "-x264-params", "tff=1", *ILACE),
        rate="50",
        filters=TV,
        settings=("generate.codec=h265",),
        refused="interlaced",
    ),
    Row(
        "fields of odd lines .mkv",
        ".mkv",
        ("-c:v", "ffv1", "-field_order", "tt"),
        (128, 98),
        rate="50",
        filters=TV,
        refused="fields cannot be separated",
    ),
    _plain("v210", "yuv422p10le", ".mov"),
    _plain("v210", "yuv422p10le", ".mkv"),
    _plain("rawvideo", "uyvy422", ".avi"),
    _plain("rawvideo", "yuv420p", ".avi"),
    _plain("png", "rgb24", ".mov"),
    _plain("png", "rgb48be", ".mov", fast=True),
    _plain("png", "rgba", ".mov"),
    _plain("qtrle", "argb", ".mov"),
    _plain("cfhd", "yuv422p10le", ".mov"),
    _plain("cfhd", "gbrp12le", ".mov"),
    _plain("cfhd", "gbrap12le", ".mov"),
    _plain("cfhd", "yuv422p10le", ".avi"),
    _plain("jpeg2000", "yuv422p10le", ".mov"),
    _plain("jpeg2000", "yuv422p10le", ".mxf"),
    _plain("jpeg2000", "rgb48le", ".mov"),
    _plain("jpeg2000", "gray16le", ".mov"),
    _plain("mjpeg", "yuvj422p", ".avi", "-q:v", "2", fast=True),
    _plain("mjpeg", "yuvj420p", ".mov", "-q:v", "2"),
    _plain("mjpeg", "yuvj444p", ".mov", "-q:v", "2"),
    _plain("huffyuv", "yuv422p", ".avi"),
    _plain("huffyuv", "rgb24", ".avi"),
    _plain("ffvhuff", "yuv420p10le", ".mkv"),
    _plain("ffvhuff", "yuv444p", ".avi"),
    _plain("utvideo", "gbrp", ".avi"),
    _plain("utvideo", "yuv422p", ".mkv"),
    _plain("magicyuv", "yuv444p", ".avi"),
    _plain("dvvideo", "yuv420p", ".mov", size=(720, 576), filters="setsar=16/15"),
    _plain("dvvideo", "yuv420p", ".avi", size=(720, 576), filters="setsar=16/15"),
    _plain("vc2", "yuv422p10le", ".mkv", refused="cannot write dirac"),
    _plain("mpeg4", "yuv420p", ".mp4", "-q:v", "2", sound=("-c:a", "aac")),
    _plain("mpeg4", "yuv420p", ".avi", "-q:v", "2"),
    _plain("wmv2", "yuv420p", ".avi", "-q:v", "2"),
    _plain("mpeg1video", "yuv420p", ".mkv", "-q:v", "2"),
    _plain("v308", "yuv444p", ".mov"),
    _plain("tiff", "rgb24", ".mov", refused="cannot write tiff"),
    _plain(
        "libvpx-vp9",
        "yuv420p",
        ".webm",
        "-crf",
        "14",
        "-b:v",
        "0",
        "-cpu-used",
        "8",
        "-deadline",
        "realtime",
        sound=("-c:a", "libopus"),
    ),
    _plain(
        "libvpx-vp9",
        "yuv422p10le",
        ".mkv",
        "-crf",
        "14",
        "-b:v",
        "0",
        "-cpu-used",
        "8",
        "-deadline",
        "realtime",
    ),
    _plain(
        "libvpx-vp9",
        "yuv444p",
        ".mp4",
        "-crf",
        "14",
        "-b:v",
        "0",
        "-cpu-used",
        "8",
        "-deadline",
        "realtime",
        sound=("-c:a", "aac"),
    ),
    _plain(
        "libvpx",
        "yuv420p",
        ".webm",
        "-crf",
        "10",
        "-b:v",
        "20M",
        "-cpu-used",
        "8",
        "-deadline",
        "realtime",
        sound=("-c:a", "libvorbis"),
    ),
    _plain(
        "libsvtav1", "yuv420p", ".webm", "-crf", "20", "-preset", "12", sound=("-c:a", "libopus")
    ),
    _plain(
        "libsvtav1", "yuv420p10le", ".mp4", "-crf", "20", "-preset", "12", sound=("-c:a", "aac")
    ),
    *(
        _rate(r, ".mp4")
        for r in ("24000/1001", "24", "30000/1001", "30", "48", "50", "60000/1001", "120")
    ),
    _rate("24000/1001", ".mkv"),
    _rate("25", ".mkv"),
    _rate("30000/1001", ".ts"),
    Row(
        "h264 pixel aspect .mp4",
        ".mp4",
        ("-c:v", "libx264", "-pix_fmt", "yuv420p"),
        filters="setsar=64/45",
    ),
    Row(
        "prores pixel aspect .mov", ".mov", ("-c:v", "prores_ks"), filters="setsar=64/45", sound=PCM
    ),
    Row(
        "mpeg2 pixel aspect .ts",
        ".ts",
        ("-c:v", "mpeg2video", "-q:v", "2"),
        (180, 144),
        filters="setsar=16/15",
        sound=("-c:a", "mp2"),
    ),
    Row(
        "h264 turned .mp4",
        ".mp4",
        ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-metadata:s:v", "rotate=90"),
    ),
    Row(
        "time code .mov",
        ".mov",
        ("-c:v", "prores_ks"),
        sound=PCM,
        more=("-timecode", "01:00:00:00"),
        fast=True,
    ),
    Row(
        "time code drop frame .mov",
        ".mov",
        ("-c:v", "libx264", "-pix_fmt", "yuv420p"),
        rate="30000/1001",
        more=("-timecode", "01:00:00;02"),
    ),
    Row(
        "time code at midnight .mov",
        ".mov",
        ("-c:v", "prores_ks"),
        sound=PCM,
        more=("-timecode", "23:59:59:22"),
    ),
    Row(
        "time code .mxf",
        ".mxf",
        ("-c:v", "mpeg2video", "-pix_fmt", "yuv422p", "-q:v", "2"),
        sound=PCM,
        more=("-timecode", "10:00:00:00"),
    ),
    Row("captions h264 .mp4", ".mp4", ("-c:v", "h264"), captions=True, fast=True),
    Row("captions h264 .ts", ".ts", ("-c:v", "h264"), captions=True),
    Row("captions mpeg2 .ts", ".ts", ("-c:v", "mpeg2video"), sound=("-c:a", "mp2"), captions=True),
    Row("hdr10+ hevc .mp4", ".mp4", ("-c:v", "hevc"), dynamic=True, fast=True),
    Row("hdr10+ hevc .mkv", ".mkv", ("-c:v", "hevc"), dynamic=True),
    Row("hdr10+ hevc .ts", ".ts", ("-c:v", "hevc"), dynamic=True),
    Row(
        "hdr10+ to av1 .mp4",
        ".mp4",
        ("-c:v", "hevc"),
        dynamic=True,
        settings=("generate.codec=av1",),
    ),
    _sited("h264", ".mp4", "topleft", "libx264", fast=True),
    _sited("h264", ".mkv", "center", "libx264"),
    _sited("h264", ".ts", "top", "libx264"),
    _sited("hevc", ".mp4", "topleft", "libx265", "-x265-params", X265, fast=True),
    _sited("hevc", ".mov", "center", "libx265", "-x265-params", X265),
    _sited("av1", ".mp4", "topleft", "libsvtav1", "-preset", "12"),
    _sited("av1", ".webm", "left", "libsvtav1", "-preset", "12", sound=("-c:a", "libopus")),
    _sited("ffv1", ".mkv", "center", "ffv1", fast=True),
    _sited("vp8", ".webm", "center", "libvpx", "-b:v", "20M", sound=("-c:a", "libvorbis")),
    _sited("vp9", ".webm", "topleft", "libvpx-vp9", "-cpu-used", "8", sound=("-c:a", "libopus")),
    _sited("ffvhuff", ".mkv", "topleft", "ffvhuff"),
    replace(
        _sited("h264", ".mp4", "topleft", "libx264"),
        name="to vp9: chroma topleft .mp4",
        settings=("generate.codec=vp9",),
    ),
    Row(
        "captions to prores .mov",
        ".mov",
        ("-c:v", "h264"),
        captions=True,
        settings=("generate.codec=prores",),
    ),
    Row(
        "to h264: prores 4444 .mov",
        ".mov",
        ("-c:v", "prores_ks", "-profile:v", "4", "-pix_fmt", "yuva444p10le"),
        sound=PCM,
        settings=("generate.codec=h264",),
    ),
    Row(
        "to h264: rgb 12 bit .mkv",
        ".mkv",
        ("-c:v", "ffv1", "-pix_fmt", "gbrp12le"),
        sound=("-c:a", "flac"),
        settings=("generate.codec=h264",),
        fast=True,
    ),
    Row(
        "to prores: rgb 16 bit .mkv",
        ".mkv",
        ("-c:v", "ffv1", "-pix_fmt", "gbrp16le"),
        sound=("-c:a", "flac"),
        settings=("generate.codec=prores",),
    ),
    Row(
        "to prores: full range .mp4",
        ".mp4",
        ("-c:v", "libx264", "-pix_fmt", "yuvj420p", "-color_range", "pc"),
        settings=("generate.codec=prores",),
        fast=True,
    ),
    Row(
        "to prores: gray .mkv",
        ".mkv",
        ("-c:v", "ffv1", "-pix_fmt", "gray"),
        sound=("-c:a", "flac"),
        settings=("generate.codec=prores",),
    ),
    Row(
        "to h264: gray .mkv",
        ".mkv",
        ("-c:v", "ffv1", "-pix_fmt", "gray"),
        sound=("-c:a", "flac"),
        settings=("generate.codec=h264",),
    ),
    Row(
        "to dnxhr: h264 .mp4",
        ".mp4",
        ("-c:v", "libx264", "-pix_fmt", "yuv420p"),
        (256, 144),
        settings=("generate.codec=dnxhr",),
    ),
    Row(
        "to cineform: rgb .mkv",
        ".mkv",
        ("-c:v", "ffv1", "-pix_fmt", "gbrp12le"),
        sound=("-c:a", "flac"),
        settings=("generate.codec=cineform",),
    ),
    Row(
        "to h264: odd 4:2:0 .mkv",
        ".mkv",
        ("-c:v", "ffv1", "-pix_fmt", "yuv420p"),
        (85, 49),
        filters="scale=85:49",
        sound=("-c:a", "flac"),
        settings=("generate.codec=h264",),
        refused="85 x 49",
    ),
    Row(
        "stereo and 5.1 .mkv",
        ".mkv",
        ("-c:v", "libx264", "-pix_fmt", "yuv420p"),
        channels=6,
        sound=("-c:a", "ac3"),
    ),
    *(
        _plain(codec, pixels, suffix, *options, sound=sound)
        for codec, pixels, places, *options in MORE
        for suffix, sound in places.items()
    ),
    *(
        Row(
            f"prores {name} .mxf",
            ".mxf",
            ("-c:v", "prores_ks", "-profile:v", name, "-pix_fmt", pixels),
            size=(1280, 720),
            sound=PCM,
            through=".mov",
        )
        for name, pixels in (("hq", "yuv422p10le"), ("lt", "yuv422p10le"), ("4444", "yuv444p10le"))
    ),
    _plain("dvvideo", "yuv420p", ".mxf", size=(720, 576), rate="25"),
    _plain(
        *("libvpx-vp9", "yuva420p", ".webm", "-crf", "14", "-b:v", "0"),
        sound=("-c:a", "libopus"),
        filters="format=yuva420p,colorchannelmixer=aa=0.5",
    ),
    _avc_intra("100", "yuv422p10le", (1920, 1080)),
    _avc_intra("100", "yuv422p10le", (1280, 720)),
    _avc_intra("50", "yuv420p10le", (1440, 1080)),
    _avc_intra("50", "yuv420p10le", (960, 720)),
    Row(
        "h264 intra 10 bit 4:2:0 .mov",
        ".mov",
        ("-c:v", "libx264", "-pix_fmt", "yuv420p10le", "-profile:v", "high10", "-g", "1"),
        size=(1920, 1080),
        sound=PCM,
    ),
    Row(
        "h264 long gop 10 bit 4:2:2 .mxf",
        ".mxf",
        ("-c:v", "libx264", "-pix_fmt", "yuv422p10le", "-g", "12", "-bf", "2"),
        size=(1280, 720),
        sound=PCM,
    ),
    *(
        Row(
            f"two video tracks {suffix}",
            suffix,
            ("-map", "0:v", "-map", "0:v", "-map", "1:a", "-c:v", "libx264", "-s:v:1", "64x48"),
            fast=suffix == ".mov",
        )
        for suffix in (".mov", ".mkv", ".ts")
    ),
    Row("pcm 5.1 .mov", ".mov", ("-c:v", "prores_ks"), channels=6, sound=PCM),
    Row("flac .mkv", ".mkv", ("-c:v", "ffv1"), channels=2, sound=("-c:a", "flac")),
)
