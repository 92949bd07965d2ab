"""Deliver only what changed: a file for each changed shot, cut out of the finished film, and the lists that conform it.

A patch holds the changed part of its shot and handles on both sides, never over a cut. Where the codec is the film's
own, its coded pictures are those of the finished film; so what is conformed equals it sample for sample. ProRes 4444,
EXR and PNG carry the mouth's soft mask as alpha: laid over the original film they give the finished one.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import av
import cv2
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from dubkit.config.schema import GenerateSettings
from dubkit.delivery import cut_list, new_edit
from dubkit.delivery.cut_list import Clip, CutList, shot_marks
from dubkit.errors import OutputError, UsageError
from dubkit.media import codecs, concat, container, mux
from dubkit.media.captions import Extras
from dubkit.media.frames import FrameReader
from dubkit.media.probe import probe
from dubkit.media.writer import FrameWriter
from dubkit.parallel.workers import cores, in_order
from dubkit.pipeline.inspect import OpenedJob
from dubkit.records import Color, Floats, Shot, Shown, VideoInfo
from dubkit.stages import generate
from dubkit.stages.base import StageContext
from dubkit.stages.probe import load_film
from dubkit.version import __version__
from dubkit.work.store import digest_file, digest_value, write_record

if TYPE_CHECKING:
    from dubkit.engines.base import FaceRenderer
    from dubkit.media.frames import Frame
    from dubkit.progress import Progress

RECORD = "delivery.json"
HANDLES = 8  # frames
KINDS = ("patches",)
SEQUENCES = ("exr", "png")
WITH_ALPHA = ("prores_4444", *SEQUENCES)
ALPHAS = ("straight", "premultiplied")
CODECS = (*get_args(GenerateSettings.model_fields["codec"].annotation), *WITH_ALPHA)


@dataclass(frozen=True, slots=True)
class DeliveryRequest:
    """What is to be delivered of a finished job."""

    work: Path
    out: Path | None = None  # a folder; None: FILM.patches beside the result
    kind: str = "patches"
    codec: str = "source"  # one of `CODECS`
    handles: int = HANDLES
    alpha: str = "straight"  # or premultiplied: of the codecs that carry alpha
    reel: str | None = None  # None: as the film states it, else its name
    timecode: str | None = None  # of the film's first frame; None: as the film states it
    overwrite: bool = False
    edit: Path | None = None  # a new edit of the film, on which the patches are to lie


@dataclass(frozen=True, slots=True)
class DeliveredShot:
    """One patch. Time codes are those of the film; ``out`` is that of the first frame after."""

    shot: str
    file: str  # in the folder; of a sequence its folder
    sha256: str  # of a sequence: of its pictures' digests, in order
    bytes: int
    timecode_in: str  # of the changed part, as the lists use it
    timecode_out: str
    frames: int  # of the changed part
    file_timecode: str  # of the file's first frame
    file_frames: int
    handle_before: int  # frames in the file before the changed part
    handle_after: int
    copied: bool  # whether the coded pictures are those of the finished film
    findings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeliveredFile:
    """A list or a sound."""

    file: str
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """``delivery.json``: what was delivered."""

    kind: str
    version: int
    dubkit: str
    film: str
    film_sha256: str
    result: str
    result_sha256: str
    rate: str  # frames a second, as a fraction
    drop_frame: bool
    timecode: str  # of the film's first frame
    reel: str
    codec: str  # of the patches, in words
    alpha: str  # none | straight | premultiplied
    handles: int
    shots: tuple[DeliveredShot, ...]
    unchanged: int  # shots that are as in the film
    files: tuple[DeliveredFile, ...]
    remarks: tuple[str, ...]
    edit: str | None = None  # the new edit on which the lists put the patches; None: the film
    edit_states: Mapping[str, int] | None = None  # its stretches: stays, moved, trimmed, new


@dataclass(frozen=True, slots=True, repr=False)
class Delivered(Shown):
    """Where a delivery is."""

    folder: Path
    record: Delivery

    def facts_shown(self) -> dict[str, object]:
        return {"folder": self.folder, "shots": len(self.record.shots), "film": self.record.film}


def deliver(request: DeliveryRequest, progress: Progress) -> Delivered:
    """Write the folder of a delivery, whole or not at all. Raises DubkitError."""
    check_delivery_request(request)
    source = _Source(request)
    out = request.out or source.output.with_name(f"{source.output.stem}.patches")
    _check_folder(out, request.overwrite)
    scratch = out.with_name(f".{out.name}.part")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        scratch.mkdir()
        record = _write(source, scratch, out, progress)
        if out.exists():
            shutil.rmtree(out)
        scratch.rename(out)
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    for remark in record.remarks:
        progress.warn(remark)
    return Delivered(out, record)


def check_delivery_request(request: DeliveryRequest) -> None:
    """Raise UsageError for what cannot be delivered."""
    for name, value, known in (
        ("--as", request.kind, KINDS),
        ("--codec", request.codec, CODECS),
        ("--alpha", request.alpha, ALPHAS),
    ):
        if value not in known:
            raise UsageError(f"{name} cannot be {value!r}", hint=f"one of {', '.join(known)}")
    if request.handles < 0:
        raise UsageError("handles cannot be fewer than 0 frames", hint="--handles 0 for none")
    cut_list.load_otio()


def _check_folder(out: Path, overwrite: bool) -> None:
    """An earlier delivery gives way where that is wanted, anything else does not."""
    if not out.absolute().parent.is_dir():
        raise OutputError(f"there is no folder {out.absolute().parent}", hint="create it first")
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    ours = (out / RECORD).is_file()
    if not (ours and overwrite):
        way = "--overwrite replaces it; --out names another" if ours else "--out names another"
        raise OutputError(f"{out} exists already", hint=way)


class _Source:
    """The film, the finished film, and which shots of it changed."""

    def __init__(self, request: DeliveryRequest) -> None:
        self.request = request
        self.opened = OpenedJob(request.work)
        job = self.opened.manifest.job
        self.output, self.film, self.name = job.output, job.video, job.video.stem
        self.made = self.opened.finished_film()
        self.info, self.pts = load_film(self.opened.folder("probe", None))
        self.made_info, self.made_pts = probe(self.made, wanted=self.info.fields or "none")
        self.lines = self.info.lines
        self.remarks: list[str] = []
        time = cut_list.film_time(self.film, self.info, request.timecode, request.reel)
        self.clock, self.begins, self.reel = time.clock, time.begins, time.reel
        self.edit = None
        if request.edit is not None:
            self.edit = new_edit.compare_edit(self.opened, request.edit, request.timecode)
        if not time.stated:
            self.remarks.append(
                f"{self.film.name} states no time code: its first frame counts as 00:00:00:00; "
                "--timecode gives another"
            )
        self.frames = min(self.info.frames, self.made_info.frames) // self.lines
        if self.begins + self.frames > self.clock.day:
            self.remarks.append("the film passes midnight: the EDL counts on after 24 hours")
        if request.codec in WITH_ALPHA and self.info.alpha:
            raise UsageError(
                f"{self.film.name} has alpha of its own, so the mouth's mask cannot take its place",
                hint="deliver without one, as with --codec source",
            )
        if request.codec in WITH_ALPHA and self.lines > 1:
            raise UsageError(
                f"{self.film.name} is interlaced, and patches with alpha are whole frames",
                hint="deliver with --codec source",
            )

    def code(self, frame: int) -> str:  # of a frame of the film
        return self.clock.text(self.begins + frame)

    def changed(self) -> Iterator[tuple[Shot, int, int]]:
        """Each changed shot, and the first frame and the one after the last that changed, as coded."""
        for shot in self.opened.shots:
            gate = self.opened.gate(shot)
            if gate is None or gate.kept:
                continue
            made = self.opened.generated(shot)
            assert made is not None  # the film was made of it
            spans = made.spans or ((shot.start, shot.end),)
            start, end = spans[0][0], spans[-1][1]
            end = min(-(-end // self.lines), self.frames)
            if made.touched and start // self.lines < end:
                yield shot, start // self.lines, end


def _write(source: _Source, scratch: Path, out: Path, progress: Progress) -> Delivery:
    request = source.request
    patches = list(source.changed())
    if not patches:
        source.remarks.append("no shot changed: there are no patches")
    anywhere = request.codec != "source" or source.made_info.intra  # else it is a whole shot
    clips, shots = [], []
    progress.plan("deliver", len(patches), 0, sum(end - start for _, start, end in patches))

    def make(changed: tuple[Shot, int, int]) -> _Patch:
        shot, start, end = changed
        span = _with_handles(source, shot, start, end, whole=not anywhere)
        return _patch(source, scratch, shot, span, (start, end))

    made = in_order(make, patches, cores())
    while group := list(islice(made, _TOGETHER)):
        _wrap(source, group)
        source.remarks += [patch.remark for patch in group if patch.remark]
        for patch in group:
            clips.append(patch.clip)
            shots.append(_delivered(source, scratch, patch))
            frames = patch.clip.end - patch.clip.start
            progress.advance("deliver", patch.shot.name, frames, 0.0, None)
    sound = _sound(source, scratch)
    lists = _lists(_cuts(source, clips, sound), scratch, out)
    edit = source.edit
    record = Delivery(
        kind="dubkit-delivery",
        version=1,
        dubkit=__version__,
        film=source.film.name,
        film_sha256=source.opened.manifest.inputs["video"].sha256,
        result=source.output.name,
        result_sha256=digest_file(source.made),
        rate=str(source.clock.rate),
        drop_frame=source.clock.drop,
        timecode=source.code(0),
        reel=source.reel,
        codec=_codec_title(source),
        alpha=request.alpha if request.codec in WITH_ALPHA else "none",
        handles=request.handles,
        shots=tuple(shots),
        unchanged=len(source.opened.shots) - len(shots),
        files=tuple(
            DeliveredFile(path.name, digest_file(path), path.stat().st_size)
            for path in (*([sound] if sound else []), *lists)
        ),
        remarks=tuple(source.remarks),
        edit=request.edit.name if request.edit else None,
        edit_states=dict(Counter(reuse.state for reuse in edit.reuses)) if edit else None,
    )
    write_record(scratch / RECORD, record)
    return record


def _cuts(source: _Source, clips: Sequence[Clip], sound: Path | None) -> CutList:
    """The clips on the film, or on its new edit."""
    cuts = CutList(
        name=source.name,
        reel=source.reel,
        clock=source.clock,
        begins=source.begins,
        frames=source.frames,
        size=source.info.display_size,
        film=source.film.absolute(),
        sound=sound,
        clips=tuple(clips),
    )
    edit, file = source.edit, source.request.edit
    if edit is None or file is None:
        return cuts
    source.remarks.append(f"the lists are of {file.name}, whose dub has to be cut again")
    return replace(
        cuts,
        begins=edit.begins,
        source_begins=source.begins,
        frames=edit.frames,
        film=None if file.suffix.lower() in new_edit.LISTS else file.absolute(),
        sound=None,
        clips=tuple(new_edit.moved_clips(edit, clips)),
    )


def _lists(cuts: CutList, scratch: Path, out: Path) -> list[Path]:
    """OTIO names files beside it, FCPXML where they will be."""
    there = replace(
        cuts,
        sound=out / cuts.sound.name if cuts.sound else None,
        clips=tuple(replace(c, file=out / c.file.relative_to(scratch)) for c in cuts.clips),
    )
    texts = {
        ".otio": cut_list.otio_text(cuts),
        ".edl": cut_list.edl_text(cuts),
        ".fcpxml": cut_list.fcpxml_text(there),
    }
    if not cuts.clips:  # an EDL has no other events
        del texts[".edl"]
    written = []
    for suffix, text in texts.items():
        path = scratch / f"{cuts.name}{suffix}"
        path.write_text(text, encoding="utf-8")
        written.append(path)
    if cut_list.can_write_aaf(cuts):
        written.append(cut_list.write_aaf(cuts, scratch / f"{cuts.name}.aaf"))
    return written


_TITLES = {
    "exr": "EXR 32 bit float RGB with alpha",
    "png": "PNG 16 bit RGB with alpha",
    "prores_4444": "ProRes 4444 10 bit 4:4:4 with alpha",
}


def _codec_title(source: _Source) -> str:
    codec, info = source.request.codec, source.made_info
    if codec in _TITLES:
        return _TITLES[codec]
    if codec == "source":
        name = info.coded_format if info.alpha else info.pixel_format
        return codecs.title(info.codec, info.profile, name)
    made = codecs.encoding_for(info, _settings(source))
    return codecs.title(made.codec, made.options.get("profile", ""), made.pixel_format)


def _settings(source: _Source) -> GenerateSettings:
    """How patches are coded, where that is not as the film."""
    codec = "prores" if source.request.codec == "prores_4444" else source.request.codec
    return source.opened.config.generate.model_copy(update={"codec": codec})


def _with_handles(
    source: _Source, shot: Shot, start: int, end: int, *, whole: bool
) -> tuple[int, int]:
    """The frames that go into a patch: within its shot, and within the film."""
    low, high = shot.start // source.lines, min(-(-shot.end // source.lines), source.frames)
    if whole:
        return low, high
    wanted = source.request.handles
    return max(low, start - wanted), min(high, end + wanted)


_TOGETHER = 16  # patches that one program puts into their containers


@dataclass(frozen=True, slots=True)
class _Patch:
    """A patch whose pictures are coded."""

    shot: Shot
    clip: Clip
    coded: Path | None = None  # what goes into the container; None: pictures, each a file
    codec: str = ""
    copied: bool = False  # whether the coded pictures are those of the finished film
    remark: str = ""


def _patch(
    source: _Source, scratch: Path, shot: Shot, span: tuple[int, int], used: tuple[int, int]
) -> _Patch:
    """Code the pictures of one patch. Called by several threads at once."""
    first, last = span
    digits = source.code(first).replace(":", "-").replace(";", "-")
    name = f"{source.name}_{cut_list.cmx_reel(source.reel)}_{shot.name}_{digits}"
    codec = source.request.codec
    marks = tuple(
        replace(mark, start=max(mark.start, used[0]), end=min(mark.end, used[1]))
        for mark in shot_marks(source.opened, shot, source.lines)
    )
    clip = Clip(name, Path(), first, last - first, *used, marks)
    if codec in SEQUENCES:
        folder = scratch / name
        folder.mkdir()
        names = [f"{name}.{source.begins + n:08d}.{codec}" for n in range(first, last)]
        for number, layer in enumerate(_layers(source, shot, span)):
            _write_picture(folder / names[number], layer)
        return _Patch(shot, replace(clip, file=folder / names[0], sequence=True))
    picture, remark = scratch / f"{name}.coded", ""
    film = (source.made, source.made_info, source.made_pts)
    copied = codec == "source" and concat.copy_frames(*film, span, picture)
    if codec == "source" and not copied:
        remark = f"frames {first} to {last} depend on others: they are coded again"
    if codec == "prores_4444":
        coded = _encode_layers(source, shot, span, picture)
    else:
        coded = source.made_info.codec if copied else _encode(source, span, picture)
    suffix = container.result_suffix(source.output, coded)
    path = scratch / f"{name}{suffix.lower()}"
    return _Patch(shot, replace(clip, name=path.name, file=path), picture, coded, copied, remark)


def _wrap(source: _Source, patches: Sequence[_Patch]) -> None:
    """Put coded pictures into their containers, with time code and reel."""
    info = _on_grid(source.made_info)
    wrapped = []
    for patch in patches:
        tags = {"timecode": source.code(patch.clip.first), "reel_name": source.reel}
        if patch.coded is not None:
            wrapped.append(mux.Wrapped(patch.coded, patch.clip.file, info, patch.codec, tags))
    if wrapped:
        mux.wrap_pictures(wrapped)
        for one in wrapped:
            one.picture.unlink()


def _on_grid(info: VideoInfo) -> VideoInfo:
    """The same pictures at times that hold the rate exactly: picture n is shown at tick n."""
    return replace(info, time_base=1 / info.average_rate)


def _encode(source: _Source, span: tuple[int, int], out: Path) -> str:
    """Code frames of the finished film anew; returns the codec."""
    info = _on_grid(source.made_info)
    first, last = (index * source.lines for index in span)
    reader = FrameReader(source.made, source.made_info, source.made_pts, threads=1)
    encoding = codecs.encoding_for(info, _settings(source))
    with FrameWriter(out, info, _settings(source), encoding=encoding) as writer:
        for number, frame in enumerate(reader.read(first, last)):
            writer.write(frame.planes, number, frame.extras)
    return encoding.codec


def _encode_layers(source: _Source, shot: Shot, span: tuple[int, int], out: Path) -> str:
    """Code picture and alpha as ProRes 4444."""
    rgb = replace(
        _on_grid(source.made_info),
        pixel_format="gbrp16le",
        alpha=True,
        codec="",
        profile="",
        tag="",
    )
    rgb = replace(rgb, color=Color(2, 0, rgb.color.primaries, rgb.color.transfer))
    with FrameWriter(out, rgb, _settings(source)) as writer:
        for number, layer in enumerate(_layers(source, shot, span)):
            deep = [layer.spread(_deep(layer.color[..., channel])) for channel in range(3)]
            writer.write(deep, number, Extras(layer.spread(_deep(layer.alpha))))
    return "prores"


@dataclass(frozen=True, slots=True)
class _Layer:
    """Color and alpha in a part of a picture, outside of which both are zero."""

    color: Floats  # (h, w, 3) 0..1
    alpha: Floats  # (h, w)
    place: tuple[slice, slice]
    shape: tuple[int, int]  # of the picture

    def spread(self, values: NDArray[Any]) -> NDArray[Any]:
        """The whole picture with ``values`` in that part."""
        whole = np.zeros((*self.shape, *values.shape[2:]), values.dtype)
        whole[self.place] = values
        return whole


def _write_picture(path: Path, layer: _Layer) -> None:
    """RGB with alpha: EXR of 32 bit floats, or PNG of 16 bits. Values are as the film codes them, not linear light."""
    if path.suffix == ".png":
        whole = layer.spread(_deep(np.dstack([layer.color[..., ::-1], layer.alpha])))
        done, coded = cv2.imencode(".png", whole)
        assert done
        path.write_bytes(bytes(coded))
        return
    height, width = layer.shape
    frame = VideoFrame(width, height, "gbrapf32le")
    ordered = (*(layer.color[..., channel] for channel in (1, 2, 0)), layer.alpha)
    for plane, values in zip(frame.planes, ordered, strict=True):
        rows = np.zeros((height, plane.line_size // 4), np.float32)
        rows[:, :width][layer.place] = values
        plane.update(rows.tobytes())
    encoder: Any = av.CodecContext.create("exr", "w")  # PyAV's annotations lack what it has
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "gbrapf32le"
    encoder.time_base, encoder.options = Fraction(1, 25), {"compression": "zip16"}
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    path.write_bytes(b"".join(bytes(packet) for packet in packets))


def _deep(values: Floats) -> NDArray[np.uint16]:
    return np.rint(np.clip(values, 0, 1) * 65535).astype(np.uint16)


def _layers(source: _Source, shot: Shot, span: tuple[int, int]) -> Iterator[_Layer]:
    """What, laid over each frame of the film, gives the finished one.

    Premultiplied color is ``finished - (1 - alpha) * film``; straight color that over alpha.
    """
    readers = (
        FrameReader(source.film, source.info, source.pts, threads=1).read(*span),
        FrameReader(source.made, source.made_info, source.made_pts, threads=1).read(*span),
    )
    renderers = _renderers(source, shot)
    for filmed, made in zip(*readers, strict=True):
        whole = _alpha(renderers, filmed)
        x, y, width, height = cv2.boundingRect((whole > 0).astype(np.uint8))
        place = slice(y, y + height), slice(x, x + width)
        alpha = whole[place]
        color = np.zeros((*alpha.shape, 3), np.float32)
        if alpha.size:
            before, after = (f.rgb16()[place].astype(np.float32) / 65535 for f in (filmed, made))
            color = np.clip(after - (1 - alpha[..., None]) * before, 0, 1)
            if source.request.alpha == "straight":
                color = np.clip(color / np.maximum(alpha, 1 / 65535)[..., None], 0, 1)
            color = np.asarray(color * (alpha > 0)[..., None], np.float32)
        yield _Layer(color, alpha, place, whole.shape)


def _alpha(renderers: Sequence[FaceRenderer], frame: Frame) -> Floats:
    """The masks of all faces together: (H, W) 0..1."""
    clear = np.ones(frame.planes[0].shape, np.float32)
    for renderer in renderers:
        mask = renderer.mask(frame.index)
        if mask is not None:
            clear *= 1 - mask
    return np.asarray(1 - clear, np.float32)


def _renderers(source: _Source, shot: Shot) -> list[FaceRenderer]:
    """Those that painted the shot, planned again from what the work folder holds; nothing is painted."""
    opened = source.opened
    inputs: dict[str, tuple[Path, ...]] = {}
    for stage in generate.STAGE.after:
        own = opened.folder(stage, shot)
        inputs[stage] = (own if own.is_dir() else opened.folder(stage, None),)
    job = opened.run.job
    context = StageContext(job, opened.config, source.opened.run.job.work, inputs, shot)
    _, _, renderers = generate.plan(context, generate.Cast(context))
    return renderers


def _delivered(source: _Source, scratch: Path, patch: _Patch) -> DeliveredShot:
    clip = patch.clip
    path = clip.file.parent if clip.sequence else clip.file
    parts = sorted(path.iterdir()) if clip.sequence else [path]
    digests = [digest_file(part) for part in parts]
    return DeliveredShot(
        shot=patch.shot.name,
        file=str(path.relative_to(scratch)),
        sha256=digest_value(digests) if clip.sequence else digests[0],
        bytes=sum(part.stat().st_size for part in parts),
        timecode_in=source.code(clip.start),
        timecode_out=source.code(clip.end),
        frames=clip.end - clip.start,
        file_timecode=source.code(clip.first),
        file_frames=clip.frames,
        handle_before=clip.start - clip.first,
        handle_after=clip.first + clip.frames - clip.end,
        copied=patch.copied,
        findings=tuple(mark.text for mark in clip.marks),
    )


def _sound(source: _Source, scratch: Path) -> Path | None:
    """The dub as it lies in the finished film."""
    if not source.made_info.has_audio:
        return None
    path = scratch / f"{source.name}_dub.wav"
    mux.extract_sound(source.made, path, float(source.frames / source.clock.rate))
    return path
