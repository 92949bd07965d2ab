"""A new cut takes over what the earlier cut's job made: by picture, where dub and settings are the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from dubkit.cli.app import app
from dubkit.errors import InputError, UsageError, WorkError
from dubkit.media.frames import FrameReader
from dubkit.media.probe import probe
from dubkit.pipeline.inspect import OpenedJob
from dubkit.records import Floats, Shot, StageResult, Transition
from dubkit.stages.shots import Piece, Stretch, old_pieces, recut, taken_over
from tests.clips import ffmpeg, film as clip
from tests.delivery.films import Dubbed, dub, painted_film

LENGTHS = (14, 14, 10, 12)  # as long as the dub
# of the film: its second shot without its ends, a stranger, its fourth and its first shot
CUT = ((15, 26), (None, 10), (38, 50), (0, 14))
TAKEN = [
    ("0000000-0000011", "0000014-0000028", 15),
    ("0000021-0000033", "0000038-0000050", 38),
    ("0000033-0000047", "0000000-0000014", 0),
]
OFF = ("gate.action=off", "shots.min_seconds=0.2")


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Dubbed:
    folder = tmp_path_factory.mktemp("job")
    return dub(painted_film(folder / "movie.mkv", LENGTHS), *OFF)


@pytest.fixture(scope="module")
def new_cut(job: Dubbed) -> Path:
    stranger = clip(job.film.with_name("stranger.mkv"), size="160x96", seconds=0.4, sound=False)
    parts = [
        f"[{0 if a is not None else 1}:v]trim=start_frame={a or 0}:end_frame={b},"
        f"setpts=PTS-STARTPTS,format={PIXELS}[p{n}]"
        for n, (a, b) in enumerate(CUT)
    ]
    graph = ";".join(parts) + ";" + "".join(f"[p{n}]" for n in range(len(CUT)))
    path = job.film.with_name("new.mkv")
    ffmpeg("-i", job.film, "-i", stranger, "-filter_complex", f"{graph}concat=n={len(CUT)}[v]",
           "-map", "[v]", "-map", "0:a", "-shortest", "-c:v", "ffv1", path)  # fmt: skip
    return path


PIXELS = "bgr0"  # as FFV1 keeps the painted film


def pictures(path: Path) -> Floats:
    info, pts = probe(path)
    read = FrameReader(path, info, pts).read(0, info.frames)
    return np.stack([np.stack(frame.planes) for frame in read]).astype(np.float32)


def receipts(made: Dubbed, stage: str) -> dict[str, StageResult]:
    opened = OpenedJob(made.work)
    found = {shot.name: opened.receipt(stage, shot) for shot in opened.shots}
    return {name: one for name, one in found.items() if one is not None}


def taken(made: Dubbed) -> list[str]:
    return [n for n, one in receipts(made, "generate").items() if one.facts.get("taken_over")]


def test_frames_that_are_still_there_are_those_of_the_earlier_dub(
    job: Dubbed, new_cut: Path
) -> None:
    made = dub(new_cut, *OFF, reuse=job.work)
    assert taken(made) == [name for name, _, _ in TAKEN]
    old, new = pictures(job.result), pictures(made.result)
    assert len(new) == 47
    for name, _, first in TAKEN:
        start, end = map(int, name.split("-"))
        assert (new[start:end] == old[first : first + end - start]).all()
    filmed = pictures(new_cut)
    assert (new[:11] != filmed[:11]).any()
    assert (new[11:21] == filmed[11:21]).all()


def test_where_the_dub_is_another_the_shot_is_rendered(
    job: Dubbed, new_cut: Path, tmp_path: Path
) -> None:
    other = tmp_path / "new.mkv"
    other.write_bytes(new_cut.read_bytes())
    ffmpeg("-f", "lavfi", "-i", "sine=700:d=2:sample_rate=48000", tmp_path / "dubbed.wav")
    assert taken(dub(other, *OFF, reuse=job.work)) == []


def test_where_a_setting_of_the_picture_is_another_the_shot_is_rendered(
    job: Dubbed, new_cut: Path
) -> None:
    made = dub(new_cut, *OFF, "generate.amplitude=0.9", name="wide", reuse=job.work)
    assert taken(made) == []
    assert [r for r in receipts(made, "faces").values() if "taken over" in r.parts]


def test_what_cannot_be_taken_over_is_refused_at_once(
    job: Dubbed, new_cut: Path, tmp_path: Path
) -> None:
    small = clip(tmp_path / "small.mkv", size="128x96", seconds=0.4)
    with pytest.raises(UsageError, match=r"another width \(160\) than .* \(128\)"):
        dub(small, *OFF, reuse=job.work)
    with pytest.raises(WorkError, match="no readable manifest"):
        dub(new_cut, *OFF, name="none", reuse=tmp_path)
    film = tmp_path / "movie.mkv"
    film.write_bytes(job.film.read_bytes())
    work = dub(film, *OFF).work
    with pytest.raises(UsageError, match="own work folder"):
        dub(film, *OFF, reuse=work)
    film.unlink()
    with pytest.raises(InputError, match="is gone or has changed"):
        dub(new_cut, *OFF, name="none", reuse=work)


def test_the_command_finds_the_work_folder_of_a_result(job: Dubbed, new_cut: Path) -> None:
    done = CliRunner().invoke(
        app,
        ["run", str(new_cut), "--audio", str(job.dub), "--reuse", str(job.dub), "--until", "probe"],
    )
    assert done.exit_code == WorkError.exit_code
    assert "no work folder of dubbed.wav lies beside it" in done.stderr


def test_a_new_cut_has_the_borders_and_transitions_of_the_old_one() -> None:
    old = [Shot(0, 10), Shot(10, 30, (Transition(12, 16, "dissolve"),)), Shot(30, 40)]
    stretches = [Stretch(0, 5, 20), Stretch(20, None, 10), Stretch(30, 14, 10)]
    pieces = list(old_pieces(stretches, old))
    assert pieces == [Piece(0, 5, old[0], 5), Piece(5, 20, old[1], 10), Piece(30, 40, old[1], 14)]
    shots = recut([Shot(0, 8), Shot(8, 25), Shot(25, 40)], pieces, 40)
    assert [(s.start, s.end) for s in shots] == [(0, 5), (5, 20), (20, 25), (25, 30), (30, 40)]
    assert [(t.start, t.end) for s in shots for t in s.transitions] == [(7, 11), (30, 32)]
    found = [(one.shot, one.first) for one in taken_over(shots, pieces)]
    assert found == [(shots[0].name, 5), (shots[1].name, 10), (shots[4].name, 14)]
