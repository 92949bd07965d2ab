"""Media containers: open them through PyAV (local files only, of known kinds), and what each can hold when written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import av
import av.logging
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from dubkit.errors import InputError, UsageError

# Demuxers that read one file and nothing else: no playlist, image sequence, device or script.
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpegtsraw,mpeg,mpegvideo,nut,flv,live_flv,asf,"
    "mxf,mxf_opatom,ogg,h264,hevc,vvc,av1,obu,ivf,m4v,vc1,vc1test,dv,gxf,rm,wtv,yuv4mpegpipe,gif,apng,"
    "mjpeg,dnxhd,swf,nuv,bink,smk,roq,r3d,dirac,cavsvideo,avs,avs2,avs3,ty,pva,"
    "wav,w64,mp3,flac,aac,ac3,eac3,aiff,caf,au,amr,amrnb,amrwb,ape,wv,tta,tak,dts,dtshd,truehd,mlp,"
    "voc,sox,mpc,mpc8,gsm,loas"
)
# FFmpeg's decoders write hundreds of lines about a damaged file to stderr, past every log of dubkit; damaged pictures
# are counted and reported by the readers
av.logging.set_libav_level(av.logging.PANIC)
MOST_PIXELS = 2**28  # of one picture: no decoder makes room for more
# what a file in a folder of films is called
FILMS = frozenset((
    ".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".m2ts", ".mts",
    ".mxf", ".nut", ".ogv",
))  # fmt: skip
SOUNDS = frozenset((
    ".wav", ".flac", ".mp3", ".m4a", ".aac", ".ac3", ".eac3", ".ogg", ".opus", ".aiff", ".aif",
    ".mka", ".w64",
))  # fmt: skip
# what a film can be written into, and FFmpeg's names of the pictures that each holds
_ISO = {"h264", "hevc", "mpeg4", "av1", "vp9", "mpeg2video", "mjpeg"}
_STUDIO = {"prores", "dnxhd", "cfhd", "jpeg2000", "v210", "v410", "r210", "png", "qtrle", "dvvideo"}
_FOURCC = {"ffv1", "ffvhuff", "huffyuv", "utvideo", "magicyuv", "rawvideo", "v210", "cfhd", "png"}
HOLDS: Mapping[str, frozenset[str]] = {
    ".mp4": frozenset(_ISO),
    ".m4v": frozenset(_ISO),
    ".mov": frozenset((_ISO - {"av1", "vp9"}) | _STUDIO | {"rawvideo"}),
    ".mkv": frozenset(_ISO | _STUDIO | _FOURCC | {"vp8"}),
    ".mxf": frozenset({"mpeg2video", "dnxhd", "prores", "jpeg2000", "dvvideo", "h264"}),
    ".ts": frozenset({"h264", "hevc", "mpeg2video"}),
    ".avi": frozenset(_FOURCC | {"mjpeg", "mpeg4", "dvvideo", "h264"}),
    ".webm": frozenset({"vp8", "vp9", "av1"}),
}
_SAME = {".m2ts": ".ts", ".mts": ".ts", ".qt": ".mov"}  # films of these are written as those
CONTAINERS = tuple(HOLDS)
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+")
_PLAYLIST_SIGNATURES = (b"#EXTM3U", b"ffconcat", b"<?xml", b"[playlist]", b"<MPD", b"v=0")
_STILL_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"II*\0", b"MM\0*", b"BM")
LAYOUTS = {
    1: "mono",
    2: "stereo",
    3: "2.1",
    4: "quad",
    5: "5.0",
    6: "5.1",
    7: "6.1",
    8: "7.1",
}  # where none is stated
AnyStream = TypeVar("AnyStream", bound=Stream)
Shape = tuple[int, int, str]  # width, height and pixel format of a picture
_NOT_MOVING = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails


def local_path(path: Path | str) -> Path:
    """The absolute path of a file of this machine. Raises `InputError` for an address or a name that is no text."""
    found = Path(path).expanduser().absolute()
    try:
        str(found).encode()
    except UnicodeEncodeError:  # records of a run are JSON, which cannot hold it
        raise InputError(
            f"the name of {found} is not text in UTF-8", hint="rename the file, or its folder"
        ) from None
    try:
        there = found.exists()
    except (OSError, ValueError) as error:  # too long, or with a zero in it
        why = getattr(error, "strerror", None) or error
        raise InputError(f"{found} cannot be the name of a file: {why}") from error
    address = _ADDRESS.match(str(path))
    if address and not there:
        whole = f"{address[1]}://{str(path)[address.end() :]}"  # a Path has lost a slash
        raise InputError(
            f"{whole} is an address, and dubkit reads local files only",
            hint="download it first",
        )
    return found


@contextmanager
def open_media(path: Path) -> Iterator[InputContainer]:
    """Open a media file for reading; raises `InputError` with the reason where it cannot be."""
    container = _open(path)
    try:
        yield container
    finally:
        container.close()


def _open(path: Path) -> InputContainer:
    _check_file(path)
    options: dict[str, Any] = {
        "container_options": {"format_whitelist": FORMATS, "protocol_whitelist": "file"},
        "options": {"max_pixels": str(MOST_PIXELS)},  # of decoders that look into the streams
    }
    try:
        try:
            container: InputContainer = av.open(f"file:{path}", **options)
        except UnicodeDecodeError:
            # tags in an old encoding; PyAV 19 replaces such letters by itself
            container = av.open(f"file:{path}", **options, metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise InputError(_refusal(path, error)) from error
    for stream in container.streams.video:
        if stream.codec_context is not None:
            stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
    return container


def _check_file(path: Path) -> None:
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder, not a media file")
        if not path.exists():
            raise InputError(
                f"{path} does not exist", hint="check the spelling; a name with spaces needs quotes"
            )
        if path.is_file() and path.stat().st_size == 0:
            raise InputError(f"{path} is empty")
        with path.open("rb"):
            pass
    except PermissionError as error:
        raise InputError(f"{path} is not readable", hint="check its permissions") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def _refusal(path: Path, error: Exception) -> str:
    with path.open("rb") as file:
        head = file.read(64).lstrip(b"\xef\xbb\xbf \r\n")
    if head.startswith(_PLAYLIST_SIGNATURES):
        return f"{path} is a playlist or manifest, not a media file"
    if head.startswith(_STILL_SIGNATURES) or head[8:12] == b"WEBP":
        return f"{path} is a still picture, not a film or a sound"
    if head[4:8] in (b"ftyp", b"mdat", b"moov", b"wide", b"free"):
        return f"{path} is truncated or damaged: its index cannot be read"
    if isinstance(
        error, av.InvalidDataError | av.ArgumentError
    ):  # text is taken for a format it is not
        return f"{path} is not a media file, or it is damaged at its start"
    return f"{path} cannot be opened: {getattr(error, 'strerror', None) or error}"


def layout_of(channels: int, stated: str) -> str | None:
    """FFmpeg's name of where ``channels`` are, taken from their number where none is ``stated``; None: nobody knows.

    Its filters do not mix channels of which nobody knows it.
    """
    return LAYOUTS.get(channels) if "channels" in stated else stated


def packets(
    container: InputContainer, *streams: AnyStream, later: list[bool] | None = None
) -> Iterator[Packet[AnyStream]]:
    """The packets of all ``streams``, none for all of the file's, with an empty one at the end of each.

    Those of a stream that begins in the middle of the file are passed over, as FFmpeg does; ``later`` then becomes
    [True]. Raises av.FFmpegError where the file is damaged.
    """
    while True:
        try:
            yield from cast("Iterator[Packet[AnyStream]]", container.demux(*streams))
            return
        except IndexError:  # PyAV knows no streams but those that it found when it opened the file
            if later is not None:
                later[:] = [True]


def film_stream(container: InputContainer) -> VideoStream | None:
    """The stream of moving pictures that players show: the default one, the largest of several.

    Cover art and thumbnails are none.
    """
    moving = [s for s in container.streams.video if not s.disposition & _NOT_MOVING]
    default = [s for s in moving if s.disposition & av.stream.Disposition.default]
    return max(default or moving, key=_pixels, default=None)


def _pixels(stream: VideoStream) -> int:
    context = stream.codec_context
    return 0 if context is None else context.width * context.height


def refuse_other(path: Path, first: Shape, later: Shape) -> None:
    """Raise InputError where a later picture of a film has another size or pixel format than its first."""
    if later[:2] != first[:2]:
        width, height = first[:2]
        raise InputError(
            f"{path} changes its pictures from {width} x {height} to {later[0]} x {later[1]} in the middle",
            hint=f"make them one size first: ffmpeg -i FILM -vf scale={width}:{height} -c:v ffv1 -c:a copy NEW.mkv",
        )
    before, after = (name.replace("yuvj", "yuv") for name in (first[2], later[2]))
    if before != after:
        raise InputError(
            f"{path} changes its pictures from format {before} to {after} in the middle",
            hint=f"make them one format first: ffmpeg -i FILM -pix_fmt {before} -c:v ffv1 -c:a copy NEW.mkv",
        )


def can_hold(suffix: str, codec: str) -> bool:
    """Whether a film can be written with this suffix and hold pictures of ``codec``, by FFmpeg's name."""
    return codec in HOLDS.get(suffix.lower(), ())


def result_suffix(video: Path, codec: str) -> str:
    """The suffix of a film's result: the film's own where that container holds ``codec``, else the first that does."""
    own = video.suffix.lower()
    likely = (_SAME.get(own, own), *CONTAINERS)
    found = next(suffix for suffix in likely if can_hold(suffix, codec))
    return video.suffix if found == own else found


def check_delivery(output: Path, codec: str) -> str:
    """The suffix of a result, in lower case. Raises `UsageError` where it cannot hold ``codec`` pictures."""
    suffix = output.suffix.lower()
    if suffix not in CONTAINERS:
        known = ", ".join(CONTAINERS)
        raise UsageError(f"a film cannot be written as {output.name}", hint=f"use one of {known}")
    if not can_hold(suffix, codec):
        held = ", ".join(known for known in CONTAINERS if can_hold(known, codec))
        raise UsageError(
            f"{codec} pictures cannot go into {suffix}",
            hint=f"write {held}, or choose another codec with --set generate.codec=h264",
        )
    return suffix
