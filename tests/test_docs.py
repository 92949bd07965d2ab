"""What README and docs/ promise about dubkit is true."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from dubkit import errors
from dubkit.cli import events
from dubkit.cli.app import app
from dubkit.config.presets import load_config

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
TEXTS = {path: path.read_text(encoding="utf-8") for path in PAGES}
README = TEXTS[ROOT / "README.md"]
BATCH = TEXTS[ROOT / "docs" / "batch-and-ci.md"]
REVIEW = TEXTS[ROOT / "docs" / "review.md"]
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s]+)\)")


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def commands() -> Iterator[tuple[str, str]]:
    for path, text in TEXTS.items():
        for block in re.findall(r"```sh\n(.+?)```", text, re.DOTALL):
            for line in re.findall(r"^dubkit .+$", block, re.MULTILINE):
                yield path.name, line.partition(" > ")[0]


def anchors(text: str) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", re.sub(r"```.+?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads}


def test_readme_is_short_and_installs_the_small_torch_before_anything_else() -> None:
    assert len(README.encode()) <= 9000
    small = README.index("pip install torch --index-url https://download.pytorch.org/whl/cpu")
    assert small < README.index("\npip install . && dubkit demo\n")


def test_the_two_set_up_commands_are_lines_of_their_own() -> None:
    assert "\npip install . && dubkit demo\n" in README
    assert "\npip install '.[test]' && pytest\n" in README


@pytest.mark.parametrize(("page", "line"), sorted(set(commands())))
def test_every_command_shown_is_understood(page: str, line: str) -> None:
    root = typer.main.get_command(app)
    words = shlex.split(line)[1:]
    context = root.make_context("dubkit", words, resilient_parsing=True)
    name = words[0]
    command = root.commands[name]  # type: ignore[attr-defined]
    rest = words[1:]
    if hasattr(command, "commands"):
        command, rest = command.commands[words[1]], words[2:]
    command.make_context(name, rest, parent=context)


def test_the_generated_pages_are_what_the_code_says() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_command_is_on_the_page_of_commands() -> None:
    root = typer.main.get_command(app)
    page = TEXTS[ROOT / "docs" / "commands.md"]
    for name in root.commands:  # type: ignore[attr-defined]
        assert re.search(rf"^## dubkit {name}\b", page, re.MULTILINE), name


def test_every_exit_code_is_listed() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    codes = {kind.exit_code for kind in kinds if issubclass(kind, errors.DubkitError)}
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", BATCH, re.MULTILINE)}
    assert listed == codes | {errors.EXIT_OK, errors.EXIT_BUG, errors.EXIT_PARTIAL}


def test_every_event_and_its_fields_are_listed() -> None:
    kinds = (events.Planned, events.Advanced, events.JobBegun, events.JobEnded)
    for kind in (*kinds, events.ShotPlanned, events.Noted, events.Warned, events.Result):
        row = next(
            line
            for line in BATCH.splitlines()
            if line.startswith("| `") and f"`{kind.event}`" in line.split("|")[1]
        )
        fields = [field.name for field in dataclasses.fields(kind)]
        assert all(f"`{name}`" in row for name in fields)


def test_the_preset_shown_is_valid(tmp_path: Path) -> None:
    block = re.search(r"```toml\n(.+?)```", TEXTS[ROOT / "docs" / "first-dub.md"], re.DOTALL)
    assert block
    path = tmp_path / "mine.toml"
    path.write_text(block[1], encoding="utf-8")
    assert load_config([str(path)]).faces.which == "all"


@pytest.mark.parametrize("path", PAGES, ids=names(PAGES))
def test_every_link_leads_to_a_file_and_a_heading(path: Path) -> None:
    for target in LINK.findall(TEXTS[path]):
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        assert there.exists(), target
        if anchor and there in TEXTS:
            assert anchor in anchors(TEXTS[there]), target


def test_every_page_is_on_the_index() -> None:
    index = set(LINK.findall(TEXTS[ROOT / "docs" / "README.md"]))
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert pages <= index


@pytest.mark.parametrize("path", PAGES, ids=names(PAGES))
def test_every_path_of_the_repository_that_is_named_is_there(path: Path) -> None:
    for named in re.findall(r"`((?:dubkit|tests|docs|presets)/[\w/.]+)`", TEXTS[path]):
        assert (ROOT / named).exists(), named


def test_every_test_that_the_page_of_security_names_is_there() -> None:
    page = TEXTS[ROOT / "docs" / "security.md"]
    named = set(re.findall(r"`(test_\w+)`", page))
    code = "\n".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")
    )
    known = set(re.findall(r"def (test_\w+)", code))
    assert len(named) > 20
    assert named <= known, named - known


def test_for_a_package_index_every_link_of_readme_is_an_address() -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    text = generate.with_addresses(
        TEXTS[ROOT / "README.md"], "https://web/blob/v1", "https://raw/v1/"
    )
    assert LINK.findall(text) == []
    assert "](https://web/blob/v1/docs/first-dub.md)" in text
    assert "](https://web/blob/v1/docs/first-dub.md#who-speaks)" in text
    assert "](https://raw/v1/dubkit/demo/assets/result.jpg)" in text
    assert "](https://docs.python.org/3/library/venv.html)" in text


@pytest.mark.slow
def test_the_example_runs_as_it_stands(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "docs" / "example.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert any(line.startswith("RunResult(") for line in lines)
    assert any(line.startswith("Report(") for line in lines)
    assert any(line.startswith("Evaluation(") for line in lines)
    assert lines[-1] == "3"
