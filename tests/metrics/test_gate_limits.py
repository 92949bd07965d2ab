"""From measures to what becomes of a shot."""

from __future__ import annotations

import pytest

from dubkit.config.schema import Config, GateSettings
from dubkit.metrics.gate_limits import LIMITS, FaceChecks, GateResult, check, judge
from dubkit.records import Decision

GOOD = {"movement": 0.9, "offset_ms": 0.0, "seam": 0.001, "likeness": 0.99}


def gated(
    values: dict[str, float], decision: Decision | None = None, **settings: object
) -> GateResult:
    made = GateSettings.model_validate(settings)
    return judge("0000000-0000050", (FaceChecks(0, 50, check(values, made)),), made, decision)


def test_every_measure_has_a_limit_in_the_settings() -> None:
    settings = Config().gate
    assert all(hasattr(settings, rule.setting) for rule in LIMITS.values())


def test_a_good_shot_passes() -> None:
    result = gated(GOOD)
    assert (result.passed, result.kept, result.reasons) == (True, False, ())


def test_what_was_not_measured_passes_and_says_why() -> None:
    (missing,) = [c for c in check({}, Config().gate) if c.measure == "closures"]
    assert missing.passed
    assert missing.value is None
    assert missing.reason == "too few P, B, M"


def test_a_limit_itself_is_allowed() -> None:
    assert gated(GOOD | {"offset_ms": 50.0}, max_offset_ms=50).passed
    assert gated(GOOD | {"movement": 0.5}, min_movement=0.5).passed
    assert not gated(GOOD | {"movement": 0.49}, min_movement=0.5).passed


@pytest.mark.parametrize(("value", "words"), [(200.0, "behind"), (-200.0, "ahead of")])
def test_lips_may_be_neither_late_nor_early(value: float, words: str) -> None:
    (offset,) = [c for c in check({"offset_ms": value}, Config().gate) if c.measure == "offset_ms"]
    assert not offset.passed
    assert offset.better == "near 0"
    assert offset.reason == f"the lips are 200 ms {words} the sound"
    assert offset.excess == pytest.approx((200 - 120) / 120)
    assert gated(GOOD | {"offset_ms": value / 2}).passed


def test_a_bad_shot_keeps_its_picture_and_says_why() -> None:
    result = gated(GOOD | {"offset_ms": 200.0, "seam": 0.1})
    assert result.kept
    assert result.reasons == ("the lips are 200 ms behind the sound", "a seam is visible (0.100)")


@pytest.mark.parametrize(("action", "refused"), [("warn", False), ("stop", True)])
def test_other_actions_keep_nothing(action: str, refused: bool) -> None:
    result = gated(GOOD | {"offset_ms": 200.0}, action=action)
    assert not result.passed
    assert not result.kept
    assert result.refused is refused


def test_an_approved_shot_goes_into_the_film_whatever_was_measured() -> None:
    bad = GOOD | {"offset_ms": 200.0}
    assert not gated(bad, Decision("approve")).kept
    assert not gated(bad, Decision("approve"), action="stop").refused
    assert not gated(bad, Decision("approve")).passed, "the measures are what they are"


def test_a_rejected_shot_keeps_its_picture_with_the_remark_as_reason() -> None:
    result = gated(GOOD, Decision("reject", "chin smears"), action="warn")
    assert result.kept
    assert result.reasons == ("rejected: chin smears",)


def test_reasons_name_the_face_where_there_are_several() -> None:
    settings = Config().gate
    checks = check({"seam": 0.5}, settings)
    result = judge(
        "s", (FaceChecks(0, 9, check(GOOD, settings)), FaceChecks(2, 9, checks)), settings
    )
    assert result.reasons == ("face 2: a seam is visible (0.500)",)
