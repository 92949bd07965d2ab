"""Split the film into shots and find the transitions between them, which stay as filmed.

Publishes ``shots.json`` and ``shots.csv`` (to correct by hand). Where the job of an earlier cut is given, the film's
pictures are looked for in that cut: what is still there keeps its shots, and ``taken.json`` says which they are.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from dubkit.config.schema import Config
from dubkit.engines import base, registry, shot_borders
from dubkit.engines.versions import identity as engine_identity
from dubkit.errors import UsageError, WorkError
from dubkit.media import probe, shotlist
from dubkit.media.frames import FrameReader
from dubkit.progress import place_in_film
from dubkit.records import TAKEN, Doubles, Floats, Integers, Shot, Taken, Transition, VideoInfo
from dubkit.stages.base import Per, Source, Stage, StageContext, StageReport
from dubkit.stages.probe import load_film
from dubkit.work.store import read_record, write_record

SHOTS = "shots.json"
LIST = "shots.csv"
_NAMED = 8  # transitions of a kind that a note names


def load_shots(folder: Path) -> list[Shot]:
    """What this stage published."""
    return read_record(folder / SHOTS, list[Shot])


def run(context: StageContext) -> StageReport:
    """Take the shots from the job's list, or detect them."""
    info, pts = load_film(context.folder("probe"))
    if context.job.shots is not None:
        listed = shotlist.read_shots(context.job.shots, info.frames // info.lines)
        from dubkit.engines.shot_detectors import transitions  # loads PySceneDetect

        known = transitions(context.job.video, info, pts)
        shots = [
            with_transitions(Shot(shot.start * info.lines, shot.end * info.lines), known)
            for shot in listed
        ]
        engine = f"list {shot_borders.VERSION}"
    else:
        detector = _detector(context.config)
        found = detector.detect(context.job.video, info, pts)
        _refuse_damaged(context, detector, info.frames)
        shots = without_short(whole(found, info), pts, info, context.config.shots.min_seconds)
        engine = f"{detector.name} {detector.version}"
    notes, taken = [], []
    if context.job.reuse is not None:
        earlier = context.earlier
        before, times = load_film(earlier.picture("probe"))
        old_shots = load_shots(earlier.picture("shots"))
        check_alike(context.job.video, info, earlier.job.video, before)
        new = small_pictures(context.job.video, info, pts)
        old = small_pictures(earlier.job.video, before, times)
        pieces = list(old_pieces(match_pictures(new, old), old_shots))
        if context.job.shots is None:
            shots = recut(shots, pieces, info.frames)
        taken = list(taken_over(shots, pieces))
        write_record(context.out / TAKEN, taken, list[Taken])
        notes = [_found_again(shots, taken, old_shots, earlier.job.video)]
    check_tiling(shots, info.frames)
    write_record(context.out / SHOTS, shots, list[Shot])
    coded = [Shot(shot.start // info.lines, shot.end // info.lines) for shot in shots]
    shotlist.write_shots(context.out / LIST, coded)
    spans = [span for shot in shots for span in shot.transitions]
    return StageReport(
        engine=engine,
        notes=(*notes, *_notes(spans, (pts - pts[0]) * float(info.time_base))),
        facts={"shots": len(shots), "transition_frames": sum(s.end - s.start for s in spans)},
    )


def _notes(spans: Sequence[Transition], times: Doubles) -> Iterator[str]:
    """Where the film stays as filmed because one picture turns into another; one line for each kind."""
    for kind in sorted({span.kind for span in spans}):
        places = [span for span in spans if span.kind == kind]
        seconds = [place_in_film(float(times[span.start])) for span in places[:_NAMED]]
        more = f" and {len(places) - _NAMED} more" if len(places) > _NAMED else ""
        frames = sum(span.end - span.start for span in places)
        yield f"{kind}: {frames} frames stay as filmed, at {', '.join(seconds)}{more}"


def with_transitions(shot: Shot, spans: Sequence[Transition]) -> Shot:
    """The shot with the parts of ``spans`` that lie in it."""
    return Shot(shot.start, shot.end, tuple(shot_borders.within(spans, shot.start, shot.end)))


def _refuse_damaged(context: StageContext, detector: base.ShotDetector, frames: int) -> None:
    """An engine that looks at every picture may say how many are none, long before the film is made."""
    damaged = getattr(detector, "repaired", 0)
    probe.refuse_damaged(context.job.video, damaged, frames, context.config.probe.max_damaged)


def whole(shots: list[Shot], info: VideoInfo) -> list[Shot]:
    """Shots of whole coded frames: a cut between two fields of a frame moves behind it."""
    starts = sorted({-(-shot.start // info.lines) * info.lines for shot in shots} - {info.frames})
    spans = [span for shot in shots for span in shot.transitions]
    edges = zip(starts, [*starts[1:], info.frames], strict=True)
    return [with_transitions(Shot(a, b), spans) for a, b in edges]


def without_short(
    shots: list[Shot], pts: Integers, info: VideoInfo, min_seconds: float
) -> list[Shot]:
    """Join shots shorter than ``min_seconds`` with the one before, the first with the one after.

    For engines that only count; ``adaptive`` joins by the picture.
    """
    times = (pts - pts[0]) * float(info.time_base)
    end = max(info.duration, float(times[-1]))
    starts = [0]
    for shot in shots[1:]:
        began = float(times[shot.start])
        if began - float(times[starts[-1]]) >= min_seconds and end - began >= min_seconds:
            starts.append(shot.start)
    spans = [span for shot in shots for span in shot.transitions]
    edges = zip(starts, [*starts[1:], info.frames], strict=True)
    return [with_transitions(Shot(a, b), spans) for a, b in edges]


def check_tiling(shots: list[Shot], frames: int) -> None:
    """Raise WorkError where shots leave a frame out or hold one twice: an engine's fault."""
    edges = [0, *(shot.end for shot in shots)]
    tiled = all(shot.start == a < shot.end for shot, a in zip(shots, edges, strict=False))
    if not tiled or edges[-1] != frames:
        raise WorkError(
            f"the shots of the shot engine do not cover the film's {frames} frames",
            hint="choose another with --set shots.detector=adaptive",
        )


@dataclass(frozen=True, slots=True)
class Stretch:
    """Consecutive frames of the new cut; ``old`` is the first one's place in the old film, None: not there."""

    new: int
    old: int | None
    frames: int


@dataclass(frozen=True, slots=True)
class Piece:
    """Frames of the new cut that come from one shot of the old film."""

    start: int
    end: int
    shot: Shot  # of the old film
    first: int  # its frame there


_SIDE = 32  # pixels, long side of the pictures that are compared
# levels of 255, root of the mean square, by which coding changes a small picture at most, and where it hardly does
_ALIKE, _EQUAL = 6.0, 0.5
_ODD = 2.0  # times what is usual in a stretch, from which a picture may be of another place
_OTHER = 3.0  # times what is usual in the film, from which it is another picture: the next take of the same shot
_AHEAD = 12  # frames over which likely places are compared
_SHORTEST = 8  # frames of a stretch: fewer that are alike are chance
_NEAR, _LIKELY = 64, 8  # places that are alike roughly, and those that are compared
_MEAN = 24  # values of a picture that are one roughly
_TOGETHER = 8192  # pictures that are compared at once


def match_pictures(new: NDArray[np.generic], old: NDArray[np.generic]) -> Iterator[Stretch]:
    """Stretches of ``new`` (N, P) small pictures that are in ``old`` (M, P), one after another.

    A picture goes on where the one before it was found, as long as it is as alike as those before; else the likeliest
    place is taken, by the pictures that follow. How alike the same picture is in both, coded otherwise, is measured
    first: another take of a shot may look much the same.
    """
    rough = _rough(new), _rough(old)
    first = list(_matched(new, old, rough, _ALIKE))
    found = [s for s in first if s.old is not None and s.frames > _SHORTEST]
    apart = [_apart(new[s.new : s.new + s.frames], old[s.old or 0 :][: s.frames]) for s in found]
    if not apart:
        yield Stretch(0, None, len(new))
        return
    limit = min(_ALIKE, _EQUAL + _OTHER * float(np.median(np.concatenate(apart))))
    yield from _at_cuts(new, old, list(_without_chance(_matched(new, old, rough, limit))))


def _matched(
    new: NDArray[np.generic],
    old: NDArray[np.generic],
    rough: tuple[Floats, Floats],
    limit: float,
) -> Iterator[Stretch]:
    place, start = _place(new, old, rough, 0, limit), 0
    usual = 0.0  # how far pictures of this stretch are apart
    for frame in range(1, len(new) + 1):
        following = None
        if frame < len(new):
            at = None if place is None else place + frame - start
            inside = at is not None and at < len(old)
            apart = float(_apart(new[frame], old[at])) if inside else np.inf
            if apart < min(limit, max(_EQUAL, _ODD * usual)):
                usual += (apart - usual) / 8
                continue
            following = _place(new, old, rough, frame, limit)
            if following == at:
                usual += (apart - usual) / 8 if inside else 0.0
                continue
        yield Stretch(start, place, frame - start)
        place, start, usual = following, frame, 0.0


def _without_chance(stretches: Iterable[Stretch]) -> Iterator[Stretch]:
    """Stretches of which short ones count as not found; neighbors that are not found are one."""
    waiting: Stretch | None = None
    for stretch in stretches:
        if stretch.old is not None and stretch.frames >= _SHORTEST:
            if waiting is not None:
                yield waiting
                waiting = None
            yield stretch
        elif waiting is None:
            waiting = replace(stretch, old=None)
        else:
            waiting = replace(waiting, frames=waiting.frames + stretch.frames)
    if waiting is not None:
        yield waiting


def _at_cuts(
    new: NDArray[np.generic], old: NDArray[np.generic], stretches: Sequence[Stretch]
) -> list[Stretch]:
    """Stretches that end where the next one begins: a picture after a cut may be alike in both shots."""
    found = list(stretches)
    for number, (one, two) in enumerate(itertools.pairwise(stretches)):
        if one.old is None or two.old is None:
            continue
        one, count = found[number], 0
        while count < min(_SHORTEST, one.frames - 1, two.old):
            picture, at = new[two.new - count - 1], (one.old or 0) + one.frames - count - 1
            if _apart(picture, old[two.old - count - 1]) > _apart(picture, old[at]):
                break
            count += 1
        found[number] = replace(one, frames=one.frames - count)
        found[number + 1] = Stretch(two.new - count, two.old - count, two.frames + count)
    return found


def _apart(a: NDArray[np.generic], b: NDArray[np.generic]) -> Floats:
    """How far pictures (..., P) are apart: root of the mean square."""
    one, other = (pictures.astype(np.float32) for pictures in (a, b))
    return np.asarray(np.sqrt(((one - other) ** 2).mean(-1)), np.float32)


def _rough(pictures: NDArray[np.generic]) -> Floats:
    """(N, Q) means over neighboring values: pictures that are apart in these are at least as far apart in all."""
    count = max(1, pictures.shape[1] // _MEAN)
    whole = pictures[:, : count * _MEAN]
    parts = (whole[at : at + _TOGETHER] for at in range(0, len(whole), _TOGETHER))
    means = [part.reshape(len(part), count, -1).mean(-1, dtype=np.float32) for part in parts]
    return np.concatenate(means)


def _place(
    new: NDArray[np.generic],
    old: NDArray[np.generic],
    rough: tuple[Floats, Floats],
    frame: int,
    limit: float,
) -> int | None:
    """The frame of ``old`` that a picture of ``new`` most likely is; None where none is alike."""
    near = np.argsort(_apart(rough[1], rough[0][frame]), kind="stable")[:_NEAR]
    apart = _apart(old[near], new[frame])
    likely = near[np.argsort(apart, kind="stable")[:_LIKELY]]
    best: tuple[float, int] | None = None
    for at in (int(place) for place in likely):
        length = min(_AHEAD, len(new) - frame, len(old) - at)
        steps = _apart(new[frame : frame + length], old[at : at + length])
        alike = int(np.argmax(steps >= limit)) if (steps >= limit).any() else length
        if alike:
            score = (-alike + float(steps[:alike].mean()) / limit, at)
            best = score if best is None or score < best else best
    return None if best is None else best[1]


def small_pictures(path: Path, info: VideoInfo, pts: Integers) -> NDArray[np.uint8]:
    """(N, P) the pictures of a film, so small that coding hardly matters."""
    frames = FrameReader(path, info, pts).read(0, info.frames)
    return np.stack([frame.picture(_SIDE).ravel() for frame in frames])


def small_film(path: Path) -> NDArray[np.uint8]:
    """(N, P) a film's pictures, of interlaced film one of each frame."""
    info, pts = probe.probe(path)
    return small_pictures(path, info, pts)[:: info.lines]


def old_pieces(stretches: Iterable[Stretch], shots: Sequence[Shot]) -> Iterator[Piece]:
    """What of stretches comes from each of the old film's ``shots``, in the new cut's order."""
    starts = [shot.start for shot in shots]
    for stretch in stretches:
        if stretch.old is None:
            continue
        end, at = stretch.old + stretch.frames, stretch.old
        while at < end:
            shot = shots[bisect_right(starts, at) - 1]
            after = min(end, shot.end)
            new = stretch.new + at - stretch.old
            yield Piece(new, new + after - at, shot, at)
            at = after


ALIKE = ("width", "height", "pixel_format", "average_rate", "fields", "pixel_aspect", "rotation")


def check_alike(video: Path, info: VideoInfo, other: Path, before: VideoInfo) -> None:
    """Raise UsageError where renders of an earlier cut cannot stand in this film: pictures of another kind."""
    for name in ALIKE:
        own, old = getattr(info, name), getattr(before, name)
        if own != old:
            raise UsageError(
                f"nothing can be taken over from the dub of {other.name}: its pictures have another "
                f"{name.replace('_', ' ')} ({old}) than those of {video.name} ({own})",
                hint="run without --reuse",
            )


def recut(shots: Sequence[Shot], pieces: Sequence[Piece], frames: int) -> list[Shot]:
    """The shots of the new cut: those of the old one where it comes from it, else ``shots`` as they were found."""
    starts = {shot.start for shot in shots} | {0}
    spans = [span for shot in shots for span in shot.transitions]
    for piece in pieces:
        starts = {at for at in starts if not piece.start < at < piece.end}
        starts |= {piece.start, piece.end} - {frames}
        spans = [s for s in spans if s.end <= piece.start or s.start >= piece.end]
        by = piece.start - piece.first
        for span in piece.shot.transitions:
            low, high = max(span.start + by, piece.start), min(span.end + by, piece.end)
            if low < high:
                spans.append(Transition(low, high, span.kind))
    ordered = sorted(starts)
    edges = zip(ordered, [*ordered[1:], frames], strict=True)
    return [with_transitions(Shot(a, b), sorted(spans)) for a, b in edges]


def taken_over(shots: Sequence[Shot], pieces: Sequence[Piece]) -> Iterator[Taken]:
    """The shots that lie in one piece."""
    starts = [piece.start for piece in pieces]
    for shot in shots:
        number = bisect_right(starts, shot.start) - 1
        if number >= 0 and shot.end <= pieces[number].end:
            piece = pieces[number]
            yield Taken(shot.name, piece.shot.name, piece.first + shot.start - piece.start)


def _found_again(
    shots: Sequence[Shot], taken: Sequence[Taken], known: Sequence[Shot], film: Path
) -> str:
    lengths = {shot.name: shot.frames for shot in (*shots, *known)}
    whole = sum(lengths[one.shot] == lengths[one.earlier] for one in taken)
    return (
        f"of {len(shots)} shots, {whole} are in {film.name} as they are and {len(taken) - whole} in part; "
        f"{len(shots) - len(taken)} are new"
    )


def identity(config: Config) -> str:
    """The shot engine, and what finds transitions where shots come from a list."""
    engine = engine_identity("shots", config.shots.detector, config.shots)
    return f"{engine}, {shot_borders.VERSION}"


def _detector(config: Config) -> base.ShotDetector:
    return cast(
        base.ShotDetector, registry.load_engine("shots", config.shots.detector, config.shots)
    )


STAGE = Stage(
    name="shots",
    per=Per.JOB,
    source=Source.VIDEO,
    after=("probe",),
    run=run,
    version=2,
    sections=("shots", "probe"),
    files=("video", "shots", "reuse"),
    identity=identity,
)
