"""The gate on a real face: what it measures, what becomes of a shot that fails, and what is done again then."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner

import dubkit
from dubkit.cli.app import app
from dubkit.errors import OutputError
from dubkit.media.frames import FrameReader
from dubkit.media.probe import probe
from dubkit.metrics.gate_limits import GateResult
from dubkit.pipeline.inputs import digest_inputs
from dubkit.pipeline.inspect import job_status, read_job
from dubkit.pipeline.result import RunResult

CUT = 37
SPOKEN = slice(
    10, 52
)  # frames in which the dub speaks; at rest before and after, the picture is the film's own
FIRST, SECOND = "0000000-0000037", "0000037-0000075"
BAD = "gate.min_sharpness=50"  # no render is that sharp


class Film:
    """A film of two shots and its dub; everything but the gate is made once."""

    def __init__(self, data: Path, folder: Path) -> None:
        self.folder = folder
        self.video = data / "grid_other" / "bbaf2n.mp4"
        self.dub = data / "grid_other" / "lbax4n.mp4"
        self.script = folder / "dub.txt"
        self.script.write_text("lay blue at x four now")
        self.shots = folder / "shots.txt"
        self.shots.write_text(f"0\n{CUT}\n")
        self.out, self.work = folder / "out.mkv", folder / "work"

    def run(
        self, *settings: str, verdicts: Path | None = None, junit: Path | None = None
    ) -> RunResult:
        return dubkit.run(
            *(self.video, self.dub),
            script=self.script,
            shots=self.shots,
            out=self.out,
            work=self.work,
            settings=["generate.codec=ffv1", *settings],
            verdicts=verdicts,
            junit=junit,
            overwrite=True,
            device="cpu",
            jobs=1,
        )

    def verdicts(self, **shots: dict[str, str]) -> Path:
        path = self.folder / "verdicts.json"
        film = digest_inputs(read_job(self.work).job, {})["video"].sha256
        named = {{"first": FIRST, "second": SECOND}[name]: given for name, given in shots.items()}
        whole = {"kind": "dubkit-verdicts", "version": 1, "film": film, "shots": named}
        path.write_text(json.dumps(whole))
        return path

    def same(self) -> list[bool]:
        """Whether each picture of the result is the film's own."""
        pairs = zip(pictures(self.video), pictures(self.out), strict=True)
        return [np.array_equal(a, b) for a, b in pairs]

    def made(self) -> dict[str, int]:
        """When each shot was generated."""
        return {
            path.parent.name: path.stat().st_mtime_ns
            for path in self.work.glob("dub-*/generate/*/result.json")
        }


def pictures(path: Path) -> list[np.ndarray]:
    info, pts = probe(path)
    return [frame.planes[0].copy() for frame in FrameReader(path, info, pts).read(0, info.frames)]


@pytest.fixture(scope="module")
def film(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Film:
    film = Film(data, tmp_path_factory.mktemp("gate"))
    film.run()
    return film


def gates(result: RunResult) -> dict[str, GateResult]:
    return {gate.shot: gate for gate in result.gates}


def test_an_honest_render_passes_and_every_measure_has_its_value(film: Film) -> None:
    result = film.run()
    assert result.exit_code == 0
    assert result.done == 0, "nothing is measured twice"
    for gate in gates(result).values():
        assert gate.passed
        values = {check.measure: check.value for check in gate.faces[0].checks}
        assert values["offset_ms"] == 0
        assert values["movement"] is not None
        assert values["movement"] > 0.5
        assert values["found"] == 1
        assert values["outside"] == 0, "beside the mouth every sample is the film's own"
    assert not any(film.same()[SPOKEN])


def test_shots_that_fail_keep_their_picture_and_nothing_is_rendered_again(film: Film) -> None:
    film.run()
    before = film.made()
    result = film.run(BAD)
    assert result.exit_code == 10
    assert film.made() == before
    assert all(film.same())
    assert result.kept[0].startswith(f"shot {FIRST}: the mouth is blurred (")
    again = film.run(BAD)
    assert (again.exit_code, again.done) == (10, 0), "the outcome is remembered, not measured again"


def test_warn_says_so_and_off_judges_nothing(film: Film) -> None:
    warned = film.run(BAD, "gate.action=warn")
    assert warned.exit_code == 0
    assert any("fails the gate: the mouth is blurred" in text for text in warned.warnings)
    off = film.run(BAD, "gate.action=off")
    assert (off.exit_code, off.warnings) == (0, ())
    assert all(not gate.faces for gate in off.gates)


def test_stop_makes_no_film_and_tells_all_shots(film: Film, tmp_path: Path) -> None:
    junit = tmp_path / "gate.xml"
    with pytest.raises(OutputError, match=rf"2 of 2 shots fail the gate: shot {FIRST}: .*{SECOND}"):
        film.run(BAD, "gate.action=stop", junit=junit)
    suite = ElementTree.parse(junit).getroot()[0]
    failures = [case.get("classname") for case in suite if case.find("failure") is not None]
    assert failures == [f"dubkit.gate.{FIRST}", f"dubkit.gate.{SECOND}"]
    assert int(suite.get("tests", 0)) >= 20, "one case per shot and measure"


def test_a_verdict_decides_its_shot_alone(film: Film) -> None:
    film.run()
    before = film.made()
    result = film.run(verdicts=film.verdicts(second={"verdict": "reject", "note": "odd chin"}))
    assert result.exit_code == 10
    assert result.kept == (f"shot {SECOND}: rejected: odd chin",)
    assert film.made() == before
    same = film.same()
    assert all(same[CUT:])
    assert not any(same[SPOKEN.start : CUT - 4])


def test_approved_shots_pass_whatever_is_measured(film: Film) -> None:
    path = film.verdicts(first={"verdict": "approve"}, second={"verdict": "approve"})
    assert film.run(BAD, verdicts=path).exit_code == 0
    assert not any(film.same()[SPOKEN])


def test_a_rejected_shot_is_made_with_another_preset(film: Film, tmp_path: Path) -> None:
    film.run()
    before = film.made()
    own = tmp_path / "small.toml"
    own.write_text("[generate]\namplitude = 0.6\n")
    path = film.verdicts(first={"verdict": "reject", "instead": f"preset:{own}"})
    assert film.run(verdicts=path).exit_code == 0
    after = film.made()
    assert after[FIRST] != before[FIRST]
    assert after[SECOND] == before[SECOND]
    film.run()  # and back


@pytest.mark.parametrize(("border", "fades"), [("fade", True), ("hard", False)])
def test_the_neighbor_of_a_kept_shot_fades_where_the_picture_goes_on(
    film: Film, border: str, fades: bool
) -> None:
    own = pictures(film.video)
    film.run()
    dubbed = pictures(film.out)
    film.run(f"gate.border={border}", verdicts=film.verdicts(second={"verdict": "reject"}))
    made = pictures(film.out)

    def share(t: int) -> float:
        """How much of the new mouth picture ``t`` shows."""
        whole, part = (np.abs(p[t].astype(int) - own[t]).sum() for p in (dubbed, made))
        return float(part / whole)

    shares = [share(t) for t in range(CUT - 6, CUT)]
    assert shares[:2] == [1, 1]
    if fades:
        assert shares[2:] == pytest.approx([0.8, 0.6, 0.4, 0.2], abs=0.06)
    else:
        assert shares == [1] * 6
    assert len(made) == len(own)


def test_status_tells_what_the_gate_said(film: Film) -> None:
    film.run(BAD)
    assert [gate.kept for gate in job_status(film.work).gates] == [True, True]
    told = CliRunner().invoke(app, ["status", str(film.work)])
    assert told.exit_code == 0
    assert "keeps its original picture" in told.stdout
    listed = json.loads(CliRunner().invoke(app, ["status", str(film.work), "--json"]).stdout)
    assert [gate["kept"] for gate in listed["gates"]] == [True, True]
