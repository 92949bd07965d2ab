"""Tracks and choices on disk: ``tracks.npz`` (no pickle) and ``chosen.json`` in the folder of the faces stage."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from dubkit.errors import WorkError
from dubkit.records import FaceTrack, TrackChoice
from dubkit.work.store import open_arrays, read_record, write_record

TRACKS, CHOICES = "tracks.npz", "chosen.json"
_ARRAYS = ("boxes", "landmarks", "pose", "scores", "state", "occlusion")


def save_tracks(folder: Path, tracks: list[FaceTrack]) -> None:
    """Write ``tracks.npz``; equal tracks give equal bytes."""
    arrays = {f"{t.track}_{name}": getattr(t, name) for t in tracks for name in _ARRAYS}
    starts = np.array([t.start for t in tracks], np.int64)
    with (folder / TRACKS).open("wb") as file:
        np.savez(file, starts=starts, **arrays)


def load_tracks(folder: Path) -> list[FaceTrack]:
    """All tracks of a shot, largest face first. Raises WorkError where the file is missing or damaged."""
    path = folder / TRACKS
    try:
        with open_arrays(path) as stored:
            return [
                FaceTrack(n, int(start), *(stored[f"{n}_{name}"] for name in _ARRAYS))
                for n, start in enumerate(stored["starts"])
            ]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise WorkError(
            f"the work file {path} cannot be read: {error}", hint="run again with --force faces"
        ) from error


def save_choice(folder: Path, choices: list[TrackChoice]) -> None:
    """Write ``chosen.json``."""
    write_record(folder / CHOICES, choices, list[TrackChoice])


def load_choice(folder: Path) -> list[TrackChoice]:
    """What is done with each track, in the order of `load_tracks`."""
    return read_record(folder / CHOICES, list[TrackChoice])
