"""Weights that nobody pinned: what a first pull brought is what every later one has to bring."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dubkit.cli.app import app
from dubkit.errors import ModelError
from dubkit.weights import cache as store
from dubkit.weights.cache import State, find, inspect
from dubkit.weights.pull import pull
from tests.web import Site
from tests.weights.conftest import CONTENT, REPOSITORY, digest

OTHER = {**REPOSITORY, "pytorch_model.bin": CONTENT[:500_000][::-1]}
RUN = CliRunner()


def locked(cache: Path, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((cache / "locked" / f"{name}.json").read_text())
    return found


def test_a_first_pull_keeps_commit_sizes_and_checksums(site: Site, cache: Path) -> None:
    pull("hub-toy")
    found = locked(cache, "hub-toy")
    assert found["revision"] == site.commits["owner/toy"]
    assert found["files"] == {
        name: {"sha256": digest(content), "size": len(content)}
        for name, content in REPOSITORY.items()
        if name != "README.md"
    }
    pull("toy")
    assert not (cache / "locked" / "toy.json").exists(), "the catalog says what it is"


def test_a_later_pull_takes_the_same_commit_whatever_is_newest(site: Site, cache: Path) -> None:
    folder = pull("hub-toy")
    first = site.commits["owner/toy"]
    site.repository("owner/toy", "main", OTHER)
    assert site.commits["owner/toy"] != first
    shutil.rmtree(folder)
    site.asked = []
    pull("hub-toy")
    assert (folder / "pytorch_model.bin").read_bytes() == REPOSITORY["pytorch_model.bin"]
    assert all(first in path for path, _ in site.asked)
    shutil.rmtree(folder)
    pull("hub-toy", trust_new=True)
    assert (folder / "pytorch_model.bin").read_bytes() == OTHER["pytorch_model.bin"]
    assert locked(cache, "hub-toy")["revision"] == site.commits["owner/toy"]


def test_a_hub_whose_old_commit_holds_something_else_is_refused(site: Site, cache: Path) -> None:
    """Its own listing says so too, so that its checksums agree with its files."""
    folder = pull("hub-toy")
    first = site.commits["owner/toy"]
    shutil.rmtree(folder)
    site.repository("owner/toy", "main", OTHER)
    for kind in ("/api/models/owner/toy/tree/{}", "/owner/toy/resolve/{}/pytorch_model.bin"):
        site.files[kind.format(first)] = site.files[kind.format(site.commits["owner/toy"])]
    with pytest.raises(ModelError, match="is not the one that was pulled first") as caught:
        pull("hub-toy")
    assert "dubkit models pull hub-toy --trust-new" in str(caught.value.hint)
    assert not (folder / "pytorch_model.bin").exists()
    assert find("hub-toy") is None


def test_a_plain_file_that_changed_at_its_source_is_refused_until_it_is_trusted(
    site: Site, cache: Path
) -> None:
    path = pull("loose")
    assert inspect("loose").state is store.glance("loose") is State.LOCKED
    path.unlink()
    site.files["/toy.pth"] = CONTENT[::-1]
    done = RUN.invoke(app, ["models", "pull", "loose", "--quiet"])
    assert done.exit_code == 7
    assert "is not the one that was pulled first" in " ".join(done.stderr.split())
    assert not path.exists()
    done = RUN.invoke(app, ["models", "pull", "loose", "--quiet", "--trust-new"])
    assert done.exit_code == 0
    assert path.read_bytes() == CONTENT[::-1]


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("name", ["hub-toy", "loose"])
def test_what_was_pulled_and_then_changed_fails_verification(cache: Path, name: str) -> None:
    pull(name)
    file = "vocab.json" if name == "hub-toy" else "loose.pth"
    (cache / name / file).write_bytes(b"changed")
    assert inspect(name).state is State.DAMAGED
    with pytest.raises(ModelError, match="damaged or another file"):
        find(name)


@pytest.mark.usefixtures("site")
def test_a_file_brought_by_hand_is_held_against_what_was_pulled_elsewhere(cache: Path) -> None:
    """The small file of what was first taken can be copied to another machine without its weights."""
    folder = pull("hub-toy")
    shutil.rmtree(folder)
    folder.mkdir()
    for name, content in REPOSITORY.items():
        (folder / name).write_bytes(content)
    assert inspect("hub-toy").state is State.LOCKED
    (folder / "config.json").write_bytes(b"{}")
    assert inspect("hub-toy").state is State.DAMAGED


@pytest.mark.usefixtures("site")
def test_the_list_tells_what_is_known_and_how(cache: Path) -> None:
    def row(name: str) -> dict[str, object]:
        rows = json.loads(RUN.invoke(app, ["models", "list", "--json"]).stdout)
        found: dict[str, object] = next(row for row in rows if row["name"] == name)
        return found

    before = row("loose")
    assert (before["size"], before["state"], before["locked"]) == (None, "not here", {})
    shown = RUN.invoke(app, ["models", "list"], env={"COLUMNS": "300"}).stdout
    line = next(line for line in shown.splitlines() if line.startswith("align-nl "))
    assert "unknown" in line
    assert "from the hub" in line
    pull("loose")
    after = row("loose")
    assert (after["size"], after["state"]) == (len(CONTENT), "as first pulled")
    assert after["locked"] == {"loose.pth": digest(CONTENT)}
    shown = RUN.invoke(app, ["models", "list"], env={"COLUMNS": "300"}).stdout
    line = next(line for line in shown.splitlines() if line.startswith("loose "))
    assert f"{digest(CONTENT)[:12]} (first pull)" in line


@pytest.mark.usefixtures("site")
def test_a_damaged_record_of_the_first_pull_is_told(cache: Path) -> None:
    path = pull("loose")
    (cache / "locked" / "loose.json").write_text("{}")
    path.unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        pull("loose")
    assert pull("loose", trust_new=True).read_bytes() == CONTENT


def test_the_hub_is_not_asked_where_its_own_variable_forbids_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE"):
        pull("hub-toy")
    assert site.asked == []
    assert pull("toy").read_bytes() == CONTENT, "it is not on the hub"
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    assert pull("hub-toy").is_dir()
