"""The second unit of preparing where pictures alone are wanted (``train.prepare.pictures``), a few a second.

The product's own engines follow the faces as in `training.clips`, but through every n-th frame only, and nothing
is asked of the sound: a set for the SC net in a fraction of the time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubkit.faces import align
from dubkit.faces.selection import choose
from dubkit.faces.tracker import track_shot
from dubkit.faces.tracklet import Rules, View
from dubkit.media.frames import Frame, FrameReader
from dubkit.media.pictures import PictureWriter
from dubkit.media.planes import rgb_crop
from dubkit.records import Shot, VideoInfo
from dubkit.stages.faces import FrameView
from dubkit.training import quality
from dubkit.training.analyse import times_of
from dubkit.training.clips import Cut, CutTask, Kept, crop_from_display, cut_with, face_engines
from dubkit.training.dataset import CROP, PreparedClip, write_clip
from dubkit.training.usable import Choices, Refused, Run, face_settings, refusals, usable_runs


@dataclass(frozen=True, slots=True)
class _Thinned:
    """Every n-th frame of a piece, numbered 0, 1, 2 ..."""

    reader: FrameReader
    start: int
    step: int

    def frames(self, start: int, end: int) -> Iterable[tuple[int, Frame]]:
        """Numbers ``start`` to ``end``, end excluded."""
        first, last = (self.start + n * self.step for n in (start, end - 1))
        for frame in self.reader.read(first, last + 1):
            number, rest = divmod(frame.index - self.start, self.step)
            if rest == 0:
                yield number, frame


def cut_pictures(task: CutTask) -> Cut:
    """Make the clips of one piece; what cannot be used is a result with the reason, never an error."""
    return cut_with(_cut, task)


def _cut(task: CutTask, info: VideoInfo, pts: NDArray[np.int64]) -> Cut:
    wanted = task.config.train.prepare
    settings = face_settings(task.config).model_copy(update={"which": "largest"})
    detector, landmarker = face_engines(face_settings(task.config), task.device)
    step = max(1, round(float(info.average_rate) / wanted.pictures))
    rate = float(info.average_rate) / step
    shot = Shot(0, -(-(task.end - task.start) // step))
    thinned = _Thinned(FrameReader(task.video, info, pts, threads=1), task.start, step)

    def views(start: int, end: int) -> Iterable[tuple[int, View]]:
        for number, frame in thinned.frames(start, end):
            yield number, FrameView(frame, detector, settings.detect_size)

    tracks = track_shot(shot, views, landmarker, Rules.of(settings, rate))
    choices, _ = choose(tracks, settings, rate, None)
    found = Choices(shot, rate, tracks, choices, None)
    refused = [_in_film(task, step, r.start, r.end, r.reason) for r in refusals(found, wanted)]
    kept: list[Kept] = []
    for run in usable_runs(found, wanted):
        start, end = (task.start + n * step for n in (run.start, run.end))
        name = task.name if task.whole and not kept else f"{task.name}-{start:07d}-{end:07d}"
        own = pts[start : task.end : step][: run.end - run.start]
        made = _clip(task, info, thinned, run, own, name)
        if isinstance(made, str):
            refused.append(_in_film(task, step, run.start, run.end, made))
        else:
            kept.append(made)
    return Cut(tuple(kept), tuple(refused))


def _in_film(task: CutTask, step: int, start: int, end: int, reason: str) -> Refused:
    last = min(task.start + end * step, task.end)
    return Refused(task.start + start * step, last, reason)


def _clip(
    task: CutTask,
    info: VideoInfo,
    thinned: _Thinned,
    run: Run,
    pts: NDArray[np.int64],
    name: str,
) -> Kept | str:
    """Write one clip, or say what is wrong with it."""
    track, rows = run.track, run.rows
    settings = task.config.train.prepare
    fault = quality.face_fault(track.scores[rows], settings)
    if fault:
        return fault
    landmarks = track.landmarks[rows]
    matrices = np.stack([crop_from_display(face) for face in landmarks])
    looks, path = quality.Looks(), task.out / f"{name}.mp4"
    with PictureWriter(path, CROP, info.average_rate, info.time_base) as writer:
        frames = thinned.frames(run.start, run.end)
        for (_, frame), at, matrix in zip(frames, pts - pts[0], matrices, strict=True):
            crop = rgb_crop(frame, matrix, CROP)
            looks.see(crop, 1 / align.scale_of(matrix))
            writer.write(crop, int(at))
    fault = quality.look_fault(looks, settings)
    if fault:
        path.unlink()
        return fault
    clip = PreparedClip(
        times=times_of(info, pts - pts[0]),
        landmarks=landmarks,
        confidence=track.scores[rows],
        pose=track.pose[rows],
        crop_from_display=matrices,
        energy=np.zeros(1, np.float32),
        phonemes={},
    )
    write_clip(task.out / f"{name}.npz", clip)
    width = float(np.median(track.boxes[rows, 2] - track.boxes[rows, 0]))
    start = task.start + run.start * thinned.step
    rate = float(info.average_rate) / thinned.step
    return Kept(name, start, len(pts), rate, round(width, 1), 0.0, None, ())
