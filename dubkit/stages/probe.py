"""Look at the film: facts and frame times. Publishes ``video.json`` and ``pts.npy``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dubkit.config.schema import ProbeSettings
from dubkit.errors import InputError, ToolError, WorkError
from dubkit.media import loudness
from dubkit.media.copying import places_to_cut
from dubkit.media.probe import probe
from dubkit.records import Integers, VideoInfo
from dubkit.stages.base import Per, Source, Stage, StageContext, StageReport
from dubkit.work.store import load_array, read_record, write_record

NOTED = 1.0  # seconds between the ends of film and dub that are no accident: told before a run
VIDEO = "video.json"
PTS = "pts.npy"
CUTS = "cuts.npy"  # where the coded film can be cut, see `copying.places_to_cut`


def load_film(folder: Path) -> tuple[VideoInfo, Integers]:
    """What this stage published: facts and the times of all frames, (frames,) in their time base."""
    path = folder / PTS
    try:
        pts: Integers = load_array(path)
    except (OSError, ValueError) as error:
        raise WorkError(
            f"the work file {path} cannot be read", hint="run again with --force probe"
        ) from error
    return read_record(folder / VIDEO, VideoInfo), pts


def load_places_to_cut(folder: Path) -> Integers:
    """Where the coded film can be cut: `copying.places_to_cut`."""
    found: Integers = load_array(folder / CUTS)
    return found


def run(context: StageContext) -> StageReport:
    """Probe the film and refuse what cannot be dubbed."""
    settings = context.config.probe
    info, pts = probe(context.job.video, settings.max_pixels, settings.fields)
    _check_limits(context.job.video, info, context.config.probe)
    loud = _loudness(context.job.video, info)
    write_record(context.out / VIDEO, info)
    np.save(context.out / PTS, pts, allow_pickle=False)
    np.save(context.out / CUTS, places_to_cut(context.job.video, info), allow_pickle=False)
    return StageReport(
        warnings=tuple(_remarks(info)),
        facts={
            "frames": info.frames,
            "seconds": round(info.duration, 3),
            "width": info.display_size[0],
            "height": info.display_size[1],
            "rate": str(info.rate) if info.rate else "variable",
            "pixels": info.pixel_format,
            **loudness.facts(loud),
        },
        notes=(f"loudness of the film: {loud.words}",) if loud else (),
    )


def _loudness(path: Path, info: VideoInfo) -> loudness.Loudness | None:
    """Of the film's first sound track; None where there is none that can be decoded."""
    track = next((s for s in info.streams if s.kind == "audio" and s.channels), None)
    try:
        return loudness.measure(path, track.index) if track else None
    except ToolError:  # damaged sound is no reason to refuse the pictures
        return None


def _check_limits(path: Path, info: VideoInfo, settings: ProbeSettings) -> None:
    if info.width * info.height > settings.max_pixels:
        raise InputError(
            f"{path} has pictures of {info.width} x {info.height}, more than the limit",
            hint=f"raise it with --set probe.max_pixels={info.width * info.height}",
        )
    hours = info.duration / 3600
    if hours > settings.max_hours:
        raise InputError(
            f"{path} is {hours:.1f} hours long, more than the limit of {settings.max_hours:g}",
            hint=f"raise it with --set probe.max_hours={np.ceil(hours):g}",
        )


def _remarks(info: VideoInfo) -> list[str]:
    remarks = []
    if info.fields:
        remarks.append(
            f"the film is interlaced, {info.fields} field first: each of its {info.frames} fields is worked on as a "
            "frame, and frames are counted so"
        )
    if not info.timed:
        remarks.append(
            f"the film's {info.container} container states no usable frame times: "
            f"frames are counted at {float(info.average_rate):g} a second"
        )
    return remarks


STAGE = Stage(
    name="probe",
    per=Per.JOB,
    source=Source.VIDEO,
    after=(),
    run=run,
    version=7,
    sections=("probe",),
    files=("video",),
)
