"""Runs within bounds of time and memory, each in a process of its own: forked from one that is warm, or real."""

from __future__ import annotations

import importlib
import os
import re
import resource
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import av

from tests.torture.processes import MARK, Trial, run

MEMORY = 4 * 2**30  # of address space
SECONDS = 120  # of processor time
PATIENCE = 600.0  # of wall time
_REMARK = re.compile(r"^\[\w+ @ 0x", re.MULTILINE)  # as FFmpeg marks its own lines
CODES = (0, 2, 3, 4, 5, 6, 7, 8, 10)  # as documented; neither a bug nor a signal


@dataclass
class Verdict:
    """How one run ended."""

    what: str
    code: int
    said: str  # its one sentence
    seconds: float  # of processor time
    peak_mb: float
    faults: list[str] = field(default_factory=list)


def bound() -> None:
    """What a process does before it becomes the run."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def warm_up() -> None:
    """Import what runs import, so that forks begin at once; nothing here starts a thread."""
    import cv2
    import torch

    for name in ("cli.app", "faces.embedded", "speech.pocketsphinx", "engines.shot_detectors",
                 "lips.generator", "delivery.new_edit"):  # fmt: skip
        importlib.import_module(f"dubkit.{name}")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def forked(what: str, words: Sequence[str], folder: Path) -> Verdict:
    """``dubkit WORDS`` with one worker, in a fork of this warm process."""
    folder.mkdir(parents=True, exist_ok=True)
    pid = os.fork()
    if pid == 0:
        _become(words, folder)
    deadline = time.monotonic() + PATIENCE
    while True:
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if ended:
            break
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    said = (folder / "stderr.txt").read_text(encoding="utf-8", errors="replace")
    spent = usage.ru_utime + usage.ru_stime
    verdict = Verdict(what, os.waitstatus_to_exitcode(status), "", spent, usage.ru_maxrss / 1024)
    return _judge(verdict, said, _children_of_group(pid))


def real(what: str, words: Sequence[str], folder: Path) -> Verdict:
    """The same as an ordinary process with two workers."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    jobs = ["--jobs", "2"] if words[0] == "run" else []
    trial: Trial = run([*words, *jobs], folder, PATIENCE, before=bound)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    verdict = Verdict(what, trial.process.returncode, "", spent, after.ru_maxrss / 1024)
    return _judge(verdict, trial.err(), trial.left_over())


def _become(words: Sequence[str], folder: Path) -> None:
    """In the fork: be ``dubkit``, and never come back."""
    code = 1
    try:
        os.setsid()
        os.environ[MARK] = "fork"
        for number, name in ((1, "stdout.txt"), (2, "stderr.txt")):
            target = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(target, number)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        os.chdir(folder)
        bound()
        from dubkit.cli.app import app

        app([*words, *(["--jobs", "1"] if words[0] == "run" else [])])
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _children_of_group(group: int) -> list[str]:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return []
    os.killpg(group, signal.SIGKILL)
    return ["a process of its group"]


def hollow(film: Path) -> list[str]:
    """What is wrong with a film that was made of damaged inputs: every picture it promises is to be there."""
    if not film.is_file():
        return ["there is no film"]
    with av.open(str(film)) as container:
        promised = container.streams.video[0].frames
        shown = sum(1 for _ in container.decode(video=0))
    return (
        [] if shown == promised else [f"{shown} of {promised} pictures of the film can be decoded"]
    )


def _judge(verdict: Verdict, stderr: str, alive: list[str]) -> Verdict:
    lines = [line for line in stderr.splitlines() if line.startswith("error: ")]
    verdict.said = lines[-1][7:] if lines else ""
    found = verdict.faults
    if verdict.code not in CODES:
        found.append(f"it ended with {verdict.code}: {stderr[-1500:]}")
    if "Traceback" in stderr:
        found.append(f"a traceback: {stderr[-1500:]}")
    if verdict.code in CODES and verdict.code not in (0, 10):
        after = stderr[stderr.rfind("error: ") :].splitlines() if lines else []
        told = [line for line in after if line and not line.startswith(("error: ", "hint: "))]
        if len(lines) != 1 or told:
            found.append(f"not one sentence: {stderr[-800:]}")
    if _REMARK.search(stderr):
        found.append(f"a library speaks for itself: {stderr[-800:]}")
    found += [f"still alive: {line}" for line in alive]
    return verdict
