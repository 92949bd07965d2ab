"""AAF, written by OTIO's adapter and read back by it: every clip at its frames, every marker on its clip."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from dubkit.delivery import DeliveryRequest, deliver
from dubkit.delivery.cut_list import Clip, CutList, Mark, load_otio, otio_timeline, write_aaf
from dubkit.media import timecode
from dubkit.progress import NoProgress
from tests.delivery.films import dub, painted_film

pytestmark = pytest.mark.aaf
pytest.importorskip("otio_aaf_adapter")


def placed(timeline: Any) -> list[tuple[object, ...]]:
    return [
        (
            track.kind,
            clip.name,
            round(clip.range_in_parent().start_time.value),
            round(clip.trimmed_range().start_time.value),
            round(clip.trimmed_range().duration.value),
            round(clip.trimmed_range().start_time.rate, 3),
        )
        for track in timeline.tracks
        for clip in track.find_clips()
    ]


@pytest.mark.parametrize(
    ("rate", "code"),
    [
        (Fraction(24000, 1001), "01:00:00:00"),
        (Fraction(25), "10:00:00:00"),
        (Fraction(30000, 1001), "01:00:00;00"),
        (Fraction(60000, 1001), "23:59:58:00"),
    ],
)
def test_an_aaf_is_read_back_frame_by_frame(tmp_path: Path, rate: Fraction, code: str) -> None:
    begins, clock = timecode.read(code, rate)
    clips = tuple(
        Clip(
            f"p{n}.mov",
            Path(f"p{n}.mov"),
            *(100 * n + 5, 40),
            *(100 * n + 10, 100 * n + 40),
            (Mark(100 * n + 12, 100 * n + 20, f"shot {n}", "the chin smears", "YELLOW"),),
        )
        for n in range(3)
    )
    film, sound = tmp_path / "movie.mov", tmp_path / "movie_dub.wav"
    cuts = CutList("movie", "A001", clock, begins, 1000, (640, 360), film, sound, clips)
    write_aaf(cuts, tmp_path / "movie.aaf")
    found = load_otio().adapters.read_from_file(str(tmp_path / "movie.aaf"), adapter_name="AAF")
    wanted = otio_timeline(cuts)
    assert placed(found) == placed(wanted)
    assert round(found.global_start_time.value) == begins
    marks = [(c.name, m.name) for c in found.find_clips() for m in c.markers]
    assert marks == [(f"p{n}.mov", f"shot {n}: the chin smears") for n in range(3)]
    starts = [round(m.marked_range.start_time.value) for c in found.find_clips() for m in c.markers]
    assert [start - begins for start in starts] == [12, 112, 212]


def test_a_delivery_holds_an_aaf(tmp_path: Path) -> None:
    tags = ("-metadata", "timecode=10:00:00:00")
    job = dub(painted_film(tmp_path / "movie.mkv", (16, 14), more=tags))
    made = deliver(DeliveryRequest(job.work, tmp_path / "out"), NoProgress())
    assert "movie.aaf" in [file.file for file in made.record.files]
    found = load_otio().adapters.read_from_file(str(made.folder / "movie.aaf"), adapter_name="AAF")
    own = load_otio().adapters.read_from_file(str(made.folder / "movie.otio"))
    assert placed(found) == placed(own)
    pictures = DeliveryRequest(job.work, tmp_path / "pictures", codec="exr")
    assert not list(deliver(pictures, NoProgress()).folder.glob("*.aaf"))
