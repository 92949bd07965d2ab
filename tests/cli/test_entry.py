"""A stop ends the command with one code from its very start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dubkit.cli.progress_bar import reporting
from tests.torture.processes import ROOT, catches

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="handlers are looked up in /proc")


LATE = """
import os, sys
from dubkit import __main__ as entry
from dubkit.cli import app
app.command = lambda: lambda: sys.exit(130)

class Late:
    def __del__(self, kill=os.kill, process=os.getpid()):  # when modules and handlers are gone
        kill(process, {number})

sys.late = Late()
entry.main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_in_the_last_moments_changes_no_code(number: signal.Signals) -> None:
    code = LATE.format(number=int(number))
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 130


INSIDE_EXEC = """
import os, sys
from dubkit import __main__ as entry
from dubkit.cli import app

def stopped():
    try:
        exec("import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(60)")
    except KeyboardInterrupt:
        print("told")
        sys.exit(130)

app.command = lambda: stopped
entry.main()
"""


def test_a_stop_that_came_while_a_library_made_a_class_changes_no_code(tmp_path: Path) -> None:
    (tmp_path / "inside_exec.py").write_text(INSIDE_EXEC)
    words = [sys.executable, "-m", "inside_exec"]
    path = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    done = subprocess.run(words, stdout=subprocess.PIPE, env=path, check=False)
    assert (done.returncode, done.stdout) == (130, b"told\n")


IN_A_FINALIZER = """
import os, signal, sys, time
from dubkit import __main__ as entry
from dubkit.cli import app

class Finalized:
    def __del__(self):  # what is raised here, Python prints and drops
        os.kill(os.getpid(), {number})

def stopped():
    try:
        Finalized()
        time.sleep(60)
    except KeyboardInterrupt:
        sys.exit(130)

app.command = lambda: stopped
entry.main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_that_comes_in_a_finalizer_is_not_dropped(number: signal.Signals) -> None:
    words = [sys.executable, "-c", IN_A_FINALIZER.format(number=int(number))]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=50)
    assert (done.returncode, done.stderr) == (130, "")


@pytest.mark.parametrize(
    ("number", "ctrl_c"),
    [
        (signal.SIGINT, signal.SIG_DFL),
        (signal.SIGTERM, signal.SIG_DFL),
        (signal.SIGTERM, signal.SIG_IGN),  # in the background of a script
    ],
)
@pytest.mark.parametrize("times", [1, 2])
def test_a_stop_while_libraries_are_loaded_ends_with_130_and_a_sentence(
    tmp_path: Path, number: signal.Signals, ctrl_c: signal.Handlers, times: int
) -> None:
    words = [sys.executable, "-m", "dubkit", "run", "film.mp4", "--audio", "dub.wav"]
    process = subprocess.Popen(
        words,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, ctrl_c),
    )
    while not catches(process.pid, signal.SIGTERM) and process.poll() is None:
        time.sleep(0.001)
    for _ in range(times):
        process.send_signal(number)
    said = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 130, said
    assert said.startswith("error: stopped")
    assert "Traceback" not in said


def test_a_command_that_ctrl_c_does_not_reach_says_how_it_is_stopped(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with reporting(as_json=True, quiet=False):
            pass
    finally:
        signal.signal(signal.SIGINT, before)
    assert f"stop it with: kill {os.getpid()}" in capsys.readouterr().out
