"""Verdict files: what is refused, and which settings they give a shot."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dubkit.config.schema import Config
from dubkit.errors import ConfigError, InputError, UsageError
from dubkit.pipeline.fingerprint import ShotConfig, examine, why
from dubkit.pipeline.inputs import digest_inputs, open_run
from dubkit.pipeline.job import STAGES
from dubkit.pipeline.verdicts import (
    ShotVerdict,
    check_film,
    check_shots,
    config_with,
    decision_of,
    read_verdicts,
)
from dubkit.records import Decision, Shot
from dubkit.stages.base import Per
from tests.fakes import Bench

SHOT = "0000050-0000090"


def write(path: Path, **changes: object) -> Path:
    whole = {
        "kind": "dubkit-verdicts",
        "version": 1,
        "film": "ab" * 32,
        "shots": {SHOT: {"verdict": "reject"}},
        **changes,
    }
    path.write_text(json.dumps({key: value for key, value in whole.items() if value is not None}))
    return path


def test_a_verdict_file_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "v.json", shots={SHOT: {"verdict": "reject", "note": "chin smears"}})
    assert read_verdicts(path).shots == {SHOT: ShotVerdict(verdict="reject", note="chin smears")}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"kind": "shopping-list"}, "kind"),
        ({"version": 2}, "version"),
        ({"film": None}, "film"),
        ({"extra": 1}, "extra"),
        ({"shots": {SHOT: {"verdict": "maybe"}}}, "verdict"),
        ({"shots": {SHOT: {"verdict": "reject", "instaed": "original"}}}, "instaed"),
        ({"shots": {SHOT: {"verdict": "reject", "instead": "nothing"}}}, "nothing"),
        ({"shots": []}, "shots"),
    ],
)
def test_what_is_no_verdict_file_is_refused_with_the_place(
    tmp_path: Path, changes: dict[str, object], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        read_verdicts(write(tmp_path / "v.json", **changes))


def test_no_json_and_no_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "v.json").write_bytes(b"\xff{")
    with pytest.raises(InputError, match="not a verdict file"):
        read_verdicts(tmp_path / "v.json")
    with pytest.raises(InputError, match="cannot be read"):
        read_verdicts(tmp_path / "w.json")


def test_verdicts_of_another_film_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "v.json")
    with pytest.raises(UsageError, match=r"another film than movie\.mp4"):
        check_film(read_verdicts(path), path, "cd" * 32, "movie.mp4")


def test_shots_that_are_not_there_are_named() -> None:
    with pytest.raises(UsageError, match=r"0000001-0000002 \(and 1 more\)"):
        check_shots(["0000001-0000002", "0000003-0000004", SHOT], [SHOT])
    check_shots([SHOT], [SHOT, "0000090-0000200"])


def test_a_preset_changes_how_the_shot_is_made_but_not_how_it_is_coded(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('[generate]\namplitude = 0.5\nquality = 30.0\ncodec = "ffv1"\n')
    verdict = ShotVerdict(verdict="reject", instead=f"preset:{own}")
    made = config_with(verdict, Config())
    assert made.generate.amplitude == 0.5
    assert (made.generate.quality, made.generate.codec) == (16.0, "source")
    assert decision_of(verdict) is None, "the new picture is judged as any other"


def test_a_preset_that_changes_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="would not change"):
        config_with(ShotVerdict(verdict="reject", instead="preset:balanced"), Config())
    with pytest.raises(ConfigError, match="no preset named"):
        config_with(ShotVerdict(verdict="reject", instead="preset:nonsense"), Config())


class TestOnARun:
    def bench(self, folder: Path, **shots: dict[str, str]) -> Bench:
        bench = Bench(folder)
        film = digest_inputs(bench.job, {})["video"].sha256
        named = {name.replace("_", "-").removeprefix("s"): v for name, v in shots.items()}
        path = write(folder / "verdicts.json", film=film, shots=named)
        bench.job = type(bench.job)(
            *(bench.job.video, bench.job.audio, bench.job.output, bench.job.work), verdicts=path
        )
        return bench

    def test_only_the_shot_of_the_verdict_is_made_again(self, tmp_path: Path) -> None:
        Bench(tmp_path).run()
        own = tmp_path / "own.toml"
        own.write_text("[generate]\namplitude = 0.5\n")
        verdict = {"verdict": "reject", "instead": f"preset:{own}"}
        bench = self.bench(tmp_path, s0000050_0000090=verdict)
        bench.counts()
        bench.run()
        assert [line for line in bench.counts() if "generate" in line] == [f"generate/{SHOT}"]
        bench.run()
        assert bench.counts() == [], "and then it is current"

    def test_an_unknown_shot_stops_before_anything_is_made_of_shots(self, tmp_path: Path) -> None:
        bench = self.bench(tmp_path, s0000001_0000002={"verdict": "approve"})
        with pytest.raises(UsageError, match="0000001-0000002"):
            bench.run()
        assert not [line for line in bench.counts() if "generate" in line]

    def test_verdicts_make_no_other_dub(self, tmp_path: Path) -> None:
        Bench(tmp_path).run()
        bench = self.bench(tmp_path, s0000050_0000090={"verdict": "approve"})
        bench.counts()
        bench.run()
        assert bench.counts() == [], "no stage of the fake pipeline listens to the gate's settings"
        assert len(list(bench.job.work.glob("dub-*"))) == 1


@pytest.mark.parametrize(
    ("verdict", "decision"),
    [
        (ShotVerdict(verdict="approve"), Decision("approve")),
        (ShotVerdict(verdict="reject", note="chin smears"), Decision("reject", "chin smears")),
    ],
)
def test_any_other_verdict_is_a_decision_for_the_gate_and_leaves_the_settings(
    verdict: ShotVerdict, decision: Decision
) -> None:
    assert decision_of(verdict) == decision
    assert config_with(verdict, Config()) == Config()


def test_a_decision_is_part_of_the_fingerprint_of_the_stage_that_heeds_it_alone(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path)
    shot = Shot(50, 90)
    run = open_run(bench.request(), STAGES)
    gate = next(stage for stage in STAGES if stage.heeds_decision)
    (before,) = examine(run, gate, [shot], {})
    own = ShotConfig(run.config, run.engines, Decision("reject", "chin smears"))
    decided = replace(run, own={shot.name: own})
    (after,) = examine(decided, gate, [shot], {})
    assert why(before.parts, after.parts) == "verdict was none, is reject chin smears"
    for stage in STAGES:
        if stage.per is Per.SHOT and stage is not gate:
            (same,) = examine(decided, stage, [shot], {})
            (old,) = examine(run, stage, [shot], {})
            assert same.parts == old.parts
