"""Which streams go into the result, and as what: planned from the facts of the film, before its first frame is read.

The pictures come first, then the dub, the film's own sound tracks, subtitles, cover art, attachments and data.
Nothing is left out or converted without a sentence that names it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from dubkit.errors import UsageError
from dubkit.records import StreamInfo

if TYPE_CHECKING:
    from dubkit.media.audio import AudioInfo

Keep = Literal["all", "original", "none"]
ISO = (".mp4", ".m4v", ".mov")
LEAST_BIT_RATE = 192_000
_BIT_RATE, _MOST_BIT_RATE = 96_000, 512_000  # of AAC and its like: a channel, a track
_MOST_LOSSY = 8  # channels
_LITTLE = frozenset(("pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le"))
_PCM = _LITTLE | {"pcm_f64le", "pcm_s16be", "pcm_s24be", "pcm_s32be", "pcm_f32be"}
_MP4 = frozenset(("aac", "ac3", "eac3", "mp3", "mp2", "alac", "dts", "opus"))
_TAKEN = {
    ".mp4": _MP4,
    ".m4v": _MP4,
    ".mov": (_MP4 - {"eac3", "opus"}) | _PCM,
    ".mkv": _MP4 | _PCM | {"flac", "vorbis", "truehd", "wmav2"},
    ".mxf": frozenset(("pcm_s16le", "pcm_s24le")),
    ".ts": frozenset(("aac", "ac3", "eac3", "mp3", "mp2", "dts", "truehd", "opus")),
    ".avi": _LITTLE | {"mp3", "mp2", "ac3"},
    ".webm": frozenset(("opus", "vorbis")),
}  # sound codecs that are copied; that ffmpeg writes a file is not enough: TS takes anything as private data
_LOSSY = {".mxf": "pcm_s24le", ".avi": "ac3", ".webm": "libopus"}  # where it is not AAC
_LOSSLESS = frozenset(("flac", "alac", "truehd", "mlp", "wavpack", "tta", "ape"))
_AT_48K = (".mxf", ".webm")
_ONE_PICTURE = ".mxf"
_UNTITLED = (".mxf", ".avi")  # tracks have neither language nor title
_PLAIN_TEXT = frozenset(("subrip", "srt", "ass", "ssa", "webvtt", "mov_text", "text"))
_MATROSKA_TEXTS = frozenset((
    "subrip", "srt", "ass", "ssa", "webvtt", "dvd_subtitle", "hdmv_pgs_subtitle", "dvb_subtitle",
    "hdmv_text_subtitle",
))  # fmt: skip
_SUBTITLES = {
    ".mkv": _MATROSKA_TEXTS,
    ".mp4": frozenset(("mov_text", "dvd_subtitle", "ttml")),
    ".m4v": frozenset(("mov_text", "dvd_subtitle", "ttml")),
    ".mov": frozenset(("mov_text", "eia_608")),
    ".ts": frozenset(("dvb_subtitle", "dvb_teletext", "hdmv_pgs_subtitle")),
    ".webm": frozenset(("webvtt",)),
}  # that are copied
_TEXT_CODECS = {".mkv": "subrip", ".webm": "webvtt", **dict.fromkeys(ISO, "mov_text")}
_COVERS = frozenset(("png", "mjpeg", "bmp"))
_COVERED = (".mp4", ".m4v", ".mkv")
_TIMECODED = (*ISO, ".mkv", ".mxf")  # the time code goes along with the pictures
_CHAPTERED = (*ISO, ".mkv", ".webm")
_PURPOSES = frozenset((
    "original", "comment", "lyrics", "karaoke", "hearing_impaired", "visual_impaired",
    "clean_effects", "forced", "captions", "descriptions", "default",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sound:
    """What becomes of a sound track: ``copy`` or an encoder, and whether silence follows it."""

    codec: str
    pad: bool = False
    bit_rate: int | None = None
    rate: int | None = None  # None: as it is
    clean: bool = False  # samples that are no numbers become silence


@dataclass(frozen=True, slots=True)
class Carried:
    """A stream of the film that goes along."""

    index: int  # in the film
    kind: str  # audio | subtitle | video | cover | attachment | data
    sound: Sound | None = None  # of a sound track
    codec: str = "copy"  # of the others
    language: str | None = None
    title: str | None = None
    purposes: tuple[str, ...] = ()  # FFmpeg's dispositions


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """What goes along, and a sentence for each stream that does not, or not as it is."""

    carried: tuple[Carried, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    keeps_timecode: bool = False


def plan_dub(
    dub: AudioInfo, suffix: str, wanted: str, *, pad: bool = False, changed: bool = False
) -> Sound:
    """How the dub goes into the film; ``pad``: silence follows, ``changed``: its samples are not its own.

    ``wanted`` is `StitchSettings.audio_codec`. Raises `UsageError` where the container cannot hold it.
    """
    taken = dub.codec in _TAKEN[suffix] and _fits(dub.codec, dub.rate, suffix)
    clean = not dub.finite
    if wanted == "copy":
        if not taken:
            raise UsageError(
                f"sound of codec {dub.codec} cannot be copied into {suffix}",
                hint="use --set stitch.audio_codec=auto, or write an .mkv",
            )
        if changed:
            raise UsageError(
                "the dub is mixed, moved or stretched, so its sound cannot be copied",
                hint="use --set stitch.audio_codec=auto",
            )
        return Sound("copy")
    if wanted == "auto":
        if taken and not (pad or clean or changed):
            return Sound("copy")
        codec = encoder_of(dub.codec, suffix)
    else:
        codec = _encoders(suffix, dub.codec).get(wanted, "")
        if not codec:
            holders = [s for s in (".mov", ".mkv") if wanted in _encoders(s, dub.codec)]
            raise UsageError(
                f"{wanted} sound cannot go into {suffix}",
                hint=f"use {' or '.join(holders)}, or --set stitch.audio_codec=auto",
            )
    if problem := _too_wide(codec, dub.channels):
        raise UsageError(
            f"the dub has {dub.channels} channels: {problem}",
            hint="write a .mov or .mkv, which hold PCM, or mix it down",
        )
    return _encoded(codec, dub.channels, dub.rate, suffix, pad=pad, clean=clean)


def _encoders(suffix: str, codec: str) -> dict[str, str]:
    """What ``audio_codec`` may name for a container, with the encoder that it means for sound of ``codec``."""
    found = {}
    if "aac" in _TAKEN[suffix]:
        found["aac"] = "aac"
    if "flac" in _TAKEN[suffix]:
        found["flac"] = "flac"
    if "pcm_s24le" in _TAKEN[suffix]:
        found["pcm"] = _pcm(codec, suffix)
    return found


def encoder_of(codec: str, suffix: str) -> str:
    """The encoder that keeps sound of ``codec`` best in a container: lossless where it was and can be."""
    if codec == "flac" and "flac" in _TAKEN[suffix]:
        return "flac"
    if is_lossless(codec) and "pcm_s24le" in _TAKEN[suffix]:
        return _pcm(codec, suffix)
    return _LOSSY.get(suffix, "aac")


def is_lossless(codec: str) -> bool:
    """Whether sound of this codec is as it was before it was coded."""
    return codec.startswith("pcm_") or codec in _LOSSLESS


def _pcm(codec: str, suffix: str) -> str:
    """PCM as deep as sound of ``codec`` is."""
    if codec in ("pcm_s16le", "pcm_s16be", "pcm_u8", "pcm_s8", "pcm_mulaw", "pcm_alaw"):
        return "pcm_s16le"
    own = codec[:-2] + "le"
    if codec.startswith("pcm_") and own in _TAKEN[suffix]:
        return own
    if codec.startswith(("aac", "mp3")):
        return "pcm_s16le"
    return "pcm_f32le" if codec.startswith("pcm_f") and suffix != ".mxf" else "pcm_s24le"


def _too_wide(codec: str, channels: int) -> str | None:
    most = {"aac": _MOST_LOSSY, "flac": _MOST_LOSSY, "libopus": _MOST_LOSSY, "ac3": 6}.get(codec)
    if most is None or channels <= most:
        return None
    return f"{codec.removeprefix('lib')} holds at most {most}"


def _fits(codec: str, rate: int, suffix: str) -> bool:
    return suffix != ".mxf" or (codec in _TAKEN[".mxf"] and rate == 48_000)


def _encoded(
    codec: str, channels: int, rate: int, suffix: str, *, pad: bool = False, clean: bool = False
) -> Sound:
    highest = {"aac": 96_000, "ac3": 48_000, "libopus": 48_000}.get(codec)
    new = 48_000 if suffix in _AT_48K and rate != 48_000 else None
    if highest and rate > highest:
        new = highest
    if codec.startswith("pcm_") or codec == "flac":
        return Sound(codec, pad, rate=new, clean=clean)
    return Sound(codec, pad, bit_rate(channels), new, clean)


def bit_rate(channels: int) -> int:
    """Of a lossy track, in bits a second: no master's sound gets less than 192 kb/s."""
    return min(max(_BIT_RATE * channels, LEAST_BIT_RATE), _MOST_BIT_RATE)


def plan_streams(
    streams: Sequence[StreamInfo],
    video: int,
    suffix: str,
    *,
    keep: Keep,
    others: bool,
    held: Collection[str] = (),
) -> StreamPlan:
    """Which streams of the film go along; ``others``: not only sound. ``video`` is the film's own picture.

    ``held`` are the codecs of pictures that the container holds, for further video tracks.
    """
    carried: list[Carried] = []
    warnings: list[str] = []
    notes: list[str] = []
    for number, stream in kept_sound(streams, keep):
        planned, told = _film_sound(stream, number, suffix)
        carried += [planned] if planned else []
        (warnings if planned is None else notes).extend(told)
    rest = [s for s in streams if s.kind != "audio" and s.index != video] if others else []
    if any(s.kind == "video" for s in rest):
        notes.append(f"of several video tracks the film's stream {video} is dubbed")
    for kind in ("subtitle", "video", "cover", "attachment", "data"):
        for stream in (s for s in rest if s.kind == kind):
            planned, problem = _other(stream, suffix, held)
            carried += [planned] if planned else []
            warnings += [problem] if problem else []
    tagged = [c for c in carried if c.kind in ("audio", "subtitle") and (c.language or c.title)]
    if tagged and suffix in _UNTITLED:
        warnings.append(
            f"{suffix} stores no language and no title of tracks: those of the film are lost"
        )
    timed = others and suffix in _TIMECODED
    return StreamPlan(tuple(carried), tuple(warnings), tuple(notes), timed)


def kept_sound(streams: Iterable[StreamInfo], keep: Keep) -> list[tuple[int, StreamInfo]]:
    """The film's sound tracks that are kept, each with its number among them, counted from 1."""
    tracks = [(n, s) for n, s in enumerate((s for s in streams if s.kind == "audio"), 1)]
    if keep == "none" or not tracks:
        return []
    if keep == "original":
        marked = [t for t in tracks if "original" in t[1].purposes]
        default = [t for t in tracks if "default" in t[1].purposes]
        return [*marked, *default, *tracks][:1]
    return tracks


def _film_sound(stream: StreamInfo, number: int, suffix: str) -> tuple[Carried | None, list[str]]:
    """How a sound track of the film goes along, and what has to be said of it."""
    name = f"sound track {number} of the film ({described(stream)})"
    purposes = tuple(p for p in stream.purposes if p in _PURPOSES and p != "default")

    def as_it_is(sound: Sound) -> Carried:
        return Carried(stream.index, "audio", sound, "", stream.language, stream.title, purposes)

    if stream.codec in _TAKEN[suffix] and _fits(stream.codec, stream.rate, suffix):
        return as_it_is(Sound("copy")), []
    if not stream.channels or not stream.rate:
        return None, [f"{name} cannot be decoded, and {suffix} does not hold it: it is left out"]
    codec = encoder_of(stream.codec, suffix)
    if problem := _too_wide(codec, stream.channels):
        return None, [
            f"{name} is left out: {suffix} does not hold {stream.codec}, and {problem} channels; "
            "write a .mov or .mkv to keep it"
        ]
    sound = _encoded(codec, stream.channels, stream.rate, suffix)
    how = f"{codec.removeprefix('lib')}"
    if sound.bit_rate:
        how += f" at {sound.bit_rate // 1000} kb/s"
    if sound.rate:
        how += f", {sound.rate} Hz"
    return as_it_is(sound), [f"{name} becomes {how}, because {suffix} does not hold it as it is"]


def described(stream: StreamInfo) -> str:
    """A sound track in words: language, title, codec and layout."""
    layout = stream.layout or (f"{stream.channels} channels" if stream.channels else "")
    return ", ".join(filter(None, (stream.language, stream.title, stream.codec, layout)))


def _other(
    stream: StreamInfo, suffix: str, held: Collection[str]
) -> tuple[Carried | None, str | None]:
    """How a stream that is no sound goes along, or why not."""
    if stream.kind == "video" and stream.codec in held and suffix != _ONE_PICTURE:
        purposes = tuple(p for p in stream.purposes if p in _PURPOSES and p != "default")
        return Carried(
            stream.index,
            "video",
            language=stream.language,
            title=stream.title,
            purposes=purposes,
        ), None
    if stream.kind == "subtitle":
        return _subtitle(stream, suffix)
    if stream.kind == "cover":
        if suffix in _COVERED and stream.codec in _COVERS:
            purposes = ("attached_pic",)
            return Carried(stream.index, "cover", title=stream.title, purposes=purposes), None
        return None, f"the cover art (stream {stream.index}, {stream.codec}) is left out: " + (
            f"{suffix} holds none" if suffix not in _COVERED else "of a codec that is not carried"
        )
    if stream.kind == "attachment" and suffix == ".mkv":
        return Carried(stream.index, "attachment"), None
    if stream.kind == "data" and stream.codec == "tmcd" and suffix in _TIMECODED:
        return None, None  # written from the time code of the pictures
    if stream.kind == "data" and stream.codec == "chapters" and suffix in _CHAPTERED:
        return None, None  # written from the film's chapters
    name = f"stream {stream.index} ({', '.join(filter(None, (stream.kind, stream.codec, stream.title)))})"
    return None, f"{name} is left out: dubkit does not write it into {suffix}"


def _subtitle(stream: StreamInfo, suffix: str) -> tuple[Carried | None, str | None]:
    purposes = tuple(p for p in stream.purposes if p in _PURPOSES)
    name = f"subtitles in stream {stream.index} ({', '.join(filter(None, (stream.language, stream.codec)))})"
    codec: str | None = "copy" if stream.codec in _SUBTITLES.get(suffix, ()) else None
    if codec is None and stream.codec in _PLAIN_TEXT:
        codec = _TEXT_CODECS.get(suffix)
    if codec is None:
        hint = "" if suffix == ".mkv" else ", an .mkv may"
        return None, f"{name} are left out: {suffix} does not hold them{hint}"
    told = None
    if codec != "copy" and stream.codec in ("ass", "ssa"):
        told = f"{name} lose their styles: {suffix} holds plain text only"
    return Carried(
        stream.index,
        "subtitle",
        codec=codec,
        language=stream.language,
        title=stream.title,
        purposes=purposes,
    ), told


LABEL = -1  # stands for the index of a text that is no stream of the film


def with_label(plan: StreamPlan, suffix: str) -> StreamPlan:
    """The plan with a label as a subtitle that players show. Raises UsageError where the container holds none."""
    codec = _TEXT_CODECS.get(suffix)
    if codec is None:
        raise UsageError(
            f"{suffix} holds no label as a subtitle",
            hint="--set generate.label_as=picture shows it",
        )
    label = Carried(LABEL, "subtitle", None, codec, None, "label", ("default", "forced"))
    before = sum(stream.kind in ("audio", "subtitle") for stream in plan.carried)
    return replace(plan, carried=(*plan.carried[:before], label, *plan.carried[before:]))


def differences(plan: StreamPlan, dub: Sound, made: Sequence[StreamInfo]) -> list[str]:
    """What the sound and subtitles of a written film are not as planned, one sentence each."""
    tracks = [stream for stream in made if stream.kind == "audio"]
    planned = [c for c in plan.carried if c.kind == "audio"]
    texts = [c for c in plan.carried if c.kind == "subtitle"]
    pictures = 1 + sum(c.kind == "video" for c in plan.carried)
    found = []
    if (count := sum(s.kind == "video" for s in made)) != pictures:
        found.append(f"{count} video tracks instead of {pictures}")
    if len(tracks) != len(planned) + 1:
        found.append(f"{len(tracks)} sound tracks instead of {len(planned) + 1}")
    for number, (track, carried) in enumerate(zip(tracks[1:], planned, strict=False), 2):
        if carried.sound and carried.sound.codec not in ("copy", f"lib{track.codec}", track.codec):
            found.append(f"sound track {number} is {track.codec}, not {carried.sound.codec}")
    if tracks and dub.codec not in ("copy", f"lib{tracks[0].codec}", tracks[0].codec):
        found.append(f"the dub is {tracks[0].codec}, not {dub.codec}")
    if (count := sum(s.kind == "subtitle" for s in made)) != len(texts):
        found.append(f"{count} subtitle tracks instead of {len(texts)}")
    return found


def language_code(tag: str | None) -> str | None:
    """A language as containers name it, in three letters (ISO 639-2/T); None for none.

    ``tag`` is a code of ISO 639-1, 639-2 or 639-3, also with a region (``pt-br``).
    """
    if not tag:
        return None
    base = tag.replace("_", "-").split("-")[0].lower()
    return _THREE.get(base, base if len(base) == 3 else None)


_CODES = (
    "aa:aar ab:abk ae:ave af:afr ak:aka am:amh an:arg ar:ara as:asm av:ava ay:aym az:aze ba:bak be:bel "
    "bg:bul bh:bih bi:bis bm:bam bn:ben bo:bod br:bre bs:bos ca:cat ce:che ch:cha co:cos cr:cre cs:ces "
    "cu:chu cv:chv cy:cym da:dan de:deu dv:div dz:dzo ee:ewe el:ell en:eng eo:epo es:spa et:est eu:eus "
    "fa:fas ff:ful fi:fin fj:fij fo:fao fr:fra fy:fry ga:gle gd:gla gl:glg gn:grn gu:guj gv:glv ha:hau "
    "he:heb hi:hin ho:hmo hr:hrv ht:hat hu:hun hy:hye hz:her ia:ina id:ind ie:ile ig:ibo ii:iii ik:ipk "
    "io:ido is:isl it:ita iu:iku ja:jpn jv:jav ka:kat kg:kon ki:kik kj:kua kk:kaz kl:kal km:khm kn:kan "
    "ko:kor kr:kau ks:kas ku:kur kv:kom kw:cor ky:kir la:lat lb:ltz lg:lug li:lim ln:lin lo:lao lt:lit "
    "lu:lub lv:lav mg:mlg mh:mah mi:mri mk:mkd ml:mal mn:mon mr:mar ms:msa mt:mlt my:mya na:nau nb:nob "
    "nd:nde ne:nep ng:ndo nl:nld nn:nno no:nor nr:nbl nv:nav ny:nya oc:oci oj:oji om:orm or:ori os:oss "
    "pa:pan pi:pli pl:pol ps:pus pt:por qu:que rm:roh rn:run ro:ron ru:rus rw:kin sa:san sc:srd sd:snd "
    "se:sme sg:sag si:sin sk:slk sl:slv sm:smo sn:sna so:som sq:sqi sr:srp ss:ssw st:sot su:sun sv:swe "
    "sw:swa ta:tam te:tel tg:tgk th:tha ti:tir tk:tuk tl:tgl tn:tsn to:ton tr:tur ts:tso tt:tat tw:twi "
    "ty:tah ug:uig uk:ukr ur:urd uz:uzb ve:ven vi:vie vo:vol wa:wln wo:wol xh:xho yi:yid yo:yor za:zha "
    "zh:zho zu:zul ger:deu fre:fra dut:nld gre:ell ice:isl chi:zho cze:ces slo:slk rum:ron per:fas "
    "arm:hye geo:kat bur:mya may:msa mac:mkd alb:sqi baq:eus tib:bod wel:cym mao:mri cmn:zho"
)
_THREE = dict(pair.split(":") for pair in _CODES.split())
