"""The demo as a newcomer sees it: the real pipeline on the film that the package carries."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dubkit.media.audio import load_samples
from dubkit.media.frames import FrameReader
from dubkit.media.probe import probe
from dubkit.pipeline.job import STAGES

CUTS = (90, 155)
FRAMES = 265


@dataclass(frozen=True, slots=True)
class Demo:
    """A demo that was run once."""

    folder: Path
    events: list[dict[str, Any]]

    @property
    def result(self) -> dict[str, Any]:
        return self.events[-1]


def dubkit(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dubkit", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    folder = tmp_path_factory.mktemp("demo")
    done = dubkit("demo", "--json", "my demo", cwd=folder)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return Demo(folder / "my demo", events)


def pictures(path: Path) -> NDArray[np.float32]:
    """(frames, H, W, 3), small."""
    info, pts = probe(path)
    reader = FrameReader(path, info, pts)
    small = [frame.picture(320).astype(np.float32) for frame in reader.read(0, info.frames)]
    return np.stack(small)


@pytest.fixture(scope="module")
def change(demo: Demo) -> NDArray[np.float32]:
    """(frames, H, W): how much the dubbed film differs from the film."""
    before, after = pictures(demo.folder / "demo.mp4"), pictures(demo.folder / "demo.dubbed.mp4")
    assert before.shape == after.shape
    return np.asarray(np.abs(after - before).mean(axis=3), np.float32)


def strongest(change: NDArray[np.float32]) -> float:
    """The largest change of a frame, in the mean over frames."""
    return float(change.max(axis=(1, 2)).mean())


@pytest.mark.slow
class TestDemo:
    """What the demo leaves behind."""

    def test_it_says_where_the_result_is(self, demo: Demo) -> None:
        assert demo.result["event"] == "result"
        assert demo.result["status"] == "done"
        assert Path(demo.result["output"]).samefile(demo.folder / "demo.dubbed.mp4")

    def test_both_films_lie_side_by_side_and_the_report_beside_them(self, demo: Demo) -> None:
        info, _ = probe(demo.folder / "demo.before-after.mp4")
        assert (info.frames, info.display_size) == (FRAMES, (960, 392))
        assert sorted(path.name for path in demo.folder.iterdir()) == [
            "demo.before-after.mp4",
            "demo.de.flac",
            "demo.de.txt",
            "demo.dubbed.dubkit",
            "demo.dubbed.mp4",
            "demo.dubbed.report.html",
            "demo.mp4",
        ]

    def test_evaluating_it_takes_what_the_run_knows_and_leaves_nothing(self, demo: Demo) -> None:
        before = sorted(demo.folder.iterdir())
        done = dubkit("evaluate", str(demo.folder / "demo.dubbed.mp4"), "--json")
        assert done.returncode == 0, done.stderr
        film = json.loads(done.stdout)["films"][0]
        assert film["reference"] == str(demo.folder / "demo.mp4")
        assert {"closures", "seam", "psnr_frame"} <= set(film["rows"])
        assert film["missing"]["opening_correlation"] == "the reference has other words"
        assert sorted(demo.folder.iterdir()) == before
        assert (demo.folder / "demo.dubbed.mp4").stat().st_nlink == 1

    def test_the_summary_names_the_shots(self, demo: Demo) -> None:
        shots = demo.result["facts"]["shots"]
        assert [shot["end"] for shot in shots] == ["dubbed", "as filmed", "dubbed"]
        assert [shot["timecode"] for shot in shots] == ["00:00:00:00", "00:00:03:15", "00:00:06:05"]
        assert len(demo.result["facts"]["people"]) == 2

    def test_every_stage_reported_its_units(self, demo: Demo) -> None:
        planned = {e["stage"]: e["units"] for e in demo.events if e["event"] == "plan"}
        finished = [e["stage"] for e in demo.events if e["event"] == "unit"]
        assert sorted(planned) == sorted(stage.name for stage in STAGES)
        assert planned == {stage: finished.count(stage) for stage in planned}
        assert planned["generate"] == len(CUTS) + 1

    def test_the_dubbed_film_is_as_long_and_speaks_the_dub(self, demo: Demo) -> None:
        info, _ = probe(demo.folder / "demo.dubbed.mp4")
        assert info.frames == FRAMES
        assert info.rate == 25
        heard = load_samples(demo.folder / "demo.dubbed.mp4")
        wanted = load_samples(demo.folder / "demo.de.flac")
        length = min(len(heard), len(wanted))
        assert abs(len(heard) - len(wanted)) < 16000 * 0.1
        assert np.corrcoef(heard[:length], wanted[:length])[0, 1] > 0.9

    def test_the_mouths_move_and_nothing_else(self, change: NDArray[np.float32]) -> None:
        first, faceless, third = np.split(change, CUTS)
        assert strongest(faceless) == 0  # its coded frames are the film's
        for shot in (first, third):
            hair = shot[:, : shot.shape[1] // 4]  # changed by encoding anew, and by nothing else
            assert 0 < 4 * strongest(hair) < strongest(shot)
            assert hair.mean() < 2

    def test_a_second_run_does_nothing_and_changes_nothing(self, demo: Demo) -> None:
        result = demo.folder / "demo.dubbed.mp4"
        before = result.read_bytes()
        again = dubkit("demo", "--json", str(demo.folder))
        assert again.returncode == 0, again.stderr
        last = json.loads(again.stdout.splitlines()[-1])
        assert last["facts"]["units_done"] == 0
        assert result.read_bytes() == before

    def test_status_and_verify_are_content(self, demo: Demo) -> None:
        done = dubkit("status", str(demo.folder / "demo.dubbed.mp4"), "--verify", "--json")
        assert done.returncode == 0, done.stderr
        facts = json.loads(done.stdout)
        assert facts["finished"] is True
        assert facts["damaged"] == []
