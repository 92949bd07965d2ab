"""Processor time from ``dubkit run`` to the first rendered frame, with each engine.

    pytest -m benchmark tests/optional/bench_first_frame.py -s

The demo's film and a dub made for it, one worker on one core. The models of WhisperX are those that the tests make on
the spot: what is told is the time that library and stages take, without loading gigabytes. RetinaFace has the trained
weights of its small network; the ResNet-50 has random ones, which find faces everywhere: its row says only that it
runs. The first frame is there when the first bytes of an encoded shot are.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dubkit.engines.containment import contained
from tests.clips import save_wav
from tests.optional.conftest import NUMBERS
from tests.optional.speech import RATE, speak
from tests.portrait import build_portrait_film

pytestmark = [pytest.mark.benchmark, pytest.mark.filterwarnings("ignore")]
TICKS = os.sysconf("SC_CLK_TCK")


def family(root: int) -> list[list[str]]:
    """What the system says of a process and of all below it (proc_pid_stat(5), from the state on)."""
    told: dict[int, list[str]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                told[int(entry.name)] = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
    known = {root}
    while more := {p for p, fields in told.items() if int(fields[1]) in known} - known:
        known |= more
    return [told[process] for process in known if process in told]


def spent(root: int) -> float:
    """Processor seconds of a process and all below it, of those that ended as well."""
    return sum(sum(map(int, fields[11:15])) for fields in family(root)) / TICKS


def first_frame(command: list[str], work: Path) -> tuple[float, float]:
    """Seconds by the clock and of processors until the first frame is there; the run is stopped then."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    began = time.monotonic()
    try:
        while process.poll() is None:
            made = [p for kind in ("*.mkv", "*.mp4", "*.mov") for p in work.rglob(kind)]
            if any(path.stat().st_size for path in made if path.exists()):
                return time.monotonic() - began, spent(process.pid)
            time.sleep(0.02)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        _, said = process.communicate()
    raise AssertionError(f"it ended without a frame: {said}")


def test_time_to_the_first_frame(
    tmp_path: Path, data: Path, align_folder: Path, whisper_folder: Path
) -> None:
    with contained():
        from tests.faces import tiny_faces
    tiny_faces.random_weights(tmp_path / "resnet.pth")
    small = data / "teacher" / "retinaface_mobilenet0.25.pth"
    demo = build_portrait_film(tmp_path / "demo")
    save_wav(tmp_path / "numbers.wav", speak(" ".join(NUMBERS), seed=700, pitch=52).samples, RATE)
    (tmp_path / "numbers.txt").write_text(" ".join(NUMBERS))
    script = ["--script", str(tmp_path / "numbers.txt")]
    whisperx = [
        "speech.aligner=whisperx", f"speech.model={whisper_folder}",
        f"speech.align_model={align_folder}", "speech.language=en", "speech.trust_script=true",
    ]  # fmt: skip
    retinaface = ["faces.detector=retinaface", f"faces.weights={small}"]
    own = ["speech.aligner=pocketsphinx", "speech.language=en"]
    own_faces = ["faces.detector=embedded"]
    large = ["faces.detector=retinaface", f"faces.weights={tmp_path / 'resnet.pth'}"]
    rows: dict[str, tuple[list[str], list[str]]] = {
        "embedded engines, script": ([*own, *own_faces], script),
        "embedded engines, no script": ([*own, *own_faces], []),
        "whisperx, script": ([*whisperx, *own_faces], script),
        "whisperx, no script": ([*whisperx, *own_faces], []),
        "retinaface (MobileNet), script": ([*own, *retinaface], script),
        "retinaface (ResNet-50), script": ([*own, *large], script),
        "whisperx and retinaface (MobileNet), script": ([*whisperx, *retinaface], script),
    }
    for number, (name, (settings, more)) in enumerate(rows.items()):
        work = tmp_path / f"work{number}"
        command = [sys.executable, "-m", "dubkit", "run", str(demo.film)]
        command += ["--audio", str(tmp_path / "numbers.wav"), "--out", str(tmp_path / "out.mp4")]
        command += ["--work", str(work), "--jobs", "1", "--device", "cpu"]
        command += [*more, *(word for item in settings for word in ("--set", item))]
        seconds, processor = first_frame(command, work)
        sys.stdout.write(f"\n{name}: {processor:.1f} s of processors, {seconds:.1f} s by the clock")
        sys.stdout.flush()
