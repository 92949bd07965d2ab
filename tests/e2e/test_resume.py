"""A run that is killed or stopped goes on where it was, and ends in the very same film."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.portrait import PortraitFiles, build_portrait_film

pytestmark = pytest.mark.slow
PATIENCE = 120.0


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> PortraitFiles:
    return build_portrait_film(tmp_path_factory.mktemp("film"))


def command(files: PortraitFiles, folder: Path) -> list[str]:
    words = [sys.executable, "-m", "dubkit", "run", str(files.film), "--audio", str(files.dub)]
    words += ["--script", str(files.script), "--preset", "preview", "--jobs", "1", "--json"]
    words += ["--faces", "largest"]  # stills, in which nobody speaks
    return [*words, "--out", str(folder / "out.mp4"), "--work", str(folder / "work")]


def finish(files: PortraitFiles, folder: Path) -> list[dict[str, Any]]:
    done = subprocess.run(command(files, folder), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def undisturbed(files: PortraitFiles, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("undisturbed")
    finish(files, folder)
    return (folder / "out.mp4").read_bytes()


def start_until_a_shot_is_made(files: PortraitFiles, folder: Path) -> subprocess.Popen[bytes]:
    """Start a run and return once its first shot is published."""
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(command(files, folder), stdout=log, stderr=log)
    deadline = time.monotonic() + PATIENCE
    while not list((folder / "work").glob("dub-*/generate/*/receipt.json")):
        assert process.poll() is None, (folder / "log.txt").read_text(encoding="utf-8")
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
def test_finished_shots_are_kept_and_the_film_is_the_same(
    files: PortraitFiles, undisturbed: bytes, tmp_path: Path, stop: signal.Signals
) -> None:
    process = start_until_a_shot_is_made(files, tmp_path)
    process.send_signal(stop)
    code = process.wait(timeout=PATIENCE)
    assert code == (-signal.SIGKILL if stop is signal.SIGKILL else 130)
    assert not (tmp_path / "out.mp4").exists()
    if stop is not signal.SIGKILL:
        assert "same command" in (tmp_path / "log.txt").read_text(encoding="utf-8")
    events = finish(files, tmp_path)
    plans = {event["stage"]: event for event in events if event["event"] == "plan"}
    assert plans["faces"]["current"] == plans["faces"]["units"]
    assert 0 < plans["generate"]["current"] < plans["generate"]["units"]
    assert (tmp_path / "out.mp4").read_bytes() == undisturbed
