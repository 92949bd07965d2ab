"""Fingerprints: everything that decides a result changes them, and nothing else does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from dubkit.config.schema import Config
from dubkit.pipeline.fingerprint import Run, examine, upstream, why
from dubkit.pipeline.job import STAGES
from dubkit.pipeline.request import RunRequest
from dubkit.records import FileDigest, Job, Shot, StageResult, Transition
from dubkit.stages.base import Per, Source, Stage

SHOTS = (Shot(0, 50), Shot(50, 90))
JOB = Job(Path("/f/film.mkv"), Path("/f/dub.wav"), Path("/f/out.mkv"), Path("/f/no-such-work"))


def make_run(config: Config | None = None, job: Job = JOB, **changes: Any) -> Run:
    inputs = {name: FileDigest(Path(name), 1, 1, name * 3) for name in ("video", "audio")}
    engines = {stage.name: "engine 1" for stage in STAGES}
    request = RunRequest(job, config or Config())
    return replace(Run(request, STAGES, inputs, engines), **changes)


def results(mark: str = "x") -> dict[str, StageResult]:
    found = {}
    for stage in STAGES:
        for unit in ["job"] if stage.per is Per.JOB else [shot.name for shot in SHOTS]:
            name = f"{stage.name}/{unit}"
            found[name] = StageResult(stage.name, unit, "f", outputs={"a": f"{mark} {name}"})
    return found


def parts(run: Run, upstream_results: dict[str, StageResult]) -> dict[str, dict[str, str]]:
    units = [u for stage in STAGES for u in examine(run, stage, SHOTS, upstream_results)]
    return {unit.key: dict(unit.parts) for unit in units}


def changed(before: dict[str, dict[str, str]], after: dict[str, dict[str, str]]) -> set[str]:
    return {key.split("/")[0] for key in before if before[key] != after[key]}


PLAIN = parts(make_run(), results())


@pytest.mark.filterwarnings("ignore:Pydantic")  # the other value is of another type
@pytest.mark.parametrize(
    ("section", "name"),
    [(s, n) for s, model in Config() for n in type(model).model_fields],
)
def test_a_setting_changes_the_stages_that_read_its_section(section: str, name: str) -> None:
    changed_section = getattr(Config(), section).model_copy(update={name: "another value"})
    config = Config().model_copy(update={section: changed_section})
    readers = {stage.name for stage in STAGES if section in stage.sections}
    assert changed(PLAIN, parts(make_run(config), results())) == readers
    assert (section in ("parallel", "train")) == (not readers)


@pytest.mark.parametrize("name", ["video", "audio", "script", "shots"])
def test_an_input_changes_the_stages_that_read_it(name: str) -> None:
    inputs = {**make_run().inputs, name: FileDigest(Path(name), 1, 1, "another")}
    readers = {stage.name for stage in STAGES if name in stage.files}
    assert changed(PLAIN, parts(make_run(inputs=inputs), results())) == readers
    assert readers


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(sorted(results())), st.text(max_size=3))
def test_an_output_changes_its_readers_alone(key: str, digest: str) -> None:
    found = results()
    found[key] = replace(found[key], outputs={"a": digest})
    after = parts(make_run(), found)
    stage, unit = key.split("/")
    touched = {name for name, value in after.items() if value != PLAIN[name]}
    assert {name.split("/")[0] for name in touched} == {s.name for s in STAGES if stage in s.after}
    if unit != "job":  # a shot's output reaches the same shot and the film, no other shot
        assert {name.split("/")[1] for name in touched} <= {unit, "job"}


def test_a_transition_changes_the_analysis_of_its_shot_alone() -> None:
    marked = [replace(SHOTS[0], transitions=(Transition(0, 3, "flash"),)), *SHOTS[1:]]
    units = [u for stage in STAGES for u in examine(make_run(), stage, marked, results())]
    touched = {unit.key for unit in units if dict(unit.parts) != PLAIN[unit.key]}
    seen = {s.name for s in STAGES if s.per is Per.SHOT and s.source is Source.VIDEO}
    assert touched == {f"{name}/{SHOTS[0].name}" for name in seen}
    assert "faces" in seen


def test_facts_warnings_and_times_of_a_result_decide_nothing() -> None:
    found = {
        name: replace(result, seconds=9.0, warnings=("w",), notes=("n",), facts={"a": 1})
        for name, result in results().items()
    }
    assert parts(make_run(), found) == PLAIN


def test_an_engine_and_a_container_are_part_of_it() -> None:
    engines = {**make_run().engines, "generate": "engine 2"}
    assert changed(PLAIN, parts(make_run(engines=engines), results())) == {"generate"}
    job = replace(JOB, output=Path("/f/out.mov"))
    assert changed(PLAIN, parts(make_run(job=job), results())) == {"stitch"}


def test_places_on_disk_are_no_part_of_it() -> None:
    job = replace(JOB, video=Path("/g/a.mkv"), audio=Path("/g/b.wav"), work=Path("/g/w"))
    assert parts(make_run(job=job), results()) == PLAIN


def test_why_names_each_part_that_differs() -> None:
    assert why({"a": "1"}, {"a": "1"}) == "current"
    old = {"settings faces.which": "all", "file video": "1", "input faces": "1", "engine": "x 1"}
    new = {"settings faces.which": "speaking", "file video": "2", "input faces": "2", "engine": "y"}
    assert why(old, new) == (
        "engine was x 1, is y; file video changed; input faces changed; "
        "faces.which was all, is speaking"
    )


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_stages_keep_the_contract(stage: Stage) -> None:
    names = [other.name for other in STAGES]
    before = STAGES[: names.index(stage.name)]
    assert set(stage.after) <= {other.name for other in before}
    assert set(stage.sections) <= set(Config.model_fields)
    if stage.per is Per.SHOT:
        assert "shots" not in stage.after  # else moving one cut would redo every shot
    if stage.source is Source.VIDEO:
        assert all(other.source is Source.VIDEO for other in before if other.name in stage.after)
        assert not {"audio", "script"} & set(stage.files)


def test_a_film_reads_its_shots_in_film_order() -> None:
    stitch = STAGES[-1]
    read = {other.name: members for other, members in upstream(make_run(), stitch, None, SHOTS)}
    assert read["generate"] == list(SHOTS)
