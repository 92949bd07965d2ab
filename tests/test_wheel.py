"""What is installed: the wheel as it is really built, and the source archive that it is built from."""

from __future__ import annotations

import os
import site
import subprocess
import sys
import tarfile
import zipfile
from functools import partial
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAB = "dubkit/training/lab/"


def build(target: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.iterdir()
    return built


def tracked(folder: str) -> set[str]:
    """The files of a folder of the checkout, without what programs leave there."""
    paths = (path for path in (ROOT / folder).rglob("*") if path.is_file())
    return {p.relative_to(ROOT).as_posix() for p in paths if "__pycache__" not in p.parts}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return zipfile.ZipFile(build("wheel", tmp_path_factory.mktemp("wheel")))


def test_the_wheel_holds_the_package_and_the_presets_but_not_the_laboratory(
    wheel: zipfile.ZipFile,
) -> None:
    package = {name for name in tracked("dubkit") if not name.startswith(LAB)}
    presets = {name.replace("presets/", "dubkit/_presets/", 1) for name in tracked("presets")}
    found = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert found == package | presets
    assert not [name for name in wheel.namelist() if "lab" in Path(name).parts]


def test_weights_presets_and_the_assets_of_reports_are_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    weights = {
        "appearance",
        "detector",
        "landmarker",
        "lips_from_sound",
        "mean_face",
        "mouth_shape",
        "sc",
        "speaker",
        "speech_encoder",
        "tc",
    }
    assert {f"dubkit/weights/{name}.safetensors" for name in weights} <= names
    assert {f"dubkit/weights/{name}.md" for name in weights} <= names, "a model card for each"
    assert {"dubkit/_presets/balanced.toml", "dubkit/_presets/broadcast.toml"} <= names
    assert {"dubkit/review/assets/page.html", "dubkit/review/assets/page.css"} <= names
    assert "dubkit/py.typed" in names


def test_no_program_in_the_wheel_names_the_teacher_of_the_weights(wheel: zipfile.ZipFile) -> None:
    """Model cards do: they say what the weights were made with."""
    programs = [name for name in wheel.namelist() if name.endswith((".py", ".js", ".html"))]
    assert len(programs) > 100
    assert not [name for name in programs if b"mediapipe" in wheel.read(name).lower()]


@pytest.mark.slow
def test_the_wheel_alone_dubs_the_demo(tmp_path: Path) -> None:
    """Installed where no checkout is; what it depends on is that of this environment (`.ci/run` installs all anew)."""
    built, place = build("wheel", tmp_path / "built"), tmp_path / "site"
    with zipfile.ZipFile(built) as archive:
        archive.extractall(place)
    code = "import dubkit; print(dubkit.__file__)"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(place), *site.getsitepackages()])}
    run = partial(subprocess.run, check=True, capture_output=True, text=True, cwd=tmp_path, env=env)
    assert Path(run([sys.executable, "-c", code]).stdout.strip()).is_relative_to(place)
    done = run([sys.executable, "-m", "dubkit", "demo", "demo", "--jobs", "1"])
    assert "every shot:" in done.stdout
    names = {"demo.dubbed.mp4", "demo.before-after.mp4", "demo.dubbed.report.html"}
    assert names <= {path.name for path in (tmp_path / "demo").iterdir()}


def test_the_source_archive_keeps_the_laboratory(tmp_path: Path) -> None:
    with tarfile.open(build("sdist", tmp_path)) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for folder in ("dubkit", "presets", "docs", "tests"):
        assert tracked(folder) <= names
    assert {"README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml"} <= names
