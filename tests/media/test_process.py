"""Starting programs: arguments, failures, interruptions."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dubkit.errors import MissingDependency, OutputError, ToolError
from dubkit.media.process import find_program, program_version, run


def test_arguments_reach_the_program_as_they_are() -> None:
    words = ["a b", "$HOME", "*", "'", '"', "-x", "\n", "日本"]
    code = "import sys; sys.stdout.buffer.write('|'.join(sys.argv[1:]).encode())"
    assert run([sys.executable, "-c", code, *words]).decode() == "|".join(words)


def test_input_is_given_on_request_only() -> None:
    code = "import sys; print(len(sys.stdin.read()))"
    assert run([sys.executable, "-c", code]).strip() == b"0"
    assert run([sys.executable, "-c", code], stdin=b"x" * 100_000).strip() == b"100000"


def test_a_failure_tells_code_command_and_the_end_of_stderr() -> None:
    code = "import sys; print(*range(100), sep='\\n', file=sys.stderr); sys.exit(3)"
    with pytest.raises(ToolError, match="code 3") as caught:
        run([sys.executable, "-c", code])
    assert "99" in caught.value.message
    assert "\n50\n" not in caught.value.message
    assert caught.value.hint is not None
    assert sys.executable in caught.value.hint


def test_a_full_disk_is_an_output_error() -> None:
    code = "import sys; sys.exit('av_write: No space left on device')"
    with pytest.raises(OutputError, match="disk is full"):
        run([sys.executable, "-c", code])


def test_a_missing_program_is_said_so() -> None:
    with pytest.raises(MissingDependency, match="not installed"):
        run(["dubkit-no-such-program"])
    with pytest.raises(MissingDependency, match="dubkit-no-such-program") as caught:
        find_program("dubkit-no-such-program")
    assert caught.value.hint


def test_without_a_system_ffmpeg_the_bundled_one_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    find_program.cache_clear()
    monkeypatch.setattr(shutil, "which", lambda name: None)
    try:
        path = find_program("ffmpeg")
        assert "imageio_ffmpeg" in str(path)
        assert b"ffmpeg version" in run([str(path), "-version"])
    finally:
        find_program.cache_clear()


def test_the_version_of_ffmpeg_is_a_word() -> None:
    assert program_version("ffmpeg")[0].isalnum()
    assert " " not in program_version("ffmpeg")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux ends children by itself")
def test_a_killed_parent_leaves_no_program_behind(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    child = f"import os, time, pathlib; pathlib.Path({str(note)!r}).write_text(str(os.getpid())); time.sleep(60)"
    code = (
        f"import sys; from dubkit.media.process import run; run([sys.executable, '-c', {child!r}])"
    )
    parent = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, "-c", code])
    _wait(lambda: note.exists() and note.read_text() != "")
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    _wait(lambda: not _alive(int(note.read_text())))


def test_an_interruption_ends_the_program(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    child = f"import os, time, pathlib; pathlib.Path({str(note)!r}).write_text(str(os.getpid())); time.sleep(60)"

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 1.5)
    try:
        with pytest.raises(KeyboardInterrupt):
            run([sys.executable, "-c", child])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    if note.exists():
        _wait(lambda: not _alive(int(note.read_text())))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("hook", ["before", "after_in_parent"])
def test_a_signal_during_the_fork_is_not_lost(number: signal.Signals, hook: str) -> None:
    code = f"""
import os, signal, sys
from dubkit.media.process import run
from dubkit.parallel.workers import Stop
os.register_at_fork({hook}=lambda: os.kill(os.getpid(), {int(number)}))
with Stop().installed():
    handler = signal.getsignal({int(number)})
    try:
        run([sys.executable, "-c", "import time; time.sleep(120)"])
    except KeyboardInterrupt:
        children = open("/proc/self/task/%d/children" % os.getpid()).read()
        print("interrupted", signal.getsignal({int(number)}) == handler, repr(children))
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ended.stderr == ""
    assert ended.stdout.strip() == "interrupted True ''"


def _alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2][:3]
    except OSError:
        return False


def _wait(done: object, seconds: float = 20) -> None:
    assert callable(done)
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
