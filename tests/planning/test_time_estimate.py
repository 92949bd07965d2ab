from __future__ import annotations

import pytest

from dubkit.planning.film_plan import earlier
from dubkit.records import StageResult

PARTS = {"engine": "warp 1", "settings generate.quality": "16"}
SETTINGS = {"settings generate.quality": "16"}


def shot(
    start: int, end: int, painted: int, seconds: float, **parts: str
) -> tuple[StageResult, float]:
    made = StageResult(
        "generate",
        f"{start:07d}-{end:07d}",
        "x",
        parts={**PARTS, **parts},
        seconds=0.75 * seconds,
        facts={"painted": painted},
    )
    return made, 0.25 * seconds


def test_earlier_shots_tell_both_speeds() -> None:
    rows = [shot(0, 100, 0, 1.0), shot(100, 300, 150, 15.5)]
    speed = earlier(rows, "warp 1", SETTINGS)
    assert speed is not None
    assert speed.plain == pytest.approx(0.01)
    assert speed.painted == pytest.approx(0.1)
    assert speed.seconds(100, 50) == pytest.approx(5.5)
    assert "2 shots rendered earlier" in speed.basis


def test_without_bare_shots_all_frames_count_alike() -> None:
    speed = earlier([shot(0, 200, 150, 20.0)], "warp 1", SETTINGS)
    assert speed is not None
    assert speed.plain == pytest.approx(0.1)
    assert speed.painted == pytest.approx(0.1)


def test_other_generators_other_settings_and_failures_tell_nothing() -> None:
    assert earlier([shot(0, 200, 150, 20.0)], "tcsc 2", SETTINGS) is None
    other = shot(0, 200, 150, 20.0, **{"settings generate.quality": "30"})
    assert earlier([other], "warp 1", SETTINGS) is None
    assert earlier([shot(0, 50, 40, 4.0)], "warp 1", SETTINGS) is None
