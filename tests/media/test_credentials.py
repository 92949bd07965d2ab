"""What films say of how they were made, without the extra: the source type in any case, and facts beside a film."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dubkit.cli.app import app
from dubkit.config.schema import Config
from dubkit.errors import InputError, UsageError
from dubkit.media import credentials
from dubkit.media.probe import probe
from dubkit.metrics.gate_limits import GATE, GateResult
from dubkit.records import FileDigest, Job, Shot
from dubkit.stages import generate, probe as probe_stage, stitch
from dubkit.stages.base import StageContext
from dubkit.work.store import digest_file, write_record
from tests.clips import film, tone
from tests.matrix.films import Patch
from tests.stages.test_stitch import stitched

runner = CliRunner()
XDCAM = ("-c:v", "mpeg2video", "-b:v", "2M")


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".avi", ".mxf"])
@pytest.mark.parametrize("touched", [True, False])
def test_a_film_in_which_a_mouth_was_changed_states_its_source_type(
    tmp_path: Path, suffix: str, touched: bool
) -> None:
    video = XDCAM if suffix == ".mxf" else ("-c:v", "libx264", "-preset", "veryfast")
    sound = ("-c:a", "pcm_s16le", "-ar", "48000") if suffix == ".mxf" else ()
    source = film(tmp_path / f"source{suffix}", seconds=0.6, extra=sound, video=video)
    dub = tone(tmp_path / "dub.wav", 0.6, rate=48000)
    made, _ = stitched(tmp_path, source, dub, touched=touched, out=f"film{suffix}")
    wanted = credentials.SOURCE_TYPE if touched else None
    assert credentials.stated_source_type(made) == wanted
    assert probe(made)[0].frames == 15


def test_a_film_that_ends_in_half_a_box_states_nothing(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mov", seconds=0.2, sound=False)
    with path.open("ab") as file:
        file.write(b"\0\0\0\1uuid")  # its size would follow
    assert credentials.stated_source_type(path) is None


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """A film with its facts beside it."""
    path = film(tmp_path / "dubbed.mkv", seconds=0.4, sound=False)
    facts = {
        "source": {"name": "film.mkv", "sha256": "ab" * 32},
        "dub": {"name": "dub.wav", "sha256": "cd" * 32},
        "language": None,
        "consent": "not checked",
        "shots": [{"shot": "S", "seconds": [[1.0, 2.5]], "changed": "mouth region"}],
        "result_sha256": digest_file(path),
    }
    path.with_name("dubbed.credentials.json").write_text(json.dumps(facts))
    return path


def test_facts_beside_a_film_say_whether_it_is_as_it_was_made(beside: Path) -> None:
    done = runner.invoke(app, ["verify", str(beside)])
    assert done.exit_code == 0, done.output
    assert "shot S: mouth region, 1 to 2.5 s" in done.stdout
    assert "consent: not checked" in done.stdout
    with beside.open("ab") as file:
        file.write(b"\0")
    done = runner.invoke(app, ["verify", str(beside), "--json"])
    assert done.exit_code == 8
    assert json.loads(done.stdout)["state"] == "changed"


def test_without_the_extra_facts_lie_beside_the_film(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "missing", lambda: "c2pa-python is not installed")
    source = film(tmp_path / "source.mkv", seconds=0.6)
    dub = tone(tmp_path / "dub.wav", 0.6, rate=48000)
    made, report = stitched(
        tmp_path, source, dub, (0, 7), out="film.mkv", credentials="auto", language="de"
    )
    assert any("are a file beside the film, unsigned" in told for told in report.warnings)
    made.with_name("film.credentials.json").write_bytes(
        made.with_name("credentials.json").read_bytes()
    )
    found = credentials.verify_film(made, digest_file(made))
    assert (found.manifest, found.state, found.problems) == ("sidecar", "intact", ())
    assert found.facts is not None
    assert found.facts["source"]["sha256"] == digest_file(source)
    assert found.facts["dub"]["sha256"] == digest_file(dub)
    assert (found.facts["language"], found.facts["consent"]) == ("de", "not checked")
    frames = [shot["frames"] for shot in found.facts["shots"]]
    assert frames == [[[0, 7]], [[7, 15]]]


def test_facts_of_mouths_do_not_count_frames_that_only_have_a_label(tmp_path: Path) -> None:
    source = film(tmp_path / "source.mkv", seconds=0.6)
    info = probe(source)[0]
    job = Job(source, tone(tmp_path / "dub.wav", 0.6), tmp_path / "out.mkv", tmp_path)
    label = {"label": "AI dub", "label_seconds": 0.2}
    config = Config.model_validate({"generate": label})
    folders = {name: tmp_path / name for name in ("probe", "shots", "generate", "gate")}
    for folder in folders.values():
        folder.mkdir()
    probe_stage.run(StageContext(job, config, folders["probe"], {}))
    shot = Shot(0, info.frames)
    write_record(folders["shots"] / "shots.json", [shot], list[Shot])
    inputs = {"probe": (folders["probe"],)}
    context = StageContext(job, config, folders["generate"], inputs, shot)
    result = generate.render(context, [Patch(9, 12)])
    assert (result.spans, result.mouths) == (((0, 5), (9, 12)), ((9, 12),))
    passed = GateResult(shot.name, "off", None, "", (), True, False, ())
    write_record(folders["gate"] / GATE, passed)
    whole = StageContext(
        *(job, config, tmp_path, {name: (folder,) for name, folder in folders.items()}),
        given={"video": FileDigest(source, 1, 1, "as it was hashed before")},
    )
    facts: dict[str, Any] = dict(stitch._facts_of_change(whole, info))
    assert [one["frames"] for one in facts["shots"]] == [[[9, 12]]]
    assert facts["source"]["sha256"] == "as it was hashed before"


def test_a_certificate_needs_its_key() -> None:
    for setting in ("certificate", "private_key"):
        config = Config.model_validate({"stitch": {setting: "chain.pem"}})
        with pytest.raises(UsageError, match="a certificate needs its private key"):
            stitch.load_signer(config)


def test_a_film_that_says_nothing_is_not_verified(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mkv", seconds=0.4, sound=False)
    found = credentials.verify_film(path, digest_file(path))
    assert (found.manifest, found.state, found.source_type) == ("none", "unknown", None)
    assert runner.invoke(app, ["verify", str(path)]).exit_code == 8
    assert runner.invoke(app, ["verify", str(tmp_path / "no.mkv")]).exit_code == 3


def test_a_damaged_file_beside_a_film_is_refused(beside: Path) -> None:
    beside.with_name("dubbed.credentials.json").write_text("{}")
    with pytest.raises(InputError, match="cannot be read as facts"):
        credentials.verify_film(beside, "")
