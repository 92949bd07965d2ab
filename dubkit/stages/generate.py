"""Make the faces of one shot speak, and encode the shot.

Two passes over the shot's frames, the last of which are kept for the second one (`frames.TwoPasses`): the first gives
the generator the few frames that it takes texture from, the second paints and encodes. Where cores are idle, several
frames are painted at once, which changes nothing, since no frame depends on how another was painted. Before a frame is
encoded it is measured for the gate. Publishes ``segment.nut``, ``result.json``, ``chosen.json`` (the frames of each
face that are painted) and the files of `dubkit.metrics.shot_meter`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import cast

import cv2
import numpy as np

from dubkit.config.schema import Config
from dubkit.engines import base, registry
from dubkit.engines.versions import identity as engine_identity
from dubkit.errors import WorkError
from dubkit.faces import smooth
from dubkit.faces.people import Role, as_cast, load_roles
from dubkit.faces.selection import (
    load_choice,
    load_damaged,
    load_tracks,
    load_voices,
    save_choice,
)
from dubkit.lips import lending, turns
from dubkit.lips.mouth_shape import FADE_SECONDS
from dubkit.lips.turns import Part
from dubkit.media import audio, codecs, concat, copying, label
from dubkit.media.frames import Frame, FrameReader, TwoPasses
from dubkit.media.planes import Plane, changed_part, painted_planes
from dubkit.media.result_check import Sample
from dubkit.media.writer import FrameWriter
from dubkit.metrics.gate_limits import FaceChecks, load_gate
from dubkit.metrics.lip_sync import phonemes_of
from dubkit.metrics.shot_meter import FaceMeter, looks, save_seen
from dubkit.parallel.workers import in_order
from dubkit.records import (
    FaceState,
    FaceTrack,
    Integers,
    Shot,
    Taken,
    Timing,
    TrackChoice,
    VideoInfo,
)
from dubkit.speech.timing import load_timing, same_words, stem_folders
from dubkit.stages import probe
from dubkit.stages.base import Per, Source, Stage, StageContext, StageReport
from dubkit.work.folder import counted
from dubkit.work.store import read_record, write_record

SEGMENT = "segment.nut"
HEAD, TAIL = "head.nut", "tail.nut"  # of a shot whose other frames are copied
RESULT = "result.json"


@dataclass(frozen=True, slots=True)
class GenerateResult:
    """The result of one shot."""

    frames: int
    touched: bool  # whether any frame differs from the source
    painted: int  # frames with a new mouth
    faces: int  # faces dubbed
    repaired: int  # frames that could not be decoded and repeat the one before
    sample: Sample | None = None  # the first frame, to compare with the film's
    copied: tuple[int, int] | None = (
        None  # frames of the film whose coded pictures are taken as they are
    )
    # frames of the film that were painted or labeled, and those of them with a new mouth (None: all)
    spans: tuple[tuple[int, int], ...] | None = None
    # frames of the film in a dubbed shot whose coded pictures may be taken as they are: whole groups
    groups: tuple[tuple[int, int], ...] = ()
    damaged: tuple[int, ...] = ()  # frames of the film that could not be decoded
    mouths: tuple[tuple[int, int], ...] | None = None


def synthesizer(config: Config, device: str) -> base.Synthesizer:
    """The generator that a configuration names."""
    return cast(
        base.Synthesizer,
        registry.load_engine("synthesizer", config.generate.synthesizer, config.generate, device),
    )


def identity(config: Config) -> str:
    """Generator and weights, and the landmarker that measures its result."""
    made = engine_identity("synthesizer", config.generate.synthesizer, config.generate)
    return f"{made}, {landmarker_identity(config)}"


def run(context: StageContext) -> StageReport:
    """Generate one shot."""
    cast = Cast(context)
    shot = _shot(context)
    info, _ = probe.load_film(context.folder("probe"))
    if context.taken is not None and (report := take_over(context, cast, context.taken)):
        return report
    parts, faces, renderers = plan(context, cast)
    meters = shot_meters(info, shot, faces, context.config, context.device)
    result = render(context, renderers, meters)
    (meters if result.painted else ShotMeters()).save(context.out)
    save_choice(context.out, [part.choice for part in parts.values()])
    hidden = [
        (track.track, count)
        for (track, _), renderer in zip(faces, renderers, strict=True)
        if (count := int(getattr(renderer, "hidden_frames", 0)))  # not every engine has them
    ]
    return StageReport(
        engine=cast.names(),
        notes=tuple(
            f"shot {shot.name}: face {number} keeps its original mouth in {count} "
            f"frame{'s' * (count != 1)} (under text or a picture)"
            for number, count in hidden
        ),
        warnings=_damage(result),
        facts={
            "faces": result.faces,
            "painted": result.painted,
            "repaired": result.repaired,
            "hidden": sum(count for _, count in hidden),
        },
    )


Planned = tuple[dict[int, Part], list[tuple[FaceTrack, Part]], list[base.FaceRenderer]]


def plan(context: StageContext, cast: Cast) -> Planned:
    """Each track's part in the dub, the faces that are dubbed, and a renderer for each of those; nothing is painted."""
    shot = _shot(context)
    info, _ = probe.load_film(context.folder("probe"))
    folder = context.folder("faces")
    tracks = load_tracks(folder)
    parts = {
        number: replace(
            part,
            choice=as_cast(
                part.choice, dub=cast.role(number).dub, consent=cast.role(number).consent
            ),
        )
        for number, part in shares(
            shot, folder, context.folder("timing"), context.config, cast.people
        ).items()
    }
    faces = [(track, parts[track.track]) for track in tracks]
    faces = [
        (track, part) for track, part in faces if part.choice.dubbed and part.choice.usable.any()
    ]
    renderers = [
        cast.engine(track).face(
            *(info, track, part.choice.usable, part.timing, track.start - shot.start),
            cast.lent(track),
        )
        for track, part in faces
    ]
    return parts, faces, renderers


def shares(
    shot: Shot, faces: Path, timing: Path, config: Config, names: Mapping[int, str] | None
) -> dict[int, Part]:
    """For each track in the folder ``faces`` its part in the dub, in their order (`lips.turns`).

    ``names`` are those of the tracks' people, by which they get their stems; None: not known yet.
    """
    whole = load_timing(timing)
    phonemes = phonemes_of(whole, config.generate)
    folders = stem_folders(timing)
    stems = None
    if folders and names is not None:
        stems = {n: load_timing(folders[name]) for n, name in names.items() if name in folders}
        stems = {
            n: replace(t, phonemes=tuple(phonemes_of(t, config.generate))) for n, t in stems.items()
        }
    return turns.parts(shot, load_choice(faces), load_voices(faces), whole, phonemes, stems, names)


def own_timing(timing: Path, choice: TrackChoice, name: str | None) -> Timing:
    """What a face says in a shot, by the folder of the stage timing, its final choice, and its person's name."""
    stem = stem_folders(timing).get(name or "")
    return load_timing(stem) if stem else turns.only(load_timing(timing), choice.says)


class Cast:
    """The generator of each face: with the profile that this film's footage gave of the person, if one was kept."""

    def __init__(self, context: StageContext) -> None:
        self._context = context
        self._roles: dict[int, Role] = {}
        for folder in context.inputs.get("references", ()):
            self._roles |= load_roles(folder)
        self._engines: dict[Path | None, base.Synthesizer] = {}

    def role(self, track: int) -> Role:
        """What a face of this shot has from the film."""
        return self._roles.get(track, Role(track))

    @property
    def people(self) -> dict[int, str]:
        """Of the people whose faces are in this shot, by track."""
        return {track: role.name for track, role in self._roles.items() if role.name}

    def lent(self, track: FaceTrack) -> lending.Lent | None:
        """The frames of other shots that a face borrows."""
        path = self.role(track.track).lent
        return lending.load_lent(Path(path)) if path else None

    def config(self, track: FaceTrack) -> Config:
        """The settings for a face of this shot."""
        return self._config(self._profile(track))

    def engine(self, track: FaceTrack) -> base.Synthesizer:
        """The generator of a face of this shot."""
        profile = self._profile(track)
        if profile not in self._engines:
            self._engines[profile] = synthesizer(self._config(profile), self._context.device)
        return self._engines[profile]

    def names(self) -> str:
        """All generators in use, with their versions."""
        engines = [*self._engines.values()]
        engines = engines or [synthesizer(self._context.config, self._context.device)]
        return ", ".join(sorted({f"{engine.name} {engine.version}" for engine in engines}))

    def _profile(self, track: FaceTrack) -> Path | None:
        path = self.role(track.track).profile
        return Path(path) if path else None

    def _config(self, profile: Path | None) -> Config:
        config = self._context.config
        if profile is None:
            return config
        generate = config.generate.model_copy(update={"actor": str(profile)})
        return config.model_copy(update={"generate": generate})


EARLIER = "earlier.json"  # of a shot that was taken over: what the gate had measured of it


def take_over(context: StageContext, cast: Cast, taken: Taken) -> StageReport | None:
    """Take what an earlier cut's job made of these frames; None where the dub, or who speaks it, is another.

    A mouth is that of its sound: both dubs are compared over the time of the shot.
    """
    job, shot, config = context.job, _shot(context), context.config
    earlier = context.earlier
    span = (taken.first, taken.first + shot.frames)
    folder, gate = earlier.dub(STAGE.name, taken.earlier), earlier.dub("gate", taken.earlier)
    result, measured = read_record(folder / RESULT, GenerateResult), load_gate(gate)
    timing, skip = context.folder("timing"), taken.first - int(taken.earlier.partition("-")[0])
    said, before = (load_timing(f) for f in (timing, earlier.dub("timing", taken.earlier)))
    before = replace(before, times=before.times[skip : skip + shot.frames])
    choices = [
        p.choice
        for p in shares(shot, context.folder("faces"), timing, config, cast.people).values()
    ]
    own, old = (
        _dubbed(c, s) for c, s in ((choices, (shot.start, shot.end)), (load_choice(folder), span))
    )
    roles = [cast.role(choice.track) for choice in own]
    if (
        len(own) != len(old)
        or not all(role.dub and role.consent for role in roles)
        or (measured.action == "off" and config.gate.action != "off")
        or (
            config.generate.label and config.generate.label_as == "picture"
        )  # it lies elsewhere now
        or not same_words(said, before)
        or not audio.same_sound(*((job.audio, said.times), (earlier.job.audio, before.times)))
    ):
        return None
    if not result.touched:
        return replace(keep_original(context), facts=_TAKEN_OVER)
    painted = np.zeros(shot.frames, np.bool_)
    for a, b in result.spans or (span,):
        painted[max(0, a - span[0]) : max(0, b - span[0])] = True
    info, pts = probe.load_film(context.folder("probe"))
    reader = FrameReader(job.video, info, pts)
    encoding = shot_encoding(context, info)
    if not concat.part_of_segment(
        *(folder / SEGMENT, skip, reader, shot.start, painted),
        *(config.generate, context.out / SEGMENT, encoding),
    ):
        return None
    sample = Sample(shot.start) if not painted[0] else None
    if result.sample is not None and not skip:
        sample = replace(result.sample, index=shot.start)
    spans = tuple((shot.start + s.start, shot.start + s.stop) for s in smooth.segments(painted))
    made = GenerateResult(shot.frames, bool(painted.any()), int(painted.sum()), len(own), 0, sample)
    write_record(context.out / RESULT, replace(made, spans=spans))
    save_choice(context.out, choices)
    ShotMeters().save(context.out)
    write_record(context.out / EARLIER, list(measured.faces), list[FaceChecks])
    facts = {"faces": len(own), "painted": made.painted, "repaired": 0, "hidden": 0, **_TAKEN_OVER}
    return StageReport(engine=cast.names(), facts=facts)


_TAKEN_OVER = {"taken_over": 1}


def _dubbed(choices: Sequence[TrackChoice], span: tuple[int, int]) -> list[TrackChoice]:
    """Those that are dubbed within frames of the film."""
    found = (c for c in choices if c.dubbed)
    return [
        c for c in found if c.usable[max(0, span[0] - c.start) : max(0, span[1] - c.start)].any()
    ]


def keep_original(context: StageContext) -> StageReport:
    """Encode the shot as it is: the fallback where its faces could not be dubbed."""
    meters = ShotMeters()
    result = render(context, [], meters)
    meters.save(context.out)
    return StageReport(
        engine="original",
        warnings=_damage(result),
        facts={"faces": 0, "painted": 0, "repaired": result.repaired},
    )


def _damage(result: GenerateResult) -> tuple[str, ...]:
    if not result.repaired:
        return ()
    count = result.repaired
    what = "1 picture is damaged: it" if count == 1 else f"{count} pictures are damaged: each"
    return (f"{what} shows what could be decoded of it, or repeats its neighbor",)


def render(
    context: StageContext,
    renderers: Sequence[base.FaceRenderer],
    meters: ShotMeters | None = None,
) -> GenerateResult:
    """Paint and encode a shot; writes the segment and the result."""
    cv2.setNumThreads(1)  # cores are kept busy by painting several frames at once
    shot = _shot(context)
    info, pts = probe.load_film(context.folder("probe"))
    settings = context.config.generate
    drawn = settings.label and settings.label_as == "picture"
    shown = label.Label(info, settings) if drawn else None
    reader = TwoPasses(context.job.video, info, pts, shot.start, shot.end, context.cores)
    _lend(reader, renderers)
    sample = None
    encoding = shot_encoding(context, info)
    every = range(shot.start, shot.end)
    painted = [any(r.touches(i) for r in renderers) for i in every]
    wanted = [
        p or (shown is not None and shown.touches(i)) for p, i in zip(painted, every, strict=True)
    ]
    if not any(wanted):
        untouched = _untouched(context, info, pts, encoding, len(renderers))
        if untouched is not None:
            write_record(context.out / RESULT, untouched)
            return untouched
    groups = _unpainted_groups(context, info, encoding, wanted)
    places = probe.load_places_to_cut(context.folder("probe")).ravel() if groups else ()
    cuts = {int(at) for at in places if any(a <= info.lines * at <= b for a, b in groups)}
    keys = [at - shot.start // info.lines for at in cuts]
    segment = context.out / SEGMENT
    with FrameWriter(segment, info, settings, encoding=encoding, keys=keys) as writer:
        pictures = in_order(partial(_paint, renderers), reader.second(), context.cores)
        for made in counted(context.out, STAGE.name, pictures):
            if meters is not None:
                meters.measure(made.source, made.planes)
            made = _labeled(made, shown)
            writer.write(made.planes, made.source.pts, made.source.extras)
            if sample is None:
                changed = changed_part(made.source.planes, made.planes) if made.painted else None
                sample = Sample(shot.start, changed)
    done = (shot.frames, any(wanted), sum(painted), len(renderers), len(reader.damaged))
    spans, mouths = (
        tuple((shot.start + s.start, shot.start + s.stop) for s in smooth.segments(np.array(rows)))
        for rows in (wanted, painted)
    )
    result = GenerateResult(
        *(*done, sample),
        spans=spans,
        mouths=None if mouths == spans else mouths,
        groups=_unpainted_groups(context, info, encoding, wanted, reader.damaged),
        damaged=tuple(reader.damaged),
    )
    write_record(context.out / RESULT, result)
    return result


def _labeled(made: _Made, shown: label.Label | None) -> _Made:
    """The picture with the label, where it has one; the gate measures it without."""
    if shown is None or not shown.touches(made.source.index):
        return made
    planes = tuple(plane.copy() for plane in made.planes)
    shown.paint(planes)
    return replace(made, planes=planes, painted=True)


def shot_encoding(context: StageContext, info: VideoInfo) -> codecs.Encoding:
    """How shots are encoded: so that they can stand beside coded pictures of the film, where that is wanted."""
    settings = context.config.generate
    encoding = codecs.encoding_for(info, settings)
    if encoding.codec == "h264" and copying.can_meet(info, encoding, settings):
        number = copying.free_number(copying.film_header(context.job.video))
        if number is not None:
            return codecs.numbered(encoding, number)
    return encoding


def _unpainted_groups(
    context: StageContext,
    info: VideoInfo,
    encoding: codecs.Encoding,
    painted: Sequence[bool],
    damaged: Sequence[int] = (),
) -> tuple[tuple[int, int], ...]:
    """Frames of the shot, in whole groups, whose coded pictures can stand beside those that are made."""
    shot, lines = _shot(context), info.lines
    if copying.stands_alone(info.codec) or not _can_meet(context, info, encoding):
        return ()
    places = probe.load_places_to_cut(context.folder("probe"))
    coded = np.array(painted, np.bool_)
    coded[[at - shot.start for at in damaged]] = True
    pairs = np.pad(coded, (0, -len(coded) % lines)).reshape(-1, lines)
    whole = np.asarray(pairs.any(1), np.bool_)
    found = copying.unpainted_groups(shot.start // lines, whole, places, info.frames // lines)
    return tuple((a * lines, b * lines) for a, b in found)


def _can_meet(context: StageContext, info: VideoInfo, encoding: codecs.Encoding) -> bool:
    """Whether coded pictures of the film may stand beside those that are made; their headers have to differ."""
    if not copying.can_meet(info, encoding, context.config.generate):
        return False
    if encoding.codec == "hevc":
        return copying.free_numbers(copying.film_header(context.job.video)) is not None
    return encoding.codec != "h264" or "sps-id" in encoding.options["x264-params"]


def _untouched(
    context: StageContext,
    info: VideoInfo,
    pts: Integers,
    encoding: codecs.Encoding,
    faces: int,
) -> GenerateResult | None:
    """The result of a shot in which nothing is painted: its coded pictures, and what lies before and after encoded.

    None where nothing can be copied, or a picture cannot be decoded: its group is encoded again.
    """
    settings, shot, lines = context.config.generate, _shot(context), info.lines
    if not _can_meet(context, info, encoding):
        return None
    places = probe.load_places_to_cut(context.folder("probe"))
    first, last = copying.copied_span(
        shot.start // lines, shot.end // lines, places, info.frames // lines
    )
    if first >= last:
        return None
    first, last = first * lines, last * lines
    if _damaged(context, info, pts):
        return None
    for name, (start, end) in {HEAD: (shot.start, first), TAIL: (last, shot.end)}.items():
        if start < end:
            frames = FrameReader(context.job.video, info, pts).read(start, end)
            with FrameWriter(context.out / name, info, settings, encoding=encoding) as writer:
                for frame in frames:
                    writer.write(frame.planes, frame.pts, frame.extras)
    sample = Sample(shot.start)
    return GenerateResult(shot.frames, False, 0, faces, 0, sample, (first, last))


def _damaged(context: StageContext, info: VideoInfo, pts: Integers) -> Sequence[int]:
    """Frames of the shot that cannot be decoded: known from the look for faces, else looked for."""
    folders = context.inputs.get("faces", ())
    known = load_damaged(folders[0]) if folders else None
    if known is not None:
        return known
    reader, shot = FrameReader(context.job.video, info, pts), _shot(context)
    for _ in reader.read(shot.start, shot.end):
        pass
    return reader.damaged


@dataclass(frozen=True, slots=True)
class _Made:
    """A picture of the result."""

    source: Frame
    planes: tuple[Plane, ...]
    painted: bool


def _paint(renderers: Sequence[base.FaceRenderer], frame: Frame) -> _Made:
    """One frame with its new mouths. Called by several threads at once, each with a frame of its own."""
    active = [r for r in renderers if r.touches(frame.index)]
    if not active:
        return _Made(frame, frame.planes, False)
    filmed = frame.for_painting()
    painted = tuple(plane.copy() for plane in filmed.planes)
    for renderer in active:
        renderer.paint(filmed, painted)
    return _Made(frame, painted_planes(frame.planes, frame.format, filmed.planes, painted), True)


def _lend(reader: TwoPasses, renderers: Sequence[base.FaceRenderer]) -> None:
    """Show each renderer the frames that it borrows."""
    for frame in reader.first(set[int]().union(*(r.borrowed for r in renderers))):
        filmed = frame.for_painting()
        for renderer in renderers:
            if frame.index in renderer.borrowed:
                renderer.lend(filmed)


def _shot(context: StageContext) -> Shot:
    if context.shot is None:
        raise WorkError("generate works on shots, but was given none")
    return context.shot


STAGE = Stage(
    name="generate",
    per=Per.SHOT,
    source=Source.DUB,
    after=("probe", "faces", "references", "timing"),
    run=run,
    version=14,
    sections=("generate",),
    files=("video",),
    identity=identity,
    engines=lambda config: (("synthesizer", config.generate.synthesizer, config.generate),),
    gpu=True,
    takes_over=True,
    fallback=keep_original,
)


def landmarker_identity(config: Config) -> str:
    """Of the landmarker that measures the result."""
    return engine_identity("landmarker", config.faces.landmarker, config.faces)


@dataclass(frozen=True, slots=True)
class ShotMeters:
    """The meters of a shot's dubbed faces; they compare each picture as filmed and as made, before it is encoded."""

    faces: Sequence[FaceMeter] = ()

    def measure(self, source: Frame, planes: tuple[Plane, ...]) -> None:
        """Measure one picture; pictures come in the film's order."""
        made = replace(source, planes=planes)
        for meter in self.faces:
            if meter.wants(source.index):
                meter.look(source, made)

    def save(self, folder: Path) -> None:
        """Write the files of `dubkit.metrics.shot_meter`."""
        save_seen(folder, [meter.seen() for meter in self.faces])


def shot_meters(
    info: VideoInfo,
    shot: Shot,
    faces: Sequence[tuple[FaceTrack, Part]],
    config: Config,
    device: str,
) -> ShotMeters:
    """Meters for the ``faces`` of a shot that are dubbed."""
    if not faces:
        return ShotMeters()
    rate = float(info.average_rate)
    edge = max(1, round(FADE_SECONDS * rate))
    landmarker = config.faces.landmarker
    locator = cast(
        base.Locator, registry.load_engine("landmarker", landmarker, config.faces, device)
    )
    found = []
    for track, part in faces:
        rows, timing = part.choice.usable & (track.state == FaceState.SEEN), part.timing
        if rows.any():
            times = timing.times[track.start - shot.start :][: len(track)]
            phonemes = phonemes_of(timing, config.generate)
            chosen = looks(away_from_edges(rows, edge), times, phonemes, rate)
            found.append(FaceMeter(track, chosen, locator))
    return ShotMeters(found)


def away_from_edges(rows: np.ndarray, edge: int) -> np.ndarray:
    """Rows farther than ``edge`` from one that is not: near it the new mouth fades."""
    near = np.convolve(~rows, np.ones(2 * edge + 1), "full")[edge : edge + len(rows)] > 0.5
    return np.asarray(rows & ~near, np.bool_)
