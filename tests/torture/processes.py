"""`dubkit` as real processes: started, watched, measured and ended by id (Linux)."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MARK = "DUBKIT_TRIAL"  # in the environment of a run and of all that it starts


@dataclass
class Trial:
    """One `dubkit` process; everything that it starts is found again by a mark in the environment."""

    folder: Path  # stdout.txt and stderr.txt go here
    process: subprocess.Popen[bytes]
    mark: str

    def out(self) -> str:
        return (self.folder / "stdout.txt").read_text(encoding="utf-8", errors="replace")

    def err(self) -> str:
        return (self.folder / "stderr.txt").read_text(encoding="utf-8", errors="replace")

    def events(self) -> list[dict[str, Any]]:
        """What ``--json`` told so far; a line that was cut off by a kill is left out."""
        found = []
        for line in self.out().splitlines():
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return found

    def family(self) -> list[int]:
        """The process and all that it started, wherever they were put, while they live."""
        return marked(self.mark)

    def wait(self, seconds: float) -> int | None:
        """The exit code, or None where it lasts longer."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def tell_stacks(self) -> Path:
        """Write down what all of its processes are at, for a run that lasts too long; by py-spy, where it is."""
        path = self.folder / "stacks.txt"
        with path.open("ab") as target:
            for pid in self.family():
                state = _read(pid, "stat").rpartition(b")")[2][:2].decode()
                target.write(
                    f"{pid}{state} {_read(pid, 'wchan')!r}: {command_line(pid)}\n".encode()
                )
                target.flush()
                spy = shutil.which("py-spy")
                if spy is not None:
                    words = [spy, "dump", "--nonblocking", "--pid", str(pid)]
                    subprocess.run(words, stdout=target, stderr=target, timeout=60, check=False)
        return path

    def left_over(self, patience: float = 15.0) -> list[str]:
        """What still lives of it after some patience, as command lines; those are then ended."""
        deadline = time.monotonic() + patience
        while (alive := self.family()) and time.monotonic() < deadline:
            time.sleep(0.05)
        lines = [command_line(pid) for pid in alive]
        self.end()
        return lines

    def end(self) -> None:
        """End what is left of it."""
        for pid in self.family():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


def start(
    words: Sequence[str | Path],
    folder: Path,
    environment: Mapping[str, str] | None = None,
    before: Callable[[], None] | None = None,
    prefix: Sequence[str] = (),
) -> Trial:
    """Start ``dubkit WORDS`` in ``folder``, as the leader of a process group."""
    folder.mkdir(parents=True, exist_ok=True)
    mark = uuid.uuid4().hex
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT), MARK: mark, **(environment or {})}
    with (folder / "stdout.txt").open("wb") as out, (folder / "stderr.txt").open("wb") as err:
        process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "dubkit", *map(str, words)],
            env=surroundings,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
            preexec_fn=lambda: _prepare(before),
        )
    return Trial(folder, process, mark)


def _prepare(before: Callable[[], None] | None) -> None:
    """A shell's background jobs ignore Ctrl-C, and hand that on."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if before:
        before()


def run(
    words: Sequence[str | Path],
    folder: Path,
    seconds: float = 300.0,
    environment: Mapping[str, str] | None = None,
    before: Callable[[], None] | None = None,
    prefix: Sequence[str] = (),
) -> Trial:
    """The same to its end; a run that takes longer than ``seconds`` is ended (its code is then -9)."""
    trial = start(words, folder, environment, before, prefix)
    if trial.wait(seconds) is None:
        trial.tell_stacks()
        trial.end()
    return trial


def marked(mark: str) -> list[int]:
    """Living processes with a mark in their environment; zombies do not count."""
    wanted = f"{MARK}={mark}".encode()
    return [pid for pid in _pids() if wanted in _read(pid, "environ").split(b"\0") and _lives(pid)]


def command_line(pid: int) -> str:
    return _read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace").strip()


def is_worker(pid: int) -> bool:
    """Whether a process is one of joblib's workers."""
    line = command_line(pid)
    return "loky" in line and "resource_tracker" not in line


def is_ffmpeg(pid: int) -> bool:
    return Path(command_line(pid).split(" ")[0]).name.startswith("ffmpeg")


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler of its own for a signal."""
    lines = _read(pid, "status").splitlines()
    caught = next((line.split()[1] for line in lines if line.startswith(b"SigCgt:")), b"0")
    return bool(int(caught, 16) >> (number - 1) & 1)


@dataclass(slots=True)
class Memory:
    """Memory of a family of processes over time, in MB; shared pages are counted once (PSS)."""

    times: list[float] = field(default_factory=list)
    used: list[float] = field(default_factory=list)

    def sample(self, pids: Sequence[int]) -> None:
        self.times.append(time.monotonic())
        self.used.append(sum(map(_pss, pids)) / 1024)

    @property
    def peak(self) -> float:
        return max(self.used, default=0.0)


def processor_seconds() -> float:
    """Processor time of all children of this process that have ended, and of theirs."""
    times = os.times()
    return times.children_user + times.children_system


def _pss(pid: int) -> int:
    for line in _read(pid, "smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1])
    return 0


def _lives(pid: int) -> bool:
    status = _read(pid, "stat").rpartition(b")")[2].split()
    return bool(status) and status[0] not in (b"Z", b"X")


def _pids() -> list[int]:
    names = (path.name for path in Path("/proc").iterdir())
    return [int(name) for name in names if name.isdigit() and int(name) != os.getpid()]


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
