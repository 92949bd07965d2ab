"""What a caller of the library sees."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import dubkit
from dubkit.api import make_job, run
from dubkit.config.presets import load_config
from dubkit.errors import ConfigError, InputError


def test_importing_dubkit_loads_nothing_heavy() -> None:
    code = (
        "import sys, dubkit, dubkit.errors, dubkit.config.schema\n"
        "heavy = {'torch', 'numpy', 'cv2', 'av', 'joblib', 'scenedetect'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_public_names_are_there() -> None:
    for name in ("run", "job_status", "verify", "DubkitError", "__version__"):
        assert getattr(dubkit, name)
        assert name in dir(dubkit)
    with pytest.raises(AttributeError, match="nonsense"):
        dubkit.nonsense  # noqa: B018


@pytest.mark.parametrize(
    ("video", "codec", "output"),
    [
        ("a.mp4", "h264", "a.dubbed.mp4"),
        ("a b.MKV", "h265", "a b.dubbed.MKV"),
        ("a.avi", "h264", "a.dubbed.mp4"),
        ("a", "h264", "a.dubbed.mp4"),
        ("a.mp4", "ffv1", "a.dubbed.mkv"),
        ("a.mp4", "prores", "a.dubbed.mov"),
        ("a.mkv", "prores", "a.dubbed.mkv"),
    ],
)
def test_the_result_lies_beside_the_film(video: str, codec: str, output: str) -> None:
    config = load_config(settings=[f"generate.codec={codec}"])
    job = make_job(Path("/films") / video, "/dubs/d.wav", config)
    assert job.output == Path("/films") / output
    assert job.work == Path("/films") / f"{Path(output).stem}.dubkit"


def test_paths_may_be_relative_and_begin_with_a_dash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    job = make_job("-a.mp4", "b.wav", load_config(), out="~/c.mp4", work="w", script="s", shots="t")
    assert job.video == tmp_path / "-a.mp4"
    assert job.output == Path("~/c.mp4").expanduser()
    assert (job.work, job.script, job.shots) == (tmp_path / "w", tmp_path / "s", tmp_path / "t")


def test_a_wrong_request_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file"):
        run(tmp_path / "no.mp4", tmp_path / "no.wav")
    with pytest.raises(ConfigError, match=r"parallel\.jobs \(--jobs\)"):
        run(tmp_path / "no.mp4", tmp_path / "no.wav", jobs=0)
