"""What is loaded when: libraries that cost a second are loaded by the work that needs them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dubkit.records import Detection, Floats
from tests.clips import film, tone

NETS = {"torch", "safetensors.torch", "torchvision", "transformers", "whisperx"}
NETWORK = {"urllib.request", "http.client", "huggingface_hub", "requests"}
MEDIA = {"av", "cv2", "scenedetect", "ffmpeg"}
TEXT = {"pocketsphinx", "pysubs2", "charset_normalizer", "panphon"}
SHOW = {"typer", "rich", "jinja2"}
REST = {"numpy", "pydantic", "joblib", "scipy"}
STAGES = (
    *("probe", "conform", "shots", "speech", "faces", "appearance", "cast", "adapt", "references"),
    *("timing", "generate", "gate", "stitch"),
)
RUN = """
import dubkit
settings = [
    "faces.detector=tests.test_startup:NoDetector", "faces.landmarker=tests.test_startup:NoLandmarker",
    "appearance.engine=tests.test_startup:NoAppearance",
    "shots.detector=fixed", "speech.aligner=even", "generate.synthesizer=passthrough",
]
result = dubkit.run("film.mp4", "dub.wav", out="out.mp4", settings=settings, jobs=1)
"""


class NoDetector:
    """Sees no face."""

    name, version = "none", "1"

    def __init__(self, settings: object, device: str = "cpu") -> None:
        """Loads nothing."""

    def detect(self, picture: NDArray[np.uint8]) -> list[Detection]:
        return []


class NoAppearance:
    """Is never asked."""

    name, version, crop_size = "none", "1", 32

    def __init__(self, settings: object, device: str = "cpu") -> None:
        """Loads nothing."""

    def describe(self, crops: NDArray[np.uint8]) -> Floats:
        raise NotImplementedError


class NoLandmarker:
    """Is never asked."""

    name, version, crop_size = "none", "1", 32

    def __init__(self, settings: object, device: str = "cpu") -> None:
        """Loads nothing."""

    def locate(
        self, crops: NDArray[np.uint8], *, together: bool = False
    ) -> tuple[Floats, Floats, Floats]:
        raise NotImplementedError


def loaded(code: str, folder: Path | None = None) -> set[str]:
    """The modules of a new Python after some code."""
    code += "\nimport sys; print('\\n' + ' '.join(sys.modules))"
    root = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(root)!r})\n{code}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def test_the_package_loads_nothing() -> None:
    heavy = NETS | NETWORK | MEDIA | TEXT | SHOW | REST
    assert not heavy & loaded("import dubkit")


def test_help_loads_what_shows_it() -> None:
    code = "from dubkit.cli.app import app\napp(['--help'], standalone_mode=False)"
    found = loaded(code)
    assert not (NETS | NETWORK | MEDIA | TEXT | REST | {"jinja2"}) & found
    assert "dubkit.cli.doctor_checks" not in found


def test_a_worker_begins_without_libraries_of_a_single_stage() -> None:
    found = loaded("import dubkit.pipeline.worker")
    assert not (NETS | NETWORK | MEDIA | TEXT | SHOW | {"joblib", "scipy"}) & found


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_loads_no_net_before_it_has_one_to_run(stage: str) -> None:
    found = loaded(f"import dubkit.pipeline.worker, dubkit.stages.{stage}")
    readers = set() if stage == "speech" else {"pysubs2", "charset_normalizer"}
    assert not (NETS | NETWORK | SHOW | readers | {"scenedetect", "panphon", "scipy"}) & found


def test_all_stages_together_load_no_net() -> None:
    assert not (NETS | NETWORK | SHOW | {"scenedetect", "scipy"}) & loaded("import dubkit.api")


def test_evaluate_loads_no_net_where_its_workers_do() -> None:
    assert not (NETS | NETWORK | SHOW | {"scenedetect", "scipy"}) & loaded(
        "import dubkit.evaluation.evaluate_films, dubkit.evaluation.fid"
    )


def test_a_run_without_nets_loads_none(tmp_path: Path) -> None:
    film(tmp_path / "film.mp4", seconds=0.4, rate="25")
    tone(tmp_path / "dub.wav", 0.4)
    found = loaded(RUN, tmp_path)
    assert (tmp_path / "out.mp4").is_file()
    assert not (NETS | NETWORK | SHOW | {"scipy"}) & found


def test_the_package_can_be_imported_where_posix_is_not() -> None:
    """As on Windows: every module but those of libraries from elsewhere; `doctor` says what is missing."""
    code = (
        "import importlib, pkgutil, sys\n"
        "sys.modules |= dict.fromkeys(('fcntl', 'pwd', 'grp', 'termios', 'resource'))\n"
        "import dubkit\n"
        "for module in pkgutil.walk_packages(dubkit.__path__, 'dubkit.'):\n"
        "    if '.lab' in module.name or module.name.endswith('__main__'):\n"
        "        continue\n"
        "    try:\n"
        "        importlib.import_module(module.name)\n"
        "    except ModuleNotFoundError as error:\n"
        "        assert module.name.rpartition('.')[2] in "
        "('dask', 'inception', 'language_id', 'whisper', 'whisperx', 'whisperx_models'), error\n"
        "from typer.testing import CliRunner\n"
        "from dubkit.cli.app import app\n"
        "print(CliRunner().invoke(app, ['doctor']).stdout)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "no locks for work folders" in done.stdout
