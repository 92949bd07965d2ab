"""Still portraits as footage: one picture of one face, without sound. Only the SC net learns from them.

The only stage of preparing a still, which becomes a clip of a single row. Publishes what `training.cut_clips` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from dubkit.config.schema import Config, PrepareSettings
from dubkit.engines.base import Locator
from dubkit.errors import InputError
from dubkit.faces import align, tracklet
from dubkit.media.pictures import PictureWriter
from dubkit.records import Detection, Picture
from dubkit.stages.base import Per, Source, Stage, StageContext, StageReport
from dubkit.training import cut_clips, dataset, quality
from dubkit.training.quality import Refused, face_settings
from dubkit.work.store import write_record

STEM = "still"
_ROUNDS = 3  # of placing landmarks, each on a crop by those of the one before
_SECOND = 0.6  # a face this large against the largest one is another person in the picture
_ODDEST = 0.14  # mean distance from the mean face, canonical units: badly hidden or drawn faces are beyond
_LINES = (
    1.8  # focus over which a picture of one color is made of lines or dots: an engraving, a print
)
_ONE_COLOR = (
    4.0  # deviation of the color differences, gray levels: gray and sepia pictures have 1 to 3
)


def run(context: StageContext) -> StageReport:
    """Make the clip of one picture."""
    result = cut_still(context.job.video, context.config, context.out, context.device)
    write_record(context.out / cut_clips.CLIPS_RECORD, result)
    return StageReport(facts={"clips": len(result.clips), "refused": len(result.refused)})


def cut_still(picture: Path, config: Config, out: Path, device: str = "cpu") -> cut_clips.CutResult:
    """Write the clip of one picture to ``out``; what cannot be used is a result with the reason, not an error."""
    cv2.setNumThreads(1)  # workers share the cores
    try:
        return cut_clips.CutResult(clips=(_cut(picture, config, out, device),))
    except InputError as error:
        return cut_clips.CutResult(refused=(Refused(0, 1, error.message),))


def _cut(path: Path, config: Config, out: Path, device: str) -> cut_clips.CutClip:
    wanted = config.train.prepare
    picture = _read(path, config.probe.max_pixels)
    settings = face_settings(config)
    detector, landmarker = cut_clips.face_engines(settings, device)
    found = _only_face(detector.detect(picture), wanted)
    region = _region(picture, found)
    face = _placed(region, landmarker, found)
    _check(face, wanted)
    matrix = cut_clips.crop_from_display(face.landmarks)
    crop = region.crop(matrix, dataset.CROP)
    crops = quality.CropQuality()
    crops.add(crop, 1 / align.scale_of(matrix))
    fault = quality.crop_fault(crops, wanted)
    if fault:
        raise InputError(fault)
    if crops.focus[0] > _LINES and colors(crop) < _ONE_COLOR:
        raise InputError("drawn or printed: of one color, and made of lines or dots")
    _write(out, face, matrix, crop)
    return cut_clips.CutClip(STEM, 0, 1, 1.0, round(found.box[2] - found.box[0], 1))


def colors(crop: Picture) -> float:
    """How much the color of a picture (S, S, 3) RGB differs within it, gray levels; a tint of all does not count."""
    coded = cv2.cvtColor(cv2.GaussianBlur(crop, (0, 0), 2), cv2.COLOR_RGB2YCrCb)
    return float(coded[..., 1:].reshape(-1, 2).std(0).mean())


def _read(path: Path, most: int) -> Picture:
    coded = np.frombuffer(path.read_bytes(), np.uint8)
    picture = cv2.imdecode(coded, cv2.IMREAD_COLOR) if len(coded) else None
    if picture is None:
        raise InputError("it is not a readable picture")
    if picture.shape[0] * picture.shape[1] > most:
        raise InputError(f"it has {picture.shape[1]} x {picture.shape[0]} pixels, over the limit")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def _only_face(found: Sequence[Detection], settings: PrepareSettings) -> Detection:
    """The face of the picture. Raises `InputError` where there is none, or more than one."""
    if not found:
        raise InputError("no face")
    sizes = [d.box[2] - d.box[0] for d in found]
    largest = int(np.argmax(sizes))
    if sizes[largest] < settings.min_width:
        raise InputError(
            f"face too small: {sizes[largest]:.0f} pixels wide, {settings.min_width:g} needed"
        )
    if sum(size > _SECOND * sizes[largest] for size in sizes) > 1:
        raise InputError("several faces")
    return found[largest]


def _region(picture: Picture, found: Detection) -> tracklet.Region:
    """The picture, brought near to the size of its crop, so that sampling does not alias."""
    way = align.canonical_from_points(found.points)
    factor = max(1, int(align.scale_of(align.invert(way)) * 3 / dataset.CROP))
    if factor == 1:
        return tracklet.Region(picture, np.eye(2, 3))
    size = (picture.shape[1] // factor, picture.shape[0] // factor)
    whole = picture[: size[1] * factor, : size[0] * factor]
    small = np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_AREA), np.uint8)
    shift = (1 / factor - 1) / 2
    return tracklet.Region(small, np.array([[1 / factor, 0, shift], [0, 1 / factor, shift]]))


def _placed(region: tracklet.Region, landmarker: Locator, found: Detection) -> tracklet.Sighting:
    way = align.canonical_from_points(found.points)
    for _ in range(_ROUNDS):
        (face,) = tracklet.locate(region, landmarker, [way])
        if not tracklet.plausible(face.landmarks):
            raise InputError("no face: its landmarks do not form one")
        way = align.canonical_from_face(face.landmarks)
    return face


def _check(face: tracklet.Sighting, settings: PrepareSettings) -> None:
    """Raises `InputError` with what is wrong with a face."""
    fault = quality.face_fault(np.array([face.score], np.float32), settings)
    if fault:
        raise InputError(fault)
    yaw, pitch, _ = np.abs(face.pose)
    if yaw > settings.max_yaw or pitch > settings.max_pitch:
        raise InputError(f"turned away: {yaw:.0f} degrees sideways, {pitch:.0f} up or down")
    odd = tracklet.shape_deviation(face.landmarks)
    if odd > _ODDEST:
        raise InputError(f"an odd face, drawn or hidden: {odd:.2f} off the mean, {_ODDEST} allowed")


def _write(out: Path, face: tracklet.Sighting, matrix: align.Matrix, crop: Picture) -> None:
    with PictureWriter(out / f"{STEM}.mp4", dataset.CROP, Fraction(1), Fraction(1, 25)) as writer:
        writer.write(crop, 0)
    clip = dataset.PreparedClip(
        times=np.zeros(1),
        landmarks=face.landmarks[None],
        confidence=np.array([face.score], np.float32),
        pose=face.pose[None],
        crop_from_display=matrix[None],
        energy=np.zeros(1, np.float32),
        phonemes={},
    )
    dataset.write_clip(out / f"{STEM}.npz", clip)


STAGE = Stage(
    name="still",
    per=Per.JOB,
    source=Source.VIDEO,
    after=(),
    run=run,
    version=2,
    sections=("probe", "faces", "train.prepare"),
    files=("video",),
    identity=cut_clips.face_identity,
    gpu=True,
)
