"""The probe stage: what it publishes, what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dubkit.config.schema import Config
from dubkit.errors import InputError, WorkError
from dubkit.media.probe import probe
from dubkit.records import Job
from dubkit.stages.base import StageContext, StageReport
from dubkit.stages.probe import PTS, load_film, run
from tests.clips import film


def probed(tmp_path: Path, source: Path, **settings: Any) -> tuple[Path, StageReport]:
    out = tmp_path / "out"
    out.mkdir()
    job = Job(source, tmp_path / "dub.wav", tmp_path / "film.mp4", tmp_path)
    config = Config.model_validate({"probe": settings})
    return out, run(StageContext(job, config, out, {}))


def test_facts_and_times_are_published_and_read_back(tmp_path: Path) -> None:
    source = film(tmp_path / "source.mkv", rate="24000/1001", extra=("-vf", "setsar=16/11"))
    out, report = probed(tmp_path, source)
    info, pts = load_film(out)
    assert (info, pts.tolist()) == (probe(source)[0], probe(source)[1].tolist())
    assert report.facts["rate"] == "24000/1001"
    assert not report.warnings


def test_a_film_without_times_is_taken_with_a_warning(tmp_path: Path) -> None:
    out, report = probed(tmp_path, film(tmp_path / "source.h264", sound=False))
    assert "frames are counted" in report.warnings[0]
    assert not load_film(out)[0].timed


@pytest.mark.parametrize("limit", [{"max_pixels": 96 * 64 - 1}, {"max_hours": 1e-5}])
def test_a_film_beyond_the_limits_is_refused_with_the_way_to_raise_them(
    tmp_path: Path, limit: dict[str, float]
) -> None:
    with pytest.raises(InputError, match="more than the limit") as caught:
        probed(tmp_path, film(tmp_path / "source.mp4"), **limit)
    assert caught.value.hint is not None
    assert next(iter(limit)) in caught.value.hint


def test_damaged_times_are_a_work_error(tmp_path: Path) -> None:
    out, _ = probed(tmp_path, film(tmp_path / "source.mp4"))
    (out / PTS).write_bytes(b"no array")
    with pytest.raises(WorkError, match=r"pts\.npy"):
        load_film(out)
    np.save(out / PTS, np.array([object()], object), allow_pickle=True)
    with pytest.raises(WorkError):
        load_film(out)
