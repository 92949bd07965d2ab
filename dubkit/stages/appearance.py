"""Stage ``appearance``: what the faces of one shot look like, so that one person is known in all shots.

Writes ``looks.npz`` (`dubkit.faces.appearance`), ``face_N.jpg``, a small portrait of each face, and ``offer_N.npz``,
the frames that a face lends to other shots (`dubkit.lips.lending`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import cv2
import numpy as np

from dubkit.config.schema import Config
from dubkit.engines import base as engines, registry
from dubkit.engines.versions import identity as engine_identity
from dubkit.errors import WorkError
from dubkit.faces import appearance, selection
from dubkit.lips import lending, overlay_removal
from dubkit.media import frames, planes
from dubkit.records import FaceState, FaceTrack, Floats, Indices, Picture, VideoInfo
from dubkit.stages.base import Per, Source, Stage, StageContext, StageReport
from dubkit.stages.probe import load_film

_QUALITY = 88  # of the portraits, JPEG
_LOOK_SECONDS = 0.8  # before and after an offered frame, in which an overlay is found
_FEATHER = 0.12  # of the mask under which an overlay counts, as `GenerateSettings.feather`


def run(context: StageContext) -> StageReport:
    """Describe the faces of one shot."""
    settings = context.config.appearance
    tracks = selection.load_tracks(context.folder("faces"))
    chosen = {track.track: appearance.choose_rows(track, settings.samples) for track in tracks}
    if not any(len(rows) for rows in chosen.values()):
        appearance.save_looks(context.out, [_nothing(track) for track in tracks])
        return StageReport(facts={"faces": len(tracks), "described": 0})
    cv2.setNumThreads(1)
    engine = cast(
        engines.Appearance,
        registry.load_engine("appearance", settings.engine, settings, context.device),
    )
    found: dict[int, list[Floats]] = {track.track: [] for track in tracks}
    portraits: dict[int, tuple[float, Picture]] = {}
    offers = _offers(context, tracks)
    lent: dict[int, list[lending.Offered]] = {}
    seen = {track.track: set(chosen[track.track].tolist()) for track in tracks}
    info, _ = load_film(context.folder("probe"))
    over = {t.track: Overlaid(t, info, offers[t.track]) for t in tracks if len(offers[t.track])}
    around = {number: one.rows for number, one in over.items()}
    for frame, track, row in _sightings(context, tracks, chosen, offers, around):
        face = track.landmarks[row]
        if row in around.get(track.track, ()):
            over[track.track].see(frame.for_painting().planes[0], row)
        if row in offers.get(track.track, ()):
            filmed = frame.for_painting()
            name = f"{_shot_name(context)}/{track.track}"
            reference = lending.cut(filmed, face)
            offer = lending.judged(name, filmed, face, track.pose[row], reference)
            lent.setdefault(track.track, []).append((offer, reference))
        if row not in seen[track.track]:
            continue
        side = engine.crop_size
        crop = planes.rgb_crop(frame, appearance.aligned_from_display(face, side), side)
        found[track.track].append(engine.describe(crop[None])[0])
        clear = float(appearance.clearness(track)[row])
        if clear > portraits.get(track.track, (-1.0,))[0]:
            way = appearance.portrait_from_display(face)
            portraits[track.track] = clear, planes.rgb_crop(frame, way, appearance.PORTRAIT_SIDE)
    looks = [
        appearance.described(track, chosen[track.track], np.stack(found[track.track]))
        if found[track.track]
        else _nothing(track)
        for track in tracks
    ]
    appearance.save_looks(context.out, looks)
    for number, pairs in lent.items():
        free = over[number].clear(pairs)
        if free:
            kept = lending.Lent(tuple(o for o, _ in free), tuple(r for _, r in free))
            lending.save_lent(context.out / offer_name(number), kept)
    for number, (_, picture) in portraits.items():
        (context.out / portrait_name(number)).write_bytes(_jpeg(picture))
    return StageReport(
        engine=f"{engine.name} {engine.version}",
        facts={"faces": len(tracks), "described": sum(len(rows) for rows in chosen.values())},
    )


class Overlaid:
    """Whether something lies over a face in the frames that it offers (`overlay_removal`): those are not lent.

    ``rows`` are the rows of the track to look at: those around the offered ones.
    """

    def __init__(self, track: FaceTrack, info: VideoInfo, offered: Indices) -> None:
        rate = float(info.average_rate)
        reach = round(_LOOK_SECONDS * rate)
        near = np.zeros(len(track), np.bool_)
        for row in offered:
            near[max(0, row - reach) : row + reach + 1] = True
        self.rows: Indices = np.flatnonzero(near & (track.state != FaceState.ABSENT))
        self._row_of = {track.start + int(row): int(row) for row in offered}
        shapes = lending.canonical_of(track)
        layout = planes.paint_format(planes.plane_format(info))
        ways = lending.display_from_canonical(track)
        each = [planes.plane_from_display(info, layout, k) for k in range(layout.planes)]
        self._found = overlay_removal.FaceOverlays(
            each, ways, (shapes, shapes), _FEATHER, rate, layout.depth
        )

    def see(self, luma: planes.Plane, row: int) -> None:
        """Look at a frame; frames come in order."""
        self._found.see(luma, row)

    def clear(self, offers: Sequence[lending.Offered]) -> list[lending.Offered]:
        """The offers over which nothing lies, when all frames were seen."""
        rows = [self._row_of[offer.frame] for offer, _ in offers]
        self._found.find({row: one for row, (_, one) in zip(rows, offers, strict=True)})
        return [
            (offer, one)
            for row, (offer, one) in zip(rows, offers, strict=True)
            if not self._found.over_lips(row)
            and self._found.kept(row, one.planes, one.plane_from_canonical) is None
        ]


def portrait_name(track: int) -> str:
    """The file of a face's portrait in this stage's folder."""
    return f"face_{track}.jpg"


def offer_name(track: int) -> str:
    """The file of what a face lends, in this stage's folder; missing where it lends nothing."""
    return f"offer_{track}.npz"


def _shot_name(context: StageContext) -> str:
    if context.shot is None:
        raise WorkError("appearance works on shots, but was given none")
    return context.shot.name


def _offers(context: StageContext, tracks: Sequence[FaceTrack]) -> dict[int, Indices]:
    """The rows that each face lends."""
    choices = {c.track: c for c in selection.load_choice(context.folder("faces"))}
    return {
        track.track: lending.offered_rows(track, choices[track.track].usable) for track in tracks
    }


def _sightings(
    context: StageContext, tracks: Sequence[FaceTrack], *chosen: dict[int, Indices]
) -> Iterator[tuple[frames.Frame, FaceTrack, int]]:
    """The frames to look at, in the film's order, with the faces to look at in them."""
    info, pts = load_film(context.folder("probe"))
    reader = frames.FrameReader(context.job.video, info, pts, threads=context.cores)
    wanted: dict[int, list[tuple[FaceTrack, int]]] = {}
    for track in tracks:
        for row in sorted({int(row) for rows in chosen for row in rows.get(track.track, ())}):
            wanted.setdefault(track.start + row, []).append((track, row))
    for frame in reader.read_some(wanted):
        for track, row in wanted[frame.index]:
            yield frame, track, row


def _nothing(track: FaceTrack) -> appearance.TrackLook:
    """Of a face that is never seen well enough."""
    return appearance.described(track, np.zeros(0, np.intp), np.zeros((0, 1), np.float32))


def _jpeg(picture: Picture) -> bytes:
    shown = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1])


def run_without(context: StageContext) -> StageReport:
    """No face is described: the fallback where that failed."""
    appearance.save_looks(context.out, [])
    return StageReport(facts={"faces": 0, "described": 0})


def _identity(config: Config) -> str:
    return engine_identity("appearance", config.appearance.engine, config.appearance)


STAGE = Stage(
    name="appearance",
    per=Per.SHOT,
    source=Source.VIDEO,
    after=("probe", "faces"),
    run=run,
    version=7,
    sections=("appearance",),
    files=("video",),
    identity=_identity,
    engines=lambda config: (("appearance", config.appearance.engine, config.appearance),),
    gpu=True,
    fallback=run_without,
)
