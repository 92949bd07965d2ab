"""``dubkit models`` as users see it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from dubkit.cli import models_cmd
from dubkit.cli.app import app
from dubkit.weights.cache import everything
from dubkit.weights.entries import WEIGHTS, File, Weight
from tests.web import serve

RUN = CliRunner()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DUBKIT_CACHE", str(tmp_path))
    return tmp_path / "models"


def test_the_list_tells_size_license_and_state() -> None:
    rows = json.loads(RUN.invoke(app, ["models", "list", "--json"]).stdout)
    found = {row["name"]: row for row in rows}
    assert found["align-fr"]["paid_work"] is False
    assert found["whisper-small"]["license"] == "MIT"
    assert all(row["state"] == "not here" for row in rows)
    shown = RUN.invoke(app, ["models", "list"]).stdout
    assert "retinaface-resnet50" in shown
    assert "CC-BY-NC-4.0" in shown


def test_a_narrow_terminal_gets_the_columns_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models_cmd, "stdout_console", lambda: Console(width=90))
    shown = RUN.invoke(app, ["models", "list"]).stdout
    assert max(len(line) for line in shown.splitlines()) <= 90
    assert len(shown.splitlines()) == len(everything()) + 2
    assert "a wider terminal" in shown.splitlines()[-1]


def test_offline_pulls_nothing_and_says_how_to() -> None:
    done = RUN.invoke(app, ["models", "pull", "syncnet", "--offline"])
    assert done.exit_code == 7
    assert "dubkit models pull syncnet" in done.stderr


def test_a_weight_is_pulled_with_its_progress_and_then_listed_as_verified(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = bytes(3_000_000)
    with serve() as site:
        site.files["/toy.pth"] = content
        file = File("toy.pth", None, hashlib.sha256(content).hexdigest(), f"{site.url}/toy.pth")
        entry = Weight("toy", "a test", "MIT", True, "https://example.org", (file,), folder=False)
        monkeypatch.setitem(WEIGHTS, "toy", entry)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        done = RUN.invoke(app, ["models", "pull", "toy"])
        again = RUN.invoke(app, ["models", "pull", "toy", "--json"])
    assert done.exit_code == 0
    assert done.stdout == f"toy  {cache / 'toy' / 'toy.pth'}\n"
    assert "toy.pth" in done.stderr
    assert json.loads(again.stdout) == [{"name": "toy", "path": str(cache / "toy" / "toy.pth")}]
    assert again.stderr == ""
    (row,) = [
        row
        for row in json.loads(RUN.invoke(app, ["models", "list", "--json"]).stdout)
        if row["name"] == "toy"
    ]
    assert (row["state"], row["size"]) == ("verified", len(content))


def test_a_wrong_file_fails_verification(cache: Path) -> None:
    (cache / "syncnet").mkdir(parents=True)
    (cache / "syncnet" / "syncnet_v2.model").write_bytes(b"not it")
    done = RUN.invoke(app, ["models", "verify"])
    assert done.exit_code == 7
    assert "wrong checksum" in done.stdout
    assert "dubkit models pull syncnet" in done.stderr


def test_verifying_what_is_not_here_fails_only_where_it_is_named() -> None:
    assert RUN.invoke(app, ["models", "verify"]).exit_code == 0
    assert RUN.invoke(app, ["models", "verify", "syncnet"]).exit_code == 7


def test_the_path_of_the_cache_and_of_a_weight(cache: Path) -> None:
    assert RUN.invoke(app, ["models", "path"]).stdout.strip() == str(cache)
    shown = RUN.invoke(app, ["models", "path", "whisper-tiny"]).stdout.strip()
    assert shown == str(cache / "whisper-tiny")


def test_an_unknown_name_is_a_wrong_request() -> None:
    done = RUN.invoke(app, ["models", "pull", "whisper-enormous"])
    assert done.exit_code == 2
    assert "models list" in done.stderr
