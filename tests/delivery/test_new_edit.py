"""A new edit of a film: what is still there is found, by number and by picture, and its patches lie on the new edit."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import opentimelineio as otio
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from dubkit.cli.app import app
from dubkit.delivery import DeliveryRequest, deliver
from dubkit.delivery.cut_list import read_timeline
from dubkit.delivery.new_edit import _reuses, compare_edit
from dubkit.errors import InputError
from dubkit.pipeline.inspect import OpenedJob
from dubkit.progress import NoProgress
from dubkit.stages.shots import match_pictures
from tests.clips import ffmpeg, film as clip
from tests.delivery.films import LATE, Dubbed, dub, painted_film
from tests.delivery.test_patches import conformed, picture_hash, placed

LENGTHS = (16, 14, 10)
BEGINS = 36000 * 25
# of the film: its second shot without three frames, a stranger of five frames, its first shot
EDIT = ((16, 27), (None, 5), (0, 16))
runner = CliRunner()


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Dubbed:
    folder = tmp_path_factory.mktemp("job")
    tags = ("-metadata", "timecode=10:00:00:00")
    return dub(painted_film(folder / "movie.mkv", LENGTHS, more=tags), "gate.action=off")


@pytest.fixture(scope="module")
def newly_cut(job: Dubbed) -> Path:
    """The new edit as a film, coded with loss."""
    stranger = clip(job.film.with_name("stranger.mkv"), size="160x96", seconds=0.2, sound=False)
    parts = [
        f"[1:v]trim=end_frame={b},setpts=PTS-STARTPTS,format=yuv420p"
        if a is None
        else f"[0:v]trim=start_frame={a}:end_frame={b},setpts=PTS-STARTPTS,format=yuv420p"
        for a, b in EDIT
    ]
    graph = ";".join(f"{part}[p{n}]" for n, part in enumerate(parts))
    path = job.film.with_name("newly cut.mp4")
    ffmpeg("-i", job.film, "-i", stranger, "-filter_complex", f"{graph};[p0][p1][p2]concat=n=3[v]",
           "-map", "[v]", "-c:v", "libx264", "-crf", "20", path)  # fmt: skip
    return path


def listed(path: Path) -> Path:
    """The new edit as a list."""
    timeline = otio.schema.Timeline("edit")
    timeline.global_start_time = otio.opentime.RationalTime(3600 * 25, 25)
    track = otio.schema.Track(kind=otio.schema.TrackKind.Video)
    for a, b in EDIT:
        start = 0 if a is None else BEGINS + a
        length = b if a is None else b - a
        used = otio.opentime.TimeRange(
            otio.opentime.RationalTime(start, 25), otio.opentime.RationalTime(length, 25)
        )
        track.append(otio.schema.Clip("c", otio.schema.MissingReference(), used))
    timeline.tracks.append(track)
    path.write_text(timeline.to_json_string())
    return path


EXPECTED = [
    (0, 11, "trimmed", "0000016-0000030", 16),
    (11, 16, "new", None, None),
    (16, 32, "stays", "0000000-0000016", 0),
]


@pytest.mark.parametrize("by", ["list", "picture"])
def test_what_is_still_there_is_found(
    job: Dubbed, newly_cut: Path, tmp_path: Path, by: str
) -> None:
    edit = listed(tmp_path / "new.otio") if by == "list" else newly_cut
    found = compare_edit(OpenedJob(job.work), edit)
    assert [(r.start, r.end, r.state, r.shot, r.first) for r in found.reuses] == EXPECTED
    assert [reuse.dubbed for reuse in found.reuses] == [True, False, True]
    assert found.removed == ("0000030-0000040",)


def test_patches_lie_on_the_new_edit(job: Dubbed, newly_cut: Path, tmp_path: Path) -> None:
    request = DeliveryRequest(job.work, tmp_path / "out", edit=listed(tmp_path / "new.otio"))
    made = deliver(request, NoProgress())
    assert made.record.edit_states == {"trimmed": 1, "new": 1, "stays": 1}
    places = [(LATE, 11), (16 + LATE, 32 - LATE)]
    for suffix in (".otio", ".edl"):
        clips = list(read_timeline(made.folder / f"movie{suffix}", Fraction(25)).find_clips())
        sources = [round(c.trimmed_range().start_time.value) - BEGINS for c in clips]
        lengths = [round(c.trimmed_range().duration.value) for c in clips]
        assert sources == [16 + LATE, LATE]
        assert lengths == [b - a for a, b in places]
    text = (made.folder / "movie.edl").read_text()
    assert "10:00:00:19 10:00:01:02 01:00:00:03 01:00:00:11" in text
    fcpxml = (made.folder / "movie.fcpxml").read_text()
    assert 'offset="90003/25s" start="900019/25s"' in fcpxml


def test_the_commands_show_the_new_edit(job: Dubbed, newly_cut: Path) -> None:
    done = runner.invoke(app, ["diff", str(job.work), str(newly_cut), "--edit"])
    assert done.exit_code == 0, done.output
    assert "1 stays, 0 moved, 1 trimmed, 1 new, 1 removed" in done.output
    done = runner.invoke(app, ["diff", str(job.work), str(newly_cut), "--edit", "--json"])
    assert json.loads(done.stdout)["removed"] == ["0000030-0000040"]


def test_an_edit_of_another_film_or_rate_is_refused(job: Dubbed, tmp_path: Path) -> None:
    other = tmp_path / "other.edl"
    line = "001  AX       V     C        {0} {1} 01:00:00:00 01:00:01:00\n"
    other.write_text("TITLE: t\n\n" + line.format("05:00:00:00", "05:00:01:00"))
    with pytest.raises(InputError, match=r"nothing of movie\.mkv"):
        compare_edit(OpenedJob(job.work), other)
    other.write_text("TITLE: t\n\n" + line.format("10:00:00:28", "10:00:01:28"))
    with pytest.raises(InputError, match="not a cut list at 25 frames/s"):
        compare_edit(OpenedJob(job.work), other)
    stranger = clip(tmp_path / "stranger.mkv", size="160x96", seconds=0.4, sound=False)
    with pytest.raises(InputError, match="nothing of"):
        compare_edit(OpenedJob(job.work), stranger)


def test_a_list_at_which_its_reader_dies_is_refused(tmp_path: Path) -> None:
    used = otio.opentime.TimeRange(
        otio.opentime.RationalTime(0, 25), otio.opentime.RationalTime(9, 25)
    )
    track = otio.schema.Track(kind=otio.schema.TrackKind.Video)
    track.extend(
        [otio.schema.Clip("c", otio.schema.ExternalReference("a", used), used) for _ in "ab"]
    )
    timeline = otio.schema.Timeline("edit")
    timeline.tracks.append(track)
    path, whole = tmp_path / "edit.otio", timeline.to_json_string()
    path.write_text(whole)
    assert len(list(read_timeline(path, Fraction(25)).find_clips())) == 2
    table = json.loads(whole)
    table["tracks"]["children"][0]["children"][1]["OTIO_SCHEMA"] = "Clip.1"  # OTIO 0.18: signal 11
    path.write_text(json.dumps(table))
    with pytest.raises(InputError, match="OpenTimelineIO fails at it"):
        read_timeline(path, Fraction(25))


def test_sixty_shots_with_trims_moves_removals_and_strangers_are_told_apart() -> None:
    rng = np.random.default_rng(3)
    old = pictures(rng, 60)
    ranges = [(20 * n, 20 * n + 20) for n in range(60)]
    order: list[tuple[int, int] | None] = [*ranges]
    for n in (4, 9, 14, 19, 24, 29, 34, 39, 44, 49):  # ten trims, at both ends
        order[n] = (ranges[n][0] + 3, ranges[n][1] - 4)
    for at, to in ((50, 10), (52, 22), (6, 33), (12, 56), (41, 2)):  # five moves
        item = ranges[at]
        order.remove(item)
        order.insert(to, item)
    for n in (1, 26, 58):  # three removals
        order.remove(ranges[n])
    order.insert(17, None)
    order.insert(40, None)  # two new ones
    parts = [pictures(rng, 1) if r is None else old[r[0] : r[1]] for r in order]
    new = np.concatenate(parts)
    noisy = np.clip(new + rng.normal(0, 2, new.shape), 0, 255).astype(np.float32)
    shots = [(f"{a}-{b}", a, b) for a, b in ranges]
    found = list(_reuses(list(match_pictures(noisy, old)), shots, set()))
    assert Counter(r.state for r in found) == {"stays": 42, "trimmed": 10, "moved": 5, "new": 2}
    starts = np.cumsum([0, *map(len, parts)])
    assert [r.start for r in found] == starts[:-1].tolist()
    assert [r.first for r in found] == [None if r is None else r[0] for r in order]
    assert len({r.shot for r in found if r.shot}) == 57


def pictures(rng: np.random.Generator, shots: int) -> NDArray[np.float32]:
    """Twenty small pictures a shot, which change slowly."""
    first = rng.uniform(0, 255, (shots, 1, 300))
    change = rng.normal(0, 6, (shots, 20, 300)).cumsum(1)
    moving = np.clip(first + change, 0, 255).reshape(-1, 300)
    return np.asarray(moving, np.float32)


def test_moved_patches_conform_the_old_dubbed_film_as_well(job: Dubbed, tmp_path: Path) -> None:
    """The edit that changes nothing: patches lie where they lie without one."""
    timeline = otio.schema.Timeline("edit")
    timeline.global_start_time = otio.opentime.RationalTime(BEGINS, 25)
    track = otio.schema.Track(kind=otio.schema.TrackKind.Video)
    used = otio.opentime.TimeRange(
        otio.opentime.RationalTime(BEGINS, 25), otio.opentime.RationalTime(40, 25)
    )
    track.append(otio.schema.Clip("c", otio.schema.MissingReference(), used))
    timeline.tracks.append(track)
    (tmp_path / "same.otio").write_text(timeline.to_json_string())
    request = DeliveryRequest(job.work, tmp_path / "out", edit=tmp_path / "same.otio")
    made = deliver(request, NoProgress())
    clips: Sequence[tuple[Path, int, int, int]] = placed(
        made, read_timeline(made.folder / "movie.otio", Fraction(25)), BEGINS
    )
    assert conformed(job.film, clips, 40) == picture_hash("-i", job.result)
